"""The maps: a piecewise-affine regulariser's proximal map, how it hardens, and PARQ's, over the same weights."""

from __future__ import annotations

import numpy as np

import optlab
from optlab.plotting import style, theory_line
from optlab.quantization import Annealing, PiecewiseAffine, nearest_point_slopes, soft_round

POINTS = np.array([0.0, 1.0, 2.0])
GAMMAS, SLOPES, STEEPNESS = (1.0, 4.0, 40.0), (1.0, 0.5, 0.1, 0.0), (1.0, 10.0, 50.0)


@optlab.figure(id="quantization-maps", paper="quantization", title="Maps to a grid, and how they harden")
def figure(scale: str, seed: int) -> optlab.Figure:
    psi = PiecewiseAffine(POINTS, nearest_point_slopes(POINTS))
    v = np.linspace(-3.0, 3.0, 1201)
    k = np.arange(101)
    proximal = {gamma: psi.proximal(gamma * v, gamma) for gamma in GAMMAS}
    hardening = {s: soft_round(v, psi.grid, s) for s in SLOPES}
    schedules = {steep: np.array([Annealing(100, steepness=steep)(i) for i in k]) for steep in STEEPNESS}

    def draw(axes):
        left, middle, right = axes
        for ax, curves, name in ((left, proximal, "γ"), (middle, hardening, "s")):
            for i, (value, w) in enumerate(curves.items()):
                ax.plot(v, w, label=f"{name} = {value:g}", **style(i, markers=False))
            theory_line(ax, v, v, label="identity")
            ax.set(xlabel="latent weight", yticks=psi.grid, ylim=(-2.6, 2.6))
            ax.legend(loc="upper left", fontsize=7.5)
        left.set(title="proximal map of γψ at γv", ylabel="weight")
        middle.set_title("PARQ's map $P_s$")
        for i, (steep, s) in enumerate(schedules.items()):
            right.plot(k, s, label=f"steepness {steep:g}", **style(i, markers=False))
        right.set(title="annealing of s", xlabel="share of the annealing (%)", ylabel="inverse slope s")
        right.legend(loc="upper right", fontsize=7.5)

    fine = np.linspace(-3.0, 3.0, 120_001)
    differ = [float(np.mean(np.abs(psi.proximal(g * fine, g) - psi.rounded(fine)) > 1e-12)) * 6.0 for g in GAMMAS]
    share = float(np.mean(np.isin(proximal[GAMMAS[-1]], psi.grid)))
    claims = [
        (
            "The set that is not yet rounded shrinks like 1/γ (measure times γ over 6, at γ = 40)",
            abs(differ[-1] * GAMMAS[-1] / 6.0 - 1.0) < 0.05,
            differ[-1] * GAMMAS[-1] / 6.0,
        ),
        (
            "Levels are fixed points of P_s at every s",
            all(np.array_equal(soft_round(psi.grid, psi.grid, s), psi.grid) for s in SLOPES),
            None,
        ),
        ("At γ = 40 nine weights in ten are on the grid to the last bit (share)", share > 0.9, share),
    ]
    tables = {
        "maps": {
            "latent": v,
            **{f"proximal_{g:g}": w for g, w in proximal.items()},
            **{f"parq_{s:g}": w for s, w in hardening.items()},
        },
        "annealing": {"percent": k, **{f"steepness_{g:g}": s for g, s in schedules.items()}},
    }
    return optlab.Figure(tables, draw, claims, panels=(1, 3), figsize=(10.2, 3.3))
