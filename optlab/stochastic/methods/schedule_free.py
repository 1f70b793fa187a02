"""Schedule-Free SGD (Defazio, Yang, Mehta, Mishchenko, Khaled, Cutkosky, NeurIPS 2024).

Gradients are taken at ``y = (1 - momentum) z + momentum x``, between the base sequence ``z+ = z - step_size g(y)`` and
its running average ``x+ = (1 - c) x + c z+``, which is the result. With a constant step size c = 1/(k+1); with
warm-up, z+ counts with the square of the largest step size so far.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.compiled.functions import Compiled
from optlab.compiled.rules import update_rule
from optlab.core.validation import as_number
from optlab.stochastic.loop.method import StochasticMethod, StochasticState, check_momentum, keep_integer
from optlab.stochastic.loop.schedules import Schedule
from optlab.stochastic.problems.finite_sum import FiniteSum


@update_rule
def _schedule_free(x, gradient, loss, step_size, k, parameters, memory, vectors):
    momentum, warmup, weight_decay = parameters[0], parameters[1], parameters[2]
    gamma = step_size
    if k + 1 < warmup:
        gamma *= (k + 1) / warmup
    # memory: largest step size so far; sum of its squares in units of its square, which neither over- nor underflows
    if gamma > memory[0]:
        memory[1] *= (memory[0] / gamma) ** 2
        memory[0] = gamma
    memory[1] += 1.0
    c = 1.0 / memory[1]
    base, average = vectors[0], vectors[1]
    for j in range(x.size):
        g = float(gradient[j]) + weight_decay * float(x[j])
        z = float(base[j]) - gamma * g
        a = (1.0 - c) * float(average[j]) + c * z
        base[j] = z
        average[j] = a
        x[j] = (1.0 - momentum) * z + momentum * a
    return gamma


@dataclass(frozen=True)
class ScheduleFree(StochasticMethod):
    """Schedule-Free SGD: the averaging that a decaying schedule stands for, without knowing the end of the run.

    Parameters
    ----------
    step_size : float or callable, default 1.0
    momentum : float, default 0.9
        Position of the point where gradients are taken, between the base sequence (0) and the average (1).
    warmup : int, default 0
        Iterations over which the step size grows linearly.
    weight_decay : float, default 0.0
        Added to the gradient, ``g + weight_decay y``.
    batch_size : int, default 1
    sampling : {"replacement", "shuffle", "sequential"}, default "replacement"
    trace : bool, default False
        The traced loss and gradient are those at y.

    Notes
    -----
    The result is the average x, `StochasticState.x` is y. An iterate average on top (`Averaged`) would be that of y.

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import LeastSquares, ScheduleFree
    >>> problem = LeastSquares([[1.0], [1.0]], [0.0, 1.0])
    >>> result = optlab.solve(problem, ScheduleFree(0.5), max_iter=4000, seed=0)
    >>> bool(abs(result.solution[0] - 0.5) < 0.05)
    True
    """

    step_size: Schedule = 1.0
    momentum: float = 0.9
    warmup: int = 0
    weight_decay: float = 0.0

    update: ClassVar[Compiled] = _schedule_free
    reference: ClassVar[str] = "defazio2024road"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_momentum(self.momentum)
        keep_integer(self, "warmup", minimum=0)
        as_number(self.weight_decay, "weight_decay", minimum=0)

    def vectors(self, x: np.ndarray) -> int:
        return 2

    def heavy_ball(self, k: int) -> tuple[float, float]:
        return 0.0, 1.0  # `momentum` is the update rule's

    def parameters(self, problem: FiniteSum) -> tuple[float, ...]:
        return (self.momentum, float(self.warmup), self.weight_decay)

    def initial_memory(self, problem: FiniteSum) -> tuple[float, ...]:
        return (0.0, 0.0)

    def init(self, problem: FiniteSum, x0: Any, rng: np.random.Generator) -> StochasticState:
        """Return the state at iteration 0, with x = y = z."""
        state = super().init(problem, x0, rng)
        state.vectors[:] = state.x
        return state

    def point(self, state: StochasticState) -> np.ndarray:
        """Return the average."""
        return state.vectors[1]
