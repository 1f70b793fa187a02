"""Every check of the NGN paper passes at the smallest scale, and every negative control is refuted."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from optlab import theorems
from optlab.reproduce.theorems import THEOREMS
from optlab.theorems import _ngn

for name in theorems.modules():
    if name.startswith("optlab.theorems.ngn_"):
        importlib.import_module(name)

CHECKS = [spec for spec in THEOREMS.values() if spec.paper == "ngn"]


@pytest.mark.parametrize("spec", CHECKS, ids=lambda spec: spec.id)
def test_the_check_passes(spec):
    evidence = spec("smoke", 0)
    assert spec.accepts(evidence.verdict), (evidence, evidence.detail)


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


def test_a_step_of_every_term_is_a_step_of_the_method():
    from optlab.stochastic import NGN

    instance = _ngn.least_squares(0)
    x, sigma = np.ones(3), 0.7
    ends, gamma = _ngn.all_steps(instance, NGN(sigma), x)
    A, b = instance.problem.A, instance.problem.targets
    expected = sigma / (1 + sigma * np.sum(A**2, axis=1))
    np.testing.assert_allclose(gamma, expected, rtol=1e-13)
    np.testing.assert_allclose(ends, x - (expected * (A @ x - b))[:, None] * A, rtol=1e-12)
