"""The adaptive baselines against their papers' recursions in plain NumPy, and on every problem class."""

import dataclasses
import math

import numpy as np
import pytest
import scipy.sparse as sp

import optlab
from optlab.stochastic import (
    ALIG,
    SGD,
    SLS,
    AdaGrad,
    AdaGradNorm,
    Adam,
    AdamW,
    AdaSLS,
    AdaSPS,
    Averaged,
    DAdaptation,
    Decaying,
    DecSPS,
    FiniteSum,
    LeastSquares,
    LogisticRegression,
    NeuralNetwork,
    PhaseRetrieval,
    Prodigy,
    ScheduleFree,
    SoftmaxRegression,
    trace,
)


def design(n=20, d=4, density=1.0, dtype=np.float64):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((n, d)) / np.sqrt(d)
    A[rng.random((n, d)) > density] = 0.0
    return A.astype(dtype)


class UserLeastSquares(FiniteSum):
    """Least squares as a user would write it: runs interpreted."""

    def __init__(self, A, b):
        self.A, self.b = A, b
        super().__init__(len(b), A.shape[1])

    def losses(self, x, rows):
        return 0.5 * (self.A[rows] @ x - self.b[rows]) ** 2

    def gradient(self, x, rows):
        return self.A[rows].T @ (self.A[rows] @ x - self.b[rows]) / len(rows)


def problems():
    A = design()
    rng = np.random.default_rng(1)
    noisy = A @ rng.standard_normal(4) + 0.3 * rng.standard_normal(20)
    y = np.where(noisy > 0, 1.0, -1.0)
    labels = np.arange(20) % 3
    return {
        "least squares": LeastSquares(A, noisy),
        "ridge logistic": LogisticRegression(A, y, l2=0.05),
        "sparse logistic": LogisticRegression(sp.csr_matrix(design(density=0.5)), y, l2=0.05),
        "softmax": SoftmaxRegression(A, labels, l2=0.02),
        "phase": PhaseRetrieval(A, (A @ rng.standard_normal(4)) ** 2),
        "network": NeuralNetwork(A, labels, hidden=(5,), activation="tanh"),
        "user": UserLeastSquares(A, noisy),
    }


PROBLEMS = problems()


# ---------------------------------------------------------------------- the papers' recursions


def adagrad_norm(m, f, g, x, k, s):
    s.S = s.get("S", 0.0) + np.sum(g * g)
    return x - m.step_size * g / math.sqrt(m.b0**2 + s.S)


def adagrad(m, f, g, x, k, s):
    s.v = s.get("v", 0.0) + g * g
    return x - m.step_size * g / (np.sqrt(s.v) + m.epsilon)


def adam(m, f, g, x, k, s):
    if isinstance(m, AdamW):
        x = x * (1 - m.step_size * m.weight_decay)
    else:
        g = g + m.weight_decay * x
    s.m = m.beta1 * s.get("m", 0.0) + (1 - m.beta1) * g
    s.v = m.beta2 * s.get("v", 0.0) + (1 - m.beta2) * g * g
    eta = m.step_size(k) if callable(m.step_size) else m.step_size
    return x - eta * (s.m / (1 - m.beta1 ** (k + 1))) / (np.sqrt(s.v / (1 - m.beta2 ** (k + 1))) + m.epsilon)


def decsps(m, f, g, x, k, s):
    c = m.scaling * math.sqrt(k + 1)
    gamma = min(f / np.sum(g * g), s.get("c", m.scaling) * s.get("gamma", m.step_size)) / c
    s.c, s.gamma = c, gamma
    return x - gamma * g


def alig(m, f, g, x, k, s):
    x = x - min(m.step_size, f / (np.sum(g * g) + m.delta)) * g
    return x if m.radius is None else x * min(1.0, m.radius / np.linalg.norm(x))


def adasps(m, f, g, x, k, s):
    s.S = s.get("S", 0.0) + f
    s.c = s.get("c", m.scaling / math.sqrt(f))
    s.gamma = min(f / (s.c * np.sum(g * g) * math.sqrt(s.S)), s.get("gamma", np.inf))
    return x - s.gamma * g


