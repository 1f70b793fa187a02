"""Stochastic Polyak step sizes: SPS, SPS_max and its smoothed cap.

``gamma = min{ (f - l) / (c ||g||^2), cap }`` with f, g and the lower bound l of the same sample or batch (Loizou,
Vaswani, Laradji, Lacoste-Julien, arXiv 2002.10542). With the full gradient, c = 1 and l = f*, it is Polyak's own step
size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from optlab.core.validation import as_number
from optlab.stochastic.compilation import Compiled, step_rule
from optlab.stochastic.method import StochasticMethod, check_momentum, freeze_bounds
from optlab.stochastic.problem import FiniteSum
from optlab.stochastic.schedules import Schedule


@step_rule
def _polyak(loss, squared_norm, step_size, k, parameters, memory):
    scaling, growth = parameters[0], parameters[1]
    cap = step_size
    if growth > 0.0:
        cap = memory[0] * growth
    gamma = 0.0
    if loss > 0.0 and squared_norm > 0.0:
        gamma = min(loss / (scaling * squared_norm), cap, 1e300)
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
