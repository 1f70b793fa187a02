"""The mountain car: random Fourier features against the table, and the learned policy at work.

Every method is given exact action values and the same constant step size; what differs is how the mirror step is
fitted by 61 features per action.
"""

from __future__ import annotations

import numpy as np

import optlab
from optlab.plotting import style
from optlab.policy import RandomFourier, mountain_car
from optlab.reproduce import Runs, at_scale

from ._common import PAPER
from ._control import (
    DRIVERS,
    LOOKAHEAD,
    REVERSE,
    control_claims,
    control_numbers,
    control_runs,
    draw_control,
    theory_level,
)


def encode(states: np.ndarray) -> np.ndarray:
    """Return position and speed scaled to [-1, 1]: what the features are functions of."""
    position, speed = np.asarray(states).T
    return np.stack([(position + 0.3) / 0.9, speed / 0.07], axis=1)


def move(states: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Return the states one step later; a car at the top stays there."""
    position, speed = states.T
    after = np.clip(speed + 0.001 * (actions - 1) - 0.0025 * np.cos(3.0 * position), -0.07, 0.07)
    moved = np.clip(position + after, -1.2, 0.6)
    after = np.where((moved <= -1.2) & (after < 0.0), 0.0, after)
    arrived = position >= 0.5
    return np.stack([np.where(arrived, position, moved), np.where(arrived, speed, after)], axis=1)


def cost(states: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Return 1 until the car is at the top."""
    return np.where(states[:, 0] >= 0.5, 0.0, 1.0)


def arrivals(states: np.ndarray) -> np.ndarray:
    """Return for every start the steps until the car is at the top; infinity if it never is."""
    top = states[..., 0] >= 0.5
    return np.where(top.any(axis=0), top.argmax(axis=0), np.inf)


@optlab.figure(
    id="dapo-mountain-car",
    paper=PAPER,
    title="Mountain car: DAPO with random Fourier features drives up",
    panels=(2, 3),
    figsize=(13.2, 6.6),
)
def figure(scale: str, seed: int) -> Runs:
    grid, n, n_features = at_scale(scale, ((21, 15), 6, 20), ((41, 31), 30, 60), ((101, 81), 60, 60))
    steps, several = at_scale(scale, (100, 5), (400, 41))
    mdp = mountain_car(*grid)
    features = RandomFourier(encode(mdp.coordinates), 3, n_features, lengthscale=0.6, seed=seed)
    # from the bottom of the valley and from the starts that are usual for this task
    starts = np.stack([np.append(-np.pi / 6, np.linspace(-0.6, -0.4, several)), np.zeros(several + 1)], axis=1)
    runs = control_runs(
        mdp, features, n, encode=encode, move=move, cost=cost, starts=starts,
        clock={"step": np.arange(steps + 1)}, coordinate="position",
        enough=scale != "smoke", n_features=n_features,
    )  # fmt: skip
    runs.arrived = {name: arrivals(states) for name, states in runs.drives.items()}
    return runs


@figure.draw
def draw(panels, runs):
    steps = len(runs.times) - 1
    path = runs.paths[REVERSE][: int(min(runs.arrived[REVERSE][0], steps)) + 1]
    ax, maps = draw_control(panels, runs, (*path.T,), 1e-4, ["left", "none", "right"], "push")
    ends = [times[0] for times in runs.arrived.values() if np.isfinite(times[0])]
    shown = int(min(steps, 1.3 * max(ends, default=steps)))
    for name, i in DRIVERS.items():
        stop = int(min(runs.arrived[name][0], shown)) + 1
        ax.plot(runs.paths[name][:stop, 0], label=name, **style(i) | {"markevery": 0.1})
    theory_level(ax, 0.5)
    place = {"xycoords": ("axes fraction", "data"), "xytext": (0, 2), "textcoords": "offset points"}
    ax.annotate("top", (0.01, 0.5), fontsize=7.5, **place)
    ax.set(xlabel="step", ylabel="position", title="The continuous car, from the bottom", ylim=(-1.25, 1.2))
    ax.set_xlim(0, shown)
    ax.legend(loc="upper left", ncols=2)
    for ax in maps:
        ax.set(xlabel="position", ylabel="speed", xlim=(-1.2, 0.6), ylim=(-0.07, 0.07))


@figure.claims
def claims(runs):
    yield from control_claims(runs)
    times = runs.arrived[REVERSE]
    yield (
        "It drives the continuous car to the top from every start in [-0.6, -0.4] (most steps).",
        bool(np.isfinite(times).all()) if runs.enough else None,
        float(times.max()),
    )
    mean = [float(np.mean(runs.arrived[name][1:])) for name in (REVERSE, LOOKAHEAD)]
    yield (
        "It takes at most a fifth more steps there than the table's lookahead (mean steps of both).",
        mean[0] <= 1.2 * mean[1] if runs.enough else None,
        mean,
    )


figure.numbers(control_numbers)


@figure.caption
def caption(runs):
    return (
        f"The car on a grid of {runs.mdp.grid[0]} x {runs.mdp.grid[1]} states, discount {runs.mdp.discount}; constant "
        f"step size 20, exact action values, {runs.n_features} random Fourier features and a constant per action. The "
        "paths are of the continuous car, driven by the most probable push at its exact state, from rest at the bottom "
        "of the valley (diamond) to the top; the table drives by one step of lookahead with its optimal values "
        "interpolated."
    )
