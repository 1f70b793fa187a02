"""Interpolation against noise floors: least squares with and without a solution, over t = sigma L.

Left: all terms vanish at the solution; steps to a loss of 1e-10. Right: they do not; with a constant sigma the loss
settles above the minimum, at a height that the theory bounds (dashed). Orvieto, Xiao 2024; the second bound is derived
here from the fundamental equality: ``t (2 + t) f*``.
"""

from __future__ import annotations

import numpy as np

import optlab
from optlab.plotting import log_axes, seed_band, theory_line
from optlab.reproduce import at_scale, table
from optlab.stochastic import NGN, SGD, Decaying, LeastSquares, PolyakSGD

from ._common import PAPER, look, run

METHODS = {
    "NGN": lambda s: NGN(s),
    "SPS_max (c = 1)": lambda s: PolyakSGD(s, scaling=1.0),
    "SPS_max (c = ½)": lambda s: PolyakSGD(s, scaling=0.5),
    "SGD": lambda s: SGD(s),
}
DECAYING = "NGN, decaying σ"


def data(seed: int, noise: float, n: int = 200, d: int = 10) -> LeastSquares:
    """Return Gaussian least squares."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, d))
    return LeastSquares(A, A @ rng.standard_normal(d) + noise * rng.standard_normal(n))


def steps_to(problem: LeastSquares, method, level: float, budget: int, seed: int) -> float:
    """Return the steps until the objective is at most `level` (a multiple of 20); inf: diverged, NaN: too slow."""
    result = optlab.solve(
        problem, method, max_iter=budget, seed=seed, record=20, tol={"objective": level}, progress=False
    )
    if result.status is optlab.Status.DIVERGED:
        return float("inf")
    return float(result.n_iter) if result.success else float("nan")


def floor(problem: LeastSquares, method, steps: int, seed: int, x0=None) -> float:
    """Return the mean of (f - f*) / f* over the second half of a run; inf: diverged."""
    times = [int(k) for k in np.linspace(steps // 2, steps, 100)]
    result = run(problem, method, steps, seed=seed, record=times, x0=x0)
    objective = result.history["objective"]
    if result.status is optlab.Status.DIVERGED or objective[-1] > 1e6 * problem.f_star:
        return float("inf")
    return float(np.mean(objective[-100:]) / problem.f_star - 1.0)


@optlab.figure(
    id="ngn-noise-floors", paper=PAPER, title="Interpolation against noise floors: least squares over t = σL"
)
def figure(scale: str, seed: int) -> optlab.Figure:
    per_decade, seeds, budget, steps = at_scale(
        scale, (0.5, 2, 2_000, 4_000), (1, 5, 20_000, 40_000), (3, 20, 100_000, 200_000)
    )
    exact, noisy = data(seed, 0.0), data(seed, 1.0)
    L = float(exact.smoothness.max())  # both have the same rows
    t_exact = np.logspace(-2, 6, round(8 * per_decade) + 1)
    t_noisy = np.logspace(-3, 6, round(9 * per_decade) + 1)
    chosen = range(seed, seed + seeds)
    # a constant sigma starts at the solution: the floor is reached from below, and sooner
    solution = np.linalg.lstsq(noisy.A, noisy.targets, rcond=None)[0]
    needed = {
        name: np.array([[steps_to(exact, make(t / L), 1e-10, budget, s) for t in t_exact] for s in chosen])
        for name, make in METHODS.items()
    }
    floors = {
        name: np.array([[floor(noisy, make(t / L), steps, s, solution) for t in t_noisy] for s in chosen])
        for name, make in METHODS.items()
    }
    floors[DECAYING] = np.array([[floor(noisy, NGN(Decaying(t / L)), steps, s) for t in t_noisy] for s in chosen])

    def rows(values, grid, key):
        return table(
            [
                {"method": name, "t": t, "seed": s, key: v[i, j]}
                for name, v in values.items()
                for i, s in enumerate(chosen)
                for j, t in enumerate(grid)
            ]
        )

    def draw(axes):
        left, right = axes
        for name, values in needed.items():
            kept = np.isfinite(values).all(axis=0)
            if kept.any():
                seed_band(left, t_exact[kept], values[:, kept], label=name, **look(name))
        left.set(
            title="All terms vanish at the solution", xlabel=r"$t = \sigma L$", ylabel=r"steps to a loss of $10^{-10}$"
        )
        left.set_xlim(t_exact[0] / 1.6, 1.6 * t_exact[-1])
        left.set_yscale("log")
        low, high = left.get_ylim()
        left.set_ylim(min(low, 100.0), max(high, 1e4))
        log_axes(left, "xy")
        lines = []
        for name, values in floors.items():
            kept = np.isfinite(values).all(axis=0)
            lines.append(seed_band(right, t_noisy[kept], np.maximum(values[:, kept], 1e-6), label=name, **look(name)))
        fine = np.logspace(-3, 1.2, 200)
        lines.append(theory_line(right, fine, fine * (2.0 + fine), label=r"bound $t(2 + t)$"))
        right.set(
            title="They do not: constant σ stalls",
            xlabel=r"$t = \sigma L$",
            ylabel=r"stationary $(f - f^*) / f^*$",
            ylim=(3e-5, 30),
            xlim=(t_noisy[0] / 1.6, 1.6 * t_noisy[-1]),
        )
        log_axes(right, "xy")
        right.legend(handles=lines, loc="center left", bbox_to_anchor=(1.0, 0.5))

    enough = scale != "smoke"
    mean = {name: np.mean(v, axis=0) for name, v in floors.items()}
    median = {name: np.median(v, axis=0) for name, v in needed.items()}
    large, huge = t_exact >= 9.9, t_noisy >= 999.0
    flat = median["NGN"][large]
    stable = np.isfinite(mean["SGD"]) & (t_noisy <= 0.11)
    ngn_high, polyak_high = float(np.mean(mean["NGN"][huge])), float(np.mean(mean["SPS_max (c = 1)"][huge]))
    ratio = mean["NGN"] / (t_noisy * (2.0 + t_noisy))
    middle = t_noisy <= 0.11
    linear = float(np.polyfit(np.log(t_noisy[middle]), np.log(mean["NGN"][middle]), 1)[0]) if enough else np.nan
    claims = [
        (
            "With a solution NGN needs as many steps at t = 1e6 as at t = 10 (largest over smallest median).",
            float(flat.max() / flat.min()) < 1.3 if enough else None,
            float(flat.max() / flat.min()),
        ),
        (
            "SGD diverges from t = 10 on, with and without a solution (smallest t at which a run does).",
            bool(np.isinf(needed["SGD"][:, large]).all() and np.isinf(floors["SGD"][:, t_noisy >= 9.9]).all())
            if np.isfinite(flat).all()
            else None,
            float(t_noisy[np.isinf(floors["SGD"]).any(axis=0)].min(initial=np.inf)),
            "not tested: nor does NGN reach it in this budget",
        ),
        (
            "SPS_max with c = ½ is at least as fast there as NGN, up to 10 % (ratio of its steps to NGN's, t ≥ 10).",
            float(np.max(median["SPS_max (c = ½)"][large] / flat)) <= 1.1 if enough else None,
            float(np.max(median["SPS_max (c = ½)"][large] / flat)),
        ),
        (
            "Without one the floor of NGN is proportional to σ while t ≤ 0.1 (log-log slope, within 0.15 of 1).",
            abs(linear - 1.0) < 0.15 if enough else None,
            linear,
        ),
        (
            "It is SGD's floor there (largest ratio of the two, within 15 %).",
            float(np.max(np.abs(np.log(mean["NGN"][stable] / mean["SGD"][stable])))) < np.log(1.15) if enough else None,
            float(np.exp(np.max(np.abs(np.log(mean["NGN"][stable] / mean["SGD"][stable]))))),
        ),
        (
            "The floor stays below the bound t(2 + t) f* at every t (largest ratio).",
            float(ratio[~huge].max()) < 1.0,
            float(ratio[~huge].max()),
        ),
        (
            "It levels off for large t (floor at t ≥ 1e3, in units of f*).",
            0.5 < ngn_high < 3.0,
            ngn_high,
        ),
        (
            "There SPS_max with c = 1 has the lower floor: NGN's step tends to twice Polyak's (its floor / f*).",
            polyak_high < 0.7 * ngn_high,
            polyak_high,
        ),
        (
            "A decaying σ is far below the floor at t₀ = 1, but still above 0.01 f* at 1e6 (relative gaps).",
            bool(mean[DECAYING][np.argmin(abs(t_noisy - 1.0))] < 0.1 * mean["NGN"][np.argmin(abs(t_noisy - 1.0))])
            and bool(mean[DECAYING][-1] > 0.01)
            if enough
            else None,
            [float(mean[DECAYING][np.argmin(abs(t_noisy - 1.0))]), float(mean[DECAYING][-1])],
        ),
    ]
    caption = (
        f"Gaussian least squares, 200 x 10, one sample a step, {seeds} seeds (median and 10th to 90th percentile); L "
        f"is the largest squared row norm. Right: mean over the second half of {steps} steps; where a curve ends, runs "
        "diverged. Runs start at the solution, those with a decaying σ_k = σ / √(k + 1) at 0. "
        f"Left: what needs more than {budget} steps is not shown."
    )
    return optlab.Figure(
        {"steps": rows(needed, t_exact, "steps"), "floor": rows(floors, t_noisy, "relative_gap")},
        draw,
        claims,
        caption,
        panels=(1, 2),
        figsize=(10.4, 3.7),
    )
