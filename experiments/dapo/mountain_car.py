"""The mountain car: random Fourier features against the table, and the learned policy at work.

Every method is given exact action values and the same constant step size; what differs is how the mirror step is
fitted by 61 features per action.
"""

from __future__ import annotations

import numpy as np

import optlab
from optlab.plotting import style
from optlab.policy import RandomFourier, mountain_car
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


@optlab.figure(id="dapo-mountain-car", paper=PAPER, title="Mountain car: DAPO with random Fourier features drives up")
def figure(scale: str, seed: int) -> optlab.Figure:
    (n_positions, n_speeds), n, n_features = at_scale(scale, ((21, 15), 6, 20), ((41, 31), 30, 60), ((101, 81), 60, 60))
    mdp = mountain_car(n_positions, n_speeds)
    features = RandomFourier(encode(mdp.coordinates), 3, n_features, lengthscale=0.6, seed=seed)
    results = contest(mdp, features, n)
    gaps = {name: float(result.metrics["gap"]) for name, result in results.items()}
    policy, best = results[REVERSE].solution, mdp.optimal
    values = mdp.evaluate(policy.probabilities()).values.reshape(mdp.grid)
    optimal = best.values.reshape(mdp.grid)
    axes = (np.unique(mdp.coordinates[:, 0]), np.unique(mdp.coordinates[:, 1]))

    # the continuous problem, from the bottom of the valley and from the starts that are usual for this task
    steps, several = at_scale(scale, (100, 5), (400, 41))
    drivers = {
        REVERSE: learned(policy, encode),
        "table, lookahead": lookahead(move, cost, Interpolated(axes, optimal), mdp.discount, 3),
        "DAPO-L2 (full)": learned(results[L2].solution, encode),
    }
    starts = np.stack([np.append(-np.pi / 6, np.linspace(-0.6, -0.4, several)), np.zeros(several + 1)], axis=1)
    drives = {name: drive(act, move, starts, steps) for name, act in drivers.items()}
    paths = {name: states[:, 0] for name, states in drives.items()}
    times = {name: arrivals(states) for name, states in drives.items()}

    def draw(panels):
        (gap_ax, value_ax, loss_ax), (path_ax, learned_ax, optimal_ax) = panels
        draw_gaps(gap_ax, results)
        picture = draw_map(value_ax, axes, values, "Value of the learned policy, and its path")
        value_ax.figure.colorbar(picture, ax=value_ax, label="discounted cost").outline.set_visible(False)
        path = paths[REVERSE][: int(min(times[REVERSE][0], steps)) + 1]
        value_ax.plot(*path.T, color="white", linewidth=3.0)
        value_ax.plot(*path.T, color="#d6604d", linewidth=1.5, marker="o", markersize=2.2)
        value_ax.plot(*path[:1].T, color="#222222", marker="D", markeredgecolor="white")
        lost = np.maximum(values - optimal, 1e-4)
        picture = draw_map(loss_ax, axes, np.log10(lost), "Excess over the optimal value")
        bar = loss_ax.figure.colorbar(picture, ax=loss_ax, label=r"$\log_{10}(V^\pi - V^*)$")
        bar.outline.set_visible(False)
        ends = [t[0] for t in times.values() if np.isfinite(t[0])]
        shown = int(min(steps, 1.3 * max(ends, default=steps)))
        for name, i in (("DAPO-L2 (full)", 6), ("table, lookahead", 7), (REVERSE, 0)):
            stop = int(min(times[name][0], shown)) + 1
            path_ax.plot(paths[name][:stop, 0], label=name, **style(i) | {"markevery": 0.1})
        path_ax.axhline(0.5, color="#555b66", linewidth=1.0, linestyle=(0, (4, 2)), zorder=1)
        path_ax.annotate(
            "top",
            (0.01, 0.5),
            xycoords=("axes fraction", "data"),
            xytext=(0, 2),
            textcoords="offset points",
            fontsize=7.5,
        )
        path_ax.set(xlabel="step", ylabel="position", title="The continuous car, from the bottom", ylim=(-1.25, 1.2))
        path_ax.set_xlim(0, shown)
        path_ax.legend(loc="upper left", ncols=2)
        names = ["left", "none", "right"]
        draw_actions(learned_ax, axes, policy.greedy().reshape(mdp.grid), names, "Learned policy, greedy", "push")
        draw_actions(optimal_ax, axes, best.policy.reshape(mdp.grid), names, "Optimal policy", "push")
        for ax in (value_ax, loss_ax, learned_ax, optimal_ax):
            ax.set(xlabel="position", ylabel="speed", xlim=(-1.2, 0.6), ylim=(-0.07, 0.07))

    enough = scale != "smoke"
    table_gap = results[TABLE].history["gap"]
    rise = float(np.max(np.diff(table_gap)))
    mean = {name: float(np.mean(t[1:])) for name, t in times.items()}
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
            gaps[REVERSE] <= 0.01 * float(table_gap[0]) if enough else None,
            [evaluations_needed(results[name], 0.01) for name in (REVERSE, TABLE)],
        ),
        (
            "It drives the continuous car to the top from every start in [-0.6, -0.4] (most steps).",
            bool(np.isfinite(times[REVERSE]).all()) if enough else None,
            float(times[REVERSE].max()),
        ),
        (
            "It takes at most a fifth more steps there than the table's lookahead (mean steps of both).",
            mean[REVERSE] <= 1.2 * mean["table, lookahead"] if enough else None,
            [mean[REVERSE], mean["table, lookahead"]],
        ),
    ]
    rivals = [gaps["Q-NPG"], gaps["DAPO-L2 (simplex)"]]
    numbers = [("Final gaps of Q-NPG (uniform actions) and of the sparsemax loss.", rivals)]
    caption = (
        f"The car on a grid of {n_positions} x {n_speeds} states, discount {mdp.discount}; constant step size 20, "
        f"exact action values, {n_features} random Fourier features and a constant per action. The paths are of the "
        "continuous car, driven by the most probable push at its exact state, from rest at the bottom of the valley "
        "(diamond) to the top; the table drives by one step of lookahead with its optimal values interpolated."
    )
    trajectories = {
        "step": np.tile(np.arange(steps + 1), len(paths)),
        "policy": np.repeat(list(paths), steps + 1),
        "position": np.concatenate([p[:, 0] for p in paths.values()]),
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
