"""The exact method against POT's network simplex, on small problems of every awkward kind; its rooms one by one."""

from __future__ import annotations

import joblib
import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

import optlab
from optlab.core import Status
from optlab.splitting import BregmanDouglasRachford
from optlab.transport import DenseCost, ExactTransport, InfeasibleError, OptimalTransport, PointCloudCost
from optlab.transport.costs import pricing
from optlab.transport.costs.pricing import BlockedCost, PairList
from optlab.transport.exact import candidates as rooms
from optlab.transport.exact.coarse_space import coarse_step
from optlab.transport.exact.multiscale import Hierarchy, anneal, raised


def solved(problem, **options):
    return optlab.solve(problem, ExactTransport(), tol=1e-9, max_iter=60, record="all", **options)


def check(problem, expected=None):
    """Solve; hold the answer against its own certificate, an independent one, the marginals and POT's value."""
    result = solved(problem)
    assert result.status is Status.CONVERGED
    plan = result.solution
    sparse = plan.sparse()
    assert sparse.data.min() > 0.0
    np.testing.assert_allclose(sparse.sum(axis=1), problem.a, rtol=0, atol=1e-12 * problem.mass)
    np.testing.assert_allclose(sparse.sum(axis=0), problem.b, rtol=0, atol=1e-12 * problem.mass)
    f, g = plan.potentials
    cost = problem.cost.dense()
    size = np.abs(cost[np.isfinite(cost)]).max()
    assert (cost - f[:, None] - g).min() >= -1e-14 * max(size, np.abs(f).max(), np.abs(g).max())
    entries = sparse.tocoo()
    value = float(np.sum(cost[entries.row, entries.col] * entries.data))
    floor = abs(value)
    assert abs(value - plan.cost) <= 1e-12 * max(floor, problem.mass * size)
    assert abs(value - (problem.a @ f + problem.b @ g)) <= 1.1e-9 * floor + 1e-14 * problem.mass * size
    if expected is not None:
        assert abs(plan.cost - expected) <= 1e-9 * floor + 1e-14 * problem.mass * size
    return result


def reference(a, b, cost):
    import ot

    allowed = np.isfinite(cost)
    unit = max(float(np.abs(cost[allowed]).max()), 1e-300)
    big = np.where(allowed, cost / unit, 1e5)
    plan = ot.emd(a / a.sum(), b / b.sum(), big)
    assert not np.any(plan[~allowed] > 0)
    return float(np.sum(plan[allowed] * cost[allowed])) * a.sum()


