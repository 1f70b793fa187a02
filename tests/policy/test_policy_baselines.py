"""Policy gradients, TRPO, PPO and entropy-regularised policy mirror descent on tables."""

import numpy as np
import pytest

import optlab
from optlab.bregman import NegativeEntropyMap
from optlab.policy import (
    MDP,
    PPO,
    TRPO,
    PolicyMirrorDescent,
    ProjectedPolicyGradient,
    SoftmaxPolicyGradient,
    SoftPolicyIteration,
    TabularPolicy,
    garnet,
    soft_optimal,
)
from optlab.policy.tabular.regularized import soft_values

GARNET = garnet(12, 3, 3, discount=0.8, seed=4)
START = np.random.default_rng(5).dirichlet(np.full(3, 4.0), 12)


def value(table):
    return float(GARNET.start @ GARNET.evaluate(table).values)


def one_step(method, start=START, problem=GARNET):
    return optlab.solve(problem, method, x0=start, max_iter=1).solution


def test_projected_step_follows_the_gradient_of_the_value():
    eta, h = 1e-3, 1e-6
    moved = (one_step(ProjectedPolicyGradient(eta)).probabilities() - START) / -eta
    for s, a in ((0, 0), (3, 1), (11, 2)):
        direction = np.zeros_like(START)
        direction[s, a], direction[s, (a + 1) % 3] = 1, -1  # rows must keep their sums
        slope = (value(START + h * direction) - value(START - h * direction)) / (2 * h)
        assert moved[s, a] - moved[s, (a + 1) % 3] == pytest.approx(slope, rel=1e-6)


def test_softmax_step_follows_the_gradient_of_the_value():
    eta, h = 0.7, 1e-6
    moved = (one_step(SoftmaxPolicyGradient(eta)).log_probabilities() - np.log(START)) / -eta
    for s, a in ((0, 0), (3, 1), (11, 2)):
        slopes = []
        for b in (a, (a + 1) % 3):
            logits = np.zeros_like(START)
            logits[s, b] = h
            up, down = START * np.exp(logits), START * np.exp(-logits)
            up, down = up / up.sum(axis=1, keepdims=True), down / down.sum(axis=1, keepdims=True)
            slopes.append((value(up) - value(down)) / (2 * h))
        assert moved[s, a] - moved[s, (a + 1) % 3] == pytest.approx(slopes[0] - slopes[1], rel=1e-6)


@pytest.mark.parametrize("method", [ProjectedPolicyGradient(), SoftmaxPolicyGradient()], ids=lambda m: type(m).__name__)
def test_default_step_sizes_are_safe_and_slow(method):
    history = optlab.solve(GARNET, method, max_iter=30, record="all").history
    assert np.all(np.diff(history["value"]) < 0)
    assert history["gap"][-1] > 0.5 * history["gap"][0]


def test_trust_region_is_exhausted_until_policy_iteration_fits_into_it():
    kl = NegativeEntropyMap()
    policy = TabularPolicy.from_probabilities(START)
    for radius in (1e-4, 0.01, 0.1):
        new = one_step(TRPO(radius))
        law = GARNET.visitation(policy)
        moved = law @ kl.divergence_from_log(new.log_table, policy.log_table)
        assert radius * (1 - 1e-6) <= moved <= radius
        # a step of policy mirror descent: log-ratios are affine in Q with one slope for all states
        Q = GARNET.evaluate(policy).action_values
        ratio = np.diff(new.log_table - policy.log_table, axis=1) / np.diff(Q, axis=1)
        np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-6)
    greedy = one_step(TRPO(1e3))
    np.testing.assert_array_equal(greedy.greedy(), GARNET.evaluate(policy).action_values.argmin(axis=1))
    assert greedy.probabilities().max(axis=1).min() == 1.0
    result = optlab.solve(GARNET, TRPO(0.01), max_iter=60, tol=1e-12, record=1)
    assert result.success


def test_ppo_starts_along_the_policy_gradient_and_stops_at_the_clip():
    law = GARNET.visitation(START)
    step = one_step(PPO(epochs=1, learning_rate=1e-7)).log_probabilities() - np.log(START)
    gradient = one_step(SoftmaxPolicyGradient(1e-6)).log_probabilities() - np.log(START)
    gradient = gradient / law[:, None]
    scale = np.sum(step * gradient) / np.sum(gradient**2)
    np.testing.assert_allclose(step, scale * gradient, atol=1e-5 * np.abs(step).max())
    # one state: the ratio of the good action rises to 1 + clip (and past it by less than one step), not further
    bandit = MDP(np.ones((1, 2, 1)), cost=[[0.0, 1.0]], discount=0.5)
    start = np.array([[0.5, 0.5]])
    new = one_step(PPO(clip=0.2, epochs=3000, learning_rate=0.002), start, bandit).probabilities()
    assert new[0, 0] == pytest.approx(0.6, abs=1e-3)
    assert one_step(PPO(clip=0.2, epochs=20), np.array([[1.0, 1e-300]]), bandit).probabilities()[0, 0] == 1.0


