"""Unbalanced optimal transport with Kullback-Leibler marginals, in potentials, with a certified gap.

    min_X >= 0  <C, X> + tau KL(X 1; a) + tau KL(X^T 1; b)

Bregman Douglas-Rachford with Shannon's entropy keeps every iterate of the form ``log X_ij = F_i + G_j - kappa C_ij``,
so that the state is two vectors and a number. B is the row penalty, A the column penalty with the cost. With
``rho = gamma tau / (1 + gamma tau)``:

    resolvent of B:   F += rho (log a - F - LSE_j(G_j - kappa C_ij))
    resolvent of A:   kappa += gamma;  G += rho (log b - G - LSE_i(F_i - kappa C_ij))

derived here, verified numerically. What this file does not do: balanced transport, and costs that are not stored
(both in `optlab.transport`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from optlab.core.validation import as_data, as_number

Array = Any


@dataclass(frozen=True, eq=False)
class PlanPotentials:
    """A mirror point of a transport plan: ``log X_ij = F_i + G_j - kappa C_ij``; a vector space of size n + m + 1.

    Attributes
    ----------
    F : ndarray, shape (n,)
    G : ndarray, shape (m,)
    kappa : float
        Inverse temperature.
    """

    F: Array
    G: Array
    kappa: float

    def __add__(self, other: PlanPotentials) -> PlanPotentials:
        return PlanPotentials(self.F + other.F, self.G + other.G, self.kappa + other.kappa)

    def __sub__(self, other: PlanPotentials) -> PlanPotentials:
        return PlanPotentials(self.F - other.F, self.G - other.G, self.kappa - other.kappa)

    def __mul__(self, factor: float) -> PlanPotentials:
        return PlanPotentials(factor * self.F, factor * self.G, factor * self.kappa)

    __rmul__ = __mul__


@dataclass(frozen=True, eq=False)
class UnbalancedPlan:
    """An iterate of `UnbalancedTransport`: the plan in potentials, and a direction that hints at a dual solution.

    Attributes
    ----------
    potentials : PlanPotentials
    drift : PlanPotentials or None
        Change of the potentials over the last half of the run.
    cost : ndarray, shape (n, m)
        The problem's cost (not a copy).
    """

    potentials: PlanPotentials
    drift: PlanPotentials | None
    cost: Array

    def dense(self) -> Array:
        """Return the plan as an array of shape (n, m)."""
        return np.exp(self.log_plan())

    def log_plan(self) -> Array:
        """Return the logarithms of the plan's entries, shape (n, m)."""
        p = self.potentials
        return p.F[:, None] + p.G[None, :] - p.kappa * self.cost


def _log_sum_exp(values: Array, axis: int) -> Array:
    top = np.max(values, axis=axis, keepdims=True)
    with np.errstate(under="ignore"):
        return np.squeeze(top, axis) + np.log(np.sum(np.exp(values - top), axis=axis))


