"""Accelerated Bregman proximal gradient (ABPG) with gain adaptation.

Follows Hanzely, Richtarik and Xiao (2021, arXiv 1808.03045, Algorithms 1 and 3): with ``z_0 = x_0`` and ``theta_0 = 1``

    y  = (1 - theta) x + theta z
    z+ = argmin_u <grad f(y), u> + g(u) + theta^(gamma-1) G L D_h(u, z)
    x+ = (1 - theta) x + theta z+

and theta+ solves ``(1 - theta+) / (theta+^gamma G+) = 1 / (theta^gamma G)``. The gain G is made as small as
``f(x+) <= f(y) + <grad f(y), x+ - y> + theta^gamma G L D_h(z+, z)`` allows. What holds afterwards, whatever the kernel:
``F(x_{k+1}) - F(u) <= theta_k^gamma G_k L D_h(u, x_0)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from optlab.composite.split import Work
from optlab.core.contract.slots import Slot
from optlab.core.validation import as_number
from optlab.firstorder.base import DescentState, FirstOrderMethod, is_euclidean
from optlab.firstorder.proximal_gradient import primal
from optlab.linalg.lbfgs import inner


@dataclass
class AcceleratedBregmanState(DescentState):
    """State of `AcceleratedBregman`: x is the mirror point of z; `averaged` is the primal point x of the paper.

    Parameters
    ----------
    averaged : ndarray
        The iterate.
    theta, gain : float
        Of the last iteration; theta 0 before the first.
    """

    averaged: Any = None
    theta: float = 0.0
    gain: float = 1.0

    def certificate(self, gamma: float, lipschitz: float) -> float:
        """Return ``theta_k^gamma G_k L``: the factor of ``D_h(u, x_0)`` in the bound."""
        return self.theta**gamma * self.gain * lipschitz


def next_theta(theta: float, ratio: float, gamma: float) -> float:
    """Return the root of ``(1 - t) / t^gamma = 1 / (theta^gamma ratio)`` in (0, 1], for ``ratio = G / G+``.

    Examples
    --------
    >>> round(next_theta(1.0, 1.0, 2.0), 6)
    0.618034
    """
    target = 1.0 / (theta**gamma * ratio)
    low, high, t = 0.0, 1.0, theta
    for _ in range(200):
        excess = (1.0 - t) - target * t**gamma  # decreasing in t
        low, high = (t, high) if excess > 0 else (low, t)
        newton = t + excess / (1.0 + target * gamma * t ** (gamma - 1.0))
        following = newton if low < newton < high else 0.5 * (low + high)
        if abs(following - t) <= 1e-15 * t:
            break
        t = following
    return t


@dataclass(frozen=True)
class AcceleratedBregman(FirstOrderMethod):
    """Accelerated Bregman proximal gradient with gain adaptation.

    Parameters
    ----------
    exponent : float, default 2.0
        gamma: at most the kernel's triangle-scaling exponent for an a-priori rate ``(gamma/(k + gamma))^gamma``: 2 for
        the Euclidean kernel, 1 for Shannon's and the Fermi-Dirac entropy, 0 for Burg's. With gains it may be larger;
        the bound is a-posteriori then.
    adapt : bool, default True
        Adapt the gains, at about two gradients' cost an iteration; otherwise ``G = 1``.
    shrink : float, default 1.2
        Factor by which the gain is divided before each iteration, and multiplied after a refusal.

    References
    ----------
    Hanzely, Richtarik, Xiao (2021), Accelerated Bregman proximal gradient methods for relatively smooth convex
    optimization.

    Examples
    --------
    >>> import numpy as np, optlab
    >>> from optlab.bregman import ShannonEntropy
    >>> from optlab.bregman.functions import KullbackLeibler, Simplex
    >>> from optlab.composite import CompositeProblem
    >>> from optlab.firstorder import AcceleratedBregman
    >>> loss = KullbackLeibler(np.array([0.1, 0.2, 0.4]))
    >>> problem = CompositeProblem(loss, Simplex(), kernel=ShannonEntropy())
    >>> np.asarray(optlab.solve(problem, AcceleratedBregman(exponent=1.0), tol=1e-8).solution).round(4)
    array([0.1429, 0.2857, 0.5714])
    """

    exponent: float = 2.0
    adapt: bool = True
    shrink: float = 1.2
    reference: ClassVar[str] = "hanzely2021accelerated"
    slots: ClassVar[tuple[Slot, ...]] = (
        Slot("f", ("gradient", "relative_smoothness", "convex")),
        Slot("g", ("proximal", "convex"), at_most=1),
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "exponent", as_number(self.exponent, "exponent", minimum=1))
        object.__setattr__(self, "shrink", as_number(self.shrink, "shrink", above=1))

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against problems whose smooth part has a known constant of 0: there is nothing to scale."""
        return None

    def init(self, problem: Any, x0: Any, rng: Any) -> AcceleratedBregmanState:
        """Return the state at iteration 0."""
        split = problem.split(self.slots)
        L = split.f.relative_smoothness[0] or 1.0
        mirror = split.start(x0) if is_euclidean(split.kernel) else problem.initial_mirror(x0)
        return AcceleratedBregmanState(0, Work(), mirror, 1.0 / L, averaged=primal(split, mirror))

    def step(self, problem: Any, state: AcceleratedBregmanState) -> AcceleratedBregmanState:
        """Return the state one iteration later."""
        split = problem.split(self.slots)
        oracles, kernel, gamma = split.counted(), split.kernel, self.exponent
        L = split.f.relative_smoothness[0] or 1.0
        x, z = state.averaged, primal(split, state.x)
        gain = state.gain / self.shrink if self.adapt else 1.0
        while True:
            theta = next_theta(state.theta, state.gain / gain, gamma) if state.k else 1.0
            y = (1.0 - theta) * x + theta * z
            t = 1.0 / (theta ** (gamma - 1.0) * gain * L)
            if not self.adapt:
                slope = oracles.gradient(y)
                mirror = oracles.proximal(state.x - t * slope, t)
                x_after = (1.0 - theta) * x + theta * primal(split, mirror)
                break
            value, slope = oracles.value_and_gradient(y)
            mirror = oracles.proximal(state.x - t * slope, t)
            z_after = primal(split, mirror)
            x_after = (1.0 - theta) * x + theta * z_after
            distance = float(kernel.divergence(z_after, z))
            model = value + inner(slope, x_after - y) + theta**gamma * gain * L * distance
            if distance < 1e-15 or not oracles.value(x_after) > model + 1e-14 * abs(value):
                break
            gain *= self.shrink
        work = state.work + oracles.work
        return AcceleratedBregmanState(state.k + 1, work, mirror, t, state.x, slope, x_after, theta, gain)

    def iterate(self, problem: Any, state: AcceleratedBregmanState) -> Any:
        """Return the averaged point x."""
        return problem.split(self.slots).point(state.averaged)

    def measure(self, problem: Any, state: AcceleratedBregmanState) -> dict[str, float]:
        """Return step size, gain, and the counts of oracle calls."""
        return super().measure(problem, state) | {"gain": state.gain, "theta": state.theta}
