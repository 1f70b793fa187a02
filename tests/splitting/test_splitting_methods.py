"""Bregman Douglas-Rachford and Peaceman-Rachford: textbook methods, relaxation, step sizes, states, errors."""

from __future__ import annotations

import copy
import dataclasses
import itertools

import numpy as np
import pytest

import optlab
from optlab import Status
from optlab.bregman import BurgEntropy, FermiDirac, Hellinger, ShannonEntropy, SquaredEuclidean
from optlab.bregman.functions import (
    BregmanDistance,
    Hyperplane,
    KullbackLeibler,
    L1Norm,
    LeastSquares,
    Linear,
    Poisson,
    Simplex,
    SquaredDistance,
)
from optlab.bregman.operators import reflection
from optlab.core import DomainError
from optlab.splitting import (
    BregmanDouglasRachford,
    BregmanPeacemanRachford,
    CompositeProblem,
    Geometric,
    MonotoneInclusion,
)

KERNELS = [SquaredEuclidean(), ShannonEntropy(), FermiDirac(), Hellinger()]


def lasso() -> tuple[np.ndarray, np.ndarray, CompositeProblem]:
    rng = np.random.default_rng(0)
    A, b = rng.normal(size=(8, 5)), rng.normal(size=8)
    return A, b, CompositeProblem(L1Norm(0.3), LeastSquares(A, b), SquaredEuclidean())


def hyperplane_problem(kernel) -> CompositeProblem:
    q = kernel.default_point(5) + 0.2 * np.linspace(-1, 1, 5)
    normal = np.array([1.0, -0.5, 0.3, 0.8, -1.0])
    offset = float(normal @ kernel.default_point(5)) + 0.05
    return CompositeProblem(Hyperplane(normal, offset), SquaredDistance(q), kernel)


# ---------------------------------------------------------------------- with the Euclidean kernel: the textbook methods


@pytest.mark.parametrize("relaxation", [0.6, 1.0, 1.7, 2.0])
def test_euclidean_kernel_gives_textbook_douglas_rachford(relaxation):
    A, b, problem = lasso()
    gamma = 0.7
    inverse = np.linalg.inv(np.eye(5) + gamma * A.T @ A)
    z = np.linspace(-1, 1, 5)
    states = optlab.iterate(problem, BregmanDouglasRachford(gamma, relaxation), x0=z)
    for k, state in enumerate(states):
        np.testing.assert_allclose(state.z, z, atol=1e-12)
        x = inverse @ (z + gamma * A.T @ b)
        w = 2 * x - z
        y = np.sign(w) * np.maximum(np.abs(w) - 0.3 * gamma, 0)
        z = z + relaxation * (y - x)
        if k == 40:
            break


def test_peaceman_rachford_is_two_reflections():
    _, _, problem = lasso()
    gamma = 0.7
    states = [s for _, s in zip(range(30), optlab.iterate(problem, BregmanPeacemanRachford(gamma), x0=np.ones(5)))]
    for before, after in itertools.pairwise(states):
        through_b = reflection(problem.g, problem.kernel, before.z, gamma)
        np.testing.assert_allclose(after.z, reflection(problem.f, problem.kernel, through_b, gamma), atol=1e-12)


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
@pytest.mark.parametrize("relaxation", [0.5, 1.0, 1.6])
def test_relaxation_is_the_mann_iteration_of_the_two_reflections(kernel, relaxation):
    problem, gamma = hyperplane_problem(kernel), 0.8
    weight = 1 - relaxation / 2
    states = [s for _, s in zip(range(8), optlab.iterate(problem, BregmanDouglasRachford(gamma, relaxation)))]
    for before, after in itertools.pairwise(states):
        reflected = reflection(problem.f, kernel, reflection(problem.g, kernel, before.z, gamma), gamma)
        np.testing.assert_allclose(after.z, weight * before.z + (1 - weight) * reflected, atol=1e-11)


