"""Markov decision processes: the three layouts, evaluation against dense algebra, measures, and what is refused."""

import gc
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import optlab
from optlab.core.serialization import fingerprint
from optlab.policy import (
    MDP,
    ModifiedPolicyIteration,
    PolicyIteration,
    TabularPolicy,
    ValueIteration,
    deep_sea,
    frozen_lake,
    garnet,
)
from optlab.policy.mdp.evaluation import solve_evaluation


def table(seed=0, S=6, A=3):
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.full(S, 0.4), size=(S, A))
    return P, rng.random((S, A)), rng


def dense_values(P, cost, gamma, policy):
    P_pi = np.einsum("sa,sat->st", policy, P)
    return np.linalg.solve(np.eye(len(P)) - gamma * P_pi, np.einsum("sa,sa->s", policy, cost))


def test_the_layouts_agree():
    P, cost, _ = table()
    S, A = cost.shape
    dense = MDP(P, cost)
    for other in (
        MDP([P[:, a] for a in range(A)], cost),
        MDP([sp.csr_matrix(P[:, a]) for a in range(A)], cost),
        MDP(sp.csr_matrix(P.reshape(S * A, S)), cost),
        MDP(sp.coo_matrix(P.reshape(S * A, S)), cost),
        MDP(P.tolist(), cost.tolist()),
    ):
        assert (other.transitions != dense.transitions).nnz == 0
        assert fingerprint(other) == fingerprint(dense)
    assert dense.transitions.indices.dtype == np.int32


def test_callers_arrays_are_left_alone():
    P, cost, _ = table()
    matrix = sp.csr_matrix(P.reshape(-1, 6))
    matrix.data[3] = 0.0  # a stored zero, which MDP takes out of its own copy
    row = int(np.searchsorted(matrix.indptr, 3, side="right")) - 1
    matrix.data[matrix.indptr[row] : matrix.indptr[row + 1]] /= matrix.data[
        matrix.indptr[row] : matrix.indptr[row + 1]
    ].sum()
    before = matrix.data.copy()
    mdp = MDP(matrix, cost)
    assert matrix.nnz == before.size
    assert np.array_equal(matrix.data, before)
    assert mdp.transitions.nnz == before.size - 1
    with pytest.raises(ValueError, match="read-only"):
        mdp.cost[0, 0] = 3.0
    assert cost.flags.writeable


@settings(deadline=None, derandomize=True, max_examples=25)
@given(seed=st.integers(0, 10_000), gamma=st.floats(0.05, 0.99))
def test_evaluation_and_visitation_against_dense_algebra(seed, gamma):
    P, cost, rng = table(seed)
    rho = rng.dirichlet(np.ones(6))
    mdp = MDP(P, cost, gamma, rho)
    policy = rng.dirichlet(np.ones(3), size=6)
    V = dense_values(P, cost, gamma, policy)
    evaluation = mdp.evaluate(policy)
    np.testing.assert_allclose(evaluation.values, V, rtol=1e-10)
    np.testing.assert_allclose(evaluation.action_values, cost + gamma * P @ V, rtol=1e-10)
    P_pi = mdp.transition_matrix(policy).toarray()
    np.testing.assert_allclose(P_pi, np.einsum("sa,sat->st", policy, P), atol=1e-15)
    d = mdp.visitation(policy)
    np.testing.assert_allclose(d, (1 - gamma) * np.linalg.solve(np.eye(6) - gamma * P_pi.T, rho), atol=1e-12)
    assert d @ mdp.policy_cost(policy) / (1 - gamma) == pytest.approx(rho @ V, rel=1e-10)
    # the certificate bounds the distance to the optimum
    assert np.abs(V - mdp.optimal.values).max() <= evaluation.advantage_gap * (1 + 1e-9) + 1e-12


