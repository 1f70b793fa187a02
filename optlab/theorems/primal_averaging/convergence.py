"""Primal averaging: the regret identity, and what follows from it, with constants.

lambda = mu_x/(1 - mu_x) is the lag of the average in iterations. B is the Bregman divergence of f.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.reproduce import Evidence, at_scale, theorem
from optlab.stochastic import SGD, Adam, FiniteSum, LeastSquares, LogisticRegression
from optlab.theorems.primal_averaging._instances import (
    DERIVED,
    PAPER,
    THEOREM,
    classification,
    divergence,
    path,
    regression,
    values,
)
from optlab.wrappers import PrimalAveraging, ScheduleFree

# ------------------------------------------------------------------------------------------------ the identity


def _identity(scale: str, seed: int, forget: bool) -> Evidence:
    worst = []
    for s in range(at_scale(scale, 4, 20)):
        problem = classification(seed + s)
        rng = np.random.default_rng(seed + s)
        mu_x, mu_y, u = float(rng.uniform(0.3, 0.97)), float(rng.uniform(0.0, 0.9)), rng.standard_normal(problem.size)
        base = (SGD(0.5, batch_size=problem.n_samples), Adam(0.05, batch_size=problem.n_samples))[s % 2]
        p = path(problem, PrimalAveraging(base, mu_y, mu_x), 2.0 * np.ones(problem.size), at_scale(scale, 40, 120))
        lag, f = mu_x / (1 - mu_x), values(problem, p.x)
        regret = np.sum(p.gradients * (p.z - u), axis=1)
        before = np.vstack([p.x[:1], p.x[:-1]])
        # x_t of the dossier contains z_t: that is x at the beginning of iteration t here
        terms = divergence(problem, np.tile(u, (len(f), 1)), p.y)
        terms = terms + lag * divergence(problem, before, p.x)
        terms = terms + divergence(problem, p.y, p.x) / (1 - mu_y)
        if not forget:
            terms = terms + mu_y / (1 - mu_y) * divergence(problem, p.x, p.y)
        right = regret.sum() + lag * (f[0] - f[-1]) - terms.sum()
        left = float(np.sum(f - problem.objective(u)))
        worst.append(abs(left - right) / (abs(regret).sum() + abs(terms).sum()))
    return Evidence(
        np.arange(len(worst)), worst, kind="identity", slack=1e-12, xlabel="run", ylabel="relative residual"
    )


@theorem(
    id="gpa-regret-identity",
    paper=PAPER,
    title="The loss of the averages is the regret of the base, a telescoping lag, and Bregman terms",
    statement="""sum_t [f(x_t) - f(u)] = sum_t <g_t, z_t - u> + lambda (f(x_1) - f(x_T)) - sum_t {B(u, y_t) +
    lambda B(x_{t-1}, x_t) + mu_y/(1 - mu_y) B(x_t, y_t) + 1/(1 - mu_y) B(y_t, x_t)} exactly, for any base.""",
    assumptions=("f differentiable", "g_t = grad f(y_t)", "mu_y < 1"),
    source=DERIVED,
)
def regret_identity(scale: str, seed: int) -> Evidence:
    return _identity(scale, seed, False)


@regret_identity.control("without the term of B(x_t, y_t)")
def _(scale: str, seed: int) -> Evidence:
    return _identity("smoke", seed, True)


# ------------------------------------------------------------------------------------------------ rates


def _average_iterate(scale: str, seed: int, mu_x: float, with_lag: bool) -> Evidence:
    lengths = at_scale(scale, (20, 100), (20, 100, 500, 2000))
    ks, observed, bounds = [], [], []
    for s in range(at_scale(scale, 2, 10)):
        problem, solution, smoothness = regression(seed + s)
        x0 = solution + 3.0
        f_star = problem.objective(solution)
        p = path(
            problem, PrimalAveraging(SGD(1.0 / smoothness, batch_size=problem.n_samples), 0.7, mu_x), x0, lengths[-1]
        )
        lag, distance = mu_x / (1 - mu_x), float(np.sum((x0 - solution) ** 2))
        f = values(problem, p.x)
        for T in lengths:
            ks.append(T)
            observed.append(problem.objective(p.x[:T].mean(axis=0)) - f_star)
            bounds.append(distance * smoothness / (2 * T) + (lag * (f[0] - f[T - 1]) / T if with_lag else 0.0))
    return Evidence(ks, observed, bounds, ylabel="f(mean of the averages) - f*")


@theorem(
    id="gpa-average-iterate",
    paper=PAPER,
    title="On smooth convex losses the mean of the averages converges like 1/T",
    statement="""With exact gradients and gamma <= 1/L: f(mean of x_1, ..., x_T) - f* <= D^2/(2 gamma T) +
    lambda (f(x_1) - f(x_T))/T.""",
    assumptions=("f convex and L-smooth", "base SGD with exact gradients, gamma <= 1/L"),
    source=THEOREM,
)
def average_iterate(scale: str, seed: int) -> Evidence:
    return _average_iterate(scale, seed, 0.9, True)


@average_iterate.control("the lag left out of the bound, at a horizon of 10,000 iterations")
def _(scale: str, seed: int) -> Evidence:
    return _average_iterate("smoke", seed, 0.9999, False)


def _last_iterate(scale: str, seed: int, with_start: bool) -> Evidence:
    n = at_scale(scale, 60, 300)
    ks, observed, bounds = [], [], []
    for s in range(at_scale(scale, 4, 30)):
        problem, rng = classification(seed + s), np.random.default_rng(seed + s)
        mu_x, mu_y, u = float(rng.uniform(0.5, 0.97)), float(rng.uniform(0.0, 0.9)), 0.3 * rng.standard_normal(5)
        base = (SGD(0.5, batch_size=problem.n_samples), Adam(0.05, batch_size=problem.n_samples))[s % 2]
        p = path(problem, PrimalAveraging(base, mu_y, mu_x), 2.0 * np.ones(5), n)
        f, inner = values(problem, p.x) - problem.objective(u), np.sum(p.gradients * (p.z - u), axis=1)
        for T in (1, 2, 5, 20, n):
            weights = (1 - mu_x) * mu_x ** np.arange(T - 2, -1, -1)
            ks.append(T)
            observed.append(f[T - 1])
            bounds.append((mu_x ** (T - 1) * f[0] if with_start else 0.0) + float(weights @ inner[1:T]))
    return Evidence(ks, observed, bounds, slack=1e-12, xlabel="T", ylabel="f(x_T) - f(u)")


@theorem(
    id="gpa-last-iterate",
    paper=PAPER,
    title="The last average forgets the start like mu_x^T, and weighs the regret geometrically",
    statement="""f(x_T) - f(u) <= mu_x^(T-1) (f(x_1) - f(u)) + (1 - mu_x) sum_{t=2..T} mu_x^(T-t) <g_t, z_t - u>, for
    any base, u and T: the horizon 1/(1 - mu_x) plays the part of T.""",
    assumptions=("f convex", "g_t = grad f(y_t)"),
    source=DERIVED,
)
def last_iterate(scale: str, seed: int) -> Evidence:
    return _last_iterate(scale, seed, True)


@last_iterate.control("without what is left of the start")
def _(scale: str, seed: int) -> Evidence:
    return _last_iterate("smoke", seed, False)


def _sqrt_regret(scale: str, seed: int, gradient_bound: float) -> Evidence:
    """Run on logistic losses, one sample a step: gradients no longer than the rows."""
    lengths = at_scale(scale, (100, 400), (100, 1000, 10_000))
    ks, observed, bounds = [], [], []
    for s in range(at_scale(scale, 2, 6)):
        rng = np.random.default_rng(seed + s)
        A = rng.standard_normal((60, 4))
        A /= np.linalg.norm(A, axis=1, keepdims=True)
        A = np.vstack([A, -A])  # contradictory labels: the minimum is at 0, and every gradient has length at most 1
        problem = LogisticRegression(A, np.ones(120))
        x0 = 2.0 * np.ones(4)
        for T in lengths:
            gamma, lag = 4.0 / (gradient_bound * np.sqrt(T)), 9.0
            gaps, drop = [], []
            for run in range(at_scale(scale, 5, 20)):
                p = path(problem, PrimalAveraging(SGD(gamma), 0.7, 0.9), x0, T, seed=run)
                f = values(problem, p.x[[0, -1]])
                gaps.append(problem.objective(p.x.mean(axis=0)) - problem.objective(np.zeros(4)))
                drop.append(f[0] - f[1])
            ks.append(T)
            observed.append(float(np.mean(gaps)))
            bounds.append(4.0 * gradient_bound / np.sqrt(T) + lag * float(np.mean(drop)) / T)
    return Evidence(ks, observed, bounds, ylabel="f(mean of the averages) - f*, mean over runs")


@theorem(
    id="gpa-regret-transfer",
    paper=PAPER,
    title="O(sqrt T) regret of the base carries over to the averages",
    statement="""With stochastic gradients of length at most G, distance D and gamma = D/(G sqrt T):
    E f(mean of x_1, ..., x_T) - f* <= D G / sqrt T + lambda E(f(x_1) - f(x_T))/T.""",
    assumptions=("f convex", "|g_t| <= G", "base SGD"),
    source=THEOREM,
)
def regret_transfer(scale: str, seed: int) -> Evidence:
    return _sqrt_regret(scale, seed, 1.0)


@regret_transfer.control("a G a thousand times too small")
def _(scale: str, seed: int) -> Evidence:
    return _sqrt_regret("smoke", seed, 1e-3)


def _schedule_free(scale: str, seed: int, make: Any) -> Evidence:
    ks: list[int] = []
    observed, bounds = [], []
    n = at_scale(scale, 50, 300)
    for s in range(at_scale(scale, 3, 15)):
        problem, solution, smoothness = regression(seed + s)
        p = path(problem, make(SGD(1.9 / smoothness, batch_size=problem.n_samples)), solution + 3.0, n + 1)
        regret = np.cumsum(np.sum(p.gradients * (p.z - solution), axis=1))
        # x before iteration T is the mean of the T - 1 points z since the start, which the first step forgets
        ks.extend(range(1, n + 1))
        observed.extend(values(problem, p.x[1:]) - problem.objective(solution))
        bounds.extend((regret[1:] - regret[0]) / np.arange(1, n + 1))
    return Evidence(ks, observed, bounds, slack=1e-12, ylabel="f(x_T) - f*")


@theorem(
    id="schedule-free-last-iterate",
    paper=PAPER,
    title="The last average of Schedule-Free is as good as the regret of its base",
    statement="""f(x_T) - f* <= (1/T) sum_{t <= T} <g_t, z_t - x*> for every interpolation in [0, 1], where x_T is the
    mean of z_1, ..., z_T.""",
    assumptions=("f convex", "constant weights", "g_t = grad f(y_t)"),
    source="Defazio et al. 2024, Theorem 2",
)
def schedule_free_last_iterate(scale: str, seed: int) -> Evidence:
    parts = [_schedule_free(scale, seed, lambda base, b=beta: ScheduleFree(base, b)) for beta in (0.0, 0.5, 0.9, 1.0)]
    ks, observed, bounds = (np.concatenate([getattr(p, name) for p in parts]) for name in ("k", "observed", "bound"))
    return Evidence(ks, observed, bounds, slack=1e-12, ylabel="f(x_T) - f*")


@schedule_free_last_iterate.control("an exponential average in the place of the uniform one")
def _(scale: str, seed: int) -> Evidence:
    return _schedule_free("smoke", seed, lambda base: PrimalAveraging(base, 0.9, 0.999))


def _quadratic(n: int, spread: bool) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return a least-squares problem with L = 1, its solution and a start.

    Either all curvatures down to 1e-4, or Nesterov's worst function, of which n steps see n coordinates only.
    """
    d = 40 if spread else 2 * n
    if spread:
        A = np.sqrt(d * np.logspace(-4, 0, d)) * np.eye(d)
        return LeastSquares(A, np.zeros(d), f_star=0.0), np.zeros(d), np.ones(d)
    A = 0.5 * np.sqrt(d) * (np.eye(d) - np.diag(np.ones(d - 1), 1))
    b = np.zeros(d)
    b[-1] = 0.5 * np.sqrt(d)
    return LeastSquares(A, b, f_star=0.0), np.ones(d), np.zeros(d)


