"""Compiled passes against plain NumPy and SciPy: every cost type, every pass, and the corners of the exponent range."""

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

import optlab
from optlab.core import threads
from optlab.transport import DenseCost, ExactTransport, GaugedCost, OptimalTransport, PointCloudCost
from optlab.transport.costs import passes
from optlab.transport.kernels import half_steps


def make(kind, n, m, seed=0):
    """Return a cost and the same matrix in float64."""
    rng = np.random.default_rng(seed)
    C = rng.random((n, m))
    if kind == "float64":
        return DenseCost(C), C
    if kind == "fortran":
        return DenseCost(np.asfortranarray(C)), C
    if kind == "float32":
        single = C.astype(np.float32)
        return DenseCost(single), single.astype(np.float64)
    if kind == "gauged":
        phi, psi = rng.random(n), rng.random(m)
        return GaugedCost(C, phi, psi), C - phi[:, None] - psi
    if kind == "gauged-fortran":
        phi, psi = rng.random(n), rng.random(m)
        return GaugedCost(np.asfortranarray(C), phi, psi), C - phi[:, None] - psi
    metric, dimension = kind.split("-")
    x, y = rng.random((n, int(dimension))), rng.random((m, int(dimension)))
    return PointCloudCost(x, y, metric), cdist(x, y, metric)


