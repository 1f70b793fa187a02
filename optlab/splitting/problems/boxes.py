"""Quadratics over a box in Fermi-Dirac geometry: with one equality constraint, and least squares.

The kernel's domain is the box, so no iterate ever touches a bound, and nothing has to be projected. Both gaps are
Frank-Wolfe certificates: over a box, and over a box cut by a hyperplane, linear functions are minimised exactly.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from optlab.bregman import FermiDirac, SquaredEuclidean
from optlab.bregman.functions import Box, Hyperplane, LeastSquares, SquaredDistance
from optlab.core.validation import as_data, as_number, one_of
from optlab.splitting.problems.certificates import SmoothOverSet, box_hyperplane_minimum, box_minimum

Array = Any


def _bounds(lower: Any, upper: Any, size: int) -> tuple[Array, Array]:
    low, high = (
        as_data(np.full(size, v) if np.isscalar(v) else v, name, shape=(size,)).astype(np.float64)
        for v, name in ((lower, "lower"), (upper, "upper"))
    )
    if not np.all(low < high):
        where = int(np.argmin(low < high))
        raise ValueError(f"lower must be below upper, got {low[where]:g} and {high[where]:g} at index [{where}]")
    return low, high


def _kernel(low: Array, high: Array) -> FermiDirac:
    if np.ptp(low) == 0 and np.ptp(high) == 0:
        return FermiDirac(float(low[0]), float(high[0]))
    return FermiDirac(low, high)


class BoxQuadraticWithEquality(SmoothOverSet):
    """Minimise ``(weight/2) ||x - q||^2 + <cost, x>`` over a box cut by one hyperplane ``<normal, x> = offset``.

    Support vector machines and portfolio problems have this constraint set. The quadratic is smooth relative to the
    Fermi-Dirac kernel with constant ``weight * max(upper - lower) / 4``, so that convergence is proved for small step
    sizes; larger ones are faster, and the default is larger. Solution: ``clip(q - (c + mu a)/t, lower, upper)``, mu by
    sorting the kinks of a piecewise linear equation.

    Parameters
    ----------
    q : array_like, shape (n,)
        The point to come near to.
    normal : array_like, shape (n,)
        a, not zero.
    offset : float
        Strictly between the extremes of ``<a, x>`` over the box.
    lower, upper : array_like of shape (n,) or float, default 0 and 1
        Finite bounds, lower below upper.
    cost : array_like of shape (n,) or float, default 0
        Linear cost.
    weight : float, default 1
        t, above 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range, or the hyperplane misses the interior of the box.

    Examples
    --------
    >>> import optlab
    >>> from optlab.splitting import BregmanDouglasRachford
    >>> problem = BoxQuadraticWithEquality([0.8, 0.4, -0.5], normal=np.ones(3), offset=1.0)
    >>> result = optlab.solve(problem, BregmanDouglasRachford(), tol=1e-9)
    >>> np.asarray(result.solution).round(6)
    array([0.7, 0.3, 0. ])
    """

    def __init__(
        self,
        q: Any,
        normal: Any,
        offset: float,
        lower: Any = 0.0,
        upper: Any = 1.0,
        cost: Any = 0.0,
        weight: float = 1.0,
    ) -> None:
        q = as_data(q, "q", ndim=1).astype(np.float64, copy=False)
        normal = as_data(normal, "normal", shape=q.shape).astype(np.float64, copy=False)
        constraint = Hyperplane(normal, offset)
        offset = constraint.offset
        low, high = _bounds(lower, upper, q.size)
        cost = as_data(np.full(q.size, cost) if np.isscalar(cost) else cost, "cost", shape=q.shape)
        t = as_number(weight, "weight", above=0)
        least, most = box_minimum(normal, low, high), -box_minimum(-normal, low, high)
        if not least < offset < most:
            raise ValueError(f"offset must be strictly between {least:g} and {most:g} to meet the box, got {offset:g}")
        # the point of the box's diagonal (from least to most) that lies on the hyperplane
        share = (offset - least) / (most - least)
        corner: Array = np.where(normal >= 0, low, high)
        opposite: Array = np.where(normal >= 0, high, low)
        interior = np.where(normal == 0, 0.5 * (low + high), corner + share * (opposite - corner))
        super().__init__(
            SquaredDistance(q, t),
            constraint,
            cost.astype(np.float64, copy=False),
            _kernel(low, high),
            linear_minimum=partial(box_hyperplane_minimum, lower=low, upper=high, normal=normal, offset=offset),
            smallest=0.0,
            interior=interior,
            reference=_clipped_solution(q - cost / t, normal / t, offset, normal, low, high),
            default_step_size=10.0 / (t * float(np.max(high - low))),
        )


def _clipped_solution(q: Array, direction: Array, offset: float, normal: Array, low: Array, high: Array) -> Array:
    """Return ``clip(q - mu direction, low, high)`` with ``<normal, x> = offset``: piecewise linear in mu."""
    moving = normal != 0
    kinks = np.sort(np.concatenate([(q - bound)[moving] / direction[moving] for bound in (low, high)]))

    def at(mu: float) -> float:
        return float(normal @ np.clip(q - mu * direction, low, high))

    # at() falls with mu: bisect over the kinks, then the equation is linear between two neighbours
    left, right = 0, kinks.size - 1
    while right - left > 1:
        middle = (left + right) // 2
        left, right = (middle, right) if at(kinks[middle]) > offset else (left, middle)
    high_value, low_value = at(kinks[left]), at(kinks[right])
    share = 0.0 if high_value == low_value else (high_value - offset) / (high_value - low_value)
    mu = kinks[left] + share * (kinks[right] - kinks[left])
    return np.clip(q - mu * direction, low, high)


class BoxLeastSquares(SmoothOverSet):
    """Minimise ``||A x - b||^2 / 2`` over a box ``lower <= x <= upper``, with a certified gap.

    Parameters
    ----------
    A : array_like, shape (m, n)
        Coefficients.
    b : array_like, shape (m,)
        Right-hand side.
    lower, upper : array_like of shape (n,) or float, default 0 and 1
        Finite bounds, lower below upper.
    kernel : {"fermi-dirac", "euclidean"}
        The geometry. With ``"fermi-dirac"`` the domain of the kernel is the box itself: the constraint's resolvent does
        nothing, and Douglas-Rachford becomes the Bregman proximal point method, with one Newton solve of size n an
        iteration. With ``"euclidean"`` it is the classical method, which projects.
    reference : array_like, shape (n,), optional
        A known solution.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or shape.

    Examples
    --------
    >>> import optlab
    >>> from optlab.splitting import BregmanDouglasRachford
    >>> problem = BoxLeastSquares([[1.0, 1.0], [1.0, -1.0]], [2.5, 1.0])
    >>> result = optlab.solve(problem, BregmanDouglasRachford(), tol=1e-9)
    >>> np.asarray(result.solution).round(6)
    array([1.  , 0.75])
    """

    def __init__(
        self,
        A: Any,
        b: Any,
        lower: Any = 0.0,
        upper: Any = 1.0,
        kernel: str = "fermi-dirac",
        reference: Any = None,
    ) -> None:
        loss = LeastSquares(A, b)
        n = loss.A.shape[1]
        low, high = _bounds(lower, upper, n)
        euclidean = one_of(kernel, "kernel", ("fermi-dirac", "euclidean")) == "euclidean"
        _, singular, _ = loss.svd
        largest = float(singular[0]) if singular[0] > 0 else 1.0
        positive = singular[singular > 1e-3 * largest]
        if euclidean:
            # geometric mean of the extreme curvatures, the best step size for a quadratic on a subspace
            step_size = 1.0 / (largest * float(positive[-1]) if positive.size else 1.0)
        else:
            step_size = 100.0 / (float(np.mean(singular**2)) or 1.0) / float(np.max(high - low))
        super().__init__(
            loss,
            Box(low, high),
            np.zeros(n),
            SquaredEuclidean() if euclidean else _kernel(low, high),
            linear_minimum=partial(box_minimum, lower=low, upper=high),
            smallest=0.0,
            interior=0.5 * (low + high),
            reference=None if reference is None else as_data(reference, "reference", shape=(n,)),
            default_step_size=step_size,
        )
