"""Step-size sweeps: the runs are those of `solve`, resumable and parallel; widths of plateaus; table and figure."""

import json

import numpy as np
import pytest

import optlab
from optlab.stochastic import (
    NGN,
    SGD,
    AdaSPS,
    Averaged,
    Decaying,
    FiniteSum,
    LeastSquares,
    LogisticRegression,
    PolyakSGD,
    StepDecay,
    Sweep,
    sweep,
)
from optlab.stochastic.sweeps import sensitivity

GRID = [1e-2, 1.0, 1e2]


def problem(seed=0):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((24, 3))
    return LeastSquares(A, A @ np.ones(3) + 0.1 * rng.standard_normal(24))


def test_runs_are_those_of_solve():
    p = problem()
    table = sweep(p, {"a": NGN(batch_size=4), "b": SGD(1.0, momentum=0.5)}, GRID, seeds=[3, 8], epochs=2.5)
    assert len(table) == 2 * 3 * 2
    for row in table:
        method = NGN(row["step_size"], batch_size=4) if row["method"] == "a" else SGD(row["step_size"], momentum=0.5)
        steps = 15 if row["method"] == "a" else 60
        result = optlab.solve(p, method, max_iter=steps, seed=row["seed"])
        if str(result.status) == "diverged":
            assert row["final"] == np.inf
        else:
            assert row["final"] == result.metrics["objective"]
            assert row["iterations"] == steps
            assert row["gap"] == result.metrics["gap"]
        assert row["initial"] == p.objective(np.zeros(3))
        assert row["status"] == str(result.status)
    assert set(table["status"][table["method"] == "a"]) == {"max_iter"}


@pytest.mark.slow
def test_parallel_equals_serial():
    p = problem()
    one = sweep(p, [NGN(), SGD], GRID, seeds=2, epochs=1)
    two = sweep(p, [NGN(), SGD], GRID, seeds=2, epochs=1, jobs=2)
    for name in set(one.columns) - {"solve_time"}:
        np.testing.assert_array_equal(one[name], two[name])


def test_step_sizes_reach_the_right_place():
    def place(make):
        return sensitivity._with_step_size(make, 7.0, "m")

    assert place(NGN(momentum=0.5)) == NGN(7.0, momentum=0.5)
    assert place(PolyakSGD(scaling=1.0)) == PolyakSGD(7.0, scaling=1.0)
    assert place(SGD(Decaying(1.0, power=0.7))) == SGD(Decaying(7.0, power=0.7))
    assert place(NGN(StepDecay(1.0, (5,)))) == NGN(StepDecay(7.0, (5,)))
    assert place(Averaged(NGN(), start=3)) == Averaged(NGN(7.0), start=3)
    assert place(lambda s: NGN(2 * s)) == NGN(14.0)
    assert place(SGD) == SGD(7.0)


