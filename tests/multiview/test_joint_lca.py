"""The estimator: names, conventions, subsets of views, bad input, selection with evidence, alignment."""

import inspect
import re

import numpy as np
import pytest
import scipy.sparse

import optlab
from optlab.datasets.multiview import loading_error, make_linked_views, score_correlation, subspace_error
from optlab.multiview import (
    MCP,
    JointLCA,
    ModelFitWarning,
    align,
    cross_val_score,
    cross_validate_lambda,
    cross_validate_rank,
    lambda_path,
    one_factor,
    permutation_test,
    take_samples,
)

pd = pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def data():
    return make_linked_views("S", p=(12, 15, 18), individual=(2,), seed=1)


@pytest.fixture(scope="module")
def model(data):
    return plain(lam=0.1).fit(data.views)


def plain(**settings):
    """The criterion of the paper's abstract; the default is the hybrid."""
    return JointLCA(**{"variant": "covariance", **settings})


def small(**settings):
    return plain(**{"lam": 0.1, "max_rank": 4, **settings})


# ---------------------------------------------------------------------- scikit-learn conventions


def test_parameters_follow_scikit_learn():
    from sklearn.base import clone

    names = list(inspect.signature(JointLCA.__init__).parameters)[1:6]
    assert names == ["penalty", "lam", "max_rank", "refit", "random_state"]
    estimator = JointLCA(penalty=MCP(2.0), lam=0.3, max_rank=5)
    assert clone(estimator).get_params() == estimator.get_params()
    assert estimator.set_params(lam="cv").lam == "cv"
    assert (JointLCA().lam, JointLCA().variant, JointLCA().n_permutations) == ("permutation", "hybrid", 1000)
    assert repr(JointLCA(lam=0.2)) == "JointLCA(lam=0.2)"


def test_not_fitted_yet(data):
    from sklearn.exceptions import NotFittedError

    for call in (
        lambda m: m.transform(data.views),
        lambda m: m.score(data.views),
        lambda m: m.inverse_transform([[1]]),
    ):
        with pytest.raises(NotFittedError):
            call(JointLCA())


def test_fit_does_not_change_its_input(data):
    copies = [X.copy() for X in data.views]
    small().fit(data.views)
    for X, Y in zip(data.views, copies):
        np.testing.assert_array_equal(X, Y)


def test_attributes(data, model):
    K, r, n = 3, 3, 200
    assert model.rank_ == r
    assert [V.shape for V in model.loadings_] == [(12, r), (15, r), (18, r)]
    for V in model.loadings_:
        np.testing.assert_allclose(V.T @ V, np.eye(r), atol=1e-10)
    assert model.scores_.shape == (n, r)
    assert model.singular_values_.shape == (r,)
    assert np.all(np.diff(model.singular_values_) <= 0)
    assert model.explained_variance_.shape == model.explained_variance_ratio_.shape == (K, r)
    assert model.activity_.shape == (K, r)
    assert model.activity_.all()
    assert model.result_.success
    assert model.history_["objective"][-1] <= model.history_["objective"][0]
    assert model.refit_result_ is not None
    np.testing.assert_allclose(
        model.singular_values_, np.sqrt(0.5 * np.sum(model.pair_singular_values_**2, axis=(0, 1))), rtol=1e-10
    )
    assert score_correlation(model.scores_, data.scores) > 0.95
    assert loading_error(model.loadings_, data.loadings) < 0.4
    assert model.get_feature_names_out().tolist() == ["component1", "component2", "component3"]
    np.testing.assert_array_equal(small().fit_transform(data.views), small().fit(data.views).scores_)


def test_refit_removes_the_shrinkage(data, model):
    shrunk = plain(lam=0.1, refit=False).fit(data.views)
    assert shrunk.refit_result_ is None
    assert np.all(shrunk.singular_values_ < model.singular_values_ - 0.05)
    assert subspace_error(shrunk.loadings_, model.loadings_) < 0.1


@pytest.mark.parametrize("penalty", ["group", "mcp", "scad", "l0", "adaptive", "factored", "lasso"])
def test_every_penalty_runs_through_the_estimator(data, penalty):
    lam = 0.05 if penalty in ("adaptive", "lasso") else 0.01 if penalty == "l0" else 0.1
    fitted = plain(penalty=penalty, lam=lam, max_rank=5).fit(data.views)
    assert fitted.rank_ == 3
    assert subspace_error(fitted.loadings_, data.loadings) < 0.25


