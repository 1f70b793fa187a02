"""Mirror maps from an omega-potential: ``Phi(p) = sum over a of the integral from 1 to p_a of phi^{-1}(u) du``.

Krichene, Krichene and Bayen (2015) and AMPO (Alfano, Yuan, Rebeschini 2023). phi is increasing from the reals onto
``(omega, inf)``, omega <= 0, with an integrable inverse; the policy of scores y is ``[phi(y_a + lambda)]_+``, with the
lambda that makes the row sum to one. Entropy is ``phi(x) = exp(x - 1)``, the Euclidean norm ``phi(x) = x``; both, and
Tsallis, have shorter formulas of their own in this package. Here are the general map, from functions that you give, and
the hyperbolic one, ``phi(x) = b sinh(x)`` (the hypentropy of Ghai, Hazan and Singer 2020).
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from optlab.bregman.elementary import phi as exp_remainder
from optlab.bregman.elementary import quiet
from optlab.bregman.mirror_maps.base import Array, DualRows, MirrorMap, check_actions
from optlab.core.validation import as_number

_MAX_ITERATIONS = 80
_LOG_FLOOR = -650.0  # of a steep potential, whose policies are known only through phi: exp(-650) is not yet subnormal


class PotentialMap(MirrorMap):
    """Base of the maps given by a potential: a subclass has ``_phi``, ``_inverse`` and ``_derivative``."""

    @abc.abstractmethod
    def _phi(self, x: Array) -> Array: ...

    @abc.abstractmethod
    def _inverse(self, u: Array) -> Array: ...

    @abc.abstractmethod
    def _derivative(self, x: Array) -> Array: ...

    @property
    def steep(self) -> bool:  # type: ignore[override]
        with quiet():
            return not bool(np.isfinite(self._inverse(np.zeros(1)))[0])

    def _gradient(self, p: Array) -> Array:
        return np.asarray(self._inverse(p), dtype=p.dtype)

    def _project(self, y: Array) -> Array:
        below = y - y.max(axis=-1, keepdims=True)
        p = self._clipped(below + self._normaliser(below))
        return np.asarray(p / p.sum(axis=-1, keepdims=True))

    def policy_at(self, y: DualRows) -> Array:
        return self._project(y.y)

    def _log_project(self, y: Array) -> Array:
        log_p = np.log(self._project(y))
        if self.steep:
            log_p = np.where(y > -np.inf, np.maximum(log_p, max(_LOG_FLOOR, np.log(np.finfo(y.dtype).tiny))), log_p)
        return np.asarray(log_p, dtype=y.dtype)

    def _weights(self, p: Array) -> Array:
        return np.asarray(np.where(p > 0, self._derivative(self._inverse(p)), 0), dtype=p.dtype)

    def _clipped(self, x: Array) -> Array:
        return np.where(x > -np.inf, np.maximum(self._phi(np.where(x > -np.inf, x, 0)), 0), 0).astype(
            x.dtype, copy=False
        )

    def _normaliser(self, below: Array) -> Array:
        """The number mu of each row with ``sum [phi(below + mu)]_+ = 1``, where the largest entry of `below` is 0.

        Newton's method inside the bracket ``[phi^{-1}(1/A), phi^{-1}(1)]``, bisecting where a step would leave it. It
        starts at the right end, from where it is monotone for a convex phi.
        """
        shape, dtype = (*below.shape[:-1], 1), below.dtype
        low = np.full(shape, self._inverse(np.asarray(1 / below.shape[-1], dtype=dtype)), dtype=dtype)
        high = np.full(shape, self._inverse(np.asarray(1.0, dtype=dtype)), dtype=dtype)
        mu, slack = high, 2 * np.finfo(dtype).eps
        for _ in range(_MAX_ITERATIONS):
            p = self._clipped(below + mu)
            excess = p.sum(axis=-1, keepdims=True) - 1
            high, low = np.where(excess >= 0, mu, high), np.where(excess <= 0, mu, low)
            slope = np.where(p > 0, self._derivative(below + mu), 0).sum(axis=-1, keepdims=True)
            newton = mu - excess / slope
            following = np.where((newton >= low) & (newton <= high), newton, low + (high - low) / 2)
            moved = np.abs(following - mu) > slack * (1 + np.abs(mu))
            mu = np.where(moved, following, mu).astype(dtype, copy=False)
            if not moved.any():
                break
        return mu


@dataclass(frozen=True)
class OmegaPotentialMap(PotentialMap):
    """The mirror map of an omega-potential given by functions.

    Without a `primitive`, Phi and its divergence are integrals of ``phi^{-1}``, computed by the double exponential
    rule (exact to rounding also where ``phi^{-1}(0) = -inf``, as long as the singularity is integrable). Policies of a
    steep potential are floored at ``exp(-650)``; the maps with formulas of their own go further, in the log domain.

    Parameters
    ----------
    potential, inverse, derivative : callable
        phi, its inverse and its derivative, on arrays. phi is called on any real number and may be negative, which
        means a probability of zero.
    primitive : callable, optional
        ``u -> integral from 1 to u of phi^{-1}``, on arrays.
    modulus : float, optional
        Modulus of strong convexity in the l1 norm, for every number of actions; default: 0, none known.
    name : str, default "omega-potential"

    Raises
    ------
    ValueError
        If `inverse` does not invert `potential`, or `potential` does not increase.

    Examples
    --------
    >>> import numpy as np
    >>> cubic = OmegaPotentialMap(lambda x: x**3, np.cbrt, lambda x: 3 * x**2, name="cubic")
    >>> cubic.project([0.0, -1.0]).round(6), cubic.steep
    (array([1., 0.]), False)
    """

    potential: Callable[[Any], Any]
    inverse: Callable[[Any], Any]
    derivative: Callable[[Any], Any]
    primitive: Callable[[Any], Any] | None = None
    modulus: float = 0.0
    name: str = field(default="omega-potential")

    def __post_init__(self) -> None:
        object.__setattr__(self, "modulus", as_number(self.modulus, "modulus", minimum=0))
        for role in ("potential", "inverse", "derivative"):
            if not callable(getattr(self, role)):
                raise TypeError(f"{role} must be a function, got {type(getattr(self, role)).__name__}")
        u = np.array([1e-3, 0.1, 0.5, 1.0])
        with quiet():
            x = np.asarray(self.inverse(u))
            back, slope = np.asarray(self.potential(x)), np.asarray(self.derivative(x))
        if not np.allclose(back, u, rtol=1e-8, atol=0):
            at = int(np.argmax(~np.isclose(back, u, rtol=1e-8, atol=0)))
            raise ValueError(f"inverse must invert potential, but potential(inverse({u[at]:g})) is {back[at]:g}")
        if not (np.all(np.diff(x) > 0) and np.all(slope > 0)):
            raise ValueError("potential must increase, with a positive derivative wherever it is positive")

    @property
    def label(self) -> str:
        return self.name

    def strong_convexity(self, n_actions: int) -> float:
        check_actions(n_actions)
        return self.modulus

    def _phi(self, x: Array) -> Array:
        return np.asarray(self.potential(x))

    def _inverse(self, u: Array) -> Array:
        return np.asarray(self.inverse(u))

    def _derivative(self, x: Array) -> Array:
        return np.asarray(self.derivative(x))

    def _value(self, p: Array) -> Array:
        if self.primitive is not None:
            return np.asarray(np.asarray(self.primitive(p)).sum(axis=-1), dtype=p.dtype)
        return np.asarray(_integral(self._inverse, np.ones_like(p), p).sum(axis=-1), dtype=p.dtype)

    def _divergence_from_log(self, log_p: Array, log_q: Array) -> Array:
        p, q = np.exp(log_p), np.exp(log_q)
        slope = self._inverse(q)
        start = np.where(np.isfinite(slope), slope, 0)
        terms = _integral(lambda u: self._inverse(u) - start[..., None], q, p)
        terms = np.where(np.isfinite(slope) | (p == 0), np.maximum(terms, 0), np.inf)
        return np.asarray(np.where(p == q, 0, terms).sum(axis=-1), dtype=log_p.dtype)


@dataclass(frozen=True)
class HyperbolicMap(PotentialMap):
    """The mirror map of ``phi(x) = b sinh(x)``: ``Phi(p) = sum p arcsinh(p/b) - sqrt(p^2 + b^2)``, less its value at 1.

    Between the entropy (b -> 0) and a multiple of the Euclidean norm (b -> inf); actions are clipped to zero for every
    b. The modulus of strong convexity is ``1/(sqrt(1 + b^2) + (A - 1) b)``: the reciprocal of the largest sum of the
    inverse Hessian's diagonal ``sqrt(p^2 + b^2)`` over the simplex, at a vertex (derived here, verified numerically).

    Parameters
    ----------
    b : float, default 0.1

    Examples
    --------
    >>> HyperbolicMap(1e-9).project([0.0, np.log(3.0)]).round(6)
    array([0.25, 0.75])
    """

    b: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "b", as_number(self.b, "b", above=0))

    @property
    def label(self) -> str:
        return f"hyperbolic b = {self.b:g}"

    def strong_convexity(self, n_actions: int) -> float:
        return float(1 / (np.hypot(1, self.b) + (check_actions(n_actions) - 1) * self.b))

    def _phi(self, x: Array) -> Array:
        # clipped below zero, and bounded: arguments left of the bracket may be anywhere
        return np.asarray(self.b * np.sinh(np.clip(x, 0, 700)))

    def _inverse(self, u: Array) -> Array:
        return np.asarray(np.arcsinh(u / self.b))

    def _derivative(self, x: Array) -> Array:
        return np.asarray(self.b * np.cosh(np.clip(x, 0, 700)))

    def _value(self, p: Array) -> Array:
        at_one = np.arcsinh(1 / self.b) - np.hypot(1, self.b)
        return np.asarray((p * np.arcsinh(p / self.b) - np.hypot(p, self.b) - at_one).sum(axis=-1), dtype=p.dtype)

    def _divergence_from_log(self, log_p: Array, log_q: Array) -> Array:
        # cosh(y) - cosh(x) - (y - x) sinh(x), times b, with p = b sinh(x), q = b sinh(y), expanded around x
        u, v = np.exp(log_p) / self.b, np.exp(log_q) / self.b
        cosh_u, cosh_v = np.hypot(1, u), np.hypot(1, v)
        weight = v * cosh_u + u * cosh_v
        t = np.arcsinh(np.where(weight > 0, (v - u) * (v + u) / np.where(weight > 0, weight, 1), 0))
        odd = (exp_remainder(np, t) - exp_remainder(np, -t)) / 2  # sinh(t) - t
        terms = self.b * (2 * cosh_u * np.sinh(t / 2) ** 2 + u * odd)
        return np.asarray(terms.sum(axis=-1), dtype=log_p.dtype)


def _integral(function: Callable[[Array], Array], start: Array, end: Array) -> Array:
    """Entrywise integral of `function` from `start` to `end` by the double exponential rule."""
    nodes = np.arange(-56, 57) / 16
    tail = np.exp(-np.pi * np.sinh(np.abs(nodes)))
    small = tail / (1 + tail)  # the distance to the nearer end, without cancellation
    towards_end = np.where(nodes > 0, 1 - small, small)
    towards_start = np.where(nodes > 0, small, 1 - small)
    weight = np.pi / 16 * np.cosh(nodes) * small * (1 - small)
    u = start[..., None] * towards_start + end[..., None] * towards_end
    values = function(u)
    weighted = np.where(np.isfinite(values), values, 0) * weight
    return np.asarray((end - start) * weighted.sum(axis=-1))
