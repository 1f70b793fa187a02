"""PEPit's own example files: their closed forms, or the values they find, from our methods' steps."""

import importlib

import numpy as np
import pytest
from script_methods import Descent

from optlab.firstorder import FISTA, DavisYin, GradientDescent, MirrorDescent, ProximalGradient
from optlab.splitting import BregmanDouglasRachford, HalpernDouglasRachford
from optlab.theory import (
    CocoercivePair,
    CompositeConvex,
    ConvexPair,
    MonotonePair,
    RelativelySmooth,
    SmoothConvex,
    worst_case,
)
from optlab.wrappers import PrimalAveraging

pytest.importorskip("PEPit")
from optlab.theory.scanning import after_one_step


def example(file, **arguments):
    """Return what an example finds, and its closed form."""
    name = file.rpartition(".")[2]
    module = importlib.import_module(f"PEPit.examples.{file}")
    return getattr(module, f"wc_{name}")(**arguments, solver="CLARABEL", verbose=-1)


def closed_form(file, **arguments):
    return example(file, **arguments)[1]


def value(method, problem_class, k, metric, start="distance"):
    return worst_case(method, problem_class, k=k, metric=metric, start=start, confirm=False).value


@pytest.mark.parametrize("n", [2, 5])
def test_halpern_iteration(n):
    found = value(HalpernDouglasRachford(1.0, 2.0, restart=None), MonotonePair(), n, "residual")
    assert found == pytest.approx(closed_form("fixed_point_problems.halpern_iteration", n=n), rel=1e-4)


@pytest.mark.parametrize("gamma", [0.5, 0.75, 0.97])
def test_krasnoselskii_mann_iteration(gamma):
    file = "fixed_point_problems.krasnoselskii_mann_constant_step_sizes"
    found = value(BregmanDouglasRachford(1.0, 2 * gamma), MonotonePair(), 3, "residual") / (4 * gamma**2)
    assert found == pytest.approx(closed_form(file, n=3, gamma=gamma), rel=1e-4)


def test_proximal_point_on_monotone_operators():
    file = "monotone_inclusions_variational_inequalities.proximal_point"
    found = value(BregmanDouglasRachford(1.0), MonotonePair(), 3, "residual")  # the residual of step 4
    assert found == pytest.approx(closed_form(file, alpha=2.0, n=4), rel=1e-4)


@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_douglas_rachford_with_cocoercive_and_strongly_monotone_operators(alpha):
    file = "monotone_inclusions_variational_inequalities.douglas_rachford_splitting_2"
    beta, mu, theta = 1.2, 0.1, 1.5
    found = value(BregmanDouglasRachford(alpha, theta), CocoercivePair(beta, mu), 1, "distance")
    assert found == pytest.approx(closed_form(file, beta=beta, mu=mu, alpha=alpha, theta=theta), rel=1e-4)


def test_douglas_rachford_contraction():
    file = "composite_convex_minimization.douglas_rachford_splitting_contraction"
    found = value(BregmanDouglasRachford(3.0), ConvexPair(1.0, 0.1), 2, "distance")
    assert found == pytest.approx(closed_form(file, mu=0.1, L=1.0, alpha=3.0, theta=1.0, n=2), rel=1e-4)


def test_gradient_descent():
    file = "unconstrained_convex_minimization.gradient_descent"
    found = value(Descent(1 / 3), SmoothConvex(3.0), 4, "gap")
    assert found == pytest.approx(closed_form(file, L=3.0, gamma=1 / 3, n=4), rel=1e-4)


@pytest.mark.parametrize("gamma", [1.0, 1.9])
def test_gradient_descent_contraction(gamma):
    file = "tutorials.gradient_descent_contraction"
    found = value(Descent(gamma), SmoothConvex(1.0, 0.1), 2, "distance")
    assert found == pytest.approx(closed_form(file, L=1.0, mu=0.1, gamma=gamma, n=2), rel=1e-4)


@pytest.mark.parametrize("gamma", [1.5, 4.0])
def test_polyak_steps(gamma):
    file = "adaptive_methods.polyak_steps_in_distance_to_optimum"
    # gamma ||g||^2 = 2 (f - f*), the relation of a Polyak step
    found = after_one_step(gamma, 2 / gamma, SmoothConvex(1.0, 0.1), "distance")
    assert found == pytest.approx(closed_form(file, L=1.0, mu=0.1, gamma=gamma), rel=1e-4)


@pytest.mark.parametrize("gamma", [1.2, 1.6])
def test_polyak_steps_in_function_values(gamma):
    file, L = "adaptive_methods.polyak_steps_in_function_value", 1.0
    found = after_one_step(gamma, 2 * L * (2 - L * gamma), SmoothConvex(L, 0.1), "gap")
    assert found == pytest.approx(closed_form(file, L=L, mu=0.1, gamma=gamma), rel=1e-4)


def test_accelerated_proximal_point_is_halperns_iteration():
    file = "monotone_inclusions_variational_inequalities.accelerated_proximal_point"
    # of the reflection, whose residual is twice that of the resolvent, one step on
    found = value(HalpernDouglasRachford(1.0, 2.0, restart=None), MonotonePair(), 4, "residual") / 4
    assert found == pytest.approx(closed_form(file, alpha=2.0, n=5), rel=1e-4)


