"""Splitting methods on arrays of another library (array-api-strict): NumPy's results, without a NumPy call on them."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import optlab
from optlab.bregman import FermiDirac, Hellinger, ShannonEntropy, SquaredEuclidean
from optlab.bregman.functions import (
    Box,
    BregmanDistance,
    Hyperplane,
    ItakuraSaito,
    KullbackLeibler,
    L1Norm,
    Linear,
    NegativeEntropy,
    Simplex,
    SquaredDistance,
    Zero,
)
from optlab.splitting import (
    BregmanDouglasRachford,
    BregmanPeacemanRachford,
    CompositeProblem,
    MonotoneInclusion,
)
from optlab.wrappers import Anderson, Averaged, Halpern, Lookahead, Restarted

strict = pytest.importorskip("array_api_strict")

N = 7
_rng = np.random.default_rng(12)
Q = _rng.uniform(0.1, 0.9, N)
C = _rng.standard_normal(N)
WEIGHT = _rng.uniform(0.5, 2.0, N)
START = _rng.uniform(0.2, 0.7, N)


@pytest.fixture(autouse=True)
def no_implicit_conversion(monkeypatch):
    """NumPy may see a foreign array only where it is moved to the host by name."""
    kind = type(strict.asarray([1.0]))
    original = kind.__array__

    def guarded(self, *args, **kwargs):
        caller = sys._getframe(1)
        assert caller.f_code.co_filename.endswith("core/backend.py"), f"NumPy call in {caller.f_code}"
        return original(self, *args, **kwargs)

    monkeypatch.setattr(kind, "__array__", guarded)


def test_the_guard_works():
    with pytest.raises(AssertionError, match="NumPy call"):
        np.sum(strict.asarray([1.0]))


PAIRS = {
    "euclidean box": (Box(0.1, 0.5), SquaredDistance(Q, WEIGHT), SquaredEuclidean()),
    "euclidean boxes": (Box(Q / 2, 0.6), Linear(C) + SquaredDistance(Q), SquaredEuclidean()),
    "euclidean simplex": (Simplex(), SquaredDistance(Q), SquaredEuclidean()),
    "euclidean l1": (L1Norm(0.3), SquaredDistance(C), SquaredEuclidean()),
    "euclidean weighted l1": (L1Norm(WEIGHT), SquaredDistance(C), SquaredEuclidean()),
    "euclidean hyperplane": (Hyperplane(C, 0.3), SquaredDistance(Q), SquaredEuclidean()),
    "shannon simplex": (Simplex(), KullbackLeibler(Q, WEIGHT), ShannonEntropy()),
    "shannon linear": (Simplex(2.0), Linear(C) + NegativeEntropy(), ShannonEntropy()),
    "shannon box": (Box(0.1, 0.5), KullbackLeibler(Q), ShannonEntropy()),
    "fermi-dirac": (Box(0.3, 0.6), BregmanDistance(Q, FermiDirac()), FermiDirac()),
    "fermi-dirac linear": (Box(0.3, 0.6), Linear(C), FermiDirac()),
    "hellinger": (Box(-0.2, 0.6), BregmanDistance(Q, Hellinger()), Hellinger()),
    "euclidean entropies": (NegativeEntropy(WEIGHT), KullbackLeibler(Q, 2.0), SquaredEuclidean()),
    "shannon distance": (Simplex(), SquaredDistance(Q, WEIGHT), ShannonEntropy()),
    "shannon distances": (ItakuraSaito(Q), SquaredDistance(Q), ShannonEntropy()),
    "shannon l1": (L1Norm(WEIGHT), KullbackLeibler(Q), ShannonEntropy()),
    "fermi-dirac l1": (L1Norm(WEIGHT), BregmanDistance(Q, FermiDirac(-1.0, 1.0)), FermiDirac(-1.0, 1.0)),
    "hellinger l1": (L1Norm(0.3), Linear(C) + BregmanDistance(Q, Hellinger()), Hellinger()),
    "shannon hyperplane": (Hyperplane(Q, 0.9), KullbackLeibler(Q), ShannonEntropy()),
    "fermi-dirac hyperplane": (Hyperplane(C, 0.3), BregmanDistance(Q, FermiDirac()), FermiDirac()),
    "fermi-dirac simplex": (Simplex(2.0), BregmanDistance(Q, FermiDirac()), FermiDirac()),
    "hellinger hyperplane": (Hyperplane(C, 0.3), BregmanDistance(Q, Hellinger()), Hellinger()),
    "hellinger simplex": (Simplex(2.0), BregmanDistance(Q, Hellinger()), Hellinger()),
    "fermi-dirac distance": (Box(0.3, 0.6), SquaredDistance(Q, WEIGHT), FermiDirac()),
    "fermi-dirac of boxes": (Box(0.3, 0.6), SquaredDistance(Q), FermiDirac(np.full(N, 0.1), 1.0 + Q)),
    "zero": (Zero(), KullbackLeibler(Q), ShannonEntropy()),
}
METHODS = {
    "douglas-rachford": BregmanDouglasRachford(step_size=0.7),
    "relaxed": BregmanDouglasRachford(step_size=0.7, relaxation=1.5),
    "peaceman-rachford": BregmanPeacemanRachford(step_size=0.7),
    "geometric": BregmanDouglasRachford(step_size=lambda k: 0.5 + 1.0 / (k + 1)),
    "halpern": Halpern(BregmanDouglasRachford(step_size=0.7)),
    "anderson": Anderson(BregmanDouglasRachford(step_size=0.7), memory=3),
    "restarted": Restarted(Halpern(BregmanDouglasRachford(step_size=0.7))),
    "lookahead": Lookahead(BregmanDouglasRachford(step_size=0.7)),
    "averaged": Averaged(BregmanDouglasRachford(step_size=0.7)),
}


def same_run(problem, method, x0=START, iterations=25):
    here = optlab.solve(problem, method, x0=x0, max_iter=iterations, record="all")
    there = optlab.solve(problem, method, x0=strict.asarray(x0), max_iter=iterations, record="all")
    np.testing.assert_allclose(np.asarray(there.solution), np.asarray(here.solution), rtol=1e-12, atol=1e-13)
    assert set(here.history) == set(there.history)
    for name in set(here.history) - {"time"}:
        np.testing.assert_allclose(there.history[name], here.history[name], rtol=1e-10, atol=1e-12, err_msg=name)
    return here, there


@pytest.mark.parametrize("pair", PAIRS)
def test_terms_and_kernels(pair):
    f, g, kernel = PAIRS[pair]
    same_run(MonotoneInclusion(f, g, kernel, shape=N), METHODS["douglas-rachford"])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pair", ["euclidean l1", "shannon simplex"])
def test_methods_on_composite_problems(pair, method):
    f, g, kernel = PAIRS[pair]
    same_run(CompositeProblem(f, g, kernel=kernel), METHODS[method])


def test_iterates_stay_in_the_library():
    f, g, kernel = PAIRS["shannon simplex"]
    problem, start = CompositeProblem(f, g, kernel=kernel), strict.asarray(START)
    for state, _ in zip(optlab.iterate(problem, METHODS["relaxed"], x0=start), range(4)):
        assert all(type(point) is type(start) for point in (state.x, state.y, state.z))
    assert type(optlab.solve(problem, METHODS["relaxed"], x0=start, max_iter=3).solution.mirror) is type(start)


def test_many_variables_do_not_ask_for_their_square():
    n = 200_000
    problem = CompositeProblem(Box(0.3, 0.6), Linear(np.resize(C, n)), kernel=FermiDirac())
    run = optlab.solve(problem, METHODS["relaxed"], x0=np.full(n, 0.5), max_iter=2)
    assert run.n_iter == 2


def test_float32_stays():
    problem = MonotoneInclusion(*PAIRS["euclidean l1"], shape=N)
    start = strict.asarray(START, dtype=strict.float32)
    state = [s for s, _ in zip(optlab.iterate(problem, METHODS["relaxed"], x0=start), range(4))][-1]
    assert state.z.dtype == strict.float32


def test_parameters_of_another_library_are_taken_to_the_host():
    here, there = SquaredDistance(Q), SquaredDistance(strict.asarray(Q))
    assert here.value(C) == there.value(C)


def test_what_is_no_array_expression_says_so():
    problem = MonotoneInclusion(Box(), SquaredDistance(Q), Hellinger())
    with pytest.raises(TypeError, match=r"no array expression.*NumPy arrays only"):
        optlab.solve(problem, METHODS["relaxed"], x0=strict.asarray(START), max_iter=3)
    with pytest.raises(ValueError, match=r"x0 must have shape \(7,\)"):
        optlab.solve(problem, METHODS["relaxed"], x0=strict.asarray(START[:3]), max_iter=3)
