"""Bregman alternating direction method of multipliers, and its Shannon case, for min f(u) + g(v) s.t. M u + N v = b.

Follows Ma, Xiao, Zhao (2025, arXiv 2509.08739). With the multiplier w kept in the domain of the kernel h,

    u_k     = argmin_u f(u) + (1/gamma_k) h*( grad h(w_k) + gamma_k (M u + N v_{k-1} - b) )
    v_k     = argmin_v g(v) + (1/gamma_k) h*( grad h(w_k) + gamma_k (M u_k + N v   - b) )
    w_{k+1} = grad h*( grad h(w_k) + gamma_k (M u_k + N v_k - b) )

The quadratic kernel gives the textbook method. The geometry lives in the multiplier space, and dom h decides which
relation between M u + N v and b is enforced: see `LinearlyConstrained`. This is not the Bregman ADMM of Wang and
Banerjee (2014), which changes the penalty on the residual instead.

On the dual it is Bregman Douglas-Rachford: ``x_k = w_k``, ``y_k`` = the multiplier after the u-step,
``grad h(z_k) = grad h(w_k) - gamma_{k-1} N v_{k-1}`` (see `LinearlyConstrained.dual`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from optlab.bregman import ShannonEntropy
from optlab.core import State
from optlab.core.contract.fixed_point import Stacked
from optlab.core.contract.protocols import prepared_with
from optlab.schedules import StepSize, StepSizes, check_step_size
from optlab.splitting.fixed_point import FixedPointMethod
from optlab.splitting.protocols import TWO_BLOCK_ORACLES, TwoBlockProblem


@dataclass
class MultiplierState(State):
    """State of a method of multipliers after k iterations.

    Parameters
    ----------
    w : mirror point
        ``grad h(w_k)``.
    u, v : block
        The blocks ``u_{k-1}``, ``v_{k-1}`` of the last iteration; at k = 0 the start.
    x, y : mirror point
        ``grad h(w_{k-1})`` and the multiplier after the u-step of the last iteration: the points that Bregman
        Douglas-Rachford on the dual calls x and y. At k = 0 both are w.
    step_size : float
        The step size of the last iteration; at k = 0 the one of the first.
    """

    w: Any
    u: Any
    v: Any
    x: Any
    y: Any
    step_size: float


class MultiplierMethod(FixedPointMethod):
    """What the methods of multipliers share: everything but the update of the blocks."""

    step_size: StepSize
    requires: ClassVar[tuple[str, ...]] = TWO_BLOCK_ORACLES
    needs: ClassVar[str] = "a problem in two blocks (TwoBlockProblem)"

    _sizes: ClassVar[StepSizes | None] = None

    def prepare(self, problem: TwoBlockProblem) -> Self:
        """Return this method with its step-size rule resolved."""
        return prepared_with(self, _sizes=self._step_sizes(problem))

    def _step_sizes(self, problem: TwoBlockProblem) -> StepSizes:
        return StepSizes(self.step_size, problem) if self._sizes is None else self._sizes

    def init(self, problem: TwoBlockProblem, x0: Any, rng: Any) -> MultiplierState:
        """Return the state at iteration 0; `x0` is a multiplier in dom h or an earlier solution of the problem."""
        w, u, v = problem.initial_blocks(x0)
        gamma = self._step_sizes(problem).at(0)
        return MultiplierState(k=0, w=w, u=u, v=v, x=w, y=w, step_size=gamma)

    def iterate(self, problem: TwoBlockProblem, state: MultiplierState) -> Any:
        """Return the primal blocks with their multiplier, in the form the problem gives them."""
        triple = getattr(problem, "primal_triple", None)
        if state.k == 0 or triple is None:
            return problem.primal_blocks(state.w, state.u, state.v)
        return triple(state.w, state.y, state.u, state.v)

    def variable(self, state: MultiplierState) -> Any:
        """Return the mirror point of the multiplier and the second block, which are all that an iteration reads."""
        return Stacked((state.w, state.v))

    def with_variable(self, problem: TwoBlockProblem, state: MultiplierState, value: Any) -> MultiplierState:
        """Return `state` with another multiplier and second block."""
        w, v = value.parts
        return replace(state, w=w, v=v, x=w, y=w) if state.k == 0 else replace(state, w=w, v=v)

    def step_size_of(self, state: MultiplierState) -> float:
        """Return the step size of the iteration that made `state`."""
        return state.step_size

    def _certificate(self, problem: Any, state: MultiplierState) -> Any:
        after = self.step(problem, state)  # how the blocks move, which the state does not remember
        moves = [after.w - state.w, problem.kernel.conjugate_gradient(after.w)]
        return problem.find_certificate(moves, (after.u - state.u, after.v - state.v), (after.u, after.v))


@dataclass(frozen=True)
class BregmanADMM(MultiplierMethod):
    """Bregman alternating direction method of multipliers of Ma, Xiao and Zhao (2025).

    Parameters
    ----------
    step_size : float, schedule, callable or None
        gamma (the penalty parameter): a number above 0, `optlab.splitting.Constant`, `optlab.splitting.Geometric`, a
        function of the iteration number, or None for the problem's default.

    Raises
    ------
    TypeError, ValueError
        If the step size is of the wrong kind or not above 0.

    References
    ----------
    Ma, Xiao, Zhao (2025), Bregman Douglas-Rachford Splitting Method, arXiv 2509.08739.

    Examples
    --------
    Least squares with the bound u <= 1, kept by the Shannon kernel (multipliers >= 0 mean an inequality):

    >>> import numpy as np, optlab
    >>> from optlab.bregman import ShannonEntropy
    >>> from optlab.bregman.functions import SquaredDistance
    >>> from optlab.splitting import BregmanADMM, LinearlyConstrained
    >>> f = SquaredDistance(np.array([2.0, 0.25]))
    >>> problem = LinearlyConstrained(f, None, M=np.eye(2), N=None, b=np.ones(2), kernel=ShannonEntropy())
    >>> result = optlab.solve(problem, BregmanADMM(step_size=1.0), tol=1e-9, max_iter=5000)
    >>> result.solution.u.round(6)
    array([1.  , 0.25])
    """

    step_size: StepSize = None
    reference: ClassVar[str] = "ma2025bregman"

    def __post_init__(self) -> None:
        object.__setattr__(self, "step_size", check_step_size(self.step_size))

    def step(self, problem: TwoBlockProblem, state: MultiplierState) -> MultiplierState:
        """Return the state one iteration later: u, then v with the new u, then the multiplier."""
        gamma = self._step_sizes(problem).at(state.k)
        w, b = state.w, problem.offset()

        extrapolated = w + gamma * (problem.apply_N(state.v) - b)
        u = problem.minimize_u(extrapolated, gamma)
        half = extrapolated + gamma * problem.apply_M(u)
        shifted = w + gamma * (problem.apply_M(u) - b)
        v = problem.minimize_v(shifted, gamma)
        return MultiplierState(
            k=state.k + 1, w=shifted + gamma * problem.apply_N(v), u=u, v=v, x=w, y=half, step_size=gamma
        )


@dataclass(frozen=True)
class AlternatingExponentialMultipliers(BregmanADMM):
    """Alternating direction exponential multiplier method: `BregmanADMM` with the Shannon kernel, which it insists on.

    For ``M u + N v <= b``: the multipliers stay positive and are updated by ``w <- w exp(gamma (M u + N v - b))`` after
    one pass over the blocks. On the dual of optimal transport it is the iteration known as IPOT with one inner step.

    Parameters
    ----------
    step_size : float, schedule, callable or None
        As in `BregmanADMM`.

    Raises
    ------
    IncompatibleError
        At the start of a run, if the problem has a ``kernel`` other than `ShannonEntropy`.

    Examples
    --------
    >>> AlternatingExponentialMultipliers(step_size=2.0).step_size
    2.0
    """

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against kernels other than the Shannon entropy (multipliers w > 0)."""
        kernel = getattr(problem, "kernel", None)
        if kernel is None or isinstance(kernel, ShannonEntropy):
            return None
        return f"needs a problem with kernel ShannonEntropy(), got {kernel!r}; use BregmanADMM for other kernels"
