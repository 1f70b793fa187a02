"""Whatever runs a solve inside: an interrupt in it reaches the caller, and nothing unfinished is kept."""

import numpy as np
import pytest

import optlab
from optlab.core import Status


def labelled():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 4))
    return X, np.where(X[:, 0] + 0.3 * rng.standard_normal(60) > 0, 1, 0)


def views():
    rng = np.random.default_rng(1)
    shared = rng.standard_normal((40, 1))
    return [shared @ rng.standard_normal((1, p)) + 0.5 * rng.standard_normal((40, p)) for p in (6, 7, 8)]


def marginals():
    return np.full(6, 1 / 6), np.full(8, 1 / 8), np.random.default_rng(2).random((6, 8))


def classifier():
    from optlab.stochastic import NGNClassifier

    return NGNClassifier(max_iter=5, random_state=0)


def regressor(X, y):
    from optlab.stochastic import NGNRegressor

    return NGNRegressor(max_iter=5, random_state=0).fit(X, y.astype(float))


def joint(**settings):
    from optlab.multiview import JointLCA

    return JointLCA(max_rank=2, random_state=0, **settings).fit(views())


def select(name, **settings):
    from optlab import multiview

    return getattr(multiview, name)(views(), max_rank=2, random_state=0, **settings)


def jive():
    from optlab.multiview.baselines import JIVE

    return JIVE(rank=1, individual_ranks=1).fit(views())


def free_support():
    from optlab.transport import free_support_barycenter

    rng = np.random.default_rng(3)
    return free_support_barycenter(
        [rng.random((5, 2)), rng.random((6, 2))], [np.full(5, 0.2), np.full(6, 1 / 6)], rng.random((4, 2))
    )


def one_shot():
    from optlab.transport import transport

    return transport(*marginals(), method="bdrs")


def quadratic_refinement():
    from optlab.transport import QuadraticOptimalTransport, SemismoothNewton
    from optlab.transport.quadratic.cardinality import _solve_on

    plan = optlab.solve(QuadraticOptimalTransport(*marginals(), 1.0), SemismoothNewton(), tol=1e-6).solution
    return lambda: _solve_on(plan, np.arange(48), np.zeros(6))


def sweep_of(folder):
    from optlab.stochastic import NGN, LogisticRegression, sweep

    X, y = labelled()
    return sweep(LogisticRegression(X, 2 * y - 1), {"NGN": NGN()}, [0.1, 1.0, 10.0], seeds=2, epochs=5, cache=folder)


STEPS = {
    "stochastic": ("optlab.stochastic.loop.method", "StochasticMethod", "advance_averaging"),
    "multiview": ("optlab.multiview.methods.alternating", "AlternatingProcrustes", "step"),
    "jive": ("optlab.multiview.baselines.jive", "AlternatingJIVE", "step"),
    "simplex": ("optlab.transport.solvers", "NetworkSimplex", "step"),
    "splitting": ("optlab.splitting.douglas_rachford", "BregmanDouglasRachford", "step"),
    "newton": ("optlab.transport.quadratic.semismooth_newton", "SemismoothNewton", "step"),
}

CALLS = {
    "NGNClassifier.fit": ("stochastic", lambda: classifier().fit(*labelled())),
    "NGNClassifier.partial_fit": ("stochastic", lambda: classifier().partial_fit(*labelled(), classes=[0, 1])),
    "NGNRegressor.fit": ("stochastic", lambda: regressor(*labelled())),
    "JointLCA": ("multiview", lambda: joint(lam=0.1)),
    "JointLCA, cross-validated": ("multiview", lambda: joint(lam="cv", n_folds=2)),
    "JointLCA, permuted": ("multiview", lambda: joint(lam="permutation", n_permutations=19)),
    "cross_validate_lambda": ("multiview", lambda: select("cross_validate_lambda", n_folds=2)),
    "JIVE": ("jive", jive),
    "free_support_barycenter": ("simplex", free_support),
    "transport": ("splitting", one_shot),
    "fewest entries": ("newton", quadratic_refinement),
}


@pytest.fixture
def interrupt(monkeypatch):
    """Let a method's step raise as Ctrl-C would, from its `at`-th call on."""

    def patch(kind, at=1):
        import importlib

        module, owner, name = STEPS[kind]
        cls = getattr(importlib.import_module(module), owner)
        real, calls = getattr(cls, name), []

        def step(self, *args, **kwargs):
            calls.append(1)
            if len(calls) >= at:
                raise KeyboardInterrupt
            return real(self, *args, **kwargs)

        monkeypatch.setattr(cls, name, step)
        return calls

    return patch


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("at", [1, 2])
def test_an_interrupt_reaches_the_caller(interrupt, name, at):
    kind, call = CALLS[name]
    if call is quadratic_refinement:
        call = call()
    calls = interrupt(kind, at)
    with pytest.raises(KeyboardInterrupt) as caught:
        call()
    assert caught.value.result.status is Status.INTERRUPTED
    assert len(calls) == at, "nothing runs after it"


@pytest.mark.parametrize("finished", [0, 2, 5])
def test_a_sweep_stops_and_keeps_the_rows_that_are_whole(interrupt, monkeypatch, tmp_path, finished):
    with monkeypatch.context():
        calls = interrupt("stochastic", 10**9)
        sweep_of(None)
    monkeypatch.undo()
    calls = interrupt("stochastic", len(calls) * (2 * finished + 1) // 12)  # in the middle of the next of six
    with pytest.raises(KeyboardInterrupt):
        sweep_of(tmp_path)
    monkeypatch.undo()
    assert len(list(tmp_path.rglob("*.npz"))) == finished
    again, anew = sweep_of(tmp_path), sweep_of(tmp_path / "fresh")
    for column in set(anew.columns) - {"solve_time"}:
        np.testing.assert_array_equal(again[column], anew[column])


def test_a_row_whose_file_is_half_written_is_run_again(tmp_path):
    first = sweep_of(tmp_path)
    path = min(tmp_path.rglob("*.npz"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    again = sweep_of(tmp_path)
    np.testing.assert_array_equal(again["final"], first["final"])
    assert "interrupted" not in set(again["status"])


def test_figures_theorems_and_benchmarks_raise(interrupt):
    from optlab.benchmarks import Benchmark
    from optlab.reproduce.figures import FigureSpec
    from optlab.reproduce.theorems import Theorem
    from optlab.splitting import BregmanDouglasRachford
    from optlab.transport import OptimalTransport

    def inner(scale, seed):
        optlab.solve(OptimalTransport(*marginals()), BregmanDouglasRachford(), max_iter=5)
        pytest.fail("the partial run was taken for a whole one")

    interrupt("splitting", 3)
    theorem = Theorem("t", "toy", "statement", inner)
    theorem.control("broken")(inner)
    for spec in (FigureSpec("f", "toy", "title", inner), theorem, theorem.controls[0], Benchmark("b", "title", inner)):
        with pytest.raises(KeyboardInterrupt):
            spec("smoke", 0)
