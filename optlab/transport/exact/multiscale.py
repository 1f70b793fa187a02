"""Approximate dual potentials by annealed scaling, coarse to fine in temperature and in space.

The scaling (Sinkhorn's, in the log domain, over-relaxed: Cuturi 2013; Thibault, Chizat, Dossal, Papadakis 2021) keeps
potentials f, g with ``X_ij = a_i b_j exp((f_i + g_j - C_ij) / temperature)``. Four things make it cheap (after
Schmitzer, "Stabilized sparse scaling algorithms for entropy regularized transport problems", SIAM J. Sci. Comput. 41,
2019; how they are joined here is our own):

* **Temperature** falls geometrically. Potentials at one temperature are a start for the next. Every half-step raises
  the dual: over-relaxation is cut back where it would not (very uneven weights, clustered points).
* **Space.** A hierarchy of cells (`Hierarchy`) gives small problems between centroids. A level is cooled until its
  temperature is about the square of its spacing, the potentials are extended to the points of the next level by one
  scaling against the coarse points listed with their parents, and cooled on.
* **Long distances.** After the sweeps of a temperature, one Newton step over changes that are affine on cells
  (`optlab.transport.exact.coarse_space`) does what sweeps would take very many for.
* **Truncation.** At low temperatures almost all entries vanish. Only pairs of slack at most ``DEPTH * temperature``
  are listed, found by bounds over blocks (`optlab.transport.costs.pricing`), and scaled. If f and g have risen by at
  most r and s since, a pair that is not listed has ``X_ij <= a_i b_j exp((r + s) / temperature - DEPTH)``: the mass
  left out of any row is below that part of its weight. When the bound is worse than ``exp(-DEPTH / 2)`` the list is
  made anew.

What comes out is a start for an exact method. Nothing here needs to have converged, and no error is handed on.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from optlab.core.threads import run_tasks
from optlab.transport.costs.base import Cost
from optlab.transport.costs.point_cloud import PointCloudCost
from optlab.transport.costs.pricing import BLOCK_POINTS, BlockedCost, PairList
from optlab.transport.entropic.sinkhorn import relaxed
from optlab.transport.exact.coarse_space import coarse_step
from optlab.transport.kernels import list_kernels

DEPTH = 20.0  # pairs whose slack is this many temperatures are left out: exp(-20) = 2e-9
COARSEST = 256  # cells on the coarsest level
SWEEPS = 10  # at each temperature, on lists
_SWEEPS_OF_ALL = 4  # and on all pairs
OVERRELAXATION = 1.7
_COARSE_LIST, _FINE_LIST = 40.0, 14.0  # pairs to a row at which cooling ends, on coarse levels and on the last
_TIED_LIST = 40.0  # and there if many tie
_LONGEST_LIST = 200.0  # pairs to a row with which lists begin
_ALL_PAIRS = 1 << 20  # entries of a cost below which all pairs are listed whatever the temperature
_MARGINAL_ERROR = 0.02  # of the mass: when sweeps at a temperature may end
_REPEATS = 20  # and when they must: heavy points that were one on the level before take many
_SWEEPS_AFTER = 2  # on the same lists, after the step over cells
_COLDEST = 1e-9  # of the cost's range
_HOTTEST = 0.1  # of the cost's range: where cooling begins
_FAST, _SLOW = 0.25, 0.5  # cooling while all pairs matter, and once few do
_LOG2E, _LN2 = math.log2(math.e), math.log(2.0)


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """An order of points in which near ones are near each other, and nested cells: ranges of that order.

    Attributes
    ----------
    order : ndarray of int, shape (n,)
    levels : list of ndarray
        Edges of the cells, from one cell down to cells of one to three points.
    """

    order: np.ndarray
    levels: list[np.ndarray]

    @classmethod
    def of(cls, points: np.ndarray) -> Hierarchy:
        """Halve the points again and again: across the longest side of their box, above three dimensions along their
        first principal axis (principal direction divisive partitioning, a hierarchical two-means; small cells along the
        longest side there too).

        Examples
        --------
        >>> tree = Hierarchy.of(np.array([[3.0], [0.0], [9.0], [1.0], [8.0], [7.0], [2.0], [4.0]]))
        >>> [edges.tolist() for edges in tree.levels]
        [[0, 8], [0, 4, 8], [0, 2, 4, 6, 8]]
        """
        n, d = points.shape
        order = np.arange(n)
        levels = [np.array([0, n])]
        while int(np.diff(levels[-1]).max()) > 3:
            edges = levels[-1]
            cell = np.repeat(np.arange(edges.size - 1), np.diff(edges))
            ordered = points[order]
            if d > 3 and edges.size <= 256:
                key = np.concatenate([_principal(ordered[s:e]) for s, e in pairwise(edges.tolist())])
            else:
                sides = np.maximum.reduceat(ordered, edges[:-1]) - np.minimum.reduceat(ordered, edges[:-1])
                key = ordered[np.arange(n), np.argmax(sides, axis=1)[cell]]
            order = order[np.lexsort((key, cell))]
            levels.append(np.unique(np.concatenate([edges, (edges[:-1] + edges[1:]) // 2])))
        return cls(order, levels)

    def cells(self, count: int) -> np.ndarray:
        """Return the edges of the finest level of at most `count` cells; of single points if there are no more."""
        n = self.order.size
        if count >= n:
            return np.arange(n + 1)
        return next(edges for edges in reversed(self.levels) if edges.size - 1 <= count or edges.size == 2)

    def blocks(self) -> np.ndarray:
        """Return the edges of the coarsest level whose cells have at most `BLOCK_POINTS` points."""
        return next(edges for edges in self.levels if int(np.diff(edges).max()) <= BLOCK_POINTS)


def _principal(cell: np.ndarray) -> np.ndarray:
    centred = cell - cell.mean(axis=0)
    return centred @ np.linalg.eigh(centred.T @ centred)[1][:, -1]


@dataclass
class Annealed:
    """Potentials at a temperature, and the pairs that matter there (None if they are too many to list)."""

    f: np.ndarray
    g: np.ndarray
    temperature: float
    pairs: PairList | None
    columns: PairList | None


def anneal(cost: BlockedCost, a: np.ndarray, b: np.ndarray, scale: float, hierarchies: Any = None) -> Annealed:
    """Return approximate potentials of ``min <C, X>`` with marginals a, b of mass 1.

    Parameters
    ----------
    cost : BlockedCost
        In the order of `hierarchies`, if there are any.
    a, b : ndarray
        Positive.
    scale : float
        Range of the cost.
    hierarchies : (Hierarchy, Hierarchy), optional
        Of a point cloud's rows and columns.
    """
    if hierarchies is None:
        return _cool(cost, a, b, *_cold_start(cost.cost), scale, _HOTTEST * scale, _finest_list(cost))
    found: Annealed | None = None
    before: _Level | None = None
    for level in _levels(cost, a, b, hierarchies):
        if found is None or before is None:
            f, g = _cold_start(level.cost.cost)
            temperature = _HOTTEST * scale
        else:
            temperature = found.temperature
            f, g = _extended(before, found, level)
        shortest = _finest_list(cost) if level.last else _COARSE_LIST
        found = _cool(level.cost, level.a, level.b, f, g, scale, temperature, shortest)
        before = level
    assert found is not None
    return found


def listed(cost: BlockedCost, f: np.ndarray, g: np.ndarray) -> Annealed:
    """Return given potentials as `anneal` returns its own, with about as many pairs of small slack."""
    if not cost.pruned:
        return Annealed(f, g, 0.0, None, None)
    threshold = _slack_of(cost.cost, f, g, _finest_list(cost))
    pairs = cost.pairs_below(f, g, threshold)
    return Annealed(f, g, max(threshold, 0.0) / DEPTH, pairs, pairs.transposed(g.size))


def raised(cost: BlockedCost, f: np.ndarray, g: np.ndarray, by_rows: bool) -> tuple[np.ndarray, np.ndarray]:
    """Raise (or lower) f, or else g, as far as feasibility lets it, or by the slack up to which pairs are listed.

    That is the c-transform wherever a pair is listed, and feasible everywhere: pairs that are not have more slack.
    """
    threshold = _slack_of(cost.cost, f, g, _finest_list(cost))
    pairs = cost.pairs_below(f, g, threshold)
    slack = (pairs.costs - g[pairs.columns]) - f[pairs.rows]
    least = np.full(f.size if by_rows else g.size, threshold)
    np.minimum.at(least, pairs.rows if by_rows else pairs.columns, slack)
    return (f + least, g) if by_rows else (f, g + least)


def _finest_list(cost: BlockedCost) -> float:
    return _TIED_LIST if cost.many_ties else _FINE_LIST


def _cold_start(cost: Cost) -> tuple[np.ndarray, np.ndarray]:
    start = np.zeros(cost.shape[1])
    return cost.minimum_rows(start), start


# ---------------------------------------------------------------------------------------- levels


@dataclass(frozen=True, eq=False)
class _Level:
    cost: BlockedCost
    a: np.ndarray
    b: np.ndarray
    row_cells: np.ndarray
    column_cells: np.ndarray
    last: bool


def _levels(cost: BlockedCost, a: np.ndarray, b: np.ndarray, hierarchies: Any) -> Iterator[_Level]:
    """Yield the problems between centroids, four times the cells each time, and last that between the points."""
    rows, columns = hierarchies
    cloud = cost.cost
    assert isinstance(cloud, PointCloudCost)
    count = COARSEST
    while 3 * count < max(cost.shape):
        row_cells, column_cells = rows.cells(count), columns.cells(count)
        (x, p), (y, q) = _centroids(cloud.x, a, row_cells), _centroids(cloud.y, b, column_cells)
        coarse = PointCloudCost._trusted(x, y, cloud.metric)
        blocks = (np.append(np.arange(0, w.size, BLOCK_POINTS), w.size) for w in (p, q))
        yield _Level(BlockedCost(coarse, *blocks), p, q, row_cells, column_cells, False)
        count *= 4
    n, m = cost.shape
    yield _Level(cost, a, b, np.arange(n + 1), np.arange(m + 1), True)


def _centroids(points: np.ndarray, weights: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if edges.size == weights.size + 1:
        return points, weights
    mass = np.add.reduceat(weights, edges[:-1])
    return np.add.reduceat(points * weights[:, None], edges[:-1], axis=0) / mass[:, None], mass


def _extended(coarse: _Level, found: Annealed, fine: _Level) -> tuple[np.ndarray, np.ndarray]:
    """Return the potentials of the finer points: one scaling of each against the coarse points of its parent's list."""
    near, far = coarse.cost.cost, fine.cost.cost
    assert isinstance(near, PointCloudCost)
    assert isinstance(far, PointCloudCost)
    if found.pairs is None or found.columns is None:
        f = PointCloudCost._trusted(far.x, near.y, near.metric).minimum_rows(found.g)
        return f, PointCloudCost._trusted(near.x, far.y, near.metric).minimum_columns(found.f)
    unit = _LOG2E / found.temperature

    def extend(pairs: PairList, cells: Any, finer: Any, points: Any, others: Any, g: Any, weights: Any, f: Any) -> Any:
        parent = np.searchsorted(cells, finer[:-1], side="right") - 1
        out = np.empty(points.shape[0])
        level = g * unit + np.log2(weights)
        metric = near._data[2]
        list_kernels.extend(parent, pairs.indptr, pairs.columns, points, others, metric, level, unit, f * unit, out)
        return out / unit

    f = extend(found.pairs, coarse.row_cells, fine.row_cells, far.x, near.y, found.g, coarse.b, found.f)
    g = extend(found.columns, coarse.column_cells, fine.column_cells, far.y, near.x, found.f, coarse.a, found.g)
    return f, g


