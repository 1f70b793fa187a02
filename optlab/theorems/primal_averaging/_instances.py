"""What the checks of primal averaging share: problems with known solutions, and the three sequences of a run.

All runs are the library's own wrappers, advanced one iteration at a time; nothing here moves an iterate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.stochastic import LeastSquares, LogisticRegression

PAPER = "primal-averaging"
DERIVED = "derived here, verified numerically"
THEOREM = "Defazio et al. 2025, convergence theorem; constants derived here"


@dataclass(frozen=True)
class Path:
    """The points of a run: ``x[t], y[t], z[t]`` before iteration t, and the gradients at the points y."""

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    gradients: np.ndarray


def path(problem: Any, wrapper: Any, x0: Any, n: int, seed: int = 0) -> Path:
    """Return the first n points of a primal average around a method, on dense data without mini-batches drawn."""
    state = wrapper.init(problem, x0, np.random.default_rng(seed))
    x, z, mu = [], [], []
    for k in range(n):
        x.append(np.array(wrapper.variable(state)))
        z.append(state.inner.x.copy())
        mu.append(float(wrapper.coefficients(k, 1, np.ones(1), state.numbers.copy())[1][0]))
        state = wrapper.step(problem, state)
    xs, zs, weight = np.array(x), np.array(z), np.array(mu)[:, None]
    y = weight * xs + (1.0 - weight) * zs
    gradients = np.array([problem.objective_and_gradient(point)[1] for point in y])
    return Path(xs, y, zs, gradients)


def values(problem: Any, points: np.ndarray) -> np.ndarray:
    """Return f at every point."""
    return np.array([problem.objective(point) for point in points])


def divergence(problem: Any, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the Bregman divergences ``f(a) - f(b) - <grad f(b), a - b>`` of pairs of points, a row each."""
    slopes = np.array([problem.objective_and_gradient(point)[1] for point in b])
    return values(problem, a) - values(problem, b) - np.sum(slopes * (a - b), axis=1)


def regression(seed: int, n: int = 40, d: int = 6, condition: float = 30.0) -> Any:
    """Return a least-squares problem, its minimiser and its smoothness constant."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, d)) * np.logspace(0.0, -0.5 * np.log10(condition), d)
    b = A @ rng.standard_normal(d) + 0.5 * rng.standard_normal(n)
    problem = LeastSquares(A, b)
    return problem, np.linalg.lstsq(A, b, rcond=None)[0], float(np.linalg.norm(A, 2) ** 2 / n)


def classification(seed: int, n: int = 40, d: int = 5) -> Any:
    """Return a logistic regression with a small ridge term."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, d))
    return LogisticRegression(A, np.where(A @ rng.standard_normal(d) + rng.standard_normal(n) > 0, 1.0, -1.0), 1e-2)
