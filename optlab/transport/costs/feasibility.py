"""Forbidden pairs: whether a plan exists on the allowed ones, the set that proves it does not, and exact marginals.

A pair (i, j) is forbidden if its cost is +inf, or if it is absent from a sparse cost. By the theorem of Gale (1957),
Hall's for assignments, a plan exists if and only if no set of rows holds more mass than all the columns allowed to it
can take. Both answers come from a maximum flow: a plan, or a minimum cut, which is such a set. SciPy's maximum flow
has 32-bit integer capacities, so the flow is found in rounds, each in units that fit what is still missing.

The same routine started from an iterate, not from zero, gives it exact marginals and moves little mass: the rounding
of Altschuler, Weed and Rigollet (2017) spreads the missing mass over all pairs, which forbidden ones rule out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.core.errors import DomainError

_UNITS = 1 << 30  # SciPy's capacities are 32-bit integers
_ROUNDS = 6
_ROUNDOFF = 1e-12  # relative to the mass: what is missing below it is rounding


class InfeasibleError(DomainError):
    """No plan exists: `rows` hold more mass than `columns`, the only ones allowed to them, can take.

    Attributes
    ----------
    rows, columns : ndarray of int
        The set that proves it: every pair of `rows` with a column outside `columns` is forbidden.
    excess : float
        Mass of `rows` less mass of `columns`.
    """

    def __init__(
        self, rows: np.ndarray, columns: np.ndarray, row_mass: float, column_mass: float, excess: float | None = None
    ):
        self.rows, self.columns = rows, columns
        self.excess = row_mass - column_mass if excess is None else excess
        allowed = f"only columns {_some(columns)}, which take {column_mass:.6g}" if columns.size else "no column"
        less = f" ({self.excess:.3g} less)" if columns.size and self.excess < 1e-5 * row_mass else ""
        super().__init__(
            f"cost must allow a plan, but the forbidden pairs cut mass off: rows {_some(rows)} hold {row_mass:.6g} and "
            f"are allowed {allowed}{less} (all indices: the error's rows and columns)"
        )


def _some(indices: np.ndarray) -> str:
    shown = [str(int(i)) for i in indices[:6]]
    return "[" + ", ".join([*shown, "..."] if indices.size > 6 else shown) + "]"


@dataclass(frozen=True, eq=False)
class Pattern:
    """The allowed pairs in CSR order: `columns[starts[i]:starts[i + 1]]` are those of row i, ascending.

    Parameters
    ----------
    starts : ndarray of int, shape (n + 1,)
    columns : ndarray of int
    shape : (int, int)
    """

    starts: np.ndarray
    columns: np.ndarray
    shape: tuple[int, int]

    @property
    def rows(self) -> np.ndarray:
        """The row of every pair."""
        return np.repeat(np.arange(self.shape[0]), np.diff(self.starts))

    def matrix(self, values: np.ndarray) -> Any:
        """Return `values`, one for each pair, as a SciPy CSR array."""
        from scipy.sparse import csr_array

        # copies: SciPy changes them in place when it drops zeros
        return csr_array((values, self.columns.copy(), self.starts.copy()), shape=self.shape)

    def components(self) -> tuple[np.ndarray, np.ndarray]:
        """Return labels of rows and of columns, equal where allowed pairs connect them."""
        from scipy.sparse import block_array
        from scipy.sparse.csgraph import connected_components

        ones = self.matrix(np.ones(self.columns.size, dtype=np.int8))
        graph = block_array([[None, ones], [ones.T, None]], format="csr")
        labels = connected_components(graph, directed=False)[1]
        return labels[: self.shape[0]], labels[self.shape[0] :]


def fill_up(pattern: Pattern, values: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, float]:
    """Raise a flow with row sums at most a and column sums at most b to a maximum one.

    Parameters
    ----------
    pattern : Pattern
    values : ndarray
        The flow on the allowed pairs, non-negative.
    a, b : ndarray
        Marginals of equal mass.

    Returns
    -------
    values : ndarray
    missing : float
        Mass that cannot be sent (at most about 1e-16 of the mass if a plan exists).
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_flow

    n, m = pattern.shape
    rows, columns = pattern.rows, pattern.columns
    mass = float(a.sum())
    values = values.astype(np.float64)
    source, sink = 0, n + m + 1
    key = rows * (m + 1) + columns  # ascending
    missing = mass
    for _ in range(_ROUNDS):
        lack_a = np.maximum(a - np.bincount(rows, values, n), 0.0)
        lack_b = np.maximum(b - np.bincount(columns, values, m), 0.0)
        missing = min(float(lack_a.sum()), float(lack_b.sum()))
        if missing <= 1e-16 * mass:
            break
        unit = missing / _UNITS
        back = np.flatnonzero(values >= unit)
        tails = np.concatenate([np.zeros(n, np.int64), 1 + rows, 1 + n + columns[back], 1 + n + np.arange(m)])
        heads = np.concatenate([1 + np.arange(n), 1 + n + columns, 1 + rows[back], np.full(m, sink)])
        capacities = np.concatenate(
            [
                np.minimum(np.floor(lack_a / unit), _UNITS),
                np.full(rows.size, _UNITS),
                np.minimum(np.floor(values[back] / unit), _UNITS),
                np.minimum(np.floor(lack_b / unit), _UNITS),
            ]
        ).astype(np.int32)
        graph = csr_array((capacities, (tails.astype(np.int32), heads.astype(np.int32))), shape=(sink + 1, sink + 1))
        answer = maximum_flow(graph, source, sink)
        if answer.flow_value == 0:
            break
        flow = answer.flow.tocoo()
        inside = (flow.row >= 1) & (flow.row <= n) & (flow.col > n) & (flow.col < sink) & (flow.data != 0)
        place = np.searchsorted(
            key, (flow.row[inside].astype(np.int64) - 1) * (m + 1) + (flow.col[inside].astype(np.int64) - 1 - n)
        )
        change = np.zeros_like(values)
        change[place] = flow.data[inside] * unit
        values = np.maximum(values + change, 0.0)
    return values, missing


