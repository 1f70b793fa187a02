"""The line, slices, Gaussians, the Sinkhorn divergence, couplings of least entropy: against POT and brute force."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import ot
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from optlab.transport import (
    bures_barycenter,
    bures_wasserstein,
    max_sliced_wasserstein,
    minimum_entropy_coupling,
    sinkhorn_divergence,
    sliced_wasserstein,
    wasserstein_1d,
    wasserstein_circle,
)

# ---------------------------------------------------------------------- the line


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1.0, 1.5, 2.0, 3.0]))
def test_the_line_is_the_linear_program_with_duals(seed, p):
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 9, 2)
    u, v = np.round(rng.normal(size=n), rng.integers(0, 3)), np.round(rng.normal(size=m), 1)
    a, b = rng.random(n) * (rng.random(n) > 0.2) + (n == 1), rng.random(m)
    a[0] += a.sum() == 0
    b *= a.sum() / b.sum()
    result = wasserstein_1d(u, v, a, b, p)
    C = np.abs(u[:, None] - v) ** p
    size = 1e-12 * (1 + C.max() * a.sum())
    assert result.success
    assert result.metrics["cost"] == pytest.approx(float(np.sum(ot.emd(a, b, C) * C)), abs=size)
    f, g = result.solution.potentials
    assert np.all(f[:, None] + g <= C + size)
    np.testing.assert_allclose(result.solution.dense().sum(axis=1), a, atol=1e-14)
    np.testing.assert_allclose(result.solution.marginals[1], b, atol=1e-14)
    assert result.metrics["dual_objective"] == pytest.approx(a @ f + b @ g, abs=size)


def test_any_convex_cost_and_no_other():
    rng = np.random.default_rng(0)
    u, v = rng.normal(size=12), rng.normal(size=9)
    result = wasserstein_1d(u, v, cost=lambda d: np.cosh(d) + 0.3 * d)
    C = np.cosh(u[:, None] - v) + 0.3 * (u[:, None] - v)
    assert result.metrics["cost"] == pytest.approx(ot.emd2(np.full(12, 1 / 12), np.full(9, 1 / 9), C), rel=1e-12)
    with pytest.raises(ValueError, match="cost must be convex"):
        wasserstein_1d(u, v, cost=lambda d: np.sqrt(np.abs(d)))
    with pytest.raises(ValueError, match="p must be a number at least 1"):
        wasserstein_1d(u, v, p=0.5)
    with pytest.raises(ValueError, match="u must be points on the line"):
        wasserstein_1d(np.ones((3, 2)), v)


def test_equal_clouds_and_many_points():
    u = np.random.default_rng(1).normal(size=50)
    same = wasserstein_1d(u, u[::-1])
    assert same.success
    assert same.metrics["cost"] == 0.0
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=200_000), rng.normal(size=150_000) + 1
    big = wasserstein_1d(x, y, p=1)
    assert big.success
    assert big.metrics["cost"] == pytest.approx(ot.emd2_1d(x, y, metric="euclidean"), rel=1e-9)
    assert big.solution.sparse().nnz <= 349_999
    before = x.copy()
    wasserstein_1d(x, y)
    assert np.array_equal(x, before)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1.0, 1.5, 2.0, 3.0]), st.booleans())
def test_the_circle_is_the_linear_program_with_duals(seed, p, equal):
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 9, 2)
    u, v = np.round(3 * rng.random(n), rng.integers(1, 4)), np.round(rng.random(m), rng.integers(1, 4))
    a, b = rng.random(n) * (rng.random(n) > 0.2), rng.random(m)
    a[0] += a.sum() == 0
    if equal:
        a, b = np.ones(n), np.full(m, n / m)
    b *= a.sum() / b.sum()
    period = 1.0 if equal else 2.5
    result = wasserstein_circle(u, v, a, b, p, period=period)
    d = np.abs(u[:, None] % period - v % period)
    C = np.minimum(d, period - d) ** p
    size = 1e-11 * (1 + C.max() * a.sum())
    assert result.success
    assert result.metrics["cost"] == pytest.approx(float(np.sum(ot.emd(a, b, C) * C)), abs=size)
    f, g = result.solution.potentials
    assert np.all(f[:, None] + g <= C + size)
    np.testing.assert_allclose(result.solution.marginals[0], a, atol=1e-11)
    np.testing.assert_allclose(result.solution.marginals[1], b, atol=1e-11)


def test_many_points_on_the_circle():
    rng = np.random.default_rng(0)
    u, v = rng.vonmises(0.0, 2.0, 3000) / (2 * np.pi) % 1, rng.vonmises(2.0, 1.0, 2500) / (2 * np.pi) % 1
    result = wasserstein_circle(u, v, p=2)
    assert result.success
    assert result.metrics["cost"] == pytest.approx(float(ot.wasserstein_circle(u, v, p=2)[0]), rel=1e-4)
    assert result.metrics["cost"] <= wasserstein_1d(u, v).metrics["cost"]


# ---------------------------------------------------------------------- slices


@pytest.mark.parametrize("p", [1, 2, 3])
def test_sliced_costs_are_those_of_pot_for_the_same_directions(p):
    rng = np.random.default_rng(p)
    x, y, a = rng.normal(size=(30, 3)), rng.normal(size=(40, 3)) + 1, rng.dirichlet(np.ones(30))
    found = sliced_wasserstein(x, y, a, p=p, n_projections=50, seed=3)
    peer = ot.sliced_wasserstein_distance(x, y, a, projections=found.directions.T, p=p)
    assert found.distance == pytest.approx(peer, rel=1e-9)
    assert found.interval[0] <= found.cost <= found.interval[1]


def test_intervals_cover_the_mean_as_often_as_they_say():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 3)), 1.5 * rng.normal(size=(40, 3)) + [1.0, 0.0, 0.0]
    truth = sliced_wasserstein(x, y, n_projections=20_000, seed=99).cost
    runs = [sliced_wasserstein(x, y, n_projections=50, seed=s) for s in range(200)]
    normal = np.mean([r.interval[0] <= truth <= r.interval[1] for r in runs])
    bernstein = np.mean([r.guaranteed_interval[0] <= truth <= r.guaranteed_interval[1] for r in runs])
    assert 0.90 <= normal <= 0.99
    assert bernstein == 1.0


def test_max_sliced_is_above_every_direction_and_below_its_bound():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(60, 4)), rng.normal(size=(70, 4)) * [2.0, 1.0, 1.0, 0.5]
    found = max_sliced_wasserstein(x, y)
    sliced = sliced_wasserstein(x, y, n_projections=2000)
    assert sliced.values.max() <= found.cost + 1e-9 <= found.upper_bound + 2e-9
    full = ot.emd2(np.full(60, 1 / 60), np.full(70, 1 / 70), ot.dist(x, y))
    assert found.cost <= full
    assert 4 * sliced.cost <= full * 1.05


# ---------------------------------------------------------------------- Gaussians


def spd(rng, d):
    root = rng.normal(size=(d, d))
    return root @ root.T + 0.2 * np.eye(d)


def test_gaussians_against_pot_and_their_map():
    rng = np.random.default_rng(0)
    m, k, A, B = rng.normal(size=3), rng.normal(size=3), spd(rng, 3), spd(rng, 3)
    found = bures_wasserstein(m, A, k, B)
    assert found.cost == pytest.approx(float(ot.gaussian.bures_wasserstein_distance(m, k, A, B)) ** 2, rel=1e-9)
    np.testing.assert_allclose(found.matrix @ A @ found.matrix.T, B, atol=1e-10)
    np.testing.assert_allclose(found(m), k, atol=1e-12)
    assert np.linalg.eigvalsh(found.matrix).min() > 0
    singular = bures_wasserstein([0.0, 0.0], np.diag([1.0, 0.0]), [0.0, 0.0], np.diag([4.0, 0.0]))
    assert singular.cost == pytest.approx(1.0)
    assert bures_wasserstein(m, A, m, A).cost == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("eps", [0.3, 1.4])
def test_entropic_gaussians_against_the_minimum_over_couplings(eps):
    rng = np.random.default_rng(1)
    m, k, A, B = rng.normal(size=2), rng.normal(size=2), spd(rng, 2), spd(rng, 2)
    logs = np.linalg.slogdet(A)[1] + np.linalg.slogdet(B)[1]

    def value(K):
        K = K.reshape(2, 2)
        joint = np.block([[A, K], [K.T, B]])
        if np.linalg.eigvalsh(joint)[0] <= 0:
            return 1e6
        logdet = np.linalg.slogdet(joint)[1]
        return np.sum((m - k) ** 2) + np.trace(A + B - 2 * K) + 0.5 * eps * (logs - logdet)

    best = minimize(value, np.zeros(4), method="BFGS", options={"gtol": 1e-8})
    found = bures_wasserstein(m, A, k, B, regularization=eps)
    assert found.cost == pytest.approx(best.fun, rel=1e-6)
    np.testing.assert_allclose(found.cross_covariance, best.x.reshape(2, 2), atol=1e-4)


def test_barycentres_of_gaussians():
    rng = np.random.default_rng(2)
    means, S, w = rng.normal(size=(3, 2)), np.array([spd(rng, 2) for _ in range(3)]), np.array([0.5, 0.3, 0.2])
    mean, covariance = bures_barycenter(means, S, w)
    peer_mean, peer = ot.gaussian.bures_wasserstein_barycenter(means, S, w, num_iter=1000, eps=1e-12)
    np.testing.assert_allclose(mean, np.ravel(peer_mean), atol=1e-10)
    np.testing.assert_allclose(covariance, peer, atol=1e-7)


def test_gaussian_arguments_are_checked():
    with pytest.raises(ValueError, match="covariance_a must be symmetric"):
        bures_wasserstein([0, 0], [[1, 2], [0, 1]], [0, 0], np.eye(2))
    with pytest.raises(ValueError, match="positive semidefinite"):
        bures_wasserstein([0, 0], np.diag([1, -1]), [0, 0], np.eye(2))
    with pytest.raises(ValueError, match="covariance_b must be regular"):
        bures_wasserstein([0, 0], np.eye(2), [0, 0], np.diag([1, 0]), regularization=0.1)


# ---------------------------------------------------------------------- the Sinkhorn divergence


def test_sinkhorn_divergence_is_bracketed_and_differentiated():
    rng = np.random.default_rng(0)
    x, y, a = rng.normal(size=(25, 2)), rng.normal(size=(30, 2)) + 1.0, rng.dirichlet(np.full(25, 5.0))
    found = sinkhorn_divergence(x, y, a, regularization=0.5, tol=1e-9)
    assert found.converged
    uniform = np.full(30, 1 / 30)

    def regularized(p, q, u, v):
        C = ot.dist(u, v)
        X = ot.sinkhorn(p, q, C, 0.5, method="sinkhorn_log", stopThr=1e-13, numItermax=100_000)
        return np.sum(X * C) + 0.5 * np.sum(X * np.log(X / np.outer(p, q)))

    def divergence(points, weights):
        one = regularized(weights, uniform, points, y)
        return one - 0.5 * regularized(weights, weights, points, points) - 0.5 * regularized(uniform, uniform, y, y)

    assert found.lower - 1e-9 <= divergence(x, a) <= found.upper + 1e-9
    assert found.upper - found.lower < 1e-7
    h, direction = 1e-5, rng.normal(size=x.shape)
    slope = (divergence(x + h * direction, a) - divergence(x - h * direction, a)) / (2 * h)
    assert np.sum(found.gradient_x * direction) == pytest.approx(slope, rel=1e-4)
    move = rng.normal(size=25)
    move -= move.mean()
    slope = (divergence(x, a + h * move) - divergence(x, a - h * move)) / (2 * h)
    assert found.gradient_a @ move == pytest.approx(slope, rel=1e-3)


def test_sinkhorn_divergence_of_a_cloud_with_itself_is_zero():
    x = np.random.default_rng(1).normal(size=(20, 2))
    found = sinkhorn_divergence(x, x, regularization=0.3)
    assert found.lower <= 1e-12
    assert found.upper >= -1e-12
    assert found.upper < 1e-4


# ---------------------------------------------------------------------- least entropy


def best_vertex(p, q):
    """The least entropy of a staircase over all orders: the vertices of the polytope."""
    best = np.inf
    for rows in permutations(range(p.size)):
        for columns in permutations(range(q.size)):
            a, b = list(p[list(rows)]), list(q[list(columns)])
            i = j = 0
            entropy = 0.0
            while i < len(a) and j < len(b):
                flow = min(a[i], b[j])
                if flow > 1e-15:
                    entropy -= flow * np.log2(flow)
                a[i] -= flow
                b[j] -= flow
                i, j = (i + 1, j) if a[i] <= b[j] else (i, j + 1)
            best = min(best, entropy)
    return best


@pytest.mark.parametrize("seed", range(12))
def test_greedy_couplings_between_their_bounds(seed):
    rng = np.random.default_rng(seed)
    p, q = rng.dirichlet(np.ones(4)), rng.dirichlet(np.ones(3))
    found = minimum_entropy_coupling(p, q)
    np.testing.assert_allclose(found.dense().sum(axis=1), p, atol=1e-12)
    np.testing.assert_allclose(found.dense().sum(axis=0), q, atol=1e-12)
    least = best_vertex(p, q)
    assert found.lower_bound - 1e-12 <= least <= found.entropy + 1e-12
    assert found.entropy <= least + 0.531
    assert len(found.weights) <= 6


def test_several_marginals():
    rng = np.random.default_rng(0)
    marginals = [rng.dirichlet(np.ones(n)) for n in (5, 4, 6)]
    found = minimum_entropy_coupling(*marginals)
    for k, p in enumerate(marginals):
        axes = tuple(i for i in range(3) if i != k)
        np.testing.assert_allclose(found.dense().sum(axis=axes), p, atol=1e-12)
    assert len(found.weights) <= 13
    assert found.entropy <= found.lower_bound + 1.443
    same = minimum_entropy_coupling(marginals[0], marginals[0][::-1])
    assert same.gap == pytest.approx(0.0, abs=1e-9)
    with pytest.raises(ValueError, match=r"marginals\[1\] must have the sum 1"):
        minimum_entropy_coupling([1.0], [0.4])


@pytest.mark.parametrize(
    ("covariances", "weights", "message"),
    [
        ([np.eye(2)] * 3, None, "as many, got 2 and 3"),
        ([np.eye(2), [[1, 5], [5, 1]]], None, "covariance_1 must be positive semidefinite"),
        ([np.eye(2)] * 2, [-1, 3], "weights"),
        ([np.eye(2)] * 2, [0, 0], "weights must not all be zero"),
    ],
)
def test_the_bures_barycenter_checks_its_arguments(covariances, weights, message):
    from optlab.transport import bures_barycenter

    with pytest.raises(ValueError, match=message):
        bures_barycenter(np.zeros((2, 2)), covariances, weights)


def test_one_pair_where_the_cost_is_not_convex_is_found():
    u = np.arange(1000.0)
    v = u + 1e-3

    def dented(t):
        return np.where(np.isclose(t, u[500] - v[123]), 0.0, np.abs(t))

    with pytest.raises(ValueError, match="cost must be convex: between"):
        wasserstein_1d(u, v, cost=dented)