def test_two_views_give_the_singular_vectors_of_the_cross_covariance(data):
    X, Y = (V - V.mean(axis=0) for V in data.views[:2])
    fitted = plain(lam=5.0, scaling="none").fit(data.views[:2])
    left, values, _ = np.linalg.svd(X.T @ Y / 199)
    r = fitted.rank_
    assert r == np.sum(values > 5.0)
    np.testing.assert_allclose(fitted.singular_values_, values[:r], rtol=1e-10)
    assert loading_error([fitted.loadings_[0]], [left[:, :r]]) < 1e-8


def test_rank_zero_is_a_legal_answer(data):
    fitted = plain(lam=1e3).fit(data.views)
    assert fitted.rank_ == 0
    assert fitted.scores_.shape == (200, 0)
    assert fitted.transform(data.views).shape == (200, 0)
    assert [X.shape for X in fitted.inverse_transform(np.zeros((2, 0)))] == [(2, 12), (2, 15), (2, 18)]
    assert fitted.score(data.views) == 0
    assert plain(max_rank=0).fit(data.views).rank_ == 0


def test_same_random_state_same_fit(data):
    first, second = (plain(lam="permutation", n_permutations=150, random_state=3).fit(data.views) for _ in range(2))
    assert first.lam_ == second.lam_
    np.testing.assert_array_equal(first.scores_, second.scores_)
    plain(lam=0.1, init="random", n_init=2, random_state=np.random.RandomState(0)).fit(data.views)


# ---------------------------------------------------------------------- using a fit


def test_transform_of_the_training_samples_and_of_new_ones(data, model):
    np.testing.assert_allclose(model.transform(data.views), model.scores_, atol=1e-10)
    np.testing.assert_allclose(model.transform([X[:7] for X in data.views]), model.scores_[:7], atol=1e-10)


def test_a_subset_of_the_views_can_be_transformed(data, model):
    X, _, Z = data.views
    some = model.transform([X, None, Z])
    assert some.shape == (200, 3)
    assert all(np.corrcoef(some[:, j], model.scores_[:, j])[0, 1] > 0.9 for j in range(3))
    np.testing.assert_array_equal(some, model.transform({"view0": X, "view2": Z}))
    per_view = model.transform_views([X, None, Z])
    assert per_view[1] is None
    assert per_view[0].shape == (200, 3)


def test_noiseless_reconstruction_and_prediction():
    data = make_linked_views("S", p=(12, 15, 18), individual=(), exact=True, noise=0.0, seed=1)
    fitted = plain(lam=0.01).fit(data.views)
    assert fitted.rank_ == 3
    for X, back in zip(data.views, fitted.inverse_transform(fitted.scores_)):
        np.testing.assert_allclose(back, X, atol=1e-7)
    np.testing.assert_allclose(fitted.predict_view(data.views, 1), data.views[1], atol=1e-6)
    np.testing.assert_allclose(
        fitted.predict_view([data.views[0], None, data.views[2]], "view1"), data.views[1], atol=1e-6
    )
    assert fitted.score(data.views) == pytest.approx(1.0, abs=2e-2)  # divisor n here, n - 1 in the fit
    table = fitted.variance_table()
    np.testing.assert_allclose(table["joint"], 1, atol=1e-6)


def test_variance_shares_add_up_and_find_the_individual_part():
    data = make_linked_views("S", seed=0)
    table = plain(lam=0.06).fit(data.views).variance_table()
    np.testing.assert_allclose(table["joint"] + table["individual"] + table["residual"], 1)
    np.testing.assert_array_equal(table["individual_rank"], 2)
    truth = [J.var(axis=0).sum() / X.var(axis=0).sum() for J, X in zip(data.joint, data.views)]
    np.testing.assert_allclose(table["joint"], truth, atol=0.06)


def test_score_prefers_the_right_rank(data):
    scores = {r: cross_val_score(plain(lam=1e-6, max_rank=r), data.views, cv=4).mean() for r in (1, 3)}
    assert scores[3] > scores[1] > 0
    frames = {"a": pd.DataFrame(data.views[0]), "b": pd.DataFrame(data.views[1])}
    assert cross_val_score(small(), frames, cv=3).shape == (3,)
    assert {k: v.shape for k, v in take_samples(frames, [1, 2]).items()} == {"a": (2, 12), "b": (2, 15)}


