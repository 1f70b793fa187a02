"""Regularised preference games: which policy is preferred to every other, less its distance from a reference."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import logsumexp

from optlab.core.validation import as_float_array, as_number

Array = Any


class PreferenceGame:
    """Find the symmetric equilibrium of ``<p, P q> - beta KL(p | rho) + beta KL(q | rho)``.

    Parameters
    ----------
    P : array_like, shape (n, n)
        How often i is preferred to j, with ``P + P^T = 1``.
    reference : array_like, shape (n,), optional
        rho, positive; it is normalised. Default: uniform.
    beta : float, default 0.1
        Above 0.

    Notes
    -----
    The solution is the policy as an array. The equilibrium is unique, ``pi* ~ rho exp(P pi* / beta)``. Metrics:

    * ``kl_bound``, the primary one: ``KL(pi | pi*)`` is at most this. The value is beta-strongly concave and convex
      relative to the Kullback-Leibler divergence, so that the regularised gap is at least ``2 beta KL(pi | pi*)``
      (derived here);
    * ``gap = 2 (beta logsumexp(log rho + P pi / beta) + beta KL(pi | rho) - 1/2)``;
    * ``exploitability = 2 (max P pi - 1/2)``, of the game that is not regularised.

    Examples
    --------
    >>> import optlab
    >>> from optlab.games import NashMirrorProx, PreferenceGame
    >>> P = np.array([[0.5, 0.9, 0.2], [0.1, 0.5, 0.8], [0.8, 0.2, 0.5]])
    >>> result = optlab.solve(PreferenceGame(P, beta=0.2), NashMirrorProx(), tol=1e-10)
    >>> result.success, result.solution.round(4)
    (True, array([0.346 , 0.2896, 0.3644]))
    """

    primary_metric = "kl_bound"

    def __init__(self, P: Any, reference: Any = None, beta: float = 0.1) -> None:
        self.P = as_float_array(P, "P", ndim=2).astype(float)
        n = len(self.P)
        if self.P.shape != (n, n):
            raise ValueError(f"P must be square, got {self.P.shape}")
        off = np.abs(self.P + self.P.T - 1.0)
        if off.max() > 1e-9:
            i, j = np.unravel_index(int(np.argmax(off)), off.shape)
            total = self.P[i, j] + self.P[j, i]
            raise ValueError(f"P must satisfy P + P^T = 1: P[{i}, {j}] + P[{j}, {i}] is {total:.6g}")
        if self.P.min() < 0.0:
            raise ValueError(f"P must hold probabilities, got {self.P.min():.3g}")
        self.beta = as_number(beta, "beta", above=0)
        rho = np.full(n, 1.0 / n) if reference is None else as_float_array(reference, "reference", shape=(n,))
        if np.any(rho <= 0.0):
            raise ValueError("reference must be positive everywhere")
        self.log_reference = np.log(rho) - np.log(rho.sum())
        self.size = n

    def default_start(self, rng: Any) -> Array:
        """Return the reference policy."""
        return np.exp(self.log_reference)

    def log_start(self, x0: Any) -> Array:
        """Return the log-probabilities of a start, normalised."""
        policy = as_float_array(x0, "x0", shape=(self.size,), nonnegative=True)
        if np.any(policy <= 0.0):
            raise ValueError("x0 must be positive everywhere: multiplicative steps never leave a zero")
        return np.log(policy) - np.log(policy.sum())

    def preferences(self, policy: Array) -> Array:
        """Return ``P pi``, how often each is preferred to a draw from the policy: one query."""
        return self.P @ policy

    def measure(self, iterate: Any) -> dict[str, float]:
        """Return the bound on the divergence to the equilibrium, the gap and the exploitability."""
        policy = np.asarray(iterate, dtype=float)
        preferred = self.P @ policy
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(policy > 0, policy * (np.log(policy) - self.log_reference), 0.0)
        best = float(logsumexp(self.log_reference + (preferred - 0.5) / self.beta))
        bound = max(best + float(terms.sum()), 0.0)
        return {
            "kl_bound": bound,
            "gap": 2.0 * self.beta * bound,
            "exploitability": max(2.0 * (float(preferred.max()) - 0.5), 0.0),
        }
