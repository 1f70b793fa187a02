"""Iterations in float32 arithmetic, certificates in float64."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp

import optlab
from optlab.core import Status
from optlab.splitting import BregmanDouglasRachford
from optlab.transport import (
    AndersonSinkhorn,
    DenseCost,
    GeneralizedSinkhorn,
    OptimalTransport,
    PartialOptimalTransport,
    Sinkhorn,
    UnbalancedOptimalTransport,
    WassersteinBarycenter,
    batch_transport,
)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kappa", [0.0, 1.0, 300.0])
def test_log_sum_exp_in_single_precision(order, kappa):
    rng = np.random.default_rng(0)
    C = np.array(rng.random((70, 90)), order=order)
    cost = DenseCost(C, arithmetic="single")
    F, G = 5.0 * rng.standard_normal(70), 5.0 * rng.standard_normal(90) + 1e4
    F[3] = -np.inf
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(
            cost.logsumexp_rows(G, kappa), logsumexp(G - kappa * C, axis=1), rtol=1e-8, atol=2e-5
        )
    expected = logsumexp(F[:, None] - kappa * C, axis=0)
    np.testing.assert_allclose(cost.logsumexp_columns(F, kappa), expected, atol=3e-5)
    assert np.all(cost.logsumexp_columns(np.full(70, -np.inf), kappa) == -np.inf)
    np.testing.assert_array_equal(cost.T.logsumexp_columns(G, kappa), cost.logsumexp_rows(G, kappa))
    assert cost.in_double().arithmetic == "double"
    assert np.shares_memory(cost.in_double().array, cost.array)
    assert cost.submatrix([0, 1]).arithmetic == "single"
    assert "single" in repr(cost)


@pytest.mark.parametrize("method", [Sinkhorn(), BregmanDouglasRachford()], ids=["Sinkhorn", "BDRS"])
@pytest.mark.parametrize("eps", [0.05, 0.005])
def test_bounds_are_true_bounds(method, eps):
    rng = np.random.default_rng(1)
    a, b, C = rng.dirichlet(np.ones(30)), rng.dirichlet(np.ones(40)), rng.random((30, 40))
    single = OptimalTransport(a, b, DenseCost(C, arithmetic="single"), regularization=eps)
    wide = optlab.solve(OptimalTransport(a, b, C, regularization=eps), method, tol=1e-12, max_iter=20_000)
    exact = wide.metrics["objective"]
    result = optlab.solve(single, method, tol=1e-5, max_iter=20_000)
    assert result.success
    assert result.metrics["dual_objective"] <= exact + 1e-12 <= result.metrics["objective"] + 3e-12
    plan = result.solution.dense()
    np.testing.assert_allclose(plan.sum(axis=1), a, rtol=1e-12)
    # run on for long, it stays at the rounding of float32 and says so
    far = optlab.solve(single, method, max_iter=2000, record=2000)
    assert far.metrics["dual_objective"] <= exact + 1e-12 <= far.metrics["objective"] + 3e-12
    assert 1e-9 < far.metrics["marginal_error"] < 1e-4


@pytest.mark.parametrize("unit", [1e-60, 1e-30, 1.0, 1e60])
@pytest.mark.parametrize("eps", [1e-12, 1e-9, 0.05, 1e9])
def test_any_units_and_temperatures(unit, eps):
    """Exponents beyond float32 gave infinite potentials, and costs beyond it zeros."""
    rng = np.random.default_rng(3)
    a, b, C = rng.dirichlet(np.ones(12)), rng.dirichlet(np.ones(9)), rng.random((12, 9))
    wide = batch_transport(a, b, C, eps, tol=1e-12)
    problem = OptimalTransport(a, b, DenseCost(unit * C, arithmetic="single"), regularization=unit * eps)
    for method in (Sinkhorn(), Sinkhorn(overrelaxation="adaptive"), AndersonSinkhorn(), GeneralizedSinkhorn()):
        result = optlab.solve(problem, method, tol=1e-5, max_iter=200)
        assert result.status is not Status.DIVERGED
        scale = 1.0 + 10.0 * eps
        assert result.metrics["objective"] / unit >= wide.dual_objective[0] - 1e-12 * scale
        assert result.metrics["dual_objective"] / unit <= wide.objective[0] + 1e-12 * scale
        if eps >= 0.05:
            assert result.success


def test_relaxed_problems_too():
    rng = np.random.default_rng(2)
    a, b, C = rng.dirichlet(np.ones(10)), rng.dirichlet(np.ones(12)), rng.random((10, 12))
    cost = DenseCost(C, arithmetic="single")
    pairs = [
        (UnbalancedOptimalTransport(a, b, c, 0.5, "kl", 0.03), PartialOptimalTransport(a, b, c, 0.5, 0.03))
        for c in (cost, C)
    ]
    for single, wide in zip(*pairs):
        exact = optlab.solve(wide, GeneralizedSinkhorn(), tol=1e-11, max_iter=5000).metrics["objective"]
        result = optlab.solve(single, GeneralizedSinkhorn(), max_iter=300, record=300)
        assert result.metrics["relative_gap"] < 1e-4
        assert result.metrics["dual_objective"] <= exact + 1e-11
    problem = WassersteinBarycenter([b, b[::-1]], cost, regularization=0.03)
    result = optlab.solve(problem, GeneralizedSinkhorn(), max_iter=300, record=300)
    assert result.metrics["relative_gap"] < 1e-4


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="did you mean 'single'"):
        DenseCost([[0.0]], arithmetic="singel")
    with pytest.raises(ValueError, match='arithmetic must be "double"'):
        DenseCost([[0.0, np.inf]], arithmetic="single")
