"""Many calls of one function in worker processes, answered as they end: the one place that talks to joblib's pool.

Workers end with their parent. A worker that dies (killed for memory, a crash in compiled code) takes the pool with it;
the rest is then run one by one, each in a process of its own, so that only the call that kills its worker is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from optlab.core.interrupts import end_with_parent


class WorkerDied(RuntimeError):
    """The process that ran a call died: out of memory, or a crash in compiled code."""


def as_completed(
    function: Callable[..., Any],
    tasks: Sequence[tuple[Any, ...]],
    n_jobs: int | None = None,
    on_death: Callable[[int, WorkerDied], Any] | None = None,
) -> Iterator[tuple[int, Any]]:
    """Yield ``(i, function(*tasks[i]))`` as they end, in any order.

    Parameters
    ----------
    function : callable
    tasks : sequence of tuple
        The arguments of each call.
    n_jobs : int, optional
        Worker processes, as joblib counts them: -1 is one per core; None what an enclosing ``joblib.parallel_config``
        says (also its backend: dask), otherwise 1. With 1, and inside a worker, calls run here, in order.
    on_death : callable, optional
        Answers in place of a call whose worker died; default: `WorkerDied` is raised.

    Examples
    --------
    >>> sorted(as_completed(pow, [(2, 3), (3, 2)]))
    [(0, 8), (1, 9)]
    """
    import joblib
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    jobs = 1 if _in_worker() else min(int(joblib.effective_n_jobs(n_jobs)), len(tasks))
    elsewhere = type(joblib.parallel.get_active_backend()[0]).__module__ == "joblib._dask"
    if jobs <= 1 and not elsewhere:
        yield from ((i, function(*task)) for i, task in enumerate(tasks))
        return
    left = dict(enumerate(tasks))
    parallel = joblib.Parallel(n_jobs=-1 if elsewhere else jobs, return_as="generator_unordered", batch_size=1)
    try:
        for i, outcome in parallel(joblib.delayed(_numbered)(i, function, task) for i, task in left.copy().items()):
            del left[i]
            yield i, outcome
        return
    except TerminatedWorkerError:
        pass
    for i, task in left.items():
        yield i, _alone(i, function, task, on_death)


def _numbered(i: int, function: Callable[..., Any], task: tuple[Any, ...]) -> tuple[int, Any]:
    end_with_parent()
    return i, function(*task)


def _alone(i: int, function: Callable[..., Any], task: tuple[Any, ...], on_death: Any) -> Any:
    from joblib.externals.loky import ProcessPoolExecutor
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    try:
        with ProcessPoolExecutor(max_workers=1) as pool:
            return pool.submit(_numbered, i, function, task).result()[1]
    except TerminatedWorkerError as error:
        died = WorkerDied(f"The worker process died (out of memory, or a crash in compiled code).\n{error}")
        if on_death is None:
            raise died from None
        return on_death(i, died)


def _in_worker() -> bool:
    """Whether this is a worker of joblib's already: pools inside of pools are threads there, which Numba forbids."""
    from multiprocessing import process

    return process.current_process().name.startswith("LokyProcess")


__all__ = ["WorkerDied", "as_completed"]
