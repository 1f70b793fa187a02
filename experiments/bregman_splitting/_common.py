"""What the figures of this folder share: sizes per scale, exact transport plans, slopes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

PAPER = "bregman-splitting"


def log_points(last: int, per_decade: int = 24) -> list[int]:
    """Return iterations 1..last, at most `per_decade` in each decade."""
    points = np.unique(np.round(np.logspace(0, np.log10(last), int(per_decade * np.log10(last)) + 2)).astype(int))
    return [int(k) for k in points]


def exact_transport(a: np.ndarray, b: np.ndarray, cost: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return an optimal vertex plan and optimal dual potentials (f, g), by the simplex method of HiGHS."""
    from scipy.optimize import linprog
    from scipy.sparse import identity, kron, vstack

    n, m = cost.shape
    constraints = vstack([kron(identity(n), np.ones((1, m))), kron(np.ones((1, n)), identity(m))]).tocsr()
    answer = linprog(cost.ravel(), A_eq=constraints, b_eq=np.concatenate([a, b]), method="highs-ds")
    dual = answer.eqlin.marginals
    return answer.x.reshape(n, m), dual[:n], dual[n:]


def dual_of_plan(plan: np.ndarray, cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return potentials with ``f_i + g_j = C_ij`` on the support of a vertex plan, to rounding."""
    n, m = cost.shape
    support = plan > 1e-12 * plan.max()
    f, g = np.full(n, np.nan), np.full(m, np.nan)
    while np.isnan(f).any():
        f[np.flatnonzero(np.isnan(f))[0]] = 0.0
        for _ in range(n + m):
            for i, j in np.argwhere(support):
                if np.isnan(g[j]) and not np.isnan(f[i]):
                    g[j] = cost[i, j] - f[i]
                elif np.isnan(f[i]) and not np.isnan(g[j]):
                    f[i] = cost[i, j] - g[j]
    return f, np.where(np.isnan(g), 0.0, g)


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Return the least-squares slope of `y` over `x`."""
    return float(np.polyfit(np.asarray(x, dtype=float), np.asarray(y, dtype=float), 1)[0])


def certified_gap(history: Any) -> np.ndarray:
    """Return (best upper bound - best lower bound) / |best lower bound| at each record of a transport run."""
    upper = np.minimum.accumulate(np.asarray(history["cost"]))
    lower = np.maximum.accumulate(np.asarray(history["dual_objective"]))
    return np.maximum((upper - lower) / np.maximum(np.abs(lower), 1e-300), 1e-16)
