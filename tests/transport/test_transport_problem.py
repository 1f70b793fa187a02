"""OptimalTransport: bad input, units, and its resolvents against the dense textbook iteration."""

import numpy as np
import pytest
from scipy.special import logsumexp

from optlab.core.errors import DomainError
from optlab.transport import MirrorPlan, OptimalTransport, PointCloudCost


def instance(n=9, m=7, seed=0):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m)), rng.random((n, m))


def iterate(problem, step_size, iterations, relaxation=1.0, start=None):
    """Relaxed Bregman Douglas-Rachford, as a method runs it; returns the list of (x, y, z)."""
    z = problem.initial_mirror(start)
    points = []
    for _ in range(iterations):
        x = problem.resolvent_B(z, step_size)
        y = problem.resolvent_A(2 * x - z, step_size)
        z = z + relaxation * (y - x)
        points.append((x, y, z))
    return points


def log_plan(mirror, C):
    return mirror.row[:, None] + mirror.column - mirror.inverse_temperature * C


HALF = [0.5, 0.5]
EYE = [[0.0, 1.0], [1.0, 0.0]]


@pytest.mark.parametrize(
    ("a", "b", "cost", "words"),
    [
        ([-0.5, 1.5], HALF, EYE, r"a must be non-negative, got -0.5 at index \[0\]"),
        ([np.nan, 1.0], HALF, EYE, r"a must be finite, got nan at index \[0\]"),
        (HALF, [0.5, np.inf], EYE, r"b must be finite, got inf at index \[1\]"),
        ([], HALF, EYE, "a must not be empty"),
        ([0.0, 0.0], HALF, EYE, "a must have a positive finite sum"),
        ([1e308, 1e308], HALF, EYE, "a must have a positive finite sum"),
        ([[0.5, 0.5]], HALF, EYE, "a must have 1 dimension"),
        (HALF, [0.5, 0.6], EYE, r"same sum, got 1 and 1.1 \(difference -0.1\)"),
        (HALF, HALF, [[0.0, np.nan], [1.0, 0.0]], r"cost must be finite, got nan at index \[0, 1\]"),
        (HALF, HALF, [[0.0, 1.0]], r"cost must have shape \(2, 2\) .*, got \(1, 2\)"),
        (HALF, HALF, PointCloudCost(np.zeros(2), np.zeros(3)), r"cost must have shape \(2, 2\)"),
    ],
)
def test_bad_data_is_named(a, b, cost, words):
    with pytest.raises(ValueError, match=words):
        OptimalTransport(a, b, cost)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"regularization": -1.0}, ValueError, "regularization must be a number at least 0"),
        ({"regularization": "much"}, TypeError, "regularization must be"),
        ({"first": "row"}, ValueError, "did you mean 'rows'"),
        ({"cost_split": 1.5}, ValueError, "cost_split must be"),
    ],
)
def test_bad_options_are_named(options, error, words):
    with pytest.raises(error, match=words):
        OptimalTransport(HALF, HALF, EYE, **options)


def test_small_differences_of_the_sums_go_into_b():
    problem = OptimalTransport(HALF, [0.5, 0.5 + 4e-10], EYE)
    assert problem.b.sum() == pytest.approx(1.0, abs=1e-15)
    single = np.array([0.1] * 10, dtype=np.float32)
    assert OptimalTransport(single, np.full(10, 0.1), np.zeros((10, 10))).mass == pytest.approx(1.0, abs=1e-6)


def test_the_callers_arrays_stay_as_they_were():
    a, b, C = instance()
    before = [v.copy() for v in (a, b, C)]
    problem = OptimalTransport(a, b * (1 + 1e-11), C)
    problem.measure(iterate(problem, 5.0, 5)[-1][0])
    assert all(np.array_equal(u, v) for u, v in zip(before, (a, b, C)))
    assert np.shares_memory(problem.cost.array, C)
    assert not problem.cost.array.flags.writeable
    assert not problem.cost.dense().flags.writeable


