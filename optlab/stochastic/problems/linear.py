"""Linear models ``f_i(x) = l(a_i^T x, t_i) + (l2/2)||x||^2``: least squares, logistic, sigmoid and tanh losses.

Dense or CSR data, float32 or float64, kept as given. Constants are those of `losses`. Softmax regression is in
`softmax`; what both share is in `scores`.

Certificates: `certificate` (``duality_gap``, which costs nothing) and `reference` (``gap``, f(x) less a certified lower
bound of the minimum).
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numba import uint32, uint64

from optlab.compiled.functions import Compiled
from optlab.stochastic.kernels import losses as scalar
from optlab.stochastic.kernels.data import as_design, as_signs, as_targets
from optlab.stochastic.kernels.losses import scalar_loss
from optlab.stochastic.kernels.oracles import LinearData, OracleData, oracle
from optlab.stochastic.problems.reference import minimum_of_linear_model
from optlab.stochastic.problems.scores import LinearScores


@oracle
def _dense_oracle(dense, values, indices, indptr, targets, integers, reals, x, rows, gradient, work):
    code, l2 = integers[0], reals[0]
    d = x.size - integers[1]  # x[d] is the intercept, if there is one
    total, square = 0.0, 0.0
    for j in range(d):
        square += float(x[j]) * float(x[j])
        gradient[j] = l2 * float(x[j])
    gradient[d:] = 0.0
    for q in range(rows.size):
        i = rows[q]
        z = float(x[d]) if d < x.size else 0.0
        for j in range(d):
            z += float(dense[i, j]) * float(x[j])
        f, slope = scalar_loss(code, z, float(targets[i]))
        total += f
        slope /= rows.size
        if d < x.size:
            gradient[d] += slope
        for j in range(d):
            gradient[j] += slope * float(dense[i, j])
    return total / rows.size + 0.5 * l2 * square


@oracle
def _sparse_oracle(dense, values, indices, indptr, targets, integers, reals, x, rows, gradient, work):
    code, l2 = integers[0], reals[0]
    d = x.size - integers[1]  # x[d] is the intercept, if there is one
    total, square = 0.0, 0.0
    for j in range(d):
        square += float(x[j]) * float(x[j])
        gradient[j] = l2 * float(x[j])
    gradient[d:] = 0.0
    for q in range(rows.size):
        i = rows[q]
        z = float(x[d]) if d < x.size else 0.0
        for p in range(uint64(indptr[i]), uint64(indptr[i + 1])):
            z += float(values[p]) * float(x[uint32(indices[p])])
        f, slope = scalar_loss(code, z, float(targets[i]))
        total += f
        slope /= rows.size
        if d < x.size:
            gradient[d] += slope
        for p in range(uint64(indptr[i]), uint64(indptr[i + 1])):
            gradient[uint32(indices[p])] += slope * float(values[p])
    return total / rows.size + 0.5 * l2 * square


class LinearModel(LinearScores):
    """Base of the linear models: data, losses, metrics, and what the compiled loops read."""

    code: ClassVar[int]  # of the scalar loss

    def _setup(self, A: Any, targets: np.ndarray, l2: float, f_star: Any, intercept: bool = False) -> None:
        """Finish construction, with checked data."""
        self.targets = targets
        self._prepare(A, l2, f_star, intercept)

    @property
    def squares(self) -> bool:  # type: ignore[override]
        """Whether the losses are squares."""
        return self.code == scalar.SQUARES

    @cached_property
    def smoothness(self) -> np.ndarray:
        """Per-sample constants ``L_i = c ||a_i||^2 + l2`` (``||a_i||^2 + 1`` with an intercept)."""
        return scalar.SMOOTHNESS[self.code] * (self.row_norms + self.intercept) + self.l2

    @cached_property
    def self_bounding(self) -> np.ndarray:
        """Per-sample constants with ``||grad f_i||^2 <= 2 kappa_i f_i``; with ``l2 > 0`` these are L_i."""
        if self.l2 > 0:
            return self.smoothness
        return scalar.SELF_BOUNDING[self.code] * (self.row_norms + self.intercept)

    @cached_property
    def _minimum(self) -> tuple[float | None, str]:
        if not self._solves:
            return super()._minimum
        return minimum_of_linear_model(self)

    def loss_and_slope(self, z: np.ndarray, rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the losses at margins `z`, without ridge term, and their derivatives."""
        return scalar.loss_and_derivative(self.code, z, self.targets if rows is None else self.targets[rows])

    def gradients(self, x: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Return the gradient of every sample in `rows` (default: all), one per row, dense."""
        part = self.A if rows is None else self.A[rows]
        _, slope = self.loss_and_slope(self.margins(x, rows), rows)
        gradients = slope[:, None] * (part.toarray() if self.is_sparse else part)
        if self.intercept:
            gradients = np.column_stack([gradients, slope])
        return gradients + self.ridge(x)[1]

    @property
    def oracle(self) -> Compiled:  # type: ignore[override]
        """The compiled gradient."""
        return _sparse_oracle if self.is_sparse else _dense_oracle

    @cached_property
    def oracle_data(self) -> OracleData:
        """What the oracle reads."""
        kind = "sparse" if self.is_sparse else "dense"
        return OracleData.make(
            self.dtype, **{kind: self.A}, targets=self.targets, integers=[self.code, self.intercept], reals=[self.l2]
        )

    @property
    def linear_data(self) -> LinearData:
        """What the loops of linear models read."""
        dense, values, indices, indptr, targets, _, _ = self.oracle_data
        return LinearData(dense, values, indices, indptr, targets, self.row_norms, self.l2, self.code)

    def __repr__(self) -> str:
        n, d = self.A.shape
        kind = f"CSR, {self.A.nnz / n:.3g} non-zeros a row" if self.is_sparse else "dense"
        free = ", intercept=True" if self.intercept else ""
        return f"{type(self).__name__}({n} x {d} {kind} {self.dtype}, l2={self.l2:g}{free})"


class LeastSquares(LinearModel):
    """``f_i(x) = (a_i^T x - b_i)^2 / 2 + (l2/2)||x||^2``; f is their mean.

    Parameters
    ----------
    A : array_like, sparse matrix or data frame, shape (N, d)
        Samples in rows; float32 and float64 arrays are used as they are.
    b : array_like, shape (N,)
    l2 : float, default 0
        Ridge weight.
    f_star : float, "auto", "compute" or None, default "auto"
        The minimum for the ``gap``: known; computed if that is cheap, or in any case; or not wanted.
    intercept : bool, default False
        Whether there is one more weight, the last, that is added to every margin and free of the ridge term.

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import LeastSquares, NGN
    >>> A = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]])
    >>> problem = LeastSquares(A, A @ [1.0, -1.0])
    >>> result = optlab.solve(problem, NGN(sigma=10.0), max_iter=1000, tol=1e-12, seed=0)
    >>> result.solution.round(5)
    array([ 1., -1.])
    """

    code = scalar.SQUARES
    convex = True

    def __init__(self, A: Any, b: Any, l2: float = 0.0, *, f_star: Any = "auto", intercept: bool = False) -> None:
        A = as_design(A)
        self._setup(A, as_targets(b, A.shape[0], A.dtype), l2, f_star, intercept)


class LogisticRegression(LinearModel):
    """``f_i(x) = log(1 + exp(-y_i a_i^T x)) + (l2/2)||x||^2`` with labels y_i = -1, 1; f is their mean.

    Parameters
    ----------
    A : array_like, sparse matrix or data frame, shape (N, d)
        Samples in rows.
    y : array_like, shape (N,)
        Two different labels of any kind; the larger one counts as 1. `classes` keeps them.
    l2 : float, default 0
    intercept : bool, default False
    f_star : float, "auto", "compute" or None, default "auto"
        See `LeastSquares`. For separable data without ridge term it is 0, which no x attains.

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import LogisticRegression, NGN
    >>> problem = LogisticRegression([[1.0], [2.0], [-1.0], [0.5]], ["yes", "yes", "no", "no"], l2=0.1)
    >>> result = optlab.solve(problem, NGN(sigma=1.0, batch_size=4), tol=1e-8)
    >>> result.success, result.metrics["accuracy"]
    (True, 0.75)
    """

    code = scalar.LOGISTIC
    convex = True

    def __init__(self, A: Any, y: Any, l2: float = 0.0, *, f_star: Any = "auto", intercept: bool = False) -> None:
        A = as_design(A)
        self.classes, signs = as_signs(y, A.shape[0], A.dtype)
        self._setup(A, signs, l2, f_star, intercept)

    def accuracy(self, z: np.ndarray) -> float:
        """Return the share of samples on the right side (margin 0 counts as the first class)."""
        return float(np.mean((z > 0) == (self.targets > 0)))


class SigmoidLeastSquares(LinearModel):
    """``f_i(x) = (s(a_i^T x) - b_i)^2 / 2 + (l2/2)||x||^2`` with the logistic function s. Not convex.

    Parameters
    ----------
    A : array_like, sparse matrix or data frame, shape (N, d)
    b : array_like, shape (N,)
        Targets 0 and 1, for which the smoothness constant holds.
    l2 : float, default 0
    f_star : float, optional
        The minimum, or a lower bound, if known.
    intercept : bool, default False
        See `LeastSquares`.
    """

    code = scalar.SIGMOID
    allowed: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __init__(
        self, A: Any, b: Any, l2: float = 0.0, *, f_star: float | None = None, intercept: bool = False
    ) -> None:
        A = as_design(A)
        targets = as_targets(b, A.shape[0], A.dtype)
        low, high = self.allowed
        wrong = (targets != low) & (targets != high)
        if wrong.any():
            at = int(np.argmax(wrong))
            raise ValueError(f"b must hold {low:g} and {high:g} only, got {targets[at]} at index [{at}]")
        self._setup(A, targets, l2, f_star, intercept)

    def accuracy(self, z: np.ndarray) -> float:
        """Return the share of samples on the right side."""
        return float(np.mean((z > 0) == (self.targets == self.allowed[1])))


class TanhLeastSquares(SigmoidLeastSquares):
    """``f_i(x) = (tanh(a_i^T x) - b_i)^2 / 2 + (l2/2)||x||^2`` with targets -1 and 1. Not convex.

    Parameters
    ----------
    A, b, l2, f_star, intercept
        As for `SigmoidLeastSquares`, with targets -1 and 1.
    """

    code = scalar.TANH
    allowed = (-1.0, 1.0)
