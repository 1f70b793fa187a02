"""Checkpoints: the joined run equals an uninterrupted one, bit for bit; damaged and foreign files are refused."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from toys import Failing, GradientDescent, NoisyDescent, Quadratic

import optlab
from optlab import Status
from optlab.core import CheckpointError, CheckpointWarning, State
from optlab.core.serialization import dataclass_types, pack, unpack


@pytest.mark.parametrize("cut", [1, 10, 37, 100])
def test_resumed_run_equals_an_uninterrupted_one(tmp_path, cut):
    whole = optlab.solve(Quadratic(), NoisyDescent(), max_iter=200, seed=5)
    path = tmp_path / "run.npz"
    optlab.solve(Quadratic(), NoisyDescent(), max_iter=cut, seed=5, checkpoint=path)
    joined = optlab.solve(Quadratic(), NoisyDescent(), max_iter=200, seed=5, checkpoint=path, resume=True)
    assert joined.history.equals(whole.history)
    np.testing.assert_array_equal(joined.solution, whole.solution)
    assert joined.n_iter == 200
    assert np.all(np.diff(joined.history["time"]) >= 0)


@dataclass(frozen=True)
class Breaking(GradientDescent):
    """Raises at the iterations of `at`, which do not make it another method."""

    at: tuple = ()
    error: type = KeyboardInterrupt

    def fingerprint(self):
        return self.step_size

    def step(self, problem, state):
        if state.k + 1 in self.at:
            raise self.error("broken")
        return super().step(problem, state)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_interrupted_run_resumes(tmp_path, error):
    path = tmp_path / "run.npz"
    whole = optlab.solve(Quadratic(), Breaking(), max_iter=100)
    breaking = Breaking(at=(34,), error=error)
    if error is KeyboardInterrupt:
        part = optlab.solve(Quadratic(), breaking, max_iter=100, checkpoint=path)
        assert part.status is Status.INTERRUPTED
    else:
        with pytest.raises(RuntimeError, match="broken"):
            optlab.solve(Quadratic(), breaking, max_iter=100, checkpoint=path)
    saved = path.read_bytes()
    with pytest.raises(CheckpointError, match="its method is"):  # another method: another run
        optlab.solve(Quadratic(), Failing(at=10**9), max_iter=100, checkpoint=path, resume=True)
    assert path.read_bytes() == saved
    started = []
    joined = optlab.solve(
        Quadratic(),
        Breaking(),
        max_iter=100,
        checkpoint=path,
        resume=True,
        callbacks=lambda state, history: started.append(state.k),
    )
    assert joined.history.equals(whole.history)
    assert started[0] == 35  # record points are 32 and 35: nothing of the 33 iterations was lost


def test_resuming_a_finished_run_returns_it_at_once(tmp_path):
    path = tmp_path / "run.npz"
    first = optlab.solve(Quadratic(), GradientDescent(), tol=1e-6, checkpoint=path)
    again = optlab.solve(Quadratic(), GradientDescent(), tol=1e-6, checkpoint=path, resume=True)
    assert again.status is Status.CONVERGED
    assert again.history.equals(first.history)
    np.testing.assert_array_equal(again.solution, first.solution)


def test_resume_without_a_file_starts(tmp_path):
    result = optlab.solve(Quadratic(), GradientDescent(), max_iter=3, checkpoint=tmp_path / "new.npz", resume=True)
    assert result.n_iter == 3
    assert (tmp_path / "new.npz").exists()


SCRIPT = """
import sys
sys.path.insert(0, {folder!r})
import optlab
from toys import NoisyDescent, Quadratic
print("ready", flush=True)
optlab.solve(Quadratic(), NoisyDescent(sleep=0.002), max_iter=100_000, seed=9, checkpoint={path!r}, record=20)
"""


def test_killed_run_resumes_bit_for_bit(tmp_path):
    path = tmp_path / "run.npz"
    script = SCRIPT.format(folder=str(Path(__file__).parent), path=str(path))
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    deadline = time.monotonic() + 30
    while not path.exists() or np.load(path)["column:0"][-1] < 60:
        assert time.monotonic() < deadline, "the run wrote no checkpoint"
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    reached = int(np.load(path)["column:0"][-1])
    method = NoisyDescent(sleep=0.002)
    joined = optlab.solve(Quadratic(), method, max_iter=reached + 50, seed=9, checkpoint=path, record=20, resume=True)
    whole = optlab.solve(Quadratic(), method, max_iter=reached + 50, seed=9, record=20)
    assert joined.history.equals(whole.history)
    np.testing.assert_array_equal(joined.solution, whole.solution)
    assert list(tmp_path.iterdir()) == [path]  # no leftover of the killed writer either


def test_truncated_checkpoint(tmp_path):
    path = tmp_path / "run.npz"
    optlab.solve(Quadratic(), GradientDescent(), max_iter=3, checkpoint=path)
    content = path.read_bytes()
    for keep in (0, 10, len(content) // 2, len(content) - 5):
        path.write_bytes(content[:keep])
        with pytest.raises(CheckpointError, match="truncated, damaged or not a checkpoint"):
            optlab.solve(Quadratic(), GradientDescent(), max_iter=5, checkpoint=path, resume=True)


def test_foreign_checkpoints_are_refused(tmp_path):
    path = tmp_path / "run.npz"
    optlab.solve(Quadratic(), GradientDescent(), max_iter=3, checkpoint=path, seed=1)
    with pytest.raises(CheckpointError, match="its problem is"):
        optlab.solve(Quadratic(4), GradientDescent(), max_iter=5, checkpoint=path, resume=True, seed=1)
    with pytest.raises(CheckpointError, match="its seed is 1"):
        optlab.solve(Quadratic(), GradientDescent(), max_iter=5, checkpoint=path, resume=True, seed=2)
    with pytest.raises(CheckpointError, match="its record is"):
        optlab.solve(Quadratic(), GradientDescent(), max_iter=5, checkpoint=path, resume=True, seed=1, record=2)


def test_unwritable_path_is_said_before_anything_is_computed(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    started = []

    class Watched(Quadratic):
        def default_start(self, rng):
            started.append(True)
            return super().default_start(rng)

    with pytest.raises(OSError, match="checkpoint"):
        optlab.solve(Watched(), GradientDescent(), checkpoint=file / "run.npz")
    with pytest.raises(IsADirectoryError, match="name a file"):
        optlab.solve(Watched(), GradientDescent(), checkpoint=tmp_path)
    assert not started


def test_a_state_that_cannot_be_written_is_named(tmp_path):
    @dataclass
    class Odd(State):
        x: np.ndarray
        helper: object

    class WithHelper(GradientDescent):
        def init(self, problem, x0, rng):
            return Odd(0, x0, lambda: None)

        def step(self, problem, state):
            return Odd(state.k + 1, state.x, state.helper)

    with pytest.raises(TypeError, match=r"state\.helper: .*function cannot be written"):
        optlab.solve(Quadratic(), WithHelper(), checkpoint=tmp_path / "run.npz")


@dataclass(frozen=True)
class Inner:
    a: np.ndarray
    b: tuple


def test_pack_and_unpack_round_trip():
    rng = np.random.default_rng(3)
    rng.standard_normal(7)
    value = {
        "inner": Inner(np.arange(3, dtype=np.float32), (1, 2.5, None, "x", True, float("inf"))),
        "list": [np.float64(1 / 3), np.array([[1 + 2j]])],
        "rng": rng,
        "mt": np.random.Generator(np.random.MT19937(1)),
    }
    arrays = {}
    tree = pack(value, arrays)
    back = unpack(tree, arrays, dataclass_types(value))
    np.testing.assert_array_equal(back["inner"].a, value["inner"].a)
    assert back["inner"].a.dtype == np.float32
    assert back["inner"].b == value["inner"].b
    assert back["list"][0] == 1 / 3
    assert isinstance(back["list"][0], np.float64)
    assert back["rng"].random() == rng.random()
    assert back["mt"].random() == value["mt"].random()


def test_unknown_class_is_refused():
    with pytest.raises(ValueError, match="not loaded"):
        unpack({"dataclass": "os:system", "fields": {}}, {}, {})


# ---------------------------------------------------------------------- whose checkpoint it is


class Function:
    """Descent to 0, measured by a function of the caller's."""

    primary_metric = "f"

    def __init__(self, f):
        self._f = f

    def default_start(self, rng):
        return np.ones(2)

    def measure(self, iterate):
        return {"f": float(self._f(iterate))}


