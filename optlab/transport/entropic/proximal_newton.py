"""Newton's method for unregularised transport: entropic proximal steps on absorbed potentials, a second stage.

The entropic proximal point method (the exponential multiplier method on the dual) iterates

    X_{t+1} = argmin <C, X> + KL(X, X_t) / gamma_t    over  X 1 = a, X^T 1 = b.

From a plan ``log X_t = F_i + G_j - kappa C_ij`` - that is, from any iterate of a Bregman splitting - it keeps that
form, ``kappa`` growing by ``gamma_t``, and each step is one smooth concave maximisation in the potentials, here by
the sparse Newton steps of `optlab.transport.entropic.newton`. Proximal steps with a sparse Newton method inside are
PINS (Wu, Liang and Yang 2025, arXiv 2502.03749). What makes it a second stage that ends at rounding:

* **Absorbed potentials.** All passes run on ``C_ij - phi_i - psi_j`` with (phi, psi) close to dual solutions, first
  those of the start. Then F and G are logarithms of a plan, of size 10 and not ``kappa``, so that no digits are lost
  at inverse temperatures of 1e7 / range and more. The plans are those of C (gauge invariance).
* **Prediction.** The multipliers of a proximal step are ``(phi + (F' - F) / gamma_t, psi + (G' - G) / gamma_t)``: a
  dual candidate without the O(1 / kappa) bias of potentials over kappa, since
  ``f_i + g_j - C_ij = log(X_{t+1} / X_t)_ij / gamma_t``. They are absorbed before the next step, so that the plan,
  kept as it is in the new gauge, changes at the next temperature only off the optimal support: few Newton steps
  are needed although ``gamma_t = (cooling - 1) kappa``.
* **Accuracy in step.** A proximal step ends at a marginal error of ``0.1 / (kappa range)`` relative to the mass, as
  small as the error that the temperature leaves, and never above `stage_error`.

What is shown is the plan of the last finished step, rounded and certified for the linear problem. How fast the gap
falls from one step to the next depends on the smallest reduced costs: once ``kappa`` times those is large, at once to
rounding; no rate is proved here. The theory of inexact proximal steps is that of Rockafellar (1976) and Teboulle
(1992): convergence for errors that can be summed, whatever the start.

Not here: problems with a regularization (`SinkhornNewton`), and an exact vertex solution (`ExactTransport`).
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.core import DomainError, Method, State
from optlab.core.validation import as_integer, as_number, one_of
from optlab.transport.balanced.plan import TransportPlan
from optlab.transport.balanced.problem import OptimalTransport
from optlab.transport.costs.base import Cost
from optlab.transport.costs.dense import DenseCost, GaugedCost
from optlab.transport.costs.point_cloud import PointCloudCost
from optlab.transport.entropic.newton import column_sums, newton_step
from optlab.transport.entropic.sinkhorn import against_transport, start_at
from optlab.transport.plans.potentials import MirrorPlan

# largest inverse temperature times range of the cost: beyond, C - phi - psi is rounding; without absorption, F + G is
_COLDEST, _COLDEST_PLAIN = 1e10, 1e7
_ENTRIES = 25_000_000  # of a point cloud whose matrix is made, once a step: 200 MB
_DIGITS = 1e4  # up to here plans in absolute potentials are as good


def can_absorb(cost: Cost) -> bool:
    """Whether potentials are subtracted from the entries themselves: of dense costs, and of small point clouds."""
    if cost.has_forbidden:
        return False
    return isinstance(cost, DenseCost) or (isinstance(cost, PointCloudCost) and math.prod(cost.shape) <= _ENTRIES)


class AbsorbedCost:
    """The passes of a cost with potentials absorbed: on the fly if it is dense, otherwise by shifts."""

    def __init__(self, cost: Cost, phi: np.ndarray, psi: np.ndarray):
        self.cost, self.phi, self.psi = cost, phi, psi
        if can_absorb(cost):
            dense = cost.in_double() if isinstance(cost, DenseCost) else DenseCost(cost.dense())
            self.cost, self.phi, self.psi = GaugedCost(dense, phi, psi), np.zeros_like(phi), np.zeros_like(psi)

    def logsumexp_rows(self, column: np.ndarray, kappa: float) -> np.ndarray:
        """Return ``log sum_j exp(column_j - kappa (C - phi - psi)_ij)``."""
        return self.cost.logsumexp_rows(column + kappa * self.psi, kappa) + kappa * self.phi

    def logsumexp_columns(self, row: np.ndarray, kappa: float) -> np.ndarray:
        """Return ``log sum_i exp(row_i - kappa (C - phi - psi)_ij)``."""
        return self.cost.logsumexp_columns(row + kappa * self.phi, kappa) + kappa * self.psi

    def plan_dense(self, row: np.ndarray, column: np.ndarray, kappa: float) -> np.ndarray:
        """Return the plan as an array."""
        return self.cost.plan_dense(row + kappa * self.phi, column + kappa * self.psi, kappa)

    def plan_sparse(self, row: np.ndarray, column: np.ndarray, kappa: float, threshold: float) -> Any:
        """Return the plan's entries above `threshold` as a CSR array."""
        return self.cost.plan_sparse(row + kappa * self.phi, column + kappa * self.psi, kappa, threshold)


