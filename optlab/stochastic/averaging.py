"""Averaging of the iterates, as a wrapper around any method of this package.

Convergence theorems for stochastic methods bound the error of the average ``(1/K) sum_{k<K} x_k`` (or of one weighted
by the step-size schedule), not of the last iterate. On sparse data the sum is kept lazily, at the cost of the step
itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from optlab.core import Method
from optlab.core.validation import as_integer, one_of
from optlab.stochastic import kernels
from optlab.stochastic.method import StochasticMethod, StochasticState, unscaled
from optlab.stochastic.problem import FiniteSum

WEIGHTS = ("uniform", "schedule", "linear")  # in the order of `kernels.UNIFORM`, `SCHEDULE` and `LINEAR`


@dataclass(frozen=True)
class Averaged(Method):
    """Report the average of a method's iterates x_k with ``start <= k < K`` instead of the last one.

    The wrapped method runs exactly as it would alone. Until an iterate counts, the last one is reported.

    Parameters
    ----------
    method : StochasticMethod
    start : int, default 0
        First iterate that counts (later values give suffix averaging).
    weights : {"uniform", "schedule", "linear"}, default "uniform"
        Equal weights, the method's scheduled step sizes sigma_k (the average of theorems with decaying sigma_k), or
        1, 2, 3, ... (Lacoste-Julien, Schmidt and Bach, arXiv 1212.2002), which forgets the start without being told
        where it ends.

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import Averaged, LeastSquares, NGN
    >>> problem = LeastSquares([[1.0], [1.0]], [0.0, 1.0])
    >>> last = optlab.solve(problem, NGN(sigma=1.0), max_iter=4000, seed=0)
    >>> mean = optlab.solve(problem, Averaged(NGN(sigma=1.0)), max_iter=4000, seed=0)
    >>> bool(abs(mean.solution[0] - 0.5) < 0.02 < abs(last.solution[0] - 0.5))
    True
    """

    method: StochasticMethod
    start: int = 0
    weights: str = "uniform"

    def __post_init__(self) -> None:
        if not isinstance(self.method, StochasticMethod):
            raise TypeError(f"method must be a stochastic method such as NGN(), got {self.method!r}")
        as_integer(self.start, "start", minimum=0)
        one_of(self.weights, "weights", WEIGHTS)

    @property
    def reference(self) -> str:
        """The wrapped method's paper."""
        return str(getattr(self.method, "reference", ""))

    def init(self, problem: FiniteSum, x0: Any, rng: np.random.Generator) -> StochasticState:
        """Return the state at iteration 0."""
        state = self.method.init(problem, x0, rng)
        return replace(state, average=np.zeros(problem.size))

    def advance(self, problem: FiniteSum, state: StochasticState, n: int) -> StochasticState:
        """Advance the wrapped method, summing its iterates."""
        average_rule = np.array([self.start, WEIGHTS.index(self.weights)], np.int64)
        return self.method.advance_averaging(problem, state, n, average_rule)

    def iterate(self, problem: FiniteSum, state: StochasticState) -> np.ndarray:
        """Return the average in the problem's shape."""
        weight = state.scalars[kernels.AVERAGE_WEIGHT]
        if weight == 0:
            return self.method.iterate(problem, state)
        return (self.total(state) / weight).astype(problem.dtype).reshape(problem.shape)

    def total(self, state: StochasticState) -> np.ndarray:
        """Return the weighted sum of the iterates that count so far, as a vector."""
        return state.average + unscaled(state, state.scalars[kernels.AVERAGE_SCALE] * state.x, 0.0)

    def measure(self, problem: FiniteSum, state: StochasticState) -> dict[str, float]:
        """Return the wrapped method's measures."""
        return self.method.measure(problem, state)
