"""Throw-away miniatures of the families that stand on the core: none of them may bend it.

A stochastic finite sum (millions of cheap steps inside one compiled call, per-epoch records, many seeds), a Markov
decision process (few expensive iterations, work counted in linear solves), an estimator that solves inside ``fit``.
"""

import pickle
from dataclasses import dataclass

import numba
import numpy as np
import pytest

import optlab
from optlab import Status
from optlab.core import Method, State

# ---------------------------------------------------------------------- stochastic finite sums


@numba.njit
def _sgd_kernel(A, b, x, step_size, rng, n):
    for _ in range(n):
        i = rng.integers(0, A.shape[0])
        residual = A[i] @ x - b[i]
        for j in range(x.size):
            x[j] -= step_size * residual * A[i, j]


class MiniLeastSquares:
    primary_metric = "gap"

    def __init__(self, n=200, d=5, seed=0):
        rng = np.random.default_rng(seed)
        self.A = rng.standard_normal((n, d))
        self.b = self.A @ np.ones(d)

    def default_start(self, rng):
        return np.zeros(self.A.shape[1])

    def measure(self, x):
        return {"gap": 0.5 * float(np.mean((self.A @ x - self.b) ** 2))}


@dataclass
class SGDState(State):
    x: np.ndarray
    rng: np.random.Generator
    oracle_calls: int


def copy_generator(rng):
    other = np.random.Generator(type(rng.bit_generator)())
    other.bit_generator.state = rng.bit_generator.state
    return other


@dataclass(frozen=True)
class MiniSGD(Method):
    step_size: float = 0.05

    def init(self, problem, x0, rng):
        return SGDState(0, np.array(x0, dtype=float), rng, 0)

    def advance(self, problem, state, n):
        x, rng = state.x.copy(), copy_generator(state.rng)
        _sgd_kernel(problem.A, problem.b, x, self.step_size, rng, n)
        return SGDState(state.k + n, x, rng, state.oracle_calls + n)

    def iterate(self, problem, state):
        return state.x

    def measure(self, problem, state):
        return {"epoch": state.k / len(problem.b)}


def test_sgd_per_epoch_records_and_many_seeds():
    problem = MiniLeastSquares()
    runs = [optlab.solve(problem, MiniSGD(), max_iter=20 * 200, record=200, seed=s) for s in range(8)]
    gaps = np.array([r.history["gap"] for r in runs])
    assert gaps.shape == (8, 21)
    assert np.all(gaps[:, -1] < 1e-6)
    assert len({g[1] for g in gaps}) == 8
    np.testing.assert_array_equal(runs[0].history["epoch"], np.arange(21))
    np.testing.assert_array_equal(runs[0].history["oracle_calls"], np.arange(21) * 200)


def test_sgd_bulk_advance_does_not_depend_on_where_it_is_cut(tmp_path):
    problem = MiniLeastSquares()
    fine = optlab.solve(problem, MiniSGD(), max_iter=1000, record="all", seed=1)
    coarse = optlab.solve(problem, MiniSGD(), max_iter=1000, record=1000, seed=1)
    shown = optlab.solve(problem, MiniSGD(), max_iter=1000, record=1000, seed=1, time_limit=1000.0)
    np.testing.assert_array_equal(fine.solution, coarse.solution)
    np.testing.assert_array_equal(fine.solution, shown.solution)
    path = tmp_path / "sgd.npz"
    optlab.solve(problem, MiniSGD(), max_iter=333, seed=1, checkpoint=path)
    joined = optlab.solve(problem, MiniSGD(), max_iter=1000, seed=1, checkpoint=path, resume=True)
    np.testing.assert_array_equal(joined.solution, fine.solution)


def test_sgd_diverging_inside_one_compiled_call_keeps_the_last_finite_record():
    result = optlab.solve(MiniLeastSquares(), MiniSGD(step_size=10.0), max_iter=10**5, record=50, seed=0)
    assert result.status is Status.DIVERGED
    assert np.all(np.isfinite(result.solution))


# ---------------------------------------------------------------------- Markov decision processes


class MiniMDP:
    primary_metric = "gap"

    def __init__(self, states=12, actions=3, discount=0.9, seed=0):
        rng = np.random.default_rng(seed)
        self.P = rng.dirichlet(np.ones(states), size=(actions, states))
        self.cost = rng.random((states, actions))
        self.discount = discount

    def default_start(self, rng):
        states, actions = self.cost.shape
        return np.full((states, actions), 1 / actions)

    def values(self, policy):
        transition = np.einsum("sa,ast->st", policy, self.P)
        return np.linalg.solve(np.eye(len(transition)) - self.discount * transition, (policy * self.cost).sum(1))

    def action_values(self, v):
        return self.cost + self.discount * np.einsum("ast,t->sa", self.P, v)

    def measure(self, policy):
        v = self.values(policy)
        return {"gap": float(np.max(v - self.action_values(v).min(1))), "value": float(v.mean())}


