"""Scalar equations as array expressions, against SciPy's on NumPy arrays."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from optlab.bregman import SquaredEuclidean, project_hyperplane, resolvent
from optlab.bregman.elementary import quiet, wright_omega
from optlab.bregman.functions import Hyperplane, L1Norm, Simplex, SquaredDistance
from optlab.bregman.resolvents.roots import solve_plus_exp, solve_plus_log

strict = pytest.importorskip("array_api_strict")


def test_wright_omega():
    z = np.concatenate([np.linspace(-40.0, 60.0, 20001), [-700.0, -1e8, 1e8, 1e300, 1.0]])
    with quiet():
        ours = np.asarray(wright_omega(strict, strict.asarray(z)))
    with np.errstate(under="ignore"):
        np.testing.assert_allclose(ours, special.wrightomega(z), rtol=2e-14)


@pytest.mark.parametrize("solve", [solve_plus_exp, solve_plus_log])
def test_equations(solve):
    s = np.linspace(-50.0, 1e3, 1001)
    for k in (0.3, 2.5):
        np.testing.assert_allclose(np.asarray(solve(strict.asarray(s), k)), solve(s, k), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("shape", [(6,), (2, 3)])
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_euclidean_terms(shape, scale):
    rng = np.random.default_rng(1)
    m, q, w = scale * rng.standard_normal(shape), rng.standard_normal(shape), rng.random(shape)
    for term in (SquaredDistance(q, w), SquaredDistance(), L1Norm(w), L1Norm(), Simplex(3.0), Hyperplane(q, 0.2)):
        ours = resolvent(term, SquaredEuclidean(), strict.asarray(m), 0.7)
        theirs = resolvent(term, SquaredEuclidean(), m, 0.7)
        np.testing.assert_allclose(np.asarray(ours), theirs, rtol=1e-12, atol=1e-13 * scale)


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_projection_onto_a_hyperplane(axis):
    rng = np.random.default_rng(2)
    x, normal = rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
    ours = project_hyperplane(strict.asarray(x), normal, 0.3, axis=axis)
    np.testing.assert_allclose(np.asarray(ours), project_hyperplane(x, normal, 0.3, axis=axis), rtol=1e-13, atol=1e-14)


def test_terms_are_not_changed_by_their_copies_elsewhere():
    import pickle

    term = L1Norm(np.array([1.0, 2.0]))
    resolvent(term, SquaredEuclidean(), strict.asarray([3.0, 4.0]), 1.0)
    assert type(term.weight) is np.ndarray
    assert resolvent(pickle.loads(pickle.dumps(term)), SquaredEuclidean(), np.array([3.0, 4.0]), 1.0).tolist() == [
        2.0,
        2.0,
    ]
