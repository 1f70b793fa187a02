"""Convergence plots: one run (`History.plot`) or many runs in one figure (`optlab.compare`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from optlab.core.history import History
from optlab.core.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_AXIS_LABELS = {"iteration": "iteration", "time": "solver time (s)", "oracle_calls": "oracle calls"}


def compare(
    results: Mapping[str, Result | History],
    metric: str | None = None,
    against: str = "iteration",
    ax: Axes | None = None,
    **line: Any,
) -> Axes:
    """Draw one metric of many runs in one figure and return the Axes.

    Parameters
    ----------
    results : dict of str to Result or History
        The runs, by the name that the figure shows.
    metric : str, optional
        The column to draw; default: the first run's primary metric.
    against : str
        The horizontal column: "iteration", "time", "oracle_calls" or any other.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure in the house style.
    **line
        Passed to ``Axes.plot`` for every run.

    Raises
    ------
    ValueError
        If there is nothing to draw, or a run lacks a column; the message names the run.

    Examples
    --------
    >>> from optlab import History, compare
    >>> runs = {name: History({"iteration": [0, 1, 2], "gap": [1, rate, rate**2]}, primary_metric="gap")
    ...         for name, rate in [("slow", 0.9), ("fast", 0.1)]}
    >>> compare(runs).get_ylabel()
    'gap'
    """
    if not isinstance(results, Mapping) or not results:
        raise ValueError('results must be a non-empty dict such as {"BDRS": result, "Sinkhorn": other}')
    histories = {}
    for name, item in results.items():
        history = item.history if isinstance(item, Result) else item
        if not isinstance(history, History):
            raise TypeError(f"results[{name!r}] must be a Result or a History, got {type(item).__name__}")
        histories[str(name)] = history
    return draw_histories(histories, metric, against, ax, line=line, legend=True)


def draw_histories(
    histories: Mapping[str, History],
    metric: str | None,
    against: str,
    ax: Axes | None,
    *,
    line: Mapping[str, Any],
    legend: bool,
) -> Axes:
    """Draw the histories on `ax`, or on a new figure; the vertical axis is logarithmic if every value is positive."""
    from optlab import plotting

    if metric is None:
        metric = next((h.primary_metric for h in histories.values() if h.primary_metric), None)
        if metric is None:
            raise ValueError("metric must be named: the history knows no primary metric")
    for name, history in histories.items():
        for column in (metric, against):
            if column not in history:
                owner = f"the history of {name!r}" if name else "this history"
                raise ValueError(f"{owner} has no column {column!r}; it has {', '.join(history.columns)}")
    with plotting.house_style():
        if ax is None:
            from matplotlib import pyplot

            ax = pyplot.subplots(figsize=(5.4, 3.6), layout="constrained")[1]
        already = len(ax.lines)
        for i, (name, history) in enumerate(histories.items()):
            options = {**plotting.style(already + i), **line}
            ax.plot(history[against], history[metric], label=name or None, **options)
        every = np.concatenate([h[metric] for h in histories.values()])
        if np.all(every[np.isfinite(every)] > 0):
            ax.set_yscale("log")
        along = np.concatenate([h[against] for h in histories.values()])
        if against != "time" and along.max(initial=0) > 300:
            ax.set_xscale("symlog", linthresh=10)  # logarithmic, but with the start at 0
            ax.set_xlim(left=0)
        ax.set_xlabel(_AXIS_LABELS.get(against, against.replace("_", " ")))
        ax.set_ylabel(metric.replace("_", " "))
        if legend:
            ax.legend()
    return ax
