"""Resolvents under Shannon's entropy ``h(x) = sum x log x - x``: mirror variable ``y = log x``, orthant ``x > 0``.

All formulas are in logarithms: no point is formed, so that mirror variables of +-1e8 are as good as others. Derived
here, verified numerically; the multiplicative forms are the familiar ones (scaling, Lambert's function, soft clipping).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.bregman.elementary import logsumexp
from optlab.bregman.entropy import ShannonEntropy
from optlab.bregman.functions import (
    CappedSimplex,
    ColumnMarginal,
    Hyperplane,
    ItakuraSaito,
    KullbackLeibler,
    NegativeEntropy,
    Poisson,
    RowMarginal,
    Simplex,
    SquaredDistance,
)
from optlab.bregman.functions.base import Array, check_broadcast, check_shape
from optlab.bregman.resolvents import general
from optlab.bregman.resolvents.general import Shape, prepared_mean
from optlab.bregman.resolvents.registry import Prepared, per_step_size, register_prepared, register_resolvent
from optlab.bregman.resolvents.roots import decreasing_root, solve_plus_exp
from optlab.core.backend import is_foreign, namespace
from optlab.core.errors import DomainError


def log_sum_exp(y: Array, axis: int | None = None) -> Any:
    """Return ``log sum exp(y)`` along `axis`; faster than SciPy's and silent on ``-inf`` entries next to finite ones.

    Examples
    --------
    >>> float(round(log_sum_exp(np.array([1e8, 1e8])) - 1e8, 6))
    0.693147
    """
    if type(y) is not np.ndarray and (xp := namespace(y)) is not np:
        total = logsumexp(xp, y, axis)
        return float(xp.reshape(total, ())) if axis is None else xp.squeeze(total, axis=axis)
    if axis is None:
        top = y.max()
        with np.errstate(under="ignore"):
            return float(np.log(np.exp(y - top).sum()) + top)
    top = np.max(y, axis=axis, keepdims=True)
    with np.errstate(under="ignore"):
        total = np.log(np.sum(np.exp(y - top), axis=axis, keepdims=True)) + top
    return np.squeeze(total, axis=axis)


# --- separable terms ------------------------------------------------------------------------------------------------


@register_prepared(NegativeEntropy, ShannonEntropy)
def negative_entropy(function: NegativeEntropy, kernel: Any, shape: Shape) -> Prepared:
    """``x = z^{1/(1+gt)}``."""
    check_shape(function.weight, "weight", shape)
    return lambda mirror, step_size: mirror / (1.0 + step_size * function.weight)


@register_prepared(KullbackLeibler, ShannonEntropy)
def kullback_leibler(function: KullbackLeibler, kernel: Any, shape: Shape) -> Prepared:
    """``x = z^{1/(1+gt)} q^{gt/(1+gt)}``."""
    check_shape(function.q + function.weight, "q or weight", shape)
    return prepared_mean(np.log(function.q), function.weight)


@register_prepared(Poisson, ShannonEntropy)
def poisson(function: Poisson, kernel: Any, shape: Shape) -> Prepared:
    """``y - g t q exp(-y) = m - g t``, that is ``x = g t q / W(g t q e^{g t} / z)``."""
    check_shape(function.q + function.weight, "q or weight", shape)

    def of(step_size: float) -> tuple[Any, Any]:
        strength = step_size * function.weight
        with np.errstate(divide="ignore"):  # q = 0: no exponential term
            return strength, np.log(strength) + np.log(function.q)

    constants = per_step_size(of)

    def root(mirror: Array, step_size: float) -> Array:
        strength, log_k = constants(step_size)
        return -solve_plus_exp(strength - mirror, log_k)

    return root


@register_prepared(ItakuraSaito, ShannonEntropy)
def itakura_saito(function: ItakuraSaito, kernel: Any, shape: Shape) -> Prepared:
    """``y - g t exp(-y) = m - g t / q``."""
    check_shape(function.q + function.weight, "q or weight", shape)

    def of(step_size: float) -> tuple[Any, Any]:
        strength = step_size * function.weight
        return strength / function.q, np.log(strength)

    constants = per_step_size(of)

    def root(mirror: Array, step_size: float) -> Array:
        pull, log_k = constants(step_size)
        return -solve_plus_exp(pull - mirror, log_k)

    return root


@register_prepared(SquaredDistance, ShannonEntropy)
def squared_distance(function: SquaredDistance, kernel: Any, shape: Shape) -> Prepared:
    """``y + g t exp(y) = m + g t q``, that is ``x = W(g t z e^{g t q}) / (g t)``."""
    check_shape(function.q + function.weight, "q or weight", shape)

    def of(step_size: float) -> tuple[Any, Any]:
        strength = step_size * function.weight
        with np.errstate(divide="ignore"):  # a weight of 0 leaves its coordinate alone
            return strength * function.q, np.log(strength)

    constants = per_step_size(of)

    def root(mirror: Array, step_size: float) -> Array:
        pull, log_k = constants(step_size)
        with np.errstate(divide="ignore"):
            return solve_plus_exp(mirror + pull, log_k)

    return root


# --- one linear constraint ------------------------------------------------------------------------------------------


@register_prepared(Simplex, ShannonEntropy)
def simplex(function: Simplex, kernel: Any, shape: Shape) -> Prepared:
    """``x = total z / sum z``."""
    log_total = np.log(function.total)
    return lambda mirror, step_size: mirror + (log_total - log_sum_exp(mirror))


@register_resolvent(CappedSimplex, ShannonEntropy)
def capped_simplex(function: CappedSimplex, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``x = min(upper, theta z)``, theta exactly by sorting ``upper / z``."""
    check_broadcast(function.upper, "upper", mirror)
    caps = function.caps(mirror.shape).ravel()
    y = mirror.ravel()
    log_caps = np.log(caps)
    order = np.argsort(log_caps - y, kind="stable")
    # with the first k coordinates at their caps, the others share what is left of the total
    rest = function.total - np.concatenate([[0.0], np.cumsum(caps[order])[:-1]])
    with np.errstate(invalid="ignore", divide="ignore", under="ignore"):
        tail = np.logaddexp.accumulate(y[order][::-1])[::-1]
        log_theta = np.where(rest > 0, np.log(rest), -np.inf) - tail
    # the right k is the first whose own next coordinate stays under its cap; none: all caps are met
    fits = np.flatnonzero(log_theta <= (log_caps - y)[order])
    if fits.size == 0:
        return np.array(log_caps.reshape(mirror.shape))
    k = int(fits[0])
    if not np.isfinite(log_theta[k]):  # the caps of the first k hold the total: nothing is left for the others
        raise DomainError(
            "the capped simplex leaves nothing for some coordinates: its total equals the sum of the other caps, so "
            "that the answer lies on the boundary"
        )
    answer = y + log_theta[k]
    answer[order[:k]] = log_caps[order[:k]]
    return answer.reshape(mirror.shape)


