"""Quantiles over repetitions of which some were lost: infinities are values like others, NaN are left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def quantiles(samples: Any, levels: Sequence[float]) -> np.ndarray:
    """Return the quantiles along the first axis, shape (levels, ...); as ``numpy.quantile`` where all are finite.

    Between a finite and an infinite value lies the infinite one; `numpy.quantile` has NaN there, and even at the
    finite one. Without any value the quantile is NaN.

    Examples
    --------
    >>> quantiles([1.0, 2.0, np.inf], [0.5, 0.75])
    array([ 2., inf])
    """
    ordered = np.sort(np.asarray(samples, dtype=float), axis=0)  # NaN last
    counts = np.sum(~np.isnan(ordered), axis=0)
    found = np.empty((len(levels), *ordered.shape[1:]))
    for i, level in enumerate(levels):
        place = level * np.maximum(counts - 1, 0)
        below = np.floor(place).astype(int)
        above = np.minimum(below + 1, np.maximum(counts - 1, 0))
        part = place - below
        a = np.take_along_axis(ordered, np.expand_dims(below, 0), axis=0)[0]
        b = np.take_along_axis(ordered, np.expand_dims(above, 0), axis=0)[0]
        with np.errstate(invalid="ignore"):
            between = np.where(part < 0.5, a + part * (b - a), b - (1.0 - part) * (b - a))  # as NumPy rounds
        found[i] = np.where(part == 0.0, a, np.where(np.isinf(b), b, np.where(np.isinf(a), a, between)))
    return found


__all__ = ["quantiles"]
