"""Quadratic saddle points in whole space."""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.core.validation import as_float_array
from optlab.games.problems.base import OperatorProblem
from optlab.games.problems.geometry import WholeSpace

Array = Any


class SaddlePoint(OperatorProblem):
    """Find the saddle point of ``x^T A x / 2 + x^T B y - y^T C y / 2 + b^T x - c^T y``.

    Parameters
    ----------
    B : array_like, shape (n, m)
        The coupling.
    A, C : array_like, shapes (n, n) and (m, m), optional
        Positive semidefinite. Default: 0, a bilinear saddle point.
    b, c : array_like, shapes (n,) and (m,), optional
        Default: 0.

    Notes
    -----
    ``F(x, y) = (A x + B y + b, -B^T x + C y + c)``. Metrics: ``residual``, the norm of F, the primary one; ``gap``, the
    exact duality gap, where A and C are positive definite.

    Examples
    --------
    >>> import optlab
    >>> from optlab.games import Extragradient, SaddlePoint
    >>> problem = SaddlePoint([[1.0]], b=[1.0])
    >>> optlab.solve(problem, Extragradient(), tol=1e-9, max_iter=2000).solution.round(6) + 0.0
    array([ 0., -1.])
    """

    def __init__(self, B: Any, A: Any = None, C: Any = None, b: Any = None, c: Any = None) -> None:
        self.B = as_float_array(B, "B", ndim=2).astype(float)
        n, m = self.B.shape
        self.A, self.C = (
            np.zeros((k, k)) if value is None else as_float_array(value, name, shape=(k, k)).astype(float)
            for value, name, k in ((A, "A", n), (C, "C", m))
        )
        self.b, self.c = (
            np.zeros(k) if value is None else as_float_array(value, name, shape=(k,)).astype(float)
            for value, name, k in ((b, "b", n), (c, "c", m))
        )
        lowest = []
        for matrix, name in ((self.A, "A"), (self.C, "C")):
            if not np.allclose(matrix, matrix.T, rtol=0, atol=1e-12 * (1 + np.abs(matrix).max())):
                raise ValueError(f"{name} must be symmetric")
            lowest.append(float(np.linalg.eigvalsh(matrix)[0]))
            if lowest[-1] < -1e-10 * (1 + np.abs(matrix).max()):
                raise ValueError(f"{name} must be positive semidefinite; its smallest eigenvalue is {lowest[-1]:.3g}")
        self.size, self.geometry = n + m, WholeSpace()
        self.jacobian = np.block([[self.A, self.B], [-self.B.T, self.C]])
        self.offset = np.concatenate([self.b, self.c])
        self.lipschitz = float(np.linalg.norm(self.jacobian, 2))
        self.strong_monotonicity = max(min(lowest), 0.0)
        self._has_gap = min(lowest) > 1e-12 * max(self.lipschitz, 1e-300)

    def default_start(self, rng: Any) -> Array:
        """Return 0."""
        return np.zeros(self.size)

    def operator(self, x: Array) -> Array:
        """Return F(x)."""
        return self.jacobian @ x + self.offset

    def measure(self, iterate: Any) -> dict[str, float]:
        """Return the norm of F, and the duality gap where it is finite everywhere."""
        z = np.asarray(iterate, dtype=float)
        metrics = {"residual": float(np.linalg.norm(self.operator(z)))}
        if self._has_gap:
            n = self.b.size
            x, y = z[:n], z[n:]
            pull, push = self.B.T @ x - self.c, self.B @ y + self.b
            upper = 0.5 * x @ self.A @ x + self.b @ x + 0.5 * pull @ np.linalg.solve(self.C, pull)
            lower = -0.5 * y @ self.C @ y - self.c @ y - 0.5 * push @ np.linalg.solve(self.A, push)
            metrics["gap"] = max(float(upper - lower), 0.0)
        return metrics
