"""SAGA and SVRG: stochastic gradients with a correction whose variance vanishes, so that a constant step converges.

``x+ = x - step_size (grad f_i(x) - h_i + mean of all h)`` with stored gradients h. SAGA (Defazio, Bach,
Lacoste-Julien, NeurIPS 2014) replaces h_i by the new gradient in every step; SVRG (Johnson and Zhang, NeurIPS 2013)
replaces all of them every `period` steps. They serve as the peers that reach the optimum, with the problem's duality
gap as the certificate.

Linear models store one number per sample, the derivative of the loss, and the l2 term stays exact and outside. On
sparse data a step costs O(non-zeros of the row): with m the mean gradient, the iterate is kept as ``scale v + shift
m``, which a step changes in the two numbers and at the non-zeros of v and m only (derived here, verified
numerically). All other problems store whole gradients (SAGA: one per sample; SVRG: one, and a second evaluation per
step).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.compiled.steps import AVERAGE_SHIFT, SCALE, Steps
from optlab.stochastic.kernels import losses as scalar_losses
from optlab.stochastic.kernels.variance_reduction_loops import GENERAL, LINEAR_DENSE, LINEAR_SPARSE
from optlab.stochastic.loop.method import StochasticMethod, StochasticState, keep_integer, unscaled
from optlab.stochastic.loop.own_loops import loop_and_oracle, work_space
from optlab.stochastic.loop.schedules import Schedule
from optlab.stochastic.problems.finite_sum import FiniteSum
from optlab.stochastic.problems.linear import LinearModel


@dataclass(frozen=True)
class SAGA(StochasticMethod):
    """SAGA: converges linearly on strongly convex finite sums, at a constant step size and one gradient a step.

    The gradients of all samples are computed once at the start, which `oracle_calls` counts.

    Parameters
    ----------
    step_size : float, callable or None, default None
        None: 1/(3 L) with L the largest smoothness constant of the samples, the value of the theory.
    batch_size : int, default 1
    sampling : {"replacement", "shuffle", "sequential"}, default "replacement"
        The theory is for "replacement".
    trace : bool, default False

    Notes
    -----
    Memory: one number per sample for linear models (`LeastSquares`, `LogisticRegression` and the like), otherwise one
    gradient per sample.

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import LogisticRegression, SAGA
    >>> problem = LogisticRegression([[1.0], [2.0], [-1.0], [0.5]], [1, 1, -1, -1], l2=0.1)
    >>> result = optlab.solve(problem, SAGA(), max_iter=2000, tol={"duality_gap": 1e-14}, seed=0)
    >>> result.success
    True
    """

    step_size: Schedule | None = None

    reference: ClassVar[str] = "defazio2014saga"
    factor: ClassVar[float] = 3.0  # default step size 1 / (factor L)

    def steps_between(self, problem: FiniteSum) -> int:
        """Return the number of steps between snapshots; 0: a table, renewed sample by sample."""
        return 0

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against problems that know no smoothness constant, if no step size is given."""
        reason = super().accepts(problem)
        if reason is None and self.step_size is None and problem.smoothness is None:
            return f"needs step_size on {type(problem).__name__}, which knows no smoothness constant"
        return reason

    def default_step_size(self, problem: FiniteSum) -> float:
        """Return the step size used if none is given."""
        smoothness = problem.smoothness
        assert smoothness is not None  # or `accepts` has refused the problem
        largest = float(np.max(smoothness))
        return 1.0 / (self.factor * largest) if largest > 0 else 1.0

    def init(self, problem: FiniteSum, x0: Any, rng: np.random.Generator) -> StochasticState:
        """Return the state at iteration 0, with the gradients at the start stored."""
        state = super().init(problem, x0, rng)
        n, table = problem.n_samples, self.steps_between(problem) == 0
        if isinstance(problem, LinearModel):
            z = np.asarray(problem.margins(state.x), np.float64)
            _, slopes = scalar_losses.loss_and_derivative(problem.code, z, problem.targets)
            state.memory = np.append(np.asarray(slopes, np.float64), 0.0)
            state.vectors = problem.combine(slopes / n).astype(problem.dtype).reshape(1, -1)
        elif table:
            state.vectors = np.empty((1 + n, problem.size), problem.dtype)
            state.vectors[1:] = problem.gradients(state.x.reshape(problem.shape)).reshape(n, -1)
            state.vectors[0] = state.vectors[1:].mean(axis=0, dtype=np.float64)
        else:
            state.vectors = np.zeros((2, problem.size), problem.dtype)
        if table:
            state.oracle_calls = n
        return state

    def step_sizes(self, problem: FiniteSum, k: int, n: int) -> np.ndarray:
        """Return the scheduled step sizes of iterations k, ..., k+n-1, or one for all of them."""
        if self.step_size is None:
            return np.array([self.default_step_size(problem)])
        return super().step_sizes(problem, k, n)

    def run_block(self, problem: FiniteSum, steps: Steps) -> int:
        """Take the steps; return the gradients beyond one per sample."""
        period, batch = self.steps_between(problem), self.batch_size
        if isinstance(problem, LinearModel):
            loop = LINEAR_SPARSE if problem.is_sparse else LINEAR_DENSE
            refreshed = loop.entry(problem.dtype, problem.oracle_data.layout)(
                problem.linear_data, steps, period, np.empty(batch), np.empty(problem.size)
            )
            return int(refreshed) * problem.n_samples
        compiled, data, oracle, _ = loop_and_oracle(GENERAL, problem, batch)
        space = work_space(problem, problem.n_samples)
        gradients = (np.empty_like(steps.x), np.empty_like(steps.x))
        refreshed = compiled(data, steps, oracle, problem.all_rows, period, *gradients, space)
        again = steps.order.size if period > 0 else 0  # the second gradient of every step
        return int(refreshed) * problem.n_samples + again

    def point(self, state: StochasticState) -> np.ndarray:
        """Return the iterate as a vector."""
        scale = state.scalars[SCALE]
        shift = state.memory[-1] if state.memory.size else 0.0
        if scale == 1.0 and shift == 0.0:
            return state.x
        return unscaled(state, (scale * state.x + shift * state.vectors[0]).astype(state.x.dtype))

    def total(self, state: StochasticState) -> np.ndarray:
        """Return the weighted sum of the iterates that count so far, as a vector."""
        return super().total(state) + unscaled(state, state.scalars[AVERAGE_SHIFT] * state.vectors[0], 0.0)

    def with_variable(self, problem: FiniteSum, state: StochasticState, value: np.ndarray) -> StochasticState:
        """Return `state` at another point, with the stored gradients as they are."""
        new = super().with_variable(problem, state, value)
        if isinstance(problem, LinearModel):  # the old point was kept as a multiple of x and one of the mean gradient
            new.memory = np.append(state.memory[:-1], 0.0)
        new.scalars[AVERAGE_SHIFT] = 0.0
        return new


