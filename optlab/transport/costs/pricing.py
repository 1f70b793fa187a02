"""Scans of all pairs of a transport problem that store none of them: pricing, and listing the pairs of small slack.

The *slack* of a pair is ``C_ij - f_i - g_j``. Potentials with no slack below zero are feasible for the dual problem;
with a plan of the same value they prove both optimal. `BlockedCost.price` finds the pairs that are violated, row by
row, and how much the rows have to give way for the potentials to be feasible: its answer is the certificate.

Every pair is accounted for, few are computed. Points are kept in an order in which blocks of consecutive ones lie
close together. A cost ``phi(x - y)`` with phi convex lies above its tangent, and the potentials of a block below an
affine function fitted to them, so that a box of pairs has a lower bound on its slack in closed form (derived here; it
holds for any slopes, and is tight to second order where the slopes are those of the optimal map). Blocks whose bound
is positive are passed over. In high dimension, and for dense costs, all blocks are visited.

Ranges of row blocks are independent. They run on threads, or on a cluster (`optlab.transport.costs.tasks`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from optlab.transport.costs.base import Cost
from optlab.transport.costs.point_cloud import PointCloudCost
from optlab.transport.costs.tasks import gathered
from optlab.transport.kernels import list_kernels, pricing_kernels

BLOCK_POINTS = 32  # points in a block of a cloud, at most
_SEGMENT = 1024  # columns in a block of a dense cost
_FAN = 32  # blocks in a large block
_FEW_BLOCKS = 1 << 20  # pairs of blocks up to which all are tried
_PRUNED_DIMENSION = 6  # above, bounds over boxes let everything through


class Pricing(NamedTuple):
    """What a scan of all pairs found.

    Attributes
    ----------
    shortfall : ndarray, shape (n,)
        Least slack of each row, at most 0: ``f + shortfall`` and g are feasible.
    rows, columns : ndarray of int
        Violated pairs, the worst of each row.
    costs : ndarray
        Their costs.
    """

    shortfall: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    costs: np.ndarray


class PairList(NamedTuple):
    """Pairs by rows: those of row i are ``columns[indptr[i]:indptr[i + 1]]``, with their costs."""

    indptr: np.ndarray
    columns: np.ndarray
    costs: np.ndarray

    @property
    def rows(self) -> np.ndarray:
        """The row of each pair."""
        return np.repeat(np.arange(self.indptr.size - 1), np.diff(self.indptr))

    def transposed(self, m: int) -> PairList:
        """Return the same pairs by columns."""
        return PairList(*list_kernels.transpose_list(*self, m))


class BlockedCost:
    """A cost with its rows and columns cut into blocks, for scans of all pairs.

    Parameters
    ----------
    cost : Cost
        Not transposed storage; of a point cloud, in an order that keeps near points together.
    row_edges, column_edges : ndarray of int, optional
        Where blocks begin, and the end; default: as suits a dense cost.

    Attributes
    ----------
    cloud : PointCloudCost or None
        The cost, if it is one.
    pruned : bool
        Whether bounds let blocks be passed over.
    many_ties : bool
        Whether many pairs of a row have nearly the same slack at the optimum.
    """

    def __init__(self, cost: Cost, row_edges: Any = None, column_edges: Any = None):
        self.cost = cost
        self.shape = n, m = cost.shape
        self.cloud = cloud = cost if isinstance(cost, PointCloudCost) else None
        self.pruned = cloud is not None and cloud.x.shape[1] <= _PRUNED_DIMENSION
        # |x - y| is linear along rays, and all pairs of points along the same one tie: more of them matter
        self.many_ties = cloud is not None and cloud.metric != "sqeuclidean"
        self.row_edges = _edges(n, max(1, min(64, n // 64))) if row_edges is None else row_edges
        self.column_edges = _edges(m, _SEGMENT) if column_edges is None or not self.pruned else column_edges
        self.data = cost._data

    def price(self, f: np.ndarray, g: np.ndarray, tolerance: float = 0.0, keep: int = 6) -> Pricing:
        """Price all pairs.

        Parameters
        ----------
        f, g : ndarray, shapes (n,) and (m,)
        tolerance : float, default 0
            Slacks above ``-tolerance`` are not violations worth listing. A negative tolerance lists the pairs of least
            slack below ``-tolerance``, violated or not.
        keep : int, default 6
            Violated pairs to list in each row, the worst first.

        Examples
        --------
        >>> from optlab.transport import DenseCost
        >>> blocked = BlockedCost(DenseCost([[0.0, 1.0], [1.0, 3.0]]))
        >>> found = blocked.price(np.array([1.0, 1.0]), np.array([0.0, 0.5]))
        >>> found.shortfall.tolist(), found.rows.tolist(), found.columns.tolist()
        ([-1.0, 0.0], [0, 0], [0, 1])
        """
        indptr, blocks = self._visited(f, g, -tolerance if tolerance < 0.0 else 0.0)
        arguments = (self.data, f, g, tolerance, keep, self.row_edges, self.column_edges, indptr, blocks)
        parts = self._over_rows(functools.partial(pricing_kernels.price, *arguments), self.row_edges.size - 1)
        shortfall, counts, columns, costs = (np.concatenate([part[k] for part in parts]) for k in range(4))
        return Pricing(shortfall, np.repeat(np.arange(self.shape[0]), counts), columns.astype(np.int64), costs)

    def pairs_below(self, f: np.ndarray, g: np.ndarray, threshold: float) -> PairList:
        """Return all pairs whose slack is at most `threshold`."""
        indptr, blocks = self._visited(f, g, threshold)
        arguments = (self.data, f, g, threshold, self.row_edges, self.column_edges, indptr, blocks)
        parts = self._over_rows(functools.partial(pricing_kernels.pairs_below, *arguments), self.row_edges.size - 1)
        counts, columns, costs = (np.concatenate([part[k] for part in parts]) for k in range(3))
        return PairList(np.concatenate([[0], np.cumsum(counts)]), columns, costs)

    def _visited(self, f: np.ndarray, g: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
        """Return, by row blocks, the column blocks that may hold a slack of at most `threshold`."""
        count, others = self.row_edges.size - 1, self.column_edges.size - 1
        if self.cloud is None or not self.pruned:
            return np.arange(count + 1) * others, np.tile(np.arange(others, dtype=np.int32), count)
        # one pair that holds everything, then pairs of large blocks, then of blocks
        indptr, blocks = np.array([0, 1]), np.zeros(1, dtype=np.int32)
        inside = np.array([0]), np.array([0])  # where the blocks of a level begin, in blocks of the next
        for step in [1] if count * others <= _FEW_BLOCKS else [_FAN, 1]:
            starts = np.arange(0, count, step), np.arange(0, others, step)
            row_edges = np.append(self.row_edges[starts[0]], self.row_edges[-1])
            column_edges = np.append(self.column_edges[starts[1]], self.column_edges[-1])
            rows, columns = _models(self.cloud.x, row_edges, f), _models(self.cloud.y, column_edges, g)
            parent = np.searchsorted(inside[0], starts[0], side="right") - 1
            children = np.append(np.searchsorted(starts[1], inside[1]), starts[1].size)
            kernel = functools.partial(
                pricing_kernels.live_blocks,
                self.data[2], rows, columns, threshold, indptr, blocks, parent, children,
            )  # fmt: skip
            parts = self._over_rows(kernel, starts[0].size)
            counts, blocks = (np.concatenate([part[k] for part in parts]) for k in range(2))
            indptr, inside = np.concatenate([[0], np.cumsum(counts)]), starts
        return indptr, blocks

    def _over_rows(self, kernel: Callable[..., Any], count: int) -> list[Any]:
        """Call ``kernel(first, last)`` on ranges of `count` row blocks, in parallel; return the answers in order."""
        n, m = self.shape
        parts = max(1, min(64, count, (n * m) >> 18))
        cuts = [(k * count // parts, (k + 1) * count // parts) for k in range(parts)]
        return gathered([functools.partial(kernel, *cut) for cut in cuts])


def _edges(size: int, step: int) -> np.ndarray:
    return np.append(np.arange(0, size, step), size)


def _models(points: np.ndarray, edges: np.ndarray, potential: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return centers, half widths, and the affine upper bound of a potential, of each block."""
    shape = edges.size - 1, points.shape[1]
    center, half, level, slope = np.empty(shape), np.empty(shape), np.empty(shape[0]), np.empty(shape)
    pricing_kernels.block_models(points, edges, potential, center, half, level, slope)
    return center, half, level, slope