@pytest.mark.parametrize("gamma", [0.9, 0.999])
def test_iterative_evaluation_reaches_its_tolerance(gamma):
    # fast mixing (sweeps), a grid (Krylov) and a long deterministic corridor (where both stall)
    corridor = np.zeros((400, 1, 400))
    corridor[np.arange(400), 0, np.minimum(np.arange(400) + 1, 399)] = 1.0
    cases = [garnet(400, discount=gamma), MDP(corridor, np.random.default_rng(0).random((400, 1)), gamma)]
    for mdp in cases:
        policy = np.full((400, mdp.n_actions), 1.0 / mdp.n_actions)
        M = mdp.transition_matrix(policy).toarray()
        V = np.linalg.solve(np.eye(400) - gamma * M, mdp.policy_cost(policy))
        assert np.abs(mdp.evaluate(policy).values - V).max() <= 1e-11 * V.max()
        guess = V + np.random.default_rng(1).standard_normal(400)
        assert np.abs(mdp.evaluate(policy, guess=guess).values - V).max() <= 1e-11 * V.max()
        d = np.linalg.solve(np.eye(400) - gamma * M.T, (1 - gamma) * mdp.start)
        assert np.abs(mdp.visitation(policy) - d).max() <= 1e-10 * d.max()


def test_a_warm_start_saves_products():
    mdp = garnet(400, discount=0.99)
    policy = np.full((400, 4), 0.25)
    cold = mdp.evaluate(policy)
    assert mdp.evaluate(policy, guess=cold.values).iterations < cold.iterations / 3


def test_solve_evaluation_for_a_matrix_of_ones_own():
    mdp = garnet(300, discount=0.95)
    M, right = mdp.transition_matrix(np.zeros(300, dtype=int)), np.random.default_rng(0).standard_normal(300)
    for transpose, matrix in ((False, M.toarray()), (True, M.toarray().T)):
        x, _ = solve_evaluation(M, right, 0.95, transpose=transpose)
        np.testing.assert_allclose(x, np.linalg.solve(np.eye(300) - 0.95 * matrix, right), rtol=0, atol=1e-9)


def test_rewards_are_converted_and_values_taken_back():
    P, reward, rng = table(3)
    reward = 7.0 * reward - 2.0
    mdp = MDP(P, reward=reward, discount=0.8)
    assert mdp.cost.min() == 0.0
    assert mdp.cost.max() == 1.0
    policy = rng.dirichlet(np.ones(3), size=6)
    np.testing.assert_allclose(
        mdp.to_reward_value(mdp.evaluate(policy).values), dense_values(P, reward, 0.8, policy), rtol=1e-10
    )
    flat = MDP(P, reward=np.full((6, 3), 4.0), discount=0.8)
    np.testing.assert_allclose(flat.to_reward_value(flat.optimal.values), 20.0)
    np.testing.assert_allclose(MDP(P, reward).to_reward_value([1.0]), [-1.0])


def test_the_optimum_by_enumeration():
    P, cost, _ = table(5, S=4, A=3)
    mdp = MDP(P, cost, 0.9)
    policies = np.array(np.meshgrid(*[range(3)] * 4)).reshape(4, -1).T
    every = np.array([mdp.evaluate(policy).values for policy in policies])
    np.testing.assert_allclose(mdp.optimal.values, every.min(axis=0), rtol=1e-12)
    np.testing.assert_allclose(mdp.optimal.action_values.min(axis=1), mdp.optimal.values, rtol=1e-12)
    assert (mdp.optimal.probabilities.argmax(axis=1) == mdp.optimal.policy).all()


def test_measures():
    mdp = garnet(30, seed=2)
    start = mdp.default_start(np.random.default_rng(0))
    metrics = mdp.measure(start)
    assert list(metrics) == ["value", "gap", "advantage_gap"]
    assert mdp.primary_metric == "gap"
    assert 0 < metrics["gap"] < metrics["advantage_gap"]
    best = mdp.measure(mdp.optimal.probabilities)
    assert best["gap"] == pytest.approx(0, abs=1e-12)
    assert best["advantage_gap"] == pytest.approx(0, abs=1e-10)
    blind = garnet(30, seed=2, known_optimal=False)
    assert list(blind.measure(start)) == ["value", "advantage_gap"]
    assert blind.primary_metric == "advantage_gap"


