"""Resolvents that hold in many geometries: linear terms, distances of the geometry itself, boxes, the 1-norm, one
linear constraint under any separable kernel, blocks, and equations ``A x = b``.

Each is the optimality condition ``grad h(x) + g T(x) = m`` solved in mirror space; for kernels whose formulas can be
made more accurate, `shannon`, `fermi_dirac`, `burg` and `euclidean` override the constraint solvers given here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import linalg

from optlab.bregman.functions import (
    AffineSet,
    BlockSum,
    Box,
    BregmanDistance,
    CappedSimplex,
    ColumnMarginal,
    Hyperplane,
    L1Norm,
    Linear,
    RowMarginal,
    Simplex,
    Zero,
)
from optlab.bregman.functions.base import Array, check_broadcast, check_shape
from optlab.bregman.legendre import Legendre
from optlab.bregman.resolvents.bounds import dual_bounds, mirror_box, mirror_of_bound
from optlab.bregman.resolvents.newton import NEWTON_TOLERANCE, newton_applies, smooth_resolvent
from optlab.bregman.resolvents.registry import (
    Prepared,
    ResolventError,
    has_resolvent,
    per_step_size,
    prepares,
    register_prepared,
    register_resolvent,
    resolvent,
    unavailable,
)
from optlab.bregman.resolvents.roots import decreasing_root, expand_bracket
from optlab.core.backend import is_foreign, like, namespace
from optlab.core.errors import DomainError

Shape = tuple[int, ...]


@register_prepared(Zero, Legendre)
def zero(function: Zero, kernel: Any, shape: Shape) -> Prepared:
    """Identity."""
    return lambda mirror, step_size: mirror.copy()


@register_prepared(Linear, Legendre)
def linear(function: Linear, kernel: Any, shape: Shape) -> Prepared:
    """``m - g c`` in every geometry; where the mirror space is not all of R^n, `resolvent` checks the answer."""
    check_shape(function.cost, "cost", shape)
    scaled = per_step_size(lambda step_size: step_size * function.cost)
    return lambda mirror, step_size: mirror - scaled(step_size)


def _own_distance(function: Any, kernel: Any) -> bool:
    return bool(function.kernel == kernel or newton_applies(function, kernel))


@register_resolvent(BregmanDistance, Legendre, available=_own_distance, namespaces=True)
def bregman_distance(function: BregmanDistance, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``(m + g t grad h(q)) / (1 + g t)`` if the distance is that of the kernel; numerically otherwise."""
    if function.kernel != kernel:
        return smooth_resolvent(function, kernel, mirror, step_size)
    check_broadcast(function.q, "q", mirror)
    return weighted_mean(mirror, kernel.gradient(function.q), step_size * function.weight)


@prepares(bregman_distance)
def prepared_bregman_distance(function: BregmanDistance, kernel: Any, shape: Shape) -> Prepared | None:
    """The closed form."""
    check_shape(function.q, "q", shape)
    return prepared_mean(kernel.gradient(function.q), function.weight) if function.kernel == kernel else None


def weighted_mean(mirror: Array, reference: Any, strength: Any) -> Array:
    """Return ``(m + s r) / (1 + s)``: the resolvent of the geometry's own distance, as a convex combination."""
    share = strength / (1.0 + strength)
    return mirror / (1.0 + strength) + share * reference


def prepared_mean(reference: Any, weight: Any) -> Prepared:
    """Return `weighted_mean` for a distance to the mirror point `reference` of weight t: ``s = g t``, prepared."""

    def of(step_size: float) -> tuple[Any, Any]:
        strength = step_size * weight
        return 1.0 + strength, strength / (1.0 + strength) * reference

    constants = per_step_size(of)

    def mean(mirror: Array, step_size: float) -> Array:
        whole, pull = constants(step_size)
        return mirror / whole + pull

    return mean


def _separable_kernel(function: Any, kernel: Any) -> bool:
    return bool(kernel.separable)


def _full_separable_kernel(function: Any, kernel: Any) -> bool:
    return bool(kernel.separable and kernel.full_dual)


@register_prepared(Box, Legendre, available=_separable_kernel)
def box(function: Box, kernel: Any, shape: Shape) -> Prepared:
    """Clip in mirror space: the separable kernels' derivatives are increasing."""
    if not kernel.separable:
        raise unavailable(function, kernel, "a box needs a separable kernel")
    check_shape(np.broadcast_arrays(function.lower, function.upper)[0], "the bounds", shape)
    lower, upper = mirror_box(kernel, function.lower, function.upper, shape)
    return lambda mirror, step_size: np.minimum(np.maximum(mirror, lower), upper)


