"""Transition tables of gymnasium, ``P[state][action] = [(probability, next state, reward, terminated), ...]``.

Read without trust: tables are written by hand as well, and a wrong one makes a model that solves without a word.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from optlab.core.validation import as_number

__all__ = ["Table", "make", "read_table"]


class Table(NamedTuple):
    """The arrays of a table of S states and A actions, and one absorbing state more."""

    P: sp.csr_matrix
    reward: np.ndarray
    available: np.ndarray
    name: str
    start: Any


def make(name: str) -> Any:
    """Return a gymnasium task by its name; ImportError says which extra is missing."""
    try:
        import gymnasium
    except ImportError:
        raise ImportError(
            f"{name!r} names a task of gymnasium, which is not installed: pip install optlab[rl]"
        ) from None
    try:
        return gymnasium.make(name)
    except gymnasium.error.Error as error:
        raise ValueError(f"gymnasium makes no task of the name {name!r}: {error}") from None


def read_table(env: Any) -> Table:
    """Return the arrays of a task, of its name, or of a table itself.

    Actions that a state does not list are not available there.

    Raises
    ------
    TypeError
        If there is no table.
    ValueError
        Naming the state and the action whose entry is wrong; or the reason why the table is not the task's model.
    """
    if isinstance(env, str):
        env = make(env)
    inner = getattr(env, "unwrapped", env)
    table = env if isinstance(env, Mapping) else getattr(inner, "P", None)
    if not isinstance(table, Mapping) or not table:
        raise TypeError(
            f"{type(inner).__name__} has no table P[state][action] of transitions to read a model from, as FrozenLake, "
            "CliffWalking and Taxi have; tasks that can be set to any state are sampled from: GymnasiumEnvironment"
        )
    _refuse_dynamics_outside(env, inner)
    S = len(table)
    for state in table:
        if not _is_index(state, S):
            missing = min(set(range(S)) - {s for s in table if _is_index(s, S)})
            raise ValueError(
                f"the keys of the table must be the states 0..{S - 1}, got {state!r}, and {missing} is missing"
            )
    actions = [_actions(table[s], s) for s in range(S)]
    A = 1 + max(a for row in actions for a in row)
    rows, columns, data = [], [], []
    reward, available = np.zeros((S + 1, A)), np.zeros((S + 1, A), dtype=bool)
    available[S] = True
    for s, row in enumerate(actions):
        for a, entries in row.items():
            available[s, a] = True
            for entry in entries:
                probability, following, r, ended = _transition(entry, s, a, S)
                rows.append(s * A + a)
                columns.append(S if ended else following)
                data.append(probability)
                reward[s, a] += probability * r
    rows += range(S * A, S * A + A)
    columns += [S] * A
    data += [1.0] * A
    P = sp.coo_matrix((data, (rows, columns)), shape=((S + 1) * A, S + 1)).tocsr()
    spec = getattr(inner, "spec", None)
    name = str(getattr(spec, "id", None) or "gymnasium table")
    start = getattr(inner, "initial_state_distrib", None) if inner is not table else None
    return Table(P, reward, available, name, start)


def _refuse_dynamics_outside(env: Any, inner: Any) -> None:
    if getattr(inner, "fickle_passenger", False):
        raise ValueError(
            "the table of Taxi with fickle_passenger=True is that of the plain one: gymnasium changes the destination "
            "in `step`, by a flag that is not part of the state. Read it with fickle_passenger=False"
        )
    gymnasium = sys.modules.get("gymnasium")
    while gymnasium is not None and isinstance(env, gymnasium.Wrapper):
        if isinstance(env, (gymnasium.ActionWrapper, gymnasium.RewardWrapper, gymnasium.ObservationWrapper)):
            raise ValueError(
                f"the table is that of {type(inner).__name__} without {type(env).__name__}, which changes it: read the "
                "task without this wrapper, and change the model"
            )
        env = env.env


def _is_index(value: Any, n: int | None = None) -> bool:
    integer = isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_))
    return integer and value >= 0 and (n is None or value < n)


def _actions(row: Any, s: int) -> dict[int, Sequence[Any]]:
    if not isinstance(row, (Mapping, list, tuple)):
        raise ValueError(f"state {s} of the table must map actions to transitions, got {type(row).__name__}")
    found: dict[int, Sequence[Any]] = {}
    for a, entries in row.items() if isinstance(row, Mapping) else enumerate(row):
        if not _is_index(a):
            raise ValueError(f"the actions of state {s} must be integers from 0 on, got {a!r}")
        if not isinstance(entries, (list, tuple)):
            raise ValueError(f"state {s}, action {a}: transitions must come as a list, got {type(entries).__name__}")
        if entries:
            found[int(a)] = entries
    if not found:
        raise ValueError(
            f"state {s} of the table has no action; one in which an episode is over is entered with terminated=True, "
            "or leads to itself without reward"
        )
    return found


def _transition(entry: Any, s: int, a: int, n_states: int) -> tuple[float, int, float, bool]:
    where = f"state {s}, action {a}"
    if not isinstance(entry, (list, tuple)) or len(entry) != 4:
        raise ValueError(
            f"{where}: a transition must be (probability, next state, reward, terminated), got {entry!r}"
            + (f" with {len(entry)} entries" if isinstance(entry, (list, tuple)) else "")
        )
    probability, following, r, ended = entry
    try:
        p, gain = as_number(probability, "probability"), as_number(r, "reward")
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from None
    if not isinstance(ended, (bool, np.bool_)) and ended not in (0, 1):
        raise ValueError(f"{where}: terminated must be True or False, got {ended!r}")
    if ended:
        return p, n_states, gain, True  # whatever state is named, nothing comes after
    if not _is_index(following, n_states):
        raise ValueError(f"{where}: the next state must be one of 0..{n_states - 1}, got {following!r}")
    return p, int(following), gain, False
