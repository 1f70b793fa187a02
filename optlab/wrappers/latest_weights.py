"""Latest-weight averaging (LAWA; Kaddour 2022): the mean of a method's last checkpoints; it goes on as ever."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.core.validation import as_integer
from optlab.wrappers.base import WrappedState, Wrapper, check_wrappable, scaled


@dataclass
class LatestWeightState(WrappedState):
    """State after k iterations.

    Parameters
    ----------
    checkpoints : tuple of variables
        The last few, the newest last.
    since : int
        Iterations since the newest.
    """

    checkpoints: tuple[Any, ...] = ()
    since: int = 0


@dataclass(frozen=True)
class LatestWeightAveraging(Wrapper):
    """Report the mean of the last `count` checkpoints of a method, one every `period` iterations.

    Parameters
    ----------
    method : Method
        Any method with a variable. Until the first checkpoint its own iterate is reported.
    count : int, default 6
    period : int, default 100

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range.

    References
    ----------
    Kaddour (2022), Stop wasting my time! Saving days of ImageNet and BERT training with latest weight averaging.

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import SGD, LeastSquares
    >>> from optlab.wrappers import LatestWeightAveraging
    >>> problem = LeastSquares([[1.0], [1.0]], [0.0, 1.0])
    >>> result = optlab.solve(problem, LatestWeightAveraging(SGD(0.5), 200, 10), max_iter=4000, seed=0)
    >>> bool(abs(result.solution[0] - 0.5) < 0.05)
    True
    """

    method: Any
    count: int = 6
    period: int = 100

    reference: ClassVar[str] = "kaddour2022stop"  # type: ignore[assignment]

    def __post_init__(self) -> None:
        check_wrappable(self.method)
        object.__setattr__(self, "count", as_integer(self.count, "count", minimum=1))
        object.__setattr__(self, "period", as_integer(self.period, "period", minimum=1))

    def init(self, problem: Any, x0: Any, rng: np.random.Generator) -> LatestWeightState:
        """Return the state at iteration 0."""
        return LatestWeightState(0, self.method.init(problem, x0, rng))

    def advance(self, problem: Any, state: LatestWeightState, n: int) -> LatestWeightState:
        """Return the state `n` iterations later: whole stretches between checkpoints run in one call."""
        inner, checkpoints, since, left = state.inner, state.checkpoints, state.since, n
        while left:
            stretch = min(left, self.period - since)
            inner = self.method.advance(problem, inner, stretch)
            since, left = since + stretch, left - stretch
            if since == self.period:
                checkpoints, since = (*checkpoints, self.method.variable(inner))[-self.count :], 0
        return LatestWeightState(state.k + n, inner, checkpoints, since)

    def iterate(self, problem: Any, state: Any) -> Any:
        """Return the mean of the checkpoints."""
        if not state.checkpoints:
            return self.method.iterate(problem, state.inner)
        total = state.checkpoints[0]
        for checkpoint in state.checkpoints[1:]:
            total = total + checkpoint
        mean = scaled(1.0 / len(state.checkpoints), total)
        return self.method.iterate(problem, self.method.with_variable(problem, state.inner, mean))

    def with_variable(self, problem: Any, state: LatestWeightState, value: Any) -> LatestWeightState:
        """Return a state that goes on from `value`; the checkpoints are kept."""
        inner = self.method.with_variable(problem, state.inner, value)
        return LatestWeightState(state.k, inner, state.checkpoints, state.since)