def dadaptation(m, f, g, x, k, s):
    x0 = s.get("x0", x)
    d, total = s.get("d", m.d0), s.get("s", 0 * x)
    lam = m.step_size * d / s.get("g0", np.linalg.norm(g))
    s.n = s.get("n", 0.0) + lam * np.sum(g * total)
    s.x0, s.g0 = x0, s.get("g0", np.linalg.norm(g))
    s.s = total + lam * g
    s.d = max(d, min(2 * s.n / np.linalg.norm(s.s), m.growth * d))
    return m.momentum * x + (1 - m.momentum) * (x0 - s.s)


def prodigy(m, f, g, x, k, s):
    x0, d = s.get("x0", x), s.get("d", m.d0)
    beta3 = math.sqrt(m.beta2)
    rate = m.step_size * d
    if m.bias_correction:
        rate *= math.sqrt(1 - m.beta2 ** (k + 1)) / (1 - m.beta1 ** (k + 1))
    s.r = beta3 * s.get("r", 0.0) + (d / m.d0) * rate * np.sum(g * (x0 - x))
    s.s = beta3 * s.get("s", 0 * x) + (d / m.d0) * rate * g
    s.m = m.beta1 * s.get("m", 0 * x) + (1 - m.beta1) * d * g
    s.v = m.beta2 * s.get("v", 0 * x) + (1 - m.beta2) * d * d * g * g
    s.x0, s.d = x0, max(d, s.r / np.sum(np.abs(s.s)))
    return x - rate * m.weight_decay * x - rate * s.m / (np.sqrt(s.v) + s.d * m.epsilon)


class Slots(dict):
    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__


RULES = {
    AdaGradNorm: adagrad_norm, AdaGrad: adagrad, Adam: adam, AdamW: adam, DecSPS: decsps, ALIG: alig, AdaSPS: adasps,
    DAdaptation: dadaptation, Prodigy: prodigy,
}  # fmt: skip


def batches(problem, method, steps):
    B, n = method.batch_size, problem.n_samples
    return [np.arange(k * B, (k + 1) * B) % n for k in range(steps)]


def value_gradient(problem, x, rows):
    return float(np.mean(problem.losses(x, rows))), np.asarray(problem.gradient(x, rows), float)


def reference(problem, method, x, steps):
    x, slots = np.array(x, float), Slots()
    for k, rows in enumerate(batches(problem, method, steps)):
        x = RULES[type(method)](method, *value_gradient(problem, x, rows), x, k, slots)
    return x


METHODS = {
    "AdaGradNorm": AdaGradNorm(0.7, b0=0.3, sampling="sequential"),
    "AdaGradNorm zero": AdaGradNorm(0.7, b0=0.0, batch_size=3, sampling="sequential"),
    "AdaGrad": AdaGrad(0.3, sampling="sequential"),
    "Adam": Adam(0.05, sampling="sequential", batch_size=3),
    "Adam decay": Adam(Decaying(0.05), weight_decay=0.1, sampling="sequential"),
    "AdamW": AdamW(0.05, beta1=0.8, beta2=0.9, epsilon=1e-3, weight_decay=0.1, sampling="sequential"),
    "DecSPS": DecSPS(2.0, scaling=0.5, sampling="sequential", batch_size=2),
    "ALIG": ALIG(0.5, delta=0.1, sampling="sequential"),
    "ALIG in a ball": ALIG(0.5, radius=0.4, sampling="sequential", batch_size=2),
    "AdaSPS": AdaSPS(scaling=0.7, sampling="sequential", batch_size=4),
    "DAdaptation": DAdaptation(0.1, sampling="sequential", d0=1e-2, batch_size=2),
    "DAdaptation growth": DAdaptation(0.5, sampling="sequential", d0=1e-2, growth=1.02, momentum=0.0, batch_size=2),
    "Prodigy": Prodigy(sampling="sequential", d0=1e-2),
    "Prodigy all": Prodigy(
        0.5, sampling="sequential", d0=1e-3, bias_correction=True, weight_decay=0.1, beta2=0.99, batch_size=3
    ),
}


