"""Linearly constrained problems: block steps, the problem each kernel solves, the methods of multipliers."""

from __future__ import annotations

import copy
import dataclasses

import cvxpy as cp
import numpy as np
import pytest
from scipy import optimize

import optlab
from optlab import Status
from optlab.bregman import (
    BurgEntropy,
    FermiDirac,
    Hellinger,
    LogDeterminant,
    ShannonEntropy,
    SimplexEntropy,
    SquaredEuclidean,
)
from optlab.bregman.functions import (
    Box,
    L1Norm,
    Linear,
    Logistic,
    NegativeEntropy,
    Quadratic,
    Simplex,
    SquaredDistance,
)
from optlab.core import DomainError, IncompatibleError
from optlab.splitting import (
    AlternatingExponentialMultipliers,
    BregmanADMM,
    ExponentialMultipliers,
    Geometric,
    LinearlyConstrained,
)
from optlab.splitting.block_minimization import block_step

KERNELS = [SquaredEuclidean(), ShannonEntropy(), FermiDirac(0.0, 0.7), Hellinger(0.5), SimplexEntropy(1.5)]


def data() -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(4, 4))
    Q = root @ root.T + np.eye(4)
    return (
        Q,
        rng.normal(size=4),
        rng.normal(size=3),
        rng.normal(size=(5, 4)),
        rng.normal(size=(5, 3)),
        rng.normal(size=5),
    )


def constrained(kernel, **options) -> LinearlyConstrained:
    Q, c, q, M, N, b = data()
    if isinstance(kernel, BurgEntropy):
        b = b + 3.0
    return LinearlyConstrained(Quadratic(Q, c), SquaredDistance(q), M, N, b, kernel, **options)


def reference_value(kernel) -> float:
    """The problem that the table of `LinearlyConstrained` claims, in CVXPY."""
    Q, c, q, M, N, b = data()
    u, v = cp.Variable(4), cp.Variable(3)
    r = M @ u + N @ v - b
    objective = 0.5 * cp.quad_form(u, cp.psd_wrap(Q)) + c @ u + 0.5 * cp.sum_squares(v - q)
    constraints = []
    if isinstance(kernel, SquaredEuclidean):
        constraints = [r == 0]
    elif isinstance(kernel, ShannonEntropy):
        constraints = [r <= 0]
    elif isinstance(kernel, FermiDirac):
        objective += kernel.upper * cp.sum(cp.pos(r))
    elif isinstance(kernel, Hellinger):
        objective += kernel.radius * cp.norm1(r)
    else:
        objective += kernel.total * cp.max(r)
    return float(
        cp.Problem(cp.Minimize(objective), constraints).solve(solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_feas=1e-11)
    )


# ---------------------------------------------------------------------- which problem is solved


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_each_kernel_solves_the_problem_its_domain_stands_for(kernel):
    problem = constrained(kernel, optimum=reference_value(kernel))
    # Hellinger's multipliers approach +-c like 1/k^2 only, hence its larger step and looser tolerance
    slow = isinstance(kernel, Hellinger)
    result = optlab.solve(problem, BregmanADMM(10.0 if slow else 2.0), tol=1e-7 if slow else 1e-9, max_iter=120)
    assert result.success, result.message
    assert abs(result.metrics["suboptimality"]) < 1e-6
    assert result.metrics["constraint_violation"] < 1e-8
    assert result.metrics["dual_residual"] < 1e-7


def test_kernels_of_one_domain_solve_one_problem():
    values = []
    for kernel in (ShannonEntropy(), BurgEntropy()):
        Q, c, q, M, N, b = data()
        problem = LinearlyConstrained(Quadratic(Q, c), SquaredDistance(q), M, N, b, kernel)
        result = optlab.solve(problem, BregmanADMM(0.5), max_iter=200, tol=1e-7)
        values.append(result.metrics["objective"])
    # Burg's multipliers vanish like 1/k only, so this comparison is a loose one
    assert values[1] == pytest.approx(values[0], abs=1e-3)


