"""Problems made of problems: the dual's value is minus the primal's, and every way back leads to the solution."""

import cvxpy as cp
import numpy as np
import pytest
from test_composite_problems import Descent

import optlab
from optlab.bregman import ShannonEntropy
from optlab.bregman.functions import (
    Box,
    Hyperplane,
    L1Norm,
    L2Norm,
    LeastSquares,
    Simplex,
    SquaredDistance,
    TotalVariation,
)
from optlab.composite import CompositeProblem, DualProblem, LiftedProblem
from optlab.linalg import FiniteDifferences
from optlab.splitting import BregmanDouglasRachford

rng = np.random.default_rng(0)
b = rng.standard_normal(12)
A = rng.standard_normal((15, 12))
y = rng.standard_normal(15)
image = rng.standard_normal((5, 4))


def solved(build, shape):
    u = cp.Variable(shape)
    value, constraints = build(u)
    problem = cp.Problem(cp.Minimize(value), constraints)
    problem.solve(solver=cp.CLARABEL)
    return problem.value, u.value


DENOISING = {
    "signal": (
        CompositeProblem(SquaredDistance(b), 0.4 * L1Norm() @ FiniteDifferences(12)),
        lambda u: (0.5 * cp.sum_squares(u - b) + 0.4 * cp.norm1(cp.diff(u)), []),
    ),
    "image": (
        CompositeProblem(SquaredDistance(image), TotalVariation(0.3) @ FiniteDifferences((5, 4))),
        lambda u: (0.5 * cp.sum_squares(u - image) + 0.3 * cp.tv(u), []),
    ),
    "fused": (
        CompositeProblem(SquaredDistance(b), 0.4 * L1Norm() @ FiniteDifferences(12), 0.2 * L1Norm()),
        lambda u: (0.5 * cp.sum_squares(u - b) + 0.4 * cp.norm1(cp.diff(u)) + 0.2 * cp.norm1(u), []),
    ),
    "regression": (
        CompositeProblem(SquaredDistance(b), L2Norm(0.7) @ A),
        lambda u: (0.5 * cp.sum_squares(u - b) + 0.7 * cp.norm2(A @ u), []),
    ),
}


def isotropic(u):
    """The total variation of the library: one-sided differences are 0 at the edge."""
    down = cp.vstack([cp.diff(u, axis=0), np.zeros((1, 4))])
    right = cp.hstack([cp.diff(u, axis=1), np.zeros((5, 1))])
    return cp.sum(cp.norm(cp.vstack([cp.vec(down, order="C"), cp.vec(right, order="C")]), 2, axis=0))


DENOISING["image"] = (DENOISING["image"][0], lambda u: (0.5 * cp.sum_squares(u - image) + 0.3 * isotropic(u), []))


@pytest.mark.parametrize("name", DENOISING)
def test_the_dual_solved_by_gradients_gives_the_primal(name):
    problem, build = DENOISING[name]
    best, point = solved(build, problem.shape)
    dual = problem.dual()
    assert isinstance(dual, DualProblem)
    result = optlab.solve(dual, Descent(), max_iter=8000, record=[8000])
    assert -dual.objective(np.asarray(result.solution)) == pytest.approx(best, abs=1e-6)
    x = dual.primal_solution(result.solution)
    np.testing.assert_allclose(x, point, atol=2e-4)
    assert problem.objective(x) >= best - 1e-7


@pytest.mark.parametrize("name", DENOISING)
def test_the_lifted_problem_solved_by_splitting_gives_the_primal(name):
    problem, build = DENOISING[name]
    best, point = solved(build, problem.shape)
    if name == "fused":
        problem = CompositeProblem(SquaredDistance(b) + 0.2 * L1Norm(), 0.4 * L1Norm() @ FiniteDifferences(12))
    lifted = problem.lifted()
    assert isinstance(lifted, LiftedProblem)
    result = optlab.solve(lifted, BregmanDouglasRachford(), tol={"residual": 1e-10}, max_iter=20_000)
    assert result.success
    x = lifted.primal_solution(result.solution)
    assert x.shape == problem.shape
    np.testing.assert_allclose(x, point, atol=1e-4)
    assert problem.objective(x) == pytest.approx(best, abs=1e-6)


def test_a_dual_without_a_smooth_conjugate_asks_for_dual_variables():
    problem = CompositeProblem(L1Norm(0.5), LeastSquares(A, y))
    dual = problem.dual()
    result = optlab.solve(problem, BregmanDouglasRachford(0.1), tol=1e-10)
    theta = A @ np.asarray(result.solution) - y
    assert -dual.objective(theta * (1 - 1e-7)) == pytest.approx(result.metrics["objective"], rel=1e-5)
    with pytest.raises(TypeError, match=r"pass Result\.solution"):
        dual.primal_solution(theta)


def test_regularized_and_constrained():
    problem = CompositeProblem(LeastSquares(A, y), 0.5 * L1Norm())
    ridge = problem.regularized(2.0, center=b)
    x = rng.standard_normal(12)
    assert ridge.objective(x) == pytest.approx(problem.objective(x) + np.sum((x - b) ** 2), rel=1e-13)
    assert ridge.source is problem
    np.testing.assert_array_equal(ridge.primal_solution(x), x)
    smooth = CompositeProblem(LeastSquares(A, y))
    boxed = smooth.constrained(lower=0.0, upper=0.2)
    result = optlab.solve(boxed, Descent(), tol=1e-9, max_iter=20_000)
    best, point = solved(lambda u: (0.5 * cp.sum_squares(A @ u - y), [u >= 0, u <= 0.2]), 12)
    assert result.success
    np.testing.assert_allclose(result.solution, point, atol=1e-4)
    assert result.metrics["objective"] == pytest.approx(best, abs=1e-6)
    assert [term.name for term in problem.constrained(Simplex()).terms][-1] == "Simplex"
    with_term = smooth.regularized(0.3 * L1Norm())
    assert [term.name for term in with_term.terms] == ["LeastSquares", "L1Norm"]


ON_THE_ORTHANT = CompositeProblem(Simplex(), Hyperplane(np.ones(3), 1.0), kernel=ShannonEntropy())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p.regularized(0.0), "term must be a number above 0"),
        (lambda p: p.regularized(L1Norm(), center=b), "center goes with a number"),
        (lambda p: p.constrained(), "there must be a set"),
        (lambda p: p.constrained(L1Norm()), "must be the indicator"),
        (lambda p: p.lifted(), "nothing to lift"),
        (lambda p: CompositeProblem(LeastSquares(A, y)).dual(), "at least two terms"),
        (
            lambda p: CompositeProblem(Simplex(), Hyperplane(np.ones(3), 1.0), kernel=ShannonEntropy()).dual(),
            "Euclidean",
        ),
    ],
)
def test_what_cannot_be_made_is_said(make, message):
    problem = CompositeProblem(SquaredDistance(b), Box(0.0))
    with pytest.raises((TypeError, ValueError), match=message):
        make(problem)
