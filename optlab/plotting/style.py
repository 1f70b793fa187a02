"""The house style: palette, line styles, settings; how it yields to a caller's own settings; sizes for papers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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


# ---------------------------------------------------------------------- figures of the caller's

# inches: a column and the text of the usual two-column page; what a figure of them looks like
_WIDTHS = {"column": 3.35, "text": 6.9}
_PAPER = {
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.handlelength": 2.2,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.5,
}


@contextmanager
def user_style(width: str | float | None = None) -> Iterator[None]:
    """Context like `house_style` in which every setting that the caller has made wins.

    A setting counts as made if it is not matplotlib's default: by ``plt.style.use``, ``rcParams``, ``rc_context`` or a
    matplotlibrc file.

    Parameters
    ----------
    width : {"column", "text"} or float, optional
        Sizes of type and lines for a figure of that width in a paper.

    Examples
    --------
    >>> import matplotlib
    >>> with matplotlib.rc_context({"font.size": 7}), user_style():
    ...     size, label = matplotlib.rcParams["font.size"], matplotlib.rcParams["axes.labelsize"]
    >>> size, label
    (7.0, 'medium')
    """
    import matplotlib

    own = rc() | ({} if width is None else _PAPER)
    if _is_set("font.size"):  # what is given in points follows the caller's size of type
        own = {name: value for name, value in own.items() if not name.endswith(("labelsize", "titlesize", "fontsize"))}
    with matplotlib.rc_context({name: value for name, value in own.items() if not _is_set(name)}):
        yield


def _is_set(name: str) -> bool:
    """Whether the caller has changed a setting."""
    import matplotlib

    present: Any = matplotlib.rcParams
    default: Any = matplotlib.rcParamsDefault
    return bool(present[name] != default[name])


def figure_size(width: str | float | None = None, panels: int = 1) -> tuple[float, float]:
    """Return width and height of a figure in inches.

    Examples
    --------
    >>> figure_size("column"), figure_size("text", panels=2), figure_size(3.0)
    ((3.35, 2.4), (6.9, 2.4), (3.0, 2.15))
    """
    import matplotlib

    if isinstance(width, str) and width not in _WIDTHS:
        raise ValueError(f"width must be one of {', '.join(_WIDTHS)}, a number of inches or None, got {width!r}")
    if width is None:
        if _is_set("figure.figsize"):
            size = matplotlib.rcParams["figure.figsize"]
            return float(size[0]), float(size[1])
        return (5.4, 3.6) if panels == 1 else (min(10.8, 3.6 * panels), 3.2)
    inches = _WIDTHS[width] if isinstance(width, str) else float(width)
    if not 0.5 <= inches <= 100:
        raise ValueError(f"width must be between 0.5 and 100 inches, got {inches:g}")
    return inches, max(2.0, min(4.6, round(20 * 0.715 * inches / max(panels, 1)) / 20) if panels == 1 else 2.4)


def new_axes(width: str | float | None = None, panels: int = 1) -> Any:
    """Return the Axes of a new figure (with more panels than one: an array of them in a row, with shared heights)."""
    from matplotlib import pyplot

    return pyplot.subplots(1, panels, figsize=figure_size(width, panels), layout="constrained", sharey=panels > 1)[1]


def cycle_style(i: int) -> dict[str, Any]:
    """Return the i-th line's look: colours of ``axes.prop_cycle`` as it is set, the rest as in `style`.

    The caller's cycle wins in whatever it says: colours, line styles, markers.
    """
    import matplotlib

    cycle = list(matplotlib.rcParams["axes.prop_cycle"])
    entry = cycle[i % len(cycle)] if cycle else {}
    short = {"c": "color", "ls": "linestyle", "lw": "linewidth"}
    look = style(i) | {short.get(name, name): value for name, value in entry.items()}
    if "color" in look and look["color"] in PALETTE:
        return look
    # of other colours nobody knows whether they differ in grey: the line style has to
    look["linestyle"] = look["linestyle"] if "linestyle" in entry or "ls" in entry else _DISTINCT[i % len(_DISTINCT)]
    return look


_DISTINCT = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