def test_inactive_view_is_reported():
    strengths = [[3.5, 3.0], [3.0, 2.8], [3.2, 0.0]]
    data = make_linked_views("S", p=(12, 15, 18), strengths=strengths, individual=(2,), seed=3)
    fitted = plain(lam=0.08).fit(data.views)
    assert fitted.rank_ == 2
    found = align(data.loadings[:2], fitted.loadings_[:2]).pairs
    second = found[1, 1]
    assert fitted.activity_[:2].all()
    assert not fitted.activity_[2, second]
    assert fitted.strengths_[2, second] < 0.5 * fitted.strengths_[0, second]


# ---------------------------------------------------------------------- names and containers


def test_frames_in_a_dict(data):
    frames = {
        name: pd.DataFrame(X, columns=[f"{name}{i}" for i in range(X.shape[1])])
        for name, X in zip(("genes", "lipids", "clinic"), data.views)
    }
    fitted = small().fit(frames)
    assert fitted.view_names_ == ["genes", "lipids", "clinic"]
    assert fitted.feature_names_in_[1][:2] == ["lipids0", "lipids1"]
    np.testing.assert_allclose(fitted.scores_, small().fit(data.views).scores_)
    np.testing.assert_allclose(
        fitted.transform({"clinic": frames["clinic"], "genes": frames["genes"]}),
        fitted.transform([frames["genes"], None, frames["clinic"]]),
    )
    swapped = frames["genes"][frames["genes"].columns[::-1]]
    with pytest.raises(ValueError, match=r"views\['genes'\] must have the columns of fit.*another order"):
        fitted.transform({"genes": swapped})
    shuffled = dict(frames, lipids=frames["lipids"].iloc[::-1])
    with pytest.raises(ValueError, match="same samples in the same order; row 0"):
        small().fit(shuffled)
    words = dict(frames, lipids=frames["lipids"].assign(site="A"))
    with pytest.raises(TypeError, match=r"column 'site' is not numeric"):
        small().fit(words)


@pytest.mark.parametrize("standardize", [False, True])
def test_sparse_views_are_the_same_as_dense_ones(standardize):
    rng = np.random.default_rng(0)
    z = np.abs(rng.standard_normal((60, 1)))
    dense = [np.where(rng.random((60, p)) < 0.3, z + rng.random((60, p)), 0.0) for p in (30, 150, 40)]
    sparse = [scipy.sparse.csr_array(X) for X in dense]
    a, b = (small(standardize=standardize, lam=0.02, max_rank=2).fit(views) for views in (dense, sparse))
    assert a.rank_ == b.rank_ > 0
    np.testing.assert_allclose(a.singular_values_, b.singular_values_, rtol=1e-8)
    np.testing.assert_allclose(a.scores_, b.scores_, atol=1e-6)
    np.testing.assert_allclose(a.transform(dense), b.transform(sparse), atol=1e-6)
    assert a.score(dense) == pytest.approx(b.score(sparse), rel=1e-6)


def test_sparse_views_are_not_densified(monkeypatch):
    from optlab.multiview.views.view import View

    def refuse(self):
        raise AssertionError("densified")

    monkeypatch.setattr(View, "dense", refuse)
    views = [scipy.sparse.random_array((50, p), density=0.05, rng=p, format="csr") for p in (3000, 4000)]
    fitted = plain(lam=0.0, max_rank=2, constant_columns="keep").fit(views)
    assert fitted.loadings_[1].shape == (4000, 2)
    fitted.transform(views)
    fitted.score(views)


def test_sparse_views_of_the_caller_stay_as_they_are():
    rng = np.random.default_rng(0)
    given, parts = [], []
    for p in (8, 9):
        # duplicates, not sorted: what many a SciPy function puts in order in place
        where = rng.integers(0, 30, 200), rng.integers(0, p, 200)
        X = scipy.sparse.csr_array(scipy.sparse.coo_array((rng.random(200), where), shape=(30, p)))
        X.indices, X.data, X.indptr = (X.indices[::-1].copy(), X.data[::-1].copy(), X.indptr)
        X.has_sorted_indices = X.has_canonical_format = False
        given.append(X)
        parts.append([X.data.copy(), X.indices.copy(), X.indptr.copy()])
    fitted = JointLCA(lam=0.0, max_rank=1, constant_columns="keep").fit(given)
    fitted.transform(given)
    fitted.score(given)
    take_samples(given, [0, 1])
    for X, (data, indices, indptr) in zip(given, parts):
        np.testing.assert_array_equal(X.data, data)
        np.testing.assert_array_equal(X.indices, indices)
        np.testing.assert_array_equal(X.indptr, indptr)
    np.testing.assert_allclose(fitted.transform([X.toarray() for X in given]), fitted.scores_, atol=1e-8)
    broken = given[0].copy()
    broken.indices[3] = 99
    with pytest.raises(ValueError, match=r"views\[0\] is not a valid sparse array"):
        small(max_rank=1).fit([broken, given[1]])


