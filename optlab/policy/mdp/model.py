"""Finite Markov decision processes in cost form, as problems for `optlab.solve`.

An MDP is states S, actions A, transitions ``P(s' | s, a)``, costs ``c(s, a)`` to be *minimised*, a discount below one
and a start law. Notation follows Xiao (2022), *On the convergence rates of policy gradient methods*, JMLR 23:

    V^pi = (I - discount P_pi)^-1 c_pi          Q^pi(s, a) = c(s, a) + discount P(. | s, a) V^pi
    V_rho(pi) = <rho, V^pi>                     d_rho^pi = (1 - discount) (I - discount P_pi')^-1 rho

Rewards are accepted and turned into costs in [0, 1], ``c = (r_max - r) / (r_max - r_min)``, which is what algorithms
work on; `MDP.to_reward_value` takes values back. What is measured is in the units of what was given. Iterates are
policies: anything with ``probabilities()``, or an (S, A) array. The file holds data, evaluation and quality measures;
algorithms are elsewhere in the package. Average-cost and undiscounted problems are not covered.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from optlab.core.validation import as_flag, as_float_array, as_number
from optlab.policy.mdp.evaluation import Evaluation, Evaluations, solve_evaluation, solve_values
from optlab.policy.mdp.gymnasium_tables import read_table
from optlab.policy.mdp.optimum import OptimalSolution, reference
from optlab.policy.mdp.passes import Csr, Rows, sweep_until
from optlab.policy.mdp.policies import TabularPolicy
from optlab.policy.mdp.space import PolicySpace, as_grid
from optlab.policy.mdp.transitions import read_available, read_transitions
from optlab.policy.ownership import freeze_csr, frozen

__all__ = ["MDP", "OptimalSolution"]

_KNOWN_OPTIMAL_LIMIT = 400_000  # pairs (s, a) up to which the optimum is computed without being asked for


class MDP(PolicySpace):
    """A finite discounted Markov decision process.

    Parameters
    ----------
    P : array_like (S, A, S), sparse matrix (S * A, S), or list of A matrices (S, S)
        Transition probabilities, copied. In the sparse form row ``s * A + a`` is the law of the next state. Rounding is
        allowed for: rows may miss one by 1e-6 (float32: 1e-5), entries lie below zero by 1e-9 (1e-6). Rows are then
        divided by their sums.
    cost : array_like, shape (S, A), optional
        Costs, to be minimised. Exactly one of `cost` and `reward` is given.
    discount : float, default 0.9
        In (0, 1).
    start : array_like, shape (S,), optional
        Law of the first state; default: uniform.
    reward : array_like, shape (S, A), optional
        Rewards, to be maximised. Methods work on costs in [0, 1] made of them: those are what `cost`, `evaluate` and
        `optimal` hold (see `to_reward_value`) and what step sizes, temperatures and start values refer to. All that is
        measured (`value`, `gap`, `value_error` and the like), and so every tolerance, is in the units of the reward.
    available : array_like of bool, shape (S, A), optional
        Which actions exist in which state; default: all. Rows of `P` and costs of other pairs are not read.
    known_optimal : bool, optional
        Whether `measure` reports the gap to the optimum, which has to be computed once (by policy iteration). Default:
        up to 400,000 state-action pairs.
    features : array_like, shape (S, A, d), optional
        Features of state and action that come with the problem.
    coordinates : array_like, shape (S, m), optional
        A physical state for each state.
    grid : tuple of int, optional
        Shape that a value function can be reshaped to.
    name : str, optional
        For plots and reports.

    Attributes
    ----------
    n_states, n_actions : int
    transitions : scipy.sparse.csr_matrix, shape (S * A, S)
    cost : ndarray, shape (S, A)
        Pairs that are not available carry the largest cost.
    discount : float
    start : ndarray, shape (S,)
    available : ndarray of bool, shape (S, A), or None
        None if every action exists everywhere.
    maximizes : bool
        Whether rewards were given.

    Raises
    ------
    TypeError, ValueError
        For wrong shapes, a row of `P` that does not sum to one (its state and action are named), a discount outside
        (0, 1), a start law that is none, or a state without actions.

    Examples
    --------
    >>> import numpy as np
    >>> stay, move = np.eye(2), np.eye(2)[::-1]
    >>> mdp = MDP([stay, move], cost=[[1.0, 1.0], [0.0, 0.0]], discount=0.5)
    >>> mdp.evaluate([[0.0, 1.0], [1.0, 0.0]]).values
    array([1., 0.])
    >>> mdp.optimal.policy
    array([1, 0])
    """

    def __init__(
        self,
        P: Any,
        cost: Any = None,
        discount: float = 0.9,
        start: Any = None,
        *,
        reward: Any = None,
        available: Any = None,
        known_optimal: bool | None = None,
        features: Any = None,
        coordinates: Any = None,
        grid: tuple[int, ...] | None = None,
        name: str = "MDP",
    ) -> None:
        self.discount = as_number(discount, "discount", above=0.0, below=1.0)
        self.transitions, self.n_states, self.n_actions, self.available = read_transitions(P, available)
        shape = (self.n_states, self.n_actions)
        if (cost is None) == (reward is None):
            raise ValueError(f"give exactly one of cost and reward, got {'both' if cost is not None else 'neither'}")
        self.maximizes = reward is not None
        self._reward = (0.0, 1.0)  # reward = offset - scale * cost
        if cost is not None:
            self.cost = self._on_available(cost, "cost")
        else:
            r = self._on_available(reward, "reward", highest=False)
            with np.errstate(over="ignore", invalid="ignore"):
                self._reward = (float(r.max()), float(r.max() - r.min()) or 1.0)
                self.cost = (self._reward[0] - r) / self._reward[1]
        largest = max(*map(abs, self._reward), float(np.abs(self.cost).max())) if self.cost.size else 0.0
        if not largest < np.finfo(np.float64).max * (1.0 - self.discount) / 4:
            name = "cost" if reward is None else "reward"
            raise ValueError(
                f"{name} must be such that values, up to {largest:.3g} / (1 - discount), are floating-point numbers; "
                "divide it by its largest entry"
            )
        self.cost.setflags(write=False)
        self.start = self._distribution(start, "start")
        self.start.setflags(write=False)
        if known_optimal is None:
            known_optimal = self.n_states * self.n_actions <= _KNOWN_OPTIMAL_LIMIT
        self.known_optimal = as_flag(known_optimal, "known_optimal")
        self.primary_metric = "gap" if self.known_optimal else "advantage_gap"
        S, A = shape
        self.features = None if features is None else frozen(as_float_array(features, "features", shape=(S, A, None)))
        self.coordinates = coordinates
        if coordinates is not None:
            self.coordinates = frozen(as_float_array(coordinates, "coordinates", shape=(S, None)))
        self.grid = None if grid is None else as_grid(grid, S)
        self.name = str(name)
        self._evaluations = Evaluations()

    @classmethod
    def from_gymnasium(cls, env: Any, discount: float = 0.99, start: Any = None, **options: Any) -> MDP:
        """Return the MDP of a gymnasium environment that has a transition table ``P`` (the toy-text ones).

        Transitions flagged as the end of an episode lead to one extra absorbing state, the last, without reward from
        then on. A table's several entries for one state and action are added up, rewards in expectation.

        Parameters
        ----------
        env : gymnasium.Env, str or mapping
            ``env.unwrapped.P[s][a]`` must be a list of ``(probability, next state, reward, terminated)``; or a task's
            name; or that table itself. An action that a state does not list is not available there.
        discount : float, default 0.99
        start : array_like, shape (S,) or (S - 1,), optional
            Default: the environment's ``initial_state_distrib`` if it has one, otherwise uniform.
        **options
            Further arguments of `MDP`.

        Raises
        ------
        TypeError
            If there is no table.
        ValueError
            Naming the state and the action where an entry is wrong or probabilities do not sum to one; or because the
            table is not the task's model (Taxi with a fickle passenger, wrappers that change rewards or actions).

        Examples
        --------
        >>> table = {0: {0: [(1.0, 1, 0.0, False)]}, 1: {0: [(1.0, 1, 0.0, False)], 1: [(1.0, 0, 5.0, True)]}}
        >>> MDP.from_gymnasium(table, discount=0.5).available.tolist()
        [[True, False], [True, True], [True, True]]
        """
        table = read_table(env)
        n = table.reward.shape[0]
        start = table.start if start is None else start
        if start is not None and np.shape(start) == (n - 1,):
            start = np.append(as_float_array(start, "start"), 0.0)
        mask = options.pop("available", None)
        if mask is not None:
            mask = np.asarray(mask)
            if mask.shape == (n - 1, table.reward.shape[1]):
                mask = np.vstack([mask, np.ones_like(mask[:1])])
            mask = read_available(mask, *table.reward.shape)
        available = table.available if mask is None else table.available & mask
        options.setdefault("name", table.name)
        return cls(table.P, discount=discount, start=start, reward=table.reward, available=available, **options)

    # ------------------------------------------------------------------ evaluation

    def transition_matrix(self, policy: Any) -> sp.csr_matrix:
        """Return ``P_pi``, shape (S, S): sorted, without duplicates, with memory of its own."""
        matrix = self._transition_matrix(self.probabilities_of(policy))
        matrix.indices = matrix.indices.copy()
        matrix.sum_duplicates()
        return matrix

    def _transition_matrix(self, table: np.ndarray) -> sp.csr_matrix:
        P = self.transitions
        matrix = sp.csr_matrix((self.n_states, self.n_states))
        # row s of P_pi is the rows s * A, ..., s * A + A - 1 of P side by side: the column indices are shared, and may
        # be there more than once in a row, which products do not mind
        matrix.data = np.repeat(table.ravel(), np.diff(P.indptr)) * P.data
        matrix.indices, matrix.indptr = P.indices, np.ascontiguousarray(P.indptr[:: self.n_actions])
        return matrix

    def policy_cost(self, policy: Any) -> np.ndarray:
        """Return ``c_pi(s) = sum_a pi(a | s) c(s, a)``, shape (S,)."""
        return self.rows.mixed_cost(self.probabilities_of(policy))

    def evaluate(self, policy: Any, *, guess: Any = None, tol: float = 1e-12) -> Evaluation:
        """Return values and action values of a policy.

        Policy objects are remembered while they live: measuring one that a method has just evaluated costs nothing.

        Parameters
        ----------
        policy : policy object, array_like (S, A), or integer array (S,)
        guess : array_like, shape (S,), optional
            Start of the iterative solver, such as the values of an earlier policy.
        tol : float, default 1e-12
            Bound on ``|V - V^pi|_inf`` relative to ``|V|_inf``; below 100 states the solver is direct.

        Returns
        -------
        Evaluation
            With ``values`` (S,), ``action_values`` (S, A) and ``iterations``.
        """
        tol = as_number(tol, "tol", above=0.0)
        known = self._evaluations.of(policy)
        if known is not None:
            accuracy, evaluation = known
            if accuracy <= tol:
                if np.isnan(evaluation.residual):  # as a method left it
                    residual = self._residual(*self._system(policy), evaluation.values)
                    evaluation = replace(evaluation, residual=residual)
                    self._evaluations.keep(policy, accuracy, evaluation)
                return evaluation
            if guess is None:
                guess = evaluation.values  # known, but not as accurately
        if guess is not None:
            guess = as_float_array(guess, "guess", shape=(self.n_states,)).astype(np.float64, copy=False)
        csr, weights, right = self._system(policy)
        values, iterations = solve_values(csr, weights, right, self.discount, guess=guess, tol=tol)
        values.setflags(write=False)
        evaluation = Evaluation(values, iterations, self, self._residual(csr, weights, right, values))
        if hasattr(policy, "probabilities"):  # an array could be changed afterwards, a policy object is immutable
            self._evaluations.keep(policy, tol, evaluation)
        return evaluation

    def _system(self, policy: Any) -> tuple[Csr, np.ndarray, np.ndarray]:
        """Return rows, weights and costs of the equation ``V = c_pi + discount P_pi V``."""
        if isinstance(policy, np.ndarray) and policy.ndim == 1:
            csr, right = self.rows.chosen(self.checked_actions(policy))
            return csr, np.ones((self.n_states, 1)), right
        weights = self.probabilities_of(policy)
        return self.rows.csr, weights, self.rows.mixed_cost(weights)

    def _residual(self, csr: Csr, weights: np.ndarray, right: np.ndarray, values: np.ndarray) -> float:
        high = sweep_until(csr, weights, right, values, self.discount, 1, np.inf)[3]
        return high + self.rows.rounding(values, mixed=weights.shape[1] > 1)

    def remember(
        self,
        policy: Any,
        values: np.ndarray,
        tol: float = 1e-12,
        *,
        residual: float = np.nan,
        advantage_gap: float = np.nan,
    ) -> None:
        """Keep what a method has computed about a policy object as if `evaluate` had, while the object lives."""
        values.setflags(write=False)
        evaluation = Evaluation(values, 0, self, residual)
        if not np.isnan(advantage_gap):
            evaluation.__dict__["advantage_gap"] = float(advantage_gap)
        self._evaluations.keep(policy, tol, evaluation)

    def action_values(self, values: np.ndarray) -> np.ndarray:
        """Return ``c(s, a) + discount P(. | s, a) values``, shape (S, A).

        Pairs that are not available get a finite value above every attainable one: no minimum picks them.
        """
        Q = self.rows.action_values(self._values(values))
        if self.available is not None:
            top = max(float(self.cost.max()) / (1.0 - self.discount), float(Q[self.available].max()))
            Q[~self.available] = top + max(1.0, abs(top))
        return Q

    def backup(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ``min_a Q(s, a)`` and the first minimising action, for ``Q = c + discount P values``."""
        return self.rows.greedy_backup(self._values(values))[:2]

    def _values(self, values: Any) -> np.ndarray:
        array = as_float_array(values, "values", shape=(self.n_states,))
        return np.ascontiguousarray(array, dtype=np.float64)

    @cached_property
    def rows(self) -> Rows:
        """The compiled passes over the transitions; see `optlab.policy.mdp.passes`."""
        cost = self.cost if self.available is None else np.where(self.available, self.cost, np.inf)
        return Rows(self.transitions, cost, self.discount)

    def visitation(self, policy: Any, start: Any = None) -> np.ndarray:
        """Return the normalised discounted state visitation ``d_rho^pi``, shape (S,), which sums to one.

        Parameters
        ----------
        policy : policy object or array_like (S, A)
        start : array_like, shape (S,), optional
            Start law in place of the MDP's own.
        """
        rho = self.start if start is None else self._distribution(start, "start")
        return self.visitation_of(self.probabilities_of(policy), rho)

    def visitation_of(self, table: np.ndarray, rho: np.ndarray | None = None) -> np.ndarray:
        """Return `visitation` of a table of probabilities that is known to be one, from the start law `rho`."""
        floor = (1.0 - self.discount) * (self.start if rho is None else rho)
        law, _ = solve_evaluation(self._transition_matrix(table), floor, self.discount, transpose=True)
        law = np.maximum(law, floor)
        return law / law.sum()

    # ------------------------------------------------------------------ the optimum

    @cached_property
    def optimal(self) -> OptimalSolution:
        """An optimal policy with its values, by policy iteration; computed on first access."""
        return reference(self)

    # ------------------------------------------------------------------ the problem protocol

    def default_start(self, rng: np.random.Generator) -> Any:
        """Return the uniform policy over the available actions."""
        return TabularPolicy.of(self.uniform_log_probabilities())

    def measure(self, policy: Any) -> dict[str, float]:
        """Return the metrics of a policy, in the units of the costs or rewards that were given.

        Returns
        -------
        dict of str to float
            ``value``: ``V_rho``, the expected discounted cost or, where rewards were given, reward; ``gap``: by how
            much the optimum is better (if it is known; as accurate as `evaluate`); ``advantage_gap``: the largest
            ``(V(s) - min_a Q(s, a)) / (1 - discount)``, a bound on ``|V - V*|_inf`` that needs no optimum and holds in
            spite of rounding.
        """
        evaluation = self.evaluate(policy)
        value = float(self.start @ evaluation.values)
        metrics = {"value": float(self.to_reward_value(value)) if self.maximizes else value}
        if self.known_optimal:
            # averaging the differences keeps digits that the difference of averages would lose
            metrics["gap"] = self.unit * max(float(self.start @ (evaluation.values - self.optimal.values)), 0.0)
        metrics["advantage_gap"] = self.unit * evaluation.advantage_gap
        return metrics

    # ------------------------------------------------------------------ reward form, support

    def to_reward_value(self, values: Any) -> Any:
        """Return values in the reward form that `reward` was given in (with `cost` given: their negatives).

        Examples
        --------
        >>> import numpy as np
        >>> mdp = MDP(np.ones((1, 2, 1)), reward=[[5.0, 3.0]], discount=0.5)
        >>> float(mdp.to_reward_value(mdp.optimal.values)[0])
        10.0
        """
        offset, scale = self._reward
        return offset / (1.0 - self.discount) - scale * as_float_array(values, "values", finite=False, allow_empty=True)

    @property
    def unit(self) -> float:
        """What a cost of one is in the units that `measure` reports: the rewards' range, or 1 if costs were given."""
        return self._reward[1] if self.maximizes else 1.0

    def in_cost_form(self) -> MDP:
        """Return the same problem given by its costs: `measure` reports them, as theorems on costs in [0, 1] mean it.

        Examples
        --------
        >>> import numpy as np
        >>> mdp = MDP(np.ones((1, 2, 1)), reward=[[5.0, 3.0]], discount=0.5)
        >>> mdp.measure([1])["gap"], mdp.in_cost_form().measure([1])["gap"]
        (4.0, 2.0)
        """
        other = copy.copy(self)
        other.maximizes, other._evaluations = False, Evaluations()
        return other

    def hint(self, method: Any, state: Any, metrics: dict[str, float]) -> str | None:
        """Return what the numbers of a run that has not converged mean, where rewards were given."""
        if not self.maximizes:
            return None
        return "value is the expected discounted reward, which is maximised; gaps and errors are in the reward's units"

    @cached_property
    def unreachable_states(self) -> np.ndarray:
        """States that no policy reaches from the start law, ascending."""
        n = self.n_states
        P = self.transitions
        roots = np.flatnonzero(self.start)
        graph = sp.csr_matrix(
            (
                np.ones(P.nnz + roots.size, dtype=np.int8),
                np.concatenate([P.indices, roots.astype(P.indices.dtype)]),
                np.concatenate([P.indptr[:: self.n_actions], [P.nnz + roots.size]]),
            ),
            shape=(n + 1, n + 1),
        )
        found = sp.csgraph.breadth_first_order(graph, n, return_predecessors=False)
        reached = np.zeros(n + 1, dtype=bool)
        reached[found] = True
        return frozen(np.flatnonzero(~reached))

    def require_full_support(self, law: Any = None, *, name: str = "start") -> None:
        """Raise unless a state law is positive everywhere, which mismatch coefficients and their theorems need.

        Parameters
        ----------
        law : array_like, shape (S,), optional
            Default: the start law.
        name : str, default "start"
            What to call it in the message.
        """
        law = self.start if law is None else self._distribution(law, name)
        empty = np.flatnonzero(law <= 0)
        if empty.size:
            unreachable = self.unreachable_states
            extra = (
                f"; {unreachable.size} state(s) cannot be reached at all, such as {unreachable[0]}"
                if unreachable.size
                else ""
            )
            raise ValueError(
                f"{name} must give every state positive probability here (mismatch coefficients divide by it): state "
                f"{empty[0]} has none ({empty.size} of {self.n_states} states){extra}"
            )

    def __getstate__(self) -> dict[str, Any]:
        # weak references cannot be pickled
        return self.__dict__ | {"_evaluations": Evaluations()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for array in (self.cost, self.start, self.available, self.features, self.coordinates):
            if array is not None:  # a pickle does not keep that they are read-only
                array.setflags(write=False)
        freeze_csr(self.transitions)

    def __repr__(self) -> str:
        sense = ", reward (maximised)" if self.maximizes else ""
        return f"<{self.name}: {self.n_states} states, {self.n_actions} actions, discount {self.discount:g}{sense}>"


def against_mdp(problem: Any) -> str | None:
    """Return why `problem` is no finite Markov decision process, None if it is one. For the `accepts` of methods."""
    return None if isinstance(problem, MDP) else f"needs an optlab.policy.MDP, got {type(problem).__name__}"
