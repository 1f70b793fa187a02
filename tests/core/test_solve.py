"""The driver: what is recorded, when it stops, what it says, what survives."""

import io
import itertools
import sys
import time
from dataclasses import dataclass

import numpy as np
import pytest
from toys import ArrayState, Failing, GradientDescent, NoisyDescent, Quadratic

import optlab
from optlab import Status, stopping
from optlab.core import DomainError, Method


def test_first_row_is_the_start_and_last_row_the_last_iterate():
    result = optlab.solve(Quadratic(), GradientDescent(), max_iter=137)
    assert result.history["iteration"][0] == 0
    assert result.history["iteration"][-1] == result.n_iter == 137
    assert result.history["gap"][0] == 1.5
    assert result.history["gap"][-1] == result.metrics["gap"]
    np.testing.assert_allclose(result.solution, 0.9**137, rtol=1e-12)
    assert result.history.columns == ("iteration", "time", "oracle_calls", "gap", "largest", "step_size")
    assert all(result.history[name].dtype == np.float64 for name in result.history.columns)
    assert np.all(np.diff(result.history["time"]) >= 0)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (7, [0, 7, 14, 20]),
        ("all", list(range(21))),
        ([3, 5, 40], [0, 3, 5, 20]),
        (np.array([2, 4]), [0, 2, 4, 20]),
        (range(0, 20, 9), [0, 9, 18, 20]),
        ("log", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 18, 20]),
    ],
)
def test_record_schedules(record, expected):
    history = optlab.solve(Quadratic(), GradientDescent(), max_iter=20, record=record).history
    assert history["iteration"].tolist() == expected


def test_log_records_are_about_ten_percent_apart():
    points = optlab.solve(Quadratic(), GradientDescent(), max_iter=30000).history["iteration"]
    late = points[points > 100]
    assert np.all(late[1:] / late[:-1] < 1.11)
    assert len(points) < 120


def test_float_tolerance_is_on_the_primary_metric():
    result = optlab.solve(Quadratic(), GradientDescent(), tol=1e-6, record="all")
    assert result.status is Status.CONVERGED
    assert result.success
    assert result.metrics["gap"] <= 1e-6 < result.history["gap"][-2]
    assert "gap" in result.message
    assert "1e-06" in result.message


def test_all_tolerances_of_a_dict_must_hold():
    result = optlab.solve(Quadratic(), GradientDescent(), tol={"gap": 1e-2, "largest": 1e-6}, record=1)
    assert result.success
    assert result.metrics["largest"] <= 1e-6


def test_out_of_iterations_says_what_is_missing():
    result = optlab.solve(Quadratic(), GradientDescent(), tol=1e-12, max_iter=5)
    assert result.status is Status.MAX_ITER
    assert not result.success
    assert "gap" in result.message
    assert "max_iter=5" in result.message
    assert "no tolerance" in optlab.solve(Quadratic(), GradientDescent(), max_iter=2).message


def test_converged_at_the_start_takes_no_iteration():
    result = optlab.solve(Quadratic(), GradientDescent(), x0=np.zeros(3), tol=1e-3)
    assert result.n_iter == 0
    assert result.success
    assert len(result.history) == 1


def test_max_iter_zero_measures_the_start():
    result = optlab.solve(Quadratic(), GradientDescent(), max_iter=0)
    assert result.n_iter == 0
    assert result.status is Status.MAX_ITER


def test_callbacks_see_state_and_history_and_can_stop():
    seen = []

    def watch(state, history):
        seen.append((state.k, len(history)))
        return state.k >= 4

    result = optlab.solve(Quadratic(), GradientDescent(), callbacks=watch, record="all")
    assert result.status is Status.STOPPED
    assert result.n_iter == 4
    assert seen == [(k, k + 1) for k in range(5)]
    assert "watch" in result.message


def test_stop_iteration_from_a_callback_stops():
    def enough(state, history):
        raise StopIteration

    assert optlab.solve(Quadratic(), GradientDescent(), callbacks=[enough]).status is Status.STOPPED


def test_numpy_true_from_a_callback_does_not_go_unnoticed():
    result = optlab.solve(Quadratic(), GradientDescent(), callbacks=lambda s, h: h["gap"][-1] < 1e-3, max_iter=2000)
    assert result.status is Status.STOPPED


