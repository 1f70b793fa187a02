"""One call per pass over a transport cost: deals row ranges out to threads, converts natural to binary logs.

Every function takes the cost's storage (`data`, ``n``, ``m``; see `optlab.transport.kernels`) with rows being
the rows of the storage; `optlab.transport.costs.Cost` turns a transposed view round. Potentials and inverse
temperatures are in natural units here, and so are the results.

How a pass is cut into ranges depends on the shape alone, never on the number of threads, so that results are
the same bit for bit on any machine of the same instruction set. Memory beyond the cost is O(n + m): at most
`MAX_PARTS` column accumulators.
"""

from __future__ import annotations

import functools
import itertools
import math
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np

from optlab.transport import kernels

MAX_PARTS = 32
_GRAIN = 18  # log2 of the entries per part: below two grains a pass runs in the calling thread
_LOG2E = math.log2(math.e)
_LN2 = math.log(2.0)

Data = tuple[Any, ...]
_pool: tuple[int, int, ThreadPoolExecutor] | None = None
_pool_lock = threading.Lock()


def thread_count() -> int:
    """Return how many threads a pass may use: ``NUMBA_NUM_THREADS`` if set, otherwise the cores of this process."""
    return int(getattr(numba.config, "NUMBA_NUM_THREADS"))  # noqa: B009 (set at import, unknown to type checkers)


def _executor(threads: int) -> ThreadPoolExecutor:
    global _pool
    with _pool_lock:
        # a fork copies the pool object but not its threads
        if _pool is None or _pool[0] != os.getpid() or _pool[1] != threads:
            _pool = (os.getpid(), threads, ThreadPoolExecutor(threads, thread_name_prefix="optlab-transport"))
        return _pool[2]


def run(tasks: Sequence[Callable[[], Any]]) -> None:
    """Run the tasks on the calling thread and the pool together; the first error is raised."""
    helpers = min(thread_count(), len(tasks)) - 1
    if helpers < 1:
        for task in tasks:
            task()
        return
    take = itertools.count()  # next() on it is atomic under the interpreter lock

    def drain() -> None:
        while (index := next(take)) < len(tasks):
            tasks[index]()

    executor = _executor(thread_count() - 1)
    futures = [executor.submit(drain) for _ in range(helpers)]
    try:
        drain()
    finally:
        for future in futures:
            # a helper that has not started by now would find nothing left to do
            if not future.cancel():
                future.result()


