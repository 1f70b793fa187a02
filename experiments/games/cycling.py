"""Rock, paper, scissors: simultaneous steps spiral out; a look ahead, an anchor or regret matching come in."""

from __future__ import annotations

from itertools import islice

import numpy as np

import optlab
from optlab.datasets import rock_paper_scissors
from optlab.games import Extragradient, GradientDescentAscent, MatrixGame, OptimisticGradient, RegretMatchingPlus
from optlab.plotting import label_lines, log_axes, style
from optlab.reproduce import at_scale

STEP = 0.1
START = np.array([0.5, 0.3, 0.2, 0.2, 0.5, 0.3])
METHODS = {
    "multiplicative weights": GradientDescentAscent(STEP),
    "mirror prox": Extragradient(STEP),
    "optimistic": OptimisticGradient(STEP),
    "predictive RM+, mean": RegretMatchingPlus(),
}


def paths(game: MatrixGame, method, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the strategies of both players, and the exploitability along the run."""
    states = islice(optlab.iterate(game, method, x0=START), n + 1)
    points = [method.iterate(game, state) for state in states]
    return np.array([np.asarray(p) for p in points]), np.array([game.measure(p)["gap"] for p in points])


@optlab.figure(id="games-cycling", paper="games", title="Rock, paper, scissors: cycling, and its cure")
def figure(scale: str, seed: int) -> optlab.Figure:
    n = at_scale(scale, 600, 3000)
    game = MatrixGame(rock_paper_scissors(), geometry="entropy")
    runs = {name: paths(game, method, n) for name, method in METHODS.items()}
    uniform = np.full(3, 1 / 3)
    divergence = -np.sum(np.log(3.0 * runs["multiplicative weights"][0]), axis=1) / 3  # to it, of both players
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])

    def draw(axes):
        left, right = axes
        left.fill(*corners.T, facecolor="none", edgecolor="0.6", linewidth=1.0)
        for i, (name, (x, gap)) in enumerate(runs.items()):
            look = style(i, markers=False)
            if name == "optimistic":  # it runs over mirror prox
                look |= {"linestyle": (0, (2, 2))}
            if i < 3:
                left.plot(*(x[:, :3] @ corners).T, linewidth=1.0, color=look["color"], linestyle=look["linestyle"])
            right.plot(np.arange(n + 1) + 1, np.maximum(gap, 1e-8), label=name, **look)
        left.plot(*(uniform @ corners), "k+", markersize=8)
        for corner, word, place in zip(corners, ("rock", "paper", "scissors"), ("right", "left", "center")):
            left.text(corner[0], corner[1] + (0.03 if place == "center" else -0.06), word, ha=place, fontsize=8)
        left.set(aspect="equal", xticks=[], yticks=[], title="Row player's strategy", xlim=(-0.15, 1.15))
        left.grid(False)
        for side in left.spines.values():
            side.set_visible(False)
        right.set(xlabel="iteration + 1", ylabel="exploitability")
        log_axes(right, "xy")
        label_lines(right)

    ends = {name: float(gap[-1]) for name, (_, gap) in runs.items()}
    rising = float(np.min(np.diff(divergence)))
    claims = [
        (
            "Multiplicative weights move away from the equilibrium in every step (smallest rise of KL)",
            rising > 0,
            rising,
        ),
        (
            "Mirror prox and the optimistic method end at a hundredth of its exploitability (ratio of the larger)",
            max(ends["mirror prox"], ends["optimistic"]) < 0.01 * ends["multiplicative weights"]
            if scale != "smoke"
            else None,
            max(ends["mirror prox"], ends["optimistic"]) / ends["multiplicative weights"],
        ),
    ]
    table = {"iteration": np.arange(n + 1), **{name.replace(" ", "_"): gap for name, (_, gap) in runs.items()}}
    return optlab.Figure(table, draw, claims, panels=(1, 2), figsize=(8.4, 3.6))
