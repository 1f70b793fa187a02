"""Transport between several marginals on a dense cost tensor, with certified bounds.

The plan is ``log X = F_1 + ... + F_K - kappa C``. One iteration scales all marginals in turn; the extrapolated sweep is
the splitting of the two-marginal case carried over (not proved for K > 2; measured to reach the linear program):

    kappa <- kappa + gamma;   E = 2 F - F_old;   F <- the sweep from E at kappa

With gamma = 0 and kappa = 1/eps it is Sinkhorn's iteration for the regularised problem.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from scipy.special import logsumexp

from optlab.core import Method, State
from optlab.core.validation import as_float_array, as_number
from optlab.transport.plans.relative_gap import relative_gap

Array = Any


class MultiMarginalTransport:
    """Minimise ``<C, X>`` over non-negative tensors with given marginals.

    Parameters
    ----------
    marginals : sequence of array_like
        K weights, K at least 2, positive, of equal sums to 1e-6 relative.
    cost : array_like, shape (n_1, ..., n_K)

    Notes
    -----
    Metrics: ``cost``, of the plan rounded to the exact marginals; ``dual_objective``, a lower bound from potentials of
    which the last is a c-transform; ``gap``; ``relative_gap``, the primary one. Memory is that of a few tensors.

    Examples
    --------
    >>> import optlab
    >>> from optlab.transport import ExtrapolatedSweep, MultiMarginalTransport
    >>> x = np.linspace(0.0, 1.0, 4)
    >>> C = (x[:, None, None] - x[None, :, None]) ** 2 + (x[None, :, None] - x[None, None, :]) ** 2
    >>> problem = MultiMarginalTransport([np.full(4, 0.25)] * 3, C)
    >>> result = optlab.solve(problem, ExtrapolatedSweep(), tol={"gap": 1e-6}, max_iter=2000)
    >>> result.success, abs(result.metrics["cost"]) < 1e-6
    (True, True)
    """

    primary_metric = "relative_gap"

    def __init__(self, marginals: Any, cost: Any) -> None:
        self.cost = as_float_array(cost, "cost").astype(float)
        given = [as_float_array(a, f"marginals[{k}]", ndim=1, positive=True) for k, a in enumerate(marginals)]
        if len(given) < 2:
            raise ValueError(f"marginals must be two or more, got {len(given)}")
        shape = tuple(a.size for a in given)
        if self.cost.shape != shape:
            raise ValueError(f"cost must have the shape of the marginals, {shape}, got {self.cost.shape}")
        self.mass = float(given[0].sum())
        for k, a in enumerate(given):
            if abs(float(a.sum()) - self.mass) > 1e-6 * self.mass:
                raise ValueError(f"marginals[{k}] must have the sum of the first, {self.mass:.9g}, got {a.sum():.9g}")
        self.marginals = [a * (self.mass / a.sum()) for a in given]
        self.count = len(given)
        spread = float(self.cost.max() - self.cost.min())
        self.default_step_size = 30.0 / spread if spread > 0 else 1.0

    def default_start(self, rng: Any) -> None:
        """Return nothing: a run begins with the independent plan."""
        return None

    def along(self, values: Array, axis: int) -> Array:
        """Return a vector as a tensor along one axis."""
        return values.reshape([-1 if k == axis else 1 for k in range(self.count)])

    def log_plan(self, potentials: list[Array], kappa: float) -> Array:
        """Return ``log X``."""
        total = -kappa * self.cost
        for k, F in enumerate(potentials):
            total = total + self.along(F, k)
        return total

    def scale_marginals(self, potentials: list[Array], kappa: float) -> list[Array]:
        """Return the potentials after every marginal has been met in turn."""
        F = list(potentials)
        for k in range(self.count):
            others = tuple(i for i in range(self.count) if i != k)
            sums = logsumexp(self.log_plan(F, kappa), axis=others)
            F[k] = F[k] + np.log(self.marginals[k]) - sums
        return F

    def measure(self, iterate: Any) -> dict[str, float]:
        """Return the certified bounds of a `TensorPlan`."""
        return {
            "cost": iterate.cost,
            "dual_objective": iterate.dual_objective,
            "gap": max(iterate.cost - iterate.dual_objective, 0.0),
            "relative_gap": iterate.relative_gap,
        }


class TensorPlan:
    """A plan of a `MultiMarginalTransport`, rounded to the exact marginals, with its certificate."""

    def __init__(self, problem: MultiMarginalTransport, potentials: list[Array], kappa: float) -> None:
        self.problem, self._logs, self._kappa = problem, potentials, kappa

    @cached_property
    def potentials(self) -> list[Array]:
        """Feasible potentials: the last is the largest that the others allow."""
        problem = self.problem
        f = [F / self._kappa if self._kappa > 0 else np.zeros_like(F) for F in self._logs[:-1]]
        slack = problem.cost
        for k, values in enumerate(f):
            slack = slack - problem.along(values, k)
        return [*f, slack.min(axis=tuple(range(problem.count - 1)))]

    @cached_property
    def dual_objective(self) -> float:
        """The lower bound."""
        return math.fsum(float(a @ f) for a, f in zip(self.problem.marginals, self.potentials))

    @cached_property
    def array(self) -> Array:
        """The plan as an array: scaled down to the marginals, what is missing added as a product."""
        problem = self.problem
        X = np.exp(np.minimum(problem.log_plan(self._logs, self._kappa), 700.0))
        for k, a in enumerate(problem.marginals):
            others = tuple(i for i in range(problem.count) if i != k)
            sums = X.sum(axis=others)
            X = X * problem.along(np.minimum(1.0, np.divide(a, sums, out=np.ones_like(a), where=sums > 0)), k)
        missing = []
        for k, a in enumerate(problem.marginals):
            others = tuple(i for i in range(problem.count) if i != k)
            missing.append(np.maximum(a - X.sum(axis=others), 0.0))
        lost = float(missing[0].sum())
        if lost > 0.0:
            product = np.ones([1] * problem.count) * lost
            for k, rest in enumerate(missing):
                product = product * problem.along(rest / max(float(rest.sum()), 1e-300), k)
            X = X + product
        return X

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self.array, dtype=dtype)

    @cached_property
    def cost(self) -> float:
        """``<C, X>``."""
        return float(np.sum(self.problem.cost * self.array))

    @cached_property
    def relative_gap(self) -> float:
        """The gap over what the bounds prove of the optimum."""
        terms = sum(float(a @ np.abs(f)) for a, f in zip(self.problem.marginals, self.potentials))
        upper = float(np.sum(np.abs(self.problem.cost) * self.array))
        return float(relative_gap(self.cost, self.dual_objective, upper_terms=4 * upper, lower_terms=4 * terms))


@dataclass
class SweepState(State):
    """State after k sweeps: potentials, those before, and kappa."""

    potentials: list[Array]
    before: list[Array]
    kappa: float = 0.0


@dataclass(frozen=True)
class ExtrapolatedSweep(Method):
    """The extrapolated sweep over all marginals, for transport without regularization.

    Parameters
    ----------
    step_size : float, optional
        gamma. Default: 30 over the spread of the cost.

    Examples
    --------
    >>> import numpy as np, optlab
    >>> from optlab.transport import ExtrapolatedSweep, MultiMarginalTransport
    >>> rng = np.random.default_rng(0)
    >>> problem = MultiMarginalTransport([np.full(5, 0.2)] * 3, rng.random((5, 5, 5)))
    >>> optlab.solve(problem, ExtrapolatedSweep(), tol=1e-3, max_iter=5000).success
    True
    """

    step_size: float | None = None
    requires: ClassVar[tuple[str, ...]] = ("scale_marginals", "log_plan")
    needs: ClassVar[str] = "a transport problem between several marginals (MultiMarginalTransport)"
    reference: ClassVar[str] = "ma2025bregman"

    def __post_init__(self) -> None:
        if self.step_size is not None:
            object.__setattr__(self, "step_size", as_number(self.step_size, "step_size", above=0))

    def init(self, problem: MultiMarginalTransport, x0: Any, rng: Any) -> SweepState:
        """Return the state at iteration 0: the independent plan."""
        shift = (problem.count - 1) / problem.count * math.log(problem.mass)
        F = [np.log(a) - shift for a in problem.marginals]
        return SweepState(0, F, F)

    def step(self, problem: MultiMarginalTransport, state: SweepState) -> SweepState:
        """Return the state one sweep later."""
        kappa = state.kappa + (self.step_size or problem.default_step_size)
        ahead = [2.0 * F - old for F, old in zip(state.potentials, state.before)]
        return SweepState(state.k + 1, problem.scale_marginals(ahead, kappa), state.potentials, kappa)

    def iterate(self, problem: MultiMarginalTransport, state: SweepState) -> TensorPlan:
        """Return the plan."""
        return TensorPlan(problem, state.potentials, state.kappa)
