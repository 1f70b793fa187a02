"""The problems whose solution is known: references against independent solvers, runs against references, true gaps."""

import itertools

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

import optlab
from optlab.core import DomainError
from optlab.splitting import BregmanDouglasRachford, BregmanPeacemanRachford
from optlab.splitting.problems import (
    BoxQuadraticWithEquality,
    CappedSimplexProgram,
    ItakuraSaitoOnSimplex,
    KullbackLeiblerOnCappedSimplex,
    PoissonOnSimplex,
    SimplexProjection,
)
from optlab.splitting.problems.certificates import box_hyperplane_minimum, capped_simplex_minimizer

N = 12


def data(seed=0, n=N):
    rng = np.random.default_rng(seed)
    return rng.random(n) + 0.1, rng.random(n), rng.standard_normal(n)


def build(name, seed=0, n=N):
    q, c, s = data(seed, n)
    caps = (1.0 + 2.0 * c) / n
    return {
        "poisson": lambda: PoissonOnSimplex(q, c, weight=0.7, total=2.0),
        "poisson-burg": lambda: PoissonOnSimplex(q, c, weight=0.7, total=2.0, kernel="burg"),
        "itakura-saito": lambda: ItakuraSaitoOnSimplex(q, 0.3 * c, weight=0.7, total=2.0),
        "projection": lambda: SimplexProjection(s, weight=0.7, total=2.0),
        "kullback-leibler": lambda: KullbackLeiblerOnCappedSimplex(q, caps, c, weight=0.7),
        "program": lambda: CappedSimplexProgram(c, caps),
        "box-quadratic": lambda: BoxQuadraticWithEquality(s, s[::-1].copy(), 0.3, -0.5, 1.0, 0.2 * c, weight=0.7),
    }[name]()


NAMES = (
    "poisson",
    "poisson-burg",
    "itakura-saito",
    "projection",
    "kullback-leibler",
    "program",
    "box-quadratic",
)


