"""Legendre functions (kernels): the geometry that a Bregman method moves in.

A kernel h is strictly convex and essentially smooth, so that ``grad h`` is a bijection from the interior of ``dom h``
to the interior of ``dom h*`` with inverse ``grad h*`` (Ma, Xiao, Zhao 2025, arXiv 2509.08739, preliminaries). Its
Bregman divergence is ``D(x, y) = h(x) - h(y) - <grad h(y), x - y>``. "Mirror variable of x" means ``grad h(x)``:
methods store mirror variables and come back through `conjugate_gradient` only to show a point.

Here are the two base classes, `Legendre` and, for sums over coordinates, `SeparableLegendre`; the kernels themselves
are one family per file. Terms of an objective and resolvents are not known here.

Conventions, the same for every kernel:

* ``value`` and ``conjugate`` are ``inf`` outside the domain; ``gradient`` and ``conjugate_gradient`` raise
  `DomainError` outside its interior; NaN and infinite entries raise `DomainError` everywhere.
* Where a result leaves the range of floating-point numbers it saturates silently at 0, ``inf`` or the bound of the
  domain: ``ShannonEntropy().conjugate_gradient(-1e300)`` is 0, a point of the closure and no longer of the interior.
* Inputs are arrays of any shape (NumPy, or another array-API library for the elementwise kernels); they are not
  changed, and float32 stays float32. Sums run over all entries, giving a float, or along `axis`, giving an array.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from typing import Any, ClassVar

import numpy as np

from optlab.bregman.elementary import quiet
from optlab.core.backend import namespace
from optlab.core.errors import DomainError
from optlab.core.validation import as_float_array

Array = Any


def as_point(value: Any, name: str) -> tuple[Any, Array]:
    """Return the array namespace and `value` as a floating-point array; DomainError if an entry is NaN or infinite.

    Examples
    --------
    >>> as_point([1, 2], "x")[1]
    array([1., 2.])
    """
    try:
        xp = namespace(value)
    except TypeError:
        xp = np  # no array: what is wrong with it is said below, by name
    if xp is np:
        array: Array = as_float_array(value, name, finite=False)
    elif xp.isdtype(value.dtype, "real floating"):
        array = value
    else:
        raise TypeError(f"{name} must hold real floating-point numbers, got dtype {value.dtype}")
    finite = xp.isfinite(array)
    if not bool(xp.all(finite)):
        where, number = first_entry(xp, array, ~finite)
        raise DomainError(f"{name} must be finite, got {number} at index {where}")
    return xp, array


def reduce_sum(xp: Any, terms: Array, axis: int | None) -> Any:
    """Return the sum of `terms`: a float over all entries, or an array along `axis`."""
    total = xp.sum(terms, axis=axis)
    return float(total) if axis is None else total


def as_array_like(xp: Any, value: Any, x: Array) -> Any:
    """Return a kernel's parameter for use with `x`: numbers as they are, arrays in the library and dtype of `x`."""
    return value if isinstance(value, float) else xp.asarray(value, dtype=x.dtype)


def require(xp: Any, array: Array, mask: Array, name: str, where: str) -> None:
    """Raise DomainError, naming the first entry of `array` where `mask` is false.

    Examples
    --------
    >>> require(np, np.array([1.0, -2.0]), np.array([True, False]), "x", "x > 0")
    Traceback (most recent call last):
        ...
    optlab.core.errors.DomainError: x must lie in x > 0, got -2 at index [1]
    """
    if not bool(xp.all(mask)):
        index, number = first_entry(xp, array, ~mask)
        raise DomainError(f"{name} must lie in {where}, got {number:g} at index {index}")


def first_entry(xp: Any, array: Array, bad: Array) -> tuple[str, float]:
    """Return the first index where `bad` is true, as text, and the entry of `array` there.

    Examples
    --------
    >>> first_entry(np, np.array([[1.0, 2.0]]), np.array([[False, True]]))
    ('[0, 1]', 2.0)
    """
    flat = int(xp.nonzero(xp.reshape(bad, (-1,)))[0][0])
    where = [int(i) for i in np.unravel_index(flat, array.shape)] if array.shape else []
    return str(where), float(xp.reshape(array, (-1,))[flat])