# ---------------------------------------------------------------------- convergence


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
@pytest.mark.parametrize("step_size", [0.5, 2.0, Geometric(0.5, 1.05, 5.0), lambda k: 1.0 + 0.5 * (k % 2)])
def test_every_kernel_and_schedule_finds_the_same_kind_of_solution(kernel, step_size):
    problem = hyperplane_problem(kernel)
    result = optlab.solve(problem, BregmanDouglasRachford(step_size), tol=1e-10, max_iter=3000)
    assert result.success, result.message
    x = np.asarray(result.solution)
    # the projection of q onto the hyperplane: interior of every domain here
    q, normal, offset = problem.g.q, problem.f.normal, problem.f.offset
    expected = q - (normal @ q - offset) / (normal @ normal) * normal
    assert kernel.in_domain(expected)
    np.testing.assert_allclose(x, expected, atol=1e-8)


def test_growing_steps_keep_the_solution_a_fixed_point():
    # started at a fixed point, a varying step size must not move x: the point of the ratio correction
    q = np.array([1.0, 2.0, 1.0])
    problem = MonotoneInclusion(Simplex(), KullbackLeibler(q), ShannonEntropy())
    x = q / 4
    b = np.log(x / q)
    gamma = 0.5
    z = np.log(x) + gamma * b
    for k, state in enumerate(optlab.iterate(problem, BregmanDouglasRachford(lambda k: gamma * 1.5**k), x0=np.exp(z))):
        if k:
            np.testing.assert_allclose(np.exp(state.x), x, rtol=1e-12)
            np.testing.assert_allclose(np.exp(state.y), x, rtol=1e-12)
        if k == 20:
            break


def test_convergence_bound_for_a_relatively_smooth_second_function():
    # V_{k+1} <= V_k - gamma gap_k with V = D_{h + gamma g}(x*, x_k), gamma <= 1/L; and the average gap bound
    rng = np.random.default_rng(3)
    q, c = rng.uniform(0.5, 2, 6), rng.uniform(0, 1, 6)
    weight = 2.0
    g, f, h = KullbackLeibler(q, weight), Simplex(), ShannonEntropy()
    problem = CompositeProblem(f, g + Linear(c), h)
    solution = q * np.exp(-c / weight)
    solution /= solution.sum()
    optimum = problem.objective(solution)
    gamma = problem.default_step_size
    assert gamma == pytest.approx(1 / weight)
    states = [s for _, s in zip(range(60), optlab.iterate(problem, BregmanDouglasRachford(gamma)))][1:]

    def lyapunov(x):
        return (1 + gamma * weight) * h.divergence(solution, x)

    values = [lyapunov(np.exp(s.x)) for s in states]
    gaps = [problem.objective(np.exp(s.y)) - optimum for s in states]
    for before, after, gap in zip(values[:-1], values[1:], gaps):
        assert after <= before - gamma * gap + 1e-12
    assert min(gaps) >= -1e-12
    assert np.mean(gaps) <= values[0] / (gamma * len(gaps)) + 1e-12
    assert values[20] <= values[0] * (1 + gamma * weight) ** -20 + 1e-13


# ---------------------------------------------------------------------- states


@pytest.mark.parametrize("method", [BregmanDouglasRachford(1.3, 1.5), BregmanPeacemanRachford(Geometric(0.5, 1.1))])
def test_steps_leave_the_state_they_are_given_untouched(method):
    problem = hyperplane_problem(ShannonEntropy())
    start = np.full(5, 0.3)
    state = method.init(problem, start, None)
    for _ in range(6):
        before = copy.deepcopy(state)
        after = method.step(problem, state)
        np.testing.assert_equal(dataclasses.asdict(state), dataclasses.asdict(before))
        state = after
    np.testing.assert_array_equal(start, 0.3)


def test_one_run_equals_two_joined_runs_bit_for_bit():
    problem, method = hyperplane_problem(FermiDirac()), BregmanDouglasRachford(Geometric(0.5, 1.02), 1.4)
    whole = optlab.solve(problem, method, max_iter=37)
    part = optlab.solve(problem, method, max_iter=19)
    joined = optlab.solve(problem, method, x0=part, max_iter=18)
    np.testing.assert_array_equal(whole.solution, joined.solution)
    assert whole.metrics == joined.metrics