def shifted(q):
    return lambda x: np.sum((x - q) ** 2)


def decreasing(k):
    return 0.5 / (k + 1)


@dataclass(frozen=True)
class Scheduled(GradientDescent):
    step_size: object = decreasing

    def step(self, problem, state):
        return type(state)(state.k + 1, state.x - self.step_size(state.k) * state.x)

    def measure(self, problem, state):
        return {}


@pytest.mark.parametrize(
    ("first", "second", "where"),
    [
        (lambda x: 2.0 * np.sum(x**2), lambda x: 3000.0 * np.sum(x**2), r"problem\._f"),
        (shifted(1.0), shifted(5.0), r"problem\._f \(its variable 'q'\)"),
        (Function(shifted(1.0))._f, Function(shifted(np.ones(2)))._f, r"problem\._f \(its variable 'q'\)"),
    ],
)
def test_problems_that_differ_in_a_function_are_told_apart(tmp_path, first, second, where):
    path = tmp_path / "run.npz"
    optlab.solve(Function(first), GradientDescent(), max_iter=5, seed=0, checkpoint=path)
    optlab.solve(Function(first), GradientDescent(), max_iter=6, seed=0, checkpoint=path, resume=True)
    with pytest.raises(CheckpointError, match=rf"its problem is .*they differ in {where}\)"):
        optlab.solve(Function(second), GradientDescent(), max_iter=8, seed=0, checkpoint=path, resume=True)


