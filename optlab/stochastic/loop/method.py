"""What the stochastic methods share: the run state, sampling, and the way into the compiled loops.

To add a method, write one file with one small function and one dataclass:

    @step_rule
    def _polyak(loss, squared_norm, step_size, k, parameters, memory):
        return loss / squared_norm if squared_norm > 0 else 0.0

    @dataclass(frozen=True)
    class Polyak(StochasticMethod):
        rule = _polyak

Methods that do not move along the negative gradient give ``update`` (see `optlab.compiled.rules`) instead of
``rule``, say how many vectors they carry (`vectors`), and get the dense gradient. Sampling, batches, averaging,
traces, user-defined problems, checkpoints and the checks of arguments come from here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from optlab.compiled.functions import Compiled
from optlab.compiled.outer import Outer
from optlab.compiled.primal import Near, start_numbers
from optlab.compiled.steps import (
    AVERAGE_SCALE,
    AVERAGE_WEIGHT,
    AVERAGES,
    BELOW_BOUND,
    INTERCEPT,
    N_SCALARS,
    SCALE,
    SQUARED_NORM,
    STEP_SIZE,
    Steps,
)
from optlab.core import Method, State
from optlab.core.validation import as_float_array, as_integer, as_number, one_of
from optlab.stochastic.loop.loops import advance_block, moves_by_rows
from optlab.stochastic.loop.sampling import SAMPLINGS, copy_generator, draw
from optlab.stochastic.loop.schedules import check_schedule, schedule_values
from optlab.stochastic.problems.finite_sum import FiniteSum

# Sample numbers are drawn for at most this many at a time, which bounds the memory of a long record interval.
_BLOCK = 1 << 18


@dataclass
class StochasticState(State):
    """Run state of every stochastic method.

    Parameters
    ----------
    k : int
        Steps done.
    x : ndarray
        The iterate as a vector; with sparse data up to the factor ``scalars[0]``, except an intercept.
    rng : numpy.random.Generator
    oracle_calls : int
        Per-sample gradients computed.
    permutation : ndarray
        The pass under way ("shuffle"), else empty.
    position : int
        Samples of the pass already used.
    scalars : ndarray
        Scale and squared norm of x, sums of the averaging, last step size, loss and gradient norm, number of losses
        found below their lower bound, whether x ends in an intercept, which is not scaled (`optlab.compiled.steps`).
    memory, vectors : ndarray
        The method's own numbers and vectors.
    average : ndarray
        Sum of iterates, empty unless averaging.
    trace : tuple of ndarray
        Pieces of shape (3, steps): step size, loss, gradient norm; empty unless traced.
    """

    x: np.ndarray
    rng: np.random.Generator
    oracle_calls: int
    permutation: np.ndarray
    position: int
    scalars: np.ndarray
    memory: np.ndarray
    vectors: np.ndarray
    average: np.ndarray
    trace: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StochasticMethod(Method):
    """Base of the stochastic methods. Subclasses add hyperparameters and either `rule` or `update`.

    Parameters
    ----------
    batch_size : int, default 1
        Samples per step. The number of samples itself means the full gradient, in order and without sampling.
    sampling : {"replacement", "shuffle", "sequential"}, default "replacement"
        Independent uniform draws, passes over the data in a fresh random order each, or passes in the given order.
    trace : bool, default False
        Keep step size, loss and gradient norm of every step (`optlab.stochastic.trace`), and record the last step size.
    """

    batch_size: int = 1
    sampling: str = "replacement"
    trace: bool = False

    rule: ClassVar[Compiled | None] = None
    update: ClassVar[Compiled | None] = None
    fuses_averages: ClassVar[bool] = True
    schedule: ClassVar[str] = "step_size"  # name of the hyperparameter that is the step size or its schedule

    def __post_init__(self) -> None:
        keep_integer(self, "batch_size", minimum=1)
        one_of(self.sampling, "sampling", SAMPLINGS)
        if hasattr(self, self.schedule):
            check_schedule(getattr(self, self.schedule), self.schedule)

    # ------------------------------------------------------------------ what a subclass may say

    def parameters(self, problem: FiniteSum) -> tuple[float, ...]:
        """Return the numbers the rule reads."""
        return ()

    def initial_memory(self, problem: FiniteSum) -> tuple[float, ...]:
        """Return the rule's own numbers at the start."""
        return ()

    def vectors(self, x: np.ndarray) -> int:
        """Return how many vectors (zero at the start) the method carries; row 0 is the displacement of momentum."""
        return 1 if self.heavy_ball(0)[0] > 0 else 0

    def heavy_ball(self, k: int) -> tuple[float, float]:
        """Return (momentum, weight of the gradient step) of a method with a step rule; see `optlab.compiled.Steps`."""
        momentum = float(getattr(self, "momentum", 0.0))
        return momentum, 1.0 - momentum

    def lower_bounds(self, problem: FiniteSum) -> np.ndarray:
        """Return the lower bounds of the per-sample losses: one, one per sample, or none (empty: zero)."""
        value = getattr(self, "lower_bound", None)
        if value is None:
            return np.empty(0)
        bounds = np.atleast_1d(np.asarray(value, np.float64))
        if bounds.size not in (1, problem.n_samples):
            raise ValueError(
                f"lower_bound must be one number or one per sample ({problem.n_samples}), got {bounds.size} numbers"
            )
        return bounds

    # ------------------------------------------------------------------ Method

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against anything but a finite sum."""
        return against(problem)

    def init(self, problem: FiniteSum, x0: Any, rng: np.random.Generator) -> StochasticState:
        """Return the state at iteration 0."""
        if self.batch_size > problem.n_samples:
            raise ValueError(
                f"batch_size must be at most the number of samples, {problem.n_samples}, got {self.batch_size}"
            )
        self.lower_bounds(problem)
        x = as_float_array(x0, "x0", shape=problem.shape).astype(problem.dtype).ravel()
        scalars = np.zeros(N_SCALARS)
        scalars[SCALE] = 1.0
        scalars[INTERCEPT] = problem.intercept
        weights = x[:-1] if problem.intercept else x
        scalars[SQUARED_NORM] = float(np.dot(weights.astype(np.float64), weights))
        return StochasticState(
            k=0,
            x=x,
            rng=copy_generator(rng),
            oracle_calls=0,
            permutation=np.empty(0, np.int64),
            position=0,
            scalars=scalars,
            memory=np.array(self.initial_memory(problem), np.float64),
            vectors=np.zeros((self.vectors(x), x.size), problem.dtype),
            average=np.empty(0),
        )

    def advance(self, problem: FiniteSum, state: StochasticState, n: int) -> StochasticState:
        """Return the state `n` steps later, computed in compiled loops."""
        return self.advance_averaging(problem, state, n, 0, "uniform")

    def begin_average(self, problem: FiniteSum, state: StochasticState) -> StochasticState:
        """Return the state with an empty sum of iterates."""
        return replace(state, average=np.zeros(problem.size))

    def advance_averaging(
        self, problem: FiniteSum, state: StochasticState, n: int, start: int, weights: str
    ) -> StochasticState:
        """Advance; if the state has a sum, add the iterates x_k, ``k >= start``, with the wrapper's weights."""
        return self._advance(problem, state, n, np.array([start, AVERAGES.index(weights)], np.int64), None)

    def interpolates(self, problem: FiniteSum) -> bool:
        """Return whether the loop for this problem can take its gradients near an average."""
        return True

    def begin_near(
        self, problem: FiniteSum, state: StochasticState, coefficients: Any, decay: float, interpolation: Any
    ) -> Near:
        """Return an average that begins at the iterate, which must be kept unscaled as it is at the start of a run."""
        near = Near(state.x.astype(np.float64), start_numbers(state.scalars[SQUARED_NORM]), coefficients, decay)
        constant = not callable(interpolation) and 0.05 <= interpolation < 1.0
        if constant and problem.dtype == np.float64 and moves_by_rows(problem, self):
            near.use_two_buffers(float(interpolation))
        return near

    def near_value(self, state: StochasticState, near: Near) -> np.ndarray:
        """Return the average as a vector."""
        return near.value(state.x, bool(state.scalars[INTERCEPT])).astype(state.x.dtype)

    def advance_near(self, problem: FiniteSum, state: StochasticState, n: int, near: Near) -> StochasticState:
        """Advance with gradients near an average, whose arrays are changed."""
        return self._advance(problem, state, n, np.zeros(2, np.int64), near.block)

    def takes_outer_steps(self, problem: FiniteSum) -> bool:
        """Return whether the loop for this problem can move slow weights."""
        return True

    def advance_outer(self, problem: FiniteSum, state: StochasticState, n: int, outer: Outer) -> StochasticState:
        """Advance with slow weights, whose arrays are changed."""

        def around(x: np.ndarray, k: int, count: int, step_sizes: np.ndarray) -> Outer:
            return outer._replace(since=(outer.since + k - state.k) % outer.period)

        return self._advance(problem, state, n, np.zeros(2, np.int64), around)

    def _advance(
        self, problem: FiniteSum, state: StochasticState, n: int, average_rule: np.ndarray, around: Any
    ) -> StochasticState:
        new = replace(
            state,
            x=state.x.copy(),
            rng=copy_generator(state.rng),
            scalars=state.scalars.copy(),
            memory=state.memory.copy(),
            vectors=state.vectors.copy(),
            average=state.average.copy(),
        )
        full = self.batch_size == problem.n_samples
        block = max(1, _BLOCK // self.batch_size)
        parameters, lower = np.array(self.parameters(problem), np.float64), self.lower_bounds(problem)
        pieces = []
        done = 0
        while done < n:
            count = min(block, n - done)
            if full:
                order = np.tile(np.arange(problem.n_samples), count)
            else:
                order, new.permutation, new.position = draw(
                    self.sampling, new.rng, problem.n_samples, count * self.batch_size, new.permutation, new.position
                )
            piece = np.empty((3, count if self.trace else 0))
            step_sizes = self.step_sizes(problem, new.k, count)
            steps = Steps(
                order, self.batch_size, new.k, step_sizes, parameters, *self.heavy_ball(new.k), lower,
                new.x, new.vectors, new.memory, new.scalars, new.average, average_rule, piece,
                None if around is None else around(new.x, new.k, count, step_sizes),
            )  # fmt: skip
            new.oracle_calls += order.size + self.run_block(problem, steps)
            new.k += count
            done += count
            if self.trace:
                pieces.append(piece)
        new.trace = (*state.trace, *pieces)
        return new

    def step_sizes(self, problem: FiniteSum, k: int, n: int) -> np.ndarray:
        """Return the scheduled step sizes of iterations k, ..., k+n-1, or one for all of them."""
        return schedule_values(getattr(self, self.schedule, 1.0), self.schedule, k, n)

    def run_block(self, problem: FiniteSum, steps: Steps) -> int:
        """Take the steps; return the gradients beyond one per sample. For methods with a loop of their own."""
        advance_block(problem, self, steps)
        return 0

    def iterate(self, problem: FiniteSum, state: StochasticState) -> np.ndarray:
        """Return the weights in the problem's shape, as an array of their own."""
        point = self.point(state)
        return (point.copy() if point is state.x else point).reshape(problem.shape)

    def point(self, state: StochasticState) -> np.ndarray:
        """Return the iterate as a vector."""
        scale = state.scalars[SCALE]
        return state.x if scale == 1.0 else unscaled(state, (scale * state.x).astype(state.x.dtype))

    def average(self, problem: FiniteSum, state: StochasticState) -> np.ndarray:
        """Return the average of the iterates summed so far, the last iterate if there are none."""
        weight = state.scalars[AVERAGE_WEIGHT]
        if weight == 0:
            return self.iterate(problem, state)
        return (self.total(state) / weight).astype(problem.dtype).reshape(problem.shape)

    def total(self, state: StochasticState) -> np.ndarray:
        """Return the weighted sum of the iterates that count so far, as a vector."""
        return state.average + unscaled(state, state.scalars[AVERAGE_SCALE] * state.x, 0.0)

    def variable(self, state: StochasticState) -> np.ndarray:
        """Return the iterate as a vector."""
        return self.point(state)

    def with_variable(self, problem: FiniteSum, state: StochasticState, value: np.ndarray) -> StochasticState:
        """Return `state` at another point; momentum, tables and what else the method remembers stay."""
        x, scalars, average = value.astype(problem.dtype), state.scalars.copy(), state.average
        if average.size:  # part of the sum is kept as a multiple of the old x
            average = self.total(state)
            scalars[AVERAGE_SCALE] = 0.0
        scalars[SCALE] = 1.0
        weights = x[: x.size - int(scalars[INTERCEPT])]
        scalars[SQUARED_NORM] = float(np.dot(weights.astype(np.float64), weights))
        return replace(state, x=x, scalars=scalars, average=average)

    def step_size_of(self, state: StochasticState) -> float:
        """Return the step size of the last step."""
        return float(state.scalars[STEP_SIZE])

    def measure(self, problem: FiniteSum, state: StochasticState) -> dict[str, float]:
        """Return the epoch, with `trace` also the last step's numbers, with lower bounds how often one failed."""
        row = {"epoch": state.oracle_calls / problem.n_samples}
        if self.trace:  # before the first step: the largest step allowed
            scheduled = schedule_values(getattr(self, self.schedule, 1.0), self.schedule, 0, 1)[0]
            first = scheduled if np.isfinite(scheduled) else 0.0
            row["step_size"] = float(state.scalars[STEP_SIZE] if state.k > 0 else first)
        if self.lower_bounds(problem).size:
            row["below_lower_bound"] = float(state.scalars[BELOW_BOUND])
        return row


def against(problem: Any) -> str | None:
    """Return why `problem` is no finite sum, None if it is one."""
    if isinstance(problem, FiniteSum):
        return None
    return f"needs a problem that is a finite sum (optlab.stochastic.FiniteSum), got {type(problem).__name__}"


def unscaled(state: StochasticState, vector: np.ndarray, value: float | None = None) -> np.ndarray:
    """Return `vector` with its intercept, if it has one, replaced: by the one that the loops keep unscaled in x."""
    if state.scalars[INTERCEPT]:
        vector[-1] = state.x[-1] if value is None else value
    return vector


def check_momentum(value: Any, name: str = "momentum") -> None:
    """Raise unless 0 <= value < 1."""
    as_number(value, name, minimum=0, below=1)


def keep_integer(method: Any, name: str, minimum: int) -> None:
    """Check a field that counts something, and keep it as an int: 1e3 is one, and slices of arrays want that."""
    object.__setattr__(method, name, as_integer(getattr(method, name), name, minimum=minimum))


def freeze_bounds(method: Any) -> None:
    """Check ``method.lower_bound`` and replace an array by a tuple, so that methods stay comparable and printable."""
    if method.lower_bound is None:
        return
    bounds = as_float_array(method.lower_bound, "lower_bound", ndim=(0, 1))
    object.__setattr__(method, "lower_bound", float(bounds) if bounds.ndim == 0 else tuple(bounds.tolist()))


def trace(result_or_state: Any) -> dict[str, np.ndarray]:
    """Return step size, loss and gradient norm of every step of a run made with ``trace=True``.

    Parameters
    ----------
    result_or_state : Result or StochasticState

    Returns
    -------
    dict of str to ndarray
        ``step_size``, ``loss`` (of the step's batch, before the step, less its known lower bound) and
        ``gradient_norm``, one entry per step.

    Raises
    ------
    ValueError
        If the run was not traced.
    """
    state = getattr(result_or_state, "state", result_or_state)
    pieces = getattr(state, "trace", ())
    if not pieces:
        raise ValueError("this run has no trace: make the method with trace=True (and run at least one step)")
    step_size, loss, norm = np.concatenate(pieces, axis=1)
    return {"step_size": step_size, "loss": loss, "gradient_norm": norm}
