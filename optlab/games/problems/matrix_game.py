"""Matrix games on two simplices, with the oracles of first-order methods beside those of the splittings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from optlab.core.validation import one_of
from optlab.games.problems.base import OperatorProblem
from optlab.games.problems.geometry import EntropicSimplices, Simplices
from optlab.splitting.problems import MatrixGame as SplitMatrixGame

Array = Any


@dataclass(frozen=True, eq=False)
class Strategies:
    """The mixed strategies of both players.

    Attributes
    ----------
    x, y : ndarray
        Of the row player, who pays, and of the column player.
    """

    x: Array
    y: Array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(np.concatenate([self.x, self.y]), dtype=dtype)

    def __len__(self) -> int:
        return self.x.size + self.y.size


class MatrixGame(OperatorProblem, SplitMatrixGame):
    """Find an equilibrium of ``min_x max_y x^T M y`` over two simplices.

    Methods of this package use ``F(x, y) = (M y, -M^T x)``; those of `optlab.splitting` run on it too.

    Parameters
    ----------
    payoff : array_like, shape (n, m)
        M: what the row player (x, minimising) pays to the column player (y, maximising).
    geometry : {"euclidean", "entropy"}, default "euclidean"
        How the methods of this package move: by projections, or by multiplicative steps. It changes the Lipschitz
        constant: the largest singular value of M without its mean, or ``(max M - min M) / 2``.

    Notes
    -----
    The solution is a `Strategies` with ``x`` and ``y``. Metrics: ``gap = max_j (M^T x)_j - min_i (M y)_i``, the
    exploitability, with ``value_lower`` and ``value_upper`` between which the value of the game lies; ``relative_gap``,
    the gap over the spread ``max M - min M``, which is the primary metric. Two products with M, whatever the method.

    Examples
    --------
    >>> import optlab
    >>> from optlab.games import MatrixGame, OptimisticGradient
    >>> game = MatrixGame([[0.0, 2.0], [1.0, 0.0]])
    >>> result = optlab.solve(game, OptimisticGradient(), tol=1e-9, max_iter=5000)
    >>> result.success, result.solution.x.round(6), result.solution.y.round(6)
    (True, array([0.333333, 0.666667]), array([0.666667, 0.333333]))
    """

    def __init__(self, payoff: Any, geometry: str = "euclidean") -> None:
        SplitMatrixGame.__init__(self, payoff)
        n, m = self.M.shape
        one_of(geometry, "geometry", ("euclidean", "entropy"))
        self.entropic = geometry == "entropy"
        self.geometry = EntropicSimplices(n, m) if self.entropic else Simplices(n, m)
        self.size = n + m
        self.spread = float(self.M.max() - self.M.min())
        self.primary_metric = "relative_gap"
        self.lipschitz = 0.5 * self.spread if self.entropic else self.euclidean_lipschitz

    @cached_property
    def euclidean_lipschitz(self) -> float:
        """The largest singular value of M without its mean."""
        return float(np.linalg.norm(self.M - self.M.mean(), 2)) if self.spread > 0 else 0.0

    @cached_property
    def rows(self) -> Array:
        """M in memory row by row, for compiled loops."""
        return np.ascontiguousarray(self.M)

    def hint(self, method: Any, state: Any, metrics: dict[str, float]) -> str | None:
        """Return the length of a splitting's displacement, where it is not small; other methods have none."""
        if np.shape(getattr(state, "x", 0.0)) != (self.size,):
            return None
        return super().hint(method, state, metrics)

    def operator(self, x: Array) -> Array:
        """Return ``(M y, -M^T x)``."""
        n = self.M.shape[0]
        return np.concatenate([self.M @ x[n:], -(x[:n] @ self.M)])

    def point(self, x: Array) -> Strategies:
        """Return the strategies."""
        n = self.M.shape[0]
        return Strategies(x[:n].copy(), x[n:].copy())

    def measure(self, iterate: Any) -> dict[str, float]:
        """Return the certified gap and the bounds on the value."""
        if isinstance(iterate, Strategies):
            x, y = iterate.x, iterate.y
        else:  # of a splitting, or an average
            x, y = self.strategies(np.asarray(iterate))
        upper, lower = float(np.max(x @ self.M)), float(np.min(self.M @ y))
        gap = max(upper - lower, 0.0)
        relative = gap / self.spread if self.spread > 0 else 0.0
        return {"relative_gap": relative, "gap": gap, "value_lower": lower, "value_upper": upper}