def test_every_baseline_respects_actions_that_are_not_available():
    rng = np.random.default_rng(2)
    available = np.array([[1, 1, 0], [1, 0, 1], [1, 1, 1], [0, 1, 1]], dtype=bool)
    problem = MDP(rng.dirichlet(np.ones(4), (4, 3)), rng.random((4, 3)), available=available)
    for method in (
        ProjectedPolicyGradient(5.0),
        SoftmaxPolicyGradient(5.0),
        TRPO(0.1),
        PPO(),
        SoftPolicyIteration(0.1, 2.0),
    ):
        result = optlab.solve(problem, method, max_iter=15, record="all")
        assert np.all(result.solution.probabilities()[~available] == 0)
        assert result.history["gap"][-1] < 0.6 * result.history["gap"][0]


@pytest.mark.parametrize(
    "method",
    [
        *(ProjectedPolicyGradient(eta) for eta in (1e-12, 1e12)),
        *(SoftmaxPolicyGradient(eta) for eta in (1e-12, 1e12)),
        *(TRPO(radius) for radius in (1e-12, 1e12)),
        *(PPO(learning_rate=rate) for rate in (1e-12, 1e12)),
        *(SoftPolicyIteration(0.1, eta) for eta in (1e-12, 1e12)),
        *(SoftPolicyIteration(temperature) for temperature in (1e-12, 1e12)),
    ],
    ids=str,
)
def test_extreme_parameters_stay_finite(method):
    result = optlab.solve(GARNET, method, max_iter=8, record="all")
    assert result.status.value in ("max_iter", "converged"), result.message  # at once greedy, or the uniform policy
    table = result.solution.probabilities()
    assert not np.isnan(result.solution.log_table).any()
    np.testing.assert_allclose(table.sum(axis=1), 1, atol=1e-12)


# ---------------------------------------------------------------- entropy regularisation


@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0])
def test_soft_optimum_solves_the_soft_bellman_equation(temperature):
    best = soft_optimal(GARNET, temperature)
    Q, V = best.action_values, best.values
    np.testing.assert_allclose(Q, GARNET.action_values(V), atol=1e-12)
    # -tau logsumexp(-Q/tau), shifted by the least Q
    least = Q.min(axis=1)
    soft_minimum = least - temperature * np.log(np.exp(-(Q - least[:, None]) / temperature).sum(axis=1))
    np.testing.assert_allclose(V, soft_minimum, atol=1e-11)
    assert GARNET.measure(best.policy)["gap"] <= temperature * np.log(3) / (1 - 0.8)


@pytest.mark.parametrize("temperature", [0.01, 0.1])
@pytest.mark.parametrize("step_size", [None, 0.1, 1.0, 10.0, 1e12])
def test_regularised_descent_stays_below_its_bound(temperature, step_size):
    method = SoftPolicyIteration(temperature, step_size)
    result = optlab.solve(GARNET, method, max_iter=25, record="all")
    history = result.history
    checked = history["bound_soft"] > 1e-10  # above rounding
    assert checked[:5].all()
    assert np.all(history["soft_action_gap"][checked] <= history["bound_soft"][checked])
    assert history["bound_soft"][-1] < history["bound_soft"][1]
    assert np.all(np.diff(history["soft_gap"]) <= 1e-12)
    if step_size is None:
        assert history["soft_gap"][-1] < 1e-12
        assert history["gap"][-1] > 1e-8 or temperature == 0.01  # the bias against the MDP's own optimum


def test_long_steps_approach_soft_policy_iteration_like_their_reciprocal():
    limit = one_step(SoftPolicyIteration(0.1)).probabilities()
    errors = [np.abs(one_step(SoftPolicyIteration(0.1, eta)).probabilities() - limit).max() for eta in (1e4, 1e6)]
    assert errors[1] == pytest.approx(errors[0] / 100, rel=0.01)
    short = one_step(SoftPolicyIteration(1e-12, 2.0)).probabilities()
    np.testing.assert_allclose(short, one_step(PolicyMirrorDescent("kl", 2.0)).probabilities(), atol=1e-9)


def test_soft_values_count_the_entropy_of_the_first_state():
    bandit = MDP(np.ones((1, 2, 1)), cost=[[0.0, 1.0]], discount=0.5)
    V = soft_values(bandit, np.log([[0.25, 0.75]]), temperature=2.0)
    negative_entropy = 0.25 * np.log(0.25) + 0.75 * np.log(0.75)
    np.testing.assert_allclose(V, (0.75 + 2 * negative_entropy) / 0.5)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="radius must be a number above 0"):
        TRPO(0.0)
    with pytest.raises(ValueError, match="clip must be a number above 0 and below 1"):
        PPO(clip=1.0)
    with pytest.raises(ValueError, match="epochs must be an integer"):
        PPO(epochs=0)
    with pytest.raises(ValueError, match="temperature must be a number above 0"):
        SoftPolicyIteration(0.0)
    with pytest.raises(ValueError, match="step_size must be a number above 0"):
        ProjectedPolicyGradient(-1.0)
