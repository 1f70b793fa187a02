"""The theorems' bounds along a run of policy mirror descent, beside what they bound: an observer of its states.

It reads the states of a run, one after the other, and is no part of a step: `PolicyMirrorDescent` carries it with
``diagnostics=True``, and any loop over states of a method with values and policies can.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from optlab.bregman.mirror_maps import MirrorMap
from optlab.policy.tabular.certificates import (
    concentrability,
    divergence_to_optimal,
    linear_bound,
    linear_growth_factor,
    mismatch,
    optimal_visitation,
    start_mismatch,
    sublinear_bound,
)
from optlab.policy.tabular.step_sizes import StepSizeRule, greedy_divergence, policy_step_size

__all__ = ["RunBounds"]


@dataclass(frozen=True)
class RunBounds:
    """What the bounds need to know of the run so far; see `optlab.policy.tabular.certificates` for the notation."""

    optimal_law: np.ndarray  # d*
    visitation: np.ndarray  # d_k
    start_mismatch: float
    first_gap: float
    first_divergence: float
    divergence: float
    mismatch: float
    gamma_bound: float
    concentrability: float = 1.0
    first_step: float = 0.0
    constant: bool = True
    growing: bool = True

    @classmethod
    def at_start(cls, problem: Any, mirror_map: MirrorMap, state: Any) -> RunBounds:
        """Return what is known at iteration 0."""
        law, visitation = optimal_visitation(problem), problem.visitation(state.policy)
        gaps = state.values - problem.optimal.values
        divergence = divergence_to_optimal(problem, state.policy, mirror_map, law)
        return cls(
            optimal_law=law,
            visitation=visitation,
            start_mismatch=start_mismatch(problem, law),
            first_gap=float(problem.start @ gaps),
            first_divergence=divergence,
            divergence=divergence,
            mismatch=mismatch(law, visitation),
            gamma_bound=float(np.max(gaps)),
        )

    def after(self, problem: Any, mirror_map: MirrorMap, rule: StepSizeRule, state: Any, following: Any) -> RunBounds:
        """Return what is known after the step from `state` to `following`, made with the step-size `rule`."""
        Q, log_policy = problem.action_values(state.values), state.policy.log_table
        eta: Any = policy_step_size(rule, state.k, problem, Q, log_policy, mirror_map)
        slack = float(np.max(greedy_divergence(mirror_map, Q, log_policy) / np.ravel(eta)))
        visitation, first = problem.visitation(following.policy), state.k == 0
        one_for_all = np.ndim(eta) == 0
        grown = state.step_size * linear_growth_factor(self.start_mismatch)
        return replace(
            self,
            visitation=visitation,
            first_step=following.step_size if first else self.first_step,
            divergence=divergence_to_optimal(problem, following.policy, mirror_map, self.optimal_law),
            mismatch=mismatch(self.optimal_law, visitation),
            concentrability=concentrability(visitation, self.visitation),
            gamma_bound=problem.discount * self.gamma_bound + slack,
            constant=self.constant and one_for_all and (first or following.step_size == self.first_step),
            growing=self.growing and one_for_all and (first or following.step_size >= grown * (1 - 1e-12)),
        )

    def metrics(self, problem: Any, k: int) -> dict[str, float]:
        """Return the coefficients of iterate k, and the bounds in the problem's units."""
        eta, gamma, span = self.first_step, problem.discount, float(np.ptp(problem.cost))
        sublinear = linear = trivial = span / (1 - gamma)
        if k > 0 and self.constant:
            sublinear = min(trivial, sublinear_bound(k, eta, self.first_divergence, gamma, span))
        if k > 0 and self.growing:
            bound = linear_bound(k, self.start_mismatch, self.first_gap, self.first_divergence, eta, gamma)
            linear = min(trivial, bound)
        return {
            "divergence_to_optimal": self.divergence,
            "mismatch": self.mismatch,
            "concentrability": self.concentrability,
            "bound_sublinear": problem.unit * sublinear,
            "bound_linear": problem.unit * linear,
            "bound_gamma": problem.unit * min(trivial, self.gamma_bound),
        }
