"""Two histograms and a cost, on their support: what problems with both marginals fixed have in common."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from optlab.core.validation import as_float_array
from optlab.transport.costs.base import LARGEST_SPREAD, SPREAD_ADVICE, Cost, warn_of_spread
from optlab.transport.costs.convert import as_cost
from optlab.transport.costs.feasibility import check_feasible
from optlab.transport.plans.relative_gap import NOTHING_PROVEN

SUM_TOLERANCE = 1e-6  # that of float32, in which most weights from elsewhere were once divided by their sum


def equal_marginals(a: Any, b: Any, shape: tuple[int, int] | None = None) -> tuple[np.ndarray, np.ndarray, float]:
    """Return copies of two histograms as float64 with equal sums, and the sum.

    The second is multiplied by what makes it so; of a difference up to 1e-6 of the sum nobody is told. A histogram that
    is None is uniform, of the other's sum or 1, if `shape` says of what size.

    Raises
    ------
    ValueError, TypeError
        For histograms that are empty, negative, not finite, without mass, or of different sums (by more than 1e-6
        relative).
    """
    if shape is not None:
        a, b = uniform_if_none(a, b, shape)
    a = as_float_array(a, "a", ndim=1, nonnegative=True)
    b = as_float_array(b, "b", ndim=1, nonnegative=True)
    a, b = np.array(a, dtype=np.float64), np.array(b, dtype=np.float64)
    for name, weights in (("a", a), ("b", b)):
        with np.errstate(over="ignore"):
            total = float(weights.sum())
        if not 0.0 < total < math.inf:
            raise ValueError(f"{name} must have a positive finite sum, got {total:g}")
    sum_a, sum_b = math.fsum(a.tolist()), math.fsum(b.tolist())
    if abs(sum_a - sum_b) > SUM_TOLERANCE * max(sum_a, sum_b):
        raise ValueError(
            f"a and b must have the same sum, got {sum_a:.12g} and {sum_b:.12g} (difference {sum_a - sum_b:.3g}); "
            "divide each by its sum"
        )
    if sum_a != sum_b:
        b *= sum_a / sum_b
    return a, b, sum_a


def gap_advice(metrics: dict[str, float], *costs: Cost) -> str:
    """Return what may keep a relative gap from its tolerance: costs of very different size, or an optimum of zero."""
    parts = []
    spread = max((cost.spread(0.25) for cost in costs if cost.is_matrix), default=1.0)
    if spread > LARGEST_SPREAD:
        parts.append(f"the costs spread over {math.log10(spread):.1f} decades: {SPREAD_ADVICE}")
    nearest = min((value for name, value in metrics.items() if name.startswith("relative_")), default=0.0)
    if nearest >= NOTHING_PROVEN:
        parts.append(
            "the certified bounds leave 0 between them, so that nothing relative is proven of the optimum: if it is "
            'zero, ask for an absolute gap, tol={"gap": ...}, in units of mass times cost'
        )
    return "; ".join(parts)


def uniform_if_none(a: Any, b: Any, shape: tuple[int, int]) -> tuple[Any, Any]:
    """Return weights with equal ones, of the other's sum or of sum 1, in place of None (POT's convention)."""
    if a is not None and b is not None:
        return a, b
    mass = 1.0
    for given in (a, b):
        if given is not None:
            mass = float(np.sum(as_float_array(given, "a" if given is a else "b", ndim=1, nonnegative=True)))
    return tuple(np.full(size, mass / size) if w is None else w for w, size in zip((a, b), shape))  # type: ignore[return-value]


class TransportData:
    """Validated marginals and cost, and the units made of them.

    Attributes
    ----------
    a, b, mass, cost, shape
        As given; b rescaled to the sum of a.
    rows, columns : ndarray of int
        The support; `has_zeros` says whether it is smaller than the full index set.
    active_a, active_b, active_cost
        On the support.
    """

    def _set_data(self, a: Any, b: Any, cost: Any) -> None:
        self.cost: Cost = as_cost(cost)
        self.a, self.b, self.mass = equal_marginals(a, b, self.cost.shape)
        self.shape = (self.a.size, self.b.size)
        if self.cost.shape != self.shape:
            raise ValueError(f"cost must have shape {self.shape} (size of a, size of b), got {self.cost.shape}")
        self.rows, self.columns = np.flatnonzero(self.a), np.flatnonzero(self.b)
        self.has_zeros = (self.rows.size, self.columns.size) != self.shape
        self.active_a, self.active_b = self.a[self.rows], self.b[self.columns]
        self.active_cost = self.cost
        if self.has_zeros:
            self.active_cost = self.cost.submatrix(
                self.rows if self.rows.size < self.shape[0] else None,
                self.columns if self.columns.size < self.shape[1] else None,
            )
        if not 1e-150 < self.mass < 1e150:
            self.check_units()
        warn_of_spread(self.active_cost)
        if self.active_cost.has_forbidden:
            check_feasible(self.active_cost.pattern, self.active_a, self.active_b, self.rows, self.columns)

    def check_units(self) -> None:
        """Raise `ValueError` if mass times cost is out of the range in which numbers have all their digits."""
        if 1e-290 < self.mass * self.active_cost.scale < 1e290:
            return
        cost = self.active_cost
        size = max(abs(cost.minimum), abs(cost.maximum)) or 1.0
        units = math.log10(self.mass) + math.log10(cost.scale), math.log10(self.mass) + math.log10(size)
        if not -304.0 < units[0] <= units[1] < 304.0:
            raise ValueError(
                f"a, b and cost must be in units in which their product is a usual number: the mass is "
                f"{self.mass:.3g}, the cost of size {size:.3g}; multiply the weights, or the cost, by a constant"
            )

    @cached_property
    def cost_range(self) -> float:
        """Largest less smallest entry of the cost; if that is roundoff, the size of the entries."""
        cost = self.active_cost
        return cost.range if cost.range > 1e-13 * max(abs(cost.minimum), abs(cost.maximum)) else cost.scale

    def _potentials(self, potentials: tuple[Any, Any], name: str = "potentials") -> tuple[np.ndarray, np.ndarray]:
        n, m = self.shape
        f = as_float_array(potentials[0], f"{name}[0]", shape=(n,), finite=False)
        g = as_float_array(potentials[1], f"{name}[1]", shape=(m,), finite=False)
        return f[self.rows], g[self.columns]


def require_data(problem: Any) -> None:
    """Raise `TypeError` unless `problem` has both marginals fixed."""
    if not isinstance(problem, TransportData):
        raise TypeError(
            f"problem must be an OptimalTransport or QuadraticOptimalTransport, got {type(problem).__name__}"
        )
