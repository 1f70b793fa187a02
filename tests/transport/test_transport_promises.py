"""CONVERGED means the tolerance: costs that the solution does not use, zero optima, and other promises once broken."""

from __future__ import annotations

import warnings

import numpy as np
import ot
import pytest
from scipy.sparse import coo_array, csr_array

import optlab
from optlab import Status
from optlab.core import DomainError
from optlab.splitting import BregmanDouglasRachford
from optlab.transport import (
    DenseCost,
    GeneralizedSinkhorn,
    LinearProgram,
    MirrorPlan,
    NetworkSimplex,
    OptimalTransport,
    PartialOptimalTransport,
    PointCloudCost,
    QuadraticOptimalTransport,
    SemiDualPoint,
    SparseCost,
    UnbalancedOptimalTransport,
    WassersteinBarycenter,
    batch_transport,
    free_support_barycenter,
    transport,
)
from optlab.transport.plans.relative_gap import NOTHING_PROVEN, relative_gap

BDRS = BregmanDouglasRachford()
SPREAD = pytest.mark.filterwarnings("ignore:the costs spread")


def forbidden_as_number(seed, big, n=6):
    """A plan on the diagonal exists; about half of the other pairs are forbidden, in two ways of saying so."""
    rng = np.random.default_rng(seed)
    C = np.where(rng.random((n, n)) < 0.5, rng.random((n, n)), np.inf)
    np.fill_diagonal(C, rng.random(n))
    a = rng.dirichlet(np.ones(n))
    return a, np.where(np.isinf(C), big, C), C


# ---------------------------------------------------------------------------------------- the rule


def test_the_denominator_is_what_the_bounds_prove():
    rng = np.random.default_rng(0)
    for _ in range(200):
        value = rng.standard_normal() * 10.0 ** rng.uniform(-8, 8)
        upper, lower = value + abs(value) * rng.exponential() * 0.3, value - abs(value) * rng.exponential() * 0.3
        ratio = relative_gap(upper, lower)
        assert abs(upper - value) <= ratio * abs(value) * (1 + 1e-12)
    assert relative_gap(1.0, -1.0) == relative_gap(1.0, 0.0) == NOTHING_PROVEN
    assert relative_gap(np.array([1.0, 2.0]), np.array([1.0, 1.0])).tolist() == [0.0, 1.0]
    assert relative_gap(1.0, 0.999, lower_terms=1e16) == NOTHING_PROVEN
    assert relative_gap(float("inf"), 1.0) == relative_gap(1.0, float("nan")) == NOTHING_PROVEN


@SPREAD
@pytest.mark.parametrize("big", [1e3, 1e6, 1e9, 1e12, 1e15, 1e100])
@pytest.mark.parametrize("method", ["auto", "emd", "exact", "highs"])
def test_exact_solvers_are_exact_beside_big_entries(big, method):
    """The largest entry was the unit: at 1e12 errors of 2 %, at 1e15 of 73 %, and CONVERGED."""
    for seed in range(5):
        a, C, allowed = forbidden_as_number(seed, big)
        result = transport(a, a, C, method=method, tol=1e-9)
        assert result.success
        expected = transport(a, a, allowed, method="emd", tol=1e-12).metrics["cost"]
        assert result.metrics["cost"] == pytest.approx(expected, rel=1e-12)


@SPREAD
def test_auto_is_as_exact_as_the_simplex_it_wraps():
    rng = np.random.default_rng(0)
    for _ in range(30):
        C = rng.random((6, 6))
        C[0, 1] = 1e12
        a, b = rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(6))
        usual = np.minimum(C, 100.0)  # the big entry is not used
        best = np.sum(ot.emd(a, b, usual) * usual)
        assert transport(a, b, C).metrics["cost"] == pytest.approx(best, rel=1e-14)


def test_auto_goes_on_where_the_simplex_is_not_certified(monkeypatch):
    C = np.random.default_rng(14).random((8, 8))
    honest = NetworkSimplex.solve

    def sloppy(self, problem, start):
        state = honest(self, problem, start)
        state.f = state.f - np.linspace(0.0, 1.0, 8)  # as potentials that lost their digits
        state.g = state.g - 1.0
        state.rows, state.columns = np.arange(8), np.arange(8)[::-1]
        state.values = np.full(8, 0.125)
        return state

    monkeypatch.setattr(NetworkSimplex, "solve", sloppy)
    result = transport(None, None, C)
    assert result.success
    assert "exact method went on" in result.message
    assert result.metrics["cost"] == pytest.approx(ot.emd2([], [], C), rel=1e-12)


