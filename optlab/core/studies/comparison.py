"""Convergence plots: one run (`History.plot`), or many runs with seeds as bands (`optlab.compare`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from optlab.core.quantiles import quantiles as quantiles_of
from optlab.core.records.history import History
from optlab.core.records.result import Result, Status
from optlab.core.studies.runs import Study
from optlab.core.validation import one_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_AXIS_LABELS = {"iteration": "iteration", "oracle_calls": "oracle calls"}
_GRID = 300  # points of a band at most


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
    look = _Look(labels=labels, quantiles=quantiles, xscale=xscale, width=width)
    return _draw(runs, metric or "value", against, ax, line, look)


@dataclass(frozen=True)
class _Curve:
    """One repetition: where it was measured, what, and whether it diverged at its end."""

    x: np.ndarray
    y: np.ndarray
    lost: bool = False


@dataclass(frozen=True)
class _Look:
    labels: str = "auto"
    quantiles: tuple[float, float] = (0.1, 0.9)
    xscale: str = "auto"
    width: str | float | None = None


def draw_histories(
    histories: Mapping[str, History], metric: str | None, against: str, ax: Axes | None, *, line: Mapping[str, Any]
) -> Axes:
    """Draw single histories without naming them: what `History.plot` does."""
    metric = metric or _primary_metric(histories.values())
    if metric is None:
        raise ValueError("metric must be named: the history knows no primary metric")
    runs = {name: _curves(history, name, metric, against) for name, history in histories.items()}
    return _draw(runs, metric, against, ax, line, _Look(labels="none"))


# ---------------------------------------------------------------------- what there is to draw


def _primary_metric(items: Iterable[Any]) -> str | None:
    for item in items:
        for one in item if isinstance(item, (list, tuple)) else [item]:
            history = one.history if isinstance(one, Result) else one
            if isinstance(history, History) and history.primary_metric:
                return history.primary_metric
    return None


def _curves(item: Any, name: str, metric: str | None, against: str) -> list[_Curve]:
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
        return [_Curve(x, row) for row in np.atleast_2d(y)]
    if isinstance(item, (np.ndarray, list)) and len(item):
        y = _numbers(item, owner)
        if y.ndim in (1, 2):
            return [_Curve(np.arange(y.shape[-1], dtype=float), row) for row in np.atleast_2d(y)]
    raise TypeError(
        f"{owner} must be a Result or a History, a list of them, an array of values (one row per repetition), a pair "
        f"(x, values) or a DataFrame, got {type(item).__name__}"
    )


def _numbers(value: Any, name: str) -> np.ndarray:
    try:
        return np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must hold numbers, got {value!r}"[:200]) from None


def _of_run(item: Result | History, name: str, metric: str | None, against: str) -> _Curve:
    history = item.history if isinstance(item, Result) else item
    if metric is None:
        raise ValueError("metric must be named: the history knows no primary metric")
    for column in (metric, against):
        if column not in history:
            owner = f"the history of {name!r}" if name else "this history"
            raise ValueError(f"{owner} has no column {column!r}; it has {', '.join(history.columns)}")
    lost = isinstance(item, Result) and item.status is Status.DIVERGED
    return _Curve(history[against], history[metric], lost)


def _of_frame(frame: Any, owner: str, metric: str | None, against: str) -> list[_Curve]:
    names = [str(name) for name in frame.columns]
    for column in (metric, against):
        if column is None or column not in names:
            raise ValueError(f"{owner} has no column {column!r}; it has {', '.join(names)}")
    x, y = _numbers(frame[against], owner), _numbers(frame[metric], owner)
    if "seed" not in names:
        return [_Curve(x, y)]
    seeds = np.asarray(frame["seed"])
    return [_Curve(x[seeds == seed], y[seeds == seed]) for seed in dict.fromkeys(seeds.tolist())]


# ---------------------------------------------------------------------- bands


def band(
    curves: Sequence[_Curve], quantiles: tuple[float, float], log_x: bool, log_y: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return a common grid and the low quantile, median and high quantile on it, shape (3, n)."""
    curves = [_sorted(curve) for curve in curves if len(curve.x)]
    if not curves:
        return np.empty(0), np.empty((3, 0))
    ends = np.array([curve.x[-1] for curve in curves])
    points = np.unique(np.concatenate([curve.x for curve in curves]))
    points = points[(points >= min(curve.x[0] for curve in curves)) & (points <= np.median(ends))]
    if len(points) > _GRID:
        points = points[np.unique(_spaced(points, log_x))]
    samples = np.array([_sampled(curve, points, log_y) for curve in curves])
    return points, quantiles_of(samples, (quantiles[0], 0.5, quantiles[1]))


