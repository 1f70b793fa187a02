"""Quadratic regularization and the limit on non-zeros: against POT, CVXPY and enumeration, limits, certificates."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import optlab
from optlab.datasets import transport_family
from optlab.transport import (
    InfeasibleError,
    OptimalTransport,
    PointCloudCost,
    QuadraticOptimalTransport,
    QuadraticPlan,
    SemiDualLBFGS,
    SemiDualPoint,
    SemismoothNewton,
    SparseCost,
)
from optlab.transport.kernels.quadratic_kernels import k_support_squares
from optlab.transport.quadratic.cardinality import _by_windows
from optlab.transport.quadratic.semismooth_newton import hessian

pytestmark = pytest.mark.delicate  # many digits, reached by Newton's method or along a continuation


def instance(seed=0, n=7, m=9, equal=False):
    rng = np.random.default_rng(seed)
    a, b = rng.dirichlet(np.full(n, 3.0)), rng.dirichlet(np.full(m, 3.0))
    return a, np.full(m, 1 / m) if equal else b, rng.random((n, m))


def dense_columns(found, shape):
    X = np.zeros(shape)
    for j in range(shape[1]):
        part = slice(found.starts[j], found.starts[j + 1])
        X[found.rows[part], j] = found.values[part]
    return X


def quadratic_value(a, b, C, gamma, allowed=None):
    """The optimum and the plan by CVXPY, on the allowed pairs."""
    import cvxpy as cp

    X = cp.Variable(C.shape, nonneg=True)
    constraints = [cp.sum(X, axis=1) == a, cp.sum(X, axis=0) == b]
    if allowed is not None:
        constraints.append(X[~allowed] == 0)
    problem = cp.Problem(cp.Minimize(cp.sum(cp.multiply(C, X)) + gamma / 2 * cp.sum_squares(X)), constraints)
    value = problem.solve(solver="CLARABEL")
    return value, X.value


def relaxed_value(a, b, C, gamma, k):
    """The optimum of the perspective relaxation, which is the biconjugate of the limited problem, by CVXPY."""
    import cvxpy as cp

    n, m = C.shape
    X, T = cp.Variable((n, m), nonneg=True), cp.Variable((n, m))
    squares = sum(cp.quad_over_lin(X[i, j], T[i, j]) for i in range(n) for j in range(m))
    constraints = [cp.sum(X, axis=1) == a, cp.sum(X, axis=0) == b, T >= 0, T <= 1, cp.sum(T, axis=0) <= k]
    return cp.Problem(cp.Minimize(cp.sum(cp.multiply(C, X)) + gamma / 2 * squares), constraints).solve(
        solver="CLARABEL"
    )


def limited_value(a, b, C, gamma, k):
    """The optimum of the limited problem by enumeration of all supports; inf if there is no plan."""
    import cvxpy as cp

    n, m = C.shape
    X, mask = cp.Variable((n, m), nonneg=True), cp.Parameter((n, m))
    constraints = [cp.sum(X, axis=1) == a, cp.sum(X, axis=0) == b, mask >= X]
    problem = cp.Problem(cp.Minimize(cp.sum(cp.multiply(C, X)) + gamma / 2 * cp.sum_squares(X)), constraints)
    best = np.inf
    for supports in itertools.product(itertools.combinations(range(n), k), repeat=m):
        mask.value = np.zeros((n, m))
        for j, rows in enumerate(supports):
            mask.value[list(rows), j] = 1.0
        value = problem.solve(solver="CLARABEL")
        if problem.status in ("optimal", "optimal_inaccurate"):
            best = min(best, value)
    return best


# ---------------------------------------------------------------------------------------- the semi-dual


@pytest.mark.parametrize("limit", [None, 1, 2, 4])
def test_the_semi_dual_and_its_gradient_are_pots(limit):
    import ot

    rng = np.random.default_rng(0)
    a, b, C = instance()
    gamma = 0.7
    problem = QuadraticOptimalTransport(a, b, C, gamma, limit)
    regularizer = ot.smooth.SquaredL2(gamma) if limit is None else ot.smooth.SparsityConstrained(limit, gamma)
    for scale in (0.01, 0.3, 5.0):
        f = scale * rng.standard_normal(a.size)
        found = problem.semidual(f, entries=True)
        value, gradient = ot.smooth.semi_dual_obj_grad(f, a, b, C, regularizer)
        assert found.value == pytest.approx(value, abs=1e-12)
        np.testing.assert_allclose(a - found.row_sums, gradient, atol=1e-12)
        plan = ot.smooth.get_plan_from_semi_dual(f, b, C, regularizer)
        np.testing.assert_allclose(dense_columns(found, C.shape), plan, atol=1e-12)


@settings(deadline=None, derandomize=True, max_examples=25)
@given(
    st.integers(0, 10**6),
    st.integers(1, 7),
    st.integers(1, 7),
    st.sampled_from([0.0, 0.01, 0.5]),
    st.sampled_from([0.1, 1.0, 8.0]),
    st.booleans(),
)
def test_a_smoothed_column_solves_its_program(seed, n, limit, delta, gamma, ties):
    import cvxpy as cp

    rng = np.random.default_rng(seed)
    a, C, f = rng.dirichlet(np.ones(n)), rng.random((n, 1)), 0.5 * rng.standard_normal(n)
    if ties:
        C, f = np.round(3 * C) / 3, np.round(3 * f) / 3
    limit = min(limit, n)
    problem = QuadraticOptimalTransport.__new__(QuadraticOptimalTransport)  # one column cannot cover all rows
    QuadraticOptimalTransport.__init__(problem, a, [1.0], C, gamma)
    problem.limit = limit
    found = problem.semidual(f, delta, entries=True)
    x, t = cp.Variable(n, nonneg=True), cp.Variable(n)
    squares = sum(cp.quad_over_lin(x[i], t[i]) for i in range(n))
    objective = gamma / 2 * squares + delta / 2 * cp.sum_squares(x) - (f - C[:, 0]) @ x
    program = cp.Problem(cp.Minimize(objective), [cp.sum(x) == 1.0, t >= 0, t <= 1, cp.sum(t) <= limit])
    value = program.solve(solver="CLARABEL")
    assert found.value == pytest.approx(a @ f + value, abs=1e-6 * (1 + gamma))
    column = dense_columns(found, (n, 1))
    assert column.sum() == pytest.approx(1.0, rel=1e-12)
    assert np.all(column >= 0.0)
    if delta == 0.0:
        assert np.count_nonzero(column) <= limit


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 12))
def test_the_k_support_norm_is_the_dual_of_the_largest_entries(seed, n, k):
    rng = np.random.default_rng(seed)
    x = rng.exponential(size=n) ** 2
    if seed % 3 == 0:
        x = np.round(x) + 0.5
    out = np.empty(1)
    k_support_squares(np.array([0, n]), x, min(k, n), out)
    # K(x) = max 2 <x, s> - (sum of the k largest s^2); no s may exceed it, and its gradient attains it
    s = rng.exponential(size=(200, n)) * rng.random((200, 1)) * 3
    s[0] = x
    top = np.sort(s, axis=1)[:, ::-1][:, : min(k, n)]
    assert np.all(2 * s @ x - (top**2).sum(axis=1) <= out[0] * (1 + 1e-12))
    assert out[0] >= x @ x * (1 - 1e-12)
    e = 1e-6
    slope, moved = np.empty(n), np.empty(1)
    for i in range(n):
        ends = []
        for sign in (1, -1):
            y = x.copy()
            y[i] += sign * e
            k_support_squares(np.array([0, n]), y, min(k, n), moved)
            ends.append(moved[0])
        slope[i] = (ends[0] - ends[1]) / (4 * e)
    top = np.sort(slope)[::-1][: min(k, n)]
    assert 2 * slope @ x - top @ top == pytest.approx(out[0], rel=1e-6)


@pytest.mark.parametrize(("limit", "delta"), [(None, 0.0), (2, 0.5), (2, 0.02), (3, 0.5), (1, 0.5)])
def test_the_hessian_is_the_derivative_of_the_gradient(limit, delta):
    a, b, C = instance(3, 12, 15)
    problem = QuadraticOptimalTransport(a, b, C, 3.0, limit)
    f = 0.2 * np.random.default_rng(3).standard_normal(12)
    diagonal, factor = hessian(problem, problem.semidual(f, delta, entries=True), delta)
    matrix = (np.diag(diagonal) - (factor @ factor.T).toarray()) / (3.0 + delta)
    e = 1e-7
    for i in range(12):
        step = e * np.eye(12)[i]
        ends = [problem.semidual(f + sign * step, delta).row_sums for sign in (1, -1)]
        np.testing.assert_allclose((ends[0] - ends[1]) / (2 * e), matrix[:, i], atol=1e-7)


# ---------------------------------------------------------------------------------------- without a limit


@pytest.mark.parametrize("gamma", [0.05, 1.0, 30.0])
@pytest.mark.parametrize("method", [SemismoothNewton(), SemismoothNewton(linear_solver="direct"), SemiDualLBFGS()])
def test_the_quadratic_problem_equals_cvxpy(method, gamma):
    a, b, C = instance(1)
    result = optlab.solve(QuadraticOptimalTransport(a, b, C, gamma), method, tol=1e-9, max_iter=3000)
    value, plan = quadratic_value(a, b, C, gamma)
    assert result.success
    assert result.metrics["objective"] == pytest.approx(value, rel=1e-6)
    assert result.metrics["dual_objective"] <= value * (1 + 1e-8)
    np.testing.assert_allclose(result.solution.dense(), plan, atol=2e-5)


# POT 0.9.7 hands L-BFGS-B an option that SciPy 1.18 no longer knows
@pytest.mark.filterwarnings("ignore:Unknown solver options. disp:scipy.optimize.OptimizeWarning")
def test_the_quadratic_problem_equals_pot():
    import ot

    a, b, C = instance(2, 20, 25)
    result = optlab.solve(QuadraticOptimalTransport(a, b, C, 2.0), SemismoothNewton(), tol=1e-11)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # POT passes an option that SciPy gives up
        theirs = ot.smooth.smooth_ot_semi_dual(a, b, C, 2.0, reg_type="l2", stopThr=1e-14, numItermax=10_000)
    assert result.success
    np.testing.assert_allclose(result.solution.dense(), theirs, atol=1e-6)


@pytest.mark.parametrize("family", ["l2", "rand", "gauss2d"])
def test_tight_certificates_in_few_iterations(family):
    a, b, C = transport_family(family, 60)
    for gamma in (60.0, 0.6):
        problem = QuadraticOptimalTransport(a, b, C, gamma * np.ptp(C))
        result = optlab.solve(problem, SemismoothNewton(), tol=1e-9, max_iter=60)
        assert result.success
        X = result.solution.dense()
        np.testing.assert_allclose(X.sum(axis=1), a, atol=1e-14)
        np.testing.assert_allclose(X.sum(axis=0), b, atol=1e-14)


def test_small_regularization_is_the_linear_program_and_large_the_least_norm():
    import ot

    a, b, C = instance(4, 15, 12)
    exact = ot.emd2(a, b, C)
    result = optlab.solve(QuadraticOptimalTransport(a, b, C, 1e-6), SemismoothNewton(), tol=1e-9, max_iter=300)
    assert result.success
    assert result.metrics["cost"] == pytest.approx(exact, rel=1e-9)
    assert result.metrics["cost"] >= exact - 1e-12
    a = b = np.full(12, 1 / 12)
    C = np.random.default_rng(0).random((12, 12))
    result = optlab.solve(QuadraticOptimalTransport(a, b, C, 1e9), SemismoothNewton(), tol=1e-12, max_iter=300)
    np.testing.assert_allclose(result.solution.dense(), np.outer(a, b), rtol=1e-5)
    # a positive plan: the double centring of the cost, over gamma, is taken from the product's
    gamma = 300.0
    result = optlab.solve(QuadraticOptimalTransport(a, b, C, gamma), SemismoothNewton(), max_iter=20)
    centred = C - C.mean(axis=0) - C.mean(axis=1, keepdims=True) + C.mean()
    assert np.all(np.outer(a, b) - centred / gamma > 0.0)
    np.testing.assert_allclose(result.solution.dense(), np.outer(a, b) - centred / gamma, rtol=1e-10)


@settings(deadline=None, derandomize=True, max_examples=25)
@given(
    st.integers(0, 10**6),
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from([1e-3, 0.1, 10.0, 1e4]),
    st.sampled_from(["plain", "zeros", "ties", "forbidden", "negative"]),
    st.sampled_from([1e-6, 1.0, 1e6]),
    st.sampled_from([1e-6, 1.0, 1e6]),
)
def test_hard_data_and_any_units(seed, n, m, gamma, kind, unit, mass):
    rng = np.random.default_rng(seed)
    a, b, C = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m)), rng.random((n, m))
    if kind == "zeros" and n > 1 and m > 1:
        a[0] = b[-1] = 0.0
        a, b = a / a.sum(), b / b.sum()
    elif kind == "ties":
        C = np.round(2 * C)
    elif kind == "negative":
        C -= 0.7
    elif kind == "forbidden":
        allowed = rng.random((n, m)) < 0.6
        allowed[:, 0] = allowed[0] = True
        plan = np.where(allowed, rng.random((n, m)), 0.0)
        a, b, C = plan.sum(axis=1), plan.sum(axis=0), np.where(allowed, C, np.inf)
    problem = QuadraticOptimalTransport(mass * a, mass * b, unit * C, gamma * unit / mass)
    result = optlab.solve(problem, SemismoothNewton(), tol=1e-8, max_iter=300)
    assert result.success
    plan = result.solution
    X = plan.dense()
    np.testing.assert_allclose(X.sum(axis=1), mass * a, atol=1e-13 * mass)
    np.testing.assert_allclose(X.sum(axis=0), mass * b, atol=1e-13 * mass)
    assert np.all(X[np.isinf(C)] == 0.0)
    # the certificate, computed anew from what a user gets
    f, g = plan.potentials
    s = np.maximum(f[:, None] + g - unit * C, 0.0)
    dual = mass * (a @ f + b @ g) - (s**2).sum() / (2 * problem.regularization)
    assert dual == pytest.approx(plan.dual_objective, abs=1e-9 * mass * unit * (1 + abs(gamma)))
    value = np.sum(np.where(X > 0, unit * C, 0.0) * X) + problem.regularization / 2 * np.sum(X**2)
    assert value == pytest.approx(plan.objective, rel=1e-9, abs=1e-12 * mass * unit)


@settings(deadline=None, derandomize=True, max_examples=12)
@given(st.integers(0, 10**6), st.sampled_from([None, 2, 3]), st.sampled_from([0.1, 5.0]))
def test_bounds_hold_at_any_iterate_and_do_not_depend_on_the_order(seed, limit, gamma):
    rng = np.random.default_rng(seed)
    a, b, C = instance(seed, 6, 8, equal=True)
    problem = QuadraticOptimalTransport(a, b, C, gamma, limit)
    name = "relaxed_objective" if limit else "objective"
    result = optlab.solve(problem, SemiDualLBFGS(), max_iter=30, record="all")
    best = optlab.solve(problem, SemismoothNewton(), tol=1e-6, max_iter=60).metrics
    assert np.all(result.history["dual_objective"] <= best[name] * (1 + 1e-12))
    assert np.all(result.history[name] >= best["dual_objective"] * (1 - 1e-12))
    rows, columns = rng.permutation(6), rng.permutation(8)
    mixed = QuadraticOptimalTransport(a[rows], b[columns], C[np.ix_(rows, columns)], gamma, limit)
    again = optlab.solve(mixed, SemismoothNewton(), tol=1e-6, max_iter=60).metrics
    assert again["dual_objective"] == pytest.approx(best["dual_objective"], rel=2e-5)


@pytest.mark.parametrize("limit", [None, 2])
def test_costs_of_every_kind_agree(limit, monkeypatch):
    from scipy.sparse import coo_array

    rng = np.random.default_rng(5)
    x, y = rng.random((40, 3)), rng.random((50, 3))
    a, b = np.full(40, 1 / 40), np.full(50, 1 / 50)
    cloud = PointCloudCost(x, y)
    C = cloud.dense()
    f = 0.2 * rng.standard_normal(40)
    narrow = C.astype(np.float32)
    costs = [C, np.asfortranarray(C), cloud, SparseCost(coo_array(C)), np.repeat(C, 2, axis=1)[:, ::2]]
    found = [QuadraticOptimalTransport(a, b, cost, 1.0, limit).semidual(f, 0.1) for cost in costs]
    for other in found[1:]:
        assert other.value == pytest.approx(found[0].value, rel=1e-13)
        np.testing.assert_allclose(other.g, found[0].g, rtol=1e-11)
        np.testing.assert_allclose(other.row_sums, found[0].row_sums, atol=1e-14)
    single = QuadraticOptimalTransport(a, b, narrow, 1.0, limit).semidual(f, 0.1)
    double = QuadraticOptimalTransport(a, b, narrow.astype(np.float64), 1.0, limit).semidual(f, 0.1)
    assert single.value == pytest.approx(double.value, rel=1e-14)

    def refuse(*_):
        raise AssertionError("a cloud's matrix must not be formed")

    monkeypatch.setattr(PointCloudCost, "dense", refuse)
    monkeypatch.setattr(PointCloudCost, "submatrix", refuse)
    problem = QuadraticOptimalTransport(a, b, cloud, 1.0, limit)
    assert optlab.solve(problem, SemismoothNewton(), tol=1e-5, max_iter=100).success


def test_passes_in_parts_agree_with_one(monkeypatch):
    from optlab.transport.costs import passes

    rng = np.random.default_rng(6)
    n, m = 700, 900
    C, f = rng.random((n, m)), 0.1 * rng.standard_normal(n)
    problem = QuadraticOptimalTransport(rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m)), C, 50.0, 3)
    many = problem.semidual(f, 1.0, entries=True)
    monkeypatch.setattr(passes, "MAX_PARTS", 1)
    one = problem.semidual(f, 1.0, entries=True)
    np.testing.assert_array_equal(many.values, one.values)
    np.testing.assert_array_equal(many.rows, one.rows)
    np.testing.assert_allclose(many.row_sums, one.row_sums, rtol=1e-13)


# ---------------------------------------------------------------------------------------- with a limit


@pytest.mark.parametrize(("limit", "gamma"), [(1, 1.0), (2, 1.0), (2, 10.0), (3, 10.0)])
def test_the_relaxation_equals_the_perspective_program(limit, gamma):
    a, b, C = instance(7)
    result = optlab.solve(QuadraticOptimalTransport(a, b, C, gamma, limit), SemismoothNewton(), tol=1e-6, max_iter=400)
    value = relaxed_value(a, b, C, gamma, limit)
    assert result.success
    assert result.metrics["relaxed_objective"] == pytest.approx(value, rel=5e-6)
    assert result.metrics["dual_objective"] <= value * (1 + 1e-7)


@pytest.mark.parametrize("count", [10, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("limit", "gamma"), [(1, 1.0), (2, 1.0), (2, 10.0), (3, 10.0)])
def test_convergence_does_not_depend_on_the_last_digits(limit, gamma, count):
    """Perturbations of 1e-15 do what another processor's kernels do; a third of the runs used to stall."""
    a, b, C = instance(7)
    for seed in range(count):
        rng = np.random.default_rng(seed)
        x, y, D = (v * (1.0 + 1e-15 * rng.standard_normal(v.shape)) for v in (a, b, C))
        problem = QuadraticOptimalTransport(x, y, D, gamma, limit)
        assert optlab.solve(problem, SemismoothNewton(), tol=1e-6, max_iter=60).success, seed


