"""Bounds of the suboptimality ``f(x) - min f`` of the convex problems with a ridge term, by weak duality.

Write the problem as ``f(w, b) = (1/N) sum_i l_i(z_i) + (l2/2) ||w||^2`` with scores ``z = A w + b``, and let
``theta_i = l_i'(z_i)``. Any ``theta'`` in the domain of the conjugates, with ``sum_i theta'_i = 0`` if there is an
intercept b, is a dual point, and (Fenchel's equality at theta, sample by sample; derived here, checked numerically)

    f(w, b) - min f <= (1/N) sum_i D_i(theta'_i, theta_i) + ||A^T theta' / N + l2 w||^2 / (2 l2),

where D_i is the Bregman divergence of the conjugate of l_i: half a squared difference for least squares, the
Kullback-Leibler divergence of the class probabilities for logistic and softmax regression. No cancellation: both terms
are at least 0. Without intercept theta' = theta gives ``||grad f||^2 / (2 l2)``. With one, theta is moved along the
curvatures, ``theta' = theta + K s`` with the one number (softmax: one per class) s that makes the sum 0; where that
leaves the domain, far from the solution, the bound is f(x) itself, as the losses are at least 0.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from optlab.stochastic.kernels.losses import SQUARES


class _Squares:
    """Half squares: the curvature is 1, and every theta is a dual point."""

    def __init__(self, z: np.ndarray) -> None:
        self.z = z

    def change(self, u: np.ndarray) -> np.ndarray:
        return u

    def mean_curvature(self) -> np.ndarray:
        return np.ones((1, 1))

    def allows(self, u: np.ndarray) -> bool:
        return True

    def divergence(self, u: np.ndarray) -> float:
        return 0.5 * float(np.mean(u * u))


class _Probabilities:
    """Logistic (two columns) and softmax regression: class probabilities P, which stay in the simplex."""

    def __init__(self, P: np.ndarray, signs: np.ndarray | None) -> None:
        self.P, self.signs = P, signs

    def relative(self, u: np.ndarray) -> np.ndarray:
        """Return the relative first-order change of P as the scores change by u."""
        if self.signs is not None:  # columns: the wrong and the right class; the score counts for the right one
            u = np.column_stack([np.zeros(len(u)), self.signs * u])
        return u - np.sum(self.P * u, axis=1, keepdims=True)

    def change(self, u: np.ndarray) -> np.ndarray:
        if self.signs is None:
            return self.P * self.relative(u)
        return self.P[:, 0] * self.P[:, 1] * u

    def mean_curvature(self) -> np.ndarray:
        if self.signs is None:
            return np.diag(self.P.mean(axis=0)) - self.P.T @ self.P / len(self.P)
        return np.mean(self.P[:, 0] * self.P[:, 1]).reshape(1, 1)

    def allows(self, u: np.ndarray) -> bool:
        return bool(self.relative(u).min() >= -1.0)

    def divergence(self, u: np.ndarray) -> float:
        from scipy.special import xlog1py

        v = np.maximum(self.relative(u), -1.0)
        return float(np.sum(self.P * xlog1py(1.0 + v, v)) / len(v))


def _link(problem: Any, z: np.ndarray) -> Any:
    z = np.asarray(z, np.float64)
    if z.ndim == 2:
        P = np.exp(z - z.max(axis=1, keepdims=True))
        return _Probabilities(P / P.sum(axis=1, keepdims=True), None)
    if problem.code == SQUARES:
        return _Squares(z)
    m = problem.targets * z
    e = np.exp(-np.abs(m))
    small, large = e / (1.0 + e), 1.0 / (1.0 + e)
    wrong = np.where(m > 0, small, large)
    return _Probabilities(np.column_stack([wrong, np.where(m > 0, large, small)]), problem.targets.astype(np.float64))


def rounding(problem: Any, slopes: np.ndarray, w: np.ndarray) -> float:
    """Return about the rounding error of the gradient's norm."""
    size = math.sqrt(float(np.sum(np.square(slopes))) / len(slopes) * float(np.mean(problem.row_norms)))
    return float(np.finfo(problem.dtype).eps) * (size + problem.l2 * float(np.linalg.norm(w)))


def duality_gap(problem: Any, x: np.ndarray, z: np.ndarray, value: float, slopes: np.ndarray, norm: float) -> float:
    """Return the bound at x with scores z, objective `value`, derivatives `slopes` and gradient norm `norm`."""
    w, _ = problem.split(x)
    error = rounding(problem, slopes, w)
    if not problem.intercept:
        return (norm + error) ** 2 / (2.0 * problem.l2)
    link = _link(problem, z)
    excess = np.atleast_1d(np.mean(slopes, axis=0))
    shift = np.linalg.lstsq(link.mean_curvature(), -excess, rcond=None)[0]
    u = np.zeros(z.shape) + (shift if z.ndim == 2 else shift[0])
    if not link.allows(u):
        return value
    balanced = slopes + link.change(u)
    if not np.all(np.abs(balanced.sum(axis=0)) <= 1e-10 * np.abs(slopes).sum(axis=0) + 1e-300):
        return value  # without curvature in a class the sum cannot be made 0
    residual = np.asarray(problem.A.T @ (balanced / problem.n_samples)) + problem.l2 * w
    bound = link.divergence(u) + (float(np.linalg.norm(residual)) + error) ** 2 / (2.0 * problem.l2)
    return min(value, bound)
