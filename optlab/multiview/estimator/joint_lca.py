"""`JointLCA`: joint linked component analysis as a scikit-learn estimator on a list of views.

After Joint Linked Component Analysis for Multiview Data (Lin Xiao and Luo Xiao, arXiv 2406.11761): loadings of every
view and the rank of the common latent space at once, from the cross-covariances, with a group-sparsity penalty,
alternating Procrustes updates with per-component refinement, and a refit against the shrinkage. The exact penalty,
weights and tuning of the paper are not reproduced: what is fitted is a *reconstruction* consistent with the paper's
abstract. The whitened and hybrid variants, the scores and the variance shares are not in the paper.
"""

from __future__ import annotations

import warnings
from dataclasses import fields
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from optlab.core.validation import as_flag, as_generator, as_integer, as_number, one_of
from optlab.multiview.estimator.fit import Fit
from optlab.multiview.estimator.fitted import FittedComponents
from optlab.multiview.problem.components import LinkedComponents
from optlab.multiview.problem.orthonormal import one_thread_if_small
from optlab.multiview.problem.penalties import Penalty, as_penalty
from optlab.multiview.selection.choice import ModelFitWarning, Selection
from optlab.multiview.selection.cross_validation import cross_validate_lambda, cross_validate_rank
from optlab.multiview.selection.path import lambda_path
from optlab.multiview.selection.permutation import permutation_test
from optlab.multiview.views.preparation import Prepared, prepare
from optlab.multiview.views.reading import check_views

__all__ = ["JointLCA"]


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
        self.view_names_ = list(data.names)
        self.n_views_, self.n_samples_ = len(data.names), data.n
        self.n_features_in_ = [view.p for view in data.views]
        self.feature_names_in_ = [None if f is None else list(f) for f in data.features]
        self.means_ = [view.mean for view in data.views]
        self.scales_ = [view.scale for view in data.views]
        with one_thread_if_small(data.width):
            model: dict[str, Any] = {
                "max_rank": data.rank_limit(self.max_rank),
                "penalty": self.penalty,
                "pair_weights": self.pair_weights,
            }
            self.lam_, self.selection_ = self._choose(data, model, rng)
            problem = LinkedComponents.from_scores(data.scores, data.expanders, lam=self.lam_, **model)
            fit = Fit(**{setting.name: getattr(self, setting.name) for setting in fields(Fit)})
            found = fit.attributes(data, problem, rng, joint_only=self.selection_ is not None)
        for name, value in found.items():
            setattr(self, name, value)
        self._warn_about_fit()
        return self

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
        checked, whiten = check_views(views), None
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

    def _choose(
        self, data: Prepared, model: dict[str, Any], rng: np.random.Generator
    ) -> tuple[float, Selection | None]:
        if not isinstance(self.lam, str):
            return float(self.lam), None
        if model["max_rank"] == 0:
            return 0.0, None
        if self.lam == "cv":
            chosen = cross_validate_rank(data, n_folds=self.n_folds, random_state=rng, **model)
        elif self.lam == "cv-lambda":
            chosen = cross_validate_lambda(data, n_folds=self.n_folds, random_state=rng, **model)
        else:
            kind = {"permutation": "single"}.get(self.lam, self.lam)
            chosen = permutation_test(data, kind=kind, n_permutations=self.n_permutations, random_state=rng, **model)
            self._warn_about_choice(chosen)
        assert chosen.lam is not None
        return chosen.lam, chosen

    def _warn_about_fit(self) -> None:
        if len(self.joint_) < 2:
            return
        limit = max(self.off_diagonal_limit, 3 * self.expected_off_diagonal_energy_)
        if self.off_diagonal_energy_ > limit:
            warnings.warn(
                f"{self.off_diagonal_energy_:.0%} of the energy of the cross-covariances lies off the diagonals of the "
                f"fitted model ({self.expected_off_diagonal_energy_:.0%} would be sampling error): single components "
                "are not comparable between views, only their subspaces are. "
                + ("Try variant='hybrid', or fewer views" if self.variant == "covariance" else "Try fewer views"),
                ModelFitWarning,
                stacklevel=3,
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
            stacklevel=4,
        )

    def path(self, views: Any, lams: Any = None) -> Selection:
        """Strengths and rank over a grid of penalties, with the settings of this estimator; see `lambda_path`."""
        self._check_settings()
        data = self._prepare(views)
        return lambda_path(data, lams, max_rank=self.max_rank, penalty=self.penalty, pair_weights=self.pair_weights)
