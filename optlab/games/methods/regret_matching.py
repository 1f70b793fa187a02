"""Regret matching+ and its predictive form on matrix games: no step size at all.

Each player keeps the positive parts R of its regrets and plays in proportion to them: ``R <- [R + u - <u, x>]_+`` with
the utilities u of its pure strategies. The predictive form plays ``[R + u - <u, x>]_+`` once more, as if the last
utilities came again. What converges is the mean, with weights that grow linearly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.core import Method, State
from optlab.games.problems.matrix_game import MatrixGame

Array = Any


@dataclass
class RegretState(State):
    """State after k rounds: regrets and strategies of both players, weighted sums of strategies, products with M."""

    regrets: tuple[Array, Array]
    strategies: tuple[Array, Array]
    sums: tuple[Array, Array]
    weight: float = 0.0
    oracle_calls: int = 0


def _in_proportion(regret: Array) -> Array:
    total = float(regret.sum())
    return regret / total if total > 0.0 else np.full(regret.size, 1.0 / regret.size)


@dataclass(frozen=True)
class RegretMatchingPlus(Method):
    """Regret matching+ by both players of a matrix game; the solution is the mean with linear weights.

    With uniform weights the gap is at most ``(max M - min M)(sqrt n + sqrt m) / sqrt K`` (Tammelin et al. 2015).

    Parameters
    ----------
    predictive : bool, default True
        Predictive RM+ (Farina, Kroer, Sandholm 2021): faster on most games.
    alternating : bool, default True
        Whether the column player already sees the row player's new strategy.

    References
    ----------
    Tammelin (2014), Solving large imperfect information games using CFR+.

    Examples
    --------
    >>> import optlab
    >>> from optlab.games import MatrixGame, RegretMatchingPlus
    >>> game = MatrixGame([[0.0, 2.0], [1.0, 0.0]])
    >>> optlab.solve(game, RegretMatchingPlus(), tol=1e-4, max_iter=5000).success
    True
    """

    predictive: bool = True
    alternating: bool = True
    requires: ClassVar[tuple[str, ...]] = ("operator", "moved")
    needs: ClassVar[str] = "a matrix game (optlab.games.MatrixGame)"
    reference: ClassVar[str] = "tammelin2014solving"

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against what is no matrix game."""
        return None if isinstance(problem, MatrixGame) else "needs a matrix game (optlab.games.MatrixGame)"

    def init(self, problem: Any, x0: Any, rng: Any) -> RegretState:
        """Return the state before the first round."""
        n, m = problem.M.shape
        z = problem.at(problem.operator_start(x0))
        return RegretState(0, (np.zeros(n), np.zeros(m)), (z[:n], z[n:]), (np.zeros(n), np.zeros(m)))

    def step(self, problem: Any, state: RegretState) -> RegretState:
        """Return the state one round later."""
        M, (x, y) = problem.M, state.strategies
        weight = state.k + 1.0
        first, x_next = self._played(state.regrets[0], -(M @ y), x)
        second, y_next = self._played(state.regrets[1], (x_next if self.alternating else x) @ M, y)
        sums = (state.sums[0] + weight * x, state.sums[1] + weight * y)
        return RegretState(
            state.k + 1, (first, second), (x_next, y_next), sums, state.weight + weight, state.oracle_calls + 1
        )

    def _played(self, regret: Array, utility: Array, strategy: Array) -> tuple[Array, Array]:
        gain = utility - float(utility @ strategy)
        regret = np.maximum(regret + gain, 0.0)
        return regret, _in_proportion(np.maximum(regret + gain, 0.0) if self.predictive else regret)

    def iterate(self, problem: Any, state: RegretState) -> Any:
        """Return the weighted mean of the strategies played; the start before the first round."""
        if state.weight == 0.0:
            return problem.point(np.concatenate(state.strategies))
        return problem.point(np.concatenate(state.sums) / state.weight)
