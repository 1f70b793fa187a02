"""A chain on which no step sizes help: the lower bound for policy mirror descent and policy iteration.

Johnson, Pike-Burke and Rebeschini (2023) state a lower bound of this kind; their construction was not available, and
the chain is derived here (`optlab.policy.environments.lower_bound_chain`): from state i, going right leads to i - 1 and
in the end to the one choice that matters, going left to an exit worth a little more than the start policy's way to the
right. While the states nearer the end are not known to be good, left is the greedy action.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np

import optlab
from optlab.bregman import EuclideanMap, NegativeEntropyMap, TsallisMap
from optlab.policy import PolicyIteration, PolicyMirrorDescent, TabularPolicy
from optlab.policy.environments import lower_bound_chain, lower_bound_start
from optlab.policy.tabular.step_sizes import AdaptiveStepSize
from optlab.reproduce import Evidence, at_scale, theorem
from optlab.splitting import Geometric
from optlab.theorems.dapo._instances import DERIVED, JOHNSON, PAPER, nearest

LENGTH = 12


def _methods(scale: str) -> dict[str, Any]:
    found: dict[str, Any] = {"policy iteration": PolicyIteration()}
    for phi in at_scale(scale, (NegativeEntropyMap(),), (NegativeEntropyMap(), EuclideanMap(), TsallisMap(0.5))):
        found[f"{phi.label}, steps 1"] = PolicyMirrorDescent(phi, 1.0)
        found[f"{phi.label}, steps 1e8"] = PolicyMirrorDescent(phi, 1e8)
        found[f"{phi.label}, steps 2^k"] = PolicyMirrorDescent(phi, Geometric(1.0, growth=2.0))
        found[f"{phi.label}, adaptive steps"] = PolicyMirrorDescent(phi, AdaptiveStepSize())
    return found


def _distances(mdp: Any, method: Any, start: Any, n: int) -> Any:
    """Return ``||V_k - V*||_inf`` in the units of the reward, for k = 0, ..., n."""
    best = mdp.to_reward_value(mdp.optimal.values)
    policies = (method.iterate(mdp, state) for state in islice(optlab.iterate(mdp, method, x0=start), n + 1))
    return np.array([np.abs(mdp.to_reward_value(mdp.evaluate(policy).values) - best).max() for policy in policies])


def _chain(p: float, discount: float, calibration: str = "policy") -> tuple[Any, Any]:
    mdp = lower_bound_chain(LENGTH, p, discount, calibration=calibration)
    return mdp, TabularPolicy.from_probabilities(lower_bound_start(LENGTH, p))


def _settings(scale: str) -> Any:
    return at_scale(scale, ((0.5, 0.9), (1e-3, 0.9)), [(p, g) for p in (0.5, 0.1, 1e-3) for g in (0.9, 0.99)])


def _bound(p: float, discount: float) -> Any:
    k = np.arange(LENGTH)
    return discount**k / (1 - discount) * (1 - p) ** (k + 1)


def _lower_evidence(scale: str, methods: dict[str, Any], calibration: str = "policy") -> Evidence:
    cases = []
    for p, discount in _settings(scale):
        mdp, start = _chain(p, discount, calibration)
        for name, method in methods.items():
            distance = _distances(mdp, method, start, LENGTH - 1)
            cases.append((f"p = {p:g}, discount {discount:g}, {name}", _bound(p, discount), distance))
    evidence = nearest(cases, 1e-9, rtol=1e-3, ylabel="lower bound (observed) and ||V_k - V*||_inf (bound)")
    return evidence


@theorem(
    id="pmd-lower-bound",
    paper=PAPER,
    title="A chain on which no step sizes beat the discount",
    statement="""From a policy that goes right with probability p, ||V_k - V*||_inf >= gamma^k (1-p)^(k+1) /
    (1-gamma) for all k < n = 12 (up to the margin of 1e-6 of the exits), for policy iteration and for policy mirror
    descent with constant, huge, geometric and adaptive steps and every mirror map: as p goes to 0, the rate gamma
    cannot be beaten.""",
    assumptions=("the chain calibrated to the start policy", "p in (0, 1), k < n"),
    source=f"{DERIVED}, after {JOHNSON}, Theorem 4.2",
)
def lower_bound(scale: str, seed: int) -> Evidence:
    return _lower_evidence(scale, _methods(scale))


@lower_bound.control("exits calibrated to policy iteration, and two steps of mirror descent, 5 and 1e8")
def _(scale: str, seed: int) -> Evidence:
    two = PolicyMirrorDescent(NegativeEntropyMap(), lambda k: 5.0 if k == 0 else 1e8)
    return _lower_evidence("smoke", {"two steps": two}, calibration="greedy")


def _attained_evidence(scale: str, method: Any) -> Evidence:
    worst, detail = [], {}
    for p, discount in _settings(scale):
        mdp, start = _chain(p, discount)
        wanted = (_bound(p, discount) / (1 - p))[1:]
        # the margins of the exits add up along the chain
        difference = np.abs(_distances(mdp, method, start, LENGTH - 1)[1:] - wanted) - LENGTH * 1e-6
        worst.append(float(np.max(np.maximum(difference, 0.0) / wanted)))
        detail[f"p = {p:g}, discount {discount:g}"] = f"largest difference {worst[-1]:.2g}"
    return Evidence(
        np.arange(1, len(worst) + 1),
        worst,
        kind="identity",
        slack=1e-3,
        detail=detail,
        xlabel="setting, in the order of the detail",
        ylabel="largest relative difference",
    )


@theorem(
    id="pmd-lower-bound-attained",
    paper=PAPER,
    title="Policy iteration attains the lower bound as p goes to 0",
    statement="""On the chain policy iteration has ||V_k - V*||_inf = gamma^k (1-p)^k / (1-gamma) for 0 < k < n, up
    to the margins: 1/(1-p) times the lower bound.""",
    assumptions=("the chain calibrated to the start policy", "0 < k < n"),
    source=DERIVED,
)
def attained(scale: str, seed: int) -> Evidence:
    return _attained_evidence(scale, PolicyIteration())


@attained.control("policy mirror descent with steps 1")
def _(scale: str, seed: int) -> Evidence:
    return _attained_evidence("smoke", PolicyMirrorDescent(NegativeEntropyMap(), 1.0))


def _calibration_evidence(calibration: str) -> Evidence:
    """Contraction of policy iteration, and the distance of two steps of mirror descent, in units of the start's."""
    mdp, start = _chain(0.5, 0.9, calibration)
    iteration = _distances(mdp, PolicyIteration(), start, LENGTH - 1)
    descent = _distances(mdp, PolicyMirrorDescent(NegativeEntropyMap(), lambda k: 5.0 if k == 0 else 1e8), start, 2)
    deviations = [*(iteration[1:] / (0.9 * iteration[:-1]) - 1.0), descent[2] / descent[0]]
    return Evidence(
        np.arange(1, len(deviations) + 1),
        deviations,
        kind="identity",
        slack=1e-3,
        detail={"mirror descent after 0, 1, 2 iterations": ", ".join(f"{value:.4g}" for value in descent)},
        ylabel="ratio / discount - 1; last: mirror descent after 2",
    )


@theorem(
    id="pmd-lower-bound-calibration",
    paper=PAPER,
    title="A chain that is hard for policy iteration alone",
    statement="""With the exits calibrated to policy iteration instead (W_i = gamma u_i, p = 1/2), policy iteration
    contracts by exactly the discount, and yet policy mirror descent with one step of 5 and one of 1e8 is optimal
    after two iterations: the probability left over by a moderate step carries the information. No lower bound for
    mirror descent.""",
    assumptions=("exits calibrated to policy iteration", "discount 0.9, p = 1/2"),
    source=DERIVED,
)
def calibration(scale: str, seed: int) -> Evidence:
    return _calibration_evidence("greedy")


@calibration.control("exits calibrated to the start policy")
def _(scale: str, seed: int) -> Evidence:
    return _calibration_evidence("policy")
