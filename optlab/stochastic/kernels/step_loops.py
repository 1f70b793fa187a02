"""The compiled loops: a whole record interval of a stochastic method in one call.

Three loops serve every built-in problem and every method written as a rule (`compilation`):

* `linear_dense`: one sample a step, loss ``l(a^T x) + (l2/2)||x||^2``, dense data. Two passes over the row.
* `linear_sparse`: the same on CSR data, also mini-batches, in O(non-zeros of the rows) a step however large x is:
  x is kept as ``scale * x`` and ``||x||^2`` is updated by recurrence, so that the l2 term costs nothing and is still
  part of the sample's loss and gradient, exactly (derived here, verified numerically). Averaging is lazy.
* `general`: any oracle, mini-batches, momentum, update rules; O(dimension) a step.

Scalars are float64 throughout, whatever the type of the data. A kernel changes its arrays in place: the caller
passes copies. Nothing here draws random numbers: `order` holds the samples to visit.
"""

from __future__ import annotations

import math

from numba import njit, types, uint32, uint64

from optlab.stochastic.kernels.compilation import (
    F8,
    I8,
    Compiled,
    matrix,
    oracle_arguments,
    oracle_signature,
    rule_signature,
    scalar_type,
    update_signature,
    vector,
)
from optlab.stochastic.kernels.losses import scalar_loss
from optlab.stochastic.kernels.prefetch import prefetch

# entries of the float64 vector `scalars` that a state carries through the loops
SCALE, SQUARED_NORM, AVERAGE_SCALE, AVERAGE_WEIGHT, STEP_SIZE, LOSS, GRADIENT_NORM, BELOW_BOUND, INTERCEPT = range(9)
N_SCALARS = 9

# Cache lines of the next row to ask for; the processor sees a longer row coming by itself.
_LINES = 24

# The recurrence of ||x||^2 is started afresh this often, against rounding.
_REFRESH = 1 << 16

# weights of averaged iterates: all one, the scheduled step sizes, or 1, 2, 3, ...
UNIFORM, SCHEDULE, LINEAR = range(3)
AVERAGES = ("uniform", "schedule", "linear")  # by name


@njit(cache=True, error_model="numpy")
def iterate_weight(average_rule, k, step_size):
    """Return the weight of iterate k in the average."""
    if average_rule[1] == LINEAR:
        return k - average_rule[0] + 1.0
    return step_size if average_rule[1] == SCHEDULE else 1.0


@njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _dot(a, i, x):
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
def _squared_norm(x, d):
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


