"""Several marginals: against the linear program, barycentres, exact marginals, bounds that never lie."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

import optlab
from optlab.core.errors import IncompatibleError
from optlab.transport import ExtrapolatedSweep, MultiMarginalTransport, OptimalTransport, Sinkhorn


def program(marginals, cost):
    shape, rows, right = cost.shape, [], []
    index = np.indices(shape).reshape(len(shape), -1)
    for k, a in enumerate(marginals):
        for i, w in enumerate(a):
            rows.append((index[k] == i).astype(float))
            right.append(w)
    return linprog(cost.ravel(), A_eq=np.array(rows), b_eq=right, method="highs").fun


@pytest.mark.parametrize("seed", range(6))
def test_values_are_those_of_the_linear_program(seed):
    rng = np.random.default_rng(seed)
    shape = (4, 5, 3) if seed % 2 else (3, 3, 2, 3)
    marginals, cost = [rng.dirichlet(np.full(n, 3.0)) for n in shape], rng.random(shape)
    problem = MultiMarginalTransport(marginals, cost)
    result = optlab.solve(problem, ExtrapolatedSweep(), tol=1e-4, max_iter=20_000, progress=False)
    exact = program(marginals, cost)
    assert result.success
    assert result.metrics["dual_objective"] <= exact + 1e-9 <= result.metrics["cost"] + 2e-9
    assert result.metrics["cost"] == pytest.approx(exact, rel=2e-4)
    X = np.asarray(result.solution)
    for k, a in enumerate(marginals):
        others = tuple(i for i in range(len(shape)) if i != k)
        np.testing.assert_allclose(X.sum(axis=others), a, atol=1e-12)
    total = cost
    for k, f in enumerate(result.solution.potentials):
        total = total - problem.along(f, k)
    assert total.min() >= -1e-12


def test_bounds_hold_at_every_iteration():
    rng = np.random.default_rng(7)
    marginals, cost = [rng.dirichlet(np.ones(4)) for _ in range(3)], rng.normal(size=(4, 4, 4))
    exact = program(marginals, cost)
    problem = MultiMarginalTransport(marginals, cost)
    history = optlab.solve(problem, ExtrapolatedSweep(), tol=None, max_iter=200, record=1, progress=False).history
    assert np.all(history["dual_objective"] <= exact + 1e-9)
    assert np.all(history["cost"] >= exact - 1e-9)


def test_two_marginals_are_ordinary_transport():
    rng = np.random.default_rng(1)
    a, b, C = rng.dirichlet(np.ones(5)), rng.dirichlet(np.ones(6)), rng.random((5, 6))
    many = optlab.solve(
        MultiMarginalTransport([a, b], C), ExtrapolatedSweep(), tol=1e-5, max_iter=20_000, progress=False
    )
    two = optlab.transport.transport(a, b, C).metrics["cost"]
    assert many.metrics["cost"] == pytest.approx(two, rel=2e-5)
    with pytest.raises(IncompatibleError):
        optlab.solve(OptimalTransport(a, b, C), ExtrapolatedSweep(), max_iter=1)
    with pytest.raises(IncompatibleError):
        optlab.solve(MultiMarginalTransport([a, b], C), Sinkhorn(), max_iter=1)


def test_pairwise_squared_costs_are_a_barycentre():
    rng = np.random.default_rng(2)
    points, weights = [rng.normal(size=(4, 1)) for _ in range(3)], np.array([0.5, 0.3, 0.2])
    marginals = [rng.dirichlet(np.full(4, 3.0)) for _ in range(3)]
    x, y, z = (p[:, 0] for p in points)
    X, Y, Z = x[:, None, None], y[None, :, None], z[None, None, :]
    mean = weights[0] * X + weights[1] * Y + weights[2] * Z
    cost = weights[0] * (X - mean) ** 2 + weights[1] * (Y - mean) ** 2 + weights[2] * (Z - mean) ** 2
    problem = MultiMarginalTransport(marginals, cost)
    result = optlab.solve(problem, ExtrapolatedSweep(), tol=1e-3, max_iter=4000, progress=False)
    plan = np.asarray(result.solution).ravel()
    support = np.broadcast_to(mean, cost.shape).ravel()
    total = sum(
        w * optlab.transport.wasserstein_1d(p[:, 0], support, a, plan).metrics["cost"]
        for w, p, a in zip(weights, points, marginals)
    )
    # the plan's own barycentre costs no more than the plan, and no barycentre less than the lower bound
    assert result.metrics["dual_objective"] - 1e-12 <= total <= result.metrics["cost"] + 1e-12
    assert result.metrics["relative_gap"] < 0.02


def test_arguments_are_checked():
    with pytest.raises(ValueError, match=r"marginals\[1\] must have the sum"):
        MultiMarginalTransport([[1.0], [2.0]], [[0.0]])
    with pytest.raises(ValueError, match="shape of the marginals"):
        MultiMarginalTransport([[1.0], [1.0]], [[0.0, 1.0]])
