"""Sliced transport: the mean over directions of transport on the line, with intervals that say how sure it is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.core.validation import as_float_array, as_integer, as_number
from optlab.transport.closed_forms.line import Power
from optlab.transport.closed_forms.staircase import staircase
from optlab.transport.plans.marginals import equal_marginals, uniform_if_none

Array = Any


@dataclass(frozen=True, eq=False)
class SlicedDistance:
    """What `sliced_wasserstein` returns.

    Attributes
    ----------
    cost : float
        The mean of ``W_p^p`` over the directions drawn.
    distance : float
        Its p-th root.
    standard_error : float
        Of `cost`.
    interval : (float, float)
        For the mean over all directions, by the central limit theorem: right at about the stated confidence.
    guaranteed_interval : (float, float)
        The same by the empirical Bernstein inequality (Maurer and Pontil 2009): right at the stated confidence or more,
        for any number of directions; wider.
    directions, values : ndarray, shapes (L, d) and (L,)
    """

    cost: float
    p: float
    standard_error: float
    interval: tuple[float, float]
    guaranteed_interval: tuple[float, float]
    directions: Array
    values: Array

    @property
    def distance(self) -> float:
        """The p-th root of the cost."""
        return self.cost ** (1.0 / self.p)


def _clouds(x: Any, y: Any, a: Any, b: Any) -> tuple[Array, Array, Array, Array]:
    x, y = (as_float_array(v, n, ndim=2).astype(np.float64, copy=False) for v, n in ((x, "x"), (y, "y")))
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"x and y must have points of equal dimension, got {x.shape[1]} and {y.shape[1]}")
    a, b, _ = equal_marginals(*uniform_if_none(a, b, (len(x), len(y))), (len(x), len(y)))
    return x, y, a, b


def _slice_costs(x: Array, y: Array, a: Array, b: Array, directions: Array, p: float) -> Array:
    equal = np.all(a == a[0]) and a.size == b.size and np.all(b == b[0])
    found, h = np.empty(len(directions)), Power(p)
    for k, theta in enumerate(directions):
        s, t = x @ theta, y @ theta
        if equal:
            found[k] = a[0] * float(np.sum(h(np.sort(s) - np.sort(t))))
        else:
            left, right = np.argsort(s), np.argsort(t)
            rows, columns, flows = staircase(a[left], b[right])
            found[k] = flows @ h(s[left[rows]] - t[right[columns]])
    return found


def _largest(x: Array, y: Array, a: Array, b: Array, p: float) -> float:
    """Return a bound on the cost along any direction: that of a coupling, which projects to one of every slice."""
    axis = int(np.argmax(x.var(axis=0) + y.var(axis=0)))
    left, right = np.argsort(x[:, axis]), np.argsort(y[:, axis])
    rows, columns, flows = staircase(a[left], b[right])
    d = x[left[rows]] - y[right[columns]]
    bound = float(flows @ np.sum(d * d, axis=1) ** (0.5 * p))
    if p == 2.0:
        bound = min(bound, float(np.linalg.eigvalsh((flows[:, None] * d).T @ d)[-1]), float(_independent(x, y, a, b)))
    return bound


def _independent(x: Array, y: Array, a: Array, b: Array) -> float:
    """Return the largest eigenvalue of ``sum a_i b_j (x_i - y_j)(x_i - y_j)^T / mass``."""
    mass = a.sum()
    mx, my = a @ x / mass, b @ y / mass
    M = (a[:, None] * (x - mx)).T @ (x - mx) + (b[:, None] * (y - my)).T @ (y - my) + mass * np.outer(mx - my, mx - my)
    return float(np.linalg.eigvalsh(M)[-1])


def sliced_wasserstein(
    x: Any,
    y: Any,
    a: Any = None,
    b: Any = None,
    p: float = 2,
    *,
    n_projections: int = 200,
    confidence: float = 0.95,
    seed: Any = 0,
) -> SlicedDistance:
    """Return the sliced transport cost between two clouds, with confidence intervals.

    Parameters
    ----------
    x, y : array_like, shapes (n, d) and (m, d)
    a, b : array_like, optional
        Weights; default: equal ones.
    p : float, default 2
        At least 1.
    n_projections : int, default 200
        Directions, uniform on the sphere; at least 2.
    confidence : float, default 0.95
    seed : int or numpy.random.Generator, default 0

    Returns
    -------
    SlicedDistance

    Notes
    -----
    The guaranteed interval needs a bound on the cost along every direction: any coupling in space projects to one of
    the slices, so that for p = 2 the largest eigenvalue of ``sum X_ij (x_i - y_j)(x_i - y_j)^T`` is one (derived here).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(200, 3)), rng.normal(size=(300, 3)) + [2.0, 0.0, 0.0]
    >>> found = sliced_wasserstein(x, y)
    >>> low, high = found.interval
    >>> low < found.cost < high, high - low < found.guaranteed_interval[1] - found.guaranteed_interval[0]
    (True, True)
    """
    x, y, a, b = _clouds(x, y, a, b)
    p = as_number(p, "p", minimum=1)
    L = as_integer(n_projections, "n_projections", minimum=2)
    confidence = as_number(confidence, "confidence", above=0, below=1)
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(L, x.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    values = _slice_costs(x, y, a, b, directions, p)
    mean, variance = float(values.mean()), float(values.var(ddof=1))
    from scipy.stats import norm

    error = math.sqrt(variance / L)
    half = float(norm.ppf(0.5 + 0.5 * confidence)) * error
    largest, log = _largest(x, y, a, b, p), math.log(4.0 / (1.0 - confidence))
    wide = math.sqrt(2.0 * variance * log / L) + 7.0 * largest * log / (3.0 * (L - 1))
    return SlicedDistance(
        mean,
        p,
        error,
        (max(mean - half, 0.0), mean + half),
        (max(mean - wide, 0.0), min(mean + wide, largest)),
        directions,
        values,
    )


@dataclass(frozen=True, eq=False)
class MaxSliced:
    """What `max_sliced_wasserstein` returns: a direction, the squared cost along it, and a bound on that of all."""

    cost: float
    upper_bound: float
    direction: Array


def max_sliced_wasserstein(
    x: Any, y: Any, a: Any = None, b: Any = None, *, n_starts: int = 10, max_iter: int = 100, seed: Any = 0
) -> MaxSliced:
    """Return a direction along which two clouds are far apart in ``W_2``: the farthest that an ascent finds.

    Along a direction theta the squared cost is ``min_X theta^T M_X theta`` with ``M_X = sum X_ij (x_i - y_j)
    (x_i - y_j)^T``, so that its gradient is ``2 M theta`` for the sorted coupling (envelope theorem), and the largest
    eigenvalue of any M_X bounds it for all directions. The ascent follows ``M theta``, with shorter steps where the
    cost would fall, from the best of many random directions. Local maxima are possible: the bound says how far off.

    Parameters
    ----------
    x, y, a, b, seed
        As for `sliced_wasserstein`.
    n_starts : int, default 10
    max_iter : int, default 100
        Ascent steps of each start.

    Returns
    -------
    MaxSliced
        `cost` is a lower bound on the largest squared cost, `upper_bound` an upper one.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(200, 3)), rng.normal(size=(300, 3)) + [2.0, 0.0, 0.0]
    >>> found = max_sliced_wasserstein(x, y)
    >>> bool(abs(found.direction[0]) > 0.9), found.cost <= found.upper_bound
    (True, True)
    """
    x, y, a, b = _clouds(x, y, a, b)
    starts, steps = as_integer(n_starts, "n_starts", minimum=1), as_integer(max_iter, "max_iter", minimum=1)
    directions = np.random.default_rng(seed).normal(size=(50 * starts, x.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    order = np.argsort(_slice_costs(x, y, a, b, directions, 2.0))[::-1]
    best, upper = (-1.0, directions[0]), _largest(x, y, a, b, 2.0)
    for theta in directions[order[:starts]]:
        cost, M = _along(x, y, a, b, theta)
        for _ in range(steps):
            upper = min(upper, float(np.linalg.eigvalsh(M)[-1]))
            target, share = M @ theta, 1.0
            target /= max(float(np.linalg.norm(target)), 1e-300)
            while share > 1e-6:
                following = (1.0 - share) * theta + share * target
                following /= max(float(np.linalg.norm(following)), 1e-300)
                reached, matrix = _along(x, y, a, b, following)
                if reached > cost:
                    break
                share *= 0.5
            else:
                break
            settled = reached <= cost * (1.0 + 1e-12)
            theta, cost, M = following, reached, matrix
            if settled:
                break
        best = max(best, (cost, theta), key=lambda found: found[0])
    return MaxSliced(best[0], upper, best[1])


def _along(x: Array, y: Array, a: Array, b: Array, theta: Array) -> tuple[float, Array]:
    """Return the squared cost along a direction, and the second moments of its sorted coupling."""
    left, right = np.argsort(x @ theta), np.argsort(y @ theta)
    rows, columns, flows = staircase(a[left], b[right])
    d = x[left[rows]] - y[right[columns]]
    M = (flows[:, None] * d).T @ d
    return float(theta @ M @ theta), M