@register_resolvent(Hyperplane, ShannonEntropy, namespaces=True)
def hyperplane(function: Hyperplane, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``x = z exp(-mu a)``: one multiplier, found in logarithms.

    With the positive terms on one side and the negative ones on the other, both sides are log-sum-exps of mu, their
    difference decreases with a slope between two known bounds, and so the root has a known bracket.
    """
    if is_foreign(mirror):
        return general.hyperplane(function, kernel, mirror, step_size)
    check_broadcast(function.normal, "normal", mirror)
    normal = np.broadcast_to(function.normal, mirror.shape)
    sign = -1.0 if function.offset < 0 else 1.0
    a, offset = sign * normal.ravel(), sign * function.offset
    y = mirror.ravel()
    plus, minus = a > 0, a < 0
    if not plus.any() or (offset == 0 and not minus.any()):
        raise DomainError(
            f"the hyperplane with offset {function.offset:g} does not meet x > 0: check the signs of normal"
        )
    log_plus, log_minus = np.log(a[plus]) + y[plus], np.log(-a[minus]) + y[minus]
    log_offset = np.log(offset) if offset > 0 else -np.inf

    def excess(mu: float) -> tuple[float, float]:
        exponents = log_plus - mu * a[plus]
        left = log_sum_exp(exponents)
        slope = -float(np.sum(a[plus] * np.exp(exponents - left)))
        if not minus.any():
            return left - log_offset, slope
        exponents = log_minus - mu * a[minus]
        negative = log_sum_exp(exponents)
        right = float(np.logaddexp(log_offset, negative))
        share = float(np.exp(negative - right))
        slope += share * float(np.sum(a[minus] * np.exp(exponents - negative)))
        return left - right, slope

    with np.errstate(under="ignore"):
        value, _ = excess(0.0)
        steep = a.max() - a[minus].min(initial=0.0)
        gentle = a[plus].min() - (a[minus].max() if offset == 0 else 0.0)
        ends = sorted((value / steep * (1 - 1e-12), value / gentle * (1 + 1e-12)))
        mu = decreasing_root(excess, ends[0], ends[1], start=value / steep)
    return np.asarray(mirror - (sign * mu) * normal)


# --- row and column sums of a matrix --------------------------------------------------------------------------------


@register_resolvent(RowMarginal, ShannonEntropy)
@register_resolvent(ColumnMarginal, ShannonEntropy)
def marginal(function: Any, kernel: Any, mirror: Array, step_size: float) -> Array:
    """Scale each row (column) by ``a/r``, ``min(1, a/r)``, ``(a/r)^{gt/(1+gt)}`` or ``clip(a/r, e^{-gt}, e^{gt})``."""
    function.sums(mirror)  # checks the shape
    a, strength = function.marginal, step_size * function.weight
    if function.kind != "l1" and not np.all(a > 0):
        where = int(np.flatnonzero(a == 0)[0])
        side = "row" if function.axis == 1 else "column"
        raise DomainError(
            f"marginal is 0 at index [{where}]: that {side} lies on the boundary of x > 0, where no mirror variable "
            f"exists. Remove the {side}"
        )
    with np.errstate(divide="ignore"):
        shift = np.log(a) - log_sum_exp(mirror, axis=function.axis)
    if function.kind == "at_most":
        shift = np.minimum(shift, 0.0)
    elif function.kind == "kl":
        shift = shift * (strength / (1.0 + strength))
    elif function.kind == "l1":
        shift = np.clip(shift, -strength, strength)
    return np.asarray(mirror + np.expand_dims(shift, function.axis))


__all__ = ["log_sum_exp"]