def linear_dense(
    a, targets, row_norms, lower, l2, code, order, k, schedule, rule, parameters, momentum, weight,
    x, memory, vectors, scalars, average, average_rule, trace,
):  # fmt: skip
    """Advance ``order.size`` steps of one sample each; see `_signature_dense` for the types."""
    n = order.size
    d = a.shape[1]
    intercept = x.size > d
    averaging = average.size > 0
    tracing = trace.shape[1] > 0
    for step in range(n):
        i = order[step]
        if step + 1 < n:
            begin = uint64(order[step + 1] * a.strides[0] // a.itemsize)
            for p in range(begin, begin + uint64(min(d, _LINES * 8)), uint64(8)):
                prefetch(a, p)
            prefetch(targets, order[step + 1])
            prefetch(row_norms, order[step + 1])
        z = _dot(a, i, x)
        f, slope = scalar_loss(code, z, float(targets[i]))
        if l2 > 0.0:
            f += 0.5 * l2 * _squared_norm(x, d)
            gg = _ridge_gradient_norm(a, i, x, slope, l2)
        else:
            gg = slope * slope * row_norms[i]
        if intercept:
            gg += slope * slope
        if lower.size > 0:
            f -= lower[i if lower.size > 1 else 0]
            if f < 0.0:
                scalars[BELOW_BOUND] += 1.0
        eta = schedule[step if schedule.size > 1 else 0]
        if averaging and k + step >= average_rule[0]:
            w = iterate_weight(average_rule, k + step, eta)
            scalars[AVERAGE_WEIGHT] += w
            for j in range(x.size):
                average[j] += w * float(x[j])
        gamma = rule(f, gg, eta, k + step, parameters, memory)
        if tracing:
            trace[0, step], trace[1, step], trace[2, step] = gamma, f, math.sqrt(gg)
        if momentum > 0.0:  # x+ = x - weight gamma g + momentum (x - x_previous)
            move = vectors[0]
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
        if step == n - 1:
            scalars[STEP_SIZE], scalars[LOSS], scalars[GRADIENT_NORM] = gamma, f, math.sqrt(gg)


def linear_sparse(
    values, indices, indptr, targets, row_norms, lower, l2, code, order, batch, k, schedule, rule, parameters,
    x, memory, scalars, average, average_rule, trace, slopes, gradient, touched, mark,
):  # fmt: skip
    """Advance ``order.size / batch`` steps on CSR data, without momentum; the iterate is ``scalars[SCALE] * x``.

    An intercept, the last entry of x, is kept as it is: no ridge term shrinks it, and every sample has it.

    ``slopes`` (batch), ``gradient``, ``mark`` (dimension; empty when batch = 1) and ``touched`` are work space;
    ``gradient`` comes and goes as zeros.
    """
    n = order.size // batch
    d = x.size - int(scalars[INTERCEPT])
    intercept = d < x.size
    averaging = average.size > 0
    tracing = trace.shape[1] > 0
    scale = scalars[SCALE]
    w2 = scalars[SQUARED_NORM]
    smallest = 1e-2 if averaging else 1e-6
    for step in range(n):
        # the loss and its derivative in the margins
        f = 0.0
        below = 0.0
        slope_dot_z = 0.0
        total_slope = 0.0
        n_touched = 0
        hh = 0.0
        for q in range(batch):
            i = order[step * batch + q]
            if step * batch + q + 1 < order.size:
                following = order[step * batch + q + 1]
                begin = uint64(indptr[following])
                end = min(uint64(indptr[following + 1]), begin + uint64(_LINES * 8))
                for p in range(begin, end, uint64(8)):
                    prefetch(values, p)
                for p in range(begin, end, uint64(16)):
                    prefetch(indices, p)
                prefetch(targets, following)
                prefetch(row_norms, following)
                if step * batch + q + 2 < order.size:
                    prefetch(indptr, order[step * batch + q + 2])
            z = scale * _sparse_dot(values, indices, uint64(indptr[i]), uint64(indptr[i + 1]), x)
            value, slope = scalar_loss(code, z + float(x[d]) if intercept else z, float(targets[i]))
            f += value
            slope_dot_z += slope * z
            total_slope += slope
            slopes[q] = slope
            if lower.size > 0:
                below += lower[i if lower.size > 1 else 0]
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
        if lower.size > 0:
            f -= below / batch
            if f < 0.0:
                scalars[BELOW_BOUND] += 1.0
        eta = schedule[step if schedule.size > 1 else 0]
        if averaging and k + step >= average_rule[0]:
            w = iterate_weight(average_rule, k + step, eta)
            scalars[AVERAGE_WEIGHT] += w
            scalars[AVERAGE_SCALE] += w * scale
            if intercept:
                average[d] += w * float(x[d])
        gamma = rule(f, gg, eta, k + step, parameters, memory)
        if tracing:
            trace[0, step], trace[1, step], trace[2, step] = gamma, f, math.sqrt(gg)
        # x+ = (1 - gamma l2) x - gamma h
        if intercept:
            x[d] -= gamma * total_slope
        stale = False
        if l2 > 0.0:
            alpha = 1.0 - gamma * l2
            grown = alpha * alpha * w2 + gamma * gamma * hh
            w2 = grown - 2.0 * alpha * gamma * slope_dot_z
            stale = w2 < 1e-6 * grown or (k + step) % _REFRESH == _REFRESH - 1
            scale *= alpha
            # The step divides by the scale: fold it into x before it is too small (or too large for float32 data).
            # The sum of the averaged iterates is AVERAGE_SCALE * x + average at all times; these two terms cancel as
            # 1 / scale grows, so that averaging folds earlier.
            if not (smallest < abs(scale) < 1e6):
                s = scalars[AVERAGE_SCALE]
                for j in range(d):
                    if averaging:
                        average[j] += s * float(x[j])
                    x[j] = scale * float(x[j])
                scalars[AVERAGE_SCALE] = 0.0
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
            w2 = scale * scale * _squared_norm(x, d)
        if step == n - 1:
            scalars[STEP_SIZE], scalars[LOSS], scalars[GRADIENT_NORM] = gamma, f, math.sqrt(gg)
    scalars[SCALE] = scale
    scalars[SQUARED_NORM] = w2


def general(
    dense, values, indices, indptr, targets, integers, reals, oracle, lower, order, batch, k, schedule,
    rule, update, use_rule, parameters, momentum, weight,
    x, gradient, work, memory, vectors, scalars, average, average_rule, trace,
):  # fmt: skip
    """Advance ``order.size / batch`` steps with any oracle, by the step rule or by the update rule."""
    n = order.size // batch
    d = x.size
    averaging = average.size > 0
    tracing = trace.shape[1] > 0
    for step in range(n):
        rows = order[step * batch : (step + 1) * batch]
        f = oracle(dense, values, indices, indptr, targets, integers, reals, x, rows, gradient, work)
        if lower.size > 0:
            below = 0.0
            for q in range(batch):
                below += lower[rows[q] if lower.size > 1 else 0]
            f -= below / batch
            if f < 0.0:
                scalars[BELOW_BOUND] += 1.0
        eta = schedule[step if schedule.size > 1 else 0]
        if averaging and k + step >= average_rule[0]:
            w = iterate_weight(average_rule, k + step, eta)
            scalars[AVERAGE_WEIGHT] += w
            for j in range(d):
                average[j] += w * float(x[j])
        gg = 0.0
        if use_rule or tracing or step == n - 1:
            gg = _squared_norm(gradient, d)
        if use_rule:
            gamma = rule(f, gg, eta, k + step, parameters, memory)
            if momentum > 0.0:
                move = vectors[0]
                for j in range(d):
                    move[j] = momentum * float(move[j]) - weight * (gamma * float(gradient[j]))
                    x[j] += move[j]
            else:
                for j in range(d):
                    x[j] -= gamma * float(gradient[j])
        else:
            gamma = update(x, gradient, f, eta, k + step, parameters, memory, vectors)
        if tracing:
            trace[0, step], trace[1, step], trace[2, step] = gamma, f, math.sqrt(gg)
        if step == n - 1:
            scalars[STEP_SIZE], scalars[LOSS], scalars[GRADIENT_NORM] = gamma, f, math.sqrt(gg)


# ---------------------------------------------------------------------- signatures

_RULE = types.FunctionType(rule_signature())


def _signature_dense(scalar, layout):
    v, f8 = vector(scalar), vector(F8)
    return types.void(
        matrix(scalar, layout, True), vector(scalar, True), vector(F8, True), vector(F8, True), F8, I8,
        vector(I8, True), I8, vector(F8, True), _RULE, vector(F8, True), F8, F8,
        v, f8, matrix(scalar), f8, f8, vector(I8, True), matrix(F8),
    )  # fmt: skip


def _signature_sparse(scalar, layout):
    v, f8, i8 = vector(scalar), vector(F8), vector(I8, True)
    i4 = vector(types.int32)
    return types.void(
        vector(scalar, True), vector(types.int32, True), i8, vector(scalar, True), vector(F8, True), vector(F8, True),
        F8, I8, i8, I8, I8, vector(F8, True), _RULE, vector(F8, True),
        v, f8, f8, f8, i8, matrix(F8), f8, f8, i4, vector(types.uint8),
    )  # fmt: skip


def _signature_general(scalar, layout):
    v, f8, i8 = vector(scalar), vector(F8), vector(I8, True)
    return types.void(
        *oracle_arguments(scalar, layout), types.FunctionType(oracle_signature(scalar, layout)),
        vector(F8, True), i8, I8, I8, vector(F8, True),
        _RULE, types.FunctionType(update_signature(scalar)), types.boolean, vector(F8, True), F8, F8,
        v, v, f8, f8, matrix(scalar), f8, f8, i8, matrix(F8),
    )  # fmt: skip


LINEAR_DENSE = Compiled(linear_dense, _signature_dense)
LINEAR_SPARSE = Compiled(linear_sparse, _signature_sparse)
GENERAL = Compiled(general, _signature_general)

__all__ = ["GENERAL", "LINEAR_DENSE", "LINEAR_SPARSE", "scalar_type"]
