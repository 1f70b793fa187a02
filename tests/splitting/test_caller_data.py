"""A caller's data are never written to, nor handed out writable, by any term, kernel or splitting problem."""

import inspect

import numpy as np
import pytest

import optlab
from optlab.bregman import FermiDirac, Hellinger, Legendre, Mahalanobis, SquaredEuclidean, functions
from optlab.splitting import BregmanADMM, BregmanDouglasRachford, CompositeProblem, LinearlyConstrained
from optlab.splitting import problems as ready

V = np.array([0.5, 1.5, 2.0])
M = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.25], [0.0, 0.25, 3.0]])
X = np.array([0.2, 0.3, 0.5])


def copies(*arrays):
    return [array.copy() for array in arrays]


CASES = {
    "BlockSum": lambda v, m: functions.BlockSum((functions.Linear(v), functions.Box(0.0, v)), (3, 3)),
    "Sum": lambda v, m: functions.Linear(v) + functions.SquaredDistance(v),
    "Linear": lambda v, m: functions.Linear(v),
    "L1Norm": lambda v, m: functions.L1Norm(v),
    "SquaredDistance": lambda v, m: functions.SquaredDistance(v, v),
    "NegativeEntropy": lambda v, m: functions.NegativeEntropy(v),
    "KullbackLeibler": lambda v, m: functions.KullbackLeibler(v, v),
    "ItakuraSaito": lambda v, m: functions.ItakuraSaito(v, v),
    "Poisson": lambda v, m: functions.Poisson(v, v),
    "BregmanDistance": lambda v, m: functions.BregmanDistance(v, SquaredEuclidean()),
    "Box": lambda v, m: functions.Box(-v, v),
    "CappedSimplex": lambda v, m: functions.CappedSimplex(v),
    "Hyperplane": lambda v, m: functions.Hyperplane(v, 1.0),
    "AffineSet": lambda v, m: functions.AffineSet(m, v),
    "Quadratic": lambda v, m: functions.Quadratic(m, v),
    "LeastSquares": lambda v, m: functions.LeastSquares(m, v),
    "Logistic": lambda v, m: functions.Logistic(m, np.sign(v)),
    "Composed": lambda v, m: functions.SquaredDistance(v) @ m,
    "Scaled": lambda v, m: functions.Scaled(functions.RowMarginal(v), 2.0),
    "SkewGame": lambda v, m: functions.SkewGame(m),
    "RowMarginal": lambda v, m: functions.RowMarginal(v),
    "ColumnMarginal": lambda v, m: functions.ColumnMarginal(v),
    "FermiDirac": lambda v, m: FermiDirac(-v, v),
    "Hellinger": lambda v, m: Hellinger(1.0),
    "Mahalanobis": lambda v, m: Mahalanobis(m),
    "PoissonOnSimplex": lambda v, m: ready.PoissonOnSimplex(v, v),
    "ItakuraSaitoOnSimplex": lambda v, m: ready.ItakuraSaitoOnSimplex(v, v),
    "SimplexProjection": lambda v, m: ready.SimplexProjection(v),
    "KullbackLeiblerOnCappedSimplex": lambda v, m: ready.KullbackLeiblerOnCappedSimplex(v, v, v),
    "CappedSimplexProgram": lambda v, m: ready.CappedSimplexProgram(v, v),
    "BoxQuadraticWithEquality": lambda v, m: ready.BoxQuadraticWithEquality(v, v, 1.0),
    "BoxLeastSquares": lambda v, m: ready.BoxLeastSquares(m, v),
    "MatrixGame": lambda v, m: ready.MatrixGame(m),
    "Lasso": lambda v, m: ready.Lasso(m, v, 0.1, reference=v),
    "SparseLogisticRegression": lambda v, m: ready.SparseLogisticRegression(m, np.sign(v - 1), 0.1),
    "ConvexFeasibility": lambda v, m: ready.ConvexFeasibility([functions.Box(0.0, v), functions.Hyperplane(v, 1.0)]),
    "InequalityLeastSquares": lambda v, m: ready.InequalityLeastSquares(m, v, m, v),
    "HingePenaltyLeastSquares": lambda v, m: ready.HingePenaltyLeastSquares(m, v, m, v),
    "AbsolutePenaltyLeastSquares": lambda v, m: ready.AbsolutePenaltyLeastSquares(m, v, m, v),
}
#: Without arrays of the caller's: numbers, callables, operators.
BARE = {"Zero", "Simplex", "Function", "MonotoneOperator", "SmoothFunction"}
BARE |= {"PoissonDeblurring"}


