"""One call per pass over a transport cost: cuts it into row ranges, converts natural to binary logs.

Every function takes the cost's storage (`data`, ``n``, ``m``; see `optlab.transport.kernels.half_steps`) with rows
being the rows of the storage; `optlab.transport.costs.base.Cost` turns a transposed view round. Potentials and inverse
temperatures are in natural units here, and so are the results.

How a pass is cut into ranges depends on the shape alone, never on the number of threads, so that results are
the same bit for bit on any machine of the same instruction set. Memory beyond the cost is O(n + m): at most
`MAX_PARTS` column accumulators. Where the ranges run is the business of `optlab.transport.costs.tasks`.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np

from optlab.transport.costs import whole
from optlab.transport.costs.tasks import Task, run_written
from optlab.transport.kernels import cost_kernels, half_steps, plan_kernels

MAX_PARTS = 32
_GRAIN = 18  # log2 of the entries per part: below two grains a pass runs in the calling thread
_LOG2E = math.log2(math.e)
_LN2 = math.log(2.0)

Data = tuple[Any, ...]
START, STOP = object(), object()  # stand for the ends of a range among a kernel's arguments


class Rows(NamedTuple):
    """An argument on which a kernel writes the entries of its range of rows, along an axis."""

    array: np.ndarray
    axis: int = 0


class Parts(NamedTuple):
    """An argument of which range k has a part of its own, to read and write: ``array[k]`` or ``array[start:stop]``."""

    array: np.ndarray
    by_rows: bool = False


def row_ranges(n: int, m: int) -> list[tuple[int, int]]:
    """Return the row ranges a pass over an (n, m) cost is cut into."""
    parts = max(1, min(MAX_PARTS, (n * m) >> _GRAIN, n // 8))
    return [(k * n // parts, (k + 1) * n // parts) for k in range(parts)]


def _over_ranges(n: int, m: int, kernel: Any, *arguments: Any) -> None:
    """Call ``kernel(*arguments)`` for each row range, with START, STOP, `Rows` and `Parts` filled in."""
    tasks = []
    for k, (start, stop) in enumerate(row_ranges(n, m)):
        filled: list[Any] = list(arguments)
        written: list[tuple[int, Any]] = []
        for position, argument in enumerate(arguments):
            if argument is START or argument is STOP:
                filled[position] = start if argument is START else stop
            elif isinstance(argument, Rows):
                filled[position] = argument.array
                written.append((position, (slice(None),) * argument.axis + (slice(start, stop),)))
            elif isinstance(argument, Parts):
                filled[position] = argument.array[start:stop] if argument.by_rows else argument.array[k]
                written.append((position, None))
        tasks.append(Task(kernel, tuple(filled), tuple(written)))
    run_written(tasks)


def binary(potential: np.ndarray) -> np.ndarray:
    """Natural to binary logarithms."""
    return np.ascontiguousarray(potential, dtype=np.float64) * _LOG2E


# ---------------------------------------------------------------------------------------- log-sum-exp


def logsumexp_rows(data: Data, n: int, m: int, G: np.ndarray, kappa: float) -> np.ndarray:
    """Return ``log sum_j exp(G_j - kappa C_ij)``, shape (n,)."""
    out = np.empty(n)
    _over_ranges(n, m, half_steps.logsumexp_rows, data, binary(G), kappa * _LOG2E, START, STOP, Rows(out))
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
        inside = (slice(box[2], box[3]),)
        arguments = (data, F, kappa, *box, levels[r], totals[r])
        tasks.append(Task(half_steps.logsumexp_columns, arguments, ((7, inside), (8, inside))))
    run_written(tasks)
    if rows == 1:
        out = np.log2(totals[0], out=np.full(m, -np.inf), where=levels[0] > half_steps.EMPTY)
        out += levels[0]
    else:
        out = np.empty(m)
        half_steps.merge_columns(levels, totals, out)
    out *= _LN2
    return out


def single_logsumexp_rows(C: np.ndarray, G: np.ndarray, kappa: float) -> np.ndarray:
    """Return what `logsumexp_rows` does for a float32 matrix, in float32 arithmetic, as float64."""
    from optlab.transport.kernels import single_kernels

    n, m = C.shape
    out = np.empty(n)
    G = binary(G)
    shift = float(G.max())  # exponents near zero keep more digits
    G = (G - shift).astype(np.float32) if math.isfinite(shift) else G.astype(np.float32)
    _over_ranges(n, m, single_kernels.logsumexp_rows, C, G, np.float32(kappa * _LOG2E), START, STOP, Rows(out))
    return (out + (shift if math.isfinite(shift) else 0.0)) * _LN2


def single_logsumexp_columns(C: np.ndarray, F: np.ndarray, kappa: float) -> np.ndarray:
    """Return what `logsumexp_columns` does for a float32 matrix, in float32 arithmetic, as float64."""
    from optlab.transport.kernels import single_kernels

    n, m = C.shape
    F = binary(F)
    shift = float(F.max())
    F = (F - shift).astype(np.float32) if math.isfinite(shift) else F.astype(np.float32)
    parts = len(row_ranges(n, m))
    levels, totals = np.empty((parts, m), np.float32), np.empty((parts, m), np.float32)
    _over_ranges(
        n, m, single_kernels.logsumexp_columns,
        C, F, np.float32(kappa * _LOG2E), START, STOP, Parts(levels), Parts(totals),
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
    if (C := whole.small(data)) is not None:
        X = plan_dense(data, n, m, F, G, kappa)
        with np.errstate(over="ignore"):
            return X.sum(axis=1), X.sum(axis=0), whole.costs(C, X)
    row_sums, row_costs = np.empty(n), np.empty(n)
    partial = np.zeros((len(row_ranges(n, m)), m))
    _over_ranges(
        n, m, plan_kernels.plan_moments,
        data, binary(F), binary(G), kappa * _LOG2E, START, STOP, Rows(row_sums), Rows(row_costs), Parts(partial),
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
        _over_ranges(n, m, plan_kernels.plan_apply_columns, data, F, G, kappa, START, STOP, V, Parts(partial))
        return partial.sum(axis=0).T
    out = np.empty((V.shape[0], n))
    _over_ranges(n, m, plan_kernels.plan_apply_rows, data, F, G, kappa, START, STOP, V, Rows(out, axis=1))
    return out.T


def plan_rows(
    data: Data, n: int, m: int, F: np.ndarray, G: np.ndarray, kappa: float, start: int, stop: int
) -> np.ndarray:
    """Return rows start..stop of X."""
    out = np.empty((stop - start, m))
    plan_kernels.plan_rows(data, binary(F), binary(G), kappa * _LOG2E, start, stop, out)
    return out


def plan_dense(data: Data, n: int, m: int, F: np.ndarray, G: np.ndarray, kappa: float) -> np.ndarray:
    """Return X, shape (n, m)."""
    out = np.empty((n, m))
    _over_ranges(
        n, m, plan_kernels.plan_rows,
        data, binary(F), binary(G), kappa * _LOG2E, START, STOP, Parts(out, by_rows=True),
    )  # fmt: skip
    return out


def plan_entropic(
    data: Data, n: int, m: int, F: np.ndarray, G: np.ndarray, kappa: float, p: np.ndarray, q: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return, per row, ``sum_j C Y`` and ``sum_j Y (log Y - 1)`` of ``Y = X + p q^T``."""
    if (C := whole.small(data)) is not None:
        Y = plan_dense(data, n, m, F, G, kappa) + p[:, None] * q
        return whole.costs(C, Y), whole.entropies(Y)
    costs, entropies = np.empty(n), np.empty(n)
    _over_ranges(
        n, m, plan_kernels.plan_entropic_rows,
        data, binary(F), binary(G), kappa * _LOG2E, p, q, START, STOP, Rows(costs), Rows(entropies),
    )  # fmt: skip
    return costs, entropies


