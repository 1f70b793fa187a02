"""Compiled passes over a sparse cost: the allowed pairs in compressed rows (or, transposed, compressed columns).

Natural logarithms, one thread: a pass touches stored pairs only, and gathers potentials by index.
"""

# Compiled code: Numba infers the types.
# mypy: ignore-errors

from __future__ import annotations

import math

import numpy as np

from optlab.transport.kernels.half_steps import _SUM, _compile


@_compile(_SUM)
def logsumexp(starts, indices, data, potential, kappa, out):
    """Write ``log sum exp(potential_j - kappa c_ij)`` over the stored pairs of every row i; -inf for an empty one."""
    for i in range(out.size):
        top = -np.inf
        for k in range(starts[i], starts[i + 1]):
            top = max(top, potential[indices[k]] - kappa * data[k])
        if top == -np.inf:
            out[i] = top
            continue
        total = 0.0
        for k in range(starts[i], starts[i + 1]):
            total += math.exp(potential[indices[k]] - kappa * data[k] - top)
        out[i] = top + math.log(total)


@_compile(_SUM)
def minimum(starts, indices, data, potential, out):
    """Write ``min (c_ij - potential_j)`` over the stored pairs of every row i; inf for an empty one."""
    for i in range(out.size):
        low = np.inf
        for k in range(starts[i], starts[i + 1]):
            low = min(low, data[k] - potential[indices[k]])
        out[i] = low


@_compile(_SUM)
def entries(starts, indices, data, row, column, kappa, out):
    """Write ``exp(row_i + column_j - kappa c_ij)`` for every stored pair."""
    for i in range(row.size):
        for k in range(starts[i], starts[i + 1]):
            out[k] = math.exp(min(row[i] - kappa * data[k] + column[indices[k]], 709.0))
