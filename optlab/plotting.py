"""One house style for every figure: colours, axes, labels at line ends, theory dashed, seeds as bands, stable
files.

The lowest floor: imports nothing of optlab, and matplotlib only inside functions. Nothing here changes the
caller's backend or rcParams: the style is a context (`house_style`), and files are written without a window
or pyplot.

The palette alternates dark and light, so that neighbouring lines stay apart in grey; `style` adds a line
style and a marker for plots that will be printed.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

# Relative luminances run 0.04, 0.22, 0.48, 0.09, 0.60, 0.14, 0.33, 0.02: no two neighbours are alike without
# colour.
PALETTE = ("#1f3b73", "#d6604d", "#e9a93b", "#6a3d8f", "#7cc4dd", "#1b7f6b", "#9a9a4a", "#222222")
LINESTYLES = ("-", "-", "-", "-.", "-.", "-.", ":", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
THEORY_COLOR = "#555b66"
GRID_COLOR = "#e4e7eb"
INK = "#22262b"


def rc() -> Any:
    """Return the house style as matplotlib settings (to use with ``matplotlib.rc_context``)."""
    from cycler import cycler

    return {
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib: the same picture on every machine
        "mathtext.fontset": "dejavusans",
        "font.size": 9,
        "axes.titlesize": 9.5,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlepad": 8,
        "axes.labelsize": 9,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "legend.fontsize": 8,
        "legend.frameon": False,
        "legend.handlelength": 1.8,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": "#9aa1ab",
        "xtick.color": "#5b626c",
        "ytick.color": "#5b626c",
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": GRID_COLOR,
        "grid.linewidth": 0.7,
        "lines.linewidth": 1.6,
        "lines.markersize": 4.5,
        "lines.solid_capstyle": "round",
        "axes.prop_cycle": cycler(color=PALETTE),
        "image.cmap": "cividis",
        "figure.dpi": 110,
        "figure.facecolor": "white",
        "axes.facecolor": "white",
        "savefig.facecolor": "white",
        "savefig.dpi": 200,
        "savefig.bbox": None,
        "pdf.fonttype": 42,
        "svg.fonttype": "path",
        "svg.hashsalt": "optlab",
        "path.simplify": True,
        "axes.formatter.useoffset": False,
        "axes.formatter.limits": (-3, 4),
    }


@contextmanager
def house_style() -> Iterator[None]:
    """Context in which figures are drawn in the house style; the caller's settings come back at the end.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> with house_style():
    ...     ax = Figure().subplots()
    >>> bool(ax.spines["top"].get_visible())
    False
    """
    import matplotlib

    with matplotlib.rc_context(rc()):
        yield


def style(i: int, markers: bool = True) -> dict[str, Any]:
    """Return the i-th line's colour, line style and marker, for ``ax.plot(..., **style(i))``.

    Examples
    --------
    >>> style(1)["color"], style(1)["marker"]
    ('#d6604d', 's')
    """
    n = len(PALETTE)
    look: dict[str, Any] = {"color": PALETTE[i % n], "linestyle": LINESTYLES[i % n]}
    if markers:
        # a tenth of the axes between markers, shifted from line to line so that they do not cover one another
        look |= {"marker": MARKERS[i % n], "markevery": (0.02 * (i % 5), 0.1), "markeredgewidth": 0}
    return look


def theory_line(ax: Any, x: Any, y: Any, label: str | None = None, **kwargs: Any) -> Any:
    """Draw what a theorem says: a dashed grey line; `y` may be one number (a horizontal line)."""
    x = np.asarray(x, dtype=float)
    y = np.broadcast_to(np.asarray(y, dtype=float), x.shape)
    look = {"color": THEORY_COLOR, "linestyle": (0, (4, 2)), "linewidth": 1.3, "zorder": 2.5} | kwargs
    return ax.plot(x, y, label=label, **look)[0]


def seed_band(
    ax: Any,
    x: Any,
    samples: Any,
    label: str | None = None,
    quantiles: tuple[float, float] = (0.1, 0.9),
    **kwargs: Any,
) -> Any:
    """Draw repetitions over seeds: the median as a line, the range between two quantiles as a band.

    Parameters
    ----------
    ax : Axes
    x : array_like, shape (n,)
    samples : array_like, shape (repetitions, n)
    label : str, optional
    quantiles : (float, float), default (0.1, 0.9)
    **kwargs
        Passed to ``ax.plot``.

    Returns
    -------
    Line2D
        The median line.
    """
    samples = np.asarray(samples, dtype=float)
    if samples.ndim != 2 or samples.shape[1] != np.size(x):
        raise ValueError(f"samples must have shape (repetitions, {np.size(x)}), got {samples.shape}")
    low, middle, high = np.nanquantile(samples, [quantiles[0], 0.5, quantiles[1]], axis=0)
    (line,) = ax.plot(x, middle, label=label, **kwargs)
    ax.fill_between(x, low, high, color=line.get_color(), alpha=0.18, linewidth=0, zorder=line.get_zorder() - 0.1)
    return line


def log_axes(ax: Any, which: str = "y") -> Any:
    """Make ``"x"``, ``"y"`` or ``"xy"`` logarithmic, with decade ticks that never crowd; return the Axes.

    Call it after plotting: the number of decades decides on the ticks.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    if not which or set(which) - {"x", "y"}:
        raise ValueError(f"which must be 'x', 'y' or 'xy', got {which!r}")
    for letter in which:
        getattr(ax, f"set_{letter}scale")("log")
        axis = getattr(ax, f"{letter}axis")
        low, high = sorted(getattr(ax, f"get_{letter}lim")())
        decades = np.log10(high) - np.log10(low) if low > 0 else 1.0  # the quotient may overflow
        if decades > 1.5:
            axis.set_major_locator(LogLocator(base=10, numticks=7))
            axis.set_major_formatter(FuncFormatter(lambda value, _: _power_label(value)))
            axis.set_minor_locator(LogLocator(base=10, subs=range(2, 10)) if decades < 5 else NullLocator())
            axis.set_minor_formatter(NullFormatter())
        else:  # within a decade or so, decade ticks alone would leave the axis bare
            axis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: _power_label(value, plain=True)))
            axis.set_minor_formatter(NullFormatter())
    return ax


