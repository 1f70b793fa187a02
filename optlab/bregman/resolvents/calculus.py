"""Resolvents of functions made of functions (`optlab.bregman.functions.calculus`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.bregman.euclidean import SquaredEuclidean
from optlab.bregman.functions import (
    Composed,
    Conjugate,
    Dilated,
    MoreauEnvelope,
    Scaled,
    SquaredDistance,
    Sum,
    Translated,
)
from optlab.bregman.functions.base import Array
from optlab.bregman.legendre import Legendre
from optlab.bregman.resolvents import newton
from optlab.bregman.resolvents.registry import bind_resolvent, has_resolvent, register_resolvent, unavailable


def _inner(function: Any, kernel: Any) -> bool:
    return has_resolvent(function.function, kernel)


@register_resolvent(Scaled, Legendre, available=_inner)
def scaled(function: Scaled, kernel: Any, mirror: Array, step_size: float) -> Array:
    """The resolvent of the function itself, with the step multiplied."""
    return bind_resolvent(function.function, kernel)(mirror, step_size * function.factor)


@register_resolvent(Translated, SquaredEuclidean, available=_inner)
def translated(function: Translated, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``c + prox(z - c)``."""
    return np.asarray(bind_resolvent(function.function, kernel)(mirror - function.point, step_size) + function.point)


@register_resolvent(Dilated, SquaredEuclidean, available=_inner)
def dilated(function: Dilated, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``prox(a z, t a^2) / a``."""
    a = function.factor
    return np.asarray(bind_resolvent(function.function, kernel)(a * mirror, step_size * a * a) / a)


@register_resolvent(Conjugate, SquaredEuclidean, available=_inner)
def conjugate(function: Conjugate, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``z - t prox(z/t, 1/t)`` (Moreau)."""
    inverse = 1.0 / step_size
    return np.asarray(mirror - step_size * bind_resolvent(function.function, kernel)(mirror * inverse, inverse))


@register_resolvent(MoreauEnvelope, SquaredEuclidean, available=_inner)
def moreau_envelope(function: MoreauEnvelope, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``z + t/(mu + t) (prox(z, mu + t) - z)``."""
    reach = function.mu + step_size
    moved = bind_resolvent(function.function, kernel)(mirror, reach)
    return np.asarray(mirror + (step_size / reach) * (moved - mirror))


def _with_square(function: Any, kernel: Any) -> bool:
    _, others, weight, _ = _squares_apart(function)
    return newton.sum_available(function, kernel) or bool(
        weight > 0 and len(others) == 1 and has_resolvent(others[0], kernel)
    )


def _squares_apart(function: Sum) -> tuple[Any, list[Any], float, Any]:
    """Return the cost of the linear terms, the terms that are neither, and the squared distances as one (weight, q)."""
    cost, others = function.split_linear()
    rest, weight, pull = [], 0.0, 0.0
    for term in others:
        if isinstance(term, SquaredDistance) and np.ndim(term.weight) == 0:
            weight, pull = weight + term.weight, pull + term.weight * term.q
        else:
            rest.append(term)
    return cost, rest, weight, pull


@register_resolvent(Sum, SquaredEuclidean, available=_with_square, namespaces=True)
def sum_with_square(function: Sum, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``prox((z + t w c)/(1 + t w), t/(1 + t w))`` for one term beside ``w/2 ||x - c||^2``: the elastic net."""
    cost, others, weight, pull = _squares_apart(function)
    if weight == 0.0 or len(others) != 1:
        return newton.sum_resolvent(function, kernel, mirror, step_size)
    shrink = 1.0 / (1.0 + step_size * weight)
    return bind_resolvent(others[0], kernel)(shrink * (mirror + step_size * (pull - cost)), shrink * step_size)


def _closed(function: Any, kernel: Any) -> bool:
    return (function.operator.tight is not None and has_resolvent(function.outer, kernel)) or _inverts(function)


def _inverts(function: Any) -> bool:
    """Whether ``(I + s A^T A)^{-1}`` solves the proximal problem: squared distances of one weight, and such maps."""
    outer = function.outer
    return (
        hasattr(function.operator, "gram_inverse") and isinstance(outer, SquaredDistance) and np.ndim(outer.weight) == 0
    )


@register_resolvent(Composed, SquaredEuclidean, available=_closed)
def composed(function: Composed, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``z + A^T (prox_{nu t f}(A z) - A z) / nu`` where ``A A^T = nu I``; else a linear system that the map solves."""
    operator, outer = function.operator, function.outer
    nu = operator.tight
    if nu is not None:
        image = operator.apply(mirror)
        moved = bind_resolvent(outer, kernel)(image, nu * step_size)
        return np.asarray(mirror + operator.adjoint(moved - image) / nu)
    if _inverts(function):
        strength = step_size * outer.weight  # type: ignore[attr-defined]
        target = np.broadcast_to(outer.q, operator.shape_out)  # type: ignore[attr-defined]
        solve = operator.gram_inverse(strength)  # type: ignore[attr-defined]
        return np.asarray(solve(mirror + strength * operator.adjoint(target)))
    raise unavailable(
        function, kernel, "the map is not tight (A A^T is no multiple of I); primal-dual methods take f and A apart"
    )
