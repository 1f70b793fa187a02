"""Mirror maps: conjugacy, dual divergence, normalisation, and steps that neither underflow nor overflow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from optlab.bregman import (
    EuclideanMap,
    HyperbolicMap,
    NegativeEntropyMap,
    OmegaPotentialMap,
    SimplexEntropy,
    TsallisMap,
    mirror_map,
    project_simplex,
)
from optlab.core.errors import DomainError

SINH = OmegaPotentialMap(
    lambda x: 0.3 * np.sinh(np.clip(x, -700, 700)),
    lambda u: np.arcsinh(u / 0.3),
    lambda x: 0.3 * np.cosh(np.clip(x, -700, 700)),
    name="sinh",
)
EXPONENTIAL = OmegaPotentialMap(lambda x: np.exp(x - 1), lambda u: 1 + np.log(u), lambda x: np.exp(x - 1), name="exp")
MAPS = [
    NegativeEntropyMap(),
    EuclideanMap(),
    EuclideanMap("full"),
    TsallisMap(0.2),
    TsallisMap(0.5),
    TsallisMap(0.999),
    TsallisMap(1.0),
    TsallisMap(1.001),
    TsallisMap(1.5),
    TsallisMap(2.0),
    HyperbolicMap(0.3),
    HyperbolicMap(1e-3),
    SINH,
    EXPONENTIAL,
]
every_map = pytest.mark.parametrize("phi", MAPS, ids=lambda m: m.label)
simplex_maps = pytest.mark.parametrize("phi", [m for m in MAPS if not m.full_domain], ids=lambda m: m.label)


def draws(seed, n=300, size=5, scale=2.0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, size)) * scale for _ in range(3))


@every_map
def test_projection_is_on_the_simplex_and_is_the_gradient_of_the_conjugate(phi):
    y, v, _ = draws(0)
    p = phi.project(y)
    assert np.all(p >= 0)
    assert np.abs(p.sum(axis=-1) - 1).max() <= 1e-12
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(np.exp(phi.log_project(y)), p, rtol=1e-12, atol=1e-280)
    h = 1e-6
    slope = (phi.conjugate(y + h * v) - phi.conjugate(y - h * v)) / (2 * h)
    np.testing.assert_allclose(slope, np.sum(phi.conjugate_gradient(y) * v, axis=-1), atol=1e-7)


@every_map
def test_hessian_of_the_conjugate_is_the_derivative_of_its_gradient(phi):
    y, v, _ = draws(1)
    h = 1e-6
    change = (phi.conjugate_gradient(y + h * v) - phi.conjugate_gradient(y - h * v)) / (2 * h)
    product = np.einsum("nij,nj->ni", phi.conjugate_hessian(y), v)
    # a few draws lie next to a kink, where an action is clipped
    assert np.quantile(np.abs(change - product).max(axis=-1), 0.99) <= 1e-8
    np.testing.assert_allclose(phi.conjugate_hessian_product(y, v), product, atol=1e-13)


@every_map
def test_dual_divergence_is_the_fenchel_young_loss(phi):
    y, z, _ = draws(2)
    dual = phi.dual_divergence(y, z)
    definition = phi.conjugate(y) - phi.conjugate(z) - np.sum(phi.conjugate_gradient(z) * (y - z), axis=-1)
    np.testing.assert_allclose(dual, definition, atol=1e-12)
    if not phi.full_domain:
        loss = phi.conjugate(y) + phi.value(phi.project(z)) - np.sum(y * phi.project(z), axis=-1)
        np.testing.assert_allclose(dual, loss, atol=1e-12)
        np.testing.assert_allclose(phi.dual_divergence(y + 3.0, z - 5.0), dual, atol=1e-12)


@simplex_maps
def test_dual_divergence_swaps_arguments_exactly_if_the_map_is_steep(phi):
    y, z, _ = draws(3)
    gap = phi.dual_divergence(y, z) - phi.divergence(phi.project(z), phi.project(y))
    assert gap.min() >= -1e-12
    if phi.steep:
        assert gap.max() <= 1e-12
    elif phi not in (TsallisMap(1.001), HyperbolicMap(1e-3)):  # which hardly ever clip at this scale
        assert gap.max() > 0.1


@every_map
def test_divergence_is_its_definition_and_strongly_convex(phi):
    rng = np.random.default_rng(4)
    for size in (2, 4, 8):
        p, q = rng.dirichlet(np.ones(size), 400), rng.dirichlet(np.ones(size), 400)
        definition = phi.value(p) - phi.value(q) - np.sum(phi.gradient(q) * (p - q), axis=-1)
        divergence = phi.divergence(p, q)
        np.testing.assert_allclose(divergence, definition, rtol=1e-7, atol=1e-12)
        distance = np.abs(p - q).sum(axis=-1)
        far = distance > 1e-3
        bound = phi.strong_convexity(size) / 2 * distance**2
        assert np.all(divergence[far] >= bound[far] * (1 - 1e-4))


@pytest.mark.parametrize(
    ("phi", "p"),
    [
        (EuclideanMap(), [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]),
        (TsallisMap(1.5), [[0.2502, 0.2498, 0.2502, 0.2498], [0.2498, 0.2502, 0.2498, 0.2502]]),
        (NegativeEntropyMap(), [[0.5002, 0.4998], [0.4998, 0.5002]]),
    ],
    ids=["Euclidean", "Tsallis", "entropy"],
)
def test_modulus_of_strong_convexity_is_nearly_attained(phi, p):
    p, q = np.array(p)
    if isinstance(phi, EuclideanMap):  # half on each side: ||p - q||_1^2 / A = ||p - q||^2
        p, q = np.array([0.5, 0.5, 0, 0]), np.array([0, 0, 0.5, 0.5])
    ratio = float(phi.divergence(p, q)) / (phi.strong_convexity(p.size) / 2 * np.abs(p - q).sum() ** 2)
    assert 1 - 1e-6 <= ratio <= 1.001


@every_map
def test_mirror_step_inverts_the_gradient(phi):
    y, _, _ = draws(5)
    log_p = phi.log_project(y)
    np.testing.assert_allclose(np.exp(phi.mirror_step(log_p, np.zeros_like(y))), np.exp(log_p), atol=1e-14)


@every_map
def test_mirror_step_solves_the_proximal_problem(phi):
    rng = np.random.default_rng(6)
    p = rng.dirichlet(np.ones(4), 20)
    cost = rng.normal(size=p.shape)
    new = np.exp(phi.mirror_step(np.log(p), -cost))
    objective = np.sum(cost * new, axis=-1) + phi.divergence(new, p)
    for _ in range(50):
        other = rng.dirichlet(np.ones(4), 20)
        assert np.all(np.sum(cost * other, axis=-1) + phi.divergence(other, p) >= objective - 1e-12)


@every_map
def test_steps_of_every_size_stay_finite(phi):
    rng = np.random.default_rng(7)
    uniform = np.full((6, 5), -np.log(5))
    for size in (1e-12, 1.0, 1e12):
        log_p = uniform
        for _ in range(4):
            log_p = phi.mirror_step(log_p, -size * rng.random((6, 5)))
            assert not np.isnan(log_p).any()
            np.testing.assert_allclose(np.exp(log_p).sum(axis=-1), 1, atol=1e-12)
            if phi.steep:
                assert np.isfinite(log_p).all()


@every_map
def test_unavailable_actions_stay_without_probability(phi):
    with np.errstate(divide="ignore"):
        log_p = np.log(np.array([[0.5, 0.5, 0.0]]))
    shift = np.array([[0.0, -1.0, -np.inf]])
    new = phi.mirror_step(log_p, shift)
    assert new[0, 2] == -np.inf
    np.testing.assert_allclose(new[:, :2], phi.mirror_step(log_p[:, :2], shift[:, :2]), rtol=1e-12)
    assert np.isfinite(phi.divergence_from_log(new, log_p)).all()
    if not phi.full_domain:
        y = np.array([[0.0, -1.0, -np.inf]])
        np.testing.assert_allclose(phi.dual_divergence(y, y), 0, atol=1e-15)


@every_map
def test_float32_stays_float32(phi):
    y = np.random.default_rng(8).normal(size=(3, 4)).astype(np.float32)
    p = phi.project(y)
    for result in (
        p,
        phi.log_project(y),
        phi.conjugate(y),
        phi.value(p),
        phi.gradient(p),
        phi.divergence(p, p),
        phi.dual_divergence(y, y[::-1]),
        phi.conjugate_hessian(y),
        phi.conjugate_hessian_product(y, y),
    ):
        assert result.dtype == np.float32


def test_maps_agree_where_they_are_the_same():
    y, z, _ = draws(9)
    np.testing.assert_allclose(TsallisMap(2.0).project(y), project_simplex(y, axis=-1), atol=1e-14)
    np.testing.assert_allclose(
        NegativeEntropyMap().project(y), SimplexEntropy(axis=-1).conjugate_gradient(y), atol=1e-15
    )
    np.testing.assert_allclose(HyperbolicMap(0.3).project(y), SINH.project(y), atol=1e-13)
    p, q = SINH.project(y), SINH.project(z)
    np.testing.assert_allclose(HyperbolicMap(0.3).divergence(p, q), SINH.divergence(p, q), atol=1e-13)
    np.testing.assert_allclose(HyperbolicMap(0.3).value(p), SINH.value(p), atol=1e-13)
    np.testing.assert_allclose(EXPONENTIAL.project(y), NegativeEntropyMap().project(y), atol=1e-14)
    p, q = EXPONENTIAL.project(y), EXPONENTIAL.project(z)
    np.testing.assert_allclose(EXPONENTIAL.divergence(p, q), NegativeEntropyMap().divergence(p, q), atol=1e-12)
    # Tsallis through q = 2 and q = 1, the latter at first order in q - 1
    np.testing.assert_allclose(TsallisMap(2 - 1e-10).project(y), EuclideanMap().project(y), atol=1e-8)
    change = [np.abs(TsallisMap(1 + e).project(y) - NegativeEntropyMap().project(y)).max() for e in (1e-3, 1e-5, 1e-7)]
    assert change[0] < 2e-3
    assert change[1] == pytest.approx(change[0] / 100, rel=0.05)
    assert change[2] == pytest.approx(change[1] / 100, rel=0.05)


@pytest.mark.parametrize("q", [0.1, 0.5, 0.97, 1.2, 1.5, 1.8])
def test_tsallis_normalisation_takes_few_newton_steps(q, monkeypatch):
    from optlab.bregman.mirror_maps import tsallis

    rng = np.random.default_rng(10)
    scores = [rng.normal(size=(500, 8)) * 10.0**e for e in range(-3, 10, 3)]
    calls = []
    exact = tsallis.log_deformed_exp
    monkeypatch.setattr(tsallis, "log_deformed_exp", lambda x, q: calls.append(1) or exact(x, q))
    for y in scores:
        calls.clear()
        TsallisMap(q).project(y)
        assert len(calls) <= 14  # including the evaluation that finds nothing left to do, and the last one


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    y=arrays(np.float64, 4, elements=st.floats(-1e9, 1e9)),
    q=st.floats(0.05, 2.0),
)
def test_tsallis_projection_of_anything(y, q):
    phi = TsallisMap(q)
    p = phi.project(y)
    assert abs(p.sum() - 1) <= 1e-12
    order = np.argsort(y)
    assert np.all(np.diff(p[order]) >= -1e-15)
    # optimality: on the support the dual coordinates are y up to one constant
    support = p > 1e-3
    constants = (phi.gradient(p) - y)[support]
    assert np.ptp(constants) <= 1e-9 * max(1, np.abs(y[support]).max())


def test_tsallis_divergence_keeps_relative_accuracy():
    p = np.array([0.3, 0.7])
    shift = 1e-9
    near = p + np.array([shift, -shift])
    for q in (0.3, 1.0 + 1e-6, 1.7):
        second_order = np.sum(p ** (q - 2) * shift**2) / 2
        assert float(TsallisMap(q).divergence(near, p)) == pytest.approx(second_order, rel=1e-6)


def test_divergences_far_below_underflow():
    assert float(NegativeEntropyMap().divergence_from_log([0.0, -np.inf], [-1e6, 0.0])) == pytest.approx(1e6, rel=1e-5)
    assert np.isfinite(TsallisMap(0.9).divergence_from_log([0.0, -5000.0], [-5000.0, 0.0]))
    assert NegativeEntropyMap().divergence([0.5, 0.5], [1.0, 0.0]) == np.inf
    assert TsallisMap(0.5).divergence([0.5, 0.5], [1.0, 0.0]) == np.inf
    np.testing.assert_allclose(TsallisMap(1.5).divergence([0.0, 1.0], [1.0, 0.0]), 1 / 1.5 + 1 / 0.75)
    assert EXPONENTIAL.divergence([0.5, 0.5], [1.0, 0.0]) == np.inf


def test_lazy_and_mirror_forms_differ_only_where_actions_were_clipped():
    first, second = np.array([[-3.0, 0.0]]), np.array([[1.5, 0.0]])
    start = np.log([[0.5, 0.5]])
    for phi in (NegativeEntropyMap(), TsallisMap(0.5), EuclideanMap(), TsallisMap(1.5)):
        mirror = np.exp(phi.mirror_step(phi.mirror_step(start, first), second))
        lazy = phi.project(phi.gradient_from_log(start) + first + second)
        assert np.allclose(mirror, lazy, atol=1e-12) == phi.steep


def test_names_and_equality():
    assert mirror_map("kl") == NegativeEntropyMap() == mirror_map("negative-entropy")
    assert mirror_map("euclidean-full").full_domain
    assert mirror_map("tsallis:1.5") == TsallisMap(1.5)
    assert mirror_map("hyperbolic:0.2") == HyperbolicMap(0.2)
    assert mirror_map(SINH) is SINH
    assert len({NegativeEntropyMap(), NegativeEntropyMap(), TsallisMap(0.5), TsallisMap(0.6)}) == 3
    with pytest.raises(ValueError, match="did you mean 'euclidean'"):
        mirror_map("euclidian")
    with pytest.raises(ValueError, match="number after the colon"):
        mirror_map("tsallis:half")
    with pytest.raises(TypeError, match="name or a MirrorMap, got int"):
        mirror_map(3)


def test_bad_input_is_refused():
    phi = NegativeEntropyMap()
    with pytest.raises(DomainError, match=r"row \[1\] sums to 0.9"):
        phi.value([[0.5, 0.5], [0.5, 0.4]])
    with pytest.raises(DomainError, match=r"got -0\.5"):
        phi.gradient([1.5, -0.5])
    with pytest.raises(DomainError, match=r"finite largest entry in every row, got nan in row \[0\]"):
        phi.project([[np.nan, 0.0]])
    with pytest.raises(ValueError, match="last axis"):
        phi.project(1.0)
    with pytest.raises(ValueError, match="q must be a number above 0 and at most 2"):
        TsallisMap(2.5)
    with pytest.raises(ValueError, match="b must be"):
        HyperbolicMap(0)
    with pytest.raises(ValueError, match="domain must be one of"):
        EuclideanMap("whole")
    with pytest.raises(ValueError, match="inverse must invert potential"):
        OmegaPotentialMap(np.exp, np.exp, np.exp)
    with pytest.raises(ValueError, match="must increase"):
        OmegaPotentialMap(lambda x: -x, lambda u: -u, lambda x: -np.ones_like(x))
