"""Rounds of regret matching and iterations of PDHG on a matrix game, compiled; small games without BLAS's overhead.

Arrays are changed in place; `M` is read only, row by row in both products. The methods hold the NumPy versions.
"""

# Compiled code: Numba infers the types.
# mypy: ignore-errors

from __future__ import annotations

import numpy as np
from numba import types

from optlab.compiled import Compiled, matrix, vector
from optlab.compiled.functions import inlined

_SMALL = 128 * 128  # entries; above, BLAS reads M faster
_FREE = {"fastmath": {"reassoc", "contract"}}  # the order of summation is free, nothing else


@inlined(**_FREE)
def row_products(M, y, out):
    """Write ``M y``."""
    n, m = M.shape
    if n * m > _SMALL:
        np.dot(M, y, out)
        return
    for i in range(n):
        total = 0.0
        for j in range(m):
            total += M[i, j] * y[j]
        out[i] = total


@inlined(**_FREE)
def column_products(x, M, out):
    """Write ``M^T x``."""
    n, m = M.shape
    if n * m > _SMALL:
        np.dot(x, M, out)
        return
    for j in range(m):
        out[j] = 0.0
    for i in range(n):
        if x[i] != 0.0:
            for j in range(m):
                out[j] += x[i] * M[i, j]


@inlined(**_FREE)
def play(regret, utility, sign, strategy, predictive):
    """Update positive regrets and strategy by the utilities ``sign * utility`` of the pure strategies."""
    n = regret.size
    value = 0.0
    for i in range(n):
        value += sign * utility[i] * strategy[i]
    total = 0.0
    for i in range(n):
        gain = sign * utility[i] - value
        regret[i] = max(regret[i] + gain, 0.0)
        strategy[i] = max(regret[i] + gain, 0.0) if predictive else regret[i]
        total += strategy[i]
    if total > 0.0:
        for i in range(n):
            strategy[i] /= total
    else:
        for i in range(n):
            strategy[i] = 1.0 / n


def regret_rounds(M, R, S, x, y, sum_x, sum_y, k, rounds, predictive, alternating):
    """Play rounds k, ..., k + rounds - 1; the sums of strategies have weights k + 1."""
    push, pull = np.empty(M.shape[0]), np.empty(M.shape[1])
    for t in range(k, k + rounds):
        weight = t + 1.0
        for i in range(x.size):
            sum_x[i] += weight * x[i]
        for j in range(y.size):
            sum_y[j] += weight * y[j]
        row_products(M, y, push)
        if not alternating:
            column_products(x, M, pull)
        play(R, push, -1.0, x, predictive)
        if alternating:
            column_products(x, M, pull)
        play(S, pull, 1.0, y, predictive)


def _regret_signature(scalar, layout):
    v, i8, flag = vector(scalar), types.int64, types.boolean
    return types.void(matrix(scalar, readonly=True), v, v, v, v, v, v, i8, i8, flag, flag)


REGRET_ROUNDS = Compiled(regret_rounds, _regret_signature, loop=True)


@inlined
def project(v):
    """Project on the simplex in place: no sort, but Newton's method on the threshold, which it meets from below."""
    n = v.size
    top = v[0]
    for i in range(n):
        top = max(top, v[i])
    threshold, kept = -1.0, n + 1  # relative to the largest entry; it lies in [-1, 0)
    while True:
        total, count = 0.0, 0
        for i in range(n):
            below = v[i] - top
            if below > threshold:
                total += below
                count += 1
        threshold = (total - 1.0) / count
        if count >= kept:  # the entries above it only become fewer
            break
        kept = count
    for i in range(n):
        v[i] = max(v[i] - top - threshold, 0.0)


def primal_dual_steps(M, x, y, pull, push, sum_x, sum_y, sum_pull, sum_push, step_size, n):
    """Take n iterations of PDHG with ``t = s``, and add up iterates and products."""
    before = np.empty(M.shape[1])
    for _ in range(n):
        for i in range(x.size):
            x[i] -= step_size * push[i]
        project(x)
        for j in range(y.size):
            before[j] = pull[j]
        column_products(x, M, pull)
        for j in range(y.size):
            y[j] += step_size * (2.0 * pull[j] - before[j])
        project(y)
        row_products(M, y, push)
        for i in range(x.size):
            sum_x[i] += x[i]
            sum_push[i] += push[i]
        for j in range(y.size):
            sum_y[j] += y[j]
            sum_pull[j] += pull[j]


def _primal_dual_signature(scalar, layout):
    v = vector(scalar)
    return types.void(matrix(scalar, readonly=True), v, v, v, v, v, v, v, v, types.float64, types.int64)


PRIMAL_DUAL_STEPS = Compiled(primal_dual_steps, _primal_dual_signature, loop=True)
