"""Bounds of the suboptimality ``f(x) - min f`` of the convex problems with a ridge term, by weak duality.

Write the problem as ``f(w, b) = (1/N) sum_i l_i(z_i) + (l2/2) ||w||^2`` with scores ``z = A w + b``, and let
``theta_i = l_i'(z_i)``. Any ``theta'`` in the domain of the conjugates, with ``sum_i theta'_i = 0`` if there is an
intercept b, is a dual point, and (Fenchel's equality at theta, sample by sample; derived here, checked numerically)

    f(w, b) - min f <= (1/N) sum_i D_i(theta'_i, theta_i) + ||A^T theta' / N + l2 w||^2 / (2 l2),

where D_i is the Bregman divergence of the conjugate of l_i: half a squared difference for least squares, the
Kullback-Leibler divergence of the class probabilities for logistic and softmax regression. No cancellation: both terms
are at least 0. Two choices of theta':

* without intercept theta itself, for ``||grad f||^2 / (2 l2)``; with one, theta moved along the curvatures,
  ``theta + K s`` with the one number (softmax: one per class) s that makes the sum 0. This is `duality_gap`.
* theta and its first-order change ``K (A d + s)`` in a Newton step d, found by a few conjugate-gradient steps. The last
  term then is not divided by l2 but by the curvature of f, so that at weak ridge terms, where ``||grad f||^2 / (2 l2)``
  is useless far from the optimum, the bound is about as large as f(x) - min f. This is `newton_gap`.

Where such a point leaves the domain, the bound is f(x) itself, as the losses are at least 0.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from optlab.stochastic.losses import SQUARES


class _Squares:
    """Half squares: the curvature is 1, and every theta is a dual point."""

    def __init__(self, z: np.ndarray) -> None:
        self.z = z

    def change(self, u: np.ndarray) -> np.ndarray:
        return u

    def mean_curvature(self) -> np.ndarray:
        return np.ones((1, 1))

    def largest_step(self, u: np.ndarray, direction: np.ndarray) -> float:
        return math.inf

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

    def largest_step(self, u: np.ndarray, direction: np.ndarray) -> float:
        """Return the largest t with ``u + t direction`` feasible; negative if u is not."""
        start, slope = self.relative(u), self.relative(direction)
        room = 1.0 + start
        if room.min() < 0:
            return -1.0
        falling = slope < 0
        return float(np.min(room[falling] / -slope[falling], initial=math.inf))

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


def _balance(problem: Any, link: Any, slopes: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Return u plus the multiple of ones after which the slopes sum to 0, if the problem has an intercept."""
    if not problem.intercept:
        return u
    excess = np.atleast_1d(np.mean(slopes + link.change(u), axis=0))
    shift = np.linalg.lstsq(link.mean_curvature(), -excess, rcond=None)[0]
    return u + (shift if u.ndim == 2 else shift[0])


def _bound(problem: Any, x: np.ndarray, link: Any, slopes: np.ndarray, u: np.ndarray) -> float:
    changed = slopes + link.change(u)
    w, _ = problem.split(x)
    residual = np.asarray(problem.A.T @ (changed / problem.n_samples)) + problem.l2 * w
    total = np.asarray(changed.sum(axis=0))
    if problem.intercept and not np.all(np.abs(total) <= 1e-10 * np.abs(changed).sum(axis=0) + 1e-300):
        return math.inf  # the sum could not be made 0: a class has no curvature left
    norm = float(np.linalg.norm(residual)) + rounding(problem, slopes, w)
    return link.divergence(u) + norm * norm / (2.0 * problem.l2)


def rounding(problem: Any, slopes: np.ndarray, w: np.ndarray) -> float:
    """Return about the rounding error of the gradient's norm."""
    size = math.sqrt(float(np.sum(np.square(slopes))) / len(slopes) * float(np.mean(problem.row_norms)))
    return float(np.finfo(problem.dtype).eps) * (size + problem.l2 * float(np.linalg.norm(w)))


def duality_gap(problem: Any, x: np.ndarray, z: np.ndarray, value: float, slopes: np.ndarray, norm: float) -> float:
    """Return the bound that costs no more than a gradient; see the top of this file."""
    if not problem.intercept:
        norm += rounding(problem, slopes, x)
        return norm * norm / (2.0 * problem.l2)
    link = _link(problem, z)
    zero = np.zeros(z.shape)
    u = _balance(problem, link, slopes, zero)
    if link.largest_step(u, zero) < 0:
        return value
    return min(value, _bound(problem, x, link, slopes, u))


def newton_gap(problem: Any, x: np.ndarray, steps: int = 30, rtol: float = 0.05) -> float:
    """Return the bound at the dual point that a Newton step predicts; at most ``2 * steps`` products with the data."""
    from scipy.sparse.linalg import LinearOperator, cg

    z = problem.margins(x)
    values, slopes = problem.loss_and_slope(z)
    ridge, ridge_gradient = problem.ridge(x)
    value = float(np.mean(values)) + ridge
    link = _link(problem, z)
    gradient = (problem.combine(slopes / problem.n_samples) + ridge_gradient).astype(np.float64)

    def scores(d: np.ndarray) -> np.ndarray:
        return np.asarray(problem.margins(d.reshape(problem.shape).astype(problem.dtype)), np.float64)

    def hessian(d: np.ndarray) -> np.ndarray:
        curved = problem.combine(link.change(scores(d)) / problem.n_samples)
        return (curved + problem.ridge(d.reshape(problem.shape))[1]).ravel()

    size = problem.size
    operator = LinearOperator((size, size), matvec=hessian, dtype=np.float64)
    direction = scores(cg(operator, -gradient.ravel(), rtol=rtol, maxiter=steps)[0])
    start = _balance(problem, link, slopes, np.zeros(z.shape))
    moved = _balance(problem, link, slopes, direction) - start
    t = min(1.0, link.largest_step(start, moved))
    if not t >= 0:
        return value
    return min(value, _bound(problem, x, link, slopes, start + t * moved))
