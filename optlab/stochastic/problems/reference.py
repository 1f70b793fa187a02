"""Certified minima: a lower bound of min f that is equal to it up to rounding, for the convex problems.

A high-accuracy solver (quasi-Newton, then Newton where the dimension allows) gives x; the bound comes from a dual
feasible point, so it holds whatever the solver did:

* ``l2 > 0``: f(x) less its duality gap (`certificate`), ``||grad f(x)||^2 / (2 l2)`` unless there is an intercept.
* least squares without ridge: ``f(x)`` at the least-squares solution.
* logistic and softmax without ridge: the mean entropy of class probabilities P whose residual P - Y is orthogonal to
  the data (the dual constraint); also where the infimum is not attained (`separation`). If all fails the bound is 0.
"""

from __future__ import annotations

import copy
from functools import cached_property
from typing import Any

import numpy as np

from optlab.stochastic.kernels.losses import SQUARES
from optlab.stochastic.problems.quasi_newton import quasi_newton
from optlab.stochastic.problems.separation import unregularized_minimum

STRONG_CONVEXITY = "strong convexity at the minimiser"
SOLVED = "least-squares solution"


def minimum_of_linear_model(problem: Any) -> tuple[float, str]:
    """Return the certified bound for a convex `LinearModel`, and what it rests on."""
    problem = _in_float64(problem)
    if problem.l2 == 0 and problem.code != SQUARES:
        return unregularized_minimum(_with_ones(problem), (problem.targets > 0).astype(np.int64), 2)
    if problem.code == SQUARES:
        x = _least_squares(problem)
        if problem.l2 == 0:
            return problem.objective(x), SOLVED
    else:
        x = quasi_newton(problem.objective_and_gradient, np.zeros(problem.size))
        if problem.size <= 1000:
            x = _newton(problem, x)
    return _strong_convexity_bound(problem, x)


def minimum_of_softmax(problem: Any) -> tuple[float, str]:
    """Return the certified bound for a `SoftmaxRegression`, and what it rests on."""
    problem = _in_float64(problem)
    if problem.l2 == 0:
        return unregularized_minimum(_with_ones(problem), problem.labels, problem.shape[1])

    def value_gradient(w: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = problem.objective_and_gradient(w.reshape(problem.shape))
        return value, gradient.ravel()

    w = quasi_newton(value_gradient, np.zeros(problem.size))
    return _strong_convexity_bound(problem, w.reshape(problem.shape))


def _strong_convexity_bound(problem: Any, x: np.ndarray) -> tuple[float, str]:
    row = problem.measure(x)
    return max(row["objective"] - row["duality_gap"], 0.0), STRONG_CONVEXITY


def _in_float64(problem: Any) -> Any:
    """Return the problem on data in float64, without a minimum to measure against."""
    double = copy.copy(problem)
    for name in [n for n in vars(double) if isinstance(getattr(type(double), n, None), cached_property)]:
        del double.__dict__[name]  # computed from the other data
    double._solves, double._f_star = False, None
    if problem.dtype != np.float64:
        double.A, double.dtype = problem.A.astype(np.float64), np.dtype(np.float64)
        if hasattr(problem, "targets"):
            double.targets = problem.targets.astype(np.float64)
    return double


def _with_ones(problem: Any) -> Any:
    """Return the data, with a column of ones if the problem has an intercept."""
    if not problem.intercept:
        return problem.A
    ones = np.ones((problem.n_samples, 1))
    if not problem.is_sparse:
        return np.hstack([problem.A, ones])
    import scipy.sparse as sp

    return sp.hstack([problem.A, sp.csr_matrix(ones)], format="csr")


def _newton(problem: Any, x: np.ndarray) -> np.ndarray:
    """Polish the weights of a logistic regression by Newton steps as long as the gradient shrinks."""
    A = _with_ones(problem)
    ridge = np.full(problem.size, problem.l2)
    if problem.intercept:
        ridge[-1] = 0.0
    gradient = problem.objective_and_gradient(x)[1]
    norm = np.linalg.norm(gradient)
    for _ in range(30):
        e = np.exp(-np.abs(problem.margins(x)))
        weights = e / (1.0 + e) ** 2 / problem.n_samples
        H = A.T @ (A.multiply(weights[:, None]).tocsr() if problem.is_sparse else A * weights[:, None])
        H = (H.toarray() if problem.is_sparse else H) + np.diag(ridge)
        H[np.diag_indices_from(H)] += 1e-14 * np.trace(H) / len(H)
        try:
            trial = x - np.linalg.solve(H, gradient)
        except np.linalg.LinAlgError:
            break
        new_gradient = problem.objective_and_gradient(trial)[1]
        new_norm = np.linalg.norm(new_gradient)
        if not new_norm < 0.9 * norm:
            break
        x, gradient, norm = trial, new_gradient, new_norm
    return x


def _least_squares(problem: Any) -> np.ndarray:
    """Return the minimiser; with an intercept from centred data, without a copy if they are sparse."""
    A, b = problem.A, problem.targets
    n, d = A.shape
    damp = np.sqrt(n * problem.l2)
    mean, middle = (np.asarray(A.mean(axis=0)).ravel(), b.mean()) if problem.intercept else (np.zeros(d), 0.0)
    if problem.is_sparse:
        from scipy.sparse.linalg import LinearOperator, lsqr

        centred = LinearOperator(
            (n, d),
            matvec=lambda w: A @ w.ravel() - mean @ w.ravel(),
            rmatvec=lambda r: A.T @ r.ravel() - mean * r.sum(),
            dtype=np.float64,
        )
        tight = {"atol": 1e-15, "btol": 1e-15, "conlim": 0, "iter_lim": 20 * d + 1000}
        w = lsqr(centred if problem.intercept else A, b - middle, damp=damp, **tight)[0]
    else:
        A, b = (A - mean, b - middle) if problem.intercept else (A, b)
        if damp > 0:
            A, b = np.vstack([A, damp * np.eye(d)]), np.concatenate([b, np.zeros(d)])
        w = np.linalg.lstsq(A, b, rcond=None)[0]
    return np.append(w, middle - mean @ w) if problem.intercept else w
