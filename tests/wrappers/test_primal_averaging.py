"""Primal averages in compiled loops against their textbook recursions in NumPy, sample by sample."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp

import optlab
from optlab.bregman import SquaredEuclidean
from optlab.bregman.functions import Box, SquaredDistance
from optlab.splitting import BregmanDouglasRachford, CompositeProblem
from optlab.stochastic import (
    NGN,
    SAGA,
    SGD,
    SLS,
    Adam,
    AdamW,
    Cosine,
    Decaying,
    FiniteSum,
    LeastSquares,
    LogisticRegression,
    SoftmaxRegression,
    StochasticProximalPoint,
    Warmup,
)
from optlab.stochastic import ScheduleFree as ScheduleFreeSGD
from optlab.wrappers import (
    Averaged,
    DiLoCo,
    ExponentialAveraging,
    LatestWeightAveraging,
    Lookahead,
    PrimalAveraging,
    ScheduleFree,
)

RNG = np.random.default_rng(0)
N, D = 60, 12
A = RNG.standard_normal((N, D))
SPARSE = sp.csr_matrix(A * (RNG.random((N, D)) < 0.4))
W = RNG.standard_normal(D)
SIGNS = np.where(A @ W + 0.3 * RNG.standard_normal(N) > 0, 1.0, -1.0)
TARGETS = A @ W + 0.1 * RNG.standard_normal(N)


class Own(FiniteSum):
    def losses(self, x, rows):
        return 0.5 * (A[rows] @ x - TARGETS[rows]) ** 2

    def gradient(self, x, rows):
        return A[rows].T @ (A[rows] @ x - TARGETS[rows]) / len(rows)


PROBLEMS = {
    "dense": LeastSquares(A, TARGETS),
    "dense, ridge, intercept": LogisticRegression(A, SIGNS, 0.1, intercept=True),
    "sparse": LeastSquares(SPARSE, TARGETS),
    "sparse, ridge": LogisticRegression(SPARSE, SIGNS, 0.1),
    "sparse, ridge, intercept": LogisticRegression(SPARSE, SIGNS, 0.1, intercept=True),
    "softmax": SoftmaxRegression(A, RNG.integers(0, 3, N), 1e-2),
    "a user's own": Own(N, D),
}
BASES = {
    "SGD": lambda batch: SGD(0.05, batch_size=batch),
    "NGN": lambda batch: NGN(0.05, batch_size=batch),
    "momentum": lambda batch: SGD(0.05, momentum=0.9, batch_size=batch),
    "AdamW": lambda batch: AdamW(0.05, weight_decay=0.1, batch_size=batch),
}


def run(problem, method, n, cut=None):
    state = method.init(problem, problem.default_start(np.random.default_rng(3)) + 0.1, np.random.default_rng(7))
    for part in (n,) if cut is None else (cut, n - cut):
        state = method.advance(problem, state, part)
    return state


def textbook(problem, base, coefficients, n, batch, decay=0.0, gamma=0.05):
    """The three-sequence recursion; coefficients(k) gives 1 - mu_x and mu_y."""
    x = z = problem.default_start(np.random.default_rng(3)).ravel() + 0.1
    order = np.random.default_rng(7).integers(0, problem.n_samples, size=(n, batch))
    m, v, move = (np.zeros(x.size) for _ in range(3))
    for k in range(n):
        c, mu = coefficients(k)
        y = mu * x + (1 - mu) * z
        f, g = problem.batch(y.reshape(problem.shape), order[k])
        g = np.ravel(g)
        if base == "SGD":
            d = -gamma * g
        elif base == "NGN":
            d = -gamma / (1 + gamma * (g @ g) / (2 * f)) * g
        elif base == "momentum":
            move = 0.9 * move - 0.1 * gamma * g
            d = move
        else:
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            d = -gamma * (m / (1 - 0.9 ** (k + 1)) / (np.sqrt(v / (1 - 0.999 ** (k + 1))) + 1e-8) + 0.1 * z)
        z = z + d - gamma * decay * y
        x = (1 - c) * x + c * z
    return x.reshape(problem.shape)


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("batch", [1, 4])
def test_primal_averages_are_the_textbook_recursion(problem, base, batch):
    chosen, n = PROBLEMS[problem], 40 if problem == "a user's own" else 150
    for averaging, interpolation in ((0.9, 0.7), (0.9967, 0.7), (0.9, 0.0), (0.0, 0.5), (0.9, 1.0)):
        method = PrimalAveraging(BASES[base](batch), interpolation, averaging)
        got = method.iterate(chosen, run(chosen, method, n, n // 3))
        want = textbook(chosen, base, lambda k, a=averaging, i=interpolation: (1 - a, i), n, batch)
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-12 * max(1.0, np.abs(want).max()))
    method = ScheduleFree(BASES[base](batch), weight_decay=0.2)
    got = method.iterate(chosen, run(chosen, method, n, n // 3))
    want = textbook(chosen, base, lambda k: (1 / (k + 1), 0.9), n, batch, decay=0.2)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-12 * max(1.0, np.abs(want).max()))


def test_constants_may_vary_with_the_iteration():
    problem = PROBLEMS["sparse, ridge"]
    method = PrimalAveraging(SGD(0.05), lambda k: 1 - 2 / (k + 2), lambda k: 1 - 2 / (k + 2))
    got = method.iterate(problem, run(problem, method, 150, 40))
    want = textbook(problem, "SGD", lambda k: (2 / (k + 2), 1 - 2 / (k + 2)), 150, 1)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-13)


@pytest.mark.parametrize("problem", ["dense", "sparse, ridge, intercept", "softmax"])
def test_special_cases(problem):
    problem = PROBLEMS[problem]
    base, n = SGD(Decaying(0.1)), 200
    plain = base.iterate(problem, run(problem, base, n))
    alone = PrimalAveraging(base, 0.7, 0.0)
    np.testing.assert_allclose(alone.iterate(problem, run(problem, alone, n)), plain, rtol=0, atol=1e-14)
    frozen = PrimalAveraging(base, 0.7, 1.0)
    np.testing.assert_allclose(
        frozen.iterate(problem, run(problem, frozen, n)),
        problem.default_start(np.random.default_rng(3)) + 0.1,
        atol=1e-15,
    )
    mean, x = ExponentialAveraging(base, 0.95), None
    state = run(problem, mean, 0)
    inner = run(problem, base, 0)
    x = base.iterate(problem, inner)
    for _ in range(n):
        inner = base.step(problem, inner)
        x = 0.95 * x + 0.05 * base.iterate(problem, inner)
    np.testing.assert_allclose(mean.iterate(problem, mean.advance(problem, state, n)), x, rtol=0, atol=1e-13)


def schedule_free_package(problem, n, lr, beta, warmup, decay, r, p, adam):
    """One parameter vector of `schedulefree` 1.4.1 (SGDScheduleFree, AdamWScheduleFree), its update restated."""
    y = z = problem.default_start(np.random.default_rng(3)).ravel() + 0.1
    order = np.random.default_rng(7).integers(0, problem.n_samples, size=n)
    v, lr_max, weight_sum = np.zeros(y.size), -1.0, 0.0
    for k in range(n):
        g = np.ravel(problem.batch(y.reshape(problem.shape), order[k : k + 1])[1])
        rate = lr * min(1.0, (k + 1) / warmup)
        lr_max = max(rate, lr_max)
        weight = (k + 1) ** r * lr_max**p
        weight_sum += weight
        c = weight / weight_sum
        if adam:
            v = 0.999 * v + 0.001 * g * g
            g = g / (np.sqrt(v / (1 - 0.999 ** (k + 1))) + 1e-8)
        g = g + decay * y
        y = (1 - c) * y + c * z + rate * (beta * (1 - c) - 1) * g
        z = z - rate * g
    return ((y - (1 - beta) * z) / beta).reshape(problem.shape)


@pytest.mark.parametrize("problem", ["dense, ridge, intercept", "sparse, ridge", "softmax"])
@pytest.mark.parametrize(("r", "p"), [(0.0, 2.0), (1.0, 0.0)])
@pytest.mark.parametrize("adam", [False, True])
def test_schedule_free_is_the_authors_package(problem, r, p, adam):
    problem, rate = PROBLEMS[problem], Warmup(0.02, 30)
    base = Adam(rate, beta1=0.0) if adam else SGD(rate)
    method = ScheduleFree(base, 0.9, weight_decay=0.05, power=r, weight_power=p)
    got = method.iterate(problem, run(problem, method, 200, 77))
    want = schedule_free_package(problem, 200, 0.02, 0.9, 30, 0.05, r, p, adam)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)


def test_the_older_schedule_free_method_is_the_wrapper_around_sgd():
    problem = PROBLEMS["dense, ridge, intercept"]
    old, new = ScheduleFreeSGD(0.05), ScheduleFree(SGD(0.05))
    np.testing.assert_allclose(
        old.iterate(problem, run(problem, old, 300)), new.iterate(problem, run(problem, new, 300)), rtol=0, atol=1e-13
    )


def unfused(method):
    """The same method without a loop of its own for wrappers."""

    class Stepped(type(method)):
        def interpolates(self, problem):
            return False

        def takes_outer_steps(self, problem):
            return False

    return Stepped(**{field.name: getattr(method, field.name) for field in dataclasses.fields(method)})


@pytest.mark.parametrize("problem", ["dense, ridge, intercept", "sparse, ridge", "softmax", "a user's own"])
@pytest.mark.parametrize("method", [SGD(0.05), NGN(0.5, batch_size=4), SAGA(0.02), SLS(), SGD(0.02, momentum=0.9)])
def test_inside_a_loop_and_around_it_wrappers_do_the_same(problem, method):
    problem = PROBLEMS[problem]
    wrappers = [lambda m: DiLoCo(m, 7), lambda m: Lookahead(m, 5, 0.4), lambda m: PrimalAveraging(m, 0.7, 0.9)]
    for wrap in wrappers:
        inside, around = wrap(method), wrap(unfused(method))
        got = inside.iterate(problem, run(problem, inside, 60, 24))
        want = around.iterate(problem, run(problem, around, 60))
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)


def test_proximal_points_near_an_average():
    problem = PROBLEMS["dense, ridge, intercept"]
    base = StochasticProximalPoint(0.5)
    inside, around = (PrimalAveraging(m, 0.7, 0.9) for m in (base, unfused(base)))
    got, want = (m.iterate(problem, run(problem, m, 60)) for m in (inside, around))
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-13)


def test_diloco_is_its_recursion():
    problem, base = PROBLEMS["sparse, ridge"], Adam(0.02)
    method = DiLoCo(base, 5, 0.4, 0.75)
    got = method.iterate(problem, run(problem, method, 103))
    inner = run(problem, base, 0)
    slow, b = inner.x, 0.0
    for _ in range(20):
        inner = base.advance(problem, inner, 5)
        change = slow - inner.x
        b = 0.75 * b + change
        slow = slow - 0.4 * (change + 0.75 * b)
        inner = base.with_variable(problem, inner, slow)
    np.testing.assert_allclose(got, slow, rtol=0, atol=1e-14)


def test_latest_weights_are_the_mean_of_checkpoints():
    problem, base = PROBLEMS["sparse"], SGD(0.05)
    method = LatestWeightAveraging(base, 3, 10)
    got = method.iterate(problem, run(problem, method, 57))
    points = [base.iterate(problem, run(problem, base, k)) for k in (30, 40, 50)]
    np.testing.assert_allclose(got, np.mean(points, axis=0), rtol=0, atol=1e-14)


def test_around_a_deterministic_method():
    problem = CompositeProblem(Box(0.0, 1.0), SquaredDistance(np.array([2.0, -1.0])), SquaredEuclidean())
    base = BregmanDouglasRachford(1.0)
    method = PrimalAveraging(base, 0.7, 0.5)
    assert optlab.solve(problem, method, tol=1e-10, max_iter=500).success
    state = method.init(problem, problem.default_start(np.random.default_rng(0)), np.random.default_rng(0))
    x = z = base.variable(state.inner)
    inner = state.inner
    for _ in range(10):
        y = 0.7 * x + 0.3 * z
        at_y = base.with_variable(problem, inner, y)
        inner = base.step(problem, at_y)
        z = z + (base.variable(inner) - y)
        inner = base.with_variable(problem, inner, z)
        x = 0.5 * x + 0.5 * z
    np.testing.assert_allclose(method.variable(method.advance(problem, state, 10)), x, rtol=0, atol=1e-14)


@pytest.mark.parametrize("method", [SGD(0.05), NGN(1.0), StochasticProximalPoint(0.3), SAGA(0.02)])
def test_lazy_averages_are_the_sums_of_the_iterates(method):
    problem = PROBLEMS["sparse, ridge, intercept"]
    wrapped = Averaged(method, start=20, weights="linear")
    got = wrapped.iterate(problem, run(problem, wrapped, 200, 90))
    state, total, weight = run(problem, method, 0), 0.0, 0.0
    for k in range(200):
        if k >= 20:
            total, weight = total + (k - 19) * method.iterate(problem, state), weight + k - 19
        state = method.step(problem, state)
    np.testing.assert_allclose(got, total / weight, rtol=0, atol=1e-13)


def test_schedules():
    k = np.arange(12)
    warm, half = Warmup(Decaying(1.0), 4), Cosine(2.0, 10, 0.5)
    np.testing.assert_allclose(warm(k), Decaying(1.0)(k) * np.minimum(1, (k + 1) / 4))
    np.testing.assert_allclose(half(k)[[0, 5, 10, 11]], [2.0, 1.25, 0.5, 0.5])
    problem = PROBLEMS["dense"]
    for schedule in (warm, half, Warmup(half, 3)):
        by_class = SGD(schedule).iterate(problem, run(problem, SGD(schedule), 30))
        by_function = SGD(lambda i, s=schedule: float(s(i)))
        np.testing.assert_allclose(by_class, by_function.iterate(problem, run(problem, by_function, 30)), atol=1e-15)
    with pytest.raises(ValueError, match="steps"):
        Warmup(1.0, 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PrimalAveraging(SGD(0.1), 1.5), "interpolation"),
        (lambda: PrimalAveraging(SGD(0.1), averaging=-0.1), "averaging"),
        (lambda: ScheduleFree(SGD(0.1), weight_decay=-1.0), "weight_decay"),
        (lambda: DiLoCo(SGD(0.1), 0), "period"),
        (lambda: DiLoCo(SGD(0.1), momentum=1.0), "momentum"),
        (lambda: LatestWeightAveraging(SGD(0.1), 0), "count"),
        (lambda: PrimalAveraging(SGD), "instance"),
    ],
)
def test_bad_settings_are_named(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_a_bad_value_of_a_schedule_is_named():
    with pytest.raises(ValueError, match=r"averaging\(3\)"):
        optlab.solve(
            PROBLEMS["dense"], PrimalAveraging(SGD(0.1), averaging=lambda k: 0.9 if k < 3 else 2.0), max_iter=10
        )


def test_a_decay_at_the_point_needs_a_compiled_loop():
    problem = CompositeProblem(Box(0.0, 1.0), SquaredDistance(np.array([2.0, -1.0])), SquaredEuclidean())
    with pytest.raises(optlab.IncompatibleError, match="decays weights"):
        optlab.solve(problem, ScheduleFree(BregmanDouglasRachford(1.0), weight_decay=0.1), max_iter=2)
