"""The environments: gymnasium's tables, published values, and the constructions' own properties."""

import numpy as np
import pytest

from optlab.policy import (
    MDP,
    cliff_walking,
    deep_sea,
    environments,
    frozen_lake,
    garnet,
    linear_mdp,
    lower_bound_chain,
    lower_bound_start,
    mountain_car,
    pendulum,
    taxi,
)


@pytest.mark.parametrize(
    ("mdp", "state", "value"),
    [
        (frozen_lake("4x4"), 0, 0.5420259),
        (frozen_lake("8x8"), 0, 0.4146404),
        (cliff_walking(), 36, -12.2478977),
    ],
)
def test_published_optimal_values(mdp, state, value):
    assert mdp.to_reward_value(mdp.optimal.values)[state] == pytest.approx(value, abs=1e-6)


def test_published_optimal_value_of_taxi():
    mdp = taxi()
    assert mdp.to_reward_value(mdp.optimal.values)[:500].mean() == pytest.approx(9.4228, abs=5e-5)


@pytest.mark.parametrize(
    ("name", "options", "own"),
    [
        ("FrozenLake-v1", {"map_name": "4x4"}, frozen_lake("4x4")),
        ("FrozenLake-v1", {"map_name": "8x8"}, frozen_lake("8x8")),
        ("FrozenLake-v1", {"map_name": "4x4", "is_slippery": False}, frozen_lake("4x4", slippery=False)),
        ("CliffWalking-v1", {}, cliff_walking()),
        ("Taxi-v4", {}, taxi()),
    ],
)
@pytest.mark.filterwarnings("ignore")  # gymnasium's own
def test_tables_equal_those_of_gymnasium(name, options, own):
    gymnasium = pytest.importorskip("gymnasium")
    other = MDP.from_gymnasium(gymnasium.make(name, **options))
    S, A = other.n_states - 1, other.n_actions  # its last state is the end
    assert own.n_actions == A
    assert own.cost[:S].shape == (S, A)
    theirs = other.transitions.toarray().reshape(S + 1, A, S + 1)
    ours = own.transitions.toarray().reshape(own.n_states, A, own.n_states)
    # cells in which an episode is over are absorbing here; there they are never entered
    over = np.zeros(S, dtype=bool)
    if own.n_states == S:
        over = ours[np.arange(S), :, np.arange(S)].min(axis=1) == 1.0
    free = own.cost[:S].max(axis=1) == own.cost[:S].min(axis=1)
    over &= free & (np.abs(own.to_reward_value(own.optimal.values)[:S]) < 1e-9)
    going = np.flatnonzero(~over)
    np.testing.assert_allclose(ours[going][:, :, going], theirs[going][:, :, going], atol=1e-15)
    np.testing.assert_allclose(
        ours[going][:, :, np.setdiff1d(np.arange(own.n_states), going)].sum(axis=2),
        theirs[going][:, :, np.setdiff1d(np.arange(S + 1), going)].sum(axis=2),
        atol=1e-15,
    )
    np.testing.assert_allclose(own.unit * own.cost[going], other.unit * other.cost[going], atol=1e-12)
    np.testing.assert_allclose(
        own.to_reward_value(own.optimal.values)[going], other.to_reward_value(other.optimal.values)[going], atol=1e-9
    )


@pytest.mark.filterwarnings("ignore")
def test_from_gymnasium_start_and_refusals():
    gymnasium = pytest.importorskip("gymnasium")
    mdp = MDP.from_gymnasium(gymnasium.make("FrozenLake-v1"))
    assert mdp.start[0] == 1.0
    assert mdp.name == "FrozenLake-v1"
    with pytest.raises(TypeError, match="no table P"):
        MDP.from_gymnasium(gymnasium.make("CartPole-v1"))
    with pytest.raises(ValueError, match=r"state 0, action 0 sums to 0\.5"):
        MDP.from_gymnasium({0: {0: [(0.5, 0, 1.0, False)]}})


@pytest.mark.filterwarnings("ignore")
def test_from_gymnasium_refuses_tables_that_are_not_the_model():
    gymnasium = pytest.importorskip("gymnasium")
    assert repr(MDP.from_gymnasium("FrozenLake-v1")) == repr(MDP.from_gymnasium(gymnasium.make("FrozenLake-v1")))
    MDP.from_gymnasium(gymnasium.make("Taxi-v4", is_rainy=True))  # in the table
    with pytest.raises(ValueError, match="by a flag that is not part of the state"):
        MDP.from_gymnasium(gymnasium.make("Taxi-v4", fickle_passenger=True))
    with pytest.raises(ValueError, match="without TransformReward, which changes it"):
        MDP.from_gymnasium(gymnasium.wrappers.TransformReward(gymnasium.make("FrozenLake-v1"), lambda r: 2 * r))
    with pytest.raises(TypeError, match=r"BlackjackEnv has no table.*as FrozenLake, CliffWalking and Taxi have"):
        MDP.from_gymnasium("Blackjack-v1")


