"""Sinkhorn-Newton-Sparse: Newton's method on the entropic dual with a sparsified Hessian, after scaling sweeps.

Tang, Shavlovsky, Rahmanian, Tardini, Thekumparampil, Xiao and Ying (ICLR 2024, arXiv 2401.12253). The dual of entropic
transport has the Hessian ``-[[diag(X 1), X], [X^T, diag(X^T 1)]] / eps``, and near the optimum X is close to a sparse
plan. As here:

* The row potential is maximised out, so that Newton's method runs on ``G`` alone, with the matrix
  ``S = diag(X^T 1) - X^T diag(1 / a) X``; it keeps exact row sums, and the dual rises with every accepted step.
* Entries of X below a threshold are left out of ``X^T diag(1 / a) X`` but not out of the diagonal: S stays positive
  semidefinite. The threshold falls with the marginal error, so that what is dropped never limits the accuracy.
* ``S d = b - X^T 1`` is solved by conjugate gradients with Jacobi's preconditioner, to a tolerance that falls with the
  error too (inexact Newton), or by a dense Cholesky factorisation.
* Newton's method started at a small regularization stalls: the plan is nearly disconnected, S nearly singular. So the
  temperature falls in stages (which the paper leaves to the caller); each begins with a few sweeps of Sinkhorn's
  iteration and ends once Newton's method has brought the error to some percent. A ridge, adapted as in
  Levenberg and Marquardt's method, and a bound on the first trial step do the rest.

The paper reports super-exponential convergence of the Newton stage, which it does not prove; nor do we. Not here:
problems without regularization; `optlab.transport.entropic.proximal_newton` goes on to them with the same step.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from optlab.core import DomainError, Method, State
from optlab.core.validation import as_integer, as_number, one_of
from optlab.linalg import conjugate_gradients
from optlab.transport.balanced.problem import OptimalTransport
from optlab.transport.entropic.sinkhorn import against_transport, start_at
from optlab.transport.plans.potentials import MirrorPlan


@dataclass
class NewtonState(State):
    """State after k iterations, each a sweep or a Newton step.

    Parameters
    ----------
    mirror : MirrorPlan
        Potentials; the row sums are exact once k > 0.
    newton : bool
        Whether the next iteration is a Newton step.
    settled : int
        Sweeps done at the current temperature.
    error : float
        Relative L1 error of the column sums, as last seen.
    kept : int
        Entries of the plan in the last Hessian.
    solver_iterations : int
        Conjugate gradient iterations so far.
    step_length : float
        Of the last Newton step; 0 where a sweep took its place.
    ridge : float
        Relative to the target column sums.
    """

    mirror: MirrorPlan
    newton: bool = False
    settled: int = 0
    error: float = math.inf
    kept: int = 0
    solver_iterations: int = 0
    step_length: float = 0.0
    ridge: float = 1e-3


@dataclass(frozen=True)
class SinkhornNewton(Method):
    """Sinkhorn-Newton-Sparse for entropic optimal transport.

    Parameters
    ----------
    sweeps : int, default 4
        Sinkhorn sweeps at each temperature before Newton's method begins.
    stage_error : float, default 0.05
        Relative marginal error at which a temperature is left for the next.
    cooling : float above 1, default 3
        Factor of the inverse temperature from one stage to the next, from 20 / range of the cost on.
    linear_solver : {"cg", "cholesky"}
        How a Newton step is computed: conjugate gradients on the sparse plan, or a dense factorisation (m x m memory).

    Examples
    --------
    >>> import optlab
    >>> from optlab.datasets import transport_family
    >>> from optlab.transport import OptimalTransport, Sinkhorn, SinkhornNewton
    >>> problem = OptimalTransport(*transport_family("l2", 40), regularization=0.003)
    >>> newton = optlab.solve(problem, SinkhornNewton(), tol=1e-9)
    >>> plain = optlab.solve(problem, Sinkhorn(), tol=1e-9, max_iter=20_000)
    >>> newton.success, newton.n_iter < plain.n_iter / 20
    (True, True)
    """

    sweeps: int = 4
    stage_error: float = 0.05
    cooling: float = 3.0
    linear_solver: str = "cg"
    reference: ClassVar[str] = "tang2024accelerating"

    def __post_init__(self) -> None:
        object.__setattr__(self, "sweeps", as_integer(self.sweeps, "sweeps", minimum=1))
        object.__setattr__(self, "stage_error", as_number(self.stage_error, "stage_error", above=0.0))
        object.__setattr__(self, "cooling", as_number(self.cooling, "cooling", above=1.0))
        one_of(self.linear_solver, "linear_solver", ("cg", "cholesky"))

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against problems without regularization."""
        return against_transport(problem, regularized=True)

    def init(self, problem: OptimalTransport, x0: Any, rng: Any) -> NewtonState:
        """Return the state at iteration 0; a start other than the default one is taken to the final temperature."""
        final = 1.0 / problem.regularization
        mirror = start_at(problem, x0, final)
        if not np.any(mirror.row):
            n, m = mirror.shape
            mirror = start_at(problem, MirrorPlan.zeros(n, m), min(final, 20.0 / problem.cost_range))
        return NewtonState(0, mirror)

    def step(self, problem: OptimalTransport, state: NewtonState) -> NewtonState:
        """Return the state after one sweep or one Newton step."""
        answer = self._newton_step(problem, state) if state.newton else self._sweep(problem, state)
        if not math.isfinite(float(answer.mirror.row.sum() + answer.mirror.column.sum())):
            raise DomainError("the potentials are no longer finite; use a larger regularization")
        return answer

    def _sweep(self, problem: OptimalTransport, state: NewtonState) -> NewtonState:
        kappa = state.mirror.inverse_temperature
        column = problem.scale_columns(state.mirror.row, kappa)
        row = problem.scale_rows(column, kappa)
        settled = state.settled + 1
        mirror = MirrorPlan(row, column, kappa).recentred()
        return dataclasses.replace(
            state, k=state.k + 1, mirror=mirror, newton=settled >= self.sweeps, settled=settled, step_length=0.0
        )

    def _cooled(self, problem: OptimalTransport, state: NewtonState) -> NewtonState:
        """Return the state at the next temperature, the potentials scaled to it, where sweeps come first."""
        kappa, final = state.mirror.inverse_temperature, 1.0 / problem.regularization
        following = final if self.cooling * kappa >= final else self.cooling * kappa
        factor = following / kappa
        mirror = MirrorPlan(factor * state.mirror.row, factor * state.mirror.column, following)
        return dataclasses.replace(state, mirror=mirror, newton=False, settled=0, ridge=max(state.ridge, 1e-3))

    def _newton_step(self, problem: OptimalTransport, state: NewtonState) -> NewtonState:
        mirror, kappa = state.mirror, state.mirror.inverse_temperature
        a, b, mass = problem.active_a, problem.active_b, problem.mass
        sums = column_sums(problem.active_cost, mirror.row, mirror.column, kappa)
        error = float(np.abs(b - sums).sum()) / mass
        state = dataclasses.replace(state, error=error)
        if error <= self.stage_error and kappa < 1.0 / problem.regularization:
            return self._sweep(problem, self._cooled(problem, state))
        step = newton_step(
            problem.active_cost, a, b, mirror.row, mirror.column, kappa, sums, state.ridge, self.linear_solver
        )
        return dataclasses.replace(
            state,
            k=state.k + 1,
            mirror=MirrorPlan(step.row, step.column, kappa).recentred(),
            kept=step.kept,
            solver_iterations=state.solver_iterations + step.solver_iterations,
            step_length=step.length,
            ridge=step.ridge,
        )

    def iterate(self, problem: OptimalTransport, state: NewtonState) -> Any:
        """Return the plan of the potentials."""
        return problem.primal(state.mirror)

    def measure(self, problem: OptimalTransport, state: NewtonState) -> dict[str, float]:
        """Return ``newton`` (0 or 1), ``kept_entries``, ``solver_iterations`` and ``step_length``."""
        return {
            "newton": float(state.newton),
            "kept_entries": float(state.kept),
            "solver_iterations": float(state.solver_iterations),
            "step_length": state.step_length,
        }


