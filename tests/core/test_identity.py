"""What a problem is: told apart by all that it holds, the same in every process, refused where it cannot be told."""

import collections
import datetime
import functools
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from optlab.core.identity import fingerprint, identify, stable_repr

RATE = 2.0


def rule(k):
    return RATE / (k + 1)


def closure(q, scale=1.0):
    return lambda x: scale * (x - q)


def counted(q):
    calls = 0

    def function(x):
        nonlocal calls
        calls += 1
        return x - q

    return function


def with_default(q):
    def function(x, q=q, *, r=q):
        return x - q - r

    return function


def nested(q):
    return (lambda x: (lambda y: 3.0 * y)(x)) if q else (lambda x: (lambda y: 4.0 * y)(x))


class Private:
    def __init__(self, data):
        self._c = data

    def value(self, x):
        return x - self._c


class Slotted:
    __slots__ = ("_c",)

    def __init__(self, data):
        self._c = data


class OfClass:
    factor = 1.0

    def value(self, x):
        return self.factor * x


class Views(dict):
    pass


@dataclass(frozen=True)
class Settings:
    rate: object
    extra: dict = field(default_factory=dict)


def changed_class(body):
    scope = {"__name__": "somebody"}
    exec(f"class P:\n    factor = 1.0\n    def value(self, x):\n        return {body}\n", scope)
    return scope["P"]()


# pairs that hold different things, each made twice to be compared with itself
DIFFERENT = {
    "constant": (lambda: lambda x: 2.0 * x, lambda: lambda x: 3000.0 * x),
    "name": (lambda: lambda x: np.sin(x), lambda: lambda x: np.cos(x)),
    "nested": (lambda: nested(True), lambda: nested(False)),
    "closure": (lambda: closure(1.0), lambda: closure(5.0)),
    "closed array": (lambda: closure(np.ones(3)), lambda: closure(np.ones(3) + 1e-16 * np.arange(3) + 1e-15)),
    "default": (lambda: with_default(1), lambda: with_default(2)),
    "counted": (lambda: counted(1.0), lambda: counted(2.0)),
    "partial": (lambda: functools.partial(closure, 1.0), lambda: functools.partial(closure, 2.0)),
    "keyword": (lambda: functools.partial(closure, scale=1), lambda: functools.partial(closure, scale=2)),
    "bound": (lambda: Private(1.0).value, lambda: Private(2.0).value),
    "builtin bound": (lambda: "a".join, lambda: "b".join),
    "private": (lambda: Private(np.zeros(2)), lambda: Private(np.ones(2))),
    "slots": (lambda: Slotted(1), lambda: Slotted(2)),
    "mangled": (lambda: Private({"_Private__x": 1}), lambda: Private({"_Private__x": 2})),
    "set": (lambda: Private({"a", "b", "c"}), lambda: Private({"a", "b", "d"})),
    "frozen set": (lambda: frozenset([(1, 2)]), lambda: frozenset([(1, 3)])),
    "objects": (lambda: np.array([1, "a", None], object), lambda: np.array([1, "b", None], object)),
    "dtype": (lambda: np.zeros(2), lambda: np.zeros(2, np.float32)),
    "shape": (lambda: np.zeros((2, 3)), lambda: np.zeros((3, 2))),
    "mask": (lambda: np.ma.array([1, 2], mask=[0, 1]), lambda: np.ma.array([1, 2], mask=[1, 0])),
    "sparse": (lambda: sparse.eye_array(3, format="csr"), lambda: sparse.eye_array(3, format="csr") * 2.0),
    "dict subclass": (lambda: Views(a=np.ones(2)), lambda: Views(a=np.zeros(2))),
    "named tuple": (lambda: slice(1, 2), lambda: slice(1, 3)),
    "order": (lambda: {"a": 1, "b": 2}, lambda: {"b": 2, "a": 1}),
    "type": (lambda: 1, lambda: True),
    "big": (lambda: 10**5000, lambda: 10**5000 + 1),
    "date": (lambda: datetime.date(2025, 1, 1), lambda: datetime.date(2025, 1, 2)),
    "counter": (lambda: collections.Counter("aab"), lambda: collections.Counter("abb")),
    "dataclass": (lambda: Settings(rule), lambda: Settings(closure(1.0))),
    "function dict": (lambda: Settings({"f": rule}), lambda: Settings({"f": len})),
    "method of a class": (lambda: changed_class("x"), lambda: changed_class("2 * x")),
    "generator": (lambda: np.random.default_rng(1), lambda: np.random.default_rng(2)),
    "same name twice": (
        lambda: [(pair := [closure(1.0), nested(True)])[0], pair[1], pair[0]],
        lambda: [(pair := [closure(1.0), nested(True)])[0], pair[1], pair[1]],
    ),
}


@pytest.mark.parametrize("kind", DIFFERENT)
def test_what_differs_is_told_apart_and_what_is_equal_is_not(kind):
    first, second = DIFFERENT[kind]
    assert fingerprint(first()) == fingerprint(first())
    assert fingerprint(second()) == fingerprint(second())
    assert fingerprint(first()) != fingerprint(second())


