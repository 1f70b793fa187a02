"""Linear maps given by a matrix, dense or sparse, or by two functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator

from optlab.core.validation import as_data, as_number, first_index
from optlab.linalg.base import Array, LinearMap, as_shape

#: Up to this many entries of ``A A^T`` it is asked whether a matrix is tight.
_LARGEST_TIGHT = 1_000_000


class DenseMatrix(LinearMap):
    """A dense matrix, mapping vectors of length n to vectors of length m.

    Parameters
    ----------
    matrix : array_like, shape (m, n)

    Attributes
    ----------
    matrix : ndarray, read-only

    Examples
    --------
    >>> DenseMatrix([[3.0, 4.0]]).norm.__round__(12)
    5.0
    """

    def __init__(self, matrix: Any) -> None:
        self.matrix = as_data(matrix, "matrix", ndim=2)
        self.shape_out, self.shape_in = (self.matrix.shape[0],), (self.matrix.shape[1],)

    def apply(self, x: Array) -> Array:
        return self.matrix @ x

    def adjoint(self, y: Array) -> Array:
        return self.matrix.T @ y

    def to_dense(self) -> np.ndarray:
        return np.array(self.matrix)

    def _tight(self) -> float | None:
        m, n = self.matrix.shape
        return _tightness(self.matrix @ self.matrix.T) if m <= n and m * m <= _LARGEST_TIGHT else None


class SparseMatrix(LinearMap):
    """A sparse matrix, kept by rows, and its transpose by rows as well: both products run over contiguous memory.

    Parameters
    ----------
    matrix : scipy.sparse matrix or array, shape (m, n)

    Attributes
    ----------
    matrix : scipy.sparse.csr_array

    Examples
    --------
    >>> SparseMatrix(sparse.eye_array(3).tocsr()).apply(np.arange(3.0))
    array([0., 1., 2.])
    """

    def __init__(self, matrix: Any) -> None:
        if not sparse.issparse(matrix):
            raise TypeError(f"matrix must be a SciPy sparse matrix, got {type(matrix).__name__}")
        if matrix.ndim != 2:
            raise ValueError(f"matrix must have two dimensions, got {matrix.ndim}")
        rows = sparse.csr_array(matrix)
        if rows.dtype.kind not in "fiub":
            raise TypeError(f"matrix must hold real numbers, got dtype {rows.dtype}")
        if rows.dtype not in (np.float32, np.float64):
            rows = rows.astype(np.float64)
        if not np.all(np.isfinite(rows.data)):
            bad = ~np.isfinite(rows.data)
            raise ValueError(f"matrix must be finite, got {rows.data[bad][0]} at stored entry {first_index(bad)}")
        self.matrix = rows
        self._transpose = sparse.csr_array(rows.T)
        self.shape_out, self.shape_in = (rows.shape[0],), (rows.shape[1],)

    def apply(self, x: Array) -> Array:
        return self.matrix @ x

    def adjoint(self, y: Array) -> Array:
        return self._transpose @ y

    def to_dense(self) -> np.ndarray:
        return np.asarray(self.matrix.toarray())

    def _tight(self) -> float | None:
        m, n = self.matrix.shape
        return _tightness((self.matrix @ self._transpose).toarray()) if m <= n and m * m <= _LARGEST_TIGHT else None


def _tightness(gram: np.ndarray) -> float | None:
    nu = float(gram[0, 0])
    if not nu > 0:
        return None
    off = np.abs(gram - nu * np.eye(len(gram)))
    return nu if float(off.max()) <= 8 * np.finfo(gram.dtype).eps * nu * math.sqrt(len(gram)) else None


class MatrixFree(LinearMap):
    """A linear map given by two functions.

    Parameters
    ----------
    apply, adjoint : callable
        ``x -> A x`` and ``y -> A^T y``; they must not change what they are given. Whether they are adjoint to each
        other is not checked: ``<A x, y> = <x, A^T y>`` for random x and y is the test to make.
    shape_in, shape_out : int or tuple of int
    norm : float, optional
        An upper bound of the spectral norm. Default: computed when asked for.
    tight : float, optional
        The number nu with ``A A^T = nu I``, if there is one.

    Examples
    --------
    >>> flip = MatrixFree(lambda x: x[::-1], lambda y: y[::-1], 4, 4, norm=1.0, tight=1.0)
    >>> flip.apply(np.arange(4.0))
    array([3., 2., 1., 0.])
    """

    def __init__(
        self,
        apply: Callable[[Array], Array],
        adjoint: Callable[[Array], Array],
        shape_in: Any,
        shape_out: Any,
        *,
        norm: float | None = None,
        tight: float | None = None,
    ) -> None:
        for name, function in (("apply", apply), ("adjoint", adjoint)):
            if not callable(function):
                raise TypeError(f"{name} must be callable, got {type(function).__name__}")
        self._apply, self._adjoint = apply, adjoint
        self.shape_in, self.shape_out = as_shape(shape_in, "shape_in"), as_shape(shape_out, "shape_out")
        self._given_norm = None if norm is None else as_number(norm, "norm", minimum=0)
        self._given_tight = None if tight is None else as_number(tight, "tight", above=0)

    def apply(self, x: Array) -> Array:
        return self._apply(x)

    def adjoint(self, y: Array) -> Array:
        return self._adjoint(y)

    def _norm_bound(self) -> float:
        return super()._norm_bound() if self._given_norm is None else self._given_norm

    def _tight(self) -> float | None:
        return self._given_tight


def as_linear_map(value: Any, shape: Any = None, name: str = "A") -> LinearMap:
    """Return what is given as a `LinearMap`.

    Parameters
    ----------
    value : LinearMap, array_like of two dimensions, sparse matrix, or scipy.sparse.linalg.LinearOperator
        Or any object with ``apply(x)`` and ``adjoint(y)`` that has `shape_in` and `shape_out`, or maps `shape` to
        itself.
    shape : tuple of int, optional
        See above; such as ``(64, 64)`` for `optlab.datasets.GaussianBlur`.
    name : str
        For error messages.

    Raises
    ------
    TypeError
        If it is none of these.

    Examples
    --------
    >>> as_linear_map(np.ones((2, 3)))
    DenseMatrix(3 -> 2)
    >>> from scipy.sparse.linalg import aslinearoperator
    >>> as_linear_map(aslinearoperator(np.ones((2, 3))))
    MatrixFree(3 -> 2)
    """
    if isinstance(value, LinearMap):
        return value
    if sparse.issparse(value):
        return SparseMatrix(value)
    if isinstance(value, LinearOperator):
        m, n = value.shape
        if np.dtype(value.dtype or float).kind == "c":
            raise TypeError(f"{name} must be a real operator, got dtype {value.dtype}")
        return MatrixFree(value.matvec, value.rmatvec, n, m)
    if callable(getattr(value, "apply", None)) and callable(getattr(value, "adjoint", None)):
        shape_in, shape_out = getattr(value, "shape_in", shape), getattr(value, "shape_out", shape)
        if shape_in is None or shape_out is None:
            raise TypeError(
                f"{name}: the shape that {type(value).__name__} acts on must be given: as_linear_map(A, shape)"
            )
        return MatrixFree(value.apply, value.adjoint, shape_in, shape_out)
    if np.ndim(value) == 2:
        return DenseMatrix(value)
    raise TypeError(
        f"{name} must be a matrix (dense or sparse), a scipy LinearOperator or a map of optlab.linalg, "
        f"got {type(value).__name__}{f' of {np.ndim(value)} dimensions' if np.ndim(value) else ''}"
    )
