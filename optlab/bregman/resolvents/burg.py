"""Resolvents under Burg's entropy ``h(x) = -sum log x``: mirror variable ``y = -1/x < 0``.

The mirror space is not all of R^n: an answer ``y >= 0`` means that the resolvent is empty, and `resolvent` raises
DomainError. With ``w = -y = 1/x > 0`` most conditions are quadratic in w. Derived here, verified numerically.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.bregman.burg import BurgEntropy
from optlab.bregman.functions import (
    CappedSimplex,
    Hyperplane,
    ItakuraSaito,
    KullbackLeibler,
    NegativeEntropy,
    Poisson,
    Simplex,
    SquaredDistance,
)
from optlab.bregman.functions.base import Array, check_broadcast
from optlab.bregman.resolvents.general import weighted_mean
from optlab.bregman.resolvents.registry import register_resolvent
from optlab.bregman.resolvents.roots import decreasing_root, positive_quadratic_root, solve_plus_log
from optlab.core.errors import DomainError


@register_resolvent(Poisson, BurgEntropy)
def poisson(function: Poisson, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``x = (1 + g t q) / (1/z + g t)``."""
    check_broadcast(function.q, "q or weight", mirror)
    check_broadcast(function.weight, "q or weight", mirror)
    strength = step_size * function.weight
    return np.asarray((mirror - strength) / (1.0 + strength * function.q))


@register_resolvent(ItakuraSaito, BurgEntropy)
def itakura_saito(function: ItakuraSaito, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``x = (1 + g t) / (1/z + g t/q)``: the geometry's own distance."""
    check_broadcast(function.q, "q or weight", mirror)
    check_broadcast(function.weight, "q or weight", mirror)
    return weighted_mean(mirror, -1.0 / function.q, step_size * function.weight)


@register_resolvent(SquaredDistance, BurgEntropy)
def squared_distance(function: SquaredDistance, kernel: Any, mirror: Array, step_size: float) -> Array:
    """Positive root of ``g t x^2 + (1/z - g t q) x - 1 = 0``, in ``w = 1/x``: ``w^2 - (1/z - g t q) w - g t = 0``."""
    check_broadcast(function.q, "q or weight", mirror)
    check_broadcast(function.weight, "q or weight", mirror)
    strength = step_size * function.weight
    return -positive_quadratic_root(-mirror - strength * function.q, strength)


@register_resolvent(NegativeEntropy, BurgEntropy)
def negative_entropy(function: NegativeEntropy, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``w + g t log w = 1/z``."""
    check_broadcast(function.weight, "weight", mirror)
    strength = step_size * function.weight
    return -solve_plus_log(-mirror / strength, strength)


@register_resolvent(KullbackLeibler, BurgEntropy)
def kullback_leibler(function: KullbackLeibler, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``w + g t log w = 1/z - g t log q``."""
    check_broadcast(function.q, "q or weight", mirror)
    check_broadcast(function.weight, "q or weight", mirror)
    strength = step_size * function.weight
    return -solve_plus_log(-mirror / strength - function.log_q, strength)


# --- one linear constraint ------------------------------------------------------------------------------------------


def _shares(p: Array, total: float) -> Array:
    """Return ``w_i = p_i + mu > 0`` with ``sum 1/w = total``; mu may be negative.

    Measured from the smallest p, the multiplier lies in ``[1/total, n/total]``, and nothing cancels.
    """
    above = p - p.min()

    def excess(nu: float) -> tuple[float, float]:
        x = 1.0 / (above + nu)
        return float(np.sum(x)) - total, -float(np.sum(x * x))

    ends = (1.0 / total * (1 - 1e-15), p.size / total * (1 + 1e-15))
    return np.asarray(above + decreasing_root(excess, *ends, start=ends[0]))


@register_resolvent(Simplex, BurgEntropy)
def simplex(function: Simplex, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``x = 1/(1/z + mu)``, one multiplier."""
    return -_shares(-mirror, function.total)


@register_resolvent(CappedSimplex, BurgEntropy)
def capped_simplex(function: CappedSimplex, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``x = min(upper, 1/(1/z + mu))``: the coordinates at their caps first, then the simplex of the others."""
    check_broadcast(function.upper, "upper", mirror)
    caps = function.caps(mirror.shape).ravel()
    p, total = -mirror.ravel(), function.total
    floors = 1.0 / caps  # w = max(p + mu, 1/cap)
    capped = np.zeros(p.size, dtype=bool)
    # the multiplier only falls as coordinates reach their caps, so a capped one stays capped: at most n rounds
    for _ in range(p.size):
        rest = total - float(np.sum(caps[capped]))
        free = ~capped
        if rest <= 0.0 or not free.any():
            break
        w = np.array(floors)
        w[free] = _shares(p[free], rest)
        exceeding = free & (w < floors)
        if not exceeding.any():
            return -w.reshape(mirror.shape)
        capped |= exceeding
    if capped.all() or abs(total - float(np.sum(caps))) <= 1e-12 * total:
        return -floors.reshape(mirror.shape)
    raise DomainError(
        "the capped simplex leaves nothing for some coordinates: the answer lies on the boundary of x > 0"
    )


@register_resolvent(Hyperplane, BurgEntropy)
def hyperplane(function: Hyperplane, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``x = 1/(1/z + mu a)``: mu lies between the poles of the positive and of the negative coefficients.

    The sum ``<a, x>`` falls from ``+inf`` (or from the negative terms alone) to ``-inf`` between them; mu is measured
    from the nearer pole.
    """
    check_broadcast(function.normal, "normal", mirror)
    normal = np.broadcast_to(function.normal, mirror.shape).ravel()
    p, offset = -mirror.ravel(), function.offset
    moving = normal != 0
    a, ratios = normal[moving], p[moving] / normal[moving]  # a x = 1/(ratio + mu), with the sign of a

    def solve(ratio: Array, positive: Array, target: float) -> tuple[Array, float]:
        """Measure mu from the pole of the positive coefficients; returns ``ratio + mu`` and the value at the middle."""
        pole = -ratio[positive].min()
        width = -ratio[~positive].max() - pole if (~positive).any() else np.inf
        shifted = ratio + pole

        def excess(nu: float) -> tuple[float, float]:
            terms = 1.0 / (shifted + nu)
            return float(np.sum(terms)) - target, -float(np.sum(terms * terms))

        if np.isinf(width):
            ends = (1.0 / target * (1 - 1e-15), ratio.size / target * (1 + 1e-15))
            return np.asarray(shifted + decreasing_root(excess, *ends, start=ends[0])), 0.0
        middle, _ = excess(0.5 * width)
        if middle > 0:
            return shifted, middle
        start = 1.0 / (abs(target) + 2.0 * ratio.size / width)
        return np.asarray(shifted + decreasing_root(excess, start, 0.5 * width, start=start)), middle

    positive = a > 0
    if not positive.any() or (positive.all() and offset <= 0):
        if (~positive).all() and offset < 0:
            terms, _ = solve(-ratios, ~positive, -offset)
            terms = -terms
        else:
            raise DomainError(f"the hyperplane with offset {offset:g} does not meet x > 0: check the signs of normal")
    else:
        terms, middle = solve(ratios, positive, offset)
        if middle > 0:  # the root is nearer to the other pole: mirror the problem
            terms, _ = solve(-ratios, ~positive, -offset)
            terms = -terms
    w = np.array(p)
    w[moving] = a * terms
    return -w.reshape(mirror.shape)
