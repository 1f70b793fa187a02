"""Dense costs that live in another array library, on its device: the passes as array expressions there.

A pass moves vectors of n and m numbers in and out; the matrix stays where it is. So the methods, plans and certificates
above `Cost` run as they are, on vectors of the host.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from optlab.bregman.elementary import quiet, xlogx
from optlab.core.backend import is_foreign, namespace, to_numpy
from optlab.transport.costs.base import Cost, check_size


class NamespaceCost(Cost):
    """A dense cost given as an array of another library (CuPy, array-API), which is neither copied nor moved.

    `OptimalTransport` makes one of such an array by itself. Each pass needs temporaries of the matrix's size there.

    Parameters
    ----------
    array : array, shape (n, m)
        Real floating-point numbers, all finite. Sums are in float64.

    Raises
    ------
    TypeError, ValueError
        If it is no array of another library, or of another shape, or an entry is not finite.

    Examples
    --------
    >>> import array_api_strict as xp
    >>> cost = NamespaceCost(xp.asarray([[0.0, 1.0], [1.0, 0.0]]))
    >>> cost.logsumexp_rows(np.zeros(2), 0.0).round(6)
    array([0.693147, 0.693147])
    """

    is_matrix = True

    def __init__(self, array: Any):
        if not is_foreign(array):
            raise TypeError(
                f"cost must be an array of another library than NumPy, got {type(array).__name__}: use DenseCost"
            )
        xp = namespace(array)
        if not xp.isdtype(array.dtype, "real floating"):
            raise TypeError(f"cost must hold real floating-point numbers, got dtype {array.dtype}")
        if array.ndim != 2 or 0 in array.shape:
            raise ValueError(f"cost must have 2 dimension(s) and entries, got shape {tuple(array.shape)}")
        largest = float(xp.max(xp.abs(array)))
        if not math.isfinite(largest):
            raise ValueError("cost must be finite in another library than NumPy (DenseCost takes +inf)")
        check_size(largest)
        self.array = array
        self.shape = (int(array.shape[0]), int(array.shape[1]))
        self._data = ()
        self._xp = xp

    @property
    def T(self) -> NamespaceCost:
        return NamespaceCost(self.array.T)

    def submatrix(self, rows: Any = None, columns: Any = None) -> NamespaceCost:
        part = self.array
        for axis, index in enumerate((self._selection(rows, 0), self._selection(columns, 1))):
            if isinstance(index, slice):
                part = part[index, :] if axis == 0 else part[:, index]
            elif index is not None:
                part = self._xp.take(part, self._there(index), axis=axis)
        return NamespaceCost(part)

    # ------------------------------------------------------------------ there and back

    @property
    def _double(self) -> Any:
        """The matrix in float64: itself, or a temporary."""
        return self._xp.astype(self.array, self._xp.float64, copy=False)

    def _there(self, values: np.ndarray) -> Any:
        from array_api_compat import device

        return self._xp.asarray(np.ascontiguousarray(values), device=device(self.array))

    def _row(self, values: np.ndarray, name: str) -> Any:
        """Move one value for each column there, as a row."""
        return self._there(self._vector(values, 1, name))[None, :]

    def _column(self, values: np.ndarray, name: str) -> Any:
        """Move one value for each row there, as a column."""
        return self._there(self._vector(values, 0, name))[:, None]

    def _plan(self, F: np.ndarray, G: np.ndarray, kappa: float) -> Any:
        with quiet():
            return self._xp.exp((self._column(F, "F") + self._row(G, "G")) - self._kappa(kappa) * self._double)

    def _logsumexp(self, potential: Any, kappa: float, axis: int) -> np.ndarray:
        xp = self._xp
        with quiet():
            exponents = potential - self._kappa(kappa) * self._double
            top = xp.max(exponents, axis=axis, keepdims=True)
            top = xp.where(xp.isfinite(top), top, xp.zeros_like(top))  # no mass: -inf in the end
            total = xp.squeeze(top, axis=axis) + xp.log(xp.sum(xp.exp(exponents - top), axis=axis))
        return to_numpy(total)

    # ------------------------------------------------------------------ the passes

    def logsumexp_rows(self, G: np.ndarray, kappa: float) -> np.ndarray:
        return self._logsumexp(self._row(G, "G"), kappa, axis=1)

    def logsumexp_columns(self, F: np.ndarray, kappa: float) -> np.ndarray:
        return self._logsumexp(self._column(F, "F"), kappa, axis=0)

    def plan_moments(self, F: np.ndarray, G: np.ndarray, kappa: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        xp, X = self._xp, self._plan(F, G, kappa)
        sums = xp.sum(X, axis=1), xp.sum(X, axis=0), xp.sum(self._double * X, axis=1)
        return to_numpy(sums[0]), to_numpy(sums[1]), to_numpy(sums[2])

    def _apply(self, F: np.ndarray, G: np.ndarray, kappa: float, V: np.ndarray, transpose: bool) -> np.ndarray:
        V = np.asarray(V, dtype=np.float64)
        if V.shape[0] != self.shape[0 if transpose else 1]:
            raise ValueError(f"V must have {self.shape[0 if transpose else 1]} rows, got shape {V.shape}")
        X = self._plan(F, G, kappa)
        return to_numpy((X.T if transpose else X) @ self._there(V))

    def plan_dense(self, F: np.ndarray, G: np.ndarray, kappa: float) -> np.ndarray:
        return to_numpy(self._plan(F, G, kappa))

    def plan_sparse(
        self, F: np.ndarray, G: np.ndarray, kappa: float, threshold: float, p: Any = None, q: Any = None
    ) -> Any:
        from scipy.sparse import csr_array

        plan = self._plan(F, G, kappa)
        if p is not None:
            plan = plan + self._column(p, "p") * self._row(q, "q")
        return csr_array(to_numpy(self._xp.where(plan > threshold, plan, self._xp.zeros_like(plan))))

    def plan_entropic(
        self, F: np.ndarray, G: np.ndarray, kappa: float, p: np.ndarray, q: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        xp = self._xp
        with quiet():
            Y = self._plan(F, G, kappa) + self._column(p, "p") * self._row(q, "q")
            return to_numpy(xp.sum(self._double * Y, axis=1)), to_numpy(xp.sum(xlogx(xp, Y) - Y, axis=1))

    def minimum_rows(self, g: np.ndarray) -> np.ndarray:
        return to_numpy(self._xp.min(self._double - self._row(g, "g"), axis=1))

    def minimum_columns(self, f: np.ndarray) -> np.ndarray:
        return to_numpy(self._xp.min(self._double - self._column(f, "f"), axis=0))

    def product(self, v: np.ndarray) -> np.ndarray:
        return to_numpy(self._double @ self._there(self._vector(v, 1, "v")))

    def product_transpose(self, u: np.ndarray) -> np.ndarray:
        return to_numpy(self._double.T @ self._there(self._vector(u, 0, "u")))

    def pair_costs(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        rows, columns = self._pairs(rows, columns)
        flat = self._xp.reshape(self.array, (-1,))
        chosen = self._xp.take(flat, self._there(rows.astype(np.int64) * self.shape[1] + columns))
        return to_numpy(chosen).astype(np.float64)

    def dense(self) -> np.ndarray:
        """Return the cost as an array on the host."""
        return to_numpy(self.array)

    @cached_property
    def _statistics(self) -> tuple[float, float, float, float]:
        xp, C = self._xp, self._double
        low, high = float(xp.min(C)), float(xp.max(C))
        unit = 2.0 ** math.frexp(max(abs(low), abs(high)))[1] if low != high else 1.0  # squares could overflow
        return low, high, unit * float(xp.mean(C / unit)), unit * float(xp.std(C / unit))

    @cached_property
    def smallest(self) -> float:
        xp, sizes = self._xp, self._xp.abs(self._double)
        least = float(xp.min(xp.where(sizes > 0.0, sizes, xp.full_like(sizes, math.inf))))
        return least if math.isfinite(least) else 0.0

    def __repr__(self) -> str:
        return f"NamespaceCost(shape={self.shape}, dtype={self.array.dtype}, library={self._xp.__name__})"