KINDS = [
    "float64",
    "fortran",
    "float32",
    "gauged",
    "gauged-fortran",
    "sqeuclidean-1",
    "sqeuclidean-2",
    "sqeuclidean-5",
    "euclidean-3",
    "cityblock-4",
]
# below one block, ragged over blocks and tiles, several parts, and one row or column
SHAPES = [(1, 1), (3, 7), (35, 1100), (1100, 35), (800, 700), (1, 3000), (3000, 1)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_every_pass_agrees_with_numpy(kind, shape):
    cost, C = make(kind, *shape)
    n, m = shape
    rng = np.random.default_rng(1)
    F, G, kappa = rng.standard_normal(n), rng.standard_normal(m), 7.0
    X = np.exp(F[:, None] + G - kappa * C)

    def close(got, want, rtol=1e-13):
        scale = max(float(np.max(np.abs(want))), 1e-300)
        assert np.shape(got) == np.shape(want)
        assert np.max(np.abs(got - want)) <= rtol * scale

    close(cost.logsumexp_rows(G, kappa), logsumexp(G - kappa * C, axis=1))
    close(cost.logsumexp_columns(F, kappa), logsumexp(F[:, None] - kappa * C, axis=0))
    rows, columns, costs = cost.plan_moments(F, G, kappa)
    close(rows, X.sum(axis=1))
    close(columns, X.sum(axis=0))
    close(costs.sum(), (C * X).sum())
    V, U = rng.standard_normal((m, 3)), rng.standard_normal((n, 2))
    close(cost.plan_apply(F, G, kappa, V), X @ V)
    close(cost.plan_apply(F, G, kappa, V[:, 0]), X @ V[:, 0])
    close(cost.plan_apply_transpose(F, G, kappa, U), X.T @ U)
    close(cost.plan_apply_transpose(F, G, kappa, U[:, 0]), X.T @ U[:, 0])
    close(cost.plan_dense(F, G, kappa), X)
    close(cost.minimum_rows(G), (C - G).min(axis=1))
    close(cost.minimum_columns(F), (C - F[:, None]).min(axis=0))
    close(cost.product(G), C @ G, 1e-12)
    close(cost.product_transpose(F), C.T @ F, 1e-12)
    close(cost.dense(), C)
    close(cost.minimum, C.min())
    close(cost.maximum, C.max())
    close(cost.mean, C.mean())
    assert abs(cost.standard_deviation - C.std()) <= 1e-13 * np.abs(C).max()
    p, q = rng.random(n), rng.random(m)
    Y = X + np.outer(p, q)
    costs, entropies = cost.plan_entropic(F, G, kappa, p, q)
    close(costs.sum(), (C * Y).sum())
    assert abs(entropies.sum() - (Y * (np.log(Y) - 1)).sum()) <= 1e-12 * np.abs(Y * (np.log(Y) - 1)).sum()
    threshold = float(np.median(Y))
    sparse = cost.plan_sparse(F, G, kappa, threshold, p, q)
    near = np.abs(Y - threshold) < 1e-10
    close(np.where(near, 0, sparse.toarray()), np.where(near | (threshold >= Y), 0, Y))


def test_exponential_is_accurate_to_a_few_ulp():
    # half_steps.exp2_clamped through a plan with kappa = 0
    x = np.concatenate([np.linspace(-1020.5, 1022.5, 200_001), np.linspace(-2, 2, 100_001), [0.0, 0.5, -0.5]])
    natural = x * np.log(2.0)
    got = DenseCost(np.zeros((1, x.size))).plan_dense(np.zeros(1), natural, 0.0)[0]
    exact = np.exp2((passes.binary(natural)).astype(np.longdouble))
    assert float(np.max(np.abs(got / exact - 1))) < 1e-15


def test_exponential_underflows_to_zero_and_never_overflows():
    got = DenseCost(np.zeros((1, 5))).plan_dense(np.zeros(1), np.array([-np.inf, -1e300, -800.0, 0.0, 1e9]), 0.0)[0]
    assert got[:3].tolist() == [0.0, 0.0, 0.0]
    assert got[3] == 1.0
    assert np.isfinite(got[4])
    assert got[4] > 1e307


@pytest.mark.parametrize("kappa", [0.0, 1e-12, 1.0, 1e4, 1e12, 1e18, -5.0])
@pytest.mark.parametrize("kind", ["float64", "fortran", "sqeuclidean-2"])
def test_logsumexp_at_any_inverse_temperature(kind, kappa):
    cost, C = make(kind, 300, 1300)
    rng = np.random.default_rng(2)
    for scale in (1.0, 1e4, 1e15):
        F, G = scale * rng.standard_normal(300), scale * rng.standard_normal(1300)
        size = 3 * scale + abs(kappa)
        rows, columns = cost.logsumexp_rows(G, kappa), cost.logsumexp_columns(F, kappa)
        # the arguments themselves are rounded at this size
        assert np.max(np.abs(rows - logsumexp(G - kappa * C, axis=1))) <= 4e-15 * size
        assert np.max(np.abs(columns - logsumexp(F[:, None] - kappa * C, axis=0))) <= 4e-15 * size


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_logsumexp_survives_a_reference_level_that_turns_out_far_too_low(direction):
    # maxima that rise (or fall) by thousands from block to block and from tile to tile
    n, m = 700, 2500
    C = np.random.default_rng(0).random((n, m))
    F, G = direction * np.linspace(0, 3e4, n), direction * np.linspace(0, 5e4, m)
    cost = DenseCost(C)
    assert np.allclose(cost.logsumexp_rows(G, 3.0), logsumexp(G - 3.0 * C, axis=1), rtol=1e-14)
    assert np.allclose(cost.logsumexp_columns(F, 3.0), logsumexp(F[:, None] - 3.0 * C, axis=0), rtol=1e-14)
    # jumps just below and above the point at which the level is renewed
    for jump in (300.0, 346.0, 347.5, 690.0, 710.0, 720.0):
        step_rows, step_columns = np.zeros(n), np.zeros(m)
        step_rows[40:], step_columns[1500:] = jump, jump
        assert np.allclose(
            cost.logsumexp_rows(step_columns, 3.0), logsumexp(step_columns - 3.0 * C, axis=1), rtol=1e-14
        )
        assert np.allclose(
            cost.logsumexp_columns(step_rows, 3.0), logsumexp(step_rows[:, None] - 3.0 * C, axis=0), rtol=1e-14
        )


@pytest.mark.parametrize("kind", ["float64", "fortran", "float32", "sqeuclidean-2"])
def test_infinite_potentials_mean_no_mass(kind):
    cost, C = make(kind, 90, 1200)
    F, G = np.zeros(90), np.zeros(1200)
    F[:50], G[:1100] = -np.inf, -np.inf
    assert np.allclose(cost.logsumexp_rows(G, 2.0), logsumexp(-2.0 * C[:, 1100:], axis=1), rtol=1e-13)
    assert np.allclose(cost.logsumexp_columns(F, 2.0), logsumexp(-2.0 * C[50:], axis=0), rtol=1e-13)
    rows, columns, costs = cost.plan_moments(F, G, 2.0)
    assert np.all(rows[:50] == 0)
    assert np.all(columns[:1100] == 0)
    assert np.all(np.isfinite(costs))
    F[:], G[:] = -np.inf, -np.inf
    assert np.all(cost.logsumexp_rows(G, 2.0) == -np.inf)
    assert np.all(cost.logsumexp_columns(F, 2.0) == -np.inf)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    n=st.integers(1, 70),
    m=st.integers(1, 70),
    kappa=st.floats(-1e3, 1e3),
    offset=st.floats(-1e6, 1e6),
    seed=st.integers(0, 100),
)
def test_logsumexp_shifts_and_transposes(n, m, kappa, offset, seed):
    rng = np.random.default_rng(seed)
    C, G = rng.standard_normal((n, m)), rng.standard_normal(m)
    cost = DenseCost(C)
    base = cost.logsumexp_rows(G, kappa)
    size = 1 + abs(offset) + 5 * abs(kappa)
    assert np.max(np.abs(cost.logsumexp_rows(G + offset, kappa) - offset - base)) <= 1e-15 * size
    assert np.max(np.abs(cost.T.logsumexp_columns(G, kappa) - base)) <= 1e-15 * size
    assert np.all(base >= (G - kappa * C).max(axis=1) - 1e-15 * size)


