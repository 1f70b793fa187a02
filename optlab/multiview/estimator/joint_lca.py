"""`JointLCA`: joint linked component analysis as a scikit-learn estimator on a list of views.

After Joint Linked Component Analysis for Multiview Data (Lin Xiao and Luo Xiao, arXiv 2406.11761): loadings of every
view and the rank of the common latent space at once, from the cross-covariances, with a group-sparsity penalty,
alternating Procrustes updates with per-component refinement, and a refit against the shrinkage. The exact penalty,
weights and tuning of the paper are not reproduced: what is fitted is a *reconstruction* consistent with the paper's
abstract. The whitened and hybrid variants, the scores and the variance shares are not in the paper.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from optlab.core.validation import as_flag, as_generator, as_integer, as_number, one_of
from optlab.multiview.estimator.fitted import FittedComponents
from optlab.multiview.estimator.scores import consensus_scores, view_strengths
from optlab.multiview.problem.components import LinkedComponents, LinkedSolution
from optlab.multiview.problem.orthonormal import one_thread_if_small, polar
from optlab.multiview.problem.penalties import Penalty, as_penalty
from optlab.multiview.selection.choice import ModelFitWarning
from optlab.multiview.selection.cross_validation import (
    Selection,
    cross_validate_lambda,
    cross_validate_rank,
    lambda_path,
    permutation_test,
)
from optlab.multiview.selection.permutation import exceedances
from optlab.multiview.views.preparation import Prepared, fit_problem, prepare
from optlab.multiview.views.reading import read_views

__all__ = ["JointLCA", "ModelFitWarning"]

_LEVEL = 0.05  # of the tests of activity


class JointLCA(FittedComponents, BaseEstimator):
    """Joint linked component analysis: loadings of all views and their common rank at once.

    Finds orthonormal loadings ``V_k`` per view such that all cross-covariances are ``S_kl = V_k D_kl V_l'`` with
    diagonal ``D_kl``. Structure that only one view has, and noise, do not enter the cross-covariances and need not be
    modelled.

    Parameters
    ----------
    penalty : str or Penalty, default "group"
        ``"group"`` (group lasso), ``"mcp"``, ``"scad"``, ``"l0"``, ``"adaptive"``, ``"factored"`` (ridge on the
        strengths of a common score), ``"lasso"`` (no groups, an ablation); see `optlab.multiview.problem.penalties`.
    lam : float or {"cv", "cv-lambda", "permutation", "sequential", "parallel"}, default "permutation"
        Penalty size (on the scale of correlations in the whitened variants, of covariances otherwise), or how to choose
        it: ``"permutation"``: components whose p-value is at most 0.05, against the strength of the leading component
        of unlinked data; ``"sequential"``, ``"parallel"``: other permutation rules; ``"cv"``: rank by cross-validation
        with refit; ``"cv-lambda"``: penalty by cross-validation with refit. To give the rank r, pass ``lam=1e-9`` and
        ``max_rank=r``.
    max_rank : int, optional
        Upper limit of the rank. Default: 10, or what the smallest view allows.
    refit : bool, default True
        Fit again without penalty at the selected rank: removes the downward shrinkage of the singular values (they are
        then a few percent too large, as singular values of noisy matrices are).
    random_state : int, RandomState, Generator or None
        Of folds, permutations, random starts and the randomised compression. An int gives the same fit every time; None
        is 0, so that fits are reproducible by default. A RandomState or Generator is drawn from, and the next fit
        differs.
    variant : {"hybrid", "whitened", "covariance"}, default "hybrid"
        ``"covariance"`` is the criterion of the paper: components count by their covariance, so that large individual
        structure hides them. ``"whitened"`` runs on the leading `n_whiten` principal scores of each view with unit
        variance: components count by their correlation, however small their variance. With many samples even links of
        no consequence are found then; look at `explained_variance_ratio_`, or take ``"covariance"``. ``"hybrid"``
        selects as ``"whitened"`` does and fits the covariances within the subspaces found, which separates the
        components better. The two are extensions, not in the paper; what each finds is in the table of
        ``docs/papers/joint_lca.md``.
    n_whiten : int, optional
        Principal components per view for these variants. Default: 10, an eighth of the samples if that is less, and at
        least 2 and `max_rank`. More hide weak links: the largest correlation of m unlinked components each is near
        ``2 ((m/n) (1 - m/n))^(1/2)``, 0.66 at an eighth.
    standardize : bool, default False
        Unit variance for every column.
    scaling : {"frobenius", "none"}, default "frobenius"
        Unit total variance for every view.
    constant_columns : {"raise", "keep"}, default "raise"
        Columns without variance: an error naming the first, or keep them with loading zero.
    pair_weights : array_like, shape (K, K), optional
        Weights of the pairs of views.
    compression : {"auto", "exact"} or int, default "auto"
        How views with many features are reduced; see `optlab.multiview.views.compression`.
    init : {"spectral", "random"}, default "spectral"
    n_init : int, default 1
        Random starts in addition to the first; the fit with the least objective is kept.
    refine_every : int, default 5
        See `AlternatingProcrustes`.
    max_iter : int, default 500
    tol : float, default 1e-6
        On the relative violation of the stationarity conditions.
    n_folds : int, optional
        Default: 5, or fewer where that leaves less than two samples in a fold.
    n_permutations : int, default 1000
        At most so many; fewer are drawn where the rank is clear before. Where it is not clear in the end,
        `ModelFitWarning` says between which ranks the choice hangs. At least 19.
    off_diagonal_limit : float, default 0.03
        Warn above this off-diagonal share of energy (and above three times what sampling explains).

    Attributes
    ----------
    rank_ : int
        Number of joint components, those active in two views or more; 0 is a legal answer.
    joint_ : ndarray of bool, shape (rank,)
        Which columns of the fit are joint. All are if a rule chose: what it selected and is active in fewer than two
        views is left out. With `lam` a number nothing is left out: joint components come first, the others, which are
        individual, after them; the shapes below then are those of all components.
    n_individual_ : int
        Components that were selected and are not joint.
    loadings_ : list of ndarray, shapes (p_k, rank)
        Orthonormal columns, for the centred and scaled features. A column of a view that is not active in a component
        means nothing.
    scores_ : ndarray, shape (n, rank)
        Joint (consensus) scores of the training samples.
    view_scores_ : list of ndarray, shapes (n, rank)
    singular_values_ : ndarray, shape (rank,)
        ``(sum_{k<l} w_kl d_kl,j^2)^(1/2)``; for two views the singular values of the cross-covariance.
    pair_singular_values_ : ndarray, shape (K, K, rank)
        ``d_kl,j``.
    strengths_ : ndarray, shape (K, rank)
        ``a_kj``: standard deviation of component j in view k.
    activity_ : ndarray of bool, shape (K, rank)
        Whether view k takes part in component j, by permutation of its samples against the others (5 % level; in the
        whitened coordinates of the whitened variants).
    explained_variance_ : ndarray, shape (K, rank)
        ``a_kj^2``: variance of view k due to joint component j.
    explained_variance_ratio_ : ndarray, shape (K, rank)
        The same as shares of the total variance of the view.
    off_diagonal_energy_ : float
        Share of the energy of ``V_k' S_kl V_l`` off the diagonals: 0 where the model fits.
    lam_, selection_ : float, Selection or None
        The penalty used and the evidence for it; ``selection_.decided`` and ``selection_.rank_range`` say whether other
        permutations would choose another rank.
    result_, history_ : Result, History
        Of the penalised run of `optlab.solve`.
    refit_result_ : Result or None
    n_iter_ : int
    n_views_, n_features_in_, view_names_, feature_names_in_ : int, list of int, list of str, list
    means_, scales_ : list of ndarray
        Of the features.

    Examples
    --------
    >>> from optlab.datasets.multiview import make_linked_views
    >>> from optlab.multiview import JointLCA
    >>> data = make_linked_views("S", seed=0)
    >>> model = JointLCA().fit(data.views)
    >>> model.rank_, model.scores_.shape
    (3, (200, 3))
    """

    def __init__(
        self,
        penalty: str | Penalty = "group",
        lam: float | str = "permutation",
        max_rank: int | None = None,
        refit: bool = True,
        random_state: Any = None,
        *,
        variant: str = "hybrid",
        n_whiten: int | None = None,
        standardize: bool = False,
        scaling: str = "frobenius",
        constant_columns: str = "raise",
        pair_weights: Any = None,
        compression: str | int = "auto",
        init: str = "spectral",
        n_init: int = 1,
        refine_every: int = 5,
        max_iter: int = 500,
        tol: float = 1e-6,
        n_folds: int | None = None,
        n_permutations: int = 1000,
        off_diagonal_limit: float = 0.03,
    ) -> None:
        self.penalty = penalty
        self.lam = lam
        self.max_rank = max_rank
        self.refit = refit
        self.random_state = random_state
        self.variant = variant
        self.n_whiten = n_whiten
        self.standardize = standardize
        self.scaling = scaling
        self.constant_columns = constant_columns
        self.pair_weights = pair_weights
        self.compression = compression
        self.init = init
        self.n_init = n_init
        self.refine_every = refine_every
        self.max_iter = max_iter
        self.tol = tol
        self.n_folds = n_folds
        self.n_permutations = n_permutations
        self.off_diagonal_limit = off_diagonal_limit

    # ------------------------------------------------------------------ fitting

    def fit(self, views: Any, y: Any = None) -> JointLCA:
        """Fit to views with the same samples in the rows.

        Parameters
        ----------
        views : sequence or mapping of matrices
            Arrays, sparse arrays or DataFrames, shapes (n, p_k); a dict gives the views names.
        y : None
            Ignored.

        Raises
        ------
        ValueError, TypeError
            For views with different numbers of samples, NaN, constant columns, a single view, or a `max_rank` that is
            not possible; the message names the view.
        """
        self._check_settings()
        rng = as_generator(self.random_state)
        data = self._prepare(views, rng)
        self._remember(data)
        with one_thread_if_small(sum(Y.shape[1] for Y in data.scores)):
            self._fit_prepared(data, rng)
        return self

    def _fit_prepared(self, data: Prepared, rng: np.random.Generator) -> None:
        R = data.rank_limit(self.max_rank)
        self.lam_, self.selection_ = self._choose(data, R, rng)
        problem = data.problem(lam=self.lam_, penalty=self.penalty, max_rank=R, pair_weights=self.pair_weights)
        self.result_ = self._solve(problem, rng)
        self.history_ = self.result_.history
        solution: LinkedSolution = self.result_.solution
        self.n_iter_ = self.result_.n_iter
        self.refit_result_ = None
        rank = solution.rank
        if self.refit and rank > 0:
            again = problem.replace(lam=0.0, max_rank=rank)
            self.refit_result_ = self._run(
                again, solution, None if self.variant == "covariance" else max(self.tol, 1e-3)
            )
            solution = self.refit_result_.solution
        self._set_components(data, problem, solution, rank, rng)

    def fit_transform(self, views: Any, y: Any = None) -> np.ndarray:
        """Fit, and return the joint scores of the samples, shape (n, rank)."""
        return self.fit(views).scores_

    def _check_settings(self) -> None:
        as_penalty(self.penalty)
        one_of(self.variant, "variant", ("covariance", "whitened", "hybrid"))
        one_of(self.init, "init", ("spectral", "random"))
        as_flag(self.refit, "refit")
        as_integer(self.n_init, "n_init", minimum=1)
        as_number(self.off_diagonal_limit, "off_diagonal_limit", minimum=0, finite=False)
        if self.n_whiten is not None:
            as_integer(self.n_whiten, "n_whiten", minimum=1)
        if isinstance(self.lam, str):
            one_of(self.lam, "lam", ("cv", "cv-lambda", "permutation", "sequential", "parallel"))
        else:
            as_number(self.lam, "lam", minimum=0)

    def _prepare(self, views: Any, rng: np.random.Generator | None = None) -> Prepared:
        checked, whiten = read_views(views), None
        if self.variant != "covariance":
            whiten = self.n_whiten
            if whiten is None:
                few = max(2, min(10, checked.n // 8))
                whiten = few if self.max_rank is None else max(few, as_integer(self.max_rank, "max_rank", minimum=0))
        return prepare(
            checked,
            standardize=self.standardize,
            scaling=self.scaling,
            constant_columns=self.constant_columns,
            compression=self.compression,
            whiten=whiten,
            rng=rng,
        )

    def _remember(self, data: Prepared) -> None:
        self.view_names_ = list(data.names)
        self.n_views_ = len(data.names)
        self.n_features_in_ = [view.p for view in data.views]
        self.feature_names_in_ = [None if f is None else list(f) for f in data.features]
        self.means_ = [view.mean for view in data.views]
        self.scales_ = [view.scale for view in data.views]
        self.n_samples_ = data.n

    def _choose(self, data: Prepared, R: int, rng: np.random.Generator) -> tuple[float, Selection | None]:
        if not isinstance(self.lam, str):
            return float(self.lam), None
        common: dict[str, Any] = {
            "max_rank": R,
            "penalty": self.penalty,
            "pair_weights": self.pair_weights,
            "random_state": rng,
        }
        if R == 0:
            return 0.0, None
        if self.lam == "cv":
            chosen = cross_validate_rank(data, n_folds=self.n_folds, **common)
        elif self.lam == "cv-lambda":
            chosen = cross_validate_lambda(data, n_folds=self.n_folds, **common)
        else:
            kind = {"permutation": "single"}.get(self.lam, self.lam)
            chosen = permutation_test(data, kind=kind, n_permutations=self.n_permutations, **common)
            self._warn_about_choice(chosen)
        assert chosen.lam is not None
        return chosen.lam, chosen

    def _run(self, problem: LinkedComponents, x0: Any, tol: float | None = None) -> Any:
        return fit_problem(
            problem,
            x0=x0,
            tol=self.tol if tol is None else tol,
            max_iter=self.max_iter,
            refine_every=self.refine_every,
        )

    def _solve(self, problem: LinkedComponents, rng: np.random.Generator) -> Any:
        # whitened components have nearly equal strengths and separate slowly, to no use: their subspace is what counts
        tol = self.tol if self.variant == "covariance" else max(self.tol, 1e-3)
        best = self._run(problem, None if self.init == "spectral" else problem.random_start(rng), tol)
        for _ in range(self.n_init - 1):
            other = self._run(problem, problem.random_start(rng), tol)
            if other.metrics["objective"] < best.metrics["objective"]:
                best = other
        return best

    def _set_components(
        self, data: Prepared, problem: LinkedComponents, solution: LinkedSolution, rank: int, rng: np.random.Generator
    ) -> None:
        coordinates = tuple(V[:, :rank] for V in solution.coordinates)
        norms, diagonals = solution.norms[:rank], solution.diagonals[:, :, :rank]
        plain = problem
        if data.whitened is not None:
            plain = LinkedComponents._from_scores(
                [r.scores for r in data.reduced], max_rank=rank, pair_weights=self.pair_weights
            )
            coordinates, diagonals, norms = self._unwhitened(data, plain, coordinates, norms)
        view_scores = [r.scores @ V for r, V in zip(data.reduced, coordinates)]
        p_values = _activity(data, view_scores, rng)
        self.joint_ = np.sum(p_values <= _LEVEL, axis=0) >= 2
        self.rank_ = int(self.joint_.sum())
        # what was asked for by number is kept, what a rule chose is kept if it is joint
        order = np.flatnonzero(self.joint_) if self.selection_ else np.argsort(~self.joint_, kind="stable")
        self.n_individual_ = rank - self.rank_
        self.joint_ = self.joint_[order]
        self.activity_p_values_ = p_values[:, order]
        self.activity_ = self.activity_p_values_ <= _LEVEL
        coordinates = tuple(V[:, order] for V in coordinates)
        norms, diagonals, rank = norms[order], diagonals[:, :, order], order.size
        fit = LinkedSolution(coordinates, diagonals, norms)
        self.singular_values_ = norms
        self.pair_singular_values_ = diagonals
        self._coordinates = coordinates
        self.loadings_ = [r.expand(V) for r, V in zip(data.reduced, coordinates)]
        self.view_scores_ = [T[:, order] for T in view_scores]
        self.score_variances_ = np.array([T.var(axis=0, ddof=1) for T in self.view_scores_]).reshape(
            self.n_views_, rank
        )
        self.strengths_ = view_strengths(diagonals, self.score_variances_, self._weights())
        self.scores_ = consensus_scores(self.view_scores_, self.strengths_, self.score_variances_)
        self.score_maps_ = [_regression(self.scores_, T) for T in self.view_scores_]
        self.total_variance_ = np.array([r.total / (data.n - 1) for r in data.reduced])
        self.explained_variance_ = self.strengths_**2
        self.explained_variance_ratio_ = self.explained_variance_ / self.total_variance_[:, None]
        self.off_diagonal_energy_ = plain.off_diagonal_energy(fit)
        self._residual_spectra = self._residuals(data)
        self._warn_about_fit()

    def _unwhitened(
        self, data: Prepared, plain: LinkedComponents, whitened: tuple[np.ndarray, ...], norms: np.ndarray
    ) -> tuple[tuple[np.ndarray, ...], np.ndarray, np.ndarray]:
        """Loadings in covariance coordinates from those of the whitened views."""
        assert data.whitened is not None
        rank = norms.size
        if rank == 0:
            return tuple(np.zeros((r.m, 0)) for r in data.reduced), np.zeros((self.n_views_, self.n_views_, 0)), norms
        total = np.sum([Y @ V for Y, V in zip(data.whitened, whitened)], axis=0)
        coordinates = tuple(polar(r.scores.T @ total) for r in data.reduced)
        if self.variant == "whitened":
            c = plain.correlations(np.concatenate(coordinates))
            return coordinates, plain.unweighted(c), norms
        inner = LinkedComponents._from_scores(
            [r.scores @ V for r, V in zip(data.reduced, coordinates)], max_rank=rank, pair_weights=self.pair_weights
        )
        result = self._run(inner, None)
        self.refit_result_ = result
        solution: LinkedSolution = result.solution
        joined = tuple(V @ Q for V, Q in zip(coordinates, solution.coordinates))
        return joined, solution.diagonals, solution.norms

    def _weights(self) -> np.ndarray | None:
        return None if self.pair_weights is None else np.asarray(self.pair_weights, dtype=float)

    def _residuals(self, data: Prepared) -> list[np.ndarray]:
        """Singular values of each view without its joint part, for `variance_table`."""
        spectra, r = [], self.rank_
        for reduced, V, T in zip(data.reduced, self._coordinates, self.view_scores_):
            Z = self.scores_[:, :r]
            rest = reduced.scores - (Z @ _regression(Z, T[:, :r])) @ V[:, :r].T
            spectra.append(np.sqrt(np.maximum(np.linalg.eigvalsh(_small_gram(rest))[::-1], 0.0)))
        return spectra

    def _warn_about_fit(self) -> None:
        if len(self.joint_) < 2:
            return
        # what uncorrelated but finite samples leave off the diagonals
        expected = whole = 0.0
        for k in range(self.n_views_):
            for l in range(k + 1, self.n_views_):
                sampling = np.outer(self.score_variances_[k], self.score_variances_[l]) / (self.n_samples_ - 1)
                expected += float(sampling.sum() - np.trace(sampling))
                whole += float(np.sum(self.pair_singular_values_[k, l] ** 2))
        self.expected_off_diagonal_energy_ = expected / (expected + whole) if whole > 0 else 0.0
        limit = max(self.off_diagonal_limit, 3 * self.expected_off_diagonal_energy_)
        if self.off_diagonal_energy_ > limit:
            warnings.warn(
                f"{self.off_diagonal_energy_:.0%} of the energy of the cross-covariances lies off the diagonals of the "
                f"fitted model ({self.expected_off_diagonal_energy_:.0%} would be sampling error): single components "
                "are not comparable between views, only their subspaces are. "
                + ("Try variant='hybrid', or fewer views" if self.variant == "covariance" else "Try fewer views"),
                ModelFitWarning,
                stacklevel=5,
            )

    def _warn_about_choice(self, chosen: Selection) -> None:
        if chosen.decided:
            return
        assert chosen.rank_range is not None
        low, high = chosen.rank_range
        shown = ", ".join(f"{p:.3g}" for p in chosen.table["p_value"][low : high + 1])
        warnings.warn(
            f"the rank is undecided: {chosen.rank} by the permutations drawn, between {low} and {high} by others (the "
            f"p-values of the components from number {low + 1} on are {shown}, too near 0.05 for their number). Draw "
            f"more than n_permutations={self.n_permutations}, report both ranks, or give one as max_rank with lam=1e-9",
            ModelFitWarning,
            stacklevel=6,
        )

    def path(self, views: Any, lams: Any = None) -> Selection:
        """Strengths and rank over a grid of penalties, with the settings of this estimator; see `lambda_path`."""
        self._check_settings()
        data = self._prepare(views)
        return lambda_path(data, lams, max_rank=self.max_rank, penalty=self.penalty, pair_weights=self.pair_weights)


def _regression(Z: np.ndarray, T: np.ndarray) -> np.ndarray:
    """Least-squares map from joint scores to a view's scores."""
    if Z.shape[1] == 0:
        return np.zeros((0, 0))
    return np.linalg.lstsq(Z, T, rcond=None)[0]


def _small_gram(X: np.ndarray) -> np.ndarray:
    return X @ X.T if X.shape[0] < X.shape[1] else X.T @ X


def _activity(data: Prepared, view_scores: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """p-values of every view's part in every component, shape (K, rank).

    The statistic of view k is ``||X_k' t_j||`` with the mean score ``t_j`` of the other views: what its loading could
    attain at best, compared with the same after a permutation of its samples.
    """
    K, r = len(view_scores), view_scores[0].shape[1]
    p = np.ones((K, r))
    for k in range(K if r else 0):
        Y = data.scores[k]
        others = [view_scores[l] / np.maximum(view_scores[l].std(axis=0), 1e-300) for l in range(K) if l != k]
        target = np.mean(others, axis=0)  # signs are aligned by convention

        def draw(Y: np.ndarray = Y, target: np.ndarray = target) -> np.ndarray:
            return np.linalg.norm(Y.T @ target[rng.permutation(len(Y))], axis=0)

        draws, counts = exceedances(draw, np.linalg.norm(Y.T @ target, axis=0), _LEVEL, 1000)
        p[k] = (1 + counts) / (len(draws) + 1)
    return p
