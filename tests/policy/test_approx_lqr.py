"""Gaussian policies on the linear-quadratic regulator: closed forms against definitions, rates, refusals."""

import numpy as np
import pytest
from scipy import linalg

import optlab
from optlab.core.errors import DomainError
from optlab.policy.lqr import LQR, GaussianMirrorDescent, GaussianPolicy, HewerPolicyIteration, lqr
from optlab.splitting import Geometric


@pytest.fixture(scope="module")
def problem():
    return lqr(seed=0)


def stochastic_policy(problem, seed=1):
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((problem.n_inputs, problem.n_inputs))
    gain = problem.optimal_gain + 0.1 * rng.standard_normal((problem.n_inputs, problem.n_states))
    return GaussianPolicy(gain, root @ root.T + 0.1 * np.eye(problem.n_inputs))


def test_value_is_the_mean_cost_of_simulated_trajectories(problem):
    policy = stochastic_policy(problem)
    rng = np.random.default_rng(0)
    n, horizon = 5_000, 150
    x = rng.standard_normal((n, problem.n_states))
    total = np.zeros(n)
    for t in range(horizon):
        u = policy.sample(x, rng)
        cost = np.einsum("ni,ij,nj->n", x, problem.state_cost, x) + np.einsum("ni,ij,nj->n", u, problem.input_cost, u)
        total += problem.discount**t * cost
        x = x @ problem.transition.T + u @ problem.input_matrix.T + rng.standard_normal(x.shape)
    error = total.std() / np.sqrt(n) + problem.discount**horizon * problem.value(policy)
    assert abs(total.mean() - problem.value(policy)) < 4 * error


def test_action_values_satisfy_the_bellman_equation(problem):
    """V(x) = E_u Q(x, u) up to a constant: the quadratic parts agree, and inv(M) N minimises."""
    K = stochastic_policy(problem).gain
    M, N = problem.action_values(K)
    X = problem.cost_to_go(K)
    without_u = problem.state_cost + problem.discount * problem.transition.T @ X @ problem.transition
    np.testing.assert_allclose(X, without_u + K.T @ M @ K - K.T @ N - N.T @ K, rtol=1e-10)
    greedy = linalg.solve(M, N)
    assert np.all(np.linalg.eigvalsh(X - problem.cost_to_go(greedy)) > -1e-10)


def test_a_step_is_log_density_minus_eta_times_action_values(problem):
    policy = stochastic_policy(problem)
    method = GaussianMirrorDescent(0.7)
    state = method.init(problem, policy, np.random.default_rng(0))
    after = method.iterate(problem, method.step(problem, state))
    M, N = problem.action_values(policy.gain)
    rng = np.random.default_rng(2)
    x = rng.standard_normal(problem.n_states)
    actions = rng.standard_normal((30, problem.n_inputs))
    states = np.tile(x, (30, 1))
    Q = np.einsum("ni,ij,nj->n", actions, M, actions) + 2 * actions @ N @ x
    difference = after.log_density(states, actions) - (policy.log_density(states, actions) - 0.7 * Q)
    np.testing.assert_allclose(difference, difference[0], rtol=0, atol=1e-11)


def test_gap_is_the_difference_of_values(problem):
    policy = stochastic_policy(problem)
    difference = problem.value(policy) - problem.value(problem.optimal)
    assert problem.measure(policy)["gap"] == pytest.approx(difference, rel=1e-10)
    assert problem.measure(problem.optimal)["gap"] == pytest.approx(0.0, abs=1e-20)


@pytest.mark.parametrize("growth", [2.0, 10.0])
def test_error_in_the_gain_falls_by_the_growth_of_the_steps(problem, growth):
    marks = [4, 8] if growth == 10.0 else [10, 30]
    result = optlab.solve(problem, GaussianMirrorDescent(Geometric(1.0, growth)), max_iter=marks[1], record=marks)
    error = result.history["gain_error"]
    rate = np.log(error[1] / error[2]) / (marks[1] - marks[0])
    assert rate == pytest.approx(np.log(growth), rel=0.1)


@pytest.mark.delicate
def test_constant_steps_average_and_converge_like_one_over_k(problem):
    result = optlab.solve(problem, GaussianMirrorDescent(1.0), max_iter=400, record=[50, 400])
    error = result.history["gain_error"]
    assert np.log(error[1] / error[2]) / np.log(8) == pytest.approx(1.0, rel=0.1)


def test_large_steps_are_policy_iteration(problem):
    start = stochastic_policy(problem)
    hewer = HewerPolicyIteration()
    newton = hewer.iterate(problem, hewer.step(problem, hewer.init(problem, start, None)))
    method = GaussianMirrorDescent(1e12)
    mirror = method.iterate(problem, method.step(problem, method.init(problem, start, None)))
    np.testing.assert_allclose(mirror.gain, newton.gain, atol=1e-10)


@pytest.mark.delicate
def test_policy_iteration_converges_quadratically(problem):
    error = optlab.solve(problem, HewerPolicyIteration(), max_iter=5, record="all").history["gain_error"]
    assert error[-1] < 1e-14
    assert error[4] < 10 * error[3] ** 2


@pytest.mark.parametrize("step_size", [1e-12, 1e12])
def test_extreme_steps_stay_finite(problem, step_size):
    result = optlab.solve(problem, GaussianMirrorDescent(step_size), max_iter=200)
    assert result.status is optlab.Status.MAX_ITER
    assert all(np.isfinite(result.history[name]).all() for name in result.history.columns)


def test_refusals(problem):
    with pytest.raises(ValueError, match="input_cost must be positive definite"):
        LQR(np.eye(2), np.eye(2), np.eye(2), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="state_cost must be symmetric"):
        LQR(np.eye(2), np.eye(2), [[1.0, 1.0], [0.0, 1.0]], np.eye(2))
    with pytest.raises(ValueError, match="noise must be positive semidefinite"):
        LQR(np.eye(2), np.eye(2), np.eye(2), np.eye(2), noise=-np.eye(2))
    with pytest.raises(ValueError, match="discount"):
        LQR(np.eye(2), np.eye(2), np.eye(2), np.eye(2), discount=1.0)
    with pytest.raises(DomainError, match="not stabilising"):
        problem.cost_to_go(np.full((2, 3), 9.0))
    deterministic = problem.optimal
    with pytest.raises(ValueError, match="positive definite"):
        optlab.solve(problem, GaussianMirrorDescent(), x0=deterministic, max_iter=1)
    with pytest.raises(TypeError, match="GaussianPolicy"):
        optlab.solve(problem, HewerPolicyIteration(), x0=np.zeros((2, 3)), max_iter=1)


def test_an_unstable_system_is_told_to_pass_a_start():
    problem = LQR([[1.5]], [[1.0]], [[1.0]], [[1.0]], 0.9)
    with pytest.raises(DomainError, match=r"pass x0=GaussianPolicy\(K, covariance\) with a gain that is"):
        optlab.solve(problem, HewerPolicyIteration())
    run = optlab.solve(problem, HewerPolicyIteration(), x0=GaussianPolicy([[1.0]], [[0.0]]))
    assert run.success
    assert run.metrics["gain_error"] < 1e-12
    with pytest.raises(DomainError, match="the Riccati equation has no such solution"):
        LQR([[1.5]], [[0.0]], [[1.0]], [[1.0]], 0.9).optimal_gain  # noqa: B018
