"""Drawing of convergence curves: repetitions as a median with a band, axes and their words in the house style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from optlab.core.quantiles import quantiles as quantiles_of
from optlab.core.records.tables import latex_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_AXIS_LABELS = {"iteration": "iteration", "oracle_calls": "oracle calls"}
_GRID = 300  # points of a band at most


@dataclass(frozen=True)
class Curve:
    """One repetition: where it was measured, what, and whether it diverged at its end."""

    x: np.ndarray
    y: np.ndarray
    lost: bool = False


@dataclass(frozen=True)
class Look:
    labels: str = "auto"
    quantiles: tuple[float, float] = (0.1, 0.9)
    xscale: str = "auto"
    width: str | float | None = None


def curve_of(history: Any, metric: str | None, against: str, owner: str, lost: bool = False) -> Curve:
    """Return one column of a history against another; `owner` is what an error calls it."""
    if metric is None:
        raise ValueError("metric must be named: the history knows no primary metric")
    for column in (metric, against):
        if column not in history:
            raise ValueError(f"{owner} has no column {column!r}; it has {', '.join(history.columns)}")
    return Curve(history[against], history[metric], lost)


# ---------------------------------------------------------------------- bands


def band(
    curves: Sequence[Curve], quantiles: tuple[float, float], log_x: bool, log_y: bool
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


def _sorted(curve: Curve) -> Curve:
    """Return the curve from left to right, which a frame need not be."""
    if (np.diff(curve.x) >= 0).all():
        return curve
    order = np.argsort(curve.x, kind="stable")
    return Curve(curve.x[order], curve.y[order], curve.lost)


def _spaced(points: np.ndarray, log: bool) -> np.ndarray:
    """Return the indices of about `_GRID` of the points, evenly spaced on the axis."""
    place = np.log1p(points - points[0]) if log else points
    wanted = np.linspace(place[0], place[-1], _GRID)
    return np.clip(np.searchsorted(place, wanted), 0, len(points) - 1)


def _sampled(curve: Curve, points: np.ndarray, log: bool) -> np.ndarray:
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


def draw(
    runs: Mapping[str, list[Curve]],
    metric: str,
    against: str,
    ax: Axes | None,
    line: Mapping[str, Any],
    look: Look,
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
            ax.set_xlabel(in_words(_AXIS_LABELS.get(against, against.replace("_", " "))))
        ax.set_ylabel(in_words(metric.replace("_", " ")))
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


def in_words(text: str) -> str:
    """A label, escaped where LaTeX sets it."""
    import matplotlib

    return latex_text(text) if matplotlib.rcParams["text.usetex"] else text
