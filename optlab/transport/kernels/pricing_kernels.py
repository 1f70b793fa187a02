"""Compiled scans of all pairs: bounds over blocks, the pairs of small slack, the violated ones.

The cost comes as the tuple of arrays of `optlab.transport.kernels.half_steps` (its `_segment` gives a row's entries
over a range of columns), in an order of rows and columns in which blocks of consecutive points lie close together. The
*slack* of a pair is ``C_ij - f_i - g_j``. Which pairs of blocks a loop visits is decided beforehand by `live_blocks`,
from a lower bound on the slack that holds for every pair in them; everything else is never looked at.

The kernels release the interpreter lock and take an index range, as those of `optlab.transport.kernels.half_steps` do.
"""

# Compiled code: Numba infers the types.
# mypy: ignore-errors

from __future__ import annotations

import math

import numpy as np

from optlab.transport.kernels.cost_kernels import _least
from optlab.transport.kernels.half_steps import CITYBLOCK, SQEUCLIDEAN, _compile, _segment

_PLAIN = {"contract"}
_STRIDE = 40503  # 2^16 / golden ratio: spreads the rows' starting places evenly

# ---------------------------------------------------------------------------------------- blocks


@_compile(_PLAIN)
def block_models(points, edges, potential, center, half, level, slope):
    """Fit, block by block, an affine bound ``potential_i <= level + slope . (point_i - center)``.

    The slope is the least-squares one (any slope gives a valid bound; a good one a tight bound), the level is raised to
    the largest residual.
    """
    d = points.shape[1]
    gram = np.empty((d, d))
    moment = np.empty(d)
    for A in range(edges.size - 1):
        start, stop = edges[A], edges[A + 1]
        for k in range(d):
            low = high = points[start, k]
            for i in range(start + 1, stop):
                low = min(low, points[i, k])
                high = max(high, points[i, k])
            center[A, k] = 0.5 * (low + high)
            half[A, k] = max(high - center[A, k], center[A, k] - low)
        mean = 0.0
        for i in range(start, stop):
            mean += potential[i]
        mean /= stop - start
        gram[:] = 0.0
        moment[:] = 0.0
        trace = 0.0
        for i in range(start, stop):
            for k in range(d):
                p = points[i, k] - center[A, k]
                moment[k] += p * (potential[i] - mean)
                for q in range(k + 1):
                    gram[k, q] += p * (points[i, q] - center[A, q])
        for k in range(d):
            trace += gram[k, k]
        # Cholesky with a ridge, in place
        ridge = 1e-6 * trace + 1e-300
        for k in range(d):
            for q in range(k + 1):
                total = gram[k, q]
                for r in range(q):
                    total -= gram[k, r] * gram[q, r]
                if k == q:
                    gram[k, k] = math.sqrt(max(total + ridge, ridge))
                else:
                    gram[k, q] = total / gram[q, q]
        for k in range(d):
            total = moment[k]
            for r in range(k):
                total -= gram[k, r] * slope[A, r]
            slope[A, k] = total / gram[k, k]
        for k in range(d - 1, -1, -1):
            total = slope[A, k]
            for r in range(k + 1, d):
                total -= gram[r, k] * slope[A, r]
            slope[A, k] = total / gram[k, k]
        top = -math.inf
        for i in range(start, stop):
            value = potential[i]
            for k in range(d):
                value -= slope[A, k] * (points[i, k] - center[A, k])
            top = max(top, value)
        level[A] = top


@_compile(_PLAIN)
def live_blocks(metric, rows, columns, threshold, indptr, parents, row_parent, column_edges, start, stop):
    """List, for row blocks start..stop, the column blocks in which some slack may be at most `threshold`.

    A cost ``phi(x - y)`` with phi convex lies above its tangent at the centers, and the potentials below their affine
    bounds; what is left is linear on a box, and its minimum is known. A margin covers the rounding of the bound itself.

    Only the children of live pairs of larger blocks are tried: row block A is part of the larger block
    ``row_parent[A]``, whose live partners are ``parents[indptr[.]:indptr[. + 1]]``, and column blocks
    ``column_edges[P]:column_edges[P + 1]`` are those in the larger block P.
    """
    row_center, row_half, row_level, row_slope = rows
    column_center, column_half, column_level, column_slope = columns
    d = row_center.shape[1]
    widest = 0
    for P in range(column_edges.size - 1):
        widest = max(widest, column_edges[P + 1] - column_edges[P])
    out = np.empty(64 * (stop - start) + widest, dtype=np.int32)
    counts = np.zeros(stop - start, dtype=np.int64)
    z = np.empty(d)
    size = 0
    for A in range(start, stop):
        before = size
        for visit in range(indptr[row_parent[A]], indptr[row_parent[A] + 1]):
            if size + widest > out.size:
                larger = np.empty(2 * out.size + widest, dtype=np.int32)
                for p in range(size):
                    larger[p] = out[p]
                out = larger
            for B in range(column_edges[parents[visit]], column_edges[parents[visit] + 1]):
                phi = 0.0
                for k in range(d):
                    z[k] = row_center[A, k] - column_center[B, k]
                    phi += abs(z[k]) if metric == CITYBLOCK else z[k] * z[k]
                scale = 2.0
                if metric != SQEUCLIDEAN:
                    if metric != CITYBLOCK:
                        phi = math.sqrt(phi)
                    scale = 1.0 / phi if phi > 0.0 else 0.0
                bound = phi - row_level[A] - column_level[B]
                size_of_terms = phi + abs(row_level[A]) + abs(column_level[B])
                for k in range(d):
                    if metric == CITYBLOCK:
                        p = 1.0 if z[k] > 0.0 else -1.0 if z[k] < 0.0 else 0.0
                    else:
                        p = scale * z[k]
                    bound -= abs(p - row_slope[A, k]) * row_half[A, k]
                    bound -= abs(p + column_slope[B, k]) * column_half[B, k]
                if bound - 1e-14 * (d + 4) * size_of_terms <= threshold:
                    out[size] = B
                    size += 1
        counts[A - start] = size - before
    return counts, out[:size].copy()


