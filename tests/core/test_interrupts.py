"""Ctrl-C and termination signals: what a run does, and what is left of the processes around it."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import dataclass

import numpy as np
import pytest
from toys import ArrayState, Failing, GradientDescent, NoisyDescent, Quadratic

import optlab
from optlab import Status
from optlab.core import interrupts


def interrupted(state, history):
    raise KeyboardInterrupt


def test_an_interrupt_is_raised_where_a_run_serves_something_larger(tmp_path):
    path = tmp_path / "run.npz"
    method = Failing(at=30, error=KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        optlab.solve(Quadratic(), method, record=100, checkpoint=path, on_interrupt="raise")
    partial = caught.value.result
    assert partial.status is Status.INTERRUPTED
    assert partial.n_iter == partial.history["iteration"][-1] == 29
    assert path.exists()
    with pytest.raises(ValueError, match="on_interrupt must be one of 'return', 'raise'"):
        optlab.solve(Quadratic(), method, on_interrupt="ignore")


def test_inside_raising_it_is_the_default_and_not_outside():
    method = Failing(at=3, error=KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt), interrupts.raising():
        optlab.solve(Quadratic(), method)
    assert optlab.solve(Quadratic(), method).status is Status.INTERRUPTED


@dataclass(frozen=True)
class Nesting(GradientDescent):
    """Every step is a run of its own."""

    at: int = 10

    def step(self, problem, state):
        inner = Failing(at=4, error=KeyboardInterrupt) if state.k + 1 == self.at else GradientDescent()
        run = optlab.solve(problem, inner, x0=state.x, max_iter=5)
        return ArrayState(state.k + 1, run.solution)


def test_an_interrupt_inside_a_step_that_solves_ends_the_outer_run_at_its_last_whole_step():
    result = optlab.solve(Quadratic(), Nesting(), record=100)
    assert result.status is Status.INTERRUPTED
    assert result.n_iter == 9
    np.testing.assert_allclose(result.solution, 0.9 ** (9 * 5), rtol=1e-12)


def test_compiled_methods_hear_ctrl_c_between_short_calls():
    """Compiled code does not see a signal: a long record interval must not be one call."""
    spans = []

    @dataclass(frozen=True)
    class InBulk(GradientDescent):
        def advance(self, problem, state, n):
            spans.append(n)
            time.sleep(1e-3 * n)
            return ArrayState(state.k + n, state.x)

    optlab.solve(Quadratic(), InBulk(), max_iter=2000, record=2000)
    assert max(spans) <= 512, "half a second is 500 of these iterations"


# ---------------------------------------------------------------------- signals in this process


@pytest.fixture
def default_handlers():
    old = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in old.items():
        signal.signal(number, handler)


def send(*numbers, at=7):
    def callback(state, history):
        if state.k == at:
            for number in numbers:
                os.kill(os.getpid(), number)

    return callback


@pytest.mark.usefixtures("default_handlers")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_termination_signal_saves_the_run_and_then_ends_the_program(tmp_path, number):
    path = tmp_path / "run.npz"
    options = {"max_iter": 40, "seed": 3, "checkpoint": path, "record": "all"}
    with pytest.raises(SystemExit) as caught:
        optlab.solve(Quadratic(), NoisyDescent(), callbacks=send(number), **options)
    assert caught.value.code == 128 + number
    partial = caught.value.result
    assert partial.status is Status.INTERRUPTED
    assert signal.Signals(number).name in partial.message
    assert partial.n_iter == 7
    assert signal.getsignal(number) is signal.SIG_DFL
    resumed = optlab.solve(Quadratic(), NoisyDescent(), resume=True, **options)
    assert resumed.history.equals(optlab.solve(Quadratic(), NoisyDescent(), **options | {"checkpoint": None}).history)


@pytest.mark.usefixtures("default_handlers")
def test_signals_that_come_together_are_one():
    with pytest.raises(SystemExit) as caught:
        optlab.solve(Quadratic(), GradientDescent(), callbacks=send(signal.SIGTERM, signal.SIGHUP))
    assert caught.value.code == 143
    assert optlab.solve(Quadratic(), GradientDescent(), max_iter=9).n_iter == 9, "and forgotten afterwards"


@pytest.mark.usefixtures("default_handlers")
def test_a_termination_signal_cannot_be_swallowed():
    def swallow(state, history):
        try:
            send(signal.SIGTERM)(state, history)
        except KeyboardInterrupt:
            return

    with pytest.raises(SystemExit) as caught:
        optlab.solve(Quadratic(), GradientDescent(), callbacks=swallow)
    assert caught.value.code == 143
    assert caught.value.result.n_iter == 7


@dataclass(frozen=True)
class Losing(GradientDescent):
    """Gets a signal in its seventh step, in whose exception's place comes another one, or none."""

    number: int = signal.SIGINT
    error: type | None = None

    def step(self, problem, state):
        if state.k == 6:
            try:
                os.kill(os.getpid(), self.number)
            except KeyboardInterrupt:
                if self.error is not None:
                    raise self.error("not a handle") from None
        return super().step(problem, state)


@pytest.fixture
def python_handler():
    """Python's own: a process started in the background by a shell has SIGINT ignored."""
    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, old)


@pytest.mark.usefixtures("default_handlers", "python_handler")
@pytest.mark.parametrize("error", [None, ValueError, FloatingPointError])
@pytest.mark.parametrize("record", [1, 100])
def test_an_interrupt_that_gets_lost_inside_a_method_ends_the_run(tmp_path, error, record):
    options = {"record": record, "checkpoint": tmp_path / "run.npz", "max_iter": 100, "seed": 0}
    result = optlab.solve(Quadratic(), Losing(error=error), **options)
    assert result.status is Status.INTERRUPTED
    assert result.n_iter == 6 if error else 7 <= result.n_iter < 20
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(SystemExit):
        optlab.solve(Quadratic(), Losing(number=signal.SIGTERM, error=error), record=record)


