"""Distances between two point clouds as a transport cost that is never materialised."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from optlab.core.validation import as_float_array, one_of
from optlab.transport.costs import passes
from optlab.transport.costs.base import LARGEST_COST, Cost
from optlab.transport.kernels import half_steps

METRICS = ("sqeuclidean", "euclidean", "cityblock")
assert (half_steps.SQEUCLIDEAN, half_steps.EUCLIDEAN, half_steps.CITYBLOCK) == (0, 1, 2)  # the order of METRICS
_SURVEYED = 1 << 26  # pairs up to which all are read for the statistics
_SAMPLE = 4096  # and the points of each side that stand for more


class PointCloudCost(Cost):
    """Distances between two point clouds, computed where they are needed and never stored.

    Parameters
    ----------
    x : array_like, shape (n, d) or (n,)
    y : array_like, shape (m, d) or (m,), optional
        Default: `x`.
    metric : {"sqeuclidean", "euclidean", "cityblock"}
        From differences of coordinates, so that near points keep their digits (the expansion by inner
        products does not).

    Raises
    ------
    ValueError
        If a coordinate is not finite or so large that distances exceed 1e140, if all are below 1e-140, the dimensions
        differ, or the metric is unknown.

    Examples
    --------
    >>> cost = PointCloudCost([0.0, 1.0, 3.0], [0.0, 2.0])
    >>> cost.dense()
    array([[0., 4.],
           [1., 1.],
           [9., 1.]])
    """

    def __init__(self, x: Any, y: Any = None, metric: str = "sqeuclidean"):
        self.metric = one_of(metric, "metric", METRICS)
        self.x = self._points(x, "x")
        self.y = self.x if y is None else self._points(y, "y")
        if self.x.shape[1] != self.y.shape[1]:
            raise ValueError(
                f"x and y must have points of the same dimension, got {self.x.shape[1]} and {self.y.shape[1]}"
            )
        self._prepare()
        self._check_reach()

    @staticmethod
    def _points(value: Any, name: str) -> np.ndarray:
        points = as_float_array(value, name, ndim=(1, 2))
        if points.ndim == 1:
            points = points[:, None]
        return np.array(points, dtype=np.float64, order="C")

    def _prepare(self) -> None:
        self.shape = (self.x.shape[0], self.y.shape[0])
        self._data = (self.x, np.ascontiguousarray(self.y.T), METRICS.index(self.metric))

    def _check_reach(self) -> None:
        reach, d = float(max(np.abs(self.x).max(), np.abs(self.y).max())), self.x.shape[1]
        limit = math.sqrt(LARGEST_COST / d) if self.metric == "sqeuclidean" else LARGEST_COST / d
        if 2.0 * reach > limit:
            raise ValueError(
                f"x and y must have coordinates of size at most {0.5 * limit:.3g}, so that distances "
                f"({self.metric}) stay below {LARGEST_COST:g}, got one of size {reach:g}"
            )
        if 0.0 < reach < 1.0 / LARGEST_COST:
            raise ValueError(
                f"x and y must have a coordinate of size at least {1.0 / LARGEST_COST:g}, because squares of distances "
                f"underflow; the largest has size {reach:g}. Multiply both by a constant"
            )

    @classmethod
    def _trusted(cls, x: np.ndarray, y: np.ndarray, metric: str) -> PointCloudCost:
        cost = cls.__new__(cls)
        cost.x, cost.y, cost.metric = np.ascontiguousarray(x), np.ascontiguousarray(y), metric
        cost._prepare()
        return cost

    @property
    def T(self) -> PointCloudCost:
        return self._trusted(self.y, self.x, self.metric)

    @cached_property
    def _statistics(self) -> tuple[float, float, float, float]:
        n, m = self.shape
        if n * m <= _SURVEYED:
            return passes.statistics(*self._storage())
        few = self._trusted(_spread_sample(self.x), _spread_sample(self.y), self.metric)
        return passes.statistics(*few._storage())

    @property
    def lowest(self) -> float:
        return self.minimum if math.prod(self.shape) <= _SURVEYED else 0.0

    @cached_property
    def smallest(self) -> float:
        if math.prod(self.shape) <= _SURVEYED:
            return super().smallest
        return self._trusted(_spread_sample(self.x), _spread_sample(self.y), self.metric).smallest

    def submatrix(self, rows: Any = None, columns: Any = None) -> PointCloudCost:
        rows, columns = self._selection(rows, 0), self._selection(columns, 1)
        x = self.x if rows is None else self.x[rows]
        y = self.y if columns is None else self.y[columns]
        return self._trusted(x, y, self.metric)

    def __repr__(self) -> str:
        return f"PointCloudCost(shape={self.shape}, dimension={self.x.shape[1]}, metric={self.metric!r})"


def _spread_sample(points: np.ndarray) -> np.ndarray:
    """Return points evenly spaced in their order, and the outermost along each axis."""
    n = points.shape[0]
    if n <= _SAMPLE:
        return points
    evenly = np.linspace(0, n - 1, _SAMPLE).astype(np.int64)
    outermost = np.concatenate([points.argmin(axis=0), points.argmax(axis=0)])
    sample: np.ndarray = points[np.unique(np.concatenate([evenly, outermost]))]
    return sample
