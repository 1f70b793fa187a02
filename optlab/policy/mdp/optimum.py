"""The optimum of an MDP, and the policy iteration that it is computed by (Howard 1960), on plain arrays.

`howard_step` is the iteration of `optlab.policy.PolicyIteration` too, which makes a method of it. Nothing here needs
the class of the problem: its passes over the transitions are enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from optlab.policy.mdp.evaluation import DENSE_LIMIT, solve_values
from optlab.policy.mdp.passes import Rows
from optlab.policy.ownership import frozen

__all__ = ["Improved", "OptimalSolution", "bellman_bound", "howard_step", "improved", "reference"]


@dataclass(frozen=True, eq=False)
class OptimalSolution:
    """An optimal policy and its values.

    Attributes
    ----------
    values : ndarray, shape (S,)
        ``V*``, in cost form.
    action_values : ndarray, shape (S, A)
        ``Q*``.
    policy : ndarray of int, shape (S,)
        An optimal action per state.
    probabilities : ndarray, shape (S, A)
        The same policy as a table of zeros and ones.
    """

    values: np.ndarray
    action_values: np.ndarray
    policy: np.ndarray
    probabilities: np.ndarray


class Improved(NamedTuple):
    """A policy with its values, and the policy that is greedy for them.

    Attributes
    ----------
    values : ndarray, shape (S,)
    policy, better : ndarray
    changes : int
        States where the two differ.
    error : float
        A bound on ``|values - V*|_inf``.
    excess : float
        A bound on ``T^pi V - V``, rounding included.
    gap : float
        A bound on ``|V^pi - V*|_inf``.
    accuracy : float
        A bound on the relative error of `values`.
    products, solves : int
        Products with ``P_pi`` and linear systems that it took.
    """

    values: np.ndarray
    policy: np.ndarray
    better: np.ndarray
    changes: int
    error: float
    excess: float
    gap: float
    accuracy: float
    products: int = 0
    solves: int = 0


def bellman_bound(rows: Rows, low: float, high: float, values: np.ndarray) -> float:
    """Return the bound on ``|V - V*|_inf`` that ``low <= T V - V <= high`` gives, rounding included."""
    return (max(abs(low), abs(high)) + rows.rounding(values)) / (1.0 - rows.discount)


def improved(rows: Rows, values: np.ndarray, policy: np.ndarray, accuracy: float, tol: float) -> Improved:
    """Return the policy made greedy for its `values`; two actions that differ by less than their error are a tie."""
    rounding, excess = rows.rounding(values), np.nan
    if policy.ndim == 2:
        _, better, low, high = rows.greedy_backup(values)
        changes = rows.n_states
    else:
        slack = 4.0 * max(tol, 1e-15) * float(np.abs(values).max())
        better, changes, low, high, excess = rows.improve(values, policy, slack)
    excess += rounding
    gap = max(excess - low + rounding, 0.0) / (1.0 - rows.discount)
    error = bellman_bound(rows, low, high, values)
    return Improved(values, policy, better, changes, error, excess, gap, accuracy)


def howard_step(
    rows: Rows, policy: np.ndarray, guess: np.ndarray, error: float, tol: float, forcing: float
) -> Improved:
    """Evaluate `policy` (one action per state) and improve it.

    The evaluation starts from `guess`, whose distance to the optimum is at most `error`, and is as accurate as
    `forcing` asks for; a policy that does not change is evaluated again to `tol`.
    """
    csr, right = rows.chosen(policy)
    weights, scale = np.ones((right.size, 1)), float(np.abs(guess).max())
    # without values to compare with, the first policy is evaluated as roughly as is allowed at all
    loose = forcing * error * (1.0 - rows.discount) / scale if scale else forcing
    goal, products, solves = max(tol, min(loose, 1e-2)), 0, 0
    while True:
        guess, made = solve_values(csr, weights, right, rows.discount, guess=guess, tol=goal, direct=False)
        found = improved(rows, guess, policy, goal, tol)
        products, solves = products + max(made, 1), solves + 1
        if found.changes or goal <= tol:
            return found._replace(products=products, solves=solves)
        goal = tol


def reference(mdp: Any) -> OptimalSolution:
    """Return an optimal policy of an MDP with its values, by policy iteration."""
    rows, tol, forcing = mdp.rows, 1e-12, 0.1
    values = np.zeros(rows.n_states)
    _, policy, low, high = rows.greedy_backup(values)
    found = howard_step(rows, policy, values, bellman_bound(rows, low, high, values), tol, forcing)
    while found.changes:
        found = howard_step(rows, found.better, found.values, found.error, tol, forcing)
    policy, values = found.policy, found.values
    if rows.n_states <= DENSE_LIMIT:  # without the errors of an iterative solver: ties are told apart to rounding
        values = _solved(rows, policy)
        while True:
            better, changes, *_ = rows.improve(values, policy, 2.0 * rows.rounding(values))
            following = _solved(rows, better) if changes else values
            if not following.sum() < values.sum():
                break
            policy, values = better, following
    arrays = values, mdp.action_values(values), policy, mdp.probabilities_of(policy)
    return OptimalSolution(*map(frozen, arrays))


def _solved(rows: Rows, policy: np.ndarray) -> np.ndarray:
    csr, right = rows.chosen(policy)
    return solve_values(csr, np.ones((right.size, 1)), right, rows.discount)[0]