@SPREAD
def test_a_first_order_method_does_not_converge_far_from_the_optimum():
    """The reproduction of the fault: 0.307 for 0.1205, relative gap 4e-4."""
    rng = np.random.default_rng(0)
    x, y = rng.random((60, 2)), rng.random((60, 2))
    u = np.full(60, 1 / 60)
    D = np.sqrt(((x[:, None] - y) ** 2).sum(-1))
    C = np.where(D < 0.5, D, 1e9)
    result = transport(u, u, C, method="bdrs", max_iter=300)
    assert result.status is Status.MAX_ITER
    assert "+inf" in result.message
    assert result.metrics["relative_gap"] > 1.0
    assert transport(u, u, C).metrics["cost"] == pytest.approx(0.120454, abs=1e-6)


def test_an_outlier_does_not_hide_an_error():
    rng = np.random.default_rng(1)
    x, y = rng.random((20, 2)), rng.random((20, 2))
    x[0] = y[0] = 1e7
    a = np.full(20, 0.05)
    near = transport(None, None, PointCloudCost(x[1:], y[1:], "euclidean"), tol=1e-12)  # the outlier stays in place
    expected = 0.95 * near.metrics["cost"]
    result = transport(a, a, PointCloudCost(x, y, "euclidean"), method="bdrs", max_iter=300)
    assert not result.success or result.metrics["cost"] == pytest.approx(expected, rel=1.1e-3)


@pytest.mark.parametrize("mass", [0.5, 1e-3, 1e-9, 1e-12])
def test_partial_transport_of_a_tiny_mass(mass):
    rng = np.random.default_rng(2)
    a, b, C = rng.dirichlet(np.ones(20)), rng.dirichlet(np.ones(20)), rng.random((20, 20)) + 0.01
    best = mass * C.min() if mass < 1e-3 else None
    result = optlab.solve(PartialOptimalTransport(a, b, C, mass), BDRS, tol=1e-4, max_iter=3000)
    if best is not None:
        assert result.success
        assert result.metrics["cost"] == pytest.approx(best, rel=1.1e-4)
    two = PartialOptimalTransport([1.0, 1.0], [1.0, 1.0], [[1.0, 3.0], [2.0, 5.0]], mass=mass)
    result = optlab.solve(two, BDRS, tol=1e-4, max_iter=3000)
    assert result.success
    assert result.metrics["cost"] == pytest.approx(mass, rel=1.1e-4)


@pytest.mark.parametrize("method", ["auto", "emd", "highs", "exact", "proximal-newton"])
def test_an_optimum_of_zero_converges(method):
    rng = np.random.default_rng(3)
    x, a = rng.random((15, 2)), rng.dirichlet(np.ones(15))
    result = transport(a, a, PointCloudCost(x), method=method)
    assert result.success
    assert result.metrics["cost"] <= 1e-15
    signed = transport([0.5, 0.5], [0.3, 0.7], [[1.0, -1.0], [-1.0, 1.0]], method="emd")
    assert signed.success
    balanced = np.array([[1.0, 2.0, -1.0], [0.0, 1.0, -1.0], [3.0, 0.0, 1.0]])
    plan = transport(np.array([0.1, 0.2, 0.7]), np.array([0.3, 0.6, 0.1]), balanced, method="emd")
    assert plan.success


def test_an_optimum_that_may_be_zero_takes_an_absolute_gap():
    x = np.linspace(0.0, 1.0, 30)
    a, C = np.full(30, 1 / 30), (x[:, None] - x) ** 2
    result = transport(a, a, C, method="sinkhorn", max_iter=50)
    assert not result.success
    assert 'tol={"gap": ...}' in result.message
    assert transport(a, a, C, method="annealed-sinkhorn", tol={"gap": 0.5}).success


def test_batches_converge_in_the_gap_too():
    rng = np.random.default_rng(4)
    a, b, C = rng.dirichlet(np.ones(8), 50), rng.dirichlet(np.ones(9), 50), rng.random((50, 8, 9))
    for eps in (1e-3, 0.05, 1.0):
        answer = batch_transport(a, b, C, eps, tol=1e-3)
        assert answer.success
        assert answer.relative_gap.max() <= 1e-3
    C[:, 0, 0] = 1e9
    answer = batch_transport(a, b, C, 0.05, tol=1e-6)
    assert np.all(answer.relative_gap[answer.converged] <= 1e-6)
    assert not answer.success