def test_time_limit_counts_solver_time_and_is_watched_between_records():
    result = optlab.solve(Quadratic(), NoisyDescent(sleep=0.01), time_limit=0.2, record=10**6, max_iter=10**6)
    assert result.status is Status.TIME_LIMIT
    assert 0.2 <= result.solve_time < 1.0
    assert result.history["iteration"].tolist() == [0, result.n_iter]


def test_measuring_does_not_count_as_solving():
    class SlowToMeasure(Quadratic):
        def measure(self, iterate):
            import time

            time.sleep(0.02)
            return super().measure(iterate)

    result = optlab.solve(SlowToMeasure(), GradientDescent(), max_iter=5)
    assert result.solve_time < 0.02


def test_growing_steps_end_as_diverged_with_a_finite_state():
    result = optlab.solve(Quadratic(), GradientDescent(step_size=50.0), max_iter=10_000)
    assert result.status is Status.DIVERGED
    assert np.all(np.isfinite(result.solution))
    assert all(np.all(np.isfinite(result.history[name])) for name in result.history.columns)
    assert "step size" in result.message


@dataclass(frozen=True)
class NanAt(GradientDescent):
    at: int = 7

    def step(self, problem, state):
        state = super().step(problem, state)
        return ArrayState(state.k, state.x * np.nan) if state.k >= self.at else state


@pytest.mark.parametrize("record", ["all", "log", 5, 100])
def test_nan_keeps_the_last_finite_state(record):
    result = optlab.solve(Quadratic(), NanAt(), record=record, max_iter=50)
    assert result.status is Status.DIVERGED
    assert np.all(np.isfinite(result.solution))
    assert result.n_iter < 7
    assert result.history["iteration"][-1] == result.n_iter == result.state.k
    assert "nan" in result.message


def test_nan_at_the_start_is_said():
    result = optlab.solve(Quadratic(), GradientDescent(), x0=np.full(3, np.nan))
    assert result.status is Status.DIVERGED
    assert "start" in result.message


@pytest.mark.parametrize("error", [DomainError, FloatingPointError, OverflowError, np.linalg.LinAlgError])
def test_numerical_failure_is_an_outcome_with_its_text(error):
    result = optlab.solve(Quadratic(), Failing(at=6, error=error))
    assert result.status is Status.DIVERGED
    assert result.n_iter == 5
    assert "something broke" in result.message


def test_other_errors_carry_the_run_so_far():
    with pytest.raises(RuntimeError, match="something broke") as caught:
        optlab.solve(Quadratic(), Failing(at=6))
    partial = caught.value.result
    assert partial.n_iter == 5
    assert partial.history["iteration"].tolist() == [0, 1, 2, 3, 4, 5]
    assert "RuntimeError" in partial.message


@pytest.mark.parametrize("record", ["all", 100])
def test_keyboard_interrupt_returns_the_run_so_far(record):
    result = optlab.solve(Quadratic(), Failing(at=30, error=KeyboardInterrupt), record=record)
    assert result.status is Status.INTERRUPTED
    assert result.n_iter == 29
    np.testing.assert_allclose(result.solution, 0.9**29, rtol=1e-12)
    assert result.history["iteration"][-1] == 29


def test_keyboard_interrupt_while_measuring_returns_the_last_record():
    class Impatient(Quadratic):
        calls = 0

        def measure(self, iterate):
            self.calls += 1
            if self.calls > 4:
                raise KeyboardInterrupt
            return super().measure(iterate)

    result = optlab.solve(Impatient(), GradientDescent(), record="all")
    assert result.status is Status.INTERRUPTED
    assert result.n_iter == 3
    assert result.metrics["gap"] == result.history["gap"][-1]


def test_an_earlier_result_is_gone_on_from_bit_for_bit():
    problem, method = Quadratic(), NoisyDescent()
    first = optlab.solve(problem, method, max_iter=40, seed=3)
    second = optlab.solve(problem, method, x0=first, max_iter=60)
    whole = optlab.solve(problem, method, max_iter=100, seed=3)
    np.testing.assert_array_equal(second.solution, whole.solution)
    assert second.n_iter == 60
    assert second.history["iteration"][0] == 0


