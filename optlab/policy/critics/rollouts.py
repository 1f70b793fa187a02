"""Samples of trajectories, many at once: states by geometric stopping, Monte-Carlo returns, transitions.

They need an environment that can be set to any state (a generative model), with two methods,

    reset(n, rng)               -> states, one row each, drawn from the start law
    draw(states, actions, rng)  -> next states, costs, and which trajectories have ended

`simulator` gives them to an `optlab.policy.MDP`. A trajectory that has ended costs nothing any more. Everything is
vectorised over trajectories; a transition drawn is one environment step.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.policy.mdp.model import MDP
from optlab.policy.ownership import frozen

__all__ = ["TableSimulator", "Transitions", "geometric_states", "monte_carlo", "simulator", "transitions"]


class TableSimulator:
    """Draws from the tables of an MDP, in logarithmic time per transition.

    Parameters
    ----------
    problem : MDP

    Examples
    --------
    >>> from optlab.policy import MDP
    >>> mdp = MDP([[[0.0, 1.0]], [[1.0, 0.0]]], cost=[[1.0], [0.0]])
    >>> states, actions = np.array([0, 1]), np.array([0, 0])
    >>> TableSimulator(mdp).draw(states, actions, np.random.default_rng(0))
    (array([1, 0]), array([1., 0.]), array([False, False]))
    """

    def __init__(self, problem: MDP) -> None:
        P = problem.transitions
        self.indices, self.indptr, self.cost = P.indices, P.indptr, problem.cost
        # one cumulative sum over all rows: a draw is a binary search, kept within its row
        self.cumulated = frozen(np.concatenate([[0.0], np.cumsum(P.data)]))
        self.start = frozen(np.cumsum(problem.start))
        self.n_actions = problem.n_actions

    def reset(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return `n` states of the start law."""
        return np.searchsorted(self.start, rng.random(n) * self.start[-1], side="right")

    def draw(
        self, states: np.ndarray, actions: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return next states, costs, and that no trajectory has ended."""
        rows = states * self.n_actions + actions
        begin, end = self.indptr[rows], self.indptr[rows + 1]
        low, high = self.cumulated[begin], self.cumulated[end]
        at = np.searchsorted(self.cumulated, low + rng.random(len(rows)) * (high - low), side="right") - 1
        at = np.clip(at, begin, end - 1)
        return self.indices[at].astype(np.int64), self.cost[states, actions], np.zeros(len(rows), dtype=bool)


_TABLES: weakref.WeakKeyDictionary[Any, TableSimulator] = weakref.WeakKeyDictionary()


def simulator(problem: Any) -> Any:
    """Return what draws transitions of `problem`: itself, or for an MDP its tables."""
    if not isinstance(problem, MDP):
        return problem
    if problem not in _TABLES:
        _TABLES[problem] = TableSimulator(problem)
    return _TABLES[problem]


def geometric_states(problem: Any, policy: Any, n: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """Return `n` independent states of the discounted visitation law of a policy, and the environment steps taken.

    A trajectory from the start law is stopped after a number of steps with the law ``P(T = t) = (1-gamma) gamma^t``.
    """
    environment = simulator(problem)
    left = rng.geometric(1.0 - problem.discount, n) - 1
    states = environment.reset(n, rng)
    drawn = 0
    active = np.flatnonzero(left > 0)
    while active.size:
        drawn += active.size
        current = states[active]
        following, _, ended = environment.draw(current, policy.sample(current, rng), rng)
        states[active] = following
        # what has ended stays where it is: the state before the end is visited no more
        left[active] = np.where(ended, 0, left[active] - 1)
        active = active[left[active] > 0]
    return states, drawn


def monte_carlo(
    problem: Any, policy: Any, states: np.ndarray, rollouts: int, horizon: int, rng: np.random.Generator
) -> tuple[np.ndarray, int]:
    """Return truncated Monte-Carlo estimates of ``Q(s, a)`` for all actions, and the environment steps taken.

    Parameters
    ----------
    problem : MDP or environment
    policy : policy object
    states : ndarray, shape (N, ...)
    rollouts : int
        Trajectories per state and action.
    horizon : int
        Transitions per trajectory.
    rng : numpy.random.Generator

    Returns
    -------
    action_values : ndarray, shape (N, A)
    environment_steps : int
    """
    environment, A = simulator(problem), problem.n_actions
    current = np.repeat(states, A * rollouts, axis=0)
    actions = np.tile(np.repeat(np.arange(A), rollouts), len(states))
    total = np.zeros(len(actions))
    active = np.arange(len(actions))
    weight, drawn = 1.0, 0
    for t in range(horizon):
        if t:
            actions = policy.sample(current, rng)
        current, costs, ended = environment.draw(current, actions, rng)
        total[active] += weight * costs
        drawn += len(active)
        weight *= problem.discount
        if ended.any():
            active, current = active[~ended], current[~ended]
            if not active.size:
                break
    return total.reshape(len(states), A, rollouts).mean(axis=2), drawn


@dataclass(frozen=True, eq=False)
class Transitions:
    """Transitions along trajectories: arrays of one row each, `ended` marking the last of an episode."""

    states: np.ndarray
    actions: np.ndarray
    costs: np.ndarray
    following: np.ndarray
    ended: np.ndarray


def transitions(
    problem: Any, policy: Any, n: int, length: int, exploration: float, rng: np.random.Generator
) -> Transitions:
    """Return `length` transitions of each of `n` trajectories from the start law, ordered by time.

    Actions are the policy's, or with probability `exploration` uniform. A trajectory is started anew after each
    transition with probability ``1 - discount``, and where it ends.
    """
    environment, A = simulator(problem), problem.n_actions
    current = environment.reset(n, rng)
    pieces = []
    for _ in range(length):
        actions = np.asarray(policy.sample(current, rng))
        explore = rng.random(n) < exploration
        actions = np.where(explore, rng.integers(A, size=n), actions)
        following, costs, ended = environment.draw(current, actions, rng)
        pieces.append((current, actions, costs, following, ended))
        anew = ended | (rng.random(n) >= problem.discount)
        fresh = environment.reset(n, rng)
        mask = anew.reshape(-1, *[1] * (following.ndim - 1))
        current = np.where(mask, fresh, following)
    return Transitions(*(np.concatenate(column) for column in zip(*pieces)))
