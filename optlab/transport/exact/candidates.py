"""The sparse transport problem of the exact method: which pairs it has, that it is feasible, how it is solved.

Candidate pairs (`Arcs`) are those of least slack in each row and column, and a *backbone* on which a plan exists
whatever the candidates are: the north-west-corner path along an order of rows and columns in which partners are near
each other.

The sparse problem goes to POT's sparse network simplex (``ot.lp.emd_wrap.emd_c_sparse``). It is given *reduced* costs
``C_ij - f_i - g_j``: the same problem, but its first pivots, which look for small costs, then find near-optimal
pairs, and it is solved 10 to 20 times faster than with the costs themselves (measured; from exact potentials, in
about the time of reading it). Its potentials carry the rounding of the artificial costs it starts with, so they are
not used as they are: along the trees of the plan's support potentials follow from the costs, exactly, and only the
trees' offsets are taken over (`settled`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from optlab.transport.costs.pricing import BlockedCost
from optlab.transport.exact.multiscale import Annealed
from optlab.transport.kernels import forest_kernels, list_kernels

NEAREST, TIED_NEAREST = 8, 16  # candidates of a row, and of a column; and if many tie
_PIVOTS = 1_000_000_000
_ROUNDING = 1e-13  # of the costs: ties all round a cycle let shifts of that size go on for ever


@dataclass(frozen=True, eq=False)
class Arcs:
    """Pairs of a sparse problem, sorted by row and column, with their costs."""

    rows: np.ndarray
    columns: np.ndarray
    costs: np.ndarray

    @property
    def size(self) -> int:
        """Number of pairs."""
        return int(self.rows.size)

    def joined(self, rows: np.ndarray, columns: np.ndarray, cost: BlockedCost) -> Arcs:
        """Return these pairs and others, each once."""
        m = cost.shape[1]
        keys = self.rows * m + self.columns
        new = np.sort(rows * m + columns)
        new = new[np.flatnonzero(np.diff(new, prepend=-1))]
        place = np.searchsorted(keys, new)
        absent = np.append(keys, -1)[place] != new
        if not np.any(absent):
            return self
        new, place = new[absent], place[absent]
        rows, columns = new // m, new % m
        return Arcs(
            np.insert(self.rows, place, rows),
            np.insert(self.columns, place, columns),
            np.insert(self.costs, place, cost.cost.pair_costs(rows, columns)),
        )

    def contain(self, rows: np.ndarray, columns: np.ndarray, m: int) -> bool:
        """Whether all of these pairs are among these."""
        keys, wanted = self.rows * m + self.columns, rows * m + columns
        return bool(np.all(np.append(keys, -1)[np.searchsorted(keys, wanted)] == wanted))

    def kept(self, mask: np.ndarray) -> Arcs:
        """Return some of the pairs."""
        return Arcs(self.rows[mask], self.columns[mask], self.costs[mask])

    def slacks(self, f: np.ndarray, g: np.ndarray) -> np.ndarray:
        """Return ``C_ij - f_i - g_j``, subtracted in the order of the scans of all pairs."""
        slack: np.ndarray = (self.costs - g[self.columns]) - f[self.rows]
        return slack


def candidates(cost: BlockedCost, transposed: BlockedCost, a: np.ndarray, b: np.ndarray, start: Annealed) -> Arcs:
    """Return the pairs of least slack, and a backbone.

    Parameters
    ----------
    cost, transposed : BlockedCost
        The cost, and its transpose (for the columns, if there is no list).
    a, b : ndarray
        Positive, of equal sum.
    start : Annealed
        Potentials and, if they could be listed, the pairs that matter at their temperature.
    """
    n, m = cost.shape
    f, g = start.f, start.g
    count = TIED_NEAREST if cost.many_ties else NEAREST
    if start.pairs is not None and start.columns is not None:
        by_row, by_column = start.pairs, start.columns
        near = list_kernels.smallest_of_rows(*by_row, f, g, count)
        rows, columns = by_row.rows[near], by_row.columns[near].astype(np.int64)
        near = list_kernels.smallest_of_rows(*by_column, g, f, count)
        other_rows, other_columns = by_column.columns[near].astype(np.int64), by_column.rows[near]
    else:
        everything = -1e300
        found = cost.price(f, g, tolerance=everything, keep=min(count, m))
        rows, columns = found.rows, found.columns
        found = transposed.price(g, f, tolerance=everything, keep=min(count, n))
        other_rows, other_columns = found.columns, found.rows
    path = backbone(a, b, other_rows, other_columns)
    none = np.empty(0, dtype=np.int64)
    arcs = Arcs(none, none, np.empty(0))
    return arcs.joined(
        np.concatenate([rows, other_rows, path[0]]), np.concatenate([columns, other_columns, path[1]]), cost
    )


def backbone(
    a: np.ndarray, b: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows, columns and flows of a plan near the candidates: the north-west corner's, along an order of columns.

    Parameters
    ----------
    a, b : ndarray
    rows, columns : ndarray of int
        Candidate partners. Columns are sorted by the median of theirs; rows stay in their order, which for a point
        cloud keeps near points together.
    """
    n, m = a.size, b.size
    order = np.lexsort((rows, columns))
    counts = np.bincount(columns, minlength=m)
    place = np.arange(m) * (n / m)  # columns without partners keep their place
    some = counts > 0
    starts = np.cumsum(counts) - counts
    place[some] = rows[order][(starts + counts // 2)[some]]
    return forest_kernels.northwest_corner(a, b, np.arange(n), np.argsort(place, kind="stable"))


def solve_sparse(
    a: np.ndarray, b: np.ndarray, arcs: Arcs, f: np.ndarray, g: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return an optimal plan on the arcs (its flows) and optimal potentials.

    Parameters
    ----------
    a, b : ndarray
        Positive, of sum 1.
    arcs : Arcs
        Must admit a plan.
    f, g : ndarray
        Potentials to start from.

    Raises
    ------
    ArithmeticError
        If the network simplex finds no plan.
    """
    from ot.lp.emd_wrap import emd_c_sparse

    reduced = arcs.slacks(f, g)
    low = float(reduced.min())
    unit = float(reduced.max()) - low
    unit = unit if unit > 0.0 else 1.0
    scaled = (reduced - low) / unit
    answer = emd_c_sparse(a, b, arcs.rows.astype(np.uint64), arcs.columns.astype(np.uint64), scaled, _PIVOTS)
    rows, columns, values, _, u, v, code = answer
    if code != 1:
        raise ArithmeticError(f"the network simplex stopped with code {code} on {arcs.size} pairs")
    m = b.size
    flows = np.zeros(arcs.size)
    place = np.searchsorted(arcs.rows * m + arcs.columns, rows.astype(np.int64) * m + columns.astype(np.int64))
    flows[place] = values
    # where the plan's support falls apart potentials are not unique, and those of the simplex are extreme: near the
    # ones given far fewer of all other pairs are violated
    near = settled(arcs, flows, f, g)
    if not near.settled:
        near = settled(arcs, flows, f + unit * u + low, g + unit * v)
    return flows, near.f, near.g


class Settled(NamedTuple):
    """Potentials on the trees of a plan's support, the number of trees, and whether no slack is below zero."""

    f: np.ndarray
    g: np.ndarray
    trees: int
    settled: bool


def settled(arcs: Arcs, flows: np.ndarray, f: np.ndarray, g: np.ndarray) -> Settled:
    """Return potentials near those given, without slack where there is flow and none below zero on the arcs."""
    largest = max(float(np.abs(arcs.costs).max()), 1e-300)
    f, g, _, trees, change = forest_kernels.settle_potentials(
        arcs.rows, arcs.columns, arcs.costs, flows, f, g, 200, 1e-17 * largest
    )
    return Settled(f, g, trees, change <= _ROUNDING * largest)