def _accelerated(scale: str, growing: bool, kinds: tuple[bool, ...] = (True, False)) -> Evidence:
    def couple(k: int) -> float:
        return 1.0 - 2.0 / (k + 2.0)

    step: Any = (lambda k: (k + 1.0) / 2.0) if growing else 0.5
    n = at_scale(scale, 60, 300)
    k, observed, bounds = np.arange(1, n + 1), [], []
    for spread in kinds:
        problem, solution, x0 = _quadratic(n, spread)
        p = path(problem, PrimalAveraging(SGD(step, batch_size=problem.n_samples), couple, couple), x0, n + 1)
        observed.append(values(problem, p.x[1:]))
        bounds.append(2.0 * np.sum((x0 - solution) ** 2) / (k * (k + 1.0)))
    return Evidence(np.tile(k, len(kinds)), np.ravel(observed), np.ravel(bounds), ylabel="f(x_T) - f*")


@theorem(
    id="gpa-acceleration",
    paper=PAPER,
    title="Acceleration comes from the growing z step",
    statement="""With c_t = 2/(t+1) in both places and z step t/(2L): f(x_T) - f* <= 2 L D^2/(T (T+1)).""",
    assumptions=("f convex and L-smooth", "exact gradients"),
    source=DERIVED,
)
def acceleration(scale: str, seed: int) -> Evidence:
    return _accelerated(scale, True)


