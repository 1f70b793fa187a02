"""Regularisers, maps and grids: against the argmin by brute force, published values, exhaustive searches."""

from __future__ import annotations

from itertools import pairwise, product

import cvxpy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import optlab
from optlab.bregman.functions import LeastSquares
from optlab.composite import CompositeProblem
from optlab.firstorder import FISTA
from optlab.quantization import (
    Annealing,
    PiecewiseAffine,
    interpolant,
    least_squares_grid,
    nearest,
    nearest_point_slopes,
    pulled,
    relaxed,
    soft_round,
    ternary_grid,
    uniform_grid,
)
from optlab.quantization.grids import greedy_scales
from optlab.quantization.kernels import _cells, _clamp_chain, _soften, clamp_chain, in_cells

# published values, from an independent implementation
U = np.array([-2.5, -1.62, -1.5, -0.9, -0.1, 0, 0.2, 0.31, 1, 1.38, 1.55, 3])
Q = np.array([-2.0, -1.0, 1.0, 2.0])
X = np.array([-1.7, -0.9, -0.35, -0.1, 0.05, 0.4, 0.8, 2.2])


def random_regularizer(rng, corners=None):
    k = int(rng.integers(1, 5)) if corners is None else corners
    points = np.concatenate([[0.0], np.cumsum(rng.uniform(0.2, 1.0, k))])
    return PiecewiseAffine(points, np.cumsum(rng.uniform(0.05, 0.6, k)))


@pytest.mark.parametrize(
    ("tau", "expected"),
    [
        (1.0, [-1.3, -1, -1, -0.5, 0, 0, 0, 0.11, 0.5, 0.88, 1, 1.8]),
        (0.5, [-1.9, -1.02, -1, -0.65, 0, 0, 0.1, 0.21, 0.75, 1, 1, 2]),
    ],
)
def test_published_values_of_the_proximal_map(tau, expected):
    psi = PiecewiseAffine([0, 0.5, 1, 2], [0.2, 0.5, 1.2])
    np.testing.assert_allclose(psi.proximal(U, tau), expected, atol=1e-15)
    np.testing.assert_allclose(psi.values([-1.5, 0.25, 0.5, 2]), [0.95, 0.05, 0.1, 1.55], atol=1e-15)
    assert psi.value([-1.5, 0.25, 0.5, 2]) == pytest.approx(2.65)
    assert psi.value([2.1]) == np.inf


def test_published_values_of_the_other_maps():
    for s, expected in (
        (0.3, [-2, -1.9, -1.5, -1, -1 / 3, 0, 2 / 3, 1, 1, 1.1, 5 / 3, 2]),
        (0.0, [-2, -2, -2, -1, -1, -1, 1, 1, 1, 1, 2, 2]),
        (0.05, [-2, -2, -1.5, -1, -1, 0, 1, 1, 1, 1, 2, 2]),
    ):
        np.testing.assert_allclose(soft_round(U, Q, s), expected, atol=1e-14)
    expected = [-2.3, -1.772, -1.7, -0.94, -0.46, -0.4, 0.52, 0.586, 1, 1.228, 1.73, 2.6]
    np.testing.assert_allclose(relaxed(U, Q, 0.4), expected, atol=1e-15)
    expected = [-2.25, -1.87, -1.75, -1, -0.35, -0.25, 0.45, 0.56, 1, 1.13, 1.8, 2.75]
    np.testing.assert_allclose(pulled(U, Q, 0.25), expected, atol=1e-15)
    schedule = Annealing(100)
    np.testing.assert_allclose(
        [schedule(k) for k in (0, 25, 50, 75, 99)], [1, 0.929896, 0.5, 0.070104, 0.000708], atol=5e-7
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 5.0))
def test_the_proximal_map_is_the_argmin(seed, tau):
    rng = np.random.default_rng(seed)
    psi = random_regularizer(rng)
    u = rng.normal(size=5) * 3
    w = np.linspace(psi.grid[0], psi.grid[-1], 20_001)
    values = psi.values(w)[:, None] + (w[:, None] - u) ** 2 / (2 * tau)
    found = psi.proximal(u, tau)
    best = psi.values(found) + (found - u) ** 2 / (2 * tau)
    assert np.all(best <= values.min(axis=0) + 1e-12)


