"""The compiled loops against a plain NumPy iteration, sparse against dense, one long call against short ones."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp

import optlab
from optlab.stochastic import (
    NGN,
    NGND,
    NGNMD,
    SGD,
    Averaged,
    Decaying,
    LeastSquares,
    LogisticRegression,
    MatrixFactorization,
    NeuralNetwork,
    PhaseRetrieval,
    PolyakSGD,
    SigmoidLeastSquares,
    SoftmaxRegression,
    TanhLeastSquares,
    trace,
)


def design(n=30, d=6, seed=0, density=1.0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, d)) / np.sqrt(d)
    A[rng.random((n, d)) > density] = 0.0
    return A.astype(dtype)


def problems():
    A = design()
    rng = np.random.default_rng(1)
    noisy = A @ rng.standard_normal(6) + 0.3 * rng.standard_normal(30)
    y = np.where(noisy > 0, 1.0, -1.0)
    labels = rng.integers(0, 3, 30)
    return {
        "least squares": LeastSquares(A, noisy),
        "ridge": LeastSquares(A, noisy, l2=0.1),
        "logistic": LogisticRegression(A, y),
        "ridge logistic": LogisticRegression(A, y, l2=0.05),
        "sparse logistic": LogisticRegression(sp.csr_matrix(design(density=0.4)), y, l2=0.05),
        "sigmoid": SigmoidLeastSquares(A, (y + 1) / 2),
        "tanh": TanhLeastSquares(A, y),
        "softmax": SoftmaxRegression(A, labels, l2=0.02),
        "sparse softmax": SoftmaxRegression(sp.csr_matrix(design(density=0.4)), labels),
        "factorization": MatrixFactorization(rng.standard_normal((6, 5)), rank=2),
        "phase": PhaseRetrieval(A, (A @ rng.standard_normal(6)) ** 2),
        "network": NeuralNetwork(A, labels, hidden=(5, 4), activation="tanh", l2=0.01),
        "relu network": NeuralNetwork(A, labels, hidden=(7,)),
    }


PROBLEMS = problems()


def ngn(f, q, sigma):
    return sigma if f + 0.5 * sigma * q == 0 else sigma * f / (f + 0.5 * sigma * q)


def reference(problem, method, x, steps):
    """The algorithms as their papers print them, with the problem's own NumPy losses and gradients."""
    x = np.array(x, float)
    previous = x.copy()
    v = np.zeros_like(x)
    B, n = method.batch_size, problem.n_samples
    for k in range(steps):
        rows = np.arange(k * B, (k + 1) * B) % n
        f = float(np.mean(problem.losses(x, rows)))
        g = np.asarray(problem.gradient(x, rows), float)
        value = getattr(method, method.schedule)
        eta = value(k) if callable(value) else value
        q = float(np.sum(g * g))
        if isinstance(method, NGND):
            x, previous = x - np.vectorize(ngn)(f, g * g, eta) * g, x
            continue
        if isinstance(method, NGNMD):
            v = method.beta2 * v + (1 - method.beta2) * g * g
            D = method.epsilon + np.sqrt(v / (1 - method.beta2 ** (k + 1)))
            q = float(np.sum(g * g / D))
            wd, c = method.weight_decay, eta
            if method.version == 2:
                target = x - np.vectorize(ngn)(f, g * g, c / D) * g
            elif method.coupled:
                h = 1 + wd * c
                bracket = max(0.0, 1 - c * wd * np.sum(g * x) / (2 * f * h))
                target = x / h - (c / h) * bracket / (1 + c * q / (2 * f * h)) * g / D
            else:
                target = x - ngn(f, q, c) * g / D
            new = x + (1 - method.momentum) * (target - x) + method.momentum * (x - previous)
            if not method.coupled:
                new = new - c * wd * x
            x, previous = new, x
            continue
        if isinstance(method, NGN):
            gamma = ngn(f, q, eta)
        elif isinstance(method, PolyakSGD):
            gamma = min(f / (method.scaling * q), np.inf if eta is None else eta) if q > 0 else 0.0
        else:
            gamma = eta
        weight, beta = 1.0, method.momentum
        if beta > 0 and getattr(method, "damped", True):
            weight = 1 - beta
        x, previous = x - weight * gamma * g + beta * (x - previous), x
    return x


METHODS = {
    "NGN": NGN(sigma=3.0, sampling="sequential"),
    "NGN decaying": NGN(sigma=Decaying(3.0), batch_size=4, sampling="sequential"),
    "NGN-M": NGN(sigma=3.0, momentum=0.9, sampling="sequential"),
    "NGN-M batch": NGN(sigma=lambda k: 2.0 / (k + 1), momentum=0.5, batch_size=7, sampling="sequential"),
    "SGD": SGD(0.1, sampling="sequential"),
    "heavy ball": SGD(0.02, momentum=0.8, damped=False, batch_size=2, sampling="sequential"),
    "SPS": PolyakSGD(sampling="sequential", scaling=2.0),
    "SPS_max": PolyakSGD(max_step_size=0.5, scaling=1.0, sampling="sequential", batch_size=3),
    "NGN-D": NGND(sigma=0.1, sampling="sequential"),
    "NGN-MD": NGNMD(sigma=0.3, sampling="sequential", batch_size=3),
    "NGN-MD coupled": NGNMD(sigma=0.3, weight_decay=0.1, sampling="sequential"),
    "NGN-MD decoupled": NGNMD(sigma=0.3, weight_decay=0.1, coupled=False, sampling="sequential"),
    "NGN-MD version 2": NGNMD(sigma=0.05, version=2, sampling="sequential"),
}