def test_costs_of_very_different_size_are_warned_of():
    C = np.array([[0.1, 1e9], [0.3, 0.2]])
    a = np.full(2, 0.5)
    for make in (
        lambda: OptimalTransport(a, a, C),
        lambda: UnbalancedOptimalTransport(a, a, C),
        lambda: QuadraticOptimalTransport(a, a, C),
        lambda: WassersteinBarycenter([a], C),
        lambda: OptimalTransport(a, a, csr_array(C)),
    ):
        with pytest.warns(UserWarning, match=r"9\.\d decades.*\+inf"):
            make()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = np.random.default_rng(0).random((300, 1))
        OptimalTransport(None, None, (x - x.T) ** 2)
        OptimalTransport(None, None, C.clip(max=1e4))
        OptimalTransport(None, None, PointCloudCost([0.0, 1.0, 1e9]))


# ---------------------------------------------------------------------------------------- statuses, plans


def test_a_solver_that_is_done_says_so():
    a, C = np.full(3, 1 / 3), np.random.default_rng(0).random((3, 3))
    for method in (NetworkSimplex(), LinearProgram()):
        result = optlab.solve(OptimalTransport(a, a, C), method, tol=1e-300, max_iter=5)
        assert result.status is Status.STALLED
        assert result.n_iter == 1
        assert "nothing left to do" in result.message
        assert "raise max_iter" not in result.message


def test_marginals_are_exact_after_a_wild_iterate():
    rng = np.random.default_rng(5)
    a, b, C = rng.dirichlet(np.ones(5)), rng.dirichlet(np.ones(6)), 1e4 + rng.random((5, 6))
    problem = OptimalTransport(a, b, C)
    for size in (1.0, 1e2, 1e4, 1e6, 1e8, 1e11):
        mirror = MirrorPlan(size * rng.standard_normal(5), size * rng.standard_normal(6) + 1e4 * size, size)
        plan = problem.primal(mirror)
        X = plan.dense()
        np.testing.assert_allclose(X.sum(axis=1), a, atol=1e-14, rtol=0)
        np.testing.assert_allclose(X.sum(axis=0), b, atol=1e-14, rtol=0)
        assert plan.cost == pytest.approx(np.sum(C * X), rel=1e-12)


def test_plans_are_matrices_to_numpy():
    rng = np.random.default_rng(6)
    a, b, C = rng.dirichlet(np.ones(5)), rng.dirichlet(np.ones(6)), rng.random((5, 6))
    plans = [
        transport(a, b, C).solution,
        transport(a, b, C, regularization=0.1).solution,
        transport(a, b, C, method="exact").solution,
        optlab.solve(UnbalancedOptimalTransport(a, 2 * b, C), BDRS, max_iter=5).solution,
        optlab.solve(PartialOptimalTransport(a, b, C, 0.5), BDRS, max_iter=5).solution,
        QuadraticOptimalTransport(a, b, C).primal(SemiDualPoint(np.zeros(5))),
    ]
    v, V, u = rng.random(6), rng.random((6, 2)), rng.random(5)
    for plan in plans:
        X = plan.dense()
        np.testing.assert_array_equal(np.asarray(plan), X)
        assert np.asarray(plan, dtype=np.float32).dtype == np.float32
        np.testing.assert_allclose(plan @ v, X @ v, rtol=1e-12)
        np.testing.assert_allclose(plan @ V, X @ V, rtol=1e-12)
        np.testing.assert_allclose(u @ plan, u @ X, rtol=1e-12)
        np.testing.assert_allclose(V.T @ plan.apply_transpose(np.eye(5)), V.T @ X.T, rtol=1e-12)
        assert plan.sum() == pytest.approx(X.sum(), rel=1e-12)
        np.testing.assert_allclose(plan.sum(axis=0), X.sum(axis=0), rtol=1e-12)
        with pytest.raises(ValueError, match="axis must be"):
            plan.sum(axis=2)
        with pytest.raises(ValueError, match="no array in memory"):
            np.array(plan, copy=False)
    bary = optlab.solve(WassersteinBarycenter([a, a], C[:, :5]), BDRS, max_iter=3).solution
    np.testing.assert_array_equal(np.asarray(bary), bary.histogram)


