"""Bregman Douglas-Rachford splitting, with relaxation and step-size schedules.

Follows Ma, Xiao, Zhao (2025, arXiv 2509.08739): to solve 0 in A(x) + B(x) with a kernel h,

    x_k     = J_{gamma B}(z_k)
    y_k     = J_{gamma A}( grad h*( 2 grad h(x_k) - grad h(z_k) ) )
    z_{k+1} = grad h*( grad h(z_k) + relaxation (grad h(y_k) - grad h(x_k)) )

which is the Mann iteration ``M_{1 - relaxation/2}(R_{gamma A} R_{gamma B})``. All points are kept as mirror points
``grad h(.)``, in which the updates are additions.

Step sizes that vary (derived here, verified numerically: it is Bregman ADMM with step sizes gamma_k, iterate by
iterate). The point z_k carries ``gamma_{k-1} b_k`` with ``b_k in B(x_k)``, rescaled before gamma_k is used:

    x_k     = J_{gamma_{k-1} B}(z_k)
    z'_k    = x_k + (gamma_k / gamma_{k-1}) (z_k - x_k)           [mirror points; z'_k = grad h(x_k) + gamma_k b_k]
    y_k     = J_{gamma_k A}(2 x_k - z'_k)
    z_{k+1} = z'_k + relaxation (y_k - x_k)

What this file does not do: choose the step size by itself (a problem or a rule does), accelerate (`halpern`,
`anderson`), or solve the resolvents (the problem does).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple, Self

from optlab.composite.iteration import SplitOracles, rescaled, resolve_both
from optlab.core import State
from optlab.core.contract.protocols import prepared_with
from optlab.core.validation import as_number
from optlab.schedules import StepSize, StepSizes, check_step_size
from optlab.splitting.fixed_point import FixedPointMethod, local_coordinates, residual_length
from optlab.splitting.protocols import SPLIT_ORACLES, SplitProblem, prepared_oracles


@dataclass(frozen=True)
class DriftWindow:
    """Two earlier values of x, from which the change over about the last half of a run is read.

    Parameters
    ----------
    anchor, next_anchor : mirror point
        The values of x at the iterations `anchor_k` and `next_anchor_k` (0, 1, 2, 4, 8, ...).
    anchor_k, next_anchor_k : int
        See `anchor`.
    """

    anchor: Any = None
    next_anchor: Any = None
    anchor_k: int = 0
    next_anchor_k: int = 0

    def doubled(self, k: int, x: Any) -> DriftWindow:
        """Return the window at iteration `k`, a power of two, whose x is given."""
        return DriftWindow(self.next_anchor, x, self.next_anchor_k, k)

    def drift(self, k: int, x: Any) -> Any:
        """Return the change of x up to iteration `k`; None while k < 2."""
        if self.anchor_k == 0:
            return None
        # next_anchor is the later of the two: good once its window is a third of the run
        late = k - self.next_anchor_k >= self.next_anchor_k / 2
        return x - (self.next_anchor if late else self.anchor)


@dataclass
class SplittingState(State):
    """State of a Bregman splitting after k iterations; all points are mirror points.

    Parameters
    ----------
    z : mirror point
        ``grad h(z_k)``, from which the next iteration goes on.
    x, y : mirror point
        ``grad h(x_{k-1})`` and ``grad h(y_{k-1})``, the two points computed by the last iteration. At k = 0 both are z.
    step_size : float
        The step size of the last iteration, which z carries; at k = 0 the one of the first.
    window : DriftWindow
        Earlier values of x, for the drift of mirror points that run off to infinity.
    next_step_size, memory : float, anything
        What an adaptive rule chose and remembers (see `optlab.schedules.AdaptiveStepSize`).
    """

    z: Any
    x: Any
    y: Any
    step_size: float
    window: DriftWindow = field(default_factory=DriftWindow)
    next_step_size: float | None = None
    memory: Any = None

    def drift(self) -> Any:
        """Return the change of x over about the last half of the run (a third to two thirds); None while k < 2."""
        return self.window.drift(self.k, self.x)

    def image(self) -> Any:
        """Return what the last iteration made of the point it began at: z itself, where nothing is averaged with it."""
        return self.z


class SplittingPlan(NamedTuple):
    """What an iteration asks of the problem and of the step-size rule, resolved once."""

    oracles: SplitOracles
    sizes: StepSizes


class BregmanSplitting(FixedPointMethod):
    """What relaxed Douglas-Rachford and Peaceman-Rachford share; only `step_size` and `relaxation` differ."""

    step_size: StepSize
    relaxation: float
    requires: ClassVar[tuple[str, ...]] = SPLIT_ORACLES
    needs: ClassVar[str] = "a problem to split (SplitProblem)"
    _plan: ClassVar[SplittingPlan | None] = None

    def prepare(self, problem: SplitProblem) -> Self:
        """Return this method with its step-size rule resolved and the resolvents' constants computed."""
        return prepared_with(self, _plan=SplittingPlan(prepared_oracles(problem), self._step_sizes(problem)))

    def _planned(self, problem: SplitProblem) -> SplittingPlan:
        if self._plan is not None:
            return self._plan
        oracles = SplitOracles(problem.resolvent_A, problem.resolvent_B, problem.check_mirror)
        return SplittingPlan(oracles, self._step_sizes(problem))

    def _step_sizes(self, problem: SplitProblem) -> StepSizes:
        """Return the step sizes on this problem."""
        return StepSizes(self.step_size, problem)

    def init(self, problem: SplitProblem, x0: Any, rng: Any) -> SplittingState:
        """Return the state at iteration 0; `x0` is a primal point or an earlier solution of the problem."""
        z = problem.initial_mirror(x0)
        gamma = self._planned(problem).sizes.first(problem)
        return SplittingState(k=0, z=z, x=z, y=z, step_size=gamma, window=DriftWindow(z, z))

    def step(self, problem: SplitProblem, state: SplittingState) -> SplittingState:
        """Return the state one iteration later."""
        oracles, sizes = self._plan or self._planned(problem)
        gamma = sizes.constant or sizes.after(state)

        x, z, _, y = resolve_both(oracles, state.z, state.step_size, gamma)
        z = z + (y - x if self.relaxation == 1.0 else self.relaxation * (y - x))
        if oracles.check_mirror is not None:
            oracles.check_mirror(z)

        k = state.k + 1
        window = state.window if k & (k - 1) else state.window.doubled(k, x)
        after = SplittingState(k, z, x, y, gamma, window)
        if sizes.adaptive is not None:
            after.next_step_size, after.memory = sizes.adaptive.following(problem, state, after)
        return after

    def iterate(self, problem: SplitProblem, state: SplittingState) -> Any:
        """Return the primal point x_{k-1} (never z); at k = 0 the start."""
        pair = getattr(problem, "primal_pair", None)
        if state.k == 0 or pair is None:
            return problem.primal(state.x, state.drift())
        a, b = self.operator_values(state)
        return pair(state.x, state.y, a, b)

    def _certificate(self, problem: Any, state: Any) -> Any:
        moved = state.y - state.x
        if self.relaxation == 2.0:  # a reflection's displacements oscillate about the infimal one: the mean of two
            after = self.step(problem, state)
            moved = 0.5 * (moved + (after.y - after.x))
        return problem.find_certificate(state.x, state.y, moved)

    def operator_values(self, state: SplittingState) -> tuple[Any, Any]:
        """Return ``a in A(y)`` and ``b in B(x)`` as the resolvents of the last iteration reveal them (k >= 1).

        ``b = (grad h(z') - grad h(x)) / gamma`` and ``a = (2 grad h(x) - grad h(z') - grad h(y)) / gamma``, so that
        ``a + b = (grad h(x) - grad h(y)) / gamma``.
        """
        scale = 1.0 / state.step_size
        # z' - x, with z' undone from the update of z
        carried = state.image() - state.x - self.relaxation * (state.y - state.x)
        return scale * (state.x - state.y - carried), scale * carried

    # ------------------------------------------------------------------ the map z -> z, for wrappers

    def variable(self, state: SplittingState) -> Any:
        """Return the mirror point z."""
        return state.z

    def with_variable(self, problem: SplitProblem, state: SplittingState, value: Any) -> SplittingState:
        """Return `state` with another z; before the first iteration it is the start altogether."""
        problem.check_mirror(value)
        if state.k == 0:
            return replace(state, z=value, x=value, y=value, window=DriftWindow(value, value))
        return replace(state, z=value)

    def displacement(self, before: SplittingState, after: SplittingState) -> Any:
        """Return ``T(z) - z = relaxation (y - x)``, which does not cancel where z is large."""
        return self.relaxation * (after.y - after.x)

    def coordinates(self, problem: SplitProblem, difference: Any, after: SplittingState) -> Any:
        """Return a difference of mirror points in the metric of ``grad^2 h*`` at x."""
        return local_coordinates(problem, difference, after.x)

    def residual_length(self, problem: SplitProblem, before: SplittingState, after: SplittingState) -> float:
        """Return the length of the displacement, as the problem's own ``residual_length`` has it if there is one."""
        return self.relaxation * residual_length(problem, after.x, after.y)

    def same_map(self, before: SplittingState, after: SplittingState) -> bool:
        """Return whether the step size is that of the iteration before."""
        return before.step_size == after.step_size

    def transported(self, value: Any, first: SplittingState, before: SplittingState, after: SplittingState) -> Any:
        """Return `value` with the multiple of B(x) that it carries rescaled to the new step size."""
        if self.same_map(before, after):
            return value
        return rescaled(value, first.x, after.step_size / before.step_size)

    def step_size_of(self, state: SplittingState) -> float:
        """Return the step size of the iteration that made `state`."""
        return state.step_size


