"""Policy mirror descent on a finite MDP, in any mirror map.

    pi_{k+1,s} = argmin over the simplex of eta_k <Q_s^{pi_k}, p> + D(p, pi_{k,s})            for every state s

Xiao (2022), Lan (2023), Johnson, Pike-Burke and Rebeschini (2023). In dual coordinates a step adds ``-eta_k Q`` and
projects: softmax for the negative entropy (natural policy gradient), the Euclidean projection for the squared norm
(projected Q-descent), a root search for the others. Infinite step sizes are policy iteration.

Here: tables. Policies from a function class are `optlab.policy.DAPO` and its kin.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from optlab.bregman.mirror_maps import EuclideanMap, MirrorMap, NegativeEntropyMap
from optlab.bregman.mirror_maps import mirror_map as named_mirror_map
from optlab.core.stopping import Verdict
from optlab.core.validation import as_number, one_of
from optlab.policy.mdp.evaluation import solve_values
from optlab.policy.mdp.policies import TabularPolicy
from optlab.policy.tabular.iterates import TabularMethod, TabularState, excess_action_values
from optlab.policy.tabular.run_bounds import RunBounds
from optlab.policy.tabular.step_sizes import StepSizeRule, check_policy_step_size, policy_step_size

__all__ = ["PolicyMirrorDescent"]

_FUSED_FROM = 20_000  # pairs (s, a) from which a step is one compiled pass without a table of action values
_ACCURACY = 1e-12  # of the values, relative to the largest: `MDP.evaluate`'s own


@dataclass
class MirrorDescentState(TabularState):
    """State of policy mirror descent: what a sampling critic carries, and the certificate if diagnostics are on."""

    environment_steps: int
    critic_memory: np.ndarray
    rng: np.random.Generator | None
    certificate: RunBounds | None


@dataclass(frozen=True)
class PolicyMirrorDescent(TabularMethod):
    """Policy mirror descent on tables of probabilities.

    Parameters
    ----------
    mirror_map : str or MirrorMap, default "negative-entropy"
        ``"negative-entropy"`` (``"kl"``), ``"euclidean"``, ``"tsallis:0.5"``, ``"hyperbolic:0.1"`` or an instance; see
        `optlab.bregman.mirror_map`.
    step_size : float, schedule or rule, default 1.0
        A number, a schedule (`DiscountGrowth`, `Geometric`, any ``k -> float``), or `AdaptiveStepSize`. Constant steps
        converge at the rate 1/k, steps that grow by 1/discount linearly, adaptive ones like ``discount**k``.
    form : {"mirror", "lazy"}, default "mirror"
        Whether a step starts from the dual coordinates of the policy, or from the dual point of the step before. For a
        steep map there is no difference; otherwise the lazy form remembers how far below zero an action was clipped.
    critic : "exact" or critic, default "exact"
        Where action values come from: the linear system of policy evaluation, or an estimate (see
        `optlab.policy.critics.methods`) at all states.
    diagnostics : bool, default False
        Record ``divergence_to_optimal`` (D*_k), ``mismatch`` (theta_k), ``concentrability``
        (``||d_k / d_{k-1}||_inf``) and the bounds of `optlab.policy.tabular.certificates`: ``bound_sublinear`` and
        ``bound_linear`` of the gap, replaced by the trivial bound ``(c_max - c_min)/(1 - discount)`` where the step
        sizes are not those of the theorem, and ``bound_gamma`` of ``||V_k - V*||_inf``, which holds for all step
        sizes. One more linear system per iteration.
    forcing : float, default 0.01
        In [0, 0.25]: on problems of at least 20,000 state-action pairs the new policy's values need no more accuracy
        than this share of ``max_s (V - min_a Q)``, the largest advantage that the step before could take. It falls with
        the iterates, so the limit is the same. With 0, with `diagnostics` and on smaller problems values are accurate
        to 1e-12 of the largest. What is measured is so always, and evaluated again where need be.

    Notes
    -----
    With exact action values ``V`` falls at every state in every iteration (Xiao 2022, Lemma 7).

    Examples
    --------
    >>> import optlab
    >>> from optlab.policy import DiscountGrowth, garnet
    >>> mdp = garnet(50, 4, 5, discount=0.9, seed=0)
    >>> result = optlab.solve(mdp, PolicyMirrorDescent(step_size=DiscountGrowth()), max_iter=100, tol=1e-8)
    >>> result.success, result.solution
    (True, <TabularPolicy: 50 states, 4 actions>)
    """

    mirror_map: str | MirrorMap = "negative-entropy"
    step_size: StepSizeRule = 1.0
    form: str = "mirror"
    critic: Any = "exact"
    diagnostics: bool = False
    forcing: float = 0.01

    reference: ClassVar[str] = "xiao2022convergence"

    def __post_init__(self) -> None:
        named_mirror_map(self.mirror_map)
        check_policy_step_size(self.step_size)
        one_of(self.form, "form", ["mirror", "lazy"])
        if not isinstance(self.diagnostics, bool):
            raise TypeError(f"diagnostics must be True or False, got {self.diagnostics!r}")
        as_number(self.forcing, "forcing", minimum=0.0, maximum=0.25)
        if not self._exact and not hasattr(self.critic, "estimate"):
            raise TypeError(f"critic must be 'exact' or have a method estimate, got {self.critic!r}")
        if not self._exact and self.diagnostics:
            raise ValueError("diagnostics are for critic='exact': their bounds know nothing of the critic's error")

    @property
    def geometry(self) -> MirrorMap:
        """The mirror map as an object."""
        return named_mirror_map(self.mirror_map)

    @property
    def _exact(self) -> bool:
        return isinstance(self.critic, str) and one_of(self.critic, "critic", ["exact"]) == "exact"

    def needs_interior(self) -> bool:
        """Whether the mirror map is steep."""
        return bool(self.geometry.steep)

    def init(self, problem: Any, x0: Any, rng: np.random.Generator) -> MirrorDescentState:
        """Return the state at iteration 0; DomainError if the map is steep and `x0` lacks an action."""
        start = super().init(problem, x0, rng)
        if self.form == "lazy":
            dual = getattr(x0, "mirror", None)
            if dual is None:
                dual = self.geometry.gradient_from_log(start.policy.log_table)
            start = replace(start, policy=TabularPolicy.of(start.policy.log_table, np.array(dual)))
        certificate = RunBounds.at_start(problem, self.geometry, start) if self.diagnostics else None
        return MirrorDescentState(
            k=0,
            policy=start.policy,
            values=start.values,
            step_size=0.0,
            policy_evaluations=int(self._exact),
            environment_steps=0,
            critic_memory=np.empty(0),
            rng=None if self._exact else copy.deepcopy(rng),
            certificate=certificate,
        )

    def evaluate(self, problem: Any, policy: TabularPolicy, guess: np.ndarray | None) -> np.ndarray:
        """Return the values of the policy; nothing if a critic estimates the action values later."""
        return super().evaluate(problem, policy, guess) if self._exact else np.empty(0)

    # ------------------------------------------------------------------ the step

    def improve(self, problem: Any, state: MirrorDescentState) -> tuple[TabularPolicy, float, dict[str, Any]]:
        """Return ``Pi(grad Phi(pi_k) - eta_k Q)``."""
        if self._fused(problem):
            return self._improve_in_one_pass(problem, state)
        phi, log_policy, changed = self.geometry, state.policy.log_table, {}
        if self._exact:
            Q = excess_action_values(problem, problem.action_values(state.values))
        else:
            rng, states = copy.deepcopy(state.rng), np.arange(problem.n_states)
            estimate = self.critic.estimate(problem, state.policy, states, rng, state.critic_memory)
            Q = excess_action_values(problem, estimate.action_values)
            steps = state.environment_steps + estimate.environment_steps
            changed = {"rng": rng, "critic_memory": estimate.memory, "environment_steps": steps}
        eta = policy_step_size(self.step_size, state.k, problem, Q, log_policy, phi)
        shift = np.where(np.isinf(Q), -np.inf, -eta * np.where(np.isinf(Q), 0, Q))
        if self.form == "mirror":
            policy = TabularPolicy.of(phi.mirror_step(log_policy, shift))
        else:
            dual = state.policy.mirror + shift
            dual = dual - dual.max(axis=1, keepdims=True)  # constants do not matter, and would swallow the digits
            policy = TabularPolicy.of(phi.log_project(dual), dual)
        return policy, float(np.max(eta)), changed

    def _fused(self, problem: Any) -> bool:
        return (
            problem.n_states * problem.n_actions >= _FUSED_FROM
            and self._exact
            and self.form == "mirror"
            and isinstance(self.geometry, (NegativeEntropyMap, EuclideanMap))
            and not getattr(self.step_size, "reads_policy", hasattr(self.step_size, "for_policy"))
        )

    def _improve_in_one_pass(
        self, problem: Any, state: MirrorDescentState
    ) -> tuple[TabularPolicy, float, dict[str, Any]]:
        log_policy = state.policy.log_table
        eta = policy_step_size(self.step_size, state.k, problem, None, log_policy, None)
        if isinstance(self.geometry, NegativeEntropyMap):
            new = problem.rows.kl_step(state.values, log_policy, eta, floor=-1e200)
        else:
            new = problem.rows.euclidean_step(state.values, state.policy.probabilities(), eta)
        # the action values being at hand, the pass has made the first sweep of the evaluation as well
        scale = float(np.abs(new.sweep.values).max())
        loose = self.forcing * new.gap / scale if scale and not self.diagnostics else 0.0
        tol = max(_ACCURACY, loose)
        values, _ = solve_values(
            problem.rows.csr, new.weights, new.right, problem.discount, guess=state.values, tol=tol, begun=new.sweep
        )
        policy = TabularPolicy.of(new.log_table)
        values.setflags(write=False)
        problem.remember(policy, values, tol)
        return policy, eta, {"values": values}

    # ------------------------------------------------------------------ diagnostics

    def step(self, problem: Any, state: MirrorDescentState) -> MirrorDescentState:
        """Return the state with the next policy and its values."""
        new: MirrorDescentState = super().step(problem, state)
        if state.certificate is not None:
            certificate = state.certificate.after(problem, self.geometry, self.step_size, state, new)
            new = replace(new, certificate=certificate, policy_evaluations=new.policy_evaluations + 1)
        return new

    def verdict(self, problem: Any, state: MirrorDescentState, metrics: dict[str, float]) -> Verdict | None:
        """Return that the run has converged; never with a critic, whose next estimate may be another."""
        return super().verdict(problem, state, metrics) if self._exact else None

    def measure(self, problem: Any, state: MirrorDescentState) -> dict[str, float]:
        """Return the step size and the number of policy evaluations; with diagnostics, the certificates."""
        row = super().measure(problem, state) | {"environment_steps": float(state.environment_steps)}
        if state.certificate is not None:
            row |= state.certificate.metrics(problem, state.k)
        return row
