"""Log-sum-exp over a dense float32 cost in float32 arithmetic: twice the lanes, half the memory traffic.

For the iterations of `DenseCost(..., arithmetic="single")` only; everything else, certificates above all, is computed
in double precision by `optlab.transport.kernels.half_steps`. As there, all is in base two. The exponential has a
polynomial of degree 6 (relative error 1e-7); what limits the accuracy is the rounding of exponents, about 6e-8 of the
largest one.
"""

# Compiled code: Numba infers the types.
# mypy: ignore-errors

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from optlab.transport.kernels.half_steps import _MAX, _SUM, _compile

_EMPTY = np.float32(-1e30)
_MAGIC = np.float32(12582912.0)  # 1.5 * 2^23: adding it rounds to an integer and leaves it in the low bits
_LOW = np.float32(-125.0)
_C1, _C2, _C3 = np.float32(0.6931471805599453), np.float32(0.24022650695910072), np.float32(0.05550410866482158)
_C4, _C5, _C6 = np.float32(0.009618129107628477), np.float32(0.0013333558146428443), np.float32(0.00015403530393381609)
_ONE = np.float32(1.0)
_ZERO = np.float32(0.0)


@intrinsic
def _scaled(typingctx: Any, q: Any, shifted: Any) -> Any:
    """Return q times two to the power in the low bits of `shifted`, in 32-bit integers throughout."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        integer = context.get_value_type(types.int32)
        power = builder.shl(builder.bitcast(args[1], integer), integer(23))
        return builder.bitcast(builder.add(builder.bitcast(args[0], integer), power), args[0].type)

    return types.float32(types.float32, types.float32), codegen


@_compile({"contract"}, inline=True)
def exp2_single(x):
    """Return 2^x for x <= 127 in float32, 2^-125 below that."""
    x = x if x > _LOW else _LOW
    shifted = x + _MAGIC
    r = x - (shifted - _MAGIC)
    q = ((((((_C6 * r + _C5) * r + _C4) * r + _C3) * r + _C2) * r + _C1) * r) + _ONE
    return _scaled(q, shifted)


@_compile(_MAX, inline=True)
def _top(c, g, kappa):
    top = _EMPTY
    for j in range(c.size):
        top = max(top, g[j] - kappa * c[j])
    return top


@_compile(_SUM, inline=True)
def _sum(c, g, kappa, level):
    total = _ZERO
    for j in range(c.size):
        total += exp2_single((g[j] - kappa * c[j]) - level)
    return total


@_compile(_SUM)
def logsumexp_rows(C, G, kappa, start, stop, out):
    """Write ``log2 sum_j 2^(G_j - kappa C_ij)`` to ``out[i]`` (float64) for rows start..stop."""
    for i in range(start, stop):
        row = C[i]
        level = _top(row, G, kappa)
        out[i] = np.float64(level) + math.log2(np.float64(_sum(row, G, kappa, level))) if level > _EMPTY else -np.inf


@_compile(_MAX, inline=True)
def _raise(c, f, kappa, levels):
    for j in range(c.size):
        levels[j] = max(levels[j], f - kappa * c[j])


@_compile(_SUM, inline=True)
def _add(c, f, kappa, levels, totals):
    for j in range(c.size):
        totals[j] += exp2_single((f - kappa * c[j]) - levels[j])


@_compile(_SUM)
def logsumexp_columns(C, F, kappa, start, stop, levels, totals):
    """Write maximum and scaled sum (float32) over rows start..stop of every column of ``F_i - kappa C_ij``."""
    width = 2048
    for j0 in range(0, C.shape[1], width):
        j1 = min(j0 + width, C.shape[1])
        level, total = levels[j0:j1], totals[j0:j1]
        level[:] = _EMPTY
        total[:] = _ZERO
        for i in range(start, stop):
            _raise(C[i, j0:j1], F[i], kappa, level)
        for i in range(start, stop):
            _add(C[i, j0:j1], F[i], kappa, level, total)
