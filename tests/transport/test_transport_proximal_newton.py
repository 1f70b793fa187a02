"""ProximalNewton: a second stage that ends at rounding, from any start, on hard data; and its parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import optlab
from optlab.datasets import transport_family
from optlab.datasets.transport import FAMILIES
from optlab.splitting import BregmanDouglasRachford, HalpernDouglasRachford
from optlab.transport import (
    GaugedCost,
    NetworkSimplex,
    OptimalTransport,
    PointCloudCost,
    ProximalNewton,
    UnbalancedOptimalTransport,
)
from optlab.transport.entropic.proximal_newton import AbsorbedCost

pytestmark = pytest.mark.delicate  # many digits, reached by Newton's method or along a continuation


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_at_one_in_a_thousand_is_taken_to_one_in_a_thousand_million(family):
    problem = OptimalTransport(*transport_family(family, 100))
    first = optlab.solve(problem, BregmanDouglasRachford(), tol=1e-3, max_iter=3000)
    assert 1e-5 < first.metrics["relative_gap"] < 1e-3
    second = optlab.solve(problem, ProximalNewton(), x0=first, tol=1e-9, max_iter=80, record=1)
    assert second.success, second.message
    exact = optlab.solve(problem, NetworkSimplex(), max_iter=1).metrics["cost"]
    # the certificate is one: bounds on both sides of the exact cost, within it
    assert second.metrics["dual_objective"] <= exact * (1 + 1e-12)
    assert exact * (1 - 1e-12) <= second.metrics["cost"] <= exact * (1 + 1e-9)
    rows, columns = second.solution.marginals
    np.testing.assert_allclose(rows, problem.a, atol=1e-14)
    np.testing.assert_allclose(columns, problem.b, atol=1e-14)


@pytest.mark.parametrize("linear_solver", ["cg", "cholesky"])
def test_cold_starts_and_other_starts(linear_solver):
    problem = OptimalTransport(*transport_family("gauss2d", 40, 30))
    method = ProximalNewton(linear_solver=linear_solver)
    halpern = optlab.solve(problem, HalpernDouglasRachford(), max_iter=200)
    exact = optlab.solve(problem, NetworkSimplex(), max_iter=1)
    steps = []
    for x0 in (None, halpern, halpern.solution.mirror, halpern.solution.potentials, exact):
        result = optlab.solve(problem, method, x0=x0, tol=1e-9, max_iter=200, record=1)
        assert result.success, result.message
        steps.append(result.n_iter)
    assert steps[1] < steps[0]
    # of a plan given as an array the dual potentials are taken over, and these were exact
    assert result.history["dual_objective"][0] == pytest.approx(exact.metrics["cost"], rel=1e-12)


def test_the_start_keeps_its_certificate_and_the_gap_falls():
    problem = OptimalTransport(*transport_family("l2", 60))
    first = optlab.solve(problem, BregmanDouglasRachford(), max_iter=400)
    second = optlab.solve(problem, ProximalNewton(), x0=first, tol=1e-11, max_iter=120, record=1)
    gap = second.history["relative_gap"]
    assert gap[0] == pytest.approx(first.metrics["relative_gap"], rel=1e-6)
    assert second.metrics["proximal_steps"] >= 4
    at_ends = gap[np.flatnonzero(np.diff(second.history["proximal_steps"])) + 1]
    assert np.all(at_ends[1:] <= at_ends[:-1])


def test_digits_are_kept_where_absolute_potentials_lose_them():
    """The plan of the last step, from absorbed and from absolute potentials, at 1e9 / range."""
    problem = OptimalTransport(*transport_family("l2", 40))
    for state in optlab.iterate(problem, ProximalNewton()):
        if state.finished.inverse_temperature * problem.cost_range > 1e9 or state.k == 200:
            break
    done = state.finished
    kappa = done.inverse_temperature
    assert kappa * problem.cost_range > 1e9
    errors = []
    for cost, shift in ((GaugedCost(problem.cost, done.phi, done.psi), 0.0), (problem.cost, kappa)):
        rows, columns, _ = cost.plan_moments(done.row + shift * done.phi, done.column + shift * done.psi, kappa)
        errors.append(np.abs(rows - problem.a).sum() + np.abs(columns - problem.b).sum())
    assert errors[0] < 1e-9 < 1e-8 < errors[1]


def test_absorbed_costs_are_the_gauge():
    rng = np.random.default_rng(0)
    C, phi, psi = rng.random((5, 7)), rng.standard_normal(5), rng.standard_normal(7)
    row, column, kappa = rng.standard_normal(5), rng.standard_normal(7), 3.0
    plain = C - phi[:, None] - psi
    cloud = PointCloudCost(rng.random((5, 2)), rng.random((7, 2)))
    for given_cost, dense in ((OptimalTransport(np.ones(5), np.full(7, 5 / 7), C).cost, plain),
                              (cloud, cloud.dense() - phi[:, None] - psi)):  # fmt: skip
        cost = AbsorbedCost(given_cost, phi, psi)
        exponent = row[:, None] + column - kappa * dense
        lse = np.log(np.exp(exponent).sum(axis=1)) - row
        np.testing.assert_allclose(cost.logsumexp_rows(column, kappa), lse, rtol=1e-12)
        np.testing.assert_allclose(
            cost.logsumexp_columns(row, kappa), np.log(np.exp(exponent).sum(axis=0)) - column, rtol=1e-12
        )
        np.testing.assert_allclose(cost.plan_dense(row, column, kappa), np.exp(exponent), rtol=1e-12)
        np.testing.assert_allclose(cost.plan_sparse(row, column, kappa, 0.0).toarray(), np.exp(exponent), rtol=1e-12)


@settings(deadline=None, derandomize=True, max_examples=30)
@given(
    st.integers(0, 10**6),
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from(["plain", "zeros", "ties", "uneven", "forbidden", "cloud", "single", "constant"]),
    st.sampled_from([1e-6, 1.0, 1e6]),
)
def test_hard_data(seed, n, m, kind, unit):
    rng = np.random.default_rng(seed)
    a, b, C = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m)), rng.random((n, m))
    tol = 1e-9
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
        tol = 1e-7  # potentials are not absorbed there
    elif kind == "single":
        C = C.astype(np.float32)
    elif kind == "constant":
        C = np.ones((n, m))
    cost = PointCloudCost(rng.random((n, 2)), rng.random((m, 2))) if kind == "cloud" else C * C.dtype.type(unit)
    problem = OptimalTransport(a, b, cost)
    result = optlab.solve(problem, ProximalNewton(), tol=tol, max_iter=300, record=1)
    assert result.success, result.message


def test_bad_input_is_named():
    a, b, C = transport_family("l2", 5)
    with pytest.raises(TypeError, match=r"needs a problem with regularization=0, got 0\.1; on it run"):
        optlab.solve(OptimalTransport(a, b, C, regularization=0.1), ProximalNewton())
    with pytest.raises(TypeError, match="needs an OptimalTransport problem"):
        optlab.solve(UnbalancedOptimalTransport(a, b, C), ProximalNewton())
    with pytest.raises(ValueError, match="cooling must be a number above 1"):
        ProximalNewton(cooling=1.0)
    with pytest.raises(ValueError, match="did you mean 'cholesky'"):
        ProximalNewton(linear_solver="cholesk")
