"""Reading a transition law: three accepted layouts, one stored form, and errors that name the state and the action.

The stored form is one CSR matrix of shape ``(S * A, S)`` whose row ``s * A + a`` is ``P(. | s, a)``: sorted, without
duplicates or stored zeros, 32-bit indices where they fit. A pair that is not available has an empty row. It shares no
memory with what the caller gave, and is read-only: SciPy reorders entries in place where one would not expect it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from optlab.core.validation import as_float_array
from optlab.policy.ownership import freeze_csr, frozen, own_csr

ROUNDED = 4 * float(np.finfo(np.float64).eps)  # rows whose sums are as near to one as this are left as they are

__all__ = ["ROUNDED", "probability_tolerances", "read_available", "read_transitions"]


def probability_tolerances(single: bool) -> tuple[float, float]:
    """Return how far a row's sum may lie from one, and an entry below zero; `single` for float32.

    That much rounding of a table's decimals, or of an earlier computation, takes away. Negative entries within it
    become zero, and rows are divided by their sums.
    """
    return (1e-5, 1e-6) if single else (1e-6, 1e-9)


def read_transitions(P: Any, available: Any = None) -> tuple[sp.csr_matrix, int, int, np.ndarray | None]:
    """Return ``(transitions, n_states, n_actions, available)`` in the stored form, validated.

    Parameters
    ----------
    P : ndarray (S, A, S), sparse matrix (S * A, S), or sequence of A matrices (S, S)
    available : array_like of bool (S, A), optional

    Raises
    ------
    TypeError, ValueError
        Naming the state and the action whose row is wrong.
    """
    if sp.issparse(P):
        matrix = own_csr(P, "P")
        if 0 in matrix.shape or matrix.shape[0] % matrix.shape[1]:
            raise ValueError(f"a sparse P must have shape (S * A, S) with row s * A + a, got {P.shape}")
    elif isinstance(P, (list, tuple)) and P and all(sp.issparse(item) or np.ndim(item) == 2 for item in P):
        # nested lists of depth three are a dense (S, A, S) table, not a sequence of matrices
        matrix = _from_actions(P) if any(sp.issparse(i) or isinstance(i, np.ndarray) for i in P) else _from_dense(P)
    else:
        matrix = _from_dense(P)
    n_states = matrix.shape[1]
    n_actions = matrix.shape[0] // n_states
    mask = read_available(available, n_states, n_actions)
    single = any(getattr(item, "dtype", None) == np.float32 for item in (P if isinstance(P, (list, tuple)) else [P]))
    return _checked(matrix, n_states, n_actions, mask, single), n_states, n_actions, mask


def read_available(available: Any, n_states: int, n_actions: int) -> np.ndarray | None:
    """Return the mask of available pairs as a bool array, or None if every pair is available."""
    if available is None:
        return None
    try:
        mask = np.asarray(available)
    except ValueError as error:
        raise ValueError(f"available must be an array of shape (S, A) = ({n_states}, {n_actions}): {error}") from None
    if mask.dtype.kind not in "bui" or not np.isin(mask, (0, 1)).all():
        raise TypeError(f"available must be an array of booleans of shape (S, A), got dtype {mask.dtype}")
    if mask.shape != (n_states, n_actions):
        raise ValueError(f"available must have shape (S, A) = ({n_states}, {n_actions}), got {mask.shape}")
    mask = mask.astype(bool)
    stuck = ~mask.any(axis=1)
    if stuck.any():
        raise ValueError(
            f"available must leave at least one action in every state, state {int(np.argmax(stuck))} has none"
        )
    return None if mask.all() else frozen(mask)


def _from_dense(P: Any) -> sp.csr_matrix:
    table = as_float_array(P, "P", finite=False)
    if table.ndim != 3 or table.shape[0] != table.shape[2]:
        raise ValueError(
            "P must be a dense array of shape (S, A, S), a sparse matrix of shape (S * A, S) with row s * A + a, or a "
            f"list of A matrices of shape (S, S), got an array of shape {table.shape}"
            + (
                " (for A matrices P_a pass a list of them)"
                if table.ndim == 3 and table.shape[1] == table.shape[2]
                else ""
            )
        )
    return sp.csr_matrix(table.reshape(-1, table.shape[2]).astype(np.float64, copy=False))


def _from_actions(P: Sequence[Any]) -> sp.csr_matrix:
    n_actions = len(P)
    blocks: list[sp.csr_matrix] = []
    for action, item in enumerate(P):
        name = f"P[{action}]"
        block = (
            own_csr(item, name)
            if sp.issparse(item)
            else sp.csr_matrix(as_float_array(item, name, ndim=2, finite=False))
        )
        if block.shape[0] != block.shape[1] or block.shape != (blocks[0].shape if blocks else block.shape):
            raise ValueError(
                f"P must be a list of A square matrices of one shape (S, S), P[{action}] has shape {block.shape}"
            )
        blocks.append(block)
    n_states = blocks[0].shape[0]
    stacked = sp.vstack(blocks, format="csr", dtype=np.float64)  # row a * S + s
    order = (np.arange(n_actions) * n_states)[None, :] + np.arange(n_states)[:, None]
    return sp.csr_matrix(stacked[order.ravel()])


def _checked(
    matrix: sp.csr_matrix, n_states: int, n_actions: int, mask: np.ndarray | None, single: bool
) -> sp.csr_matrix:
    """Return `matrix`, which is nobody else's, in the stored form: checked, canonical, rows divided by their sums."""
    sum_tol, negative_tol = probability_tolerances(single)
    hint = f"; more than the {sum_tol:g} of rounding. P / P.sum(axis=-1, keepdims=True) normalises a dense table"

    def where(row: int) -> str:
        return f"state {row // n_actions}, action {row % n_actions}"

    if mask is not None:
        keep = np.repeat(mask.ravel(), np.diff(matrix.indptr))
        if not keep.all():
            lengths = np.where(mask.ravel(), np.diff(matrix.indptr), 0)
            indptr = np.concatenate([[0], np.cumsum(lengths)])
            matrix = sp.csr_matrix((matrix.data[keep], matrix.indices[keep], indptr), shape=matrix.shape)
    data = matrix.data
    bad = ~((data >= -negative_tol) & (data <= 1 + sum_tol))  # catches NaN as well
    if bad.any():
        entry = int(np.argmax(bad))
        row = int(np.searchsorted(matrix.indptr, entry, side="right")) - 1
        raise ValueError(
            f"P must hold probabilities: P(s' = {int(matrix.indices[entry])} | {where(row)}) is {float(data[entry])!r}"
        )
    np.maximum(data, 0.0, out=data)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    sums = np.asarray(matrix.sum(axis=1)).ravel()
    wrong = np.abs(sums - 1.0) > sum_tol
    if mask is not None:
        wrong &= mask.ravel()
    if wrong.any():
        row = int(np.argmax(wrong))
        if sums[row] == 0:
            hint = "; if the action does not exist there, say so with available="
        raise ValueError(
            f"rows of P must sum to one: {where(row)} sums to {sums[row]:.12g} "
            f"({int(wrong.sum())} such row(s) of {wrong.size}){hint}"
        )
    if np.abs(sums[sums > 0] - 1.0).max(initial=0.0) > ROUNDED:
        matrix.data /= np.repeat(np.where(sums > 0, sums, 1.0), np.diff(matrix.indptr))
    if matrix.nnz < np.iinfo(np.int32).max:
        matrix.indices = matrix.indices.astype(np.int32, copy=False)
        matrix.indptr = matrix.indptr.astype(np.int32, copy=False)
    return freeze_csr(matrix)