def check_feasible(
    pattern: Pattern, a: np.ndarray, b: np.ndarray, row_names: np.ndarray, column_names: np.ndarray
) -> np.ndarray:
    """Return a plan on the allowed pairs with marginals a and b; raise `InfeasibleError` if there is none.

    Parameters
    ----------
    pattern : Pattern
    a, b : ndarray
        Positive, of equal sum.
    row_names, column_names : ndarray of int
        Indices to name in the error.
    """
    # nothing allowed at all is no matter of rounding, however small the weight: no dual bound would be finite
    idle = np.flatnonzero(np.diff(pattern.starts) == 0)
    if idle.size:
        raise InfeasibleError(row_names[idle], column_names[:0], float(a[idle].sum()), 0.0)
    served = np.bincount(pattern.columns, minlength=b.size) > 0
    if not np.all(served):
        raise InfeasibleError(
            row_names, column_names[served], float(a.sum()), float(b[served].sum()), float(b[~served].sum())
        )
    values, missing = fill_up(pattern, np.zeros(pattern.columns.size), a, b)
    mass = float(a.sum())
    if missing > _ROUNDOFF * mass:
        # what is below a few units of the last round was rounded down, and is no way on
        rows, columns = _reachable(pattern, values, a, max(1e-15 * mass, 8.0 * missing / _UNITS))
        held, taken = float(a[rows].sum()), float(b[columns].sum())
        if held - taken > _ROUNDOFF * mass:
            raise InfeasibleError(row_names[rows], column_names[columns], held, taken)
    return values


def _reachable(pattern: Pattern, values: np.ndarray, a: np.ndarray, zero: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows reached from unsent mass along the residual network, and all columns allowed to them."""
    from scipy.sparse import block_array, csr_array
    from scipy.sparse.csgraph import breadth_first_order

    n, m = pattern.shape
    lack = a - np.bincount(pattern.rows, values, n)
    forward = pattern.matrix(np.ones(values.size))
    backward = pattern.matrix((values > zero).astype(np.float64)).T.tocsr()
    backward.eliminate_zeros()
    start = csr_array((lack > zero).astype(np.float64)[None, :])
    start.eliminate_zeros()
    graph = block_array(
        [
            [csr_array((n, n)), forward, csr_array((n, 1))],
            [backward, csr_array((m, m)), csr_array((m, 1))],
            [start, csr_array((1, m)), csr_array((1, 1))],
        ],
        format="csr",
    )
    reached = np.zeros(n + m + 1, dtype=bool)
    reached[breadth_first_order(graph, n + m, return_predecessors=False)] = True
    rows = np.flatnonzero(reached[:n])
    columns = np.flatnonzero(reached[n : n + m])
    return rows, columns
