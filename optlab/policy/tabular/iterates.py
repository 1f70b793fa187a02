"""What the tabular methods share: the state, exact evaluation of the new policy, recording.

A state carries its policy together with the values of that policy, so that one iteration is one evaluation, made as
soon as the policy exists and whether or not it is then measured: a run does not depend on how often it is recorded.
Methods implement `TabularMethod.improve`, the map from a policy and its values to the next policy.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from optlab.core import Method, State, Status
from optlab.core.stopping import Verdict
from optlab.policy.mdp.model import against_mdp
from optlab.policy.mdp.policies import TabularPolicy, as_log_table

__all__ = ["TabularMethod", "TabularState", "excess_action_values", "rounding_floor", "unchanged"]

_ROUNDED = 1e-12


@dataclass
class TabularState(State):
    """Run state of the tabular methods.

    Parameters
    ----------
    k : int
    policy : TabularPolicy
    values : ndarray, shape (S,)
        Of the policy; what the next improvement reads.
    step_size : float
        Of the last step (the largest, if states have their own); 0 before the first.
    policy_evaluations : int
        Linear systems solved: values, and visitation laws where the method needs them.
    """

    policy: TabularPolicy
    values: np.ndarray
    step_size: float
    policy_evaluations: int

    @property
    def oracle_calls(self) -> int:
        """Policy evaluations."""
        return self.policy_evaluations


class TabularMethod(Method):
    """Base of the exact tabular methods: a subclass gives `improve`.

    The start is any policy of the problem: a policy object, a table of probabilities, or one action per state.
    """

    @abc.abstractmethod
    def improve(self, problem: Any, state: Any) -> tuple[TabularPolicy, float, dict[str, Any]]:
        """Return the next policy, the step size used, and other fields of the state that change.

        If ``values`` are among them, the new policy's, they are taken; otherwise it is evaluated.
        """

    def needs_interior(self) -> bool:
        """Whether the start must give every available action positive probability."""
        return True

    def evaluate(self, problem: Any, policy: TabularPolicy, guess: np.ndarray | None) -> np.ndarray:
        """Return the values that the next `improve` reads."""
        values: np.ndarray = problem.evaluate(policy, guess=guess).values
        return values

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against anything but a finite Markov decision process."""
        return against_mdp(problem)

    def init(self, problem: Any, x0: Any, rng: np.random.Generator) -> Any:
        """Return the state at iteration 0; DomainError if `x0` lacks an action that the method could never take up."""
        table = as_log_table(problem, x0, interior=self.needs_interior())
        policy = TabularPolicy.of(table)
        return TabularState(0, policy, self.evaluate(problem, policy, None), 0.0, 1)

    def step(self, problem: Any, state: Any) -> Any:
        """Return the state with the next policy and its values."""
        policy, step_size, changed = self.improve(problem, state)
        values = changed.pop("values", None)
        if values is None:
            values = self.evaluate(problem, policy, state.values)
        solved = changed.pop("policy_evaluations", state.policy_evaluations) + 1
        return replace(
            state,
            k=state.k + 1,
            policy=policy,
            values=values,
            step_size=step_size,
            policy_evaluations=solved,
            **changed,
        )

    def iterate(self, problem: Any, state: Any) -> TabularPolicy:
        """Return the policy."""
        policy: TabularPolicy = state.policy
        return policy

    def measure(self, problem: Any, state: Any) -> dict[str, float]:
        """Return the last step size and the linear systems solved so far."""
        return {"step_size": state.step_size, "policy_evaluations": float(state.policy_evaluations)}

    _certificate: ClassVar[str] = "advantage_gap"

    def verdict(self, problem: Any, state: Any, metrics: dict[str, float]) -> Verdict | None:
        """Return that the run has converged once its policy is optimal up to rounding and does not change any more."""
        if not metrics[self._certificate] <= rounding_floor(problem, state.values):
            return None
        return unchanged(state.policy, self.step(problem, state).policy, self._certificate, metrics)


def rounding_floor(problem: Any, values: np.ndarray) -> float:
    """Return the size, in the problem's units, below which a gap of `values` is the error of their evaluation."""
    accuracy = 4e-12 * float(np.abs(values).max())
    floor: float = problem.unit * (
        accuracy + 4.0 * problem.rows.rounding(values, mixed=True) / (1.0 - problem.discount)
    )
    return floor


def unchanged(policy: Any, following: Any, certificate: str, metrics: dict[str, float]) -> Verdict | None:
    """Return the verdict of convergence if no probability changes by more than rounding of action values makes it."""
    if not np.abs(policy.probabilities() - following.probabilities()).max() <= _ROUNDED:
        return None
    found = f"the policy no longer changes: {certificate} = {metrics[certificate]:.3g} is certified"
    return Verdict(Status.CONVERGED, found)


def excess_action_values(problem: Any, action_values: np.ndarray) -> np.ndarray:
    """Return ``Q - min_a Q`` by states, ``inf`` where an action is not available.

    Constants per state do not matter to any method, and without them a large step size multiplies small numbers only.
    """
    Q = action_values if problem.available is None else np.where(problem.available, action_values, np.inf)
    return np.asarray(Q - Q.min(axis=1, keepdims=True))