@acceleration.control("the same three sequences with a constant z step")
def _(scale: str, seed: int) -> Evidence:
    return _accelerated("cpu", False)


# ------------------------------------------------------------------------------------------------ quadratics


def _stability(scale: str, seed: int, share: float) -> Evidence:
    problem, ratios, pairs = LeastSquares([[1.0]], [0.0]), [], []
    n = 20_000
    for mu_x, mu_y in ((0.0, 0.0), (0.9, 0.0), (0.9, 0.7), (0.9, 0.9), (0.99, 0.7), (0.9967, 0.7), (0.9, 1.0)):
        limit = 2.0 * (1.0 + mu_x) / (1.0 + mu_x - 2.0 * mu_x * mu_y)
        wrapper = PrimalAveraging(SGD(share * limit), mu_y, mu_x)
        state = wrapper.init(problem, np.ones(1), np.random.default_rng(0))
        end = wrapper.advance(problem, state, n)
        ratios.append(float(abs(wrapper.variable(end)[0]) + abs(end.inner.x[0])))
        pairs.append(limit)
    return Evidence(pairs, ratios, 1e-3, xlabel="largest stable gamma h", ylabel=f"size after {n} iterations")


@theorem(
    id="gpa-stability",
    paper=PAPER,
    title="The largest stable step on a quadratic",
    statement="""On curvature h, primal averaging of gradient descent is stable if and only if
    gamma h < 2 (1 + mu_x)/(1 + mu_x - 2 mu_x mu_y).""",
    assumptions=(
        "a quadratic",
        "base gradient descent with a constant step",
    ),
    source=DERIVED,
)
def stability(scale: str, seed: int) -> Evidence:
    return _stability(scale, seed, 0.99)


