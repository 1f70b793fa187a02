"""The generic numerical resolvents: solve ``grad h(x) + g grad f(x) = m`` for smooth f under any kernel.

Two solvers. Where both f and h are sums over coordinates, each coordinate is a scalar equation in its mirror variable,
``y + g f'(h*'(y)) = m``, whose left side rises at least as fast as y: the value at any point gives a bracket, and all
coordinates are solved together by Newton's iteration with bisection as fallback. Otherwise a damped Newton iteration
minimises the strictly convex ``g f(x) + h(x) - <m, x>`` over mirror variables, which cannot leave the domain.

Accuracy: the separable solve ends at ``1e-13`` relative to the largest term of the equation, or at neighbouring floats
where rounding of x makes that unreachable; the dense one at `NEWTON_TOLERANCE`. Else they raise `ResolventError`.
The dense one costs one factorisation of an (n, n) matrix per iteration; neither uses any structure of f.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import linalg

from optlab.bregman.euclidean import Mahalanobis
from optlab.bregman.functions.base import Array, Function
from optlab.bregman.functions.sums import Sum
from optlab.bregman.legendre import Legendre
from optlab.bregman.resolvents.bounds import domain_bounds, dual_bounds
from optlab.bregman.resolvents.registry import (
    Prepared,
    ResolventError,
    has_resolvent,
    not_array_expression,
    per_step_size,
    prepared_resolvent,
    prepares,
    register_resolvent,
    resolvent,
    unavailable,
)
from optlab.core.backend import is_foreign
from optlab.core.errors import DomainError

#: Residual at which the dense Newton iteration must end, relative to the largest of ``y``, ``m``, ``g grad f`` and the
#: summands of ``g (Hessian of f) x``, below which rounding of x itself stands in the way.
NEWTON_TOLERANCE = 1e-12
_SCALAR_TOLERANCE = 1e-13
_EPS = float(np.finfo(float).eps)
_TINY = 1e-300


def newton_applies(function: Any, kernel: Any) -> bool:
    """Return whether one of the two solvers of this file serves this term and this kernel."""
    return bool(function.smooth and not function.matrix_free and (kernel.separable or isinstance(kernel, Mahalanobis)))


@register_resolvent(Function, Legendre, available=newton_applies)
def smooth_resolvent(function: Function, kernel: Any, mirror: Array, step_size: float) -> Array:
    """Return the resolvent of a smooth term by a safeguarded Newton iteration (see the top of this file)."""
    if is_foreign(mirror):
        raise not_array_expression(function, kernel, mirror)
    if not function.smooth:
        raise unavailable(function, kernel, "the term is not smooth, so the generic Newton solve does not apply")
    if function.matrix_free:
        raise unavailable(function, kernel, "its map has no dense matrix; use its gradient, or f and the map apart")
    if function.separable and kernel.separable:
        return _separable(function, kernel, mirror, step_size)
    if kernel.separable or isinstance(kernel, Mahalanobis):
        return _dense(function, kernel, mirror, step_size)
    raise unavailable(function, kernel, "the generic Newton solve needs a separable kernel")


def sum_available(function: Any, kernel: Any) -> bool:
    """Return whether `sum_resolvent` serves a sum."""
    _, others = function.split_linear()
    return not others or (len(others) == 1 and has_resolvent(others[0], kernel)) or newton_applies(function, kernel)


@register_resolvent(Sum, Legendre, available=sum_available, namespaces=True)
def sum_resolvent(function: Sum, kernel: Any, mirror: Array, step_size: float) -> Array:
    """Move the linear terms into the mirror variable; what is left has a resolvent of its own or must be smooth."""
    cost, others = function.split_linear()
    shifted = mirror - step_size * cost
    if not kernel.full_dual and not kernel.in_dual_domain(shifted):
        if function.smooth:  # the sum's resolvent may exist although the shifted point does not
            return smooth_resolvent(function, kernel, mirror, step_size)
        kernel.check_dual_domain(shifted, "mirror - step_size * cost")
    if not others:
        return shifted
    if len(others) == 1:
        return resolvent(others[0], kernel, shifted, step_size)
    return smooth_resolvent(Sum(others), kernel, shifted, step_size)


@prepares(sum_resolvent)
def prepared_sum(function: Sum, kernel: Any, shape: tuple[int, ...]) -> Prepared | None:
    """The same for one term that can be prepared and linear ones."""
    cost, others = function.split_linear()
    inner = prepared_resolvent(others[0], kernel, shape) if len(others) == 1 else None
    if inner is None:
        return None
    scaled = per_step_size(lambda step_size: step_size * cost)
    return lambda mirror, step_size: inner(mirror - scaled(step_size), step_size)


def _midpoint(lower: Array, upper: Array) -> Array:
    # halves the exponent rather than the number while the bracket spans magnitudes
    wide = (np.abs(upper - lower) > 4.0) | (np.minimum(np.abs(lower), np.abs(upper)) * 4.0 < np.abs(upper - lower))
    same = (lower < 0) == (upper < 0)
    signed = np.where(upper > 0, 1.0, -1.0) * np.sqrt(np.abs(lower)) * np.sqrt(np.abs(upper))
    across = np.sinh(0.5 * (np.arcsinh(lower) + np.arcsinh(upper)))
    middle = np.where(wide, np.where(same, signed, across), 0.5 * (lower + upper))
    # zero ends and rounding: fall back to the plain middle
    return np.where((middle > lower) & (middle < upper), middle, lower + 0.5 * (upper - lower))


def _separable(function: Function, kernel: Any, mirror: Array, step_size: float, max_iter: int = 400) -> Array:
    """Solve ``y + g f'(h*'(y)) = m`` in all coordinates at once."""

    low, high = domain_bounds(kernel)
    innermost = np.nextafter(low, np.inf), np.nextafter(high, -np.inf)

    def evaluate(y: Array) -> tuple[Array, Array, Array]:
        # where x saturates, the neighbouring float inside: many gradients are not defined on the boundary
        x = np.clip(kernel.conjugate_gradient(y), *innermost)
        slope = step_size * function.gradient(x)
        curvature = function.second_derivative(x)
        derivative = (
            np.full_like(y, np.nan)
            if curvature is None
            else 1.0 + step_size * curvature * kernel.conjugate_hessian_diagonal(y)
        )
        value = y + slope - mirror
        scale = np.abs(y) + np.abs(mirror) + np.abs(slope)
        if curvature is not None:  # one rounding of x moves the gradient by this much
            scale = scale + np.nan_to_num(step_size * curvature * np.abs(x), nan=0.0, posinf=0.0)
        return value, np.broadcast_to(derivative, y.shape), scale

    floor, ceiling = dual_bounds(kernel)
    with np.errstate(all="ignore"):
        lower, upper = _bracket(evaluate, mirror.astype(float), floor, ceiling)
        y = np.clip(mirror, lower, upper).astype(float)
        done = np.zeros(y.shape, dtype=bool)
        last_step = np.full(y.shape, np.inf)
        previous_value = np.full(y.shape, np.nan)
        previous_y = y.copy()
        for _ in range(max_iter):
            value, derivative, scale = evaluate(y)
            if np.any(np.isnan(value)):
                bad = [int(i) for i in np.argwhere(np.isnan(value))[0]]
                raise ResolventError(f"the gradient of {type(function).__name__} is NaN at coordinate {bad}")
            lower = np.where(value <= 0, y, lower)
            upper = np.where(value >= 0, y, upper)
            # without a second derivative: the secant through the last two points
            secant = (value - previous_value) / (y - previous_y)
            derivative = np.where(np.isfinite(derivative), derivative, np.maximum(secant, 1.0))
            newton = y - value / derivative
            width = upper - lower
            # neighbouring floats, or rounding alone: nothing more to gain
            done |= (
                (np.isfinite(value) & (np.abs(value) <= 2.0 * _EPS * scale))
                | (width <= 2.0 * _EPS * np.abs(y))
                | (width <= _TINY)
            )
            if done.all():
                return y
            # a Newton step must stay inside and be at most half the step before it, or the bracket is bisected
            usable = (newton >= lower) & (newton <= upper) & (np.abs(newton - y) <= 0.5 * last_step)
            previous_y, previous_value = y, value
            y = np.where(done, y, np.where(usable, newton, _midpoint(lower, upper)))
            last_step = np.abs(y - previous_y)
        value, _, scale = evaluate(y)
        error = np.where(done, 0.0, np.nan_to_num(np.abs(value) / scale, nan=np.inf))
    if np.max(error) <= _SCALAR_TOLERANCE:
        return y
    worst = [int(i) for i in np.unravel_index(int(np.argmax(error)), error.shape)]
    raise ResolventError(
        f"the resolvent of {type(function).__name__} under {type(kernel).__name__} stopped at a relative residual of "
        f"{np.max(error):.1e} at coordinate {worst} (wanted {_SCALAR_TOLERANCE:.0e}); is the term convex?"
    )


def _bracket(evaluate: Any, y: Array, floor: float, ceiling: float) -> tuple[Array, Array]:
    """Return bounds of the root: it lies between y and y - value, as the equation rises at least as fast as y."""
    value, _, _ = evaluate(y)
    lower = np.where(value > 0, y - value, y)
    upper = np.where(value < 0, y - value, y)
    if np.isfinite(ceiling):
        upper = np.minimum(upper, ceiling - _TINY)
    if np.isfinite(floor):
        lower = np.maximum(lower, floor + _TINY)
    # one unit of rounding outwards, since `value` carries its own error
    lower = lower - 4 * _EPS * np.abs(lower) * np.isfinite(lower)
    upper = np.where(upper < ceiling, upper, ceiling - _TINY)
    for side, sign in ((lower, -1.0), (upper, 1.0)):
        step = 1.0 + np.abs(y)
        for _ in range(200):  # only where the gradient itself overflowed at y
            free = ~np.isfinite(side)
            if not free.any():
                break
            trial = np.where(free, y + sign * step, y)
            value, _, _ = evaluate(trial)
            side[...] = np.where(free & np.isfinite(value) & (sign * value >= 0), trial, side)
            step = 2.0 * step
    top, _, _ = evaluate(np.where(np.isfinite(upper), upper, y))
    if np.isfinite(ceiling) and np.any(top < 0):
        where = [int(i) for i in np.argwhere(top < 0)[0]]
        raise DomainError(
            f"the resolvent does not exist at coordinate {where}: its mirror variable would leave the domain of the "
            "conjugate. Try a smaller step_size"
        )
    if not (np.isfinite(lower).all() and np.isfinite(upper).all()):
        raise ResolventError("no bracket was found: the term's gradient is not finite anywhere near the point")
    return lower, upper


def _hessian(function: Function, kernel: Any, x: Array) -> Array:
    hessian = function.hessian(x)
    return difference_hessian(function, x, kernel.in_domain) if hessian is None else np.asarray(hessian)


# offsets and weights of second-order differences: central, forward, backward; the weight of the point itself follows
_STENCILS = (((1.0, 0.5), (-1.0, -0.5)), ((1.0, 2.0), (2.0, -0.5)), ((-1.0, -2.0), (-2.0, 0.5)))


def difference_hessian(function: Any, x: Array, inside: Any = None) -> Array:
    """Approximate the Hessian of a convex function by differences of its gradient, accurate to about 1e-10 of it.

    Central differences; where one side leaves the domain (`inside` says so), one-sided ones, also of second order.
    Symmetric, and positive semidefinite as the Hessian is: curvature below zero is the differences' error, and a Newton
    step that believed it would climb.

    Examples
    --------
    >>> from optlab.bregman.functions import SmoothFunction
    >>> cubic = SmoothFunction(lambda x: float(np.sum(np.abs(x) ** 3)), lambda x: 3 * x * np.abs(x))
    >>> difference_hessian(cubic, np.array([1.0, 2.0])).round(6) + 0.0
    array([[ 6.,  0.],
           [ 0., 12.]])
    """
    base = function.gradient(x)
    columns = []
    largest = float(np.max(np.abs(x), initial=0.0))
    for i in range(x.size):
        # of the size of the point, not of the coordinate: at 0 the gradient's rounding would be all there is
        h = float(np.cbrt(_EPS)) * max(abs(float(x[i])), min(1.0, largest) if largest > 0 else 1.0)
        for stencil in _STENCILS:
            moved = [x + offset * h * (np.arange(x.size) == i) for offset, _ in stencil]
            if inside is None or all(inside(point) for point in moved):
                known = -sum(weight for _, weight in stencil) * base  # the weights of a difference sum to zero
                parts = [weight * function.gradient(point) for point, (_, weight) in zip(moved, stencil)]
                columns.append((sum(parts) + known) / h)
                break
        else:
            columns.append(np.zeros_like(x))
    matrix = np.array(columns)
    matrix = 0.5 * (matrix + matrix.T)
    if not np.isfinite(matrix).all():
        return np.nan_to_num(matrix, nan=0.0, posinf=0.0, neginf=0.0)
    values, vectors = np.linalg.eigh(matrix)
    return matrix if values[0] >= 0 else np.asarray((vectors * np.maximum(values, 0.0)) @ vectors.T)


def _dense(function: Function, kernel: Any, mirror: Array, step_size: float, max_iter: int = 500) -> Array:
    """Minimise ``g f(x) + h(x) - <m, x>`` by damped Newton steps in the mirror variable of x."""
    if mirror.ndim != 1:
        raise unavailable(function, kernel, "the dense Newton solve needs vectors")

    def measure(y: Array) -> tuple[float, Array, Array, float, float, float]:
        x = np.asarray(kernel.conjugate_gradient(y))
        if not np.isfinite(x).all():
            return np.inf, np.full_like(y, np.inf), x, np.inf, np.inf, np.inf
        slope = step_size * function.gradient(x)
        residual = y + slope - mirror
        summands = (step_size * function.value(x), float(kernel.value(x)), -float(mirror @ x))
        scale = float(np.max(np.maximum(np.maximum(np.abs(y), np.abs(slope)), np.abs(mirror)))) + _TINY
        size = float(np.max(np.abs(residual)))
        return sum(summands), residual, x, size / scale, size, sum(map(abs, summands))

    def best_trial(
        y: Array,
        dx: Array,
        dy: Array,
        x: Array,
        length: float,
        slope: float,
        before: tuple[float, float],
        by_residual: bool,
    ) -> Any:
        """Return the better of the steps in x and in the mirror variable with its measures; None if neither will do."""
        trials = [y + length * dy]
        inner = x + length * dx
        if kernel.in_domain(inner):
            trials.append(np.asarray(kernel.gradient(inner)))
        good = []
        for trial in filter(acceptable, trials):
            result = measure(trial)
            fell = (
                result[4] <= (1.0 - 0.1 * length) * before[1]
                if by_residual
                else (result[0] <= before[0] + 1e-4 * length * slope)
            )
            if np.isfinite(result[3]) and fell:
                good.append((trial, result))
        if not good:
            return None
        lowest = min(result[0] for _, result in good)
        level = lowest + 1e-12 * abs(lowest)  # among equals to rounding, the smaller residual
        return min((pair for pair in good if pair[1][0] <= level), key=lambda pair: pair[1][4])

    def acceptable(y: Array) -> bool:
        return bool(np.isfinite(y).all()) and (kernel.full_dual or bool(kernel.in_dual_domain(y)))

    with np.errstate(all="ignore"):
        y = _dense_start(kernel, mirror)
        objective, residual, x, error, size, parts = measure(y)
        best_y, best_error, stalled = y, error, 0
        for _ in range(max_iter):
            if error <= 4.0 * _EPS or stalled >= (
                3
                if best_error <= NEWTON_TOLERANCE
                else 10
                if best_error <= 1e-8
                else 30
                if best_error <= 1e-6
                else max_iter
            ):
                break
            hessian = _hessian(function, kernel, x)
            dx, dy = _newton_step(hessian, kernel, y, residual, step_size)
            slope = float(residual @ dx)  # derivative of the objective along either path; negative
            # the objective decides; the residual only where rounding hides the objective's change, or nothing lowers it
            hidden = -slope <= 1e-14 * parts
            taken = None
            for by_residual in (True,) if hidden else (False, True):
                length = 1.0
                while taken is None and length > 1e-14:
                    taken = best_trial(y, dx, dy, x, length, slope, (objective, size), by_residual)
                    length *= 0.5
            if taken is None:
                break
            y, (objective, residual, x, error, size, parts) = taken
            stalled = stalled + 1 if error > 0.9 * best_error else 0
            if error < best_error:
                best_y, best_error = y, error
        if best_error > NEWTON_TOLERANCE:  # is it rounding of x that stands in the way?
            _, residual, x, error, size, _ = measure(best_y)
            rounding = step_size * float(np.max(np.abs(_hessian(function, kernel, x)) @ np.abs(x)))
            best_error = min(error, size / (rounding + _TINY))
    wanted = max(NEWTON_TOLERANCE, float(getattr(function, "tolerance", 0.0)))
    if best_error <= wanted:
        return best_y
    known = function.hessian(x) is not None
    remedy = (
        "the line search found no lower point: gradient and Hessian may not be those of the value"
        if known
        else "its Hessian is approximated by differences of the gradient: pass hessian= for the full accuracy, or a "
        "larger tol"
    )
    raise ResolventError(
        f"the resolvent of {type(function).__name__} under {type(kernel).__name__} stopped at a relative residual of "
        f"{best_error:.1e} (wanted {wanted:.0e}) at step_size {step_size:g}; {remedy}. A term that is "
        "not convex may have none"
    )


def _dense_start(kernel: Any, mirror: Array) -> Array:
    """Return the point itself, brought to where neither the primal point nor the curvature over- or underflows."""
    if not kernel.separable:
        return mirror.astype(float)
    x = np.asarray(kernel.conjugate_gradient(mirror))
    curvature = np.asarray(kernel.conjugate_hessian_diagonal(mirror))
    if np.isfinite(x).all() and np.all(curvature > 1e-12) and np.all(np.abs(x) < 1e12):
        return mirror.astype(float)
    if kernel.full_dual:
        return np.clip(mirror, -25.0, 25.0)
    return mirror.astype(float)


def _newton_step(hessian: Array, kernel: Any, y: Array, residual: Array, step_size: float) -> tuple[Array, Array]:
    """Return the Newton step in x and its image in the mirror variable."""
    if not kernel.separable:
        dx = -linalg.cho_solve(linalg.cho_factor(kernel.Q + step_size * hessian), residual)
        return dx, kernel.Q @ dx
    # (1/c + g H) dx = -r with c the conjugate's curvature, scaled by sqrt(c): no division where c underflows
    root = np.sqrt(np.asarray(kernel.conjugate_hessian_diagonal(y)))
    scaled = step_size * root[:, None] * hessian * root
    scaled[np.diag_indices_from(scaled)] += 1.0
    try:
        solution = linalg.cho_solve(linalg.cho_factor(scaled), root * residual)
    except (linalg.LinAlgError, ValueError):
        solution = np.linalg.lstsq(scaled, root * residual, rcond=None)[0]
    dx = -root * solution
    dy = -residual - step_size * (hessian @ dx)
    return dx, dy
