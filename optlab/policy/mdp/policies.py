"""Tabular policies: one probability row per state, carried by its logarithm.

A policy is what the methods of this package iterate on, what `optlab.policy.MDP` evaluates and what
``result.solution`` is. Log-probabilities are the stored form, since under growing step sizes a probability underflows
long before its logarithm does; ``-inf`` is an action of probability zero. Policies that are functions with parameters
have the same methods and live elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.bregman.elementary import logsumexp, quiet
from optlab.core.errors import DomainError
from optlab.core.validation import as_float_array
from optlab.policy.arguments import as_count
from optlab.policy.ownership import frozen, unchecked

__all__ = ["TabularPolicy", "as_log_table"]


class StochasticPolicy:
    """What policies share that know their log-probabilities, all rows or those of given states."""

    def log_probabilities(self, state: Any = None) -> np.ndarray:
        """Return the log-probabilities of the actions: all rows, or those of a state or an array of states."""
        raise NotImplementedError(f"{type(self).__name__} must implement log_probabilities")

    def probabilities(self, state: Any = None) -> np.ndarray:
        """Return probabilities of the actions: all rows, or those of a state or an array of states."""
        with np.errstate(under="ignore"):
            return np.exp(self.log_probabilities(state))

    def sample(self, state: Any, rng: np.random.Generator) -> Any:
        """Return one action for a state, or one for each of an array of states."""
        cumulated = np.cumsum(self.probabilities(state), axis=-1)
        # against the rounded total, so that no draw falls past the last action
        draw = rng.random(cumulated.shape[:-1]) * cumulated[..., -1]
        actions = np.sum(cumulated <= np.asarray(draw)[..., None], axis=-1)
        return int(actions) if cumulated.ndim == 1 else actions


@dataclass(frozen=True, eq=False)
class TabularPolicy(StochasticPolicy):
    """A policy given by its table of log-probabilities. Immutable: MDPs remember its values while it lives.

    Parameters
    ----------
    log_table : array_like, shape (S, A)
        Logarithms of the probabilities, ``-inf`` allowed; each row must be normalised to about 1e-6.
    mirror : array_like, shape (S, A), optional
        The dual coordinates that a lazy method keeps besides the policy.

    Raises
    ------
    ValueError
        If a row does not hold the logarithms of a probability vector; its state is named.

    Examples
    --------
    >>> policy = TabularPolicy.from_probabilities([[0.25, 0.75], [1.0, 0.0]])
    >>> policy.probabilities(0), policy.greedy()
    (array([0.25, 0.75]), array([1, 0]))
    >>> policy.sample([1, 1, 1], np.random.default_rng(0))
    array([0, 0, 0])
    """

    log_table: np.ndarray
    mirror: np.ndarray | None = None

    def __post_init__(self) -> None:
        table = as_float_array(self.log_table, "log_table", ndim=2, finite=False)
        with quiet():
            off = np.abs(logsumexp(np, table, -1)[:, 0])
        wrong = ~(off <= 1e-6 if table.dtype == np.float64 else off <= 1e-4)
        if wrong.any():
            s = int(np.argmax(wrong))
            raise ValueError(
                f"log_table must hold logarithms of rows that sum to one, but row {s} is {table[s].tolist()}"
            )
        object.__setattr__(self, "log_table", frozen(table))
        if self.mirror is not None:
            mirror = as_float_array(self.mirror, "mirror", shape=table.shape, finite=False)
            object.__setattr__(self, "mirror", frozen(mirror))

    @classmethod
    def from_probabilities(cls, probabilities: Any) -> TabularPolicy:
        """Return the policy with this table of probabilities, shape (S, A)."""
        table = as_float_array(probabilities, "probabilities", ndim=2, nonnegative=True)
        with quiet():
            return cls(np.log(table))

    @classmethod
    def uniform(cls, n_states: int, n_actions: int) -> TabularPolicy:
        """Return the policy that takes every action with the same probability."""
        shape = as_count(n_states, "n_states"), as_count(n_actions, "n_actions")
        return cls(np.full(shape, -np.log(shape[1])))

    @classmethod
    def of(cls, log_table: np.ndarray, mirror: np.ndarray | None = None) -> TabularPolicy:
        """Return the policy of a table that a method has just normalised: neither checked nor copied."""
        return unchecked(cls, log_table, mirror)

    @property
    def n_states(self) -> int:
        """Number of rows of the table."""
        return int(self.log_table.shape[0])

    @property
    def n_actions(self) -> int:
        """Number of columns of the table."""
        return int(self.log_table.shape[1])

    def log_probabilities(self, state: Any = None) -> np.ndarray:
        """Return the log-probabilities of the actions: all rows, or those of a state or an array of states."""
        return self.log_table if state is None else self.log_table[np.asarray(state)]

    def greedy(self, state: Any = None) -> Any:
        """Return the most probable action (the first of several) of every state, or of those given."""
        return self.log_probabilities(state).argmax(axis=-1)

    def __repr__(self) -> str:
        return f"<TabularPolicy: {self.n_states} states, {self.n_actions} actions>"


def as_log_table(problem: Any, start: Any, *, interior: bool = False) -> np.ndarray:
    """Return the log-probabilities of a start: a policy object, a table of probabilities, or one action per state.

    Parameters
    ----------
    problem : MDP
        Checks the policy (states and actions are named where it is wrong).
    start : policy object, array_like (S, A), or integer array (S,)
    interior : bool, default False
        Whether every available action must have positive probability, as maps that are steep at the boundary need.

    Raises
    ------
    DomainError
        If `interior` and an available action has probability zero.
    """
    if hasattr(start, "log_probabilities"):
        table = frozen(np.asarray(start.log_probabilities(), dtype=np.float64))
        problem.probabilities_of(start)
    else:
        with quiet():
            table = np.log(problem.probabilities_of(start))
    if interior:
        empty = np.isneginf(table) if problem.available is None else np.isneginf(table) & problem.available
        if empty.any():
            s, a = (int(i) for i in np.argwhere(empty)[0])
            raise DomainError(
                "the start policy must give every action positive probability under a mirror map that is steep at the "
                f"boundary of the simplex, but action {a} has none in state {s}"
            )
    return table
