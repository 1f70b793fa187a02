"""Names of lines: at their ends where they fit, in a legend where they do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

_MARK = "optlab-line-label"  # by which labels of an earlier call are known


def name_lines(ax: Any, labels: str = "auto") -> str:
    """Name the lines of `ax` as `labels` says, replacing what an earlier call wrote.

    Parameters
    ----------
    ax : Axes
        With everything drawn and its limits final.
    labels : {"auto", "direct", "legend", "none"}
        ``"auto"``: at the lines' ends where every label fits and no two lines end in one place, otherwise in a legend;
        below the axes if it has more than four entries. ``"direct"``: at the lines' ends, come what may.

    Returns
    -------
    str
        ``"labels"``, ``"legend"`` or ``"nothing"``.
    """
    choices = ("auto", "direct", "legend", "none")
    if labels not in choices:
        raise ValueError(f"labels must be one of {', '.join(choices)}, got {labels!r}")
    for text in [text for text in ax.texts if text.get_gid() == _MARK]:
        text.remove()
    if ax.get_legend() is not None:
        ax.get_legend().remove()
    if labels == "none":
        return "nothing"
    # beside the axes there is room only if a layout engine makes it
    if labels == "direct" or (labels == "auto" and ax.figure.get_layout_engine() is not None):
        return label_lines(ax, strict=labels == "auto")
    named = [line for line in ax.get_lines() if not str(line.get_label()).startswith("_")]
    return _legend(ax, named)


def _legend(ax: Any, lines: Sequence[Any]) -> str:
    if not lines:
        return "nothing"
    below = len(lines) > 4 and ax.figure.get_layout_engine() is not None
    place: dict[str, Any] = {}
    if below:
        longest = max(len(str(line.get_label())) for line in lines)
        columns = 1 if longest * 14 > 72 * ax.figure.get_size_inches()[0] / len(ax.figure.axes) else 2
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2), "ncols": columns, "columnspacing": 1.2}
    ax.legend(lines, [str(line.get_label()) for line in lines], **place)
    return "legend"


def label_lines(
    ax: Any,
    lines: Sequence[Any] | None = None,
    fontsize: float | None = None,
    max_labels: int = 8,
    strict: bool = False,
) -> str:
    """Write each line's label at its right end in its colour; fall back to a legend where they would not fit.

    Labels of lines that reach the right edge stand in one column beside the axes and are pushed apart where
    they would overlap; a line that ends earlier is labelled at its end.

    Parameters
    ----------
    ax : Axes
        With everything drawn and its limits final.
    lines : sequence of Line2D, optional
        Default: all visible lines of `ax` that have a label.
    fontsize : float, optional
        In points; default: 8, or what the caller's settings say of a legend.
    max_labels : int, default 8
        With more lines than this a legend is used.
    strict : bool, default False
        Whether a legend is used also where two lines end in one place, or a label would stand far from its line.

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
        return _legend(ax, lines)
    fontsize = _fontsize() if fontsize is None else fontsize
    ax.figure.draw_without_rendering()  # settles the layout, so that display coordinates mean something
    box = ax.get_window_extent()
    height = 1.25 * fontsize * ax.figure.dpi / 72
    width = 0.6 * fontsize * ax.figure.dpi / 72  # of a character, on average

    ends: list[Any] = [_line_end(ax, line, box) for line in lines]
    if any(end is None for end in ends):
        return _legend(ax, lines)
    column = [i for i, (x, _) in enumerate(ends) if x >= box.x0 + 0.94 * box.width]
    heights = _spread([ends[i][1] for i in column], height, box.y0, box.y1)
    inside = [i for i in range(len(lines)) if i not in column]
    boxes = [(ends[i][0], ends[i][1], ends[i][0] + width * len(str(lines[i].get_label()))) for i in inside]
    crowded = any(
        abs(p[1] - q[1]) < height and p[0] < q[2] and q[0] < p[2] for a, p in enumerate(boxes) for q in boxes[a + 1 :]
    ) or any(right > box.x1 for _, _, right in boxes)
    if heights is None or crowded:
        return _legend(ax, lines)
    if strict:
        where = [ends[i][1] for i in column]
        moved = max((abs(y - at) for y, at in zip(heights, where)), default=0.0)
        close = np.diff(np.sort(where)).min(initial=np.inf) < 0.3 * height
        if moved > 1.2 * height or close or (inside and _crossed(ax, lines, inside, boxes, height)):
            return _legend(ax, lines)

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
            gid=_MARK,
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
            gid=_MARK,
        )
    return "labels"


def _fontsize() -> float:
    import matplotlib
    from matplotlib.font_manager import FontProperties

    return min(FontProperties(size=matplotlib.rcParams["legend.fontsize"]).get_size_in_points(), 10.0)


def _crossed(ax: Any, lines: Sequence[Any], inside: Sequence[int], boxes: Sequence[Any], height: float) -> bool:
    """Whether another line runs through a label that stands inside the axes."""
    for j, line in enumerate(lines):
        points = np.column_stack([np.ravel(line.get_xdata(orig=False)), np.ravel(line.get_ydata(orig=False))])
        with np.errstate(all="ignore"):
            shown = line.get_transform().transform(np.asarray(points, dtype=float))
        shown = shown[np.isfinite(shown).all(axis=1)]
        if len(shown) < 2:
            continue
        for i, (left, y, right) in zip(inside, boxes):
            if i == j:
                continue
            grid = np.linspace(left, right, 12)
            heights = np.interp(grid, shown[:, 0], shown[:, 1], left=np.nan, right=np.nan)
            if np.nanmin(np.abs(heights - y), initial=np.inf) < 0.6 * height:
                return True
    return False


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
