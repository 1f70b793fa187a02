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
from optlab.games.kernels.matrix_games import REGRET_ROUNDS
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

    def advance(self, problem: Any, state: RegretState, n: int) -> RegretState:
        """Return the state n rounds later, in one compiled loop."""
        arrays = [np.array(a) for pair in (state.regrets, state.strategies, state.sums) for a in pair]
        REGRET_ROUNDS.get()(problem.rows, *arrays, state.k, n, self.predictive, self.alternating)
        R, S, x, y, sum_x, sum_y = arrays
        weight = state.weight + n * (state.k + 0.5 * (n + 1.0))
        return RegretState(state.k + n, (R, S), (x, y), (sum_x, sum_y), weight, state.oracle_calls + n)

    def iterate(self, problem: Any, state: RegretState) -> Any:
        """Return the weighted mean of the strategies played; the start before the first round."""
        if state.weight == 0.0:
            return problem.point(np.concatenate(state.strategies))
        return problem.point(np.concatenate(state.sums) / state.weight)
