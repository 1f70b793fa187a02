"""The two constants of primal averaging: the gap after a run of SGD at a constant step, over mu_x and mu_y.

Least squares with noise in the targets, one sample a step, the mean over seeds, relative to SGD alone. The average
takes noise away with a longer horizon 1/(1 - mu_x) until the horizon is not small beside the run; then it lags. Where
the gradient is taken at the average itself (mu_y = 1) it is the heavy ball, whose stationary noise is that of SGD.
"""

from __future__ import annotations

import numpy as np

import optlab
from optlab.plotting import INK
from optlab.reproduce import at_scale
from optlab.stochastic import SGD, LeastSquares
from optlab.wrappers import PrimalAveraging

PAPER = "primal-averaging"
STEPS = 2000
HORIZONS = (1.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 10_000.0)
INTERPOLATIONS = (0.0, 0.3, 0.7, 0.9, 1.0)


def problem(seed: int) -> LeastSquares:
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((500, 20)) * np.logspace(0, -1, 20)
    return LeastSquares(A, A @ rng.standard_normal(20) + rng.standard_normal(500), f_star="compute")


def gap(method, instance: LeastSquares, seeds: range) -> float:
    options = {"max_iter": STEPS, "record": STEPS, "progress": False}
    return float(np.mean([optlab.solve(instance, method, seed=s, **options).metrics["gap"] for s in seeds]))


@optlab.figure(id="gpa-averaging", paper=PAPER, title="Primal averaging of SGD: the gap over its two constants")
def figure(scale: str, seed: int) -> optlab.Figure:
    seeds, base, instance = range(at_scale(scale, 3, 20, 50)), SGD(0.05), problem(seed)
    alone = gap(base, instance, seeds)
    rows = [
        {
            "horizon": horizon,
            "interpolation": mu,
            "relative_gap": gap(PrimalAveraging(base, mu, 1.0 - 1.0 / horizon), instance, seeds) / alone,
        }
        for mu in INTERPOLATIONS
        for horizon in HORIZONS
    ]
    grid = np.array([row["relative_gap"] for row in rows]).reshape(len(INTERPOLATIONS), len(HORIZONS))

    def draw(ax):
        image = ax.imshow(np.log10(grid), cmap="RdBu_r", vmin=-1.5, vmax=1.5, aspect="auto", origin="lower")
        for i, row in enumerate(grid):
            for j, value in enumerate(row):
                color = "white" if abs(np.log10(value)) > 0.8 else INK
                ax.text(j, i, f"{value:.2g}", ha="center", va="center", fontsize=7, color=color)
        ax.grid(False)
        ax.set_xticks(range(len(HORIZONS)), [f"{h:g}" for h in HORIZONS])
        ax.set_yticks(range(len(INTERPOLATIONS)), [f"{mu:g}" for mu in INTERPOLATIONS])
        ax.set(xlabel=r"horizon $1/(1-\mu_x)$", ylabel=r"$\mu_y$", title=f"gap after {STEPS} steps, by SGD's")
        ax.figure.colorbar(image, ax=ax, label=r"$\log_{10}$ of the ratio")

    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    apart, at_average = float(grid[:3, 4].max()), float(grid[-1].min())
    lagging, plain = float(grid[:, -1].min()), float(np.abs(grid[:, 0] - 1.0).max())
    enough = scale != "smoke"  # seeds
    return optlab.Figure(
        columns,
        draw,
        claims=[
            (
                "A horizon of 300 of the 2000 steps leaves less than half of SGD's gap for mu_y <= 0.7",
                apart < 0.5,
                apart,
            ),
            (
                "At mu_y = 1, the heavy ball, no horizon leaves less than nine tenths of it",
                at_average > 0.9 if enough else None,
                at_average,
            ),
            ("A horizon five times as long as the run is worse than SGD, at every mu_y", lagging > 1.0, lagging),
            ("A horizon of one step is SGD itself", plain < 1e-9, plain),
        ],
    )
