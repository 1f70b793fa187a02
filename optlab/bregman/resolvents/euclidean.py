"""Classical proximal operators: the Euclidean kernel ``h(x) = ||x||^2 / 2``, whose mirror variable is x itself.

Also the quadratic terms under a Mahalanobis kernel ``h(x) = x^T Q x / 2``. Projections onto simplices are exact (one
pass over the sorted coordinates); quadratic terms use a factorisation cached in the term; the rest are closed forms.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import linalg

from optlab.bregman.euclidean import Mahalanobis, SquaredEuclidean
from optlab.bregman.functions import (
    AffineSet,
    CappedSimplex,
    ColumnMarginal,
    Hyperplane,
    ItakuraSaito,
    KullbackLeibler,
    LeastSquares,
    Logistic,
    NegativeEntropy,
    Poisson,
    Quadratic,
    RowMarginal,
    Simplex,
    SquaredDistance,
)
from optlab.bregman.functions.base import Array, check_broadcast, check_shape
from optlab.bregman.projections import project_simplex
from optlab.bregman.resolvents.general import Shape, prepared_mean
from optlab.bregman.resolvents.newton import smooth_resolvent
from optlab.bregman.resolvents.registry import Prepared, per_step_size, register_prepared, register_resolvent
from optlab.bregman.resolvents.roots import positive_quadratic_root, solve_plus_expit, solve_plus_log
from optlab.core.backend import namespace


def _check_vector(shape: Shape, size: int, what: str) -> None:
    if shape != (size,):
        raise ValueError(f"{what} needs a point of shape ({size},), got {shape}")


# --- separable terms ------------------------------------------------------------------------------------------------


@register_prepared(SquaredDistance, SquaredEuclidean)
def squared_distance(function: SquaredDistance, kernel: Any, shape: Shape) -> Prepared:
    """``(m + g t q) / (1 + g t)``."""
    check_shape(function.q + function.weight, "q or weight", shape)
    return prepared_mean(function.q, function.weight)


@register_prepared(Poisson, SquaredEuclidean)
def poisson(function: Poisson, kernel: Any, shape: Shape) -> Prepared:
    """Positive root of ``x^2 - (m - g t) x - g t q = 0``."""
    check_shape(function.q + function.weight, "q or weight", shape)

    def root(mirror: Array, step_size: float) -> Array:
        strength = step_size * function.weight
        return positive_quadratic_root(mirror - strength, strength * function.q)

    return root


@register_prepared(ItakuraSaito, SquaredEuclidean)
def itakura_saito(function: ItakuraSaito, kernel: Any, shape: Shape) -> Prepared:
    """Positive root of ``x^2 - (m - g t/q) x - g t = 0``."""
    check_shape(function.q + function.weight, "q or weight", shape)

    def root(mirror: Array, step_size: float) -> Array:
        strength = step_size * function.weight
        return positive_quadratic_root(mirror - strength / function.q, strength)

    return root


@register_prepared(NegativeEntropy, SquaredEuclidean)
def negative_entropy(function: NegativeEntropy, kernel: Any, shape: Shape) -> Prepared:
    """``x + g t log x = m``: ``x = g t W(exp(m/(g t)) / (g t))``; 0 where that underflows."""
    check_shape(function.weight, "weight", shape)

    def root(mirror: Array, step_size: float) -> Array:
        strength = step_size * function.weight
        return solve_plus_log(mirror / strength, strength)

    return root


@register_prepared(KullbackLeibler, SquaredEuclidean)
def kullback_leibler(function: KullbackLeibler, kernel: Any, shape: Shape) -> Prepared:
    """``x + g t log(x/q) = m``."""
    check_shape(function.q + function.weight, "q or weight", shape)
    log_q = np.log(function.q)

    def root(mirror: Array, step_size: float) -> Array:
        strength = step_size * function.weight
        return solve_plus_log(mirror / strength + log_q, strength)

    return root


@register_resolvent(Logistic, SquaredEuclidean, available=lambda function, kernel: not function.matrix_free)
def logistic(function: Logistic, kernel: Any, mirror: Array, step_size: float) -> Array:
    """Separable case: ``v + g t expit(v) = -labels m`` for the negative margin v; with features, the dense Newton."""
    if function.features is not None:
        _check_vector(mirror.shape, function.features.shape[1], "this logistic loss")
        return smooth_resolvent(function, kernel, mirror, step_size)
    check_broadcast(function.labels, "labels", mirror)
    labels = function.labels
    return np.asarray(-labels * solve_plus_expit(-labels * mirror, step_size * function.weight))


# --- quadratic terms and equations ----------------------------------------------------------------------------------


@register_prepared(Quadratic, SquaredEuclidean)
def quadratic(function: Quadratic, kernel: Any, shape: Shape) -> Prepared:
    """``(I + g Q)^{-1} (m - g c)`` in the eigenbasis of Q."""
    eigenvalues, vectors = function.spectrum
    _check_vector(shape, eigenvalues.size, "this quadratic")

    def solve(mirror: Array, step_size: float) -> Array:
        return vectors @ ((vectors.T @ (mirror - step_size * function.c)) / (1.0 + step_size * eigenvalues))

    return solve


def _factorised(function: Any, kernel: Any) -> bool:
    return not function.matrix_free or hasattr(function.A, "gram_inverse")


@register_prepared(LeastSquares, SquaredEuclidean, available=_factorised)
def least_squares(function: LeastSquares, kernel: Any, shape: Shape) -> Prepared:
    """``(I + g t A^T A)^{-1} (m + g t A^T b)`` in the singular basis of A; the part outside the row space stays."""
    if hasattr(function.A, "gram_inverse"):
        pulled = function.A.adjoint(function.b)
        systems = per_step_size(lambda step_size: function.A.gram_inverse(step_size * function.weight))
        return lambda mirror, step_size: np.asarray(systems(step_size)(mirror + step_size * function.weight * pulled))
    left, singular, right = function.svd
    _check_vector(shape, right.shape[1], "this least-squares loss")
    seen = left.T @ function.b

    def of(step_size: float) -> tuple[Array, Array]:
        strength = step_size * function.weight
        return strength * singular * seen, 1.0 + strength * singular**2

    constants = per_step_size(of)

    def solve(mirror: Array, step_size: float) -> Array:
        pull, whole = constants(step_size)
        old = right @ mirror
        return mirror + right.T @ ((old + pull) / whole - old)

    return solve


@register_prepared(AffineSet, SquaredEuclidean)
def affine_set(function: AffineSet, kernel: Any, shape: Shape) -> Prepared:
    """Orthogonal projection ``m - R^T (R m - b')`` with orthonormal rows R."""
    _, rows = function.range_basis
    _check_vector(shape, rows.shape[1], "this affine set")
    wanted = function.reduced_offset
    return lambda mirror, step_size: mirror - rows.T @ (rows @ mirror - wanted)


def _solve_spd(matrix: Array, right_side: Array) -> Array:
    return np.asarray(linalg.cho_solve(linalg.cho_factor(matrix), right_side))


@register_resolvent(Quadratic, Mahalanobis)
def quadratic_mahalanobis(function: Quadratic, kernel: Mahalanobis, mirror: Array, step_size: float) -> Array:
    """``y = H x`` with ``(H + g Q) x = m - g c``, H the kernel's matrix; one factorisation per call."""
    _check_vector(mirror.shape, len(function.Q), "this quadratic")
    matrix = np.asarray(kernel.Q)
    return np.asarray(matrix @ _solve_spd(matrix + step_size * function.Q, mirror - step_size * function.c))


@register_resolvent(LeastSquares, Mahalanobis, available=_factorised)
def least_squares_mahalanobis(function: LeastSquares, kernel: Mahalanobis, mirror: Array, step_size: float) -> Array:
    """``y = H x`` with ``(H + g t A^T A) x = m + g t A^T b``; one factorisation per call."""
    _check_vector(mirror.shape, function.A.shape[1], "this least-squares loss")
    matrix, strength = np.asarray(kernel.Q), step_size * function.weight
    x = _solve_spd(matrix + strength * (function.A.T @ function.A), mirror + strength * (function.A.T @ function.b))
    return np.asarray(matrix @ x)


@register_resolvent(Hyperplane, Mahalanobis)
def hyperplane_mahalanobis(function: Hyperplane, kernel: Mahalanobis, mirror: Array, step_size: float) -> Array:
    """``y = m - mu a`` with ``mu = (<a, H^{-1} m> - b) / <a, H^{-1} a>``."""
    check_broadcast(function.normal, "normal", mirror)
    normal = np.array(np.broadcast_to(function.normal, mirror.shape))
    direction = kernel.conjugate_gradient(normal)
    return np.asarray(mirror - (direction @ mirror - function.offset) / (direction @ normal) * normal)


# --- one linear constraint ------------------------------------------------------------------------------------------


@register_resolvent(Hyperplane, SquaredEuclidean, namespaces=True)
def hyperplane(function: Hyperplane, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``m - mu a`` with ``mu = (<a, m> - b) / ||a||^2``."""
    check_broadcast(function.normal, "normal", mirror)
    xp = namespace(mirror)
    normal = function.normal if xp is not np else np.broadcast_to(function.normal, mirror.shape)
    if isinstance(normal, float):
        normal = xp.full_like(mirror, normal)
    top = xp.max(xp.abs(normal))
    unit, offset = normal / top, function.offset / top
    return mirror - (xp.sum(unit * mirror) - offset) / xp.sum(unit * unit) * unit


@register_resolvent(Simplex, SquaredEuclidean, namespaces=True)
def simplex(function: Simplex, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``max(m - mu, 0)``, mu exactly by sorting."""
    if type(mirror) is not np.ndarray:
        return project_simplex(mirror, function.total)
    below = mirror - np.max(mirror)  # the multiplier is measured from the largest coordinate: no digits lost there
    ordered = np.sort(below, axis=None)[::-1]
    candidates = (np.cumsum(ordered) - function.total) / np.arange(1, ordered.size + 1)
    count = int(np.flatnonzero(ordered > candidates)[-1])
    return np.asarray(np.maximum(below - candidates[count], 0.0))


@register_resolvent(CappedSimplex, SquaredEuclidean)
def capped_simplex(function: CappedSimplex, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``clip(m - mu, 0, upper)``: the sum is piecewise linear in mu; its piece is found by bisection, mu exactly."""
    check_broadcast(function.upper, "upper", mirror)
    caps = function.caps(mirror.shape)
    knots = np.unique(np.concatenate([mirror.ravel(), (mirror - caps)[np.isfinite(caps)].ravel()]))

    def total(mu: float) -> float:
        return float(np.sum(np.clip(mirror - mu, 0.0, caps)))

    if not np.isfinite(caps).all():  # left of all knots the sum still grows
        knots = np.concatenate([[np.min(knots) - function.total], knots])
    first, last = 0, knots.size - 1  # total(knots[first]) >= wanted >= total(knots[last]) = 0
    while last - first > 1:
        middle = (first + last) // 2
        if total(knots[middle]) >= function.total:
            first = middle
        else:
            last = middle
    inside = 0.5 * (knots[first] + knots[last])
    free = (mirror > inside) & (mirror - caps < inside)
    if not free.any():
        return np.asarray(np.clip(mirror - knots[first], 0.0, caps))
    capped = mirror - caps >= inside
    reference = knots[first]
    rest = function.total - float(np.sum(caps[capped]))
    mu = (float(np.sum(mirror[free] - reference)) - rest) / int(np.count_nonzero(free))
    answer = np.where(capped, np.where(np.isfinite(caps), caps, 0.0), 0.0)
    answer[free] = np.clip((mirror[free] - reference) - mu, 0.0, caps[free])
    return np.asarray(answer)


# --- row and column sums of a matrix --------------------------------------------------------------------------------


@register_resolvent(RowMarginal, SquaredEuclidean)
@register_resolvent(ColumnMarginal, SquaredEuclidean)
def marginal(function: Any, kernel: Any, mirror: Array, step_size: float) -> Array:
    """Add one number to each row (column): what the scalar condition on its sum ``r + n s`` asks for."""
    sums, a = function.sums(mirror), function.marginal
    count = mirror.shape[function.axis]
    strength = step_size * function.weight
    if function.kind == "equal":
        shift = (a - sums) / count
    elif function.kind == "at_most":
        shift = np.minimum(a - sums, 0.0) / count
    elif function.kind == "l1":
        shift = np.clip((a - sums) / count, -strength, strength)
    else:  # new sum: s + n g t log(s/a) = r; a sum of 0 is asked for where a = 0
        with np.errstate(divide="ignore"):
            new = solve_plus_log(sums / (count * strength) + np.log(a), count * strength)
        shift = (new - sums) / count
    return np.asarray(mirror + np.expand_dims(shift, function.axis))