def test_evaluations_of_policy_objects_are_remembered_and_those_of_arrays_are_not():
    mdp = garnet(30)
    policy = mdp.default_start(np.random.default_rng(0))
    first = mdp.evaluate(policy)
    assert mdp.evaluate(policy) is first
    assert mdp.evaluate(policy, tol=1e-14) is not first
    array = np.full((30, 4), 0.25)
    before = mdp.evaluate(array).values
    array[:] = np.eye(4)[0]
    assert not np.allclose(mdp.evaluate(array).values, before)
    del policy, first
    gc.collect()
    # another object at the same address must not be taken for it
    for k in range(20):
        other = TabularPolicy.from_probabilities(np.random.default_rng(k).dirichlet(np.ones(4), size=30))
        np.testing.assert_allclose(mdp.evaluate(other).values, mdp.evaluate(other.probabilities()).values, rtol=1e-12)
        del other
    assert pickle.loads(pickle.dumps(mdp)).evaluate(array).values == pytest.approx(mdp.evaluate(array).values)


def test_actions_that_are_not_available():
    P, cost, _ = table(1)
    available = np.ones((6, 3), dtype=bool)
    available[2, 1] = available[4, :2] = False
    P[2, 1], cost[2, 1] = np.nan, -np.inf  # never read
    P[4, :2], cost[4, :2] = 0.0, -5.0
    mdp = MDP(np.nan_to_num(P), cost, 0.9, available=available)
    assert mdp.cost.min() >= 0
    # the same problem with those actions made copies of a worse-than-worst one
    other_P, other_cost = np.nan_to_num(P), np.where(available, cost, 2.0)
    for s, a in np.argwhere(~available):
        other_P[s, a] = np.eye(6)[s]
    other = MDP(other_P, other_cost, 0.9)
    np.testing.assert_allclose(mdp.optimal.values, other.optimal.values, rtol=1e-12)
    assert available[np.arange(6), mdp.optimal.policy].all()
    Q = mdp.evaluate(mdp.default_start(None)).action_values
    assert np.isfinite(Q).all()
    assert Q[~available].min() > Q[available].max()
    uniform = np.exp(mdp.uniform_log_probabilities())
    np.testing.assert_allclose(uniform.sum(axis=1), 1.0)
    assert (uniform[~available] == 0).all()
    with pytest.raises(ValueError, match=r"action 1 has probability 0\.333 in state 2"):
        mdp.evaluate(np.full((6, 3), 1 / 3))
    with pytest.raises(ValueError, match="action 0 is not available in state 4"):
        mdp.evaluate(np.zeros(6, dtype=int))
    with pytest.raises(ValueError, match="state 3 has none"):
        MDP(P, cost, available=np.arange(6)[:, None] != np.full(3, 3))


def test_unreachable_states_and_support():
    mdp = deep_sea(4, start="initial")
    assert mdp.unreachable_states.tolist() == [1, 2, 3, 6, 7, 11]
    assert frozen_lake().unreachable_states.size == 0
    frozen_lake().require_full_support()
    with pytest.raises(ValueError, match=r"start must give every state.*state 1 has none \(16 of 17.*6 state"):
        mdp.require_full_support()
    with pytest.raises(ValueError, match="evaluation_law must give"):
        frozen_lake().require_full_support(np.eye(16)[0], name="evaluation_law")


def test_a_row_that_does_not_sum_to_one_is_named():
    P, cost, _ = table()
    P[4, 1] *= 0.9
    for layout in (P, [P[:, a] for a in range(3)], sp.csr_matrix(P.reshape(18, 6))):
        with pytest.raises(ValueError, match=r"state 4, action 1 sums to 0\.9 "):
            MDP(layout, cost)
    P[4, 1] = 0.0
    with pytest.raises(ValueError, match=r"state 4, action 1 sums to 0 .*available="):
        MDP(P, cost)
    P[4, 1] = [1.5, -0.5, 0, 0, 0, 0]
    with pytest.raises(ValueError, match=r"P\(s' = 0 \| state 4, action 1\) is 1\.5"):
        MDP(P, cost)
    P[4, 1] = np.nan
    with pytest.raises(ValueError, match="state 4, action 1"):
        MDP(P, cost)


