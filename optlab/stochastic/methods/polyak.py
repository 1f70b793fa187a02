"""Polyak's step size in its stochastic forms: SPS and SPS_max, DecSPS, ALI-G, AdaSPS.

f and g are loss and gradient of the step's sample or batch, l is the known lower bound of f (0 by default).

* SPS (Loizou, Vaswani, Laradji, Lacoste-Julien, arXiv 2002.10542): ``gamma = min{(f - l) / (c ||g||^2), cap}``. With
  the full gradient, c = 1 and l = f*, it is Polyak's own step size.
* DecSPS (Orvieto, Lacoste-Julien, Loizou, NeurIPS 2022): ``gamma_k = min{(f - l)/||g||^2, c_{k-1} gamma_{k-1}} / c_k``
  with ``c_k = c0 sqrt(k + 1)``, ``c_{-1} = c0`` and ``gamma_{-1}`` the largest step. Converges without interpolation.
* ALI-G (Berrada, Zisserman, Kumar, ICML 2020): ``gamma = min{step_size, f / (||g||^2 + delta)}``, then a projection
  onto a ball, the paper's regularisation, if there is one.
* AdaSPS (Jiang and Stich, NeurIPS 2023): ``gamma_k = min{(f - l) / (c ||g||^2 sqrt(S_k)), gamma_{k-1}}`` with S_k the
  sum of the values f - l so far.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from numba import njit

from optlab.compiled.functions import Compiled
from optlab.compiled.rules import step_rule, update_rule
from optlab.core.validation import as_number
from optlab.stochastic.loop.method import StochasticMethod, check_momentum, freeze_bounds
from optlab.stochastic.loop.schedules import Schedule
from optlab.stochastic.problems.finite_sum import FiniteSum


@njit(cache=True, error_model="numpy")
def polyak_quotient(loss, squared_norm):
    """``loss / squared_norm``, at most 1e300; 0 where the loss is at its bound or there is no gradient."""
    if loss <= 0.0 or squared_norm <= 0.0:
        return 0.0
    return min(loss / squared_norm, 1e300)


@step_rule
def _polyak(loss, squared_norm, step_size, k, parameters, memory):
    scaling, growth = parameters[0], parameters[1]
    cap = step_size
    if growth > 0.0:
        cap = memory[0] * growth
    gamma = min(polyak_quotient(loss, scaling * squared_norm), cap)
    memory[0] = gamma if squared_norm > 0.0 else cap
    return gamma


@dataclass(frozen=True)
class PolyakSGD(StochasticMethod):
    """Stochastic gradient method with the Polyak step size (SPS, SPS_max).

    Parameters
    ----------
    max_step_size : float, callable or None, default None
        Cap of the step size (SPS_max), or a schedule of it; None: no cap (SPS).
    scaling : float, default 0.5
        The constant c; 1/2 is the reference implementation's, 1 the value of the convex theory.
    smooth : bool, default False
        Cap by the last step size times ``2^(batch_size / N)`` instead; `max_step_size` (or 1) is then the first.
    momentum : float, default 0.0
        Damped heavy ball, as for `NGN`.
    lower_bound : float or array_like, optional
        Known lower bounds of the losses, one or one per sample; default: 0.
    batch_size, sampling, trace
        As for `NGN`.

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import LeastSquares
    >>> problem = LeastSquares([[3.0, 0.0], [1.0, 1.0]], [6.0, 1.0])
    >>> optlab.solve(problem, PolyakSGD(scaling=1.0), max_iter=500, seed=0).solution.round(6)
    array([ 2., -1.])
    """

    max_step_size: Schedule | None = None
    scaling: float = 0.5
    smooth: bool = False
    momentum: float = 0.0
    lower_bound: Any = None

    rule: ClassVar[Compiled] = _polyak
    schedule: ClassVar[str] = "max_step_size"
    reference: ClassVar[str] = "loizou2021stochastic"

    def __post_init__(self) -> None:
        super().__post_init__()
        as_number(self.scaling, "scaling", above=0)
        check_momentum(self.momentum)
        freeze_bounds(self)
        if self.smooth and callable(self.max_step_size):
            raise ValueError("smooth=True takes a number as max_step_size (the first cap), not a schedule")

    def parameters(self, problem: FiniteSum) -> tuple[float, ...]:
        growth = 2.0 ** (self.batch_size / problem.n_samples) if self.smooth else 0.0
        return (self.scaling, growth)

    def initial_memory(self, problem: FiniteSum) -> tuple[float, ...]:
        first = self.max_step_size
        return (1.0 if first is None or callable(first) else float(first),)


@step_rule
def _decsps(loss, squared_norm, step_size, k, parameters, memory):
    # memory: c_{k-1} gamma_{k-1}
    scaled = memory[0]
    if k == 0:
        scaled = parameters[0] * step_size
    if squared_norm > 0.0:
        scaled = min(polyak_quotient(loss, squared_norm), scaled)
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
    return min(step_size, polyak_quotient(loss, squared_norm + parameters[0]))


@update_rule
def _alig_in_ball(x, gradient, loss, step_size, k, parameters, memory, vectors):
    squared_norm = 0.0
    for j in range(x.size):
        squared_norm += float(gradient[j]) * float(gradient[j])
    gamma = min(step_size, polyak_quotient(loss, squared_norm + parameters[0]))
    length = 0.0
    for j in range(x.size):
        x[j] -= gamma * float(gradient[j])
        length += float(x[j]) * float(x[j])
    length = math.sqrt(length)
    if length > parameters[1]:
        for j in range(x.size):
            x[j] *= parameters[1] / length
    return gamma


@dataclass(frozen=True)
class ALIG(StochasticMethod):
    """Adaptive learning rates for interpolation with gradients: Polyak's step, capped and damped.

    Parameters
    ----------
    step_size : float or callable, default 1.0
        Largest step.
    delta : float, default 1e-5
        Added to the squared gradient norm.
    radius : float, optional
        Project onto the ball of this radius around 0 after every step; default: no projection.
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
    radius: float | None = None
    lower_bound: Any = None

    reference: ClassVar[str] = "berrada2020training"

    def __post_init__(self) -> None:
        super().__post_init__()
        as_number(self.delta, "delta", minimum=0)
        if self.radius is not None:
            as_number(self.radius, "radius", above=0)
        freeze_bounds(self)

    @property
    def rule(self) -> Compiled | None:  # type: ignore[override]
        """The step rule, without a ball."""
        return _alig if self.radius is None else None

    @property
    def update(self) -> Compiled | None:  # type: ignore[override]
        """The update rule, with a ball."""
        return None if self.radius is None else _alig_in_ball

    def parameters(self, problem: FiniteSum) -> tuple[float, ...]:
        return (self.delta,) if self.radius is None else (self.delta, self.radius)


@step_rule
def _adasps(loss, squared_norm, step_size, k, parameters, memory):
    # memory: sum of the losses, last step size, the constant c
    value = max(loss, 0.0)
    if memory[2] == 0.0 and value > 0.0:
        memory[2] = parameters[0] / math.sqrt(value)
    memory[0] += value
    if squared_norm > 0.0:
        bound = polyak_quotient(value, squared_norm)
        if value > 0.0:
            bound = min(bound / (memory[2] * math.sqrt(memory[0])), 1e300)
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
