"""Functions made of functions: multiples, compositions with linear maps, shifts, conjugates, envelopes.

Written ``2.0 * f``, ``f @ A``, ``f.translate(c)``, ``f.scale(a)``, ``f.conjugate()``, ``f.envelope(mu)``. Each knows of
itself what follows from what its parts know; the resolvents are in `optlab.bregman.resolvents.calculus`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.bregman.euclidean import SquaredEuclidean
from optlab.bregman.functions.base import Array, Function, Zero
from optlab.bregman.functions.rays import Ray
from optlab.core.validation import as_number
from optlab.linalg import LinearMap, as_linear_map


def scaled(function: Function, factor: Any) -> Function:
    """Return ``factor * function``, in the same class where it has a weight."""
    factor = as_number(factor, "factor", minimum=0)
    if factor == 1.0:
        return function
    if factor == 0.0:
        if function.whole_space:
            return Zero()
        raise ValueError(
            f"0 * {type(function).__name__} would drop its domain; leave the term out, or put an indicator in its place"
        )
    if dataclasses.is_dataclass(function) and any(f.name == "weight" for f in dataclasses.fields(function)):
        return dataclasses.replace(function, weight=factor * function.weight)  # type: ignore[attr-defined]
    return Scaled(function, factor)


def composed(function: Function, operator: Any) -> Function:
    """Return ``x -> function(operator x)``."""
    if isinstance(function, Composed):
        return Composed(function.outer, function.operator @ as_linear_map(operator))
    return Composed(function, as_linear_map(operator))


@dataclass(frozen=True, eq=False)
class Scaled(Function):
    """The multiple ``factor * f`` of a function that has no weight of its own; made by ``factor * f``.

    Parameters
    ----------
    function : Function
    factor : float
        Above 0.
    """

    function: Function
    factor: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "factor", as_number(self.factor, "factor", above=0))
        _inherit(self, self.function, "smooth", "separable", "single_valued", "whole_space", "convex", "compact")
        object.__setattr__(self, "conjugate_domain", self.function.conjugate_domain)

    @property
    def shape(self) -> tuple[int, ...] | None:
        return self.function.shape

    def scaled(self, factor: float) -> Function:
        return scaled(self.function, factor * self.factor)

    def decomposed(self) -> tuple[Function, Any]:
        outer, operator = self.function.decomposed()
        return (self, None) if outer is self.function else (outer.scaled(self.factor), operator)

    def value(self, x: Array) -> float:
        return self.factor * self.function.value(x)

    def gradient(self, x: Array) -> Array:
        return np.asarray(self.factor * self.function.gradient(x))

    def second_derivative(self, x: Array) -> Array | None:
        inner = self.function.second_derivative(x)
        return None if inner is None else self.factor * inner

    def hessian(self, x: Array) -> Array | None:
        inner = self.function.hessian(x)
        return None if inner is None else self.factor * inner

    def relative_smoothness(self, kernel: Any) -> tuple[float, float] | None:
        inner = self.function.relative_smoothness(kernel)
        return None if inner is None else (self.factor * inner[0], self.factor * inner[1])

    def support(self, direction: Array) -> Ray | None:
        return self.function.support(direction)

    def recession(self, direction: Array) -> Ray | None:
        ray = self.function.recession(direction)
        return None if ray is None else ray._replace(value=self.factor * ray.value, size=self.factor * ray.size)

    def conjugate_value(self, y: Array) -> float:
        return self.factor * self.function.conjugate_value(y / self.factor)

    def conjugate_scale(self, y: Array) -> float:
        return self.function.conjugate_scale(y / self.factor)

    def linear_minimizer(self, cost: Array) -> Array:
        return self.function.linear_minimizer(cost)


def _inherit(function: Function, source: Function, *names: str) -> None:
    for name in names:
        object.__setattr__(function, name, getattr(source, name))


@dataclass(frozen=True, eq=False)
class Composed(Function):
    """The composition ``x -> f(A x)`` with a linear map; made by ``f @ A``.

    Parameters
    ----------
    outer : Function
        f.
    operator : LinearMap or what `optlab.linalg.as_linear_map` takes
        A.

    Notes
    -----
    The resolvent in the Euclidean geometry is closed where ``A A^T = nu I`` (the map's ``tight``), and where f is a
    squared distance of one weight and the map can invert ``I + s A^T A``. Methods that take ``prox f`` and A apart
    (the primal-dual ones) need neither.

    Examples
    --------
    >>> from optlab.bregman.functions import L1Norm
    >>> from optlab.linalg import FiniteDifferences
    >>> variation = 0.5 * (L1Norm() @ FiniteDifferences(3))
    >>> variation, variation.value(np.array([0.0, 2.0, 1.0]))
    (L1Norm(weight=0.5) @ FiniteDifferences(3 -> 2), 1.5)
    """

    outer: Function
    operator: LinearMap

    def __post_init__(self) -> None:
        if not isinstance(self.outer, Function):
            raise TypeError(f"outer must be a Function, got {type(self.outer).__name__}")
        operator = as_linear_map(self.operator)
        inner, operator = self.outer, operator
        shape = inner.shape
        if shape is not None and shape != operator.shape_out:
            raise ValueError(
                f"{type(inner).__name__} takes arrays of shape {shape}, but {operator!r} gives {operator.shape_out}"
            )
        object.__setattr__(self, "operator", operator)
        _inherit(self, inner, "smooth", "single_valued", "whole_space", "convex", "indicator")

    def __repr__(self) -> str:
        return f"{self.outer!r} @ {self.operator!r}"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.operator.shape_in

    def scaled(self, factor: float) -> Function:
        return Composed(self.outer.scaled(factor), self.operator)

    def decomposed(self) -> tuple[Function, Any]:
        outer, operator = self.outer.decomposed()
        return outer, self.operator if operator is None else operator @ self.operator

    def value(self, x: Array) -> float:
        return self.outer.value(self.operator.apply(x))

    def gradient(self, x: Array) -> Array:
        return np.asarray(self.operator.adjoint(self.outer.gradient(self.operator.apply(x))))

    def hessian(self, x: Array) -> Array | None:
        if len(self.operator.shape_in) != 1 or len(self.operator.shape_out) != 1:
            return None
        inner = self.outer.hessian(self.operator.apply(x))
        matrix = self.operator.to_dense()
        return None if inner is None else np.asarray(matrix.T @ inner @ matrix)

    def relative_smoothness(self, kernel: Any) -> tuple[float, float] | None:
        modulus = kernel.strong_convexity
        inner = self.outer.relative_smoothness(SquaredEuclidean())
        if inner is None or modulus is None or not modulus > 0:
            return None
        return inner[0] * self.operator.norm**2 / float(modulus), 0.0

    def recession(self, direction: Array) -> Ray | None:
        ray = self.outer.recession(self.operator.apply(direction))
        # a direction that is finite for f has to be of the form A d: known where nothing was moved
        if ray is None or not np.array_equal(ray.direction, self.operator.apply(direction)):
            return None
        return ray._replace(direction=direction)
