"""NGN with momentum (NGN-M) against the heavy ball on ``x^2 + x^4`` and on Rosenbrock's function.

Deterministic: one term, the full gradient. Both methods multiply the gradient step by 1 - momentum; the heavy ball also
runs undamped, as PyTorch has it. Islamov, Ajroldi, Orvieto, Lucchi 2025 (arXiv 2508.15071).
"""

from __future__ import annotations

import numpy as np

import optlab
from optlab.plotting import log_axes
from optlab.reproduce import at_scale, table
from optlab.stochastic import NGN, SGD, trace

from ._common import PAPER, Quartic, Rosenbrock, look, run

MOMENTUM = 0.9
METHODS = {
    "NGN-M": lambda c: NGN(c, momentum=MOMENTUM, trace=True),
    "heavy ball": lambda c: SGD(c, momentum=MOMENTUM, trace=True),
    "undamped": lambda c: SGD(c, momentum=MOMENTUM, damped=False, trace=True),
}


def steps_needed(problem, method, x0, level: float, budget: int) -> float:
    """Return the first step at which the loss is at most `level`; inf if the run diverged, NaN if it is too slow."""
    result = run(problem, method, budget, x0=x0)
    if result.status is optlab.Status.DIVERGED:
        return float("inf")
    below = np.flatnonzero(trace(result)["loss"] <= level)
    return float(below[0]) if below.size else float("nan")


