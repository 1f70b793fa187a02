"""Where the ranges of a pass run: on threads of this process, or wherever joblib is told to.

Threads (`optlab.core.threads`) cost some ten microseconds a pass.

joblib: inside ``joblib.parallel_config(backend="dask")`` (or "loky", or any other backend) tasks are given to joblib
instead. A task travels with what it reads, and what it has written travels back: of a point cloud O(n + m) numbers
either way. A dense cost travels whole each time, which seldom pays. Where joblib itself runs this process as a worker,
passes stay on its threads.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from optlab.core.threads import run_tasks


def chosen_backend() -> Any:
    """Return joblib's `Parallel` if a caller has chosen a backend for it, otherwise None."""
    joblib = sys.modules.get("joblib")
    if joblib is None:  # not imported: nobody has
        return None
    backend, n_jobs = joblib.parallel.get_active_backend(prefer="threads")
    if backend.nesting_level or (n_jobs == 1 and type(backend).__name__ == "ThreadingBackend"):
        return None
    return joblib.Parallel(n_jobs=n_jobs, prefer="threads")


def gathered(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Return the answers of the calls, in order."""
    parallel = chosen_backend() if len(calls) > 1 else None
    if parallel is not None:
        from joblib import delayed

        return list(parallel(delayed(call)() for call in calls))
    answers: list[Any] = [None] * len(calls)

    def store(k: int) -> Callable[[], None]:
        def call() -> None:
            answers[k] = calls[k]()

        return call

    run_tasks([store(k) for k in range(len(calls))])
    return answers


class Task(NamedTuple):
    """A call of a kernel that writes on some of its arguments.

    Attributes
    ----------
    kernel : callable
    arguments : tuple
    written : tuple of (int, index or None)
        Which arguments are written, and where: None if anywhere, after reading what is there.
    """

    kernel: Callable[..., Any]
    arguments: tuple[Any, ...]
    written: tuple[tuple[int, Any], ...]

    def run(self) -> None:
        """Call it here."""
        self.kernel(*self.arguments)


def run_written(tasks: Sequence[Task]) -> None:
    """Run the tasks; their arguments are written on, wherever they run."""
    if len(tasks) == 1:
        tasks[0].run()
        return
    parallel = chosen_backend()
    if parallel is None:
        run_tasks([task.run for task in tasks])
        return
    from joblib import delayed

    for task, answers in zip(tasks, parallel(delayed(_away)(*_packed(task)) for task in tasks)):
        for (position, index), answer in zip(task.written, answers):
            task.arguments[position][... if index is None else index] = answer


def _packed(task: Task) -> tuple[Callable[..., Any], list[Any], Iterable[tuple[int, Any]]]:
    """Return a task without the entries that it only writes."""
    arguments = list(task.arguments)
    for position, index in task.written:
        if index is not None:
            arguments[position] = (arguments[position].shape, arguments[position].dtype)
    return task.kernel, arguments, task.written


def _away(kernel: Callable[..., Any], arguments: list[Any], written: Iterable[tuple[int, Any]]) -> list[np.ndarray]:
    """Call a kernel, perhaps in another process, and return what it has written."""
    for position, index in written:
        given = arguments[position]
        arguments[position] = np.array(given) if index is None else np.empty(*given)
    kernel(*arguments)
    return [arguments[position][... if index is None else index] for position, index in written]
