r"""Error terms of approximate policy mirror descent, computed exactly, and the bounds that follow from them.

For one iteration with dual target g, fitted scores f, ``pi+ = Pi(g)`` and ``pi_{k+1} = Pi(f)``, under the laws
``d_k`` and ``d*`` of the states visited by pi_k and by the optimal policy:

    D_s   = D_{Phi*}(g_s, f_s)                                             dual error of a state (reverse order)
    Z_k   = E_{d*} [D_Phi(pi*, pi_{k+1}) - D_Phi(pi*, pi+)]                drift
    D*_k  = E_{d*} D_Phi(pi*, pi_k),   theta_k = |d* / d_k|_inf,   C_k = |d_{k+1} / d_k|_inf

and tau_Q bounds the error of the critic. The theory is derived here and verified numerically (the numbered theorems of
Xiong, Fazel and Xiao 2024 could not be consulted). From the three-point inequality with a dual error,

    theta (delta_{k+1} - delta_k) + delta_k
        <= (D*_k - D*_{k+1} + Z_k) / ((1-gamma) eta_k) + theta (E_{d_{k+1}} D / eta_k + 2 tau_Q) / (1-gamma)

for every theta >= theta_{k+1}, follow a bound on the average gap, one on the last gap, and, without mismatch and drift,
one in the sup norm. `running_bounds` evaluates them along a run: a posteriori bounds, which know the optimum.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.bregman.mirror_maps import MirrorMap
from optlab.policy.tabular.certificates import concentrability, divergence_to_optimal, mismatch, optimal_visitation
from optlab.policy.tabular.dual_certificates import drift, dual_sup_bound
from optlab.policy.tabular.step_sizes import greedy_divergence

__all__ = ["COLUMNS", "error_terms", "observed", "running_bounds"]

COLUMNS = (
    "step_size",
    "gap",
    "sup_gap",
    "divergence_to_optimal",
    "drift",
    "dual_error_reverse",
    "dual_error_forward",
    "dual_error_next",
    "dual_error_max",
    "mismatch",
    "concentrability",
    "critic_error",
    "greedy_divergence",
)


def error_terms(
    problem: Any,
    mirror_map: MirrorMap,
    batch: Any,
    target: np.ndarray,
    scores: np.ndarray,
    next_log_policy: np.ndarray,
    state: Any,
    following: Any,
) -> np.ndarray:
    """Return the terms of one iteration, in the order of `COLUMNS`.

    Parameters
    ----------
    problem : MDP
        Its optimum is used.
    mirror_map : MirrorMap
    batch : Batch
        Of all states: step size, the policy before, and the action values that the iteration used.
    target, scores, next_log_policy : ndarray, shape (S, A)
        g, f and the policy after.
    state, following : ApproximateState
        Before and after, with their exact values and state laws.
    """
    best_law = optimal_visitation(problem)
    with np.errstate(divide="ignore"):
        log_optimal = np.log(problem.optimal.probabilities)
    reverse = mirror_map.dual_divergence(target, scores)
    visitation, next_visitation = state.visitation, following.visitation
    gaps = state.values - problem.optimal.values
    terms = {
        "step_size": batch.step_size,
        "gap": problem.start @ gaps,
        "sup_gap": gaps.max(),
        "divergence_to_optimal": best_law @ mirror_map.divergence_from_log(log_optimal, batch.log_policy),
        "drift": best_law @ drift(mirror_map, log_optimal, next_log_policy, mirror_map.log_project(target)),
        "dual_error_reverse": visitation @ reverse,
        "dual_error_forward": visitation @ mirror_map.dual_divergence(scores, target),
        "dual_error_next": next_visitation @ reverse,
        "dual_error_max": reverse.max(),
        "mismatch": mismatch(best_law, next_visitation),
        "concentrability": concentrability(next_visitation, visitation),
        "critic_error": np.abs(batch.action_values - state.action_values).max(),
        "greedy_divergence": greedy_divergence(mirror_map, batch.action_values, batch.log_policy).max(),
    }
    return np.array([terms[name] for name in COLUMNS])


def running_bounds(trace: np.ndarray, discount: float) -> dict[str, float]:
    r"""Return the bounds after ``K = len(trace)`` iterations, with the quantities they bound where a trace has them.

    With eta non-decreasing and theta the largest mismatch seen, the first is ``(D*_0 / ((1-gamma) eta_0) + theta
    delta_0) / K`` plus the average of ``(Z_k + theta E_{d_{k+1}} D) / ((1-gamma) eta_k)`` and ``2 theta tau_Q /
    (1-gamma)``; with ``eta_{k+1} >= eta_k theta / (theta - 1)`` and ``q = 1 - 1/theta`` the second is ``q^K (delta_0 +
    D*_0 / ((1-gamma) eta_0 (theta - 1)))`` plus the terms weighted by ``q^(K-1-k)``. Where a step-size rule does not
    grow as they ask for, the terms ``D*_k`` that then do not cancel are added, so that they hold for every rule.

    Parameters
    ----------
    trace : ndarray, shape (K, len(COLUMNS))
        Rows of `error_terms`.
    discount : float

    Returns
    -------
    dict
        ``average_gap`` of the iterates 0, ..., K-1 and ``average_gap_bound``; ``gap_bound`` on the gap of iterate K;
        ``sup_gap_bound`` on ``|V_K - V*|_inf``.
    """
    column = {name: trace[:, i] for i, name in enumerate(COLUMNS)}
    eta, gap, divergence = column["step_size"], column["gap"], column["divergence_to_optimal"]
    K, horizon = len(trace), 1.0 / (1.0 - discount)
    theta = float(column["mismatch"].max())
    q = 1.0 - 1.0 / theta
    dual, critic = column["dual_error_next"], 2.0 * column["critic_error"]

    def telescoped(weights: np.ndarray) -> float:
        # sum of weights_k (D*_k - D*_{k+1}), by parts, D*_K >= 0 dropped
        return float(weights[0] * divergence[0] + np.maximum(np.diff(weights), 0.0) @ divergence[1:])

    average = theta * gap[0] + horizon * (
        telescoped(1.0 / eta) + np.sum((column["drift"] + theta * dual) / eta) + theta * critic.sum()
    )
    decay = q ** np.arange(K - 1, -1, -1)
    last = q**K * gap[0] + horizon * (
        telescoped(decay / eta) / theta + decay @ ((column["drift"] / theta + dual) / eta + critic)
    )
    slacks = (column["greedy_divergence"] + eta * critic) / eta
    sup = dual_sup_bound(column["sup_gap"][0], slacks, eta, column["dual_error_max"], discount)
    return {
        "average_gap": float(gap.mean()),
        "average_gap_bound": float(average) / K,
        "gap_bound": float(last),
        "sup_gap_bound": float(sup[-1]),
    }


def observed(problem: Any, mirror_map: MirrorMap, policy: Any, state: Any) -> dict[str, float]:
    """Return what a run's trace says at `state`, whose policy is `policy`: error terms, and the running bounds."""
    best_law = optimal_visitation(problem)
    gaps = state.values - problem.optimal.values
    if not state.k:
        gap = float(problem.start @ gaps)
        last = dict.fromkeys(COLUMNS, 0.0) | {"concentrability": 1.0}
        bounds = dict.fromkeys(("average_gap", "average_gap_bound", "gap_bound"), gap)
        bounds["sup_gap_bound"] = float(gaps.max())
    else:
        last = dict(zip(COLUMNS, state.trace[-1]))
        bounds = running_bounds(state.trace, problem.discount)
    in_costs = {"sup_gap": float(gaps.max()), "critic_error": float(last["critic_error"])} | bounds
    names = ("drift", "dual_error_reverse", "dual_error_forward", "dual_error_max", "concentrability")
    return {
        "divergence_to_optimal": divergence_to_optimal(problem, policy, mirror_map, best_law),
        "mismatch": mismatch(best_law, state.visitation),
        **{name: float(last[name]) for name in names},
        **{name: problem.unit * value for name, value in in_costs.items()},
    }
