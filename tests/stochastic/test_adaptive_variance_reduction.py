"""SAGA, SVRG and the stochastic proximal point: against NumPy, sparse against dense, and to certified optima."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import brentq
from test_adaptive_methods import PROBLEMS, UserLeastSquares, batches, design, run, start

import optlab
from optlab.core.serialization import pack
from optlab.stochastic import (
    NGN,
    SAGA,
    SVRG,
    Averaged,
    Decaying,
    LeastSquares,
    LinearModel,
    LogisticRegression,
    NeuralNetwork,
    SigmoidLeastSquares,
    SoftmaxRegression,
    StochasticProximalPoint,
    trace,
)


def gradient(problem, x, rows):
    return np.asarray(problem.gradient(x, np.atleast_1d(rows)), float)


def saga_by_hand(problem, method, x, steps, step_size):
    """Linear models keep the ridge term, which is known, out of the table."""
    n, ridge = problem.n_samples, getattr(problem, "l2", 0.0) if isinstance(problem, LinearModel) else 0.0
    table = [gradient(problem, x, i) - ridge * x for i in range(n)]
    for rows in batches(problem, method, steps):
        new = {i: gradient(problem, x, i) - ridge * x for i in rows}
        x = x - step_size * (np.mean([new[i] - table[i] for i in rows], axis=0) + np.mean(table, axis=0) + ridge * x)
        for i in rows:
            table[i] = new[i]
    return x


def svrg_by_hand(problem, method, x, steps, step_size):
    for k, rows in enumerate(batches(problem, method, steps)):
        if k % method.period == 0:
            snapshot = x
        full = gradient(problem, snapshot, problem.all_rows)
        x = x - step_size * (gradient(problem, x, rows) - gradient(problem, snapshot, rows) + full)
    return x


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", PROBLEMS)
def test_both_equal_numpy(name, batch):
    problem = PROBLEMS[name]
    x0, eta = start(problem), 0.01 if name == "phase" else 0.1
    saga = SAGA(eta, batch_size=batch, sampling="sequential")
    svrg = SVRG(eta, period=7, batch_size=batch, sampling="sequential")
    for method, by_hand in ((saga, saga_by_hand), (svrg, svrg_by_hand)):
        found = method.iterate(problem, run(problem, method, 50, x0))
        np.testing.assert_allclose(found, by_hand(problem, method, x0, 50, eta), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", ["softmax", "network", "user", "least squares"])
def test_a_sample_drawn_twice_in_a_batch(name):
    """With replacement: the same numbers as by hand on the order actually drawn."""
    problem = PROBLEMS[name]
    method = SAGA(0.1, batch_size=15)
    state = method.init(problem, start(problem), np.random.default_rng(5))
    rows = np.random.default_rng(5).integers(0, problem.n_samples, 15)
    assert len(set(rows)) < 15
    x, table = start(problem), [gradient(problem, start(problem), i) for i in range(problem.n_samples)]
    for _ in range(2):
        new = {i: gradient(problem, x, i) for i in rows}
        x = x - 0.1 * (np.mean([new[i] - table[i] for i in rows], axis=0) + np.mean(table, axis=0))
        table = [new.get(i, table[i]) for i in range(problem.n_samples)]
        state = method.advance(problem, dataclasses.replace(state, rng=np.random.default_rng(5)), 1)
    np.testing.assert_allclose(method.iterate(problem, state), x, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize(
    "method", [SAGA(), SAGA(5.0, batch_size=3), SVRG(), SVRG(period=11), StochasticProximalPoint(50.0)], ids=repr
)
def test_sparse_equals_dense_and_does_not_depend_on_the_cut(method, l2):
    A = design(30, 12, density=0.3)
    y = np.where(np.arange(30) % 3 > 0, 1.0, -1.0)
    dense, sparse = LogisticRegression(A, y, l2=l2), LogisticRegression(sp.csr_matrix(A), y, l2=l2)
    x0 = np.linspace(-1, 1, 12)
    one = run(dense, method, 2000, x0)
    two = run(sparse, method, 2000, x0)
    scale = max(1.0, float(np.abs(one.x).max()))
    np.testing.assert_allclose(method.iterate(sparse, two), method.iterate(dense, one), rtol=1e-10, atol=1e-12 * scale)
    cut = method.advance(sparse, method.advance(sparse, method.init(sparse, x0, np.random.default_rng(0)), 777), 1223)
    for field in dataclasses.fields(two):
        a, b = (pack(getattr(s, field.name), {}) for s in (cut, two))
        assert a == b
    np.testing.assert_array_equal(method.iterate(sparse, cut), method.iterate(sparse, two))


@pytest.mark.delicate
@pytest.mark.parametrize("method", [SAGA(), SVRG()], ids=["SAGA", "SVRG"])
@pytest.mark.parametrize("kind", ["dense", "sparse", "softmax"])
def test_reaches_a_certified_optimum(kind, method):
    A = design(100, 5)
    y = np.where(A[:, 0] + 0.3 * np.cos(np.arange(100)) > 0, 1.0, -1.0)
    if kind == "softmax":
        problem = SoftmaxRegression(A, np.arange(100) % 3, l2=0.05)
    else:
        problem = LogisticRegression(A if kind == "dense" else sp.csr_matrix(A), y, l2=0.05)
    result = optlab.solve(problem, method, max_iter=40000, tol={"duality_gap": 1e-13}, record=1000, seed=0)
    assert result.success
    assert result.metrics["gap"] <= 1e-13


def test_oracle_calls_count_full_gradients():
    problem, user = PROBLEMS["ridge logistic"], PROBLEMS["user"]
    x0 = np.zeros(4)
    assert run(problem, SAGA(), 10, x0).oracle_calls == 20 + 10
    assert run(problem, SVRG(period=4), 10, x0).oracle_calls == 10 + 3 * 20
    assert run(user, SVRG(0.1, period=4), 10, x0).oracle_calls == 20 + 3 * 20


def test_averages_of_reduced_variance_iterates():
    A = sp.csr_matrix(design(20, 6, density=0.4))
    problem = LeastSquares(A, np.ones(20), l2=0.1)
    method = SAGA(sampling="sequential")
    state, points = method.init(problem, np.ones(6), np.random.default_rng(0)), []
    for _ in range(60):
        points.append(method.iterate(problem, state))
        state = method.advance(problem, state, 1)
    mean = optlab.solve(problem, Averaged(method), x0=np.ones(6), max_iter=60)
    np.testing.assert_allclose(mean.solution, np.mean(points, axis=0), rtol=1e-11)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", ["ridge logistic", "sparse logistic", "softmax", "user"])
def test_traces_hold_loss_and_gradient_norm_of_every_batch(name, batch):
    problem = PROBLEMS[name]
    for method in (SAGA(0.1, batch_size=batch), SVRG(0.1, period=7, batch_size=batch)):
        traced = dataclasses.replace(method, trace=True, sampling="sequential")
        plain = dataclasses.replace(traced, trace=False)
        result = optlab.solve(problem, traced, x0=start(problem), max_iter=30)
        other = optlab.solve(problem, plain, x0=start(problem), max_iter=30)
        np.testing.assert_array_equal(result.solution, other.solution)
        assert result.history["oracle_calls"][-1] == other.history["oracle_calls"][-1]
        found = trace(result)
        state = plain.init(problem, start(problem), np.random.default_rng(0))
        for k, rows in enumerate(batches(problem, method, 30)):
            x = plain.iterate(problem, state)
            assert found["loss"][k] == pytest.approx(np.mean(problem.losses(x, rows)), rel=1e-10)
            assert found["gradient_norm"][k] == pytest.approx(np.linalg.norm(gradient(problem, x, rows)), rel=1e-10)
            state = plain.advance(problem, state, 1)
        np.testing.assert_array_equal(found["step_size"], 0.1)


def test_default_step_size_needs_a_smoothness_constant():
    problem = NeuralNetwork(design(), np.arange(20) % 2, hidden=(3,))
    with pytest.raises(optlab.IncompatibleError, match="needs step_size on NeuralNetwork"):
        optlab.solve(problem, SAGA(), max_iter=1)
    with pytest.raises(ValueError, match="period"):
        SVRG(period=0)


# ---------------------------------------------------------------------- proximal point


def proximal_step_by_bisection(problem, x, i, eta):
    """x+ from the scalar optimality condition h m = m0 + eta ||a||^2 / (1 + e^m), m = y a^T x+."""
    a, t = problem.A[i], problem.targets[i]
    h, n, m0 = 1 + eta * problem.l2, float(a @ a), t * float(a @ x)
    if isinstance(problem, LeastSquares):
        d = len(x)
        return np.linalg.solve(np.eye(d) * (1 / eta + problem.l2) + np.outer(a, a), x / eta + t * a)
    m = brentq(
        lambda m: h * m - m0 - eta * n / (1 + np.exp(m)), m0 / h - 1, (m0 + eta * n) / h + 1, xtol=1e-14, rtol=1e-14
    )
    return (x + eta * t / (1 + np.exp(m)) * a) / h


@pytest.mark.parametrize("l2", [0.0, 0.2])
@pytest.mark.parametrize("eta", [1e-3, 1.0, 300.0])
@pytest.mark.parametrize("kind", [LeastSquares, LogisticRegression])
def test_proximal_point_solves_its_subproblems(kind, eta, l2):
    A = design()
    problem = kind(A, np.where(A[:, 0] > 0.1, 1.0, -1.0), l2=l2)
    x = np.ones(4)
    for i in range(20):
        x = proximal_step_by_bisection(problem, x, i, eta)
    found = optlab.solve(problem, StochasticProximalPoint(eta, sampling="sequential"), x0=np.ones(4), max_iter=20)
    np.testing.assert_allclose(found.solution, x, rtol=1e-9, atol=1e-11)


def test_proximal_point_is_ngn_on_least_squares():
    problem = LeastSquares(design(), np.arange(20.0))
    one = optlab.solve(problem, StochasticProximalPoint(3.0), max_iter=200, seed=1)
    two = optlab.solve(problem, NGN(3.0), max_iter=200, seed=1)
    np.testing.assert_allclose(one.solution, two.solution, rtol=1e-9)


@pytest.mark.parametrize("exponent", [-12, 12])
@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sparse", [False, True])
def test_proximal_point_at_extreme_step_sizes(sparse, dtype, l2, exponent):
    A = design(dtype=dtype, density=0.6)
    problem = LogisticRegression(sp.csr_matrix(A) if sparse else A, np.where(np.arange(20) % 2, 1, -1), l2=l2)
    result = optlab.solve(problem, StochasticProximalPoint(10.0**exponent), max_iter=500, seed=0)
    assert result.solution.dtype == dtype
    assert np.all(np.isfinite(result.solution))
    assert result.metrics["objective"] < 1e3


def test_proximal_point_converges_with_decaying_steps():
    problem = PROBLEMS["ridge logistic"]
    result = optlab.solve(problem, StochasticProximalPoint(Decaying(2.0, power=0.8)), max_iter=20000, seed=0)
    assert result.metrics["gap"] < 1e-3


def test_proximal_point_refuses_what_it_cannot_solve():
    with pytest.raises(ValueError, match="batch_size must be 1"):
        StochasticProximalPoint(batch_size=2)
    for problem in (SigmoidLeastSquares(design(), np.arange(20) % 2), UserLeastSquares(design(), np.ones(20))):
        with pytest.raises(TypeError, match="LeastSquares or LogisticRegression"):
            optlab.solve(problem, StochasticProximalPoint(), max_iter=1)