@pytest.mark.parametrize("standardize", [False, True])
def test_compressed_is_dense(standardize):
    data = make_linked_views("C", n=40, p=(60, 70, 90), seed=0)
    problem_sized = small(lam=0.05, standardize=standardize, tol=1e-10)
    exact = problem_sized.fit(data.views)

    from optlab.multiview import AlternatingProcrustes, LinkedComponents
    from optlab.multiview.views.reading import check_views
    from optlab.multiview.views.view import standardised

    views = [v.dense() for v in standardised(check_views(data.views), standardize=standardize)]
    blocks = {(k, l): views[k].T @ views[l] / 39 for k in range(3) for l in range(k + 1, 3)}
    import optlab

    problem = LinkedComponents.from_cross_covariances(blocks, lam=0.05, max_rank=4)
    plain = optlab.solve(problem, AlternatingProcrustes(), tol=1e-10, max_iter=500)
    assert plain.solution.rank == exact.result_.solution.rank
    assert plain.metrics["objective"] == pytest.approx(exact.result_.metrics["objective"], rel=1e-8)
    np.testing.assert_allclose(plain.solution.norms, exact.result_.solution.norms, rtol=1e-7, atol=1e-9)
    assert loading_error(exact.result_.solution.loadings, plain.solution.loadings) < 1e-6


def test_gram_and_randomised_compressions_agree_with_the_plain_one(monkeypatch):
    import optlab.multiview.views.compression as compression

    data = make_linked_views("C", n=60, p=(80, 90, 100), seed=0)
    exact = small(lam=0.05).fit(data.views)
    monkeypatch.setattr(compression, "_SVD_WORK", 0.0)
    gram = small(lam=0.05).fit(data.views)
    np.testing.assert_allclose(gram.singular_values_, exact.singular_values_, rtol=1e-8)
    assert loading_error(gram.loadings_, exact.loadings_) < 1e-5
    rough = small(lam=0.05, max_rank=2, compression=40).fit(data.views)
    both = small(lam=0.05, max_rank=2).fit(data.views)
    assert rough.rank_ == both.rank_
    assert subspace_error(rough.loadings_, both.loadings_) < 0.1
    single = small(lam=0.05).fit([X.astype(np.float32) for X in data.views])
    np.testing.assert_allclose(single.singular_values_, exact.singular_values_, rtol=1e-4)


# ---------------------------------------------------------------------- variants and diagnostics


def test_whitening_repairs_dominant_individual_structure():
    errors = {"covariance": [], "hybrid": []}
    for seed in range(2):
        data = make_linked_views("H", p=(20, 25, 30), seed=seed)
        for variant, found in errors.items():
            fitted = JointLCA(lam=1e-6, max_rank=3, variant=variant).fit(data.views)
            found.append(subspace_error(fitted.loadings_, data.loadings))
    assert np.mean(errors["hybrid"]) <= 0.7 * np.mean(errors["covariance"])


def test_whitened_variant_finds_the_rank():
    data = make_linked_views("H", p=(20, 25, 30), seed=0)
    for variant in ("whitened", "hybrid"):
        fitted = JointLCA(lam="permutation", n_permutations=150, variant=variant, n_whiten=8).fit(data.views)
        assert fitted.rank_ == 3
        assert score_correlation(fitted.scores_, data.scores) > 0.9
        np.testing.assert_allclose(fitted.transform(data.views), fitted.scores_, atol=1e-8)


def test_a_model_that_does_not_fit_is_told():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((500, 3))
    views = [z @ rng.standard_normal((3, 6)) + 0.05 * rng.standard_normal((500, 6)) for _ in range(4)]
    with pytest.warns(ModelFitWarning, match="off the diagonals"):
        fitted = plain(lam=1e-6, max_rank=3).fit(views)
    assert fitted.off_diagonal_energy_ > 3 * fitted.expected_off_diagonal_energy_
    # two views always fit
    assert plain(lam=1e-6, max_rank=3).fit(views[:2]).off_diagonal_energy_ < 1e-12


