"""Linear MDP: scores can represent every dual point, and methods with one mirror map lose nothing; AMPO does.

The dual point of softmax policies without its normaliser is linear in the features; with it, it is not. A method that
projects with the entropy and fits the normalised dual by squares mixes two geometries, and stalls.
"""

from __future__ import annotations

import numpy as np

import optlab
from optlab.plotting import log_axes
from optlab.policy import (
    AMPO,
    DAPO,
    FisherScoring,
    LinearFeatures,
    NaturalPolicyGradient,
    Newton,
    PolicyMirrorDescent,
    QNaturalPolicyGradient,
    linear_mdp,
)
from optlab.reproduce import at_scale, table

from ._common import PAPER, look, run, visible


@optlab.figure(id="dapo-linear-mdp", paper=PAPER, title="Scores that can represent the dual: consistent maps")
def figure(scale: str, seed: int) -> optlab.Figure:
    n, seeds = at_scale(scale, (8, 1), (40, 5), (200, 20))
    gaps, apart = {}, {}
    for draw_ in range(seeds):
        mdp = linear_mdp(seed=seed + draw_)
        X = LinearFeatures(mdp.features)
        methods = {
            "tabular": PolicyMirrorDescent("kl", 1.0),
            "DAPO-KL, reverse": DAPO(policy=X, inner=FisherScoring(max_iter=20)),
            "DAPO-KL, forward": DAPO(policy=X, order="forward", inner=Newton(ridge=1e-10)),
            "natural policy gradient": NaturalPolicyGradient(policy=X, ridge=1e-13),
            "Q-NPG": QNaturalPolicyGradient(policy=X),
            "AMPO, normalised": AMPO(policy=X, dual="normalised"),
        }
        results = {name: run(mdp, method, n, seed=seed) for name, method in methods.items()}
        exact = results["tabular"].solution.probabilities()
        for name, result in results.items():
            gaps.setdefault(name, []).append(result.history["gap"])
            apart.setdefault(name, []).append(float(np.max(np.abs(result.solution.probabilities() - exact))))
    gaps = {name: np.array(values) for name, values in gaps.items()}
    k = np.arange(n + 1)
    rows = [
        {"method": name, "seed": i, "iteration": j, "gap": value}
        for name, values in gaps.items()
        for i, gap in enumerate(values)
        for j, value in enumerate(gap)
    ]

    def draw(ax):
        for offset, (name, values) in enumerate(gaps.items()):
            # coinciding lines: markers at different places show that all are there
            every = (2 * offset, 12) if scale != "smoke" else 1
            ax.plot(k, visible(np.median(values, axis=0)), label=name, **look(name, every))
        ax.set(xlabel="iteration k", ylabel=r"gap $V_\rho(\pi_k) - V^*_\rho$", xlim=(0, n))
        log_axes(ax, "y")
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))

    last = {name: float(np.median(values[:, -1])) for name, values in gaps.items()}
    worst = {name: max(values) for name, values in apart.items()}
    ratio = last["AMPO, normalised"] / last["tabular"]
    claims = [
        (
            "DAPO-KL in both orders ends at the policy of tabular mirror descent (largest difference).",
            max(worst["DAPO-KL, reverse"], worst["DAPO-KL, forward"]) < 1e-4,
            [worst["DAPO-KL, reverse"], worst["DAPO-KL, forward"]],
        ),
        (
            "So do the natural policy gradient and Q-NPG (largest difference).",
            max(worst["natural policy gradient"], worst["Q-NPG"]) < 1e-7,
            [worst["natural policy gradient"], worst["Q-NPG"]],
        ),
        (
            "AMPO with its dual normalised stalls: its last gap is more than ten times the tabular one (ratio).",
            ratio > 10 if scale != "smoke" else None,
            ratio,
        ),
    ]
    caption = (
        f"Linear MDP, 60 states, 4 actions, 8 features, discount 0.9, constant steps of 1, exact expectations; median "
        f"of {seeds} seeds. Five of the six lines coincide."
    )
    return optlab.Figure(table(rows), draw, claims, caption, figsize=(8.4, 3.8))
