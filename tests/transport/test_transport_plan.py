"""TransportPlan: one matrix behind dense, sparse, apply, cost and marginals; zeros handled on the full index set."""

import numpy as np
import pytest

import optlab
from optlab.transport import MirrorPlan, NetworkSimplex, OptimalTransport, PointCloudCost, TransportPlan


def problem_and_plan(zeros=False, regularization=0.0, steps=7, n=14, m=11):
    rng = np.random.default_rng(5)
    a, b = rng.random(n) + 0.1, rng.random(m) + 0.1
    if zeros:
        a[[0, 5]], b[[3, 10]] = 0.0, 0.0
    a, b = a / a.sum(), b / b.sum()
    problem = OptimalTransport(a, b, PointCloudCost(rng.random((n, 2)), rng.random((m, 2))), regularization)
    z = problem.initial_mirror()
    for _ in range(steps):
        x = problem.resolvent_B(z, problem.default_step_size)
        z = z + problem.resolvent_A(2 * x - z, problem.default_step_size) - x
    return problem, problem.primal(x)


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("regularization", [0.0, 0.05])
def test_every_view_is_of_the_same_matrix(zeros, regularization, raw):
    problem, plan = problem_and_plan(zeros, regularization)
    plan = plan.raw if raw else plan
    X, C = plan.dense(), problem.cost.dense()
    rng = np.random.default_rng(0)
    v, V, u = rng.standard_normal(11), rng.standard_normal((11, 3)), rng.standard_normal(14)
    assert np.allclose(plan.apply(v), X @ v, atol=1e-14)
    assert np.allclose(plan.apply(V), X @ V, atol=1e-14)
    assert np.allclose(plan.apply_transpose(u), X.T @ u, atol=1e-14)
    assert np.allclose(plan.marginals[0], X.sum(axis=1), atol=1e-15)
    assert np.allclose(plan.marginals[1], X.sum(axis=0), atol=1e-15)
    assert plan.cost == pytest.approx((C * X).sum(), rel=1e-13)
    sparse = plan.sparse(1e-3)
    assert np.allclose(sparse.toarray(), np.where(X > 1e-3, X, 0.0), atol=1e-15)
    assert np.abs(plan.sparse().toarray() - X).max() <= 1e-9 / (problem.rows.size * problem.columns.size)
    if not raw:
        assert np.allclose(X.sum(axis=1), problem.a, atol=1e-15)
        assert np.allclose(X.sum(axis=0), problem.b, atol=1e-15)
    if zeros:
        assert not X[[0, 5]].any()
        assert not X[:, [3, 10]].any()


def test_raw_is_the_iterate_and_rounded_comes_back():
    problem, plan = problem_and_plan()
    mirror = plan.mirror
    iterate = np.exp(mirror.row[:, None] + mirror.column - mirror.inverse_temperature * problem.cost.dense())
    assert np.allclose(plan.raw.dense(), iterate, rtol=1e-12)
    assert plan.raw.rounded().cost == plan.cost
    assert plan.rounded() is plan
    error = np.abs(iterate.sum(axis=1) - problem.a).sum() + np.abs(iterate.sum(axis=0) - problem.b).sum()
    assert plan.marginal_error == pytest.approx(error, rel=1e-10)
    assert error > 1e-6  # otherwise this test could not tell the two apart


def test_zero_weights_give_the_same_plan_as_leaving_them_out():
    problem, plan = problem_and_plan(zeros=True)
    rows, columns = np.flatnonzero(problem.a), np.flatnonzero(problem.b)
    small = OptimalTransport(problem.a[rows], problem.b[columns], problem.cost.dense()[np.ix_(rows, columns)])
    other = TransportPlan(small, plan.mirror)
    assert plan.cost == pytest.approx(other.cost, rel=1e-13)
    assert plan.gap == pytest.approx(other.gap, rel=1e-9)
    f, g = plan.potentials
    assert np.max(f[:, None] + g - problem.cost.dense()) <= 1e-14
    assert problem.a @ f + problem.b @ g >= plan.dual_objective - 1e-14


@pytest.mark.parametrize("zeros", [False, True])
def test_barycentric_map(zeros):
    problem, plan = problem_and_plan(zeros)
    X, y = plan.dense(), problem.cost.y
    moved = plan.barycentric_map()
    assert moved.shape == (14, 2)
    inside = problem.a > 0
    assert np.allclose(moved[inside], (X @ y)[inside] / problem.a[inside, None], atol=1e-12)
    assert np.allclose(plan.barycentric_map(y[:, 0]), moved[:, 0])
    if zeros:
        for i in (0, 5):  # sent to one of the target points that carry mass
            assert np.min(np.abs(y[problem.b > 0] - moved[i]).sum(axis=1)) == 0.0
    with pytest.raises(ValueError, match="points must have 11 entries"):
        plan.barycentric_map(np.zeros((5, 2)))


