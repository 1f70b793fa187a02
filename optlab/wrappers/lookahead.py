"""Lookahead: slow weights that follow what a method does in a few iterations (Zhang, Lucas, Hinton, Ba 2019).

    z_fast  = p iterations of the method from z_slow
    z_slow <- z_slow + interpolation (z_fast - z_slow)

With ``period=1`` and an averaged map it is the Krasnoselskii-Mann iteration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.core.validation import as_integer, as_number
from optlab.wrappers.base import WrappedState, Wrapper, check_wrappable, scaled


@dataclass
class LookaheadState(WrappedState):
    """State after k iterations of the method inside.

    Parameters
    ----------
    slow : variable
        The slow weights.
    since : int
        Iterations of the method inside since they last moved.
    """

    slow: Any
    since: int = 0


@dataclass(frozen=True)
class Lookahead(Wrapper):
    """Every `period` iterations of a method, go back part of the way to where they began.

    The memory of the method inside (momentum, step sizes) is kept when its variable is put back.

    Parameters
    ----------
    method : Method
        Any method with a variable.
    period : int, default 5
        Iterations between two synchronisations. An iteration of the wrapper is one of the method inside.
    interpolation : float in (0, 1], default 0.5
        How far the slow weights go; 1 is the method itself.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range.

    References
    ----------
    Zhang, Lucas, Hinton, Ba (2019), Lookahead optimizer: k steps forward, 1 step back.

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import SGD, LeastSquares
    >>> from optlab.wrappers import Lookahead
    >>> rng = np.random.default_rng(0)
    >>> A = rng.standard_normal((200, 3))
    >>> problem = LeastSquares(A, A @ np.ones(3) + rng.standard_normal(200))
    >>> plain = optlab.solve(problem, SGD(0.1), max_iter=4000, seed=0)
    >>> slow = optlab.solve(problem, Lookahead(SGD(0.1), period=20, interpolation=0.1), max_iter=4000, seed=0)
    >>> slow.metrics["gap"] < plain.metrics["gap"] / 2
    True
    """

    method: Any
    period: int = 5
    interpolation: float = 0.5

    def __post_init__(self) -> None:
        check_wrappable(self.method)
        object.__setattr__(self, "period", as_integer(self.period, "period", minimum=1))
        value = as_number(self.interpolation, "interpolation", above=0, maximum=1)
        object.__setattr__(self, "interpolation", value)

    @property
    def reference(self) -> str:
        """The paper of the wrapper."""
        return "zhang2019lookahead"

    def init(self, problem: Any, x0: Any, rng: np.random.Generator) -> LookaheadState:
        """Return the state at iteration 0."""
        inner = self.method.init(problem, x0, rng)
        return LookaheadState(0, inner, self.method.variable(inner))

    def advance(self, problem: Any, state: LookaheadState, n: int) -> LookaheadState:
        """Return the state `n` iterations later: whole stretches between synchronisations run in one call."""
        inner, slow, since, left = state.inner, state.slow, state.since, n
        while left:
            stretch = min(left, self.period - since)
            inner = self.method.advance(problem, inner, stretch)
            since, left = since + stretch, left - stretch
            if since == self.period:
                fast = self.method.variable(inner)
                if self.interpolation < 1.0:
                    fast = slow + scaled(self.interpolation, fast - slow)
                    inner = self.method.with_variable(problem, inner, fast)
                slow, since = fast, 0
        return LookaheadState(state.k + n, inner, slow, since)

    def with_variable(self, problem: Any, state: LookaheadState, value: Any) -> LookaheadState:
        """Return a state whose slow and fast weights are `value`."""
        return LookaheadState(state.k, self.method.with_variable(problem, state.inner, value), value)
