r"""Losses of scores: what the inner problem of an approximate policy method minimises over theta.

All are sums over states (rows), weighted by a state law, of a function of the scores ``f_s = f^theta(s, .)``:

* `DualDivergence`: dual approximation (Xiong, Fazel, Xiao 2024). With the dual target ``g = grad Phi(pi_k) - eta Q``,
  ``order="reverse"`` is ``D_{Phi*}(g, f)``, which is the objective of policy mirror descent up to a constant and is not
  convex in f; ``order="forward"`` is ``D_{Phi*}(f, g)``, the Fenchel-Young loss of f at the soft label Pi(g), convex in
  f. Which of the two the paper stars is not claimed here.
* `PenalizedCost`: ``<Q, pi_f> + t KL(pi_f || prior)`` with softmax policies: the loss of mirror descent policy
  optimization (Tomar et al. 2022) with t = 1/eta and prior pi_k, and of the actor of soft actor-critic (Haarnoja et al.
  2018) with t the temperature and no prior. Both are reverse dual divergences up to factor and constant (see
  `soft_actor_loss`).
* `SquaredError`: weighted regression, the inner problem of AMPO and of Q-NPG.

A target of ``-inf`` marks an action that is not available. A loss knows nothing of theta;
`optlab.policy.approximate.inner` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from optlab.bregman.elementary import quiet
from optlab.bregman.mirror_maps import DualRows, MirrorMap, NegativeEntropyMap
from optlab.core.validation import as_float_array, as_number, one_of, read_only
from optlab.policy.ownership import unchecked

__all__ = ["DualDivergence", "PenalizedCost", "SquaredError", "soft_actor_loss"]

_ENTROPY = NegativeEntropyMap()
_QUIET = np.errstate(all="ignore")  # as a decorator, which costs no call


def _keep(loss: Any, **dimensions: int) -> None:
    """Have the fields named hold read-only views of arrays with so many dimensions, and the same rows and columns."""
    shape: tuple[int, ...] = ()
    for name, ndim in dimensions.items():
        array = as_float_array(getattr(loss, name), name, ndim=ndim, finite=False, allow_empty=True)
        shape = shape or array.shape
        if array.shape != shape[:ndim]:
            raise ValueError(f"{name} must have shape {shape[:ndim]}, got {array.shape}")
        object.__setattr__(loss, name, read_only(array))


class Loss:
    """Base of the losses: `at` looks at scores once, and value, gradient and curvature are taken from there."""

    def at(self, scores: np.ndarray) -> Any:
        """Return the loss at `scores`: an object with ``value``, ``gradient()`` and ``curvature()``."""
        raise NotImplementedError(f"{type(self).__name__} must implement at")

    def rows(self, scores: np.ndarray) -> np.ndarray:
        """Return the loss of every row, without weights."""
        rows: np.ndarray = self.at(scores).rows
        return rows

    def value(self, scores: np.ndarray) -> float:
        """Return the loss."""
        return float(self.at(scores).value)

    def gradient(self, scores: np.ndarray) -> np.ndarray:
        """Return the gradient in the scores, shape (N, A)."""
        gradient: np.ndarray = self.at(scores).gradient()
        return gradient

    def curvature(self, scores: np.ndarray) -> np.ndarray:
        """Return a Gauss-Newton matrix of every row, shape (N, A, A): the Hessian where the loss is convex."""
        curvature: np.ndarray = self.at(scores).curvature()
        return curvature


def _missing(table: np.ndarray | None) -> np.ndarray | None:
    if table is None:
        return None
    missing = np.isneginf(table)
    return missing if missing.any() else None


@dataclass(frozen=True, eq=False)
class DualDivergence(Loss):
    """``sum_s weights_s D_{Phi*}`` between the target g and the scores f, in either order.

    Parameters
    ----------
    mirror_map : MirrorMap
    target : ndarray, shape (N, A)
        g.
    weights : ndarray, shape (N,)
    order : {"reverse", "forward"}
        ``D(g, f)`` or ``D(f, g)``.

    Examples
    --------
    >>> g = np.log([[0.5, 0.5]])
    >>> loss = DualDivergence(NegativeEntropyMap(), g, np.ones(1), "forward")
    >>> loss.value(np.zeros((1, 2))), loss.gradient(np.log([[0.9, 0.1]]))
    (0.0, array([[ 0.4, -0.4]]))
    """

    mirror_map: MirrorMap
    target: np.ndarray
    weights: np.ndarray
    order: str

    def __post_init__(self) -> None:
        if not isinstance(self.mirror_map, MirrorMap):
            raise TypeError(f"mirror_map must be a MirrorMap, got {type(self.mirror_map).__name__}")
        one_of(self.order, "order", ["reverse", "forward"])
        _keep(self, target=2, weights=1)

    @property
    def convex(self) -> bool:
        """Whether the loss is convex in the scores."""
        return self.order == "forward" or self.mirror_map.full_domain

    @cached_property
    def _label(self) -> DualRows:
        return DualRows(self.mirror_map, self.target)

    @cached_property
    def _missing(self) -> np.ndarray | None:
        return _missing(self.target)

    def at(self, scores: np.ndarray) -> _DivergenceAt:
        f = scores if self._missing is None else np.where(self._missing, -np.inf, scores)
        return _DivergenceAt(self, DualRows(self.mirror_map, f))

    def regression(self) -> tuple[np.ndarray, np.ndarray]:
        """Return targets and weights (N, A) of the least-squares problem that has the same exact fit.

        On the whole space it is the same problem; otherwise the two agree where the class can represent g.
        """
        found = np.isfinite(self.target)
        return np.where(found, self.target, 0.0), np.where(found, self.weights[:, None], 0.0)

    def batch(self, rows: np.ndarray) -> DualDivergence:
        """Return the loss of `rows`, drawn by their weights: an unbiased estimate of this one."""
        weights = np.full(len(rows), self.weights.sum() / len(rows))
        return unchecked(DualDivergence, self.mirror_map, self.target[rows], weights, self.order)


class _DivergenceAt:
    @_QUIET
    def __init__(self, loss: DualDivergence, point: DualRows) -> None:
        self.loss, self.point = loss, point
        y, z = (loss._label, point) if loss.order == "reverse" else (point, loss._label)
        self.rows = loss.mirror_map.dual_divergence_at(y, z)
        self.value = float(loss.weights @ self.rows)

    @_QUIET
    def gradient(self) -> np.ndarray:
        """Return ``grad Phi*(f) - grad Phi*(g)``, or ``Hessian(Phi*)(f) (f - g)``, weighted."""
        loss, point, phi = self.loss, self.point, self.loss.mirror_map
        if loss.order == "forward":
            slope = point.conjugate_gradient - loss._label.conjugate_gradient
            slope = slope if loss._missing is None else np.where(loss._missing, 0.0, slope)
        else:
            difference = point.y - loss.target
            difference = difference if loss._missing is None else np.where(loss._missing, 0.0, difference)
            if not phi.full_domain:  # constants do not matter: none is left to cancel digits
                top = point.y.argmax(axis=-1)[:, None]
                difference = difference - np.take_along_axis(difference, top, axis=-1)
            slope = phi.hessian_product_at(point, difference)
        return loss.weights[:, None] * slope

    @_QUIET
    def curvature(self) -> np.ndarray:
        """Return ``weights_s Hessian(Phi*)(f_s)``.

        In the reverse order it is the Fisher matrix, positive semidefinite where the Hessian may not be; the two agree
        where f = g.
        """
        return self.loss.weights[:, None, None] * self.loss.mirror_map.hessian_at(self.point)


@dataclass(frozen=True, eq=False)
class PenalizedCost(Loss):
    """``sum_s weights_s (<cost_s, pi_s> + temperature KL(pi_s || prior_s))`` for ``pi = softmax(f)``.

    Parameters
    ----------
    cost : ndarray, shape (N, A)
        Action values.
    weights : ndarray, shape (N,)
    temperature : float
    log_prior : ndarray, shape (N, A), optional
        Log-probabilities of the prior; None: ``KL`` is replaced by the negative entropy ``<pi, log pi>``.
    """

    cost: np.ndarray
    weights: np.ndarray
    temperature: float
    log_prior: np.ndarray | None = None

    convex = False

    def __post_init__(self) -> None:
        as_number(self.temperature, "temperature", minimum=0)
        _keep(self, cost=2, weights=1, **({} if self.log_prior is None else {"log_prior": 2}))

    @cached_property
    def _missing(self) -> np.ndarray | None:
        return _missing(self.log_prior)

    def at(self, scores: np.ndarray) -> _PenaltyAt:
        f = scores if self._missing is None else np.where(self._missing, -np.inf, scores)
        return _PenaltyAt(self, DualRows(_ENTROPY, f))

    def batch(self, rows: np.ndarray) -> PenalizedCost:
        """Return the loss of `rows`, drawn by their weights: an unbiased estimate of this one."""
        weights = np.full(len(rows), self.weights.sum() / len(rows))
        prior = None if self.log_prior is None else self.log_prior[rows]
        return unchecked(PenalizedCost, self.cost[rows], weights, self.temperature, prior)


class _PenaltyAt:
    @_QUIET
    def __init__(self, loss: PenalizedCost, point: DualRows) -> None:
        self.loss, self.point = loss, point
        prior = 0.0 if loss.log_prior is None else loss.log_prior
        slopes = loss.cost + loss.temperature * (point.log_policy - prior)
        self.slopes = np.where(np.isneginf(point.log_policy), 0.0, slopes)

    @property
    def rows(self) -> np.ndarray:
        return np.asarray(np.sum(np.exp(self.point.log_policy) * self.slopes, axis=-1))

    @property
    def value(self) -> float:
        return float(self.loss.weights @ self.rows)

    @_QUIET
    def gradient(self) -> np.ndarray:
        """Return ``weights_s pi_a (r_a - <pi, r>)`` with ``r = cost + temperature log(pi / prior)``."""
        return self.loss.weights[:, None] * _ENTROPY.hessian_product_at(self.point, self.slopes)

    @_QUIET
    def curvature(self) -> np.ndarray:
        """Return the Fisher matrix times the temperature."""
        return self.loss.temperature * self.loss.weights[:, None, None] * _ENTROPY.hessian_at(self.point)


@dataclass(frozen=True, eq=False)
class SquaredError(Loss):
    """``1/2 sum_{s,a} weights_sa (f_sa - target_sa)^2``.

    Parameters
    ----------
    target, pair_weights : ndarray, shape (N, A)
    """

    target: np.ndarray
    pair_weights: np.ndarray

    convex = True

    def __post_init__(self) -> None:
        _keep(self, target=2, pair_weights=2)

    @property
    def weights(self) -> np.ndarray:
        """Weights of the states."""
        return np.asarray(self.pair_weights.sum(axis=1))

    def at(self, scores: np.ndarray) -> _SquaresAt:
        return _SquaresAt(self.pair_weights, scores, self.target)

    def regression(self) -> tuple[np.ndarray, np.ndarray]:
        """Return targets and weights."""
        found = np.isfinite(self.target)
        return np.where(found, self.target, 0.0), np.where(found, self.pair_weights, 0.0)

    def batch(self, rows: np.ndarray) -> SquaredError:
        """Return the loss of `rows`, drawn by the weights of their states: an unbiased estimate of this one."""
        share = self.pair_weights[rows] / np.maximum(self.weights[rows], np.finfo(float).tiny)[:, None]
        return unchecked(SquaredError, self.target[rows], share * self.pair_weights.sum() / len(rows))


class _SquaresAt:
    def __init__(self, weights: np.ndarray, scores: np.ndarray, target: np.ndarray) -> None:
        self.weights = weights
        target = np.where(np.isfinite(target), target, scores)
        self.residual = np.where(weights > 0, scores - target, 0.0)

    @property
    def rows(self) -> np.ndarray:
        return np.asarray(0.5 * np.sum(self.weights * self.residual**2, axis=1))

    @property
    def value(self) -> float:
        return float(0.5 * np.sum(self.weights * self.residual**2))

    def gradient(self) -> np.ndarray:
        """Return the weighted residual."""
        return self.weights * self.residual

    def curvature(self) -> np.ndarray:
        """Return the weights as diagonal blocks."""
        return self.weights[:, :, None] * np.eye(self.weights.shape[1])


def soft_actor_loss(scores: Any, soft_action_values: Any, temperature: float, weights: Any = None) -> float:
    r"""Return the loss of the actor of soft actor-critic, ``E_s KL(pi_f || exp(-Q/tau) / Z)``, in cost form.

    It is the reverse dual divergence to the target ``-Q / tau``, which is what the target ``(log pi_k - eta Q) /
    (1 + eta tau)`` of mirror descent on the entropy-regularised problem becomes as eta grows: soft actor-critic is dual
    approximation with infinite step size. Haarnoja et al. (2018) minimise ``tau`` times this loss less the
    log-partition function of the target, which does not depend on the actor: ``E_s <pi, Q + tau log pi>``, which is
    `PenalizedCost` without prior.

    Parameters
    ----------
    scores : array_like, shape (N, A)
        Logits of the actor.
    soft_action_values : array_like, shape (N, A)
        Q of the entropy-regularised problem.
    temperature : float
        tau, above 0.
    weights : array_like, shape (N,), optional
        State law; default: uniform.

    Examples
    --------
    >>> Q = np.array([[1.0, 2.0]])
    >>> round(soft_actor_loss(-Q / 0.5, Q, 0.5), 12)
    0.0
    """
    scores = as_float_array(scores, "scores", ndim=2).astype(np.float64)
    Q = as_float_array(soft_action_values, "soft_action_values", shape=scores.shape).astype(np.float64)
    temperature = as_number(temperature, "temperature", above=0)
    if weights is None:
        weights = np.full(len(Q), 1 / len(Q))
    weights = as_float_array(weights, "weights", shape=(len(Q),), nonnegative=True)
    log_pi = _ENTROPY.log_project(scores)
    with quiet():  # a temperature near zero: the target is the greedy policy
        log_target = _ENTROPY.log_project((Q.min(axis=1, keepdims=True) - Q) / temperature)
    return float(weights @ np.sum(np.exp(log_pi) * (log_pi - log_target), axis=-1))