@st.composite
def problems(draw):
    n, m = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    weights = draw(st.sampled_from(["uniform", "random", "integer", "zeros", "wide"]))
    a, b = (
        {
            "uniform": lambda size: np.ones(size),
            "random": lambda size: rng.random(size) + 0.01,
            "integer": lambda size: rng.integers(1, 4, size).astype(float),
            "zeros": lambda size: rng.integers(0, 3, size).astype(float),
            "wide": lambda size: 10.0 ** rng.uniform(-8, 0, size),
        }[weights](size)
        for size in (n, m)
    )
    a[rng.integers(n)] += 1.0
    b[rng.integers(m)] += 1.0
    a, b = a / a.sum(), b / b.sum()
    mass = draw(st.sampled_from([1.0, 1e-9, 1e6]))
    kind = draw(
        st.sampled_from(["uniform", "integer", "binary", "constant", "signed", "cloud", "duplicates", "grid", "line"])
    )
    size = draw(st.sampled_from([1.0, 1e-12, 1e9]))
    if kind in ("cloud", "duplicates", "grid", "line"):
        d = 1 if kind == "line" else draw(st.integers(1, 12))
        x, y = rng.random((n, d)), rng.random((m, d))
        if kind == "duplicates":
            x, y = x[rng.integers(0, max(1, n // 4), n)], np.concatenate([x, y])[rng.integers(0, n + m, m)]
        if kind == "grid":
            x, y = np.round(3 * x), np.round(3 * y)
        metric = draw(st.sampled_from(["sqeuclidean", "euclidean", "cityblock"]))
        cost = PointCloudCost(size * x, size * y, metric)
        if draw(st.booleans()):
            cost = np.asarray(cost.dense(), order=draw(st.sampled_from(["C", "F"])))
    else:
        cost = {
            "uniform": lambda: rng.random((n, m)),
            "integer": lambda: rng.integers(0, 6, (n, m)).astype(float),
            "binary": lambda: rng.integers(0, 2, (n, m)).astype(float),
            "constant": lambda: np.full((n, m), 3.0),
            "signed": lambda: rng.standard_normal((n, m)),
        }[kind]() * size
    return OptimalTransport(mass * a, mass * b, cost)


@settings(deadline=None, derandomize=True, max_examples=250)
@given(problems())
def test_the_value_is_that_of_the_network_simplex(problem):
    check(problem, reference(problem.a, problem.b, np.ascontiguousarray(problem.cost.dense())))


@settings(deadline=None, derandomize=True, max_examples=30)
@given(problems(), st.integers(0, 1000), st.floats(0.05, 0.9))
def test_forbidden_pairs(problem, seed, part):
    rng = np.random.default_rng(seed)
    cost = np.array(problem.cost.dense())
    cost[rng.random(cost.shape) < part] = np.inf
    try:
        allowed = OptimalTransport(problem.a, problem.b, cost)
    except InfeasibleError as error:
        event(f"cut off: {error.excess > 0.0}")
        return
    except ValueError:  # no pair is allowed at all
        assert not np.any(np.isfinite(cost))
        return
    check(allowed, reference(problem.a, problem.b, cost))


@pytest.mark.parametrize("d", [1, 2, 3, 10])
@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean"])
def test_clouds_with_coarse_levels(d, metric):
    rng = np.random.default_rng(d)
    x, y = rng.random((900, d)), rng.random((1100, d)) ** 2
    b = rng.random(1100) + 0.1
    problem = OptimalTransport(np.full(900, 1 / 900), b / b.sum(), PointCloudCost(x, y, metric))
    check(problem, reference(problem.a, problem.b, problem.cost.dense()))


def test_very_uneven_weights_on_a_lattice_take_few_rounds():
    """Colours of photographs: clustered, many equal distances, weights from one to hundreds.

    Scaling that ends before it has moved the mass between clusters leaves everything to the linear programs.
    """
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(0)
    x, y = (image.reshape(-1, 3)[rng.integers(0, 640 * 427, 5000)] / 255.0 for image in load_sample_images().images)
    problem = OptimalTransport(np.full(5000, 1 / 5000), np.full(5000, 1 / 5000), PointCloudCost(x, y))
    result = check(problem)
    assert result.n_iter <= 10


def test_many_duplicates_of_few_points():
    rng = np.random.default_rng(0)
    places = rng.random((5, 2))
    x, y = places[rng.integers(0, 5, 1500)], places[rng.integers(0, 5, 1400)]
    problem = OptimalTransport(np.full(1500, 1 / 1500), np.full(1400, 1 / 1400), PointCloudCost(x, y))
    check(problem, reference(problem.a, problem.b, problem.cost.dense()))


@pytest.mark.parametrize("order", ["C", "F"])
def test_dense_costs_beyond_lists_of_everything(order):
    rng = np.random.default_rng(1)
    cost = np.asarray(rng.random((1100, 1000)), order=order)
    problem = OptimalTransport(np.full(1100, 1 / 1100), np.full(1000, 1 / 1000), cost)
    check(problem, reference(problem.a, problem.b, np.ascontiguousarray(cost)))


@pytest.mark.delicate
def test_rounds_are_certified_and_the_bounds_bracket_the_optimum():
    rng = np.random.default_rng(2)
    x, y = rng.random((700, 2)), rng.random((700, 2))
    problem = OptimalTransport(np.full(700, 1 / 700), np.full(700, 1 / 700), PointCloudCost(x, y, "euclidean"))
    result = check(problem)
    optimum = result.metrics["cost"]
    cost, dual = result.history["cost"], result.history["dual_objective"]
    assert np.all(cost >= optimum * (1 - 1e-12))
    assert np.all(dual <= optimum * (1 + 1e-12))
    assert result.metrics["largest_violation"] <= 1e-14
    later = optlab.solve(problem, ExactTransport(), x0=result, tol=None, max_iter=2)
    assert later.metrics["cost"] == optimum


def test_a_round_too_few_is_not_called_converged():
    rng = np.random.default_rng(3)
    problem = OptimalTransport(np.full(40, 1 / 40), np.full(40, 1 / 40), rng.random((40, 40)))
    result = optlab.solve(problem, ExactTransport(), tol=1e-9, max_iter=0)
    assert result.status is Status.MAX_ITER
    assert result.metrics["relative_gap"] > 1e-3


def test_warm_start_from_potentials():
    rng = np.random.default_rng(4)
    x, y = rng.random((500, 3)), rng.random((400, 3))
    problem = OptimalTransport(np.full(500, 1 / 500), np.full(400, 1 / 400), PointCloudCost(x, y))
    cold = solved(problem)
    warm = solved(problem, x0=cold.solution.potentials)
    assert warm.success
    assert warm.history["relative_gap"][0] > 1e-9  # the plan at the start is the backbone's
    assert warm.metrics["cost"] == pytest.approx(cold.metrics["cost"], rel=1e-12)
    assert warm.n_iter <= 2


def test_warm_start_from_rough_potentials():
    """Potentials of a first-order run, neither feasible nor sharp: a start like any other."""
    rng = np.random.default_rng(10)
    x, y = rng.random((600, 2)), rng.random((500, 2))
    problem = OptimalTransport(np.full(600, 1 / 600), np.full(500, 1 / 500), PointCloudCost(x, y))
    rough = optlab.solve(problem, BregmanDouglasRachford(), max_iter=200)
    cold = solved(problem)
    warm = solved(problem, x0=rough.solution)
    assert warm.success
    assert warm.metrics["cost"] == pytest.approx(cold.metrics["cost"], rel=1e-12)
    assert np.all(warm.history["dual_objective"] <= cold.metrics["cost"] * (1 + 1e-12))
    assert warm.history["dual_objective"][0] > 0.5 * cold.metrics["cost"]
    absurd = solved(problem, x0=(np.full(600, 1e6), np.full(500, -3.0)))
    assert absurd.success
    assert absurd.metrics["cost"] == pytest.approx(cold.metrics["cost"], rel=1e-12)
    assert absurd.history["dual_objective"][0] <= cold.metrics["cost"]


@pytest.mark.parametrize("shift", [0.0, 5.0, -5.0])
@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean"])
def test_raised_potentials_are_feasible_and_c_transforms_where_a_pair_is_listed(metric, shift):
    rng = np.random.default_rng(11)
    x, y = rng.random((400, 2)), rng.random((350, 2))
    rows, columns = Hierarchy.of(x), Hierarchy.of(y)
    cloud = PointCloudCost(x[rows.order], y[columns.order], metric)
    cost, dense = BlockedCost(cloud, rows.blocks(), columns.blocks()), cloud.dense()
    f, g = 0.1 * rng.random(400) + shift, 0.1 * rng.random(350)
    for by_rows in (True, False):
        first, second = raised(cost, f, g, by_rows=by_rows)
        slack = (dense - second) - first[:, None]
        assert slack.min() >= -1e-14
        # rows (columns) that are not tight had no pair in the list: they rose by as much as one
        tight = slack.min(axis=1 if by_rows else 0) <= 1e-14
        assert np.count_nonzero(tight) > 0.5 * tight.size


def test_pairs_join_once():
    cost = BlockedCost(DenseCost(np.arange(12.0).reshape(3, 4)))
    arcs = rooms.Arcs(np.array([0, 2]), np.array([1, 0]), np.array([1.0, 8.0]))
    more = arcs.joined(np.array([2, 0, 1, 0, 2]), np.array([0, 3, 1, 3, 3]), cost)
    assert more.rows.tolist() == [0, 0, 1, 2, 2]
    assert more.columns.tolist() == [1, 3, 1, 0, 3]
    assert more.costs.tolist() == [1.0, 3.0, 5.0, 8.0, 11.0]
    assert arcs.joined(np.array([2]), np.array([0]), cost) is arcs
    assert arcs.contain(np.array([2, 0]), np.array([0, 1]), 4)
    assert not arcs.contain(np.array([2, 2]), np.array([0, 1]), 4)
    assert arcs.contain(np.array([], dtype=int), np.array([], dtype=int), 4)


def test_joblib_backends_give_the_same_answer():
    rng = np.random.default_rng(5)
    x, y = rng.random((900, 2)), rng.random((900, 2))
    problem = OptimalTransport(np.full(900, 1 / 900), np.full(900, 1 / 900), PointCloudCost(x, y))
    here = solved(problem)
    with joblib.parallel_config(backend="threading", n_jobs=2):
        there = solved(problem)
    assert here.metrics == there.metrics


# ------------------------------------------------------------------ the rooms


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "cityblock"])
@pytest.mark.parametrize(("d", "fan"), [(1, None), (2, None), (3, None), (2, 4)])
def test_scans_find_every_pair(metric, d, fan, monkeypatch):
    """Blocks passed over must hold nothing: against the whole matrix, with rough and with smooth potentials."""
    if fan is not None:  # by way of larger blocks, as where there are many
        monkeypatch.setattr(pricing, "_FEW_BLOCKS", 0)
        monkeypatch.setattr(pricing, "_FAN", fan)
    rng = np.random.default_rng(d)
    x, y = rng.random((300, d)), rng.random((333, d)) + 0.1
    rows, columns = Hierarchy.of(x), Hierarchy.of(y)
    cloud = PointCloudCost(x[rows.order], y[columns.order], metric)
    cost = BlockedCost(cloud, rows.blocks(), columns.blocks())
    dense = cloud.dense()
    for roughness in (0.0, 0.05):
        g = -0.3 * cloud.y.sum(axis=1) + roughness * rng.standard_normal(333)
        f = (dense - g).min(axis=1) + 0.3 * roughness * rng.standard_normal(300)
        slack = (dense - g) - f[:, None]
        threshold = 0.05
        pairs = cost.pairs_below(f, g, threshold)
        found = np.zeros(dense.shape, dtype=bool)
        found[pairs.rows, pairs.columns] = True
        np.testing.assert_array_equal(found, slack <= threshold)
        np.testing.assert_array_equal(pairs.costs, dense[pairs.rows, pairs.columns])
        visited = cost._visited(f, g, threshold)[1].size
        if roughness == 0.0:
            assert visited < 0.95 * (rows.blocks().size - 1) * (columns.blocks().size - 1)
        priced = cost.price(f, g, tolerance=1e-3, keep=4)
        np.testing.assert_allclose(priced.shortfall, np.minimum(slack.min(axis=1), 0.0), rtol=0, atol=1e-15)
        listed = slack[priced.rows, priced.columns]
        assert np.all(listed < -1e-3)
        assert np.bincount(priced.rows, minlength=300).tolist() == np.minimum((slack < -1e-3).sum(axis=1), 4).tolist()
        if listed.size:
            worst = priced.rows[np.argmin(listed)], priced.columns[np.argmin(listed)]
            assert slack[worst] == slack.min()


def test_truncation_is_bounded():
    """Pairs that are not listed carry less than the bound says, after potentials have moved."""
    rng = np.random.default_rng(6)
    cloud = PointCloudCost(rng.random((200, 2)), rng.random((220, 2)))
    cost = BlockedCost(cloud)
    f, g = np.zeros(200), cloud.minimum_columns(np.zeros(200))
    depth, temperature = 8.0, 0.01
    pairs = cost.pairs_below(f, g, depth * temperature)
    moved_f, moved_g = f + 0.01 * rng.random(200), g + 0.02 * rng.random(220)
    a, b = np.full(200, 1 / 200), np.full(220, 1 / 220)
    plan = a[:, None] * b * np.exp((moved_f[:, None] + moved_g - cloud.dense()) / temperature)
    plan[pairs.rows, pairs.columns] = 0.0
    rise = (moved_f - f).max() + (moved_g - g).max()
    assert np.all(plan.sum(axis=1) <= a * np.exp(rise / temperature - depth))


def test_annealing_ends_near_the_optimal_potentials():
    rng = np.random.default_rng(7)
    x, y = rng.random((1000, 2)), rng.random((1000, 2))
    rows, columns = Hierarchy.of(x), Hierarchy.of(y)
    cloud = PointCloudCost(x[rows.order], y[columns.order])
    a = np.full(1000, 1e-3)
    found = anneal(BlockedCost(cloud, rows.blocks(), columns.blocks()), a, a, cloud.range, (rows, columns))
    g = cloud.minimum_columns(found.f)
    value = a @ cloud.minimum_rows(g) + a @ g
    optimum = reference(a, a, cloud.dense())
    assert 0.95 * optimum < value <= optimum * (1 + 1e-12)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_step_over_cells_raises_the_dual_where_sweeps_are_slow(d):
    """From potentials whose error varies slowly: one step does more than ten sweeps."""
    rng = np.random.default_rng(d)
    x, y = rng.random((1500, d)), rng.random((1600, d))
    rows, columns = Hierarchy.of(x), Hierarchy.of(y)
    cloud = PointCloudCost(x[rows.order], y[columns.order])
    cost = BlockedCost(cloud, rows.blocks(), columns.blocks())
    a, b, temperature = np.full(1500, 1 / 1500), np.full(1600, 1 / 1600), 0.003
    log_a, log_b = np.log(a), np.log(b)

    def sweeps(f, g, count):
        for _ in range(count):
            f = -temperature * cloud.logsumexp_rows(g / temperature + log_b, 1 / temperature)
            g = -temperature * cloud.logsumexp_columns(f / temperature + log_a, 1 / temperature)
        return f, g

    def dual(f, g):
        log_rows = cloud.logsumexp_rows(g / temperature + log_b, 1 / temperature) + f / temperature + log_a
        return a @ f + b @ g - temperature * (np.exp(log_rows).sum() - 1.0)

    f, g = sweeps(np.zeros(1500), np.zeros(1600), 400)
    best = dual(f, g)
    f, g = sweeps(f + 0.005 * np.sin(3 * cloud.x[:, 0]), g - 0.005 * np.sin(3 * cloud.y[:, 0]), 1)
    pairs = cost.pairs_below(f, g, 30 * temperature)
    stepped = coarse_step(cost, a, b, f, g, pairs, temperature)
    start = dual(f, g)
    assert best - start > 1e-5
    after = dual(*sweeps(*stepped, 1))
    assert after - start > 0.8 * (best - start)
    assert after > dual(*sweeps(f, g, 10))


def test_hierarchies_are_nested_orders():
    points = np.random.default_rng(8).random((257, 5))
    tree = Hierarchy.of(points)
    assert sorted(tree.order.tolist()) == list(range(257))
    for coarse, fine in zip(tree.levels[:-1], tree.levels[1:]):
        assert set(coarse) <= set(fine)
    assert np.diff(tree.blocks()).max() <= 32
    assert np.diff(tree.levels[-1]).max() <= 3
    assert tree.cells(10_000).tolist() == list(range(258))
    assert tree.cells(20).size - 1 == 16


@pytest.mark.delicate
def test_settled_potentials_are_exact_on_the_plan():
    cost = DenseCost(np.array([[0.0, 1.0, 5.0], [1.0, 0.0, 5.0], [5.0, 4.0, 0.0]]))
    rows, columns = (grid.ravel() for grid in np.indices((3, 3)))
    arcs = rooms.Arcs(rows, columns, cost.array.ravel())
    flows = np.where(rows == columns, 1 / 3, 0.0)
    f, g, trees, done = rooms.settled(arcs, flows, np.array([0.3, -2.0, 1.0]), np.array([0.1, 9.0, -1.0]))
    assert trees == 3
    assert done
    np.testing.assert_allclose(arcs.slacks(f, g)[flows > 0], 0.0, atol=1e-15)
    assert arcs.slacks(f, g).min() >= -1e-15


def test_settled_potentials_stay_where_they_were_if_they_may():
    """Three trees: any offsets within the slacks of the other pairs are optimal, and those nearby are wanted."""
    cost = np.array([[0.0, 1.0, 5.0], [1.0, 0.0, 5.0], [5.0, 4.0, 0.0]])
    rows, columns = (grid.ravel() for grid in np.indices((3, 3)))
    arcs = rooms.Arcs(rows, columns, cost.ravel())
    flows = np.where(rows == columns, 1 / 3, 0.0)
    near = np.array([0.2, -0.5, 1.5])
    f, g, _, done = rooms.settled(arcs, flows, near, -near + np.array([1e-3, 0.0, -1e-3]))
    assert done
    np.testing.assert_allclose(f, near, rtol=0, atol=1e-3)
    np.testing.assert_allclose(f, -g, rtol=0, atol=1e-15)


def test_backbone_is_a_plan():
    rng = np.random.default_rng(9)
    a, b = rng.dirichlet(np.ones(7)), rng.dirichlet(np.ones(11))
    rows, columns, flows = rooms.backbone(a, b, np.array([6, 0, 3]), np.array([0, 1, 1]))
    np.testing.assert_allclose(np.bincount(rows, flows, 7), a, atol=1e-15)
    np.testing.assert_allclose(np.bincount(columns, flows, 11), b, atol=1e-15)
    assert columns[0] != 0  # column 0 has its partner in the last row


def test_lists_turn_round():
    pairs = PairList(np.array([0, 2, 3]), np.array([1, 2, 0], dtype=np.int32), np.array([5.0, 6.0, 7.0]))
    turned = pairs.transposed(3)
    assert turned.indptr.tolist() == [0, 1, 2, 3]
    assert turned.columns.tolist() == [1, 0, 0]
    assert turned.costs.tolist() == [7.0, 5.0, 6.0]


def test_bad_arguments():
    with pytest.raises(ValueError, match="violated"):
        ExactTransport(violated=0)
    problem = OptimalTransport([1.0], [1.0], [[1.0]], regularization=0.1)
    with pytest.raises(TypeError, match="regularization=0"):
        optlab.solve(problem, ExactTransport())


@pytest.mark.parametrize("size", [1e10, 1e300])
def test_potentials_of_any_size_are_a_start(size):
    rng = np.random.default_rng(11)
    problem = OptimalTransport(np.full(40, 1 / 40), np.full(50, 1 / 50), rng.random((40, 50)))
    for f in (np.full(40, size), size * rng.standard_normal(40)):
        result = solved(problem, x0=(f, np.zeros(50)))
        assert result.success
        assert result.n_iter <= 4


def test_bounds_over_blocks_are_bounds_and_tight_where_costs_are_linear():
    """Far boxes of corner points, affine potentials, city-block costs: there bound and least slack are the same number.

    A bound too optimistic by a per mille would leave out violated pairs, and no random cloud might show it.
    """
    rng = np.random.default_rng(12)
    corners = np.array(list(np.ndindex(2, 2)), dtype=float) - 0.5
    x = np.arange(4)[:, None, None] * 3.0 + corners * rng.random((4, 1, 2))
    y = 100.0 - np.arange(4)[:, None, None] * 3.0 + corners * rng.random((4, 1, 2))
    f = (x * rng.standard_normal((4, 1, 2))).sum(axis=2).ravel()
    g = (y * rng.standard_normal((4, 1, 2))).sum(axis=2).ravel()
    edges = np.arange(5) * 4
    for metric, tight in (("cityblock", True), ("euclidean", False), ("sqeuclidean", False)):
        cloud = PointCloudCost(x.reshape(-1, 2), y.reshape(-1, 2), metric)
        blocked = BlockedCost(cloud, edges, edges)
        least = ((cloud.dense() - g) - f[:, None]).reshape(4, 4, 4, 4).min(axis=(1, 3))
        for A, B in np.ndindex(4, 4):
            for threshold, wanted in ((least[A, B] + 1e-9, True), (least[A, B] - 1e-3, False)):
                if not (wanted or tight):
                    continue
                indptr, blocks = blocked._visited(f, g, threshold)
                assert (B in blocks[indptr[A] : indptr[A + 1]]) == wanted
