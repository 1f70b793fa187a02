"""Certificates for optimal transport: a feasible plan above, feasible potentials below, streamed over the
cost.

* Upper bound: the rounding of Altschuler, Weed and Rigollet (NeurIPS 2017, Algorithm 2). Rows are scaled by
  ``alpha = min(1, a / r)``, then columns by ``beta = min(1, b / c)``, then the missing mass is added as the
  rank-one matrix ``err_r err_c^T / ||err_r||_1``. The result has the marginals a, b, and differs from the
  plan by at most twice its marginal error in L1. Its cost is ``sum alpha_i beta_j C_ij X_ij + err_r^T C err_c
  / ||err_r||_1``.
* Where pairs are forbidden the missing mass cannot be spread over all of them: it is sent along allowed pairs, by
  a maximum flow started from the scaled plan (`optlab.transport.costs.feasibility`).
* Lower bound, linear problem: from any f, the c-transforms ``g_j = min_i (C_ij - f_i)``, then ``f_i = min_j
  (C_ij - g_j)``, are feasible for ``max <a, f> + <b, g>, f_i + g_j <= C_ij``. Several f are tried, the best
  is kept.
* Lower bound, with regularization eps: for the objective ``<C, X> + eps sum X (log X - 1)`` the inequality
  ``C x + eps x (log x - 1) >= x s - eps exp((s - C) / eps)``, true for all x >= 0 and all s, summed with ``s
  = f_i + g_j``, gives ``<a, f> + <b, g> - eps sum exp((f_i + g_j - C_ij) / eps)`` for any f, g; two Sinkhorn
  half-steps improve it and make the sum equal to the total mass.

Inner products of length n or m are summed exactly (`math.fsum`), so that a gap near 1e-12 still means
something.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.transport.costs.base import Cost
from optlab.transport.costs.feasibility import fill_up
from optlab.transport.plans.potentials import MirrorPlan
from optlab.transport.plans.relative_gap import ROUNDING

_HUGE = 1e290
_EXCESS = 1e-9  # of the mass: errors of the marginals that are rounding
_DUST = 1e-14  # of the mass: not worth another pass
_REPEATS = 3


def cost_terms(value: float, cost: Cost, mass: float, proven: float) -> float:
    """Return an upper bound on ``<|C|, X>`` for a plan of that mass and ``value = <C, X>``.

    ``proven`` is one found elsewhere: ``C <= f + g + slack`` on the plan, so that ``<a, |f|> + <b, |g|> + gap`` is one.
    """
    negative = max(-cost.lowest, 0.0)
    return abs(value) + (2.0 * min(mass * negative, proven) if negative > 0.0 else 0.0)


def exact_dot(u: np.ndarray, v: np.ndarray) -> float:
    """Return ``<u, v>`` with the products rounded once and their sum exact."""
    return math.fsum((u * v).tolist())


def certified_gap(upper: float, lower: float) -> float:
    """Return ``upper - lower``, a rounding error below zero as zero; inf where either is not finite and proves nothing.

    Examples
    --------
    >>> certified_gap(1.5, 1.0), certified_gap(1.0, 1.0 + 1e-16), certified_gap(1.0, float("inf"))
    (0.5, 0.0, inf)
    """
    gap = upper - lower
    return max(gap, 0.0) if math.isfinite(gap) else math.inf


def _cost_blocks(cost: Cost) -> Iterable[tuple[slice, np.ndarray]]:
    n, m = cost.shape
    block = max(1, (1 << 20) // m)
    for start in range(0, n, block):
        rows = slice(start, min(start + block, n))
        yield rows, cost.submatrix(rows).dense()


def _absolute(c: np.ndarray, x: np.ndarray) -> float:
    return float(np.sum(np.where(x > 0.0, np.abs(c), 0.0) * x, dtype=np.float64))


class PotentialEntries:
    """The matrix ``exp(row_i + column_j - kappa C_ij)``, never formed."""

    def __init__(self, cost: Cost, mirror: MirrorPlan):
        self.cost, self.mirror = cost, mirror
        self._arguments = (mirror.row, mirror.column, mirror.inverse_temperature)

    def moments(self) -> tuple[np.ndarray, np.ndarray, float]:
        """Return row sums, column sums and ``<C, X>``."""
        rows, columns, costs = self.cost.plan_moments(*self._arguments)
        # an iterate may be astronomically large before its marginals are scaled; its sums are held below overflow
        rows, columns, costs = (np.clip(np.nan_to_num(v), -_HUGE, _HUGE) for v in (rows, columns, costs))
        return rows, columns, math.fsum(costs.tolist())

    def scaled_down_to(self, a: np.ndarray) -> PotentialEntries:
        """Return the matrix with row sums cut to at most a, in the log domain."""
        row, column, kappa = self._arguments
        row = np.minimum(row, np.log(a) - self.cost.logsumexp_rows(column, kappa))
        return PotentialEntries(self.cost, MirrorPlan(row, column, kappa))

    def scaled(self, alpha: np.ndarray, beta: np.ndarray) -> PotentialEntries:
        """Return ``diag(alpha) X diag(beta)``."""
        with np.errstate(divide="ignore"):  # a factor of zero is a potential of -inf
            row, column = self.mirror.row + np.log(alpha), self.mirror.column + np.log(beta)
        return PotentialEntries(self.cost, MirrorPlan(row, column, self.mirror.inverse_temperature))

    def on_pattern(self) -> np.ndarray:
        """Return the entries on the allowed pairs of the cost."""
        return np.minimum(self.cost.plan_pattern(*self._arguments), _HUGE)

    def absolute_cost(self, left: np.ndarray, right: np.ndarray) -> float:
        """Return ``<|C|, X + left right^T>``."""
        row, column, kappa = self._arguments
        total = []
        for rows, c in _cost_blocks(self.cost):
            part = self.cost.submatrix(rows)
            x = part.plan_dense(row[rows], column, kappa) + left[rows, None] * right
            total.append(_absolute(c, x))
        return math.fsum(total)

    def apply(self, V: np.ndarray) -> np.ndarray:
        return self.cost.plan_apply(*self._arguments, V)

    def apply_transpose(self, V: np.ndarray) -> np.ndarray:
        return self.cost.plan_apply_transpose(*self._arguments, V)

    def dense(self) -> np.ndarray:
        return self.cost.plan_dense(*self._arguments)

    def sparse(self, threshold: float, left: np.ndarray | None, right: np.ndarray | None) -> Any:
        return self.cost.plan_sparse(*self._arguments, threshold, left, right)

    def entropic(self, left: np.ndarray, right: np.ndarray) -> tuple[float, float]:
        """Return ``<C, Y>`` and ``sum Y (log Y - 1)`` of ``Y = X + left right^T``."""
        costs, entropies = self.cost.plan_entropic(*self._arguments, left, right)
        return math.fsum(costs.tolist()), math.fsum(entropies.tolist())


class ArrayEntries:
    """A plan given as an array or a SciPy sparse array (from a solver that keeps one); negative entries
    count as zero.
    """

    def __init__(self, cost: Cost, array: Any):
        self.cost, self.array = cost, array.maximum(0) if hasattr(array, "tocsr") else np.maximum(array, 0.0)
        self.is_sparse = hasattr(array, "tocsr")

    def absolute_cost(self, left: np.ndarray, right: np.ndarray) -> float:
        """Return ``<|C|, X + left right^T>``."""
        blocks = _cost_blocks(self.cost)
        return math.fsum(_absolute(c, self._block(rows) + left[rows, None] * right) for rows, c in blocks)

    def _block(self, rows: slice) -> np.ndarray:
        return self.array[rows].toarray() if self.is_sparse else self.array[rows]

    def moments(self) -> tuple[np.ndarray, np.ndarray, float]:
        rows, columns = np.asarray(self.array.sum(axis=1)).ravel(), np.asarray(self.array.sum(axis=0)).ravel()
        costs: list[float] = []
        for part, c in _cost_blocks(self.cost):
            x = self._block(part)
            if self.cost.has_forbidden:  # no mass is there, but 0 * inf would be NaN
                c = np.where(x > 0.0, c, 0.0)
            costs.extend(np.einsum("ij,ij->i", c, x, dtype=np.float64).tolist())
        return rows.astype(np.float64), columns.astype(np.float64), math.fsum(costs)

    def on_pattern(self) -> np.ndarray:
        """Return the entries on the allowed pairs of the cost."""
        pattern = self.cost.pattern
        return np.asarray(self.dense()[pattern.rows, pattern.columns])

    def scaled(self, alpha: np.ndarray, beta: np.ndarray) -> ArrayEntries:
        if self.is_sparse:
            from scipy.sparse import diags_array

            return ArrayEntries(self.cost, (diags_array(alpha) @ self.array @ diags_array(beta)).tocsr())
        return ArrayEntries(self.cost, alpha[:, None] * self.array * beta)

    def apply(self, V: np.ndarray) -> np.ndarray:
        return self.array @ V

    def apply_transpose(self, V: np.ndarray) -> np.ndarray:
        return self.array.T @ V

    def dense(self) -> np.ndarray:
        return self.array.toarray() if self.is_sparse else self.array.copy()

    def sparse(self, threshold: float, left: np.ndarray | None, right: np.ndarray | None) -> Any:
        from scipy.sparse import csr_array

        if self.is_sparse and (left is None or right is None):
            array = self.array.tocsr(copy=True)
            array.data[array.data <= threshold] = 0.0
            array.eliminate_zeros()
            return array
        array = self.dense() if left is None or right is None else self.dense() + np.outer(left, right)
        array[array <= threshold] = 0.0
        return csr_array(array)

    def entropic(self, left: np.ndarray, right: np.ndarray) -> tuple[float, float]:
        from scipy.special import xlogy

        costs, entropies = [], []
        for rows, c in _cost_blocks(self.cost):
            y = self._block(rows) + left[rows, None] * right
            costs.append(float(np.sum(np.where(y > 0.0, c, 0.0) * y)))
            entropies.append(float(np.sum(xlogy(y, y) - y)))
        return math.fsum(costs), math.fsum(entropies)


@dataclass(frozen=True, eq=False)
class RoundedPlan:
    """A plan with exact marginals: ``entries + left right^T``.

    Attributes
    ----------
    entries : PotentialEntries or ArrayEntries
    left, right : ndarray, shapes (n,) and (m,)
        Rank-one correction; zero if nothing was missing.
    cost : float
        ``<C, plan>``, and `slack`.
    slack : float
        What moving the mass that rounding left above the marginals can cost at most.
    row_sums, column_sums : ndarray
        Of the plan before rounding.
    """

    entries: Any
    left: np.ndarray
    right: np.ndarray
    cost: float
    row_sums: np.ndarray
    column_sums: np.ndarray
    slack: float = 0.0


def round_to_marginals(entries: Any, a: np.ndarray, b: np.ndarray) -> RoundedPlan:
    """Round a positive matrix to the marginals a, b (Altschuler, Weed and Rigollet 2017, Algorithm 2).

    Parameters
    ----------
    entries : PotentialEntries or ArrayEntries
    a, b : ndarray, shapes (n,) and (m,)
        Positive, of equal sum.

    Returns
    -------
    RoundedPlan
        Exact in both marginals up to roundoff. An iterate whose potentials are too large to be scaled exactly (from
        about 1e9 on: step sizes far above the useful ones) is replaced by the plan ``a b^T``. Two or three passes over
        the cost with exponentials and one without.
    """
    row_sums, column_sums, cost = entries.moments()
    raw_sums = row_sums, column_sums
    if row_sums.max() > 1e100 and isinstance(entries, PotentialEntries):
        # entries above 2^1023 are not representable: do the first step of the rounding on the potentials
        entries = entries.scaled_down_to(a)
        row_sums, column_sums, cost = entries.moments()
    if entries.cost.has_forbidden:
        return _round_on_allowed(entries, a, b, raw_sums)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        alpha = np.where(row_sums > a, a / row_sums, 1.0)
        current = entries
        if np.any(alpha < 1.0):
            current = entries.scaled(alpha, np.ones_like(b))
            _, columns, _ = current.moments()
        else:
            columns = column_sums
        beta = np.where(columns > b, b / columns, 1.0)
    if np.any(alpha < 1.0) or np.any(beta < 1.0):
        current = entries.scaled(alpha, beta)
        rows, columns, cost = current.moments()
    else:
        rows = row_sums
    total = math.fsum(a.tolist())
    excess = _excess(rows, a, columns, b)
    for _ in range(_REPEATS):
        if excess <= _DUST * total or excess > _EXCESS * total:
            break
        # factors of large potentials are rounded to many units: a little less than wanted is below the marginals
        with np.errstate(divide="ignore", invalid="ignore"):
            alpha, beta = _reduction(rows, a), _reduction(columns, b)
        current = current.scaled(alpha, beta)
        rows, columns, cost = current.moments()
        excess = _excess(rows, a, columns, b)
    if excess > _EXCESS * total:
        # potentials so large that factors are lost in their rounding: independent marginals are a plan that is one
        current = entries.scaled(np.zeros_like(a), np.zeros_like(b))
        rows, columns, cost, excess = np.zeros_like(a), np.zeros_like(b), 0.0, 0.0
    slack = excess * entries.cost.range  # to take it elsewhere costs no more
    cost += slack
    missing_rows, missing_columns = _beyond(a - rows, a), _beyond(b - columns, b)
    missing = math.fsum(missing_rows.tolist()), math.fsum(missing_columns.tolist())
    if min(missing) > 0.0:
        missing_columns = missing_columns * (min(missing) / missing[1])
        missing_rows = missing_rows * (min(missing) / missing[0])
        if min(missing) <= _EXCESS * total and getattr(current, "is_sparse", False):
            return _filled_sparsely(current, cost, missing_rows, missing_columns, raw_sums)
        left, right = missing_rows / min(missing), missing_columns
        cost += exact_dot(left, entries.cost.product(right))
    else:
        left, right = np.zeros_like(a), np.zeros_like(b)
    return RoundedPlan(current, left, right, cost, *raw_sums, slack)


def _excess(rows: np.ndarray, a: np.ndarray, columns: np.ndarray, b: np.ndarray) -> float:
    """Return the mass above the marginals."""
    return math.fsum([*_beyond(rows - a, a).tolist(), *_beyond(columns - b, b).tolist()])


def _beyond(difference: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the positive parts of differences between sums and weights that are more than rounding of the sums.

    What rounding leaves is no error to be made up for: the plan is certified for its own marginals, and the difference
    that they make is in `DualBound.terms`. Sent elsewhere, dust would cost more than an optimum near zero.
    """
    return np.where(difference > 8.0 * ROUNDING * weight, difference, 0.0)


