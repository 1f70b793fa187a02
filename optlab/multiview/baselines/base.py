"""What the baselines share: preparation, loadings from joint scores, transform of new samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from optlab.core.validation import as_integer
from optlab.multiview.views.preparation import Prepared, prepare
from optlab.multiview.views.reading import check_views
from optlab.multiview.views.view import View

__all__ = ["Baseline", "mean_of_views", "per_view", "truncated_svd"]


class Baseline(BaseEstimator):
    """Common parts: preparation, loadings from scores, transform. Subclasses give the joint scores in `_joint`."""

    def fit(self, views: Any, y: Any = None) -> Any:
        """Fit to views with the same samples in the rows; see `JointLCA.fit`."""
        data = prepare(views, standardize=getattr(self, "standardize", False), constant_columns="keep")
        scores, coordinates = self._joint(data)
        weights = getattr(self, "_weights", None)
        self.rank_ = int(scores.shape[1])
        self.view_names_ = list(data.names)
        self.n_features_in_ = [view.p for view in data.views]
        if coordinates is None:
            coordinates = [r.scores.T @ scores for r in data.reduced]
        coordinates = [C / np.maximum(np.linalg.norm(C, axis=0), 1e-300) for C in coordinates]
        self.scores_ = scores
        self.loadings_ = [r.expand(C) for r, C in zip(data.reduced, coordinates)]
        self.view_scores_ = [r.scores @ C for r, C in zip(data.reduced, coordinates)]
        self.means_ = [view.mean for view in data.views]
        self.scales_ = [view.scale for view in data.views]
        # joint scores as a linear map of the views: exact for the CCA family, else least squares on the view scores
        self.projections_ = self.loadings_ if weights is None else self.weights_
        projected = self.view_scores_ if weights is None else [r.scores @ W for r, W in zip(data.reduced, weights)]
        self.score_map_ = np.linalg.lstsq(np.hstack(projected), scores, rcond=None)[0]
        return self

    def _joint(self, data: Prepared) -> tuple[np.ndarray, list[np.ndarray] | None]:
        """Joint scores (n, r), and the loadings in the coordinates if they are not ``X_k' scores``."""
        raise NotImplementedError

    def fit_transform(self, views: Any, y: Any = None) -> np.ndarray:
        """Fit, and return the joint scores."""
        return self.fit(views).scores_

    def transform(self, views: Any) -> np.ndarray:
        """Joint scores of new samples: the linear map of all views' scores that reproduces the training scores best."""
        check_is_fitted(self, "loadings_")
        checked = check_views(views)
        if [a.shape[1] for a in checked.arrays] != self.n_features_in_:
            raise ValueError(
                f"views must have {self.n_features_in_} features as in fit, got {[a.shape[1] for a in checked.arrays]}"
            )
        new = [View(a, m, s) for a, m, s in zip(checked.arrays, self.means_, self.scales_)]
        return np.hstack([view.matmul(V) for view, V in zip(new, self.projections_)]) @ self.score_map_


def mean_of_views(data: Prepared, coordinates: list[np.ndarray]) -> np.ndarray:
    """Average of the standardised view scores, signs aligned with the first view."""
    views = [Y @ C for Y, C in zip(data.scores, coordinates)]
    views = [T / np.maximum(T.std(axis=0, ddof=1), 1e-300) for T in views]
    signs = [np.where(np.einsum("ij,ij->j", views[0], T) < 0, -1.0, 1.0) for T in views]
    return np.asarray(np.mean([T * s for T, s in zip(views, signs)], axis=0))


def truncated_svd(X: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    left, values, right = np.linalg.svd(X, full_matrices=False)
    return left[:, :rank], values[:rank], right[:rank]


def per_view(value: Any, n_views: int, name: str, minimum: int = 0) -> list[int]:
    if not isinstance(value, (list, tuple)) and getattr(value, "ndim", 0) != 1:
        return [as_integer(value, name, minimum=minimum)] * n_views
    ranks = [as_integer(v, f"{name}[{k}]", minimum=minimum) for k, v in enumerate(value)]
    if len(ranks) != n_views:
        raise ValueError(f"{name} must have one entry for each of {n_views} views, got {len(ranks)}")
    return ranks
