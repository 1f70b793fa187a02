"""States, actions and which of them exist where: reading and checking what is given by state and by action.

`PolicySpace` is the part of an `optlab.policy.MDP` that knows no transitions: it reads policies (objects, tables, one
action per state), laws of states and tables of costs, and names the state and the action where one is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from optlab.core.validation import as_float_array, as_integer, first_index, read_only
from optlab.policy.mdp.transitions import ROUNDED, probability_tolerances

__all__ = ["PolicySpace", "as_grid"]


class PolicySpace:
    """What tables over states and actions there are; a class with these attributes inherits their checks.

    Attributes
    ----------
    n_states, n_actions : int
    available : ndarray of bool, shape (S, A), or None
        None if every action exists everywhere.
    """

    n_states: int
    n_actions: int
    available: np.ndarray | None

    def _on_available(self, given: Any, name: str, highest: bool = True) -> np.ndarray:
        values = as_float_array(given, name, shape=(self.n_states, self.n_actions), finite=False)
        values = values.astype(np.float64)  # a copy: the caller's array stays his
        inside = np.ones(values.shape, dtype=bool) if self.available is None else self.available
        bad = inside & ~np.isfinite(values)
        if bad.any():
            hint = f"; for an action that does not exist there pass available=np.isfinite({name})"
            raise ValueError(
                f"{name} must be finite where an action is available, got {values[bad][0]} at index {first_index(bad)}"
                + ("" if np.isnan(values[bad][0]) else hint)
            )
        if self.available is not None:
            values[~inside] = values[inside].max() if highest else values[inside].min()
        return values

    def _distribution(self, law: Any, name: str) -> np.ndarray:
        if law is None:
            return np.full(self.n_states, 1.0 / self.n_states)
        law = as_float_array(law, name, shape=(self.n_states,))
        sum_tol, negative_tol = probability_tolerances(law.dtype == np.float32)
        if law.min() < -negative_tol:
            raise ValueError(f"{name} must be non-negative, got {law.min()} at index [{law.argmin()}]")
        law = np.maximum(law.astype(np.float64), 0.0)
        total = float(law.sum())
        if abs(total - 1.0) > sum_tol:
            raise ValueError(
                f"{name} must be a probability vector, it sums to {total:.12g}; {name} / {name}.sum() would be one"
            )
        return law / total

    def probabilities_of(self, policy: Any) -> np.ndarray:
        """Return a policy as an array (S, A) after checking it.

        Parameters
        ----------
        policy : policy object, array_like (S, A), or integer array (S,)
            An object with ``probabilities()``, a table of probabilities, or one action per state.

        Raises
        ------
        ValueError
            Naming the state (and the action, if one that is not available has positive probability).
        """
        if hasattr(policy, "probabilities"):
            policy = policy.probabilities() if callable(policy.probabilities) else policy.probabilities
        try:
            table = np.asarray(policy)
        except ValueError as error:
            raise ValueError(f"policy must be a table of shape (S, A), or one action per state: {error}") from None
        if table.ndim == 1 and table.dtype.kind in "iu":
            return self._deterministic(table)
        shape = (self.n_states, self.n_actions)
        sum_tol, negative_tol = probability_tolerances(table.dtype == np.float32)
        if table.dtype == np.float64 and table.shape == shape and self.available is None:
            with np.errstate(invalid="ignore"):
                off = np.abs(table @ np.ones(self.n_actions) - 1.0)
            if off.max() <= ROUNDED and table.min() >= 0.0:  # false for NaN; what is wrong is found out below
                return read_only(np.ascontiguousarray(table))
        table = as_float_array(table, "policy", shape=shape).astype(np.float64, order="C", copy=False)
        if table.min() < 0.0:
            bad = table < -negative_tol
            if bad.any():
                raise ValueError(f"policy must be non-negative, got {table[bad][0]} at index {first_index(bad)}")
            table = np.maximum(table, 0.0)
        sums = table.sum(axis=1)
        off = np.abs(sums - 1.0) > sum_tol
        if off.any():
            s = int(np.argmax(off))
            raise ValueError(
                f"rows of a policy must sum to one: state {s} sums to {sums[s]:.12g}; "
                "policy / policy.sum(axis=1, keepdims=True) normalises them"
            )
        if self.available is not None:
            wrong = (table > 0) & ~self.available
            if wrong.any():
                s, a = (int(i) for i in np.argwhere(wrong)[0])
                raise ValueError(
                    f"a policy must not take an action that is not available: action {a} has probability "
                    f"{table[s, a]:.3g} in state {s}"
                )
        return read_only(table) if np.abs(sums - 1.0).max() <= ROUNDED else table / sums[:, None]

    def normalised(self, table: np.ndarray) -> np.ndarray:
        """Return a table that a method has projected, its rows divided by their sums where those miss one."""
        if np.abs(table @ np.ones(self.n_actions) - 1.0).max() <= ROUNDED:
            return table
        return table / table.sum(axis=1, keepdims=True)

    def checked_actions(self, actions: np.ndarray) -> np.ndarray:
        """Return one action per state as int64, read-only, after checking that each exists; names the state if not."""
        if actions.dtype.kind not in "iu":
            raise TypeError(f"a policy of one action per state must hold integers, got dtype {actions.dtype}")
        if actions.shape != (self.n_states,):
            raise ValueError(
                f"a policy of one action per state must have shape ({self.n_states},), got {actions.shape}"
            )
        bad = (actions < 0) | (actions >= self.n_actions)
        if bad.any():
            s = int(np.argmax(bad))
            raise ValueError(f"actions must lie in 0..{self.n_actions - 1}, got {int(actions[s])} in state {s}")
        if self.available is not None:
            wrong = ~self.available[np.arange(self.n_states), actions]
            if wrong.any():
                s = int(np.argmax(wrong))
                raise ValueError(f"action {int(actions[s])} is not available in state {s}")
        return read_only(actions.astype(np.int64, copy=False))

    def _deterministic(self, actions: np.ndarray) -> np.ndarray:
        table = np.zeros((self.n_states, self.n_actions))
        table[np.arange(self.n_states), self.checked_actions(actions)] = 1.0
        return table

    def uniform_log_probabilities(self) -> np.ndarray:
        """Return the log-probabilities of the uniform policy, shape (S, A); -inf for actions that are not available."""
        if self.available is None:
            return np.full((self.n_states, self.n_actions), -np.log(self.n_actions))
        count = self.available.sum(axis=1, keepdims=True)
        return np.where(self.available, -np.log(count), -np.inf)


def as_grid(grid: Any, n_states: int) -> tuple[int, ...]:
    """Return the shape that a function of the states can be given, after checking that it holds them all."""
    if not isinstance(grid, Sequence):
        raise TypeError(f"grid must be a tuple of integers, got {type(grid).__name__}")
    shape = tuple(as_integer(n, f"grid[{i}]", minimum=1) for i, n in enumerate(grid))
    if math.prod(shape) != n_states:
        raise ValueError(f"grid must hold the {n_states} states, got {shape} with {math.prod(shape)} points")
    return shape
