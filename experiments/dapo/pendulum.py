"""The swing-up of a pendulum: random Fourier features against the table, and the learned policy at work.

Every method is given exact action values and the same constant step size; what differs is how the mirror step is
fitted by 41 features per action.
"""

from __future__ import annotations

import numpy as np

import optlab
from optlab.plotting import style
from optlab.policy import RandomFourier, pendulum
from optlab.reproduce import at_scale

from ._common import PAPER
from ._control import (
    FORWARD,
    L2,
    NPG,
    REVERSE,
    TABLE,
    Interpolated,
    columns,
    contest,
    draw_actions,
    draw_gaps,
    draw_map,
    drive,
    evaluations_needed,
    learned,
    lookahead,
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


@optlab.figure(id="dapo-pendulum", paper=PAPER, title="Pendulum: DAPO with random Fourier features swings it up")
def figure(scale: str, seed: int) -> optlab.Figure:
    size, n, n_features = at_scale(scale, (15, 6, 20), (31, 30, 40), (61, 60, 40))
    mdp = pendulum(size, size)
    features = RandomFourier(encode(mdp.coordinates), 5, n_features, lengthscale=1.0, seed=seed)
    results = contest(mdp, features, n)
    gaps = {name: float(result.metrics["gap"]) for name, result in results.items()}
    policy, best = results[REVERSE].solution, mdp.optimal
    values = mdp.evaluate(policy.probabilities()).values.reshape(mdp.grid)
    optimal = best.values.reshape(mdp.grid)
    axes = (np.unique(mdp.coordinates[:, 0]), np.unique(mdp.coordinates[:, 1]))

    # the continuous problem, from hanging at rest and from a grid of starts
    steps, several = at_scale(scale, (80, 3), (200, 21))
    table = lookahead(move, cost, Interpolated(axes, optimal, 2 * np.pi), mdp.discount, 5)
    drivers = {
        REVERSE: learned(policy, encode),
        "table, lookahead": table,
        "DAPO-L2 (full)": learned(results[L2].solution, encode),
    }
    grid = np.meshgrid(np.linspace(-3.0, 3.0, several), np.linspace(-6.0, 6.0, several))
    starts = np.vstack([[np.pi, 0.0], np.stack([x.ravel() for x in grid], axis=1)])
    drives = {name: drive(act, move, starts, steps) for name, act in drivers.items()}
    paths = {name: states[:, 0] for name, states in drives.items()}
    late = {name: np.max(np.abs(wrap(states[-50:, :, 0])), axis=0) for name, states in drives.items()}
    held = {name: float(np.mean(angles[1:] < 0.3)) for name, angles in late.items()}

    def draw(panels):
        (gap_ax, value_ax, loss_ax), (angle_ax, learned_ax, optimal_ax) = panels
        draw_gaps(gap_ax, results)
        picture = draw_map(value_ax, axes, values, "Value of the learned policy, and its path")
        value_ax.figure.colorbar(picture, ax=value_ax, label="discounted cost").outline.set_visible(False)
        path = paths[REVERSE]
        angle = wrap(path[:, 0])
        breaks = np.flatnonzero(np.abs(np.diff(angle)) > np.pi) + 1
        line = np.insert(angle, breaks, np.nan), np.insert(path[:, 1], breaks, np.nan)
        value_ax.plot(*line, color="white", linewidth=3.0)
        value_ax.plot(*line, color="#d6604d", linewidth=1.5, marker="o", markersize=2.2)
        value_ax.plot(angle[:1], path[:1, 1], marker="D", color="#222222", markeredgecolor="white", clip_on=False)
        lost = np.maximum(values - optimal, 1e-5)
        picture = draw_map(loss_ax, axes, np.log10(lost), "Excess over the optimal value")
        bar = loss_ax.figure.colorbar(picture, ax=loss_ax, label=r"$\log_{10}(V^\pi - V^*)$")
        bar.outline.set_visible(False)
        time, shown = 0.1 * np.arange(steps + 1), slice(None, 101)
        for name, i in (("DAPO-L2 (full)", 6), ("table, lookahead", 7), (REVERSE, 0)):
            angle_ax.plot(time[shown], paths[name][shown, 0], label=name, **style(i) | {"markevery": (i, 10)})
        for turn in (0.0, 2 * np.pi):
            angle_ax.axhline(turn, color="#555b66", linewidth=1.0, linestyle=(0, (4, 2)), zorder=1)
        angle_ax.set(xlabel="time in s", title="The continuous pendulum, from hanging", xlim=(0, time[shown][-1]))
        angle_ax.set(ylim=(-1.2 * np.pi, 4.4 * np.pi), ylabel="angle (upright: dashed)")
        angle_ax.set_yticks(np.pi * np.arange(-1, 5), ["−π", "0", "π", "2π", "3π", "4π"])
        angle_ax.legend(loc="upper right")
        names = [f"{t:+.0f}".replace("-", "−").replace("+0", "0") for t in TORQUES]
        draw_actions(learned_ax, axes, policy.greedy().reshape(mdp.grid), names, "Learned policy, greedy", "torque")
        draw_actions(optimal_ax, axes, best.policy.reshape(mdp.grid), names, "Optimal policy", "torque")
        for ax in (value_ax, loss_ax, learned_ax, optimal_ax):
            ax.set(xlabel="angle (0 is upright)", xlim=(-np.pi, np.pi), ylim=(-8, 8))
            ax.set_xticks(np.pi * np.arange(-1, 2), ["−π", "0", "π"])
            ax.set_ylabel("speed")

    enough = scale != "smoke"
    first = float(results[TABLE].history["gap"][0])
    table_gap = results[TABLE].history["gap"]
    rise = float(np.max(np.diff(table_gap)))
    claims = [
        ("Mirror descent with a table never gets worse (largest increase of its gap).", rise <= 1e-9, rise),
        (
            "DAPO-KL in the reverse order ends closer to the optimum than the natural policy gradient: final gaps.",
            gaps[REVERSE] < gaps[NPG] if enough else None,
            [gaps[REVERSE], gaps[NPG]],
        ),
        (
            "It ends closer than the forward order (final gap of that one).",
            gaps[REVERSE] < gaps[FORWARD] if enough else None,
            gaps[FORWARD],
        ),
        (
            "Fitting the dual by least squares leaves at least ten times its gap: DAPO-L2, full domain (final gap).",
            gaps[L2] >= 10 * gaps[REVERSE] if enough else None,
            gaps[L2],
        ),
        (
            "It gets within 1 % of the first gap: policy evaluations needed, and those of the table.",
            gaps[REVERSE] <= 0.01 * first if enough else None,
            [evaluations_needed(results[name], 0.01) for name in (REVERSE, TABLE)],
        ),
        (
            "It swings the continuous pendulum up from hanging and holds it for 5 s (largest angle then, in rad).",
            bool(late[REVERSE][0] < 0.3) if enough else None,
            float(late[REVERSE][0]),
        ),
        (
            "It does so from at least 95 % of a grid of starts; share, and share of the table's lookahead.",
            held[REVERSE] >= 0.95 if enough else None,
            [held[REVERSE], held["table, lookahead"]],
        ),
    ]
    rivals = [gaps["Q-NPG"], gaps["DAPO-L2 (simplex)"]]
    numbers = [("Final gaps of Q-NPG (uniform actions) and of the sparsemax loss.", rivals)]
    caption = (
        f"Swing-up on a grid of {size} x {size} states, 5 torques, discount {mdp.discount}; constant step size 20, "
        f"exact action values, {n_features} random Fourier features and a constant per action. The path and the "
        "angles are of the continuous pendulum, driven by the most probable torque at its exact state from hanging at "
        "rest (diamond); the table drives by one step of lookahead with its optimal values interpolated. An "
        "angle that leaves the axes spins on."
    )
    trajectories = {
        "time": np.tile(0.1 * np.arange(steps + 1), len(paths)),
        "policy": np.repeat(list(paths), steps + 1),
        "angle": np.concatenate([p[:, 0] for p in paths.values()]),
        "speed": np.concatenate([p[:, 1] for p in paths.values()]),
    }
    data = {
        "gaps": columns(results),
        "trajectories": trajectories,
        "value": values,
        "optimal_value": optimal,
        "greedy": policy.greedy().reshape(mdp.grid),
    }
    return optlab.Figure(data, draw, claims, caption, panels=(2, 3), figsize=(13.2, 6.6), numbers=numbers)
