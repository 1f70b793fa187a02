"""Functions made of functions: multiples, compositions with linear maps, shifts, conjugates, envelopes.

Written ``2.0 * f``, ``f @ A``, ``f.translate(c)``, ``f.scale(a)``, ``f.conjugate()``, ``f.envelope(mu)``. Each knows of
itself what follows from what its parts know; the resolvents are in `optlab.bregman.resolvents.calculus`.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.bregman.euclidean import SquaredEuclidean
from optlab.bregman.functions.base import Array, Function, Zero, shown_shape
from optlab.bregman.functions.rays import Ray, inner
from optlab.core.validation import as_data, as_number
from optlab.linalg import LinearMap, as_linear_map

#: Up to this size a map is made dense for the Hessian of a composition.
LARGEST_DENSE = 2000


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
        return dataclasses.replace(function, weight=factor * function.weight)
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
        _check_function(self.function)
        object.__setattr__(self, "factor", as_number(self.factor, "factor", above=0))
        _inherit(self, self.function, "smooth", "separable", "single_valued", "whole_space", "convex", "compact")
        _inherit(self, self.function, "matrix_free")
        _inherit(self, self.function, "conjugate_domain", "smooth_conjugate")

    @property
    def shape(self) -> tuple[int, ...] | None:
        return self.function.shape

    def scaled(self, factor: float) -> Function:
        return scaled(self.function, factor * self.factor)

    def conjugate_gradient(self, y: Array) -> Array:
        return self.function.conjugate_gradient(y / self.factor)

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


def _check_function(value: Any, name: str = "function") -> None:
    if not isinstance(value, Function):
        raise TypeError(f"{name} must be a Function, got {type(value).__name__}")


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
        _check_function(self.outer, "outer")
        operator = as_linear_map(self.operator)
        inner, operator = self.outer, operator
        shape = inner.shape
        if shape is not None and shape != operator.shape_out:
            raise ValueError(
                f"{type(inner).__name__} takes arrays of shape {shape}, but {operator!r} gives {operator.shape_out}"
            )
        object.__setattr__(self, "operator", operator)
        _inherit(self, inner, "smooth", "single_valued", "whole_space", "convex", "indicator")
        flat = len(operator.shape_in) == 1 and len(operator.shape_out) == 1
        object.__setattr__(self, "matrix_free", not flat or max(operator.size_in, operator.size_out) > LARGEST_DENSE)
        if operator.size_in == operator.size_out and operator.orthogonal:
            _inherit(self, inner, "conjugate_domain", "smooth_conjugate", "compact")

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

    # what follows is for orthogonal maps only: A^T A = A A^T = nu I

    def conjugate_value(self, y: Array) -> float:
        if self.conjugate_domain is None:
            return super().conjugate_value(y)
        return self.outer.conjugate_value(self.operator.apply(y) / self.operator.tight)

    def conjugate_scale(self, y: Array) -> float:
        if self.conjugate_domain is None:
            return super().conjugate_scale(y)
        return self.outer.conjugate_scale(self.operator.apply(y) / self.operator.tight)

    def conjugate_gradient(self, y: Array) -> Array:
        nu = self.operator.tight
        return np.asarray(self.operator.adjoint(self.outer.conjugate_gradient(self.operator.apply(y) / nu)) / nu)

    def linear_minimizer(self, cost: Array) -> Array:
        nu = self.operator.tight
        return np.asarray(self.operator.adjoint(self.outer.linear_minimizer(self.operator.apply(cost))) / nu)

    def support(self, direction: Array) -> Ray | None:
        if self.whole_space or self.conjugate_domain is None:
            return super().support(direction)
        return self._pulled(self.outer.support(self.operator.apply(direction) / self.operator.tight), 1.0)

    def _pulled(self, ray: Ray | None, nu: float | None) -> Ray | None:
        return None if ray is None else ray._replace(direction=self.operator.adjoint(ray.direction) / nu)

    def recession(self, direction: Array) -> Ray | None:
        ray = self.outer.recession(self.operator.apply(direction))
        if self.conjugate_domain is not None:
            return self._pulled(ray, self.operator.tight)
        # a direction that is finite for f has to be of the form A d: known where nothing was moved
        if ray is None or not np.array_equal(ray.direction, self.operator.apply(direction)):
            return None
        return ray._replace(direction=direction)


@dataclass(frozen=True, eq=False)
class Translated(Function):
    """The function ``x -> f(x - point)``; made by ``f.translate(point)``.

    Parameters
    ----------
    function : Function
    point : array_like or float

    Examples
    --------
    >>> from optlab.bregman.functions import L1Norm
    >>> L1Norm().translate([1.0, 2.0]).value(np.array([1.0, 0.0]))
    2.0
    """

    function: Function
    point: Any

    def __post_init__(self) -> None:
        _check_function(self.function)
        object.__setattr__(self, "point", as_data(self.point, "point"))
        _inherit(
            self, self.function, "smooth", "separable", "single_valued", "whole_space", "convex", "compact", "indicator"
        )
        _inherit(self, self.function, "conjugate_domain", "smooth_conjugate")

    @property
    def shape(self) -> tuple[int, ...] | None:
        return self.function.shape or shown_shape(self.point)

    def scaled(self, factor: float) -> Function:
        return Translated(self.function.scaled(factor), self.point)

    def conjugate_gradient(self, y: Array) -> Array:
        return self.function.conjugate_gradient(y) + self.point

    def value(self, x: Array) -> float:
        return self.function.value(x - self.point)

    def gradient(self, x: Array) -> Array:
        return self.function.gradient(x - self.point)

    def second_derivative(self, x: Array) -> Array | None:
        return self.function.second_derivative(x - self.point)

    def hessian(self, x: Array) -> Array | None:
        return self.function.hessian(x - self.point)

    def relative_smoothness(self, kernel: Any) -> tuple[float, float] | None:
        return self.function.relative_smoothness(kernel) if isinstance(kernel, SquaredEuclidean) else None

    def support(self, direction: Array) -> Ray | None:
        ray = self.function.support(direction)
        if ray is None:
            return None
        value, size = inner(self.point, ray.direction)
        return ray._replace(value=ray.value + value, size=ray.size + size)

    def recession(self, direction: Array) -> Ray | None:
        return self.function.recession(direction)

    def conjugate_value(self, y: Array) -> float:
        return self.function.conjugate_value(y) + float(np.sum(self.point * y))

    def conjugate_scale(self, y: Array) -> float:
        return self.function.conjugate_scale(y)

    def linear_minimizer(self, cost: Array) -> Array:
        return self.function.linear_minimizer(cost) + self.point


@dataclass(frozen=True, eq=False)
class Dilated(Function):
    """The function ``x -> f(factor x)``; made by ``f.scale(factor)``.

    Parameters
    ----------
    function : Function
    factor : float
        Not 0.

    Examples
    --------
    >>> from optlab.bregman.functions import L1Norm
    >>> L1Norm().scale(-2.0).value(np.array([1.0, 0.5]))
    3.0
    """

    function: Function
    factor: float

    def __post_init__(self) -> None:
        _check_function(self.function)
        factor = as_number(self.factor, "factor")
        if factor == 0:
            raise ValueError("factor must not be 0")
        object.__setattr__(self, "factor", factor)
        _inherit(
            self, self.function, "smooth", "separable", "single_valued", "whole_space", "convex", "compact", "indicator"
        )
        object.__setattr__(self, "conjugate_domain", self.function.conjugate_domain)

    @property
    def shape(self) -> tuple[int, ...] | None:
        return self.function.shape

    def scaled(self, factor: float) -> Function:
        return Dilated(self.function.scaled(factor), self.factor)

    def value(self, x: Array) -> float:
        return self.function.value(self.factor * x)

    def gradient(self, x: Array) -> Array:
        return np.asarray(self.factor * self.function.gradient(self.factor * x))

    def second_derivative(self, x: Array) -> Array | None:
        found = self.function.second_derivative(self.factor * x)
        return None if found is None else self.factor**2 * found

    def hessian(self, x: Array) -> Array | None:
        found = self.function.hessian(self.factor * x)
        return None if found is None else self.factor**2 * found

    def relative_smoothness(self, kernel: Any) -> tuple[float, float] | None:
        found = self.function.relative_smoothness(kernel) if isinstance(kernel, SquaredEuclidean) else None
        return None if found is None else (self.factor**2 * found[0], self.factor**2 * found[1])

    def support(self, direction: Array) -> Ray | None:
        ray = self.function.support(direction / self.factor)
        return None if ray is None else ray._replace(direction=self.factor * ray.direction)

    def recession(self, direction: Array) -> Ray | None:
        ray = self.function.recession(self.factor * direction)
        return None if ray is None else ray._replace(direction=ray.direction / self.factor)

    def conjugate_value(self, y: Array) -> float:
        return self.function.conjugate_value(y / self.factor)

    def conjugate_scale(self, y: Array) -> float:
        return self.function.conjugate_scale(y / self.factor)

    def linear_minimizer(self, cost: Array) -> Array:
        return self.function.linear_minimizer(cost / self.factor) / self.factor


@dataclass(frozen=True, eq=False)
class Conjugate(Function):
    """The conjugate ``f*(y) = sup_x <x, y> - f(x)``; made by ``f.conjugate()``.

    Its proximal operator is ``z - t prox_{f/t}(z/t)`` (Moreau); its value needs `Function.conjugate_value`.

    Parameters
    ----------
    function : Function
        f, convex.

    Examples
    --------
    >>> from optlab.bregman.functions import L1Norm
    >>> L1Norm(2.0).conjugate().value(np.array([1.0, -2.0]))
    0.0
    """

    function: Function

    def __post_init__(self) -> None:
        _check_function(self.function)
        if not self.function.convex:
            raise ValueError(f"{type(self.function).__name__} is not convex: it is not the conjugate of its conjugate")
        domain = self.function.conjugate_domain
        object.__setattr__(self, "whole_space", domain == "everywhere")
        object.__setattr__(self, "separable", self.function.separable)
        # where f is finite; as a set it contains 0, or is bounded, only as far as is known
        object.__setattr__(self, "conjugate_domain", "everywhere" if self.function.whole_space else "set")
        object.__setattr__(self, "smooth", self.function.smooth_conjugate)
        object.__setattr__(self, "single_valued", self.function.smooth_conjugate)
        object.__setattr__(self, "matrix_free", True)  # no Hessian: its resolvent is Moreau's
        object.__setattr__(self, "smooth_conjugate", self.function.smooth and self.function.whole_space)

    @property
    def shape(self) -> tuple[int, ...] | None:
        return self.function.shape

    def conjugate(self) -> Function:
        return self.function

    def value(self, x: Array) -> float:
        return self.function.conjugate_value(x)

    def gradient(self, x: Array) -> Array:
        return self.function.conjugate_gradient(x)

    def relative_smoothness(self, kernel: Any) -> tuple[float, float] | None:
        found = self.function.relative_smoothness(kernel) if isinstance(kernel, SquaredEuclidean) else None
        if found is None or not found[1] > 0 or not self.smooth:
            return None
        return 1.0 / found[1], 1.0 / found[0]

    def conjugate_value(self, y: Array) -> float:
        return self.function.value(y)

    def conjugate_gradient(self, y: Array) -> Array:
        return self.function.gradient(y)


@dataclass(frozen=True, eq=False)
class MoreauEnvelope(Function):
    """The Moreau envelope ``x -> min_u f(u) + ||u - x||^2 / (2 mu)``; made by ``f.envelope(mu)``.

    Its gradient is ``(x - prox(x, mu)) / mu``; of the 1-norm it is Huber's loss.

    Parameters
    ----------
    function : Function
        With a proximal operator.
    mu : float
        Above 0.

    Examples
    --------
    >>> from optlab.bregman.functions import Box
    >>> half_square = Box(0.0).envelope(1.0)  # of the distance to the orthant
    >>> half_square.value(np.array([3.0, -2.0])), half_square.gradient(np.array([3.0, -2.0]))
    (2.0, array([ 0., -2.]))
    """

    function: Function
    mu: float
    single_valued: ClassVar[bool] = True
    smooth: ClassVar[bool] = True
    whole_space: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_function(self.function)
        from optlab.bregman.resolvents.registry import has_resolvent, unavailable

        object.__setattr__(self, "mu", as_number(self.mu, "mu", above=0))
        if not self.function.convex:
            raise ValueError(f"{type(self.function).__name__} is not convex: its envelope may not be smooth")
        if not has_resolvent(self.function, SquaredEuclidean()):
            raise unavailable(self.function, SquaredEuclidean())
        object.__setattr__(self, "separable", self.function.separable)
        object.__setattr__(self, "conjugate_domain", self.function.conjugate_domain)

    @property
    def shape(self) -> tuple[int, ...] | None:
        return self.function.shape

    def scaled(self, factor: float) -> Function:
        factor = as_number(factor, "factor", minimum=0)
        return MoreauEnvelope(self.function.scaled(factor), self.mu / factor) if factor > 0 else Zero()

    def proximal_point(self, x: Array) -> Array:
        """Return the u of the minimum."""
        from optlab.bregman.resolvents.registry import bind_resolvent

        return bind_resolvent(self.function, SquaredEuclidean())(x, self.mu)

    def value(self, x: Array) -> float:
        u = self.proximal_point(x)
        return float(self.function.value(u)) + float(np.sum((u - x) ** 2)) / (2.0 * self.mu)

    def gradient(self, x: Array) -> Array:
        return np.asarray((x - self.proximal_point(x)) / self.mu)

    def relative_smoothness(self, kernel: Any) -> tuple[float, float] | None:
        modulus = kernel.strong_convexity
        return None if modulus is None or not modulus > 0 else (1.0 / (self.mu * float(modulus)), 0.0)

    def conjugate_value(self, y: Array) -> float:
        own = self.function.conjugate_value(y)
        return own + 0.5 * self.mu * float(np.sum(y * y)) if math.isfinite(own) else own

    def conjugate_scale(self, y: Array) -> float:
        return self.function.conjugate_scale(y)
