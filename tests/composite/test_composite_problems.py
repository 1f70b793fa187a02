"""Problems of several terms: how they are put together, what they offer, how good a point is."""

import pickle
from dataclasses import dataclass

import numpy as np
import pytest

import optlab
from optlab.bregman import ShannonEntropy, SquaredEuclidean
from optlab.bregman.functions import (
    AffineSet,
    Box,
    KullbackLeibler,
    L1Norm,
    LeastSquares,
    Linear,
    Logistic,
    Quadratic,
    Simplex,
    SquaredDistance,
    Zero,
)
from optlab.composite import CompositeProblem, TermPoint, Work, WorkState
from optlab.core import Method
from optlab.core.contract.slots import Slot, assign
from optlab.linalg import FiniteDifferences
from optlab.splitting import BregmanDouglasRachford
from optlab.splitting import CompositeProblem as FromSplitting

rng = np.random.default_rng(0)
A, b = rng.standard_normal((20, 9)), rng.standard_normal(20)
loss, norm, variation = LeastSquares(A, b), 2.0 * L1Norm(), 0.5 * L1Norm() @ FiniteDifferences(9)


@dataclass
class DescentState(WorkState):
    x: np.ndarray
    before: np.ndarray
    slope: np.ndarray


@dataclass(frozen=True)
class Descent(Method):
    """Proximal gradient descent, for these tests."""

    requires = ("split",)
    slots = (Slot("f", ("gradient", "lipschitz")), Slot("g", ("proximal",), at_most=1))

    def init(self, problem, x0, rng):
        return DescentState(0, Work(), x0, x0, np.zeros_like(x0))

    def step(self, problem, state):
        split = problem.split(self.slots)
        oracles, t = split.counted(), 1 / split.f.lipschitz
        slope = oracles.gradient(state.x)
        x = oracles.proximal(state.x - t * slope, t)
        return DescentState(state.k + 1, state.work + oracles.work, x, state.x, slope)

    def iterate(self, problem, state):
        split = problem.split(self.slots)
        if state.k == 0:
            return split.point(state.x)
        s = split.f.lipschitz * (state.before - state.x) - state.slope
        return split.point(state.x, gradients_at=state.before, g=(state.x, s))

    def measure(self, problem, state):
        return state.work.columns()


def test_it_is_one_class_wherever_it_is_imported_from():
    assert FromSplitting is CompositeProblem


def test_two_terms_with_a_positional_kernel_are_as_before():
    problem = CompositeProblem(norm, loss, SquaredEuclidean())
    assert problem.primary_metric == "residual"
    assert set(problem.measure(np.zeros(9))) == {"residual", "primal_residual", "dual_residual", "objective"}
    assert problem.f is norm
    assert problem.g is loss


def test_terms_sums_and_multiples():
    problem = CompositeProblem(loss + norm + variation, 3.0 * SquaredDistance(np.ones(9)))
    assert [term.name for term in problem.terms] == [
        "LeastSquares",
        "L1Norm",
        "L1Norm @ FiniteDifferences",
        "SquaredDistance",
    ]
    kept = CompositeProblem(norm + Linear(np.ones(9)), loss)
    assert [term.name for term in kept.terms] == ["L1Norm + Linear", "LeastSquares"]
    twice = CompositeProblem(L1Norm(), 2.0 * L1Norm(), loss)
    assert [term.name for term in twice.terms] == ["L1Norm #1", "L1Norm #2", "LeastSquares"]


def test_values_are_the_sum_of_the_terms():
    problem = CompositeProblem(loss, norm, variation)
    x = rng.standard_normal(9)
    expected = 0.5 * np.sum((A @ x - b) ** 2) + 2 * np.sum(np.abs(x)) + 0.5 * np.sum(np.abs(np.diff(x)))
    assert problem.objective(x) == pytest.approx(expected, rel=1e-14)
    assert problem.measure(x)["objective"] == pytest.approx(expected, rel=1e-14)


def test_the_certified_gap_closes_and_bounds_the_error():
    problem = CompositeProblem(loss, norm)
    best = optlab.solve(problem, Descent(), tol=1e-12, max_iter=10_000).metrics["objective"]
    assert problem.has_gap
    result = optlab.solve(problem, Descent(), max_iter=300, record="all")
    error = result.history["objective"] - best
    assert np.all(result.history["gap"] >= error - 1e-12)
    assert np.all(result.history["dual_value"] <= best + 1e-12)
    assert result.metrics["gap"] < 1e-6


def test_work_is_counted_in_columns():
    result = optlab.solve(CompositeProblem(loss, norm), Descent(), max_iter=7)
    counted = [result.metrics[name] for name in ("values", "gradients", "proximals", "linear_minimizers", "matvecs")]
    assert counted == [0, 7, 7, 0, 14]
    assert result.history["oracle_calls"][-1] == 14


def test_a_method_keeps_the_contract():
    optlab.check_method(Descent(), CompositeProblem(loss, norm))
    optlab.check_problem(CompositeProblem(loss, norm, variation))


