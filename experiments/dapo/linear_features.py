"""Log-linear policies on random MDPs: which geometry the dual approximation should be measured in.

Garnet MDPs with Gaussian features (dimension d for 50 states and 4 actions), exact action values, expectations over all
states. Methods that fit the dual in the geometry of their projection (DAPO) or take one step of that fit (natural
policy gradient, MDPO) against those that fit it by squares (Q-NPG, AMPO; DAPO-L2 in the full domain is both).
"""

from __future__ import annotations

from typing import Any

import numpy as np

import optlab
from optlab.plotting import log_axes, seed_band, theory_line
from optlab.policy import (
    AMPO,
    DAPO,
    MDPO,
    DiscountGrowth,
    FunctionClass,
    LinearFeatures,
    NaturalPolicyGradient,
    Newton,
    QNaturalPolicyGradient,
    garnet,
)
from optlab.reproduce import at_scale, table

from ._common import PAPER, look, plain_ticks, run

RULES: dict[str, Any] = {"1": 1.0, "5": 5.0, "growing": DiscountGrowth(1.0)}
REVERSE, FORWARD, NPG = "DAPO-KL, reverse", "DAPO-KL, forward", "natural policy gradient"
SIMPLEX, FULL = "DAPO-L2 (simplex)", "DAPO-L2 (full) = AMPO-L2"
LAZY, NORMALISED = "AMPO, lazy", "AMPO, normalised"
BY_SQUARES = ("Q-NPG, d × π", "Q-NPG, d × uniform", LAZY, NORMALISED, FULL)
# of the methods in the lower row: its look in the other figures
CURVES = {
    REVERSE: REVERSE,
    FORWARD: FORWARD,
    NPG: NPG,
    "Q-NPG, d × π": "Q-NPG",
    NORMALISED: NORMALISED,
    SIMPLEX: SIMPLEX,
}


def methods(features: FunctionClass, step_size: Any) -> dict[str, Any]:
    """Return the methods by name; natural and Q-natural gradients with targets centred in each state."""
    shared: dict[str, Any] = {"policy": features, "step_size": step_size}
    return {
        REVERSE: DAPO(**shared),
        FORWARD: DAPO(order="forward", **shared),
        NPG: NaturalPolicyGradient(**shared),
        "MDPO, 10 steps": MDPO(steps=10, **shared),
        "MDPO, 1 step": MDPO(steps=1, **shared),
        "Q-NPG, d × π": QNaturalPolicyGradient(weights="policy", centered=True, **shared),
        "Q-NPG, d × uniform": QNaturalPolicyGradient(weights="uniform", centered=True, **shared),
        LAZY: AMPO(dual="lazy", **shared),
        NORMALISED: AMPO(dual="normalised", **shared),
        FULL: DAPO(mirror_map="euclidean-full", **shared),
        # near exact fits each Newton step crosses few kinks of the loss: from the last theta, 10 are enough
        SIMPLEX: DAPO(mirror_map="euclidean", order="forward", inner=Newton(max_iter=10), **shared),
    }


def instance(dimension: int, seed: int) -> tuple[Any, LinearFeatures]:
    """Return the MDP and the features of a seed."""
    mdp = garnet(50, 4, 5, discount=0.9, seed=seed)
    return mdp, LinearFeatures.gaussian(50, 4, dimension, seed=1000 + seed)


def same_gaps(mdp: Any, features: FunctionClass) -> float:
    """Return the largest difference of gaps of DAPO-L2 (full) and AMPO with the Euclidean map, 3 iterations."""
    shared: dict[str, Any] = {"mirror_map": "euclidean-full", "policy": features}
    pair = [run(mdp, method, 3).history["gap"] for method in (DAPO(**shared), AMPO(dual="normalised", **shared))]
    return float(np.max(np.abs(pair[0] - pair[1])))


