"""Policy mirror descent on tables: bounds, equivalences, steps of every size, and the contract of a method."""

import copy
from itertools import pairwise

import numpy as np
import pytest

import optlab
from optlab.bregman import mirror_map
from optlab.policy import (
    MDP,
    AdaptiveStepSize,
    DiscountGrowth,
    PolicyMirrorDescent,
    TabularPolicy,
    frozen_lake,
    garnet,
)
from optlab.policy.tabular import certificates as bounds
from optlab.policy.tabular import mirror_descent as module
from optlab.splitting import Geometric

MAPS = ["kl", "euclidean", "tsallis:0.5", "tsallis:1.5", "hyperbolic:0.1"]
GARNET = garnet(20, 4, 4, discount=0.9, seed=1)
LAKE = frozen_lake("4x4", discount=0.9).in_cost_form()


def run(method, mdp=GARNET, max_iter=25, record="all", **options):
    return optlab.solve(mdp, method, max_iter=max_iter, record=record, **options)


@pytest.mark.parametrize("problem", [GARNET, LAKE], ids=["garnet", "lake"])
@pytest.mark.parametrize("name", MAPS)
def test_bounds_hold_and_values_fall_everywhere(name, problem):
    for step_size, bound in ((1.0, "bound_sublinear"), (DiscountGrowth(), "bound_linear")):
        history = run(PolicyMirrorDescent(name, step_size, diagnostics=True), problem).history
        trivial = np.ptp(problem.cost) / (1 - problem.discount)
        assert history[bound][-1] < trivial
        assert np.all(history["gap"] <= history[bound] * (1 + 1e-12))
        other = {"bound_sublinear", "bound_linear"} - {bound}
        assert all(np.all(history[key][2:] == trivial) for key in other)  # the wrong steps for that theorem
    previous = None
    sup_gaps = []
    for state in _states(problem, PolicyMirrorDescent(name, AdaptiveStepSize()), 25):
        values = problem.evaluate(state.policy).values
        if previous is not None:
            assert np.all(values <= previous + 1e-12)
        previous = values
        sup_gaps.append(np.abs(values - problem.optimal.values).max())
    gamma = problem.discount
    c = gamma ** (2 * np.arange(25) + 1)
    assert np.all(np.array(sup_gaps) <= bounds.gamma_rate_bound(sup_gaps[0], c, gamma) * (1 + 1e-12))
    k = np.arange(26)
    np.testing.assert_allclose(
        bounds.gamma_rate_bound(1.0, c, gamma), gamma**k * (1 + (1 - gamma**k) / (1 - gamma)), rtol=1e-12
    )


def _states(problem, method, n):
    for state in optlab.iterate(problem, method, seed=0):
        yield state
        if state.k == n:
            return


@pytest.mark.parametrize("name", MAPS)
def test_basic_recursion(name):
    phi, gamma = mirror_map(name), GARNET.discount
    law = bounds.optimal_visitation(GARNET)
    rows = []
    for state in _states(GARNET, PolicyMirrorDescent(name, 2.0), 12):
        gap = float(GARNET.start @ (GARNET.evaluate(state.policy).values - GARNET.optimal.values))
        theta = bounds.mismatch(law, GARNET.visitation(state.policy))
        rows.append((theta, gap, bounds.divergence_to_optimal(GARNET, state.policy, phi, law)))
    for (_, gap, divergence), (theta, next_gap, next_divergence) in pairwise(rows):
        left, right = bounds.basic_recursion(theta, gap, next_gap, divergence, next_divergence, 2.0, gamma)
        assert left <= right + 1e-12
    assert bounds.start_mismatch(GARNET) >= max(theta for theta, _, _ in rows)


