"""Semismooth Newton for quadratically regularised transport: the semi-dual, with exact columns, in stages.

The gradient of the (smoothed) semi-dual, ``a - X(f) 1``, is piecewise linear. Column j of the plan changes with the row
potentials by a matrix known in closed form; with w = gamma + delta, t full and p shared entries (see
`optlab.transport.kernels.quadratic_kernels`), and 1_T, 1_S their indicators,

    no shared entries:  (diag(1_T) - 1_T 1_T^T / t) / w
    otherwise:          diag(1_T / w + 1_S / delta) - gamma / (delta s) 1_S 1_S^T - v v^T / (t / w + p u),
                        s = gamma p + delta (k - t),  u = (k - t) / s,  v = 1_T / w + u 1_S

(derived here). Their sum is a sparse positive semidefinite matrix, a graph's Laplacian where nothing is shared, and a
Newton step one linear system with it: Lorenz, Manns and Meyer (2021) do the same in both potentials; with the columns
maximised out the system has n unknowns, and the dual rises more with every step.

From a cold start at a small gamma the method would change supports one by one. So smoothing begins large, and falls by
`cooling` once the marginal error is below `stage_error`: to zero without a limit on the non-zeros, and with one down to
1e-8 gamma, since without smoothing the semi-dual of the limited problem has kinks, at which its optimum lies. The gap
to the relaxation then falls in proportion. The optimal potentials are piecewise linear in the smoothing, so that a
stage begins at their extrapolation from the last two, if that is better; near the end it is exact, and a stage takes a
step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.core import DomainError, Method, State
from optlab.core.validation import as_number, one_of
from optlab.linalg import conjugate_gradients
from optlab.transport.quadratic.plan import QuadraticPlan
from optlab.transport.quadratic.problem import QuadraticOptimalTransport, SemiDual, SemiDualPoint

_PAIRS_OF_A_ROW = 20  # entries of the system for each row and column up to which it is factorised
_LARGEST_DIRECT = 5000  # and rows
_TRIALS = 40  # step lengths
_GOOD_START = 0.5  # relative marginal error above which a start has to go through all stages


def against_quadratic(problem: Any) -> str | None:
    """Return why `problem` is no `QuadraticOptimalTransport`, None if it is one."""
    if isinstance(problem, QuadraticOptimalTransport):
        return None
    return f"needs a QuadraticOptimalTransport problem, got {type(problem).__name__}"


@dataclass
class SemismoothState(State):
    """State after k Newton steps.

    Parameters
    ----------
    f : ndarray
        Row potentials on the support of a.
    smoothing : float
        delta.
    ridge : float
        Relative to ``1 / (gamma + delta)``.
    error : float
        Relative L1 error of the row sums, as last seen.
    solver_iterations : int
        Conjugate gradient iterations so far.
    step_length : float
        Of the last step; 0 if none was taken.
    f_before, smoothing_before : ndarray and float
        Where the stage before ended; the smoothing is negative if there was none.
    """

    f: np.ndarray
    smoothing: float
    ridge: float = 1e-4
    error: float = math.inf
    solver_iterations: int = 0
    step_length: float = 0.0
    f_before: np.ndarray | None = None
    smoothing_before: float = -1.0


@dataclass(frozen=True)
class SemismoothNewton(Method):
    """Semismooth Newton on the semi-dual of `QuadraticOptimalTransport`, with smoothing that falls.

    Parameters
    ----------
    cooling : float above 1, default 3
        Factor by which the smoothing falls from stage to stage.
    stage_error : float, default 0.1
        Relative marginal error at which a stage ends.
    linear_solver : {"auto", "cg", "direct"}
        Conjugate gradients on the sparse system, or a sparse factorisation, more exact where much is shared. "auto":
        the latter for plans with few entries in a column.

    References
    ----------
    Lorenz, Manns and Meyer (2021), with the differences said at the head of this file.

    Examples
    --------
    >>> import optlab
    >>> from optlab.datasets import transport_family
    >>> from optlab.transport import QuadraticOptimalTransport, SemiDualLBFGS, SemismoothNewton
    >>> problem = QuadraticOptimalTransport(*transport_family("l2", 40), regularization=1.0)
    >>> newton = optlab.solve(problem, SemismoothNewton(), tol=1e-10)
    >>> first_order = optlab.solve(problem, SemiDualLBFGS(), tol=1e-10, max_iter=newton.n_iter)
    >>> newton.success, first_order.success
    (True, False)
    """

    cooling: float = 3.0
    stage_error: float = 0.1
    linear_solver: str = "auto"
    reference: ClassVar[str] = "lorenz2021quadratically"

    def __post_init__(self) -> None:
        object.__setattr__(self, "cooling", as_number(self.cooling, "cooling", above=1.0))
        object.__setattr__(self, "stage_error", as_number(self.stage_error, "stage_error", above=0.0))
        one_of(self.linear_solver, "linear_solver", ("auto", "cg", "direct"))

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against other problems."""
        return against_quadratic(problem)

    def init(self, problem: QuadraticOptimalTransport, x0: Any, rng: Any) -> SemismoothState:
        """Return the state at iteration 0; at a good start smoothing is what it was there, or none."""
        point, gamma = problem.initial_point(x0), problem.regularization
        # about the square root of n positive entries in every column
        cold = self._following(problem, self.cooling * problem.cost_range / float(problem.active_b.mean()))
        if not np.any(point.f):
            return SemismoothState(0, point.f, cold)
        smoothing = min(point.smoothing, gamma)
        if problem.is_limited and smoothing == 0.0:
            smoothing = gamma / 16.0
        found = problem.semidual(point.f, smoothing)
        error = float(np.abs(problem.active_a - found.row_sums).sum()) / problem.mass
        return SemismoothState(0, point.f, smoothing if error <= _GOOD_START else max(cold, smoothing))

    def _following(self, problem: QuadraticOptimalTransport, smoothing: float) -> float:
        """Return the smoothing of the next stage."""
        following, gamma = smoothing / self.cooling, problem.regularization
        if problem.is_limited:
            return max(following, 1e-8 * gamma)
        return following if following > 0.1 * gamma else 0.0

    def step(self, problem: QuadraticOptimalTransport, state: SemismoothState) -> SemismoothState:
        """Return the state after one Newton step, at the next smoothing if the stage is done."""
        f, smoothing = state.f, state.smoothing
        ridge, before = state.ridge, (state.f_before, state.smoothing_before)
        while True:
            found = problem.semidual(f, smoothing, entries=True)
            residual = problem.active_a - found.row_sums
            error = float(np.abs(residual).sum()) / problem.mass
            following = self._following(problem, smoothing)
            # below gamma it is the smoothing that limits the gap, and the error has to follow
            goal = self.stage_error * min(1.0, max(smoothing / problem.regularization, 1e-8))
            if error > goal or following >= smoothing:
                break
            f, smoothing, before = self._extrapolated(problem, f, smoothing, following, before)
            ridge = min(ridge, 1e-4)
        start = f
        f, idle = self._lift(problem, f, found)
        direction, spent = self._direction(problem, found, residual, smoothing, error, ridge, idle)
        slope = float(residual @ direction)
        base = found.value + float(problem.active_a @ (f - start))
        # the semi-dual is concave: where its slope is not below zero the step was a rise, which values, whose rounding
        # exceeds small rises, need not show
        low, high, size = 0.0, 1.0, 1.0
        for _ in range(_TRIALS):
            trial = problem.semidual(f + size * direction, smoothing)
            there = float((problem.active_a - trial.row_sums) @ direction)
            if there < -0.01 * slope and trial.value - base < 1e-4 * size * slope:
                high = size
            elif size == 1.0 or there <= 0.9 * slope:
                break
            else:
                low = size
            if high - low <= 1e-3 * high:
                size = low
                break
            size = 0.5 * (low + high) if low > 0.0 else 0.25 * high
        else:
            size = low
        if size == 1.0:
            ridge = max(0.2 * ridge, 1e-14)
        elif size < 0.1:
            ridge *= 4.0 if size > 0.0 else 100.0
        f = f + size * direction
        f = f - f.mean()
        # curvatures reach (gamma + delta) / delta where entries are shared, and a ridge must be able to outweigh them
        steepest = problem.regularization / smoothing if problem.is_limited and smoothing > 0.0 else 0.0
        if not math.isfinite(float(f.sum())):
            raise DomainError("the potentials are no longer finite; use a larger regularization")
        return SemismoothState(
            state.k + 1, f, smoothing, min(ridge, 1.0 + steepest), error, state.solver_iterations + spent, size, *before
        )

    @staticmethod
    def _extrapolated(
        problem: QuadraticOptimalTransport, f: np.ndarray, smoothing: float, following: float, before: Any
    ) -> tuple[np.ndarray, float, tuple[np.ndarray, float]]:
        """Return the start of the next stage: f, or its extrapolation along the smoothing if that is better."""
        f_before, smoothing_before = before
        start = f
        if smoothing_before > smoothing:
            guess = f + (smoothing - following) / (smoothing_before - smoothing) * (f - f_before)
            if problem.semidual(guess, following).value > problem.semidual(f, following).value:
                start = guess
        return start, following, (f, smoothing)

    @staticmethod
    def _lift(problem: QuadraticOptimalTransport, f: np.ndarray, found: SemiDual) -> tuple[np.ndarray, np.ndarray]:
        """Raise the potentials of rows without mass to where they would take some; return which rows these are.

        The plan does not change on the way, and the semi-dual rises by ``<a, change>``.
        """
        idle = found.row_sums <= 0.0
        if not np.any(idle):
            return f, idle
        reach = problem.active_cost.minimum_rows(found.g)
        return np.where(idle, np.maximum(f, reach), f), idle

    def _direction(
        self,
        problem: QuadraticOptimalTransport,
        found: SemiDual,
        residual: np.ndarray,
        smoothing: float,
        error: float,
        ridge: float,
        idle: np.ndarray,
    ) -> tuple[np.ndarray, int]:
        """Return the Newton direction and the iterations spent."""
        weight = problem.regularization + smoothing
        diagonal, factor = hessian(problem, found, smoothing)
        # a row without entries is taken for one with a single column of its own
        diagonal = diagonal + np.where(idle, 1.0, 0.0) + ridge
        right = weight * residual
        assert found.starts is not None
        pairs = float(np.sum(np.diff(found.starts).astype(np.float64) ** 2))
        few = pairs <= _PAIRS_OF_A_ROW * (diagonal.size + found.g.size) and diagonal.size <= _LARGEST_DIRECT
        if self.linear_solver == "direct" or (self.linear_solver == "auto" and few):
            from scipy.sparse import diags_array
            from scipy.sparse.linalg import splu

            matrix = (diags_array(diagonal * (1.0 + 1e-13)) - factor @ factor.T).tocsc()
            options = {"SymmetricMode": True}
            return np.asarray(splu(matrix, "MMD_AT_PLUS_A", 0.0, options=options).solve(right)), 0
        shared = bool(np.any(found.shared))
        transposed = factor.T.tocsr()
        factor = factor.tocsr()
        return conjugate_gradients(
            lambda v: diagonal * v - factor @ (transposed @ v),
            right,
            0.1 * min(0.1, math.sqrt(error)) * (min(1.0, smoothing / problem.regularization) if shared else 1.0),
            10 * right.size,
            diagonal=diagonal,
        )

    def iterate(self, problem: QuadraticOptimalTransport, state: SemismoothState) -> QuadraticPlan:
        """Return the plan of the potentials."""
        return problem.primal(SemiDualPoint(state.f, state.smoothing))

    def measure(self, problem: QuadraticOptimalTransport, state: SemismoothState) -> dict[str, float]:
        """Return ``smoothing``, ``solver_iterations`` and ``step_length``."""
        return {
            "smoothing": state.smoothing,
            "solver_iterations": float(state.solver_iterations),
            "step_length": state.step_length,
        }


