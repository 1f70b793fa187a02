"""Scalar formulas shared by the kernels, written so that nothing cancels, overflows into NaN or warns.

Every divergence of the classical kernels reduces to one function, ``phi(t) = exp(t) - 1 - t >= 0``: the
Kullback-Leibler term is ``x phi(log(y/x))``, the Itakura-Saito term is ``phi(log(x/y))``. Computed from ``phi``, a
divergence of two points that agree to k digits keeps full *relative* accuracy, where the textbook formula
``h(x) - h(y) - <grad h(y), x - y>`` loses 2k digits.

All functions work on arrays of any array-API library (`optlab.core.backend.namespace`), keep float32, and expect the
caller to have entered `quiet`, since unused lanes of a ``where`` may overflow.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any

# 1/2!, 1/3!, ..., as nested factors: phi(t) = t^2/2 (1 + t/3 (1 + t/4 (1 + ...))). Eighteen factors leave a
# truncation error below 1e-17 relative for |t| <= 0.7.
_PHI_LAST = 18


def quiet() -> np.errstate:
    """Return a context in which floating-point warnings are off; results are selected by explicit masks."""
    return np.errstate(all="ignore")


def phi(xp: Any, t: Array) -> Array:
    """Return ``exp(t) - 1 - t`` to full relative accuracy, also near t = 0.

    Examples
    --------
    >>> float(phi(np, np.float64(1e-9)))
    5.000000001666667e-19
    """
    small = xp.abs(t) <= 0.7
    s = xp.where(small, t, xp.zeros_like(t))
    nested = xp.ones_like(s)
    for j in range(_PHI_LAST, 2, -1):
        nested = 1 + nested * s / j
    return xp.where(small, s * s / 2 * nested, xp.expm1(t) - t)


def log_ratio(xp: Any, x: Array, y: Array) -> Array:
    """Return ``log(x / y)`` for positive x and y, to full relative accuracy where they are close.

    Examples
    --------
    >>> float(log_ratio(np, np.float64(1 + 2**-40), np.float64(1.0))) / 2**-40
    0.9999999999995453
    """
    relative = (x - y) / y
    return xp.where(xp.abs(relative) <= 0.5, xp.log1p(relative), xp.log(x) - xp.log(y))


def kl_terms(xp: Any, x: Array, y: Array) -> Array:
    """Return ``x log(x/y) - x + y`` entrywise for x, y >= 0: y where x = 0, inf where y = 0 < x.

    Examples
    --------
    >>> with quiet():
    ...     kl_terms(np, np.array([0.0, 1.0, 0.0, 2.0]), np.array([3.0, 0.0, 0.0, 2.0]))
    array([ 3., inf,  0.,  0.])
    """
    t = log_ratio(xp, y, x)
    both = (x > 0) & (y > 0)
    t = xp.where(both, t, xp.zeros_like(t))
    # for y >> x the first form would multiply a tiny x by a huge exponential; the second has no cancellation there
    terms = xp.where(t <= 1, x * phi(xp, t), y - x - x * t)
    return xp.where(both, terms, xp.where(x > 0, xp.full_like(terms, float("inf")), y + xp.zeros_like(terms)))


def exp_divergence_terms(xp: Any, u: Array, v: Array, difference: Array | None = None) -> Array:
    """Return ``exp(u) - exp(v) - exp(v) (u - v)`` entrywise, never NaN: ``kl_terms(exp(v), exp(u))`` in logarithms.

    `difference` is ``u - v`` where the caller knows it more accurately than by subtraction.

    Examples
    --------
    >>> with quiet():
    ...     exp_divergence_terms(np, np.array([1e300, -1e300, 0.0]), np.array([-1e300, -1e300, 0.0]))
    array([inf,  0.,  0.])
    """
    t = u - v if difference is None else difference
    high = xp.where(t > 1, t, xp.ones_like(t))
    low = xp.where(t > 1, xp.zeros_like(t), t)
    # exp(v) phi(t) = exp(u) (1 - (1 + t) exp(-t)): a non-negative number times a bounded one, so never 0 * inf
    small = xp.where(low == 0, xp.zeros_like(low), xp.exp(v) * phi(xp, low))
    return xp.where(t > 1, xp.exp(u) * (1 - (1 + high) * xp.exp(-high)), small)


def xlogx(xp: Any, x: Array) -> Array:
    """Return ``x log x`` for x >= 0, with the value 0 at 0.

    Examples
    --------
    >>> xlogx(np, np.array([0.0, 1.0]))
    array([0., 0.])
    """
    positive = x > 0
    return xp.where(positive, x * xp.log(xp.where(positive, x, xp.ones_like(x))), xp.zeros_like(x))


def expit(xp: Any, y: Array) -> Array:
    """Return the logistic function ``1 / (1 + exp(-y))``, with full relative accuracy in its left tail.

    Examples
    --------
    >>> expit(np, np.array([-1e300, 0.0, 1e300]))
    array([0. , 0.5, 1. ])
    """
    decay = xp.exp(-xp.abs(y))
    return xp.where(y >= 0, 1 / (1 + decay), decay / (1 + decay))


def wright_omega(xp: Any, z: Array) -> Array:
    """Return the root w > 0 of ``w + log w = z``, to some 1e-14 relative; SciPy's is for NumPy arrays only.

    Three steps of Fritsch, Shafer and Crowley (1973), each of order four.

    Examples
    --------
    >>> float(wright_omega(np, np.array(1.0)))
    1.0
    """
    high, low = z > 1.0, z < -36.0  # below, w itself is less than the rounding of log w
    middle = xp.where(high | low, xp.zeros_like(z), z)
    top = xp.where(high, z, xp.full_like(z, 2.0))
    w = xp.where(high, top - xp.log(top), xp.log1p(xp.exp(middle)))
    for _ in range(3):
        rest = xp.where(low, xp.zeros_like(z), z) - w - xp.log(w)
        factor = 2.0 * (1.0 + w) * (1.0 + w + (2.0 / 3.0) * rest)
        w = w * (1.0 + rest / (1.0 + w) * (1.0 + rest / (factor - 2.0 * rest)))
    return xp.where(low, xp.exp(xp.where(low, z, xp.zeros_like(z))), w)


def logsumexp(xp: Any, y: Array, axis: int | None) -> Array:
    """Return ``log sum exp(y)`` along `axis` (None: over all entries), keeping the reduced dimension.

    Examples
    --------
    >>> logsumexp(np, np.array([[1e300, 0.0], [0.0, -1e300]]), 1)
    array([[1.e+300],
           [0.e+000]])
    """
    top = xp.max(y, axis=axis, keepdims=True)
    return top + xp.log(xp.sum(xp.exp(y - top), axis=axis, keepdims=True))
