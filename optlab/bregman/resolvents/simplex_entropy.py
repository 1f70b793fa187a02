"""Resolvents under Shannon's entropy restricted to a simplex: mirror variables up to a constant, softmax as inverse.

Being restricted, the kernel adds the constraint ``sum x = total`` to every resolvent. Answers are in the gauge
``y = log x`` where the term fixes one, otherwise in that of the input. Where an answer would need a coordinate-wise
solve *and* the multiplier of the sum, there is no entry: use `ShannonEntropy` with the `Simplex` term instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.bregman.entropy import ShannonEntropy, SimplexEntropy
from optlab.bregman.functions import Box, CappedSimplex, KullbackLeibler, NegativeEntropy, Simplex
from optlab.bregman.functions.base import Array, check_broadcast
from optlab.bregman.resolvents import shannon
from optlab.bregman.resolvents.general import weighted_mean
from optlab.bregman.resolvents.registry import register_resolvent, unavailable
from optlab.core.errors import DomainError


def _one_simplex(function: Any, kernel: SimplexEntropy) -> None:
    if kernel.axis is not None:
        raise unavailable(function, kernel, "only for one simplex (axis=None)")


@register_resolvent(NegativeEntropy, SimplexEntropy)
def negative_entropy(function: NegativeEntropy, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``m / (1 + g t)``; the linear part of the entropy is constant on the simplex."""
    _uniform_weight(function, kernel)
    return np.asarray(mirror / (1.0 + step_size * function.weight))


@register_resolvent(KullbackLeibler, SimplexEntropy)
def kullback_leibler(function: KullbackLeibler, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``(m + g t log q) / (1 + g t)``."""
    _uniform_weight(function, kernel)
    check_broadcast(function.q, "q", mirror)
    return weighted_mean(mirror, function.log_q, step_size * function.weight)


def _uniform_weight(function: Any, kernel: Any) -> None:
    if np.ndim(function.weight):  # the multiplier of the sum would be divided by different numbers
        raise unavailable(function, kernel, "only with one weight for all coordinates")


@register_resolvent(Simplex, SimplexEntropy)
def simplex(function: Simplex, kernel: SimplexEntropy, mirror: Array, step_size: float) -> Array:
    """Identity, in the gauge ``log x``, if it is the same simplex."""
    if kernel.axis is not None or abs(function.total - kernel.total) > 1e-12 * kernel.total:
        raise DomainError(f"the simplex with sum {function.total:g} is not the kernel's ({kernel.domain})")
    return np.asarray(kernel.gauge(mirror))


@register_resolvent(CappedSimplex, SimplexEntropy)
def capped_simplex(function: CappedSimplex, kernel: SimplexEntropy, mirror: Array, step_size: float) -> Array:
    """``min(upper, theta z)``, as under `ShannonEntropy`."""
    _one_simplex(function, kernel)
    if abs(function.total - kernel.total) > 1e-12 * kernel.total:
        raise DomainError(
            f"the capped simplex with sum {function.total:g} misses the kernel's domain ({kernel.domain})"
        )
    return shannon.capped_simplex(function, ShannonEntropy(), mirror, step_size)


@register_resolvent(Box, SimplexEntropy)
def box(function: Box, kernel: SimplexEntropy, mirror: Array, step_size: float) -> Array:
    """Upper bounds make a capped simplex; positive lower bounds are not covered."""
    _one_simplex(function, kernel)
    if np.any(function.lower > 0):
        raise unavailable(function, kernel, "positive lower bounds are not covered")
    return capped_simplex(CappedSimplex(function.upper, kernel.total), kernel, mirror, step_size)
