"""The north-west staircase of two sorted samples: an optimal plan for every convex cost of the difference, with duals.

The staircase visits at most n + m - 1 cells. Setting ``f_i + g_j = h(x_i - y_j)`` on every one of them, those that
carry nothing too, makes potentials of a spanning tree; the cost matrix of a convex h on sorted points is a Monge array,
so that they are feasible for all pairs (derived here). O(n + m) after sorting.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numba import types

from optlab.compiled.functions import F8, I8, Compiled, vector
from optlab.transport.plans.certificates import certified_gap
from optlab.transport.plans.matrix_like import MatrixLike
from optlab.transport.plans.relative_gap import relative_gap

Array = Any


def _walk(a, b, rows, columns, flows):  # type: ignore[no-untyped-def]
    n, m = a.size, b.size
    i = j = 0
    left, right = a[0], b[0]
    for t in range(rows.size):
        rows[t], columns[t] = i, j
        flow = right if i == n - 1 else (left if j == m - 1 else min(left, right))
        flows[t] = flow
        left -= flow
        right -= flow
        if j == m - 1 or (left <= right and i < n - 1):
            i += 1
            if i < n:
                left = a[i]
        else:
            j += 1
            right = b[j]


def _potentials(rows, columns, values, f, g):  # type: ignore[no-untyped-def]
    f[0] = 0.0
    g[0] = values[0]
    for t in range(1, rows.size):
        i, j = rows[t], columns[t]
        if j == columns[t - 1]:
            f[i] = values[t] - g[j]
        else:
            g[j] = values[t] - f[i]


def _walk_signature(scalar: Any, layout: str = "C") -> Any:
    return types.void(vector(F8, True), vector(F8, True), vector(I8), vector(I8), vector(F8))


def _potentials_signature(scalar: Any, layout: str = "C") -> Any:
    return types.void(vector(I8, True), vector(I8, True), vector(F8, True), vector(F8), vector(F8))


WALK = Compiled(_walk, _walk_signature)
POTENTIALS = Compiled(_potentials, _potentials_signature)


def staircase(a: Array, b: Array) -> tuple[Array, Array, Array]:
    """Return rows, columns and flows of the n + m - 1 cells, for weights of equal sums."""
    count = a.size + b.size - 1
    rows, columns, flows = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count)
    WALK.get()(a, b, rows, columns, flows)
    return rows, columns, flows


class StaircasePlan(MatrixLike):
    """A plan on the staircase with its potentials; it prints as a matrix where one is asked for.

    Attributes
    ----------
    shape : (int, int)
    cost : float
        ``<C, X>``.
    dual_objective : float
        ``<a, f> + <b, g>``.
    gap, relative_gap : float
        Their difference, and that over what it proves of the optimum.
    potentials : (ndarray, ndarray)
        f and g in the order of the given points.
    """

    def __init__(self, x: Array, y: Array, a: Array, b: Array, h: Callable[[Array], Array]) -> None:
        left, right = np.argsort(x), np.argsort(y)
        self._build(left, right, x[left], y[right], a, b, h, staircase(a[left], b[right]))

    def _build(
        self, left: Array, right: Array, x: Array, y: Array, a: Array, b: Array, h: Any, cells: tuple[Array, ...]
    ) -> None:
        """Make the plan of cells that walk along points in the orders given."""
        self.shape = (x.size, y.size)
        self._order, self._cells = (left, right), cells
        a, b = a[left], b[right]
        rows, columns, self.values = cells
        costs = np.asarray(h(x[rows] - y[columns]), dtype=float)
        f, g = np.empty(x.size), np.empty(y.size)
        POTENTIALS.get()(rows, columns, costs, f, g)
        shift = 0.5 * float(f[f.size // 2] - g[g.size // 2])  # no potential larger than need be
        f -= shift
        g += shift
        self._sorted_potentials = f, g
        products = costs * self.values
        duals = np.concatenate([a * f, b * g])
        self.cost = float(np.sum(products))
        self.dual_objective = float(np.sum(duals))
        # sums in pairs: each addition rounds once, log2 of their number deep
        depth = 1.0 + math.log2(max(products.size, 2))
        self._terms = depth * float(np.sum(np.abs(products))), depth * float(np.sum(np.abs(duals)))

    @cached_property
    def potentials(self) -> tuple[Array, Array]:
        found = []
        for order, values in zip(self._order, self._sorted_potentials):
            found.append(np.empty_like(values))
            found[-1][order] = values
        return found[0], found[1]

    @cached_property
    def rows(self) -> Array:
        """Of the cells, in the order of the given points."""
        return self._order[0][self._cells[0]]

    @cached_property
    def columns(self) -> Array:
        """Of the cells."""
        return self._order[1][self._cells[1]]

    @cached_property
    def gap(self) -> float:
        return certified_gap(self.cost, self.dual_objective)

    @cached_property
    def relative_gap(self) -> float:
        upper, lower = self._terms
        return float(
            relative_gap(
                self.cost,
                self.dual_objective,
                upper_terms=upper,
                lower_terms=lower,
                negligible=lambda: 16.0 * np.finfo(float).eps * max(upper, lower),
            )
        )

    def sparse(self, threshold: float = 0.0) -> Any:
        """Return the plan as a SciPy CSR array; entries at most `threshold` are left out."""
        from scipy.sparse import coo_array

        kept = self.values > threshold
        entries = (self.values[kept], (self.rows[kept], self.columns[kept]))
        return coo_array(entries, shape=self.shape).tocsr()

    def dense(self) -> Array:
        """Return the plan as a matrix."""
        return self.sparse().toarray()

    def apply(self, v: Any) -> Array:
        """Return ``X v``."""
        return np.asarray(self.sparse() @ np.asarray(v))

    def apply_transpose(self, u: Any) -> Array:
        """Return ``X^T u``."""
        return np.asarray(self.sparse().T @ np.asarray(u))

    @property
    def marginals(self) -> tuple[Array, Array]:
        """Row and column sums."""
        rows = np.bincount(self.rows, weights=self.values, minlength=self.shape[0])
        return rows, np.bincount(self.columns, weights=self.values, minlength=self.shape[1])

    def __repr__(self) -> str:
        n, m = self.shape
        return f"<StaircasePlan {n} x {m}: cost {self.cost:.6g}, gap {self.gap:.2g}>"
