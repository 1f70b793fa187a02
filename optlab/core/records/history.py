"""The record of a run: one row per record point, one float64 column per quantity.

Row 0 is the start and the last iterate is always the last row. Every row has every column; a quantity that a run does
not measure is no column. Files are ``.npz``, ``.csv`` or ``.parquet`` by suffix; none of them is a pickle.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from optlab.core.files import check_unpacked_size, check_writable, names_of, read_arrays, write_atomically
from optlab.core.records.drawing import Look, curve_of, draw
from optlab.core.records.tables import frame_of
from optlab.core.validation import as_float_array, one_of

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

STANDARD_COLUMNS = ("iteration", "time", "oracle_calls")
_SUFFIXES = (".npz", ".csv", ".parquet")
_CSV_NAME = "optlab history"  # of the last column, which has the metadata in its first row
_CSV_MARK = "# optlab history "  # of the line before the columns, in files of version 0.1.0


class History:
    """Columns recorded along a run.

    Parameters
    ----------
    columns : mapping of str to sequence of float, optional
        Columns of equal length.
    primary_metric : str, optional
        The metric that plots and stopping rules use when none is named.
    metadata : dict, optional
        What JSON can hold: the method, the problem, the seed, package versions.

    Examples
    --------
    >>> history = History(primary_metric="gap")
    >>> history.append({"iteration": 0, "time": 0.0, "oracle_calls": 0, "gap": 1.0})
    >>> history.append({"iteration": 1, "time": 0.1, "oracle_calls": 1, "gap": 0.25})
    >>> history["gap"]
    array([1.  , 0.25])
    >>> history.metrics
    ('gap',)
    """

    def __init__(
        self,
        columns: Mapping[str, Iterable[float]] | None = None,
        *,
        primary_metric: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        if not (columns is None or isinstance(columns, Mapping)):
            raise TypeError(f"columns must be a dict of names to numbers, got {type(columns).__name__}")
        arrays = {name: _column(values, name) for name, values in (columns or {}).items()}
        if len({len(a) for a in arrays.values()}) > 1:
            lengths = {name: len(a) for name, a in arrays.items()}
            raise ValueError(f"columns must have equal lengths, got {lengths}")
        if not (metadata is None or isinstance(metadata, Mapping)):
            raise TypeError(f"metadata must be a dict, got {type(metadata).__name__}")
        self._buffers = arrays  # of at least the length below, grown by doubling: appending is O(1)
        self._length = len(next(iter(arrays.values()), ()))
        self.primary_metric = primary_metric
        self.metadata: dict[str, Any] = dict(metadata or {})

    # ------------------------------------------------------------------ reading

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns, "iteration", "time" and "oracle_calls" first."""
        return tuple(self._buffers)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the measured columns, without "iteration", "time" and "oracle_calls"."""
        return tuple(name for name in self._buffers if name not in STANDARD_COLUMNS)

    @property
    def last(self) -> dict[str, float]:
        """The last row."""
        last = self._length - 1
        return {name: float(a[last]) for name, a in self._buffers.items()} if self._length else {}

    def __len__(self) -> int:
        return self._length

    def __contains__(self, name: object) -> bool:
        return name in self._buffers

    def __iter__(self) -> Iterator[str]:
        return iter(self._buffers)

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._buffers:
            raise KeyError(f"no column {name!r}; this history has {', '.join(self._buffers) or 'no columns'}")
        view = self._buffers[name][: self._length]
        view.flags.writeable = False
        return view

    def _ipython_key_completions_(self) -> list[str]:
        return list(self._buffers)

    def _repr_html_(self) -> str:
        from optlab.core.records.notebook import history_html

        return history_html(self)

    def __repr__(self) -> str:
        return f"History({len(self)} records of {', '.join(self._buffers) or 'nothing'})"

    def equals(self, other: History, *, ignore: Sequence[str] = ("time",)) -> bool:
        """Return whether both have the same columns, bit for bit; times differ by nature and are ignored."""
        names = [n for n in self._buffers if n not in ignore]
        if names != [n for n in other._buffers if n not in ignore]:
            return False
        return all(np.array_equal(self[n], other[n], equal_nan=True) for n in names)

    # ------------------------------------------------------------------ writing

    def append(self, row: Mapping[str, float]) -> None:
        """Add a row, which must have the columns of the rows before it."""
        if not self._buffers:
            self._buffers = {name: np.empty(16) for name in row}
        elif row.keys() != self._buffers.keys():
            missing = sorted(self._buffers.keys() - row.keys())
            extra = sorted(row.keys() - self._buffers.keys())
            problem = "; ".join(
                part
                for part in (
                    f"missing {', '.join(missing)}" if missing else "",
                    f"new {', '.join(extra)}" if extra else "",
                )
                if part
            )
            raise ValueError(
                f"every record must have the same metrics, but this one differs ({problem}); "
                "measure() must return the same names each time"
            )
        n = self._length
        for name, buffer in self._buffers.items():
            if n >= len(buffer):
                buffer = self._buffers[name] = np.concatenate([buffer, np.empty(max(16, n))])
            buffer[n] = row[name]
        self._length = n + 1

    def to_frame(self) -> pandas.DataFrame:
        """Return the columns as a pandas DataFrame (needs pandas)."""
        frame = frame_of({name: self[name] for name in self._buffers}, "History.to_frame")
        frame.attrs = {"primary_metric": self.primary_metric, "metadata": self.metadata}
        return frame

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the history to ``.npz``, ``.csv`` or ``.parquet``, by suffix, and return the path.

        The file appears whole or not at all. A ``.csv`` is what ``pandas.read_csv(path)`` reads; its last column,
        named "optlab history", holds the metadata in the first row. ``.parquet`` needs pandas and pyarrow.

        Raises
        ------
        ValueError
            For another suffix.
        OSError
            If nothing can be written there.
        ImportError
            If what ``.parquet`` needs is not installed.
        """
        target = check_writable(path)
        suffix = one_of(target.suffix, "the suffix of path", _SUFFIXES)
        head = {"primary_metric": self.primary_metric, "metadata": self.metadata}
        header = json.dumps(head)
        if suffix == ".npz":
            # numbered, since a name such as "a/b" is more than the name of an entry
            arrays = {f"column:{i}": self[name] for i, name in enumerate(self._buffers)}
            listed = json.dumps({**head, "columns": list(self._buffers)})

            def write(file: IO[Any]) -> None:
                np.savez(file, header=np.array(listed), **arrays)  # type: ignore[arg-type]

            write_atomically(target, write)
        elif suffix == ".csv":
            if len(header) > 100_000:  # CSV readers take no longer fields
                raise ValueError("path: the metadata are too long for a .csv file; save as .npz")

            def write(file: IO[Any]) -> None:
                rows = csv.writer(file, lineterminator="\n")
                rows.writerow([*self._buffers, _CSV_NAME])
                # repr is the shortest text that reads back as the same float
                texts = ([repr(float(v)) for v in row] for row in zip(*(self[name] for name in self._buffers)))
                rows.writerow([*next(texts, [""] * len(self._buffers)), header])  # a history without records has one
                rows.writerows([*row, ""] for row in texts)

            write_atomically(target, write, mode="w")
        else:
            _need_parquet()
            frame = self.to_frame()
            write_atomically(target, lambda file: frame.to_parquet(file))
        return target

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> History:
        """Read a history written by `save`.

        The file is not trusted: nothing in it is executed, and one that would unpack to far more than its own size
        (256 MiB, and four times its size) is not read.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is not a history, or is damaged.
        ImportError
            If what ``.parquet`` needs is not installed.
        """
        source = Path(path)
        suffix = one_of(source.suffix, "the suffix of path", _SUFFIXES)
        if not source.exists():
            raise FileNotFoundError(f"no history at {str(source)!r}")
        if suffix == ".parquet":
            _need_parquet()
        try:
            header, columns = _READERS[suffix](source)
            if not isinstance(header, dict):
                raise ValueError(f"its header must be an object, got {type(header).__name__}")
            metric, metadata = header.get("primary_metric"), header.get("metadata")
            if not (metric is None or isinstance(metric, str)):
                raise ValueError(f"its primary_metric must be a name, got {metric!r}")
            return cls(columns, primary_metric=metric, metadata=metadata)
        except Exception as error:  # a damaged file makes its reader stumble in many ways
            reason = str(error) if isinstance(error, (ValueError, TypeError, OSError)) else repr(error)
            raise ValueError(f"{str(source)!r} is not a readable optlab history: {reason}") from None

    # ------------------------------------------------------------------ drawing

    def plot(self, metric: str | None = None, against: str = "iteration", ax: Axes | None = None, **line: Any) -> Axes:
        """Draw one column against another and return the Axes.

        Parameters
        ----------
        metric : str, optional
            The column to draw; default: the problem's primary metric.
        against : str
            The horizontal column: "iteration", "time" (seconds), "oracle_calls" or any other.
        ax : matplotlib.axes.Axes, optional
            Where to draw; default: a new figure in the house style.
        **line
            Passed to ``Axes.plot``.
        """
        metric = metric or self.primary_metric
        curve = curve_of(self, metric, against, "this history")
        return draw({line.pop("label", None) or "": [curve]}, str(metric), against, ax, line, Look(labels="none"))