def _sorted(curve: _Curve) -> _Curve:
    """Return the curve from left to right, which a frame need not be."""
    if (np.diff(curve.x) >= 0).all():
        return curve
    order = np.argsort(curve.x, kind="stable")
    return _Curve(curve.x[order], curve.y[order], curve.lost)


def _spaced(points: np.ndarray, log: bool) -> np.ndarray:
    """Return the indices of about `_GRID` of the points, evenly spaced on the axis."""
    place = np.log1p(points - points[0]) if log else points
    wanted = np.linspace(place[0], place[-1], _GRID)
    return np.clip(np.searchsorted(place, wanted), 0, len(points) - 1)


def _sampled(curve: _Curve, points: np.ndarray, log: bool) -> np.ndarray:
    y = curve.y
    if log:
        with np.errstate(divide="ignore", invalid="ignore"):
            y = np.log(y)
    with np.errstate(invalid="ignore"):
        values: np.ndarray = np.interp(points, curve.x, y)
    values = np.exp(values) if log else values
    values[points < curve.x[0]] = np.nan
    if curve.lost:
        values[points > curve.x[-1]] = np.inf
    return values


# ---------------------------------------------------------------------- drawing


def _draw(
    runs: Mapping[str, list[_Curve]],
    metric: str,
    against: str,
    ax: Axes | None,
    line: Mapping[str, Any],
    look: _Look,
) -> Axes:
    """Draw the runs on `ax`, or on a new figure; the vertical axis is logarithmic if no value is below zero."""
    from optlab import plotting

    every = np.concatenate([curve.y for curves in runs.values() for curve in curves])
    every = every[np.isfinite(every)]
    log_y = bool(every.size and (every >= 0).all() and (every > 0).any())
    along = np.concatenate([curve.x for curves in runs.values() for curve in curves])
    far = against != "time" and along.max(initial=0) > 300
    log_x = look.xscale == "log" or (look.xscale == "auto" and far)
    with plotting.user_style(look.width):
        if ax is None:
            ax = plotting.new_axes(look.width)
        assert ax is not None
        already = len(ax.lines)
        for i, (name, curves) in enumerate(runs.items()):
            options = {**plotting.cycle_style(already + i), **line}
            if len(curves) == 1:
                ax.plot(curves[0].x, curves[0].y, label=name or None, **options)
                continue
            x, (low, middle, high) = band(curves, look.quantiles, log_x, log_y)
            (drawn,) = ax.plot(x, middle, label=name or None, **options)
            ax.fill_between(
                x, low, high, color=drawn.get_color(), alpha=0.18, linewidth=0, zorder=drawn.get_zorder() - 0.1
            )
        if log_y:
            plotting.log_axes(ax, "y")
        if look.xscale == "log":
            plotting.log_axes(ax, "x")
        elif log_x:
            plotting.symlog_axis(ax, "x")
            ax.set_xlim(left=0)
        if against == "time":
            _in_small_units(ax)
        else:
            ax.set_xlabel(_words(_AXIS_LABELS.get(against, against.replace("_", " "))))
        ax.set_ylabel(_words(metric.replace("_", " ")))
        plotting.name_lines(ax, look.labels)
    return ax


def _in_small_units(ax: Axes) -> None:
    """Label an axis of seconds in the unit that needs no powers of ten; the data stay seconds."""
    from matplotlib.ticker import FuncFormatter, ScalarFormatter

    high = ax.get_xlim()[1]
    unit, scale = ("s", 1.0) if high > 0.1 else ("ms", 1e3) if high > 1e-4 else ("µs", 1e6)
    if scale != 1.0 and isinstance(ax.xaxis.get_major_formatter(), ScalarFormatter):
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * scale:g}"))
    elif scale != 1.0 and ax.get_xlabel().endswith("s)"):
        return  # drawn before
    else:
        unit = "s"
    ax.set_xlabel(f"solver time ({unit})")


def _words(text: str) -> str:
    """A label, escaped where LaTeX sets it."""
    import matplotlib

    from optlab.core.records.tables import latex_text

    return latex_text(text) if matplotlib.rcParams["text.usetex"] else text


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
            ax.set_title(_words(problem))
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
