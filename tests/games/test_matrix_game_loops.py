"""Compiled loops of matrix games beside NumPy, restarted PDHG beside linear programming."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numba import njit

import optlab
from optlab.bregman.projections import project_simplex
from optlab.core.errors import IncompatibleError
from optlab.games import MatrixGame, PrimalDualGame, RegretMatchingPlus, SaddlePoint
from optlab.games.kernels.matrix_games import project

SIZES = [(1, 1), (1, 4), (3, 2), (40, 30), (150, 130)]
_project = njit(project)


def payoff(n, m, seed=0):
    return np.random.default_rng([seed, n, m]).normal(size=(n, m))


def run(game, method, n, **options):
    return optlab.solve(game, method, max_iter=n, tol=None, progress=False, **options)


@settings(deadline=None)  # the first call compiles
@given(arrays(float, st.integers(1, 12), elements=st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0, 0.5])))
def test_the_projection_is_that_of_the_house(v):
    found = v.copy()
    _project(found)
    np.testing.assert_allclose(found, project_simplex(v), rtol=0, atol=1e-9)


def regret_matching(M, K, predictive, alternating):
    """The textbook's loop."""

    def played(R, u, x):
        gain = u - u @ x
        R = np.maximum(R + gain, 0)
        shown = np.maximum(R + gain, 0) if predictive else R
        return R, shown / shown.sum() if shown.sum() > 0 else np.full(R.size, 1 / R.size)

    n, m = M.shape
    R, S, x, y = np.zeros(n), np.zeros(m), np.full(n, 1 / n), np.full(m, 1 / m)
    X, Y = np.zeros(n), np.zeros(m)
    for k in range(K):
        X, Y = X + (k + 1) * x, Y + (k + 1) * y
        before = x
        R, x = played(R, -M @ y, x)
        S, y = played(S, (x if alternating else before) @ M, y)
    return np.concatenate([X, Y]) / (K * (K + 1) / 2)


@pytest.mark.parametrize("predictive", [True, False])
@pytest.mark.parametrize("alternating", [True, False])
@pytest.mark.parametrize("shape", SIZES)
def test_regret_matching_is_the_textbooks(shape, predictive, alternating):
    M = payoff(*shape)
    result = run(MatrixGame(M), RegretMatchingPlus(predictive, alternating), 60)
    np.testing.assert_allclose(np.asarray(result.solution), regret_matching(M, 60, predictive, alternating), atol=1e-10)


@pytest.mark.parametrize("shape", SIZES)
def test_pdhg_is_the_textbooks(shape):
    M, (n, m) = payoff(*shape), shape
    game = MatrixGame(M)
    t = 1 / game.euclidean_lipschitz if game.euclidean_lipschitz > 0 else 1.0
    x, y, total = np.full(n, 1 / n), np.full(m, 1 / m), np.zeros(n + m)
    for _ in range(50):
        after = project_simplex(x - t * M @ y)
        x, y = after, project_simplex(y + t * (2 * after - x) @ M)
        total += np.concatenate([x, y])
    result = run(game, PrimalDualGame(restarts=False), 50)
    np.testing.assert_allclose(np.asarray(result.solution), total / 50, atol=1e-10)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (20, 20), (60, 40)])
@pytest.mark.parametrize("layout", ["C", "F"])
def test_restarted_pdhg_finds_the_value_of_the_linear_program(shape, layout):
    game = MatrixGame(np.asarray(payoff(*shape, seed=3), order=layout) + 5.0)
    result = optlab.solve(game, PrimalDualGame(), tol=1e-11, max_iter=60_000, progress=False)
    assert result.success
    value = game.reference_solution()[0]
    slack = 1e-9 * max(game.spread, 1.0)
    assert result.metrics["value_lower"] - slack <= value <= result.metrics["value_upper"] + slack


def test_restarts_are_worth_a_thousandfold():
    game = MatrixGame(payoff(50, 50))
    gaps = [run(game, PrimalDualGame(restarts=r), 3000).metrics["gap"] for r in (True, False)]
    assert gaps[0] < 1e-3 * gaps[1]


@pytest.mark.parametrize("method", [PrimalDualGame(), PrimalDualGame(every=7), RegretMatchingPlus()])
def test_any_record_interval_gives_the_same_run_and_states_are_left_alone(method):
    game = MatrixGame(payoff(12, 9))
    assert np.array_equal(
        np.asarray(run(game, method, 180, record=1).solution), np.asarray(run(game, method, 180, record=180).solution)
    )
    state = method.init(game, game.default_start(None), None)
    first, second = (method.advance(game, state, 40) for _ in range(2))
    assert np.array_equal(np.asarray(method.iterate(game, first)), np.asarray(method.iterate(game, second)))


def test_the_callers_matrix_is_left_alone_and_other_problems_are_refused():
    M = payoff(6, 5)
    before = M.copy()
    run(MatrixGame(M), PrimalDualGame(), 100)
    assert np.array_equal(M, before)
    with pytest.raises(IncompatibleError, match="needs a matrix game"):
        run(SaddlePoint([[1.0]]), PrimalDualGame(), 1)
    with pytest.raises(ValueError, match="share"):
        PrimalDualGame(share=1.0)
    with pytest.raises(ValueError, match="every"):
        PrimalDualGame(every=0)
