"""Upper bounds of the spectral norm: step sizes below 1/norm are safe only if the norm is not underestimated.

Power iterations and Lanczos converge from below: after 20 power steps the norm of a random matrix is short by up to
7 %. So nothing here returns such an estimate as it is.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import linalg

#: Up to this size of the smaller side, the Gram matrix is formed and its largest eigenvalue computed.
LARGEST_GRAM = 400
#: With at most this probability (over the seeded random start) the bound of the Lanczos process fails.
FAILURE = 1e-12
_EPS = float(np.finfo(float).eps)


def spectral_norm_bound(A: Any, *, steps: int = 100) -> float:
    """Return an upper bound of the spectral norm of a linear map.

    Where the smaller side has at most 400 entries: the largest eigenvalue of the Gram matrix, enlarged by its rounding.
    Otherwise the smaller of two bounds. One is of the Lanczos process on ``A^T A`` from a seeded random start: by
    Kuczynski and Wozniakowski (1992, theorem 4.1) its Ritz value after k steps is below ``(1 - e)`` times the largest
    eigenvalue with a probability of at most ``1.648 sqrt(n) exp(-sqrt(e) (2k - 1))``, here made 1e-12. For sparse
    matrices the other is ``sqrt(|A|_1 |A|_inf)``, or better: the largest quotient ``(M v)_i / v_i`` of a positive
    vector v and ``M = |A|^T |A|`` (Collatz, Wielandt), which is exact for matrices without negative entries.

    Parameters
    ----------
    A : LinearMap or what `as_linear_map` takes
    steps : int, default 100
        Of Lanczos, one `apply` and one `adjoint` each; the bound is then above the norm by about 1.5 % at most.

    Returns
    -------
    float

    Examples
    --------
    >>> A = np.random.default_rng(0).standard_normal((30, 50))
    >>> bool(0 <= spectral_norm_bound(A) / np.linalg.norm(A, 2) - 1 < 1e-12)
    True
    """
    from optlab.linalg.matrices import as_linear_map

    A = as_linear_map(A)
    if min(A.size_in, A.size_out) <= LARGEST_GRAM:
        return _gram_bound(A)
    return min(_lanczos_bound(A, steps), _positive_bound(A))


def _gram_bound(A: Any) -> float:
    matrix = getattr(A, "matrix", None)
    if matrix is None:
        matrix = A.to_dense() if A.size_in <= A.size_out else A.T.to_dense()
    gram = matrix.T @ matrix if matrix.shape[1] <= matrix.shape[0] else matrix @ matrix.T
    gram = np.asarray(gram.toarray() if hasattr(gram, "toarray") else gram, dtype=float)
    n = len(gram)
    largest = float(linalg.eigvalsh(gram, subset_by_index=(n - 1, n - 1))[0])
    # rounding of the products and of the eigenvalue, each a small multiple of eps times the trace at worst
    return math.sqrt(max(largest, 0.0)) * (1.0 + 16.0 * _EPS * math.sqrt(max(matrix.shape)))


def _lanczos_bound(A: Any, steps: int) -> float:
    n = min(A.size_in, A.size_out)
    B = A if A.size_in <= A.size_out else A.T
    v = np.random.default_rng(20240607).standard_normal(B.shape_in)
    v /= np.linalg.norm(np.ravel(v))
    before, beta = np.zeros_like(v), 0.0
    diagonal, off = [], []
    for _ in range(min(steps, n)):
        w = B.adjoint(B.apply(v)) - beta * before
        alpha = float(np.vdot(w, v))
        w = w - alpha * v
        diagonal.append(alpha)
        beta = float(np.linalg.norm(np.ravel(w)))
        if not beta > _EPS * max(diagonal):
            break
        off.append(beta)
        before, v = v, w / beta
    k = len(diagonal)
    if not max(diagonal) > 0:
        return 0.0
    ritz = float(
        linalg.eigh_tridiagonal(diagonal, off[: k - 1], eigvals_only=True, select="i", select_range=(k - 1, k - 1))[0]
    )
    shortfall = (math.log(1.648 * math.sqrt(n) / FAILURE) / (2 * k - 1)) ** 2
    if shortfall >= 1.0:
        return math.inf
    return math.sqrt(ritz / (1.0 - shortfall)) * (1.0 + 1e-12)


def _positive_bound(A: Any, steps: int = 8) -> float:
    matrix = getattr(A, "matrix", None)
    if matrix is None:
        return math.inf
    size = abs(matrix)
    v = np.ones(size.shape[1])
    best = math.inf
    for _ in range(steps):
        image = np.asarray(size.T @ (size @ v)).ravel()
        top = float(np.max(image, initial=0.0))
        if top == 0.0:
            return 0.0
        best = min(best, float(np.max(image / v)))
        v = np.maximum(image / top, 1e-12)  # any positive vector gives a bound
    return math.sqrt(best) * (1.0 + 4.0 * _EPS * (1 + sum(size.shape)))
