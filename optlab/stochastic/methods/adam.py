"""Adam, with the weight decay in the gradient (Adam) or beside it (AdamW).

Kingma and Ba (ICLR 2015): ``m = beta1 m + (1 - beta1) g``, ``v = beta2 v + (1 - beta2) g*g``,
``x+ = x - step_size (m / (1 - beta1^k)) / (sqrt(v / (1 - beta2^k)) + epsilon)``, k from 1. AdamW (Loshchilov and
Hutter, ICLR 2019) subtracts ``step_size weight_decay x`` as well, PyTorch's scaling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from numba import njit

from optlab.compiled.functions import Compiled
from optlab.compiled.rules import update_rule
from optlab.core.validation import as_number
from optlab.stochastic.loop.method import StochasticMethod, check_momentum
from optlab.stochastic.loop.schedules import Schedule
from optlab.stochastic.problems.finite_sum import FiniteSum


# summation order is free in this loop, so that it runs in vector instructions
@njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _move(x, gradient, first, second, step_size, beta1, beta2, correction1, correction2, epsilon, coupled, shrink):
    total = 0.0
    for j in range(x.size):
        old = float(x[j])
        g = float(gradient[j]) + coupled * old
        m = beta1 * float(first[j]) + (1.0 - beta1) * g
        v = beta2 * float(second[j]) + (1.0 - beta2) * g * g
        first[j] = m
        second[j] = v
        denominator = math.sqrt(v * correction2) + epsilon
        inverse = 1.0 / denominator if denominator > 0.0 else 0.0
        x[j] = shrink * old - step_size * (m * correction1 * inverse)
        total += inverse
    return step_size * total / x.size


@update_rule
def _adam(x, gradient, loss, step_size, k, parameters, memory, vectors):
    beta1, beta2, epsilon, weight_decay, decoupled = (
        parameters[0], parameters[1], parameters[2], parameters[3], parameters[4],
    )  # fmt: skip
    correction1 = 1.0 / (1.0 - beta1 ** (k + 1))
    correction2 = 1.0 / (1.0 - beta2 ** (k + 1))
    coupled, shrink = weight_decay, 1.0
    if decoupled > 0.0:
        coupled, shrink = 0.0, 1.0 - step_size * weight_decay
    return _move(
        x, gradient, vectors[0], vectors[1], step_size, beta1, beta2, correction1, correction2, epsilon, coupled, shrink
    )


@dataclass(frozen=True)
class Adam(StochasticMethod):
    """Adam: momentum and one step size per coordinate from running means of gradients and of their squares.

    Parameters
    ----------
    step_size : float or callable, default 0.001
    beta1, beta2 : float, default 0.9, 0.999
        Decay of the two running means.
    epsilon : float, default 1e-8
    weight_decay : float, default 0.0
        Added to the gradient, ``g + weight_decay x``; see `AdamW` for the decoupled one.
    batch_size : int, default 1
    sampling : {"replacement", "shuffle", "sequential"}, default "replacement"
    trace : bool, default False
        The traced step size is the mean over the coordinates.

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import Adam, LeastSquares
    >>> problem = LeastSquares([[1.0], [0.5]], [2.0, 1.0])
    >>> optlab.solve(problem, Adam(0.05), max_iter=3000, seed=0).solution.round(6)
    array([2.])
    """

    step_size: Schedule = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    update: ClassVar[Compiled] = _adam
    decoupled: ClassVar[bool] = False
    reference: ClassVar[str] = "kingma2015adam"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_momentum(self.beta1, "beta1")
        check_momentum(self.beta2, "beta2")
        as_number(self.epsilon, "epsilon", minimum=0)
        as_number(self.weight_decay, "weight_decay", minimum=0)

    def vectors(self, x) -> int:
        return 2

    def parameters(self, problem: FiniteSum) -> tuple[float, ...]:
        return (self.beta1, self.beta2, self.epsilon, self.weight_decay, float(self.decoupled))


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay: every step also subtracts ``step_size weight_decay x``.

    Parameters
    ----------
    step_size, beta1, beta2, epsilon, batch_size, sampling, trace
        As for `Adam`.
    weight_decay : float, default 0.01

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import AdamW, LeastSquares
    >>> problem = LeastSquares([[1.0], [0.5]], [2.0, 1.0])
    >>> bool(optlab.solve(problem, AdamW(0.05, weight_decay=1e-3), max_iter=3000, seed=0).solution[0] < 2.0)
    True
    """

    weight_decay: float = 0.01

    decoupled: ClassVar[bool] = True
    reference: ClassVar[str] = "loshchilov2019decoupled"
