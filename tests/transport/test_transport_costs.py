"""Cost objects: validation, views, submatrices, units."""

import numpy as np
import pytest
from scipy.sparse import coo_array

import optlab
from optlab.transport import DenseCost, ExactTransport, GaugedCost, OptimalTransport, PointCloudCost, as_cost


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        ([[0.0, np.nan]], ValueError, r"cost must be finite, got nan at index \[0, 1\]"),
        ([[0.0], [-np.inf]], ValueError, r"cost must be finite, got -inf at index \[1, 0\]"),
        ([0.0, 1.0], ValueError, "cost must have 2 dimension"),
        (np.zeros((0, 3)), ValueError, "cost must not be empty"),
        ([["a"]], TypeError, "cost must hold real numbers"),
        ([[1.0, -1e141]], ValueError, r"entries of size at most 1e\+140, got 1e\+141"),
        ([[1e141, np.inf]], ValueError, "entries of size at most"),
        (coo_array([[1e141]]), ValueError, "entries of size at most"),
    ],
)
def test_dense_cost_says_what_is_wrong(value, error, words):
    with pytest.raises(error, match=words):
        as_cost(value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([[0.0, np.nan]], [[0.0, 0.0]]), r"x must be finite, got nan at index \[0, 1\]"),
        (([[0.0, 1.0]], [[0.0, np.inf]]), r"y must be finite, got inf at index \[0, 1\]"),
        (([[0.0, 1.0]], [[0.0]]), "same dimension, got 2 and 1"),
        (([0.0], [0.0], "manhattan"), "metric must be one of"),
        (
            ([1e70], [0.0]),
            r"at most 5e\+69, so that distances .* below 1e\+140, got one of size 1e\+70",
        ),
        (([1e-200, 0.0], [0.0], "euclidean"), r"at least 1e-140, because squares of distances underflow"),
        (([1e140], [0.0], "cityblock"), r"at most 5e\+139"),
        ((np.zeros((2, 2, 2)), [0.0]), "x must have 1 or 2 dimension"),
    ],
)
def test_point_cloud_says_what_is_wrong(arguments, words):
    with pytest.raises(ValueError, match=words):
        PointCloudCost(*arguments)


@pytest.mark.parametrize("order", ["C", "F"])
def test_transpose_and_submatrix_of_dense_costs(order):
    C = np.arange(12.0).reshape(3, 4)
    cost = DenseCost(np.array(C, order=order))
    assert cost.T.shape == (4, 3)
    assert np.array_equal(cost.T.dense(), C.T)
    assert np.shares_memory(cost.T.dense(), cost.array)
    part = cost.submatrix([2, 0], np.array([False, True, True, False]))
    assert np.array_equal(part.dense(), C[[2, 0]][:, [1, 2]])
    assert np.allclose(part.product(np.ones(2)), part.dense().sum(axis=1))
    assert cost.T.product(np.ones(3)).tolist() == C.sum(axis=0).tolist()


def test_transpose_and_submatrix_of_clouds_and_gauged_costs():
    rng = np.random.default_rng(0)
    x, y = rng.random((5, 3)), rng.random((4, 3))
    cloud = PointCloudCost(x, y, "euclidean")
    assert np.allclose(cloud.T.dense(), cloud.dense().T, rtol=0, atol=1e-15)
    assert np.array_equal(cloud.submatrix([1, 3], None).dense(), cloud.dense()[[1, 3]])
    phi, psi = rng.random(5), rng.random(4)
    gauged = GaugedCost(cloud.dense(), phi, psi)
    assert np.array_equal(gauged.T.dense(), (cloud.dense().T - psi[:, None]) - phi)
    assert np.array_equal(gauged.submatrix([0, 2], [1]).dense(), gauged.dense()[[0, 2]][:, [1]])
    with pytest.raises(TypeError, match="must be dense to absorb"):
        GaugedCost(cloud, phi, psi)
    with pytest.raises(ValueError, match="psi must have shape"):
        GaugedCost(cloud.dense(), phi, phi)


def test_near_points_keep_their_digits():
    # the expansion |x|^2 + |y|^2 - 2 x.y would lose them all
    cost = PointCloudCost([[1e8, 1e8]], [[1e8 + 1.0, 1e8]])
    assert cost.dense().tolist() == [[1.0]]


