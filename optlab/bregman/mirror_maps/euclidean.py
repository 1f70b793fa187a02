"""The squared Euclidean norm ``Phi(p) = ||p||^2 / 2``, in both conventions of the conjugate.

The policy of scores y is in both cases the Euclidean projection onto the simplex, by sorting
(`optlab.bregman.project_simplex`). What differs is the conjugate: restricted to the simplex its divergence is the
sparsemax loss (Martins and Astudillo 2016); on the whole space it is ``||y - z||^2 / 2``, the squared error that
regression-based methods such as AMPO (Alfano, Yuan, Rebeschini 2023) minimise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from optlab.bregman.mirror_maps.base import Array, DualRows, MirrorMap, check_actions
from optlab.bregman.projections import project_simplex
from optlab.core.validation import one_of


@dataclass(frozen=True)
class EuclideanMap(MirrorMap):
    """The mirror map ``Phi(p) = ||p||^2 / 2``: dual coordinates p, Pi the projection onto the simplex.

    It is not steep: actions are clipped to zero, and mirror and lazy forms of a method differ once a clipped action
    becomes attractive again. The modulus of strong convexity in the l1 norm is 1/A.

    Parameters
    ----------
    domain : {"simplex", "full"}, default "simplex"
        Convention (S) or (F) of the conjugate; see `optlab.bregman.mirror_maps`.

    Examples
    --------
    >>> EuclideanMap().dual_divergence([1.0, 0.0], [1.0, -3.0])
    array(0.)
    >>> EuclideanMap(domain="full").dual_divergence([1.0, 0.0], [1.0, -3.0])
    array(4.5)
    """

    domain: str = "simplex"

    steep: ClassVar[bool] = False

    def __post_init__(self) -> None:
        one_of(self.domain, "domain", ["simplex", "full"])

    @property
    def full_domain(self) -> bool:  # type: ignore[override]
        return self.domain == "full"

    @property
    def label(self) -> str:
        return "Euclidean (full domain)" if self.full_domain else "Euclidean"

    def strong_convexity(self, n_actions: int) -> float:
        return 1.0 / check_actions(n_actions)

    def _value(self, p: Array) -> Array:
        return np.asarray((p * p).sum(axis=-1) / 2)

    def _gradient(self, p: Array) -> Array:
        return p.copy()

    def _project(self, y: Array) -> Array:
        # what lies more than 1 below the largest entry is zero; so are actions that are not available
        top = y.max(axis=-1, keepdims=True)
        below: Array = project_simplex(np.maximum(y - top, -2), axis=-1)
        return below

    def policy_at(self, y: DualRows) -> Array:
        return self._project(y.y)

    def _log_project(self, y: Array) -> Array:
        return np.asarray(np.log(self._project(y)))

    def _weights(self, p: Array) -> Array:
        return (p > 0).astype(p.dtype)

    def _divergence_from_log(self, log_p: Array, log_q: Array) -> Array:
        difference = np.exp(log_p) - np.exp(log_q)
        return np.asarray((difference * difference).sum(axis=-1) / 2)

    # ---- convention (F): the squared norm of the whole space

    def conjugate_at(self, y: DualRows) -> Array:
        return np.asarray(np.sum(np.square(y.y), axis=-1) / 2) if self.full_domain else super().conjugate_at(y)

    def conjugate_gradient_at(self, y: DualRows) -> Array:
        return y.y.copy() if self.full_domain else y.policy

    def dual_divergence_at(self, y: DualRows, z: DualRows) -> Array:
        if not self.full_domain:
            return super().dual_divergence_at(y, z)
        # an action that is not available in either point adds nothing
        difference = np.where(np.isneginf(y.y) & np.isneginf(z.y), 0, y.y - z.y).astype(y.y.dtype, copy=False)
        return np.asarray((difference * difference).sum(axis=-1) / 2)

    def hessian_at(self, y: DualRows) -> Array:
        if not self.full_domain:
            return super().hessian_at(y)
        n_actions = y.y.shape[-1]
        return np.broadcast_to(np.eye(n_actions, dtype=y.y.dtype), (*y.y.shape, n_actions)).copy()

    def hessian_product_at(self, y: DualRows, v: Array) -> Array:
        return v.copy() if self.full_domain else super().hessian_product_at(y, v)
