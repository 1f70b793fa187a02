"""The inner problem of DAPO-KL, reverse order: how well, and by what, it needs to be solved.

The loss of an iteration is not convex in theta. Its Fisher scoring starts with the natural policy gradient step;
second-order steps are compared with quasi-Newton, and with the first-order methods that networks are trained by. Steps
grow by 1/discount, so that inner problems become harder from iteration to iteration.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

import optlab
from optlab.plotting import log_axes, seed_band
from optlab.policy import DAPO, LBFGS, SGD, Adam, DiscountGrowth, FisherScoring, FunctionClass, NaturalPolicyGradient
from optlab.reproduce import at_scale, table

from ._common import PAPER, plain_ticks, run
from .linear_features import instance

NPG, QUASI_NEWTON = "natural policy gradient", "L-BFGS, up to 200"
# colour, line style, marker: the Fisher steps one family from light to dark
LOOKS: dict[str, tuple[str, Any, str]] = {
    NPG: ("#e9a93b", "-", "^"),
    "Fisher, 1 step": ("#a9c8e8", "-", "v"),
    "Fisher, 2 steps": ("#6f9fd0", "--", "o"),
    "Fisher, 5 steps": ("#2f5fa6", "-", "s"),
    "Fisher, 20 steps": ("#0d1b40", ":", "D"),
    QUASI_NEWTON: ("#d6604d", "-.", "P"),
    "Adam, 10 steps": ("#8fc9b4", "-", "<"),
    "Adam, 100 steps": ("#1b7f6b", "--", ">"),
    "SGD, 100 steps": ("#6a3d8f", ":", "X"),
}
BANDS = (NPG, "Fisher, 5 steps", "SGD, 100 steps")  # of all, they would cover one another


def methods(features: FunctionClass) -> dict[str, Any]:
    """Return the methods by name: the natural policy gradient, and DAPO with each inner solver."""
    base = DAPO(policy=features, step_size=DiscountGrowth(1.0))
    inner = {f"Fisher, {m} step{'s' * (m > 1)}": FisherScoring(max_iter=m) for m in (1, 2, 5, 20)}
    inner[QUASI_NEWTON] = LBFGS(max_iter=200)
    inner |= {f"Adam, {m} steps": Adam(step_size=0.05, steps=m) for m in (10, 100)}
    inner["SGD, 100 steps"] = SGD(step_size=0.1, steps=100, batch_size=16)
    first = {NPG: NaturalPolicyGradient(policy=features, step_size=DiscountGrowth(1.0))}
    return first | {name: replace(base, inner=solver) for name, solver in inner.items()}


def same_step(mdp: Any, features: FunctionClass) -> float:
    """Return the largest difference of gaps of the natural policy gradient and one full Fisher step, 10 iterations."""
    full = DAPO(policy=features, inner=FisherScoring(max_iter=1, line_search=False, tol=0.0))
    pair = [run(mdp, method, 10).history["gap"] for method in (full, NaturalPolicyGradient(policy=features))]
    return float(np.max(np.abs(pair[0] - pair[1])))


@optlab.figure(id="dapo-inner-solvers", paper=PAPER, title="How well the dual approximation needs to be solved")
def figure(scale: str, seed: int) -> optlab.Figure:
    n, seeds = at_scale(scale, (4, 2), (60, 5), (60, 30))
    runs: dict[str, list[Any]] = {}
    apart = []
    for i in range(seed, seed + seeds):
        mdp, features = instance(40, i)
        apart.append(same_step(mdp, features))
        for name, method in methods(features).items():
            runs.setdefault(name, []).append(run(mdp, method, n, seed=i).history)
    gaps = {name: np.array([h["gap"] for h in histories]) for name, histories in runs.items()}
    inner = {name: np.array([h["inner_iterations"] for h in histories]) for name, histories in runs.items()}
    times = {name: np.array([h["time"] for h in histories]) for name, histories in runs.items()}
    k = np.arange(n + 1)

    def draw(axes):
        for name, (colour, linestyle, marker) in LOOKS.items():
            shape = {"color": colour, "linestyle": linestyle, "marker": marker, "markeredgewidth": 0}
            if name in BANDS:
                seed_band(axes[0], k, gaps[name], label=name, **shape, markevery=0.12)
            else:
                axes[0].plot(k, np.median(gaps[name], axis=0), label=name, **shape, markevery=0.12)
            middle = np.median(gaps[name], axis=0)[1:]
            for ax, work in ((axes[1], inner), (axes[2], times)):
                ax.plot(np.median(work[name], axis=0)[1:], middle, **shape, markevery=0.12)
        titles = ("Outer iterations", "All inner iterations", "Time of the run")
        labels = ("iteration k", "inner iterations", "seconds, one thread")
        for ax, title, label in zip(axes, titles, labels):
            ax.set(title=title, xlabel=label)
            log_axes(ax, "y" if ax is axes[0] else "xy")
            plain_ticks(ax.yaxis)
        axes[0].set(ylabel=r"gap $V_\rho(\pi_k) - V^*_\rho$", xlim=(0, n))
        axes[2].legend(
            handles=axes[0].get_lines(), loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8
        )  # fmt: skip

    last = {name: float(np.median(values[:, -1])) for name, values in gaps.items()}
    work = {name: float(np.median(values[:, -1])) for name, values in inner.items()}
    seconds = {name: float(np.median(values[:, -1])) for name, values in times.items()}
    five = last["Fisher, 5 steps"]
    enough = scale != "smoke"
    fisher = [last[name] for name in LOOKS if name.startswith("Fisher")]
    claims = [
        (
            "One Fisher scoring step without line search is the natural policy gradient (largest difference of gaps in "
            "10 iterations with steps of 1).",
            max(apart) < 1e-8,
            max(apart),
        ),
        (
            "A line search along that step is worth more than a factor of 2: gap of the natural policy gradient over "
            "that of one step with it.",
            last[NPG] > 2 * fisher[0] if enough else None,
            last[NPG] / fisher[0],
        ),
        (
            "A second step helps, more than two do not: median last gaps of one, two and five steps.",
            fisher[0] > 1.1 * fisher[1] and abs(fisher[2] / fisher[1] - 1) < 0.1 if enough else None,
            fisher[:3],
        ),
        (
            "Twenty are no better than five by more than 10 % (ratio).",
            fisher[3] > 0.9 * five if enough else None,
            fisher[3] / five,
        ),
        (
            "L-BFGS ends no lower than five Fisher steps by more than 10 % (ratio) ...",
            last[QUASI_NEWTON] > 0.9 * five if enough else None,
            last[QUASI_NEWTON] / five,
        ),
        (
            "... with more than ten times the inner iterations (ratio).",
            work[QUASI_NEWTON] > 10 * work["Fisher, 5 steps"] if enough else None,
            work[QUASI_NEWTON] / work["Fisher, 5 steps"],
        ),
        (
            "Ten steps of Adam are too few (gap over that of five Fisher steps), a hundred end lower (ratio).",
            last["Adam, 10 steps"] > 1.1 * five and last["Adam, 100 steps"] < last["Adam, 10 steps"]
            if enough
            else None,
            [last["Adam, 10 steps"] / five, last["Adam, 100 steps"] / five],
        ),
        (
            "SGD with a fixed step, on a loss that grows with the steps, ends above Adam with as many (ratio).",
            last["SGD, 100 steps"] > last["Adam, 100 steps"] if enough else None,
            last["SGD, 100 steps"] / last["Adam, 100 steps"],
        ),
    ]
    ratio = seconds[QUASI_NEWTON] / seconds["Fisher, 5 steps"]
    numbers = [("Time of L-BFGS over that of five Fisher steps, whole runs.", ratio)]
    caption = (
        f"Garnet(50, 4, 5), discount 0.9, 40 Gaussian features, exact action values, steps 0.9^-k; median of {seeds} "
        "seeds, left for three methods with the range of 10 to 90 per cent. Adam: learning rate 0.05, all states; SGD: "
        "0.1, 16 states a step. Time includes evaluation of policies."
    )
    columns = ("gap", "inner_iterations", "time")
    rows = [
        {"solver": name, "seed": seed + i, "iteration": j} | {key: h[key][j] for key in columns}
        for name, histories in runs.items()
        for i, h in enumerate(histories)
        for j in range(n + 1)
    ]
    return optlab.Figure(
        table(rows), draw, claims, caption, panels=(1, 3), figsize=(13.2, 3.9), sharey=True, numbers=numbers
    )
