"""What an object keeps of a caller's arrays: copies of its own, read-only, so that neither side changes the other's.

SciPy's sparse matrices reorder and trim their arrays in place where one would not expect it (``max``,
``check_format``), so they are copied before anything else is done to them.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import scipy.sparse as sp

_Kind = TypeVar("_Kind")

__all__ = ["freeze_csr", "frozen", "own_csr", "unchecked"]


def frozen(array: Any) -> np.ndarray:
    """Return a read-only copy; the array itself where it is read-only already.

    Examples
    --------
    >>> given = np.zeros(2)
    >>> kept = frozen(given)
    >>> kept.flags.writeable, given.flags.writeable, np.shares_memory(kept, given)
    (False, True, False)
    """
    array = np.asarray(array)
    if array.flags.writeable:
        array = array.copy()
        array.setflags(write=False)
    return array


def own_csr(matrix: Any, name: str) -> sp.csr_matrix:
    """Return a sparse matrix or array, once it is known to be well formed, as a CSR matrix of float64 of its own.

    Raises
    ------
    TypeError
        If the entries are not real numbers.
    ValueError
        If it has not two dimensions, or index arrays that point outside: compiled code would follow them.
    """
    if matrix.ndim != 2:
        raise ValueError(f"{name} must have two dimensions, got shape {matrix.shape}")
    if matrix.dtype.kind not in "buif":
        raise TypeError(f"{name} must hold real numbers, got dtype {matrix.dtype}")
    try:
        for part in ("indptr", "indices") if hasattr(matrix, "indptr") else ():
            if getattr(matrix, part).dtype.kind not in "iu":
                raise ValueError(f"{part} must hold integers")
        own = matrix.copy()
        if hasattr(own, "check_format"):  # of the copy: it trims arrays in place
            own.check_format(full_check=True)
        elif own.format == "coo":
            own = sp.coo_matrix((own.data, (own.row, own.col)), shape=own.shape)
        own = sp.csr_matrix(own, dtype=np.float64)
        own.check_format(full_check=True)
    except (ValueError, TypeError, IndexError) as error:
        raise ValueError(f"{name} is not a well-formed sparse matrix ({matrix.format}): {error}") from None
    return own


def freeze_csr(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """Return `matrix`, its arrays made read-only; it must be canonical, or SciPy would want to write to them."""
    for array in (matrix.data, matrix.indices, matrix.indptr):
        array.setflags(write=False)
    return matrix


def unchecked(kind: type[_Kind], *values: Any) -> _Kind:
    """Return an instance of a frozen dataclass from all its fields in order, for what the house has made itself.

    Neither checked nor copied; arrays among the fields become read-only views.

    Examples
    --------
    >>> from optlab.policy.mdp.policies import TabularPolicy
    >>> unchecked(TabularPolicy, np.log([[0.5, 0.5]]), None)
    <TabularPolicy: 1 states, 2 actions>
    """
    instance = object.__new__(kind)
    fields = kind.__dataclass_fields__  # type: ignore[attr-defined]
    for name, value in zip(fields, values, strict=True):
        if isinstance(value, np.ndarray):
            value = value.view()
            value.flags.writeable = False
        instance.__dict__[name] = value
    return instance
