"""Hard instances: DeepSea, where undirected exploration fails, and a chain where no step size beats ``discount^k``."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from optlab.core.validation import as_float_array, as_number, one_of
from optlab.policy.arguments import as_count
from optlab.policy.mdp.model import MDP

__all__ = ["deep_sea", "lower_bound_chain", "lower_bound_start"]


def deep_sea(size: int = 8, discount: float = 0.99, start: str = "uniform") -> MDP:
    """Return DeepSea (Osband et al. 2019) of `size` rows: only `size` moves to the right in a row find the treasure.

    State ``row * size + column``, and one absorbing state at the end. Each move leads one row down and a column to the
    left (action 0) or to the right (action 1), kept within the grid; moving right costs ``0.01 / size``, and moving
    right in the bottom-right cell pays 1. Under a uniform start law the mismatch coefficient is about 10^3 at size 8.

    Parameters
    ----------
    size : int, default 8
    discount : float, default 0.99
        At least 0.95 is needed for the treasure to be worth its way at sizes above 8.
    start : {"uniform", "initial"}
        Start law: all states alike, or the top-left cell.

    Returns
    -------
    MDP

    Examples
    --------
    >>> mdp = deep_sea(4, start="initial")
    >>> [int(mdp.optimal.policy[5 * i]) for i in range(4)], mdp.unreachable_states.tolist()
    ([1, 1, 1, 1], [1, 2, 3, 6, 7, 11])
    """
    n = as_count(size, "size")
    one_of(start, "start", ("uniform", "initial"))
    S = n * n + 1
    row, column = np.divmod(np.arange(n * n), n)
    successors = np.full((S, 2), S - 1)
    inside = row < n - 1
    for a, shift in enumerate((-1, 1)):
        target = (row + 1) * n + np.clip(column + shift, 0, n - 1)
        successors[:-1, a][inside] = target[inside]
    reward = np.zeros((S, 2))
    reward[:-1, 1] = -0.01 / n
    reward[n * n - 1, 1] += 1.0
    P = sp.csr_matrix((np.ones(2 * S), successors.ravel(), np.arange(2 * S + 1)), shape=(2 * S, S))
    law = None if start == "uniform" else np.eye(S)[0]
    return MDP(P, reward=reward, discount=discount, start=law, name=f"DeepSea({n})")


def lower_bound_chain(
    length: int = 12,
    probability: Any = 0.5,
    discount: float = 0.9,
    margin: float = 1e-6,
    calibration: str = "policy",
) -> MDP:
    """Return a chain on which policy mirror descent cannot beat ``discount^k``, whatever its step sizes.

    Derived here after the lower bound of Johnson, Pike-Burke and Rebeschini (2023), whose own construction is another;
    verified numerically. States ``s_0 .. s_n`` (0 .. n) and exits ``e_1 .. e_n`` (n + 1 .. 2 n), in reward form:

    * s_0 keeps the state; action 1 ("good") pays 1 a step, action 0 ("bad") nothing;
    * s_i: action 1 ("right") leads to s_{i-1}, action 0 ("left") to e_i, both without pay;
    * e_i keeps the state and pays ``(1 - discount) u_i`` a step, so its value is ``u_i``.

    With ``p_i`` the start policy's probability of action 1 in s_i (see `lower_bound_start`),

        W_0 = p_0 / (1 - discount),    u_i = W_{i-1} + margin,
        W_i = discount [(1 - p_i) u_i + p_i discount^(i-1) / (1 - discount)],

    the left action stays greedy in s_i up to iteration i - 1, and for every k < n, every step size

        max over s of (V*(s) - V_k(s)) >= discount^k / (1 - discount) prod_{i = 0..k} (1 - p_i) - O(n margin).

    Policy iteration, which takes the left action with certainty, has the product end at k - 1 (for k >= 1), exactly.

    Parameters
    ----------
    length : int, default 12
        n.
    probability : float or array_like, shape (n + 1,), default 0.5
        ``p_i`` in (0, 1).
    discount : float, default 0.9
    margin : float, default 1e-6
    calibration : {"policy", "greedy"}
        "greedy" takes ``W_i = discount u_i`` instead: then policy iteration contracts by exactly the discount, but
        policy mirror descent with one moderate and one huge step is done after two iterations. Not a lower bound.

    Returns
    -------
    MDP

    Examples
    --------
    >>> lower_bound_chain(12, 0.1)
    <Lower-bound chain(12): 25 states, 2 actions, discount 0.9, reward (maximised)>
    """
    n = as_count(length, "length")
    gamma = as_number(discount, "discount", above=0.0, below=1.0)
    delta = as_number(margin, "margin", above=0.0)
    one_of(calibration, "calibration", ("policy", "greedy"))
    p = _probabilities(n, probability)
    W, u = p[0] / (1.0 - gamma), np.zeros(n + 1)
    for i in range(1, n + 1):
        u[i] = W + delta
        kept = p[i] if calibration == "policy" else 0.0
        W = gamma * ((1.0 - kept) * u[i] + kept * gamma ** (i - 1) / (1.0 - gamma))
    S = 2 * n + 1
    successors, reward = np.repeat(np.arange(S)[:, None], 2, axis=1), np.zeros((S, 2))
    reward[0, 1] = 1.0
    successors[1 : n + 1, 1] = np.arange(n)
    successors[1 : n + 1, 0] = np.arange(n + 1, S)
    reward[n + 1 :] = (1.0 - gamma) * u[1:, None]
    P = sp.csr_matrix((np.ones(2 * S), successors.ravel(), np.arange(2 * S + 1)), shape=(2 * S, S))
    return MDP(P, reward=reward, discount=gamma, name=f"Lower-bound chain({n})")


def lower_bound_start(length: int = 12, probability: Any = 0.5) -> np.ndarray:
    """Return the start policy that `lower_bound_chain` is calibrated for, as probabilities of shape (2 n + 1, 2).

    Examples
    --------
    >>> lower_bound_start(2, 0.1)[0]
    array([0.9, 0.1])
    """
    n = as_count(length, "length")
    p = np.concatenate([_probabilities(n, probability), np.full(n, 0.5)])
    return np.stack([1.0 - p, p], axis=1)


def _probabilities(n: int, probability: Any) -> np.ndarray:
    p = as_float_array(probability, "probability", ndim=(0, 1)).astype(np.float64)
    if p.ndim and p.shape != (n + 1,):
        raise ValueError(f"probability must be a number or have shape ({n + 1},), one per state, got {p.shape}")
    if not ((p > 0) & (p < 1)).all():
        raise ValueError(f"probability must lie in (0, 1), got {p.ravel()[np.argmax(~((p > 0) & (p < 1)))]}")
    return np.broadcast_to(p, (n + 1,))
