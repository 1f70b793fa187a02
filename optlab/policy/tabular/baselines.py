"""Tabular policy-gradient methods that policy mirror descent is compared with, all with exact values.

* `ProjectedPolicyGradient`, `SoftmaxPolicyGradient`: gradient descent on ``V_rho`` itself, in probabilities and in
  logits (Agarwal, Kakade, Lee and Mahajan 2021). Their steps carry the visitation law d_k, which is what slows them
  down: a state rarely visited is rarely improved.
* `TRPO`: the trust-region step (Schulman et al. 2015), whose exact tabular solution is a step of policy mirror descent
  with the step size that exhausts the trust region.
* `PPO`: some gradient steps on the clipped surrogate (Schulman et al. 2017).

Cost form. Not here: sampling, function approximation, value networks, entropy bonuses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.bregman.elementary import quiet
from optlab.bregman.mirror_maps import EuclideanMap, NegativeEntropyMap
from optlab.bregman.mirror_maps.negative_entropy import normalise_log
from optlab.core.validation import as_integer, as_number
from optlab.policy.mdp.policies import TabularPolicy
from optlab.policy.tabular.iterates import TabularMethod, TabularState, excess_action_values
from optlab.policy.tabular.step_sizes import LARGEST_STEP_SIZE, StepSizeRule, check_policy_step_size, policy_step_size

__all__ = ["PPO", "TRPO", "ProjectedPolicyGradient", "SoftmaxPolicyGradient"]

_ENTROPY, _EUCLIDEAN = NegativeEntropyMap(), EuclideanMap()


class _GradientMethod(TabularMethod):
    """What the four share: action values and visitation law of the policy, one linear system each."""

    def _policy_terms(self, problem: Any, state: TabularState) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        Q = excess_action_values(problem, problem.action_values(state.values))
        return Q, problem.visitation(state.policy), {"policy_evaluations": state.policy_evaluations + 1}


@dataclass(frozen=True)
class ProjectedPolicyGradient(_GradientMethod):
    """Projected gradient descent on ``V_rho`` over probabilities: ``P_simplex(pi - eta d_k Q / (1 - gamma))``.

    Parameters
    ----------
    step_size : float or schedule, optional
        Default: ``(1 - gamma)^3 / (2 gamma A)``, the reciprocal of the smoothness constant, at which the value falls in
        every iteration; it is far too small to be of use.

    Examples
    --------
    >>> import optlab
    >>> from optlab.policy import garnet
    >>> mdp = garnet(20, 3, 3, discount=0.9, seed=0)
    >>> result = optlab.solve(mdp, ProjectedPolicyGradient(step_size=1.0), max_iter=200, tol=1e-6)
    >>> result.success
    True
    """

    step_size: StepSizeRule | None = None

    reference: ClassVar[str] = "agarwal2021theory"

    def __post_init__(self) -> None:
        if self.step_size is not None:
            check_policy_step_size(self.step_size)

    def needs_interior(self) -> bool:
        """A clipped action can come back."""
        return False

    def improve(self, problem: Any, state: TabularState) -> tuple[TabularPolicy, float, dict[str, Any]]:
        """Return the projection of ``pi - eta grad V_rho(pi)``."""
        Q, d, changed = self._policy_terms(problem, state)
        eta = _step_size(
            self.step_size, (1 - problem.discount) ** 3 / (2 * problem.discount * problem.n_actions), problem, state, Q
        )
        shift = -(eta / (1 - problem.discount)) * (d[:, None] * _finite(Q))
        return (
            TabularPolicy.of(_EUCLIDEAN.mirror_step(state.policy.log_table, _where_available(Q, shift))),
            eta,
            changed,
        )


@dataclass(frozen=True)
class SoftmaxPolicyGradient(_GradientMethod):
    """Gradient descent on ``V_rho`` over logits: ``theta - eta d_k pi (Q - V) / (1 - gamma)``.

    Parameters
    ----------
    step_size : float or schedule, optional
        Default: ``(1 - gamma)^3 / 8``, at which the value falls in every iteration (Agarwal et al. 2021; recalled).
        It can take exponentially many iterations (Li, Wei, Chi and Chen 2021).

    Examples
    --------
    >>> import optlab
    >>> from optlab.policy import garnet
    >>> mdp = garnet(20, 3, 3, discount=0.9, seed=0)
    >>> result = optlab.solve(mdp, SoftmaxPolicyGradient(step_size=10.0), max_iter=200)
    >>> bool(result.metrics["gap"] < 0.1 * result.history["gap"][0])
    True
    """

    step_size: StepSizeRule | None = None

    reference: ClassVar[str] = "agarwal2021theory"

    def __post_init__(self) -> None:
        if self.step_size is not None:
            check_policy_step_size(self.step_size)

    def improve(self, problem: Any, state: TabularState) -> tuple[TabularPolicy, float, dict[str, Any]]:
        """Return the softmax of the logits after one gradient step."""
        Q, d, changed = self._policy_terms(problem, state)
        eta = _step_size(self.step_size, (1 - problem.discount) ** 3 / 8, problem, state, Q)
        pi = state.policy.probabilities()
        advantage = _finite(Q) - np.sum(pi * _finite(Q), axis=1, keepdims=True)
        shift = -(eta / (1 - problem.discount)) * (d[:, None] * pi * advantage)
        return TabularPolicy.of(_ENTROPY.mirror_step(state.policy.log_table, _where_available(Q, shift))), eta, changed


@dataclass(frozen=True)
class TRPO(_GradientMethod):
    """Tabular trust-region policy optimization: the cheapest policy with ``E_{d_k} KL(pi_{k+1} || pi_k) <= radius``.

    For tables the linearised problem has an exact solution, ``pi_{k+1} ~ pi_k exp(-eta Q)``, with the step size eta of
    the multiplier; it is found by bisection on ``log eta``. Where even the greedy policy lies within the radius, the
    step is one of policy iteration, so that the last iterations are fast.

    Parameters
    ----------
    radius : float, default 0.01
        Bound on the average divergence.

    Examples
    --------
    >>> import optlab
    >>> from optlab.policy import garnet
    >>> mdp = garnet(50, 4, 5, discount=0.9, seed=0)
    >>> optlab.solve(mdp, TRPO(), max_iter=60, tol=1e-9).success
    True
    """

    radius: float = 0.01

    reference: ClassVar[str] = "schulman2015trust"

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", as_number(self.radius, "radius", above=0))

    def improve(self, problem: Any, state: TabularState) -> tuple[TabularPolicy, float, dict[str, Any]]:
        """Return the policy at the boundary of the trust region."""
        Q, d, changed = self._policy_terms(problem, state)
        log_policy = state.policy.log_table

        def moved(eta: float) -> tuple[np.ndarray, float]:
            new = _ENTROPY.mirror_step(log_policy, _where_available(Q, -eta * _finite(Q)))
            return new, float(d @ _ENTROPY.divergence_from_log(new, log_policy))

        new, distance = moved(LARGEST_STEP_SIZE)
        if distance <= self.radius:
            return TabularPolicy.of(new), LARGEST_STEP_SIZE, changed
        # KL(pi(eta) || pi) <= eta^2 span(Q)^2 / 8 (Hoeffding), so that this step size is inside
        low = np.log(np.sqrt(8 * self.radius) / float(_finite(Q).max()))
        high = low + 1.0
        while moved(float(np.exp(high)))[1] <= self.radius:
            low, high = high, high + 2 * (high - low)
        for _ in range(100):
            middle = (low + high) / 2
            if not low < middle < high or high - low < 1e-9:
                break
            low, high = (middle, high) if moved(float(np.exp(middle)))[1] <= self.radius else (low, middle)
        eta = float(np.exp(low))
        return TabularPolicy.of(moved(eta)[0]), eta, changed


@dataclass(frozen=True)
class PPO(_GradientMethod):
    """Tabular proximal policy optimization: gradient steps in logits on the clipped surrogate, exact expectations.

    The surrogate is ``E_{d_k, pi_k} max(r A, clip(r, 1 - clip, 1 + clip) A)`` to be minimised, ``r = pi/pi_k`` and A
    the cost advantage of pi_k, scaled to unit variance as implementations do. Each state is a separate problem,
    weighted by d_k(s): the gradient is taken without that weight, as a step-size rule of Adam's kind would see it.

    Parameters
    ----------
    clip : float, default 0.2
        In (0, 1).
    epochs : int, default 20
        Gradient steps per iteration.
    learning_rate : float, default 1.0

    Examples
    --------
    >>> import optlab
    >>> from optlab.policy import garnet
    >>> mdp = garnet(50, 4, 5, discount=0.9, seed=0)
    >>> result = optlab.solve(mdp, PPO(), max_iter=100)
    >>> bool(result.metrics["gap"] < 1e-2 * result.history["gap"][0])
    True
    """

    clip: float = 0.2
    epochs: int = 20
    learning_rate: float = 1.0

    reference: ClassVar[str] = "schulman2017proximal"

    def __post_init__(self) -> None:
        object.__setattr__(self, "clip", as_number(self.clip, "clip", above=0, below=1))
        object.__setattr__(self, "epochs", as_integer(self.epochs, "epochs", minimum=1))
        object.__setattr__(self, "learning_rate", as_number(self.learning_rate, "learning_rate", above=0))

    def improve(self, problem: Any, state: TabularState) -> tuple[TabularPolicy, float, dict[str, Any]]:
        """Return the policy after `epochs` gradient steps from pi_k."""
        Q, d, changed = self._policy_terms(problem, state)
        old = state.policy.log_table
        pi = state.policy.probabilities()
        advantage = _finite(Q) - np.sum(pi * _finite(Q), axis=1, keepdims=True)
        scale = float(np.sqrt(d @ np.sum(pi * advantage**2, axis=1)))
        advantage = advantage / (scale if scale > 0 else 1.0)
        present = np.isfinite(old)
        new = old
        with quiet():  # a ratio may overflow: it is only compared
            for _ in range(self.epochs):
                ratio = np.exp(np.where(present, new, 0) - np.where(present, old, 0))
                # beyond the clip the surrogate is flat in the direction that lowers it
                active = np.where(advantage < 0, ratio < 1 + self.clip, ratio > 1 - self.clip)
                weighted = active * np.exp(new) * advantage
                gradient = weighted - np.exp(new) * weighted.sum(axis=1, keepdims=True)
                new = normalise_log(new - self.learning_rate * gradient)
        return TabularPolicy.of(new), self.learning_rate, changed


def _finite(Q: np.ndarray) -> np.ndarray:
    return np.where(np.isinf(Q), 0, Q)


def _where_available(Q: np.ndarray, shift: np.ndarray) -> np.ndarray:
    return np.where(np.isinf(Q), -np.inf, shift)


def _step_size(rule: Any, default: float, problem: Any, state: TabularState, Q: np.ndarray) -> float:
    return float(
        policy_step_size(default if rule is None else rule, state.k, problem, Q, state.policy.log_table, _EUCLIDEAN)
    )
