"""What the residuals promise: their scale, which no unused datum can stretch, and that no term is ignored."""

import numpy as np
import pytest

import optlab
from optlab.bregman import ShannonEntropy, SquaredEuclidean
from optlab.bregman.functions import (
    AffineSet,
    Box,
    KullbackLeibler,
    L1Norm,
    LeastSquares,
    Linear,
    Simplex,
    SquaredDistance,
)
from optlab.bregman.operators import reflect
from optlab.bregman.projections import project_box
from optlab.splitting import (
    BregmanADMM,
    BregmanDouglasRachford,
    CompositeProblem,
    LinearlyConstrained,
    MonotoneInclusion,
    SplitPoint,
)
from optlab.splitting.constrained import BlockSolution
from optlab.splitting.problems import CappedSimplexProgram, ConvexFeasibility

E2 = SquaredEuclidean()


def test_the_scale_of_the_residuals_of_a_pair():
    problem = MonotoneInclusion(L1Norm(), SquaredDistance(np.zeros(2)), E2, shape=2)
    x, y = np.array([3.0, 4.0]), np.array([3.0, 4.6])
    a, b = np.array([1.0, -3.0]), np.array([0.5, 3.0])
    metrics = problem.measure(SplitPoint(x, y, a, b))
    assert metrics["primal_residual"] == pytest.approx(0.6 / (1 + 5))
    assert metrics["dual_residual"] == pytest.approx(1.5 / (1 + 1))  # s = (1.5, 0), scales (2, 4)
    assert metrics["residual"] == metrics["dual_residual"]
    # on the boundary of the domain only what points inside counts: x = 0 with s > 0 is a solution there
    orthant = MonotoneInclusion(L1Norm(), SquaredDistance(np.zeros(2)), ShannonEntropy(), shape=2)
    x, s = np.array([0.0, 2.0]), np.array([7.0, -0.5])
    metrics = orthant.measure(SplitPoint(x, x, s, np.zeros(2)))
    assert metrics["dual_residual"] == pytest.approx(0.5 / 1.5)


def test_the_scale_of_the_residuals_of_two_blocks():
    f, g = SquaredDistance(np.zeros(2)), SquaredDistance(np.zeros(2))
    problem = LinearlyConstrained(f, g, np.eye(2), -np.eye(2), np.array([0.0, 3.0]), E2)
    u, v = np.array([1.0, 5.0]), np.array([0.5, 2.0])
    w, half = np.array([1.0, 2.0]), np.array([1.0, 2.3])
    metrics = problem.measure(BlockSolution(u, v, w, half, w))
    assert metrics["primal_residual"] == pytest.approx(0.5 / (1 + 1))  # r = (0.5, 0), scales (2, 6)
    assert metrics["constraint_violation"] == metrics["primal_residual"]
    assert metrics["dual_residual"] == pytest.approx(0.3 / (1 + np.sqrt(5)))


@pytest.mark.parametrize("big", [1.0, 1e6, 1e10])
@pytest.mark.parametrize("step_size", [1.0, 1e-6])
@pytest.mark.parametrize("order", [0, 1])
def test_a_price_that_forbids_a_coordinate_excuses_no_error_in_the_others(big, step_size, order):
    cost = np.array([1.0, 2.0, 3.0, 5.0 * big])
    equations = AffineSet([[1.0, 1, 1, 1], [1, 2, 4, 1]], [1.0, 2.3])  # optimum 28/15 at (1.7, 0, 1.3, 0)/3
    terms = [(Box(0.0), equations + Linear(cost)), (equations, Box(0.0) + Linear(cost))][order]
    result = optlab.solve(CompositeProblem(*terms, E2), BregmanDouglasRachford(step_size), tol=1e-6, max_iter=3000)
    if result.success:
        point = np.asarray(result.solution)
        np.testing.assert_allclose(point, [1.7 / 3, 0, 1.3 / 3, 0], atol=1e-4)


def test_a_bound_that_is_not_active_excuses_no_violation_of_the_others():
    f = SquaredDistance(np.array([2.0, 2.0]))
    problem = LinearlyConstrained(f, None, None, None, np.array([1.0, 1e12]), ShannonEntropy())
    w = np.array([0.5, 0.0])
    # u = (1.5, 2) violates the first bound by 1/2
    metrics = problem.measure(BlockSolution(np.array([1.5, 2.0]), np.zeros(0), w, w, np.log(w + 1e-300)))
    assert metrics["constraint_violation"] == pytest.approx(0.5 / 2.5)
    result = optlab.solve(problem, BregmanADMM(1.0), tol=1e-6, max_iter=5000)
    assert not result.success or abs(result.solution.u[0] - 1) < 1e-4


