"""Compiled passes: against plain NumPy, cut into ranges or not, and the two forms of BiCGSTAB against one another."""

import numpy as np
import pytest

from optlab.core import threads
from optlab.policy import MDP, garnet
from optlab.policy.mdp import passes as module
from optlab.policy.mdp.evaluation import solve_values
from optlab.policy.mdp.passes import solve_krylov, sweep_until, unsigned


@pytest.fixture(params=["whole", "cut"])
def mdp(request, monkeypatch):
    if request.param == "cut":
        monkeypatch.setattr(module, "_GRAIN", 200)
    made = garnet(211, 3, 4, discount=0.95, seed=1)
    assert (len(made.rows.ranges) > 1) == (request.param == "cut")
    return made


def q_table(mdp, V):
    return mdp.cost + mdp.discount * (mdp.transitions @ V).reshape(mdp.cost.shape)


def test_backups(mdp):
    V = np.random.default_rng(0).standard_normal(211)
    Q = q_table(mdp, V)
    out, policy, low, high = mdp.rows.greedy_backup(V)
    np.testing.assert_allclose(out, Q.min(axis=1), rtol=1e-13)
    np.testing.assert_array_equal(policy, Q.argmin(axis=1))
    assert (low, high) == pytest.approx(((out - V).min(), (out - V).max()))
    np.testing.assert_allclose(mdp.rows.action_values(V), Q, rtol=1e-13)
    held = np.random.default_rng(1).integers(3, size=211)
    slack = 0.05
    better, changes, low, high, excess = mdp.rows.improve(V, held, slack)
    keep = Q[np.arange(211), held] <= Q.min(axis=1) + slack
    np.testing.assert_array_equal(better, np.where(keep, held, Q.argmin(axis=1)))
    assert changes == (~keep).sum()
    assert (low, high) == pytest.approx(((Q.min(axis=1) - V).min(), (Q.min(axis=1) - V).max()))
    assert excess == pytest.approx((Q[np.arange(211), held] - V).max())


def test_sweeps_and_linear_systems(mdp):
    rng = np.random.default_rng(2)
    weights = rng.dirichlet(np.ones(3), size=211)
    M, c = mdp.transition_matrix(weights).toarray(), (weights * mdp.cost).sum(axis=1)
    np.testing.assert_allclose(mdp.rows.mixed_cost(weights), c, rtol=1e-14)
    V = rng.standard_normal(211)
    kept = V.copy()
    np.testing.assert_allclose(mdp.rows.policy_sweep(weights, c, V), c + 0.95 * M @ V, rtol=1e-12)
    for count in (1, 2, 5):
        expected = V
        for _ in range(count):
            last, expected = expected, c + 0.95 * M @ expected
        x, made, low, high = sweep_until(mdp.rows.csr, weights, c, V, 0.95, count, 0.0)
        assert made == count
        np.testing.assert_allclose(x, expected, rtol=1e-12)
        assert (low, high) == pytest.approx(((expected - last).min(), (expected - last).max()), abs=1e-12)
    exact = np.linalg.solve(np.eye(211) - 0.95 * M, c)
    x, count, residual = mdp.rows.solve(weights, c, V, 1e-13, 100)
    assert 0 < count < 30
    assert residual <= 1e-13 < np.abs(c - V + 0.95 * M @ V).max()
    np.testing.assert_allclose(x, exact, atol=1e-11)
    np.testing.assert_array_equal(V, kept)
    # a deterministic policy's rows, gathered
    policy = rng.integers(3, size=211)
    csr, right = mdp.rows.chosen(policy)
    x, _, _ = solve_krylov(csr, np.ones((211, 1)), right, V, 0.95, 1e-13, 100)
    np.testing.assert_allclose(x, mdp.evaluate(np.eye(3)[policy]).values, atol=1e-10)


def test_hopeless_sweeps_are_given_up_and_krylov_stops_at_its_limit(mdp):
    # a long cycle mixes not at all
    cycle = np.zeros((211, 1, 211))
    cycle[np.arange(211), 0, (np.arange(211) + 1) % 211] = 1.0
    slow = MDP(cycle, np.random.default_rng(0).random((211, 1)), 0.999)
    ones, c = np.ones((211, 1)), slow.cost[:, 0].copy()
    _, made, _, _ = sweep_until(slow.rows.csr, ones, c, c, 0.999, 1000, 1e-12, patience=60)
    assert made < 30
    _, count, residual = slow.rows.solve(ones, c, c, 1e-14, 7)
    assert count == 7
    assert residual > 1e-14
    # and the evaluation gets there all the same
    V = slow.evaluate(ones).values
    np.testing.assert_allclose(V - 0.999 * np.roll(V, -1), c, atol=1e-10)


