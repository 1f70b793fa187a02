"""What every registered method must do on every problem of its family that it accepts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from cases import PROBLEMS, arguments, pairs

import optlab
from optlab.core.run import has_advance
from optlab.core.serialization import fingerprint, pack

CASES = pairs()
everything = pytest.mark.parametrize(
    ("family", "cls"), CASES, ids=[f"{family}.{cls.__name__}" for family, cls in CASES]
)


def accepted(family, cls):
    """The problems that the method accepts, with the method."""
    method = cls(**arguments(cls))
    found = []
    for problem in PROBLEMS[family]():
        rng = np.random.default_rng(0)
        try:
            method.init(problem, problem.default_start(rng), rng)
        except (TypeError, ValueError):
            continue
        found.append(problem)
    assert found, f"{cls.__name__} accepts no problem of its family"
    return method, found


def frozen(value):
    """A state as bytes, to compare."""
    arrays = {}
    tree = pack(value, arrays)
    return repr(tree), {name: array.tobytes() for name, array in arrays.items()}


def forward(problem, method, state, n):
    if has_advance(method):
        return method.advance(problem, state, n)
    for _ in range(n):
        state = method.step(problem, state)
    return state


@everything
def test_method_is_a_frozen_description(family, cls):
    method = cls(**arguments(cls))
    assert dataclasses.is_dataclass(cls)
    name = dataclasses.fields(cls)[0].name if dataclasses.fields(cls) else "anything"
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(method, name, None)
    assert method == cls(**arguments(cls))
    assert cls.__name__ in repr(method)
    assert optlab.cite(method).startswith("@")
    assert cls.__doc__
    assert ">>>" in cls.__doc__


@everything
def test_states_are_pure_and_do_not_depend_on_how_a_run_is_cut(family, cls):
    method, problems = accepted(family, cls)
    for problem in problems:
        data = fingerprint(problem)
        rng = np.random.default_rng(1)
        x0 = problem.default_start(rng)
        kept = np.array(x0, copy=True) if isinstance(x0, np.ndarray) else None
        start = method.init(problem, x0, np.random.default_rng(1))
        before = frozen(start)
        once = forward(problem, method, start, 7)
        assert once.k == start.k + 7
        middle = forward(problem, method, start, 3)
        image = frozen(middle)
        twice = forward(problem, method, middle, 4)
        assert frozen(once) == frozen(twice)
        assert frozen(start) == before
        assert frozen(middle) == image
        assert fingerprint(problem) == data
        if kept is not None:
            np.testing.assert_array_equal(x0, kept)


@everything
def test_same_seed_same_history_and_metrics_are_finite(family, cls):
    method, problems = accepted(family, cls)
    for problem in problems:
        first = optlab.solve(problem, method, max_iter=12, seed=4, record=3)
        again = optlab.solve(problem, method, max_iter=12, seed=4, record=3)
        assert first.history.equals(again.history)
        assert first.history["iteration"].tolist() == [0, 3, 6, 9, 12]
        assert all(np.all(np.isfinite(first.history[name])) for name in first.history.columns)
        assert problem.primary_metric in first.history


@everything
def test_one_long_run_equals_two_joined_runs(family, cls, tmp_path):
    method, problems = accepted(family, cls)
    for i, problem in enumerate(problems):
        whole = optlab.solve(problem, method, max_iter=20, seed=2, record=4)
        part = optlab.solve(problem, method, max_iter=8, seed=2, record=4)
        joined = optlab.solve(problem, method, x0=part, max_iter=12, record=4)
        assert frozen(joined.state) == frozen(whole.state)
        path = tmp_path / f"{i}.npz"
        optlab.solve(problem, method, max_iter=8, seed=2, record=4, checkpoint=path)
        resumed = optlab.solve(problem, method, max_iter=20, seed=2, record=4, checkpoint=path, resume=True)
        assert frozen(resumed.state) == frozen(whole.state)
        assert resumed.history.equals(whole.history)


@everything
def test_an_earlier_solution_is_a_start(family, cls):
    method, problems = accepted(family, cls)
    for problem in problems:
        first = optlab.solve(problem, method, max_iter=5, seed=0)
        again = optlab.solve(problem, method, x0=first.solution, max_iter=2, seed=0)
        assert again.n_iter == 2