def _column(values: Any, name: str) -> np.ndarray:
    if isinstance(values, Iterable) and not isinstance(values, (np.ndarray, Sequence)):
        values = [*values]  # an iterator, say
    column = as_float_array(values, f"column {name!r}", ndim=1, finite=False, allow_empty=True)
    return np.array(column, dtype=np.float64)


# ---------------------------------------------------------------------- files


def _read_npz(source: Path) -> tuple[Any, dict[str, Any]]:
    arrays = read_arrays(source)
    header = json.loads(str(arrays["header"])) if "header" in arrays else None
    if isinstance(header, dict) and "columns" in header:
        names = names_of(header["columns"], "columns")
        return header, {name: arrays[f"column:{i}"] for i, name in enumerate(names)}
    # written before columns were numbered
    prefix = "column:"
    return header, {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _read_csv(source: Path) -> tuple[Any, dict[str, Any]]:
    with source.open(encoding="utf-8", newline="") as file:
        text = file.readline()
        header = json.loads(text.removeprefix(_CSV_MARK)) if text.startswith(_CSV_MARK) else {}
        if not text.startswith(_CSV_MARK):
            file.seek(0)
        names, *rows = csv.reader(file)
    own = bool(names) and names[-1] == _CSV_NAME
    if len(set(names[: len(names) - own])) < len(names) - own:
        raise ValueError(f"a column stands twice among {', '.join(names)}")
    for i, row in enumerate(rows):
        if len(row) != len(names):
            raise ValueError(f"row {i} has {len(row)} values for {len(names)} columns")
    if own:
        header = json.loads(rows[0].pop()) if rows else {}
        names.pop()
        if rows and not any(rows[0]):
            rows = []
    return header, {name: [float(row[i]) for row in rows] for i, name in enumerate(names)}


def _read_parquet(source: Path) -> tuple[Any, dict[str, Any]]:
    import pandas
    from pyarrow.parquet import read_metadata

    about = read_metadata(source)
    check_unpacked_size(8 * about.num_rows * about.num_columns, source)
    frame = pandas.read_parquet(source)
    return frame.attrs, {str(name): frame[name].to_numpy() for name in frame.columns}


def _need_parquet() -> None:
    try:
        import pandas
        import pyarrow
    except ImportError:
        raise ImportError("histories in .parquet need pandas and pyarrow: pip install optlab[parquet]") from None
    del pandas, pyarrow


_READERS: dict[str, Callable[[Path], tuple[Any, dict[str, Any]]]] = {
    ".npz": _read_npz,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}