@dataclass(frozen=True)
class SVRG(SAGA):
    """SVRG: SAGA's peer with full gradients at snapshots instead of a table.

    Parameters
    ----------
    step_size : float, callable or None, default None
        None: 1/(6 L) with L the largest smoothness constant of the samples.
    period : int, optional
        Steps between snapshots, which are the current iterates; default: two passes over the data.
    batch_size : int, default 1
    sampling : {"replacement", "shuffle", "sequential"}, default "replacement"
    trace : bool, default False

    Notes
    -----
    `oracle_calls` counts the full gradients, and two gradients per sample and step where the derivatives at the
    snapshot are not stored (all but linear models).

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import LogisticRegression, SVRG
    >>> problem = LogisticRegression([[1.0], [2.0], [-1.0], [0.5]], [1, 1, -1, -1], l2=0.1)
    >>> result = optlab.solve(problem, SVRG(), max_iter=2000, tol={"duality_gap": 1e-14}, seed=0)
    >>> result.success
    True
    """

    period: int | None = None

    reference: ClassVar[str] = "johnson2013accelerating"
    factor: ClassVar[float] = 6.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.period is not None:
            keep_integer(self, "period", minimum=1)

    def steps_between(self, problem: FiniteSum) -> int:
        """Return the number of steps between snapshots."""
        return self.period or max(1, 2 * problem.n_samples // self.batch_size)
