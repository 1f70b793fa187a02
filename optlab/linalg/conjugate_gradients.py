"""The conjugate gradient method, the one of the house: every iterate is a direction of ascent of Newton's model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def conjugate_gradients(
    apply: Callable[[np.ndarray], np.ndarray],
    right: np.ndarray,
    tol: float,
    max_iter: int,
    *,
    diagonal: np.ndarray | None = None,
) -> tuple[np.ndarray, int]:
    """Solve a positive semidefinite system, Jacobi-preconditioned if its diagonal is given.

    SciPy's solver would iterate on once rounding has taken the curvature, and its iterates there need not ascend.

    Parameters
    ----------
    apply : callable
        Multiplies an array of the shape of `right` by the matrix.
    right : ndarray
        Right side, of any shape, orthogonal to the matrix's kernel.
    tol : float
        Relative residual to end at, in the preconditioner's norm. It also ends where curvature is lost to rounding.
    max_iter : int
    diagonal : ndarray, optional
        Of the matrix, positive. Default: no preconditioner.

    Returns
    -------
    (ndarray, int)
        The solution and the number of iterations.

    Examples
    --------
    >>> matrix = np.array([[4.0, 1.0], [1.0, 3.0]])
    >>> x, iterations = conjugate_gradients(lambda v: matrix @ v, np.array([1.0, 2.0]), 1e-12, 10)
    >>> np.round(matrix @ x, 10).tolist(), iterations <= 3
    ([1.0, 2.0], True)
    """
    x, r = np.zeros_like(right), right.copy()
    z = r if diagonal is None else r / diagonal
    p, rz = z.copy(), float(np.vdot(r, z))
    goal = tol * tol * rz
    for k in range(max_iter):
        if rz <= goal or rz <= 0.0:
            return x, k
        q = apply(p)
        curvature = float(np.vdot(p, q))
        if not curvature > 1e-15 * float(np.vdot(p, p if diagonal is None else diagonal * p)):
            return (x if k else z.copy()), k
        alpha = rz / curvature
        x += alpha * p
        r -= alpha * q
        z = r if diagonal is None else r / diagonal
        rz, before = float(np.vdot(r, z)), rz
        p = z + (rz / before) * p
    return x, max_iter