def test_diagnostics_are_what_they_say():
    method = PolicyMirrorDescent("kl", Geometric(0.5, growth=1.2), diagnostics=True)
    history = run(method, max_iter=6).history
    law = bounds.optimal_visitation(GARNET)
    visited, sup_bound, before = [], 0.0, None
    for state in _states(GARNET, method, 6):
        k, visitation = state.k, GARNET.visitation(state.policy)
        visited.append(visitation)
        assert history["mismatch"][k] == pytest.approx(np.max(law / visitation))
        expected = law @ -state.policy.log_table[np.arange(20), GARNET.optimal.policy]
        assert history["divergence_to_optimal"][k] == pytest.approx(expected)
        if k:
            assert history["concentrability"][k] == pytest.approx(np.max(visited[k] / visited[k - 1]))
            greedy = GARNET.action_values(before.values).argmin(axis=1)
            slack = np.max(-before.policy.log_table[np.arange(20), greedy]) / (0.5 * 1.2 ** (k - 1))
            sup_bound = GARNET.discount * sup_bound + slack
        else:
            sup_bound = np.max(state.values - GARNET.optimal.values)
        assert history["bound_gamma"][k] == pytest.approx(min(sup_bound, np.ptp(GARNET.cost) / (1 - 0.9)))
        before = state
    assert history["policy_evaluations"].tolist() == [1 + 2 * k for k in range(7)]


def test_diagnostics_need_a_start_law_that_covers_the_optimal_policy():
    start = np.zeros(20)
    start[0] = 1
    problem = MDP(GARNET.transitions, GARNET.cost, discount=0.9, start=start)
    with pytest.raises(ValueError, match="must give every state positive probability"):
        run(PolicyMirrorDescent(diagnostics=True), problem)


def test_kl_step_is_natural_policy_gradient_and_a_huge_euclidean_step_policy_iteration():
    rng = np.random.default_rng(3)
    start = rng.dirichlet(np.ones(4), 20)
    Q = GARNET.evaluate(start).action_values
    kl = run(PolicyMirrorDescent("kl", 2.5), x0=start, max_iter=1).solution.probabilities()
    expected = start * np.exp(-2.5 * Q)
    np.testing.assert_allclose(kl, expected / expected.sum(axis=1, keepdims=True), rtol=1e-12)
    for name in MAPS:
        greedy = run(PolicyMirrorDescent(name, 1e12), x0=start, max_iter=1).solution
        np.testing.assert_array_equal(greedy.greedy(), Q.argmin(axis=1))
        assert greedy.probabilities().max(axis=1).min() > 1 - 1e-9


@pytest.mark.parametrize("name", MAPS)
def test_lazy_and_mirror_forms_agree_for_steep_maps(name):
    # costs of both signs of change: an action clipped early becomes attractive later
    mirror = run(PolicyMirrorDescent(name, 3.0), max_iter=30).solution.probabilities()
    lazy = run(PolicyMirrorDescent(name, 3.0, form="lazy"), max_iter=30).solution
    assert lazy.mirror is not None
    np.testing.assert_allclose(mirror_map(name).project(lazy.mirror), lazy.probabilities(), atol=1e-13)
    if mirror_map(name).steep:
        np.testing.assert_allclose(lazy.probabilities(), mirror, atol=1e-10)


@pytest.mark.parametrize(
    ("name", "form", "n"),
    [
        ("kl", "mirror", 1000),
        ("kl", "lazy", 150),
        ("euclidean", "mirror", 1000),
        ("euclidean", "lazy", 150),
        ("tsallis:0.5", "mirror", 150),
        ("tsallis:0.5", "lazy", 150),
        ("tsallis:0.1", "mirror", 150),
        ("tsallis:1.5", "mirror", 150),
        ("hyperbolic", "lazy", 150),
    ],
)
def test_geometric_steps_and_steps_of_1e12_stay_finite(name, form, n):
    small = garnet(6, 3, 3, discount=0.9, seed=2)
    geometric = Geometric(1.0, growth=1 / 0.9 if n == 1000 else 5.0, maximum=1e100)
    for step_size, steps in ((geometric, n), (1e12, 60), (1e-12, 20)):
        *_, state = _states(small, PolicyMirrorDescent(name, step_size, form=form), steps)
        log_table = state.policy.log_table
        assert not np.isnan(log_table).any()
        np.testing.assert_allclose(np.exp(log_table).sum(axis=1), 1, atol=1e-12)
        gap = small.measure(state.policy)["gap"]
        if step_size is geometric:
            assert gap < 1e-13
            if mirror_map(name).steep:
                assert np.isfinite(log_table).all()
                assert log_table.min() < (-1e6 if name == "kl" else -100)  # far beyond what a probability can hold
                assert np.isfinite(mirror_map(name).divergence_from_log(np.log([1 / 3] * 3), log_table)).all()
        elif step_size == 1e-12:
            uniform = small.measure(small.default_start(None))["gap"]
            assert gap == pytest.approx(uniform, rel=1e-8)


