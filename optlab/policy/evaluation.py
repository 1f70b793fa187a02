"""Policy evaluation: the linear system ``(I - discount P_pi) V = c_pi`` and its transpose, by whichever solver suits.

Up to `DENSE_LIMIT` states: dense LU. Above: BiCGSTAB (van der Vorst, 1992), warm-started, whose answer is accepted on
its true residual in the sup norm, ``|V - V^pi|_inf <= |r|_inf / (1 - discount)``; where it stalls (long corridors with
a discount near one) sparse LU takes over.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, bicgstab, splu

DENSE_LIMIT = 600
_MAX_KRYLOV = 2000

__all__ = ["Evaluation", "solve_evaluation"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Values of one policy.

    Attributes
    ----------
    values : ndarray, shape (S,)
        ``V^pi``, in cost form.
    action_values : ndarray, shape (S, A)
        ``Q^pi = c + discount P V^pi``, computed on first access. A pair that is not available carries a finite value
        above every attainable one, so that no minimum over actions picks it.
    iterations : int
        Iterations of the linear solver; 0 for a direct one.
    """

    values: np.ndarray
    iterations: int
    mdp: Any
    probabilities: np.ndarray

    @cached_property
    def action_values(self) -> np.ndarray:
        """``Q^pi``, shape (S, A)."""
        return self.mdp.action_values(self.values)

    @cached_property
    def advantage_gap(self) -> float:
        """``max_s (V(s) - min_a Q(s, a)) / (1 - discount)``, an upper bound on ``|V - V*|_inf``."""
        bound = float(np.max(self.values - self.mdp.backup(self.values)[0])) / (1.0 - self.mdp.discount)
        return max(bound, 0.0)


def solve_evaluation(
    matrix: sp.csr_matrix,
    right: np.ndarray,
    discount: float,
    *,
    guess: np.ndarray | None = None,
    tol: float = 1e-10,
    transpose: bool = False,
) -> tuple[np.ndarray, int]:
    """Solve ``(I - discount M) x = right`` (or with ``M'``); return `x` and the Krylov iterations (0: direct)."""
    n = right.size
    if n <= DENSE_LIMIT:
        dense = matrix.toarray()
        system = np.eye(n) - discount * (dense.T if transpose else dense)
        return np.linalg.solve(system, right), 0
    M = matrix.T.tocsr() if transpose else matrix
    count = 0

    def tick(_: np.ndarray) -> None:
        nonlocal count
        count += 1

    operator = LinearOperator((n, n), matvec=lambda x: x - discount * (M @ x), dtype=np.float64)
    x = np.array(right if guess is None else guess, dtype=np.float64)
    for _ in range(4):
        residual = right - operator @ x
        scale = max(1.0, float(np.abs(x).max()))
        goal = tol * (1.0 - discount) * scale
        if np.abs(residual).max() <= goal:
            return x, count
        correction, _info = bicgstab(operator, residual, rtol=0.0, atol=goal, maxiter=_MAX_KRYLOV, callback=tick)
        if not np.isfinite(correction).all():
            break
        x = x + correction
    system = sp.identity(n, format="csc") - discount * M.tocsc()
    return splu(system).solve(right), count
