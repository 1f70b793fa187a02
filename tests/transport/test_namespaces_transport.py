"""Dense transport on arrays of another library (array-api-strict): NumPy's results, without a NumPy call on them."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import optlab
from optlab.splitting import BregmanDouglasRachford
from optlab.transport import OptimalTransport, Sinkhorn
from optlab.transport.costs.dense import DenseCost
from optlab.transport.costs.foreign import NamespaceCost
from optlab.wrappers import Halpern

strict = pytest.importorskip("array_api_strict")


@pytest.fixture(autouse=True)
def no_implicit_conversion(monkeypatch):
    """NumPy may see a foreign array only where it is moved to the host by name."""
    kind = type(strict.asarray([1.0]))
    original = kind.__array__

    def guarded(self, *args, **kwargs):
        caller = sys._getframe(1)
        assert caller.f_code.co_filename.endswith("core/backend.py"), f"NumPy call in {caller.f_code}"
        return original(self, *args, **kwargs)

    monkeypatch.setattr(kind, "__array__", guarded)


def data(n=13, m=9, seed=3):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m)), rng.uniform(0.0, 2.0, (n, m))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("transposed", [False, True])
def test_passes(dtype, transposed):
    rng = np.random.default_rng(5)
    C = data()[2].astype(dtype)
    here, there = DenseCost(C), NamespaceCost(strict.asarray(C))
    if transposed:
        here, there = here.T, there.T
    n, m = here.shape
    F, G, p, q = rng.standard_normal(n), rng.standard_normal(m), rng.random(n), rng.random(m)
    F[2] = -np.inf
    for name, arguments in {
        "logsumexp_rows": (G, 7.0),
        "logsumexp_columns": (F, 7.0),
        "plan_moments": (F, G, 7.0),
        "plan_dense": (F, G, 7.0),
        "plan_entropic": (F, G, 7.0, p, q),
        "plan_apply": (F, G, 7.0, rng.random((m, 2))),
        "plan_apply_transpose": (F, G, 7.0, rng.random(n)),
        "minimum_rows": (G,),
        "minimum_columns": (p,),
        "product": (G,),
        "product_transpose": (p,),
        "pair_costs": (np.array([1, 0, 2]), np.array([3, 1, 0])),
        "dense": (),
    }.items():
        ours, theirs = getattr(there, name)(*arguments), getattr(here, name)(*arguments)
        for one, other in zip(*(x if isinstance(x, tuple) else (x,) for x in (ours, theirs))):
            assert type(one) is np.ndarray
            if one.shape != other.shape:  # terms of a sum, along whichever axis is stored
                one, other = one.sum(), other.sum()
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14, err_msg=name)
    no_mass = np.full(m, -np.inf)
    assert np.all(there.logsumexp_rows(no_mass, 1.0) == -np.inf)
    sparse = [cost.plan_sparse(F, G, 7.0, 0.01, p, q).toarray() for cost in (here, there)]
    np.testing.assert_allclose(sparse[1], sparse[0], rtol=1e-12, atol=1e-14)
    part = [cost.submatrix([2, 0], slice(1, 4)).dense() for cost in (here, there)]
    np.testing.assert_array_equal(part[1], part[0])
    for name in ("minimum", "maximum", "mean", "standard_deviation", "smallest", "fine_scale"):
        assert getattr(there, name) == pytest.approx(getattr(here, name), rel=1e-12)


def same_run(here, there, method, iterations):
    runs = [optlab.solve(problem, method, max_iter=iterations) for problem in (here, there)]
    for name in set(runs[0].history) - {"time"}:
        values = [run.history[name] for run in runs]
        np.testing.assert_allclose(values[1], values[0], rtol=1e-9, atol=1e-12, err_msg=name)
    plans = [run.solution.dense() for run in runs]
    np.testing.assert_allclose(plans[1], plans[0], rtol=1e-10, atol=1e-12)
    return runs


@pytest.mark.parametrize(
    "method",
    [
        BregmanDouglasRachford(),
        BregmanDouglasRachford(step_size=3.0, relaxation=1.5),
        Halpern(BregmanDouglasRachford(step_size=3.0)),
    ],
    ids=["default", "relaxed", "halpern"],
)
def test_transport_with_its_certificate(method):
    a, b, C = data()
    here, there = same_run(OptimalTransport(a, b, C), OptimalTransport(a, b, strict.asarray(C)), method, 60)
    assert there.solution.gap == pytest.approx(here.solution.gap, rel=1e-9, abs=1e-13)
    assert there.solution.gap >= 0.0
    plan = there.solution.dense()
    np.testing.assert_allclose(plan.sum(axis=1), a, rtol=1e-12)
    np.testing.assert_allclose(plan.sum(axis=0), b, rtol=1e-12)


def test_sinkhorn_with_its_certificate():
    a, b, C = data()
    problems = (OptimalTransport(a, b, cost, regularization=0.1) for cost in (C, strict.asarray(C)))
    here, there = same_run(*problems, Sinkhorn(), 40)
    assert 0.0 <= there.solution.gap == pytest.approx(here.solution.gap, rel=1e-9)


def test_zero_weights_take_a_part_of_the_matrix():
    a, b, C = data()
    a[3] = 0.0
    a /= a.sum()
    same_run(OptimalTransport(a, b, C), OptimalTransport(a, b, strict.asarray(C)), BregmanDouglasRachford(), 20)


def test_bad_costs():
    with pytest.raises(ValueError, match="finite in another library"):
        NamespaceCost(strict.asarray([[0.0, np.inf]]))
    with pytest.raises(TypeError, match="real floating-point"):
        NamespaceCost(strict.asarray([[0, 1]]))
    with pytest.raises(TypeError, match="use DenseCost"):
        NamespaceCost(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="2 dimension"):
        NamespaceCost(strict.asarray([0.0, 1.0]))