@pytest.mark.parametrize(("L", "mu", "alpha", "theta"), [(1.0, 0.1, 1.3, 0.9), (0.4, 2.0, 1.0, 0.5)])
def test_douglas_rachford_with_a_lipschitz_and_a_strongly_monotone_operator(L, mu, alpha, theta):
    file = "monotone_inclusions_variational_inequalities.douglas_rachford_splitting"
    found = value(BregmanDouglasRachford(alpha, theta), MonotonePair(mu, lipschitz=L), 1, "distance")
    assert found == pytest.approx(closed_form(file, L=L, mu=mu, alpha=alpha, theta=theta), rel=1e-4)


@pytest.mark.parametrize("gamma", [1.0, 1.9])
def test_proximal_gradient(gamma):
    file = "composite_convex_minimization.proximal_gradient"
    found = value(ProximalGradient(gamma), CompositeConvex(1.0, 0.1), 2, "distance")
    assert found == pytest.approx(closed_form(file, L=1.0, mu=0.1, gamma=gamma, n=2), rel=1e-4)


def test_proximal_point():
    file = "unconstrained_convex_minimization.proximal_point"
    found = value(ProximalGradient(2.0), CompositeConvex(0.0), 3, "gap")
    assert found == pytest.approx(closed_form(file, gamma=2.0, n=3), rel=1e-4)


def test_accelerated_gradient():
    file = "unconstrained_convex_minimization.accelerated_gradient_convex"
    found = value(FISTA(), CompositeConvex(2.0, terms=0), 3, "gap")
    exact, bound = example(file, mu=0.0, L=2.0, n=3)
    assert found == pytest.approx(exact, rel=1e-4)
    assert found < bound


def test_accelerated_proximal_gradient():
    file = "composite_convex_minimization.accelerated_proximal_gradient"
    found = value(FISTA(), CompositeConvex(2.0), 3, "gap")
    exact, bound = example(file, mu=0.0, L=2.0, n=3)
    assert found == pytest.approx(exact, rel=1e-4)
    assert found < bound


def test_accelerated_gradient_with_strong_convexity():
    file = "unconstrained_convex_minimization.accelerated_gradient_strongly_convex"
    found = value(FISTA(strong_convexity=0.1), CompositeConvex(1.0, 0.1, terms=0), 3, "gap", "energy")
    exact, bound = example(file, mu=0.1, L=1.0, n=3)
    assert found == pytest.approx(exact, rel=1e-4)
    assert found < bound


def test_gradient_descent_on_quadratic_functions():
    file = "unconstrained_convex_minimization.gradient_descent_quadratics"
    found = value(GradientDescent(0.3), CompositeConvex(3.0, 0.3, terms=0, quadratic=True), 2, "gap")
    assert found == pytest.approx(closed_form(file, L=3.0, mu=0.3, gamma=0.3, n=2), rel=1e-4)
    convex = value(GradientDescent(0.3), CompositeConvex(3.0, 0.3, terms=0), 2, "gap")
    assert convex > 1.1 * found


def test_heavy_ball_momentum_is_primal_averaging():
    file, alpha, mu = "unconstrained_convex_minimization.heavy_ball_momentum", 0.5, 0.1
    beta = ((1 - alpha * mu) * (1 - alpha)) ** 0.5
    method = PrimalAveraging(GradientDescent(alpha / (1 - beta)), interpolation=1.0, averaging=beta)
    found = value(method, CompositeConvex(1.0, mu, terms=0), 2, "gap", "gap")
    exact, bound = example(file, mu=mu, L=1.0, alpha=alpha, beta=beta, n=2)
    assert found == pytest.approx(exact, rel=1e-4)
    assert found < bound


def test_three_operator_splitting():
    file = "composite_convex_minimization.three_operator_splitting"
    problem = CompositeConvex(1.0, terms=[(0.0, np.inf), (0.1, 10.0)])
    found = value(DavisYin(0.9, 1.3), problem, 1, "distance")  # a contraction, and any point may be the fixed one
    exact, _ = example(file, mu1=0.1, L1=10.0, L3=1.0, alpha=0.9, theta=1.3, n=1)
    assert found == pytest.approx(exact, rel=1e-4)


@pytest.mark.parametrize("gamma", [0.2, 0.7])
def test_bregman_proximal_gradient(gamma):
    file = "composite_convex_minimization.no_lips_in_function_value"
    found = value(ProximalGradient(gamma), RelativelySmooth(1.3), 3, "gap")
    assert found == pytest.approx(closed_form(file, L=1.3, gamma=gamma, n=3), rel=1e-4)
    assert value(MirrorDescent(gamma, "constant"), RelativelySmooth(1.3), 3, "gap") == pytest.approx(found, rel=1e-6)


def test_bregman_proximal_gradient_has_no_bound_beyond_its_range():
    assert value(ProximalGradient(1.05 / 1.3), RelativelySmooth(1.3), 3, "gap") == np.inf


def test_bregman_proximal_point():
    file = "composite_convex_minimization.bregman_proximal_point"
    found = value(ProximalGradient(0.7), RelativelySmooth(0.0), 3, "gap")
    assert found == pytest.approx(closed_form(file, gamma=0.7, n=3), rel=1e-4)