def test_an_earlier_result_of_another_method_gives_its_solution_as_start():
    problem = Quadratic()
    first = optlab.solve(problem, GradientDescent(), max_iter=40)
    second = optlab.solve(problem, NoisyDescent(), x0=first, max_iter=0)
    np.testing.assert_array_equal(first.solution, second.solution)


def test_same_seed_same_history():
    runs = [optlab.solve(Quadratic(), NoisyDescent(), max_iter=50, seed=s).history for s in (1, 1, 2)]
    assert runs[0].equals(runs[1])
    assert not runs[0].equals(runs[2])


def test_fresh_seed_is_kept_so_that_the_run_can_be_repeated():
    first = optlab.solve(Quadratic(), NoisyDescent(), max_iter=20)
    again = optlab.solve(Quadratic(), NoisyDescent(), max_iter=20, seed=first.history.metadata["seed"])
    assert first.history.equals(again.history)


def test_iterate_yields_states_that_stay_as_they_were():
    states = list(itertools.islice(optlab.iterate(Quadratic(), NoisyDescent(), seed=0), 5))
    assert [s.k for s in states] == [0, 1, 2, 3, 4]
    whole = optlab.solve(Quadratic(), NoisyDescent(), max_iter=4, seed=0)
    np.testing.assert_array_equal(states[4].x, whole.solution)
    np.testing.assert_array_equal(states[0].x, 1.0)


def test_duck_typed_problem_and_method_need_no_base_class():
    class Mine:
        def init(self, problem, x0, rng):
            return ArrayState(0, x0)

        def step(self, problem, state):
            return ArrayState(state.k + 1, state.x / 2)

        def iterate(self, problem, state):
            return state.x

    assert optlab.solve(Quadratic(), Mine(), tol=1e-6).success


def test_printing_a_result_is_a_summary():
    text = str(optlab.solve(Quadratic(10_000), GradientDescent(), tol=1e-3))
    assert "CONVERGED" in text
    assert "GradientDescent(step_size=0.1)" in text
    assert len(text.splitlines()) < 12


def test_progress_bar_goes_to_stderr_only_when_asked(capsys):
    optlab.solve(Quadratic(), GradientDescent(), max_iter=30)
    assert capsys.readouterr().err == ""
    optlab.solve(Quadratic(), GradientDescent(), max_iter=30, progress=True)
    assert "GradientDescent" in capsys.readouterr().err


def test_progress_bar_changes_no_number():
    plain = optlab.solve(Quadratic(), NoisyDescent(), max_iter=300, seed=1, progress=False)
    shown = optlab.solve(Quadratic(), NoisyDescent(), max_iter=300, seed=1, progress=True)
    assert plain.history.equals(shown.history)


# ---------------------------------------------------------------------- stopping rules


def test_rules_join():
    either = stopping.Tolerance("gap", 1e-3) | stopping.TimeLimit(100) | stopping.Stalled()
    assert len(either.rules) == 3
    both = stopping.Tolerance("gap", 1e-3) & stopping.Tolerance("largest", 1e-9)
    result = optlab.solve(Quadratic(), GradientDescent(), stop=both, record=1)
    assert result.success
    assert result.metrics["largest"] <= 1e-9
    result = optlab.solve(Quadratic(), GradientDescent(), stop=either, record=1)
    assert result.success
    assert result.metrics["largest"] > 1e-9


def test_stalled_stops_a_run_that_no_longer_improves():
    @dataclass(frozen=True)
    class Stuck(GradientDescent):
        def step(self, problem, state):
            return ArrayState(state.k + 1, np.maximum(0.9 * state.x, 0.5))

    result = optlab.solve(Quadratic(), Stuck(), stop=stopping.Stalled(window=5), record=1)
    assert result.status is Status.STALLED
    assert result.n_iter == 12


def test_stalled_lets_a_converging_run_go_on():
    result = optlab.solve(Quadratic(), GradientDescent(), stop=stopping.Stalled(window=5), max_iter=100, record=1)
    assert result.status is Status.MAX_ITER


