"""Stochastic gradient descent with an Armijo line search on the batch: SLS and AdaSLS.

SLS (Vaswani, Mishkin, Laradji, Schmidt, Gidel, Lacoste-Julien, NeurIPS 2019): shrink gamma until ``f(x - gamma g) <=
f(x) - c gamma ||g||^2`` on the batch of the step, starting from the last step size times ``growth^(batch_size / N)``.
AdaSLS (Jiang and Stich, NeurIPS 2023) takes ``min{gamma / (c_l sqrt(S)), last step}`` with the line-search steps
gamma and ``S = sum gamma ||g||^2``; c_l is such that the first step is the line search's (times ``1 / scaling``).

The first trial of the first step is `step_size` itself. The authors' code of SLS multiplies by the growth there too:
its ``init_step_size`` is our ``step_size / growth^(batch_size / N)``.

Every trial counts as a gradient in ``oracle_calls``, since the compiled oracles compute both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from optlab.compiled.functions import F8, I8, Compiled, borrowed, vector
from optlab.compiled.steps import Steps, add_to_average, count, record, rows_of, steps_type
from optlab.core.validation import as_number
from optlab.stochastic.kernels.oracles import loss_and_gradient, oracle_types
from optlab.stochastic.loop.method import StochasticMethod, keep_integer
from optlab.stochastic.loop.own_loops import loop_and_oracle
from optlab.stochastic.problems.finite_sum import FiniteSum


def line_search(data, steps, oracle, trial, gradient, trial_gradient, work):
    """Advance the steps; return the number of trial points."""
    data, steps = borrowed(data), borrowed(steps)
    armijo, shrink, growth, fallback, max_trials, adaptive = steps.parameters
    x, memory = steps.x, steps.memory
    trials = 0
    for step in range(count(steps)):
        rows = rows_of(steps, step)
        f = loss_and_gradient(oracle, data, x, rows, gradient, work)
        add_to_average(steps, step, 1.0)
        gg = 0.0
        for j in range(x.size):
            gg += float(gradient[j]) * float(gradient[j])
        # memory: last step of the search, sum S, last step taken, the constant c_l
        gamma = memory[0]
        if steps.k + step > 0:
            gamma = min(gamma * growth, 1e300)
        taken = memory[2]
        if gg > 0.0:
            accepted = False
            for _ in range(int(max_trials)):
                for j in range(x.size):
                    trial[j] = float(x[j]) - gamma * float(gradient[j])
                trials += 1
                value = loss_and_gradient(oracle, data, trial, rows, trial_gradient, work)
                if value <= f - armijo * gamma * gg:  # false for nan
                    accepted = True
                    break
                gamma *= shrink
            if not accepted:
                gamma = fallback
            memory[0] = gamma
            taken = gamma
            if adaptive > 0.0:
                memory[1] += gamma * gg
                if memory[3] == 0.0:
                    memory[3] = adaptive / math.sqrt(memory[1])
                taken = min(gamma / (memory[3] * math.sqrt(memory[1])), memory[2])
            memory[2] = taken
            for j in range(x.size):
                x[j] = float(x[j]) - taken * float(gradient[j])
        else:
            taken = min(taken, gamma)
        record(steps, step, taken, f, gg)
    return trials


def _signature(scalar, layout):
    v = vector(scalar)
    data, oracle = oracle_types(scalar, layout)
    return I8(data, steps_type(scalar), oracle, v, v, v, vector(F8))


LINE_SEARCH = Compiled(line_search, _signature, loop=True)


@dataclass(frozen=True)
class SLS(StochasticMethod):
    """Stochastic gradient descent with Armijo line search on each batch.

    Parameters
    ----------
    step_size : float, default 1.0
        First trial of the first step.
    armijo : float, default 0.1
        The constant c of the condition, in (0, 1).
    shrink : float, default 0.9
        Factor between trials.
    growth : float, default 2.0
        A step's first trial is the last step size times ``growth^(batch_size / N)``.
    max_trials : int, default 100
        After so many refused trials the step is `fallback`.
    fallback : float, default 1e-6
    batch_size : int, default 1
    sampling : {"replacement", "shuffle", "sequential"}, default "replacement"
    trace : bool, default False

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import LeastSquares, SLS
    >>> problem = LeastSquares([[3.0], [1.0]], [6.0, 2.0])
    >>> optlab.solve(problem, SLS(), max_iter=200, seed=0).solution.round(6)
    array([2.])
    """

    step_size: float = 1.0
    armijo: float = 0.1
    shrink: float = 0.9
    growth: float = 2.0
    max_trials: int = 100
    fallback: float = 1e-6

    reference: ClassVar[str] = "vaswani2019painless"
    adaptive: ClassVar[bool] = False

    def __post_init__(self) -> None:
        as_number(self.step_size, "step_size", above=0)
        super().__post_init__()
        as_number(self.armijo, "armijo", above=0, below=1)
        as_number(self.shrink, "shrink", above=0, below=1)
        as_number(self.growth, "growth", minimum=1)
        keep_integer(self, "max_trials", minimum=1)
        as_number(self.fallback, "fallback", above=0)

    def initial_memory(self, problem: FiniteSum) -> tuple[float, ...]:
        return (self.step_size, 0.0, math.inf, 0.0)

    def parameters(self, problem: FiniteSum) -> tuple[float, ...]:
        growth = self.growth ** (self.batch_size / problem.n_samples)
        adaptive = float(getattr(self, "scaling", 1.0)) if self.adaptive else 0.0
        return (self.armijo, self.shrink, growth, self.fallback, float(self.max_trials), adaptive)

    def run_block(self, problem: FiniteSum, steps: Steps) -> int:
        """Take the steps; return the gradients at trial points."""
        loop, data, oracle, work = loop_and_oracle(LINE_SEARCH, problem, self.batch_size)
        trials = loop(data, steps, oracle, *(np.empty_like(steps.x) for _ in range(3)), work)
        return int(trials) * self.batch_size


@dataclass(frozen=True)
class AdaSLS(SLS):
    """Armijo line search, divided by the root of the sum of ``step_size ||g||^2``; never increasing.

    Parameters
    ----------
    step_size, armijo, shrink, growth, max_trials, fallback, batch_size, sampling, trace
        As for `SLS`.
    scaling : float, default 1.0
        Multiplies c_l; larger means smaller steps.

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import AdaSLS, LeastSquares
    >>> problem = LeastSquares([[1.0], [1.0]], [0.0, 1.0])
    >>> optlab.solve(problem, AdaSLS(batch_size=2), max_iter=2000, x0=[3.0]).solution.round(4)
    array([0.5])
    """

    scaling: float = 1.0

    reference: ClassVar[str] = "jiang2023adaptive"
    adaptive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        as_number(self.scaling, "scaling", above=0)
