"""SLIDE: a factorisation whose structure says which view takes part in which component (Gaynanova and Li 2019)."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from optlab.core.validation import as_float_array, as_generator, as_integer, as_number
from optlab.multiview.baselines.base import Baseline
from optlab.multiview.views.preparation import Prepared

__all__ = ["SLIDE", "slide_given_structure", "slide_penalised"]


class SLIDE(Baseline):
    """Structural learning and integrative decomposition (Gaynanova and Li 2019).

    A penalised factorisation ``1/2 ||X - U V'||^2 + lam sum_jk ||V_kj||`` over a grid of penalties proposes structures
    (which view takes part in which component), bi-cross-validation picks one, and a refit with that structure fixed
    gives scores and loadings.

    Parameters
    ----------
    structure : array_like of bool, shape (K, r), optional
        Known structure; None: selected.
    n_lambda : int, default 50
    n_folds : int, default 3
        Of samples, and of features.
    max_iter : int, default 1000
    tol : float, default 1e-6
    random_state : int

    Attributes
    ----------
    structure_ : ndarray of bool, shape (K, r)
        ``scores_`` and ``loadings_`` are those of the components in which at least two views take part.
    """

    def __init__(
        self,
        structure: Any = None,
        n_lambda: int = 50,
        n_folds: int = 3,
        max_iter: int = 1000,
        tol: float = 1e-6,
        random_state: int | None = 0,
    ) -> None:
        self.structure = structure
        self.n_lambda = n_lambda
        self.n_folds = n_folds
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def _joint(self, data: Prepared) -> tuple[np.ndarray, list[np.ndarray]]:
        as_integer(self.max_iter, "max_iter", minimum=1)
        as_number(self.tol, "tol", minimum=0)
        X = [Y / np.linalg.norm(Y) for Y in data.scores]
        if self.structure is None:
            self.structure_ = self._select(X)
        else:
            structure = as_float_array(self.structure, "structure", ndim=2)
            self.structure_ = structure.astype(bool)
            if len(self.structure_) != len(X):
                raise ValueError(f"structure must have one row for each of {len(X)} views, got {self.structure_.shape}")
        U, V = slide_given_structure(X, self.structure_, self.max_iter, self.tol)
        shared = self.structure_.sum(axis=0) >= 2
        return np.sqrt(data.n - 1) * U[:, shared], [B[:, shared] for B in V]

    def _select(self, X: list[np.ndarray]) -> np.ndarray:
        rng = as_generator(self.random_state)
        as_integer(self.n_lambda, "n_lambda", minimum=1)
        as_integer(self.n_folds, "n_folds", minimum=2)
        share = (self.n_folds - 1) / self.n_folds
        structures = self._candidates(X, share)
        errors = np.zeros(len(structures))
        n = X[0].shape[0]
        row_fold = rng.permutation(np.arange(n) % self.n_folds)
        column_folds = [rng.permutation(np.arange(Y.shape[1]) % self.n_folds) for Y in X]
        for i in range(self.n_folds):
            for j in range(self.n_folds):
                inside = [Y[row_fold != i][:, f != j] for Y, f in zip(X, column_folds)]
                means = [Y.mean(axis=0) for Y in inside]
                norms = [np.linalg.norm(Y - m) for Y, m in zip(inside, means)]
                scaled = [(Y - m) / s for Y, m, s in zip(inside, means, norms)]
                root = np.sqrt(np.sum(row_fold != i))
                start = np.linalg.svd(np.hstack(scaled), full_matrices=False)[0]
                for l, structure in enumerate(structures):
                    U, V = slide_given_structure(scaled, structure, self.max_iter, self.tol, start)
                    full = np.vstack([np.column_stack([root * m, B * s]) for m, B, s in zip(means, V, norms)])
                    left = np.hstack([Y[row_fold == i][:, f != j] for Y, f in zip(X, column_folds)])
                    new_scores = left @ np.linalg.pinv(full.T, rcond=1e-6)
                    for Y, f in zip(X, column_folds):
                        below = Y[row_fold != i][:, f == j]
                        target = Y[row_fold == i][:, f == j]
                        new_loadings = np.column_stack([below.mean(axis=0) * root, below.T @ U])
                        rest = target - new_scores @ new_loadings.T
                        errors[l] += np.sum(rest**2) / np.sum((target - target.mean(axis=0)) ** 2)
        return structures[int(np.argmin(errors))]

    def _candidates(self, X: list[np.ndarray], share: float) -> list[np.ndarray]:
        """Structures along the penalty, from large to small, while the ranks stay within the share of the largest."""
        whole = np.hstack(X)
        cuts = np.cumsum([Y.shape[1] for Y in X])[:-1]
        top = max(np.linalg.norm(Y, 2) for Y in X)
        U, s, _ = np.linalg.svd(whole, full_matrices=False)
        U = U[:, s > self.tol]
        structures: list[np.ndarray] = []
        for lam in np.geomspace(top, 0.01 * top, self.n_lambda):
            _, V = slide_penalised(X, float(lam), U, self.max_iter, self.tol)
            S = np.array([np.any(B != 0, axis=0) for B in np.split(V, cuts, axis=0)])
            S = S[:, S.any(axis=0)]
            limits = [share * min(len(whole), Y.shape[1]) for Y in X]
            if S.shape[1] > share * min(whole.shape) or np.any(S.sum(axis=1) > limits):
                break
            if S.shape[1] and not (structures and np.array_equal(structures[-1], S)):
                structures.append(S)
        return structures


def slide_penalised(
    X: list[np.ndarray], lam: float, U: np.ndarray, max_iter: int, tol: float
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise ``1/2 ||X - U V'||^2 + lam sum_jk ||V_kj||`` over ``U' U = I`` by alternation; U and stacked V."""
    whole = np.hstack(X)
    edges = np.concatenate([[0], np.cumsum([Y.shape[1] for Y in X])])
    before = np.inf
    V = whole.T @ U
    for _ in range(max_iter):
        V = whole.T @ U
        cost = 0.0
        for first, last in itertools.pairwise(edges):
            norms = np.linalg.norm(V[first:last], axis=0)
            V[first:last] *= np.where(norms > lam, 1.0 - lam / np.where(norms > lam, norms, 1.0), 0.0)
            cost -= 0.5 * float(np.sum(np.maximum(norms - lam, 0.0) ** 2))
        if not np.any(V) or before - cost <= tol:
            break
        before = cost
        V = V[:, np.any(V != 0, axis=0)]  # a component that is zero in every view stays so
        u, _, v = np.linalg.svd(whole @ V, full_matrices=False)
        U = u @ v
    return U, V


def slide_given_structure(
    X: list[np.ndarray],
    structure: np.ndarray,
    max_iter: int = 1000,
    tol: float = 1e-6,
    U: np.ndarray | None = None,
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Least squares ``||X - U V'||`` with ``U' U = I`` and ``V_kj = 0`` where `structure` (K, r) is False.

    `U` (n, at least r) is the start; default: the left singular vectors of all views side by side.
    """
    whole = np.hstack(X)
    mask = np.repeat(structure, [Y.shape[1] for Y in X], axis=0)
    if U is None:
        U = np.linalg.svd(whole, full_matrices=False)[0]
    U = U[:, : structure.shape[1]]
    V = (whole.T @ U) * mask
    for _ in range(max_iter):
        old_U, old_V = U, V
        u, _, v = np.linalg.svd(whole @ V, full_matrices=False)
        U = u @ v
        V = (whole.T @ U) * mask
        # ||U V' - old||^2 from r x r products
        change = np.sum(V * V) + np.sum(old_V * old_V) - 2 * np.sum((U.T @ old_U) * (V.T @ old_V))
        if change <= tol:
            break
    return U, np.split(V, np.cumsum([Y.shape[1] for Y in X])[:-1], axis=0)
