"""Conjugate gradients for the Newton systems of transport: every iterate is a direction of ascent."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def conjugate_gradients(
    apply: Callable[[np.ndarray], np.ndarray], right: np.ndarray, diagonal: np.ndarray, tol: float, max_iter: int
) -> tuple[np.ndarray, int]:
    """Solve a positive semidefinite system with Jacobi's preconditioner; return the solution and the iterations.

    SciPy's solver would iterate on once rounding has taken the curvature, and its iterates there need not ascend.

    Parameters
    ----------
    apply : callable
        Multiplies by the matrix.
    right : ndarray
        Right side, orthogonal to the matrix's kernel.
    diagonal : ndarray
        Of the matrix, positive.
    tol : float
        Relative residual to end at, in the preconditioner's norm. It also ends where curvature is lost to rounding.
    max_iter : int

    Examples
    --------
    >>> matrix = np.array([[4.0, 1.0], [1.0, 3.0]])
    >>> x, iterations = conjugate_gradients(lambda v: matrix @ v, np.array([1.0, 2.0]), np.diag(matrix), 1e-12, 10)
    >>> np.round(matrix @ x, 10).tolist(), iterations <= 3
    ([1.0, 2.0], True)
    """
    x, r = np.zeros_like(right), right.copy()
    z = r / diagonal
    p, rz = z.copy(), float(r @ z)
    goal = tol * tol * rz
    for k in range(max_iter):
        if rz <= goal or rz <= 0.0:
            return x, k
        q = apply(p)
        curvature = float(p @ q)
        if not curvature > 1e-15 * float(p @ (diagonal * p)):
            return (x if k else z), k
        alpha = rz / curvature
        x += alpha * p
        r -= alpha * q
        z = r / diagonal
        rz, before = float(r @ z), rz
        p = z + (rz / before) * p
    return x, max_iter
