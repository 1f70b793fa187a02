"""Elementwise maps, compiled: one pass over the weights, whatever the number of levels.

The ramps of a piecewise-affine proximal map are disjoint, so that a chain of clamps gives its value; a value on the
grid is then a copy of a grid point, to the last bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from optlab.compiled.functions import F8, I8, Compiled, vector

Array = Any


_BLOCK = 2048  # entries that stay in the first cache while one ramp after another passes over them


def _clamp_chain(u, points, shifts, out):  # type: ignore[no-untyped-def]
    # written by comparisons, which become vector instructions and carry a nan through
    last = points.size - 1
    for start in range(0, u.size, _BLOCK):
        given, answer = u[start : start + _BLOCK], out[start : start + _BLOCK]
        bottom, shift, top = points[0], shifts[0], points[1]
        second = 1 if last > 1 else 0  # two ramps at a time: half the loads and stores
        other, above = shifts[second], points[second + 1]
        for i in range(given.size):
            w, v = given[i] - shift, given[i] - other
            w, v = top if top < w else w, above if above < v else v
            w = bottom if bottom > w else w
            answer[i] = w if w > v else v
        for j in range(2, last, 2):
            second = j + 1 if j + 1 < last else j
            shift, top, other, above = shifts[j], points[j + 1], shifts[second], points[second + 1]
            for i in range(given.size):
                w, v = given[i] - shift, given[i] - other
                w, v = top if top < w else w, above if above < v else v
                w = answer[i] if answer[i] > w else w
                answer[i] = w if w > v else v


def _clamp_signature(scalar: Any, layout: str = "C") -> Any:
    given = vector(scalar, True)
    return types.void(given, given, given, vector(scalar))


CLAMP_CHAIN = Compiled(_clamp_chain, _clamp_signature)


def _soften(u, points, inverse_slope, out):  # type: ignore[no-untyped-def]
    last, hard = points.size - 1, inverse_slope == 0.0
    steep = 1.0 if hard else 1.0 / inverse_slope
    for start in range(0, u.size, _BLOCK):
        given, answer = u[start : start + _BLOCK], out[start : start + _BLOCK]
        for i in range(given.size):
            answer[i] = points[0]
        for j in range(0, last, 2):  # two cells at a time: half the loads and stores
            second = j + 1 if j + 1 < last else j
            top, centre = points[j + 1], 0.5 * (points[j] + points[j + 1])
            above, other = points[second + 1], 0.5 * (points[second] + points[second + 1])
            if hard:
                for i in range(given.size):
                    w = answer[i] if given[i] <= centre else top
                    answer[i] = w if given[i] <= other else above
            else:
                for i in range(given.size):
                    w, v = centre + (given[i] - centre) * steep, other + (given[i] - other) * steep
                    w, v = top if top < w else w, above if above < v else v
                    w = answer[i] if answer[i] > w else w
                    answer[i] = w if w > v else v


def _soften_signature(scalar: Any, layout: str = "C") -> Any:
    return types.void(vector(scalar, True), vector(scalar, True), F8, vector(scalar))


SOFTEN = Compiled(_soften, _soften_signature)


def _cells(u, groups, grids, counts, inverse_slope, out):  # type: ignore[no-untyped-def]
    for i in range(u.size):
        g = groups[i]
        v = u[i]
        if g < 0:
            out[i] = v
            continue
        n = counts[g]
        grid = grids[g]
        k = 1
        while k < n - 1 and v > grid[k]:
            k += 1
        low, high = grid[k - 1], grid[k]
        if n == 1:
            out[i] = grid[0]
            continue
        centre = 0.5 * (low + high)
        if inverse_slope > 0.0:
            out[i] = min(max(centre + (v - centre) / inverse_slope, low), high)
        else:
            out[i] = low if v <= centre else high


def _cells_signature(scalar: Any, layout: str = "C") -> Any:
    numbers = vector(I8, True)
    return types.void(vector(F8, True), numbers, types.Array(F8, 2, "C", readonly=True), numbers, F8, vector(F8))


CELLS = Compiled(_cells, _cells_signature)


def clamp_chain(u: Array, points: Array, shifts: Array) -> Array:
    """Return the proximal map with ramps ``[points_j + shifts_j, points_{j+1} + shifts_j]`` at the entries of u."""
    dtype = u.dtype if u.dtype == np.float32 else np.dtype(float)
    flat = np.ascontiguousarray(u, dtype=dtype).ravel()
    out = np.empty_like(flat)
    CLAMP_CHAIN.get(dtype)(flat, points.astype(dtype), shifts.astype(dtype), out)
    return out.reshape(u.shape)


def soften(u: Array, points: Array, inverse_slope: float) -> Array:
    """Return ``P_s(u)`` for one grid, in the precision of u: a chain of clamps, or of steps at s = 0."""
    dtype = u.dtype if u.dtype == np.float32 else np.dtype(float)
    flat, levels = np.ascontiguousarray(u, dtype=dtype).ravel(), np.ascontiguousarray(points, dtype=dtype)
    if inverse_slope == 1.0:
        return np.asarray(np.clip(flat, levels[0], levels[-1])).reshape(u.shape)
    out = np.empty_like(flat)
    SOFTEN.get(dtype)(flat, levels, inverse_slope, out)
    return out.reshape(u.shape)


def in_cells(u: Array, groups: Array, grids: Array, counts: Array, inverse_slope: float) -> Array:
    """Return ``P_s(u)`` with the grid of each entry's group; entries of group -1 as they are."""
    flat = np.ascontiguousarray(u, dtype=float).ravel()
    out = np.empty_like(flat)
    CELLS.get()(flat, groups, grids, counts, inverse_slope, out)
    return out.reshape(u.shape)
