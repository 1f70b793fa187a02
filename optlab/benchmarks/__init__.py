"""Benchmarks against peers: the registry, fair timing, peak memory, and the runner behind ``optlab bench``.

    @benchmark(id="log-sum-exp", title="One half-step against scipy.special.logsumexp")
    def log_sum_exp(scale, seed):
        times = interleave({"optlab": ours, "scipy": theirs})
        return [compare_row("n = 2000", times, ours="optlab", peer="scipy", bar=">= 20")]

A benchmark answers with rows (dicts). Contenders are timed in turn within one process (A B A B ...), so that
a busy machine slows all alike, and compared by the median of the pairwise ratios. Timings are never cached.
"""

from __future__ import annotations

import gc
import importlib
import json
import operator
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optlab.core.contract.catalogue import module_names
from optlab.core.interrupts import raising, terminable

Row = dict[str, Any]


@dataclass(frozen=True)
class Benchmark:
    """A registered benchmark: callable as ``(scale, seed)``, answers with rows."""

    id: str
    title: str
    function: Callable[[str, int], Sequence[Row]] = field(repr=False)
    file: str = field(default="", repr=False)

    @property
    def family(self) -> str:
        """The id's first word: ``optlab bench transport`` runs every benchmark whose id starts with it."""
        return self.id.partition("-")[0]

    @raising()
    def __call__(self, scale: str = "cpu", seed: int = 0) -> list[Row]:
        return [dict(row) for row in self.function(scale, seed)]


BENCHMARKS: dict[str, Benchmark] = {}


def benchmark(*, id: str, title: str) -> Callable[[Callable[[str, int], Sequence[Row]]], Benchmark]:
    """Register ``fn(scale, seed) -> rows``; the first word of the id is the family it is chosen with.

    Each row is a dict; these keys have a meaning, others are shown as they are: ``name``; ``seconds``
    (median); ``peer`` and ``peer_seconds``; ``ratio``; ``bar`` (such as ``">= 20"`` or ``"<= 4"``: what the
    ratio has to meet); ``first_call`` (seconds, compilation included); ``memory`` (bytes at the peak);
    ``note``.
    """
    from optlab.reproduce.figures import add_unique, check_id

    def register(function: Callable[[str, int], Sequence[Row]]) -> Benchmark:
        spec = Benchmark(check_id(id), title, function, sys._getframe(1).f_code.co_filename)
        add_unique(BENCHMARKS, spec.id, spec, "benchmark")
        return spec

    return register


def discover() -> dict[str, Benchmark]:
    """Import every module of this package and return the registered benchmarks by id."""
    for name in module_names(__path__, __name__):
        importlib.import_module(name)
    return dict(BENCHMARKS)


@dataclass(frozen=True)
class Timing:
    """Seconds of each call, in order; `first` is the call before them (compilation, caches)."""

    samples: tuple[float, ...]
    first: float

    @property
    def median(self) -> float:
        """Median seconds per call."""
        return statistics.median(self.samples)

    @property
    def minimum(self) -> float:
        """Least seconds per call."""
        return min(self.samples)


def interleave(
    contenders: Mapping[str, Callable[[], Any]], repeats: int = 7, budget: float = 20.0, min_time: float = 2e-3
) -> dict[str, Timing]:
    """Time callables in turn: A B A B ..., after one call of each that is kept apart.

    Parameters
    ----------
    contenders : mapping of str to callable
    repeats : int, default 7
        Rounds; fewer (but at least 3) if `budget` runs out.
    budget : float, default 20
        Seconds for everything.
    min_time : float, default 2e-3
        Calls shorter than this are repeated within a sample, so that the clock's resolution does not count.

    Returns
    -------
    dict of str to Timing
    """
    start = time.perf_counter()
    first, loops = {}, {}
    for name, call in contenders.items():
        first[name] = _clock(call, 1)
        loops[name] = max(1, round(min_time / max(_clock(call, 1), 1e-9)))
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    enabled = gc.isenabled()
    gc.disable()  # a collection would be charged to whoever happens to run
    try:
        for i in range(repeats):
            if i >= 3 and time.perf_counter() - start > budget:
                break
            for name, call in contenders.items():
                samples[name].append(_clock(call, loops[name]))
    finally:
        if enabled:
            gc.enable()
    return {name: Timing(tuple(samples[name]), first[name]) for name in contenders}


