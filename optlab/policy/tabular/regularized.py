"""Entropy-regularised policy mirror descent (GPMD), with soft policy iteration as its limit of infinite step sizes.

With costs ``c + temperature * sum_a pi log pi`` the values are V_tau and, without the entropy of the first state,
``Q_tau = c + gamma P V_tau``. A step with the Kullback-Leibler divergence is (Zhan et al. 2023)

    pi_{k+1} ~ pi_k^(1/(1 + eta tau)) exp(-eta Q_tau / (1 + eta tau)),

and for eta = inf ``softmax(-Q_tau/tau)``, the policy update of soft actor-critic. It converges linearly to the
regularised optimum for every constant step size, which is not an optimum of the MDP itself: both gaps are recorded.
Exact values only; other regularisers are not covered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.bregman.elementary import quiet, xlogx
from optlab.bregman.mirror_maps import NegativeEntropyMap
from optlab.core.validation import as_integer, as_number
from optlab.policy.mdp.evaluation import solve_values
from optlab.policy.mdp.model import MDP
from optlab.policy.mdp.policies import TabularPolicy
from optlab.policy.tabular.dual_certificates import soft_linear_bound
from optlab.policy.tabular.iterates import TabularMethod, TabularState, excess_action_values
from optlab.policy.tabular.step_sizes import LARGEST_STEP_SIZE, StepSizeRule, check_policy_step_size, policy_step_size

__all__ = ["SoftOptimum", "SoftPolicyIteration", "soft_optimal", "soft_values"]

_ENTROPY = NegativeEntropyMap()


@dataclass(frozen=True, eq=False)
class SoftOptimum:
    """The optimum of an entropy-regularised MDP.

    Attributes
    ----------
    values : ndarray, shape (S,)
        ``V*_tau``, entropies included.
    action_values : ndarray, shape (S, A)
        ``Q*_tau``.
    policy : TabularPolicy
        ``softmax(-Q*_tau / tau)``.
    """

    values: np.ndarray
    action_values: np.ndarray
    policy: TabularPolicy


def soft_optimal(mdp: Any, temperature: float, tol: float = 1e-12, max_iter: int = 200) -> SoftOptimum:
    """Return the optimum of the MDP regularised by ``temperature * sum_a pi log pi``, by soft policy iteration.

    The iteration is Newton's method for the soft Bellman equation: monotone, and quadratic in the end.

    Parameters
    ----------
    mdp : MDP
    temperature : float
        Above 0.
    tol : float, default 1e-12
        On the change of the values, relative to ``max(1, |V|_inf)``.
    max_iter : int, default 200

    Examples
    --------
    >>> from optlab.policy import MDP
    >>> mdp = MDP(np.ones((1, 2, 1)), cost=[[0.0, 1.0]], discount=0.5)
    >>> soft_optimal(mdp, temperature=1.0).values.round(6)  # -log(1 + e^-1) / (1 - discount)
    array([-0.626523])
    """
    if not isinstance(mdp, MDP):
        raise TypeError(f"mdp must be an optlab.policy.MDP, got {type(mdp).__name__}")
    tau, tol = as_number(temperature, "temperature", above=0), as_number(tol, "tol", minimum=0)
    max_iter = as_integer(max_iter, "max_iter", minimum=0)
    values = soft_values(mdp, mdp.uniform_log_probabilities(), tau)
    for _ in range(max_iter):
        before, log_policy = values, _soft_greedy(mdp, mdp.action_values(values), tau)
        values = soft_values(mdp, log_policy, tau, guess=before)
        if np.abs(values - before).max() <= tol * max(1.0, float(np.abs(values).max())):
            break
    Q = mdp.action_values(values)
    return SoftOptimum(values, Q, TabularPolicy.of(_soft_greedy(mdp, Q, tau)))


def soft_values(mdp: Any, log_policy: np.ndarray, temperature: float, guess: np.ndarray | None = None) -> np.ndarray:
    """Return V_tau of a policy given by its logarithm, shape (S,): values for the cost ``c + tau sum_a pi log pi``."""
    table = mdp.normalised(np.exp(log_policy))
    cost = mdp.rows.mixed_cost(table)
    if temperature:
        cost = cost + temperature * xlogx(np, table).sum(axis=1)
    values, _ = solve_values(mdp.rows.csr, table, cost, mdp.discount, guess=guess)
    return values


@dataclass
class SoftState(TabularState):
    """State of `SoftPolicyIteration`: the regularised optimum that gaps are measured against, and the start's distance.

    `first_step` is the constant step size of the run so far, 0 if there is none.
    """

    optimal_values: np.ndarray
    optimal_action_values: np.ndarray
    action_gap: float
    log_gap: float
    first_step: float


@dataclass(frozen=True)
class SoftPolicyIteration(TabularMethod):
    """Soft policy iteration, or with a finite step size entropy-regularised policy mirror descent (GPMD).

    Parameters
    ----------
    temperature : float, default 0.1
        tau, the weight of the negative entropy in the cost.
    step_size : float, schedule or rule, optional
        eta. Default: infinite, which is soft policy iteration.

    Notes
    -----
    Recorded besides the problem's ``gap`` to V*: ``soft_gap``, ``V_tau,rho - V*_tau,rho``; ``soft_action_gap``,
    ``||Q_tau - Q*_tau||_inf``; and ``bound_soft``, which bounds the latter (Zhan et al. 2023; the trivial bound before
    the first step, and where step sizes vary). The gap to V* stalls at up to ``tau log(A) / (1 - gamma)``. A recorded
    step size of 1e100 stands for the infinite one.

    Examples
    --------
    >>> import optlab
    >>> from optlab.policy import garnet
    >>> mdp = garnet(50, 4, 5, discount=0.9, seed=0)
    >>> result = optlab.solve(mdp, SoftPolicyIteration(temperature=0.01), max_iter=20)
    >>> bool(result.metrics["soft_gap"] < 1e-12), bool(result.metrics["gap"] > 1e-6)
    (True, True)
    """

    temperature: float = 0.1
    step_size: StepSizeRule | None = None

    reference: ClassVar[str] = "zhan2023policy"
    _certificate: ClassVar[str] = "soft_action_gap"

    def __post_init__(self) -> None:
        object.__setattr__(self, "temperature", as_number(self.temperature, "temperature", above=0))
        if self.step_size is not None:
            check_policy_step_size(self.step_size)

    def evaluate(self, problem: Any, policy: TabularPolicy, guess: np.ndarray | None) -> np.ndarray:
        """Return the regularised values."""
        return soft_values(problem, policy.log_table, self.temperature, guess)

    def init(self, problem: Any, x0: Any, rng: np.random.Generator) -> SoftState:
        """Return the state at iteration 0; DomainError if `x0` lacks an action."""
        start = super().init(problem, x0, rng)
        best = soft_optimal(problem, self.temperature)
        present = np.isfinite(start.policy.log_table)
        difference = np.where(present, best.policy.log_table, 0) - np.where(present, start.policy.log_table, 0)
        return SoftState(
            k=0,
            policy=start.policy,
            values=start.values,
            step_size=0.0,
            policy_evaluations=start.policy_evaluations,
            optimal_values=best.values,
            optimal_action_values=best.action_values,
            action_gap=_largest_gap(problem, start.values, best.action_values),
            log_gap=float(np.abs(difference).max()),
            first_step=0.0,
        )

    def improve(self, problem: Any, state: SoftState) -> tuple[TabularPolicy, float, dict[str, Any]]:
        """Return the regularised mirror step."""
        tau, log_policy = self.temperature, state.policy.log_table
        action_values = problem.action_values(state.values)
        if self.step_size is None:
            new = _soft_greedy(problem, action_values, tau)
            return TabularPolicy.of(new), LARGEST_STEP_SIZE, {"first_step": LARGEST_STEP_SIZE}
        Q = excess_action_values(problem, action_values)
        eta = policy_step_size(self.step_size, state.k, problem, Q, log_policy, _ENTROPY)
        kept = 1 / (1 + eta * tau)
        scaled = np.where(np.isinf(Q), -np.inf, -(eta * kept) * np.where(np.isinf(Q), 0, Q))
        new = _ENTROPY.log_project(np.where(np.isneginf(log_policy), -np.inf, kept * log_policy) + scaled)
        same = np.ndim(eta) == 0 and (state.k == 0 or eta == state.first_step)
        return TabularPolicy.of(new), float(np.max(eta)), {"first_step": float(eta) if same else 0.0}

    def measure(self, problem: Any, state: SoftState) -> dict[str, float]:
        """Return the step size, the policy evaluations, the regularised gaps and their bound."""
        gamma, tau = problem.discount, self.temperature
        span = float(np.ptp(problem.cost)) + tau * np.log(problem.n_actions)
        bound = gamma * span / (1 - gamma)
        if state.first_step > 0:
            rate = soft_linear_bound(state.k - 1, state.action_gap, state.log_gap, tau, state.first_step, gamma)
            bound = min(bound, rate)
        return super().measure(problem, state) | {
            "soft_gap": problem.unit * max(float(problem.start @ (state.values - state.optimal_values)), 0.0),
            "soft_action_gap": problem.unit * _largest_gap(problem, state.values, state.optimal_action_values),
            "bound_soft": problem.unit * bound,
        }


def _soft_greedy(mdp: Any, action_values: np.ndarray, temperature: float) -> np.ndarray:
    with quiet():  # at temperatures near zero only the best action is left
        return _ENTROPY.log_project(-excess_action_values(mdp, action_values) / temperature)


def _largest_gap(mdp: Any, values: np.ndarray, action_values: np.ndarray) -> float:
    gap = np.abs(mdp.action_values(values) - action_values)
    return float(gap.max() if mdp.available is None else gap[mdp.available].max())
