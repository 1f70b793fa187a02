"""What linked components are compared with, behind one interface.

MCCA, GCCA, CCA and its regularised form are those of cca-zoo (extra ``optlab[peers]``), run on the compressed views,
which changes nothing. Without a maintained Python package, and therefore here: concatenated PCA, sequential extraction,
JIVE (Lock et al. 2013), AJIVE (Feng et al. 2018) and SLIDE (Gaynanova and Li 2019).

All answer with ``loadings_`` (unit columns, proportional to the covariances of features and joint scores), ``scores_``,
``view_scores_`` and ``rank_``, and have ``transform(views)``.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from optlab.core.validation import as_integer
from optlab.multiview.prepare import Prepared, prepare
from optlab.multiview.problem import LinkedComponents
from optlab.multiview.views import View, read_views

__all__ = ["AJIVE", "CCA", "GCCA", "JIVE", "MCCA", "SLIDE", "ConcatenatedPCA", "SequentialExtraction"]


class _Baseline(BaseEstimator):
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
        checked = read_views(views)
        if [a.shape[1] for a in checked.arrays] != self.n_features_in_:
            raise ValueError(
                f"views must have {self.n_features_in_} features as in fit, got {[a.shape[1] for a in checked.arrays]}"
            )
        new = [View(a, m, s) for a, m, s in zip(checked.arrays, self.means_, self.scales_)]
        return np.hstack([view.matmul(V) for view, V in zip(new, self.projections_)]) @ self.score_map_


def _check_rank(rank: Any, data: Prepared, name: str = "rank") -> int:
    number = as_integer(rank, name, minimum=1)
    most = min(min(Y.shape[1] for Y in data.scores), data.n - 1)
    if number > most:
        raise ValueError(f"{name} must be at most {most}, the dimensions of the smallest view, got {number}")
    return number


class ConcatenatedPCA(_Baseline):
    """Principal components of all views side by side (each with unit total variance).

    Parameters
    ----------
    rank : int

    Examples
    --------
    >>> from optlab.datasets.multiview import make_linked_views
    >>> ConcatenatedPCA(rank=2).fit(make_linked_views("S").views).scores_.shape
    (200, 2)
    """

    def __init__(self, rank: int = 1) -> None:
        self.rank = rank

    def _joint(self, data: Prepared) -> tuple[np.ndarray, None]:
        left, _, _ = np.linalg.svd(np.hstack(data.scores), full_matrices=False)
        return np.sqrt(data.n - 1) * left[:, : _check_rank(self.rank, data)], None


class SequentialExtraction(_Baseline):
    """One component at a time: the leading linked component without penalty, then ``X_k (I - v v')``, and so on.

    The criterion is that of `LinkedComponents` for one component (SSQCOV, or regularised generalised CCA with tau = 1
    and the factorial scheme); for two views it gives the singular vectors of the cross-covariance exactly.

    Parameters
    ----------
    rank : int
    """

    def __init__(self, rank: int = 1) -> None:
        self.rank = rank

    def _joint(self, data: Prepared) -> tuple[np.ndarray, list[np.ndarray]]:
        scores = [Y - Y.mean(axis=0) for Y in data.scores]
        found: list[tuple[np.ndarray, ...]] = []
        norms = []
        for _ in range(_check_rank(self.rank, data)):
            problem = LinkedComponents._from_scores(scores, max_rank=1)
            v = np.concatenate(problem.spectral_start(1))[:, 0]
            v, norm = problem.rank_one(v, np.zeros((v.size, 0)), 500, tol=1e-12)
            parts = problem.split(v)
            scores = [Y - (Y @ u)[:, None] * u for Y, u in zip(scores, parts)]
            found.append(parts)
            norms.append(norm)
        self.singular_values_ = np.array(norms)
        coordinates = [np.column_stack([parts[k] for parts in found]) for k in range(len(scores))]
        return _mean_of_views(data, coordinates), coordinates


def _mean_of_views(data: Prepared, coordinates: list[np.ndarray]) -> np.ndarray:
    """Average of the standardised view scores, signs aligned with the first view."""
    views = [Y @ C for Y, C in zip(data.scores, coordinates)]
    views = [T / np.maximum(T.std(axis=0, ddof=1), 1e-300) for T in views]
    signs = [np.where(np.einsum("ij,ij->j", views[0], T) < 0, -1.0, 1.0) for T in views]
    return np.asarray(np.mean([T * s for T, s in zip(views, signs)], axis=0))


class _FromCCAZoo(_Baseline):
    """A model of cca-zoo on the compressed views; ``weights_`` holds its weights in the features."""

    _model = ""

    def _build(self, linear: Any) -> Any:
        raise NotImplementedError

    def _joint(self, data: Prepared) -> tuple[np.ndarray, None]:
        try:
            import cca_zoo.linear as linear
        except ImportError:
            raise ImportError(
                f"{type(self).__name__} uses cca-zoo; install it with: pip install 'optlab[peers]'"
            ) from None
        _check_rank(self.rank, data)
        self.model_ = self._build(linear).fit([np.ascontiguousarray(Y) for Y in data.scores])
        self._weights = weights = [np.asarray(W) for W in self.model_.weights_]
        self.weights_ = [r.expand(W) for r, W in zip(data.reduced, weights)]
        return _mean_of_views(data, weights), None


class MCCA(_FromCCAZoo):
    """Multiset CCA (sum of correlations) of cca-zoo.

    Parameters
    ----------
    rank : int
    shrinkage : float, default 0
        Of each view's covariance towards the identity, in [0, 1]; needed where a view has as many features as samples.
    """

    def __init__(self, rank: int = 1, shrinkage: float = 0.0) -> None:
        self.rank = rank
        self.shrinkage = shrinkage

    def _build(self, linear: Any) -> Any:
        return linear.MCCA(n_components=self.rank, shrinkage=self.shrinkage)


class GCCA(_FromCCAZoo):
    """Generalised CCA (MAXVAR: views correlated with a shared score) of cca-zoo.

    Parameters
    ----------
    rank : int
    shrinkage : float, default 0
    """

    def __init__(self, rank: int = 1, shrinkage: float = 0.0) -> None:
        self.rank = rank
        self.shrinkage = shrinkage

    def _build(self, linear: Any) -> Any:
        return linear.GCCA(n_components=self.rank, shrinkage=self.shrinkage)


class CCA(_FromCCAZoo):
    """Canonical correlation analysis of two views, regularised if asked to, of cca-zoo.

    Parameters
    ----------
    rank : int
    shrinkage : float, default 0
        0: CCA; above 0: regularised (ridge) CCA; 1: partial least squares.
    """

    def __init__(self, rank: int = 1, shrinkage: float = 0.0) -> None:
        self.rank = rank
        self.shrinkage = shrinkage

    def _build(self, linear: Any) -> Any:
        return linear.RidgeCCA(n_components=self.rank, shrinkage=self.shrinkage)


def _svd(X: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    left, values, right = np.linalg.svd(X, full_matrices=False)
    return left[:, :rank], values[:rank], right[:rank]


class JIVE(_Baseline):
    """Joint and individual variation explained (Lock, Hoadley, Marron and Nobel 2013), with given ranks.

    Alternates a joint part (truncated singular value decomposition of all views less their individual parts) and the
    individual parts (the same of each view less its joint part, orthogonal to the joint scores).

    Parameters
    ----------
    rank : int
        Joint rank.
    individual_ranks : int or sequence of int, default 0
    orthogonal_individual : bool, default False
        Make the individual scores of different views orthogonal to each other too, as the R package does.
    max_iter : int, default 1000
    tol : float, default 1e-8
        On the change of joint and individual parts (views have unit norm).

    Attributes
    ----------
    joint_, individual_ : list of ndarray
        Parts of each view, in the compressed coordinates.
    n_iter_ : int
    """

    def __init__(
        self,
        rank: int = 1,
        individual_ranks: Any = 0,
        orthogonal_individual: bool = False,
        max_iter: int = 1000,
        tol: float = 1e-8,
    ) -> None:
        self.rank = rank
        self.individual_ranks = individual_ranks
        self.orthogonal_individual = orthogonal_individual
        self.max_iter = max_iter
        self.tol = tol

    def _joint(self, data: Prepared) -> tuple[np.ndarray, None]:
        rank = _check_rank(self.rank, data)
        X = [Y / np.linalg.norm(Y) for Y in data.scores]
        own = _per_view(self.individual_ranks, len(X), "individual_ranks")
        cuts = np.cumsum([Y.shape[1] for Y in X])[:-1]
        individual = [np.zeros_like(Y) for Y in X]
        joint, left = [np.zeros_like(Y) for Y in X], np.zeros((data.n, rank))
        bases: list[np.ndarray | None] = [None] * len(X)
        for k in range(as_integer(self.max_iter, "max_iter", minimum=1)):
            left, values, right = _svd(np.hstack([Y - A for Y, A in zip(X, individual)]), rank)
            new_joint = np.split((left * values) @ right, cuts, axis=1)
            new_individual = []
            for i, (Y, J) in enumerate(zip(X, new_joint)):
                rest = (Y - J) - left @ (left.T @ (Y - J))
                if self.orthogonal_individual and k > 0:
                    for other, basis in enumerate(bases):
                        if other != i and basis is not None:
                            rest = rest - basis @ (basis.T @ rest)
                u, s, v = _svd(rest, own[i])
                bases[i] = u
                new_individual.append((u * s) @ v)
            change = max(
                np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(new, old)))
                for new, old in ((new_joint, joint), (new_individual, individual))
            )
            joint, individual = new_joint, new_individual
            if change <= self.tol:
                break
        self.joint_, self.individual_, self.n_iter_ = joint, individual, k + 1
        return np.sqrt(data.n - 1) * left, None


def _per_view(value: Any, n_views: int, name: str) -> list[int]:
    if np.ndim(value) == 0:
        return [as_integer(value, name, minimum=0)] * n_views
    ranks = [as_integer(v, f"{name}[{k}]", minimum=0) for k, v in enumerate(value)]
    if len(ranks) != n_views:
        raise ValueError(f"{name} must have one entry for each of {n_views} views, got {len(ranks)}")
    return ranks


class AJIVE(_Baseline):
    """Angle-based JIVE (Feng, Jiang, Hannig and Marron 2018).

    Every view is cut to its initial signal rank; joint scores are the directions that the signal subspaces share, kept
    while their squared singular value exceeds both the 5 % quantile of a Wedin bound and the 95 % quantile for random
    subspaces.

    Parameters
    ----------
    signal_ranks : int or sequence of int
        Initial ranks of the views, joint and individual together.
    rank : int, optional
        Joint rank; None: estimated.
    n_samples : int, default 200
        Resamples of each of the two bounds.
    random_state : int

    Attributes
    ----------
    squared_singular_values_, wedin_bound_, random_bound_ : ndarray, float, float
    """

    def __init__(
        self, signal_ranks: Any = 5, rank: int | None = None, n_samples: int = 200, random_state: int | None = 0
    ) -> None:
        self.signal_ranks = signal_ranks
        self.rank = rank
        self.n_samples = n_samples
        self.random_state = random_state

    def _joint(self, data: Prepared) -> tuple[np.ndarray, None]:
        rng = np.random.default_rng(self.random_state)
        wanted = _per_view(self.signal_ranks, len(data.scores), "signal_ranks")
        ranks = [min(r, min(Y.shape) - 1) for r, Y in zip(wanted, data.scores)]
        lefts, limits, wedin = [], [], np.zeros(self.n_samples)
        for Y, r in zip(data.scores, ranks):
            u, s, v = _svd(Y, r + 1)
            lefts.append(u[:, :r])
            limits.append((s[r - 1] + s[r]) / 2)
            if self.rank is None:
                left = _noise(Y.T, u[:, :r], self.n_samples, rng)
                right = _noise(Y, v[:r].T, self.n_samples, rng)
                wedin += np.minimum(np.maximum(left, right) / s[r - 1], 1.0) ** 2
        joint, values, _ = np.linalg.svd(np.hstack(lefts), full_matrices=False)
        self.squared_singular_values_ = values**2
        if self.rank is None:
            random = []
            for _ in range(self.n_samples):
                bases = np.hstack([np.linalg.qr(rng.standard_normal((data.n, r)))[0] for r in ranks])
                random.append(np.linalg.eigvalsh(bases.T @ bases)[-1])
            self.wedin_bound_ = float(np.percentile(len(lefts) - wedin, 5))
            self.random_bound_ = float(np.percentile(random, 95))
            rank = int(np.sum(values**2 > max(self.wedin_bound_, self.random_bound_)))
        else:
            rank = as_integer(self.rank, "rank", minimum=0)
        # a joint direction must be visible in every view
        kept = [
            j for j in range(rank) if all(np.linalg.norm(Y.T @ joint[:, j]) >= t for Y, t in zip(data.scores, limits))
        ]
        return np.sqrt(data.n - 1) * joint[:, kept], None


def _noise(X: np.ndarray, basis: np.ndarray, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Norms of `X` on random subspaces orthogonal to `basis`, of its dimension."""
    norms = np.empty(n_samples)
    for first in range(0, n_samples, 25):
        count = min(25, n_samples - first)
        Z = rng.standard_normal((count, *basis.shape))
        Q, _ = np.linalg.qr(Z - basis @ (basis.T @ Z))
        wide = X @ Q.transpose(1, 0, 2).reshape(len(basis), -1)  # one product for all
        images = wide.reshape(len(wide), count, -1).transpose(1, 0, 2)
        norms[first : first + count] = np.sqrt(np.linalg.eigvalsh(images.transpose(0, 2, 1) @ images)[:, -1])
    return norms


class SLIDE(_Baseline):
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
        X = [Y / np.linalg.norm(Y) for Y in data.scores]
        if self.structure is None:
            self.structure_ = self._select(X)
        else:
            self.structure_ = np.asarray(self.structure, dtype=bool)
            if self.structure_.ndim != 2 or len(self.structure_) != len(X):
                raise ValueError(f"structure must have one row for each of {len(X)} views, got {self.structure_.shape}")
        U, V = slide_given_structure(X, self.structure_, self.max_iter, self.tol)
        shared = self.structure_.sum(axis=0) >= 2
        return np.sqrt(data.n - 1) * U[:, shared], [B[:, shared] for B in V]

    def _select(self, X: list[np.ndarray]) -> np.ndarray:
        rng = np.random.default_rng(self.random_state)
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
