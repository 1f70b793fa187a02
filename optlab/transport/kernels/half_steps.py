"""Compiled loops over an optimal-transport cost: its entries, powers of two, log-sum-exp; plain arrays in and out.

Every kernel here, in `plan_kernels` and in `cost_kernels` walks once over a block of the implicit matrix
``F_i + G_j - kappa * C_ij`` and never stores it. The cost comes as a tuple of arrays, in one of three forms, resolved
at compile time by `_segment`:

* ``(C,)``: a dense matrix, C-contiguous, float64 or float32; float32 entries are widened in registers;
* ``(C, phi, psi)``: a dense matrix with potentials absorbed, ``C_ij - phi_i - psi_j`` (keeps digits
  when the inverse temperature is very large);
* ``(x, y_transposed, metric)``: a point cloud, whose entries are computed block by block into a small buffer.

**Base two.** `F`, `G` and `kappa` are in units of ln 2: these kernels work on ``2^(F_i + G_j - kappa C_ij)``,
and the callers in `optlab.transport.costs.passes` convert vectors on the way in and out. The exponential then needs
no multiplication for its range reduction: `exp2_clamped` splits ``x = k + r`` with ``|r| <= 1/2`` exactly,
squares a polynomial of degree 9 for ``2^(r/2)`` (error 7e-17, coefficients by interpolation at Chebyshev
nodes in 50 digits), and adds ``k`` to the exponent bits. Written this way LLVM vectorises it with AVX2, which
has no double-to-integer conversion.

Sums and maxima over a block of `BLOCK` columns are kept in several vector lanes; between blocks they are
carried as a pair (maximum, sum scaled by it), so that each cost entry is read from memory once and nothing
overflows.

The kernels release the interpreter lock and take an index range; the thread pool that deals out the ranges is
in `optlab.transport.costs.passes`. They are not `parallel=True`: that keeps them cacheable on disk (a process that
finds the cache starts in milliseconds instead of compiling), safe to call from several threads at once and
after a fork, and free of launch cost on small problems. `fastmath` is limited to named flags: contraction and
reassociation of sums everywhere; "no NaN, no signed zero" only in the maxima, whose arguments are finite or
-inf by validation.
"""

# Compiled code: Numba infers the types.
# mypy: ignore-errors

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np
from numba import types
from numba.extending import intrinsic, overload

BLOCK = 1024  # columns per block: two float64 buffers of this length stay in the first-level cache
TILE = 16  # rows that share one rescaling of the column accumulators
EMPTY = -1e300  # stands for the maximum of nothing; -inf would give NaN in the difference of two of them
OVERSHOOT = 2.0**500  # a sum this large asks for a new reference level

SQEUCLIDEAN, EUCLIDEAN, CITYBLOCK = 0, 1, 2

_MAGIC = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to an integer and leaves it in the low bits
_UNDERFLOW = -1021.0  # below, 2^k would leave the normal range

_SUM = {"contract", "reassoc", "nsz"}
_MAX = {"contract", "reassoc", "nsz", "nnan"}


def _compile(fastmath: set[str], inline: bool = False) -> Any:
    """Return the decorator used for every kernel; without a writable cache directory, compile in memory."""

    def decorate(function: Any) -> Any:
        options: dict[str, Any] = {
            "nogil": True,
            "fastmath": fastmath,
            "boundscheck": False,
            "error_model": "numpy",
        }
        if inline:
            return nb.njit(**options)(function)
        try:
            return nb.njit(cache=True, **options)(function)
        except RuntimeError:  # numba found no place for its cache
            return nb.njit(**options)(function)

    return decorate


@intrinsic
def _bits(typingctx: Any, x: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(types.int64))

    return types.int64(types.float64), codegen


@intrinsic
def _double(typingctx: Any, x: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(types.float64))

    return types.float64(types.int64), codegen


# "reassoc" is left out here on purpose: it would let the compiler cancel (x + MAGIC) - MAGIC
@_compile({"contract"}, inline=True)
def exp2_clamped(x):
    """Return 2^max(x, -1021) for x <= 1023, to 4e-16 relative."""
    x = x if x > _UNDERFLOW else _UNDERFLOW
    shifted = x + _MAGIC
    r = x - (shifted - _MAGIC)  # exact, |r| <= 1/2
    q = r * 1.9891288287108435e-10 + 5.166176383895101e-09
    q = q * r + 1.191619599398753e-07
    q = q * r + 2.4068008969481156e-06
    q = q * r + 4.166736920917959e-05
    q = q * r + 0.0006011330692772715
    q = q * r + 0.0069380135831026675
    q = q * r + 0.06005662673977423
    q = q * r + 0.34657359027997264
    q = q * r + 1.0
    q = q * q
    # the low bits of `shifted` hold k; q lies in [0.7, 1.42], so adding k to its exponent is multiplying by 2^k
    return _double(_bits(q) + (_bits(shifted) << 52))