def test_inclusions_of_clipping_functions_are_told_apart(tmp_path):
    from optlab.bregman import SquaredEuclidean
    from optlab.splitting import BregmanDouglasRachford, MonotoneInclusion

    def inclusion(top):
        clip = {1: lambda m, s: np.clip(m, 0, 1), 2: lambda m, s: np.clip(m, 0, 2)}[top]
        return MonotoneInclusion(clip, lambda m, s: m - s, SquaredEuclidean(), shape=3)

    options = {"checkpoint": tmp_path / "run.npz", "seed": 0, "max_iter": 4}
    optlab.solve(inclusion(1), BregmanDouglasRachford(), **options)
    optlab.solve(inclusion(1), BregmanDouglasRachford(), **options, resume=True)
    with pytest.raises(CheckpointError, match="another run"):
        optlab.solve(inclusion(2), BregmanDouglasRachford(), **options, resume=True)


def test_another_start_is_another_run(tmp_path):
    path = tmp_path / "run.npz"
    options = {"max_iter": 5, "seed": 0, "checkpoint": path}
    first = optlab.solve(Quadratic(), GradientDescent(), x0=np.full(3, 2.0), **options)
    optlab.solve(Quadratic(), GradientDescent(), x0=np.full(3, 2.0), **options, resume=True)
    for x0 in (None, np.full(3, 3.0), first):
        with pytest.raises(CheckpointError, match="its x0 is"):
            optlab.solve(Quadratic(), GradientDescent(), x0=x0, **options, resume=True)


