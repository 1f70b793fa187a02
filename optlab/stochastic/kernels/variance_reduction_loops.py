"""The compiled loops of SAGA and SVRG: linear models on dense and on CSR data, and any problem with an oracle.

``period`` 0 is SAGA, otherwise the number of steps between SVRG's snapshots. Each loop advances ``order.size / batch``
steps in place and returns how often all gradients were computed afresh. See `variance_reduction` for the recursions.

With a trace, loss and gradient norm are those of the step's batch before the step, as for the other methods: they take
extra passes over x, and over the batch in the general loop, that an untraced run is spared.
"""

from __future__ import annotations

import math

from numba import njit, types

from optlab.stochastic.kernels.compilation import (
    F8,
    I4,
    I8,
    Compiled,
    matrix,
    oracle_arguments,
    oracle_signature,
    vector,
)
from optlab.stochastic.kernels.losses import scalar_loss
from optlab.stochastic.kernels.step_loops import (
    AVERAGE_WEIGHT,
    GRADIENT_NORM,
    INTERCEPT,
    LOSS,
    SCALE,
    STEP_SIZE,
    _dot,
    iterate_weight,
)


@njit(cache=True, error_model="numpy")
def keep_trace(trace, scalars, step, gamma, loss, norm):
    """Write one step's numbers."""
    trace[0, step], trace[1, step], trace[2, step] = gamma, loss, norm
    scalars[LOSS], scalars[GRADIENT_NORM] = loss, norm


@njit(cache=True, error_model="numpy")
def ridge_and_norm(x, gradient, l2, d):
    """Return ``l2/2 ||w||^2`` with w the first d entries of x, and the norm of `gradient` plus the ridge's."""
    square, total = 0.0, 0.0
    for j in range(d):
        g = gradient[j] + l2 * float(x[j])
        square += float(x[j]) * float(x[j])
        total += g * g
    for j in range(d, x.size):
        total += gradient[j] * gradient[j]
    return 0.5 * l2 * square, math.sqrt(total)


@njit(cache=True, error_model="numpy")
def trace_dense(trace, scalars, step, gamma, a, rows, targets, l2, code, x, work):
    """Trace a step on dense data; `work` is overwritten."""
    loss = 0.0
    d = a.shape[1]
    work[:] = 0.0
    for i in rows:
        f, slope = scalar_loss(code, _dot(a, i, x), float(targets[i]))
        loss += f / rows.size
        for j in range(d):
            work[j] += slope / rows.size * float(a[i, j])
        if x.size > d:
            work[d] += slope / rows.size
    ridge, norm = ridge_and_norm(x, work, l2, d)
    keep_trace(trace, scalars, step, gamma, loss + ridge, norm)


@njit(cache=True, error_model="numpy")
def trace_sparse(
    trace, scalars, step, gamma, values, indices, indptr, rows, targets, l2, code, x, mean, scale, shift, work
):  # fmt: skip
    """Trace a step on CSR data at ``scale * x + shift * mean``; `work` is overwritten."""
    loss, square, total = 0.0, 0.0, 0.0
    d = x.size - int(scalars[INTERCEPT])
    work[d:] = 0.0
    for j in range(d):
        point = scale * float(x[j]) + shift * float(mean[j])
        square += point * point
        work[j] = l2 * point
    for i in rows:
        z = float(x[d]) if d < x.size else 0.0
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            z += float(values[p]) * (scale * float(x[j]) + shift * float(mean[j]))
        f, slope = scalar_loss(code, z, float(targets[i]))
        loss += f / rows.size
        for p in range(indptr[i], indptr[i + 1]):
            work[indices[p]] += slope / rows.size * float(values[p])
        if d < x.size:
            work[d] += slope / rows.size
    for j in range(x.size):
        total += work[j] * work[j]
    keep_trace(trace, scalars, step, gamma, loss + 0.5 * l2 * square, math.sqrt(total))