# ---------------------------------------------------------------------------------------- one level


def _cool(
    cost: BlockedCost,
    a: np.ndarray,
    b: np.ndarray,
    f: np.ndarray,
    g: np.ndarray,
    scale: float,
    temperature: float,
    shortest: float,
) -> Annealed:
    """Cool one level until a row has at most `shortest` pairs of small slack."""
    n, m = cost.shape
    log_a, log_b = np.log(a), np.log(b)
    everything = n * m <= _ALL_PAIRS
    longest = min(max(_LONGEST_LIST, shortest), m)
    pairs = columns = None
    while True:
        if not everything and cost.pruned:
            # a cloud has coarse levels for high temperatures
            temperature = min(temperature, _slack_of(cost.cost, f, g, longest) / DEPTH)
            temperature = max(temperature, _COLDEST * scale)  # also where slacks are below zero
        if everything or _pairs_to_a_row(cost.cost, f, g, DEPTH * temperature) <= 1.2 * longest:
            for _ in range(_REPEATS):
                f, g, pairs, columns = _scale_lists(cost, log_a, log_b, f, g, temperature)
                if cost.pruned:
                    f, g = _stepped(cost, log_a, log_b, f, g, pairs, columns, temperature)
                if _row_error(pairs, a, log_b, f, g, temperature) <= _MARGINAL_ERROR:
                    break
        elif cost.pruned:
            break  # so many ties that the pairs that matter are too many to list
        else:
            pairs = columns = None
            if temperature > _COLDEST * scale:
                f, g = _scale_all(cost.cost, log_a, log_b, f, g, temperature)
        done = pairs is not None and pairs.columns.size <= shortest * n
        if done or temperature <= _COLDEST * scale:
            break
        hot = pairs is None or pairs.columns.size > 0.25 * n * m
        temperature *= _FAST if hot else _SLOW
    return Annealed(f, g, temperature, pairs, columns)


