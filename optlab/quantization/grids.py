"""Grids: fixed ones, and those that fit given weights best in the least-squares sense.

A least-squares binary quantizer (LSBQ; Pouransari et al. 2020) has the levels ``±v_1 ± ... ± v_n``. For one bit, for
the ternary grid and for two bits the best one is found exactly, by prefix sums over the sorted magnitudes; more bits
are fitted greedily, or, with ``method="free"``, as any symmetric grid, by dynamic programming.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from optlab.core.validation import as_float_array, as_integer, as_number, one_of

Array = Any


def uniform_grid(bits: int, scale: float = 1.0) -> Array:
    """Return ``2**bits`` evenly spaced levels from -scale to scale.

    Parameters
    ----------
    bits : int
        From 1 to 16.
    scale : float, default 1

    Examples
    --------
    >>> uniform_grid(2, 3.0)
    array([-3., -1.,  1.,  3.])
    """
    bits = as_bits(bits, 1, 16)
    return as_number(scale, "scale", above=0) * (np.arange(2**bits) - np.arange(2**bits)[::-1]) / (2**bits - 1)


def ternary_grid(scale: float = 1.0) -> Array:
    """Return the levels ``-scale, 0, scale``.

    Examples
    --------
    >>> ternary_grid(0.5)
    array([-0.5,  0. ,  0.5])
    """
    return as_number(scale, "scale", above=0) * np.array([-1.0, 0.0, 1.0])


def as_bits(value: Any, minimum: int, maximum: int) -> int:
    """Return a number of bits in a range, as an integer."""
    bits = as_integer(value, "bits", minimum=minimum)
    if bits > maximum:
        raise ValueError(f"bits must be at most {maximum}, got {bits}")
    return bits


def levels_of(bits: float) -> int:
    """Return the number of levels: 2 to the power of `bits`; 3 for 1.58, the ternary grid.

    Examples
    --------
    >>> levels_of(1.58), levels_of(4)
    (3, 16)
    """
    value = as_number(bits, "bits", above=0, maximum=16)
    if 1.5 < value < 1.6:
        return 3
    if value != round(value):
        raise ValueError(f"bits must be an integer, or 1.58 for the ternary grid, got {bits!r}")
    return 2 ** int(value)


def least_squares_grid(weights: Any, bits: float, method: str = "exact") -> Array:
    """Return the symmetric grid nearest to the weights: the smallest ``sum_i min_q (w_i - q)^2``.

    Parameters
    ----------
    weights : array_like
        Any shape; not all 0.
    bits : float
        1, 1.58 (ternary: 0 and two more levels), 2, 3 or 4.
    method : {"exact", "greedy", "free"}, default "exact"
        "exact": the best grid for 1, 1.58 and 2 bits; for more, "greedy" is what there is. "greedy": residual by
        residual, ``v_j = mean |r|``, ``r -= v_j sign(r)``. "free": the best symmetric grid of that many levels,
        without the structure ``±v_1 ± ... ± v_n``, by dynamic programming in O(n^2) for up to 2,000 weights.

    Returns
    -------
    ndarray
        Increasing; levels that fall together are given once.

    Notes
    -----
    The levels from the greedy fit may cross (heavy tails); the assignment that goes with it is then not the nearest
    one. The grid is what counts here: `nearest` assigns.

    References
    ----------
    Pouransari, Tu, Tuzel (2020), Least squares binary quantization of neural networks.

    Examples
    --------
    >>> x = np.array([-1.7, -0.9, -0.35, -0.1, 0.05, 0.4, 0.8, 2.2])
    >>> least_squares_grid(x, 1.58).round(6), least_squares_grid(x, 2).round(6)
    (array([-1.4,  0. ,  1.4]), array([-1.95    , -0.433333,  0.433333,  1.95    ]))
    """
    w = as_float_array(weights, "weights").ravel()
    one_of(method, "method", ("exact", "greedy", "free"))
    levels = levels_of(bits)
    size = np.sort(np.abs(w))[::-1]
    if size.size == 0 or size[0] == 0.0:
        raise ValueError("weights must not all be 0: no scale can be fitted")
    if method == "free" and levels > 3:
        half = _best_means(size[::-1], levels // 2)
        return np.unique(np.concatenate([-half, half]))
    if levels == 3:
        total, count = np.cumsum(size), np.arange(1, size.size + 1)
        k = int(np.argmax(total**2 / count))
        return np.array([-1.0, 0.0, 1.0]) * (total[k] / count[k])
    if levels == 4 and method == "exact":
        return _symmetric(_two_means(size))
    return _signed_sums(greedy_scales(w, levels.bit_length() - 1))


def greedy_scales(weights: Any, count: int) -> Array:
    """Return ``v_j = mean |r|`` of the residuals ``r -= v_j sign(r)``, with ``sign(0) = 1``, j = 1, ..., count.

    Examples
    --------
    >>> greedy_scales([-1.7, -0.9, -0.35, -0.1, 0.05, 0.4, 0.8, 2.2], 3)
    array([0.8125  , 0.590625, 0.346875])
    """
    rest = np.array(weights, dtype=float).ravel()
    found = np.empty(count)
    for j in range(count):
        found[j] = np.mean(np.abs(rest))
        rest -= np.where(rest >= 0, found[j], -found[j])
    return found


def _two_means(size: Array) -> Array:
    """Return the two centres of the best split of decreasing magnitudes."""
    n, total = size.size, np.cumsum(size)
    if n == 1:
        return size[:1]
    count = np.arange(1, n)
    rest = total[-1] - total[:-1]
    k = int(np.argmax(total[:-1] ** 2 / count + rest**2 / (n - count)))
    return np.array([rest[k] / (n - count[k]), total[k] / count[k]])


def _best_means(size: Array, clusters: int) -> Array:
    """Return the centres of the best clusters of increasing numbers, by dynamic programming."""
    n = size.size
    if n > 2000:
        raise ValueError(f'method "free" takes up to 2000 weights, got {n}; "greedy" takes any number')
    clusters = min(clusters, np.unique(size).size)
    first, second = np.concatenate([[0.0], np.cumsum(size)]), np.concatenate([[0.0], np.cumsum(size**2)])
    start, end = np.arange(n)[:, None], np.arange(1, n + 1)[None, :]
    width = np.maximum(end - start, 1)
    cost = second[end] - second[start] - (first[end] - first[start]) ** 2 / width
    cost = np.where(end > start, np.maximum(cost, 0.0), np.inf)
    best, choices = cost[0], []
    for _ in range(1, clusters):
        table = np.concatenate([[np.inf], best[:-1]])[:, None] + cost
        choices.append(np.argmin(table, axis=0))
        best = np.min(table, axis=0)
    bounds = [n]
    for choice in reversed(choices):
        bounds.append(int(choice[bounds[-1] - 1]))
    bounds.append(0)
    return np.array([(first[b] - first[a]) / (b - a) for b, a in pairwise(bounds)])[::-1]


def _symmetric(half: Array) -> Array:
    return np.unique(np.concatenate([-half, half]))


def _signed_sums(scales: Array) -> Array:
    levels = np.zeros(1)
    for v in scales:
        levels = np.concatenate([levels - v, levels + v])
    return np.unique(levels)


def group_grids(weights: Array, groups: Array, bits: float, method: str = "exact") -> list[Array]:
    """Return the least-squares grid of each group ``0, 1, ...`` of entries; a group of zeros gets the grid of 0."""
    order = np.argsort(groups, kind="stable")
    bounds = np.searchsorted(groups[order], np.arange(int(groups.max(initial=-1)) + 2))
    found = []
    for a, b in pairwise(bounds.tolist()):
        part = weights[order[a:b]]
        found.append(least_squares_grid(part, bits, method) if np.any(part != 0) else np.zeros(1))
    return found


def by_rows(shape: tuple[int, ...]) -> Array:
    """Return group numbers for one grid per row (first index) of an array of that shape, flattened.

    Examples
    --------
    >>> by_rows((2, 3))
    array([0, 0, 0, 1, 1, 1])
    """
    return np.repeat(np.arange(shape[0]), int(np.prod(shape[1:], dtype=int)))