def linear_dense(
    a, targets, l2, code, order, batch, k, schedule, period, x, table, mean, slopes, work, scalars,
    average, average_rule, trace,
):  # fmt: skip
    """Advance ``order.size / batch`` steps on dense data. ``period`` 0: SAGA. Return how often all were refreshed."""
    d = a.shape[1]
    intercept = x.size > d
    n = table.size - 1
    refreshed = 0
    for step in range(order.size // batch):
        if period > 0 and (k + step) % period == 0:
            refreshed += 1
            work[:] = 0.0
            for i in range(n):
                _, slope = scalar_loss(code, _dot(a, i, x), float(targets[i]))
                table[i] = slope
                for j in range(d):
                    work[j] += slope / n * float(a[i, j])
                if intercept:
                    work[d] += slope / n
            for j in range(x.size):
                mean[j] = work[j]
        gamma = schedule[step if schedule.size > 1 else 0]
        if average.size > 0 and k + step >= average_rule[0]:
            w = iterate_weight(average_rule, k + step, gamma)
            scalars[AVERAGE_WEIGHT] += w
            for j in range(x.size):
                average[j] += w * float(x[j])
        if trace.shape[1] > 0:
            rows = order[step * batch : (step + 1) * batch]
            trace_dense(trace, scalars, step, gamma, a, rows, targets, l2, code, x, work)
        if batch == 1:  # the common case in one pass over the row
            i = order[step]
            _, slope = scalar_loss(code, _dot(a, i, x), float(targets[i]))
            c = slope - table[i]
            if intercept:
                x[d] -= gamma * (float(mean[d]) + c)
                if period == 0:
                    mean[d] += c / n
            if period == 0:
                table[i] = slope
                for j in range(d):
                    x[j] -= gamma * (float(mean[j]) + l2 * float(x[j]) + c * float(a[i, j]))
                    mean[j] += (c / n) * float(a[i, j])
            else:
                for j in range(d):
                    x[j] -= gamma * (float(mean[j]) + l2 * float(x[j]) + c * float(a[i, j]))
            scalars[STEP_SIZE] = gamma
            continue
        for q in range(batch):
            i = order[step * batch + q]
            _, slopes[q] = scalar_loss(code, _dot(a, i, x), float(targets[i]))
        for j in range(d):
            work[j] = float(mean[j]) + l2 * float(x[j])
        if intercept:
            work[d] = float(mean[d])
        for q in range(batch):
            i = order[step * batch + q]
            c = (slopes[q] - table[i]) / batch
            for j in range(d):
                work[j] += c * float(a[i, j])
            if intercept:
                work[d] += c
        for j in range(x.size):
            x[j] -= gamma * work[j]
        if period == 0:
            for q in range(batch):
                i = order[step * batch + q]
                c = (slopes[q] - table[i]) / n
                table[i] = slopes[q]
                for j in range(d):
                    mean[j] += c * float(a[i, j])
                if intercept:
                    mean[d] += c
        scalars[STEP_SIZE] = gamma
    return refreshed


def linear_sparse(
    values, indices, indptr, targets, l2, code, order, batch, k, schedule, period,
    x, table, mean, slopes, work, scalars, average, average_rule, trace,
):  # fmt: skip
    """As `linear_dense` on CSR data; the iterate is ``scalars[SCALE] * x + table[n] * mean``, an intercept as it is."""
    d = x.size - int(scalars[INTERCEPT])
    intercept = d < x.size
    n = table.size - 1
    scale, shift = scalars[SCALE], table[n]
    refreshed = 0
    for step in range(order.size // batch):
        snapshot = period > 0 and (k + step) % period == 0
        if snapshot or (k + step) % n == 0:  # shift * mean and scale * x grow against each other: add them up
            for j in range(d):
                x[j] = scale * float(x[j]) + shift * float(mean[j])
            scale, shift = 1.0, 0.0
        if snapshot:
            refreshed += 1
            work[:] = 0.0
            for i in range(n):
                z = float(x[d]) if intercept else 0.0
                for p in range(indptr[i], indptr[i + 1]):
                    z += float(values[p]) * float(x[indices[p]])
                _, slope = scalar_loss(code, z, float(targets[i]))
                table[i] = slope
                for p in range(indptr[i], indptr[i + 1]):
                    work[indices[p]] += slope / n * float(values[p])
                if intercept:
                    work[d] += slope / n
            for j in range(x.size):
                mean[j] = work[j]
        gamma = schedule[step if schedule.size > 1 else 0]
        if average.size > 0 and k + step >= average_rule[0]:
            w = iterate_weight(average_rule, k + step, gamma)
            scalars[AVERAGE_WEIGHT] += w
            for j in range(d):
                average[j] += w * (scale * float(x[j]) + shift * float(mean[j]))
            if intercept:
                average[d] += w * float(x[d])
        if trace.shape[1] > 0:
            trace_sparse(
                trace, scalars, step, gamma, values, indices, indptr, order[step * batch : (step + 1) * batch],
                targets, l2, code, x, mean, scale, shift, work,
            )  # fmt: skip
        for q in range(batch):
            i = order[step * batch + q]
            z = float(x[d]) if intercept else 0.0
            for p in range(indptr[i], indptr[i + 1]):
                j = indices[p]
                z += float(values[p]) * (scale * float(x[j]) + shift * float(mean[j]))
            _, slopes[q] = scalar_loss(code, z, float(targets[i]))
        # x+ = (1 - gamma l2) x - gamma mean - gamma sum_q (slope - old) a / batch
        if intercept:
            change = 0.0
            for q in range(batch):
                change += (slopes[q] - table[order[step * batch + q]]) / batch
            x[d] -= gamma * (float(mean[d]) + change)
        alpha = 1.0 - gamma * l2
        scale *= alpha
        shift = alpha * shift - gamma
        if not (1e-4 < abs(scale) < 1e6):  # also where it is zero
            for j in range(d):
                x[j] = scale * float(x[j]) + shift * float(mean[j])
            scale, shift = 1.0, 0.0
        for q in range(batch):
            i = order[step * batch + q]
            c = gamma * (slopes[q] - table[i]) / batch / scale
            for p in range(indptr[i], indptr[i + 1]):
                x[indices[p]] -= c * float(values[p])
        if period == 0:
            for q in range(batch):
                i = order[step * batch + q]
                c = (slopes[q] - table[i]) / n
                table[i] = slopes[q]
                if intercept:
                    mean[d] += c
                b = c * shift / scale
                for p in range(indptr[i], indptr[i + 1]):
                    j = indices[p]
                    mean[j] += c * float(values[p])
                    x[j] -= b * float(values[p])
        scalars[STEP_SIZE] = gamma
    scalars[SCALE] = scale
    table[n] = shift
    return refreshed


def general(
    dense, values, indices, indptr, targets, integers, reals, oracle, every, order, batch, k, schedule, period,
    x, stored, gradient, other, work, scalars, average, average_rule, trace,
):  # fmt: skip
    """Advance with any oracle. Rows of `stored`: mean, then the gradients of all samples or (SVRG) the snapshot."""
    d = x.size
    n = every.size
    refreshed = 0
    mean = stored[0]
    for step in range(order.size // batch):
        if period > 0 and (k + step) % period == 0:
            refreshed += 1
            oracle(dense, values, indices, indptr, targets, integers, reals, x, every, gradient, work)
            for j in range(x.size):
                mean[j] = gradient[j]
                stored[1, j] = x[j]
        gamma = schedule[step if schedule.size > 1 else 0]
        if average.size > 0 and k + step >= average_rule[0]:
            w = iterate_weight(average_rule, k + step, gamma)
            scalars[AVERAGE_WEIGHT] += w
            for j in range(d):
                average[j] += w * float(x[j])
        rows = order[step * batch : (step + 1) * batch]
        if trace.shape[1] > 0:
            f = oracle(dense, values, indices, indptr, targets, integers, reals, x, rows, gradient, work)
            total = 0.0
            for j in range(d):
                total += float(gradient[j]) * float(gradient[j])
            keep_trace(trace, scalars, step, gamma, f, math.sqrt(total))
        if period > 0:
            oracle(dense, values, indices, indptr, targets, integers, reals, x, rows, gradient, work)
            oracle(dense, values, indices, indptr, targets, integers, reals, stored[1], rows, other, work)
            for j in range(d):
                x[j] -= gamma * (float(gradient[j]) - float(other[j]) + float(mean[j]))
        else:
            for j in range(d):
                other[j] = float(mean[j])
            for q in range(batch):
                i = rows[q]
                count = 0  # a sample drawn twice enters the step twice and the table once
                seen = False
                for other_q in range(batch):
                    if rows[other_q] == i:
                        count += 1
                        seen = seen or other_q < q
                if seen:
                    continue
                oracle(dense, values, indices, indptr, targets, integers, reals, x, rows[q : q + 1], gradient, work)
                old = stored[1 + i]
                for j in range(d):
                    delta = float(gradient[j]) - float(old[j])
                    other[j] += delta * count / batch
                    mean[j] += delta / n
                    old[j] = gradient[j]
            for j in range(d):
                x[j] -= gamma * float(other[j])
        scalars[STEP_SIZE] = gamma
    return refreshed


def _tail(scalar):
    return (
        vector(scalar), vector(F8), vector(scalar), vector(F8), vector(F8), vector(F8), vector(F8), vector(I8, True),
        matrix(F8),
    )  # fmt: skip


def _head(scalar):
    return vector(scalar, True), F8, I8, vector(I8, True), I8, I8, vector(F8, True), I8


def _signature_dense(scalar, layout):
    return I8(matrix(scalar, layout, True), *_head(scalar), *_tail(scalar))


def _signature_sparse(scalar, layout):
    return I8(vector(scalar, True), vector(I4, True), vector(I8, True), *_head(scalar), *_tail(scalar))


def _signature_general(scalar, layout):
    v, f8, i8 = vector(scalar), vector(F8), vector(I8, True)
    return I8(
        *oracle_arguments(scalar, layout), types.FunctionType(oracle_signature(scalar, layout)), i8, i8, I8, I8,
        vector(F8, True), I8, v, matrix(scalar), v, v, f8, f8, f8, i8, matrix(F8),
    )  # fmt: skip


LINEAR_DENSE = Compiled(linear_dense, _signature_dense)
LINEAR_SPARSE = Compiled(linear_sparse, _signature_sparse)
GENERAL = Compiled(general, _signature_general)
