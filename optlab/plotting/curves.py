"""What every figure draws: theory dashed, seeds as bands."""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.plotting.style import THEORY_COLOR


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
