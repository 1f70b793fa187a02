"""Function approximation: which method is which other one, exactly.

Equivalences are checked by running both methods side by side, identities at random points.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np

import optlab
from optlab.bregman import EuclideanMap, NegativeEntropyMap, TsallisMap
from optlab.policy import (
    AMPO,
    DAPO,
    LinearFeatures,
    NaturalPolicyGradient,
    PolicyMirrorDescent,
    QNaturalPolicyGradient,
)
from optlab.policy.approximate.inner import FisherScoring, Newton
from optlab.policy.approximate.losses import DualDivergence, PenalizedCost, soft_actor_loss
from optlab.policy.environments import garnet, linear_mdp
from optlab.reproduce import Evidence, at_scale, theorem
from optlab.theorems.dapo._instances import DERIVED, PAPER

ENTROPY = NegativeEntropyMap()


def _policies(problem: Any, method: Any, n: int, seed: int = 0) -> Any:
    """Yield the probabilities of the policies 0, ..., n."""
    for state in islice(optlab.iterate(problem, method, seed=seed), n + 1):
        yield method.iterate(problem, state).probabilities()


def _deviations(problem: Any, method: Any, reference: Any, n: int) -> Any:
    runs = zip(_policies(problem, method, n), _policies(problem, reference, n), strict=True)
    return np.array([float(np.max(np.abs(left - right))) for left, right in runs])


# ------------------------------------------------------------------------------------------------ losses


def _loss_evidence(scale: str, seed: int, order: str) -> Evidence:
    """Differences of eta times MDPO's loss, and of SAC's, from DAPO's: value and gradient at random scores."""
    etas, found = (0.1, 1.0, 10.0, 100.0), []
    for eta in etas:
        worst = 0.0
        for draw in range(at_scale(scale, 5, 50)):
            rng = np.random.default_rng([seed, draw])
            Q, scores, weights = rng.random((8, 4)), rng.normal(size=(8, 4)), rng.dirichlet(np.ones(8))
            log_policy = ENTROPY.log_project(rng.normal(size=(8, 4)))
            target = log_policy - eta * Q
            dual, penalized = (
                DualDivergence(ENTROPY, target, weights, order),
                PenalizedCost(Q, weights, 1 / eta, log_policy),
            )
            offset = float(weights @ ENTROPY.conjugate(target))
            size = 1.0 + eta
            worst = max(worst, abs(eta * penalized.value(scores) + offset - dual.value(scores)) / size)
            difference = eta * penalized.gradient(scores) - dual.gradient(scores)
            worst = max(worst, float(np.max(np.abs(difference))) / size)
            # soft actor-critic: temperature 1 / eta, no earlier policy
            soft = DualDivergence(ENTROPY, -eta * Q, weights, order)
            worst = max(worst, abs(soft_actor_loss(scores, Q, 1 / eta, weights) - soft.value(scores)) / size)
        found.append(worst)
    return Evidence(np.log10(etas), found, kind="identity", slack=1e-13, xlabel="log10 of eta", ylabel="difference")


@theorem(
    id="dapo-special-losses",
    paper=PAPER,
    title="The losses of MDPO and of soft actor-critic are the reverse loss of DAPO",
    statement="""eta times MDPO's loss E[<Q, pi> + KL(pi || pi_k) / eta] is the reverse Kullback-Leibler loss less E
    logsumexp(log pi_k - eta Q), which does not depend on the parameters: the same gradient. The actor loss of soft
    actor-critic at temperature tau is the reverse loss with target -Q / tau.""",
    assumptions=("negative entropy", "reverse order D_{Phi*}(g, f)"),
    source="Xiong, Fazel, Xiao 2024 (soft actor-critic as a special case); offsets " + DERIVED,
)
def special_losses(scale: str, seed: int) -> Evidence:
    return _loss_evidence(scale, seed, "reverse")


@special_losses.control("the forward order")
def _(scale: str, seed: int) -> Evidence:
    return _loss_evidence("smoke", seed, "forward")


# ------------------------------------------------------------------------------------------------ equivalences


def _natural_gradient_evidence(scale: str, seed: int, inner: Any, order: str) -> Evidence:
    mdp, features = garnet(30, 4, 5, discount=0.9, seed=seed), LinearFeatures.gaussian(30, 4, 20, seed=seed)
    n, worst = at_scale(scale, 5, 30), 0.0
    for eta in (0.5, 2.0):
        natural = NaturalPolicyGradient(policy=features, step_size=eta)
        dual = DAPO(policy=features, step_size=eta, order=order, inner=inner)
        worst = np.maximum(worst, _deviations(mdp, dual, natural, n))
    return Evidence(
        np.arange(n + 1), worst, kind="equivalence", slack=1e-9, ylabel="largest difference of the policies"
    )


@theorem(
    id="dapo-natural-gradient",
    paper=PAPER,
    title="One full Fisher-scoring step of the reverse problem is the natural policy gradient",
    statement="""With log-linear policies, DAPO in the reverse Kullback-Leibler order with one full Fisher-scoring
    step per iteration takes the steps of the natural policy gradient with compatible features.""",
    assumptions=("scores linear in the parameters", "one full step from theta_k", "the same ridge"),
    source=DERIVED,
)
def natural_gradient(scale: str, seed: int) -> Evidence:
    return _natural_gradient_evidence(scale, seed, FisherScoring(max_iter=1, line_search=False, tol=0.0), "reverse")


@natural_gradient.control("one Newton step of the forward problem")
def _(scale: str, seed: int) -> Evidence:
    return _natural_gradient_evidence("smoke", seed, Newton(max_iter=1), "forward")


