"""The block step of the methods of multipliers: minimise ``f(u) + h*(mirror + gamma K u) / gamma`` over u.

Closed forms where there are any, chosen once per block:

* Euclidean kernel and quadratic f, any K: one linear system;
* Euclidean kernel and ``K = c I``: the proximal map of f, through `optlab.bregman.resolvent`;
* separable kernel, ``K = c I`` and f linear, a box or an l1 norm, plus linear terms: a formula per coordinate.

Otherwise, for smooth f, Newton's method with a line search and, from a far start, continuation in gamma. It runs until
rounding stops it: relative accuracy of the gradient about 1e-13 at moderate step sizes, in any case no better than
``1e-16 max|mirror + gamma K u|``. What it does not do: nonsmooth f with a general K (there is no formula, and a
coordinate loop would be slow and inexact); pass a step of your own to `LinearlyConstrained` there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy import linalg, optimize

from optlab.bregman import SquaredEuclidean
from optlab.bregman.functions import Box, L1Norm, LeastSquares, Linear, Quadratic, SquaredDistance, Sum, Zero
from optlab.bregman.resolvents.newton import difference_hessian
from optlab.composite.domains import domain_kind
from optlab.core import DomainError
from optlab.linalg.newton import damped_newton

Array = Any
BlockStep = Callable[[Array, float], Array]
BlockSolver = Callable[[Array], Array]

_MAX_NEWTON = 300
# blocks of this size whose gradient is not small have no minimiser
_RUN_OFF = 1e30
# continuation starts where no exponent exceeds about this, and grows by this factor per stage
_MODERATE = 30.0
_STAGE = 8.0


def multiple_of_identity(matrix: Array) -> float | None:
    """Return c if `matrix` is exactly ``c I`` with c not 0, otherwise None.

    Examples
    --------
    >>> multiple_of_identity(-2.0 * np.eye(3))
    -2.0
    """
    if matrix.shape[0] != matrix.shape[1] or matrix[0, 0] == 0.0:
        return None
    factor = float(matrix[0, 0])
    return factor if np.array_equal(matrix, factor * np.eye(len(matrix))) else None


def block_step(f: Any, matrix: Array, kernel: Any, start: Array, name: str) -> BlockStep:
    """Return the map ``(mirror, step_size) -> argmin_u f(u) + h*(mirror + step_size matrix u) / step_size``.

    Parameters
    ----------
    f : function
        A term of `optlab.bregman.functions`, or anything with its methods.
    matrix : ndarray, shape (m, n)
    kernel : Legendre
        h.
    start : ndarray, shape (n,)
        Where Newton's method starts; f must be finite there.
    name : str
        "u" or "v", for error messages.

    Raises
    ------
    TypeError
        If there is neither a closed form nor a gradient of f.
    """
    factor = multiple_of_identity(matrix)
    euclidean = isinstance(kernel, SquaredEuclidean)
    cost, rest = split_linear(f)
    if euclidean and is_quadratic(f):
        return _QuadraticStep(f, matrix, start, name)
    if factor is not None and kernel.separable and (isinstance(rest, (Box, L1Norm)) or rest is None):
        cost = np.broadcast_to(cost, start.shape)
        return partial(_coordinate_step, rest, cost, factor, kernel, name=name)
    if euclidean and factor is not None and not callable(getattr(f, "resolvent", None)):
        return partial(_proximal_step, f, factor, kernel)
    if not getattr(f, "smooth", False):
        raise TypeError(
            f"the {name}-step has no formula for {type(f).__name__} with this matrix and kernel, and Newton's method "
            f"needs a smooth function; pass minimize_{name}=(mirror, step_size) -> {name} to solve it yourself"
        )
    return partial(_smooth_step, f, matrix, kernel, start, name=name)


def split_linear(f: Any) -> tuple[Any, Any]:
    """Return the linear part's cost (0.0 if none) and the other term; None for "nothing", `f` itself if several."""
    if isinstance(f, Zero):
        return 0.0, None
    if isinstance(f, Linear):
        return f.cost, None
    if isinstance(f, Sum):
        cost, others = f.split_linear()
        if len(others) <= 1:
            return cost, (others[0] if others else None)
    return 0.0, f


def is_quadratic(f: Any) -> bool:
    """Return whether `f` is a term with a constant Hessian."""
    if isinstance(f, Sum):
        return all(is_quadratic(term) for term in f.terms)
    return isinstance(f, (Quadratic, LeastSquares, SquaredDistance, Linear, Zero))


# ---------------------------------------------------------------------- closed forms


