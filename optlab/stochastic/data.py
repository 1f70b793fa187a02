"""Checks and conversions of training data: matrices dense or CSR, pandas frames, targets and labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.core.validation import as_float_array, first_index


def is_sparse(value: Any) -> bool:
    """Return whether `value` is a SciPy sparse matrix or array."""
    import scipy.sparse as sp

    return bool(sp.issparse(value))


def as_flag(value: Any, name: str) -> bool:
    """Return a truth value."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def row_squares(A: Any) -> np.ndarray:
    """Return the squared Euclidean norms of the rows of a dense or CSR matrix, in float64."""
    if not is_sparse(A):
        return np.einsum("ij,ij->i", A, A, dtype=np.float64)
    sums = np.zeros(A.shape[0])
    filled = np.diff(A.indptr) > 0
    if filled.any():
        sums[filled] = np.add.reduceat(np.square(A.data, dtype=np.float64), A.indptr[:-1][filled])
    return sums


def as_design(A: Any, name: str = "A") -> Any:
    """Return the data matrix, samples in rows: a dense 2-D array or CSR, float32 or float64, not copied if it is.

    pandas frames are taken by their values. Other sparse formats are converted to CSR; indices become 32-bit.

    Raises
    ------
    TypeError, ValueError
        For entries that are not finite real numbers (the first is named), or an empty matrix.
    """
    if is_sparse(A):
        import scipy.sparse as sp

        csr = A.tocsr()
        if csr.ndim != 2 or 0 in csr.shape:
            raise ValueError(f"{name} must not be empty, got shape {csr.shape}")
        values = csr.data
        if values.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
            if values.dtype.kind not in "bui":
                raise TypeError(f"{name} must hold real numbers, got dtype {values.dtype}")
            csr = csr.astype(np.float64)
        if not csr.has_sorted_indices or not csr.has_canonical_format:
            csr = csr.copy()
            csr.sum_duplicates()
        if csr.data.size and not (np.isfinite(csr.data.min()) and np.isfinite(csr.data.max())):
            at = int(np.argmax(~np.isfinite(csr.data)))
            row = int(np.searchsorted(csr.indptr, at, side="right")) - 1
            raise ValueError(f"{name} must be finite, got {csr.data[at]} at index [{row}, {int(csr.indices[at])}]")
        if csr.indices.dtype != np.int32:
            if csr.shape[1] > np.iinfo(np.int32).max:
                raise ValueError(f"{name} has {csr.shape[1]} columns; more than 2147483647 are not supported")
            csr = sp.csr_matrix((csr.data, csr.indices.astype(np.int32), csr.indptr), shape=csr.shape)
        return csr
    if hasattr(A, "to_numpy"):
        A = A.to_numpy()
    return as_float_array(A, name, ndim=2)


def as_targets(b: Any, n: int, dtype: Any, name: str = "b") -> np.ndarray:
    """Return real targets, one per sample."""
    if hasattr(b, "to_numpy"):
        b = b.to_numpy()
    targets = as_float_array(b, name, ndim=1)
    if targets.size != n:
        raise ValueError(f"{name} must have one entry per row of A ({n}), got {targets.size}")
    return np.ascontiguousarray(targets, dtype)


def as_classes(y: Any, n: int, name: str = "y") -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted class labels and, for each sample, the number of its class.

    Raises
    ------
    ValueError
        If labels are missing (NaN), or not one per sample, or all the same.
    """
    if hasattr(y, "to_numpy"):
        y = y.to_numpy()
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(f"{name} must have 1 dimension, got shape {labels.shape}")
    if labels.size != n:
        raise ValueError(f"{name} must have one entry per row of A ({n}), got {labels.size}")
    if labels.dtype.kind == "f" and np.isnan(labels).any():
        raise ValueError(f"{name} must not be NaN, got one at index {first_index(np.isnan(labels))}")
    if labels.dtype.kind == "f" and np.isinf(labels).any():
        raise ValueError(f"{name} must be finite, got inf at index {first_index(np.isinf(labels))}")
    classes, numbers = np.unique(labels, return_inverse=True)
    if classes.size < 2:
        raise ValueError(f"{name} must have at least two classes, got only {classes.tolist()}")
    return classes, numbers.astype(np.int64)


def as_signs(y: Any, n: int, dtype: Any, name: str = "y") -> tuple[np.ndarray, np.ndarray]:
    """Return the two class labels and the targets -1 (first class) and 1 (second). Targets -1, 1 stay as they are.

    Raises
    ------
    ValueError
        If there are not exactly two classes.
    """
    if hasattr(y, "to_numpy"):
        y = y.to_numpy()
    raw = np.asarray(y)
    if raw.shape == (n,) and raw.dtype.kind in "if" and np.all(np.abs(raw) == 1):  # also if one class is missing
        return np.array([-1, 1], raw.dtype), raw.astype(dtype, copy=False)
    classes, numbers = as_classes(y, n, name)
    if classes.size != 2:
        shown = ", ".join(str(c) for c in classes[:5].tolist()) + (", ..." if classes.size > 5 else "")
        raise ValueError(
            f"{name} must be binary, got {classes.size} classes ({shown}); use SoftmaxRegression for more than two"
        )
    return classes, (2.0 * numbers - 1.0).astype(dtype)
