"""Constructors and functions of splitting and Bregman geometry refuse what they cannot use by name: a seeded fuzz."""

import inspect
import random
import traceback
import warnings

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator

import optlab
from optlab import bregman, splitting
from optlab.bregman import functions, mirror_maps, operators, projections
from optlab.splitting import problems

V, M = np.array([0.5, 1.0, 1.5]), np.eye(3) + 0.1
FITTING = [1.0, 2, V, M, bregman.SquaredEuclidean(), bregman.ShannonEntropy(), functions.L1Norm(), functions.Simplex()]
FITTING += [functions.Box(0, 1), [functions.Box(), functions.Simplex()], np.tanh, None, "shannon", 3]
HOSTILE = [
    None,
    np.nan,
    np.inf,
    -np.inf,
    "x",
    "",
    b"a",
    0,
    -1,
    1e308,
    object(),
    object,
    [],
    [[]],
    (),
    {},
    {"a": 1},
    set(),
]
HOSTILE += [np.array([]), np.zeros((0, 3)), np.array(1.0), np.array([np.nan, 1.0]), np.array([np.inf, 1.0, 2.0])]
HOSTILE += [np.ma.masked_array([1.0, 2, 3], [0, 1, 0]), sparse.csr_matrix(M), aslinearoperator(M), np.array(["a", "b"])]
HOSTILE += [
    np.array([None, 1]),
    [1, [2, 3]],
    np.ones((2, 2, 2)),
    np.array([1j, 2]),
    True,
    lambda *a: None,
    lambda x: "s",
]
HOSTILE += [np.random.default_rng(0), -V, V * 0, np.zeros((3, 3)), 1e-320, range(3), float, slice(1), Ellipsis, [None]]


def targets():
    found = {}
    for module in (bregman, functions, splitting, problems, mirror_maps, operators, projections):
        for name, item in vars(module).items():
            home = str(getattr(item, "__module__", ""))
            if (
                name.startswith("_")
                or not callable(item)
                or not home.startswith(("optlab.bregman", "optlab.splitting"))
            ):
                continue
            if inspect.isclass(item) and (
                getattr(item, "_is_protocol", False) or inspect.isabstract(item) or issubclass(item, BaseException)
            ):
                continue
            found[f"{home}.{name}"] = item
    return [found[key] for key in sorted(found)]


def raised_by_name(error):
    """Whether an error was raised on purpose, by a line of optlab, rather than by what it stumbled over."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    if isinstance(error, TypeError) and ("required positional" in str(error) or "unexpected keyword" in str(error)):
        return True
    named = isinstance(error, (ValueError, TypeError, FloatingPointError)) and "/optlab/" in last.filename
    return named and str(last.line).startswith("raise")


def raw_errors(calls, seed):
    choose, items, raw = random.Random(seed), targets(), []
    for i in range(calls):
        item, arguments = items[i % len(items)], {}
        for parameter in inspect.signature(item).parameters.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            if parameter.default is parameter.empty or choose.random() > 0.6:
                arguments[parameter.name] = choose.choice(HOSTILE if choose.random() < 0.5 else FITTING)
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                item(**arguments)
        except Exception as error:
            if not raised_by_name(error):
                raw.append((item.__name__, arguments, f"{type(error).__name__}: {error}"))
    return raw


def test_a_thousand_hostile_calls_get_clear_errors():
    raw = raw_errors(2000, seed=0)
    assert len(raw) < 0.01 * 2000, raw


@pytest.mark.slow
def test_twenty_thousand_hostile_calls():
    raw = raw_errors(20_000, seed=1)
    assert len(raw) < 0.01 * 20_000, raw[:20]


def test_operators_and_sparse_matrices_are_refused_by_name():
    for given in (sparse.csr_matrix(M), aslinearoperator(M)):
        for make in (lambda A: functions.AffineSet(A, V), functions.Quadratic):
            with pytest.raises(TypeError, match=r"^[AQ] must"):
                make(given)
    with pytest.raises(TypeError, match="M must"):
        optlab.splitting.problems.MatrixGame(sparse.csr_matrix(M))