def test_strengths_of_views():
    a = np.array([3.0, 2.0, 0.5, 1.0])
    np.testing.assert_allclose(one_factor(np.outer(a, a)), a, rtol=1e-10)
    signed = one_factor(np.outer(a, a) * np.outer([1, 1, -1, 1], [1, 1, -1, 1]))
    np.testing.assert_allclose(signed, a * [1, 1, -1, 1], rtol=1e-10)
    with pytest.raises(ValueError, match="three or more views"):
        one_factor(np.ones((2, 2)))


def test_align_undoes_order_and_signs(data, model):
    other = plain(lam=0.1).fit(data.views)
    rng = np.random.default_rng(0)
    order = np.array([2, 0, 1])
    flips = rng.choice([-1.0, 1.0], 3)
    other.loadings_ = [V[:, order] * flips for V in other.loadings_]
    other.scores_ = other.scores_[:, order] * flips
    found = align(model, other)
    assert found.similarity == pytest.approx(1.0)
    np.testing.assert_allclose(found.scores, model.scores_, atol=1e-10)
    for V, W in zip(found.loadings, model.loadings_):
        np.testing.assert_allclose(V, W, atol=1e-10)
    fewer = align(model, [V[:, :2] for V in model.loadings_])
    assert fewer.pairs.tolist() == [[0, 0], [1, 1]]
    with pytest.raises(ValueError, match="same features"):
        align(model, [V[1:] for V in model.loadings_])


def test_half_samples_agree_after_alignment():
    data = make_linked_views("X", n=1000, p=(12, 15, 18), individual=(2,), seed=1)
    halves = [small(lam=0.08).fit(take_samples(data.views, np.arange(500) + s)) for s in (0, 500)]
    assert align(*halves).similarity > 0.97


# ---------------------------------------------------------------------- selection


@pytest.mark.parametrize("design", ["S", pytest.param("N", marks=pytest.mark.slow)])
def test_selection_rules_find_the_rank(design):
    data = make_linked_views(design, p=(12, 15, 18), individual=(2,), seed=0)
    for lam in ("cv", "cv-lambda", "permutation", "sequential", "parallel"):
        fitted = plain(lam=lam, max_rank=4, n_permutations=200, n_folds=4).fit(data.views)
        assert fitted.rank_ == data.rank, lam
        assert fitted.selection_.lam == fitted.lam_
        frame = fitted.selection_.to_frame()
        assert len(frame) > 0
        axes = fitted.selection_.plot()
        assert axes.get_xlabel()
        axes.figure.clear()


def test_cross_validation_evidence(data):
    found = cross_validate_rank(data.views, max_rank=5, random_state=1)
    assert found.rank == 3
    assert found.table["loss"][0] == 0
    assert np.argmin(found.table["loss"]) == 3
    again = cross_validate_rank(data.views, max_rank=5, random_state=1)
    np.testing.assert_array_equal(found.table["loss"], again.table["loss"])
    grid = cross_validate_lambda(data.views, [0.01, 0.1, 10.0], max_rank=5, refit=False, rule="1se")
    assert grid.lam in (0.01, 0.1)
    assert grid.table["rank"][-1] == 0
    with pytest.raises(ValueError, match="n_folds must be at most"):
        cross_validate_rank(data.views, n_folds=150)


def test_held_out_loss_is_the_squared_error_of_the_cross_covariances(data):
    # from elsewhere: the full error with plain matrices, less that of the zero model
    from optlab.multiview import AlternatingProcrustes, LinkedComponents
    from optlab.multiview.selection.cross_validation import folds_of
    from optlab.multiview.views.preparation import prepare

    scores = prepare(data.views).scores
    train, test = np.arange(150), np.arange(150, 200)
    (fold,) = folds_of(LinkedComponents.from_scores(scores, max_rank=2), scores, [(train, test)])
    problem = fold.problem
    solution = optlab.solve(problem, AlternatingProcrustes(), max_iter=50).solution
    T = [Y[test] - Y[train].mean(axis=0) for Y in scores]
    expected = 0.0
    for k, l in problem.pair_list:
        S = T[k].T @ T[l] / 50
        fit = (solution.coordinates[k] * solution.diagonals[k, l]) @ solution.coordinates[l].T
        expected += 0.5 * (np.sum((S - fit) ** 2) - np.sum(S**2))
    assert fold.loss(solution) == pytest.approx(expected)


