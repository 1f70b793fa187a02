"""Reading data in LIBSVM's text format, also compressed: ``label index:value index:value ...``, one sample a line.

Indices count from 1 and increase along a line; ``qid:`` fields and what follows a ``#`` are skipped. scikit-learn's
compiled loader does the work; whatever it or the checks of what it found refuse is read again, line by line, by the
strict parser here, so that any fault names its line.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import zlib
from array import array
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from optlab.core.validation import as_flag, as_integer

_OPENERS: dict[str, Callable[..., IO[bytes]]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}  # type: ignore
_LARGEST_INDEX = int(np.iinfo(np.int32).max)


def read_libsvm(
    path: str | os.PathLike[str] | IO[bytes],
    *,
    n_features: int | None = None,
    dtype: Any = np.float64,
    zero_based: bool = False,
) -> tuple[Any, np.ndarray]:
    """Read a LIBSVM file.

    Parameters
    ----------
    path : path or binary file
        Plain text, or compressed with suffix ``.gz``, ``.bz2`` or ``.xz``. A file object is read to its end.
    n_features : int, optional
        Number of columns; default: as many as the largest index in the file needs.
    dtype : dtype, default float64
        float32 or float64.
    zero_based : bool, default False
        Whether indices count from 0 instead of 1.

    Returns
    -------
    A : scipy.sparse.csr_matrix
    y : ndarray of float64

    Raises
    ------
    ValueError
        For a malformed line, with its number, for a file without samples, and for a damaged archive.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "two.txt")
    ...     _ = file.write_text("+1 1:0.5 3:2\\n-1 2:1  # a comment\\n")
    ...     A, y = read_libsvm(file)
    >>> A.toarray().tolist(), y.tolist()
    ([[0.5, 0.0, 2.0], [0.0, 1.0, 0.0]], [1.0, -1.0])
    """
    if n_features is not None:
        n_features = as_integer(n_features, "n_features", minimum=1)
    zero_based = as_flag(zero_based, "zero_based")
    try:
        kind = np.dtype(dtype)
    except TypeError:
        kind = np.dtype(object)
    if kind not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"dtype must be float32 or float64, got {dtype!r}")
    name, open_file = _source(path)
    reader = _Parser(name, n_features, kind, zero_based)
    try:
        with open_file() as file:
            found = _fast(file, n_features, kind, zero_based)
        if found is None:
            with open_file() as file:
                found = reader.read(file)
    except (EOFError, zlib.error, lzma.LZMAError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the file system's: not found, no permission
            raise
        raise ValueError(f"{name} is truncated or damaged: {error}") from None
    return found


def _source(path: Any) -> tuple[str, Callable[[], IO[bytes]]]:
    """Return what to call the file in messages, and how to open it, more than once."""
    if hasattr(path, "read"):
        name = str(getattr(path, "name", "the file"))
        content = path.read()
        if not isinstance(content, (bytes, bytearray)):
            raise TypeError(f"{name} must be open in binary mode, as by open(path, 'rb')")
        return name, lambda: io.BytesIO(content)
    try:
        name = os.fsdecode(os.fspath(path))
    except TypeError:
        raise TypeError(f"path must be a path or a binary file, got {path!r}") from None
    opener = _OPENERS.get(os.path.splitext(name)[1].lower(), open)
    return name, lambda: opener(name, "rb")


def _fast(file: IO[bytes], n_features: int | None, dtype: Any, zero_based: bool) -> tuple[Any, np.ndarray] | None:
    """Read by scikit-learn; None if anything in the file is not plainly in order."""
    from sklearn.datasets import load_svmlight_file

    try:
        A, y = load_svmlight_file(_Lines(file), dtype=np.float64, zero_based=zero_based)
    except (ValueError, OverflowError):  # a fault, or a file whose fields have no numbers at all
        return None
    top = int(A.indices.max(initial=-1)) + 1
    if not y.size or top > _LARGEST_INDEX or (n_features is not None and top > n_features):
        return None
    if not (np.isfinite(y).all() and np.all(np.abs(A.data) <= float(np.finfo(dtype).max))):
        return None
    return _matrix(A.data, A.indices, A.indptr, n_features or max(top, 1), dtype), np.asarray(y, np.float64)


class _Lines:
    """The lines of a file for scikit-learn, which takes any field that begins with "qid" for a query."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def __iter__(self) -> Any:
        for line in self.file:
            if b"qid" in line or b"_" in line:  # Python reads 1_0 as 10
                for field in line.split(b"#", 1)[0].split():
                    if b"_" in field or (field.startswith(b"qid") and not field.startswith(b"qid:")):
                        raise ValueError
            yield line

    def read(self, size: int = -1) -> bytes:
        """Read bytes: what makes this a file."""
        return self.file.read(size)