def test_the_fused_pass_takes_the_same_steps(monkeypatch):
    large = garnet(300, 4, 5, discount=0.95, seed=3)
    for name in ("kl", "euclidean"):
        for step_size in (3.0, DiscountGrowth(0.5), 1e12):
            method = PolicyMirrorDescent(name, step_size, forcing=0.0)
            monkeypatch.setattr(module, "_FUSED_FROM", 10**9)
            plain = run(method, large, max_iter=12).solution
            monkeypatch.setattr(module, "_FUSED_FROM", 0)
            fused = run(method, large, max_iter=12).solution
            np.testing.assert_allclose(
                fused.probabilities(), plain.probabilities(), atol=1e-6 if step_size == 1e12 else 1e-9
            )


@pytest.mark.delicate
@pytest.mark.parametrize("name", ["kl", "euclidean"])
def test_values_of_large_problems_are_as_accurate_as_their_advantages_ask_for(monkeypatch, name):
    monkeypatch.setattr(module, "_FUSED_FROM", 0)
    large = garnet(300, 4, 5, discount=0.95, seed=3)
    method = PolicyMirrorDescent(name, DiscountGrowth(0.5))
    first, *states = _states(large, method, 40)
    errors = []
    for state in states:
        exact = large.evaluate(state.policy.probabilities()).values
        allowed = method.forcing * np.max(first.values - large.backup(first.values)[0])
        errors.append(np.abs(state.values - exact).max() / max(allowed, 1e-12 * np.abs(exact).max()))
        assert large.evaluate(state.policy).values == pytest.approx(exact, rel=2e-12)  # measured: always accurately
        first = state
    assert max(errors) <= 1.0
    assert errors[0] > 1e-4  # it does save work
    # nothing is lost in the end
    assert run(method, large, max_iter=500, tol=1e-11).success
    with pytest.raises(ValueError, match="forcing must be a number at least 0 and at most"):
        PolicyMirrorDescent(forcing=0.5)


class _Noisy:
    """Exact action values plus uniform noise of the given size."""

    def __init__(self, size):
        self.size = size

    def estimate(self, problem, policy, states, rng, memory):
        from types import SimpleNamespace

        Q = problem.evaluate(policy).action_values[states]
        noisy = Q + self.size * rng.uniform(-1, 1, Q.shape)
        return SimpleNamespace(action_values=noisy, environment_steps=7, memory=np.array([memory.size + 1.0]))


def test_inexact_critic_stays_below_its_bound_and_counts_its_steps():
    theta = bounds.start_mismatch(GARNET)
    for size in (0.01, 0.3):
        method = PolicyMirrorDescent("kl", DiscountGrowth(1.0), critic=_Noisy(size))
        history = run(method, max_iter=60, seed=0).history
        limit = bounds.inexact_linear_bound(history["iteration"], theta, size, GARNET.discount)
        assert np.all(history["gap"] <= limit)
        assert history["environment_steps"][-1] == 7 * 60
        assert history["policy_evaluations"][-1] == 60
        again = run(method, max_iter=60, seed=0)
        assert again.history["gap"].tolist() == history["gap"].tolist()
        assert run(method, max_iter=60, seed=1).history["gap"].tolist() != history["gap"].tolist()
    assert history["gap"][-20:].max() > 1e-6  # the larger error does leave a floor


