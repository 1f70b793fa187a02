"""Softmax (multinomial logistic) regression: ``f_i(W) = logsumexp(W^T a_i) - (W^T a_i)_{y_i} + (l2/2)||W||^2``.

Weights are a (d, C) array. Per-sample smoothness ``||a_i||^2/2 + l2``; without ridge ``||grad f_i||^2 <= 2 (0.4073
||a_i||^2) f_i`` (numerical constant, twice the logistic one). The certificates are those of `linear`.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numba import njit, uint32, uint64

from optlab.core.validation import as_number
from optlab.stochastic.compilation import Compiled, OracleData, oracle
from optlab.stochastic.data import as_classes, as_design, is_sparse
from optlab.stochastic.linear import AUTO_WORK, row_squares
from optlab.stochastic.problem import FiniteSum


@njit(cache=True, error_model="numpy")
def cross_entropy(z, label):
    """Replace the scores `z` by the gradient of the loss in them and return the loss. No overflow."""
    n = z.size
    top = z[0]
    for c in range(1, n):
        top = max(top, z[c])
    at_label = z[label]
    total = 0.0
    others = 0.0
    for c in range(n):
        z[c] = np.exp(z[c] - top)
        total += z[c]
        if c != label:
            others += z[c]
    # log(total) - (z_label - top): by log1p where the label wins, so that a loss of 1e-20 is not rounded to 0
    if at_label == top:
        loss = np.log1p(others)
    else:
        loss = np.log(total) - (at_label - top)
    for c in range(n):
        z[c] /= total
    z[label] = -others / total
    return loss


@oracle
def _dense_oracle(dense, values, indices, indptr, targets, integers, reals, x, rows, gradient, work):
    classes, l2 = integers[0], reals[0]
    d = dense.shape[1]
    total, square = 0.0, 0.0
    for j in range(x.size):
        square += float(x[j]) * float(x[j])
        gradient[j] = l2 * float(x[j])
    z = work[:classes]
    for q in range(rows.size):
        i = rows[q]
        z[:] = 0.0
        for j in range(d):
            a = float(dense[i, j])
            for c in range(classes):
                z[c] += a * float(x[j * classes + c])
        total += cross_entropy(z, integers[1 + i])
        for j in range(d):
            a = float(dense[i, j]) / rows.size
            for c in range(classes):
                gradient[j * classes + c] += a * z[c]
    return total / rows.size + 0.5 * l2 * square


@oracle
def _sparse_oracle(dense, values, indices, indptr, targets, integers, reals, x, rows, gradient, work):
    classes, l2 = integers[0], reals[0]
    total, square = 0.0, 0.0
    for j in range(x.size):
        square += float(x[j]) * float(x[j])
        gradient[j] = l2 * float(x[j])
    z = work[:classes]
    for q in range(rows.size):
        i = rows[q]
        z[:] = 0.0
        for p in range(uint64(indptr[i]), uint64(indptr[i + 1])):
            for c in range(classes):
                z[c] += float(values[p]) * float(x[uint32(indices[p]) * classes + c])
        total += cross_entropy(z, integers[1 + i])
        for p in range(uint64(indptr[i]), uint64(indptr[i + 1])):
            a = float(values[p]) / rows.size
            for c in range(classes):
                gradient[uint32(indices[p]) * classes + c] += a * z[c]
    return total / rows.size + 0.5 * l2 * square


def losses_and_slopes(z: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vectorised `cross_entropy` in NumPy: losses, and their gradients in the scores z (one row per sample)."""
    z = np.asarray(z, np.float64)
    row = np.arange(len(z))
    top = z.max(axis=1)
    shifted = z - top[:, None]
    at_label = shifted[row, labels]
    e = np.exp(shifted)
    total = e.sum(axis=1)
    e[row, labels] = 0.0
    others = e.sum(axis=1)
    values = np.where(at_label == 0.0, np.log1p(others), np.log(total) - at_label)
    slopes = e / total[:, None]
    slopes[row, labels] = -others / total
    return values, slopes