@dataclass
class PolicyState(State):
    policy: np.ndarray
    linear_solves: int


@dataclass(frozen=True)
class MiniMirrorDescent(Method):
    step_size: float = 1.0

    def init(self, problem, x0, rng):
        return PolicyState(0, x0, 0)

    def step(self, problem, state):
        q = problem.action_values(problem.values(state.policy))
        logits = np.log(state.policy + 1e-300) - self.step_size * q
        policy = np.exp(logits - logits.max(1, keepdims=True))
        return PolicyState(state.k + 1, policy / policy.sum(1, keepdims=True), state.linear_solves + 1)

    def iterate(self, problem, state):
        return state.policy

    def measure(self, problem, state):
        return {"linear_solves": state.linear_solves}


def test_mdp_few_heavy_iterations_with_their_own_work_counter():
    result = optlab.solve(MiniMDP(), MiniMirrorDescent(5.0), tol=1e-8, max_iter=500, record="all")
    assert result.success
    assert result.history["linear_solves"][-1] == result.n_iter
    ax = result.history.plot("gap", against="linear_solves")
    assert ax.get_xlabel() == "linear solves"
    np.testing.assert_allclose(result.solution.sum(1), 1)


def test_mdp_state_with_geometric_steps_as_a_schedule_of_k():
    @dataclass(frozen=True)
    class Geometric(MiniMirrorDescent):
        growth: float = 1.5

        def step(self, problem, state):
            return MiniMirrorDescent(self.step_size * self.growth**state.k).step(problem, state)

    slow = optlab.solve(MiniMDP(), MiniMirrorDescent(1.0), tol=1e-8, max_iter=2000, record=1)
    fast = optlab.solve(MiniMDP(), Geometric(1.0), tol=1e-8, max_iter=2000, record=1)
    assert fast.n_iter < slow.n_iter


# ---------------------------------------------------------------------- an estimator


def make_estimator():
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.utils.validation import check_is_fitted, check_random_state, validate_data

    class Fitted(MiniLeastSquares):
        def __init__(self, A, b):
            self.A, self.b = A, b

    class MiniRegressor(RegressorMixin, BaseEstimator):
        def __init__(self, step_size=0.05, tol=1e-6, max_iter=2000, warm_start=False, random_state=None):
            self.step_size = step_size
            self.tol = tol
            self.max_iter = max_iter
            self.warm_start = warm_start
            self.random_state = random_state

        def fit(self, X, y):
            X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
            seed = int(check_random_state(self.random_state).randint(2**31 - 1))
            start = self.coef_ if self.warm_start and hasattr(self, "coef_") else None
            result = optlab.solve(
                Fitted(X, y.astype(float)),
                MiniSGD(self.step_size / np.mean((X**2).sum(1))),
                x0=start,
                tol=self.tol,
                max_iter=self.max_iter,
                seed=seed,
            )
            self.coef_, self.history_, self.n_iter_ = result.solution, result.history, result.n_iter
            return self

        def predict(self, X):
            check_is_fitted(self)
            return validate_data(self, X, reset=False) @ self.coef_

    return MiniRegressor


def test_estimator_runs_a_solver_inside_fit():
    from sklearn.base import clone

    problem = MiniLeastSquares()
    estimator = make_estimator()(random_state=0).fit(problem.A, problem.b)
    assert estimator.score(problem.A, problem.b) > 0.99
    assert estimator.history_["gap"][-1] < estimator.history_["gap"][0]
    again = clone(estimator).fit(problem.A, problem.b)
    np.testing.assert_array_equal(estimator.coef_, again.coef_)
    warm = make_estimator()(random_state=0, warm_start=True, tol=1e-5).fit(problem.A, problem.b)
    before = warm.n_iter_
    assert warm.fit(problem.A, problem.b).n_iter_ < before


def test_history_and_result_survive_pickling_by_joblib_and_estimators():
    result = optlab.solve(MiniMDP(), MiniMirrorDescent(), max_iter=5)
    back = pickle.loads(pickle.dumps(result))
    assert back.history.equals(result.history)
    assert back.status is Status.MAX_ITER
    np.testing.assert_array_equal(back.solution, result.solution)


@pytest.mark.slow
def test_a_million_cheap_steps():
    result = optlab.solve(MiniLeastSquares(), MiniSGD(1e-3), max_iter=10**6, record=10**5, seed=0)
    assert result.n_iter == 10**6
