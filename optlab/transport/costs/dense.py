"""Dense transport costs, never copied: the array itself, and one with potentials absorbed.

An entry +inf forbids a pair; costs known on few pairs only are in `optlab.transport.costs.sparse`, point clouds in
`optlab.transport.costs.point_cloud`.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from optlab.core.validation import as_float_array, first_index, one_of
from optlab.transport.costs import passes
from optlab.transport.costs.base import Cost, check_size, finite_statistics
from optlab.transport.costs.feasibility import Pattern

_LARGEST_SINGLE_EXPONENT = 1e6


class DenseCost(Cost):
    """A cost given as an array, which is neither copied nor converted.

    Parameters
    ----------
    array : array_like, shape (n, m)
        float64 or float32, in C or Fortran order (others are copied into C order). float32 entries are
        widened in registers, sums are in float64. An entry +inf forbids the pair; all others must be finite.
    arithmetic : {"double", "single"}
        With "single" the log-sum-exp passes, of which iterations consist, run in float32 (on a float32 copy of the
        array if it is float64): about twice as fast, to about 1e-7 of the largest exponent (beyond 1e6, cost over
        temperature, in float64 again). All other passes, those of certificates included, stay in float64 on the array
        given. Needs a C- or F-ordered array without +inf.

    Raises
    ------
    ValueError
        If an entry is NaN or -inf (with its index) or above 1e140 in size, or the array is empty or not
        two-dimensional.

    Examples
    --------
    >>> import numpy as np
    >>> cost = DenseCost([[0.0, 1.0], [1.0, 0.0]])
    >>> cost.logsumexp_rows(np.zeros(2), 0.0).round(6)
    array([0.693147, 0.693147])
    >>> cost
    DenseCost(shape=(2, 2), dtype=float64)
    """

    is_matrix = True

    def __init__(self, array: Any, arithmetic: str = "double"):
        self.arithmetic = one_of(arithmetic, "arithmetic", ("double", "single"))
        array = as_float_array(array, "cost", ndim=2, finite=False)
        low, high = array.min(), array.max()  # both see a NaN
        if not low > -np.inf:
            bad = ~(array > -np.inf)
            raise ValueError(
                f"cost must be finite, got {array[bad][0]} at index {first_index(bad)} (+inf would forbid the pair)"
            )
        self.has_forbidden = bool(high == np.inf)
        if self.has_forbidden:
            high = np.max(array, where=array < np.inf, initial=-np.inf)
        check_size(max((abs(float(v)) for v in (low, high) if np.isfinite(v)), default=0.0))
        if self.has_forbidden and self.arithmetic == "single":
            raise ValueError('arithmetic must be "double" for a cost with forbidden pairs (+inf)')
        self._set(array)

    def _set(self, array: np.ndarray) -> None:
        self._array = array
        self.shape = (array.shape[0], array.shape[1])
        if array.flags.c_contiguous:
            self._data, self._flipped = (array,), False
        elif array.flags.f_contiguous:
            self._data, self._flipped = (array.T,), True
        else:
            self._array = np.ascontiguousarray(array)
            self._data, self._flipped = (self._array,), False

    @classmethod
    def _trusted(cls, array: np.ndarray, has_forbidden: bool = False, arithmetic: str = "double") -> DenseCost:
        cost = cls.__new__(cls)
        cost.arithmetic = arithmetic
        cost.has_forbidden = has_forbidden and bool(array.max() == np.inf)
        cost._set(array)
        return cost

    @property
    def T(self) -> DenseCost:
        return self._trusted(self._array.T, self.has_forbidden, self.arithmetic)

    def submatrix(self, rows: Any = None, columns: Any = None) -> DenseCost:
        rows, columns = self._selection(rows, 0), self._selection(columns, 1)
        part = self._array if rows is None else self._array[rows]
        return self._trusted(part if columns is None else part[:, columns], self.has_forbidden, self.arithmetic)

    def in_double(self) -> DenseCost:
        if self.arithmetic == "double":
            return self
        return self._trusted(self._array, self.has_forbidden)

    @cached_property
    def _size(self) -> float:
        return max(abs(self.minimum), abs(self.maximum))

    @cached_property
    def _unit(self) -> float:
        """What the float32 copy is divided by: 1 unless squares and exponents would leave the range of float32."""
        return 1.0 if 1e-12 < self._size < 1e12 or self._size == 0.0 else self._size

    @cached_property
    def _single(self) -> np.ndarray:
        data = self._data[0] if self._unit == 1.0 else self._data[0] / np.float64(self._unit)
        return np.ascontiguousarray(data, dtype=np.float32)

    def _in_single(self, kappa: float) -> bool:
        """Whether exponents in float32 are good to a tenth; where they are not, iterations would be noise, or inf."""
        kappa = self._kappa(kappa)
        return self.arithmetic == "single" and abs(kappa) * self._size <= _LARGEST_SINGLE_EXPONENT

    def logsumexp_rows(self, G: np.ndarray, kappa: float) -> np.ndarray:
        if not self._in_single(kappa):
            return super().logsumexp_rows(G, kappa)
        G = self._vector(G, 1, "G")
        over = passes.single_logsumexp_columns if self._flipped else passes.single_logsumexp_rows
        return over(self._single, G, kappa * self._unit)

    def logsumexp_columns(self, F: np.ndarray, kappa: float) -> np.ndarray:
        if not self._in_single(kappa):
            return super().logsumexp_columns(F, kappa)
        F = self._vector(F, 0, "F")
        over = passes.single_logsumexp_rows if self._flipped else passes.single_logsumexp_columns
        return over(self._single, F, kappa * self._unit)

    @cached_property
    def _statistics(self) -> tuple[float, float, float, float]:
        if not self.has_forbidden:
            return passes.statistics(*self._storage())
        return finite_statistics(self.pattern_costs)

    @cached_property
    def pattern(self) -> Pattern:
        """The allowed pairs, if some are forbidden."""
        if not self.has_forbidden:
            return super().pattern
        allowed = np.isfinite(self._array)
        starts = np.concatenate([[0], np.cumsum(np.count_nonzero(allowed, axis=1))])
        return Pattern(starts, np.nonzero(allowed)[1], self.shape)

    @property
    def pattern_costs(self) -> np.ndarray:
        """The costs of the pairs of `pattern`."""
        return self._array[self.pattern.rows, self.pattern.columns].astype(np.float64)

    @property
    def array(self) -> np.ndarray:
        """The caller's own array, to be read only."""
        view = self._array.view()
        view.flags.writeable = False
        return view

    def dense(self) -> np.ndarray:
        """Return the caller's own array, to be read only."""
        return self.array

    def __repr__(self) -> str:
        extra = "" if self.arithmetic == "double" else f", arithmetic={self.arithmetic!r}"
        return f"DenseCost(shape={self.shape}, dtype={self._array.dtype}{extra})"


