"""Shannon's entropy, on the orthant and on the simplex: the kernels of multiplicative updates.

`ShannonEntropy` is ``h(x) = sum x log x - x`` on x >= 0, with mirror variable ``log x`` and the Kullback-Leibler
divergence. `SimplexEntropy` is ``h(x) = sum x log x`` restricted to a simplex: its mirror variables are classes of
vectors that differ by a constant, and its conjugate gradient is softmax.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.bregman.elementary import exp_divergence_terms, kl_terms, logsumexp, quiet, xlogx
from optlab.bregman.legendre import Array, Legendre, SeparableLegendre, as_point, first_entry, reduce_sum, require
from optlab.core.backend import namespace
from optlab.core.errors import DomainError
from optlab.core.validation import as_number


@dataclass(frozen=True, eq=False)
class ShannonEntropy(SeparableLegendre):
    """The kernel ``h(x) = sum x log x - x`` on the orthant, with ``h*(y) = sum exp(y)``.

    The divergence is the Kullback-Leibler divergence of non-negative vectors, ``sum x log(x/y) - x + y``. There is no
    modulus of strong convexity on the whole orthant; on the simplex it is 1 in the l1 norm (Pinsker).

    Examples
    --------
    >>> kernel = ShannonEntropy()
    >>> kernel.gradient([1.0, np.e])
    array([0., 1.])
    >>> kernel.divergence([0.0, 1.0], [0.5, 1.0])
    0.5
    >>> kernel.gradient([1.0, 0.0])
    Traceback (most recent call last):
        ...
    optlab.core.errors.DomainError: x must lie in the domain of ShannonEntropy() (x > 0), got 0 at index [1]
    """

    domain_kind: ClassVar[str] = "orthant"

    @property
    def coordinate_bounds(self) -> tuple[Any, Any]:
        """0 and infinity."""
        return 0.0, math.inf

    @property
    def domain(self) -> str:
        return "x > 0"

    def _interior(self, xp: Any, x: Array) -> Array:
        return x > 0

    def _closure(self, xp: Any, x: Array) -> Array:
        return x >= 0

    def _value(self, xp: Any, x: Array) -> Array:
        return xlogx(xp, x) - x

    def _gradient(self, xp: Any, x: Array) -> Array:
        return xp.log(x)

    def _hessian(self, xp: Any, x: Array) -> Array:
        return 1 / x

    def _conjugate(self, xp: Any, y: Array) -> Array:
        return xp.exp(y)

    def _conjugate_gradient(self, xp: Any, y: Array) -> Array:
        return xp.exp(y)

    def _conjugate_hessian(self, xp: Any, y: Array) -> Array:
        return xp.exp(y)

    def _divergence(self, xp: Any, x: Array, y: Array) -> Array:
        return kl_terms(xp, x, y)

    def _dual_divergence(self, xp: Any, u: Array, v: Array) -> Array:
        return exp_divergence_terms(xp, u, v)

    def default_point(self, shape: int | tuple[int, ...]) -> np.ndarray:
        return np.ones(shape)


@dataclass(frozen=True, eq=False)
class SimplexEntropy(Legendre):
    """The kernel ``h(x) = sum x log x`` restricted to the simplex ``{x >= 0, sum x = total}``.

    Its conjugate is ``total * logsumexp(y) - total * log(total)``, its conjugate gradient ``total * softmax(y)``. A
    mirror variable is given up to an additive constant; `gradient` returns the representative ``log x``, and `gauge`
    brings any mirror variable to that form without leaving the log domain.

    The modulus of strong convexity is ``1/total``, in the l1 norm (Pinsker) and so in the Euclidean norm.

    Parameters
    ----------
    total : float
        The sum of a point, positive. Default 1.
    axis : int, optional
        Each slice along this axis is a point of its own simplex (rows of a policy: ``axis=-1``). Default: all entries
        together form one point.

    Examples
    --------
    >>> kernel = SimplexEntropy()
    >>> kernel.conjugate_gradient([0.0, 0.0])
    array([0.5, 0.5])
    >>> SimplexEntropy(axis=-1).conjugate_gradient([[1e300, 0.0], [7.0, 7.0]])
    array([[1. , 0. ],
           [0.5, 0.5]])
    """

    domain_kind: ClassVar[str] = "simplex"

    total: float = 1.0
    axis: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "total", as_number(self.total, "total", above=0))
        if self.axis is not None and (isinstance(self.axis, bool) or not isinstance(self.axis, int)):
            raise TypeError(f"axis must be an integer or None, got {self.axis!r}")

    @property
    def domain(self) -> str:
        along = "" if self.axis is None else f" along axis {self.axis}"
        return f"x > 0 with sum {self.total:g}{along}"

    @property
    def strong_convexity(self) -> float | None:
        return 1 / self.total

    def gauge(self, y: Array) -> Array:
        """Return the representative of the mirror variable `y` whose exponential is the point itself.

        Examples
        --------
        >>> SimplexEntropy().gauge([-1000.0, -1000.0])
        array([-0.69314718, -0.69314718])
        """
        xp, y = as_point(y, "y")
        with quiet():
            return y - logsumexp(xp, y, self.axis) + math.log(self.total)

    def value(self, x: Array, axis: int | None = None) -> Any:
        xp, x = as_point(x, "x")
        with quiet():
            inside = (x >= 0) & self._sums_match(xp, x)
            return reduce_sum(xp, xp.where(inside, xlogx(xp, x), xp.full_like(x, float("inf"))), axis)

    def gradient(self, x: Array) -> Array:
        xp, x = self._inner_point(x, "x")
        return xp.log(x)

    def conjugate(self, y: Array, axis: int | None = None) -> Any:
        xp, y = as_point(y, "y")
        with quiet():
            per_simplex = self.total * (logsumexp(xp, y, self.axis) - math.log(self.total))
        return float(xp.sum(per_simplex)) if axis is None else xp.sum(per_simplex, axis=axis)

    def conjugate_gradient(self, y: Array) -> Array:
        xp, y = as_point(y, "y")
        with quiet():
            weights = xp.exp(y - xp.max(y, axis=self.axis, keepdims=True))
            return weights * (self.total / xp.sum(weights, axis=self.axis, keepdims=True))

    def divergence(self, x: Array, y: Array, axis: int | None = None) -> Any:
        xp, x = as_point(x, "x")
        _, y = as_point(y, "y")
        if not self.in_closure(y):
            raise DomainError(f"y must lie in the closure of the domain of {self.label} ({self.domain})")
        with quiet():
            inside = (x >= 0) & self._sums_match(xp, x)
            terms = kl_terms(xp, x, y)
            return reduce_sum(xp, xp.where(inside, terms, xp.full_like(terms, float("inf"))), axis)

    def dual_divergence(self, u: Array, v: Array, axis: int | None = None) -> Any:
        xp = namespace(u)
        with quiet():
            return reduce_sum(xp, exp_divergence_terms(xp, self.gauge(u), self.gauge(v)), axis)

    def in_domain(self, x: Array) -> bool:
        xp = namespace(x)
        x = xp.asarray(x)
        return bool(xp.all(xp.isfinite(x) & (x > 0))) and bool(xp.all(self._sums_match(xp, x)))

    def in_closure(self, x: Array) -> bool:
        xp = namespace(x)
        x = xp.asarray(x)
        return bool(xp.all(xp.isfinite(x) & (x >= 0))) and bool(xp.all(self._sums_match(xp, x)))

    def check_domain(self, x: Array, name: str = "x") -> None:
        self._inner_point(x, name)

    def default_point(self, shape: int | tuple[int, ...]) -> np.ndarray:
        point = np.ones(shape)
        return point * (self.total / (point.size if self.axis is None else point.shape[self.axis]))

    def _inner_point(self, x: Array, name: str) -> tuple[Any, Array]:
        xp, x = as_point(x, name)
        require(xp, x, x > 0, name, f"the domain of {self.label} ({self.domain})")
        match = self._sums_match(xp, x)
        if not bool(xp.all(match)):
            index, got = first_entry(xp, xp.sum(x, axis=self.axis, keepdims=True), ~match)
            where = "" if self.axis is None else f" in the slice {index}"
            raise DomainError(f"{name} must sum to {self.total:g}{where}, got {got:.17g}")
        return xp, x

    def _sums_match(self, xp: Any, x: Array) -> Array:
        # points come from sums of rounded numbers: accept what the dtype can tell, about 1e-9 (float64), 1e-4 (float32)
        slack = self.total * max(1e-9, 1e3 * float(xp.finfo(x.dtype).eps))
        return xp.abs(xp.sum(x, axis=self.axis, keepdims=True) - self.total) <= slack
