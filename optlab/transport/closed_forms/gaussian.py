"""Transport between Gaussians: the Bures-Wasserstein distance, its maps, its entropic form, barycentres."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.core.validation import as_float_array, as_integer, as_number

Array = Any


@dataclass(frozen=True, eq=False)
class GaussianTransport:
    """What `bures_wasserstein` returns.

    Attributes
    ----------
    cost : float
        ``W_2^2``; with a regularization, the regularised value.
    cross_covariance : ndarray, shape (d, d)
        Of the optimal coupling.
    matrix, offset : ndarray
        The conditional mean of the target given the source, ``offset + matrix x``: the optimal map if there is no
        regularization and the source covariance is regular; on its range only, if it is singular.
    """

    cost: float
    cross_covariance: Array
    matrix: Array
    offset: Array

    def __call__(self, x: Any) -> Array:
        """Return the images of points, shape (..., d)."""
        return np.asarray(x) @ self.matrix.T + self.offset


def _gaussian(mean: Any, covariance: Any, name: str) -> tuple[Array, Array]:
    m, S = as_float_array(mean, f"mean_{name}", ndim=1), as_float_array(covariance, f"covariance_{name}", ndim=2)
    if S.shape != (m.size, m.size):
        raise ValueError(f"covariance_{name} must have shape {(m.size, m.size)}, got {S.shape}")
    size = float(np.abs(S).max())
    if np.abs(S - S.T).max() > 1e-9 * max(size, 1e-300):
        raise ValueError(f"covariance_{name} must be symmetric")
    S = 0.5 * (S + S.T)
    lowest = float(np.linalg.eigvalsh(S)[0])
    if lowest < -1e-9 * size:
        raise ValueError(f"covariance_{name} must be positive semidefinite; its smallest eigenvalue is {lowest:.3g}")
    return m, S


def _power(S: Array, exponent: float) -> Array:
    """Return a power of a symmetric matrix; eigenvalues that are zero to rounding stay so."""
    values, vectors = np.linalg.eigh(S)
    kept = values > 1e-14 * max(float(values[-1]), 0.0)
    powers = np.zeros_like(values)
    powers[kept] = values[kept] ** exponent
    return (vectors * powers) @ vectors.T


def bures_wasserstein(
    mean_a: Any, covariance_a: Any, mean_b: Any, covariance_b: Any, *, regularization: float = 0.0
) -> GaussianTransport:
    """Return the optimal transport between two Gaussians for the squared distance.

    ``W_2^2 = |m_a - m_b|^2 + tr(A + B - 2 (A^{1/2} B A^{1/2})^{1/2})``. With a regularization eps the value is that of
    ``E|x - y|^2 + eps KL(coupling | independent)`` (Janati, Muzellec, Peyre, Cuturi 2020).

    Parameters
    ----------
    mean_a, mean_b : array_like, shape (d,)
    covariance_a, covariance_b : array_like, shape (d, d)
        Symmetric, positive semidefinite; singular ones are taken.
    regularization : float, default 0
        eps, at least 0; above 0 the covariances must be regular.

    Returns
    -------
    GaussianTransport

    Examples
    --------
    >>> found = bures_wasserstein([0.0, 0.0], np.eye(2), [3.0, 0.0], 4.0 * np.eye(2))
    >>> round(found.cost, 12), found([1.0, 1.0]).round(12)
    (11.0, array([5., 2.]))
    """
    (m, A), (k, B) = _gaussian(mean_a, covariance_a, "a"), _gaussian(mean_b, covariance_b, "b")
    if m.size != k.size:
        raise ValueError(f"mean_b must have {m.size} entries as mean_a has, got {k.size}")
    s = 0.5 * as_number(regularization, "regularization", minimum=0)
    root, inverse = _power(A, 0.5), _power(A, -0.5)
    middle = root @ B @ root
    middle = 0.5 * (middle + middle.T)
    shift = float((m - k) @ (m - k))
    if s == 0.0:
        D = _power(middle, 0.5)
        cost = shift + float(np.trace(A) + np.trace(B) - 2.0 * np.trace(D))
        cross = root @ D @ inverse
        cost = max(cost, shift)
    else:
        for S, name in ((A, "a"), (B, "b")):
            if np.linalg.matrix_rank(S) < m.size:
                raise ValueError(f"covariance_{name} must be regular with a regularization above 0")
        d = m.size
        D = _power(4.0 * middle + s * s * np.eye(d), 0.5)
        logdet = float(np.linalg.slogdet(D + s * np.eye(d))[1])
        cost = shift + float(np.trace(A) + np.trace(B) - np.trace(D)) + d * s * (1.0 - math.log(2.0 * s)) + s * logdet
        cross = 0.5 * root @ D @ inverse - 0.5 * s * np.eye(d)
    matrix = cross.T @ _power(A, -1.0)
    return GaussianTransport(cost, cross, matrix, k - matrix @ m)


def bures_barycenter(
    means: Any, covariances: Any, weights: Any = None, *, tol: float = 1e-12, max_iter: int = 500
) -> tuple[Array, Array]:
    """Return mean and covariance of the ``W_2`` barycentre of Gaussians.

    The fixed point of ``S <- S^{-1/2} (sum w (S^{1/2} S_l S^{1/2})^{1/2})^2 S^{-1/2}`` (Alvarez-Esteban, del Barrio,
    Cuesta-Albertos, Matran 2016).

    Parameters
    ----------
    means : array_like, shape (L, d)
    covariances : array_like, shape (L, d, d)
        Regular.
    weights : array_like, shape (L,), optional
        Default: equal ones.
    tol : float, default 1e-12
        Relative change of S to stop at.
    max_iter : int, default 500

    Returns
    -------
    (ndarray, ndarray)

    Raises
    ------
    ValueError
        If counts or shapes differ, a covariance is not positive semidefinite, or a weight is negative.
    ArithmeticError
        If the iteration has not settled.

    Examples
    --------
    >>> mean, covariance = bures_barycenter([[0.0], [2.0]], [[[1.0]], [[9.0]]])
    >>> mean, covariance.round(12)
    (array([1.]), array([[4.]]))
    """
    m, S = as_float_array(means, "means", ndim=2), as_float_array(covariances, "covariances", ndim=3)
    if len(m) != len(S):
        raise ValueError(f"means and covariances must be as many, got {len(m)} and {len(S)}")
    S = np.array([_gaussian(one, matrix, str(k))[1] for k, (one, matrix) in enumerate(zip(m, S))])
    w = as_float_array(np.ones(len(m)) if weights is None else weights, "weights", shape=(len(m),), nonnegative=True)
    if not w.sum() > 0.0:
        raise ValueError("weights must not all be zero")
    w = w / w.sum()
    current = np.einsum("l,lij->ij", w, S)
    for _ in range(as_integer(max_iter, "max_iter", minimum=1)):
        root, inverse = _power(current, 0.5), _power(current, -0.5)
        total = sum(weight * _power(root @ one @ root, 0.5) for weight, one in zip(w, S))
        following = inverse @ (total @ total) @ inverse
        if np.abs(following - current).max() <= tol * np.abs(current).max():
            return w @ m, following
        current = following
    raise ArithmeticError(f"the barycentre has not settled to {tol:g} in {max_iter} iterations")
