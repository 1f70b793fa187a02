"""E9: Douglas-Rachford and Peaceman-Rachford on nine problems, over the step size.

Peaceman-Rachford is the faster one where an operator is strongly monotone, and fails where both are normal cones:
linear programs, games, entropic transport (where a zero singular value gives the eigenvalue -1).
"""

from __future__ import annotations

import numpy as np

import optlab
from optlab.datasets import rock_paper_scissors, transport_family
from optlab.plotting import INK
from optlab.reproduce import at_scale, table
from optlab.splitting import BregmanDouglasRachford, BregmanPeacemanRachford
from optlab.splitting.problems import (
    BoxQuadraticWithEquality,
    CappedSimplexProgram,
    ItakuraSaitoOnSimplex,
    KullbackLeiblerOnCappedSimplex,
    MatrixGame,
    PoissonOnSimplex,
    SimplexProjection,
)
from optlab.transport import OptimalTransport, UnbalancedOptimalTransport

from ._common import PAPER

STEP_SIZES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


def problems(seed: int, n: int) -> dict[str, tuple[object, str, float]]:
    """Return name -> (problem, metric, level) for the nine problems."""
    rng = np.random.default_rng(seed)
    q, cost = rng.random(n) + 0.1, rng.random(n)
    a, b, C = transport_family("rand", n, seed=seed)
    return {
        "Poisson + cost, simplex": (PoissonOnSimplex(q, cost=cost), "distance", 1e-8),
        "projection, simplex": (SimplexProjection(rng.standard_normal(n) / n), "distance", 1e-8),
        "linear program, capped simplex": (CappedSimplexProgram(cost, upper=3.0 / n), "distance", 1e-8),
        "quadratic, box and plane": (
            BoxQuadraticWithEquality(rng.standard_normal(n), rng.random(n) + 0.2, 0.3 * n),
            "distance",
            1e-8,
        ),
        "entropic transport": (OptimalTransport(a, b, C, regularization=0.02, cost_split=1.0), "marginal_error", 1e-8),
        "unbalanced transport": (UnbalancedOptimalTransport(a, 1.3 * b, C, penalty=0.5), "gap", 1e-6),
        "game, perturbed rock–paper–scissors": (MatrixGame(rock_paper_scissors(0.3, seed=seed)), "gap", 1e-9),
        "KL + cost, capped simplex": (
            KullbackLeiblerOnCappedSimplex(q / q.sum(), upper=2.5 / n, cost=cost),
            "distance",
            1e-8,
        ),
        "Itakura–Saito, simplex (Burg)": (ItakuraSaitoOnSimplex(q), "distance", 1e-8),
    }


def iterations(problem, metric: str, level: float, method, budget: int) -> tuple[float, str]:
    """Return the iterations needed and "reached", "budget" or "left the domain"."""
    result = optlab.solve(problem, method, max_iter=budget, tol={metric: level})
    if result.success:
        return float(result.n_iter), "reached"
    return float("nan"), "left the domain" if result.status is optlab.Status.DIVERGED else "budget"


