"""Lion-K: sign-like momentum methods as Frank-Wolfe on the set that weight decay defines.

Follows Chen, Liu, Liang and Liu (2024, arXiv 2310.05898, equation (2)):

    mt = b1 m - (1 - b1) grad f(x)
    m+ = b2 m - (1 - b2) grad f(x)
    x+ = x + eps (grad K(mt) - lam x)

which minimises ``f(x) + K*(lam x)/lam``. The problem states the second term, ``phi(x) = K*(lam x)/lam``, and not K:
``grad K(mt) = lam grad phi*(mt)``. For the indicator of a set ``grad phi*`` is its linear maximiser. Lion is
``K = l1``: the box ``|x_i| <= 1/lam``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.bregman.functions import Box
from optlab.composite.split import Work
from optlab.core.contract.slots import Slot
from optlab.core.validation import as_number
from optlab.firstorder.base import DescentState, FirstOrderMethod, needs_whole_space


@dataclass
class LionState(DescentState):
    """State of `LionK`; `momentum` is m."""

    momentum: Any = None


@dataclass(frozen=True)
class LionK(FirstOrderMethod):
    """Lion-K for a smooth f on a bounded set: the box for Lion, other sets for other K.

    Inside the set the distance to it is zero; from outside it falls by ``1 - eps lam`` an iteration (Theorem 3.1).
    With ``beta1 = beta2 = 0`` it is Frank-Wolfe with constant steps ``eps lam``.

    Parameters
    ----------
    learning_rate : float, default 1e-3
        eps.
    weight_decay : float, default 1.0
        lam; at most 1/eps. It scales the step only: the set is in the problem.
    beta1, beta2 : float, defaults 0.9 and 0.99

    References
    ----------
    Chen, Liu, Liang, Liu (2024), Lion secretly solves constrained optimization: as Lyapunov predicts.

    Examples
    --------
    >>> import numpy as np, optlab
    >>> from optlab.bregman.functions import Box, LeastSquares
    >>> from optlab.composite import CompositeProblem
    >>> from optlab.firstorder import LionK
    >>> problem = CompositeProblem(LeastSquares(np.eye(2), np.array([3.0, -0.2])), Box(-1.0, 1.0))
    >>> np.asarray(optlab.solve(problem, LionK(1e-3), max_iter=10_000).solution).round(2)
    array([ 1. , -0.2])
    """

    learning_rate: float = 1e-3
    weight_decay: float = 1.0
    beta1: float = 0.9
    beta2: float = 0.99
    reference: ClassVar[str] = "chen2024lion"
    slots: ClassVar[tuple[Slot, ...]] = (
        Slot("f", ("gradient",), at_least=1),
        Slot("g", ("linear_minimizer", "convex"), at_most=1, at_least=1),
    )

    def __post_init__(self) -> None:
        for name in ("learning_rate", "weight_decay"):
            object.__setattr__(self, name, as_number(getattr(self, name), name, above=0))
        for name in ("beta1", "beta2"):
            object.__setattr__(self, name, as_number(getattr(self, name), name, minimum=0, below=1))
        if self.learning_rate * self.weight_decay > 1:
            raise ValueError(
                "learning_rate * weight_decay must be at most 1, got "
                f"{self.learning_rate:g} * {self.weight_decay:g}: x would jump over the set"
            )

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against other geometries, and against terms whose gradients do not exist somewhere."""
        return super().accepts(problem) or needs_whole_space(problem, self.slots)

    def init(self, problem: Any, x0: Any, rng: Any) -> LionState:
        """Return the state at iteration 0."""
        x = problem.split(self.slots).start(x0)
        return LionState(0, Work(), x, self.learning_rate * self.weight_decay, momentum=np.zeros_like(x))

    def step(self, problem: Any, state: LionState) -> LionState:
        """Return the state one iteration later."""
        split = problem.split(self.slots)
        oracles, m = split.counted(), state.momentum
        slope = oracles.gradient(state.x)
        mt = self.beta1 * m - (1.0 - self.beta1) * slope
        vertex = np.asarray(oracles.linear_minimizer(-mt), dtype=state.x.dtype)
        target = split.g.term.function
        if isinstance(target, Box):  # sign(0) = 0: the middle of the face
            vertex = np.where(mt == 0, np.asarray(0.5 * (target.lower + target.upper), vertex.dtype), vertex)
        x = state.x + state.step_size * (vertex - state.x)
        m = self.beta2 * m - (1.0 - self.beta2) * slope
        return LionState(state.k + 1, state.work + oracles.work, x, state.step_size, momentum=m)

    def iterate(self, problem: Any, state: LionState) -> Any:
        """Return x, which from outside the set approaches it; what is measured is a point of the set."""
        return problem.split(self.slots).point(state.x)
