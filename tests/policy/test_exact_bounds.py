"""Bounds and statuses against rational arithmetic, and what a fixed point is called."""

from collections import Counter

import exact_mdps
import numpy as np
import pytest

import optlab
from optlab.core import Status
from optlab.policy import (
    DAPO,
    MDP,
    TRPO,
    DiscountGrowth,
    HewerPolicyIteration,
    ModifiedPolicyIteration,
    MonteCarlo,
    NaturalPolicyGradient,
    PolicyIteration,
    PolicyMirrorDescent,
    SoftPolicyIteration,
    ValueIteration,
    frozen_lake,
    garnet,
    lqr,
)


def total(seeds):
    counts, wrong = Counter(), []
    for seed in seeds:
        found, failed = exact_mdps.check(seed)
        counts += found
        wrong += failed
    return counts, wrong


def test_bounds_hold_in_rational_arithmetic():
    counts, wrong = total(range(15))
    assert not wrong, "\n".join(wrong)
    # each kind of bound was there to be broken
    for name in ("PI: value_error", "PI: advantage_gap", "PI: gap", "MPI: value_error", "VI: value_error"):
        assert counts[name] >= 25, name
    assert counts["PMD, growing: advantage_gap"] >= 50
    assert counts["PI: CONVERGED"] >= 25


@pytest.mark.slow
def test_bounds_hold_in_rational_arithmetic_on_twenty_thousand():
    _, wrong = total(range(20_000))
    assert not wrong, "\n".join(wrong[:20])


@pytest.mark.parametrize("seed", [262, 459])
def test_the_optimum_is_one_where_ties_are_told_apart_by_rounding_only(seed):
    # discount 0.999999: an action kept because it is worse by 1e-12 costs a million times that
    assert not exact_mdps.check(seed)[1]


def test_policy_iteration_claims_no_error_of_zero_by_luck():
    P = [
        [[0.411, 0.021, 0.568], [0.505, 0.02, 0.475]],
        [[0.271, 0.384, 0.345], [0.18, 0.452, 0.368]],
        [[0.021, 0.758, 0.221], [0.713, 0.096, 0.191]],
    ]
    mdp = MDP(P, cost=[[-0.3, 1.2], [1.1, 0.9], [-0.6, -0.1]], discount=0.5)
    run = optlab.solve(mdp, PolicyIteration(), tol={"value_error": 1e-10}, record="all")
    assert run.status is Status.CONVERGED
    assert run.solution.greedy().tolist() == [0, 1, 1]
    assert np.abs(run.state.values - mdp.optimal.values).max() <= run.metrics["value_error"] <= 1e-10
    assert (run.history["value_error"] > 0).all()


SETTLING = [
    PolicyIteration(),
    PolicyIteration(tol=1e-6, forcing=0.25),
    ModifiedPolicyIteration(),
    ValueIteration(),
    PolicyMirrorDescent(step_size=DiscountGrowth()),
    TRPO(),
    DAPO(step_size=DiscountGrowth()),
    NaturalPolicyGradient(step_size=DiscountGrowth()),
]


@pytest.mark.parametrize("method", SETTLING, ids=repr)
@pytest.mark.parametrize("mdp", [garnet(20), frozen_lake("4x4", discount=0.9)], ids=["garnet", "lake"])
def test_a_bare_call_ends_where_nothing_changes_any_more(method, mdp):
    run = optlab.solve(mdp, method, seed=0)
    assert run.status is Status.CONVERGED, run.message
    assert "is certified" in run.message
    name = "value_error" if "value_error" in run.metrics else "advantage_gap"
    assert f"{name} = {run.metrics[name]:.3g}" in run.message
    assert mdp.unit * np.abs(run.state.values - mdp.optimal.values).max() <= run.metrics[name]
    assert run.metrics["gap"] <= 1e-6 if "tol=1e-06" in repr(method) else run.metrics["gap"] <= 1e-11
    # going on changes nothing
    again = optlab.solve(mdp, method, x0=run, max_iter=3, seed=0)
    assert again.status is Status.CONVERGED
    np.testing.assert_allclose(again.solution.probabilities(), run.solution.probabilities(), atol=1e-11)


@pytest.mark.parametrize("method", SETTLING[:2], ids=repr)
def test_a_missed_tolerance_is_not_converged(method):
    run = optlab.solve(garnet(20), method, tol={"value_error": 1e-15})
    assert run.status is Status.STALLED
    assert "value_error" in run.message
    assert "is above its tolerance 1e-15" in run.message