def pairwise_ratio(times: Mapping[str, Timing], numerator: str, denominator: str) -> float:
    """Median over the rounds of the ratio of the two contenders' seconds in the same round."""
    pairs = zip(times[numerator].samples, times[denominator].samples)
    return statistics.median(a / max(b, 1e-12) for a, b in pairs)


def compare_row(
    name: str,
    times: Mapping[str, Timing],
    *,
    ours: str,
    peer: str,
    bar: str | None = None,
    ratio: str = "speedup",
    **more: Any,
) -> Row:
    """Make a row from timings.

    Parameters
    ----------
    name : str
    times : mapping
        From `interleave`.
    ours, peer : str
        Names in `times`.
    bar : str, optional
        What the ratio has to meet.
    ratio : {"speedup", "cost"}
        ``speedup`` is peer/ours (20 means twenty times faster), ``cost`` is ours/peer.
    **more
        Further columns.
    """
    from optlab.core.validation import one_of

    one_of(ratio, "ratio", ("speedup", "cost"))
    top, bottom = (peer, ours) if ratio == "speedup" else (ours, peer)
    return {
        "name": name,
        "seconds": times[ours].median,
        "minimum": times[ours].minimum,
        "first_call": times[ours].first,
        "peer": peer,
        "peer_seconds": times[peer].median,
        "ratio": pairwise_ratio(times, top, bottom),
        "ratio_is": "peer / ours" if ratio == "speedup" else "ours / peer",
        "bar": bar,
        **more,
    }


class FreshProcess:
    """A Python process of its own, in which one statement after another is run and its peak memory read.

    Whole-process memory (compiled code's arrays included), which `tracemalloc` would not see. Linux and macOS.

    Parameters
    ----------
    setup : str
        Run first; what it leaves in memory does not count.
    timeout : float, default 600
        Seconds the setup may take.

    Raises
    ------
    RuntimeError
        If the setup fails, with its traceback.
    TimeoutError
        If it takes too long.

    Examples
    --------
    >>> with FreshProcess("import numpy as np") as process:
    ...     answer, memory = process.run("x = np.ones(5_000_000)", answer="x.sum()", timeout=60.0)
    >>> answer, memory > 30_000_000
    (5000000.0, True)
    """

    def __init__(self, setup: str = "pass", timeout: float = 600.0):
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (a pipe that nobody reads could fill up)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _MEASURE],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
        )  # fmt: skip
        try:
            self._ask(setup, "None", timeout)
        except BaseException:
            self.close()
            raise

    def run(self, statement: str, answer: str = "None", timeout: float = 600.0) -> tuple[Any, int]:
        """Run a statement; return an answer, and the bytes by which it raised the peak over the memory after the setup.

        Parameters
        ----------
        statement : str
        answer : str
            Expression for what is returned (anything JSON can write); evaluated after the peak has been read.
        timeout : float, default 600
            Seconds for both.

        Raises
        ------
        RuntimeError
            If one of them fails, with its traceback.
        TimeoutError
            If they take too long. In either case the process is ended.
        """
        value, peak = self._ask(statement, answer, timeout)
        return value, int(peak)

    def _ask(self, statement: str, answer: str, timeout: float) -> list[Any]:
        process, late = self._process, threading.Event()
        assert process.stdin is not None
        assert process.stdout is not None

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(timeout, end)
        timer.start()
        try:
            process.stdin.write(json.dumps([statement, answer]) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:  # ended before
            line = ""
        finally:
            timer.cancel()
        if line:
            reply: list[Any] = json.loads(line)
            return reply
        self.close()
        if late.is_set():
            raise TimeoutError(f"not done after {timeout:g} s: {statement.strip().splitlines()[-1]}")
        raise RuntimeError(f"measuring in a fresh process failed:\n{self._message}")

    def close(self) -> None:
        """End the process."""
        if self._errors.closed:
            return
        self._process.kill()
        self._process.communicate()
        self._errors.seek(0)
        self._message = self._errors.read().strip() or f"it ended with status {self._process.returncode}"
        self._errors.close()

    def __enter__(self) -> FreshProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def peak_memory(statement: str, setup: str = "pass", timeout: float = 600.0) -> int:
    """Return the bytes by which `statement` raises the peak memory of a fresh Python process after `setup`.

    Examples
    --------
    >>> peak_memory("x = np.ones(5_000_000)", "import numpy as np") > 30_000_000
    True
    """
    with FreshProcess(setup, timeout) as process:
        return process.run(statement, timeout=timeout)[1]


# What a `FreshProcess` runs. Linux: the high-water mark of this process alone, reset before every statement.
# (ru_maxrss will not do there: it keeps the parent's peak across fork and exec.)
_MEASURE = """
import ctypes, gc, json, os, resource, sys
replies = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what a statement prints is no reply
def status(key):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key))
def reset():
    gc.collect()
    try:  # what is free goes back to the system: used again, it would not show
        ctypes.CDLL(None).malloc_trim(0)
    except AttributeError:  # not glibc
        pass
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass
def now():
    return status("VmRSS") if sys.platform == "linux" else peak()
def peak():
    if sys.platform == "linux":
        return status("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before, scope = None, {"__name__": "__main__"}
for line in sys.stdin:
    statement, answer = json.loads(line)
    reset()
    exec(statement, scope)
    reply = peak()
    if before is None:
        reset()
        before = now()
    reply -= before
    print(json.dumps([eval(answer, scope), reply]), file=replies, flush=True)
"""


def meets(ratio: float, bar: str) -> bool:
    """Whether `ratio` meets a bar such as ``">= 20"``.

    Examples
    --------
    >>> meets(21.0, ">= 20"), meets(5, "<= 4")
    (True, False)
    """
    match = re.fullmatch(r"\s*(<=|>=|<|>)\s*([0-9.eE+-]+)\s*x?", bar)
    if match is None:
        raise ValueError(f"bar must be a comparison such as '>= 20', got {bar!r}")
    compare = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}[match[1]]
    return bool(compare(ratio, float(match[2])))


