"""Certified minima: a lower bound of min f that is equal to it up to rounding, for the convex problems.

A high-accuracy solver (quasi-Newton, then Newton where the dimension allows) gives x; the bound comes from a dual
feasible point, so it holds whatever the solver did:

* ``l2 > 0``: ``f(x) - ||grad f(x)||^2 / (2 l2)``, by strong convexity.
* least squares without ridge: ``f(x)`` at the least-squares solution.
* logistic and softmax without ridge: the mean entropy of class probabilities P whose residual P - Y is orthogonal to
  the data (the dual constraint); also where the infimum is not attained (`separation`). If all fails the bound is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from optlab.stochastic.losses import SQUARES, loss_and_derivative
from optlab.stochastic.separation import unregularized_minimum

STRONG_CONVEXITY = "strong convexity at the minimiser"
SOLVED = "least-squares solution"


def minimum_of_linear_model(problem: Any) -> tuple[float, str]:
    """Return the certified bound for a convex `LinearModel`, and what it rests on."""
    A = problem.A.astype(np.float64) if problem.dtype != np.float64 else problem.A
    t = problem.targets.astype(np.float64)
    n, d = A.shape
    l2 = problem.l2
    if l2 == 0 and problem.code != SQUARES:
        return unregularized_minimum(A, (t > 0).astype(np.int64), 2)

    def value_gradient(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = loss_and_derivative(problem.code, A @ x, t)
        return float(np.mean(value)) + 0.5 * l2 * float(x @ x), A.T @ (slope / n) + l2 * x

    def hessian(x: np.ndarray) -> np.ndarray:
        e = np.exp(-np.abs(A @ x))
        weights = e / (1.0 + e) ** 2 / n
        weighted = A.multiply(weights[:, None]).tocsr() if problem.is_sparse else A * weights[:, None]
        product = A.T @ weighted
        return (product.toarray() if problem.is_sparse else product) + l2 * np.eye(d)

    if problem.code == SQUARES:
        x = _least_squares(A, t, l2, problem.is_sparse)
    else:
        x = quasi_newton(value_gradient, np.zeros(d))
        if d <= 1000:
            x = _newton(value_gradient, hessian, x)
    value, gradient = value_gradient(x)
    if l2 > 0:
        return max(value - float(gradient @ gradient) / (2.0 * l2), 0.0), STRONG_CONVEXITY
    return value, SOLVED


def minimum_of_softmax(problem: Any) -> tuple[float, str]:
    """Return the certified bound for a `SoftmaxRegression`, and what it rests on."""
    from optlab.stochastic.softmax import losses_and_slopes

    A = problem.A.astype(np.float64) if problem.dtype != np.float64 else problem.A
    n, l2, shape = problem.n_samples, problem.l2, problem.shape
    if l2 == 0:
        return unregularized_minimum(A, problem.labels, shape[1])

    def value_gradient(w: np.ndarray) -> tuple[float, np.ndarray]:
        x = w.reshape(shape)
        values, slopes = losses_and_slopes(A @ x, problem.labels)
        return float(np.mean(values)) + 0.5 * l2 * float(w @ w), (A.T @ (slopes / n) + l2 * x).ravel()

    w = quasi_newton(value_gradient, np.zeros(problem.size))
    value, gradient = value_gradient(w)
    return max(value - float(gradient @ gradient) / (2.0 * l2), 0.0), STRONG_CONVEXITY


def quasi_newton(
    value_gradient: Callable[[np.ndarray], tuple[float, np.ndarray]],
    start: np.ndarray,
    stop: Callable[[np.ndarray], bool] | None = None,
    max_iter: int = 20_000,
) -> np.ndarray:
    """Minimise a smooth convex function as far as L-BFGS gets, or until ``stop(x)``."""
    from scipy.optimize import minimize

    def callback(x: np.ndarray) -> None:
        if stop is not None and stop(x):
            raise StopIteration

    options = {"maxiter": max_iter, "maxfun": 2 * max_iter, "maxcor": 20, "gtol": 1e-13, "ftol": 0.0, "maxls": 50}
    return minimize(value_gradient, start, jac=True, method="L-BFGS-B", options=options, callback=callback).x


def _newton(
    value_gradient: Callable[[np.ndarray], tuple[float, np.ndarray]],
    hessian: Callable[[np.ndarray], np.ndarray],
    x: np.ndarray,
) -> np.ndarray:
    """Polish by Newton steps as long as the gradient shrinks."""
    gradient = value_gradient(x)[1]
    norm = np.linalg.norm(gradient)
    for _ in range(30):
        H = hessian(x)
        H[np.diag_indices_from(H)] += 1e-14 * np.trace(H) / len(H)
        try:
            trial = x - np.linalg.solve(H, gradient)
        except np.linalg.LinAlgError:
            break
        new_gradient = value_gradient(trial)[1]
        new_norm = np.linalg.norm(new_gradient)
        if not new_norm < 0.9 * norm:
            break
        x, gradient, norm = trial, new_gradient, new_norm
    return x


def _least_squares(A: Any, b: np.ndarray, l2: float, sparse: bool) -> np.ndarray:
    n, d = A.shape
    if not sparse:
        if l2 > 0:
            A, b = np.vstack([A, np.sqrt(n * l2) * np.eye(d)]), np.concatenate([b, np.zeros(d)])
        return np.linalg.lstsq(A, b, rcond=None)[0]
    from scipy.sparse.linalg import lsqr

    return lsqr(A, b, damp=np.sqrt(n * l2), atol=1e-15, btol=1e-15, conlim=0, iter_lim=20 * d + 1000)[0]