def row_ranges(n: int, m: int) -> list[tuple[int, int]]:
    """Return the row ranges a pass over an (n, m) cost is cut into."""
    parts = max(1, min(MAX_PARTS, (n * m) >> _GRAIN, n // 8))
    return [(k * n // parts, (k + 1) * n // parts) for k in range(parts)]


def _each(n: int, m: int, kernel: Any, *arguments: Any) -> list[Callable[[], Any]]:
    """Tasks ``kernel(*arguments with START, STOP filled in)``, one per row range; callables are given the part."""
    tasks: list[Callable[[], Any]] = []
    for part, (start, stop) in enumerate(row_ranges(n, m)):
        filled = [
            start if a is START else stop if a is STOP else a(part, start, stop) if callable(a) else a
            for a in arguments
        ]
        tasks.append(functools.partial(kernel, *filled))
    return tasks


START, STOP = object(), object()


def binary(potential: np.ndarray) -> np.ndarray:
    """Natural to binary logarithms."""
    return np.ascontiguousarray(potential, dtype=np.float64) * _LOG2E


# ---------------------------------------------------------------------------------------- log-sum-exp


def logsumexp_rows(data: Data, n: int, m: int, G: np.ndarray, kappa: float) -> np.ndarray:
    """Return ``log sum_j exp(G_j - kappa C_ij)``, shape (n,)."""
    out = np.empty(n)
    run(_each(n, m, kernels.logsumexp_rows, data, binary(G), kappa * _LOG2E, START, STOP, out))
    out *= _LN2
    return out


def logsumexp_columns(data: Data, n: int, m: int, F: np.ndarray, kappa: float) -> np.ndarray:
    """Return ``log sum_i exp(F_i - kappa C_ij)``, shape (m,)."""
    F, kappa = binary(F), kappa * _LOG2E
    rows = max(1, min(MAX_PARTS, (n * m) >> _GRAIN, n // 64))
    columns = max(1, min(MAX_PARTS // rows, (n * m) >> _GRAIN, m // 256)) if rows < 4 else 1
    levels, totals = np.empty((rows, m)), np.empty((rows, m))
    tasks = []
    for r, c in itertools.product(range(rows), range(columns)):
        box = (r * n // rows, (r + 1) * n // rows, c * m // columns, (c + 1) * m // columns)
        tasks.append(lambda r=r, box=box: kernels.logsumexp_columns(data, F, kappa, *box, levels[r], totals[r]))
    run(tasks)
    out = np.empty(m)
    kernels.merge_columns(levels, totals, out)
    out *= _LN2
    return out


def single_logsumexp_rows(C: np.ndarray, G: np.ndarray, kappa: float) -> np.ndarray:
    """Return what `logsumexp_rows` does for a float32 matrix, in float32 arithmetic, as float64."""
    from optlab.transport import single_kernels

    n, m = C.shape
    out = np.empty(n)
    G = binary(G)
    shift = float(G.max())  # exponents near zero keep more digits
    G = (G - shift).astype(np.float32) if math.isfinite(shift) else G.astype(np.float32)
    run(_each(n, m, single_kernels.logsumexp_rows, C, G, np.float32(kappa * _LOG2E), START, STOP, out))
    return (out + (shift if math.isfinite(shift) else 0.0)) * _LN2


def single_logsumexp_columns(C: np.ndarray, F: np.ndarray, kappa: float) -> np.ndarray:
    """Return what `logsumexp_columns` does for a float32 matrix, in float32 arithmetic, as float64."""
    from optlab.transport import single_kernels

    n, m = C.shape
    F = binary(F)
    shift = float(F.max())
    F = (F - shift).astype(np.float32) if math.isfinite(shift) else F.astype(np.float32)
    parts = len(row_ranges(n, m))
    levels, totals = np.empty((parts, m), np.float32), np.empty((parts, m), np.float32)
    run(
        _each(
            n, m, single_kernels.logsumexp_columns,
            C, F, np.float32(kappa * _LOG2E), START, STOP, lambda p, s, e: levels[p], lambda p, s, e: totals[p],
        )
    )  # fmt: skip
    top = levels.max(axis=0).astype(np.float64)
    sums = (totals * np.exp2(levels - top)).sum(axis=0)
    out = np.where(top > -1e29, top + np.log2(np.maximum(sums, 1e-300)), -np.inf)
    return (out + (shift if math.isfinite(shift) else 0.0)) * _LN2


# ---------------------------------------------------------------------------------------- the plan


def plan_moments(
    data: Data, n: int, m: int, F: np.ndarray, G: np.ndarray, kappa: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return row sums, column sums and ``sum_j C_ij X_ij`` (per row) of ``X = exp(F + G - kappa C)``."""
    row_sums, row_costs = np.empty(n), np.empty(n)
    partial = np.zeros((len(row_ranges(n, m)), m))
    run(
        _each(
            n, m, kernels.plan_moments,
            data, binary(F), binary(G), kappa * _LOG2E, START, STOP, row_sums, row_costs, lambda p, s, e:
            partial[p],
        )
    )  # fmt: skip
    return row_sums, partial.sum(axis=0), row_costs


def plan_apply(
    data: Data, n: int, m: int, F: np.ndarray, G: np.ndarray, kappa: float, V: np.ndarray, over_rows: bool
) -> np.ndarray:
    """Return ``X V`` for V of shape (m, p), or ``X^T V`` for V of shape (n, p) if `over_rows`."""
    V = np.ascontiguousarray(V.T, dtype=np.float64)
    F, G, kappa = binary(F), binary(G), kappa * _LOG2E
    if over_rows:
        partial = np.zeros((len(row_ranges(n, m)), V.shape[0], m))
        run(_each(n, m, kernels.plan_apply_columns, data, F, G, kappa, START, STOP, V, lambda p, s, e: partial[p]))
        return partial.sum(axis=0).T
    out = np.empty((V.shape[0], n))
    run(_each(n, m, kernels.plan_apply_rows, data, F, G, kappa, START, STOP, V, out))
    return out.T


def plan_rows(
    data: Data, n: int, m: int, F: np.ndarray, G: np.ndarray, kappa: float, start: int, stop: int
) -> np.ndarray:
    """Return rows start..stop of X."""
    out = np.empty((stop - start, m))
    kernels.plan_rows(data, binary(F), binary(G), kappa * _LOG2E, start, stop, out)
    return out


def plan_dense(data: Data, n: int, m: int, F: np.ndarray, G: np.ndarray, kappa: float) -> np.ndarray:
    """Return X, shape (n, m)."""
    out = np.empty((n, m))
    run(
        _each(
            n, m, kernels.plan_rows,
            data, binary(F), binary(G), kappa * _LOG2E, START, STOP, lambda p, s, e: out[s:e],
        )
    )  # fmt: skip
    return out


def plan_entropic(
    data: Data, n: int, m: int, F: np.ndarray, G: np.ndarray, kappa: float, p: np.ndarray, q: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return, per row, ``sum_j C Y`` and ``sum_j Y (log Y - 1)`` of ``Y = X + p q^T``."""
    costs, entropies = np.empty(n), np.empty(n)
    run(
        _each(
            n, m, kernels.plan_entropic_rows,
            data, binary(F), binary(G), kappa * _LOG2E, p, q, START, STOP, costs, entropies,
        )
    )  # fmt: skip
    return costs, entropies


# ---------------------------------------------------------------------------------------- the cost alone


def minimum_rows(data: Data, n: int, m: int, g: np.ndarray) -> np.ndarray:
    """Return ``min_j (C_ij - g_j)``, shape (n,)."""
    out = np.empty(n)
    run(_each(n, m, kernels.minimum_rows, data, g, START, STOP, out))
    return out


def minimum_columns(data: Data, n: int, m: int, f: np.ndarray) -> np.ndarray:
    """Return ``min_i (C_ij - f_i)``, shape (m,)."""
    partial = np.full((len(row_ranges(n, m)), m), np.inf)
    run(_each(n, m, kernels.minimum_columns, data, f, START, STOP, 0, m, lambda p, s, e: partial[p]))
    return partial.min(axis=0)


def product_rows(data: Data, n: int, m: int, v: np.ndarray) -> np.ndarray:
    """Return ``C v``, shape (n,)."""
    out = np.empty(n)
    run(_each(n, m, kernels.product_rows, data, v, START, STOP, out))
    return out


def product_columns(data: Data, n: int, m: int, u: np.ndarray) -> np.ndarray:
    """Return ``C^T u``, shape (m,)."""
    partial = np.zeros((len(row_ranges(n, m)), m))
    run(_each(n, m, kernels.product_columns, data, u, START, STOP, m, lambda p, s, e: partial[p]))
    return partial.sum(axis=0)


def statistics(data: Data, n: int, m: int) -> tuple[float, float, float, float]:
    """Return minimum, maximum, mean and (population) standard deviation of the entries."""
    rows = np.empty((n, 4))
    run(_each(n, m, kernels.statistics_rows, data, m, START, STOP, rows))
    mean = math.fsum(rows[:, 2]) / n
    squares = math.fsum(rows[:, 3]) + m * math.fsum((rows[:, 2] - mean) ** 2)
    return float(rows[:, 0].min()), float(rows[:, 1].max()), mean, math.sqrt(max(squares, 0.0) / (n * m))


def cost_dense(data: Data, n: int, m: int) -> np.ndarray:
    """Return the cost as a float64 array, shape (n, m)."""
    out = np.empty((n, m))
    run(_each(n, m, kernels.cost_rows, data, m, START, STOP, lambda p, s, e: out[s:e]))
    return out
