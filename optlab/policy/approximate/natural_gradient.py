"""Natural policy gradients with softmax policies over any function class.

`NaturalPolicyGradient` (Kakade 2001) moves by ``-eta F^-1 E_{d_k} Cov_{pi_k}(phi, Q)``, F being the Fisher matrix: the
regression of the advantage on features centred under the policy ("compatible" features). It is the first full Fisher
scoring step of the reverse Kullback-Leibler loss of `DAPO`. `QNaturalPolicyGradient` (Yuan, Du, Gower, Lazaric and Xiao
2023) regresses Q itself on the features as they are, and pays for offsets of states that no policy depends on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from optlab.bregman.elementary import quiet
from optlab.bregman.mirror_maps import DualRows
from optlab.core.validation import as_number, one_of
from optlab.policy.approximate.approximation import ApproximateMethod, Batch
from optlab.policy.approximate.dapo import EXACT_RIDGE, SAMPLED_RIDGE
from optlab.policy.approximate.inner import FisherScoring
from optlab.policy.approximate.losses import DualDivergence
from optlab.policy.function_classes.classes import Tabular
from optlab.policy.ownership import unchecked

__all__ = ["NaturalPolicyGradient", "QNaturalPolicyGradient", "pair_weights"]


@dataclass(frozen=True, kw_only=True)
class NaturalPolicyGradient(ApproximateMethod):
    """Natural policy gradient with compatible features.

    Parameters
    ----------
    line_search : bool, default False
        Backtrack on the reverse Kullback-Leibler loss (Armijo), which keeps large steps from overshooting.
    ridge : float, optional
        Added to the Fisher matrix. Default: 1e-8, or 1e-4 with sampled states.
    policy, step_size, critic, sampled_states, floor, diagnostics
        See `optlab.policy.approximate.approximation.ApproximateMethod`.

    Examples
    --------
    >>> import optlab
    >>> from optlab.policy import LinearFeatures, garnet
    >>> method = NaturalPolicyGradient(policy=LinearFeatures.gaussian(20, 3, 15), step_size=2.0)
    >>> result = optlab.solve(garnet(20, 3, 4, discount=0.9, seed=0), method, max_iter=20, seed=0)
    >>> bool(result.metrics["gap"] < 0.5 * result.history["gap"][0])
    True
    """

    line_search: bool = False
    ridge: float | None = None

    reference: ClassVar[str] = "kakade2001natural"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ridge is not None:
            as_number(self.ridge, "ridge", minimum=0)

    def update(self, batch: Batch, target: np.ndarray) -> tuple[np.ndarray, int]:
        function_class, theta = batch.function_class, batch.theta
        ridge = self.ridge
        if ridge is None:
            ridge = EXACT_RIDGE if self.sampled_states is None else SAMPLED_RIDGE
        if self.line_search:
            loss = unchecked(DualDivergence, self.geometry, target, batch.weights, "reverse")
            found = FisherScoring(max_iter=1, ridge=ridge).minimize(loss, function_class, theta, batch.states)
            return found.theta, found.iterations
        pi = np.exp(batch.log_policy)
        advantage = batch.action_values - np.sum(pi * batch.action_values, axis=1, keepdims=True)
        gradient = function_class.vjp(theta, batch.states, batch.weights[:, None] * pi * advantage)
        with quiet():
            fisher = batch.weights[:, None, None] * self.geometry.hessian_at(DualRows(self.geometry, batch.scores))
        direction = function_class.solve_gram(theta, batch.states, fisher, gradient, ridge)
        return theta - batch.step_size * direction, 1


@dataclass(frozen=True, kw_only=True)
class QNaturalPolicyGradient(ApproximateMethod):
    """Q-NPG: ``theta -= eta w`` with w the weighted least-squares fit of Q by linear features.

    Parameters
    ----------
    weights : {"policy", "uniform"}, default "policy"
        State-action law of the regression: d_k times pi_k, or d_k times uniform actions.
    centered : bool, default False
        Whether Q is centred in each state, under the actions of the same law, before it is fitted.
    ridge : float, default 0
        Multiple of ``|w|^2`` in the regression; with 0 the solution of least norm is taken.
    policy, step_size, critic, sampled_states, floor, diagnostics
        See `optlab.policy.approximate.approximation.ApproximateMethod`; the class must be linear.

    Examples
    --------
    >>> import optlab
    >>> from optlab.policy import LinearFeatures, garnet
    >>> method = QNaturalPolicyGradient(policy=LinearFeatures.gaussian(20, 3, 50), step_size=2.0, centered=True)
    >>> result = optlab.solve(garnet(20, 3, 4, discount=0.9, seed=0), method, max_iter=20, seed=0)
    >>> bool(result.metrics["gap"] < 0.5 * result.history["gap"][0])
    True
    """

    weights: str = "policy"
    centered: bool = False
    ridge: float = 0.0

    reference: ClassVar[str] = "yuan2023linear"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self.weights, "weights", ["policy", "uniform"])
        as_number(self.ridge, "ridge", minimum=0)
        if self.policy is not None and not self.policy.linear:
            raise TypeError(f"policy must be a linear class for Q-NPG, got {self.policy!r}")

    def update(self, batch: Batch, target: np.ndarray) -> tuple[np.ndarray, int]:
        function_class, theta = batch.function_class, batch.theta
        Q, pairs = batch.action_values, pair_weights(batch, self.weights)
        if self.centered:
            Q = centre(Q, pairs)
        start = np.zeros(function_class.n_parameters)
        w = function_class.least_squares(start, batch.states, Q, pairs, self.ridge)
        if isinstance(function_class, Tabular) and self.weights == "policy":
            # a pair whose probability underflowed keeps no weight, but its regression is exact all the same
            seen = function_class.least_squares(start, batch.states, Q, pair_weights(batch, "uniform"), 0.0)
            w = np.where(w == 0.0, seen, w)
        return theta - batch.step_size * w, 1


def pair_weights(batch: Batch, law: str) -> np.ndarray:
    """Return the weights of state-action pairs: the states' times the policy or times uniform actions, (N, A)."""
    if law == "policy":
        return batch.weights[:, None] * np.exp(batch.log_policy)
    available = np.isfinite(batch.scores)
    return batch.weights[:, None] * available / available.sum(axis=1, keepdims=True)


def centre(targets: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return `targets` less their average in each row under the weights `pairs`.

    Examples
    --------
    >>> centre(np.array([[1.0, 3.0]]), np.array([[0.1, 0.3]]))
    array([[-1.5,  0.5]])
    """
    total = np.maximum(pairs.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    return targets - np.sum(np.where(pairs > 0, pairs * targets, 0.0), axis=1, keepdims=True) / total
