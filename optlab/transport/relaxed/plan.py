"""Transport that need not move everything: what penalised marginals and a prescribed moved mass have in common.

    unbalanced   <C, X> + eps sum X (log X - 1) + D_a(X 1) + D_b(X^T 1)        over X >= 0
    partial      <C, X> + eps sum X (log X - 1)   over X >= 0, X 1 <= a, X^T 1 <= b, sum X = mass

with ``D_a(p) = tau sum (p log(p / a) - p + a)`` (Kullback-Leibler) or ``tau sum |p - a|`` (total variation), and any
eps >= 0. Everything is in potentials, ``log X_ij = F_i + G_j - kappa C_ij``, so that memory is O(n + m) besides the
cost. The row and the column step are exact, in closed form (Chizat, Peyre, Schmitzer and Vialard 2018): with
``s = log(a) - log(sums)``, a potential moves by ``s tau' / (1 + tau')`` or by s cut at ``+-tau'``; for partial
transport sums become ``min(a, theta sums)`` with theta such that they add up to the mass (Benamou et al. 2015 use
Dykstra's iteration there). These two steps are the Bregman resolvents of `BregmanDouglasRachford`, and the half-steps
of `GeneralizedSinkhorn` for eps > 0, after which the Kullback-Leibler case also balances the constant that may go from
one potential to the other (Sejourne, Vialard and Peyre 2022).

Certificates: the plan is feasible, or is made so; a lower bound comes from feasible potentials. For eps = 0 these are
c-transforms; the constant (Kullback-Leibler) or the price of mass (partial) that is best for them has a closed form,
derived here.

The two problems are in `optlab.transport.relaxed.unbalanced` and `optlab.transport.relaxed.partial`. Not here:
forbidden pairs in partial transport, divergences that differ between the two sides.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from optlab.core.errors import DomainError
from optlab.core.validation import as_float_array, as_number
from optlab.splitting.schedules import Geometric
from optlab.transport.costs.base import Cost, warn_of_spread
from optlab.transport.costs.convert import as_cost
from optlab.transport.plans.certificates import DualBound, PotentialEntries, certified_gap, cost_terms, exact_dot
from optlab.transport.plans.marginals import gap_advice, uniform_if_none
from optlab.transport.plans.matrix_like import MatrixLike
from optlab.transport.plans.potentials import MirrorPlan
from optlab.transport.plans.relative_gap import ROUNDING, relative_gap


class RelaxedPlan(MatrixLike):
    """A plan of an unbalanced or partial problem, in potentials, with its certificate; computed when asked for.

    Parameters
    ----------
    problem : UnbalancedOptimalTransport or PartialOptimalTransport
    mirror : MirrorPlan
    row_candidates : sequence of ndarray
        Dual candidates for f beyond the mirror point's own.

    Attributes
    ----------
    cost, mass : float
        ``<C, X>`` and ``sum X``.
    objective, dual_objective : float
        Of this plan, and a proven lower bound on the optimum.
    gap, relative_gap : float
        Their difference; that over what it proves of the optimum (`optlab.transport.plans.relative_gap`).
    potentials : (ndarray, ndarray)
        The f and g that prove the bound (for partial transport, the price of mass is in `mass_price`); -inf at points
        that were left out for want of weight.
    marginals : (ndarray, ndarray)
        Row and column sums.
    """

    def __init__(self, problem: Any, mirror: MirrorPlan, row_candidates: Any = ()):
        if not isinstance(problem, RelaxedTransport) or not isinstance(mirror, MirrorPlan):
            raise TypeError(
                "problem and mirror must be an UnbalancedOptimalTransport or PartialOptimalTransport and a MirrorPlan, "
                f"got {type(problem).__name__} and {type(mirror).__name__}"
            )
        self.problem, self.mirror = problem, mirror
        self._row_candidates = list(row_candidates)

    @cached_property
    def _finished(self) -> tuple[PotentialEntries, np.ndarray, np.ndarray]:
        """The entries, and a rank-one term that makes a partial plan feasible."""
        return self.problem.finish(PotentialEntries(self.problem.active_cost, self.mirror))

    @cached_property
    def _moments(self) -> tuple[np.ndarray, np.ndarray, float]:
        return moments_of(*self._finished)

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.problem.shape

    @property
    def marginals(self) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[override]
        return self._spread(self._moments[0], 0), self._spread(self._moments[1], 1)

    def _spread(self, values: np.ndarray, side: int, fill: float = 0.0) -> np.ndarray:
        """Return values on the support as values on all rows (side 0) or columns (side 1)."""
        if not self.problem.has_zeros:
            return values
        out = np.full((self.shape[side], *values.shape[1:]), fill)
        out[(self.problem.rows, self.problem.columns)[side]] = values
        return out

    @property
    def mass(self) -> float:
        return math.fsum(self._moments[0].tolist())

    @property
    def cost(self) -> float:
        return self._moments[2]

    @cached_property
    def _entropy(self) -> float:
        entries, left, right = self._finished
        return entries.entropic(left, right)[1] if self.problem.regularization > 0.0 else 0.0

    @cached_property
    def objective(self) -> float:
        rows, columns, cost = self._moments
        penalty = float(self.problem.penalty_value(rows, columns))
        return cost + penalty + self.problem.regularization * self._entropy

    @cached_property
    def _dual(self) -> tuple[DualBound, float]:
        kappa = self.mirror.inverse_temperature
        candidates = [*self._row_candidates, *self.problem.marginal_prices(*self._moments[:2])]
        if kappa > 0.0:
            candidates.append(self.mirror.row / kappa)
        if not candidates:
            candidates.append(np.zeros_like(self.mirror.row))
        clean = [np.where(np.isfinite(f), f, 0.0) for f in candidates]
        bounds = [self.problem.dual_bound(f) for f in clean]
        if self.problem.regularization == 0.0:
            bounds.append(self.problem.lowest_bound())
        return max(bounds, key=lambda bound: bound[0].proven)

    @property
    def dual_objective(self) -> float:
        return self._dual[0].value

    @property
    def potentials(self) -> tuple[np.ndarray, np.ndarray]:
        bound = self._dual[0]
        return self._spread(bound.f, 0, -np.inf), self._spread(bound.g, 1, -np.inf)

    @property
    def mass_price(self) -> float:
        """The multiplier of the mass in partial transport; 0 for unbalanced."""
        return self._dual[1]

    @property
    def gap(self) -> float:
        return certified_gap(self.objective, self.dual_objective)

    @cached_property
    def relative_gap(self) -> float:
        """The gap over what is proven of the optimum; for one of zero as in `TransportPlan.relative_gap`."""
        problem, bound, eps = self.problem, self._dual[0], self.problem.regularization
        rows, columns, cost = self._moments
        terms = cost_terms(cost, problem.active_cost, self.mass, bound.terms + self.gap)
        terms += problem.penalty_terms(rows, columns) + eps * (abs(self._entropy) + self.mass)
        return float(
            relative_gap(
                self.objective,
                bound.value,
                upper_terms=terms,
                lower_terms=bound.terms,
                unit=eps * self.mass,
                negligible=lambda: ROUNDING * problem.negligible_value(),
            )
        )

    def dense(self) -> np.ndarray:  # type: ignore[override]
        """Return the plan as an (n, m) array."""
        entries, left, right = self._finished
        inside = entries.dense() + left[:, None] * right
        if not self.problem.has_zeros:
            return inside
        out = np.zeros(self.shape)
        out[np.ix_(self.problem.rows, self.problem.columns)] = inside
        return out

    def sparse(self, threshold: float | None = None) -> Any:
        """Return the entries above `threshold` (default: 1e-9 of the mean entry) as a SciPy CSR array."""
        from scipy.sparse import coo_array

        problem = self.problem
        entries, left, right = self._finished
        if threshold is None:
            threshold = 1e-9 * self.mass / math.prod(problem.shape)
        inside = entries.sparse(as_number(threshold, "threshold", minimum=0.0), left, right)
        if not problem.has_zeros:
            return inside
        inside = inside.tocoo()
        rows, columns = problem.rows[inside.row], problem.columns[inside.col]
        return coo_array((inside.data, (rows, columns)), shape=problem.shape).tocsr()

    def apply(self, vector: Any) -> np.ndarray:  # type: ignore[override]
        """Return ``X v`` for v of shape (m,) or (m, p)."""
        entries, left, right = self._finished
        v = self._vector(vector, 1)
        return self._spread(np.asarray(entries.apply(v) + np.multiply.outer(left, right @ v)), 0)

    def apply_transpose(self, vector: Any) -> np.ndarray:  # type: ignore[override]
        """Return ``X^T u`` for u of shape (n,) or (n, p)."""
        entries, left, right = self._finished
        u = self._vector(vector, 0)
        return self._spread(np.asarray(entries.apply_transpose(u) + np.multiply.outer(right, left @ u)), 1)

    def _vector(self, vector: Any, side: int) -> np.ndarray:
        v = as_float_array(vector, "vector", ndim=(1, 2))
        if v.shape[0] != self.shape[side]:
            raise ValueError(f"vector must have {self.shape[side]} entries along its first axis, got shape {v.shape}")
        v = np.asarray(v, dtype=np.float64)
        return v[(self.problem.rows, self.problem.columns)[side]] if self.problem.has_zeros else v

    def __repr__(self) -> str:
        n, m = self.problem.shape
        return (
            f"RelaxedPlan({n} x {m}, mass={self.mass:.6g}, cost={self.cost:.6g}, relative_gap={self.relative_gap:.3g})"
        )


def moments_of(entries: PotentialEntries, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return row sums, column sums and cost of ``entries + left right^T``."""
    rows, columns, cost = entries.moments()
    if np.any(left):
        rows, columns = rows + left * right.sum(), columns + right * left.sum()
        cost += exact_dot(left, entries.cost.product(right))
    return rows, columns, cost


