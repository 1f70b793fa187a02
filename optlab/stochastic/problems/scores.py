"""What linear models and softmax regression share: scores ``A w + b``, the ridge term, the intercept, the metrics.

The ridge term belongs to every f_i, so that with ``l2 > 0`` also ``inf f_i > 0``; an intercept is free of it.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from optlab.core.validation import as_flag, as_number
from optlab.stochastic.kernels.data import is_sparse, row_squares
from optlab.stochastic.problems.certificate import duality_gap
from optlab.stochastic.problems.finite_sum import FiniteSum

# f_star="auto" solves for the minimum up to about this many multiplications, which take about a second
AUTO_WORK = 1e9


def minimum_work(A: Any, outputs: int, squares: bool) -> float:
    """Return about how many multiplications `reference` takes for the minimum, data with `outputs` columns of weights.

    Least squares: a decomposition (dense) or LSQR. Otherwise a thousand iterations of L-BFGS, each with two products
    with the data and 300 with vectors of the weights' length (it keeps 40), and ten Newton steps where those are tried.
    Sparse data count by their entries.
    """
    n, d = (float(s) for s in A.shape)
    entries = float(A.nnz) if is_sparse(A) else n * d
    if squares:
        return (20 * min(n, d) + 1000) * (2 * entries + 5 * (n + d)) if is_sparse(A) else 3 * n * d * min(n, d)
    size = d * outputs
    newton = 10.0 * entries * size * outputs if size <= 1000 else 0.0
    return 1000.0 * (2 * entries * outputs + 300 * size) + newton


class LinearScores(FiniteSum):
    """Base of the problems whose losses depend on the weights through ``A w`` only, plus a ridge term."""

    squares = False  # whether the losses are squares, for which a direct solver finds the minimum

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError(f"{type(self).__name__} is a base of problems, without a loss; make a LeastSquares for example")

    def _prepare(self, A: Any, l2: float, f_star: Any, intercept: bool, outputs: int | None = None) -> None:
        """Set up data, ridge weight, intercept and what is known of the minimum."""
        self.A = A
        self.l2 = as_number(l2, "l2", minimum=0)
        self.intercept = as_flag(intercept, "intercept")
        solves = isinstance(f_star, str)
        if solves and f_star not in ("auto", "compute"):
            raise ValueError(f"f_star must be a number, None, 'auto' or 'compute', got {f_star!r}")
        rows = A.shape[1] + self.intercept
        super().__init__(
            A.shape[0],
            rows if outputs is None else (rows, outputs),
            dtype=A.dtype,
            f_star=None if solves else f_star,
        )
        cheap = solves and (f_star == "compute" or minimum_work(A, outputs or 1, self.squares) <= AUTO_WORK)
        self._solves = self.convex and cheap
        if self._solves:
            self.primary_metric = "gap"
        elif self.convex and self.l2 > 0 and self._f_star is None:
            self.primary_metric = "duality_gap"

    def loss_and_slope(self, z: np.ndarray, rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the losses at scores `z` of all samples, or of `rows`, and their derivatives in the scores."""
        raise NotImplementedError

    def accuracy(self, z: np.ndarray) -> float | None:
        """Return the share of samples classified correctly at scores `z`; None for regression."""
        return None

    @property
    def is_sparse(self) -> bool:
        """Whether the data are CSR."""
        return is_sparse(self.A)

    @cached_property
    def row_norms(self) -> np.ndarray:
        """Squared Euclidean norms of the rows of A."""
        return row_squares(self.A)

    def split(self, x: np.ndarray) -> tuple[np.ndarray, Any]:
        """Return the weights of the features, and the intercept (0 if there is none)."""
        x = np.asarray(x)
        return (x[:-1], x[-1]) if self.intercept else (x, 0.0)

    def margins(self, x: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Return the scores, ``A w`` plus the intercept, of all samples or of `rows`."""
        w, b = self.split(x)
        z = np.asarray((self.A if rows is None else self.A[rows]) @ w)
        return z + b if self.intercept else z

    def combine(self, slopes: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Return the gradient of a sum of losses from their derivatives in the scores."""
        slopes = slopes.astype(self.dtype, copy=False)
        gradient = np.asarray((self.A if rows is None else self.A[rows]).T @ slopes)
        return np.concatenate([gradient, slopes.sum(axis=0, keepdims=True)]) if self.intercept else gradient

    def ridge(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the ridge term and its gradient."""
        w, _ = self.split(x)
        gradient = self.l2 * np.asarray(x)
        if self.intercept:
            gradient[-1] = 0.0
        return 0.5 * self.l2 * float(np.sum(np.square(w, dtype=np.float64))) if self.l2 > 0 else 0.0, gradient

    def losses(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the losses of `rows`, ridge term included."""
        return self.loss_and_slope(self.margins(x, rows), rows)[0] + self.ridge(x)[0]

    def gradient(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the gradient of the mean loss over `rows`."""
        slopes = self.loss_and_slope(self.margins(x, rows), rows)[1]
        return self.combine(slopes / len(rows), rows) + self.ridge(x)[1]

    def objective_and_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return f(x) and its gradient in two passes over the data."""
        return self._evaluate(x)[1:3]

    def _evaluate(self, x: np.ndarray) -> tuple[np.ndarray, float, np.ndarray, np.ndarray]:
        """Return scores, f(x), its gradient, and the derivatives of the losses in the scores."""
        z = self.margins(x)
        values, slopes = self.loss_and_slope(z)
        ridge, ridge_gradient = self.ridge(x)
        gradient = self.combine(slopes / self.n_samples) + ridge_gradient
        return z, float(np.mean(values)) + ridge, gradient, slopes

    def measure(self, x: np.ndarray) -> dict[str, float]:
        """Return objective, gradient norm, gap, duality gap and accuracy, as far as they apply.

        ``gap`` is f(x) less `f_star`; ``duality_gap`` bounds f(x) less the minimum by weak duality. Both are absolute
        and include an estimate of their rounding error, so that neither is 0 by luck.
        """
        z, value, gradient, slopes = self._evaluate(x)
        norm = float(np.linalg.norm(gradient.astype(np.float64, copy=False)))
        row = {"objective": value, "gradient_norm": norm}
        if self.f_star is not None:
            row["gap"] = self.gap(value)
        if self.convex and self.l2 > 0:
            row["duality_gap"] = duality_gap(self, x, z, value, slopes, norm)
        accuracy = self.accuracy(z)
        if accuracy is not None:
            row["accuracy"] = accuracy
        return row
