"""What a step-size sweep found: a tidy table, the width of each method's plateau, and the figure everyone draws."""

from __future__ import annotations

import csv
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from optlab.core.files import check_writable, write_atomically
from optlab.core.validation import as_flag, as_float_array, as_number, one_of

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

_MAXIMIZED = ("accuracy",)
_HEADERS = ("metric", "metric (higher is better)")  # of a table's last column, by `Sweep.maximize`
_TEXT = ("method", "status")
_INTEGERS = ("seed", "iterations")


def is_maximized(metric: str) -> bool:
    """Return whether larger values of one of the problems' metrics are better."""
    return metric in _MAXIMIZED


class Sweep:
    """A table with one row per run of a sweep (method, step size, seed); made by `optlab.stochastic.sweep`.

    ``sweep["final"]`` is a column as an array. The columns:

    * ``method``, ``step_size``, ``seed``: which run;
    * ``final``: the metric at the end, ``inf`` if the run diverged (``-inf`` for a metric to maximise); ``initial``: at
      the start; ``best``: the best one recorded;
    * ``status``, ``iterations``, ``oracle_calls``, ``solve_time`` (seconds);
    * every metric that all runs measured, at the last finite iterate.

    Parameters
    ----------
    columns : dict of str to array_like
        Columns of equal length; at least method, step_size, seed, final and initial.
    metric : str
        The name of what ``final`` holds.
    maximize : bool, optional
        Whether larger values are better; default: only of ``"accuracy"``.

    Examples
    --------
    >>> table = Sweep({"method": ["SGD"] * 3, "step_size": [0.1, 1.0, 10.0], "seed": [0] * 3,
    ...                "final": [0.5, 0.1, np.inf], "initial": [1.0] * 3}, metric="objective")
    >>> table.best("SGD")
    (1.0, 0.1)
    >>> round(table.plateau_width()["SGD"], 3)
    0.431
    """

    def __init__(self, columns: dict[str, Any], metric: str = "objective", maximize: bool | None = None) -> None:
        self.metric = str(metric)
        self.maximize = is_maximized(self.metric) if maximize is None else as_flag(maximize, "maximize")
        if not isinstance(columns, Mapping):
            raise TypeError(f"columns must be a dict of names to columns, got {type(columns).__name__}")
        self._columns = {str(name): np.atleast_1d(np.asarray(values)) for name, values in columns.items()}
        missing = [n for n in ("method", "step_size", "seed", "final", "initial") if n not in self._columns]
        if missing:
            raise ValueError(f"columns must have {missing[0]!r}; there are {', '.join(self._columns)}")
        sizes = {name: len(values) for name, values in self._columns.items()}
        if len(set(sizes.values())) != 1:
            raise ValueError(f"columns must have equal lengths, got {sizes}")
        as_float_array(self._columns["step_size"], "columns['step_size']", ndim=1, positive=True)
        for name in ("final", "initial"):
            as_float_array(self._columns[name], f"columns[{name!r}]", ndim=1, finite=False)

    # ------------------------------------------------------------------ a table

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self._columns)

    def __getitem__(self, name: str) -> np.ndarray:
        return self._columns[one_of(name, "column", self.columns)]

    def __len__(self) -> int:
        return len(self._columns["method"])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Iterate over the rows, as dicts."""
        for i in range(len(self)):
            yield {name: values[i].item() for name, values in self._columns.items()}

    @property
    def methods(self) -> list[str]:
        """Names of the methods, in the order in which they were given."""
        return list(dict.fromkeys(self["method"].tolist()))

    def samples(self, method: str) -> tuple[np.ndarray, np.ndarray]:
        """Return a method's step sizes, increasing, and its final values, shape (seeds, step sizes)."""
        rows = self["method"] == one_of(method, "method", self.methods)
        steps, at = np.unique(self["step_size"][rows], return_inverse=True)
        seeds, by = np.unique(self["seed"][rows], return_inverse=True)
        final = np.full((len(seeds), len(steps)), np.nan)
        final[by, at] = self["final"][rows]
        return steps, final

    def to_frame(self) -> pandas.DataFrame:
        """Return the table as a pandas DataFrame (needs pandas)."""
        try:
            import pandas
        except ImportError:
            raise ImportError("Sweep.to_frame needs pandas: pip install pandas") from None
        return pandas.DataFrame(self._columns)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the table as ``.csv`` and return the path. The file appears whole or not at all."""
        target = check_writable(path)
        one_of(target.suffix, "the suffix of path", (".csv",))

        def write(file: IO[Any]) -> None:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*self.columns, _HEADERS[self.maximize]])
            for row in self:
                writer.writerow([*(repr(v) if isinstance(v, float) else v for v in row.values()), self.metric])

        write_atomically(target, write, "w")
        return target

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Sweep:
        """Read a table that `save` wrote."""
        where = os.fspath(path)
        try:
            with open(path, newline="", encoding="utf-8") as file:
                names, *rows = csv.reader(file)
            if not names or names[-1] not in _HEADERS or not rows:
                raise ValueError("its header is another")
            columns = {}
            for name, values in zip(names[:-1], zip(*rows, strict=True)):
                kind: Any = str if name in _TEXT else int if name in _INTEGERS else float
                columns[name] = np.array([kind(v) for v in values])
            return cls(columns, metric=rows[0][-1], maximize=names[-1] == _HEADERS[True])
        except (ValueError, csv.Error) as error:  # also bytes that are no text
            raise ValueError(f"{where!r} is not the table of a sweep: {error}") from None

    # ------------------------------------------------------------------ what it says

    def medians(self, method: str) -> tuple[np.ndarray, np.ndarray]:
        """Return a method's step sizes and the median of its final values over the seeds.

        Without any value, or between infinities of both signs, the median is that of a run that diverged.
        """
        steps, final = self.samples(method)
        with warnings.catch_warnings(), np.errstate(invalid="ignore"):
            warnings.simplefilter("ignore", RuntimeWarning)  # a step size without values
            middle = np.nanmedian(final, axis=0)
        return steps, np.where(np.isnan(middle), -np.inf if self.maximize else np.inf, middle)

    def best(self, method: str) -> tuple[float, float]:
        """Return the step size with the best median final value, and that value."""
        steps, middle = self.medians(method)
        at = int(np.argmax(middle) if self.maximize else np.argmin(middle))
        return float(steps[at]), float(middle[at])

    def plateau_width(self, factor: float = 2.0, level: float | None = None) -> dict[str, float]:
        """Return, per method, over how many decades of the step size the final value stays near its best.

        The plateau is the interval around the best step size in which the median over the seeds, interpolated linearly
        between the step sizes of the sweep in logarithmic scales, is at most ``factor`` times the best (of a metric to
        maximise: at least ``1 / factor`` times). Next to a run that diverged it ends at the last step size that did
        not. It never extends beyond the step sizes tried.

        Parameters
        ----------
        factor : float, default 2
            Above 1.
        level : float, optional
            A fixed level for all methods instead, for example twice the best value of any method. The width is 0
            for a method that never gets there.

        Returns
        -------
        dict of str to float
        """
        as_number(factor, "factor", above=1)
        if level is not None:
            as_number(level, "level", above=0)
        widths = {}
        for method in self.methods:
            low, high = self._plateau(method, factor, level)
            widths[method] = high - low
        return widths

    def _plateau(self, method: str, factor: float, level: float | None) -> tuple[float, float]:
        steps, middle = self.medians(method)
        if self.maximize:  # the inverse of a positive number is to be minimised; others never are on a plateau
            with np.errstate(divide="ignore"):
                middle = np.where(middle > 0, 1.0 / np.maximum(middle, 0.0), np.inf)
            level = None if level is None else 1.0 / level
        return _plateau(steps, middle, factor, level)

    def robustness(self) -> dict[str, float]:
        """Return, per method, by how much ``min(initial, final)`` exceeds its lowest value, on average: 0 is ideal.

        The measure of Islamov, Ajroldi, Orvieto and Lucchi (arXiv 2508.15071), on medians over the seeds. A run that
        diverged or ended above its start counts as one that stayed there. (For a metric to maximise: by how much
        ``max(initial, final)`` falls short of its highest value.)
        """
        values = {}
        sign = -1.0 if self.maximize else 1.0
        for method in self.methods:
            start = float(np.median(self["initial"][self["method"] == method]))
            kept = np.minimum(sign * start, sign * self.medians(method)[1])
            values[method] = float(np.mean(kept - kept.min())) if np.isfinite(kept.min()) else 0.0
        return values

    def __repr__(self) -> str:
        widths, robustness = self.plateau_width(), self.robustness()
        size = max(6, *(len(name) for name in self.methods))
        lines = [
            f"Sweep: {len(self)} runs, final {self.metric}{' (higher is better)' if self.maximize else ''}",
            f"  {'method':<{size}}  {'best':>10}  {'at step':>9}  {'plateau':>12}  {'robustness':>10}  diverged",
        ]
        for name in self.methods:
            step, value = self.best(name)
            lost = np.isinf(self["final"][self["method"] == name]).mean()
            lines.append(
                f"  {name:<{size}}  {value:>10.4g}  {step:>9.3g}  {widths[name]:>4.2f} decades  "
                f"{robustness[name]:>10.4g}  {lost:>8.0%}"
            )
        return "\n".join(lines)

    def plot(self, ax: Axes | None = None, factor: float = 2.0) -> Axes:
        """Draw final value against step size: the median of each method, seeds as bands, plateaus as bars below.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; default: a new figure in the house style.
        factor : float, default 2
            Of the plateau, whose width in decades stands beside each method's name.

        Returns
        -------
        matplotlib.axes.Axes
        """
        from optlab import plotting

        with plotting.house_style():
            own = ax is None
            if ax is None:
                from matplotlib.figure import Figure

                ax = Figure(figsize=(7.6, 4.0), layout="constrained").subplots()
            start = float(np.median(self["initial"]))
            finite = self["final"][np.isfinite(self["final"])]
            positive = finite[finite > 0]
            low = float(positive.min()) if positive.size else 1e-16
            high = max(start, float(positive.max(initial=0.0)) if self.maximize else 0.0, low * 10)
            ceiling = high * (high / low) ** 0.5  # what diverged leaves the axes at the top
            lost = low if self.maximize else ceiling
            widths = self.plateau_width(factor)
            lines = []
            for i, method in enumerate(self.methods):
                steps, final = self.samples(method)
                shown = np.clip(np.nan_to_num(final, nan=lost, posinf=ceiling, neginf=low), low, ceiling)
                look = plotting.style(i)
                lines.append(
                    plotting.seed_band(ax, steps, shown, label=f"{method} ({widths[method]:.1f} decades)", **look)
                )
                ends = 10.0 ** np.array(self._plateau(method, factor, None))
                # the plateaus as bars, one above the other, at the foot of the axes
                ax.plot(
                    ends,
                    [0.02 + 0.022 * i] * 2,
                    color=look["color"],
                    linewidth=3,
                    solid_capstyle="butt",
                    transform=ax.get_xaxis_transform(),
                    zorder=1,
                )
            steps = self["step_size"]
            plotting.theory_line(ax, [steps.min(), steps.max()], start, linewidth=1.0)
            ax.annotate("start", (steps.min(), start), xytext=(2, 2), textcoords="offset points", fontsize=7)
            foot = 0.05 + 0.03 * len(lines)
            ax.set_ylim(low * (low / high) ** foot, high * (high / low) ** 0.1)
            plotting.log_axes(ax, "xy")
            ax.set_xlabel("step size")
            ax.set_ylabel(f"final {self.metric.replace('_', ' ')}")
            if own:
                ax.legend(handles=lines, loc="center left", bbox_to_anchor=(1.01, 0.5))
            else:
                ax.legend(handles=lines)
        return ax


def _plateau(steps: np.ndarray, values: np.ndarray, factor: float, level: float | None) -> tuple[float, float]:
    """Return the ends of the plateau as decimal logarithms of the step size (equal if there is none)."""
    s = np.log10(steps)
    at = int(np.argmin(values))
    threshold = factor * values[at] if level is None else level
    if not np.isfinite(threshold) or values[at] > threshold:
        return float(s[at]), float(s[at])
    tiny = np.finfo(float).tiny
    with np.errstate(divide="ignore"):
        v, t = np.log10(np.maximum(values, tiny)), np.log10(max(threshold, tiny))

    def end(direction: int) -> float:
        i = at
        while 0 <= i + direction < len(s) and v[i + direction] <= t:
            i += direction
        j = i + direction
        if not 0 <= j < len(s) or not np.isfinite(v[j]):
            return float(s[i])
        return float(s[i] + (t - v[i]) / (v[j] - v[i]) * (s[j] - s[i]))

    return end(-1), end(1)