@stability.control("one percent above the limit")
def _(scale: str, seed: int) -> Evidence:
    return _stability(scale, seed, 1.01)


def _variance(scale: str, seed: int, formula: Any) -> Evidence:
    problem = LeastSquares([[1.0], [1.0]], [-1.0, 1.0])  # gradient x plus or minus 1: additive noise of variance 1
    qs, deviations = at_scale(scale, (0.1,), (0.03, 0.1, 0.5)), []
    for q in qs:
        for mu_x, mu_y in ((0.9, 0.7), (0.99, 0.7), (0.9, 0.0)):
            wrapper = PrimalAveraging(SGD(q), mu_y, mu_x)
            state = wrapper.init(problem, np.zeros(1), np.random.default_rng(seed))
            samples = []
            for _ in range(at_scale(scale, 8000, 30_000)):
                state = wrapper.advance(problem, state, 40)
                samples.append(wrapper.variable(state)[0])
            deviations.append(abs(np.mean(np.square(samples[100:])) / formula(q, mu_x, mu_y) - 1.0))
    return Evidence(
        np.repeat(qs, 3), deviations, kind="identity", slack=0.1, xlabel="gamma h", ylabel="measured / formula - 1"
    )


def _stationary(q: float, mu_x: float, mu_y: float) -> float:
    above = (1 - mu_x) * (1 + mu_x - mu_x * q * (1 - mu_y))
    below = q * (1 - mu_x + mu_x * q * (1 - mu_y)) * (2 * (1 + mu_x) - q * (1 + mu_x - 2 * mu_x * mu_y))
    return q * q * above / below