def test_going_on_from_a_result_can_be_resumed(tmp_path):
    begun = optlab.solve(Quadratic(), NoisyDescent(), max_iter=13, seed=0)
    whole = optlab.solve(begun.problem, NoisyDescent(), x0=begun, max_iter=30)
    options = {"checkpoint": tmp_path / "run.npz", "x0": begun}
    optlab.solve(begun.problem, NoisyDescent(), max_iter=7, **options)
    joined = optlab.solve(begun.problem, NoisyDescent(), max_iter=30, resume=True, **options)
    assert joined.history.equals(whole.history)
    np.testing.assert_array_equal(joined.solution, whole.solution)


def test_what_cannot_be_identified_is_refused_before_anything_is_computed(tmp_path):
    started = []
    with (tmp_path / "log").open("w") as log:

        def f(x):
            started.append(True)
            log.write("")
            return 0.0

        with pytest.raises(TypeError, match=r"problem\._f \(its variable 'log'\) cannot be identified"):
            optlab.solve(Function(f), GradientDescent(), max_iter=3, checkpoint=tmp_path / "run.npz")
        assert not started
        assert optlab.solve(Function(f), GradientDescent(), max_iter=3).n_iter == 3


RULE = """
import sys
sys.path.insert(0, {folder!r})
import optlab
from toys import Quadratic
from test_checkpoint import Scheduled
def rule(k):
    return 0.25 / (k + 2)
result = optlab.solve(Quadratic(), Scheduled({rule}), max_iter={n}, seed=0, checkpoint={path!r}, resume=True)
print(result.n_iter, result.history["gap"][-1], result.history.metadata["method"])
"""


@pytest.mark.parametrize("rule", ["", "rule", "lambda k: 0.1"])
def test_a_callable_step_size_resumes_in_a_new_process(tmp_path, rule):
    def run(n, seed):
        script = RULE.format(folder=str(Path(__file__).parent), rule=rule, n=n, path=str(tmp_path / "run.npz"))
        done = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(5, 1)
    answer = run(20, 2)
    assert "0x" not in answer
    (tmp_path / "run.npz").unlink()
    assert run(20, 3) == answer


def test_another_version_is_a_warning_that_names_both(tmp_path, monkeypatch):
    from optlab.core.running import checkpoint

    path = tmp_path / "run.npz"
    here = checkpoint.environment()
    then = {**here, "numpy": "1.0.0"}
    monkeypatch.setattr(checkpoint, "environment", lambda: then)
    optlab.solve(Function(shifted(1.0)), GradientDescent(), max_iter=5, seed=0, checkpoint=path)
    monkeypatch.setattr(checkpoint, "environment", lambda: here)
    with pytest.warns(CheckpointWarning, match=rf"written with numpy 1\.0\.0; this is numpy {np.__version__}\."):
        optlab.solve(Function(shifted(1.0)), GradientDescent(), max_iter=9, seed=0, checkpoint=path, resume=True)


def test_under_another_python_functions_are_compared_by_data_only(tmp_path, monkeypatch):
    from optlab.core.running import checkpoint

    path = tmp_path / "run.npz"
    here = checkpoint.environment()
    monkeypatch.setattr(checkpoint, "environment", lambda: {**here, "python": "3.99.1"})
    optlab.solve(Function(lambda x: np.sum(x * x)), GradientDescent(), max_iter=5, seed=0, checkpoint=path)
    monkeypatch.setattr(checkpoint, "environment", lambda: here)
    with pytest.warns(CheckpointWarning, match=r"python 3\.99\.1.*functions cannot be compared"):
        optlab.solve(Function(lambda x: np.sum(x**2)), GradientDescent(), seed=0, checkpoint=path, resume=True)
    with pytest.raises(CheckpointError, match="problem"):
        optlab.solve(Function(shifted(2.0)), GradientDescent(), seed=0, checkpoint=path, resume=True)


# ---------------------------------------------------------------------- the file


