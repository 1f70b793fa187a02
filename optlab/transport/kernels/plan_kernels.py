"""Compiled passes over the plan ``X_ij = 2^(F_i + G_j - kappa C_ij)``, which is never stored.

Conventions are those of `optlab.transport.kernels.half_steps`. The exponent is always evaluated in the same order, so
that every pass sees the same X.
"""

# Compiled code: Numba infers the types.
# mypy: ignore-errors

from __future__ import annotations

import math

import numpy as np

from optlab.transport.kernels.half_steps import (
    _SUM,
    BLOCK,
    EMPTY,
    _add_multiple,
    _compile,
    _dot,
    _segment,
    exp2_or_zero,
)


@_compile({"contract"}, inline=True)
def _entries(c, f, g, kappa, out):
    for j in range(c.size):
        out[j] = exp2_or_zero((f - kappa * c[j]) + g[j])


@_compile(_SUM, inline=True)
def _sum_and_dot(x, c, columns):
    total = 0.0
    dot = 0.0
    for j in range(x.size):
        total += x[j]
        dot += x[j] * c[j] if x[j] > 0.0 else 0.0  # a forbidden pair would be 0 * inf
        columns[j] += x[j]
    return total, dot


@_compile(_SUM)
def plan_moments(data, F, G, kappa, start, stop, row_sums, row_costs, column_sums):
    """Row sums and ``sum_j C_ij X_ij`` of rows start..stop, and their contribution to the column sums (added)."""
    m = G.size
    width = min(BLOCK, m)
    buffer = np.empty(width)
    entries = np.empty(width)
    for i in range(start, stop):
        total = 0.0
        cost = 0.0
        if F[i] > EMPTY:
            for j0 in range(0, m, BLOCK):
                j1 = min(j0 + BLOCK, m)
                c = _segment(data, i, j0, j1, buffer)
                x = entries[: j1 - j0]
                _entries(c, F[i], G[j0:j1], kappa, x)
                t, s = _sum_and_dot(x, c, column_sums[j0:j1])
                total += t
                cost += s
        row_sums[i] = total
        row_costs[i] = cost


@_compile(_SUM)
def plan_apply_rows(data, F, G, kappa, start, stop, V, out):
    """Write ``sum_j X_ij V_pj`` to ``out[p, i]`` for rows start..stop."""
    m = G.size
    width = min(BLOCK, m)
    buffer = np.empty(width)
    entries = np.empty(width)
    for i in range(start, stop):
        for p in range(V.shape[0]):
            out[p, i] = 0.0
        if F[i] > EMPTY:
            for j0 in range(0, m, BLOCK):
                j1 = min(j0 + BLOCK, m)
                x = entries[: j1 - j0]
                _entries(_segment(data, i, j0, j1, buffer), F[i], G[j0:j1], kappa, x)
                for p in range(V.shape[0]):
                    out[p, i] += _dot(x, V[p, j0:j1])


@_compile(_SUM)
def plan_apply_columns(data, F, G, kappa, start, stop, V, out):
    """Add ``sum_i X_ij V_pi`` over rows start..stop to ``out[p, j]``."""
    m = G.size
    width = min(BLOCK, m)
    buffer = np.empty(width)
    entries = np.empty(width)
    for i in range(start, stop):
        if F[i] > EMPTY:
            for j0 in range(0, m, BLOCK):
                j1 = min(j0 + BLOCK, m)
                x = entries[: j1 - j0]
                _entries(_segment(data, i, j0, j1, buffer), F[i], G[j0:j1], kappa, x)
                for p in range(V.shape[0]):
                    _add_multiple(x, V[p, i], out[p, j0:j1])


@_compile({"contract"})
def plan_rows(data, F, G, kappa, start, stop, out):
    """Write rows start..stop of X to ``out[i - start]``."""
    m = G.size
    buffer = np.empty(min(BLOCK, m))
    for i in range(start, stop):
        for j0 in range(0, m, BLOCK):
            j1 = min(j0 + BLOCK, m)
            _entries(_segment(data, i, j0, j1, buffer), F[i], G[j0:j1], kappa, out[i - start, j0:j1])


@_compile({"contract"})
def plan_entropic_rows(data, F, G, kappa, p, q, start, stop, costs, entropies):
    """``sum_j C_ij Y_ij`` and ``sum_j Y_ij (log Y_ij - 1)`` of rows start..stop, for ``Y = X + p q^T``."""
    m = G.size
    width = min(BLOCK, m)
    buffer = np.empty(width)
    entries = np.empty(width)
    for i in range(start, stop):
        cost = 0.0
        entropy = 0.0
        for j0 in range(0, m, BLOCK):
            j1 = min(j0 + BLOCK, m)
            c = _segment(data, i, j0, j1, buffer)
            x = entries[: j1 - j0]
            _entries(c, F[i], G[j0:j1], kappa, x)
            block_cost = 0.0
            block_entropy = 0.0
            for j in range(j1 - j0):
                y = x[j] + p[i] * q[j0 + j]
                if y > 0.0:
                    block_cost += c[j] * y
                    block_entropy += y * (math.log(y) - 1.0)
            cost += block_cost
            entropy += block_entropy
        costs[i] = cost
        entropies[i] = entropy
