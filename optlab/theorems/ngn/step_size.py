"""NGN: the step size itself. Closed form, bounds, the fundamental equality, scaling.

Orvieto, Xiao 2024: ``gamma = sigma / (1 + sigma ||g||^2 / (2 f))``. What the checks below need is f >= 0 and, for the
bounds, smoothness; convexity enters only in `ngn_one_step` and `ngn_convergence`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import optlab
from optlab.reproduce import Evidence, at_scale, theorem
from optlab.stochastic import NGN, SGD, FiniteSum, LeastSquares, PolyakSGD, trace
from optlab.stochastic.methods.ngn import ngn_step_size
from optlab.theorems.ngn._instances import (
    DERIVED,
    PAPER,
    batches,
    least_squares,
    logistic,
    step_from,
)

PUBLISHED = "Orvieto, Xiao 2024"
steps = np.vectorize(ngn_step_size, otypes=[float])


class _Given(FiniteSum):
    """One term with a prescribed loss and gradient, constant in x: all that a single step sees."""

    def __init__(self, loss: float, gradient: Any) -> None:
        super().__init__(1, len(gradient))
        self.loss, self.slope = loss, gradient

    def losses(self, x: Any, rows: Any) -> Any:
        return np.full(len(rows), self.loss)

    def gradient(self, x: Any, rows: Any) -> Any:
        return self.slope


def _gauss_newton(scale: str, seed: int, damping: float) -> Evidence:
    rng, worst = np.random.default_rng(seed), []
    for _ in range(at_scale(scale, 60, 1000)):
        g, f, sigma = rng.normal(size=4), 10.0 ** rng.uniform(-3, 3), 10.0 ** rng.uniform(-3, 3)
        slope = g / (2 * np.sqrt(f))  # of r = sqrt(f)
        solved = np.linalg.solve(2 * np.outer(slope, slope) + damping * np.eye(4) / sigma, -2 * np.sqrt(f) * slope)
        moved = step_from(_Given(f, g), NGN(sigma), np.zeros(4)).x
        worst.append(float(np.linalg.norm(moved - solved) / np.linalg.norm(solved)))
    return Evidence(np.arange(len(worst)), worst, kind="identity", slack=1e-7, xlabel="sample", ylabel="relative error")


@theorem(
    id="ngn-closed-form",
    paper=PAPER,
    title="The step is a Levenberg-Marquardt step on the square root of the loss",
    statement="""With r = sqrt(f), the minimiser of (r + <grad r, p>)^2 + ||p||^2 / (2 sigma) is p = -gamma grad f with
    gamma = sigma / (1 + sigma ||grad f||^2 / (2 f)). Compared with a 4 x 4 linear solve, to 1e-7: the system is
    ill-conditioned for large sigma.""",
    assumptions=("f > 0",),
    source=f"{PUBLISHED}, derivation of the step size",
)
def closed_form(scale: str, seed: int) -> Evidence:
    return _gauss_newton(scale, seed, 1.0)


@closed_form.control("damping half as strong")
def _(scale: str, seed: int) -> Evidence:
    return _gauss_newton("smoke", seed, 0.5)


def _bounds(scale: str, seed: int, factor: float = 1.0) -> Evidence:
    """Compare every step of traced runs with sigma/(1 + sigma L) (as a quotient of at most 1) and with sigma."""
    instances = [least_squares(seed), least_squares(seed, noise=0.0), logistic(seed), logistic(seed, l2=0.1)]
    ts, K = 10.0 ** np.arange(-4, 7), at_scale(scale, 200, 2000)
    lower, upper, abscissa, smallest = [], [], [], np.inf
    for instance in instances:
        L = instance.smoothness * factor
        for t in ts:
            sigma = t / L
            run = optlab.solve(
                instance.problem, NGN(sigma, trace=True), x0=np.full(3, 5.0), max_iter=K, record=K, seed=seed
            )
            found = trace(run)
            lower.append(float((sigma / (1 + t) / found["step_size"]).max()))
            upper.append(float((found["step_size"] / sigma).max()))
            smallest = min(smallest, float(found["loss"].min()))
            abscissa.append(t)
    # one sample with a loss that underflows: f below 1e-300
    tiny = LeastSquares([[1.0]], [0.0], f_star=None)
    for x in (1e-150, 1e-155, 1e-160, 1e-170):
        gamma = trace(optlab.solve(tiny, NGN(1e3, trace=True), x0=[x], max_iter=1))["step_size"][0]
        lower.append(1e3 / (1 + 1e3 * factor) / gamma)
        upper.append(gamma / 1e3)
        abscissa.append(1e3)
    note = "Below 2e-308 a loss is a denormal number with few digits; the points tested there meet the bounds too."
    return Evidence(
        abscissa * 2,
        lower + upper,
        1.0,
        rtol=1e-9,
        kind="tight",
        detail={"smallest loss met on a path": smallest, "steps tested": len(instances) * len(ts) * K},
        note=note,
        xlabel="sigma L",
        ylabel="lower bound / gamma, and gamma / sigma",
    )


@theorem(
    id="ngn-step-bounds",
    paper=PAPER,
    title="The step size lies between sigma / (1 + sigma L) and sigma",
    statement="""For f_i >= 0 with L-Lipschitz gradient, sigma / (1 + sigma L) <= gamma <= sigma at every point, for
    every sigma > 0; on least squares the lower bound is attained. Checked at every step of runs with sigma L from 1e-4
    to 1e6, losses that vanish along the path and losses that underflow included.""",
    assumptions=("f_i >= 0", "f_i is L-smooth"),
    source=f"{PUBLISHED}, bounds of the step size",
)
def step_bounds(scale: str, seed: int) -> Evidence:
    return _bounds(scale, seed)


@step_bounds.control("smoothness constant halved")
def _(scale: str, seed: int) -> Evidence:
    return _bounds("smoke", seed, factor=0.5)


def _scalars(scale: str, seed: int) -> Any:
    """Return losses, squared norms and sigmas spread over twenty decades each."""
    rng = np.random.default_rng(seed)
    return tuple(10.0 ** rng.uniform(-10, 10, size=at_scale(scale, 20_000, 500_000)) for _ in range(3))


def _fundamental(scale: str, seed: int, step: Callable[..., Any]) -> Evidence:
    f, square, sigma = _scalars(scale, seed)
    gamma = step(f, square, sigma)
    error = np.abs((1 - gamma / sigma) * f - 0.5 * gamma * square) / f
    order = np.argsort(error)[-1000:]
    return Evidence(
        sigma[order],
        error[order],
        kind="identity",
        slack=1e-14,
        detail={"tuples tested": len(f)},
        xlabel="sigma",
        ylabel="difference / f",
        note="The thousand tuples with the largest difference.",
    )


@theorem(
    id="ngn-fundamental-equality",
    paper=PAPER,
    title="The fundamental equality of the step size",
    statement="""(1 - gamma / sigma) f = (gamma / 2) ||g||^2, whatever f > 0, g and sigma > 0: the equality on which all
    the convergence proofs rest. In floating point to 1e-14 f, over twenty decades of each quantity.""",
    assumptions=("f > 0",),
    source=f"{PUBLISHED}, fundamental equality",
)
def fundamental_equality(scale: str, seed: int) -> Evidence:
    return _fundamental(scale, seed, steps)


@fundamental_equality.control("the capped Polyak step min(sigma, 2f/||g||^2) instead")
def _(scale: str, seed: int) -> Evidence:
    return _fundamental("smoke", seed, lambda f, square, sigma: np.minimum(sigma, 2 * f / square))


def _gradient_bound(scale: str, seed: int, drop_infimum: bool = False) -> Evidence:
    rng, n = np.random.default_rng(seed), at_scale(scale, 20_000, 500_000)
    infimum, excess = 10.0 ** rng.uniform(-6, 6, n), 10.0 ** rng.uniform(-6, 6, n)
    t = 10.0 ** rng.uniform(-3, 4, n)
    t[: n // 4] = rng.uniform(0.4, 0.6, n // 4)  # where the bound is tight
    L, u = 10.0 ** rng.uniform(-2, 2, n), rng.uniform(0, 1, n)
    u[::3] = 1.0  # the largest gradient that smoothness allows
    square, f, sigma = 2 * L * u * excess, excess + infimum, t / L
    gamma = steps(f, square, sigma)
    lhs = gamma**2 * square
    rhs = 4 * t / (1 + 2 * t) * gamma * excess
    if not drop_infimum:
        rhs += 2 * sigma * t / (1 + t) * np.maximum(0, (2 * t - 1) / (2 * t + 1)) * infimum
    order = np.argsort(lhs / rhs)[-1000:]
    return Evidence(
        t[order],
        lhs[order] / rhs[order],
        1.0,
        rtol=1e-12,
        detail={"tuples tested": n},
        xlabel="sigma L",
        ylabel="left side / right side",
        note="The thousand tuples that come nearest.",
    )


@theorem(
    id="ngn-gradient-bound",
    paper=PAPER,
    title="The gradient bound",
    statement="""With t = sigma L, gamma^2 ||g||^2 <= (4t/(1+2t)) gamma (f_i - inf f_i)
    + (2 sigma t/(1+t)) max(0, (2t-1)/(2t+1)) inf f_i. It is tight at t = 1/2; for large t the coefficient of inf f_i is
    larger than needed by about four.""",
    assumptions=("f_i >= 0", "f_i is L-smooth"),
    source=f"{PUBLISHED}, gradient bound; the remarks on tightness are {DERIVED}",
)
def gradient_bound(scale: str, seed: int) -> Evidence:
    return _gradient_bound(scale, seed)


@gradient_bound.control("without the term of inf f_i")
def _(scale: str, seed: int) -> Evidence:
    return _gradient_bound("smoke", seed, drop_infimum=True)


def _between(scale: str, seed: int, share: float) -> Evidence:
    f, square, sigma = _scalars(scale, seed)
    gamma, cap = steps(f, square, sigma), np.minimum(sigma, 2 * f / square)
    ratios = np.maximum(gamma / cap, share * cap / gamma)
    order = np.argsort(ratios)[-1000:]
    return Evidence(
        sigma[order],
        ratios[order],
        1.0,
        rtol=1e-12,
        kind="tight",
        detail={"tuples tested": len(f)},
        xlabel="sigma",
        ylabel="largest of the two quotients",
        note="The thousand tuples that come nearest.",
    )


@theorem(
    id="ngn-near-polyak",
    paper=PAPER,
    title="Within a factor of two of the capped Polyak step",
    statement="""min(sigma, 2f/||g||^2) / 2 <= gamma <= min(sigma, 2f/||g||^2): NGN is a smooth version of the capped
    stochastic Polyak step with scaling 1/2.""",
    assumptions=("f > 0",),
    source=DERIVED,
)
def near_polyak(scale: str, seed: int) -> Evidence:
    return _between(scale, seed, 0.5)


@near_polyak.control("lower factor 0.6 instead of 1/2")
def _(scale: str, seed: int) -> Evidence:
    return _between("smoke", seed, 0.6)


def _scaling(scale: str, seed: int, power: float) -> Evidence:
    factors, n = (1e-6, 0.03, 7.0, 1e5), at_scale(scale, 100, 1000)
    base: Any = least_squares(seed).problem
    A, b = base.A, base.targets
    worst, x0 = [], np.ones(3)
    for sigma in (0.1, 10.0):
        reference = optlab.solve(base, NGN(sigma), x0=x0, max_iter=n, record=n, seed=seed).solution
        for a in factors:
            scaled = LeastSquares(np.sqrt(a) * A, np.sqrt(a) * b, f_star=None)
            method = NGN(sigma / a**power)
            found = optlab.solve(scaled, method, x0=x0, max_iter=n, record=n, seed=seed).solution
            worst.append(float(np.abs(found - reference).max() / np.abs(reference).max()))
    return Evidence(np.tile(factors, 2), worst, kind="equivalence", slack=1e-12, xlabel="factor", ylabel="difference")


@theorem(
    id="ngn-scaling",
    paper=PAPER,
    title="Scaling the losses",
    statement="""Replacing every f_i by a f_i and sigma by sigma / a leaves all iterates unchanged: sigma alone carries
    the units.""",
    assumptions=("a > 0",),
    source=DERIVED,
)
def scaling(scale: str, seed: int) -> Evidence:
    return _scaling(scale, seed, 1.0)


@scaling.control("sigma kept")
def _(scale: str, seed: int) -> Evidence:
    return _scaling("smoke", seed, 0.0)


def _gaps(seed: int, include_positivity: bool) -> Evidence:
    errors, detail = [], {}
    instances = {f"batches of {n}": batches(seed, batch=n, count=12 // n) for n in (2, 3, 6, 12)}
    for name, instance in instances.items():
        infima = np.array([_minimum(term) for term in instance.terms])
        gap = float(np.mean(instance.values(instance.minimizer) - infima))
        f_star = instance.problem.objective(instance.minimizer)
        errors.append(gap + include_positivity * float(infima.mean()) - f_star)
        detail[f"D_pos / f*, {name}"] = float(infima.mean()) / f_star
        if name in ("batches of 2", "batches of 3"):
            errors.append(float(infima.mean()))  # no more samples than weights: no positivity gap
    for l2 in (0.01, 1.0):
        instance = logistic(seed, l2=l2)
        gap, infimum = instance.interpolation_gap, instance.positivity_gap
        errors.append(gap + include_positivity * infimum - instance.problem.objective(instance.minimizer))
        detail[f"D_pos / f*, logistic with ridge {l2:g}"] = infimum / instance.f_star
    return Evidence(np.arange(len(errors)), errors, kind="identity", slack=1e-10, detail=detail, xlabel="case")


def _minimum(term: Any) -> float:
    """Return the minimum of a least-squares term from its normal equations."""
    x = np.linalg.pinv(term.A) @ term.targets
    return float(term.objective(x))


@theorem(
    id="ngn-gap-identity",
    paper=PAPER,
    title="Interpolation and positivity gap add up to the minimum",
    statement="""D_int + D_pos = f*, where D_int = E[f_i(x*) - inf f_i] and D_pos = E[inf f_i]. Larger batches move mass
    from D_int to D_pos: for least squares D_pos = 0 as long as a batch has no more samples than there are weights.""",
    assumptions=("f_i >= 0", "a minimiser exists"),
    source=f"{PUBLISHED}, definition of the gaps; the remark on batches is {DERIVED}",
)
def gap_identity(scale: str, seed: int) -> Evidence:
    return _gaps(seed, True)


@gap_identity.control("without the positivity gap")
def _(scale: str, seed: int) -> Evidence:
    return _gaps(seed, False)


def _limits(scale: str, seed: int, scaling: float) -> Evidence:
    """Compare whole runs at extreme sigma with SGD and with the Polyak step."""
    worst, abscissa, n = [], [], at_scale(scale, 50, 500)
    for instance in (least_squares(seed), logistic(seed, l2=0.1)):
        for method, limit, sigma in (
            (NGN(1e-9), SGD(1e-9), 1e-9),
            (NGN(1e14), PolyakSGD(scaling=scaling), 1e14),
        ):
            ends = [
                optlab.solve(instance.problem, m, x0=np.ones(3), max_iter=n, record=n, seed=seed).solution
                for m in (method, limit)
            ]
            unit = max(1.0, float(np.abs(ends[1]).max()))
            worst.append(float(np.abs(ends[0] - ends[1]).max()) / unit)
            abscissa.append(sigma)
    return Evidence(
        abscissa, worst, kind="equivalence", slack=1e-8, xlabel="sigma", ylabel="difference of the iterates"
    )


@theorem(
    id="ngn-limits",
    paper=PAPER,
    title="SGD for small sigma, the Polyak step for large sigma",
    statement="""As sigma -> 0 the step size tends to sigma (SGD); as sigma -> infinity to 2f/||g||^2, the stochastic
    Polyak step with scaling 1/2 and lower bound 0: twice the classical Polyak step. Whole runs are compared.""",
    assumptions=("f > 0 along the run",),
    source=f"{PUBLISHED}, discussion of the step size",
)
def limits(scale: str, seed: int) -> Evidence:
    return _limits(scale, seed, 0.5)


@limits.control("classical Polyak step, scaling 1")
def _(scale: str, seed: int) -> Evidence:
    return _limits("smoke", seed, 1.0)
