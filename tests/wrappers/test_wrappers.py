"""Wrappers: what they do to any iteration, against the textbook form written out, and what they leave alone."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pytest
import scipy.sparse as sp

import optlab
from optlab.bregman import SquaredEuclidean
from optlab.bregman.functions import L1Norm, LeastSquares
from optlab.core import Method, State
from optlab.splitting import (
    AndersonDouglasRachford,
    BregmanADMM,
    BregmanDouglasRachford,
    CompositeProblem,
    HalpernDouglasRachford,
)
from optlab.stochastic import NGN, SAGA, SGD, LogisticRegression
from optlab.wrappers import Anderson, Averaged, Halpern, Lookahead, Restarted, has_variable


@dataclass
class Point(State):
    x: np.ndarray


@dataclass(frozen=True)
class Linear(Method):
    """x <- M x + c, a map whose iterates are known in closed form."""

    matrix: tuple = ((0.9, 0.2), (-0.2, 0.9))
    shift: tuple = (1.0, 0.0)

    def init(self, problem, x0, rng):
        return Point(0, np.array(x0, dtype=float))

    def step(self, problem, state):
        return Point(state.k + 1, self.map(state.x))

    def map(self, x):
        return np.array(self.matrix) @ x + np.array(self.shift)

    def iterate(self, problem, state):
        return state.x

    def variable(self, state):
        return state.x

    def with_variable(self, problem, state, value):
        return replace(state, x=value)


class Fixed:
    """The distance to the fixed point of `Linear`."""

    primary_metric = "distance"
    array_points = True
    solution = np.linalg.solve(np.eye(2) - np.array(Linear().matrix), np.array(Linear().shift))

    def default_start(self, rng):
        return np.array([3.0, -1.0])

    def measure(self, x):
        return {"distance": float(np.linalg.norm(x - self.solution))}


def states(method, n, problem=None):
    return list(itertools.islice(optlab.iterate(problem or Fixed(), method), n + 1))


def plain(n):
    return [state.x for state in states(Linear(), n)]


@pytest.mark.parametrize(
    ("weights", "weight"),
    [("uniform", lambda k: 1.0), ("linear", lambda k: k - 2.0), (lambda k: (k + 1.0) ** 2, lambda k: (k + 1.0) ** 2)],
)
def test_averages_are_those_of_the_plain_iterates(weights, weight):
    method, x = Averaged(Linear(), start=3, weights=weights), plain(12)
    for k, state in enumerate(states(method, 12)):
        counted = range(3, k)
        expected = sum(weight(j) * x[j] for j in counted) / sum(map(weight, counted)) if counted else x[k]
        np.testing.assert_allclose(method.iterate(Fixed(), state), expected, rtol=1e-13)
        np.testing.assert_array_equal(method.variable(state), x[k])


def test_averages_by_schedule_weigh_by_the_step_sizes():
    rng = np.random.default_rng(0)
    problem = CompositeProblem(
        L1Norm(0.3), LeastSquares(rng.normal(size=(8, 5)), rng.normal(size=8)), SquaredEuclidean()
    )
    inner = BregmanDouglasRachford(lambda k: 0.5 + 0.1 * k)
    run = states(inner, 6, problem)
    weights = [0.5 + 0.1 * k for k in range(6)]
    expected = sum(w * np.asarray(inner.iterate(problem, s)) for w, s in zip(weights, run)) / sum(weights)
    method = Averaged(inner, weights="schedule")
    np.testing.assert_allclose(method.iterate(problem, states(method, 6, problem)[-1]), expected, rtol=1e-13)


@pytest.mark.parametrize("weights", ["uniform", "linear"])
@pytest.mark.parametrize("inner", [NGN(), SAGA()])
def test_averages_inside_the_compiled_loop_are_those_outside(inner, weights):
    rng = np.random.default_rng(1)
    A = rng.standard_normal((40, 4))
    problem = LogisticRegression(A, np.sign(A[:, 0] + 0.1), l2=0.01)
    fused = optlab.solve(problem, Averaged(inner, 5, weights), max_iter=60, seed=3)
    x = [inner.iterate(problem, s) for s in itertools.islice(optlab.iterate(problem, inner, seed=3), 60)]
    w = np.array([1.0 if weights == "uniform" else k - 4.0 for k in range(5, 60)])
    np.testing.assert_allclose(fused.solution, w @ np.array(x[5:]) / w.sum(), rtol=1e-11)


def test_halpern_is_the_textbook_iteration():
    z0 = z = Fixed().default_start(None)
    for k, state in enumerate(states(Halpern(Linear()), 20)):
        np.testing.assert_allclose(state.inner.x, z, rtol=1e-13)
        z = z0 / (k + 2) + (k + 1) / (k + 2) * Linear().map(z)


def test_anderson_ends_an_affine_map_of_the_plane_in_three_evaluations():
    result = optlab.solve(Fixed(), Anderson(Linear()), tol=1e-10, record="all")
    assert result.success
    assert result.n_iter <= 5
    assert optlab.solve(Fixed(), Linear(), tol=1e-10, max_iter=200).n_iter > 100


def test_lookahead_goes_back_part_of_the_way():
    slow = z = Fixed().default_start(None)
    for k, state in enumerate(states(Lookahead(Linear(), 4, 0.3), 30)):
        np.testing.assert_allclose(state.inner.x, z, rtol=1e-12)
        z = Linear().map(z)
        if (k + 1) % 4 == 0:
            slow = z = slow + 0.3 * (z - slow)


def test_lookahead_all_the_way_is_the_method_itself():
    rng = np.random.default_rng(2)
    A = rng.standard_normal((30, 3))
    problem = LogisticRegression(A, np.sign(A[:, 0] + 0.1), l2=0.1)
    inner = SGD(0.05, momentum=0.9)
    a = optlab.solve(problem, inner, max_iter=50, seed=0, record=7)
    b = optlab.solve(problem, Lookahead(inner, 5, 1.0), max_iter=50, seed=0, record=7)
    assert a.history.equals(b.history)


def test_restarts_forget_the_anchor():
    period = 6
    z0 = z = Fixed().default_start(None)
    for k, state in enumerate(states(Restarted(Halpern(Linear()), period), 25)):
        np.testing.assert_allclose(state.inner.inner.x, z, rtol=1e-12)
        j = k % period
        z = z0 / (j + 2) + (j + 1) / (j + 2) * Linear().map(z)
        if j + 1 == period:
            z0 = z


def test_restarts_forget_momentum():
    rng = np.random.default_rng(2)
    A = rng.standard_normal((30, 3))
    problem = LogisticRegression(A, np.sign(A[:, 0] + 0.1), l2=0.1)
    inner = SGD(0.05, momentum=0.9, batch_size=30)  # the full gradient: nothing is drawn
    run = [state.inner for state in states(Restarted(inner, 5), 12, problem)]
    again = states(inner, 2, problem)[0]
    for k in (5, 10):
        afresh = inner.step(problem, inner.with_variable(problem, again, inner.variable(run[k])))
        np.testing.assert_array_equal(run[k + 1].x, afresh.x)
    unbroken = [state.x for state in states(inner, 12, problem)]
    np.testing.assert_array_equal(run[5].x, unbroken[5])
    assert not np.allclose(run[6].x, unbroken[6])


@pytest.mark.parametrize("intercept", [False, True])
def test_an_average_survives_that_another_point_is_put_in(intercept):
    # on sparse data with a ridge term a part of the sum is a multiple of x, kept for later
    rng = np.random.default_rng(3)
    A = sp.random_array((50, 8), density=0.3, rng=rng, format="csr")
    problem = LogisticRegression(A, np.where(rng.random(50) < 0.5, -1.0, 1.0), l2=0.05, intercept=intercept)
    method = Averaged(NGN())
    state = method.advance(problem, method.init(problem, np.zeros(problem.shape), rng), 40)
    moved = method.with_variable(problem, state, method.variable(state) + 1.0)
    np.testing.assert_allclose(method.iterate(problem, moved), method.iterate(problem, state), rtol=1e-12)
    np.testing.assert_allclose(method.variable(moved), method.variable(state) + 1.0, rtol=1e-12)


def test_restarts_come_when_the_residual_rises():
    turning = Linear(matrix=((0.0, -1.02), (1.02, 0.0)), shift=(0.0, 0.0))  # every displacement longer than the last
    assert states(Restarted(turning), 21)[-1].restarts == 10  # the first of two has none to be compared with
    assert states(Restarted(Linear()), 21)[-1].restarts == 0


def test_named_methods_are_the_wrappers():
    rng = np.random.default_rng(0)
    problem = CompositeProblem(
        L1Norm(0.3), LeastSquares(rng.normal(size=(8, 5)), rng.normal(size=8)), SquaredEuclidean()
    )
    for named, wrapped in (
        (HalpernDouglasRachford(0.4, 1.5, restart=None), Halpern(BregmanDouglasRachford(0.4, 1.5))),
        (AndersonDouglasRachford(0.4), Anderson(BregmanDouglasRachford(0.4))),
    ):
        a, b = (optlab.solve(problem, method, max_iter=60, record=5) for method in (named, wrapped))
        assert a.history.equals(b.history)


def test_wrappers_of_wrappers():
    method = Averaged(Lookahead(Halpern(Linear()), 3), start=2)
    optlab.check_method(method, Fixed())
    assert repr(method).startswith("Averaged(method=Lookahead(method=Halpern(method=Linear(")
    assert has_variable(method)


def test_what_cannot_be_wrapped_is_said():
    @dataclass(frozen=True)
    class Hidden(Method):
        """A method that names no variable."""

    for wrapper in (Halpern, Anderson, Lookahead, Restarted):
        with pytest.raises(TypeError, match=r"must have a variable .* Hidden has none"):
            wrapper(Hidden())
        with pytest.raises(TypeError, match=r"must be an instance: write Linear\(\.\.\.\)"):
            wrapper(Linear)
        with pytest.raises(TypeError, match="must derive from"):
            wrapper("NGN")
    with pytest.raises(optlab.IncompatibleError, match=r"BregmanADMM|Averaged"):
        optlab.solve(Fixed(), Averaged(BregmanADMM()))
    with pytest.raises(ValueError, match="did you mean 'uniform'"):
        Averaged(Linear(), weights="unifrom")
