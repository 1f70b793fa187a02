"""The compiled loops of methods written as a rule: a whole record interval in one call.

Three loops serve every built-in problem and every such method (`optlab.compiled.rules`):

* `linear_dense`: one sample a step, loss ``l(a^T x) + (l2/2)||x||^2``, dense data. Two passes over the row.
* `linear_sparse`: the same on CSR data, also mini-batches, in O(non-zeros of the rows) a step however large x is:
  x is kept as ``scale * x`` and ``||x||^2`` is updated by recurrence, so that the l2 term costs nothing and is still
  part of the sample's loss and gradient, exactly (derived here, verified numerically). Averaging is lazy.
* `general`: any oracle, mini-batches, momentum, update rules; O(dimension) a step.
"""

from __future__ import annotations

from numba import njit, types, uint32, uint64

from optlab.compiled.functions import F8, Compiled, borrowed, vector
from optlab.compiled.rules import RULE, update_signature
from optlab.compiled.steps import (
    AVERAGE_SCALE,
    INTERCEPT,
    SCALE,
    SQUARED_NORM,
    above_bound,
    add_lazily,
    add_to_average,
    count,
    fold,
    record,
    recorded,
    rows_of,
    scheduled,
    smallest_scale,
    steps_type,
)
from optlab.stochastic.kernels.losses import scalar_loss
from optlab.stochastic.kernels.oracles import linear_type, loss_and_gradient, oracle_types
from optlab.stochastic.kernels.prefetch import prefetch_dense_row, prefetch_sparse_row

# The recurrence of ||x||^2 is started afresh this often, against rounding.
_REFRESH = 1 << 16


@njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract"})
def dense_dot(a, i, x):
    """Row i of `a` times x (plus the intercept, if x has one); the order of summation is free, nothing else."""
    d = a.shape[1]
    z = float(x[d]) if x.size > d else 0.0
    for j in range(d):
        z += float(a[i, j]) * float(x[j])
    return z


@njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _sparse_dot(values, indices, begin, end, x):
    """A sparse row times x. Indices are unsigned: Numba tests signed ones for being negative, a third of the time."""
    z = 0.0
    for p in range(begin, end):
        z += float(values[p]) * float(x[uint32(indices[p])])
    return z


@njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract"})
def squared_norm(x, d):
    """The sum of the squares of the first d entries of x."""
    z = 0.0
    for j in range(d):
        z += float(x[j]) * float(x[j])
    return z


@njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _ridge_gradient_norm(a, i, x, slope, l2):
    """||slope * a_i + l2 * x||^2 without cancellation, over the features."""
    z = 0.0
    for j in range(a.shape[1]):
        g = slope * float(a[i, j]) + l2 * float(x[j])
        z += g * g
    return z


def linear_dense(data, steps, rule):
    """Advance steps of one sample each on dense data."""
    data, steps = borrowed(data), borrowed(steps)
    a, targets, row_norms, l2, x = data.dense, data.targets, data.row_norms, data.l2, steps.x
    momentum, weight, d = steps.momentum, steps.weight, a.shape[1]
    intercept = x.size > d
    for step in range(count(steps)):
        i = steps.order[step]
        if step + 1 < count(steps):
            prefetch_dense_row(a, targets, row_norms, steps.order[step + 1])
        f, slope = scalar_loss(data.code, dense_dot(a, i, x), float(targets[i]))
        if l2 > 0.0:
            f += 0.5 * l2 * squared_norm(x, d)
            gg = _ridge_gradient_norm(a, i, x, slope, l2)
        else:
            gg = slope * slope * row_norms[i]
        if intercept:
            gg += slope * slope
        f = above_bound(steps, step, f)
        eta = scheduled(steps, step)
        add_to_average(steps, step, eta)
        gamma = rule(f, gg, eta, steps.k + step, steps.parameters, steps.memory)
        if momentum > 0.0:  # x+ = x - weight gamma g + momentum (x - x_previous)
            move = steps.vectors[0]
            if intercept:
                move[d] = momentum * float(move[d]) - weight * (gamma * slope)
                x[d] += move[d]
            for j in range(d):
                g = slope * float(a[i, j]) + l2 * float(x[j])
                move[j] = momentum * float(move[j]) - weight * (gamma * g)
                x[j] += move[j]
        else:
            c = gamma * slope
            if intercept:
                x[d] -= c
            if l2 > 0.0:
                for j in range(d):
                    x[j] -= gamma * (slope * float(a[i, j]) + l2 * float(x[j]))
            else:
                for j in range(d):
                    x[j] -= c * float(a[i, j])
        record(steps, step, gamma, f, gg)


