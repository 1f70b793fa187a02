"""NGN: convergence of whole runs on convex losses, averaged over seeds, against the bounds with their constants.

Throughout t = sigma L, D the distance of the start to the solution, K the number of iterations. A bound on an
expectation counts as met if the mean over the seeds plus four standard errors stays below it. The bounds hold for
every sigma > 0; how loose they are for large sigma is part of the evidence. From scale *cpu* on: 36 instances of six
classes, both gaps zero, one of them, or neither; nine values of t; two of K; 200 seeds.
"""

from __future__ import annotations

from functools import cache
from itertools import islice
from typing import Any

import numpy as np

import optlab
from optlab.reproduce import Evidence, at_scale, theorem
from optlab.stochastic import NGN, SGD, Averaged, Decaying
from optlab.theorems.ngn._instances import (
    CONVEX,
    DERIVED,
    PAPER,
    Instance,
    averaged_gaps,
    convex_bound,
    instances,
    least_squares,
    logistic,
    sigma_grid,
)
from optlab.theorems.ngn._paths import Paths, paths

RECORDS = (50, 1000)


def _cells(scale: str, seed: int) -> list[tuple[Instance, float]]:
    """Return pairs of an instance and a value of t: all pairs, instance by instance."""
    return [(instance, float(t)) for instance in instances(scale, seed) for t in sigma_grid(scale)]


def _records(scale: str) -> tuple[int, ...]:
    return at_scale(scale, (20, 200), RECORDS)


def _start(instance: Instance) -> tuple[Any, float]:
    """Return a start and its squared distance to the solution."""
    offset = np.full(instance.minimizer.size, 2.0)
    return instance.minimizer + offset, float(offset @ offset)


@cache
def _runs(scale: str, seed: int, decaying: bool) -> list[Paths]:
    """Return the paths on every instance, recorded at `_records`."""
    seeds, records = range(at_scale(scale, 10, 200)), _records(scale)
    return [
        paths(i.vectorized, _start(i)[0], sigma_grid(scale) / i.smoothness, seeds, records, decaying=decaying)
        for i in instances(scale, seed)
    ]


@cache
def _gaps(scale: str, seed: int, decaying: bool) -> Any:
    """Return f(mean of the iterates) - f*, one array of shape (seeds, records) per cell."""
    runs = _runs(scale, seed, decaying)
    gaps = (i.vectorized.mean(r.average) - i.f_star for i, r in zip(instances(scale, seed), runs, strict=True))
    return [cell.T for gap in gaps for cell in gap.swapaxes(0, 1)]


def _against(cells: Any, samples: Any, bound: Any, records: Any = RECORDS, **detail: Any) -> Evidence:
    """Compare the means of `samples` with ``bound(instance, t, K)`` in every cell and at every record."""
    bounds = [bound(instance, t, K) for instance, t in cells for K in records]
    columns = np.concatenate(samples, axis=1)
    ratios = columns.mean(axis=0) / np.array(bounds)
    by_t: dict[float, float] = {}
    for (_, t), pair in zip(cells, ratios.reshape(-1, len(records)), strict=True):
        by_t[t] = max(by_t.get(t, 0.0), float(pair.max()))
    detail |= {f"largest mean / bound, sigma L = {t:g}": by_t[t] for t in sorted(by_t)}
    detail |= {"cells": len(bounds)}
    return Evidence.expectation(
        np.repeat([t for _, t in cells], len(records)),
        columns,
        bounds,
        detail=detail,
        xlabel="sigma L",
        ylabel="error, mean and four standard errors",
    )


def _sgd(seed: int, bound: Any, schedule: Any = lambda sigma: sigma, **options: Any) -> Evidence:
    """Run SGD with step sizes far too large for it; what is compared is the best of five runs."""
    cells = [(instance, 100.0) for instance in (least_squares(seed), least_squares(seed, l2=0.3))]
    samples = []
    for i, t in cells:
        gaps = averaged_gaps(i, Averaged(SGD(schedule(t / i.smoothness)), **options), (50,), range(5), _start(i)[0])
        samples.append(np.tile(gaps.min(axis=0), (2, 1)))
    return _against(cells, samples, bound, records=(50,))


