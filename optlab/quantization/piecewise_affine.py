"""Convex piecewise-affine regularisers: corners on a grid pull weights onto it (Jin et al. 2025, PARQ, section 2).

    psi(w) = psi(p_j) + c_j (w - p_j)  for w in [p_j, p_{j+1}],   infinite outside [p_1, p_K]

Its proximal map is a staircase with ramps of slope one: flat at a grid point over a length of ``tau (c_j - c_{j-1})``.
With ``gamma v`` in place of u and gamma in place of tau the ramps shrink like 1/gamma, and the limit rounds v by the
thresholds ``c_j``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from optlab.bregman import SquaredEuclidean
from optlab.bregman.functions import Function
from optlab.bregman.resolvents import register_resolvent
from optlab.core.validation import as_float_array, as_number
from optlab.quantization.kernels import clamp_chain

Array = Any


@dataclass(frozen=True, eq=False)
class PiecewiseAffine(Function):
    """A convex piecewise-affine function of each weight, summed up.

    Parameters
    ----------
    points : array_like, shape (K,)
        The grid, increasing.
    slopes : array_like, shape (K - 1,)
        Slopes between its points, not decreasing. Where two are equal the point between them is no corner.
    symmetric : bool, optional
        Whether points and slopes are those of ``|w|``, with ``points[0] = 0`` and slopes at least 0 (the paper's form:
        ``q_0 = 0 < q_1 < ...`` and ``a_0 <= a_1 <= ...``). Default: if points begin with 0 and no slope is negative.
        A first slope of 0 takes 0 off the grid.
    weight : float, default 1
        lambda, above 0.

    Raises
    ------
    ValueError
        If points do not increase, slopes decrease, or their numbers do not fit.

    References
    ----------
    Jin, Ma, Liu, Gromov, Defazio, Xiao (2025), PARQ: piecewise-affine regularized quantization.

    Examples
    --------
    >>> psi = PiecewiseAffine([0.0, 0.5, 1.0, 2.0], [0.2, 0.5, 1.2])
    >>> psi.grid
    array([-2. , -1. , -0.5,  0. ,  0.5,  1. ,  2. ])
    >>> psi.proximal(np.array([-2.5, 0.2, 0.31, 3.0]), 1.0).round(12)
    array([-1.3 ,  0.  ,  0.11,  1.8 ])
    """

    points: Any
    slopes: Any
    symmetric: bool | None = None
    weight: float = 1.0
    grid: Array = field(init=False, repr=False)
    all_slopes: Array = field(init=False, repr=False)
    separable: ClassVar[bool] = True
    compact: ClassVar[bool] = True
    conjugate_domain: ClassVar[str] = "everywhere"

    def __post_init__(self) -> None:
        points = as_float_array(self.points, "points", ndim=1)
        slopes = as_float_array(self.slopes, "slopes", ndim=1)
        if points.size < 2:
            raise ValueError(f"points must be at least two, got {points.size}")
        if slopes.size != points.size - 1:
            raise ValueError(
                f"slopes must be one fewer than points ({points.size - 1}: one for each cell), got {slopes.size}"
            )
        for values, name, strict in ((points, "points", True), (slopes, "slopes", False)):
            steps = np.diff(values)
            wrong = np.flatnonzero(steps <= 0 if strict else steps < 0)
            if wrong.size:
                i = int(wrong[0])
                verb = "increase" if strict else "not decrease"
                raise ValueError(f"{name} must {verb}, got {values[i]:g} before {values[i + 1]:g} at position {i + 1}")
        symmetric = self.symmetric
        if symmetric is None:
            symmetric = bool(points[0] == 0.0 and slopes[0] >= 0.0)
        elif symmetric and (points[0] != 0.0 or slopes[0] < 0.0):
            raise ValueError(
                f"symmetric needs points[0] = 0 and slopes of at least 0, got {points[0]:g}, {slopes[0]:g}"
            )
        object.__setattr__(self, "symmetric", bool(symmetric))
        object.__setattr__(self, "weight", as_number(self.weight, "weight", above=0))
        if symmetric:
            points, slopes = np.concatenate([-points[:0:-1], points]), np.concatenate([-slopes[::-1], slopes])
        for name, values in (("points", self.points), ("slopes", self.slopes)):
            object.__setattr__(self, name, tuple(np.asarray(values, dtype=float).tolist()))
        object.__setattr__(self, "grid", _frozen(points))
        object.__setattr__(self, "all_slopes", _frozen(self.weight * slopes))

    @cached_property
    def heights(self) -> Array:
        """The values at the grid points; 0 at the point nearest to 0."""
        steps = np.concatenate([[0.0], np.cumsum(self.all_slopes * np.diff(self.grid))])
        zero = float(np.clip(0.0, self.grid[0], self.grid[-1]))
        return steps - np.interp(zero, self.grid, steps)

    def values(self, w: Array) -> Array:
        """Return psi at each entry of w, infinite outside the grid's range."""
        w = np.asarray(w, dtype=float)
        inside = np.interp(w, self.grid, self.heights)
        return np.where((w >= self.grid[0]) & (w <= self.grid[-1]), inside, math.inf)

    def value(self, x: Array) -> float:
        """Return the sum of psi over the entries of x."""
        return float(np.sum(self.values(x)))

    def proximal(self, u: Array, scale: float) -> Array:
        """Return ``argmin_w psi(w) + (w - u)^2 / (2 scale)``, entry by entry, in the dtype of u.

        Values on the grid are grid points to the last bit.

        Parameters
        ----------
        u : array_like
        scale : float
            At least 0; 0 is the projection onto the grid's range.
        """
        u = np.asarray(u)
        if u.dtype.kind != "f":
            u = u.astype(float)
        scale = as_number(scale, "scale", minimum=0)
        return clamp_chain(u, self.grid, scale * self.all_slopes)

    def rounded(self, v: Array) -> Array:
        """Return the limit of ``proximal(gamma v, gamma)`` as gamma grows: v rounded by the slopes as thresholds.

        At a threshold itself it is the lower of the two points.
        """
        return np.asarray(self.grid[np.searchsorted(self.all_slopes, np.asarray(v, dtype=float), side="left")])

    def on_grid(self, w: Array) -> Array:
        """Return which entries are corners of the function, exactly (in the precision of w)."""
        w = np.asarray(w)
        ends = np.concatenate([[True], np.diff(self.all_slopes) > 0, [True]])
        return np.isin(w, self.grid[ends].astype(w.dtype, copy=False))

    def stationarity(self, w: Array, gradient: Array) -> float:
        """Return how far ``-gradient`` is from the subdifferential at w, the largest over the entries.

        0 says that w minimises ``f + psi``, for convex f with that gradient.
        """
        w, slope = np.asarray(w, dtype=float), -np.asarray(gradient, dtype=float)
        slopes = np.concatenate([[-math.inf], self.all_slopes, [math.inf]])
        low = slopes[np.searchsorted(self.grid, w, side="left")]
        high = slopes[np.searchsorted(self.grid, w, side="right")]
        return float(np.max(np.maximum(np.maximum(low - slope, slope - high), 0.0), initial=0.0))

    def conjugate_value(self, y: Array) -> float:
        """Return the sum of ``max_j p_j y - psi(p_j)``."""
        y = np.asarray(y, dtype=float)
        best = self.grid[np.searchsorted(self.all_slopes, y, side="left")]
        return float(np.sum(best * y - np.interp(best, self.grid, self.heights)))

    def linear_minimizer(self, cost: Array) -> Array:
        """Return the end of the range that each cost prefers."""
        return np.where(np.asarray(cost) > 0, self.grid[0], self.grid[-1])

    def scaled(self, factor: float) -> Function:
        """Return the regulariser with another weight."""
        factor = as_number(factor, "factor", minimum=0)
        return (
            PiecewiseAffine(self.points, self.slopes, self.symmetric, factor * self.weight)
            if factor
            else super().scaled(factor)
        )


def _frozen(values: Array) -> Array:
    values = np.array(values, dtype=float)
    values.flags.writeable = False
    return values


@register_resolvent(PiecewiseAffine, SquaredEuclidean)
def _euclidean(function: PiecewiseAffine, kernel: Any, mirror: Array, step_size: float) -> Array:
    return function.proximal(mirror, step_size)


def nearest_point_slopes(points: Any) -> Array:
    """Return the midpoints of a grid: slopes with which the hard limit rounds to the nearest point.

    Examples
    --------
    >>> nearest_point_slopes([-1.0, 0.0, 2.0])
    array([-0.5,  1. ])
    """
    points = as_float_array(points, "points", ndim=1)
    return 0.5 * (points[1:] + points[:-1])