class _QuadraticStep:
    def __init__(self, f: Any, matrix: Array, start: Array, name: str) -> None:
        zero = np.zeros_like(start)
        self.hessian, self.slope = np.asarray(f.hessian(zero)), np.asarray(f.gradient(zero))
        self.matrix, self.gram = matrix, matrix.T @ matrix
        parts = [part / max(np.max(np.abs(part)), 1e-300) for part in (self.hessian, matrix)]
        if np.linalg.matrix_rank(np.vstack(parts)) < start.size:
            raise ValueError(
                f"the {name}-step has no unique minimiser: the function is flat along a direction that the matrix does "
                "not see; add curvature to the function or drop redundant columns of the matrix"
            )
        self.solver: tuple[float, BlockSolver] | None = None  # of the last step size: constant steps factor once

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"solver": None}

    def __call__(self, mirror: Array, step_size: float) -> Array:
        # divided by the step size where that is large: both parts stay representable at 1e-12 and 1e12
        divisor = max(step_size, 1.0)
        if self.solver is None or self.solver[0] != step_size:
            system = self.hessian / divisor + (step_size / divisor) * self.gram
            self.solver = found = (step_size, _linear_solver(system))
        else:
            found = self.solver
        return found[1]((self.slope + self.matrix.T @ mirror) / -divisor)


def _linear_solver(system: Array) -> BlockSolver:
    """Return the map from a right-hand side to the solution of a positive definite system, however ill-conditioned."""
    try:
        factor = linalg.cho_factor(system)
    except linalg.LinAlgError:  # positive definite, but not to rounding
        return lambda right: np.linalg.lstsq(system, right)[0]
    return lambda right: linalg.cho_solve(factor, right)


def _proximal_step(f: Any, factor: float, kernel: Any, mirror: Array, step_size: float) -> Array:
    from optlab.bregman import resolvent

    return resolvent(f, kernel, mirror * (-1.0 / (step_size * factor)), 1.0 / (step_size * factor**2))


def _coordinate_step(
    rest: Any, cost: Array, factor: float, kernel: Any, mirror: Array, step_size: float, name: str
) -> Array:
    """Solve ``0 in cost + d rest(u) + c grad h*(mirror + step_size c u)``, coordinate by coordinate."""
    scale = step_size * factor

    def stationary(slope: Array, where: Array) -> Array:
        # u with c grad h*(mirror + scale u) = -slope, on the coordinates where it is wanted
        u = np.zeros_like(mirror)
        if np.any(where):
            target = -slope[where] / factor
            try:
                kernel.check_domain(target)
            except DomainError as error:
                raise DomainError(
                    f"the {name}-step has no minimiser: its slope must equal a multiplier inside the domain of the "
                    f"kernel ({error})"
                ) from None
            u[where] = (kernel.gradient(target) - mirror[where]) / scale
        return u

    if rest is None:
        return stationary(cost, np.ones(mirror.shape, dtype=bool))
    if isinstance(rest, Box):
        lower, upper = np.broadcast_to(rest.lower, mirror.shape), np.broadcast_to(rest.upper, mirror.shape)
        at_lower = np.isfinite(lower) & (_slope_at(kernel, cost, factor, mirror, scale, lower) >= 0)
        at_upper = np.isfinite(upper) & (_slope_at(kernel, cost, factor, mirror, scale, upper) <= 0)
        u = stationary(cost, ~(at_lower | at_upper))
        return np.where(at_lower, lower, np.where(at_upper, upper, np.clip(u, lower, upper)))
    weight = np.broadcast_to(rest.weight, mirror.shape)
    slope = _slope_at(kernel, cost, factor, mirror, scale, np.zeros_like(mirror))
    # where |slope| <= weight the minimiser is 0; otherwise u has the sign of -slope
    return stationary(cost - np.sign(slope) * weight, np.abs(slope) > weight)


def _slope_at(kernel: Any, cost: Array, factor: float, mirror: Array, scale: float, u: Array) -> Array:
    finite = np.where(np.isfinite(u), u, 0.0)
    return cost + factor * kernel.conjugate_gradient(mirror + scale * finite)


# ---------------------------------------------------------------------- Newton's method


def _smooth_step(f: Any, matrix: Array, kernel: Any, start: Array, mirror: Array, step_size: float, name: str) -> Array:
    return minimize_smooth([f], [matrix], kernel, mirror, step_size, [start], name)[0]


def minimize_smooth(
    functions: list[Any],
    matrices: list[Array],
    kernel: Any,
    mirror: Array,
    step_size: float,
    starts: list[Array],
    name: str,
) -> list[Array]:
    """Minimise ``sum_i f_i(u_i) + h*(mirror + step_size sum_i K_i u_i) / step_size`` over all blocks jointly.

    Raises
    ------
    DomainError
        If the minimum is not attained, or the start lies outside the domain.
    """
    cuts = np.cumsum([start.size for start in starts])[:-1]
    matrix = np.hstack(matrices)
    u = np.concatenate([np.asarray(start, dtype=float) for start in starts])
    # continuation: h* may overflow or be flat at the start, so begin where the exponents are moderate
    top = float(np.max(np.abs(mirror), initial=0.0))
    gamma = step_size
    if domain_kind(kernel) != "space" and top > _MODERATE:
        gamma = step_size * _MODERATE / top
    if not kernel.in_dual_domain(mirror + step_size * (matrix @ u)):
        u = _into_dual_domain(matrix, kernel, mirror, step_size, name)
    while True:
        objective = _Objective(functions, cuts, matrix, kernel, (gamma / step_size) * mirror, gamma)
        u = _minimized(objective, u, name)
        if gamma >= step_size:
            return np.split(u, cuts)
        gamma = min(gamma * _STAGE, step_size)