class UnbalancedTransport:
    """Unbalanced optimal transport ``min <C, X> + tau KL(X 1; a) + tau KL(X^T 1; b)`` over ``X >= 0``.

    Parameters
    ----------
    a : array_like, shape (n,)
        Source masses, positive; the sums of a and b may differ.
    b : array_like, shape (m,)
        Target masses, positive.
    cost : array_like, shape (n, m)
        C, finite.
    penalty : float, default 1
        tau, above 0: how much a unit of created or destroyed mass costs, to first order.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, shape or range.

    Notes
    -----
    `measure` gives ``objective`` (of the plan, which is always feasible), ``dual_objective``, ``gap`` (their
    difference, a certificate; the primary metric), ``relative_gap`` and ``mass``. The dual is
    ``max tau sum a (1 - exp(-f/tau)) + tau sum b (1 - exp(-g/tau))`` subject to ``f_i + g_j <= C_ij``. Candidates for f
    are the marginals' own prices ``-tau log(X 1 / a)`` and the drift of the potentials per unit of kappa; g follows as
    the largest feasible one.

    Examples
    --------
    >>> import optlab
    >>> from optlab.splitting import BregmanDouglasRachford
    >>> problem = UnbalancedTransport([1.0, 2.0], [2.0, 0.5], [[0.0, 1.0], [1.0, 0.0]])
    >>> result = optlab.solve(problem, BregmanDouglasRachford(), tol=1e-8)
    >>> result.success
    True
    """

    primary_metric = "gap"

    def __init__(self, a: Any, b: Any, cost: Any, penalty: float = 1.0) -> None:
        self.a = as_data(a, "a", ndim=1, positive=True).astype(np.float64, copy=False)
        self.b = as_data(b, "b", ndim=1, positive=True).astype(np.float64, copy=False)
        self.cost = as_data(cost, "cost", shape=(self.a.size, self.b.size)).astype(np.float64, copy=False)
        self.penalty = as_number(penalty, "penalty", above=0)
        self._log_a, self._log_b = np.log(self.a), np.log(self.b)
        spread = float(np.std(self.cost))
        self.default_step_size = 10.0 / spread if spread > 0 else 1.0

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.a.size} sources, {self.b.size} targets, penalty={self.penalty:g})"

    def default_start(self, rng: np.random.Generator) -> Array:
        """Return the independent plan ``a b^T`` scaled to the geometric mean of the masses."""
        return np.outer(self.a, self.b) / np.sqrt(np.sum(self.a) * np.sum(self.b))

    def initial_mirror(self, x0: Any) -> PlanPotentials:
        """Return the mirror point of `x0`: None, an earlier `UnbalancedPlan`, or a positive plan of rank one."""
        if isinstance(x0, UnbalancedPlan):
            if x0.cost.shape != self.cost.shape:
                raise ValueError(f"x0 must be a plan of shape {self.cost.shape}, got {x0.cost.shape}")
            return x0.potentials
        if x0 is None:
            x0 = self.default_start(np.random.default_rng(0))
        logs = np.log(as_data(x0, "x0", shape=self.cost.shape, positive=True))
        F = logs.mean(axis=1)
        G = (logs - F[:, None]).mean(axis=0)
        if np.max(np.abs(logs - F[:, None] - G)) > 1e-9 * (1.0 + np.max(np.abs(logs))):
            raise ValueError("x0 must be None, an earlier solution, or a plan of the form outer(u, v)")
        return PlanPotentials(F, G, 0.0)

    def resolvent_B(self, mirror: PlanPotentials, step_size: float) -> PlanPotentials:
        """Return the resolvent of the row penalty."""
        share = step_size * self.penalty / (1.0 + step_size * self.penalty)
        rows = mirror.F + _log_sum_exp(mirror.G[None, :] - mirror.kappa * self.cost, axis=1)
        return PlanPotentials(mirror.F + share * (self._log_a - rows), mirror.G, mirror.kappa)

    def resolvent_A(self, mirror: PlanPotentials, step_size: float) -> PlanPotentials:
        """Return the resolvent of the column penalty with the cost."""
        share = step_size * self.penalty / (1.0 + step_size * self.penalty)
        kappa = mirror.kappa + step_size
        columns = mirror.G + _log_sum_exp(mirror.F[:, None] - kappa * self.cost, axis=0)
        return PlanPotentials(mirror.F, mirror.G + share * (self._log_b - columns), kappa)

    def primal(self, mirror: PlanPotentials, drift: PlanPotentials | None = None) -> UnbalancedPlan:
        """Return the plan of a mirror point."""
        return UnbalancedPlan(mirror, drift, self.cost)

    def check_mirror(self, mirror: PlanPotentials) -> None:
        """Nothing to check: the gradient of Shannon's entropy is onto."""

    def mirror_distance(self, x: PlanPotentials, y: PlanPotentials) -> float:
        """Return the relative 1-norm distance of two plans."""
        with np.errstate(over="ignore"):
            first, second = (self.primal(p).dense() for p in (x, y))
        scale = max(float(np.sum(first)), float(np.sum(second)))
        return float(np.sum(np.abs(first - second))) / scale if 0 < scale < np.inf else 2.0

    def measure(self, iterate: Any) -> dict[str, float]:
        """Return objective, dual bound and gap of an `UnbalancedPlan` or of a dense plan of shape (n, m)."""
        drift = None
        if isinstance(iterate, UnbalancedPlan):
            drift = iterate.drift
            with np.errstate(over="ignore", under="ignore"):
                plan = iterate.dense()
            plan = np.minimum(plan, np.finfo(float).max / plan.size)
        else:
            plan = as_data(iterate, "iterate", shape=self.cost.shape, nonnegative=True)
        rows, columns = plan.sum(axis=1), plan.sum(axis=0)
        tau = self.penalty
        destroyed = float(np.sum(special.kl_div(rows, self.a)) + np.sum(special.kl_div(columns, self.b)))
        objective = float(np.sum(self.cost * plan)) + tau * destroyed
        prices = [np.zeros_like(self.a)]
        tiny = np.finfo(float).tiny
        prices.append(-tau * np.log(np.maximum(rows, tiny) / self.a))
        # the same from the columns' side: the largest f that goes with their prices
        prices.append(np.min(self.cost + tau * np.log(np.maximum(columns, tiny) / self.b), axis=1))
        if drift is not None and drift.kappa > 0:
            prices.append(drift.F / drift.kappa)
        dual = max(self._dual_value(f) for f in prices)
        gap = max(0.0, objective - dual)  # below 0 only by rounding
        scale = max(abs(objective), abs(dual))
        return {
            "gap": gap,
            "relative_gap": gap / scale if scale > 0 else 0.0,
            "objective": objective,
            "dual_objective": dual,
            "mass": float(np.sum(plan)),
        }

    def _dual_value(self, f: Array) -> float:
        g = np.min(self.cost - f[:, None], axis=0)
        f = np.min(self.cost - g, axis=1)
        # expm1, and an exponent cap that leaves the bound finite and valid: f and g are lowered no further than needed
        value = 0.0
        for mass, price in ((self.a, f), (self.b, g)):
            exponent = -price / self.penalty
            with np.errstate(over="ignore"):
                value -= self.penalty * float(np.sum(mass * np.expm1(exponent)))
        return value if np.isfinite(value) else -np.finfo(float).max

    def reference_solution(self) -> tuple[Array, float]:
        """Return the optimal plan and value, by CVXPY on the dual (Clarabel; small sizes).

        The plan is the multiplier of ``f_i + g_j <= C_ij``.
        """
        import cvxpy

        cp: Any = cvxpy  # it has no type information

        f, g = cp.Variable(self.a.size), cp.Variable(self.b.size)
        tau = self.penalty
        gain = tau * (self.a @ (1 - cp.exp(-f / tau)) + self.b @ (1 - cp.exp(-g / tau)))
        constraint = f[:, None] + g[None, :] <= self.cost
        program = cp.Problem(cp.Maximize(gain), [constraint])
        program.solve(solver="CLARABEL", tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
        return np.asarray(constraint.dual_value), float(program.value)
