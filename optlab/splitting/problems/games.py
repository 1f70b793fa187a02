"""Matrix games on two simplices: a monotone inclusion that is not a minimisation problem."""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.bregman import ShannonEntropy
from optlab.bregman.functions import BlockSum, Simplex, SkewGame
from optlab.composite.inclusion import MonotoneInclusion, SplitPoint
from optlab.core.validation import as_data

Array = Any


class MatrixGame(MonotoneInclusion):
    """Find an equilibrium of ``min_x max_y x^T M y`` over two simplices.

    B is the normal cone of the two simplices (normalise each block), A the skew operator ``(x, y) -> (M y, -M^T x)``,
    whose resolvent under Shannon's entropy takes a damped Newton method of the size of the smaller player. Points are
    one vector of length n + m: x, then y.

    Parameters
    ----------
    M : array_like, shape (n, m)
        What the row player (x, minimising) pays to the column player (y, maximising).

    Raises
    ------
    TypeError, ValueError
        If `M` is not a matrix of finite numbers.

    Notes
    -----
    `measure` gives what `MonotoneInclusion` gives, and ``gap = max_j (M^T x)_j - min_i (M y)_i`` (the primary metric)
    at the normalised blocks: a certificate, since each player can secure their half of it, so that the game's value
    lies in ``[value_lower, value_upper]`` and neither player can gain more than the gap by changing strategy.

    Examples
    --------
    >>> import optlab
    >>> from optlab.splitting import BregmanDouglasRachford
    >>> problem = MatrixGame([[0.0, 2.0], [1.0, 0.0]])
    >>> result = optlab.solve(problem, BregmanDouglasRachford(), tol=1e-9)
    >>> x, y = problem.strategies(result.solution)
    >>> x.round(6), y.round(6)
    (array([0.333333, 0.666667]), array([0.666667, 0.333333]))
    """

    def __init__(self, M: Any) -> None:
        M = as_data(M, "M", ndim=2).astype(np.float64, copy=False)
        self.M = M
        n, m = M.shape
        # adding a constant to M does not change the game, so the scale is that of the differences
        spread = float(np.std(M))
        super().__init__(
            SkewGame(M),
            BlockSum((Simplex(), Simplex()), (n, m)),
            ShannonEntropy(),
            shape=n + m,
            default_step_size=30.0 / spread if spread > 0 else 1.0,
        )
        self.primary_metric = "gap"

    def default_start(self, rng: np.random.Generator) -> Array:
        """Return the uniform strategies; nothing is drawn at random."""
        n, m = self.M.shape
        return np.concatenate([np.full(n, 1.0 / n), np.full(m, 1.0 / m)])

    def strategies(self, point: Any) -> tuple[Array, Array]:
        """Return the two mixed strategies of a point: its blocks, made non-negative with sum 1."""
        n, m = self.M.shape
        point = np.maximum(as_data(point, "point", shape=(n + m,)).view(np.ndarray), 0.0)
        blocks = []
        for block in (point[:n], point[n:]):
            total = float(np.sum(block))
            blocks.append(block / total if total > 0 else np.full(block.size, 1.0 / block.size))
        return blocks[0], blocks[1]

    def _measure_pair(self, x: Array, pair: SplitPoint) -> dict[str, float]:
        metrics = super()._measure_pair(x, pair)
        rows, columns = self.strategies(x)
        upper, lower = float(np.max(rows @ self.M)), float(np.min(self.M @ columns))
        return {**metrics, "gap": upper - lower, "value_lower": lower, "value_upper": upper}

    def reference_solution(self) -> tuple[float, Array, Array]:
        """Return the value of the game and optimal strategies of both players, by linear programming (HiGHS).

        Examples
        --------
        >>> value, x, y = MatrixGame([[0.0, 2.0], [1.0, 0.0]]).reference_solution()
        >>> round(value, 9)
        0.666666667
        """
        from scipy.optimize import linprog

        def play(M: Array) -> tuple[float, Array]:
            # min v  s.t.  M^T x <= v, x in the simplex
            n, m = M.shape
            answer = linprog(
                np.append(np.zeros(n), 1.0),
                A_ub=np.hstack([M.T, -np.ones((m, 1))]),
                b_ub=np.zeros(m),
                A_eq=np.append(np.ones(n), 0.0)[None],
                b_eq=[1.0],
                bounds=[(0, None)] * n + [(None, None)],
                method="highs",
            )
            if not answer.success:  # pragma: no cover - the program is always feasible and bounded
                raise ArithmeticError(f"the linear program of the game was not solved: {answer.message}")
            return float(answer.fun), answer.x[:n]

        value, x = play(self.M)
        return value, x, play(-self.M.T)[1]
