"""The compiled loops of SAGA and SVRG: linear models on dense and on CSR data, and any problem with an oracle.

``period`` 0 is SAGA, otherwise the number of steps between SVRG's snapshots. Each loop returns how often all gradients
were computed afresh. See `variance_reduction` for the recursions.

With a trace, loss and gradient norm are those of the step's batch before the step, as for the other methods: they take
extra passes over x, and over the batch in the general loop, that an untraced run is spared.
"""

from __future__ import annotations

from optlab.compiled.functions import F8, I8, Compiled, borrowed, inlined, vector
from optlab.compiled.steps import (
    AVERAGE_SCALE,
    AVERAGE_SHIFT,
    INTERCEPT,
    SCALE,
    STEP_SIZE,
    add_lazily,
    add_to_average,
    count,
    fold,
    record,
    rows_of,
    scheduled,
    smallest_scale,
    steps_type,
)
from optlab.stochastic.kernels.losses import scalar_loss
from optlab.stochastic.kernels.oracles import linear_type, loss_and_gradient, oracle_types
from optlab.stochastic.kernels.step_loops import dense_dot


@inlined
def _batch_dense(data, x, rows, work):
    """Return loss and squared gradient norm of a batch of dense rows; `work` is overwritten."""
    a, l2 = data.dense, data.l2
    loss, square, total = 0.0, 0.0, 0.0
    d = a.shape[1]
    work[:] = 0.0
    for i in rows:
        f, slope = scalar_loss(data.code, dense_dot(a, i, x), float(data.targets[i]))
        loss += f / rows.size
        for j in range(d):
            work[j] += slope / rows.size * float(a[i, j])
        if x.size > d:
            work[d] += slope / rows.size
    for j in range(d):
        g = work[j] + l2 * float(x[j])
        square += float(x[j]) * float(x[j])
        total += g * g
    for j in range(d, x.size):
        total += work[j] * work[j]
    return loss + 0.5 * l2 * square, total


@inlined
def _margin(values, indices, begin, end, x, mean, scale, shift, d):
    """Return the margin of a CSR row at ``scale * x + shift * mean``, of which only the first d entries are scaled."""
    z = float(x[d]) if d < x.size else 0.0
    for p in range(begin, end):
        j = indices[p]
        z += float(values[p]) * (scale * float(x[j]) + shift * float(mean[j]))
    return z


@inlined
def _batch_sparse(data, x, mean, scale, shift, d, rows, work):
    """Return loss and squared gradient norm of a batch of CSR rows; `work` is overwritten."""
    values, indices, indptr, l2 = data.values, data.indices, data.indptr, data.l2
    loss, square, total = 0.0, 0.0, 0.0
    work[d:] = 0.0
    for j in range(d):
        point = scale * float(x[j]) + shift * float(mean[j])
        square += point * point
        work[j] = l2 * point
    for i in rows:
        z = _margin(values, indices, indptr[i], indptr[i + 1], x, mean, scale, shift, d)
        f, slope = scalar_loss(data.code, z, float(data.targets[i]))
        loss += f / rows.size
        for p in range(indptr[i], indptr[i + 1]):
            work[indices[p]] += slope / rows.size * float(values[p])
        if d < x.size:
            work[d] += slope / rows.size
    for j in range(x.size):
        total += work[j] * work[j]
    return loss + 0.5 * l2 * square, total


def linear_dense(data, steps, period, slopes, work):
    """Advance the steps on dense data. ``period`` 0: SAGA. Return how often all were refreshed."""
    data, steps = borrowed(data), borrowed(steps)
    a, targets, l2, code = data.dense, data.targets, data.l2, data.code
    order, batch, x, scalars = steps.order, steps.batch, steps.x, steps.scalars
    table, mean = steps.memory, steps.vectors[0]
    d = a.shape[1]
    intercept = x.size > d
    n = table.size - 1
    refreshed = 0
    for step in range(count(steps)):
        if period > 0 and (steps.k + step) % period == 0:
            refreshed += 1
            work[:] = 0.0
            for i in range(n):
                _, slope = scalar_loss(code, dense_dot(a, i, x), float(targets[i]))
                table[i] = slope
                for j in range(d):
                    work[j] += slope / n * float(a[i, j])
                if intercept:
                    work[d] += slope / n
            for j in range(x.size):
                mean[j] = work[j]
        gamma = scheduled(steps, step)
        add_to_average(steps, step, gamma)
        if steps.trace.shape[1] > 0:
            f, gg = _batch_dense(data, x, rows_of(steps, step), work)
            record(steps, step, gamma, f, gg)
        scalars[STEP_SIZE] = gamma
        if batch == 1:  # the common case in one pass over the row
            i = order[step]
            _, slope = scalar_loss(code, dense_dot(a, i, x), float(targets[i]))
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
            continue
        for q in range(batch):
            i = order[step * batch + q]
            _, slopes[q] = scalar_loss(code, dense_dot(a, i, x), float(targets[i]))
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
    return refreshed


