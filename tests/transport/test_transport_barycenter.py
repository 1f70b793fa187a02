"""Barycentres: against the exact linear program and POT, on fixed and on moving supports."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import optlab
from optlab.splitting import BregmanDouglasRachford
from optlab.transport import GeneralizedSinkhorn, WassersteinBarycenter, free_support_barycenter

BDRS = BregmanDouglasRachford()


def instance(seed=0, n=12, count=3):
    rng = np.random.default_rng(seed)
    x = np.linspace(0.0, 1.0, n)
    return rng.dirichlet(np.ones(n), count), (x[:, None] - x) ** 2, rng.dirichlet(np.ones(count))


def test_the_unregularised_barycentre_equals_the_linear_program():
    B, C, w = instance()
    B[1, 3] = 0.0
    B[1] /= B[1].sum()
    problem = WassersteinBarycenter(B, C, w)
    _, exact = problem.reference_solution()
    result = optlab.solve(problem, BDRS, tol=5e-3, max_iter=3000)
    assert result.success
    assert result.metrics["dual_objective"] <= exact + 1e-12 <= result.metrics["objective"] + 2e-12
    p = result.solution.histogram
    for k in range(3):
        plan = result.solution.plan(k)
        np.testing.assert_allclose(plan.sum(axis=1), p, atol=1e-13)
        np.testing.assert_allclose(plan.sum(axis=0), B[k], atol=1e-13)
    assert result.metrics["cost"] == pytest.approx(
        sum(w[k] * np.sum(C * result.solution.plan(k)) for k in range(3)), rel=1e-10
    )


@pytest.mark.parametrize("eps", [0.1, 0.01])
def test_the_entropic_barycentre_equals_pot_and_is_certified(eps):
    import ot

    B, C, w = instance(1)
    problem = WassersteinBarycenter(B, C, w, regularization=eps)
    answers = [optlab.solve(problem, method, tol=1e-9, max_iter=5000) for method in (GeneralizedSinkhorn(), BDRS)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = ot.bregman.barycenter(B.T, C, eps, weights=w, method="sinkhorn_log", numItermax=20_000, stopThr=1e-13)
    for result in answers:
        assert result.success
        np.testing.assert_allclose(result.solution.histogram, theirs, atol=3e-5)
    assert answers[0].metrics["objective"] == pytest.approx(answers[1].metrics["objective"], rel=1e-8)


def test_bounds_hold_at_every_iterate():
    B, C, w = instance(2)
    for eps, method in ((0.0, BDRS), (0.02, BDRS), (0.02, GeneralizedSinkhorn())):
        history = optlab.solve(WassersteinBarycenter(B, C, w, eps), method, max_iter=200).history
        best = history["objective"].min()
        assert np.all(history["dual_objective"] <= best + 1e-12)
        assert np.all(np.isfinite(history["relative_gap"]))


def test_one_histogram_and_translates_are_their_own_answers():
    B, C, _ = instance(3)
    result = optlab.solve(WassersteinBarycenter(B[:1], C), BDRS, max_iter=1500, tol=1e-6)
    np.testing.assert_allclose(result.solution.histogram, B[0], atol=1e-3)
    bump = np.zeros(21)
    bump[3:7] = [0.1, 0.4, 0.3, 0.2]
    x = np.arange(21.0)
    problem = WassersteinBarycenter([bump, np.roll(bump, 8)], (x[:, None] - x) ** 2)
    p, value = problem.reference_solution()
    np.testing.assert_allclose(p, np.roll(bump, 4), atol=1e-9)
    assert value == pytest.approx(16.0)


def test_costs_may_differ_and_a_solution_is_a_start():
    rng = np.random.default_rng(4)
    histograms = [rng.dirichlet(np.ones(5)), rng.dirichlet(np.ones(8))]
    costs = [rng.random((6, 5)), rng.random((6, 8))]
    problem = WassersteinBarycenter(histograms, costs, regularization=0.05)
    cold = optlab.solve(problem, GeneralizedSinkhorn(), tol=1e-9, record=1)
    warm = optlab.solve(problem, GeneralizedSinkhorn(), x0=cold.solution, tol=1e-8, record=1)
    assert cold.success
    assert warm.n_iter == 0 < cold.n_iter


def test_free_support_equals_pot_and_never_rises():
    import ot

    rng = np.random.default_rng(5)
    clouds = [rng.standard_normal((15, 2)) + shift for shift in ([0.0, 0.0], [4.0, 1.0], [1.0, 3.0])]
    weights = [np.full(15, 1 / 15)] * 3
    start = rng.standard_normal((10, 2))
    answer = free_support_barycenter(clouds, weights, start, weights=[0.5, 0.3, 0.2])
    assert answer.converged
    assert np.all(np.diff(answer.objective) <= 1e-12)
    theirs = ot.lp.free_support_barycenter(
        clouds, weights, start, weights=np.array([0.5, 0.3, 0.2]), numItermax=100, stopThr=1e-12
    )
    np.testing.assert_allclose(answer.points, theirs, atol=1e-8)


def test_bad_input_is_named():
    B, C, _ = instance()
    with pytest.raises(ValueError, match=r"same sum, got 1 and 2 at \[1\]"):
        WassersteinBarycenter([B[0], 2 * B[1]], C)
    with pytest.raises(ValueError, match=r"cost for histograms\[0\] must have shape"):
        WassersteinBarycenter(B, C[:, :5])
    with pytest.raises(ValueError, match="one for each of the 3 histograms, got 2"):
        WassersteinBarycenter(B, [C, C])
    with pytest.raises(ValueError, match="weights must be positive"):
        WassersteinBarycenter(B, C, [1.0, 0.0, 1.0])
    with pytest.raises(TypeError, match="x0 must be"):
        WassersteinBarycenter(B, C).initial_mirror(3.0)
    with pytest.raises(TypeError, match="forbidden"):
        WassersteinBarycenter(B, np.where(C > 0.5, np.inf, C))
    arguments = [np.zeros((2, 1))], [[0.5, 0.5]], np.array([[0.0], [1.0]])
    for words, changed in (
        (r"histograms\[0\] must have shape \(2,\)", (arguments[0], [[1.0]], arguments[2])),
        (r"histograms\[0\] must have the sum 1, got 1\.5", (arguments[0], [[0.5, 1.0]], arguments[2])),
    ):
        with pytest.raises(ValueError, match=words):
            free_support_barycenter(*changed)
    with pytest.raises(ValueError, match="masses must have the sum 1"):
        free_support_barycenter(*arguments, masses=[1.0, 2.0])
    assert repr(free_support_barycenter(*arguments)).startswith("FreeSupportBarycenter(2 points in dimension 1, ")
    with pytest.raises(ValueError, match="points and histograms must be as many"):
        free_support_barycenter([np.zeros((2, 1))], [], np.zeros((1, 1)))


@pytest.mark.parametrize("mass", [1e-9, 1e9])
@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_reference_solution_in_any_units(mass, unit):
    """HiGHS's tolerances are absolute: at costs of 1e-9 everything was optimal to it."""
    rng = np.random.default_rng(7)
    B, C = rng.dirichlet(np.ones(6), 3), rng.random((5, 6))
    _, value = WassersteinBarycenter(B, C).reference_solution()
    p, scaled = WassersteinBarycenter(mass * B, unit * C).reference_solution()
    assert scaled == pytest.approx(mass * unit * value, rel=1e-9)
    assert p.sum() == pytest.approx(mass, rel=1e-9)


@pytest.mark.parametrize("eps", [0.0, 0.05])
def test_any_potentials_prove_a_bound_that_constants_do_not_change(eps):
    """The weighted mean is taken off: potentials that do not sum to zero would prove anything."""
    rng = np.random.default_rng(8)
    B, C = rng.dirichlet(np.ones(6), 3), rng.random((5, 6))
    problem = WassersteinBarycenter(B, C, [0.5, 0.3, 0.2], regularization=eps)
    method = GeneralizedSinkhorn() if eps else BregmanDouglasRachford()
    best = optlab.solve(problem, method, tol=1e-4, max_iter=5000)
    assert best.success
    for _ in range(20):
        f = [10.0 ** rng.uniform(-3, 0) * rng.standard_normal(5) for _ in range(3)]
        value = problem.dual_bound(f)
        assert value <= best.metrics["objective"] + 1e-12
        assert problem.dual_bound([v + 100.0 for v in f]) == pytest.approx(value, abs=1e-11)
