"""Compiled semi-dual of quadratically regularised transport: one column of the plan after another, none stored.

For given row potentials f a column of the plan solves, with ``h_i = f_i - C_ij`` and mass b,

    min  1/2 (gamma K(x) + delta ||x||^2) - <h, x>    over  x >= 0, sum x = b

where K is the squared Euclidean norm or, with a limit k on the number of non-zeros, the squared k-support norm: the
convex hull of ``||x||^2`` over vectors of at most k non-zeros (Argyriou, Foygel and Srebro 2012),
``K(x) = min {sum x_i^2 / theta_i : 0 <= theta <= 1, sum theta <= k}``. With ``s = h + g``, g the multiplier of the sum,

    x_i = s_i / (gamma + delta)                                   without a limit, where positive;
    x_i = min(s_i / (gamma + delta), (s_i - gamma nu)_+ / delta)  with one; nu makes sum theta = k

(derived here from the variational form; for delta = 0 it is the top-k formula of Liu, Puigcerver and Blondel 2023,
Proposition 2). Entries at the first bound are *full*, those at the second, where theta < 1, *shared*: they are more
than k, and exist only near ties. A solution of the unlimited problem with weight gamma + delta has all entries of
the limited one, so that one scan of the column by Condat's algorithm (2016) finds the candidates.

Columns are gathered in tiles of `TILE` where the storage is by rows, so that every cache line read is used. Memory is
O(n) for each thread.
"""

# Compiled code: Numba infers the types.
# mypy: ignore-errors

from __future__ import annotations

import numpy as np

from optlab.transport.kernels.half_steps import _MAX, _SUM, BLOCK, _compile, _segment

TILE = 16
_LANES = 16
FULL, SHARED = 0, 1


@_compile(_MAX, inline=True)
def _top(h, start, stop):
    top = h[start]
    for i in range(start, stop):
        top = max(top, h[i])
    return top


@_compile({"contract"})
def _active(h, size, budget, values, places, side_values, side_places):
    """Return tau with ``sum (h - tau)_+ = budget`` and the number of entries above it, written to values and places.

    Condat, "Fast projection onto the simplex and the l1 ball" (2016), Figure 2; whole lanes below tau are skipped.
    """
    count = 0
    aside = 0
    tau = -np.inf
    for start in range(0, size, _LANES):
        stop = min(start + _LANES, size)
        if _top(h, start, stop) <= tau:
            continue
        for i in range(start, stop):
            value = h[i]
            if value <= tau:
                continue
            if count == 0:
                tau = value - budget
            else:
                tau = tau + (value - tau) / (count + 1)
                if tau <= value - budget:
                    for p in range(count):
                        side_values[aside] = values[p]
                        side_places[aside] = places[p]
                        aside += 1
                    count = 0
                    tau = value - budget
            values[count] = value
            places[count] = i
            count += 1
    for p in range(aside):
        if side_values[p] > tau:
            values[count] = side_values[p]
            places[count] = side_places[p]
            count += 1
            tau += (side_values[p] - tau) / count
    while True:
        # from the sum itself, so that rounding does not add up
        reference = values[0]
        total = 0.0
        for p in range(count):
            total += values[p] - reference
        tau = reference + (total - budget) / count
        kept = 0
        for p in range(count):
            if values[p] > tau:
                values[kept] = values[p]
                places[kept] = places[p]
                kept += 1
        if kept == count or kept == 0:
            return tau, count
        count = kept


# NumPy's partition, argsort and slices that are assigned to would cost a new process ten seconds of compiling


@_compile({"contract"}, inline=True)
def _swap(values, places, p, q):
    values[p], values[q] = values[q], values[p]
    places[p], places[q] = places[q], places[p]


@_compile({"contract"}, inline=True)
def _select(values, places, count, k):
    """Move the k largest of the first `count` values to the front (Hoare 1961); return the least of them."""
    low, high = 0, count - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] > pivot:
                i += 1
            while values[j] < pivot:
                j -= 1
            if i <= j:
                _swap(values, places, i, j)
                i += 1
                j -= 1
        if k - 1 <= j:
            high = j
        elif k - 1 >= i:
            low = i
        else:
            break
    return values[k - 1]