def test_one_non_zero_a_column_is_the_linear_program():
    import ot

    a, b, C = instance(8, 6, 10)
    gamma = 2.0
    result = optlab.solve(QuadraticOptimalTransport(a, b, C, gamma, 1), SemismoothNewton(), tol=1e-6, max_iter=400)
    assert result.success
    assert result.metrics["dual_objective"] == pytest.approx(ot.emd2(a, b, C) + gamma / 2 * (b**2).sum(), rel=1e-5)


@pytest.mark.parametrize(("seed", "n", "m", "limit"), [(0, 3, 4, 2), (1, 4, 3, 2), (2, 4, 3, 3), (3, 3, 3, 2)])
@pytest.mark.parametrize("gamma", [0.2, 5.0])
def test_plans_within_the_limit_are_between_the_bound_and_enumeration(seed, n, m, limit, gamma):
    a, b, C = instance(seed, n, m, equal=True)
    problem = QuadraticOptimalTransport(a, b, C, gamma, limit)
    result = optlab.solve(problem, SemismoothNewton(), tol=1e-6, max_iter=300)
    exact = limited_value(a, b, C, gamma, limit)
    plan = result.solution.limited()
    assert result.metrics["dual_objective"] <= exact * (1 + 1e-7)
    assert isinstance(plan, QuadraticPlan)
    assert plan.objective >= exact * (1 - 1e-7)
    assert plan.objective - exact <= plan.gap + 1e-7
    X = plan.dense()
    assert np.count_nonzero(X, axis=0).max() <= limit
    np.testing.assert_allclose(X.sum(axis=1), a, atol=1e-13)
    np.testing.assert_allclose(X.sum(axis=0), b, atol=1e-13)


