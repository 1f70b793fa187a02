"""Problems on the simplex and the capped simplex, each with an exact reference solution and a certified gap.

They are small on purpose: the solution is known from sorting or from one scalar equation, so that a splitting method
can be judged to the last digit. In the order of the file (total is the sum of x, weight is t):

* `PoissonOnSimplex`: ``t sum(x - q log x) + <c, x>``, Shannon or Burg kernel;
* `ItakuraSaitoOnSimplex`: ``t sum(x/q - log(x/q) - 1) + <c, x>``, Burg kernel;
* `SimplexProjection`: ``(t/2) ||x - q||^2``, Shannon kernel;
* `KullbackLeiblerOnCappedSimplex`: ``t KL(x; q) + <c, x>``, Shannon kernel;
* `CappedSimplexProgram`: the linear program ``<c, x>`` on the capped simplex, Shannon kernel.

The smooth function is B (applied first), the constraint A. All certificates are Frank-Wolfe bounds except that of the
linear program, whose multiplier is read off the iterate.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from optlab.bregman import BurgEntropy, ShannonEntropy
from optlab.bregman.functions import (
    Box,
    CappedSimplex,
    ItakuraSaito,
    KullbackLeibler,
    Linear,
    Poisson,
    Simplex,
    SquaredDistance,
)
from optlab.bregman.projections import project_simplex
from optlab.composite.inclusion import SplitPoint
from optlab.core.validation import as_data, as_number, one_of
from optlab.splitting.problems.certificates import (
    CertifiedProblem,
    SmoothOverSet,
    capped_simplex_minimizer,
    simplex_minimum,
)

Array = Any


def _vector(value: Any, name: str, size: int, **conditions: Any) -> Array:
    """Return a number or a vector as a vector of the given size."""
    if np.isscalar(value) or value is None:
        value = np.full(size, as_number(value, name))
    return as_data(value, name, shape=(size,), **conditions).astype(np.float64, copy=False)


def _shares(weights: Array, poles: Array, total: float) -> Array:
    """Return ``x = weights / (poles + nu)`` with sum `total`, all positive: one scalar equation for nu."""
    from scipy.optimize import brentq  # a fifth of a second to import

    pole = float(np.min(poles))
    shifted = poles - pole  # exact zero at the pole, so that small nu keeps its digits
    low, high = float(np.sum(weights[shifted == 0])) / total, float(np.sum(weights)) / total
    if high > low * (1 + 1e-15):
        nu = brentq(lambda nu: float(np.sum(weights / (shifted + nu))) - total, low, high, xtol=1e-300, rtol=1e-15)
    else:
        nu = high
    x = weights / (shifted + nu)
    return x * (total / np.sum(x))


class PoissonOnSimplex(SmoothOverSet):
    """Minimise ``weight * sum(x - q log x) + <cost, x>`` over the simplex ``{x >= 0, sum x = total}``.

    The maximum-likelihood mixture under counts q, with a linear cost. Solution: ``x = t q / (t + c + mu)``, mu from one
    scalar equation; ``total * q / sum(q)`` without a cost.

    Parameters
    ----------
    q : array_like, shape (n,)
        Counts, positive.
    cost : array_like of shape (n,) or float, default 0
        Linear cost.
    weight : float, default 1
        t, above 0.
    total : float, default 1
        The sum of x, above 0.
    kernel : {"shannon", "burg"}
        The geometry. Relative to Burg's entropy the likelihood is smooth with constant ``t max(q)``, and convergence is
        proved (derived here) for step sizes up to its inverse, the default there; step sizes many times that can leave
        the range of the kernel's gradient (`DomainError`). Relative to Shannon's it is not smooth; the default
        ``total / (t sum(q))`` matches the two curvatures where x is proportional to q.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range.

    Examples
    --------
    >>> import optlab
    >>> from optlab.splitting import BregmanDouglasRachford
    >>> problem = PoissonOnSimplex([1.0, 2.0, 1.0])
    >>> result = optlab.solve(problem, BregmanDouglasRachford(), tol=1e-9)
    >>> np.asarray(result.solution).round(6)
    array([0.25, 0.5 , 0.25])
    """

    def __init__(
        self, q: Any, cost: Any = 0.0, weight: float = 1.0, total: float = 1.0, kernel: str = "shannon"
    ) -> None:
        q = as_data(q, "q", ndim=1, positive=True).astype(np.float64, copy=False)
        cost = _vector(cost, "cost", q.size)
        t, total = as_number(weight, "weight", above=0), as_number(total, "total", above=0)
        shannon = one_of(kernel, "kernel", ("shannon", "burg")) == "shannon"
        super().__init__(
            Poisson(q, t),
            Simplex(total),
            cost,
            ShannonEntropy() if shannon else BurgEntropy(),
            linear_minimum=partial(simplex_minimum, total=total),
            smallest=float(t * np.sum(q - q * np.log(q))),
            interior=np.full(q.size, total / q.size),
            reference=_shares(t * q, cost, total),
            default_step_size=total / (t * float(np.sum(q))) if shannon else 1.0 / (t * float(np.max(q))),
        )


class ItakuraSaitoOnSimplex(SmoothOverSet):
    """Minimise ``weight * sum(x/q - log(x/q) - 1) + <cost, x>`` over the simplex, with Burg's entropy as kernel.

    The objective is t times the kernel's own distance to q, so it is smooth and strongly convex relative to it with
    constant t: for step sizes up to ``1/t`` (the default) convergence is linear (derived here). Burg's gradient is not
    onto: large step sizes (about ``10 / t``) leave its range, and the run ends with a `DomainError` in its message.
    Solution: ``x = 1 / (1/q + (c + mu)/t)``, mu from one scalar equation.

    Parameters
    ----------
    q : array_like, shape (n,)
        Reference point, positive.
    cost : array_like of shape (n,) or float, default 0
        Linear cost.
    weight : float, default 1
        t, above 0.
    total : float, default 1
        The sum of x, above 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range.

    Examples
    --------
    >>> import optlab
    >>> from optlab.splitting import BregmanDouglasRachford
    >>> problem = ItakuraSaitoOnSimplex([0.2, 0.3, 0.5])
    >>> optlab.solve(problem, BregmanDouglasRachford(), tol=1e-9).success
    True
    """

    def __init__(self, q: Any, cost: Any = 0.0, weight: float = 1.0, total: float = 1.0) -> None:
        q = as_data(q, "q", ndim=1, positive=True).astype(np.float64, copy=False)
        cost = _vector(cost, "cost", q.size)
        t, total = as_number(weight, "weight", above=0), as_number(total, "total", above=0)
        super().__init__(
            ItakuraSaito(q, t),
            Simplex(total),
            cost,
            BurgEntropy(),
            linear_minimum=partial(simplex_minimum, total=total),
            smallest=0.0,
            interior=np.full(q.size, total / q.size),
            reference=_shares(np.full(q.size, t), t / q + cost, total),
            default_step_size=1.0 / t,
        )


class SimplexProjection(SmoothOverSet):
    """Project q onto the simplex in the Euclidean norm: minimise ``(weight/2) ||x - q||^2``, Shannon kernel.

    The geometry is not the one of the objective, and solutions have zeros, where no mirror point exists: a test of how
    a splitting behaves at the boundary. Solution: by sorting.

    Parameters
    ----------
    q : array_like, shape (n,)
        The point to project.
    weight : float, default 1
        Above 0; it does not change the solution.
    total : float, default 1
        The sum of x, above 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range.

    Examples
    --------
    >>> import optlab
    >>> from optlab.splitting import BregmanDouglasRachford
    >>> problem = SimplexProjection([0.9, 0.5, -0.2])
    >>> result = optlab.solve(problem, BregmanDouglasRachford(), tol=1e-9)
    >>> np.asarray(result.solution).round(6)
    array([0.7, 0.3, 0. ])
    """

    def __init__(self, q: Any, weight: float = 1.0, total: float = 1.0) -> None:
        q = as_data(q, "q", ndim=1).astype(np.float64, copy=False)
        t, total = as_number(weight, "weight", above=0), as_number(total, "total", above=0)
        super().__init__(
            SquaredDistance(q, t),
            Simplex(total),
            np.zeros(q.size),
            ShannonEntropy(),
            linear_minimum=partial(simplex_minimum, total=total),
            smallest=0.0,
            interior=np.full(q.size, total / q.size),
            reference=project_simplex(q, total),
            # the curvature of the objective relative to the kernel is t x, about t total / n
            default_step_size=0.6 * q.size / (t * total),
        )


class KullbackLeiblerOnCappedSimplex(SmoothOverSet):
    """Minimise ``weight * KL(x; q) + <cost, x>`` over ``{0 <= x <= upper, sum x = total}``, Shannon kernel.

    ``KL(x; q) = sum(x log(x/q) - x + q)``, the kernel's own distance, so the smooth part has constants ``L = mu = t``
    relative to the kernel and convergence is linear for step sizes up to ``1/t``, the default. Solution:
    ``x = min(upper, theta q exp(-c/t))``, theta by sorting.

    Parameters
    ----------
    q : array_like, shape (n,)
        Reference point, positive.
    upper : array_like of shape (n,) or float
        Caps, positive, with sum at least `total`.
    cost : array_like of shape (n,) or float, default 0
        Linear cost.
    weight : float, default 1
        t, above 0.
    total : float, default 1
        The sum of x, above 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range, or the caps cannot hold the total.

    Examples
    --------
    >>> import optlab
    >>> from optlab.splitting import BregmanDouglasRachford
    >>> problem = KullbackLeiblerOnCappedSimplex([1.0, 1.0, 8.0], upper=0.5)
    >>> result = optlab.solve(problem, BregmanDouglasRachford(), tol=1e-9)
    >>> np.asarray(result.solution).round(6)
    array([0.25, 0.25, 0.5 ])
    """

    def __init__(self, q: Any, upper: Any, cost: Any = 0.0, weight: float = 1.0, total: float = 1.0) -> None:
        q = as_data(q, "q", ndim=1, positive=True).astype(np.float64, copy=False)
        upper, cost = _vector(upper, "upper", q.size, positive=True), _vector(cost, "cost", q.size)
        t = as_number(weight, "weight", above=0)
        constraint = CappedSimplex(upper, total)
        total = constraint.total
        super().__init__(
            KullbackLeibler(q, t),
            constraint,
            cost,
            ShannonEntropy(),
            linear_minimum=partial(_capped_simplex_minimum, upper=upper, total=total),
            smallest=0.0,
            interior=upper * (total / np.sum(upper)),
            reference=_capped_shares(np.log(q) - cost / t, upper, total),
            default_step_size=1.0 / t,
        )


def _capped_shares(log_weights: Array, upper: Array, total: float) -> Array:
    """Return ``min(upper, theta exp(log_weights))`` with sum `total`, by sorting the levels of the caps."""
    weights = np.exp(log_weights - np.max(log_weights))
    with np.errstate(divide="ignore", over="ignore"):
        level = upper / weights  # the theta at which each coordinate reaches its cap
    order = np.argsort(level)
    upper, weights, level = upper[order], weights[order], level[order]
    filled = np.concatenate([[0.0], np.cumsum(upper)[:-1]])
    rest = np.cumsum(weights[::-1])[::-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        theta = (total - filled) / rest  # if exactly the first k are capped
    k = int(np.argmax(theta <= level)) if np.any(theta <= level) else upper.size - 1
    x = np.empty_like(upper)
    x[order] = np.minimum(upper, theta[k] * weights)
    return x


class CappedSimplexProgram(CertifiedProblem):
    """The linear program ``min <cost, x>`` over ``{0 <= x <= upper, sum x = total}``, Shannon kernel.

    Split as B = simplex (normalise), A = box and cost (scale and clip). Like every linear program it has its solutions
    on the boundary of the kernel's domain, where no fixed point exists: mirror points run off to infinity while x
    converges. Peaceman-Rachford fails on it. Solution: fill the cheapest coordinates first.

    The gap is certified: the upper bound is a feasible point made from x by clipping and refilling, the lower bound is
    the dual function ``mu total + sum upper min(0, c - mu)`` at the multiplier mu that the resolvents reveal.

    Parameters
    ----------
    cost : array_like, shape (n,)
        Linear cost.
    upper : array_like of shape (n,) or float
        Caps, positive, with sum at least `total`.
    total : float, default 1
        The sum of x, above 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range, or the caps cannot hold the total.

    Examples
    --------
    >>> import optlab
    >>> from optlab.splitting import BregmanDouglasRachford
    >>> problem = CappedSimplexProgram([3.0, 1.0, 2.0], upper=0.6)
    >>> result = optlab.solve(problem, BregmanDouglasRachford(), tol=1e-8)
    >>> np.asarray(result.solution).round(6)
    array([0. , 0.6, 0.4])
    """

    def __init__(self, cost: Any, upper: Any, total: float = 1.0) -> None:
        cost = as_data(cost, "cost", ndim=1).astype(np.float64, copy=False)
        upper = _vector(upper, "upper", cost.size, positive=True)
        self.cost, self.upper, self.total = cost, upper, CappedSimplex(upper, total).total
        reference = capped_simplex_minimizer(cost, upper, self.total)
        spread = float(np.std(cost))
        super().__init__(
            Box(0.0, upper) + Linear(cost),
            Simplex(self.total),
            ShannonEntropy(),
            reference=reference,
            optimum=float(cost @ reference),
            dual_bound=self._multiplier_bound,
            feasible_point=self._refilled,
            default_step_size=3.0 / spread if spread > 0 else 1.0,
        )

    def default_start(self, rng: np.random.Generator) -> Array:
        """Return the feasible point proportional to the caps; nothing is drawn at random."""
        return self.upper * (self.total / np.sum(self.upper))

    objective_terms = ("f", "g")

    def objective(self, x: Array) -> float:
        """Return ``<cost, x>`` if `x` is feasible, else infinity."""
        return float(self.cost @ x) if CappedSimplex(self.upper, self.total).value(x) == 0 else float("inf")

    def _multiplier_bound(self, point: SplitPoint) -> float:
        # b in B(x) is constant: the multiplier of the sum, with the opposite sign
        mu = -float(np.mean(point.b))
        return mu * self.total + float(np.sum(self.upper * np.minimum(0.0, self.cost - mu)))

    def _refilled(self, point: SplitPoint) -> Array:
        x = np.clip(np.asarray(point), 0.0, self.upper)
        room, missing = self.upper - x, self.total - float(np.sum(x))
        if missing > 0:
            return x + room * min(1.0, missing / max(float(np.sum(room)), np.finfo(float).tiny))
        return x * (self.total / np.sum(x))


def _capped_simplex_minimum(c: Array, upper: Array, total: float) -> float:
    return float(c @ capped_simplex_minimizer(c, upper, total))