def test_a_cache_is_used_resumed_and_repaired(tmp_path, monkeypatch):
    p = problem()
    methods = {"ngn": NGN(), "sgd": SGD(1.0)}
    whole = sweep(p, methods, GRID, seeds=2, epochs=1, cache=tmp_path)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 12
    assert all(json.loads(f.read_text()) for f in files)

    runs = []
    real = sensitivity.solve
    monkeypatch.setattr(sensitivity, "solve", lambda *a, **k: runs.append(a) or real(*a, **k))
    again = sweep(problem(), methods, GRID, seeds=2, epochs=1, cache=tmp_path)
    assert runs == []
    for name in whole.columns:
        np.testing.assert_array_equal(again[name], whole[name])

    files[0].unlink()
    files[1].write_text(files[1].read_text()[:20])  # torn by something other than us
    files[2].write_text("{}")
    files[3].write_bytes(b"\xff\xfe\x00")  # no text
    row = json.loads(files[4].read_text())
    damaged = [
        {k: v for k, v in row.items() if k != "status"},
        row | {"final": "0.5"},
        row | {"metrics": {"gap": None}},
        row | {"status": "interrupted"},  # not the run that was asked for
        row | {"iterations": True},
    ]
    for file, content in zip(files[4:9], damaged, strict=True):
        file.write_text(json.dumps(content))
    again = sweep(p, methods, GRID, seeds=2, epochs=1, cache=tmp_path)
    assert len(runs) == 9
    assert again["final"].dtype == float
    for name in set(whole.columns) - {"solve_time"}:
        np.testing.assert_array_equal(again[name], whole[name])

    # anything else is another run
    runs.clear()
    sweep(problem(1), {"ngn": NGN()}, [1.0], seeds=1, epochs=1, cache=tmp_path)
    sweep(p, {"ngn": NGN()}, [1.0], seeds=[5], epochs=1, cache=tmp_path)
    sweep(p, {"ngn": NGN()}, [1.0], seeds=1, epochs=2, cache=tmp_path)
    sweep(p, {"ngn": NGN(momentum=0.5)}, [1.0], seeds=1, epochs=1, cache=tmp_path)
    sweep(p, {"ngn": NGN()}, [1.0], seeds=1, epochs=1, x0=np.ones(3), cache=tmp_path)
    sweep(p, {"ngn": NGN()}, [1.0], seeds=1, epochs=1, metric="gap", cache=tmp_path)
    assert len(runs) == 6
    sweep(p, {"other name": NGN()}, [1.0], seeds=1, epochs=1, cache=tmp_path)
    assert len(runs) == 6


def test_what_finished_before_an_interruption_is_kept(tmp_path, monkeypatch):
    real, runs = sensitivity.solve, []

    def fragile(*args, **kwargs):
        runs.append(1)
        if len(runs) == 4:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(sensitivity, "solve", fragile)
    with pytest.raises(KeyboardInterrupt):
        sweep(problem(), [NGN()], GRID, seeds=2, epochs=1, cache=tmp_path)
    assert len(list(tmp_path.glob("*.json"))) == 3
    sweep(problem(), [NGN()], GRID, seeds=2, epochs=1, cache=tmp_path)
    assert len(runs) == 4 + 3


def table(final, steps=None, initial=1.0, metric="objective"):
    final = np.atleast_2d(final)
    seeds, n = final.shape
    steps = np.logspace(0, n - 1, n) if steps is None else np.asarray(steps)
    return Sweep(
        {
            "method": ["m"] * final.size,
            "step_size": np.tile(steps, seeds),
            "seed": np.repeat(np.arange(seeds), n),
            "final": final.ravel(),
            "initial": [initial] * final.size,
        },
        metric,
    )


def test_plateau_width_interpolates_in_logarithmic_scales():
    assert table([4.0, 1.0, 4.0]).plateau_width()["m"] == pytest.approx(1.0)  # half a decade on each side
    assert table([4.0, 1.0, 1.5, 2.0, 8.0]).plateau_width()["m"] == pytest.approx(0.5 + 2)
    assert table([np.inf, 1.0, 1.0, np.inf]).plateau_width()["m"] == 1.0
    assert table([1.0, 1.0, 1.0]).plateau_width()["m"] == 2.0
    assert table([1.0, 9.0, 1.9]).plateau_width()["m"] == pytest.approx(np.log10(2) / np.log10(9))  # not the island
    assert table([4.0, 1.0, 4.0]).plateau_width(factor=4.0)["m"] == pytest.approx(2.0)
    assert table([4.0, 1.0, 4.0]).plateau_width(level=0.5)["m"] == 0.0
    assert table([4.0, 1.0, 4.0]).plateau_width(level=4.0)["m"] == pytest.approx(2.0)
    assert table([np.inf, np.inf]).plateau_width()["m"] == 0.0
    assert table([0.0, 0.0, 1.0]).plateau_width()["m"] == pytest.approx(1.0, abs=1e-2)
    # order of the rows does not matter, nor does the outlier among three seeds
    assert table([[4.0, 1.0, 4.0]] * 2 + [[1e9] * 3], steps=[1.0, 10.0, 100.0]).plateau_width()["m"] == pytest.approx(1)
    with pytest.raises(ValueError, match="factor"):
        table([1.0]).plateau_width(factor=1.0)