# ------------------------------------------------------------------------------------------------ constant sigma


def _theorem_one(instance: Instance, t: float, K: int) -> float:
    return float(convex_bound(instance, t, K, _start(instance)[1]))


def _sharpened(instance: Instance, t: float, K: int) -> float:
    return float(convex_bound(instance, t, K, _start(instance)[1], sharp=True))


def _simple(instance: Instance, t: float, K: int) -> float:
    sigma, distance = t / instance.smoothness, _start(instance)[1]
    return float((1 + t) ** 2 * distance / (2 * sigma * K) + t * (2 + t) * instance.f_star)


@theorem(
    id="ngn-convex",
    paper=PAPER,
    title="Convex losses: convergence to a neighbourhood for every sigma",
    statement="""For the mean of the first K iterates, E[f(mean x) - f*] <= (1+2t)^2 D^2 / (2 sigma K) + 3t(1+t) D_int +
    t max(0, 2t-1) D_pos, for every sigma > 0. The proof gives the factor (1+t)(1+2t) in place of (1+2t)^2, which is
    checked too.""",
    assumptions=("f_i >= 0 convex and L-smooth", "samples drawn uniformly with replacement"),
    source=CONVEX,
)
def convex(scale: str, seed: int) -> Evidence:
    cells, samples, records = _cells(scale, seed), _gaps(scale, seed, False), _records(scale)
    sharp = _against(cells, samples, _sharpened, records)
    return _against(
        cells,
        samples,
        _theorem_one,
        records,
        **{"sharpened bound": sharp.verdict, "sharpened bound, worst ratio": sharp.tightness.ratio},
    )


@convex.control("SGD with the same step size, sigma L = 100")
def _(scale: str, seed: int) -> Evidence:
    return _sgd(seed, _theorem_one)


@convex.control("no neighbourhood: both gaps left out of the bound, sigma L = 1/2")
def _(scale: str, seed: int) -> Evidence:
    instance, t, records = least_squares(seed, noise=8.0), 0.5, (200_000,)
    method = Averaged(NGN(t / instance.smoothness))
    samples = [averaged_gaps(instance, method, records, range(5), _start(instance)[0])]
    distance = _start(instance)[1]
    return _against(
        [(instance, t)],
        samples,
        lambda i, t, K: (1 + 2 * t) ** 2 * distance / (2 * t / i.smoothness * K),
        records,
    )


@theorem(
    id="ngn-convex-simple",
    paper=PAPER,
    title="Convex losses: a shorter route to a bound for every sigma",
    statement="""E[f(mean x) - f*] <= (1+t)^2 D^2 / (2 sigma K) + t(2+t) f*. Where inf f_i = 0 for all i, both terms are
    smaller than those of the paper's theorem.""",
    assumptions=("f_i >= 0 convex and L-smooth", "samples drawn uniformly with replacement"),
    source=DERIVED,
)
def convex_simple(scale: str, seed: int) -> Evidence:
    cells = _cells(scale, seed)
    records = _records(scale)
    smaller = sum(_simple(i, t, K) < _theorem_one(i, t, K) for i, t in cells for K in records)
    detail = {"cells where it is the smaller bound": smaller}
    return _against(cells, _gaps(scale, seed, False), _simple, records, **detail)


@convex_simple.control("SGD with the same step size, sigma L = 100")
def _(scale: str, seed: int) -> Evidence:
    return _sgd(seed, _simple)


