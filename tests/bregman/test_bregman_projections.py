"""Bregman projections: feasible, nearest (by optimality conditions), idempotent, row-wise, in every geometry."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optlab.bregman import (
    BurgEntropy,
    FermiDirac,
    Hellinger,
    Mahalanobis,
    PowerEntropy,
    ShannonEntropy,
    SimplexEntropy,
    SquaredEuclidean,
    project_box,
    project_capped_simplex,
    project_hyperplane,
    project_simplex,
)
from optlab.core.errors import DomainError

GEOMETRIES = [
    SquaredEuclidean(),
    ShannonEntropy(),
    BurgEntropy(),
    FermiDirac(0.0, 2.0),
    Hellinger(2.0),
    PowerEntropy(3.0),
]
in_each_geometry = pytest.mark.parametrize("kernel", GEOMETRIES, ids=repr)
common = settings(deadline=None, derandomize=True, max_examples=15)
seeds = st.integers(0, 2**32 - 1)


def nearer_than_other_points(kernel, point, projection, others):
    """The generalised Pythagorean inequality ``D(c, z) >= D(c, P z) + D(P z, z)`` for members c of the set."""
    to_set = kernel.divergence(projection, point)
    for c in others:
        assert kernel.divergence(c, point) >= (kernel.divergence(c, projection) + to_set) * (1 - 1e-8) - 1e-10


def capped_members(rng, n, caps, total, count=5):
    members = []
    while len(members) < count:
        c = total * rng.dirichlet(np.ones(n))
        if (c < caps).all():
            members.append(c)
    return members


@in_each_geometry
@common
@given(seed=seeds)
def test_simplex(kernel, seed):
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.05, 1.9, 6)
    kept = x.copy()
    p = project_simplex(x, 1.5, kernel)
    assert p.sum() == pytest.approx(1.5, rel=1e-12)
    assert (p >= 0).all()
    nearer_than_other_points(kernel, x, p, [1.5 * rng.dirichlet(np.ones(6)) for _ in range(5)])
    inside = 1.5 * (rng.dirichlet(np.ones(6)) + 0.01) / 1.06
    np.testing.assert_allclose(project_simplex(inside, 1.5, kernel), inside, rtol=1e-9)
    assert (x == kept).all()


@in_each_geometry
@common
@given(seed=seeds)
def test_capped_simplex(kernel, seed):
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.05, 1.9, 5)
    caps = rng.uniform(0.2, 1.0, 5)
    total = 0.7 * caps.sum()
    p = project_capped_simplex(x, caps, total, kernel)
    assert p.sum() == pytest.approx(total, rel=1e-12)
    assert (p >= 0).all()
    assert (p <= caps * (1 + 1e-14)).all()
    shares = [rng.uniform(0, 1, 5) for _ in range(5)]
    members = [caps * np.clip(s, 0, 1) for s in shares]
    members = [p + t * (m * total / m.sum() - p) for m in members for t in [0.1] if (m * total / m.sum() <= caps).all()]
    nearer_than_other_points(kernel, x, p, [m for m in members if (m > 0).all()])
    np.testing.assert_allclose(project_capped_simplex(p, caps, total, kernel), p, rtol=1e-9, atol=1e-12)


@in_each_geometry
@common
@given(seed=seeds)
def test_hyperplane(kernel, seed):
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.05, 1.9, 5)
    normal = rng.standard_normal(5)
    member = rng.uniform(0.05, 1.9, 5)
    p = project_hyperplane(x, normal, float(normal @ member), kernel)
    assert normal @ p == pytest.approx(normal @ member, abs=1e-11)
    # a Bregman projection onto an affine set satisfies the Pythagorean identity with equality
    assert kernel.divergence(member, x) == pytest.approx(
        kernel.divergence(member, p) + kernel.divergence(p, x), rel=1e-7, abs=1e-10
    )


@in_each_geometry
@common
@given(seed=seeds)
def test_box(kernel, seed):
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.05, 1.9, 5)
    lower, upper = np.sort(rng.uniform(0.1, 1.8, (2, 5)), axis=0)
    p = project_box(x, lower, upper, kernel)
    assert (p == np.clip(x, lower, upper)).all()
    nearer_than_other_points(kernel, x, p, [lower + (upper - lower) * rng.uniform(0, 1, 5) for _ in range(5)])


# ---- the Euclidean formulas


@common
@given(x=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), total=st.floats(1e-6, 1e6))
def test_euclidean_simplex_meets_its_optimality_condition(x, total):
    x = np.array(x)
    p = project_simplex(x, total)
    assert p.sum() == pytest.approx(total, rel=1e-13)
    slack = (x - p)[p > 0]
    size = 1e-15 * (np.abs(x).max() + total)
    assert np.ptp(slack) <= 8 * size  # one threshold on the support
    assert (x[p == 0] <= slack.min() + 8 * size).all()


@common
@given(x=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), share=st.floats(1e-3, 1.0), seed=seeds)
def test_euclidean_capped_simplex_meets_its_optimality_condition(x, share, seed):
    x = np.array(x)
    caps = 10.0 ** np.random.default_rng(seed).uniform(-3, 6, x.size)
    total = share * caps.sum()
    p = project_capped_simplex(x, caps, total)
    size = 1e-15 * (np.abs(x).max() + caps.max())
    assert p.sum() == pytest.approx(total, rel=1e-13)
    free = (p > 0) & (p < caps)
    if free.any():
        mu = (x - p)[free]
        assert np.ptp(mu) <= 8 * size
        assert (x[p == 0] <= mu.min() + 8 * size).all()
        assert ((x - caps)[p == caps] >= mu.max() - 8 * size).all()


def test_capped_simplex_without_effective_caps_is_the_simplex():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((7, 9))
    np.testing.assert_allclose(
        project_capped_simplex(x, np.inf, 2.0, axis=-1), project_simplex(x, 2.0, axis=-1), atol=1e-15
    )
    np.testing.assert_allclose(project_capped_simplex(x, 1.0, 1.0, axis=0), project_simplex(x, axis=0), atol=1e-15)
    mixed = np.where(rng.uniform(size=9) < 0.5, np.inf, 0.1)
    p = project_capped_simplex(x, mixed, 2.0, axis=-1)
    np.testing.assert_allclose(p.sum(axis=-1), 2.0, rtol=1e-14)
    assert (p <= mixed).all()


def test_capped_simplex_with_caps_below_the_rounding_of_the_point():
    x = np.array([1.0, 3.0, 2.0, -4.0])
    for total, expected in ((1.0, [0, 1, 0, 0]), (2.5, [0.5, 1, 1, 0]), (3.0, [1, 1, 1, 0]), (4.0, [1, 1, 1, 1])):
        p = project_capped_simplex(1e18 * x, 1.0, total)
        np.testing.assert_allclose(p, expected, atol=1e-14)


def test_capped_simplex_when_the_caps_hold_just_the_total():
    caps = np.array([0.1, 0.2, 0.3])
    np.testing.assert_allclose(project_capped_simplex([5.0, -5.0, 0.0], caps, 0.6), caps, rtol=1e-14)
    np.testing.assert_allclose(project_capped_simplex([5.0, -5.0, 0.0], caps, float(caps.sum())), caps, rtol=1e-14)


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("kernel", [None, ShannonEntropy(), BurgEntropy()], ids=repr)
def test_slices_along_an_axis(axis, kernel):
    x = np.random.default_rng(1).uniform(0.1, 2.0, (4, 5))
    caps = np.random.default_rng(2).uniform(0.5, 1.0, (4, 5))
    normal = np.random.default_rng(3).uniform(0.5, 1.0, (4, 5))
    for project in (
        lambda x, c, a, axis: project_simplex(x, 1.3, kernel, axis),
        lambda x, c, a, axis: project_capped_simplex(x, c, 1.3, kernel, axis),
        lambda x, c, a, axis: project_hyperplane(x, a, 1.3, kernel, axis),
    ):
        p = project(x, caps, normal, axis)
        assert p.shape == x.shape
        if axis is None:
            np.testing.assert_allclose(p.ravel(), project(x.ravel(), caps.ravel(), normal.ravel(), None), rtol=1e-12)
        else:
            for i in range(x.shape[1 - axis % 2]):
                one = [np.take(v, i, axis=1 - axis % 2) for v in (x, caps, normal)]
                np.testing.assert_allclose(np.take(p, i, axis=1 - axis % 2), project(*one, None), rtol=1e-12)


@pytest.mark.parametrize("magnitude", [1e-300, 1e-12, 1e12, 1e300])
def test_extreme_points_and_totals(magnitude):
    x = magnitude * np.array([1.0, -1.0, 0.5, 0.0])
    for total in (1e-12, 1.0, 1e12):
        p = project_simplex(x, total)
        assert p.sum() == pytest.approx(total, rel=1e-12)
        q = project_capped_simplex(x, total, total)
        np.testing.assert_allclose(q, p, rtol=1e-9, atol=1e-12 * total)
    assert (project_simplex([1.7e308, -1.7e308]) == [1.0, 0.0]).all()
    assert project_simplex([1.7e308, 1.7e308], kernel=ShannonEntropy()).tolist() == [0.5, 0.5]
    assert np.isfinite(project_hyperplane(x, [1e-200, 1e-200, 0.0, 0.0], 1e-200)).all()


def test_float32_is_kept():
    x = np.random.default_rng(4).uniform(0.1, 1.0, (3, 4)).astype(np.float32)
    for kernel in (None, ShannonEntropy(), BurgEntropy()):
        for p in (
            project_simplex(x, 1.0, kernel, -1),
            project_capped_simplex(x, 0.6, 1.0, kernel, -1),
            project_box(x, 0.2, 0.4, kernel),
            project_hyperplane(x, np.ones(4), 1.0, kernel, -1),
        ):
            assert p.dtype == np.float32
            assert p.shape == x.shape


def test_zeros_stay_zero_under_the_entropy():
    np.testing.assert_allclose(project_simplex([0.0, 1.0, 3.0], kernel=SimplexEntropy()), [0.0, 0.25, 0.75])


def test_mahalanobis_hyperplane():
    Q = np.array([[2.0, 1.0], [1.0, 3.0]])
    p = project_hyperplane([1.0, 2.0], [1.0, 1.0], 0.0, Mahalanobis(Q))
    multiplier = Q @ (np.array([1.0, 2.0]) - p)
    assert p.sum() == pytest.approx(0, abs=1e-14)
    assert multiplier[0] == pytest.approx(multiplier[1])


def test_another_array_library():
    xp = pytest.importorskip("array_api_strict")
    x = np.random.default_rng(5).standard_normal((3, 4))
    for axis in (None, -1):
        p = project_simplex(xp.asarray(x), 2.0, axis=axis)
        np.testing.assert_allclose(np.asarray(p), project_simplex(x, 2.0, axis=axis))
    q = project_simplex(xp.asarray(np.exp(x)), 2.0, ShannonEntropy(), axis=-1)
    np.testing.assert_allclose(np.asarray(q), project_simplex(np.exp(x), 2.0, ShannonEntropy(), axis=-1))
    np.testing.assert_allclose(
        np.asarray(project_box(xp.asarray(x), -0.5, xp.asarray(np.full(4, 0.5)))), np.clip(x, -0.5, 0.5)
    )


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: project_simplex([1.0, np.nan]), DomainError, r"x must be finite, got nan at index \[1\]"),
        (lambda: project_simplex([1.0], 0.0), ValueError, "total must be a number above 0"),
        (lambda: project_simplex([-1.0, 1.0], kernel=ShannonEntropy()), DomainError, "x must be non-negative"),
        (lambda: project_simplex([0.0, 0.0], kernel=ShannonEntropy()), DomainError, "not zero"),
        (lambda: project_simplex([-1.0, 1.0], kernel=BurgEntropy()), DomainError, r"x > 0\), got -1 at index \[0\]"),
        (lambda: project_capped_simplex([1.0, 2.0], 0.4), ValueError, "total must be at most the sum of the caps 0.8"),
        (lambda: project_capped_simplex([1.0, 2.0], [0.4, 0.0]), ValueError, "upper must be positive"),
        (
            lambda: project_capped_simplex([1.0, 2.0], [1.0, 1.0, 1.0]),
            ValueError,
            r"upper of shape \(3,\) does not fit",
        ),
        (lambda: project_box([1.0], 2.0, 1.0), ValueError, "lower must not exceed upper"),
        (lambda: project_box([1.0], np.nan, 1.0), ValueError, "lower must not be NaN"),
        (lambda: project_box([1.0], -2.0, -1.0, ShannonEntropy()), DomainError, "the box must meet the closure"),
        (lambda: project_box([-1.0], 0.0, 1.0, ShannonEntropy()), DomainError, "x must lie in the closure"),
        (lambda: project_box([1.0, 1.0], 0.0, 1.0, Mahalanobis(np.eye(2))), TypeError, "no resolvent of Box"),
        (lambda: project_hyperplane([1.0, 2.0], [0.0, 0.0], 1.0), ValueError, "normal must not be zero"),
        (lambda: project_hyperplane([1.0, 2.0], [1.0, 1.0], np.inf), ValueError, "offset must be a number"),
    ],
    ids=lambda v: None,
)
def test_bad_input_is_named(call, error, text):
    with pytest.raises(error, match=text):
        call()
