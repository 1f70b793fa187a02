"""Running: cache, resumption, failures, interruption, parallel workers, and the report that comes of it."""

import html.parser
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from optlab.reproduce import runner, worker
from optlab.reproduce.store import Store, UnwritableOutput, to_json


@pytest.fixture
def real_pictures():
    """Asked for by tests that need real pictures; elsewhere drawing them would only take time."""


@pytest.fixture(autouse=True)
def _quick_pictures(request, monkeypatch):
    if "real_pictures" not in request.fixturenames:
        picture = lambda canvas, name, formats, dpi=200: {f"{name}.{suffix}": b"picture" for suffix in formats}
        monkeypatch.setattr(worker, "_pictures", picture)


def _run(experiments, tmp_path, **options):
    tasks = experiments.discover()
    options = {"out": tmp_path / "results", "scale": "smoke", "jobs": 1, "progress": False, "known": tasks} | options
    return runner.run(tasks, **options)


class _Links(html.parser.HTMLParser):
    """Collects relative links, ids and anything that would need a network."""

    def __init__(self):
        super().__init__()
        self.files, self.anchors, self.ids, self.remote = set(), set(), set(), []

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name == "id":
                self.ids.add(value)
            elif name in ("href", "src"):
                if value.startswith("#"):
                    self.anchors.add(value[1:])
                elif name == "href" and tag == "a" and value.startswith("https://arxiv.org/"):
                    pass  # followed by a reader, not by the page
                elif "://" in value or value.startswith("/"):
                    self.remote.append(value)
                else:
                    self.files.add(unquote(value.partition("#")[0]))


def test_a_run_writes_figures_data_and_a_report_whose_links_lead_somewhere(experiments, tmp_path, real_pictures):
    experiments.figure("one")
    experiments.theorem("two")
    out = tmp_path / "results"
    folder = out / "figures" / "toy" / "one"
    assert _run(experiments, tmp_path).passed
    assert {path.name for path in folder.iterdir()} == {"figure.png", "data.csv"}
    summary = _run(experiments, tmp_path, scale="cpu")
    assert summary.passed
    assert {path.name for path in folder.iterdir()} == {"figure.png", "figure.pdf", "data.csv"}
    table = np.genfromtxt(folder / "data.csv", delimiter=",", names=True)
    assert np.array_equal(table["value"], np.random.default_rng(0).random(5))  # bit for bit

    page = (out / "index.html").read_text()
    links = _Links()
    links.feed(page)
    assert links.remote == []
    assert links.anchors - {""} <= links.ids
    assert all((out / name).is_file() for name in links.files)
    for text in ("Toy figure one", "Values are below 2.", "A &lt;toy&gt; &amp; more.", "not tested at this scale"):
        assert text in page
    for text in ("x_k &lt;= 2**-k", "factor above one half", "Theorem 1", "halving", "1 of 1 tested claim held"):
        assert text in page
    assert "<toy>" not in page


def test_what_is_cached_is_not_computed_again_until_its_source_changes(experiments, tmp_path):
    experiments.figure("one")
    experiments.figure("two")
    _run(experiments, tmp_path)
    assert experiments.computed() == ["one", "two"]
    again = _run(experiments, tmp_path)
    assert experiments.computed() == []
    assert all(record["cached"] for record in again.records)
    experiments.figure("two", shift=0.5)
    _run(experiments, tmp_path)
    assert experiments.computed() == ["two"]
    _run(experiments, tmp_path, seed=1)
    assert experiments.computed() == ["one", "two"]
    _run(experiments, tmp_path)  # the other seed has not pushed this one out
    assert experiments.computed() == []
    _run(experiments, tmp_path, cache=False)
    assert experiments.computed() == ["one", "two"]


def test_a_damaged_cache_entry_is_computed_again(experiments, tmp_path):
    experiments.figure("one")
    _run(experiments, tmp_path)
    experiments.computed()
    (entry,) = (tmp_path / "results" / "cache" / "figure").iterdir()
    (entry / "figure.png").unlink()
    _run(experiments, tmp_path)
    assert experiments.computed() == ["one"]
    (entry / "record.json").write_text('{"key": ')
    assert _run(experiments, tmp_path).passed
    assert experiments.computed() == ["one"]


def test_the_same_run_gives_the_same_bytes(experiments, tmp_path, real_pictures):
    experiments.figure("one")
    read = lambda: {p.name: p.read_bytes() for p in (tmp_path / "results/figures/toy/one").iterdir()}
    _run(experiments, tmp_path)
    first = read()
    _run(experiments, tmp_path, cache=False)
    assert read() == first


