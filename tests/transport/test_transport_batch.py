"""Batched small problems: against the single-problem solvers, with their certificates, and on hard data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import optlab
from optlab.transport import OptimalTransport, Sinkhorn, batch_transport


def problems(seed, count, n, m):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(n), count), rng.dirichlet(np.ones(m), count), rng.random((count, n, m))


@pytest.mark.parametrize("eps", [1.0, 0.05, 0.002])
def test_each_problem_is_solved_as_if_alone(eps):
    a, b, C = problems(0, 20, 7, 9)
    answer = batch_transport(a, b, C, eps, tol=1e-11)
    assert answer.success
    assert len(answer) == 20
    for k in (0, 7, 19):
        problem = OptimalTransport(a[k], b[k], C[k], regularization=eps)
        alone = optlab.solve(problem, Sinkhorn(overrelaxation="adaptive"), tol=1e-11, max_iter=20_000)
        assert answer.objective[k] == pytest.approx(alone.metrics["objective"], rel=1e-9)
        plan = answer.plan(k)
        np.testing.assert_allclose(plan.dense(), alone.solution.dense(), atol=1e-6)
        # the certificate written by the compiled loop is the one that the plan computes
        for name in ("cost", "objective", "dual_objective"):
            assert getattr(answer, name)[k] == pytest.approx(getattr(plan, name), rel=1e-9)
    np.testing.assert_allclose(answer.dense().sum(axis=1), b, atol=1e-9)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    st.integers(0, 10**6),
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from([1e-4, 1e-3, 0.1, 10.0, 1e6]),
    st.sampled_from(["plain", "zeros", "ties", "uneven"]),
    st.sampled_from([1e-9, 1.0, 1e9]),
)
def test_certificates_hold_on_hard_data(seed, n, m, eps, kind, unit):
    a, b, C = problems(seed, 3, n, m)
    if kind == "zeros":
        a[:, 1:][a[:, 1:] < np.median(a)] = 0.0
        a /= a.sum(axis=1, keepdims=True)
    elif kind == "ties":
        C = np.round(3 * C)
    elif kind == "uneven":
        a = a**12 / (a**12).sum(axis=1, keepdims=True)
    answer = batch_transport(a * unit, b * unit, C * unit, eps * unit, tol=1e-8)
    assert np.all(np.isfinite(answer.relative_gap))
    assert np.all(answer.objective >= answer.dual_objective - 1e-9 * np.abs(answer.objective) - 1e-12 * unit * unit)
    assert answer.success
    assert np.max(answer.marginal_error) <= 1.1e-8
    assert np.max(answer.gap) <= 1e-6 * max(1.0, eps) * unit * unit


def test_shared_data_and_float32_costs():
    a, b, C = problems(1, 6, 5, 4)
    shared = batch_transport(a[0], b[0], C, 0.1)
    each = batch_transport(np.tile(a[0], (6, 1)), np.tile(b[0], (6, 1)), C, np.full(6, 0.1))
    np.testing.assert_array_equal(shared.cost, each.cost)
    one_cost = batch_transport(a, b, C[0], [0.1] * 5 + [0.2])
    assert one_cost.cost[5] != one_cost.cost[0]
    single = batch_transport(a, b, C.astype(np.float32), 0.1)
    np.testing.assert_allclose(single.cost, batch_transport(a, b, C, 0.1).cost, rtol=1e-5)


def test_warm_start_and_budget():
    a, b, C = problems(2, 8, 10, 10)
    cold = batch_transport(a, b, C, 0.01, tol=1e-10)
    for x0 in (cold, (cold.f, cold.g)):
        warm = batch_transport(a, b, C, 0.01, tol=1e-10, x0=x0)
        assert warm.success
        assert warm.n_iter.max() <= 4 < cold.n_iter.min()
    short = batch_transport(a, b, C, 0.01, tol=1e-12, max_iter=3)
    assert not short.converged.any()
    assert np.all(short.gap > 0)
    assert np.all(short.n_iter <= 6)


def test_results_do_not_depend_on_how_many_are_solved_together():
    a, b, C = problems(3, 70, 6, 6)
    all_at_once = batch_transport(a, b, C, 0.03)
    one = batch_transport(a[41:42], b[41:42], C[41:42], 0.03)
    np.testing.assert_array_equal(all_at_once.f[41], one.f[0])


def test_bad_batches_are_named():
    a, b, C = problems(4, 3, 4, 5)
    with pytest.raises(ValueError, match=r"cost must have problems of shape \(4, 5\), got \(5, 4\)"):
        batch_transport(a, b, C.transpose(0, 2, 1), 0.1)
    with pytest.raises(ValueError, match=r"b must hold one problem or 3 of them"):
        batch_transport(a, b[:2], C, 0.1)
    with pytest.raises(ValueError, match=r"same sum.*problem \[1\]"):
        batch_transport(a, b * np.array([[1.0], [2.0], [1.0]]), C, 0.1)
    with pytest.raises(ValueError, match=r"a must have a positive finite sum, got 0 in problem \[2\]"):
        batch_transport(a * np.array([[1.0], [1.0], [0.0]]), b, C, 0.1)
    with pytest.raises(ValueError, match=r"regularization must be positive, got 0\.0$"):
        batch_transport(a, b, C, 0.0)
    C[2, 1, 0] = np.inf
    with pytest.raises(ValueError, match=r"cost must be finite, got inf at index \[2, 1, 0\]"):
        batch_transport(a, b, C, 0.1)
    with pytest.raises(TypeError, match="x0 must be a BatchTransport"):
        batch_transport(a, b, C[0], 0.1, x0=3)
    assert repr(batch_transport(a, b, C[0], 0.1)).startswith("BatchTransport(3 problems of 4 x 5, 3 converged, largest")
    with pytest.raises(ValueError, match="k must be below"):
        batch_transport(a, b, C[0], 0.1).plan(3)


@pytest.mark.parametrize("mass", [1e-200, 1e-9, 1.0, 1e200])
@pytest.mark.parametrize("offset", [0.0, 1e6, -1e6])
@pytest.mark.parametrize("eps", [1e-10, 1e-3, 1e8])
def test_certificates_hold_in_any_units(mass, offset, eps):
    """Columns above b where exponents had lost their digits, and unnormalised masses, gave gaps of zero far from it."""
    a, b, C = problems(5, 6, 4, 5)
    a[1] = 10.0 ** np.array([-300.0, -20.0, -3.0, 0.0]) / 1.001
    a[1, 3] += 1.0 - a[1].sum()
    plain = batch_transport(a, b, C, eps, tol=1e-10)
    answer = batch_transport(mass * a, mass * b, C + offset, eps, tol=1e-8)
    shift = offset + eps * np.log(mass)
    scale = 1.0 + abs(offset) + eps * (10.0 + abs(np.log(mass)))
    for name in ("objective", "dual_objective", "gap", "cost", "relative_gap"):
        assert np.all(np.isfinite(getattr(answer, name)))
    upper, lower = answer.objective / mass - shift, answer.dual_objective / mass - shift
    assert np.all(upper >= plain.dual_objective - 1e-13 * scale)
    assert np.all(lower <= plain.objective + 1e-13 * scale)
    assert np.all(answer.gap / mass >= upper - lower - 1e-13 * scale)
    if eps >= 1e-3:
        assert answer.success
        assert np.max(answer.gap) <= 1e-7 * mass * (1.0 + eps)
        np.testing.assert_allclose(answer.dense().sum(axis=1), mass * b, rtol=1e-5, atol=1e-7 * mass)
        assert answer.plan(2).relative_gap <= 1e-6
        warm = batch_transport(mass * a, mass * b, C + offset, eps, tol=1e-8, x0=answer)
        assert warm.n_iter.max() <= 4


def test_units_that_overflow_are_refused():
    a, b, C = problems(6, 2, 3, 3)
    with pytest.raises(ValueError, match="multiply the weights, or the cost"):
        batch_transport(1e250 * a, 1e250 * b, 1e60 * C, 1.0)
    with pytest.raises(ValueError, match="size at most"):
        batch_transport(a, b, 1e200 * C, 1.0)
