"""Burg's entropy ``h(x) = -sum log x`` on the open orthant; its divergence is the Itakura-Saito divergence.

The one elementwise kernel here whose gradient is not onto: ``-1/x`` is negative, so that a reflection or an
extrapolation of mirror variables can leave ``dom h*`` (the range condition of `optlab.bregman.operators`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.bregman.elementary import log_ratio, phi
from optlab.bregman.legendre import Array, SeparableLegendre


@dataclass(frozen=True, eq=False)
class BurgEntropy(SeparableLegendre):
    """The kernel ``h(x) = -sum log x`` on x > 0, with ``h*(y) = -n - sum log(-y)`` on y < 0.

    The divergence ``sum x/y - log(x/y) - 1`` (Itakura-Saito) is invariant to scaling of both arguments. There is no
    modulus of strong convexity; on ``x <= r`` it is ``1/r^2``.

    Examples
    --------
    >>> kernel = BurgEntropy()
    >>> kernel.gradient([1.0, 4.0])
    array([-1.  , -0.25])
    >>> kernel.in_dual_domain([-1.0, 0.5]), kernel.full_dual
    (False, False)
    """

    domain_kind: ClassVar[str] = "orthant"
    dual_coordinate_bounds: ClassVar[tuple[float, float]] = (-math.inf, 0.0)

    @property
    def coordinate_bounds(self) -> tuple[Any, Any]:
        """0 and infinity."""
        return 0.0, math.inf

    full_dual: ClassVar[bool] = False
    dual_domain: ClassVar[str] = "y < 0"

    @property
    def domain(self) -> str:
        return "x > 0"

    def _interior(self, xp: Any, x: Array) -> Array:
        return x > 0

    def _closure(self, xp: Any, x: Array) -> Array:
        return x >= 0

    def _dual_interior(self, xp: Any, y: Array) -> Array:
        return y < 0

    def _value(self, xp: Any, x: Array) -> Array:
        return -xp.log(x)

    def _gradient(self, xp: Any, x: Array) -> Array:
        return -1 / x

    def _hessian(self, xp: Any, x: Array) -> Array:
        return (1 / x) ** 2

    def _conjugate(self, xp: Any, y: Array) -> Array:
        return -1 - xp.log(-y)

    def _conjugate_gradient(self, xp: Any, y: Array) -> Array:
        return -1 / y

    def _conjugate_hessian(self, xp: Any, y: Array) -> Array:
        return (1 / y) ** 2

    def _divergence(self, xp: Any, x: Array, y: Array) -> Array:
        inside = (x > 0) & (y > 0)
        t = log_ratio(xp, x, y)
        terms = phi(xp, xp.where(inside, t, xp.zeros_like(t)))
        return xp.where(inside, terms, xp.full_like(terms, float("inf")))

    def _dual_divergence(self, xp: Any, u: Array, v: Array) -> Array:
        return phi(xp, log_ratio(xp, -u, -v))

    def default_point(self, shape: int | tuple[int, ...]) -> np.ndarray:
        return np.ones(shape)