@register_prepared(L1Norm, Legendre, available=_separable_kernel)
def l1_norm(function: L1Norm, kernel: Any, shape: Shape) -> Prepared:
    """Soft-threshold around the mirror variable of 0, which is infinite (no kink) if 0 is not inside the domain."""
    if not kernel.separable:
        raise unavailable(function, kernel, "the 1-norm needs a separable kernel")
    check_shape(function.weight, "weight", shape)
    origin = mirror_of_bound(kernel, 0.0, shape)
    low, high = dual_bounds(kernel)
    kink, positive = (origin > low) & (origin < high), origin <= low
    middle = np.where(kink, origin, 0.0)
    thresholds = per_step_size(lambda step_size: (step_size * function.weight, -step_size * function.weight))

    def soft_threshold(moved: Array, step_size: float) -> Array:
        upper, lower = thresholds(step_size)
        return moved - np.minimum(np.maximum(moved, lower), upper)

    def everywhere(mirror: Array, step_size: float) -> Array:
        soft = middle + soft_threshold(mirror - middle, step_size)
        shift, _ = thresholds(step_size)
        return np.where(kink, soft, np.where(positive, mirror - shift, mirror + shift))

    if kink.all() and not middle.any():
        return soft_threshold
    if positive.all():
        return lambda mirror, step_size: mirror - thresholds(step_size)[0]
    return everywhere


def _block_by_block(function: Any, kernel: Any) -> bool:
    same = not any(np.ndim(value) for value in vars(kernel).values())
    return kernel.separable and same and all(has_resolvent(term, kernel) for term in function.terms)


@register_resolvent(BlockSum, Legendre, available=_block_by_block)
def block_sum(function: BlockSum, kernel: Any, mirror: Array, step_size: float) -> Array:
    """Block by block; the kernel has to be separable, and the same formula on every block."""
    if not kernel.separable:
        raise unavailable(function, kernel, "blocks need a separable kernel")
    if any(np.ndim(value) for value in vars(kernel).values()):
        raise unavailable(function, kernel, "blocks need a kernel that is the same for all coordinates")
    blocks = function.blocks(mirror)
    return np.concatenate([resolvent(f, kernel, block, step_size) for f, block in zip(function.terms, blocks)])


# --- one linear constraint under any separable kernel ---------------------------------------------------------------


def constrained(kernel: Any, mirror: Array, normal: Any, offset: float, lower: Any, upper: Any, what: str) -> Array:
    """Return ``clip(m - mu a, lower, upper)`` with ``<a, x> = offset``; bounds are mirror variables.

    The constraint is a decreasing function of mu. Its root is found to rounding of the sum; where rounding leaves an
    interval of roots (all coordinates saturated) the end nearest to 0 is taken, the one that moves the point least.
    """
    xp = namespace(mirror)
    if xp is np:
        normal = np.broadcast_to(normal, mirror.shape)
    else:
        normal = normal if is_foreign(normal) else xp.full_like(mirror, normal)
        lower, upper = (like(mirror, end) if isinstance(end, np.ndarray) else end for end in (lower, upper))

    def excess(mu: float) -> tuple[float, float]:
        free = mirror - mu * normal
        y = xp.clip(free, lower, upper)
        products = normal * kernel.conjugate_gradient(y)
        curvature = kernel.conjugate_hessian_diagonal(y)
        derivative = -float(xp.sum(xp.where(y == free, normal**2 * curvature, xp.zeros_like(y))))
        value = float(xp.sum(products)) - offset
        noise = 2.0 * float(np.finfo(float).eps) * (float(xp.sum(xp.abs(products))) + abs(offset))
        return (0.0 if abs(value) <= noise else value), derivative

    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        scale = max(1.0, float(xp.max(xp.abs(mirror))) * 1e-3) / float(xp.max(xp.abs(normal)))
        bracket = expand_bracket(excess, scale)
        if bracket is None:
            raise DomainError(f"{what} does not meet the interior of the domain ({kernel.domain})")
        mu = decreasing_root(excess, bracket[0], bracket[1], start=bracket[2])
    return xp.clip(mirror - mu * normal, lower, upper)


def _require_separable(function: Any, kernel: Any) -> None:
    if not (kernel.separable and kernel.full_dual):
        raise unavailable(function, kernel, "the scalar root find needs a separable kernel with a full mirror space")


