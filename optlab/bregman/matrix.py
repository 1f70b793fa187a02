"""Spectral kernels on symmetric positive definite matrices: log-determinant (Burg) and von Neumann (Shannon).

Points are matrices of shape (n, n), or stacks of shape (..., n, n) over which h sums. They must be symmetric up to
rounding; the symmetric part is what is used. NumPy arrays only. Resolvents of terms are not known here.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.bregman.elementary import Array, kl_terms, log_ratio, phi, quiet, xlogx
from optlab.bregman.legendre import Legendre, as_point, reduce_sum
from optlab.core.errors import DomainError


class SpectralLegendre(Legendre):
    """Base class of kernels ``h(X) = sum_i k(lambda_i(X))`` on symmetric matrices.

    In `value`, `conjugate` and the divergences, `axis` counts the leading (stack) axes of the point.

    Examples
    --------
    >>> stack = np.stack([np.eye(2), 2 * np.eye(2)])
    >>> (LogDeterminant().value(stack, axis=0) / np.log(2)).round(12)
    np.float64(-2.0)
    """

    @abc.abstractmethod
    def _kernel(self, eigenvalues: np.ndarray) -> np.ndarray:
        """The scalar kernel k on non-negative numbers."""

    @abc.abstractmethod
    def _conjugate_kernel(self, eigenvalues: np.ndarray) -> np.ndarray:
        """The scalar conjugate k* on its domain."""

    @property
    def domain(self) -> str:
        return "symmetric positive definite X"

    def value(self, x: Array, axis: int | None = None) -> Any:
        eigenvalues = _eigenvalues(_symmetric(x, "x"))
        with quiet():
            terms = np.where(eigenvalues >= 0, self._kernel(eigenvalues), np.inf)
        return reduce_sum(np, terms.sum(axis=-1), axis)

    def conjugate(self, y: Array, axis: int | None = None) -> Any:
        eigenvalues = _eigenvalues(_symmetric(y, "y"))
        with quiet():
            inside = np.ones_like(eigenvalues, dtype=bool) if self.full_dual else eigenvalues < 0
            terms = np.where(inside, self._conjugate_kernel(eigenvalues), np.inf)
            return reduce_sum(np, terms.sum(axis=-1), axis)

    def in_domain(self, x: Array) -> bool:
        return bool(np.all(_eigenvalues(_symmetric(x, "x")) > 0))

    def in_closure(self, x: Array) -> bool:
        return bool(np.all(_eigenvalues(_symmetric(x, "x")) >= 0))

    def in_dual_domain(self, y: Array) -> bool:
        y = _symmetric(y, "y")
        return self.full_dual or bool(np.all(_eigenvalues(y) < 0))

    def check_domain(self, x: Array, name: str = "x") -> None:
        self._require_sign(_eigenvalues(_symmetric(x, name)), name, 1, self.domain)

    def check_dual_domain(self, y: Array, name: str = "y") -> None:
        y = _symmetric(y, name)
        if not self.full_dual:
            self._require_sign(_eigenvalues(y), name, -1, self.dual_domain)

    def default_point(self, shape: int | tuple[int, ...]) -> np.ndarray:
        shape = (shape, shape) if isinstance(shape, int) else tuple(shape)
        if len(shape) < 2 or shape[-1] != shape[-2]:
            raise ValueError(f"shape must be n or (..., n, n), got {shape}")
        return np.array(np.broadcast_to(np.eye(shape[-1]), shape))

    def _require_sign(self, eigenvalues: np.ndarray, name: str, sign: int, words: str) -> None:
        if not np.all(sign * eigenvalues > 0):
            worst = eigenvalues.min() if sign > 0 else eigenvalues.max()
            extreme = "smallest" if sign > 0 else "largest"
            raise DomainError(f"{name} must be a {words} for {self.label}, but its {extreme} eigenvalue is {worst:g}")


@dataclass(frozen=True, eq=False)
class LogDeterminant(SpectralLegendre):
    """The kernel ``h(X) = -log det X``, with ``h*(Y) = -n - log det(-Y)`` on negative definite Y.

    The mirror variable is ``-X^{-1}``; its range is not the whole space, so that reflections may leave it. The
    divergence ``tr(X Y^{-1}) - log det(X Y^{-1}) - n`` is Stein's loss. There is no modulus of strong convexity.

    Examples
    --------
    >>> kernel = LogDeterminant()
    >>> np.diag(kernel.gradient([[2.0, 0.0], [0.0, 4.0]]))
    array([-0.5 , -0.25])
    >>> kernel.divergence(np.eye(2), np.eye(2))
    0.0
    """

    domain_kind: ClassVar[str] = "semidefinite"

    full_dual: ClassVar[bool] = False
    dual_domain: ClassVar[str] = "symmetric negative definite Y"

    def _kernel(self, eigenvalues: np.ndarray) -> np.ndarray:
        values: np.ndarray = -np.log(eigenvalues)
        return values

    def _conjugate_kernel(self, eigenvalues: np.ndarray) -> np.ndarray:
        values: np.ndarray = -1 - np.log(-eigenvalues)
        return values

    def gradient(self, x: Array) -> Array:
        values, vectors = _eigh(_symmetric(x, "x"))
        self._require_sign(values, "x", 1, self.domain)
        return _assemble(-1 / values, vectors)

    def conjugate_gradient(self, y: Array) -> Array:
        values, vectors = _eigh(_symmetric(y, "y"))
        self._require_sign(values, "y", -1, self.dual_domain)
        return _assemble(-1 / values, vectors)

    def divergence(self, x: Array, y: Array, axis: int | None = None) -> Any:
        x, y = _symmetric(x, "x"), _symmetric(y, "y")
        return reduce_sum(np, _stein_loss(x, y, self.in_closure(y), "y", self), axis)

    def dual_divergence(self, u: Array, v: Array, axis: int | None = None) -> Any:
        self.check_dual_domain(u, "u")
        self.check_dual_domain(v, "v")
        # -X^{-1} is an involution up to sign, so D* has the form of D on the negated arguments
        u, v = -_symmetric(u, "u"), -_symmetric(v, "v")
        return reduce_sum(np, _stein_loss(u, v, True, "v", self), axis)


@dataclass(frozen=True, eq=False)
class VonNeumann(SpectralLegendre):
    """The kernel ``h(X) = tr(X log X - X)``, with ``h*(Y) = tr exp(Y)`` on all symmetric Y.

    The mirror variable is the matrix logarithm. The divergence is the quantum relative entropy
    ``tr(X log X - X log Y - X + Y)``. On ``tr X = 1`` the modulus of strong convexity is 1 in the trace norm, and so in
    the Frobenius norm; on the whole cone there is none.

    `conjugate_gradient` raises OverflowError where ``exp(Y)`` exceeds floating-point range, since an infinite
    eigenvalue leaves no meaningful matrix entry.

    Examples
    --------
    >>> VonNeumann().conjugate_gradient([[0.0, 0.0], [0.0, -1e300]])
    array([[1., 0.],
           [0., 0.]])
    """

    domain_kind: ClassVar[str] = "semidefinite"

    def _kernel(self, eigenvalues: np.ndarray) -> np.ndarray:
        return np.asarray(xlogx(np, eigenvalues) - eigenvalues)

    def _conjugate_kernel(self, eigenvalues: np.ndarray) -> np.ndarray:
        values: np.ndarray = np.exp(eigenvalues)
        return values

    def gradient(self, x: Array) -> Array:
        values, vectors = _eigh(_symmetric(x, "x"))
        self._require_sign(values, "x", 1, self.domain)
        return _assemble(np.log(values), vectors)

    def conjugate_gradient(self, y: Array) -> Array:
        values, vectors = _eigh(_symmetric(y, "y"))
        limit = float(np.log(np.finfo(values.dtype).max)) - 1
        if values.max() > limit:
            raise OverflowError(
                f"the matrix exponential of y overflows: its largest eigenvalue is {values.max():g}, "
                f"the most that {values.dtype} can hold is {limit:g}"
            )
        with quiet():
            return _assemble(np.exp(values), vectors)

    def divergence(self, x: Array, y: Array, axis: int | None = None) -> Any:
        (a, left), (b, right) = _eigh(_symmetric(x, "x")), _eigh(_symmetric(y, "y"))
        tiny = a.shape[-1] * float(np.finfo(b.dtype).eps)
        if not np.all(b >= -tiny * np.abs(b).max()):
            raise DomainError(f"y must be positive semidefinite for {self.label}, but has the eigenvalue {b.min():g}")
        outside = np.any(a < -tiny * np.abs(a).max(axis=-1, keepdims=True), axis=-1)
        a, b = np.maximum(a, 0), np.maximum(b, 0)
        # tr of both logarithms in the two eigenbases: a sum of scalar terms with weights <u_i, v_j>^2, all >= 0
        weights = np.square(np.swapaxes(left, -1, -2) @ right)
        with quiet():
            terms = kl_terms(np, a[..., :, None], b[..., None, :])
            total = np.where(weights > tiny**2, weights * terms, 0).sum(axis=(-2, -1))
        return reduce_sum(np, np.where(outside, np.inf, total), axis)

    def dual_divergence(self, u: Array, v: Array, axis: int | None = None) -> Any:
        return self.divergence(self.conjugate_gradient(v), self.conjugate_gradient(u), axis)


def _symmetric(value: Array, name: str) -> np.ndarray:
    """Return the symmetric part of `value`; ValueError if it is not a (stack of) symmetric matrices."""
    xp, array = as_point(value, name)
    if xp is not np:
        raise TypeError(f"{name} must be a NumPy array: the matrix kernels have no other backend")
    if array.ndim < 2 or array.shape[-1] != array.shape[-2]:
        raise ValueError(f"{name} must have shape (n, n) or (..., n, n), got {array.shape}")
    transposed = np.swapaxes(array, -1, -2)
    gap, size = float(np.abs(array / 2 - transposed / 2).max()), float(np.abs(array).max())
    slack = 1e4 * float(np.finfo(array.dtype).eps)
    if gap > slack * size:
        raise ValueError(f"{name} must be symmetric, but it differs from its transpose by {2 * gap:g}")
    return np.asarray(array / 2 + transposed / 2)


def _eigenvalues(matrix: np.ndarray) -> np.ndarray:
    return np.linalg.eigvalsh(matrix)


def _eigh(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, vectors = np.linalg.eigh(matrix)
    return values, vectors


def _assemble(values: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    matrix = (vectors * values[..., None, :]) @ np.swapaxes(vectors, -1, -2)
    return np.asarray((matrix + np.swapaxes(matrix, -1, -2)) / 2)  # symmetric to the last bit


def _stein_loss(x: np.ndarray, y: np.ndarray, y_in_closure: bool, name: str, kernel: Legendre) -> np.ndarray:
    """Return Stein's loss of X and Y = LL^T, from the eigenvalues of ``L^{-1} (X - Y) L^{-T}``."""
    if not y_in_closure:
        raise DomainError(f"{name} must be positive semidefinite for {kernel.label}, but has a negative eigenvalue")
    try:
        inverse = np.linalg.inv(np.linalg.cholesky(y))
    except np.linalg.LinAlgError:  # Y is singular, and every X is at infinite distance
        return np.full(np.broadcast_shapes(x.shape, y.shape)[:-2], np.inf, dtype=x.dtype)
    transposed = np.swapaxes(inverse, -1, -2)
    shifted = inverse @ (x - y) @ transposed
    m = np.linalg.eigvalsh((shifted + np.swapaxes(shifted, -1, -2)) / 2)  # relative differences: small when X ~ Y
    with quiet():
        t = log_ratio(np, 1 + m, np.ones_like(m))
        t = np.where(np.abs(m) <= 0.5, np.log1p(m), t)
        terms = np.where(m > -1, phi(np, t), np.inf)
    return np.asarray(terms.sum(axis=-1))