# ---------------------------------------------------------------------------------------- the cost alone


def minimum_rows(data: Data, n: int, m: int, g: np.ndarray) -> np.ndarray:
    """Return ``min_j (C_ij - g_j)``, shape (n,)."""
    if (C := whole.small(data)) is not None:
        return whole.minimum(C, g, axis=1)
    out = np.empty(n)
    _over_ranges(n, m, cost_kernels.minimum_rows, data, g, START, STOP, Rows(out))
    return out


def minimum_columns(data: Data, n: int, m: int, f: np.ndarray) -> np.ndarray:
    """Return ``min_i (C_ij - f_i)``, shape (m,)."""
    if (C := whole.small(data)) is not None:
        return whole.minimum(C, f, axis=0)
    partial = np.full((len(row_ranges(n, m)), m), np.inf)
    _over_ranges(n, m, cost_kernels.minimum_columns, data, f, START, STOP, 0, m, Parts(partial))
    return partial.min(axis=0)


def product_rows(data: Data, n: int, m: int, v: np.ndarray) -> np.ndarray:
    """Return ``C v``, shape (n,)."""
    if (C := whole.small(data)) is not None:
        return whole.product(C, v, axis=1)
    out = np.empty(n)
    _over_ranges(n, m, cost_kernels.product_rows, data, v, START, STOP, Rows(out))
    return out


def product_columns(data: Data, n: int, m: int, u: np.ndarray) -> np.ndarray:
    """Return ``C^T u``, shape (m,)."""
    if (C := whole.small(data)) is not None:
        return whole.product(C, u, axis=0)
    partial = np.zeros((len(row_ranges(n, m)), m))
    _over_ranges(n, m, cost_kernels.product_columns, data, u, START, STOP, m, Parts(partial))
    return partial.sum(axis=0)


def statistics(data: Data, n: int, m: int) -> tuple[float, float, float, float]:
    """Return minimum, maximum, mean and (population) standard deviation of the entries."""
    if (C := whole.small(data)) is not None:
        return whole.statistics(C)
    rows = np.empty((n, 4))
    _over_ranges(n, m, cost_kernels.statistics_rows, data, m, START, STOP, Rows(rows))
    mean = math.fsum(rows[:, 2]) / n
    squares = math.fsum(rows[:, 3]) + m * math.fsum((rows[:, 2] - mean) ** 2)
    return float(rows[:, 0].min()), float(rows[:, 1].max()), mean, math.sqrt(max(squares, 0.0) / (n * m))


def pair_costs(data: Data, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the costs of single pairs."""
    if (C := whole.small(data)) is not None:
        return C[rows, columns].astype(np.float64)
    rows, columns = np.ascontiguousarray(rows, dtype=np.int64), np.ascontiguousarray(columns, dtype=np.int64)
    out = np.empty(rows.size)
    cost_kernels.pair_costs(data, rows, columns, out)
    return out


def cost_dense(data: Data, n: int, m: int) -> np.ndarray:
    """Return the cost as a float64 array, shape (n, m)."""
    if (C := whole.small(data)) is not None:
        return C.astype(np.float64)
    out = np.empty((n, m))
    _over_ranges(n, m, cost_kernels.cost_rows, data, m, START, STOP, Parts(out, by_rows=True))
    return out