def cvxpy_solution(name, seed=0, n=N):
    q, c, s = data(seed, n)
    caps = (1.0 + 2.0 * c) / n
    x = cp.Variable(n)
    simplex = [x >= 0, cp.sum(x) == (1.0 if name in ("kullback-leibler", "program") else 2.0)]
    objective, constraints = {
        "poisson": (0.7 * cp.sum(x - cp.multiply(q, cp.log(x))) + c @ x, simplex),
        "itakura-saito": (0.7 * cp.sum(x / q - cp.log(x) + np.log(q) - 1) + 0.3 * c @ x, simplex),
        "projection": (0.35 * cp.sum_squares(x - s), simplex),
        "kullback-leibler": (0.7 * cp.sum(cp.kl_div(x, q)) + c @ x, [*simplex, x <= caps]),
        "program": (c @ x, [*simplex, x <= caps]),
        "box-quadratic": (
            0.35 * cp.sum_squares(x - s) + 0.2 * c @ x,
            [x >= -0.5, x <= 1.0, s[::-1].copy() @ x == 0.3],
        ),
    }[name.replace("-burg", "")]
    program = cp.Problem(cp.Minimize(objective), constraints)
    program.solve(solver="CLARABEL", tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    return np.asarray(x.value), float(program.value)


@pytest.mark.parametrize("name", NAMES)
def test_references_agree_with_cvxpy(name):
    problem = build(name)
    x, value = cvxpy_solution(name)
    # an interior-point solution of an objective that is flat there: its x is good to the root of its gap
    np.testing.assert_allclose(problem.reference, x, atol=3e-6)
    assert problem.optimum == pytest.approx(value, abs=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_default_step_size_reaches_the_reference(name):
    problem = build(name)
    result = optlab.solve(problem, BregmanDouglasRachford(), tol=1e-8, max_iter=4000)
    assert result.success, result.message
    assert result.metrics["distance"] < 1e-4
    assert abs(result.metrics["suboptimality"]) <= result.metrics["gap"] + 1e-12
    # what is returned is feasible, and it is what the metrics speak about
    assert problem.objective(np.asarray(result.solution)) == pytest.approx(result.metrics["objective"], abs=1e-14)
    assert problem.measure(result.solution) == {
        name: value for name, value in result.metrics.items() if name not in ("step_size", "fixed_point_residual")
    }


@pytest.mark.parametrize("name", NAMES)
def test_gap_bounds_the_true_error_all_along_the_run(name):
    problem = build(name, seed=3)
    for step_size in (0.1, None):
        method = BregmanDouglasRachford(step_size)
        history = optlab.solve(problem, method, max_iter=200, record=[0, 1, 2, 5, 20, 100, 200]).history
        assert np.all(history["suboptimality"] >= -1e-12)
        assert np.all(history["gap"] >= history["suboptimality"] - 1e-12)


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, derandomize=True, max_examples=15)
@given(seed=st.integers(0, 10**6))
def test_gap_bounds_the_true_error_at_any_point(name, seed):
    problem = build(name)
    x = problem.default_start(np.random.default_rng(0))
    direction = np.random.default_rng(seed).standard_normal(N)
    if name == "box-quadratic":
        normal = problem.f.terms[0].normal
        direction -= normal * (normal @ direction) / (normal @ normal)
        x = x + 0.1 * direction / np.abs(direction).max()
        x = x if np.all(np.abs(x - 0.25) <= 0.75) else problem.default_start(None)
    else:
        x = x * np.exp(0.3 * direction)
        x = np.minimum(x * (x.sum() and problem.reference.sum() / x.sum()), getattr(problem, "upper", np.inf))
    metrics = problem.measure(x)
    assert metrics["suboptimality"] >= -1e-12
    assert metrics["gap"] >= metrics["suboptimality"] - 1e-12


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("step_size", [1e-12, 1e12])
def test_extreme_step_sizes_are_finite_or_a_domain_error(name, step_size):
    problem = build(name)
    result = optlab.solve(problem, BregmanDouglasRachford(step_size), max_iter=3, record="all")
    for metric in ("gap", "residual", "objective"):
        assert np.all(np.isfinite(result.history[metric]))
    if name in ("poisson-burg", "itakura-saito") and step_size > 1:
        assert result.status is optlab.Status.DIVERGED
        assert "range condition" in result.message


@pytest.mark.parametrize("name", NAMES)
def test_warm_start_goes_on_from_the_solution(name):
    problem = build(name)
    method = BregmanDouglasRachford()
    result = optlab.solve(problem, method, tol=1e-6, max_iter=4000)
    state = method.init(problem, result.solution, None)
    np.testing.assert_array_equal(state.z, result.solution.mirror)


def test_projection_needs_few_iterations_at_the_best_step_size():
    rng = np.random.default_rng(0)
    problem = SimplexProjection(rng.random(20))
    counts = {}
    for step_size in (1.0, 30.0):
        result = optlab.solve(problem, BregmanDouglasRachford(step_size), tol={"distance": 1e-8}, max_iter=20000)
        assert result.success
        counts[step_size] = result.n_iter
    assert counts[30.0] < 300
    assert counts[1.0] > 3 * counts[30.0]


def test_peaceman_rachford_fails_on_the_linear_program():
    problem = CappedSimplexProgram(data(1, 30)[1], 3.0 / 30)
    fine = optlab.solve(problem, BregmanDouglasRachford(), tol=1e-8, max_iter=3000)
    failing = optlab.solve(problem, BregmanPeacemanRachford(), tol=1e-8, max_iter=3000)
    assert fine.success
    assert not failing.success
    assert failing.history["gap"][-20:].max() > 1e-3


def test_burg_leaves_its_domain_at_large_step_sizes():
    q = data(0, 20)[0]
    problem = ItakuraSaitoOnSimplex(q / q.sum() * 1.5)
    assert optlab.solve(problem, BregmanDouglasRachford(1.0), tol=1e-8).success
    failing = optlab.solve(problem, BregmanDouglasRachford(10.0), tol=1e-8)
    assert failing.status is optlab.Status.DIVERGED
    assert "range condition" in failing.message
    with pytest.raises(DomainError, match="reduce step_size"):
        list(itertools.islice(optlab.iterate(problem, BregmanDouglasRachford(10.0)), 20))


def test_kullback_leibler_contracts_as_proved():
    # relative constants L = mu = t: the distance in the kernel shrinks by at least 1 / (1 + step t) each iteration
    problem = build("kullback-leibler")
    kernel, reference = problem.kernel, problem.reference
    for step in (0.3, 1.0 / 0.7):
        previous = None
        for k, state in enumerate(optlab.iterate(problem, BregmanDouglasRachford(step))):
            if k == 0:
                continue
            value = kernel.divergence(reference, kernel.conjugate_gradient(state.x))
            if previous is not None and previous > 1e-12:
                assert value <= previous / (1.0 + step * 0.7) * (1 + 1e-9)
            previous = value
            if k == 25:
                break


def test_poisson_without_cost_is_proportional_to_the_counts():
    q = data(5)[0]
    for kernel in ("shannon", "burg"):
        np.testing.assert_allclose(PoissonOnSimplex(q, total=3.0, kernel=kernel).reference, 3 * q / q.sum(), rtol=1e-13)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_linear_minima_agree_with_linear_programming(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 7))
    c, normal = rng.standard_normal((2, n))
    normal[rng.random(n) < 0.2] = 0.0
    if not np.any(normal):
        normal[0] = 1.0
    lower = -rng.random(n)
    upper = lower + rng.random(n) + 0.1
    offset = float(normal @ (lower + rng.random(n) * (upper - lower)))
    answer = linprog(c, A_eq=normal[None], b_eq=[offset], bounds=np.stack([lower, upper], axis=1), method="highs")
    assert box_hyperplane_minimum(c, lower, upper, normal, offset) == pytest.approx(answer.fun, abs=1e-9)
    caps = upper - lower
    total = float(caps.sum() * rng.random())
    answer = linprog(c, A_eq=np.ones((1, n)), b_eq=[total], bounds=[(0, u) for u in caps], method="highs")
    x = capped_simplex_minimizer(c, caps, total)
    assert x.sum() == pytest.approx(total)
    assert c @ x == pytest.approx(answer.fun, abs=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PoissonOnSimplex([1.0, 0.0]), r"q must be positive, got 0.0 at index \[1\]"),
        (lambda: PoissonOnSimplex([1.0, np.nan]), "q must be finite"),
        (lambda: PoissonOnSimplex([1.0, 2.0], [1.0, 2.0, 3.0]), r"cost must have shape \(2,\)"),
        (lambda: PoissonOnSimplex([1.0], weight=0.0), "weight must be a number above 0"),
        (lambda: PoissonOnSimplex([1.0], total=-1.0), "total must be a number above 0"),
        (lambda: PoissonOnSimplex([1.0], kernel="shanon"), "did you mean 'shannon'"),
        (lambda: ItakuraSaitoOnSimplex([-1.0]), "q must be positive"),
        (lambda: ItakuraSaitoOnSimplex([1.0], cost=np.inf), "cost must be a number"),
        (lambda: SimplexProjection([]), "q must not be empty"),
        (lambda: SimplexProjection([[1.0]]), "q must have 1 dimension"),
        (lambda: KullbackLeiblerOnCappedSimplex([1.0, 1.0], 0.3), "total must be at most the sum of the caps"),
        (lambda: KullbackLeiblerOnCappedSimplex([1.0, 1.0], [1.0, -1.0]), "upper must be positive"),
        (lambda: CappedSimplexProgram([1.0, 2.0], 0.1), "total must be at most the sum of the caps"),
        (lambda: CappedSimplexProgram([np.inf, 2.0], 1.0), "cost must be finite"),
        (lambda: BoxQuadraticWithEquality([1.0, 1.0], [0.0, 0.0], 1.0), "normal must not be zero"),
        (lambda: BoxQuadraticWithEquality([1.0, 1.0], [1.0, 1.0], 3.0), "offset must be strictly between 0 and 2"),
        (lambda: BoxQuadraticWithEquality([1.0], [1.0], 0.5, 1.0, 0.0), r"lower must be below upper.*index \[0\]"),
        (lambda: BoxQuadraticWithEquality([1.0], [1.0, 2.0], 0.5), r"normal must have shape \(1,\)"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
