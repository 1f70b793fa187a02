"""Sampling: state laws, Monte-Carlo returns, temporal-difference critics; environments without a table."""

import numpy as np
import pytest

import optlab
from optlab.policy import DAPO, LSTDQ, MLP, TD, Exact, LinearFeatures, MonteCarlo, Tabular, garnet
from optlab.policy.critics.rollouts import geometric_states, monte_carlo, simulator
from optlab.policy.mdp.policies import TabularPolicy

MDP = garnet(12, 3, 3, discount=0.8, seed=0)
POLICY = TabularPolicy.from_probabilities(np.random.default_rng(1).dirichlet(np.ones(3), 12))
STATES = np.arange(12)


def test_transitions_follow_the_table():
    rng = np.random.default_rng(0)
    following, costs, ended = simulator(MDP).draw(np.full(20_000, 4), np.full(20_000, 2), rng)
    law = MDP.transitions[4 * 3 + 2].toarray()[0]
    assert set(following) == set(np.flatnonzero(law))
    np.testing.assert_allclose(np.bincount(following, minlength=12) / 20_000, law, atol=0.015)
    assert np.all(costs == MDP.cost[4, 2])
    assert not ended.any()


def test_geometric_stopping_samples_the_visitation_law():
    states, steps = geometric_states(MDP, POLICY, 40_000, np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(states, minlength=12) / 40_000, MDP.visitation(POLICY), atol=0.01)
    assert steps / 40_000 == pytest.approx(0.8 / 0.2, rel=0.05)


def test_monte_carlo_is_unbiased_up_to_the_horizon():
    Q = MDP.evaluate(POLICY).action_values
    estimate, steps = monte_carlo(MDP, POLICY, STATES, 2000, 40, np.random.default_rng(0))
    np.testing.assert_allclose(estimate, Q, atol=0.1)
    assert steps == 12 * 3 * 2000 * 40
    short, _ = monte_carlo(MDP, POLICY, STATES, 1, 1, np.random.default_rng(0))
    np.testing.assert_array_equal(short, MDP.cost)


def test_monte_carlo_stays_within_its_error_bound():
    """With M >= discount^(-2H) log(2 |S||A| / p) / 2 the error exceeds 2 discount^H / (1 - discount) with law p."""
    H, p = 4, 0.1
    rollouts = MonteCarlo.rollouts_needed(H, 0.8, 36, p)
    critic, Q = MonteCarlo(rollouts=rollouts, horizon=H), MDP.evaluate(POLICY).action_values
    bound = 2 * 0.8**H / 0.2
    failures = [
        np.abs(critic.estimate(MDP, POLICY, STATES, np.random.default_rng(seed), np.empty(0)).action_values - Q).max()
        > bound
        for seed in range(20)
    ]
    assert sum(failures) <= 4


def test_least_squares_temporal_differences_in_a_table():
    critic = LSTDQ(trajectories=50, length=2000, exploration=0.5, ridge=1e-9)
    estimate = critic.estimate(MDP, POLICY, STATES, np.random.default_rng(0), np.empty(0))
    np.testing.assert_allclose(estimate.action_values, MDP.evaluate(POLICY).action_values, atol=0.1)
    assert estimate.environment_steps == 100_000


def test_temporal_differences_converge_from_call_to_call():
    critic, memory, rng = TD(trajectories=10, length=500, exploration=0.5, step_size=0.05), np.empty(0), None
    Q, errors = MDP.evaluate(POLICY).action_values, []
    rng = np.random.default_rng(0)
    for _ in range(8):
        estimate = critic.estimate(MDP, POLICY, STATES, rng, memory)
        memory = estimate.memory
        errors.append(np.abs(estimate.action_values - Q).max())
    assert errors[-1] < 0.3
    assert errors[-1] < 0.2 * errors[0]


def test_a_critic_that_cannot_tell_states_apart_misleads_the_actor():
    problem = garnet(30, 3, 4, discount=0.9, seed=2)
    phi = LinearFeatures.gaussian(30, 3, 25, seed=3)
    gaps = {}
    for name, features in (("table", None), ("actor's features", phi)):
        critic = LSTDQ(features, trajectories=40, length=100, exploration=0.3)
        method = DAPO(policy=phi, step_size=2.0, critic=critic, sampled_states=100)
        gaps[name] = optlab.solve(problem, method, max_iter=10, record=[10], seed=0).metrics["gap"]
    exact = optlab.solve(problem, DAPO(policy=phi, step_size=2.0), max_iter=15, record=[15], seed=0).metrics["gap"]
    assert gaps["table"] < exact + 0.4
    assert gaps["actor's features"] > 2 * gaps["table"]


class Line:
    """A walk on [-1, 1] that ends at the right edge; every step costs 1. No table of states."""

    primary_metric = "distance"
    n_actions = 2
    discount = 0.9

    def default_start(self, rng):
        return None

    def reset(self, n, rng):
        return rng.uniform(-1, 0.5, (n, 1))

    def draw(self, states, actions, rng):
        following = np.clip(states + np.where(actions == 1, 0.2, -0.2)[:, None], -1, 1)
        return following, np.ones(len(states)), following[:, 0] >= 1

    def measure(self, policy):
        states = np.linspace(-1, 0.9, 20)[:, None]
        return {"distance": float(1 - policy.probabilities(states)[:, 1].mean())}


@pytest.mark.parametrize("critic", [MonteCarlo(rollouts=1, horizon=15)])
def test_environments_without_a_table(critic):
    method = DAPO(policy=MLP(1, 2, hidden=(8,)), step_size=2.0, critic=critic, sampled_states=60)
    result = optlab.solve(Line(), method, max_iter=15, seed=0)
    assert result.history["distance"][0] == pytest.approx(0.5)
    assert result.metrics["distance"] < 0.15


def test_refusals():
    network = MLP(1, 2)
    with pytest.raises(optlab.IncompatibleError, match="sampled_states and a sampling critic"):
        optlab.solve(Line(), DAPO(policy=network, sampled_states=5), max_iter=1)
    with pytest.raises(TypeError, match="features must be a linear FunctionClass"):
        LSTDQ(features=network)
    with pytest.raises(ValueError, match="step_size"):
        TD(step_size=2.0)
    with pytest.raises(ValueError, match="rollouts"):
        MonteCarlo(rollouts=0)
    assert Exact() == Exact()
    assert LSTDQ(Tabular(2, 2)) == LSTDQ(Tabular(2, 2))