def check_beginning_of_the_evaluation(mdp, step, V, Q):
    assert step.gap == pytest.approx((V - Q.min(axis=1)).max())
    np.testing.assert_allclose(step.right, (step.weights * mdp.cost).sum(axis=1), atol=1e-14)
    backed = (step.weights * Q).sum(axis=1)
    np.testing.assert_allclose(step.sweep.values, backed, rtol=1e-13)
    assert (step.sweep.low, step.sweep.high) == pytest.approx(((backed - V).min(), (backed - V).max()), abs=1e-12)
    # going on from there ends where a start of its own does
    exact, begun = (
        solve_values(mdp.rows.csr, step.weights, step.right, 0.95, guess=V, begun=sweep)[0]
        for sweep in (None, step.sweep)
    )
    np.testing.assert_allclose(begun, exact, rtol=1e-11)


@pytest.mark.parametrize("step_size", [1e-12, 0.3, 1e12, "per state"])
def test_fused_mirror_steps(mdp, step_size):
    rng = np.random.default_rng(3)
    pi = rng.dirichlet(np.ones(3), size=211)
    V = mdp.evaluate(pi).values
    Q = q_table(mdp, V)
    eta = rng.random(211) * 5 if step_size == "per state" else step_size
    column = np.asarray(eta).reshape(-1, 1) * np.ones((211, 1))
    step = mdp.rows.kl_step(V, np.log(pi), eta)
    new = step.log_table
    np.testing.assert_allclose(step.weights, np.exp(new), atol=1e-14)
    check_beginning_of_the_evaluation(mdp, step, V, Q)
    y = np.log(pi) - column * (Q - Q.min(axis=1, keepdims=True))
    y -= y.max(axis=1, keepdims=True)
    expected = np.maximum(y - np.log(np.exp(y).sum(axis=1, keepdims=True)), -650)
    np.testing.assert_allclose(new, expected, rtol=1e-9, atol=1e-9)
    step = mdp.rows.euclidean_step(V, pi, eta)
    table = step.weights
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(step.log_table, np.log(table), atol=1e-14)
    check_beginning_of_the_evaluation(mdp, step, V, Q)
    np.testing.assert_allclose(table.sum(axis=1), 1.0, rtol=1e-14)
    assert (table >= 0).all()
    # optimality of the projection: the gradient is constant on the support and no smaller off it
    gradient = table - (pi - column * (Q - Q.min(axis=1, keepdims=True)))
    level = np.where(table > 0, gradient, -np.inf).max(axis=1, keepdims=True)
    slack = 1e-9 * (1 + np.abs(level))
    assert (np.where(table > 0, np.abs(gradient - level), 0) <= slack).all()
    assert (gradient >= level - slack).all()


def test_mirror_steps_leave_unavailable_actions_alone():
    base = garnet(50, 3, 4)
    available = np.random.default_rng(0).random((50, 3)) < 0.7
    available[:, 0] |= ~available.any(axis=1)
    mdp = MDP(base.transitions, base.cost, 0.9, available=available)
    log_pi = mdp.uniform_log_probabilities()
    V = mdp.evaluate(np.exp(log_pi)).values
    new = mdp.rows.kl_step(V, log_pi, 3.0).log_table
    assert np.isneginf(new[~available]).all()
    assert np.isfinite(new[available]).all()
    table = mdp.rows.euclidean_step(V, np.exp(log_pi), 0.01).weights
    assert (table[~available] == 0).all()
    np.testing.assert_allclose(table.sum(axis=1), 1.0)
    with pytest.raises(ValueError, match=r"step_size must be a number or an array of shape \(50,\)"):
        mdp.rows.kl_step(V, log_pi, np.ones(49))


def test_results_do_not_depend_on_the_number_of_threads(monkeypatch):
    monkeypatch.setattr(module, "_GRAIN", 200)
    mdp = garnet(300, 4, 5, discount=0.99)
    policy = np.full((300, 4), 0.25)
    found = []
    for count in ("1", "3"):
        monkeypatch.setenv("NUMBA_NUM_THREADS", count)
        assert threads.thread_count() == int(count)
        found.append(mdp.evaluate(policy).values)
    assert np.array_equal(*found)


def test_errors_of_a_task_reach_the_caller():
    with pytest.raises(ZeroDivisionError):
        threads.run_tasks([lambda: 1 / 0, lambda: None])


def test_unsigned_views_share_memory():
    matrix = garnet(20).transitions
    indptr, indices, data = unsigned(matrix)
    assert indices.dtype == np.uint32
    assert np.shares_memory(indices, matrix.indices)
    assert np.shares_memory(data, matrix.data)
    assert indptr[-1] == matrix.nnz
