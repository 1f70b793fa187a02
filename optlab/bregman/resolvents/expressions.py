"""Closed forms as array expressions, for arrays of other libraries than NumPy (`optlab.core.backend`).

Only those whose NumPy form is prepared once and works in place of such an expression (`register_prepared`); the others
are written once, in their geometry's file, and marked there (``namespaces=True``). A term comes with its arrays in the
library, dtype and device of the point.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.bregman.entropy import ShannonEntropy
from optlab.bregman.euclidean import SquaredEuclidean
from optlab.bregman.functions import (
    Box,
    ItakuraSaito,
    KullbackLeibler,
    L1Norm,
    Linear,
    NegativeEntropy,
    Simplex,
    SquaredDistance,
    Zero,
)
from optlab.bregman.functions.base import Array, check_broadcast
from optlab.bregman.legendre import Legendre
from optlab.bregman.resolvents.bounds import dual_bounds, mirror_box, mirror_of_bound
from optlab.bregman.resolvents.general import weighted_mean
from optlab.bregman.resolvents.registry import array_expression
from optlab.bregman.resolvents.roots import logarithm, solve_plus_exp, solve_plus_log
from optlab.bregman.resolvents.shannon import log_sum_exp
from optlab.core.backend import like, namespace, to_numpy


def _check(function: Any, name: str, mirror: Array) -> None:
    check_broadcast(getattr(function, name), name, mirror)
    check_broadcast(function.weight, "weight", mirror)


@array_expression(Zero, Legendre)
def zero(function: Zero, kernel: Any, mirror: Array, step_size: float) -> Array:
    """Identity."""
    return namespace(mirror).asarray(mirror, copy=True)


@array_expression(Linear, Legendre)
def linear(function: Linear, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``m - g c``."""
    check_broadcast(function.cost, "cost", mirror)
    return mirror - step_size * function.cost


@array_expression(Box, Legendre)
def box(function: Box, kernel: Any, mirror: Array, step_size: float) -> Array:
    """Clip in mirror space; the bounds go to the device once."""
    known = vars(function).setdefault("_mirror_boxes", {})
    if (kernel, mirror.shape) not in known:
        lower, upper = (to_numpy(bound) for bound in (function.lower, function.upper))
        check_broadcast(np.broadcast_arrays(lower, upper)[0], "the bounds", np.broadcast_to(0.0, mirror.shape))
        known[kernel, mirror.shape] = [like(mirror, end) for end in mirror_box(kernel, lower, upper, mirror.shape)]
    lower, upper = known[kernel, mirror.shape]
    xp = namespace(mirror)
    return xp.minimum(xp.maximum(mirror, lower), upper)


@array_expression(L1Norm, Legendre)
def l1_norm(function: L1Norm, kernel: Any, mirror: Array, step_size: float) -> Array:
    """Soft-threshold around the mirror variable of 0, which is infinite (no kink) if 0 is not inside the domain."""
    check_broadcast(function.weight, "weight", mirror)
    xp, shift = namespace(mirror), step_size * function.weight
    origin = mirror_of_bound(kernel, 0.0, mirror.shape)
    low, high = dual_bounds(kernel)
    kink = (origin > low) & (origin < high)
    middle, inside, below = (
        like(mirror, np.array(a, dtype=float)) for a in (np.where(kink, origin, 0.0), kink, origin <= low)
    )
    moved = mirror - middle
    soft = middle + moved - xp.clip(moved, -shift, shift)
    return xp.where(inside > 0.5, soft, xp.where(below > 0.5, mirror - shift, mirror + shift))


# --- Euclidean ------------------------------------------------------------------------------------------------------


@array_expression(SquaredDistance, SquaredEuclidean)
def squared_distance(function: SquaredDistance, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``(m + g t q) / (1 + g t)``."""
    _check(function, "q", mirror)
    return weighted_mean(mirror, function.q, step_size * function.weight)


@array_expression(NegativeEntropy, SquaredEuclidean)
def negative_entropy(function: NegativeEntropy, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``x + g t log x = m``."""
    check_broadcast(function.weight, "weight", mirror)
    strength = step_size * function.weight
    return solve_plus_log(mirror / strength, strength)


@array_expression(KullbackLeibler, SquaredEuclidean)
def kullback_leibler(function: KullbackLeibler, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``x + g t log(x/q) = m``."""
    _check(function, "q", mirror)
    strength = step_size * function.weight
    return solve_plus_log(mirror / strength + function.log_q, strength)


# --- Shannon --------------------------------------------------------------------------------------------------------


@array_expression(NegativeEntropy, ShannonEntropy)
def shannon_negative_entropy(function: NegativeEntropy, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``x = z^{1/(1+gt)}``."""
    check_broadcast(function.weight, "weight", mirror)
    return mirror / (1.0 + step_size * function.weight)


@array_expression(KullbackLeibler, ShannonEntropy)
def shannon_kullback_leibler(function: KullbackLeibler, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``x = z^{1/(1+gt)} q^{gt/(1+gt)}``."""
    _check(function, "q", mirror)
    return weighted_mean(mirror, function.log_q, step_size * function.weight)


@array_expression(ItakuraSaito, ShannonEntropy)
def shannon_itakura_saito(function: ItakuraSaito, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``y - g t exp(-y) = m - g t / q``."""
    _check(function, "q", mirror)
    strength = step_size * function.weight
    return -solve_plus_exp(strength / function.q - mirror, logarithm(strength))


@array_expression(SquaredDistance, ShannonEntropy)
def shannon_squared_distance(function: SquaredDistance, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``y + g t exp(y) = m + g t q``."""
    _check(function, "q", mirror)
    strength = step_size * function.weight
    return solve_plus_exp(mirror + strength * function.q, logarithm(strength))


@array_expression(Simplex, ShannonEntropy)
def shannon_simplex(function: Simplex, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``x = total z / sum z``."""
    return mirror + float(np.log(function.total) - log_sum_exp(mirror))
