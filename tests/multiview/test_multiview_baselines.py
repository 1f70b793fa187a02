"""Baselines against values from elsewhere: NumPy identities, cca-zoo, mvlearn 0.5.0, and the papers' own algorithms."""

import numpy as np
import pytest

from optlab.datasets.multiview import loading_error, make_linked_views, score_correlation, subspace_error
from optlab.multiview.baselines import (
    AJIVE,
    CCA,
    GCCA,
    JIVE,
    MCCA,
    SLIDE,
    ConcatenatedPCA,
    SequentialExtraction,
    slide_given_structure,
    slide_penalised,
)


@pytest.fixture(scope="module")
def data():
    return make_linked_views("S", p=(12, 15, 18), individual=(2,), seed=1)


def scaled(views):
    views = [X - X.mean(axis=0) for X in views]
    return [X / np.linalg.norm(X) * np.sqrt(len(X) - 1) for X in views]


def correlation(a, b):
    return np.abs(np.corrcoef(a, b)[0, 1])


def test_concatenated_pca_is_that_of_scikit_learn(data):
    from sklearn.decomposition import PCA

    ours = ConcatenatedPCA(rank=3).fit(data.views)
    theirs = PCA(3).fit_transform(np.hstack(scaled(data.views)))
    for j in range(3):
        assert correlation(ours.scores_[:, j], theirs[:, j]) == pytest.approx(1, abs=1e-10)
    np.testing.assert_allclose(ours.transform(data.views), ours.scores_, atol=1e-8)


def test_sequential_extraction_of_two_views_is_a_singular_value_decomposition(data):
    X, Y = scaled(data.views[:2])
    ours = SequentialExtraction(rank=4).fit(data.views[:2])
    left, values, right = np.linalg.svd(X.T @ Y / 199)
    np.testing.assert_allclose(ours.singular_values_, values[:4], rtol=1e-8)
    assert loading_error(ours.loadings_, [left[:, :4], right[:4].T]) < 1e-6


def test_cca_family_is_that_of_cca_zoo(data):
    linear = pytest.importorskip("cca_zoo.linear")
    views = scaled(data.views)
    for ours, theirs in [
        (MCCA(3), linear.MCCA(n_components=3)),
        (MCCA(3, shrinkage=0.2), linear.MCCA(n_components=3, shrinkage=0.2)),
        (GCCA(3, shrinkage=0.2), linear.GCCA(n_components=3, shrinkage=0.2)),
    ]:
        ours.fit(data.views)
        expected = theirs.fit(views).transform(views)
        for X, W, T in zip(views, ours.weights_, expected):
            for j in range(3):
                assert correlation(X @ W[:, j], T[:, j]) == pytest.approx(1, abs=1e-8)
        np.testing.assert_allclose(ours.transform(data.views), ours.scores_, atol=1e-8)


def test_cca_of_two_views_against_the_textbook(data):
    pytest.importorskip("cca_zoo")
    X, Y = scaled(data.views[:2])
    ours = CCA(rank=3).fit(data.views[:2])
    Qx, Qy = np.linalg.qr(X)[0], np.linalg.qr(Y)[0]
    canonical = np.linalg.svd(Qx.T @ Qy, compute_uv=False)[:3]
    found = [correlation(X @ ours.weights_[0][:, j], Y @ ours.weights_[1][:, j]) for j in range(3)]
    np.testing.assert_allclose(found, canonical, rtol=1e-8)


def test_wide_views_give_cca_zoo_the_same_answer_after_compression():
    linear = pytest.importorskip("cca_zoo.linear")
    data = make_linked_views("C", n=40, p=(60, 70), seed=0)
    views = scaled(data.views)
    ours = MCCA(2, shrinkage=0.3).fit(data.views)
    theirs = linear.MCCA(n_components=2, shrinkage=0.3).fit(views).transform(views)
    for X, W, T in zip(views, ours.weights_, theirs):
        assert correlation(X @ W[:, 0], T[:, 0]) == pytest.approx(1, abs=1e-6)


def test_missing_peer_says_what_to_install(data, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "cca_zoo", None)
    monkeypatch.setitem(sys.modules, "cca_zoo.linear", None)
    with pytest.raises(ImportError, match=r"pip install 'optlab\[peers\]'"):
        MCCA(2).fit(data.views)


# ---------------------------------------------------------------------- JIVE