def test_a_strided_view_is_copied_once_and_right():
    array = np.arange(60.0).reshape(6, 10)
    view = array[::2, ::3]
    assert np.array_equal(DenseCost(view).dense(), view)
    assert np.allclose(DenseCost(view).product(np.ones(4)), view.sum(axis=1))


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_scale_follows_the_units(factor):
    C = np.random.default_rng(0).random((20, 30))
    assert DenseCost(factor * C).scale == pytest.approx(factor * DenseCost(C).scale, rel=1e-12)


@pytest.mark.parametrize(("value", "scale"), [(0.0, 1.0), (3.0, 3.0), (-2.0, 2.0), (0.1, 0.1)])
def test_a_constant_cost_has_its_size_as_scale(value, scale):
    assert DenseCost(np.full((7, 9), value)).scale == scale


def test_spread_on_a_large_offset():
    C = 1e6 + np.random.default_rng(0).random((300, 2100))
    assert DenseCost(C).standard_deviation == pytest.approx(C.std(), rel=1e-10)
    assert DenseCost(C).range == np.ptp(C)


def test_representations_are_short():
    assert repr(DenseCost(np.zeros((2, 3)))) == "DenseCost(shape=(2, 3), dtype=float64)"
    assert "dimension=2" in repr(PointCloudCost(np.zeros((2, 2))))


def test_statistics_of_large_clouds_are_those_of_a_sample(monkeypatch):
    rng = np.random.default_rng(3)
    x, y = rng.random((300, 2)), rng.random((280, 2))
    exact = PointCloudCost(x, y)
    assert exact.maximum == exact.dense().max()
    monkeypatch.setattr("optlab.transport.costs.point_cloud._SURVEYED", 1000)
    monkeypatch.setattr("optlab.transport.costs.point_cloud._SAMPLE", 100)
    sampled = PointCloudCost(x, y)
    assert sampled.mean != exact.mean
    assert abs(sampled.mean - exact.mean) < 0.1 * exact.mean
    assert abs(sampled.standard_deviation - exact.standard_deviation) < 0.1 * exact.standard_deviation
    assert 0.8 * exact.maximum < sampled.maximum <= exact.maximum
    assert sampled.minimum >= exact.minimum


@pytest.mark.parametrize("size", [1e-270, 1e-130, 1.0, 1e69, 1e139])
@pytest.mark.parametrize("metric", ["dense", "sqeuclidean", "cityblock"])
def test_extreme_units_are_certified_or_refused(size, metric):
    """Never a relative gap of zero because its denominator overflowed, or a warning."""
    rng = np.random.default_rng(1)
    points = size**0.5 * rng.random((2, 6, 2)) if metric == "sqeuclidean" else size * rng.random((2, 6, 2))
    if metric == "cityblock" and size < 1e-140:
        return  # refused as it is made
    cost = DenseCost(size * rng.random((6, 6))) if metric == "dense" else PointCloudCost(*points, metric)
    for mass in (1e-300, 1e-200, 1.0, 1e250, 1e300):
        a = np.full(6, mass / 6)
        if not 1e-302 < mass * size < 1e303:
            with pytest.raises(ValueError, match="multiply the weights, or the cost, by a constant"):
                optlab.solve(OptimalTransport(a, a, cost), ExactTransport(), tol=1e-9)
            continue
        problem = OptimalTransport(a, a, cost)
        start = optlab.solve(problem, ExactTransport(), tol=1e-9, max_iter=0)
        assert start.metrics["relative_gap"] > 1e-3
        assert optlab.solve(problem, ExactTransport(), tol=1e-9, max_iter=20).success


@pytest.mark.parametrize("kind", ["C", "F", "float32", "cloud", "gauged", "sparse"])
def test_costs_of_single_pairs(kind):
    from scipy.sparse import csr_array

    rng = np.random.default_rng(0)
    C = rng.random((6, 5))
    if kind == "sparse":
        C[rng.random((6, 5)) < 0.5] = 0.0
    cost = {
        "C": lambda: DenseCost(C),
        "F": lambda: DenseCost(np.asfortranarray(C)),
        "float32": lambda: DenseCost(C.astype(np.float32)),
        "cloud": lambda: PointCloudCost(rng.random((6, 2)), rng.random((5, 2))),
        "gauged": lambda: GaugedCost(C, rng.random(6), rng.random(5)),
        "sparse": lambda: as_cost(csr_array(C)),
    }[kind]()
    rows, columns = (grid.ravel() for grid in np.indices((6, 5)))
    for view in (cost, cost.T):
        i, j = (rows, columns) if view is cost else (columns, rows)
        np.testing.assert_array_equal(view.pair_costs(i, j), view.dense()[i, j].astype(np.float64))