class Legendre(abc.ABC):
    """Base class of the kernels; see the module's text for the conventions that all of them follow.

    A kernel is a frozen dataclass (with ``eq=False``) of its parameters. It is compared and hashed by them, arrays by
    content.

    Attributes
    ----------
    separable : bool
        Whether h is a sum of functions of one coordinate each.
    full_dual : bool
        Whether ``grad h`` is onto the whole space: then every mirror point is allowed and reflections always exist.
    domain, dual_domain : str
        The interiors of ``dom h`` and ``dom h*`` in words.
    domain_kind : {"space", "orthant", "box", "simplex", "semidefinite", "unknown"}
        What set the closure of ``dom h`` is: for who has to project onto it, or needs its support function.
    coordinate_bounds, dual_coordinate_bounds : tuple
        Of separable kernels: the open interval of each coordinate of ``dom h``, and of ``dom h*``.
    strong_convexity : float or None
        Modulus mu with ``D(x, y) >= mu/2 ||x - y||^2`` in the Euclidean norm; None if there is none.

    Examples
    --------
    >>> from optlab.bregman import FermiDirac
    >>> kernel = FermiDirac(lower=0.0, upper=2.0)
    >>> x, y = np.array([0.5, 1.5]), np.array([1.0, 1.0])
    >>> mirror = kernel.gradient(x)
    >>> kernel.conjugate_gradient(mirror)
    array([0.5, 1.5])
    >>> round(kernel.divergence(x, y), 6), round(kernel.dual_divergence(kernel.gradient(y), mirror), 6)
    (0.523248, 0.523248)
    >>> bool(kernel.divergence(x, y) >= kernel.strong_convexity / 2 * np.sum((x - y) ** 2))
    True
    """

    separable: ClassVar[bool] = False
    full_dual: ClassVar[bool] = True
    dual_domain: ClassVar[str] = "any real y"
    domain_kind: ClassVar[str] = "unknown"
    dual_coordinate_bounds: ClassVar[tuple[float, float]] = (-math.inf, math.inf)

    @property
    def coordinate_bounds(self) -> tuple[Any, Any]:
        """The ends of each coordinate's interval (numbers, or arrays of them)."""
        return -math.inf, math.inf

    @property
    def domain(self) -> str:
        """The interior of the domain in words."""
        return "any real x"

    @property
    def label(self) -> str:
        """The kernel in messages: its repr, or the class name where parameters are arrays."""
        if any(isinstance(getattr(self, field.name), np.ndarray) for field in dataclasses.fields(self)):  # type: ignore[arg-type]
            return type(self).__name__
        return repr(self)

    @property
    def strong_convexity(self) -> float | None:
        """Modulus of strong convexity in the Euclidean norm, None if h has none."""
        return None

    # ---- what a kernel defines

    @abc.abstractmethod
    def value(self, x: Array, axis: int | None = None) -> Any:
        """Return ``h(x)``, ``inf`` outside the (closed) domain.

        Parameters
        ----------
        x : array
            The point.
        axis : int, optional
            Sum along this axis only and return an array; default: one float over all entries.
        """

    @abc.abstractmethod
    def gradient(self, x: Array) -> Array:
        """Return the mirror variable ``grad h(x)``, of the shape and dtype of `x`; DomainError off the interior."""

    @abc.abstractmethod
    def conjugate(self, y: Array, axis: int | None = None) -> Any:
        """Return ``h*(y) = sup_x <x, y> - h(x)``, ``inf`` outside its domain; `axis` as in `value`."""

    @abc.abstractmethod
    def conjugate_gradient(self, y: Array) -> Array:
        """Return the point ``grad h*(y)`` whose mirror variable is `y`; DomainError off the interior of dom h*."""

    @abc.abstractmethod
    def divergence(self, x: Array, y: Array, axis: int | None = None) -> Any:
        """Return ``D(x, y) = h(x) - h(y) - <grad h(y), x - y> >= 0``; `axis` as in `value`.

        `x` may lie on the boundary of the domain (the result is finite where h is); it is ``inf`` if `x` lies
        outside, or if `y` lies on the boundary where `x` does not. DomainError if `y` lies outside the closure.
        """

    @abc.abstractmethod
    def dual_divergence(self, u: Array, v: Array, axis: int | None = None) -> Any:
        """Return ``D*(u, v) = h*(u) - h*(v) - <grad h*(v), u - v>``, which is ``D(grad h*(v), grad h*(u))``."""

    @abc.abstractmethod
    def in_domain(self, x: Array) -> bool:
        """Return whether `x` lies in the interior of ``dom h``."""

    @abc.abstractmethod
    def in_closure(self, x: Array) -> bool:
        """Return whether `x` lies in the closure of ``dom h``."""

    @abc.abstractmethod
    def check_domain(self, x: Array, name: str = "x") -> None:
        """Raise DomainError, naming the first bad entry, unless `x` lies in the interior of ``dom h``."""

    @abc.abstractmethod
    def default_point(self, shape: int | tuple[int, ...]) -> np.ndarray:
        """Return an interior point of the given shape, central where the domain has a centre."""

    # ---- what follows, for kernels whose gradient is onto

    def in_dual_domain(self, y: Array) -> bool:
        """Return whether `y` lies in the interior of ``dom h*``, that is, is a mirror variable of some point."""
        xp = namespace(y)
        return bool(xp.all(xp.isfinite(xp.asarray(y))))

    def check_dual_domain(self, y: Array, name: str = "y") -> None:
        """Raise DomainError, naming the first bad entry, unless `y` lies in the interior of ``dom h*``."""
        as_point(y, name)

    def hessian_diagonal(self, x: Array) -> Array:
        """Return the diagonal of the Hessian of h at `x`, of the shape of `x`; separable kernels only."""
        raise TypeError(f"{type(self).__name__} is not separable: its Hessian is not diagonal")

    def conjugate_hessian_diagonal(self, y: Array) -> Array:
        """Return the diagonal of the Hessian of h* at `y`, the inverse of that of h; separable kernels only."""
        raise TypeError(f"{type(self).__name__} is not separable: its Hessian is not diagonal")

    # ---- kernels are values: equal parameters, equal kernels

    def _key(self) -> tuple[Any, ...]:
        parts: list[Any] = [type(self)]
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            parts.append((value.shape, value.dtype.str, value.tobytes()) if isinstance(value, np.ndarray) else value)
        return tuple(parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Legendre) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())


