"""The maps: proximal, hardening, rounding; and the grids that fit best."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from optlab.quantization import (
    PiecewiseAffine,
    interpolant,
    least_squares_grid,
    nearest,
    nearest_point_slopes,
    soft_round,
)
from optlab.reproduce import Evidence, at_scale, theorem
from optlab.theorems.quantization._instances import DERIVED, PAPER, PARQ_PAPER, random_regularizer


def _argmin(scale: str, seed: int, factor: float) -> Evidence:
    worst = []
    for s in range(at_scale(scale, 8, 60)):
        rng = np.random.default_rng([seed, s])
        psi, tau, u = random_regularizer(rng), float(rng.uniform(0.05, 3.0)), 3 * rng.normal(size=20)
        w = np.linspace(psi.grid[0], psi.grid[-1], 20_001)
        least = np.min(psi.values(w)[:, None] + (w[:, None] - u) ** 2 / (2 * tau), axis=0)
        found = psi.proximal(u, factor * tau)
        worst.append(float(np.max(psi.values(found) + (found - u) ** 2 / (2 * tau) - least)))
    return Evidence(
        np.arange(len(worst)), worst, 0.0, slack=1e-12, xlabel="regulariser", ylabel="above the least value"
    )


@theorem(
    id="par-proximal-map",
    paper=PAPER,
    title="The chain of clamps is the proximal map",
    statement="""prox of a convex piecewise-affine psi is flat at p_j on [p_j + tau c_{j-1}, p_j + tau c_j] and has
    slope one between: no point of a fine grid has a smaller psi(w) + (w - u)^2 / (2 tau).""",
    assumptions=("slopes that do not decrease",),
    source=f"{PARQ_PAPER}, section 2",
)
def proximal_map(scale: str, seed: int) -> Evidence:
    return _argmin(scale, seed, 1.0)


@proximal_map.control("the scale a tenth too large")
def _(scale: str, seed: int) -> Evidence:
    return _argmin("smoke", seed, 1.1)


def _hardening(scale: str, seed: int, factor: float) -> Evidence:
    worst = []
    grids: Any = ([-2.0, -1.0, 1.0, 2.0], [-1.0, 0.0, 1.0], [-0.3, 0.1, 2.0, 2.5], [1.0, 4.0])
    for s in np.geomspace(0.95, 1e-4, at_scale(scale, 8, 40)):
        for grid in grids:
            u = 2 * np.random.default_rng(seed).normal(size=400)
            difference = interpolant(grid, float(s)).proximal(u / s, factor) - soft_round(u, grid, float(s))
            worst.append(float(np.max(np.abs(difference))) * float(s))  # u / s is what is rounded
    return Evidence(np.arange(len(worst)), worst, kind="identity", slack=1e-14, xlabel="grid and inverse slope")


@theorem(
    id="parq-map-is-proximal",
    paper=PAPER,
    title="The hardening map of PARQ is a proximal map",
    statement="""P_s(u) = prox of ((1-s)/s) Phi at u/s, Phi the piecewise-linear interpolant of w^2/2 on the grid: PARQ
    with a fixed s is lazy mirror descent with the mirror map (1-s) Phi + s w^2/2.""",
    assumptions=("0 < s < 1", "any grid"),
    source=DERIVED,
)
def hardening(scale: str, seed: int) -> Evidence:
    return _hardening(scale, seed, 1.0)


@hardening.control("one per cent more of the regulariser")
def _(scale: str, seed: int) -> Evidence:
    return _hardening("smoke", seed, 1.01)


def _disagreement(scale: str, seed: int, midpoints: bool) -> Evidence:
    points = np.array([0.0, 1.0, 2.0])
    slopes = nearest_point_slopes(points)
    psi = PiecewiseAffine(points, slopes)
    v = np.linspace(-4.0, 4.0, at_scale(scale, 400_001, 4_000_001))
    gammas = np.array([10.0, 30.0, 100.0, 300.0])
    measured = []
    for gamma in gammas:
        mapped = psi.proximal(gamma * v, gamma) if midpoints else soft_round(v, psi.grid, 1.0 / gamma)
        measured.append(8.0 * float(np.mean(np.abs(mapped - psi.rounded(v)) > 1e-12)))
    ratio = np.array(measured) * gammas / (2 * points[1:].sum()) - 1.0
    return Evidence(gammas, ratio, kind="identity", slack=0.02, xlabel="gamma", ylabel="relative difference")


@theorem(
    id="par-limit",
    paper=PAPER,
    title="How much of the line the map does not yet round",
    statement="""v -> prox_{gamma psi}(gamma v) differs from its limit, rounding by the slopes, on a set of measure
    exactly 2 (q_1 + ... + q_m) / gamma; the largest difference does not shrink.""",
    assumptions=("psi symmetric", "ramps that do not meet"),
    source=DERIVED,
)
def limit(scale: str, seed: int) -> Evidence:
    return _disagreement(scale, seed, True)


@limit.control("ramps centred on the thresholds, as PARQ has them")
def _(scale: str, seed: int) -> Evidence:
    return _disagreement("smoke", seed, False)


def _partitions(scale: str, seed: int, method: str) -> Evidence:
    excess = []
    for s in range(at_scale(scale, 4, 40)):
        x = np.random.default_rng([seed, s]).standard_t(3, size=7)
        size, best = np.abs(x), {1.58: np.inf, 2: np.inf}
        for mask in product((False, True), repeat=7):
            kept = np.array(mask)
            spread = [float(np.sum((p - p.mean()) ** 2)) if p.size else 0.0 for p in (size[kept], size[~kept])]
            if kept.any():
                best[1.58] = min(best[1.58], spread[0] + float(np.sum(size[~kept] ** 2)))
                best[2] = min(best[2], sum(spread))
        for bits, least in best.items():
            grid = least_squares_grid(x, bits, method)
            excess.append((float(np.sum((x - nearest(x, grid)) ** 2)) - least) / float(np.sum(x**2)))
    return Evidence(np.arange(len(excess)), excess, kind="identity", slack=1e-12, ylabel="above the best partition")


@theorem(
    id="least-squares-grid",
    paper=PAPER,
    title="Ternary and two-bit grids from prefix sums are the best there are",
    statement="""Over all partitions of the magnitudes, {-a, 0, a} with a = S_k/k at the largest S_k^2/k, and {±q_1,
    ±q_2} at the largest S_k^2/k + (S_n - S_k)^2/(n - k), have the least squared error.""",
    assumptions=("magnitudes sorted", "nearest assignment"),
    source=DERIVED,
)
def best_grids(scale: str, seed: int) -> Evidence:
    return _partitions(scale, seed, "exact")


@best_grids.control("two bits fitted greedily")
def _(scale: str, seed: int) -> Evidence:
    return _partitions("smoke", seed, "greedy")