# ---------------------------------------------------------------------------------------- relaxed problems


@pytest.mark.parametrize("eps", [0.0, 0.05])
@pytest.mark.parametrize("kind", ["kl", "tv", "partial"])
def test_zero_weights_are_as_good_as_absent_points(kind, eps):
    rng = np.random.default_rng(7)
    a, b, C = rng.dirichlet(np.ones(5)), rng.dirichlet(np.ones(6)), rng.random((5, 6))
    wide_a, wide_b = np.insert(a, 2, 0.0), np.insert(b, [0, 4], 0.0)
    wide = np.full((6, 8), 0.5)
    wide[np.ix_(wide_a > 0, wide_b > 0)] = C

    def make(a, b, C):
        if kind == "partial":
            return PartialOptimalTransport(a, b, C, 0.6, eps)
        return UnbalancedOptimalTransport(a, b, C, 0.3, kind, eps)

    if kind == "tv" and eps:  # with entropy mass is made where there is none
        assert optlab.solve(make(wide_a, wide_b, wide), BDRS, tol=1e-6, max_iter=5000).success
        return
    small, large = (
        optlab.solve(make(*data), BDRS, tol=1e-5, max_iter=5000) for data in ((a, b, C), (wide_a, wide_b, wide))
    )
    assert small.success
    assert large.success
    assert large.metrics["objective"] == pytest.approx(small.metrics["objective"], rel=3e-5)
    X = large.solution.dense()
    assert X.shape == (6, 8)
    np.testing.assert_allclose(large.solution.marginals[0], X.sum(axis=1), atol=1e-12)
    np.testing.assert_allclose(large.solution.sparse(0.0).toarray(), X, atol=1e-12)
    if kind != "tv":
        assert np.all(X[2] == 0.0)
        assert np.all(X[:, wide_b == 0.0] == 0.0)
    optlab.solve(make(wide_a, wide_b, wide), BDRS, x0=large, max_iter=2)


def test_total_variation_may_make_mass_where_there_is_none():
    """Moving from a dear row to a column without weight: its penalty is less than the row's."""
    problem = UnbalancedOptimalTransport([1.0], [0.0, 1e-3], [[0.1, 3.0]], penalty=(1.0, 0.2), divergence="tv")
    result = optlab.solve(problem, BDRS, tol=1e-6, max_iter=5000)
    # all of the row to the first column at 0.1 + 0.2 a unit, rather than 1 for giving it up
    assert result.metrics["objective"] == pytest.approx(0.3 + 1e-3 * 0.2, rel=2e-3)


@pytest.mark.parametrize("divergence", ["kl", "tv"])
def test_large_penalties_are_balanced_transport(divergence):
    rng = np.random.default_rng(8)
    a, b, C = rng.dirichlet(np.ones(12)), rng.dirichlet(np.ones(10)), rng.random((12, 10))
    best = transport(a, b, C).metrics["cost"]
    problem = UnbalancedOptimalTransport(a, b, C, 1e10, divergence)
    result = optlab.solve(problem, BDRS, tol=1e-3, max_iter=2000)
    assert result.success
    assert result.metrics["objective"] == pytest.approx(best, rel=1.1e-3)


@pytest.mark.parametrize(("divergence", "eps"), [("kl", 0.0), ("tv", 0.0), ("kl", 0.05)])
def test_one_exact_marginal(divergence, eps):
    import cvxpy as cp

    rng = np.random.default_rng(9)
    a, b, C = rng.dirichlet(np.ones(5)), 2.0 * rng.dirichlet(np.ones(6)), rng.random((5, 6))
    X = cp.Variable((5, 6), nonneg=True)
    sums = cp.sum(X, axis=0)
    penalty = cp.sum(cp.kl_div(sums, b)) if divergence == "kl" else cp.norm1(sums - b)
    value = cp.sum(cp.multiply(C, X)) + 0.4 * penalty - eps * cp.sum(cp.entr(X) + X)
    best = cp.Problem(cp.Minimize(value), [cp.sum(X, axis=1) == a]).solve(solver="CLARABEL")
    for penalty in ((np.inf, 0.4), np.array([np.inf, 0.4])):
        problem = UnbalancedOptimalTransport(a, b, C, penalty, divergence, eps)
        result = optlab.solve(problem, GeneralizedSinkhorn() if eps else BDRS, tol=1e-5, max_iter=5000)
        assert result.success
        assert result.metrics["objective"] == pytest.approx(best, rel=5e-5)
        np.testing.assert_allclose(result.solution.marginals[0], a, rtol=1e-10)
    with pytest.raises(ValueError, match="use OptimalTransport"):
        UnbalancedOptimalTransport(a, b, C, np.inf)
    with pytest.raises(DomainError, match="row 0 has weight"):
        UnbalancedOptimalTransport(a[:2], b[:1], [[np.inf], [1.0]], (np.inf, 1.0))


