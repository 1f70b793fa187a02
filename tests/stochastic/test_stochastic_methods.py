"""The methods: identities and closed forms of the NGN step size, schedules, bounds, sampling, arguments."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import optlab
from optlab.compiled.rules import step_rule
from optlab.stochastic import (
    NGN,
    NGND,
    NGNMD,
    SGD,
    SLS,
    SVRG,
    Averaged,
    Decaying,
    FiniteSum,
    LeastSquares,
    LogisticRegression,
    PolyakSGD,
    ScheduleFree,
    StepDecay,
    StochasticMethod,
    trace,
)
from optlab.stochastic.methods.ngn import ngn_step_size

positive = st.floats(-10, 10).map(lambda e: 10.0**e)


@given(loss=positive, squared_norm=positive, sigma=positive)
@settings(deadline=None, derandomize=True, max_examples=200)
def test_step_size_identities(loss, squared_norm, sigma):
    gamma = ngn_step_size(loss, squared_norm, sigma)
    smaller = min(sigma, 2 * loss / squared_norm)
    assert 0.5 * smaller * (1 - 1e-12) <= gamma <= smaller * (1 + 1e-12)
    # gamma ||g||^2 = 2 (1 - gamma / sigma) f, where the difference is not all rounding
    assert gamma * squared_norm == pytest.approx(2 * (1 - gamma / sigma) * loss, abs=1e-13 * loss)
    # f -> a f, sigma -> sigma / a leaves gamma g unchanged
    assert ngn_step_size(3 * loss, 9 * squared_norm, sigma / 3) * 3 == pytest.approx(gamma, rel=1e-13)


def test_step_size_at_the_edges():
    assert ngn_step_size(0.0, 0.0, 7.0) == 7.0
    assert ngn_step_size(-1.0, 1.0, 7.0) == 0.0
    assert ngn_step_size(1e-310, 1e-310, 1e3) == pytest.approx(1e3 / (1 + 5e2), rel=1e-10)
    for loss in (1e-320, 1e300):
        for squared_norm in (0.0, 1e-320, 1e308):
            assert 0 <= ngn_step_size(loss, squared_norm, 1e12) <= 1e12


def test_step_is_the_damped_gauss_newton_step():
    rng = np.random.default_rng(0)
    for _ in range(50):
        g, f, sigma = rng.standard_normal(4), rng.exponential(), 10.0 ** rng.uniform(-2, 2)
        system = np.outer(g, g) / (2 * f) + np.eye(4) / sigma
        np.testing.assert_allclose(-ngn_step_size(f, g @ g, sigma) * g, np.linalg.solve(system, -g), rtol=1e-8)


def test_least_squares_step_is_the_proximal_step_and_kaczmarz():
    rng = np.random.default_rng(1)
    a, x, b = rng.standard_normal(5), rng.standard_normal(5), 0.7
    problem = LeastSquares(a[None], [b])
    for sigma in (0.3, 5.0):
        prox = np.linalg.solve(np.eye(5) + sigma * np.outer(a, a), x + sigma * b * a)
        np.testing.assert_allclose(optlab.solve(problem, NGN(sigma), x0=x, max_iter=1).solution, prox, rtol=1e-8)
    far = optlab.solve(problem, NGN(1e12), x0=x, max_iter=1).solution
    np.testing.assert_allclose(far, x - (a @ x - b) / (a @ a) * a, rtol=1e-10)


class Parabola(FiniteSum):
    """``curvature x^2 / 2 + floor``."""

    def __init__(self, curvature, floor):
        self.curvature, self.floor = curvature, floor
        super().__init__(1, 1)

    def losses(self, x, rows):
        return np.full(len(rows), 0.5 * self.curvature * x[0] ** 2 + self.floor)

    def gradient(self, x, rows):
        return self.curvature * x


@pytest.mark.parametrize(
    ("curvature", "sigma", "floor", "radius"),
    [(1, 10, 1, 1.15470054), (2, 3, 0.5, 0.5), (5, 1, 0.1, 0.13093073), (1, 1.9, 1, 0.0)],
)
def test_limit_cycle_of_a_parabola_with_positive_minimum(curvature, sigma, floor, radius):
    result = optlab.solve(Parabola(curvature, floor), NGN(sigma=sigma), x0=[0.3], max_iter=3000)
    assert abs(result.solution[0]) == pytest.approx(radius, abs=1e-6)
    cured = optlab.solve(Parabola(curvature, floor), NGN(sigma=sigma, lower_bound=floor), x0=[0.3], max_iter=3000)
    assert abs(cured.solution[0]) < 1e-6


def test_polyak_step_with_known_minimum_and_smoothed_cap():
    problem = Parabola(2.0, 1.0)
    exact = optlab.solve(problem, PolyakSGD(scaling=1.0, lower_bound=1.0), x0=[1.0], max_iter=3)
    assert exact.solution[0] == pytest.approx(1 / 8)
    steps = trace(optlab.solve(problem, PolyakSGD(0.01, smooth=True, trace=True), x0=[1.0], max_iter=4))["step_size"]
    np.testing.assert_allclose(steps, 0.01 * 2.0 ** np.arange(1, 5))


def test_momentum_forms_are_equivalent():
    rng = np.random.default_rng(2)
    A = rng.standard_normal((10, 3))
    problem = LeastSquares(A, rng.standard_normal(10))
    x, z, beta, sigma = np.ones(3), np.ones(3), 0.9, 3.0
    for k in range(40):
        row = np.array([k % 10])
        g, f = problem.gradient(x, row), problem.losses(x, row)[0]
        z = z - ngn_step_size(f, g @ g, sigma) * g
        x = beta * x + (1 - beta) * z
    run = optlab.solve(problem, NGN(sigma, momentum=beta, sampling="sequential"), x0=np.ones(3), max_iter=40)
    np.testing.assert_allclose(run.solution, x, rtol=1e-12)


def test_coupled_weight_decay_solves_its_model():
    rng = np.random.default_rng(3)
    for _ in range(20):
        a, x, t = rng.standard_normal(4), rng.standard_normal(4), rng.standard_normal()
        problem = LeastSquares(a[None], [t])
        f, g = problem.losses(x, np.array([0]))[0], problem.gradient(x, np.array([0]))
        method = NGNMD(sigma=0.5, momentum=0.0, beta2=0.5, epsilon=0.3, weight_decay=0.2)
        D = 0.3 + np.abs(g)
        # min over p: (r + <grad r, p>)^2 + |p|_D^2 / (2 sigma) + (decay / 2) |x + p|_D^2, r = sqrt(f)
        system = np.outer(g, g) / (2 * f) + np.diag(D) * (1 / 0.5 + 0.2)
        p = np.linalg.solve(system, -g - 0.2 * D * x)
        step = optlab.solve(problem, method, x0=x, max_iter=1).solution - x
        if 1 - 0.5 * 0.2 * (g @ x) / (2 * f * 1.1) > 0:
            np.testing.assert_allclose(step, p, rtol=1e-10)


def test_ngn_d_overshoots_where_ngn_does_not():
    a = np.array([1.0, -1.0, 2.0, 0.5])
    problem = LeastSquares(a[None], [0.0])
    x = np.array([1.0, 0.0, 0.0, 0.0])
    new = optlab.solve(problem, NGND(sigma=1e12), x0=x, max_iter=1).solution
    assert a @ new == pytest.approx(-3 * (a @ x), rel=1e-6)  # the residual times 1 - d


def test_lower_bounds_per_sample_and_failures_are_counted():
    A = np.ones((2, 1))
    problem = LeastSquares(A, [1.0, -1.0])
    result = optlab.solve(problem, NGN(lower_bound=[0.0, 1e6]), max_iter=100, seed=0)
    failed = result.metrics["below_lower_bound"]
    assert 20 < failed < 80
    assert result.solution[0] == pytest.approx(1.0, abs=1e-4)  # only the first sample moves it
    sparse = optlab.solve(
        LeastSquares(sp.csr_matrix(A), [1.0, -1.0]), NGN(lower_bound=[0.0, 1e6]), max_iter=100, seed=0
    )
    assert sparse.metrics["below_lower_bound"] == failed
    with pytest.raises(ValueError, match=r"one per sample \(2\), got 3"):
        optlab.solve(problem, NGN(lower_bound=[0, 0, 0]))


def test_samplings_visit_what_they_say():
    problem = LeastSquares(np.eye(7), np.arange(1.0, 8.0))
    passes = optlab.solve(problem, NGN(sigma=1e12, sampling="shuffle"), max_iter=7, seed=0)
    np.testing.assert_allclose(passes.solution, np.arange(1.0, 8.0))  # every sample once
    drawn = optlab.solve(problem, NGN(sigma=1e12), max_iter=7, seed=0)
    assert np.sum(drawn.solution == 0) > 0
    in_order = optlab.solve(problem, NGN(sigma=1e12, sampling="sequential"), max_iter=3, seed=0)
    np.testing.assert_allclose(in_order.solution, [1, 2, 3, 0, 0, 0, 0])
    assert passes.history["epoch"][-1] == 1.0
    assert passes.history["oracle_calls"][-1] == 7


def test_the_full_batch_is_deterministic():
    rng = np.random.default_rng(0)
    problem = LeastSquares(rng.standard_normal((9, 2)), rng.standard_normal(9))
    runs = [optlab.solve(problem, SGD(0.1, batch_size=9), max_iter=1, seed=s, x0=np.ones(2)).solution for s in (0, 1)]
    np.testing.assert_array_equal(*runs)
    np.testing.assert_allclose(runs[0], 1 - 0.1 * problem.objective_and_gradient(np.ones(2))[1])


def test_schedules():
    problem = LeastSquares([[1.0]], [0.0])
    for schedule, values in (
        (Decaying(2.0, power=1.0, period=2), [2, 4 / 3, 1]),
        (StepDecay(1.0, (1, 2), 0.5), [1, 0.5, 0.25]),
        (lambda k: 0.5**k, [1, 0.5, 0.25]),
    ):
        result = optlab.solve(problem, SGD(schedule, trace=True), x0=[1.0], max_iter=3)
        np.testing.assert_allclose(trace(result)["step_size"], values)
    with pytest.raises(
        ValueError, match=r"step_size must be a positive finite number at every iteration, got 0.0 at k=1"
    ):
        optlab.solve(problem, SGD(lambda k: 1.0 - k), max_iter=5)
    with pytest.raises(ValueError, match="milestones must increase"):
        StepDecay(1.0, (5, 5))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NGN(sigma=0), "sigma must be a number above 0"),
        (lambda: NGN(sigma=np.inf), "sigma must be a number above 0"),
        (lambda: NGN(momentum=1.0), "momentum must be a number at least 0 and below 1"),
        (lambda: NGN(batch_size=0), "batch_size must be an integer of at least 1"),
        (lambda: NGN(sampling="shufle"), "did you mean 'shuffle'"),
        (lambda: NGN(lower_bound=[0.0, np.nan]), "lower_bound must be finite"),
        (lambda: NGND(scales=[1.0, 0.0]), "scales must be positive"),
        (lambda: NGNMD(version=3), "version must be 1 or 2"),
        (lambda: NGNMD(version=2, weight_decay=0.1), "coupled=False"),
        (lambda: PolyakSGD(scaling=0), "scaling must be a number above 0"),
        (lambda: SGD(-1.0), "step_size must be a number above 0"),
        (lambda: Averaged(NGN(), weights="polynomial"), "weights must be one of"),
    ],
)
def test_bad_hyperparameters_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_bad_starts_and_problems_are_named():
    problem = LeastSquares(np.eye(3), np.ones(3))
    with pytest.raises(ValueError, match="batch_size must be at most the number of samples, 3, got 4"):
        optlab.solve(problem, NGN(batch_size=4))
    with pytest.raises(ValueError, match=r"x0 must have shape \(3,\), got \(2,\)"):
        optlab.solve(problem, NGN(), x0=np.ones(2))
    with pytest.raises(ValueError, match="scales must have one entry per weight"):
        optlab.solve(problem, NGND(scales=[1.0]))
    with pytest.raises(TypeError, match="method must derive from"):
        Averaged("NGN")

    class Other:
        primary_metric = "gap"

        def default_start(self, rng):
            return np.ones(1)

        def measure(self, x):
            return {"gap": 1.0}

    with pytest.raises(TypeError, match="NGN needs a problem that is a finite sum"):
        optlab.solve(Other(), NGN())


def test_sgd_diverges_where_ngn_does_not():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((50, 4))
    problem = LeastSquares(A, A @ np.ones(4))
    assert optlab.solve(problem, SGD(1e3), max_iter=5000, seed=0).status is optlab.Status.DIVERGED
    assert optlab.solve(problem, NGN(sigma=1e3), max_iter=5000, tol=1e-20, seed=0).success


@step_rule
def _half(loss, squared_norm, step_size, k, parameters, memory):
    memory[0] += 1.0
    return parameters[0] * step_size / memory[0]


class Harmonic(StochasticMethod):
    """What a user writes to add a method."""

    rule = _half

    def parameters(self, problem):
        return (0.5,)

    def initial_memory(self, problem):
        return (0.0,)


def test_a_method_of_ones_own():
    problem = LogisticRegression(np.array([[1.0], [2.0]]), [-1, 1])
    result = optlab.solve(problem, Harmonic(batch_size=2, trace=True), max_iter=4)
    np.testing.assert_allclose(trace(result)["step_size"], 0.5 / np.arange(1, 5))


def test_methods_are_plain_values():
    import pickle

    for method in (NGN(lower_bound=np.zeros(3)), NGNMD(), SGD(0.1), PolyakSGD(), Averaged(NGN())):
        assert pickle.loads(pickle.dumps(method)) == method
        hash(method)
        assert type(method).__name__ in repr(method)
        assert optlab.cite(method)


def test_counts_written_as_floats_are_counts():
    problem = LeastSquares(np.ones((20, 2)), np.arange(20.0))
    result = optlab.solve(problem, NGN(batch_size=10.0), max_iter=4, seed=0)
    assert result.metrics["epoch"] == 2
    assert NGN(batch_size=10.0) == NGN(batch_size=10)
    for method in (SVRG(0.01, period=7.0), SLS(max_trials=5.0), ScheduleFree(warmup=3.0)):
        optlab.solve(problem, method, max_iter=10, seed=0)
    with pytest.raises(TypeError, match=r"batch_size must be an integer of at least 1, got 2\.5"):
        NGN(batch_size=2.5)


def test_momentum_is_pytorchs_at_a_constant_step_and_the_heavy_balls_under_a_schedule():
    problem = LeastSquares([[1.0]], [-1.0])  # gradient 1 at 0

    def second(step_sizes):
        rule = (lambda k: step_sizes[k]) if len(step_sizes) > 1 else step_sizes[0]
        return float(optlab.solve(problem, SGD(rule, momentum=0.9, damped=False), max_iter=2).solution[0])

    first = 1.0 - 0.1  # the gradient after a step of 0.1
    assert second([0.1]) == pytest.approx(-0.1 - 0.1 * (0.9 + first))  # either way
    assert second([0.1, 0.01]) == pytest.approx(-0.1 - (0.9 * 0.1 + 0.01 * first))  # PyTorch: 0.01 * (0.9 + first)
