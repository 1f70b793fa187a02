"""Resolvents under the Fermi-Dirac entropy of a box: mirror variable ``y = log((x - l)/(u - x))``, ``l < x < u``.

The inverse is ``x = l + (u - l) expit(y)``. Near either end the distance to *that* end is what carries the digits, so
each formula works with ``expit`` on both sides instead of with x. Derived here, verified numerically.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from optlab.bregman.fermi_dirac import FermiDirac
from optlab.bregman.functions import CappedSimplex, Hyperplane, Simplex, SquaredDistance
from optlab.bregman.functions.base import Array, check_broadcast
from optlab.bregman.legendre import as_array_like
from optlab.bregman.resolvents import general
from optlab.bregman.resolvents.bounds import mirror_box
from optlab.bregman.resolvents.registry import register_resolvent
from optlab.bregman.resolvents.roots import decreasing_root, expand_bracket, solve_plus_expit_pair
from optlab.core.backend import is_foreign, namespace
from optlab.core.errors import DomainError


@register_resolvent(SquaredDistance, FermiDirac, namespaces=True)
def squared_distance(function: SquaredDistance, kernel: FermiDirac, mirror: Array, step_size: float) -> Array:
    """``y + g t x(y) = m + g t q``, a bracketed Newton iteration (see `solve_plus_expit_pair`)."""
    check_broadcast(function.q, "q or weight", mirror)
    check_broadcast(function.weight, "q or weight", mirror)
    strength = step_size * function.weight
    ends = kernel.lower, kernel.upper
    if is_foreign(mirror):
        ends = tuple(as_array_like(namespace(mirror), end, mirror) for end in ends)
    low = mirror + strength * (function.q - ends[0])
    high = mirror + strength * (function.q - ends[1])
    return solve_plus_expit_pair(low, high, strength * (ends[1] - ends[0]))


def _constrained(
    kernel: FermiDirac, mirror: Array, normal: Array, offset: float, lower: Any, upper: Any, what: str
) -> Array:
    """Return ``clip(m - mu a, lower, upper)`` with ``<a, x> = offset``; see `general.constrained`.

    The sum of ``a x`` is split into the coordinates that are nearer to the end where ``a x`` is large and those nearer
    to the other one: the first count by what they lack, so that saturated coordinates cancel exactly and the excess
    is a sum of small terms.
    """
    normal = np.broadcast_to(normal, mirror.shape)
    size = np.abs(normal) * (kernel.upper - kernel.lower)
    sign = np.sign(normal)
    smallest = np.where(normal > 0, normal * kernel.lower, normal * kernel.upper)
    room = offset - float(np.sum(smallest))
    total = float(np.sum(size))
    reach = np.where(sign > 0, upper, -np.asarray(lower)), np.where(sign > 0, lower, -np.asarray(upper))
    most = float(np.sum(size * special.expit(reach[0])))
    least = float(np.sum(size * special.expit(reach[1])))
    if not least <= room <= most or not 0 < room < total:
        raise DomainError(f"{what} does not meet the interior of the domain ({kernel.domain})")

    def excess(mu: float) -> tuple[float, float]:
        free = mirror - mu * normal
        y = np.clip(free, lower, upper)
        oriented = sign * y
        on = oriented > 0
        near = size * special.expit(-np.abs(oriented))
        value = (float(np.sum(size[on])) - room) + (float(np.sum(near[~on])) - float(np.sum(near[on])))
        curvature = near * special.expit(np.abs(oriented))
        return value, -float(np.sum(np.where(y == free, np.abs(normal) * curvature, 0.0)))

    with np.errstate(under="ignore"):
        nonzero = np.abs(normal[normal != 0])
        bracket = expand_bracket(excess, 1.0 / float(np.max(nonzero)))
        if bracket is None:  # pragma: no cover - excluded by the test of `room`, up to rounding
            raise DomainError(f"{what} does not meet the interior of the domain ({kernel.domain})")
        mu = decreasing_root(excess, bracket[0], bracket[1], start=bracket[2])
    return np.asarray(np.clip(mirror - mu * normal, lower, upper))


@register_resolvent(Hyperplane, FermiDirac, namespaces=True)
def hyperplane(function: Hyperplane, kernel: FermiDirac, mirror: Array, step_size: float) -> Array:
    """``y = m - mu a``, one multiplier."""
    if is_foreign(mirror):
        return general.hyperplane(function, kernel, mirror, step_size)
    check_broadcast(function.normal, "normal", mirror)
    return _constrained(kernel, mirror, function.normal, function.offset, -np.inf, np.inf, "the hyperplane")


@register_resolvent(Simplex, FermiDirac, namespaces=True)
def simplex(function: Simplex, kernel: FermiDirac, mirror: Array, step_size: float) -> Array:
    """``y = max(m - mu, mirror of 0)``."""
    if is_foreign(mirror):
        return general.simplex(function, kernel, mirror, step_size)
    lower, upper = mirror_box(kernel, 0.0, np.inf, mirror.shape, "the simplex")
    return _constrained(kernel, mirror, np.ones(()), function.total, lower, upper, "the simplex")


@register_resolvent(CappedSimplex, FermiDirac)
def capped_simplex(function: CappedSimplex, kernel: FermiDirac, mirror: Array, step_size: float) -> Array:
    """``y = clip(m - mu, mirror of 0, mirror of upper)``."""
    check_broadcast(function.upper, "upper", mirror)
    caps = function.caps(mirror.shape)
    lower, upper = mirror_box(kernel, 0.0, caps, mirror.shape, "the capped simplex")
    return _constrained(kernel, mirror, np.ones(()), function.total, lower, upper, "the capped simplex")
