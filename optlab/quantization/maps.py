"""Maps from latent weights to (nearly) quantized ones, and how they harden along a run.

P_s, s from 1 to 0, is PARQ's: the identity within the grid's range at 1, rounding to the nearest point at 0. It is the
proximal map of the piecewise-linear interpolant Phi of ``w^2/2`` on the grid, ``prox_{((1-s)/s) Phi}(u/s)``, and the
gradient of the conjugate of ``(1-s) Phi + s w^2/2`` (derived here).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.core.validation import as_float_array, as_integer, as_number
from optlab.quantization.kernels import soften
from optlab.quantization.piecewise_affine import PiecewiseAffine

Array = Any


def as_grid(value: Any, name: str = "grid") -> Array:
    """Return an increasing array of at least one level."""
    grid = as_float_array(value, name, ndim=1)
    if grid.size == 0 or np.any(np.diff(grid) <= 0):
        raise ValueError(f"{name} must be at least one level, increasing, got {grid}")
    return grid


def nearest(u: Any, grid: Any) -> Array:
    """Return the nearest level; the lower one at a tie.

    Examples
    --------
    >>> nearest([-1.5, 0.2, 9.0], [-2.0, -1.0, 1.0, 2.0])
    array([-2.,  1.,  2.])
    """
    return soft_round(u, grid, 0.0)


def soft_round(u: Any, grid: Any, inverse_slope: float) -> Array:
    """Return PARQ's map ``P_s(u) = clip(c + (u - c)/s, l, h)`` in the cell [l, h] with centre c.

    Parameters
    ----------
    u : array_like
    grid : array_like, shape (K,)
        Increasing.
    inverse_slope : float
        s, from 0 (the nearest level) to 1 (the identity within the grid's range).

    Examples
    --------
    >>> soft_round([-2.5, -1.62, -0.1, 0.2, 1.38], [-2.0, -1.0, 1.0, 2.0], 0.3).round(6)
    array([-2.      , -1.9     , -0.333333,  0.666667,  1.1     ])
    """
    u, grid = as_float_array(u, "u", finite=False), as_grid(grid)
    s = as_number(inverse_slope, "inverse_slope", minimum=0, maximum=1)
    return soften(u, grid, s)


def interpolant(grid: Any, inverse_slope: float) -> PiecewiseAffine:
    """Return ``((1 - s)/s) Phi``, whose proximal map at u/s is ``P_s(u)``; Phi interpolates ``w^2/2`` on the grid.

    Examples
    --------
    >>> grid, u = np.array([-2.0, -1.0, 1.0, 2.0]), np.array([-0.1, 1.38])
    >>> np.allclose(interpolant(grid, 0.3).proximal(u / 0.3, 1.0), soft_round(u, grid, 0.3), atol=1e-15)
    True
    """
    grid, s = as_grid(grid), as_number(inverse_slope, "inverse_slope", above=0, maximum=1)
    if s == 1.0:
        raise ValueError("inverse_slope 1 leaves no regulariser: the map is the clipped identity")
    return PiecewiseAffine(grid, 0.5 * (grid[1:] + grid[:-1]), symmetric=False, weight=(1.0 - s) / s)


def relaxed(u: Any, grid: Any, theta: float) -> Array:
    """Return BinaryRelax's map ``(1 - theta) u + theta N(u)``, N the nearest level (Yin et al. 2018).

    Examples
    --------
    >>> relaxed([-2.5, 0.2], [-2.0, -1.0, 1.0, 2.0], 0.4)
    array([-2.3 ,  0.52])
    """
    u, theta = as_float_array(u, "u"), as_number(theta, "theta", minimum=0, maximum=1)
    return (1.0 - theta) * u + theta * nearest(u, grid)


def pulled(u: Any, grid: Any, amount: float) -> Array:
    """Return ProxQuant's W-shaped proximal map: the nearest level, or `amount` nearer to it (Bai, Wang, Liberty 2019).

    Examples
    --------
    >>> pulled([-2.5, 0.2], [-2.0, -1.0, 1.0, 2.0], 0.25)
    array([-2.25,  0.45])
    """
    u, amount = as_float_array(u, "u"), as_number(amount, "amount", minimum=0)
    level = nearest(u, grid)
    return level + np.sign(u - level) * np.maximum(np.abs(u - level) - amount, 0.0)


@dataclass(frozen=True)
class Annealing:
    """How the inverse slope s falls from 1 to 0 between two iterations (Jin et al. 2025, the authors' code).

    Parameters
    ----------
    end : int
        From this iteration on s is 0: rounding to the nearest level.
    start : int, default 0
        Before it the weights are not mapped at all; at it s = 1.
    steepness : float, default 10
        Of the sigmoid in the middle, above 0; below 1 it is almost a line. 10 to 50 in the authors' scripts.

    Examples
    --------
    >>> [round(Annealing(100)(k), 6) for k in (0, 25, 50, 75, 99, 100)]
    [1.0, 0.929896, 0.5, 0.070104, 0.000708, 0.0]
    """

    end: int
    start: int = 0
    steepness: float = 10.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", as_integer(self.start, "start", minimum=0))
        object.__setattr__(self, "end", as_integer(self.end, "end", minimum=self.start))
        object.__setattr__(self, "steepness", as_number(self.steepness, "steepness", above=0))

    def __call__(self, k: int) -> float:
        """Return s at iteration k."""
        if k >= self.end:
            return 0.0
        if k <= self.start:
            return 1.0
        share = (k - self.start) / (self.end - self.start)
        return 0.5 * (1.0 - math.tanh(0.5 * self.steepness * (share - 0.5)) / math.tanh(0.25 * self.steepness))
