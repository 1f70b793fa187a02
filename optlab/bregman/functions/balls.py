"""Indicators of balls, half-spaces, cones and sets of matrices."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.bregman.functions.base import FEASIBILITY_TOLERANCE, Array, shown_shape
from optlab.bregman.functions.rays import ROUNDING, Ray, length, no_direction
from optlab.bregman.functions.sets import Indicator
from optlab.core.validation import as_data, as_integer, as_number

_SLACK = 1.0 + FEASIBILITY_TOLERANCE


class Ball(Indicator):
    """Base of the indicators ``{||x|| <= radius}``: a subclass has the norm, its dual, and `linear_minimizer`."""

    radius: float
    compact: ClassVar[bool] = True
    conjugate_domain: ClassVar[str | None] = "everywhere"

    def size(self, x: Array) -> float:
        """Return the norm."""
        raise NotImplementedError(f"{type(self).__name__} does not define size")

    def value(self, x: Array) -> float:
        return 0.0 if self.size(x) <= self.radius * _SLACK + 1e-300 else math.inf

    def support(self, direction: Array) -> Ray:
        value = -float(np.vdot(direction, self.linear_minimizer(-np.asarray(direction))))
        return Ray(direction, -value if value < 0 else value, abs(value))

    def recession(self, direction: Array) -> Ray:
        return no_direction(direction)


@dataclass(frozen=True, eq=False)
class L1Ball(Ball):
    """The ball ``{||x||_1 <= radius}``.

    Parameters
    ----------
    radius : float, default 1
        At least 0; with 0 it is the origin.

    Examples
    --------
    >>> L1Ball().value(np.array([0.5, -0.5])), L1Ball().value(np.array([0.6, -0.5]))
    (0.0, inf)
    """

    radius: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", as_number(self.radius, "radius", minimum=0))

    def size(self, x: Array) -> float:
        return float(np.sum(np.abs(x)))

    def linear_minimizer(self, cost: Array) -> Array:
        x = np.zeros_like(cost)
        i = int(np.argmax(np.abs(cost)))
        x.flat[i] = -self.radius * (1.0 if cost.flat[i] >= 0 else -1.0)
        return x


@dataclass(frozen=True, eq=False)
class L2Ball(Ball):
    """The ball ``{||x - center|| <= radius}``.

    Parameters
    ----------
    radius : float, default 1
        At least 0.
    center : array_like or float, default 0

    Examples
    --------
    >>> L2Ball(5.0).value(np.array([3.0, 4.0]))
    0.0
    """

    radius: float = 1.0
    center: Any = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", as_number(self.radius, "radius", minimum=0))
        object.__setattr__(self, "center", as_data(self.center, "center"))

    @property
    def shape(self) -> tuple[int, ...] | None:
        return shown_shape(self.center)

    def size(self, x: Array) -> float:
        return length(x - self.center)

    def value(self, x: Array) -> float:
        slack = FEASIBILITY_TOLERANCE * (self.radius + length(np.asarray(self.center)))
        return 0.0 if self.size(x) <= self.radius + slack else math.inf

    def support(self, direction: Array) -> Ray:
        products = direction * self.center
        value = self.radius * length(direction) + float(np.sum(products))
        return Ray(direction, value, self.radius * length(direction) + float(np.sum(np.abs(products))))

    def linear_minimizer(self, cost: Array) -> Array:
        size = length(cost)
        moved = -self.radius / size * cost if size > 0 else np.zeros_like(cost)
        return np.asarray(moved + self.center).astype(cost.dtype, copy=False)


@dataclass(frozen=True, eq=False)
class NuclearBall(Ball):
    """The matrices with ``||X||_* <= radius``.

    Parameters
    ----------
    radius : float, default 1
        At least 0.

    Examples
    --------
    >>> NuclearBall(4.0).value(np.diag([3.0, -1.0]))
    0.0
    """

    radius: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", as_number(self.radius, "radius", minimum=0))

    def size(self, x: Array) -> float:
        return float(np.sum(np.linalg.svd(x, compute_uv=False)))

    def support(self, direction: Array) -> Ray:
        value = self.radius * float(np.linalg.norm(direction, 2))
        return Ray(direction, value, value)

    def linear_minimizer(self, cost: Array) -> Array:
        left, _, right = np.linalg.svd(cost, full_matrices=False)
        return -self.radius * np.outer(left[:, 0], right[0])


@dataclass(frozen=True, eq=False)
class SpectralBall(Ball):
    """The matrices with singular values at most `radius`.

    Parameters
    ----------
    radius : float, default 1
        At least 0.

    Examples
    --------
    >>> SpectralBall().value(np.diag([1.0, -0.5]))
    0.0
    """

    radius: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", as_number(self.radius, "radius", minimum=0))

    def size(self, x: Array) -> float:
        return float(np.linalg.norm(x, 2))

    def support(self, direction: Array) -> Ray:
        value = self.radius * float(np.sum(np.linalg.svd(direction, compute_uv=False)))
        return Ray(direction, value, value)

    def linear_minimizer(self, cost: Array) -> Array:
        left, _, right = np.linalg.svd(cost, full_matrices=False)
        return np.asarray(-self.radius * (left @ right))


@dataclass(frozen=True, eq=False)
class Slab(Indicator):
    """The slab ``{lower <= <normal, x> <= upper}``; `HalfSpace` is the one with an open side.

    Parameters
    ----------
    normal : array_like
        Of the shape of the points. Zero is allowed where the set is then the whole space.
    lower, upper : float
        May be infinite; default lower ``-inf``.

    Examples
    --------
    >>> Slab([1.0, 1.0], -1.0, 1.0).value(np.array([2.0, -1.5]))
    0.0
    """

    normal: Any
    lower: float = -math.inf
    upper: float = math.inf

    def __post_init__(self) -> None:
        object.__setattr__(self, "normal", as_data(self.normal, "normal"))
        lower = as_number(self.lower, "lower", finite=False)
        upper = as_number(self.upper, "upper", finite=False)
        if lower > upper or lower == math.inf or upper == -math.inf:
            raise ValueError(f"lower must not exceed upper, got {lower:g} and {upper:g}")
        if not np.any(self.normal) and not lower <= 0.0 <= upper:
            raise ValueError(f"normal is zero, and 0 does not lie between {lower:g} and {upper:g}: the set is empty")
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    @property
    def shape(self) -> tuple[int, ...] | None:
        return shown_shape(self.normal)

    def excess(self, x: Array) -> float:
        """Return by how much ``<normal, x>`` lies above `upper` (or, negative, below `lower`)."""
        product = float(np.sum(self.normal * x))
        return max(product - self.upper, 0.0) + min(product - self.lower, 0.0)

    def value(self, x: Array) -> float:
        near = self.upper if self.excess(x) > 0 else self.lower
        scale = float(np.sum(np.abs(self.normal * x))) + (abs(near) if math.isfinite(near) else 0.0)
        return 0.0 if abs(self.excess(x)) <= FEASIBILITY_TOLERANCE * scale else math.inf

    def _along(self, direction: Array) -> float:
        square = float(np.sum(self.normal * self.normal))
        return float(np.sum(self.normal * direction)) / square if square > 0 else 0.0

    def support(self, direction: Array) -> Ray:
        t = self._along(direction)
        bound = self.upper if t > 0 else self.lower
        if t == 0 or not math.isfinite(bound):
            return no_direction(direction)
        along = t * np.broadcast_to(self.normal, np.shape(direction))
        return Ray(along, t * bound, abs(t * bound), ROUNDING * length(along))

    def recession(self, direction: Array) -> Ray:
        t = self._along(direction)
        if (t > 0 and not math.isfinite(self.upper)) or (t < 0 and not math.isfinite(self.lower)):
            return Ray(direction)
        moved = direction - t * self.normal
        return Ray(moved, error=ROUNDING * length(direction))


class HalfSpace(Slab):
    """The half-space ``{<normal, x> <= offset}``.

    Parameters
    ----------
    normal : array_like
    offset : float

    Examples
    --------
    >>> HalfSpace([1.0, 1.0], 1.0).value(np.array([2.0, -1.5]))
    0.0
    """

    def __init__(self, normal: Any, offset: float) -> None:
        super().__init__(normal, -math.inf, as_number(offset, "offset"))

    def __repr__(self) -> str:
        return f"HalfSpace({self.normal!r}, {self.upper!r})"


class Cone(Indicator):
    """Base of the indicators of convex cones: a subclass has the Euclidean projection."""

    def project(self, x: Array) -> Array:
        """Return the nearest point of the cone."""
        raise NotImplementedError(f"{type(self).__name__} does not define project")

    def value(self, x: Array) -> float:
        off = length(x - self.project(x))
        return 0.0 if off <= FEASIBILITY_TOLERANCE * length(x) else math.inf

    def support(self, direction: Array) -> Ray:
        polar = direction - self.project(direction)  # Moreau
        return Ray(polar, error=ROUNDING * length(direction))

    def recession(self, direction: Array) -> Ray:
        moved = self.project(direction)
        return Ray(moved, error=ROUNDING * length(moved))


@dataclass(frozen=True, eq=False)
class SecondOrderCone(Cone):
    """The cone ``{(t, x): ||x|| <= t}`` of vectors, the scalar first.

    Examples
    --------
    >>> SecondOrderCone().project(np.array([0.0, 3.0, 4.0]))
    array([2.5, 1.5, 2. ])
    """

    def project(self, x: Array) -> Array:
        t, rest = float(x[0]), x[1:]
        size = length(rest)
        if size <= t:
            return x
        if size <= -t:
            return np.zeros_like(x)
        half = 0.5 * (t + size)
        return np.concatenate([[half], (half / size) * rest]).astype(x.dtype, copy=False)


@dataclass(frozen=True, eq=False)
class Semidefinite(Cone):
    """The symmetric positive semidefinite matrices; of others the symmetric part is projected.

    Examples
    --------
    >>> Semidefinite().project(np.diag([1.0, -2.0])) + 0.0
    array([[1., 0.],
           [0., 0.]])
    """

    def project(self, x: Array) -> Array:
        values, vectors = np.linalg.eigh(0.5 * (x + x.T))
        return np.asarray((vectors * np.maximum(values, 0.0)) @ vectors.T)


@dataclass(frozen=True, eq=False)
class Isotonic(Cone):
    """The vectors whose entries do not decrease; the projection is isotonic regression.

    Examples
    --------
    >>> Isotonic().project(np.array([3.0, 1.0, 4.0]))
    array([2., 2., 4.])
    """

    def project(self, x: Array) -> Array:
        from scipy.optimize import isotonic_regression

        return np.asarray(isotonic_regression(x).x).astype(x.dtype, copy=False)


@dataclass(frozen=True, eq=False)
class ExponentialCone(Cone):
    """The closure of ``{(r, s, t): s > 0, s exp(r/s) <= t}``, one cone for each row of three entries.

    Notes
    -----
    The projection follows Friberg (2023), Projection onto the exponential cone: outside the cone and its polar it is a
    point of the curved boundary, found as the root of one increasing function of a scalar.

    Examples
    --------
    >>> cone = ExponentialCone()
    >>> cone.value(np.array([0.0, 1.0, 1.0])), cone.value(np.array([0.0, 1.0, 0.9]))
    (0.0, inf)
    """

    def project(self, x: Array) -> Array:
        rows = np.asarray(x, dtype=float).reshape(-1, 3)
        return np.stack([_project_exponential(row) for row in rows]).reshape(np.shape(x)).astype(x.dtype, copy=False)


def _project_exponential(v: Array) -> Array:
    scale = float(np.max(np.abs(v)))
    if scale == 0.0:
        return v.copy()
    r, s, t = v / scale
    with np.errstate(all="ignore"):
        if (s > 0 and s * np.exp(r / s) <= t) or (s == 0 and r <= 0 and t >= 0):
            return v.copy()
        # the polar cone: (r, s, t) with r > 0 and r exp(s/r) <= -e t, or r = 0, s <= 0, t <= 0
        if (r > 0 and r * np.exp(s / r) <= -np.e * t) or (r == 0 and s <= 0 and t <= 0):
            return np.zeros(3)
        if r <= 0 and s <= 0:
            return scale * np.array([r, 0.0, max(t, 0.0)])
    # the face s = 0, and the points of the curved boundary where v is normal to it: the nearest is the projection
    candidates = [np.array([min(r, 0.0), 0.0, max(t, 0.0)])]
    for q in _exponential_roots(r, s, t):
        p, _ = _boundary(q)
        candidates.append(max((r * p[0] + s * p[1] + t * p[2]) / float(p @ p), 0.0) * p)
    return scale * min(candidates, key=lambda p: float(np.sum((p - v / scale) ** 2)))


def _boundary(q: Any) -> tuple[Array, Array]:
    """Return the point ``(q, 1, e^q)`` of the boundary and the normal ``(e^q, (1 - q) e^q, -1)``, free of overflow."""
    e = np.exp(-np.abs(q))
    one = np.ones_like(e)
    left = np.stack([q, one, e]), np.stack([e, (1.0 - q) * e, -one])
    right = np.stack([q * e, e, one]), np.stack([one, 1.0 - q, -e])
    return np.where(q <= 0, left[0], right[0]), np.where(q <= 0, left[1], right[1])


# where roots are looked for: finely near 0
_GRID = np.sinh(np.linspace(-36.0, 36.0, 8001))


def _exponential_roots(r: float, s: float, t: float) -> list[float]:
    """Return the q at which v is in the plane of the point and the normal, by bisection."""

    def excess(q: Any) -> Any:
        p, n = _boundary(q)
        cross = np.stack([p[1] * n[2] - p[2] * n[1], p[2] * n[0] - p[0] * n[2], p[0] * n[1] - p[1] * n[0]])
        return r * cross[0] + s * cross[1] + t * cross[2]

    signs = excess(_GRID) > 0
    changes = np.flatnonzero(signs[:-1] != signs[1:])
    low, high, rising = _GRID[changes], _GRID[changes + 1], signs[changes + 1]
    for _ in range(70):
        middle = 0.5 * (low + high)
        above = (excess(middle) > 0) == rising
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return list(0.5 * (low + high))


@dataclass(frozen=True, eq=False)
class Cardinality(Indicator):
    """The arrays with at most `count` entries that are not zero; not convex. Ties keep the lowest index.

    Parameters
    ----------
    count : int
        At least 1.

    Examples
    --------
    >>> Cardinality(1).value(np.array([0.0, 2.0]))
    0.0
    """

    count: int
    convex: ClassVar[bool] = False
    conjugate_domain: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "count", as_integer(self.count, "count", minimum=1))

    def value(self, x: Array) -> float:
        return 0.0 if np.count_nonzero(x) <= self.count else math.inf

    def support(self, direction: Array) -> None:
        return None


@dataclass(frozen=True, eq=False)
class RankAtMost(Indicator):
    """The matrices of at most a rank; not convex.

    Parameters
    ----------
    rank : int
        At least 1.

    Examples
    --------
    >>> RankAtMost(1).value(np.ones((2, 3)))
    0.0
    """

    rank: int
    convex: ClassVar[bool] = False
    conjugate_domain: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "rank", as_integer(self.rank, "rank", minimum=1))

    def value(self, x: Array) -> float:
        values = np.linalg.svd(x, compute_uv=False)
        return 0.0 if np.all(values[self.rank :] <= FEASIBILITY_TOLERANCE * values[0]) else math.inf

    def support(self, direction: Array) -> None:
        return None
