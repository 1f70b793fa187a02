"""The public names that scripts, figures and other people's checks call. A change here breaks them."""

import inspect

import numpy as np
import pytest

import optlab
from optlab.splitting import BregmanDouglasRachford
from optlab.transport import OptimalTransport


def small():
    rng = np.random.default_rng(0)
    return OptimalTransport(rng.dirichlet(np.ones(5)), rng.dirichlet(np.ones(7)), rng.random((5, 7)))


def test_solve_signature():
    parameters = inspect.signature(optlab.solve).parameters
    assert list(parameters) == [
        "problem", "method", "x0", "max_iter", "tol", "stop", "time_limit", "record", "callbacks", "progress", "seed",
        "checkpoint", "checkpoint_every", "resume", "on_interrupt",
    ]  # fmt: skip
    assert parameters["max_iter"].default == 1000
    assert parameters["record"].default == "log"
    assert all(p.kind is p.KEYWORD_ONLY for name, p in parameters.items() if name not in ("problem", "method"))
    assert list(inspect.signature(optlab.iterate).parameters) == ["problem", "method", "x0", "seed"]


def test_result_and_history():
    result = optlab.solve(small(), BregmanDouglasRachford(), tol=1e-3, max_iter=2000)
    for name in (
        "solution",
        "metrics",
        "history",
        "status",
        "success",
        "message",
        "n_iter",
        "solve_time",
        "method",
        "problem",
    ):
        assert hasattr(result, name)
    assert result.success
    assert str(result).startswith("CONVERGED")
    history = result.history
    for name in (
        "iteration",
        "time",
        "oracle_calls",
        "cost",
        "marginal_error",
        "dual_objective",
        "gap",
        "relative_gap",
    ):
        assert history[name].dtype == np.float64
        assert history[name].shape == (len(history),)
    assert set(history.metrics) >= {"cost", "gap", "relative_gap"}


def test_statuses():
    names = {"CONVERGED", "MAX_ITER", "TIME_LIMIT", "STALLED", "DIVERGED", "INTERRUPTED", "STOPPED"}
    names |= {"INFEASIBLE", "UNBOUNDED"}
    assert {status.name for status in optlab.Status} == names


def test_stopping_names():
    for name in ("Tolerance", "TimeLimit", "Stalled", "Diverged"):
        assert hasattr(optlab.stopping, name)


def test_plot_compare_cite_and_core_protocols():
    from matplotlib.axes import Axes

    from optlab.core import Method, Problem

    assert Method is not None
    assert Problem is not None
    result = optlab.solve(small(), BregmanDouglasRachford(), max_iter=20)
    assert isinstance(result.history.plot("gap", against="iteration"), Axes)
    assert isinstance(optlab.compare({"a": result, "b": result}, metric="gap", against="time"), Axes)
    assert "2509.08739" in optlab.cite(BregmanDouglasRachford())
    import matplotlib.pyplot as plt

    plt.close("all")


def test_theorem_and_figure_decorators():
    for name in ("theorem", "figure", "Evidence", "Figure"):
        assert callable(getattr(optlab, name))


def test_transport_plan_offers():
    plan = optlab.solve(small(), BregmanDouglasRachford(), max_iter=200).solution
    assert plan.dense().shape == (5, 7)
    assert plan.sparse(1e-9).shape == (5, 7)
    assert len(plan.potentials) == 2
    assert plan.gap >= -1e-12
    assert plan.cost > 0
    assert plan.apply(np.ones(7)).shape == (5,)
    np.testing.assert_allclose(plan.dense().sum(1), small().a, rtol=1e-12)
    assert plan.barycentric_map(np.ones((7, 2))).shape == (5, 2)


@pytest.mark.parametrize(
    ("a", "b", "cost", "message"),
    [
        ([-0.5, 1.5], [0.5, 0.5], np.eye(2), r"a must be non-negative.*\[0\]"),
        ([np.nan, 1], [0.5, 0.5], np.eye(2), r"a must be finite.*\[0\]"),
        ([0.5, 0.5], [np.inf, 0.5], np.eye(2), r"b must be finite.*\[0\]"),
        ([], [0.5, 0.5], np.eye(2), "a must not be empty"),
        ([0.5, 0.5], [0.5, 0.6], np.eye(2), "sum"),
        ([0.5, 0.5], [0.5, 0.5], np.ones((2, 3)), "shape"),
        ([0.5, 0.5], [0.5, 0.5], np.array([[0, np.nan], [1, 0]]), r"cost.*\[0, 1\]"),
        ([0.0, 0.0], [0.0, 0.0], np.eye(2), "a|mass|zero"),
    ],
)
def test_bad_transport_input(a, b, cost, message):
    with pytest.raises((ValueError, TypeError), match=message):
        OptimalTransport(a, b, cost)


def test_bad_step_sizes():
    for bad in (0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="step_size"):
            BregmanDouglasRachford(step_size=bad)


def test_zero_marginals_are_exact():
    rng = np.random.default_rng(3)
    a, b = rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(4))
    a[[1, 4]] = 0
    a /= a.sum()
    C = rng.random((6, 4))
    keep = a > 0
    whole = optlab.solve(OptimalTransport(a, b, C), BregmanDouglasRachford(), max_iter=300)
    part = optlab.solve(OptimalTransport(a[keep], b, C[keep]), BregmanDouglasRachford(), max_iter=300)
    assert whole.history.equals(part.history)
    assert np.all(whole.solution.dense()[~keep] == 0)


@pytest.mark.parametrize("factor", [1e6, 1e-6])
def test_default_step_size_scales_with_the_cost(factor):
    rng = np.random.default_rng(4)
    a, b, C = rng.dirichlet(np.ones(20)), rng.dirichlet(np.ones(30)), rng.random((20, 30))
    runs = [
        optlab.solve(OptimalTransport(a, b, c), BregmanDouglasRachford(), tol=2e-3, max_iter=3000, record="all")
        for c in (C, C * factor)
    ]
    assert runs[0].success
    assert runs[0].n_iter == runs[1].n_iter
