"""Dynamic programming: value iteration, policy iteration, and modified policy iteration between the two.

With ``T^pi V = c_pi + discount P_pi V`` and ``T V = min_pi T^pi V`` (Puterman, *Markov Decision Processes*, 1994):

* `ValueIteration` (Section 6.3):              ``V <- T V``
* `PolicyIteration` (Howard 1960; 6.4):        ``pi <- greedy(V^pi)``
* `ModifiedPolicyIteration` (Puterman and Shin 1978; 6.5):  ``pi <- greedy(V)``, then some sweeps ``V <- T^pi V``

The last works with the *span* of a residual (6.6.3): a constant that all values are off by is known in closed form.
With ``low <= T V - V <= high``

    discount / (1 - discount) low  <=  V* - T V  <=  discount / (1 - discount) high,                              (1)

and the middle of the two is the better estimate. `value_error`, recorded by all three, bounds the error of the values
held, from both sides and computed from the iteration itself: ``max |T V - V| / (1 - discount)``, or what (1) says, with
what rounding may have done to the residuals (`optlab.policy.mdp.passes.Rows.rounding`) added. It holds at every
iteration, however far the values are from those of any policy; by rounding it does not fall below some 1e-15 / (1 -
discount) of the largest value. These methods know the model; their policies are deterministic.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from optlab.core import Method, State, Status
from optlab.core.stopping import Verdict
from optlab.core.validation import as_integer, as_number
from optlab.policy.mdp.model import against_mdp
from optlab.policy.mdp.optimum import Improved, bellman_bound, howard_step, improved
from optlab.policy.mdp.passes import ROUNDING, sweep_until
from optlab.policy.mdp.policies import TabularPolicy

__all__ = ["DynamicProgrammingState", "ModifiedPolicyIteration", "PolicyIteration", "ValueIteration"]


@dataclass
class DynamicProgrammingState(State):
    """State of the three methods.

    Parameters
    ----------
    k : int
    values : ndarray, shape (S,)
        ``V^pi`` (policy iteration), otherwise the current estimate of ``V*``.
    policy : ndarray
        One action per state, shape (S,); at the start it may be a table of probabilities, shape (S, A).
    value_error : float
        A bound on ``|values - V*|_inf``.
    changes : int
        States whose action differs from the iteration before; in policy iteration, from the one after: with none, the
        policy is optimal.
    oracle_calls : int
        Products with the rows of a whole policy: a sweep counts one, a backup over all actions A.
    policy_evaluations : int
        Linear systems solved.
    improved : ndarray of int, shape (S,), or None
        Policy iteration: the policy of the next iteration.
    accuracy : float
        Policy iteration: a bound on the relative error up to which `values` are those of `policy`.
    residual : float
        Value iteration: largest ``|T V - V|`` of the last backup; modified policy iteration: its span.
    settled : bool
        Whether the method has arrived at a fixed point, which it cannot leave but for rounding.
    excess : float
        Policy iteration: a bound on ``T^pi V - V``, rounding included.
    advantage_gap : float
        Policy iteration: the bound on ``|V^pi - V*|_inf`` that `MDP.measure` reports.
    """

    values: np.ndarray
    policy: np.ndarray
    value_error: float
    changes: int
    oracle_calls: int
    policy_evaluations: int
    improved: np.ndarray | None = None
    accuracy: float = 0.0
    residual: float = np.inf
    settled: bool = False
    excess: float = np.nan
    advantage_gap: float = np.nan


class _DynamicProgramming(Method):
    """What the three share: reading a start, handing out the policy, measuring, knowing the end.

    The start is a policy (an object, a table, or an integer array of one action per state), or values in cost form: a
    vector of floats. A list of integers could be either and is refused.
    """

    _fixed_point: ClassVar[str] = "the residual is down to rounding"

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against anything but a finite Markov decision process."""
        return against_mdp(problem)

    def _begin(self, problem: Any, x0: Any) -> DynamicProgrammingState:
        given = None if hasattr(x0, "probabilities") else np.asarray(x0)
        if given is not None and isinstance(x0, (list, tuple)) and given.ndim == 1 and given.dtype.kind in "iu":
            raise ValueError(
                "x0 could be actions or values: give values as floats, one action per state as np.array(x0), got "
                f"{x0 if len(x0) < 9 else '[' + ', '.join(map(str, x0[:6])) + ', ...]'}"
            )
        if given is not None and given.ndim == 1 and given.dtype.kind == "f":
            # values: the policy held is the greedy one
            if given.shape != (problem.n_states,) or not np.isfinite(given).all():
                raise ValueError(f"a start given as values must be finite, of shape ({problem.n_states},)")
            values = given.astype(np.float64)
            _, policy, low, high = problem.rows.greedy_backup(values)
            return DynamicProgrammingState(
                0, values, policy, bellman_bound(problem.rows, low, high, values), 0, problem.n_actions, 0
            )
        if given is not None and given.ndim == 1:
            policy = problem.checked_actions(given).copy()
        else:
            table = problem.probabilities_of(x0)
            best = table.argmax(axis=1)
            certain = table[np.arange(problem.n_states), best] == 1.0
            policy = best if certain.all() else table.copy()
        evaluation = problem.evaluate(policy)
        _, _, low, high = problem.rows.greedy_backup(evaluation.values)
        error = bellman_bound(problem.rows, low, high, evaluation.values)
        return DynamicProgrammingState(
            0, evaluation.values, policy, error, 0, evaluation.iterations + problem.n_actions, 1
        )

    def iterate(self, problem: Any, state: DynamicProgrammingState) -> Any:
        """Return the policy."""
        if state.policy.ndim == 2:
            with np.errstate(divide="ignore"):
                return TabularPolicy.of(np.log(state.policy))
        table = np.full((problem.n_states, problem.n_actions), -np.inf)
        table[np.arange(problem.n_states), state.policy] = 0.0
        return TabularPolicy.of(table)

    def verdict(self, problem: Any, state: DynamicProgrammingState, metrics: dict[str, float]) -> Verdict | None:
        """Return that the run has converged once nothing changes any more, with the certified error."""
        if not state.settled:
            return None
        return Verdict(
            Status.CONVERGED, f"{self._fixed_point}: value_error = {metrics['value_error']:.3g} is certified"
        )

    def measure(self, problem: Any, state: DynamicProgrammingState) -> dict[str, float]:
        """Return the bound on the values' error, the actions changed last, and the linear systems solved so far."""
        return {
            "value_error": problem.unit * state.value_error,
            "changes": float(state.changes),
            "policy_evaluations": float(state.policy_evaluations),
        }


