"""What the tabular methods share: the state, exact evaluation of the new policy, recording.

A state carries its policy together with the values of that policy, so that one iteration is one evaluation, made as
soon as the policy exists and whether or not it is then measured: a run does not depend on how often it is recorded.
Methods implement `TabularMethod.improve`, the map from a policy and its values to the next policy.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from optlab.core import Method, State
from optlab.policy.mdp import against_mdp
from optlab.policy.policies import TabularPolicy, as_log_table

__all__ = ["TabularMethod", "TabularState", "excess_action_values"]


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


def excess_action_values(problem: Any, action_values: np.ndarray) -> np.ndarray:
    """Return ``Q - min_a Q`` by states, ``inf`` where an action is not available.

    Constants per state do not matter to any method, and without them a large step size multiplies small numbers only.
    """
    Q = action_values if problem.available is None else np.where(problem.available, action_values, np.inf)
    return np.asarray(Q - Q.min(axis=1, keepdims=True))