def _matrix(data: Any, indices: Any, indptr: Any, width: int, dtype: Any) -> Any:
    import scipy.sparse as sp

    arrays = (np.asarray(data).astype(dtype, copy=False), np.asarray(indices).astype(np.int32, copy=False), indptr)
    return sp.csr_matrix(arrays, shape=(len(indptr) - 1, width))


class _Parser:
    """The strict parser: appends line by line, and says where it stopped."""

    def __init__(self, name: str, n_features: int | None, dtype: Any, zero_based: bool) -> None:
        self.name, self.n_features, self.dtype = name, n_features, dtype
        self.first = 0 if zero_based else 1
        self.labels, self.values = array("d"), array("d")
        self.columns, self.indptr = array("i"), array("q", [0])

    def read(self, file: IO[bytes]) -> tuple[Any, np.ndarray]:
        for number, line in enumerate(file, start=1):
            fields = line.split(b"#", 1)[0].split()
            if fields:
                self.parse(fields, f"{self.name}, line {number}")
        if not self.labels:
            raise ValueError(f"{self.name} has no samples")
        columns, values = np.array(self.columns, np.int32), np.array(self.values)
        width = self.n_features if self.n_features is not None else int(columns.max(initial=0)) + 1
        return _matrix(values, columns, np.array(self.indptr), width, self.dtype), np.array(self.labels)

    def parse(self, fields: list[bytes], where: str) -> None:
        """Append one line's label and entries."""
        label = _number(fields[0])
        if label is None:
            raise ValueError(f"{where}: the label must be a number, got {_text(fields[0])!r}")
        if not np.isfinite(label):
            raise ValueError(f"{where}: the label must be finite, got {_text(fields[0])!r}")
        last = self.first - 1
        for field in fields[1:]:
            index_text, colon, value_text = field.partition(b":")
            if index_text == b"qid" and colon:
                continue
            value = _number(value_text)
            try:
                index = int(index_text)
            except ValueError:
                value = None
            if not colon or value is None or b"_" in index_text:
                raise ValueError(f"{where}: expected index:value, got {_text(field)!r}")
            if index <= last:
                reason, hint = f"indices must increase along a line, after {last}", ""
                if index < self.first:
                    reason = f"indices count from {self.first}"
                    hint = "; pass zero_based=True if they count from 0" if index == 0 else ""
                raise ValueError(f"{where}: {reason}, got {_text(field)!r}{hint}")
            column = index - self.first
            if self.n_features is not None and column >= self.n_features:
                raise ValueError(f"{where}: index {index} is above n_features={self.n_features}")
            if column >= _LARGEST_INDEX:
                raise ValueError(f"{where}: index {index} is too large; {_LARGEST_INDEX} columns are supported")
            if not np.isfinite(value):
                raise ValueError(f"{where}: values must be finite, got {_text(field)!r}")
            if abs(value) > float(np.finfo(self.dtype).max):
                raise ValueError(f"{where}: the value overflows {self.dtype}, got {_text(field)!r}")
            self.columns.append(column)
            self.values.append(value)
            last = index
        self.labels.append(label)
        self.indptr.append(len(self.columns))


def _number(text: bytes) -> float | None:
    try:
        return None if b"_" in text else float(text)
    except ValueError:
        return None


def _text(field: bytes) -> str:
    return field.decode("utf-8", "replace")