def _tabular_evidence(scale: str, seed: int, policy: Any) -> Evidence:
    mdp, n, found, detail = garnet(20, 4, 4, discount=0.9, seed=seed), at_scale(scale, 8, 40), 0.0, {}
    for phi in (NegativeEntropyMap(), EuclideanMap(), TsallisMap(0.5)):
        for order in ("reverse", "forward"):
            dual = DAPO(mirror_map=phi, order=order, policy=policy, step_size=1.0)
            deviations = _deviations(mdp, dual, PolicyMirrorDescent(phi, 1.0), n)
            detail[f"{phi.label}, {order}"] = f"{float(deviations.max()):.2g}"
            found = np.maximum(found, deviations)
    return Evidence(
        np.arange(n + 1),
        found,
        kind="equivalence",
        slack=1e-6,
        detail=detail,
        ylabel="largest difference of the policies",
    )


@theorem(
    id="dapo-tabular",
    paper=PAPER,
    title="With scores in a table DAPO is policy mirror descent",
    statement="""If the function class is a table of scores, the dual approximation is exact and DAPO is policy
    mirror descent, in both orders and for every mirror map.""",
    assumptions=("tabular scores", "exact critic"),
    source="Xiong, Fazel, Xiao 2024, by construction",
)
def tabular(scale: str, seed: int) -> Evidence:
    return _tabular_evidence(scale, seed, None)


@tabular.control("60 random features for 80 pairs of state and action")
def _(scale: str, seed: int) -> Evidence:
    return _tabular_evidence("smoke", seed, LinearFeatures.gaussian(20, 4, 60, seed=0))


def _realisable_evidence(scale: str, seed: int, methods: dict[str, tuple[Any, float]]) -> Evidence:
    n, worst, detail = at_scale(scale, 10, 30), 0.0, {}
    mdp = linear_mdp(seed=seed)
    reference = PolicyMirrorDescent(NegativeEntropyMap(), 1.0)
    for name, (make, tolerance) in methods.items():
        deviations = _deviations(mdp, make(LinearFeatures(mdp.features)), reference, n)
        detail[name] = f"{float(deviations.max()):.2g} (allowed {tolerance:g})"
        worst = np.maximum(worst, deviations / tolerance)
    return Evidence(np.arange(n + 1), worst, 1.0, detail=detail, ylabel="difference of the policies over the tolerance")


@theorem(
    id="dapo-realisable",
    paper=PAPER,
    title="Linear MDP: where scores can represent the dual, nothing is lost",
    statement="""On a linear MDP with its own features, DAPO-KL (1e-4), the natural policy gradient (1e-7) and Q-NPG
    without centring (1e-7) with log-linear policies all follow tabular policy mirror descent.""",
    assumptions=("action values linear in the features", "exact expectations", "constant step size 1"),
    source=DERIVED,
)
def realisable(scale: str, seed: int) -> Evidence:
    methods = {
        "DAPO-KL, reverse": (lambda X: DAPO(policy=X, inner=FisherScoring(max_iter=20)), 1e-4),
        "DAPO-KL, forward": (lambda X: DAPO(policy=X, order="forward", inner=Newton(ridge=1e-10)), 1e-4),
        "natural policy gradient": (lambda X: NaturalPolicyGradient(policy=X, ridge=1e-13), 1e-7),
        "Q-NPG": (lambda X: QNaturalPolicyGradient(policy=X), 1e-7),
    }
    return _realisable_evidence(scale, seed, methods)


@realisable.control("AMPO with its dual normalised: another map for the projection than for the approximation")
def _(scale: str, seed: int) -> Evidence:
    method = {"AMPO, normalised": (lambda X: AMPO(policy=X, dual="normalised"), 1e-4)}
    return _realisable_evidence("smoke", seed, method)


def _convex_program(features: Any, labels: Any, weights: Any, ridge: float) -> Any:
    import cvxpy as cp

    theta = cp.Variable(features.shape[2])
    scores = [row @ theta for row in features]
    loss = sum(w * (cp.log_sum_exp(f) - p @ f) for w, f, p in zip(weights, scores, labels))
    problem = cp.Problem(cp.Minimize(loss + ridge / 2 * cp.sum_squares(theta)))
    problem.solve(solver="CLARABEL", tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    return theta.value


def _newton_evidence(scale: str, seed: int, order: str) -> Evidence:
    draws, found = range(at_scale(scale, 2, 8)), []
    for draw in draws:
        rng = np.random.default_rng([seed, draw])
        features, target = rng.normal(size=(15, 4, 6)), rng.normal(size=(15, 4)) * 2.0
        weights, ridge = rng.dirichlet(np.ones(15)), 1e-4
        loss = DualDivergence(ENTROPY, target, weights, order)
        inner = Newton(ridge=ridge) if order == "forward" else FisherScoring(max_iter=200, ridge=ridge)
        theta = inner.minimize(loss, LinearFeatures(features), np.zeros(6), None, rng).theta
        wanted = _convex_program(features, ENTROPY.project(target), weights, ridge)
        found.append(float(np.max(np.abs(theta - wanted))))
    return Evidence(
        np.arange(1, len(found) + 1), found, kind="identity", slack=1e-4, xlabel="problem", ylabel="difference of theta"
    )


@theorem(
    id="dapo-forward-newton",
    paper=PAPER,
    title="The forward fit is the solution of a convex program",
    statement="""Newton's method on the forward loss with linear scores finds the solution that CVXPY finds for
    multinomial logistic regression with the soft labels Pi(g): parameters within 1e-4.""",
    assumptions=("forward order", "linear scores", "the same ridge"),
    source=DERIVED,
)
def forward_newton(scale: str, seed: int) -> Evidence:
    return _newton_evidence(scale, seed, "forward")


@forward_newton.control("the reverse order")
def _(scale: str, seed: int) -> Evidence:
    return _newton_evidence("smoke", seed, "reverse")
