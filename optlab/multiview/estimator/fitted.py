"""What can be done with fitted linked components: scores of new samples, prediction, shares of variance, plots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from optlab.core.validation import as_flag, as_float_array
from optlab.multiview.estimator.plots import ComponentPlots
from optlab.multiview.estimator.scores import consensus_scores
from optlab.multiview.views.reading import check_samples, column_names, common_index, read_array
from optlab.multiview.views.view import View

__all__ = ["FittedComponents"]


class FittedComponents(ComponentPlots):
    """The methods of `JointLCA` that use a fit. The attributes are those that `JointLCA.fit` sets."""

    pair_weights: Any
    view_names_: list[str]
    n_views_: int
    n_samples_: int
    n_features_in_: list[int]
    feature_names_in_: list[Any]
    means_: list[np.ndarray]
    scales_: list[np.ndarray]
    rank_: int
    joint_: np.ndarray
    activity_: np.ndarray
    loadings_: list[np.ndarray]
    strengths_: np.ndarray
    score_variances_: np.ndarray
    score_maps_: list[np.ndarray]
    pair_singular_values_: np.ndarray
    explained_variance_ratio_: np.ndarray
    total_variance_: np.ndarray
    residual_spectra_: list[np.ndarray]

    def _new_views(self, views: Any, *, subset: bool) -> list[View | None]:
        """Check views against those of the fit; None stands for a missing one."""
        check_is_fitted(self, "loadings_")
        names = self.view_names_
        if isinstance(views, Mapping):
            unknown = [str(key) for key in views if str(key) not in names]
            if unknown:
                raise ValueError(
                    f"views has {unknown[0]!r}, which was not in fit; there were {', '.join(map(repr, names))}"
                )
            given = {names.index(str(key)): value for key, value in views.items() if value is not None}
        else:
            if not isinstance(views, (list, tuple)):
                raise TypeError(f"views must be a list of matrices or a dict of them, got {type(views).__name__}")
            if len(views) != len(names):
                raise ValueError(
                    f"views must be a list of all {len(names)} views in the order of fit ({', '.join(names)}), got "
                    f"{len(views)}; put None in the place of a missing view, or pass a dict by name"
                )
            given = {k: value for k, value in enumerate(views) if value is not None}
        missing = [names[k] for k in range(len(names)) if k not in given]
        if missing and not subset:
            raise ValueError(f"views must hold all views of fit here; {missing[0]!r} is missing")
        if not given:
            raise ValueError("views must hold at least one view, got none")
        labels = {k: f"views[{names[k]!r}]" if isinstance(views, Mapping) else f"views[{k}]" for k in given}
        result: list[View | None] = [None] * len(names)
        for k, value in given.items():
            array = read_array(value, labels[k])
            self._check_features(k, column_names(value), array.shape[1], labels[k])
            result[k] = View(array, self.means_[k], self.scales_[k])
        present = [view.data for view in result if view is not None]
        check_samples(present, [names[k] for k, view in enumerate(result) if view is not None])
        common_index(list(given.values()), list(labels.values()))
        return result

    def _view_number(self, view: Any, name: str) -> int:
        """Position of a view given by name or position."""
        check_is_fitted(self, "loadings_")
        if isinstance(view, str) and view in self.view_names_:
            return self.view_names_.index(view)
        if isinstance(view, (int, np.integer)) and not isinstance(view, bool) and 0 <= view < self.n_views_:
            return int(view)
        raise ValueError(f"{name} must be a view of fit ({', '.join(self.view_names_)}) or its position, got {view!r}")

    def _check_features(self, k: int, columns: tuple[str, ...] | None, p: int, label: str) -> None:
        fitted = self.feature_names_in_[k]
        if p != self.n_features_in_[k]:
            other = [self.view_names_[i] for i, q in enumerate(self.n_features_in_) if q == p]
            hint = f" (that of {other[0]}: are the views in another order than in fit?)" if other else ""
            raise ValueError(f"{label} must have {self.n_features_in_[k]} features as in fit, got {p}{hint}")
        if columns is not None and fitted is not None and list(columns) != fitted:
            j = next(i for i, (a, b) in enumerate(zip(columns, fitted)) if a != b)
            hint = "; the same columns in another order" if sorted(columns) == sorted(fitted) else ""
            raise ValueError(
                f"{label} must have the columns of fit in their order; column {j} is {columns[j]!r}, "
                f"was {fitted[j]!r}{hint}"
            )

    def transform_views(self, views: Any) -> list[np.ndarray | None]:
        """Scores of each view, ``(X_k - mean_k) / scale_k @ V_k``, shapes (n, rank); None for a missing view."""
        checked = self._new_views(views, subset=True)
        return [None if view is None else view.matmul(V) for view, V in zip(checked, self.loadings_)]

    def transform(self, views: Any) -> np.ndarray:
        """Joint scores of new samples, shape (n, rank), from all views or from some of them.

        Parameters
        ----------
        views : sequence or mapping
            As in `fit`. A view that is missing is None in a list, or left out of a dict.
        """
        return consensus_scores(self.transform_views(views), self.strengths_, self.score_variances_)

    def inverse_transform(self, scores: Any) -> list[np.ndarray]:
        """Joint part of every view from joint scores, in the features' own units, shapes (n, p_k)."""
        check_is_fitted(self, "loadings_")
        r = len(self.joint_)
        Z = as_float_array(scores, "scores", allow_empty=True)
        if Z.ndim != 2 or Z.shape[1] != r:
            raise ValueError(f"scores must have shape (n, {r}), got {Z.shape}")
        return [
            (Z @ C) @ V.T * scale + mean
            for C, V, scale, mean in zip(self.score_maps_, self.loadings_, self.scales_, self.means_)
        ]

    def predict_view(self, views: Any, target: int | str) -> np.ndarray:
        """Predict one view, by position or name, from the others given."""
        k = self._view_number(target, "target")
        others: Any = views
        if isinstance(views, Mapping):
            others = {name: X for name, X in views.items() if str(name) != self.view_names_[k]}
        elif isinstance(views, (list, tuple)):
            others = [None if i == k else X for i, X in enumerate(views)]
        return self.inverse_transform(self.transform(others))[k]

    def score(self, views: Any, y: Any = None) -> float:
        """Share of the (new) samples' cross-covariance that the fit explains; larger is better, 0 for rank 0.

        ``1 - sum w_kl ||S_kl - V_k D_kl V_l'||^2 / sum w_kl ||S_kl||^2`` with the cross-covariances of these samples
        about the means of the fit. Noise in ``S_kl`` counts as unexplained.
        """
        checked = self._new_views(views, subset=False)
        present = [view for view in checked if view is not None]
        T = [view.matmul(V) for view, V in zip(present, self.loadings_)]
        n = present[0].n
        grams: dict[int, np.ndarray] = {}
        W = np.ones((self.n_views_, self.n_views_)) if self.pair_weights is None else np.asarray(self.pair_weights)
        explained = total = 0.0
        for k in range(self.n_views_):
            for l in range(k + 1, self.n_views_):
                d = self.pair_singular_values_[k, l]
                c = np.einsum("ij,ij->j", T[k], T[l]) / n
                explained += W[k, l] * float(2 * d @ c - d @ d)
                total += W[k, l] * _cross_square(present[k], present[l], grams) / n**2
        return explained / total if total > 0 else 0.0

    # ------------------------------------------------------------------ reading a fit

    def variance_table(self, individual: bool = True) -> dict[str, np.ndarray]:
        """Shares of each view's variance: joint, individual, residual; columns of equal length.

        The joint share is ``sum_j a_kj^2`` over the total, of the joint components in which the view is active. The
        individual part are the leading principal components of what the joint scores leave, as many as pass the optimal
        hard threshold of Gavish and Donoho (2014); the residual is the rest.
        """
        check_is_fitted(self, "loadings_")
        individual = as_flag(individual, "individual")
        joint = self._joint_shares().sum(axis=1)
        own, ranks = np.zeros(self.n_views_), np.zeros(self.n_views_, dtype=int)
        for k, values in enumerate(self.residual_spectra_):
            if individual:
                ranks[k] = _hard_threshold_rank(values, self.n_samples_ - 1, self.n_features_in_[k])
                own[k] = np.sum(values[: ranks[k]] ** 2) / (self.n_samples_ - 1) / self.total_variance_[k]
        own = np.minimum(own, 1.0 - joint)
        return {
            "view": np.array(self.view_names_),
            "joint": joint,
            "individual": own,
            "residual": 1.0 - joint - own,
            "individual_rank": ranks,
        }

    def _joint_shares(self) -> np.ndarray:
        """Shares of variance due to the joint components, 0 where a view takes no part, shape (K, rank)."""
        shares = np.where(self.activity_, self.explained_variance_ratio_, 0.0)
        return np.asarray(shares[:, : self.rank_])

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the scores: component1, component2, ... for joint ones, individual1, ... for those that are not."""
        check_is_fitted(self, "loadings_")
        own = len(self.joint_) - self.rank_
        names = [f"component{j + 1}" for j in range(self.rank_)] + [f"individual{j + 1}" for j in range(own)]
        return np.array(names, dtype=object)


def _hard_threshold_rank(values: np.ndarray, n: int, p: int) -> int:
    """Number of singular values above the optimal hard threshold for unknown noise (Gavish and Donoho 2014)."""
    small = min(n, p)
    values = values[: min(small, values.size)]
    if values.size < small:  # a truncated decomposition says nothing about the noise
        median = float(values[-1]) if values.size else 0.0
    else:
        median = float(np.median(values))
    beta = small / max(n, p)
    omega = 0.56 * beta**3 - 0.95 * beta**2 + 1.82 * beta + 1.43
    return int(np.sum(values > max(omega * median, 1e-10 * max(values.max(initial=0.0), 1e-300))))


def _cross_square(first: View, second: View, grams: dict[int, np.ndarray]) -> float:
    """``||X' Y||_F^2``, through Gram matrices if there are fewer samples than features; never p × q at once."""
    if first.n < min(first.p, second.p):
        for view in (first, second):
            if id(view) not in grams:
                grams[id(view)] = view.gram()
        return float(np.einsum("ij,ij->", grams[id(first)], grams[id(second)]))
    if second.p > first.p:
        first, second = second, first
    total, width = 0.0, max(1, 4_000_000 // first.n)
    for start in range(0, second.p, width):
        E = np.zeros((second.p, min(width, second.p - start)))
        E[start : start + E.shape[1], :] = np.eye(E.shape[1])
        total += float(np.sum(first.rmatmul(second.matmul(E)) ** 2))
    return total