def jive_as_in_the_r_package(views, rank, individual, n_iter):
    """Features in rows, as in r.jive's inner loop (orthogonality of individual parts to each other switched off)."""
    X = [V.T / np.linalg.norm(V) for V in views]
    A = [np.zeros_like(x) for x in X]
    for _ in range(n_iter):
        u, d, v = np.linalg.svd(np.vstack([x - a for x, a in zip(X, A)]), full_matrices=False)
        V = v[:rank].T
        J = np.split(u[:, :rank] @ np.diag(d[:rank]) @ V.T, np.cumsum([len(x) for x in X])[:-1])
        for i, x in enumerate(X):
            u, d, v = np.linalg.svd((x - J[i]) @ (np.eye(x.shape[1]) - V @ V.T), full_matrices=False)
            r = individual[i]
            A[i] = u[:, :r] @ np.diag(d[:r]) @ v[:r]
    return J, A


def test_jive_against_the_published_iteration():
    data = make_linked_views("S", n=40, p=(8, 9, 10), individual=(2,), seed=0)
    ours = JIVE(rank=3, individual_ranks=(1, 2, 1), max_iter=15, tol=0.0).fit(data.views)
    joint, individual = jive_as_in_the_r_package(scaled(data.views), 3, (1, 2, 1), 15)
    for a, b in zip(ours.joint_ + ours.individual_, joint + individual):
        np.testing.assert_allclose(a, b.T, atol=1e-10)
    for A in ours.individual_:
        np.testing.assert_allclose(ours.scores_.T @ A, 0, atol=1e-8)


def test_jive_is_a_method_run_by_the_driver(tmp_path):
    import optlab
    from optlab.multiview.baselines.jive import AlternatingJIVE, JointIndividual

    data = make_linked_views("S", n=40, p=(8, 9, 10), individual=(2,), seed=0)
    X = tuple(V / np.linalg.norm(V) for V in scaled(data.views))
    problem = JointIndividual(X, 3, (1, 2, 1))
    for method in (AlternatingJIVE(), AlternatingJIVE(orthogonal_individual=True)):
        whole = optlab.solve(problem, method, max_iter=12, record=3)
        assert np.all(np.diff(whole.history["residual"][1:]) <= 1e-15)
        part = optlab.solve(problem, method, max_iter=5, record=3)
        joined = optlab.solve(problem, method, max_iter=7, x0=part, record=3)
        np.testing.assert_array_equal(joined.solution.scores, whole.solution.scores)
        optlab.solve(problem, method, max_iter=6, record=3, checkpoint=tmp_path / "run.npz")
        resumed = optlab.solve(problem, method, max_iter=12, record=3, checkpoint=tmp_path / "run.npz", resume=True)
        assert resumed.history.equals(whole.history)
        assert optlab.cite(method).startswith("@article{lock2013joint")
    fitted = JIVE(rank=3, individual_ranks=(1, 2, 1)).fit(data.views)
    assert fitted.result_.success
    assert fitted.history_["change"][-1] <= 1e-8
    again = optlab.solve(problem, AlternatingJIVE(), x0=fitted.result_.solution, max_iter=1)
    assert again.metrics["change"] < 1e-7
    with pytest.raises(TypeError, match="x0 must be a JIVESolution"):
        optlab.solve(problem, AlternatingJIVE(), x0=X)


def test_jive_without_individual_parts_is_concatenated_pca(data):
    jive, pca = JIVE(rank=2, max_iter=5).fit(data.views), ConcatenatedPCA(rank=2).fit(data.views)
    assert score_correlation(jive.scores_, pca.scores_) == pytest.approx(1)
    both = JIVE(rank=3, individual_ranks=1, orthogonal_individual=True, tol=1e-4).fit(data.views)
    assert score_correlation(both.scores_, data.scores) > 0.95
    for i, A in enumerate(both.individual_):
        for B in both.individual_[:i]:
            assert np.linalg.norm(A.T @ B) < 0.05


# ---------------------------------------------------------------------- AJIVE


def test_ajive_against_mvlearn():
    rng = np.random.default_rng(0)
    n, views = 40, []
    z = rng.standard_normal((n, 2))
    for p in (8, 10, 12):
        joint = z @ rng.standard_normal((2, p))
        individual = rng.standard_normal((n, 2)) @ rng.standard_normal((2, p))
        views.append(joint + individual + 0.3 * rng.standard_normal((n, p)))
    ours = AJIVE(signal_ranks=4, n_samples=1000).fit(views)
    # mvlearn 0.5.0: AJIVE(init_signal_ranks=[4, 4, 4], random_state=0) on the same centred and scaled views
    np.testing.assert_allclose(
        ours.squared_singular_values_[:6],
        [2.97967484, 2.96136507, 1.4462827, 1.25897833, 1.10756739, 0.91444551],
        rtol=1e-7,
    )
    assert ours.rank_ == 2
    # resampled bounds: the same within their sampling error
    assert ours.wedin_bound_ == pytest.approx(2.7547, abs=0.02)
    assert ours.random_bound_ == pytest.approx(1.9802, abs=0.03)
    P = ours.scores_ @ ours.scores_.T / (n - 1)
    np.testing.assert_allclose(P[0, :5], [0.00164435, 0.00251303, -0.0039101, -0.0003915, 0.00645926], atol=1e-7)
    assert AJIVE(signal_ranks=4, rank=1).fit(views).rank_ == 1


