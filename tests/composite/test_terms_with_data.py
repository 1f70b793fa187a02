"""Losses with sparse and matrix-free data are those of the dense matrix; zero weights; single precision."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator
from test_composite_problems import Descent

import optlab
from optlab.bregman import (
    BurgEntropy,
    FermiDirac,
    Hellinger,
    ShannonEntropy,
    SquaredEuclidean,
    has_resolvent,
    resolvent,
)
from optlab.bregman.functions import Box, L1Norm, LeastSquares, Logistic, SquaredDistance, TotalVariation
from optlab.composite import CompositeProblem
from optlab.linalg import Convolution, FiniteDifferences
from optlab.splitting import BregmanDouglasRachford

rng = np.random.default_rng(0)
A = rng.standard_normal((30, 12)) * (rng.random((30, 12)) < 0.4)
b = rng.standard_normal(30)
KINDS = {"sparse": sparse.csr_array(A), "sparse matrix": sparse.csc_matrix(A), "operator": aslinearoperator(A)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("make", [lambda A: LeastSquares(A, b, 0.7), lambda A: Logistic(A, np.sign(b), 0.7)])
def test_sparse_and_matrix_free_losses_are_the_dense_one(kind, make):
    dense, other = make(A), make(KINDS[kind])
    x = rng.standard_normal(12)
    assert other.value(x) == pytest.approx(dense.value(x), rel=1e-13)
    np.testing.assert_allclose(other.gradient(x), dense.gradient(x), atol=1e-12)
    exact = dense.relative_smoothness(SquaredEuclidean())[0]
    assert exact * (1 - 1e-13) <= other.relative_smoothness(SquaredEuclidean())[0] <= 1.03 * exact
    assert not has_resolvent(other, SquaredEuclidean())
    with pytest.raises(TypeError, match="no dense matrix"):
        resolvent(other, ShannonEntropy(), np.zeros(12), 1.0)


def test_a_sparse_lasso_is_certified():
    problem = CompositeProblem(LeastSquares(KINDS["sparse"], b), 0.5 * L1Norm())
    dense = CompositeProblem(LeastSquares(A, b), 0.5 * L1Norm())
    result = optlab.solve(problem, Descent(), tol=1e-9, max_iter=20_000)
    assert result.success
    assert problem.has_gap
    expected = optlab.solve(dense, BregmanDouglasRachford(0.1), tol=1e-10).metrics["objective"]
    assert result.metrics["objective"] == pytest.approx(expected, abs=1e-8)
    with pytest.raises(optlab.IncompatibleError):
        optlab.solve(problem, BregmanDouglasRachford())


def test_a_convolution_gives_least_squares_a_resolvent():
    blur = Convolution(np.ones((2, 2)) / 4, (5, 6))
    target = rng.standard_normal((5, 6))
    loss = LeastSquares(blur, target, 3.0)
    z = rng.standard_normal((5, 6))
    p = resolvent(loss, SquaredEuclidean(), z, 0.5)
    np.testing.assert_allclose(p + 0.5 * loss.gradient(p), z, atol=1e-12)


@pytest.mark.parametrize("kernel", [SquaredEuclidean(), ShannonEntropy(), BurgEntropy(), FermiDirac(), Hellinger()])
def test_weights_of_zero_leave_a_coordinate_alone(kernel):
    term = SquaredDistance(np.full(3, 0.3), np.array([0.0, 1.0, 2.0]))
    mirror = kernel.gradient(np.array([0.2, 0.4, 0.6]))
    moved = resolvent(term, kernel, mirror, 0.7)
    assert moved[0] == pytest.approx(mirror[0], abs=1e-12)
    x = kernel.conjugate_gradient(moved)
    np.testing.assert_allclose(moved + 0.7 * term.gradient(x), mirror, atol=1e-10)


def test_losses_of_weight_zero_are_nothing():
    for loss in (LeastSquares(A, b, 0.0), Logistic(A, np.sign(b), 0.0), 0.0 * LeastSquares(A, b)):
        z = rng.standard_normal(12)
        assert loss.value(z) == 0.0
        np.testing.assert_allclose(resolvent(loss, SquaredEuclidean(), z, 2.0), z, atol=1e-12)


def test_single_precision_is_kept_and_measured():
    small = LeastSquares(A.astype(np.float32), b.astype(np.float32))
    problem = CompositeProblem(small, 0.5 * L1Norm())
    x0 = np.zeros(12, dtype=np.float32)
    result = optlab.solve(problem, Descent(), x0=x0, max_iter=300)
    assert np.asarray(result.solution).dtype == np.float32
    assert result.metrics["relative_gap"] < 1e-4
    assert not np.any(x0)
    signal = CompositeProblem(
        SquaredDistance(b.astype(np.float32)), 0.5 * TotalVariation() @ FiniteDifferences(30), Box(-1.0, 1.0)
    )
    assert np.isfinite(signal.measure(np.zeros(30, dtype=np.float32))["gap"])