@_compile({"contract"}, inline=True)
def exp2_or_zero(x):
    """Return 2^x, and exactly 0 below -1021; arguments above 1023 are held at 1023."""
    x = x if x < 1023.0 else 1023.0
    value = exp2_clamped(x)
    return value if x > _UNDERFLOW else 0.0


# ---------------------------------------------------------------------------------------- entries of the cost


def _segment(data, i, j0, j1, buffer):
    """Return row `i`, columns ``j0:j1`` of the cost as a contiguous vector, in `buffer` if it must be computed."""
    raise NotImplementedError("compiled code only")


@_compile(_SUM, inline=True)
def _fill_cloud(x, y, metric, i, j0, j1, out):
    size = j1 - j0
    dimension = x.shape[1]
    row = y[0, j0:j1]
    p = x[i, 0]
    if metric == CITYBLOCK:
        for j in range(size):
            out[j] = abs(p - row[j])
        for d in range(1, dimension):
            row = y[d, j0:j1]
            p = x[i, d]
            for j in range(size):
                out[j] += abs(p - row[j])
        return
    d = 1
    if dimension == 1:
        for j in range(size):
            out[j] = (p - row[j]) * (p - row[j])
    else:
        row2 = y[1, j0:j1]
        p2 = x[i, 1]
        d = 2
        for j in range(size):
            out[j] = (p - row[j]) * (p - row[j]) + (p2 - row2[j]) * (p2 - row2[j])
    while d + 1 < dimension:
        row = y[d, j0:j1]
        row2 = y[d + 1, j0:j1]
        p = x[i, d]
        p2 = x[i, d + 1]
        for j in range(size):
            out[j] += (p - row[j]) * (p - row[j]) + (p2 - row2[j]) * (p2 - row2[j])
        d += 2
    if d < dimension:
        row = y[d, j0:j1]
        p = x[i, d]
        for j in range(size):
            out[j] += (p - row[j]) * (p - row[j])
    if metric == EUCLIDEAN:
        for j in range(size):
            out[j] = math.sqrt(out[j])


@_compile({"contract"}, inline=True)
def _fill_gauged(row, offset, psi, out):
    # no reassociation: (C - phi) - psi must round the same way on every visit
    for j in range(row.size):
        out[j] = (row[j] - offset) - psi[j]


@overload(_segment, inline="never")
def _segment_overload(data, i, j0, j1, buffer):
    if len(data) == 1:
        return lambda data, i, j0, j1, buffer: data[0][i, j0:j1]
    if data[1].ndim == 1:

        def gauged(data, i, j0, j1, buffer):
            out = buffer[: j1 - j0]
            _fill_gauged(data[0][i, j0:j1], data[1][i], data[2][j0:j1], out)
            return out

        return gauged

    def cloud(data, i, j0, j1, buffer):
        out = buffer[: j1 - j0]
        _fill_cloud(data[0], data[1], data[2], i, j0, j1, out)
        return out

    return cloud


# ---------------------------------------------------------------------------------------- vectors


@_compile(_SUM, inline=True)
def _dot(x, v):
    total = 0.0
    for j in range(x.size):
        total += x[j] * v[j]
    return total


@_compile(_SUM, inline=True)
def _add_multiple(x, factor, out):
    for j in range(x.size):
        out[j] += factor * x[j]


# ---------------------------------------------------------------------------------------- log-sum-exp
#
# A reference level stands in for the maximum: any level within a few hundred powers of two of it serves as
# well, since a double spans 2^-1022 to 2^1023. The level is the maximum over the first block (tile); later
# blocks are summed at once against it, and only if the sum exceeds `OVERSHOOT` is the block done again with a
# new level. (Watching the largest exponent instead of the sum would keep LLVM from vectorising the loop.)


@_compile(_MAX, inline=True)
def _top(c, g, kappa):
    top = EMPTY
    for j in range(c.size):
        top = max(top, g[j] - kappa * c[j])
    return top


@_compile(_SUM, inline=True)
def _sum_row(c, g, kappa, level):
    """Return ``sum_j 2^(g_j - kappa c_j - level)``, exponents above 1000 held there."""
    total = 0.0
    for j in range(c.size):
        x = (g[j] - kappa * c[j]) - level
        total += exp2_clamped(x if x < 1000.0 else 1000.0)
    return total


