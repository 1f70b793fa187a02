"""The result object: a transport plan with exact marginals, dual potentials and a certificate, all computed
when asked for.

An iterate ``X = exp(row + column - kappa C)`` meets the marginals only in the limit. What a user asks for is
a plan, so everything here (`dense`, `sparse`, `apply`, `cost`, `gap`, ...) speaks of the *rounded* plan,
which meets them exactly; `cost` and `gap` therefore belong to the matrix that `dense` returns. The iterate
itself is at `raw`, and how far it was from the marginals is `marginal_error`.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from optlab.core.validation import as_float_array, as_number
from optlab.transport.plans.certificates import (
    ArrayEntries,
    DualBound,
    PotentialEntries,
    RoundedPlan,
    certified_gap,
    cost_terms,
    dual_bound,
    entropic_dual_bound,
    round_to_marginals,
)
from optlab.transport.plans.marginals import require_data
from optlab.transport.plans.matrix_like import MatrixLike
from optlab.transport.plans.potentials import MirrorPlan
from optlab.transport.plans.relative_gap import ROUNDING, relative_gap

if TYPE_CHECKING:
    from optlab.transport.balanced.problem import OptimalTransport


class TransportPlan(MatrixLike):
    """A transport plan in potential form (or given as an array), on the full index set, with its certificate.

    Nothing of size n x m is formed unless `dense` is called; everything is computed on first use and
    remembered.

    Parameters
    ----------
    problem : OptimalTransport
    mirror : MirrorPlan, optional
        The iterate on the support of the marginals (``problem.active_cost`` and so on).
    array : array_like or SciPy sparse array, shape (n, m), optional
        The iterate as a matrix, instead of `mirror`.
    row_candidates, column_candidates : sequence of ndarray
        Dual candidates f and g (on the support) beyond those the mirror point itself gives.

    Attributes
    ----------
    cost : float
        ``<C, X>`` of the rounded plan: never below the optimum.
    dual_objective : float
        Best proven lower bound (on the regularised objective if there is a regularization).
    objective : float
        What is minimised: `cost`, plus ``regularization * sum X (log X - 1)`` if there is one.
    gap : float
        ``objective - dual_objective``: bounds the distance to the optimum.
    relative_gap : float
        `gap` over the largest number that it proves to be at most the optimum (`optlab.transport.plans.relative_gap`).
    marginal_error : float
        ``||X 1 - a||_1 + ||X^T 1 - b||_1`` of the iterate before rounding.
    potentials : (ndarray, ndarray)
        Dual potentials (f, g), feasible on the full index set: ``f_i + g_j <= C_ij`` (without
        regularization).

    Examples
    --------
    >>> import numpy as np
    >>> from optlab.transport import OptimalTransport
    >>> problem = OptimalTransport([0.5, 0.5], [0.5, 0.5], [[0.0, 1.0], [1.0, 0.0]])
    >>> z = problem.initial_mirror(None)
    >>> for _ in range(20):
    ...     x = problem.resolvent_B(z, 1.0)
    ...     z = z + problem.resolvent_A(2 * x - z, 1.0) - x
    >>> plan = problem.primal(x)
    >>> round(plan.cost, 8), plan.gap < 1e-8, plan.dense().round(3).tolist()
    (0.0, True, [[0.5, 0.0], [0.0, 0.5]])
    """

    def __init__(
        self,
        problem: OptimalTransport,
        mirror: MirrorPlan | None = None,
        *,
        array: Any = None,
        row_candidates: Any = (),
        column_candidates: Any = (),
    ):
        require_data(problem)
        if not isinstance(mirror, MirrorPlan | None):
            raise TypeError(f"mirror must be a MirrorPlan, got {type(mirror).__name__}")
        if (mirror is None) == (array is None):
            raise TypeError("give either mirror or array, not both and not neither")
        self.problem = problem
        self.mirror = mirror
        self._outside = 0.0
        self._is_raw = False
        self._row_candidates = [np.asarray(f, dtype=np.float64) for f in row_candidates]
        self._column_candidates = [np.asarray(g, dtype=np.float64) for g in column_candidates]
        if mirror is not None:
            self._entries: Any = PotentialEntries(problem.active_cost, mirror)
            kappa = mirror.inverse_temperature
            if kappa > 0.0:
                self._row_candidates.append(mirror.row / kappa)
                self._column_candidates.append(mirror.column / kappa)
        else:
            self._entries = ArrayEntries(problem.active_cost, self._restrict(array))

    def _restrict(self, array: Any) -> Any:
        problem = self.problem
        if hasattr(array, "tocsr"):
            from optlab.transport.costs.sparse import checked_sparse

            array = checked_sparse(array, "array")
            if array.shape != problem.shape:
                raise ValueError(f"array must have shape {problem.shape}, got {array.shape}")
        else:
            array = as_float_array(array, "array", shape=problem.shape)
        if not problem.has_zeros and not problem.active_cost.has_forbidden:
            return array
        inside = array[problem.rows][:, problem.columns] if problem.has_zeros else array
        if problem.active_cost.has_forbidden:  # mass on forbidden pairs is left out, and counts as an error
            pattern = problem.active_cost.pattern
            inside = pattern.matrix(np.asarray(inside[pattern.rows, pattern.columns]).ravel())
        self._outside = max(float(abs(array).sum() - abs(inside).sum()), 0.0)
        return inside

    # ------------------------------------------------------------------ certificate

    @cached_property
    def _rounding(self) -> RoundedPlan:
        return round_to_marginals(self._entries, self.problem.active_a, self.problem.active_b)

    @cached_property
    def _dual(self) -> DualBound:
        problem = self.problem
        arguments = (problem.active_cost, problem.active_a, problem.active_b)
        candidates = (self._row_candidates, self._column_candidates)
        if problem.regularization > 0.0:
            return entropic_dual_bound(*arguments, problem.regularization, *candidates)
        return dual_bound(*arguments, *candidates)

    @cached_property
    def _entropic(self) -> tuple[float, float]:
        rounding = self._rounding
        return rounding.entries.entropic(rounding.left, rounding.right)

    @property
    def cost(self) -> float:
        if self._is_raw:
            return self._entries.moments()[2]
        return self._rounding.cost

    @property
    def dual_objective(self) -> float:
        return self._dual.value

    @property
    def objective(self) -> float:
        if self.problem.regularization == 0.0:
            return self._rounding.cost
        cost, entropy = self._entropic
        return cost + self._rounding.slack + self.problem.regularization * entropy

    @property
    def gap(self) -> float:
        return certified_gap(self.objective, self.dual_objective)

    @cached_property
    def relative_gap(self) -> float:
        """The gap over what is proven of the optimum.

        Without a regularization an optimum of zero is possible. It is taken for one where the bounds leave 0 between
        them and differ by less than a few units of rounding of the mass, at the cost's `Cost.fine_scale`, or
        of the plan's own terms ``<|C|, X>`` (which cancel in costs of both signs): marginals rounded otherwise would
        move the optimum as much.
        """
        problem, dual, eps = self.problem, self._dual, self.problem.regularization
        problem.check_units()
        entropy = abs(self._entropic[1]) + problem.mass if eps > 0.0 else 0.0
        return float(
            relative_gap(
                self.objective,
                dual.value,
                upper_terms=self._cost_terms + eps * entropy,
                lower_terms=dual.terms,
                unit=eps * problem.mass,
                negligible=self._negligible,
            )
        )

    @property
    def _cost_terms(self) -> float:
        rounding, dual = self._rounding, self._dual
        proven = dual.terms + abs(rounding.cost - dual.value)
        return cost_terms(rounding.cost, self.problem.active_cost, self.problem.mass, proven)

    def _negligible(self) -> float:
        cost, mass, rounding = self.problem.active_cost, self.problem.mass, self._rounding
        least = ROUNDING * mass * cost.fine_scale
        if cost.lowest >= 0.0 or self.gap > 64.0 * ROUNDING * mass * max(abs(cost.lowest), abs(cost.maximum)):
            return least
        return max(least, 16.0 * ROUNDING * rounding.entries.absolute_cost(rounding.left, rounding.right))

    @cached_property
    def marginal_error(self) -> float:
        rounding, problem = self._rounding, self.problem
        rows = np.abs(rounding.row_sums - problem.active_a)
        columns = np.abs(rounding.column_sums - problem.active_b)
        return math.fsum([*rows.tolist(), *columns.tolist(), 2.0 * self._outside])

    @cached_property
    def potentials(self) -> tuple[np.ndarray, np.ndarray]:
        problem, dual = self.problem, self._dual
        if not problem.has_zeros:
            return dual.f, dual.g
        # extend to points without mass: c-transforms over the whole cost keep feasibility and can only raise
        # f and g
        full = problem.cost
        if problem.regularization > 0.0:
            f, g = np.full(problem.shape[0], -np.inf), np.full(problem.shape[1], -np.inf)
            f[problem.rows], g[problem.columns] = dual.f, dual.g
            return f, g
        g = full.submatrix(problem.rows).minimum_columns(dual.f)
        g[problem.columns] = dual.g
        g[~np.isfinite(g)] = 0.0  # a column without an allowed pair: any potential is feasible
        f = full.minimum_rows(g)
        f[~np.isfinite(f)] = 0.0
        return f, g

    # ------------------------------------------------------------------ the matrix

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.problem.shape

    @property
    def raw(self) -> TransportPlan:
        """The iterate before rounding: same interface, marginals only approximate."""
        return self._twin(raw=True)

    def rounded(self) -> TransportPlan:
        """The plan with exact marginals (this object, unless it is `raw`)."""
        return self._twin(raw=False)

    def _twin(self, raw: bool) -> TransportPlan:
        if self._is_raw == raw:
            return self
        twin = object.__new__(TransportPlan)
        twin.__dict__.update(self.__dict__)
        twin._is_raw = raw
        return twin

    def _parts(self) -> tuple[Any, np.ndarray | None, np.ndarray | None]:
        if self._is_raw:
            return self._entries, None, None
        rounding = self._rounding
        if not np.any(rounding.left):
            return rounding.entries, None, None
        return rounding.entries, rounding.left, rounding.right

    def dense(self) -> np.ndarray:
        """Return the plan as an (n, m) float64 array."""
        entries, left, right = self._parts()
        inside = entries.dense()
        if left is not None and right is not None:
            inside += left[:, None] * right
        problem = self.problem
        if not problem.has_zeros:
            return inside
        out = np.zeros(problem.shape)
        out[np.ix_(problem.rows, problem.columns)] = inside
        return out

    def sparse(self, threshold: float | None = None) -> Any:
        """Return the entries above `threshold` as a SciPy CSR array, in memory of what is kept.

        Parameters
        ----------
        threshold : float, optional
            Default: 0 for a plan that came as a sparse array (the exact solvers'), otherwise 1e-9 of the mean entry.
        """
        from scipy.sparse import coo_array

        problem = self.problem
        entries, left, right = self._parts()
        if threshold is None:
            n, m = problem.active_cost.shape
            threshold = 0.0 if getattr(entries, "is_sparse", False) else 1e-9 * problem.mass / (n * m)
        threshold = as_number(threshold, "threshold", minimum=0.0)
        inside = entries.sparse(threshold, left, right)
        if not problem.has_zeros:
            return inside
        inside = inside.tocoo()
        rows, columns = problem.rows[inside.row], problem.columns[inside.col]
        return coo_array((inside.data, (rows, columns)), shape=problem.shape).tocsr()

    def apply(self, vector: Any) -> np.ndarray:
        """Return ``X v`` for v of shape (m,) or (m, p)."""
        return self._apply(vector, "vector", transpose=False)

    def apply_transpose(self, vector: Any) -> np.ndarray:
        """Return ``X^T u`` for u of shape (n,) or (n, p)."""
        return self._apply(vector, "vector", transpose=True)

    def _apply(self, vector: Any, name: str, transpose: bool) -> np.ndarray:
        problem = self.problem
        source, target = (problem.rows, problem.columns) if transpose else (problem.columns, problem.rows)
        n_source, n_target = problem.shape if transpose else problem.shape[::-1]
        vector = as_float_array(vector, name, ndim=(1, 2))
        if vector.shape[0] != n_source:
            raise ValueError(f"{name} must have {n_source} entries along its first axis, got shape {vector.shape}")
        v = vector[source] if problem.has_zeros else vector
        entries, left, right = self._parts()
        out = entries.apply_transpose(v) if transpose else entries.apply(v)
        if left is not None and right is not None:
            first, second = (right, left) if transpose else (left, right)
            out = out + (first * (second @ v) if v.ndim == 1 else first[:, None] * (second @ v))
        if not problem.has_zeros:
            return out
        full = np.zeros((n_target, *out.shape[1:]))
        full[target] = out
        return full

    @property
    def marginals(self) -> tuple[np.ndarray, np.ndarray]:
        """Row and column sums; for the rounded plan a and b up to roundoff."""
        n, m = self.shape
        return self.apply(np.ones(m)), self.apply_transpose(np.ones(n))

    def barycentric_map(self, points: Any = None) -> np.ndarray:
        """Return where each source point goes on average: ``(X y)_i / a_i``, shape (n, d).

        Parameters
        ----------
        points : array_like, shape (m, d) or (m,), optional
            Target points; default: those of the `PointCloudCost`. A source point without mass is sent to the
            target point that its dual potential selects at the least cost, ``argmin_j (C_ij - g_j)``.
        """
        problem = self.problem
        if points is None:
            points = getattr(problem.cost, "y", None)
            if points is None:
                raise ValueError("points must be given when the cost is not a PointCloudCost")
        points = as_float_array(points, "points", ndim=(1, 2))
        moved = self._apply(points, "points", transpose=False)
        weight = self.apply(np.ones(self.shape[1]))
        positive = weight > 0.0
        safe = np.where(positive, weight, 1.0)
        moved = moved / (safe if moved.ndim == 1 else safe[:, None])
        for i in np.flatnonzero(~positive):
            row = problem.cost.submatrix(slice(int(i), int(i) + 1)).dense()[0]
            g = np.full(self.shape[1], -np.inf)
            g[problem.columns] = self._dual.g
            moved[i] = points[int(np.argmin(row - g))]
        return moved

    # ------------------------------------------------------------------ reading

    def second_singular_value(self, tol: float = 1e-6, max_iter: int = 500) -> float:
        """Return sigma_2 of ``diag(a)^{-1/2} X diag(b)^{-1/2}`` by power iteration with the first pair
        deflated.

        It governs the local rates: ``sigma_2^2`` for Sinkhorn, ``sigma_2`` for Bregman Douglas-Rachford on
        the linear problem (derived here, verified numerically). Each iteration costs two passes.
        """
        problem = self.problem
        a, b = problem.active_a, problem.active_b
        entries = self._entries if self._is_raw else self._rounding.entries
        root_b = np.sqrt(b)
        top = root_b / np.linalg.norm(root_b)
        # deterministic start that is not orthogonal to anything in particular
        v = np.cos(1.0 + np.arange(b.size) * 2.399963) * root_b
        v -= top * (top @ v)
        norm = float(np.linalg.norm(v))
        if b.size == 1 or a.size == 1 or norm == 0.0:
            return 0.0
        v /= norm
        sigma = 0.0
        for _ in range(max_iter):
            w = entries.apply_transpose(entries.apply(v / root_b) / a) / root_b
            w -= top * (top @ w)
            norm = float(np.linalg.norm(w))
            if norm == 0.0:
                return 0.0
            before, sigma = sigma, math.sqrt(norm)
            v = w / norm
            if abs(sigma - before) <= tol * sigma:
                break
        return min(sigma, 1.0)

    def __repr__(self) -> str:
        n, m = self.shape
        kind = "TransportPlan.raw" if self._is_raw else "TransportPlan"
        return (
            f"{kind}({n} x {m}, cost={self.cost:.6g}, relative_gap={self.relative_gap:.3g}, "
            f"marginal_error={self.marginal_error:.3g})"
        )
