"""Indicator functions of convex sets, and penalised marginals of matrices.

Each is 0 on its set and ``inf`` outside (with the relative slack `FEASIBILITY_TOLERANCE`). Resolvents of an indicator
do not depend on the step size: they are the Bregman projections of the geometry in use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from scipy import special

from optlab.bregman.functions.base import FEASIBILITY_TOLERANCE, Array, Function, shown_shape
from optlab.bregman.functions.rays import ROUNDING, Ray, inner, length, no_direction
from optlab.core.validation import as_data, as_number, one_of, read_only

_INSIDE, _OUTSIDE = 0.0, math.inf


def _close(got: Any, wanted: Any, scale: Any) -> bool:
    return bool(np.all(np.abs(got - wanted) <= FEASIBILITY_TOLERANCE * (scale + np.abs(wanted))))


class Indicator(Function):
    """The indicator of a set: its conjugate is the support function, which `support` knows."""

    indicator: ClassVar[bool] = True
    conjugate_domain: ClassVar[str | None] = "star"

    def scaled(self, factor: float) -> Function:
        as_number(factor, "factor", minimum=0)
        return self

    def conjugate_value(self, y: Array) -> float:
        ray = self.support(np.asarray(y))
        if ray is None:
            return super().conjugate_value(y)
        off = length(ray.direction - y)
        return ray.value if off <= ray.error + 1e-12 * length(y) else math.inf

    def conjugate_scale(self, y: Array) -> float:
        return math.inf if math.isfinite(self.conjugate_value(y)) else 0.0


@dataclass(frozen=True, eq=False)
class Simplex(Indicator):
    """The simplex ``{x >= 0, sum x = total}``; arrays of any shape are summed over all entries.

    Parameters
    ----------
    total : float
        The sum, positive. Default 1.

    Examples
    --------
    >>> Simplex().value(np.array([0.5, 0.5])), Simplex().value(np.array([0.5, 0.6]))
    (0.0, inf)
    """

    total: float = 1.0
    compact: ClassVar[bool] = True
    conjugate_domain: ClassVar[str] = "everywhere"

    def __post_init__(self) -> None:
        object.__setattr__(self, "total", as_number(self.total, "total", above=0))

    def value(self, x: Array) -> float:
        inside = np.min(x) >= -FEASIBILITY_TOLERANCE * self.total and _close(np.sum(x), self.total, 0.0)
        return _INSIDE if inside else _OUTSIDE

    def linear_minimizer(self, cost: Array) -> Array:
        x = np.zeros_like(cost)
        x.flat[int(np.argmin(cost))] = self.total
        return x

    def support(self, direction: Array) -> Ray:
        value = self.total * float(np.max(direction))
        return Ray(direction, value, abs(value))

    def recession(self, direction: Array) -> Ray:
        return no_direction(direction)


@dataclass(frozen=True, eq=False)
class Hyperplane(Indicator):
    """The hyperplane ``{<normal, x> = offset}``.

    Parameters
    ----------
    normal : array_like
        Normal vector, not zero, of the shape of the points.
    offset : float
        Right-hand side.

    Examples
    --------
    >>> Hyperplane([1.0, -1.0], 0.0).value(np.array([2.0, 2.0]))
    0.0
    """

    normal: Any
    offset: float

    def __post_init__(self) -> None:
        normal = as_data(self.normal, "normal")
        if not np.any(normal):
            raise ValueError("normal must not be zero")
        object.__setattr__(self, "normal", normal)
        object.__setattr__(self, "offset", as_number(self.offset, "offset"))

    @property
    def shape(self) -> tuple[int, ...] | None:
        return shown_shape(self.normal)

    def value(self, x: Array) -> float:
        products = self.normal * x
        return _INSIDE if _close(np.sum(products), self.offset, np.sum(np.abs(products))) else _OUTSIDE

    def _along(self, direction: Array) -> tuple[float, Array]:
        """Return t such that ``t normal`` is nearest to `direction`, and ``t normal``."""
        top = np.max(np.abs(self.normal))
        unit = np.broadcast_to(self.normal / top, np.shape(direction))
        t = float(np.sum(unit * direction) / np.sum(unit * unit))
        return t / top, t * unit

    def support(self, direction: Array) -> Ray:
        t, along = self._along(direction)
        return Ray(along, t * self.offset, abs(t * self.offset), ROUNDING * length(along), linear=True)

    def recession(self, direction: Array) -> Ray:
        moved = direction - self._along(direction)[1]
        moved = moved - self._along(moved)[1]  # once more: what cancellation has left
        return Ray(moved, error=ROUNDING * length(moved), linear=True)


@dataclass(frozen=True, eq=False)
class Box(Indicator):
    """The box ``{lower <= x <= upper}``.

    Parameters
    ----------
    lower, upper : array_like or float
        Bounds; ``-inf`` and ``inf`` leave a side free. Default: ``[0, inf)``.

    Examples
    --------
    >>> Box(0.0, 1.0).value(np.array([0.0, 2.0]))
    inf
    """

    lower: Any = 0.0
    upper: Any = math.inf
    separable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        lower = as_data(self.lower, "lower", finite=False)
        upper = as_data(self.upper, "upper", finite=False)
        if np.any(np.isnan(lower)) or np.any(np.isnan(upper)):
            raise ValueError("lower and upper must not be NaN")
        try:
            ordered = lower <= upper
        except ValueError:
            raise ValueError(f"lower {lower.shape} and upper {upper.shape} must broadcast together") from None
        if not np.all(ordered):
            where = [int(i) for i in np.argwhere(~np.atleast_1d(ordered))[0]]
            raise ValueError(f"lower must not exceed upper, but it does at index {where}")
        if np.any(lower == math.inf) or np.any(upper == -math.inf):
            raise ValueError("lower must be below inf and upper above -inf: no number lies beyond them")
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)
        bounded = bool(np.all(np.isfinite(lower)) and np.all(np.isfinite(upper)))
        object.__setattr__(self, "compact", bounded)
        object.__setattr__(self, "conjugate_domain", "everywhere" if bounded else "star")

    @property
    def shape(self) -> tuple[int, ...] | None:
        return shown_shape(self.lower, self.upper)

    def linear_minimizer(self, cost: Array) -> Array:
        if not self.compact:
            return super().linear_minimizer(cost)
        return np.where(cost > 0, self.lower, np.where(cost < 0, self.upper, self.lower)).astype(cost.dtype, copy=False)

    def value(self, x: Array) -> float:
        slack = FEASIBILITY_TOLERANCE * (1.0 + np.abs(x))
        return _INSIDE if np.all(x >= self.lower - slack) and np.all(x <= self.upper + slack) else _OUTSIDE

    def support(self, direction: Array) -> Ray:
        low = np.where(np.isfinite(self.lower), np.minimum(direction, 0.0), 0.0)
        high = np.where(np.isfinite(self.upper), np.maximum(direction, 0.0), 0.0)
        (below, below_size), (above, above_size) = inner(low, self.lower), inner(high, self.upper)
        return Ray(low + high, below + above, below_size + above_size)

    def recession(self, direction: Array) -> Ray:
        low = np.where(np.isfinite(self.lower), 0.0, np.minimum(direction, 0.0))
        return Ray(low + np.where(np.isfinite(self.upper), 0.0, np.maximum(direction, 0.0)))


@dataclass(frozen=True, eq=False)
class CappedSimplex(Indicator):
    """The capped simplex ``{0 <= x <= upper, sum x = total}``.

    Parameters
    ----------
    upper : array_like or float
        Caps, positive; ``inf`` leaves a coordinate uncapped.
    total : float
        The sum, positive and at most the sum of the caps (checked where the caps are an array, otherwise when the
        number of coordinates is known). Default 1.

    Examples
    --------
    >>> CappedSimplex(0.5, 1.0).value(np.array([0.5, 0.25, 0.25]))
    0.0
    """

    upper: Any
    total: float = 1.0
    compact: ClassVar[bool] = True
    conjugate_domain: ClassVar[str] = "everywhere"

    def __post_init__(self) -> None:
        upper = as_data(self.upper, "upper", finite=False, positive=True)
        object.__setattr__(self, "upper", upper)
        object.__setattr__(self, "total", as_number(self.total, "total", above=0))
        if upper.ndim:
            self.caps(upper.shape)

    @property
    def shape(self) -> tuple[int, ...] | None:
        return shown_shape(self.upper)

    def linear_minimizer(self, cost: Array) -> Array:
        order = np.argsort(cost, axis=None, kind="stable")  # the cheapest coordinates are filled first
        caps = self.caps(np.shape(cost)).ravel()[order]
        before = np.concatenate([[0.0], np.cumsum(caps)[:-1]])
        x = np.zeros_like(cost)
        x.flat[order] = np.clip(self.total - before, 0.0, caps)
        return x

    def caps(self, shape: tuple[int, ...]) -> Array:
        """Return the caps as an array of the given shape; ValueError if they cannot hold the total."""
        caps = np.broadcast_to(self.upper, shape)
        room = float(np.sum(caps))
        if self.total > room * (1 + 4 * np.finfo(float).eps):
            raise ValueError(f"total must be at most the sum of the caps {room:g}, got {self.total:g}")
        return caps

    def value(self, x: Array) -> float:
        slack = FEASIBILITY_TOLERANCE * self.total
        bounded = np.min(x) >= -slack and np.all(x <= self.upper + slack)
        return _INSIDE if bounded and _close(np.sum(x), self.total, 0.0) else _OUTSIDE

    def support(self, direction: Array) -> Ray:
        order = np.argsort(-direction, axis=None, kind="stable")  # the best coordinates are filled first
        caps, u = self.caps(np.shape(direction)).ravel()[order], np.ravel(direction)[order]
        before = np.concatenate([[0.0], np.cumsum(caps)[:-1]])
        return Ray(direction, *inner(u, np.clip(self.total - before, 0.0, caps)))

    def recession(self, direction: Array) -> Ray:
        return no_direction(direction)


@dataclass(frozen=True, eq=False)
class AffineSet(Indicator):
    """The affine set ``{A x = b}``.

    Parameters
    ----------
    A : array_like, shape (m, n)
        Coefficients; redundant rows are allowed.
    b : array_like, shape (m,)
        Right-hand side, in the range of `A`.

    Examples
    --------
    >>> AffineSet([[1.0, 1.0]], [2.0]).value(np.array([0.5, 1.5]))
    0.0
    """

    A: Any
    b: Any

    def __post_init__(self) -> None:
        A = as_data(self.A, "A", ndim=2)
        b = as_data(self.b, "b", shape=(A.shape[0],))
        object.__setattr__(self, "A", A)
        object.__setattr__(self, "b", b)
        left, _ = self.range_basis
        residual = b - left @ (left.T @ b)
        if np.linalg.norm(residual) > 1e-9 * np.linalg.norm(b):
            raise ValueError("b must lie in the range of A: the equations A x = b have no solution")

    @property
    def shape(self) -> tuple[int, ...]:
        return (int(self.A.shape[1]),)

    @cached_property
    def _svd(self) -> tuple[Array, Array, Array]:
        left, singular, right = np.linalg.svd(self.A, full_matrices=False)
        keep = singular > singular.max(initial=0.0) * max(self.A.shape) * np.finfo(float).eps
        return read_only(left[:, keep]), read_only(singular[keep]), read_only(right[keep])

    @property
    def range_basis(self) -> tuple[Array, Array]:
        """Orthonormal bases of the column space (m, r) and, as rows, of the row space (r, n) of `A`."""
        left, _, right = self._svd
        return left, right

    @cached_property
    def reduced_offset(self) -> Array:
        """The right-hand side for the orthonormal rows: the set is ``{rows @ x = reduced_offset}``."""
        left, singular, _ = self._svd
        return read_only((left.T @ self.b) / singular)

    def value(self, x: Array) -> float:
        size, x_size = np.abs(self.A), np.abs(x)
        # an equation of small entries carries the rounding of the others: 1e-13 of what it could have been
        scale = size @ x_size + 1e-4 * np.sum(size, axis=1) * np.max(x_size)
        return _INSIDE if _close(self.A @ x, self.b, scale) else _OUTSIDE

    def support(self, direction: Array) -> Ray:
        left, singular, rows = self._svd
        y = left @ ((rows @ direction) / singular)
        # in terms of the data themselves: <A^T y, x> = <y, b> on the set, whatever the factors' rounding
        error = ROUNDING * length(np.abs(self.A).T @ np.abs(y))
        return Ray(self.A.T @ y, *inner(y, self.b), error, linear=True)

    def recession(self, direction: Array) -> Ray:
        left, singular, rows = self._svd
        moved = direction - rows.T @ (rows @ direction)
        moved = moved - rows.T @ (rows @ moved)  # once more: what cancellation has left
        off = length((left.T @ (self.A @ moved)) / singular)  # distance to the null space
        return Ray(moved, error=off + ROUNDING * length(moved), linear=True)


_MARGINAL_KINDS = ("equal", "at_most", "kl", "l1")


@dataclass(frozen=True, eq=False)
class _Marginal(Function):
    """Shared body of `RowMarginal` and `ColumnMarginal`."""

    marginal: Any
    kind: str = "equal"
    weight: float = 1.0
    #: The matrix axis that is summed over.
    axis: ClassVar[int] = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "marginal", as_data(self.marginal, "marginal", ndim=1, nonnegative=True))
        object.__setattr__(self, "kind", one_of(self.kind, "kind", _MARGINAL_KINDS))
        object.__setattr__(self, "weight", as_number(self.weight, "weight", above=0))
        object.__setattr__(self, "indicator", self.kind in ("equal", "at_most"))

    def sums(self, x: Array) -> Array:
        """Return the row (or column) sums of the matrix `x`, checking its shape."""
        if np.ndim(x) != 2 or np.shape(x)[1 - self.axis] != self.marginal.size:
            side = "rows" if self.axis == 1 else "columns"
            raise ValueError(
                f"a matrix with {self.marginal.size} {side} is needed for this marginal, got shape {np.shape(x)}"
            )
        return np.sum(x, axis=self.axis)

    def value(self, x: Array) -> float:
        sums, a = self.sums(x), self.marginal
        if self.kind == "kl":
            return self.weight * float(np.sum(special.kl_div(sums, a)))
        if self.kind == "l1":
            return self.weight * float(np.sum(np.abs(sums - a)))
        scale = np.sum(a) / a.size
        if self.kind == "at_most":
            return _INSIDE if np.all(sums <= a + FEASIBILITY_TOLERANCE * (a + scale)) else _OUTSIDE
        return _INSIDE if _close(sums, a, scale) else _OUTSIDE

    def support(self, direction: Array) -> Ray:
        if self.kind == "l1":
            return no_direction(direction)
        y = self.sums(direction) / direction.shape[self.axis]
        if self.kind != "equal":
            y = np.maximum(y, 0.0) if self.kind == "at_most" else np.minimum(y, 0.0)
        spread = np.broadcast_to(np.expand_dims(y, self.axis), direction.shape)
        value, size = (0.0, 0.0) if self.kind == "kl" else inner(y, self.marginal)
        return Ray(spread, value, size, linear=self.kind == "equal")

    def recession(self, direction: Array) -> Ray:
        sums, count = self.sums(direction), direction.shape[self.axis]
        if self.kind == "l1":
            total = self.weight * float(np.sum(np.abs(sums)))
            return Ray(direction, total, total, linear=True)
        excess = np.maximum(sums, 0.0) if self.kind == "at_most" else sums
        moved = direction - np.expand_dims(excess / count, self.axis)
        return Ray(moved, error=ROUNDING * length(moved), linear=self.kind != "at_most")


@dataclass(frozen=True, eq=False)
class RowMarginal(_Marginal):
    """A condition on the row sums ``r`` of a matrix of shape (n, m).

    Parameters
    ----------
    marginal : array_like, shape (n,)
        Wanted row sums ``a``, non-negative. With the Shannon kernel an entry 0 puts a whole row on the boundary, where
        no mirror point exists: all kinds but ``"l1"`` then raise DomainError. Remove such rows from the problem.
    kind : {"equal", "at_most", "kl", "l1"}
        ``r = a``, ``r <= a``, ``weight * KL(r; a)`` or ``weight * ||r - a||_1``. Default ``"equal"``.
    weight : float
        Weight of the two penalties; unused by the constraints. Default 1.

    Examples
    --------
    >>> RowMarginal([1.0, 2.0]).value(np.array([[0.5, 0.5], [2.0, 0.0]]))
    0.0
    >>> RowMarginal([1.0, 2.0], "l1", weight=3.0).value(np.array([[0.5, 0.5], [2.0, 1.0]]))
    3.0
    """

    axis: ClassVar[int] = 1


@dataclass(frozen=True, eq=False)
class ColumnMarginal(_Marginal):
    """A condition on the column sums of a matrix; see `RowMarginal` for the parameters.

    Examples
    --------
    >>> ColumnMarginal([1.0, 2.0], "at_most").value(np.array([[0.5, 0.5], [0.5, 1.0]]))
    0.0
    """

    axis: ClassVar[int] = 0