def _sample(cost: Cost, f: np.ndarray, g: np.ndarray) -> np.ndarray:
    """Return the slacks of some rows, spread evenly."""
    n = f.size
    rows = np.unique(np.linspace(0, n - 1, min(n, 48)).astype(np.int64))
    slack: np.ndarray = cost.submatrix(rows).dense() - f[rows, None] - g
    return slack


def _slack_of(cost: Cost, f: np.ndarray, g: np.ndarray, pairs: float) -> float:
    """Return the slack below which a row has about this many pairs."""
    slack = _sample(cost, f, g)
    place = min(int(pairs * slack.shape[0]), slack.size - 1)
    return float(np.partition(slack.ravel(), place)[place])


def _pairs_to_a_row(cost: Cost, f: np.ndarray, g: np.ndarray, threshold: float) -> float:
    slack = _sample(cost, f, g)
    return float(np.count_nonzero(slack <= threshold)) / slack.shape[0]


def _scale_all(
    cost: Cost, log_a: np.ndarray, log_b: np.ndarray, f: np.ndarray, g: np.ndarray, temperature: float
) -> tuple[np.ndarray, np.ndarray]:
    """Scale on all pairs."""
    kappa = 1.0 / temperature
    a, b = np.exp(log_a), np.exp(log_b)
    for k in range(_SWEEPS_OF_ALL):
        omega = OVERRELAXATION if 0 < k < _SWEEPS_OF_ALL - 1 else 1.0
        change = -cost.logsumexp_rows(g * kappa + log_b, kappa) - f * kappa
        f = f + temperature * relaxed(omega, change, a)
        change = -cost.logsumexp_columns(f * kappa + log_a, kappa) - g * kappa
        g = g + temperature * relaxed(omega, change, b)
    return f, g


