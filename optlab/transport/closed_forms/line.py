"""Optimal transport on the line, in closed form: sort, and walk the staircase."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

import optlab.core
from optlab.core import Method, Result, State
from optlab.core.validation import as_float_array, as_number
from optlab.transport.closed_forms.staircase import StaircasePlan
from optlab.transport.plans.marginals import equal_marginals, uniform_if_none

Array = Any


@dataclass(frozen=True, eq=False)
class LineTransport:
    """Transport between weighted points on the line, for a convex cost of the difference."""

    u: Array
    v: Array
    a: Array
    b: Array
    cost: Callable[[Array], Array]
    primary_metric: ClassVar[str] = "relative_gap"

    def plan(self) -> StaircasePlan:
        """Return the optimal plan."""
        return StaircasePlan(self.u, self.v, self.a, self.b, self.cost)

    def default_start(self, rng: Any) -> None:
        """Return nothing: there is one plan."""
        return None

    def measure(self, plan: StaircasePlan) -> dict[str, float]:
        """Return the cost, the dual value and their gap."""
        return {
            "cost": plan.cost,
            "dual_objective": plan.dual_objective,
            "gap": plan.gap,
            "relative_gap": plan.relative_gap,
        }


@dataclass
class SortedState(State):
    """The plan, once it is there."""

    plan: StaircasePlan


@dataclass(frozen=True)
class SortedTransport(Method):
    """The staircase of the sorted points: one step, made in `init`."""

    requires: ClassVar[tuple[str, ...]] = ("plan",)
    init_is_work: ClassVar[bool] = True

    def init(self, problem: LineTransport, x0: Any, rng: Any) -> SortedState:
        """Return the plan."""
        return SortedState(0, problem.plan())

    def step(self, problem: LineTransport, state: SortedState) -> SortedState:
        """Return the state as it is."""
        return SortedState(state.k + 1, state.plan)

    def iterate(self, problem: LineTransport, state: SortedState) -> StaircasePlan:
        """Return the plan."""
        return state.plan


def as_points(value: Any, name: str) -> Array:
    """Return finite points on the line as a float64 vector."""
    points = as_float_array(value, name)
    if points.ndim == 2 and points.shape[1] == 1:
        points = points[:, 0]
    if points.ndim != 1:
        raise ValueError(f"{name} must be points on the line, shape (n,) or (n, 1), got {points.shape}")
    return np.ascontiguousarray(points, dtype=np.float64)


@dataclass(frozen=True)
class Power:
    """The cost ``|d|^p``."""

    p: float

    def __call__(self, d: Array) -> Array:
        if self.p == 1.0:
            return np.abs(d)
        return d * d if self.p == 2.0 else np.abs(d) ** self.p


def wasserstein_1d(
    u: Any, v: Any, a: Any = None, b: Any = None, p: float = 2, *, cost: Callable[[Array], Array] | None = None
) -> Result:
    """Return the optimal transport between weighted points on the line, exactly, in O(n log n).

    Parameters
    ----------
    u, v : array_like, shapes (n,) and (m,)
        The points; (n, 1) is taken too.
    a, b : array_like, shapes (n,) and (m,), optional
        Weights, at least 0, of equal sums to 1e-6 relative. Default: equal ones, of the other's sum or of sum 1.
    p : float, default 2
        The cost is ``|u_i - v_j|^p``, p at least 1.
    cost : callable, optional
        In place of it any convex function of the difference ``u_i - v_j``, on arrays.

    Returns
    -------
    Result
        ``metrics["cost"]`` is ``W_p^p`` (not its root); ``solution`` has ``potentials``, ``sparse()``, ``dense()``,
        ``marginals``, ``@``. The gap is that of rounding.

    Raises
    ------
    ValueError
        If p is below 1 or `cost` is not convex between the points: then sorting is not optimal.

    Examples
    --------
    >>> result = wasserstein_1d([0.0, 1.0, 3.0], [5.0, 6.0, 8.0], p=1)
    >>> result.success, result.metrics["cost"]
    (True, 5.0)
    >>> result.solution.sparse().nnz, result.solution.potentials[0].shape
    (3, (3,))
    """
    u, v = as_points(u, "u"), as_points(v, "v")
    a, b, _ = equal_marginals(*uniform_if_none(a, b, (u.size, v.size)), (u.size, v.size))
    if cost is None:
        h: Callable[[Array], Array] = Power(as_number(p, "p", minimum=1))
    else:
        if not callable(cost):
            raise TypeError(f"cost must be a function of arrays of differences, got {type(cost).__name__}")
        h = cost
    problem = LineTransport(u, v, a, b, h)
    result = optlab.core.solve(problem, SortedTransport(), tol=1e-9, max_iter=1, progress=False)
    if cost is not None:
        _check_convex(result.solution, u, v, h)
    return result


def _check_convex(plan: StaircasePlan, u: Array, v: Array, h: Callable[[Array], Array]) -> None:
    """Raise where the potentials are not feasible, as convexity makes them: all pairs, a sample beyond four million."""
    f, g = plan.potentials
    if u.size * v.size <= 1 << 22:
        i, j = (index.ravel() for index in np.indices((u.size, v.size)))
    else:
        rng = np.random.default_rng(0)
        i, j = rng.integers(0, u.size, 4096), rng.integers(0, v.size, 4096)
    slack = np.asarray(h(u[i] - v[j])) - f[i] - g[j]
    size = np.abs(f).max() + np.abs(g).max() + 1e-300
    if not slack.min() > -1e-9 * size:
        k = int(np.argmin(slack))
        raise ValueError(
            f"cost must be convex: between u[{i[k]}] = {u[i[k]]:g} and v[{j[k]}] = {v[j[k]]:g} the potentials of the "
            "sorted plan exceed it, so that the plan is not optimal"
        )
