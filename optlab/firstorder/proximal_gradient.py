"""Proximal gradient and mirror descent, in the geometry of the problem's kernel.

Bregman proximal gradient (NoLips; Bauschke, Bolte and Teboulle 2017; Lu, Freund and Nesterov 2018):

    x+ = argmin_u <grad f(x), u> + g(u) + D_h(u, x) / t

or in mirror points ``grad h(x+) = resolvent of t g at  grad h(x) - t grad f(x)``. With the Euclidean kernel it is
``x+ = prox_{t g}(x - t grad f(x))``. Mirror descent is the same update with step sizes that fall.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from optlab.composite.split import Work
from optlab.core.contract.slots import Slot
from optlab.core.validation import as_number, one_of
from optlab.firstorder.base import (
    DescentState,
    FirstOrderMethod,
    PointMap,
    certified,
    inverse,
    is_euclidean,
    needs_whole_space,
    optional_step,
)

Array = Any


class BregmanForwardBackward(PointMap, FirstOrderMethod):
    """What methods have in common whose step is one gradient and one resolvent in the kernel's mirror points."""

    def accepts(self, problem: Any) -> str | None:
        """Accept every geometry."""
        return None

    def _start(self, problem: Any, x0: Any) -> Array:
        split = problem.split(self.slots)
        return split.start(x0) if is_euclidean(split.kernel) else problem.initial_mirror(x0)

    def _forward_backward(self, problem: Any, state: DescentState, t: float) -> DescentState:
        split = problem.split(self.slots)
        oracles = split.counted()
        slope = oracles.gradient(primal(split, state.x))
        x = oracles.proximal(state.x - t * slope, t)
        return DescentState(state.k + 1, state.work + oracles.work, x, t, state.x, slope)

    def iterate(self, problem: Any, state: DescentState) -> Any:
        """Return x with the subgradients that the step has revealed."""
        split = problem.split(self.slots)
        if is_euclidean(split.kernel):
            return certified(split, state)
        return mirrored(split, state)


def primal(split: Any, mirror: Array) -> Array:
    """Return the point behind a mirror point."""
    return mirror if is_euclidean(split.kernel) else split.kernel.conjugate_gradient(mirror)


def mirrored(split: Any, state: Any) -> Any:
    """Return the point behind a state's mirror point x, with its subgradients, remembering the mirror point."""
    x = primal(split, state.x)
    pairs = {}
    if state.at is not None:
        s = (1.0 / state.step_size) * (state.at - state.x) - state.slope
        pairs = {"gradients_at": primal(split, state.at), "g": (x, s)}
    point = split.point(x, **pairs)
    point.mirror = state.x
    return point


@dataclass(frozen=True)
class ProximalGradient(BregmanForwardBackward):
    """(Bregman) proximal gradient descent with a constant step size.

    With f convex and L-smooth relative to the kernel and ``t <= 1/L``, ``F(x_k) - F(u) <= D_h(u, x_0) / (t k)`` for
    every u, and F never rises (Lu, Freund, Nesterov 2018, Theorem 3.1). In Euclidean space the bound is half of that:
    ``L ||x_0 - x*||^2 / (4 k)``. Terms that are not convex are taken too: then F never rises, and the points become
    stationary.

    Parameters
    ----------
    step_size : float, optional
        t. Default: 1/L, from the problem's relative smoothness.

    References
    ----------
    Bauschke, Bolte, Teboulle (2017), A descent lemma beyond Lipschitz gradient continuity.

    Examples
    --------
    >>> import numpy as np, optlab
    >>> from optlab.bregman.functions import L1Norm, LeastSquares
    >>> from optlab.composite import CompositeProblem
    >>> from optlab.firstorder import ProximalGradient
    >>> problem = CompositeProblem(LeastSquares(np.diag([2.0, 1.0]), np.array([2.0, 0.5])), L1Norm())
    >>> np.asarray(optlab.solve(problem, ProximalGradient(), tol=1e-9).solution).round(6)
    array([0.75, 0.  ])
    """

    step_size: float | None = None
    reference: ClassVar[str] = "bauschke2017descent"
    slots: ClassVar[tuple[Slot, ...]] = (
        Slot("f", ("gradient", "relative_smoothness")),
        Slot("g", ("proximal",), at_most=1),
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "step_size", optional_step(self.step_size))

    def init(self, problem: Any, x0: Any, rng: Any) -> DescentState:
        """Return the state at iteration 0."""
        t = self.step_size or inverse(problem.split(self.slots).f.relative_smoothness[0])
        return DescentState(0, Work(), self._start(problem, x0), t)

    def step(self, problem: Any, state: DescentState) -> DescentState:
        """Return the state one iteration later."""
        return self._forward_backward(problem, state, state.step_size)


@dataclass(frozen=True)
class MirrorDescent(BregmanForwardBackward):
    """Mirror descent: ``grad h(x+) = grad h(x) - t_k grad f(x)``, followed by the resolvent of a set, if there is one.

    The gradient need not be Lipschitz, in any sense. On the simplex with the entropy it is the multiplicative update.
    With constant steps ``t = sqrt(2 D0 / T) / G`` the mean of T points is within ``G sqrt(2 D0 / T)`` of the optimum,
    where G bounds the gradients in the dual norm and D0 the divergence from the start (Beck, Teboulle 2003, Theorem
    4.1): wrap it in `optlab.wrappers.Averaged`.

    Parameters
    ----------
    step_size : float, default 1.0
        t_0.
    decay : {"sqrt", "constant"}, default "sqrt"
        ``t_k = t_0 / sqrt(k + 1)``, or constant.

    References
    ----------
    Beck, Teboulle (2003), Mirror descent and nonlinear projected subgradient methods for convex optimization.

    Examples
    --------
    >>> import numpy as np, optlab
    >>> from optlab.bregman import ShannonEntropy
    >>> from optlab.bregman.functions import Linear, Simplex
    >>> from optlab.composite import CompositeProblem
    >>> from optlab.firstorder import MirrorDescent
    >>> problem = CompositeProblem(Linear([1.0, 2.0, 3.0]), Simplex(), kernel=ShannonEntropy())
    >>> result = optlab.solve(problem, MirrorDescent(decay="constant"), tol=1e-9)
    >>> result.success, np.asarray(result.solution).round(6) + 0.0
    (True, array([1., 0., 0.]))
    """

    step_size: float = 1.0
    decay: str = "sqrt"
    reference: ClassVar[str] = "beck2003mirror"
    slots: ClassVar[tuple[Slot, ...]] = (
        Slot("f", ("gradient", "convex")),
        Slot("g", ("proximal", "convex"), at_most=1),
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "step_size", as_number(self.step_size, "step_size", above=0))
        one_of(self.decay, "decay", ("sqrt", "constant"))

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against gradients that are infinite somewhere, and kernels that long steps lead out of."""
        if not problem.kernel.full_dual:
            return f"takes steps of any length, and grad h of {type(problem.kernel).__name__} does not reach all points"
        return needs_whole_space(problem, self.slots)

    def init(self, problem: Any, x0: Any, rng: Any) -> DescentState:
        """Return the state at iteration 0."""
        return DescentState(0, Work(), self._start(problem, x0), self.step_size)

    def step(self, problem: Any, state: DescentState) -> DescentState:
        """Return the state one iteration later."""
        t = self.step_size / math.sqrt(state.k + 1) if self.decay == "sqrt" else self.step_size
        return self._forward_backward(problem, state, t)

    def same_map(self, before: DescentState, after: DescentState) -> bool:
        """Return whether the step size is that of the iteration before."""
        return before.step_size == after.step_size
