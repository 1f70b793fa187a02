"""Softmax (multinomial logistic) regression: ``f_i(W) = logsumexp(W^T a_i) - (W^T a_i)_{y_i} + (l2/2)||W||^2``.

Weights are a (d, C) array. Per-sample smoothness ``||a_i||^2/2 + l2``; without ridge ``||grad f_i||^2 <= 2 (0.4073
||a_i||^2) f_i`` (numerical constant, twice the logistic one). The certificates are those of `linear`.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numba import uint32, uint64

from optlab.compiled.functions import Compiled
from optlab.stochastic.kernels.data import as_classes, as_design
from optlab.stochastic.kernels.losses import cross_entropy, losses_and_slopes
from optlab.stochastic.kernels.oracles import OracleData, oracle
from optlab.stochastic.problems.reference import minimum_of_softmax
from optlab.stochastic.problems.scores import LinearScores


@oracle
def _dense_oracle(dense, values, indices, indptr, targets, integers, reals, x, rows, gradient, work):
    classes, l2 = integers[0], reals[0]
    d = dense.shape[1]
    end = d * classes  # from there on x holds the intercepts, if there are any
    total, square = 0.0, 0.0
    for j in range(end):
        square += float(x[j]) * float(x[j])
        gradient[j] = l2 * float(x[j])
    gradient[end:] = 0.0
    z = work[:classes]
    for q in range(rows.size):
        i = rows[q]
        for c in range(classes):
            z[c] = float(x[end + c]) if end < x.size else 0.0
        for j in range(d):
            a = float(dense[i, j])
            for c in range(classes):
                z[c] += a * float(x[j * classes + c])
        total += cross_entropy(z, integers[2 + i])
        if end < x.size:
            for c in range(classes):
                gradient[end + c] += z[c] / rows.size
        for j in range(d):
            a = float(dense[i, j]) / rows.size
            for c in range(classes):
                gradient[j * classes + c] += a * z[c]
    return total / rows.size + 0.5 * l2 * square


@oracle
def _sparse_oracle(dense, values, indices, indptr, targets, integers, reals, x, rows, gradient, work):
    classes, l2 = integers[0], reals[0]
    end = x.size - classes * integers[1]  # from there on x holds the intercepts, if there are any
    total, square = 0.0, 0.0
    for j in range(end):
        square += float(x[j]) * float(x[j])
        gradient[j] = l2 * float(x[j])
    gradient[end:] = 0.0
    z = work[:classes]
    for q in range(rows.size):
        i = rows[q]
        for c in range(classes):
            z[c] = float(x[end + c]) if end < x.size else 0.0
        for p in range(uint64(indptr[i]), uint64(indptr[i + 1])):
            for c in range(classes):
                z[c] += float(values[p]) * float(x[uint32(indices[p]) * classes + c])
        total += cross_entropy(z, integers[2 + i])
        if end < x.size:
            for c in range(classes):
                gradient[end + c] += z[c] / rows.size
        for p in range(uint64(indptr[i]), uint64(indptr[i + 1])):
            a = float(values[p]) / rows.size
            for c in range(classes):
                gradient[uint32(indices[p]) * classes + c] += a * z[c]
    return total / rows.size + 0.5 * l2 * square


class SoftmaxRegression(LinearScores):
    """Multinomial logistic regression; the solution is a (d, C) array of weights.

    Parameters
    ----------
    A : array_like, sparse matrix or data frame, shape (N, d)
        Samples in rows.
    y : array_like, shape (N,)
        Labels of any kind; `classes` keeps them sorted, in the order of the columns of the weights.
    l2 : float, default 0
    f_star : float, "auto", "compute" or None, default "auto"
        The minimum for the ``gap``: known; computed if that is cheap, or in any case; or not wanted.
    intercept : bool, default False
        Whether the weights have one more row, the last, that is added to the scores and free of the ridge term.

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

    def __init__(self, A: Any, y: Any, l2: float = 0.0, *, f_star: Any = "auto", intercept: bool = False) -> None:
        A = as_design(A)
        self._setup(A, *as_classes(y, A.shape[0]), l2, f_star, intercept)

    def _setup(self, A: Any, classes: np.ndarray, labels: np.ndarray, l2: float, f_star: Any, intercept: bool) -> None:
        """Finish construction, with checked data; a class need not occur among the labels."""
        self.classes, self.labels = classes, labels
        self._prepare(A, l2, f_star, intercept, len(classes))

    @cached_property
    def smoothness(self) -> np.ndarray:
        """Per-sample constants ``||a_i||^2 / 2 + l2`` (``||a_i||^2 + 1`` with intercepts)."""
        return 0.5 * (self.row_norms + self.intercept) + self.l2

    @cached_property
    def self_bounding(self) -> np.ndarray:
        """Per-sample constants with ``||grad f_i||^2 <= 2 kappa_i f_i``."""
        return self.smoothness if self.l2 > 0 else 0.4073 * (self.row_norms + self.intercept)

    @cached_property
    def _minimum(self) -> tuple[float | None, str]:
        if not self._solves:
            return super()._minimum
        return minimum_of_softmax(self)

    def loss_and_slope(self, z: np.ndarray, rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the losses at scores `z`, without ridge term, and their gradients in the scores."""
        return losses_and_slopes(z, self.labels if rows is None else self.labels[rows])

    def accuracy(self, z: np.ndarray) -> float:
        """Return the share of samples whose own class has the largest score."""
        return float(np.mean(np.argmax(z, axis=1) == self.labels))

    @property
    def oracle(self) -> Compiled:  # type: ignore[override]
        """The compiled gradient."""
        return _sparse_oracle if self.is_sparse else _dense_oracle

    def work_size(self, batch: int) -> int:
        """Room for the scores of one sample."""
        return len(self.classes)

    @cached_property
    def oracle_data(self) -> OracleData:
        """What the compiled loops read."""
        kind = "sparse" if self.is_sparse else "dense"
        integers = np.concatenate([[len(self.classes), self.intercept], self.labels])
        return OracleData.make(self.dtype, **{kind: self.A}, integers=integers, reals=[self.l2])