@_compile(_SUM)
def logsumexp_rows(data, G, kappa, start, stop, out):
    """Write ``log2 sum_j 2^(G_j - kappa C_ij)`` to ``out[i]`` for i in start..stop; -inf where no term is finite."""
    m = G.size
    buffer = np.empty(min(BLOCK, m))
    for i in range(start, stop):
        level = EMPTY
        total = 0.0
        for j0 in range(0, m, BLOCK):
            j1 = min(j0 + BLOCK, m)
            c = _segment(data, i, j0, j1, buffer)
            g = G[j0:j1]
            if level == EMPTY:
                level = _top(c, g, kappa)
            if level > EMPTY:
                part = _sum_row(c, g, kappa, level)
                if part >= OVERSHOOT:
                    high = _top(c, g, kappa)
                    total *= exp2_clamped(level - high)
                    level = high
                    part = _sum_row(c, g, kappa, level)
                total += part
        out[i] = level + math.log2(total) if level > EMPTY else -np.inf


@_compile(_MAX, inline=True)
def _raise_levels(c, f, kappa, levels):
    for j in range(c.size):
        levels[j] = max(levels[j], f - kappa * c[j])


@_compile(_SUM, inline=True)
def _add_two_rows(c, d, f, g, kappa, levels, totals):
    """Add ``2^(f - kappa c - levels)`` to `totals`, exponents above 1000 held there, for two rows.

    Two at once, for half the traffic on `levels` and `totals`.
    """
    for j in range(c.size):
        x = (f - kappa * c[j]) - levels[j]
        y = (g - kappa * d[j]) - levels[j]
        totals[j] += exp2_clamped(x if x < 1000.0 else 1000.0) + exp2_clamped(y if y < 1000.0 else 1000.0)


@_compile(_MAX, inline=True)
def _largest(values):
    top = values[0]
    for j in range(values.size):
        top = max(top, values[j])
    return top


@_compile(_SUM, inline=True)
def _rescale(totals, before, levels):
    for j in range(totals.size):
        totals[j] *= exp2_clamped(before[j] - levels[j])


@_compile(_SUM)
def logsumexp_columns(data, F, kappa, start, stop, left, right, levels, totals):
    """Accumulate rows start..stop of ``F_i - kappa C_ij``, columns left..right, as ``2^levels * totals``.

    The cost is walked in row-major order, in tiles of `TILE` rows by `BLOCK` columns.
    """
    width = min(BLOCK, right - left)
    buffer = np.empty((TILE, width))
    saved = np.empty(width)
    active = np.empty(TILE, dtype=np.int64)
    for j in range(left, right):
        levels[j] = EMPTY
        totals[j] = 0.0
    fresh = True
    for i0 in range(start, stop, TILE):
        rows = 0
        for i in range(i0, min(i0 + TILE, stop)):
            if F[i] > EMPTY:
                active[rows] = i
                rows += 1
        if rows == 0:
            continue
        for j0 in range(left, right, BLOCK):
            j1 = min(j0 + BLOCK, right)
            level = levels[j0:j1]
            total = totals[j0:j1]
            keep = saved[: j1 - j0]
            renew = fresh
            while True:
                if renew:
                    for j in range(j1 - j0):
                        keep[j] = level[j]
                    for r in range(rows):
                        i = active[r]
                        _raise_levels(_segment(data, i, j0, j1, buffer[r]), F[i], kappa, level)
                    _rescale(total, keep, level)
                for j in range(j1 - j0):
                    keep[j] = total[j]
                for r in range(0, rows, 2):
                    i = active[r]
                    k = active[r + 1] if r + 1 < rows else i
                    # an odd row out is paired with itself, at -inf
                    f = F[k] if r + 1 < rows else -np.inf
                    c = _segment(data, i, j0, j1, buffer[r])
                    d = _segment(data, k, j0, j1, buffer[r + 1])
                    _add_two_rows(c, d, F[i], f, kappa, level, total)
                if renew or _largest(total) < OVERSHOOT:
                    break
                for j in range(j1 - j0):
                    total[j] = keep[j]
                renew = True
        fresh = False


@_compile(_SUM)
def merge_columns(tops, totals, out):
    """Join partial column accumulators, a row each, into ``out[j] = log2 sum``."""
    parts, m = tops.shape
    for j in range(m):
        top = tops[0, j]
        for p in range(1, parts):
            top = max(top, tops[p, j])
        if top > EMPTY:
            total = 0.0
            for p in range(parts):
                total += totals[p, j] * exp2_clamped(tops[p, j] - top)
            out[j] = top + math.log2(total)
        else:
            out[j] = -np.inf