def test_results_do_not_depend_on_the_number_of_threads(monkeypatch):
    cost, _ = make("float64", 1200, 1100)
    F, G = np.linspace(0, 1, 1200), np.linspace(0, 2, 1100)
    several = [cost.logsumexp_rows(G, 9.0), cost.logsumexp_columns(F, 9.0), *cost.plan_moments(F, G, 9.0)]
    monkeypatch.setattr(threads, "thread_count", lambda: 1)
    one = [cost.logsumexp_rows(G, 9.0), cost.logsumexp_columns(F, 9.0), *cost.plan_moments(F, G, 9.0)]
    assert len(passes.row_ranges(1200, 1100)) > 1
    for left, right in zip(several, one):
        assert left.tobytes() == right.tobytes()


def test_passes_may_be_called_from_several_threads_at_once():
    from concurrent.futures import ThreadPoolExecutor

    cost, C = make("float64", 900, 800)
    want = logsumexp(-3.0 * C, axis=0)
    with ThreadPoolExecutor(6) as pool:
        for got in pool.map(lambda _: cost.logsumexp_columns(np.zeros(900), 3.0), range(24)):
            assert np.allclose(got, want, rtol=1e-13)


def _every_pass(cost):
    n, m = cost.shape
    F, G = np.linspace(-1.0, 1.0, n), np.linspace(0.0, 2.0, m)
    return [
        cost.logsumexp_rows(G, 9.0),
        cost.logsumexp_columns(F, 9.0),
        *cost.plan_moments(F, G, 9.0),
        cost.plan_apply(F, G, 9.0, np.stack([G, G**2], axis=1)),
        cost.plan_apply_transpose(F, G, 9.0, F),
        cost.plan_dense(F, G, 9.0),
        *cost.plan_entropic(F, G, 9.0, np.abs(F), G),
        cost.minimum_rows(G),
        cost.minimum_columns(F),
        cost.product(G),
        cost.product_transpose(F),
        np.array(cost._storage()[0][0].shape),
        np.array(passes.statistics(*cost._storage())),
        passes.cost_dense(*cost._storage()),
    ]