class NewtonStep(NamedTuple):
    """What `newton_step` did: the potentials, the length (0: a sweep instead), the next ridge, the work."""

    row: np.ndarray
    column: np.ndarray
    length: float
    ridge: float
    kept: int
    solver_iterations: int


def newton_step(
    cost: Any,
    a: np.ndarray,
    b: np.ndarray,
    row: np.ndarray,
    column: np.ndarray,
    kappa: float,
    sums: np.ndarray,
    ridge: float,
    linear_solver: str,
) -> NewtonStep:
    """Take one damped Newton step on the column potential of ``exp(row_i + column_j - kappa C_ij)``, rows being exact.

    Parameters
    ----------
    cost : Cost
        Or anything with its ``logsumexp_rows``, ``logsumexp_columns``, ``plan_sparse`` and ``plan_dense``.
    a, b : ndarray, shapes (n,) and (m,)
        Marginals, positive.
    row, column : ndarray, shapes (n,) and (m,)
    sums : ndarray, shape (m,)
        The column sums.
    ridge : float
        Relative to b.
    linear_solver : {"cg", "cholesky"}

    Returns
    -------
    NewtonStep
        With exact row sums; a sweep where no step along the direction raised the dual objective.
    """
    mass = float(a.sum())
    gradient = b - sums
    error = float(np.abs(gradient).sum()) / mass
    direction, kept, spent = _direction(cost, a, b, row, column, kappa, sums, gradient, error, ridge, linear_solver)
    slope = float(gradient @ direction)
    base = float(a @ row + b @ column)
    noise = 1e-14 * (abs(base) + mass)
    # exp changes by much over a step of a few units: the model is no guide beyond
    size = min(1.0, 4.0 / max(float(np.abs(direction).max()), 1e-300))
    log_a = np.log(a)
    for trial in range(8):
        new_column = column + size * direction
        new_row = log_a - cost.logsumexp_rows(new_column, kappa)
        # rises below rounding are no evidence; there Newton's own step is taken
        if slope > 0.0 and float(a @ new_row + b @ new_column) - base >= 1e-4 * size * slope - noise:
            ridge = max(0.1 * ridge, 1e-13) if size == 1.0 else ridge * (1.0 if trial == 0 else 4.0)
            return NewtonStep(new_row, new_column, size, min(ridge, 1.0), kept, spent)
        size *= 0.5
    new_column = np.log(b) - cost.logsumexp_columns(row, kappa)
    new_row = log_a - cost.logsumexp_rows(new_column, kappa)
    return NewtonStep(new_row, new_column, 0.0, min(100.0 * ridge, 1.0), kept, spent)


