"""The Hellinger kernel ``h(x) = -sum sqrt(r^2 - x^2)`` on the cube ``[-r, r]^n``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.bregman.legendre import Array, SeparableLegendre
from optlab.core.validation import as_number


@dataclass(frozen=True, eq=False)
class Hellinger(SeparableLegendre):
    """The kernel ``h(x) = -sum sqrt(r^2 - x^2)``, with ``h*(y) = r sum sqrt(1 + y^2)``.

    The mirror variable is ``x / sqrt(r^2 - x^2)``, any real number; the modulus of strong convexity is ``1/r``.

    Parameters
    ----------
    radius : float
        The radius r, positive. Default 1.

    Examples
    --------
    >>> Hellinger().gradient([0.0, 0.6])
    array([0.  , 0.75])
    >>> Hellinger(2.0).conjugate_gradient([-1e300, 0.0, 1e300])
    array([-2.,  0.,  2.])
    """

    domain_kind: ClassVar[str] = "box"

    @property
    def coordinate_bounds(self) -> tuple[Any, Any]:
        """Plus and minus `radius`."""
        return -self.radius, self.radius

    radius: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", as_number(self.radius, "radius", above=0))

    @property
    def domain(self) -> str:
        return f"-{self.radius:g} < x < {self.radius:g}"

    @property
    def strong_convexity(self) -> float | None:
        return 1 / self.radius

    def _interior(self, xp: Any, x: Array) -> Array:
        return xp.abs(x) < self.radius

    def _closure(self, xp: Any, x: Array) -> Array:
        return xp.abs(x) <= self.radius

    def _depth(self, xp: Any, x: Array) -> Array:
        """``sqrt(r^2 - x^2)`` without cancellation at the bounds; two roots, since the product may overflow."""
        return xp.sqrt(self.radius - x) * xp.sqrt(self.radius + x)

    def _value(self, xp: Any, x: Array) -> Array:
        return -self._depth(xp, x)

    def _gradient(self, xp: Any, x: Array) -> Array:
        return x / self._depth(xp, x)

    def _hessian(self, xp: Any, x: Array) -> Array:
        depth = self._depth(xp, x)
        return (self.radius / depth) ** 2 / depth

    def _conjugate(self, xp: Any, y: Array) -> Array:
        return self.radius * xp.hypot(xp.ones_like(y), y)

    def _conjugate_gradient(self, xp: Any, y: Array) -> Array:
        return self.radius * (y / xp.hypot(xp.ones_like(y), y))

    def _conjugate_hessian(self, xp: Any, y: Array) -> Array:
        return self.radius / xp.hypot(xp.ones_like(y), y) ** 3

    def _divergence(self, xp: Any, x: Array, y: Array) -> Array:
        # With a, b the depths of x and y, D = ((x-y)^2 + (a-b)^2) / (2b) and a - b = (y-x)(x+y) / (a+b)
        a, b = self._depth(xp, x), self._depth(xp, y)
        inside = b > 0
        slope = (x + y) / xp.where(inside, a + b, xp.ones_like(b))
        terms = (x - y) * ((x - y) / (2 * xp.where(inside, b, xp.ones_like(b)))) * (1 + slope * slope)
        at_bound = xp.where(x == y, xp.zeros_like(terms), xp.full_like(terms, float("inf")))
        return xp.where(inside, terms, at_bound)

    def _dual_divergence(self, xp: Any, u: Array, v: Array) -> Array:
        # With s = sqrt(1 + .^2): s(u) s(v) - 1 - uv = ((u-v)^2 - (s(u)-s(v))^2) / 2, factored into positive parts
        one = xp.ones_like(u + v)
        s_u, s_v = xp.hypot(one, u), xp.hypot(one, v)
        plus = _hypot_minus(xp, u, s_u) + _hypot_minus(xp, v, s_v)
        minus = _hypot_minus(xp, -u, s_u) + _hypot_minus(xp, -v, s_v)
        ratio = (u - v) / (s_u + s_v)
        return self.radius * ratio * ratio * (plus / s_v) * minus / 2

    def default_point(self, shape: int | tuple[int, ...]) -> np.ndarray:
        return np.zeros(shape)


def _hypot_minus(xp: Any, y: Array, s: Array) -> Array:
    """Return ``s - y`` for ``s = sqrt(1 + y^2)`` without cancellation."""
    return xp.where(y > 0, 1 / (s + xp.abs(y)), s - y)
