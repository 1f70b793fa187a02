"""Comparing fits: align the components of two fits, take samples out of views, score a fit over folds.

Components are identified up to order and signs only (and not at all among components whose strengths tie in every pair
of views), so that two fits are compared after an alignment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from optlab.multiview.views import _columns, _is_sparse

__all__ = ["Alignment", "align", "cross_val_score", "take_samples"]


@dataclass(frozen=True)
class Alignment:
    """How the components of a fit `b` correspond to those of a fit `a`.

    Parameters
    ----------
    pairs : ndarray of int, shape (min rank, 2)
        Component of `a`, component of `b`.
    signs : ndarray, shape (K, min rank)
        To be multiplied to the loadings of `b` in each view.
    cosines : ndarray, shape (K, min rank)
        ``|cos|`` between the loadings of the matched components.
    loadings : list of ndarray
        Loadings of `b`, in the order and with the signs of `a`.
    scores : ndarray or None
        Joint scores of `b` likewise.
    """

    pairs: np.ndarray
    signs: np.ndarray
    cosines: np.ndarray
    loadings: list[np.ndarray] = field(repr=False)
    scores: np.ndarray | None = field(default=None, repr=False)

    @property
    def similarity(self) -> float:
        """Mean ``|cos|`` over views and matched components; 1 for equal fits."""
        return float(self.cosines.mean()) if self.cosines.size else 1.0


def _loadings(fit: Any, name: str) -> list[np.ndarray]:
    loadings = getattr(fit, "loadings_", fit)
    if not isinstance(loadings, (list, tuple)):
        raise TypeError(f"{name} must be a fitted estimator or a list of loadings, got {type(fit).__name__}")
    return [np.asarray(V, dtype=float) for V in loadings]


def align(a: Any, b: Any) -> Alignment:
    """Match the components of two fits once, for all views together, and bring the signs in line.

    Parameters
    ----------
    a, b : fitted estimators, or lists of loadings
        On the same features; ranks may differ.

    Examples
    --------
    >>> import numpy as np
    >>> a = [np.eye(3)[:, :2], np.eye(4)[:, :2]]
    >>> found = align(a, [-V[:, ::-1] for V in a])
    >>> found.pairs.tolist(), found.similarity
    ([[0, 1], [1, 0]], 1.0)
    """
    from scipy.optimize import linear_sum_assignment

    A, B = _loadings(a, "a"), _loadings(b, "b")
    if len(A) != len(B):
        raise ValueError(f"a and b must have the same number of views, got {len(A)} and {len(B)}")
    for k, (P, Q) in enumerate(zip(A, B)):
        if P.shape[0] != Q.shape[0]:
            raise ValueError(f"a and b must have the same features, got {P.shape[0]} and {Q.shape[0]} in view {k}")
    unit_a = [P / np.maximum(np.linalg.norm(P, axis=0), 1e-300) for P in A]
    unit_b = [Q / np.maximum(np.linalg.norm(Q, axis=0), 1e-300) for Q in B]
    cosines = np.array([P.T @ Q for P, Q in zip(unit_a, unit_b)])
    rows, columns = linear_sum_assignment(-np.abs(cosines).sum(axis=0))
    matched = cosines[:, rows, columns]
    signs = np.where(matched < 0, -1.0, 1.0)
    scores = getattr(b, "scores_", None)
    if scores is not None:
        # one sign for the joint score: that of the views together
        scores = scores[:, columns] * np.where(matched.sum(axis=0) < 0, -1.0, 1.0)
    return Alignment(
        np.column_stack([rows, columns]),
        signs,
        np.minimum(np.abs(matched), 1.0),
        [Q[:, columns] * s for Q, s in zip(B, signs)],
        scores,
    )


def take_samples(views: Any, index: Any) -> Any:
    """The samples `index` of every view, in the container the caller has (list or dict; DataFrames stay such).

    Examples
    --------
    >>> import numpy as np
    >>> [X.shape for X in take_samples([np.zeros((5, 2)), np.zeros((5, 3))], [0, 4])]
    [(2, 2), (2, 3)]
    """

    def cut(X: Any) -> Any:
        if X is None:
            return None
        if _columns(X) is not None:
            return X.iloc[index]
        return X.tocsr()[index] if _is_sparse(X) else np.asarray(X)[index]

    if isinstance(views, Mapping):
        return {name: cut(X) for name, X in views.items()}
    return [cut(X) for X in views]


def cross_val_score(estimator: Any, views: Any, *, cv: Any = 5, random_state: int | None = 0) -> np.ndarray:
    """Scores of an estimator over folds of the samples, as scikit-learn's function does for a single matrix.

    Parameters
    ----------
    estimator : estimator with ``fit(views)`` and ``score(views)``
        Cloned for every fold.
    views : sequence or mapping of matrices
    cv : int or splitter, default 5
        Number of shuffled folds, or anything with ``split(X)`` such as scikit-learn's `ShuffleSplit`.
    random_state : int or None
        Of the shuffled folds.
    """
    from sklearn.base import clone
    from sklearn.model_selection import KFold

    first = next(iter(views.values())) if isinstance(views, Mapping) else views[0]
    n = first.shape[0] if hasattr(first, "shape") else len(first)
    splitter = KFold(cv, shuffle=True, random_state=random_state) if isinstance(cv, (int, np.integer)) else cv
    scores = []
    for train, test in splitter.split(np.zeros((n, 1))):
        fitted = clone(estimator).fit(take_samples(views, train))
        scores.append(fitted.score(take_samples(views, test)))
    return np.array(scores)