def test_saves_lie_between_record_points_too(tmp_path):
    """A run that is killed loses `checkpoint_every` seconds, not what came since the last record."""
    path = tmp_path / "run.npz"
    seen = []

    class Watching(NoisyDescent):
        def step(self, problem, state):
            if path.exists():
                copy = tmp_path / f"copy{len(seen)}.npz"
                copy.write_bytes(path.read_bytes())
                seen.append(copy)
                if len(seen) == 3:
                    raise KeyboardInterrupt
                path.unlink()
            return super().step(problem, state)

        def fingerprint(self):
            return "noisy"

    options = {"max_iter": 300, "seed": 5, "record": 200}
    whole = optlab.solve(Quadratic(), Watching(sleep=0.001), **options)
    optlab.solve(Quadratic(), Watching(sleep=0.001), **options, checkpoint=path, checkpoint_every=0.02)
    assert len(seen) == 3
    del seen[:]
    for copy in sorted(tmp_path.glob("copy*.npz")):
        with np.load(copy) as stored:
            assert stored["column:0"].tolist() == [0]  # in the middle of the first interval
        joined = optlab.solve(Quadratic(), NoisyCopy(), **options, checkpoint=copy, resume=True)
        assert joined.history.equals(whole.history)
        np.testing.assert_array_equal(joined.solution, whole.solution)


class NoisyCopy(NoisyDescent):
    def fingerprint(self):
        return "noisy"


NoisyCopy.__qualname__ = "test_saves_lie_between_record_points_too.<locals>.Watching"


def test_a_run_that_diverges_after_a_resume_keeps_what_an_uninterrupted_one_keeps(tmp_path):
    class Bursting(GradientDescent):
        def step(self, problem, state):
            if state.k == 150:
                raise FloatingPointError("burst")
            return super().step(problem, state)

    options = {"max_iter": 200, "record": 100, "seed": 0}
    whole = optlab.solve(Quadratic(), Bursting(), **options)
    path = tmp_path / "run.npz"
    optlab.solve(Quadratic(), Bursting(), max_iter=130, record=100, seed=0, checkpoint=path)
    joined = optlab.solve(Quadratic(), Bursting(), **options, checkpoint=path, resume=True)
    assert joined.status is whole.status is Status.DIVERGED
    assert joined.history.equals(whole.history)
    np.testing.assert_array_equal(joined.solution, whole.solution)


def test_saving_is_rare_by_default(tmp_path, monkeypatch):
    from optlab.core.files import OwnedFile

    writes = []
    original = OwnedFile.write
    monkeypatch.setattr(OwnedFile, "write", lambda self, write: (writes.append(1), original(self, write))[1])
    optlab.solve(Quadratic(), GradientDescent(), max_iter=2000, record="all", checkpoint=tmp_path / "run.npz")
    assert len(writes) <= 2
    del writes[:]
    optlab.solve(
        Quadratic(), GradientDescent(), max_iter=50, record="all", checkpoint=tmp_path / "r.npz", checkpoint_every=1e-9
    )
    assert len(writes) == 50
    del writes[:]
    optlab.solve(
        Quadratic(), GradientDescent(), max_iter=50, checkpoint=tmp_path / "s.npz", checkpoint_every=float("inf")
    )
    assert len(writes) == 1


def test_checkpoint_every_is_checked(tmp_path):
    with pytest.raises(ValueError, match="checkpoint_every must be a number above 0"):
        optlab.solve(Quadratic(), GradientDescent(), checkpoint=tmp_path / "r.npz", checkpoint_every=0)
    with pytest.raises(ValueError, match="needs checkpoint=PATH"):
        optlab.solve(Quadratic(), GradientDescent(), checkpoint_every=1)


def failing_writes(monkeypatch, when, error):
    """Let the disk fail at the saves of the numbers `when`."""
    from optlab.core import files

    count = iter(range(10**6))
    original = files._replace

    def replace(*arguments):
        if next(count) in when:
            raise error
        return original(*arguments)

    monkeypatch.setattr(files, "_replace", replace)


