"""Finite sums of affine operators with a constraint known by its resolvent."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from optlab.bregman import SquaredEuclidean
from optlab.bregman.functions import Function
from optlab.bregman.resolvents import resolvent
from optlab.core.validation import as_float_array
from optlab.games.problems.base import OperatorProblem
from optlab.games.problems.geometry import WholeSpace

Array = Any


class FiniteSumInclusion(OperatorProblem):
    """Find u with ``0 in mean_i F_i(u) + G(u)``: affine components, G the subdifferential of a function.

    ``F_i(u) = H_i u - c_i``.

    Parameters
    ----------
    matrices : array_like, shape (n, d, d)
        H_i; the symmetric part of their mean must be positive semidefinite.
    offsets : array_like, shape (n, d), optional
        c_i. Default: 0.
    constraint : Function, optional
        Of `optlab.bregman.functions`, with a Euclidean resolvent. Default: none.

    Attributes
    ----------
    cocoercivity : float
        The smallest L with ``mean |F_i(u) - F_i(v)|^2 <= L <F(u) - F(v), u - v>``; inf if there is none.

    strong_monotonicity, lipschitz : float
        Of the mean of the components.
    component_lipschitz : ndarray, shape (n,)
        Of each component.

    Notes
    -----
    Metric: ``residual``, ``|u - J(u - F(u))|``, with J the resolvent of G; without a constraint ``|F(u)|``. A
    measurement evaluates F in full, which is not counted.

    Examples
    --------
    >>> import optlab
    >>> from optlab.games import FiniteSumInclusion, VarianceReducedHalpern
    >>> rng = np.random.default_rng(0)
    >>> H = np.array([np.diag(rng.uniform(0.1, 1.0, 3)) for _ in range(200)])
    >>> problem = FiniteSumInclusion(H, np.ones((200, 3)))
    >>> result = optlab.solve(problem, VarianceReducedHalpern(), tol=1e-2, max_iter=5000, seed=0)
    >>> result.success, bool(np.abs(result.solution - problem.solution()).max() < 0.1)
    (True, True)
    """

    primary_metric = "residual"

    def __init__(self, matrices: Any, offsets: Any = None, constraint: Function | None = None) -> None:
        self.H = as_float_array(matrices, "matrices", ndim=3).astype(float)
        self.n, self.size = self.H.shape[:2]
        if self.H.shape[2] != self.size:
            raise ValueError(f"matrices must be square, got {self.H.shape[1:]}")
        shape = (self.n, self.size)
        self.c = np.zeros(shape) if offsets is None else as_float_array(offsets, "offsets", shape=shape).astype(float)
        if constraint is not None and not isinstance(constraint, Function):
            raise TypeError(f"constraint must be a Function of optlab.bregman.functions, got {constraint!r}")
        self.constraint, self.geometry = constraint, WholeSpace()
        self.mean_matrix, self.mean_offset = self.H.mean(axis=0), self.c.mean(axis=0)
        symmetric = 0.5 * (self.mean_matrix + self.mean_matrix.T)
        values, vectors = np.linalg.eigh(symmetric)
        size = max(float(np.abs(self.mean_matrix).max()), 1e-300)
        self.strong_monotonicity = max(float(values[0]), 0.0)
        self.lipschitz = float(np.linalg.norm(self.mean_matrix, 2))
        self.component_lipschitz = np.linalg.norm(self.H, 2, axis=(1, 2))
        if values[0] < -1e-10 * size:
            raise ValueError(f"the mean of the operators must be monotone; its smallest eigenvalue is {values[0]:.3g}")
        squares = np.einsum("kij,kil->jl", self.H, self.H) / self.n
        kept = values > 1e-12 * size
        lost = vectors[:, ~kept]
        self.cocoercivity = math.inf
        if not lost.size or float(np.abs(lost.T @ squares @ lost).max()) <= 1e-12 * size**2:
            root = vectors[:, kept] / np.sqrt(values[kept])
            self.cocoercivity = float(np.linalg.eigvalsh(root.T @ squares @ root)[-1]) if kept.any() else 0.0

    def default_start(self, rng: Any) -> Array:
        """Return 0, or the point of the constraint nearest to it."""
        return self.resolve(np.zeros(self.size), 1.0)

    def full(self, u: Array) -> Array:
        """Return the mean of all components at u."""
        return self.mean_matrix @ u - self.mean_offset

    def operator(self, x: Array) -> Array:
        """Return the mean of all components: what methods evaluate that know no components."""
        return self.full(x)

    def components(self, u: Array, rows: Array) -> Array:
        """Return the mean of some components at u."""
        return np.mean(self.H[rows] @ u - self.c[rows], axis=0)

    def each(self, u: Array) -> Array:
        """Return every component at u, shape (n, d)."""
        return np.asarray(self.H @ u - self.c)

    def resolve(self, v: Array, step_size: float) -> Array:
        """Return the resolvent of ``step_size G`` at v."""
        if self.constraint is None:
            return v
        return np.asarray(resolvent(self.constraint, SquaredEuclidean(), v, step_size))

    def measure(self, iterate: Any) -> dict[str, float]:
        """Return the natural residual."""
        u = np.asarray(iterate, dtype=float)
        return {"residual": float(np.linalg.norm(u - self.resolve(u - self.full(u), 1.0)))}

    def solution(self) -> Array:
        """Return the zero of F where there is no constraint and the mean is regular."""
        if self.constraint is not None:
            raise ValueError("solution is known in closed form without a constraint only")
        return np.linalg.solve(self.mean_matrix, self.mean_offset)
