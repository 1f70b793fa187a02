"""The golden ratio algorithm, with steps from the operator's own differences.

    zb = ((phi - 1) z + zb) / phi,    z+ = prox_zb(gamma F(z))

Fixed: phi the golden ratio, ``gamma <= phi / (2L)``. Adaptive, without a constant: phi = 1.5 and ``gamma = min((1/phi +
1/phi^2) gamma_old, phi theta / (4 gamma_old) ||z - z_old||^2 / ||F(z) - F(z_old)||^2)``, ``theta = phi gamma /
gamma_old``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from optlab.games.methods.base import OperatorMethod, OperatorState
from optlab.games.problems.geometry import EntropicSimplices

_GOLDEN = 0.5 * (1.0 + math.sqrt(5.0))
_PHI = 1.5


@dataclass
class GoldenState(OperatorState):
    """State of the golden ratio algorithm: the mean zb, and the point, value and theta of the iteration before."""

    mean: Any = None
    before: Any = None
    last_value: Any = None
    theta: float = 1.0


@dataclass(frozen=True)
class GRAAL(OperatorMethod):
    """The golden ratio algorithm; adaptive by default, so that no Lipschitz constant need be known.

    Parameters
    ----------
    step_size : float, optional
        A fixed gamma, at most ``phi / (2L)``. Default: adaptive steps.
    first : float, default 1e-3
        The first adaptive step size.

    References
    ----------
    Malitsky (2020), Golden ratio algorithms for variational inequalities.

    Examples
    --------
    >>> import optlab
    >>> from optlab.games import GRAAL, SaddlePoint
    >>> optlab.solve(SaddlePoint([[1.0]], b=[1.0]), GRAAL(), tol=1e-9, max_iter=2000).success
    True
    """

    step_size: float | None = None
    first: float = 1e-3
    reference: ClassVar[str] = "malitsky2020golden"

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against the entropic geometry, in which its mean is no mean of points."""
        if isinstance(getattr(problem, "geometry", None), EntropicSimplices):
            return 'averages points, for geometry="euclidean"'
        return None

    def init(self, problem: Any, x0: Any, rng: Any) -> GoldenState:
        """Return the state at iteration 0."""
        z = problem.operator_start(x0)
        return GoldenState(0, z, self.step_size or self.first, mean=z)

    def step(self, problem: Any, state: GoldenState) -> GoldenState:
        """Return the state one iteration later."""
        z, value, gamma, theta = state.z, problem.operator(problem.at(state.z)), state.step_size, state.theta
        phi = _GOLDEN if self.step_size is not None else _PHI
        if self.step_size is None and state.before is not None:
            moved, changed = float(np.sum((z - state.before) ** 2)), float(np.sum((value - state.last_value) ** 2))
            grown = (1.0 / phi + 1.0 / phi**2) * gamma
            local = phi * theta / (4.0 * gamma) * moved / changed if changed > 0.0 else math.inf
            theta, gamma = phi * min(grown, local) / gamma, min(grown, local)
        mean = (1.0 / phi) * ((phi - 1.0) * z + state.mean)
        after = problem.moved(mean, gamma * value)
        return GoldenState(state.k + 1, after, gamma, state.oracle_calls + 1, mean, z, value, theta)

    def with_variable(self, problem: Any, state: GoldenState, value: Any) -> GoldenState:
        """Return the state at another point, as at a start with the step size reached."""
        return replace(state, z=value, mean=value, before=None, last_value=None, theta=1.0)
