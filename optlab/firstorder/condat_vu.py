"""The method of Condat and Vu, and the primal-dual hybrid gradient method (PDHG), which is it without a smooth part."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from optlab.core.contract.slots import Slot
from optlab.core.validation import as_number
from optlab.firstorder.base import BEHIND_OPERATORS, PROXIMAL, SMOOTH
from optlab.firstorder.primal_dual import PrimalDualMethod, PrimalDualState


@dataclass(frozen=True)
class CondatVu(PrimalDualMethod):
    """The primal-dual method of Condat (2013, Algorithm 3.1) and Vu (2013), for ``f(x) + g(x) + h(K x)``.

    It converges for ``1/tau - sigma ||K||^2 >= L/2``, which cannot be weakened.

    Parameters
    ----------
    step_size : float, optional
        tau. Default: as large as the condition allows, at most 1/L.
    dual_step_size : float, optional
        sigma. Default: ``1/(ratio ||K||)``, or what the condition leaves where tau is given.
    ratio : float, default 1.0
        How much larger the primal step is than the dual one: about the size of x over that of y is a good choice.

    References
    ----------
    Condat (2013), A primal-dual splitting method for convex optimization involving Lipschitzian, proximable and linear
    composite terms.

    Examples
    --------
    >>> import numpy as np, optlab
    >>> from optlab.bregman.functions import Box, L1Norm, LeastSquares
    >>> from optlab.composite import CompositeProblem
    >>> from optlab.firstorder import CondatVu
    >>> from optlab.linalg import FiniteDifferences
    >>> A, b = np.eye(4), np.array([1.0, 1.2, 3.0, 3.1])
    >>> problem = CompositeProblem(LeastSquares(A, b), Box(0.0, 3.0), 0.2 * L1Norm() @ FiniteDifferences(4))
    >>> np.asarray(optlab.solve(problem, CondatVu(), tol=1e-9).solution).round(4)
    array([1.2 , 1.2 , 2.95, 2.95])
    """

    step_size: float | None = None
    dual_step_size: float | None = None
    ratio: float = 1.0
    reference: ClassVar[str] = "condat2013primal"
    slots: ClassVar[tuple[Slot, ...]] = (SMOOTH, PROXIMAL, BEHIND_OPERATORS)

    def init(self, problem: Any, x0: Any, rng: Any) -> PrimalDualState:
        """Return the state at iteration 0."""
        return self._initial(problem, x0)

    def step(self, problem: Any, state: PrimalDualState) -> PrimalDualState:
        """Return the state one iteration later."""
        split = problem.split(self.slots)
        oracles, tau, sigma = split.counted(), state.step_size, state.dual_step_size
        slope = oracles.adjoint(state.y)
        if split.f.terms:
            slope = oracles.gradient(state.x) + slope
        z = state.x - tau * slope
        x = oracles.proximal(z, tau)
        image = oracles.apply(x)
        dual_z = [y + sigma * (2.0 * new - old) for y, new, old in zip(state.y, image, state.image)]
        y = oracles.dual_proximal(dual_z, sigma)
        shown = {"z": z, "at": state.x, "w": x, "tau": tau, "y": y, "dual_z": dual_z, "sigma": sigma}
        return PrimalDualState(state.k + 1, state.work + oracles.work, x, y, image, tau, sigma, shown)


@dataclass(frozen=True)
class PDHG(PrimalDualMethod):
    """The primal-dual hybrid gradient method (Chambolle and Pock 2011, Algorithms 1 and 2), for ``g(x) + h(K x)``.

    It converges for ``tau sigma ||K||^2 <= 1``; then ``L(X_K, v) - L(u, Y_K) <= P(z - z_0)/(2K)`` for the means of K
    points. With ``strong_convexity`` the step sizes change so that ``||x_k - x*||^2 = O(1/k^2)``.

    Euclidean only: problems in another geometry are refused.

    Parameters
    ----------
    step_size, dual_step_size : float, optional
        tau and sigma. Default: ``ratio/||K||`` and ``1/(ratio ||K||)``.
    ratio : float, default 1.0
        About the size of x over that of y is a good choice.
    strong_convexity : float, default 0
        mu of g: above 0, the accelerated form (Algorithm 2).

    References
    ----------
    Chambolle, Pock (2011), A first-order primal-dual algorithm for convex problems with applications to imaging.

    Examples
    --------
    >>> import numpy as np, optlab
    >>> from optlab.bregman.functions import L1Norm, SquaredDistance
    >>> from optlab.composite import CompositeProblem
    >>> from optlab.firstorder import PDHG
    >>> from optlab.linalg import FiniteDifferences
    >>> b = np.array([1.0, 1.2, 3.0, 3.1])
    >>> problem = CompositeProblem(SquaredDistance(b), 0.2 * L1Norm() @ FiniteDifferences(4))
    >>> np.asarray(optlab.solve(problem, PDHG(), tol=1e-9).solution).round(4)
    array([1.2 , 1.2 , 2.95, 2.95])
    """

    step_size: float | None = None
    dual_step_size: float | None = None
    ratio: float = 1.0
    strong_convexity: float = 0.0
    reference: ClassVar[str] = "chambolle2011first"
    slots: ClassVar[tuple[Slot, ...]] = (PROXIMAL, BEHIND_OPERATORS)

    def __post_init__(self) -> None:
        super().__post_init__()
        mu = as_number(self.strong_convexity, "strong_convexity", minimum=0)
        object.__setattr__(self, "strong_convexity", mu)

    def init(self, problem: Any, x0: Any, rng: Any) -> PrimalDualState:
        """Return the state at iteration 0."""
        return self._initial(problem, x0)

    def step(self, problem: Any, state: PrimalDualState) -> PrimalDualState:
        """Return the state one iteration later."""
        oracles, tau, sigma = problem.split(self.slots).counted(), state.step_size, state.dual_step_size
        z = state.x - tau * oracles.adjoint(state.y)
        x = oracles.proximal(z, tau)
        image = oracles.apply(x)
        theta = 1.0
        if self.strong_convexity:
            # Algorithm 2, its dual step first: the ratio of the next primal step size extrapolates
            theta = 1.0 / math.sqrt(1.0 + 2.0 * self.strong_convexity * tau)
        next_tau, next_sigma = theta * tau, sigma / theta
        dual_z = [
            y + next_sigma * ((1.0 + theta) * new - theta * old) for y, new, old in zip(state.y, image, state.image)
        ]
        y = oracles.dual_proximal(dual_z, next_sigma)
        shown = {"z": z, "at": state.x, "w": x, "tau": tau, "y": y, "dual_z": dual_z, "sigma": next_sigma}
        return PrimalDualState(state.k + 1, state.work + oracles.work, x, y, image, next_tau, next_sigma, shown)

    def same_map(self, before: PrimalDualState, after: PrimalDualState) -> bool:
        """Return whether the step sizes are those of the iteration before."""
        return before.step_size == after.step_size
