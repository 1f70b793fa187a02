"""The quadratic kernels: with them every Bregman method is its classical, Euclidean self.

`SquaredEuclidean` is ``h(x) = ||x||^2 / 2``, its own conjugate; `Mahalanobis` is ``h(x) = <x, Q x> / 2``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from scipy import linalg

from optlab.bregman.elementary import quiet
from optlab.bregman.legendre import Array, Legendre, SeparableLegendre, as_point, reduce_sum
from optlab.core.validation import as_float_array


@dataclass(frozen=True, eq=False)
class SquaredEuclidean(SeparableLegendre):
    """The kernel ``h(x) = ||x||^2 / 2``: mirror variable x, divergence ``||x - y||^2 / 2``, strong convexity 1.

    Examples
    --------
    >>> SquaredEuclidean().divergence([3.0, 0.0], [0.0, 4.0])
    12.5
    """

    domain_kind: ClassVar[str] = "space"

    @property
    def strong_convexity(self) -> float | None:
        return 1.0

    def _interior(self, xp: Any, x: Array) -> Array:
        return xp.isfinite(x)

    def _closure(self, xp: Any, x: Array) -> Array:
        return xp.isfinite(x)

    def _value(self, xp: Any, x: Array) -> Array:
        return x * x / 2

    def _gradient(self, xp: Any, x: Array) -> Array:
        return x + 0.0  # a new array: callers may keep both

    def _hessian(self, xp: Any, x: Array) -> Array:
        return xp.ones_like(x)

    def _conjugate(self, xp: Any, y: Array) -> Array:
        return y * y / 2

    def _conjugate_gradient(self, xp: Any, y: Array) -> Array:
        return y + 0.0

    def _conjugate_hessian(self, xp: Any, y: Array) -> Array:
        return xp.ones_like(y)

    def _divergence(self, xp: Any, x: Array, y: Array) -> Array:
        return (x - y) * (x - y) / 2

    def _dual_divergence(self, xp: Any, u: Array, v: Array) -> Array:
        return (u - v) * (u - v) / 2

    def default_point(self, shape: int | tuple[int, ...]) -> np.ndarray:
        return np.zeros(shape)


@dataclass(frozen=True, eq=False)
class Mahalanobis(Legendre):
    """The kernel ``h(x) = <x, Q x> / 2`` with Q symmetric positive definite; the mirror variable is ``Q x``.

    Points are vectors of length n, or arrays of shape (..., n) whose rows are such vectors (h sums over rows). The
    modulus of strong convexity is the smallest eigenvalue of Q. NumPy arrays only.

    Parameters
    ----------
    Q : array_like, shape (n, n)
        Symmetric positive definite matrix.

    Raises
    ------
    ValueError
        If `Q` is not square, not symmetric, or not positive definite.

    Examples
    --------
    >>> kernel = Mahalanobis([[2.0, 0.0], [0.0, 8.0]])
    >>> kernel.gradient([1.0, 1.0])
    array([2., 8.])
    >>> round(kernel.divergence([1.0, 0.0], [0.0, 1.0]), 12), kernel.strong_convexity
    (5.0, 2.0)
    """

    domain_kind: ClassVar[str] = "space"

    Q: Any

    def __post_init__(self) -> None:
        Q = as_float_array(self.Q, "Q", ndim=2)
        if Q.shape[0] != Q.shape[1]:
            raise ValueError(f"Q must be square, got shape {Q.shape}")
        gap = np.abs(Q - Q.T)
        if gap.max() > 1e3 * np.finfo(Q.dtype).eps * np.abs(Q).max():
            where = [int(i) for i in np.unravel_index(int(np.argmax(gap)), Q.shape)]
            raise ValueError(f"Q must be symmetric, but Q and its transpose differ by {gap.max():g} at index {where}")
        Q = (Q + Q.T) / 2
        Q.setflags(write=False)  # the kernel is a value: hashed by content, with its factor kept
        object.__setattr__(self, "Q", Q)
        smallest = float(self._eigenvalues[0])
        if not smallest > 0:
            raise ValueError(f"Q must be positive definite, but its smallest eigenvalue is {smallest:g}")
        try:
            self._factor  # noqa: B018 - factor now, so that a Q too ill-conditioned is refused here
        except np.linalg.LinAlgError:
            raise ValueError(
                f"Q must be positive definite to working precision, but its eigenvalues range from {smallest:g} to "
                f"{float(self._eigenvalues[-1]):g}"
            ) from None

    @cached_property
    def _eigenvalues(self) -> np.ndarray:
        return np.linalg.eigvalsh(self.Q)

    @cached_property
    def _factor(self) -> np.ndarray:
        return np.linalg.cholesky(self.Q)

    @property
    def strong_convexity(self) -> float | None:
        return float(self._eigenvalues[0])

    @property
    def domain(self) -> str:
        n = self.Q.shape[0]
        return f"any real x of shape (..., {n})"

    def value(self, x: Array, axis: int | None = None) -> Any:
        x = self._point(x, "x")
        return self._half_square(x @ self._factor.astype(x.dtype, copy=False), axis)

    def gradient(self, x: Array) -> Array:
        x = self._point(x, "x")
        with quiet():
            return x @ self.Q.astype(x.dtype, copy=False)

    def conjugate(self, y: Array, axis: int | None = None) -> Any:
        return self._half_square(self._whiten(self._point(y, "y")), axis)

    def conjugate_gradient(self, y: Array) -> Array:
        y = self._point(y, "y")
        rows = np.atleast_2d(y.reshape(-1, y.shape[-1]))
        solved = linalg.cho_solve((self._factor, True), rows.T, check_finite=False).T
        return np.ascontiguousarray(solved.reshape(y.shape), dtype=y.dtype)

    def divergence(self, x: Array, y: Array, axis: int | None = None) -> Any:
        return self.value(self._point(x, "x") - self._point(y, "y"), axis)

    def dual_divergence(self, u: Array, v: Array, axis: int | None = None) -> Any:
        return self.conjugate(self._point(u, "u") - self._point(v, "v"), axis)

    def in_domain(self, x: Array) -> bool:
        x = np.asarray(x)
        return x.ndim > 0 and x.shape[-1] == self.Q.shape[0] and bool(np.all(np.isfinite(x)))

    def in_closure(self, x: Array) -> bool:
        return self.in_domain(x)

    def check_domain(self, x: Array, name: str = "x") -> None:
        self._point(x, name)

    def default_point(self, shape: int | tuple[int, ...]) -> np.ndarray:
        return np.zeros(shape)

    def _point(self, x: Array, name: str) -> np.ndarray:
        xp, x = as_point(x, name)
        if xp is not np:
            raise TypeError(f"{name} must be a NumPy array: Mahalanobis has no other backend")
        if x.ndim == 0 or x.shape[-1] != self.Q.shape[0]:
            raise ValueError(f"{name} must have shape (..., {self.Q.shape[0]}) to fit Q, got {x.shape}")
        return np.asarray(x)

    def _whiten(self, y: np.ndarray) -> np.ndarray:
        rows = y.reshape(-1, y.shape[-1])
        solved = linalg.solve_triangular(self._factor, rows.T, lower=True, check_finite=False).T
        point: np.ndarray = solved.reshape(y.shape).astype(y.dtype, copy=False)
        return point

    @staticmethod
    def _half_square(root: np.ndarray, axis: int | None) -> Any:
        with quiet():
            return reduce_sum(np, root * root / 2, axis)
