"""Sampled DAPO and its relatives: gap against environment steps.

Nothing is exact here: states are drawn from the discounted visitation law of the policy by geometric stopping, action
values are averages of a few truncated rollouts. Every method is given the same number of both in each iteration.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import optlab
from optlab.plotting import log_axes, seed_band, theory_line
from optlab.policy import (
    DAPO,
    MDPO,
    DiscountGrowth,
    FunctionClass,
    MonteCarlo,
    NaturalPolicyGradient,
    QNaturalPolicyGradient,
    TabularPolicy,
)
from optlab.reproduce import at_scale, table

from ._common import PAPER, plain_ticks, run
from .linear_features import instance

REVERSE, FORWARD, NPG = "DAPO-KL, reverse", "DAPO-KL, forward", "natural policy gradient"
RULES: dict[str, Any] = {"constant, 2": 2.0, "growing by 1/γ from 0.5": DiscountGrowth(0.5)}
LOOKS: dict[str, tuple[str, Any, str]] = {
    REVERSE: ("#1f3b73", "-", "o"),
    FORWARD: ("#d6604d", "-", "s"),
    NPG: ("#e9a93b", "-", "^"),
    "MDPO, 1 step": ("#a8d5c5", "-.", "v"),
    "MDPO, 10 steps": ("#4fa58e", "-.", "P"),
    "MDPO, 100 steps": ("#0f5446", "-.", "X"),
    "Q-NPG": ("#6a3d8f", ":", "D"),
}


BANDS = (REVERSE, FORWARD, NPG, "MDPO, 1 step", "Q-NPG")  # the other two would cover these
GROWING = (REVERSE, FORWARD, NPG, "MDPO, 100 steps")  # compared under growing steps too


class TableMonteCarlo(MonteCarlo):
    """The same estimates: the policy's table is computed once, not a row for each transition drawn."""

    def estimate(self, problem: Any, policy: Any, states: Any, rng: Any, memory: Any) -> Any:
        return super().estimate(problem, TabularPolicy(policy.log_probabilities()), states, rng, memory)


def methods(features: FunctionClass, step_size: Any, n_states: int, rollouts: int, horizon: int) -> dict[str, Any]:
    """Return the methods by name; Q-NPG regresses Q as it is, without centring."""
    critic = TableMonteCarlo(rollouts=rollouts, horizon=horizon)
    shared: dict[str, Any] = {
        "policy": features, "step_size": step_size, "sampled_states": n_states, "critic": critic,
    }  # fmt: skip
    return {
        REVERSE: DAPO(**shared),
        FORWARD: DAPO(order="forward", **shared),
        NPG: NaturalPolicyGradient(**shared),
        **{f"MDPO, {m} step{'s' * (m > 1)}": MDPO(steps=m, **shared) for m in (1, 10, 100)},
        "Q-NPG": QNaturalPolicyGradient(ridge=1e-4, **shared),
    }


