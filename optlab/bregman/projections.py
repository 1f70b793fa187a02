"""Bregman projections onto simplices, boxes and hyperplanes: the point of a set nearest in a kernel's divergence.

``P(z) = argmin {D(x, z) : x in set}``, points in and points out, row-wise with `axis`. These are the functions for
people who hold points: mirror maps on rows, feasible starts, rounding. A splitting method, which holds mirror
variables, uses `optlab.bregman.resolvent` of the set's indicator instead.

In the Euclidean geometry the simplex projection is the sort of Held, Wolfe and Crowder (1974), as in Duchi et al.
(2008), and the capped simplex a sort of the 2n breakpoints; both are vectorised over rows and exact up to rounding.
With Shannon's entropy the simplex projection is a normalisation. The other geometries go row by row through the
resolvents, to their accuracy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.bregman.elementary import quiet
from optlab.bregman.entropy import ShannonEntropy, SimplexEntropy
from optlab.bregman.euclidean import SquaredEuclidean
from optlab.bregman.legendre import Array, Legendre, as_point
from optlab.core.backend import like
from optlab.core.errors import DomainError
from optlab.core.validation import as_float_array, as_integer, as_number


def project_simplex(x: Array, total: float = 1.0, kernel: Legendre | None = None, axis: int | None = None) -> Array:
    """Return the Bregman projection of `x` onto the simplex ``{x >= 0, sum x = total}``.

    Parameters
    ----------
    x : array_like
        The point; in the interior of the kernel's domain (with the entropies, zeros are kept).
    total : float
        The sum, positive. Default 1.
    kernel : Legendre, optional
        The geometry; default: Euclidean, in O(n log n) by sorting.
    axis : int, optional
        Project each slice along this axis (rows: ``axis=-1``); default: all entries form one point.

    Returns
    -------
    array
        Of the shape and dtype of `x`.

    Examples
    --------
    >>> project_simplex([0.5, 0.9, -3.0])
    array([0.3, 0.7, 0. ])
    >>> from optlab.bregman import ShannonEntropy
    >>> project_simplex([[1.0, 3.0], [2.0, 2.0]], kernel=ShannonEntropy(), axis=-1)
    array([[0.25, 0.75],
           [0.5 , 0.5 ]])
    """
    xp, x = as_point(x, "x")
    _check_geometry(kernel, axis, x)
    total = as_number(total, "total", above=0)
    if kernel is None or isinstance(kernel, SquaredEuclidean):
        with quiet():
            return _euclidean_simplex(xp, x, total, axis)
    if isinstance(kernel, (ShannonEntropy, SimplexEntropy)):
        return _normalise(xp, x, total, kernel, axis)
    from optlab.bregman.functions import Simplex

    return _by_resolvent(lambda _: Simplex(total), kernel, x, axis)


def project_capped_simplex(
    x: Array, upper: Any, total: float = 1.0, kernel: Legendre | None = None, axis: int | None = None
) -> Array:
    """Return the Bregman projection of `x` onto the capped simplex ``{0 <= x <= upper, sum x = total}``.

    Parameters
    ----------
    x : array_like
        The point; in the interior of the kernel's domain.
    upper : float or array_like
        Positive caps, broadcast against `x`; ``inf`` leaves a coordinate uncapped.
    total : float
        The sum, positive and at most the sum of the caps of every slice. Default 1.
    kernel, axis
        As in `project_simplex`.

    Examples
    --------
    >>> project_capped_simplex([3.0, 0.25, 0.0], 0.5)
    array([0.5  , 0.375, 0.125])
    >>> from optlab.bregman import ShannonEntropy
    >>> project_capped_simplex([8.0, 1.0, 3.0], 0.5, kernel=ShannonEntropy())
    array([0.5  , 0.125, 0.375])
    """
    xp, x = as_point(x, "x")
    _require_numpy(xp, "project_capped_simplex")
    _check_geometry(kernel, axis, x)
    total = as_number(total, "total", above=0)
    caps = _broadcast(as_float_array(upper, "upper", finite=False, positive=True), x, "upper")
    room = caps.sum(axis=axis)
    # the caps may hold the total only up to the rounding of their sum
    if not np.all(total <= room * (1 + 8 * np.finfo(x.dtype).eps)):
        raise ValueError(f"total must be at most the sum of the caps {float(np.min(room)):g}, got {total:g}")
    if kernel is None or isinstance(kernel, SquaredEuclidean):
        with quiet():
            return _along_last(lambda rows, c: _euclidean_capped_simplex(rows, c, total), axis, x, caps)
    from optlab.bregman.functions import CappedSimplex

    return _by_resolvent(lambda c: CappedSimplex(c, total), kernel, x, axis, caps)


def project_box(x: Array, lower: Any, upper: Any, kernel: Legendre | None = None) -> Array:
    """Return the Bregman projection of `x` onto the box ``{lower <= x <= upper}``.

    For every separable kernel it is the same clipping, since each scalar divergence grows away from the point.

    Parameters
    ----------
    x : array_like
        The point; in the closure of the kernel's domain.
    lower, upper : float or array_like
        The bounds, broadcast against `x`; infinite bounds leave a side free.
    kernel : Legendre, optional
        The geometry; default: Euclidean.

    Raises
    ------
    DomainError
        If `x`, or the nearest point of the box, lies outside the closure of the kernel's domain.

    Examples
    --------
    >>> project_box([-1.0, 0.5, 2.0], 0.0, 1.0)
    array([0. , 0.5, 1. ])
    """
    xp, x = as_point(x, "x")
    _check_geometry(kernel, None, x)
    low, high = _bound(xp, lower, x, "lower"), _bound(xp, upper, x, "upper")
    if not bool(xp.all(low <= high)):
        raise ValueError("lower must not exceed upper")
    if bool(xp.any(low == np.inf)) or bool(xp.any(high == -np.inf)):
        raise ValueError("lower must be below inf and upper above -inf: no number lies beyond them")
    if kernel is not None and not kernel.separable:
        from optlab.bregman.functions import Box

        return _by_resolvent(lambda l, u: Box(l, u), kernel, x, None, np.asarray(low), np.asarray(high))
    if kernel is not None and not kernel.in_closure(x):
        raise DomainError(f"x must lie in the closure of the domain of {kernel.label} ({kernel.domain})")
    clipped = xp.where(x < low, low, xp.where(x > high, high, x))
    if kernel is not None and not kernel.in_closure(clipped):
        raise DomainError(f"the box must meet the closure of the domain of {kernel.label} ({kernel.domain})")
    return clipped


def project_hyperplane(
    x: Array, normal: Any, offset: float, kernel: Legendre | None = None, axis: int | None = None
) -> Array:
    """Return the Bregman projection of `x` onto the hyperplane ``{<normal, x> = offset}``.

    Parameters
    ----------
    x : array_like
        The point; in the interior of the kernel's domain.
    normal : array_like
        The normal vector, broadcast against `x`; not zero in any slice.
    offset : float
        The right-hand side.
    kernel, axis
        As in `project_simplex`.

    Examples
    --------
    >>> project_hyperplane([1.0, 1.0], [1.0, -1.0], 1.0)
    array([1.5, 0.5])
    """
    xp, x = as_point(x, "x")
    _check_geometry(kernel, axis, x)
    offset = as_number(offset, "offset")
    directions = _broadcast(as_float_array(normal, "normal"), x, "normal")
    if not np.all(np.any(directions != 0, axis=axis)):
        raise ValueError("normal must not be zero")
    if kernel is None or isinstance(kernel, SquaredEuclidean):
        directions = directions if xp is np else like(x, directions)
        size = xp.max(xp.abs(directions), axis=axis, keepdims=True)  # <normal, normal> must not overflow, nor vanish
        unit = directions / size
        excess = xp.sum(unit * x, axis=axis, keepdims=True) - offset / size
        return x - excess / xp.sum(unit * unit, axis=axis, keepdims=True) * unit
    _require_numpy(xp, "project_hyperplane under a kernel")
    from optlab.bregman.functions import Hyperplane

    return _by_resolvent(lambda a: Hyperplane(a, offset), kernel, x, axis, directions)


def _check_geometry(kernel: Any, axis: Any, x: Array) -> None:
    if not (kernel is None or isinstance(kernel, Legendre)):
        raise TypeError(f"kernel must be None or a Legendre kernel, got {type(kernel).__name__}")
    if axis is not None and not -x.ndim <= as_integer(axis, "axis") < x.ndim:
        raise ValueError(
            f"axis must be None or between {-x.ndim} and {x.ndim - 1} for an x of shape {x.shape}, got {axis}"
        )


# ---- the formulas


def _euclidean_simplex(xp: Any, x: Array, total: float, axis: int | None) -> Array:
    shape = x.shape
    if axis is None:
        x, axis = xp.reshape(x, (-1,)), -1
    # measured from the largest entry; what lies more than `total` below it is zero, and may be pulled up to there
    below = x - xp.max(x, axis=axis, keepdims=True)
    below = xp.where(below < -total, xp.full_like(below, -total), below)
    ordered = xp.flip(xp.sort(below, axis=axis), axis=axis)
    sums = xp.cumsum(ordered, axis=axis) if xp is np else xp.cumulative_sum(ordered, axis=axis)
    counts = xp.cumsum(xp.ones_like(x), axis=axis) if xp is np else xp.cumulative_sum(xp.ones_like(x), axis=axis)
    # the threshold is the largest of the averages (sum of the k largest - total) / k
    threshold = xp.max((sums - total) / counts, axis=axis, keepdims=True)
    # once more over the support found, by pairwise summation instead of a running sum
    support = xp.where(below > threshold, xp.ones_like(below), xp.zeros_like(below))
    threshold = (xp.sum(below * support, axis=axis, keepdims=True) - total) / xp.sum(support, axis=axis, keepdims=True)
    excess = below - threshold
    return xp.reshape(xp.where(excess > 0, excess, xp.zeros_like(excess)), shape)


def _euclidean_capped_simplex(x: np.ndarray, upper: np.ndarray, total: float) -> np.ndarray:
    """Rows: the sum of ``clip(x - mu, 0, upper)`` is piecewise linear in mu, with breakpoints x and x - upper."""
    below = x - x.max(axis=-1, keepdims=True)
    points = np.concatenate([below, below - upper], axis=-1)
    slopes = np.concatenate([np.ones_like(below), -np.ones_like(below)], axis=-1)
    order = np.argsort(-points, axis=-1, kind="stable")
    points = np.take_along_axis(points, order, axis=-1)
    slopes = np.cumsum(np.take_along_axis(slopes, order, axis=-1), axis=-1)
    # the sum at each breakpoint, going down: only non-negative terms; a gap between two infinite points counts 0
    gaps = points[..., :-1] - points[..., 1:]
    gained = np.where(slopes[..., :-1] > 0, slopes[..., :-1] * gaps, 0)
    gained = np.where(np.isnan(gained), 0, gained)
    sums = np.concatenate([np.zeros_like(points[..., :1]), np.cumsum(gained, axis=-1)], axis=-1)
    last = np.sum(sums < total, axis=-1, keepdims=True) - 1
    start, slope = (np.take_along_axis(a, last, axis=-1) for a in (points, slopes))
    missing = total - np.take_along_axis(sums, last, axis=-1)
    mu = start - np.where(slope > 0, missing / np.where(slope > 0, slope, 1), 0)
    # once more over the free entries found, by pairwise summation instead of running sums
    free = (below > mu) & (below - upper < mu)
    capped = below - upper >= mu
    count = free.sum(axis=-1, keepdims=True).astype(x.dtype)
    rest = total - np.sum(np.where(capped, upper, 0), axis=-1, keepdims=True)
    refined = (np.sum(np.where(free, below, 0), axis=-1, keepdims=True) - rest) / np.maximum(count, 1)
    point = np.clip(below - np.where(count > 0, refined, mu), 0, upper)
    return _repair_sum(point, below, upper, total)


def _repair_sum(point: np.ndarray, x: np.ndarray, upper: np.ndarray, total: float) -> np.ndarray:
    """Give what the sum misses to the largest x with room, or take it from the smallest x.

    Needed only where caps are below the rounding of x: there x and x - upper are the same number, and no threshold
    tells an entry at its cap from one at zero.
    """
    missing = total - point.sum(axis=-1, keepdims=True)
    if np.all(np.abs(missing) <= 16 * np.finfo(point.dtype).eps * total):
        return point
    size = np.abs(missing)
    direction = np.where(missing > 0, x, -x)
    room = np.minimum(np.where(missing > 0, upper - point, point), size)
    order = np.argsort(-direction, axis=-1, kind="stable")
    room = np.take_along_axis(room, order, axis=-1)
    before = np.cumsum(room, axis=-1) - room
    change = np.zeros_like(point)
    np.put_along_axis(change, order, np.clip(size - before, 0, room), axis=-1)
    projected: np.ndarray = np.clip(point + np.sign(missing) * change, 0, upper)
    return projected


def _normalise(xp: Any, x: Array, total: float, kernel: Legendre, axis: int | None) -> Array:
    top = xp.max(x, axis=axis, keepdims=True)
    if not bool(xp.all(x >= 0)) or not bool(xp.all(top > 0)):
        raise DomainError(f"x must be non-negative and not zero for the projection under {kernel.label}")
    with quiet():
        scaled = x / top  # the sum itself may overflow
        return scaled * (total / xp.sum(scaled, axis=axis, keepdims=True))


def _by_resolvent(term: Any, kernel: Legendre, x: Array, axis: int | None, *parameters: np.ndarray) -> np.ndarray:
    """Project slice by slice through the resolvent of the indicator that `term` makes of the slice's parameters."""
    from optlab.bregman.resolvents import resolvent

    def one(point: np.ndarray, *own: np.ndarray) -> np.ndarray:
        # a set's indicator has the same resolvent for every step size
        mirror = resolvent(term(*own) if own else term(None), kernel, kernel.gradient(point), 1.0)
        return np.asarray(kernel.conjugate_gradient(mirror), dtype=point.dtype)

    if axis is None:
        return one(x, *parameters)

    def all_rows(rows: np.ndarray, *own: np.ndarray) -> np.ndarray:
        return np.stack([one(row, *(p[i] for p in own)) for i, row in enumerate(rows)])

    return _along_last(all_rows, axis, x, *parameters)


