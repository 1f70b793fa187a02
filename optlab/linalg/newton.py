"""The damped Newton method for a smooth convex function of a vector, down to the rounding of its values.

Newton steps with Armijo backtracking (Nocedal and Wright 2006, Algorithm 3.2 with modified Cholesky factors). Once the
descent that a step promises is hidden by the rounding of the values, full steps go on as long as each halves the
gradient. What this file does not do: large problems (the Hessian is dense), constraints, functions that are not convex.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy import linalg

Array = Any

#: Part of the descent that the slope promises which a step has to bring.
ARMIJO = 1e-4


class SmoothObjective(Protocol):
    """A convex function with the sizes of what its values and gradients are summed of, which bound their rounding."""

    def value(self, x: Array) -> tuple[float, float]:
        """Return the value (infinite outside the domain) and the sum of the absolute values of its summands."""
        ...

    def gradient(self, x: Array) -> tuple[Array, float]:
        """Return the gradient and the length of its largest summand."""
        ...

    def hessian(self, x: Array) -> Array:
        """Return the (n, n) Hessian."""
        ...


@dataclass(frozen=True)
class NewtonResult:
    """Where `damped_newton` stopped.

    Attributes
    ----------
    x : ndarray
    status : {"stationary", "rounding", "outside", "max_iter"}
        The gradient is zero to rounding; rounding stopped the descent; the start lies outside the domain; out of
        iterations.
    gradient_norm, gradient_size : float
        Length of the gradient, and of the largest of its summands.
    n_iter : int
        Steps taken.
    """

    x: Array
    status: str
    gradient_norm: float
    gradient_size: float
    n_iter: int


def damped_newton(objective: SmoothObjective, x: Array, *, max_iter: int = 300) -> NewtonResult:
    """Minimise a smooth convex function by damped Newton steps until rounding stops the descent.

    Parameters
    ----------
    objective : SmoothObjective
        With ``value``, ``gradient`` and ``hessian``; value and gradient each with a size for their rounding.
    x : ndarray, shape (n,)
        The start; it is not changed.
    max_iter : int, default 300

    Returns
    -------
    NewtonResult

    Examples
    --------
    >>> class LogSumExp:
    ...     def value(self, x):
    ...         return float(np.log(np.exp(x).sum()) - x.mean()), 1.0
    ...     def gradient(self, x):
    ...         return np.exp(x) / np.exp(x).sum() - 1 / x.size, 1.0
    ...     def hessian(self, x):
    ...         p = np.exp(x) / np.exp(x).sum()
    ...         return np.diag(p) - np.outer(p, p)
    >>> found = damped_newton(LogSumExp(), np.array([1.0, 0.0, -1.0]))
    >>> bool(np.ptp(found.x) < 1e-7)
    True
    """
    with np.errstate(over="ignore", invalid="ignore"):
        value, size = objective.value(x)
        if not np.isfinite(value):
            return NewtonResult(x, "outside", np.inf, np.inf, 0)
        gradient, parts = objective.gradient(x)
        for k in range(max_iter):
            norm = float(np.linalg.norm(gradient))
            if norm <= 1e-16 * parts:
                return NewtonResult(x, "stationary", norm, parts, k)
            direction = newton_direction(objective.hessian(x), gradient)
            slope = float(gradient @ direction)
            stopped = NewtonResult(x, "rounding", norm, parts, k)
            step, hidden = 1.0, -slope <= 1e-14 * size
            candidate = x + direction
            new_value, new_size = objective.value(candidate)
            # where rounding hides the values' difference: full steps, while the gradient still shrinks
            if hidden and not np.isfinite(new_value):
                return stopped
            while not hidden and not new_value <= value + ARMIJO * step * slope:
                step *= 0.5
                if step < 1e-12:  # no descent left along the Newton direction
                    return stopped
                candidate = x + step * direction
                new_value, new_size = objective.value(candidate)
            new_gradient, new_parts = objective.gradient(candidate)
            if hidden and not np.linalg.norm(new_gradient) < 0.5 * norm:
                return stopped
            x, value, size, gradient, parts = candidate, new_value, new_size, new_gradient, new_parts
    return NewtonResult(x, "max_iter", float(np.linalg.norm(gradient)), parts, max_iter)


def newton_direction(hessian: Array, gradient: Array) -> Array:
    """Return ``-(H + damping I)^{-1} g`` with as little damping as makes it a finite descent direction.

    Examples
    --------
    >>> newton_direction(np.diag([2.0, 4.0]), np.array([2.0, 2.0]))
    array([-1. , -0.5])
    """
    damping = 0.0
    scale = float(np.trace(hessian)) / len(hessian)
    for _ in range(20):
        try:
            factor = linalg.cho_factor(hessian + damping * np.eye(len(hessian)), check_finite=False)
            direction = -linalg.cho_solve(factor, gradient, check_finite=False)
        except linalg.LinAlgError:
            direction = np.full_like(gradient, np.nan)
        if np.all(np.isfinite(direction)) and gradient @ direction < 0:
            return direction
        damping = max(10.0 * damping, 1e-15 * scale, 1e-300)
    return -gradient / max(1.0, float(np.linalg.norm(gradient)))
