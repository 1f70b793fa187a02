"""Support and recession functions: what a term knows about points and directions far away.

They decide whether a problem ``min sum f_i(x)`` has a point to look for at all:

* the support function of the domain, ``sup {<u, x> : f(x) < inf}``. Directions ``u_i`` that sum to zero and whose
  support functions sum to less than zero prove that no point lies in all domains (a separating hyperplane, Farkas);
* the recession function ``lim (f(x + t d) - f(x)) / t``. One direction d in which their sum is below zero proves that
  the sum of the terms, if it is finite anywhere, is unbounded below.

Both are finite on a cone only, often of measure zero (the multiples of a normal, the null space of a matrix), on which
a computed direction never lies exactly. So a term answers for the *nearest* direction of the cone, and says which.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = Any

#: One direction computed by a few operations per entry is off by about this part of its length.
ROUNDING = 8.0 * float(np.finfo(float).eps)


class Ray(NamedTuple):
    """A support or recession function at the direction nearest to the one asked for where it is finite.

    Attributes
    ----------
    direction : ndarray
        That direction.
    value : float
        The function there.
    size : float
        Sum of the absolute values of the summands of `value`: its rounding error is a small part of this.
    error : float
        How far rounding may have put `direction` off the cone where the function is finite (0: not at all).
    linear : bool
        Whether `direction` is a linear function of the direction asked for (the cone is a subspace).
    """

    direction: Array
    value: float = 0.0
    size: float = 0.0
    error: float = 0.0
    linear: bool = False


def inner(a: Array, b: Array) -> tuple[float, float]:
    """Return ``<a, b>`` and the sum of the absolute values of its summands; an infinite entry times 0 counts 0.

    Examples
    --------
    >>> inner(np.array([0.0, 2.0]), np.array([np.inf, -1.0]))
    (-2.0, 2.0)
    """
    a, b = np.broadcast_arrays(a, b)
    products = np.multiply(a, b, out=np.zeros(a.shape), where=(a != 0) & (b != 0))
    return float(np.sum(products)), float(np.sum(np.abs(products)))


def no_direction(direction: Array) -> Ray:
    """Return the ray of a cone that is only zero: no direction but 0 is allowed."""
    return Ray(np.zeros_like(direction), linear=True)


def length(direction: Array) -> float:
    """Return the Euclidean length of an array of any shape."""
    return float(np.linalg.norm(np.ravel(direction)))
