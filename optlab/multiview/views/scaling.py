"""Views centred and scaled: means and standard deviations of the columns, refusals of what has neither."""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.core.validation import as_flag, first_index, one_of
from optlab.multiview.views.view import BLOCK, View, ViewSet, is_sparse

__all__ = ["moments", "standardised"]


def moments(array: Any) -> tuple[np.ndarray, np.ndarray]:
    """Column means and standard deviations (divisor n - 1), one pass per block, no copy of the whole."""
    n, p = array.shape
    if is_sparse(array):
        mean = np.asarray(array.sum(axis=0)).ravel() / n
        squares = np.asarray(array.multiply(array).sum(axis=0)).ravel()
        variance = (squares - n * mean**2) / max(n - 1, 1)
        # a difference of two large numbers: rounding is not variance
        variance = np.where(variance > 1e-12 * squares / max(n - 1, 1), variance, 0.0)
        return np.asarray(mean, dtype=float), np.sqrt(variance)
    mean, deviation = np.empty(p), np.empty(p)
    width = max(1, BLOCK // max(n, 1))
    for start in range(0, p, width):
        block = array[:, start : start + width].astype(np.float64)
        with np.errstate(over="ignore"):
            mean[start : start + width] = m = block.mean(axis=0)
        block -= m
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            d = np.einsum("ij,ij->j", block, block)
            if np.any((d < 1e-280) | ~(d < 1e280)):  # the square of 1e200 is inf, that of 1e-200 zero
                size = np.abs(block).max(axis=0, initial=0.0)
                block /= np.where(size > 0, size, 1.0)
                d = size * np.sqrt(np.einsum("ij,ij->j", block, block) / max(n - 1, 1))
            else:
                d = np.sqrt(d / max(n - 1, 1))
        # a constant column of large numbers has a mean that is off in the last digit
        d[d <= 1e-13 * np.abs(m)] = 0.0
        deviation[start : start + width] = d
    return mean, deviation


def standardised(
    views: ViewSet,
    *,
    standardize: bool = False,
    scaling: str = "frobenius",
    constant_columns: str = "raise",
    called: str = "views",
) -> tuple[View, ...]:
    """Centre and scale.

    Parameters
    ----------
    views : ViewSet
    standardize : bool
        Divide every column by its standard deviation.
    scaling : {"frobenius", "none"}
        ``"frobenius"``: then divide each view by the root of its total variance, so that views of different sizes
        count alike.
    constant_columns : {"raise", "keep"}
        What to do about columns without variance: an error naming the first, or keep them (they get loading zero).

    Raises
    ------
    ValueError
        For a constant column, or a view in which all columns are constant.
    """
    standardize = as_flag(standardize, "standardize")
    one_of(scaling, "scaling", ("frobenius", "none"))
    one_of(constant_columns, "constant_columns", ("raise", "keep"))
    if views.n < 3:
        raise ValueError(f"{called} must have at least 3 samples (rows), got {views.n}")
    result = []
    for k, array in enumerate(views.arrays):
        mean, deviation = moments(array)
        flat = deviation == 0
        if np.any(flat) and (constant_columns == "raise" or np.all(flat)):
            j = int(first_index(flat)[1:-1])
            features = views.features[k]
            column = f"column {j}" + (f" ({features[j]!r})" if features else "")
            raise ValueError(
                f"{column} of {views.names[k]} is constant (value {mean[j]:g} in all {views.n} samples), as "
                f"{'is 1' if flat.sum() == 1 else f'are {int(flat.sum())}'} of its {flat.size} columns; drop "
                f"constant columns, or pass constant_columns='keep' to give them loading zero"
            )
        top = deviation.max()
        if not 1e-290 < top < 1e290 or (scaling == "none" and not standardize and not 1e-70 < top < 1e70):
            raise ValueError(
                f"{views.names[k]} has columns of standard deviation up to {top:.3g}, whose products leave the range "
                "of numbers; give it in other units, or pass scaling='frobenius'"
            )
        scale = np.where(flat, 1.0, deviation) if standardize else np.ones(array.shape[1])
        if scaling == "frobenius":
            unit = top / scale.max()
            scale = scale * (unit * np.sqrt(np.sum((deviation / scale / unit) ** 2)))
        result.append(View(array, mean, scale))
    return tuple(result)
