"""What the approximate policy methods share: the iteration, its state, the state law, recording.

One iteration of each of them (DAPO, AMPO, MDPO, natural policy gradient, Q-NPG) is

    1. states: all of them with weights d_k, or a sample of d_k by geometric stopping;
    2. critic: action values of pi_k at these states (`optlab.policy.critics.methods`);
    3. step size eta_k;
    4. update of theta, which is the method's own.

With the exact critic a state carries the values of its policy, so that an iteration costs one policy evaluation. In the
exact mode everything is an expectation over all states; `sampled_states` switches to samples, whose states, and the
transitions a sampling critic draws, are counted as environment steps.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from optlab.bregman.elementary import quiet
from optlab.bregman.mirror_maps import DualRows, MirrorMap, mirror_map
from optlab.core import Method, State
from optlab.core.stopping import Verdict
from optlab.core.validation import as_flag, as_float_array, as_integer, as_number
from optlab.policy.approximate.inner import InnerSolver
from optlab.policy.approximate.losses import Loss
from optlab.policy.critics.methods import Exact, evaluate_exactly
from optlab.policy.critics.rollouts import geometric_states
from optlab.policy.function_classes.classes import FunctionClass, Tabular
from optlab.policy.function_classes.policy import LOG_FLOOR, FunctionPolicy
from optlab.policy.mdp.model import MDP
from optlab.policy.ownership import unchecked
from optlab.policy.tabular.dual_error import COLUMNS, error_terms, observed
from optlab.policy.tabular.iterates import rounding_floor, unchanged
from optlab.policy.tabular.step_sizes import StepSizeRule, check_policy_step_size, policy_step_size

__all__ = ["ApproximateMethod", "ApproximateState", "Batch"]


@dataclass
class ApproximateState(State):
    """Run state of the approximate methods.

    Parameters
    ----------
    k : int
    theta : ndarray
        Parameters of the policy.
    rng : numpy.random.Generator
    values, action_values, visitation : ndarray
        Of the policy, where they are computed exactly; else empty.
    critic : ndarray
        What the critic keeps between iterations.
    step_size : float
        Of the last step (before the first: of the first, if the rule does not read the policy).
    dual_error : float
        Of the last fit, in the method's order and under the law of its states.
    inner_iterations : int
        In all.
    policy_evaluations : int
        Policies whose action values were computed or estimated.
    environment_steps : int
        Transitions drawn.
    trace : ndarray, shape (k, n)
        Rows of `optlab.policy.tabular.dual_error.error_terms`; empty without diagnostics.
    """

    theta: np.ndarray
    rng: np.random.Generator
    values: np.ndarray
    action_values: np.ndarray
    visitation: np.ndarray
    critic: np.ndarray
    step_size: float
    dual_error: float
    inner_iterations: int
    policy_evaluations: int
    environment_steps: int
    trace: np.ndarray

    @property
    def oracle_calls(self) -> int:
        """Policy evaluations."""
        return self.policy_evaluations


@dataclass(frozen=True, eq=False)
class Batch:
    """States of one iteration with their weights, and what is known at them and of the policy.

    Attributes
    ----------
    function_class : FunctionClass
    theta : ndarray, shape (n_parameters,)
    states : ndarray or None
        None: all states.
    weights : ndarray, shape (N,)
    scores : ndarray, shape (N, A)
        Of the current policy, ``-inf`` at actions that are not available.
    log_policy : ndarray, shape (N, A)
    action_values : ndarray, shape (N, A)
        From the critic.
    step_size : float
    rng : numpy.random.Generator
    """

    function_class: FunctionClass
    theta: np.ndarray
    states: Any
    weights: np.ndarray
    scores: np.ndarray
    log_policy: np.ndarray
    action_values: np.ndarray
    step_size: float
    rng: np.random.Generator

    def dual_target(self, phi: MirrorMap) -> np.ndarray:
        """Return ``grad Phi(pi_k) - eta Q`` by rows, ``-inf`` at actions that are not available."""
        with quiet():
            moved = DualRows.of_policy(phi, self.log_policy, -self.step_size * self.action_values).y
        return np.where(np.isneginf(self.scores), -np.inf, moved)


@dataclass(frozen=True, kw_only=True)
class ApproximateMethod(Method):
    """Base of the approximate methods; subclasses give `loss` and `solver`, or `update`, their mirror map and order.

    Parameters
    ----------
    policy : FunctionClass, optional
        Function class of the scores. Default: a table.
    step_size : float, schedule or rule, default 1.0
        eta_k; see `optlab.policy.tabular.step_sizes`.
    critic : critic, default ``Exact()``
        See `optlab.policy.critics.methods`.
    sampled_states : int, optional
        Number of states sampled per iteration. Default: all states, weighted by their exact law d_k.
    floor : float, default -650
        Lower bound on log-probabilities under steep mirror maps.
    diagnostics : bool, default False
        Record the error terms and bounds of `optlab.policy.tabular.dual_error`; needs all states and a known optimum.
    """

    policy: FunctionClass | None = None
    step_size: StepSizeRule = 1.0
    critic: Any = field(default_factory=Exact)
    sampled_states: int | None = None
    floor: float = LOG_FLOOR
    diagnostics: bool = False

    def __post_init__(self) -> None:
        if self.policy is not None and not isinstance(self.policy, FunctionClass):
            raise TypeError(
                f"policy must be a FunctionClass (Tabular, LinearFeatures, RandomFourier, TileCoding, MLP ...), "
                f"got {type(self.policy).__name__}"
            )
        check_policy_step_size(self.step_size)
        as_number(self.floor, "floor", below=0)
        as_flag(self.diagnostics, "diagnostics")
        if self.sampled_states is not None:
            as_integer(self.sampled_states, "sampled_states", minimum=1)
            if self.diagnostics:
                raise ValueError("diagnostics need all states: leave sampled_states at None")

    # ------------------------------------------------------------------ what a subclass says

    @cached_property
    def geometry(self) -> MirrorMap:
        """The mirror map; the Kullback-Leibler divergence for methods without a choice."""
        return mirror_map(getattr(self, "mirror_map", "negative-entropy"))

    def target(self, batch: Batch) -> np.ndarray:
        """Return the dual target that ``dual_error`` is measured against."""
        return batch.dual_target(self.geometry)

    def loss(self, batch: Batch, target: np.ndarray) -> Loss:
        """Return what the inner problem minimises; see `optlab.policy.approximate.losses`."""
        raise NotImplementedError(f"{type(self).__name__} must implement loss and solver, or update")

    @property
    def solver(self) -> InnerSolver:
        """What minimises it, made once."""
        raise NotImplementedError(f"{type(self).__name__} must implement loss and solver, or update")

    def update(self, batch: Batch, target: np.ndarray) -> tuple[np.ndarray, int]:
        """Return the next theta, and the number of inner iterations."""
        loss = self.loss(batch, target)
        found = self.solver.minimize(loss, batch.function_class, batch.theta, batch.states, batch.rng)
        return found.theta, found.iterations

    # ------------------------------------------------------------------ Method

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against problems without the tables that critic and diagnostics read."""
        tables, name = isinstance(problem, MDP), type(problem).__name__
        if not tables and not hasattr(problem, "draw"):
            return f"needs an optlab.policy.MDP, or an environment to sample from, got {name}"
        if not tables and (self.sampled_states is None or isinstance(self.critic, Exact)):
            return f"needs sampled_states and a sampling critic on {name}, which has no table of transitions"
        if self.diagnostics and not getattr(problem, "known_optimal", False):
            return "compares with the optimum (diagnostics=True): it needs an MDP with known_optimal=True"
        return None

    def init(self, problem: Any, x0: Any, rng: np.random.Generator) -> ApproximateState:
        """Return the state at iteration 0.

        A start that is a policy of the same function class is taken over; the uniform policy is the class's own start;
        any other policy is fitted, by least squares on its dual coordinates, centred in each state.
        """
        if self.diagnostics:
            problem.require_full_support()
        rng = copy.deepcopy(rng)
        function_class = self._checked_class(problem)
        theta = self._start(problem, function_class, x0, rng)
        state = ApproximateState(
            k=0,
            theta=theta,
            rng=rng,
            values=np.empty(0),
            action_values=np.empty((0, 0)),
            visitation=np.empty(0),
            critic=np.empty(0),
            step_size=0.0,
            dual_error=0.0,
            inner_iterations=0,
            policy_evaluations=0,
            environment_steps=0,
            trace=np.empty((0, len(COLUMNS))),
        )
        state = self._evaluate(problem, state)
        log_policy, Q = None, state.action_values
        if isinstance(problem, MDP):
            log_policy = self._policy(problem, theta).log_table()
            if not Q.size and hasattr(self.step_size, "for_policy"):
                Q = problem.cost  # only to have a number before the first step
        return replace(state, step_size=self._step_size(problem, 0, Q, log_policy))

    def step(self, problem: Any, state: ApproximateState) -> ApproximateState:
        """Return the next state: states, critic, step size, update."""
        batch, critic, drawn = self._batch(problem, state, copy.deepcopy(state.rng))
        target = self.target(batch)
        theta, inner = self.update(batch, target)
        if not np.isfinite(theta).all():
            raise FloatingPointError("the parameters of the policy left the range of floating-point numbers")
        policy = self._policy(problem, theta)
        scores = policy.scores(batch.states)
        y, z = DualRows(self.geometry, target), DualRows(self.geometry, scores)
        y, z = (y, z) if getattr(self, "order", "reverse") == "reverse" else (z, y)
        with quiet():
            error = self.geometry.dual_divergence_at(y, z)
        new = replace(
            state,
            k=state.k + 1,
            theta=theta,
            rng=batch.rng,
            critic=critic,
            step_size=batch.step_size,
            dual_error=float(batch.weights @ error),
            inner_iterations=state.inner_iterations + inner,
            environment_steps=state.environment_steps + drawn,
            policy_evaluations=state.policy_evaluations + (not isinstance(self.critic, Exact)),
        )
        new = self._evaluate(problem, new)
        if self.diagnostics:
            row = error_terms(problem, self.geometry, batch, target, scores, policy.log_table(), state, new)
            new.trace = np.vstack([state.trace, row])
        return new

    def iterate(self, problem: Any, state: ApproximateState) -> FunctionPolicy:
        """Return the policy."""
        return self._policy(problem, state.theta)

    def measure(self, problem: Any, state: ApproximateState) -> dict[str, float]:
        """Return step size, work counters, dual error; with diagnostics the error terms and the running bounds."""
        row = {
            "step_size": state.step_size,
            "policy_evaluations": float(state.policy_evaluations),
            "environment_steps": float(state.environment_steps),
            "inner_iterations": float(state.inner_iterations),
            "dual_error": state.dual_error,
        }
        if self.diagnostics:
            row |= observed(problem, self.geometry, self.iterate(problem, state), state)
        return row

    def verdict(self, problem: Any, state: ApproximateState, metrics: dict[str, float]) -> Verdict | None:
        """Return that the run has converged once its policy is optimal up to rounding and does not change any more."""
        exact = isinstance(problem, MDP) and isinstance(self.critic, Exact) and self.sampled_states is None
        if not exact or not metrics["advantage_gap"] <= rounding_floor(problem, state.values):
            return None
        following = self.iterate(problem, self.step(problem, state))
        return unchanged(self.iterate(problem, state), following, "advantage_gap", metrics)

    # ------------------------------------------------------------------ pieces of an iteration

    def _function_class(self, problem: Any) -> FunctionClass:
        return Tabular(problem.n_states, problem.n_actions) if self.policy is None else self.policy

    def _checked_class(self, problem: Any) -> FunctionClass:
        if self.policy is None and not isinstance(problem, MDP):
            raise TypeError(f"policy must be a function class for {type(problem).__name__}, which has no table")
        function_class, n_states = self._function_class(problem), getattr(problem, "n_states", None)
        if function_class.n_actions != problem.n_actions or n_states not in (None, function_class.n_states):
            raise ValueError(
                f"policy must have a row for each of the {n_states} states and {problem.n_actions} actions of the "
                f"problem, got {function_class!r}"
            )
        return function_class

    def _policy(self, problem: Any, theta: np.ndarray) -> FunctionPolicy:
        available = getattr(problem, "available", None)
        return unchecked(FunctionPolicy, self._function_class(problem), theta, self.geometry, self.floor, available)

    def _start(self, problem: Any, function_class: FunctionClass, x0: Any, rng: np.random.Generator) -> np.ndarray:
        if isinstance(x0, FunctionPolicy) and x0.function_class == function_class and x0.mirror_map == self.geometry:
            return np.array(as_float_array(x0.theta, "x0.theta", shape=(function_class.n_parameters,)))
        theta = function_class.initial(rng)
        if not isinstance(problem, MDP):
            return theta
        table = problem.probabilities_of(x0)
        uniform = np.exp(problem.uniform_log_probabilities())
        if np.allclose(table, uniform, rtol=1e-12, atol=0):
            return theta
        with np.errstate(divide="ignore"):
            log_table = np.log(table)
        if self.geometry.steep:
            log_table = np.where(uniform > 0, np.maximum(log_table, self.floor), -np.inf)
        weights = (uniform > 0) / problem.n_states
        dual = np.where(uniform > 0, self.geometry.gradient_from_log(log_table), 0.0)
        if not self.geometry.full_domain:
            dual = dual - np.sum(uniform * dual, axis=1, keepdims=True)
        return function_class.least_squares(theta, None, np.where(uniform > 0, dual, 0.0), weights, 0.0)

    def _evaluate(self, problem: Any, state: ApproximateState) -> ApproximateState:
        """Return the state with the exact quantities of its policy that the next iteration will read."""
        exact = isinstance(self.critic, Exact)
        if not isinstance(problem, MDP) or not (exact or self.sampled_states is None):
            return state
        log_policy = self._policy(problem, state.theta).log_table()
        if exact or self.diagnostics:
            guess = state.values if state.values.size else None
            values, action_values = evaluate_exactly(problem, log_policy, self.temperature_of(), guess)
            state = replace(state, values=values, action_values=action_values)
            state.policy_evaluations += exact
        if self.sampled_states is None:
            state = replace(state, visitation=problem.visitation_of(problem.normalised(np.exp(log_policy))))
        return state

    def temperature_of(self) -> float:
        """Return the weight of the entropy in the values; 0 for methods without."""
        return float(getattr(self, "temperature", 0.0))

    def _batch(self, problem: Any, state: ApproximateState, rng: np.random.Generator) -> tuple[Batch, np.ndarray, int]:
        policy, states, weights, drawn = self._policy(problem, state.theta), None, state.visitation, 0
        if self.sampled_states is not None:
            states, drawn = geometric_states(problem, policy, self.sampled_states, rng)
            weights = np.full(self.sampled_states, 1.0 / self.sampled_states)
        if isinstance(self.critic, Exact):
            Q, memory = state.action_values if states is None else state.action_values[states], state.critic
        else:
            rows = np.arange(problem.n_states) if states is None else states
            estimate = self.critic.estimate(problem, policy, rows, rng, state.critic)
            Q, memory = estimate.action_values, estimate.memory
            drawn += estimate.environment_steps
        scores = policy.scores(states)
        log_policy = policy.log_of(scores)
        eta = self._step_size(problem, state.k, Q, log_policy)
        batch = Batch(policy.function_class, state.theta, states, weights, scores, log_policy, Q, eta, rng)
        return batch, memory, drawn

    def _step_size(self, problem: Any, k: int, action_values: Any, log_policy: Any) -> float:
        eta = policy_step_size(self.step_size, k, problem, action_values, log_policy, self.geometry)
        if isinstance(eta, np.ndarray):
            raise ValueError(
                f"step_size must be one number for all states here: {type(self).__name__} fits all states together"
            )
        return float(eta)