def test_the_proximal_map_is_that_of_another_solver():
    rng = np.random.default_rng(0)
    psi, u = random_regularizer(rng, 3), rng.normal(size=50) * 2
    w = cvxpy.Variable(50)
    pieces = [c * (w - p) + h for p, c, h in zip(psi.grid, psi.all_slopes, psi.heights)]
    piece = pieces[0]
    for other in pieces[1:]:
        piece = cvxpy.maximum(piece, other)
    objective = cvxpy.sum(piece) + cvxpy.sum_squares(w - u) / 1.4
    cvxpy.Problem(cvxpy.Minimize(objective), [w >= psi.grid[0], w <= psi.grid[-1]]).solve(solver="CLARABEL")
    np.testing.assert_allclose(psi.proximal(u, 0.7), w.value, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_on_the_grid_to_the_last_bit_in_both_precisions(dtype):
    rng = np.random.default_rng(1)
    psi = PiecewiseAffine([0.0, 0.1, 0.7, 1.3], [0.3, 0.9, 1.7])
    u = (4 * rng.normal(size=10_000)).astype(dtype)
    w = psi.proximal(u, 1.1)
    assert w.dtype == dtype
    flat = np.abs(w.astype(float)[:, None] - psi.grid).min(axis=1) < 1e-6
    assert flat.mean() > 0.4
    assert np.array_equal(psi.on_grid(w), flat)
    before = u.copy()
    psi.proximal(u, 1.0)
    assert np.array_equal(u, before)


def test_kernels_are_their_python_text():
    rng = np.random.default_rng(2)
    u, points, shifts = rng.normal(size=200), np.array([-1.0, 0.0, 0.5, 2.0]), np.array([-0.4, 0.1, 0.3])
    out = np.empty(200)
    _clamp_chain(u, points, shifts, out)
    assert np.array_equal(out, clamp_chain(u, points, shifts))
    groups, grids, counts = np.zeros(200, dtype=np.int64), Q[None], np.array([4])
    _cells(u, groups, grids, counts, 0.2, out)
    assert np.array_equal(out, in_cells(u, groups, grids, counts, 0.2))
    np.testing.assert_allclose(out, soft_round(u, Q, 0.2), atol=1e-15)
    for s in (0.2, 0.0):
        _soften(u, Q, s, out)
        assert np.array_equal(out, soft_round(u, Q, s))
    assert np.array_equal(out, in_cells(u, groups, grids, counts, 0.0))


@pytest.mark.parametrize("grid", [Q, [-1.0, 0.0, 1.0], [-0.3, 0.1, 2.0, 2.5], [1.0, 4.0]])
@pytest.mark.parametrize("s", [0.9, 0.3, 1e-2, 1e-4])
def test_the_hardening_map_is_a_proximal_map(grid, s):
    u = np.random.default_rng(3).normal(size=500) * 2
    rounding = 1e-15 * max(1.0, 10.0 / s)  # of u / s
    found = interpolant(grid, s).proximal(u / s, 1.0)
    np.testing.assert_allclose(found, soft_round(u, grid, s), rtol=0, atol=rounding)


def test_the_limit_rounds_and_differs_on_a_set_of_the_stated_size():
    psi = PiecewiseAffine([0.0, 1.0, 2.0], nearest_point_slopes([0.0, 1.0, 2.0]))
    v = np.linspace(-4.0, 4.0, 800_001)
    assert np.array_equal(np.abs(psi.rounded(v)), np.abs(nearest(v, psi.grid)))
    for gamma in (10.0, 100.0, 1000.0):
        differ = np.mean(np.abs(psi.proximal(gamma * v, gamma) - psi.rounded(v)) > 1e-12) * 8.0
        assert differ == pytest.approx(2 * (1 + 2) / gamma, rel=0.02)
        assert np.abs(psi.proximal(gamma * v, gamma) - psi.rounded(v)).max() > 0.9  # the distance does not vanish


def test_conjugate_and_duality_gap():
    rng = np.random.default_rng(4)
    psi = random_regularizer(rng, 3)
    y = rng.normal(size=7)
    w = np.linspace(psi.grid[0], psi.grid[-1], 40_001)
    brute = sum(np.max(w * one - psi.values(w)) for one in y)
    assert brute <= psi.conjugate_value(y) <= brute + 1e-3
    A, b = rng.normal(size=(20, 8)), rng.normal(size=20)
    problem = CompositeProblem(LeastSquares(A, b), 0.5 * psi)
    result = optlab.solve(problem, FISTA(restart="gradient"), tol=1e-10, max_iter=5000, progress=False)
    assert result.success
    x = np.asarray(result.solution)
    assert (0.5 * psi).stationarity(x, A.T @ (A @ x - b)) < 1e-6
    assert (0.5 * psi).stationarity(np.zeros(8), A.T @ -b) > 0.1


@pytest.mark.parametrize(
    ("points", "slopes", "match"),
    [
        ([0.0, 1.0], [0.1, 0.2], "one fewer"),
        ([0.0, 1.0, 1.0], [0.1, 0.2], "points must increase, got 1 before 1 at position 2"),
        ([0.0, 1.0, 2.0], [0.3, 0.2], "slopes must not decrease"),
        ([1.0], [0.5], "at least two"),
    ],
)
def test_what_is_no_such_function(points, slopes, match):
    with pytest.raises(ValueError, match=match):
        PiecewiseAffine(points, slopes)


# ---------------------------------------------------------------------- grids


def error(x, grid):
    return float(np.sum((x - nearest(x, grid)) ** 2))


def test_published_values_of_grids():
    np.testing.assert_allclose(greedy_scales(X, 3), [0.8125, 0.590625, 0.346875], atol=1e-15)
    assert error(X, least_squares_grid(X, 1.58)) == pytest.approx(1.635)
    assert error(X, least_squares_grid(X, 2)) == pytest.approx(0.7433333333)
    np.testing.assert_array_equal(uniform_grid(2), [-1, -1 / 3, 1 / 3, 1])
    np.testing.assert_array_equal(ternary_grid(2.0), [-2, 0, 2])


@pytest.mark.parametrize("seed", range(6))
def test_ternary_and_two_bits_are_the_best_of_all_partitions(seed):
    x = np.random.default_rng(seed).standard_t(3, size=8)
    size = np.abs(x)
    best = {3: np.inf, 4: np.inf}
    for mask in product((False, True), repeat=8):
        kept = np.array(mask)
        if kept.any():
            best[3] = min(best[3], float(np.sum(size[~kept] ** 2) + np.sum((size[kept] - size[kept].mean()) ** 2)))
        if kept.any() and not kept.all():
            parts = (size[kept], size[~kept])
            best[4] = min(best[4], sum(float(np.sum((p - p.mean()) ** 2)) for p in parts))
    assert error(x, least_squares_grid(x, 1.58)) == pytest.approx(best[3], abs=1e-12)
    assert error(x, least_squares_grid(x, 2)) == pytest.approx(best[4], abs=1e-12)
    assert error(x, least_squares_grid(x, 2, "free")) == pytest.approx(best[4], abs=1e-12)


def test_more_levels_never_fit_worse():
    x = np.random.default_rng(0).normal(size=600)
    errors = [error(x, least_squares_grid(x, bits, "free")) for bits in (1, 1.58, 2, 3, 4)]
    assert all(a > b for a, b in pairwise(errors))
    assert error(x, least_squares_grid(x, 3, "free")) <= error(x, least_squares_grid(x, 3, "greedy"))
    # what is known of the normal distribution: relative errors .3634, .1902, .1175 of the best 2, 3, 4 levels
    np.testing.assert_allclose(np.array(errors[:3]) / np.sum(x**2), [0.3634, 0.1902, 0.1175], atol=0.03)


def test_weights_that_have_no_grid():
    with pytest.raises(ValueError, match="must not all be 0"):
        least_squares_grid(np.zeros(3), 2)
    with pytest.raises(ValueError, match=r"1\.58 for the ternary"):
        least_squares_grid(X, 2.5)
    with pytest.raises(ValueError, match="increasing"):
        nearest(X, [1.0, 0.0])


@pytest.mark.parametrize("s", [1.0, 0.3, 0.0])
def test_the_hardening_map_keeps_the_precision_of_its_argument(s):
    u = np.random.default_rng(5).normal(size=500).astype(np.float32)
    w = soft_round(u, Q, s)
    assert w.dtype == np.float32
    np.testing.assert_allclose(w, soft_round(u.astype(float), Q, s), atol=1e-6)
    assert np.array_equal(soft_round(Q.astype(np.float32), Q, s), Q.astype(np.float32))