def _direction(
    cost: Any,
    a: np.ndarray,
    b: np.ndarray,
    row: np.ndarray,
    column: np.ndarray,
    kappa: float,
    sums: np.ndarray,
    gradient: np.ndarray,
    error: float,
    ridge: float,
    linear_solver: str,
) -> tuple[np.ndarray, int, int]:
    """Return the Newton direction, the number of plan entries kept and the iterations spent."""
    n, m = a.size, b.size
    # what is dropped is at most this share of the mass
    share = min(1e-3, 0.1 * max(error, 1e-15))
    diagonal = sums + ridge * b
    if linear_solver == "cholesky":
        return _by_cholesky(cost.plan_dense(row, column, kappa), a, diagonal, gradient), n * m, 0
    plan = cost.plan_sparse(row, column, kappa, share * float(a.sum()) / (n * m))
    kept = int(plan.nnz)
    if kept > 0.4 * n * m:
        plan = plan.toarray()
    transposed = plan.T if isinstance(plan, np.ndarray) else plan.T.tocsr()
    # the constants are in the kernel
    direction, spent = conjugate_gradients(
        lambda v: diagonal * v - transposed @ ((plan @ v) / a),
        gradient - gradient.mean(),
        min(0.1, math.sqrt(error)) * 0.1,
        10 * m,
        diagonal=diagonal,
    )
    return direction, kept, spent


def column_sums(cost: Any, row: np.ndarray, column: np.ndarray, kappa: float) -> np.ndarray:
    """Return the column sums of ``exp(row_i + column_j - kappa C_ij)``, held below overflow."""
    return np.asarray(np.exp(np.minimum(column + cost.logsumexp_columns(row, kappa), 700.0)))


def _by_cholesky(plan: np.ndarray, a: np.ndarray, diagonal: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Solve the same system by a dense factorisation, with a ridge that grows until it is definite."""
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    scaled = plan / np.sqrt(a)[:, None]
    S = -(scaled.T @ scaled)
    S[np.diag_indices_from(S)] += diagonal
    # the constants are in the kernel: fill it with something of the size of the rest
    S += diagonal.mean() / diagonal.size
    ridge = 1e-14
    while True:
        try:
            factor = cho_factor(S + np.diag(ridge * diagonal))
            break
        except LinAlgError:
            ridge *= 100.0
    return np.asarray(cho_solve(factor, gradient - gradient.mean()))
