"""DiLoCo with a single worker: Nesterov's momentum on what a method does in a few iterations.

    Delta = slow - (the variable after H iterations of the method from slow)       the pseudo-gradient
    b     <- mu b + Delta
    slow  <- slow - eta (Delta + mu b)

Douillard et al. (2023) run many workers and average their Delta; with one it is SNOO (Kallusky et al. 2025). The memory
of the method inside is kept from round to round. ``mu = 0`` is `Lookahead`. With H = 1, around a method whose
displacement depends on gradients only, it is `PrimalAveraging` with both constants mu and the step size multiplied by
``eta / (1 - mu)``; with a decoupled weight decay it is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.compiled.outer import Outer
from optlab.core.validation import as_integer, as_number
from optlab.wrappers.base import check_wrappable, scaled
from optlab.wrappers.lookahead import LookaheadState, SlowWeights


@dataclass
class DiLoCoState(LookaheadState):
    """State after k iterations of the method inside.

    Parameters
    ----------
    momentum : variable or None
        The buffer b; None before the first round.
    """

    momentum: Any = None


@dataclass(frozen=True)
class DiLoCo(SlowWeights):
    """Every `period` iterations of a method, a step of Nesterov's momentum along what they did.

    The slow weights are reported: between two rounds the solution stands still.

    Parameters
    ----------
    method : Method
        Any method with a variable.
    period : int, default 16
        H, iterations of the method inside in a round. An iteration of the wrapper is one of the method inside.
    step_size : float, default 0.7
        eta, the outer one. Over many rounds the slow weights go ``step_size / (1 - momentum)`` times as far as the
        method inside alone would.
    momentum : float in [0, 1), default 0.9
        mu.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range.

    References
    ----------
    Douillard et al. (2023), DiLoCo: Distributed low-communication training of language models, arXiv 2311.08105.

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import SGD, LeastSquares
    >>> from optlab.wrappers import DiLoCo
    >>> problem = LeastSquares([[1.0, 0.0], [0.0, 0.1]], [1.0, 1.0])
    >>> plain = optlab.solve(problem, SGD(0.5, batch_size=2), max_iter=640)
    >>> outer = optlab.solve(problem, DiLoCo(SGD(0.5, batch_size=2)), max_iter=640)
    >>> outer.metrics["gap"] < plain.metrics["gap"] / 5
    True
    """

    method: Any
    period: int = 16
    step_size: float = 0.7
    momentum: float = 0.9

    reference: ClassVar[str] = "douillard2023diloco"  # type: ignore[assignment]

    def __post_init__(self) -> None:
        check_wrappable(self.method)
        object.__setattr__(self, "period", as_integer(self.period, "period", minimum=1))
        object.__setattr__(self, "step_size", as_number(self.step_size, "step_size", above=0))
        object.__setattr__(self, "momentum", as_number(self.momentum, "momentum", minimum=0, below=1))

    def _start(self, k: int, inner: Any, slow: Any) -> DiLoCoState:
        return DiLoCoState(k, inner, slow)

    def outer(self, state: LookaheadState) -> Outer | None:
        """Return the outer iteration as a compiled loop takes it."""
        if not isinstance(state.slow, np.ndarray):
            return None
        assert isinstance(state, DiLoCoState)
        slow = state.slow.copy()
        momentum = np.zeros_like(slow) if state.momentum is None else state.momentum.copy()
        return Outer(slow, momentum, self.period, state.since, self.step_size, self.momentum)

    def told(self, state: LookaheadState, n: int, inner: Any, outer: Outer) -> DiLoCoState:
        """Return the state `n` iterations later, from what a compiled loop has made of `outer`."""
        return DiLoCoState(state.k + n, inner, outer.slow, (state.since + n) % self.period, outer.momentum)

    def moved(self, state: LookaheadState, fast: Any) -> DiLoCoState:
        """Return the state after an outer step."""
        assert isinstance(state, DiLoCoState)
        change = state.slow - fast
        momentum = change if state.momentum is None else scaled(self.momentum, state.momentum) + change
        slow = state.slow - scaled(self.step_size, change + scaled(self.momentum, momentum))
        return DiLoCoState(state.k, state.inner, slow, 0, momentum)

    def iterate(self, problem: Any, state: Any) -> Any:
        """Return the slow weights."""
        return self.method.iterate(problem, self.method.with_variable(problem, state.inner, state.slow))
