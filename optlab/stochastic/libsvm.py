"""Reading data in LIBSVM's text format, also compressed: ``label index:value index:value ...``, one sample a line.

Indices count from 1 and increase along a line; ``qid:`` fields and what follows a ``#`` are skipped. Any fault names
its line.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from optlab.core.validation import as_integer

_OPENERS: dict[str, Callable[..., IO[bytes]]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}  # type: ignore


def read_libsvm(
    path: str | os.PathLike[str], *, n_features: int | None = None, dtype: Any = np.float64
) -> tuple[Any, np.ndarray]:
    """Read a LIBSVM file.

    Parameters
    ----------
    path : path
        Plain text, or compressed with suffix ``.gz``, ``.bz2`` or ``.xz``.
    n_features : int, optional
        Number of columns; default: the largest index in the file.
    dtype : dtype, default float64
        float32 or float64.

    Returns
    -------
    A : scipy.sparse.csr_matrix
    y : ndarray of float64

    Raises
    ------
    ValueError
        For a malformed line, with its number, and for a file without samples.

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
    import scipy.sparse as sp

    if n_features is not None:
        n_features = as_integer(n_features, "n_features", minimum=1)
    name = os.fspath(path)
    opener = _OPENERS.get(os.path.splitext(name)[1].lower(), open)
    labels: list[float] = []
    lengths: list[int] = []
    columns: list[int] = []
    values: list[float] = []
    with opener(name, "rb") as file:
        for number, line in enumerate(file, start=1):
            fields = line.split(b"#", 1)[0].split()
            if fields:
                _parse(fields, f"{name}, line {number}", labels, lengths, columns, values, n_features)
    if not labels:
        raise ValueError(f"{name} has no samples")
    width = n_features if n_features is not None else max(columns, default=0) + 1
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    indices = np.array(columns, np.int32)
    A = sp.csr_matrix((np.array(values, dtype), indices, indptr), shape=(len(labels), width))
    return A, np.array(labels)


def _parse(
    fields: list[bytes],
    where: str,
    labels: list[float],
    lengths: list[int],
    columns: list[int],
    values: list[float],
    n_features: int | None,
) -> None:
    """Append one line's label and entries."""
    try:
        label = float(fields[0])
    except ValueError:
        raise ValueError(f"{where}: the label must be a number, got {_text(fields[0])!r}") from None
    if not np.isfinite(label):
        raise ValueError(f"{where}: the label must be finite, got {_text(fields[0])!r}")
    before = len(columns)
    last = 0
    for field in fields[1:]:
        index_text, colon, value_text = field.partition(b":")
        if index_text == b"qid":
            continue
        try:
            index, value = int(index_text), float(value_text)
        except ValueError:
            colon = b""
        if not colon:
            raise ValueError(f"{where}: expected index:value, got {_text(field)!r}")
        if index <= last:
            reason = "indices count from 1" if index < 1 else f"indices must increase along a line, after {last}"
            raise ValueError(f"{where}: {reason}, got {_text(field)!r}")
        if n_features is not None and index > n_features:
            raise ValueError(f"{where}: index {index} is above n_features={n_features}")
        if not np.isfinite(value):
            raise ValueError(f"{where}: values must be finite, got {_text(field)!r}")
        columns.append(index - 1)
        values.append(value)
        last = index
    labels.append(label)
    lengths.append(len(columns) - before)


def _text(field: bytes) -> str:
    return field.decode("utf-8", "replace")
