"""Monotone inclusions and composite problems: what they accept, and that their measures are honest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import optlab
from optlab.bregman import FermiDirac, Hellinger, LogDeterminant, ShannonEntropy, SimplexEntropy, SquaredEuclidean
from optlab.bregman.functions import (
    Box,
    KullbackLeibler,
    L1Norm,
    Linear,
    Quadratic,
    Simplex,
    SkewGame,
    SquaredDistance,
)
from optlab.composite.domains import project_closure, project_simplex, support
from optlab.core import DomainError
from optlab.splitting import BregmanDouglasRachford, CompositeProblem, MonotoneInclusion, SplitPoint

Q = np.array([1.0, 2.0, 1.0])


def simplex_problem(**options) -> CompositeProblem:
    return CompositeProblem(Simplex(), KullbackLeibler(Q), ShannonEntropy(), **options)


# ---------------------------------------------------------------------- operators


class OwnTerm:
    """A user's own object: <c, x> with its Bregman resolvent."""

    def __init__(self, c):
        self.c = c

    def resolvent(self, kernel, mirror, step_size):
        return mirror - step_size * self.c


def test_terms_own_objects_and_callables_give_the_same_iteration():
    c, method = np.array([0.3, -0.2, 0.5]), BregmanDouglasRachford(0.7)
    kernel = ShannonEntropy()
    forms = [Linear(c), OwnTerm(c), lambda mirror, step_size: mirror - step_size * c]
    problems = [MonotoneInclusion(Simplex(), form, kernel, shape=3) for form in forms]
    solutions = [optlab.solve(problem, method, max_iter=15).solution for problem in problems]
    np.testing.assert_array_equal(solutions[0], solutions[1])
    np.testing.assert_array_equal(solutions[0], solutions[2])


def test_a_monotone_operator_that_is_no_subdifferential():
    payoff = np.array([[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]])

    def two_simplices(mirror, step_size):
        blocks = mirror.reshape(2, 3)
        return (blocks - np.log(np.exp(blocks).sum(1, keepdims=True))).ravel()

    problem = MonotoneInclusion(SkewGame(payoff), two_simplices, ShannonEntropy())
    assert problem.shape == (6,)
    start = np.array([0.6, 0.3, 0.1, 0.2, 0.2, 0.6])
    result = optlab.solve(problem, BregmanDouglasRachford(3.0), x0=start, tol=1e-9, max_iter=500)
    assert result.success
    np.testing.assert_allclose(result.solution, 1 / 3, atol=1e-7)


@pytest.mark.parametrize(
    ("kwargs", "error", "match"),
    [
        ({"A": 3.0}, TypeError, "A must be a term"),
        ({"B": "simplex"}, TypeError, "B must be a term"),
        ({"kernel": None}, TypeError, "kernel must be a Legendre function"),
        ({"shape": 0}, TypeError, "shape"),
        ({"shape": 2.5}, TypeError, "shape"),
        ({"default_step_size": -1.0}, ValueError, "default_step_size must be a number above 0"),
        ({"reference": [1.0, np.nan, 0.0]}, ValueError, "reference must be finite, got nan at index"),
        ({"reference": [1.0, 0.0], "shape": 3}, ValueError, "reference must have shape"),
    ],
)
def test_bad_inclusions(kwargs, error, match):
    arguments = {"A": Simplex(), "B": Linear(np.ones(3)), "kernel": ShannonEntropy(), **kwargs}
    if kwargs.get("shape") == 0:
        error = ValueError
        match = "shape"
    with pytest.raises(error, match=match):
        MonotoneInclusion(arguments.pop("A"), arguments.pop("B"), arguments.pop("kernel"), **arguments)


def test_a_shape_that_nothing_shows_is_asked_for():
    with pytest.raises(ValueError, match="shape must be given"):
        MonotoneInclusion(Simplex(), L1Norm(), ShannonEntropy())


