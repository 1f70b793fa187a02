"""The toy-text worlds of gymnasium: FrozenLake, CliffWalking, Taxi. The tables are built here, without gymnasium.

Where an episode ends, the state is absorbing and free of cost from then on; values agree with those of gymnasium's
tables (whose end-of-episode flags `MDP.from_gymnasium` sends to one extra state).
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from optlab.core.validation import as_flag, one_of
from optlab.policy.mdp.model import MDP

__all__ = ["cliff_walking", "frozen_lake", "taxi"]

LAKES = {
    "4x4": "SFFF/FHFH/FFFH/HFFG",
    "8x8": "SFFFFFFF/FFFFFFFF/FFFHFFFF/FFFFFHFF/FFFHFFFF/FHHFFFHF/FHFFHFHF/FFFHFFFG",
}
_MOVES = ((0, -1), (1, 0), (0, 1), (-1, 0))  # left, down, right, up: gymnasium's order


def frozen_lake(
    size: str = "4x4",
    slippery: bool = True,
    discount: float = 0.99,
    objective: str = "goal",
    start: str = "uniform",
) -> MDP:
    """Return gymnasium's FrozenLake: cross the ice to the goal G without falling into a hole H.

    Holes and the goal are absorbing. On slippery ice the intended direction and the two perpendicular ones have
    probability 1/3 each; a step into a wall leaves the state as it is. Actions: 0 left, 1 down, 2 right, 3 up.

    Parameters
    ----------
    size : {"4x4", "8x8"}
    slippery : bool, default True
    discount : float, default 0.99
    objective : {"goal", "steps"}
        "goal": gymnasium's reward 1 on entering G (as costs in [0, 1]). "steps": cost 1 per step except in G, also in
        a hole.
    start : {"uniform", "initial"}
        Start law: all states alike (theorems with mismatch coefficients need it), or the cell S.

    Returns
    -------
    MDP

    Examples
    --------
    >>> mdp = frozen_lake("4x4")
    >>> print(f"{mdp.to_reward_value(mdp.optimal.values)[0]:.7f}")
    0.5420259
    """
    rows = LAKES[one_of(size, "size", tuple(LAKES))].split("/")
    as_flag(slippery, "slippery")
    one_of(objective, "objective", ("goal", "steps"))
    one_of(start, "start", ("uniform", "initial"))
    n = len(rows)
    cells = np.array([list(row) for row in rows])
    S = n * n
    P, entering = np.zeros((S, 4, S)), np.zeros((S, 4))
    for i in range(n):
        for j in range(n):
            s = i * n + j
            if cells[i, j] in "HG":
                P[s, :, s] = 1.0
                continue
            for a in range(4):
                for direction in ((a - 1) % 4, a, (a + 1) % 4) if slippery else (a,):
                    di, dj = _MOVES[direction]
                    k, m = min(max(i + di, 0), n - 1), min(max(j + dj, 0), n - 1)
                    probability = 1.0 / 3.0 if slippery else 1.0
                    P[s, a, k * n + m] += probability
                    entering[s, a] += probability * (cells[k, m] == "G")
    law = None if start == "uniform" else np.eye(S)[0]
    name = f"FrozenLake {size}" + ("" if slippery else ", not slippery")
    if objective == "goal":
        return MDP(P, reward=entering, discount=discount, start=law, name=name)
    cost = np.repeat((cells.ravel() != "G").astype(float)[:, None], 4, axis=1)
    return MDP(P, cost, discount, law, name=name + ", steps")


def cliff_walking(discount: float = 0.99, start: str = "uniform") -> MDP:
    """Return gymnasium's CliffWalking: from cell 36 to cell 47 of a 4 x 12 grid along a cliff, cells 37 to 46.

    A step costs 0.01; a step into the cliff costs 1 and leads back to cell 36 (rewards -1 and -100). The goal is
    absorbing. Actions: 0 up, 1 right, 2 down, 3 left.

    Parameters
    ----------
    discount : float, default 0.99
    start : {"uniform", "initial"}
        Start law: all states alike, or cell 36.

    Returns
    -------
    MDP

    Examples
    --------
    >>> mdp = cliff_walking()
    >>> print(f"{mdp.to_reward_value(mdp.optimal.values)[36]:.7f}")
    -12.2478977
    """
    one_of(start, "start", ("uniform", "initial"))
    S = 48
    successors, reward = np.empty((S, 4), dtype=np.int64), np.full((S, 4), -1.0)
    for s in range(S):
        row, column = divmod(s, 12)
        for a, (di, dj) in enumerate(((-1, 0), (0, 1), (1, 0), (0, -1))):
            following = min(max(row + di, 0), 3) * 12 + min(max(column + dj, 0), 11)
            if 37 <= following <= 46:
                following, reward[s, a] = 36, -100.0
            successors[s, a] = following
    successors[47], reward[47] = 47, 0.0
    law = None if start == "uniform" else np.eye(S)[36]
    return MDP(_deterministic(successors), reward=reward, discount=discount, start=law, name="CliffWalking")


TAXI_MAP = ("|R: | : :G|", "| : | : : |", "| : : : : |", "| | : | : |", "|Y| : |B: |")
_STOPS = ((0, 0), (0, 4), (4, 0), (4, 3))


def taxi(discount: float = 0.99, start: str = "uniform") -> MDP:
    """Return gymnasium's Taxi: fetch a passenger at one of four stops and bring them to another, on a 5 x 5 grid.

    State ``((row * 5 + column) * 5 + passenger) * 4 + destination``, passenger 4 being in the taxi, and state 500 for
    the end. Rewards: -1 per step, 20 for delivering, -10 for picking up or putting down where that is impossible.
    Actions: 0 south, 1 north, 2 east, 3 west, 4 pick up, 5 put down.

    Parameters
    ----------
    discount : float, default 0.99
    start : {"uniform", "initial"}
        Start law: all states alike, or gymnasium's (taxi anywhere, passenger at a stop that is not the destination).

    Returns
    -------
    MDP

    Examples
    --------
    >>> mdp = taxi()
    >>> print(f"{mdp.to_reward_value(mdp.optimal.values)[:500].mean():.4f}")
    9.4228
    """
    one_of(start, "start", ("uniform", "initial"))
    S = 501
    successors, reward = np.full((S, 6), 500, dtype=np.int64), np.full((S, 6), -1.0)
    reward[500] = 0.0
    law = np.zeros(S)
    for s in range(500):
        rest, destination = divmod(s, 4)
        rest, passenger = divmod(rest, 5)
        row, column = divmod(rest, 5)

        def code(i: int, j: int, where: int, destination: int = destination) -> int:
            return ((i * 5 + j) * 5 + where) * 4 + destination

        east, west = TAXI_MAP[row][2 * column + 2] == ":", TAXI_MAP[row][2 * column] == ":"
        moves = ((min(row + 1, 4), column), (max(row - 1, 0), column), (row, column + east), (row, column - west))
        for a, (i, j) in enumerate(moves):
            successors[s, a] = code(i, j, passenger)
        at = _STOPS.index((row, column)) if (row, column) in _STOPS else None
        if passenger < 4 and at == passenger:
            successors[s, 4] = code(row, column, 4)
        else:
            successors[s, 4], reward[s, 4] = s, -10.0
        if passenger == 4 and at == destination:
            reward[s, 5] = 20.0
        elif passenger == 4 and at is not None:
            successors[s, 5] = code(row, column, at)
        else:
            successors[s, 5], reward[s, 5] = s, -10.0
        law[s] = passenger < 4 and passenger != destination
    P = _deterministic(successors)
    return MDP(P, reward=reward, discount=discount, start=None if start == "uniform" else law / law.sum(), name="Taxi")


def _deterministic(successors: np.ndarray) -> sp.csr_matrix:
    n, pairs = successors.shape[0], successors.size
    return sp.csr_matrix((np.ones(pairs), successors.ravel(), np.arange(pairs + 1)), shape=(pairs, n))