def test_best_and_robustness():
    t = table([4.0, 0.5, np.inf], initial=2.0)
    assert t.best("m") == (10.0, 0.5)
    assert t.robustness()["m"] == pytest.approx((2 + 0.5 + 2) / 3 - 0.5)
    with pytest.raises(ValueError, match="method must be one of 'm'"):
        t.best("n")
    # what ends above its start counts as staying there, wherever that is the best there is
    assert table([3.0, 5.0]).robustness()["m"] == 0.0
    assert table([3.0, 0.5]).robustness()["m"] == pytest.approx(0.25)
    lost = table([np.inf, np.inf])
    assert lost.robustness()["m"] == 0.0
    assert lost.best("m") == (1.0, np.inf)
    assert "e+308" not in repr(lost)
    assert "100%" in repr(lost)
    nothing = table([np.nan, 1.0, np.nan])
    assert nothing.best("m") == (10.0, 1.0)
    assert table([np.nan]).robustness()["m"] == 0.0


def test_a_metric_to_maximise():
    t = table([0.4, 0.9, 0.8, -np.inf], initial=0.5, metric="accuracy")
    assert t.maximize
    assert t.best("m") == (10.0, 0.9)
    assert t.robustness()["m"] == pytest.approx(0.9 - (0.5 + 0.9 + 0.8 + 0.5) / 4)
    assert t.plateau_width(factor=1.2)["m"] == pytest.approx(
        1 + np.log(1.2) / np.log(0.9 / 0.4)
    )  # from where 0.75 is passed to the last that did not diverge
    assert "higher is better" in repr(t)
    t.plot().figure.draw_without_rendering()
    p = LogisticRegression([[1.0], [2.0], [-1.0], [0.5]], [1, 1, -1, -1], l2=0.1)
    found = sweep(p, [NGN(), SGD], [1e-8, 1.0], seeds=2, max_iter=30, x0=[-1.0], metric="accuracy")
    assert found.maximize
    assert found.best("NGN") == (1.0, 0.75)
    assert np.all(found["best"] >= found["final"])
    assert found.robustness()["NGN"] > 0
    down = sweep(p, [NGN()], [1e-8, 1.0], seeds=1, max_iter=30, x0=[-1.0], metric="accuracy", maximize=False)
    assert down.best("NGN")[0] == 1e-8
    with pytest.raises(TypeError, match="maximize must be True or False"):
        sweep(p, [NGN()], [1.0], metric="accuracy", maximize="yes")


def test_ngn_has_the_wider_plateau():
    rng = np.random.default_rng(2)
    A = rng.standard_normal((60, 4))
    p = LogisticRegression(A, np.sign(A[:, 0] + 0.5 * rng.standard_normal(60)), l2=0.01)
    t = sweep(p, {"NGN": NGN(batch_size=6), "SGD": SGD(1.0, batch_size=6)}, np.logspace(-3, 4, 15), epochs=10)
    widths = t.plateau_width()
    assert widths["NGN"] > widths["SGD"] + 0.5
    assert t.robustness()["NGN"] < t.robustness()["SGD"]


def test_table_to_csv_and_frame(tmp_path):
    t = sweep(problem(), {"ngn": NGN(), "sgd": SGD(1.0)}, [1e-2, 1e8], seeds=2, epochs=1)
    assert np.isinf(t["final"]).any()
    path = t.save(tmp_path / "table.csv")
    back = Sweep.load(path)
    assert back.metric == "objective"
    assert back.columns == t.columns
    for name in t.columns:
        np.testing.assert_array_equal(back[name], t[name])
        assert back[name].dtype.kind == t[name].dtype.kind
    frame = t.to_frame()
    assert list(frame.columns) == list(t.columns)
    assert len(frame) == 8
    assert "sgd" in repr(t)
    assert "decades" in repr(t)
    with pytest.raises(ValueError, match="suffix"):
        t.save(tmp_path / "table.pickle")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="not the table of a sweep"):
        Sweep.load(tmp_path / "other.csv")


