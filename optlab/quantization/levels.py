"""Terms that are not convex: the weights on given levels, and the distance to them.

Both have a proximal map, so that they run in every method that takes a term which is not convex (`ProximalGradient`,
`PANOC`), and in `AggregateProx` and `ProximalSteps`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from optlab.bregman import SquaredEuclidean
from optlab.bregman.functions import FEASIBILITY_TOLERANCE, Function
from optlab.bregman.resolvents import register_resolvent
from optlab.core.validation import as_data, as_number
from optlab.quantization.maps import as_grid, nearest, pulled, relaxed

Array = Any


def _as_scale(value: Any) -> Any:
    """Return a number or a read-only array of the scales of the levels, above 0."""
    if np.ndim(value) == 0:
        return as_number(value, "scale", above=0)
    return as_data(value, "scale", positive=True)


@dataclass(frozen=True, eq=False)
class Levels(Function):
    """The arrays with every entry on the grid, or on the grid times a scale; not convex.

    Its proximal map is the nearest level, the lower one at a tie, whatever the scale of the map: with it
    `AggregateProx` is straight-through estimation.

    Parameters
    ----------
    grid : array_like, shape (K,)
        Increasing.
    scale : float or array_like, default 1
        Above 0; an array fits the weights by broadcasting, (rows, 1) for a scale per row.

    Raises
    ------
    ValueError
        If the grid does not increase, or a scale is not above 0.

    Examples
    --------
    >>> Levels([-1.0, 0.0, 1.0], scale=2.0).proximal(np.array([-3.0, 0.4, 1.5]), 1.0)
    array([-2.,  0.,  2.])
    >>> import optlab
    >>> from optlab.bregman.functions import LeastSquares
    >>> from optlab.composite import CompositeProblem
    >>> from optlab.firstorder import ProximalGradient
    >>> problem = CompositeProblem(LeastSquares(np.eye(3), [0.9, -1.3, 0.2]), Levels([-1.0, 0.0, 1.0]))
    >>> np.asarray(optlab.solve(problem, ProximalGradient(), max_iter=20).solution)
    array([ 1., -1.,  0.])
    """

    grid: Any
    scale: Any = 1.0
    levels: Array = field(init=False, repr=False)
    indicator: ClassVar[bool] = True
    convex: ClassVar[bool] = False
    separable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        levels = as_grid(self.grid)
        levels.flags.writeable = False
        object.__setattr__(self, "levels", levels)
        object.__setattr__(self, "grid", tuple(levels.tolist()))
        object.__setattr__(self, "scale", _as_scale(self.scale))

    def scaled(self, factor: float) -> Levels:
        """Return the indicator itself."""
        as_number(factor, "factor", minimum=0)
        return self

    def value(self, x: Array) -> float:
        """Return 0 if every entry is on a level, up to rounding, infinity else."""
        x = np.asarray(x, dtype=float)
        slack = FEASIBILITY_TOLERANCE * np.abs(self.levels).max() * self.scale
        return 0.0 if np.all(np.abs(x - self.proximal(x, 1.0)) <= slack) else math.inf

    def proximal(self, u: Array, scale: float) -> Array:
        """Return the nearest levels; `scale` is that of the proximal map, and does not matter."""
        u = np.asarray(u)
        if np.ndim(self.scale) == 0 and self.scale == 1.0:
            return nearest(u, self.levels)
        return self.scale * nearest(u / self.scale, self.levels)

    def on_grid(self, w: Array) -> Array:
        """Return which entries are on a level to the last bit."""
        w = np.asarray(w)
        return w == self.proximal(w, 1.0)


@dataclass(frozen=True, eq=False)
class DistanceToLevels(Function):
    """``weight * sum_i dist(w_i)^power / power``, dist the distance to the nearest level; not convex.

    Power 1 is ProxQuant's W-shaped regulariser, power 2 BinaryRelax's: the second has no flat pieces, and puts a weight
    on a level only as its own weight grows to infinity.

    Parameters
    ----------
    grid : array_like, shape (K,)
        Increasing.
    weight : float, default 1
        Above 0.
    power : {1, 2}, default 1

    References
    ----------
    Bai, Wang, Liberty (2019), ProxQuant. Yin, Zhang, Lyu, Osher, Qi, Xin (2018), BinaryRelax.

    Examples
    --------
    >>> DistanceToLevels([-1.0, 1.0], 0.5).proximal(np.array([-3.0, 0.4, 1.2]), 1.0)
    array([-2.5,  0.9,  1. ])
    >>> DistanceToLevels([-1.0, 1.0], 0.5).value(np.array([-3.0, 0.5]))
    1.25
    """

    grid: Any
    weight: float = 1.0
    power: int = 1
    levels: Array = field(init=False, repr=False)
    convex: ClassVar[bool] = False
    separable: ClassVar[bool] = True
    whole_space: ClassVar[bool] = True

    def __post_init__(self) -> None:
        levels = as_grid(self.grid)
        levels.flags.writeable = False
        object.__setattr__(self, "levels", levels)
        object.__setattr__(self, "grid", tuple(levels.tolist()))
        object.__setattr__(self, "weight", as_number(self.weight, "weight", above=0))
        if self.power not in (1, 2):
            raise ValueError(f"power must be 1 or 2, got {self.power!r}")

    def value(self, x: Array) -> float:
        """Return the weighted sum of distances."""
        x = np.asarray(x, dtype=float)
        return float(self.weight * np.sum(np.abs(x - nearest(x, self.levels)) ** self.power)) / self.power

    def proximal(self, u: Array, scale: float) -> Array:
        """Return ``argmin_w f(w) + (w - u)^2 / (2 scale)``, of several the one by the lower level."""
        amount = self.weight * as_number(scale, "scale", minimum=0)
        if self.power == 1:
            return pulled(u, self.levels, amount)
        return relaxed(u, self.levels, amount / (1.0 + amount))

    def on_grid(self, w: Array) -> Array:
        """Return which entries are on a level to the last bit."""
        w = np.asarray(w)
        return w == nearest(w, self.levels)

    def scaled(self, factor: float) -> Function:
        """Return the regulariser with another weight."""
        factor = as_number(factor, "factor", minimum=0)
        return DistanceToLevels(self.grid, factor * self.weight, self.power) if factor else super().scaled(factor)


@register_resolvent(Levels, SquaredEuclidean)
@register_resolvent(DistanceToLevels, SquaredEuclidean)
def _euclidean(function: Any, kernel: Any, mirror: Array, step_size: float) -> Array:
    return function.proximal(mirror, step_size)
