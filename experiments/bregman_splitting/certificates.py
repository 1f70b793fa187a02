"""E7: how fast dual bounds read off the iterates become tight.

The potentials over the inverse temperature are dual feasible after a c-transform, but biased by O(1/kappa). Their drift
over the last half of the run has no such bias; their change in one iteration neither, but is noisy. Derived here.
"""

from __future__ import annotations

import numpy as np

import optlab
from optlab.datasets import transport_family
from optlab.plotting import label_lines, log_axes, style, theory_line
from optlab.reproduce import at_scale
from optlab.splitting import BregmanDouglasRachford
from optlab.transport import NetworkSimplex, OptimalTransport
from optlab.transport.plans.certificates import dual_bound

from ._common import PAPER, log_points, slope

STEP_SIZE = 10.0
TITLES = {"rand": "uniform random costs", "gauss2d": "two Gaussian clouds", "grid1d": "densities on a line"}
CANDIDATES = {
    "free": "free, no extra pass",
    "scaled": r"potential / $\kappa$",
    "velocity": "last change",
    "half_window": "drift over half the run",
}


def bounds(problem: OptimalTransport, n_iter: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return iterations and, for each candidate, the lower bound it proves there."""
    a, b, cost = problem.active_a, problem.active_b, problem.active_cost
    wanted = set(log_points(n_iter, 16))
    rows: list[tuple[float, ...]] = []
    history, before = {}, None

    def completed(f):
        return dual_bound(cost, a, b, rows=[f]).value

    for k, state in zip(range(n_iter + 1), optlab.iterate(problem, BregmanDouglasRachford(STEP_SIZE))):
        if k >= 1:
            history[k] = (state.x.row, state.x.inverse_temperature)
        if k in wanted and k >= 4:
            # y is scaled to the columns; its potentials before that scaling are the reflected ones of x
            y = state.y
            f, g = y.row / y.inverse_temperature, (y.column - problem.log_b) / y.inverse_temperature
            row, kappa = history[k // 2]
            drift = (state.x.row - row) / (state.x.inverse_temperature - kappa)
            velocity = (state.x.row - before[0]) / (state.x.inverse_temperature - before[1])
            # f + g - C = log(y / b) / kappa <= 0, for the columns of y / b sum to 1: feasible as it is
            free = float(a @ f + b @ g)
            rows.append((k, free, completed(f), completed(velocity), completed(drift)))
        before = history.get(k)
    table = np.array(rows).T
    return table[0], dict(zip(CANDIDATES, table[1:]))


@optlab.figure(
    id="bdrs-certificates", paper=PAPER, title="Dual certificates: drift of the potentials against their value"
)
def figure(scale: str, seed: int) -> optlab.Figure:
    n, n_iter = at_scale(scale, (30, 400), (100, 5000), (100, 20_000))
    families = tuple(TITLES)
    runs = {}
    for family in families:
        problem = OptimalTransport(*transport_family(family, n, seed=seed))
        optimum = optlab.solve(problem, NetworkSimplex(), max_iter=1).solution.cost
        k, values = bounds(problem, n_iter)
        runs[family] = k, {name: (optimum - value) / optimum for name, value in values.items()}
    data = {
        family: {"iteration": k, **{f"error_{name}": error for name, error in errors.items()}}
        for family, (k, errors) in runs.items()
    }

    def draw(axes):
        for ax, family in zip(axes, families):
            k, errors = runs[family]
            for i, (name, label) in enumerate(CANDIDATES.items()):
                ax.plot(k, np.maximum(errors[name], 1e-12), label=label, **(style(i) | {"markevery": (i, 7)}))
            tail = k >= 30
            theory_line(ax, k[tail], 2.5 * errors["free"][tail][0] * k[tail][0] / k[tail])
            ax.annotate(
                "slope −1",
                (k[tail][5], 2.5 * errors["free"][tail][0] * k[tail][0] / k[tail][5]),
                xytext=(4, 4),
                textcoords="offset points",
                fontsize=8,
            )
            ax.set(title=TITLES[family], xlabel="iteration k", xlim=(k[0], n_iter))
            log_axes(ax, "xy")
        axes[0].set_ylabel("error of the lower bound (relative)")
        label_lines(axes[-1])

    slopes = {name: [] for name in CANDIDATES}
    gains, smallest, weaker = [], [], []
    for k, errors in runs.values():
        late = k >= n_iter / 30
        for name in CANDIDATES:
            slopes[name].append(slope(np.log(k[late]), np.log(np.maximum(errors[name][late], 1e-15))))
        last = k >= n_iter / 1.5
        gains.append(
            float(np.exp(np.mean(np.log(errors["scaled"][last] / np.maximum(errors["half_window"][last], 1e-15)))))
        )
        smallest.append(min(float(e.min()) for e in errors.values()))
        weaker.append(float(np.min(errors["free"] / np.maximum(errors["scaled"], 1e-15))))
    enough = scale != "smoke"
    claims = [
        ("Every candidate is a lower bound (smallest relative error per family).", min(smallest) > -1e-10, smallest),
        ("The free bound is weaker than its c-transform (smallest ratio of errors).", min(weaker) >= 1 - 1e-9, weaker),
        (
            "The error of the free bound falls with slope -1 in every family (fitted, within 0.3).",
            all(abs(v + 1) < 0.3 for v in slopes["free"]) if enough else None,
            slopes["free"],
        ),
        (
            "So does that of potential / kappa (median of the families within 0.3).",
            abs(np.median(slopes["scaled"]) + 1) < 0.3 if enough else None,
            slopes["scaled"],
        ),
        (
            "That of the half-window drift falls faster than that of potential / kappa in every family (slopes).",
            all(p < q for p, q in zip(slopes["half_window"], slopes["scaled"])) if enough else None,
            slopes["half_window"],
        ),
        (
            "At the end the drift is at least 3 times tighter (median; geometric mean over the last third of the run).",
            np.median(gains) > 3 if enough else None,
            gains,
        ),
    ]
    caption = (
        f"Relative error of four lower bounds on the cost of optimal transport ({n} x {n}, step size "
        f"{STEP_SIZE:g}), each "
        "from the iterate alone: the potentials over the inverse temperature kappa, with and without a c-transform, "
        "their last change, and their drift over the last half of the run. On the line the bound hardly improves "
        "for a long while: the "
        "iteration still moves between nearly optimal duals there. Exact optimum from the network simplex "
        "method."
    )
    return optlab.Figure(data, draw, claims, caption, panels=(1, 3), figsize=(11.5, 3.5))
