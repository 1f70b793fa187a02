"""Asymmetric forward-backward-adjoint splitting (AFBA): a family that contains the method of Condat and Vu.

Follows Latafat and Patrinos (2017, Algorithm 3): with f by its gradient, g and h by proximal operators,

    xbar = prox_{tau g}(x - tau (grad f(x) + K^T y))
    ybar = prox_{sigma h*}(y + sigma K (theta xbar + (1 - theta) x))
    x+   = xbar - mu (2 - theta) tau K^T (ybar - y)
    y+   = ybar + (1 - mu)(2 - theta) sigma K (xbar - x)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from optlab.core.contract.slots import Slot
from optlab.core.validation import as_number
from optlab.firstorder.base import BEHIND_OPERATORS, PROXIMAL, SMOOTH
from optlab.firstorder.primal_dual import PrimalDualMethod, PrimalDualState, combined, revealed


@dataclass(frozen=True)
class AFBA(PrimalDualMethod):
    """Asymmetric forward-backward-adjoint splitting for ``f(x) + g(x) + h(K x)``.

    With ``theta = 2`` it is `CondatVu`, whatever mu is.

    Parameters
    ----------
    theta : float, default 1.0
        At least 0, at most 2.
    mu : float, default 1.0
        In [0, 1]: how much of the correction is made in x, the rest in y. With 0 or 1 one of the two needs no more
        applications of K than the other form has.
    step_size, dual_step_size, ratio
        As in `CondatVu`; the default satisfies ``(theta^2 - 3 theta + 3) tau sigma ||K||^2 <= 0.99 (1 - tau L/2)``.

    References
    ----------
    Latafat, Patrinos (2017), Asymmetric forward-backward-adjoint splitting for solving monotone inclusions involving
    three operators.

    Examples
    --------
    >>> import numpy as np, optlab
    >>> from optlab.bregman.functions import Box, L1Norm, LeastSquares
    >>> from optlab.composite import CompositeProblem
    >>> from optlab.firstorder import AFBA
    >>> from optlab.linalg import FiniteDifferences
    >>> A, b = np.eye(4), np.array([1.0, 1.2, 3.0, 3.1])
    >>> problem = CompositeProblem(LeastSquares(A, b), Box(0.0, 3.0), 0.2 * L1Norm() @ FiniteDifferences(4))
    >>> np.asarray(optlab.solve(problem, AFBA(), tol=1e-9).solution).round(4)
    array([1.2 , 1.2 , 2.95, 2.95])
    """

    theta: float = 1.0
    mu: float = 1.0
    step_size: float | None = None
    dual_step_size: float | None = None
    ratio: float = 1.0
    reference: ClassVar[str] = "latafat2017asymmetric"
    slots: ClassVar[tuple[Slot, ...]] = (SMOOTH, PROXIMAL, BEHIND_OPERATORS)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "theta", as_number(self.theta, "theta", minimum=0, maximum=2))
        object.__setattr__(self, "mu", as_number(self.mu, "mu", minimum=0, maximum=1))

    def init(self, problem: Any, x0: Any, rng: Any) -> PrimalDualState:
        """Return the state at iteration 0."""
        coupling = 1.0 if self.theta == 2.0 else max(1.0, self.theta**2 - 3.0 * self.theta + 3.0) / 0.99
        return self._initial(problem, x0, coupling)

    def step(self, problem: Any, state: PrimalDualState) -> PrimalDualState:
        """Return the state one iteration later."""
        split = problem.split(self.slots)
        oracles, tau, sigma, theta = split.counted(), state.step_size, state.dual_step_size, self.theta
        slope = oracles.adjoint(state.y)
        if split.f.terms:
            slope = oracles.gradient(state.x) + slope
        z = state.x - tau * slope
        w = oracles.proximal(z, tau)
        image = oracles.apply(w)
        dual_z = [y + sigma * (theta * new + (1.0 - theta) * old) for y, new, old in zip(state.y, image, state.image)]
        ybar = oracles.dual_proximal(dual_z, sigma)
        shown = {"z": z, "at": state.x, "w": w, "tau": tau, "y": ybar, "dual_z": dual_z, "sigma": sigma}
        x, y, back = w, ybar, (2.0 - theta)
        if back and self.mu:
            x = w - (self.mu * back * tau) * oracles.adjoint(combined(1.0, ybar, -1.0, state.y))
        if back and self.mu != 1.0:
            moved = combined(1.0, image, -1.0, state.image)
            y = combined(1.0, ybar, (1.0 - self.mu) * back * sigma, moved)
        if x is not w:
            image = oracles.apply(x)
        return PrimalDualState(state.k + 1, state.work + oracles.work, x, y, image, tau, sigma, shown)

    def iterate(self, problem: Any, state: PrimalDualState) -> Any:
        """Return xbar, which lies in the domain of g, with the subgradients that the iteration has revealed."""
        if state.shown is None:
            return super().iterate(problem, state)
        return problem.split(self.slots).point(state.shown["w"], **revealed(**state.shown))
