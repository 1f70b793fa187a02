"""Quadratic and logistic losses, and the skew operator of a matrix game.

`Quadratic` and `LeastSquares` factor their matrix once, on first use, and reuse it at every step size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from scipy import special

from optlab.bregman.functions.base import Array, Function, MonotoneOperator
from optlab.bregman.functions.divergences import SquaredDistance, euclidean_constants
from optlab.bregman.functions.rays import ROUNDING, Ray, inner, length
from optlab.core.validation import as_data, as_number, read_only
from optlab.linalg import LinearMap, as_linear_map


@dataclass(frozen=True, eq=False)
class Quadratic(Function):
    """The convex quadratic ``x^T Q x / 2 + <c, x>``.

    Parameters
    ----------
    Q : array_like, shape (n, n)
        Symmetric positive semidefinite.
    c : array_like, shape (n,), optional
        Linear part. Default 0.

    Raises
    ------
    ValueError
        If `Q` is not symmetric positive semidefinite (to rounding).

    Examples
    --------
    >>> Quadratic([[2.0, 0.0], [0.0, 1.0]], [1.0, 0.0]).value(np.array([1.0, 2.0]))
    4.0
    """

    Q: Any
    c: Any = None
    smooth: ClassVar[bool] = True
    single_valued: ClassVar[bool] = True
    whole_space: ClassVar[bool] = True

    def __post_init__(self) -> None:
        Q = as_data(self.Q, "Q", ndim=2)
        if Q.shape[0] != Q.shape[1]:
            raise ValueError(f"Q must be square, got shape {Q.shape}")
        if not np.allclose(Q, Q.T, rtol=1e-10, atol=1e-12 * np.abs(Q).max()):
            i, j = (int(k) for k in np.unravel_index(np.argmax(np.abs(Q - Q.T)), Q.shape))
            raise ValueError(f"Q must be symmetric, but Q[{i}, {j}] = {Q[i, j]:g} and Q[{j}, {i}] = {Q[j, i]:g}")
        c = read_only(np.zeros(len(Q))) if self.c is None else as_data(self.c, "c", shape=(len(Q),))
        object.__setattr__(self, "Q", Q)
        object.__setattr__(self, "c", c)
        eigenvalues, _ = self.spectrum
        if eigenvalues[0] < 0:
            raise ValueError(f"Q must be positive semidefinite, but its smallest eigenvalue is {eigenvalues[0]:g}")

    @cached_property
    def spectrum(self) -> tuple[Array, Array]:
        """Eigenvalues in ascending order (those that are zero to rounding set to zero) and eigenvectors as columns."""
        eigenvalues, vectors = np.linalg.eigh(self.Q)
        noise = len(eigenvalues) * np.finfo(float).eps * np.abs(eigenvalues).max()
        eigenvalues[np.abs(eigenvalues) <= noise] = 0.0
        return read_only(eigenvalues), read_only(vectors)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.c.shape)

    @cached_property
    def conjugate_domain(self) -> str:  # type: ignore[override]
        """Everywhere, if Q is positive definite."""
        return "everywhere" if self.spectrum[0][0] > 0 else "set" if np.any(self.c) else "star"

    def conjugate_value(self, y: Array) -> float:
        eigenvalues, vectors = self.spectrum
        parts = vectors.T @ (y - self.c)
        flat = eigenvalues == 0.0
        if np.any(np.abs(parts[flat]) > 1e-12 * (length(y) + length(self.c))):
            return math.inf
        return 0.5 * float(np.sum(parts[~flat] ** 2 / eigenvalues[~flat]))

    def conjugate_scale(self, y: Array) -> float:
        if self.conjugate_domain == "star":
            return math.inf if math.isfinite(self.conjugate_value(y)) else 0.0
        return super().conjugate_scale(y)

    def scaled(self, factor: float) -> Function:
        factor = as_number(factor, "factor", minimum=0)
        return Quadratic(factor * self.Q, factor * self.c)

    def value(self, x: Array) -> float:
        return float(0.5 * x @ (self.Q @ x) + self.c @ x)

    def gradient(self, x: Array) -> Array:
        return np.asarray(self.Q @ x + self.c)

    def hessian(self, x: Array) -> Array:
        return np.asarray(self.Q)

    def recession(self, direction: Array) -> Ray:
        eigenvalues, vectors = self.spectrum
        flat = vectors[:, eigenvalues == 0.0]
        moved = flat @ (flat.T @ direction)
        curved = ~(eigenvalues == 0.0)
        off = length((vectors[:, curved].T @ (self.Q @ moved)) / eigenvalues[curved])
        return Ray(moved, *inner(self.c, moved), off + ROUNDING * length(moved), linear=True)

    def relative_smoothness(self, kernel: Any) -> tuple[float, float] | None:
        eigenvalues, _ = self.spectrum
        return euclidean_constants(kernel, float(eigenvalues[-1]), float(eigenvalues[0]))


@dataclass(frozen=True, eq=False)
class LeastSquares(Function):
    """The least-squares loss ``(weight/2) ||A x - b||^2``.

    Parameters
    ----------
    A : array_like, shape (m, n)
    b : array_like, shape (m,)
    weight : float
        Default 1.

    Examples
    --------
    >>> LeastSquares([[1.0, 1.0]], [1.0]).value(np.array([2.0, 1.0]))
    2.0
    """

    A: Any
    b: Any
    weight: float = 1.0
    smooth: ClassVar[bool] = True
    single_valued: ClassVar[bool] = True
    whole_space: ClassVar[bool] = True

    def __post_init__(self) -> None:
        A = as_data(self.A, "A", ndim=2)
        object.__setattr__(self, "A", A)
        object.__setattr__(self, "b", as_data(self.b, "b", shape=(A.shape[0],)))
        object.__setattr__(self, "weight", as_number(self.weight, "weight", minimum=0))

    @property
    def shape(self) -> tuple[int, ...]:
        return (int(self.A.shape[1]),)

    def decomposed(self) -> tuple[Function, Any]:
        return SquaredDistance(self.b, self.weight), self.linear_map

    @cached_property
    def linear_map(self) -> LinearMap:
        """The matrix as a map of `optlab.linalg`."""
        return as_linear_map(self.A)

    @cached_property
    def svd(self) -> tuple[Array, Array, Array]:
        """The thin singular value decomposition of `A`."""
        left, singular, right = np.linalg.svd(self.A, full_matrices=False)
        return read_only(left), read_only(singular), read_only(right)

    def value(self, x: Array) -> float:
        residual = self.A @ x - self.b
        return 0.5 * self.weight * float(residual @ residual)

    def gradient(self, x: Array) -> Array:
        return np.asarray(self.weight * (self.A.T @ (self.A @ x - self.b)))

    def hessian(self, x: Array) -> Array:
        return np.asarray(self.weight * (self.A.T @ self.A))

    def recession(self, direction: Array) -> Ray:
        left, singular, right = self.svd
        keep = singular > singular.max(initial=0.0) * max(self.A.shape) * np.finfo(float).eps
        left, singular, rows = left[:, keep], singular[keep], right[keep]
        moved = direction - rows.T @ (rows @ direction)
        moved = moved - rows.T @ (rows @ moved)  # once more: what cancellation has left
        off = length((left.T @ (self.A @ moved)) / singular)
        return Ray(moved, error=off + ROUNDING * length(moved), linear=True)

    def relative_smoothness(self, kernel: Any) -> tuple[float, float] | None:
        _, singular, right = self.svd
        smallest = float(singular[-1]) ** 2 if right.shape[0] == right.shape[1] else 0.0
        return euclidean_constants(kernel, self.weight * float(singular[0]) ** 2, self.weight * smallest)


@dataclass(frozen=True, eq=False)
class Logistic(Function):
    """The logistic loss ``weight * sum_i log(1 + exp(-labels_i <features_i, x>))``.

    Parameters
    ----------
    features : array_like, shape (m, n), or None
        One row per sample; None for the separable loss of the margins themselves, ``features = identity``.
    labels : array_like, shape (m,)
        Entries -1 or 1.
    weight : float
        Default 1.

    Examples
    --------
    >>> round(Logistic(None, [1.0, -1.0]).value(np.zeros(2)), 6)
    1.386294
    """

    features: Any
    labels: Any
    weight: float = 1.0
    smooth: ClassVar[bool] = True
    single_valued: ClassVar[bool] = True
    whole_space: ClassVar[bool] = True

    def __post_init__(self) -> None:
        labels = as_data(self.labels, "labels", ndim=1)
        if not np.all(np.abs(labels) == 1):
            bad = int(np.argmax(np.abs(labels) != 1))
            raise ValueError(f"labels must be -1 or 1, got {labels[bad]:g} at index [{bad}]")
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "weight", as_number(self.weight, "weight", minimum=0))
        if self.features is not None:
            features = as_data(self.features, "features", shape=(labels.size, None))
            object.__setattr__(self, "features", features)
        object.__setattr__(self, "separable", self.features is None)
        # 0 is a corner of the domain: any multiple up to the largest is inside, but not every small change
        object.__setattr__(self, "conjugate_domain", "star" if self.features is None else None)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.labels.shape) if self.features is None else (int(self.features.shape[1]),)

    def decomposed(self) -> tuple[Function, Any]:
        if self.features is None:
            return self, None
        return Logistic(None, self.labels, self.weight), self.linear_map

    @cached_property
    def linear_map(self) -> LinearMap:
        """The features as a map of `optlab.linalg`."""
        return as_linear_map(self.features)

    def conjugate_value(self, y: Array) -> float:
        share = -self.labels * y / self.weight if self.weight > 0 else np.where(y == 0, 0.0, np.inf)
        if self.features is not None or np.any((share < -1e-12) | (share > 1.0 + 1e-12)):
            return math.inf if self.features is None else super().conjugate_value(y)
        share = np.clip(share, 0.0, 1.0)
        return -self.weight * float(np.sum(special.entr(share) + special.entr(1.0 - share)))

    def conjugate_scale(self, y: Array) -> float:
        if self.features is not None:
            return super().conjugate_scale(y)
        share = -self.labels * y
        if np.min(share, initial=0.0) < 0:
            return 0.0
        top = float(np.max(share, initial=0.0))
        return math.inf if top == 0 else self.weight / top

    def margins(self, x: Array) -> Array:
        """Return ``labels * (features @ x)``."""
        return np.asarray(self.labels * (x if self.features is None else self.features @ x))

    def value(self, x: Array) -> float:
        return self.weight * float(np.sum(np.logaddexp(0.0, -self.margins(x))))

    def gradient(self, x: Array) -> Array:
        slopes = -self.weight * self.labels * special.expit(-self.margins(x))
        return np.asarray(slopes if self.features is None else self.features.T @ slopes)

    def second_derivative(self, x: Array) -> Array | None:
        if self.features is not None:
            return None
        margins = self.margins(x)
        return np.asarray(self.weight * special.expit(margins) * special.expit(-margins))

    def hessian(self, x: Array) -> Array:
        margins = self.margins(x)
        curvature = self.weight * special.expit(margins) * special.expit(-margins)
        if self.features is None:
            return np.diag(curvature)
        return np.asarray(self.features.T @ (curvature[:, None] * self.features))

    def recession(self, direction: Array) -> Ray:
        value = self.weight * float(np.sum(np.maximum(0.0, -self.margins(direction))))
        return Ray(direction, value, value, linear=True)

    def relative_smoothness(self, kernel: Any) -> tuple[float, float] | None:
        norm = 1.0 if self.features is None else float(np.linalg.norm(self.features, 2)) ** 2
        return euclidean_constants(kernel, 0.25 * self.weight * norm, 0.0)


@dataclass(frozen=True, eq=False)
class SkewGame(MonotoneOperator):
    """The monotone operator ``(x, y) -> (M y, -M^T x)`` of the matrix game ``min_x max_y x^T M y``.

    Points are one vector of length ``n + m``: ``x`` followed by ``y``. It is skew, hence monotone, but no
    subdifferential: there is no value, and no objective that its resolvent minimises over both blocks.

    Parameters
    ----------
    M : array_like, shape (n, m)
        What the row player pays to the column player.

    Examples
    --------
    >>> SkewGame([[1.0, 2.0]]).operator_value(np.array([1.0, 3.0, 4.0]))
    array([11., -1., -2.])
    """

    M: Any
    single_valued: ClassVar[bool] = True
    whole_space: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "M", as_data(self.M, "M", ndim=2))

    @property
    def shape(self) -> tuple[int, ...]:
        return (sum(self.M.shape),)

    def blocks(self, z: Array) -> tuple[Array, Array]:
        """Return the views ``x`` and ``y`` of the vector `z`, checking its length."""
        n, m = self.M.shape
        if np.shape(z) != (n + m,):
            raise ValueError(f"a game of shape ({n}, {m}) needs points of shape ({n + m},), got {np.shape(z)}")
        return z[:n], z[n:]

    def operator_value(self, z: Array) -> Array:
        x, y = self.blocks(z)
        return np.concatenate([self.M @ y, -(self.M.T @ x)])
