"""Quadratically regularised transport, and transport with a limit on the number of non-zeros of every column.

    min  <C, X> + gamma / 2 ||X||^2    over  X >= 0, X 1 = a, X^T 1 = b  [, at most k non-zeros in every column of X]

The quadratic keeps the plan sparse, where an entropy makes every entry positive (Blondel, Seguy and Rolet 2018). The
limit makes the problem combinatorial (Liu, Puigcerver and Blondel 2023). What can be maximised is its dual; with the
column potentials maximised out it is the *semi-dual*, concave in the row potentials f:

    q(f) = <a, f> + sum_j  min {gamma / 2 ||x||^2 - <f - C_j, x> : x >= 0, sum x = b_j [, k non-zeros]}

What is certain about the limited problem (derived here, with its convex relaxation):

* q is the same for ``||x||^2`` and for its convex hull over vectors of k non-zeros, the squared k-support norm of
  Argyriou, Foygel and Srebro (2012). So ``max q`` is the optimum of the *relaxation*, ``min <C, X> + gamma / 2 sum_j
  K(X_j)`` over all plans, and a lower bound on the limited problem.
* A plan within the limit has ``K(x) = ||x||^2``; if a plan that solves the relaxation is within it, it is optimal.
  Otherwise there may be a gap that no multiplier closes, and finding the best plan, even a plan, is combinatorial.
* There is none if ``n > k m``, or if a column's mass exceeds that of the k heaviest rows allowed to it. For columns of
  equal mass and k >= 2 there is one if ``n <= (k - 1) m + 1`` (`optlab.transport.quadratic.cardinality` searches for
  them).

A quadratic ``delta / 2 ||X||^2`` added to the relaxation (*smoothing*) makes q continuously differentiable, with
gradient ``a - X 1``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.core.threads import run_tasks
from optlab.core.validation import as_float_array, as_integer, as_number
from optlab.transport.balanced.plan import TransportPlan
from optlab.transport.balanced.warm_start import potentials_of_plan
from optlab.transport.costs import passes
from optlab.transport.costs.sparse import SparseCost, checked_sparse
from optlab.transport.kernels import quadratic_kernels
from optlab.transport.plans.marginals import TransportData, gap_advice
from optlab.transport.quadratic.cardinality import check_limit
from optlab.transport.quadratic.plan import QuadraticPlan


@dataclass(frozen=True, eq=False)
class SemiDualPoint:
    """Row potentials on the support of the marginals, and the smoothing delta at which they stand for a plan."""

    f: np.ndarray
    smoothing: float = 0.0


@dataclass(frozen=True, eq=False)
class SemiDual:
    """The semi-dual at a point: everything one pass over the cost gives.

    Attributes
    ----------
    value : float
        ``q(f)``, with smoothing that of the smoothed problem.
    terms : float
        Sum of the absolute values of the terms of `value`.
    g : ndarray, shape (m,)
        The best column potentials.
    row_sums : ndarray, shape (n,)
        Of the plan, whose column sums are b; ``a - row_sums`` is a (super)gradient.
    starts, rows, values, shared : ndarray or None
        The plan in compressed columns, if asked for, and which entries are shared (see the kernels).
    """

    value: float
    terms: float
    g: np.ndarray
    row_sums: np.ndarray
    starts: np.ndarray | None = None
    rows: np.ndarray | None = None
    values: np.ndarray | None = None
    shared: np.ndarray | None = None


class QuadraticOptimalTransport(TransportData):
    """Optimal transport with a quadratic regularization and, if asked for, a limit on the non-zeros of each column.

    For `optlab.transport.SemismoothNewton` (tight certificates in few iterations) and `optlab.transport.SemiDualLBFGS`.

    Parameters
    ----------
    a, b : array_like, shapes (n,) and (m,)
        Non-negative weights of equal sum (to 1e-6 relative; b is rescaled).
    cost : array_like (n, m), SciPy sparse array or `Cost`
        Of any sign; +inf or absence forbids a pair.
    regularization : float
        gamma > 0, in units of cost over mass: ``gamma / 2 sum X_ij^2`` is added to the cost.
    max_nonzeros : int, optional
        k: at most so many non-zeros in every column of the plan. (For rows, transpose the problem.)

    Attributes
    ----------
    primary_metric : str
        ``"relative_gap"``; with a limit ``"relative_relaxation_gap"``, since methods solve the convex relaxation then.
        Plans of the limited problem come from ``result.solution.limited()``.

    Raises
    ------
    ValueError, TypeError
        As in `OptimalTransport`.
    InfeasibleError
        If forbidden pairs cut mass off, or counting proves that no plan is within the limit.

    Examples
    --------
    >>> import numpy as np
    >>> import optlab
    >>> from optlab.transport import QuadraticOptimalTransport, SemismoothNewton
    >>> rng = np.random.default_rng(0)
    >>> a, b, cost = np.full(20, 0.05), np.full(30, 1 / 30), rng.random((20, 30))
    >>> result = optlab.solve(QuadraticOptimalTransport(a, b, cost, regularization=1.0), SemismoothNewton(), tol=1e-9)
    >>> result.success, result.solution.sparse().nnz < 0.2 * 600
    (True, True)

    At most two non-zeros in every column: the relaxation's optimum bounds the value of the plan found.

    >>> limited = QuadraticOptimalTransport(a, b, cost, regularization=1.0, max_nonzeros=2)
    >>> plan = optlab.solve(limited, SemismoothNewton(), tol=1e-6).solution.limited()
    >>> int(np.diff(plan.sparse().tocsc().indptr).max()), bool(plan.relative_gap < 0.2)
    (2, True)
    """

    def __init__(self, a: Any, b: Any, cost: Any, regularization: float = 1.0, max_nonzeros: int | None = None):
        self.regularization = as_number(regularization, "regularization", above=0.0)
        self.max_nonzeros = None if max_nonzeros is None else as_integer(max_nonzeros, "max_nonzeros", minimum=1)
        self._set_data(a, b, cost)
        n = self.rows.size
        # a limit of all rows is none
        self.limit = n if self.max_nonzeros is None else min(self.max_nonzeros, n)
        if self.is_limited:
            check_limit(self.active_cost, self.active_a, self.active_b, self.limit, self.rows, self.columns)

    @property
    def is_limited(self) -> bool:
        """Whether the limit can make a difference."""
        return self.limit < self.rows.size

    @property
    def primary_metric(self) -> str:
        """The metric that a bare tolerance refers to."""
        return "relative_relaxation_gap" if self.is_limited else "relative_gap"

    # ------------------------------------------------------------------ starts

    def default_start(self, rng: np.random.Generator | None = None) -> SemiDualPoint:
        """Return row potentials zero."""
        return SemiDualPoint(np.zeros(self.rows.size))

    def initial_point(self, x0: Any = None) -> SemiDualPoint:
        """Return the point of None, a point, a plan of this or another transport problem, potentials or an array.

        Parameters
        ----------
        x0 : None, SemiDualPoint, TransportPlan, (f, g), or an array of shape (n, m), dense or sparse
            Potentials are on the full index set; only f is used. A plan given as an array is used through the
            potentials that fit it.
        """
        if x0 is None:
            return self.default_start()
        if isinstance(x0, SemiDualPoint):
            if x0.f.shape != self.rows.shape or not np.all(np.isfinite(x0.f)):
                raise ValueError(f"x0 must have finite potentials for {self.rows.size} rows, got shape {x0.f.shape}")
            return SemiDualPoint(x0.f.copy(), x0.smoothing)
        if isinstance(x0, QuadraticPlan) and x0.point.f.shape == self.rows.shape:
            return x0.point
        if isinstance(x0, TransportPlan):
            x0 = x0.potentials
        if hasattr(x0, "tocsr") or getattr(x0, "ndim", 0) == 2:
            sparse = hasattr(x0, "tocsr")
            array = checked_sparse(x0, "x0") if sparse else as_float_array(x0, "x0", shape=self.shape, nonnegative=True)
            if array.shape != self.shape:
                raise ValueError(f"x0 must have shape {self.shape}, got {array.shape}")
            x0 = potentials_of_plan(array, self.cost)
        if isinstance(x0, (tuple, list)) and len(x0) == 2:
            f = as_float_array(x0[0], "x0[0]", shape=self.shape[:1], finite=False)[self.rows]
            as_float_array(x0[1], "x0[1]", shape=self.shape[1:], finite=False)
            finite = np.isfinite(f)
            if not np.any(finite):
                raise ValueError("x0[0] must be finite somewhere on the support of a, got no finite entry there")
            return SemiDualPoint(np.where(finite, f, f[finite].min()).astype(np.float64))
        raise TypeError(
            "x0 must be None, a SemiDualPoint, a TransportPlan, dual potentials (f, g) or an array of shape "
            f"{self.shape}, got {type(x0).__name__}"
        )

    # ------------------------------------------------------------------ the semi-dual

    def semidual(self, f: np.ndarray, smoothing: float = 0.0, entries: bool = False) -> SemiDual:
        """Return the semi-dual at f (on the support); with `entries` the plan too, in a second pass.

        Parameters
        ----------
        f : ndarray, shape (number of positive a,)
        smoothing : float
            delta >= 0.
        """
        m, n = self.columns.size, self.rows.size
        if not (type(f) is np.ndarray and f.shape == (n,)):
            f = as_float_array(f, "f", shape=(n,))
        f = np.ascontiguousarray(f, dtype=np.float64)
        smoothing = as_number(smoothing, "smoothing", minimum=0.0)
        g, terms, counts = np.empty(m), np.empty(m), np.zeros(m, dtype=np.int64)
        nothing = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0), np.empty(0, dtype=np.int8))
        row_sums = self._pass(f, smoothing, g, terms, counts, nothing)
        products = [*(self.active_a * f).tolist(), *terms.tolist()]
        value = math.fsum(products), math.fsum(map(abs, products))
        if not entries:
            return SemiDual(*value, g, row_sums)
        starts = np.concatenate([[0], np.cumsum(counts)])
        size = int(starts[-1])
        rows, values, kinds = np.empty(size, dtype=np.int64), np.empty(size), np.empty(size, dtype=np.int8)
        self._pass(f, smoothing, g, terms, counts, (starts[:-1], rows, values, kinds))
        assert n == row_sums.size
        return SemiDual(*value, g, row_sums, starts, rows, values, kinds == quadratic_kernels.SHARED)

    def _pass(self, f: np.ndarray, smoothing: float, g: Any, terms: Any, counts: Any, out: tuple[Any, ...]) -> Any:
        """Run the compiled pass over all columns, dealt out to threads; return the row sums."""
        m, n = self.columns.size, self.rows.size
        numbers = (self.regularization, float(smoothing), self.limit if self.is_limited else None)
        cost = self.active_cost
        if isinstance(cost, SparseCost):
            sums = np.zeros(n)
            columns = cost._columns
            quadratic_kernels.semidual_sparse(*columns, f, self.active_b, *numbers, g, terms, counts, sums, *out)
            return sums
        # the columns of the cost are the rows of its transpose; of an array in C order that is a view by columns
        transposed = cost.T
        data, tiled = transposed._data, transposed._flipped
        parts = max(1, min(passes.MAX_PARTS, (n * m) >> 16, m // 16))
        partial = np.zeros((parts, n))

        def task(part: int) -> Any:
            start, stop = part * m // parts, (part + 1) * m // parts
            arguments = (f, self.active_b, *numbers, start, stop, g, terms, counts, partial[part], *out)
            return lambda: quadratic_kernels.semidual(data, tiled, *arguments)

        run_tasks([task(part) for part in range(parts)])
        return partial.sum(axis=0)

    # ------------------------------------------------------------------ how good an iterate is

    def primal(self, point: SemiDualPoint) -> QuadraticPlan:
        """Return the plan of row potentials, with its certificate."""
        return QuadraticPlan(self, point)

    def plan(self, array: Any, potentials: tuple[Any, Any] | None = None) -> QuadraticPlan:
        """Return a matrix computed elsewhere as a plan of this problem, certified with the row potentials if given."""
        point = self.default_start() if potentials is None else self.initial_point(potentials)
        return QuadraticPlan(self, point, array=array)

    def hint(self, method: Any, state: Any, metrics: dict[str, float]) -> str | None:
        """Return advice for a run that has not converged."""
        return gap_advice(metrics, self.active_cost) or None

    def measure(self, iterate: Any) -> dict[str, float]:
        """Return the metrics of a `QuadraticPlan`, a `SemiDualPoint` or an array of shape (n, m).

        Returns
        -------
        dict
            ``cost``, ``marginal_error`` (L1, before rounding), ``dual_objective`` (a proven lower bound). Without a
            limit ``objective``, ``gap`` and ``relative_gap``. With one ``relaxed_objective``, ``relaxation_gap`` and
            ``relative_relaxation_gap``, which certify the relaxation, and ``columns_over_limit``: if that is 0,
            they certify the limited problem too.
        """
        if isinstance(iterate, SemiDualPoint):
            iterate = self.primal(iterate)
        plan = iterate if isinstance(iterate, QuadraticPlan) else self.plan(iterate)
        metrics = {
            "cost": plan.cost,
            "marginal_error": plan.marginal_error,
            "dual_objective": plan.dual_objective,
        }
        if not self.is_limited:
            return metrics | {"objective": plan.objective, "gap": plan.gap, "relative_gap": plan.relative_gap}
        return metrics | {
            "relaxed_objective": plan.relaxed_objective,
            "relaxation_gap": plan.relaxation_gap,
            "relative_relaxation_gap": plan.relative_relaxation_gap,
            "columns_over_limit": float(plan.columns_over_limit),
        }

    def __repr__(self) -> str:
        n, m = self.shape
        extra = "" if self.max_nonzeros is None else f", max_nonzeros={self.max_nonzeros}"
        return (
            f"QuadraticOptimalTransport({n} x {m}, cost={self.cost!r}, regularization={self.regularization:g}{extra})"
        )