def test_every_public_class_is_walked():
    public = {
        name for module in (functions, ready) for name in module.__all__ if inspect.isclass(getattr(module, name, None))
    }
    assert public - BARE - set(CASES) == set()


def arrays_of(item, depth=0):
    """Every array that an object shows: attributes, properties, what is inside tuples and terms."""
    if isinstance(item, np.ndarray):
        yield item
    elif isinstance(item, (tuple, list)):
        for part in item:
            yield from arrays_of(part, depth)
    elif (depth < 3 and isinstance(item, (functions.MonotoneOperator, Legendre))) or depth == 0:
        for name in dir(item):
            if name.startswith("__"):
                continue
            try:
                part = getattr(item, name)
            except (TypeError, NotImplementedError):
                continue
            if not callable(part) or isinstance(part, functions.MonotoneOperator):
                yield from arrays_of(part, depth + 1)


def results_of(item):
    """What the oracles of a term return."""
    for name in ("gradient", "operator_value", "second_derivative", "hessian", "support", "recession"):
        oracle = getattr(item, name, None)
        if callable(oracle):
            for point in (X.copy(), np.outer(X, X), np.tile(X, 2)):
                try:
                    yield from arrays_of(tuple(np.atleast_1d(p) for p in [oracle(point)] if isinstance(p, np.ndarray)))
                except (TypeError, ValueError, NotImplementedError):
                    continue


@pytest.mark.parametrize("name", CASES)
def test_nothing_that_is_handed_out_can_change_the_callers_data(name):
    v, m = copies(V, M)
    item = CASES[name](v, m)
    given = (v, m)
    for array in [*arrays_of(item), *results_of(item)]:
        if any(np.shares_memory(array, mine) for mine in given):
            assert not array.flags.writeable, name
    np.testing.assert_array_equal(v, V)
    np.testing.assert_array_equal(m, M)
    assert v.flags.writeable
    assert m.flags.writeable


@pytest.mark.parametrize("name", [name for name in CASES if hasattr(ready, name)])
def test_a_run_leaves_the_callers_data_as_they_were(name):
    v, m = copies(V, M)
    problem = CASES[name](v, m)
    method = BregmanADMM() if hasattr(problem, "initial_blocks") else BregmanDouglasRachford()
    x0 = problem.default_start(np.random.default_rng(0))
    kept = np.array(x0)
    result = optlab.solve(problem, method, x0=x0, max_iter=20)
    np.testing.assert_array_equal(v, V)
    np.testing.assert_array_equal(m, M)
    np.testing.assert_array_equal(x0, kept)
    assert all(np.isfinite(value) for value in result.metrics.values())


def test_starts_of_the_caller_are_not_handed_out_writable():
    start, b = np.zeros(3), V.copy()
    f = functions.SquaredDistance(V)
    problem = LinearlyConstrained(f, None, None, None, b, SquaredEuclidean(), u_start=start, reference=start)
    for array in (problem.u_start, problem.b, problem.reference, problem.offset(), problem.initial_blocks(None)[1]):
        assert not array.flags.writeable
    reference = V.copy()
    composite = CompositeProblem(functions.L1Norm(), f, SquaredEuclidean(), reference=reference)
    assert not composite.reference.flags.writeable
    assert reference.flags.writeable
