"""`optlab.study`: what runs, what is kept, what an interrupt leaves, and the tables and profiles made of it."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pytest
from toys import Failing, GradientDescent, NoisyDescent, Quadratic

import optlab
from optlab import History, Result, Status
from optlab.core.quantiles import quantiles
from optlab.core.records.tables import Table
from optlab.core.studies import Profile, Study, StudyRun, running
from optlab.core.studies.plan import seeds_of


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def small(**options):
    settings = {"seeds": 3, "max_iter": 20} | options
    return optlab.study({"GD": GradientDescent(), "noisy": NoisyDescent()}, Quadratic(), **settings)


def equal(one, other):
    assert [(r.problem, r.method, r.seed) for r in one] == [(r.problem, r.method, r.seed) for r in other]
    for a, b in zip(one, other):
        assert a.result.history.equals(b.result.history)
        assert a.result.status is b.result.status
        np.testing.assert_array_equal(a.result.solution, b.result.solution)


def test_every_run_is_what_solve_gives_alone():
    study = small()
    assert [(run.method, run.seed) for run in study][:4] == [("GD", 0), ("noisy", 0), ("GD", 1), ("noisy", 1)]
    for run in study:
        alone = optlab.solve(run.result.problem, run.result.method, seed=run.seed, max_iter=20)
        assert run.result.history.equals(alone.history)
        assert run.result.state is None
    assert study.complete
    assert study.problems == ("Quadratic",)


def test_workers_the_cache_and_this_process_give_the_same(tmp_path):
    here, there = small(), small(n_jobs=2, cache=tmp_path)
    equal(here, there)
    assert {run.result.problem for run in there} == {there.runs[0].result.problem}
    files = sorted(tmp_path.iterdir())
    assert len(files) == 6
    times = [file.stat().st_mtime_ns for file in files]
    again = small(cache=tmp_path)
    equal(here, again)
    assert isinstance(again.runs[0].result.method, GradientDescent)
    assert [file.stat().st_mtime_ns for file in sorted(tmp_path.iterdir())] == times


def test_what_a_problem_computes_once_is_not_computed_in_every_worker(tmp_path):
    class Referenced(Quadratic):
        reference = None

        def measure(self, iterate):
            if self.reference is None:
                self.reference = 0.0
                (tmp_path / f"{len(list(tmp_path.iterdir()))}-{time.monotonic_ns()}").touch()
            return super().measure(iterate)

    optlab.study(NoisyDescent(), Referenced(), seeds=6, max_iter=2, n_jobs=2)
    assert len(list(tmp_path.iterdir())) == 1


def test_only_what_is_missing_is_computed_and_damage_is_repaired(tmp_path, monkeypatch):
    first = small(cache=tmp_path)
    monkeypatch.setattr("optlab.core.studies.running.solve", lambda *args, **options: pytest.fail("was computed"))
    equal(first, small(cache=tmp_path))
    monkeypatch.undo()
    victim = sorted(tmp_path.iterdir())[2]
    victim.write_bytes(victim.read_bytes()[:200])
    equal(first, small(cache=tmp_path))
    assert victim.stat().st_size > 200


def test_results_without_solutions_are_small_and_runs_of_their_own(tmp_path):
    whole, lean = small(cache=tmp_path), small(cache=tmp_path, solutions=False)
    assert all(run.result.solution is None for run in lean)
    assert len(list(tmp_path.iterdir())) == 12
    for a, b, c in zip(whole, lean, small(cache=tmp_path, solutions=False), strict=True):
        assert a.result.history.equals(b.result.history)
        assert b.result.history.equals(c.result.history, ignore=())
    with pytest.raises(TypeError, match="solutions must be"):
        small(solutions="yes")


@pytest.mark.parametrize(
    "change",
    [
        {"max_iter": 21},
        {"record": "all"},
        {"tol": 1e-3},
        {"x0": np.full(3, 2.0)},
        {"stop": optlab.stopping.TimeLimit(100.0)},
        {"method_options": {"GD": {"max_iter": 7}, "noisy": {"max_iter": 7}}},
    ],
)
def test_another_option_is_another_run(tmp_path, change):
    small(cache=tmp_path, seeds=1)
    small(cache=tmp_path, seeds=1, **change)
    assert len(list(tmp_path.iterdir())) == 4


def test_another_problem_or_method_is_another_run_but_another_name_is_not(tmp_path):
    optlab.study({"a": GradientDescent(0.1)}, {"p": Quadratic(3)}, cache=tmp_path, max_iter=5)
    optlab.study({"b": GradientDescent(0.1)}, {"q": Quadratic(3)}, cache=tmp_path, max_iter=5)
    assert len(list(tmp_path.iterdir())) == 1
    optlab.study({"a": GradientDescent(0.2)}, {"p": Quadratic(3)}, cache=tmp_path, max_iter=5)
    optlab.study({"a": GradientDescent(0.1)}, {"p": Quadratic(4)}, cache=tmp_path, max_iter=5)
    assert len(list(tmp_path.iterdir())) == 3


def test_the_cache_follows_the_code_of_the_callers_functions(tmp_path):
    class Scaled(Quadratic):
        def __init__(self, scale):
            super().__init__()
            self.scale = scale

        def measure(self, iterate):
            return {"gap": self.scale(float(iterate @ iterate))}

    gaps = [
        optlab.study(GradientDescent(), Scaled(scale), cache=tmp_path, max_iter=3).runs[0].result.metrics["gap"]
        for scale in (lambda v: v, lambda v: 2 * v)
    ]
    assert gaps[1] == 2 * gaps[0]


def test_what_cannot_be_told_from_others_is_refused_before_anything_runs(tmp_path):
    problem = Quadratic()
    problem.file = open(os.devnull)  # noqa: SIM115
    with pytest.raises(TypeError, match=r"problem\.file cannot be identified"):
        optlab.study(GradientDescent(), problem, cache=tmp_path)
    problem.file.close()


@dataclass
class Answer:
    x: np.ndarray


class Wrapped(GradientDescent):
    """Its solution is of a class that no file may name."""

    def iterate(self, problem, state):
        return type("Local", (), {"__matmul__": lambda a, b: 1.0, "x": state.x})()


class Lenient(Quadratic):
    def measure(self, iterate):
        return {"gap": 1.0}


def test_runs_that_cannot_be_kept_are_said_and_answered_all_the_same(tmp_path):
    with pytest.warns(RuntimeWarning, match=r"runs of 'Wrapped' are not kept in the cache: solution"):
        study = optlab.study(Wrapped(), Lenient(), seeds=2, max_iter=3, cache=tmp_path)
    assert len(study) == 2
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------- names and pairs


def test_names_come_from_a_dict_a_list_or_the_class():
    assert optlab.study([GradientDescent(), NoisyDescent()], Quadratic(), max_iter=1).methods == (
        "GradientDescent",
        "NoisyDescent",
    )
    study = optlab.study(GradientDescent(), {"small": Quadratic(2), "large": Quadratic(5)}, max_iter=1)
    assert study.problems == ("small", "large")
    assert [r.solution.size for r in study.results["GradientDescent"]] == [2, 5]
    assert study.select(problem="large").runs[0].result.solution.size == 5
    with pytest.raises(ValueError, match="problem must be one of"):
        study.select(problem="middle")


def test_random_instances_are_made_from_the_seed():
    study = optlab.study(GradientDescent(), {"any size": lambda seed: Quadratic(seed + 1)}, seeds=[1, 4], max_iter=1)
    assert [r.solution.size for r in study.results["GradientDescent"]] == [2, 5]


@dataclass(frozen=True)
class Picky(GradientDescent):
    requires = ("resolvent_A",)


def test_pairs_that_do_not_fit_are_named_and_the_others_run():
    study = optlab.study({"GD": GradientDescent(), "picky": Picky()}, Quadratic(), max_iter=2)
    assert study.methods == ("GD",)
    assert "resolvent_A" in study.incompatible["Quadratic", "picky"]
    assert "left out: picky on Quadratic: needs resolvent_A" in repr(study)
    with pytest.raises(optlab.IncompatibleError, match="no method runs on any of the problems: picky on Quadratic"):
        optlab.study({"picky": Picky()}, Quadratic())


@pytest.mark.parametrize(
    ("arguments", "options", "error", "what"),
    [
        ((Quadratic(), GradientDescent()), {}, TypeError, "the methods come first"),
        (({"a": Quadratic()}, Quadratic()), {}, TypeError, r"methods\['a'\] is no method but a Quadratic"),
        (([GradientDescent(), GradientDescent(0.2)], Quadratic()), {}, ValueError, "must be a dict of names"),
        ((GradientDescent, Quadratic()), {}, TypeError, "must be an instance"),
        (({}, Quadratic()), {}, ValueError, "at least one method"),
        ((GradientDescent(), 3), {}, TypeError, "problems must be a problem"),
        ((GradientDescent(), {"p": lambda seed: 3}), {}, TypeError, r"problems\['p'\]\(0\) must return a problem"),
        ((GradientDescent(), Quadratic()), {"seeds": []}, ValueError, "different and at least one"),
        ((GradientDescent(), Quadratic()), {"seeds": [1, 1]}, ValueError, "different"),
        ((GradientDescent(), Quadratic()), {"seeds": "12"}, TypeError, "seeds must be"),
        ((GradientDescent(), Quadratic()), {"seed": 1}, TypeError, "use seeds="),
        ((GradientDescent(), Quadratic()), {"max_itr": 1}, TypeError, "no option 'max_itr' of optlab.solve; there are"),
        ((GradientDescent(), Quadratic()), {"n_jobs": 0}, ValueError, "n_jobs"),
        ((GradientDescent(), Quadratic()), {"method_options": {"x": {}}}, ValueError, "names 'x', which is no method"),
        (
            (GradientDescent(), Quadratic()),
            {"method_options": {"GradientDescent": {"resume": True}}},
            TypeError,
            "use cache=",
        ),
    ],
)
def test_bad_arguments_are_named_before_anything_runs(arguments, options, error, what):
    with pytest.raises(error, match=what):
        optlab.study(*arguments, **options)


def test_seeds():
    assert seeds_of(2) == [0, 1]
    assert seeds_of(np.arange(2)) == [0, 1]
    with pytest.raises(ValueError, match=r"seeds\[1\]"):
        seeds_of([0, -1])


# ---------------------------------------------------------------------- errors and interrupts


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_error_names_its_run_and_brings_the_others(n_jobs, tmp_path):
    methods = {"GD": GradientDescent(), "broken": Failing(at=3)}
    with pytest.raises(RuntimeError, match="something broke") as caught:
        optlab.study(methods, Quadratic(), seeds=2, max_iter=5, n_jobs=n_jobs, cache=tmp_path)
    notes = "\n".join(caught.value.__notes__)
    assert "run of 'broken' on 'Quadratic' with seed 0" in notes or "with seed 1" in notes
    assert "so far" in notes
    so_far = caught.value.result
    assert isinstance(so_far, Study)
    assert not so_far.complete
    assert all(run.method == "GD" for run in so_far)


@pytest.mark.parametrize("way", ["raise", "return"])
def test_ctrl_c_leaves_the_runs_so_far_and_the_rest_for_later(tmp_path, way):
    slow = NoisyDescent(sleep=0.02)
    timer = threading.Timer(0.9, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    options = {"seeds": 20, "max_iter": 10, "cache": tmp_path}
    if way == "raise":
        with pytest.raises(KeyboardInterrupt) as caught:
            optlab.study(slow, Quadratic(), **options)
        so_far = caught.value.result
        assert "from where the same call goes on" in "".join(caught.value.__notes__)
    else:
        so_far = optlab.study(slow, Quadratic(), on_interrupt="return", **options)
    timer.join()
    assert 0 < len(so_far) < 20
    assert "of 20 planned" in repr(so_far)
    assert all(run.result.status is Status.MAX_ITER for run in so_far)  # no part of a run
    kept = len(list(tmp_path.glob("*.npz")))
    assert kept == len(so_far)
    whole = optlab.study(slow, Quadratic(), **options)
    assert whole.complete
    equal(so_far, whole.runs[:kept])


class Deadly(NoisyDescent):
    """Ends its process at once, if that is a worker."""

    def init(self, problem, x0, rng):
        from multiprocessing import process

        if process.parent_process() is not None:
            os._exit(7)
        return super().init(problem, x0, rng)


def test_a_worker_that_dies_takes_only_its_own_run_along(tmp_path):
    methods = {"noisy": NoisyDescent(), "deadly": Deadly()}
    with pytest.raises(RuntimeError, match="worker process died") as caught:
        optlab.study(methods, Quadratic(), seeds=2, max_iter=3, n_jobs=2, cache=tmp_path)
    assert "run of 'deadly'" in "".join(caught.value.__notes__)
    assert {run.method for run in caught.value.result} <= {"noisy"}


def test_an_enclosing_configuration_says_where_runs_go(monkeypatch):
    import joblib

    pids = []
    real = running._unpacked
    monkeypatch.setattr(running, "_unpacked", lambda packed, task: pids.append(type(packed)) or real(packed, task))
    with joblib.parallel_config(backend="loky", n_jobs=2):
        equal(small(), small(n_jobs=1))
    assert pids == [bytes] * 6 + [Result] * 6


SCRIPT = """
import sys, time
sys.path.insert(0, {tests!r})
from toys import NoisyDescent, Quadratic
import optlab
try:
    optlab.study(NoisyDescent(sleep=0.05), Quadratic(), seeds=40, max_iter=10, n_jobs=2, cache={cache!r})