def linear_sparse(data, steps, period, slopes, work):
    """As `linear_dense` on CSR data; the iterate is ``scalars[SCALE] * x + table[n] * mean``, an intercept as it is."""
    data, steps = borrowed(data), borrowed(steps)
    values, indices, indptr, targets, code = data.values, data.indices, data.indptr, data.targets, data.code
    order, batch, x, scalars, average = steps.order, steps.batch, steps.x, steps.scalars, steps.average
    table, mean = steps.memory, steps.vectors[0]
    d = x.size - int(scalars[INTERCEPT])
    intercept = d < x.size
    n = table.size - 1
    scale, shift = scalars[SCALE], table[n]
    smallest = max(smallest_scale(steps), 1e-4)
    refreshed = 0
    for step in range(count(steps)):
        snapshot = period > 0 and (steps.k + step) % period == 0
        if snapshot or (steps.k + step) % n == 0:  # shift * mean and scale * x grow against each other: add them up
            fold(steps, mean, d, scale, shift)
            scale, shift = 1.0, 0.0
        if snapshot:
            refreshed += 1
            work[:] = 0.0
            for i in range(n):
                z = _margin(values, indices, indptr[i], indptr[i + 1], x, mean, 1.0, 0.0, d)
                _, slope = scalar_loss(code, z, float(targets[i]))
                table[i] = slope
                for p in range(indptr[i], indptr[i + 1]):
                    work[indices[p]] += slope / n * float(values[p])
                if intercept:
                    work[d] += slope / n
            for j in range(x.size):
                mean[j] = work[j]
        gamma = scheduled(steps, step)
        add_lazily(steps, step, gamma, d, scale, shift)
        if steps.trace.shape[1] > 0:
            rows = rows_of(steps, step)
            f, gg = _batch_sparse(data, x, mean, scale, shift, d, rows, work)
            record(steps, step, gamma, f, gg)
        scalars[STEP_SIZE] = gamma
        for q in range(batch):
            i = order[step * batch + q]
            z = _margin(values, indices, indptr[i], indptr[i + 1], x, mean, scale, shift, d)
            _, slopes[q] = scalar_loss(code, z, float(targets[i]))
        # x+ = (1 - gamma l2) x - gamma mean - gamma sum_q (slope - old) a / batch
        if intercept:
            change = 0.0
            for q in range(batch):
                change += (slopes[q] - table[order[step * batch + q]]) / batch
            x[d] -= gamma * (float(mean[d]) + change)
        alpha = 1.0 - gamma * data.l2
        scale *= alpha
        shift = alpha * shift - gamma
        if not (smallest < abs(scale) < 1e6):  # also where it is zero
            fold(steps, mean, d, scale, shift)
            scale, shift = 1.0, 0.0
        s, t = scalars[AVERAGE_SCALE], scalars[AVERAGE_SHIFT]
        for q in range(batch):
            i = order[step * batch + q]
            c = gamma * (slopes[q] - table[i]) / batch / scale
            for p in range(indptr[i], indptr[i + 1]):
                j = indices[p]
                old = float(x[j])
                x[j] -= c * float(values[p])
                if average.size > 0:
                    average[j] += s * (old - float(x[j]))
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
                    old, old_mean = float(x[j]), float(mean[j])
                    mean[j] += c * float(values[p])
                    x[j] -= b * float(values[p])
                    if average.size > 0:
                        average[j] += s * (old - float(x[j])) + t * (old_mean - float(mean[j]))
    scalars[SCALE] = scale
    table[n] = shift
    return refreshed


def general(data, steps, oracle, every, period, gradient, other, work):
    """Advance with any oracle. Rows of `vectors`: mean, then the gradients of all samples or (SVRG) the snapshot."""
    data, steps = borrowed(data), borrowed(steps)
    x, stored, batch, scalars = steps.x, steps.vectors, steps.batch, steps.scalars
    d = x.size
    n = every.size
    refreshed = 0
    mean = stored[0]
    for step in range(count(steps)):
        if period > 0 and (steps.k + step) % period == 0:
            refreshed += 1
            loss_and_gradient(oracle, data, x, every, gradient, work)
            for j in range(d):
                mean[j] = gradient[j]
                stored[1, j] = x[j]
        gamma = scheduled(steps, step)
        add_to_average(steps, step, gamma)
        rows = rows_of(steps, step)
        if steps.trace.shape[1] > 0:
            f = loss_and_gradient(oracle, data, x, rows, gradient, work)
            total = 0.0
            for j in range(d):
                total += float(gradient[j]) * float(gradient[j])
            record(steps, step, gamma, f, total)
        scalars[STEP_SIZE] = gamma
        if period > 0:
            loss_and_gradient(oracle, data, x, rows, gradient, work)
            loss_and_gradient(oracle, data, stored[1], rows, other, work)
            for j in range(d):
                x[j] -= gamma * (float(gradient[j]) - float(other[j]) + float(mean[j]))
        else:
            for j in range(d):
                other[j] = float(mean[j])
            for q in range(batch):
                i = rows[q]
                times = 0  # a sample drawn twice enters the step twice and the table once
                seen = False
                for other_q in range(batch):
                    if rows[other_q] == i:
                        times += 1
                        seen = seen or other_q < q
                if seen:
                    continue
                loss_and_gradient(oracle, data, x, rows[q : q + 1], gradient, work)
                old = stored[1 + i]
                for j in range(d):
                    delta = float(gradient[j]) - float(old[j])
                    other[j] += delta * times / batch
                    mean[j] += delta / n
                    old[j] = gradient[j]
            for j in range(d):
                x[j] -= gamma * float(other[j])
    return refreshed


def _signature(scalar, layout):
    return I8(linear_type(scalar, layout), steps_type(scalar), I8, vector(F8), vector(F8))


def _signature_general(scalar, layout):
    data, oracle = oracle_types(scalar, layout)
    v = vector(scalar)
    return I8(data, steps_type(scalar), oracle, vector(I8, True), I8, v, v, vector(F8))


LINEAR_DENSE = Compiled(linear_dense, _signature, loop=True)
LINEAR_SPARSE = Compiled(linear_sparse, _signature, loop=True)
GENERAL = Compiled(general, _signature_general, loop=True)
