"""The primal-dual hybrid gradient method on matrix games, restarted by the certified gap.

    x+ = project(x - t M y);   y+ = project(y + s M^T (2 x+ - x)),   t s |M|^2 <= 1

Every `every` iterations the gaps of the last point and of the mean since the last restart are compared with the gap at
that restart; once the smaller is a given share of it, the method begins anew from the better of the two (Applegate,
Hinder, Lu, Lubin 2023). Games are sharp, so that this converges linearly. M y and M^T x of the iterates are at hand and
add up to those of the mean: the gaps cost no product.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from optlab.core import Method, State
from optlab.core.validation import as_integer, as_number
from optlab.games.kernels.matrix_games import PRIMAL_DUAL_STEPS
from optlab.games.problems.matrix_game import MatrixGame

Array = Any


@dataclass
class PrimalDualState(State):
    """State after k iterations.

    Parameters
    ----------
    x, y, pull, push : ndarray
        Strategies of both players, ``M^T x`` and ``M y``.
    sum_x, sum_y, sum_pull, sum_push : ndarray
        Their sums since the last restart.
    since, restarts : int
        Iterations since the last restart, and how many there were.
    first_gap : float
        At the last restart.
    step_size : float
        t, which is s.
    oracle_calls : int
        Pairs of products with M.
    """

    x: Array
    y: Array
    pull: Array
    push: Array
    sum_x: Array
    sum_y: Array
    sum_pull: Array
    sum_push: Array
    since: int
    restarts: int
    first_gap: float
    step_size: float
    oracle_calls: int


def _gap(pull: Array, push: Array) -> float:
    return float(pull.max() - push.min())


@dataclass(frozen=True)
class PrimalDualGame(Method):
    """PDHG on a matrix game, restarted: the method of choice for accurate equilibria of large games.

    Parameters
    ----------
    restarts : bool, default True
        Without them it is plain PDHG, and the solution is the mean: a gap of ``O(1/k)`` (Chambolle, Pock 2011).
    share : float, default 0.3
        Of the gap at the last restart, at which the next one comes; in (0, 1).
    every : int, default 25
        Iterations between comparisons.

    References
    ----------
    Applegate, Hinder, Lu, Lubin (2023), Faster first-order primal-dual methods for linear programming using restarts
    and sharpness.

    Examples
    --------
    >>> import numpy as np, optlab
    >>> from optlab.games import MatrixGame, PrimalDualGame
    >>> game = MatrixGame(np.random.default_rng(0).normal(size=(30, 20)))
    >>> optlab.solve(game, PrimalDualGame(), tol=1e-12, max_iter=10_000).success
    True
    """

    restarts: bool = True
    share: float = 0.3
    every: int = 25
    requires: ClassVar[tuple[str, ...]] = ("operator", "moved")
    needs: ClassVar[str] = "a matrix game (optlab.games.MatrixGame)"
    reference: ClassVar[str] = "applegate2023faster"

    def __post_init__(self) -> None:
        object.__setattr__(self, "share", as_number(self.share, "share", above=0, below=1))
        object.__setattr__(self, "every", as_integer(self.every, "every", minimum=1))

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against what is no matrix game."""
        return None if isinstance(problem, MatrixGame) else "needs a matrix game (optlab.games.MatrixGame)"

    def init(self, problem: Any, x0: Any, rng: Any) -> PrimalDualState:
        """Return the state at iteration 0; a start need not be in the simplices."""
        x, y = problem.strategies(np.asarray(x0, dtype=float))
        norm = problem.euclidean_lipschitz
        return self._begun(problem, PrimalDualState(
            0, x, y, x @ problem.M, problem.M @ y, x, y, x, y, 0, -1, math.inf, 1.0 / norm if norm > 0 else 1.0, 1,
        ))  # fmt: skip

    @staticmethod
    def _begun(problem: Any, state: PrimalDualState) -> PrimalDualState:
        """Return the state with its sums empty, at the point where it is."""
        zeros = (np.zeros_like(a) for a in (state.x, state.y, state.pull, state.push))
        sums = dict(zip(("sum_x", "sum_y", "sum_pull", "sum_push"), zeros))
        gap = _gap(state.pull, state.push)
        return replace(state, since=0, restarts=state.restarts + 1, first_gap=gap, **sums)

    def advance(self, problem: Any, state: PrimalDualState, n: int) -> PrimalDualState:
        """Return the state n iterations later: compiled loops from one comparison to the next."""
        end = state.k + n
        while state.k < end:
            taken = min(end - state.k, self.every - state.since % self.every) if self.restarts else end - state.k
            state = self._compared(problem, self._taken(problem, state, taken))
        return state

    @staticmethod
    def _taken(problem: Any, state: PrimalDualState, n: int) -> PrimalDualState:
        names = ("x", "y", "pull", "push", "sum_x", "sum_y", "sum_pull", "sum_push")
        arrays: dict[str, Any] = {name: np.array(getattr(state, name)) for name in names}
        PRIMAL_DUAL_STEPS.get()(problem.rows, *arrays.values(), state.step_size, n)
        return replace(state, k=state.k + n, since=state.since + n, oracle_calls=state.oracle_calls + n, **arrays)

    def _compared(self, problem: Any, state: PrimalDualState) -> PrimalDualState:
        """Return the state, begun anew where that is due."""
        if not self.restarts or state.since % self.every:
            return state
        x, y, pull, push = (total / state.since for total in (state.sum_x, state.sum_y, state.sum_pull, state.sum_push))
        last, mean = _gap(state.pull, state.push), _gap(pull, push)
        if min(last, mean) > self.share * state.first_gap:
            return state
        if mean < last:
            state = replace(
                state, x=x, y=y, pull=x @ problem.M, push=problem.M @ y, oracle_calls=state.oracle_calls + 1
            )
        return self._begun(problem, state)

    def iterate(self, problem: Any, state: PrimalDualState) -> Any:
        """Return the better of the last point and the mean since the last restart; without restarts, the mean."""
        if state.since > 0:
            mean = _gap(state.sum_pull, state.sum_push) / state.since
            if not self.restarts or mean < _gap(state.pull, state.push):
                return problem.point(np.concatenate([state.sum_x, state.sum_y]) / state.since)
        return problem.point(np.concatenate([state.x, state.y]))

    def measure(self, problem: Any, state: PrimalDualState) -> dict[str, float]:
        """Return the restarts and the step size."""
        return {"restarts": float(state.restarts), "step_size": state.step_size}
