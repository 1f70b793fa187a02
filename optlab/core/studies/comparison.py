"""`optlab.compare`: one metric of many runs in one figure, seeds as bands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from optlab.core.records.drawing import Curve, Look, curve_of, draw, in_words
from optlab.core.records.history import History
from optlab.core.records.result import Result, Status
from optlab.core.studies.runs import Study
from optlab.core.validation import one_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def compare(
    results: Study | Mapping[str, Any],
    metric: str | None = None,
    against: str = "iteration",
    ax: Axes | None = None,
    *,
    width: str | float | None = None,
    labels: str = "auto",
    quantiles: tuple[float, float] = (0.1, 0.9),
    xscale: str = "auto",
    **line: Any,
) -> Axes:
    """Draw one metric of many runs in one figure and return the Axes.

    Parameters
    ----------
    results : Study, or dict of str to runs
        By the name that the figure shows: a `Result` or `History`; a list of them (repetitions: a median with a band);
        an array of values per iteration, with one row per repetition if it has two dimensions; a pair of arrays
        ``(x, values)``; or a pandas DataFrame with the columns `metric` and `against`, and ``seed`` if it holds
        repetitions. ``study | {"POT": array}`` puts others' curves beside a study's.
    metric : str, optional
        The column to draw; default: the first run's primary metric.
    against : str
        The horizontal column: "iteration", "time", "oracle_calls" or any other.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure.
    width : {"column", "text"} or float, optional
        Of a new figure: a column (3.35 in) or the text (6.9 in) of a two-column paper, with type of that size, or
        inches.
    labels : {"auto", "direct", "legend", "none"}
        Names at the ends of the lines where they fit ("auto"), otherwise in a legend.
    quantiles : (float, float)
        The band over repetitions.
    xscale : {"auto", "linear", "log"}
        "auto": logarithmic beyond 300 iterations, with the start at 0; linear for times.
    **line
        Passed to ``Axes.plot`` for every run.

    Returns
    -------
    matplotlib.axes.Axes
        For a study of several problems an array of them, one panel each (at most six).

    Raises
    ------
    TypeError, ValueError
        If there is nothing to draw, or a run lacks a column; the message names the run.

    Notes
    -----
    Settings that the caller has made (``plt.style.use``, ``rcParams``) win over the house style. Repetitions need not
    be recorded at the same points: they are interpolated (geometrically where the axis is logarithmic). A repetition
    that has ended keeps its last value, or counts as infinite if it diverged; the median ends where half of them have.

    Examples
    --------
    >>> from optlab import History, compare
    >>> runs = {name: History({"iteration": [0, 1, 2], "gap": [1, rate, rate**2]}, primary_metric="gap")
    ...         for name, rate in [("slow", 0.9), ("fast", 0.1)]}
    >>> compare(runs).get_ylabel()
    'gap'
    """
    if isinstance(results, Study):
        if len(results.problems) > 1:
            if ax is not None:
                raise ValueError("ax is for one problem: choose one by study.select(problem=...)")
            options = {"labels": labels, "quantiles": quantiles, "xscale": xscale, **line}
            panels: Axes = _panels(results, metric, against, width, options)
            return panels
        metric = metric or results.primary_metric
        results = results.results
    if not isinstance(results, Mapping) or not results:
        raise ValueError('results must be a non-empty dict such as {"BDRS": result, "Sinkhorn": other}')
    one_of(xscale, "xscale", ("auto", "linear", "log"))
    metric = metric or _primary_metric(results.values())
    runs = {str(name): _curves(item, str(name), metric, against) for name, item in results.items()}
    look = Look(labels=labels, quantiles=quantiles, xscale=xscale, width=width)
    return draw(runs, metric or "value", against, ax, line, look)


# ---------------------------------------------------------------------- what there is to draw


def _primary_metric(items: Iterable[Any]) -> str | None:
    for item in items:
        for one in item if isinstance(item, (list, tuple)) else [item]:
            history = one.history if isinstance(one, Result) else one
            if isinstance(history, History) and history.primary_metric:
                return history.primary_metric
    return None


def _curves(item: Any, name: str, metric: str | None, against: str) -> list[Curve]:
    """Return the repetitions behind one name."""
    owner = f"results[{name!r}]"
    if isinstance(item, (Result, History)):
        return [_of_run(item, name, metric, against)]
    if isinstance(item, Mapping):
        return [_of_run(History(item), name, metric, against)]
    if hasattr(item, "columns") and hasattr(item, "to_numpy"):
        return _of_frame(item, owner, metric, against)
    if isinstance(item, (list, tuple)) and item and all(isinstance(one, (Result, History)) for one in item):
        return [_of_run(one, name, metric, against) for one in item]
    if isinstance(item, tuple) and len(item) == 2:
        x, y = (_numbers(part, f"{owner}[{i}]") for i, part in enumerate(item))
        if x.ndim != 1 or y.ndim not in (1, 2) or y.shape[-1] != len(x):
            raise ValueError(f"{owner} must be (x, values) of equal lengths, got shapes {x.shape} and {y.shape}")
        return [Curve(x, row) for row in np.atleast_2d(y)]
    if isinstance(item, (np.ndarray, list)) and len(item):
        y = _numbers(item, owner)
        if y.ndim in (1, 2):
            return [Curve(np.arange(y.shape[-1], dtype=float), row) for row in np.atleast_2d(y)]
    raise TypeError(
        f"{owner} must be a Result or a History, a list of them, an array of values (one row per repetition), a pair "
        f"(x, values) or a DataFrame, got {type(item).__name__}"
    )


def _numbers(value: Any, name: str) -> np.ndarray:
    try:
        return np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must hold numbers, got {value!r}"[:200]) from None


def _of_run(item: Result | History, name: str, metric: str | None, against: str) -> Curve:
    history = item.history if isinstance(item, Result) else item
    lost = isinstance(item, Result) and item.status is Status.DIVERGED
    return curve_of(history, metric, against, f"the history of {name!r}" if name else "this history", lost)


def _of_frame(frame: Any, owner: str, metric: str | None, against: str) -> list[Curve]:
    names = [str(name) for name in frame.columns]
    for column in (metric, against):
        if column is None or column not in names:
            raise ValueError(f"{owner} has no column {column!r}; it has {', '.join(names)}")
    x, y = _numbers(frame[against], owner), _numbers(frame[metric], owner)
    if "seed" not in names:
        return [Curve(x, y)]
    seeds = np.asarray(frame["seed"])
    return [Curve(x[seeds == seed], y[seeds == seed]) for seed in dict.fromkeys(seeds.tolist())]


def _panels(study: Study, metric: str | None, against: str, width: str | float | None, options: dict[str, Any]) -> Any:
    from optlab import plotting

    if len(study.problems) > 6:
        raise ValueError(
            f"the study has {len(study.problems)} problems, more than six panels: choose by study.select(problem=...)"
        )
    metric = study.metric(metric)
    with plotting.user_style(width):
        axes = plotting.new_axes(width, len(study.problems))
        for ax, problem in zip(axes, study.problems):
            ax.set_title(in_words(problem))
    for i, (ax, problem) in enumerate(zip(axes, study.problems)):
        last = i == len(axes) - 1
        chosen = study.select(problem=problem)
        compare(
            chosen, metric, against, ax, width=width, **{**options, "labels": options["labels"] if last else "none"}
        )
        if i:
            ax.set_ylabel("")
    return axes


__all__ = ["compare"]
