"""The signs of loadings and coefficients, which the objective leaves free, by convention."""

from __future__ import annotations

import numpy as np

from optlab.multiview.problem.components import LinkedComponents

__all__ = ["conventional", "signed_like"]


def conventional(
    problem: LinkedComponents, V: np.ndarray, d: np.ndarray, c: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fix the signs: ``d_kl,j > 0`` along a tree of the strongest pairs, and the first view's largest loading positive.

    Flipping ``v_kj`` flips ``d_kl,j`` for all l. With a common score all signs become positive.
    """
    V, d = V.copy(), d.copy()
    reference = problem.symmetric(np.where(np.any(d != 0, axis=0), d, c))
    strength, K = np.abs(reference), problem.n_views
    sign = np.ones((K, V.shape[1]))
    for j in range(V.shape[1]):
        reached = np.arange(K) == 0
        for _ in range(K - 1):
            new = np.where(reached[:, None] & ~reached, strength[:, :, j], -1.0)
            k, l = divmod(int(np.argmax(new)), K)
            sign[l, j] = sign[k, j] * (-1.0 if reference[k, l, j] < 0 else 1.0)
            reached[l] = True
        v = V[problem.blocks[0], j]
        if v[np.argmax(np.abs(v))] < 0:
            sign[:, j] *= -1.0
    V *= sign[problem.owner]
    return V, d * sign[problem.pairs[0]] * sign[problem.pairs[1]]


def signed_like(problem: LinkedComponents, a: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Signs of the strengths that agree with ``d = a_k a_l``: all non-negative unless a triangle forbids it."""
    a, full = a.copy(), problem.symmetric(d)
    for j in range(a.shape[1]):
        k = int(np.argmax(a[:, j]))
        a[:, j] *= np.where(full[k, :, j] < 0, -1.0, 1.0)
    return a
