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

The two problems are in `optlab.transport.unbalanced` and `optlab.transport.partial`. Not here: forbidden pairs in
partial transport, divergences that differ between the two sides.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from optlab.core.errors import DomainError
from optlab.core.validation import as_float_array, as_number
from optlab.splitting.schedules import Geometric
from optlab.transport.certificates import PotentialEntries, certified_gap, exact_dot
from optlab.transport.costs import Cost, as_cost
from optlab.transport.potentials import MirrorPlan


class RelaxedPlan:
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
        Their difference; that over the larger of the two, or of ``1e-6 mass cost scale``.
    potentials : (ndarray, ndarray)
        The f and g that prove the bound (for partial transport, the price of mass is in `mass_price`).
    marginals : (ndarray, ndarray)
        Row and column sums.
    """

    def __init__(self, problem: Any, mirror: MirrorPlan, row_candidates: Any = ()):
        self.problem, self.mirror = problem, mirror
        self._row_candidates = list(row_candidates)

    @cached_property
    def _finished(self) -> tuple[PotentialEntries, np.ndarray, np.ndarray]:
        """The entries, and a rank-one term that makes a partial plan feasible."""
        return self.problem.finish(PotentialEntries(self.problem.cost, self.mirror))

    @cached_property
    def _moments(self) -> tuple[np.ndarray, np.ndarray, float]:
        entries, left, right = self._finished
        rows, columns, cost = entries.moments()
        if np.any(left):
            rows, columns = rows + left * right.sum(), columns + right * left.sum()
            cost += exact_dot(left, self.problem.cost.product(right))
        return rows, columns, cost

    @property
    def marginals(self) -> tuple[np.ndarray, np.ndarray]:
        return self._moments[0], self._moments[1]

    @property
    def mass(self) -> float:
        return math.fsum(self._moments[0].tolist())

    @property
    def cost(self) -> float:
        return self._moments[2]

    @cached_property
    def objective(self) -> float:
        rows, columns, cost = self._moments
        value = cost + float(self.problem.penalty_value(rows, columns))
        eps = self.problem.regularization
        if eps > 0.0:
            value += eps * self._finished[0].entropic(self._finished[1], self._finished[2])[1]
        return value

    @cached_property
    def _dual(self) -> tuple[float, np.ndarray, np.ndarray, float]:
        kappa = self.mirror.inverse_temperature
        candidates = [*self._row_candidates]
        if kappa > 0.0:
            candidates.append(self.mirror.row / kappa)
        if not candidates:
            candidates.append(np.zeros_like(self.mirror.row))
        clean = [np.where(np.isfinite(f), f, 0.0) for f in candidates]
        return max((self.problem.dual_bound(f) for f in clean), key=lambda bound: bound[0])

    @property
    def dual_objective(self) -> float:
        return self._dual[0]

    @property
    def potentials(self) -> tuple[np.ndarray, np.ndarray]:
        return self._dual[1], self._dual[2]

    @property
    def mass_price(self) -> float:
        """The multiplier of the mass in partial transport; 0 for unbalanced."""
        return self._dual[3]

    @property
    def gap(self) -> float:
        return certified_gap(self.objective, self.dual_objective)

    @property
    def relative_gap(self) -> float:
        return self.gap / max(abs(self.objective), abs(self.dual_objective), self.problem.gap_floor)

    def dense(self) -> np.ndarray:
        """Return the plan as an (n, m) array."""
        entries, left, right = self._finished
        return entries.dense() + left[:, None] * right

    def sparse(self, threshold: float | None = None) -> Any:
        """Return the entries above `threshold` (default: 1e-9 of the mean entry) as a SciPy CSR array."""
        entries, left, right = self._finished
        if threshold is None:
            threshold = 1e-9 * self.mass / math.prod(self.problem.shape)
        return entries.sparse(as_number(threshold, "threshold", minimum=0.0), left, right)

    def apply(self, vector: Any) -> np.ndarray:
        """Return ``X v`` for v of shape (m,)."""
        entries, left, right = self._finished
        v = as_float_array(vector, "vector", shape=(self.problem.shape[1],))
        return np.asarray(entries.apply(v) + left * float(right @ v))

    def __repr__(self) -> str:
        n, m = self.problem.shape
        return (
            f"RelaxedPlan({n} x {m}, mass={self.mass:.6g}, cost={self.cost:.6g}, relative_gap={self.relative_gap:.3g})"
        )


class RelaxedTransport:
    """What unbalanced and partial transport share: data, starts, resolvents, metrics."""

    primary_metric: ClassVar[str] = "relative_gap"

    def __init__(self, a: Any, b: Any, cost: Any, regularization: float):
        self.a = np.array(as_float_array(a, "a", ndim=1, positive=True), dtype=np.float64)
        self.b = np.array(as_float_array(b, "b", ndim=1, positive=True), dtype=np.float64)
        self.regularization = as_number(regularization, "regularization", minimum=0.0)
        self.cost: Cost = as_cost(cost)
        self.shape = (self.a.size, self.b.size)
        if self.cost.shape != self.shape:
            raise ValueError(f"cost must have shape {self.shape} (size of a, size of b), got {self.cost.shape}")
        self.log_a, self.log_b = np.log(self.a), np.log(self.b)
        with np.errstate(over="ignore"):
            self._masses = float(self.a.sum()), float(self.b.sum())
        if not all(math.isfinite(mass) for mass in self._masses):
            raise ValueError(f"a and b must have finite sums, got {self._masses[0]:g} and {self._masses[1]:g}")

    # ------------------------------------------------------------------ to be given

    def _row_step(self, sums: np.ndarray, strength: float) -> np.ndarray:
        """Return by how much the row potentials move, from the logarithms of the row sums."""
        raise NotImplementedError

    def _column_step(self, sums: np.ndarray, strength: float) -> np.ndarray:
        raise NotImplementedError

    # ------------------------------------------------------------------ problem

    @property
    def gap_floor(self) -> float:
        """Smallest denominator of `relative_gap`."""
        return 1e-6 * math.sqrt(self._masses[0] * self._masses[1]) * self.cost.scale

    @cached_property
    def _range(self) -> float:
        return self.cost.range if self.cost.range > 1e-13 * abs(self.cost.maximum) else self.cost.scale

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
        if eps > 1e-4 * self._range:
            return MirrorPlan(self.log_a, self.log_b - shift + self.cost.minimum / eps, 1.0 / eps)
        return MirrorPlan(self.log_a, self.log_b - shift, 0.0)

    def initial_mirror(self, x0: Any = None) -> MirrorPlan:
        """Return the mirror point of None, a mirror point, an earlier plan, or potentials (f, g)."""
        if x0 is None:
            return self.default_start()
        if isinstance(x0, RelaxedPlan):
            x0 = x0.mirror
        if isinstance(x0, (tuple, list)) and len(x0) == 2:
            f = as_float_array(x0[0], "x0[0]", shape=(self.shape[0],))
            g = as_float_array(x0[1], "x0[1]", shape=(self.shape[1],))
            kappa = 1.0 / self.regularization if self.regularization > 0.0 else 100.0 / self._range
            return MirrorPlan(kappa * f, kappa * g, kappa)
        if not isinstance(x0, MirrorPlan):
            raise TypeError(
                f"x0 must be None, a MirrorPlan, a RelaxedPlan or potentials (f, g), got {type(x0).__name__}"
            )
        if x0.shape != self.shape:
            raise ValueError(f"x0 must have potentials for a plan of shape {self.shape}, got {x0.shape}")
        return x0

    def check_mirror(self, mirror: MirrorPlan) -> None:
        """Raise `DomainError` if potentials overflowed."""
        if not math.isfinite(float(mirror.row.sum() + mirror.column.sum()) + mirror.inverse_temperature):
            raise DomainError("the potentials are no longer finite; use a smaller step size")

    def resolvent_B(self, mirror: MirrorPlan, step_size: float) -> MirrorPlan:
        """Resolvent of what is asked of the rows."""
        kappa = mirror.inverse_temperature
        sums = mirror.row + self.cost.logsumexp_rows(mirror.column, kappa)
        return MirrorPlan(mirror.row + self._row_step(sums, step_size), mirror.column, kappa)

    def resolvent_A(self, mirror: MirrorPlan, step_size: float) -> MirrorPlan:
        """Resolvent of the cost, the regularization and what is asked of the columns."""
        damping = 1.0 / (1.0 + step_size * self.regularization)
        kappa = damping * (mirror.inverse_temperature + step_size)
        row, column = damping * mirror.row, damping * mirror.column
        sums = column + self.cost.logsumexp_columns(row, kappa)
        return MirrorPlan(row, column + self._column_step(sums, damping * step_size), kappa)

    def sweep(self, mirror: MirrorPlan) -> MirrorPlan:
        """Return the mirror point after one exact row step and one exact column step (regularization > 0)."""
        eps = self.regularization
        kappa = 1.0 / eps
        row = self._row_step(self.cost.logsumexp_rows(mirror.column, kappa), kappa)
        column = self._column_step(self.cost.logsumexp_columns(row, kappa), kappa)
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

    def measure(self, iterate: Any) -> dict[str, float]:
        """Return objective, dual_objective, gap, relative_gap, cost and mass of a `RelaxedPlan` or a mirror point."""
        plan = self.primal(iterate) if isinstance(iterate, MirrorPlan) else iterate
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
        return entries, np.zeros(self.shape[0]), np.zeros(self.shape[1])
