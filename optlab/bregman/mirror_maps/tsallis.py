"""The negative Tsallis entropy ``Phi(p) = (sum p^q - 1) / (q (q - 1))`` for q in (0, 2].

q = 1 is the negative entropy (as the limit), q = 2 the squared Euclidean norm up to a constant; q = 1/2 is the map of
Tsallis-INF (Zimmert and Seldin 2021); 1 < q < 2 gives the sparse policies of entmax (Peters, Niculae, Martins 2019).

Everything is written in the deformed logarithm and exponential

    log_q(p) = (p^(q-1) - 1) / (q - 1),        exp_q(x) = (1 + (q - 1) x)_+^(1/(q-1)),

which are smooth through q = 1. The dual coordinate here is ``log_q(p)``, which is ``p^(q-1)/(q-1)``, the derivative of
Phi, less the constant 1/(q-1): on a simplex constants do not matter, and without it nothing blows up as q -> 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.bregman.elementary import quiet
from optlab.bregman.mirror_maps.base import Array, MirrorMap, check_actions
from optlab.bregman.mirror_maps.euclidean import EuclideanMap
from optlab.bregman.mirror_maps.negative_entropy import NegativeEntropyMap, normalise_log
from optlab.core.validation import as_number

_MAX_NEWTON = 60  # never reached: 6 to 9 steps are the rule
_EUCLIDEAN = EuclideanMap()
_ENTROPY = NegativeEntropyMap()


@dataclass(frozen=True)
class TsallisMap(MirrorMap):
    """The mirror map ``Phi(p) = (sum p^q - 1)/(q (q - 1))``, convention (S).

    ``Pi(y)_a = exp_q(y_a + lambda)`` with the lambda that makes the row sum to one, found by Newton's method. For
    q <= 1 the map is steep, with polynomially small probabilities: it is slow to commit to an action. For q > 1 actions
    are clipped to zero. The modulus of strong convexity in the l1 norm is 1 for q <= 1 and ``A^(1-q)`` above.

    Parameters
    ----------
    q : float, default 0.5
        In (0, 2].

    Examples
    --------
    >>> TsallisMap(0.5).project([[0.0, -1e12]]).round(6), TsallisMap(1.5).project([[0.0, -9.0]])
    (array([[1., 0.]]), array([[1., 0.]]))
    >>> TsallisMap(0.5).log_project([0.0, -1e12]).round(2)
    array([  0.  , -53.88])
    """

    q: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "q", as_number(self.q, "q", above=0, maximum=2))

    @property
    def steep(self) -> bool:  # type: ignore[override]
        return self.q <= 1

    @property
    def label(self) -> str:
        return f"Tsallis q = {self.q:g}"

    def strong_convexity(self, n_actions: int) -> float:
        return float(check_actions(n_actions) ** min(0.0, 1 - self.q))

    def _value(self, p: Array) -> Array:
        # sum p = 1 makes (sum p^q - 1)/(q - 1) the mean of log_q(p)
        terms = np.where(p > 0, p * self._gradient(np.where(p > 0, p, 1)), 0)
        return np.asarray(terms.sum(axis=-1) / self.q, dtype=p.dtype)

    def _gradient(self, p: Array) -> Array:
        return self._gradient_from_log(np.log(p))

    def _gradient_from_log(self, log_p: Array) -> Array:
        return np.asarray(deformed_log(log_p, self.q))

    def _log_project(self, y: Array) -> Array:
        if self.q == 1:
            return normalise_log(y)
        if self.q == 2:
            return _EUCLIDEAN._log_project(y)
        below = y - y.max(axis=-1, keepdims=True)
        shift = _normaliser(below, self.q)
        log_p = log_deformed_exp(below + shift, self.q)
        return np.asarray(log_p - np.log(np.exp(log_p).sum(axis=-1, keepdims=True)))

    def _weights(self, p: Array) -> Array:
        return np.asarray(np.where(p > 0, np.where(p > 0, p, 1) ** (2 - self.q), 0), dtype=p.dtype)

    def _divergence_from_log(self, log_p: Array, log_q: Array) -> Array:
        if self.q == 1:
            return _ENTROPY._divergence_from_log(log_p, log_q)
        return np.asarray(tsallis_divergence_terms(log_p, log_q, self.q).sum(axis=-1))


def deformed_log(log_p: Any, q: float) -> Any:
    """Return ``(p^(q-1) - 1)/(q - 1)`` from ``log p``; ``log p`` itself for q = 1.

    Examples
    --------
    >>> float(deformed_log(np.log(4.0), 0.5)), float(deformed_log(np.log(4.0), 2.0))
    (1.0, 3.0)
    """
    return log_p if q == 1 else np.expm1((q - 1) * log_p) / (q - 1)


def log_deformed_exp(x: Any, q: float) -> Any:
    """Return ``log (1 + (q-1) x)_+ / (q-1)``, the inverse of `deformed_log`; ``-inf`` where it is clipped.

    Examples
    --------
    >>> round(float(log_deformed_exp(1.0, 0.5)), 6) == round(float(np.log(4.0)), 6)
    True
    """
    return x if q == 1 else np.log1p(np.maximum((q - 1) * x, -1)) / (q - 1)


def _normaliser(below: Array, q: float) -> Array:
    """The number mu of each row with ``sum exp_q(below + mu) = 1``, where the largest entry of `below` is 0.

    Newton's method on ``h(mu) = log_q(sum exp_q(below + mu))``, from mu = 0 where the sum is at least one. h is convex
    (a norm, or the concave mean of negative order, of affine functions) and increasing, so that the steps go down
    monotonically to the root; and it is affine, one step being exact, for equal entries as for one that dominates.
    """
    mu = np.zeros((*below.shape[:-1], 1), dtype=below.dtype)
    slack = 2 * np.finfo(below.dtype).eps
    for _ in range(_MAX_NEWTON):
        log_p = log_deformed_exp(below + mu, q)
        support = log_p > -np.inf
        total = np.exp(log_p).sum(axis=-1, keepdims=True)
        slope = np.where(support, np.exp((2 - q) * log_p), 0).sum(axis=-1, keepdims=True)
        step = deformed_log(np.log(total), q) * total ** (2 - q) / slope
        step = np.where(step > slack * (1 + np.abs(mu)), step, 0).astype(below.dtype, copy=False)
        mu = mu - step
        if not step.any():
            break
    return mu


def tsallis_divergence_terms(log_p: Array, log_r: Array, q: float) -> Array:
    """Return the terms of ``D_Phi(p, r)``, non-negative, to full relative accuracy for every q in (0, 2], also near 1.

    With t = log(p/r) a term is ``r^q psi(t)``, ``psi(t) = (e^(qt) - 1 - q (e^t - 1)) / (q (q - 1))``, whose Taylor
    coefficients are ``(1 + q + ... + q^(n-2)) / n!``.

    Examples
    --------
    >>> p, r = np.array([0.5, 0.5]), np.array([0.2, 0.8])
    >>> terms = tsallis_divergence_terms(np.log(p), np.log(r), 2.0)
    >>> np.allclose(terms, (p - r) ** 2 / 2)
    True
    """
    with quiet():
        both = (log_p > -np.inf) & (log_r > -np.inf)
        lp, lr = np.where(both, log_p, 0), np.where(both, log_r, 0)
        t = lp - lr
        r_q = np.exp(q * lr)
        near = r_q * _psi_series(np.where(np.abs(t) <= 0.7, t, 0), q)
        # t < 0: r^q [e^t log_q(e^t) - (e^t - 1)] / q, nothing of equal sign cancels
        down = np.minimum(t, 0)
        if q >= 0.5:  # e^t is 0 long before the other factor overflows
            ratio = np.exp(down) * np.expm1(np.clip((q - 1) * down, -700, 700)) / (q - 1)
        else:
            ratio = (np.exp(down) - np.exp(q * down)) / (1 - q)
        low = r_q * (ratio - np.expm1(down)) / q
        # t > 0: the same on the scale of p, so that r^q e^t is never formed from 0 and inf
        up = np.maximum(t, 0)
        cross = np.exp(lp + (q - 1) * lr)
        if q < 1:
            lead = cross * (-np.expm1((q - 1) * up)) / (1 - q)
        else:
            lead = np.exp(q * lp) * (-np.expm1((1 - q) * up)) / (q - 1)
        high = (lead + cross * np.expm1(-up)) / q
        terms = np.where(np.abs(t) <= 0.7, near, np.where(t < 0, low, high))
        # p = 0 leaves r^q/q; r = 0 is infinite for a steep map and p^q/(q (q - 1)) otherwise
        terms = np.where(np.isneginf(log_p), np.exp(q * log_r) / q, terms)
        at_zero = np.inf if q <= 1 else np.exp(q * log_p) / (q * (q - 1))
        terms = np.where(np.isneginf(log_r) & (log_p > -np.inf), at_zero, terms)
        return np.asarray(terms, dtype=log_p.dtype)


def _psi_series(t: Array, q: float) -> Array:
    # sum of t^n/n! (1 + q + ... + q^(n-2)), n = 2 to 20: truncated below 1e-17 relative for |t| <= 0.7
    total, power, coefficient, geometric = np.zeros_like(t), t.copy(), 1.0, 0.0
    for n in range(2, 21):
        power = power * t
        coefficient /= n
        geometric += q ** (n - 2)
        total = total + power * (coefficient * geometric)
    return total
