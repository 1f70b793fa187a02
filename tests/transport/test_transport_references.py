"""Closed forms as references: Gaussians (Bures), one dimension (quantiles), translations; and float32 data."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

import optlab
from optlab.splitting import BregmanDouglasRachford
from optlab.transport import (
    DenseCost,
    GeneralizedSinkhorn,
    NetworkSimplex,
    OptimalTransport,
    PointCloudCost,
    Sinkhorn,
    SinkhornNewton,
    WassersteinBarycenter,
    transport,
)


def bures(first, second):
    root = sqrtm(first).real
    return float(np.trace(first + second - 2.0 * sqrtm(root @ second @ root).real))


def whitened(rng, n, d, mean, covariance):
    """A cloud whose mean and covariance are exactly these."""
    x = rng.standard_normal((n, d))
    x -= x.mean(axis=0)
    x = x @ np.linalg.inv(np.linalg.cholesky(x.T @ x / n)).T
    return x @ np.linalg.cholesky(covariance).T + mean


def test_a_linear_push_forward_costs_what_gelbrich_says():
    # y = A x + t with A symmetric positive definite is optimal for any cloud x, and the bound of Gelbrich is attained
    rng = np.random.default_rng(0)
    covariance = np.array([[1.0, 0.3], [0.3, 0.5]])
    A, shift = np.array([[1.5, 0.4], [0.4, 0.8]]), np.array([2.0, -1.0])
    x = whitened(rng, 60, 2, np.zeros(2), covariance)
    y = (x @ A + shift)[rng.permutation(60)]
    weights = np.full(60, 1 / 60)
    value = float(shift @ shift) + bures(covariance, A @ covariance @ A)
    problem = OptimalTransport(weights, weights, PointCloudCost(x, y))
    exact = optlab.solve(problem, NetworkSimplex(), max_iter=1, tol=1e-9)
    assert exact.metrics["cost"] == pytest.approx(value, rel=1e-10)
    np.testing.assert_allclose(exact.solution.barycentric_map(), x @ A + shift, atol=1e-9)
    approximate = optlab.solve(problem, BregmanDouglasRachford(), max_iter=500)
    assert approximate.metrics["dual_objective"] - 1e-12 <= value <= approximate.metrics["cost"] + 1e-12


def test_gelbrichs_bound_is_below_and_near_for_gaussian_clouds():
    rng = np.random.default_rng(1)
    first, second = np.diag([1.0, 0.2]), np.array([[0.5, 0.2], [0.2, 0.6]])
    x, y = (whitened(rng, 400, 2, mean, cov) for mean, cov in ((np.zeros(2), first), (np.ones(2), second)))
    weights = np.full(400, 1 / 400)
    value = 2.0 + bures(first, second)
    cost = transport(weights, weights, PointCloudCost(x, y), method="emd").metrics["cost"]
    assert value <= cost * (1 + 1e-12) < 1.05 * value


@pytest.mark.parametrize("eps", [0.1, 1.0])
def test_entropic_transport_of_gaussians(eps):
    # Janati, Muzellec, Peyre and Cuturi (2020), one dimension, squared distances and weight eps of the entropy: the
    # optimal plan is Gaussian with covariance sqrt(s^2 t^2 + (eps / 4)^2) - eps / 4
    s, t = 0.8, 1.3
    x = np.linspace(-8.0, 8.0, 401)
    a, b = (np.exp(-0.5 * (x / scale) ** 2) for scale in (s, t))
    a, b = a / a.sum(), b / b.sum()
    problem = OptimalTransport(a, b, PointCloudCost(x), regularization=eps)
    result = optlab.solve(problem, SinkhornNewton(), tol=1e-9, max_iter=200)
    assert result.success
    covariance = float(x @ result.solution.apply(x))
    quarter = eps / 4.0
    assert covariance == pytest.approx(np.sqrt(s**2 * t**2 + quarter**2) - quarter, rel=1e-6)


def test_the_entropic_barycentre_of_gaussians_is_wider_by_the_regularization():
    # with <C, X> + eps * entropy, the barycentre of N(m_i, v) in one dimension is Gaussian with variance v' such that
    # v' = sqrt(v' v + (eps / 4)^2) - eps / 4 + eps / 2
    eps, v = 0.05, 0.3
    x = np.linspace(-4.0, 4.0, 161)
    bumps = np.exp(-0.5 * (x - np.array([[-0.5], [0.7]])) ** 2 / v)
    problem = WassersteinBarycenter(bumps / bumps.sum(1, keepdims=True), PointCloudCost(x), regularization=eps)
    p = optlab.solve(problem, GeneralizedSinkhorn(), tol=1e-10, max_iter=3000).solution.histogram
    mean = float(p @ x)
    found = float(p @ (x - mean) ** 2)
    assert mean == pytest.approx(0.1, abs=1e-6)
    assert found == pytest.approx(np.sqrt(found * v + (eps / 4) ** 2) + eps / 4, rel=1e-6)


def test_one_dimension_is_the_difference_of_quantiles():
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal(40), rng.standard_normal(40) * 2.0
    weights = np.full(40, 1 / 40)
    result = transport(weights, weights, PointCloudCost(x, y, metric="cityblock"), method="emd")
    assert result.metrics["cost"] == pytest.approx(np.mean(np.abs(np.sort(x) - np.sort(y))), rel=1e-12)


@pytest.mark.parametrize("method", [Sinkhorn(overrelaxation="adaptive"), SinkhornNewton(), BregmanDouglasRachford()])
def test_float32_costs_are_certified_in_float64(method):
    rng = np.random.default_rng(3)
    a, b = rng.dirichlet(np.ones(30)), rng.dirichlet(np.ones(25))
    single = rng.random((30, 25)).astype(np.float32)
    problem = OptimalTransport(a, b, single, regularization=0.02)
    assert isinstance(problem.cost, DenseCost)
    assert np.shares_memory(problem.cost.dense(), single)
    result = optlab.solve(problem, method, tol=1e-10, max_iter=5000)
    # a gap of 1e-10 could not be seen with sums in float32
    assert result.success
    wide = optlab.solve(
        OptimalTransport(a, b, single.astype(np.float64), regularization=0.02), method, tol=1e-10, max_iter=5000
    )
    assert result.metrics["objective"] == pytest.approx(wide.metrics["objective"], rel=1e-12)
    plan, f, g = result.solution.dense(), *result.solution.potentials
    assert plan.dtype == f.dtype == g.dtype == np.float64
    C = single.astype(np.float64)
    value = np.sum(C * plan) + 0.02 * np.sum(plan * (np.log(plan) - 1))
    bound = a @ f + b @ g - 0.02 * np.sum(np.exp((f[:, None] + g - C) / 0.02))
    assert result.metrics["objective"] == pytest.approx(value, rel=1e-12)
    assert result.metrics["dual_objective"] == pytest.approx(bound, rel=1e-11)


def test_float32_points_and_weights():
    rng = np.random.default_rng(4)
    x, y = rng.random((20, 3)).astype(np.float32), rng.random((20, 3)).astype(np.float32)
    a = np.full(20, 1 / 20, dtype=np.float32)
    result = transport(a, a, PointCloudCost(x, y), method="emd", tol=1e-10)
    assert result.success
