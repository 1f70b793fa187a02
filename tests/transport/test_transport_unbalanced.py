"""Unbalanced and partial transport: against POT, CVXPY and linear programs; certificates; the generalised iteration."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.sparse import eye_array, kron
from scipy.special import kl_div

import optlab
from optlab.splitting import BregmanDouglasRachford, BregmanPeacemanRachford
from optlab.transport import (
    GeneralizedSinkhorn,
    OptimalTransport,
    PartialOptimalTransport,
    PointCloudCost,
    RelaxedPlan,
    Sinkhorn,
    SparseCost,
    UnbalancedOptimalTransport,
)

BDRS = BregmanDouglasRachford()


def instance(seed=0, n=12, m=15):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(n)), 2.0 * rng.dirichlet(np.ones(m)), rng.random((n, m))


def sums_matrices(n, m):
    return kron(eye_array(n), np.ones((1, m))), kron(np.ones((1, n)), eye_array(m))


def tv_value(a, b, C, tau_a, tau_b):
    """The linear program: X, and how far its marginals are above and below."""
    n, m = C.shape
    rows, columns = sums_matrices(n, m)
    zero = np.zeros((n, m))
    A = np.hstack(
        [
            np.vstack([rows.toarray(), columns.toarray()]),
            np.vstack([-np.eye(n), zero.T]), np.vstack([np.eye(n), zero.T]),
            np.vstack([zero, -np.eye(m)]), np.vstack([zero, np.eye(m)]),
        ]
    )  # fmt: skip
    price = np.r_[C.ravel(), np.full(2 * n, tau_a), np.full(2 * m, tau_b)]
    return linprog(price, A_eq=A, b_eq=np.r_[a, b], method="highs").fun


def partial_value(a, b, C, mass):
    n, m = C.shape
    rows, columns = sums_matrices(n, m)
    A = np.vstack([rows.toarray(), columns.toarray()])
    return linprog(C.ravel(), A_ub=A, b_ub=np.r_[a, b], A_eq=np.ones((1, n * m)), b_eq=[mass], method="highs").fun


def test_kullback_leibler_equals_pot():
    import ot

    a, b, C = instance()
    problem = UnbalancedOptimalTransport(a, b, C, penalty=0.3)
    result = optlab.solve(problem, BDRS, tol=1e-8, max_iter=10_000)
    assert result.success
    plan = ot.unbalanced.mm_unbalanced(a, b, C, 0.3, div="kl", numItermax=20_000, stopThr=1e-14)
    value = np.sum(plan * C) + 0.3 * (kl_div(plan.sum(1), a).sum() + kl_div(plan.sum(0), b).sum())
    assert result.metrics["objective"] == pytest.approx(value, rel=1e-6)
    assert result.metrics["dual_objective"] <= value * (1 + 1e-12)
    np.testing.assert_allclose(result.solution.dense(), plan, atol=1e-4)


def test_kullback_leibler_with_a_pair_of_penalties_equals_cvxpy():
    import cvxpy as cp

    a, b, C = instance(1, 5, 6)
    problem = UnbalancedOptimalTransport(a, b, C, penalty=(0.2, 0.6))
    result = optlab.solve(problem, BDRS, tol=1e-8, max_iter=10_000)
    X = cp.Variable(C.shape, nonneg=True)
    deviation = 0.2 * cp.sum(cp.kl_div(cp.sum(X, axis=1), a)) + 0.6 * cp.sum(cp.kl_div(cp.sum(X, axis=0), b))
    value = cp.Problem(cp.Minimize(cp.sum(cp.multiply(C, X)) + deviation)).solve(solver="CLARABEL")
    assert result.success
    assert result.metrics["objective"] == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("penalty", [(0.3, 0.3), (0.1, 0.6), (5.0, 5.0)])
def test_total_variation_equals_the_linear_program(penalty):
    a, b, C = instance(2)
    result = optlab.solve(UnbalancedOptimalTransport(a, b, C, penalty, "tv"), BDRS, tol=1e-5, max_iter=10_000)
    exact = tv_value(a, b, C, *penalty)
    assert result.success
    assert result.metrics["dual_objective"] <= exact + 1e-9 <= result.metrics["objective"] + 2e-9


@pytest.mark.parametrize("share", [0.1, 0.6, 1.0])
def test_partial_equals_the_linear_program_and_pot(share):
    import ot

    a, b, C = instance(3)
    problem = PartialOptimalTransport(a, b, C, mass=share)
    result = optlab.solve(problem, BDRS, tol=1e-5, max_iter=10_000)
    exact = partial_value(a, b, C, share)
    assert result.success
    assert result.metrics["dual_objective"] <= exact + 1e-9 <= result.metrics["cost"] + 2e-9
    assert exact == pytest.approx(np.sum(C * ot.partial.partial_wasserstein(a, b, C, m=share)), rel=1e-8)
    plan = result.solution.dense()
    assert plan.sum() == pytest.approx(share, rel=1e-12)
    # entries are exponentials of sums of these sizes, which differ in their last digits from processor to processor
    mirror = result.solution.mirror
    size = np.abs(mirror.row).max() + np.abs(mirror.column).max() + mirror.inverse_temperature * C.max()
    slack = max(1e-12, np.finfo(float).eps * size)
    assert np.all(plan.sum(axis=1) <= a * (1 + slack))
    assert np.all(plan.sum(axis=0) <= b * (1 + slack))
    f, g = result.solution.potentials
    assert max(f.max(), g.max()) <= 0
    assert np.min(C - f[:, None] - g - result.solution.mass_price) >= -1e-12


@pytest.mark.parametrize("eps", [0.5, 0.03])
@pytest.mark.parametrize("kind", ["kl", "tv", "partial"])
def test_the_entropic_problems_agree_between_methods(kind, eps):
    a, b, C = instance(4)
    if kind == "partial":
        problem = PartialOptimalTransport(a, b, C, 0.7, eps)
    else:
        problem = UnbalancedOptimalTransport(a, b, C, (0.4, 0.3), kind, eps)
    values = []
    for method in (GeneralizedSinkhorn(), BDRS):
        result = optlab.solve(problem, method, tol=1e-8, max_iter=20_000)
        assert result.success
        values.append(result.metrics["objective"])
    assert values[0] == pytest.approx(values[1], rel=1e-7)


def test_entropic_problems_equal_pot():
    import ot

    a, b, C = instance(5)
    problem = UnbalancedOptimalTransport(a, b, C, 0.4, "kl", 0.05)
    ours = optlab.solve(problem, GeneralizedSinkhorn(), tol=1e-12, max_iter=5000).solution.dense()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = ot.unbalanced.sinkhorn_unbalanced(
            a, b, C, 0.05, 0.4, reg_type="entropy", numItermax=50_000, stopThr=1e-14
        )
        partly = ot.partial.entropic_partial_wasserstein(a, b, C, 0.05, 0.7, numItermax=50_000, stopThr=1e-14)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    problem = PartialOptimalTransport(a, b, C, 0.7, 0.05)
    ours = optlab.solve(problem, GeneralizedSinkhorn(), tol=1e-12, max_iter=5000).solution.dense()
    np.testing.assert_allclose(ours, partly, atol=1e-6)


def test_strong_penalties_give_balanced_transport():
    a, b, C = instance(6)
    balanced = OptimalTransport(a, b / 2, C, regularization=0.05)
    exact = optlab.solve(balanced, Sinkhorn(), tol=1e-10, max_iter=5000)
    same = optlab.solve(balanced, GeneralizedSinkhorn(), tol=1e-10, max_iter=5000)
    assert same.n_iter == exact.n_iter
    problem = UnbalancedOptimalTransport(a, b / 2, C, penalty=1e6, regularization=0.05)
    result = optlab.solve(problem, GeneralizedSinkhorn(), tol=1e-9, max_iter=5000)
    assert result.metrics["cost"] == pytest.approx(exact.metrics["cost"], rel=1e-4)


def test_the_translation_step_is_what_makes_strong_penalties_fast():
    a, b, C = instance(7)
    problem = UnbalancedOptimalTransport(a, b, C, penalty=100.0, regularization=0.1)
    with_it = optlab.solve(problem, GeneralizedSinkhorn(), tol=1e-8, max_iter=20_000)
    problem._translation = lambda f, g: 0.0
    without = optlab.solve(problem, GeneralizedSinkhorn(), tol=1e-8, max_iter=20_000)
    assert with_it.success
    assert with_it.n_iter < without.n_iter / 5


@settings(deadline=None, derandomize=True, max_examples=20)
@given(
    st.integers(0, 10**6),
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from(["kl", "tv", "partial"]),
    st.sampled_from([0.0, 0.01, 10.0]),
    st.sampled_from([1e-6, 1.0, 1e6]),
)
def test_bounds_are_bounds_at_any_iterate(seed, n, m, kind, eps, unit):
    rng = np.random.default_rng(seed)
    a, b, C = rng.dirichlet(np.ones(n)), rng.random() * 2 * rng.dirichlet(np.ones(m)), unit * rng.random((n, m))
    if kind == "partial":
        problem = PartialOptimalTransport(a, b, C, min(1.0, b.sum()) * rng.uniform(0.1, 1.0), unit * eps)
    else:
        problem = UnbalancedOptimalTransport(a, b, C, unit * rng.uniform(0.05, 2.0), kind, unit * eps)
    result = optlab.solve(problem, BDRS, max_iter=300, record=100)
    best = result.history["objective"].min()
    scale = 1e-10 * (abs(best) + unit)
    assert np.all(result.history["dual_objective"] <= best + scale)
    assert np.all(np.isfinite(result.history["relative_gap"]))
    if eps:
        assert result.metrics["relative_gap"] < 0.1


def test_costs_of_every_kind_and_warm_starts():
    rng = np.random.default_rng(8)
    x, y = rng.random((12, 2)), rng.random((15, 2))
    a, b, _ = instance()
    cloud = PointCloudCost(x, y)
    values = []
    for cost in (cloud, cloud.dense()):
        problem = UnbalancedOptimalTransport(a, b, cost, 0.3, regularization=0.05)
        cold = optlab.solve(problem, GeneralizedSinkhorn(), tol=1e-10, record=1)
        values.append(cold.metrics["objective"])
        for x0 in (cold.solution, cold.solution.potentials):
            assert optlab.solve(problem, GeneralizedSinkhorn(), x0=x0, tol=1e-9, record=1).n_iter <= 1
    assert values[0] == pytest.approx(values[1], rel=1e-12)
    # with forbidden pairs, a row without any included: its mass is destroyed
    C = cloud.dense()
    C[rng.random(C.shape) < 0.5] = np.inf
    C[3] = np.inf
    from scipy.sparse import coo_array

    allowed = np.nonzero(np.isfinite(C))
    for divergence in ("kl", "tv"):
        found = []
        for cost in (C, SparseCost(coo_array((C[allowed], allowed), shape=C.shape))):
            problem = UnbalancedOptimalTransport(a, b, cost, 0.3, divergence, 0.05)
            result = optlab.solve(problem, GeneralizedSinkhorn(), tol=1e-8, max_iter=5000)
            assert result.success
            assert np.all(result.solution.dense()[np.isinf(C)] == 0.0)
            found.append(result.metrics["objective"])
        assert found[0] == pytest.approx(found[1], rel=1e-7)


def test_plans_answer_questions():
    a, b, C = instance()
    plan = optlab.solve(PartialOptimalTransport(a, b, C, 0.5), BDRS, max_iter=200).solution
    assert isinstance(plan, RelaxedPlan)
    np.testing.assert_allclose(plan.apply(np.ones(15)), plan.dense().sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(plan.sparse(0.0).toarray(), plan.dense(), rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(plan.marginals[1], plan.dense().sum(axis=0), rtol=1e-10)
    assert "RelaxedPlan(12 x 15" in repr(plan)


def test_bad_input_is_named():
    a, b, C = instance()
    with pytest.raises(ValueError, match=r"a must be non-negative, got -1.0 at index \[0\]"):
        UnbalancedOptimalTransport(np.r_[-1.0, a[1:]], b, C)
    with pytest.raises(ValueError, match="a must have a positive finite sum"):
        UnbalancedOptimalTransport(0.0 * a, b, C)
    with pytest.raises(ValueError, match="penalty must be a number above 0"):
        UnbalancedOptimalTransport(a, b, C, penalty=0.0)
    with pytest.raises(ValueError, match="did you mean 'kl'"):
        UnbalancedOptimalTransport(a, b, C, divergence="kll")
    with pytest.raises(ValueError, match="no lower bound"):
        UnbalancedOptimalTransport(a, b, C - 3.0, divergence="tv")
    with pytest.raises(ValueError, match="mass must be a number above 0 and at most 1"):
        PartialOptimalTransport(a, b, C, mass=1.5)
    with pytest.raises(TypeError, match="forbidden"):
        PartialOptimalTransport(a, b, np.where(C > 0.5, np.inf, C), mass=0.1)
    with pytest.raises(TypeError, match="regularization above 0"):
        optlab.solve(UnbalancedOptimalTransport(a, b, C), GeneralizedSinkhorn())
    with pytest.raises(TypeError, match="x0 must be"):
        UnbalancedOptimalTransport(a, b, C).initial_mirror("warm")
    with pytest.raises(ValueError, match="x0 must have"):
        UnbalancedOptimalTransport(a, b, C).initial_mirror(OptimalTransport([1.0], [1.0], [[0.0]]).default_start())


def test_the_marginals_own_prices_prove_more(monkeypatch):
    """``-tau log(X 1 / a)`` is a dual point too, often better than the drift of the potentials."""
    a, b, C = instance(3)
    problem = UnbalancedOptimalTransport(a, 1.3 * b, C)

    def needed():
        return optlab.solve(problem, BregmanDouglasRachford(10.0), tol={"gap": 1e-6}, max_iter=5000, record=1).n_iter

    with_prices = needed()
    monkeypatch.setattr(UnbalancedOptimalTransport, "marginal_prices", lambda *sums: [])
    assert with_prices < 0.8 * needed()


@pytest.mark.parametrize("step_size", [1e-12, 1e12])
def test_extreme_step_sizes_leave_everything_finite(step_size):
    a, b, C = instance(3)
    history = optlab.solve(
        UnbalancedOptimalTransport(a, 2 * b, C), BregmanDouglasRachford(step_size), max_iter=5, record="all"
    ).history
    assert all(np.all(np.isfinite(history[name])) for name in ("gap", "objective", "dual_objective"))


def test_peaceman_rachford_is_faster_where_the_penalties_contract():
    a, b, C = instance(3)
    problem = UnbalancedOptimalTransport(a, 1.3 * b, C)
    plain, fast = (
        optlab.solve(problem, method(10.0), tol={"gap": 1e-6}, max_iter=5000)
        for method in (BregmanDouglasRachford, BregmanPeacemanRachford)
    )
    assert fast.success
    assert plain.success
    assert fast.n_iter < plain.n_iter


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("UnbalancedTransport", "UnbalancedOptimalTransport"),
        ("UnbalancedPlan", "RelaxedPlan"),
        ("PlanPotentials", "MirrorPlan"),
    ],
)
def test_names_of_the_first_version_lead_here(old, new):
    from optlab import transport
    from optlab.splitting import problems

    with pytest.warns(DeprecationWarning, match=f"optlab.transport.{new}"):
        assert getattr(problems, old) is getattr(transport, new)