def test_residual_tells_solutions_from_other_points():
    problem = constrained(ShannonEntropy())
    good = optlab.solve(problem, BregmanADMM(1.0), tol=1e-10, max_iter=3000).solution
    assert problem.measure(good)["residual"] < 1e-9
    worse_u = dataclasses.replace(good, u=good.u + 0.1)
    worse_w = dataclasses.replace(good, multiplier=good.multiplier + 0.1)
    assert problem.measure(worse_u)["residual"] > 1e-3
    assert problem.measure(worse_w)["residual"] > 1e-3


def test_a_start_is_measured_too():
    problem = LinearlyConstrained(
        Simplex(), SquaredDistance(np.array([2.0, 0.0])), None, -np.eye(2), np.zeros(2), SquaredEuclidean()
    )
    row = optlab.solve(problem, BregmanADMM(1.0), max_iter=0).metrics  # u = 0 is not in the simplex: no infinite metric
    assert all(np.isfinite(value) for value in row.values())


# ---------------------------------------------------------------------- with the Euclidean kernel: the textbook methods


def test_euclidean_kernel_gives_textbook_admm():
    Q, c, q, M, N, b = data()
    gamma, w, v = 0.8, np.zeros(5), np.zeros(3)
    problem = constrained(SquaredEuclidean())
    for k, state in enumerate(optlab.iterate(problem, BregmanADMM(gamma))):
        if k:
            u = np.linalg.solve(Q + gamma * M.T @ M, -c - M.T @ (w + gamma * (N @ v - b)))
            v = np.linalg.solve(np.eye(3) + gamma * N.T @ N, q - N.T @ (w + gamma * (M @ u - b)))
            w = w + gamma * (M @ u + N @ v - b)
            np.testing.assert_allclose(state.u, u, atol=1e-11)
            np.testing.assert_allclose(state.v, v, atol=1e-11)
            np.testing.assert_allclose(state.w, w, atol=1e-11)
        if k == 40:
            break


def test_euclidean_kernel_gives_textbook_method_of_multipliers():
    Q, c, q, M, N, b = data()
    gamma, w = 0.8, np.zeros(5)
    K, H, slope = (
        np.hstack([M, N]),
        np.block([[Q, np.zeros((4, 3))], [np.zeros((3, 4)), np.eye(3)]]),
        np.concatenate([c, -q]),
    )
    for k, state in enumerate(optlab.iterate(constrained(SquaredEuclidean()), ExponentialMultipliers(gamma))):
        if k:
            x = np.linalg.solve(H + gamma * K.T @ K, -slope - K.T @ (w - gamma * b))
            w = w + gamma * (K @ x - b)
            np.testing.assert_allclose(np.concatenate([state.u, state.v]), x, atol=1e-10)
            np.testing.assert_allclose(state.w, w, atol=1e-10)
        if k == 40:
            break


def test_admm_for_the_lasso_uses_the_proximal_map():
    rng = np.random.default_rng(4)
    A, y = rng.normal(size=(10, 6)), rng.normal(size=10)
    f = Quadratic(A.T @ A, -A.T @ y)
    problem = LinearlyConstrained(f, L1Norm(0.8), None, -np.eye(6), np.zeros(6), SquaredEuclidean())
    result = optlab.solve(problem, BregmanADMM(5.0), tol=1e-11, max_iter=2000)
    assert result.success
    u = cp.Variable(6)
    cp.Problem(cp.Minimize(0.5 * cp.sum_squares(A @ u - y) + 0.8 * cp.norm1(u))).solve(solver=cp.CLARABEL)
    np.testing.assert_allclose(result.solution.v, u.value, atol=1e-6)


# ---------------------------------------------------------------------- the exponential multiplier methods


