"""Rates over a parameter: theory, the worst case of the class, and what is measured, in one picture.

Left: the contraction of one Douglas-Rachford step on strongly convex and smooth functions, over the step size. Right:
the residual after four steps for any two monotone operators, over the relaxation. The worst cases are those of the
checks `worst-dr-*`, from the method's own step by semidefinite programming.
"""

from __future__ import annotations

import numpy as np

import optlab
from optlab.plotting import log_axes, style, theory_line
from optlab.reproduce import at_scale
from optlab.splitting import BregmanDouglasRachford
from optlab.theorems.worst_cases._cases import CASES, instances, measured
from optlab.theorems.worst_cases._values import VALUES
from optlab.theorems.worst_cases.splitting import contraction
from optlab.theory import ConvexPair, MonotonePair

CLASS, STEPS = ConvexPair(10.0, 1.0), 4


def worst(prefix: str, k: int, parameter) -> tuple[np.ndarray, np.ndarray]:
    """Return the parameter and the kept worst case after k steps of all checks whose id begins with `prefix`."""
    cases = sorted((c for c in CASES.values() if c.id.startswith(prefix)), key=lambda c: parameter(c.method))
    values = [VALUES[c.id]["value"][c.ks.index(k)] for c in cases]
    return np.array([parameter(c.method) for c in cases]), np.array(values)


def largest(method: BregmanDouglasRachford, problem_class, k: int, metric: str) -> float:
    """Return the largest value on small linear members of the class."""
    return max(float(measured(method, pair, (k,), metric)[0]) for pair in instances(problem_class))


@optlab.figure(id="worst-rates", paper="worst-cases", title="Theory, worst case and measurement over a parameter")
def figure(scale: str, seed: int) -> optlab.Figure:
    n = at_scale(scale, 9, 33)
    at, residual_worst = worst("worst-dr-residual-", STEPS, lambda m: m.relaxation)
    gammas, relaxations = np.geomspace(0.1, 3.0, n), np.union1d(np.linspace(0.25, 1.75, n), at)
    bound = {r: np.array([contraction(1, g, r, 1.0, 10.0) for g in gammas]) for r in (1.0, 1.5)}
    seen = {
        r: np.array([largest(BregmanDouglasRachford(float(g), r), CLASS, 1, "distance") for g in gammas]) for r in bound
    }
    gamma, kept = worst("worst-dr-linear", 1, lambda m: (m.relaxation, m.step_size))
    exact = {r: (gamma[gamma[:, 0] == r, 1], kept[gamma[:, 0] == r]) for r in bound}
    residual_bound = relaxations / ((2 - relaxations) * (STEPS + 1))
    residual = np.array(
        [largest(BregmanDouglasRachford(1.0, float(r)), MonotonePair(), STEPS, "residual") for r in relaxations]
    )

    def draw(axes):
        left, right = axes
        for i, r in enumerate(bound):
            look = style(i) | {"linestyle": "", "markevery": 1}
            theory_line(left, gammas, bound[r], label="theory" if i == 0 else None)
            left.plot(gammas, seen[r], label=f"measured, λ = {r:g}", color=look["color"], linewidth=1.0)
            left.plot(*exact[r], label=f"worst case, λ = {r:g}", **look)
        left.set(xlabel="step size γ", ylabel=r"$\|z_1-z^*\|^2 / \|z_0-z^*\|^2$", title="μ-strongly convex, L = 10 μ")
        log_axes(left, "x")
        left.legend(loc="lower right", fontsize=7.5)
        theory_line(right, relaxations, residual_bound, label="theory")
        right.plot(relaxations, residual, label="measured", color=style(0)["color"], linewidth=1.0)
        right.plot(at, residual_worst, label="worst case", **(style(0) | {"linestyle": "", "markevery": 1}))
        right.set(
            xlabel="relaxation λ", ylabel=rf"$\|z_{STEPS}-Tz_{STEPS}\|^2/\|z_0-z^*\|^2$", title="any monotone operators"
        )
        log_axes(right, "y")
        right.legend(loc="upper left")

    gap = max(
        float(np.max(np.abs(v / [contraction(1, g, r, 1.0, 10.0) for g in gs] - 1))) for r, (gs, v) in exact.items()
    )
    reached = min(float(np.min(seen[r] / bound[r])) for r in bound)
    slack = at / ((2 - at) * (STEPS + 1)) / residual_worst
    above = float(np.max(residual[np.searchsorted(relaxations, at)] / residual_worst))
    claims = [
        ("The contraction of theory is the worst case at every step size (largest difference)", gap < 1e-4, gap),
        ("Small linear problems attain it over all step sizes (smallest share)", reached > 0.999, reached),
        (
            "The bound on the residual is attained at no relaxation: 1.5 times the worst case or more (smallest)",
            float(slack.min()) > 1.5,
            float(slack.min()),
        ),
        ("No measured residual exceeds the worst case (largest share)", above <= 1 + 1e-6, above),
    ]
    tables = {
        "contraction": {
            "step_size": gammas,
            **{f"theory_{r:g}": bound[r] for r in bound},
            **{f"measured_{r:g}": seen[r] for r in seen},
        },
        "residual": {"relaxation": at, "worst_case": residual_worst},
    }
    return optlab.Figure(tables, draw, claims, panels=(1, 2), figsize=(8.6, 3.4))
