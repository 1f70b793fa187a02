"""Methods iterated side by side that theory says are one: Douglas-Rachford on the dual and ADMM, and their relatives.

The table of the equivalence (Ma, Xiao, Zhao 2025): x_k = w_k, y_k = the multiplier after the u-step,
grad h(z_k) = grad h(w_k) - gamma_{k-1} N v_{k-1}.
"""

from __future__ import annotations

import numpy as np
import pytest

import optlab
from optlab.bregman import BurgEntropy, FermiDirac, Hellinger, ShannonEntropy, SquaredEuclidean
from optlab.bregman.functions import Linear, Logistic, Quadratic, SquaredDistance
from optlab.splitting import (
    AlternatingExponentialMultipliers,
    BregmanADMM,
    BregmanDouglasRachford,
    BregmanPeacemanRachford,
    ExponentialMultipliers,
    Geometric,
    LinearlyConstrained,
    MonotoneInclusion,
)

KERNELS = [ShannonEntropy(), FermiDirac(), Hellinger(), SquaredEuclidean()]
STEPS = [0.3, 1.0, 3.0]
SCHEDULES = [Geometric(0.3, 1.1, 4.0), lambda k: 1.0 + 0.5 * np.sin(k), lambda k: 2.0 / (1 + k)]


def data():
    rng = np.random.default_rng(11)
    root = rng.normal(size=(4, 4))
    return (
        root @ root.T + np.eye(4),
        rng.normal(size=4),
        rng.normal(size=3),
        rng.normal(size=(6, 4)),
        rng.normal(size=(6, 3)),
        rng.normal(size=6),
    )


def two_blocks(kernel) -> LinearlyConstrained:
    Q, c, q, M, N, b = data()
    return LinearlyConstrained(Quadratic(Q, c), SquaredDistance(q, 0.7), M, N, b, kernel)


def largest_difference(problem, dual, step_size, n: int = 40) -> float:
    """Largest difference of x, y (primal) and z (mirror) over `n` iterations of the two methods."""
    kernel, first = problem.kernel, step_size if isinstance(step_size, float) else step_size(0)
    w0 = kernel.default_point(problem.b.shape) + 0.05
    admm = optlab.iterate(problem, BregmanADMM(step_size), x0=problem.matching_start(w0, first))
    splitting = optlab.iterate(dual, BregmanDouglasRachford(step_size), x0=w0)
    worst, to_primal = 0.0, kernel.conjugate_gradient
    for k, left, right in zip(range(n + 1), admm, splitting):
        z = left.w - left.step_size * problem.apply_N(left.v)
        worst = max(worst, np.max(np.abs(z - right.z)))
        if k:
            worst = max(worst, np.max(np.abs(to_primal(left.x) - to_primal(right.x))))
            worst = max(worst, np.max(np.abs(to_primal(left.y) - to_primal(right.y))))
    return float(worst)


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
@pytest.mark.parametrize("step_size", STEPS)
def test_douglas_rachford_on_the_dual_is_bregman_admm(kernel, step_size):
    problem = two_blocks(kernel)
    assert largest_difference(problem, problem.dual(), step_size) < 1e-10


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_equivalence_survives_varying_steps(kernel, schedule):
    problem = two_blocks(kernel)
    assert largest_difference(problem, problem.dual(), schedule, n=20) < 1e-10


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
@pytest.mark.parametrize("step_size", STEPS)
def test_the_equivalence_holds_with_independent_dual_resolvents(kernel, step_size):
    # here the dual's resolvents know nothing of the block steps: they solve grad h(w) + gamma A(w) = mirror for w
    Q, c, q, M, N, b = data()
    Qinv = np.linalg.inv(Q)
    dual_A = (M @ Qinv @ M.T, M @ Qinv @ c + b)  # A(w) = -M grad f*(-M^T w) + b
    dual_B = (N @ N.T / 0.7, -N @ q)

    def resolvent(operator):
        H, d = operator

        def solve(mirror, step):
            # Newton in w on the convex function step (w.H.w/2 + d.w) + h(w) - mirror.w, kept inside dom h
            w = kernel.default_point(6) + 0.01

            def value(w):
                return step * (0.5 * w @ H @ w + d @ w) + kernel.value(w) - mirror @ w

            for _ in range(400):
                gradient = step * (H @ w + d) + kernel.gradient(w) - mirror
                direction = -np.linalg.solve(step * H + np.diag(kernel.hessian_diagonal(w)), gradient)
                size = 1.0
                while not kernel.in_domain(w + size * direction) or (
                    value(w + size * direction) > value(w) + 1e-12 * abs(value(w))
                ):
                    size /= 2
                w = w + size * direction
                if np.max(np.abs(direction)) < 1e-9:
                    break
            p = mirror - step * (H @ w + d)
            for _ in range(3):  # polished in the mirror variable, which keeps its digits where w is tiny
                residual = p + step * (H @ kernel.conjugate_gradient(p) + d) - mirror
                p = p - np.linalg.solve(np.eye(6) + step * H * kernel.conjugate_hessian_diagonal(p), residual)
            residual = p + step * (H @ kernel.conjugate_gradient(p) + d) - mirror
            assert np.max(np.abs(residual)) < 1e-10
            return p

        return solve

    problem = two_blocks(kernel)
    dual = MonotoneInclusion(resolvent(dual_A), resolvent(dual_B), kernel, shape=6)
    assert largest_difference(problem, dual, step_size, n=12) < 1e-10