class SeparableLegendre(Legendre):
    """Base class of the kernels ``h(x) = sum_i h_i(x_i)``, elementwise on arrays of any array-API library.

    A subclass gives the formulas below, each entrywise on arrays known to be finite, and nothing else; they are called
    with floating-point warnings off, and entries outside the domain are overwritten afterwards.

    Examples
    --------
    >>> from optlab.bregman import Hellinger
    >>> kernel = Hellinger()
    >>> kernel.value(np.zeros((2, 3))), kernel.value(np.zeros((2, 3)), axis=1)
    (-6.0, array([-3., -3.]))
    >>> kernel.hessian_diagonal([0.0, 0.6]) * kernel.conjugate_hessian_diagonal(kernel.gradient([0.0, 0.6]))
    array([1., 1.])
    """

    separable: ClassVar[bool] = True

    # ---- formulas of one coordinate

    @abc.abstractmethod
    def _interior(self, xp: Any, x: Array) -> Array:
        """Mask of the entries in the interior of the domain."""

    @abc.abstractmethod
    def _closure(self, xp: Any, x: Array) -> Array:
        """Mask of the entries in the closure of the domain."""

    @abc.abstractmethod
    def _value(self, xp: Any, x: Array) -> Array: ...

    @abc.abstractmethod
    def _gradient(self, xp: Any, x: Array) -> Array: ...

    @abc.abstractmethod
    def _hessian(self, xp: Any, x: Array) -> Array: ...

    @abc.abstractmethod
    def _conjugate(self, xp: Any, y: Array) -> Array: ...

    @abc.abstractmethod
    def _conjugate_gradient(self, xp: Any, y: Array) -> Array: ...

    @abc.abstractmethod
    def _conjugate_hessian(self, xp: Any, y: Array) -> Array: ...

    @abc.abstractmethod
    def _divergence(self, xp: Any, x: Array, y: Array) -> Array: ...

    @abc.abstractmethod
    def _dual_divergence(self, xp: Any, u: Array, v: Array) -> Array: ...

    def _dual_interior(self, xp: Any, y: Array) -> Array:
        """Mask of the entries in the interior of dom h*; every finite number unless a kernel says otherwise."""
        return xp.isfinite(y)

    # ---- the interface

    def value(self, x: Array, axis: int | None = None) -> Any:
        xp, x = as_point(x, "x")
        with quiet():
            terms = xp.where(self._closure(xp, x), self._value(xp, x), xp.full_like(x, float("inf")))
            return reduce_sum(xp, terms, axis)

    def gradient(self, x: Array) -> Array:
        xp, x = self._inner_point(x, "x")
        with quiet():
            return self._gradient(xp, x)

    def hessian_diagonal(self, x: Array) -> Array:
        xp, x = self._inner_point(x, "x")
        with quiet():
            return self._hessian(xp, x)

    def conjugate(self, y: Array, axis: int | None = None) -> Any:
        xp, y = as_point(y, "y")
        with quiet():
            terms = xp.where(self._dual_interior(xp, y), self._conjugate(xp, y), xp.full_like(y, float("inf")))
            return reduce_sum(xp, terms, axis)

    def conjugate_gradient(self, y: Array) -> Array:
        xp, y = self._dual_point(y, "y")
        with quiet():
            return self._conjugate_gradient(xp, y)

    def conjugate_hessian_diagonal(self, y: Array) -> Array:
        xp, y = self._dual_point(y, "y")
        with quiet():
            return self._conjugate_hessian(xp, y)

    def divergence(self, x: Array, y: Array, axis: int | None = None) -> Any:
        xp, x = as_point(x, "x")
        _, y = as_point(y, "y")
        require(xp, y, self._closure(xp, y), "y", f"the closure of the domain of {self.label} ({self.domain})")
        with quiet():
            terms = self._divergence(xp, x, y)
            terms = xp.where(self._closure(xp, x), terms, xp.full_like(terms, float("inf")))
            return reduce_sum(xp, terms, axis)

    def dual_divergence(self, u: Array, v: Array, axis: int | None = None) -> Any:
        xp, u = self._dual_point(u, "u")
        _, v = self._dual_point(v, "v")
        with quiet():
            return reduce_sum(xp, self._dual_divergence(xp, u, v), axis)

    def in_domain(self, x: Array) -> bool:
        xp = namespace(x)
        x = xp.asarray(x)
        return bool(xp.all(xp.isfinite(x) & self._interior(xp, x)))

    def in_closure(self, x: Array) -> bool:
        xp = namespace(x)
        x = xp.asarray(x)
        return bool(xp.all(xp.isfinite(x) & self._closure(xp, x)))

    def in_dual_domain(self, y: Array) -> bool:
        xp = namespace(y)
        y = xp.asarray(y)
        return bool(xp.all(xp.isfinite(y) & self._dual_interior(xp, y)))

    def check_domain(self, x: Array, name: str = "x") -> None:
        self._inner_point(x, name)

    def check_dual_domain(self, y: Array, name: str = "y") -> None:
        self._dual_point(y, name)

    def _inner_point(self, x: Array, name: str) -> tuple[Any, Array]:
        xp, x = as_point(x, name)
        require(xp, x, self._interior(xp, x), name, f"the domain of {self.label} ({self.domain})")
        return xp, x

    def _dual_point(self, y: Array, name: str) -> tuple[Any, Array]:
        xp, y = as_point(y, name)
        if not self.full_dual:
            where = f"the dual domain of {self.label} ({self.dual_domain})"
            require(xp, y, self._dual_interior(xp, y), name, where)
        return xp, y
