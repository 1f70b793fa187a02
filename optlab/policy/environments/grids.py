"""Grid worlds with a fixed map: FrozenLake, CliffWalking, DeepSea. Tables are built here, without gymnasium."""

from __future__ import annotations

import numpy as np

from optlab.core.validation import one_of
from optlab.policy.mdp import MDP

__all__ = ["frozen_lake"]

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