def linear_sparse(data, steps, rule, slopes, gradient, touched, mark):
    """Advance on CSR data, without momentum; the iterate is ``scalars[SCALE] * x``.

    An intercept, the last entry of x, is kept as it is: no ridge term shrinks it, and every sample has it.

    ``slopes`` (batch), ``gradient``, ``mark`` (dimension; empty when batch = 1) and ``touched`` are work space;
    ``gradient`` comes and goes as zeros.
    """
    data, steps = borrowed(data), borrowed(steps)
    values, indices, indptr, targets, row_norms = data.values, data.indices, data.indptr, data.targets, data.row_norms
    order, batch, x, scalars, average, l2 = steps.order, steps.batch, steps.x, steps.scalars, steps.average, data.l2
    d = x.size - int(scalars[INTERCEPT])
    intercept = d < x.size
    averaging = average.size > 0
    scale = scalars[SCALE]
    w2 = scalars[SQUARED_NORM]
    smallest = smallest_scale(steps)
    for step in range(count(steps)):
        # the loss and its derivative in the margins
        f = 0.0
        slope_dot_z = 0.0
        total_slope = 0.0
        n_touched = 0
        hh = 0.0
        for q in range(batch):
            i = order[step * batch + q]
            prefetch_sparse_row(values, indices, indptr, targets, row_norms, order, step * batch + q + 1)
            z = scale * _sparse_dot(values, indices, uint64(indptr[i]), uint64(indptr[i + 1]), x)
            value, slope = scalar_loss(data.code, z + float(x[d]) if intercept else z, float(targets[i]))
            f += value
            slope_dot_z += slope * z
            total_slope += slope
            slopes[q] = slope
            if batch == 1:
                hh = slope * slope * row_norms[i]
        # h = mean of slope * a; only its norm and its product with x are needed before the step
        if batch > 1:
            f /= batch
            slope_dot_z /= batch
            total_slope /= batch
            for q in range(batch):
                i = order[step * batch + q]
                c = slopes[q] / batch
                for p in range(uint64(indptr[i]), uint64(indptr[i + 1])):
                    j = uint32(indices[p])
                    if mark[j] == 0:
                        mark[j] = 1
                        touched[n_touched] = indices[p]
                        n_touched += 1
                    gradient[j] += c * float(values[p])
            for p in range(n_touched):
                g = gradient[uint32(touched[p])]
                hh += g * g
        gg = hh
        if l2 > 0.0:
            f += 0.5 * l2 * w2
            gg = hh + 2.0 * l2 * slope_dot_z + l2 * l2 * w2
            if gg < 0.0:  # rounding
                gg = 0.0
        if intercept:
            gg += total_slope * total_slope
        f = above_bound(steps, step, f)
        eta = scheduled(steps, step)
        add_lazily(steps, step, eta, d, scale, 0.0)
        gamma = rule(f, gg, eta, steps.k + step, steps.parameters, steps.memory)
        # x+ = (1 - gamma l2) x - gamma h
        if intercept:
            x[d] -= gamma * total_slope
        stale = False
        if l2 > 0.0:
            alpha = 1.0 - gamma * l2
            grown = alpha * alpha * w2 + gamma * gamma * hh
            w2 = grown - 2.0 * alpha * gamma * slope_dot_z
            stale = w2 < 1e-6 * grown or (steps.k + step) % _REFRESH == _REFRESH - 1
            scale *= alpha
            # the step divides by the scale: fold it into x before it is too small (or too large for float32 data)
            if not (smallest < abs(scale) < 1e6):
                fold(steps, x, d, scale, 0.0)
                scale = 1.0
        s = scalars[AVERAGE_SCALE]
        if batch == 1:
            i = order[step]
            begin, end = uint64(indptr[i]), uint64(indptr[i + 1])
            c = gamma * slopes[0] / scale
            if averaging:
                for p in range(begin, end):
                    j = uint32(indices[p])
                    old = float(x[j])
                    x[j] = old - c * float(values[p])
                    average[j] += s * (old - float(x[j]))
            else:
                for p in range(begin, end):
                    x[uint32(indices[p])] -= c * float(values[p])
        else:
            c = gamma / scale
            for p in range(n_touched):
                j = uint32(touched[p])
                old = float(x[j])
                x[j] = old - c * gradient[j]
                if averaging:
                    average[j] += s * (old - float(x[j]))
                gradient[j] = 0.0
                mark[j] = 0
        if stale:  # the recurrence lost digits: sum again
            w2 = scale * scale * squared_norm(x, d)
        record(steps, step, gamma, f, gg)
    scalars[SCALE] = scale
    scalars[SQUARED_NORM] = w2


def general(data, steps, oracle, rule, update, use_rule, gradient, work):
    """Advance with any oracle, by the step rule or by the update rule."""
    data, steps = borrowed(data), borrowed(steps)
    x, momentum, weight = steps.x, steps.momentum, steps.weight
    for step in range(count(steps)):
        rows = rows_of(steps, step)
        f = loss_and_gradient(oracle, data, x, rows, gradient, work)
        f = above_bound(steps, step, f)
        eta = scheduled(steps, step)
        add_to_average(steps, step, eta)
        gg = 0.0
        if use_rule or recorded(steps, step):
            gg = squared_norm(gradient, x.size)
        if use_rule:
            gamma = rule(f, gg, eta, steps.k + step, steps.parameters, steps.memory)
            if momentum > 0.0:
                move = steps.vectors[0]
                for j in range(x.size):
                    move[j] = momentum * float(move[j]) - weight * (gamma * float(gradient[j]))
                    x[j] += move[j]
            else:
                for j in range(x.size):
                    x[j] -= gamma * float(gradient[j])
        else:
            gamma = update(x, gradient, f, eta, steps.k + step, steps.parameters, steps.memory, steps.vectors)
        record(steps, step, gamma, f, gg)


# ---------------------------------------------------------------------- signatures


def _signature_dense(scalar, layout):
    return types.void(linear_type(scalar, layout), steps_type(scalar), RULE)


def _signature_sparse(scalar, layout):
    work = vector(F8), vector(F8), vector(types.int32), vector(types.uint8)
    return types.void(linear_type(scalar, layout), steps_type(scalar), RULE, *work)


def _signature_general(scalar, layout):
    data, oracle = oracle_types(scalar, layout)
    update = types.FunctionType(update_signature(scalar))
    return types.void(data, steps_type(scalar), oracle, RULE, update, types.boolean, vector(scalar), vector(F8))


LINEAR_DENSE = Compiled(linear_dense, _signature_dense, loop=True)
LINEAR_SPARSE = Compiled(linear_sparse, _signature_sparse, loop=True)
GENERAL = Compiled(general, _signature_general, loop=True)
