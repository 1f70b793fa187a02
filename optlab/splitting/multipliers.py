"""The exponential multiplier method: joint minimisation of both blocks, then a multiplicative multiplier update.

Follows Tseng and Bertsekas (1993): for ``min f(u) + g(v) s.t. M u + N v <= b``,

    (u_k, v_k) = argmin f(u) + g(v) + (1/gamma_k) sum_j w_kj exp(gamma_k (M u + N v - b)_j)
    w_{k+1}    = w_k exp(gamma_k (M u_k + N v_k - b))

which is the entropic proximal point method on the dual. Written with the conjugate h* of a kernel it is the method of
multipliers of any geometry: with the quadratic kernel the classical augmented Lagrangian method.

What it does not do: inexact joint minimisation with a tolerance schedule; each is solved to the problem's accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from optlab.schedules import StepSize, check_step_size
from optlab.splitting.admm import MultiplierMethod, MultiplierState
from optlab.splitting.protocols import TWO_BLOCK_ORACLES, TwoBlockProblem


@dataclass(frozen=True)
class ExponentialMultipliers(MultiplierMethod):
    """Exponential multiplier method of Tseng and Bertsekas (1993); in other kernels, the method of multipliers.

    Parameters
    ----------
    step_size : float, schedule, callable or None
        As in `BregmanADMM`.

    Raises
    ------
    IncompatibleError
        At the start of a run, if the problem cannot minimise over both blocks jointly.

    References
    ----------
    Tseng, Bertsekas (1993), Mathematical Programming 60, 1-19.

    Examples
    --------
    >>> import numpy as np, optlab
    >>> from optlab.bregman import ShannonEntropy
    >>> from optlab.bregman.functions import SquaredDistance
    >>> from optlab.splitting import ExponentialMultipliers, LinearlyConstrained
    >>> f = SquaredDistance(np.array([2.0, 0.25]))
    >>> problem = LinearlyConstrained(f, None, M=np.eye(2), N=None, b=np.ones(2), kernel=ShannonEntropy())
    >>> result = optlab.solve(problem, ExponentialMultipliers(step_size=10.0), tol=1e-9)
    >>> result.solution.u.round(6)
    array([1.  , 0.25])
    """

    step_size: StepSize = None
    reference: ClassVar[str] = "tseng1993convergence"
    requires: ClassVar[tuple[str, ...]] = (*TWO_BLOCK_ORACLES, "minimize_both")
    needs: ClassVar[str] = "a problem in two blocks that are minimised jointly, minimize_both(mirror, step_size, u, v)"

    def __post_init__(self) -> None:
        object.__setattr__(self, "step_size", check_step_size(self.step_size))

    def variable(self, state: MultiplierState) -> Any:
        """Return the mirror point of the multiplier; both blocks are made anew from it."""
        return state.w

    def with_variable(self, problem: TwoBlockProblem, state: MultiplierState, value: Any) -> MultiplierState:
        """Return `state` with another multiplier."""
        return replace(state, w=value, x=value, y=value) if state.k == 0 else replace(state, w=value)

    def step(self, problem: Any, state: MultiplierState) -> MultiplierState:
        """Return the state one iteration later."""
        gamma = self._step_sizes(problem).at(state.k)
        shifted = state.w - gamma * problem.offset()
        u, v = problem.minimize_both(shifted, gamma, state.u, state.v)
        w = shifted + gamma * problem.apply_M(u) + gamma * problem.apply_N(v)
        # both blocks are optimal for the new multiplier, so "after the u-step" is the same point
        return MultiplierState(k=state.k + 1, w=w, u=u, v=v, x=state.w, y=w, step_size=gamma)
