"""Views with many features in few coordinates, without loss: no p × p matrix is ever formed.

With the thin singular value decomposition ``X_k = U_k diag(s_k) W_k'`` every solution that starts in the row space of
``X_k`` stays there, so that the whole fit can run on ``Y_k = U_k diag(s_k)`` (n × m_k, m_k <= n - 1) and the loadings
are ``V_k = W_k B_k = X_k' U_k diag(1 / s_k) B_k``. This is an identity, checked numerically in the tests; a randomised
decomposition of lower rank is an approximation and only used when asked for or when both n and p are large.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optlab.core.validation import as_integer, one_of
from optlab.multiview.views.view import View

__all__ = ["Reduced", "reduce_view"]

_SVD_WORK = 4e8  # n^2 p up to which a plain decomposition is quick enough not to square the condition number
_EXACT_SIDE = 2000  # above this many rows and columns, "auto" takes the randomised decomposition
_RANDOM_RANK = 200
_RELATIVE_CUT = 1e-6  # singular values from a Gram matrix below this share of the largest are rounding


@dataclass(frozen=True)
class Reduced:
    """A view in few coordinates.

    Parameters
    ----------
    scores : ndarray, shape (n, m)
        Coordinates of the samples; centred.
    view : View
        What was reduced.
    kind : {"identity", "svd", "gram", "randomized"}
    left, values : ndarray or None
        ``U`` and ``s``; None for the identity.
    right : ndarray or None
        ``W`` (p, m), where it was computed anyway.
    total : float
        Squared Frobenius norm of the view, what a truncation drops included.
    """

    scores: np.ndarray
    view: View
    kind: str
    total: float
    left: np.ndarray | None = None
    values: np.ndarray | None = None
    right: np.ndarray | None = None

    @property
    def m(self) -> int:
        """Number of coordinates."""
        return int(self.scores.shape[1])

    def expand(self, B: np.ndarray) -> np.ndarray:
        """Loadings in the view's own features, shape (p, r), from loadings in the coordinates, shape (m, r)."""
        if self.kind == "identity":
            return B.copy()
        if self.right is not None:
            return self.right @ B
        assert self.left is not None
        assert self.values is not None
        return self.view.rmatmul(self.left @ (B / self.values[:, None]))

    def coordinates(self, V: np.ndarray) -> np.ndarray:
        """The part of loadings in the features that lies in the reduced space: the transpose of `expand`."""
        if self.kind == "identity":
            return V.copy()
        if self.right is not None:
            return self.right.T @ V
        assert self.left is not None
        assert self.values is not None
        return (self.left.T @ self.view.matmul(V)) / self.values[:, None]

    def truncated(self, m: int) -> Reduced:
        """The leading `m` principal directions only."""
        if self.kind == "identity":
            left, values, right = np.linalg.svd(self.scores, full_matrices=False)
            kept = values[:m] > _RELATIVE_CUT * values[0]
            left, values, right = left[:, :m][:, kept], values[:m][kept], right[:m][kept].T
            return Reduced(left * values, self.view, "svd", self.total, left, values, right)
        assert self.left is not None
        assert self.values is not None
        back = None if self.right is None else self.right[:, :m]
        return Reduced(self.scores[:, :m], self.view, self.kind, self.total, self.left[:, :m], self.values[:m], back)


def reduce_view(
    view: View, compression: str | int = "auto", rng: np.random.Generator | None = None, oversample: int = 10
) -> Reduced:
    """Reduce a view to at most ``n - 1`` coordinates.

    Parameters
    ----------
    view : View
    compression : {"auto", "exact"} or int
        ``"exact"``: no loss. An int: randomised singular value decomposition of that rank (which also leaves out
        noise). ``"auto"``: exact unless a dense view has more than 2,000 rows and columns, or a sparse one would need
        more than 20 million dense entries; then randomised of rank 200.
    rng : numpy.random.Generator, optional
        For the randomised decomposition.
    oversample : int
        Extra directions of the randomised decomposition.
    """
    n, p = view.n, view.p
    small = min(n, p)
    if isinstance(compression, str):
        one_of(compression, "compression", ("auto", "exact"))
    else:
        compression = as_integer(compression, "compression", minimum=1)
    if compression == "auto":
        too_big = n * small > 2e7 if view.sparse else small > _EXACT_SIDE
        compression = min(_RANDOM_RANK, small) if too_big else "exact"
    if compression != "exact" and int(compression) + oversample < small:
        return _randomized(view, int(compression), oversample, np.random.default_rng(0) if rng is None else rng)
    if p <= n:
        scores = view.dense()
        return Reduced(scores, view, "identity", float(np.einsum("ij,ij->", scores, scores)))
    if float(n) * n * p <= _SVD_WORK and not view.sparse:
        left, values, right = np.linalg.svd(view.dense(), full_matrices=False)
        kept = values > 1e-12 * values[0]
        left, values = left[:, kept], values[kept]
        return Reduced(left * values, view, "svd", float(values @ values), left, values, right[kept].T)
    G = view.gram()
    squares, left = np.linalg.eigh(G)
    squares, left = squares[::-1], left[:, ::-1]
    kept = squares > max(_RELATIVE_CUT**2, n * 1e-15) * squares[0]
    left, values = np.ascontiguousarray(left[:, kept]), np.sqrt(squares[kept])
    return Reduced(left * values, view, "gram", float(np.trace(G)), left, values)


def _randomized(view: View, rank: int, oversample: int, rng: np.random.Generator, power: int = 2) -> Reduced:
    """Subspace iteration with QR between the products (Halko, Martinsson and Tropp 2011, algorithm 4.4)."""
    Q, _ = np.linalg.qr(view.matmul(rng.standard_normal((view.p, rank + oversample))))
    for _ in range(power):
        # no QR of the tall X' Q in between: the QR of the short side repairs the squared condition number
        Q, _ = np.linalg.qr(view.matmul(view.rmatmul(Q)))
    small = view.rmatmul(Q)  # (p, m): X' Q
    tall, upper = np.linalg.qr(small)
    inner, values, rotation = np.linalg.svd(upper)
    right, values = tall @ inner[:, :rank], values[:rank]
    left = Q @ rotation[:rank].T
    kept = values > 1e-10 * values[0]
    left, values, right = left[:, kept], values[kept], right[:, kept]
    left = left - left.mean(axis=0)  # exact centring, lost to rounding in the products
    return Reduced(left * values, view, "randomized", view.total(), left, values, right)
