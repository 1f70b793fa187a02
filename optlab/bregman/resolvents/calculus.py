"""Resolvents of functions made of functions (`optlab.bregman.functions.calculus`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.bregman.euclidean import SquaredEuclidean
from optlab.bregman.functions import Composed, Scaled, SquaredDistance
from optlab.bregman.functions.base import Array
from optlab.bregman.legendre import Legendre
from optlab.bregman.resolvents.registry import bind_resolvent, has_resolvent, register_resolvent, unavailable


def _inner(function: Any, kernel: Any) -> bool:
    return has_resolvent(function.function, kernel)


@register_resolvent(Scaled, Legendre, available=_inner)
def scaled(function: Scaled, kernel: Any, mirror: Array, step_size: float) -> Array:
    """The resolvent of the function itself, with the step multiplied."""
    return bind_resolvent(function.function, kernel)(mirror, step_size * function.factor)


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
