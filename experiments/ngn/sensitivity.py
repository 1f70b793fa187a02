"""Sensitivity to the step size: final training loss of NGN and of four rivals over eight decades.

The same grid, budget, seeds and samples for all (`optlab.stochastic.sweep`). Logistic regression on breast cancer,
softmax regression on the digits, logistic regression on sparse binary data read from a LIBSVM file, a network.
"""

from __future__ import annotations

import dataclasses

import numpy as np

import optlab
from optlab.plotting import log_axes, seed_band
from optlab.reproduce import at_scale
from optlab.stochastic import NGN, SGD, AdaGradNorm, Adam, PolyakSGD, sweep

from ._common import PAPER, binary_problem, cancer_problem, digits_problem, look, network_problem

METHODS = ("NGN", "SGD", "SPS_max", "AdaGrad-norm", "Adam")


def methods(batch: int) -> dict[str, object]:
    """Return the five methods with a batch size; SPS_max with c = 1."""
    makes = (NGN(), SGD(1.0), PolyakSGD(1.0, scaling=1.0), AdaGradNorm(), Adam())
    return {name: dataclasses.replace(m, batch_size=batch, sampling="shuffle") for name, m in zip(METHODS, makes)}


def problems(scale: str, seed: int) -> dict[str, tuple[object, int, float]]:
    """Return name -> (problem, batch size, passes)."""
    n, hidden = at_scale(scale, (300, 8), (1000, 32), (1797, 64))
    passes = at_scale(scale, 3, 20, 30)
    return {
        "breast cancer, logistic": (cancer_problem(), 32, passes),
        "digits, softmax": (digits_problem(n), 64, passes),
        "LIBSVM file, logistic": (binary_problem(at_scale(scale, 400, 1605, 1605), seed), 20, passes),
        "digits, network": (network_problem(n, hidden), 64, passes),
    }