def test_a_full_disk_is_a_warning_and_the_end_is_tried_again(tmp_path, monkeypatch):
    path = tmp_path / "run.npz"
    failing_writes(monkeypatch, {1, 2, 3}, OSError(28, "No space left on device"))
    options = {"max_iter": 10, "record": "all", "checkpoint": path, "checkpoint_every": 1e-9}
    with pytest.warns(CheckpointWarning) as told:
        result = optlab.solve(Quadratic(), GradientDescent(), **options)
    assert len(told) == 1
    words = str(told[0].message)
    assert repr(str(path)) in words
    assert "No space left on device" in words
    assert "the file holds the run up to iteration 1" in words
    assert result.n_iter == 10
    assert optlab.solve(Quadratic(), GradientDescent(), **options, resume=True).history.equals(result.history)


def test_a_disk_that_stays_full_leaves_the_last_good_file(tmp_path, monkeypatch):
    path = tmp_path / "run.npz"
    failing_writes(monkeypatch, range(4, 10**6), OSError(28, "No space left on device"))
    options = {"record": "all", "checkpoint": path, "checkpoint_every": 1e-9}
    with pytest.warns(CheckpointWarning) as told:
        result = optlab.solve(Quadratic(), GradientDescent(), max_iter=10, **options)
    assert [("the end of the run is not saved" in str(w.message)) for w in told] == [False, True]
    assert result.n_iter == 10
    monkeypatch.undo()
    joined = optlab.solve(Quadratic(), GradientDescent(), max_iter=10, **options, resume=True)
    assert joined.history.equals(result.history)


LIMITED = """
import resource, sys, warnings
sys.path.insert(0, {folder!r})
import optlab
from toys import GradientDescent, Quadratic
optlab.solve(Quadratic(1000), GradientDescent(), max_iter=2, seed=0, checkpoint={path!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    result = optlab.solve(Quadratic(1000), GradientDescent(), max_iter=9, seed=0, checkpoint={path!r}, resume=True)
print(result.n_iter, *(w.message for w in told))
"""


def test_a_limit_on_the_size_of_files_is_a_warning(tmp_path):
    path = tmp_path / "run.npz"
    script = LIMITED.format(folder=str(Path(__file__).parent), path=str(path))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("9 checkpoint")
    assert "File too large" in done.stdout
    assert list(tmp_path.iterdir()) == [path]
    assert np.load(path)["column:0"][-1] == 2


def test_a_folder_that_vanishes_is_a_warning(tmp_path):
    folder = tmp_path / "runs"

    def vanish(state, history):
        if state.k == 3:
            folder.rename(tmp_path / "moved")

    with pytest.warns(CheckpointWarning, match="No such file or directory"):
        result = optlab.solve(
            Quadratic(), GradientDescent(), max_iter=9, checkpoint=folder / "run.npz", callbacks=vanish
        )
    assert result.n_iter == 9


def test_leftovers_of_killed_writers_go_and_those_of_living_ones_stay(tmp_path):
    from optlab.core.files import write_atomically

    target = tmp_path / "run.npz"
    dead = [tmp_path / f".run.npz.{name}.part" for name in ("abcdefgh", "12345678")]
    others = [tmp_path / name for name in (".run.abcdefgh.part", ".run.npz.bak.abcdefgh.part", "run.npz.part")]
    for file in (*dead, *others):
        file.write_bytes(b"x")
    inner = []

    def write(file):
        write_atomically(target, lambda second: second.write(b"second"))  # another writer, in the middle of ours
        inner.append(len(list(tmp_path.glob(".run.npz.????????.part"))))
        file.write(b"first")

    write_atomically(target, write)
    assert inner == [1]
    assert target.read_bytes() == b"first"
    assert not any(file.exists() for file in dead)
    assert all(file.exists() for file in others)


