"""Lookahead: slow weights that follow what a method does in a few iterations (Zhang, Lucas, Hinton, Ba 2019).

    z_fast  = p iterations of the method from z_slow
    z_slow <- z_slow + interpolation (z_fast - z_slow)

With ``period=1`` and an averaged map it is the Krasnoselskii-Mann iteration.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from optlab.compiled.outer import Outer
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


class SlowWeights(Wrapper):
    """An outer iteration: every `period` iterations the slow weights move, and the method inside goes on there."""

    period: int

    def init(self, problem: Any, x0: Any, rng: np.random.Generator) -> LookaheadState:
        """Return the state at iteration 0."""
        inner = self.method.init(problem, x0, rng)
        return self._start(0, inner, self.method.variable(inner))

    def _start(self, k: int, inner: Any, slow: Any) -> LookaheadState:
        return LookaheadState(k, inner, slow)

    def moved(self, state: LookaheadState, fast: Any) -> LookaheadState:
        """Return the state with the slow weights after a step towards `fast`, the variable of the method inside."""
        raise NotImplementedError

    def outer(self, state: LookaheadState) -> Outer | None:
        """Return the outer iteration as a compiled loop takes it, arrays copied; None if it has no such form."""
        return None

    def told(self, state: LookaheadState, n: int, inner: Any, outer: Outer) -> LookaheadState:
        """Return the state `n` iterations later, from what a compiled loop has made of `outer`."""
        return LookaheadState(state.k + n, inner, outer.slow, (state.since + n) % self.period)

    def advance(self, problem: Any, state: LookaheadState, n: int) -> LookaheadState:
        """Return the state `n` iterations later: within a compiled loop, or in stretches between outer steps."""
        outer = self.outer(state)
        if outer is not None and self.method.takes_outer_steps(problem):
            inner = self.method.advance_outer(problem, state.inner, n, outer)
            return self.told(state, n, inner, outer)
        left = n
        while left:
            stretch = min(left, self.period - state.since)
            inner = self.method.advance(problem, state.inner, stretch)
            state = replace(state, k=state.k + stretch, inner=inner, since=state.since + stretch)
            left -= stretch
            if state.since == self.period:
                fast = self.method.variable(inner)
                state = self.moved(replace(state, since=0), fast)
                if state.slow is not fast:
                    state.inner = self.method.with_variable(problem, inner, state.slow)
        return state

    def with_variable(self, problem: Any, state: LookaheadState, value: Any) -> LookaheadState:
        """Return a state whose slow and fast weights are `value`."""
        return self._start(state.k, self.method.with_variable(problem, state.inner, value), value)


@dataclass(frozen=True)
class Lookahead(SlowWeights):
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

    def outer(self, state: LookaheadState) -> Outer | None:
        """Return the outer iteration as a compiled loop takes it; None if the slow weights are the fast ones."""
        if self.interpolation == 1.0 or not isinstance(state.slow, np.ndarray):
            return None
        slow = state.slow.copy()
        return Outer(slow, np.zeros_like(slow), self.period, state.since, self.interpolation, 0.0)

    def moved(self, state: LookaheadState, fast: Any) -> LookaheadState:
        """Return the state with the slow weights part of the way to `fast`."""
        if self.interpolation < 1.0:
            fast = state.slow + scaled(self.interpolation, fast - state.slow)
        return replace(state, slow=fast)
