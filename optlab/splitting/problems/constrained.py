"""Least squares with inequalities, hinge and 1-norm penalties, solved by Bregman ADMM through the multipliers' domain.

The kernel of the multipliers decides what ``G u <= d`` means (derived here, verified numerically; see
`optlab.splitting.LinearlyConstrained`): Shannon's entropy makes it a constraint, Fermi-Dirac on [0, c] the hinge
penalty ``c sum max(0, G u - d)``, Hellinger of radius c the penalty ``c ||G u - d||_1``. All three have the same dual
function,

    q(w) = min_u ||A u - b||^2 / 2 + <w, G u - d>,

at multipliers w in the closure of the kernel's domain, which is what certifies the gap.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import linalg

from optlab.bregman import FermiDirac, Hellinger, ShannonEntropy
from optlab.bregman.functions import LeastSquares
from optlab.core.validation import as_data, as_number
from optlab.splitting.constrained import BlockSolution, LinearlyConstrained

Array = Any


class _LeastSquaresWithRelations(LinearlyConstrained):
    """``min ||A u - b||^2 / 2 + sigma(G u - d)`` with sigma the support function of the kernel's domain."""

    def __init__(self, A: Any, b: Any, G: Any, d: Any, kernel: Any, default_step_size: float | None) -> None:
        loss = LeastSquares(A, b)
        G = as_data(G, "G", ndim=2)
        d = as_data(d, "d", shape=(G.shape[0],))
        if G.shape[1] != loss.A.shape[1]:
            raise ValueError(f"G must have as many columns as A ({loss.A.shape[1]}), got shape {G.shape}")
        if np.linalg.matrix_rank(loss.A) < loss.A.shape[1]:
            raise ValueError("A must have full column rank: otherwise the dual function, and the gap, are infinite")
        self.G, self.d = G, d
        # thin QR: ||A u - b||^2 = ||R u - Q^T b||^2 + constant
        left, self._R = np.linalg.qr(loss.A)
        self._target = left.T @ loss.b
        self._rest = 0.5 * max(float(loss.b @ loss.b) - float(self._target @ self._target), 0.0)
        self._GR = linalg.solve_triangular(self._R, G.T, trans="T")  # R^-T G^T
        if default_step_size is None:
            # the dual's curvature is that of G (A^T A)^{-1} G^T
            curvature = float(np.linalg.norm(self._GR, 2)) ** 2
            default_step_size = self._step_scale(kernel) / curvature if curvature > 0 else 1.0
        super().__init__(loss, None, G, None, d, kernel, default_step_size=default_step_size)
        self.primary_metric = "gap"

    def _step_scale(self, kernel: Any) -> float:
        return 30.0

    def dual_value(self, w: Array) -> float:
        """Return the dual function at a multiplier in the closure of the kernel's domain: a lower bound."""
        # min over p = R u of ||p - t||^2/2 + <R^-T G^T w, p>, at p = t - R^-T G^T w
        pull = self._GR @ w
        return self._rest + float(pull @ self._target) - 0.5 * float(pull @ pull) - float(self.d @ w)

    def _feasible(self, u: Array) -> Array:
        return u

    def measure(self, iterate: BlockSolution) -> dict[str, float]:
        """Return what `LinearlyConstrained` returns, with ``gap`` and ``relative_gap``."""
        metrics = super().measure(iterate)
        upper = self._full_objective(self._feasible(iterate.u))
        multipliers = [iterate.multiplier, 0.0 * iterate.multiplier]
        if iterate.half_multiplier is not None:  # None at a start
            multipliers.append(iterate.half_multiplier)
        lower = max(self.dual_value(w) for w in multipliers)
        gap, scale = max(0.0, upper - lower), max(abs(upper), abs(lower))  # below 0 only by rounding
        return {**metrics, "gap": gap, "relative_gap": gap / scale if scale > 0 else 0.0}

    def _full_objective(self, u: Array) -> float:
        return float(self.f.value(u))

    def _cvxpy_penalty(self, u: Any) -> tuple[Any, list[Any]]:
        raise NotImplementedError

    def reference_solution(self) -> tuple[Array, float]:
        """Return the solution and the optimal value, by CVXPY (Clarabel; small sizes)."""
        import cvxpy

        cp: Any = cvxpy  # it has no type information

        u = cp.Variable(self.G.shape[1])
        penalty, constraints = self._cvxpy_penalty(u)
        fit = 0.5 * cp.sum_squares(self.f.A @ u - self.f.b)
        program = cp.Problem(cp.Minimize(fit + penalty), constraints)
        program.solve(solver="CLARABEL", tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
        return np.asarray(u.value), float(program.value)


class InequalityLeastSquares(_LeastSquaresWithRelations):
    """Minimise ``||A u - b||^2 / 2`` subject to ``G u <= d``: Bregman ADMM with Shannon's entropy on the multipliers.

    Solve it with `BregmanADMM`, `AlternatingExponentialMultipliers` or `ExponentialMultipliers`: with the single block
    u they coincide with the exponential multiplier method.

    Parameters
    ----------
    A : array_like, shape (m, n)
        Of full column rank.
    b : array_like, shape (m,)
    G : array_like, shape (k, n)
    d : array_like, shape (k,)
        Such that ``G u < d`` has a solution.
    default_step_size : float, optional
        Step size of methods that are given none. Default: 30 over the largest curvature of the dual.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or shape, A is rank-deficient, or no u is strictly feasible.

    Notes
    -----
    Metrics: those of `LinearlyConstrained`, ``gap`` (the primary one) and ``relative_gap``. The upper bound is taken at
    a feasible point: u moved towards a point of greatest slack (found once, by linear programming) as little as needed.

    Examples
    --------
    >>> import optlab
    >>> from optlab.splitting import BregmanADMM
    >>> problem = InequalityLeastSquares(np.eye(2), [2.0, 0.25], np.eye(2), [1.0, 1.0])
    >>> optlab.solve(problem, BregmanADMM(), tol=1e-8).solution.u.round(6)
    array([1.  , 0.25])
    """

    def __init__(self, A: Any, b: Any, G: Any, d: Any, default_step_size: float | None = None) -> None:
        super().__init__(A, b, G, d, ShannonEntropy(), default_step_size)
        self._slater = self._strictly_feasible()

    def _strictly_feasible(self) -> Array:
        from scipy.optimize import linprog

        n = self.G.shape[1]
        size = np.maximum(np.linalg.norm(self.G, axis=1), np.finfo(float).tiny)
        # max s  s.t.  G u + s ||G_i|| <= d, s <= a scale: the centre of a largest inscribed ball
        scale = 1.0 + float(np.max(np.abs(self.d)))
        answer = linprog(
            np.append(np.zeros(n), -1.0),
            A_ub=np.hstack([self.G, size[:, None]]),
            b_ub=self.d,
            bounds=[(None, None)] * n + [(None, scale)],
            method="highs",
        )
        if not answer.success or not answer.x[-1] > 1e-9 * scale:
            raise ValueError("G u < d must have a solution: no point satisfies all inequalities strictly")
        return np.asarray(answer.x[:n])

    def _feasible(self, u: Array) -> Array:
        excess, slack = self.G @ u - self.d, self.d - self.G @ self._slater
        if np.all(excess <= 0):
            return u
        share = float(np.max(excess / (excess + slack), initial=0.0, where=excess > 0))
        return u + min(1.0, share * (1 + 1e-12)) * (self._slater - u)

    def _cvxpy_penalty(self, u: Any) -> tuple[Any, list[Any]]:
        return 0.0, [self.G @ u <= self.d]


class HingePenaltyLeastSquares(_LeastSquaresWithRelations):
    """Minimise ``||A u - b||^2 / 2 + weight sum max(0, G u - d)``: Fermi-Dirac entropy on the multipliers.

    Parameters
    ----------
    A, b, G, d, default_step_size
        As in `InequalityLeastSquares`; d is arbitrary.
    weight : float, default 1
        Of the hinge penalty, above 0.

    Examples
    --------
    >>> import optlab
    >>> from optlab.splitting import BregmanADMM
    >>> problem = HingePenaltyLeastSquares(np.eye(2), [3.0, 0.25], np.eye(2), [1.0, 1.0])
    >>> optlab.solve(problem, BregmanADMM(), tol=1e-8).solution.u.round(6)
    array([2.  , 0.25])
    """

    def __init__(
        self, A: Any, b: Any, G: Any, d: Any, weight: float = 1.0, default_step_size: float | None = None
    ) -> None:
        self.weight = as_number(weight, "weight", above=0)
        super().__init__(A, b, G, d, FermiDirac(0.0, self.weight), default_step_size)

    def _step_scale(self, kernel: Any) -> float:
        return 100.0 / self.weight

    def _full_objective(self, u: Array) -> float:
        return float(self.f.value(u) + self.weight * np.sum(np.maximum(self.G @ u - self.d, 0.0)))

    def _cvxpy_penalty(self, u: Any) -> tuple[Any, list[Any]]:
        import cvxpy

        cp: Any = cvxpy  # it has no type information

        return self.weight * cp.sum(cp.pos(self.G @ u - self.d)), []


class AbsolutePenaltyLeastSquares(_LeastSquaresWithRelations):
    """Minimise ``||A u - b||^2 / 2 + weight ||G u - d||_1``: Hellinger kernel on the multipliers.

    Parameters
    ----------
    A, b, G, d, default_step_size
        As in `InequalityLeastSquares`; d is arbitrary.
    weight : float, default 1
        Of the 1-norm, above 0.

    Examples
    --------
    Soft thresholding:

    >>> import optlab
    >>> from optlab.splitting import BregmanADMM
    >>> problem = AbsolutePenaltyLeastSquares(np.eye(2), [3.0, 0.5], np.eye(2), np.zeros(2))
    >>> optlab.solve(problem, BregmanADMM(), tol=1e-8).solution.u.round(6) + 0.0
    array([2., 0.])
    """

    def __init__(
        self, A: Any, b: Any, G: Any, d: Any, weight: float = 1.0, default_step_size: float | None = None
    ) -> None:
        self.weight = as_number(weight, "weight", above=0)
        super().__init__(A, b, G, d, Hellinger(self.weight), default_step_size)

    def _step_scale(self, kernel: Any) -> float:
        # the Hellinger kernel's gradient grows slowly (algebraically) towards the bounds: long steps are needed
        return 1e4 / self.weight

    def _full_objective(self, u: Array) -> float:
        return float(self.f.value(u) + self.weight * np.sum(np.abs(self.G @ u - self.d)))

    def _cvxpy_penalty(self, u: Any) -> tuple[Any, list[Any]]:
        import cvxpy

        cp: Any = cvxpy  # it has no type information

        return self.weight * cp.norm1(self.G @ u - self.d), []