@dataclass(frozen=True)
class PolicyIteration(_DynamicProgramming):
    """Policy iteration: evaluate, then act greedily; ends at an optimal policy after finitely many steps.

    An action is kept unless another is better by more than rounding, so ties do not make it cycle. The evaluation is
    exact up to `tol` and starts from the previous policy's values.

    Parameters
    ----------
    tol : float, default 1e-12
        Accuracy of the evaluation, relative to the largest value.
    forcing : float, default 0.1
        While the policy still changes, evaluation may stop at an error of this share of the last Bellman residual; with
        0 all are to `tol`. A policy counts as optimal only by values of accuracy `tol`.

    Examples
    --------
    >>> import optlab
    >>> from optlab.policy import frozen_lake
    >>> run = optlab.solve(frozen_lake("8x8"), PolicyIteration(), tol=1e-12, record="all")
    >>> run.status.name, run.n_iter < 10
    ('CONVERGED', True)
    """

    tol: float = 1e-12
    forcing: float = 0.1
    reference: ClassVar[str] = "howard1960"
    _fixed_point: ClassVar[str] = "the policy no longer changes"

    def __post_init__(self) -> None:
        as_number(self.tol, "tol", above=0.0, maximum=1e-3)
        as_number(self.forcing, "forcing", minimum=0.0, maximum=0.25)

    def init(self, problem: Any, x0: Any, rng: Any) -> DynamicProgrammingState:
        """Evaluate the start policy (or take values as they are) and improve it."""
        state = self._begin(problem, x0)
        if not state.policy_evaluations:
            return replace(state, improved=state.policy, changes=problem.n_states)
        found = improved(problem.rows, state.values, state.policy, 1e-12, self.tol)
        return self._improved(problem, 0, state, found)

    def step(self, problem: Any, state: DynamicProgrammingState) -> DynamicProgrammingState:
        """Evaluate the improved policy, and improve it."""
        if state.settled:
            return replace(state, k=state.k + 1)
        policy: np.ndarray = state.improved  # type: ignore[assignment]
        found = howard_step(problem.rows, policy, state.values, state.value_error, self.tol, self.forcing)
        return self._improved(problem, state.k + 1, state, found)

    def _improved(
        self, problem: Any, k: int, state: DynamicProgrammingState, found: Improved
    ) -> DynamicProgrammingState:
        return DynamicProgrammingState(
            k=k,
            values=found.values,
            policy=found.policy,
            value_error=found.error,
            changes=found.changes,
            oracle_calls=state.oracle_calls + found.products + max(found.solves, 1) * problem.n_actions,
            policy_evaluations=state.policy_evaluations + found.solves,
            improved=found.better,
            accuracy=found.accuracy,
            settled=not found.changes and found.accuracy <= max(self.tol, 1e-12),
            excess=found.excess,
            advantage_gap=found.gap,
        )

    def iterate(self, problem: Any, state: DynamicProgrammingState) -> Any:
        """Return the policy; the problem is told its values, which are known."""
        policy = super().iterate(problem, state)
        if state.policy_evaluations:
            accuracy = max(state.accuracy, 1e-12)
            problem.remember(policy, state.values, accuracy, residual=state.excess, advantage_gap=state.advantage_gap)
        return policy