class GaugedCost(Cost):
    """A dense cost with potentials absorbed: ``C_ij - phi_i - psi_j``, subtracted on the fly.

    Optimal plans are those of C. With phi, psi close to dual solutions the entries that matter are small, so
    that potentials stay bounded and a large inverse temperature no longer costs digits (gauge invariance;
    derived here, verified numerically).

    Parameters
    ----------
    cost : DenseCost
    phi, psi : array_like, shapes (n,) and (m,)
    """

    def __init__(self, cost: Any, phi: Any, psi: Any):
        cost = cost if isinstance(cost, Cost) else DenseCost(cost)
        if not isinstance(cost, DenseCost):
            raise TypeError(f"cost must be dense to absorb potentials, got {type(cost).__name__}")
        if cost.has_forbidden:
            raise TypeError("cost must have no forbidden pairs (+inf) to absorb potentials")
        self.cost = cost
        self.shape = n, m = cost.shape
        self.phi = np.array(as_float_array(phi, "phi", shape=(n,)), dtype=np.float64, order="C")
        self.psi = np.array(as_float_array(psi, "psi", shape=(m,)), dtype=np.float64, order="C")
        self._flipped = cost._flipped
        first, second = (self.psi, self.phi) if cost._flipped else (self.phi, self.psi)
        self._data = (*cost._data, first, second)

    @property
    def T(self) -> GaugedCost:
        return GaugedCost(self.cost.T, self.psi, self.phi)

    def submatrix(self, rows: Any = None, columns: Any = None) -> GaugedCost:
        rows, columns = self._selection(rows, 0), self._selection(columns, 1)
        phi = self.phi if rows is None else self.phi[rows]
        psi = self.psi if columns is None else self.psi[columns]
        return GaugedCost(self.cost.submatrix(rows, columns), phi, psi)

    def __repr__(self) -> str:
        return f"GaugedCost({self.cost!r})"
