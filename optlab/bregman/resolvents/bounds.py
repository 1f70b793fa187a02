"""Ends of the coordinate-wise domains of a kernel and of its conjugate; bounds carried to mirror space."""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.bregman.functions.base import Array
from optlab.core.errors import DomainError


def domain_bounds(kernel: Any) -> tuple[Any, Any]:
    """Return the open interval of each coordinate of a separable kernel's domain (numbers or arrays).

    Examples
    --------
    >>> from optlab.bregman import FermiDirac
    >>> domain_bounds(FermiDirac(-1.0, 2.0))
    (-1.0, 2.0)
    """
    lower, upper = kernel.coordinate_bounds
    return lower, upper


def dual_bounds(kernel: Any) -> tuple[float, float]:
    """Return the open interval of each mirror coordinate: the range of the kernel's derivative.

    Examples
    --------
    >>> from optlab.bregman import BurgEntropy
    >>> dual_bounds(BurgEntropy())
    (-inf, 0.0)
    """
    lower, upper = kernel.dual_coordinate_bounds
    return float(lower), float(upper)


def mirror_of_bound(kernel: Any, bound: Any, shape: tuple[int, ...]) -> Array:
    """Return the kernel's derivative at `bound`, continued by its limits outside the domain (infinite ones included).

    A bound at or below the lower end of the domain gives the lower end of the mirror interval, so that clipping there
    changes nothing; likewise above.
    """
    bound = np.broadcast_to(np.asarray(bound, dtype=float), shape)
    low, high = domain_bounds(kernel)
    inside = (bound > low) & (bound < high)
    # kernels with parameters per coordinate need the whole array: put a harmless point where the bound is outside
    safe = np.where(inside, bound, kernel.default_point(shape))
    mirror_low, mirror_high = dual_bounds(kernel)
    return np.where(inside, kernel.gradient(safe), np.where(bound <= low, mirror_low, mirror_high))


def mirror_box(
    kernel: Any, lower: Any, upper: Any, shape: tuple[int, ...], name: str = "the box"
) -> tuple[Array, Array]:
    """Return a box's bounds in mirror space; DomainError where the box misses the interior of the domain.

    There the resolvent lies on the boundary, its mirror variable is infinite, and a splitting method that adds and
    subtracts mirror variables would meet ``inf - inf``: such a coordinate is a constant and has to be taken out.
    """
    low, high = domain_bounds(kernel)
    empty = np.broadcast_to((np.asarray(lower) >= high) | (np.asarray(upper) <= low), shape)
    if np.any(empty):
        where = [int(i) for i in np.argwhere(empty)[0]]
        raise DomainError(
            f"{name} does not meet the interior of the domain ({kernel.domain}) of {type(kernel).__name__} at index "
            f"{where}: fix that coordinate and remove it"
        )
    return mirror_of_bound(kernel, lower, shape), mirror_of_bound(kernel, upper, shape)