class _Counting(joblib.parallel.ThreadingBackend):
    """joblib's threads, as a backend that a caller has chosen; counts the tasks it is given."""

    tasks = 0

    def submit(self, func, callback=None):
        type(self).tasks += 1
        return super().submit(func, callback)


joblib.register_parallel_backend("counting", _Counting)


@pytest.mark.parametrize("kind", ["float64", "float32", "single", "cloud"])
def test_passes_run_wherever_joblib_is_told_to(kind):
    """What has travelled there and back is what threads write on, to the bit."""
    if kind == "single":
        cost = DenseCost(make("float32", 1100, 1000)[1].astype(np.float32), arithmetic="single")
    elif kind == "cloud":
        rng = np.random.default_rng(0)
        cost = PointCloudCost(rng.random((1100, 2)), rng.random((1000, 2)))
    else:
        cost = make(kind, 1100, 1000)[0]
    here = _every_pass(cost)
    _Counting.tasks = 0
    with joblib.parallel_config(backend="counting", n_jobs=2):
        there = _every_pass(cost)
    assert _Counting.tasks > 20
    for left, right in zip(here, there):
        assert left.tobytes() == right.tobytes()


@pytest.mark.slow
def test_passes_run_in_other_processes():
    rng = np.random.default_rng(0)
    cost = PointCloudCost(rng.random((1100, 2)), rng.random((1000, 2)))
    here = _every_pass(cost)
    with joblib.parallel_config(backend="loky", n_jobs=2):
        there = _every_pass(cost)
    for left, right in zip(here, there):
        # to the last bit but one: arrays that arrive read-only have compiled loops of their own
        np.testing.assert_allclose(right, left, rtol=1e-14, atol=1e-300)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what dask's machinery says of itself
def test_an_exact_plan_on_a_dask_cluster():
    distributed = pytest.importorskip("distributed")
    rng = np.random.default_rng(0)
    x, y = rng.random((900, 2)), rng.random((900, 2))
    problem = OptimalTransport(np.full(900, 1 / 900), np.full(900, 1 / 900), PointCloudCost(x, y))
    here = optlab.solve(problem, ExactTransport(), tol=1e-9, max_iter=50)
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        there = optlab.solve(problem, ExactTransport(), tol=1e-9, max_iter=50)
    assert there.success
    assert there.metrics["cost"] == pytest.approx(here.metrics["cost"], rel=1e-13)


def test_an_error_in_a_task_reaches_the_caller():
    def fail():
        raise RuntimeError("from a task")

    with pytest.raises(RuntimeError, match="from a task"):
        threads.run_tasks([fail] * 20)


def test_the_callers_array_is_neither_copied_nor_converted():
    for array in (np.ones((5, 4)), np.ones((5, 4), np.float32), np.asfortranarray(np.ones((5, 4)))):
        cost = DenseCost(array)
        assert cost.array.flags.writeable is False
        assert np.shares_memory(cost._data[0], array)
        assert cost._data[0].dtype == array.dtype
        array.flags.writeable = False
        assert cost.logsumexp_rows(np.zeros(4), 1.0) == pytest.approx(np.log(4) - 1.0)


def test_inner_loops_are_vectorised():
    # the speed of everything rests on this; a scalar loop would pass every other test
    import platform

    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("looks for x86 vector registers")
    import numba
    from llvmlite import binding

    if not binding.get_host_cpu_features().get("avx2") or numba.config.CPU_NAME == "generic":
        pytest.skip("needs AVX2, and compilation for this processor")

    @numba.njit
    def probe(c, g):
        return half_steps._sum_row(c, g, 2.0, 1.0)

    probe(np.ones(8), np.ones(8))
    assembly = probe.inspect_asm(probe.signatures[0])
    assert sum("vfmadd" in line and ("ymm" in line or "zmm" in line) for line in assembly.splitlines()) >= 9