def start(problem):
    shift = 0.1 * np.random.default_rng(4).standard_normal(problem.shape)
    return problem.default_start(np.random.default_rng(3)) + shift


def run(problem, method, steps, x0, seed=0):
    state = method.init(problem, x0, np.random.default_rng(seed))
    return method.advance(problem, state, steps)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
@pytest.mark.parametrize("name", PROBLEMS)
def test_compiled_equals_numpy(name, method):
    problem = PROBLEMS[name]
    x0 = start(problem)
    state = run(problem, method, 40, x0)
    expected = reference(problem, method, x0, 40)
    assert np.linalg.norm(expected - x0) > 1e-3
    np.testing.assert_allclose(method.iterate(problem, state), expected, rtol=1e-9, atol=1e-10)
    assert state.oracle_calls == 40 * method.batch_size


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("warmup", [0, 7])
def test_schedule_free_equals_its_three_sequences(name, warmup):
    problem = PROBLEMS[name]
    method = ScheduleFree(0.3, momentum=0.8, warmup=warmup, weight_decay=0.01, sampling="sequential", batch_size=2)
    x = z = start(problem)
    total = 0.0
    for k, rows in enumerate(batches(problem, method, 40)):
        y = (1 - method.momentum) * z + method.momentum * x
        g = value_gradient(problem, y, rows)[1] + method.weight_decay * y
        eta = method.step_size * min(1.0, (k + 1) / warmup if warmup else 1.0)
        z = z - eta * g
        total += eta**2
        c = eta**2 / total
        x = (1 - c) * x + c * z
    state = run(problem, method, 40, start(problem))
    np.testing.assert_allclose(method.iterate(problem, state), x, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("cls", [SLS, AdaSLS])
@pytest.mark.parametrize("name", PROBLEMS)
def test_line_search_equals_numpy(name, cls):
    problem = PROBLEMS[name]
    method = cls(step_size=3.0, sampling="sequential", batch_size=2, trace=True)
    x, gamma, last, S, c = start(problem), method.step_size, np.inf, 0.0, None
    trials, steps = 0, []
    for k, rows in enumerate(batches(problem, method, 30)):
        f, g = value_gradient(problem, x, rows)
        q = float(np.sum(g * g))
        if k > 0:
            gamma *= method.growth ** (2 / problem.n_samples)
        for _ in range(100):
            trials += 1
            if np.mean(problem.losses(x - gamma * g, rows)) <= f - method.armijo * gamma * q:
                break
            gamma *= method.shrink
        S += gamma * q
        c = c or 1 / math.sqrt(S)
        last = gamma if cls is SLS else min(gamma / (c * math.sqrt(S)), last)
        steps.append(last)
        x = x - last * g
    state = run(problem, method, 30, start(problem))
    np.testing.assert_allclose(trace(state)["step_size"], steps, rtol=1e-10)
    np.testing.assert_allclose(method.iterate(problem, state), x, rtol=1e-9, atol=1e-11)
    assert state.oracle_calls == 2 * (30 + trials)


def test_line_search_falls_back_after_too_many_trials():
    problem = LeastSquares([[1.0]], [1.0])
    steps = trace(optlab.solve(problem, SLS(1e6, max_trials=3, trace=True), max_iter=1))["step_size"]
    assert steps.tolist() == [1e-6]


EVERY = [
    AdaGradNorm(), AdaGrad(0.1), Adam(0.01), AdamW(0.01), DecSPS(), ALIG(), AdaSPS(), SLS(), AdaSLS(),
    ScheduleFree(0.1), DAdaptation(), Prodigy(),
]  # fmt: skip
ids = [type(m).__name__ for m in EVERY]


@pytest.mark.parametrize("method", EVERY, ids=ids)
def test_objective_falls_on_a_convex_problem(method):
    problem = PROBLEMS["ridge logistic"]
    x0 = np.full(4, 3.0)
    method = dataclasses.replace(method, batch_size=problem.n_samples)  # some stall on single samples, by design
    result = optlab.solve(problem, method, x0=x0, max_iter=2000, seed=0)
    assert result.history["gap"][-1] < 0.05 * result.history["gap"][0]


@pytest.mark.parametrize("method", EVERY, ids=ids)
def test_float32_is_kept_and_close_to_float64(method):
    A = design(dtype=np.float32)
    b = A @ np.ones(4, np.float32)
    single = optlab.solve(LeastSquares(A, b), method, max_iter=50, seed=0)
    double = optlab.solve(LeastSquares(A.astype(float), b.astype(float)), method, max_iter=50, seed=0)
    assert single.solution.dtype == np.float32
    np.testing.assert_allclose(single.solution, double.solution, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("method", EVERY, ids=ids)
def test_a_sample_without_information_changes_nothing_bad(method):
    """A row of zeros has gradient zero from the first step on."""
    problem = LeastSquares([[0.0, 0.0], [1.0, 2.0]], [0.0, 1.0])
    method = dataclasses.replace(method, sampling="sequential")
    result = optlab.solve(problem, method, max_iter=200)
    assert np.all(np.isfinite(result.solution))


@pytest.mark.parametrize("exponent", [-12, -6, 6, 12])
@pytest.mark.parametrize("cls", [AdaGradNorm, AdaGrad, Adam, AdamW, ALIG, DecSPS, SLS, AdaSLS])
def test_no_warning_or_silent_nan_at_extreme_step_sizes(cls, exponent):
    result = optlab.solve(PROBLEMS["ridge logistic"], cls(10.0**exponent), max_iter=100, seed=0)
    assert np.all(np.isfinite(result.solution))
    assert all(np.all(np.isfinite(result.history[c])) for c in result.history.columns)


def test_averaging_wraps_methods_with_their_own_loop():
    problem = PROBLEMS["softmax"]
    method = SLS(sampling="sequential")
    state = method.init(problem, start(problem), np.random.default_rng(0))
    points = []
    for _ in range(10):
        points.append(method.iterate(problem, state))
        state = method.advance(problem, state, 1)
    mean = optlab.solve(problem, Averaged(method), x0=start(problem), max_iter=10)
    np.testing.assert_allclose(mean.solution, np.mean(points, axis=0), rtol=1e-12)


def test_distance_estimates_are_recorded_and_do_not_shrink():
    for method in (DAdaptation(), Prodigy()):
        d = optlab.solve(PROBLEMS["least squares"], method, max_iter=300, seed=0).history["distance_estimate"]
        assert d[0] == 1e-6
        assert np.all(np.diff(d) >= 0)
        assert d[-1] > 1e-3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AdaGradNorm(b0=-1.0), "b0"),
        (lambda: Adam(beta1=1.0), "beta1"),
        (lambda: Adam(beta2=-0.1), "beta2"),
        (lambda: AdamW(weight_decay=-1.0), "weight_decay"),
        (lambda: AdaGrad(epsilon=-1.0), "epsilon"),
        (lambda: ScheduleFree(momentum=1.0), "momentum"),
        (lambda: DAdaptation(d0=0.0), "d0"),
        (lambda: Prodigy(growth=1.0), "growth"),
        (lambda: DecSPS(step_size=0.0), "step_size"),
        (lambda: DecSPS(step_size=Decaying(1.0)), "step_size"),
        (lambda: ALIG(delta=-1.0), "delta"),
        (lambda: ALIG(radius=0.0), "radius"),
        (lambda: AdaSPS(scaling=0.0), "scaling"),
        (lambda: SLS(armijo=1.0), "armijo"),
        (lambda: SLS(shrink=1.0), "shrink"),
        (lambda: AdaSLS(scaling=-1.0), "scaling"),
    ],
)
def test_bad_hyperparameters_are_named(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


# ---------------------------------------------------------------------- other people's implementations

# 30 steps from (0.5, -0.5, 1) on (a_k x - b_k)^2 / 2, samples in turn; computed with optax 0.2.8 on JAX 0.10.2, float64
OPTAX_A = np.array([[1.0, 2.0, -1.0], [0.5, -1.0, 0.3], [2.0, 0.1, 1.0], [-0.7, 0.4, 0.9]])
OPTAX_B = np.array([1.0, -2.0, 0.5, 3.0])
OPTAX = {
    "adam": (Adam(0.05), [-0.04011751673032507, 0.565118276728444, 0.62196437141122]),
    "adamw": (
        AdamW(0.05, beta1=0.8, beta2=0.95, epsilon=1e-6, weight_decay=0.1),
        [-0.07769819469405481, 0.5445307785199113, 0.604281054487018],
    ),
    "adagrad": (AdaGrad(0.3, epsilon=0.0), [-0.3018297142094912, 0.9936829479829468, 0.7734376292622761]),
    "sgd": (SGD(0.05), [-0.34991769807516687, 1.1609346801621954, 0.9281883309754893]),
    "sgd momentum": (
        SGD(0.02, momentum=0.9, damped=False),
        [-0.9557033815026544, 1.8582901504014628, 1.9322606948461831],
    ),
    "prodigy": (
        Prodigy(0.5, d0=1e-3, bias_correction=True),
        [0.45312168381677237, -0.4193651686497239, 0.9621434866145492],
    ),
    "schedule free": (
        ScheduleFree(0.1, momentum=0.9),
        [-0.4800047904633837, 1.2668879889844655, 0.8863235327746954],
    ),
}


@pytest.mark.parametrize("name", OPTAX)
def test_iterates_are_those_of_optax(name):
    method, expected = OPTAX[name]
    problem = LeastSquares(OPTAX_A, OPTAX_B)
    method = dataclasses.replace(method, sampling="sequential")
    result = optlab.solve(problem, method, x0=[0.5, -0.5, 1.0], max_iter=30)
    np.testing.assert_allclose(result.solution, expected, rtol=1e-10)


PYTORCH = {
    "SGD": (SGD(0.02, momentum=0.9, damped=False), {"lr": 0.02, "momentum": 0.9}),
    "Adagrad": (AdaGrad(0.3), {"lr": 0.3}),
    "Adam": (Adam(0.05, weight_decay=0.1), {"lr": 0.05, "weight_decay": 0.1}),
    "AdamW": (AdamW(0.05, weight_decay=0.1), {"lr": 0.05, "weight_decay": 0.1}),
}


@pytest.mark.parametrize("name", PYTORCH)
def test_iterates_are_those_of_pytorch(name):
    torch = pytest.importorskip("torch")
    method, options = PYTORCH[name]
    x = torch.tensor([0.5, -0.5, 1.0], dtype=torch.float64, requires_grad=True)
    optimizer = getattr(torch.optim, name)([x], **options)
    A, b = torch.tensor(OPTAX_A), torch.tensor(OPTAX_B)
    for k in range(30):
        optimizer.zero_grad()
        (0.5 * (A[k % 4] @ x - b[k % 4]) ** 2).backward()
        optimizer.step()
    method = dataclasses.replace(method, sampling="sequential")
    result = optlab.solve(LeastSquares(OPTAX_A, OPTAX_B), method, x0=[0.5, -0.5, 1.0], max_iter=30)
    np.testing.assert_allclose(result.solution, x.detach().numpy(), rtol=1e-10)


@pytest.mark.parametrize("method", EVERY, ids=ids)
@pytest.mark.parametrize("name", ["sparse logistic", "network", "user"])
def test_state_does_not_depend_on_how_a_run_is_cut(name, method):
    problem = PROBLEMS[name]
    whole = run(problem, method, 50, start(problem))
    cut = method.advance(problem, run(problem, method, 13, start(problem)), 37)
    for a, b in zip(dataclasses.astuple(whole), dataclasses.astuple(cut)):
        if isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b)
    assert whole.rng.bit_generator.state == cut.rng.bit_generator.state
