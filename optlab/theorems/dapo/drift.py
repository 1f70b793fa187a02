"""One step with a dual error, and the drift: what the optimal policy sees of an approximate step.

With f the fitted dual point, g its target, ``pi_{k+1} = Pi(f)`` and ``pi+ = Pi(g)``, the drift of a state is
``zeta = D(pi*, pi_{k+1}) - D(pi*, pi+)``. Derived here; verified along runs of policy mirror descent with noise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.bregman import EuclideanMap
from optlab.policy.tabular.dual_certificates import drift, dual_recursion
from optlab.reproduce import Evidence, at_scale, theorem
from optlab.theorems.dapo._instances import (
    DERIVED,
    OTHER_MAPS,
    PAPER,
    STEEP_MAPS,
    nearest,
    random_rows,
    random_scores,
)
from optlab.theorems.dapo.noise import noisy_runs


def _one_step_evidence(scale: str, seed: int, counted: float) -> Evidence:
    cases = []
    for name, run, critic in noisy_runs(scale, seed, 1.0):
        gamma, theta = run.mdp.discount, run.mismatch[1:]
        sides = [
            dual_recursion(
                *(theta[k], run.gap[k], run.gap[k + 1], run.divergence[k], run.divergence[k + 1], run.steps[k], gamma),
                drift=counted * run.drift[k],
                dual_error=counted * run.dual_error[k],
                critic_error=critic,
            )
            for k in range(len(run.steps))
        ]
        left, right = np.transpose(sides)
        # both sides may have any sign: compared after the size of their terms is added
        size = theta * (run.gap[1:] + run.gap[:-1] + 1e-4 * np.abs(run.values).max()) + np.abs(right)
        cases.append((name, (left + size) / size, (right + size) / size))
    return nearest(cases, 1e-7, ylabel="left side, scaled and raised by 1")


@theorem(
    id="dapo-one-step",
    paper=PAPER,
    title="One step with a dual error",
    statement="""theta (delta_{k+1} - delta_k) + delta_k <= (D*_k - D*_{k+1} + Z_k) / ((1-gamma) eta_k)
    + theta (error_k / eta_k + 2 tau) / (1-gamma), with theta the mismatch of the next policy, Z_k the drift as seen
    from the optimal policy and error_k the dual error under the next visitation.""",
    assumptions=("critic errors at most tau", "f arbitrary", "start law positive"),
    source=DERIVED,
)
def one_step(scale: str, seed: int) -> Evidence:
    return _one_step_evidence(scale, seed, 1.0)


@one_step.control("drift and dual error left out")
def _(scale: str, seed: int) -> Evidence:
    return _one_step_evidence("smoke", seed, 0.0)


def _fits(rng: Any, n: int) -> tuple[Any, Any]:
    """Return targets g and fitted points f, from nearly exact to unrelated."""
    g = random_scores(rng, n, 5)
    return g, g + rng.normal(size=g.shape) * 10.0 ** rng.uniform(-3, 0.7, size=(n, 1))


def _identity_evidence(scale: str, seed: int, maps: Any) -> Evidence:
    worst, n = [], at_scale(scale, 1500, 20_000)
    for i, phi in enumerate(maps):
        rng = np.random.default_rng([seed, i])
        g, f = _fits(rng, n)
        updated, exact, p = phi.project(f), phi.project(g), random_rows(rng, n, 5)
        with np.errstate(divide="ignore", invalid="ignore"):
            moved = drift(phi, np.log(p), phi.log_project(f), phi.log_project(g))
        terms = (np.sum((g - f) * (p - updated), axis=1), -moved, -phi.divergence(updated, exact))
        size = 1.0 + np.sum(np.abs(terms), axis=0)
        finite = np.isfinite(size)
        worst.append(float(np.max(np.abs(np.sum(terms, axis=0)[finite]) / size[finite])))
    return Evidence(
        np.arange(1, len(worst) + 1),
        worst,
        kind="identity",
        slack=1e-11,
        detail={"maps": ", ".join(phi.label for phi in maps), "draws for each": n},
        xlabel="map, in the order of the detail",
        ylabel="left side less right side, scaled",
    )


@theorem(
    id="dapo-drift",
    paper=PAPER,
    title="Steep maps: the drift is linear in the error of the dual point",
    statement="""For steep Phi and every policy row p, <g - f, p - pi_{k+1}> = zeta + D_Phi(pi_{k+1}, pi+) with
    zeta = D_Phi(p, pi_{k+1}) - D_Phi(p, pi+).""",
    assumptions=("Phi steep",),
    source=DERIVED,
)
def linear_drift(scale: str, seed: int) -> Evidence:
    return _identity_evidence(scale, seed, STEEP_MAPS)


@linear_drift.control("maps that are not steep")
def _(scale: str, seed: int) -> Evidence:
    return _identity_evidence("smoke", seed, OTHER_MAPS)


def _euclidean_evidence(scale: str, seed: int, factor: float) -> Evidence:
    phi, n = EuclideanMap(domain="full"), at_scale(scale, 1500, 20_000)
    rng = np.random.default_rng(seed)
    g, f = _fits(rng, n)
    updated = phi.project(f)
    # the vertex that suffers most, and an error along the edge from the policy to it: the bound is nearly attained
    p = np.eye(5)[np.argmin(updated, axis=1)]
    along = p - updated
    g = f + along * (np.linalg.norm(g - f, axis=1) / np.linalg.norm(along, axis=1))[:, None]
    left = np.sum((g - f) * along, axis=1)
    right = 2.0 * np.sqrt(factor * phi.dual_divergence(f, g))
    order = np.argsort(right / left)[:40]
    return Evidence(np.arange(len(order)), left[order] / right[order], 1.0, rtol=1e-9, ylabel="left side / right side")


@theorem(
    id="dapo-drift-euclidean",
    paper=PAPER,
    title="The Euclidean map: the drift is at most a root of the dual error",
    statement="<g - f, p - pi_{k+1}> <= 2 sqrt(D_{Phi*}(f, g)) for every policy row p.",
    assumptions=("Phi half the squared norm, on the full space",),
    source=DERIVED,
)
def euclidean_drift(scale: str, seed: int) -> Evidence:
    return _euclidean_evidence(scale, seed, 1.0)


@euclidean_drift.control("half the dual error")
def _(scale: str, seed: int) -> Evidence:
    return _euclidean_evidence("smoke", seed, 0.5)
