"""E3: the relaxation of Bregman Douglas-Rachford on optimal transport, up to Peaceman-Rachford at 2.

From the plan of ones the inverse temperature after k iterations is relaxation * step_size * k, so that early on the
runs differ by how fast they cool and by nothing else. The local rate is best at 1, and at 2 there is none: singular
values below 1 give eigenvalues of modulus ``sqrt(1 - relaxation (2 - relaxation) (1 - s^2))`` (derived here).
"""

from __future__ import annotations

import numpy as np

import optlab
from optlab.datasets import transport_family
from optlab.plotting import label_lines, log_axes, style
from optlab.reproduce import at_scale
from optlab.splitting import BregmanDouglasRachford
from optlab.transport import OptimalTransport

from ._common import PAPER, certified_gap

RELAXATIONS = (0.7, 1.0, 1.3, 1.7, 1.95, 2.0)
STEP_SIZE = 10.0
FAMILY = "grid1d"


def spread(curves, scaled: bool, points) -> float:
    """Return the median over `points` of max/min of the gap over relaxations up to 1.7, at equal k or cooling."""
    values = [
        np.interp(np.log(points), np.log((lam if scaled else 1.0) * k[1:]), np.log(gap[1:]))
        for lam, (k, gap, _) in curves.items()
        if lam <= 1.7
    ]
    return float(np.exp(np.median(np.ptp(values, axis=0))))


# what is said to fail shows nothing in a budget in which relaxation 1 fails as well
SHORT = "not tested: nor does relaxation 1 in this budget"


@optlab.figure(
    id="bdrs-relaxation", paper=PAPER, title="Relaxation: faster cooling at first, no local convergence at 2"
)
def figure(scale: str, seed: int) -> optlab.Figure:
    n, n_iter = at_scale(scale, (40, 600), (100, 3000), (100, 20_000))
    problem = OptimalTransport(*transport_family(FAMILY, n, seed=seed))
    curves = {}
    for lam in RELAXATIONS:
        history = optlab.solve(problem, BregmanDouglasRachford(STEP_SIZE, lam), max_iter=n_iter).history
        curves[lam] = np.asarray(history["iteration"]), certified_gap(history), np.asarray(history["marginal_error"])
    rows = {
        "relaxation": np.concatenate([np.full(len(c[0]), lam) for lam, c in curves.items()]),
        "iteration": np.concatenate([c[0] for c in curves.values()]),
        "certified_gap": np.concatenate([c[1] for c in curves.values()]),
        "marginal_error": np.concatenate([c[2] for c in curves.values()]),
    }

    def draw(axes):
        for i, (lam, (k, gap, _)) in enumerate(curves.items()):
            for ax, factor in zip(axes, (1.0, lam)):
                ax.plot(factor * k[1:], gap[1:], label=rf"$\lambda={lam:g}$", **(style(i) | {"markevery": (i, 9)}))
        axes[0].set(xlabel="iteration k", ylabel="certified relative gap", title="Per iteration", xlim=(1, n_iter))
        axes[1].set(
            xlabel=r"$\lambda k$ (inverse temperature over $\gamma$)", title="At equal cooling", xlim=(1, n_iter)
        )
        for ax in axes:
            log_axes(ax, "xy")
        label_lines(axes[0])
        label_lines(axes[1])

    points = np.arange(5, 31)
    at_equal_k, at_equal_cooling = spread(curves, False, points), spread(curves, True, points)
    last = {lam: float(gap[-1]) for lam, (_, gap, _) in curves.items()}
    flat = {lam: last[lam] / float(np.interp(30, *curves[lam][:2])) for lam in (1.0, 2.0)}
    error = {lam: float(np.median(e[k >= 0.5 * n_iter])) for lam, (k, _, e) in curves.items()}
    claims = [
        (
            "Early (5 to 30 iterations) the curves up to 1.7 collapse at equal relaxation * k: within a factor of "
            "2, and closer "
            "than at equal k (both factors).",
            at_equal_cooling < min(2.0, at_equal_k),
            [at_equal_cooling, at_equal_k],
        ),
        (
            "Close to 2 it degrades: the gap at 1.95 ends at least 3 times above that at 1 (ratio).",
            last[1.95] > 3 * last[1.0],
            last[1.95] / last[1.0],
        ),
        (
            "Peaceman–Rachford (2) does not converge: its marginal error stays above 1e-2 (median of the last half).",
            error[2.0] > 1e-2 if error[1.0] < 1e-2 else None,
            error[2.0],
            SHORT,
        ),
        (
            "The gap of Peaceman–Rachford is flat: it ends above half of its value at k = 30 (ratio).",
            flat[2.0] > 0.5 if flat[1.0] < 0.5 else None,
            flat[2.0],
            SHORT,
        ),
    ]
    caption = (
        f"Certified relative gap on optimal transport between two densities on a grid of the line ({n} x {n}, squared "
        f"distance, step size {STEP_SIZE:g} over the largest cost) for six relaxations; left against the iteration, "
        f"right "
        "against relaxation times iteration, that is, at equal inverse temperature."
    )
    return optlab.Figure(rows, draw, claims, caption, panels=(1, 2), figsize=(9.6, 3.5))
