"""Averages of the iterates, around any method.

Many theorems bound the error of the average ``(1/K) sum_{k<K} x_k``, or of one weighted by the step sizes, and not of
the last iterate. The method inside runs exactly as it would alone. Compiled methods sum inside their loops (`fuses`),
lazily on sparse data; the others' iterates are summed here, one vector operation an iteration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.core.validation import as_integer, as_number, one_of
from optlab.wrappers.base import WrappedState, Wrapper, check_wrappable

WEIGHTS = ("uniform", "schedule", "linear")


@dataclass
class AveragedState(WrappedState):
    """State of an averaged method after k iterations.

    Parameters
    ----------
    total : ndarray or float
        The weighted sum of the iterates that count.
    weight : float
        The sum of their weights.
    """

    total: Any = 0.0
    weight: float = 0.0


@dataclass(frozen=True)
class Averaged(Wrapper):
    """Report the average of a method's iterates x_k with ``start <= k < K`` instead of the last one.

    Parameters
    ----------
    method : Method
        Any method, on a problem whose points are arrays.
    start : int, default 0
        First iterate that counts (later values give suffix averaging). Until one counts, the last one is reported.
    weights : {"uniform", "schedule", "linear"} or callable, default "uniform"
        Equal weights; the method's step sizes (the average of theorems with decaying steps); 1, 2, 3, ... (Lacoste-
        Julien, Schmidt and Bach 2012), which forgets the start without being told where it ends; or a function of k.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range.

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import LeastSquares, NGN
    >>> from optlab.wrappers import Averaged
    >>> problem = LeastSquares([[1.0], [1.0]], [0.0, 1.0])
    >>> last = optlab.solve(problem, NGN(sigma=1.0), max_iter=4000, seed=0)
    >>> mean = optlab.solve(problem, Averaged(NGN(sigma=1.0)), max_iter=4000, seed=0)
    >>> bool(abs(mean.solution[0] - 0.5) < 0.02 < abs(last.solution[0] - 0.5))
    True
    """

    method: Any
    start: int = 0
    weights: str | Callable[[int], float] = "uniform"

    def __post_init__(self) -> None:
        check_wrappable(self.method, variable=False)
        object.__setattr__(self, "start", as_integer(self.start, "start", minimum=0))
        if not callable(self.weights):
            one_of(self.weights, "weights", WEIGHTS)

    @property
    def fused(self) -> bool:
        """Whether the method inside sums its iterates by itself, inside its compiled loop."""
        return bool(self.method.fuses_averages) and not callable(self.weights)

    def accepts(self, problem: Any) -> str | None:
        """Return the reason of the method inside, or one against problems whose points are no arrays."""
        reason = super().accepts(problem)
        if reason is None and not self.fused and not getattr(problem, "array_points", False):
            return f"averages arrays, which {type(problem).__name__} does not say its points are (array_points)"
        return reason

    def init(self, problem: Any, x0: Any, rng: np.random.Generator) -> Any:
        """Return the state at iteration 0."""
        inner = self.method.init(problem, x0, rng)
        return self.method.begin_average(problem, inner) if self.fused else AveragedState(0, inner)

    def advance(self, problem: Any, state: Any, n: int) -> Any:
        """Advance the method inside, summing its iterates."""
        if self.fused:
            return self.method.advance_averaging(problem, state, n, self.start, self.weights)
        inner, total, weight = state.inner, state.total, state.weight
        for k in range(state.k, state.k + n):
            iterate = np.asarray(self.method.iterate(problem, inner)) if k >= self.start else None
            inner = self.method.step(problem, inner)
            if iterate is not None:
                w = self._weight(k, inner)
                total, weight = total + iterate.dtype.type(w) * iterate, weight + w
        return AveragedState(state.k + n, inner, total, weight)

    def _weight(self, k: int, after: Any) -> float:
        if callable(self.weights):
            return as_number(self.weights(k), f"weights({k})", minimum=0)
        if self.weights == "linear":
            return k - self.start + 1.0
        return 1.0 if self.weights == "uniform" else float(self.method.step_size_of(after))

    def iterate(self, problem: Any, state: Any) -> Any:
        """Return the average."""
        if self.fused:
            return self.method.average(problem, state)
        if state.weight == 0.0:
            return self.method.iterate(problem, state.inner)
        return state.total / state.total.dtype.type(state.weight)

    def _inside(self, state: Any) -> Any:
        return state if self.fused else state.inner

    def measure(self, problem: Any, state: Any) -> dict[str, float]:
        """Return the measures of the method inside."""
        measures: dict[str, float] = self.method.measure(problem, self._inside(state))
        return measures

    def verdict(self, problem: Any, state: Any, metrics: dict[str, float]) -> Any:
        """Return what the method inside has certified of the problem."""
        return None if self.fused else super().verdict(problem, state, metrics)

    def variable(self, state: Any) -> Any:
        """Return the variable of the method inside."""
        return self.method.variable(self._inside(state))

    def with_variable(self, problem: Any, state: Any, value: Any) -> Any:
        """Return a state that goes on from `value`; the average so far is kept."""
        inner = self.method.with_variable(problem, self._inside(state), value)
        return inner if self.fused else AveragedState(state.k, inner, state.total, state.weight)

    def displacement(self, before: Any, after: Any) -> Any:
        """Return ``T(z) - z``, T the map of the method inside."""
        return self.method.displacement(self._inside(before), self._inside(after))

    def coordinates(self, problem: Any, difference: Any, after: Any) -> np.ndarray:
        """Return a difference of variables as the method inside measures it."""
        vector: np.ndarray = self.method.coordinates(problem, difference, self._inside(after))
        return vector

    def residual_length(self, problem: Any, before: Any, after: Any) -> float:
        """Return the length of the displacement as the method inside measures it."""
        return float(self.method.residual_length(problem, self._inside(before), self._inside(after)))

    def step_size_of(self, state: Any) -> float:
        """Return the step size of the last iteration of the method inside."""
        return float(self.method.step_size_of(self._inside(state)))
