"""Linear maps between arrays of any shape: what a term ``f(A x)`` asks of its operator."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from optlab.core.validation import as_integer, as_number

Array = Any


def as_shape(value: Any, name: str = "shape") -> tuple[int, ...]:
    """Return an int or a sequence of ints as a shape of positive sizes.

    Examples
    --------
    >>> as_shape(3), as_shape((2, 3))
    ((3,), (2, 3))
    """
    sizes = tuple(value) if np.ndim(value) else (value,)
    return tuple(as_integer(n, f"{name}[{i}]" if len(sizes) > 1 else name, minimum=1) for i, n in enumerate(sizes))


class LinearMap:
    """A linear map ``A`` from arrays of `shape_in` to arrays of `shape_out`, with its adjoint.

    A subclass sets both shapes and defines `apply` and `adjoint`; ``_norm_bound`` where it knows its norm, ``_tight``
    where ``A A^T`` is a multiple of the identity. The arguments of `apply` and `adjoint` are not checked and not
    changed; results are new arrays, or the argument itself if they equal it.

    Attributes
    ----------
    shape_in, shape_out : tuple of int

    Examples
    --------
    >>> from optlab.linalg import as_linear_map
    >>> A = as_linear_map([[1.0, 2.0], [0.0, 1.0], [0.0, 0.0]])
    >>> A.shape_in, A.shape_out
    ((2,), (3,))
    >>> A.apply(np.array([1.0, 1.0])), A.adjoint(np.array([1.0, 0.0, 5.0]))
    (array([3., 1., 0.]), array([1., 2.]))
    >>> (2.0 * A.T @ A).apply(np.array([1.0, 0.0]))
    array([2., 4.])
    """

    shape_in: tuple[int, ...]
    shape_out: tuple[int, ...]

    def apply(self, x: Array) -> Array:
        """Return ``A x``."""
        raise NotImplementedError(f"{type(self).__name__} does not define apply")

    def adjoint(self, y: Array) -> Array:
        """Return ``A^T y``."""
        raise NotImplementedError(f"{type(self).__name__} does not define adjoint")

    @cached_property
    def norm(self) -> float:
        """An upper bound of the spectral norm, near or equal to it; see `optlab.linalg.spectral_norm_bound`."""
        return float(self._norm_bound())

    def _norm_bound(self) -> float:
        from optlab.linalg.norms import spectral_norm_bound

        return spectral_norm_bound(self)

    @cached_property
    def tight(self) -> float | None:
        """The number nu with ``A A^T = nu I``, or None: what gives ``f(A x)`` the proximal operator of f."""
        return self._tight()

    def _tight(self) -> float | None:
        return None

    @property
    def size_in(self) -> int:
        """Number of entries of x."""
        return math.prod(self.shape_in)

    @property
    def size_out(self) -> int:
        """Number of entries of A x."""
        return math.prod(self.shape_out)

    def to_dense(self) -> np.ndarray:
        """Return the matrix of the map between raveled arrays, column by column: for small maps and for tests."""
        columns = []
        for i in range(self.size_in):
            unit = np.zeros(self.size_in)
            unit[i] = 1.0
            columns.append(np.ravel(self.apply(unit.reshape(self.shape_in))))
        return np.stack(columns, axis=1)

    @property
    def T(self) -> LinearMap:
        """The adjoint as a map of its own."""
        return Adjoint(self)

    def __matmul__(self, other: Any) -> Any:
        if isinstance(other, np.ndarray):
            return self.apply(other)
        from optlab.linalg.matrices import as_linear_map

        return Product(self, as_linear_map(other))

    def __rmatmul__(self, other: Any) -> LinearMap:
        from optlab.linalg.matrices import as_linear_map

        return Product(as_linear_map(other), self)

    # NumPy would take ``array @ map`` apart itself
    __array_ufunc__ = None

    def __rmul__(self, factor: Any) -> LinearMap:
        return Scaled(self, factor)

    __mul__ = __rmul__

    def __neg__(self) -> LinearMap:
        return Scaled(self, -1.0)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({_shown(self.shape_in)} -> {_shown(self.shape_out)})"


def _shown(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


class Identity(LinearMap):
    """The identity on arrays of a shape.

    Parameters
    ----------
    shape : int or tuple of int

    Examples
    --------
    >>> Identity(2).apply(np.array([1.0, 2.0]))
    array([1., 2.])
    """

    def __init__(self, shape: Any) -> None:
        self.shape_in = self.shape_out = as_shape(shape)

    def apply(self, x: Array) -> Array:
        return x

    def adjoint(self, y: Array) -> Array:
        return y

    def _norm_bound(self) -> float:
        return 1.0

    def _tight(self) -> float:
        return 1.0

    @property
    def T(self) -> LinearMap:
        return self


class Adjoint(LinearMap):
    """The adjoint of a linear map; made by ``A.T``."""

    def __init__(self, map: LinearMap) -> None:
        self.map = map
        self.shape_in, self.shape_out = map.shape_out, map.shape_in

    def apply(self, x: Array) -> Array:
        return self.map.adjoint(x)

    def adjoint(self, y: Array) -> Array:
        return self.map.apply(y)

    def _norm_bound(self) -> float:
        return self.map.norm

    def _tight(self) -> float | None:
        return self.map.tight if self.size_in == self.size_out else None

    @property
    def T(self) -> LinearMap:
        return self.map


class Scaled(LinearMap):
    """A multiple of a linear map; made by ``2.0 * A``."""

    def __init__(self, map: LinearMap, factor: float) -> None:
        self.map, self.factor = map, as_number(factor, "factor")
        self.shape_in, self.shape_out = map.shape_in, map.shape_out

    def apply(self, x: Array) -> Array:
        return self.factor * self.map.apply(x)

    def adjoint(self, y: Array) -> Array:
        return self.factor * self.map.adjoint(y)

    def _norm_bound(self) -> float:
        return abs(self.factor) * self.map.norm

    def _tight(self) -> float | None:
        inner = self.map.tight
        return None if inner is None or self.factor == 0 else self.factor**2 * inner


class Product(LinearMap):
    """The map ``A B x``; made by ``A @ B``."""

    def __init__(self, outer: LinearMap, inner: LinearMap) -> None:
        if inner.shape_out != outer.shape_in:
            raise ValueError(f"{outer!r} takes arrays of shape {outer.shape_in}, but {inner!r} gives {inner.shape_out}")
        self.outer, self.inner = outer, inner
        self.shape_in, self.shape_out = inner.shape_in, outer.shape_out

    def apply(self, x: Array) -> Array:
        return self.outer.apply(self.inner.apply(x))

    def adjoint(self, y: Array) -> Array:
        return self.inner.adjoint(self.outer.adjoint(y))

    def _norm_bound(self) -> float:
        from optlab.linalg.norms import spectral_norm_bound

        product = self.outer.norm * self.inner.norm
        if self.outer.tight == 1.0 and self.outer.size_in == self.outer.size_out:
            return product
        return min(product, spectral_norm_bound(self))

    def _tight(self) -> float | None:
        first, second = self.inner.tight, self.outer.tight
        return None if first is None or second is None else first * second


def inner_product(x: Array, y: Array) -> float:
    """Return the sum of the products of the entries of two arrays of one shape.

    Examples
    --------
    >>> inner_product(np.ones((2, 2)), np.full((2, 2), 3.0))
    12.0
    """
    return float(np.vdot(x, y))
