"""Timing in turn, ratios, bars, peak memory, and the bench report."""

import json
import re
import time

import pytest

from optlab import benchmarks
from optlab.benchmarks import Benchmark, FreshProcess, Timing, benchmark, compare_row, interleave, meets, pairwise_ratio


def test_contenders_take_turns_and_the_first_call_is_kept_apart():
    calls = []

    def slow_start():
        time.sleep(0.03 if not calls else 0.003)
        calls.append("a")

    times = interleave({"a": slow_start, "b": lambda: (time.sleep(0.003), calls.append("b"))}, repeats=3)
    assert "".join(calls).endswith("ababab")
    assert times["a"].first > 0.025 > times["a"].median
    assert len(times["a"].samples) == len(times["b"].samples) == 3


def test_short_calls_are_repeated_within_a_sample():
    count = [0]

    def tiny():
        count[0] += 1

    times = interleave({"tiny": tiny}, repeats=3)
    assert count[0] > 100
    assert times["tiny"].median < 1e-3


def test_ratios_are_taken_round_by_round():
    # a machine that becomes ten times slower midway leaves the ratio alone
    times = {"ours": Timing((1.0, 1.0, 10.0), 5.0), "peer": Timing((2.0, 2.0, 20.0), 2.0)}
    assert pairwise_ratio(times, "peer", "ours") == 2.0
    row = compare_row("case", times, ours="ours", peer="peer", bar=">= 2", memory=10)
    assert (row["ratio"], row["first_call"], row["memory"]) == (2.0, 5.0, 10)
    assert compare_row("case", times, ours="ours", peer="peer", ratio="cost")["ratio"] == 0.5


@pytest.mark.parametrize("bar", ["20", ">=", "at least 3", ">= x"])
def test_a_bar_must_be_a_comparison(bar):
    with pytest.raises(ValueError, match="bar must be a comparison"):
        meets(1.0, bar)


def test_records_pass_and_miss_and_are_kept_side_by_side(tmp_path):
    good = Benchmark("good", "Good", lambda scale, seed: [{"name": "a", "ratio": 30.0, "bar": ">= 20"}])
    bad = Benchmark("bad", "Bad", lambda scale, seed: [{"name": "a", "ratio": 3.0, "bar": ">= 20"}, {"name": "b"}])
    error = Benchmark("error", "Error", lambda scale, seed: 1 / 0)
    assert [benchmarks.passed(r) for r in benchmarks.run([good, bad], out=tmp_path)] == [True, False]
    assert [benchmarks.passed(r) for r in benchmarks.run([error], out=tmp_path)] == [False]
    kept = json.loads((tmp_path / "bench.json").read_text())["records"]
    assert [record["id"] for record in kept] == ["good", "bad", "error"]
    page = (tmp_path / "index.html").read_text()
    assert "ZeroDivisionError" in page
    assert "a bar was missed: a (3, bar &gt;= 20)" in page
    assert 'href="#bench-bad"' in page.partition("<main>")[0]  # in the list at the side
    assert kept[0]["provenance"]["pot"]


def test_a_report_of_benchmarks_alone_says_what_was_run(tmp_path):
    rows = [
        {
            "name": "a",
            "seconds to 1e-06": 0.25,
            "empty": None,
            "ratio": 30.0,
            "ratio_is": "peer / ours",
            "bar": ">= 20",
            "note": "x < y",
        }
    ]
    benchmarks.run([Benchmark("good", "Good", lambda scale, seed: rows)], out=tmp_path, scale="smoke")
    page = (tmp_path / "index.html").read_text()
    assert "Nothing has been run" not in page
    assert "Every claim" not in page
    assert "Every bar of the benchmarks was met." in page
    heads = re.findall(r"<th[^>]*>([^<]*)</th>", page)
    assert heads == ["Name", "Seconds to 1e-06", "Ratio, peer / ours", "Bar", "Pass", "Note"]
    assert "250 ms" in page
    assert "x &lt; y" in page
    assert "scale smoke" in page
    # without a bar nothing is said to have been met
    benchmarks.run([Benchmark("good", "Good", lambda scale, seed: [{"name": "a"}])], out=tmp_path)
    assert "was met" not in (tmp_path / "index.html").read_text()


def test_registering_and_discovering():
    spec = benchmark(id="toy-bench", title="Toy")(lambda scale, seed: [])
    try:
        assert benchmarks.BENCHMARKS["toy-bench"] is spec
        assert spec("smoke", 0) == []
    finally:
        del benchmarks.BENCHMARKS["toy-bench"]


def test_peak_memory_fails_loudly():
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        benchmarks.peak_memory("1 / 0")


def test_a_fresh_process_keeps_what_was_made_and_measures_each_statement():
    with FreshProcess("import numpy as np") as process:
        big, more = process.run("x = np.ones(8_000_000); size = x.size; del x", answer="size")
        assert big == 8_000_000
        assert 60e6 < more < 80e6
        # the peak is read before the answer is computed, and what a statement prints is not its answer
        answer, little = process.run("print('{}')", answer="float(np.ones(8_000_000).sum()) + size")
        assert answer == 2 * 8_000_000
        assert little < 30e6


def test_a_fresh_process_that_takes_too_long_or_fails_is_ended():
    with FreshProcess("import time") as process:
        began = time.perf_counter()
        with pytest.raises(TimeoutError, match=r"not done after 0\.2 s: time\.sleep\(60\)"):
            process.run("time.sleep(60)", timeout=0.2)
        assert time.perf_counter() - began < 30
    with FreshProcess() as process, pytest.raises(RuntimeError, match="NameError: name 'unknown'"):
        process.run("unknown")
    with pytest.raises(RuntimeError, match="ended with status 3"):
        FreshProcess("import os; os._exit(3)")
