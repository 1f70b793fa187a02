"""Tabular policies and step sizes."""

from types import SimpleNamespace

import numpy as np
import pytest

import optlab
from optlab.bregman import EuclideanMap, NegativeEntropyMap, TsallisMap
from optlab.core.errors import DomainError
from optlab.policy import (
    MDP,
    AdaptiveStepSize,
    DiscountGrowth,
    LinearGrowth,
    PolicyMirrorDescent,
    TabularPolicy,
    garnet,
)
from optlab.policy.mdp.policies import as_log_table
from optlab.policy.tabular.step_sizes import greedy_divergence, policy_step_size
from optlab.splitting import Constant, Geometric

PROBLEM = SimpleNamespace(discount=0.9)


def test_policy_rows_and_states():
    table = np.array([[0.2, 0.8], [1.0, 0.0], [0.5, 0.5]])
    policy = TabularPolicy.from_probabilities(table)
    np.testing.assert_allclose(policy.probabilities(), table)
    np.testing.assert_allclose(policy.probabilities([2, 0]), table[[2, 0]])
    assert policy.log_probabilities(1).tolist() == [0.0, -np.inf]
    assert policy.greedy().tolist() == [1, 0, 0]
    assert policy.greedy(0) == 1
    assert (policy.n_states, policy.n_actions) == (3, 2)


def test_policy_is_immutable_and_leaves_the_callers_array_alone():
    log_table = np.log(np.full((2, 2), 0.5))
    policy = TabularPolicy(log_table)
    log_table[0] = 0.0
    assert policy.log_table[0, 0] == np.log(0.5)
    with pytest.raises(ValueError, match="read-only"):
        policy.log_table[0, 0] = 1.0


def test_sampling_follows_the_probabilities():
    policy = TabularPolicy.from_probabilities([[0.1, 0.0, 0.9], [0.0, 1.0, 0.0]])
    rng = np.random.default_rng(0)
    states = np.repeat([0, 1], 20_000)
    actions = policy.sample(states, rng)
    counts = np.bincount(actions[:20_000], minlength=3) / 20_000
    assert counts[1] == 0
    assert abs(counts[0] - 0.1) < 5 * np.sqrt(0.09 / 20_000)
    assert set(actions[20_000:]) == {1}
    assert isinstance(policy.sample(0, rng), int)


def test_bad_policies_are_refused():
    with pytest.raises(ValueError, match="row 1 is"):
        TabularPolicy(np.log([[0.5, 0.5], [0.5, 0.4]]))
    with pytest.raises(ValueError, match="row 0 is"):
        TabularPolicy(np.full((1, 2), -np.inf))
    with pytest.raises(ValueError, match="must have shape"):
        TabularPolicy(np.log([[0.5, 0.5]]), mirror=np.zeros((1, 3)))
    with pytest.raises(ValueError, match="non-negative"):
        TabularPolicy.from_probabilities([[1.5, -0.5]])


def test_starts_are_read_and_checked():
    mdp = garnet(4, 3, 2, seed=0)
    np.testing.assert_allclose(np.exp(as_log_table(mdp, mdp.default_start(None))), 1 / 3)
    assert as_log_table(mdp, np.array([0, 1, 2, 0]))[1].tolist() == [-np.inf, 0.0, -np.inf]
    with pytest.raises(DomainError, match="action 1 has none in state 0"):
        as_log_table(mdp, np.array([0, 1, 2, 0]), interior=True)
    with pytest.raises(ValueError, match=r"shape \(4, 3\)"):
        as_log_table(mdp, np.full((3, 3), 1 / 3))