def _growth(scale: str, seed: int, method: Any, ts: Any) -> Evidence:
    """Record the squared distance to the solution after K steps, and the mean loss on the way."""
    seeds, K = at_scale(scale, 6, 50), 1000
    distances, bounds, abscissa, finite, mean_ratio = [], [], [], True, 0.0
    for instance in (least_squares(seed), logistic(seed), logistic(seed, l2=0.1)):
        x0, distance = _start(instance)
        for t in ts:
            sigma, column = t / instance.smoothness, []
            for s in range(seeds):
                with np.errstate(all="ignore"):
                    run = optlab.solve(instance.problem, method(sigma), x0=x0, max_iter=K, record=50, seed=s)
                    column.append(float(np.sum((run.solution - instance.minimizer) ** 2)))
                values = run.history["objective"][:-1]
                finite &= bool(np.isfinite(values).all())
                allowed = (1 + t) ** 2 * (distance / (2 * sigma * K) + instance.f_star)
                mean_ratio = max(mean_ratio, float(values.mean()) / allowed)
            distances.append(column)
            bounds.append(distance + 2 * sigma * K * instance.f_star)
            abscissa.append(t)
    detail = {
        "all recorded losses finite": finite,
        "mean loss (every 50th) / ((1+t)^2 (D^2/(2 sigma K) + f*)), largest": mean_ratio,
    }
    if not finite or mean_ratio > 1:  # part of the claim
        distances[0][0] = np.nan
    return Evidence.expectation(
        abscissa, np.array(distances).T, bounds, detail=detail, xlabel="sigma L", ylabel="squared distance"
    )


@theorem(
    id="ngn-no-blow-up",
    paper=PAPER,
    title="Convex losses: no blow-up at any sigma",
    statement="""E ||x_k - x*||^2 <= D^2 + 2 sigma k f*: at most linear growth, for every sigma and without smoothness;
    and the mean of f(x_k) over K steps is at most (1+t)^2 (D^2 / (2 sigma K) + f*). Every loss on the way is finite,
    sigma L up to 1e6.""",
    assumptions=("f_i >= 0 convex", "for the bound on the losses: f_i L-smooth"),
    source=DERIVED,
)
def no_blow_up(scale: str, seed: int) -> Evidence:
    return _growth(scale, seed, NGN, (0.1, 10.0, 1e3, 1e6))


@no_blow_up.control("SGD with the same step size")
def _(scale: str, seed: int) -> Evidence:
    return _growth("smoke", seed, SGD, (10.0,))


def _fejer(scale: str, seed: int, noise: float) -> Evidence:
    """Record the largest step away from the solution, relative to what rounding explains."""
    n, worst, abscissa = at_scale(scale, 200, 2000), [], []
    for draw in range(at_scale(scale, 1, 5)):
        instance = least_squares(100 * seed + draw, noise=noise)
        unit = float(np.linalg.norm(instance.minimizer))
        for sigma in (1e-3, 0.1, 1.0, 1e3, 1e8):
            x = np.array([s.x for s in _path(instance, sigma, n, seed)])
            distance = np.sum((x - instance.minimizer) ** 2, axis=1)
            worst.append(float(np.max(np.diff(distance) / (unit * np.sqrt(distance[:-1]) + 1e-15 * unit**2))))
            abscissa.append(sigma)
    return Evidence(
        abscissa,
        np.maximum(worst, 0.0),
        0.0,
        slack=1e-14,
        xlabel="sigma",
        ylabel="increase of D^2 / (||x*|| D)",
        note="Tightness is in units of rounding, 1e-14 ||x*|| D.",
    )


def _path(instance: Instance, sigma: float, n: int, seed: int) -> Any:
    return islice(optlab.iterate(instance.problem, NGN(sigma), x0=_start(instance)[0], seed=seed), n)


