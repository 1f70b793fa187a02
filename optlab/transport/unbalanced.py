"""Transport that need not move everything: penalised marginals (unbalanced) and a prescribed moved mass (partial).

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

Not here: forbidden pairs in partial transport, divergences that differ between the two sides.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from optlab.core.errors import DomainError
from optlab.core.validation import as_float_array, as_number, one_of
from optlab.splitting.schedules import Geometric
from optlab.transport.certificates import PotentialEntries, certified_gap, exact_dot
from optlab.transport.costs import Cost, as_cost
from optlab.transport.potentials import MirrorPlan

_HUGE = 1e290


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


class _RelaxedTransport:
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


class UnbalancedOptimalTransport(_RelaxedTransport):
    """Optimal transport with penalised marginals: ``<C, X> + eps sum X (log X - 1) + D(X 1; a) + D(X^T 1; b)``.

    Parameters
    ----------
    a, b : array_like, shapes (n,) and (m,)
        Positive weights; their sums may differ.
    cost : array_like (n, m), SciPy sparse array or `Cost`
        Forbidden pairs are allowed. For total variation no entry may be below minus the sum of the penalties.
    penalty : float or (float, float)
        tau, above 0, in units of the cost: for the rows and for the columns.
    divergence : {"kl", "tv"}
        ``tau KL(p | a)``, or ``tau ||p - a||_1``: mass is then moved, or destroyed and created at tau a unit.
    regularization : float
        eps >= 0.

    Examples
    --------
    >>> import optlab
    >>> from optlab.splitting import BregmanDouglasRachford
    >>> problem = UnbalancedOptimalTransport([1.0, 2.0], [2.0, 0.5], [[0.0, 1.0], [1.0, 0.0]], divergence="tv")
    >>> result = optlab.solve(problem, BregmanDouglasRachford(), tol=1e-8)
    >>> result.success, round(result.metrics["objective"], 6)
    (True, 1.5)
    """

    def __init__(
        self,
        a: Any,
        b: Any,
        cost: Any,
        penalty: Any = 1.0,
        divergence: str = "kl",
        regularization: float = 0.0,
    ):
        super().__init__(a, b, cost, regularization)
        self.divergence = one_of(divergence, "divergence", ("kl", "tv"))
        pair = penalty if isinstance(penalty, (tuple, list)) else (penalty, penalty)
        if len(pair) != 2:
            raise ValueError(f"penalty must be a number or a pair of them, got {len(pair)} entries")
        self.penalty = tuple(as_number(value, "penalty", above=0.0) for value in pair)
        if self.divergence == "tv" and self.cost.minimum < -sum(self.penalty):
            raise ValueError(
                f"cost must be at least minus the sum of the penalties, {-sum(self.penalty):g}, for total variation: "
                f"got {self.cost.minimum:g}, and the objective has no lower bound"
            )

    def __repr__(self) -> str:
        return (
            f"UnbalancedOptimalTransport({self.shape[0]} x {self.shape[1]}, penalty={self.penalty}, "
            f"divergence={self.divergence!r}, regularization={self.regularization:g})"
        )

    def _step(self, target: np.ndarray, sums: np.ndarray, strength: float) -> np.ndarray:
        wanted = target - sums
        if self.divergence == "kl":
            # where no pair is allowed any price will do: one at which all of the mass is as good as given up
            wanted = np.where(np.isfinite(wanted), wanted, 40.0 * (1.0 + strength))
            return wanted * (strength / (1.0 + strength))
        return np.clip(wanted, -strength, strength)

    def _row_step(self, sums: np.ndarray, strength: float) -> np.ndarray:
        return self._step(self.log_a, sums, strength * self.penalty[0])

    def _column_step(self, sums: np.ndarray, strength: float) -> np.ndarray:
        return self._step(self.log_b, sums, strength * self.penalty[1])

    def _translation(self, f: np.ndarray, g: np.ndarray) -> float:
        """Return the best t for potentials f + t and g - t: ``sum a e^{-(f+t)/tau} = sum b e^{-(g-t)/tau'}``."""
        if self.divergence != "kl":
            return 0.0
        from scipy.special import logsumexp

        rows = float(logsumexp(self.log_a - f / self.penalty[0]))
        columns = float(logsumexp(self.log_b - g / self.penalty[1]))
        t = (rows - columns) / (1.0 / self.penalty[0] + 1.0 / self.penalty[1])
        return t if math.isfinite(t) else 0.0

    def penalty_value(self, rows: np.ndarray, columns: np.ndarray) -> float:
        """Return what the marginals' deviation costs."""
        if self.divergence == "tv":
            errors = (np.abs(rows - self.a), np.abs(columns - self.b))
        else:
            from scipy.special import kl_div

            errors = (kl_div(rows, self.a), kl_div(columns, self.b))
        return sum(tau * math.fsum(error.tolist()) for tau, error in zip(self.penalty, errors))

    def _gain(self, f: np.ndarray, g: np.ndarray) -> float:
        """Return the dual objective without the regularization: minus the conjugates of the penalties at -f and -g."""
        total = []
        for weight, price, tau in ((self.a, f, self.penalty[0]), (self.b, g, self.penalty[1])):
            if self.divergence == "tv":
                total += (weight * np.minimum(price, tau)).tolist()
            else:
                with np.errstate(over="ignore"):
                    total += np.maximum(-tau * weight * np.expm1(-price / tau), -_HUGE).tolist()
        return math.fsum(total)

    def dual_bound(self, f: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, float]:
        """Return the best lower bound found from f, the potentials that prove it, and 0."""
        eps = self.regularization
        if eps > 0.0:
            if self.divergence == "tv":
                f = np.clip(f, -self.penalty[0], self.penalty[0])
            sums = self.cost.in_double().logsumexp_columns(f / eps, 1.0 / eps)
            g = eps * self._column_step(sums, 1.0 / eps)
            with np.errstate(over="ignore"):
                mass = math.fsum(np.minimum(np.exp(sums + g / eps), _HUGE / sums.size).tolist())
            t = self._translation(f, g)
            return self._gain(f + t, g - t) - eps * mass, f + t, g - t, 0.0
        if self.divergence == "tv":
            tau_a, tau_b = self.penalty
            lowest = self.cost.minimum_rows(np.zeros(self.shape[1]))
            f = np.clip(f, -tau_a, np.minimum(tau_a, lowest + tau_b))
            g = np.minimum(self.cost.minimum_columns(f), tau_b)
            f = np.minimum(self.cost.minimum_rows(g), tau_a)
            return self._gain(f, g), f, g, 0.0
        g = self.cost.minimum_columns(f)
        f = self.cost.minimum_rows(np.where(np.isfinite(g), g, 0.0))
        f, g = np.minimum(f, _HUGE), np.minimum(g, _HUGE)
        t = self._translation(f, g)
        return self._gain(f + t, g - t), f + t, g - t, 0.0


class PartialOptimalTransport(_RelaxedTransport):
    """Transport of a prescribed mass: ``min <C, X> + eps sum X (log X - 1)``, rows at most a, columns at most b.

    Parameters
    ----------
    a, b : array_like, shapes (n,) and (m,)
        Positive weights: what is there, and what can be taken.
    cost : array_like (n, m) or `Cost`
        Without forbidden pairs.
    mass : float
        What is moved: above 0, at most the smaller of the two sums.
    regularization : float
        eps >= 0.

    Examples
    --------
    >>> import optlab
    >>> from optlab.splitting import BregmanDouglasRachford
    >>> problem = PartialOptimalTransport([1.0, 1.0], [1.0, 1.0], [[0.0, 2.0], [2.0, 3.0]], mass=1.5)
    >>> result = optlab.solve(problem, BregmanDouglasRachford(), tol=1e-5)
    >>> result.success, round(result.metrics["cost"], 3), round(result.metrics["mass"], 9)
    (True, 1.5, 1.5)
    """

    def __init__(self, a: Any, b: Any, cost: Any, mass: float, regularization: float = 0.0):
        super().__init__(a, b, cost, regularization)
        self.mass = as_number(mass, "mass", above=0.0, maximum=min(self._masses) * (1.0 + 1e-12))
        self.mass = min(self.mass, *self._masses)
        if self.cost.has_forbidden:
            raise TypeError("PartialOptimalTransport needs a cost without forbidden pairs (+inf or absent)")

    def __repr__(self) -> str:
        return (
            f"PartialOptimalTransport({self.shape[0]} x {self.shape[1]}, mass={self.mass:g}, "
            f"regularization={self.regularization:g})"
        )

    def _capped(self, log_target: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """Return ``log(min(target, theta e^sums)) - sums`` with theta such that the sums add up to the mass."""
        excess = log_target - sums
        return np.minimum(excess, _water_level(excess, np.exp(log_target), self.mass, log_target))

    def _row_step(self, sums: np.ndarray, strength: float) -> np.ndarray:
        return self._capped(self.log_a, sums)

    def _column_step(self, sums: np.ndarray, strength: float) -> np.ndarray:
        return self._capped(self.log_b, sums)

    def penalty_value(self, rows: np.ndarray, columns: np.ndarray) -> float:
        """Return 0: a finished plan is feasible."""
        return 0.0

    def finish(self, entries: PotentialEntries) -> tuple[PotentialEntries, np.ndarray, np.ndarray]:
        """Scale rows, then columns, down to what is allowed; then all down to the mass, or spread what is missing."""
        rows, columns, _ = entries.moments()
        if rows.max() > 1e100:
            entries = entries.scaled_down_to(self.a)
            rows, columns, _ = entries.moments()
        with np.errstate(divide="ignore", over="ignore"):
            if np.any(rows > self.a):
                entries = entries.scaled(np.minimum(1.0, self.a / rows), np.ones(self.shape[1]))
                rows, columns, _ = entries.moments()
            if np.any(columns > self.b):
                entries = entries.scaled(np.ones(self.shape[0]), np.minimum(1.0, self.b / columns))
                rows, columns, _ = entries.moments()
        total = math.fsum(rows.tolist())
        left, right = np.zeros(self.shape[0]), np.zeros(self.shape[1])
        if total > self.mass:
            entries = entries.scaled(np.full(self.shape[0], self.mass / total), np.ones(self.shape[1]))
            rows, columns, _ = entries.moments()
            total = math.fsum(rows.tolist())
        excess = max(float(np.max(rows - self.a)), float(np.max(columns - self.b)), total - self.mass)
        if excess > 1e-9 * self.mass:
            # potentials so large that factors are lost in their rounding: a plan of independent marginals is one
            entries = entries.scaled(np.zeros(self.shape[0]), np.zeros(self.shape[1]))
            left, right = self.a / self._masses[0], self.b * (self.mass / self._masses[1])
        elif total < self.mass:
            left, right = np.maximum(self.a - rows, 0.0), np.maximum(self.b - columns, 0.0)
            spare = float(left.sum()), float(right.sum())
            if min(spare) > 0.0:
                left, right = left / spare[0], right * ((self.mass - total) / spare[1])
        return entries, left, right

    def dual_bound(self, f: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, float]:
        """Return the best lower bound found from f, the f, g <= 0 and the price of mass that prove it.

        ``max <a, f> + <b, g> + price mass - eps sum exp((f + g + price - C) / eps)``, and without a regularization
        subject to ``f_i + g_j + price <= C_ij``. Given f, the best g and price follow from a weighted quantile.
        """
        f, eps = np.minimum(f - f.max(), 0.0), self.regularization
        if eps > 0.0:
            cost = self.cost.in_double()
            # one step for the rows as well: the constant in f is then right
            for _ in range(2):
                column = self._column_step(cost.logsumexp_columns(f / eps, 1.0 / eps), 1.0)
                row = self._row_step(cost.logsumexp_rows(column, 1.0 / eps), 1.0)
                f = eps * (row - row.max())
            column = self._column_step(cost.logsumexp_columns(f / eps, 1.0 / eps), 1.0)
            price = float(column.max())
            g, price = eps * (column - price), eps * price
            value = math.fsum([*(self.a * f).tolist(), *(self.b * g).tolist(), price * self.mass, -eps * self.mass])
            return value, f, g, price
        price = 0.0
        g = np.zeros(self.shape[1])
        for _ in range(2):
            least = self.cost.minimum_columns(f)
            price = _quantile(least, self.b, self.mass)
            g = np.minimum(least - price, 0.0)
            least = self.cost.minimum_rows(g)
            price = _quantile(least, self.a, self.mass)
            f = np.minimum(least - price, 0.0)
        value = math.fsum([*(self.a * f).tolist(), *(self.b * g).tolist(), price * self.mass])
        return value, f, g, price


def _quantile(values: np.ndarray, weights: np.ndarray, mass: float) -> float:
    """Return a maximiser of ``price mass + sum weights min(0, values - price)``."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order[min(int(np.searchsorted(reached, mass)), values.size - 1)]])


def _water_level(excess: np.ndarray, target: np.ndarray, mass: float, log_target: np.ndarray) -> float:
    """Return the level at which ``sum target min(1, exp(level - excess))`` is the mass; inf if all is needed."""
    order = np.argsort(excess)
    full = np.concatenate([[0.0], np.cumsum(target[order])])  # the first k are at their cap
    if full[-1] <= mass:
        return math.inf
    # log of the sums of those that are not, from the last on, so that nothing cancels
    logs = (log_target - excess)[order]
    rest = np.logaddexp.accumulate(logs[::-1])[::-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        levels = np.log(mass - full[:-1]) - rest
    # with the first k capped, the level must lie between the k-th and the next excess
    fits = (full[:-1] < mass) & (levels <= excess[order])
    return float(levels[int(np.argmax(fits))]) if np.any(fits) else float(excess[order[-1]])
