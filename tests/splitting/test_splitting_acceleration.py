"""Halpern's iteration and Anderson's acceleration: textbook forms, bounds, safeguards, every split problem."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import optlab
from optlab import Status
from optlab.bregman import FermiDirac, Hellinger, ShannonEntropy, SquaredEuclidean
from optlab.bregman.functions import (
    Hyperplane,
    L1Norm,
    LeastSquares,
    SquaredDistance,
)
from optlab.core.contract.fixed_point import flattened
from optlab.datasets import transport_family
from optlab.splitting import (
    AndersonDouglasRachford,
    BregmanDouglasRachford,
    BregmanPeacemanRachford,
    CompositeProblem,
    Geometric,
    HalpernDouglasRachford,
    MonotoneInclusion,
)
from optlab.splitting.fixed_point import local_coordinates, residual_length
from optlab.splitting.problems import (
    BoxLeastSquares,
    CappedSimplexProgram,
    ItakuraSaitoOnSimplex,
    KullbackLeiblerOnCappedSimplex,
    Lasso,
    MatrixGame,
    PoissonOnSimplex,
    SimplexProjection,
)
from optlab.transport import MirrorPlan, OptimalTransport, Sinkhorn
from optlab.wrappers.anderson import anderson_coefficients, anderson_combination

ACCELERATED = [HalpernDouglasRachford, AndersonDouglasRachford]


def lasso() -> CompositeProblem:
    rng = np.random.default_rng(0)
    return CompositeProblem(L1Norm(0.3), LeastSquares(rng.normal(size=(8, 5)), rng.normal(size=8)), SquaredEuclidean())


def rotation(angle: float) -> MonotoneInclusion:
    """The reflected operator turns the plane by `angle` at step size tan(angle / 2)."""
    S = np.array([[0.0, -1.0], [1.0, 0.0]])
    return MonotoneInclusion(
        lambda mirror, step: np.linalg.solve(np.eye(2) + step * S, mirror),
        lambda mirror, step: mirror,
        SquaredEuclidean(),
        shape=2,
    )


# ------------------------------------------------------------------------------------------------ Halpern


@pytest.mark.parametrize("relaxation", [0.7, 1.0, 2.0])
def test_it_is_the_textbook_iteration(relaxation):
    problem, gamma = lasso(), 0.4
    plain = BregmanDouglasRachford(gamma, relaxation)
    z0 = z = np.linspace(-1, 1, 5)
    method = HalpernDouglasRachford(gamma, relaxation, restart=None)
    for k, state in zip(range(30), optlab.iterate(problem, method, x0=z0)):
        np.testing.assert_allclose(state.inner.z, z, atol=1e-12)
        image = plain.step(problem, plain.init(problem, z, None)).z
        z = z0 / (k + 2) + (k + 1) / (k + 2) * image


def test_a_restart_of_one_is_the_plain_iteration():
    problem = lasso()
    plain = optlab.iterate(problem, BregmanDouglasRachford(0.4, 1.5))
    for k, (a, b) in enumerate(zip(plain, optlab.iterate(problem, HalpernDouglasRachford(0.4, 1.5, restart=1)))):
        assert np.array_equal(a.z, b.inner.z)
        assert b.restarts == k
        if k == 20:
            break


@settings(deadline=None, derandomize=True, max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 6), st.sampled_from([0.5, 1.0, 2.0]), st.sampled_from([0.1, 1.0, 30.0]))
def test_lieders_bound_on_random_monotone_operators(seed, n, relaxation, gamma):
    rng = np.random.default_rng(seed)
    skew, root = rng.standard_normal((n, n)), rng.standard_normal((n, n))
    M = skew - skew.T + 0.1 * root @ root.T
    problem = MonotoneInclusion(
        lambda mirror, step: np.linalg.solve(np.eye(n) + step * M, mirror),
        lambda mirror, step: np.clip(mirror, -1.0, 1.0),  # N of a box: zero is a solution, and z* = 0 a fixed point
        SquaredEuclidean(),
        shape=n,
    )
    z0 = 3.0 * rng.standard_normal(n)
    method = HalpernDouglasRachford(gamma, relaxation, restart=None)
    for k, state in enumerate(itertools.islice(optlab.iterate(problem, method, x0=z0), 1, 60)):
        assert state.residual <= 2 * np.linalg.norm(z0) / (k + 1) + 1e-12


def test_it_converges_where_peaceman_rachford_turns_in_circles():
    problem, start = rotation(2.0), np.array([1.0, 0.0])
    gamma = float(np.tan(1.0))
    plain = optlab.solve(problem, BregmanPeacemanRachford(gamma), x0=start, max_iter=500)
    halpern = optlab.solve(problem, HalpernDouglasRachford(gamma), x0=start, max_iter=500)
    assert plain.metrics["residual"] > 0.1
    assert halpern.metrics["residual"] < 1e-2 * plain.metrics["residual"]


@pytest.mark.delicate
def test_restarts_make_the_rate_linear():
    problem, options = rotation(0.5), {"x0": np.array([1.0, 0.0]), "max_iter": 2000}
    gamma = float(np.tan(0.25))
    never = optlab.solve(problem, HalpernDouglasRachford(gamma, restart=None), **options)
    adaptive = optlab.solve(problem, HalpernDouglasRachford(gamma), **options)
    assert adaptive.metrics["restarts"] > 3
    assert adaptive.state.residual < 1e-6 < 1e-4 < never.state.residual


def test_changing_step_sizes_rescale_the_anchor():
    # started at a fixed point, a varying step size must not move x
    kernel, q = SquaredEuclidean(), np.array([2.0, 0.25])
    problem = CompositeProblem(Hyperplane([1.0, 1.0], 1.0), SquaredDistance(q), kernel)
    x = q - (q.sum() - 1.0) / 2
    z = x + 0.5 * (x - q)
    method = HalpernDouglasRachford(lambda k: 0.5 * 1.3**k, restart=None)
    for k, state in enumerate(optlab.iterate(problem, method, x0=z)):
        if k:
            np.testing.assert_allclose(state.image.x, x, atol=1e-12)
        if k == 20:
            break


@pytest.mark.delicate
def test_on_linear_transport_it_beats_the_plain_iteration_and_peaceman_rachford():
    problem = OptimalTransport(*transport_family("l2", 40))
    runs = {
        m: optlab.solve(problem, m, max_iter=1500)
        for m in (BregmanDouglasRachford(), BregmanPeacemanRachford(), HalpernDouglasRachford())
    }
    plain, reflected, halpern = (r.history["relative_gap"].min() for r in runs.values())
    assert halpern < plain / 3
    assert halpern < 1e-3 * reflected


# ------------------------------------------------------------------------------------------------ Anderson


def test_the_least_squares_combination():
    rng = np.random.default_rng(0)
    residuals = list(rng.standard_normal((4, 7)))
    c = anderson_coefficients(residuals)
    best = np.linalg.norm(anderson_combination(residuals, c))
    for _ in range(20):
        assert best <= np.linalg.norm(anderson_combination(residuals, c + 0.1 * rng.standard_normal(3))) + 1e-12
    assert anderson_coefficients(residuals[:1]) is None
    assert anderson_coefficients([residuals[0], residuals[0]]) is None
    assert anderson_coefficients([residuals[0], np.full(7, np.inf)]) is None


def test_combinations_of_mirror_points_are_combinations_of_their_numbers():
    rng = np.random.default_rng(1)
    points = [
        MirrorPlan(rng.standard_normal(3), rng.standard_normal(4), float(rng.standard_normal())) for _ in range(3)
    ]
    c = rng.standard_normal(2)
    combined = anderson_combination(points, c)
    np.testing.assert_allclose(flattened(combined), anderson_combination([flattened(p) for p in points], c))
    with pytest.raises(TypeError, match="local_coordinates"):
        flattened("text")


def test_a_plain_run_is_recovered_when_every_candidate_is_turned_away(monkeypatch):
    problem = lasso()
    kept = AndersonDouglasRachford._try
    monkeypatch.setattr(
        AndersonDouglasRachford,
        "_try",
        lambda self, problem, state: (None, 0.0) if state.extrapolated else kept(self, problem, state),
    )
    plain = optlab.iterate(problem, BregmanDouglasRachford(0.4))
    for k, (a, b) in enumerate(zip(plain, optlab.iterate(problem, AndersonDouglasRachford(0.4)))):
        np.testing.assert_array_equal(a.x, b.image.x)
        if k == 60:
            break
    assert b.rejected > 3
    assert b.oracle_calls == k + b.rejected
    assert b.accepted == 0


def test_the_largest_of_the_last_residuals_never_rises():
    problem = CompositeProblem(
        L1Norm(0.5),
        LeastSquares(np.random.default_rng(0).standard_normal((20, 40)), np.ones(20)),
        SquaredEuclidean(),
    )
    largest = []
    for k, state in enumerate(optlab.iterate(problem, AndersonDouglasRachford(0.1))):
        if k:
            largest.append(max(state.lengths))
        if k == 150:
            break
    assert np.all(np.diff(largest) <= 1e-12 * largest[0])
    assert state.accepted > 20


def test_it_is_much_faster_on_the_lasso():
    rng = np.random.default_rng(0)
    A, b = rng.standard_normal((20, 30)), rng.standard_normal(20)
    problem = CompositeProblem(L1Norm(0.5), LeastSquares(A, b), SquaredEuclidean())
    plain = optlab.solve(problem, BregmanDouglasRachford(0.1), tol=1e-9, max_iter=5000)
    fast = optlab.solve(problem, AndersonDouglasRachford(0.1), tol=1e-9, max_iter=5000)
    assert fast.history["oracle_calls"][-1] < plain.n_iter / 3
    np.testing.assert_allclose(np.asarray(fast.solution), np.asarray(plain.solution), atol=1e-7)


@pytest.mark.parametrize("family", ["l2", "gauss2d"])
def test_entropic_transport(family):
    problem = OptimalTransport(*transport_family(family, 40), regularization=0.003)
    plain = optlab.solve(problem, BregmanDouglasRachford(), tol=1e-9, max_iter=5000, record=5)
    fast = optlab.solve(problem, AndersonDouglasRachford(), tol=1e-9, max_iter=5000, record=5)
    sinkhorn = optlab.solve(problem, Sinkhorn(), tol=1e-9, max_iter=5000, record=20)
    assert fast.success
    assert fast.history["oracle_calls"][-1] < min(plain.n_iter, sinkhorn.n_iter / 5)
    assert fast.metrics["objective"] == pytest.approx(plain.metrics["objective"], rel=1e-8)


@pytest.mark.delicate
def test_on_linear_transport_it_does_no_harm():
    problem = OptimalTransport(*transport_family("l2", 40))
    plain = optlab.solve(problem, BregmanDouglasRachford(), max_iter=800)
    fast = optlab.solve(problem, AndersonDouglasRachford(), max_iter=800)
    assert fast.history["relative_gap"].min() < 1.5 * plain.history["relative_gap"].min()
    assert fast.history["oracle_calls"][-1] < 1.1 * fast.n_iter


def test_the_residual_of_transport_vanishes_although_potentials_grow():
    problem = OptimalTransport(*transport_family("sq2d", 12))
    state = next(itertools.islice(optlab.iterate(problem, BregmanDouglasRachford(20.0)), 3000, None))
    assert residual_length(problem, state.x, state.y) < 1e-6
    assert np.linalg.norm(local_coordinates(problem, state.y - state.x, state.x)) > 1.0
    # gauge: a constant moved from one potential to the other is no difference at all
    shifted = MirrorPlan(state.y.row + 3.0, state.y.column - 3.0, state.y.inverse_temperature)
    np.testing.assert_allclose(local_coordinates(problem, shifted - state.y, state.x), 0.0, atol=1e-9)


# ------------------------------------------------------------------------------------------------ both


def problems():
    rng = np.random.default_rng(3)
    yield PoissonOnSimplex(rng.random(6) + 0.1)
    yield SimplexProjection(rng.standard_normal(6))
    yield KullbackLeiblerOnCappedSimplex(rng.random(6) + 0.1, np.full(6, 0.4), rng.standard_normal(6))
    yield CappedSimplexProgram(rng.standard_normal(6), np.full(6, 0.4))
    yield MatrixGame(rng.standard_normal((4, 5)))
    yield Lasso(rng.standard_normal((8, 5)), rng.standard_normal(8), 0.3)
    yield BoxLeastSquares(rng.standard_normal((8, 5)), rng.standard_normal(8))
    for kernel in (SquaredEuclidean(), ShannonEntropy(), FermiDirac(), Hellinger()):
        q = kernel.default_point(5) + 0.2 * np.linspace(-1, 1, 5)
        normal = np.array([1.0, -0.5, 0.3, 0.8, -1.0])
        yield CompositeProblem(
            Hyperplane(normal, float(normal @ kernel.default_point(5)) + 0.05), SquaredDistance(q), kernel
        )


@pytest.mark.parametrize("method", ACCELERATED)
@pytest.mark.parametrize("problem", list(problems()), ids=lambda p: type(p).__name__)
def test_every_split_problem_is_solved(method, problem):
    result = optlab.solve(problem, method(), tol=1e-5, max_iter=20_000)
    assert result.success, result.message


@pytest.mark.parametrize("method", ACCELERATED)
@pytest.mark.parametrize("step_size", [2.0, Geometric(0.5, 1.05, 5.0), lambda k: 1.0 + 0.5 * (k % 2)])
def test_schedules_lead_to_the_same_solution(method, step_size):
    q, normal = np.linspace(-0.5, 1.5, 5), np.array([1.0, -0.5, 0.3, 0.8, -1.0])
    problem = CompositeProblem(Hyperplane(normal, 0.2), SquaredDistance(q), SquaredEuclidean())
    result = optlab.solve(problem, method(step_size), tol=1e-8, max_iter=5000)
    assert result.success, result.message
    np.testing.assert_allclose(
        np.asarray(result.solution), q - (normal @ q - 0.2) / (normal @ normal) * normal, atol=1e-6
    )


@pytest.mark.parametrize("method", ACCELERATED)
def test_the_operator_values_are_those_of_the_last_evaluation(method):
    # a + b = (x - y) / gamma, whatever z is averaged with
    problem, accelerated = lasso(), method(0.4)
    for k, state in enumerate(optlab.iterate(problem, accelerated)):
        if k:
            last = state.image
            a, b = accelerated.method.operator_values(last)
            np.testing.assert_allclose(a + b, (last.x - last.y) / 0.4, atol=1e-11)
            np.testing.assert_allclose(b, problem.g.gradient(last.x), atol=1e-9)
        if k == 40:
            break


@pytest.mark.parametrize("method", ACCELERATED)
def test_leaving_the_domain_ends_the_run_with_what_was_done(method):
    # reflections of Burg's mirror points may have no primal point (test_splitting_methods has the plain iteration)
    problem = ItakuraSaitoOnSimplex(np.array([0.2, 0.5, 2.0]))
    result = optlab.solve(problem, method(100.0), max_iter=100)
    assert result.status is Status.DIVERGED
    assert "range condition" in result.message
    assert np.isfinite(result.metrics["residual"])


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="did you mean 'adaptive'"):
        HalpernDouglasRachford(restart="adaptiv")
    with pytest.raises(ValueError, match="restart must be an integer of at least 1"):
        HalpernDouglasRachford(restart=0)
    with pytest.raises(ValueError, match="sufficient must be at most necessary"):
        HalpernDouglasRachford(sufficient=0.9)
    with pytest.raises(ValueError, match="relaxation must be a number"):
        HalpernDouglasRachford(relaxation=2.1)
    with pytest.raises(ValueError, match="memory must be an integer of at least 1"):
        AndersonDouglasRachford(memory=0)
    with pytest.raises(ValueError, match="safeguard must be"):
        AndersonDouglasRachford(safeguard=1.0)
    with pytest.raises(ValueError, match="step_size must be a number above 0"):
        AndersonDouglasRachford(step_size=-1.0)
