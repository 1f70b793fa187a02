"""Beside the paper: time against n of exact transport (scaling, a sparse linear program, pricing) and of POT's network
simplex, for six kinds of cost.

Times are of one machine under whatever load it has, each solver run once; an exponent is fitted where they exceed ten
times the shortest at three sizes or more, and printed in the legend (below that it would be the overhead's). ``ot.emd``
is given the matrix ready made where there is one, and makes it from the points otherwise; ``ot.lp.emd2_lazy`` takes
points only.
"""

from __future__ import annotations

import numpy as np

import optlab
from optlab.benchmarks.transport.contenders import (
    KINDS,
    exact_transport,
    exponent,
    lazy_network_simplex,
    make_problem,
    network_simplex,
)
from optlab.plotting import PALETTE, log_axes
from optlab.reproduce import at_scale, table

from ._common import PAPER

# solver -> how it is drawn: apart without colour too
LOOKS = {
    "ExactTransport": {"color": PALETTE[0], "linestyle": "-", "marker": "o"},
    "ot.emd": {"color": PALETTE[1], "linestyle": "--", "marker": "s"},
    "ot.lp.emd2_lazy": {"color": PALETTE[5], "linestyle": ":", "marker": "^"},
}


def _solve(solver, problem):
    """Return seconds, cost and certified relative gap."""
    if solver == "ExactTransport":
        seconds, result = exact_transport(problem)
        return seconds, result.metrics["cost"], result.metrics["relative_gap"]
    seconds, plan = (network_simplex if solver == "ot.emd" else lazy_network_simplex)(problem)
    return seconds, plan.cost, plan.relative_gap


@optlab.figure(id="exact-transport-growth", paper=PAPER, title="Exact transport: time against n")
def figure(scale: str, seed: int) -> optlab.Figure:
    ours, theirs = at_scale(
        scale,
        ((64, 144), (64, 144)),
        ((125, 250, 500, 1000, 2000), (125, 250, 500, 1000, 2000)),
        ((125, 250, 500, 1000, 2000, 4000, 8000, 16_000), (125, 250, 500, 1000, 2000, 4000)),
    )
    rows = []
    for kind in KINDS:
        # compiled code is loaded before the clock
        for solver in LOOKS:
            if kind != "random" or solver != "ot.lp.emd2_lazy":
                _solve(solver, make_problem(kind, min(ours[-1], 1500 if solver == "ExactTransport" else 64), seed + 1))
        for n in ours if kind != "random" else theirs:
            problem = make_problem(kind, n, seed)
            for solver in LOOKS:
                if solver == "ExactTransport" or (n in theirs and (kind != "random" or solver == "ot.emd")):
                    seconds, cost, gap = _solve(solver, problem)
                    row = {"kind": kind, "solver": solver, "n": problem.a.size, "seconds": seconds}
                    rows.append(row | {"cost": cost, "relative_gap": gap})
    data = table(rows)

    def of(kind, solver):
        mine = (data["kind"] == kind) & (data["solver"] == solver)
        return data["n"][mine], data["seconds"][mine]

    def draw(axes):
        for ax, (kind, title) in zip(axes.flat, KINDS.items()):
            for solver, look in LOOKS.items():
                n, seconds = of(kind, solver)
                if n.size:
                    fitted = exponent(n, seconds)
                    growth = f": $n^{{{fitted:.1f}}}$" if np.isfinite(fitted) else ""
                    ax.plot(n, seconds, label=f"{solver}{growth}", **look)
            ax.set_title(title[0].upper() + title[1:])
            ax.legend(loc="upper left", fontsize=7.5)
        for ax in axes.flat:
            log_axes(ax, "xy")
            ax.set_xticks(ours, [str(n) for n in ours])
            ax.minorticks_off()
        low, high = axes.flat[0].get_ylim()
        axes.flat[0].set_ylim(low, 4.0 * high)  # room for the legends
        for ax in axes[-1]:
            ax.set_xlabel("points n on each side")
        for ax in axes[:, 0]:
            ax.set_ylabel("seconds")

    costs = [data["cost"][(data["kind"] == row["kind"]) & (data["n"] == row["n"])] for row in rows]
    apart = float(max((np.ptp(cost) / np.abs(cost).max() for cost in costs), default=0.0))
    exponents = [exponent(*of("2-D", solver)) for solver in LOOKS]
    last = len(theirs) - 1
    ratios = [of(kind, "ot.emd")[1][last] / of(kind, "ExactTransport")[1][last] for kind in ("2-D", "3-D", "10-D")]
    claims = [
        (
            "Every plan of ExactTransport is certified to a relative gap of 1e-9 (the largest).",
            bool(np.all(data["relative_gap"][data["solver"] == "ExactTransport"] <= 1e-9)),
            float(data["relative_gap"][data["solver"] == "ExactTransport"].max()),
        ),
        (
            "All solvers find the same cost to 1e-9 (the largest relative difference).",
            apart <= 1e-9,
            apart,
        ),
        (
            "On points in the plane the time grows more slowly than that of either network simplex (fitted exponents).",
            exponents[0] < min(exponents[1:]) if np.isfinite(exponents).all() else None,
            [value if np.isfinite(value) else "none" for value in exponents],
            "not tested: the times do not exceed ten times the shortest at three sizes",
        ),
        (
            f"At n = {theirs[last]} it is faster than ot.emd for squared distances in 2, 3 and 10 dimensions (times).",
            min(ratios) > 1.0 if scale != "smoke" else None,
            ratios,
        ),
    ]
    caption = (
        "Seconds to an exact plan: ExactTransport (annealed scaling on truncated lists, a sparse linear program, "
        "pricing of all pairs; certified to 1e-9), and POT's network simplex on the matrix (made from the points) and "
        "without one. Weights are uneven on one side, on the grid on both. An exponent is in the legend where one can "
        "be fitted: three times or more that exceed ten times the shortest."
    )
    return optlab.Figure(
        data=data,
        draw=draw,
        claims=claims,
        caption=caption,
        panels=(2, 3),
        figsize=(10.5, 6.4),
        sharex=True,
        sharey=True,
    )
