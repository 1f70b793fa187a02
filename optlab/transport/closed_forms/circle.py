"""Optimal transport on the circle: one number to find, where the two are cut open; then it is the line.

    W_p^p = min_alpha int_0^1 |F^{-1}(s) - G^{-1}(s - alpha)|^p ds,     G^{-1}(s + 1) = G^{-1}(s) + 1

(Delon, Salomon, Sobolevskii 2010). For atoms the integral is convex and piecewise linear in alpha, with corners where
a cumulative weight of one meets one of the other; the minimum is found by tangents, in finitely many steps. Cut open at
the right meeting, the plan is a staircase of the line, whose potentials are feasible on the circle (derived here).
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

import optlab.core
from optlab.core import Result
from optlab.core.validation import as_number
from optlab.transport.closed_forms.line import LineTransport, Power, SortedTransport, as_points
from optlab.transport.closed_forms.staircase import StaircasePlan
from optlab.transport.plans.marginals import equal_marginals, uniform_if_none

Array = Any


_MEET = 1e-12  # cumulative weights nearer than that meet


class _Cut:
    """The integral as a function of alpha, for sorted points on a circle of length 1."""

    def __init__(self, x: Array, y: Array, a: Array, b: Array, h: Power) -> None:
        self.x, self.y, self.h = x, y, h
        self.A, self.B = (np.minimum(np.concatenate([[0.0], np.cumsum(w / w.sum())]), 1.0) for w in (a, b))
        self.A[-1] = self.B[-1] = 1.0

    def corners(self, alpha: float) -> tuple[Array, Array, Array, Array]:
        """Return, for each cumulative weight of y, the derivative there from left and right, and the x it meets.

        The latter is the number of atoms of x passed, -1 where it meets none; and the turns of the circle.
        """
        s, n = self.B[1:] + alpha, self.x.size
        turn = np.floor(s)
        near = np.clip(np.searchsorted(self.A, s - turn), 0, n)
        for other in (np.maximum(near - 1, 0), near):
            closer = np.abs(self.A[other] - (s - turn)) < np.abs(self.A[near] - (s - turn))
            near = np.where(closer, other, near)
        meets = np.abs(self.A[near] - (s - turn)) <= _MEET
        inside = np.clip(np.searchsorted(self.A, s - turn, side="right") - 1, 0, n - 1)
        left = np.where(meets, near - 1, inside)
        right = np.where(meets, near, inside)
        before, after = self.y, np.append(self.y[1:], self.y[0] + 1.0)
        slopes = []
        for at in (left, right):
            x = self.x[at % n] + at // n + turn
            slopes.append(self.h(x - before) - self.h(x - after))
        return slopes[0], slopes[1], np.where(meets, near, -1), turn

    def value(self, alpha: float) -> float:
        """Return the integral."""
        edges = np.unique(np.concatenate([self.A, (self.B + alpha) % 1.0]))
        s = 0.5 * (edges[1:] + edges[:-1])
        i = np.clip(np.searchsorted(self.A, s, side="right") - 1, 0, self.x.size - 1)
        q = s - alpha
        turn = np.floor(q)
        j = np.clip(np.searchsorted(self.B, q - turn, side="right") - 1, 0, self.y.size - 1)
        return float(np.sum(np.diff(edges) * self.h(self.x[i] - self.y[j] - turn)))

    def meeting(self, alpha: float) -> float:
        """Return the alpha nearest to a given one at which two cumulative weights meet."""
        target = (self.A[1:] - alpha) % 1.0
        near = np.clip(np.searchsorted(self.B, target), 1, self.y.size)
        off = self.B[np.stack([np.maximum(near - 1, 0), near])] - target
        off -= np.round(off)
        return alpha - float(off.ravel()[int(np.argmin(np.abs(off)))])

    def best(self) -> float:
        """Return a minimiser at a meeting, by the crossing points of tangents."""

        def slopes(alpha: float) -> tuple[float, float]:
            left, right, _, _ = self.corners(alpha)
            return float(left.sum()), float(right.sum())

        low, high = -1.0, 1.0
        while slopes(low)[1] > 0.0:
            low -= 1.0
        while slopes(high)[0] < 0.0:
            high += 1.0
        for k in range(200):
            left, right = slopes(low)[1], slopes(high)[0]
            alpha = 0.5 * (low + high)
            if left < 0.0 < right and k % 4 < 3:
                crossing = (self.value(high) - self.value(low) + left * low - right * high) / (left - right)
                alpha = crossing if low < crossing < high else alpha
            for candidate in (self.meeting(alpha), alpha):
                before, after = slopes(candidate)
                if before <= 0.0 <= after:
                    return self.meeting(candidate)
            if high - low < 1e-15:
                break
            low, high = (alpha, high) if after < 0.0 else (low, alpha)
        return self.meeting(alpha)

    def path(self, alpha: float) -> tuple[Array, Array, Array, Array, Array]:
        """Return the cells of a walk round the circle whose potentials close: rows, columns, flows; x and y unrolled.

        At a meeting the walk may pass x first or y first. With y first at all of them the potentials come back too low,
        with x first too high: meetings are turned one by one until the sign changes, and there the circle is cut.
        """
        n, m = self.x.size, self.y.size
        left, right, met, turn = self.corners(alpha)
        where = np.flatnonzero(met >= 0)
        level = float(left.sum()) + np.cumsum((right - left)[where])
        crossing = min(int(np.searchsorted(level, 0.0)), where.size - 1)
        cut, x_first = int(where[crossing]), set(where[:crossing].tolist())
        i0, j0 = int(met[cut]), cut + 1
        origin = self.B[j0] + alpha
        position = np.concatenate([(self.A[1:] - origin) % 1.0, (self.B[1:] + alpha - origin) % 1.0])
        is_x = np.arange(n + m) < n
        rank = np.ones(n + m)
        for j in where:  # the two that meet stand at one place
            position[int(met[j] - 1) % n] = position[n + j]
            rank[int(met[j] - 1) % n] = 0.0 if int(j) in x_first else 2.0
        kept = np.ones(n + m, dtype=bool)
        kept[[(i0 - 1) % n, n + cut]] = False  # the cut itself is the beginning, and the end
        order = np.lexsort((rank[kept], position[kept]))
        moves, places = is_x[kept][order], position[kept][order]
        rows = np.concatenate([[0], np.cumsum(moves)])
        columns = np.concatenate([[0], np.cumsum(~moves)])
        flows = np.maximum(np.diff(np.concatenate([[0.0], places, [1.0]])), 0.0)
        xs, ys = i0 + np.arange(n), j0 + np.arange(m)
        shift = float(turn[cut])
        unrolled = self.x[xs % n] + xs // n + shift, self.y[ys % m] + ys // m
        return xs % n, ys % m, np.stack([rows, columns]), flows, np.concatenate(unrolled)


class CirclePlan(StaircasePlan):
    """A plan on the circle: the staircase of the samples cut open."""

    def __init__(self, u: Array, v: Array, a: Array, b: Array, h: Power, period: float) -> None:
        self._cost = u, v, h, period
        active, other = np.flatnonzero(a), np.flatnonzero(b)  # atoms of no mass would stand where others meet
        x, y = (np.mod(w / period, 1.0) for w in (u[active], v[other]))
        left, right = np.argsort(x), np.argsort(y)
        cut = _Cut(x[left], y[right], a[active][left], b[other][right], h)
        self.shift = cut.best()
        rows, columns, cells, flows, points = cut.path(self.shift)
        given = (cells[0], cells[1], float(a.sum()) * flows)
        orders = active[left[rows]], other[right[columns]]
        self._build(*orders, period * points[: x.size], period * points[x.size :], a, b, h, given)
        self.shape = (u.size, v.size)

    @cached_property
    def potentials(self) -> tuple[Array, Array]:
        u, v, h, period = self._cost
        f, g = np.full(u.size, np.nan), np.full(v.size, np.nan)
        for found, order, values in zip((f, g), self._order, self._sorted_potentials):
            found[order] = values
        for here, there, points, targets in ((f, g, u, v), (g, f, v, u)):
            known = np.flatnonzero(~np.isnan(there))
            for i in np.flatnonzero(np.isnan(here)):  # of no mass: the largest that is feasible
                d = np.abs((points[i] - targets[known]) % period)
                here[i] = float(np.min(h(np.minimum(d, period - d)) - there[known]))
        return f, g


class CircleTransport(LineTransport):
    """Transport between weighted points on a circle."""

    period: float = 1.0

    def plan(self) -> CirclePlan:
        """Return the optimal plan."""
        return CirclePlan(self.u, self.v, self.a, self.b, self.cost, self.period)  # type: ignore[arg-type]


def wasserstein_circle(u: Any, v: Any, a: Any = None, b: Any = None, p: float = 2, *, period: float = 1.0) -> Result:
    """Return the optimal transport between weighted points on a circle, for the p-th power of the arc length.

    Parameters
    ----------
    u, v : array_like, shapes (n,) and (m,)
        Positions, taken modulo the period.
    a, b : array_like, optional
        Weights; default: equal ones.
    p : float, default 2
        At least 1.
    period : float, default 1
        The length of the circle: ``2 * numpy.pi`` for angles.

    Returns
    -------
    Result
        ``metrics["cost"]`` is ``W_p^p``; ``solution`` has potentials and a sparse plan, as that of `wasserstein_1d`.

    Examples
    --------
    >>> result = wasserstein_circle([0.05, 0.5], [0.95, 0.5], p=1)
    >>> result.success, round(result.metrics["cost"], 12)
    (True, 0.05)
    """
    u, v = as_points(u, "u"), as_points(v, "v")
    a, b, _ = equal_marginals(*uniform_if_none(a, b, (u.size, v.size)), (u.size, v.size))
    problem = CircleTransport(u, v, a, b, Power(as_number(p, "p", minimum=1)))
    object.__setattr__(problem, "period", as_number(period, "period", above=0))
    return optlab.core.solve(problem, SortedTransport(), tol=1e-9, max_iter=1, progress=False)
