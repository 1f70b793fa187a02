"""Gradient descent, ``x+ = x - t grad f(x)``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from optlab.composite.split import Work
from optlab.core.contract.slots import Slot
from optlab.firstorder.base import DescentState, FirstOrderMethod, PointMap, inverse, optional_step


@dataclass(frozen=True)
class GradientDescent(PointMap, FirstOrderMethod):
    """Gradient descent with a constant step size.

    For convex f and ``t = 1/L``, ``f(x_k) - f* <= L ||x_0 - x*||^2 / (4k + 2)`` (Drori and Teboulle 2014, Theorem 3.1),
    which is attained.

    Parameters
    ----------
    step_size : float, optional
        t. Default: 1/L, with the problem's Lipschitz constant; convergence needs t < 2/L.

    References
    ----------
    Drori, Teboulle (2014), Performance of first-order methods for smooth convex minimization.

    Examples
    --------
    >>> import numpy as np, optlab
    >>> from optlab.bregman.functions import LeastSquares
    >>> from optlab.composite import CompositeProblem
    >>> from optlab.firstorder import GradientDescent
    >>> problem = CompositeProblem(LeastSquares(np.array([[2.0, 0.0], [0.0, 1.0]]), np.ones(2)))
    >>> optlab.solve(problem, GradientDescent(), tol=1e-8).solution.round(6)
    array([0.5, 1. ])
    """

    step_size: float | None = None
    reference: ClassVar[str] = "drori2014performance"
    slots: ClassVar[tuple[Slot, ...]] = (Slot("f", ("gradient", "lipschitz"), at_least=1),)

    def __post_init__(self) -> None:
        object.__setattr__(self, "step_size", optional_step(self.step_size))

    def init(self, problem: Any, x0: Any, rng: Any) -> DescentState:
        """Return the state at iteration 0."""
        split = problem.split(self.slots)
        return DescentState(0, Work(), split.start(x0), self.step_size or inverse(split.f.lipschitz))

    def step(self, problem: Any, state: DescentState) -> DescentState:
        """Return the state one iteration later."""
        oracles = problem.split(self.slots).counted()
        slope = oracles.gradient(state.x)
        x = state.x - state.step_size * slope
        return DescentState(state.k + 1, state.work + oracles.work, x, state.step_size)

    def iterate(self, problem: Any, state: DescentState) -> Any:
        """Return x."""
        return problem.split(self.slots).point(state.x)