def test_a_symbolic_link_stays_one(tmp_path):
    (tmp_path / "disk").mkdir()
    link = tmp_path / "run.npz"
    link.symlink_to(tmp_path / "disk" / "real.npz")
    optlab.solve(Quadratic(), GradientDescent(), max_iter=3, checkpoint=link)
    assert link.is_symlink()
    assert (tmp_path / "disk" / "real.npz").is_file()
    assert optlab.solve(Quadratic(), GradientDescent(), max_iter=5, checkpoint=link, resume=True).n_iter == 5


@pytest.mark.parametrize("length", [240, 251])
def test_a_long_name_works(tmp_path, length):
    path = tmp_path / ("n" * (length - 4) + ".npz")
    optlab.solve(Quadratic(), GradientDescent(), max_iter=3, checkpoint=path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_that_is_too_long_is_said_before_anything_is_computed(tmp_path):
    class Never(Quadratic):
        def default_start(self, rng):
            raise AssertionError("computed something")

    with pytest.raises(OSError, match=r"checkpoint: the file name 'nnn.* of 304 bytes is too long"):
        optlab.solve(Never(), GradientDescent(), checkpoint=tmp_path / ("n" * 300 + ".npz"))


def test_two_runs_on_one_file_are_noticed(tmp_path):
    path = tmp_path / "run.npz"
    (tmp_path / "link.npz").symlink_to(path)
    refused = []

    def intrude(state, history):
        if state.k == 5:
            for other in (path, tmp_path / "link.npz"):
                with pytest.raises(CheckpointError, match=r"another run that is alive is writing .*\.npz'"):
                    optlab.solve(Quadratic(4), GradientDescent(), max_iter=3, checkpoint=other)
                refused.append(other)

    options = {"max_iter": 10, "record": "all", "checkpoint": path, "checkpoint_every": 1e-9}
    result = optlab.solve(Quadratic(), GradientDescent(), **options, callbacks=intrude)
    assert len(refused) == 2
    assert result.n_iter == 10
    optlab.solve(Quadratic(), GradientDescent(), **options, resume=True)


def test_a_file_that_another_run_wrote_is_not_overwritten(tmp_path):
    path = tmp_path / "run.npz"

    def intrude(state, history):
        if state.k == 5:  # before the first save of the run around it
            optlab.solve(Quadratic(4), GradientDescent(), max_iter=3, checkpoint=path)

    with pytest.raises(CheckpointError, match=r"another run has written .* in the meantime") as caught:
        optlab.solve(Quadratic(), GradientDescent(), max_iter=10, checkpoint=path, callbacks=intrude)
    assert caught.value.result.n_iter == 10
    assert optlab.solve(Quadratic(4), GradientDescent(), max_iter=3, checkpoint=path, resume=True).n_iter == 3


@pytest.mark.parametrize("name", ["replace", "unlink", "fsync", "chmod", "close", "dup", "fstat", "stat"])
@pytest.mark.parametrize("after", [False, True])
def test_an_interrupt_at_any_moment_of_a_save_leaves_a_run_that_can_save(tmp_path, monkeypatch, name, after):
    """The interrupt comes just before or just after one of the calls to the system that a save consists of."""
    path = tmp_path / "run.npz"
    armed = []

    def arm(state, history):
        if state.k == 4:
            armed.append(True)

    original = getattr(os, name)

    def interrupted(*arguments, **options):
        ours = bool(armed)
        armed.clear()
        if ours and not after:
            raise KeyboardInterrupt
        answer = original(*arguments, **options)
        if ours:
            raise KeyboardInterrupt
        return answer

    monkeypatch.setattr(os, name, interrupted)
    whole = optlab.solve(Quadratic(), GradientDescent(), max_iter=12, record="all")
    options = {"max_iter": 12, "record": "all", "checkpoint": path, "checkpoint_every": 1e-9}
    part = optlab.solve(Quadratic(), GradientDescent(), **options, callbacks=arm)
    assert part.status is (Status.INTERRUPTED if name != "unlink" else Status.MAX_ITER)  # which a save does not call
    armed.clear()
    monkeypatch.undo()
    with np.load(path) as stored:
        assert stored["column:0"][-1] == part.n_iter
    joined = optlab.solve(Quadratic(), GradientDescent(), **options, resume=True)
    assert joined.history.equals(whole.history)
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_attempt_does_not_keep_the_file_locked(tmp_path):
    path = tmp_path / "run.npz"
    optlab.solve(Quadratic(), GradientDescent(), max_iter=3, checkpoint=path)
    with pytest.raises(CheckpointError) as kept:
        optlab.solve(Quadratic(4), GradientDescent(), max_iter=3, checkpoint=path, resume=True)
    optlab.solve(Quadratic(), GradientDescent(), max_iter=5, checkpoint=path, resume=True)
    assert kept.value.__traceback__ is not None


def test_an_orphaned_worker_does_not_keep_the_file_locked(tmp_path):
    """The run forks a process that outlives it; the killed run is resumed all the same."""
    path = tmp_path / "run.npz"
    script = SCRIPT.format(folder=str(Path(__file__).parent), path=str(path)).replace(
        "record=20)",
        "record=20, checkpoint_every=0.05, callbacks=lambda s, h: "
        "s.k == 60 and (os.fork() or (print(os.getpid(), flush=True), time.sleep(60), os._exit(0))) and None)",
    )
    child = subprocess.Popen(
        [sys.executable, "-c", "import os, time" + script], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert child.stdout.readline() == "ready\n"
        orphan = int(child.stdout.readline())
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        os.kill(orphan, 0)  # is alive
        method = NoisyDescent(sleep=0.002)
        joined = optlab.solve(
            Quadratic(), method, max_iter=100, seed=9, checkpoint=path, record=20, resume=True, checkpoint_every=0.05
        )
        assert joined.n_iter >= 60
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.stdout.close()


# ---------------------------------------------------------------------- files that nobody wrote


def rewritten(path, change):
    """Write a checkpoint again with another header."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    header = json.loads(str(arrays["header"]))
    change(header)
    np.savez(path, **{**arrays, "header": np.array(json.dumps(header))})


NONSENSE = (None, [], {}, 3, "x", [1, 2], {"array": "array:0"}, {"dataclass": 3, "fields": []})
NO_NONSENSE = [
    ("solve_time", 3),
    *((key, v) for key in ("metadata", "versions") for v in NONSENSE if isinstance(v, dict)),
]


@pytest.mark.parametrize(
    "key", ["identity", "state", "recorded", "rng", "columns", "metadata", "solve_time", "versions"]
)
def test_a_header_with_nonsense_is_a_checkpoint_error(tmp_path, key):
    path = tmp_path / "run.npz"
    for value in NONSENSE:
        if (key, value) in [*NO_NONSENSE, ("metadata", None), ("recorded", None)]:
            continue
        optlab.solve(Quadratic(), NoisyDescent(), max_iter=3, seed=0, checkpoint=path)
        rewritten(path, lambda header: header.update({key: value}))  # noqa: B023
        with pytest.raises(CheckpointError, match=r"run\.npz"):
            optlab.solve(Quadratic(), NoisyDescent(), max_iter=5, seed=0, checkpoint=path, resume=True)


def test_a_foreign_file_is_not_said_to_be_loadable_unsafely(tmp_path):
    path = tmp_path / "run.npz"
    for content in (pickle.dumps({"a": 1}), b"hello", b"", b"\x93NUMPY\x01\x00"):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="not a checkpoint") as caught:
            optlab.solve(Quadratic(), GradientDescent(), checkpoint=path, resume=True)
        assert "pickle" not in str(caught.value)
    np.savez(path, header=np.array({"a": 1}, dtype=object))
    with pytest.raises(CheckpointError, match="holds objects") as caught:
        optlab.solve(Quadratic(), GradientDescent(), checkpoint=path, resume=True)
    assert "allow_pickle" not in str(caught.value)