def test_globals_that_a_function_reads_count(monkeypatch):
    before, object_before = fingerprint(rule), fingerprint(Settings(rule))
    monkeypatch.setitem(globals(), "RATE", 3.0)
    assert fingerprint(rule) != before
    assert fingerprint(Settings(rule)) != object_before


def test_class_attributes_count(monkeypatch):
    before = fingerprint(OfClass())
    monkeypatch.setattr(OfClass, "factor", 2.0)
    assert fingerprint(OfClass()) != before


def test_caches_and_counters_do_not_count():
    class Thing:
        def __init__(self, data):
            self.data = data
            self._memo = {}

        @functools.cached_property
        def total(self):
            return self.data.sum()

        def __getstate__(self):
            return self.__dict__ | {"_memo": {}}

    first, second = Thing(np.ones(3)), Thing(np.ones(3))
    before = fingerprint(first)
    _ = first.total
    first._memo[1] = 2
    assert before == fingerprint(first) == fingerprint(second)
    second.data[1] = 2
    assert fingerprint(second) != before

    function = counted(1.0)
    before = fingerprint(function)
    function(2.0)
    assert fingerprint(function) == before

    matrix = sparse.csr_array((np.ones(2), np.array([1, 0]), np.array([0, 2])), shape=(1, 2))
    before = fingerprint(matrix)
    matrix.sort_indices()
    assert fingerprint(matrix) == before

    vectorized = np.vectorize(rule)
    before = fingerprint(vectorized)
    vectorized([1, 2])
    assert fingerprint(vectorized) == before


def test_layout_and_sharing_do_not_count():
    array = np.random.default_rng(0).random((300, 7))
    assert fingerprint(np.asfortranarray(array)) == fingerprint(array) == fingerprint(np.repeat(array, 2, 0)[::2])
    assert fingerprint([array, array]) == fingerprint([array, array.copy()])


def test_circles_end():
    class Node:
        pass

    def pair(value):
        first, second = Node(), Node()
        first.other, second.other, second.value = second, first, value
        return first

    assert fingerprint(pair(1)) == fingerprint(pair(1)) != fingerprint(pair(2))


def test_an_object_or_a_function_may_answer_for_itself():
    class Own:
        def __init__(self, version):
            self.version, self.file = version, sys.stderr

        def fingerprint(self):
            return self.version

    assert fingerprint(Own(1)) == fingerprint(Own(1)) != fingerprint(Own(2))

    def reading(x):
        return sys.stderr

    reading.fingerprint = lambda: "v1"
    assert fingerprint(Private(reading)) == fingerprint(Private(reading))


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (lambda file: Private([file]), r"problem\._c\[0\] cannot be identified.*TextIOWrapper.*fingerprint\(\)"),
        (lambda file: closure(i for i in [1]), r"problem \(its variable 'q'\) cannot be .*builtins.generator"),
        (lambda file: Private({"a": iter([1])}), r"problem\._c\['a'\] cannot be identified.*list_iterator"),
        (lambda file: Private(np.frompyfunc(rule, 1, 1)), r"problem\._c cannot be identified.*ufunc"),
    ],
)
def test_what_cannot_be_identified_is_refused_by_its_path(tmp_path, make, where):
    with (tmp_path / "file").open("w") as file, pytest.raises(TypeError, match=where):
        identify(make(file), "problem")


def test_a_lock_is_no_data_and_a_library_function_is_its_name():
    assert fingerprint(Private(threading.Lock())) == fingerprint(Private(threading.Lock()))
    assert identify(np.exp, "f").code == identify(np.linalg.norm, "f").code == ""


def test_shown_names_have_no_addresses():
    assert "0x" not in stable_repr([rule, closure(1.0), Private(1)])
    assert identify(Settings(rule), "method").shown == "Settings(rate=<function rule>, extra={})"


SCRIPT = """
import sys
sys.path.insert(0, {folder!r})
from functools import partial
import numpy as np
from optlab.core.identity import fingerprint
import test_identity
Q = np.arange(3.0)
class Mine:
    def __init__(self): self._data = {{"x", "y", "zz", "w"}}
    def value(self, x): return np.sum(x - Q)
for make in (*(pair[0] for pair in test_identity.DIFFERENT.values()), lambda: Mine(), lambda: Mine().value,
             lambda: partial(Mine().value, Q), lambda: lambda x: x @ Q, lambda: Mine):
    print(fingerprint(make()))
"""


def test_the_same_in_every_process():
    answers = set()
    for seed in ("1", "2"):
        script = SCRIPT.format(folder=str(Path(__file__).parent))
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, env={"PYTHONHASHSEED": seed, **_paths()}
        )
        assert done.returncode == 0, done.stderr
        answers.add(done.stdout)
    assert len(answers) == 1


def _paths():
    import os

    return {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}