class RelaxedTransport:
    """What unbalanced and partial transport share: data, starts, resolvents, metrics."""

    primary_metric: ClassVar[str] = "relative_gap"

    def __init__(self, a: Any, b: Any, cost: Any, regularization: float):
        self.cost: Cost = as_cost(cost)
        a, b = uniform_if_none(a, b, self.cost.shape)
        self.a = np.array(as_float_array(a, "a", ndim=1, nonnegative=True), dtype=np.float64)
        self.b = np.array(as_float_array(b, "b", ndim=1, nonnegative=True), dtype=np.float64)
        self.regularization = as_number(regularization, "regularization", minimum=0.0)
        self.shape = (self.a.size, self.b.size)
        if self.cost.shape != self.shape:
            raise ValueError(f"cost must have shape {self.shape} (size of a, size of b), got {self.cost.shape}")
        with np.errstate(over="ignore"):
            self._masses = float(self.a.sum()), float(self.b.sum())
        for name, mass in zip("ab", self._masses):
            if not 0.0 < mass < math.inf:
                raise ValueError(f"{name} must have a positive finite sum, got {mass:g}")
        self._keep(self.a > 0.0, self.b > 0.0)
        warn_of_spread(self.active_cost)

    def _keep(self, rows: np.ndarray, columns: np.ndarray) -> None:
        """Leave out rows and columns on which there can be no mass."""
        self.rows, self.columns = np.flatnonzero(rows), np.flatnonzero(columns)
        self.has_zeros = not (np.all(rows) and np.all(columns))
        self.active_a, self.active_b = self.a[self.rows], self.b[self.columns]
        self.active_cost = self.cost
        if self.has_zeros:
            self.active_cost = self.cost.submatrix(
                None if np.all(rows) else self.rows, None if np.all(columns) else self.columns
            )
        with np.errstate(divide="ignore"):  # total variation lets mass go where there is no weight
            self.log_a, self.log_b = np.log(self.active_a), np.log(self.active_b)

    # ------------------------------------------------------------------ to be given

    def _row_step(self, sums: np.ndarray, strength: float) -> np.ndarray:
        """Return by how much the row potentials move, from the logarithms of the row sums."""
        raise NotImplementedError

    def _column_step(self, sums: np.ndarray, strength: float) -> np.ndarray:
        raise NotImplementedError

    # ------------------------------------------------------------------ problem

    def marginal_prices(self, rows: np.ndarray, columns: np.ndarray) -> list[np.ndarray]:
        """Return further dual candidates for f: what the penalties charge at the sums of a plan."""
        return []

    def dual_bound(self, f: np.ndarray) -> tuple[DualBound, float]:
        """Return the best lower bound found from f, with the potentials that prove it, and the price of mass."""
        raise NotImplementedError

    def lowest_bound(self) -> tuple[DualBound, float]:
        """Return the bound of constant potentials (regularization = 0), which has no rounding where costs are >= 0."""
        raise NotImplementedError

    def penalty_value(self, rows: np.ndarray, columns: np.ndarray) -> float:
        """Return what the marginals' deviation costs."""
        raise NotImplementedError

    def penalty_terms(self, rows: np.ndarray, columns: np.ndarray) -> float:
        """Return the sum of the absolute values of the terms of which `penalty_value` is made."""
        return 0.0

    def negligible_value(self) -> float:
        """Return what all mass costs on a fine scale."""
        return min(self._masses) * self.active_cost.fine_scale

    # ------------------------------------------------------------------ as a splitting problem

    @cached_property
    def _range(self) -> float:
        return (
            self.active_cost.range
            if self.active_cost.range > 1e-13 * abs(self.active_cost.maximum)
            else self.active_cost.scale
        )

    @property
    def default_step_size(self) -> float:
        """``1 / regularization``, or 10 / range of the cost without one."""
        return 1.0 / self.regularization if self.regularization > 0.0 else 10.0 / self._range

    @property
    def default_schedule(self) -> Any:
        """Constant with a regularization; otherwise growth by 0.7 % an iteration from 5 to 30 over the cost's range."""
        if self.regularization > 0.0:
            return self.default_step_size
        return Geometric(5.0 / self._range, 1.007, 30.0 / self._range)

    def default_start(self, rng: np.random.Generator | None = None) -> MirrorPlan:
        """Return the mirror point of ``a b^T`` over the geometric mean of the masses; cooled to 1 / regularization."""
        eps = self.regularization
        shift = 0.5 * (math.log(self._masses[0]) + math.log(self._masses[1]))
        row, column = (np.where(np.isfinite(v), v, -40.0 + np.max(v)) for v in (self.log_a, self.log_b))
        if eps > 1e-4 * self._range:
            return MirrorPlan(row, column - shift + self.active_cost.minimum / eps, 1.0 / eps)
        return MirrorPlan(row, column - shift, 0.0)

    def initial_mirror(self, x0: Any = None) -> MirrorPlan:
        """Return the mirror point of None, a mirror point, an earlier plan, or potentials (f, g)."""
        if x0 is None:
            return self.default_start()
        if isinstance(x0, RelaxedPlan):
            x0 = x0.mirror
        if isinstance(x0, (tuple, list)) and len(x0) == 2:
            f = as_float_array(x0[0], "x0[0]", shape=self.shape[:1], finite=False)[self.rows]
            g = as_float_array(x0[1], "x0[1]", shape=self.shape[1:], finite=False)[self.columns]
            for name, values in (("x0[0]", f), ("x0[1]", g)):
                if not np.all(np.isfinite(values)):
                    raise ValueError(f"{name} must be finite where the weight is positive")
            kappa = 1.0 / self.regularization if self.regularization > 0.0 else 100.0 / self._range
            return MirrorPlan(kappa * f, kappa * g, kappa)
        if not isinstance(x0, MirrorPlan):
            raise TypeError(
                f"x0 must be None, a MirrorPlan, a RelaxedPlan or potentials (f, g), got {type(x0).__name__}"
            )
        if x0.shape == self.shape and self.has_zeros:
            x0 = x0.restricted(self.rows, self.columns)
        if x0.shape != self.active_cost.shape:
            raise ValueError(f"x0 must have potentials for a plan of shape {self.shape}, got {x0.shape}")
        return x0.copy()

    def check_mirror(self, mirror: MirrorPlan) -> None:
        """Raise `DomainError` if potentials overflowed."""
        if not math.isfinite(float(mirror.row.sum() + mirror.column.sum()) + mirror.inverse_temperature):
            raise DomainError("the potentials are no longer finite; use a smaller step size")

    def resolvent_B(self, mirror: MirrorPlan, step_size: float) -> MirrorPlan:
        """Resolvent of what is asked of the rows."""
        kappa = mirror.inverse_temperature
        sums = mirror.row + self.active_cost.logsumexp_rows(mirror.column, kappa)
        return MirrorPlan(mirror.row + self._row_step(sums, step_size), mirror.column, kappa)

    def resolvent_A(self, mirror: MirrorPlan, step_size: float) -> MirrorPlan:
        """Resolvent of the cost, the regularization and what is asked of the columns."""
        damping = 1.0 / (1.0 + step_size * self.regularization)
        kappa = damping * (mirror.inverse_temperature + step_size)
        row, column = damping * mirror.row, damping * mirror.column
        sums = column + self.active_cost.logsumexp_columns(row, kappa)
        return MirrorPlan(row, column + self._column_step(sums, damping * step_size), kappa)

    def sweep(self, mirror: MirrorPlan) -> MirrorPlan:
        """Return the mirror point after one exact row step and one exact column step (regularization > 0)."""
        eps = self.regularization
        kappa = 1.0 / eps
        row = self._row_step(self.active_cost.logsumexp_rows(mirror.column, kappa), kappa)
        column = self._column_step(self.active_cost.logsumexp_columns(row, kappa), kappa)
        shift = self._translation(eps * row, eps * column) / eps
        return MirrorPlan(row + shift, column - shift, kappa)

    def _translation(self, f: np.ndarray, g: np.ndarray) -> float:
        return 0.0

    def primal(self, mirror: MirrorPlan, drift: MirrorPlan | None = None) -> RelaxedPlan:
        """Return the plan of a mirror point; `drift` gives a further dual candidate."""
        rows = []
        if drift is not None and drift.inverse_temperature > 0.1 * self.regularization * mirror.inverse_temperature**2:
            rows.append(drift.row / drift.inverse_temperature)
        return RelaxedPlan(self, mirror, rows)

    def hint(self, method: Any, state: Any, metrics: dict[str, float]) -> str | None:
        """Return advice for a run that has not converged."""
        return gap_advice(metrics, self.active_cost) or None

    def measure(self, iterate: Any) -> dict[str, float]:
        """Return objective, dual_objective, gap, relative_gap, cost and mass of a `RelaxedPlan` or a mirror point."""
        plan = self.primal(iterate) if isinstance(iterate, MirrorPlan) else iterate
        if not isinstance(plan, RelaxedPlan):
            raise TypeError(f"iterate must be a RelaxedPlan or a MirrorPlan, got {type(iterate).__name__}")
        return {
            "objective": plan.objective,
            "dual_objective": plan.dual_objective,
            "gap": plan.gap,
            "relative_gap": plan.relative_gap,
            "cost": plan.cost,
            "mass": plan.mass,
        }

    def finish(self, entries: PotentialEntries) -> tuple[PotentialEntries, np.ndarray, np.ndarray]:
        """Return the entries and a rank-one term that together are feasible."""
        return entries, np.zeros(self.active_cost.shape[0]), np.zeros(self.active_cost.shape[1])
