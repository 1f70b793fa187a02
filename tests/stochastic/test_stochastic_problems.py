"""Losses, gradients, constants, certificates of the stochastic problems, and what they say about bad data."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import optlab
from optlab.stochastic import (
    NGN,
    SGD,
    FiniteSum,
    LeastSquares,
    LogisticRegression,
    MatrixFactorization,
    NeuralNetwork,
    NonlinearLeastSquares,
    PhaseRetrieval,
    SigmoidLeastSquares,
    SoftmaxRegression,
    TanhLeastSquares,
)
from optlab.stochastic.kernels.losses import loss_and_derivative, scalar_loss
from optlab.stochastic.problems.softmax import cross_entropy, losses_and_slopes

RNG = np.random.default_rng(0)
A = RNG.standard_normal((40, 5)) / 2
NOISY = A @ RNG.standard_normal(5) + RNG.standard_normal(40)
SIGNS = np.where(NOISY > 0, 1.0, -1.0)
LABELS = RNG.integers(0, 3, 40)

PROBLEMS = {
    "least squares": LeastSquares(A, NOISY, l2=0.1),
    "sparse least squares": LeastSquares(sp.csr_matrix(A * (A > 0)), NOISY, l2=0.1),
    "logistic": LogisticRegression(A, SIGNS, l2=0.1),
    "sigmoid": SigmoidLeastSquares(A, (SIGNS + 1) / 2),
    "tanh": TanhLeastSquares(A, SIGNS, l2=0.1),
    "softmax": SoftmaxRegression(A, LABELS, l2=0.1),
    "factorization": MatrixFactorization(RNG.standard_normal((5, 4)), rank=2),
    "phase": PhaseRetrieval(A, NOISY**2),
    "network": NeuralNetwork(A, LABELS, hidden=(4,), activation="tanh", l2=0.1),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_gradients_match_finite_differences_and_each_other(name):
    problem = PROBLEMS[name]
    assert problem.check_gradient() < 1e-6
    x = problem.default_start(RNG) + 0.3 * np.random.default_rng(1).standard_normal(problem.shape)
    value, gradient = problem.objective_and_gradient(x)
    rows = np.arange(problem.n_samples)
    assert value == pytest.approx(problem.losses(x, rows).mean(), rel=1e-12)
    np.testing.assert_allclose(problem.gradients(x).mean(0), gradient, atol=1e-12)
    np.testing.assert_allclose(problem.gradient(x, rows), gradient, atol=1e-12)
    assert problem.measure(x)["gradient_norm"] == pytest.approx(np.linalg.norm(gradient), rel=1e-10)
    part = problem.subset([3, 1])
    np.testing.assert_allclose(part.objective_and_gradient(x)[1], problem.gradient(x, np.array([3, 1])))


def test_a_wrong_gradient_is_found_and_the_sample_named():
    def jacobian(x, rows):
        J = np.array(A[rows])
        J[rows == 7] *= 1.01
        return J

    problem = NonlinearLeastSquares(lambda x, rows: A[rows] @ x - NOISY[rows], jacobian, 40, 5)
    with pytest.raises(ValueError, match="gradient of sample 7 does not match its loss"):
        problem.check_gradient(rows=np.arange(40))
    with pytest.raises(ValueError, match="does not match its loss"):
        NonlinearLeastSquares(
            lambda x, rows: A[rows] @ x, lambda x, rows: -A[rows], n_samples=40, shape=5, check_gradient=True
        )


@pytest.mark.parametrize("code", range(4))
@given(z=st.floats(-1e3, 1e3), positive=st.booleans())
@settings(deadline=None, derandomize=True, max_examples=60)
def test_scalar_losses_agree_and_obey_their_constants(code, z, positive):
    from optlab.stochastic.kernels.losses import SELF_BOUNDING

    t = 1.0 if positive else (0.0 if code == 2 else -1.0)
    f, slope = scalar_loss(code, z, t)
    value, derivative = loss_and_derivative(code, np.array([z]), np.array([t]))
    assert (f, slope) == pytest.approx((value[0], derivative[0]), rel=1e-14, abs=0)
    assert f >= 0
    assert slope**2 <= 2 * SELF_BOUNDING[code] * f * (1 + 1e-5)
    if abs(z) < 150:
        assert f > 0 or z == t == 0 or code == 0  # never frozen by rounding


@pytest.mark.parametrize("name", ["least squares", "sparse least squares", "logistic", "sigmoid", "tanh", "softmax"])
def test_smoothness_constants_hold(name):
    problem = PROBLEMS[name]
    rng = np.random.default_rng(2)
    for scale in (0.1, 1.0, 5.0):
        x = scale * rng.standard_normal(problem.shape)
        y = x + 0.01 * rng.standard_normal(problem.shape)
        change = (problem.gradients(x) - problem.gradients(y)).reshape(problem.n_samples, -1)
        assert np.all(np.linalg.norm(change, axis=1) <= problem.smoothness * np.linalg.norm(x - y) * (1 + 1e-6))
        g = problem.gradients(x).reshape(problem.n_samples, -1)
        assert np.all((g**2).sum(1) <= 2 * problem.self_bounding * problem.losses(x, problem.all_rows) * (1 + 1e-4))


@given(st.lists(st.floats(-800, 800), min_size=2, max_size=5), st.integers(0, 4))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_cross_entropy_is_stable(scores, label):
    label %= len(scores)
    z = np.array(scores)
    value, slopes = losses_and_slopes(z[None], np.array([label]))
    slope = z.copy()
    loss = cross_entropy(slope, label)
    assert loss == pytest.approx(value[0], rel=1e-13, abs=0)
    np.testing.assert_allclose(slope, slopes[0], rtol=1e-13)
    others = np.delete(z, label)
    from scipy.special import logsumexp

    assert loss == pytest.approx(np.logaddexp(0, logsumexp(others) - z[label]), rel=1e-9, abs=1e-300)


@pytest.mark.delicate
@pytest.mark.parametrize("l2", [0.0, 1e-3])
@pytest.mark.parametrize("wrap", [np.asarray, sp.csr_matrix])
def test_gaps_are_certificates_and_tight(l2, wrap):
    from scipy.optimize import minimize

    for problem in (
        LeastSquares(wrap(A), NOISY, l2),
        LogisticRegression(wrap(A), SIGNS, l2),
        SoftmaxRegression(wrap(A), LABELS, l2),
    ):
        assert problem.primary_metric == "gap"
        best = minimize(
            lambda w, p=problem: tuple(np.ravel(v) for v in p.objective_and_gradient(w.reshape(p.shape))),
            np.zeros(problem.size),
            jac=True,
            method="BFGS",
            options={"gtol": 1e-9},
        )
        value = float(np.squeeze(best.fun))
        assert problem.f_star <= value + 1e-14
        assert value - problem.f_star < 1e-9, problem
        x = 0.5 * np.random.default_rng(1).standard_normal(problem.shape)
        row = problem.measure(x)
        assert row["gap"] == pytest.approx(row["objective"] - problem.f_star)
        if l2:
            assert row["duality_gap"] >= row["gap"]


def test_the_certified_duality_gap_is_that_of_a_dual_feasible_point():
    problem = PROBLEMS["logistic"]
    x = np.random.default_rng(3).standard_normal(5)
    p = 1 / (1 + np.exp(SIGNS * (A @ x)))  # dual variables in (0, 1)
    entropy = -np.mean(p * np.log(p) + (1 - p) * np.log1p(-p))
    dual = entropy - np.sum((A.T @ (SIGNS * p) / 40) ** 2) / (2 * problem.l2)
    row = problem.measure(x)
    assert row["duality_gap"] == pytest.approx(row["objective"] - dual, rel=1e-10)


def test_separable_data_have_infimum_zero():
    signs = np.where(A[:, 0] > 0, 1, -1)
    assert LogisticRegression(A, signs).f_star == 0.0
    assert SoftmaxRegression(A, signs).f_star == 0.0


def test_the_minimum_is_computed_only_where_cheap_or_asked_for():
    big = sp.random(3000, 4000, density=1e-3, random_state=0, format="csr")
    y = np.where(np.arange(3000) % 2, 1.0, -1.0)
    problem = LogisticRegression(big, y, l2=1e-3)
    assert problem.primary_metric == "duality_gap"
    assert "gap" not in problem.measure(np.zeros(4000))
    assert LogisticRegression(big, y).primary_metric == "objective"
    asked = LogisticRegression(big, y, l2=1e-2, f_star="compute")
    result = optlab.solve(asked, NGN(sigma=10.0, batch_size=3000), tol=1e-9, max_iter=3000)
    assert result.success
    assert result.metrics["duality_gap"] < 1e-6
    assert LogisticRegression(A, SIGNS, f_star=None).f_star is None
    with pytest.raises(ValueError, match="f_star must be"):
        LogisticRegression(A, SIGNS, f_star="best")


def test_float32_is_kept_everywhere():
    small = A.astype(np.float32)
    for problem in (
        LeastSquares(small, NOISY, 0.1),
        LogisticRegression(sp.csr_matrix(small), SIGNS, 0.1),
        SoftmaxRegression(small, LABELS),
        NeuralNetwork(small, LABELS, hidden=(3,)),
        PhaseRetrieval(small, NOISY**2),
        MatrixFactorization(small, rank=2),
    ):
        assert problem.dtype == np.float32
        result = optlab.solve(problem, NGN(sigma=0.5, batch_size=2), max_iter=50, seed=0)
        assert result.solution.dtype == np.float32
        assert result.solution.shape == problem.shape
        assert problem.check_gradient() < 1e-2
    assert np.shares_memory(LeastSquares(small, NOISY).A, small)
    csr = sp.csr_matrix(small)
    assert np.shares_memory(LeastSquares(csr, NOISY).A.data, csr.data)


def test_matrix_factorization_takes_missing_and_sparse_entries():
    X = np.arange(12.0).reshape(3, 4)
    X[1, 2] = np.nan
    problem = MatrixFactorization(X, rank=2)
    assert problem.n_samples == 11
    sparse = MatrixFactorization(sp.csr_matrix(np.nan_to_num(X)), rank=2)
    assert sparse.n_samples == 10  # the two zeros are not stored
    U, V = problem.factors(np.ones((7, 2)))
    assert U.shape == (3, 2)
    assert V.shape == (4, 2)


def test_network_without_hidden_layers_is_softmax_regression():
    net = NeuralNetwork(A, LABELS, hidden=(), l2=0.1)
    softmax = SoftmaxRegression(np.column_stack([A, np.ones(40)]), LABELS, l2=0.1)
    w = np.random.default_rng(0).standard_normal((6, 3))
    assert net.objective(w.ravel()) == pytest.approx(softmax.objective(w))


def test_labels_of_any_kind():
    names = np.where(SIGNS > 0, "yes", "no")
    problem = LogisticRegression(A, names)
    assert problem.classes.tolist() == ["no", "yes"]
    np.testing.assert_array_equal(problem.targets, SIGNS)
    np.testing.assert_array_equal(LogisticRegression(A, SIGNS > 0).targets, SIGNS)
    np.testing.assert_array_equal(LogisticRegression(A, np.where(SIGNS > 0, 4, 2)).targets, SIGNS)
    assert LogisticRegression(A[:3], [1, 1, 1]).targets.tolist() == [1, 1, 1]


def test_pandas_frames():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(A, columns=list("abcde"))
    problem = LogisticRegression(frame, pd.Series(np.where(SIGNS > 0, "yes", "no")), l2=0.1)
    assert problem.measure(np.ones(5)) == pytest.approx(LogisticRegression(A, SIGNS, l2=0.1).measure(np.ones(5)))
    result = optlab.solve(problem, NGN(), max_iter=20, seed=0)
    assert result.solution.shape == (5,)
    assert LeastSquares(frame, pd.Series(NOISY)).n_samples == 40
    with pytest.raises(TypeError, match="A must hold real numbers"):
        LogisticRegression(pd.DataFrame({"a": ["x", "y"]}), [0, 1])


def bad(array, index, value):
    out = np.array(array, dtype=float)
    out[index] = value
    return out


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LeastSquares(bad(A, (3, 2), np.nan), NOISY), r"A must be finite, got nan at index \[3, 2\]"),
        (
            lambda: LeastSquares(sp.csr_matrix(bad(A, (3, 2), np.inf)), NOISY),
            r"A must be finite, got inf at index \[3, 2\]",
        ),
        (lambda: LeastSquares(np.empty((0, 3)), []), "A must not be empty"),
        (lambda: LeastSquares(sp.csr_matrix((0, 3)), []), "A must not be empty"),
        (lambda: LeastSquares(A, NOISY[:-1]), "b must have one entry per row of A"),
        (lambda: LeastSquares(A, bad(NOISY, 4, np.nan)), r"b must be finite, got nan at index \[4\]"),
        (lambda: LeastSquares(A, NOISY, l2=-1), "l2 must be a number at least 0"),
        (lambda: LogisticRegression(A, LABELS), r"y must be binary, got 3 classes \(0, 1, 2\); use SoftmaxRegression"),
        (lambda: LogisticRegression(A, np.zeros(40)), "y must have at least two classes"),
        (lambda: LogisticRegression(A, bad(SIGNS, 2, np.nan)), r"y must not be NaN, got one at index \[2\]"),
        (lambda: SoftmaxRegression(A, LABELS[:, None].repeat(2, 1)), "y must have 1 dimension"),
        (lambda: SigmoidLeastSquares(A, SIGNS), r"b must hold 0 and 1 only, got -1.0 at index"),
        (lambda: PhaseRetrieval(A, NOISY), "b must be non-negative"),
        (lambda: MatrixFactorization(np.full((2, 2), np.nan), 1), "observed entry"),
        (lambda: MatrixFactorization(A, 0), "rank must be an integer of at least 1"),
        (lambda: NeuralNetwork(A, LABELS, hidden=(0,)), r"hidden\[0\] must be an integer of at least 1"),
        (lambda: NeuralNetwork(A, LABELS, activation="rely"), "did you mean 'relu'"),
        (lambda: FiniteSum(0, 3), "n_samples must be an integer of at least 1"),
    ],
)
def test_bad_data_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


class Gaussian(FiniteSum):
    """A density's negative log-likelihood, which may be negative."""

    def losses(self, x, rows):
        return 0.5 * (x[0] - NOISY[rows]) ** 2 - (rows == 5) * 100.0

    def gradient(self, x, rows):
        return np.array([np.mean(x[0] - NOISY[rows])])


