"""Logarithmic axes whose ticks neither crowd nor leave the axis bare."""

from __future__ import annotations

from typing import Any

import numpy as np


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
        ticks = np.floor(np.log10(high) + 1e-9) - np.ceil(np.log10(low) - 1e-9) + 1 if low > 0 else 0
        if decades > 1.5 and ticks < 3:  # two powers of ten say little
            axis.set_major_locator(LogLocator(base=10, subs=(1, 3)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: _power_label(value, plain=True)))
            axis.set_minor_locator(LogLocator(base=10, subs=range(2, 10)))
            axis.set_minor_formatter(NullFormatter())
        elif decades > 1.5:
            axis.set_major_locator(LogLocator(base=10, numticks=7))
            axis.set_major_formatter(FuncFormatter(lambda value, _: _power_label(value)))
            axis.set_minor_locator(LogLocator(base=10, subs=range(2, 10)) if decades < 5 else NullLocator())
            axis.set_minor_formatter(NullFormatter())
        else:  # within a decade or so, decade ticks alone would leave the axis bare
            axis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: _power_label(value, plain=True)))
            axis.set_minor_formatter(NullFormatter())
    return ax


def symlog_axis(ax: Any, which: str = "x", threshold: float = 1.0) -> Any:
    """Make an axis logarithmic beyond `threshold`, with the start at 0 and ticks that say so; return the Axes."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    getattr(ax, f"set_{which}scale")("symlog", linthresh=threshold, linscale=0.5)
    axis = getattr(ax, f"{which}axis")
    high = max(getattr(ax, f"get_{which}lim")())
    first, last = int(np.ceil(np.log10(threshold))), int(np.floor(np.log10(max(high, threshold)) + 1e-9))
    step = max(1, -(-(last - first + 1) // 6))
    axis.set_major_locator(FixedLocator([0.0, *(10.0**k for k in range(first, last + 1, step))]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: "0" if value == 0 else _power_label(value, plain=True)))
    axis.set_minor_locator(NullLocator())
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