def _power_label(value: float, plain: bool = False) -> str:
    """A tick of a logarithmic axis as text: mathtext would take most of the time of drawing a small plot.

    With `plain`, numbers from 0.001 to 1000 are written out: within a decade or two powers beside them look odd.

    Examples
    --------
    >>> _power_label(1e-3), _power_label(0.1, plain=True), _power_label(5e-7), _power_label(0.0)
    ('10⁻³', '0.1', '5×10⁻⁷', '')
    """
    if not value > 0:
        return ""
    exponent = int(np.floor(np.log10(value) + 1e-9))
    mantissa = value / 10.0**exponent if abs(exponent) < 300 else 1.0
    power = "10" + str(exponent).translate(_RAISED)
    if plain and -3 <= exponent <= 3:
        return f"{value:g}"
    return power if abs(mantissa - 1.0) < 1e-6 else f"{mantissa:g}×{power}"


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def label_lines(ax: Any, lines: Sequence[Any] | None = None, fontsize: float = 8.0, max_labels: int = 8) -> str:
    """Write each line's label at its right end in its colour; fall back to a legend where they would not fit.

    Labels of lines that reach the right edge stand in one column beside the axes and are pushed apart where
    they would overlap; a line that ends earlier is labelled at its end.

    Parameters
    ----------
    ax : Axes
        With everything drawn and its limits final.
    lines : sequence of Line2D, optional
        Default: all visible lines of `ax` that have a label.
    fontsize : float, default 8
        In points.
    max_labels : int, default 8
        With more lines than this a legend is used.

    Returns
    -------
    str
        ``"labels"``, ``"legend"`` or ``"nothing"`` (no line has a label).
    """
    lines = [
        line
        for line in (ax.get_lines() if lines is None else lines)
        if line.get_visible() and line.get_label() and not str(line.get_label()).startswith("_")
    ]
    if not lines:
        return "nothing"
    if len(lines) > max_labels:
        ax.legend(lines, [str(line.get_label()) for line in lines])
        return "legend"
    ax.figure.draw_without_rendering()  # settles the layout, so that display coordinates mean something
    box = ax.get_window_extent()
    height = 1.25 * fontsize * ax.figure.dpi / 72
    width = 0.6 * fontsize * ax.figure.dpi / 72  # of a character, on average

    ends: list[Any] = [_line_end(ax, line, box) for line in lines]
    if any(end is None for end in ends):
        ax.legend(lines, [str(line.get_label()) for line in lines])
        return "legend"
    column = [i for i, (x, _) in enumerate(ends) if x >= box.x0 + 0.94 * box.width]
    heights = _spread([ends[i][1] for i in column], height, box.y0, box.y1)
    inside = [i for i in range(len(lines)) if i not in column]
    boxes = [(ends[i][0], ends[i][1], ends[i][0] + width * len(str(lines[i].get_label()))) for i in inside]
    crowded = any(
        abs(p[1] - q[1]) < height and p[0] < q[2] and q[0] < p[2] for a, p in enumerate(boxes) for q in boxes[a + 1 :]
    ) or any(right > box.x1 for _, _, right in boxes)
    if heights is None or crowded:
        ax.legend(lines, [str(line.get_label()) for line in lines])
        return "legend"

    for i, y in zip(column, heights):
        fraction = (y - box.y0) / box.height
        ax.annotate(
            str(lines[i].get_label()),
            xy=(1.0, fraction),
            xycoords="axes fraction",
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=fontsize,
            color=lines[i].get_color(),
            annotation_clip=False,
        )
    for i in inside:
        ax.annotate(
            str(lines[i].get_label()),
            xy=ax.transData.inverted().transform(ends[i]),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=fontsize,
            color=lines[i].get_color(),
        )
    return "labels"