except BaseException as error:
    print(type(error).__name__, getattr(error, "code", ""), len(error.result))
    raise
"""


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_parallel_study_with_its_workers(tmp_path, number, code):
    text = SCRIPT.format(tests=os.path.dirname(__file__), cache=str(tmp_path))
    program = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(text)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("*.npz")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(program.pid, number)
    out, _ = program.communicate(timeout=30)
    assert program.returncode == code
    name, *_, kept = out.split()
    assert name in ("KeyboardInterrupt", "SystemExit")
    assert 0 < int(kept) < 40


# ---------------------------------------------------------------------- tables


def test_the_tidy_table_has_every_record_and_every_run():
    study = small(seeds=2)
    records, last = study.to_frame(), study.to_frame("last")
    assert list(records.columns[:3]) == ["problem", "method", "seed"]
    assert len(records) == sum(len(run.result.history) for run in study)
    assert len(last) == 4
    assert set(last["status"]) == {"max_iter"}
    one = records[(records.method == "noisy") & (records.seed == 1)]
    np.testing.assert_array_equal(one["gap"], study.results["noisy"][1].history["gap"])
    assert records[records.method == "noisy"]["step_size"].isna().all()  # which it does not measure


def test_the_table_as_a_file_is_plain(tmp_path):
    import pandas

    study = small(seeds=2)
    frame = pandas.read_csv(study.save(tmp_path / "runs.csv", rows="last"))
    np.testing.assert_array_equal(frame["gap"], study.columns("last")["gap"])
    with pytest.raises(ValueError, match="suffix"):
        study.save(tmp_path / "runs.pkl")


def made(values, status=Status.MAX_ITER, start=1.0):
    gap = [start, *values]
    n = len(gap)
    history = History(
        {"iteration": range(n), "time": np.arange(n) * 0.5, "oracle_calls": range(n), "gap": gap}, primary_metric="gap"
    )
    return Result(np.zeros(1), {"gap": gap[-1]}, history, status, "", n - 1, 0.5 * (n - 1), "method", "problem")


def test_the_summary_counts_a_diverged_run_as_infinite():
    runs = [StudyRun("p", "m", s, made([0.1])) for s in range(3)]
    runs += [StudyRun("p", "m", 3 + s, made([0.2], Status.DIVERGED)) for s in range(4)]
    (row,) = Study(runs).summary()
    assert row["median gap"] == np.inf
    assert row["low"] == 0.1
    assert row["converged"] == 0


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_quantiles_are_numpys_where_all_is_finite_and_never_nan_beside_infinity(n):
    rng = np.random.default_rng(n)
    values = rng.standard_normal((n, 4))
    levels = (0.0, 0.1, 0.5, 0.77, 1.0)
    np.testing.assert_array_equal(quantiles(values, levels), np.quantile(values, levels, axis=0))
    holed = np.concatenate([values, np.full((2, 4), np.nan)])
    np.testing.assert_array_equal(quantiles(holed, levels), quantiles(values, levels))
    values[-1] = np.inf
    found = quantiles(values, levels)
    assert not np.isnan(found).any()
    assert (found[1:] >= found[:-1]).all()
    # infinity stands for a number larger than all
    large = quantiles(np.where(np.isinf(values), 1e200, values), levels)
    np.testing.assert_array_equal(np.where(large > 1e150, np.inf, large), found)
    assert np.isnan(quantiles(np.full((n, 1), np.nan), levels)).all()


def test_problems_with_metrics_of_their_own_are_summed_up_each_in_its_own():
    other = made([0.5])
    other.history.primary_metric = "time"
    study = Study([StudyRun("p", "m", 0, made([0.25])), StudyRun("q", "m", 0, other)])
    assert [(row["metric"], row["median"]) for row in study.summary()] == [("gap", 0.25), ("time", 0.5)]
    assert "gap" in repr(study)
    assert "time" in study._repr_html_()
    assert study.summary("gap")["median gap"] == [0.25, 0.5]
    assert study.summary("iteration")["median iteration"] == [1.0, 1.0]
    with pytest.raises(ValueError, match="share no primary metric"):
        study.profile(target=1.0)


def test_studies_join_and_take_others_curves_beside_them():
    one, two = small(seeds=2), optlab.study({"third": GradientDescent(0.5)}, Quadratic(), seeds=2, max_iter=20)
    both = one | two
    assert isinstance(both, Study)
    assert both.methods == ("GD", "noisy", "third")
    assert len(both | small(seeds=3)) == 8  # the same run is there once
    beside = one | {"mine": np.ones(3)}
    assert list(beside) == ["GD", "noisy", "mine"]
    two_problems = optlab.study(GradientDescent(), {"a": Quadratic(2), "b": Quadratic(3)}, max_iter=1)
    with pytest.raises(ValueError, match=r"select\(problem="):
        two_problems | {"mine": np.ones(3)}


def test_tables_escape_what_the_format_would_read():
    table = Table({"method": ["a_b & 50%", "x|y <b>"], "gap": [np.nan, -np.inf]})
    assert r"a\_b \& 50\% & --" in table.to_latex()
    assert r"$-\infty$" in table.to_latex()
    assert r"x\|y <b>" in table.to_markdown()
    assert "x|y &lt;b&gt;" in table._repr_html_()
    assert len(table.to_frame()) == 2
    with pytest.raises(ValueError, match="equal lengths"):
        Table({"a": [1], "b": []})
    with pytest.raises(KeyError, match="no column 'c'"):
        table["c"]
    study = small(seeds=2)
    assert study.to_latex().startswith(r"\begin{tabular}{lrrrrrrr}")
    assert study.to_markdown().count("\n") == 3


# ---------------------------------------------------------------------- profiles


def brute_force(costs, x, ratio):
    """The definitions, instance by instance."""
    shares = []
    for s in range(costs.shape[1]):
        found = 0
        for row in costs:
            best = min(row)
            if np.isfinite(row[s]) and row[s] <= x * (best if ratio else 1.0):
                found += 1
        shares.append(found / len(costs))
    return shares


def test_profiles_are_their_definitions():
    rng = np.random.default_rng(0)
    costs = rng.integers(1, 60, (40, 3)).astype(float)
    costs[rng.random((40, 3)) < 0.2] = np.inf
    profile = Profile(costs, "abc", cost="iteration")
    for x in (1.0, 1.3, 2.0, 7.0, 1e9):
        assert [profile.performance(x)[m][0] for m in "abc"] == pytest.approx(brute_force(costs, x, True))
        assert [profile.data(x)[m][0] for m in "abc"] == pytest.approx(brute_force(costs, x, False))
    for kind, reached in (("performance", profile.performance(1e9)), ("data", profile.data(1e9))):
        ax = profile.plot(kind)
        assert [line.get_ydata()[-1] for line in ax.lines] == pytest.approx([reached[m][0] for m in "abc"])


def test_the_profile_of_a_study_reads_the_first_record_at_the_target():
    runs = [StudyRun("p", "fast", s, made([0.5, 0.01, 0.02])) for s in (0, 1)]
    runs += [StudyRun("p", "slow", 0, made([0.5, 0.4, 0.3, 0.01])), StudyRun("p", "slow", 1, made([0.9, 0.8]))]
    profile = Study(runs).profile(target=0.05)
    assert profile.costs.tolist() == [[2, 4], [2, np.inf]]
    assert profile.ratios.tolist() == [[1, 2], [1, np.inf]]
    assert Study(runs).profile("gap", target=0.05, cost="time").costs.tolist() == [[1, 2], [1, np.inf]]
    assert Study(runs).profile("gap", target=0.9, relative=True).costs.tolist() == [[1, 1], [1, 1]]
    assert "2 instances" in repr(profile)
    with pytest.raises(ValueError, match="metric must be one of"):
        Study(runs).profile("cost", target=1)
    with pytest.raises(ValueError, match="no column 'flops'"):
        Study(runs).profile("gap", target=1, cost="flops")


def test_the_profile_of_a_method_that_solves_nothing_is_drawn_at_zero():
    profile = Profile([[np.inf, 2.0], [np.inf, 3.0]], "ab")
    for kind in ("performance", "data"):
        assert not profile.plot(kind).lines[0].get_ydata().any()


def test_a_profile_where_nobody_or_everybody_is_there_at_once():
    profile = Profile([[np.inf, np.inf], [0.0, 0.0], [0.0, 3.0]], "ab")
    assert profile.performance(1.0)["a"] == pytest.approx(2 / 3)
    assert profile.performance(1e9)["b"] == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="shape"):
        Profile([1.0], "ab")
    with pytest.raises(ValueError, match="negative"):
        Profile([[-1.0, 1.0]], "ab")


# ---------------------------------------------------------------------- notebooks


def test_html_shows_what_happened_and_nothing_that_would_run():
    study = optlab.study({"<GD>": GradientDescent(), "picky": Picky()}, Quadratic(), seeds=2, max_iter=20)
    html = study._repr_html_()
    assert "&lt;GD&gt;" in html
    assert "<GD>" not in html
    assert "<svg" in html
    assert "left out: picky" in html
    result = study.results["<GD>"][0]
    assert "MAX_ITER" in result._repr_html_()
    assert "<polyline" in result.history._repr_html_()
    assert "<script" not in html + result._repr_html_()
    assert "gap" in result.history._ipython_key_completions_()
    assert "<svg" not in History({"iteration": [0], "gap": [1.0]}, primary_metric="gap")._repr_html_()


def test_a_method_shows_its_hyperparameters():
    html = NoisyDescent(step_size=0.25)._repr_html_()
    assert "NoisyDescent" in html
    assert "0.25" in html
    assert "resolvent_A" in Picky()._repr_html_()


def test_only_names_of_its_own_are_completed():
    assert {"study", "compare", "solve"} <= set(dir(optlab))
    assert not {"Any", "TYPE_CHECKING", "importlib", "annotations"} & set(dir(optlab))


def test_results_are_json_free_of_addresses():
    result = small(seeds=1).runs[0].result
    assert " at 0x" not in result._repr_html_()
    json.dumps(result.history.metadata)
