"""Plans of quadratically regularised transport: sparse, with exact marginals, and with their certificates.

The plan of row potentials has exact column sums. To make the row sums exact as well, rows above their weight are scaled
down, and what rows and columns then lack is sent by the north-west-corner rule, over at most as many pairs as there are
such rows and columns: the rounding of Altschuler, Weed and Rigollet (2017) with a sparse correction instead of one of
rank one. Memory is that of the plan's positive entries; they are few unless the regularization is large.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from optlab.core.validation import as_float_array
from optlab.transport.balanced.plan import TransportPlan
from optlab.transport.costs.base import Cost
from optlab.transport.kernels import forest_kernels, quadratic_kernels
from optlab.transport.plans.certificates import ArrayEntries, DualBound, RoundedPlan, _round_on_allowed, exact_dot
from optlab.transport.plans.relative_gap import relative_gap

if TYPE_CHECKING:
    from optlab.transport.quadratic.problem import QuadraticOptimalTransport, SemiDualPoint

_ROUNDOFF = 1e-14  # relative to the mass: less is not worth a further entry


class SparseEntries(ArrayEntries):
    """A sparse plan (CSC) and the costs of its entries."""

    def __init__(self, cost: Cost, array: Any):
        super().__init__(cost, array)
        self.array = self.array.tocsc()
        self.array.sum_duplicates()
        self.array.eliminate_zeros()

    @cached_property
    def costs(self) -> np.ndarray:
        columns = np.repeat(np.arange(self.array.shape[1]), np.diff(self.array.indptr))
        return self.cost.pair_costs(self.array.indices, columns)

    def moments(self) -> tuple[np.ndarray, np.ndarray, float]:
        rows, columns = (np.asarray(self.array.sum(axis=k), dtype=np.float64).ravel() for k in (1, 0))
        return rows, columns, exact_dot(self.costs, self.array.data)

    def scaled(self, alpha: np.ndarray, beta: np.ndarray) -> SparseEntries:
        from scipy.sparse import diags_array

        return SparseEntries(self.cost, diags_array(alpha) @ self.array @ diags_array(beta))

    def sparse(self, threshold: float, left: Any = None, right: Any = None) -> Any:
        array = self.array.copy()
        array.data[array.data <= threshold] = 0.0
        array.eliminate_zeros()
        return array.tocsr()


def round_sparse(entries: SparseEntries, a: np.ndarray, b: np.ndarray) -> RoundedPlan:
    """Round a sparse plan to the marginals a and b, adding few entries."""
    from scipy.sparse import coo_array

    rows, columns, cost = entries.moments()
    raw = rows, columns
    nothing = np.zeros_like(a), np.zeros_like(b)
    current = entries
    with np.errstate(divide="ignore", invalid="ignore"):
        if np.any(rows > a):
            current = current.scaled(np.where(rows > a, a / rows, 1.0), np.ones_like(b))
            rows, columns, cost = current.moments()
        if np.any(columns > b):
            current = current.scaled(np.ones_like(a), np.where(columns > b, b / columns, 1.0))
            rows, columns, cost = current.moments()
    lack_a, lack_b = np.maximum(a - rows, 0.0), np.maximum(b - columns, 0.0)
    missing = math.fsum(lack_a.tolist())
    if missing <= _ROUNDOFF * float(a.sum()) or not np.any(lack_b):
        return RoundedPlan(current, *nothing, cost, *raw)
    if entries.cost.has_forbidden:
        rounded = _round_on_allowed(entries, a, b, raw)
        current = SparseEntries(entries.cost, rounded.entries.array)
        return RoundedPlan(current, *nothing, current.moments()[2], *raw)
    some_a, some_b = np.flatnonzero(lack_a), np.flatnonzero(lack_b)
    lack_b = lack_b * (missing / float(lack_b.sum()))
    i, j, x = forest_kernels.northwest_corner(lack_a, lack_b, some_a, some_b)
    added = coo_array((x, (i, j)), shape=current.array.shape).tocsc()
    current = SparseEntries(entries.cost, current.array + added)
    return RoundedPlan(current, *nothing, current.moments()[2], *raw)


class QuadraticPlan(TransportPlan):
    """A sparse plan of a `QuadraticOptimalTransport`, with exact marginals and its certificate.

    Everything a `TransportPlan` offers; `sparse` is the plan itself.

    Attributes
    ----------
    objective : float
        ``<C, X> + gamma / 2 ||X||^2`` of the rounded plan.
    dual_objective : float
        The semi-dual at the potentials: a lower bound on the optimum, also of the limited problem.
    gap, relative_gap : float
        ``objective - dual_objective``, and that over what it proves of the optimum
        (`optlab.transport.plans.relative_gap`); inf if columns are over the limit, since such a plan bounds nothing.
    relaxed_objective, relaxation_gap, relative_relaxation_gap : float
        The same with the squared k-support norm of columns instead of ``||X||^2``: the certificate of the convex
        relaxation. Without a limit no different.
    columns_over_limit : int
        Columns with more than k non-zeros.
    potentials : (ndarray, ndarray)
        The f and g that prove `dual_objective`, on the full index set.
    """

    problem: Any

    def __init__(self, problem: QuadraticOptimalTransport, point: SemiDualPoint, *, array: Any = None):
        from scipy.sparse import csc_array, csr_array

        if not hasattr(problem, "semidual"):
            raise TypeError(f"problem must be a QuadraticOptimalTransport, got {type(problem).__name__}")
        point = problem.initial_point(point)
        any_problem: Any = problem  # it has what a plan asks an OptimalTransport for
        if array is None:
            found = problem.semidual(point.f, point.smoothing, entries=True)
            inside = csc_array((found.values, found.rows, found.starts), shape=problem.active_cost.shape)
            super().__init__(any_problem, array=csr_array(problem.shape))
        else:
            if not hasattr(array, "tocsr"):
                array = csr_array(as_float_array(array, "array", shape=problem.shape))
            super().__init__(any_problem, array=array)
            inside = self._entries.array
        self._entries = SparseEntries(problem.active_cost, inside)
        self.point = point

    @cached_property
    def _rounding(self) -> RoundedPlan:
        return round_sparse(self._entries, self.problem.active_a, self.problem.active_b)

    @cached_property
    def _dual(self) -> DualBound:
        found = self.problem.semidual(self.point.f)
        return DualBound(self.point.f, found.g, found.value, found.terms)

    @property
    def _columns(self) -> Any:
        return (self._entries if self._is_raw else self._rounding.entries).array

    @cached_property
    def objective(self) -> float:  # type: ignore[override]
        data = self._rounding.entries.array.data
        return self._rounding.cost + 0.5 * self.problem.regularization * exact_dot(data, data)

    @cached_property
    def relaxed_objective(self) -> float:
        if not self.problem.is_limited:
            return self.objective
        array, limit = self._rounding.entries.array, self.problem.limit
        squares = np.empty(array.shape[1])
        quadratic_kernels.k_support_squares(array.indptr.astype(np.int64), array.data, limit, squares)
        return self._rounding.cost + 0.5 * self.problem.regularization * math.fsum(squares.tolist())

    @property
    def columns_over_limit(self) -> int:
        counts = np.diff(self._columns.indptr)
        return int(np.count_nonzero(counts > self.problem.limit))

    @property
    def gap(self) -> float:
        counts = np.diff(self._rounding.entries.array.indptr)
        if np.any(counts > self.problem.limit):
            return math.inf
        return max(self.objective - self.dual_objective, 0.0)

    @cached_property
    def relative_gap(self) -> float:  # type: ignore[override]
        return self._relative(self.objective) if self.gap < math.inf else math.inf

    @property
    def relaxation_gap(self) -> float:
        return max(self.relaxed_objective - self.dual_objective, 0.0)

    @property
    def relative_relaxation_gap(self) -> float:
        return self._relative(self.relaxed_objective)

    def _relative(self, objective: float) -> float:
        self.problem.check_units()
        square = max(objective - self._rounding.cost, 0.0)
        # with a limit the objective is not strongly convex
        unit = 0.0 if self.problem.is_limited else square
        terms = self._cost_terms + square
        dual = self._dual
        return float(relative_gap(objective, dual.value, upper_terms=terms, lower_terms=dual.terms, unit=unit))

    @cached_property
    def potentials(self) -> tuple[np.ndarray, np.ndarray]:
        problem, dual = self.problem, self._dual
        if not problem.has_zeros:
            return dual.f, dual.g
        # points without mass take none at prices up to their c-transforms
        full = problem.cost
        g = full.submatrix(problem.rows).minimum_columns(dual.f)
        g[problem.columns] = dual.g
        g[~np.isfinite(g)] = 0.0
        f = full.minimum_rows(g)
        f[~np.isfinite(f)] = 0.0
        f[problem.rows] = dual.f
        return f, g

    def sparse(self, threshold: float | None = None) -> Any:
        """Return the plan as a SciPy CSR array; entries at most `threshold` (default 0) are left out."""
        return super().sparse(0.0 if threshold is None else threshold)

    def limited(self) -> QuadraticPlan | None:
        """Return a plan within the limit and with exact marginals, as good as was found, with this plan's dual bound.

        None if none was found, which proves nothing: see `optlab.transport.quadratic.cardinality`.
        """
        from optlab.transport.quadratic.cardinality import limited_plan

        return limited_plan(self)

    def __repr__(self) -> str:
        n, m = self.shape
        kind = "QuadraticPlan.raw" if self._is_raw else "QuadraticPlan"
        over = f", columns_over_limit={self.columns_over_limit}" if self.problem.is_limited else ""
        return (
            f"{kind}({n} x {m}, nnz={self._columns.nnz}, cost={self.cost:.6g}, "
            f"relative_relaxation_gap={self.relative_relaxation_gap:.3g}{over})"
        )