def test_float32_starts_stay_float32_in_the_euclidean_method():
    problem = MonotoneInclusion(
        lambda mirror, step: np.clip(mirror, 0, 1),
        lambda mirror, step: mirror / (1 + step),
        SquaredEuclidean(),
        shape=3,
    )
    method = BregmanDouglasRachford(0.5, 1.5)
    state = method.init(problem, np.ones(3, dtype=np.float32), None)
    assert method.step(problem, state).z.dtype == np.float32


def test_drift_spans_about_half_the_run():
    # resolvents that move the mirror point by 1 per iteration make the drift count iterations
    problem = MonotoneInclusion(
        lambda mirror, step: mirror + 1.0, lambda mirror, step: mirror, SquaredEuclidean(), shape=1
    )
    for k, state in enumerate(optlab.iterate(problem, BregmanDouglasRachford(1.0))):
        if k < 2:
            assert state.drift() is None
        else:
            assert 1 / 3 - 1e-12 <= float(state.drift()[0]) / k <= 2 / 3 + 1e-12
        if k == 100:
            break


def test_recorded_quantities():
    problem = hyperplane_problem(ShannonEntropy())
    result = optlab.solve(problem, BregmanDouglasRachford(Geometric(0.5, 2.0, 4.0)), max_iter=10, record="all")
    np.testing.assert_array_equal(result.history["step_size"][:6], [0.5, 0.5, 1, 2, 4, 4])
    residual = result.history["fixed_point_residual"]
    assert residual[0] == residual[1] > 0  # the start is judged by its first iteration
    assert residual[-1] < 0.1 * residual[1]


# ---------------------------------------------------------------------- errors and extremes


def test_range_condition_names_kernel_place_and_cure():
    q = np.array([0.3, 1.0, 4.0])
    problem = CompositeProblem(Simplex(), BregmanDistance(q, BurgEntropy()) + Linear(np.zeros(3)), BurgEntropy())
    method = BregmanDouglasRachford(100.0)

    def run():
        state = method.init(problem, np.full(3, 1 / 3), None)
        for _ in range(20):
            state = method.step(problem, state)

    with pytest.raises(DomainError, match=r"range condition of BurgEntropy\(\).*index \[\d\].*reduce step_size"):
        run()
    result = optlab.solve(problem, BregmanDouglasRachford(100.0), max_iter=50)
    assert result.status is Status.DIVERGED
    assert "range condition" in result.message
    assert np.all(np.isfinite(result.solution))


@pytest.mark.parametrize("step_size", [1e-12, 1e-6, 1e6, 1e12])
@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_extreme_steps_stay_finite(kernel, step_size):
    problem = hyperplane_problem(kernel)
    result = optlab.solve(problem, BregmanDouglasRachford(step_size), max_iter=30)
    assert result.status is Status.MAX_ITER, result.message
    assert np.all(np.isfinite(result.solution))
    assert all(np.isfinite(value) for value in result.metrics.values())


@pytest.mark.parametrize("step_size", [1e-12, 1e12])
def test_extreme_steps_on_the_simplex(step_size):
    problem = CompositeProblem(Simplex(), Poisson(np.array([0.0, 1.0, 3.0])), ShannonEntropy())
    result = optlab.solve(problem, BregmanDouglasRachford(step_size), max_iter=30)
    assert all(np.isfinite(value) for value in result.metrics.values())


def test_small_steps_do_not_fake_convergence():
    # x and y agree to 1e-12 at once; the residual must still see that nothing is solved
    problem = CompositeProblem(Simplex(), KullbackLeibler(np.array([1.0, 5.0])), ShannonEntropy())
    result = optlab.solve(problem, BregmanDouglasRachford(1e-12), x0=np.array([0.5, 0.5]), max_iter=5)
    assert result.metrics["primal_residual"] < 1e-10
    assert result.metrics["residual"] > 0.1
