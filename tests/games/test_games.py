"""Games: equilibria against linear programs and fixed points, equal methods, counts, certificates, refusals."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

import optlab
from optlab.core.errors import IncompatibleError
from optlab.datasets import blotto_game, gaussian_game, rock_paper_scissors, wine_tournament
from optlab.games import (
    EGPO,
    GRAAL,
    Extragradient,
    FastExtragradient,
    ForwardReflectedBackward,
    MagneticMirrorDescent,
    MatrixGame,
    NashMirrorDescent,
    NashMirrorProx,
    OptimisticGradient,
    PreferenceGame,
    RegretMatchingPlus,
    SaddlePoint,
)
from optlab.splitting import BregmanDouglasRachford
from optlab.wrappers import Averaged, Restarted


def run(problem, method, n, **options):
    return optlab.solve(problem, method, max_iter=n, progress=False, **{"tol": None, **options})


# ---------------------------------------------------------------------- matrix games


@pytest.mark.parametrize("payoff", [gaussian_game(8, 5, 1), blotto_game(4), rock_paper_scissors(0.3, 2)])
@pytest.mark.parametrize("method", [Extragradient(), OptimisticGradient(), ForwardReflectedBackward(), GRAAL()])
def test_equilibria_are_those_of_the_linear_program(payoff, method):
    game = MatrixGame(payoff)
    result = run(game, method, 60_000, tol=1e-7)
    assert result.success
    value, _, _ = game.reference_solution()
    assert result.metrics["value_lower"] - 1e-12 <= value <= result.metrics["value_upper"] + 1e-12
    x, y = result.solution.x, result.solution.y
    assert x.sum() == pytest.approx(1.0)
    assert min(x.min(), y.min()) >= 0.0
    gap = np.max(x @ payoff) - np.min(payoff @ y)
    assert result.metrics["relative_gap"] == pytest.approx(gap / np.ptp(payoff), abs=1e-15)


@pytest.mark.parametrize("method", [Extragradient(), OptimisticGradient()])
def test_the_entropic_geometry_reaches_the_same_equilibrium(method):
    payoff = gaussian_game(6, 7, 3)
    result = run(MatrixGame(payoff, "entropy"), method, 60_000, tol=1e-6)
    assert result.success
    assert result.metrics["value_lower"] <= MatrixGame(payoff).reference_solution()[0] + 1e-9


def test_one_game_for_operators_and_splittings():
    game = MatrixGame([[0.0, 2.0], [1.0, 0.0]])
    split = optlab.solve(game, BregmanDouglasRachford(), tol=1e-9, progress=False)
    assert split.success
    assert split.metrics["relative_gap"] <= 1e-9
    shifted = MatrixGame(np.array([[0.0, 2.0], [1.0, 0.0]]) + 100.0)
    assert shifted.lipschitz == pytest.approx(game.lipschitz, rel=1e-9)
    assert run(shifted, OptimisticGradient(), 5000, tol=1e-8).success
    constant = run(MatrixGame(np.full((2, 3), 4.0)), Extragradient(), 3, tol=1e-9)
    assert constant.success


@pytest.mark.parametrize("predictive", [True, False])
@pytest.mark.parametrize("alternating", [True, False])
def test_regret_matching(predictive, alternating):
    payoff = gaussian_game(10, 12, 0)
    game = MatrixGame(payoff)
    method = RegretMatchingPlus(predictive, alternating)
    gaps = [run(game, method, n).metrics["gap"] for n in (100, 10_000)]
    assert gaps[1] < gaps[0] / 5
    assert gaps[1] <= game.spread * (np.sqrt(10) + np.sqrt(12)) / np.sqrt(10_000)
    with pytest.raises(IncompatibleError, match="needs a matrix game"):
        run(SaddlePoint([[1.0]]), method, 1)


# ---------------------------------------------------------------------- saddle points


def saddle(seed, strong=0.0):
    rng = np.random.default_rng(seed)
    B, b, c = rng.normal(size=(4, 3)), rng.normal(size=4), rng.normal(size=3)
    return SaddlePoint(B, strong * np.eye(4), strong * np.eye(3), b, c)


METHODS = [Extragradient(), OptimisticGradient(), ForwardReflectedBackward(), GRAAL(), FastExtragradient()]


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_saddle_points_are_the_zeros_of_the_operator(method):
    problem = saddle(0, strong=1.0)
    exact = np.linalg.solve(problem.jacobian, -problem.offset)
    result = run(problem, method, 4000)
    slow = isinstance(method, FastExtragradient)  # 1/N, whatever the modulus
    np.testing.assert_allclose(result.solution, exact, atol=1e-2 if slow else 1e-7)
    assert result.metrics["gap"] <= 1e-3 if slow else 1e-12


def test_the_gap_is_exact():
    problem = saddle(1, strong=0.7)
    z = np.random.default_rng(0).normal(size=7)
    x, y = z[:4], z[4:]

    def value(x, y):
        quadratic = 0.5 * x @ problem.A @ x + x @ problem.B @ y - 0.5 * y @ problem.C @ y
        return quadratic + problem.b @ x - problem.c @ y

    best_y = np.linalg.solve(problem.C, problem.B.T @ x - problem.c)
    best_x = np.linalg.solve(problem.A, -(problem.B @ y + problem.b))
    assert problem.measure(z)["gap"] == pytest.approx(value(x, best_y) - value(best_x, y))
    assert "gap" not in saddle(1).measure(z)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_popov_without_constraints_is_forward_reflected_backward(seed):
    problem = saddle(seed, 0.1)
    x0 = np.random.default_rng(seed).normal(size=7)
    step = 0.3 / problem.lipschitz
    # z of FRB is the half point of Popov: z_1 = z_0 - 1 gamma F(z_0) there, h_1 = z_0 - gamma F(z_0) here
    popov, z, half = OptimisticGradient(step), x0, x0
    frb = [s.z for s in islice(optlab.iterate(problem, ForwardReflectedBackward(step), x0=x0), 12)]
    value = problem.operator(x0)
    for k in range(1, 12):
        half = z - popov.step_size * value
        np.testing.assert_allclose(half, frb[k], atol=1e-10)
        value = problem.operator(half)
        z = z - popov.step_size * value


def test_the_residual_bound_of_fast_extragradient_and_its_edge():
    problem = SaddlePoint(np.diag([1.0, 0.3]))
    x0 = np.array([1.0, 0.5, -0.3, 0.8])
    distance = np.linalg.norm(x0)
    for n in (2, 10, 100, 400):
        assert run(problem, FastExtragradient(), n, x0=x0).metrics["residual"] <= 2 * distance / n + 1e-12
    assert run(problem, FastExtragradient(1.02), 400, x0=x0).metrics["residual"] > 10 * 2 * distance / 400


def test_counts_of_the_operator():
    problem = saddle(2)
    for method, calls in ((Extragradient(), 20), (OptimisticGradient(), 11), (GRAAL(), 10), (FastExtragradient(), 20)):
        assert run(problem, method, 10).history["oracle_calls"][-1] == calls


def test_wrappers_go_around():
    game = MatrixGame(rock_paper_scissors())
    averaged = run(game, Averaged(Extragradient(0.2)), 2000, x0=[0.8, 0.1, 0.1, 0.1, 0.8, 0.1])
    assert averaged.metrics["gap"] < 0.02
    assert np.isfinite(run(saddle(3, 0.1), Restarted(FastExtragradient()), 200).metrics["residual"])


def test_refusals_and_arguments():
    game = MatrixGame(rock_paper_scissors(), "entropy")
    with pytest.raises(IncompatibleError, match="averages points"):
        run(game, GRAAL(), 1)
    with pytest.raises(IncompatibleError, match="without constraints"):
        run(game, FastExtragradient(), 1)
    with pytest.raises(ValueError, match="A must be positive semidefinite"):
        SaddlePoint([[1.0]], A=[[-1.0]])
    with pytest.raises(ValueError, match="geometry"):
        MatrixGame([[1.0]], "round")
    with pytest.raises(ValueError, match="x0 must have shape"):
        run(saddle(0), Extragradient(), 1, x0=[1.0])


# ---------------------------------------------------------------------- preference games


def preferences(seed, n=6):
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.random((n, n)), 1)
    P = upper + np.tril(1 - upper.T, -1)
    np.fill_diagonal(P, 0.5)
    return P, rng.dirichlet(np.ones(n))


def equilibrium(game):
    """The fixed point pi ~ rho exp(P pi / beta), by damped iteration."""
    pi = game.default_start(None)
    for _ in range(20_000):
        best = softmax(game.log_reference + game.P @ pi / game.beta)
        following = np.exp(0.98 * np.log(pi) + 0.02 * np.log(best))
        following /= following.sum()
        if np.abs(following - pi).max() < 1e-16:
            break
        pi = following
    return pi


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("method", [NashMirrorProx(), NashMirrorProx(queries=1), EGPO(), EGPO(0.8)])
def test_preference_equilibria(seed, method):
    P, rho = preferences(seed)
    game = PreferenceGame(P, rho, beta=0.3)
    star = equilibrium(game)
    result = run(game, method, 3000, tol=1e-12)
    assert result.success
    np.testing.assert_allclose(result.solution, star, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 2.0))
def test_the_bound_on_the_divergence_is_one(seed, beta):
    P, rho = preferences(seed % 50, 5)
    game = PreferenceGame(P, rho, beta)
    star = optlab.solve(game, NashMirrorProx(), tol=1e-14, max_iter=5000, progress=False).solution
    policy = np.random.default_rng(seed).dirichlet(np.ones(5))
    kl = float(np.sum(policy * (np.log(policy) - np.log(star))))
    assert kl <= game.measure(policy)["kl_bound"] * (1 + 1e-9) + 1e-9


def test_linear_convergence_at_the_stated_rate():
    P, rho = preferences(7)
    game = PreferenceGame(P, rho, beta=0.1)
    star = equilibrium(game)
    method = NashMirrorProx()
    h = method.implicit_step(game)
    start = np.full(6, 1 / 6)
    states = [run(game, method, n, x0=start).solution for n in (0, 5, 20, 40)]
    divergence = [float(np.sum(star * (np.log(star) - np.log(p)))) for p in states]
    for n, d in zip((5, 20, 40), divergence[1:]):
        assert d <= divergence[0] / (1 + h * game.beta) ** n + 1e-12


def test_nash_mirror_descent_comes_near_and_queries_are_counted():
    P, rho = preferences(1)
    game = PreferenceGame(P, rho, beta=0.5)
    result = run(game, NashMirrorDescent(0.05), 3000)
    assert result.metrics["kl_bound"] < 1e-3
    assert result.history["oracle_calls"][-1] == 3000
    assert run(game, NashMirrorProx(), 10).history["oracle_calls"][-1] == 20
    assert run(game, NashMirrorProx(queries=1), 10).history["oracle_calls"][-1] == 11
    explicit, implicit = EGPO(1.0), NashMirrorProx(1.0 / (1 - 0.5))
    np.testing.assert_array_equal(run(game, explicit, 20).solution, run(game, implicit, 20).solution)


def test_preferences_are_checked():
    with pytest.raises(ValueError, match=r"P\[0, 1\] \+ P\[1, 0\] is 1.2"):
        PreferenceGame([[0.5, 0.6], [0.6, 0.5]])
    with pytest.raises(ValueError, match="positive everywhere"):
        PreferenceGame(np.full((2, 2), 0.5), [1.0, 0.0])
    with pytest.raises(IncompatibleError, match="below 1 / beta"):
        run(PreferenceGame(np.full((2, 2), 0.5), beta=1.0), EGPO(2.0), 1)


@pytest.mark.parametrize("beta", [0.05, 0.3, 1.0])
def test_magnetic_descent_contracts_at_its_proved_step_and_rotates_beyond(beta):
    game = PreferenceGame([[0.5, 1.0, 0.0], [0.0, 0.5, 1.0], [1.0, 0.0, 0.5]], [0.6, 0.3, 0.1], beta)
    star = optlab.solve(game, NashMirrorProx(), tol=1e-15, max_iter=5000, progress=False).solution
    states = list(islice(optlab.iterate(game, MagneticMirrorDescent(), x0=[0.1, 0.1, 0.8]), 60))
    kl = np.array([float(star @ (np.log(star) - s.log_policy)) for s in states])
    kept = kl[:-1] > 1e-7
    assert np.all(kl[1:][kept] * (1 + 4 * beta**2) <= kl[:-1][kept] * (1 + 1e-4))
    if beta == 0.05:
        far = optlab.solve(
            game, MagneticMirrorDescent(2.0), x0=[0.1, 0.1, 0.8], max_iter=2000, tol=None, progress=False
        )
        assert far.metrics["kl_bound"] > 0.1


def test_the_wine_tournament_is_intransitive_and_solved():
    P = wine_tournament()
    beats = (P > 0.5).astype(int)
    assert int(np.trace(beats @ beats @ beats)) // 3 == 23_243
    result = optlab.solve(PreferenceGame(P, None, 0.1), NashMirrorProx(), tol=1e-10, max_iter=200, progress=False)
    assert result.success
    assert result.metrics["exploitability"] <= 0.2 * np.log(178)
    assert result.metrics["exploitability"] == pytest.approx(0.287, abs=1e-3)
