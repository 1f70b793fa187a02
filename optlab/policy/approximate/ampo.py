"""Approximate mirror policy optimization (AMPO; Alfano, Yuan and Rebeschini 2023).

Fits scores to a dual target by weighted least squares and projects with a mirror map: the map of the projection and the
squared error of the approximation are inconsistent, which is what `DAPO` repairs. In the scores ``y = eta f`` of the
policy ``Pi(y)``, each iteration solves, in cost form,

    theta_{k+1} = argmin E_{(s,a) ~ v_k} (y^theta - (dual_k - eta_k Q_k))^2

with one of two duals of the current policy, which agree in the table and differ under approximation:

* ``"lazy"``: ``max(y_k, threshold)``, the scores themselves, raised to the threshold of the projection where it clips;
* ``"normalised"``: ``grad Phi(pi_k)``, which subtracts a normaliser from the scores of every state. That normaliser is
  in general no function of the features, and fitting it costs accuracy even where Q can be represented.

With the entropy, the lazy dual and linear features the method is Q-NPG; with the Euclidean map and the normalised dual
it is `DAPO` in the full-domain convention.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from optlab.bregman.mirror_maps import MirrorMap, mirror_map
from optlab.core.validation import one_of
from optlab.policy.approximate.approximation import ApproximateMethod, Batch
from optlab.policy.approximate.inner import Adam, InnerSolver, LeastSquares
from optlab.policy.approximate.losses import SquaredError
from optlab.policy.approximate.natural_gradient import centre, pair_weights
from optlab.policy.ownership import unchecked

__all__ = ["AMPO"]


@dataclass(frozen=True, kw_only=True)
class AMPO(ApproximateMethod):
    """Approximate mirror policy optimization.

    Parameters
    ----------
    mirror_map : str or MirrorMap, default "negative-entropy"
        Of the projection.
    dual : {"lazy", "normalised"}, default "lazy"
        See the module's text.
    weights : {"uniform", "policy"}, default "uniform"
        State-action law v_k: d_k times uniform actions, or d_k times pi_k.
    centered : bool, default False
        Whether the target is centred in each state, under the actions of v_k. Policies do not depend on such offsets,
        squared errors do.
    inner : inner solver, optional
        Default: exact least squares for linear classes, Adam for networks.
    policy, step_size, critic, sampled_states, floor, diagnostics
        See `optlab.policy.approximate.approximation.ApproximateMethod`.

    Examples
    --------
    >>> import optlab
    >>> from optlab.policy import garnet
    >>> result = optlab.solve(garnet(20, 3, 4, discount=0.9, seed=0), AMPO(step_size=2.0), max_iter=20, seed=0)
    >>> bool(result.metrics["gap"] < 0.5 * result.history["gap"][0])
    True
    """

    mirror_map: str | MirrorMap = "negative-entropy"
    dual: str = "lazy"
    weights: str = "uniform"
    centered: bool = False
    inner: InnerSolver | None = None

    reference: ClassVar[str] = "alfano2023novel"

    def __post_init__(self) -> None:
        super().__post_init__()
        mirror_map(self.mirror_map)
        one_of(self.dual, "dual", ["lazy", "normalised"])
        one_of(self.weights, "weights", ["uniform", "policy"])

    def target(self, batch: Batch) -> np.ndarray:
        if self.dual == "normalised":
            target = super().target(batch)
        else:
            target = self._raised(batch) - batch.step_size * batch.action_values
        return centre(target, pair_weights(batch, self.weights)) if self.centered else target

    def _raised(self, batch: Batch) -> np.ndarray:
        """Return ``max(y_k, phi^-1(0) - lambda)``: where the projection clips, scores count as being at its edge."""
        phi, y = self.geometry, batch.scores
        if phi.steep:
            return y
        pi = np.exp(batch.log_policy)
        offset = np.where(pi > 0, y - phi.gradient(pi), -np.inf).max(axis=1, keepdims=True)
        edge = phi.gradient(np.zeros_like(pi) + np.eye(pi.shape[1])[0])[:, 1:2] if pi.shape[1] > 1 else 0.0
        return np.where(np.isneginf(y), y, np.maximum(y, edge + offset))

    def loss(self, batch: Batch, target: np.ndarray) -> SquaredError:
        return unchecked(SquaredError, target, pair_weights(batch, self.weights))

    @cached_property
    def solver(self) -> InnerSolver:
        linear = self.policy is None or self.policy.linear
        return self.inner or (LeastSquares() if linear else Adam(step_size=0.01, steps=50))
