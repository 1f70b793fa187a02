"""Timing in turn, ratios, bars, peak memory, and the bench report."""

import json
import time

import pytest

from optlab import benchmarks
from optlab.benchmarks import Benchmark, Timing, benchmark, compare_row, interleave, meets, pairwise_ratio


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
    assert "a bar was missed" in page


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