def test_missing_actions_of_a_table_are_not_available():
    loop = {0: [(1.0, 1, 0.0, False)]}
    mdp = MDP.from_gymnasium({0: loop, 1: loop | {1: [(1.0, 0, 5.0, False)]}}, discount=0.9)
    assert mdp.available.tolist() == [[True, False], [True, True], [True, True]]
    # V(1) = 5 + .81 V(1)
    np.testing.assert_allclose(mdp.to_reward_value(mdp.optimal.values), [0.9 * 5 / 0.19, 5 / 0.19, 0.0], atol=1e-9)
    other = MDP.from_gymnasium({0: loop | {1: [(1.0, 0, 5.0, False)]}, 1: loop}, discount=0.9)
    assert other.available.tolist() == [[True, True], [True, False], [True, True]]
    both = np.array([[True, True], [True, False]])
    assert MDP.from_gymnasium({0: loop | {1: [(1.0, 0, 5.0, False)]}, 1: loop}, available=both).available.sum() == 5
    with pytest.raises(ValueError, match="available must leave at least one action in every state, state 1 has none"):
        MDP.from_gymnasium({0: loop, 1: {1: [(1.0, 0, 5.0, False)]}}, available=[[1, 1], [1, 0]])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({0: {0: [(1.0, 1, 5.0, False)]}}, r"state 0, action 0: the next state must be one of 0\.\.0, got 1"),
        ({0: {0: [(1.0, -1, 5.0, False)]}}, "state 0, action 0: the next state must be one of"),
        ({0: {0: [(1.0, 0.5, 5.0, False)]}}, "the next state must be one of"),
        ({0: {2: [(1.0, 0, 5.0)]}}, "state 0, action 2: a transition must be .* with 3 entries"),
        ({0: {0: (1.0, 0, 5.0, False)}}, "a transition must be"),
        ({0: {0: [(1.0, 0, 5.0, "no")]}}, "state 0, action 0: terminated must be True or False"),
        ({0: {0: [(1.0, 0, None, False)]}}, "state 0, action 0: reward must be a number"),
        ({0: {0: [("a", 0, 0.0, False)]}}, "state 0, action 0: probability must be a number"),
        ({0: {0: [(1.0, 0, 0.0, False)]}, 2: {0: []}}, r"states 0\.\.1, got 2, and 1 is missing"),
        ({"s": {0: [(1.0, 0, 0.0, False)]}}, "got 's', and 0 is missing"),
        ({0: {"left": [(1.0, 0, 0.0, False)]}}, "actions of state 0 must be integers from 0 on, got 'left'"),
        ({0: {0: [(1.0, 0, 0.0, False)]}, 1: {}}, "state 1 of the table has no action"),
        ({0: 3}, "state 0 of the table must map actions"),
        ({0: {0: 3}}, "state 0, action 0: transitions must come as a list"),
        ({0: {0: [(1.5, 0, 0.0, False)]}}, "state 0, action 0"),
    ],
)
def test_irregular_tables_are_refused_by_state_and_action(table, message):
    with pytest.raises(ValueError, match=message):
        MDP.from_gymnasium(table)


def test_a_table_of_transitions_in_expectation():
    mdp = MDP.from_gymnasium({0: {0: [(0.25, 0, 4.0, False), (0.75, 0, 0.0, True)]}}, discount=0.5)
    # V = 1 + 0.5 * 0.25 V
    assert mdp.to_reward_value(mdp.optimal.values)[0] == pytest.approx(8 / 7)


def test_garnet_construction():
    mdp = garnet(40, 3, 6, seed=1)
    assert (np.diff(mdp.transitions.indptr) == 6).all()
    assert mdp.transitions.data.min() > 0
    assert mdp.cost.min() >= 0
    assert mdp.cost.max() <= 1
    again, other = garnet(40, 3, 6, seed=1), garnet(40, 3, 6, seed=2)
    assert (again.transitions != mdp.transitions).nnz == 0
    assert (other.transitions != mdp.transitions).nnz > 0
    # spacings of uniforms: each has mean 1 / b
    big = garnet(3000, 2, 5, seed=0)
    np.testing.assert_allclose(big.transitions.data.mean(), 0.2, rtol=1e-12)
    assert np.var(big.transitions.data) == pytest.approx(4 / (25 * 6), rel=0.05)
    assert (np.diff(garnet(5, 2, 5).transitions.indptr) == 5).all()
    with pytest.raises(ValueError, match="branching must be at most n_states = 4"):
        garnet(4, 2, 5)