@optlab.figure(id="dapo-linear-features", paper=PAPER, title="Log-linear policies: in which geometry to fit the dual")
def figure(scale: str, seed: int) -> optlab.Figure:
    n, seeds = at_scale(scale, (2, 2), (60, 5), (60, 30))
    dimensions = at_scale(scale, (20, 40), (20, 40, 80))
    gaps: dict[tuple[int, str, str], np.ndarray] = {}
    agree = []
    for d in dimensions:
        runs: dict[tuple[int, str, str], list[np.ndarray]] = {}
        for i in range(seed, seed + seeds):
            mdp, features = instance(d, i)
            for rule, step_size in RULES.items():
                for name, method in methods(features, step_size).items():
                    result = run(mdp, method, n, record="all" if rule == "growing" else n)
                    runs.setdefault((d, rule, name), []).append(result.history["gap"])
            agree.append(same_gaps(mdp, features))
        gaps |= {key: np.array(values) for key, values in runs.items()}
    names, k = list(methods(features, 1.0)), np.arange(n + 1)
    first = float(np.mean([values[:, 0].mean() for values in gaps.values()]))

    def draw(axes):
        shapes = {"1": ("o", "#1f3b73"), "5": ("s", "#e9a93b"), "growing": ("D", "#d6604d")}
        lowest = {d: min(v[:, -1].min() for key, v in gaps.items() if key[0] == d) for d in dimensions}
        for column, (d, ax) in enumerate(zip(dimensions, axes[0])):
            for j, (rule, (marker, colour)) in enumerate(shapes.items()):
                y = np.arange(len(names)) + 0.24 * (j - 1)
                last = np.array([gaps[d, rule, name][:, -1] for name in names])
                ax.hlines(y, last.min(axis=1), last.max(axis=1), color=colour, linewidth=1.6, alpha=0.55)
                label = f"steps {rule}" if rule != "growing" else "steps growing by 1/γ"
                rim = {"markeredgecolor": "#22262b", "markeredgewidth": 0.6}
                ax.plot(np.median(last, axis=1), y, marker, color=colour, label=label, markersize=5, **rim)
            ax.axvline(first, color="#555b66", linewidth=1.0, linestyle=(0, (4, 2)))
            ax.set(title=f"d = {d}: last gap", xlim=(0.6 * lowest[d], 2.0 * first), ylim=(len(names) - 0.4, -0.6))
            ax.set_yticks(np.arange(len(names)), names if column == 0 else [""] * len(names))
            ax.set_xlabel(r"gap $V_\rho(\pi_K) - V^*_\rho$; dashed: at the start")
            log_axes(ax, "x")
            if lowest[d] > 0.1:
                plain_ticks(ax.xaxis)
        axes[0][-1].legend(loc="center left", bbox_to_anchor=(0.0, 0.46), fontsize=7.5)
        for d, ax in zip(dimensions, axes[1]):
            for name, known in CURVES.items():
                seed_band(ax, k, gaps[d, "growing", name], label=name, **look(known))
            theory_line(ax, k, first)
            ax.set(
                title=f"d = {d}: steps growing by 1/γ",
                xlabel="iteration k",
                xlim=(0, n),
                ylim=(0.6 * lowest[d], 2.0 * first),
            )
            log_axes(ax, "y")
            if lowest[d] > 0.1:
                plain_ticks(ax.yaxis)
        axes[1][0].set_ylabel(r"gap $V_\rho(\pi_k) - V^*_\rho$")
        lines = [line for line in axes[1][0].get_lines() if line.get_label() in CURVES]
        axes[1][0].figure.legend(handles=lines, loc="outside lower center", ncols=len(lines))

    last = {key: float(np.median(values[:, -1])) for key, values in gaps.items()}
    decline = {key: float(np.max(values[:, -1] / values.min(axis=1))) for key, values in gaps.items()}
    enough = scale != "smoke"
    few, top = dimensions[:2], dimensions[-1]
    over = {
        (d, r): min(last[d, r, m] for m in (*BY_SQUARES, SIMPLEX)) / last[d, r, REVERSE] for d in few for r in RULES
    }
    rivals = min(last[top, "1", m] for m in names if m != SIMPLEX)
    overshoot = [last[d, "growing", NPG] / last[d, "growing", REVERSE] for d in few]
    orders = [last[d, "growing", FORWARD] / last[d, "growing", REVERSE] for d in dimensions]
    steps = [[last[40, r, f"MDPO, {m}"] / last[40, r, REVERSE] for m in ("1 step", "10 steps")] for r in RULES]
    stuck = min(last[d, r, m] for d in dimensions for r in RULES for m in (LAZY, NORMALISED, FULL)) / first
    law = {(d, r): last[d, r, BY_SQUARES[0]] / last[d, r, BY_SQUARES[1]] for d in dimensions for r in ("1", "5")}
    claims = [
        (
            "DAPO-L2 (full) is AMPO with the Euclidean map: written separately, the same gaps (largest difference).",
            max(agree) < 1e-8,
            max(agree),
        ),
        (
            "At d = 20 and 40 DAPO-KL (reverse) ends below Q-NPG, AMPO and DAPO-L2, whatever the steps "
            "(smallest ratio of medians).",
            min(over.values()) > 1 if enough else None,
            min(over.values()),
        ),
        (
            "At d = 80 with steps of 1 DAPO-L2 (simplex) ends lowest: its median, and the next one's.",
            last[top, "1", SIMPLEX] < rivals if enough else None,
            [last[top, "1", SIMPLEX], rivals],
        ),
        (
            "Growing steps are too long for the natural policy gradient: at d = 20 and 40 it ends at more than 1.5 "
            "times the gap of the reverse order (ratios).",
            min(overshoot) > 1.5 if enough else None,
            overshoot,
        ),
        (
            "Under growing steps the forward order loses on some seeds at d = 20 what it had: last gap over best, the "
            "worst seed's.",
            decline[20, "growing", FORWARD] > 1.2 if enough else None,
            decline[20, "growing", FORWARD],
        ),
        (
            "The reverse order does on none: its last gap stays within 1.05 times the best at d = 20 and 40.",
            max(decline[d, "growing", REVERSE] for d in few) < 1.05 if enough else None,
            [decline[d, "growing", REVERSE] for d in few],
        ),
        (
            "With more features the forward order ends lower than the reverse (ratios of medians under growing steps, "
            "for all d).",
            max(orders[1:]) < 1 if enough else None,
            orders,
        ),
        (
            "MDPO with ten inner steps ends above the reverse fit, and with one above that (d = 40: gaps over the "
            "reverse order's for 1 and 10 steps, with steps 1, 5, growing).",
            all(one > ten > 1 for one, ten in steps) if enough else None,
            [ratio for pair in steps for ratio in pair],
        ),
        (
            "Fitted by squares to Q with its offsets of states, AMPO (lazy, normalised) and DAPO-L2 (full) keep more "
            "than 80 % of the first gap, for all d and steps (least share).",
            stuck > 0.8 if enough else None,
            stuck,
        ),
        (
            "Weighting squares by the policy helps: Q-NPG with d × π ends below d × uniform with steps 1 and 5, for "
            "all d (largest ratio).",
            max(law.values()) < 1 if enough else None,
            max(law.values()),
        ),
    ]
    caption = (
        f"Garnet(50, 4, 5), discount 0.9, exact action values; {n} iterations. Top: median and range of {seeds} seeds. "
        "Bottom: median and range of 10 to 90 per cent. DAPO-KL (reverse): at most 5 Fisher scoring steps; MDPO: Adam, "
        "learning rate 0.05; AMPO with weights d × uniform. AMPO and DAPO-L2 (full) "
        "fit Q as it is, Q-NPG less its mean in each state."
    )
    last_gaps = [
        {"dimension": d, "steps": rule, "method": name, "seed": seed + i, "gap": gap[-1]}
        for (d, rule, name), values in gaps.items()
        for i, gap in enumerate(values)
    ]
    curves = [
        {"dimension": d, "method": name, "seed": seed + i, "iteration": j, "gap": value}
        for d in dimensions
        for name in CURVES
        for i, gap in enumerate(gaps[d, "growing", name])
        for j, value in enumerate(gap)
    ]
    data = {"last": table(last_gaps), "growing": table(curves)}
    size = (4.2 * len(dimensions), 8.4)
    return optlab.Figure(data, draw, claims, caption, panels=(2, len(dimensions)), figsize=size)
