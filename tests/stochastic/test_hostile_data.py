"""Data that would crash or mislead: malformed matrices, missing labels; and that nothing writes to the caller's."""

import numpy as np
import pytest
import scipy.sparse as sp

import optlab
from optlab.stochastic import (
    NGN,
    SAGA,
    Averaged,
    LeastSquares,
    LogisticRegression,
    MatrixFactorization,
    NeuralNetwork,
    NGNClassifier,
    NGNRegressor,
    PhaseRetrieval,
    SigmoidLeastSquares,
    SoftmaxRegression,
)
from optlab.stochastic.kernels.oracles import OracleData

RNG = np.random.default_rng(0)
A = RNG.standard_normal((12, 3))
SIGNS = np.where(RNG.random(12) < 0.5, 1.0, -1.0)


def csr(change, format="csr"):
    matrix = sp.csr_matrix(A).asformat(format)
    change(matrix)
    return matrix


def put(name, at, value):
    return lambda matrix: getattr(matrix, name).__setitem__(at, value)


def cut(name):
    return lambda matrix: setattr(matrix, name, getattr(matrix, name)[:-1])


MALFORMED = [
    (put("indices", 1, 7), "csr", r"column index 7 \(entry 1\) is not in 0 ... 2"),
    (put("indices", 1, -1), "csr", r"column index -1 \(entry 1\) is not in 0 ... 2"),
    (put("indices", 1, 10**8), "csr", "column index 100000000"),
    (put("indices", 1, 12), "csc", r"row index 12 \(entry 1\) is not in 0 ... 11"),
    (put("indptr", 2, 1000), "csr", "indptr falls from 1000 to 9 at entry 2"),
    (put("indptr", -1, 1000), "csr", "indptr ends at 1000, there are 36 indices and 36 values"),
    (put("indptr", 0, 1), "csr", "indptr must have 13 entries from 0 on, got 13 from 1 on"),
    (cut("indptr"), "csr", "indptr must have 13 entries from 0 on, got 12"),
    (cut("indices"), "csr", "indptr ends at 36, there are 35 indices and 36 values"),
    (cut("data"), "csr", "indptr ends at 36, there are 36 indices and 35 values"),
    (put("row", 3, 12), "coo", r"row index 12 \(entry 3\) is not in 0 ... 11"),
    (put("col", 3, -2), "coo", r"column index -2 \(entry 3\) is not in 0 ... 2"),
    (put("indices", 0, 9), "bsr", "column index 9"),
]


@pytest.mark.parametrize(("change", "format", "message"), MALFORMED)
def test_malformed_sparse_matrices_never_reach_a_kernel(change, format, message):
    matrix = csr(change, format)
    model = NGNClassifier(random_state=0, tol=None, max_iter=1).fit(A, SIGNS)
    for call in (
        lambda: LeastSquares(matrix, SIGNS),
        lambda: LogisticRegression(matrix, SIGNS, intercept=True),
        lambda: SoftmaxRegression(matrix, SIGNS),
        lambda: SigmoidLeastSquares(matrix, SIGNS > 0),
        lambda: MatrixFactorization(matrix, rank=1),
        lambda: NGNClassifier().fit(matrix, SIGNS),
        lambda: NGNRegressor().partial_fit(matrix, SIGNS),
        lambda: model.predict(matrix),
        lambda: NGNRegressor(tol=None, max_iter=1).fit(A, SIGNS).predict(matrix),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    if format == "csr":
        with pytest.raises(ValueError, match="sparse is malformed"):
            OracleData.make(np.float64, sparse=matrix)


def test_sparse_matrices_with_room_to_spare_are_fine():
    matrix = sp.csr_matrix(A)
    matrix.data, matrix.indices = np.append(matrix.data, 1.0), np.append(matrix.indices, 0)  # more than indptr says
    problem = LeastSquares(matrix, SIGNS, 0.1)
    assert problem.f_star == pytest.approx(LeastSquares(A, SIGNS, 0.1).f_star)


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (
            np.array([None] + ["a", "b"] * 5 + ["a"], object),
            ValueError,
            r"y must not be missing, got None at index \[0\]",
        ),
        (np.array(["a", float("nan")] * 6, object), ValueError, r"y must not be missing, got nan at index \[1\]"),
        (np.array([1, "a"] * 6, object), TypeError, "labels of one kind, which can be sorted, got int and str"),
        ([[1, 2], [1]] * 6, ValueError, "one label per sample"),
        (SIGNS[:, None] * [1, 1], ValueError, "must have 1 dimension"),
        (3, ValueError, "must have 1 dimension"),
        (None, ValueError, "must have 1 dimension"),
    ],
)
def test_labels_that_are_none(labels, error, message):
    for cls in (LogisticRegression, SoftmaxRegression, NeuralNetwork):
        with pytest.raises(error, match=message):
            cls(A, labels)


def test_missing_values_of_pandas():
    pd = pytest.importorskip("pandas")
    labels = pd.Series(["a", "b", pd.NA] * 4, dtype="string")
    for cls in (LogisticRegression, SoftmaxRegression):
        with pytest.raises(ValueError, match=r"y must not be missing, got <NA> at index \[2\]"):
            cls(A, labels)


@pytest.mark.parametrize("wrap", [np.array, sp.csr_matrix])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_callers_data_are_neither_written_nor_handed_out_writable(wrap, dtype):
    data, targets = wrap(A.astype(dtype)), np.abs(SIGNS).astype(dtype) * SIGNS.astype(dtype)
    positive = np.abs(targets)
    arrays = [data.data, data.indices, data.indptr] if sp.issparse(data) else [data]
    arrays += [targets, positive]
    before = [a.copy() for a in arrays]
    problems = [
        LeastSquares(data, targets, 0.1),
        LogisticRegression(data, targets, 0.1, intercept=True),
        SoftmaxRegression(data, targets, 0.1),
        MatrixFactorization(data, 1),
    ]
    if not sp.issparse(data):
        problems += [PhaseRetrieval(data, positive), NeuralNetwork(data, targets, hidden=(2,))]
    for problem in problems:
        for value in [*vars(problem).values(), *problem.oracle_data]:
            parts = [value.data, value.indices, value.indptr] if sp.issparse(value) else [value]
            for part in parts:
                if isinstance(part, np.ndarray) and any(np.shares_memory(part, a) for a in arrays):
                    assert not part.flags.writeable, type(problem)
        for method in (NGN(0.1), Averaged(NGN(0.1, momentum=0.5)), SAGA(0.01)):
            start = np.ones(problem.shape)
            result = optlab.solve(problem, method, x0=start, max_iter=30, seed=0)
            assert np.all(start == 1)
            kept = method.iterate(problem, result.state).copy()
            result.solution[...] = np.nan  # the caller's own from here on
            np.testing.assert_array_equal(method.iterate(problem, result.state), kept)
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.flags.writeable
