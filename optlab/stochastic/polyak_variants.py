"""Step sizes that grew out of Polyak's: DecSPS, ALI-G and AdaSPS.

f and g are loss and gradient of the step's sample or batch, l is the known lower bound of f (0 by default).

* DecSPS (Orvieto, Lacoste-Julien, Loizou, NeurIPS 2022): ``gamma_k = min{(f - l)/||g||^2, c_{k-1} gamma_{k-1}} / c_k``
  with ``c_k = c0 sqrt(k + 1)``, ``c_{-1} = c0`` and ``gamma_{-1}`` the largest step. Converges without interpolation.
* ALI-G (Berrada, Zisserman, Kumar, ICML 2020): ``gamma = min{step_size, f / (||g||^2 + delta)}``. Its projection on
  a ball, the paper's regularisation, is not here: regularise by the problem's ``l2``.
* AdaSPS (Jiang and Stich, NeurIPS 2023): ``gamma_k = min{(f - l) / (c ||g||^2 sqrt(S_k)), gamma_{k-1}}`` with S_k the
  sum of the values f - l so far.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from optlab.core.validation import as_number
from optlab.stochastic.compilation import Compiled, step_rule
from optlab.stochastic.method import StochasticMethod, freeze_bounds
from optlab.stochastic.problem import FiniteSum
from optlab.stochastic.schedules import Schedule


@step_rule
def _decsps(loss, squared_norm, step_size, k, parameters, memory):
    # memory: c_{k-1} gamma_{k-1}
    scaled = memory[0]
    if k == 0:
        scaled = parameters[0] * step_size
    if squared_norm > 0.0:
        scaled = min(max(loss, 0.0) / squared_norm, scaled)
    memory[0] = scaled
    return scaled / (parameters[0] * math.sqrt(k + 1.0))


@dataclass(frozen=True)
class DecSPS(StochasticMethod):
    """Decreasing stochastic Polyak step size, which converges where SPS stalls.

    Parameters
    ----------
    step_size : float, default 1.0
        Largest step (gamma_b).
    scaling : float, default 1.0
        The constant c0 of ``c_k = c0 sqrt(k + 1)``.
    lower_bound : float or array_like, optional
        Known lower bounds of the losses, one or one per sample; default: 0. At a loss at or below its bound the step,
        and with it every later one, is 0: that is the rule.
    batch_size : int, default 1
    sampling : {"replacement", "shuffle", "sequential"}, default "replacement"
    trace : bool, default False

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import DecSPS, LeastSquares
    >>> problem = LeastSquares([[1.0], [1.0]], [0.0, 1.0])
    >>> result = optlab.solve(problem, DecSPS(batch_size=2), max_iter=1000)
    >>> result.solution.round(4)
    array([0.5])
    """

    step_size: float = 1.0
    scaling: float = 1.0
    lower_bound: Any = None

    rule: ClassVar[Compiled] = _decsps
    reference: ClassVar[str] = "orvieto2022dynamics"

    def __post_init__(self) -> None:
        as_number(self.step_size, "step_size", above=0)
        super().__post_init__()
        as_number(self.scaling, "scaling", above=0)
        freeze_bounds(self)

    def parameters(self, problem: FiniteSum) -> tuple[float, ...]:
        return (self.scaling,)

    def initial_memory(self, problem: FiniteSum) -> tuple[float, ...]:
        return (0.0,)


@step_rule
def _alig(loss, squared_norm, step_size, k, parameters, memory):
    denominator = squared_norm + parameters[0]
    if denominator <= 0.0:
        return 0.0
    return min(step_size, max(loss, 0.0) / denominator)


@dataclass(frozen=True)
class ALIG(StochasticMethod):
    """Adaptive learning rates for interpolation with gradients: Polyak's step, capped and damped.

    Parameters
    ----------
    step_size : float or callable, default 1.0
        Largest step.
    delta : float, default 1e-5
        Added to the squared gradient norm.
    lower_bound : float or array_like, optional
        Known lower bounds of the losses, one or one per sample; default: 0.
    batch_size : int, default 1
    sampling : {"replacement", "shuffle", "sequential"}, default "replacement"
    trace : bool, default False

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import ALIG, LeastSquares
    >>> problem = LeastSquares([[3.0], [1.0]], [6.0, 2.0])
    >>> optlab.solve(problem, ALIG(10.0), max_iter=100, seed=0).solution.round(3)
    array([2.])
    """

    step_size: Schedule = 1.0
    delta: float = 1e-5
    lower_bound: Any = None

    rule: ClassVar[Compiled] = _alig
    reference: ClassVar[str] = "berrada2020training"

    def __post_init__(self) -> None:
        super().__post_init__()
        as_number(self.delta, "delta", minimum=0)
        freeze_bounds(self)

    def parameters(self, problem: FiniteSum) -> tuple[float, ...]:
        return (self.delta,)


@step_rule
def _adasps(loss, squared_norm, step_size, k, parameters, memory):
    # memory: sum of the losses, last step size, the constant c
    value = max(loss, 0.0)
    if memory[2] == 0.0 and value > 0.0:
        memory[2] = parameters[0] / math.sqrt(value)
    memory[0] += value
    if squared_norm > 0.0:
        bound = 0.0
        if value > 0.0:
            bound = min(value / squared_norm / (memory[2] * math.sqrt(memory[0])), 1e300)
        memory[1] = min(bound, memory[1])
        return memory[1]
    return 0.0


@dataclass(frozen=True)
class AdaSPS(StochasticMethod):
    """Stochastic Polyak step size divided by the root of the sum of losses; nothing to tune, never increasing.

    Parameters
    ----------
    scaling : float, default 1.0
        Multiplies the constant ``c = 1 / sqrt(f - l)`` of the first step, which makes the first step Polyak's own.
    lower_bound : float or array_like, optional
        Known lower bounds of the losses, one or one per sample; default: 0.
    batch_size : int, default 1
    sampling : {"replacement", "shuffle", "sequential"}, default "replacement"
    trace : bool, default False

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import AdaSPS, LeastSquares
    >>> problem = LeastSquares([[1.0], [1.0]], [0.0, 1.0])
    >>> optlab.solve(problem, AdaSPS(batch_size=2), max_iter=2000, x0=[3.0]).solution.round(4)
    array([0.5])
    """

    scaling: float = 1.0
    lower_bound: Any = None

    rule: ClassVar[Compiled] = _adasps
    reference: ClassVar[str] = "jiang2023adaptive"

    def __post_init__(self) -> None:
        super().__post_init__()
        as_number(self.scaling, "scaling", above=0)
        freeze_bounds(self)

    def parameters(self, problem: FiniteSum) -> tuple[float, ...]:
        return (self.scaling,)

    def initial_memory(self, problem: FiniteSum) -> tuple[float, ...]:
        return (0.0, math.inf, 0.0)
