"""Exact policy mirror descent: constant, growing and adaptive steps, for three mirror maps.

Xiao (2022) bounds the gap by O(1/k) for constant steps and by a geometric rate for steps that grow by 1/discount.
The start law is the stationary law of the optimal policy, up to one per cent: there the proven rate is nearly the
discount itself.
"""

from __future__ import annotations

import numpy as np

import optlab
from optlab.plotting import log_axes, style, theory_line
from optlab.policy import MDP, AdaptiveStepSize, DiscountGrowth, PolicyMirrorDescent, garnet
from optlab.policy.tabular.certificates import linear_bound, start_mismatch, sublinear_bound
from optlab.reproduce import at_scale, first_below, table

from ._common import PAPER, run, visible

MAPS = {"negative entropy": "negative-entropy", "Euclidean": "euclidean", "Tsallis, q = 1/2": "tsallis:0.5"}
STEPS = {"constant, 1": 1.0, "growing by 1/γ": DiscountGrowth(1.0), "adaptive": AdaptiveStepSize()}


def stationary_start(mdp: MDP) -> MDP:
    """Return the MDP started from the stationary law of its optimal policy, mixed with one per cent of uniform."""
    P = mdp.transition_matrix(mdp.optimal.probabilities).toarray()
    law = np.full(mdp.n_states, 1.0 / mdp.n_states)
    for _ in range(5000):
        law = law @ P
    law = 0.99 * law / law.sum() + 0.01 / mdp.n_states
    return MDP(mdp.transitions, mdp.cost, mdp.discount, law / law.sum())


@optlab.figure(id="pmd-rates", paper=PAPER, title="Exact policy mirror descent: step sizes and mirror maps")
def figure(scale: str, seed: int) -> optlab.Figure:
    n_states, n = at_scale(scale, (20, 40), (50, 200), (200, 2000))
    mdp = stationary_start(garnet(n_states, 4, 5, discount=0.9, seed=seed))
    k, theta = np.arange(n + 1), start_mismatch(mdp)
    gaps, rows, bounds, ratios = {}, [], {}, {}
    for name, phi in MAPS.items():
        for rule, steps in STEPS.items():
            history = run(mdp, PolicyMirrorDescent(phi, steps, diagnostics=True), n).history
            gap = gaps[name, rule] = history["gap"]
            divergence = float(history["divergence_to_optimal"][0])
            if rule == "constant, 1":
                bounds[name, rule] = sublinear_bound(k, 1.0, divergence, mdp.discount)
            elif rule == "growing by 1/γ":
                bounds[name, rule] = linear_bound(k, theta, gap[0], divergence, 1.0, mdp.discount)
            if (name, rule) in bounds:
                ratios[name, rule] = float(np.max(gap[gap > 1e-11] / bounds[name, rule][gap > 1e-11]))
            rows += [{"map": name, "steps": rule, "iteration": i, "gap": value} for i, value in zip(k, gap)]

    long = 20 * n
    euclidean = run(mdp, PolicyMirrorDescent("euclidean", 1.0), long, record=at_scale(scale, 10, 5))
    termination = euclidean.history["iteration"][euclidean.history["gap"] < 1e-13]
    termination = float(termination[0]) if len(termination) else np.inf

    def draw(axes):
        for ax, name in zip(axes, MAPS):
            for i, rule in enumerate(STEPS):
                ax.plot(k, visible(gaps[name, rule]), label=rule, **style(i) | {"markevery": 0.08})
            for rule, label in (("constant, 1", "bounds"), ("growing by 1/γ", None)):
                theory_line(ax, k, bounds[name, rule], label)
            ax.set(title=name, xlabel="iteration k", ylim=(1e-13, 1e3), xlim=(0, min(n, 200)))
            log_axes(ax, "y")
        axes[0].set_ylabel(r"gap $V_\rho(\pi_k) - V^*_\rho$")
        axes[-1].legend(loc="upper right")

    level = 1e-6 * float(gaps["negative entropy", "constant, 1"][0])
    needed = {key: first_below(np.arange(len(gap)), gap, level, np.inf) for key, gap in gaps.items()}
    growing = [needed[name, "growing by 1/γ"] for name in MAPS]
    adaptive = [needed[name, "adaptive"] for name in MAPS]
    enough = scale != "smoke"
    kl = gaps["negative entropy", "constant, 1"]
    late = slice(n // 4, n + 1)
    slope = float(np.polyfit(np.log(k[late]), np.log(np.maximum(kl[late], 1e-300)), 1)[0])
    claims = [
        ("No run exceeds its bound (largest gap over bound).", max(ratios.values()) <= 1.0, max(ratios.values())),
        (
            "With steps growing by 1/γ every map converges linearly: iterations to 1e-6 of the first gap.",
            all(count < 200 for count in growing) if enough else None,
            growing,
        ),
        (
            "So do adaptive steps, and in about as many iterations for every map (to 1e-6).",
            max(adaptive) - min(adaptive) <= 5 if enough else None,
            adaptive,
        ),
        (
            "With constant steps the entropy needs at least three times as many iterations as with growing ones.",
            needed["negative entropy", "constant, 1"] >= 3 * growing[0] if enough else None,
            needed["negative entropy", "constant, 1"],
        ),
        (
            "The O(1/k) bound is no description of that run, which falls faster than 1/k in the end (slope).",
            slope < -1.0 if enough else None,
            slope,
        ),
        (
            "The Euclidean map with constant steps reaches the optimal policy exactly (iterations; the entropy never).",
            np.isfinite(termination) if enough else None,
            termination,
        ),
    ]
    caption = (
        f"Garnet MDP, {n_states} states, 4 actions, discount 0.9; dashed: the bounds of Xiao (2022), Theorems 8 and "
        f"10, mismatch {theta:.3g}. All counts are policy evaluations."
    )
    return optlab.Figure(table(rows), draw, claims, caption, panels=(1, 3), figsize=(12.0, 3.6))
