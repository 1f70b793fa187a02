"""Critics: estimates of the action values of a policy, at given states and for all actions.

`Exact` solves the linear system of policy evaluation; the others see samples only. `MonteCarlo` averages truncated
returns from a generative model; its error bound (Xiao 2022, Lemma 14) needs `monte_carlo_rollouts`. `TD` and `LSTDQ`
fit ``Q(s, a) = <phi(s, a), w>`` over a function class of their own to transitions along trajectories. That class must
be able to represent the *values* of states: with the features of a log-linear actor, which only tell actions apart, no
actor improves, however many samples there are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.core.validation import as_integer, as_number
from optlab.policy.critics.rollouts import Transitions, monte_carlo, transitions
from optlab.policy.function_classes.classes import FunctionClass, Tabular
from optlab.policy.tabular.certificates import monte_carlo_rollouts
from optlab.policy.tabular.regularized import soft_values

__all__ = ["LSTDQ", "TD", "Critic", "CriticEstimate", "Exact", "MonteCarlo", "evaluate_exactly"]


@dataclass(frozen=True, eq=False)
class CriticEstimate:
    """What a critic returns.

    Attributes
    ----------
    action_values : ndarray, shape (N, A)
    environment_steps : int
        Transitions drawn.
    memory : ndarray
        What the critic wants to find again at the next call.
    """

    action_values: np.ndarray
    environment_steps: int
    memory: np.ndarray


class Critic:
    """Base of the critics."""

    def estimate(
        self, problem: Any, policy: Any, states: np.ndarray, rng: np.random.Generator, memory: np.ndarray
    ) -> CriticEstimate:
        """Return action values of `policy` at `states`; `memory` is that of the last call, empty at the first."""
        raise NotImplementedError(f"{type(self).__name__} must implement estimate")


def evaluate_exactly(
    problem: Any, log_policy: np.ndarray, temperature: float = 0.0, guess: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return V and Q of a policy, with ``temperature * sum_a pi log pi`` added to the cost of every state.

    Q contains the entropies of later states, not of the state itself, as in soft actor-critic.

    Examples
    --------
    >>> from optlab.policy import MDP
    >>> mdp = MDP(np.ones((1, 2, 1)), cost=[[0.0, 1.0]], discount=0.5)
    >>> V, Q = evaluate_exactly(mdp, np.log([[0.5, 0.5]]), temperature=1.0)
    >>> V.round(6), Q.round(6)
    (array([-0.386294]), array([[-0.193147,  0.806853]]))
    """
    values = soft_values(problem, log_policy, temperature, guess=guess)
    return values, problem.action_values(values)


@dataclass(frozen=True)
class Exact(Critic):
    """Exact action values, by solving ``(I - discount P_pi) V = c_pi``. Needs an MDP.

    Examples
    --------
    >>> Exact()
    Exact()
    """

    def estimate(
        self, problem: Any, policy: Any, states: np.ndarray, rng: np.random.Generator, memory: np.ndarray
    ) -> CriticEstimate:
        guess = memory if memory.size else None
        values, action_values = evaluate_exactly(problem, policy.log_probabilities(), guess=guess)
        return CriticEstimate(action_values[states], 0, values)


@dataclass(frozen=True)
class MonteCarlo(Critic):
    """Averages of truncated returns, for every state and action; the environment must be resettable to any state.

    Parameters
    ----------
    rollouts : int, default 5
        M, trajectories per state and action.
    horizon : int, optional
        H, transitions per trajectory. Default: so many that what is cut off weighs less than `tol`,
        ``discount^H / (1 - discount) <= tol``.
    tol : float, default 0.01

    Examples
    --------
    >>> MonteCarlo().horizon_for(0.9)
    66
    >>> MonteCarlo.rollouts_needed(horizon=10, discount=0.9, pairs=200, failure=0.05)
    37
    """

    rollouts: int = 5
    horizon: int | None = None
    tol: float = 0.01

    def __post_init__(self) -> None:
        as_integer(self.rollouts, "rollouts", minimum=1)
        if self.horizon is not None:
            as_integer(self.horizon, "horizon", minimum=1)
        as_number(self.tol, "tol", above=0)

    def horizon_for(self, discount: float) -> int:
        """Return the transitions per trajectory."""
        if self.horizon is not None:
            return self.horizon
        return max(1, math.ceil(math.log(self.tol * (1 - discount)) / math.log(discount)))

    @staticmethod
    def rollouts_needed(horizon: int, discount: float, pairs: int, failure: float) -> int:
        """Return `monte_carlo_rollouts`: how many M keep the error bound but for a probability of `failure`."""
        return monte_carlo_rollouts(horizon, discount, pairs, failure)

    def estimate(
        self, problem: Any, policy: Any, states: np.ndarray, rng: np.random.Generator, memory: np.ndarray
    ) -> CriticEstimate:
        horizon = self.horizon_for(problem.discount)
        action_values, steps = monte_carlo(problem, policy, states, self.rollouts, horizon, rng)
        return CriticEstimate(action_values, steps, memory)