def test_negative_losses_name_the_sample():
    with pytest.raises(ValueError, match=r"the loss of sample 5 is negative \(-9.*shift them"):
        optlab.solve(Gaussian(40, 1), NGN(), max_iter=10)
    result = optlab.solve(Gaussian(40, 1, nonnegative=False), SGD(0.1), max_iter=10, seed=0)
    assert result.n_iter == 10
    bounds = np.where(np.arange(40) == 5, -100.0, 0.0)
    result = optlab.solve(
        Gaussian(40, 1, nonnegative=False), NGN(lower_bound=bounds, batch_size=2), max_iter=100, seed=0
    )
    assert result.metrics["below_lower_bound"] == 0


def test_wrong_shapes_of_a_user_problem_are_named():
    class Wrong(Gaussian):
        def losses(self, x, rows):
            return 1.0

    class Flat(Gaussian):
        def gradient(self, x, rows):
            return 1.0

    for problem, message in (
        (Wrong(40, 1), "one loss per row"),
        (Flat(40, 1, nonnegative=False), r"must return shape \(1,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            optlab.solve(problem, SGD(0.1), max_iter=3)
    with pytest.raises(NotImplementedError, match="must define losses"):
        optlab.solve(FiniteSum(3, 1), SGD(0.1), max_iter=3)