@optlab.figure(
    id="ngn-momentum", paper=PAPER, title="NGN with momentum against the heavy ball: steps needed, over the step size"
)
def figure(scale: str, seed: int) -> optlab.Figure:
    budget = at_scale(scale, (5_000, 5_000), (100_000, 300_000), (100_000, 300_000))
    per_decade = at_scale(scale, 1, 2, 4)
    first = at_scale(scale, -2, -4, -4)
    grid = np.logspace(first, 4, per_decade * (4 - first) + 1)
    cases = {
        r"$x^2 + x^4$ from 10, loss $10^{-15}$": (Quartic(), [10.0], 1e-15, budget[0]),
        r"Rosenbrock from (−1.2, 1), loss $10^{-10}$": (Rosenbrock(), [-1.2, 1.0], 1e-10, budget[1]),
    }
    rows, counts = [], {}
    for case, (problem, x0, level, limit) in cases.items():
        for name, make in METHODS.items():
            counts[case, name] = np.array([steps_needed(problem, make(c), x0, level, limit) for c in grid])
            rows += [
                {"problem": case.split(" from")[0].strip("$"), "method": name, "step_size": c, "steps": k}
                for c, k in zip(grid, counts[case, name])
            ]

    def draw(axes):
        for ax, case in zip(axes, cases):
            lines = []
            for i, name in enumerate(METHODS):
                needed = counts[case, name]
                done = np.isfinite(needed)
                label = name if name != "undamped" else "heavy ball, undamped"
                drawn = look(name)
                lines += ax.plot(grid[done], needed[done], label=label, **drawn)
                lost = np.isinf(needed)
                crosses = ax.plot(
                    grid[lost],
                    np.full(lost.sum(), 1.03 - 0.045 * i),
                    linestyle="",
                    marker="x",
                    markersize=5,
                    markeredgewidth=1.4,
                    color=drawn["color"],
                    transform=ax.get_xaxis_transform(),
                    clip_on=False,
                )
                crosses[0].set_in_layout(False)
            ax.set(xlabel=r"$c$ (NGN-M: $\sigma$; heavy ball: step size)", xlim=(grid[0] / 1.5, grid[-1] * 1.5))
            ax.set_title(case, pad=14)
            ax.set_yscale("log")
            low, high = ax.get_ylim()
            ax.set_ylim(low, high * (high / low) ** 0.15)  # room for the crosses
            log_axes(ax, "xy")
        axes[0].set_ylabel("steps needed (×: diverged)")
        axes[0].legend(loc="upper right", bbox_to_anchor=(1.0, 0.88))

    quartic, rosenbrock = cases
    at = {round(float(np.log10(c)), 6): i for i, c in enumerate(grid)}
    ngn, ball = counts[quartic, "NGN-M"], counts[quartic, "heavy ball"]
    best = {key: (float(np.nanmin(v)), float(grid[np.nanargmin(v)])) for key, v in counts.items()}
    ngn_10, ball_2 = int(ngn[at[1.0]]), int(ball[at[-2.0]])
    enough = scale != "smoke"
    r_ngn, r_ball, r_raw = (counts[rosenbrock, name] for name in METHODS)

    def smallest_lost(values):
        return float(grid[np.isinf(values)].min()) if np.isinf(values).any() else float("nan")

    large = grid >= 0.999
    decades = grid[np.isin(np.round(np.log10(grid), 6), [-4, -3, -2, -1, 0, 1, 2, 3, 4])]
    claims = [
        ("On x² + x⁴ NGN-M with σ = 10 needs 268 steps (within 2).", abs(ngn_10 - 268) <= 2, ngn_10),
        ("There the heavy ball with step size 0.01 needs 690 steps (within 2).", abs(ball_2 - 690) <= 2, ball_2),
        (
            "These are the best powers of ten of either method (best σ, best step size).",
            bool(
                ngn_10 == np.nanmin(ngn[np.isin(grid, decades)]) and ball_2 == np.nanmin(ball[np.isin(grid, decades)])
            ),
            [float(decades[np.nanargmin(v[np.isin(grid, decades)])]) for v in (ngn, ball)],
        ),
        (
            "NGN-M gets there for every σ (largest number of steps).",
            bool(np.isfinite(ngn).all()) if enough else None,
            int(np.nanmax(ngn)),
        ),
        ("The heavy ball diverges from 0.1 on (smallest step size).", smallest_lost(ball) <= 0.1, smallest_lost(ball)),
        (
            "On Rosenbrock's function NGN-M gets there for every σ (largest number of steps).",
            bool(np.isfinite(r_ngn).all()) if enough else None,
            int(np.nanmax(r_ngn)),
        ),
        (
            "The heavy ball does not: undamped it fails from 0.01 on, damped from 0.1 on (smallest step sizes that "
            "fail).",
            bool(np.isinf(r_raw[grid >= 0.0099]).all() and np.isinf(r_ball[grid >= 0.099]).all())
            if np.isfinite(r_ngn[grid >= 0.0099]).any()
            else None,
            [smallest_lost(r_raw), smallest_lost(r_ball)],
            "not tested: nor does NGN-M in this budget",
        ),
        (
            "Where both converge neither is faster: NGN-M takes the heavy ball's steps within 20 % for c up to 0.01.",
            max(
                abs(np.log(v[i] / w[i]))
                for v, w in ((ngn, ball), (r_ngn, r_ball))
                for i in np.flatnonzero((grid < 0.0101) & np.isfinite(v) & np.isfinite(w))
            )
            < np.log(1.2),
            max(
                float(np.max((v / w)[(grid < 0.0101) & np.isfinite(v / w)])) for v, w in ((ngn, ball), (r_ngn, r_ball))
            ),
        ),
        (
            "Past σ = 1 the steps of NGN-M on Rosenbrock's function vary erratically (largest over smallest number).",
            float(np.max(r_ngn[large]) / np.min(r_ngn[large])) > 1.5 if enough else None,
            float(np.nanmax(r_ngn[large]) / np.nanmin(r_ngn[large])),
        ),
    ]
    caption = (
        f"Steps until the loss is at most 1e-15 and 1e-10, momentum {MOMENTUM}; a cross marks a run that diverged. "
        "NGN-M and the heavy ball multiply the gradient step by 1 − momentum; undamped, the heavy ball does not. NGN-M "
        "converges at every σ; its best count "
        f"({best[quartic, 'NGN-M'][0]:.0f} at σ = {best[quartic, 'NGN-M'][1]:.3g}) and the heavy ball's "
        f"({best[quartic, 'heavy ball'][0]:.0f} at {best[quartic, 'heavy ball'][1]:.3g}) are those of the grid shown."
    )
    return optlab.Figure(table(rows), draw, claims, caption, panels=(1, 2), figsize=(9.6, 3.7))
