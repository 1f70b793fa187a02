"""Every check of the NGN paper passes at the smallest scale, and every negative control is refuted."""

from __future__ import annotations

import importlib
import itertools

import numpy as np
import pytest

from optlab import theorems
from optlab.reproduce.theorems import THEOREMS
from optlab.stochastic import NGN, Averaged, Decaying
from optlab.stochastic.methods.ngn import ngn_step_size
from optlab.theorems.ngn import _instances as _ngn
from optlab.theorems.ngn import _paths
from optlab.theorems.ngn import alpha_beta as ngn_alpha_beta
from optlab.theorems.ngn import non_convex as ngn_non_convex
from optlab.theorems.ngn._paths import enumerate_paths, paths, step_sizes

for name in theorems.modules():
    if name.startswith("optlab.theorems.ngn."):
        importlib.import_module(name)

CHECKS = [spec for spec in THEOREMS.values() if spec.paper == "ngn"]


@pytest.mark.slow  # `optlab reproduce --scale smoke` runs the same in .ci/run
@pytest.mark.parametrize("spec", CHECKS, ids=lambda spec: spec.id)
def test_the_check_passes(spec):
    evidence = spec("smoke", 0)
    assert spec.accepts(evidence.verdict), (evidence, evidence.detail)


@pytest.mark.slow  # `optlab reproduce --scale smoke` runs the same in .ci/run
@pytest.mark.parametrize("spec", CHECKS, ids=lambda spec: spec.id)
def test_every_control_is_refuted(spec):
    assert spec.controls, "a check without a control cannot be seen to fail"
    for control in spec.controls:
        evidence = control("smoke", 0)
        assert spec.refutes(evidence.verdict), (control.description, evidence, evidence.detail)


@pytest.mark.parametrize("spec", CHECKS, ids=lambda spec: spec.id)
def test_the_statement_is_complete(spec):
    assert len(spec.statement) > 40
    assert spec.assumptions
    assert spec.source
    assert len({control.description for control in spec.controls}) == len(spec.controls)


def test_there_is_a_check_of_every_theorem():
    wanted = {"ngn-convex", "ngn-convex-simple", "ngn-strongly-convex", "ngn-non-convex-step", "ngn-decaying"}
    wanted |= {"ngn-non-convex", "ngn-polyak-lojasiewicz", "ngn-non-convex-deterministic", "ngn-alpha-beta"}
    assert wanted | {"ngn-m-convex", "ngn-m-interpolation", "ngn-d-step"} <= {spec.id for spec in CHECKS}


@pytest.mark.parametrize("instance", _ngn.convex_instances(3), ids=lambda instance: instance.name)
def test_the_constants_of_the_instances(instance):
    """The bounds are worth what these are: the minimiser, the infima and the smoothness constant."""
    x = instance.minimizer
    gradients = [term.objective_and_gradient(x)[1] for term in instance.terms]
    assert np.abs(np.mean(gradients, axis=0)).max() < 1e-12
    assert instance.f_star == pytest.approx(instance.problem.objective(x), abs=1e-12)
    assert instance.interpolation_gap + instance.positivity_gap == pytest.approx(instance.f_star, abs=1e-10)
    rng = np.random.default_rng(0)
    for term, infimum in zip(instance.terms, instance.infima, strict=True):
        for point in _ngn.points_near(instance, rng, 5):
            value, gradient = term.objective_and_gradient(point)
            assert value >= infimum - 1e-12
            assert gradient @ gradient <= 2 * instance.smoothness * (value - infimum) * (1 + 1e-9) + 1e-12


def test_the_infimum_of_a_ridge_logistic_term():
    s = np.linspace(0, 10, 200_001)
    for square, l2 in ((0.5, 0.1), (4.0, 1.0)):
        values = np.log1p(np.exp(-s * square)) + 0.5 * l2 * s * s * square
        assert _ngn.logistic_infimum(square, l2) == pytest.approx(values.min(), abs=1e-8)
    assert _ngn.logistic_infimum(2.0, 0.0) == 0.0


