"""Mirror points of transport plans: ``log X_ij = row_i + column_j - inverse_temperature * C_ij``.

Plans of this form are closed under everything the splitting methods do with mirror points (sums, differences,
multiples) and under the Bregman resolvents of marginal constraints and of the cost, so that n + m + 1 numbers
stand for a matrix (Ma, Xiao, Zhao 2025, arXiv 2509.08739, with the Shannon entropy on matrices; the potential
form is derived here and verified numerically against the dense iteration).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class MirrorPlan:
    """The logarithm of a transport plan in potential form; a vector space under +, - and scalar
    multiplication.

    Parameters
    ----------
    row : ndarray, shape (n,)
    column : ndarray, shape (m,)
    inverse_temperature : float
        Factor of the cost, kappa in the formulas.

    Examples
    --------
    >>> import numpy as np
    >>> z = MirrorPlan(np.array([0.0, 2.0]), np.zeros(3), 1.0)
    >>> (2 * z - z).inverse_temperature
    1.0
    >>> z.recentred().row
    array([-1.,  1.])
    """

    row: np.ndarray
    column: np.ndarray
    inverse_temperature: float

    # without this, numpy_scalar * plan would try to build an object array
    __array_ufunc__ = None

    @classmethod
    def zeros(cls, n: int, m: int) -> MirrorPlan:
        """The mirror point of the all-ones matrix."""
        return cls(np.zeros(n), np.zeros(m), 0.0)

    @property
    def shape(self) -> tuple[int, int]:
        return self.row.size, self.column.size

    def __add__(self, other: Any) -> MirrorPlan:
        if not isinstance(other, MirrorPlan):
            return NotImplemented
        return MirrorPlan(
            self.row + other.row,
            self.column + other.column,
            self.inverse_temperature + other.inverse_temperature,
        )

    def __sub__(self, other: Any) -> MirrorPlan:
        if not isinstance(other, MirrorPlan):
            return NotImplemented
        return MirrorPlan(
            self.row - other.row,
            self.column - other.column,
            self.inverse_temperature - other.inverse_temperature,
        )

    def __mul__(self, factor: Any) -> MirrorPlan:
        if (type(factor) is not float and np.ndim(factor) != 0) or isinstance(factor, MirrorPlan):
            return NotImplemented
        factor = float(factor)
        return MirrorPlan(factor * self.row, factor * self.column, factor * self.inverse_temperature)

    __rmul__ = __mul__

    def __truediv__(self, divisor: Any) -> MirrorPlan:
        return self * (1.0 / float(divisor))

    def __neg__(self) -> MirrorPlan:
        return self * -1.0

    def recentred(self) -> MirrorPlan:
        """Return the same plan with ``mean(row) = 0``.

        Adding a constant to `row` and taking it from `column` changes nothing; left alone this mode drifts
        linearly and eats digits.
        """
        shift = float(np.add.reduce(self.row)) / self.row.size
        if not math.isfinite(shift):
            return self
        return MirrorPlan(self.row - shift, self.column + shift, self.inverse_temperature)

    def copy(self) -> MirrorPlan:
        """Return the same plan on arrays of its own."""
        return MirrorPlan(self.row.copy(), self.column.copy(), self.inverse_temperature)

    def restricted(self, rows: Any, columns: Any) -> MirrorPlan:
        """Return the mirror point of the submatrix with these rows and columns."""
        return MirrorPlan(self.row[rows], self.column[columns], self.inverse_temperature)

    def __repr__(self) -> str:
        n, m = self.shape
        return f"MirrorPlan({n} x {m}, inverse_temperature={self.inverse_temperature:g})"
