"""NGN-M and NGN-MD: momentum, preconditioning and weight decay, and the library's sparse step.

NGN-M (Islamov, Ajroldi, Orvieto, Lucchi 2025): ``x+ = x - (1-beta) gamma g + beta (x - x_previous)`` with gamma from
the raw gradient. With lambda = beta/(1-beta) it is an averaging of iterates, on which its bounds rest; their constants
were derived again here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

import optlab
from optlab.reproduce import Evidence, at_scale, theorem
from optlab.stochastic import NGN, NGNMD, SGD, FiniteSum, LogisticRegression, NonlinearLeastSquares
from optlab.stochastic.methods.ngn import ngn_step_size
from optlab.theorems.ngn._instances import (
    DERIVED,
    PAPER,
    Instance,
    instances,
    least_squares,
    logistic,
    sigma_grid,
    step_from,
)
from optlab.theorems.ngn._paths import paths

FOLLOW_UP = "Islamov, Ajroldi, Orvieto, Lucchi 2025"


def _averaging(scale: str, seed: int, share: float) -> Evidence:
    """Compare with z+ = z - gamma g(x), x+ = (lambda x + z+)/(1 + lambda), written out."""
    worst, n = [], 60  # with large sigma the paths are sensitive: rounding grows from step to step
    draws = range(seed, seed + at_scale(scale, 1, 8))
    for instance in [make for draw in draws for make in (least_squares(draw), logistic(draw, l2=0.1))]:
        problem = instance.problem
        for sigma, beta in ((0.1, 0.9), (10.0, 0.5), (1e4, 0.99)):
            weight = share * beta / (1 - beta)
            path = optlab.iterate(problem, NGN(sigma, momentum=beta, sampling="sequential"), x0=np.ones(3))
            next(path)
            x = z = np.ones(3)
            for k in range(n):
                row = np.array([k % problem.n_samples])
                g = problem.gradient(x, row)
                z = z - ngn_step_size(float(problem.losses(x, row)[0]), float(g @ g), sigma) * g
                x = (weight * x + z) / (1 + weight)
                worst.append(float(np.abs(next(path).x - x).max() / max(1.0, np.abs(z).max())))
    return Evidence(np.arange(len(worst)), worst, kind="equivalence", slack=1e-12, xlabel="step of all runs")


@theorem(
    id="ngn-m-averaging",
    paper=PAPER,
    title="NGN-M is an averaging of iterates",
    statement="""With lambda = beta/(1-beta) and z_0 = x_0, NGN-M is z_{k+1} = z_k - gamma_k g_k,
    x_{k+1} = (lambda x_k + z_{k+1})/(1 + lambda), g_k and gamma_k taken at x_k.""",
    assumptions=("0 <= beta < 1", "x_{-1} = x_0"),
    source=FOLLOW_UP,
)
def averaging(scale: str, seed: int) -> Evidence:
    return _averaging(scale, seed, 1.0)


@averaging.control("weight lambda 10% too large")
def _(scale: str, seed: int) -> Evidence:
    return _averaging("smoke", seed, 1.1)


# ------------------------------------------------------------------------------------------------ bounds


def _heavy_ball(instance: Instance, step_size: float, momentum: float, K: int) -> list[float]:
    """Return, for five seeds, the mean of f(x_k) - f* over K steps of the heavy ball; 1e100 if it diverges."""
    x0, found = instance.minimizer + 2.0, []
    with np.errstate(all="ignore"):
        for s in range(5):
            method = SGD(step_size, momentum=momentum)
            run = optlab.solve(instance.problem, method, x0=x0, max_iter=K, record=1, seed=s)
            done = run.history["iteration"][-1] == K
            mean = float((run.history["objective"][:-1] - instance.f_star).mean())
            found.append(min(mean, 1e100) if done and np.isfinite(mean) else 1e100)  # so that it can be averaged
    return found


def _convex_bound(instance: Instance, u: float, K: int) -> float:
    bound = (1 + u) * (1 + 2 * u) * 4.0 * instance.minimizer.size * instance.smoothness / (u * K)
    bound += (6 * u * (1 + u) + 2 * u * (1 + u) * (1 + 2 * u)) * instance.interpolation_gap
    return bound + 2 * u * max(0.0, 2 * u - 1) * instance.positivity_gap


def _momentum_bound(chosen: Any, ts: Any, seeds: int, records: Any) -> Evidence:
    samples, bounds, abscissa = [], [], []
    weight = np.minimum(ts, 0.5 / ((1 + ts) * (1 + 2 * ts)))
    for instance in chosen:
        run = paths(
            instance.vectorized,
            instance.minimizer + 2.0,
            ts / instance.smoothness,
            range(seeds),
            records,
            momentum=weight / (1 + weight),
            losses=True,
        )
        for K, columns in zip(records, run.mean_loss - instance.f_star, strict=True):
            for u, column in zip(ts, columns, strict=True):
                samples.append(column)
                bounds.append(_convex_bound(instance, float(u), K))
                abscissa.append(u)
    detail = {"cells": len(bounds)}
    return Evidence.expectation(
        abscissa, np.array(samples).T, bounds, detail=detail, xlabel="c L", ylabel="mean of f(x_k) - f*"
    )


@theorem(
    id="ngn-m-convex",
    paper=PAPER,
    title="NGN-M on convex losses: convergence to a neighbourhood for every step size",
    statement="""With u = cL, beta = lambda/(1+lambda) and lambda <= min(u, 1/(2(1+u)(1+2u))), the mean of
    E[f(x_k) - f*] over K steps is at most (1+u)(1+2u) D^2/(cK) + (6u(1+u) + 2u(1+u)(1+2u)) D_int
    + 2u max(0, 2u-1) D_pos.""",
    assumptions=("f_i >= 0 convex and L-smooth", "momentum as small as stated"),
    source=f"{FOLLOW_UP}; constants {DERIVED}",
)
def momentum_convex(scale: str, seed: int) -> Evidence:
    seeds, records = at_scale(scale, 10, 200), at_scale(scale, (100,), (50, 1000))
    return _momentum_bound(instances(scale, seed), sigma_grid(scale), seeds, records)


@momentum_convex.control("heavy ball with the step size c, cL = 1000")
def _(scale: str, seed: int) -> Evidence:
    u, instance = 1e3, least_squares(seed)
    weight = 0.5 / ((1 + u) * (1 + 2 * u))
    found = _heavy_ball(instance, u / instance.smoothness, weight / (1 + weight), 50)
    return Evidence.expectation([u], np.array(found)[:, None], [_convex_bound(instance, u, 50)])


def _interpolation(chosen: Any, records: Any, seeds: int) -> Evidence:
    samples, bounds, abscissa = [], [], []
    weight = np.array([1.0, 9.0, 99.0])
    for instance in chosen:
        u = 1 / (4 * np.maximum(weight, 9.0))
        c, x0 = u / instance.smoothness, instance.minimizer + 2.0
        beta = weight / (1 + weight)
        run = paths(instance.vectorized, x0, c, range(seeds), records, momentum=beta, losses=True)
        leading = (1 + u) * 4.0 * len(x0) / (2 * c * (1 / (1 + 2 * u) - weight * u))
        for K, columns in zip(records, run.mean_loss - instance.f_star, strict=True):
            samples += list(columns)
            bounds += list(leading / K)
            abscissa += list(weight)
    detail = {"cells": len(bounds)}
    return Evidence.expectation(
        abscissa, np.array(samples).T, bounds, detail=detail, xlabel="lambda", ylabel="mean of f(x_k) - f*"
    )


@theorem(
    id="ngn-m-interpolation",
    paper=PAPER,
    title="NGN-M under interpolation, with momentum 0.9 and more",
    statement="""If D_int = 0 and lambda <= Lambda, Lambda >= 9, c <= 1/(4 Lambda L), u = cL: the mean of E[f(x_k) - f*]
    over K steps is at most (1+u) D^2 / (2c (1/(1+2u) - lambda u) K). lambda = 9 is beta = 0.9, lambda = 99 is 0.99.""",
    assumptions=("f_i >= 0 convex and L-smooth", "all losses vanish at x*", "c <= 1/(4 Lambda L)"),
    source=f"{FOLLOW_UP}; this form {DERIVED}",
)
def momentum_interpolation(scale: str, seed: int) -> Evidence:
    draws = range(at_scale(scale, 2, 36, 100))
    chosen = [least_squares(100 * seed + k, n=12 + k % 12, d=3 + k % 3, noise=0.0) for k in draws]
    return _interpolation(chosen, at_scale(scale, (200,), (50, 200, 1000)), at_scale(scale, 10, 200))


@momentum_interpolation.control("losses that do not vanish together")
def _(scale: str, seed: int) -> Evidence:
    return _interpolation([least_squares(seed, noise=1000.0)], (1000,), 20)


# ------------------------------------------------------------------------------------------------ x^2 + x^4


def _quartic() -> NonlinearLeastSquares:
    """Return ``x^2 + x^4 = phi^2 / 2`` with phi = x sqrt(2 (1 + x^2))."""
    return NonlinearLeastSquares(
        lambda x, rows: np.array([x[0] * np.sqrt(2 * (1 + x[0] ** 2))]),
        lambda x, rows: np.array([[np.sqrt(2.0) * (1 + 2 * x[0] ** 2) / np.sqrt(1 + x[0] ** 2)]]),
        1,
        1,
        f_star=0.0,
    )


def _steps_needed(method: Any) -> int:
    return int(optlab.solve(_quartic(), method, x0=[10.0], max_iter=3000, tol=1e-15, record=1).n_iter)


def _counts(beta: float) -> Evidence:
    found = [_steps_needed(NGN(10.0, momentum=beta)), _steps_needed(SGD(1e-2, momentum=beta))]
    return Evidence(
        [0, 1],
        [found[0] - 268, found[1] - 690],
        kind="identity",
        slack=2,
        detail={"NGN-M, c = 10": found[0], "heavy ball, step size 0.01": found[1]},
        xlabel="0: NGN-M, 1: heavy ball",
        ylabel="steps, less the expected number",
    )


@theorem(
    id="ngn-m-step-counts",
    proved=False,
    paper=PAPER,
    title="x^2 + x^4: steps of NGN-M and of the heavy ball",
    statement="""From x = 10 with beta = 0.9, both methods damped by 1 - beta, to a loss of 1e-15: NGN-M with c = 10
    takes 268 steps, the heavy ball with step size 0.01 takes 690, within 2 each. The paper reports 269 and 691 for
    the best step sizes of a grid in powers of ten.""",
    assumptions=("start at 10", "beta = 0.9"),
    source=f"{FOLLOW_UP}, experiment",
)
def step_counts(scale: str, seed: int) -> Evidence:
    return _counts(0.9)


@step_counts.control("beta = 0.8")
def _(scale: str, seed: int) -> Evidence:
    return _counts(0.8)


def _any_step_size(scale: str, make: Any) -> Evidence:
    losses, abscissa = [], []
    for beta in (0.36, 0.9):
        for c in at_scale(scale, (0.5, 10.0, 1e4), (0.5, 1.0, 10.0, 100.0, 1e4, 1e8)):
            run = optlab.solve(_quartic(), make(c, momentum=beta), x0=[10.0], max_iter=5000, tol=1e-12, record=10)
            losses.append(run.metrics["objective"] if np.isfinite(run.metrics["objective"]) else np.inf)
            abscissa.append(c)
    return Evidence(abscissa, losses, 1e-12, xlabel="c", ylabel="loss reached within 5000 steps")


@theorem(
    id="ngn-m-quartic",
    paper=PAPER,
    title="x^2 + x^4: NGN-M converges for every large step size",
    statement="For f = x^2 (1 + x^2), NGN-M converges for every c >= 1/2 and beta >= 9/25.",
    assumptions=("c >= 1/2", "beta >= 9/25"),
    source=FOLLOW_UP,
)
def quartic(scale: str, seed: int) -> Evidence:
    return _any_step_size(scale, NGN)


@quartic.control("the heavy ball with the same step sizes")
def _(scale: str, seed: int) -> Evidence:
    return _any_step_size("smoke", SGD)


# ------------------------------------------------------------------------------------------------ weight decay


class _Given(FiniteSum):
    """One term with a prescribed loss and gradient."""

    def __init__(self, loss: float, gradient: Any) -> None:
        super().__init__(1, len(gradient))
        self.loss, self.slope = loss, gradient

    def losses(self, x: Any, rows: Any) -> Any:
        return np.full(len(rows), self.loss)

    def gradient(self, x: Any, rows: Any) -> Any:
        return self.slope


def _weight_decay(scale: str, seed: int, coupled: bool) -> Evidence:
    rng = np.random.default_rng(seed)
    worst: list[float] = []
    while len(worst) < at_scale(scale, 60, 1000):
        g, x = rng.uniform(0.5, 2.0, 4) * rng.choice([-1, 1], 4), rng.normal(size=4)
        f, c, decay = 10.0 ** rng.uniform(-1, 1, 3) * (1, 1, 0.1)
        if 1 - c * decay * (g @ x) / (2 * f * (1 + decay * c)) <= 0:
            continue  # there the gradient part is cut off at 0
        method = NGNMD(c, momentum=0.0, weight_decay=decay, coupled=coupled)
        moved = step_from(_Given(float(f), g), method, x).x - x
        D = method.epsilon + np.abs(g)
        slope = g / (2 * np.sqrt(f))
        matrix = 2 * np.outer(slope, slope) + np.diag(D * (1 / c + decay))
        solved = np.linalg.solve(matrix, -2 * np.sqrt(f) * slope - decay * D * x)
        worst.append(float(np.abs(moved - solved).max() / np.abs(solved).max()))
    return Evidence(
        np.arange(len(worst)), worst, kind="identity", slack=1e-12, xlabel="sample", ylabel="relative error"
    )


@theorem(
    id="ngn-md-weight-decay",
    paper=PAPER,
    title="NGN-MD with coupled weight decay solves its linear system",
    statement="""The step of NGN-MD with coupled weight decay minimises (r + <grad r, p>)^2 + ||p||_D^2/(2c)
    + (lambda/2) ||x + p||_D^2 with r = sqrt(f), D the preconditioner: compared with a 4 x 4 solve.""",
    assumptions=("f > 0", "c lambda <g, x> < 2 f (1 + lambda c), else the gradient part is cut off"),
    source=f"{FOLLOW_UP}; the closed form {DERIVED}",
)
def weight_decay(scale: str, seed: int) -> Evidence:
    return _weight_decay(scale, seed, True)


@weight_decay.control("decoupled weight decay")
def _(scale: str, seed: int) -> Evidence:
    return _weight_decay("smoke", seed, False)


# ------------------------------------------------------------------------------------------------ sparse step


def _sparse(seed: int, dtype: Any) -> Evidence:
    rng, worst, sigmas = np.random.default_rng(seed), [], (0.1, 10.0, 1e4)
    A = sparse.random_array((80, 40), density=0.15, format="csr", rng=rng)
    y = np.where(A @ rng.normal(size=40) + 0.1 * rng.normal(size=80) > 0, 1.0, -1.0)
    for sigma in sigmas:
        ends = [
            optlab.solve(
                LogisticRegression(data, y, l2=0.01, f_star=None), NGN(sigma), max_iter=5000, record=5000, seed=seed
            ).solution
            for data in (A, A.toarray().astype(dtype))
        ]
        worst.append(float(np.abs(ends[0] - ends[1]).max() / np.abs(ends[1]).max()))
    return Evidence(sigmas, worst, kind="equivalence", slack=1e-12, xlabel="sigma", ylabel="relative difference")


@theorem(
    id="ngn-sparse-step",
    paper=PAPER,
    title="The sparse step with ridge is the dense one",
    statement="""With x = s v and ||x||^2 carried along, the NGN step on a ridge-regularised linear model costs a number
    of operations proportional to the non-zeros of the sample, and is exact: after 5000 steps sparse and dense data give
    the same weights to 1e-12, sigma from 0.1 to 1e4.""",
    assumptions=("linear model with ridge inside every f_i",),
    source=DERIVED,
)
def sparse_step(scale: str, seed: int) -> Evidence:
    return _sparse(seed, np.float64)


@sparse_step.control("dense data in single precision")
def _(scale: str, seed: int) -> Evidence:
    return _sparse(seed, np.float32)