def test_neither_an_estimate_nor_a_far_fixed_point_is_a_fixed_point():
    mdp = garnet(10, 2, 2)
    sampled = PolicyMirrorDescent(step_size=1e12, critic=MonteCarlo(rollouts=2))
    assert optlab.solve(mdp, sampled, max_iter=30, seed=0).status is Status.MAX_ITER
    # a policy that is (1, 0) to the last bit, and moves all the same
    wrong_way = np.where(mdp.optimal.probabilities > 0, np.exp(-600.0), 1.0)
    run = optlab.solve(mdp, PolicyMirrorDescent(), x0=wrong_way, max_iter=20)
    assert run.status is Status.MAX_ITER
    assert run.metrics["gap"] > 1e-3


def test_regularised_and_regulator_fixed_points():
    run = optlab.solve(garnet(20), SoftPolicyIteration(temperature=0.01))
    assert run.status is Status.CONVERGED
    assert "soft_action_gap" in run.message
    assert run.metrics["soft_action_gap"] < 1e-12 < run.metrics["gap"]
    for seed in range(5):
        run = optlab.solve(lqr(seed=seed), HewerPolicyIteration())
        assert run.status is Status.CONVERGED
        assert run.n_iter < 12
        assert run.metrics["gain_error"] < 1e-13


# ------------------------------------------------------------------------------------------------ units


def test_everything_measured_is_in_the_units_of_the_reward():
    rng = np.random.default_rng(0)
    P, reward = rng.dirichlet(np.ones(6), size=(6, 3)), 1e6 * rng.random((6, 3))
    mdp = MDP(P, reward=reward, discount=0.9)
    costs = MDP(P, cost=-reward, discount=0.9)
    for method, tol in (
        (PolicyMirrorDescent(), 1e-3),
        (ModifiedPolicyIteration(), {"value_error": 1e-3}),
        (ValueIteration(), {"value_error": 1e-3}),
        (PolicyIteration(), {"advantage_gap": 1e-3}),
    ):
        run = optlab.solve(mdp, method, tol=tol, max_iter=5000)
        assert run.status is Status.CONVERGED, run.message
        exact = costs.evaluate(run.solution).values
        assert mdp.start @ (exact - costs.optimal.values) <= 1e-3
        assert run.metrics["value"] == pytest.approx(-(costs.start @ exact), rel=1e-12)
    table = rng.dirichlet(np.ones(3), size=6)
    ours, theirs = mdp.measure(table), costs.measure(table)
    assert ours["value"] == pytest.approx(-theirs["value"], rel=1e-12)
    assert ours["gap"] == pytest.approx(theirs["gap"], rel=1e-9)
    assert ours["advantage_gap"] == pytest.approx(theirs["advantage_gap"], rel=1e-9)
    # the bounds beside them too
    method = PolicyMirrorDescent(diagnostics=True)
    history = optlab.solve(mdp, method, max_iter=20, record="all").history
    assert (history["gap"] <= history["bound_sublinear"]).all()
    assert history["bound_sublinear"][-1] > 1e5
    history = optlab.solve(mdp, DAPO(diagnostics=True), max_iter=10, record="all").history
    assert (history["gap"] <= history["gap_bound"] * (1 + 1e-9) + 1e-6).all()
    assert (history["sup_gap"] >= history["gap"] - 1e-6).all()
    assert history["sup_gap"][0] > 1e4
    soft = optlab.solve(mdp, SoftPolicyIteration(step_size=1.0), max_iter=3, record="all").history
    assert (soft["soft_action_gap"] <= soft["bound_soft"]).all()
    assert soft["soft_gap"][0] > 1e4


def test_the_cost_form_of_a_reward_problem_and_what_it_says():
    mdp = frozen_lake("4x4", discount=0.9)
    assert "reward (maximised)" in repr(mdp)
    costs = mdp.in_cost_form()
    assert "reward" not in repr(costs)
    ours, theirs = mdp.measure(np.full((16, 4), 0.25)), costs.measure(np.full((16, 4), 0.25))
    assert ours["gap"] == pytest.approx(mdp.unit * theirs["gap"])
    assert ours["value"] == pytest.approx(mdp.to_reward_value(theirs["value"]))
    np.testing.assert_array_equal(costs.to_reward_value(theirs["value"]), mdp.to_reward_value(theirs["value"]))
    run = optlab.solve(mdp, PolicyMirrorDescent(), max_iter=2)
    assert "value is the expected discounted reward, which is maximised" in run.message
    assert "reward" not in optlab.solve(costs, PolicyMirrorDescent(), max_iter=2).message
