"""Beside the paper: exact transport by scaling, a sparse linear program and pricing, against n, for five kinds of cost.

Times are of one machine under whatever load it has, each solver run once; the exponents fitted to them are printed in
the legend. ``ot.emd`` is given the matrix ready made where there is one, and makes it from the points otherwise.
"""

from __future__ import annotations

import numpy as np

import optlab
from optlab.benchmarks.transport_exact import _emd, _ours, _problem
from optlab.plotting import PALETTE, log_axes
from optlab.reproduce import at_scale

from ._common import PAPER, slope

KINDS = {
    "2-D": "plane, squared",
    "2-D Euclidean": "plane, Euclidean",
    "10-D": "ten dimensions, squared",
    "grid": "images on a grid",
    "random": "random costs",
}


@optlab.figure(id="exact-transport-growth", paper=PAPER, title="Exact transport: seconds against n")
def figure(scale: str, seed: int) -> optlab.Figure:
    ours, theirs = at_scale(
        scale,
        ((64, 144), (64, 144)),
        ((500, 1000, 2000), (500, 1000, 2000)),
        ((1000, 2000, 4000, 8000, 16_000), (1000, 2000, 4000)),
    )
    rows = []
    for kind in KINDS:
        _ours(
            _problem(kind, ours[-1] if ours[-1] < 2000 else 1500, seed + 1)
        )  # compiled code is loaded before the clock
        for n in ours if kind != "random" else theirs:
            problem = _problem(kind, n, seed)
            seconds, result = _ours(problem)
            row = {"kind": kind, "n": problem.a.size, "seconds": seconds, "rounds": result.n_iter}
            row |= {"relative_gap": result.metrics["relative_gap"], "simplex_seconds": np.nan, "difference": np.nan}
            if n in theirs:
                row["simplex_seconds"], value = _emd(problem)
                row["difference"] = abs(result.metrics["cost"] - value) / max(abs(value), problem.gap_floor)
            rows.append(row)
    data = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    exponents = {}
    for kind in KINDS:
        mine = data["kind"] == kind
        both = mine & np.isfinite(data["simplex_seconds"])
        exponents[kind] = (
            slope(np.log(data["n"][mine]), np.log(data["seconds"][mine])),
            slope(np.log(data["n"][both]), np.log(data["simplex_seconds"][both])),
        )

    def draw(ax):
        for (kind, label), color in zip(KINDS.items(), PALETTE):
            mine = data["kind"] == kind
            first, second = exponents[kind]
            ax.plot(data["n"][mine], data["seconds"][mine], "o-", color=color, label=f"{label}: $n^{{{first:.1f}}}$")
            ax.plot(
                data["n"][mine],
                data["simplex_seconds"][mine],
                "x:",
                color=color,
                label=f"simplex: $n^{{{second:.1f}}}$",
            )
        ax.set(xlabel="points n on each side", ylabel="seconds to an exact plan")
        log_axes(ax, "xy")
        ax.legend(fontsize=7, ncols=2)

    claims = [
        (
            "Every plan is certified to a relative gap of 1e-9 (the largest).",
            bool(np.all(data["relative_gap"] <= 1e-9)),
            float(data["relative_gap"].max()),
        ),
        (
            "Its cost is the network simplex's to 1e-9 (the largest relative difference).",
            bool(np.nanmax(data["difference"]) <= 1e-9),
            float(np.nanmax(data["difference"])),
        ),
        (
            "On points in the plane the time grows more slowly than the dense network simplex's (fitted exponents).",
            exponents["2-D"][0] < exponents["2-D"][1] if scale != "smoke" else None,
            list(exponents["2-D"]),
        ),
    ]
    caption = (
        "Seconds to an exact plan certified to 1e-9, solid: annealed scaling on truncated lists, a sparse linear "
        "program, pricing of all pairs; dotted: POT's dense network simplex (with the matrix made from the points). "
        "Weights are uneven on one side. In the legend, the exponents fitted to the times."
    )
    return optlab.Figure(data=data, draw=draw, claims=claims, caption=caption)
