"""Optimal transport methods iterated side by side that theory says are one, in potential form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp

import optlab
from optlab.bregman import SquaredEuclidean
from optlab.splitting import (
    AlternatingExponentialMultipliers,
    BregmanADMM,
    BregmanDouglasRachford,
    BregmanPeacemanRachford,
    ExponentialMultipliers,
    Geometric,
    MonotoneInclusion,
)
from optlab.splitting.douglas_rachford import DriftWindow, SplittingState
from optlab.transport import IPOT, EuclideanDouglasRachford, OptimalTransport, PeerSinkhorn, Sinkhorn


def instance(n=9, m=7, seed=0):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m)), rng.random((n, m))


def states(problem, method, count, x0=None):
    return [state for _, state in zip(range(count + 1), optlab.iterate(problem, method, x0=x0))]


def difference(problem, left, right):
    """Largest difference of two plans' logarithms."""
    C = problem.active_cost.dense()
    logs = [p.row[:, None] + p.column - p.inverse_temperature * C for p in (left, right)]
    return np.max(np.abs(logs[0] - logs[1]))


@pytest.mark.parametrize("first", ["rows", "columns"])
@pytest.mark.parametrize("step_size", [3.0, 20.0, Geometric(2.0, 1.05, 40.0)])
def test_douglas_rachford_is_bregman_admm_on_the_dual(first, step_size):
    problem = OptimalTransport(*instance(), first=first, cost_split=1.0)
    admm = states(problem, BregmanADMM(step_size), 41)
    for k, state in matching_douglas_rachford(problem, step_size, admm[1]):
        assert difference(problem, state.x, admm[k].w) < 1e-10
        assert difference(problem, state.y, admm[k + 1].y) < 1e-10


def matching_douglas_rachford(problem, step_size, one, count=40):
    """Yield Douglas-Rachford from the start that corresponds to ADMM after its first iteration."""
    z = one.w - one.step_size * problem.apply_N(one.v)
    method = BregmanDouglasRachford(step_size)
    state = SplittingState(k=1, z=z, x=z, y=z, step_size=one.step_size, window=DriftWindow(z, z))
    for k in range(1, count + 1):
        state = method.step(problem, state)
        yield k, state


def test_the_uncorrected_extrapolation_is_another_iteration():
    problem = OptimalTransport(*instance(), first="rows", cost_split=1.0)
    growing, constant = (states(problem, BregmanADMM(s), 20) for s in (Geometric(2.0, 1.05, 40.0), 2.0))
    assert difference(problem, growing[20].w, constant[20].w) > 1e-2


@pytest.mark.parametrize("step_size", [3.0, 20.0])
def test_ipot_with_one_inner_iteration_is_bregman_admm_and_douglas_rachford(step_size):
    a, b, C = instance()
    problem = OptimalTransport(a, b, C, first="columns", cost_split=1.0)
    ipot = states(problem, IPOT(step_size), 40)
    admm = states(problem, AlternatingExponentialMultipliers(step_size), 40)
    for left, right in zip(ipot[1:], admm[1:]):
        assert difference(problem, left.mirror, right.w) < 1e-10
    for k, state in matching_douglas_rachford(problem, step_size, admm[1]):
        assert difference(problem, state.x, ipot[k].mirror) < 1e-10


def test_ipot_is_the_authors_iteration():
    a, b, C = instance()
    problem = OptimalTransport(a, b, C)
    for inner in (1, 3):
        T, v = np.ones_like(C), np.ones_like(b)
        for state in states(problem, IPOT(5.0, inner), 30)[1:]:
            Q = np.exp(-5.0 * C) * T
            for _ in range(inner):
                u = a / (Q @ v)
                v = b / (Q.T @ u)
            T = u[:, None] * Q * v
            np.testing.assert_allclose(problem.primal(state.mirror).raw.dense(), T, rtol=1e-9, atol=1e-300)