# ---------------------------------------------------------------------- SLIDE


def test_slide_penalised_fit_is_stationary_and_decreases():
    rng = np.random.default_rng(0)
    X = [V / np.linalg.norm(V) for V in scaled(make_linked_views("S", n=30, p=(8, 9), individual=(1,)).views)]
    U = np.linalg.svd(np.hstack(X), full_matrices=False)[0]
    U, V = slide_penalised(X, 0.1, U, 5000, 1e-14)
    np.testing.assert_allclose(U.T @ U, np.eye(U.shape[1]), atol=1e-10)

    def value(U, V):
        groups = [np.linalg.norm(B, axis=0).sum() for B in np.split(V, [8])]
        return 0.5 * np.sum((np.hstack(X) - U @ V.T) ** 2) + 0.1 * sum(groups)

    best = value(U, V)
    for _ in range(50):  # no nearby feasible point is better
        W, _ = np.linalg.qr(U + 1e-3 * rng.standard_normal(U.shape))
        W = W * np.sign(np.einsum("ij,ij->j", W, U))
        assert value(W, V + 1e-3 * rng.standard_normal(V.shape) * (V != 0)) >= best - 1e-9


def test_slide_with_a_full_structure_is_a_singular_value_decomposition():
    X = [V / np.linalg.norm(V) for V in scaled(make_linked_views("S", n=30, p=(8, 9), individual=(1,)).views)]
    U, V = slide_given_structure(X, np.ones((2, 3), bool), tol=1e-16)
    left, values, right = np.linalg.svd(np.hstack(X), full_matrices=False)
    np.testing.assert_allclose(U @ np.vstack(V).T, (left[:, :3] * values[:3]) @ right[:3], atol=1e-8)


def test_slide_with_separate_structures_is_one_decomposition_per_view():
    # exactly orthogonal individual parts: each component belongs to one view
    data = make_linked_views("S", n=40, p=(8, 9), strengths=np.zeros((2, 0)), individual=(3, 2), exact=True, noise=0.0)
    X = [V / np.linalg.norm(V) for V in data.views]
    structure = np.array([[1, 0, 1, 0], [0, 1, 0, 1]], bool)
    U, V = slide_given_structure(X, structure, tol=1e-18)
    np.testing.assert_allclose(U @ np.vstack(V).T, np.hstack(X), atol=1e-6)


def test_slide_selects_the_structure():
    data = make_linked_views("S", n=60, p=(8, 9), strengths=[3.0], individual=(3.0,), noise=0.5, seed=0)
    ours = SLIDE(n_lambda=20).fit(data.views)
    assert sorted(map(tuple, ours.structure_.T.astype(int)))[::-1] == [(1, 1), (1, 0), (0, 1)]
    assert ours.rank_ == 1
    assert score_correlation(ours.scores_, data.scores) > 0.95
    given = SLIDE(structure=ours.structure_).fit(data.views)
    assert subspace_error(given.loadings_, ours.loadings_) < 1e-6
    with pytest.raises(ValueError, match="structure must have one row for each of 2 views"):
        SLIDE(structure=np.ones((3, 2))).fit(data.views)


# ---------------------------------------------------------------------- all of them


@pytest.mark.parametrize(
    "baseline",
    [ConcatenatedPCA(3), SequentialExtraction(3), JIVE(3, 1, tol=1e-4), AJIVE(4, n_samples=50), MCCA(3), GCCA(3)],
)
def test_all_find_strong_joint_structure(data, baseline):
    from sklearn.base import clone

    if isinstance(baseline, (MCCA, GCCA)):
        pytest.importorskip("cca_zoo")
    fitted = clone(baseline).fit(data.views)
    assert fitted.rank_ == 3
    assert subspace_error(fitted.loadings_, data.loadings) < 0.25
    assert score_correlation(fitted.scores_, data.scores) > 0.9
    assert score_correlation(fitted.transform(data.views), data.scores) > 0.9
    with pytest.raises(ValueError, match="features as in fit"):
        fitted.transform(data.views[::-1])


@pytest.mark.parametrize("bad", [ConcatenatedPCA(0), SequentialExtraction(13), JIVE(3, (1, 2)), AJIVE(4, rank=-1)])
def test_bad_ranks(data, bad):
    with pytest.raises(ValueError, match="must"):
        bad.fit(data.views)
