"""Compiled loops over lists of pairs by rows: scaling, extension to finer points, the smallest slacks.

The pairs of row i are ``columns[indptr[i]:indptr[i + 1]]``, with their costs.
"""

# Compiled code: Numba infers the types.
# mypy: ignore-errors

from __future__ import annotations

import math

import numpy as np

from optlab.transport.kernels.half_steps import _MAX, _SUM, CITYBLOCK, EUCLIDEAN, _compile, exp2_or_zero

_PLAIN = {"contract"}
_STRIDE = 40503  # as in pricing_kernels: ties are broken differently in each row


@_compile(_PLAIN)
def transpose_list(indptr, columns, values, m):
    """Return a list by rows as a list by columns."""
    n = indptr.size - 1
    starts = np.zeros(m + 1, dtype=np.int64)
    for p in range(columns.size):
        starts[columns[p] + 1] += 1
    for j in range(m):
        starts[j + 1] += starts[j]
    fill = starts[:m].copy()
    rows = np.empty(columns.size, dtype=np.int32)
    out = np.empty(columns.size)
    for i in range(n):
        for p in range(indptr[i], indptr[i + 1]):
            q = fill[columns[p]]
            fill[columns[p]] = q + 1
            rows[q] = i
            out[q] = values[p]
    return starts, rows, out


@_compile(_MAX, inline=True)
def _maximum(values, size):
    top = values[0]
    for p in range(size):
        top = max(top, values[p])
    return top


@_compile(_SUM, inline=True)
def _sum_of_powers(values, size, top):
    total = 0.0
    for p in range(size):
        total += exp2_or_zero(values[p] - top)
    return total


@_compile(_PLAIN)
def scale_list(indptr, columns, costs, g, kappa, previous, start, stop, out):
    """Write ``-log2 sum_j 2^(g_j - kappa C_ij)`` over the list to ``out[i]``; rows without pairs keep `previous`."""
    longest = 1
    for i in range(start, stop):
        longest = max(longest, indptr[i + 1] - indptr[i])
    x = np.empty(longest)
    for i in range(start, stop):
        first = indptr[i]
        size = indptr[i + 1] - first
        if size == 0:
            out[i] = previous[i]
            continue
        for p in range(size):
            x[p] = g[columns[first + p]] - kappa * costs[first + p]
        top = _maximum(x, size)
        out[i] = -(top + math.log2(_sum_of_powers(x, size, top)))


@_compile(_PLAIN)
def extend(parent, indptr, columns, points, others, metric, g, kappa, fallback, out):
    """Scale finer points against the coarse ones of their parents: ``-log2 sum_j 2^(g_j - kappa c(x_i, y_j))``."""
    d = points.shape[1]
    longest = 1
    for A in range(indptr.size - 1):
        longest = max(longest, indptr[A + 1] - indptr[A])
    values = np.empty(longest)
    for i in range(points.shape[0]):
        first = indptr[parent[i]]
        size = indptr[parent[i] + 1] - first
        if size == 0:
            out[i] = fallback[parent[i]]
            continue
        for p in range(size):
            j = columns[first + p]
            c = 0.0
            for k in range(d):
                z = points[i, k] - others[j, k]
                c += abs(z) if metric == CITYBLOCK else z * z
            if metric == EUCLIDEAN:
                c = math.sqrt(c)
            values[p] = g[j] - kappa * c
        top = _maximum(values, size)
        out[i] = -(top + math.log2(_sum_of_powers(values, size, top)))


@_compile(_PLAIN)
def smallest_of_rows(indptr, columns, costs, f, g, keep):
    """Mark the `keep` smallest slacks of each row of a list."""
    n = indptr.size - 1
    mark = np.zeros(columns.size, dtype=np.bool_)
    best = np.empty(keep)
    place = np.empty(keep, dtype=np.int64)
    for i in range(n):
        found = 0
        size = indptr[i + 1] - indptr[i]
        for visit in range(size):
            p = indptr[i] + (visit + _STRIDE * i) % size
            slack = costs[p] - g[columns[p]]
            if found < keep or slack < best[keep - 1]:
                q = found if found < keep else keep - 1
                found = min(found + 1, keep)
                while q > 0 and best[q - 1] > slack:
                    best[q] = best[q - 1]
                    place[q] = place[q - 1]
                    q -= 1
                best[q] = slack
                place[q] = p
        for q in range(found):
            mark[place[q]] = True
    return mark
