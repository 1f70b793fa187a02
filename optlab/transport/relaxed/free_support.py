"""Barycentres whose support moves.

Exact plans and means alternate (Cuturi and Doucet 2014): the objective never rises, but what it ends in is a local
minimum, without a bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.core.validation import as_float_array, as_integer, as_number
from optlab.transport.costs.point_cloud import PointCloudCost


@dataclass(frozen=True, eq=False, repr=False)
class FreeSupportBarycenter:
    """What `free_support_barycenter` found.

    Attributes
    ----------
    points : ndarray, shape (n, d)
    masses : ndarray, shape (n,)
    objective : ndarray
        ``sum_l w_l W_2^2`` after each plan step; never rises.
    converged : bool
        Whether the last step changed the objective by less than the tolerance, and its plans are certified to 1e-9.
    """

    points: np.ndarray
    masses: np.ndarray
    objective: np.ndarray
    converged: bool

    def __repr__(self) -> str:
        n, d = self.points.shape
        return (
            f"FreeSupportBarycenter({n} points in dimension {d}, objective={self.objective[-1]:.6g}, "
            f"converged={self.converged})"
        )


def free_support_barycenter(
    points: Sequence[Any],
    histograms: Sequence[Any],
    start: Any,
    *,
    masses: Any = None,
    weights: Any = None,
    tol: float = 1e-9,
    max_iter: int = 100,
) -> FreeSupportBarycenter:
    """Return a barycentre for squared Euclidean costs whose points move: exact plans and weighted means in turn.

    Parameters
    ----------
    points : sequence of L array_like, shapes (m_l, d)
    histograms : sequence of L array_like, shapes (m_l,)
        Weights of the points, all of sum 1.
    start : array_like, shape (n, d)
        Points to begin with.
    masses : array_like, shape (n,), optional
        Their masses, of sum 1; kept. Default: equal.
    weights : array_like, shape (L,), optional
        Positive; divided by their sum. Default: equal.
    tol : float
        Relative change of the objective at which to stop.
    max_iter : int

    Raises
    ------
    ValueError, TypeError
        For arrays that do not fit together, weights that are negative or whose sum is not 1; naming the argument.

    Examples
    --------
    >>> import numpy as np
    >>> clouds = [np.array([[0.0], [1.0]]), np.array([[2.0], [5.0]])]
    >>> answer = free_support_barycenter(clouds, [[0.5, 0.5]] * 2, np.array([[0.4], [0.6]]))
    >>> answer.points.ravel().tolist(), answer.converged
    ([1.0, 3.0], True)
    """
    from optlab.core import solve
    from optlab.transport.balanced.problem import OptimalTransport
    from optlab.transport.solvers import NetworkSimplex

    x = np.array(as_float_array(start, "start", ndim=2), dtype=np.float64)
    clouds = [as_float_array(y, f"points[{i}]", shape=(None, x.shape[1])) for i, y in enumerate(points)]
    if len(clouds) != len(histograms) or not clouds:
        raise ValueError(f"points and histograms must be as many, and some, got {len(clouds)} and {len(histograms)}")
    shape = x.shape[:1]
    a = (
        np.full(shape, 1.0 / x.shape[0])
        if masses is None
        else as_float_array(masses, "masses", shape=shape, nonnegative=True)
    )
    targets = [
        as_float_array(b, f"histograms[{i}]", shape=y.shape[:1], nonnegative=True)
        for i, (b, y) in enumerate(zip(histograms, clouds))
    ]
    for name, weight in (("masses", a), *((f"histograms[{i}]", b) for i, b in enumerate(targets))):
        if abs(float(weight.sum()) - 1.0) > 1e-6:
            raise ValueError(f"{name} must have the sum 1, got {float(weight.sum()):.9g}; divide it by its sum")
    w = (
        np.ones(len(clouds))
        if weights is None
        else as_float_array(weights, "weights", shape=(len(clouds),), positive=True)
    )
    w = w / w.sum()
    tol, max_iter = as_number(tol, "tol", minimum=0.0), as_integer(max_iter, "max_iter", minimum=1)
    history: list[float] = []
    converged = False
    for _ in range(max_iter):
        value, mean, certified = 0.0, np.zeros_like(x), True
        for share, y, b in zip(w, clouds, targets):
            problem = OptimalTransport(a, b, PointCloudCost(x, y))
            result = solve(problem, NetworkSimplex(), max_iter=1, record=1, progress=False, on_interrupt="raise")
            certified = certified and result.metrics["relative_gap"] <= 1e-9
            value += share * result.metrics["cost"]
            mean += share * result.solution.barycentric_map()
        history.append(value)
        if len(history) > 1 and history[-2] - value <= tol * abs(history[-2]):
            converged = certified
            break
        # a point without mass stays where it is
        x = np.where(a[:, None] > 0.0, mean, x)
    return FreeSupportBarycenter(x, np.array(a), np.array(history), converged)
