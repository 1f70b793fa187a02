"""The swing-up of a pendulum: random Fourier features against the table, and the learned policy at work.

Every method is given exact action values and the same constant step size; what differs is how the mirror step is
fitted by 41 features per action.
"""

from __future__ import annotations

import numpy as np

import optlab
from optlab.plotting import style
from optlab.policy import RandomFourier, pendulum
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

TORQUES = np.linspace(-2.0, 2.0, 5)


def encode(states: np.ndarray) -> np.ndarray:
    """Return cosine and sine of the angle, and the speed over 8: what the features are functions of."""
    angle, speed = np.asarray(states).T
    return np.stack([np.cos(angle), np.sin(angle), speed / 8.0], axis=1)


def move(states: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Return the states 0.1 s later; angles are not wrapped, so that turns can be counted."""
    angle, speed = states.T
    speed = np.clip(speed + 0.1 * (15.0 * np.sin(angle) + 3.0 * TORQUES[actions]), -8.0, 8.0)
    return np.stack([angle + 0.1 * speed, speed], axis=1)


def cost(states: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Return the cost of a step in [0, 1]."""
    angle, speed = wrap(states[:, 0]), states[:, 1]
    return (angle**2 + 0.1 * speed**2 + 0.001 * TORQUES[actions] ** 2) / (np.pi**2 + 6.4 + 0.004)


def wrap(angle: np.ndarray) -> np.ndarray:
    """Return an angle in [-pi, pi)."""
    return np.mod(angle + np.pi, 2 * np.pi) - np.pi


@optlab.figure(
    id="dapo-pendulum",
    paper=PAPER,
    title="Pendulum: DAPO with random Fourier features swings it up",
    panels=(2, 3),
    figsize=(13.2, 6.6),
)
def figure(scale: str, seed: int) -> Runs:
    size, n, n_features = at_scale(scale, (15, 6, 20), (31, 30, 40), (61, 60, 40))
    steps, several = at_scale(scale, (80, 3), (200, 21))
    mdp = pendulum(size, size)
    features = RandomFourier(encode(mdp.coordinates), 5, n_features, lengthscale=1.0, seed=seed)
    # from hanging at rest and from a grid of starts
    grid = np.meshgrid(np.linspace(-3.0, 3.0, several), np.linspace(-6.0, 6.0, several))
    starts = np.vstack([[np.pi, 0.0], np.stack([x.ravel() for x in grid], axis=1)])
    runs = control_runs(
        mdp, features, n, encode=encode, move=move, cost=cost, starts=starts,
        clock={"time": 0.1 * np.arange(steps + 1)}, coordinate="angle", period=2 * np.pi,
        enough=scale != "smoke", n_features=n_features,
    )  # fmt: skip
    runs.late = {name: np.max(np.abs(wrap(states[-50:, :, 0])), axis=0) for name, states in runs.drives.items()}
    return runs


@figure.draw
def draw(panels, runs):
    path = runs.paths[REVERSE]
    angle = wrap(path[:, 0])
    breaks = np.flatnonzero(np.abs(np.diff(angle)) > np.pi) + 1
    line = np.insert(angle, breaks, np.nan), np.insert(path[:, 1], breaks, np.nan)
    torques = [f"{t:+.0f}".replace("-", "−").replace("+0", "0") for t in TORQUES]
    ax, maps = draw_control(panels, runs, line, 1e-5, torques, "torque")
    shown = slice(None, 101)
    for name, i in DRIVERS.items():
        ax.plot(runs.times[shown], runs.paths[name][shown, 0], label=name, **style(i) | {"markevery": (i, 10)})
    for turn in (0.0, 2 * np.pi):
        theory_level(ax, turn)
    ax.set(xlabel="time in s", title="The continuous pendulum, from hanging", xlim=(0, runs.times[shown][-1]))
    ax.set(ylim=(-1.2 * np.pi, 4.4 * np.pi), ylabel="angle (upright: dashed)")
    ax.set_yticks(np.pi * np.arange(-1, 5), ["−π", "0", "π", "2π", "3π", "4π"])
    ax.legend(loc="upper right")
    for ax in maps:
        ax.set(xlabel="angle (0 is upright)", xlim=(-np.pi, np.pi), ylim=(-8, 8), ylabel="speed")
        ax.set_xticks(np.pi * np.arange(-1, 2), ["−π", "0", "π"])


@figure.claims
def claims(runs):
    yield from control_claims(runs)
    last = float(runs.late[REVERSE][0])
    yield (
        "It swings the continuous pendulum up from hanging and holds it for 5 s (largest angle then, in rad).",
        last < 0.3 if runs.enough else None,
        last,
    )
    held = [float(np.mean(runs.late[name][1:] < 0.3)) for name in (REVERSE, LOOKAHEAD)]
    yield (
        "It does so from at least 95 % of a grid of starts; share, and share of the table's lookahead.",
        held[0] >= 0.95 if runs.enough else None,
        held,
    )


figure.numbers(control_numbers)


@figure.caption
def caption(runs):
    return (
        f"Swing-up on a grid of {runs.mdp.grid[0]} x {runs.mdp.grid[1]} states, 5 torques, discount "
        f"{runs.mdp.discount}; constant step size 20, exact action values, {runs.n_features} random Fourier features "
        "and a constant per action. The path and the angles are of the continuous pendulum, driven by the most "
        "probable torque at its exact state from hanging at rest (diamond); the table drives by one step of lookahead "
        "with its optimal values interpolated. An angle that leaves the axes spins on."
    )