@pytest.mark.parametrize("first", ["rows", "columns"])
@pytest.mark.parametrize("relaxation", [0.7, 1.0, 1.5])
@pytest.mark.parametrize("theta", [0.0, 0.3, 1.0])
def test_potential_form_is_the_dense_textbook_iteration(theta, relaxation, first):
    a, b, C = instance()
    step_size = 3.0
    problem = OptimalTransport(a, b, C, cost_split=theta, first=first)

    def scale(log, which):
        if which == "rows":
            return log + (np.log(a) - logsumexp(log, axis=1))[:, None]
        return log + np.log(b) - logsumexp(log, axis=0)

    other = "columns" if first == "rows" else "rows"
    Z = np.zeros_like(C)
    for x, y, z in iterate(problem, step_size, 40, relaxation):
        X = scale(Z - step_size * (1 - theta) * C, first)
        Y = scale(2 * X - Z - step_size * theta * C, other)
        Z = Z + relaxation * (Y - X)
        for mirror, dense in ((x, X), (y, Y), (z, Z)):
            assert np.max(np.abs(log_plan(mirror, C) - dense)) < 1e-10
        sums = np.exp(X).sum(axis=1 if first == "rows" else 0)
        assert np.max(np.abs(sums / (a if first == "rows" else b) - 1)) < 1e-12


def test_every_split_is_the_same_algorithm():
    a, b, C = instance()
    step_size = 5.0
    late = iterate(OptimalTransport(a, b, C, cost_split=1.0), step_size, 40, start=MirrorPlan(0 * a, 0 * b, step_size))
    for theta in (0.0, 0.3, 0.8):
        start = MirrorPlan(0 * a, 0 * b, theta * step_size)
        points = iterate(OptimalTransport(a, b, C, cost_split=theta), step_size, 40, start=start)
        for (x, y, _), (x1, y1, _) in zip(points, late):
            assert np.max(np.abs(np.exp(log_plan(x, C)) - np.exp(log_plan(x1, C)))) < 1e-12
            assert np.max(np.abs(np.exp(log_plan(y, C)) - np.exp(log_plan(y1, C)))) < 1e-12


@pytest.mark.parametrize("theta", [0.0, 0.3])
def test_gauge_invariance(theta):
    a, b, C = instance()
    rng = np.random.default_rng(1)
    phi, psi, step_size = rng.standard_normal(a.size), rng.standard_normal(b.size), 4.0
    plain = iterate(OptimalTransport(a, b, C, cost_split=theta), step_size, 40)
    shifted = C - phi[:, None] - psi
    start = MirrorPlan(theta * step_size * phi, -(1 - theta) * step_size * psi, 0.0)
    gauged = iterate(OptimalTransport(a, b, shifted, cost_split=theta), step_size, 40, start=start)
    for (x, y, _), (x1, y1, _) in zip(plain, gauged):
        assert np.max(np.abs(log_plan(x, C) - log_plan(x1, shifted))) < 1e-10
        assert np.max(np.abs(log_plan(y, C) - log_plan(y1, shifted))) < 1e-10


def test_entropic_recursion():
    a, b, C = instance()
    eps, step_size, relaxation = 0.05, 8.0, 1.2
    problem = OptimalTransport(a, b, C, regularization=eps, cost_split=1.0)
    F, G, kappa, r = 0 * a, 0 * b, 0.0, 1 / (1 + step_size * eps)
    for x, y, _ in iterate(problem, step_size, 40, relaxation, start=MirrorPlan.zeros(a.size, b.size)):
        Fx = np.log(a) - logsumexp(G - kappa * C, axis=1)
        FY, kY = (2 * Fx - F) * r, (kappa + step_size) * r
        GY = np.log(b) - logsumexp(FY[:, None] - kY * C, axis=0)
        assert np.max(np.abs(log_plan(x, C) - (Fx[:, None] + G - kappa * C))) < 1e-10
        assert np.max(np.abs(log_plan(y, C) - (FY[:, None] + GY - kY * C))) < 1e-10
        # row multiplier of z: the part of x's that stays, plus what A changed
        F, G, kappa = F + relaxation * (FY - Fx), G + relaxation * (GY - G), kappa + relaxation * (kY - kappa)
    x = iterate(problem, step_size, 400)[-1][0]
    assert x.inverse_temperature == pytest.approx(1 / eps, rel=1e-10)
    assert problem.primal(x).gap < 1e-12


