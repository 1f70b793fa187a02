"""Smooth terms that come without a Hessian: their resolvents are found, or it is said what is missing."""

import numpy as np
import pytest
from scipy.special import expit, logsumexp, softmax

import optlab
from optlab.bregman import ResolventError, SquaredEuclidean, resolvent
from optlab.bregman.functions import L1Norm, SmoothFunction
from optlab.bregman.resolvents.newton import difference_hessian
from optlab.splitting import BregmanDouglasRachford, CompositeProblem

E2 = SquaredEuclidean()


def logistic(A, b):
    def hessian(x):
        return A.T @ ((expit(A @ x - b) * expit(b - A @ x))[:, None] * A)

    return lambda x: np.logaddexp(0, b - A @ x).sum(), lambda x: -A.T @ expit(b - A @ x), hessian


def soft_maximum(A, b):
    def hessian(x):
        p = softmax(A @ x - b)
        return A.T @ (p[:, None] * A) - np.outer(A.T @ p, A.T @ p)

    return lambda x: logsumexp(A @ x - b), lambda x: A.T @ softmax(A @ x - b), hessian


def soft_absolute(A, b):
    def hessian(x):
        return (A.T * (1 + (A @ x - b) ** 2) ** -1.5) @ A

    return (
        lambda x: float(np.sum(np.sqrt(1 + (A @ x - b) ** 2) - 1)),
        lambda x: A.T @ ((A @ x - b) / np.sqrt(1 + (A @ x - b) ** 2)),
        hessian,
    )


def worst_difference(make, count, rows, seed):
    """The largest difference that the missing Hessian makes; every resolvent must be found."""
    rng, worst = np.random.default_rng(seed), 0.0
    for _ in range(count):
        n = int(rng.integers(10, 25))
        A = rng.standard_normal((int(rng.integers(*rows)), n)) * 10 ** rng.uniform(-1, 1)
        value, gradient, hessian = make(A, 3 * rng.standard_normal(len(A)))
        step, z = 10 ** rng.uniform(-3, 3), rng.standard_normal(n) * rng.choice([0, 1, 10])
        x = resolvent(SmoothFunction(value, gradient), E2, z, step)
        y = resolvent(SmoothFunction(value, gradient, hessian), E2, z, step)
        worst = max(worst, float(np.max(np.abs(x - y))) / max(1.0, float(np.max(np.abs(y)))))
    return worst


@pytest.mark.parametrize("make", [logistic, soft_maximum, soft_absolute])
@pytest.mark.parametrize("rows", [(2, 10), (25, 40)], ids=["wide", "tall"])
def test_resolvents_without_a_hessian_are_those_with_one(make, rows):
    assert worst_difference(make, 12, rows, 0) < 1e-6


@pytest.mark.slow
def test_three_hundred_wide_logistic_and_forty_soft_maximum_terms():
    assert worst_difference(logistic, 300, (2, 10), 1) < 1e-6
    assert worst_difference(soft_maximum, 40, (2, 10), 2) < 1e-6


def test_a_wide_logistic_term_of_ones_own_is_solved():
    A = np.array([[2.0, -1, 0, 3], [1, 1, -2, 0], [0, 2, 1, -1]])
    value, gradient, hessian = logistic(A, np.array([1.0, -2, 3]))
    solutions = []
    for second in (None, hessian):
        problem = CompositeProblem(L1Norm(0.1), SmoothFunction(value, gradient, second), E2, shape=4)
        result = optlab.solve(problem, BregmanDouglasRachford(1.0), tol=1e-9, max_iter=2000)
        assert result.success, result.message
        solutions.append(result.solution.y)
    np.testing.assert_allclose(*solutions, atol=1e-7)


@pytest.mark.parametrize("step_size", [0.01, 0.1, 1.0])
def test_a_robust_regression_of_ones_own_is_solved(step_size):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((40, 20))
    value, gradient, _ = soft_absolute(A, A @ rng.standard_normal(20) + rng.standard_normal(40))
    problem = CompositeProblem(L1Norm(0.5), SmoothFunction(value, gradient), E2, shape=20)
    result = optlab.solve(problem, BregmanDouglasRachford(step_size), tol=1e-7, max_iter=3000)
    assert result.success, result.message


def test_differences_at_zero_are_not_rounding_noise():
    A = np.arange(12.0).reshape(3, 4) - 5
    value, gradient, hessian = logistic(A, np.ones(3))
    for x in (np.zeros(4), np.array([0.0, 1.0, 0.0, -2.0])):
        got = difference_hessian(SmoothFunction(value, gradient), x)
        np.testing.assert_allclose(got, hessian(x), atol=1e-8)
        assert np.linalg.eigvalsh(got)[0] >= -1e-12
    one_sided = difference_hessian(SmoothFunction(value, gradient), np.zeros(4), lambda x: bool(np.all(x >= 0)))
    np.testing.assert_allclose(one_sided, hessian(np.zeros(4)), atol=1e-7)


def test_the_message_says_what_to_do_and_accuses_nobody():
    noise = np.random.default_rng(0)
    value, gradient, _ = soft_absolute(np.eye(4), np.ones(4))
    noisy = SmoothFunction(value, lambda x: gradient(x) + 1e-3 * noise.standard_normal(4))
    with pytest.raises(ResolventError, match=r"pass hessian= .* or a larger tol") as caught:
        resolvent(noisy, E2, np.zeros(4), 0.5)
    assert "0.5" in str(caught.value)
    assert "gradient right" not in str(caught.value)
    problem = CompositeProblem(L1Norm(), noisy, E2, shape=4, default_step_size=2.0)
    with pytest.raises(ResolventError, match="measured: by one iteration with the problem's default_step_size 2"):
        optlab.solve(problem, BregmanDouglasRachford(0.01))


def test_the_accepted_residual_can_be_chosen():
    value, gradient, hessian = soft_absolute(np.eye(2), np.ones(2))
    assert SmoothFunction(value, gradient).tolerance == 1e-8
    assert SmoothFunction(value, gradient, hessian).tolerance == 1e-12
    noise = np.random.default_rng(0)
    rough = SmoothFunction(value, lambda x: gradient(x) + 1e-5 * noise.standard_normal(2), tol=1e-3)
    assert np.all(np.isfinite(resolvent(rough, E2, np.array([3.0, -1.0]), 1.0)))
    with pytest.raises(ValueError, match="tol must be a number above 0 and below 1"):
        SmoothFunction(value, gradient, tol=0.0)