def test_schedules():
    Q, log_policy = np.zeros((2, 3)), np.full((2, 3), -np.log(3))
    at = lambda rule, k: policy_step_size(rule, k, PROBLEM, Q, log_policy, NegativeEntropyMap())
    assert [at(rule, 2) for rule in (3.0, Constant(3.0), LinearGrowth(1.0), lambda k: k + 1.0)] == [3.0] * 4
    assert at(Geometric(1.0, growth=2.0), 3) == 8.0
    assert at(DiscountGrowth(2.0), 5) == pytest.approx(2 / 0.9**5)
    assert at(DiscountGrowth(2.0), 10_000) == 1e12
    assert at(1e300, 0) == 1e100
    with pytest.raises(ValueError, match=r"step_size\(3\) must be a number above 0"):
        at(lambda k: 3.0 - k, 3)
    with pytest.raises(ValueError, match="relative"):
        at(Constant(1.0, relative=True), 0)


@pytest.mark.parametrize("phi", [NegativeEntropyMap(), EuclideanMap(), TsallisMap(0.5), TsallisMap(1.5)], ids=str)
def test_adaptive_step_size_is_its_definition(phi):
    rng = np.random.default_rng(1)
    p, Q = rng.dirichlet(np.ones(4), 6), rng.random((6, 4))
    Q[0, 2] = Q[0].min()  # a tie: the nearest of the two greedy actions counts
    Q[0, 1] = Q[0, 2]
    expected = []
    for s in range(6):
        greedy = np.flatnonzero(Q[s] == Q[s].min())
        expected.append(min(float(phi.divergence(np.eye(4)[a], p[s])) for a in greedy))
    np.testing.assert_allclose(greedy_divergence(phi, Q, np.log(p)), expected, rtol=1e-12)
    rule = AdaptiveStepSize(c0=2.0)
    eta = policy_step_size(rule, 3, PROBLEM, Q, np.log(p), phi)
    assert eta == pytest.approx(max(expected) / (2 * 0.9**7))
    each = policy_step_size(AdaptiveStepSize(c0=2.0, per_state=True), 3, PROBLEM, Q, np.log(p), phi)
    np.testing.assert_allclose(each[:, 0], np.array(expected) / (2 * 0.9**7))


def test_adaptive_step_size_of_a_greedy_policy_and_of_clipped_actions():
    phi = EuclideanMap()
    with np.errstate(divide="ignore"):
        log_policy = np.log(np.array([[1.0, 0.0, 0.0]]))
    Q = np.array([[0.0, 1.0, 2.0]])
    assert policy_step_size(AdaptiveStepSize(), 0, PROBLEM, Q, log_policy, phi) == 1e-12
    assert greedy_divergence(phi, Q[:, ::-1], log_policy) == pytest.approx(1.0)
    assert policy_step_size(AdaptiveStepSize(), 10_000, PROBLEM, Q[:, ::-1], log_policy, phi) == 1e100


def test_a_deterministic_start_suits_only_maps_that_are_not_steep():
    mdp = garnet(5, 3, 2, seed=0)
    start = np.array([0, 1, 2, 0, 1])
    with pytest.raises(DomainError, match="steep"):
        optlab.solve(mdp, PolicyMirrorDescent(), x0=start, max_iter=1)
    result = optlab.solve(mdp, PolicyMirrorDescent("euclidean", 10.0), x0=start, max_iter=30)
    assert result.metrics["gap"] < 1e-12


def test_actions_that_are_not_available_are_never_taken():
    rng = np.random.default_rng(2)
    P, cost = rng.dirichlet(np.ones(6), (6, 3)), rng.random((6, 3))
    available = np.array([[1, 1, 0], [1, 0, 1], [1, 1, 1], [0, 1, 1], [1, 1, 0], [0, 0, 1]], dtype=bool)
    mdp = MDP(P, cost, available=available)
    forms = [(name, "mirror") for name in ("kl", "euclidean", "tsallis:0.5", "hyperbolic")] + [("euclidean", "lazy")]
    for name, form in forms:
        result = optlab.solve(mdp, PolicyMirrorDescent(name, DiscountGrowth(5.0), form=form), max_iter=40)
        assert np.all(result.solution.probabilities()[~available] == 0)
        assert result.metrics["gap"] < 1e-4
