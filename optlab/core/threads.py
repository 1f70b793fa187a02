"""One thread pool for compiled passes that release the interpreter lock and are cut into ranges.

How work is cut must depend on its size alone, never on the number of threads, so that results are the same bit for bit
on any number of cores. Threads started here survive nothing: a forked child gets a pool of its own.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_pool: tuple[int, int, ThreadPoolExecutor] | None = None
_lock = threading.Lock()


def thread_count() -> int:
    """Return how many threads a pass may use: ``NUMBA_NUM_THREADS`` if set, otherwise the cores of this process.

    Examples
    --------
    >>> thread_count() >= 1
    True
    """
    wanted = os.environ.get("NUMBA_NUM_THREADS", "")
    if wanted.isdigit() and int(wanted) > 0:
        return int(wanted)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_tasks(tasks: Sequence[Callable[[], Any]]) -> None:
    """Run the tasks on the calling thread and the pool together; the first error is raised.

    Examples
    --------
    >>> done = []
    >>> run_tasks([lambda: done.append(1), lambda: done.append(2)])
    >>> sorted(done)
    [1, 2]
    """
    helpers = min(thread_count(), len(tasks)) - 1 if len(tasks) > 1 else 0
    if helpers < 1:
        for task in tasks:
            task()
        return
    take = itertools.count()  # next() on it is atomic under the interpreter lock

    def drain() -> None:
        while (index := next(take)) < len(tasks):
            tasks[index]()

    futures = [_executor(thread_count() - 1).submit(drain) for _ in range(helpers)]
    try:
        drain()
    finally:
        for future in futures:
            # a helper that has not started by now would find nothing left to do
            if not future.cancel():
                future.result()


def _executor(threads: int) -> ThreadPoolExecutor:
    global _pool
    with _lock:
        # a fork copies the pool object but not its threads
        if _pool is None or _pool[0] != os.getpid() or _pool[1] != threads:
            _pool = (os.getpid(), threads, ThreadPoolExecutor(threads, thread_name_prefix="optlab"))
        return _pool[2]


__all__ = ["run_tasks", "thread_count"]
