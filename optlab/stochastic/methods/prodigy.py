"""Prodigy (Mishchenko and Defazio, ICML 2024): Adam whose step size is a growing estimate d of the distance.

    r = beta3 r + (d/d0) d <g, x0 - x>           m = beta1 m + (1 - beta1) d g
    s = beta3 s + (d/d0) d g                     v = beta2 v + (1 - beta2) d^2 g*g
    d+ = max(d, r / ||s||_1)                     x+ = x - d m / (sqrt(v) + d+ epsilon)

with ``beta3 = sqrt(beta2)`` and each d in a weight multiplied by `step_size`. Without a limit of the growth this is the
authors' implementation (prodigyopt), step by step.
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
def _prodigy(x, gradient, loss, step_size, k, parameters, memory, vectors):
    beta1, beta2, epsilon, d0 = parameters[0], parameters[1], parameters[2], parameters[3]
    weight_decay, growth = parameters[5], parameters[6]
    beta3 = math.sqrt(beta2)
    start, first, second, total = vectors[0], vectors[1], vectors[2], vectors[3]
    d = memory[0]
    rate = step_size * d
    if parameters[4] > 0.0:  # bias correction
        rate *= math.sqrt(1.0 - beta2 ** (k + 1)) / (1.0 - beta1 ** (k + 1))
    inner = 0.0
    size = 0.0
    for j in range(x.size):
        g = float(gradient[j])
        inner += g * (float(start[j]) - float(x[j]))
        first[j] = beta1 * float(first[j]) + (1.0 - beta1) * (d * g)
        second[j] = beta2 * float(second[j]) + (1.0 - beta2) * (d * g) * (d * g)
        s = beta3 * float(total[j]) + (d / d0) * rate * g
        total[j] = s
        size += abs(s)
    memory[1] = beta3 * memory[1] + (d / d0) * rate * inner
    new = d
    if size > 0.0:
        new = max(d, min(memory[1] / size, growth * d))
    memory[0] = new
    mean = 0.0
    for j in range(x.size):
        denominator = math.sqrt(float(second[j])) + new * epsilon
        step = rate * weight_decay * float(x[j])
        if denominator > 0.0:
            step += rate * (float(first[j]) / denominator)
            mean += rate * d / denominator
        x[j] -= step
    return mean / x.size


@dataclass(frozen=True)
class Prodigy(StochasticMethod):
    """Prodigy: Adam without a step size to choose.

    Parameters
    ----------
    step_size : float or callable, default 1.0
        Multiplier of the adapted step size.
    beta1, beta2 : float, default 0.9, 0.999
    epsilon : float, default 1e-8
    d0 : float, default 1e-6
        First estimate of the distance to a solution.
    growth : float, default inf
        Largest factor by which the estimate may grow in a step. The authors' ``growth_rate`` is another rule: it keeps
        the largest quotient r / ||s||_1 seen beside d, and lets the first jump, out of `d0`, pass.
    bias_correction : bool, default False
        Multiply the step by Adam's bias correction (as in Optax; off in the authors' code).
    weight_decay : float, default 0.0
        Decoupled.
    batch_size : int, default 1
    sampling : {"replacement", "shuffle", "sequential"}, default "replacement"
    trace : bool, default False
        The traced step size is the mean over the coordinates.

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import LeastSquares, Prodigy
    >>> problem = LeastSquares([[1.0], [0.5]], [2.0, 1.0])
    >>> result = optlab.solve(problem, Prodigy(batch_size=2), max_iter=3000)
    >>> bool(abs(result.solution[0] - 2.0) < 0.1)
    True
    """

    step_size: Schedule = 1.0
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    d0: float = 1e-6
    growth: float = math.inf
    bias_correction: bool = False
    weight_decay: float = 0.0

    update: ClassVar[Compiled] = _prodigy
    reference: ClassVar[str] = "mishchenko2024prodigy"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_momentum(self.beta1, "beta1")
        check_momentum(self.beta2, "beta2")
        as_number(self.epsilon, "epsilon", minimum=0)
        as_number(self.d0, "d0", above=0)
        as_number(self.growth, "growth", above=1, finite=False)
        as_number(self.weight_decay, "weight_decay", minimum=0)

    def vectors(self, x: np.ndarray) -> int:
        return 4

    def parameters(self, problem: FiniteSum) -> tuple[float, ...]:
        correction = float(self.bias_correction)
        return (self.beta1, self.beta2, self.epsilon, self.d0, correction, self.weight_decay, self.growth)

    def initial_memory(self, problem: FiniteSum) -> tuple[float, ...]:
        return (self.d0, 0.0)

    def init(self, problem: FiniteSum, x0: Any, rng: np.random.Generator) -> StochasticState:
        """Return the state at iteration 0, which keeps the start."""
        state = super().init(problem, x0, rng)
        state.vectors[0] = state.x
        return state

    def measure(self, problem: FiniteSum, state: StochasticState) -> dict[str, float]:
        """Return the epoch and ``distance_estimate``, the estimate d of the distance to a solution."""
        return super().measure(problem, state) | {"distance_estimate": float(state.memory[0])}
