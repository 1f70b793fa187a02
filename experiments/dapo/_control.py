"""What the two control figures share: the methods compared, the continuous problem driven by a policy, panels, claims.

The MDPs are the continuous problems on a grid. A policy over random Fourier features takes any state, so that the
learned one can drive the continuous problem itself; the table drives it by one step of lookahead with its values
interpolated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from optlab.plotting import INK, PALETTE, THEORY_COLOR, label_lines, log_axes
from optlab.policy import DAPO, FunctionClass, NaturalPolicyGradient, PolicyMirrorDescent, QNaturalPolicyGradient
from optlab.reproduce import Runs, first_below, joined

from ._common import look, run, visible

STEP_SIZE = 20.0

REVERSE, FORWARD, NPG = "DAPO-KL, reverse", "DAPO-KL, forward", "natural policy gradient"
L2, TABLE = "DAPO-L2 (full) = AMPO-L2", "tabular"
LOOKAHEAD = "table, lookahead"
SHORT = {L2: "DAPO-L2 (full)", NPG: "NPG"}  # in the figure
DRIVERS = {SHORT[L2]: 6, LOOKAHEAD: 7, REVERSE: 0}  # in the order of drawing, with their places in the cycle of styles


def methods(features: FunctionClass) -> dict[str, Any]:
    """Return the methods by name, all with the same constant step size."""
    shared: dict[str, Any] = {"policy": features, "step_size": STEP_SIZE}
    return {
        TABLE: PolicyMirrorDescent(step_size=STEP_SIZE),
        REVERSE: DAPO(**shared),
        FORWARD: DAPO(order="forward", **shared),
        NPG: NaturalPolicyGradient(**shared),
        "Q-NPG": QNaturalPolicyGradient(weights="uniform", **shared),
        "DAPO-L2 (simplex)": DAPO(mirror_map="euclidean", order="forward", **shared),
        L2: DAPO(mirror_map="euclidean-full", **shared),
    }


def contest(mdp: Any, features: FunctionClass, n: int) -> dict[str, Any]:
    """Return the result of every method after `n` iterations from the uniform policy."""
    return {name: run(mdp, method, n) for name, method in methods(features).items()}


def evaluations_needed(result: Any, share: float) -> float:
    """Return the policy evaluations until the gap is at most a share of the first; infinity if it never is."""
    gap = result.history["gap"]
    return first_below(result.history["policy_evaluations"], gap, share * gap[0], np.inf)


# ---------------------------------------------------------------------- the continuous problem


class Interpolated:
    """A function on a rectangular grid, linear in between; a periodic first axis repeats its first row at the end."""

    def __init__(self, axes: tuple[np.ndarray, np.ndarray], values: np.ndarray, period: float | None = None) -> None:
        from scipy.interpolate import RegularGridInterpolator

        self.low, self.period, first = axes[0][0], period, axes[0]
        if period is not None:
            first, values = np.append(first, first[0] + period), np.vstack([values, values[:1]])
        self.between = RegularGridInterpolator((first, axes[1]), values)

    def __call__(self, states: np.ndarray) -> np.ndarray:
        first = states[..., 0]
        if self.period is not None:
            first = self.low + np.mod(first - self.low, self.period)
        return self.between(np.stack([first, states[..., 1]], axis=-1))


def drive(
    act: Callable[[np.ndarray], np.ndarray], move: Callable[[np.ndarray, np.ndarray], np.ndarray], start: Any, n: int
) -> np.ndarray:
    """Return the states (n + 1, starts, 2) of the continuous problem under a policy, many starts at once."""
    states = [np.array(start, dtype=float)]
    for _ in range(n):
        states.append(move(states[-1], act(states[-1])))
    return np.stack(states)


def learned(policy: Any, encode: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """Return the most probable action of a learned policy as a function of the physical state."""
    return lambda states: policy.greedy(encode(states))


def lookahead(
    move: Callable[[np.ndarray, np.ndarray], np.ndarray],
    cost: Callable[[np.ndarray, np.ndarray], np.ndarray],
    values: Callable[[np.ndarray], np.ndarray],
    discount: float,
    n_actions: int,
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the action that is best for one step if `values` are paid from the next state on."""

    def act(states: np.ndarray) -> np.ndarray:
        actions, repeated = np.repeat(np.arange(n_actions), len(states)), np.tile(states, (n_actions, 1))
        totals = cost(repeated, actions) + discount * values(move(repeated, actions))
        return totals.reshape(n_actions, -1).argmin(axis=0)

    return act


