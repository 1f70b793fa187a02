"""The stochastic proximal point method: ``x+ = argmin_u f_i(u) + ||u - x||^2 / (2 step_size)``, one sample a step.

For a linear model ``f_i(u) = l(a^T u) + (l2/2)||u||^2`` the minimiser is ``(x - step_size s a) / (1 + step_size l2)``
where the number ``s = l'(a^T x+)`` solves a scalar equation: in closed form for least squares, by safeguarded Newton to
rounding for the logistic loss. O(non-zeros of the row) a step on sparse data, without l2; with it too, since x is
kept as ``scale * x``. For least squares without ridge this is NGN. Asi and Duchi (SIAM J. Optim. 2019); Ryu and Boyd.

Not here: mini-batches and losses that are not convex in the margin, whose minimiser has no such form.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numba import njit, types

from optlab.stochastic.kernels.compilation import F8, I4, I8, Compiled, matrix, vector
from optlab.stochastic.kernels.losses import LOGISTIC, SQUARES, scalar_loss
from optlab.stochastic.kernels.step_loops import (
    AVERAGE_WEIGHT,
    GRADIENT_NORM,
    INTERCEPT,
    LOSS,
    SCALE,
    SQUARED_NORM,
    STEP_SIZE,
    _dot,
    _squared_norm,
    iterate_weight,
)
from optlab.stochastic.loop.method import StochasticMethod, StochasticState
from optlab.stochastic.loop.schedules import Schedule
from optlab.stochastic.problems.finite_sum import FiniteSum
from optlab.stochastic.problems.linear import LinearModel


@njit(cache=True, error_model="numpy")
def proximal_slope(code, z, t, step_size, norm, l2):
    """Return ``s = l'(w)`` at the root w of ``(1 + step_size l2) w = z - step_size norm l'(w)``.

    `norm` is ``||a||^2``. For the logistic loss the unknown is s itself, which stays relatively exact where the loss is
    tiny.
    """
    h = 1.0 + step_size * l2
    c = step_size * norm
    if code == 0:
        return (z - h * t) / (h + c)
    # logistic, m = t w: h m = m0 + c p with p = 1/(1 + e^m) in (0, 1): increasing minus decreasing, one root m in
    # [m0, m0 + c] / h. Newton on the convex-concave difference, bisection where it leaves the bracket
    m0 = t * z
    low, high = m0 / h, (m0 + c) / h
    m = low
    if low < 0.0 < high:
        m = 0.0
    for _ in range(200):
        e = math.exp(-abs(m))
        p = e / (1.0 + e) if m > 0.0 else 1.0 / (1.0 + e)
        residual = h * m - m0 - c * p
        if residual > 0.0:
            high = m
        else:
            low = m
        new = m - residual / (h + c * (e / ((1.0 + e) * (1.0 + e))))
        if not (low < new < high):
            new = 0.5 * (low + high)
        if abs(new - m) <= 1e-15 * max(1.0, abs(m)) or new in (low, high):
            m = new
            break
        m = new
    e = math.exp(-abs(m))
    return -t * (e / (1.0 + e) if m > 0.0 else 1.0 / (1.0 + e))


def proximal_dense(
    a, targets, row_norms, l2, code, order, k, schedule, x, scalars, average, average_rule, trace
):  # fmt: skip
    """Advance ``order.size`` steps on dense data."""
    d = a.shape[1]
    intercept = x.size > d
    for step in range(order.size):
        i = order[step]
        z = _dot(a, i, x)
        eta = schedule[step if schedule.size > 1 else 0]
        if average.size > 0 and k + step >= average_rule[0]:
            w = iterate_weight(average_rule, k + step, eta)
            scalars[AVERAGE_WEIGHT] += w
            for j in range(x.size):
                average[j] += w * float(x[j])
        h = 1.0 + eta * l2
        free = 1.0 if intercept else 0.0
        b = float(x[d]) if intercept else 0.0  # b+ = b - eta s is not divided by h
        s = proximal_slope(code, z + (h - 1.0) * b, float(targets[i]), eta, row_norms[i] + free * h, l2)
        c = eta * s
        if step == order.size - 1 or trace.shape[1] > 0:
            f, slope = scalar_loss(code, z, float(targets[i]))
            square = _squared_norm(x, d)
            squares = slope * slope * (row_norms[i] + free) + 2.0 * l2 * slope * (z - b) + l2 * l2 * square
            norm = math.sqrt(max(0.0, squares))
            f += 0.5 * l2 * square
            scalars[STEP_SIZE], scalars[LOSS], scalars[GRADIENT_NORM] = eta, f, norm
            if trace.shape[1] > 0:
                trace[0, step], trace[1, step], trace[2, step] = eta, f, norm
        if intercept:
            x[d] -= c
        if l2 > 0.0:
            for j in range(d):
                x[j] = (float(x[j]) - c * float(a[i, j])) / h
        else:
            for j in range(d):
                x[j] = float(x[j]) - c * float(a[i, j])


def proximal_sparse(
    values, indices, indptr, targets, row_norms, l2, code, order, k, schedule, x, scalars, average, average_rule, trace
):  # fmt: skip
    """Advance ``order.size`` steps on CSR data; the iterate is ``scalars[SCALE] * x``."""
    d = x.size - int(scalars[INTERCEPT])
    intercept = d < x.size
    scale = scalars[SCALE]
    square = scalars[SQUARED_NORM]
    for step in range(order.size):
        i = order[step]
        z = 0.0
        for p in range(indptr[i], indptr[i + 1]):
            z += float(values[p]) * float(x[indices[p]])
        z *= scale
        eta = schedule[step if schedule.size > 1 else 0]
        if average.size > 0 and k + step >= average_rule[0]:
            w = iterate_weight(average_rule, k + step, eta)
            scalars[AVERAGE_WEIGHT] += w
            for j in range(d):
                average[j] += w * scale * float(x[j])
            if intercept:
                average[d] += w * float(x[d])
        h = 1.0 + eta * l2
        free = 1.0 if intercept else 0.0
        b = float(x[d]) if intercept else 0.0
        s = proximal_slope(code, z + h * b, float(targets[i]), eta, row_norms[i] + free * h, l2)
        c = eta * s
        if step == order.size - 1 or trace.shape[1] > 0:
            f, slope = scalar_loss(code, z + b, float(targets[i]))
            squares = slope * slope * (row_norms[i] + free) + 2.0 * l2 * slope * z + l2 * l2 * square
            norm = math.sqrt(max(0.0, squares))
            f += 0.5 * l2 * square
            scalars[STEP_SIZE], scalars[LOSS], scalars[GRADIENT_NORM] = eta, f, norm
            if trace.shape[1] > 0:
                trace[0, step], trace[1, step], trace[2, step] = eta, f, norm
        if intercept:
            x[d] -= c
        # ||x - c a||^2 by recurrence, summed afresh where it cancels and now and then
        grown = square + c * c * row_norms[i]
        square = grown - 2.0 * c * z
        stale = square < 1e-6 * grown or (k + step) % 65536 == 65535
        square = max(square, 0.0) / (h * h)
        if scale / h < 1e-6:  # the step divides by the scale: fold it into x before it is too small
            for j in range(d):
                x[j] = scale * float(x[j])
            scale = 1.0
        for p in range(indptr[i], indptr[i + 1]):
            x[indices[p]] -= (c / scale) * float(values[p])
        scale /= h
        if scale < 1e-6:
            for j in range(d):
                x[j] = scale * float(x[j])
            scale = 1.0
        if stale:
            square = 0.0
            for j in range(d):
                square += float(x[j]) * float(x[j])
            square *= scale * scale
    scalars[SCALE] = scale
    scalars[SQUARED_NORM] = square


def _tail(scalar):
    return (
        vector(scalar, True), vector(F8, True), F8, I8, vector(I8, True), I8, vector(F8, True),
        vector(scalar), vector(F8), vector(F8), vector(I8, True), matrix(F8),
    )  # fmt: skip


def _signature_dense(scalar, layout):
    return types.void(matrix(scalar, layout, True), *_tail(scalar))


def _signature_sparse(scalar, layout):
    return types.void(vector(scalar, True), vector(I4, True), vector(I8, True), *_tail(scalar))


PROXIMAL_DENSE = Compiled(proximal_dense, _signature_dense)
PROXIMAL_SPARSE = Compiled(proximal_sparse, _signature_sparse)


@dataclass(frozen=True)
class StochasticProximalPoint(StochasticMethod):
    """Stochastic proximal point (implicit gradient) method for least squares and logistic regression.

    Parameters
    ----------
    step_size : float or callable, default 1.0
        Stable at every value; a constant one converges to a neighbourhood unless all losses are minimal at the
        solution, ``Decaying(step_size)`` converges.
    batch_size : int, default 1
        Only 1.
    sampling : {"replacement", "shuffle", "sequential"}, default "replacement"
    trace : bool, default False

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import LeastSquares, StochasticProximalPoint
    >>> problem = LeastSquares([[3.0], [1.0]], [6.0, 2.0])
    >>> optlab.solve(problem, StochasticProximalPoint(1e6), max_iter=20, seed=0).solution.round(6)
    array([2.])
    """

    step_size: Schedule = 1.0

    reference: ClassVar[str] = "asi2019stochastic"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size != 1:
            raise ValueError(
                f"batch_size must be 1, got {self.batch_size}: the proximal step has a closed form for one sample only"
            )

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against losses whose proximal step has no closed form."""
        if isinstance(problem, LinearModel) and problem.code in (SQUARES, LOGISTIC):
            return None
        return f"needs a LeastSquares or LogisticRegression problem, got {type(problem).__name__}"

    def run_block(
        self,
        problem: FiniteSum,
        state: StochasticState,
        order: np.ndarray,
        step_sizes: np.ndarray,
        average_rule: np.ndarray,
        trace: np.ndarray,
    ) -> None:
        """Run the steps on the samples `order`, changing the arrays of `state`."""
        assert isinstance(problem, LinearModel)
        data = problem.oracle_data
        tail = (
            data.targets, problem.row_norms, problem.l2, problem.code, order, state.k, step_sizes,
            state.x, state.scalars, state.average, average_rule, trace,
        )  # fmt: skip
        if problem.is_sparse:
            PROXIMAL_SPARSE.get(problem.dtype)(data.values, data.indices, data.indptr, *tail)
        else:
            PROXIMAL_DENSE.get(problem.dtype, data.layout)(data.dense, *tail)
