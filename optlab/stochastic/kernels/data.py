"""Checks and conversions of training data: matrices dense or CSR, pandas frames, targets and labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.core.validation import as_float_array, first_index


def is_sparse(value: Any) -> bool:
    """Return whether `value` is a SciPy sparse matrix or array."""
    import scipy.sparse as sp

    return bool(sp.issparse(value))


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

        check_sparse(A, name)
        csr = A.tocsr()
        if csr is not A:
            check_sparse(csr, name)  # made of lists or dicts, which were not checked
        if 0 in csr.shape:
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
        if csr.shape[1] > np.iinfo(np.int32).max:
            raise ValueError(f"{name} has {csr.shape[1]} columns; more than 2147483647 are not supported")
        indices = csr.indices.astype(np.int32, copy=False)
        # a matrix of its own on the caller's arrays: nothing here writes to them
        out = sp.csr_matrix((read_only(csr.data), read_only(indices), read_only(csr.indptr)), shape=csr.shape)
        out.has_canonical_format = True
        return out
    if hasattr(A, "to_numpy"):
        A = A.to_numpy()
    return read_only(as_float_array(A, name, ndim=2))


def read_only(array: np.ndarray) -> np.ndarray:
    """Return a view through which the caller's array cannot be written."""
    view = array.view()
    view.flags.writeable = False
    return view


def check_sparse(A: Any, name: str) -> None:
    """Raise ValueError unless the index arrays of a sparse matrix lie within its shape.

    SciPy, scikit-learn and the compiled loops read and write memory at whatever the index arrays say. Minimum and
    maximum cost less than the scan of the values for NaN.
    """
    if A.ndim != 2:
        raise ValueError(f"{name} must have 2 dimensions, got shape {A.shape}")

    def inside(indices: np.ndarray, size: int, what: str) -> None:
        if indices.size and not (indices.min() >= 0 and indices.max() < size):
            at = int(np.argmax((indices < 0) | (indices >= size)))
            raise ValueError(f"{name} is malformed: {what} {indices[at]} (entry {at}) is not in 0 ... {size - 1}")

    if A.format == "coo":
        if not A.row.size == A.col.size == A.data.size:
            raise ValueError(
                f"{name} is malformed: {A.row.size} row and {A.col.size} column indices for {A.data.size} values"
            )
        inside(A.row, A.shape[0], "row index")
        inside(A.col, A.shape[1], "column index")
    elif A.format in ("csr", "csc", "bsr"):
        blocks = A.blocksize if A.format == "bsr" else (1, 1)
        rows, columns = (s // b for s, b in zip(A.shape, blocks))
        major, minor = (columns, rows) if A.format == "csc" else (rows, columns)
        pointers = A.indptr
        if pointers.size != major + 1 or pointers[0] != 0:
            raise ValueError(
                f"{name} is malformed: indptr must have {major + 1} entries from 0 on, got {pointers.size} from "
                f"{pointers[0] if pointers.size else 'nothing'} on"
            )
        falling = pointers[1:] < pointers[:-1]
        if falling.any():
            at = int(np.argmax(falling))
            raise ValueError(
                f"{name} is malformed: indptr falls from {pointers[at]} to {pointers[at + 1]} at entry {at}"
            )
        if not pointers[-1] <= A.indices.size == len(A.data):
            raise ValueError(
                f"{name} is malformed: indptr ends at {pointers[-1]}, there are {A.indices.size} indices and "
                f"{len(A.data)} values"
            )
        inside(A.indices, minor, "row index" if A.format == "csc" else "column index")


def as_targets(b: Any, n: int, dtype: Any, name: str = "b") -> np.ndarray:
    """Return real targets, one per sample."""
    if hasattr(b, "to_numpy"):
        b = b.to_numpy()
    targets = as_float_array(b, name, ndim=1)
    if targets.size != n:
        raise ValueError(f"{name} must have one entry per row of A ({n}), got {targets.size}")
    return read_only(np.ascontiguousarray(targets, dtype))


def as_classes(y: Any, n: int, name: str = "y") -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted class labels and, for each sample, the number of its class.

    Raises
    ------
    ValueError
        If labels are missing (NaN), or not one per sample, or all the same.
    """
    if hasattr(y, "to_numpy"):
        y = y.to_numpy()
    try:
        labels = np.asarray(y)
    except ValueError as error:
        raise ValueError(f"{name} must hold one label per sample: {error}") from None
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
    if labels.dtype == object:
        for i, label in enumerate(labels):
            if label is None or type(label).__name__ in ("NAType", "NaTType") or (label != label) is True:
                raise ValueError(f"{name} must not be missing, got {label} at index [{i}]")
    try:
        classes, numbers = np.unique(labels, return_inverse=True)
    except TypeError:
        kinds = sorted({type(label).__name__ for label in labels})
        raise TypeError(
            f"{name} must hold labels of one kind, which can be sorted, got {' and '.join(kinds)}"
        ) from None
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
    try:
        raw = np.asarray(y)
    except ValueError as error:
        raise ValueError(f"{name} must hold one label per sample: {error}") from None
    if raw.shape == (n,) and raw.dtype.kind in "if" and np.all(np.abs(raw) == 1):  # also if one class is missing
        return np.array([-1, 1], raw.dtype), read_only(raw.astype(dtype, copy=False))
    classes, numbers = as_classes(y, n, name)
    if classes.size != 2:
        shown = ", ".join(str(c) for c in classes[:5].tolist()) + (", ..." if classes.size > 5 else "")
        raise ValueError(
            f"{name} must be binary, got {classes.size} classes ({shown}); use SoftmaxRegression for more than two"
        )
    return classes, (2.0 * numbers - 1.0).astype(dtype)
