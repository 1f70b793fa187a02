"""Transport methods: default steps, acceleration, baselines against each other and against exact solvers."""

from __future__ import annotations

import numpy as np
import pytest

import optlab
from optlab.datasets import divergence_counterexample, marginal, transport_family
from optlab.splitting import BregmanADMM, BregmanDouglasRachford
from optlab.transport import (
    IPOT,
    AnnealedSinkhorn,
    EntropicStepSize,
    EuclideanDouglasRachford,
    LinearProgram,
    NetworkSimplex,
    OptimalTransport,
    PeerSinkhorn,
    PointCloudCost,
    Sinkhorn,
    WangBanerjeeADMM,
)


def random_problem(seed, largest=500):
    """One of the problems on which the default step size must work."""
    rng = np.random.default_rng(10_000 + seed)
    n, m = np.exp(rng.uniform(np.log(50), np.log(largest), 2)).astype(int)
    kinds = ("uniform", "random", "uneven")
    a = marginal(kinds[(seed // 3) % 3], n, 2 * seed)
    b = marginal(kinds[(seed // 9 + seed // 3) % 3], m, 2 * seed + 1)
    if seed % 3 == 2:
        return a, b, rng.random((n, m))
    dimension = rng.integers(1, 6)
    x = rng.standard_normal((n, dimension))
    y = rng.standard_normal((m, dimension)) * rng.uniform(0.5, 1.5) + rng.uniform(0.0, 1.5)
    cost = ((x[:, None] - y) ** 2).sum(-1)
    return a, b, cost if seed % 3 == 0 else np.sqrt(cost)


def check_default_step(seed, largest):
    a, b, C = random_problem(seed, largest)
    problem = OptimalTransport(a, b, C)
    result = optlab.solve(problem, BregmanDouglasRachford(), max_iter=1000, record=1000)
    exact = optlab.solve(problem, NetworkSimplex(), max_iter=1, record=1).metrics["cost"]
    assert result.metrics["relative_gap"] <= 5e-3
    assert result.metrics["cost"] >= exact - 1e-12 * C.max()
    assert result.metrics["dual_objective"] <= exact + 1e-12 * C.max()
    raw = result.solution.raw.cost
    assert raw >= exact - result.metrics["marginal_error"] * np.ptp(C) - 1e-12 * C.max()


@pytest.mark.parametrize("seed", [0, 4, 8])
def test_default_step_reaches_a_small_gap(seed):
    check_default_step(seed, largest=120)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_default_step_reaches_a_small_gap_on_twenty_problems(seed):
    check_default_step(seed, largest=500)


@pytest.mark.parametrize("regularization", [0.0, 0.01])
@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_units_of_the_cost_change_no_iteration_count(factor, regularization):
    a, b, C = transport_family("l2", 40, 30, seed=3)
    counts = []
    for unit in (1.0, factor):
        problem = OptimalTransport(a, b, unit * C, regularization=regularization * unit)
        result = optlab.solve(problem, BregmanDouglasRachford(), tol=5e-3 if not regularization else 1e-8, record=1)
        assert result.success
        counts.append(result.n_iter)
    assert counts[0] == counts[1] > 20


def test_the_default_schedule_ends_below_the_known_danger():
    C = np.zeros((40, 40))
    C[0, 0] = 1.0
    uniform = np.full(40, 1 / 40)
    for cost in (C, C + 1.0, 0.0 * C, np.random.default_rng(0).random((40, 40))):
        problem = OptimalTransport(uniform, uniform, cost)
        schedule = problem.default_schedule
        assert 0.0 < schedule(0) <= schedule(10**6)
        assert schedule(10**6) * problem.cost_range < 60


def test_a_step_size_that_is_too_large_is_reported_when_it_fails():
    problem = OptimalTransport(*divergence_counterexample())
    bad = optlab.solve(problem, BregmanDouglasRachford(100.0), max_iter=3000, tol=1e-6)
    assert not bad.success
    assert "step size 100 is above 60 / range" in bad.message
    for step_size in (None, 50.0):
        good = optlab.solve(problem, BregmanDouglasRachford(step_size), max_iter=20_000, tol=1e-6)
        assert good.success
        assert "60 / range" not in good.message
    # a run that is merely short is not accused
    short = optlab.solve(problem, BregmanDouglasRachford(20.0), max_iter=3, tol=1e-6)
    assert "60 / range" not in short.message


def iterations_to(problem, method, potential, accuracy=1e-9, limit=8000):
    """Iterations until the row potentials are within `accuracy` (in units of the cost) up to a constant."""
    eps = problem.regularization
    for state in optlab.iterate(problem, method):
        row = state.x.row if hasattr(state, "x") else state.mirror.row
        error = eps * (row - potential)
        if state.k and np.max(np.abs(error - error.mean())) < accuracy:
            return state.k
        if state.k >= limit:
            break
    return None


def entropic(name, eps, n=100):
    problem = OptimalTransport(*transport_family(name, n), regularization=eps)
    fixed = optlab.solve(problem, BregmanDouglasRachford(), max_iter=4000, tol=1e-13, record=200)
    return problem, fixed.state.x.row


def test_the_adaptive_entropic_step_beats_sinkhorn_five_times():
    problem, potential = entropic("rand", 1e-3)
    fast = iterations_to(problem, BregmanDouglasRachford(), potential)
    plain = iterations_to(problem, Sinkhorn(), potential)
    assert fast < plain / 5
    relaxed = iterations_to(problem, Sinkhorn(overrelaxation="adaptive"), potential)
    assert relaxed < plain / 5


def test_the_adaptive_entropic_step_finds_the_best_one():
    problem, _ = entropic("grid1d", 2e-3, 60)
    result = optlab.solve(problem, BregmanDouglasRachford(), max_iter=200, record=200)
    sigma = result.solution.second_singular_value(tol=1e-10, max_iter=5000)
    best = 2 * sigma * np.sqrt(1 - sigma**2)
    assert result.state.step_size * problem.regularization == pytest.approx(best, rel=1e-2)
    # given outright, it is as fast
    ours = optlab.solve(problem, BregmanDouglasRachford(), tol={"marginal_error": 1e-10}, record=1)
    told = optlab.solve(problem, BregmanDouglasRachford(best / 2e-3), tol={"marginal_error": 1e-10}, record=1)
    assert ours.n_iter < 2.2 * told.n_iter


def test_the_adaptive_entropic_step_survives_hard_starts():
    # few points, strong cooling, uneven weights: far from the solution the estimates are wild
    for seed in range(12):
        rng = np.random.default_rng(seed)
        n, m = (int(k) for k in rng.integers(2, 16, 2))
        a, b = marginal("uneven", n, seed), marginal("uneven", m, seed + 1)
        C = rng.standard_normal((n, m)) ** 3
        problem = OptimalTransport(a, b, C, regularization=3e-3 * np.ptp(C))
        result = optlab.solve(
            problem, BregmanDouglasRachford(), tol={"marginal_error": 1e-8}, max_iter=10_000, record=50
        )
        assert result.success, seed


def test_the_adaptive_entropic_step_needs_a_regularization():
    problem = OptimalTransport(*transport_family("rand", 5))
    with pytest.raises(TypeError, match="regularization > 0"):
        optlab.solve(problem, BregmanDouglasRachford(EntropicStepSize()))
    with pytest.raises(TypeError, match="the adaptive EntropicStepSize"):
        optlab.solve(problem, BregmanADMM(EntropicStepSize()))


def test_columns_first_adapts_too():
    a, b, C = transport_family("l2", 40, 30)
    counts = []
    for first in ("rows", "columns"):
        problem = OptimalTransport(a, b, C, regularization=4e-3, first=first)
        counts.append(optlab.solve(problem, BregmanDouglasRachford(), tol=1e-10, max_iter=3000, record=1).n_iter)
    plain = optlab.solve(problem, Sinkhorn(), tol=1e-10, max_iter=3000, record=10).n_iter
    assert max(counts) < plain / 2


def test_safe_overrelaxation_never_lowers_the_dual_objective():
    for name in ("rand", "gauss2d", "l2"):
        problem = OptimalTransport(*transport_family(name, 30), regularization=2e-3)
        result = optlab.solve(problem, Sinkhorn(overrelaxation="adaptive"), max_iter=400, record=1)
        eps, kappa = problem.regularization, 1 / problem.regularization
        values = []
        for _, state in zip(range(200), optlab.iterate(problem, Sinkhorn(overrelaxation="adaptive"))):
            F, G = state.mirror.row, state.mirror.column
            mass = np.exp(F[:, None] + G - kappa * problem.cost.dense()).sum()
            values.append(eps * (problem.a @ F + problem.b @ G - mass))
        assert np.min(np.diff(values)) > -1e-13
        assert max(result.history["overrelaxation"]) > 1.3


def test_fixed_overrelaxation_can_fail_where_the_adaptive_one_does_not():
    with pytest.raises(ValueError, match="overrelaxation must be below 2"):
        Sinkhorn(overrelaxation=2.0)
    with pytest.raises(ValueError, match='number or "adaptive"'):
        Sinkhorn(overrelaxation="auto")
    problem = OptimalTransport(*transport_family("rand", 50), regularization=1e-3)
    fixed = optlab.solve(problem, Sinkhorn(overrelaxation=1.97), max_iter=1500, tol=1e-6)
    adaptive = optlab.solve(problem, Sinkhorn(overrelaxation="adaptive"), max_iter=1500, tol=1e-6)
    assert adaptive.success
    assert not fixed.success


def test_linear_annealing_needs_the_extrapolation():
    problem = OptimalTransport(*transport_family("rand", 50))
    cooled = optlab.solve(problem, AnnealedSinkhorn(power=1.0, step_size=10.0), max_iter=1500)
    splitting = optlab.solve(problem, BregmanDouglasRachford(10.0), max_iter=1500)
    assert cooled.metrics["relative_gap"] > 5e-2
    assert splitting.metrics["relative_gap"] < 1e-2


@pytest.mark.parametrize("name", ["rand", "grid1d", "gauss2d"])
def test_solvers_agree_and_are_certified(name):
    a, b, C = transport_family(name, 25, 20, seed=1)
    C = 50.0 * C + 10.0
    problem = OptimalTransport(3.0 * a, 3.0 * b, C)
    exact = optlab.solve(problem, NetworkSimplex(), max_iter=1, tol=1e-8)
    lp = optlab.solve(problem, LinearProgram(), max_iter=1, tol=1e-6)
    assert exact.success
    assert lp.success
    assert lp.metrics["cost"] == pytest.approx(exact.metrics["cost"], rel=1e-8)
    assert exact.metrics["marginal_error"] < 1e-12
    for method, tol in ((EuclideanDouglasRachford(), 1e-3), (WangBanerjeeADMM(), 1e-2), (IPOT(None, 3), 1e-2)):
        other = optlab.solve(problem, method, max_iter=3000, record=3000).metrics["cost"]
        assert exact.metrics["cost"] * (1 - 1e-12) <= other <= exact.metrics["cost"] * (1 + tol), method


def test_zero_weights_in_every_method():
    a, b, C = transport_family("l2", 12, 10)
    a, b = a.copy(), b.copy()
    a[[0, 5]] = 0.0
    b[9] = 0.0
    a, b = a / a.sum(), b / b.sum()
    problem = OptimalTransport(a, b, C)
    exact = optlab.solve(problem, LinearProgram(), max_iter=1).metrics["cost"]
    for method in (
        NetworkSimplex(), EuclideanDouglasRachford(), WangBanerjeeADMM(), IPOT(), BregmanDouglasRachford(),
        AnnealedSinkhorn(), Sinkhorn(), PeerSinkhorn(),
    ):  # fmt: skip
        result = optlab.solve(problem, method, max_iter=600, record=600)
        plan = result.solution.dense()
        assert not np.any(plan[[0, 5]])
        assert not np.any(plan[:, 9])
        np.testing.assert_allclose(plan.sum(1), a, atol=1e-12)
        assert exact - 1e-12 <= result.metrics["cost"] <= 1.1 * exact


@pytest.mark.parametrize("method", [IPOT(), EuclideanDouglasRachford(), NetworkSimplex(), WangBanerjeeADMM()])
def test_methods_for_the_linear_problem_refuse_a_regularization(method):
    problem = OptimalTransport(*transport_family("rand", 5), regularization=0.1)
    with pytest.raises(TypeError, match="needs a problem with regularization=0"):
        optlab.solve(problem, method)
    assert method.accepts(object()) == "needs an OptimalTransport problem, got object"


@pytest.mark.parametrize("step_size", [1e-12, 1e12])
def test_no_nan_at_any_step_size(step_size):
    problem = OptimalTransport(*transport_family("gauss2d", 12, 9))
    eps = 1.0 / step_size
    for method in (IPOT(step_size), EuclideanDouglasRachford(step_size), AnnealedSinkhorn(1.0, step_size),
                   Sinkhorn(eps), Sinkhorn(eps, "adaptive"), WangBanerjeeADMM(eps)):  # fmt: skip
        result = optlab.solve(problem, method, max_iter=25, record=5)
        for name in result.history.columns:
            assert np.all(np.isfinite(result.history[name])), (method, name)


def test_point_clouds_and_dense_costs_agree():
    rng = np.random.default_rng(4)
    cloud = PointCloudCost(rng.random((20, 2)), rng.random((15, 2)))
    a, b = rng.dirichlet(np.ones(20)), rng.dirichlet(np.ones(15))
    for method in (EuclideanDouglasRachford(), Sinkhorn(), NetworkSimplex(), IPOT()):
        one, other = (
            optlab.solve(OptimalTransport(a, b, cost), method, max_iter=50, record=50).metrics["cost"]
            for cost in (cloud, cloud.dense())
        )
        assert one == pytest.approx(other, rel=1e-9)
