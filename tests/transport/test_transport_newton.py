"""Sinkhorn-Newton-Sparse: against the first-order methods, on hard data, and that its parts do what they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import optlab
from optlab.datasets import transport_family
from optlab.transport import OptimalTransport, PointCloudCost, Sinkhorn, SinkhornNewton, UnbalancedOptimalTransport

pytestmark = pytest.mark.delicate  # many digits, reached by Newton's method or along a continuation

BOTH = pytest.mark.parametrize("linear_solver", ["cg", "cholesky"])


@BOTH
@pytest.mark.parametrize("family", ["l2", "rand", "gauss2d"])
def test_few_iterations_where_sinkhorn_needs_thousands(family, linear_solver):
    problem = OptimalTransport(*transport_family(family, 40), regularization=3e-4)
    result = optlab.solve(problem, SinkhornNewton(linear_solver=linear_solver), tol=1e-10, max_iter=120)
    assert result.success
    assert result.metrics["marginal_error"] < 1e-9
    plain = optlab.solve(problem, Sinkhorn(), tol=1e-10, max_iter=10 * result.n_iter, record=10 * result.n_iter)
    assert not plain.success


@BOTH
def test_the_answer_is_sinkhorns(linear_solver):
    problem = OptimalTransport(*transport_family("l2", 30, 25), regularization=0.01)
    newton = optlab.solve(problem, SinkhornNewton(linear_solver=linear_solver), tol=1e-12, max_iter=100)
    plain = optlab.solve(problem, Sinkhorn(overrelaxation="adaptive"), tol=1e-12, max_iter=20_000)
    assert newton.success
    assert newton.metrics["objective"] == pytest.approx(plain.metrics["objective"], rel=1e-11)
    np.testing.assert_allclose(newton.solution.dense(), plain.solution.dense(), atol=1e-8)


def test_the_newton_stage_is_superlinear():
    problem = OptimalTransport(*transport_family("l2", 40), regularization=0.003)
    method = SinkhornNewton(linear_solver="cholesky")
    errors = []
    for state in optlab.iterate(problem, method):
        if state.newton and state.mirror.inverse_temperature == 1.0 / problem.regularization and state.settled >= 4:
            errors.append(state.error)
        if state.k == 80:
            break
    errors = [e for e in errors if 1e-13 < e < 0.1]
    orders = np.log(errors[1:]) / np.log(errors[:-1])
    assert errors[-1] < 1e-8
    assert np.max(orders[1:]) > 1.5


@settings(deadline=None, derandomize=True, max_examples=25)
@given(
    st.integers(0, 10**6),
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from([1e-3, 0.03, 3.0, 1e4]),
    st.sampled_from(["plain", "zeros", "ties", "uneven", "forbidden"]),
    st.sampled_from([1e-6, 1.0, 1e6]),
)
def test_hard_data(seed, n, m, eps, kind, unit):
    rng = np.random.default_rng(seed)
    a, b, C = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m)), rng.random((n, m))
    if kind == "zeros" and n > 1:
        a[0] = 0.0
        a /= a.sum()
    elif kind == "ties":
        C = np.round(2 * C)
    elif kind == "uneven":
        a = a**10 / (a**10).sum()
    elif kind == "forbidden":
        allowed = rng.random((n, m)) < 0.6
        allowed[:, 0] = allowed[0] = True
        plan = np.where(allowed, rng.random((n, m)), 0.0)
        a, b, C = plan.sum(axis=1), plan.sum(axis=0), np.where(allowed, C, np.inf)
    problem = OptimalTransport(a, b, unit * C, regularization=unit * eps)
    result = optlab.solve(problem, SinkhornNewton(), tol=1e-7, max_iter=300)
    assert result.success


def test_little_of_the_plan_is_kept_and_recorded():
    cost = PointCloudCost(np.random.default_rng(0).random((60, 2)))
    weights = np.full(60, 1 / 60)
    problem = OptimalTransport(weights, weights, cost, regularization=1e-3)
    result = optlab.solve(problem, SinkhornNewton(), tol=1e-9)
    assert result.success
    assert 60 <= result.metrics["kept_entries"] < 0.5 * 3600
    assert {"newton", "solver_iterations", "step_length"} <= set(result.metrics)


def test_a_warm_start_goes_to_newton_at_once():
    problem = OptimalTransport(*transport_family("l2", 30), regularization=0.002)
    cold = optlab.solve(problem, SinkhornNewton(), tol=1e-9, record=1)
    for x0 in (cold.solution, cold.solution.potentials):
        assert optlab.solve(problem, SinkhornNewton(sweeps=1), x0=x0, tol=1e-8, record=1).n_iter <= 1
    assert cold.n_iter > 10


def test_bad_input_is_named():
    a, b, C = transport_family("l2", 5)
    with pytest.raises(TypeError, match="regularization above 0"):
        optlab.solve(OptimalTransport(a, b, C), SinkhornNewton())
    with pytest.raises(TypeError, match="needs an OptimalTransport problem"):
        optlab.solve(UnbalancedOptimalTransport(a, b, C, regularization=0.1), SinkhornNewton())
    with pytest.raises(ValueError, match="did you mean 'cholesky'"):
        SinkhornNewton(linear_solver="cholesk")
    with pytest.raises(ValueError, match="cooling must be a number above 1"):
        SinkhornNewton(cooling=1.0)
