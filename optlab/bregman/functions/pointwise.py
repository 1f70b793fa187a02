"""Losses of one number at a place, robust ones and those of classification: sums over residuals or margins.

For a linear model compose them: ``Huber(1.0).translate(b) @ A`` of residuals, ``Hinge() @ (labels[:, None] * A)`` of
margins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.bregman.functions.base import Array, Function, as_weight, shown_shape
from optlab.bregman.functions.divergences import euclidean_constants
from optlab.bregman.functions.rays import Ray, inner
from optlab.core.validation import as_number


class Pointwise(Function):
    """Base of sums ``sum_i weight_i l(x_i)`` with weights at least 0."""

    weight: Any
    separable: ClassVar[bool] = True
    whole_space: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", as_weight(self.weight, zero=True))

    @property
    def shape(self) -> tuple[int, ...] | None:
        return shown_shape(self.weight)

    def conjugate_scale(self, y: Array) -> float:
        """The domain is a box around 0: the largest s with ``low <= s y <= high``."""
        low, high = self.conjugate_bounds()
        with np.errstate(divide="ignore", invalid="ignore"):
            limits = np.where(y > 0, high / y, np.where(y < 0, low / y, math.inf))
        return float(np.min(limits, initial=math.inf))

    def conjugate_bounds(self) -> tuple[Any, Any]:
        """Return the bounds of each coordinate of the domain of the conjugate."""
        raise NotImplementedError(f"{type(self).__name__} does not define conjugate_bounds")

    def _inside(self, y: Array) -> bool:
        low, high = self.conjugate_bounds()
        slack = 1e-12 * np.asarray(self.weight)
        return bool(np.all(y >= low - slack) and np.all(y <= high + slack))


@dataclass(frozen=True, eq=False)
class Huber(Pointwise):
    """Huber's loss: ``x^2/2`` up to `width`, then linear: ``width |x| - width^2/2``.

    Parameters
    ----------
    width : float, default 1
        Above 0.
    weight : float or array_like, default 1
        At least 0.

    Examples
    --------
    >>> Huber(1.0).value(np.array([0.5, 3.0]))
    2.625
    """

    width: float = 1.0
    weight: Any = 1.0
    smooth: ClassVar[bool] = True
    single_valued: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "width", as_number(self.width, "width", above=0))
        object.__setattr__(self, "conjugate_domain", "ball" if np.all(self.weight > 0) else "star")

    def value(self, x: Array) -> float:
        inner_part = np.minimum(np.abs(x), self.width)
        return float(np.sum(self.weight * inner_part * (np.abs(x) - 0.5 * inner_part)))

    def gradient(self, x: Array) -> Array:
        return np.asarray(self.weight * np.clip(x, -self.width, self.width))

    def second_derivative(self, x: Array) -> Array:
        return np.asarray(self.weight * (np.abs(x) <= self.width))

    def conjugate_bounds(self) -> tuple[Any, Any]:
        return -self.width * self.weight, self.width * self.weight

    def conjugate_value(self, y: Array) -> float:
        if not self._inside(y):
            return math.inf
        weight = np.broadcast_to(self.weight, np.shape(y))
        return 0.5 * float(np.sum(np.divide(y * y, weight, out=np.zeros(np.shape(y)), where=weight > 0)))

    def recession(self, direction: Array) -> Ray:
        return Ray(direction, *inner(self.width * self.weight, np.abs(direction)), linear=True)

    def relative_smoothness(self, kernel: Any) -> tuple[float, float] | None:
        return euclidean_constants(kernel, float(np.max(self.weight)), 0.0)


@dataclass(frozen=True, eq=False)
class Hinge(Pointwise):
    """The hinge loss of margins, ``sum weight max(0, 1 - x)``.

    Parameters
    ----------
    weight : float or array_like, default 1
        At least 0.

    Examples
    --------
    >>> Hinge().value(np.array([2.0, 0.5]))
    0.5
    """

    weight: Any = 1.0
    conjugate_domain: ClassVar[str | None] = "star"

    def value(self, x: Array) -> float:
        return float(np.sum(self.weight * np.maximum(0.0, 1.0 - x)))

    def conjugate_bounds(self) -> tuple[Any, Any]:
        return -np.asarray(self.weight), 0.0

    def conjugate_value(self, y: Array) -> float:
        return float(np.sum(y)) if self._inside(y) else math.inf

    def recession(self, direction: Array) -> Ray:
        return Ray(direction, *inner(self.weight, np.maximum(-direction, 0.0)), linear=True)


@dataclass(frozen=True, eq=False)
class SquaredHinge(Pointwise):
    """The squared hinge loss of margins, ``sum weight/2 max(0, 1 - x)^2``.

    Parameters
    ----------
    weight : float or array_like, default 1
        At least 0.

    Examples
    --------
    >>> SquaredHinge().value(np.array([2.0, 0.0]))
    0.5
    """

    weight: Any = 1.0
    smooth: ClassVar[bool] = True
    single_valued: ClassVar[bool] = True
    conjugate_domain: ClassVar[str | None] = "star"

    def value(self, x: Array) -> float:
        return 0.5 * float(np.sum(self.weight * np.maximum(0.0, 1.0 - x) ** 2))

    def gradient(self, x: Array) -> Array:
        return np.asarray(-self.weight * np.maximum(0.0, 1.0 - x))

    def second_derivative(self, x: Array) -> Array:
        return np.asarray(self.weight * (x <= 1.0))

    def conjugate_bounds(self) -> tuple[Any, Any]:
        return np.where(np.asarray(self.weight) > 0, -math.inf, 0.0), 0.0

    def conjugate_value(self, y: Array) -> float:
        if not self._inside(y):
            return math.inf
        weight = np.broadcast_to(self.weight, np.shape(y))
        square = np.divide(y * y, weight, out=np.zeros(np.shape(y)), where=weight > 0)
        return float(np.sum(y + 0.5 * square))

    def recession(self, direction: Array) -> Ray:
        weighted = np.broadcast_to(np.asarray(self.weight) > 0, np.shape(direction))
        return Ray(np.where(weighted, np.maximum(direction, 0.0), direction))

    def relative_smoothness(self, kernel: Any) -> tuple[float, float] | None:
        return euclidean_constants(kernel, float(np.max(self.weight)), 0.0)


@dataclass(frozen=True, eq=False)
class Pinball(Pointwise):
    """The pinball loss of quantile regression, ``sum weight max(quantile x, (quantile - 1) x)``.

    Parameters
    ----------
    quantile : float, default 0.5
        Between 0 and 1.
    weight : float or array_like, default 1
        At least 0.

    Examples
    --------
    >>> Pinball(0.9).value(np.array([1.0, -1.0])).__round__(12)
    1.0
    """

    quantile: float = 0.5
    weight: Any = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "quantile", as_number(self.quantile, "quantile", minimum=0, maximum=1))
        inside = 0 < self.quantile < 1 and bool(np.all(self.weight > 0))
        object.__setattr__(self, "conjugate_domain", "ball" if inside else "star")

    def value(self, x: Array) -> float:
        return float(np.sum(self.weight * np.maximum(self.quantile * x, (self.quantile - 1.0) * x)))

    def conjugate_bounds(self) -> tuple[Any, Any]:
        return (self.quantile - 1.0) * np.asarray(self.weight), self.quantile * np.asarray(self.weight)

    def conjugate_value(self, y: Array) -> float:
        return 0.0 if self._inside(y) else math.inf

    def recession(self, direction: Array) -> Ray:
        value = self.value(direction)
        return Ray(direction, value, value, linear=True)
