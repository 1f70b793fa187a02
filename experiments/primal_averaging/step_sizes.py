"""Averages around SGD over the step size: GPA beside DiLoCo at matched averaging, Schedule-Free, and a cosine schedule.

Softmax regression on digits, a fixed number of steps, no schedule but where it says so. GPA with ``mu_x = mu^(1/H)``
averages as much as DiLoCo with momentum mu every H steps does; one DiLoCo round moves its slow weights by
``eta / (1 - mu)`` times what the inner steps moved, so that its step sizes are compared after that factor.
"""

from __future__ import annotations

import numpy as np

import optlab
from optlab.plotting import seed_band, style
from optlab.reproduce import at_scale, table
from optlab.stochastic import SGD, Cosine, SoftmaxRegression
from optlab.wrappers import DiLoCo, PrimalAveraging, ScheduleFree

PAPER = "primal-averaging"
PERIOD, MOMENTUM, OUTER = 16, 0.9, 0.7
GAIN = OUTER / (1.0 - MOMENTUM)  # of DiLoCo's slow weights over its inner steps


def data() -> SoftmaxRegression:
    from sklearn.datasets import load_digits

    A, y = load_digits(return_X_y=True)
    return SoftmaxRegression(A / 16.0 - (A / 16.0).mean(axis=0), y, l2=1e-3, f_star="compute")


def methods(step: float, n: int) -> dict:
    """Return what is compared at an effective step size."""
    options = {"batch_size": 8}
    return {
        "SGD": SGD(step, **options),
        "SGD, cosine": SGD(Cosine(step, n), **options),
        "GPA, H = 16": PrimalAveraging(SGD(step, **options), 0.7, MOMENTUM ** (1.0 / PERIOD)),
        "DiLoCo, H = 16": DiLoCo(SGD(step / GAIN, **options), PERIOD, OUTER, MOMENTUM),
        "Schedule-Free": ScheduleFree(SGD(step, **options)),
    }


@optlab.figure(id="gpa-step-sizes", paper=PAPER, title="Averages of SGD on digits: the gap over the step size")
def figure(scale: str, seed: int) -> optlab.Figure:
    problem, n = data(), at_scale(scale, 600, 4000)
    steps, seeds = 2.0 ** np.arange(-5, 7 if scale != "smoke" else 5), range(seed, seed + at_scale(scale, 2, 5, 20))
    rows = []
    for step in steps:
        for name, method in methods(float(step), n).items():
            for s in seeds:
                found = optlab.solve(problem, method, max_iter=n, record=n, seed=s, progress=False)
                rows.append({"method": name, "step": float(step), "seed": s, "gap": found.metrics["gap"]})
    names = list(methods(1.0, n))
    gaps = {k: np.array([r["gap"] for r in rows if r["method"] == k]).reshape(len(steps), len(seeds)).T for k in names}

    def draw(ax):
        for i, (name, values) in enumerate(gaps.items()):
            seed_band(ax, steps, values, label=name, **(style(i) | {"markevery": 1}))
        ax.set(xscale="log", yscale="log", xlabel="step size (DiLoCo: times 7, its gain)", ylabel="gap at the end")
        ax.set_xticks(steps[::2], [f"{s:g}" for s in steps[::2]])
        ax.legend(fontsize=8)

    best = {k: float(np.median(v, axis=0).min()) for k, v in gaps.items()}
    last = {k: float(np.median(v, axis=0)[-1]) for k, v in gaps.items()}
    averaged = ("GPA, H = 16", "Schedule-Free")
    worst = max(last[k] / last["SGD"] for k in averaged)
    matched = best["GPA, H = 16"] / best["DiLoCo, H = 16"]
    large = steps >= 4.0
    beside = np.median(gaps["GPA, H = 16"], axis=0)[large] / np.median(gaps["DiLoCo, H = 16"], axis=0)[large]
    cosine = best["GPA, H = 16"] / best["SGD, cosine"]
    enough = scale != "smoke"
    claims = [
        (
            "At the largest step GPA and Schedule-Free leave less than half of SGD's gap (largest ratio)",
            worst < 0.5 if enough else None,
            worst,
        ),
        (
            "From a step of 4 on GPA leaves less than DiLoCo at matched averaging (largest ratio)",
            bool(beside.max() < 1.0) if enough else None,
            float(beside.max()),
        ),
    ]
    caption = (
        f"Softmax regression on digits, ridge 1e-3, batches of 8, {n} steps, {len(seeds)} seeds. GPA: mu_y = 0.7, "
        f"mu_x = 0.9^(1/16); DiLoCo: outer step 0.7, momentum 0.9, every 16 steps. GPA's best gap is {matched:.2f} of "
        f"DiLoCo's and {cosine:.2f} of that of SGD with a cosine. Lines: median; bands: 10th to 90th percentile."
    )
    return optlab.Figure(table(rows), draw, claims, caption, figsize=(5.8, 4.0))
