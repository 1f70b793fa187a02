"""Two control problems on grids, pendulum and mountain car, whose next state is spread over the four cells around it.

The bilinear weights make the tables stochastic matrices whose values converge to those of the continuous problem as the
grid gets finer. ``mdp.coordinates`` holds the physical state of each grid point and ``mdp.grid`` the grid's shape (a
value function reshapes to it for a picture).
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from optlab.policy.arguments import as_count
from optlab.policy.mdp.model import MDP

__all__ = ["mountain_car", "pendulum"]


def pendulum(n_angles: int = 31, n_speeds: int = 31, discount: float = 0.97, n_torques: int = 5) -> MDP:
    """Return the swing-up of a pendulum: angle on a periodic grid of [-pi, pi), zero being upright, speed on [-8, 8].

    ``speed' = clip(speed + 0.1 (15 sin angle + 3 torque))``, ``angle' = angle + 0.1 speed'``, torques evenly spaced on
    [-2, 2]; the cost ``(angle^2 + 0.1 speed^2 + 0.001 torque^2) / (pi^2 + 6.4 + 0.004)`` lies in [0, 1].

    Parameters
    ----------
    n_angles, n_speeds : int, default 31
        31 x 31 is fast, 317 x 317 has 10^5 states.
    discount : float, default 0.97
    n_torques : int, default 5

    Returns
    -------
    MDP
        With ``coordinates`` (S, 2): angle and speed.

    Examples
    --------
    >>> mdp = pendulum()
    >>> mdp.n_states, mdp.grid, int(mdp.optimal.values.argmin()) == 15 * 31 + 15
    (961, (31, 31), True)
    """
    n = as_count(n_angles, "n_angles", minimum=2)
    m = as_count(n_speeds, "n_speeds", minimum=2)
    A = as_count(n_torques, "n_torques")
    # an odd number of angles has no point at zero unless the grid is shifted by half a cell
    spacing = 2.0 * np.pi / n
    angles = -np.pi + spacing * (np.arange(n) + (0.5 if n % 2 else 0.0))
    speeds, torques = np.linspace(-8.0, 8.0, m), np.linspace(-2.0, 2.0, A)
    angle, speed, torque = np.broadcast_arrays(angles[:, None, None], speeds[None, :, None], torques[None, None, :])
    after = np.clip(speed + 0.1 * (15.0 * np.sin(angle) + 3.0 * torque), -8.0, 8.0)
    turned = angle + 0.1 * after
    P = _bilinear((turned - angles[0]) / spacing, (after + 8.0) * ((m - 1) / 16.0), (n, m), periodic=True)
    cost = (angle**2 + 0.1 * speed**2 + 0.001 * torque**2) / (np.pi**2 + 6.4 + 0.004)
    coordinates = np.stack([angle[..., 0].ravel(), speed[..., 0].ravel()], axis=1)
    return MDP(P, cost.reshape(-1, A), discount, coordinates=coordinates, grid=(n, m), name=f"Pendulum {n} x {m}")


def mountain_car(n_positions: int = 41, n_speeds: int = 31, discount: float = 0.99) -> MDP:
    """Return the mountain car: position on [-1.2, 0.6], speed on [-0.07, 0.07], up the hill at 0.5 by way of the other.

    ``speed' = clip(speed + 0.001 (a - 1) - 0.0025 cos(3 position))``, ``position' = position + speed'``; the wall on
    the left stops the car. Each step costs 1 until the position is at least 0.5, which is absorbing and free.

    Parameters
    ----------
    n_positions, n_speeds : int, default 41, 31
        Up to 1000 x 1000.
    discount : float, default 0.99

    Returns
    -------
    MDP
        With ``coordinates`` (S, 2): position and speed.

    Examples
    --------
    >>> mdp = mountain_car()
    >>> mdp.n_states, mdp.n_actions, bool(mdp.optimal.values[mdp.coordinates[:, 0] >= 0.5].max() < 1e-9)
    (1271, 3, True)
    """
    n = as_count(n_positions, "n_positions", minimum=2)
    m = as_count(n_speeds, "n_speeds", minimum=2)
    positions, speeds = np.linspace(-1.2, 0.6, n), np.linspace(-0.07, 0.07, m)
    x, v, push = np.broadcast_arrays(positions[:, None, None], speeds[None, :, None], np.arange(-1.0, 2.0))
    after = np.clip(v + 0.001 * push - 0.0025 * np.cos(3.0 * x), -0.07, 0.07)
    moved = np.clip(x + after, -1.2, 0.6)
    after = np.where((moved <= -1.2) & (after < 0.0), 0.0, after)
    arrived = x >= 0.5
    moved, after = np.where(arrived, x, moved), np.where(arrived, v, after)
    P = _bilinear((moved + 1.2) * ((n - 1) / 1.8), (after + 0.07) * ((m - 1) / 0.14), (n, m), periodic=False)
    cost = np.where(arrived, 0.0, 1.0).reshape(-1, 3)
    coordinates = np.stack([x[..., 0].ravel(), v[..., 0].ravel()], axis=1)
    return MDP(P, cost, discount, coordinates=coordinates, grid=(n, m), name=f"Mountain car {n} x {m}")


def _bilinear(first: np.ndarray, second: np.ndarray, shape: tuple[int, int], periodic: bool) -> sp.csr_matrix:
    """Spread points given in units of cells over the four corners around them; the first axis may be periodic."""
    n, m = shape
    # a point that rounding has put next to a corner belongs on it
    first, second = np.round(first.ravel(), 10), np.clip(np.round(second.ravel(), 10), 0.0, m - 1.0)
    low = np.floor(first).astype(np.int64)
    if not periodic:
        low = np.clip(low, 0, n - 2)
    base = np.clip(np.floor(second).astype(np.int64), 0, m - 2)
    s, t = first - low, second - base
    columns = np.stack([((low + i) % n) * m + base + j for i in (0, 1) for j in (0, 1)], axis=1)
    weights = np.stack([(s if i else 1.0 - s) * (t if j else 1.0 - t) for i in (0, 1) for j in (0, 1)], axis=1)
    rows = first.size
    P = sp.csr_matrix((weights.ravel(), columns.astype(np.int32).ravel(), 4 * np.arange(rows + 1)), shape=(rows, n * m))
    P.sum_duplicates()
    P.eliminate_zeros()
    return P
