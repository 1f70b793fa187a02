"""Proximal gradient with step sizes from the local curvature, without line search and without constants (adaPGM).

Follows Latafat, Themelis, Stella and Patrinos (arXiv 2301.04431) in the family (q, r) of arXiv 2311.18431: with
``dx = x_k - x_{k-1}``, ``dg = grad f(x_k) - grad f(x_{k-1})``, ``l = <dg, dx>/||dx||^2``, ``L = ||dg||/||dx||``,

    gamma+ = gamma min( sqrt(1/q + gamma/gamma_before),
                        sqrt( (1 - r/q) / [1 - 2r + gamma^2 L^2 + 2 gamma l (r - 1)]_+ ) )
    x+     = prox_{gamma+ g}(x - gamma+ grad f(x))
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.composite.split import Work
from optlab.core.contract.slots import Slot
from optlab.core.validation import as_number
from optlab.firstorder.base import (
    PROXIMAL,
    DescentState,
    FirstOrderMethod,
    certified,
    needs_whole_space,
    optional_step,
)
from optlab.linalg.lbfgs import inner


@dataclass
class AdaptiveState(DescentState):
    """State of `AdaptiveProximalGradient`; `step_before` is the step size before the last one."""

    step_before: float = 1.0


def next_step_size(gamma: float, gamma_before: float, dx: Any, dg: Any, q: float, r: float) -> float:
    """Return the rule's next step size from the last one, the one before, and the last changes of x and gradient."""
    squared = inner(dx, dx)
    l, L2 = inner(dg, dx) / squared, inner(dg, dg) / squared
    growth = math.sqrt(1.0 / q + gamma / gamma_before)
    denominator = 1.0 - 2.0 * r + gamma**2 * L2 + 2.0 * gamma * l * (r - 1.0)
    if denominator <= 0.0:
        return gamma * growth
    return gamma * min(growth, math.sqrt((1.0 - r / q) / denominator))


@dataclass(frozen=True)
class AdaptiveProximalGradient(FirstOrderMethod):
    """Proximal gradient with adaptive step sizes (adaPGM), for convex f with a locally Lipschitz gradient.

    One gradient an iteration, no value, no constant. For ``q = 2r`` the function
    ``||x_k - x*||^2/2 + ||x_k - x_{k-1}||^2/2 + gamma_k (1 + q rho_k)(F(x_{k-1}) - F*)`` never rises (Theorem 2.2).

    Parameters
    ----------
    q, r : float, defaults 5/3 and 5/6
        (1, 1/2) is the original rule; (3/2, 3/4) is never shorter than that of Malitsky and Mishchenko (2023).
    first_step_size : float, optional
        Default: by one trial step.

    References
    ----------
    Latafat, Themelis, Stella, Patrinos (2023), Adaptive proximal algorithms for convex optimization under local
    Lipschitz continuity of the gradient, arXiv 2301.04431.

    Examples
    --------
    >>> import numpy as np, optlab
    >>> from optlab.bregman.functions import L1Norm, Logistic
    >>> from optlab.composite import CompositeProblem
    >>> from optlab.firstorder import AdaptiveProximalGradient
    >>> rng = np.random.default_rng(0)
    >>> features, labels = rng.standard_normal((30, 5)), np.sign(rng.standard_normal(30))
    >>> problem = CompositeProblem(Logistic(features, labels), 0.5 * L1Norm())
    >>> optlab.solve(problem, AdaptiveProximalGradient(), tol=1e-9).success
    True
    """

    q: float = 5 / 3
    r: float = 5 / 6
    first_step_size: float | None = None
    reference: ClassVar[str] = "latafat2023adaptive"
    slots: ClassVar[tuple[Slot, ...]] = (Slot("f", ("gradient", "convex"), at_least=1), PROXIMAL)

    def __post_init__(self) -> None:
        object.__setattr__(self, "q", as_number(self.q, "q", minimum=1))
        object.__setattr__(self, "r", as_number(self.r, "r", minimum=0.5, below=self.q))
        object.__setattr__(self, "first_step_size", optional_step(self.first_step_size, "first_step_size"))

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against other geometries, and against terms whose gradients do not exist somewhere."""
        return super().accepts(problem) or needs_whole_space(problem, self.slots)

    def init(self, problem: Any, x0: Any, rng: Any) -> AdaptiveState:
        """Return the state at iteration 0, with the first step size from a trial step of length 0.1."""
        split = problem.split(self.slots)
        x, oracles, gamma = split.start(x0), split.counted(), self.first_step_size
        if gamma is None:
            slope = oracles.gradient(x)
            trial = oracles.proximal(x - 0.1 * slope, 0.1)
            dx = trial - x
            curvature = inner(dx, oracles.gradient(trial) - slope)
            gamma = inner(dx, dx) / curvature if curvature > 0 else 1.0
            gamma = gamma if 0 < gamma < math.inf else 1.0
        return AdaptiveState(0, oracles.work, x, gamma, step_before=gamma)

    def step(self, problem: Any, state: AdaptiveState) -> AdaptiveState:
        """Return the state one iteration later."""
        oracles = problem.split(self.slots).counted()
        slope, gamma = oracles.gradient(state.x), state.step_size
        if state.at is not None:
            dx = state.x - state.at
            # at convergence dx is rounding noise, whose curvature says nothing
            noise = float(np.finfo(dx.dtype).eps) ** 0.5
            if math.sqrt(inner(dx, dx)) > noise * (1.0 + math.sqrt(inner(state.x, state.x))):
                gamma = next_step_size(gamma, state.step_before, dx, slope - state.slope, self.q, self.r)
        x = oracles.proximal(state.x - gamma * slope, gamma)
        work: Work = state.work + oracles.work
        return AdaptiveState(state.k + 1, work, x, gamma, state.x, slope, state.step_size)

    def iterate(self, problem: Any, state: AdaptiveState) -> Any:
        """Return x with the subgradients that the step has revealed."""
        return certified(problem.split(self.slots), state)
