"""Free intercepts of the problems: every compiled loop against a column of ones, brute force, and certificates."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import minimize

import optlab
from optlab.stochastic import (
    NGN,
    SAGA,
    SVRG,
    Adam,
    Averaged,
    LeastSquares,
    LogisticRegression,
    SigmoidLeastSquares,
    SoftmaxRegression,
    StochasticProximalPoint,
    TanhLeastSquares,
)

RNG = np.random.default_rng(0)
A = RNG.standard_normal((60, 5)) * (RNG.random((60, 5)) < 0.6)
NOISY = A @ np.ones(5) + 7.0 + RNG.standard_normal(60)
SIGNS = np.where(A @ RNG.standard_normal(5) + 1.5 + RNG.standard_normal(60) > 0, 1.0, -1.0)
LABELS = RNG.integers(0, 3, 60)
TARGETS = {
    LeastSquares: NOISY,
    LogisticRegression: SIGNS,
    SoftmaxRegression: LABELS,
    SigmoidLeastSquares: (SIGNS + 1) / 2,
    TanhLeastSquares: SIGNS,
}
CONVEX = (LeastSquares, LogisticRegression, SoftmaxRegression)
METHODS = {
    "NGN": NGN(0.3),
    "NGN batch": NGN(0.3, batch_size=7),
    "NGN momentum": NGN(0.3, momentum=0.9),
    "average": Averaged(NGN(0.3)),
    "linear average of batches": Averaged(NGN(0.3, batch_size=4), weights="linear"),
    "SAGA": SAGA(),
    "SAGA batch": SAGA(batch_size=3),
    "SVRG": SVRG(),
    "SVRG batch": SVRG(batch_size=4),
    "average of SAGA": Averaged(SAGA()),
    "average of SVRG": Averaged(SVRG(), start=20),
    "proximal": Averaged(StochasticProximalPoint(0.7)),
    "Adam": Adam(0.1),
}


@pytest.mark.parametrize("cls", TARGETS)
@pytest.mark.parametrize("wrap", [np.asarray, sp.csr_matrix])
def test_gradients(cls, wrap):
    problem = cls(wrap(A), TARGETS[cls], 0.1, intercept=True)
    assert problem.shape[0] == 6
    assert problem.check_gradient() < 1e-6
    x = np.random.default_rng(1).standard_normal(problem.shape)
    _, gradient = problem.objective_and_gradient(x)
    np.testing.assert_allclose(problem.gradients(x).mean(axis=0), gradient, atol=1e-12)
    np.testing.assert_allclose(problem.gradient(x, problem.all_rows), gradient, atol=1e-12)
    y = x + 0.01
    change = (problem.gradients(x) - problem.gradients(y)).reshape(60, -1)
    assert np.all(np.linalg.norm(change, axis=1) <= problem.smoothness * np.linalg.norm(x - y) * (1 + 1e-6))


@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("cls", CONVEX)
def test_compiled_loops_agree(cls, name, l2):
    if cls is SoftmaxRegression and name == "proximal":
        pytest.skip("linear models only")
    method, target = METHODS[name], TARGETS[cls]

    def run(problem, **options):
        return optlab.solve(problem, method, max_iter=300, seed=1, **options).solution

    dense, sparse = cls(A, target, l2, intercept=True), cls(sp.csr_matrix(A), target, l2, intercept=True)
    found = run(dense)
    np.testing.assert_allclose(run(sparse), found, rtol=1e-9, atol=1e-11)
    np.testing.assert_array_equal(run(sparse, record=7), run(sparse))  # however the run is cut into calls
    np.testing.assert_array_equal(run(dense, record=7), found)
    if l2 == 0:  # without ridge an intercept is a feature that is always 1
        ones = cls(np.hstack([A, np.ones((60, 1))]), target)
        np.testing.assert_allclose(run(ones), found, rtol=1e-9, atol=1e-11)
    small = cls(sp.csr_matrix(A.astype(np.float32)), target, l2, intercept=True)
    assert run(small).dtype == np.float32


@pytest.mark.parametrize("wrap", [np.asarray, sp.csr_matrix])
def test_ngn_step_by_step(wrap):
    sigma, l2, x = 2.0, 0.1, np.zeros(6)
    for k in range(100):
        i = k % 60
        z = A[i] @ x[:5] + x[5]
        loss = np.log1p(np.exp(-SIGNS[i] * z)) + 0.5 * l2 * x[:5] @ x[:5]
        slope = -SIGNS[i] / (1 + np.exp(SIGNS[i] * z))
        gradient = np.append(slope * A[i] + l2 * x[:5], slope)
        x = x - sigma / (1 + sigma * (gradient @ gradient) / (2 * loss)) * gradient
    problem = LogisticRegression(wrap(A), SIGNS, l2, intercept=True)
    result = optlab.solve(problem, NGN(sigma, sampling="sequential"), max_iter=100)
    np.testing.assert_allclose(result.solution, x, atol=1e-13)


@pytest.mark.parametrize("cls", [LeastSquares, LogisticRegression])
@pytest.mark.parametrize("wrap", [np.asarray, sp.csr_matrix])
def test_a_proximal_step(cls, wrap):
    problem = cls(wrap(A), TARGETS[cls], 0.1, intercept=True)
    start = np.random.default_rng(2).standard_normal(6)
    row = np.array([0])

    def model(u):
        gradient = problem.gradient(u, row) + (u - start) / 0.7
        return problem.losses(u, row)[0] + np.sum((u - start) ** 2) / 1.4, gradient

    best = minimize(model, start, jac=True, method="BFGS", options={"gtol": 1e-11}).x
    step = optlab.solve(problem, StochasticProximalPoint(0.7, sampling="sequential"), x0=start, max_iter=1).solution
    np.testing.assert_allclose(step, best, atol=1e-9)


@pytest.mark.parametrize("cls", CONVEX)
@pytest.mark.parametrize("l2", [0.0, 1e-3, 0.1])
def test_certificates(cls, l2):
    problem, sparse = (cls(wrap(A), TARGETS[cls], l2, intercept=True) for wrap in (np.asarray, sp.csr_matrix))
    best = minimize(
        lambda w: tuple(np.ravel(v) for v in problem.objective_and_gradient(w.reshape(problem.shape))),
        np.zeros(problem.size),
        jac=True,
        method="BFGS",
        options={"gtol": 1e-9},
    )
    value = float(np.squeeze(best.fun))
    assert abs(problem.f_star - value) < 1e-12
    assert abs(sparse.f_star - value) < 1e-12
    if l2 == 0:
        return
    for size in (10.0, 1.0, 1e-1, 1e-3, 1e-5):
        for seed in range(3):
            x = best.x + size * np.random.default_rng(seed).standard_normal(problem.size)
            row = problem.measure(x.reshape(problem.shape))
            assert row["duality_gap"] >= row["gap"] * (1 - 1e-7) - 1e-15
            assert row["duality_gap"] == pytest.approx(sparse.measure(x.reshape(problem.shape))["duality_gap"])
            if size <= 1e-3:  # balanced by a step of the intercept, and then ||grad||^2 / (2 l2)
                assert row["duality_gap"] <= np.linalg.norm(
                    problem.objective_and_gradient(x.reshape(problem.shape))[1]
                ) ** 2 * (1 / (2 * l2) + 60)


def test_the_certificate_where_a_class_is_missing_is_the_objective():
    problem = LogisticRegression(A, np.ones(60), 0.1, intercept=True, f_star=None)
    for b in (0.0, 5.0, 40.0):
        row = problem.measure(np.append(np.zeros(5), b))
        assert row["duality_gap"] == pytest.approx(row["objective"])  # the infimum is 0, at an infinite intercept


def test_variance_reduction_reaches_the_optimum():
    problem = LogisticRegression(A, SIGNS, 0.1, intercept=True)
    for method in (SAGA(), SVRG()):
        result = optlab.solve(problem, method, max_iter=6000, tol={"duality_gap": 1e-14}, seed=0)
        assert result.success


def test_a_large_intercept():
    problem = LeastSquares(A, NOISY + 1e6, 0.1, intercept=True)
    assert problem.objective(optlab.solve(problem, SAGA(), max_iter=20_000, seed=0).solution) == pytest.approx(
        LeastSquares(A, NOISY, 0.1, intercept=True).f_star, rel=1e-6
    )
    with pytest.raises(TypeError, match="intercept must be True or False, got int"):
        LeastSquares(A, NOISY, intercept=1)


def test_a_run_from_the_optimum_has_not_diverged():
    """Its gap starts at the size of rounding, and any step of a noisy method is ten decades above that."""
    problem = LeastSquares(A, NOISY, 0.1, intercept=True)
    best = optlab.solve(problem, SAGA(), max_iter=20_000, seed=0)
    assert best.metrics["gap"] < 1e-12
    result = optlab.solve(problem, NGN(10.0), x0=best, max_iter=200, seed=0)
    assert str(result.status) == "max_iter"


def test_a_gap_is_never_zero_by_luck():
    problem = LogisticRegression(A, SIGNS, 0.1)
    result = optlab.solve(problem, SAGA(), max_iter=20_000, tol=1e-30, seed=0)
    assert not result.success
    assert 0 < result.metrics["gap"] < 1e-14
    wrong = LogisticRegression(A, SIGNS, 0.1, f_star=0.7)  # above the minimum: the gap does not vanish below it
    assert wrong.measure(result.solution)["gap"] == pytest.approx(0.7 - result.metrics["objective"])