def test_the_equivalence_needs_the_ratio_correction():
    # the same iteration without rescaling what z carries is another method: the check above can fail
    problem, schedule = two_blocks(ShannonEntropy()), Geometric(0.3, 1.3, 4.0)
    dual = problem.dual()
    z = problem.kernel.gradient(problem.kernel.default_point(6) + 0.05)
    corrected = optlab.iterate(dual, BregmanDouglasRachford(schedule), x0=np.exp(z))
    for k, state in zip(range(6), corrected):  # noqa: B007
        if k:
            x = dual.resolvent_B(z, schedule(max(k - 2, 0)))
            z = z + dual.resolvent_A(2 * x - z, schedule(k - 1)) - x
    assert np.max(np.abs(z - state.z)) > 1e-3


def test_the_equivalence_holds_under_burgs_entropy_while_in_range():
    Q, c, q, M, N, _ = data()
    problem = LinearlyConstrained(Quadratic(Q, c), SquaredDistance(q), M, N, np.full(6, 4.0), BurgEntropy())
    assert largest_difference(problem, problem.dual(), 0.05, n=20) < 1e-10


def test_alternating_exponential_multipliers_are_bregman_admm_with_shannons_kernel():
    problem = two_blocks(ShannonEntropy())
    pair = zip(
        range(20),
        optlab.iterate(problem, AlternatingExponentialMultipliers(0.7)),
        optlab.iterate(problem, BregmanADMM(0.7)),
    )
    for _, left, right in pair:
        np.testing.assert_array_equal(left.w, right.w)


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_one_block_makes_admm_multipliers_and_proximal_point_one(kernel):
    # without v: B = 0, Douglas-Rachford is the proximal point method on the dual, and so are both multiplier methods
    Q, c, _, M, _, b = data()
    problem = LinearlyConstrained(Quadratic(Q, c), None, M, None, b, kernel)
    dual, gamma = problem.dual(), 0.8
    w = problem.initial_blocks(None)[0]
    runs = zip(
        range(25),
        optlab.iterate(problem, BregmanADMM(gamma)),
        optlab.iterate(problem, ExponentialMultipliers(gamma)),
        optlab.iterate(dual, BregmanDouglasRachford(gamma)),
    )
    for k, admm, multipliers, splitting in runs:
        if k:
            w = dual.resolvent_A(w, gamma)
        for other in (admm.w, multipliers.w, splitting.z):
            np.testing.assert_allclose(other, w, atol=1e-11)


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_relaxation_two_is_peaceman_rachford(kernel):
    dual = two_blocks(kernel).dual()
    runs = zip(
        range(10),
        optlab.iterate(dual, BregmanDouglasRachford(0.4, 2.0)),
        optlab.iterate(dual, BregmanPeacemanRachford(0.4)),
    )
    for _, left, right in runs:
        np.testing.assert_array_equal(left.z, right.z)


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_a_linear_term_may_stand_in_either_operator(kernel):
    # with A -> A + c and B -> B - c the problem is the same; at constant steps so is the iteration, up to a shift of z
    problem, gamma = two_blocks(kernel), 0.6
    dual, c = problem.dual(), np.linspace(-0.5, 0.5, 6)
    moved = MonotoneInclusion(
        lambda mirror, step: dual.resolvent_A(mirror - step * c, step),
        lambda mirror, step: dual.resolvent_B(mirror + step * c, step),
        kernel,
        shape=6,
    )
    z0 = dual.initial_mirror(None)
    other = kernel.conjugate_gradient(z0 - gamma * c)
    runs = zip(
        range(25),
        optlab.iterate(dual, BregmanDouglasRachford(gamma, 1.3)),
        optlab.iterate(moved, BregmanDouglasRachford(gamma, 1.3), x0=other),
    )
    for _, left, right in runs:
        np.testing.assert_allclose(right.z + gamma * c, left.z, atol=1e-10)


def test_general_smooth_blocks():
    rng = np.random.default_rng(12)
    features, labels = rng.normal(size=(9, 4)), np.sign(rng.normal(size=9))
    f = Logistic(features, labels) + SquaredDistance(np.zeros(4), 0.1)
    g = SquaredDistance(rng.normal(size=3)) + Linear(rng.normal(size=3))
    problem = LinearlyConstrained(
        f, g, rng.normal(size=(6, 4)), rng.normal(size=(6, 3)), rng.normal(size=6), ShannonEntropy()
    )
    assert largest_difference(problem, problem.dual(), 1.0, n=30) < 1e-10
