"""The problems with content: agreement with CVXPY, true gaps, default step sizes, bad input."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import optlab
from optlab import datasets
from optlab.bregman import BurgEntropy, ShannonEntropy
from optlab.bregman.functions import AffineSet, Box, Hyperplane, LeastSquares, Simplex
from optlab.splitting import BregmanADMM, BregmanDouglasRachford, ExponentialMultipliers
from optlab.splitting.problems import (
    AbsolutePenaltyLeastSquares,
    BoxLeastSquares,
    ConvexFeasibility,
    HingePenaltyLeastSquares,
    InequalityLeastSquares,
    Lasso,
    MatrixGame,
    PoissonDeblurring,
    SparseLogisticRegression,
)
from optlab.splitting.problems.imaging import PoissonFit


def clarabel(objective, constraints=()):
    program = cp.Problem(cp.Minimize(objective), list(constraints))
    program.solve(solver="CLARABEL", tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
    return float(program.value)


def solution(problem, tol, method=None, max_iter=5000, **options):
    result = optlab.solve(problem, method or BregmanDouglasRachford(), tol=tol, max_iter=max_iter, **options)
    assert result.success, result.message
    return result


def least_squares(seed=0, m=25, n=12):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((m, n))
    return A, A[:, :4].sum(axis=1) + 0.3 * rng.standard_normal(m)


# ---------------------------------------------------------------------- regression


@pytest.mark.parametrize("shape", [(25, 12), (12, 25)])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_lasso_agrees_with_cvxpy(shape, share):
    A, b = least_squares(1, *shape)
    weight = share * Lasso.largest_weight(A, b)
    x = cp.Variable(shape[1])
    value = clarabel(0.5 * cp.sum_squares(A @ x - b) + weight * cp.norm1(x))
    result = solution(Lasso(A, b, weight), {"gap": 1e-9, "residual": 1e-8})
    assert result.metrics["objective"] == pytest.approx(value, abs=1e-8)
    np.testing.assert_allclose(result.solution, x.value, atol=1e-6)


def test_lasso_on_the_diabetes_data_agrees_with_cvxpy():
    A, b = datasets.diabetes()
    weight = 0.05 * Lasso.largest_weight(A, b)
    x = cp.Variable(10)
    clarabel(0.5 * cp.sum_squares(A @ x - b) + weight * cp.norm1(x))
    result = solution(Lasso(A, b, weight), {"gap": 1e-7, "residual": 1e-9})
    np.testing.assert_allclose(result.solution, x.value, atol=1e-6)


def test_lasso_is_zero_from_the_largest_weight_on():
    A, b = least_squares()
    result = solution(Lasso(A, b, 1.0001 * Lasso.largest_weight(A, b)), 1e-12)
    np.testing.assert_array_equal(np.asarray(result.solution), 0.0)
    below = solution(Lasso(A, b, 0.99 * Lasso.largest_weight(A, b)), 1e-10)
    assert np.any(below.solution != 0)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_logistic_regression_agrees_with_cvxpy(share):
    rng = np.random.default_rng(2)
    A = rng.standard_normal((30, 8))
    y = np.where(A[:, 0] - A[:, 1] + rng.standard_normal(30) > 0, 1.0, -1.0)
    weight = share * SparseLogisticRegression.largest_weight(A, y)
    x = cp.Variable(8)
    value = clarabel(cp.sum(cp.logistic(cp.multiply(-y, A @ x))) + weight * cp.norm1(x))
    result = solution(SparseLogisticRegression(A, y, weight), {"gap": 1e-9, "residual": 1e-8})
    assert result.metrics["objective"] == pytest.approx(value, abs=1e-8)
    np.testing.assert_allclose(result.solution, x.value, atol=1e-6)


@pytest.mark.slow
def test_logistic_regression_on_the_breast_cancer_data():
    A, y = datasets.breast_cancer()
    weight = 0.1 * SparseLogisticRegression.largest_weight(A, y)
    result = solution(SparseLogisticRegression(A, y, weight), {"relative_gap": 1e-4}, max_iter=1000)
    wrong = np.mean(np.sign(A @ result.solution) != y)
    assert wrong < 0.05


@pytest.mark.parametrize("step_size", [1e-12, 1e-3, 1e3, 1e12])
def test_regression_survives_extreme_step_sizes(step_size):
    for problem in _regressions():
        history = optlab.solve(problem, BregmanDouglasRachford(step_size), max_iter=3, record="all").history
        assert all(np.all(np.isfinite(history[name])) for name in ("gap", "objective", "residual"))


@settings(deadline=None, derandomize=True, max_examples=25)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.0, 3.0))
def test_regression_gaps_bound_the_true_error_at_any_point(seed, scale):
    x = scale * np.random.default_rng(seed).standard_normal(12)
    for problem in REGRESSIONS:
        metrics = problem.measure(x)
        assert metrics["gap"] >= metrics["objective"] - OPTIMA[problem] - 1e-9
        assert metrics["objective"] >= OPTIMA[problem] - 1e-9


def _regressions():
    A, b = least_squares()
    y = np.where(b > 0, 1.0, -1.0)
    return (
        Lasso(A, b, 2.0),
        SparseLogisticRegression(A, y, 1.0),
        BoxLeastSquares(A, b, -3.5, 0.4),
        BoxLeastSquares(A, b, -3.5, 0.4, kernel="euclidean"),
    )


REGRESSIONS = _regressions()[:2]
OPTIMA = {
    p: optlab.solve(p, BregmanDouglasRachford(), tol=1e-10, max_iter=5000).metrics["objective"] for p in REGRESSIONS
}


# ---------------------------------------------------------------------- box


@pytest.mark.parametrize("kernel", ["fermi-dirac", "euclidean"])
@pytest.mark.parametrize("shape", [(25, 12), (8, 12)])
def test_box_least_squares_agrees_with_cvxpy(kernel, shape):
    A, b = least_squares(4, *shape)
    lower, upper = -0.2 - 0.1 * np.arange(shape[1]), 0.5
    x = cp.Variable(shape[1])
    value = clarabel(0.5 * cp.sum_squares(A @ x - b), [x >= lower, x <= upper])
    problem = BoxLeastSquares(A, b, lower, upper, kernel=kernel)
    result = solution(problem, {"gap": 1e-10 if shape[0] > shape[1] else 1e-9, "residual": 1e-7})
    assert result.metrics["objective"] == pytest.approx(value, abs=1e-8)
    assert np.all(result.solution >= lower)
    assert np.all(result.solution <= upper)
    if shape[0] > shape[1]:  # otherwise the solution need not be unique
        np.testing.assert_allclose(result.solution, x.value, atol=1e-6)


# ---------------------------------------------------------------------- games


def test_game_agrees_with_linear_programming():
    game = MatrixGame(datasets.gaussian_game(6, 9, seed=3))
    value, x, y = game.reference_solution()
    result = solution(game, 1e-9, max_iter=1000)
    assert result.metrics["value_lower"] - 1e-12 <= value <= result.metrics["value_upper"] + 1e-12
    assert result.metrics["gap"] <= 1e-9
    assert game.measure(np.concatenate([x, y]))["gap"] < 1e-9
    own = game.strategies(result.solution)
    np.testing.assert_allclose(own[0], x, atol=1e-6)
    np.testing.assert_allclose(own[1], y, atol=1e-6)


def test_game_in_few_iterations():
    rock = MatrixGame(datasets.rock_paper_scissors(0.1, seed=1))
    assert solution(rock, 1e-9, BregmanDouglasRachford(10.0), 100).n_iter <= 30
    assert solution(rock, 1e-9, BregmanDouglasRachford(1.0), 1000).n_iter <= 400
    large = MatrixGame(datasets.gaussian_game(20, 30, seed=0))
    assert solution(large, 1e-8, BregmanDouglasRachford(30.0), 500).n_iter <= 500


def test_blotto_has_value_zero():
    result = solution(MatrixGame(datasets.blotto_game(5)), 1e-6)
    assert abs(result.metrics["value_upper"]) < 1e-6


@settings(deadline=None, derandomize=True, max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_game_bounds_hold_at_any_strategies(seed):
    rng = np.random.default_rng(seed)
    game = MatrixGame(rng.standard_normal((rng.integers(1, 5), rng.integers(1, 5))))
    value = game.reference_solution()[0]
    metrics = game.measure(rng.random(sum(game.M.shape)))
    assert metrics["value_lower"] - 1e-10 <= value <= metrics["value_upper"] + 1e-10


def test_constant_game_is_solved_at_the_start():
    assert optlab.solve(MatrixGame(np.full((2, 3), 7.0)), BregmanDouglasRachford(), tol=1e-12).n_iter == 0


# ---------------------------------------------------------------------- multipliers


def relations(seed=0):
    rng = np.random.default_rng(seed)
    A, b = rng.standard_normal((20, 6)), 3.0 * rng.standard_normal(20)
    return A, b, rng.standard_normal((9, 6)), 0.1 * rng.random(9)


@pytest.mark.parametrize("kind", [InequalityLeastSquares, HingePenaltyLeastSquares, AbsolutePenaltyLeastSquares])
@pytest.mark.parametrize("method", [BregmanADMM, ExponentialMultipliers])
def test_multiplier_problems_agree_with_cvxpy(kind, method):
    problem = kind(*relations())
    u, value = problem.reference_solution()
    if method is ExponentialMultipliers and kind is not InequalityLeastSquares:
        pytest.skip("the exponential multiplier method belongs to Shannon's entropy")
    result = solution(problem, 1e-9, method(), max_iter=2000)
    assert result.metrics["gap"] <= 1e-9
    np.testing.assert_allclose(result.solution.u, u, atol=1e-5)
    assert problem.dual_value(result.solution.multiplier) == pytest.approx(value, abs=1e-7)
    if kind is InequalityLeastSquares:
        assert result.metrics["constraint_violation"] < 1e-6


@settings(deadline=None, derandomize=True, max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_dual_values_are_lower_bounds(seed):
    problem, value = MULTIPLIERS
    w = np.random.default_rng(seed).exponential(1.0, 9)
    assert problem.dual_value(w) <= value + 1e-9


MULTIPLIERS = (InequalityLeastSquares(*relations()), InequalityLeastSquares(*relations()).reference_solution()[1])


# ---------------------------------------------------------------------- deblurring


@pytest.fixture(scope="module")
def photo():
    return datasets.blurred_photograph(size=12, photons=60.0, seed=3)


@pytest.mark.parametrize("boundary", ["reflective", "periodic"])
def test_deblurring_agrees_with_cvxpy(boundary):
    data = datasets.blurred_photograph(size=6, photons=60.0, boundary=boundary, width=0.8)
    d, beta = data.observation, data.background
    problem = PoissonDeblurring(d, data.blur, beta, weight=2.0)
    H = np.array([data.blur.apply(e.reshape(6, 6)).ravel() for e in np.eye(36)]).T
    x = cp.Variable(36)
    q = problem.prior.ravel()
    mean = H @ x + beta
    fit = cp.sum(mean) - d.ravel() @ cp.log(mean)
    prior = 2.0 * (cp.sum(x / q) - cp.sum(cp.log(x)) + np.sum(np.log(q)) - 36)
    program = cp.Problem(cp.Minimize(fit + prior))
    program.solve(solver="CLARABEL")
    result = solution(problem, 1e-10)
    np.testing.assert_allclose(np.ravel(result.solution), x.value, rtol=1e-3)
    # the interior-point solution is the less accurate one of the two
    own, other = result.metrics["objective"], problem.measure(x.value.reshape(6, 6))
    assert own <= other["objective"] + 1e-9
    assert other["objective"] - own <= other["gap"] + 1e-9


def test_deblurring_improves_the_image():
    data = datasets.blurred_photograph(size=48, photons=100.0, width=1.5)
    result = solution(PoissonDeblurring(data.observation, data.blur, data.background), 1e-5)
    before = np.linalg.norm(data.observation - data.background - data.image)
    after = np.linalg.norm(result.solution - data.image)
    assert after < 0.9 * before
    assert np.all(result.solution > 0)


def test_deblurring_resolvent_solves_its_equation(photo):
    fit = PoissonFit(photo.observation, photo.blur, photo.background)
    rng = np.random.default_rng(0)
    for step_size in (1e-12, 1e-3, 1.0, 1e3):
        mirror = -1.0 / (rng.random(photo.observation.shape) * 50 + 0.1)
        y = fit.resolvent(BurgEntropy(), mirror, step_size)
        slope = step_size * fit.gradient(-1.0 / y)
        scale = np.abs(y) + np.abs(mirror) + step_size * (1.0 + np.abs(slope) / step_size)
        assert np.max(np.abs(y + slope - mirror) / scale) < 1e-10


def test_deblurring_gap_is_positive_and_bounds_the_error(photo):
    problem = PoissonDeblurring(photo.observation, photo.blur, photo.background)
    best = solution(problem, 1e-9).metrics["objective"]
    rng = np.random.default_rng(1)
    for size in (1e-6, 1e-2, 1.0, 5.0):
        x = problem.default_start(rng) * np.exp(size * rng.standard_normal(problem.shape))
        metrics = problem.measure(x)
        assert metrics["gap"] >= metrics["objective"] - best - 1e-6


def test_deblurring_fit_is_relatively_smooth(photo):
    fit, kernel = PoissonFit(photo.observation, photo.blur, photo.background), BurgEntropy()
    constant = fit.relative_smoothness(kernel)[0]
    rng = np.random.default_rng(2)
    for _ in range(20):
        x, y = rng.exponential(20.0, (2, *photo.observation.shape)) + 0.01
        distance = fit.value(x) - fit.value(y) - float(np.sum(fit.gradient(y) * (x - y)))
        assert distance <= constant * kernel.divergence(x, y) + 1e-9


def test_deblurring_leaves_the_domain_at_large_step_sizes(photo):
    problem = PoissonDeblurring(photo.observation, photo.blur, photo.background)
    result = optlab.solve(problem, BregmanDouglasRachford(100 * problem.default_step_size), max_iter=50)
    assert result.status is optlab.Status.DIVERGED
    assert "range condition" in result.message


# ---------------------------------------------------------------------- feasibility


def affine(seed=0, n=20, m=4):
    rng = np.random.default_rng(seed)
    A, x = rng.random((m, n)), rng.random(n)
    return AffineSet(A, A @ (x / x.sum()))


@pytest.mark.parametrize("kernel", [None, ShannonEntropy()])
def test_feasibility_of_two_sets(kernel):
    problem = ConvexFeasibility([Simplex(), affine()], kernel)
    x = problem.point(solution(problem, 1e-8).solution)
    assert abs(x.sum() - 1) < 1e-7
    assert x.min() > -1e-7
    np.testing.assert_allclose(affine().A @ x, affine().b, atol=1e-7)


def test_feasibility_of_three_sets_is_in_all_of_them():
    sets = [Simplex(), Box(0.0, 0.12), affine()]
    problem = ConvexFeasibility(sets)
    result = solution(problem, 1e-8)
    x = problem.point(result.solution)
    assert x.shape == (20,)
    assert np.max(problem.distances(x)) == pytest.approx(result.metrics["distance"])
    assert x.max() < 0.12 + 1e-7
    warm = optlab.solve(problem, BregmanDouglasRachford(), x0=x, tol=1e-6)
    assert warm.n_iter <= 1


def test_distances_agree_with_cvxpy():
    problem = ConvexFeasibility([Simplex(), affine()])
    point = np.random.default_rng(0).standard_normal(20)
    x = cp.Variable(20)
    squares = [
        clarabel(cp.sum_squares(x - point), [x >= 0, cp.sum(x) == 1]),
        clarabel(cp.sum_squares(x - point), [affine().A @ x == affine().b]),
    ]
    np.testing.assert_allclose(problem.distances(point) ** 2, squares, rtol=1e-7)


def test_an_empty_intersection_is_not_declared_solved():
    problem = ConvexFeasibility([Simplex(), Hyperplane(np.ones(4), 2.0)])
    result = optlab.solve(problem, BregmanDouglasRachford(), tol=1e-6, max_iter=300)
    assert not result.success
    assert result.history["distance"].min() > 0.1


# ---------------------------------------------------------------------- all of them


def test_problems_do_not_change_their_data():
    A, b = least_squares()
    before = A.copy(), b.copy()
    for problem in _regressions():
        optlab.solve(problem, BregmanDouglasRachford(), max_iter=3)
    np.testing.assert_array_equal(A, before[0])
    np.testing.assert_array_equal(b, before[1])


ONES = np.ones((2, 2))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Lasso(ONES, [1.0], 1.0), ValueError, r"b must have shape \(2,\)"),
        (lambda: Lasso([[np.nan]], [1.0], 1.0), ValueError, r"A must be finite, got nan at index \[0, 0\]"),
        (lambda: Lasso(ONES, [1.0, 1.0], 0.0), ValueError, "weight must be a number above 0"),
        (lambda: Lasso(ONES, [1.0, 1.0], 1.0, reference=[1.0]), ValueError, "reference must have shape"),
        (lambda: SparseLogisticRegression(ONES, [0.0, 1.0], 1.0), ValueError, "labels must be -1 or 1"),
        (lambda: SparseLogisticRegression(None, [1.0], 1.0), TypeError, "A must be a matrix"),
        (lambda: BoxLeastSquares(ONES, [1.0, 1.0], 1.0, 0.0), ValueError, "lower must be below upper"),
        (lambda: BoxLeastSquares(ONES, [1.0, 1.0], 0.0, np.inf), ValueError, "upper must be finite"),
        (lambda: BoxLeastSquares(ONES, [1.0, 1.0], kernel="fermi"), ValueError, "did you mean 'fermi-dirac'"),
        (lambda: MatrixGame([1.0]), ValueError, "M must have 2 dimension"),
        (lambda: MatrixGame([[np.inf]]), ValueError, "M must be finite"),
        (lambda: InequalityLeastSquares(ONES, [1, 1], ONES, [1, 1]), ValueError, "A must have full column rank"),
        (lambda: InequalityLeastSquares(np.eye(2), [1, 1], [[1.0]], [1]), ValueError, "G must have as many columns"),
        (
            lambda: InequalityLeastSquares(np.eye(1), [1.0], [[1.0], [-1.0]], [-1.0, -1.0]),
            ValueError,
            "G u < d must have a solution",
        ),
        (
            lambda: HingePenaltyLeastSquares(np.eye(1), [1], [[1]], [1], weight=-1),
            ValueError,
            "weight must be a number",
        ),
        (lambda: PoissonDeblurring(-ONES, datasets.GaussianBlur(1.0)), ValueError, "observation must be non-negative"),
        (lambda: PoissonDeblurring(0 * ONES, datasets.GaussianBlur(1.0)), ValueError, "a count above 0 somewhere"),
        (lambda: PoissonDeblurring(ONES, "blur"), TypeError, "blur must have apply"),
        (lambda: PoissonDeblurring(ONES, datasets.GaussianBlur(1.0), -1.0), ValueError, "background must be"),
        (lambda: PoissonDeblurring(ONES, datasets.GaussianBlur(1.0), prior=0.0), ValueError, "prior must be positive"),
        (lambda: ConvexFeasibility([Simplex()]), ValueError, "at least two sets"),
        (
            lambda: ConvexFeasibility([Simplex(), LeastSquares(ONES, [1, 1])]),
            TypeError,
            r"sets\[1\] must be an indicator",
        ),
        (lambda: ConvexFeasibility([Simplex(), Simplex()]), ValueError, "shape must be given"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