@pytest.mark.parametrize("relaxation", [1.0, 1.4])
def test_two_atom_law(relaxation):
    D, step_size = 0.7, 1.3
    problem = OptimalTransport([0.5, 0.5], [0.5, 0.5], [[0.0, D], [D, 0.0]])
    for k, (x, _, _) in enumerate(iterate(problem, step_size, 30, relaxation)):
        p = relaxation * k + 1
        z = np.exp(-p * D * step_size)
        assert abs(problem.primal(x).raw.cost - D * z / (1 + z)) < 1e-14
        f, k1 = x.row / x.inverse_temperature, x.inverse_temperature
        g = -logsumexp(x.row[:, None] - k1 * problem.cost.dense(), axis=0) / k1
        assert abs(0.5 * f.sum() + 0.5 * g.sum() + np.log1p(z) / (p * step_size)) < 1e-14


@pytest.mark.parametrize("first", ["rows", "columns"])
def test_bregman_admm_on_the_dual_is_the_same_iteration(first):
    a, b, C = instance()
    step_size = 4.0
    problem = OptimalTransport(a, b, C, cost_split=1.0, first=first)
    w, u, v = problem.initial_blocks()
    z, points = None, []
    for _ in range(40):
        u = problem.minimize_u(w + step_size * (problem.apply_N(v) - problem.offset()), step_size)
        following = w + step_size * (problem.apply_M(u) - problem.offset())
        z = z or following
        v = problem.minimize_v(following, step_size)
        w = following + step_size * problem.apply_N(v)
        points.append(w)
    for (x, _, _), w in zip(iterate(problem, step_size, 40, start=z), points):
        assert np.max(np.abs(log_plan(x, C) - log_plan(w, C))) < 1e-10
    plan = problem.primal_blocks(w, u, v)
    assert plan.dual_objective <= plan.cost


def test_joint_block_step_meets_both_marginals():
    a, b, C = instance()
    problem = OptimalTransport(a, b, C)
    w, u, v = problem.initial_blocks()
    base = w - 9.0 * problem.offset()
    u, v = problem.minimize_both(base, 9.0, u, v)
    X = np.exp(log_plan(base + 9.0 * (problem.apply_M(u) + problem.apply_N(v)), C))
    assert np.abs(X.sum(axis=1) - a).sum() + np.abs(X.sum(axis=0) - b).sum() < 1e-9
    assert "initial_blocks" not in OptimalTransport(a, b, C, regularization=1.0).offers


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_units_of_the_cost_change_nothing(factor):
    a, b, C = instance(30, 25)
    base, scaled = OptimalTransport(a, b, C), OptimalTransport(a, b, factor * C)
    assert scaled.default_step_size == pytest.approx(base.default_step_size / factor, rel=1e-12)
    x = iterate(base, base.default_step_size, 100)[-1][0]
    x1 = iterate(scaled, scaled.default_step_size, 100)[-1][0]
    one, other = base.measure(x), scaled.measure(x1)
    assert other["relative_gap"] == pytest.approx(one["relative_gap"], rel=1e-6)
    assert other["cost"] == pytest.approx(factor * one["cost"], rel=1e-9)
    assert other["marginal_error"] == pytest.approx(one["marginal_error"], rel=1e-6)


@pytest.mark.parametrize("value", [0.0, 2.5, -1.0])
def test_constant_costs(value):
    a, b, _ = instance()
    problem = OptimalTransport(a, b, np.full((9, 7), value))
    assert np.isfinite(problem.default_step_size)
    assert problem.default_step_size > 0
    metrics = problem.measure(iterate(problem, problem.default_step_size, 5)[-1][0])
    assert metrics["cost"] == pytest.approx(value, abs=1e-12)
    assert metrics["gap"] < 1e-12


def test_the_default_step_stays_below_the_known_danger():
    C = np.zeros((40, 40))
    C[0, 0] = 1.0  # a heavy tail: the standard deviation alone would give 80
    problem = OptimalTransport(np.full(40, 1 / 40), np.full(40, 1 / 40), C)
    assert problem.default_step_size * problem.cost.range < 60


