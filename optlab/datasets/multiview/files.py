"""A user's own views: files or DataFrames, one per view, brought to the same samples.

Reads separated text with pandas. It aligns samples by name, takes a column of group labels out of the views, and
reports what an estimator could not use, or what would mislead one: a column that only numbers the rows would be the
strongest component that the views share. It does not impute (beyond a column's median, if asked to), encode
text or scale.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from optlab.core.validation import as_integer, one_of
from optlab.datasets.multiview.tables import (
    first_row_number,
    is_table,
    read_table,
    refuse_unnamed_column,
    table_name,
)

__all__ = ["MultiviewDataset", "read_views"]


@dataclass(frozen=True)
class MultiviewDataset:
    """Real views with names.

    Parameters
    ----------
    views : dict of str to ndarray
    feature_names : dict of str to list of str
    labels : ndarray, shape (n,)
        Class or group of each sample, for colours; not a view.
    label_names : list of str
    description : str
    sample_names : list of str, optional
        Names of the rows.
    """

    views: dict[str, np.ndarray] = field(repr=False)
    feature_names: dict[str, list[str]] = field(repr=False)
    labels: np.ndarray = field(repr=False)
    label_names: list[str]
    description: str
    sample_names: list[str] | None = field(default=None, repr=False)

    def frames(self) -> dict[str, Any]:
        """The views as DataFrames (needs pandas)."""
        try:
            import pandas as pd
        except ImportError:
            raise ImportError("frames() needs pandas: pip install pandas") from None
        return {
            name: pd.DataFrame(X, columns=self.feature_names[name], index=self.sample_names, copy=True)
            for name, X in self.views.items()
        }


def read_views(
    source: Any,
    *,
    sample_column: str | int | Mapping[str, str | int | None] | None = None,
    labels: str | None = None,
    samples: str = "same",
    missing: str = "raise",
    sep: str | None = None,
    decimal: str = ".",
    encoding: str = "utf-8",
) -> MultiviewDataset:
    """Read views from files or DataFrames and bring them to the same samples, in the order of the first view.

    Parameters
    ----------
    source : mapping, sequence of paths, or path of a folder
        ``{"genes": "genes.csv", "lipids": frame}``: paths or DataFrames by the name of the view; a list of paths
        (views are named after the files); or a folder, of which all ``.csv``, ``.tsv`` and ``.txt`` files are taken in
        alphabetical order, compressed ones (``.csv.gz``, ``.bz2``, ``.xz``) too. Rows are samples; the first line has
        the names of the columns.
    sample_column : str, int or mapping, optional
        Column of the files with the names of the samples, by name or position; a mapping from views to columns if it
        differs. Not for DataFrames, whose index has them. Names are text: 001 stays 001, NA is a name. Without it a
        first column that has no name (as pandas and R write row names) has the samples; where there is none, the rows
        of all views must be the same samples in the same order.
    labels : str, optional
        A column, in one of the views, with the group of each sample; it becomes `labels` and leaves the view.
    samples : {"same", "common"}
        Whether all views must have the same samples (in any order), or those that all have are kept.
    missing : {"raise", "drop", "median"}
        What to do about missing values: an error naming the first, drop the samples that have any, or fill in the
        median of the column.
    sep : str, optional
        What separates the columns of files, one character. Default: a comma in ``.csv``, a tab in others.
    decimal : str, default "."
        Decimal point of files; ``","`` with ``sep=";"`` for what spreadsheets write in much of Europe.
    encoding : str, default "utf-8"
        Of the files.

    Returns
    -------
    MultiviewDataset
        ``views`` and ``frames()`` are what `JointLCA.fit` takes.

    Raises
    ------
    ValueError, TypeError, FileNotFoundError
        Naming the view, and the column or the sample.

    Examples
    --------
    >>> import pandas as pd
    >>> genes = pd.DataFrame({"brca1": [1.0, 2.0, 4.0], "diet": ["oil", "fish", "oil"]}, index=["a", "b", "c"])
    >>> lipids = pd.DataFrame({"C16": [0.3, 0.1, 0.2]}, index=["c", "a", "b"])
    >>> data = read_views({"genes": genes, "lipids": lipids}, labels="diet")
    >>> data.views["lipids"].ravel().tolist(), data.sample_names, data.label_names, data.labels.tolist()
    ([0.1, 0.2, 0.3], ['a', 'b', 'c'], ['fish', 'oil'], [1, 0, 1])
    """
    one_of(samples, "samples", ("same", "common"))
    one_of(missing, "missing", ("raise", "drop", "median"))
    if not (labels is None or isinstance(labels, (str, int))):
        raise TypeError(f"labels must be the name of a column, got {type(labels).__name__}")
    for value, called in ((sep, "sep"), (decimal, "decimal")):
        if not (value is None and called == "sep") and not (isinstance(value, str) and len(value) == 1):
            raise ValueError(f"{called} must be one character, got {value!r}")
    _check_encoding(encoding)
    sources = _sources(source)
    columns = _sample_columns(sample_column, sources)
    frames, with_names = {}, []
    for name, value in sources.items():
        frames[name], has_names = _frame(value, name, columns[name], sep, decimal, encoding)
        with_names.append(has_names)
    _refuse_row_numbers(frames, labels)
    named = any(with_names)
    frames = _aligned(frames, samples) if named else _same_rows(frames)
    frames, groups = _take_labels(frames, labels)
    for name, frame in frames.items():
        _check_numeric(frame, name)
    frames = {name: frame.astype(float) for name, frame in frames.items()}
    frames, kept = _complete(frames, missing, named)
    first = next(iter(frames.values()))
    values, codes = ([], np.zeros(len(first), dtype=int)) if groups is None else _codes(groups[kept])
    return MultiviewDataset(
        {name: np.array(frame, dtype=float) for name, frame in frames.items()},
        {name: [str(c) for c in frame.columns] for name, frame in frames.items()},
        codes,
        values or ["all"],
        f"{len(frames)} views of {len(first)} samples: " + ", ".join(frames),
        [str(s) for s in first.index] if named else None,
    )


def _sources(source: Any) -> dict[str, Any]:
    """What to read, by the name of the view."""
    if isinstance(source, Mapping):
        found = {str(name): value for name, value in source.items()}
    elif isinstance(source, (str, Path)):
        folder = Path(source)
        if not folder.is_dir():
            raise ValueError(
                f"source must be a folder, a list of files or a dict of them by view; {str(source)!r} is no folder"
            )
        paths = [path for path in sorted(folder.iterdir()) if is_table(path)]
        found = {table_name(path): path for path in paths}
    elif isinstance(source, Sequence):
        paths = []
        for i, value in enumerate(source):
            if not isinstance(value, (str, Path)):
                raise TypeError(
                    f"source[{i}] must be a path, got {type(value).__name__}; name DataFrames, as in {{'genes': frame}}"
                )
            paths.append(Path(value))
        found = {table_name(path): path for path in paths}
    else:
        raise TypeError(f"source must be a dict, a list of paths or a folder, got {type(source).__name__}")
    if not isinstance(source, Mapping) and len(found) < len(paths):
        raise ValueError("source must have files of different names, or be a dict that names the views")
    if len(found) < 2:
        raise ValueError(f"source must hold at least 2 views, got {len(found)}: {', '.join(found) or 'none'}")
    return found


def _check_encoding(encoding: Any) -> None:
    import codecs

    try:
        codecs.lookup(encoding)
    except (LookupError, TypeError):
        raise ValueError(f"encoding must name one, such as 'utf-8' or 'latin-1', got {encoding!r}") from None


def _sample_columns(wanted: Any, sources: Mapping[str, Any]) -> dict[str, Any]:
    """The column with the names of the samples, by view."""
    if not isinstance(wanted, Mapping):
        wanted = dict.fromkeys(sources, wanted)
    elif unknown := [key for key in wanted if key not in sources]:
        raise ValueError(f"sample_column names the view {unknown[0]!r}; the views are {', '.join(map(repr, sources))}")
    for value in wanted.values():
        if value is not None and not isinstance(value, str):
            as_integer(value, "sample_column", minimum=0)
    return {name: wanted.get(name) for name in sources}


def _frame(
    value: Any, name: str, sample_column: str | int | None, sep: str | None, decimal: str, encoding: str
) -> tuple[Any, bool]:
    """One view as a DataFrame with the samples in its index, and whether they have names."""
    try:
        import pandas as pd
    except ImportError:
        raise ImportError("read_views reads with pandas; install it with: pip install pandas") from None
    if isinstance(value, pd.DataFrame):
        frame, has_names = value, first_row_number(value.index) != 0 or value.index.dtype.kind not in "iu"
        for axis, labels in (("row", frame.index), ("column", frame.columns)):
            if isinstance(labels, pd.MultiIndex):
                raise ValueError(
                    f"view {name!r} must have one name per {axis}, its {'index' if axis == 'row' else 'columns'} have "
                    f"{labels.nlevels} levels; join them, as in labels.map(lambda t: '_'.join(map(str, t)))"
                )
        refuse_unnamed_column(frame.columns, f"view {name!r}")
    elif isinstance(value, (str, Path)):
        frame, has_names = read_table(Path(value), name, sample_column, sep, decimal, encoding)
    else:
        raise TypeError(f"view {name!r} must be a path or a DataFrame, got {type(value).__name__}")
    if 0 in frame.shape:
        raise ValueError(f"view {name!r} must not be empty, got {frame.shape[0]} rows and {frame.shape[1]} columns")
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise ValueError(f"view {name!r} must have different names for its columns, {twice!r} is there twice")
    return frame, has_names


def _refuse_row_numbers(frames: dict[str, Any], labels: str | None) -> None:
    """A column that numbers the rows, in two views or more, is the strongest component they share."""
    found = []
    for name, frame in frames.items():
        for column, dtype in zip(frame.columns, frame.dtypes, strict=True):
            numeric = getattr(dtype, "kind", "O") in "iuf" and column != labels
            if numeric and first_row_number(frame[column]) is not None:
                found.append((name, column))
                break
    if len(found) > 1:
        (one, first), (other, second) = found[:2]
        raise ValueError(
            f"column {first!r} of view {one!r} only numbers the rows, and so does {second!r} of {other!r}: that would "
            f"become a joint component. If it names the samples, pass sample_column={first!r}; otherwise drop it"
        )


def _same_rows(frames: dict[str, Any]) -> dict[str, Any]:
    first = next(iter(frames))
    for name, frame in frames.items():
        if len(frame) != len(frames[first]):
            raise ValueError(
                f"all views must have the same samples as rows, got {len(frames[first])} rows in {first!r} and "
                f"{len(frame)} in {name!r}; where a column has the names of the samples, pass sample_column"
            )
    return frames


def _aligned(frames: dict[str, Any], samples: str) -> dict[str, Any]:
    """The same samples in every view, in the order of the first; names are compared as text."""
    numbered = {name: start for name, f in frames.items() if (start := first_row_number(f.index)) is not None}
    if len(set(numbered.values())) > 1:
        zero, one = (next(name for name, start in numbered.items() if start == value) for value in (0, 1))
        raise ValueError(
            f"the rows of view {zero!r} are numbered from 0, those of {one!r} from 1: which are the same samples is "
            "not known. Give both the same names"
        )
    for name, frame in frames.items():
        if frame.index.hasnans:
            raise ValueError(f"view {name!r} has a row without a sample name")
        frames[name] = frame = frame.set_axis([str(label) for label in frame.index], axis=0)
        if not frame.index.is_unique:
            twice = frame.index[frame.index.duplicated()][0]
            raise ValueError(f"view {name!r} must have every sample once, {twice!r} is there twice")
    first = next(iter(frames))
    order = frames[first].index
    common = order[np.logical_and.reduce([order.isin(frame.index) for frame in frames.values()])]
    if samples == "same":
        for name, frame in frames.items():
            if len(common) < len(order) or len(frame) > len(order):
                lacking, other = (name, first) if len(frame.index.intersection(order)) < len(order) else (first, name)
                gone = frames[other].index.difference(frames[lacking].index, sort=False)
                if len(gone):
                    why = _why(gone, frames[lacking].index)
                    raise ValueError(
                        f"view {lacking!r} lacks {len(gone)} of the samples of {other!r}, the first is {gone[0]!r}"
                        + (why or "; pass samples='common' to keep those that all views have")
                    )
    if len(common) == 0:
        named = ", ".join(f"{frame.index[0]!r} in {name!r}" for name, frame in frames.items())
        why = next((w for name in list(frames)[1:] if (w := _why(order, frames[name].index))), "")
        raise ValueError(f"the views have no sample in common; the first are {named}{why}")
    return {name: frame.loc[common] for name, frame in frames.items()}


def _why(names: Any, others: Any) -> str:
    """What would make the first of `names` that has a likeness among `others` equal to it."""
    for words, key in (
        ("blanks at the ends", str.strip),
        ("upper and lower case", str.casefold),
        ("how a number is written", _as_number),
    ):
        there = {key(other): other for other in others}
        for name in names:
            if (other := there.get(key(name), name)) != name:
                return f"; {name!r} and {other!r} differ in {words} only: make the names equal"
    if first_row_number(others) is not None:
        return "; the rows of one view have names, those of the other are only numbered"
    return ""


def _as_number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def _take_labels(frames: dict[str, Any], labels: str | None) -> tuple[dict[str, Any], np.ndarray | None]:
    if labels is None:
        return frames, None
    where = [name for name, frame in frames.items() if labels in frame.columns]
    if not where:
        raise ValueError(f"labels must be a column of one of the views, {labels!r} is in none of them")
    groups = frames[where[0]][labels]
    if groups.isna().any():
        raise ValueError(
            f"labels must be known for every sample, {labels!r} has none for {groups.index[groups.isna()][0]!r}"
        )
    for name in where[1:]:
        if not np.array_equal(groups.to_numpy(), frames[name][labels].to_numpy()):
            raise ValueError(f"labels {labels!r} differ between the views {where[0]!r} and {name!r}")
    rest = {name: frame.drop(columns=labels) if name in where else frame for name, frame in frames.items()}
    for name, frame in rest.items():
        if frame.shape[1] == 0:
            raise ValueError(f"view {name!r} has no column but the labels")
    return rest, groups.to_numpy()


def _codes(groups: np.ndarray) -> tuple[list[str], np.ndarray]:
    try:
        values, codes = np.unique(groups, return_inverse=True)
    except TypeError:  # numbers and words
        values, codes = np.unique(groups.astype(str), return_inverse=True)
    return [str(v) for v in values], codes


def _check_numeric(frame: Any, name: str) -> None:
    for column, dtype in zip(frame.columns, frame.dtypes, strict=True):
        if getattr(dtype, "kind", "O") not in "buif":
            text = next((v for v in frame[column] if isinstance(v, str)), frame[column].iloc[0])
            raise TypeError(
                f"view {name!r}: column {column!r} is not numeric, it holds {text!r}. If it names the samples pass "
                "sample_column, if it holds groups pass labels; otherwise encode or drop it" + _decimal_comma(text)
            )


def _decimal_comma(text: Any) -> str:
    """A hint, where a text is a number with a comma."""
    return ". Files with a decimal comma need decimal=','" if re.fullmatch(r"[-+]?\d+,\d+", str(text).strip()) else ""


def _complete(frames: dict[str, Any], missing: str, named: bool) -> tuple[dict[str, Any], np.ndarray]:
    """Treat missing values; which samples are kept."""
    n = len(next(iter(frames.values())))
    gone = np.zeros(n, dtype=bool)
    for name, frame in frames.items():
        absent = ~np.isfinite(frame.to_numpy())
        empty = absent.all(axis=0)
        if empty.any():
            raise ValueError(f"view {name!r}: column {frame.columns[int(np.argmax(empty))]!r} has no value at all")
        if absent.any() and missing == "raise":
            i, j = (int(x) for x in np.argwhere(absent)[0])
            sample = f"sample {frame.index[i]!r}" if named else f"row {i}"
            raise ValueError(
                f"view {name!r}: {sample} has no finite value in column {frame.columns[j]!r}, "
                f"one of {int(absent.sum())} such; pass missing='drop' to leave such samples out, "
                "or missing='median' to fill them in"
            )
        gone |= absent.any(axis=1)
    if missing == "median":
        filled = {}
        for name, frame in frames.items():
            finite = frame.where(np.isfinite(frame))
            filled[name] = finite.fillna(finite.median())
        return filled, np.ones(n, dtype=bool)
    if gone.all():
        raise ValueError(f"every one of the {n} samples has a missing value in some view; use missing='median'")
    return {name: frame[~gone] for name, frame in frames.items()}, ~gone