def test_exponential_multipliers_follow_tseng_and_bertsekas():
    Q, c, _, M, _, b = data()
    problem = LinearlyConstrained(Quadratic(Q, c), None, M, None, b, ShannonEntropy())
    gamma, mu = 0.7, np.full(5, 0.4)
    for k, state in enumerate(optlab.iterate(problem, ExponentialMultipliers(gamma), x0=mu)):
        if k:
            penalised = lambda u, mu=mu: (
                0.5 * u @ Q @ u + c @ u + mu @ np.expm1(gamma * (M @ u - b)) / gamma,
                Q @ u + c + M.T @ (mu * np.exp(gamma * (M @ u - b))),
            )
            u = optimize.minimize(penalised, np.zeros(4), jac=True, method="BFGS", options={"gtol": 1e-11}).x
            mu = mu * np.exp(gamma * (M @ u - b))
            np.testing.assert_allclose(state.u, u, atol=1e-6)
            np.testing.assert_allclose(np.exp(state.w), mu, rtol=1e-5)
            # from here on with the accurate blocks, so that the errors of the reference do not pile up
            mu = np.exp(state.w)
        if k == 8:
            break


def test_joint_minimisation_and_alternation_agree_in_the_limit():
    problem = constrained(ShannonEntropy())
    joint = optlab.solve(problem, ExponentialMultipliers(2.0), tol=1e-10, max_iter=2000)
    alternating = optlab.solve(problem, AlternatingExponentialMultipliers(2.0), tol=1e-10, max_iter=2000)
    assert joint.success
    assert alternating.success
    np.testing.assert_allclose(joint.solution.u, alternating.solution.u, atol=1e-7)


def test_joint_minimisation_without_smoothness_alternates():
    target = np.array([0.9, -0.4, 0.2])
    problem = LinearlyConstrained(
        SquaredDistance(target), L1Norm(0.3), None, -np.eye(3), np.zeros(3), SquaredEuclidean()
    )
    result = optlab.solve(problem, ExponentialMultipliers(1.0), tol=1e-10)
    expected = np.sign(target) * np.maximum(np.abs(target) - 0.3, 0)
    np.testing.assert_allclose(result.solution.v, expected, atol=1e-8)


def test_alternating_exponential_multipliers_insist_on_the_shannon_kernel():
    with pytest.raises(
        IncompatibleError, match=r"needs a problem with kernel ShannonEntropy\(\), got SquaredEuclidean"
    ):
        optlab.solve(constrained(SquaredEuclidean()), AlternatingExponentialMultipliers())


def test_exponential_multipliers_need_a_joint_step():
    problem = constrained(SquaredEuclidean())

    class OnlyBlocks:
        """Everything that `BregmanADMM` needs, and no joint step."""

        default_step_size = 1.0

        def __getattr__(self, name):
            if name == "minimize_both":
                raise AttributeError(name)
            return getattr(problem, name)

    with pytest.raises(TypeError, match="minimize_both"):
        optlab.solve(OnlyBlocks(), ExponentialMultipliers())
    assert BregmanADMM().init(OnlyBlocks(), None, None).k == 0


# ---------------------------------------------------------------------- the block steps


def brute_force(f, matrix, kernel, mirror, step_size, start, bounds=None) -> float:
    def objective(u):
        return f.value(u) + kernel.conjugate(mirror + step_size * matrix @ u) / step_size

    return optimize.minimize(
        objective, start, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-15, "gtol": 1e-12}
    ).fun


