"""Lower bounds for the concrete problems: linear functions minimised over simple sets, and what follows from them.

For a convex g and any point v, ``g(u) >= g(v) + <grad g(v), u - v>``. Minimising the right side over a compact set S is
easy for the sets below, and gives a lower bound on ``min g(u) + <c, u> over S``: the Frank-Wolfe certificate (Frank,
Wolfe 1956; Jaggi 2013). It holds at every point, however far from a solution, and is exact at a solution.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from optlab.bregman.functions import Linear
from optlab.composite.inclusion import MonotoneInclusion, SplitPoint
from optlab.composite.problem import CompositeProblem
from optlab.core import DomainError
from optlab.core.validation import as_data

Array = Any


def simplex_minimum(c: Array, total: float) -> float:
    """Return ``min <c, u>`` over ``u >= 0, sum u = total``.

    Examples
    --------
    >>> simplex_minimum(np.array([3.0, -1.0]), 2.0)
    -2.0
    """
    return float(total * np.min(c))


def box_minimum(c: Array, lower: Any, upper: Any) -> float:
    """Return ``min <c, u>`` over ``lower <= u <= upper``.

    Examples
    --------
    >>> box_minimum(np.array([3.0, -1.0]), 0.0, 2.0)
    -2.0
    """
    return float(np.sum(np.where(c > 0, c * lower, c * upper)))


def capped_simplex_minimizer(c: Array, upper: Array, total: float) -> Array:
    """Return a minimiser of ``<c, u>`` over ``0 <= u <= upper, sum u = total``: the cheapest coordinates filled first.

    Examples
    --------
    >>> capped_simplex_minimizer(np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 1.0]), 1.5)
    array([0. , 1. , 0.5])
    """
    order = np.argsort(c, kind="stable")
    filled = np.cumsum(upper[order])
    u = np.empty_like(upper)
    u[order] = np.clip(total - (filled - upper[order]), 0.0, upper[order])
    return u


def box_hyperplane_minimum(c: Array, lower: Array, upper: Array, normal: Array, offset: float) -> float:
    """Return ``min <c, u>`` over ``lower <= u <= upper, <normal, u> = offset`` (a continuous knapsack).

    The dual ``max_mu mu offset + min <c - mu normal, u> over the box`` is concave and piecewise linear, with kinks at
    ``c / normal``: its maximum is at one of them. Any mu gives a lower bound, so rounding cannot spoil the certificate.

    Examples
    --------
    >>> box_hyperplane_minimum(np.array([1.0, 2.0]), np.zeros(2), np.ones(2), np.ones(2), 1.5)
    2.0
    """
    moving = normal != 0
    fixed = box_minimum(c[~moving], lower[~moving], upper[~moving])
    c, lower, upper, normal = (v[moving] for v in (c, lower, upper, normal))
    # t = <normal, u> of the minimiser grows with mu, by |normal| (upper - lower) at each kink
    order = np.argsort(c / normal)
    smallest = float(np.sum(np.where(normal > 0, normal * lower, normal * upper)))
    reach = smallest + np.cumsum((np.abs(normal) * (upper - lower))[order])
    k = min(int(np.searchsorted(reach, offset)), c.size - 1)
    mu = float((c / normal)[order[k]])
    return fixed + mu * offset + box_minimum(c - mu * normal, lower, upper)


class FeasiblePoint(SplitPoint):
    """A feasible point made from the pair (x, y) of a splitting: what the gap is about, and what a run returns.

    It behaves as a plain array. Besides the attributes of `SplitPoint` it has

    Attributes
    ----------
    pair : SplitPoint or None
        The pair it was made from; `mirror` is that of the pair's x.
    """

    pair: SplitPoint | None

    def __array_finalize__(self, source: Any) -> None:
        super().__array_finalize__(source)
        self.pair = None


class CertifiedProblem(CompositeProblem):
    """A composite problem whose iterate is a feasible point, and whose gap certifies that very point.

    The two points of a splitting agree only in the limit, and x often violates the constraint of A: taking x for the
    solution and y for the gap would promise too much. So `Result.solution` is here the feasible point itself
    (`FeasiblePoint`), with the pair attached, and all metrics of the objective are about it:

    * ``objective`` at the feasible point, ``suboptimality``, ``distance`` of that point to the reference;
    * ``gap``, ``relative_gap``: never negative (rounding is cut off at 0);
    * the residuals as in `MonotoneInclusion`, from the pair.

    A plain array is measured as it is where its objective is finite; otherwise the feasible point made from it is.
    """

    def primal(self, mirror: Any, drift: Any = None) -> SplitPoint:
        """Return the start, made feasible if it is not."""
        x = self.kernel.conjugate_gradient(mirror)
        return SplitPoint(self._made_feasible(x), mirror=mirror)

    def primal_pair(self, x: Array, y: Array, a: Array, b: Array) -> SplitPoint:
        """Return the feasible point that the pair of mirror points `x`, `y` gives."""
        pair = super().primal_pair(x, y, a, b)
        point = np.asarray(self.feasible_point(pair) if self.feasible_point is not None else pair.y)
        answer = FeasiblePoint(point, y=pair.y, a=a, b=b, mirror=x)
        answer.pair = pair
        return answer

    def measure(self, iterate: Any) -> dict[str, float]:
        """Return the metrics of a solution or of any point in the closure of dom h; see the class notes."""
        if isinstance(iterate, FeasiblePoint) and iterate.pair is not None:
            return self._measure_feasible(np.asarray(iterate), iterate.pair)
        x = as_data(iterate, "iterate", shape=self.shape).view(np.ndarray)
        pair = self._pair_of(x, getattr(iterate, "mirror", None))
        inner = getattr(pair, "pair", None)
        return self._measure_feasible(self._made_feasible(x), pair if inner is None else inner)

    def _made_feasible(self, x: Array) -> Array:
        if math.isfinite(self.objective(x)) or self.feasible_point is None:
            return x
        return np.asarray(self.feasible_point(SplitPoint(x, x)))

    def _measure_feasible(self, point: Array, pair: SplitPoint) -> dict[str, float]:
        metrics = MonotoneInclusion._measure_pair(self, np.asarray(pair), pair)
        upper, lower = self.objective(point), float(self.dual_bound(pair))  # type: ignore[misc]
        # the point itself may be the best place to look from
        lower = max(lower, float(self.dual_bound(SplitPoint(point, point, pair.a, pair.b))))  # type: ignore[misc]
        if not (math.isfinite(upper) and math.isfinite(lower)):
            raise ValueError(f"the bounds of the gap must be finite, got {upper} and {lower}")
        gap, scale = max(0.0, upper - lower), max(abs(upper), abs(lower))
        metrics["objective"] = upper
        if self.optimum is not None:
            metrics["suboptimality"] = upper - self.optimum
        if self.reference is not None:
            size = float(np.linalg.norm(self.reference))
            metrics["distance"] = float(np.linalg.norm(point - self.reference)) / (size if size > 0 else 1.0)
        metrics["gap"] = gap
        metrics["relative_gap"] = gap / scale if scale > 0 else 0.0
        return metrics

    def _one_iteration(self, x: Array, mirror: Array | None) -> SplitPoint:
        # a start may be measured where the default step size violates the range condition: a smaller one never does
        full = self.default_step_size
        try:
            for _ in range(60):
                try:
                    return super()._one_iteration(x, mirror)
                except DomainError:
                    self.default_step_size /= 4.0
            return super()._one_iteration(x, mirror)
        finally:
            self.default_step_size = full


class SmoothOverSet(CertifiedProblem):
    """Minimise ``g(x) + <cost, x>`` over a compact convex set, with the Frank-Wolfe certificate as ``gap``.

    Base of the concrete problems on simplices and boxes; g is applied first, the set with the cost second.

    Parameters
    ----------
    smooth : Function
        g: smooth inside the domain of the kernel.
    constraint : Function
        Indicator whose set, intersected with the closure of the kernel's domain, is the compact set.
    cost : ndarray
        Linear cost, of the shape of the points.
    kernel : Legendre
        The geometry.
    linear_minimum : callable
        ``c -> min <c, u>`` over the compact set.
    smallest : float
        A lower bound on g over the set, used where g is infinite or has no finite gradient.
    interior : ndarray
        A point of the set with a finite objective, for starts and where an iterate has none.
    reference : ndarray, optional
        The solution.
    default_step_size : float
        Step size of methods that are given none.
    """

    def __init__(
        self,
        smooth: Any,
        constraint: Any,
        cost: Array,
        kernel: Any,
        *,
        linear_minimum: Callable[[Array], float],
        smallest: float,
        interior: Array,
        reference: Array | None,
        default_step_size: float,
    ) -> None:
        self.cost, self._linear_minimum, self._smallest, self._inside = cost, linear_minimum, smallest, interior
        f = constraint + Linear(cost) if np.any(cost) else constraint
        super().__init__(
            f,
            smooth,
            kernel,
            shape=interior.shape,
            reference=reference,
            optimum=None if reference is None else float(smooth.value(reference) + np.sum(cost * reference)),
            dual_bound=self._linearized_bound,
            feasible_point=self._feasible_point,
            default_step_size=default_step_size,
        )

    def default_start(self, rng: np.random.Generator) -> Array:
        """Return a point inside the set; nothing is drawn at random."""
        return self._inside

    def _linearized_bound(self, point: SplitPoint) -> float:
        best = self._smallest + self._linear_minimum(self.cost)
        for v in (point.y, np.asarray(point)):
            with np.errstate(
                all="ignore"
            ):  # on the boundary a gradient may be infinite: then no bound comes from there
                slope = self.g.gradient(v)
                bound = float(self.g.value(v) - np.sum(slope * v) + self._linear_minimum(slope + self.cost))
            if math.isfinite(bound):
                best = max(best, bound)
        return best

    def _feasible_point(self, point: SplitPoint) -> Array:
        # y satisfies the constraint to rounding; x may lie within the slack of the indicator, which is more than that
        return point.y if math.isfinite(self.objective(point.y)) else self._inside
