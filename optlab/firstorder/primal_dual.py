"""What the primal-dual methods share: states with a dual variable, default step sizes, subgradients in hand.

The problem is ``min f(x) + g(x) + h(K x)``: f with gradients, g and h with proximal operators, K the stacked maps of
the terms of h. The step of Condat (2013) and Vu (2013), which without f is that of Chambolle and Pock (2011):

    x+ = prox_{tau g}(x - tau (grad f(x) + K^T y))
    y+ = prox_{sigma h*}(y + sigma K (2 x+ - x))

with ``1/tau - sigma ||K||^2 >= L/2`` for convergence of the iterates (L the constant of grad f).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from optlab.composite.split import WorkState
from optlab.core.contract.fixed_point import Stacked
from optlab.core.validation import as_number
from optlab.firstorder.base import FirstOrderMethod, optional_step

Array = Any


@dataclass
class PrimalDualState(WorkState):
    """State of a primal-dual method after k iterations.

    Parameters
    ----------
    x : ndarray
        The primal point (a mirror point, in other geometries).
    y : list of ndarray
        The dual variables, one for each term behind an operator.
    image : list of ndarray
        ``K x``.
    step_size, dual_step_size : float
        tau and sigma.
    shown : dict or None
        The subgradients that the last iteration has revealed, as arguments of `Split.point`.
    """

    x: Any
    y: Any
    image: Any
    step_size: float
    dual_step_size: float
    shown: Any = None


def combined(a: float, first: list[Array], b: float, second: list[Array]) -> list[Array]:
    """Return ``a first + b second``, array by array."""
    return [a * u + b * v for u, v in zip(first, second)]


class PrimalDualMethod(FirstOrderMethod):
    """Base of the methods on ``f(x) + g(x) + h(K x)``; fields `step_size`, `dual_step_size`, `ratio`.

    Default step sizes: ``sigma = 1/(ratio ||K||)`` and ``1/tau = max(L, L/2 + sigma ||K||^2)``.
    """

    step_size: float | None
    dual_step_size: float | None
    ratio: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "step_size", optional_step(self.step_size))
        object.__setattr__(self, "dual_step_size", optional_step(self.dual_step_size, "dual_step_size"))
        object.__setattr__(self, "ratio", as_number(self.ratio, "ratio", above=0))

    def _step_sizes(self, split: Any, coupling: float = 1.0) -> tuple[float, float]:
        """Return tau and sigma with ``1/tau - coupling sigma ||K||^2 >= L/2``, where they are not the caller's."""
        K, L = split.h.norm, split.f.lipschitz
        sigma = self.dual_step_size
        if sigma is None and self.step_size is not None:
            room = 1.0 / self.step_size - 0.5 * L
            sigma = room / (coupling * K**2) if K > 0 and room > 0 else 1.0
        elif sigma is None:
            sigma = 1.0 / (self.ratio * K) if K > 0 else 1.0
        if self.step_size is not None:
            return self.step_size, sigma
        # without K, or nearly so, the condition alone would allow the step 2/L, at which nothing contracts
        curvature = max(L, 0.5 * L + coupling * sigma * K**2)
        return (1.0 / curvature if curvature > 0 else 1.0), sigma

    def _initial(self, problem: Any, x0: Any, coupling: float = 1.0) -> PrimalDualState:
        split = problem.split(self.slots)
        x, oracles = split.start(x0), split.counted()
        tau, sigma = self._step_sizes(split, coupling)
        image = oracles.apply(x)
        return PrimalDualState(0, oracles.work, x, split.h.zero(x), image, tau, sigma)

    def iterate(self, problem: Any, state: PrimalDualState) -> Any:
        """Return x with the subgradients that the iteration has revealed."""
        split = problem.split(self.slots)
        if state.shown is None:
            return split.point(state.x)
        return split.point(state.x, **revealed(**state.shown))

    def variable(self, state: PrimalDualState) -> Stacked:
        """Return the primal and the dual variables."""
        return Stacked((state.x, *state.y))

    def with_variable(self, problem: Any, state: PrimalDualState, value: Stacked) -> PrimalDualState:
        """Return `state` with other primal and dual variables."""
        x, *y = value.parts
        return dataclasses.replace(state, x=x, y=y, image=problem.split(self.slots).h.apply(x), shown=None)


def revealed(
    z: Array, at: Array, w: Array, tau: float, y: list[Array], dual_z: list[Array], sigma: float
) -> dict[str, Any]:
    """Return the subgradients of a step ``w = prox_{tau g}(z - tau slope)``, ``y = prox_{sigma h*}(dual_z)``.

    Here `z` is the argument of the first one, `at` the point where f's gradient was taken.
    """
    places = combined(1.0 / sigma, dual_z, -1.0 / sigma, y)
    return {"gradients_at": at, "g": (w, (1.0 / tau) * (z - w)), "h": y, "h_at": places}