@optlab.figure(id="ngn-sensitivity", paper=PAPER, title="Sensitivity to σ, against the step sizes of four rivals")
def figure(scale: str, seed: int) -> optlab.Figure:
    per_decade, seeds = at_scale(scale, (0.5, 1), (1, 3), (2, 5))
    grid = np.logspace(-4, 4, round(8 * per_decade) + 1)
    tables = {
        name: sweep(p, methods(batch), grid, seeds=range(seed, seed + seeds), epochs=passes)
        for name, (p, batch, passes) in problems(scale, seed).items()
    }
    widths = {name: t.plateau_width() for name, t in tables.items()}
    best = {name: {m: t.best(m)[1] for m in METHODS} for name, t in tables.items()}
    runs = {
        name.replace(", ", "_").replace(" ", "_"): {
            key: t[key] for key in ("method", "step_size", "seed", "initial", "final", "status")
        }
        for name, t in tables.items()
    }
    summary = {
        "problem": np.repeat(list(tables), len(METHODS)),
        "method": np.tile(METHODS, len(tables)),
        "plateau_decades": np.array([widths[name][m] for name in tables for m in METHODS]),
        "best_loss": np.array([best[name][m] for name in tables for m in METHODS]),
    }

    def draw(axes):
        for ax, (name, t) in zip(axes.ravel(), tables.items()):
            start = float(np.median(t["initial"]))
            finite = t["final"][np.isfinite(t["final"])]
            low, top = max(0.6 * float(finite[finite > 0].min()), 1e-5 * start), 4.0 * start
            lines = []
            for m in METHODS:
                steps, final = t.samples(m)
                shown = np.clip(np.nan_to_num(final, nan=1e3 * top, posinf=1e3 * top), low, 1e3 * top)
                label = f"{m} ({widths[name][m]:.1f})"
                lines.append(seed_band(ax, steps, shown, label=label, **look(m)))
            ax.axhline(start, color="#555b66", linewidth=1.0, linestyle=(0, (4, 2)))
            ax.annotate(
                "start",
                (0.99, start),
                xycoords=("axes fraction", "data"),
                xytext=(0, 2),
                textcoords="offset points",
                fontsize=7.5,
                ha="right",
            )
            ax.set(title=name, ylim=(low / 1.6, top), xlim=(grid[0] / 1.6, 1.6 * grid[-1]))
            log_axes(ax, "xy")
            ax.legend(
                handles=lines,
                loc="center left",
                bbox_to_anchor=(1.0, 0.5),
                title="plateau, decades",
                title_fontsize=7.5,
                fontsize=7.5,
            )
        for ax in axes[-1]:
            ax.set_xlabel("σ, or step size")
        for ax in axes[:, 0]:
            ax.set_ylabel("final training loss")

    medians = {name: {m: t.medians(m)[1] for m in METHODS} for name, t in tables.items()}
    start = {name: float(np.median(t["initial"])) for name, t in tables.items()}
    below = {name: {m: int(np.sum(v[m] < start[name])) for m in METHODS} for name, v in medians.items()}
    linear, binary, network = list(tables)[:2], "LIBSVM file, logistic", "digits, network"
    ones = grid >= 0.999

    def worst(names):
        return max(float(np.max(medians[n]["NGN"][ones])) / start[n] for n in names)

    small = scale == "cpu"  # the network and its data are smaller there than at the paper's scale
    enough = scale != "smoke"

    def numbers(names, *which):
        return "; ".join(f"{m}: " + ", ".join(f"{widths[n][m]:.2f}" for n in names) for m in which)

    rivals = ("SGD", "AdaGrad-norm", "Adam")
    lost = {
        m: float(np.mean([np.isinf(t["final"][t["method"] == m]).mean() for t in tables.values()])) for m in METHODS
    }
    claims = [
        ("No run of NGN diverges, at any σ (share of its runs).", lost["NGN"] == 0.0, lost["NGN"]),
        (
            "On breast cancer and digits, softmax, NGN's plateau is wider than those of SGD, AdaGrad-norm and Adam.",
            all(widths[n]["NGN"] > widths[n][m] for n in linear for m in rivals) if enough else None,
            numbers(linear, "NGN", *rivals),
        ),
        (
            "There every σ ≥ 1 trains to below the starting loss (largest final / initial loss).",
            worst(linear) < 1.0 if enough else None,
            worst(linear),
        ),
        (
            "On the LIBSVM data and on the small network it does not: a large σ ends above the start.",
            min(worst([binary]), worst([network])) > 1.0 if small else None,
            [worst([binary]), worst([network])],
        ),
        (
            "The cap alone is more robust: SPS_max (c = 1) has the wider plateau on all four problems.",
            all(widths[n]["SPS_max"] > widths[n]["NGN"] for n in tables) if small else None,
            numbers(tables, "NGN", "SPS_max"),
        ),
        (
            "NGN is not the lowest either: tuned SGD ends below tuned NGN on softmax and on the small network.",
            all(best[n]["SGD"] < best[n]["NGN"] for n in (linear[1], network)) if small else None,
            "; ".join(f"{best[n]['SGD']:.2g}, {best[n]['NGN']:.2g}" for n in (linear[1], network)),
        ),
        (
            "NGN trains to below the start at no fewer step sizes than SGD and Adam on these two.",
            all(below[n]["NGN"] >= below[n][m] for n in linear for m in ("SGD", "Adam")) if enough else None,
            "; ".join(f"{m}: " + ", ".join(str(below[n][m]) for n in linear) for m in METHODS),
        ),
    ]
    caption = (
        f"Final training loss after {at_scale(scale, 3, 20, 30)} shuffled passes, batches of 20 to 64; median and 10th "
        f"to 90th percentile of {seeds} seeds. What leaves the axes at the top diverged or ended above the start; "
        "losses below 1e-5 of the start are drawn there. In brackets: decades of step size within twice the method's "
        "own best loss. The width of its plateau is NGN's gain on the first two, not the best point; a cap on the "
        "Polyak step does as much or more."
    )
    return optlab.Figure({**runs, "summary": summary}, draw, claims, caption, panels=(2, 2), figsize=(11.6, 6.4))