def test_ipot_with_many_inner_iterations_is_the_proximal_point_method():
    problem = OptimalTransport(*instance(), inner_tol=1e-14)
    ipot, exact = states(problem, IPOT(5.0, 2000), 6), states(problem, ExponentialMultipliers(5.0), 6)
    for left, right in zip(ipot[1:], exact[1:]):
        assert np.max(np.abs(problem.primal(left.mirror).raw.dense() - problem.primal(right.w).raw.dense())) < 1e-10


@pytest.mark.parametrize("first", ["rows", "columns"])
def test_at_one_over_regularization_douglas_rachford_is_sinkhorn(first):
    a, b, C = instance()
    eps = 0.02
    problem = OptimalTransport(a, b, C, regularization=eps, first=first)
    splitting = states(problem, BregmanDouglasRachford(1.0 / eps), 40)
    if first == "rows":
        plain = states(problem, Sinkhorn(), 40)
        for left, right in zip(splitting[1:], plain[1:]):
            assert difference(problem, left.y, right.mirror) < 1e-10
    else:
        turned = OptimalTransport(b, a, C.T, regularization=eps)
        for left, right in zip(splitting[1:], states(turned, Sinkhorn(), 40)[1:]):
            X, Y = problem.primal(left.y).raw.dense(), turned.primal(right.mirror).raw.dense()
            np.testing.assert_allclose(X, Y.T, rtol=1e-9)


@pytest.mark.delicate
def test_sinkhorn_agrees_with_pot_at_convergence():
    a, b, C = instance(30, 20)
    problem = OptimalTransport(a, b, 7.0 * C - 2.0, regularization=0.1)
    ours = optlab.solve(problem, Sinkhorn(), max_iter=3000).solution.dense()
    theirs = optlab.solve(problem, PeerSinkhorn(tol=1e-14), max_iter=1).solution.dense()
    fast = optlab.solve(problem, BregmanDouglasRachford(), max_iter=500).solution.dense()
    relaxed = optlab.solve(problem, Sinkhorn(overrelaxation="adaptive"), max_iter=1000).solution.dense()
    for other in (theirs, fast, relaxed):
        np.testing.assert_allclose(ours, other, atol=1e-12)


def test_peaceman_rachford_is_annealed_sinkhorn_overrelaxed_by_two():
    a, b, C = instance()
    step_size = 2.0
    problem = OptimalTransport(a, b, C)
    F, G, kappa = 0 * a, 0 * b, 0.0
    for state in states(problem, BregmanPeacemanRachford(step_size), 12)[1:]:
        Fx = np.log(a) - logsumexp(G - (kappa + step_size) * C, axis=1)
        F = 2 * Fx - F
        Gy = np.log(b) - logsumexp(F[:, None] - (kappa + 2 * step_size) * C, axis=0)
        G, kappa = 2 * Gy - G, kappa + 2 * step_size
        assert np.max(np.abs(state.z.row[:, None] + state.z.column - (F[:, None] + G))) < 1e-8
        assert state.z.inverse_temperature == kappa


def test_drot_is_douglas_rachford_with_the_euclidean_kernel():
    a, b, C = instance()
    problem, step_size = OptimalTransport(a, b, C), 0.05

    def marginals(w, step):
        row, column = w.sum(1) - a, w.sum(0) - b
        return w - row[:, None] / w.shape[1] - column / w.shape[0] + row.sum() / w.size

    generic = MonotoneInclusion(
        A=marginals, B=lambda w, step: np.maximum(w - step * C, 0.0), kernel=SquaredEuclidean(), shape=C.shape
    )
    left = states(problem, EuclideanDouglasRachford(step_size), 40)
    right = states(generic, BregmanDouglasRachford(step_size), 40, x0=np.outer(a, b))
    for one, other in zip(left[1:], right[1:]):
        np.testing.assert_allclose(one.x, other.x, atol=1e-14)
        np.testing.assert_allclose(one.z, other.z, atol=1e-14)
