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

from numba import njit, types

from optlab.compiled.functions import Compiled, borrowed, inlined
from optlab.compiled.steps import (
    AVERAGE_SCALE,
    INTERCEPT,
    SCALE,
    SQUARED_NORM,
    Steps,
    add_lazily,
    add_to_average,
    fold,
    record,
    recorded,
    scheduled,
    smallest_scale,
    steps_type,
)
from optlab.stochastic.kernels.losses import LOGISTIC, SQUARES, scalar_loss
from optlab.stochastic.kernels.oracles import linear_type
from optlab.stochastic.kernels.step_loops import dense_dot, squared_norm
from optlab.stochastic.loop.method import StochasticMethod
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


@inlined
def _loss_and_squares(code, l2, margin, inner, t, norm, square):
    """Return loss and squared gradient norm of a sample of squared length `norm`.

    `inner` is the margin less the intercept, `square` the squared norm of the weights.
    """
    f, slope = scalar_loss(code, margin, t)
    squares = slope * slope * norm + 2.0 * l2 * slope * inner + l2 * l2 * square
    return f + 0.5 * l2 * square, max(0.0, squares)


def proximal_dense(data, steps):
    """Advance the steps, one sample each, on dense data."""
    data, steps = borrowed(data), borrowed(steps)
    a, targets, row_norms, l2, code = data.dense, data.targets, data.row_norms, data.l2, data.code
    order, x = steps.order, steps.x
    d = a.shape[1]
    free = 1.0 if x.size > d else 0.0  # with an intercept
    for step in range(order.size):
        i = order[step]
        z = dense_dot(a, i, x)
        eta = scheduled(steps, step)
        add_to_average(steps, step, eta)
        h = 1.0 + eta * l2
        b = float(x[d]) if x.size > d else 0.0  # b+ = b - eta s is not divided by h
        s = proximal_slope(code, z + (h - 1.0) * b, float(targets[i]), eta, row_norms[i] + free * h, l2)
        c = eta * s
        if recorded(steps, step):
            norm, square = row_norms[i] + free, squared_norm(x, d)
            f, squares = _loss_and_squares(code, l2, z, z - b, float(targets[i]), norm, square)
            record(steps, step, eta, f, squares)
        if x.size > d:
            x[d] -= c
        if l2 > 0.0:
            for j in range(d):
                x[j] = (float(x[j]) - c * float(a[i, j])) / h
        else:
            for j in range(d):
                x[j] = float(x[j]) - c * float(a[i, j])


def proximal_sparse(data, steps):
    """Advance the steps on CSR data; the iterate is ``scalars[SCALE] * x``."""
    data, steps = borrowed(data), borrowed(steps)
    values, indices, indptr, targets, row_norms = data.values, data.indices, data.indptr, data.targets, data.row_norms
    order, x, scalars, average, l2, code = steps.order, steps.x, steps.scalars, steps.average, data.l2, data.code
    d = x.size - int(scalars[INTERCEPT])
    free = 1.0 if x.size > d else 0.0  # with an intercept
    scale = scalars[SCALE]
    square = scalars[SQUARED_NORM]
    smallest = smallest_scale(steps)
    for step in range(order.size):
        i = order[step]
        z = 0.0
        for p in range(indptr[i], indptr[i + 1]):
            z += float(values[p]) * float(x[indices[p]])
        z *= scale
        eta = scheduled(steps, step)
        add_lazily(steps, step, eta, d, scale, 0.0)
        h = 1.0 + eta * l2
        b = float(x[d]) if x.size > d else 0.0
        s = proximal_slope(code, z + h * b, float(targets[i]), eta, row_norms[i] + free * h, l2)
        c = eta * s
        if recorded(steps, step):
            f, squares = _loss_and_squares(code, l2, z + b, z, float(targets[i]), row_norms[i] + free, square)
            record(steps, step, eta, f, squares)
        if x.size > d:
            x[d] -= c
        # ||x - c a||^2 by recurrence, summed afresh where it cancels and now and then
        grown = square + c * c * row_norms[i]
        square = grown - 2.0 * c * z
        stale = square < 1e-6 * grown or (steps.k + step) % 65536 == 65535
        square = max(square, 0.0) / (h * h)
        if scale / h < smallest:  # the step divides by the scale: fold it into x before it is too small
            fold(steps, x, d, scale, 0.0)
            scale = 1.0
        t = scalars[AVERAGE_SCALE]
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            old = float(x[j])
            x[j] -= (c / scale) * float(values[p])
            if average.size > 0:
                average[j] += t * (old - float(x[j]))
        scale /= h
        if scale < smallest:
            fold(steps, x, d, scale, 0.0)
            scale = 1.0
        if stale:
            square = 0.0
            for j in range(d):
                square += float(x[j]) * float(x[j])
            square *= scale * scale
    scalars[SCALE] = scale
    scalars[SQUARED_NORM] = square


def _signature(scalar, layout):
    return types.void(linear_type(scalar, layout), steps_type(scalar))


PROXIMAL_DENSE = Compiled(proximal_dense, _signature, loop=True)
PROXIMAL_SPARSE = Compiled(proximal_sparse, _signature, loop=True)


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

    def run_block(self, problem: FiniteSum, steps: Steps) -> int:
        """Take the steps."""
        assert isinstance(problem, LinearModel)
        loop = PROXIMAL_SPARSE if problem.is_sparse else PROXIMAL_DENSE
        loop.entry(problem.dtype, problem.oracle_data.layout)(problem.linear_data, steps)
        return 0
