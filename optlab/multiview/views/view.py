"""A view as a matrix of which only products are formed: centred and scaled without copies, sparse ones not densified.

Dense data are centred block by block of columns, so that the centred matrix never exists as a whole; for sparse data
the mean is subtracted from the products.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["BLOCK", "View", "ViewSet", "is_sparse"]

BLOCK = 4_000_000  # entries of a centred block of columns: 32 MB


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
        width = max(1, BLOCK // max(self.n, 1))
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