def test_figure():
    t = sweep(problem(), {"ngn": NGN(), "sgd": SGD(1.0)}, np.logspace(-3, 3, 5), seeds=2, epochs=1)
    ax = t.plot()
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert [label.split(" (")[0] for label in labels] == ["ngn", "sgd"]
    assert all("decades" in label for label in labels)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    for line in ax.get_lines():
        assert np.all(np.isfinite(np.asarray(line.get_ydata(), float)))
    ax.figure.draw_without_rendering()
    assert t.plot(ax=ax) is ax
    zero = table([[0.0, 1e-30, np.inf]]).plot()  # exact interpolation: nothing to divide by
    zero.figure.draw_without_rendering()


class Single(FiniteSum):
    def losses(self, x, rows):
        return np.full(len(rows), 0.5 * float(x @ x))

    def gradient(self, x, rows):
        return x


def test_users_own_problem():
    t = sweep(Single(3, 2), [NGN()], [0.1, 1.0], seeds=1, x0=[1.0, 2.0], max_iter=5)
    assert np.all(t["final"] < 2.5)
    assert np.all(t["iterations"] == 5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: sweep(object(), [NGN()], GRID), "sweep needs a problem that is a finite sum"),
        (lambda p: sweep(p, {}, GRID), "at least one method"),
        (lambda p: sweep(p, [NGN(), NGN(momentum=0.9)], GRID), "same name"),
        (lambda p: sweep(p, {"x": 3}, GRID), r"methods\['x'\] must be a stochastic method"),
        (lambda p: sweep(p, {"x": lambda s: s}, GRID), r"methods\['x'\]\(0.01\) must be a stochastic method"),
        (lambda p: sweep(p, {"x": NGN(lambda k: 1.0)}, GRID), "is a function"),
        (lambda p: sweep(p, [AdaSPS()], GRID), "has no step size"),
        (lambda p: sweep(p, [NGN()], [1.0, -1.0]), r"step_sizes must be positive, got -1.0 at index \[1\]"),
        (lambda p: sweep(p, [NGN()], [1.0, 1.0]), "different from one another"),
        (lambda p: sweep(p, [NGN()], {"SGD": GRID}), "'NGN' has none"),
        (lambda p: sweep(p, [NGN()], GRID, seeds=0), "seeds"),
        (lambda p: sweep(p, [NGN()], GRID, seeds=[1, 1]), "seeds must be different"),
        (lambda p: sweep(p, [NGN()], GRID, epochs=0), "epochs"),
        (lambda p: sweep(p, [NGN()], GRID, metric="objectiv"), "did you mean 'objective'"),
        (lambda p: sweep(p, [NGN()], GRID, x0=[1.0]), "x0 must have shape"),
        (lambda p: Sweep({"method": ["a"]}), "columns must have 'step_size'"),
        (lambda p: Sweep([1, 2]), "columns must be a dict of names to columns, got list"),
        (lambda p: sweep(p, 5, GRID), "methods must be a dict or a sequence"),
        (lambda p: sweep(p, [NGN()], GRID, seeds=None), "seeds must be how many or a sequence"),
        (lambda p: sweep(p, [NGN()], GRID, jobs=0), "jobs must be a number of processes"),
        (lambda p: table(["a", "b"]), r"columns\['final'\] must hold real numbers"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call(problem())


def test_a_cache_refuses_what_it_cannot_tell_apart(tmp_path):
    with pytest.raises(TypeError, match="a cache cannot tell from others"):
        sweep(problem(), {"x": lambda s: NGN(lambda k: s)}, GRID, cache=tmp_path)
