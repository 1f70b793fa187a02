"""Problems of several terms without a solution: certificates from dual and primal directions, and no false alarms."""

import numpy as np
import pytest

from optlab.bregman.functions import (
    AffineSet,
    Box,
    HalfSpace,
    Hinge,
    Hyperplane,
    L1Norm,
    L2Ball,
    LeastSquares,
    Linear,
    SecondOrderCone,
    Simplex,
    SquaredDistance,
)
from optlab.composite import CompositeProblem
from optlab.linalg import FiniteDifferences


def program(seed, feasible):
    """``min <c, x>, A x = b, x >= 0``, with a Farkas ray y (``A^T y <= 0 < <b, y>``) if it is infeasible."""
    rng = np.random.default_rng(seed)
    m, n = int(rng.integers(2, 6)), int(rng.integers(6, 12))
    A, c = rng.standard_normal((m, n)), rng.standard_normal(n)
    y = rng.standard_normal(m)
    if feasible:
        return A, A @ rng.random(n), c, y
    A -= np.outer(y, np.maximum(A.T @ y, 0.0) + rng.random(n)) / (y @ y)
    b = rng.standard_normal(m)
    return A, b + y * (1.0 - b @ y) / (y @ y), c, y


@pytest.mark.parametrize("seed", range(40))
def test_infeasible_programs_are_certified_from_a_dual_direction(seed):
    A, b, c, y = program(seed, feasible=False)
    problem = CompositeProblem(Linear(c), Box(b, b) @ A, Box(0.0), shape=A.shape[1])
    noisy = -y * 3.0 + 1e-5 * np.random.default_rng(seed).standard_normal(y.size)
    found = problem.certify_infeasible({"Box @ DenseMatrix": noisy}, reach=10.0)
    assert found is not None
    assert found.kind == "infeasible"
    assert found.verify()
    assert found.margin > 0


@pytest.mark.parametrize("seed", range(40))
def test_feasible_programs_are_not(seed):
    A, b, c, y = program(seed, feasible=True)
    problem = CompositeProblem(Linear(c), Box(b, b) @ A, Box(0.0), shape=A.shape[1])
    rng = np.random.default_rng(seed)
    for direction in (y, rng.standard_normal(y.size), A @ rng.standard_normal(A.shape[1])):
        assert problem.certify_infeasible({"Box @ DenseMatrix": direction}) is None


def test_sets_without_a_common_point():
    three = CompositeProblem(Hyperplane([1.0, 1.0], -1.0), Box(0.0), SquaredDistance(0.0), shape=2)
    assert three.certify_infeasible({"Hyperplane": np.array([-1.0, -1.0])}).verify()
    # an approximate ball and plane
    apart = CompositeProblem(L2Ball(1.0), HalfSpace([1.0, 0.0], -2.0), L1Norm(), shape=2)
    assert apart.certify_infeasible({"HalfSpace": np.array([0.5, 0.0])}).margin == pytest.approx(1.0)
    near = CompositeProblem(L2Ball(1.0), HalfSpace([1.0, 0.0], -1.0), L1Norm(), shape=2)
    assert near.certify_infeasible({"HalfSpace": np.array([0.5, 0.0])}) is None


@pytest.mark.parametrize(
    ("terms", "direction", "unbounded"),
    [
        ((Linear([-1.0, 0.0, 0.0]), Box(0.0), AffineSet([[0.0, 1.0, 1.0]], [1.0])), [1.0, 0.0, 0.0], True),
        ((Linear([1.0, 0.0, 0.0]), Box(0.0), AffineSet([[0.0, 1.0, 1.0]], [1.0])), [1.0, 0.0, 0.0], False),
        ((Linear([-1.0, 0.0, 0.0]), L1Norm(0.9), L1Norm() @ FiniteDifferences(3)), [1.0, 1.0, 1.0], False),
        ((Linear([-3.0, 0.0, 0.0]), L1Norm(0.9), L1Norm() @ FiniteDifferences(3)), [1.0, 1.0, 1.0], True),
        ((Linear([-1.0, 0.0, 0.0]), Hinge() @ np.eye(3), Box(0.0)), [1.0, 0.0, 0.0], True),
        ((Linear([-1.0, 0.0, 0.0]), LeastSquares(np.eye(3)[:1], [1.0]), Box(0.0)), [1.0, 0.0, 0.0], False),
        ((Linear([0.0, -1.0, 0.0]), LeastSquares(np.eye(3)[:1], [1.0]), Box(0.0)), [0.0, 1.0, 0.0], True),
        ((Linear([-1.0, 0.0, 0.5]), SecondOrderCone(), Box(-10.0)), [1.0, 0.0, 0.0], True),
        ((Linear([-1.0, 0.0, 0.0]), Simplex(), Box(0.0)), [1.0, 0.0, 0.0], False),
    ],
)
def test_objectives_that_fall_for_ever(terms, direction, unbounded):
    problem = CompositeProblem(*terms, shape=3)
    noise = 1e-7 * np.random.default_rng(0).standard_normal(3)
    point = np.array([2.0, 0.4, 0.6])
    found = problem.certify_unbounded(np.array(direction) + noise, [point])
    assert (found is not None) == unbounded
    if unbounded:
        assert found.verify()
        far = problem.objective(found.point + 100.0 * found.vector)
        assert far <= problem.objective(found.point) - 50.0 * found.margin
