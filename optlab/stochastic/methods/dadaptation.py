"""D-Adaptation for SGD (Defazio and Mishchenko, ICML 2023): the step size from a growing lower bound of the distance.

With ``lambda_k = step_size d_k / ||g_0||`` and s = 0, n = 0 at the start, each step does
``n += lambda_k <g, s>``, ``s += lambda_k g``, ``d_{k+1} = max(d_k, min(2 n / ||s||, growth d_k))``, ``z = x0 - s``,
``x+ = momentum x + (1 - momentum) z``: the authors' implementation of the SGD form.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.compiled.functions import Compiled
from optlab.compiled.rules import update_rule
from optlab.core.validation import as_number
from optlab.stochastic.loop.method import StochasticMethod, StochasticState, check_momentum
from optlab.stochastic.loop.schedules import Schedule
from optlab.stochastic.problems.finite_sum import FiniteSum


@update_rule
def _dadaptation(x, gradient, loss, step_size, k, parameters, memory, vectors):
    momentum, growth = parameters[0], parameters[1]
    start, total = vectors[0], vectors[1]
    # memory: d, the numerator n, the norm of the first gradient that is not zero
    if memory[2] == 0.0:
        square = 0.0
        for j in range(x.size):
            square += float(gradient[j]) * float(gradient[j])
        memory[2] = math.sqrt(square)
    lam = step_size * (memory[0] / memory[2]) if memory[2] > 0.0 else 0.0
    inner = 0.0
    square = 0.0
    for j in range(x.size):
        g = float(gradient[j])
        s = float(total[j])
        inner += g * s
        s += lam * g
        total[j] = s
        square += s * s
        x[j] = momentum * float(x[j]) + (1.0 - momentum) * (float(start[j]) - s)
    memory[1] += lam * inner
    if square > 0.0:
        memory[0] = max(memory[0], min(2.0 * memory[1] / math.sqrt(square), growth * memory[0]))
    return lam


@dataclass(frozen=True)
class DAdaptation(StochasticMethod):
    """SGD with D-Adaptation: no step size to choose.

    Parameters
    ----------
    step_size : float or callable, default 1.0
        Multiplier of the adapted step size.
    momentum : float, default 0.9
    d0 : float, default 1e-6
        First lower bound of the distance to a solution.
    growth : float, default inf
        Largest factor by which the bound may grow in a step.
    batch_size : int, default 1
    sampling : {"replacement", "shuffle", "sequential"}, default "replacement"
    trace : bool, default False

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import DAdaptation, LeastSquares
    >>> problem = LeastSquares([[1.0], [0.5]], [2.0, 1.0])
    >>> optlab.solve(problem, DAdaptation(batch_size=2), max_iter=2000).solution.round(4)
    array([2.])
    """

    step_size: Schedule = 1.0
    momentum: float = 0.9
    d0: float = 1e-6
    growth: float = math.inf

    update: ClassVar[Compiled] = _dadaptation
    reference: ClassVar[str] = "defazio2023learning"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_momentum(self.momentum)
        as_number(self.d0, "d0", above=0)
        as_number(self.growth, "growth", above=1, finite=False)

    def vectors(self, x: np.ndarray) -> int:
        return 2

    def heavy_ball(self, k: int) -> tuple[float, float]:
        return 0.0, 1.0  # `momentum` is the update rule's

    def parameters(self, problem: FiniteSum) -> tuple[float, ...]:
        return (self.momentum, self.growth)

    def initial_memory(self, problem: FiniteSum) -> tuple[float, ...]:
        return (self.d0, 0.0, 0.0)

    def init(self, problem: FiniteSum, x0: Any, rng: np.random.Generator) -> StochasticState:
        """Return the state at iteration 0, which keeps the start."""
        state = super().init(problem, x0, rng)
        state.vectors[0] = state.x
        return state

    def measure(self, problem: FiniteSum, state: StochasticState) -> dict[str, float]:
        """Return the epoch and ``distance_estimate``, the lower bound d of the distance to a solution."""
        return super().measure(problem, state) | {"distance_estimate": float(state.memory[0])}
