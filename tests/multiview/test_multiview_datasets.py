"""Generators keep their promises; metrics have their ranges and invariances; loaders are offline."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from optlab.datasets.multiview import (
    DESIGNS,
    chimera_covariances,
    largest_angle,
    load_breast_cancer,
    load_digits,
    load_linnerud,
    loading_error,
    make_linked_views,
    score_correlation,
    subspace_error,
)


@pytest.mark.parametrize("design", list(DESIGNS))
def test_designs(design):
    data = make_linked_views(design, seed=3)
    spec = DESIGNS[design]
    assert [X.shape for X in data.views] == [(spec.n, p) for p in spec.p]
    for V, W in zip(data.loadings, data.individual_loadings):
        np.testing.assert_allclose(V.T @ V, np.eye(data.rank), atol=1e-12)
        if not spec.oblique:
            np.testing.assert_allclose(V.T @ W, 0, atol=1e-12)
    assert data.norms.shape == (data.rank,)
    again = make_linked_views(design, seed=3)
    np.testing.assert_array_equal(data.views[0], again.views[0])
    assert not np.array_equal(data.views[0], make_linked_views(design, seed=4).views[0])


def test_sample_covariances_approach_those_of_the_population():
    data = make_linked_views("F", n=100_000, p=(6, 7), individual=(2,), seed=0)
    X, Y = (V - V.mean(axis=0) for V in data.views)
    expected = (data.loadings[0] * data.diagonals[0, 1]) @ data.loadings[1].T
    np.testing.assert_allclose(X.T @ Y / 100_000, expected, atol=0.15)


def test_exact_data_have_the_model_exactly():
    data = make_linked_views("S", exact=True, noise=0.0, seed=0)
    X, Y = data.views[:2]
    np.testing.assert_allclose(X.mean(axis=0), 0, atol=1e-12)
    expected = (data.loadings[0] * data.diagonals[0, 1]) @ data.loadings[1].T
    np.testing.assert_allclose(X.T @ Y / 199, expected, atol=1e-10)


def test_chimera_strengths():
    blocks, loadings, chimera = chimera_covariances()

    def norms(V):
        return np.sqrt(sum(np.diag(V[k].T @ S @ V[l]) ** 2 for (k, l), S in blocks.items()))

    np.testing.assert_allclose(norms(loadings), np.sqrt(118))
    np.testing.assert_allclose(norms(chimera), np.sqrt([162, 2]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"design": "Z"}, "design must be one of"),
        ({"p": (3, 40)}, r"p\[0\] must be at least 5"),
        ({"n": 5, "exact": True}, "exact=True needs n of at least 10"),
        ({"design": "F", "exact": True}, "identical scores"),
    ],
)
def test_bad_designs(change, message):
    with pytest.raises(ValueError, match=message):
        make_linked_views(**change)


seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seeds, st.integers(1, 4))
def test_metrics(seed, r):
    rng = np.random.default_rng(seed)
    A, B = ([np.linalg.qr(rng.standard_normal((p, r)))[0] for p in (6, 8)] for _ in range(2))
    P = [V @ V.T for V in A]
    Q = [V @ V.T for V in B]
    direct = np.mean([np.linalg.norm(p - q) / np.sqrt(2 * r) for p, q in zip(P, Q)])
    assert subspace_error(A, B) == pytest.approx(direct)
    rotation = np.linalg.qr(rng.standard_normal((r, r)))[0]
    assert subspace_error([V @ rotation for V in A], A) < 1e-12
    order, signs = rng.permutation(r), rng.choice([-1.0, 1.0], r)
    assert loading_error([V[:, order] * signs for V in A], A) < 1e-12
    assert 0 <= loading_error(A, B) <= 1
    sines = [np.linalg.norm(p - q, 2) for p, q in zip(P, Q)]
    assert np.sin(largest_angle(A, B)) == pytest.approx(max(sines))
    Z = rng.standard_normal((50, r))
    assert score_correlation(Z @ rng.standard_normal((r, r)) + 3, Z) == pytest.approx(1)


def test_metrics_of_unequal_ranks():
    e = np.eye(4)
    assert subspace_error([e[:, :0]], [e[:, :0]]) == 0
    assert subspace_error([e[:, :0]], [e[:, :2]]) == 1
    assert loading_error([e[:, :1]], [e[:, :2]]) == 0.5
    assert loading_error([e[:, :0]], [e[:, :2]]) == 1
    assert score_correlation(np.zeros((5, 0)), np.ones((5, 2))) == 0


@pytest.mark.parametrize("load", [load_breast_cancer, load_digits, load_linnerud])
def test_real_data(load):
    data = load()
    n = len(data.labels)
    for name, X in data.views.items():
        assert X.shape == (n, len(data.feature_names[name]))
        assert np.all(X.std(axis=0) > 0)
    pytest.importorskip("pandas")
    assert list(data.frames()) == list(data.views)
