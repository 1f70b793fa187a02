"""The two-loop recursion of limited-memory BFGS (Nocedal 1980), for arrays of any shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

Array = Any
Pairs = tuple[tuple[Array, Array], ...]


def inner(x: Array, y: Array) -> float:
    """Return the real inner product of two arrays, a Python number.

    Examples
    --------
    >>> inner(np.ones(3), np.ones(3))
    3.0
    """
    return float(np.vdot(x, y).real)


def lbfgs_direction(gradient: Array, pairs: Sequence[tuple[Array, Array]]) -> Array:
    """Return ``-H gradient`` for the L-BFGS matrix H of pairs (step, change of the gradient), oldest first.

    Without pairs H is the identity.

    Examples
    --------
    >>> pair = (np.array([1.0, 0.0]), np.array([4.0, 0.0]))
    >>> lbfgs_direction(np.array([2.0, 0.0]), [pair])
    array([-0.5,  0. ])
    """
    q, weights = -gradient, []
    for step, change in reversed(pairs):
        weight = inner(step, q) / inner(step, change)
        weights.append(weight)
        q = q - weight * change
    if pairs:
        step, change = pairs[-1]
        q = (inner(step, change) / inner(change, change)) * q
    for (step, change), weight in zip(pairs, reversed(weights)):
        q = q + (weight - inner(change, q) / inner(step, change)) * step
    return q


def lbfgs_update(pairs: Pairs, step: Array, change: Array, memory: int) -> Pairs:
    """Return the pairs with one more, the oldest left out; unchanged where the curvature along it is not positive."""
    if inner(step, change) <= 1e-12 * math.sqrt(inner(step, step) * inner(change, change)):
        return pairs
    return (*pairs, (step, change))[-memory:]