def test_permutation_null_destroys_the_link_and_nothing_else(data):
    found = permutation_test(data.views, n_permutations=20, max_rank=5)
    assert found.null.shape == (20,)
    assert found.table["norm"][2] > found.null.max()
    assert found.table["p_value"][0] == pytest.approx(1 / 21)
    unlinked = [X[np.random.default_rng(k).permutation(200)] for k, X in enumerate(data.views)]
    lost = permutation_test(unlinked, n_permutations=20, max_rank=5)
    assert lost.rank == 0
    assert 0.5 < np.median(lost.null) / np.median(found.null) < 2


def test_path_is_monotone_and_starts_warm(data):
    path = lambda_path(data.views, max_rank=5)
    assert path.table["rank"][0] >= path.table["rank"][-1]
    assert np.all(np.diff(path.table["rank"]) <= 0)
    assert np.all(np.diff(path.table["objective"]) >= -1e-12)
    assert path.plot().get_xscale() == "log"
    assert plain(max_rank=3).path(data.views, [0.01, 0.1]).table["lam"].tolist() == [0.01, 0.1]


def test_plots(data, model):
    labels = np.repeat(["a", "b"], 100)
    ax = model.plot_scores(labels)
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["a", "b"]
    assert len(model.plot_loadings(1, 0, top=6).patches) == 6
    assert model.plot_variance().get_ylabel() == "share of variance"
    with pytest.raises(ValueError, match="component must be below the rank 3"):
        model.plot_loadings(0, 3)
    with pytest.raises(ValueError, match="labels must have shape"):
        model.plot_scores(labels[1:])
    import matplotlib.pyplot as plt

    plt.close("all")


# ---------------------------------------------------------------------- bad input


def with_value(views, k, i, j, value):
    changed = [X.copy() for X in views]
    changed[k][i, j] = value
    return changed


@pytest.mark.parametrize(
    ("views", "message"),
    [
        (lambda v: [v[0], v[1][:-3], v[2]], "200 rows in views[0] and 197 rows in views[1]"),
        (lambda v: with_value(v, 1, 5, 2, np.nan), "views[1] must be finite, got nan at index [5, 2]"),
        (lambda v: with_value(v, 2, slice(None), 4, 7.0), "column 4 of view2 is constant (value 7 in all 200 samples)"),
        (lambda v: v[:1], "views must hold at least 2 views, got 1"),
        (lambda v: v[0], "views must be a list of at least 2 views (or a dict of them), got a single matrix"),
        (lambda v: "views", "views must be a list of matrices"),
        (lambda v: [v[0], v[1][:, 0]], "views[1] must have 2 dimension(s)"),
        (lambda v: [v[0][:2], v[1][:2]], "views must have at least 3 samples"),
        (lambda v: [v[0], v[1][:, :0]], "views[1] must not be empty"),
        (lambda v: [v[0], v[1].astype(complex)], "views[1] must hold real numbers"),
        (lambda v: {"a": v[0], "b": v[1][:5]}, "200 rows in views['a'] and 5 rows in views['b']"),
    ],
)
def test_bad_views(data, views, message):
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        small().fit(views(data.views))


def test_constant_columns_can_be_kept(data):
    views = with_value(data.views, 2, slice(None), 4, 7.0)
    fitted = small(constant_columns="keep", standardize=True).fit(views)
    np.testing.assert_allclose(fitted.loadings_[2][4], 0, atol=1e-12)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_rank": 13}, "max_rank must be at most 12, the number of dimensions of view0"),
        ({"max_rank": 2.5}, "max_rank must be an integer"),
        ({"lam": "bic"}, "lam must be one of 'cv'"),
        ({"lam": -0.1}, "lam must be a number at least 0"),
        ({"penalty": "ridge"}, "penalty must be one of"),
        ({"variant": "white"}, "did you mean 'whitened'"),
        ({"scaling": "frobenus"}, "did you mean 'frobenius'"),
        ({"pair_weights": np.ones((2, 2))}, "pair_weights must have shape (3, 3)"),
        ({"compression": 0}, "compression must be an integer of at least 1"),
    ],
)
def test_bad_settings(data, settings, message):
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        small(**settings).fit(data.views)