@theorem(
    id="ngn-fejer",
    paper=PAPER,
    title="Interpolation: the distance to the solution never increases",
    statement="""If all losses vanish at x*, then ||x_{k+1} - x*|| <= ||x_k - x*|| at every step of every path, whatever
    sigma and the order of the samples.""",
    assumptions=("f_i >= 0 convex", "f_i(x*) = 0 for all i"),
    source=DERIVED,
)
def fejer(scale: str, seed: int) -> Evidence:
    return _fejer(scale, seed, 0.0)


@fejer.control("inconsistent least squares: f* > 0")
def _(scale: str, seed: int) -> Evidence:
    return _fejer("smoke", seed, 1.0)


def _strong(scale: str, seed: int, overstated: bool = False, terms: bool = False) -> Evidence:
    """Compare the squared distance after K steps with the bound; `terms`: with that for strongly convex terms."""
    samples, cells, bounds = [], [], []
    for instance, run in zip(instances(scale, seed), _runs(scale, seed, False), strict=True):
        mu = float(instance.problem.l2) if terms else instance.strong_convexity
        if mu == 0:
            continue
        if overstated:
            A = instance.problem.A
            mu = float(np.linalg.eigvalsh(A.T @ A / len(A))[-1])
        distances = np.sum((run.last - instance.minimizer) ** 2, axis=-1)
        for t, column in zip(sigma_grid(scale), distances.swapaxes(0, 1), strict=True):
            cells.append((instance, float(t)))
            samples.append(column.T)
            for K in _records(scale):
                bounds.append(_contraction(instance, float(t), K, mu, terms))
    return _against(cells, samples, lambda i, t, K: bounds.pop(0), _records(scale))


def _contraction(instance: Instance, t: float, K: int, mu: float, terms: bool) -> float:
    """Return the bound on the squared distance; 1e-25 is rounding."""
    sigma, spread, excess = t / instance.smoothness, 1 + 2 * t, max(0.0, 2 * t - 1)
    if terms:
        rate, interpolation, positivity = 1 - mu * sigma / (1 + t), 6 * t * (1 + t) / spread, 2 * t * excess / spread
    else:
        rate, interpolation = 1 - mu * sigma / ((1 + t) * spread), 6 * t * (1 + t)
        positivity = 2 * t * excess
    floor = interpolation * instance.interpolation_gap + positivity * instance.positivity_gap
    return float(rate**K * _start(instance)[1] + floor / mu + 1e-25)


@theorem(
    id="ngn-strongly-convex",
    paper=PAPER,
    title="Strongly convex objective: linear convergence to a neighbourhood",
    statement="""E ||x_K - x*||^2 <= (1 - mu sigma / ((1+t)(1+2t)))^K D^2 + (6t(1+t)/mu) D_int
    + (2t/mu) max(0, 2t-1) D_pos for every sigma > 0.""",
    assumptions=("f_i >= 0 convex and L-smooth", "f mu-strongly convex"),
    source="Orvieto, Xiao 2024; constants reconstructed from the one-step inequality, verified numerically",
)
def strongly_convex(scale: str, seed: int) -> Evidence:
    return _strong(scale, seed)


@strongly_convex.control("largest eigenvalue of the Hessian in place of the smallest")
def _(scale: str, seed: int) -> Evidence:
    return _strong("smoke", seed, overstated=True)


@theorem(
    id="ngn-strongly-convex-terms-run",
    paper=PAPER,
    title="Every term strongly convex: linear convergence at a faster rate",
    statement="""If each f_i is mu-strongly convex, E ||x_K - x*||^2 <= (1 - mu sigma/(1+t))^K D^2
    + (6t(1+t)/(mu (1+2t))) D_int + (2t/mu) max(0, (2t-1)/(2t+1)) D_pos for every sigma > 0.""",
    assumptions=("f_i >= 0 mu-strongly convex and L-smooth",),
    source=DERIVED,
)
def strongly_convex_terms(scale: str, seed: int) -> Evidence:
    return _strong(scale, seed, terms=True)


