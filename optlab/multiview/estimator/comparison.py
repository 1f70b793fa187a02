"""Comparing fits: align the components of two fits, take samples out of views, score a fit over folds.

Components are identified up to order and signs only (and not at all among components whose strengths tie in every pair
of views), so that two fits are compared after an alignment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from optlab.core.validation import as_float_array, as_generator, as_integer
from optlab.multiview.views.reading import check_views, column_names
from optlab.multiview.views.view import is_sparse, standardised

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
    return [as_float_array(V, f"{name}[{k}]", ndim=2, allow_empty=True) for k, V in enumerate(loadings)]


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
    """Copies of the samples `index` of every view, in the container the caller has (list or dict, DataFrames too).

    Parameters
    ----------
    views : sequence or mapping of matrices
        None stands for a missing view and stays None.
    index : slice, array_like of int or of bool
        Positions of the samples, or a mask.

    Examples
    --------
    >>> import numpy as np
    >>> [X.shape for X in take_samples([np.zeros((5, 2)), np.zeros((5, 3))], [0, 4])]
    [(2, 2), (2, 3)]
    """

    def cut(X: Any, name: str) -> Any:
        if X is None:
            return None
        if column_names(X) is not None:
            return X.iloc[_positions(index, len(X), name)]
        matrix = X.tocsr() if is_sparse(X) else np.asarray(X)
        if matrix.ndim == 0:
            raise TypeError(f"{name} must be a matrix with the samples in its rows, got {type(X).__name__}")
        return matrix[_positions(index, matrix.shape[0], name)]

    if isinstance(views, Mapping):
        return {name: cut(X, f"views[{name!r}]") for name, X in views.items()}
    if not isinstance(views, (list, tuple)) and getattr(views, "ndim", 0) != 3:
        raise TypeError(f"views must be a list of matrices or a dict of them, got {type(views).__name__}")
    return [cut(X, f"views[{k}]") for k, X in enumerate(views)]


def _positions(index: Any, n: int, name: str) -> np.ndarray:
    """`index` as positions below n: a copy is taken of the rows, never a window on the caller's."""
    if isinstance(index, slice):
        return np.arange(n)[index]
    found = np.asarray(index)
    if found.ndim != 1 or (found.dtype.kind not in "iub" and found.size):
        raise TypeError(f"index must be positions of samples or a mask, got {index!r:.80}")
    if found.dtype == bool:
        if found.size != n:
            raise ValueError(f"index must have one entry per sample of {name}, {n}, got {found.size}")
        return np.flatnonzero(found)
    found = found.astype(int)
    outside = (found < -n) | (found >= n)
    if outside.any():
        raise ValueError(f"index must be below {n}, the samples of {name}, got {found[outside][0]}")
    return found


def cross_val_score(estimator: Any, views: Any, *, cv: Any = 5, random_state: Any = 0) -> np.ndarray:
    """Scores of an estimator over folds of the samples, as scikit-learn's function does for a single matrix.

    A column that varies, but not among the training samples of a fold (a rare 0/1 feature), has loading zero in that
    fold; a column that is constant in all samples is refused as in `JointLCA.fit`.

    Parameters
    ----------
    estimator : estimator with ``fit(views)`` and ``score(views)``
        Cloned for every fold.
    views : sequence or mapping of matrices
    cv : int or splitter, default 5
        Number of shuffled folds, or anything with ``split(X)`` such as scikit-learn's `ShuffleSplit`.
    random_state : int, RandomState, Generator or None
        Of the shuffled folds. None is 0.
    """
    from sklearn.base import clone
    from sklearn.model_selection import KFold

    for method in ("get_params", "fit", "score"):
        if not callable(getattr(estimator, method, None)):
            raise TypeError(f"estimator must have fit, score and get_params, got {type(estimator).__name__}")
    if isinstance(estimator, type):
        raise TypeError(f"estimator must be an instance, got the class {estimator.__name__}")
    checked = check_views(views)
    settings = {}
    if estimator.get_params().get("constant_columns") == "raise":
        standardised(checked)
        settings["constant_columns"] = "keep"
    if hasattr(cv, "split") and not isinstance(cv, (str, bytes)):
        splitter = cv
    else:
        folds = as_integer(cv, "cv", minimum=2)
        if folds > checked.n:
            raise ValueError(f"cv must be at most {checked.n}, the number of samples, got {folds}")
        seed = (
            random_state if isinstance(random_state, (int, np.integer)) else as_generator(random_state).integers(2**31)
        )
        splitter = KFold(folds, shuffle=True, random_state=as_integer(seed, "random_state", minimum=0))
    scores = []
    for train, test in splitter.split(np.zeros((checked.n, 1))):
        fitted = clone(estimator).set_params(**settings).fit(take_samples(views, train))
        scores.append(fitted.score(take_samples(views, test)))
    return np.array(scores)
