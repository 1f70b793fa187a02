"""What figures share whatever they show: rows as columns, runs as one table, the first time below a level, one look per
method.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np


def table(rows: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Turn a list of rows into columns.

    Examples
    --------
    >>> table([{"n": 10, "gap": 0.5}, {"n": 20, "gap": 0.25}])["gap"]
    array([0.5 , 0.25])
    """
    return {key: np.array([row[key] for row in rows]) for key in rows[0]}


def joined(histories: Mapping[str, Any], columns: Iterable[str], name: str = "method") -> dict[str, np.ndarray]:
    """Return the columns of several histories one below the other, with the name of each beside its rows.

    Examples
    --------
    >>> joined({"a": {"gap": [1.0, 0.5]}, "b": {"gap": [2.0]}}, ["gap"])
    {'method': array(['a', 'a', 'b'], dtype='<U1'), 'gap': array([1. , 0.5, 2. ])}
    """
    columns = list(columns)
    lengths = [len(np.asarray(history[columns[0]])) for history in histories.values()]
    parts = {column: [np.asarray(history[column]) for history in histories.values()] for column in columns}
    return {name: np.repeat(list(histories), lengths)} | {key: np.concatenate(found) for key, found in parts.items()}


def first_below(x: Any, values: Any, level: float, otherwise: float = float("nan")) -> float:
    """Return where the values are first at most a level; `otherwise` if they never are.

    Examples
    --------
    >>> first_below([1, 10, 100], [0.5, 0.1, 0.01], 0.1), first_below([1], [0.5], 0.1, np.inf)
    (10.0, inf)
    """
    hit = np.flatnonzero(np.asarray(values) <= level)
    return float(np.asarray(x)[hit[0]]) if hit.size else otherwise


class Looks:
    """One look per method in all figures of a paper: ``looks(name)`` for ``ax.plot``.

    Parameters
    ----------
    places : mapping of str to int
        Places in the house's cycle of colours, line styles and markers.
    markevery
        Where markers stand; default: at every point.

    Examples
    --------
    >>> looks = Looks({"NGN": 0, "SGD": 1})
    >>> looks("SGD")["color"], looks("SGD", every=0.1)["markevery"]
    ('#d6604d', 0.1)
    """

    def __init__(self, places: Mapping[str, int], markevery: Any = 1) -> None:
        self.places = dict(places)
        self.markevery = markevery

    def __call__(self, name: str, every: Any = None) -> dict[str, Any]:
        from optlab.plotting import style

        return style(self.places[name]) | {"markevery": self.markevery if every is None else every}

    def __iter__(self) -> Any:
        return iter(self.places)


__all__ = ["Looks", "first_below", "joined", "table"]