@optlab.figure(
    id="bdrs-beyond-ot", paper=PAPER, title="Beyond transport: Douglas–Rachford and Peaceman–Rachford over step sizes"
)
def figure(scale: str, seed: int) -> optlab.Figure:
    n, budget = at_scale(scale, (10, 60), (50, 1000), (50, 20_000))
    steps = STEP_SIZES[:: at_scale(scale, 2, 1, 1)]
    cases = problems(seed, n)
    methods = {"Douglas–Rachford": BregmanDouglasRachford, "Peaceman–Rachford": BregmanPeacemanRachford}
    rows = []
    for name, (problem, metric, level) in cases.items():
        for label, method in methods.items():
            for step in steps:
                needed, outcome = iterations(problem, metric, level, method(step), budget)
                rows.append(
                    {"problem": name, "method": label, "step_size": step, "iterations": needed, "outcome": outcome}
                )
    data = table(rows)
    shape = (len(cases), len(methods), len(steps))
    counts, outcomes = data["iterations"].reshape(shape), data["outcome"].reshape(shape)

    def draw(axes):
        from matplotlib import colormaps
        from matplotlib.colors import LogNorm

        norm, colors = LogNorm(1, budget), colormaps["cividis_r"].with_extremes(bad="#f1f1f1")
        for j, (ax, label) in enumerate(zip(axes, methods)):
            image = ax.imshow(counts[:, j], norm=norm, cmap=colors, aspect="auto")
            for (i, m), value in np.ndenumerate(counts[:, j]):
                text = {"budget": "–", "left the domain": "×"}.get(outcomes[i, j, m], f"{value:.0f}")
                dark = np.isfinite(value) and norm(value) > 0.55
                ax.text(m, i, text, ha="center", va="center", fontsize=7.5, color="white" if dark else INK)
            ax.set_xticks(range(len(steps)), [f"{s:g}" for s in steps])
            ax.set_yticks(range(len(cases)), list(cases) if j == 0 else [""] * len(cases))
            ax.set(title=label, xlabel=r"step size $\gamma$")
            ax.grid(False)
            ax.tick_params(length=0)
            for side in ax.spines.values():
                side.set_visible(False)
        bar = axes[0].figure.colorbar(image, ax=list(axes), shrink=0.8, pad=0.015)
        bar.set_label("iterations")
        bar.ax.minorticks_off()

    best = np.array([[np.min(np.nan_to_num(counts[i, j], nan=np.inf)) for j in range(2)] for i in range(len(cases))])
    index = {name: i for i, name in enumerate(cases)}
    smooth = ["Poisson + cost, simplex", "projection, simplex", "quadratic, box and plane", "unbalanced transport"]
    lp, entropic = index["linear program, capped simplex"], index["entropic transport"]
    burg = outcomes[index["Itakura–Saito, simplex (Burg)"]]
    game = index["game, perturbed rock–paper–scissors"]
    # of how many iterations each saves the other; nothing where one of them was not seen to converge
    gains = [float(np.divide(*best[index[s]])) if np.isfinite(best[index[s]]).all() else float("nan") for s in smooth]
    both = np.isfinite(counts[:, 0]) & np.isfinite(counts[:, 1])
    faster = float(np.mean(counts[:, 1][both] <= counts[:, 0][both])) if both.any() else float("nan")
    enough = scale != "smoke"
    claims = [
        (
            "Douglas–Rachford reaches the accuracy on every problem at some step size (fewest iterations each).",
            bool(np.isfinite(best[:, 0]).all()) if enough else None,
            ", ".join(f"{v:.0f}" if np.isfinite(v) else "not reached" for v in best[:, 0]),
        ),
        (
            "Where an operator is strongly monotone Peaceman–Rachford is faster at its best step size (ratios: "
            "Poisson, "
            "projection, box quadratic, unbalanced transport).",
            min(gains) > 1 if enough else None,
            [gain if np.isfinite(gain) else "not reached" for gain in gains],
        ),
        *(
            # a budget in which Douglas–Rachford does not converge either shows nothing
            (sentence, not np.isfinite(best[i, 1]), f"Douglas–Rachford: {best[i, 0]:.0f}")
            if np.isfinite(best[i, 0])
            else (sentence, None, "", "not tested: nor does Douglas–Rachford in this budget")
            for sentence, i in (
                (f"Peaceman–Rachford does not converge on the linear program, within {budget} iterations.", lp),
                ("Nor on entropic transport.", entropic),
                ("Nor on the matrix game.", game),
            )
        ),
        (
            "With Burg's entropy step sizes of 10 and more leave the domain, for both methods.",
            bool(np.all(burg[:, np.array(steps) >= 10.0] == "left the domain")),
            ", ".join(
                sorted(
                    {f"{s:g}" for j in range(2) for s, o in zip(steps, burg[j]) if o == "left the domain"}, key=float
                )
            ),
        ),
        (
            "Where both converge, Peaceman–Rachford needs fewer iterations more often than not (share of the cells).",
            faster > 0.5 if both.any() else None,
            faster,
        ),
    ]
    caption = (
        f"Iterations to the solution (relative distance 1e-8; marginal error 1e-8, gap 1e-6 and 1e-9 for transport, "
        f"unbalanced transport and the game) within {budget}; –: not within the budget, ×: the run left the domain "
        f"of the "
        "kernel. Iterations are read where a run is recorded, about 10 % apart."
    )
    return optlab.Figure(data, draw, claims, caption, panels=(1, 2), figsize=(9.8, 4.2))
