"""Non-convex sums of squares: general non-linear least squares, matrix factorisation, phase retrieval.

For ``f_i = phi_i^2 / 2`` the Gauss-Newton curvature that NGN uses is ``||g||^2 / (2f) = ||grad phi_i||^2``: exact,
without a bound on second derivatives. The classical problems here have no global smoothness constant at all, so SGD's
step size cannot be chosen safely.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from optlab.core.validation import as_float_array, as_integer, first_index
from optlab.stochastic.kernels.data import as_design, check_sparse, is_sparse, read_only
from optlab.stochastic.kernels.oracles import OracleData, oracle
from optlab.stochastic.problems.finite_sum import FiniteSum


class NonlinearLeastSquares(FiniteSum):
    """``f_i(x) = phi_i(x)^2 / 2`` with residuals phi_i given as functions. Runs interpreted.

    Parameters
    ----------
    residuals : callable
        ``residuals(x, rows)`` returns phi_i(x) for the index array `rows`, shape (len(rows),).
    jacobian : callable
        ``jacobian(x, rows)`` returns their gradients, one per row, shape ``(len(rows), *shape)``.
    n_samples : int
    shape : int or tuple of int
        Shape of x.
    f_star : float, optional
        The minimum, if known; 0 where all residuals can vanish together.
    check_gradient : bool, default False
        Compare `jacobian` with finite differences now.

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import NGN, NonlinearLeastSquares
    >>> t = np.linspace(0, 2, 20)
    >>> data = 3.0 * np.exp(-1.5 * t)
    >>> problem = NonlinearLeastSquares(
    ...     lambda x, rows: x[0] * np.exp(-x[1] * t[rows]) - data[rows],
    ...     lambda x, rows: np.exp(-x[1] * t[rows])[:, None] * np.stack([np.ones(len(rows)), -x[0] * t[rows]], axis=1),
    ...     n_samples=20, shape=2, f_star=0.0, check_gradient=True)
    >>> optlab.solve(problem, NGN(sigma=10.0), x0=[1.0, 1.0], max_iter=4000, seed=0).solution.round(4)
    array([3. , 1.5])
    """

    def __init__(
        self,
        residuals: Callable[[np.ndarray, np.ndarray], np.ndarray],
        jacobian: Callable[[np.ndarray, np.ndarray], np.ndarray],
        n_samples: int,
        shape: int | Sequence[int],
        *,
        f_star: float | None = None,
        check_gradient: bool = False,
    ) -> None:
        for name, value in (("residuals", residuals), ("jacobian", jacobian)):
            if not callable(value):
                raise TypeError(f"{name} must be callable as {name}(x, rows), got {value!r}")
        self.residuals = residuals
        self.jacobian = jacobian
        super().__init__(n_samples, shape, f_star=f_star, check_gradient=check_gradient)

    def losses(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return half the squared residuals."""
        return 0.5 * np.square(np.asarray(self.residuals(x, rows), np.float64))

    def gradient(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the mean of residual times its gradient."""
        residuals = np.asarray(self.residuals(x, rows), np.float64)
        return np.tensordot(residuals, np.asarray(self.jacobian(x, rows)), axes=1) / len(rows)


@oracle
def _factorization_oracle(dense, values, indices, indptr, targets, integers, reals, x, rows, gradient, work):
    n_left, rank, n = integers[0], integers[1], targets.size
    total = 0.0
    gradient[:] = 0.0
    for q in range(rows.size):
        i = rows[q]
        u = integers[2 + i] * rank
        v = (n_left + integers[2 + n + i]) * rank
        r = -float(targets[i])
        for c in range(rank):
            r += float(x[u + c]) * float(x[v + c])
        total += 0.5 * r * r
        r /= rows.size
        for c in range(rank):
            gradient[u + c] += r * float(x[v + c])
            gradient[v + c] += r * float(x[u + c])
    return total / rows.size


class MatrixFactorization(FiniteSum):
    """``f_ij(U, V) = (u_i^T v_j - X_ij)^2 / 2``, one term per observed entry of X. Not convex, not globally smooth.

    The weights are U and V stacked, shape (m + n, rank); `factors` takes them apart.

    Parameters
    ----------
    X : array_like or sparse matrix, shape (m, n)
        Dense: all entries are observed, except NaN ones. Sparse: the stored entries are.
    rank : int
    f_star : float, optional
        0 for a matrix that has this rank exactly.

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import MatrixFactorization, NGN
    >>> X = np.outer([1.0, 2.0, 3.0], [1.0, -1.0])
    >>> problem = MatrixFactorization(X, rank=1, f_star=0.0)
    >>> result = optlab.solve(problem, NGN(sigma=10.0), max_iter=2000, tol=1e-20, seed=0)
    >>> U, V = problem.factors(result.solution)
    >>> np.allclose(U @ V.T, X)
    True
    """

    oracle = _factorization_oracle

    def __init__(self, X: Any, rank: int, *, f_star: float | None = None) -> None:
        rank = as_integer(rank, "rank", minimum=1)
        if is_sparse(X):
            check_sparse(X, "X")
            coo = X.tocoo()
            left, right, entries = coo.row, coo.col, as_float_array(coo.data, "X")
            shape = coo.shape
        else:
            dense = as_float_array(X.to_numpy() if hasattr(X, "to_numpy") else X, "X", ndim=2, finite=False)
            if np.isinf(dense).any():
                raise ValueError(f"X must not be infinite, got inf at index {first_index(np.isinf(dense))}")
            left, right = np.nonzero(~np.isnan(dense))
            entries, shape = dense[left, right], dense.shape
            if entries.size == 0:
                raise ValueError("X must have an observed entry, got only NaN")
        self.m, self.n = int(shape[0]), int(shape[1])
        self.rank = rank
        self.left = left.astype(np.int64)
        self.right = right.astype(np.int64)
        self.entries = read_only(entries)
        super().__init__(entries.size, (self.m + self.n, rank), dtype=entries.dtype, f_star=f_star)

    def start(self, rng: np.random.Generator) -> np.ndarray:
        """Return Gaussian factors with entries of variance 1/rank (zero is a saddle point)."""
        return (rng.standard_normal(self.shape) / np.sqrt(self.rank)).astype(self.dtype)

    def factors(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return U (m, rank) and V (n, rank)."""
        return x[: self.m], x[self.m :]

    def _residuals(self, x: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        U, V = self.factors(np.asarray(x, np.float64))
        u, v = U[self.left[rows]], V[self.right[rows]]
        return np.einsum("ij,ij->i", u, v) - self.entries[rows], u, v

    def losses(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return half the squared errors of the entries `rows`."""
        return 0.5 * np.square(self._residuals(x, rows)[0])

    def gradient(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the gradient of the mean loss over the entries `rows`."""
        r, u, v = self._residuals(x, rows)
        out = np.zeros(self.shape)
        r = r[:, None] / len(rows)
        np.add.at(out, self.left[rows], r * v)
        np.add.at(out, self.m + self.right[rows], r * u)
        return out.astype(self.dtype)

    @cached_property
    def oracle_data(self) -> OracleData:
        """What the compiled loops read."""
        integers = np.concatenate([[self.m, self.rank], self.left, self.right])
        return OracleData.make(self.dtype, targets=np.ascontiguousarray(self.entries), integers=integers)


@oracle
def _phase_oracle(dense, values, indices, indptr, targets, integers, reals, x, rows, gradient, work):
    total = 0.0
    gradient[:] = 0.0
    for q in range(rows.size):
        i = rows[q]
        z = 0.0
        for j in range(x.size):
            z += float(dense[i, j]) * float(x[j])
        r = z * z - float(targets[i])
        total += 0.25 * r * r
        slope = r * z / rows.size
        for j in range(x.size):
            gradient[j] += slope * float(dense[i, j])
    return total / rows.size


class PhaseRetrieval(FiniteSum):
    """``f_i(x) = ((a_i^T x)^2 - b_i)^2 / 4``: find x, up to sign, from squared measurements. Not convex.

    Parameters
    ----------
    A : array_like, shape (N, d)
    b : array_like, shape (N,)
        Squared measurements, at least 0.
    f_star : float, optional
        0 for exact data.

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import NGN, PhaseRetrieval
    >>> rng = np.random.default_rng(0)
    >>> A, x = rng.standard_normal((60, 4)), np.array([1.0, -2.0, 0.5, 1.0])
    >>> problem = PhaseRetrieval(A, (A @ x) ** 2, f_star=0.0)
    >>> result = optlab.solve(problem, NGN(sigma=100.0), max_iter=5000, tol=1e-20, seed=1)
    >>> bool(min(abs(result.solution - x).max(), abs(result.solution + x).max()) < 1e-8)
    True
    """

    oracle = _phase_oracle

    def __init__(self, A: Any, b: Any, *, f_star: float | None = None) -> None:
        if is_sparse(A):
            raise TypeError("A must be dense, got a sparse matrix; convert it with A.toarray()")
        self.A = as_design(A)
        b = as_float_array(b, "b", shape=(self.A.shape[0],), nonnegative=True)
        self.b = read_only(np.ascontiguousarray(b, self.A.dtype))
        super().__init__(self.A.shape[0], self.A.shape[1], dtype=self.A.dtype, f_star=f_star)

    def start(self, rng: np.random.Generator) -> np.ndarray:
        """Return a random direction of the length that the measurements suggest (zero is a saddle point)."""
        square = float(np.mean(self.b)) * self.size / max(float(np.mean(np.square(self.A)) * self.size), 1e-300)
        x = rng.standard_normal(self.size)
        return (x * np.sqrt(square / self.size)).astype(self.dtype)

    def losses(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the losses of `rows`."""
        z = np.asarray(self.A[rows] @ x, np.float64)
        return 0.25 * np.square(z * z - self.b[rows])

    def gradient(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the gradient of the mean loss over `rows`."""
        part = self.A[rows]
        z = part @ x
        return part.T @ ((z * z - self.b[rows]) * z / len(rows))

    @cached_property
    def oracle_data(self) -> OracleData:
        """What the compiled loops read."""
        return OracleData.make(self.dtype, dense=self.A, targets=self.b)