def _reduction(sums: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return factors that take sums above their target to just below it."""
    over = sums > target
    if not np.any(over):
        return np.ones_like(sums)
    worst = float(np.max(sums[over] / target[over])) - 1.0
    return np.where(over, target / sums * (1.0 - 2.0 * min(worst, 0.25)), 1.0)


def _filled_sparsely(
    entries: ArrayEntries, cost: float, rows: np.ndarray, columns: np.ndarray, raw_sums: tuple[np.ndarray, np.ndarray]
) -> RoundedPlan:
    """Add what rounding left open along a north-west corner path: ``left right^T`` would fill the matrix."""
    from scipy.sparse import coo_array

    from optlab.transport.kernels.forest_kernels import northwest_corner

    n, m = rows.size, columns.size
    i, j, flows = northwest_corner(rows, columns, np.flatnonzero(rows), np.flatnonzero(columns))
    filled = (entries.array + coo_array((flows, (i, j)), shape=(n, m))).tocsr()
    cost += exact_dot(entries.cost.pair_costs(i, j), flows)
    return RoundedPlan(ArrayEntries(entries.cost, filled), np.zeros(n), np.zeros(m), cost, *raw_sums)


def _round_on_allowed(
    entries: Any, a: np.ndarray, b: np.ndarray, raw_sums: tuple[np.ndarray, np.ndarray]
) -> RoundedPlan:
    """Round as `round_to_marginals` does, but send the missing mass along allowed pairs only, by a maximum flow.

    The rank-one correction would put mass on forbidden pairs. The answer has memory of the allowed ones.
    """
    cost = entries.cost
    pattern, n, m = cost.pattern, a.size, b.size
    x = entries.on_pattern()
    for index, target, size in ((pattern.rows, a, n), (pattern.columns, b, m)):
        sums = np.bincount(index, x, size)
        with np.errstate(divide="ignore", invalid="ignore"):
            x = x * np.where(sums > target, target / sums, 1.0)[index]
    x, _ = fill_up(pattern, x, a, b)
    total = exact_dot(cost.pattern_costs, x)
    return RoundedPlan(ArrayEntries(cost, pattern.matrix(x)), np.zeros(n), np.zeros(m), total, *raw_sums)


@dataclass(frozen=True, eq=False)
class DualBound:
    """Feasible dual potentials, the lower bound they prove, and the sum of the absolute values of its terms."""

    f: np.ndarray
    g: np.ndarray
    value: float
    terms: float = 0.0

    @classmethod
    def of(cls, f: np.ndarray, g: np.ndarray, products: list[float]) -> DualBound:
        """Return the bound that is the sum of the products."""
        return cls(f, g, math.fsum(products), math.fsum(map(abs, products)))

    @property
    def proven(self) -> float:
        """The value less what its rounding may be."""
        return self.value - ROUNDING * self.terms

    def or_lowest(self, cost: Cost, a: np.ndarray) -> DualBound:
        """Return the bound of constant potentials, the cost's lowest entry, if these lost too many digits to be better.

        Of a cost that is nowhere negative and an optimum of zero it is the one bound without rounding.
        """
        low, mass = cost.lowest, math.fsum(a.tolist())
        if low * mass - ROUNDING * abs(low) * mass <= self.proven:
            return self
        return DualBound(np.zeros_like(self.f), np.full_like(self.g, low), low * mass, abs(low) * mass)


def _reach(cost: Cost) -> float:
    """Return how far apart potentials can usefully be: the range of C, times a path's length if pairs are forbidden.

    Twice that: the range may be that of a sample, and too large a reach costs nothing.
    """
    return 2.0 * cost.range * (min(cost.shape) if cost.has_forbidden else 1.0)


def _aligned(cost: Cost, candidates: Iterable[np.ndarray], side: int) -> list[np.ndarray]:
    """Return candidates with maximum zero on every component that the allowed pairs connect, where there are several.

    Potentials of separate components differ by arbitrary constants, which drift.
    """
    arrays = [np.asarray(candidate, dtype=np.float64) for candidate in candidates]
    if not cost.has_forbidden or not arrays:
        return arrays
    labels = cost.pattern.components()[side]
    out = []
    for array in arrays:
        top = np.full(int(labels.max()) + 1, -np.inf)
        np.maximum.at(top, labels, array)
        with np.errstate(invalid="ignore"):  # what is not finite is turned away later
            out.append(array - top[labels])
    return out


def dual_start(candidate: np.ndarray, cost: Cost) -> np.ndarray:
    """Return a candidate for f shifted to maximum 0 and cut where no potential is of use; zero if it is not finite.

    Examples
    --------
    >>> from optlab.transport import DenseCost
    >>> dual_start(np.array([1e300, 0.5]), DenseCost([[1.0, 3.0], [2.0, 2.0]])).tolist()
    [0.0, -4.0]
    """
    return _start(candidate, _reach(cost))


def _start(candidate: np.ndarray, reach: float) -> np.ndarray:
    """Shift a candidate to maximum 0 and cut it at ``-reach``; one that is not finite becomes zero.

    A row whose potential is more than the range of C below the largest is never the minimiser of a c-transform, so the
    cut changes no bound. Without it a candidate of size 1e66 would lose the cost to roundoff and prove nonsense.
    """
    candidate = np.asarray(candidate, dtype=np.float64)
    if not np.all(np.isfinite(candidate)):
        return np.zeros_like(candidate)
    with np.errstate(over="ignore"):  # a difference of -inf is cut as well
        return np.maximum(candidate - candidate.max(), -reach)


def dual_bound(
    cost: Cost,
    a: np.ndarray,
    b: np.ndarray,
    rows: Iterable[np.ndarray] = (),
    columns: Iterable[np.ndarray] = (),
) -> DualBound:
    """Return the best lower bound on ``min <C, X>`` from candidate potentials, each completed by two
    c-transforms.

    Parameters
    ----------
    rows, columns : iterable of ndarray
        Candidates for f and for g; without any, f = 0.
    """
    best: DualBound | None = None
    reach = _reach(cost)
    rows, columns = _aligned(cost, rows, 0), _aligned(cost, columns, 1)
    starts = [(_start(f, reach), True) for f in rows] + [(_start(g, reach), False) for g in columns]
    for start, is_row in starts or [(np.zeros_like(a), True)]:
        if is_row:
            g = cost.minimum_columns(start)
            f = cost.minimum_rows(g)
        else:
            f = cost.minimum_rows(start)
            g = cost.minimum_columns(f)
        best = better(best, DualBound.of(f, g, [*(a * f).tolist(), *(b * g).tolist()]))
    assert best is not None
    return best.or_lowest(cost, a)


def better(first: DualBound | None, second: DualBound) -> DualBound:
    """Return the bound that proves more."""
    return second if first is None or second.proven > first.proven else first


def entropic_dual_bound(
    cost: Cost,
    a: np.ndarray,
    b: np.ndarray,
    regularization: float,
    rows: Iterable[np.ndarray] = (),
    columns: Iterable[np.ndarray] = (),
) -> DualBound:
    """Return the best lower bound on ``min <C, X> + eps sum X (log X - 1)``, each candidate improved by two
    half-steps.
    """
    eps, cost = regularization, cost.in_double()
    log_a, log_b = np.log(a), np.log(b)
    best: DualBound | None = None
    reach = _reach(cost) + 50.0 * eps
    rows, columns = _aligned(cost, rows, 0), _aligned(cost, columns, 1)
    starts = [(_start(f, reach), True) for f in rows] + [(_start(g, reach), False) for g in columns]
    for start, is_row in starts or [(np.zeros_like(a), True)]:
        if is_row:
            g = eps * (log_b - cost.logsumexp_columns(start / eps, 1.0 / eps))
            f = eps * (log_a - cost.logsumexp_rows(g / eps, 1.0 / eps))
            mass = math.fsum(a.tolist())  # the rows of exp((f + g - C) / eps) now sum to a
        else:
            f = eps * (log_a - cost.logsumexp_rows(start / eps, 1.0 / eps))
            g = eps * (log_b - cost.logsumexp_columns(f / eps, 1.0 / eps))
            mass = math.fsum(b.tolist())
        best = better(best, DualBound.of(f, g, [*(a * f).tolist(), *(b * g).tolist(), -eps * mass]))
    assert best is not None
    return best