def test_convergence_is_heard_before_other_rules():
    rule = stopping.TimeLimit(1e-12) | stopping.Tolerance(None, 1e9)
    assert optlab.solve(Quadratic(), GradientDescent(), stop=rule).status is Status.CONVERGED


def test_own_divergence_factor_replaces_the_default():
    result = optlab.solve(Quadratic(), GradientDescent(step_size=2.5), stop=stopping.Diverged(factor=1e3), record=1)
    assert result.status is Status.DIVERGED
    assert 1e3 < result.metrics["gap"] / result.history["gap"][:2].max() < 1e5


def test_a_rule_of_my_own():
    class Enough(stopping.Rule):
        def check(self, history):
            if history["iteration"][-1] >= 8:
                return stopping.Verdict(Status.STOPPED, "eight is enough")
            return None

    assert optlab.solve(Quadratic(), GradientDescent(), stop=Enough(), record=1).n_iter == 8


# ---------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_iter": -1}, "max_iter must be an integer of at least 0"),
        ({"max_iter": 1.5}, "max_iter must be an integer"),
        ({"tol": -1.0}, "tol must be a number at least 0"),
        ({"tol": float("nan")}, "tol must be a number"),
        ({"tol": {"gqp": 1e-3}}, "'gqp', which is not measured; there are iteration"),
        ({"tol": {}}, "at least one metric"),
        ({"time_limit": 0}, "time_limit must be a number above 0"),
        ({"record": "often"}, "record must be 'log', 'all'"),
        ({"record": 0}, "record must be an integer of at least 1"),
        ({"record": [1, -2]}, r"record\[1\] must be"),
        ({"stop": lambda h: True}, "goes into callbacks"),
        ({"callbacks": 0.5}, "callbacks must be a callable or a sequence of callables, got 0.5"),
        ({"time_limit": 10**400}, "time_limit must be a number above 0, got an integer too large"),
        ({"tol": "1e-3"}, "tol must be a number"),
        ({"tol": [1e-3]}, "tol must be a number at least 0, got list"),
        ({"tol": np.array([1e-3])}, "tol must be a number at least 0, got ndarray"),
        ({"callbacks": [3]}, r"callbacks\[0\] must be callable"),
        ({"seed": "one"}, "seed must be an integer"),
        ({"resume": True}, "resume=True needs checkpoint"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        optlab.solve(Quadratic(), GradientDescent(), **options)


def test_a_class_instead_of_an_instance():
    with pytest.raises(TypeError, match=r"write GradientDescent\(\.\.\.\)"):
        optlab.solve(Quadratic(), GradientDescent)
    with pytest.raises(TypeError, match=r"write Quadratic\(\.\.\.\)"):
        optlab.solve(Quadratic, GradientDescent())


def test_missing_methods_are_named():
    with pytest.raises(TypeError, match=r"object has no measure\(\)"):
        optlab.solve(object(), GradientDescent())
    with pytest.raises(TypeError, match=r"object has no init\(\)"):
        optlab.solve(Quadratic(), object())

    @dataclass(frozen=True)
    class Nothing(Method):
        def init(self, problem, x0, rng):
            return ArrayState(0, x0)

        def iterate(self, problem, state):
            return state.x

    with pytest.raises(TypeError, match=r"must implement step"):
        optlab.solve(Quadratic(), Nothing())


def test_a_step_that_does_not_count_is_found():
    @dataclass(frozen=True)
    class Forgetful(GradientDescent):
        def step(self, problem, state):
            return ArrayState(state.k, state.x)

    with pytest.raises(ValueError, match=r"step must return k \+ 1"):
        optlab.solve(Quadratic(), Forgetful())


def test_metrics_must_keep_their_names():
    class Fickle(Quadratic):
        def measure(self, iterate):
            row = super().measure(iterate)
            return row if iterate[0] == 1 else {**row, "late": 1.0}

    with pytest.raises(ValueError, match="new late"):
        optlab.solve(Fickle(), GradientDescent())


def test_method_and_problem_metrics_must_not_clash():
    @dataclass(frozen=True)
    class Clash(GradientDescent):
        def measure(self, problem, state):
            return {"gap": 0.0}

    with pytest.raises(ValueError, match="'gap' is already recorded"):
        optlab.solve(Quadratic(), Clash())


def test_a_problem_may_add_advice_to_a_run_that_did_not_converge():
    class Advising(Quadratic):
        def hint(self, method, state, metrics):
            return f"have a look at iteration {state.k}" if metrics else None

    stopped = optlab.solve(Advising(), GradientDescent(), max_iter=3, tol=1e-300)
    assert stopped.message.endswith("have a look at iteration 3.")
    assert "have a look" not in optlab.solve(Advising(), GradientDescent(), max_iter=500, tol=1e-3).message


@pytest.mark.parametrize("status", [Status.INFEASIBLE, Status.UNBOUNDED, Status.CONVERGED, Status.STALLED])
def test_a_method_may_end_its_run_at_a_record_point(status):
    @dataclass(frozen=True)
    class Knowing(GradientDescent):
        def verdict(self, problem, state, metrics):
            return stopping.Verdict(status, "seen") if metrics["gap"] < 1e-3 else None

    result = optlab.solve(Quadratic(), Knowing(), max_iter=1000)
    assert result.status is status
    assert result.n_iter < 100
    assert result.message == f"seen after {result.n_iter} iterations."
    missed = optlab.solve(Quadratic(), Knowing(), tol={"gap": 1e-9}, max_iter=1000)
    if status is Status.CONVERGED:  # which is not said where the caller's tolerance is missed
        assert missed.status is Status.STALLED
        assert missed.message.startswith("seen, but gap = ")
    else:
        assert missed.status is status
    tolerant = optlab.solve(Quadratic(), Knowing(), tol=1e-2, max_iter=1000)
    assert tolerant.status is Status.CONVERGED, "convergence by tolerance is heard first"
    assert "within its tolerance" in tolerant.message


# ---------------------------------------------------------------------- messages


def test_a_start_that_is_converged_already_is_called_that():
    result = optlab.solve(Quadratic(), GradientDescent(), x0=np.zeros(3), tol=1e-3)
    assert result.message == "gap = 0 is within its tolerance 0.001 already at the start, before any iteration."


def test_advice_of_the_problem_stands_instead_of_the_general_one():
    class Advising(Quadratic):
        def hint(self, method, state, metrics):
            return "this method is done"

    options = {"max_iter": 3, "tol": {"gap": 1e-300, "largest": 1.0}}
    message = optlab.solve(Advising(), GradientDescent(), **options).message
    assert message.startswith(
        "gap = 0.797 is above its tolerance 1e-300 after max_iter=3 iterations; this method is done"
    )
    assert "raise max_iter, or go on" in optlab.solve(Quadratic(), GradientDescent(), **options).message


def test_every_tolerance_that_is_missed_is_named():
    result = optlab.solve(Quadratic(), GradientDescent(), max_iter=3, tol={"gap": 1e-9, "largest": 1e-9})
    assert "gap = 0.797 is above its tolerance" in result.message
    assert "largest = 0.729 is above its tolerance" in result.message


def test_overflow_at_the_start_blames_the_start_or_the_scale_of_the_data():
    class Huge(Quadratic):
        def measure(self, iterate):
            return {"gap": float(np.sum((1e200 * iterate) ** 2))}

    result = optlab.solve(Huge(), GradientDescent())
    assert result.status is Status.DIVERGED
    assert (
        "gap is inf already at the start: either the start point is at fault, or the scale of the data"
        in result.message
    )


def test_a_problem_without_a_repr_is_named_by_its_class():
    result = optlab.solve(Quadratic(), GradientDescent(), max_iter=1)
    assert result.history.metadata["problem"] == "Quadratic()"
    assert " at 0x" not in repr(result)


@pytest.mark.parametrize("answer", [1.0, np.ones(2), None])
def test_measure_must_return_a_dict(answer):
    class Wrong(Quadratic):
        def measure(self, iterate):
            return answer

    with pytest.raises(
        TypeError, match=r"Wrong.measure must return a dict of names to numbers, got (float|ndarray|None)"
    ):
        optlab.solve(Wrong(), GradientDescent())


def test_metrics_must_be_numbers():
    class Wrong(Quadratic):
        def measure(self, iterate):
            return {"gap": iterate}

    with pytest.raises(TypeError, match="the problem's metric 'gap' must be a number, got ndarray"):
        optlab.solve(Wrong(), GradientDescent())


@pytest.mark.parametrize("record", [1, 100])
@pytest.mark.parametrize("returned", [None, 3.0])
def test_step_must_return_a_state(record, returned):
    @dataclass(frozen=True)
    class Wrong(GradientDescent):
        def step(self, problem, state):
            return super().step(problem, state) if state.k < 2 else returned

    with pytest.raises(TypeError, match=r"Wrong.step must return a state with .* got (NoneType|float)") as caught:
        optlab.solve(Quadratic(), Wrong(), record=record)
    assert caught.value.result.n_iter == (2 if record == 1 else 0)


# ---------------------------------------------------------------------- time


def test_preparing_is_setup_time_and_no_solver_time():
    @dataclass(frozen=True)
    class Preparing(GradientDescent):
        def init(self, problem, x0, rng):
            time.sleep(0.2)
            return super().init(problem, x0, rng)

    result = optlab.solve(Quadratic(), Preparing(), max_iter=10, time_limit=0.1)
    assert result.n_iter == 10
    assert result.solve_time < 0.1
    assert result.history["time"][0] == 0
    assert 0.2 <= result.setup_time == result.history.metadata["setup_time"] < 1.0
    assert "s to set up" in repr(result)


def test_a_start_that_calls_the_oracle_is_solver_time():
    @dataclass
    class Counting(ArrayState):
        oracle_calls: int

    @dataclass(frozen=True)
    class Working(GradientDescent):
        def init(self, problem, x0, rng):
            time.sleep(0.2)
            return Counting(0, np.array(x0), 1)

        def step(self, problem, state):
            return Counting(state.k + 1, state.x, state.oracle_calls + 1)

    result = optlab.solve(Quadratic(), Working(), max_iter=3)
    assert result.solve_time >= result.history["time"][0] >= 0.2
    assert result.setup_time < 0.1


@dataclass(frozen=True)
class JustInTime(GradientDescent):
    """Compiles a function of its own in its second step."""

    def step(self, problem, state):
        if state.k == 1:
            from numba import njit

            @njit
            def halve(x):
                return 0.5 * np.sort(x)[::-1]

            halve(state.x)
        return ArrayState(state.k + 1, state.x * 0.5)


def test_compiling_is_setup_time_and_said(capsys, caplog):
    import numba  # noqa: F401  (what compiles has loaded it)

    with caplog.at_level("INFO", logger="optlab"):
        result = optlab.solve(Quadratic(), JustInTime(), max_iter=30, time_limit=0.1, progress=True)
    assert result.n_iter == 30
    assert result.solve_time < 0.1 < result.setup_time
    steps = np.diff(result.history["time"])
    assert steps[1] < 0.05, "the iteration in which it happened"
    assert "compiling, once" in capsys.readouterr().err
    assert [r.getMessage() for r in caplog.records] == ["JustInTime: compiling, once; this is no solver time"]


def test_setup_time_adds_up_over_a_resumed_run(tmp_path):
    options = {"checkpoint": tmp_path / "run.npz", "seed": 0}
    first = optlab.solve(Quadratic(), GradientDescent(), max_iter=10, **options)
    second = optlab.solve(Quadratic(), GradientDescent(), max_iter=20, resume=True, **options)
    assert second.setup_time >= first.setup_time > 0


def test_a_time_limit_that_cannot_stop_a_method_is_said_beforehand():
    @dataclass(frozen=True)
    class AtOnce(GradientDescent):
        uninterruptible = True

    with pytest.warns(RuntimeWarning, match="a time limit cannot stop AtOnce"):
        optlab.solve(Quadratic(), AtOnce(), time_limit=9, max_iter=1)
    optlab.solve(Quadratic(), AtOnce(), max_iter=1)


def test_notebooks_get_a_progress_bar(monkeypatch, capsys):
    stream = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
    monkeypatch.setattr(sys, "stderr", stream)
    optlab.solve(Quadratic(), NoisyDescent(sleep=0.02), max_iter=60, record=5)
    assert "NoisyDescent" in stream.getvalue()
    assert "NoisyDescent" not in capsys.readouterr().err