def _into_dual_domain(matrix: Array, kernel: Any, mirror: Array, step_size: float, name: str) -> Array:
    """Return a u with ``mirror + step_size K u`` well inside dom h*, for kernels with dom h* = {y < 0} (Burg)."""
    if domain_kind(kernel) == "orthant":
        # min s subject to mirror/step_size + K u <= s, s >= -1: a linear program
        cost = np.append(np.zeros(matrix.shape[1]), 1.0)
        rows = np.hstack([matrix, -np.ones((matrix.shape[0], 1))])
        bounds = [(None, None)] * matrix.shape[1] + [(-1.0, None)]
        found = optimize.linprog(cost, rows, -mirror / step_size, bounds=bounds)
        if found.status == 0 and found.x[-1] < 0:
            return np.asarray(found.x[:-1])
    raise DomainError(
        f"the {name}-step has no minimiser: no {name} was found that brings mirror + step_size * K {name} into the "
        f"dual domain of {kernel!r}"
    )


class _Objective:
    """``F(u) = f(u) + h*(p + gamma K u) / gamma`` with its first two derivatives."""

    def __init__(
        self, functions: list[Any], cuts: Array, matrix: Array, kernel: Any, mirror: Array, gamma: float
    ) -> None:
        self.functions, self.cuts, self.matrix = functions, cuts, matrix
        self.kernel, self.mirror, self.gamma = kernel, mirror, gamma

    def split(self, u: Array) -> list[Array]:
        return np.split(u, self.cuts) if len(self.cuts) else [u]

    def point(self, u: Array) -> Array:
        return self.mirror + self.gamma * (self.matrix @ u)

    def value(self, u: Array) -> tuple[float, float]:
        """Return F(u) and the size of its parts, which bounds its rounding error; inf outside the domain."""
        t = self.point(u)
        if not self.kernel.full_dual and not self.kernel.in_dual_domain(t):
            return np.inf, np.inf
        f = sum(function.value(block) for function, block in zip(self.functions, self.split(u)))
        penalty = self.kernel.conjugate(t) / self.gamma
        total = float(f + penalty)
        return (total, abs(f) + abs(penalty)) if np.isfinite(total) else (np.inf, np.inf)

    def gradient(self, u: Array) -> tuple[Array, float]:
        """Return the gradient and the size of its parts."""
        own = np.concatenate([function.gradient(b) for function, b in zip(self.functions, self.split(u))])
        pull = self.matrix.T @ self.kernel.conjugate_gradient(self.point(u))
        return own + pull, float(np.max(np.abs(own)) + np.max(np.abs(pull)))

    def hessian(self, u: Array) -> Array:
        blocks = []
        for function, block in zip(self.functions, self.split(u)):
            hessian = function.hessian(block)
            blocks.append(difference_hessian(function, block) if hessian is None else np.asarray(hessian))
        curvature = _conjugate_hessian(self.kernel, self.point(u))
        inner = curvature[:, None] * self.matrix if curvature.ndim == 1 else curvature @ self.matrix
        return linalg.block_diag(*blocks) + self.gamma * (self.matrix.T @ inner)


def _conjugate_hessian(kernel: Any, t: Array) -> Array:
    if kernel.separable:
        return kernel.conjugate_hessian_diagonal(t)
    if domain_kind(kernel) == "simplex":
        x = kernel.conjugate_gradient(t)
        return np.diag(x) - np.outer(x, x) / kernel.total
    raise TypeError(f"Newton's method needs the Hessian of h*, which {kernel!r} does not give; use a separable kernel")


def _minimized(objective: _Objective, start: Array, name: str) -> Array:
    """Return the minimiser; DomainError if there is none, or the descent cannot start."""
    found = damped_newton(objective, start, max_iter=_MAX_NEWTON)
    if found.status == "outside":
        raise DomainError(f"the {name}-step cannot start: the function or h* is infinite at its start point")
    if found.status == "max_iter":
        raise DomainError(
            f"the {name}-step did not reach a minimiser in {_MAX_NEWTON} Newton steps; the block problem is probably "
            "unbounded below, or attains no minimum"
        )
    # at extreme step sizes rounding leaves a large gradient
    large = found.gradient_norm > 1e-4 * found.gradient_size
    if large and np.max(np.abs(found.x)) >= _RUN_OFF:  # ran off along a ray until its values could not tell steps apart
        raise DomainError(
            f"the {name}-step has no minimiser: it descends without end (gradient of length {found.gradient_norm:.1g} "
            f"at a {name} of size {np.max(np.abs(found.x)):.1g}); the problem is probably unbounded below"
        )
    return found.x
