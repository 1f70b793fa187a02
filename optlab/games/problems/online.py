"""Streams of losses on a ball, and the regret against the best fixed point."""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.core.validation import as_float_array, as_number

Array = Any


class OnlineStream:
    """Losses ``f_t(x) = <g_t, x> + strong/2 |x|^2`` that are shown one after another, on a ball around 0.

    Parameters
    ----------
    gradients : array_like, shape (T, d)
        g_t: of an adversary, or drawn from distributions that may drift.
    radius : float, default 1
        Of the ball.
    strong_convexity : float, default 0

    Notes
    -----
    A run of T iterations plays T points. Metrics, after t rounds: ``regret``, the primary one,
    ``sum f_s(x_s) - min_x sum f_s(x)`` with the best fixed point in closed form; ``average_regret``.

    Examples
    --------
    >>> import optlab
    >>> from optlab.games import OnlineStream, OptimisticMirrorDescent
    >>> stream = OnlineStream(np.random.default_rng(0).normal(size=(400, 5)) + 0.5)
    >>> result = optlab.solve(stream, OptimisticMirrorDescent(), tol=None, max_iter=400)
    >>> result.metrics["average_regret"] < 0.2
    True
    """

    primary_metric = "regret"

    def __init__(self, gradients: Any, radius: float = 1.0, strong_convexity: float = 0.0) -> None:
        self.g = as_float_array(gradients, "gradients", ndim=2).astype(float)
        self.rounds, self.size = self.g.shape
        self.radius = as_number(radius, "radius", above=0)
        self.strong_convexity = as_number(strong_convexity, "strong_convexity", minimum=0)
        self.largest_gradient = float(np.sqrt(np.max(np.sum(self.g**2, axis=1))))
        self._sums = np.vstack([np.zeros(self.size), np.cumsum(self.g, axis=0)])

    def default_start(self, rng: Any) -> Array:
        """Return the centre."""
        return np.zeros(self.size)

    def project(self, x: Array) -> Array:
        """Return the nearest point of the ball."""
        norm = float(np.linalg.norm(x))
        return x if norm <= self.radius else x * (self.radius / norm)

    def gradient(self, t: int, x: Array) -> Array:
        """Return the gradient of the loss of round t (counted from 0) at x.

        Raises
        ------
        IndexError
            Past the last round.
        """
        if t >= self.rounds:
            raise IndexError(f"the stream has {self.rounds} rounds: max_iter must be at most that")
        return self.g[t] + self.strong_convexity * x

    def loss(self, t: int, x: Array) -> float:
        """Return the loss of round t at x."""
        return float(self.g[t] @ x + 0.5 * self.strong_convexity * (x @ x))

    def best_loss(self, t: int) -> float:
        """Return the least total loss of a fixed point over the first t rounds."""
        total, strong = self._sums[t], t * self.strong_convexity
        norm = float(np.linalg.norm(total))
        length = min(norm / strong, self.radius) if strong > 0 else self.radius
        return -norm * length + 0.5 * strong * length**2

    def measure(self, iterate: Any) -> dict[str, float]:
        """Return the regret of what was played: the number of rounds, and the losses summed up."""
        t, total = int(iterate[0]), float(iterate[1])
        regret = total - self.best_loss(t)
        return {"regret": regret, "average_regret": regret / t if t else 0.0}
