"""What lets a plan stand where NumPy wants a matrix: ``np.asarray(plan)``, ``plan @ v``, ``u @ plan``, sums."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


class MatrixLike:
    """Arithmetic of a plan known through `apply`, `apply_transpose`, `marginals` and `dense`.

    Only `dense`, and with it ``np.asarray(plan)``, forms the matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from optlab.transport import transport
    >>> plan = transport([0.5, 0.5], [0.25, 0.75], [[0.0, 1.0], [1.0, 0.0]]).solution
    >>> np.asarray(plan).tolist(), (plan @ [1.0, 2.0]).tolist(), plan.sum(), plan.sum(axis=0).tolist()
    ([[0.25, 0.25], [0.0, 0.5]], [0.75, 1.0], 1.0, [0.25, 0.75])
    """

    shape: Any
    dense: Any
    apply: Any
    apply_transpose: Any
    marginals: Any

    __array_ufunc__ = None  # so that ``array @ plan`` comes here

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("a plan is no array in memory: np.asarray(plan) makes one, with copy=None or True")
        return np.asarray(self.dense(), dtype=dtype)

    def __matmul__(self, other: Any) -> np.ndarray:
        return np.asarray(self.apply(other))

    def __rmatmul__(self, other: Any) -> np.ndarray:
        return np.asarray(self.apply_transpose(np.asarray(other).T)).T

    def sum(self, axis: int | None = None) -> Any:
        """Return the mass, or with ``axis=1`` or ``0`` the row or column sums."""
        if axis not in (None, 0, 1, -1, -2):
            raise ValueError(f"axis must be None, 0 or 1, got {axis!r}")
        rows, columns = self.marginals
        return math.fsum(rows.tolist()) if axis is None else rows if axis in (1, -1) else columns