def test_runs_split_and_leave_states_alone():
    for method in (
        PolicyMirrorDescent("kl", DiscountGrowth(), diagnostics=True),
        PolicyMirrorDescent("euclidean", 2.0, form="lazy"),
        PolicyMirrorDescent("tsallis:0.5", 1.0, critic=_Noisy(0.1)),
    ):
        whole = run(method, max_iter=12, record="log", seed=5)
        first = run(method, max_iter=5, seed=5)
        frozen = copy.deepcopy(first.state)
        second = run(method, max_iter=7, x0=first)
        np.testing.assert_array_equal(second.solution.log_table, whole.solution.log_table)
        np.testing.assert_array_equal(first.state.policy.log_table, frozen.policy.log_table)
        assert second.metrics["gap"] == whole.metrics["gap"]


def test_continuing_a_lazy_run_from_its_solution_keeps_the_dual_point():
    method = PolicyMirrorDescent("euclidean", 2.0, form="lazy")
    half = run(method, max_iter=5).solution
    np.testing.assert_allclose(
        run(method, max_iter=5, x0=half).solution.probabilities(),
        run(method, max_iter=10).solution.probabilities(),
        atol=1e-14,
    )


class _Alternating:
    """Action values (0, 1) and (1, 0) in turn, whatever the policy."""

    def estimate(self, problem, policy, states, rng, memory):
        from types import SimpleNamespace

        Q = np.tile([[0.0, 1.0], [1.0, 0.0]][memory.size % 2], (states.size, 1))
        return SimpleNamespace(action_values=Q, environment_steps=0, memory=np.zeros(memory.size + 1))


@pytest.mark.delicate
@pytest.mark.parametrize("form", ["mirror", "lazy"])
def test_large_steps_that_cancel_leave_small_ones_their_digits(form):
    bandit = MDP(np.ones((1, 2, 1)), cost=[[0.0, 1.0]], discount=0.5)
    method = PolicyMirrorDescent("kl", lambda k: 1e16 if k < 2 else 0.1, form=form, critic=_Alternating())
    log_table = run(method, bandit, max_iter=3).solution.log_table
    assert log_table[0, 1] - log_table[0, 0] == pytest.approx(-0.1)


def test_one_evaluation_per_iteration_even_if_every_iterate_is_measured(monkeypatch):
    from optlab.policy.mdp import model as mdp_module

    problem = garnet(20, 4, 4, discount=0.9, seed=1)
    _ = problem.optimal
    calls = []
    solve = mdp_module.solve_values
    monkeypatch.setattr(mdp_module, "solve_values", lambda *a, **o: calls.append(1) or solve(*a, **o))
    result = run(PolicyMirrorDescent(), problem, max_iter=10)
    assert result.history["policy_evaluations"][-1] == len(calls) == 11


def test_finite_termination_of_projected_descent():
    iterations = []
    for eta in (1.0, 10.0):
        result = run(PolicyMirrorDescent("euclidean", eta), max_iter=1000, record=1, tol=1e-13)
        assert result.success
        assert np.all(np.isin(result.solution.probabilities(), [0.0, 1.0])) or result.metrics["gap"] < 1e-13
        iterations.append(result.n_iter)
    assert 5 <= iterations[0] / iterations[1] <= 20  # about proportional to 1 / eta


def test_start_that_is_a_policy_object_or_a_table():
    table = np.full((20, 4), 0.25)
    runs = [
        run(PolicyMirrorDescent(), x0=x0, max_iter=3).metrics["gap"]
        for x0 in (None, table, TabularPolicy.uniform(20, 4))
    ]
    assert runs[0] == runs[1] == runs[2]


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="form must be one of"):
        PolicyMirrorDescent(form="dual")
    with pytest.raises(ValueError, match="mirror_map must be one of"):
        PolicyMirrorDescent("entropy")
    with pytest.raises(ValueError, match="step_size must be a number above 0"):
        PolicyMirrorDescent(step_size=0.0)
    with pytest.raises(TypeError, match="diagnostics must be True or False"):
        PolicyMirrorDescent(diagnostics=1)
    with pytest.raises(TypeError, match="critic must be 'exact'"):
        PolicyMirrorDescent(critic=3)
    with pytest.raises(ValueError, match="critic must be one of 'exact'"):
        PolicyMirrorDescent(critic="monte carlo")
    with pytest.raises(ValueError, match="diagnostics are for critic='exact'"):
        PolicyMirrorDescent(critic=_Noisy(0.1), diagnostics=True)