def run(problem, method, steps, x0, seed=0):
    state = method.init(problem, x0, np.random.default_rng(seed))
    return method.advance(problem, state, steps)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
@pytest.mark.parametrize("name", PROBLEMS)
def test_compiled_equals_numpy(name, method):
    problem = PROBLEMS[name]
    x0 = problem.default_start(np.random.default_rng(3)) + 0.1 * np.random.default_rng(4).standard_normal(problem.shape)
    state = run(problem, method, 50, x0)
    expected = reference(problem, method, x0, 50)
    np.testing.assert_allclose(
        method.iterate(problem, state), expected, rtol=1e-10, atol=1e-12 * np.abs(expected).max()
    )
    assert state.k == 50
    assert state.oracle_calls == 50 * method.batch_size


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
@pytest.mark.parametrize("name", ["ridge logistic", "softmax"])
def test_interpreted_equals_compiled(name, method):
    problem = PROBLEMS[name]
    own = problem.subset(np.arange(problem.n_samples))
    x0 = 0.1 * np.random.default_rng(4).standard_normal(problem.shape)
    compiled = Averaged(method, start=3).iterate(problem, run(problem, Averaged(method, start=3), 40, x0))
    interpreted = Averaged(method, start=3).iterate(own, run(own, Averaged(method, start=3), 40, x0))
    np.testing.assert_allclose(interpreted, compiled, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("sigma", [0.1, 10.0, 1e4])
@pytest.mark.parametrize(("l2", "batch"), [(0.0, 1), (0.05, 1), (0.05, 5), (0.0, 5)])
def test_sparse_equals_dense(sigma, l2, batch):
    A = design(n=60, d=25, density=0.2, seed=5)
    y = np.where(np.arange(60) % 2 == 0, 1.0, -1.0)
    dense, sparse = LogisticRegression(A, y, l2), LogisticRegression(sp.csr_matrix(A), y, l2)
    x0 = np.random.default_rng(6).standard_normal(25)
    for method in (
        NGN(sigma=sigma, batch_size=batch),
        Averaged(NGN(sigma=Decaying(sigma), batch_size=batch), start=10),
    ):
        a = method.iterate(dense, run(dense, method, 5000, x0))
        b = method.iterate(sparse, run(sparse, method, 5000, x0))
        np.testing.assert_allclose(b, a, rtol=0, atol=1e-12 * np.abs(a).max())


@pytest.mark.parametrize("weights", ["uniform", "schedule"])
def test_averages_are_the_averages_of_the_iterates(weights):
    problem = PROBLEMS["sparse logistic"]
    inner = NGN(sigma=Decaying(20.0))
    x0 = np.ones(6)
    states = optlab.iterate(problem, inner, x0=x0, seed=1)
    iterates = np.array([inner.iterate(problem, next(states)) for _ in range(300)])
    method = Averaged(inner, start=100, weights=weights)
    state = method.init(problem, x0, np.random.default_rng(1))
    w = np.array([1.0 if weights == "uniform" else inner.sigma(k) for k in range(300)])
    w[:100] = 0
    for cut in (100, 37, 163):
        state = method.advance(problem, state, cut)
    np.testing.assert_allclose(method.iterate(problem, state), w @ iterates / w.sum(), rtol=1e-12)


CUT = {
    "NGN": NGN(sigma=30.0, trace=True),
    "shuffled": NGN(sigma=3.0, sampling="shuffle", batch_size=7),
    "averaged": Averaged(NGN(sigma=Decaying(5.0), sampling="shuffle"), start=20, weights="schedule"),
    "smoothed Polyak": PolyakSGD(max_step_size=1.0, smooth=True, momentum=0.5, batch_size=4),
    "NGN-MD": NGNMD(sigma=0.1, batch_size=3),
    "full": NGN(sigma=3.0, batch_size=30),
}


def flat(value):
    """All numbers in a state."""
    if dataclasses.is_dataclass(value):
        return [x for f in dataclasses.fields(value) for x in flat(getattr(value, f.name))]
    if isinstance(value, np.random.Generator):
        return [repr(value.bit_generator.state)]
    if isinstance(value, tuple):
        return [np.concatenate(value, axis=1).tobytes()] if value else []
    return [value.tobytes() if isinstance(value, np.ndarray) else value]


@pytest.mark.parametrize("method", CUT.values(), ids=CUT.keys())
@pytest.mark.parametrize("name", ["ridge logistic", "sparse logistic", "softmax"])
def test_a_run_does_not_depend_on_where_it_is_cut(name, method):
    problem = PROBLEMS[name]
    start = method.init(problem, np.ones(problem.shape), np.random.default_rng(0))
    before = flat(start)
    whole = method.advance(problem, start, 200)
    assert flat(start) == before
    parts = start
    for n in (1, 2, 97, 100):
        parts = method.advance(problem, parts, n)
    assert flat(parts) == flat(whole)


def test_checkpoint_and_resume_give_the_same_run(tmp_path):
    problem = PROBLEMS["sparse logistic"]
    method = Averaged(NGN(sigma=3.0, sampling="shuffle"))
    whole = optlab.solve(problem, method, max_iter=300, seed=1)
    optlab.solve(problem, method, max_iter=123, seed=1, checkpoint=tmp_path / "c.npz")
    joined = optlab.solve(problem, method, max_iter=300, seed=1, checkpoint=tmp_path / "c.npz", resume=True)
    np.testing.assert_array_equal(joined.solution, whole.solution)
    np.testing.assert_array_equal(joined.history["objective"], whole.history["objective"])


def test_recurrences_survive_refresh_and_many_foldings():
    A = design(n=20, d=8, density=0.5, seed=2)
    y = np.where(np.arange(20) % 2 == 0, 1.0, -1.0)
    sparse, dense = LogisticRegression(sp.csr_matrix(A), y, 2.0), LogisticRegression(A, y, 2.0)
    method = NGN(sigma=0.4, sampling="shuffle")  # alpha is about 0.5: the scale reaches 1e-6 every twenty steps
    a, b = run(dense, method, 69_999, np.ones(8)), run(sparse, method, 69_999, np.ones(8))
    np.testing.assert_allclose(method.iterate(sparse, b), method.iterate(dense, a), rtol=0, atol=1e-12)
    assert b.scalars[0] != 1.0
    np.testing.assert_allclose(b.scalars[1], np.sum(method.iterate(sparse, b) ** 2), rtol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["dense", "sparse"])
@pytest.mark.parametrize("l2", [0.0, 1e-3, 10.0])
def test_no_step_size_breaks_a_convex_problem(dtype, kind, l2):
    rng = np.random.default_rng(0)
    A = design(n=40, d=5, density=0.6, dtype=dtype)
    A[3] = 0.0
    data = sp.csr_matrix(A) if kind == "sparse" else A
    y = np.where(rng.random(40) < 0.5, 1.0, -1.0)
    separable = np.where(A.sum(1) > 0, 1, -1)
    convex = [
        LeastSquares(data, rng.standard_normal(40) * 10, l2, f_star=None),
        LogisticRegression(data, y, l2, f_star=None),
        LogisticRegression(data, separable, l2, f_star=None),
        SoftmaxRegression(data, rng.integers(0, 3, 40), l2, f_star=None),
    ]
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        for problem in convex:
            for exponent in range(-12, 13, 2):
                for batch, momentum in ((1, 0.0), (1, 0.9), (6, 0.0)):
                    method = NGN(sigma=10.0**exponent, batch_size=batch, momentum=momentum)
                    state = run(problem, method, 600, np.ones(problem.shape))
                    x = method.iterate(problem, state)
                    assert x.dtype == dtype
                    assert np.all(np.isfinite(x)), (problem, method)
                    assert all(np.isfinite(v) for v in problem.measure(x).values()), (problem, method)


def test_layouts_and_read_only_arrays_make_no_difference():
    A = design()
    y = np.where(np.arange(30) % 3 == 0, 1.0, -1.0)
    frozen = A.copy()
    frozen.setflags(write=False)
    method = NGN(sigma=2.0)
    expected = run(LogisticRegression(A, y, 0.1), method, 100, np.ones(6)).x
    for other in (np.asfortranarray(A), frozen, np.repeat(A, 2, axis=1)[:, ::2]):
        problem = LogisticRegression(other, y, 0.1)
        assert np.shares_memory(problem.A, other)  # not copied
        np.testing.assert_allclose(run(problem, method, 100, np.ones(6)).x, expected, rtol=1e-13)
        batch = NGN(sigma=2.0, batch_size=4)
        assert np.all(np.isfinite(run(problem, batch, 10, np.ones(6)).x))


def test_traces_hold_every_step_and_cost_no_difference():
    for name in ("ridge logistic", "sparse logistic", "softmax"):
        problem = PROBLEMS[name]
        result = optlab.solve(problem, NGN(sigma=5.0, trace=True), max_iter=100, seed=2)
        plain = optlab.solve(problem, NGN(sigma=5.0), max_iter=100, seed=2)
        np.testing.assert_array_equal(result.solution, plain.solution)
        steps = trace(result)
        assert len(steps["step_size"]) == 100
        gamma = 5.0 * steps["loss"] / (steps["loss"] + 2.5 * steps["gradient_norm"] ** 2)
        np.testing.assert_allclose(steps["step_size"], gamma, rtol=1e-12)
        assert result.history["step_size"][-1] == steps["step_size"][-1]
        with pytest.raises(ValueError, match="trace=True"):
            trace(plain)
