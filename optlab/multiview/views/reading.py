"""Views as users have them, checked and named: arrays, sparse arrays or DataFrames, in a list or by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from optlab.core.validation import as_float_array
from optlab.datasets.multiview.tables import first_row_number, refuse_unnamed_column
from optlab.multiview.views.view import ViewSet, is_sparse

__all__ = ["check_samples", "check_views", "column_names", "common_index", "read_array"]


def column_names(value: Any) -> tuple[str, ...] | None:
    columns = getattr(value, "columns", None)
    if columns is None or not hasattr(value, "to_numpy"):
        return None
    return tuple(str(c) for c in columns)


def _plain_type(frame: Any) -> Any:
    """float32 where all columns are, else float64: nullable columns would come out as objects."""
    return np.float32 if all(dtype == np.float32 for dtype in frame.dtypes) else np.float64


def read_array(value: Any, name: str, *, finite: bool = True) -> Any:
    """Return one view as a dense floating-point array or a CSR array, without a copy where it is one already."""
    if value is None:
        raise ValueError(f"{name} is missing (None): only transform and predict_view do without some of the views")
    if is_sparse(value):
        import scipy.sparse

        if value.ndim != 2:
            raise ValueError(f"{name} must have 2 dimensions, got shape {value.shape}")
        if value.dtype.kind not in "buif":
            raise TypeError(f"{name} must hold real numbers, got dtype {value.dtype}")
        array = scipy.sparse.csr_array(value)
        try:
            array.check_format(full_check=True)
        except ValueError as error:
            raise ValueError(f"{name} is not a valid sparse array: {error}") from None
        if array.dtype.kind != "f":
            array = array.astype(np.float64)
        if 0 in array.shape:
            raise ValueError(f"{name} must not be empty, got shape {array.shape}")
        if finite and not np.all(np.isfinite(array.data)):
            position = int(np.argmax(~np.isfinite(array.data)))
            row = int(np.searchsorted(array.indptr, position, side="right") - 1)
            where = f"[{row}, {int(array.indices[position])}]"
            raise ValueError(f"{name} must be finite, got {array.data[position]} at index {where}")
        return array
    if column_names(value) is not None:
        frame = value
        kinds = [str(c) for c, dtype in zip(frame.columns, frame.dtypes) if getattr(dtype, "kind", "O") not in "buif"]
        if kinds:
            raise TypeError(
                f"{name} must hold real numbers; column {kinds[0]!r} is not numeric (encode it, or drop it)"
            )
        value = frame.to_numpy(dtype=_plain_type(frame), na_value=np.nan)
        absent = np.isnan(value)
        if finite and absent.any():
            i, j = (int(x) for x in np.argwhere(absent)[0])
            raise ValueError(
                f"{name} must be finite, got a missing value in row {frame.index[i]!r}, column {frame.columns[j]!r}, "
                f"one of {int(absent.sum())}; drop or fill them, or pass the frames through "
                "optlab.datasets.multiview.read_views(..., missing='median')"
            )
    return as_float_array(value, name, ndim=2, finite=finite)


def check_views(views: Any, *, name: str = "views", minimum: int = 2) -> ViewSet:
    """Check what the caller passed as views.

    Parameters
    ----------
    views : sequence or mapping
        A list of arrays, sparse arrays or DataFrames, or a dict of these by view name. Rows are samples, the same in
        every view.
    name : str
        The argument's name, for the error messages.
    minimum : int
        Smallest number of views.

    Raises
    ------
    TypeError, ValueError
        Naming the view and, for NaN, the index.

    Examples
    --------
    >>> check_views({"genes": [[1.0, 2.0], [3.0, 5.0]], "lipids": [[1.0], [2.0]]}).names
    ('genes', 'lipids')
    >>> check_views([[[1.0], [2.0]], [[1.0], [2.0], [3.0]]])
    Traceback (most recent call last):
        ...
    ValueError: all views must have the same samples as rows, got 2 rows in views[0] and 3 rows in views[1]
    """
    if isinstance(views, Mapping):
        labels = [str(key) for key in views]
        called = [f"{name}[{key!r}]" for key in views]
        values = list(views.values())
    elif (isinstance(views, np.ndarray) and views.ndim == 2) or is_sparse(views) or column_names(views) is not None:
        raise ValueError(
            f"{name} must be a list of at least {minimum} views (or a dict of them), got a single matrix of shape "
            f"{views.shape}; split its columns into views, as in [X[:, :10], X[:, 10:]]"
        )
    elif isinstance(views, (Sequence, np.ndarray)) and not isinstance(views, (str, bytes)):
        values = list(views)
        labels = [f"view{k}" for k in range(len(values))]
        called = [f"{name}[{k}]" for k in range(len(values))]
    else:
        raise TypeError(f"{name} must be a list of matrices or a dict of them, got {type(views).__name__}")
    if len(values) < minimum:
        raise ValueError(f"{name} must hold at least {minimum} views, got {len(values)}")
    arrays = tuple(read_array(value, label) for value, label in zip(values, called))
    check_samples(arrays, called)
    index = common_index(values, called)
    _refuse_row_numbers(arrays, values, called)
    return ViewSet(arrays, tuple(labels), tuple(column_names(v) for v in values), index)


def check_samples(arrays: Sequence[Any], called: Sequence[str]) -> None:
    """Raise `ValueError` unless all views have as many rows."""
    for array, label in zip(arrays, called):
        if array.shape[0] != arrays[0].shape[0]:
            raise ValueError(
                f"all views must have the same samples as rows, got {arrays[0].shape[0]} rows in {called[0]} and "
                f"{array.shape[0]} rows in {label}"
            )


def common_index(values: Sequence[Any], called: Sequence[str]) -> Any:
    """The index that all DataFrames among the views have; None without any.

    Raises
    ------
    ValueError
        Where two differ: the views do not hold the same samples in the same order.
    """
    index, first = None, ""
    for value, label in zip(values, called):
        other = getattr(value, "index", None)
        if column_names(value) is None or other is None:
            continue
        if index is None:
            index, first = other, label
        elif not index.equals(other):
            row = next((i for i, (a, b) in enumerate(zip(index, other)) if a != b), 0)
            raise ValueError(
                f"the rows of {first} and {label} must be the same samples in the same order; row {row} is "
                f"{index[row]!r} in one and {other[row]!r} in the other (align them: frame.loc[common_index])"
            )
    return index


def _refuse_row_numbers(arrays: Sequence[Any], values: Sequence[Any], called: Sequence[str]) -> None:
    """Columns that only number the rows: the strongest component of views that have them, and no component at all."""
    found = []
    for array, value, label in zip(arrays, values, called):
        features = column_names(value)
        if features is not None:
            refuse_unnamed_column(features, label)
        if array.shape[0] < 5 or is_sparse(array):
            continue
        ends = array[[0, 1, -1]]
        likely = np.isin(ends[0], (0, 1)) & (ends[1] == ends[0] + 1) & (ends[2] == ends[0] + len(array) - 1)
        for j in np.flatnonzero(likely):
            if first_row_number(array[:, j]) is not None:
                found.append((label, f"column {j}" + (f" ({features[j]!r})" if features else "")))
                break
    if len(found) > 1:
        (one, first), (other, second) = found[:2]
        raise ValueError(
            f"{first} of {one} only numbers the rows, and so does {second} of {other}: that would become a joint "
            "component; drop it, or make it the index if it names the samples"
        )