@dataclass
class FinishedStep:
    """A plan ``exp(row_i + column_j - kappa (C_ij - phi_i - psi_j))`` and dual candidates."""

    row: np.ndarray
    column: np.ndarray
    phi: np.ndarray
    psi: np.ndarray
    inverse_temperature: float
    f: np.ndarray
    g: np.ndarray


@dataclass
class ProximalNewtonState(State):
    """State after k iterations, each a Newton step (or a sweep).

    Parameters
    ----------
    row, column : ndarray, shapes (n,) and (m,)
        Potentials in the gauge; the row sums are exact once k > 0.
    phi, psi : ndarray, shapes (n,) and (m,)
        The absorbed potentials.
    inverse_temperature : float
        kappa.
    origin_row, origin_column : ndarray or None
        Potentials, in the same gauge, of the plan from which the proximal step under way began.
    step_size : float
        gamma of that step; 0 before the first.
    finished : FinishedStep
        The last one; the start at k = 0.
    steps : int
        Proximal steps finished.
    error : float
        Relative L1 error of the column sums, as last seen.
    kept, solver_iterations, step_length, ridge
        As in `optlab.transport.entropic.newton.NewtonState`.
    """

    row: np.ndarray
    column: np.ndarray
    phi: np.ndarray
    psi: np.ndarray
    inverse_temperature: float
    finished: FinishedStep
    origin_row: np.ndarray | None = None
    origin_column: np.ndarray | None = None
    step_size: float = 0.0
    steps: int = 0
    error: float = math.inf
    kept: int = 0
    solver_iterations: int = 0
    step_length: float = 0.0
    ridge: float = 1e-3


