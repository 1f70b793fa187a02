"""Norms and their like: finite everywhere, positively homogeneous, with the indicator of a set as conjugate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from optlab.bregman.functions.base import Array, Function, as_weight, shown_shape
from optlab.bregman.functions.rays import Ray
from optlab.core.validation import as_data, as_flag, as_integer, as_number, read_only


class Homogeneous(Function):
    """Base of functions with ``f(s x) = s f(x)`` for s >= 0, whose conjugate is the indicator of ``{gauge <= 1}``."""

    whole_space: ClassVar[bool] = True
    conjugate_domain: ClassVar[str | None] = "ball"

    def gauge(self, y: Array) -> float:
        """Return the smallest r for which ``y / r`` lies in the domain of the conjugate: the dual norm."""
        raise NotImplementedError(f"{type(self).__name__} does not define gauge")

    def conjugate_value(self, y: Array) -> float:
        return 0.0 if self.gauge(y) <= 1.0 + 1e-12 else math.inf

    def conjugate_scale(self, y: Array) -> float:
        gauge = self.gauge(y)
        return math.inf if gauge == 0 else 1.0 / gauge

    def recession(self, direction: Array) -> Ray:
        value = self.value(direction)
        return Ray(direction, value, abs(value), linear=True)


def _over(numerator: float, weight: float) -> float:
    return 0.0 if numerator == 0 else math.inf if weight == 0 else numerator / weight


@dataclass(frozen=True, eq=False)
class L2Norm(Homogeneous):
    """The Euclidean norm ``weight * ||x||`` of an array of any shape.

    Parameters
    ----------
    weight : float, default 1
        At least 0.

    Examples
    --------
    >>> L2Norm(2.0).value(np.array([3.0, 4.0]))
    10.0
    """

    weight: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", as_number(self.weight, "weight", minimum=0))
        object.__setattr__(self, "conjugate_domain", "ball" if self.weight > 0 else "star")

    def value(self, x: Array) -> float:
        return self.weight * float(np.linalg.norm(np.ravel(x)))

    def gauge(self, y: Array) -> float:
        return _over(float(np.linalg.norm(np.ravel(y))), self.weight)

    def project_dual(self, y: Array) -> Array:
        """Return y scaled into the ball."""
        size = float(np.linalg.norm(np.ravel(y)))
        return y if size <= self.weight else (self.weight / size) * y


@dataclass(frozen=True, eq=False)
class LInfNorm(Homogeneous):
    """The largest modulus ``weight * max |x|``.

    Parameters
    ----------
    weight : float, default 1
        At least 0.

    Examples
    --------
    >>> LInfNorm().value(np.array([3.0, -4.0]))
    4.0
    """

    weight: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", as_number(self.weight, "weight", minimum=0))
        object.__setattr__(self, "conjugate_domain", "ball" if self.weight > 0 else "star")

    def value(self, x: Array) -> float:
        return self.weight * float(np.max(np.abs(x)))

    def gauge(self, y: Array) -> float:
        return _over(float(np.sum(np.abs(y))), self.weight)


@dataclass(frozen=True, eq=False)
class SumLargest(Function):
    """The sum of the largest entries, ``weight * (x_[1] + ... + x_[count])``; with count 1 the maximum.

    Parameters
    ----------
    count : int, default 1
        At most the number of entries.
    weight : float, default 1
        At least 0.

    Examples
    --------
    >>> SumLargest(2).value(np.array([3.0, -4.0, 1.0]))
    4.0
    """

    count: int = 1
    weight: float = 1.0
    whole_space: ClassVar[bool] = True
    conjugate_domain: ClassVar[str | None] = "set"

    def __post_init__(self) -> None:
        object.__setattr__(self, "count", as_integer(self.count, "count", minimum=1))
        object.__setattr__(self, "weight", as_number(self.weight, "weight", minimum=0))

    def value(self, x: Array) -> float:
        if self.count > np.size(x):
            raise ValueError(f"count must be at most the number of entries {np.size(x)}, got {self.count}")
        return self.weight * float(np.sum(np.partition(np.ravel(x), -self.count)[-self.count :]))

    def conjugate_value(self, y: Array) -> float:
        slack, total = 1e-12 * self.weight, self.count * self.weight
        inside = np.all(y >= -slack) and np.all(y <= self.weight + slack) and abs(np.sum(y) - total) <= 1e-12 * total
        return 0.0 if inside else math.inf

    def recession(self, direction: Array) -> Ray:
        value = self.value(direction)
        return Ray(direction, value, self.weight * float(np.sum(np.abs(direction))), linear=True)


@dataclass(frozen=True, eq=False)
class SortedL1(Homogeneous):
    """The sorted 1-norm ``sum_i weights_i |x|_[i]`` of SLOPE: the largest weight for the largest modulus.

    Parameters
    ----------
    weights : array_like, shape (n,)
        At least 0, and not increasing.

    References
    ----------
    Bogdan, van den Berg, Sabatti, Su, Candes (2015), SLOPE.

    Examples
    --------
    >>> SortedL1([3.0, 1.0]).value(np.array([1.0, -2.0]))
    7.0
    """

    weights: Any

    def __post_init__(self) -> None:
        weights = as_data(self.weights, "weights", ndim=1, nonnegative=True)
        if np.any(np.diff(weights) > 0):
            i = int(np.argmax(np.diff(weights) > 0))
            raise ValueError(f"weights must not increase, but weights[{i + 1}] > weights[{i}]")
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "conjugate_domain", "ball" if weights[0] > 0 else "star")

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.weights.shape)

    def scaled(self, factor: float) -> Function:
        return SortedL1(as_number(factor, "factor", minimum=0) * self.weights)

    def value(self, x: Array) -> float:
        return float(np.sum(self.weights * np.sort(np.abs(x))[::-1]))

    def gauge(self, y: Array) -> float:
        tops, limits = np.cumsum(np.sort(np.abs(y))[::-1]), np.cumsum(self.weights)
        if limits[0] == 0:
            return 0.0 if tops[0] == 0 else math.inf
        return float(np.max(tops / limits))


@dataclass(frozen=True, eq=False)
class GroupNorm(Homogeneous):
    """The sum of the Euclidean norms of groups of entries, ``sum_g weight_g ||x_g||``.

    Parameters
    ----------
    groups : int or array_like of int, shape (n,)
        The axis along which an array holds one group at each place, or for vectors the number of each entry's group,
        from 0.
    weight : float or array_like, default 1
        At least 0; one for each group (of labels), or an array that fits the array without its axis.

    Examples
    --------
    >>> GroupNorm([0, 0, 1]).value(np.array([3.0, 4.0, -1.0]))
    6.0
    >>> GroupNorm(0).value(np.array([[3.0, 1.0], [4.0, 0.0]]))
    6.0
    """

    groups: Any = 0
    weight: Any = 1.0

    def __post_init__(self) -> None:
        if np.ndim(self.groups) == 0:
            object.__setattr__(self, "groups", as_integer(self.groups, "groups"))
        else:
            labels = np.array(self.groups)
            if labels.ndim != 1 or labels.dtype.kind not in "iu" or labels.min(initial=0) < 0:
                raise ValueError("groups must be an axis, or for each entry the number of its group, from 0")
            object.__setattr__(self, "groups", read_only(labels))
        object.__setattr__(self, "weight", as_weight(self.weight, zero=True))
        if np.ndim(self.groups) and np.ndim(self.weight) and np.shape(self.weight) != (self._count,):
            raise ValueError(
                f"weight must have one entry for each of {self._count} groups, got {np.shape(self.weight)}"
            )
        object.__setattr__(self, "conjugate_domain", "ball" if np.all(self.weight > 0) else "star")

    @property
    def shape(self) -> tuple[int, ...] | None:
        return tuple(self.groups.shape) if np.ndim(self.groups) else None

    @cached_property
    def _count(self) -> int:
        """The number of groups, of labels."""
        return int(np.max(self.groups)) + 1

    def norms(self, x: Array) -> Array:
        """Return the norm of each group."""
        if np.ndim(self.groups):
            if np.shape(x) != self.groups.shape:
                raise ValueError(f"these groups need a point of shape {self.groups.shape}, got {np.shape(x)}")
            return np.sqrt(np.bincount(self.groups, weights=x * x, minlength=self._count)).astype(x.dtype, copy=False)
        if x.shape[self.groups] == 2:  # images: without a temporary of twice their size
            first, second = np.moveaxis(x, self.groups, 0)
            return np.hypot(first, second)
        return np.sqrt(np.sum(x * x, axis=self.groups))

    def spread(self, factors: Array) -> Array:
        """Return one number for each group as an array that multiplies points."""
        return factors[self.groups] if np.ndim(self.groups) else np.expand_dims(factors, self.groups)

    def value(self, x: Array) -> float:
        return float(np.sum(self.weight * self.norms(x)))

    def project_dual(self, y: Array) -> Array:
        """Return every group scaled into its ball."""
        norms = self.norms(y)
        factors = np.divide(self.weight, norms, out=np.ones_like(norms), where=norms > self.weight)
        return y * self.spread(factors)

    def gauge(self, y: Array) -> float:
        norms = self.norms(y)
        weight = np.broadcast_to(self.weight, norms.shape)
        if np.any((weight == 0) & (norms > 0)):
            return math.inf
        return float(np.max(np.divide(norms, weight, out=np.zeros_like(norms), where=weight > 0), initial=0.0))


class TotalVariation(GroupNorm):
    """The total variation of an image or a signal, as a function of its differences.

    That of the image itself is ``TotalVariation() @ FiniteDifferences(shape)``.

    Parameters
    ----------
    weight : float or array_like, default 1
        At least 0.
    isotropic : bool, default True
        Whether the differences at a pixel count by their Euclidean norm; else by the sum of their moduli. Signals have
        one difference at a place, and no choice.

    Examples
    --------
    >>> from optlab.linalg import FiniteDifferences
    >>> (TotalVariation() @ FiniteDifferences((2, 2))).value(np.array([[0.0, 3.0], [4.0, 0.0]]))
    12.0
    """

    def __init__(self, weight: Any = 1.0, isotropic: bool = True) -> None:
        object.__setattr__(self, "groups", 0)
        object.__setattr__(self, "weight", weight)
        object.__setattr__(self, "isotropic", as_flag(isotropic, "isotropic"))
        self.__post_init__()

    def __repr__(self) -> str:
        return f"TotalVariation({self.weight!r}{'' if self.isotropic else ', isotropic=False'})"  # type: ignore[attr-defined]

    def scaled(self, factor: float) -> Function:
        return TotalVariation(as_number(factor, "factor", minimum=0) * self.weight, self.isotropic)  # type: ignore[attr-defined]

    def norms(self, x: Array) -> Array:
        return np.abs(x) if x.ndim == 1 or not self.isotropic else super().norms(x)  # type: ignore[attr-defined]

    def spread(self, factors: Array) -> Array:
        return factors if factors.ndim == 1 or not self.isotropic else super().spread(factors)  # type: ignore[attr-defined]


@dataclass(frozen=True, eq=False)
class SparseGroupNorm(Homogeneous):
    """The penalty of the sparse group lasso, ``l1_weight ||x||_1 + sum_g group_weight_g ||x_g||``.

    Parameters
    ----------
    groups : int or array_like of int
        As in `GroupNorm`.
    l1_weight : float, default 1
        At least 0.
    group_weight : float or array_like, default 1
        As in `GroupNorm`.

    References
    ----------
    Simon, Friedman, Hastie, Tibshirani (2013), A sparse-group lasso.

    Examples
    --------
    >>> SparseGroupNorm([0, 0, 1]).value(np.array([3.0, 4.0, -1.0]))
    14.0
    """

    groups: Any = 0
    l1_weight: float = 1.0
    group_weight: Any = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "l1_weight", as_number(self.l1_weight, "l1_weight", minimum=0))
        group = GroupNorm(self.groups, self.group_weight)
        object.__setattr__(self, "groups", group.groups)
        object.__setattr__(self, "group_weight", group.weight)
        positive = self.l1_weight > 0 or bool(np.all(group.weight > 0))
        object.__setattr__(self, "conjugate_domain", "ball" if positive else "star")

    @cached_property
    def group_norm(self) -> GroupNorm:
        """The second part."""
        return GroupNorm(self.groups, self.group_weight)

    @property
    def shape(self) -> tuple[int, ...] | None:
        return self.group_norm.shape

    def scaled(self, factor: float) -> Function:
        factor = as_number(factor, "factor", minimum=0)
        return SparseGroupNorm(self.groups, factor * self.l1_weight, factor * self.group_weight)

    def value(self, x: Array) -> float:
        return self.l1_weight * float(np.sum(np.abs(x))) + self.group_norm.value(x)

    def gauge(self, y: Array) -> float:
        """The smallest r with ``||soft(y, r l1_weight)_g|| <= r group_weight_g`` in all groups, from above."""
        y = np.abs(y)
        if not np.any(y):
            return 0.0
        group, weight = self.group_norm, np.asarray(self.group_weight)

        def inside(r: float) -> bool:
            return bool(np.all(group.norms(np.maximum(y - r * self.l1_weight, 0.0)) <= r * weight))

        high = float(np.max(y)) / self.l1_weight if self.l1_weight > 0 else math.inf
        if not math.isfinite(high):
            return group.gauge(y)
        low = 0.0
        for _ in range(60):
            middle = 0.5 * (low + high)
            low, high = (low, middle) if inside(middle) else (middle, high)
        return high


@dataclass(frozen=True, eq=False)
class TotalVariation1D(Homogeneous):
    """The total variation ``sum_i weight_i |x_{i+1} - x_i|`` of a signal itself, with a closed proximal operator.

    Parameters
    ----------
    weight : float or array_like, shape (n - 1,)
        At least 0; one for each difference. Default 1.

    Notes
    -----
    The proximal operator is Johnson's dynamic programme (2013), linear in n for any weights.

    Examples
    --------
    >>> TotalVariation1D(2.0).value(np.array([0.0, 1.0, -1.0]))
    6.0
    """

    weight: Any = 1.0
    conjugate_domain: ClassVar[str | None] = "star"

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", as_weight(self.weight, zero=True))
        if np.ndim(self.weight) > 1:
            raise ValueError(f"weight must be a number or a vector, got shape {np.shape(self.weight)}")

    @property
    def shape(self) -> tuple[int, ...] | None:
        seen = shown_shape(self.weight)
        return None if seen is None else (seen[0] + 1,)

    def value(self, x: Array) -> float:
        return float(np.sum(self.weight * np.abs(np.diff(x))))

    def gauge(self, y: Array) -> float:
        """Of ``y = D^T u``, the largest ``|u_i| / weight_i``: u is minus the running sum, and y sums to zero."""
        total = np.cumsum(y)
        if abs(total[-1]) > 1e-12 * float(np.sum(np.abs(y))):
            return math.inf
        size, weight = np.abs(total[:-1]), np.broadcast_to(self.weight, total[:-1].shape)
        if np.any((weight == 0) & (size > 1e-12 * float(np.sum(np.abs(y))))):
            return math.inf
        return float(np.max(np.divide(size, weight, out=np.zeros_like(size), where=weight > 0), initial=0.0))


@dataclass(frozen=True, eq=False)
class FusedLasso(Homogeneous):
    """The fused lasso ``l1_weight ||x||_1 + sum_i variation_weight_i |x_{i+1} - x_i|`` of a signal.

    Parameters
    ----------
    l1_weight : float, default 1
        At least 0.
    variation_weight : float or array_like, shape (n - 1,), default 1
        At least 0.

    References
    ----------
    Friedman, Hastie, Hofling, Tibshirani (2007): the proximal operator is that of the variation, then of the 1-norm.

    Examples
    --------
    >>> FusedLasso(1.0, 2.0).value(np.array([0.0, 1.0, -1.0]))
    8.0
    """

    l1_weight: float = 1.0
    variation_weight: Any = 1.0
    conjugate_domain: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "l1_weight", as_number(self.l1_weight, "l1_weight", minimum=0))
        object.__setattr__(self, "variation_weight", TotalVariation1D(self.variation_weight).weight)

    @cached_property
    def variation(self) -> TotalVariation1D:
        """The second part."""
        return TotalVariation1D(self.variation_weight)

    @property
    def shape(self) -> tuple[int, ...] | None:
        return self.variation.shape

    def scaled(self, factor: float) -> Function:
        factor = as_number(factor, "factor", minimum=0)
        return FusedLasso(factor * self.l1_weight, factor * self.variation_weight)

    def value(self, x: Array) -> float:
        return self.l1_weight * float(np.sum(np.abs(x))) + self.variation.value(x)

    def conjugate_value(self, y: Array) -> float:
        return Function.conjugate_value(self, y)


@dataclass(frozen=True, eq=False)
class NuclearNorm(Homogeneous):
    """The sum of the singular values of a matrix, ``weight * ||X||_*``.

    Parameters
    ----------
    weight : float, default 1
        At least 0.

    Examples
    --------
    >>> NuclearNorm(2.0).value(np.diag([3.0, -1.0])).__round__(12)
    8.0
    """

    weight: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", as_number(self.weight, "weight", minimum=0))
        object.__setattr__(self, "conjugate_domain", "ball" if self.weight > 0 else "star")

    def value(self, x: Array) -> float:
        return self.weight * float(np.sum(np.linalg.svd(x, compute_uv=False)))

    def gauge(self, y: Array) -> float:
        return _over(float(np.linalg.norm(y, 2)), self.weight)


@dataclass(frozen=True, eq=False)
class L0Norm(Function):
    """The number of entries that are not zero, ``weight * #{x != 0}``; not convex.

    Parameters
    ----------
    weight : float or array_like, default 1
        At least 0.

    Examples
    --------
    >>> L0Norm(2.0).value(np.array([0.0, 3.0]))
    2.0
    """

    weight: Any = 1.0
    separable: ClassVar[bool] = True
    convex: ClassVar[bool] = False
    whole_space: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", as_weight(self.weight, zero=True))

    def value(self, x: Array) -> float:
        return float(np.sum(self.weight * (np.asarray(x) != 0)))