def _line_end(ax: Any, line: Any, box: Any) -> tuple[float, float] | None:
    """The last visible point of a line in display coordinates, or None if it has none."""
    points = np.column_stack([np.ravel(line.get_xdata(orig=False)), np.ravel(line.get_ydata(orig=False))])
    points = np.asarray(points, dtype=float)
    with np.errstate(all="ignore"):
        shown = line.get_transform().transform(points)
    # a pixel of tolerance: the last point often lies exactly on the limit
    keep = np.isfinite(shown).all(axis=1) & (shown[:, 0] <= box.x1 + 1) & (shown[:, 0] >= box.x0 - 1)
    keep &= (shown[:, 1] <= box.y1 + 1) & (shown[:, 1] >= box.y0 - 1)
    if not keep.any():
        return None
    x, y = shown[keep][np.argmax(shown[keep][:, 0])]
    return float(x), float(y)


def _spread(positions: list[float], gap: float, low: float, high: float) -> list[float] | None:
    """Move positions apart to at least `gap`, each as little as possible, within [low, high]; None if
    impossible.
    """
    from scipy.optimize import isotonic_regression

    n = len(positions)
    if n == 0:
        return []
    if (n - 1) * gap > high - low:
        return None
    order = np.argsort(positions, kind="stable")
    raised = gap * np.arange(n)
    spaced = np.empty(n)  # the least-squares spacing
    spaced[order] = np.clip(isotonic_regression(np.take(positions, order) - raised).x, low, high - raised[-1]) + raised
    return [float(value) for value in spaced]


def save(fig: Any, path: str | os.PathLike[str], formats: Sequence[str] = ("png", "pdf"), dpi: int = 200) -> list[Path]:
    """Write `fig` as ``path.png`` and ``path.pdf``: each whole or not at all, the same bytes every time.

    Parameters
    ----------
    fig : matplotlib Figure
    path : path-like
        Without suffix; missing folders are made.
    formats : sequence of {"png", "pdf", "svg"}
    dpi : int, default 200
        Of the PNG.

    Returns
    -------
    list of Path
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    written = []
    for suffix in formats:
        # not with_suffix: a name such as "gamma-0.1" has a dot of its own
        target = path.parent / f"{path.name}.{suffix}"
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", suffix=f".{suffix}", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(to_bytes(fig, suffix, dpi))
            os.chmod(temporary, 0o644)
            os.replace(temporary, target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        written.append(target)
    return written


def to_bytes(fig: Any, format: str = "png", dpi: int = 200) -> bytes:
    """Return `fig` as a file's bytes, without the date and version that would change them from day to day."""
    metadata: dict[str, dict[str, Any]] = {
        "png": {"Software": None},
        "pdf": {"CreationDate": None, "ModDate": None, "Creator": None, "Producer": None},
        "svg": {"Date": None, "Creator": None},
    }
    if format not in metadata:
        raise ValueError(f"format must be one of {', '.join(metadata)}, got {format!r}")
    buffer = io.BytesIO()
    with house_style():  # font embedding and the salt of SVG ids are read when the file is written
        fig.savefig(buffer, format=format, dpi=dpi, metadata=metadata[format])
    return buffer.getvalue()
