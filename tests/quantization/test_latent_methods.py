"""Methods with latent weights: equal to their textbook loops, to each other in the limits, and at the optimum."""

from __future__ import annotations

import numpy as np
import pytest

import optlab
from optlab.bregman.functions import Logistic
from optlab.composite import CompositeProblem
from optlab.firstorder import FISTA, GradientDescent
from optlab.quantization import (
    PARQ,
    AggregateProx,
    Annealing,
    BinaryRelax,
    PiecewiseAffine,
    ProximalSteps,
    StraightThrough,
    by_rows,
    least_squares_grid,
    nearest,
    soft_round,
)
from optlab.stochastic import NGN, SGD, Adam, Decaying, LeastSquares, LogisticRegression
from optlab.wrappers import Averaged

RNG = np.random.default_rng(0)
A = RNG.normal(size=(60, 12))
B = A @ np.round(RNG.normal(size=12)) + 0.1 * RNG.normal(size=60)
PROBLEM = LeastSquares(A, B)
PSI = PiecewiseAffine([0.0, 0.5, 1.0, 2.0], [0.02, 0.05, 0.1])


def run(method, n, **options):
    return optlab.solve(PROBLEM, method, max_iter=n, seed=0, progress=False, record=options.pop("record", n), **options)


def test_aggregate_prox_is_weighted_dual_averaging():
    n, schedule = 50, Decaying(0.05)
    x0 = RNG.normal(size=12).clip(-1, 1)
    order = np.random.default_rng(0).integers(0, 60, size=n)
    w, total, gradients = x0.copy(), 0.0, np.zeros(12)
    for k in range(n):
        eta = 0.05 / np.sqrt(k + 1)
        gradients += eta * (A[order[k]] @ w - B[order[k]]) * A[order[k]]
        total += eta
        # argmin <sum eta g, w> + total psi(w) + ||w - w0||^2 / 2
        w = PSI.proximal(x0 - gradients, total)
    found = run(AggregateProx(SGD(schedule), PSI), n, x0=x0)
    np.testing.assert_allclose(found.solution, w, atol=1e-13)
    assert set(found.history.columns) >= {"on_grid", "regularizer"}


def test_the_first_steps_of_both_proximal_methods_agree():
    x0 = RNG.normal(size=12).clip(-1, 1)
    first, second = (run(cls(SGD(0.05), PSI), 1, x0=x0).solution for cls in (AggregateProx, ProximalSteps))
    assert np.array_equal(first, second)


def test_proximal_steps_of_the_full_gradient_end_at_the_optimum():
    problem = CompositeProblem(_mean_squares(), PSI)
    best = optlab.solve(problem, FISTA(restart="gradient"), tol=1e-12, max_iter=5000, progress=False)
    step = 1.0 / float(np.linalg.eigvalsh(A.T @ A / 60)[-1])
    found = run(ProximalSteps(SGD(step, batch_size=60), PSI), 3000)
    np.testing.assert_allclose(found.solution, np.asarray(best.solution), atol=1e-8)
    lazy = run(AggregateProx(SGD(Decaying(5.0), batch_size=60), PSI), 3000)
    np.testing.assert_allclose(lazy.solution, np.asarray(best.solution), atol=2e-2)
    pattern = PSI.on_grid(np.asarray(best.solution).round(9))
    assert np.array_equal(PSI.on_grid(lazy.solution), pattern)


def _mean_squares():
    from optlab.bregman.functions import LeastSquares as Term

    return Term(A / np.sqrt(60), B / np.sqrt(60))


def test_straight_through_is_the_textbook_loop():
    n, grid = 80, np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    order = np.random.default_rng(0).integers(0, 60, size=n)
    u = np.zeros(12)
    for k in range(n):
        w = nearest(u, grid)
        u = u - 0.02 * (A[order[k]] @ w - B[order[k]]) * A[order[k]]
    found = run(StraightThrough(SGD(0.02), grid=grid), n)
    np.testing.assert_array_equal(found.solution, nearest(u, grid))
    assert found.history["on_grid"][-1] == 1.0


@pytest.mark.parametrize("base", [SGD(0.02, momentum=0.9), Adam(0.05), NGN(0.5)])
def test_hard_parq_is_straight_through_bit_for_bit(base):
    options = {"bits": 2, "refresh": 3}
    hard = run(PARQ(base, annealing=Annealing(0), **options), 60)
    straight = run(StraightThrough(base, **options), 60)
    assert np.array_equal(hard.solution, straight.solution)
    assert len(np.unique(np.abs(hard.solution))) <= 2