# ---------------------------------------------------------------------------------------- all pairs, some kept


@_compile(_PLAIN)
def pairs_below(data, f, g, threshold, row_edges, column_edges, indptr, blocks, first, last):
    """List the pairs of row blocks first..last with ``C_ij - f_i - g_j <= threshold``: counts, columns, costs."""
    begin, end = row_edges[first], row_edges[last]
    width = 0
    for B in range(column_edges.size - 1):
        width = max(width, column_edges[B + 1] - column_edges[B])
    buffer = np.empty(width)
    counts = np.zeros(end - begin, dtype=np.int64)
    columns = np.empty(16 * (end - begin) + width, dtype=np.int32)
    costs = np.empty(16 * (end - begin) + width)
    size = 0
    for A in range(first, last):
        for i in range(row_edges[A], row_edges[A + 1]):
            before = size
            level = f[i] + threshold
            for p in range(indptr[A], indptr[A + 1]):
                j0, j1 = column_edges[blocks[p]], column_edges[blocks[p] + 1]
                c = _segment(data, i, j0, j1, buffer)
                if _least(c, g[j0:j1]) > level:
                    continue
                if size + width > columns.size:
                    more = np.empty(2 * columns.size + width, dtype=np.int32)
                    more_costs = np.empty(more.size)
                    for q in range(size):
                        more[q] = columns[q]
                        more_costs[q] = costs[q]
                    columns, costs = more, more_costs
                for j in range(j1 - j0):
                    if c[j] - g[j0 + j] <= level:
                        columns[size] = j0 + j
                        costs[size] = c[j]
                        size += 1
            counts[i - begin] = size - before
    return counts, columns[:size].copy(), costs[:size].copy()


@_compile(_PLAIN)
def price(data, f, g, tolerance, keep, row_edges, column_edges, indptr, blocks, first, last):
    """Price all pairs of row blocks first..last: the least slack of each row, and its `keep` most violated pairs.

    Returns
    -------
    least : ndarray
        Least slack of each row over the blocks visited, at most 0 (blocks passed over have none below zero).
    counts, columns, costs : ndarray
        Pairs with slack below ``-tolerance``: how many in each row, where, and their costs.
    """
    begin, end = row_edges[first], row_edges[last]
    width = 0
    for B in range(column_edges.size - 1):
        width = max(width, column_edges[B + 1] - column_edges[B])
    buffer = np.empty(width)
    least = np.zeros(end - begin)
    counts = np.zeros(end - begin, dtype=np.int64)
    columns = np.empty((end - begin) * keep, dtype=np.int32)
    costs = np.empty((end - begin) * keep)
    best = np.empty(keep)
    size = 0
    for A in range(first, last):
        for i in range(row_edges[A], row_edges[A + 1]):
            found = 0
            worst = 0.0
            visits = indptr[A + 1] - indptr[A]
            for visit in range(visits):
                # ties are broken differently in each row: all rows must not take the same columns
                p = indptr[A] + (visit + i) % visits
                j0, j1 = column_edges[blocks[p]], column_edges[blocks[p] + 1]
                c = _segment(data, i, j0, j1, buffer)
                low = _least(c, g[j0:j1]) - f[i]
                worst = min(worst, low)
                if low >= -tolerance or (found == keep and low >= best[keep - 1]):
                    continue
                turn = (_STRIDE * i) % (j1 - j0)
                for place in range(j1 - j0):
                    j = place + turn if place + turn < j1 - j0 else place + turn - (j1 - j0)
                    slack = (c[j] - g[j0 + j]) - f[i]
                    if slack < -tolerance and (found < keep or slack < best[keep - 1]):
                        q = found if found < keep else keep - 1
                        found = min(found + 1, keep)
                        while q > 0 and best[q - 1] > slack:
                            best[q] = best[q - 1]
                            columns[size + q] = columns[size + q - 1]
                            costs[size + q] = costs[size + q - 1]
                            q -= 1
                        best[q] = slack
                        columns[size + q] = j0 + j
                        costs[size + q] = c[j]
            least[i - begin] = worst
            counts[i - begin] = found
            size += found
    return least, counts, columns[:size].copy(), costs[:size].copy()
