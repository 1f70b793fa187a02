"""Compiled loops on sparse plans: the north-west corner's, shares of points at one place, potentials on forests."""

# Compiled code: Numba infers the types.
# mypy: ignore-errors

from __future__ import annotations

import numpy as np

from optlab.transport.kernels.half_steps import _compile

_PLAIN = {"contract"}


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
def settle_potentials(rows, columns, costs, flows, near_f, near_g, sweeps, tolerance):
    """Make potentials of a sparse optimum exact: no slack where there is flow, none below zero elsewhere.

    Along each tree of the flow's support the potentials follow from the costs. Each tree is shifted (rows up, columns
    down: the dual objective stays) to be on average where `near_f` and `near_g` are, and then the trees against each
    other by Bellman and Ford's rule until no slack of the arcs is below ``-tolerance``.

    Returns
    -------
    f, g : ndarray
    tree : ndarray of int, shape (n + m,)
    trees : int
    change : float
        The largest shift in the last sweep.
    """
    n, m = near_f.size, near_g.size
    f, g = near_f.copy(), near_g.copy()
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
    change = 0.0
    if trees > 1:
        shift = np.zeros(trees)
        sizes = np.zeros(trees)
        for i in range(n):
            shift[tree[i]] += near_f[i] - f[i]
            sizes[tree[i]] += 1.0
        for j in range(m):
            shift[tree[n + j]] += g[j] - near_g[j]
            sizes[tree[n + j]] += 1.0
        for k in range(trees):
            shift[k] /= sizes[k]
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
    return f, g, tree, trees, change
