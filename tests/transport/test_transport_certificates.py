"""Certificates: feasible above, feasible below, and the optimum of an independent solver in between."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.sparse import csr_array

import optlab
from optlab.splitting import BregmanDouglasRachford
from optlab.transport import (
    DenseCost,
    LinearProgram,
    MirrorPlan,
    OptimalTransport,
    PartialOptimalTransport,
    PointCloudCost,
    WassersteinBarycenter,
)
from optlab.transport.plans.certificates import (
    ArrayEntries,
    PotentialEntries,
    dual_bound,
    entropic_dual_bound,
    round_to_marginals,
)


def instance(n, m, seed, sign=1.0):
    rng = np.random.default_rng(seed)
    a, b = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))
    return a, b, sign * rng.random((n, m)), rng


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    n=st.integers(1, 12),
    m=st.integers(1, 12),
    seed=st.integers(0, 1000),
    size=st.floats(0.0, 20.0),
    kappa=st.floats(0.0, 1e3),
    sign=st.sampled_from([1.0, -1.0]),
)
def test_optimum_lies_between_the_bounds(n, m, seed, size, kappa, sign):
    import ot

    a, b, C, rng = instance(n, m, seed, sign)
    problem = OptimalTransport(a, b, C)
    mirror = MirrorPlan(size * rng.standard_normal(n), size * rng.standard_normal(m), kappa)
    drift = MirrorPlan(rng.standard_normal(n), rng.standard_normal(m), rng.random())
    plan = problem.primal(mirror, drift)
    optimum = ot.emd2(problem.a, problem.b, C)
    assert plan.dual_objective <= optimum + 1e-12
    assert plan.cost >= optimum - 1e-12
    assert plan.gap >= 0
    f, g = plan.potentials
    assert np.max(f[:, None] + g - C) <= 1e-14


@settings(deadline=None, derandomize=True, max_examples=40)
@given(n=st.integers(1, 15), m=st.integers(1, 15), seed=st.integers(0, 1000), size=st.floats(0.0, 10.0))
def test_rounding_is_feasible_and_moves_at_most_twice_the_error(n, m, seed, size):
    a, b, C, rng = instance(n, m, seed)
    cost = DenseCost(C)
    F, G = size * rng.standard_normal(n), size * rng.standard_normal(m)
    X = np.exp(F[:, None] + G - 3.0 * C)
    X /= X.sum()
    entries = PotentialEntries(cost, MirrorPlan(F - np.log(np.exp(F[:, None] + G - 3.0 * C).sum()), G, 3.0))
    error = np.abs(X.sum(axis=1) - a).sum() + np.abs(X.sum(axis=0) - b).sum()
    for start in (entries, ArrayEntries(cost, X), ArrayEntries(cost, csr_array(X))):
        rounded = round_to_marginals(start, a, b)
        Y = rounded.entries.dense() + np.outer(rounded.left, rounded.right)
        assert np.min(Y) >= 0
        assert np.max(np.abs(Y.sum(axis=1) - a)) <= 1e-12
        assert np.max(np.abs(Y.sum(axis=0) - b)) <= 1e-12
        assert np.abs(Y - X).sum() <= 2 * error + 1e-12
        assert rounded.cost == pytest.approx((C * Y).sum(), rel=1e-12, abs=1e-14)


def test_dual_bound_keeps_the_best_candidate():
    a, b, C, rng = instance(9, 7, 3)
    cost = DenseCost(C)
    good, bad = 0.1 * rng.random(9), 50 * rng.random(9)
    best = dual_bound(cost, a, b, [bad, good])
    assert best.value == max(dual_bound(cost, a, b, [c]).value for c in (good, bad))
    assert best.value == pytest.approx(a @ best.f + b @ best.g, rel=1e-13)
    assert dual_bound(cost, a, b).value == dual_bound(cost, a, b, [np.zeros(9)]).value
    # candidates that are not finite do no harm
    assert math.isfinite(dual_bound(cost, a, b, [np.full(9, -np.inf)], [np.full(7, np.nan)]).value)


@pytest.mark.delicate
@pytest.mark.parametrize("regularization", [0.02, 0.3, 5.0])
def test_entropic_certificate_against_cvxpy(regularization):
    import cvxpy as cp

    a, b, C, rng = instance(5, 6, 11)
    X = cp.Variable((5, 6), nonneg=True)
    objective = cp.sum(cp.multiply(C, X)) - regularization * cp.sum(cp.entr(X)) - regularization * cp.sum(X)
    reference = cp.Problem(cp.Minimize(objective), [cp.sum(X, axis=1) == a, cp.sum(X, axis=0) == b]).solve(
        solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11
    )
    problem = OptimalTransport(a, b, C, regularization=regularization)
    # anywhere: bounds; at the solution: equality
    rough = problem.primal(MirrorPlan(rng.standard_normal(5), rng.standard_normal(6), 1.0))
    assert rough.dual_objective <= reference + 1e-9
    assert rough.objective >= reference - 1e-9
    mirror = MirrorPlan(np.zeros(5), np.zeros(6), 1 / regularization)
    for _ in range(3000):
        row = problem.scale_rows(mirror.column, mirror.inverse_temperature)
        mirror = MirrorPlan(row, problem.scale_columns(row, mirror.inverse_temperature), mirror.inverse_temperature)
    plan = problem.primal(mirror)
    assert plan.objective == pytest.approx(reference, abs=1e-8)
    assert plan.dual_objective == pytest.approx(reference, abs=1e-8)
    assert plan.gap <= 1e-12
    assert np.allclose(plan.dense(), X.value, atol=1e-5)
    metrics = problem.measure(plan)
    assert metrics["gap"] == max(metrics["objective"] - metrics["dual_objective"], 0.0)


def test_entropic_bound_is_the_dual_objective_of_its_potentials():
    a, b, C, rng = instance(6, 8, 2)
    eps = 0.1
    for side in ("rows", "columns"):
        arguments = {side: [rng.standard_normal(6 if side == "rows" else 8)]}
        bound = entropic_dual_bound(DenseCost(C), a, b, eps, **arguments)
        direct = a @ bound.f + b @ bound.g - eps * np.exp((bound.f[:, None] + bound.g - C) / eps).sum()
        assert bound.value == pytest.approx(direct, rel=1e-13)


def test_gap_closes_to_roundoff_at_the_solution():
    # a gap of 1e-12 must mean something: assignment on a line, solved exactly by sorting
    rng = np.random.default_rng(0)
    x, y = np.sort(rng.random(200)), np.sort(rng.random(200)) + 0.3
    weights = np.full(200, 1 / 200)
    problem = OptimalTransport(weights, weights, PointCloudCost(x, y))
    import ot

    _, log = ot.emd(weights, weights, problem.cost.dense(), log=True)
    plan = problem.plan(np.eye(200) / 200, potentials=(log["u"], log["v"]))
    assert plan.relative_gap <= 1e-13
    assert plan.cost == pytest.approx(np.mean((x - y) ** 2), rel=1e-14)
    assert problem.plan(csr_array(np.eye(200) / 200), (log["u"], log["v"])).relative_gap <= 1e-13


@pytest.mark.parametrize("size", [1e20, 1e66, 1e300])
def test_enormous_candidates_prove_no_nonsense(size):
    import ot

    a, b, C, rng = instance(6, 5, 4)
    optimum = ot.emd2(a, b, C)
    rows, columns = [size * rng.standard_normal(6)], [size * rng.standard_normal(5)]
    assert dual_bound(DenseCost(C), a, b, rows, columns).value <= optimum + 1e-12
    eps = 0.01
    bound = entropic_dual_bound(DenseCost(C), a, b, eps, rows, columns)
    direct = a @ bound.f + b @ bound.g - eps * np.exp((bound.f[:, None] + bound.g - C) / eps).sum()
    assert bound.value == pytest.approx(direct, rel=1e-12)


@pytest.mark.delicate
@pytest.mark.parametrize("step_size", [1e9, 1e13, 1e20])
def test_certificates_hold_where_potentials_have_lost_their_digits(step_size):
    """The factors of the rounding drown in potentials of 1e15: plans above their marginals cost too little."""
    rng = np.random.default_rng(8)
    for _ in range(6):
        n, m = rng.integers(2, 8, 2)
        a, b, C = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m)), rng.random((n, m))
        balanced = OptimalTransport(a, b, C)
        partial = PartialOptimalTransport(a, b, C, 0.5)
        centre = WassersteinBarycenter([b, b[::-1]], [C, rng.random((n, m))], [0.3, 0.7])
        A = np.concatenate([np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))])
        moved = linprog(C.ravel(), A, np.r_[a, b], np.ones((1, n * m)), [0.5])
        optima = [
            optlab.solve(balanced, LinearProgram(), max_iter=1).metrics["cost"],
            moved.fun,
            centre.reference_solution()[1],
        ]
        for problem, optimum in zip((balanced, partial, centre), optima):
            result = optlab.solve(problem, BregmanDouglasRachford(step_size), tol=None, max_iter=60, record=4)
            assert np.all(result.history["cost"] >= optimum - 1e-9)
            assert np.all(result.history["dual_objective"] <= optimum + 1e-9)
            if problem is balanced:
                plan = result.solution.dense()
                np.testing.assert_allclose(plan.sum(axis=1), a, rtol=0, atol=2e-9)
                np.testing.assert_allclose(plan.sum(axis=0), b, rtol=0, atol=2e-9)
