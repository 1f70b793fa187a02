"""PEPit's own example files: their closed forms, from our methods' steps."""

import importlib
from dataclasses import dataclass

import pytest

from optlab.core import Method, State
from optlab.splitting import BregmanDouglasRachford, HalpernDouglasRachford
from optlab.theory import CocoercivePair, ConvexPair, MonotonePair, SmoothConvex, worst_case

pytest.importorskip("PEPit")
from optlab.theory.scanning import _one


@dataclass
class Point(State):
    x: object


@dataclass(frozen=True)
class Descent(Method):
    step_size: float
    requires = ("gradient",)

    def init(self, problem, x0, rng):
        return Point(0, x0)

    def step(self, problem, state):
        return Point(state.k + 1, state.x - self.step_size * problem.gradient(state.x))

    def iterate(self, problem, state):
        return state.x


def closed_form(file, **arguments):
    name = file.rpartition(".")[2]
    return getattr(importlib.import_module(f"PEPit.examples.{file}"), f"wc_{name}")(**arguments, verbose=-1)[1]


def value(method, problem_class, k, metric):
    return worst_case(method, problem_class, k=k, metric=metric, confirm=False).value


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
    found = _one(gamma, 2 / gamma, SmoothConvex(1.0, 0.1))
    assert found == pytest.approx(closed_form(file, L=1.0, mu=0.1, gamma=gamma), rel=1e-4)
