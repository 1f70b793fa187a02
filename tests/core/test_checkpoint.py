"""Checkpoints: the joined run equals an uninterrupted one, bit for bit; damaged and foreign files are refused."""

import os
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
from optlab.core import CheckpointError, State
from optlab.core.serialization import dataclass_types, fingerprint, pack, unpack


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


def test_interrupted_run_resumes(tmp_path):
    path = tmp_path / "run.npz"
    whole = optlab.solve(Quadratic(), Failing(at=10**9), max_iter=100)
    part = optlab.solve(Quadratic(), Failing(at=33, error=KeyboardInterrupt), max_iter=100, checkpoint=path)
    assert part.status is Status.INTERRUPTED
    saved = path.read_bytes()
    with pytest.raises(CheckpointError, match="its method is"):  # another method: another run
        optlab.solve(Quadratic(), Failing(at=10**9), max_iter=100, checkpoint=path, resume=True)
    assert path.read_bytes() == saved

    method = Failing(at=33, error=KeyboardInterrupt)
    type(method).step, original = GradientDescent.step, type(method).step
    try:
        joined = optlab.solve(Quadratic(), method, max_iter=100, checkpoint=path, resume=True)
    finally:
        type(method).step = original
    assert joined.history.equals(whole.history)


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
    assert not list(tmp_path.glob(".*.part")) or len(list(tmp_path.iterdir())) <= 2


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


def test_fingerprint_sees_data_and_ignores_caches():
    from functools import cached_property

    class Thing:
        def __init__(self, data):
            self.data = data
            self._scratch = None

        @cached_property
        def total(self):
            return self.data.sum()

    first, second = Thing(np.ones(3)), Thing(np.ones(3))
    before = fingerprint(first)
    _ = first.total
    first._scratch = 1
    assert before == fingerprint(first) == fingerprint(second)
    second.data[1] = 2
    assert fingerprint(second) != before