@pytest.mark.parametrize("kernel", [SquaredEuclidean(), ShannonEntropy(), FermiDirac(), Hellinger()], ids=repr)
@pytest.mark.parametrize("factor", [1.0, -0.7])
@pytest.mark.parametrize(
    "f",
    [
        Box(-0.5, 0.8),
        Box(-0.5, 0.8) + Linear(np.array([0.1, -0.2, 0.4])),
        L1Norm(0.4),
        SquaredDistance(np.array([0.3, -1.0, 2.0])),
        Logistic(np.array([[1.0, 2.0, 0.0], [0.5, -1.0, 1.0]]), np.array([1.0, -1.0])) + SquaredDistance(np.zeros(3)),
    ],
    ids=lambda f: type(f).__name__,
)
@pytest.mark.parametrize("step_size", [0.3, 4.0])
def test_block_steps_minimise(kernel, factor, f, step_size):
    rng = np.random.default_rng(5)
    mirror, matrix = rng.normal(size=3), factor * np.eye(3)
    u = block_step(f, matrix, kernel, np.zeros(3), "u")(mirror, step_size)

    def objective(point):
        return f.value(point) + kernel.conjugate(mirror + step_size * matrix @ point) / step_size

    best = objective(u)
    assert np.isfinite(best)
    for size in (1e-1, 1e-3, 1e-5):  # no nearby point is better: convexity makes that global
        for direction in rng.normal(size=(60, 3)):
            assert objective(u + size * direction) >= best - 1e-14


@pytest.mark.delicate
@pytest.mark.parametrize("kernel", [ShannonEntropy(), FermiDirac(), Hellinger(), SimplexEntropy()], ids=repr)
@pytest.mark.parametrize("step_size", [1e-12, 1e-4, 1.0, 1e4, 1e12])
@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_newton_steps_are_accurate_from_far_starts(kernel, step_size, scale):
    Q, c, _, M, _, _ = data()
    mirror = scale * np.array([1.0, -1.0, 0.5, 0.2, -0.7])
    u = block_step(Quadratic(Q, c), M, kernel, np.zeros(4), "u")(mirror, step_size)
    x = kernel.conjugate_gradient(mirror + step_size * M @ u)
    parts = [Q @ u + c, M.T @ x]
    # what a rounding error in mirror + step_size M u does to the gradient cannot be removed
    noise = 1e-15 * (scale + step_size * np.linalg.norm(u)) * max(1.0, np.max(np.abs(x)))
    assert np.linalg.norm(parts[0] + parts[1]) <= 1e-11 * (1 + np.linalg.norm(parts[1])) + 100 * noise


def test_entropic_blocks_keep_inside_their_domain():
    problem = LinearlyConstrained(
        NegativeEntropy(), None, np.ones((1, 4)), None, np.array([1.0]), SquaredEuclidean(), u_start=np.ones(4)
    )
    result = optlab.solve(problem, BregmanADMM(1.0), tol=1e-10)
    assert result.success
    np.testing.assert_allclose(result.solution.u, 0.25, atol=1e-9)


def test_own_block_steps_are_used():
    def minimize_u(mirror, step_size):
        return np.clip(-mirror / step_size, 0, 1)

    problem = LinearlyConstrained(
        Box(0.0, 1.0),
        SquaredDistance(np.array([2.0, 0.3])),
        None,
        -np.eye(2),
        np.zeros(2),
        SquaredEuclidean(),
        minimize_u=minimize_u,
    )
    result = optlab.solve(problem, BregmanADMM(1.0), tol=1e-11)
    np.testing.assert_allclose(result.solution.u, [1.0, 0.3], atol=1e-9)


@pytest.mark.parametrize("kernel", [SquaredEuclidean(), ShannonEntropy(), FermiDirac(), Hellinger()], ids=repr)
@pytest.mark.parametrize("method", [BregmanADMM, ExponentialMultipliers])
@pytest.mark.parametrize("step_size", [1e-12, 1e12])
def test_extreme_steps_stay_finite(kernel, method, step_size):
    result = optlab.solve(constrained(kernel), method(step_size), max_iter=8)
    assert result.status in (Status.MAX_ITER, Status.CONVERGED), result.message
    assert all(np.isfinite(value) for value in result.metrics.values())


# ---------------------------------------------------------------------- states, starts, errors


@pytest.mark.parametrize("method", [BregmanADMM(0.8), ExponentialMultipliers(0.8)])
def test_steps_leave_the_state_they_are_given_untouched(method):
    problem = constrained(ShannonEntropy())
    state = method.init(problem, None, None)
    for _ in range(3):
        before = copy.deepcopy(state)
        after = method.step(problem, state)
        for field in dataclasses.fields(state):
            np.testing.assert_array_equal(getattr(state, field.name), getattr(before, field.name))
        state = after


