"""Dual potentials from a plan that came without any: what a warm start from a matrix needs.

At an optimal plan ``f_i + g_j = C_ij`` wherever ``X_ij > 0``. The potentials returned minimise
``sum X_ij (C_ij - f_i - g_j)^2`` (a Laplacian system, by conjugate gradients): they are exact if the plan is optimal
and its support connected, and a good start nearby.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def potentials_of_plan(array: Any, cost: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return potentials (f, g) that fit a plan on its own entries.

    Parameters
    ----------
    array : ndarray or SciPy sparse array, shape (n, m)
        Non-negative; entries on forbidden pairs are left out.
    cost : Cost

    Examples
    --------
    >>> from optlab.transport import DenseCost
    >>> f, g = potentials_of_plan(np.array([[0.5, 0.0], [0.2, 0.3]]), DenseCost([[1.0, 9.0], [2.0, 4.0]]))
    >>> np.round(f[:, None] + g, 6).tolist()
    [[1.0, 3.0], [2.0, 4.0]]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.linalg import LinearOperator, cg

    entries = coo_array(array)
    keep = entries.data > 0.0
    i, j, x = entries.row[keep], entries.col[keep], entries.data[keep].astype(np.float64)
    n, m = cost.shape
    c = cost.pair_costs(i, j)
    allowed = np.isfinite(c)
    i, j, x, c = i[allowed], j[allowed], x[allowed], c[allowed]
    matrix = coo_array((x, (i, j)), shape=(n, m)).tocsr()
    transposed = matrix.T.tocsr()
    weight = np.concatenate([np.bincount(i, x, n), np.bincount(j, x, m)])
    # symmetric diagonal scaling; rows and columns without mass keep the potential zero
    root = np.where(weight > 0.0, 1.0 / np.sqrt(np.maximum(weight, 1e-300)), 0.0)
    right = root * np.concatenate([np.bincount(i, x * c, n), np.bincount(j, x * c, m)])

    def apply(v: np.ndarray) -> np.ndarray:
        w = root * v.ravel()
        return v.ravel() + root * np.concatenate([matrix @ w[n:], transposed @ w[:n]])

    operator: Any = LinearOperator((n + m, n + m), matvec=apply, dtype=np.float64)
    solution, _ = cg(operator, right, rtol=1e-12, maxiter=10 * (n + m))
    solution = root * solution
    return solution[:n], solution[n:]