@dataclass(frozen=True)
class ModifiedPolicyIteration(_DynamicProgramming):
    """Modified policy iteration: a backup over all actions, then sweeps of the greedy policy.

    The sweeps end early once the span of their residual is below `contraction` times that of the backup: more would
    polish values of a policy that is about to change.

    Parameters
    ----------
    sweeps : int, default 100
        Most sweeps per iteration.
    contraction : float, default 0.02
        In [0, 1).

    Notes
    -----
    The sweeps' constant is added in closed form, see (1) at the top of the module, which is why discounts close to one
    cost nothing extra on chains that mix.

    Examples
    --------
    >>> import optlab
    >>> from optlab.policy import garnet
    >>> run = optlab.solve(garnet(100, discount=0.999), ModifiedPolicyIteration(), tol={"value_error": 1e-9})
    >>> run.status.name, run.n_iter < 20
    ('CONVERGED', True)
    """

    sweeps: int = 100
    contraction: float = 0.02
    reference: ClassVar[str] = "puterman1978"

    def __post_init__(self) -> None:
        as_integer(self.sweeps, "sweeps", minimum=0)
        as_number(self.contraction, "contraction", minimum=0.0, below=1.0)

    def init(self, problem: Any, x0: Any, rng: Any) -> DynamicProgrammingState:
        """Start from the values of a policy, or from values."""
        return self._begin(problem, x0)

    def step(self, problem: Any, state: DynamicProgrammingState) -> DynamicProgrammingState:
        """One backup over all actions, then up to `sweeps` sweeps of the greedy policy."""
        gamma = problem.discount
        if len(problem.rows.ranges) == 1:
            moved = problem.rows.modified_step(state.values, self.sweeps, self.contraction)
            return self._moved(problem, state, *moved)
        values, policy, low, high = problem.rows.greedy_backup(state.values)
        factor = gamma / (1.0 - gamma)
        values += factor * 0.5 * (low + high)
        error = factor * 0.5 * (high - low)
        made = 0
        rounding = ROUNDING * float(np.abs(values).max())
        if self.sweeps and high - low > rounding:
            csr, right = problem.rows.chosen(policy)
            span = max(self.contraction * (high - low), rounding)
            values, made, less, more = sweep_until(
                csr, np.ones((right.size, 1)), right, values, gamma, self.sweeps, span
            )
            values = values + factor * 0.5 * (less + more)
            # |V* - values| <= |V* - V^pi| + |V^pi - values|, each from its own residual
            error = factor * (high - low) + factor * 0.5 * (more - less)
        return self._moved(problem, state, values, policy, error, made, high - low)

    def _moved(
        self,
        problem: Any,
        state: DynamicProgrammingState,
        values: np.ndarray,
        policy: np.ndarray,
        error: float,
        made: int,
        span: float,
    ) -> DynamicProgrammingState:
        # a residual each of the backup, from both sides, and of the sweeps
        rounding = problem.rows.rounding(values, state.values)
        error += rounding * (3.0 if made else 1.0) / (1.0 - problem.discount)
        changes = problem.n_states if state.policy.ndim == 2 else int(np.count_nonzero(policy != state.policy))
        return DynamicProgrammingState(
            state.k + 1,
            values,
            policy,
            error,
            changes,
            state.oracle_calls + problem.n_actions + made,
            state.policy_evaluations,
            residual=span,
            settled=not made and state.residual <= span <= 2.0 * rounding,
        )


@dataclass(frozen=True)
class ValueIteration(_DynamicProgramming):
    """Value iteration: ``V <- T V``, the plain contraction by the discount.

    Without the closed-form constant, on purpose: it is what the rate ``discount^k`` is about, and the yardstick of the
    others. The policy is the greedy one of the backup.

    Examples
    --------
    >>> import optlab
    >>> from optlab.policy import garnet
    >>> run = optlab.solve(garnet(20, discount=0.5), ValueIteration(), tol={"value_error": 1e-6})
    >>> run.status.name, run.n_iter < 25
    ('CONVERGED', True)
    """

    reference: ClassVar[str] = "puterman1994"

    def init(self, problem: Any, x0: Any, rng: Any) -> DynamicProgrammingState:
        """Start from the values of a policy, or from values."""
        return self._begin(problem, x0)

    def step(self, problem: Any, state: DynamicProgrammingState) -> DynamicProgrammingState:
        """One backup over all actions."""
        values, policy, low, high = problem.rows.greedy_backup(state.values)
        residual = max(abs(low), abs(high))
        rounding = problem.rows.rounding(values, state.values)
        error = (problem.discount * residual + rounding) / (1.0 - problem.discount)
        changes = problem.n_states if state.policy.ndim == 2 else int(np.count_nonzero(policy != state.policy))
        calls = state.oracle_calls + problem.n_actions
        return DynamicProgrammingState(
            state.k + 1,
            values,
            policy,
            error,
            changes,
            calls,
            state.policy_evaluations,
            residual=residual,
            settled=not residual,
        )