def _scale_lists(
    cost: BlockedCost, log_a: np.ndarray, log_b: np.ndarray, f: np.ndarray, g: np.ndarray, temperature: float
) -> tuple[np.ndarray, np.ndarray, PairList, PairList]:
    """Scale on the pairs of small slack, listed anew where the potentials have moved too far for the bound."""
    unit = _LOG2E / temperature
    u, v = log_a * _LOG2E, log_b * _LOG2E
    a, b = np.exp(log_a), np.exp(log_b)
    pairs, columns, f_listed, g_listed = None, None, f, g
    for k in range(SWEEPS):
        risen = float(np.max(f - f_listed)) + float(np.max(g - g_listed))
        if pairs is None or columns is None or risen > 0.5 * DEPTH * temperature:
            pairs = cost.pairs_below(f, g, DEPTH * temperature)
            columns, f_listed, g_listed = pairs.transposed(g.size), f, g
        omega = OVERRELAXATION if 1 < k < SWEEPS - 1 else 1.0
        f = f + temperature * relaxed(omega, (_scaled(pairs, g * unit + v, unit, f) - f) / temperature, a)
        g = g + temperature * relaxed(omega, (_scaled(columns, f * unit + u, unit, g) - g) / temperature, b)
    assert pairs is not None
    assert columns is not None
    return f, g, pairs, columns


def _stepped(
    cost: BlockedCost,
    log_a: np.ndarray,
    log_b: np.ndarray,
    f: np.ndarray,
    g: np.ndarray,
    pairs: PairList,
    columns: PairList,
    temperature: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Take the step over cells, and scale again."""
    f, g = coarse_step(cost, np.exp(log_a), np.exp(log_b), f, g, pairs, temperature)
    unit = _LOG2E / temperature
    for _ in range(_SWEEPS_AFTER):
        f = _scaled(pairs, g * unit + log_b * _LOG2E, unit, f)
        g = _scaled(columns, f * unit + log_a * _LOG2E, unit, g)
    return f, g


def _row_error(
    pairs: PairList, a: np.ndarray, log_b: np.ndarray, f: np.ndarray, g: np.ndarray, temperature: float
) -> float:
    """Return the L1 error of the row sums on the list: ``a e^{-d}`` where scaling changes f by ``temperature d``."""
    unit = _LOG2E / temperature
    change = (_scaled(pairs, g * unit + log_b * _LOG2E, unit, f) - f) / temperature
    return float(a @ np.abs(np.expm1(-np.clip(change, -50.0, 50.0))))


def _scaled(pairs: PairList, level: np.ndarray, unit: float, previous: np.ndarray) -> np.ndarray:
    """Return the scaled potential of the rows of a list; rows without pairs keep the previous one."""
    n = previous.size
    out = np.empty(n)
    parts = max(1, min(16, pairs.columns.size >> 15))
    kept = previous * unit

    def run(k: int) -> None:
        list_kernels.scale_list(*pairs, level, unit, kept, k * n // parts, (k + 1) * n // parts, out)

    run_tasks([functools.partial(run, k) for k in range(parts)])
    out /= unit
    return out
