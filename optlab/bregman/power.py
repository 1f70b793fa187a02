"""Power kernels on the whole space: ``h(x) = sum |x|^p / p`` and ``h(x) = ||x||_p^2 / 2``, for p > 1.

The second is the mirror map of p-norm algorithms (Gentile 2003; Grove, Littlestone and Schuurmans 2001). Both are the
squared Euclidean kernel for p = 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.bregman.elementary import log_ratio, phi, quiet
from optlab.bregman.legendre import Array, Legendre, SeparableLegendre, as_point, reduce_sum
from optlab.core.backend import namespace
from optlab.core.validation import as_number


@dataclass(frozen=True, eq=False)
class PowerEntropy(SeparableLegendre):
    """The kernel ``h(x) = sum |x|^p / p`` with conjugate ``sum |y|^q / q``, ``1/p + 1/q = 1``.

    The mirror variable is ``sign(x) |x|^(p-1)``. The Hessian is infinite at 0 for p < 2 and zero there for p > 2, so a
    modulus of strong convexity exists only for p = 2.

    Parameters
    ----------
    p : float
        Exponent above 1. Default 2.

    Examples
    --------
    >>> PowerEntropy(3.0).gradient([-2.0, 1.0])
    array([-4.,  1.])
    >>> PowerEntropy(3.0).conjugate_gradient([-4.0, 1.0])
    array([-2.,  1.])
    """

    domain_kind: ClassVar[str] = "space"

    p: float = 2.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", as_number(self.p, "p", above=1))

    @property
    def dual_exponent(self) -> float:
        """The exponent q with ``1/p + 1/q = 1``."""
        return self.p / (self.p - 1)

    @property
    def strong_convexity(self) -> float | None:
        return 1.0 if self.p == 2 else None

    def _interior(self, xp: Any, x: Array) -> Array:
        return xp.isfinite(x)

    def _closure(self, xp: Any, x: Array) -> Array:
        return xp.isfinite(x)

    def _value(self, xp: Any, x: Array) -> Array:
        return xp.abs(x) ** self.p / self.p

    def _gradient(self, xp: Any, x: Array) -> Array:
        return signed_power(xp, x, self.p - 1)

    def _hessian(self, xp: Any, x: Array) -> Array:
        return (self.p - 1) * xp.abs(x) ** (self.p - 2)

    def _conjugate(self, xp: Any, y: Array) -> Array:
        return xp.abs(y) ** self.dual_exponent / self.dual_exponent

    def _conjugate_gradient(self, xp: Any, y: Array) -> Array:
        return signed_power(xp, y, self.dual_exponent - 1)

    def _conjugate_hessian(self, xp: Any, y: Array) -> Array:
        return (self.dual_exponent - 1) * xp.abs(y) ** (self.dual_exponent - 2)

    def _divergence(self, xp: Any, x: Array, y: Array) -> Array:
        return power_divergence_terms(xp, x, y, self.p)

    def _dual_divergence(self, xp: Any, u: Array, v: Array) -> Array:
        return power_divergence_terms(xp, u, v, self.dual_exponent)

    def default_point(self, shape: int | tuple[int, ...]) -> np.ndarray:
        return np.zeros(shape)


@dataclass(frozen=True, eq=False)
class PNorm(Legendre):
    """The kernel ``h(x) = ||x||_p^2 / 2`` with conjugate ``||y||_q^2 / 2``, ``1/p + 1/q = 1``.

    For p <= 2 the modulus of strong convexity is ``p - 1``, in the p-norm and so in the Euclidean norm; for p > 2 none
    is given. With ``p = 1 + 1/log n`` it adapts to sparse points much as the entropy does, but on the whole space.

    Parameters
    ----------
    p : float
        Exponent above 1. Default 2.
    axis : int, optional
        Each slice along this axis is a vector of its own, and h sums over them. Default: all entries form one vector.

    Examples
    --------
    >>> kernel = PNorm(1.5)
    >>> kernel.conjugate_gradient(kernel.gradient([3.0, -4.0])).round(12)
    array([ 3., -4.])
    >>> PNorm(2.0).value([3.0, 4.0])
    12.5
    """

    domain_kind: ClassVar[str] = "space"

    p: float = 2.0
    axis: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", as_number(self.p, "p", above=1))
        if self.axis is not None and (isinstance(self.axis, bool) or not isinstance(self.axis, int)):
            raise TypeError(f"axis must be an integer or None, got {self.axis!r}")

    @property
    def dual_exponent(self) -> float:
        """The exponent q with ``1/p + 1/q = 1``."""
        return self.p / (self.p - 1)

    @property
    def strong_convexity(self) -> float | None:
        return self.p - 1 if self.p <= 2 else None

    def norm(self, x: Array, p: float | None = None) -> Array:
        """Return ``||x||_p`` along the kernel's axis, keeping the reduced dimension.

        Examples
        --------
        >>> PNorm(2.0).norm([3e300, 4e300])
        array([5.e+300])
        """
        xp, x = as_point(x, "x")
        with quiet():
            return _norm(xp, x, self.p if p is None else p, self.axis)

    def value(self, x: Array, axis: int | None = None) -> Any:
        return self._half_square(x, "x", self.p, axis)

    def conjugate(self, y: Array, axis: int | None = None) -> Any:
        return self._half_square(y, "y", self.dual_exponent, axis)

    def gradient(self, x: Array) -> Array:
        return self._map(x, "x", self.p)

    def conjugate_gradient(self, y: Array) -> Array:
        return self._map(y, "y", self.dual_exponent)

    def divergence(self, x: Array, y: Array, axis: int | None = None) -> Any:
        return self._divergence(x, y, ("x", "y"), self.p, axis)

    def dual_divergence(self, u: Array, v: Array, axis: int | None = None) -> Any:
        return self._divergence(u, v, ("u", "v"), self.dual_exponent, axis)

    def in_domain(self, x: Array) -> bool:
        xp = namespace(x)
        return bool(xp.all(xp.isfinite(xp.asarray(x))))

    def in_closure(self, x: Array) -> bool:
        return self.in_domain(x)

    def check_domain(self, x: Array, name: str = "x") -> None:
        as_point(x, name)

    def default_point(self, shape: int | tuple[int, ...]) -> np.ndarray:
        return np.zeros(shape)

    def _half_square(self, x: Array, name: str, p: float, axis: int | None) -> Any:
        xp, x = as_point(x, name)
        with quiet():
            norm = _norm(xp, x, p, self.axis)
            return reduce_sum(xp, norm * norm / 2, axis)

    def _map(self, x: Array, name: str, p: float) -> Array:
        xp, x = as_point(x, name)
        with quiet():
            # scaled first: the norm may overflow where the gradient does not
            top = _positive(xp, xp.max(xp.abs(x), axis=self.axis, keepdims=True))
            x = x / top
            norm = _norm(xp, x, p, self.axis)
            return top * (norm * signed_power(xp, x / _positive(xp, norm), p - 1))

    def _divergence(self, x: Array, y: Array, names: tuple[str, str], p: float, axis: int | None) -> Any:
        xp, x = as_point(x, names[0])
        _, y = as_point(y, names[1])
        along: dict[str, Any] = {"axis": self.axis, "keepdims": True}
        with quiet():
            largest = xp.max(xp.where(xp.abs(x) > xp.abs(y), xp.abs(x), xp.abs(y)), **along)
            top = _positive(xp, largest)  # scaled first, so that only the result can overflow
            x, y = x / top, y / top
            norm_x, norm_y = _norm(xp, x, p, self.axis), _norm(xp, y, p, self.axis)
            # Near: with both scaled by ||y||, D = ||y||^2 [D_power(x, y) + (n^2 - 1)/2 - (n^p - 1)/p], n = ||x||, where
            # n^p - 1 comes from the entrywise differences, so that nothing of size 1 cancels.
            a, b = x / _positive(xp, norm_y), y / _positive(xp, norm_y)
            excess = xp.sum(_power_difference(xp, a, b, p), **along)
            near = (norm_y > 0) & (xp.abs(excess) <= 0.5)
            t = xp.log1p(xp.where(near, excess, xp.zeros_like(excess))) / p
            bracket_near = xp.sum(power_divergence_terms(xp, a, b, p), **along)
            bracket_near = bracket_near + phi(xp, 2 * t) / 2 - phi(xp, p * t) / p
            # Far: nothing cancels in (||x||^2 + ||y||^2)/2 - <grad h(y), x>.
            product = norm_y * xp.sum(x * signed_power(xp, b, p - 1), **along)
            far = (norm_x * norm_x + norm_y * norm_y) / 2 - product
            scaled = xp.where(near, norm_y * bracket_near * norm_y, far)
            # for p > 2 the sum above may round below zero
            return reduce_sum(xp, top * xp.where(scaled > 0, scaled, xp.zeros_like(scaled)) * top, axis)


def signed_power(xp: Any, x: Array, exponent: float) -> Array:
    """Return ``sign(x) |x|^exponent``.

    Examples
    --------
    >>> signed_power(np, np.array([-4.0, 4.0]), 0.5)
    array([-2.,  2.])
    """
    return xp.sign(x) * xp.abs(x) ** exponent


def power_divergence_terms(xp: Any, x: Array, y: Array, p: float) -> Array:
    """Return ``|x|^p/p - |y|^p/p - sign(y)|y|^(p-1) (x - y)`` entrywise, to full relative accuracy.

    Examples
    --------
    >>> with quiet():
    ...     power_divergence_terms(np, np.array([2.0, 0.0]), np.array([0.0, 2.0]), 3.0).round(12)
    array([2.66666667, 5.33333333])
    """
    a, b = xp.abs(x), xp.abs(y)
    same = x * xp.sign(y) > 0
    t = log_ratio(xp, a, b)
    near = same & (xp.abs(t) <= 0.5)
    t = xp.where(near, t, xp.zeros_like(t))
    # close to each other: |y|^p (phi(p t)/p - phi(t)) with t = log(x/y)
    terms_near = xp.where(t == 0, xp.zeros_like(t), b**p * (phi(xp, p * t) / p - phi(xp, t)))
    # otherwise on the scale of the larger one, so that inf - inf cannot occur
    top = xp.where(a > b, a, b)
    safe = xp.where(top > 0, top, xp.ones_like(top))
    a, b = a / safe, b / safe
    cross = xp.where(same, -a * b ** (p - 1), a * b ** (p - 1))
    terms_far = top**p * (a**p / p + b**p * ((p - 1) / p) + cross)
    return xp.where(near, terms_near, terms_far)


def _norm(xp: Any, x: Array, p: float, axis: int | None) -> Array:
    top = xp.max(xp.abs(x), axis=axis, keepdims=True)
    scaled = xp.abs(x) / _positive(xp, top)
    return top * xp.sum(scaled**p, axis=axis, keepdims=True) ** (1 / p)


def _power_difference(xp: Any, x: Array, y: Array, p: float) -> Array:
    """Return ``|x|^p - |y|^p`` entrywise, accurate where x and y are close."""
    a, b = xp.abs(x), xp.abs(y)
    t = log_ratio(xp, a, b)
    near = (a > 0) & (b > 0) & (xp.abs(t) <= 0.5)
    return xp.where(near, b**p * xp.expm1(p * xp.where(near, t, xp.zeros_like(t))), a**p - b**p)


def _positive(xp: Any, divisor: Array) -> Array:
    """Return `divisor` with its zeros replaced by 1."""
    return xp.where(divisor > 0, divisor, xp.ones_like(divisor))