@dataclass(frozen=True)
class _Linear(Critic):
    """What TD and LSTDQ share: a linear class for Q, and samples of transitions.

    Parameters
    ----------
    features : FunctionClass, optional
        Linear class of Q. Default: a table.
    trajectories, length : int, default 20 and 200
        Sampled at each call.
    exploration : float, default 0.1
        Probability of a uniform action in place of the policy's.
    """

    features: FunctionClass | None = None
    trajectories: int = 20
    length: int = 200
    exploration: float = 0.1

    def __post_init__(self) -> None:
        if self.features is not None and not (isinstance(self.features, FunctionClass) and self.features.linear):
            raise TypeError(f"features must be a linear FunctionClass, got {self.features!r}")
        as_integer(self.trajectories, "trajectories", minimum=1)
        as_integer(self.length, "length", minimum=1)
        as_number(self.exploration, "exploration", minimum=0, maximum=1)

    def estimate(
        self, problem: Any, policy: Any, states: np.ndarray, rng: np.random.Generator, memory: np.ndarray
    ) -> CriticEstimate:
        features = self.features
        if features is None:
            features = Tabular(problem.n_states, problem.n_actions)
        sample = transitions(problem, policy, self.trajectories, self.length, self.exploration, rng)
        weights = memory if memory.size else features.initial(rng)
        weights = self._fit(problem, policy, features, sample, weights)
        return CriticEstimate(features.scores(weights, states), self.trajectories * self.length, weights)

    def _fit(
        self, problem: Any, policy: Any, features: FunctionClass, sample: Transitions, weights: np.ndarray
    ) -> np.ndarray:
        raise NotImplementedError


@dataclass(frozen=True)
class LSTDQ(_Linear):
    """Least-squares temporal differences for Q (Lagoudakis and Parr 2003), with expected next action values.

    Solves ``sum phi (phi - discount E_pi phi')' w = sum phi c`` over the sampled transitions.

    Parameters
    ----------
    features : FunctionClass, optional
        Linear class of Q; it has to represent values of states. Default: a table.
    trajectories, length : int, default 20 and 200
        Sampled at each call.
    exploration : float, default 0.1
        Probability of a uniform action in place of the policy's.
    ridge : float, default 1e-6
        Added to the matrix, per transition.

    Examples
    --------
    >>> LSTDQ(trajectories=5).ridge
    1e-06
    """

    ridge: float = 1e-6

    def _fit(
        self, problem: Any, policy: Any, features: FunctionClass, sample: Transitions, weights: np.ndarray
    ) -> np.ndarray:
        phi = pair_features(features, sample.states, sample.actions)
        expected = expected_features(features, sample.following, policy.probabilities(sample.following))
        expected[sample.ended] = 0.0
        matrix = phi.T @ (phi - problem.discount * expected)
        matrix.flat[:: features.n_parameters + 1] += self.ridge * len(phi)
        return np.asarray(np.linalg.lstsq(matrix, phi.T @ sample.costs, rcond=None)[0])


@dataclass(frozen=True)
class TD(_Linear):
    """Temporal differences with expected next action values (expected Sarsa), warm-started from call to call.

    One update per transition, in the order of time:
    ``w += step_size phi (c + discount E_pi Q(s', .) - Q(s, a)) / |phi|^2``.

    Parameters
    ----------
    features : FunctionClass, optional
        Linear class of Q; it has to represent values of states. Default: a table.
    trajectories, length : int, default 20 and 200
        Sampled at each call.
    exploration : float, default 0.1
        Probability of a uniform action in place of the policy's.
    step_size : float, default 0.1
        Constant, at most 1; relative to ``|phi|^2``, so that it means the same for all features.

    Examples
    --------
    >>> TD(step_size=0.05).step_size
    0.05
    """

    step_size: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        as_number(self.step_size, "step_size", above=0, maximum=1)

    def _fit(
        self, problem: Any, policy: Any, features: FunctionClass, sample: Transitions, weights: np.ndarray
    ) -> np.ndarray:
        phi = pair_features(features, sample.states, sample.actions)
        expected = expected_features(features, sample.following, policy.probabilities(sample.following))
        expected[sample.ended] = 0.0
        difference = problem.discount * expected - phi
        steps = self.step_size / np.maximum(np.sum(phi**2, axis=1), 1e-300)
        weights = weights.copy()
        for row, change, cost, step in zip(phi, difference, sample.costs, steps):
            weights += (step * (cost + change @ weights)) * row
        return weights


def pair_features(features: FunctionClass, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Return the features of state-action pairs of a linear class as a dense matrix, shape (N, n_parameters)."""
    one_hot = np.zeros((len(actions), features.n_actions))
    one_hot[np.arange(len(actions)), actions] = 1.0
    return expected_features(features, states, one_hot)


def expected_features(features: FunctionClass, states: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return ``sum_a pi(a | s) phi(s, a)`` by rows, shape (N, n_parameters).

    Examples
    --------
    >>> expected_features(Tabular(2, 2), np.array([1]), np.array([[0.25, 0.75]]))
    array([[0.  , 0.  , 0.25, 0.75]])
    """
    if isinstance(features, Tabular):
        result = np.zeros((len(states), *np.shape(features._table(np.zeros(features.n_parameters)))))
        result[np.arange(len(states)), states] = probabilities
        return result.reshape(len(states), -1)
    rows = features.rows(states)  # type: ignore[attr-defined]
    if hasattr(rows, "toarray"):
        rows = rows.toarray()
    if rows.ndim == 3:
        return np.einsum("na,nad->nd", probabilities, rows)
    return np.einsum("na,nd->nad", probabilities, rows).reshape(len(states), -1)
