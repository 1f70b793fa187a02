"""One view from a text file: what separates its columns, which of them names the samples, what R and pandas add.

Reads with pandas, after a look at the first lines. Names of samples are text, whatever they look like: 001 stays 001,
and a sample may be called NA. A first column without a name (or called ``Unnamed: 0``, after a second round through
pandas) has the row names that pandas' ``to_csv`` and R's ``write.csv`` put there, and so has the first column of R's
``write.table``, whose first line is one name short.
"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "UNNAMED",
    "first_row_number",
    "is_table",
    "read_table",
    "refuse_unnamed_column",
    "table_name",
]

UNNAMED = "Unnamed: 0"
_SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
_COMPRESSED = (".gz", ".bz2", ".xz")


def _suffixes(path: Path) -> tuple[str, str]:
    """Suffix of the kind of file, and of its compression."""
    packed = path.suffix.lower() if path.suffix.lower() in _COMPRESSED else ""
    return (Path(path.stem).suffix if packed else path.suffix).lower(), packed


def is_table(path: Path) -> bool:
    """Whether a file has a suffix of text tables, perhaps compressed."""
    return _suffixes(path)[0] in _SEPARATORS


def table_name(path: Path) -> str:
    """The name of a file without suffixes: genes for genes.csv.gz."""
    return Path(path.stem).stem if _suffixes(path)[1] and is_table(path) else path.stem


def _first_rows(path: Path, sep: str, encoding: str) -> list[list[str]]:
    import bz2
    import gzip
    import lzma

    unpack: Any = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}.get(_suffixes(path)[1], open)
    with unpack(path, "rt", encoding=encoding, newline="") as handle:
        found = []
        for row in csv.reader(handle, delimiter=sep):
            if row:
                found.append(row)
            if len(found) == 2:
                break
    return found


def read_table(
    path: Path, name: str, sample_column: str | int | None, sep: str | None, decimal: str, encoding: str
) -> tuple[Any, bool]:
    """Return the table with the samples in its index, and whether the file names them."""
    import pandas as pd

    if not path.is_file():
        raise FileNotFoundError(f"view {name!r}: there is no file {path}")
    sep = _SEPARATORS.get(_suffixes(path)[0], "\t") if sep is None else sep
    encoding = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    try:
        first = _first_rows(path, sep, encoding)
        if not first:
            raise ValueError(f"view {name!r}: {path} is not a table that can be read: it is empty")
        columns = _column_names(first, path, name, sep)
        names = _sample_column(columns, name, sample_column)
        layout = {"sep": sep, "encoding": encoding, "header": 0, "names": columns, "index_col": False}
        frame = pd.read_csv(path, decimal=decimal, **layout)
        if names is not None:  # again, as text: once 001 is a number and NA is missing they are lost
            text = pd.read_csv(path, usecols=[names], dtype=str, keep_default_na=False, **layout)[names]
    except (pd.errors.EmptyDataError, pd.errors.ParserError, csv.Error, OSError, EOFError) as error:
        raise ValueError(f"view {name!r}: {path} is not a table that can be read: {error}") from None
    except UnicodeDecodeError as error:
        raise ValueError(
            f"view {name!r}: {path} is not a table that can be read as {encoding}: {error}; pass the encoding it has, "
            "such as encoding='latin-1'"
        ) from None
    if names is None:
        return frame, False
    if (empty := (text == "").to_numpy()).any():
        raise ValueError(f"view {name!r} has a row without a sample name, number {int(np.argmax(empty)) + 1}")
    return frame.drop(columns=names).set_axis(text.tolist(), axis=0), True


def _column_names(first: list[list[str]], path: Path, name: str, sep: str) -> list[str]:
    columns = list(first[0])
    if len(columns) == 1 and (other := next((c for c in ";\t,|" if c != sep and c in columns[0]), None)):
        more = " (and decimal=',' if its numbers have a comma)" if other == ";" else ""
        raise ValueError(
            f"view {name!r}: {path.name} has a single column, {columns[0][:60]!r}, when separated at {sep!r}; pass "
            f"sep={other!r}{more}"
        )
    if len(first) > 1 and len(first[1]) == len(columns) + 1:  # R: write.table
        columns = ["", *columns]
    columns = [column or f"Unnamed: {i}" for i, column in enumerate(columns)]
    twice = [column for column, count in Counter(columns).items() if count > 1]
    if twice:
        raise ValueError(f"view {name!r} must have different names for its columns, {twice[0]!r} is there twice")
    return columns


def _sample_column(columns: list[str], name: str, wanted: str | int | None) -> str | None:
    if wanted is None:
        return UNNAMED if columns[0] == UNNAMED else None
    if isinstance(wanted, (int, np.integer)):
        if not 0 <= wanted < len(columns):
            raise ValueError(f"sample_column must be below {len(columns)}, the columns of view {name!r}, got {wanted}")
        return columns[wanted]
    if wanted not in columns:
        shown = ", ".join(map(repr, columns[:5])) + (", ..." if len(columns) > 5 else "")
        raise ValueError(f"sample_column {wanted!r} is not in view {name!r}, which has {shown}")
    return wanted


def first_row_number(values: Any) -> int | None:
    """0 or 1 if `values` only number the rows, from there on in steps of 1; otherwise None.

    Examples
    --------
    >>> first_row_number([1.0, 2.0, 3.0]), first_row_number(["0", "1", "2"]), first_row_number([1, 3, 2])
    (1, 0, None)
    """
    try:
        numbers = np.asarray(values).astype(float)
    except (TypeError, ValueError):
        return None
    for start in (0, 1):
        if numbers.size > 2 and np.array_equal(numbers, np.arange(start, start + numbers.size)):
            return start
    return None


def refuse_unnamed_column(columns: Any, called: str) -> None:
    """Refuse a first column without a name, as pandas calls it, among the columns of a DataFrame."""
    if UNNAMED in list(map(str, columns)):
        raise ValueError(
            f"{called} has a column {UNNAMED!r}: row names of the file it was read from, no feature; read it with "
            "pandas.read_csv(..., index_col=0), or drop the column"
        )