@pytest.mark.usefixtures("python_handler")
def test_an_error_after_an_interrupt_that_a_callback_has_dealt_with_is_an_error():
    def deal(state, history):
        if state.k == 3:
            try:
                os.kill(os.getpid(), signal.SIGINT)
            except KeyboardInterrupt:
                return

    with pytest.raises(RuntimeError, match="something broke"):
        optlab.solve(Quadratic(), Failing(at=6), callbacks=deal)


@pytest.mark.usefixtures("default_handlers")
def test_a_termination_signal_inside_an_inner_run_ends_all_of_it():
    @dataclass(frozen=True)
    class Outer(GradientDescent):
        def step(self, problem, state):
            run = optlab.solve(problem, GradientDescent(), x0=state.x, max_iter=9, callbacks=send(signal.SIGTERM))
            return ArrayState(state.k + 1, run.solution)

    with pytest.raises(SystemExit) as caught:
        optlab.solve(Quadratic(), Outer())
    assert caught.value.code == 143
    assert caught.value.result.n_iter == 0, "the outer run's"


@pytest.mark.usefixtures("default_handlers")
def test_a_handler_of_the_program_is_kept():
    seen = []
    signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    result = optlab.solve(Quadratic(), GradientDescent(), max_iter=20, callbacks=send(signal.SIGTERM))
    assert seen == [signal.SIGTERM]
    assert result.n_iter == 20


@pytest.mark.usefixtures("default_handlers")
def test_runs_in_other_threads_leave_signals_alone():
    found = []

    def look(state, history):
        found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=optlab.solve, args=(Quadratic(), GradientDescent()), kwargs={"callbacks": look})
    thread.start()
    thread.join()
    assert set(found) == {signal.SIG_DFL}


# ---------------------------------------------------------------------- whole programs


def start(folder, code):
    """A program in a session of its own, by which its workers are found."""
    path = folder / "program.py"
    path.write_text(textwrap.dedent(code))
    return subprocess.Popen(
        [sys.executable, str(path)], cwd=folder, start_new_session=True, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )  # fmt: skip


def session(leader):
    """Processes of the session that are alive."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    state, _, _, sid = file.read().rpartition(")")[2].split()[:4]
            except OSError:
                continue
            if int(sid) == leader and state != "Z":
                found.append(int(entry))
    return found


def wait_for(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not within the time allowed"
        time.sleep(0.05)


@pytest.fixture
def cleanly():
    """End what a failed test has left."""
    started = []
    yield started.append
    for process in started:
        for pid in session(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.communicate()


SOLVE = """
    import optlab
    from optlab.stochastic import LeastSquares, NGN
    import numpy as np
    A = np.random.default_rng(0).standard_normal((200, 20))
    def ready(state, history):
        open("ready", "w").close()
    try:
        optlab.solve(LeastSquares(A, A.sum(1)), NGN(), max_iter=10**10, record=10**9, seed=0, callbacks=ready,
                     checkpoint="run.npz")
    finally:
        open("cleaned up", "w").close()
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc"), reason="reads /proc")
def test_sigterm_ends_a_compiled_run_with_its_checkpoint(tmp_path, cleanly):
    process = start(tmp_path, SOLVE)
    cleanly(process)
    wait_for((tmp_path / "ready").exists, 120)
    time.sleep(1.0)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 143
    assert "ended by SIGTERM" in err
    assert (tmp_path / "cleaned up").exists()
    with np.load(tmp_path / "run.npz") as archive:
        assert "header" in archive.files


SWEEP = """
    import numpy as np
    from optlab.stochastic import LeastSquares, NGN, sweep
    A = np.random.default_rng(0).standard_normal((500, 20))
    problem = LeastSquares(A, A.sum(1))
    if __name__ == "__main__":
        sweep(problem, {"NGN": NGN()}, np.geomspace(1e-3, 1, 6), seeds=2, max_iter=MOST, cache="cache", jobs=2)
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc"), reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_sweep_that_is_ended_leaves_no_worker_and_no_half_run(tmp_path, cleanly, number):
    import json

    cache = tmp_path / "cache"
    process = start(tmp_path, SWEEP.replace("MOST", "3_000_000"))
    cleanly(process)
    wait_for(lambda: len(list(cache.glob("*.json"))) >= 1, 180)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == (143 if number == signal.SIGTERM else -signal.SIGKILL)
    wait_for(lambda: not session(process.pid), 15)
    for path in cache.glob("*.json"):
        row = json.loads(path.read_text())
        assert (row["status"], row["iterations"]) == ("max_iter", 3_000_000)


def test_a_worker_whose_parent_was_gone_before_its_first_task_ends(monkeypatch):
    # whoever has taken the parent's place is not taken for the parent
    import multiprocessing.process
    from types import SimpleNamespace

    from optlab.core import interrupts

    process = SimpleNamespace(name="LokyProcess-1", _parent_pid=-1)
    monkeypatch.setattr(multiprocessing.process, "current_process", lambda: process)
    monkeypatch.setattr(interrupts, "_watching", False)
    ended = threading.Event()
    monkeypatch.setattr(interrupts.os, "_exit", lambda status: ended.set())
    interrupts.end_with_parent(interval=0.01)
    assert ended.wait(timeout=5)