def control_runs(
    mdp: Any,
    features: FunctionClass,
    n: int,
    *,
    encode: Callable[[np.ndarray], np.ndarray],
    move: Callable[[np.ndarray, np.ndarray], np.ndarray],
    cost: Callable[[np.ndarray, np.ndarray], np.ndarray],
    starts: np.ndarray,
    clock: dict[str, np.ndarray],
    coordinate: str,
    period: float | None = None,
    **more: Any,
) -> Runs:
    """Return the contest on the grid, and the drives of the continuous problem from `starts` over the times of `clock`.

    `clock` is the column of times by its name, `coordinate` the name of the first coordinate, and `period` is its.
    """
    results = contest(mdp, features, n)
    policy = results[REVERSE].solution
    values = mdp.evaluate(policy.probabilities()).values.reshape(mdp.grid)
    optimal = mdp.optimal.values.reshape(mdp.grid)
    axes = (np.unique(mdp.coordinates[:, 0]), np.unique(mdp.coordinates[:, 1]))
    drivers = {
        REVERSE: learned(policy, encode),
        LOOKAHEAD: lookahead(move, cost, Interpolated(axes, optimal, period), mdp.discount, mdp.n_actions),
        SHORT[L2]: learned(results[L2].solution, encode),
    }
    ((name, times),) = clock.items()
    drives = {key: drive(act, move, starts, len(times) - 1) for key, act in drivers.items()}
    paths = {key: states[:, 0] for key, states in drives.items()}
    tables = {
        "gaps": joined({key: result.history for key, result in results.items()}, ("policy_evaluations", "gap")),
        "trajectories": {
            name: np.tile(times, len(paths)),
            "policy": np.repeat(list(paths), len(times)),
            coordinate: np.concatenate([path[:, 0] for path in paths.values()]),
            "speed": np.concatenate([path[:, 1] for path in paths.values()]),
        },
        "value": values,
        "optimal_value": optimal,
        "greedy": policy.greedy().reshape(mdp.grid),
    }
    gaps = {key: float(result.metrics["gap"]) for key, result in results.items()}
    return Runs(tables, mdp=mdp, results=results, gaps=gaps, axes=axes, drives=drives, paths=paths, times=times, **more)


def control_claims(runs: Runs) -> Iterator[tuple[Any, ...]]:
    """Yield the claims on the contest."""
    gaps, table_gap = runs.gaps, runs.results[TABLE].history["gap"]
    rise = float(np.max(np.diff(table_gap)))
    yield "Mirror descent with a table never gets worse (largest increase of its gap).", rise <= 1e-9, rise
    yield (
        "DAPO-KL in the reverse order ends closer to the optimum than the natural policy gradient: final gaps.",
        gaps[REVERSE] < gaps[NPG] if runs.enough else None,
        [gaps[REVERSE], gaps[NPG]],
    )
    yield (
        "It ends closer than the forward order (final gap of that one).",
        gaps[REVERSE] < gaps[FORWARD] if runs.enough else None,
        gaps[FORWARD],
    )
    yield (
        "Fitting the dual by least squares leaves at least ten times its gap: DAPO-L2, full domain (final gap).",
        gaps[L2] >= 10 * gaps[REVERSE] if runs.enough else None,
        gaps[L2],
    )
    yield (
        "It gets within 1 % of the first gap: policy evaluations needed, and those of the table.",
        gaps[REVERSE] <= 0.01 * float(table_gap[0]) if runs.enough else None,
        [evaluations_needed(runs.results[name], 0.01) for name in (REVERSE, TABLE)],
    )


def control_numbers(runs: Runs) -> Iterator[tuple[str, Any]]:
    """Yield what is reported of the rivals."""
    rivals = [runs.gaps["Q-NPG"], runs.gaps["DAPO-L2 (simplex)"]]
    yield "Final gaps of Q-NPG (uniform actions) and of the sparsemax loss.", rivals


