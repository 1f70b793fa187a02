"""Lower bounds on the objective: how far from the global optimum a fit can be.

The problems are not convex (orthonormal loadings shared between pairs), so a stationary point proves nothing by itself.

* Group lasso: for any ``u >= 0`` with ``||u|| <= 1`` a group norm is at least ``sum_kl u_kl |d_kl,j|``, so that the
  objective is at least a sum of nuclear-norm problems, one per pair, which singular-value soft-thresholding solves:
  ``F >= max_u sum_kl min_M 1/2 ||S_kl - M||^2 + lam u_kl ||M||_*`` (derived here). Tight for two views.
* Factored ridge: with ``L_k = V_k A_k`` free and ``M = L L'`` the problem ``min_{M psd} 1/4 ||offdiagonal blocks of
  (B - M)||^2 + lam/2 tr M`` is convex and its value a lower bound (derived here); solved by accelerated proximal
  gradient, the bound itself taken from a feasible dual point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optlab.multiview.problem.components import LinkedComponents
from optlab.multiview.problem.penalties import FactoredRidge, GroupLasso
from optlab.multiview.problem.solution import LinkedSolution

__all__ = ["Certificate", "certify"]


@dataclass(frozen=True)
class Certificate:
    """A fit's objective with a lower bound on the global minimum.

    Parameters
    ----------
    objective, lower_bound : float
    """

    objective: float
    lower_bound: float

    @property
    def gap(self) -> float:
        """``(objective - lower_bound) / objective``; 0 proves global optimality."""
        return max(0.0, self.objective - self.lower_bound) / self.objective if self.objective > 0 else 0.0


def certify(problem: LinkedComponents, solution: LinkedSolution, *, max_iter: int = 2000) -> Certificate:
    """Bound the distance of a solution's objective from the global minimum.

    Parameters
    ----------
    problem : LinkedComponents
        With the group-lasso or the factored penalty.
    solution : LinkedSolution
    max_iter : int
        Of the accelerated proximal gradient for the factored penalty. Every iteration takes an eigendecomposition of
        the matrix of all views' dimensions.

    Raises
    ------
    TypeError
        For the other penalties, for which no bound is known here.

    Examples
    --------
    >>> import numpy as np, optlab
    >>> from optlab.multiview import AlternatingProcrustes, LinkedComponents
    >>> problem = LinkedComponents.from_cross_covariances({(0, 1): np.diag([3.0, 1.0])}, lam=0.5)
    >>> solution = optlab.solve(problem, AlternatingProcrustes(), tol=1e-10).solution
    >>> round(certify(problem, solution).gap, 12)
    0.0
    """
    if not isinstance(problem, LinkedComponents):
        raise TypeError(f"problem must be a LinkedComponents, got {type(problem).__name__}")
    if not isinstance(solution, LinkedSolution):
        raise TypeError(f"solution must be a LinkedSolution, got {type(solution).__name__}")
    objective = problem.measure(solution)["objective"]
    if type(problem.penalty) is GroupLasso:
        return Certificate(objective, _group_bound(problem))
    if isinstance(problem.penalty, FactoredRidge):
        return Certificate(objective, _factored_bound(problem, solution, max_iter))
    raise TypeError(f"certify knows the group-lasso and the factored penalty, got {problem.penalty!r}")


def _group_bound(problem: LinkedComponents) -> float:
    values = [
        np.linalg.svd(problem.B[problem.block(k), problem.block(l)], compute_uv=False) for k, l in problem.pair_list
    ]

    def bound(u: np.ndarray) -> tuple[float, np.ndarray]:
        total, slope = 0.0, np.zeros(len(values))
        for i, s in enumerate(values):
            kept = np.maximum(s - problem.lam * u[i], 0.0)
            total += 0.5 * float(np.sum((s - kept) ** 2)) + problem.lam * u[i] * float(kept.sum())
            slope[i] = problem.lam * kept.sum()
        return total, slope

    # concave in u: conditional gradient; every u gives a valid bound, the best is kept
    u = np.full(len(values), 1.0 / np.sqrt(len(values)))
    best, slope = bound(u)
    for k in range(200):
        size = np.linalg.norm(slope)
        if size == 0:
            break
        u = u + 2.0 / (k + 2.0) * (slope / size - u)
        value, slope = bound(u)
        best = max(best, value)
    return best


def _factored_bound(problem: LinkedComponents, solution: LinkedSolution, max_iter: int) -> float:
    if not np.all(problem.sqrt_weights[problem.pairs] == 1):
        raise ValueError("certify needs equal pair weights for the factored penalty")
    B, lam = problem.B, problem.lam
    off = np.ones_like(B, dtype=bool)
    for k in range(problem.n_views):
        off[problem.block(k), problem.block(k)] = False

    def dual(R: np.ndarray) -> float:
        # the residual R = B - M off the diagonal blocks, scaled so that lam I - R is positive semidefinite
        top = float(np.linalg.eigvalsh(R)[-1])
        R = R * (min(1.0, lam / top) if top > 0 else 1.0)
        return 0.5 * float(np.sum(R * B)) - 0.25 * float(np.sum(R * R))

    if solution.strengths is None:
        raise ValueError("solution must come from the factored penalty: it has no strengths")
    stacked = np.concatenate([V * solution.strengths[k] for k, V in enumerate(solution.coordinates)])
    M = stacked @ stacked.T
    Z, t, best = M, 1.0, -np.inf
    for i in range(max_iter):
        # step 2 for the loss 1/4 ||.||^2, whose gradient is 1/2 of the residual
        values, vectors = np.linalg.eigh(Z + np.where(off, B - Z, 0.0))
        kept = values > lam
        new = (vectors[:, kept] * (values[kept] - lam)) @ vectors[:, kept].T
        t_next = 0.5 * (1 + np.sqrt(1 + 4 * t * t))
        Z, M, t = new + (t - 1) / t_next * (new - M), new, t_next
        if i % 10 == 9 or i == 0:
            best = max(best, dual(np.where(off, B - M, 0.0)))
            primal = 0.25 * float(np.sum(np.where(off, B - M, 0.0) ** 2)) + 0.5 * lam * float(np.trace(M))
            if primal - best <= 1e-10 * max(primal, 1e-300):
                break
    return best
