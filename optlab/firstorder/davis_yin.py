"""Davis-Yin three-operator splitting.

Follows Davis and Yin (2017, Algorithm 1):

    x  = prox_{gamma g}(z)
    y  = prox_{gamma p}(2 x - z - gamma grad f(x))
    z+ = z + relaxation (y - x)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from optlab.composite.split import Work, WorkState
from optlab.core.contract.slots import Slot
from optlab.core.validation import as_number
from optlab.firstorder.base import PROXIMAL, SMOOTH, FirstOrderMethod, inverse, optional_step


@dataclass
class DavisYinState(WorkState):
    """State of Davis-Yin splitting: z, and the points x and y of the last iteration with what made them.

    Parameters
    ----------
    z : ndarray
        From which the next iteration goes on.
    step_size : float
        gamma.
    x, y, argument, slope : ndarray or None
        Of the last iteration; the argument of the second proximal operator, and grad f(x). None before it.
    z_before : ndarray or None
        The z that it began with.
    """

    z: Any
    step_size: float
    x: Any = None
    y: Any = None
    z_before: Any = None
    argument: Any = None


@dataclass(frozen=True)
class DavisYin(FirstOrderMethod):
    """Three-operator splitting for ``f + g + p``: f by its gradient, g and p by their proximal operators.

    Without f it is Douglas-Rachford splitting, without g the proximal gradient method. For ``gamma < 2/L`` and
    ``relaxation < 2 - gamma L/2`` the residual obeys ``||y_k - x_k||^2 <= ||z_0 - z*||^2 /
    ((k + 1) relaxation (2 - gamma L/2 - relaxation))`` (Davis and Yin 2017, Theorem 3.1).

    Parameters
    ----------
    step_size : float, optional
        gamma. Default: 1/L.
    relaxation : float, default 1.0

    References
    ----------
    Davis, Yin (2017), A three-operator splitting scheme and its optimization applications.

    Examples
    --------
    >>> import numpy as np, optlab
    >>> from optlab.bregman.functions import Box, L1Norm, LeastSquares
    >>> from optlab.composite import CompositeProblem
    >>> from optlab.firstorder import DavisYin
    >>> problem = CompositeProblem(LeastSquares(np.eye(3), np.array([3.0, -2.0, 0.5])), L1Norm(), Box(0.0, 1.0))
    >>> np.asarray(optlab.solve(problem, DavisYin(), tol=1e-9).solution).round(6) + 0.0
    array([1., 0., 0.])
    """

    step_size: float | None = None
    relaxation: float = 1.0
    reference: ClassVar[str] = "davis2017three"
    slots: ClassVar[tuple[Slot, ...]] = (SMOOTH, PROXIMAL, replace(PROXIMAL, name="p"))

    def __post_init__(self) -> None:
        object.__setattr__(self, "step_size", optional_step(self.step_size))
        object.__setattr__(self, "relaxation", as_number(self.relaxation, "relaxation", above=0, maximum=2))

    def init(self, problem: Any, x0: Any, rng: Any) -> DavisYinState:
        """Return the state at iteration 0."""
        split = problem.split(self.slots)
        return DavisYinState(0, Work(), split.start(x0), self.step_size or inverse(split.f.lipschitz))

    def step(self, problem: Any, state: DavisYinState) -> DavisYinState:
        """Return the state one iteration later."""
        split = problem.split(self.slots)
        oracles, gamma, z = split.counted(), state.step_size, state.z
        x = oracles.proximal(z, gamma)
        argument = 2.0 * x - z
        if split.f.terms:
            argument = argument - gamma * oracles.gradient(x)
        y = oracles.second_proximal(argument, gamma)
        after = z + self.relaxation * (y - x)
        return DavisYinState(state.k + 1, state.work + oracles.work, after, gamma, x, y, z, argument)

    def iterate(self, problem: Any, state: DavisYinState) -> Any:
        """Return x with the subgradients that the proximal operators have revealed; before the first iteration z."""
        split = problem.split(self.slots)
        if state.x is None:
            return split.point(state.z)
        x, y, scale = state.x, state.y, 1.0 / state.step_size
        g, p = (x, scale * (state.z_before - x)), (y, scale * (state.argument - y))
        return split.point(x, gradients_at=x, g=g, p=p)

    def variable(self, state: DavisYinState) -> Any:
        """Return z."""
        return state.z

    def with_variable(self, problem: Any, state: DavisYinState, value: Any) -> DavisYinState:
        """Return `state` with another z."""
        return replace(state, z=value)