def test_a_limit_that_does_not_bind_changes_nothing():
    a, b, C = instance(9, 10, 14)
    free = optlab.solve(QuadraticOptimalTransport(a, b, C, 0.3), SemismoothNewton(), tol=1e-9, max_iter=200)
    widest = int(np.count_nonzero(free.solution.dense(), axis=0).max())
    assert widest < 10
    bound = QuadraticOptimalTransport(a, b, C, 0.3, widest)
    result = optlab.solve(bound, SemismoothNewton(), max_iter=80)
    assert result.metrics["columns_over_limit"] == 0
    assert result.solution.limited() is result.solution
    assert result.solution.gap <= 1e-6 * result.metrics["dual_objective"]
    assert result.metrics["relaxed_objective"] == pytest.approx(free.metrics["objective"], rel=1e-6)
    loose = QuadraticOptimalTransport(a, b, C, 0.3, max_nonzeros=10)
    assert loose.primary_metric == "relative_gap"


def test_a_plan_over_the_limit_has_no_gap_to_the_limited_problem():
    a, b, C = instance(10, 10, 14)
    plan = optlab.solve(QuadraticOptimalTransport(a, b, C, 20.0, 2), SemismoothNewton(), tol=1e-4).solution
    assert plan.columns_over_limit > 0
    assert plan.gap == np.inf
    assert plan.relaxed_objective > plan.dual_objective > plan.objective  # which the limit rules out
    found = plan.limited()
    assert found.columns_over_limit == 0
    assert 0.0 <= found.relative_gap < 0.5
    assert found.dual_objective == plan.dual_objective


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(2, 5), st.sampled_from([0.1, 1.0, 20.0]))
def test_columns_of_equal_mass_always_have_a_plan(seed, m, limit, spread):
    """Up to n = (k - 1) m + 1 rows; with one more, generic masses admit none: the construction fails, as it must."""
    rng = np.random.default_rng(seed)
    most = (limit - 1) * m + 1
    n = most if seed % 2 else int(rng.integers(1, most + 1))
    a = rng.dirichlet(np.full(n, spread)) + 1e-9
    problem = QuadraticOptimalTransport(a / a.sum(), np.full(m, 1 / m), rng.random((n, m)), 1.0, limit)
    keys, values, _ = _by_windows(problem.primal(problem.default_start()))
    n = problem.rows.size
    assert np.bincount(keys // n, minlength=m).max() <= limit
    np.testing.assert_allclose(np.bincount(keys % n, values, n), problem.active_a, atol=1e-11)
    np.testing.assert_allclose(np.bincount(keys // n, values, m), 1 / m, atol=1e-11)
    more = rng.dirichlet(np.ones(most + 1))
    if m > 1:
        problem = QuadraticOptimalTransport(more, np.full(m, 1 / m), rng.random((most + 1, m)), 1.0, limit)
        assert _by_windows(problem.primal(problem.default_start())) is None


def test_limits_that_counting_refutes():
    with pytest.raises(InfeasibleError, match="max_nonzeros must be at least 3: each of 7 rows"):
        QuadraticOptimalTransport(np.full(7, 1 / 7), np.full(3, 1 / 3), np.ones((7, 3)), max_nonzeros=2)
    b = np.array([0.9, 0.05, 0.05])
    with pytest.raises(InfeasibleError, match=r"column 0 has mass 0.9, and the 2 heaviest rows") as error:
        QuadraticOptimalTransport(np.full(4, 0.25), b, np.ones((4, 3)), max_nonzeros=2)
    assert error.value.excess == pytest.approx(0.4)
    assert error.value.columns.tolist() == [0]
    C = np.ones((3, 3))
    C[0, 1] = np.inf
    a, b = np.array([0.6, 0.2, 0.2]), np.array([0.4, 0.3, 0.3])
    assert QuadraticOptimalTransport(a, b, np.ones((3, 3)), max_nonzeros=1).is_limited
    with pytest.raises(InfeasibleError, match=r"column 1 has mass 0.3, and the 1 heaviest rows allowed to it, \[1\]"):
        QuadraticOptimalTransport(a, b, C, max_nonzeros=1)


def test_forbidden_pairs_and_a_limit():
    rng = np.random.default_rng(11)
    a, b = np.full(12, 1 / 12), np.full(15, 1 / 15)
    C = rng.random((12, 15))
    C[rng.random(C.shape) < 0.3] = np.inf
    result = optlab.solve(QuadraticOptimalTransport(a, b, C, 5.0, 3), SemismoothNewton(), tol=1e-4, max_iter=200)
    assert result.success
    plan = result.solution.limited()
    X = plan.dense()
    assert np.all(X[np.isinf(C)] == 0.0)
    assert np.count_nonzero(X, axis=0).max() <= 3
    np.testing.assert_allclose(X.sum(axis=1), a, atol=1e-13)


# ---------------------------------------------------------------------------------------- starts, plans, errors


@pytest.mark.parametrize("limit", [None, 3])
def test_warm_starts_save_iterations(limit):
    a, b, C = transport_family("l2", 40)
    problem = QuadraticOptimalTransport(a, b, C, 1.0, limit)
    method, tol = SemismoothNewton(), 1e-6
    cold = optlab.solve(problem, method, tol=tol, max_iter=200, record=1)
    assert cold.n_iter > 8
    for x0 in (cold, cold.solution, cold.solution.potentials, SemiDualPoint(cold.solution.point.f)):
        warm = optlab.solve(QuadraticOptimalTransport(a, b, C, 1.0, limit), method, x0=x0, tol=tol, record=1)
        assert warm.success
        assert warm.n_iter < 0.6 * cold.n_iter
    again = optlab.solve(problem, SemiDualLBFGS(), x0=cold.solution.potentials, max_iter=1, record=1)
    assert again.history["dual_objective"][0] >= cold.metrics["dual_objective"] - 1e-12


def test_starts_from_other_problems():
    a, b, C = transport_family("l2", 30)
    exact = optlab.solve(OptimalTransport(a, b, C), optlab.transport.NetworkSimplex(), max_iter=1).solution
    problem = QuadraticOptimalTransport(a, b, C, 0.05)
    cold = optlab.solve(problem, SemiDualLBFGS(), tol=1e-6, max_iter=5000, record=1)
    for x0 in (exact, exact.sparse(), exact.dense()):
        first = optlab.solve(problem, SemiDualLBFGS(), x0=x0, max_iter=0).history["dual_objective"][0]
        assert first > 0.9 * cold.metrics["dual_objective"]
    assert cold.history["dual_objective"][0] < 0.9 * cold.metrics["dual_objective"]


def test_a_plan_answers_questions():
    a, b, C = instance(12)
    a[2] = 0.0
    a /= a.sum()
    problem = QuadraticOptimalTransport(a, b, C, 1.0)
    plan = optlab.solve(problem, SemismoothNewton(), tol=1e-9).solution
    X = plan.dense()
    assert np.all(X[2] == 0.0)
    np.testing.assert_allclose(plan.sparse().toarray(), X)
    np.testing.assert_allclose(plan.apply(np.ones(9)), a, atol=1e-14)
    np.testing.assert_allclose(plan.marginals[1], b, atol=1e-14)
    assert plan.raw.marginal_error < 1e-6
    assert "QuadraticPlan(7 x 9" in repr(plan)
    assert "regularization=1" in repr(problem)
    given_array = problem.measure(X)
    assert given_array["objective"] == pytest.approx(plan.objective, rel=1e-12)
    assert problem.plan(X, plan.potentials).relative_gap < 1e-8


def test_bad_input_is_named():
    a, b, C = instance()
    with pytest.raises(ValueError, match="regularization must be a number above 0"):
        QuadraticOptimalTransport(a, b, C, 0.0)
    with pytest.raises(ValueError, match="max_nonzeros must be an integer of at least 1, got 0"):
        QuadraticOptimalTransport(a, b, C, 1.0, 0)
    with pytest.raises(ValueError, match=r"cost must have shape \(7, 9\)"):
        QuadraticOptimalTransport(a, b, C.T)
    with pytest.raises(ValueError, match="a and b must have the same sum"):
        QuadraticOptimalTransport(2 * a, b, C)
    problem = QuadraticOptimalTransport(a, b, C)
    with pytest.raises(TypeError, match="x0 must be None, a SemiDualPoint"):
        optlab.solve(problem, SemismoothNewton(), x0="warm")
    with pytest.raises(ValueError, match=r"x0\[0\] must have shape \(7,\), got \(9,\)"):
        optlab.solve(problem, SemiDualLBFGS(), x0=(b, a))
    with pytest.raises(ValueError, match=r"x0\[0\] must be finite somewhere"):
        optlab.solve(problem, SemiDualLBFGS(), x0=(np.full(7, np.nan), b))
    with pytest.raises(ValueError, match="x0 must have finite potentials for 7 rows"):
        problem.initial_point(SemiDualPoint(np.zeros(3)))
    with pytest.raises(TypeError, match="needs a QuadraticOptimalTransport"):
        optlab.solve(OptimalTransport(a, b, C), SemismoothNewton())
    with pytest.raises(ValueError, match="did you mean 'direct'"):
        SemismoothNewton(linear_solver="direkt")
    with pytest.raises(ValueError, match="cooling must be a number above 1"):
        SemismoothNewton(cooling=1.0)
    with pytest.raises(ValueError, match="memory must be an integer"):
        SemiDualLBFGS(memory=0)
