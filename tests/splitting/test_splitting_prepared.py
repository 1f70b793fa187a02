"""A prepared method makes the very steps of the method itself, and what it has prepared belongs to one run."""

import copy
import dataclasses

import numpy as np
import pytest

import optlab
from optlab.bregman import FermiDirac, PowerEntropy, ShannonEntropy, SquaredEuclidean
from optlab.bregman.functions import (
    Box,
    BregmanDistance,
    ItakuraSaito,
    KullbackLeibler,
    L1Norm,
    LeastSquares,
    Linear,
    NegativeEntropy,
    Poisson,
    Quadratic,
    Simplex,
    SquaredDistance,
    Zero,
)
from optlab.bregman.resolvents import resolvent
from optlab.bregman.resolvents.registry import prepared_resolvent
from optlab.composite.inclusion import MonotoneInclusion
from optlab.splitting import (
    BregmanADMM,
    BregmanDouglasRachford,
    CompositeProblem,
    Geometric,
    HalpernDouglasRachford,
    LinearlyConstrained,
)
from optlab.wrappers import Anderson, Averaged, Halpern

RNG = np.random.default_rng(3)
Q, W = RNG.uniform(0.1, 2.0, 6), RNG.uniform(0.5, 2.0, 6)
A, B = RNG.standard_normal((4, 6)), RNG.standard_normal(4)
TERMS = [
    Zero(),
    Linear(Q - 1.0),
    Box(0.2, 0.8),
    Box(-W, W),
    L1Norm(0.3),
    L1Norm(W),
    L1Norm(0.3) + Linear(Q),
    SquaredDistance(Q, W),
    KullbackLeibler(Q, W),
    Poisson(Q, W),
    ItakuraSaito(Q),
    NegativeEntropy(W),
    LeastSquares(A, B, 2.0),
    Quadratic(A.T @ A, Q),
    Simplex(),
    BregmanDistance(Q / 4.0, ShannonEntropy()),
]
KERNELS = [SquaredEuclidean(), ShannonEntropy(), FermiDirac(), PowerEntropy(3.0)]


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: type(kernel).__name__)
def test_prepared_resolvents_equal_the_checked_ones_bit_for_bit(kernel):
    prepared = 0
    for term in TERMS:
        ready = prepared_resolvent(term, kernel, (6,))
        if ready is None:
            continue
        prepared += 1
        for step_size in (0.1, 3.0, 0.1):
            mirror = RNG.standard_normal(6)
            mirror[0] = 0.0
            kept = mirror.copy()
            np.testing.assert_array_equal(ready(mirror, step_size), resolvent(term, kernel, mirror, step_size))
            np.testing.assert_array_equal(mirror, kept)
            single = mirror.astype(np.float32)
            assert ready(single, step_size).dtype == np.float32
    assert prepared >= 6


def composite(kernel):
    return CompositeProblem(L1Norm(0.3), SquaredDistance(Q), kernel)


METHODS = [
    BregmanDouglasRachford(0.7, 1.5),
    BregmanDouglasRachford(Geometric(0.2, 1.1, relative=True)),
    BregmanDouglasRachford(lambda k: 1.0 / (k + 1)),
    HalpernDouglasRachford(0.7),
    Halpern(BregmanDouglasRachford()),
    Anderson(BregmanDouglasRachford(0.7), memory=3),
    Averaged(BregmanDouglasRachford(0.7)),
]


@pytest.mark.parametrize("kernel", KERNELS[:2], ids=lambda kernel: type(kernel).__name__)
@pytest.mark.parametrize("method", METHODS, ids=lambda method: repr(method)[:40])
def test_a_prepared_method_makes_the_same_states(method, kernel):
    problem = composite(kernel)
    ready = method.prepare(problem)
    assert ready == method
    assert repr(ready) == repr(method)
    start = np.full(6, 0.5)
    one, two = method.init(problem, start, None), ready.init(problem, start, None)
    for _ in range(12):
        one, two = method.step(problem, one), ready.step(problem, two)
        np.testing.assert_equal(dataclasses.asdict(two), dataclasses.asdict(one))


def test_multipliers_are_prepared_too():
    u, v = SquaredDistance(np.ones(4)), SquaredDistance(np.zeros(2))
    M, N = RNG.standard_normal((3, 4)), RNG.standard_normal((3, 2))
    problem = LinearlyConstrained(u, v, M, N, np.ones(3), SquaredEuclidean())
    method = BregmanADMM(Geometric(0.5, 1.2))
    ready = method.prepare(problem)
    one, two = method.init(problem, None, None), ready.init(problem, None, None)
    for _ in range(5):
        one, two = method.step(problem, one), ready.step(problem, two)
        np.testing.assert_equal(dataclasses.asdict(two), dataclasses.asdict(one))


def test_solve_leaves_the_method_as_it_was_and_returns_it():
    method = BregmanDouglasRachford(0.7)
    before = copy.deepcopy(vars(method))
    result = optlab.solve(composite(SquaredEuclidean()), method, max_iter=5)
    assert result.method is method
    assert vars(method) == before


def test_a_resolvent_that_a_subclass_or_an_instance_brings_is_taken():
    class Counted(MonotoneInclusion):
        calls = 0

        def resolvent_A(self, mirror, step_size):
            type(self).calls += 1
            return super().resolvent_A(mirror, step_size)

    problem = Counted(Box(0.0, 1.0), SquaredDistance(Q), SquaredEuclidean())
    made = []
    plain = problem.resolvent_B
    problem.resolvent_B = lambda mirror, step_size: made.append(1) or plain(mirror, step_size)
    ready = BregmanDouglasRachford(1.0).prepare(problem)
    state = ready.init(problem, None, None)
    for _ in range(4):
        state = ready.step(problem, state)
    assert (Counted.calls, len(made)) == (4, 4)


def test_an_overflow_ends_as_diverged():
    problem = MonotoneInclusion(
        A=lambda mirror, step: 3.0 * mirror, B=lambda mirror, step: -3.0 * mirror, kernel=SquaredEuclidean(), shape=2
    )
    result = optlab.solve(problem, BregmanDouglasRachford(1.0), x0=np.ones(2), max_iter=3000)
    assert result.status is optlab.Status.DIVERGED
