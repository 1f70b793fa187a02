"""The step size at which Bregman Douglas-Rachford is an accelerated Sinkhorn iteration, found while it runs.

On entropic transport, ``min <C, X> + eps sum X (log X - 1)``, with the cost and the entropy in the operator A, the
local rate of Bregman Douglas-Rachford at the step size gamma is known (derived here, verified numerically). With the
singular values sigma_1 = 1 > sigma_2 >= ... of ``diag(a)^{-1/2} X diag(b)^{-1/2}`` it is best at

    gamma* = 2 sigma_2 sqrt(1 - sigma_2^2) / eps,    rate sigma_2 / (sigma_2 + sqrt(1 - sigma_2^2)),

about ``1 - sqrt(2 (1 - sigma_2))`` against Sinkhorn's ``sigma_2^2``, about ``1 - 2 (1 - sigma_2)``. At gamma = 1 / eps,
started with row potentials of zero, the iteration *is* Sinkhorn's.

sigma_2 is estimated for free. Within one iteration the column potential G follows from the row potential F by one
scaling, whose derivative is ``-diag(1/b) X^T``. For the differences of successive iterations, freed of their means,

    q = ||dG||_b^2 / ||dF||_a^2   is a Rayleigh quotient: q <= sigma_2^2 near the solution, whatever the step sizes,

and it tends to sigma_2^2 as the slowest mode takes over. The rule starts at Sinkhorn's step size and never exceeds it;
an estimate that is too small costs speed, not convergence, and makes the slowest mode stand out more, which corrects
it. One that is too large would leave the iteration undamped (far from the solution quotients above 1 occur), so that
``gamma eps >= 20 / k``: whatever the estimates, the damping accumulates. With it no run of 300 random problems failed
where Sinkhorn's converged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.core.validation import as_integer

_GROWTH, _DECAY = 1.5, 0.25  # limits on the change of the step size at a time: the carried potential is rescaled by it
_HORIZON = 20.0
_MAXIMUM = 1.0 - 1e-12
_NOISE = 1e-10  # differences below this part of the potentials are roundoff


@dataclass(frozen=True)
class EntropicStepSize:
    """Adaptive step size for `BregmanDouglasRachford` on transport with a regularization; its default there.

    Parameters
    ----------
    period : int, default 10
        Iterations between changes of the step size.

    Examples
    --------
    >>> import optlab
    >>> from optlab.datasets import transport_family
    >>> from optlab.splitting import BregmanDouglasRachford
    >>> from optlab.transport import EntropicStepSize, OptimalTransport, Sinkhorn
    >>> problem = OptimalTransport(*transport_family("l2", 30), regularization=0.005)
    >>> fast = optlab.solve(problem, BregmanDouglasRachford(EntropicStepSize()), tol=1e-10, max_iter=5000)
    >>> plain = optlab.solve(problem, Sinkhorn(), tol=1e-10, max_iter=5000)
    >>> fast.success, fast.n_iter < plain.n_iter / 2
    (True, True)
    """

    period: int = 10

    def __post_init__(self) -> None:
        object.__setattr__(self, "period", as_integer(self.period, "period", minimum=2))

    def first(self, problem: Any) -> float:
        """Return Sinkhorn's step size."""
        if not getattr(problem, "regularization", 0.0) > 0.0:
            raise TypeError("EntropicStepSize needs an OptimalTransport problem with regularization > 0")
        return 1.0 / float(problem.regularization)

    def following(self, problem: Any, before: Any, after: Any) -> tuple[float, Any]:
        """Return the next step size and the Rayleigh quotients since the last change."""
        quotients = list(before.memory or ())
        if before.k > 0:
            quotients.append(rayleigh_quotient(problem, before.y, after.y))
        if after.k % self.period:
            return after.step_size, quotients
        recent = quotients[-max(self.period // 2, 1) :]
        if any(q < 0.0 for q in recent):
            return after.step_size, []
        current = after.step_size * problem.regularization
        gamma = max(self.step_size_for(float(np.median(recent))), _HORIZON / after.k, _DECAY * current)
        return min(gamma, _GROWTH * current, 1.0) / problem.regularization, []

    @staticmethod
    def step_size_for(squared: float) -> float:
        """Return ``gamma* eps`` for a value of sigma_2^2: at most 1, reached at 1/2.

        Examples
        --------
        >>> EntropicStepSize.step_size_for(0.5), round(EntropicStepSize.step_size_for(0.99), 3)
        (1.0, 0.199)
        """
        squared = min(max(squared, 0.5), _MAXIMUM)
        return 2.0 * math.sqrt(squared * (1.0 - squared))


def rayleigh_quotient(problem: Any, before: Any, after: Any) -> float:
    """Return the estimate of sigma_2^2 from two successive points y; -1 where the differences say nothing."""
    if abs(after.inverse_temperature - before.inverse_temperature) > 1e-12 * abs(after.inverse_temperature):
        return -1.0
    row, column = after.row - before.row, after.column - before.column
    # the second marginal's potential was computed from the first one's
    given, made, weight, other, level = row, column, problem.active_a, problem.active_b, after.row
    if problem.first == "columns":
        given, made, weight, other, level = column, row, other, weight, after.column
    size = _spread(weight, given)
    if size <= _NOISE * _spread(weight, level):
        return -1.0
    return (_spread(other, made) / size) ** 2


def _spread(weight: np.ndarray, v: np.ndarray) -> float:
    """Weighted norm without the mean, which is the gauge."""
    total = float(weight.sum())
    centred = v - float(weight @ v) / total
    return math.sqrt(float(weight @ centred**2) / total)
