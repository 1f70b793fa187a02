"""Compiled loops of the exact solver: lists of pairs, scalings on lists, pricing of all pairs, spanning forests.

The cost comes as the tuple of arrays of `optlab.transport.kernels` (its `_segment` gives a row's entries over a range
of columns), in an order of rows and columns in which blocks of consecutive points lie close together. The *slack* of
a pair is ``C_ij - f_i - g_j``. Which pairs of blocks a loop visits is decided beforehand by `live_blocks`, from a
lower bound on the slack that holds for every pair in them; everything else is never looked at.

The kernels release the interpreter lock and take an index range, as those of `optlab.transport.kernels` do.
"""

# Compiled code: Numba infers the types.
# mypy: ignore-errors

from __future__ import annotations

import math

import numpy as np

from optlab.transport.kernels import (
    _MAX,
    _SUM,
    CITYBLOCK,
    EUCLIDEAN,
    SQEUCLIDEAN,
    _compile,
    _least,
    _segment,
    exp2_or_zero,
)

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


@_compile(_PLAIN)
def pair_costs(data, rows, columns, out):
    """Write the costs of single pairs to `out`."""
    buffer = np.empty(1)
    for p in range(rows.size):
        j = columns[p]
        out[p] = _segment(data, rows[p], j, j + 1, buffer)[0]


# ---------------------------------------------------------------------------------------- scaling on lists


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


# ---------------------------------------------------------------------------------------- feasible and exact


@_compile(_PLAIN)
def northwest_corner(a, b, row_order, column_order):
    """Return rows, columns and flows of the plan that fills the columns in order with the rows in order."""
    n, m = row_order.size, column_order.size
    rows = np.empty(n + m, dtype=np.int64)
    columns = np.empty(n + m, dtype=np.int64)
    flows = np.empty(n + m)
    i = j = size = 0
    left, room = a[row_order[0]], b[column_order[0]]
    while True:
        rows[size] = row_order[i]
        columns[size] = column_order[j]
        flows[size] = max(min(left, room), 0.0)
        size += 1
        # the last row takes all columns that are left, and the last column all rows
        if j == m - 1 or (left <= room and i < n - 1):
            if i == n - 1:
                break
            room -= left
            i += 1
            left = a[row_order[i]]
        else:
            left -= room
            j += 1
            room = b[column_order[j]]
    return rows[:size], columns[:size], flows[:size]


@_compile(_PLAIN)
def share_out(item_starts, values, member_starts, weights):
    """Deal the values of each group's items out to its members, in order; return items, members and amounts."""
    size = 0
    items = np.empty(values.size + weights.size, dtype=np.int64)
    members = np.empty(values.size + weights.size, dtype=np.int64)
    amounts = np.empty(values.size + weights.size)
    for group in range(item_starts.size - 1):
        i, j = item_starts[group], member_starts[group]
        last_item, last_member = item_starts[group + 1] - 1, member_starts[group + 1] - 1
        if i > last_item:
            continue
        left, room = values[i], weights[j]
        while True:
            items[size] = i
            members[size] = j
            # the last member takes all that is left
            amounts[size] = left if j == last_member else min(left, room)
            size += 1
            if j == last_member or (left <= room and i < last_item):
                if i == last_item:
                    break
                room -= left
                i += 1
                left = values[i]
            else:
                left = max(left - room, 0.0)
                j += 1
                room = weights[j]
    return items[:size], members[:size], amounts[:size]


@_compile(_PLAIN)
def settle_potentials(rows, columns, costs, flows, f, g, sweeps, tolerance):
    """Make potentials of a sparse optimum exact: no slack where there is flow, none below zero elsewhere.

    Along each tree of the flow's support the potentials follow from the costs. Trees are then shifted against each
    other (a row's potential up, its tree's columns' down: the dual objective stays) by Bellman and Ford's rule until no
    slack of the arcs is below ``-tolerance``.

    Returns
    -------
    f, g : ndarray
    tree : ndarray of int, shape (n + m,)
    trees : int
    """
    n, m = f.size, g.size
    f, g = f.copy(), g.copy()
    nodes = n + m
    degree = np.zeros(nodes + 1, dtype=np.int64)
    for p in range(rows.size):
        if flows[p] > 0.0:
            degree[rows[p] + 1] += 1
            degree[n + columns[p] + 1] += 1
    for v in range(nodes):
        degree[v + 1] += degree[v]
    fill = degree[:nodes].copy()
    arcs = np.empty(degree[nodes], dtype=np.int64)
    for p in range(rows.size):
        if flows[p] > 0.0:
            arcs[fill[rows[p]]] = p
            fill[rows[p]] += 1
            arcs[fill[n + columns[p]]] = p
            fill[n + columns[p]] += 1
    tree = np.full(nodes, -1, dtype=np.int64)
    queue = np.empty(nodes, dtype=np.int64)
    trees = 0
    for root in range(nodes):
        if tree[root] >= 0:
            continue
        tree[root] = trees
        queue[0] = root
        head, tail = 0, 1
        while head < tail:
            v = queue[head]
            head += 1
            for q in range(degree[v], degree[v + 1]):
                p = arcs[q]
                if v < n:
                    w = n + columns[p]
                    if tree[w] < 0:
                        g[columns[p]] = costs[p] - f[v]
                        tree[w] = trees
                        queue[tail] = w
                        tail += 1
                else:
                    w = rows[p]
                    if tree[w] < 0:
                        f[w] = costs[p] - g[v - n]
                        tree[w] = trees
                        queue[tail] = w
                        tail += 1
        trees += 1
    if trees > 1:
        shift = np.zeros(trees)
        for _ in range(sweeps):
            change = 0.0
            for p in range(rows.size):
                k, h = tree[rows[p]], tree[n + columns[p]]
                if k != h:
                    high = shift[h] + ((costs[p] - f[rows[p]]) - g[columns[p]])
                    if shift[k] > high:
                        change = max(change, shift[k] - high)
                        shift[k] = high
            if change <= tolerance:
                break
        for i in range(n):
            f[i] += shift[tree[i]]
        for j in range(m):
            g[j] -= shift[tree[n + j]]
    return f, g, tree, trees