@_compile({"contract"}, inline=True)
def _sink(values, places, root, size):
    """Restore the heap below `root` whose top is what a descending order has last; of equal values, the later place."""
    while True:
        last = root
        for child in range(2 * root + 1, min(2 * root + 3, size)):
            if values[child] < values[last] or (values[child] == values[last] and places[child] > places[last]):
                last = child
        if last == root:
            return
        _swap(values, places, root, last)
        root = last


@_compile({"contract"}, inline=True)
def _sort(values, places, count):
    """Sort the first `count` values in descending order, equal ones by place (heapsort)."""
    for root in range(count // 2 - 1, -1, -1):
        _sink(values, places, root, count)
    for size in range(count - 1, 0, -1):
        _swap(values, places, 0, size)
        _sink(values, places, 0, size)


@_compile({"contract"})
def _limited(values, places, count, budget, gamma, delta, limit, x, kinds):
    """Solve a column whose unlimited solution has more than `limit` entries; return g and the number of entries.

    `values` and `places` are reordered; `x` and `kinds` are written.
    """
    if count > 4 * limit:
        # entries beyond the k-th differ from it by at most delta nu, and k nu <= budget
        floor = _select(values, places, count, limit) - delta * budget / limit
        kept = 0
        for p in range(count):
            if values[p] >= floor:
                values[kept] = values[p]
                places[kept] = places[p]
                kept += 1
        count = kept
    _sort(values, places, count)
    top = values[0]
    v = values[:count] - top
    weight = gamma + delta
    # the largest `limit` entries, in full: as many of them as stay positive
    total = 0.0
    for p in range(limit):
        total += v[p]
    used = limit
    while True:
        g = (weight * budget - total) / used
        if used == 1 or v[used - 1] + g > 0.0:
            break
        used -= 1
        total -= v[used]
    nu = 0.0
    full, last = used, used
    shared = used == limit and (v[limit - 1] + g) * gamma < (v[limit] + g) * weight and delta > 0.0
    if shared:
        full, last, g, nu = _share(v, count, budget, gamma, delta, limit)
    for p in range(last):
        s = v[p] + g
        if p < full:
            x[p] = s / weight
            kinds[p] = FULL
        else:
            x[p] = (s - gamma * nu) / delta
            kinds[p] = SHARED
        x[p] = max(x[p], 0.0)
    return g - top, last


@_compile({"contract"})
def _share(v, count, budget, gamma, delta, limit):
    """Return how many entries are full, how many in all, g and nu, for descending v: the pair that fits (best)."""
    weight = gamma + delta
    best = (0, limit, 0.0, 0.0)
    least = np.inf
    head = 0.0
    for p in range(limit):
        head += v[p]
    for full in range(limit - 1, -1, -1):
        head -= v[full]
        tail = 0.0
        for p in range(full, limit - 1):
            tail += v[p]
        room = limit - full
        for last in range(limit, count + 1):
            tail += v[last - 1]
            some = last - full
            spread = gamma * some + delta * room
            g = (budget - head / weight - room * tail / spread) / (full / weight + room * some / spread)
            nu = (tail + some * g) / spread
            # what must hold: full entries above (gamma + delta) nu, shared ones between gamma nu and that, others below
            worst = v[full] + g - weight * nu
            if full > 0:
                worst = max(worst, weight * nu - v[full - 1] - g)
            worst = max(worst, gamma * nu - v[last - 1] - g)
            if last < count:
                worst = max(worst, v[last] + g - gamma * nu)
            if worst < least:
                least = worst
                best = (full, last, g, nu)
                if worst <= 0.0:
                    return best
            # more entries only lower the last one's share
            if v[last - 1] + g < gamma * nu:
                break
    return best


@_compile({"contract"})
def _column(h, size, budget, gamma, delta, limit, values, places, side_values, side_places, x, kinds):
    """Solve one column; return g, the semi-dual's term and the number of entries (`places`, `x`, `kinds`)."""
    weight = gamma + delta
    tau, count = _active(h, size, weight * budget, values, places, side_values, side_places)
    g = -tau
    for p in range(count):
        x[p] = (values[p] - tau) / weight
        kinds[p] = FULL
    if limit is None:  # the branch below is not compiled then
        pass
    elif count > limit:
        g, count = _limited(values, places, count, budget, gamma, delta, limit, x, kinds)
    # the conjugate is 2-homogeneous, hence half the product with its gradient
    term = 0.0
    for p in range(count):
        term += (values[p] + g) * x[p]
    return g, budget * g - 0.5 * term, count


@_compile(_SUM, inline=True)
def _subtract(f, c, start, out):
    for q in range(c.size):
        out[start + q] = f[start + q] - c[q]


@_compile({"contract"})
def semidual(
    data, tiled, f, b, gamma, delta, limit, start, stop, g, terms, counts, sums, offsets, rows, entries, kinds
):
    """Solve columns start..stop: their multipliers, terms of the semi-dual, numbers of entries; add up row sums.

    With `offsets` the entries are written too, those of column j from ``offsets[j]`` on (`rows`, `entries`, `kinds`).
    The storage holds columns as its rows, or (`tiled`) as its columns.
    """
    n = f.size
    width = TILE if tiled else 1
    tile = np.empty((width, n))
    buffer = np.empty(min(BLOCK, n) if not tiled else TILE)
    values = np.empty(n)
    side_values = np.empty(n)
    x = np.empty(n)
    places = np.empty(n, dtype=np.int64)
    side_places = np.empty(n, dtype=np.int64)
    kind = np.empty(n, dtype=np.int8)
    for j0 in range(start, stop, width):
        j1 = min(j0 + width, stop)
        if tiled:
            for i in range(n):
                c = _segment(data, i, j0, j1, buffer)
                for q in range(j1 - j0):
                    tile[q, i] = f[i] - c[q]
        else:
            for i0 in range(0, n, BLOCK):
                i1 = min(i0 + BLOCK, n)
                _subtract(f, _segment(data, j0, i0, i1, buffer), i0, tile[0])
        for j in range(j0, j1):
            answer, term, count = _column(
                tile[j - j0], n, b[j], gamma, delta, limit, values, places, side_values, side_places, x, kind
            )
            g[j] = answer
            terms[j] = term
            counts[j] = count
            for p in range(count):
                sums[places[p]] += x[p]
            if offsets.size > 0:
                base = offsets[j]
                for p in range(count):
                    rows[base + p] = places[p]
                    entries[base + p] = x[p]
                    kinds[base + p] = kind[p]


@_compile({"contract"})
def semidual_sparse(
    starts, indices, costs, f, b, gamma, delta, limit, g, terms, counts, sums, offsets, rows, entries, kinds
):
    """Do what `semidual` does for a cost known on few pairs, in compressed columns."""
    longest = 1
    for j in range(b.size):
        longest = max(longest, starts[j + 1] - starts[j])
    h = np.empty(longest)
    values = np.empty(longest)
    side_values = np.empty(longest)
    x = np.empty(longest)
    places = np.empty(longest, dtype=np.int64)
    side_places = np.empty(longest, dtype=np.int64)
    kind = np.empty(longest, dtype=np.int8)
    for j in range(b.size):
        first = starts[j]
        size = starts[j + 1] - first
        for p in range(size):
            h[p] = f[indices[first + p]] - costs[first + p]
        g[j], terms[j], count = _column(
            h, size, b[j], gamma, delta, limit, values, places, side_values, side_places, x, kind
        )
        counts[j] = count
        for p in range(count):
            sums[indices[first + places[p]]] += x[p]
        if offsets.size > 0:
            base = offsets[j]
            for p in range(count):
                rows[base + p] = indices[first + places[p]]
                entries[base + p] = x[p]
                kinds[base + p] = kind[p]


@_compile({"contract"})
def k_support_squares(starts, entries, limit, out):
    """Write the squared k-support norm of every column of a non-negative sparse matrix (compressed columns).

    Argyriou, Foygel and Srebro (2012), Proposition 2.1: the largest k - r - 1 entries count by their squares, the sum
    of all others by its square over r + 1; r makes the sum fall between the two groups.
    """
    for j in range(out.size):
        x = entries[starts[j] : starts[j + 1]].copy()
        _sort(x, np.arange(x.size), x.size)
        tail = 0.0
        squares = 0.0
        for p in range(x.size):
            squares += x[p] * x[p]
            tail += x[p] if p >= limit else 0.0
        if x.size <= limit:
            out[j] = squares
            continue
        head = 0.0
        for p in range(limit):
            head += x[p] * x[p]
        for r in range(limit):
            last = limit - 1 - r  # the first entry of the second group
            tail += x[last]
            head -= x[last] * x[last]
            if last == 0 or x[last - 1] > tail / (r + 1):
                break
        out[j] = max(head, 0.0) + tail * tail / (r + 1)
