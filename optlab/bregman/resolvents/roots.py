"""Scalar equations behind the closed forms, all vectorised and safe at any finite input.

Two kinds: Lambert-type equations in one variable, written so that no exponential overflows and no digits cancel, and
the multiplier ``mu`` of one linear constraint, by a Newton iteration kept inside a bracket (bisection where Newton
leaves it: a plain Newton iteration was seen to fail on both kinds).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from optlab.bregman.elementary import expit, quiet, wright_omega
from optlab.bregman.functions.base import Array
from optlab.core.backend import is_foreign, namespace

_EPS = float(np.finfo(float).eps)


def solve_plus_exp(s: Any, log_k: Any) -> Array:
    """Return the root y of ``y + k exp(y) = s``, ``k`` given by its logarithm (``-inf`` allowed).

    With ``w = k exp(y)`` the Wright omega function of ``s + log k``: ``y = s - w``, or ``y = log w - log k``; the
    first keeps its digits for small w, the second for large w.

    Examples
    --------
    >>> y = solve_plus_exp(1e8, 0.0)
    >>> float(abs(y + np.exp(y) - 1e8)) < 1e-6
    True
    """
    if is_foreign(s):
        xp = namespace(s)
        z = s + log_k
        with quiet():
            w = wright_omega(xp, z)
            return xp.where(w > 1.0, xp.log(w) - xp.where(w > 1.0, log_k + xp.zeros_like(z), xp.zeros_like(z)), s - w)
    s, log_k = np.asarray(s, dtype=float), np.asarray(log_k, dtype=float)
    with np.errstate(under="ignore"):
        w = special.wrightomega(s + log_k)
    large = w > 1.0
    return np.where(large, np.log(np.where(large, w, 1.0)) - log_k, s - w)


def solve_plus_expit(s: Any, k: Any) -> Array:
    """Return the root v of ``v + k expit(v) = s`` for ``k >= 0``.

    By the symmetry ``v -> -v`` the root can be taken negative. There ``exp(v)/2 <= expit(v) <= exp(v)`` brackets it
    within log 2 by two roots of `solve_plus_exp`, and the equation is convex and increasing, so that Newton's
    iteration from the upper end decreases to the root: no step can leave the bracket, except by rounding.

    Examples
    --------
    >>> from scipy.special import expit
    >>> v = solve_plus_expit(3.0, 25.0)
    >>> float(abs(v + 25.0 * expit(v) - 3.0)) < 1e-13
    True
    """
    s, k = np.broadcast_arrays(np.asarray(s, dtype=float), np.asarray(k, dtype=float))
    return solve_plus_expit_pair(s, s - k, k)


def solve_plus_expit_pair(low: Any, high: Any, k: Any) -> Array:
    """Return the root v of ``v + k expit(v) = low``, given also ``high = low - k`` computed without cancellation.

    The second form of the same equation, ``v - k expit(-v) = high``, is the one that keeps its digits for ``v > 0``.
    """
    xp, sigmoid = np, special.expit
    if is_foreign(low):
        xp = namespace(low)
        sigmoid = functools.partial(expit, xp)
        k = k + xp.zeros_like(low)
    else:
        low, high, k = np.broadcast_arrays(*(np.asarray(a, dtype=float) for a in (low, high, k)))
    flip = low + high > 0.0  # then the root is positive
    s = xp.where(flip, -high, low)
    with np.errstate(divide="ignore"):
        log_k = xp.log(k)
    lower = xp.clip(solve_plus_exp(s, log_k), None, 0.0)
    v = xp.clip(solve_plus_exp(s, log_k - math.log(2.0)), None, 0.0)
    with np.errstate(under="ignore"):
        for _ in range(8):  # the gap of log 2 squares at each step; four were enough in all tests
            p = sigmoid(v)
            slope = 1.0 + k * p * sigmoid(-v)
            v = xp.clip(v - (v + k * p - s) / slope, lower, 0.0)
    return xp.where(flip, -v, v)


def positive_quadratic_root(b: Any, c: Any) -> Array:
    """Return the positive root w of ``w^2 - b w - c = 0`` for ``c >= 0``, without cancellation.

    Examples
    --------
    >>> float(positive_quadratic_root(-1e8, 1.0))
    1e-08
    """
    b, c = np.broadcast_arrays(np.asarray(b, dtype=float), np.asarray(c, dtype=float))
    root = np.hypot(b, 2.0 * np.sqrt(c))
    safe = np.where(b > 0, 1.0, root - b)  # root - b is zero only if b = c = 0, where the root is 0
    return np.where(b > 0, 0.5 * (root + b), 2.0 * c / np.where(safe == 0, 1.0, safe))


def decreasing_root(
    function: Callable[[float], tuple[float, float]],
    lower: float,
    upper: float,
    *,
    start: float | None = None,
    max_iter: int = 300,
) -> float:
    """Return a root of a decreasing function on ``[lower, upper]`` by Newton's iteration with bisection as fallback.

    A Newton step that leaves the bracket, or is not half the step before it, is replaced by the midpoint. The answer is
    as accurate as the function's sign: it ends when the bracket is down to neighbouring floats or the value is zero.

    Parameters
    ----------
    function : callable
        ``x -> (value, derivative)``; the value may be infinite, the derivative may be anything where unusable.
    lower, upper : float
        Finite, with a non-negative value at `lower` and a non-positive one at `upper`.
    start : float, optional
        First point. Default: the middle.

    Examples
    --------
    >>> decreasing_root(lambda x: (4.0 - x * x, -2.0 * x), 0.0, 1e6)
    2.0
    """
    x = 0.5 * (lower + upper) if start is None else min(max(start, lower), upper)
    step = np.inf
    for _ in range(max_iter):
        value, derivative = function(x)
        if value == 0.0:
            return x
        if value > 0.0:
            lower = x
        else:
            upper = x
        newton = x - value / derivative if derivative < 0.0 and np.isfinite(value) else np.inf
        if lower <= newton <= upper and abs(newton - x) <= 0.5 * step:
            if abs(newton - x) <= _EPS * abs(newton):
                return float(newton)
        else:
            newton = 0.5 * (lower + upper)
            if not lower < newton < upper:
                return float(newton)
        x, step = newton, abs(newton - x)
    return float(x)


def expand_bracket(function: Callable[[float], tuple[float, float]], scale: float) -> tuple[float, float, float] | None:
    """Return ``(lower, upper, start)`` around the root of a decreasing function by doubling outwards from 0.

    A zero at 0 gives ``(0, 0, 0)``: of several roots to rounding, the one nearest to 0 changes the point least.
    None if there is no sign change up to ``1e30 * scale``.
    """
    value, _ = function(0.0)
    if value == 0.0:
        return 0.0, 0.0, 0.0
    sign = 1.0 if value > 0 else -1.0
    inner, outer = 0.0, sign * scale
    for _ in range(100):
        value, _ = function(outer)
        if value == 0.0 or (value > 0) != (sign > 0):
            break
        inner, outer = outer, 2.0 * outer
    else:
        return None
    return (inner, outer, outer) if sign > 0 else (outer, inner, outer)


def solve_plus_log(ratio: Any, k: Any) -> Array:
    """Return the root ``w > 0`` of ``w/k + log w = ratio`` for ``k > 0``, that is ``w = k W(exp(ratio) / k)``.

    Examples
    --------
    >>> float(solve_plus_log(1.0, 1.0))
    1.0
    """
    if is_foreign(ratio):
        with quiet():
            return k * wright_omega(namespace(ratio), ratio - logarithm(k))
    with np.errstate(under="ignore"):
        return np.asarray(k * special.wrightomega(ratio - np.log(k)))


def logarithm(strength: Any) -> Any:
    """Return the logarithm of a number, or of an array of any library.

    Examples
    --------
    >>> logarithm(1.0)
    0.0
    """
    if type(strength) is float:
        return float(np.log(strength))
    return namespace(strength).log(strength)