@dataclass(frozen=True)
class BregmanDouglasRachford(BregmanSplitting):
    """Bregman Douglas-Rachford splitting (relaxed, with step-size schedules).

    With `SquaredEuclidean` it is the method of Lions and Mercier (1979) in the relaxed form of Eckstein and Bertsekas
    (1992). There it converges for every step size and every relaxation in (0, 2). For other kernels convergence is
    proved here only where B is the gradient of a function smooth relative to h and ``step_size <= 1/L``,
    ``relaxation = 1``; on linear programs large step sizes can diverge.

    Parameters
    ----------
    step_size : float, schedule, adaptive rule, callable or None
        gamma: a number above 0, `optlab.splitting.Constant`, `optlab.splitting.Geometric`, a rule that reads the
        iterates, a function of the iteration number, or None for what the problem recommends (its
        ``default_schedule``, otherwise the constant ``default_step_size``).
    relaxation : float, default 1.0
        lambda in (0, 2]; 1 is Douglas-Rachford, 2 is Peaceman-Rachford.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range.
    DomainError
        While iterating, if an extrapolated mirror point leaves the range of grad h (kernels whose gradient is not onto,
        such as Burg's entropy, at large step sizes).

    References
    ----------
    Ma, Xiao, Zhao (2025), Bregman Douglas-Rachford Splitting Method, arXiv 2509.08739.

    Examples
    --------
    The projection of q onto the box [0, 1]^2, written as a sum of two operators:

    >>> import numpy as np, optlab
    >>> from optlab.bregman import SquaredEuclidean
    >>> from optlab.splitting import BregmanDouglasRachford, MonotoneInclusion
    >>> q = np.array([2.0, 0.25])
    >>> problem = MonotoneInclusion(
    ...     A=lambda mirror, step: np.clip(mirror, 0.0, 1.0),
    ...     B=lambda mirror, step: (mirror + step * q) / (1 + step),
    ...     kernel=SquaredEuclidean(), shape=2,
    ... )
    >>> result = optlab.solve(problem, BregmanDouglasRachford(step_size=1.0), tol=1e-10)
    >>> np.asarray(result.solution).round(6)
    array([1.  , 0.25])
    """

    step_size: StepSize = None
    relaxation: float = 1.0
    reference: ClassVar[str] = "ma2025bregman"

    def __post_init__(self) -> None:
        object.__setattr__(self, "step_size", check_step_size(self.step_size))
        object.__setattr__(self, "relaxation", as_number(self.relaxation, "relaxation", above=0, maximum=2))