@strongly_convex_terms.control("largest eigenvalue of the Hessian of the losses in place of mu")
def _(scale: str, seed: int) -> Evidence:
    return _strong("smoke", seed, overstated=True, terms=True)


# ------------------------------------------------------------------------------------------------ decreasing sigma


def _weighted(instance: Instance, t: float, K: int) -> float:
    L = instance.smoothness
    sigma = t / L / np.sqrt(np.arange(K) + 1.0)
    u = sigma * L
    noise = np.sum(6 * sigma**2 * L / (1 + 2 * u)) * instance.interpolation_gap
    noise += np.sum(2 * sigma**2 * L / (1 + u) * np.maximum(0, (2 * u - 1) / (2 * u + 1))) * instance.positivity_gap
    return float((1 + t) * (1 + 2 * t) / (2 * sigma.sum()) * (_start(instance)[1] + noise))


def _closed(instance: Instance, t: float, K: int) -> float:
    sigma, logarithm = t / instance.smoothness, np.log(K + 1)
    inner = 5 * _start(instance)[1] / (8 * sigma) + 7.5 * t * logarithm * instance.interpolation_gap
    inner += 2.5 * t * max(2 * t - 1, 0.0) * logarithm * instance.positivity_gap
    return float((1 + t) * (1 + 2 * t) / np.sqrt(K) * inner)


def _weighted_simple(instance: Instance, t: float, K: int) -> float:
    sigma = t / instance.smoothness / np.sqrt(np.arange(K) + 1.0)
    noise = 4 * instance.smoothness * instance.f_star * np.sum(sigma**2)
    return float((1 + t) ** 2 * (_start(instance)[1] + noise) / (2 * sigma.sum()))


def _decaying(id: str, title: str, statement: str, source: str, bound: Any) -> None:
    """Register the check of one bound for ``sigma_k = sigma_0 / sqrt(k+1)``, with SGD as its control."""

    @theorem(
        id=id,
        paper=PAPER,
        title=title,
        statement=f"sigma_k = sigma_0 / sqrt(k+1), mean weighted by sigma_k, t = sigma_0 L: {statement}",
        assumptions=("f_i >= 0 convex and L-smooth", "samples drawn uniformly with replacement"),
        source=source,
    )
    def check(scale: str, seed: int) -> Evidence:
        return _against(_cells(scale, seed), _gaps(scale, seed, True), bound, _records(scale))

    @check.control("SGD with the same schedule, sigma_0 L = 100")
    def _(scale: str, seed: int) -> Evidence:
        return _sgd(seed, bound, schedule=Decaying, weights="schedule")


_decaying(
    "ngn-decaying",
    "Decreasing sigma: convergence at order log K / sqrt(K)",
    """E[f(mean x) - f*] <= (1+t)(1+2t) (D^2 + sum 6 sigma_k^2 L/(1+2 sigma_k L) D_int + sum 2 sigma_k^2 L/(1+sigma_k L)
    max(0, (2 sigma_k L - 1)/(2 sigma_k L + 1)) D_pos) / (2 sum sigma_k).""",
    f"{DERIVED}; the order is that of Orvieto, Xiao 2024, whose constants were not available",
    _weighted,
)
_decaying(
    "ngn-decaying-closed-form",
    "Decreasing sigma: the bound in closed form",
    """E[f(mean x) - f*] <= (1+t)(1+2t)/sqrt(K) (5 D^2/(8 sigma_0) + 7.5 t log(K+1) D_int
    + 2.5 t max(2t-1, 0) log(K+1) D_pos).""",
    "Islamov, Ajroldi, Orvieto, Lucchi 2025, for the case without momentum",
    _closed,
)
_decaying(
    "ngn-decaying-simple",
    "Decreasing sigma: the shorter route",
    "E[f(mean x) - f*] <= (1+t)^2 (D^2 + 4 L f* sum sigma_k^2) / (2 sum sigma_k).",
    DERIVED,
    _weighted_simple,
)
