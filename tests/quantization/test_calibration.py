"""Quantizing a trained layer: the exact best point against enumeration and a mixed-integer program, error feedback."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from optlab.quantization import best_on_grid, error_feedback, layer_error, nearest

GRID = np.array([-1.0, 0.0, 0.5, 1.5])


def instance(seed, n=20, d=6, correlation=0.9):
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(n, 1))
    A = np.sqrt(1 - correlation) * rng.normal(size=(n, d)) + np.sqrt(correlation) * common
    return A, A @ rng.normal(size=d) + 0.1 * rng.normal(size=n)


@pytest.mark.parametrize("seed", range(20))
def test_the_best_point_is_that_of_enumeration(seed):
    A, b = instance(seed)
    points = np.array(list(product(GRID, repeat=6)))
    values = np.sum((points @ A.T - b) ** 2, axis=1)
    x = best_on_grid(A, b, GRID)
    assert set(x) <= set(GRID)
    np.testing.assert_allclose(np.sum((A @ x - b) ** 2), values.min(), rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_best_point_is_that_of_a_mixed_integer_program(seed):
    """HiGHS: one binary per level, products of binaries as variables of their own (McCormick)."""
    A, b = instance(seed, n=12, d=4)
    d, K = 4, GRID.size
    pairs = [(p, q) for p in range(d * K) for q in range(p + 1, d * K) if p // K != q // K]
    gram, linear = A.T @ A, A.T @ b
    cost = [gram[p // K, p // K] * GRID[p % K] ** 2 - 2 * linear[p // K] * GRID[p % K] for p in range(d * K)]
    cost += [2 * gram[p // K, q // K] * GRID[p % K] * GRID[q % K] for p, q in pairs]
    rows, low, high = [], [], []
    for i in range(d):
        row = np.zeros(len(cost))
        row[i * K : (i + 1) * K] = 1.0
        rows, low, high = [*rows, row], [*low, 1.0], [*high, 1.0]
    for at, (p, q) in enumerate(pairs, start=d * K):
        for terms, below, above in (((1, -1, 0), -np.inf, 0), ((1, 0, -1), -np.inf, 0), ((1, -1, -1), -1, np.inf)):
            row = np.zeros(len(cost))
            row[[at, p, q]] = terms
            rows, low, high = [*rows, row], [*low, below], [*high, above]
    integer = np.r_[np.ones(d * K), np.zeros(len(pairs))]
    found = milp(
        cost, integrality=integer, bounds=Bounds(0, 1), constraints=LinearConstraint(np.array(rows), low, high)
    )
    assert found.success
    x = best_on_grid(A, b, GRID)
    np.testing.assert_allclose(np.sum((A @ x - b) ** 2), found.fun + b @ b, rtol=1e-6)


def test_error_feedback_is_between_rounding_and_the_best():
    rounded, fed, best = [], [], []
    for seed in range(15):
        X, _ = instance(seed, n=40, d=8)
        W = np.random.default_rng(100 + seed).normal(size=(3, 8))
        grid = np.array([-1.5, -0.5, 0.5, 1.5])
        rounded.append(layer_error(W, nearest(W, grid), X))
        Q = error_feedback(W, X, grid)
        assert np.all(np.isin(Q, grid))
        fed.append(layer_error(W, Q, X))
        best.append(layer_error(W, np.array([best_on_grid(X, X @ w, grid) for w in W]), X))
    assert np.all(np.array(best) <= np.minimum(rounded, fed) * (1 + 1e-12))
    assert np.mean(fed) < 0.5 * np.mean(rounded)


def test_without_correlation_feedback_is_rounding():
    W = np.random.default_rng(0).normal(size=(4, 5))
    X = np.sqrt(5) * np.eye(5)
    assert np.array_equal(error_feedback(W, X, GRID), nearest(W, GRID))
    per_row = error_feedback(W, X, [GRID, GRID, GRID, 2 * GRID])
    assert np.array_equal(per_row[3], nearest(W[3], 2 * GRID))


def test_arguments_are_checked():
    A, b = instance(0)
    with pytest.raises(ValueError, match="full column rank"):
        best_on_grid(A[:3], b[:3], GRID)
    with pytest.raises(RuntimeError, match="max_nodes"):
        best_on_grid(A, b, GRID, max_nodes=3)
    with pytest.raises(ValueError, match="inputs must have 6 columns"):
        error_feedback(np.ones((2, 6)), np.ones((4, 5)), GRID)
    with pytest.raises(ValueError, match="one for each of 2"):
        error_feedback(np.ones((2, 6)), A, [GRID, GRID, GRID])
