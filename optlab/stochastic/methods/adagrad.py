"""AdaGrad, one step size for all coordinates (AdaGrad-norm) or one for each.

AdaGrad-norm (Ward, Wu, Bottou, JMLR 2020): ``S += ||g||^2``, ``x+ = x - step_size g / sqrt(b0^2 + S)``. AdaGrad (Duchi,
Hazan, Singer, JMLR 2011) does the same in every coordinate; with ``epsilon`` outside the root, as PyTorch has it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from numba import njit

from optlab.compiled.functions import Compiled
from optlab.compiled.rules import step_rule, update_rule
from optlab.core.validation import as_number
from optlab.stochastic.loop.method import StochasticMethod
from optlab.stochastic.loop.schedules import Schedule
from optlab.stochastic.problems.finite_sum import FiniteSum


@step_rule
def _adagrad_norm(loss, squared_norm, step_size, k, parameters, memory):
    memory[0] += squared_norm
    root = math.sqrt(parameters[0] * parameters[0] + memory[0])
    return step_size / root if root > 0.0 else 0.0


@dataclass(frozen=True)
class AdaGradNorm(StochasticMethod):
    """Stochastic gradient method with step size ``step_size / sqrt(b0^2 + sum of squared gradient norms)``.

    Parameters
    ----------
    step_size : float or callable, default 1.0
    b0 : float, default 0.1
        Initial value under the root; 0 makes the first step one of length `step_size`.
    batch_size : int, default 1
    sampling : {"replacement", "shuffle", "sequential"}, default "replacement"
    trace : bool, default False

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import AdaGradNorm, LeastSquares
    >>> problem = LeastSquares([[1.0], [0.5]], [2.0, 1.0])
    >>> optlab.solve(problem, AdaGradNorm(), max_iter=500, seed=0).solution.round(6)
    array([2.])
    """

    step_size: Schedule = 1.0
    b0: float = 0.1

    rule: ClassVar[Compiled] = _adagrad_norm
    reference: ClassVar[str] = "ward2020adagrad"

    def __post_init__(self) -> None:
        super().__post_init__()
        as_number(self.b0, "b0", minimum=0)

    def parameters(self, problem: FiniteSum) -> tuple[float, ...]:
        return (self.b0,)

    def initial_memory(self, problem: FiniteSum) -> tuple[float, ...]:
        return (0.0,)


# summation order is free in this loop, so that it runs in vector instructions
@njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _move(x, gradient, squares, step_size, epsilon):
    total = 0.0
    for j in range(x.size):
        g = float(gradient[j])
        s = float(squares[j]) + g * g
        squares[j] = s
        denominator = math.sqrt(s) + epsilon
        inverse = 1.0 / denominator if denominator > 0.0 else 0.0
        x[j] -= step_size * (g * inverse)
        total += inverse
    return step_size * total / x.size


@update_rule
def _adagrad(x, gradient, loss, step_size, k, parameters, memory, vectors):
    return _move(x, gradient, vectors[0], step_size, parameters[0])


@dataclass(frozen=True)
class AdaGrad(StochasticMethod):
    """AdaGrad: ``s += g*g``, ``x+ = x - step_size g / (sqrt(s) + epsilon)``, coordinate by coordinate.

    Parameters
    ----------
    step_size : float or callable, default 0.01
    epsilon : float, default 1e-10
    batch_size, sampling, trace
        As for `AdaGradNorm`; the traced step size is the mean over the coordinates.

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import AdaGrad, LeastSquares
    >>> problem = LeastSquares([[1.0, 0.0], [0.0, 5.0]], [2.0, 5.0])
    >>> optlab.solve(problem, AdaGrad(1.0), max_iter=2000, seed=0).solution.round(6)
    array([2., 1.])
    """

    step_size: Schedule = 0.01
    epsilon: float = 1e-10

    update: ClassVar[Compiled] = _adagrad
    reference: ClassVar[str] = "duchi2011adaptive"

    def __post_init__(self) -> None:
        super().__post_init__()
        as_number(self.epsilon, "epsilon", minimum=0)

    def vectors(self, x) -> int:
        return 1

    def parameters(self, problem: FiniteSum) -> tuple[float, ...]:
        return (self.epsilon,)