@pytest.mark.parametrize("decaying", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("instance", _ngn.convex_instances(3)[:5], ids=lambda instance: instance.name)
def test_the_paths_are_those_of_the_library(instance, momentum, decaying):
    sigmas, seeds, x0 = np.array([0.1, 3.0]), (4, 5), instance.minimizer + 1.0
    found = paths(
        instance.vectorized, x0, sigmas, seeds, (7, 30), momentum=momentum, decaying=decaying, losses=True, squares=True
    )
    for j, sigma in enumerate(sigmas):
        for s, seed in enumerate(seeds):
            inner = NGN(Decaying(float(sigma)) if decaying else float(sigma), momentum=momentum)
            method = Averaged(inner, weights="schedule")
            state, losses, squares = method.init(instance.problem, x0, np.random.default_rng(seed)), [], []
            for _ in range(30):
                value, gradient = instance.problem.objective_and_gradient(inner.point(state))
                losses.append(value)
                squares.append(gradient @ gradient)
                state = method.advance(instance.problem, state, 1)
            np.testing.assert_allclose(found.last[1, j, s], inner.point(state), rtol=1e-9, atol=1e-11)
            np.testing.assert_allclose(
                found.average[1, j, s], method.iterate(instance.problem, state), rtol=1e-9, atol=1e-11
            )
            assert found.mean_loss[1, j, s] == pytest.approx(np.mean(losses), rel=1e-9)
            assert found.mean_square[0, j, s] == pytest.approx(np.mean(squares[:7]), rel=1e-9)


def test_a_step_of_every_term_is_a_step_of_the_method():
    for instance in _ngn.convex_instances(2):
        x, sigma = instance.minimizer + 1.0, 0.7
        f, g = instance.vectorized.oracle(np.arange(len(instance.terms)), x[None])
        ends = x - step_sizes(f, np.sum(g * g, axis=-1), sigma)[:, None] * g
        expected = [_ngn.step_from(term, NGN(sigma), x).x for term in instance.terms]
        np.testing.assert_allclose(ends, expected, rtol=1e-12)
        np.testing.assert_allclose(instance.vectorized.mean(x), instance.problem.objective(x), rtol=1e-12)


def test_step_sizes_at_the_edges_are_those_of_the_library():
    values = np.array([0.0, 1e-310, 1e-10, 1.0, 1e10])
    f, square, sigma = (v.ravel() for v in np.meshgrid(values, values, 10.0 ** np.arange(-12, 13, 6)))
    expected = [ngn_step_size(*triple) for triple in zip(f, square, sigma)]
    np.testing.assert_allclose(step_sizes(f, square, sigma), expected, rtol=1e-14)


def test_all_sequences_of_samples():
    instance = _ngn.least_squares(0, n=3)
    x0, ends = np.ones(3), []
    for order in itertools.product(range(3), repeat=2):
        x = x0
        for i in order:
            x = _ngn.step_from(instance.terms[i], NGN(0.7), x).x
        ends.append(x)
    levels = enumerate_paths(instance.vectorized, x0, 0.7, 2)
    assert [len(level) for level in levels] == [1, 3, 9]
    np.testing.assert_allclose(np.sort(levels[2], axis=0), np.sort(ends, axis=0), rtol=1e-12)


@pytest.mark.parametrize("make", [ngn_non_convex.waves, ngn_non_convex.sigmoid])
def test_the_constants_of_the_non_convex_losses(make):
    case = make(1, 6)
    assert case.problem.check_gradient() < 1e-5
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(500, 1, case.start.size)) * 3 for _ in range(2))
    (f, g), (_, other) = (case.terms.oracle(np.arange(6), z) for z in (x, y))
    assert f.min() >= 0
    lengths = np.linalg.norm(x - y, axis=-1)
    assert np.all(np.linalg.norm(g - other, axis=-1) <= case.smoothness * lengths * (1 + 1e-9))
    mean = case.terms.mean_gradient(x[:, 0])
    assert np.mean(np.sum((g - mean[:, None]) ** 2, axis=-1), axis=1).max() <= case.variance * (1 + 1e-12)
    gaps = case.terms.mean(x[:, 0]) - case.f_star
    if case.modulus:  # for the others f* is a value found, which makes the bounds stricter
        assert gaps.min() >= 0
    assert np.all(np.sum(mean**2, axis=-1) >= 2 * case.modulus * gaps)
    rows = np.arange(6)
    np.testing.assert_allclose(case.problem.losses(x[0, 0], rows), f[0], rtol=1e-12)
    assert case.modulus == 0 or 0.1 < case.modulus < 1


@pytest.mark.parametrize("make", ngn_alpha_beta.MAKERS)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_alpha_beta_condition_holds_without_convexity(make, seed):
    case = make(seed)
    rng = np.random.default_rng(1)
    d = case.solution.size
    x = case.solution + rng.normal(size=(4000, 1, d)) * 10.0 ** rng.uniform(-3, 1.5, size=(4000, 1, 1))
    rows = np.arange(case.terms.count)
    f, g = case.terms.oracle(rows, x)
    at_solution = case.terms.oracle(rows, case.solution[None])[0]
    left = np.sum(g * (x - case.solution), axis=-1)
    right = case.alpha * (f - at_solution) - case.beta * (f - case.infima)
    assert np.all(left >= right - 1e-9 * (1 + np.abs(right)))
    assert case.alpha >= case.beta + 1
    assert np.all(f >= case.infima)
    y = x + 1e-4 * rng.normal(size=x.shape)
    step = np.linalg.norm(case.terms.oracle(rows, y)[1] - g, axis=-1)
    assert np.all(step <= case.smoothness * np.linalg.norm(x - y, axis=-1) * (1 + 1e-6))
    slopes = np.sum((case.terms.oracle(rows, y)[1] - g) * (y - x), axis=-1)
    assert slopes.min() < 0  # not convex
    h = 1e-6
    numeric = [
        (case.terms.oracle(rows, x + h * e)[0] - case.terms.oracle(rows, x - h * e)[0]) / (2 * h) for e in np.eye(d)
    ]
    np.testing.assert_allclose(np.stack(numeric, axis=-1), g, rtol=1e-4, atol=1e-4)


def test_paths_that_are_not_the_librarys_are_no_numbers(monkeypatch):
    instance = _ngn.least_squares(0)
    arguments = (instance.vectorized, instance.minimizer + 1.0, np.array([0.1, 3.0]), (4, 5), (7, 30))
    assert np.isfinite(paths(*arguments).last).all()
    monkeypatch.setattr(_paths, "step_sizes", lambda f, square, sigma, k=0: sigma / (1 + sigma * square / (4 * f)))
    found = paths(*arguments)
    assert np.isnan(found.last).all()
    assert np.isnan(found.average[1]).all()
