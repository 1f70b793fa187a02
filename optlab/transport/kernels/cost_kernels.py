"""Compiled passes over the cost alone: c-transforms, products, statistics.

Conventions are those of `optlab.transport.kernels.half_steps`; potentials and costs are in natural units here.
"""

# Compiled code: Numba infers the types.
# mypy: ignore-errors

from __future__ import annotations

import math

import numpy as np

from optlab.transport.kernels.half_steps import _MAX, _SUM, BLOCK, _add_multiple, _compile, _dot, _segment


@_compile(_MAX, inline=True)
def _least(c, g):
    low = math.inf
    for j in range(c.size):
        low = min(low, c[j] - g[j])
    return low


@_compile(_MAX, inline=True)
def _lower(c, f, lows):
    for j in range(c.size):
        lows[j] = min(lows[j], c[j] - f)


@_compile({"contract"})
def minimum_rows(data, g, start, stop, out):
    """Write ``min_j (C_ij - g_j)`` to ``out[i]``."""
    m = g.size
    buffer = np.empty(min(BLOCK, m))
    for i in range(start, stop):
        low = math.inf
        for j0 in range(0, m, BLOCK):
            j1 = min(j0 + BLOCK, m)
            low = min(low, _least(_segment(data, i, j0, j1, buffer), g[j0:j1]))
        out[i] = low


@_compile({"contract"})
def minimum_columns(data, f, start, stop, left, right, out):
    """Lower ``out[j]`` to ``min_i (C_ij - f_i)`` over rows start..stop, columns left..right."""
    buffer = np.empty(min(BLOCK, right - left))
    for i in range(start, stop):
        for j0 in range(left, right, BLOCK):
            j1 = min(j0 + BLOCK, right)
            _lower(_segment(data, i, j0, j1, buffer), f[i], out[j0:j1])


@_compile(_SUM)
def product_rows(data, v, start, stop, out):
    """Write ``(C v)_i`` to ``out[i]``."""
    m = v.size
    buffer = np.empty(min(BLOCK, m))
    for i in range(start, stop):
        total = 0.0
        for j0 in range(0, m, BLOCK):
            j1 = min(j0 + BLOCK, m)
            total += _dot(_segment(data, i, j0, j1, buffer), v[j0:j1])
        out[i] = total


@_compile(_SUM)
def product_columns(data, u, start, stop, m, out):
    """Add ``sum_i C_ij u_i`` over rows start..stop to ``out[j]``."""
    buffer = np.empty(min(BLOCK, m))
    for i in range(start, stop):
        for j0 in range(0, m, BLOCK):
            j1 = min(j0 + BLOCK, m)
            _add_multiple(_segment(data, i, j0, j1, buffer), u[i], out[j0:j1])


@_compile(_MAX, inline=True)
def _extremes(c):
    low = high = np.float64(c[0])
    for j in range(c.size):
        value = np.float64(c[j])
        low = min(low, value)
        high = max(high, value)
    return low, high


@_compile(_SUM, inline=True)
def _spread(c):
    mean = 0.0
    for j in range(c.size):
        mean += c[j]
    mean /= c.size
    squares = 0.0
    for j in range(c.size):
        squares += (c[j] - mean) * (c[j] - mean)
    return mean, squares


@_compile({"contract"})
def statistics_rows(data, m, start, stop, out):
    """Write minimum, maximum, mean and sum of squared deviations of each row to ``out[i]`` (Chan's update)."""
    buffer = np.empty(min(BLOCK, m))
    for i in range(start, stop):
        low, high, mean, squares = math.inf, -math.inf, 0.0, 0.0
        for j0 in range(0, m, BLOCK):
            j1 = min(j0 + BLOCK, m)
            c = _segment(data, i, j0, j1, buffer)
            a, b = _extremes(c)
            low = min(low, a)
            high = max(high, b)
            part, part_squares = _spread(c)
            delta = part - mean
            size = j1 - j0
            squares += part_squares + delta * delta * (j0 * size / j1)
            mean += delta * (size / j1)
        out[i, 0] = low
        out[i, 1] = high
        out[i, 2] = mean
        out[i, 3] = squares


@_compile({"contract"})
def cost_rows(data, m, start, stop, out):
    """Write rows start..stop of the cost to ``out[i - start]``."""
    buffer = np.empty(min(BLOCK, m))
    for i in range(start, stop):
        for j0 in range(0, m, BLOCK):
            j1 = min(j0 + BLOCK, m)
            c = _segment(data, i, j0, j1, buffer)
            for j in range(j1 - j0):
                out[i - start, j0 + j] = c[j]


@_compile({"contract"})
def pair_costs(data, rows, columns, out):
    """Write the costs of single pairs to `out`."""
    buffer = np.empty(1)
    for p in range(rows.size):
        j = columns[p]
        out[p] = _segment(data, rows[p], j, j + 1, buffer)[0]
