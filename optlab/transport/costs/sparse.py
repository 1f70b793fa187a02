"""A transport cost known on some pairs only: all others are forbidden.

`SparseCost` offers the passes of `optlab.transport.costs.base.Cost` in time and memory of the stored pairs, so that
every method that reaches the cost through passes runs on it. It has no products ``C v``: with forbidden pairs they are
infinite.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from optlab.core.validation import as_float_array
from optlab.transport.costs.base import Cost, check_size, finite_statistics
from optlab.transport.costs.feasibility import Pattern
from optlab.transport.kernels import sparse_kernels


def checked_sparse(array: Any, name: str) -> Any:
    """Return a SciPy sparse array or matrix as a CSR array that no kernel can read beyond; the caller's stays as it is.

    Raises
    ------
    TypeError
        If it is not sparse, not two-dimensional or does not hold real numbers.
    ValueError
        If its index arrays are malformed: SciPy itself reads on without looking.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> array = csr_array([[1.0, 2.0]])
    >>> array.indptr[1] = 9
    >>> checked_sparse(array, "cost")
    Traceback (most recent call last):
        ...
    ValueError: cost is malformed: Last value of index pointer should be less than the size of index and data arrays
    """
    from scipy.sparse import coo_array, csc_array, csr_array

    if not hasattr(array, "tocsr") or getattr(array, "ndim", 2) != 2:
        kind = type(array).__name__
        raise TypeError(f"{name} must be a two-dimensional SciPy sparse array, got {kind}")
    if array.dtype.kind not in "buif":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    try:
        if array.format in ("csr", "csc"):  # another object, for checking changes it
            kind = csr_array if array.format == "csr" else csc_array
            whole = kind((array.data, array.indices, array.indptr), shape=array.shape)
            whole.check_format(full_check=True)
        else:
            whole = array.tocoo()
            whole = coo_array((whole.data, (whole.row, whole.col)), shape=array.shape)
    except (ValueError, IndexError) as error:
        raise ValueError(f"{name} is malformed: {error}") from None
    return csr_array(whole.tocoo())


class SparseCost(Cost):
    """Costs of the allowed pairs, in a SciPy sparse array; absent pairs are forbidden, stored zeros are free.

    Parameters
    ----------
    array : SciPy sparse array or matrix, shape (n, m)
        Stored entries must be finite; duplicates are summed, as SciPy does.

    Raises
    ------
    TypeError
        If it is not a SciPy sparse array.
    ValueError
        If it is empty, or a stored entry is not finite (with its place).

    Examples
    --------
    >>> from scipy.sparse import coo_array
    >>> cost = SparseCost(coo_array(([1.0, 0.0, 2.0], ([0, 1, 1], [0, 0, 1])), shape=(2, 2)))
    >>> cost.dense().tolist()
    [[1.0, inf], [0.0, 2.0]]
    >>> cost
    SparseCost(shape=(2, 2), allowed=3)
    """

    has_forbidden = True
    is_matrix = True

    def __init__(self, array: Any):
        array = checked_sparse(array, "cost")
        array.sum_duplicates()
        if array.nnz == 0:
            raise ValueError(f"cost must have at least one allowed pair, got none in shape {array.shape}")
        if not np.all(np.isfinite(array.data)):
            bad = int(np.flatnonzero(~np.isfinite(array.data))[0])
            place = [int(np.searchsorted(array.indptr, bad, side="right")) - 1, int(array.indices[bad])]
            raise ValueError(f"cost must be finite on the stored pairs, got {array.data[bad]} at index {place}")
        check_size(float(np.abs(array.data).max()))
        self._set(array)

    def _set(self, array: Any) -> None:
        self.matrix = array
        self.shape = (int(array.shape[0]), int(array.shape[1]))
        self._rows = (array.indptr.astype(np.int64), array.indices.astype(np.int64), array.data.astype(np.float64))
        flipped = array.T.tocsr()
        flipped.sort_indices()
        self._columns = (
            flipped.indptr.astype(np.int64),
            flipped.indices.astype(np.int64),
            flipped.data.astype(np.float64),
        )

    @classmethod
    def _trusted(cls, array: Any) -> SparseCost:
        cost = cls.__new__(cls)
        array.sort_indices()
        cost._set(array)
        return cost

    @property
    def T(self) -> SparseCost:
        return self._trusted(self.matrix.T.tocsr())

    def submatrix(self, rows: Any = None, columns: Any = None) -> SparseCost:
        rows, columns = self._selection(rows, 0), self._selection(columns, 1)
        part = self.matrix if rows is None else self.matrix[rows]
        return self._trusted((part if columns is None else part[:, columns]).tocsr())

    @cached_property
    def pattern(self) -> Pattern:
        """The allowed pairs."""
        return Pattern(self._rows[0], self._rows[1], self.shape)

    @property
    def pattern_costs(self) -> np.ndarray:
        """The costs of the pairs of `pattern`."""
        return self._rows[2]

    def pair_costs(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        rows, columns = self._pairs(rows, columns)
        m, pattern = self.shape[1], self.pattern
        keys, wanted = pattern.rows * m + pattern.columns, rows * m + columns
        place = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
        out: np.ndarray = np.where(keys[place] == wanted, self.pattern_costs[place], np.inf)
        return out

    def _entries(self, F: np.ndarray, G: np.ndarray, kappa: float) -> np.ndarray:
        out = np.empty(self._rows[2].size)
        sparse_kernels.entries(*self._rows, self._vector(F, 0, "F"), self._vector(G, 1, "G"), self._kappa(kappa), out)
        return out

    # ------------------------------------------------------------------ passes

    def logsumexp_rows(self, G: np.ndarray, kappa: float) -> np.ndarray:
        out = np.empty(self.shape[0])
        sparse_kernels.logsumexp(*self._rows, self._vector(G, 1, "G"), self._kappa(kappa), out)
        return out

    def logsumexp_columns(self, F: np.ndarray, kappa: float) -> np.ndarray:
        out = np.empty(self.shape[1])
        sparse_kernels.logsumexp(*self._columns, self._vector(F, 0, "F"), self._kappa(kappa), out)
        return out

    def minimum_rows(self, g: np.ndarray) -> np.ndarray:
        out = np.empty(self.shape[0])
        sparse_kernels.minimum(*self._rows, self._vector(g, 1, "g"), out)
        return out

    def minimum_columns(self, f: np.ndarray) -> np.ndarray:
        out = np.empty(self.shape[1])
        sparse_kernels.minimum(*self._columns, self._vector(f, 0, "f"), out)
        return out

    def plan_moments(self, F: np.ndarray, G: np.ndarray, kappa: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        x = self._entries(F, G, kappa)
        rows, n, m = self.pattern.rows, *self.shape
        return (
            np.bincount(rows, x, n),
            np.bincount(self.pattern.columns, x, m),
            np.bincount(rows, x * self._rows[2], n),
        )

    def plan_pattern(self, F: np.ndarray, G: np.ndarray, kappa: float) -> np.ndarray:
        return self._entries(F, G, kappa)

    def _apply(self, F: np.ndarray, G: np.ndarray, kappa: float, V: np.ndarray, transpose: bool) -> np.ndarray:
        V = as_float_array(V, "V", ndim=(1, 2), finite=False)
        if V.shape[0] != self.shape[0 if transpose else 1]:
            raise ValueError(f"V must have {self.shape[0 if transpose else 1]} rows, got shape {V.shape}")
        matrix = self.pattern.matrix(self._entries(F, G, kappa))
        return np.asarray((matrix.T if transpose else matrix) @ V)

    def plan_dense(self, F: np.ndarray, G: np.ndarray, kappa: float) -> np.ndarray:
        return np.asarray(self.pattern.matrix(self._entries(F, G, kappa)).toarray())

    def plan_sparse(
        self, F: np.ndarray, G: np.ndarray, kappa: float, threshold: float, p: Any = None, q: Any = None
    ) -> Any:
        x = self._entries(F, G, kappa)
        if p is not None:
            p, q = self._vector(p, 0, "p"), self._vector(q, 1, "q")
            x = x + p[self.pattern.rows] * q[self.pattern.columns]
        matrix = self.pattern.matrix(np.where(x > threshold, x, 0.0))
        matrix.eliminate_zeros()
        return matrix

    def plan_entropic(
        self, F: np.ndarray, G: np.ndarray, kappa: float, p: np.ndarray, q: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        from scipy.special import xlogy

        p, q = self._vector(p, 0, "p"), self._vector(q, 1, "q")
        rows, n = self.pattern.rows, self.shape[0]
        y = self._entries(F, G, kappa) + p[rows] * q[self.pattern.columns]
        return np.bincount(rows, y * self._rows[2], n), np.bincount(rows, xlogy(y, y) - y, n)

    def product(self, v: np.ndarray) -> np.ndarray:
        raise TypeError("a cost with forbidden pairs has no product with a vector: it would be infinite")

    def product_transpose(self, u: np.ndarray) -> np.ndarray:
        raise TypeError("a cost with forbidden pairs has no product with a vector: it would be infinite")

    def dense(self) -> np.ndarray:
        """Return the cost as an (n, m) array, +inf where forbidden."""
        out = np.full(self.shape, np.inf)
        out[self.pattern.rows, self.pattern.columns] = self._rows[2]
        return out

    @cached_property
    def smallest(self) -> float:
        sizes = np.abs(self._rows[2])
        return float(np.min(sizes, where=sizes > 0.0, initial=np.inf)) if np.any(sizes) else 0.0

    def _sizes(self) -> np.ndarray:
        return np.abs(self._rows[2][self._rows[2] != 0.0])

    @cached_property
    def _statistics(self) -> tuple[float, float, float, float]:
        return finite_statistics(self._rows[2])

    def __repr__(self) -> str:
        return f"SparseCost(shape={self.shape}, allowed={self._rows[2].size})"