@terminable()
def run(
    benchmarks: Sequence[Benchmark],
    *,
    out: str | Path = "results",
    scale: str = "cpu",
    seed: int = 0,
    on_record: Callable[[dict[str, Any]], None] | None = None,
) -> list[dict[str, Any]]:
    """Run benchmarks one after another in this process; write ``bench.json`` and the report after each."""
    from optlab.reproduce.discovery import trace
    from optlab.reproduce.provenance import provenance
    from optlab.reproduce.report import write_report
    from optlab.reproduce.store import Store, to_json, write_bytes

    store = Store(out)
    path = store.out / "bench.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))["records"]
    except (OSError, ValueError, KeyError):
        kept = []
    records = []
    for spec in benchmarks:
        start = time.perf_counter()
        record: dict[str, Any] = {"id": spec.id, "title": spec.title, "scale": scale, "seed": seed, "rows": []}
        try:
            record["rows"] = [_judged(row) for row in spec(scale, seed)]
            record["status"] = "done"
        except (Exception, SystemExit):
            record |= {"status": "error", "traceback": trace()}
        record["seconds"] = time.perf_counter() - start
        record["provenance"] = provenance(peers=True)
        records.append(record)
        kept = [old for old in kept if old["id"] != spec.id] + [record]
        write_bytes(path, to_json({"records": kept}).encode())
        write_report(store.out, store.read_index() | {"provenance": record["provenance"]})
        if on_record is not None:
            on_record(record)
    return records


def passed(record: Mapping[str, Any]) -> bool:
    """Whether a benchmark ran and every ratio with a bar met it."""
    return record["status"] == "done" and all(row.get("pass") is not False for row in record["rows"])


def _judged(row: Row) -> Row:
    row = {key: value.item() if hasattr(value, "item") else value for key, value in row.items()}
    if row.get("bar"):
        row["pass"] = row.get("ratio") is not None and meets(row["ratio"], row["bar"])
    return row


def _clock(call: Callable[[], Any], loops: int) -> float:
    start = time.perf_counter()
    for _ in range(loops):
        call()
    return (time.perf_counter() - start) / loops
