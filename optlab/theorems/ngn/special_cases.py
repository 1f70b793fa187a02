"""NGN: problems on which the method is an old acquaintance or can be solved in closed form.

One-sample least squares (stochastic proximal point, Kaczmarz), one-dimensional quadratics (implicit Euler; a limit
cycle of period two where the minimum is positive), and two logistic samples that contradict each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import optlab
from optlab.reproduce import Evidence, at_scale, theorem
from optlab.stochastic import (
    NGN,
    SGD,
    LeastSquares,
    LogisticRegression,
    StochasticProximalPoint,
    trace,
)
from optlab.theorems.ngn._instances import DERIVED, PAPER, step_from


def _end(problem: Any, method: Any, x0: Any, n: int, seed: int = 0) -> Any:
    return optlab.solve(problem, method, x0=x0, max_iter=n, record=n, seed=seed).solution


# ------------------------------------------------------------------------------------------------ least squares


def _proximal(scale: str, seed: int, kind: Any = LeastSquares) -> Evidence:
    worst, abscissa = [], (1e-3, 0.1, 1.0, 30.0, 1e4)
    rng = np.random.default_rng(seed)
    A, b = rng.normal(size=(20, 5)), rng.choice([-1.0, 1.0], size=20)
    problem = kind(A, b)
    for sigma in abscissa:
        ends = [
            _end(problem, method, np.ones(5), at_scale(scale, 100, 1000), seed)
            for method in (NGN(sigma), StochasticProximalPoint(sigma))
        ]
        worst.append(float(np.abs(ends[0] - ends[1]).max() / np.abs(ends[1]).max()))
    return Evidence(abscissa, worst, kind="equivalence", slack=1e-8, xlabel="sigma", ylabel="relative difference")


@theorem(
    id="ngn-proximal-point",
    paper=PAPER,
    title="On least squares NGN is the stochastic proximal point method",
    statement="""For f_i = (<a_i, x> - b_i)^2 / 2 the NGN step is the minimiser of f_i(u) + ||u - x||^2 / (2 sigma): the
    implicit stochastic gradient step. Whole runs coincide.""",
    assumptions=("one-sample least squares without ridge",),
    source=DERIVED,
)
def proximal_point(scale: str, seed: int) -> Evidence:
    return _proximal(scale, seed)


@proximal_point.control("logistic losses")
def _(scale: str, seed: int) -> Evidence:
    return _proximal("smoke", seed, LogisticRegression)


def _kaczmarz(scale: str, seed: int, sigma: float) -> Evidence:
    """Compare with projections onto the hyperplanes, written out."""
    rng = np.random.default_rng(seed)
    A, n = rng.normal(size=(20, 5)), at_scale(scale, 100, 1000)
    b = A @ rng.normal(size=5) + rng.normal(size=20)
    method = NGN(sigma, sampling="sequential")
    x, worst = np.ones(5), []
    path = optlab.iterate(LeastSquares(A, b), method, x0=x)
    next(path)
    for k in range(n):
        a = A[k % 20]
        x = x - (a @ x - b[k % 20]) / (a @ a) * a
        worst.append(float(np.abs(next(path).x - x).max() / np.abs(x).max()))
    return Evidence(np.arange(1, n + 1), worst, kind="equivalence", slack=1e-10, ylabel="relative difference")


@theorem(
    id="ngn-kaczmarz",
    paper=PAPER,
    title="On least squares with large sigma NGN is Kaczmarz's method",
    statement="""As sigma -> infinity the NGN step on (<a_i, x> - b_i)^2 / 2 projects x onto the hyperplane
    <a_i, x> = b_i. At sigma = 1e12 whole cyclic runs coincide to 1e-10.""",
    assumptions=("one-sample least squares without ridge",),
    source=DERIVED,
)
def kaczmarz(scale: str, seed: int) -> Evidence:
    return _kaczmarz(scale, seed, 1e12)


@kaczmarz.control("sigma = 10")
def _(scale: str, seed: int) -> Evidence:
    return _kaczmarz("smoke", seed, 10.0)


def _euler(seed: int, method: Any) -> Evidence:
    rng, worst, products = np.random.default_rng(seed), [], []
    for _ in range(60):
        curvature, sigma, x = 10.0 ** rng.uniform(-3, 3), 10.0 ** rng.uniform(-6, 6), rng.normal()
        problem = LeastSquares([[np.sqrt(curvature)]], [0.0], f_star=None)
        exact = x / (1 + sigma * curvature)
        # the new point is a difference of numbers of the size of x: rounding is relative to x
        worst.append(float(step_from(problem, method(sigma), [x]).x[0] - exact) / x)
        products.append(sigma * curvature)
    return Evidence(products, worst, kind="identity", slack=1e-9, xlabel="sigma lambda", ylabel="difference / x")


@theorem(
    id="ngn-implicit-euler",
    paper=PAPER,
    title="On a parabola NGN is implicit Euler",
    statement="For f = lambda x^2 / 2 one step is x+ = x / (1 + sigma lambda): contracting for every sigma > 0.",
    assumptions=("f* = 0",),
    source=DERIVED,
)
def implicit_euler(scale: str, seed: int) -> Evidence:
    return _euler(seed, NGN)


@implicit_euler.control("explicit Euler: the gradient step")
def _(scale: str, seed: int) -> Evidence:
    return _euler(seed, SGD)


# ------------------------------------------------------------------------------------------------ toys


def _raised_parabola(curvature: float, minimum: float) -> LeastSquares:
    """Return ``lambda x^2 / 2 + minimum`` as the mean of two squares, of which one is constant."""
    return LeastSquares([[np.sqrt(2 * curvature)], [0.0]], [0.0, 2 * np.sqrt(minimum)], f_star=None)


def _cycle(lower_bound_known: bool) -> Evidence:
    cases, n = ((1.0, 10.0, 1.0), (2.0, 3.0, 0.5), (5.0, 1.0, 0.1), (1.0, 1.9, 1.0)), 20_000
    errors, detail = [], {}
    for curvature, sigma, minimum in cases:
        method = NGN(sigma, batch_size=2, lower_bound=minimum if lower_bound_known else None)
        first, second = (float(_end(_raised_parabola(curvature, minimum), method, [0.7], k)[0]) for k in (n, n + 1))
        excess = curvature / 2 - 1 / sigma
        amplitude = np.sqrt(max(2 * minimum * excess / (curvature * (curvature - excess)), 0.0))
        errors += [abs(first) - amplitude, first + second if amplitude else second]
        detail[f"amplitude, lambda = {curvature:g}, sigma = {sigma:g}, f* = {minimum:g}"] = abs(first)
    return Evidence(
        np.repeat(np.arange(len(cases)), 2),
        errors,
        kind="identity",
        slack=1e-7,
        detail=detail,
        xlabel="case",
        ylabel="|x| less the amplitude; x + x+",
    )


@theorem(
    id="ngn-limit-cycle",
    paper=PAPER,
    title="A positive minimum and a large constant sigma: a cycle of period two",
    statement="""For f = lambda x^2/2 + f* and sigma > 2/lambda the iterates tend to the cycle x, -x with
    x^2 = 2 f* a / (lambda (lambda - a)), a = lambda/2 - 1/sigma; for sigma < 2/lambda they tend to 0. Hence a constant
    sigma converges on the full objective only below 2/lambda, or with the lower bound f* known.""",
    assumptions=("f* > 0", "lower bound 0"),
    source=DERIVED,
)
def limit_cycle(scale: str, seed: int) -> Evidence:
    return _cycle(False)


@limit_cycle.control("with the lower bound f* the cycle disappears")
def _(scale: str, seed: int) -> Evidence:
    return _cycle(True)


def _conflict(scale: str, seed: int, method: Any) -> Evidence:
    """Return the largest |x| over all the steps, read off the losses of a traced run."""
    sigmas = at_scale(scale, (1.0, 1e2, 1e4, 1e8, 1e12), tuple(10.0 ** np.arange(13)))
    n = at_scale(scale, 50_000, 200_000)
    problem = LogisticRegression([[1.0], [1.0]], [1.0, -1.0])
    extremes = []
    for sigma in sigmas:
        run = optlab.solve(problem, method(sigma, trace=True), x0=[0.0], max_iter=n, record=n, seed=seed)
        # loss = log(1 + e^-m) with margin m = y x, hence m = -log(expm1(loss)); |m| = |x|
        loss = trace(run)["loss"]
        loss = loss[loss > 0]  # an underflow, which only the control meets
        extremes.append(float(np.max(np.abs(loss + np.log(-np.expm1(-loss))))))
    return Evidence(
        sigmas,
        extremes,
        np.log(sigmas) + 15,
        detail={f"largest |x|, sigma = {s:g}": x for s, x in zip(sigmas, extremes, strict=True)},
        xlabel="sigma",
        ylabel="largest |x|",
        note=f"{n} steps; the bound ln sigma + 15 is an observed one",
    )


@theorem(
    id="ngn-conflicting-logistic",
    proved=False,
    paper=PAPER,
    title="Two contradicting logistic samples: growth like ln sigma",
    statement="""On log(1 + e^x) and log(1 + e^-x), drawn at random, the largest |x| over 2e5 steps from 0 is at most
    ln sigma + 15 for sigma from 1 to 1e12: once e^|x| exceeds sigma the steps fade. SGD goes to about sigma / 2.""",
    assumptions=("start at 0", "2e5 steps"),
    source=f"{DERIVED} (observed; no proof)",
)
def conflicting_logistic(scale: str, seed: int) -> Evidence:
    return _conflict(scale, seed, NGN)


@conflicting_logistic.control("SGD with step size sigma")
def _(scale: str, seed: int) -> Evidence:
    return _conflict("smoke", seed, SGD)
