"""Finite sums of operators and online streams: bounds, counts, equal textbook loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

import optlab
from optlab.bregman.functions import Box
from optlab.core.errors import IncompatibleError
from optlab.games import (
    Extragradient,
    FiniteSumInclusion,
    OnlineStream,
    OptimisticMirrorDescent,
    VarianceReducedHalpern,
)
from optlab.games.methods.variance_reduced_halpern import certified, certified_step, refresh_probability


def cocoercive(n, seed, d=8):
    rng = np.random.default_rng(seed)
    base = np.diag(np.geomspace(1e-3, 1.0, d))
    v = rng.normal(size=(n, d))
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    return FiniteSumInclusion(base + 0.5 * np.einsum("ni,nj->nij", v, v), 0.3 * rng.normal(size=(n, d)))


def test_the_constant_of_average_cocoercivity_is_the_smallest():
    problem = cocoercive(40, 0)
    rng = np.random.default_rng(1)
    L, ratios = problem.cocoercivity, []
    for _ in range(2000):
        d = rng.normal(size=8) * rng.uniform(0, 1, 8) ** 3
        left = np.mean(np.sum((problem.H @ d) ** 2, axis=1))
        ratios.append(left / float(d @ problem.mean_matrix @ d))
    assert 0.5 * L <= max(ratios) <= L * (1 + 1e-12)
    skew = FiniteSumInclusion(np.array([[[0.0, 1.0], [-1.0, 0.0]]]))
    assert math.isinf(skew.cocoercivity)
    with pytest.raises(IncompatibleError, match="cocoercive on average"):
        optlab.solve(skew, VarianceReducedHalpern(), max_iter=1)


def test_the_residual_stays_below_its_bound_in_the_mean():
    problem = cocoercive(100, 2)
    assert certified(100, 0.25, 100)
    star, runs, K = problem.solution(), [], 100
    x0 = star + np.ones(8)
    for seed in range(8):
        result = optlab.solve(problem, VarianceReducedHalpern(), x0=x0, max_iter=K, tol=None, seed=seed, progress=False)
        runs.append(result.metrics["residual"] ** 2)
    bound = 16 * problem.cocoercivity * np.sqrt(8) / K
    assert math.sqrt(np.mean(runs)) <= bound


@pytest.mark.parametrize("constrained", [False, True])
@pytest.mark.parametrize("n", [1, 4, 100, 2500])
def test_the_default_step_is_certified_for_long_runs_and_hardly_more_is(n, constrained):
    weights, K = np.geomspace(0.02, 5, 60), 200 * math.ceil(math.sqrt(n))
    step = certified_step(n, constrained)
    assert certified(n, step, K, weights, constrained)
    assert not certified(n, step + 0.015, K, weights, constrained)


def test_methods_that_know_no_components_run_on_the_mean_and_not_past_a_resolvent():
    problem = cocoercive(30, 6)
    result = optlab.solve(problem, Extragradient(), tol=1e-8, max_iter=50_000, progress=False)
    assert result.success
    np.testing.assert_allclose(result.solution, problem.solution(), atol=1e-3)
    boxed = FiniteSumInclusion(problem.H, problem.c, Box(-0.1, 0.1))
    with pytest.raises(IncompatibleError, match="would ignore the resolvent"):
        optlab.solve(boxed, Extragradient(), max_iter=1)


def test_components_are_counted_and_fewer_than_in_full():
    problem = cocoercive(400, 3)
    result = optlab.solve(problem, VarianceReducedHalpern(), max_iter=500, tol=None, seed=0, progress=False)
    calls = result.history["oracle_calls"][-1]
    assert calls < 0.5 * 500 * 400
    expected = 400 + sum(400 * p + (1 - p) * 40 for p in (refresh_probability(k + 1, 400) for k in range(500)))
    assert calls == pytest.approx(expected, rel=0.2)


def test_constraints_and_resuming():
    rng = np.random.default_rng(4)
    H = np.array([np.diag(rng.uniform(0.2, 1.0, 4)) for _ in range(150)])
    problem = FiniteSumInclusion(H, rng.normal([2.0, -2.0, 0.1, 0.0], size=(150, 4)), Box(-0.5, 0.5))
    exact = np.clip(np.linalg.solve(problem.mean_matrix, problem.mean_offset), -0.5, 0.5)  # diagonal: one at a time
    result = optlab.solve(problem, VarianceReducedHalpern(), tol=2e-3, max_iter=20_000, seed=0, progress=False)
    assert result.success
    np.testing.assert_allclose(result.solution, exact, atol=2e-2)
    half = optlab.solve(problem, VarianceReducedHalpern(), tol=None, max_iter=30, seed=5, progress=False)
    assert np.array_equal(
        half.solution,
        optlab.solve(problem, VarianceReducedHalpern(), tol=None, max_iter=30, seed=5, progress=False).solution,
    )


def test_operators_that_are_not_monotone_are_refused():
    with pytest.raises(ValueError, match="must be monotone"):
        FiniteSumInclusion([[[-1.0]]])
    with pytest.raises(TypeError, match="constraint must be a Function"):
        FiniteSumInclusion([[[1.0]]], constraint=0.5)


# ---------------------------------------------------------------------- streams


def play(stream, method=None, n=None):
    method = OptimisticMirrorDescent() if method is None else method
    return optlab.solve(stream, method, tol=None, max_iter=n or stream.rounds, record=1, progress=False)


@pytest.mark.parametrize("seed", range(5))
def test_the_regret_of_every_path_is_below_the_bound(seed):
    rng = np.random.default_rng(seed)
    drift = np.cumsum(rng.normal(size=(300, 4)), axis=0) * 0.05
    stream = OnlineStream(drift + rng.normal(size=(300, 4)), radius=1.5)
    result = play(stream)
    D, delta = 3.0, 4 * np.max(np.sum(stream.g**2, axis=1))
    Q = result.history["surprise"]
    bound = D * (np.sqrt(delta + Q[:-1]) / 2 + np.sqrt(Q[1:]))
    assert np.all(result.history["regret"][1:] <= bound + 1e-9)


def test_strongly_convex_losses():
    rng = np.random.default_rng(1)
    stream = OnlineStream(rng.normal(size=(500, 3)), radius=2.0, strong_convexity=0.5)
    result = play(stream)
    surprise = np.diff(result.history["surprise"])
    bound = np.cumsum(surprise / (0.5 * np.arange(1, 501)))
    assert np.all(result.history["regret"][1:] <= bound + 1e-9)


def test_regret_is_against_the_best_fixed_point():
    rng = np.random.default_rng(2)
    stream = OnlineStream(rng.normal(size=(40, 2)), radius=0.7)
    result = play(stream)
    grid = np.array(
        [[0.7 * r * np.cos(t), 0.7 * r * np.sin(t)] for r in (0.5, 1.0) for t in np.linspace(0, 2 * np.pi, 2000)]
    )
    best = float((grid @ stream.g.sum(axis=0)).min())
    total = result.solution[1]
    assert result.metrics["regret"] == pytest.approx(total - best, abs=1e-4)


def test_hints_help_where_losses_turn_slowly():
    angle = 0.3 * np.arange(600)
    stream = OnlineStream(np.stack([np.cos(angle), np.sin(angle)], axis=1))
    assert (
        play(stream).metrics["regret"] < -100 < 0 < play(stream, OptimisticMirrorDescent(hints=False)).metrics["regret"]
    )


def test_a_stream_that_has_ended_says_so():
    with pytest.raises(IndexError, match="the stream has 3 rounds"):
        play(OnlineStream(np.ones((3, 2))), n=4)
