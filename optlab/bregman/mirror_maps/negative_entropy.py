"""The negative entropy ``Phi(p) = sum p log p``: softmax policies, Kullback-Leibler divergence, log-domain throughout.

The formulas are those of `optlab.bregman.SimplexEntropy` with ``axis=-1``; what is added here is that policies are
carried by their logarithms. ``D_KL(pi*, pi_k)`` grows like the sum of the step sizes, so that a probability soon
underflows where its logarithm does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optlab.bregman.elementary import exp_divergence_terms, logsumexp, xlogx
from optlab.bregman.mirror_maps.base import Array, DualRows, MirrorMap, check_actions


def normalise_log(y: Array) -> Array:
    """Return ``y - logsumexp(y)`` by rows, the logarithm of softmax; ``-inf`` stays.

    The largest entry is subtracted first, so that differences survive scores of any size.

    Examples
    --------
    >>> normalise_log(np.array([1e15, 1e15]))
    array([-0.69314718, -0.69314718])
    """
    below = y - y.max(axis=-1, keepdims=True)
    result: Array = below - np.log(np.exp(below).sum(axis=-1, keepdims=True))
    return result


@dataclass(frozen=True)
class NegativeEntropyMap(MirrorMap):
    """The mirror map ``Phi(p) = sum p log p`` with ``Phi* = logsumexp``, ``Pi = softmax`` and ``D_Phi = KL``.

    Its dual coordinates are ``log p``; the modulus of strong convexity is 1 (Pinsker).

    Examples
    --------
    >>> phi = NegativeEntropyMap()
    >>> phi.log_project([[1e12, 0.0]])
    array([[ 0.e+00, -1.e+12]])
    >>> phi.dual_divergence([0.0, 0.0], [0.0, -800.0])
    array(0.69314718)
    """

    @property
    def label(self) -> str:
        return "negative entropy"

    def strong_convexity(self, n_actions: int) -> float:
        check_actions(n_actions)
        return 1.0

    def _value(self, p: Array) -> Array:
        return np.asarray(xlogx(np, p).sum(axis=-1))

    def _gradient(self, p: Array) -> Array:
        return np.asarray(np.log(p))

    def _gradient_from_log(self, log_p: Array) -> Array:
        return log_p

    _log_project = staticmethod(normalise_log)

    def _weights(self, p: Array) -> Array:
        return p

    def _divergence_from_log(self, log_p: Array, log_q: Array) -> Array:
        # an action that neither policy has adds nothing; one that p lacks adds q
        missing = np.isneginf(log_p)
        terms = exp_divergence_terms(np, np.where(missing, 0, log_q), np.where(missing, 0, log_p))
        terms = np.where(missing, np.exp(log_q), terms)
        terms = np.where(np.isneginf(log_q) & ~missing, np.inf, terms)
        return np.asarray(terms.astype(log_p.dtype, copy=False).sum(axis=-1))

    def conjugate_at(self, y: DualRows) -> Array:
        return np.asarray(logsumexp(np, y.y, -1)[..., 0])
