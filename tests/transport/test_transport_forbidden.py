"""Forbidden pairs: passes, feasibility with its proof, methods against the linear program, and warm starts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.sparse import coo_array, csr_array, eye_array, kron, vstack

import optlab
from optlab.splitting import BregmanADMM, BregmanDouglasRachford
from optlab.transport import (
    IPOT,
    AnnealedSinkhorn,
    DenseCost,
    EuclideanDouglasRachford,
    GaugedCost,
    InfeasibleError,
    LinearProgram,
    NetworkSimplex,
    OptimalTransport,
    Sinkhorn,
    SparseCost,
    WangBanerjeeADMM,
    as_cost,
)
from optlab.transport.plans.certificates import DualBound


def masked(seed, n, m, density=0.4):
    """A cost with forbidden pairs and marginals of a plan on the allowed ones."""
    rng = np.random.default_rng(seed)
    allowed = rng.random((n, m)) < density
    allowed[np.arange(max(n, m)) % n, np.arange(max(n, m)) % m] = True
    plan = np.where(allowed, rng.random((n, m)), 0.0)
    C = np.where(allowed, rng.random((n, m)), np.inf)
    return plan.sum(axis=1), plan.sum(axis=0), C


def as_sparse(C):
    i, j = np.nonzero(np.isfinite(C))
    return coo_array((C[i, j], (i, j)), shape=C.shape)


def exact_value(a, b, C):
    n, m = C.shape
    allowed = np.isfinite(C.ravel())
    A = vstack([kron(eye_array(n), np.ones((1, m))), kron(np.ones((1, n)), eye_array(m))], format="csc")[:, allowed]
    return linprog(C.ravel()[allowed], A_eq=A, b_eq=np.r_[a, b], method="highs")


@pytest.mark.parametrize("kappa", [0.0, 3.0, 1e4])
@pytest.mark.parametrize("kind", ["C", "F", "sparse"])
def test_passes_skip_forbidden_pairs(kappa, kind):
    _, _, C = masked(0, 9, 13)
    C[4] = np.inf  # a row without any pair
    cost = SparseCost(as_sparse(C)) if kind == "sparse" else DenseCost(np.array(C, order=kind))
    rng = np.random.default_rng(1)
    F, G, V = rng.standard_normal(9), rng.standard_normal(13), rng.random((13, 2))
    finite = np.where(np.isfinite(C), C, 0.0)
    X = np.where(np.isfinite(C), np.exp(F[:, None] + G - kappa * finite), 0.0)
    with np.errstate(divide="ignore"):
        by_rows = np.log(np.where(np.isfinite(C), np.exp(G - kappa * (finite - 0.0)), 0.0).sum(axis=1))
    if kappa < 100:
        np.testing.assert_allclose(cost.logsumexp_rows(G, kappa), by_rows, rtol=1e-12)
    assert cost.logsumexp_rows(G, kappa)[4] == -np.inf
    rows, columns, costs = cost.plan_moments(F, G, kappa)
    np.testing.assert_allclose(rows, X.sum(axis=1), rtol=1e-11, atol=1e-300)
    np.testing.assert_allclose(columns, X.sum(axis=0), rtol=1e-11, atol=1e-300)
    np.testing.assert_allclose(costs.sum(), np.sum(finite * X), rtol=1e-11, atol=1e-300)
    np.testing.assert_allclose(cost.plan_apply(F, G, kappa, V), X @ V, rtol=1e-11, atol=1e-300)
    np.testing.assert_allclose(cost.plan_apply_transpose(F, G, kappa, F), X.T @ F, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(cost.plan_dense(F, G, kappa), X, rtol=1e-11, atol=1e-300)
    np.testing.assert_allclose(cost.plan_sparse(F, G, kappa, 1e-3).toarray(), np.where(X > 1e-3, X, 0.0), rtol=1e-11)
    np.testing.assert_allclose(cost.plan_pattern(F, G, kappa), X[np.isfinite(C)], rtol=1e-11, atol=1e-300)
    np.testing.assert_array_equal(cost.minimum_columns(F), (C - F[:, None]).min(axis=0))
    np.testing.assert_array_equal(cost.minimum_rows(G), (C - G).min(axis=1))
    np.testing.assert_array_equal(cost.T.dense(), C.T)
    np.testing.assert_array_equal(cost.submatrix([1, 4], slice(2, 9)).dense(), C[[1, 4], 2:9])
    values = C[np.isfinite(C)]
    found = (cost.minimum, cost.maximum, cost.mean, cost.standard_deviation)
    np.testing.assert_allclose(found, (values.min(), values.max(), values.mean(), values.std()), rtol=1e-12)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
@pytest.mark.parametrize(
    ("method", "tol"),
    [(NetworkSimplex(), 1e-11), (LinearProgram(), 1e-11), (BregmanDouglasRachford(), 2e-3), (BregmanADMM(), 2e-3)],
    ids=lambda value: type(value).__name__,
)
def test_methods_reach_the_optimum_on_allowed_pairs(kind, method, tol):
    a, b, C = masked(3, 12, 15)
    problem = OptimalTransport(a, b, C if kind == "dense" else as_sparse(C))
    exact = exact_value(a, b, C).fun
    count = 1 if isinstance(method, (NetworkSimplex, LinearProgram)) else 2000
    result = optlab.solve(problem, method, max_iter=count, tol=tol)
    assert result.success
    plan = result.solution.dense()
    assert np.all(plan[np.isinf(C)] == 0.0)
    np.testing.assert_allclose(plan.sum(axis=1), a, rtol=1e-12)
    np.testing.assert_allclose(plan.sum(axis=0), b, rtol=1e-12)
    np.testing.assert_allclose(np.sum(np.where(plan > 0, C, 0.0) * plan), result.metrics["cost"], rtol=1e-12)
    assert result.metrics["dual_objective"] <= exact + 1e-10 <= result.metrics["cost"] + 2e-10
    f, g = result.solution.potentials
    assert np.min(C - f[:, None] - g) >= -1e-12


@pytest.mark.parametrize("method", [Sinkhorn(), Sinkhorn(overrelaxation="adaptive"), BregmanDouglasRachford()])
def test_entropic_methods_agree_on_sparse_and_dense_costs(method):
    a, b, C = masked(4, 10, 8)
    values = []
    for cost in (C, as_sparse(C)):
        problem = OptimalTransport(a, b, cost, regularization=0.05)
        result = optlab.solve(problem, method, tol=1e-10, max_iter=3000)
        assert result.success
        values.append(result.metrics["objective"])
    assert values[0] == pytest.approx(values[1], rel=1e-9)


def test_separate_components_with_drifting_gauge_still_prove_the_optimum():
    C = np.full((4, 4), np.inf)
    C[:2, :2], C[2:, 2:] = [[0.0, 1.0], [1.0, 0.0]], [[50.0, 70.0], [60.0, 50.5]]
    a, b = np.array([0.1, 0.3, 0.2, 0.4]), np.array([0.2, 0.2, 0.35, 0.25])
    problem = OptimalTransport(a, b, C)
    f, g = optlab.solve(problem, NetworkSimplex(), max_iter=1).solution.potentials
    f, g = f + np.array([1e9, 1e9, 0, 0]), g - np.array([1e9, 1e9, 0, 0])
    plan = problem.plan(optlab.solve(problem, NetworkSimplex(), max_iter=1).solution.dense(), (f, g))
    assert plan.relative_gap < 1e-6


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(1, 8), st.sampled_from([0.2, 0.4, 0.7]), st.booleans())
def test_feasible_or_a_set_that_proves_it_is_not(seed, n, m, density, integers):
    rng = np.random.default_rng(seed)
    C = np.where(rng.random((n, m)) < density, rng.integers(0, 5, (n, m)).astype(float), np.inf)
    if integers:
        a, b = rng.integers(0, 4, n).astype(float), rng.integers(0, 4, m).astype(float)
        a[0] += 1 + max(0.0, b.sum() - a.sum())
        b[0] += a.sum() - b.sum()
    else:
        a, b = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))
    feasible = np.any(np.isfinite(C)) and exact_value(a, b, C).status == 0
    try:
        problem = OptimalTransport(a, b, C)
    except InfeasibleError as error:
        proof = error
    else:
        proof = None
    assert (proof is None) == feasible
    if proof is not None:
        outside = np.setdiff1d(np.arange(m), proof.columns)
        assert np.all(np.isinf(C[np.ix_(proof.rows, outside)][:, b[outside] > 0]))
        assert proof.excess == pytest.approx(a[proof.rows].sum() - b[proof.columns].sum(), abs=1e-12)
        assert proof.excess > 0
        return
    result = optlab.solve(problem, NetworkSimplex(), max_iter=1)
    plan = result.solution.dense()
    assert np.all(plan[np.isinf(C)] == 0.0)
    np.testing.assert_allclose(plan.sum(axis=1), a, atol=1e-12)
    np.testing.assert_allclose(plan.sum(axis=0), b, atol=1e-12)
    exact = exact_value(a, b, C).fun
    assert result.metrics["cost"] == pytest.approx(exact, rel=1e-9, abs=1e-10)
    assert result.metrics["gap"] <= 1e-9 * max(1.0, abs(exact))


def test_an_infeasible_message_names_the_set():
    with pytest.raises(InfeasibleError, match=r"rows \[0\] hold 0.5 and are allowed only columns \[0\].*0.3") as caught:
        OptimalTransport([0.5, 0.5], [0.3, 0.7], [[1.0, np.inf], [2.0, 3.0]])
    assert isinstance(caught.value, ValueError)
    with pytest.raises(InfeasibleError, match=r"rows \[2\] hold 0.5 and are allowed no column"):
        OptimalTransport([0.5, 0.0, 0.5], [0.3, 0.7], [[1.0, 1.0], [2.0, 3.0], [np.inf, np.inf]])
    # a forbidden row without mass is no obstacle
    problem = OptimalTransport([1.0, 0.0], [0.3, 0.7], [[1.0, 1.0], [np.inf, np.inf]])
    result = optlab.solve(problem, NetworkSimplex(), max_iter=1, tol=1e-12)
    assert result.success
    assert all(np.all(np.isfinite(p)) for p in result.solution.potentials)


def test_bad_costs_are_refused():
    with pytest.raises(ValueError, match=r"cost must be finite, got -inf at index \[0, 1\]"):
        DenseCost([[0.0, -np.inf]])
    with pytest.raises(ValueError, match=r"finite on the stored pairs, got nan at index \[1, 0\]"):
        SparseCost(coo_array(([1.0, np.nan], ([0, 1], [1, 0])), shape=(2, 2)))
    with pytest.raises(ValueError, match="at least one allowed pair"):
        SparseCost(csr_array((2, 3)))
    with pytest.raises(TypeError, match="SciPy sparse array"):
        SparseCost([[1.0]])
    with pytest.raises(TypeError, match="forbidden"):
        GaugedCost([[0.0, np.inf]], [0.0], [0.0, 0.0])
    a, b, C = masked(0, 4, 4)
    for method in (EuclideanDouglasRachford(), WangBanerjeeADMM()):
        with pytest.raises(TypeError, match="without forbidden pairs"):
            optlab.solve(OptimalTransport(a, b, C), method)
    assert isinstance(as_cost(as_sparse(C)), SparseCost)


def test_a_plan_given_with_mass_on_forbidden_pairs_is_moved_off_them():
    a, b, C = masked(5, 6, 6)
    problem = OptimalTransport(a, b, C)
    plan = problem.plan(np.outer(a, b) / a.sum())
    assert np.isfinite(plan.cost)
    assert plan.marginal_error > 0.1
    assert np.all(plan.dense()[np.isinf(C)] == 0.0)
    np.testing.assert_allclose(plan.dense().sum(axis=1), a, rtol=1e-12)


# ---------------------------------------------------------------------------------------- warm starts


EVERY = [
    Sinkhorn(),
    Sinkhorn(overrelaxation="adaptive"),
    AnnealedSinkhorn(),
    IPOT(),
    BregmanDouglasRachford(),
    BregmanADMM(),
    EuclideanDouglasRachford(),
    WangBanerjeeADMM(),
    NetworkSimplex(),
    LinearProgram(),
]


@pytest.mark.parametrize("method", EVERY, ids=lambda m: type(m).__name__)
def test_every_method_starts_from_potentials_and_from_plans(method):
    rng = np.random.default_rng(6)
    a, b, cost = rng.dirichlet(np.ones(7)), rng.dirichlet(np.ones(9)), rng.random((7, 9))
    problem = OptimalTransport(a, b, cost)
    exact = optlab.solve(problem, NetworkSimplex(), max_iter=1).solution
    for x0 in (exact.potentials, exact, exact.dense(), exact.sparse()):
        result = optlab.solve(problem, method, x0=x0, max_iter=1)
        assert np.isfinite(result.metrics["relative_gap"])
    with pytest.raises(ValueError, match=r"(x0|array) must have shape \(7, 9\)"):
        method.init(problem, np.ones((2, 2)), rng)


@pytest.mark.parametrize("method", [Sinkhorn(), BregmanDouglasRachford()], ids=lambda m: type(m).__name__)
def test_a_warm_start_saves_iterations(method):
    a, b, C = masked(7, 20, 20, density=1.1)
    problem = OptimalTransport(a, b, C, regularization=0.01)
    cold = optlab.solve(problem, method, tol=1e-8, max_iter=5000, record=1)
    starts = (cold.solution.potentials, cold.solution.mirror)
    counts = [optlab.solve(problem, method, x0=x0, tol=1e-8, max_iter=5000, record=1).n_iter for x0 in starts]
    assert cold.success
    assert max(counts) <= cold.n_iter / 5


def test_a_bare_optimal_plan_gives_nearly_optimal_potentials():
    rng = np.random.default_rng(8)
    a, b, C = rng.dirichlet(np.ones(7)), rng.dirichlet(np.ones(9)), rng.random((7, 9))
    problem = OptimalTransport(a, b, C)
    exact = optlab.solve(problem, NetworkSimplex(), max_iter=1).solution
    assert problem.plan(exact.dense()).dual_objective < 0.9 * exact.cost
    assert problem.primal(problem.initial_mirror(exact.dense())).dual_objective == pytest.approx(exact.cost, rel=1e-9)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_a_point_without_an_allowed_pair_is_infeasible_however_small_its_weight(kind):
    """Its dual is unbounded: a gap of zero used to be shown."""
    C = np.array([[0.3, 0.1, np.inf], [0.2, 0.4, np.inf], [0.5, 0.6, np.inf]])
    a, b = np.array([0.5, 0.25, 0.25]), np.array([0.5, 0.5 - 1e-15, 1e-15])
    for transposed in (False, True):
        arguments = (b, a, C.T) if transposed else (a, b, C)
        cost = arguments[2] if kind == "dense" else as_sparse(arguments[2])
        with pytest.raises(InfeasibleError) as caught:
            OptimalTransport(*arguments[:2], cost)
        error = caught.value
        assert error.excess == pytest.approx(1e-15, rel=0.2)
        outside = np.setdiff1d(np.arange(3), error.columns)
        assert not np.any(np.isfinite(arguments[2][np.ix_(error.rows, outside)]))
        assert error.columns.tolist() == ([] if transposed else [0, 1])
        if not transposed:
            assert "(1e-15 less)" in str(error)


def test_a_lower_bound_that_is_not_finite_certifies_nothing():
    C = np.array([[0.0, 1.0], [1.0, 0.0]])
    plan = OptimalTransport([0.5, 0.5], [0.5, 0.5], C).plan([[0.0, 0.5], [0.5, 0.0]])
    for value in (np.inf, np.nan):
        plan.__dict__["_dual"] = DualBound(np.zeros(2), np.zeros(2), value)
        assert plan.gap == np.inf


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.integers(0, 10**6), st.integers(2, 8), st.integers(2, 8), st.floats(0.2, 0.7))
def test_infeasible_exactly_where_the_linear_program_is_with_a_set_that_proves_it(seed, n, m, density):
    rng = np.random.default_rng(seed)
    allowed = rng.random((n, m)) < density
    C = np.where(allowed, rng.random((n, m)), np.inf)
    a, b = rng.integers(1, 6, n).astype(float), rng.integers(1, 6, m).astype(float)
    a, b = a * b.sum(), b * a.sum()  # integers: no rounding decides
    A = np.concatenate([np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))])[:, allowed.ravel()]
    feasible = A.shape[1] > 0 and linprog(np.zeros(A.shape[1]), A_eq=A, b_eq=np.r_[a, b]).status == 0
    for order in ("C", "F"):
        if feasible:
            OptimalTransport(a, b, np.array(C, order=order))
            continue
        with pytest.raises(InfeasibleError) as caught:
            OptimalTransport(a, b, np.array(C, order=order))
        rows, columns = caught.value.rows, caught.value.columns
        assert not np.any(allowed[np.ix_(rows, np.setdiff1d(np.arange(m), columns))])
        assert a[rows].sum() > b[columns].sum()
        assert a[rows].sum() - b[columns].sum() == pytest.approx(caught.value.excess, rel=1e-9)
