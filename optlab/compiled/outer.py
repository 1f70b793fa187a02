"""Slow weights inside a compiled loop: a step of momentum along what the loop has done in a few steps.

    Delta = slow - x,       b <- mu b + Delta,       slow <- slow - eta (Delta + mu b),       x <- slow

every H steps (`optlab.wrappers.DiLoCo`; with mu = 0 `optlab.wrappers.Lookahead`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types

from optlab.compiled.functions import F8, I8, inlined, vector


class Outer(NamedTuple):
    """What a loop needs for slow weights.

    Parameters
    ----------
    slow, momentum : ndarray
        The slow weights and b, changed in place.
    period, since : int
        H, and the steps since the last outer one before the first step of the loop.
    step_size, factor : float
        eta and mu.
    """

    slow: np.ndarray
    momentum: np.ndarray
    period: int
    since: int
    step_size: float
    factor: float


def outer_type(scalar: Any) -> Any:
    """Return Numba's type of the record, for data of this type."""
    return types.NamedTuple([vector(scalar), vector(scalar), I8, I8, F8, F8], Outer)


def outer_step_in_numpy(outer: Outer, x: np.ndarray) -> None:
    """Move the slow weights, and x to them."""
    change = outer.slow - x
    outer.momentum[:] = outer.factor * outer.momentum + change
    outer.slow[:] -= (outer.step_size * (change + outer.factor * outer.momentum)).astype(x.dtype)
    x[:] = outer.slow


@inlined
def outer_step(outer, x):
    """`outer_step_in_numpy`, to be compiled: one pass."""
    slow, momentum, eta, mu = outer.slow, outer.momentum, outer.step_size, outer.factor
    for j in range(x.size):
        change = float(slow[j]) - float(x[j])
        b = mu * float(momentum[j]) + change
        momentum[j] = b
        slow[j] -= eta * (change + mu * b)
        x[j] = slow[j]
