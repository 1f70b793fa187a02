"""The proximal operator of the total variation of a signal, with one weight for each difference, in linear time.

Johnson (2013), A dynamic programming algorithm for the fused lasso and L0-segmentation. The derivative of the optimal
value of the first i entries, as a function of the next one, is piecewise linear; clipping it at the weight of the edge
removes knots at both ends and adds one at each. The knots lie in an array that grows to both sides.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

Array = Any


def taut_string(z: Array, weights: Array) -> Array:
    """Return ``argmin_u sum (u - z)^2 / 2 + sum weights |u_{i+1} - u_i|``.

    Parameters
    ----------
    z : ndarray, shape (n,)
    weights : ndarray, shape (n - 1,)
        At least 0; an infinite one ties its neighbours together.

    Examples
    --------
    >>> taut_string(np.array([0.0, 4.0, 4.0]), np.array([1.0, 1.0])).round(12)
    array([1. , 3.5, 3.5])
    """
    if z.size == 1:
        return z.copy()
    mean = float(np.mean(z, dtype=np.float64))
    centred = np.subtract(z, mean, dtype=np.float64)
    # the string stays between the extremes of the running sum: a weight beyond their distance never binds, and would
    # only cost digits
    total = np.cumsum(centred)
    enough = max(float(total.max()), 0.0) - min(float(total.min()), 0.0)
    answer = mean + _dynamic_programme(centred, np.minimum(weights, 1.01 * enough))
    return answer.astype(z.dtype, copy=False)


@njit(cache=True)
def _dynamic_programme(z: Array, w: Array) -> Array:  # pragma: no cover - compiled
    n = z.size
    u = np.empty(n)
    low, high = np.empty(n - 1), np.empty(n - 1)
    # knots x[first..last] in increasing order; crossing one from the left adds slope a and offset b to the derivative
    x, a, b = np.empty(2 * n), np.empty(2 * n), np.empty(2 * n)
    first, last = n, n - 1
    # the derivative left of all knots, and right of all knots
    slope_left, offset_left = 1.0, -z[0]
    slope_right, offset_right = 1.0, -z[0]
    for i in range(n - 1):
        # where the derivative reaches -w: walk in from the left
        slope, offset = slope_left, offset_left
        while first <= last and slope * x[first] + offset <= -w[i]:
            slope += a[first]
            offset += b[first]
            first += 1
        low[i] = (-w[i] - offset) / slope
        new_low_slope, new_low_offset = slope, offset
        # where it reaches w: walk in from the right
        slope, offset = slope_right, offset_right
        while first <= last and slope * x[last] + offset >= w[i]:
            slope -= a[last]
            offset -= b[last]
            last -= 1
        high[i] = (w[i] - offset) / slope
        # clipped: constant -w left of low, constant w right of high; then the next entry's own derivative x - z
        first -= 1
        x[first], a[first], b[first] = low[i], new_low_slope, new_low_offset + w[i]
        last += 1
        x[last], a[last], b[last] = high[i], -slope, w[i] - offset
        slope_left, offset_left = 1.0, -w[i] - z[i + 1]
        slope_right, offset_right = 1.0, w[i] - z[i + 1]
    slope, offset = slope_left, offset_left
    while first <= last and slope * x[first] + offset <= 0.0:
        slope += a[first]
        offset += b[first]
        first += 1
    u[n - 1] = -offset / slope
    for i in range(n - 2, -1, -1):
        u[i] = min(max(u[i + 1], low[i]), high[i])
    return u