def test_a_failing_figure_is_reported_not_cached_and_holds_nothing_up(experiments, tmp_path):
    experiments.figure("good")
    path = experiments.write(
        "bad",
        """
        import warnings
        import optlab

        @optlab.figure(id="bad", paper="toy", title="Bad")
        def figure(scale, seed):
            raise ZeroDivisionError("on purpose")
        """,
    )
    with_error = _run(experiments, tmp_path)
    assert not with_error.passed
    records = {record["id"]: record for record in with_error.records}
    assert records["good"]["status"] == "done"
    assert "on purpose" in records["bad"]["traceback"]
    assert "reproduce/worker.py" not in records["bad"]["traceback"]  # only the author's own frames
    page = (tmp_path / "results" / "index.html").read_text()
    assert "Not everything held" in page
    assert "ZeroDivisionError: on purpose" in page
    assert not _run(experiments, tmp_path).passed  # again, not from the cache
    path.unlink()
    assert _run(experiments, tmp_path).passed
    assert "on purpose" not in (tmp_path / "results" / "index.html").read_text()


def test_a_failed_claim_fails_the_run(experiments, tmp_path):
    experiments.figure("one", shift=5.0)
    summary = _run(experiments, tmp_path)
    assert not summary.passed
    assert "Values are below 2." in (tmp_path / "results" / "index.html").read_text().split("</ul>")[1]


@pytest.mark.parametrize(
    ("options", "passed", "defect"),
    [
        ({}, True, ""),
        ({"factor": 0.7}, False, ""),  # the theorem is violated
        ({"control_factor": 0.4}, False, "came out as “holds”"),  # the control holds: the check cannot fail
        ({"control": False}, False, "no negative control"),
    ],
)
def test_a_theorem_passes_only_with_a_control_that_fails(experiments, tmp_path, options, passed, defect):
    experiments.theorem("claim", **options)
    summary = _run(experiments, tmp_path)
    assert summary.passed is passed
    assert defect in " ".join(summary.records[0]["defects"])


def test_not_applicable_passes_only_where_it_is_declared(experiments, tmp_path):
    source = """
        import optlab

        @optlab.theorem(id="na", paper="toy", statement="s", {declared})
        def check(scale, seed):
            return optlab.Evidence.not_applicable("not convex; it diverges", k=[1, 2], observed=[1.0, 2.0])

        @check.control("a convex case")
        def _(scale, seed):
            return optlab.Evidence([1], [2.0 - {convex}], 1.0)
    """
    experiments.write("na", source.format(declared="expected='not_applicable'", convex=1))
    assert _run(experiments, tmp_path).passed
    assert "not convex; it diverges" in (tmp_path / "results" / "index.html").read_text()
    experiments.write("na", source.format(declared="", convex=0))
    assert not _run(experiments, tmp_path).passed


def test_warnings_reach_the_report(experiments, tmp_path):
    experiments.write(
        "noisy",
        """
        import numpy as np
        import optlab

        @optlab.figure(id="noisy", paper="toy", title="Noisy")
        def figure(scale, seed):
            np.log(np.zeros(1))
            return optlab.Figure({}, lambda ax: None)
        """,
    )
    with pytest.warns(RuntimeWarning, match="divide by zero"):  # seen as usual, too
        (record,) = _run(experiments, tmp_path).records
    assert "divide by zero" in record["warnings"][0]
    assert "divide by zero" in (tmp_path / "results" / "index.html").read_text()


def test_an_interrupted_run_reports_what_is_done_and_goes_on_there(experiments, tmp_path):
    for id in ("a", "b", "c"):
        experiments.figure(id)

    def stop(record):
        if record["id"] == "b":
            raise KeyboardInterrupt

    summary = _run(experiments, tmp_path, on_record=stop)
    assert summary.interrupted
    assert not summary.passed
    page = (tmp_path / "results" / "index.html").read_text()
    assert "Toy figure b" in page
    assert 'id="figure-c"' not in page  # it is only named, among what has not run
    assert experiments.computed() == ["a", "b"]
    assert _run(experiments, tmp_path).passed
    assert experiments.computed() == ["c"]


@pytest.fixture
def interruptible():
    """Python's own handler: a process started in the background by a shell has SIGINT ignored."""
    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, old)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_that_a_figure_swallows_still_ends_the_run(experiments, tmp_path):
    experiments.write(
        "swallows",
        """
        import os
        import signal
        import optlab

        @optlab.figure(id="swallows", paper="toy", title="Swallows")
        def figure(scale, seed):
            try:
                os.kill(os.getpid(), signal.SIGINT)
            except KeyboardInterrupt:  # as optlab.solve does, which then answers with a partial result
                pass
            return optlab.Figure({}, lambda ax: None)
        """,
    )
    summary = _run(experiments, tmp_path)
    assert summary.interrupted
    assert summary.records == []
    assert not (tmp_path / "results" / "cache").exists()


def test_verify_and_reproduce_share_a_report(experiments, tmp_path):
    experiments.figure("one")
    experiments.theorem("two")
    tasks = experiments.discover()
    for kind in ("figure", "theorem"):
        own = [task for task in tasks if task.kind == kind]
        runner.run(own, out=tmp_path / "results", scale="smoke", jobs=1, progress=False, known=tasks)
    records = json.loads((tmp_path / "results" / "index.json").read_text())["records"]
    assert {record["id"] for record in records} == {"one", "two"}


