"""Terms: values, gradients against differences, relative smoothness constants, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optlab.bregman import (
    BurgEntropy,
    FermiDirac,
    Hellinger,
    ShannonEntropy,
    SimplexEntropy,
    SquaredEuclidean,
)
from optlab.bregman.functions import (
    AffineSet,
    BlockSum,
    Box,
    BregmanDistance,
    CappedSimplex,
    ColumnMarginal,
    Hyperplane,
    ItakuraSaito,
    KullbackLeibler,
    L1Norm,
    LeastSquares,
    Linear,
    Logistic,
    NegativeEntropy,
    Poisson,
    Quadratic,
    RowMarginal,
    Simplex,
    SkewGame,
    SmoothFunction,
    SquaredDistance,
    Sum,
    Zero,
)

RNG = np.random.default_rng(0)
Q = RNG.uniform(0.5, 2.0, 4)
A = RNG.normal(size=(5, 4))
SMOOTH = [
    Zero(),
    Linear(Q),
    NegativeEntropy(Q),
    KullbackLeibler(Q, 0.7),
    Poisson(np.where(Q > 1, Q, 0.0), 0.7),
    ItakuraSaito(Q, 0.7),
    SquaredDistance(Q, Q),
    BregmanDistance(Q, BurgEntropy(), 2.0),
    Quadratic(A.T @ A, Q),
    LeastSquares(A, np.ones(5), 0.3),
    Logistic(A, [1, -1, 1, 1, -1], 0.4),
    Logistic(None, [1, -1, 1, 1], 0.4),
    KullbackLeibler(Q) + SquaredDistance(Q) + Linear(1.0),
    SmoothFunction(lambda x: float(np.sum(x**4)), lambda x: 4 * x**3, lambda x: 12 * x**2, separable=True),
    BlockSum((SquaredDistance(0.0), Linear(2.0)), (1, 3)),
]


@pytest.mark.parametrize("f", SMOOTH, ids=lambda f: type(f).__name__)
def test_gradient_and_hessian_against_differences(f):
    x, step = np.array([0.4, 1.1, 0.9, 2.0]), 1e-6
    assert f.smooth
    units = np.eye(4)
    numeric = [(f.value(x + step * e) - f.value(x - step * e)) / (2 * step) for e in units]
    np.testing.assert_allclose(f.gradient(x), numeric, rtol=1e-6, atol=1e-7)
    hessian = f.hessian(x)
    if hessian is not None:
        columns = [(f.gradient(x + step * e) - f.gradient(x - step * e)) / (2 * step) for e in units]
        np.testing.assert_allclose(hessian, columns, rtol=1e-6, atol=1e-7)
    if f.separable:
        np.testing.assert_allclose(np.diag(f.second_derivative(x)), hessian)
    np.testing.assert_array_equal(f.operator_value(x), f.gradient(x))


PAIRS = [
    (KullbackLeibler(Q, 0.7), ShannonEntropy(), (0.7, 0.7)),
    (NegativeEntropy(0.7), SimplexEntropy(4.0), (0.7, 0.7)),
    (KullbackLeibler(Q, Q), FermiDirac(0.0, 3.0), (Q.max(), 0.0)),
    (Poisson(Q, 2.0), BurgEntropy(), (2 * Q.max(), 2 * Q.min())),
    (ItakuraSaito(Q, 2.0), BurgEntropy(), (2.0, 2.0)),
    (SquaredDistance(Q, 3.0), FermiDirac(), (0.75, 0.0)),
    (SquaredDistance(Q, 3.0), FermiDirac(0.0, 3.0), (2.25, 0.0)),
    (SquaredDistance(Q, 3.0), Hellinger(2.0), (6.0, 0.0)),
    (SquaredDistance(Q, Q), SquaredEuclidean(), (Q.max(), Q.min())),
    (BregmanDistance(Q, BurgEntropy(), 2.0), BurgEntropy(), (2.0, 2.0)),
    (Poisson(Q) + Linear(Q), BurgEntropy(), (Q.max(), Q.min())),
]


@pytest.mark.parametrize(("f", "kernel", "wanted"), PAIRS, ids=lambda v: type(v).__name__)
def test_relative_smoothness_constants(f, kernel, wanted):
    assert f.relative_smoothness(kernel) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("f", "kernel"),
    [
        *((f, k) for f, k, _ in PAIRS if not isinstance(k, SimplexEntropy)),
        (Quadratic(A.T @ A), SquaredEuclidean()),
        (LeastSquares(A, np.ones(5)), FermiDirac(0.0, 3.0)),
        (Logistic(A, [1, -1, 1, 1, -1]), Hellinger(3.0)),
    ],
    ids=lambda v: type(v).__name__,
)
@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.lists(st.floats(0.02, 0.98), min_size=8, max_size=8))
def test_relative_smoothness_bounds_the_divergence(f, kernel, values):
    """``mu D_h <= D_f <= L D_h`` at random pairs of points."""
    x, y = np.array(values[:4]), np.array(values[4:])
    largest, smallest = f.relative_smoothness(kernel)
    own = f.value(x) - f.value(y) - f.gradient(y) @ (x - y)
    reference = kernel.divergence(x, y)
    slack = 1e-10 * (1 + abs(f.value(x)) + abs(f.value(y)))
    assert smallest * reference - slack <= own <= largest * reference + slack


def test_unknown_constants_are_none():
    assert Poisson(Q).relative_smoothness(ShannonEntropy()) is None
    assert SquaredDistance(Q).relative_smoothness(ShannonEntropy()) is None
    assert (Poisson(Q) + SquaredDistance(Q)).relative_smoothness(BurgEntropy()) is None
    assert Simplex().relative_smoothness(ShannonEntropy()) is None


def test_values_off_the_domain_are_infinite():
    x = np.array([0.5, -0.1])
    for f in (NegativeEntropy(), KullbackLeibler(1.0), Poisson(1.0), ItakuraSaito(1.0), Simplex(0.4), Box(0, 1)):
        assert f.value(x) == math.inf
    assert Poisson(1.0).value(np.array([0.0])) == math.inf
    assert Poisson(0.0).value(np.array([0.0])) == 0.0
    assert BregmanDistance([1.0, 1.0], ShannonEntropy()).value(x) == math.inf
    assert BregmanDistance([1.0, 1.0], ShannonEntropy()).value(np.array([0.0, 1.0])) == 1.0


def test_indicators():
    assert Simplex(2.0).value(np.full((2, 2), 0.5)) == 0.0
    assert Hyperplane([1.0, 2.0], 3.0).value(np.ones(2)) == 0.0
    assert Hyperplane([1.0, 2.0], 3.1).value(np.ones(2)) == math.inf
    assert CappedSimplex([0.5, 1.0]).value(np.array([0.6, 0.4])) == math.inf
    assert AffineSet([[1.0, 1.0]], [2.0]).value(np.array([1.0, 1.1])) == math.inf
    x = np.array([[0.5, 0.5], [1.0, 2.0]])
    assert RowMarginal([1.0, 3.0]).value(x) == 0.0
    assert ColumnMarginal([1.5, 2.0], "at_most").value(x) == math.inf
    assert ColumnMarginal([1.5, 2.0], "l1", 2.0).value(x) == 1.0
    assert RowMarginal([1.0, 3.0], "kl").value(x) == 0.0
    assert L1Norm(Q).value(-np.ones(4)) == pytest.approx(Q.sum())


def test_the_skew_operator_is_skew():
    game = SkewGame(RNG.normal(size=(3, 2)))
    z = RNG.normal(size=5)
    assert z @ game.operator_value(z) == pytest.approx(0.0, abs=1e-14)
    with pytest.raises(ValueError, match="points of shape"):
        game.operator_value(np.zeros(4))


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: Simplex(0.0), ValueError, "total must be a number above 0"),
        (lambda: Hyperplane([0.0, 0.0], 1.0), ValueError, "normal must not be zero"),
        (lambda: Hyperplane([1.0, np.nan], 1.0), ValueError, r"normal must be finite, got nan at index \[1\]"),
        (lambda: Box([0.0, 2.0], 1.0), ValueError, r"lower must not exceed upper.*\[1\]"),
        (lambda: Box(np.nan), ValueError, "NaN"),
        (lambda: Box([0.0, 1.0], [1.0, 2.0, 3.0]), ValueError, "broadcast"),
        (lambda: CappedSimplex([0.2, 0.3], 1.0), ValueError, "total must be at most the sum of the caps"),
        (lambda: CappedSimplex([0.2, -0.3]), ValueError, r"upper must be positive, got -0.3 at index \[1\]"),
        (lambda: AffineSet([[1.0], [1.0]], [1.0, 2.0]), ValueError, "no solution"),
        (lambda: AffineSet([[1.0, 2.0]], [1.0, 2.0]), ValueError, "b must have shape"),
        (lambda: RowMarginal([1.0, -1.0]), ValueError, "marginal must be non-negative"),
        (lambda: RowMarginal([1.0], "equals"), ValueError, "did you mean 'equal'"),
        (lambda: RowMarginal([1.0, 1.0]).value(np.ones((3, 2))), ValueError, "2 rows"),
        (lambda: KullbackLeibler([1.0, 0.0]), ValueError, r"q must be positive, got 0.0 at index \[1\]"),
        (lambda: Poisson([1.0, -1.0]), ValueError, "q must be non-negative"),
        (lambda: NegativeEntropy(0.0), ValueError, "weight must be a number above 0"),
        (lambda: NegativeEntropy([1.0, 0.0]), ValueError, "weight must be positive"),
        (lambda: SquaredDistance(0.0, [1.0, -1.0]), ValueError, "weight must be non-negative"),
        (lambda: BregmanDistance([1.0], "shannon"), TypeError, "kernel must be a Legendre kernel"),
        (lambda: BregmanDistance([-1.0], ShannonEntropy()), ValueError, "q must lie in the domain"),
        (lambda: Quadratic([[1.0, 2.0], [0.0, 1.0]]), ValueError, "Q must be symmetric"),
        (lambda: Quadratic([[1.0, 0.0], [0.0, -1.0]]), ValueError, "smallest eigenvalue is -1"),
        (lambda: LeastSquares(np.eye(2), [1.0]), ValueError, "b must have shape"),
        (lambda: Logistic(None, [1.0, 0.0]), ValueError, r"labels must be -1 or 1, got 0 at index \[1\]"),
        (lambda: SmoothFunction(3, np.sin), TypeError, "value must be callable"),
        (lambda: SmoothFunction(np.sum, lambda x: 1.0).gradient(np.ones(2)), ValueError, "gradient must return"),
        (lambda: Sum(()), TypeError, "terms"),
        (lambda: BlockSum((Zero(),), (1, 2)), ValueError, "same length"),
        (lambda: Simplex().gradient(np.ones(2)), TypeError, "not smooth"),
    ],
)
def test_bad_input(build, error, message):
    with pytest.raises(error, match=message):
        build()
