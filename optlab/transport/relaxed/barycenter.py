"""Barycentres of histograms on a fixed support, with a certificate.

    fixed support   min over p and X_l >= 0 of  sum_l w_l (<C_l, X_l> + eps sum X_l (log X_l - 1)),
                    X_l 1 = p for all l,  X_l^T 1 = b_l

`WassersteinBarycenter` is a problem for `GeneralizedSinkhorn` (eps > 0: the iterative Bregman projections of Benamou,
Carlier, Cuturi, Nenna and Peyre 2015, in the log domain) and for `BregmanDouglasRachford` (any eps >= 0; kernel: the
entropies weighted by w). B gives all plans the common row marginal, the weighted geometric mean of theirs; A has costs,
regularization and columns. The dual is ``max sum_l w_l <b_l, g_l>`` over ``f_l + g_l <= C_l``, ``sum_l w_l f_l = 0``
(softened for eps > 0), so that any f_l, less their weighted mean, prove a lower bound; derived here.

Not here: supports that move (`optlab.transport.relaxed.free_support`), debiased entropic barycentres.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from optlab.core.errors import DomainError
from optlab.core.validation import as_float_array, as_integer, as_number
from optlab.splitting.schedules import Geometric
from optlab.transport.costs.base import Cost, warn_of_spread
from optlab.transport.costs.convert import as_cost
from optlab.transport.plans.certificates import PotentialEntries, certified_gap, cost_terms, round_to_marginals
from optlab.transport.plans.marginals import SUM_TOLERANCE, gap_advice
from optlab.transport.plans.potentials import MirrorPlan
from optlab.transport.plans.relative_gap import ROUNDING, relative_gap


@dataclass(frozen=True, eq=False)
class PlanTuple:
    """Mirror points of several plans, one for each histogram; a vector space."""

    plans: tuple[MirrorPlan, ...]

    __array_ufunc__ = None

    def __add__(self, other: PlanTuple) -> PlanTuple:
        return PlanTuple(tuple(p + q for p, q in zip(self.plans, other.plans)))

    def __sub__(self, other: PlanTuple) -> PlanTuple:
        return PlanTuple(tuple(p - q for p, q in zip(self.plans, other.plans)))

    def __mul__(self, factor: Any) -> PlanTuple:
        return PlanTuple(tuple(float(factor) * p for p in self.plans))

    __rmul__ = __mul__


class Barycenter:
    """An iterate of `WassersteinBarycenter`: the histogram, its plans, and the certificate, computed when asked for.

    Attributes
    ----------
    histogram : ndarray, shape (n,)
        p, of the histograms' mass.
    objective, dual_objective, gap, relative_gap, cost : float
        ``objective`` is that of p with plans rounded to exact marginals; the gap certifies it.
    """

    def __init__(self, problem: WassersteinBarycenter, mirror: PlanTuple, candidates: Any = ()):
        if not isinstance(problem, WassersteinBarycenter) or not isinstance(mirror, PlanTuple):
            raise TypeError(
                "problem and mirror must be a WassersteinBarycenter and a PlanTuple, got "
                f"{type(problem).__name__} and {type(mirror).__name__}"
            )
        self.problem, self.mirror = problem, mirror
        self._candidates = list(candidates)

    @cached_property
    def histogram(self) -> np.ndarray:
        logs = self.problem.log_common(self.mirror)
        p = np.exp(logs - logs.max())
        return np.asarray(p * (self.problem.mass / p.sum()))

    @cached_property
    def _rounded(self) -> list[Any]:
        problem = self.problem
        p = self.histogram
        out = []
        for cost, b, plan in zip(problem.costs, problem.active, self.mirror.plans):
            out.append(round_to_marginals(PotentialEntries(cost, plan), p, b))
        return out

    @property
    def cost(self) -> float:
        return math.fsum(w * plan.cost for w, plan in zip(self.problem.weights, self._rounded))

    @cached_property
    def objective(self) -> float:
        eps = self.problem.regularization
        value = self.cost
        if eps > 0.0:
            for w, plan in zip(self.problem.weights, self._rounded):
                value += w * eps * plan.entries.entropic(plan.left, plan.right)[1]
        return value

    @property
    def dual_objective(self) -> float:
        return self._dual[0]

    @cached_property
    def _dual(self) -> tuple[float, float]:
        """The bound and the sum of the absolute values of its terms."""
        kappas = [plan.inverse_temperature for plan in self.mirror.plans]
        candidates = list(self._candidates)
        if min(kappas) > 0.0:
            candidates.append([plan.row / kappa for plan, kappa in zip(self.mirror.plans, kappas)])
        if not candidates:
            candidates.append([np.zeros_like(plan.row) for plan in self.mirror.plans])
        bounds = [self.problem.dual_terms(f) for f in candidates]
        if self.problem.regularization == 0.0:
            bounds.append(self.problem.lowest_terms())
        sums = [(math.fsum(terms), math.fsum(map(abs, terms))) for terms in bounds]
        return max(sums, key=lambda pair: pair[0] - ROUNDING * pair[1])

    @property
    def gap(self) -> float:
        return certified_gap(self.objective, self.dual_objective)

    @cached_property
    def relative_gap(self) -> float:
        """The gap over what it proves of the optimum; for one of zero as in `TransportPlan.relative_gap`."""
        problem, (lower, terms), eps = self.problem, self._dual, self.problem.regularization
        pairs = list(zip(problem.weights, problem.costs, self._rounded))
        upper_terms = sum(w * cost_terms(plan.cost, cost, problem.mass, terms + self.gap) for w, cost, plan in pairs)
        upper_terms += abs(self.objective - self.cost) + eps * problem.mass
        least = min(cost.fine_scale for cost in problem.costs) if lower <= 0.0 else 0.0
        return float(
            relative_gap(
                self.objective,
                lower,
                upper_terms=upper_terms,
                lower_terms=terms,
                unit=eps * problem.mass,
                negligible=lambda: ROUNDING * problem.mass * least,
            )
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The histogram."""
        return np.array(self.histogram, dtype=dtype)

    @property
    def potentials(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The potentials (f_l, g_l) of the plans, a start for another problem; -inf at points without mass."""
        out = []
        for plan, support, b in zip(self.mirror.plans, self.problem.supports, self.problem.histograms):
            kappa = plan.inverse_temperature if plan.inverse_temperature > 0.0 else math.inf
            g = np.full(b.size, -np.inf)
            g[support] = plan.column / kappa
            out.append((plan.row / kappa, g))
        return out

    def plan(self, index: int) -> np.ndarray:
        """Return the plan between the barycentre and histogram `index`, shape (n, m), with exact marginals."""
        index = as_integer(index, "index", minimum=0)
        if index >= len(self.problem.costs):
            raise ValueError(f"index must be below the number of histograms, {len(self.problem.costs)}, got {index}")
        rounded = self._rounded[index]
        out = np.zeros((self.histogram.size, self.problem.histograms[index].size))
        inside = rounded.entries.dense() + rounded.left[:, None] * rounded.right
        out[:, self.problem.supports[index]] = inside
        return out

    def __repr__(self) -> str:
        return f"Barycenter({self.histogram.size} points, cost={self.cost:.6g}, relative_gap={self.relative_gap:.3g})"


class WassersteinBarycenter:
    """The weighted barycentre of histograms on a fixed support.

    Parameters
    ----------
    histograms : array_like, shape (L, m), or sequence of L array_like of lengths m_l
        Non-negative, all of the same sum (to 1e-6 relative; that of the first is kept).
    cost : array_like (n, m) or `Cost`, or a sequence of L of them, (n, m_l)
        From the n points that may carry the barycentre to the points of each histogram; without forbidden pairs.
    weights : array_like, shape (L,), optional
        Positive; divided by their sum. Default: equal.
    regularization : float
        eps >= 0.

    Examples
    --------
    >>> import numpy as np
    >>> import optlab
    >>> from optlab.transport import GeneralizedSinkhorn, PointCloudCost, WassersteinBarycenter
    >>> x = np.linspace(0.0, 1.0, 30)
    >>> bumps = np.exp(-0.5 * ((x - np.array([[0.2], [0.7]])) / 0.05) ** 2) + 1e-6
    >>> problem = WassersteinBarycenter(bumps / bumps.sum(1, keepdims=True), PointCloudCost(x), regularization=1e-3)
    >>> result = optlab.solve(problem, GeneralizedSinkhorn(), tol=1e-8, max_iter=3000)
    >>> result.success, round(float(result.solution.histogram @ x), 2)
    (True, 0.45)
    """

    primary_metric: ClassVar[str] = "relative_gap"

    def __init__(self, histograms: Any, cost: Any, weights: Any = None, regularization: float = 0.0):
        self.regularization = as_number(regularization, "regularization", minimum=0.0)
        self.histograms = [
            np.array(as_float_array(b, f"histograms[{i}]", ndim=1, nonnegative=True), dtype=np.float64)
            for i, b in enumerate(histograms)
        ]
        count = len(self.histograms)
        if count == 0:
            raise ValueError("histograms must hold at least one, got none")
        sums = [math.fsum(b.tolist()) for b in self.histograms]
        self.mass = sums[0]
        for i, total in enumerate(sums):
            if not 0.0 < total < math.inf:
                raise ValueError(f"histograms[{i}] must have a positive finite sum, got {total:g}")
            if abs(total - self.mass) > SUM_TOLERANCE * max(total, self.mass):
                raise ValueError(f"histograms must have the same sum, got {self.mass:.12g} and {total:.12g} at [{i}]")
            self.histograms[i] *= self.mass / total
        costs: list[Cost] = [as_cost(c) for c in cost] if isinstance(cost, (list, tuple)) else [as_cost(cost)] * count
        if len(costs) != count:
            raise ValueError(f"cost must be one, or one for each of the {count} histograms, got {len(costs)}")
        self.size = costs[0].shape[0]
        self.supports = [np.flatnonzero(b) for b in self.histograms]
        self.costs: list[Cost] = []
        for i, (c, b, support) in enumerate(zip(costs, self.histograms, self.supports)):
            if c.shape != (self.size, b.size):
                raise ValueError(f"cost for histograms[{i}] must have shape {(self.size, b.size)}, got {c.shape}")
            if c.has_forbidden:
                raise TypeError(f"cost for histograms[{i}] must have no forbidden pairs (+inf or absent)")
            self.costs.append(c if support.size == b.size else c.submatrix(None, support))
        self.active = [b[support] for b, support in zip(self.histograms, self.supports)]
        self._logs = [np.log(b) for b in self.active]
        w = (
            np.full(count, 1.0)
            if weights is None
            else as_float_array(weights, "weights", shape=(count,), positive=True)
        )
        self.weights = np.asarray(w / w.sum(), dtype=np.float64)
        warn_of_spread(*self.costs)
        self._range = max(c.range for c in self.costs) or 1.0

    def __repr__(self) -> str:
        return (
            f"WassersteinBarycenter({len(self.costs)} histograms, {self.size} points, "
            f"regularization={self.regularization:g})"
        )

    @property
    def default_step_size(self) -> float:
        """``1 / regularization``, or 10 / range of the costs without one."""
        return 1.0 / self.regularization if self.regularization > 0.0 else 10.0 / self._range

    @property
    def default_schedule(self) -> Any:
        """Constant with a regularization; otherwise growth by 0.7 % an iteration from 5 to 30 over the range."""
        if self.regularization > 0.0:
            return self.default_step_size
        return Geometric(5.0 / self._range, 1.007, 30.0 / self._range)

    def default_start(self, rng: Any = None) -> PlanTuple:
        """Return the mirror point of plans with uniform rows, cooled to 1 / regularization if there is one."""
        eps = self.regularization
        kappa = 1.0 / eps if eps > 1e-4 * self._range else 0.0
        return PlanTuple(
            tuple(
                MirrorPlan(np.zeros(self.size), log_b - math.log(self.size) + kappa * cost.minimum, kappa)
                for log_b, cost in zip(self._logs, self.costs)
            )
        )

    def initial_mirror(self, x0: Any = None) -> PlanTuple:
        """Return the mirror point of None, an earlier `Barycenter`, a `PlanTuple`, or one (f_l, g_l) for each plan."""
        if x0 is None:
            return self.default_start()
        if isinstance(x0, (tuple, list)):
            return self._of_potentials(x0)
        mirror = x0.mirror if isinstance(x0, Barycenter) else x0
        if not isinstance(mirror, PlanTuple):
            raise TypeError(
                "x0 must be None, a Barycenter, a PlanTuple or a list of potentials (f, g), one pair for each "
                f"histogram, got {type(x0).__name__}"
            )
        shapes, wanted = [plan.shape for plan in mirror.plans], [c.shape for c in self.costs]
        if shapes != wanted:
            raise ValueError(f"x0 must have plans of shapes {wanted}, got {shapes}")
        return self._balanced(mirror)

    def _balanced(self, mirror: PlanTuple) -> PlanTuple:
        """Return the plans with ``sum_l w_l row_l = 0``, as dual feasibility asks.

        No iteration changes that sum: from plans of other weights a run would converge to something else.
        """
        mean = sum(w * plan.row for w, plan in zip(self.weights, mirror.plans))
        if not np.any(mean) or len({plan.inverse_temperature for plan in mirror.plans}) > 1:
            return PlanTuple(tuple(plan.copy() for plan in mirror.plans))
        return PlanTuple(tuple(MirrorPlan(p.row - mean, p.column, p.inverse_temperature) for p in mirror.plans))

    def _of_potentials(self, x0: Any) -> PlanTuple:
        if len(x0) != len(self.costs) or not all(isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in x0):
            raise ValueError(
                f"x0 must hold one pair (f, g) for each of the {len(self.costs)} histograms, got {len(x0)}"
            )
        kappa = 1.0 / self.regularization if self.regularization > 0.0 else 100.0 / self._range
        plans = []
        for i, (pair, b, support) in enumerate(zip(x0, self.histograms, self.supports)):
            f = as_float_array(pair[0], f"x0[{i}][0]", shape=(self.size,))
            g = as_float_array(pair[1], f"x0[{i}][1]", shape=(b.size,), finite=False)[support]
            if not np.all(np.isfinite(g)):
                raise ValueError(f"x0[{i}][1] must be finite where histograms[{i}] is positive")
            plans.append(MirrorPlan(kappa * f, kappa * g, kappa))
        return self._balanced(PlanTuple(tuple(plans)))

    def check_mirror(self, mirror: PlanTuple) -> None:
        """Raise `DomainError` if potentials overflowed."""
        for plan in mirror.plans:
            if not math.isfinite(float(plan.row.sum() + plan.column.sum()) + plan.inverse_temperature):
                raise DomainError("the potentials are no longer finite; use a smaller step size")

    def _log_rows(self, mirror: PlanTuple) -> list[np.ndarray]:
        return [
            plan.row + cost.logsumexp_rows(plan.column, plan.inverse_temperature)
            for plan, cost in zip(mirror.plans, self.costs)
        ]

    def log_common(self, mirror: PlanTuple) -> np.ndarray:
        """Return the logarithm of the weighted geometric mean of the plans' row sums."""
        return np.asarray(sum(w * rows for w, rows in zip(self.weights, self._log_rows(mirror))))

    def resolvent_B(self, mirror: PlanTuple, step_size: float) -> PlanTuple:
        """Give all plans the common row marginal."""
        rows = self._log_rows(mirror)
        common = sum(w * r for w, r in zip(self.weights, rows))
        return PlanTuple(
            tuple(
                MirrorPlan(plan.row + (common - r), plan.column, plan.inverse_temperature)
                for plan, r in zip(mirror.plans, rows)
            )
        )

    def resolvent_A(self, mirror: PlanTuple, step_size: float) -> PlanTuple:
        """Resolvent of the costs, the regularization and the column marginals."""
        damping = 1.0 / (1.0 + step_size * self.regularization)
        out = []
        for plan, cost, log_b in zip(mirror.plans, self.costs, self._logs):
            kappa, row = damping * (plan.inverse_temperature + step_size), damping * plan.row
            out.append(MirrorPlan(row, log_b - cost.logsumexp_columns(row, kappa), kappa))
        return PlanTuple(tuple(out))

    def sweep(self, mirror: PlanTuple) -> PlanTuple:
        """Return the mirror point after all column steps and the common row step (regularization > 0)."""
        kappa = 1.0 / self.regularization
        plans = []
        for plan, cost, log_b in zip(mirror.plans, self.costs, self._logs):
            plans.append(MirrorPlan(plan.row, log_b - cost.logsumexp_columns(plan.row, kappa), kappa))
        return self.resolvent_B(PlanTuple(tuple(plans)), 1.0)

    def primal(self, mirror: PlanTuple, drift: PlanTuple | None = None) -> Barycenter:
        """Return the barycentre of a mirror point; `drift` gives a further dual candidate."""
        candidates = []
        if drift is not None and self.regularization == 0.0:
            cooled = [plan.inverse_temperature for plan in drift.plans]
            if min(cooled) > 0.0:
                candidates.append([plan.row / kappa for plan, kappa in zip(drift.plans, cooled)])
        return Barycenter(self, mirror, candidates)

    def dual_bound(self, f: Sequence[np.ndarray]) -> float:
        """Return the lower bound that row potentials f_l prove once their weighted mean is taken off."""
        return math.fsum(self.dual_terms(f))

    def lowest_terms(self) -> list[float]:
        """Return the terms of the bound by the costs' lowest entries, which has no rounding where they are zero."""
        return [w * self.mass * cost.lowest for w, cost in zip(self.weights, self.costs)]

    def dual_terms(self, f: Sequence[np.ndarray]) -> list[float]:
        """Return the terms whose sum is `dual_bound`."""
        mean = sum(w * np.where(np.isfinite(v), v, 0.0) for w, v in zip(self.weights, f))
        eps = self.regularization
        terms = []
        for w, v, cost, b, log_b in zip(self.weights, f, self.costs, self.active, self._logs):
            row = np.where(np.isfinite(v), v, 0.0) - mean
            if eps > 0.0:
                sums = cost.in_double().logsumexp_columns(row / eps, 1.0 / eps)
                g = eps * (log_b - sums) - eps
            else:
                g = cost.minimum_columns(row)
            terms += (w * b * g).tolist()
        return terms

    def hint(self, method: Any, state: Any, metrics: dict[str, float]) -> str | None:
        """Return advice for a run that has not converged."""
        return gap_advice(metrics, *self.costs) or None

    def measure(self, iterate: Any) -> dict[str, float]:
        """Return objective, dual_objective, gap, relative_gap and cost of a `Barycenter` or a mirror point."""
        answer = self.primal(iterate) if isinstance(iterate, PlanTuple) else iterate
        if not isinstance(answer, Barycenter):
            raise TypeError(f"iterate must be a Barycenter or a PlanTuple, got {type(iterate).__name__}")
        return {
            "objective": answer.objective,
            "dual_objective": answer.dual_objective,
            "gap": answer.gap,
            "relative_gap": answer.relative_gap,
            "cost": answer.cost,
        }

    def reference_solution(self) -> tuple[np.ndarray, float]:
        """Return an optimal histogram and the optimal value without regularization, by HiGHS (small sizes)."""
        from scipy.optimize import linprog
        from scipy.sparse import block_array, coo_array, eye_array, kron

        # HiGHS's tolerances are absolute: mass 1, and costs on a scale of 1
        unit = max(max(abs(cost.minimum), abs(cost.maximum)) for cost in self.costs) or 1.0
        n, blocks, price, right = self.size, [], [], []
        for i, (w, cost, b) in enumerate(zip(self.weights, self.costs, self.active)):
            empty: list[Any] = [None] * (len(self.costs) + 1)
            empty[i], empty[-1] = kron(eye_array(n), np.ones((1, b.size))), -eye_array(n)
            blocks.append(list(empty))
            empty[i], empty[-1] = kron(np.ones((1, n)), eye_array(b.size)), coo_array((b.size, n))
            blocks.append(list(empty))
            price.append(w / unit * np.asarray(cost.dense(), dtype=np.float64).ravel())
            right += [np.zeros(n), b / self.mass]
        A = block_array(blocks, format="csc")
        answer = linprog(np.concatenate([*price, np.zeros(n)]), A_eq=A, b_eq=np.concatenate(right), method="highs")
        if answer.x is None:
            raise ArithmeticError(f"HiGHS found no barycentre: {answer.message}")
        return self.mass * np.asarray(answer.x[-n:]), self.mass * unit * float(answer.fun)