def hessian(problem: QuadraticOptimalTransport, found: SemiDual, smoothing: float) -> tuple[np.ndarray, Any]:
    """Return D (a vector) and U (sparse) with ``-(gamma + delta) Hessian = diag(D) - U U^T``."""
    from scipy.sparse import coo_array

    gamma, limit = problem.regularization, problem.limit
    weight = gamma + smoothing
    assert found.starts is not None
    assert found.rows is not None
    assert found.shared is not None
    n, m = problem.rows.size, problem.columns.size
    rows, shared = found.rows, found.shared
    columns = np.repeat(np.arange(m), np.diff(found.starts))
    some = np.bincount(columns[shared], minlength=m).astype(np.float64)
    full = np.diff(found.starts) - some
    room = np.where(some > 0.0, limit - full, 0.0)
    spread = np.where(some > 0.0, gamma * some + smoothing * room, 1.0)
    share = room / spread * weight  # weight times u of the head of this file
    scale = np.sqrt(np.maximum(full + some * share, 1e-300))
    values = np.where(shared, share[columns], 1.0) / scale[columns]
    heavy = np.where(shared, weight / smoothing if smoothing > 0.0 else 1.0, 1.0)
    diagonal = np.bincount(rows, heavy, n)
    if not np.any(shared):
        return diagonal, coo_array((values, (rows, columns)), shape=(n, m)).tocsr()
    extra = np.sqrt(weight * gamma / (smoothing * spread))[columns[shared]]
    return diagonal, coo_array(
        (
            np.concatenate([values, extra]),
            (np.concatenate([rows, rows[shared]]), np.concatenate([columns, m + columns[shared]])),
        ),
        shape=(n, 2 * m),
    ).tocsr()
