"""Costs of very large entries, solved with these lowered first.

For ``C' = min(C, T)`` every plan costs at most as much as for C, and potentials feasible for C' are feasible for C.
So an optimal plan of C' without mass on entries above T is optimal for C, with the same potentials as proof. What is
gained are digits: the artificial costs of a network simplex exceed the largest entry, and so may potentials, and 10^12
beside 1 leaves four digits of the costs that matter.
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from optlab.transport.balanced.problem import OptimalTransport
from optlab.transport.costs.base import LARGEST_SPREAD
from optlab.transport.costs.dense import DenseCost
from optlab.transport.costs.sparse import SparseCost
from optlab.transport.plans.relative_gap import ROUNDING

_TYPICAL = 1e4  # T, in units of the 5 % quantile of the costs
_PROBLEMS: weakref.WeakKeyDictionary[OptimalTransport, OptimalTransport | None] = weakref.WeakKeyDictionary()


def lowered(problem: OptimalTransport) -> OptimalTransport | None:
    """Return the problem with its largest costs lowered, or None if they are not that large (or no matrix is given)."""
    if problem not in _PROBLEMS:
        cost = problem.active_cost
        large = cost.is_matrix and problem.regularization == 0.0 and cost.spread(0.05) > LARGEST_SPREAD
        _PROBLEMS[problem] = _capped(problem, cost) if large else None
    return _PROBLEMS[problem]


def _capped(problem: OptimalTransport, cost: Any) -> OptimalTransport:
    limit = _TYPICAL * max(abs(cost.minimum), abs(cost.maximum)) / cost.spread(0.05)
    if isinstance(cost, SparseCost):
        matrix = cost.matrix.astype(np.float64)
        matrix.data = np.minimum(matrix.data, limit)
        return OptimalTransport(problem.active_a, problem.active_b, SparseCost(matrix))
    array = cost.dense()
    array = np.where(array < np.inf, np.minimum(array, limit), np.inf)
    return OptimalTransport(problem.active_a, problem.active_b, DenseCost(array))


def without_lowered(
    problem: OptimalTransport, rows: np.ndarray, columns: np.ndarray, values: np.ndarray
) -> np.ndarray | None:
    """Return which entries of a plan to keep, if none but rounding errors are on entries that were lowered; or None."""
    inner = lowered(problem)
    assert inner is not None
    high = problem.active_cost.pair_costs(rows, columns) > inner.active_cost.pair_costs(rows, columns)
    dust = 4.0 * ROUNDING * np.minimum(problem.active_a[rows], problem.active_b[columns])
    return None if np.any(values[high] > dust[high]) else ~high
