"""Stochastic gradient descent with a constant, decaying or user-defined step size, and heavy-ball momentum.

``x+ = x - w step_size g + momentum (x - x_previous)``, with w = 1 - momentum (damped, so that the effective step does
not depend on the momentum; what NGN-M is compared with) or w = 1 (Polyak's heavy ball).

At a constant step size w = 1 is PyTorch's ``SGD(momentum=...)``, step by step. Under a schedule it is not: here a
gradient keeps the step size at which it was taken, PyTorch and Optax keep a sum of gradients and multiply all of it by
the present one. Nor is w = 1 - momentum PyTorch's ``dampening=momentum``, which does not damp the first gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from optlab.compiled.functions import Compiled
from optlab.compiled.rules import step_rule
from optlab.stochastic.loop.method import StochasticMethod, check_momentum
from optlab.stochastic.loop.schedules import Schedule


@step_rule
def _sgd(loss, squared_norm, step_size, k, parameters, memory):
    return step_size


@dataclass(frozen=True)
class SGD(StochasticMethod):
    """Stochastic gradient descent.

    Parameters
    ----------
    step_size : float or callable
        A number, or a schedule k -> step size such as `Decaying`. Stable below 2/L only, L the smoothness constant.
    batch_size : int, default 1
    momentum : float, default 0.0
        In [0, 1).
    damped : bool, default True
        Whether the gradient step is multiplied by 1 - momentum. (PyTorch's convention is False, at a constant step
        size; under a schedule the two differ.)
    sampling : {"replacement", "shuffle", "sequential"}, default "replacement"
    trace : bool, default False

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import LeastSquares
    >>> problem = LeastSquares([[1.0], [0.5]], [2.0, 1.0])
    >>> optlab.solve(problem, SGD(0.9), max_iter=200, seed=0).solution.round(6)
    array([2.])
    """

    step_size: Schedule
    momentum: float = 0.0
    damped: bool = True

    rule: ClassVar[Compiled] = _sgd
    reference: ClassVar[str] = "robbins1951stochastic"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_momentum(self.momentum)

    @classmethod
    def example(cls) -> SGD:
        """Return the method with a small constant step."""
        return cls(step_size=0.01)

    def heavy_ball(self, k: int) -> tuple[float, float]:
        return self.momentum, 1.0 - self.momentum if self.damped else 1.0
