"""The Fermi-Dirac entropy on a box: mirror variable ``log((x - l) / (u - x))``, the logit on [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.bregman.elementary import exp_divergence_terms, expit, kl_terms, xlogx
from optlab.bregman.legendre import Array, SeparableLegendre, as_array_like
from optlab.core.validation import as_float_array


@dataclass(frozen=True, eq=False)
class FermiDirac(SeparableLegendre):
    """The kernel ``h(x) = sum (x - l) log(x - l) + (u - x) log(u - x)`` on the box ``[l, u]``.

    The conjugate is ``sum l y + (u - l) log(1 + exp(y)) - (u - l) log(u - l)``, its gradient
    ``l + (u - l) / (1 + exp(-y))``, the divergence the sum of the Kullback-Leibler terms of ``x - l`` and
    ``u - x``. The modulus of strong convexity is ``4 / max(u - l)``.

    Parameters
    ----------
    lower, upper : float or array_like
        Finite bounds with ``lower < upper``; arrays broadcast against the points. Default 0 and 1.

    Examples
    --------
    >>> FermiDirac().conjugate_gradient([-1e300, 0.0, 1e300])
    array([0. , 0.5, 1. ])
    >>> FermiDirac(-1.0, 3.0).gradient([1.0])
    array([0.])
    """

    domain_kind: ClassVar[str] = "box"

    @property
    def coordinate_bounds(self) -> tuple[Any, Any]:
        """`lower` and `upper`."""
        return self.lower, self.upper

    lower: Any = 0.0
    upper: Any = 1.0

    def __post_init__(self) -> None:
        lower, upper = as_float_array(self.lower, "lower"), as_float_array(self.upper, "upper")
        try:
            ordered = np.atleast_1d(lower < upper)
        except ValueError:
            raise ValueError(f"lower {lower.shape} and upper {upper.shape} must broadcast together") from None
        if not np.all(ordered):
            where = [int(i) for i in np.argwhere(~ordered)[0]]
            raise ValueError(f"lower must be below upper, but it is not at index {where}")
        for name, bound in (("lower", lower), ("upper", upper)):
            object.__setattr__(self, name, bound.copy() if bound.ndim else float(bound))
            if bound.ndim:  # the kernel is a value, hashed by content
                getattr(self, name).setflags(write=False)

    @property
    def domain(self) -> str:
        if isinstance(self.lower, float) and isinstance(self.upper, float):
            return f"{self.lower:g} < x < {self.upper:g}"
        return "lower < x < upper"

    @property
    def strong_convexity(self) -> float | None:
        return float(4 / np.max(self.upper - self.lower))

    def _bounds(self, xp: Any, x: Array) -> tuple[Any, Any, Any]:
        lower, upper = as_array_like(xp, self.lower, x), as_array_like(xp, self.upper, x)
        return lower, upper, upper - lower

    def _interior(self, xp: Any, x: Array) -> Array:
        lower, upper, _ = self._bounds(xp, x)
        return (x > lower) & (x < upper)

    def _closure(self, xp: Any, x: Array) -> Array:
        lower, upper, _ = self._bounds(xp, x)
        return (x >= lower) & (x <= upper)

    def _value(self, xp: Any, x: Array) -> Array:
        lower, upper, _ = self._bounds(xp, x)
        return xlogx(xp, x - lower) + xlogx(xp, upper - x)

    def _gradient(self, xp: Any, x: Array) -> Array:
        lower, upper, _ = self._bounds(xp, x)
        return xp.log(x - lower) - xp.log(upper - x)

    def _hessian(self, xp: Any, x: Array) -> Array:
        lower, upper, _ = self._bounds(xp, x)
        return 1 / (x - lower) + 1 / (upper - x)

    def _conjugate(self, xp: Any, y: Array) -> Array:
        lower, upper, width = self._bounds(xp, y)
        # l y + w log(1 + e^y) with the linear part taken from the side where the exponential decays
        linear = xp.where(y >= 0, upper * y, lower * y)
        if isinstance(width, float):
            return linear + width * xp.log1p(xp.exp(-xp.abs(y))) - width * float(np.log(width))
        return linear + width * xp.log1p(xp.exp(-xp.abs(y))) - width * xp.log(width)

    def _conjugate_gradient(self, xp: Any, y: Array) -> Array:
        lower, upper, width = self._bounds(xp, y)
        # measured from the nearer bound, so that neither bound is overshot by rounding
        step = width * expit(xp, -xp.abs(y))
        return xp.where(y >= 0, upper - step, lower + step)

    def _conjugate_hessian(self, xp: Any, y: Array) -> Array:
        _, _, width = self._bounds(xp, y)
        return width * expit(xp, y) * expit(xp, -y)

    def _divergence(self, xp: Any, x: Array, y: Array) -> Array:
        lower, upper, _ = self._bounds(xp, x)
        return kl_terms(xp, x - lower, y - lower) + kl_terms(xp, upper - x, upper - y)

    def _dual_divergence(self, xp: Any, u: Array, v: Array) -> Array:
        _, _, width = self._bounds(xp, u)
        left = exp_divergence_terms(xp, -_softplus(xp, -u), -_softplus(xp, -v), _log_expit_difference(xp, u, v))
        right = exp_divergence_terms(xp, -_softplus(xp, u), -_softplus(xp, v), _log_expit_difference(xp, -u, -v))
        return width * (left + right)

    def default_point(self, shape: int | tuple[int, ...]) -> np.ndarray:
        return np.array(np.broadcast_to(self.lower + (self.upper - self.lower) / 2, shape))


def _softplus(xp: Any, y: Array) -> Array:
    return xp.where(y > 0, y, xp.zeros_like(y)) + xp.log1p(xp.exp(-xp.abs(y)))


def _log_expit_difference(xp: Any, u: Array, v: Array) -> Array:
    """Return ``log expit(u) - log expit(v)``, to full relative accuracy where u and v are close."""
    d = u - v
    near = xp.abs(d) <= 1
    safe = xp.where(near, d, xp.zeros_like(d))
    return xp.where(near, -xp.log1p(xp.expm1(-safe) * expit(xp, -v)), _softplus(xp, -v) - _softplus(xp, -u))
