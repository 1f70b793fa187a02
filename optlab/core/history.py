"""The record of a run: one row per record point, one float64 column per quantity.

Row 0 is the start and the last iterate is always the last row. Every row has every column; a quantity that a run does
not measure is no column. Files are ``.npz``, ``.csv`` or ``.parquet`` by suffix; none of them is a pickle.
"""

from __future__ import annotations

import csv
import json
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from optlab.core.files import check_writable, write_atomically
from optlab.core.validation import one_of

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

STANDARD_COLUMNS = ("iteration", "time", "oracle_calls")
_SUFFIXES = (".npz", ".csv", ".parquet")
_CSV_MARK = "# optlab history "


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
        arrays = {name: np.array([*column], dtype=np.float64) for name, column in (columns or {}).items()}
        if len({len(a) for a in arrays.values()}) > 1:
            lengths = {name: len(a) for name, a in arrays.items()}
            raise ValueError(f"columns must have equal lengths, got {lengths}")
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
        try:
            import pandas
        except ImportError:
            raise ImportError("History.to_frame needs pandas: pip install pandas") from None
        frame = pandas.DataFrame({name: self[name] for name in self._buffers})
        frame.attrs = {"primary_metric": self.primary_metric, "metadata": self.metadata}
        return frame

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the history to ``.npz``, ``.csv`` or ``.parquet``, by suffix, and return the path.

        The file appears whole or not at all. ``.parquet`` needs pandas and pyarrow (``pip install optlab[parquet]``).

        Raises
        ------
        ValueError
            For another suffix.
        OSError
            If nothing can be written there.
        """
        target = check_writable(path)
        suffix = one_of(target.suffix, "the suffix of path", _SUFFIXES)
        header = json.dumps({"primary_metric": self.primary_metric, "metadata": self.metadata})
        if suffix == ".npz":
            arrays = {f"column:{name}": self[name] for name in self._buffers}

            def write(file: IO[Any]) -> None:
                np.savez(file, header=np.array(header), **arrays)  # type: ignore[arg-type]

            write_atomically(target, write)
        elif suffix == ".csv":

            def write(file: IO[Any]) -> None:
                file.write(f"{_CSV_MARK}{header}\n")
                rows = csv.writer(file, lineterminator="\n")
                rows.writerow(self._buffers)
                # repr is the shortest text that reads back as the same float
                rows.writerows([repr(float(v)) for v in row] for row in zip(*(self[name] for name in self._buffers)))

            write_atomically(target, write, mode="w")
        else:
            frame = self.to_frame()
            write_atomically(target, lambda file: frame.to_parquet(file))
        return target

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> History:
        """Read a history written by `save`.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is not a history, or is damaged.
        """
        source = Path(path)
        suffix = one_of(source.suffix, "the suffix of path", _SUFFIXES)
        if not source.exists():
            raise FileNotFoundError(f"no history at {str(source)!r}")
        try:
            if suffix == ".npz":
                with source.open("rb") as raw, np.load(raw, allow_pickle=False) as archive:
                    header = json.loads(str(archive["header"]))
                    names = [name for name in archive.files if name.startswith("column:")]
                    columns = {name.removeprefix("column:"): archive[name].tolist() for name in names}
            elif suffix == ".csv":
                with source.open(encoding="utf-8", newline="") as file:
                    text = file.readline()
                    header = json.loads(text.removeprefix(_CSV_MARK)) if text.startswith(_CSV_MARK) else {}
                    if not header:
                        file.seek(0)
                    rows = list(csv.reader(file))
                columns = {name: [float(row[i]) for row in rows[1:]] for i, name in enumerate(rows[0])}
            else:
                import pandas

                frame = pandas.read_parquet(source)
                header = frame.attrs
                columns = {str(name): frame[name].tolist() for name in frame.columns}
            return cls(columns, primary_metric=header.get("primary_metric"), metadata=header.get("metadata"))
        except (KeyError, IndexError, ValueError, EOFError, zipfile.BadZipFile, OSError) as error:
            raise ValueError(f"{str(source)!r} is not a readable optlab history: {error}") from None

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
        from optlab.core.comparison import draw_histories

        name = line.pop("label", None)
        return draw_histories({name or "": self}, metric, against, ax, line=line, legend=False)
