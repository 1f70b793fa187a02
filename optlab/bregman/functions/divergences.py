"""Separable terms that measure the distance of each coordinate to a reference: divergences, entropies and norms.

``weight`` is a positive number, or an array with one weight per coordinate, everywhere in this file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from scipy import special

from optlab.bregman.burg import BurgEntropy
from optlab.bregman.entropy import ShannonEntropy, SimplexEntropy
from optlab.bregman.euclidean import SquaredEuclidean
from optlab.bregman.fermi_dirac import FermiDirac
from optlab.bregman.functions.base import Array, Function, as_weight, shown_shape
from optlab.bregman.functions.rays import Ray, inner, no_direction
from optlab.bregman.legendre import Legendre
from optlab.core.validation import as_data


def _below_zero(direction: Array) -> Ray:
    """The support function of the non-negative orthant."""
    return Ray(np.minimum(direction, 0.0))


def _below(y: Array, limit: Any) -> float:
    """Return the largest s with ``s y`` strictly below `limit`, which is positive."""
    largest = float(np.max(y / limit, initial=0.0))
    return math.inf if largest <= 0 else (1.0 - 1e-6) / largest


def _range(weights: Any) -> tuple[float, float]:
    return float(np.max(weights)), float(np.min(weights))


@dataclass(frozen=True, eq=False)
class NegativeEntropy(Function):
    """The negative entropy ``sum weight * (x log x - x)`` on ``x >= 0``.

    Parameters
    ----------
    weight : float or array_like
        Default 1.

    Examples
    --------
    >>> NegativeEntropy(2.0).value(np.array([1.0, 0.0]))
    -2.0
    """

    weight: Any = 1.0
    smooth: ClassVar[bool] = True
    separable: ClassVar[bool] = True
    single_valued: ClassVar[bool] = True
    smooth_conjugate: ClassVar[bool] = True
    conjugate_domain: ClassVar[str] = "everywhere"

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", as_weight(self.weight))

    @property
    def shape(self) -> tuple[int, ...] | None:
        return shown_shape(self.weight)

    def value(self, x: Array) -> float:
        if np.min(x) < 0:
            return math.inf
        return float(np.sum(self.weight * (special.xlogy(x, x) - x)))

    def conjugate_value(self, y: Array) -> float:
        with np.errstate(over="ignore"):
            return float(np.sum(self.weight * np.exp(y / self.weight)))

    def conjugate_gradient(self, y: Array) -> Array:
        return np.asarray(np.exp(y / self.weight))

    def gradient(self, x: Array) -> Array:
        return self.weight * np.log(x)

    def second_derivative(self, x: Array) -> Array:
        return self.weight / x

    def support(self, direction: Array) -> Ray:
        return _below_zero(direction)

    def recession(self, direction: Array) -> Ray:
        return no_direction(direction)

    def relative_smoothness(self, kernel: Any) -> tuple[float, float] | None:
        return _entropic_constants(kernel, self.weight)


@dataclass(frozen=True, eq=False)
class KullbackLeibler(Function):
    """The Kullback-Leibler divergence ``sum weight * (x log(x/q) - x + q)`` on ``x >= 0``.

    Parameters
    ----------
    q : array_like or float
        Reference, positive.
    weight : float or array_like
        Default 1.

    Examples
    --------
    >>> KullbackLeibler([1.0, 2.0]).value(np.array([1.0, 2.0]))
    0.0
    """

    q: Any
    weight: Any = 1.0
    smooth: ClassVar[bool] = True
    separable: ClassVar[bool] = True
    single_valued: ClassVar[bool] = True
    smooth_conjugate: ClassVar[bool] = True
    conjugate_domain: ClassVar[str] = "everywhere"

    def __post_init__(self) -> None:
        object.__setattr__(self, "q", as_data(self.q, "q", positive=True))
        object.__setattr__(self, "weight", as_weight(self.weight))

    @property
    def shape(self) -> tuple[int, ...] | None:
        return shown_shape(self.q, self.weight)

    @cached_property
    def log_q(self) -> Array:
        """The logarithms of q."""
        return np.log(self.q)

    def value(self, x: Array) -> float:
        return float(np.sum(self.weight * special.kl_div(x, self.q)))

    def conjugate_value(self, y: Array) -> float:
        with np.errstate(over="ignore"):
            return float(np.sum(self.weight * self.q * np.expm1(y / self.weight)))

    def conjugate_gradient(self, y: Array) -> Array:
        return np.asarray(self.q * np.exp(y / self.weight))

    def gradient(self, x: Array) -> Array:
        return self.weight * (np.log(x) - np.log(self.q))

    def second_derivative(self, x: Array) -> Array:
        return self.weight / x

    def support(self, direction: Array) -> Ray:
        return _below_zero(direction)

    def recession(self, direction: Array) -> Ray:
        return no_direction(direction)

    def relative_smoothness(self, kernel: Any) -> tuple[float, float] | None:
        return _entropic_constants(kernel, self.weight)


def _entropic_constants(kernel: Legendre, weight: Any) -> tuple[float, float] | None:
    if isinstance(kernel, (ShannonEntropy, SimplexEntropy)):
        return _range(weight)
    if isinstance(kernel, FermiDirac) and np.min(kernel.lower) >= 0:
        return float(np.max(weight)), 0.0  # 1/x <= 1/(x - lower) + 1/(upper - x)
    return None


@dataclass(frozen=True, eq=False)
class Poisson(Function):
    """The Poisson likelihood term ``sum weight * (x - q log x)`` on ``x > 0`` (negative log-likelihood of counts q).

    Parameters
    ----------
    q : array_like or float
        Counts, non-negative; where ``q = 0`` the term is linear.
    weight : float or array_like
        Default 1.

    Examples
    --------
    >>> Poisson([1.0, 0.0]).value(np.array([1.0, 3.0]))
    4.0
    """

    q: Any
    weight: Any = 1.0
    smooth: ClassVar[bool] = True
    separable: ClassVar[bool] = True
    single_valued: ClassVar[bool] = True
    conjugate_domain: ClassVar[str] = "ball"

    def __post_init__(self) -> None:
        object.__setattr__(self, "q", as_data(self.q, "q", nonnegative=True))
        object.__setattr__(self, "weight", as_weight(self.weight))

    @property
    def shape(self) -> tuple[int, ...] | None:
        return shown_shape(self.q, self.weight)

    def value(self, x: Array) -> float:
        if np.any((x < 0) | ((x == 0) & (self.q > 0))):
            return math.inf
        return float(np.sum(self.weight * (x - special.xlogy(self.q, x))))

    def conjugate_value(self, y: Array) -> float:
        room = 1.0 - y / self.weight
        if np.any((room < 0) | ((room <= 0) & (self.q > 0))):
            return math.inf
        counted = np.broadcast_to(self.q > 0, np.shape(y))
        ratio = np.divide(self.q, room, out=np.ones(np.shape(y)), where=counted)
        return float(np.sum(self.weight * (special.xlogy(self.q, ratio) - self.q)))

    def conjugate_scale(self, y: Array) -> float:
        return _below(y, self.weight)

    def gradient(self, x: Array) -> Array:
        x = np.asarray(x)
        counted = np.broadcast_to(self.q > 0, x.shape)  # where q = 0 the slope is 1 even at x = 0
        return self.weight * (1.0 - np.divide(self.q, x, out=np.zeros_like(x), where=counted))

    def second_derivative(self, x: Array) -> Array:
        x = np.asarray(x)
        counted = np.broadcast_to(self.q > 0, x.shape)
        return self.weight * np.divide(self.q, x * x, out=np.zeros_like(x), where=counted)

    def support(self, direction: Array) -> Ray:
        return _below_zero(direction)

    def recession(self, direction: Array) -> Ray:
        moved = np.maximum(direction, 0.0)
        return Ray(moved, *inner(self.weight, moved))

    def relative_smoothness(self, kernel: Any) -> tuple[float, float] | None:
        if isinstance(kernel, BurgEntropy):  # the divergence is weight * q times that of Burg's entropy
            return _range(self.weight * self.q)
        return None


@dataclass(frozen=True, eq=False)
class ItakuraSaito(Function):
    """The Itakura-Saito divergence ``sum weight * (x/q - log(x/q) - 1)`` on ``x > 0``.

    Parameters
    ----------
    q : array_like or float
        Reference, positive.
    weight : float or array_like
        Default 1.

    Examples
    --------
    >>> ItakuraSaito([1.0, 2.0]).value(np.array([1.0, 2.0]))
    0.0
    """

    q: Any
    weight: Any = 1.0
    smooth: ClassVar[bool] = True
    separable: ClassVar[bool] = True
    single_valued: ClassVar[bool] = True
    conjugate_domain: ClassVar[str] = "ball"

    def __post_init__(self) -> None:
        object.__setattr__(self, "q", as_data(self.q, "q", positive=True))
        object.__setattr__(self, "weight", as_weight(self.weight))

    @property
    def shape(self) -> tuple[int, ...] | None:
        return shown_shape(self.q, self.weight)

    def value(self, x: Array) -> float:
        if np.min(x) <= 0:
            return math.inf
        ratio = x / self.q
        return float(np.sum(self.weight * (ratio - 1.0 - np.log(ratio))))

    def conjugate_value(self, y: Array) -> float:
        room = self.q * y / self.weight
        return math.inf if np.any(room >= 1) else -float(np.sum(self.weight * np.log1p(-room)))

    def conjugate_scale(self, y: Array) -> float:
        return _below(y, self.weight / self.q)

    def gradient(self, x: Array) -> Array:
        return self.weight * (1.0 / self.q - 1.0 / x)

    def second_derivative(self, x: Array) -> Array:
        return self.weight / x**2

    def support(self, direction: Array) -> Ray:
        return _below_zero(direction)

    def recession(self, direction: Array) -> Ray:
        moved = np.maximum(direction, 0.0)
        return Ray(moved, *inner(self.weight / self.q, moved))

    def relative_smoothness(self, kernel: Any) -> tuple[float, float] | None:
        return _range(self.weight) if isinstance(kernel, BurgEntropy) else None


@dataclass(frozen=True, eq=False)
class SquaredDistance(Function):
    """The squared Euclidean distance ``sum (weight/2) (x - q)^2``.

    Parameters
    ----------
    q : array_like or float
        Reference. Default 0.
    weight : float or array_like
        At least 0. Default 1.

    Examples
    --------
    >>> SquaredDistance([1.0, 0.0], weight=2.0).value(np.array([0.0, 2.0]))
    5.0
    """

    q: Any = 0.0
    weight: Any = 1.0
    smooth: ClassVar[bool] = True
    separable: ClassVar[bool] = True
    single_valued: ClassVar[bool] = True
    whole_space: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "q", as_data(self.q, "q"))
        object.__setattr__(self, "weight", as_weight(self.weight, zero=True))
        object.__setattr__(self, "smooth_conjugate", bool(np.all(self.weight > 0)))
        object.__setattr__(self, "conjugate_domain", "everywhere" if np.all(self.weight > 0) else "star")

    @property
    def shape(self) -> tuple[int, ...] | None:
        return shown_shape(self.q, self.weight)

    def value(self, x: Array) -> float:
        return 0.5 * float(np.sum(self.weight * (x - self.q) ** 2))

    def conjugate_value(self, y: Array) -> float:
        weight = np.broadcast_to(self.weight, np.shape(y))
        if np.any((weight == 0) & (y != 0)):
            return math.inf
        return float(np.sum(0.5 * np.divide(y * y, weight, out=np.zeros(np.shape(y)), where=weight > 0) + self.q * y))

    def conjugate_scale(self, y: Array) -> float:
        return 0.0 if np.any((np.broadcast_to(self.weight, np.shape(y)) == 0) & (y != 0)) else math.inf

    def conjugate_gradient(self, y: Array) -> Array:
        return np.asarray(self.q + y / self.weight)

    def gradient(self, x: Array) -> Array:
        return self.weight * (x - self.q)

    def second_derivative(self, x: Array) -> Array:
        return self.weight * np.ones_like(x)

    def recession(self, direction: Array) -> Ray:
        return no_direction(direction)

    def relative_smoothness(self, kernel: Any) -> tuple[float, float] | None:
        largest, smallest = _range(self.weight)
        return euclidean_constants(kernel, largest, smallest)


def euclidean_constants(kernel: Any, largest: float, smallest: float) -> tuple[float, float] | None:
    """Return ``(L, mu)`` relative to `kernel` of a function with Hessian eigenvalues in ``[smallest, largest]``.

    ``L = largest / strong_convexity``: for Fermi-Dirac on ``[0, 1]`` that is ``largest / 4``. Only the Euclidean kernel
    is smooth itself, so ``mu`` is 0 for all others.
    """
    modulus = kernel.strong_convexity
    if modulus is None or not modulus > 0:
        return None
    return largest / float(modulus), smallest if isinstance(kernel, SquaredEuclidean) else 0.0


@dataclass(frozen=True, eq=False)
class BregmanDistance(Function):
    """The distance ``weight * D_h(x, q)`` of a kernel ``h`` to a fixed point.

    Parameters
    ----------
    q : array_like
        Reference in the interior of the kernel's domain.
    kernel : Legendre
        The kernel ``h`` that defines the distance; it may differ from the one of the resolvent.
    weight : float
        Default 1.
    """

    q: Any
    kernel: Legendre
    weight: float = 1.0
    smooth: ClassVar[bool] = True
    single_valued: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not isinstance(self.kernel, Legendre):
            raise TypeError(f"kernel must be a Legendre kernel, got {type(self.kernel).__name__}")
        object.__setattr__(self, "q", as_data(self.q, "q"))
        object.__setattr__(self, "weight", as_weight(self.weight))
        if np.ndim(self.weight):
            raise ValueError(f"weight must be a number for a BregmanDistance, got shape {np.shape(self.weight)}")
        self.kernel.check_domain(self.q, "q")
        object.__setattr__(self, "separable", bool(self.kernel.separable))
        object.__setattr__(self, "smooth_conjugate", bool(self.kernel.full_dual))
        object.__setattr__(self, "conjugate_domain", "everywhere" if self.kernel.full_dual else None)

    @property
    def shape(self) -> tuple[int, ...] | None:
        return shown_shape(self.q)

    def value(self, x: Array) -> float:
        if not self.kernel.in_closure(x):
            return math.inf
        return self.weight * float(self.kernel.divergence(x, self.q))

    def conjugate_value(self, y: Array) -> float:
        mirror = self.kernel.gradient(self.q)
        with np.errstate(over="ignore"):
            moved = float(self.kernel.conjugate(mirror + y / self.weight))
        return self.weight * (moved - float(self.kernel.conjugate(mirror)))

    def conjugate_gradient(self, y: Array) -> Array:
        return np.asarray(self.kernel.conjugate_gradient(self.kernel.gradient(self.q) + y / self.weight))

    def gradient(self, x: Array) -> Array:
        return np.asarray(self.weight * (self.kernel.gradient(x) - self.kernel.gradient(self.q)))

    def second_derivative(self, x: Array) -> Array | None:
        return np.asarray(self.weight * self.kernel.hessian_diagonal(x)) if self.separable else None

    def relative_smoothness(self, kernel: Any) -> tuple[float, float] | None:
        return (self.weight, self.weight) if kernel == self.kernel else None


@dataclass(frozen=True, eq=False)
class L1Norm(Function):
    """The weighted 1-norm ``sum weight * |x|``.

    Parameters
    ----------
    weight : float or array_like
        At least 0; coordinates of weight 0 (an intercept) are not penalised. Default 1.

    Examples
    --------
    >>> L1Norm(2.0).value(np.array([1.0, -2.0]))
    6.0
    """

    weight: Any = 1.0
    separable: ClassVar[bool] = True
    whole_space: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", as_weight(self.weight, zero=True))
        object.__setattr__(self, "conjugate_domain", "ball" if np.all(self.weight > 0) else "star")

    @property
    def shape(self) -> tuple[int, ...] | None:
        return shown_shape(self.weight)

    def value(self, x: Array) -> float:
        return float(np.sum(self.weight * np.abs(x)))

    def project_dual(self, y: Array) -> Array:
        """Return y clipped to the box."""
        return np.clip(y, -self.weight, self.weight).astype(y.dtype, copy=False)

    def conjugate_value(self, y: Array) -> float:
        return 0.0 if np.all(np.abs(y) <= self.weight * (1.0 + 1e-12)) else math.inf

    def conjugate_scale(self, y: Array) -> float:
        weight = np.broadcast_to(self.weight, np.shape(y))
        if np.any((weight == 0) & (y != 0)):
            return 0.0
        largest = float(np.max(np.divide(np.abs(y), weight, out=np.zeros(np.shape(y)), where=weight > 0), initial=0.0))
        return math.inf if largest == 0 else 1.0 / largest

    def recession(self, direction: Array) -> Ray:
        return Ray(direction, *inner(self.weight, np.abs(direction)), linear=True)
