"""Random instances of the checks, with optima that the library's own certificate vouches for."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

import optlab
from optlab.bregman.functions import Box, L1Norm, LeastSquares
from optlab.composite import CompositeProblem
from optlab.firstorder import FISTA

PAPER = "first-order"


def states(problem: Any, method: Any, n: int, x0: Any = None) -> list[Any]:
    """Return the states after 0, ..., n iterations."""
    return list(islice(optlab.iterate(problem, method, x0=x0, seed=0), n + 1))


def solution(problem: Any) -> tuple[np.ndarray, float]:
    """Return a minimiser and the optimal value, by restarted FISTA to a gap (or residual) of rounding."""
    result = optlab.solve(problem, FISTA(restart="gradient"), tol=1e-13, max_iter=30_000, progress=False)
    x = np.asarray(result.solution)
    return x, float(problem.objective(x))


def composites(seed: int, number: int, strong: bool = False) -> Iterator[Any]:
    """Yield lasso problems and non-negative least squares by turns; with full column rank if `strong`."""
    rng = np.random.default_rng(seed)
    for i in range(number):
        m, n = (12, 6) if strong else (6, 10)
        A, b = rng.standard_normal((m, n)), rng.standard_normal(m)
        g = 0.2 * float(np.max(np.abs(A.T @ b))) * L1Norm() if i % 2 == 0 else Box(lower=0.0)
        yield CompositeProblem(LeastSquares(A, b), g)
