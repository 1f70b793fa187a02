"""The graph of a linear map, as a set: what takes ``f(A x)`` apart for methods that have no operators."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import linalg

from optlab.bregman.functions.base import FEASIBILITY_TOLERANCE, Array
from optlab.bregman.functions.rays import ROUNDING, Ray, length
from optlab.bregman.functions.sets import Indicator
from optlab.linalg import LinearMap, as_linear_map, conjugate_gradients

#: Up to this many columns (or rows, if fewer) the projection factors a dense matrix; beyond, conjugate gradients.
LARGEST_FACTOR = 2000


@dataclass(frozen=True, eq=False)
class Graph(Indicator):
    """The set ``{(x, z): z = A x}`` of vectors, x and z raveled and one after the other.

    Parameters
    ----------
    operator : LinearMap or what `optlab.linalg.as_linear_map` takes

    Notes
    -----
    The projection solves ``(I + A^T A) x = x' + A^T z'``: by the map's ``gram_inverse`` if it has one, a Cholesky
    factorisation kept from the first use, or conjugate gradients to a relative residual of 1e-13 for large maps.

    Examples
    --------
    >>> graph = Graph([[1.0, 1.0]])
    >>> graph.value(np.array([1.0, 2.0, 3.0])), graph.value(np.array([1.0, 2.0, 4.0]))
    (0.0, inf)
    """

    operator: LinearMap

    def __post_init__(self) -> None:
        object.__setattr__(self, "operator", as_linear_map(self.operator))

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.operator.size_in + self.operator.size_out,)

    def split(self, v: Array) -> tuple[Array, Array]:
        """Return x and z of a point, in their shapes."""
        n = self.operator.size_in
        return v[:n].reshape(self.operator.shape_in), v[n:].reshape(self.operator.shape_out)

    def join(self, x: Array, z: Array) -> Array:
        """Return the vector of x and z."""
        return np.concatenate([np.ravel(x), np.ravel(z)])

    @cached_property
    def _solve(self) -> Any:
        A = self.operator
        if hasattr(A, "gram_inverse"):
            return A.gram_inverse(1.0)
        if min(A.size_in, A.size_out) > LARGEST_FACTOR:
            return lambda v: conjugate_gradients(lambda u: u + A.adjoint(A.apply(u)), v, 1e-13, 10 * A.size_in)[0]
        matrix = A.to_dense()
        if A.size_in <= A.size_out:
            factor = linalg.cho_factor(np.eye(A.size_in) + matrix.T @ matrix)
            return lambda v: linalg.cho_solve(factor, np.ravel(v)).reshape(A.shape_in)
        factor = linalg.cho_factor(np.eye(A.size_out) + matrix @ matrix.T)
        # (I + A^T A)^{-1} = I - A^T (I + A A^T)^{-1} A
        return lambda v: v - A.adjoint(linalg.cho_solve(factor, np.ravel(A.apply(v))).reshape(A.shape_out))

    def __getstate__(self) -> dict[str, Any]:  # the solver is a function: made anew where it is needed
        return {name: value for name, value in super().__getstate__().items() if name != "_solve"}

    def project(self, v: Array) -> Array:
        """Return the nearest point of the graph."""
        x, z = self.split(v)
        x = self._solve(x + self.operator.adjoint(z))
        return self.join(x, self.operator.apply(x))

    def value(self, x: Array) -> float:
        inside, z = self.split(x)
        image = self.operator.apply(inside)
        off = length(z - image)
        return 0.0 if off <= FEASIBILITY_TOLERANCE * (length(z) + self.operator.norm * length(inside)) else math.inf

    def support(self, direction: Array) -> Ray:
        _, y = self.split(direction - self.project(direction))
        normal = self.join(-self.operator.adjoint(y), y)
        return Ray(normal, error=ROUNDING * (1.0 + self.operator.norm) * length(y), linear=True)

    def recession(self, direction: Array) -> Ray:
        moved = self.project(direction)
        return Ray(moved, error=ROUNDING * (1.0 + self.operator.norm) * length(moved), linear=True)