@pytest.mark.parametrize(
    ("views", "message"),
    [
        (lambda v: v[:2], "views must be a list of all 3 views in the order of fit (view0, view1, view2), got 2"),
        (
            lambda v: v[::-1],
            "views[0] must have 12 features as in fit, got 18 (that of view2: are the views in another",
        ),
        (lambda v: {"view0": v[0], "genes": v[1]}, "views has 'genes', which was not in fit"),
        (lambda v: [None, None, None], "at least one view"),
        (lambda v: [v[0], v[1][:4], None], "200 rows in view0 and 4 rows in view1"),
        (lambda v: v[0], "views must be a list of matrices or a dict"),
        (lambda v: with_value(v, 0, 1, 1, np.inf), "views[0] must be finite, got inf at index [1, 1]"),
    ],
)
def test_bad_new_views(data, model, views, message):
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        model.transform(views(data.views))


def test_other_bad_calls(data, model):
    with pytest.raises(ValueError, match=r"must hold all views of fit here; 'view1' is missing"):
        model.score([data.views[0], None, data.views[2]])
    with pytest.raises(ValueError, match=r"scores must have shape \(n, 3\)"):
        model.inverse_transform(np.zeros((4, 2)))
    with pytest.raises(ValueError, match="target must be a view of fit"):
        model.predict_view(data.views, "genes")


# ---------------------------------------------------------------------- order of samples, joint components, decisions


def test_new_views_must_have_their_samples_in_one_order(data):
    names = [f"s{i}" for i in range(200)]
    frames = {name: pd.DataFrame(X, index=names) for name, X in zip("abc", data.views)}
    fitted = small().fit(frames)
    shuffled = dict(frames, b=frames["b"].iloc[::-1])
    message = r"the rows of views\['a'\] and views\['b'\] must be the same samples.*row 0 is 's0' in one and 's199'"
    for call in (fitted.transform, fitted.score, fitted.transform_views, lambda v: fitted.predict_view(v, "c")):
        with pytest.raises(ValueError, match=message):
            call(shuffled)
    assert fitted.score(frames) > 0.5
    # the target takes no part
    fitted.predict_view(shuffled, "b")


def test_what_one_view_has_alone_is_not_joint():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((80, 1))
    views = [z @ np.ones((1, p)) + rng.standard_normal((80, p)) for p in (6, 7)]
    fitted = plain(lam=1e-9, max_rank=4).fit(views)  # four components by order, one of them joint
    assert fitted.rank_ < 4
    assert fitted.rank_ == fitted.joint_.sum() == (fitted.activity_.sum(axis=0) >= 2).sum()
    assert fitted.joint_[: fitted.rank_].all()
    assert fitted.n_individual_ == 4 - fitted.rank_
    assert fitted.scores_.shape == (80, 4)
    assert fitted.get_feature_names_out()[[0, -1]].tolist() == ["component1", f"individual{fitted.n_individual_}"]
    assert [t.get_text() for t in fitted.plot_variance().get_legend().get_texts()] == (
        [f"joint {j + 1}" for j in range(fitted.rank_)] + ["individual", "residual"]
    )
    assert fitted.plot_scores(components=(0, 3)).get_ylabel() == f"individual score {fitted.n_individual_}"
    table = fitted.variance_table()
    np.testing.assert_allclose(table["joint"] + table["individual"] + table["residual"], 1)
    # what a rule chose and is not joint is left out
    chosen = plain(lam="cv").fit(views)
    assert chosen.scores_.shape == (80, chosen.rank_)
    assert chosen.joint_.all()
    import matplotlib.pyplot as plt

    plt.close("all")


def test_a_component_is_kept_if_its_p_value_is_at_most_the_level():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        views = [rng.standard_normal((25, p)) for p in (3, 4)]
        found = permutation_test(views, n_permutations=50, random_state=seed)
        kept = found.table["p_value"] <= 0.05
        assert found.rank == (np.argmin(kept) if not kept.all() else kept.size)
        assert ((found.table["norm"] > found.lam) == kept).all()
    with pytest.raises(ValueError, match=r"n_permutations must be at least 19 for quantile 0.95, got 18"):
        permutation_test(views, n_permutations=18)


def test_permutations_stop_where_the_rank_is_clear(data):
    found = permutation_test(data.views, max_rank=5)
    assert found.decided
    assert found.rank_range == (3, 3)
    assert found.null.size < 400


