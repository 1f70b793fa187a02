"""What the two control figures share: the methods compared, and the continuous problem driven by a policy.

The MDPs are the continuous problems on a grid. A policy over random Fourier features takes any state, so that the
learned one can drive the continuous problem itself; the table drives it by one step of lookahead with its values
interpolated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from optlab.plotting import label_lines, log_axes
from optlab.policy import DAPO, FunctionClass, NaturalPolicyGradient, PolicyMirrorDescent, QNaturalPolicyGradient
from optlab.reproduce import first_below

from ._common import look, run, visible

STEP_SIZE = 20.0

REVERSE, FORWARD, NPG = "DAPO-KL, reverse", "DAPO-KL, forward", "natural policy gradient"
L2, TABLE = "DAPO-L2 (full) = AMPO-L2", "tabular"


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


def columns(results: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the gaps of all runs as one table."""
    histories = {name: result.history for name, result in results.items()}
    return {
        "method": np.concatenate([np.full(len(h["gap"]), name) for name, h in histories.items()]),
        "policy_evaluations": np.concatenate([h["policy_evaluations"] for h in histories.values()]),
        "gap": np.concatenate([h["gap"] for h in histories.values()]),
    }


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


# ---------------------------------------------------------------------- panels


def draw_gaps(ax: Any, results: dict[str, Any]) -> None:
    """Draw the gaps of all methods over policy evaluations."""
    for name, result in results.items():
        label = {L2: "DAPO-L2 (full)", NPG: "NPG"}.get(name, name)
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
