"""Value by value beside torchao 0.18.0, ``torchao.prototype.parq`` on torch 2.13.0, float64: its output as numbers.

Where the package is known to be off its own definitions, the numbers are controls: ours must differ, and be better.
"""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

import optlab
from optlab.quantization import PARQ, Annealing, least_squares_grid, nearest, relaxed, soft_round
from optlab.quantization.grids import greedy_scales
from optlab.stochastic import SGD, LeastSquares

U = np.array([-2.5, -1.62, -1.5, -0.9, -0.1, 0.0, 0.2, 0.31, 1.0, 1.38, 1.55, 3.0])
GRID = np.array([-2.0, -1.0, 1.0, 2.0])
X = np.array([-1.7, -0.9, -0.35, -0.1, 0.05, 0.4, 0.8, 2.2])

# ProxPARQ(0, 100, steepness=10).apply_(U, None, GRID, t)
PROX_PARQ = {
    30: [-2.0, -1.6354457650631087, -1.5, -1.0, -0.1128714708859238, 0.0, 0.2257429417718476, 0.3499015597463637,
         1.0, 1.3645542349368913, 1.5564357354429619, 2.0],
    55: [-2.0, -1.819251482877653, -1.5, -1.0, -0.26604290239804396, 0.0, 0.5320858047960879, 0.8247329974339362,
         1.0, 1.180748517122347, 1.633021451199022, 2.0],
    70: [-2.0, -2.0, -1.5, -1.0, -0.8769119853222058, 0.0, 1.0, 1.0, 1.0, 1.0, 1.9384559926611034, 2.0],
    100: [-2.0, -2.0, -2.0, -1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0],
}  # fmt: skip

# QuantOptimizer(SGD(lr=.05, momentum=.9), LSBQuantizer(optimal=True), prox, quant_period=1), 2 bits, full gradients
# of the problem below: the weights after 30 and 80 steps
WITH_PARQ = {
    30: [-2.3130889922277396, -0.7475446643937533, -0.7475446643937533, 0.032405108643006074, -2.3130889922277396,
         0.26691959308934116, -0.7475446643937533, 0.9078171979738512, 0.9537082940365442, 0.7475446643937533,
         0.7475446643937533, -0.1465144596201258],
    80: [-1.380901417506055, -1.380901417506055, -1.380901417506055, 0.01000160404360289, -1.380901417506055,
         -0.010001604043602834, -1.380901417506055, 1.380901417506055, 1.380901417506055, 1.380901417506055,
         1.380901417506055, -0.010001604043602874],
}  # fmt: skip
HARD = {
    30: [-2.432502885999093, -0.8331558855408597, -0.8331558855408597, -0.8331558855408596, -2.432502885999093,
         0.8331558855408596, -0.8331558855408597, 0.8331558855408597, 0.8331558855408597, 0.8331558855408597,
         0.8331558855408597, -0.8331558855408596],
    80: [-2.4368240464955035, -0.7304829785197162, -0.7304829785197162, -0.7304829785197162, -2.4368240464955035,
         -0.7304829785197161, -0.7304829785197162, 0.7304829785197162, 0.7304829785197162, 0.7304829785197162,
         0.7304829785197162, -0.7304829785197162],
}  # fmt: skip


@pytest.mark.parametrize("t", sorted(PROX_PARQ))
def test_the_hardening_map_and_its_schedule(t):
    np.testing.assert_allclose(soft_round(U, GRID, Annealing(100)(t)), PROX_PARQ[t], rtol=0, atol=5e-16)


def test_binary_relax():
    expected = [-2.3, -1.772, -1.7, -0.94, -0.46, -0.4, 0.52, 0.586, 1.0, 1.228, 1.73, 2.6]
    np.testing.assert_allclose(relaxed(U, GRID, 0.4), expected, rtol=0, atol=5e-16)


@pytest.mark.parametrize(
    ("expected", "annealing"), [(WITH_PARQ, Annealing(61, start=1)), (HARD, Annealing(1, start=1))]
)
def test_whole_runs(expected, annealing):
    A = np.random.default_rng(7).normal(size=(40, 12))
    problem = LeastSquares(A, A @ np.round(np.random.default_rng(8).normal(size=12)))
    base = SGD(0.5, momentum=0.9, batch_size=40)  # the momentum of torch sums where this one takes a mean
    method = PARQ(base, bits=2, refresh=1, annealing=annealing)
    run = islice(optlab.iterate(problem, method, x0=np.linspace(-1.1, 1.3, 12), seed=0), 81)
    weights = [np.array(base.variable(state.inner)) for state in run]
    for k, values in expected.items():
        np.testing.assert_allclose(weights[k], values, rtol=0, atol=2e-15)


def test_grids():
    for bits, scales in ((1, [0.8125]), (2, [0.8125, 0.590625]), (3, [0.8125, 0.590625, 0.346875])):
        np.testing.assert_allclose(greedy_scales(X, bits), scales, atol=1e-15)
    greedy = [-1.403125, -0.221875, 0.221875, 1.403125]
    np.testing.assert_allclose(least_squares_grid(X, 2, "greedy"), greedy, atol=1e-15)
    best = [-1.95, -0.43333333333333335, 0.43333333333333335, 1.95]  # LSBQuantizer(optimal=True)
    np.testing.assert_allclose(least_squares_grid(X, 2), best, atol=1e-15)


def error(grid):
    return float(np.sum((X - nearest(X, grid)) ** 2))


def test_control_its_optimal_ternary_grid_is_not_the_best():
    theirs, ours = np.array([-0.975, 0.0, 0.975]), least_squares_grid(X, 1.58)
    assert error(theirs) > 1.2 * error(ours)
    np.testing.assert_allclose(error(ours), 1.635, atol=1e-12)


def test_control_its_greedy_assignment_is_not_the_nearest_level():
    grid = least_squares_grid(X, 3)
    theirs = np.array([-1.75, -1.05625, -0.56875, 0.125, -0.125, 0.56875, 0.56875, 1.75])
    assert np.all(np.abs(theirs[:, None] - grid).min(axis=1) < 1e-12)  # levels, all of them
    assert np.sum((X - theirs) ** 2) > 1.1 * error(grid)
