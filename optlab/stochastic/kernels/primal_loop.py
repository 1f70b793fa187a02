"""The compiled loop of primal averaging on CSR data: O(non-zeros of the rows) a step, however large x is.

`step_loops.linear_sparse` with two vectors in the place of one; see `optlab.compiled.primal`.
"""

from __future__ import annotations

from numba import uint32, uint64

from optlab.compiled.functions import Compiled, borrowed
from optlab.compiled.primal import XX, ZX, ZZ, P, Q, R, S, inner_products, mix_lazily
from optlab.compiled.steps import INTERCEPT, above_bound, count, record, scheduled
from optlab.stochastic.kernels.losses import scalar_loss
from optlab.stochastic.kernels.prefetch import prefetch_sparse_row
from optlab.stochastic.kernels.step_loops import REFRESH, signature_sparse, sparse_dot, sum_rows


def linear_sparse_primal(data, steps, rule, slopes, gradient, touched, mark):
    """Advance on CSR data by a step rule, without momentum, with gradients near an average."""
    data, steps = borrowed(data), borrowed(steps)
    values, indices, indptr, targets, row_norms = data.values, data.indices, data.indptr, data.targets, data.row_norms
    order, batch, x, primal, l2 = steps.order, steps.batch, steps.x, steps.around, data.l2
    mean, numbers = primal.mean, primal.numbers
    d = x.size - int(steps.scalars[INTERCEPT])
    for step in range(count(steps)):
        c = primal.mixing[step if primal.mixing.size > 1 else 0]
        mu = primal.interpolation[step if primal.interpolation.size > 1 else 0]
        free = mu * mean[d] + (1.0 - mu) * float(x[d]) if d < x.size else 0.0
        # the loss, and the derivatives in the margins, at y = mu mean + (1 - mu) z; h is the mean of slope * row
        f, hz, hx, hh, total_slope, n_touched = 0.0, 0.0, 0.0, 0.0, 0.0, 0
        for q in range(batch):
            i = order[step * batch + q]
            prefetch_sparse_row(values, indices, indptr, targets, row_norms, order, step * batch + q + 1)
            begin, end = uint64(indptr[i]), uint64(indptr[i + 1])
            first, second = sparse_dot(values, indices, begin, end, x), sparse_dot(values, indices, begin, end, mean)
            at_z = numbers[P] * first + numbers[Q] * second
            at_x = numbers[S] * first + numbers[R] * second
            value, slope = scalar_loss(data.code, mu * at_x + (1.0 - mu) * at_z + free, float(targets[i]))
            f += value / batch
            hz += slope * at_z / batch
            hx += slope * at_x / batch
            total_slope += slope / batch
            slopes[q] = slope
            hh = slope * slope * row_norms[i]
        if batch > 1:
            n_touched, hh = sum_rows(data, order, step * batch, slopes, gradient, touched, mark)
        gg = hh
        if l2 > 0.0:
            square = mu * mu * numbers[XX] + 2.0 * mu * (1.0 - mu) * numbers[ZX] + (1.0 - mu) * (1.0 - mu) * numbers[ZZ]
            f += 0.5 * l2 * square
            gg = max(0.0, hh + 2.0 * l2 * (mu * hx + (1.0 - mu) * hz) + l2 * l2 * square)
        if d < x.size:
            gg += total_slope * total_slope
        f = above_bound(steps, step, f)
        eta = scheduled(steps, step)
        gamma = rule(f, gg, eta, steps.k + step, steps.parameters, steps.memory)
        if d < x.size:
            x[d] -= gamma * total_slope
            if primal.decay > 0.0:
                x[d] -= eta * primal.decay * free
            mean[d] = (1.0 - c) * mean[d] + c * float(x[d])
        pull = gamma * l2
        if primal.decay > 0.0:  # the step size may be infinite
            pull += eta * primal.decay
        first, second, stale = mix_lazily(primal, x, d, c, mu, pull, gamma, hz, hx, hh, l2 > 0.0)
        if batch == 1:
            i = order[step]
            for p in range(uint64(indptr[i]), uint64(indptr[i + 1])):
                j = uint32(indices[p])
                g = slopes[0] * float(values[p])
                x[j] += first * g
                mean[j] += second * g
        for p in range(n_touched):
            j = uint32(touched[p])
            x[j] += first * gradient[j]
            mean[j] += second * gradient[j]
            gradient[j] = 0.0
            mark[j] = 0
        if l2 > 0.0 and (stale or (steps.k + step) % REFRESH == REFRESH - 1):
            inner_products(primal, x, d)
        record(steps, step, gamma, f, gg)


LINEAR_SPARSE_PRIMAL = Compiled(linear_sparse_primal, signature_sparse, loop=True)