@register_resolvent(Hyperplane, Legendre, available=_full_separable_kernel, namespaces=True)
def hyperplane(function: Hyperplane, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``m - mu a``, one multiplier."""
    _require_separable(function, kernel)
    check_broadcast(function.normal, "normal", mirror)
    return constrained(kernel, mirror, function.normal, function.offset, -np.inf, np.inf, "the hyperplane")


@register_resolvent(Simplex, Legendre, available=_full_separable_kernel, namespaces=True)
def simplex(function: Simplex, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``max(m - mu, grad h(0))``."""
    _require_separable(function, kernel)
    lower, _ = mirror_box(kernel, 0.0, np.inf, mirror.shape, "the simplex")
    return constrained(kernel, mirror, 1.0, function.total, lower, np.inf, "the simplex")


@register_resolvent(CappedSimplex, Legendre, available=_full_separable_kernel)
def capped_simplex(function: CappedSimplex, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``clip(m - mu, grad h(0), grad h(upper))``."""
    _require_separable(function, kernel)
    check_broadcast(function.upper, "upper", mirror)
    caps = function.caps(mirror.shape)
    lower, upper = mirror_box(kernel, 0.0, caps, mirror.shape, "the capped simplex")
    return constrained(kernel, mirror, 1.0, function.total, lower, upper, "the capped simplex")


def _marginal_is_constraint(function: Any, kernel: Any) -> bool:
    return _full_separable_kernel(function, kernel) and function.kind in ("equal", "at_most")


@register_resolvent(RowMarginal, Legendre, available=_marginal_is_constraint)
@register_resolvent(ColumnMarginal, Legendre, available=_marginal_is_constraint)
def marginal(function: Any, kernel: Any, mirror: Array, step_size: float) -> Array:
    """Row by row for the two constraints; the penalised kinds have closed forms for Shannon and Euclidean only."""
    _require_separable(function, kernel)
    if function.kind not in ("equal", "at_most"):
        raise unavailable(function, kernel, f"kind {function.kind!r} has closed forms for Shannon and Euclidean only")
    x = np.asarray(kernel.conjugate_gradient(mirror))
    sums = function.sums(x)
    result = np.array(np.moveaxis(mirror, function.axis, -1))
    for i, wanted in enumerate(function.marginal):
        if function.kind == "equal" or sums[i] > wanted:
            part = Hyperplane(np.ones(result.shape[1]), wanted)
            result[i] = resolvent(part, kernel, result[i], step_size)
    return np.moveaxis(result, -1, function.axis)


# --- A x = b --------------------------------------------------------------------------------------------------------


@register_resolvent(AffineSet, Legendre, available=_separable_kernel)
def affine_set(function: AffineSet, kernel: Any, mirror: Array, step_size: float, max_iter: int = 500) -> Array:
    """``m - R^T nu`` with R an orthonormal basis of the rows; damped Newton on the dual, one unknown per equation.

    The dual objective ``h*(m - R^T nu) + <nu, R b'>`` is convex; steps are halved until it, or the residual, decreases.
    Ends at a residual of 1e-12 relative to the sums in the equations.
    """
    if not kernel.separable:
        raise unavailable(function, kernel, "equations need a separable kernel")
    _, rows = function.range_basis
    if mirror.shape != (rows.shape[1],):
        raise ValueError(f"the equations need a point of shape ({rows.shape[1]},), got {mirror.shape}")
    wanted = function.reduced_offset

    def measure(nu: Array) -> tuple[float, Array, Array, float]:
        y = mirror - rows.T @ nu
        if not kernel.full_dual and not kernel.in_dual_domain(y):
            return np.inf, np.full_like(nu, np.inf), y, np.inf
        x = np.asarray(kernel.conjugate_gradient(y))
        residual = rows @ x - wanted
        scale = np.max(np.abs(rows) @ np.abs(x) + np.abs(wanted))
        return float(kernel.conjugate(y) + nu @ wanted), residual, y, float(np.max(np.abs(residual)) / scale)

    with np.errstate(all="ignore"):
        nu = rows @ (mirror - np.clip(mirror, -20.0, 20.0)) if kernel.full_dual else np.zeros(len(rows))
        objective, residual, y, error = measure(nu)
        stalled = 0
        for _ in range(max_iter):
            if error <= 4 * np.finfo(float).eps or stalled >= 3 or not np.isfinite(error):
                break
            curvature = np.asarray(kernel.conjugate_hessian_diagonal(y))
            matrix = (rows * curvature) @ rows.T
            # a trace-sized floor keeps saturated coordinates from making the matrix singular
            matrix[np.diag_indices_from(matrix)] += 1e-15 * np.trace(matrix) + 1e-300
            try:
                step = linalg.cho_solve(linalg.cho_factor(matrix), residual)
            except (linalg.LinAlgError, ValueError):
                break
            if not np.isfinite(step).all():
                break
            length, previous = 1.0, error
            slope = -float(residual @ step)
            while length > 1e-14:
                trial = measure(nu + length * step)
                if np.isfinite(trial[3]) and (
                    trial[0] <= objective + 1e-4 * length * slope or trial[3] <= (1 - 0.1 * length) * error
                ):
                    nu = nu + length * step
                    objective, residual, y, error = trial
                    break
                length *= 0.5
            else:
                break
            stalled = stalled + 1 if error >= 0.5 * previous and error <= NEWTON_TOLERANCE else 0
    if error <= NEWTON_TOLERANCE:
        return np.asarray(y)
    raise ResolventError(
        f"the projection onto the affine set under {type(kernel).__name__} stopped at a relative residual of "
        f"{error:.1e} (wanted {NEWTON_TOLERANCE:.0e}); does the set meet the interior of the domain ({kernel.domain})?"
    )
