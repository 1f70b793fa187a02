"""Running figures and theorem checks: cached, in parallel, resumable, with the report kept up to date.

`run` answers with the records in the order of the tasks. Each result is written as it arrives, so that a run
that is interrupted or killed goes on where it stopped: what is finished is found in the cache. Errors are
never cached.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from optlab.core.interrupts import terminable, termination_received
from optlab.core.parallel import WorkerDied, as_completed
from optlab.core.validation import as_integer, one_of
from optlab.reproduce.discovery import Task
from optlab.reproduce.figures import SCALES
from optlab.reproduce.fingerprint import fingerprint
from optlab.reproduce.store import Store, plain
from optlab.reproduce.tally import Tally, passed
from optlab.reproduce.worker import Outcome, execute

REPORT_INTERVAL = 5.0  # seconds between rewrites of the report while running


@dataclass
class Summary:
    """What a run came to.

    Attributes
    ----------
    records : list of dict
        One per finished task.
    planned : int
        How many tasks there were.
    report : str
        Path of ``index.html``.
    interrupted : bool
        Whether Ctrl-C, SIGTERM or SIGHUP ended it; the records are those that were finished.
    """

    records: list[dict[str, Any]] = field(default_factory=list)
    planned: int = 0
    report: str = ""
    interrupted: bool = False

    @property
    def passed(self) -> bool:
        """Whether no claim and no theorem failed and nothing was interrupted; `tally` says what was not tested."""
        return not self.interrupted and all(passed(record) for record in self.records)

    @property
    def tally(self) -> Tally:
        """The counts, as the report shows them."""
        return Tally.of(self.records, self.planned)


def run(
    tasks: Sequence[Task],
    *,
    out: str | os.PathLike[str] = "results",
    scale: str = "cpu",
    seed: int = 0,
    jobs: int | None = None,
    scheduler: str | None = None,
    cache: bool = True,
    known: Sequence[Task] | None = None,
    progress: bool | None = None,
    on_record: Callable[[dict[str, Any]], None] | None = None,
) -> Summary:
    """Run `tasks` and write the report.

    Parameters
    ----------
    tasks : sequence of Task
        From `optlab.reproduce.discovery.discover`.
    out : path-like, default "results"
    scale : {"smoke", "cpu", "paper"}
    seed : int, default 0
    jobs : int, optional
        Worker processes; default one per core. 1 runs in this process.
    scheduler : str, optional
        Address of a dask scheduler (``tcp://HOST:PORT``), to use its workers instead. They need this version
        of optlab and, at the same paths, the experiment files.
    cache : bool, default True
        Whether results already on disk are used; new ones are kept either way.
    known : sequence of Task, optional
        Everything that exists; records of an earlier run that are not in it are dropped from the report.
    progress : bool, optional
        Progress bar; default: if stderr is a terminal.
    on_record : callable, optional
        Called with each record as it arrives.

    Returns
    -------
    Summary

    Raises
    ------
    UnwritableOutput
        If `out` cannot be written, before anything runs.
    """
    from tqdm import tqdm

    from optlab.reproduce.report import write_report

    one_of(scale, "scale", SCALES)
    seed = as_integer(seed, "seed", minimum=0)
    jobs = _cores() if jobs is None else as_integer(jobs, "jobs", minimum=1)
    store = Store(out)
    if scheduler is not None:
        _check_distributed()
    index = _merged_index(store, known)
    # the longest first, so that no worker is left with the long one at the end
    before = {(r["kind"], r["id"]): r.get("seconds", 0.0) for r in [*index["pending"], *index["records"]]}
    _plan(index, tasks, before)
    keys = {task: fingerprint(task.origin, task.kind, task.id, scale, seed) for task in tasks if not task.error}
    summary = Summary(planned=len(tasks))
    done: dict[tuple[str, str], dict[str, Any]] = {}
    written = time.monotonic()

    def finish(task: Task, record: dict[str, Any]) -> None:
        nonlocal written
        if "code" in record:
            record["code"]["page"] = store.publish_source(record["code"]["file"])
        done[task.kind, task.id] = record
        index["records"].append(record)
        index["pending"] = [p for p in index["pending"] if (p["kind"], p["id"]) != (task.kind, task.id)]
        store.write_index(index)
        if on_record is not None:
            on_record(record)
        if time.monotonic() - written > REPORT_INTERVAL:
            write_report(store.out, index)
            written = time.monotonic()

    write_report(store.out, index)  # from now on the page says that a run is under way
    pending: list[Task] = []
    bar = tqdm(total=len(tasks), unit="task", disable=None if progress is None else not progress, leave=False)
    with terminable(keyboard=True) as interrupted:
        try:
            with bar:
                for task in tasks:
                    record = (
                        store.get(task.kind, task.id, scale, seed, keys[task]) if cache and not task.error else None
                    )
                    if record is None:
                        pending.append(task)
                        continue
                    finish(task, store.publish(record) | {"cached": True})
                    bar.update()
                pending.sort(key=lambda task: -before.get((task.kind, task.id), 1e9))
                for task, (outcome, files) in _outcomes(pending, scale, seed, jobs, scheduler):
                    if interrupted.is_set() or termination_received():
                        raise KeyboardInterrupt  # swallowed by the task: what it made of the rest is not a result
                    record = plain(outcome)  # as it will be read from the cache
                    if record["status"] == "done":
                        record["key"] = keys[task]
                        store.put(record, files)
                        record = store.publish(record)
                    finish(task, record | {"cached": False})
                    bar.set_postfix_str(task.id)
                    bar.update()
                index["state"] = "finished"
        except KeyboardInterrupt:
            summary.interrupted = True
        finally:
            summary.records = [done[task.kind, task.id] for task in tasks if (task.kind, task.id) in done]
            if index["state"] == "running":
                index["state"] = "interrupted"
            store.write_index(index)
            summary.report = str(write_report(store.out, index))
    return summary


def _outcomes(
    tasks: list[Task], scale: str, seed: int, jobs: int, scheduler: str | None
) -> Iterator[tuple[Task, Outcome]]:
    """Outcomes as they arrive, in any order."""
    jobs = min(jobs, len(tasks))
    if scheduler is None and jobs <= 1:
        for task in tasks:
            yield task, execute(task, scale, seed)
        return

    import joblib

    threads = max(1, _cores() // jobs)

    def died(i: int, error: WorkerDied) -> Outcome:
        task = tasks[i]
        record, _ = execute(Task(task.kind, task.id, task.paper, task.title, task.origin, str(error)), scale, seed)
        return record | {"traceback": str(error)}, {}

    with ExitStack() as stack:
        limit = None
        if scheduler is not None:
            from distributed import Client

            stack.enter_context(Client(scheduler, timeout=10))
            stack.enter_context(joblib.parallel_config(backend="dask"))
            jobs = -1
        else:
            stack.enter_context(joblib.parallel_config(backend="loky", inner_max_num_threads=threads))
            limit = threads
        for i, outcome in as_completed(execute, [(task, scale, seed, limit) for task in tasks], jobs, died):
            yield tasks[i], outcome


def _merged_index(store: Store, known: Sequence[Task] | None) -> dict[str, Any]:
    """The last runs' index, without what no longer exists, with today's provenance and names of papers."""
    from optlab.reproduce.provenance import provenance

    index = store.read_index()
    if known is not None:
        names = {(task.kind, task.id) for task in known}
        for part in ("records", "pending"):
            index[part] = [r for r in index[part] if (r["kind"], r["id"]) in names]
    papers = importlib.import_module("optlab.theorems").papers()
    return index | {"provenance": provenance(), "papers": papers}


def _plan(index: dict[str, Any], tasks: Sequence[Task], seconds: dict[tuple[str, str], float]) -> None:
    """Enter `tasks` as planned and take out their old results, so that the report shows none as of this run."""
    again = {(task.kind, task.id) for task in tasks}
    for part in ("records", "pending"):
        index[part] = [r for r in index[part] if (r["kind"], r["id"]) not in again]
    for task in tasks:
        entry = {"kind": task.kind, "id": task.id, "paper": task.paper, "title": task.title}
        index["pending"].append(entry | {"seconds": seconds.get((task.kind, task.id), 1e9)})
    index["state"] = "running"


def _check_distributed() -> None:
    if importlib.util.find_spec("distributed") is None:
        raise ModuleNotFoundError(
            "--scheduler needs dask.distributed, which is not installed: pip install 'optlab[distributed]'"
        )


def _cores() -> int:
    """Cores this process may use (a container or `taskset` may grant fewer than the machine has)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