@dataclass(frozen=True)
class ProximalNewton(Method):
    """Entropic proximal steps by sparse Newton iterations, for transport without regularization.

    Started from the result of a first-order method it is a second stage: it takes over potentials, inverse
    temperature and certificate. It also starts cold.

    Parameters
    ----------
    cooling : float above 1, default 3
        Factor of the inverse temperature from one proximal step to the next.
    stage_error : float, default 0.01
        Relative marginal error at which a proximal step ends, at most; see the module's text.
    sweeps : int, default 4
        Sinkhorn sweeps before the first Newton step of a cold start.
    linear_solver : {"cg", "cholesky"}
        As in `SinkhornNewton`.

    Raises
    ------
    TypeError
        On a problem with a regularization, for which there is `SinkhornNewton`.

    Notes
    -----
    Seen on the five families of `optlab.datasets.transport_family`: from gaps of 1e-3 to 1e-9 in 10 to 41 steps at
    n = 100 and 22 to 67 at n = 500; from cold starts 32 to 77 and 49 to 88, and 90 to 120 on three of them at n = 1000.
    Ties, very uneven marginals (98 steps at n = 200) and costs in float32 were no obstacle. It falls short in three
    ways. On CPUs the network simplex is faster, by factors of 2 to 30 at n = 1000. Temperature steps that are too large
    cost more than they save (cooling 30 three times the steps, 100 nine times). And costs with forbidden pairs, sparse
    ones and large point clouds cannot absorb potentials: with them kappa ends at 1e7 / range, the gap at about 1e-9.

    Of a start without potentials (an array, a solver's matrix) the dual potentials are taken over, not the plan.

    Memory: the entries of the plan that matter, all n m of them at a high temperature.

    Examples
    --------
    >>> import optlab
    >>> from optlab.datasets import transport_family
    >>> from optlab.splitting import BregmanDouglasRachford
    >>> from optlab.transport import OptimalTransport, ProximalNewton
    >>> problem = OptimalTransport(*transport_family("l2", 60))
    >>> first = optlab.solve(problem, BregmanDouglasRachford(), tol=1e-2)
    >>> second = optlab.solve(problem, ProximalNewton(), x0=first, tol=1e-9)
    >>> second.success, second.n_iter <= 100
    (True, True)
    """

    cooling: float = 3.0
    stage_error: float = 0.01
    sweeps: int = 4
    linear_solver: str = "cg"
    reference: ClassVar[str] = "wu2025pins"

    def __post_init__(self) -> None:
        object.__setattr__(self, "cooling", as_number(self.cooling, "cooling", above=1.0))
        object.__setattr__(self, "stage_error", as_number(self.stage_error, "stage_error", above=0.0))
        object.__setattr__(self, "sweeps", as_integer(self.sweeps, "sweeps", minimum=1))
        one_of(self.linear_solver, "linear_solver", ("cg", "cholesky"))

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against regularised problems."""
        return against_transport(problem, regularized=False)

    def init(self, problem: OptimalTransport, x0: Any, rng: Any) -> ProximalNewtonState:
        """Return the state at iteration 0: the potentials of `x0`, its best dual potentials absorbed."""
        mirror = problem.initial_mirror(x0)
        kappa, warmest = mirror.inverse_temperature, 20.0 / problem.cost_range
        if not kappa > 0.0:
            kappa, mirror = warmest, start_at(problem, MirrorPlan.zeros(*mirror.shape), warmest)
        coldest = self._coldest(problem)
        if kappa > coldest:
            kappa, mirror = coldest, (coldest / kappa) * mirror
        if isinstance(x0, TransportPlan):
            f, g = (p[index] for p, index in zip(x0.potentials, (problem.rows, problem.columns)))
        else:
            f, g = mirror.row / kappa, mirror.column / kappa
        row, column = mirror.row - kappa * f, mirror.column - kappa * g
        return ProximalNewtonState(0, row, column, f, g, kappa, FinishedStep(row, column, f, g, kappa, f, g))

    @staticmethod
    def _coldest(problem: OptimalTransport) -> float:
        cost = problem.active_cost
        return (_COLDEST if can_absorb(cost) else _COLDEST_PLAIN) / problem.cost_range

    def step(self, problem: OptimalTransport, state: ProximalNewtonState) -> ProximalNewtonState:
        """Return the state after one Newton step, or one sweep; a finished proximal step is left for the next one."""
        a, b = problem.active_a, problem.active_b
        cost = AbsorbedCost(problem.active_cost, state.phi, state.psi)
        if state.k == 0 or (state.steps == 0 and state.k < self.sweeps and state.error > 0.5):
            return self._sweep(problem, state, cost)
        sums = column_sums(cost, state.row, state.column, state.inverse_temperature)
        error = float(np.abs(b - sums).sum()) / problem.mass
        state = dataclasses.replace(state, error=error)
        if error <= min(self.stage_error, 0.1 / (state.inverse_temperature * problem.cost_range)):
            state = self._next_step(problem, state)
            cost = AbsorbedCost(problem.active_cost, state.phi, state.psi)
            sums = column_sums(cost, state.row, state.column, state.inverse_temperature)
        kappa = state.inverse_temperature
        done = newton_step(cost, a, b, state.row, state.column, kappa, sums, state.ridge, self.linear_solver)
        return self._checked(
            dataclasses.replace(
                state,
                k=state.k + 1,
                row=done.row,
                column=done.column,
                kept=done.kept,
                solver_iterations=state.solver_iterations + done.solver_iterations,
                step_length=done.length,
                ridge=done.ridge,
            )
        )

    def _sweep(self, problem: OptimalTransport, state: ProximalNewtonState, cost: AbsorbedCost) -> ProximalNewtonState:
        kappa = state.inverse_temperature
        column = problem.log_b - cost.logsumexp_columns(state.row, kappa)
        row = problem.log_a - cost.logsumexp_rows(column, kappa)
        change = np.expm1(np.clip(column - state.column, -50.0, 50.0))
        error = float(problem.active_b @ np.abs(change)) / problem.mass
        return self._checked(dataclasses.replace(state, k=state.k + 1, row=row, column=column, error=error))

    @staticmethod
    def _checked(state: ProximalNewtonState) -> ProximalNewtonState:
        shift = float(state.row.mean())
        if not math.isfinite(shift + float(state.column.sum())):
            raise DomainError("the potentials are no longer finite; use a smaller cooling factor")
        state.row, state.column = state.row - shift, state.column + shift
        return state

    def _next_step(self, problem: OptimalTransport, state: ProximalNewtonState) -> ProximalNewtonState:
        """Return the state at which the next proximal step begins: multipliers absorbed, temperature lowered."""
        kappa, row, column = state.inverse_temperature, state.row, state.column
        if state.origin_row is None or state.origin_column is None:
            predicted_row, predicted_column = np.zeros_like(row), np.zeros_like(column)
            f, g = state.phi + row / kappa, state.psi  # no multipliers yet: the biased candidate, and the start's
        else:
            predicted_row = (row - state.origin_row) / state.step_size
            predicted_column = (column - state.origin_column) / state.step_size
            f, g = state.phi + predicted_row, state.psi + predicted_column
        finished = FinishedStep(row, column, state.phi, state.psi, kappa, f, g)
        following = min(self.cooling * kappa, self._coldest(problem))
        if following <= kappa:  # nothing colder to go to: Newton's method goes on polishing this step
            return dataclasses.replace(state, finished=finished)
        phi, psi = state.phi + predicted_row, state.psi + predicted_column
        # the same plan in the new gauge
        row, column = row - kappa * predicted_row, column - kappa * predicted_column
        cost = AbsorbedCost(problem.active_cost, phi, psi)
        return dataclasses.replace(
            state,
            row=problem.log_a - cost.logsumexp_rows(column, following),
            column=column,
            phi=phi,
            psi=psi,
            inverse_temperature=following,
            origin_row=row,
            origin_column=column,
            step_size=following - kappa,
            finished=finished,
            steps=state.steps + 1,
            ridge=max(state.ridge, 1e-6),
        )

    def iterate(self, problem: OptimalTransport, state: ProximalNewtonState) -> TransportPlan:
        """Return the plan of the last finished proximal step, with its multipliers as dual candidates."""
        done = state.finished
        kappa = done.inverse_temperature
        if kappa * problem.cost_range <= _DIGITS:
            mirror = MirrorPlan(done.row + kappa * done.phi, done.column + kappa * done.psi, kappa)
            return TransportPlan(problem, mirror, row_candidates=[done.f], column_candidates=[done.g])
        n, m = problem.active_cost.shape
        cost = AbsorbedCost(problem.active_cost, done.phi, done.psi)
        inside = cost.plan_sparse(done.row, done.column, kappa, 1e-14 * problem.mass / (n * m))
        if problem.has_zeros:
            from scipy.sparse import coo_array

            inside = inside.tocoo()
            places = (problem.rows[inside.row], problem.columns[inside.col])
            inside = coo_array((inside.data, places), shape=problem.shape).tocsr()
        return TransportPlan(problem, array=inside, row_candidates=[done.f], column_candidates=[done.g])

    def measure(self, problem: OptimalTransport, state: ProximalNewtonState) -> dict[str, float]:
        """Return the inverse temperature shown, ``proximal_steps``, and ``kept_entries``, ``solver_iterations``,
        ``step_length`` of the Newton steps.
        """
        return {
            "inverse_temperature": state.finished.inverse_temperature,
            "proximal_steps": float(state.steps),
            "kept_entries": float(state.kept),
            "solver_iterations": float(state.solver_iterations),
            "step_length": state.step_length,
        }