def test_linear_mdp_is_linear():
    mdp = linear_mdp(seed=3)
    policy = np.random.default_rng(0).dirichlet(np.ones(4), size=60)
    Q = mdp.evaluate(policy).action_values.ravel()
    phi = mdp.features.reshape(-1, 8)
    np.testing.assert_allclose(phi @ np.linalg.lstsq(phi, Q, rcond=None)[0], Q, atol=1e-9)


@pytest.mark.parametrize("probability", [0.5, 0.1, 1e-3])
def test_the_chain_makes_policy_iteration_slow(probability):
    n, gamma = 12, 0.9
    mdp = lower_bound_chain(n, probability, gamma)
    assert mdp.n_states == 2 * n + 1
    assert mdp.cost.min() >= 0
    assert mdp.cost.max() <= 1
    policy, best = lower_bound_start(n, probability), mdp.optimal.values
    for k in range(n):
        error = np.abs(mdp.evaluate(policy).values - best).max()
        expected = gamma**k / (1 - gamma) * (1 - probability) ** max(k, 1)
        assert error == pytest.approx(expected, rel=1e-9, abs=n * 1e-6)
        policy = np.eye(2)[mdp.evaluate(policy).action_values.argmin(axis=1)]


def test_the_other_calibration_makes_policy_iteration_contract_by_the_discount_only():
    mdp = lower_bound_chain(12, 0.5, 0.9, calibration="greedy")
    policy, errors = lower_bound_start(12, 0.5), []
    for _ in range(11):
        errors.append(np.abs(mdp.evaluate(policy).values - mdp.optimal.values).max())
        policy = np.eye(2)[mdp.evaluate(policy).action_values.argmin(axis=1)]
    np.testing.assert_allclose(np.array(errors[2:]) / errors[1:-1], 0.9, rtol=1e-3)


@pytest.mark.parametrize("probability", [0.0, 1.0, [0.5, 0.5]])
def test_the_chain_refuses(probability):
    with pytest.raises(ValueError, match="probability must"):
        lower_bound_chain(12, probability)


def test_deep_sea():
    mdp = deep_sea(8)
    assert mdp.n_states == 65
    # all the way to the right: 8 moves that cost 0.01 / 8 each and the treasure with the last
    expected = sum(0.99**t * -0.01 / 8 for t in range(8)) + 0.99**7
    assert mdp.to_reward_value(mdp.optimal.values)[0] == pytest.approx(expected, rel=1e-12)
    d = mdp.visitation(mdp.optimal.probabilities)
    assert (d / mdp.start).max() / (1 - mdp.discount) > 100


def test_frozen_lake_variants():
    steps = frozen_lake(objective="steps")
    assert steps.cost[:15].min() == 1.0
    assert steps.cost[15].max() == 0.0
    sure = frozen_lake("8x8", slippery=False)
    assert sure.to_reward_value(sure.optimal.values)[0] == pytest.approx(0.99**13)
    assert frozen_lake(start="initial").start[0] == 1.0
    with pytest.raises(ValueError, match="size must be one of '4x4', '8x8', got '16x16'"):
        frozen_lake("16x16")


@pytest.mark.parametrize("mdp", [pendulum(9, 8), mountain_car(12, 9)])
def test_bilinear_weights_have_the_right_mean(mdp):
    # spreading keeps the mean of the next speed (which is not periodic), clipped or not
    speeds = mdp.coordinates[:, 1]
    mean = (mdp.transitions @ speeds).reshape(mdp.n_states, mdp.n_actions)
    first = mdp.coordinates[:, 0][:, None]
    if mdp.n_actions == 5:
        after = speeds[:, None] + 0.1 * (15 * np.sin(first) + 3 * np.linspace(-2, 2, 5))
        expected = np.clip(after, -8, 8)
    else:
        after = np.clip(speeds[:, None] + 0.001 * np.arange(-1, 2) - 0.0025 * np.cos(3 * first), -0.07, 0.07)
        after = np.where((first + after <= -1.2) & (after < 0), 0.0, after)
        expected = np.where(first >= 0.5, speeds[:, None], after)
    np.testing.assert_allclose(mean, expected, atol=1e-9)
    assert np.diff(mdp.transitions.indptr).max() <= 4
    assert mdp.cost.min() >= 0
    assert mdp.cost.max() <= 1
    assert np.prod(mdp.grid) == mdp.n_states


def test_pendulum_symmetry_and_cost():
    mdp = pendulum(11, 11)
    V = mdp.optimal.values.reshape(mdp.grid)
    np.testing.assert_allclose(V, V[::-1, ::-1], atol=1e-9)
    assert mdp.cost.reshape(11, 11, 5)[5, 5, 2] == 0.0


def test_every_environment_is_listed_and_reachable_by_name():
    assert {
        "cliff_walking",
        "deep_sea",
        "frozen_lake",
        "garnet",
        "linear_mdp",
        "lower_bound_chain",
        "lqr",
        "mountain_car",
        "pendulum",
        "taxi",
    } <= set(environments.__all__)