# ---------------------------------------------------------------------- terms


class ThreeTerms(CompositeProblem):
    def __init__(self, f, g, s, kernel, **options):
        self.s = s
        super().__init__(f, g, kernel, **options)

    def objective(self, x):
        return super().objective(x) + self.s.value(x)


def test_a_third_term_is_refused_rather_than_ignored():
    problem = ThreeTerms(L1Norm(), Box(0.0, 1.0), SquaredDistance(np.array([3.0, 0.5])), E2, shape=2)
    with pytest.raises(TypeError, match=r"ThreeTerms.objective .* a third one would be ignored"):
        optlab.solve(problem, BregmanDouglasRachford(1.0), tol=1e-8)


def test_the_same_objective_in_other_words_says_so():
    class Said(ThreeTerms):
        objective_terms = ("f", "g")

        def objective(self, x):
            return float(self.f.value(x) + self.g.value(x))

    problem = Said(L1Norm(), Box(0.0, 1.0), None, E2, shape=2)
    assert optlab.solve(problem, BregmanDouglasRachford(1.0), tol=1e-8).success

    class Again(Said):  # what a class says holds for its own objective, not for one written over it
        def objective(self, x):
            return super().objective(x) + 1.0

    with pytest.raises(TypeError, match=r"Again.objective"):
        optlab.solve(Again(L1Norm(), Box(0.0, 1.0), None, E2, shape=2), BregmanDouglasRachford(1.0))
    assert optlab.solve(CappedSimplexProgram([3.0, 1.0, 2.0], 0.6), BregmanDouglasRachford(), tol=1e-6).success


def test_an_unpenalised_intercept_is_a_weight_of_zero():
    rng = np.random.default_rng(0)
    A = np.column_stack([np.ones(30), rng.standard_normal((30, 3))])
    b = 5.0 + 0.01 * rng.standard_normal(30)
    weight = np.array([0.0, 50.0, 50.0, 50.0])
    problem = CompositeProblem(L1Norm(weight), LeastSquares(A, b), E2)
    result = optlab.solve(problem, BregmanDouglasRachford(0.1), tol=1e-10, max_iter=5000)
    np.testing.assert_allclose(result.solution.y, [b.mean(), 0, 0, 0], atol=1e-8)
    with pytest.raises(ValueError, match=r"weight must be non-negative, got -1"):
        L1Norm([1.0, -1.0])
    with pytest.raises(ValueError, match=r"weight must be positive"):
        KullbackLeibler(1.0, [1.0, 0.0])


# ---------------------------------------------------------------------- clear errors


def test_a_large_cost_on_the_simplex_has_a_projection():
    for cost in ([1e16, 2e16], [1e9, 2e9]):
        problem = CompositeProblem(Simplex(), Linear(cost), E2)
        result = optlab.solve(problem, BregmanDouglasRachford(1.0), max_iter=50)
        assert np.asarray(result.solution.y).tolist() == [1.0, 0.0]
    from optlab.bregman import SimplexEntropy
    from optlab.bregman.functions import Zero

    problem = CompositeProblem(Zero(), Linear([1e16, 2e16]), SimplexEntropy())
    assert np.isfinite(optlab.solve(problem, BregmanDouglasRachford(1.0), max_iter=5).metrics["residual"])


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: Box(np.inf, np.inf), ValueError, "lower must be below inf"),
        (lambda: Box([0.0, -np.inf], [1.0, -np.inf]), ValueError, "upper above -inf"),
        (lambda: project_box([1.0], np.inf, np.inf), ValueError, "lower must be below inf"),
        (lambda: reflect(None, [1.0], [1.0]), TypeError, "kernel must be a Legendre"),
        (lambda: reflect(E2, "mirror", [1.0]), TypeError, "mirror must hold real numbers"),
        (lambda: reflect(E2, [1.0], [1.0, 2.0]), ValueError, "resolved must have the shape of mirror"),
        (lambda: ConvexFeasibility(3), TypeError, "sets must be a sequence"),
        (lambda: optlab.bregman.functions.Sum(3), TypeError, "terms must be a sequence"),
        (lambda: optlab.bregman.functions.BlockSum((Box(),), 3), TypeError, "sizes must be a sequence"),
        (lambda: optlab.datasets.blotto_game(10**6, 50), ValueError, "at most"),
    ],
)
def test_hostile_arguments_are_named(call, error, match):
    with pytest.raises(error, match=match):
        call()