def test_workers_do_the_same_and_share_the_cores(experiments, tmp_path, real_pictures):
    experiments.figure("one")
    experiments.write(
        "threads",
        """
        import os
        import optlab

        @optlab.figure(id="threads", paper="toy", title="Threads")
        def figure(scale, seed):
            n = int(os.environ["NUMBA_NUM_THREADS"])
            return optlab.Figure({"n": [n], "pid": [os.getpid()]}, lambda ax: None)
        """,
    )
    summary = _run(experiments, tmp_path, jobs=2)
    assert summary.passed
    table = np.genfromtxt(tmp_path / "results/figures/toy/threads/data.csv", delimiter=",", names=True)
    assert table["n"] == max(1, len(os.sched_getaffinity(0)) // 2)
    assert table["pid"] != os.getpid()


@pytest.mark.slow
def test_a_worker_that_dies_takes_only_its_own_task(experiments, tmp_path):
    experiments.figure("one")
    experiments.figure("two")
    experiments.write(
        "dies",
        """
        import os
        import optlab

        @optlab.figure(id="dies", paper="toy", title="Dies")
        def figure(scale, seed):
            os._exit(9)
        """,
    )
    summary = _run(experiments, tmp_path, jobs=2)
    status = {record["id"]: record["status"] for record in summary.records}
    assert status == {"one": "done", "two": "done", "dies": "error"}


def test_an_unwritable_folder_is_refused_before_anything_runs(experiments, tmp_path):
    experiments.figure("one")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnwritableOutput, match=r"cannot write results to .*--out"):
        _run(experiments, tmp_path, out=tmp_path / "file" / "results")
    assert experiments.computed() == []


def test_a_missing_scheduler_package_is_named(experiments, tmp_path, monkeypatch):
    experiments.figure("one")
    monkeypatch.setattr(runner.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"optlab\[distributed\]"):
        _run(experiments, tmp_path, scheduler="tcp://localhost:1")


def test_an_index_that_cannot_be_read_starts_a_new_one(experiments, tmp_path):
    experiments.figure("one")
    _run(experiments, tmp_path)
    for text in ("{", "[]", '{"format": 0, "records": [1]}'):
        (tmp_path / "results" / "index.json").write_text(text)
        assert Store(tmp_path / "results").read_index() == {"records": [], "pending": []}
        assert _run(experiments, tmp_path).passed


def test_json_has_no_bare_nan():
    text = to_json({"a": [float("nan"), float("inf"), -float("inf"), 1.5]})
    assert json.loads(text, parse_constant=pytest.fail) == {"a": ["nan", "inf", "-inf", 1.5]}


def test_nan_and_infinite_evidence_can_be_shown_from_the_cache(experiments, tmp_path, real_pictures):
    experiments.write(
        "wild",
        """
        import math
        import optlab

        @optlab.theorem(id="wild", paper="toy", statement="s")
        def check(scale, seed):
            return optlab.Evidence([1, 2], [0.0, 0.0], 0.0, detail={"x": math.inf})

        @check.control("c")
        def _(scale, seed):
            return optlab.Evidence([1, 2], [math.nan, math.inf], 0.0)
        """,
    )
    assert _run(experiments, tmp_path).passed
    assert _run(experiments, tmp_path).passed


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_signal_leaves_what_is_done_and_no_worker(experiments, tmp_path, number, status):
    experiments.figure("quick")
    experiments.write(
        "waits",
        """
        import os
        import pathlib
        import time
        import optlab

        @optlab.figure(id="waits", paper="toy", title="Waits")
        def figure(scale, seed):
            pathlib.Path("worker").write_text(str(os.getpid()))
            time.sleep(60)
        """,
    )
    command = [sys.executable, "-m", "optlab.cli", "reproduce", "toy", "--scale", "smoke", "--jobs", "2"]
    process = subprocess.Popen(command, cwd=tmp_path, start_new_session=True, stdout=subprocess.PIPE, text=True)
    index, worker = tmp_path / "results" / "index.json", tmp_path / "worker"
    deadline = time.monotonic() + 60
    while not (worker.exists() and index.exists() and "quick" in index.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    if number == signal.SIGINT:  # a terminal's goes to all processes
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == status
    if number != signal.SIGKILL:
        assert "Interrupted: 1 of 2 has run" in output
        assert "Toy figure quick" in (tmp_path / "results" / "index.html").read_text()
    assert "quick" in index.read_text()
    assert list((tmp_path / "results" / "cache").rglob("*quick*"))
    deadline = time.monotonic() + 15
    while _alive(int(worker.read_text())):
        assert time.monotonic() < deadline, "a worker was left behind"
        time.sleep(0.1)


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
