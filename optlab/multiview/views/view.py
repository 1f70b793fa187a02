"""A view as a matrix of which only products are formed: centred and scaled without copies, sparse ones not densified.

Dense data are centred block by block of columns, so that the centred matrix never exists as a whole; for sparse data
the mean is subtracted from the products.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from optlab.core.validation import as_flag, first_index, one_of

__all__ = ["View", "ViewSet", "is_sparse", "moments", "standardised"]

_BLOCK = 4_000_000  # entries of a centred block of columns: 32 MB


def is_sparse(X: Any) -> bool:
    import scipy.sparse

    return bool(scipy.sparse.issparse(X))


@dataclass(frozen=True)
class View:
    """The matrix ``(data - mean) / scale``, of which only products are ever formed.

    Parameters
    ----------
    data : ndarray or scipy.sparse array, shape (n, p)
    mean, scale : ndarray, shape (p,)
    """

    data: Any
    mean: np.ndarray
    scale: np.ndarray

    @property
    def n(self) -> int:
        """Number of samples."""
        return int(self.data.shape[0])

    @property
    def p(self) -> int:
        """Number of features."""
        return int(self.data.shape[1])

    @property
    def sparse(self) -> bool:
        """Whether the data are sparse."""
        return is_sparse(self.data)

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Column slices with their centred and scaled dense blocks (dense data only)."""
        width = max(1, _BLOCK // max(self.n, 1))
        for start in range(0, self.p, width):
            part = slice(start, min(start + width, self.p))
            yield part, (self.data[:, part] - self.mean[part]) / self.scale[part]

    def matmul(self, A: np.ndarray) -> np.ndarray:
        """``X A`` for A of shape (p, m)."""
        if self.sparse:
            B = A / self.scale[:, None]
            return np.asarray(self.data @ B) - self.mean @ B
        total = np.zeros((self.n, A.shape[1]))
        for part, block in self.blocks():
            total += block @ A[part]
        return total

    def rmatmul(self, A: np.ndarray) -> np.ndarray:
        """``X' A`` for A of shape (n, m)."""
        if self.sparse:
            product = np.asarray(self.data.T @ A) - np.outer(self.mean, A.sum(axis=0))
            return product / self.scale[:, None]
        result = np.empty((self.p, A.shape[1]))
        for part, block in self.blocks():
            result[part] = block.T @ A
        return result

    def gram(self) -> np.ndarray:
        """``X X'``, shape (n, n)."""
        if self.sparse:
            import scipy.sparse

            Z = self.data @ scipy.sparse.diags_array(1.0 / self.scale)
            m = self.mean / self.scale
            cross = np.asarray(Z @ m)
            G = np.asarray((Z @ Z.T).todense(), dtype=float)
            return G - cross[:, None] - cross[None, :] + m @ m
        G = np.zeros((self.n, self.n))
        for _, block in self.blocks():
            G += block @ block.T
        return G

    def dense(self) -> np.ndarray:
        """The matrix itself, as a new float64 array."""
        if self.sparse:
            return (self.data.toarray() - self.mean) / self.scale
        return np.asarray((self.data - self.mean) / self.scale, dtype=float)

    def total(self) -> float:
        """Squared Frobenius norm."""
        if self.sparse:
            squares = np.asarray(self.data.multiply(self.data).sum(axis=0)).ravel()
            return float(np.sum((squares - self.n * self.mean**2) / self.scale**2))
        return float(sum(np.einsum("ij,ij->", block, block) for _, block in self.blocks()))


@dataclass(frozen=True)
class ViewSet:
    """Validated raw views with their names.

    Parameters
    ----------
    arrays : tuple of (ndarray or sparse array)
    names : tuple of str
    features : tuple of (tuple of str or None)
        Column names of each view; None where the caller gave none.
    index : sequence or None
        Sample labels, where the caller gave DataFrames.
    """

    arrays: tuple[Any, ...]
    names: tuple[str, ...]
    features: tuple[Any, ...]
    index: Any = field(default=None, repr=False)

    @property
    def n(self) -> int:
        """Number of samples."""
        return int(self.arrays[0].shape[0])


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
    width = max(1, _BLOCK // max(n, 1))
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