def test_parq_refreshes_its_grid_and_hardens():
    result = run(PARQ(SGD(0.02), bits=2, annealing=Annealing(60, start=10), refresh=5), 80, record=1)
    s, on = result.history["inverse_slope"], result.history["on_grid"]
    assert s[0] == 1.0
    assert np.all(np.diff(s) <= 0)
    assert s[-1] == 0.0
    assert on[5] == 0.0  # weights are not mapped yet
    assert on[-1] == 1.0


def test_groups_have_grids_of_their_own_and_some_none():
    groups = by_rows((3, 4))
    groups[-1] = -1
    result = run(StraightThrough(SGD(0.01), bits=1, groups=groups), 40)
    w = result.solution
    assert [len(np.unique(np.abs(w[groups == g]))) for g in range(3)] == [1, 1, 1]
    assert abs(w[-1]) not in np.abs(w[:-1])
    with pytest.raises(ValueError, match="one entry per weight"):
        run(StraightThrough(SGD(0.01), groups=[0, 1]), 1)
    with pytest.raises(ValueError, match="at least -1"):
        StraightThrough(SGD(0.01), groups=[-2])


def test_binary_relax_grows_hard():
    result = run(BinaryRelax(SGD(0.01), grid=[-2.0, -1.0, 0.0, 1.0, 2.0], end=30), 40, record=1)
    assert result.history["on_grid"][-1] == 1.0
    assert result.history["on_grid"][20] < 1.0


def test_runs_can_be_cut_resumed_and_wrapped(tmp_path):
    method = PARQ(SGD(0.02, momentum=0.5), bits=2, annealing=Annealing(30), refresh=7)
    whole = run(method, 40)
    path = tmp_path / "run.npz"
    run(method, 23, checkpoint=path)
    assert np.array_equal(run(method, 40, checkpoint=path).solution, whole.solution)
    assert np.isfinite(run(Averaged(method), 10).metrics["objective"])


def test_around_a_deterministic_method():
    problem = CompositeProblem(_mean_squares())
    method = StraightThrough(GradientDescent(), grid=[-2.0, -1.0, 0.0, 1.0, 2.0])
    result = optlab.solve(problem, method, max_iter=50, progress=False)
    assert set(np.asarray(result.solution)) <= {-2.0, -1.0, 0.0, 1.0, 2.0}


def test_what_cannot_be_wrapped_is_refused():
    with pytest.raises(TypeError, match="regularizer must be a PiecewiseAffine"):
        AggregateProx(SGD(0.1), 0.5)
    with pytest.raises(TypeError, match="must be an instance"):
        PARQ(SGD)
    with pytest.raises(TypeError, match="annealing must be"):
        PARQ(SGD(0.1), annealing=100)


def test_more_quantized_than_proximal_sgd_at_the_end():
    data = optlab.datasets.breast_cancer()
    X = data[0] / np.linalg.norm(data[0], axis=1).max()
    problem = LogisticRegression(X, data[1])
    psi = PiecewiseAffine([0.0, 0.5, 1.0, 1.5, 2.0], [0.001, 0.003, 0.005, 0.007])
    lazy, plain = (
        optlab.solve(problem, cls(SGD(Decaying(20.0)), psi), max_iter=20_000, seed=0, record=20_000, progress=False)
        for cls in (AggregateProx, ProximalSteps)
    )
    assert lazy.history["on_grid"][-1] >= 0.9
    assert plain.history["on_grid"][-1] <= 0.3
    smooth = CompositeProblem((1.0 / len(X)) * Logistic(X, np.where(data[1] > 0, 1.0, -1.0)), psi)
    best = optlab.solve(smooth, FISTA(restart="gradient"), tol=1e-10, max_iter=20_000, progress=False)
    gap = smooth.objective(lazy.solution) - smooth.objective(np.asarray(best.solution))
    assert 0 <= gap < 5e-3


def test_the_map_between_is_the_least_squares_grid():
    u = RNG.normal(size=12)
    result = run(PARQ(SGD(0.0 + 1e-12), bits=2, annealing=Annealing(2)), 1, x0=u)
    np.testing.assert_allclose(result.solution, soft_round(u, least_squares_grid(u, 2), 0.5), atol=1e-9)
