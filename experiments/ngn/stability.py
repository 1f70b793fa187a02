"""Stability over nine decades of the step size on problems that can be solved exactly.

Least squares with a solution, matrix factorisation and phase retrieval: all terms vanish at the solution, the last two
have no global smoothness constant.
"""

from __future__ import annotations

import numpy as np

import optlab
from optlab.plotting import log_axes
from optlab.reproduce import at_scale
from optlab.stochastic import NGN, SGD, LeastSquares, MatrixFactorization, PhaseRetrieval, PolyakSGD, sweep

from ._common import PAPER, look

METHODS = {"NGN": NGN(), "SPS_max (c = 1)": PolyakSGD(1.0, scaling=1.0), "SGD": SGD(1.0)}
RECOVERED = 1e-20
FLOOR = 1e-34


def problems(seed: int, small: bool) -> dict[str, tuple[object, int]]:
    """Return name -> (problem with minimum 0, passes over the data)."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((200, 10))
    n, d = (120, 8) if small else (300, 20)
    B, x = rng.standard_normal((n, d)), rng.standard_normal(d)
    m, k = (12, 10) if small else (40, 30)
    X = rng.standard_normal((m, 3)) @ rng.standard_normal((3, k)) / np.sqrt(3.0)
    return {
        "least squares": (LeastSquares(A, A @ rng.standard_normal(10)), 5 if small else 20),
        "matrix factorisation": (MatrixFactorization(X, rank=3, f_star=0.0), 150 if small else 400),
        "phase retrieval": (PhaseRetrieval(B, (B @ x) ** 2, f_star=0.0), 60 if small else 200),
    }


@optlab.figure(
    id="ngn-stability", paper=PAPER, title="Stability: final loss over nine decades of σ, where SGD diverges"
)
def figure(scale: str, seed: int) -> optlab.Figure:
    per_decade, seeds = at_scale(scale, (0.5, 2), (1, 3), (2, 10))
    grid = np.logspace(-3, 6, round(9 * per_decade) + 1)
    tables = {
        name: sweep(problem, METHODS, grid, seeds=range(seed, seed + seeds), epochs=epochs)
        for name, (problem, epochs) in problems(seed, scale == "smoke").items()
    }
    data = {
        name.replace(" ", "_"): {key: t[key] for key in ("method", "step_size", "seed", "initial", "final", "status")}
        for name, t in tables.items()
    }

    def draw(axes):
        for ax, (name, t) in zip(axes, tables.items()):
            start = float(np.median(t["initial"]))
            for i, method in enumerate(METHODS):
                steps, final = t.samples(method)
                drawn = look(method)
                diverged = ~np.isfinite(final)
                middle = np.median(np.where(diverged, np.inf, final), axis=0)
                kept = np.isfinite(middle)
                ax.plot(steps[kept], np.maximum(middle[kept], FLOOR), label=method, **drawn)
                with np.errstate(invalid="ignore"):
                    low, high = np.maximum(final.min(axis=0), FLOOR), np.minimum(final.max(axis=0), 1e6)
                ax.fill_between(steps[kept], low[kept], high[kept], color=drawn["color"], alpha=0.18, linewidth=0)
                lost = diverged.any(axis=0)
                crosses = ax.plot(
                    steps[lost],
                    np.full(lost.sum(), 1.04 - 0.045 * i),
                    linestyle="",
                    marker="x",
                    markeredgewidth=1.4,
                    markersize=5,
                    color=drawn["color"],
                    transform=ax.get_xaxis_transform(),
                    clip_on=False,
                )
                crosses[0].set_in_layout(False)
            ax.axhline(start, color="#555b66", linewidth=1.0, linestyle=(0, (4, 2)))
            ax.set(xlabel="σ, or step size", ylim=(FLOOR / 10, 1e9))
            ax.set_title(name, pad=16)
            log_axes(ax, "xy")
        axes[0].set_ylabel("final loss (×: a run diverged)")
        axes[0].annotate("start", (grid[-1], start_of(tables)), xytext=(0, -9), textcoords="offset points", **LABEL)
        axes[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))

    lost = {
        name: {m: float(np.isinf(t["final"][t["method"] == m]).mean()) for m in METHODS} for name, t in tables.items()
    }
    worst = {name: {m: t.samples(m)[1].max(axis=0) for m in METHODS} for name, t in tables.items()}
    enough = scale != "smoke"

    def first_lost(name):
        steps, final = tables[name].samples("SGD")
        bad = np.isinf(final).any(axis=0)
        return float(steps[bad].min()) if bad.any() else float("nan")

    def recovered(name, method, low):
        return float(worst[name][method][grid >= low * 0.99].max())

    widths = {
        m: [float(np.sum(worst[name][m] <= RECOVERED) / max(per_decade, 1e-9)) for name in tables] for m in METHODS
    }
    first_two = list(tables)[:2]
    ngn_lost = max(v["NGN"] for v in lost.values())
    claims = [
        ("NGN never diverges, for σ from 1e-3 to 1e6 (share of runs that do).", ngn_lost == 0.0, ngn_lost),
        (
            "SGD diverges on each of the three (smallest step size at which a run does).",
            all(v["SGD"] > 0 for v in lost.values()),
            [first_lost(name) for name in tables],
        ),
        (
            "With σ ≥ 1 NGN solves consistent least squares (largest final loss of any run).",
            recovered("least squares", "NGN", 1.0) <= RECOVERED if enough else None,
            recovered("least squares", "NGN", 1.0),
        ),
        (
            "With σ from 1 to 1e6 it recovers the factorisation exactly (largest final loss of any run).",
            recovered("matrix factorisation", "NGN", 1.0) <= RECOVERED if enough else None,
            recovered("matrix factorisation", "NGN", 1.0),
        ),
        (
            "With σ from 1e-2 to 1e6 it recovers the phase exactly (largest final loss of any run).",
            recovered("phase retrieval", "NGN", 1e-2) <= RECOVERED if enough else None,
            recovered("phase retrieval", "NGN", 1e-2),
        ),
        (
            "SGD solves the three for fewer decades of step sizes than NGN does (SGD; NGN).",
            all(a < b for a, b in zip(widths["SGD"], widths["NGN"])) if enough else None,
            "; ".join(", ".join(f"{w:g}" for w in widths[m]) for m in ("SGD", "NGN")),
        ),
        (
            "The cap alone does as much: SPS_max does not diverge either (share of runs that do).",
            max(v["SPS_max (c = 1)"] for v in lost.values()) == 0.0,
            max(v["SPS_max (c = 1)"] for v in lost.values()),
        ),
        (
            "Too small a σ costs time: at 1e-3 NGN has not solved the first two (smallest final loss).",
            min(float(worst[name]["NGN"][0]) for name in first_two) > RECOVERED
            if all(worst[name]["NGN"].min() <= RECOVERED for name in first_two)
            else None,
            min(float(worst[name]["NGN"][0]) for name in first_two),
            "not tested: no larger σ solves them in this budget",
        ),
    ]
    caption = (
        f"Final loss after a fixed number of passes, one sample a step; median and range of {seeds} seeds, a cross "
        "where one or more runs diverged. NGN's σ and the cap of SPS_max only bound the step; the step of SGD is the "
        "value on the axis."
    )
    return optlab.Figure(data, draw, claims, caption, panels=(1, 3), figsize=(12.2, 3.6))


LABEL = {"fontsize": 8, "ha": "right"}


def start_of(tables) -> float:
    """Return the median initial loss of the first table."""
    return float(np.median(next(iter(tables.values()))["initial"]))