P, COST, _ = table()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"P": P[:, :, :5]}, ValueError, r"shape \(6, 3, 5\)"),
        ({"P": np.swapaxes(P, 0, 1)}, ValueError, "for A matrices P_a pass a list"),
        ({"P": sp.csr_matrix(P.reshape(18, 6)[:17])}, ValueError, r"\(S \* A, S\).*\(17, 6\)"),
        ({"P": [P[:, 0], P[:5, 1, :5]]}, ValueError, r"P\[1\] has shape \(5, 5\)"),
        ({"P": "table"}, TypeError, "P must hold real numbers"),
        ({"cost": COST[:5]}, ValueError, r"cost must have shape \(6, 3\)"),
        ({"cost": None}, ValueError, "exactly one of cost and reward, got neither"),
        ({"reward": COST}, ValueError, "exactly one of cost and reward, got both"),
        ({"cost": np.where(COST[1, 2] == COST, np.nan, COST)}, ValueError, r"cost must be finite.*\[1, 2\]"),
        ({"discount": 1.0}, ValueError, "discount must be a number above 0 and below 1, got 1.0"),
        ({"discount": 0.0}, ValueError, "discount"),
        ({"discount": "high"}, TypeError, "discount"),
        ({"start": np.ones(6)}, ValueError, "start must be a probability vector, it sums to 6"),
        ({"start": [1.5, -0.5, 0, 0, 0, 0]}, ValueError, r"start must be non-negative.*\[1\]"),
        ({"start": [1.0]}, ValueError, r"start must have shape \(6,\)"),
        ({"available": np.ones((6, 2), bool)}, ValueError, r"available must have shape \(S, A\) = \(6, 3\)"),
        ({"available": COST}, TypeError, "available must be an array of booleans"),
        ({"features": np.ones((6, 2, 4))}, ValueError, r"features must have shape \(6, 3, any\)"),
        ({"coordinates": np.ones((5, 2))}, ValueError, r"coordinates must have shape \(6, any\)"),
    ],
)
def test_bad_input(arguments, error, message):
    with pytest.raises(error, match=message):
        MDP(**({"P": P, "cost": COST} | arguments))


@pytest.mark.parametrize(
    ("policy", "error", "message"),
    [
        (np.full((6, 2), 0.5), ValueError, r"policy must have shape \(6, 3\)"),
        (np.full((6, 3), 0.3), ValueError, r"state 0 sums to 0\.9"),
        (np.tile([1.5, -0.5, 0.0], (6, 1)), ValueError, r"non-negative.*\[0, 1\]"),
        (np.array([0, 1, 2, 3, 0, 0]), ValueError, r"actions must lie in 0\.\.2, got 3 in state 3"),
        (np.zeros(5, dtype=int), ValueError, r"shape \(6,\)"),
    ],
)
def test_bad_policies(policy, error, message):
    with pytest.raises(error, match=message):
        MDP(P, COST).evaluate(policy)


def test_bad_evaluation_arguments():
    mdp = MDP(P, COST)
    with pytest.raises(ValueError, match="guess must have shape"):
        mdp.evaluate(np.full((6, 3), 1 / 3), guess=np.zeros(5))
    with pytest.raises(ValueError, match="tol must be a number above 0"):
        mdp.evaluate(np.full((6, 3), 1 / 3), tol=0.0)