@pytest.mark.parametrize(
    ("x0", "error", "match"),
    [
        ([0.5, 0.5], ValueError, r"x0 must have shape \(3,\), got|x0 must have shape"),
        ([0.5, 0.0, 0.5], DomainError, r"x0 must lie in the domain of ShannonEntropy\(\).*index \[1\]"),
        ([0.5, -1.0, 0.5], DomainError, r"index \[1\]"),
        ([0.5, np.nan, 0.5], ValueError, r"x0 must be finite, got nan at index \[1\]"),
    ],
)
def test_bad_starts(x0, error, match):
    with pytest.raises(error, match=match):
        optlab.solve(simplex_problem(), BregmanDouglasRachford(), x0=x0)


def test_starts_may_be_arrays_solutions_and_results():
    problem, method = simplex_problem(), BregmanDouglasRachford(1.0)
    first = optlab.solve(problem, method, x0=[0.2, 0.2, 0.6], max_iter=5)
    for start in (first.solution, np.array(first.solution), first):
        again = optlab.solve(problem, method, x0=start, tol=1e-11)
        assert again.success
        np.testing.assert_allclose(again.solution, Q / 4, atol=1e-9)


def test_a_solution_that_underflowed_to_the_boundary_can_be_a_start():
    problem = CompositeProblem(Simplex(), Linear(np.array([0.0, 1.0])), ShannonEntropy())
    far = optlab.solve(problem, BregmanDouglasRachford(1e4), max_iter=20)
    assert far.solution[1] == 0.0
    again = optlab.solve(problem, BregmanDouglasRachford(1.0), x0=far.solution, max_iter=3)
    np.testing.assert_array_equal(again.solution, [1.0, 0.0])


def test_default_step_size_is_the_proven_one_where_known():
    assert simplex_problem().default_step_size == 1.0
    assert CompositeProblem(Simplex(), KullbackLeibler(Q, 4.0), ShannonEntropy()).default_step_size == 0.25
    assert CompositeProblem(Simplex(), SquaredDistance(Q), ShannonEntropy()).default_step_size == 1.0
    assert simplex_problem(default_step_size=7.0).default_step_size == 7.0


# ---------------------------------------------------------------------- measures


def test_residual_vanishes_at_the_solution_only():
    problem = simplex_problem(reference=Q / 4)
    solution = problem.measure(Q / 4)
    assert solution["residual"] < 1e-14
    assert solution["distance"] < 1e-15
    for x in (np.array([0.3, 0.4, 0.3]), np.full(3, 1 / 3), np.array([0.25, 0.5, 0.2501])):
        apart = np.linalg.norm(x - Q / 4)
        assert problem.measure(x)["residual"] > 0.05 * apart


def test_residual_vanishes_at_a_solution_on_the_boundary():
    # a linear program: s = a + b does not vanish there, but it is normal to the domain
    cost = np.array([0.0, 1.0, 2.0])
    problem = CompositeProblem(Simplex(), Linear(cost), ShannonEntropy(), optimum=0.0)
    result = optlab.solve(problem, BregmanDouglasRachford(1.0), max_iter=60)
    s = result.solution.a + result.solution.b
    assert np.max(np.abs(s)) > 0.5
    assert result.metrics["residual"] < 1e-12
    assert abs(result.metrics["suboptimality"]) < 1e-12
    # and it is no free pass: the same point is no solution for another cost
    assert (
        CompositeProblem(Simplex(), Linear(cost[::-1]), ShannonEntropy()).measure(result.solution.view(np.ndarray))[
            "residual"
        ]
        > 0.1
    )


