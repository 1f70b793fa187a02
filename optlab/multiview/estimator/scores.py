"""Scores of samples from fitted loadings: strengths of each view, consensus scores, variance shares.

Standard factor-score formulas on the model of Joint Linked Component Analysis (Lin Xiao and Luo Xiao, arXiv
2406.11761); that the paper computes its scores this way is not claimed (reconstructed).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optlab.core.validation import as_float_array, as_integer

__all__ = ["consensus_scores", "factor_weights", "one_factor", "view_strengths"]


def one_factor(diagonals: np.ndarray, weights: np.ndarray | None = None, max_iter: int = 1000) -> np.ndarray:
    """Strengths ``a`` with ``a_k a_l`` nearest to ``d_kl`` off the diagonal, for three or more views.

    Parameters
    ----------
    diagonals : ndarray, shape (K, K)
        Symmetric; the diagonal is not read.
    weights : ndarray, shape (K, K), optional
        Pair weights.
    max_iter : int

    Returns
    -------
    ndarray, shape (K,)
        The sum is non-negative. For three views without zeros ``a_1^2 = d_12 d_13 / d_23``, exactly.

    Examples
    --------
    >>> import numpy as np
    >>> a = np.array([3.0, 2.0, 1.0])
    >>> one_factor(np.outer(a, a)).round(6)
    array([3., 2., 1.])
    """
    D = np.array(as_float_array(diagonals, "diagonals", ndim=2), dtype=float)
    K = len(D)
    if K < 3:
        raise ValueError(f"strengths of single views are identified for three or more views only, got {K}")
    if D.shape != (K, K) or not np.allclose(D, D.T, rtol=1e-6, atol=1e-12 * np.abs(D).max()):
        raise ValueError(f"diagonals must be a symmetric matrix, got shape {D.shape} or unequal halves")
    W = np.ones((K, K))
    if weights is not None:
        W = np.array(as_float_array(weights, "weights", shape=(K, K), nonnegative=True), dtype=float)
    max_iter = as_integer(max_iter, "max_iter", minimum=0)
    np.fill_diagonal(D, 0.0)
    np.fill_diagonal(W, 0.0)
    if not np.any(D):
        return np.zeros(K)
    values, vectors = np.linalg.eigh(W * D)
    a = vectors[:, -1] * np.sqrt(max(values[-1], 0.0))
    for _ in range(max_iter):
        before = a.copy()
        for k in range(K):
            bottom = W[k] @ (a * a)
            a[k] = (W[k] * D[k]) @ a / bottom if bottom > 0 else 0.0
        if np.max(np.abs(a - before)) <= 1e-14 * np.max(np.abs(a)):
            break
    return a if a.sum() >= 0 else -a


def view_strengths(diagonals: np.ndarray, variances: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """``a_kj`` from the pairwise ``d_kl,j`` (K, K, r), at most the standard deviation of the view's own scores.

    Parameters
    ----------
    diagonals : ndarray, shape (K, K, r)
    variances : ndarray, shape (K, r)
        Variances of the view scores. For two views only the product of the strengths is identified; it is then split in
        proportion to the standard deviations.
    weights : ndarray, shape (K, K), optional
    """
    K, r = variances.shape
    deviations = np.sqrt(variances)
    a = np.zeros((K, r))
    for j in range(r):
        if K == 2:
            d = diagonals[0, 1, j]
            ratio = deviations[0, j] / deviations[1, j] if deviations[1, j] > 0 else 1.0
            a[0, j] = np.sqrt(abs(d) * ratio)
            a[1, j] = d / a[0, j] if a[0, j] > 0 else 0.0
        else:
            a[:, j] = one_factor(diagonals[:, :, j], weights)
    return np.clip(a, -deviations, deviations)


def factor_weights(strengths: np.ndarray, variances: np.ndarray, used: Sequence[int] | None = None) -> np.ndarray:
    """Weights of the view scores in ``z_j = sum_k weight_kj t_kj``: the regression (factor) score of a one-factor
    model.

    Views with large unique variance ``psi_kj = Var(t_kj) - a_kj^2`` count less; views that are not used get weight 0.

    Parameters
    ----------
    strengths, variances : ndarray, shape (K, r)
    used : sequence of int, optional
        Views that are there. Default: all.
    """
    K, _r = strengths.shape
    keep = np.zeros((K, 1))
    keep[list(range(K)) if used is None else list(used)] = 1.0
    unique = np.maximum(variances - strengths**2, 1e-12 * np.maximum(variances, 1e-300))
    # divided through by the largest precision, so that noise-free views neither overflow nor bias
    pull = keep * strengths / unique
    gain = np.sum(keep * strengths**2 / unique, axis=0)
    return pull / (1.0 + gain)


def consensus_scores(
    view_scores: Sequence[np.ndarray | None], strengths: np.ndarray, variances: np.ndarray
) -> np.ndarray:
    """Joint scores (n, r) from the scores of the views; None stands for a view that is missing."""
    used = [k for k, T in enumerate(view_scores) if T is not None]
    weights = factor_weights(strengths, variances, used)
    return np.asarray(sum([T * w for T, w in zip(view_scores, weights) if T is not None]))
