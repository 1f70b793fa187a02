"""The Sinkhorn divergence with a certified bracket.

``S_eps = OT_eps(a, b) - OT_eps(a, a)/2 - OT_eps(b, b)/2``: the entropies of the marginals cancel, so that values of the
regularised problems are taken as they are. Each has a certified lower bound L and the value U of a feasible plan:
``L_ab - U_aa/2 - U_bb/2 <= S_eps <= U_ab - L_aa/2 - L_bb/2``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.core import Result
from optlab.core.validation import as_float_array, as_number
from optlab.transport.costs.point_cloud import PointCloudCost
from optlab.transport.oneshot import transport
from optlab.transport.plans.marginals import uniform_if_none

Array = Any


@dataclass(frozen=True, eq=False)
class SinkhornDivergence:
    """What `sinkhorn_divergence` returns.

    Attributes
    ----------
    value : float
        The middle of the bracket.
    lower, upper : float
        The divergence lies between them.
    gradient_x : ndarray, shape (n, d)
        With respect to the points of x, by the envelope theorem at the plans found.
    gradient_a : ndarray, shape (n,)
        With respect to the weights of x, up to a constant.
    results : tuple of Result
        Of (a, b), (a, a), (b, b).
    """

    value: float
    lower: float
    upper: float
    gradient_x: Array
    gradient_a: Array
    results: tuple[Result, Result, Result]

    @property
    def converged(self) -> bool:
        """Whether all three problems met their tolerance."""
        return all(result.success for result in self.results)


def sinkhorn_divergence(
    x: Any, y: Any, a: Any = None, b: Any = None, *, regularization: float, tol: float = 1e-6, **options: Any
) -> SinkhornDivergence:
    """Return the Sinkhorn divergence between two clouds for the squared distance.

    Parameters
    ----------
    x, y : array_like, shapes (n, d) and (m, d)
    a, b : array_like, optional
        Weights; default: equal ones.
    regularization : float
        eps, above 0.
    tol : float, default 1e-6
        Each of the three values is certified to `tol` of the mean squared distance of the clouds.
    **options
        Further arguments of `optlab.transport.transport`.

    Returns
    -------
    SinkhornDivergence

    References
    ----------
    Genevay, Peyre, Cuturi (2018), Learning generative models with Sinkhorn divergences.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(40, 2)), rng.normal(size=(50, 2)) + 1.0
    >>> found = sinkhorn_divergence(x, y, regularization=0.5)
    >>> found.converged, 0 < found.lower <= found.value <= found.upper, found.upper - found.lower < 1e-4
    (True, True, True)
    """
    x, y = as_float_array(x, "x", ndim=2), as_float_array(y, "y", ndim=2)
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"x and y must have points of equal dimension, got {x.shape[1]} and {y.shape[1]}")
    a, b = uniform_if_none(a, b, (len(x), len(y)))
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    eps, tol = as_number(regularization, "regularization", above=0), as_number(tol, "tol", above=0)
    gap = tol * _mean_square(x, y, a, b) * float(a.sum())
    options = {"tol": {"gap": gap}, "progress": False, **options}
    cases = ((x, a, y, b), (x, a, x, a), (y, b, y, b))
    results = tuple(transport(p, q, PointCloudCost(u, v), regularization=eps, **options) for u, p, v, q in cases)
    upper, lower = ([r.metrics[name] for r in results] for name in ("objective", "dual_objective"))
    low = lower[0] - 0.5 * (upper[1] + upper[2])
    high = upper[0] - 0.5 * (lower[1] + lower[2])
    across, within = results[0].solution, results[1].solution
    gradient_x = 2.0 * (np.asarray(within.apply(x)) - np.asarray(across.apply(y)))
    f, own = across.potentials[0], within.potentials
    gradient_a = f - 0.5 * (own[0] + own[1])
    return SinkhornDivergence(0.5 * (low + high), low, high, gradient_x, gradient_a, results)  # type: ignore[arg-type]


def _mean_square(x: Array, y: Array, a: Array, b: Array) -> float:
    a, b = a / a.sum(), b / b.sum()
    mx, my = a @ x, b @ y
    spread = a @ np.sum((x - mx) ** 2, axis=1) + b @ np.sum((y - my) ** 2, axis=1)
    return max(float(spread + np.sum((mx - my) ** 2)), 1e-300)
