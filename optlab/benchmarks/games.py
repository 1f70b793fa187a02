"""Matrix games: rounds beside their two products, accurate equilibria beside linear programming, measuring."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from optlab.benchmarks import benchmark, compare_row, interleave

Row = dict[str, Any]


def _products(M: np.ndarray, x: np.ndarray, y: np.ndarray, n: int) -> None:
    for _ in range(n):
        M @ y
        x @ M


@benchmark(id="games-round", title="A round of predictive regret matching+ and a step of PDHG, in products with M")
def rounds(scale: str, seed: int) -> list[Row]:
    """Time record intervals of 100 rounds against as many pairs of NumPy's products, and measuring against one pair."""
    from optlab.games import MatrixGame, PrimalDualGame, RegretMatchingPlus

    rows = []
    for n in (20, 100) if scale == "smoke" else (20, 100, 300, 1000):
        game = MatrixGame(np.random.default_rng(seed).normal(size=(n, n)))
        x0 = game.default_start(np.random.default_rng(0))
        x, y = x0[:n], x0[n:]
        calls: dict[str, Callable[[], Any]] = {"two products": partial(_products, game.M, x, y, 100)}
        methods: tuple[Any, ...] = (RegretMatchingPlus(), PrimalDualGame())
        for method in methods:
            calls[type(method).__name__] = partial(method.advance, game, method.init(game, x0, None), 100)
        times = interleave(calls, repeats=7, budget=20)
        for name, bar in (("RegretMatchingPlus", "<= 2"), ("PrimalDualGame", None)):
            kept = bar if scale != "smoke" else None
            rows.append(
                compare_row(f"{name}, {n} x {n}", times, ours=name, peer="two products", bar=kept, ratio="cost")
            )
        calls = {"measure": partial(game.measure, game.point(x0))}
        calls["two products"] = partial(_products, game.M, x, y, 1)
        times = interleave(calls, budget=5)
        rows.append(compare_row(f"measuring, {n} x {n}", times, ours="measure", peer="two products", ratio="cost"))
    return rows


def _linear_program(M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the strategies of both players from one linear program of HiGHS and its multipliers."""
    from scipy.optimize import linprog

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
    return answer.x[:n], -answer.ineqlin.marginals


@benchmark(id="games-accuracy", title="Equilibria to 1e-8 of the spread: restarted PDHG against HiGHS, in one run")
def accuracy(scale: str, seed: int) -> list[Row]:
    """Time Gaussian games to a certified gap of 1e-8; HiGHS solves one linear program for both players."""
    import optlab
    from optlab.games import MatrixGame, PrimalDualGame

    rows = []
    for n in (50,) if scale == "smoke" else (100, 300, 1000):
        M = np.random.default_rng(seed).normal(size=(n, n))
        optlab.solve(MatrixGame(M[:2, :2]), PrimalDualGame(), max_iter=2, tol=None, progress=False)  # compiles
        start = time.perf_counter()
        game = MatrixGame(M)
        result = optlab.solve(game, PrimalDualGame(), tol=1e-8, max_iter=200_000, progress=False)
        ours = time.perf_counter() - start
        start = time.perf_counter()
        x, y = _linear_program(M)
        theirs = time.perf_counter() - start
        peer_gap = (float(np.max(x @ M)) - float(np.min(M @ y))) / game.spread
        rows.append(
            {
                "name": f"Gaussian, {n} x {n}",
                "seconds": ours,
                "peer": "HiGHS",
                "peer_seconds": theirs,
                "ratio": theirs / ours,
                "ratio_is": "peer / ours",
                "bar": ">= 1" if n == 1000 else None,
                "note": f"{result.status}, {result.n_iter} iterations, gaps {result.metrics['relative_gap']:.1e} and "
                f"{peer_gap:.1e}; {os.environ.get('OPENBLAS_NUM_THREADS', 'all')} threads of BLAS",
            }
        )
    return rows