def test_one_run_equals_two_joined_runs_bit_for_bit():
    problem, method = constrained(FermiDirac()), BregmanADMM(Geometric(0.5, 1.1, 3.0))
    whole = optlab.solve(problem, method, max_iter=15)
    joined = optlab.solve(problem, method, x0=optlab.solve(problem, method, max_iter=6), max_iter=9)
    np.testing.assert_array_equal(whole.solution.u, joined.solution.u)
    assert whole.metrics == joined.metrics


def test_earlier_solutions_are_starts():
    problem = constrained(ShannonEntropy())
    first = optlab.solve(problem, BregmanADMM(1.0), tol=1e-8, max_iter=2000)
    again = optlab.solve(problem, ExponentialMultipliers(1.0), x0=first.solution, tol=1e-7)
    assert again.n_iter <= 3
    other = LinearlyConstrained(Linear(np.ones(2)), None, None, None, np.ones(2), ShannonEntropy())
    with pytest.raises(ValueError, match="x0 must be a solution of a problem of the same size"):
        optlab.solve(other, BregmanADMM(), x0=first.solution)


@pytest.mark.parametrize(
    ("x0", "error", "match"),
    [
        (np.ones(4), ValueError, "x0 .a multiplier. must have shape"),
        (np.array([1.0, 1.0, 0.0, 1.0, 1.0]), DomainError, r"index \[2\]"),
        (np.array([1.0, 1.0, np.inf, 1.0, 1.0]), ValueError, r"index \[2\]"),
    ],
)
def test_bad_starts(x0, error, match):
    with pytest.raises(error, match=match):
        optlab.solve(constrained(ShannonEntropy()), BregmanADMM(), x0=x0)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"f": 1.0}, TypeError, "f must have value"),
        ({"g": "no"}, TypeError, "g must be None or have value"),
        ({"g": None}, ValueError, "must be None where g is None"),
        ({"M": np.ones((4, 4))}, ValueError, r"M must have shape \(5, any\)"),
        ({"M": np.ones((5, 3))}, ValueError, "M must have as many columns as its function has variables"),
        ({"N": None}, ValueError, "N must have as many columns"),
        ({"b": np.array([1, 2, np.nan, 0, 0])}, ValueError, r"b must be finite, got nan at index \[2\]"),
        ({"b": np.ones((5, 1))}, ValueError, "b must have 1 dimension"),
        ({"kernel": LogDeterminant()}, TypeError, "support function of the domain"),
        ({"f": Simplex(), "M": np.ones((5, 2))}, TypeError, "pass minimize_u"),
        ({"u_start": np.ones(2)}, ValueError, "u_start must have shape"),
        ({"reference": np.ones(7)}, ValueError, "reference must have shape"),
        ({"default_step_size": 0}, ValueError, "default_step_size must be a number above 0"),
    ],
)
def test_bad_problems(change, error, match):
    Q, c, q, M, N, b = data()
    arguments = {
        "f": Quadratic(Q, c),
        "g": SquaredDistance(q),
        "M": M,
        "N": N,
        "b": b,
        "kernel": ShannonEntropy(),
        **change,
    }
    with pytest.raises(error, match=match):
        LinearlyConstrained(**arguments)


def test_a_block_without_minimiser_says_so():
    # <c, u> falls without end: no multiplier in w > 0 can balance a positive slope
    problem = LinearlyConstrained(Linear(np.ones(3)), None, None, None, np.zeros(3), ShannonEntropy())
    with pytest.raises(DomainError, match="the u-step has no minimiser"):
        problem.minimize_u(np.zeros(3), 1.0)
    with pytest.raises(ValueError, match="the u-step has no unique minimiser"):
        LinearlyConstrained(Linear(np.ones(3)), None, np.ones((2, 3)), None, np.zeros(2), SquaredEuclidean())