def test_a_method_that_would_ignore_a_term_is_refused():
    problem = CompositeProblem(loss, norm, variation)
    with pytest.raises(
        optlab.IncompatibleError, match=r"Descent takes.*'L1Norm @ FiniteDifferences'.*would be ignored"
    ):
        optlab.solve(problem, Descent())
    with pytest.raises(optlab.IncompatibleError, match=r"at most one term with proximal"):
        optlab.solve(CompositeProblem(loss, norm, Box(0.0)), Descent())
    with pytest.raises(optlab.IncompatibleError, match=r"does not offer initial_mirror"):
        optlab.solve(problem, BregmanDouglasRachford())
    assert "BregmanDouglasRachford" not in optlab.applicable(problem).running
    assert "BregmanDouglasRachford" in optlab.applicable(CompositeProblem(loss, norm)).running


def test_a_third_term_hidden_in_the_objective_is_refused_by_split_too():
    class Hidden(CompositeProblem):
        def objective(self, x):
            return super().objective(x) + float(np.sum(x))

    with pytest.raises(TypeError, match="a third one would be ignored"):
        optlab.solve(Hidden(loss, norm, SquaredEuclidean()), Descent())


def test_slots_are_assigned_by_looking_ahead():
    problem = CompositeProblem(SquaredDistance(np.ones(9)), loss, norm)
    slots = (Slot("g", ("proximal",), at_most=1), Slot("f", ("gradient",)))
    placed = assign(problem.terms, slots)
    assert [term.name for term in placed["g"]] == ["L1Norm"]
    assert [term.name for term in placed["f"]] == ["SquaredDistance", "LeastSquares"]
    wanted = (Slot("f", ("gradient",)), Slot("g", ("proximal",), at_least=2))
    assert [term.name for term in assign(problem.terms, wanted)["f"]] == ["SquaredDistance"]
    assert "takes" in assign(problem.terms, (Slot("f", ("gradient",)),))


def test_a_split_is_made_once_and_does_not_change_the_problem():
    problem = CompositeProblem(loss, norm)
    assert problem.split(Descent.slots) is problem.split(Descent.slots)
    assert pickle.loads(pickle.dumps(problem)).measure(np.ones(9)) == problem.measure(np.ones(9))


def test_douglas_rachford_on_a_problem_with_certificates():
    problem = CompositeProblem(norm, loss)
    result = optlab.solve(problem, BregmanDouglasRachford(0.1), tol=1e-10)
    assert result.success
    assert isinstance(result.solution, TermPoint)
    more = optlab.solve(problem, BregmanDouglasRachford(0.1), x0=result, max_iter=1)
    assert more.metrics["objective"] == pytest.approx(result.metrics["objective"], abs=1e-9)
    optlab.check_method(BregmanDouglasRachford(0.1), problem)


PROBLEMS = {
    "lasso": CompositeProblem(loss, norm),
    "intercept": CompositeProblem(loss, L1Norm(np.r_[0.0, 0.0, np.ones(7)])),
    "logistic": CompositeProblem(Logistic(A, np.sign(b)), 0.3 * L1Norm()),
    "box": CompositeProblem(loss, Box(-0.1, 0.2)),
    "simplex": CompositeProblem(loss, Simplex()),
    "basis pursuit": CompositeProblem(L1Norm(), AffineSet(A[:4], b[:4])),
    "distance": CompositeProblem(SquaredDistance(b), Box(0.0)),
    "entropy": CompositeProblem(Simplex(), KullbackLeibler(np.arange(1.0, 6.0)), kernel=ShannonEntropy(), shape=5),
    "quadratic": CompositeProblem(Quadratic(A.T @ A, A.T @ np.ones(20)), norm),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_gaps_close_on(name):
    problem = PROBLEMS[name]
    if name in ("quadratic",):
        assert not problem.has_gap or problem.primary_metric == "gap"
    else:
        assert problem.has_gap, name
    result = optlab.solve(problem, BregmanDouglasRachford(0.3), tol=1e-8, max_iter=20_000)
    assert result.success
    start = problem.measure(problem.default_start(np.random.default_rng(0)))
    assert set(start) <= set(result.metrics)
    if problem.has_gap:
        assert start["gap"] >= start["objective"] - result.metrics["objective"] - 1e-8


def test_zero_times_a_function():
    assert isinstance(0.0 * norm, Zero)
    box = Box(0.0)
    assert (0.0 * box) is box
    with pytest.raises(ValueError, match="would drop its domain"):
        0.0 * KullbackLeibler(1.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CompositeProblem(), "at least one term"),
        (lambda: CompositeProblem(loss, norm, variation, 3), "kernel must be a Legendre function"),
        (lambda: CompositeProblem(loss, 3, norm), r"terms\[1\] must have value"),
        (lambda: CompositeProblem(loss, norm, kernel=norm), "kernel must be a Legendre function"),
        (lambda: CompositeProblem(loss, SquaredDistance(np.ones(4))), "takes arrays of shape"),
        (lambda: CompositeProblem(loss, norm, variation, dual_bound=abs), "problems of two terms"),
        (lambda: CompositeProblem(norm, norm), "shape must be given"),
        (lambda: norm @ "A", "must be a matrix"),
        (lambda: SquaredDistance(np.ones(3)) @ A, "takes arrays of shape"),
        (lambda: -1.0 * norm, "factor must be a number at least 0"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()
