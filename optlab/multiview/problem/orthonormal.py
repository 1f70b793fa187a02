"""Small pieces of linear algebra that the method and the baselines share."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

__all__ = ["complete", "leading_eigenpairs", "one_thread_if_small", "orthonormalise", "polar", "top_left"]

_SMALL = 2500  # dimensions of all views together, below which threads cost more than they save


@functools.cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def one_thread_if_small(size: int) -> Iterator[None]:
    """Keep BLAS to one thread while matrices are small: waking a second one takes longer than the product."""
    if size > _SMALL:
        yield
        return
    with _controller().limit(limits=1, user_api="blas"):
        yield


def polar(M: np.ndarray) -> np.ndarray:
    """The matrix with orthonormal columns nearest to `M`: the maximiser of ``tr(V' M)`` (orthogonal Procrustes).

    Examples
    --------
    >>> polar(np.array([[3.0, 0.0], [0.0, -2.0], [0.0, 0.0]]))
    array([[ 1.,  0.],
           [ 0., -1.],
           [ 0.,  0.]])
    """
    left, _, right = np.linalg.svd(M, full_matrices=False)
    return left @ right


def orthonormalise(M: np.ndarray, against: np.ndarray | None = None) -> np.ndarray:
    """An orthonormal basis for the columns of `M`, and orthogonal to the orthonormal columns of `against`.

    Where `M` has too small a rank, unit vectors fill in, so that the result always has ``M.shape[1]`` columns.
    """
    p, r = M.shape
    taken = np.zeros((p, 0)) if against is None else against
    if r == 0:
        return M.copy()
    if taken.shape[1] + r > p:
        raise ValueError(f"{taken.shape[1] + r} orthonormal columns do not fit in dimension {p}")
    scale = float(np.linalg.norm(M))
    for _ in range(2):  # twice is enough: the first projection leaves rounding of the size of what it removed
        M = M - taken @ (taken.T @ M)
    left, values, right = np.linalg.svd(M, full_matrices=False)
    good = values > 1e-10 * max(scale, 1e-300)
    if np.all(good):
        return left @ right
    kept = np.hstack([taken, left[:, good]])
    filled = complete(kept, int(r - good.sum()))
    left[:, ~good] = filled
    return left @ right


def complete(V: np.ndarray, n: int) -> np.ndarray:
    """`n` orthonormal columns orthogonal to the orthonormal columns of `V`; deterministic."""
    p = V.shape[0]
    # unit vectors that V covers least
    order = np.argsort(np.sum(V * V, axis=1), kind="stable")[:n]
    E = np.zeros((p, n))
    E[order, np.arange(n)] = 1.0
    for _ in range(3):
        E = E - V @ (V.T @ E)
        q, r = np.linalg.qr(E)
        E = q
        if np.min(np.abs(np.diag(r)), initial=1.0) > 1e-8:
            continue
        full, _ = np.linalg.qr(np.hstack([V, np.eye(p)]))  # rare: the unit vectors were dependent on V
        E = full[:, V.shape[1] : V.shape[1] + n]
    return E


def top_left(G: np.ndarray) -> tuple[np.ndarray | None, float]:
    """Leading left singular vector and squared singular value of a tall matrix with few columns.

    Returns ``(None, 0.0)`` for a zero matrix.
    """
    if G.shape[1] == 1:
        size = float(np.linalg.norm(G))
        return (None, 0.0) if size == 0 else (G[:, 0] / size, size * size)
    scale = float(np.abs(G).max(initial=0.0))
    if scale == 0 or not np.isfinite(scale):
        return None, 0.0
    G = G / scale
    _, vectors = np.linalg.eigh(G.T @ G)
    v = G @ vectors[:, -1]
    size = float(np.linalg.norm(v))
    return (v / size, (size * scale) ** 2) if size > 0 else (None, 0.0)


def leading_eigenpairs(B: np.ndarray, R: int, values: bool = False, tol: float = 1e-10) -> np.ndarray:
    """Eigenvectors (or eigenvalues) of the `R` largest eigenvalues of a symmetric matrix."""
    M = B.shape[0]
    if R == 0:
        return np.zeros(0) if values else np.zeros((M, 0))
    if M > 400 and R < M // 8:
        from scipy.sparse.linalg import ArpackError, eigsh

        try:
            # a fixed start, so that the same data give the same fit
            found, vectors = eigsh(B, k=R, which="LA", v0=np.random.default_rng(0).standard_normal(M), tol=tol)
            order = np.argsort(-found)
            return found[order] if values else vectors[:, order]
        except ArpackError:
            pass
    from scipy.linalg import eigh

    found, vectors = eigh(B, subset_by_index=[M - R, M - 1])
    return found[::-1] if values else vectors[:, ::-1]