@pytest.mark.parametrize("step_size", [1e-12, 1e-3, 1e3, 1e12])
def test_no_nan_at_any_step_size(step_size):
    a, b, C = instance()
    a = a.copy()
    a[2] = 0.0
    a /= a.sum()
    for regularization in (0.0, 1e-3):
        problem = OptimalTransport(a, b, C, regularization)
        x, y, z = iterate(problem, step_size, 25)[-1]
        problem.check_mirror(z)
        for mirror in (x, y):
            assert all(np.isfinite(value) for value in problem.measure(mirror).values())


def test_overflow_is_a_domain_error():
    problem = OptimalTransport(HALF, HALF, EYE)
    with pytest.raises(DomainError, match="inverse temperature overflowed"):
        problem.resolvent_B(MirrorPlan(np.zeros(2), np.zeros(2), 1.7e308), 1e308)
    with pytest.raises(DomainError, match="no longer finite"):
        problem.check_mirror(MirrorPlan(np.array([0.0, np.inf]), np.zeros(2), 1.0))


def test_starts():
    a, b, C = instance()
    a = a.copy()
    a[4] = 0.0
    a /= a.sum()
    problem = OptimalTransport(a, b, C)
    assert problem.default_start().shape == (8, 7)
    z = problem.initial_mirror(MirrorPlan(np.arange(9.0), np.zeros(7), 2.0))
    assert z.row.tolist() == [0, 1, 2, 3, 5, 6, 7, 8]
    x = iterate(problem, 30.0, 300)[-1][0]
    plan = problem.primal(x)
    again = problem.initial_mirror(plan)
    np.testing.assert_array_equal(again.row, x.row)
    assert again.inverse_temperature == x.inverse_temperature
    assert not np.shares_memory(again.row, x.row)
    warm = problem.initial_mirror(plan.potentials)
    # potentials near the optimum: the first plan is already better than the one from all ones
    cold_gap = problem.measure(iterate(problem, 30.0, 1)[-1][0])["gap"]
    assert problem.measure(iterate(problem, 30.0, 1, start=warm)[-1][0])["gap"] < 0.5 * cold_gap
    array_plan = problem.plan(plan.dense(), plan.potentials)
    assert problem.initial_mirror(array_plan).inverse_temperature == 10 * problem.default_step_size
    for bad, error in ((MirrorPlan.zeros(3, 3), ValueError), ("warm", TypeError), (np.zeros((9, 6)), ValueError)):
        with pytest.raises(error, match="x0 must"):
            problem.initial_mirror(bad)
    with pytest.raises(ValueError, match="x0 must have finite"):
        problem.initial_mirror(MirrorPlan(np.full(8, np.nan), np.zeros(7), 1.0))


def test_measure_has_the_same_keys_for_every_kind_of_iterate():
    a, b, C = instance()
    problem = OptimalTransport(a, b, C)
    x = iterate(problem, 10.0, 5)[-1][0]
    keys = ["cost", "marginal_error", "dual_objective", "gap", "relative_gap"]
    for point in (problem.default_start(), x, problem.primal(x), np.outer(a, b)):
        assert list(problem.measure(point)) == keys
    assert problem.primary_metric in keys
    assert problem.measure(np.outer(a, b))["marginal_error"] < 1e-15


def test_mirror_plans_are_a_vector_space():
    rng = np.random.default_rng(0)
    x, y = (MirrorPlan(rng.random(3), rng.random(2), rng.random()) for _ in range(2))
    both = 2 * x - np.float64(0.5) * y + (-x) / 4 * 4
    assert isinstance(both, MirrorPlan)
    assert np.allclose(both.row, x.row - 0.5 * y.row)
    assert both.inverse_temperature == pytest.approx(x.inverse_temperature - 0.5 * y.inverse_temperature)
    C = rng.random((3, 2))
    assert np.allclose(log_plan(x.recentred(), C), log_plan(x, C), atol=1e-15)
    assert abs(x.recentred().row.mean()) < 1e-15
    with pytest.raises(TypeError):
        x + 1.0
    with pytest.raises(TypeError):
        x * np.ones(3)
