"""How weights come to lie on their levels: logistic regression, eight weights, over the iterations of three methods."""

from __future__ import annotations

from itertools import islice

import numpy as np

import optlab
from optlab.datasets import breast_cancer
from optlab.plotting import style
from optlab.quantization import PARQ, AggregateProx, Annealing, PiecewiseAffine, ProximalSteps
from optlab.reproduce import at_scale
from optlab.stochastic import SGD, Decaying, LogisticRegression

from ._common import PAPER

PSI = PiecewiseAffine([0.0, 0.5, 1.0, 1.5, 2.0], [0.001, 0.003, 0.005, 0.007])
SHOWN = 8


def trajectories(method, problem, places, seed: int) -> np.ndarray:
    """Return the weights at some iterations, one row each."""
    wanted, found = set(places.tolist()), []
    for k, state in enumerate(islice(optlab.iterate(problem, method, seed=seed), int(places[-1]) + 1)):
        if k in wanted:
            found.append(np.array(method.method.variable(state.inner)))
    return np.array(found)


@optlab.figure(id="quantization-clusters", paper=PAPER, title="Weights come to lie on levels")
def figure(scale: str, seed: int) -> optlab.Figure:
    A, y = breast_cancer()
    problem = LogisticRegression(A / np.linalg.norm(A, axis=1).max(), y)
    n = at_scale(scale, 3000, 30_000)
    places = np.unique(np.geomspace(1, n, 160).astype(int))
    base = SGD(Decaying(20.0))
    methods = {
        "proximal SGD": ProximalSteps(base, PSI),
        "AProx": AggregateProx(base, PSI),
        "PARQ": PARQ(base, grid=PSI.grid, annealing=Annealing(int(0.7 * n), steepness=20.0)),
    }
    runs = {name: trajectories(method, problem, places, seed) for name, method in methods.items()}

    def draw(axes):
        for ax, (name, w) in zip(axes, runs.items()):
            for level in PSI.grid:
                ax.axhline(level, color="0.85", linewidth=0.8, zorder=0)
            for i in range(SHOWN):
                ax.plot(places, w[:, 3 * i], **(style(i, markers=False) | {"linewidth": 1.0}))
            ax.set(title=name, xlabel="iteration", xscale="log", ylim=(-2.4, 2.4))
            ax.grid(False)
        axes[0].set_ylabel("weight")

    on = {name: float(np.mean(PSI.on_grid(runs[name][-1]))) for name in ("proximal SGD", "AProx")}
    on_levels = bool(np.all(np.isin(runs["PARQ"][-1], PSI.grid)))
    late = places >= n / 2
    moves = {name: float(np.mean(np.any(np.diff(w[late], axis=0) != 0, axis=0))) for name, w in runs.items()}
    enough = scale != "smoke"
    claims = [
        ("The last AProx iterate has nine weights in ten on levels (share)", on["AProx"] >= 0.9 if enough else None,
         on["AProx"]),
        ("Of proximal SGD's with the same steps fewer than three in ten (share)",
         on["proximal SGD"] < 0.3 if enough else None, on["proximal SGD"]),
        ("All weights of PARQ end on levels", on_levels, None),
        ("In the second half fewer AProx weights move at all than proximal SGD's (share of AProx's)",
         moves["AProx"] < 0.7 * moves["proximal SGD"] if enough else None, moves["AProx"]),
    ]  # fmt: skip
    tables = {name: {"iteration": places, **{f"w{j}": w[:, j] for j in range(w.shape[1])}} for name, w in runs.items()}
    caption = (
        f"Breast cancer, logistic loss, one sample a step, steps 20/sqrt(t), {SHOWN} of 30 weights; levels in grey. "
        "Proximal SGD and AProx have the same regulariser."
    )
    return optlab.Figure(tables, draw, claims, caption, panels=(1, 3), figsize=(10.2, 3.3))