@settings(deadline=None, derandomize=True, max_examples=40)
@given(arrays(float, 4, elements=st.floats(0.01, 10)), st.floats(0.05, 20))
def test_operator_values_belong_to_their_operators(start, step_size):
    rng = np.random.default_rng(1)
    root = rng.normal(size=(4, 4))
    g, kernel = Quadratic(root @ root.T, rng.normal(size=4)), ShannonEntropy()
    problem = CompositeProblem(KullbackLeibler(np.ones(4)), g, kernel)
    result = optlab.solve(problem, BregmanDouglasRachford(step_size, 1.4), x0=start, max_iter=4)
    point = result.solution
    np.testing.assert_allclose(point.b, g.gradient(np.asarray(point)), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(point.a, np.log(point.y), rtol=1e-6, atol=1e-6)


def test_objective_reads_each_function_where_it_is_finite():
    problem = CompositeProblem(Box(0.0, 1.0), SquaredDistance(np.array([2.0, 0.5])), SquaredEuclidean(), optimum=0.5)
    history = optlab.solve(problem, BregmanDouglasRachford(1.0), tol=1e-12).history
    assert np.all(np.isfinite(history["objective"]))
    np.testing.assert_allclose(history["suboptimality"][-1], 0.0, atol=1e-9)


def test_a_dual_bound_makes_the_gap_a_certificate():
    # min KL(x | Q) over the simplex: dual value from b in dg(x) through g*(b) = sum Q (e^b - 1) and max on the simplex
    def dual_bound(point):
        b = point.b
        return float(np.min(b) - np.sum(Q * np.expm1(b)))

    problem = simplex_problem(dual_bound=dual_bound)
    assert problem.primary_metric == "gap"
    optimum = KullbackLeibler(Q).value(Q / 4)
    result = optlab.solve(problem, BregmanDouglasRachford(0.3), tol=1e-10, record="all")
    assert result.success
    gaps = result.history["gap"]
    assert np.all(gaps >= -1e-12)
    final = result.solution
    assert problem.objective(final.y) - optimum <= gaps[-1] + 1e-12
    assert dual_bound(final) <= optimum + 1e-12


def test_hooks_are_checked():
    with pytest.raises(TypeError, match="dual_bound must be callable"):
        simplex_problem(dual_bound=3.0)
    with pytest.raises(TypeError, match="f must have value"):
        CompositeProblem(lambda mirror, step: mirror, Linear(Q), ShannonEntropy())
    infinite = simplex_problem(dual_bound=lambda point: -np.inf)
    with pytest.raises(ValueError, match="dual_bound must return a finite lower bound"):
        infinite.measure(np.full(3, 1 / 3))


def test_solutions_behave_as_arrays():
    point = optlab.solve(simplex_problem(), BregmanDouglasRachford(), max_iter=3).solution
    assert isinstance(point, SplitPoint)
    assert type(point + 1) is np.ndarray
    assert isinstance(point.sum(), float)
    assert point[:2].y is None


# ---------------------------------------------------------------------- domains


def test_projection_onto_the_closure_of_each_domain():
    x = np.array([-2.0, 0.5, 3.0])
    np.testing.assert_array_equal(project_closure(SquaredEuclidean(), x), x)
    np.testing.assert_array_equal(project_closure(ShannonEntropy(), x), [0, 0.5, 3])
    np.testing.assert_array_equal(project_closure(FermiDirac(), x), [0, 0.5, 1])
    np.testing.assert_array_equal(project_closure(Hellinger(2.0), x), [-2, 0.5, 2])
    np.testing.assert_allclose(project_closure(SimplexEntropy(), x), [0, 0, 1])
    matrix = project_closure(LogDeterminant(), np.diag([-1.0, 2.0]))
    np.testing.assert_allclose(matrix, np.diag([0.0, 2.0]), atol=1e-15)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(arrays(float, 5, elements=st.floats(-10, 10)))
def test_simplex_projection_is_optimal(x):
    p = project_simplex(x, 2.0)
    assert np.all(p >= 0)
    assert p.sum() == pytest.approx(2.0)
    # variational inequality over the vertices
    assert np.all((x - p) @ (2.0 * np.eye(5) - p).T <= 1e-9)


def test_support_functions_agree_with_their_definition():
    rng = np.random.default_rng(2)
    r = rng.normal(size=4)
    for kernel in (FermiDirac(), FermiDirac(-1.0, 3.0), Hellinger(2.0), SimplexEntropy(3.0)):
        value, forbidden = support(kernel, r)
        candidates = [
            project_closure(kernel, 100 * d) for d in [*np.eye(4), *-np.eye(4), r, *rng.normal(size=(500, 4))]
        ]
        best = max(float(w @ r) for w in candidates)
        assert best <= value + 1e-12
        assert best == pytest.approx(value)
        assert not forbidden.any()
