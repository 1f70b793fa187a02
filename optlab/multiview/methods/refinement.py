"""The refinement of one component in one view at a time, which lets components that are zero re-enter."""

from __future__ import annotations

import numpy as np

from optlab.multiview.problem.components import LinkedComponents
from optlab.multiview.problem.orthonormal import complete, orthonormalise, top_left

__all__ = ["component_pass"]


def component_pass(problem: LinkedComponents, V: np.ndarray, d: np.ndarray | None = None) -> np.ndarray:
    """Refine one component in one view at a time, all others fixed; returns new loadings.

    For a group penalty ``v_kj`` becomes the maximiser of ``sum_l w_kl c_kl,j^2`` orthogonal to the other columns of
    ``V_k``: the leading left singular vector of the projected ``[sqrt(w_kl) S_kl v_lj]_l``. That raises ``||c_j||`` and
    so lowers the objective, whatever ``d`` is. Components at zero follow after the active ones, strongest first, each
    free of those after it; that is what lets one re-enter. For the penalties that are not functions of the group norm
    the active components get the exact minimiser at fixed `d` if the penalty is factored, and are left alone under the
    plain lasso.
    """
    V = V.copy()
    zero = np.ones(V.shape[1], bool) if d is None else ~np.any(d != 0, axis=0)
    full = None if d is None else problem.symmetric(d)
    everything = problem.penalty.grouped or d is None
    for j in range(V.shape[1]):
        if (d is not None and zero[j]) or not (everything or problem.penalty.factored):
            continue
        for k in range(problem.n_views):
            rows, others = problem.blocks[k], problem.partners[k]
            if not others:
                continue
            G = np.empty((problem.sizes[k], len(others)))
            for i, l in enumerate(others):
                G[:, i] = problem.B[rows, problem.blocks[l]] @ V[problem.blocks[l], j]
            if not everything:
                assert full is not None
                G = G @ full[k, others, j][:, None]
            size = np.linalg.norm(G)
            rest = V[rows].copy()
            rest[:, j] = 0.0
            for _ in range(2):
                G = G - rest @ (rest.T @ G)
            if np.linalg.norm(G) <= 1e-13 * size:
                continue  # no room left: every direction is taken by another component
            best, _ = top_left(G)
            if best is None:
                continue
            if everything:
                best = best if best @ V[rows, j] >= 0 else -best  # the sign is free here; keep it continuous
            V[rows, j] = best
    return V if d is None or not np.any(zero) else _refine_zeros(problem, V, zero)


def _refine_zeros(problem: LinkedComponents, V: np.ndarray, zero: np.ndarray) -> np.ndarray:
    """Refine the components at zero, strongest first: each is orthogonal to the active ones and to the zeros before it.

    Zeros cost nothing wherever they point, so the first of them need not make room for the others; it could otherwise
    stay below the threshold only because they stand in its way.
    """
    order = np.flatnonzero(zero)
    order = order[np.argsort(-np.sum(problem.correlations(V[:, order]) ** 2, axis=0), kind="stable")]
    done = V[:, ~zero]
    for j in order:
        v = V[:, j].copy()
        for k in range(problem.n_views):
            rows = problem.blocks[k]
            A = done[rows]
            u = v[rows] - A @ (A.T @ v[rows])
            size = np.linalg.norm(u)
            # a vector within the span of those before it says nothing: start from any other direction
            v[rows] = u / size if size > 1e-6 else complete(A, 1)[:, 0]
        v, _ = problem.rank_one(v, done, sweeps=1)
        for k in range(problem.n_views):
            rows = problem.blocks[k]
            v[rows] = orthonormalise(v[rows][:, None], done[rows])[:, 0]
        done = np.column_stack([done, v])
    V = V.copy()
    V[:, ~zero], V[:, order] = done[:, : done.shape[1] - order.size], done[:, done.shape[1] - order.size :]
    return V