# ---------------------------------------------------------------------------------------- arguments


def test_none_is_uniform_and_sums_may_differ_by_single_precision():
    C = np.random.default_rng(10).random((4, 5))
    full = transport(np.full(4, 0.25), np.full(5, 0.2), C).metrics["cost"]
    assert transport(None, None, C).metrics["cost"] == pytest.approx(full, rel=1e-12)
    assert transport(None, np.full(5, 0.4), C).metrics["cost"] == pytest.approx(2 * full, rel=1e-12)
    b = np.full(5, 0.2 * (1 + 3e-8))  # what was normalised in single precision
    plan = transport(None, b, C).solution
    assert plan.sum() == pytest.approx(1.0, abs=1e-12) or plan.sum() == pytest.approx(b.sum(), abs=1e-12)
    with pytest.raises(ValueError, match="same sum"):
        transport(np.full(4, 0.25), np.full(5, 0.2 * (1 + 3e-6)), C)


@pytest.mark.parametrize(
    ("name", "same"), [("Sinkhorn", "sinkhorn"), ("sinkhorn_log", "sinkhorn"), ("simplex", "emd"), ("EMD", "emd")]
)
def test_names_from_elsewhere(name, same):
    C = np.random.default_rng(11).random((3, 4))
    results = [transport(None, None, C, method=m, max_iter=3, tol=None).metrics["cost"] for m in (name, same)]
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("reg_m", "UnbalancedOptimalTransport"), ("unbalanced", "UnbalancedOptimalTransport"),
        ("mass", "PartialOptimalTransport"), ("verbose", "progress"), ("log", "result.history"), ("stopThr", "tol"),
    ],
)  # fmt: skip
def test_words_of_pot_are_translated(word, hint):
    with pytest.raises(TypeError, match=hint):
        transport(None, None, np.eye(2), **{word: 1.0})


def test_malformed_sparse_costs_are_refused_before_they_are_read():
    C = np.random.default_rng(12).random((5, 5))

    def broken(**changes):
        array = csr_array(C)
        for name, (at, value) in changes.items():
            part = getattr(array, name).copy()
            part[at] = value
            setattr(array, name, part)
        return array

    for array in (
        broken(indices=(3, 77)), broken(indices=(3, -1)), broken(indptr=(2, 100)), broken(indptr=(-1, 10**6)),
        broken(indices=(3, 77)).T,
    ):  # fmt: skip
        for call in (SparseCost, lambda x: OptimalTransport(None, None, C).plan(x), lambda x: transport(None, None, x)):
            with pytest.raises(ValueError, match="malformed"):
                call(array)
    with pytest.raises(TypeError, match="real numbers"):
        SparseCost(coo_array(C * 1j))


def test_callers_arrays_are_not_handed_out_writable():
    rng = np.random.default_rng(13)
    a, C, x, f = np.full(4, 0.25), rng.random((4, 4)), rng.random((4, 2)), rng.random(4)
    cost, cloud = DenseCost(C), PointCloudCost(x)
    problem = OptimalTransport(a, a, C)
    handed = [
        cost.array, cost.dense(), cost.submatrix(slice(0, 2)).dense(), cost.T.dense(), cloud.x, cloud.y,
        problem.a, problem.active_a, problem.cost.dense(),
        problem.initial_mirror(MirrorPlan(f, f, 1.0)).row,
        QuadraticOptimalTransport(a, a, C).initial_point(SemiDualPoint(f)).f,
        UnbalancedOptimalTransport(a, a, C).initial_mirror(MirrorPlan(f, f, 1.0)).column,
        free_support_barycenter([x], [a], x, masses=a).masses,
        batch_transport(a, a, C, 0.1).plan(0).problem.cost.dense(),
    ]  # fmt: skip
    for array in handed:
        assert not array.flags.writeable or not any(np.shares_memory(array, mine) for mine in (a, C, x, f))
