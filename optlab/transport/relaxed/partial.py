"""Partial transport: a prescribed mass is moved, marginals are upper bounds.

The mathematics is at the head of `optlab.transport.relaxed.plan`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from optlab.core.validation import as_number
from optlab.transport.plans.certificates import DualBound, PotentialEntries
from optlab.transport.relaxed.plan import RelaxedTransport


class PartialOptimalTransport(RelaxedTransport):
    """Transport of a prescribed mass: ``min <C, X> + eps sum X (log X - 1)``, rows at most a, columns at most b.

    Parameters
    ----------
    a, b : array_like, shapes (n,) and (m,)
        Non-negative weights: what is there, and what can be taken.
    cost : array_like (n, m) or `Cost`
        Without forbidden pairs.
    mass : float
        What is moved: above 0, at most the smaller of the two sums.
    regularization : float
        eps >= 0.

    Examples
    --------
    >>> import optlab
    >>> from optlab.splitting import BregmanDouglasRachford
    >>> problem = PartialOptimalTransport([1.0, 1.0], [1.0, 1.0], [[0.0, 2.0], [2.0, 3.0]], mass=1.5)
    >>> result = optlab.solve(problem, BregmanDouglasRachford(), tol=1e-5)
    >>> result.success, round(result.metrics["cost"], 3), round(result.metrics["mass"], 9)
    (True, 1.5, 1.5)
    """

    def __init__(self, a: Any, b: Any, cost: Any, mass: float, regularization: float = 0.0):
        super().__init__(a, b, cost, regularization)
        self.mass = as_number(mass, "mass", above=0.0, maximum=min(self._masses) * (1.0 + 1e-12))
        self.mass = min(self.mass, *self._masses)
        if self.cost.has_forbidden:
            raise TypeError("PartialOptimalTransport needs a cost without forbidden pairs (+inf or absent)")

    def __repr__(self) -> str:
        return (
            f"PartialOptimalTransport({self.shape[0]} x {self.shape[1]}, mass={self.mass:g}, "
            f"regularization={self.regularization:g})"
        )

    def _capped(self, log_target: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """Return ``log(min(target, theta e^sums)) - sums`` with theta such that the sums add up to the mass."""
        excess = log_target - sums
        return np.minimum(excess, _water_level(excess, np.exp(log_target), self.mass, log_target))

    def _row_step(self, sums: np.ndarray, strength: float) -> np.ndarray:
        return self._capped(self.log_a, sums)

    def _column_step(self, sums: np.ndarray, strength: float) -> np.ndarray:
        return self._capped(self.log_b, sums)

    def penalty_value(self, rows: np.ndarray, columns: np.ndarray) -> float:
        """Return 0: a finished plan is feasible."""
        return 0.0

    def finish(self, entries: PotentialEntries) -> tuple[PotentialEntries, np.ndarray, np.ndarray]:
        """Scale rows, then columns, down to what is allowed; then all down to the mass, or spread what is missing."""
        rows, columns, _ = entries.moments()
        if rows.max() > 1e100:
            entries = entries.scaled_down_to(self.active_a)
            rows, columns, _ = entries.moments()
        with np.errstate(divide="ignore", over="ignore"):
            if np.any(rows > self.active_a):
                entries = entries.scaled(np.minimum(1.0, self.active_a / rows), np.ones(self.active_cost.shape[1]))
                rows, columns, _ = entries.moments()
            if np.any(columns > self.active_b):
                entries = entries.scaled(np.ones(self.active_cost.shape[0]), np.minimum(1.0, self.active_b / columns))
                rows, columns, _ = entries.moments()
        total = math.fsum(rows.tolist())
        left, right = np.zeros(self.active_cost.shape[0]), np.zeros(self.active_cost.shape[1])
        if total > self.mass:
            entries = entries.scaled(
                np.full(self.active_cost.shape[0], self.mass / total), np.ones(self.active_cost.shape[1])
            )
            rows, columns, _ = entries.moments()
            total = math.fsum(rows.tolist())
        excess = max(float(np.max(rows - self.active_a)), float(np.max(columns - self.active_b)), total - self.mass)
        if excess > 1e-9 * self.mass:
            # potentials so large that factors are lost in their rounding: a plan of independent marginals is one
            entries = entries.scaled(np.zeros(self.active_cost.shape[0]), np.zeros(self.active_cost.shape[1]))
            left, right = self.active_a / self._masses[0], self.active_b * (self.mass / self._masses[1])
        elif total < self.mass:
            left, right = np.maximum(self.active_a - rows, 0.0), np.maximum(self.active_b - columns, 0.0)
            spare = float(left.sum()), float(right.sum())
            if min(spare) > 0.0:
                left, right = left / spare[0], right * ((self.mass - total) / spare[1])
        return entries, left, right

    def dual_bound(self, f: np.ndarray) -> tuple[DualBound, float]:
        """Return the best lower bound found from f, the f, g <= 0 and the price of mass that prove it.

        ``max <a, f> + <b, g> + price mass - eps sum exp((f + g + price - C) / eps)``, and without a regularization
        subject to ``f_i + g_j + price <= C_ij``. Given f, the best g and price follow from a weighted quantile.
        """
        f, eps = np.minimum(f - f.max(), 0.0), self.regularization
        if eps > 0.0:
            cost = self.active_cost.in_double()
            # one step for the rows as well: the constant in f is then right
            for _ in range(2):
                column = self._column_step(cost.logsumexp_columns(f / eps, 1.0 / eps), 1.0)
                row = self._row_step(cost.logsumexp_rows(column, 1.0 / eps), 1.0)
                f = eps * (row - row.max())
            column = self._column_step(cost.logsumexp_columns(f / eps, 1.0 / eps), 1.0)
            price = float(column.max())
            g, price = eps * (column - price), eps * price
            return self._bound(f, g, price), price
        price = 0.0
        g = np.zeros_like(self.active_b)
        for _ in range(2):
            least = self.active_cost.minimum_columns(f)
            price = _quantile(least, self.active_b, self.mass)
            g = np.minimum(least - price, 0.0)
            least = self.active_cost.minimum_rows(g)
            price = _quantile(least, self.active_a, self.mass)
            f = np.minimum(least - price, 0.0)
        return self._bound(f, g, price), price

    def _bound(self, f: np.ndarray, g: np.ndarray, price: float) -> DualBound:
        products = [*(self.active_a * f).tolist(), *(self.active_b * g).tolist(), price * self.mass]
        return DualBound.of(f, g, [*products, -self.regularization * self.mass])

    def lowest_bound(self) -> tuple[DualBound, float]:
        """Return the bound of the cost's lowest entry as the price of mass."""
        price = self.active_cost.lowest
        return self._bound(np.zeros_like(self.active_a), np.zeros_like(self.active_b), price), price

    def negligible_value(self) -> float:
        """Return what the moved mass costs on a fine scale."""
        return self.mass * self.active_cost.fine_scale


def _quantile(values: np.ndarray, weights: np.ndarray, mass: float) -> float:
    """Return a maximiser of ``price mass + sum weights min(0, values - price)``."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order[min(int(np.searchsorted(reached, mass)), values.size - 1)]])


def _water_level(excess: np.ndarray, target: np.ndarray, mass: float, log_target: np.ndarray) -> float:
    """Return the level at which ``sum target min(1, exp(level - excess))`` is the mass; inf if all is needed."""
    order = np.argsort(excess)
    full = np.concatenate([[0.0], np.cumsum(target[order])])  # the first k are at their cap
    if full[-1] <= mass:
        return math.inf
    # log of the sums of those that are not, from the last on, so that nothing cancels
    logs = (log_target - excess)[order]
    rest = np.logaddexp.accumulate(logs[::-1])[::-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        levels = np.log(mass - full[:-1]) - rest
    # with the first k capped, the level must lie between the k-th and the next excess
    fits = (full[:-1] < mass) & (levels <= excess[order])
    return float(levels[int(np.argmax(fits))]) if np.any(fits) else float(excess[order[-1]])