@pytest.mark.parametrize("layout", ["dense", "sparse", "matrices"])
@pytest.mark.parametrize("kind", ["float32", "seven decimals", "below zero by rounding"])
def test_rounding_is_allowed_for_and_normalised(layout, kind):
    exact = np.random.default_rng(1).dirichlet(np.ones(30), size=(30, 2))
    if kind == "float32":
        rounded = exact.astype(np.float32)
    elif kind == "seven decimals":
        rounded = exact.round(7)
    else:
        rounded = exact.copy()
        rounded[:, :, 0] += rounded[:, :, 1]
        rounded[:, :, 1] = -1e-17
    given = {
        "dense": lambda: rounded,
        "sparse": lambda: sp.csr_matrix(rounded.reshape(60, 30)),
        "matrices": lambda: [rounded[:, a] for a in range(2)],
    }[layout]()
    mdp = MDP(given, np.zeros((30, 2)))
    assert mdp.transitions.data.min() > 0
    np.testing.assert_allclose(mdp.transitions.sum(axis=1), 1.0, rtol=0, atol=1e-14)
    stored = mdp.transitions.toarray().reshape(30, 2, 30)
    np.testing.assert_allclose(stored, rounded, atol=1e-5)


def test_what_is_more_than_rounding_is_refused_with_a_hint():
    rough = np.random.default_rng(1).dirichlet(np.ones(30), size=(30, 2)).round(3)
    with pytest.raises(ValueError, match=r"rows of P must sum to one.*P / P\.sum\(axis=-1, keepdims=True\) normalises"):
        MDP(rough, np.zeros((30, 2)))
    MDP(rough / rough.sum(axis=-1, keepdims=True), np.zeros((30, 2)))
    P = np.eye(2)[:, None] + np.array([1e-6, -1e-6])
    with pytest.raises(ValueError, match=r"P must hold probabilities.*state 0, action 0\) is -1e-06"):
        MDP(P, np.zeros((2, 1)))
    mdp = MDP(np.full((2, 2, 2), 0.5), np.zeros((2, 2)), start=np.array([0.3, 0.7], np.float32))
    assert mdp.start.sum() == pytest.approx(1.0, abs=1e-15)
    assert mdp.evaluate(np.full((2, 2), 0.5, np.float32)).values == pytest.approx(0.0)
    with pytest.raises(ValueError, match=r"start / start\.sum\(\) would be one"):
        MDP(np.full((2, 2, 2), 0.5), np.zeros((2, 2)), start=[0.3, 0.6])
    with pytest.raises(ValueError, match=r"policy / policy\.sum\(axis=1, keepdims=True\) normalises"):
        mdp.evaluate(np.full((2, 2), 0.4))


def test_infinite_rewards_and_values_that_overflow_are_refused_with_a_hint():
    P = np.full((2, 2, 2), 0.5)
    with pytest.raises(ValueError, match=r"got -inf at index \[0, 1\].*available=np\.isfinite\(reward\)"):
        MDP(P, reward=[[1.0, -np.inf], [0.0, 1.0]])
    reward = np.array([[1.0, -np.inf], [0.0, 1.0]])
    assert MDP(P, reward=reward, available=np.isfinite(reward)).optimal.policy.tolist() == [0, 1]
    for reward in ([[1e308, -1e308], [0.0, 1.0]], [[1e308, 1e308], [1e308, 1e308]]):
        with pytest.raises(ValueError, match="reward must be such that values"):
            MDP(P, reward=reward)
    with pytest.raises(ValueError, match="cost must be such that values"):
        MDP(P, cost=[[1e308, 0.0], [0.0, 0.0]])
    big = MDP(P, reward=[[1e305, 0.0], [0.0, 0.0]])
    assert np.isfinite(big.to_reward_value(big.optimal.values)).all()
    with pytest.raises(ValueError, match=r"grid must hold the 2 states, got \(3, 1\)"):
        MDP(P, np.zeros((2, 2)), grid=(3, 1))


def test_a_list_of_integers_is_no_start():
    mdp = garnet(4, 2, 2)
    for method in (PolicyIteration(), ModifiedPolicyIteration(), ValueIteration()):
        with pytest.raises(ValueError, match=r"x0 could be actions or values.*got \[0, 1, 1, 0\]"):
            optlab.solve(mdp, method, x0=[0, 1, 1, 0])
        assert optlab.solve(mdp, method, x0=[0.0, 1.0, 1.0, 0.0], max_iter=1).n_iter == 1
        assert optlab.solve(mdp, method, x0=np.array([0, 1, 1, 0]), max_iter=1).n_iter == 1
