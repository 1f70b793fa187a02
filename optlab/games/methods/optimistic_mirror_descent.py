"""Optimistic online mirror descent: the last gradient as a hint of the next.

    x_t = project(xh - eta_t M_t),   xh <- project(xh - eta_t g_t),   M_{t+1} = g_t

Convex losses: ``eta_t = D / sqrt(delta + sum_{s<t} |g_s - M_s|^2)``; strongly convex ones: ``eta_t = 2 / (lambda t)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.core import Method, State
from optlab.core.validation import as_number

Array = Any


@dataclass
class OnlineState(State):
    """State after k rounds: xh, the hint, sum of squared surprises and the largest, losses summed up."""

    x: Array
    hint: Array
    surprise: float = 0.0
    largest: float = 0.0
    total: float = 0.0
    step_size: float = 0.0
    oracle_calls: int = 0


@dataclass(frozen=True)
class OptimisticMirrorDescent(Method):
    """Optimistic online mirror descent on a stream, Euclidean.

    ``R_T <= D (sqrt(delta + Q_{T-1}) / 2 + sqrt(Q_T))`` on every path, Q the sum of the squared surprises ``|g_t -
    M_t|^2`` and delta at least the largest of them, D the diameter; in expectation it adapts to noise and drift (Chen
    et al. 2023). Strongly convex losses: ``R_T <= sum |g_t - M_t|^2 / (lambda t)``.

    Parameters
    ----------
    delta : float, optional
        Default: ``4 max |g|^2`` of the stream.
    hints : bool, default True
        Without them M is 0: online gradient descent.

    References
    ----------
    Chen, Zhang, Tu, Zhao, Zhang (2023), Optimistic online mirror descent for bridging stochastic and adversarial online
    convex optimization.

    Examples
    --------
    >>> import optlab
    >>> from optlab.games import OnlineStream, OptimisticMirrorDescent
    >>> angle = 0.3 * np.arange(600)
    >>> turning = OnlineStream(np.stack([np.cos(angle), np.sin(angle)], axis=1))
    >>> found = [optlab.solve(turning, OptimisticMirrorDescent(hints=h), tol=None, max_iter=600) for h in (True, False)]
    >>> found[0].metrics["regret"] < 0 < found[1].metrics["regret"]
    True
    """

    delta: float | None = None
    hints: bool = True
    requires: ClassVar[tuple[str, ...]] = ("gradient", "project", "best_loss")
    needs: ClassVar[str] = "a stream of losses (optlab.games.OnlineStream)"
    reference: ClassVar[str] = "chen2023optimistic"

    def __post_init__(self) -> None:
        if self.delta is not None:
            object.__setattr__(self, "delta", as_number(self.delta, "delta", above=0))

    def init(self, problem: Any, x0: Any, rng: Any) -> OnlineState:
        """Return the state before the first round."""
        x = problem.project(np.array(x0, dtype=float)[-problem.size :])  # the point of an earlier solution, too
        return OnlineState(0, x, np.zeros(problem.size))

    def step(self, problem: Any, state: OnlineState) -> OnlineState:
        """Return the state after one more round."""
        t, strong = state.k, problem.strong_convexity
        if strong > 0.0:
            eta = 2.0 / (strong * (t + 1.0))
        else:
            delta = self.delta
            if delta is None:
                delta = 4.0 * problem.largest_gradient**2
            eta = 2.0 * problem.radius / math.sqrt(max(delta + state.surprise, 1e-300))
        played = problem.project(state.x - eta * state.hint)
        seen = problem.gradient(t, played)
        squared = float(np.sum((seen - state.hint) ** 2))
        return OnlineState(
            t + 1,
            problem.project(state.x - eta * seen),
            seen if self.hints else state.hint,
            state.surprise + squared,
            max(state.largest, squared),
            state.total + problem.loss(t, played),
            eta,
            t + 1,
        )

    def iterate(self, problem: Any, state: OnlineState) -> Array:
        """Return the rounds played, the losses summed up, and the point from which the next round goes on."""
        return np.concatenate([[float(state.k), state.total], state.x])

    def measure(self, problem: Any, state: OnlineState) -> dict[str, float]:
        """Return the sum of the squared surprises and the step size."""
        return {"surprise": state.surprise, "step_size": state.step_size}
