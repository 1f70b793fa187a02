"""Terms that are not convex, dual averaging, and training with learned scales."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import optlab
from optlab.bregman.functions import LeastSquares as Term
from optlab.composite import CompositeProblem
from optlab.firstorder import FISTA, PANOC, ProximalGradient
from optlab.quantization import (
    LSQ,
    SEQ,
    AggregateProx,
    DistanceToLevels,
    ElasticBinary,
    LearnedScales,
    Levels,
    PiecewiseAffine,
    RegularizedDualAveraging,
    StraightThrough,
    nearest,
    output_rows,
    row_groups,
)
from optlab.stochastic import (
    NGN,
    SGD,
    Adam,
    Decaying,
    LeastSquares,
    LogisticRegression,
    NeuralNetwork,
    SoftmaxRegression,
)

RNG = np.random.default_rng(4)
A = RNG.normal(size=(40, 6))
B = A @ np.array([1.0, -1.0, 0.0, 1.0, 0.0, -1.0]) + 0.1 * RNG.normal(size=40)
GRID = np.array([-1.0, 0.0, 0.4, 1.5])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.floats(0.01, 5.0), st.sampled_from(["levels", 1, 2]))
def test_proximal_maps_are_the_argmin(seed, scale, kind):
    term = Levels(GRID) if kind == "levels" else DistanceToLevels(GRID, 0.7, kind)
    u = 2 * np.random.default_rng(seed).normal(size=12)
    candidates = GRID if kind == "levels" else np.linspace(-8, 8, 8001)
    psi = np.array([term.value(np.array([w])) for w in (GRID if kind == "levels" else candidates)])
    least = np.min(psi[:, None] + (candidates[:, None] - u) ** 2 / (2 * scale), axis=0)
    w = term.proximal(u, scale)
    value = np.array([term.value(np.array([v])) for v in w]) + (w - u) ** 2 / (2 * scale)
    assert np.all(value <= least + 1e-12)


@pytest.mark.parametrize("method", [ProximalGradient(), PANOC()])
def test_they_run_where_terms_need_not_be_convex(method):
    problem = CompositeProblem(Term(A, B), DistanceToLevels([-1.0, 0.0, 1.0], 5.0))
    found = np.asarray(optlab.solve(problem, method, max_iter=300, progress=False).solution)
    np.testing.assert_array_equal(found, [1, -1, 0, 1, 0, -1])
    with pytest.raises(optlab.IncompatibleError, match="convex"):
        optlab.solve(problem, FISTA())


def test_quantizers_are_terms():
    W = RNG.normal(size=(3, 20))
    for quantizer in (ElasticBinary(), SEQ(1.58), SEQ(2), LSQ(3), LSQ(4)):
        scale = quantizer.initial_scale(W)
        term = quantizer.indicator(scale)
        quantized = quantizer.quantize(W, scale)
        assert term.value(quantized) == 0.0
        assert term.value(W) == np.inf
        np.testing.assert_allclose(term.proximal(W, 1.0), quantized, atol=1e-14)
        assert np.all(term.on_grid(term.proximal(W, 1.0)))


def test_aggregate_prox_on_levels_is_straight_through():
    problem, grid = LeastSquares(A, B), [-1.0, 0.0, 1.0]
    runs = [
        optlab.solve(problem, method, max_iter=80, seed=0, progress=False).solution
        for method in (StraightThrough(SGD(0.05), grid=grid), AggregateProx(SGD(0.05), Levels(grid)))
    ]
    assert np.array_equal(*runs)


def test_dual_averaging_is_its_definition():
    psi, n, eta = PiecewiseAffine([0.0, 0.5, 1.0, 2.0], [0.02, 0.05, 0.1]), 60, 0.3
    w0 = RNG.uniform(-1, 1, 6)
    w, mean = w0.copy(), np.zeros(6)
    for t in range(1, n + 1):
        mean += (A.T @ (A @ w - B) / 40 - mean) / t
        beta = np.sqrt(t) / eta
        # argmin <mean, w> + psi(w) + beta / (2 t) ||w - w0||^2
        w = psi.proximal(w0 - t / beta * mean, t / beta)
    method = RegularizedDualAveraging(SGD(eta, batch_size=40), psi)
    found = optlab.solve(LeastSquares(A, B), method, x0=w0, max_iter=n, seed=0, progress=False).solution
    np.testing.assert_allclose(found, w, atol=1e-13)


def test_dual_averaging_without_growth_is_aggregate_prox(tmp_path):
    psi, problem = PiecewiseAffine([0.0, 0.5, 1.0, 2.0], [0.02, 0.05, 0.1]), LeastSquares(A, B)
    options = {"max_iter": 50, "seed": 3, "progress": False}
    base = SGD(Decaying(0.5))
    flat = optlab.solve(problem, RegularizedDualAveraging(base, psi, growth=0.0), **options).solution
    assert np.array_equal(flat, optlab.solve(problem, AggregateProx(base, psi), **options).solution)
    method = RegularizedDualAveraging(base, psi)
    whole = optlab.solve(problem, method, **options).solution
    path = tmp_path / "run.npz"
    optlab.solve(problem, method, checkpoint=path, **options | {"max_iter": 21})
    assert np.array_equal(optlab.solve(problem, method, checkpoint=path, **options).solution, whole)
    with pytest.raises(ValueError, match="growth must be"):
        RegularizedDualAveraging(base, psi, growth=2.0)


def test_rows_of_outputs():
    y = np.argmax(A[:, :3], axis=1)
    assert np.array_equal(row_groups(LogisticRegression(A, y > 0, intercept=True)), [0] * 6 + [-1])
    network = NeuralNetwork(A, y, hidden=(4,))
    layers = output_rows(network)
    assert [layer.shape for layer in layers] == [(4, 6), (3, 4)]
    x = RNG.normal(size=network.size)
    for layer, (W, _) in zip(layers, network.layers(x)):
        assert np.array_equal(x[layer], W.T)
    groups = row_groups(network)
    assert groups.max() == 6
    assert np.sum(groups == -1) == 7  # biases
    with pytest.raises(TypeError, match="finite sum"):
        output_rows(3)


@pytest.mark.parametrize("base", [Adam(0.02, batch_size=40), SGD(0.2, momentum=0.9, batch_size=40), NGN(1.0)])
@pytest.mark.parametrize("quantizer", [ElasticBinary(), SEQ(1.58), SEQ(2), LSQ(3), LSQ(4)])
def test_training_from_full_precision_lowers_the_loss_of_the_rounded_weights(quantizer, base):
    full = SoftmaxRegression(A, np.argmax(A[:, :3], axis=1))
    options = {"seed": 0, "progress": False}
    start = optlab.solve(full, SGD(0.5, momentum=0.9, batch_size=40), max_iter=100, **options).solution
    problem = LearnedScales(full, quantizer)
    result = optlab.solve(problem, base, x0=problem.begin(start), max_iter=200, **options)
    loss = result.history["objective"]
    assert loss.min() < 0.97 * loss[0]
    if len(quantizer.levels()) > 3:  # with fewer the constant steps of this test make the codes jump to the end
        assert loss[-1] < 0.85 * loss[0]
    W = problem.quantized(result.solution)
    assert W.shape == (6, 3)
    for column, alpha in zip(W.T, result.solution[18:]):
        codes = column / max(alpha, 1e-5)
        np.testing.assert_allclose(nearest(codes, quantizer.levels()), codes, atol=1e-12)


def test_gradient_of_the_scales_is_a_derivative():
    problem = LearnedScales(SoftmaxRegression(A, np.argmax(A[:, :3], axis=1)), LSQ(3))
    x = problem.start(np.random.default_rng(0))
    saturated = problem.begin(x[:18])
    rows = np.arange(40)
    g, h = problem.gradient(saturated, rows), 1e-6
    # weights far from a change of code: moving the scale moves the quantized weights by code * change
    codes = problem.quantized(saturated).T / saturated[18:, None]
    inner = problem.problem.gradient(problem.quantized(saturated), rows)
    for row in range(3):
        up, down = saturated.copy(), saturated.copy()
        up[18 + row] += h
        down[18 + row] -= h
        change = (problem.quantized(up) - problem.quantized(down))[:, row] / (2 * h)
        np.testing.assert_allclose(change, codes[row], atol=1e-6)
        exact = float(inner[:, row] @ (change - saturated[:18].reshape(6, 3)[:, row] / saturated[18 + row]))
        np.testing.assert_allclose(g[18 + row] * np.sqrt(18 * 3), exact, atol=1e-7)


def test_arguments_are_checked():
    problem = SoftmaxRegression(A, np.argmax(A[:, :3], axis=1))
    with pytest.raises(TypeError, match="quantizer must be"):
        LearnedScales(problem, 3)
    with pytest.raises(ValueError, match=r"rows\[0\] must be from 0 to 17"):
        LearnedScales(problem, SEQ(2), [np.array([[0, 18]])])
    with pytest.raises(ValueError, match="twice"):
        LearnedScales(problem, SEQ(2), [np.array([[0, 0]])])
    with pytest.raises(ValueError, match="18 entries"):
        LearnedScales(problem, SEQ(2)).begin(np.ones(3))
    with pytest.raises(ValueError, match="scale"):
        Levels(GRID, scale=-1.0)
    with pytest.raises(ValueError, match="power must be"):
        DistanceToLevels(GRID, power=3)