@theorem(
    id="gpa-stationary-variance",
    paper=PAPER,
    title="The noise that is left in the average, at a constant step",
    statement="""On curvature h with additive gradient noise of variance s^2 and q = gamma h, x has the variance
    gamma^2 s^2 (1 - mu_x)(1 + mu_x - mu_x q (1 - mu_y)) / {q (1 - mu_x + mu_x q (1 - mu_y)) (2 (1 + mu_x) -
    q (1 + mu_x - 2 mu_x mu_y))}.""",
    assumptions=(
        "a quadratic",
        "additive independent noise",
        "base SGD with a constant stable step",
    ),
    source=DERIVED,
)
def stationary_variance(scale: str, seed: int) -> Evidence:
    return _variance(scale, seed, _stationary)


@stationary_variance.control("SGD's variance gamma^2 s^2/(q (2 - q))")
def _(scale: str, seed: int) -> Evidence:
    return _variance("smoke", seed, lambda q, mu_x, mu_y: _stationary(q, 0.0, 0.0))


def _lag(scale: str, seed: int, interpolation: float) -> Evidence:
    """Run on a linear loss, whose displacement is constant."""

    class Slope(FiniteSum):
        def losses(self, x: Any, rows: Any) -> Any:
            return np.full(len(rows), 1e6 + x[0])

        def gradient(self, x: Any, rows: Any) -> Any:
            return np.ones(1)

    problem, deviations = Slope(1, 1), []
    averages = (0.5, 0.9, 0.97)
    for mu_x in averages:
        wrapper = PrimalAveraging(SGD(0.01), interpolation, mu_x)
        state = wrapper.advance(problem, wrapper.init(problem, np.zeros(1), np.random.default_rng(0)), 1500)
        lag = mu_x / (1 - mu_x) * 0.01
        deviations.append(abs(wrapper.variable(state)[0] - state.inner.x[0] - (lag if interpolation else 0.0)) / lag)
    return Evidence(averages, deviations, kind="identity", slack=1e-9, xlabel="mu_x", ylabel="relative deviation")


@theorem(
    id="gpa-lag",
    paper=PAPER,
    title="The average lags lambda iterations behind",
    statement="""Under a constant displacement d, x_t - z_t -> -lambda d with lambda = mu_x/(1 - mu_x).""",
    assumptions=(
        "a constant displacement",
        "mu_x < 1",
    ),
    source=DERIVED,
)
def lag(scale: str, seed: int) -> Evidence:
    return _lag(scale, seed, 0.7)


@lag.control("no lag at all")
def _(scale: str, seed: int) -> Evidence:
    return _lag(scale, seed, 0.0)
