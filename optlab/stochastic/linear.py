"""Linear models ``f_i(x) = l(a_i^T x, t_i) + (l2/2)||x||^2``: least squares, logistic, sigmoid and tanh losses.

Dense or CSR data, float32 or float64, kept as given. The ridge term belongs to every f_i, so that with ``l2 > 0`` also
``inf f_i > 0``. Constants are those of `losses`. Softmax regression is in `softmax`.

Certificates. With ``l2 > 0`` and convex l, the dual point read off the gradient has the duality gap
``||grad f(x)||^2 / (2 l2)`` exactly (derived here: Fenchel's equality holds sample by sample), so ``duality_gap`` costs
nothing. ``gap`` is f(x) less a certified lower bound of the minimum (`reference`).
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numba import uint32, uint64

from optlab.core.validation import as_number
from optlab.stochastic import losses as scalar
from optlab.stochastic.compilation import Compiled, OracleData, oracle
from optlab.stochastic.data import as_design, as_signs, as_targets, is_sparse
from optlab.stochastic.losses import scalar_loss
from optlab.stochastic.problem import FiniteSum

# f_star="auto" solves for the minimum up to this many multiplications per Hessian
AUTO_WORK = 3e8


@oracle
def _dense_oracle(dense, values, indices, indptr, targets, integers, reals, x, rows, gradient, work):
    code, l2 = integers[0], reals[0]
    total, square = 0.0, 0.0
    for j in range(x.size):
        square += float(x[j]) * float(x[j])
        gradient[j] = l2 * float(x[j])
    for q in range(rows.size):
        i = rows[q]
        z = 0.0
        for j in range(x.size):
            z += float(dense[i, j]) * float(x[j])
        f, slope = scalar_loss(code, z, float(targets[i]))
        total += f
        slope /= rows.size
        for j in range(x.size):
            gradient[j] += slope * float(dense[i, j])
    return total / rows.size + 0.5 * l2 * square


@oracle
def _sparse_oracle(dense, values, indices, indptr, targets, integers, reals, x, rows, gradient, work):
    code, l2 = integers[0], reals[0]
    total, square = 0.0, 0.0
    for j in range(x.size):
        square += float(x[j]) * float(x[j])
        gradient[j] = l2 * float(x[j])
    for q in range(rows.size):
        i = rows[q]
        z = 0.0
        for p in range(uint64(indptr[i]), uint64(indptr[i + 1])):
            z += float(values[p]) * float(x[uint32(indices[p])])
        f, slope = scalar_loss(code, z, float(targets[i]))
        total += f
        slope /= rows.size
        for p in range(uint64(indptr[i]), uint64(indptr[i + 1])):
            gradient[uint32(indices[p])] += slope * float(values[p])
    return total / rows.size + 0.5 * l2 * square


def row_squares(A: Any) -> np.ndarray:
    """Return the squared Euclidean norms of the rows of a dense or CSR matrix, in float64."""
    if not is_sparse(A):
        return np.einsum("ij,ij->i", A, A, dtype=np.float64)
    sums = np.zeros(A.shape[0])
    filled = np.diff(A.indptr) > 0
    if filled.any():
        sums[filled] = np.add.reduceat(np.square(A.data, dtype=np.float64), A.indptr[:-1][filled])
    return sums


class LinearModel(FiniteSum):
    """Base of the linear models: data, losses, metrics, and what the compiled loops read."""

    code: ClassVar[int]  # of the scalar loss

    def _setup(self, A: Any, targets: np.ndarray, l2: float, f_star: Any) -> None:
        """Finish construction, with checked data."""
        self.A = A
        self.targets = targets
        self.l2 = as_number(l2, "l2", minimum=0)
        solves = f_star in ("auto", "compute") if isinstance(f_star, str) else False
        if isinstance(f_star, str) and not solves:
            raise ValueError(f"f_star must be a number, None, 'auto' or 'compute', got {f_star!r}")
        super().__init__(A.shape[0], A.shape[1], dtype=A.dtype, f_star=None if solves else f_star)
        small = float(A.shape[0]) * A.shape[1] * min(A.shape) <= AUTO_WORK
        self._solves = self.convex and (f_star == "compute" or (f_star == "auto" and small)) if solves else False
        if self._solves:
            self.primary_metric = "gap"
        elif self.convex and self.l2 > 0 and self._f_star is None:
            self.primary_metric = "duality_gap"

    @property
    def is_sparse(self) -> bool:
        """Whether the data are CSR."""
        return is_sparse(self.A)

    @cached_property
    def row_norms(self) -> np.ndarray:
        """Squared Euclidean norms of the rows of A."""
        return row_squares(self.A)

    @cached_property
    def smoothness(self) -> np.ndarray:
        """Per-sample constants ``L_i = c ||a_i||^2 + l2``."""
        return scalar.SMOOTHNESS[self.code] * self.row_norms + self.l2

    @cached_property
    def self_bounding(self) -> np.ndarray:
        """Per-sample constants with ``||grad f_i||^2 <= 2 kappa_i f_i``; with ``l2 > 0`` these are L_i."""
        if self.l2 > 0:
            return self.smoothness
        return scalar.SELF_BOUNDING[self.code] * self.row_norms

    @cached_property
    def _minimum(self) -> tuple[float | None, str]:
        if not self._solves:
            return super()._minimum
        from optlab.stochastic.reference import minimum_of_linear_model

        return minimum_of_linear_model(self)

    def margins(self, x: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Return ``A x``, or its entries at `rows`."""
        return np.asarray((self.A if rows is None else self.A[rows]) @ x)

    def losses(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the losses of `rows`, ridge term included."""
        value, _ = scalar.loss_and_derivative(self.code, self.margins(x, rows), self.targets[rows])
        return value + 0.5 * self.l2 * float(np.dot(x, x))

    def gradient(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the gradient of the mean loss over `rows`."""
        part = self.A[rows]
        _, slope = scalar.loss_and_derivative(self.code, part @ x, self.targets[rows])
        return part.T @ (slope / len(rows)).astype(self.dtype) + self.l2 * np.asarray(x)

    def gradients(self, x: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Return the gradient of every sample in `rows` (default: all), one per row, dense."""
        part = self.A if rows is None else self.A[rows]
        targets = self.targets if rows is None else self.targets[rows]
        _, slope = scalar.loss_and_derivative(self.code, part @ x, targets)
        dense = part.toarray() if self.is_sparse else part
        return slope[:, None] * dense + self.l2 * np.asarray(x)

    def objective_and_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return f(x) and its gradient in two passes over the data."""
        return self._value_gradient(x, self.margins(x))

    def _value_gradient(self, x: np.ndarray, z: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = scalar.loss_and_derivative(self.code, z, self.targets)
        gradient = self.A.T @ (slope / self.n_samples).astype(self.dtype) + self.l2 * x
        w2 = float(np.dot(x.astype(np.float64, copy=False), x)) if self.l2 > 0 else 0.0
        return float(np.mean(value)) + 0.5 * self.l2 * w2, gradient

    def measure(self, x: np.ndarray) -> dict[str, float]:
        """Return objective, gradient norm, gap, duality gap and accuracy, as far as they apply."""
        z = self.margins(x)
        value, gradient = self._value_gradient(x, z)
        norm = float(np.linalg.norm(gradient.astype(np.float64, copy=False)))
        row = {"objective": value, "gradient_norm": norm}
        if self.f_star is not None:
            row["gap"] = max(value - self.f_star, 0.0)
        if self.convex and self.l2 > 0:
            row["duality_gap"] = norm * norm / (2.0 * self.l2)
        accuracy = self.accuracy(z)
        if accuracy is not None:
            row["accuracy"] = accuracy
        return row

    def accuracy(self, z: np.ndarray) -> float | None:
        """Return the share of samples classified correctly at margins `z`; None for regression."""
        return None

    @property
    def oracle(self) -> Compiled:  # type: ignore[override]
        """The compiled gradient."""
        return _sparse_oracle if self.is_sparse else _dense_oracle

    @cached_property
    def oracle_data(self) -> OracleData:
        """What the compiled loops read."""
        kind = "sparse" if self.is_sparse else "dense"
        return OracleData.make(
            self.dtype, **{kind: self.A}, targets=self.targets, integers=[self.code], reals=[self.l2]
        )

    def __repr__(self) -> str:
        n, d = self.A.shape
        kind = f"CSR, {self.A.nnz / n:.3g} non-zeros a row" if self.is_sparse else "dense"
        return f"{type(self).__name__}({n} x {d} {kind} {self.dtype}, l2={self.l2:g})"


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

    def __init__(self, A: Any, b: Any, l2: float = 0.0, *, f_star: Any = "auto") -> None:
        A = as_design(A)
        self._setup(A, as_targets(b, A.shape[0], A.dtype), l2, f_star)


class LogisticRegression(LinearModel):
    """``f_i(x) = log(1 + exp(-y_i a_i^T x)) + (l2/2)||x||^2`` with labels y_i = -1, 1; f is their mean.

    Parameters
    ----------
    A : array_like, sparse matrix or data frame, shape (N, d)
        Samples in rows; append a column of ones for an intercept.
    y : array_like, shape (N,)
        Two different labels of any kind; the larger one counts as 1. `classes` keeps them.
    l2 : float, default 0
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

    def __init__(self, A: Any, y: Any, l2: float = 0.0, *, f_star: Any = "auto") -> None:
        A = as_design(A)
        self.classes, signs = as_signs(y, A.shape[0], A.dtype)
        self._setup(A, signs, l2, f_star)

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
    """

    code = scalar.SIGMOID
    allowed: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __init__(self, A: Any, b: Any, l2: float = 0.0, *, f_star: float | None = None) -> None:
        A = as_design(A)
        targets = as_targets(b, A.shape[0], A.dtype)
        low, high = self.allowed
        wrong = (targets != low) & (targets != high)
        if wrong.any():
            at = int(np.argmax(wrong))
            raise ValueError(f"b must hold {low:g} and {high:g} only, got {targets[at]} at index [{at}]")
        self._setup(A, targets, l2, f_star)

    def accuracy(self, z: np.ndarray) -> float:
        """Return the share of samples on the right side."""
        return float(np.mean((z > 0) == (self.targets == self.allowed[1])))


class TanhLeastSquares(SigmoidLeastSquares):
    """``f_i(x) = (tanh(a_i^T x) - b_i)^2 / 2 + (l2/2)||x||^2`` with targets -1 and 1. Not convex.

    Parameters
    ----------
    A, b, l2, f_star
        As for `SigmoidLeastSquares`, with targets -1 and 1.
    """

    code = scalar.TANH
    allowed = (-1.0, 1.0)