def borderline():
    rng = np.random.default_rng(0)  # p = 0.054
    z = rng.standard_normal((30, 1))
    return [0.5 * z + rng.standard_normal((30, 3)), 0.5 * z + rng.standard_normal((30, 3))]


def test_seeds_agree_or_the_choice_is_called_undecided():
    ranks, undecided = [], 0
    for seed in range(10):
        found = permutation_test(borderline(), random_state=seed, n_permutations=60)
        ranks.append(found.rank)
        undecided += not found.decided
        assert found.rank_range[0] <= found.rank <= found.rank_range[1]
    assert len(set(ranks)) > 1  # the case is one
    assert undecided == 10
    with pytest.warns(ModelFitWarning, match="the rank is undecided: . by the permutations drawn, between 0 and"):
        plain(n_permutations=60).fit(borderline())


def test_monte_carlo_p_values_are_valid():
    # exact test: among 20 values that are exchangeable the largest is the data's with probability 1/20
    found = [
        permutation_test(
            [np.random.default_rng(seed).standard_normal((12, p)) for p in (2, 3)],
            max_rank=1,
            n_permutations=19,
            random_state=seed,
        ).rank
        for seed in range(300)
    ]
    assert np.mean(found) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)


# ---------------------------------------------------------------------- small samples, missing values, units


def test_few_samples(data):
    few = [X[:7] for X in data.views]
    assert cross_validate_rank(few).rank >= 0  # folds that fit
    with pytest.raises(ValueError, match="cross-validation needs at least 5 samples, got 3"):
        cross_validate_rank([X[:3] for X in few])
    with pytest.raises(ValueError, match="n_folds must be at most 3"):
        cross_validate_rank(few, n_folds=5)
    assert JointLCA().fit([X[:3] for X in few]).rank_ == 0


def test_missing_values_are_called_so(data):
    frame = pd.DataFrame(data.views[0]).astype("Float64")
    frame.iloc[5, 2] = pd.NA
    with pytest.raises(
        ValueError, match=r"views\['a'\] must be finite, got a missing value in row 5, column 2, one of 1"
    ):
        small().fit({"a": frame, "b": data.views[1]})
    assert small().fit([frame.fillna(0.0), data.views[1]]).n_views_ == 2
    with pytest.raises(ValueError, match=r"views\[1\] is missing \(None\)"):
        small().fit([data.views[0], None])


@pytest.mark.parametrize("factors", [(1e200, 1e-200, 1.0), (1e-200, 1e-200, 1e-150)])
def test_units_do_not_matter(data, factors):
    scaled = [X * f for X, f in zip(data.views, factors)]
    np.testing.assert_allclose(
        small().fit(scaled).singular_values_, small().fit(data.views).singular_values_, rtol=1e-9
    )
    with pytest.raises(ValueError, match="view0 has columns of standard deviation up to"):
        small(scaling="none").fit(scaled)


def test_a_column_that_is_constant_in_a_fold(data):
    rare = np.zeros((200, 1))
    rare[3] = 1.0
    views = [np.hstack([data.views[0], rare]), data.views[1]]
    assert cross_val_score(small(), views, cv=4).shape == (4,)
    with pytest.raises(ValueError, match="is constant"):
        cross_val_score(small(), [np.hstack([data.views[0], 0 * rare]), data.views[1]])
    assert cross_val_score(small(), [X[:10] for X in data.views], cv=10).shape == (10,)


def test_random_state_is_a_number_or_a_generator(data):
    for bad in ("a", 1.5, -1, [1, 2]):
        with pytest.raises((TypeError, ValueError), match="random_state must be an integer of at least 0"):
            small(lam="permutation", random_state=bad).fit(data.views)
    none, zero = (permutation_test(data.views, max_rank=2, random_state=state) for state in (None, 0))
    np.testing.assert_array_equal(none.null, zero.null)


def test_samples_are_copied_and_checked(data):
    part = take_samples(data.views, slice(0, 5))
    part[0][:] = 0.0
    assert data.views[0][:5].any()
    mask = np.arange(200) < 3
    assert [X.shape[0] for X in take_samples({"a": data.views[0], "b": None}, mask).values() if X is not None] == [3]
    for index, message in (
        ([200], "below 200"),
        (mask[:5], "one entry per sample"),
        (["a"], "positions"),
        (1, "positions"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            take_samples(data.views, index)
