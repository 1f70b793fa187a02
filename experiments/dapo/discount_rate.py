"""The rate of policy iteration: adaptive steps reach it, and no steps beat it.

Left: step sizes adapted to the policy give ``||V_k - V*||_inf <= discount^k (...)`` without any mismatch (Johnson,
Pike-Burke, Rebeschini 2023, Theorem 4.1). Right: a chain, derived here, on which every step size and policy iteration
too stay above ``discount^k (1 - p)^(k+1) / (1 - discount)``.
"""

from __future__ import annotations

from itertools import islice

import numpy as np

import optlab
from optlab.plotting import log_axes, style, theory_line
from optlab.policy import (
    AdaptiveStepSize,
    PolicyIteration,
    PolicyMirrorDescent,
    TabularPolicy,
    frozen_lake,
    lower_bound_chain,
    lower_bound_start,
)
from optlab.policy.tabular.certificates import gamma_rate_bound
from optlab.reproduce import at_scale, table
from optlab.splitting import Geometric

from ._common import PAPER, visible

MAPS = {"negative entropy": "negative-entropy", "Euclidean": "euclidean", "Tsallis, q = 1/2": "tsallis:0.5"}
LENGTH, PROBABILITY = 12, 0.05
CHAIN = {
    "policy iteration": PolicyIteration(),
    "entropy, steps 1": PolicyMirrorDescent("kl", 1.0),
    "entropy, steps 1e8": PolicyMirrorDescent("kl", 1e8),
    "entropy, steps $2^k$": PolicyMirrorDescent("kl", Geometric(1.0, growth=2.0)),
    "Euclidean, adaptive": PolicyMirrorDescent("euclidean", AdaptiveStepSize()),
}


def distances(mdp, method, n, start=None):
    """Return ``||V_k - V*||_inf`` in cost form for k = 0, ..., n."""
    policies = (method.iterate(mdp, state) for state in islice(optlab.iterate(mdp, method, x0=start), n + 1))
    return np.array([np.abs(mdp.evaluate(policy).values - mdp.optimal.values).max() for policy in policies])


@optlab.figure(id="pmd-adaptive", paper=PAPER, title="The rate of policy iteration: reached, and never beaten")
def figure(scale: str, seed: int) -> optlab.Figure:
    n = at_scale(scale, 40, 250, 1000)
    lake = frozen_lake("4x4", discount=at_scale(scale, 0.9, 0.95))
    k, gamma = np.arange(n + 1), lake.discount
    slack = gamma ** (2 * k[:-1] + 1)
    left = {name: distances(lake, PolicyMirrorDescent(phi, AdaptiveStepSize()), n) for name, phi in MAPS.items()}
    constant = distances(lake, PolicyMirrorDescent("kl", 1.0), n)
    bound = gamma_rate_bound(max(values[0] for values in left.values()), slack, gamma)

    chain = lower_bound_chain(LENGTH, PROBABILITY, 0.9)
    start = TabularPolicy.from_probabilities(lower_bound_start(LENGTH, PROBABILITY))
    short = np.arange(LENGTH)
    unit = float(chain.to_reward_value(0.0) - chain.to_reward_value(1.0))  # of a reward in cost form
    right = {name: unit * distances(chain, method, LENGTH - 1, start) for name, method in CHAIN.items()}
    lower = 0.9**short / 0.1 * (1 - PROBABILITY) ** (short + 1)
    rows = [
        {"panel": panel, "run": name, "iteration": i, "distance": value}
        for panel, runs in (("lake", {**left, "constant": constant}), ("chain", right))
        for name, values in runs.items()
        for i, value in enumerate(values)
    ]

    def draw(axes):
        for i, (name, values) in enumerate(left.items()):
            axes[0].plot(k, visible(values, 1e-12), label=f"{name}, adaptive", **style(i) | {"markevery": 0.1})
        axes[0].plot(k, visible(constant), label="negative entropy, steps 1", **style(3) | {"markevery": 0.1})
        theory_line(axes[0], k, bound, "upper bound, adaptive steps")
        axes[0].set(
            title="FrozenLake 4x4",
            xlabel="iteration k",
            xlim=(0, n),
            ylabel=r"$\|V_k - V^*\|_\infty$",
            ylim=(1e-12, 1e2),
        )
        for i, (name, values) in enumerate(right.items()):
            axes[1].plot(short, values, label=name, **style(i) | {"markevery": 1})
        theory_line(axes[1], short, lower, "lower bound")
        axes[1].set(title=f"chain, p = {PROBABILITY:g}", xlabel="iteration k", xlim=(0, LENGTH - 1))
        for ax in axes:
            log_axes(ax, "y")
            ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncol=2)

    ratios = {name: float(np.max(values / bound)) for name, values in left.items()}
    over = {name: float(np.min(values / lower)) for name, values in right.items()}
    under = float(np.max(right["policy iteration"] / lower))
    broken = float(np.max(constant / bound))
    claims = [
        (
            "Adaptive steps keep within the bound for every map (largest ratio).",
            max(ratios.values()) <= 1 + 1e-9,
            ratios,
        ),
        (
            "Constant steps of 1 do not (largest ratio).",
            broken > 1 if scale != "smoke" else None,
            broken,
        ),
        (
            "On the chain nothing falls below the lower bound (smallest ratio, margins of 1e-6 included).",
            min(over.values()) >= 1 - 1e-3,
            min(over.values()),
        ),
        (
            "Policy iteration stays within 1/(1 - p) of it (largest ratio).",
            under <= 1.001 / (1 - PROBABILITY),
            under,
        ),
    ]
    caption = (
        f"Left: discount {gamma:g}, c_k = discount^(2k+1). Right: 12 states and as many exits, discount 0.9; the start "
        f"policy goes right with probability {PROBABILITY:g}."
    )
    return optlab.Figure(table(rows), draw, claims, caption, panels=(1, 2), figsize=(11.0, 4.6))