class SoftmaxRegression(FiniteSum):
    """Multinomial logistic regression; the solution is a (d, C) array of weights.

    Parameters
    ----------
    A : array_like, sparse matrix or data frame, shape (N, d)
        Samples in rows; append a column of ones for intercepts.
    y : array_like, shape (N,)
        Labels of any kind; `classes` keeps them sorted, in the order of the columns of the weights.
    l2 : float, default 0
    f_star : float, "auto", "compute" or None, default "auto"
        The minimum for the ``gap``: known; computed if that is cheap, or in any case; or not wanted.

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import NGN, SoftmaxRegression
    >>> A = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0], [1.0, 0.2]])
    >>> problem = SoftmaxRegression(A, ["a", "b", "c", "a"], l2=0.01)
    >>> result = optlab.solve(problem, NGN(sigma=5.0, batch_size=4), tol=1e-8)
    >>> result.success, result.solution.shape, result.metrics["accuracy"]
    (True, (2, 3), 1.0)
    """

    convex = True

    def __init__(self, A: Any, y: Any, l2: float = 0.0, *, f_star: Any = "auto") -> None:
        self.A = as_design(A)
        n, d = self.A.shape
        self.classes, self.labels = as_classes(y, n)
        self.l2 = as_number(l2, "l2", minimum=0)
        solves = isinstance(f_star, str)
        if solves and f_star not in ("auto", "compute"):
            raise ValueError(f"f_star must be a number, None, 'auto' or 'compute', got {f_star!r}")
        c = len(self.classes)
        super().__init__(n, (d, c), dtype=self.A.dtype, f_star=None if solves else f_star)
        # quasi-Newton takes hundreds of passes over the data
        self._solves = solves and (f_star == "compute" or 1000.0 * n * d * c <= 3 * AUTO_WORK)
        if self._solves:
            self.primary_metric = "gap"
        elif self.l2 > 0 and self._f_star is None:
            self.primary_metric = "duality_gap"

    @cached_property
    def smoothness(self) -> np.ndarray:
        """Per-sample constants ``||a_i||^2 / 2 + l2``."""
        return 0.5 * self.row_norms + self.l2

    @cached_property
    def self_bounding(self) -> np.ndarray:
        """Per-sample constants with ``||grad f_i||^2 <= 2 kappa_i f_i``."""
        return self.smoothness if self.l2 > 0 else 0.4073 * self.row_norms

    @cached_property
    def row_norms(self) -> np.ndarray:
        """Squared Euclidean norms of the rows of A."""
        return row_squares(self.A)

    @cached_property
    def _minimum(self) -> tuple[float | None, str]:
        if not self._solves:
            return super()._minimum
        from optlab.stochastic.reference import minimum_of_softmax

        return minimum_of_softmax(self)

    def losses(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the losses of `rows`, ridge term included."""
        return losses_and_slopes(self.A[rows] @ x, self.labels[rows])[0] + 0.5 * self.l2 * float(np.sum(x * x))

    def gradient(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the gradient of the mean loss over `rows`."""
        part = self.A[rows]
        slopes = losses_and_slopes(part @ x, self.labels[rows])[1]
        return part.T @ (slopes / len(rows)).astype(self.dtype) + self.l2 * x

    def objective_and_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return f(W) and its gradient."""
        return self._value_gradient(x, self.A @ x)

    def _value_gradient(self, x: np.ndarray, z: np.ndarray) -> tuple[float, np.ndarray]:
        values, slopes = losses_and_slopes(z, self.labels)
        gradient = self.A.T @ (slopes / self.n_samples).astype(self.dtype) + self.l2 * x
        return float(np.mean(values)) + 0.5 * self.l2 * float(np.sum(np.square(x, dtype=np.float64))), gradient

    def measure(self, x: np.ndarray) -> dict[str, float]:
        """Return objective, gradient norm, gap, duality gap (with ``l2 > 0``) and accuracy."""
        z = self.A @ x
        value, gradient = self._value_gradient(x, z)
        norm = float(np.linalg.norm(gradient.astype(np.float64, copy=False)))
        row = {"objective": value, "gradient_norm": norm}
        if self.f_star is not None:
            row["gap"] = max(value - self.f_star, 0.0)
        if self.l2 > 0:
            row["duality_gap"] = norm * norm / (2.0 * self.l2)
        row["accuracy"] = float(np.mean(np.argmax(z, axis=1) == self.labels))
        return row

    @property
    def oracle(self) -> Compiled:  # type: ignore[override]
        """The compiled gradient."""
        return _sparse_oracle if is_sparse(self.A) else _dense_oracle

    def work_size(self, batch: int) -> int:
        """Room for the scores of one sample."""
        return len(self.classes)

    @cached_property
    def oracle_data(self) -> OracleData:
        """What the compiled loops read."""
        kind = "sparse" if is_sparse(self.A) else "dense"
        integers = np.concatenate([[len(self.classes)], self.labels])
        return OracleData.make(self.dtype, **{kind: self.A}, integers=integers, reals=[self.l2])
