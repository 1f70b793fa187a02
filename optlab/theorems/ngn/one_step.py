"""NGN: what one step does, the expectation taken exactly by going through all the samples.

The inequalities of one step are what the convergence theorems are summed from. Here every sample's step is taken from
the same point and averaged: no sampling error, so that a violation would be one. Points lie at distances from 1e-2 to
1e2 of the solution, t = sigma L from 1e-4 to 1e6; from scale *cpu* on there are 3000 convex problems with 13 values of
t each, and 32000 points of the non-convex inequality. The steps are vectorised (`_paths`); the tests compare them
with those of the library's own method.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.reproduce import Evidence, at_scale, theorem
from optlab.stochastic import NGN, NGND, LeastSquares, SigmoidLeastSquares
from optlab.theorems.ngn._instances import (
    DERIVED,
    PAPER,
    Instance,
    convex_instances,
    nearest_to_bound,
    points_near,
    step_from,
)
from optlab.theorems.ngn._paths import gradient_steps, linear_terms, step_sizes

FOLLOW_UP = "Islamov, Ajroldi, Orvieto, Lucchi 2025"


@dataclass(frozen=True, eq=False)
class Fan:
    """One step of every term from one point, for all values of t: what all the inequalities are made of.

    Arrays over t first, over the terms last; `before` and `after` are squared distances to the solution.
    """

    instance: Instance
    t: Any
    f: Any
    f_at_solution: Any
    gamma: Any
    before: float
    after: Any


def _fans(scale: str, seed: int, step: Any = step_sizes) -> Any:
    """Yield the fans of all instances and points."""
    ts = at_scale(scale, np.array([1e-3, 0.3, 30.0, 1e6]), np.array([*(10.0 ** np.arange(-4, 7)), 0.4, 2.0]))
    for draw in range(at_scale(scale, 1, 500, 3000)):
        rng = np.random.default_rng([seed, draw])
        for instance in convex_instances(1000 * seed + draw):
            for x in points_near(instance, rng, at_scale(scale, 3, 1)):
                sigma = ts[:, None] / instance.smoothness
                f, g = instance.vectorized.oracle(np.arange(len(instance.terms)), x[None])
                gamma = step(f, np.sum(g * g, axis=-1), sigma)
                ends = x - gamma[..., None] * g
                at_solution = instance.vectorized.oracle(np.arange(len(instance.terms)), instance.minimizer[None])[0]
                before = float(np.sum((x - instance.minimizer) ** 2))
                yield Fan(
                    instance, ts, f, at_solution, gamma, before, np.sum((ends - instance.minimizer) ** 2, axis=-1)
                )


# ------------------------------------------------------------------------------------------------ convex losses


def _per_sample(scale: str, seed: int, step: Any = step_sizes) -> Evidence:
    observed, bound, ts = [], [], []
    for fan in _fans(scale, seed, step):
        sigma = fan.t[:, None] / fan.instance.smoothness
        size = fan.before + fan.gamma * fan.f + 2 * fan.gamma * fan.f_at_solution
        observed.append((fan.after - fan.before + 2 * fan.gamma**2 / sigma * fan.f) / size)
        bound.append(2 * fan.gamma * fan.f_at_solution / size)
        ts.append(np.broadcast_to(fan.t[:, None], size.shape))
    return nearest_to_bound(observed, bound, ts, 1e-11, ylabel="change of the squared distance, scaled")


@theorem(
    id="ngn-step-inequality",
    paper=PAPER,
    title="One step, every sample: the distance without any smoothness",
    statement="""||x+ - x*||^2 <= ||x - x*||^2 - (2 gamma^2 / sigma) f_i(x) + 2 gamma f_i(x*) for each sample i, at any
    point, for every sigma > 0. It follows from convexity and the fundamental equality alone.""",
    assumptions=("f_i >= 0 convex",),
    source=DERIVED,
)
def step_inequality(scale: str, seed: int) -> Evidence:
    return _per_sample(scale, seed)


@step_inequality.control("gradient step sigma instead of the NGN step")
def _(scale: str, seed: int) -> Evidence:
    return _per_sample("smoke", seed, gradient_steps)


def _noise(instance: Instance, t: Any) -> Any:
    """Return what both gaps add to the squared distance in one step."""
    sigma = t / instance.smoothness
    noise = 6 * sigma * t / (1 + 2 * t) * instance.interpolation_gap
    return noise + 2 * sigma * t / (1 + t) * np.maximum(0, (2 * t - 1) / (2 * t + 1)) * instance.positivity_gap


def _mean_step(scale: str, seed: int, step: Any = step_sizes) -> Evidence:
    """Average one step over all samples; compare with the smooth inequality and the one without D_int."""
    observed, bound, ts = [], [], []
    for fan in _fans(scale, seed, step):
        t, before, f_star = fan.t, fan.before, fan.instance.f_star
        sigma = t / fan.instance.smoothness
        rho, f = sigma / ((1 + t) * (1 + 2 * t)), float(fan.f.mean())
        change = fan.after.mean(axis=-1) - before
        noise, simple = _noise(fan.instance, t), 2 * sigma * f_star
        # divided by the squared distance, and by the size of the bound where that is larger
        observed.append((change + 2 * rho * (f - f_star)) / np.maximum(before, noise))
        bound.append(noise / np.maximum(before, noise))
        observed.append((change + 2 * sigma / (1 + t) ** 2 * f) / np.maximum(before, simple))
        bound.append(simple / np.maximum(before, simple))
        ts += [t, t]
    return nearest_to_bound(observed, bound, ts, 1e-12, ylabel="mean change of the squared distance, scaled")


@theorem(
    id="ngn-mean-step",
    paper=PAPER,
    title="One step, in expectation: the inequality behind the convex theorems",
    statement="""With rho = sigma/((1+t)(1+2t)), E||x+ - x*||^2 <= ||x - x*||^2 - 2 rho (f(x) - f*)
    + 6 sigma^2 L/(1+2t) D_int + (2 sigma^2 L/(1+t)) max(0, (2t-1)/(2t+1)) D_pos; and, shorter,
    E||x+ - x*||^2 <= ||x - x*||^2 - (2 sigma/(1+t)^2) f(x) + 2 sigma f*. Expectations over all samples, exactly.""",
    assumptions=("f_i >= 0 convex and L-smooth",),
    source=f"Orvieto, Xiao 2024, proof of the convergence for convex losses; the shorter one is {DERIVED}",
)
def mean_step(scale: str, seed: int) -> Evidence:
    return _mean_step(scale, seed)


@mean_step.control("gradient step sigma instead of the NGN step")
def _(scale: str, seed: int) -> Evidence:
    return _mean_step("smoke", seed, gradient_steps)


def _strong_step(scale: str, seed: int, exponent: float) -> Evidence:
    """Check the contraction of one step where every f_i is strongly convex (ridge)."""
    observed, bound, ts = [], [], []
    for fan in _fans(scale, seed):
        mu = float(fan.instance.problem.l2)
        if mu == 0:
            continue
        rate = 1 - mu * fan.t / fan.instance.smoothness / (1 + fan.t) ** exponent
        observed.append(fan.after.mean(axis=-1) / fan.before)
        bound.append(rate + _noise(fan.instance, fan.t) / fan.before)
        ts.append(fan.t)
    return nearest_to_bound(observed, bound, ts, 1e-12, ylabel="contraction of the squared distance")


@theorem(
    id="ngn-strongly-convex-terms",
    paper=PAPER,
    title="One step, every term strongly convex: a faster contraction",
    statement="""If each f_i is mu-strongly convex, E||x+ - x*||^2 <= (1 - mu sigma/(1+t)) ||x - x*||^2
    + 6 t sigma/(1+2t) D_int + (2 t sigma/(1+t)) max(0, (2t-1)/(2t+1)) D_pos.""",
    assumptions=("f_i >= 0 mu-strongly convex and L-smooth",),
    source=DERIVED,
)
def strongly_convex_terms(scale: str, seed: int) -> Evidence:
    return _strong_step(scale, seed, 1.0)


@strongly_convex_terms.control("the contraction of a gradient step, 1 - mu sigma")
def _(scale: str, seed: int) -> Evidence:
    return _strong_step("smoke", seed, 0.0)


# ------------------------------------------------------------------------------------------------ non-convex losses


def _sigmoid_terms(rng: Any, n: int = 10, d: int = 3) -> tuple[Any, Any]:
    A, b = rng.normal(size=(n, d)) * rng.uniform(0.5, 2.0, size=(n, 1)), (rng.random(n) > 0.5).astype(float)
    problem = SigmoidLeastSquares(A, b)
    return problem, [SigmoidLeastSquares(A[i : i + 1], b[i : i + 1]) for i in range(n)]


def _descent(scale: str, seed: int, noise: float) -> Evidence:
    """Check both forms of the descent inequality, divided by sigma, `noise` multiplying the variance."""
    observed, bound, ts = [], [], []
    t, points = np.array([1e-3, 0.05, 0.2, 0.5]), at_scale(scale, 10, 40)
    for draw in range(at_scale(scale, 8, 200, 1000)):
        rng = np.random.default_rng([seed, draw])
        problem, parts = _sigmoid_terms(rng)
        L, terms, rows = float(problem.smoothness.max()), linear_terms(parts), np.arange(len(parts))
        x = rng.normal(size=(points, 3)) * 10.0 ** rng.uniform(-1, 1, size=(points, 1))
        for _ in range(100 if draw % 2 else 0):  # every other time points where the noise is most of what moves
            x = x - terms.mean_gradient(x) / L
        f, g = terms.oracle(rows, x[:, None, :])
        mean = g.mean(axis=1)
        square = np.sum(mean**2, axis=-1)
        variance = noise * np.mean(np.sum((g - mean[:, None]) ** 2, axis=-1), axis=1)
        gamma = step_sizes(f, np.sum(g * g, axis=-1), t[:, None, None] / L)
        after = terms.mean(x[:, None, :] - gamma[..., None] * g).mean(axis=-1)
        s = t[:, None]
        change = (after - f.mean(axis=1)) * L / s
        observed += [change + square / 12, change + (1 / (1 + s) - s / 2) * square]
        bound += [1.5 * s * variance, s * (0.5 + 0.25 / (1 + s)) * variance]
        ts += [np.broadcast_to(s, change.shape)] * 2
    return nearest_to_bound(observed, bound, ts, 1e-12, ylabel="(E f(x+) - f) / sigma plus decrease")


@theorem(
    id="ngn-non-convex-step",
    paper=PAPER,
    title="Smooth non-convex losses: expected descent of one step",
    statement="""For sigma <= 1/(2L) and E||grad f_i - grad f||^2 <= s^2,
    E f(x+) <= f - (sigma/12) ||grad f||^2 + (3/2) sigma^2 L s^2; sharper,
    E f(x+) <= f - sigma (1/(1+t) - t/2) ||grad f||^2 + sigma^2 L (1/2 + 1/(4(1+t))) s^2. On least squares with a
    sigmoid, expectations over all samples, exactly; the variance is that of the point.""",
    assumptions=("f_i >= 0 L-smooth", "sigma <= 1/(2L)"),
    source=f"Orvieto, Xiao 2024, non-convex case, constants reconstructed; the sharper form is {DERIVED}",
)
def non_convex_step(scale: str, seed: int) -> Evidence:
    return _descent(scale, seed, 1.0)


@non_convex_step.control("the variance of the gradients left out")
def _(scale: str, seed: int) -> Evidence:
    return _descent("smoke", seed, 0.0)


# ------------------------------------------------------------------------------------------------ coordinates


def _coordinates(scale: str, seed: int, enlarged: float) -> Evidence:
    """Check the bounds of NGN-D's step sizes, its fundamental equality (through them) and one step's descent."""
    observed: list[float] = []
    bound: list[float] = []
    ts: list[float] = []
    for draw in range(at_scale(scale, 10, 200)):
        rng = np.random.default_rng([seed, draw])
        problem, terms = _sigmoid_terms(rng)
        if draw % 2:  # one sample of least squares: no noise, and the bounds nearly attained
            problem = LeastSquares(problem.A[:1], rng.normal(size=1), f_star=None)
            terms = [problem]
        A, kappa = problem.A, float(problem.smoothness[0] / problem.row_norms[0])
        L = kappa * np.max(np.abs(A) * np.abs(A).sum(axis=1)[:, None], axis=0)
        x = rng.normal(size=3) * 10.0 ** rng.uniform(-1, 1)
        value, gradient = problem.objective_and_gradient(x)
        variance = np.mean((problem.gradients(x) - gradient) ** 2, axis=0)
        for share in (1e-3, 0.1, 1.0):
            c = enlarged * share * rng.uniform(0.2, 1.0, size=3) / (2 * L)
            ends = []
            for term in terms:
                end = step_from(term, NGND(1.0, scales=c), x).x
                f, g = term.objective_and_gradient(x)
                seen = np.abs(c * g) > 1e-5 * (np.abs(x) + 1)  # elsewhere rounding hides the step size
                gamma, cap, low = ((x - end)[seen] / g[seen], c[seen], (c / (1 + c * L))[seen])
                equality = np.abs((1 - gamma / cap) * f * 2 - gamma * g[seen] ** 2) / f
                observed += [*(gamma / cap), *(low / gamma), *equality]
                bound += [1.0] * (2 * len(cap)) + [1e-8] * len(cap)
                ts += [share] * (3 * len(cap))
                ends.append(problem.objective(end))
            observed.append((float(np.mean(ends)) - value + float(np.sum(c * gradient**2)) / 12) / float(c.min()))
            bound.append(1.5 * float(np.sum(c**2 * L * variance)) / float(c.min()))
            ts.append(share)
    evidence = nearest_to_bound([observed], [bound], [ts], 1e-9, ylabel="left side, scaled")
    evidence.xlabel = "2 c_j L_j, largest"
    return evidence


@theorem(
    id="ngn-d-step",
    paper=PAPER,
    title="NGN-D: bounds of the coordinate steps and descent of one step",
    statement="""With coordinate smoothness L_j, c_j/(1 + c_j L_j) <= gamma_j <= c_j and
    gamma_j g_j^2 = 2 (1 - gamma_j/c_j) f; and for c_j <= 1/(2 L_j),
    E f(x+) <= f - sum (c_j/12) (d_j f)^2 + (3/2) sum c_j^2 L_j s_j^2.""",
    assumptions=("f_i >= 0", "f_i(x + h) <= f_i(x) + <grad f_i(x), h> + sum L_j h_j^2 / 2", "c_j <= 1/(2 L_j)"),
    source=FOLLOW_UP,
)
def coordinate_step(scale: str, seed: int) -> Evidence:
    return _coordinates(scale, seed, 1.0)


@coordinate_step.control("c_j a thousand times larger")
def _(scale: str, seed: int) -> Evidence:
    return _coordinates("smoke", seed, 1000.0)


def _overshoot(method: Any) -> Evidence:
    deviations, dimensions = [], (2, 3, 5, 20)
    for d in dimensions:
        a, b = np.linspace(1.0, 2.0, d), -3.0
        problem = LeastSquares(a[None, :], [b], f_star=None)
        x = step_from(problem, method(1e9), np.ones(d)).x
        factor = (a @ x - b) / (a.sum() - b)
        deviations.append(float(factor - (1 - d)) / d)
    return Evidence(
        dimensions, deviations, kind="identity", slack=1e-6, xlabel="d", ylabel="factor of the residual, less 1 - d"
    )


@theorem(
    id="ngn-d-overshoot",
    paper=PAPER,
    title="NGN-D is not stable for large sigma",
    statement="""On one least-squares sample with d non-zero features, as sigma grows a step of NGN-D multiplies the
    residual by 1 - d: it overshoots d - 1 times over, where NGN meets the sample exactly.""",
    assumptions=("sigma ||a||^2 large",),
    source=DERIVED,
)
def overshoot(scale: str, seed: int) -> Evidence:
    return _overshoot(NGND)


@overshoot.control("NGN, one step size for all coordinates")
def _(scale: str, seed: int) -> Evidence:
    return _overshoot(NGN)
