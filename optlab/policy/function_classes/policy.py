"""Policies that are functions with parameters: scores of a function class, made probabilities by a mirror map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.bregman.elementary import quiet
from optlab.bregman.mirror_maps import DualRows, MirrorMap
from optlab.bregman.mirror_maps.base import as_dual_rows
from optlab.core.validation import as_float_array, as_number
from optlab.policy.function_classes.classes import FunctionClass
from optlab.policy.mdp.policies import StochasticPolicy
from optlab.policy.ownership import frozen

__all__ = ["LOG_FLOOR", "FunctionPolicy"]

LOG_FLOOR = -650.0  # exp(-650) is far below every sum it enters and still far from the smallest number


@dataclass(frozen=True, eq=False)
class FunctionPolicy(StochasticPolicy):
    """The policy ``pi(a | s) = Pi(f^theta(s))_a`` of a function class, Pi being the projection of a mirror map.

    Immutable: MDPs remember its values while it lives.

    Parameters
    ----------
    function_class : FunctionClass
    theta : ndarray, shape (n_parameters,)
    mirror_map : MirrorMap
        Negative entropy: softmax policies.
    floor : float, default -650
        Lower bound on log-probabilities under mirror maps that are steep, whose policies have full support.
    available : ndarray of bool, shape (S, A), optional
        Which actions exist; default: all.

    Examples
    --------
    >>> from optlab.bregman.mirror_maps import mirror_map
    >>> from optlab.policy import LinearFeatures
    >>> phi = LinearFeatures(np.eye(4).reshape(2, 2, 4))
    >>> policy = FunctionPolicy(phi, np.array([0.0, 1e4, 0.0, 0.0]), mirror_map("kl"))
    >>> policy.log_probabilities(0), policy.greedy(0)
    (array([-650.,    0.]), 1)
    """

    function_class: FunctionClass
    theta: np.ndarray
    mirror_map: MirrorMap
    floor: float = LOG_FLOOR
    available: np.ndarray | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.function_class, FunctionClass):
            raise TypeError(f"function_class must be a FunctionClass, got {type(self.function_class).__name__}")
        if not isinstance(self.mirror_map, MirrorMap):
            raise TypeError(f"mirror_map must be a MirrorMap, got {type(self.mirror_map).__name__}")
        as_number(self.floor, "floor", below=0)
        theta = as_float_array(self.theta, "theta", shape=(self.function_class.n_parameters,), finite=False)
        object.__setattr__(self, "theta", frozen(theta))
        if self.available is not None:
            available = as_float_array(self.available, "available", shape=(self.n_states, self.n_actions))
            object.__setattr__(self, "available", frozen(available.astype(bool)))

    @property
    def n_states(self) -> int | None:
        """Number of states of the table, or None."""
        return self.function_class.n_states

    @property
    def n_actions(self) -> int:
        """Number of actions."""
        return self.function_class.n_actions

    def scores(self, state: Any = None) -> np.ndarray:
        """Return the scores: all rows, those of an array of states, or the row of a single one."""
        if state is None:
            return self._masked(self.function_class.scores(self.theta), slice(None))
        states = np.asarray(state)
        single = states.ndim == (1 if states.dtype.kind == "f" else 0)
        rows = states[None] if single else states
        scores = self._masked(self.function_class.scores(self.theta, rows), rows)
        return np.asarray(scores[0]) if single else scores

    def _masked(self, scores: np.ndarray, rows: Any) -> np.ndarray:
        return scores if self.available is None else np.where(self.available[rows], scores, -np.inf)

    def log_probabilities(self, state: Any = None) -> np.ndarray:
        """Return log-probabilities of the actions: all rows, or those of a state or an array of states."""
        return self.log_of(as_dual_rows(self.scores(state), "scores"))

    def log_table(self) -> np.ndarray:
        """Return all rows of `log_probabilities` without a check, for parameters that are known to be finite."""
        return self.log_of(self.scores())

    def log_of(self, scores: np.ndarray) -> np.ndarray:
        """Return the log-probabilities of rows of scores, unchecked."""
        with quiet():
            log_pi = DualRows(self.mirror_map, scores).log_policy
        if self.mirror_map.steep:
            log_pi = np.where(np.isneginf(scores), -np.inf, np.maximum(log_pi, self.floor))
        return log_pi

    def greedy(self, state: Any = None) -> Any:
        """Return the most probable action (the first of several) of every state, or of those given."""
        actions = self.scores(state).argmax(axis=-1)
        return int(actions) if actions.ndim == 0 else actions

    def __repr__(self) -> str:
        return f"<FunctionPolicy: {self.mirror_map.label}, {self.function_class!r}>"