# ---------------------------------------------------------------------- panels


def draw_control(
    panels: Any, runs: Runs, path: tuple[Any, Any], floor: float, actions: list[str], action: str
) -> tuple[Any, list[Any]]:
    """Draw the gaps, the value with a path, its excess over the optimal one, and the policies.

    Returns the panel that is left for the curves of the continuous problem, and the panels over the grid.
    """
    (gap_ax, value_ax, loss_ax), (curve_ax, learned_ax, optimal_ax) = panels
    values, optimal = runs.tables["value"], runs.tables["optimal_value"]
    draw_gaps(gap_ax, runs.results)
    picture = draw_map(value_ax, runs.axes, values, "Value of the learned policy, and its path")
    value_ax.figure.colorbar(picture, ax=value_ax, label="discounted cost").outline.set_visible(False)
    value_ax.plot(*path, color="white", linewidth=3.0)
    value_ax.plot(*path, color=PALETTE[1], linewidth=1.5, marker="o", markersize=2.2)
    value_ax.plot(path[0][:1], path[1][:1], marker="D", color=INK, markeredgecolor="white", clip_on=False)
    lost = np.log10(np.maximum(values - optimal, floor))
    picture = draw_map(loss_ax, runs.axes, lost, "Excess over the optimal value")
    bar = loss_ax.figure.colorbar(picture, ax=loss_ax, label=r"$\log_{10}(V^\pi - V^*)$")
    bar.outline.set_visible(False)
    best = runs.mdp.optimal.policy.reshape(runs.mdp.grid)
    draw_actions(learned_ax, runs.axes, runs.tables["greedy"], actions, "Learned policy, greedy", action)
    draw_actions(optimal_ax, runs.axes, best, actions, "Optimal policy", action)
    return curve_ax, [value_ax, loss_ax, learned_ax, optimal_ax]


def theory_level(ax: Any, height: float) -> None:
    """Draw a dashed line across the axes."""
    ax.axhline(height, color=THEORY_COLOR, linewidth=1.0, linestyle=(0, (4, 2)), zorder=1)


def draw_gaps(ax: Any, results: dict[str, Any]) -> None:
    """Draw the gaps of all methods over policy evaluations."""
    for name, result in results.items():
        label = SHORT.get(name, name)
        history = result.history
        ax.plot(history["policy_evaluations"], visible(history["gap"]), label=label, **look(name))
    ax.set(xlabel="policy evaluations", ylabel=r"gap $V_\rho(\pi_k) - V^*_\rho$", title="Gap to the optimal value")
    ax.set_xlim(0, history["policy_evaluations"][-1])
    log_axes(ax, "y")
    label_lines(ax, fontsize=7.5)


def draw_map(ax: Any, axes: tuple[np.ndarray, np.ndarray], values: np.ndarray, title: str, **kwargs: Any) -> Any:
    """Draw a function on the grid as a picture, its first axis to the right; return the picture."""
    first, second = axes
    shading = {"shading": "nearest", "rasterized": True} | kwargs
    picture = ax.pcolormesh(first, second, values.T, **shading)
    ax.grid(False)
    ax.set_title(title)
    return picture


def draw_actions(
    ax: Any, axes: tuple[np.ndarray, np.ndarray], actions: np.ndarray, names: list[str], title: str, label: str
) -> None:
    """Draw the actions of a policy over the grid, one level of grey-blue to yellow each, with their names beside."""
    from matplotlib import colormaps
    from matplotlib.colors import BoundaryNorm, ListedColormap

    n = len(names)
    colours = ListedColormap(colormaps["cividis"](np.linspace(0.02, 0.98, n)))
    norm = BoundaryNorm(np.arange(n + 1) - 0.5, n)
    picture = draw_map(ax, axes, actions, title, cmap=colours, norm=norm)
    bar = ax.figure.colorbar(picture, ax=ax, ticks=np.arange(n), label=label)
    bar.ax.set_yticklabels(names)
    bar.outline.set_visible(False)
