"""Procrustes updates of the loadings at fixed coefficients: of whole views, and within the spans found."""

from __future__ import annotations

import numpy as np

from optlab.multiview.problem.components import LinkedComponents
from optlab.multiview.problem.orthonormal import orthonormalise, polar

__all__ = ["procrustes_sweep", "rotate"]


def procrustes_sweep(problem: LinkedComponents, V: np.ndarray, d: np.ndarray) -> np.ndarray:
    """One Procrustes update of every view in turn, at fixed coefficients `d` (n_pairs, R); returns new loadings."""
    V, full = V.copy(), problem.symmetric(d)
    live = np.any(d != 0, axis=0)
    if not np.any(live):
        return V
    everything = bool(np.all(live))
    active, full = (V, full) if everything else (V[:, live], full[:, :, live])
    for k, rows in enumerate(problem.blocks):
        active[rows] = _polar_of_active(problem.procrustes_target(active, full, k), active[rows])
        if not everything:
            V[rows, live] = active[rows]
            # columns at zero only have to stay out of the way
            V[rows, ~live] = orthonormalise(V[rows][:, ~live], active[rows])
    return V


def rotate(
    problem: LinkedComponents,
    V: np.ndarray,
    d: np.ndarray,
    a: np.ndarray | None,
    adaptive: np.ndarray | None,
    n: int,
) -> np.ndarray:
    """Up to `n` iterations within the spans of the active components: ``V_k Q_k`` with orthogonal ``Q_k``.

    The same updates on matrices of rank × rank, where they cost next to nothing; components of similar strength, which
    separate slowly, do most of it here.
    """
    live = np.any(d != 0, axis=0)
    r, K = int(live.sum()), problem.n_views
    if r < 2:
        return V
    adaptive = None if adaptive is None else adaptive[live]
    C = np.zeros((K, K, r, r))
    active = V[:, live]
    for l in range(1, K):
        above = slice(0, problem.offsets[l])
        product = problem.B[above, problem.blocks[l]] @ active[problem.blocks[l]]
        for k in range(l):
            C[k, l] = active[problem.blocks[k]].T @ product[problem.blocks[k]]
            C[l, k] = C[k, l].T
    Q = np.repeat(np.eye(r)[None], K, axis=0)
    full = problem.symmetric(d[:, live])
    strengths = None if a is None else a[:, live]
    first = 0.0
    for i in range(n):
        before = Q.copy()
        for k in range(K):
            M = (C[k] @ (Q * full[k][:, None, :])).sum(axis=0)
            left, values, right = np.linalg.svd(M)
            if values[-1] <= 1e-14 * values[0]:
                return V
            Q[k] = left @ right
        c = ((C @ Q[None]) * Q[:, None]).sum(axis=2)[problem.pairs]
        small, strengths = problem.shrink(c, strengths, adaptive) if problem.penalised else (c, None)
        if not np.all(np.any(small != 0, axis=0)):
            break  # a component fell to zero: the whole iteration has to deal with that
        full[problem.pairs] = full[problem.pairs[::-1]] = small
        change = float(np.max(np.abs(Q - before)))
        first = first or change
        if change <= 0.1 * first and i > 0:
            break  # the outer iteration has more to gain now
    V = V.copy()
    for k, rows in enumerate(problem.blocks):
        V[rows, live] = active[rows] @ Q[k]
    return V


def _polar_of_active(M: np.ndarray, V: np.ndarray) -> np.ndarray:
    """``polar(M)``; columns of `M` that vanish (a view outside a component) keep their direction as far as possible."""
    size = np.linalg.norm(M, axis=0)
    used = size > 1e-14 * np.linalg.norm(size)
    if np.all(used):
        left, values, right = np.linalg.svd(M, full_matrices=False)
        if values[-1] > 1e-14 * values[0]:
            return left @ right
        return _polar_rank_deficient(left, values, right, V)
    if not np.any(used):
        return V
    result = np.empty_like(V)
    result[:, used] = polar(M[:, used])
    result[:, ~used] = orthonormalise(V[:, ~used], result[:, used])
    return result


def _polar_rank_deficient(left: np.ndarray, values: np.ndarray, right: np.ndarray, V: np.ndarray) -> np.ndarray:
    """A polar factor where it is not unique: the one nearest to `V`, so that nothing jumps at random."""
    good = values > 1e-14 * values[0]
    fixed = left[:, good]
    rest = V @ right[~good].T
    return fixed @ right[good] + orthonormalise(rest, fixed) @ right[~good]