def test_barycentric_map_needs_points_for_a_dense_cost():
    plan = OptimalTransport([1.0], [1.0], [[0.0]]).primal(MirrorPlan.zeros(1, 1))
    with pytest.raises(ValueError, match="points must be given"):
        plan.barycentric_map()


@pytest.mark.parametrize("zeros", [False, True])
def test_a_plan_given_as_an_array(zeros):
    from scipy.sparse import csr_array

    problem, plan = problem_and_plan(zeros)
    X = plan.raw.dense()
    for array in (X, csr_array(X)):
        other = problem.plan(array, plan.potentials)
        assert other.cost == pytest.approx(plan.cost, rel=1e-12)
        assert other.dual_objective == pytest.approx(plan.dual_objective, rel=1e-12)
        assert other.marginal_error == pytest.approx(plan.marginal_error, rel=1e-9)
        assert np.allclose(other.dense(), plan.dense(), atol=1e-15)
        assert np.allclose(other.sparse(1e-3).toarray(), plan.sparse(1e-3).toarray(), atol=1e-15)
        assert np.allclose(other.apply(np.ones(11)), problem.a, atol=1e-14)
    if zeros:  # mass where there should be none is an error of both marginals
        X[0, 0] += 0.25
        assert problem.plan(X).marginal_error == pytest.approx(plan.marginal_error + 0.5, rel=1e-9)


def test_second_singular_value():
    problem, plan = problem_and_plan(regularization=0.05, steps=200)
    T = plan.dense() / np.sqrt(problem.a[:, None] * problem.b)
    assert plan.second_singular_value(tol=1e-10) == pytest.approx(np.linalg.svd(T)[1][1], rel=1e-5)
    one = OptimalTransport([1.0], [1.0], [[0.0]])
    assert one.primal(MirrorPlan.zeros(1, 1)).second_singular_value() == 0.0


def test_wrong_use_is_named():
    problem, plan = problem_and_plan()
    with pytest.raises(TypeError, match="either mirror or array"):
        TransportPlan(problem)
    with pytest.raises(ValueError, match=r"array must have shape \(14, 11\)"):
        problem.plan(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="vector must have 11 entries"):
        plan.apply(np.zeros(14))
    with pytest.raises(ValueError, match="threshold must be"):
        plan.sparse(-1.0)


def test_representation_reads_well():
    _, plan = problem_and_plan()
    assert repr(plan).startswith("TransportPlan(14 x 11, cost=")
    assert "marginal_error" in repr(plan.raw)
    assert len(repr(plan)) < 120


def test_a_sparse_plan_stays_sparse_and_whole():
    """Rounding what POT left open used to fill the matrix, and small entries of great cost were dropped by default."""
    rng = np.random.default_rng(5)
    a = rng.dirichlet(np.ones(30))
    a[3] = 1e-14
    b = rng.dirichlet(np.ones(40))
    C = rng.random((30, 40))
    C[3] = 1e14
    with pytest.warns(UserWarning, match="spread over"):
        problem = OptimalTransport(a / a.sum(), b, C)
    plan = optlab.solve(problem, NetworkSimplex(), max_iter=1).solution
    sparse = plan.sparse()
    assert sparse.nnz == np.count_nonzero(plan.dense()) <= 2 * (30 + 40)
    np.testing.assert_allclose(sparse.sum(axis=1), problem.a, rtol=1e-12, atol=1e-16)
    np.testing.assert_allclose(sparse.sum(axis=0), problem.b, rtol=1e-12, atol=1e-16)
    assert np.sum(sparse.toarray() * C) == pytest.approx(plan.cost, rel=1e-12)
    short = problem.plan(sparse * (1.0 - 1e-10))  # as a solver's tolerance leaves it
    assert short.sparse().nnz <= 3 * (30 + 40)
    np.testing.assert_allclose(short.dense().sum(axis=1), problem.a, rtol=1e-12, atol=1e-16)
    assert np.sum(short.dense() * C) == pytest.approx(short.cost, rel=1e-12)


def test_the_network_simplex_is_exact_on_single_precision_costs():
    rng = np.random.default_rng(6)
    a, b = rng.dirichlet(np.ones(30)), rng.dirichlet(np.ones(40))
    cost = (1000.0 + rng.random((30, 40))).astype(np.float32)
    result = optlab.solve(OptimalTransport(a, b, cost), NetworkSimplex(), tol=1e-13, max_iter=1)
    assert result.success