@optlab.figure(id="dapo-sampled", paper=PAPER, title="Sampled states and action values: gap against environment steps")
def figure(scale: str, seed: int) -> optlab.Figure:
    n, seeds = at_scale(scale, (3, 2), (40, 4), (40, 20))
    n_states, rollouts, horizon = at_scale(scale, (60, 2, 10), (200, 5, 44), (200, 5, 66))
    runs: dict[tuple[str, str], list[Any]] = {}
    for i in range(seed, seed + seeds):
        mdp, features = instance(40, i)
        for rule, step_size in RULES.items():
            compared = methods(features, step_size, n_states, rollouts, horizon)
            for name in compared if step_size == 2.0 else GROWING:
                runs.setdefault((rule, name), []).append(run(mdp, compared[name], n, seed=i).history)
    gaps = {key: np.array([h["gap"] for h in histories]) for key, histories in runs.items()}
    drawn = {key: np.array([h["environment_steps"] for h in histories]) for key, histories in runs.items()}
    first = float(np.median([values[:, 0] for values in gaps.values()]))

    def draw(axes):
        for ax, rule in zip(axes, RULES):
            for name in [name for name in LOOKS if (rule, name) in gaps]:
                colour, linestyle, marker = LOOKS[name]
                shape = {"color": colour, "linestyle": linestyle, "marker": marker, "markeredgewidth": 0}
                work = np.median(drawn[rule, name], axis=0) / 1e6
                if name in BANDS:
                    seed_band(ax, work, gaps[rule, name], label=name, quantiles=(0.0, 1.0), markevery=0.12, **shape)
                else:
                    ax.plot(work, np.median(gaps[rule, name], axis=0), label=name, markevery=0.12, **shape)
            theory_line(ax, [0, work[-1]], first)
            ax.set(title=f"Steps {rule}", xlabel="environment steps, millions", xlim=(0, work[-1]))
            log_axes(ax, "y")
            plain_ticks(ax.yaxis)
        axes[0].set_ylabel(r"gap $V_\rho(\pi_k) - V^*_\rho$")
        lines = [line for line in axes[0].get_lines() if not line.get_label().startswith("_")]
        axes[1].legend(handles=lines, loc="center left", bbox_to_anchor=(1.0, 0.5))

    # of the last quarter of iterations: single iterates of sampled methods jump
    tail = max(n // 4, 1)
    last = {key: float(np.median(values[:, -tail:].mean(axis=1))) for key, values in gaps.items()}
    const, growing = RULES
    enough = scale != "smoke"
    ends = np.array([values[:, -1] for values in drawn.values()])
    spread = float(np.max(np.abs(ends / ends.mean() - 1)))
    mdpo = [last[const, f"MDPO, {m}"] for m in ("1 step", "10 steps", "100 steps")]
    claims = [
        (
            "Every method is given the same budget (largest relative difference of environment steps).",
            spread < 0.02,
            spread,
        ),
        (
            "With steps of 2 one inner step is nearly enough: the natural policy gradient ends within 25 % of the "
            "reverse order (ratio of gaps).",
            abs(last[const, NPG] / last[const, REVERSE] - 1) < 0.25 if enough else None,
            last[const, NPG] / last[const, REVERSE],
        ),
        (
            "With growing steps it is not: it ends more than 20 % above (ratio).",
            last[growing, NPG] > 1.2 * last[growing, REVERSE] if enough else None,
            last[growing, NPG] / last[growing, REVERSE],
        ),
        (
            "The forward order ends above the reverse one, with growing steps by a factor of more than 3 (ratios).",
            last[const, FORWARD] > last[const, REVERSE] and last[growing, FORWARD] > 3 * last[growing, REVERSE]
            if enough
            else None,
            [last[rule, FORWARD] / last[rule, REVERSE] for rule in RULES],
        ),
        (
            "MDPO gains with every inner step, 1, 10 and 100 (gaps with steps of 2).",
            mdpo[0] > mdpo[1] > mdpo[2] if enough else None,
            mdpo,
        ),
        (
            "With one it ends at more than 3 times the gap of the reverse order (ratio).",
            mdpo[0] > 3 * last[const, REVERSE] if enough else None,
            mdpo[0] / last[const, REVERSE],
        ),
        (
            "Q-NPG without centring hardly moves: more than 80 % of the first gap is left with steps of 2 (share).",
            last[const, "Q-NPG"] > 0.8 * first if enough else None,
            last[const, "Q-NPG"] / first,
        ),
    ]
    caption = (
        f"Garnet(50, 4, 5), discount 0.9, 40 Gaussian features; {n_states} states and {rollouts} rollouts of {horizon} "
        f"transitions per state and action in each of {n} iterations; median and, for some, range of {seeds} "
        "seeds. Dashed: the gap at the start. Claims: mean of the last quarter of the iterations. MDPO: Adam, "
        "learning rate 0.05; Q-NPG: Q as it is."
    )
    columns = ("gap", "environment_steps")
    rows = [
        {"steps": rule, "method": name, "seed": seed + i, "iteration": j} | {key: h[key][j] for key in columns}
        for (rule, name), histories in runs.items()
        for i, h in enumerate(histories)
        for j in range(n + 1)
    ]
    return optlab.Figure(table(rows), draw, claims, caption, panels=(1, 2), figsize=(11.5, 4.0), sharey=True)
