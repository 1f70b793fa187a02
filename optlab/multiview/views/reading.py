"""Views as users have them: checked, named, centred and scaled without copies, sparse ones without densifying.

A `View` stands for the matrix ``(X - mean) / scale`` and offers its products only. Dense data are centred block by
block of columns, so that the centred matrix never exists as a whole; for sparse data the mean is subtracted from the
products.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from optlab.core.validation import as_flag, as_float_array, first_index, one_of
from optlab.datasets.multiview.tables import first_row_number, unnamed_column

__all__ = ["View", "ViewSet", "read_views", "standardised"]

_BLOCK = 4_000_000  # entries of a centred block of columns: 32 MB


def _is_sparse(X: Any) -> bool:
    import scipy.sparse

    return bool(scipy.sparse.issparse(X))


@dataclass(frozen=True)
class View:
    """The matrix ``(data - mean) / scale``, of which only products are ever formed.

    Parameters
    ----------
    data : ndarray or scipy.sparse array, shape (n, p)
    mean, scale : ndarray, shape (p,)
    """

    data: Any
    mean: np.ndarray
    scale: np.ndarray

    @property
    def n(self) -> int:
        """Number of samples."""
        return int(self.data.shape[0])

    @property
    def p(self) -> int:
        """Number of features."""
        return int(self.data.shape[1])

    @property
    def sparse(self) -> bool:
        """Whether the data are sparse."""
        return _is_sparse(self.data)

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Column slices with their centred and scaled dense blocks (dense data only)."""
        width = max(1, _BLOCK // max(self.n, 1))
        for start in range(0, self.p, width):
            part = slice(start, min(start + width, self.p))
            yield part, (self.data[:, part] - self.mean[part]) / self.scale[part]

    def matmul(self, A: np.ndarray) -> np.ndarray:
        """``X A`` for A of shape (p, m)."""
        if self.sparse:
            B = A / self.scale[:, None]
            return np.asarray(self.data @ B) - self.mean @ B
        total = np.zeros((self.n, A.shape[1]))
        for part, block in self.blocks():
            total += block @ A[part]
        return total

    def rmatmul(self, A: np.ndarray) -> np.ndarray:
        """``X' A`` for A of shape (n, m)."""
        if self.sparse:
            product = np.asarray(self.data.T @ A) - np.outer(self.mean, A.sum(axis=0))
            return product / self.scale[:, None]
        result = np.empty((self.p, A.shape[1]))
        for part, block in self.blocks():
            result[part] = block.T @ A
        return result

    def gram(self) -> np.ndarray:
        """``X X'``, shape (n, n)."""
        if self.sparse:
            import scipy.sparse

            Z = self.data @ scipy.sparse.diags_array(1.0 / self.scale)
            m = self.mean / self.scale
            cross = np.asarray(Z @ m)
            G = np.asarray((Z @ Z.T).todense(), dtype=float)
            return G - cross[:, None] - cross[None, :] + m @ m
        G = np.zeros((self.n, self.n))
        for _, block in self.blocks():
            G += block @ block.T
        return G

    def dense(self) -> np.ndarray:
        """The matrix itself, as a new float64 array."""
        if self.sparse:
            return (self.data.toarray() - self.mean) / self.scale
        return np.asarray((self.data - self.mean) / self.scale, dtype=float)

    def total(self) -> float:
        """Squared Frobenius norm."""
        if self.sparse:
            squares = np.asarray(self.data.multiply(self.data).sum(axis=0)).ravel()
            return float(np.sum((squares - self.n * self.mean**2) / self.scale**2))
        return float(sum(np.einsum("ij,ij->", block, block) for _, block in self.blocks()))


@dataclass(frozen=True)
class ViewSet:
    """Validated raw views with their names.

    Parameters
    ----------
    arrays : tuple of (ndarray or sparse array)
    names : tuple of str
    features : tuple of (tuple of str or None)
        Column names of each view; None where the caller gave none.
    index : sequence or None
        Sample labels, where the caller gave DataFrames.
    """

    arrays: tuple[Any, ...]
    names: tuple[str, ...]
    features: tuple[Any, ...]
    index: Any = field(default=None, repr=False)

    @property
    def n(self) -> int:
        """Number of samples."""
        return int(self.arrays[0].shape[0])


def _columns(value: Any) -> tuple[str, ...] | None:
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
    if _is_sparse(value):
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
    if _columns(value) is not None:
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


def read_views(views: Any, *, name: str = "views", minimum: int = 2) -> ViewSet:
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
    >>> read_views({"genes": [[1.0, 2.0], [3.0, 5.0]], "lipids": [[1.0], [2.0]]}).names
    ('genes', 'lipids')
    >>> read_views([[[1.0], [2.0]], [[1.0], [2.0], [3.0]]])
    Traceback (most recent call last):
        ...
    ValueError: all views must have the same samples as rows, got 2 rows in views[0] and 3 rows in views[1]
    """
    if isinstance(views, Mapping):
        labels = [str(key) for key in views]
        called = [f"{name}[{key!r}]" for key in views]
        values = list(views.values())
    elif (isinstance(views, np.ndarray) and views.ndim == 2) or _is_sparse(views) or _columns(views) is not None:
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
    rows = [int(a.shape[0]) for a in arrays]
    for k in range(1, len(rows)):
        if rows[k] != rows[0]:
            raise ValueError(
                f"all views must have the same samples as rows, got {rows[0]} rows in {called[0]} and {rows[k]} rows "
                f"in {called[k]}"
            )
    index = common_index(values, called)
    _refuse_row_numbers(arrays, values, called)
    return ViewSet(arrays, tuple(labels), tuple(_columns(v) for v in values), index)


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
        if _columns(value) is None or other is None:
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
        features = _columns(value)
        if features is not None and (unnamed := unnamed_column(features)):
            raise ValueError(
                f"{label} has a column {unnamed!r}: row names of the file it was read from, no feature; read it with "
                "pandas.read_csv(..., index_col=0), or drop the column"
            )
        if array.shape[0] < 5 or _is_sparse(array):
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


def moments(array: Any) -> tuple[np.ndarray, np.ndarray]:
    """Column means and standard deviations (divisor n - 1), one pass per block, no copy of the whole."""
    n, p = array.shape
    if _is_sparse(array):
        mean = np.asarray(array.sum(axis=0)).ravel() / n
        squares = np.asarray(array.multiply(array).sum(axis=0)).ravel()
        variance = (squares - n * mean**2) / max(n - 1, 1)
        # a difference of two large numbers: rounding is not variance
        variance = np.where(variance > 1e-12 * squares / max(n - 1, 1), variance, 0.0)
        return np.asarray(mean, dtype=float), np.sqrt(variance)
    mean, deviation = np.empty(p), np.empty(p)
    width = max(1, _BLOCK // max(n, 1))
    for start in range(0, p, width):
        block = array[:, start : start + width].astype(np.float64)
        with np.errstate(over="ignore"):
            mean[start : start + width] = m = block.mean(axis=0)
        block -= m
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            d = np.einsum("ij,ij->j", block, block)
            if np.any((d < 1e-280) | ~(d < 1e280)):  # the square of 1e200 is inf, that of 1e-200 zero
                size = np.abs(block).max(axis=0, initial=0.0)
                block /= np.where(size > 0, size, 1.0)
                d = size * np.sqrt(np.einsum("ij,ij->j", block, block) / max(n - 1, 1))
            else:
                d = np.sqrt(d / max(n - 1, 1))
        # a constant column of large numbers has a mean that is off in the last digit
        d[d <= 1e-13 * np.abs(m)] = 0.0
        deviation[start : start + width] = d
    return mean, deviation


def standardised(
    views: ViewSet,
    *,
    standardize: bool = False,
    scaling: str = "frobenius",
    constant_columns: str = "raise",
    called: str = "views",
) -> tuple[View, ...]:
    """Centre and scale.

    Parameters
    ----------
    views : ViewSet
    standardize : bool
        Divide every column by its standard deviation.
    scaling : {"frobenius", "none"}
        ``"frobenius"``: then divide each view by the root of its total variance, so that views of different sizes
        count alike.
    constant_columns : {"raise", "keep"}
        What to do about columns without variance: an error naming the first, or keep them (they get loading zero).

    Raises
    ------
    ValueError
        For a constant column, or a view in which all columns are constant.
    """
    standardize = as_flag(standardize, "standardize")
    one_of(scaling, "scaling", ("frobenius", "none"))
    one_of(constant_columns, "constant_columns", ("raise", "keep"))
    if views.n < 3:
        raise ValueError(f"{called} must have at least 3 samples (rows), got {views.n}")
    result = []
    for k, array in enumerate(views.arrays):
        mean, deviation = moments(array)
        flat = deviation == 0
        if np.any(flat) and (constant_columns == "raise" or np.all(flat)):
            j = int(first_index(flat)[1:-1])
            features = views.features[k]
            column = f"column {j}" + (f" ({features[j]!r})" if features else "")
            raise ValueError(
                f"{column} of {views.names[k]} is constant (value {mean[j]:g} in all {views.n} samples), as "
                f"{'is 1' if flat.sum() == 1 else f'are {int(flat.sum())}'} of its {flat.size} columns; drop "
                f"constant columns, or pass constant_columns='keep' to give them loading zero"
            )
        top = deviation.max()
        if not 1e-290 < top < 1e290 or (scaling == "none" and not standardize and not 1e-70 < top < 1e70):
            raise ValueError(
                f"{views.names[k]} has columns of standard deviation up to {top:.3g}, whose products leave the range "
                "of numbers; give it in other units, or pass scaling='frobenius'"
            )
        scale = np.where(flat, 1.0, deviation) if standardize else np.ones(array.shape[1])
        if scaling == "frobenius":
            unit = top / scale.max()
            scale = scale * (unit * np.sqrt(np.sum((deviation / scale / unit) ** 2)))
        result.append(View(array, mean, scale))
    return tuple(result)