def _along_last(function: Any, axis: int | None, x: np.ndarray, *parameters: np.ndarray) -> np.ndarray:
    """Apply `function` to the slices of `x` along `axis` as rows of a matrix (None: one row of all entries)."""
    if axis is None:
        return np.asarray(function(x.reshape(1, -1), *(p.reshape(1, -1) for p in parameters))).reshape(x.shape)
    moved = [np.moveaxis(a, axis, -1) for a in (x, *parameters)]
    rows = [a.reshape(-1, a.shape[-1]) for a in moved]
    return np.ascontiguousarray(np.moveaxis(np.asarray(function(*rows)).reshape(moved[0].shape), -1, axis))


def _broadcast(value: np.ndarray, x: np.ndarray, name: str) -> np.ndarray:
    try:
        broadcast = np.broadcast_to(value, x.shape)
        return broadcast.astype(x.dtype, copy=False) if isinstance(x, np.ndarray) else np.array(broadcast)
    except ValueError:
        raise ValueError(f"{name} of shape {value.shape} does not fit a point of shape {x.shape}") from None


def _bound(xp: Any, value: Any, x: Array, name: str) -> Array:
    if xp is np:
        bound = as_float_array(value, name, finite=False)
        if np.isnan(bound).any():
            raise ValueError(f"{name} must not be NaN")
        return _broadcast(bound, x, name)
    return xp.full_like(x, value) if isinstance(value, (int, float)) else xp.broadcast_to(value, x.shape)


def _require_numpy(xp: Any, name: str) -> None:
    if xp is not np:
        raise TypeError(f"{name} takes NumPy arrays only")
