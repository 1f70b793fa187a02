"""Resolvents: the optimality condition itself, in extended precision, for every row; independent argmins.

The residual of ``y + g f'(x(y)) = m`` is evaluated in long double from the returned mirror variable and compared with
the largest term of the equation (with the change that one rounding of y makes).
"""

from __future__ import annotations

import copy
import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from optlab.bregman import (
    BurgEntropy,
    FermiDirac,
    Hellinger,
    LogDeterminant,
    Mahalanobis,
    PowerEntropy,
    ShannonEntropy,
    SimplexEntropy,
    SquaredEuclidean,
)
from optlab.bregman.functions import (
    AffineSet,
    BlockSum,
    Box,
    BregmanDistance,
    CappedSimplex,
    ColumnMarginal,
    Function,
    Hyperplane,
    ItakuraSaito,
    KullbackLeibler,
    L1Norm,
    LeastSquares,
    Linear,
    Logistic,
    NegativeEntropy,
    Poisson,
    Quadratic,
    RowMarginal,
    Simplex,
    SkewGame,
    SmoothFunction,
    SquaredDistance,
    Zero,
)
from optlab.bregman.legendre import Legendre
from optlab.bregman.resolvents import ResolventError, available_resolvents, register_resolvent, resolvent
from optlab.bregman.resolvents.bounds import mirror_of_bound
from optlab.bregman.resolvents.roots import decreasing_root, solve_plus_exp, solve_plus_expit
from optlab.core.errors import DomainError

SIZE = 40
STEPS = (1e-12, 1e-3, 1.0, 25.0, 1e3, 1e12)
SCALES = (1.0, 30.0, 1e3, 1e8)
Q = np.random.default_rng(1).uniform(0.1, 3.0, SIZE)
COUNTS = np.where(np.arange(SIZE) < 5, 0.0, Q)
WEIGHT = np.random.default_rng(2).uniform(0.5, 2.0, SIZE)
SQUARED = SquaredDistance(Q, WEIGHT)
ENTROPIC = (
    NegativeEntropy(WEIGHT),
    KullbackLeibler(Q, WEIGHT),
    Poisson(COUNTS, WEIGHT),
    ItakuraSaito(Q, WEIGHT),
    SQUARED,
    Linear(Q),
)
LOGISTIC = Logistic(None, np.sign(Q - 1.0), 1.5)

SMOOTH_ROWS = [
    *((kernel, f) for kernel in (SquaredEuclidean(), ShannonEntropy(), FermiDirac(), BurgEntropy()) for f in ENTROPIC),
    *(
        (kernel, f)
        for kernel in (FermiDirac(-0.5, 2.0), Hellinger(), Hellinger(3.0), SquaredEuclidean(), ShannonEntropy())
        for f in (SQUARED, LOGISTIC)
    ),
    *((k, Linear(Q - 1.0)) for k in (SquaredEuclidean(), ShannonEntropy(), FermiDirac(), Hellinger())),
]


def row_name(row):
    return f"{row[0]!r}-{type(row[1]).__name__}"


def long_point(kernel, y):
    y = y.astype(np.longdouble)
    if isinstance(kernel, ShannonEntropy):
        return np.exp(y), np.exp(y)
    if isinstance(kernel, BurgEntropy):
        return -1 / y, 1 / y**2
    if isinstance(kernel, SquaredEuclidean):
        return y, np.ones_like(y)
    if isinstance(kernel, Hellinger):
        return kernel.radius * y / np.hypot(1, y), kernel.radius / np.hypot(1, y) ** 3
    width = kernel.upper - kernel.lower
    return kernel.lower + width / (1 + np.exp(-y)), width / (2 + np.exp(-y) + np.exp(y))


def gradient_size(f, x):
    """The largest summand of the gradient, which sets what rounding can do to it."""
    w = getattr(f, "weight", 1.0)
    if isinstance(f, Poisson):
        return w * (1 + f.q / x)
    if isinstance(f, ItakuraSaito):
        return w * (1 / f.q + 1 / x)
    if isinstance(f, SquaredDistance):
        return w * (np.abs(x) + np.abs(f.q))
    if isinstance(f, KullbackLeibler):
        return w * (np.abs(np.log(x)) + np.abs(np.log(f.q)))
    if isinstance(f, NegativeEntropy):
        return w * (np.abs(np.log(x)) + 1e-4)  # log x near 1: what one rounding of x does, in long double
    return np.abs(f.gradient(x))


def restricted(f, mask):
    part = copy.copy(f)
    for name in ("q", "weight", "cost", "labels"):
        if np.ndim(getattr(f, name, None) if hasattr(f, name) else None):
            object.__setattr__(part, name, getattr(f, name)[mask])
    return part


def relative_residual(f, kernel, mirror, step):
    y = resolvent(f, kernel, mirror, step)
    assert np.isfinite(y).all()
    with np.errstate(all="ignore"):
        x, curvature = long_point(kernel, y)
        # where the point itself leaves the range of numbers the gradient cannot be evaluated
        logarithmic = isinstance(f, (NegativeEntropy, KullbackLeibler, Poisson, ItakuraSaito))
        seen = np.isfinite(x) & ((x > 1e-300) if logarithmic else True)
        f, y, x, curvature, m = restricted(f, seen), y[seen], x[seen], curvature[seen], mirror[seen]
        if not x.size:
            return 0.0
        residual = np.abs(y.astype(np.longdouble) + np.longdouble(step) * f.gradient(x) - m)
        scale = np.abs(y) * (1 + step * f.second_derivative(x) * curvature) + np.abs(m) + step * gradient_size(f, x)
        return float(np.max(residual / scale))


def mirror_points(kernel, scale, size=SIZE, seed=3):
    m = np.random.default_rng(seed).normal(size=size) * scale
    return -np.abs(m) - 1e-9 if isinstance(kernel, BurgEntropy) else m


@pytest.mark.parametrize("row", SMOOTH_ROWS, ids=row_name)
def test_optimality_of_every_smooth_row(row):
    kernel, f = row
    tolerance = 1e-8 if isinstance(f, NegativeEntropy) and isinstance(kernel, FermiDirac) else 1e-12
    for step, scale in itertools.product(STEPS, SCALES):
        assert relative_residual(f, kernel, mirror_points(kernel, scale), step) < tolerance, (step, scale)


def test_entropy_rows_have_the_exact_formula_in_mirror_variables():
    m = mirror_points(ShannonEntropy(), 10.0)
    for step in STEPS:
        got = resolvent(NegativeEntropy(WEIGHT), ShannonEntropy(), m, step)
        np.testing.assert_allclose(got * (1 + step * WEIGHT), m, rtol=1e-15)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    "kernel",
    [ShannonEntropy(), FermiDirac(-1, 2), Hellinger(2.0), BurgEntropy(), SquaredEuclidean(), PowerEntropy(3.0)],
    ids=repr,
)
def test_distance_of_the_kernel_itself(kernel, step):
    m = mirror_points(kernel, 30.0)
    q = kernel.conjugate_gradient(np.clip(mirror_points(kernel, 1.0, seed=5), -5, 5))
    y = resolvent(BregmanDistance(q, kernel, 2.0), kernel, m, step)
    residual = y - m + 2 * step * (y - kernel.gradient(q))
    assert np.max(np.abs(residual)) < 1e-13 * (1 + 2 * step) * np.max(np.abs(m) + np.abs(kernel.gradient(q)))


@pytest.mark.delicate
def test_distance_of_another_kernel_falls_back_to_newton():
    m = mirror_points(ShannonEntropy(), 3.0)
    y = resolvent(BregmanDistance(Q, BurgEntropy(), 2.0), ShannonEntropy(), m, 0.7)
    np.testing.assert_allclose(y, resolvent(ItakuraSaito(Q, 2.0), ShannonEntropy(), m, 0.7), rtol=1e-11, atol=1e-12)


# --- constraints -----------------------------------------------------------------------------------------------------

KERNELS = [
    SquaredEuclidean(),
    ShannonEntropy(),
    FermiDirac(),
    FermiDirac(-0.5, 2.0),
    Hellinger(),
    Hellinger(3.0),
    BurgEntropy(),
    PowerEntropy(1.5),
]


def constraint_instances(kernel, rng, size):
    low, high = {FermiDirac: (getattr(kernel, "lower", 0), getattr(kernel, "upper", 0)), Hellinger: None}.get(
        type(kernel), (0.0, 3.0)
    ) or (-kernel.radius, kernel.radius)
    inner = rng.uniform(low, high, size)
    positive = np.maximum(inner, 0.01)
    a = rng.normal(size=size)
    yield Hyperplane(a, a @ inner)
    yield Hyperplane(np.abs(a), np.abs(a) @ positive)
    yield Hyperplane(-np.abs(a), -np.abs(a) @ positive)
    yield Simplex(positive.sum())
    caps = np.minimum(positive * rng.uniform(1, 3, size), 0.999 * high if high < 3 else np.inf)
    yield CappedSimplex(caps, caps.sum() * rng.uniform(0.05, 0.99))


@pytest.mark.delicate
@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
@pytest.mark.parametrize("scale", SCALES)
def test_one_linear_constraint(kernel, scale):
    rng = np.random.default_rng(7)
    for _ in range(3):
        size = int(rng.integers(2, 25))
        m = mirror_points(kernel, scale, size, seed=int(rng.integers(1000)))
        for f in constraint_instances(kernel, rng, size):
            y = resolvent(f, kernel, m, 1.0)
            assert np.isfinite(y).all()
            normal = getattr(f, "normal", np.ones(size))
            offset = f.offset if isinstance(f, Hyperplane) else f.total
            free = np.ones(size, dtype=bool)
            if not isinstance(f, Hyperplane):
                low = mirror_of_bound(kernel, 0.0, m.shape)
                high = mirror_of_bound(kernel, getattr(f, "upper", np.inf), m.shape)
                assert np.all(y >= low)
                assert np.all(y <= high)
                free = (y > low) & (y < high)
                # a coordinate at a bound is pushed there by the multiplier
                if free.any():
                    mu = np.median((m - y)[free])
                    slack = 1e-12 * (np.max(np.abs(m)) + abs(mu))
                    assert np.all((m - mu)[y <= low] <= low[y <= low] + slack)
                    assert np.all((m - mu)[y >= high] >= high[y >= high] - slack)
            with np.errstate(all="ignore"):
                x = np.asarray(kernel.conjugate_gradient(y), dtype=np.longdouble)
                curvature = kernel.conjugate_hessian_diagonal(y)
                size_of_sum = np.sum(np.abs(normal * x)) + abs(offset)
                if np.isfinite(size_of_sum):  # what one rounding of y changes is beyond any method
                    blur = np.sum(np.abs(normal) * curvature * (np.abs(y) + np.abs(m)))
                    assert abs(np.sum(normal * x) - offset) <= 1e-13 * size_of_sum + 1e-14 * blur
            if free.any():
                moved = (m - y)[free] / normal[free]
                spread = np.abs((moved - np.median(moved)) * normal[free])
                assert np.max(spread) <= 1e-13 * np.max(np.abs(m) + np.abs(y))


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_box_clips_and_the_one_norm_thresholds(kernel):
    m = mirror_points(kernel, 3.0)
    x = kernel.conjugate_gradient(m)
    lower, upper = np.quantile(x, [0.3, 0.6])
    y = resolvent(Box(lower, upper), kernel, m, 1.0)
    np.testing.assert_allclose(kernel.conjugate_gradient(y), np.clip(x, lower, upper), rtol=1e-12)
    np.testing.assert_array_equal(resolvent(Box(-np.inf, np.inf), kernel, m, 1.0), m)
    y = resolvent(L1Norm(WEIGHT), kernel, m, 0.5)
    x = kernel.conjugate_gradient(y)
    excess = np.abs(y + 0.5 * WEIGHT * np.sign(x) - m)
    at_kink = np.isclose(x, 0.0, atol=1e-15)
    assert np.all(excess[~at_kink] < 1e-14 * (1 + np.abs(m[~at_kink])))
    assert np.all(excess[at_kink] <= 0.5 * WEIGHT[at_kink] * (1 + 1e-12))


def test_answers_on_the_boundary_are_refused():
    m = np.zeros(3)
    with pytest.raises(DomainError, match=r"does not meet .* index \[1\]"):
        resolvent(Box(0.0, [1.0, 0.0, 1.0]), ShannonEntropy(), m, 1.0)
    with pytest.raises(DomainError, match="marginal is 0 at index"):
        resolvent(RowMarginal([1.0, 0.0]), ShannonEntropy(), np.zeros((2, 2)), 1.0)
    with pytest.raises(DomainError, match="does not meet"):
        resolvent(Hyperplane([1.0, 1.0, 1.0], -1.0), ShannonEntropy(), m, 1.0)
    with pytest.raises(DomainError, match="does not meet"):
        resolvent(Hyperplane([1.0, 1.0, 1.0], 3.5), FermiDirac(), m, 1.0)
    with pytest.raises(DomainError, match="does not meet"):
        resolvent(Hyperplane([1.0, 1.0, 1.0], -1.0), BurgEntropy(), m - 1.0, 1.0)
    with pytest.raises(DomainError, match="does not exist"):
        resolvent(Linear(-1.0), BurgEntropy(), m - 1.0, 2.0)
    with pytest.raises(DomainError, match="mirror"):
        resolvent(Zero(), BurgEntropy(), m, 1.0)
    full = CappedSimplex([0.2, 0.3, 0.5], 1.0)
    np.testing.assert_allclose(np.exp(resolvent(full, ShannonEntropy(), m, 1.0)), [0.2, 0.3, 0.5])


@pytest.mark.parametrize("kind", ["equal", "at_most", "kl", "l1"])
@pytest.mark.parametrize("kernel", [ShannonEntropy(), SquaredEuclidean()], ids=repr)
@pytest.mark.parametrize("marginal_type", [RowMarginal, ColumnMarginal])
@pytest.mark.parametrize("step", STEPS)
def test_marginals(marginal_type, kernel, kind, step):
    rng = np.random.default_rng(11)
    a = rng.uniform(0.5, 2.0, 4)
    m = rng.normal(size=(4, 6)) if marginal_type is RowMarginal else rng.normal(size=(6, 4))
    axis = 1 if marginal_type is RowMarginal else 0
    if kind == "kl" and isinstance(kernel, SquaredEuclidean):
        m = np.abs(m)  # the new sums of negative ones underflow at small steps
    y = resolvent(marginal_type(a, kind, 1.3), kernel, m, step)
    shift = np.mean(y - m, axis=axis)
    np.testing.assert_allclose(y - m, np.broadcast_to(np.expand_dims(shift, axis), m.shape), atol=1e-14)
    sums = kernel.conjugate_gradient(y).sum(axis=axis)
    if kind == "equal":
        np.testing.assert_allclose(sums, a, rtol=1e-13)
    elif kind == "at_most":
        assert np.all(sums <= a * (1 + 1e-13))
        assert np.all(shift <= 1e-15)
        assert np.all((np.abs(shift) < 1e-14) | np.isclose(sums, a, rtol=1e-13))
    elif kind == "kl":
        np.testing.assert_allclose(shift / (1.3 * step) + np.log(sums / a), 0.0, atol=1e-12 + 1e-14 / step)
    else:
        assert np.all(np.abs(shift) <= 1.3 * step + 1e-15)
        inside = np.abs(shift) < 1.3 * step * (1 - 1e-9) - 1e-15
        np.testing.assert_allclose(sums[inside], a[inside], rtol=1e-12)
        np.testing.assert_array_equal(np.sign(shift[~inside]), np.sign((a - sums)[~inside]))


def test_marginals_row_by_row_in_other_geometries():
    m = np.random.default_rng(0).normal(size=(3, 5))
    y = resolvent(RowMarginal([1.0, 2.0, 3.0]), FermiDirac(), m, 1.0)
    np.testing.assert_allclose(FermiDirac().conjugate_gradient(y).sum(axis=1), [1.0, 2.0, 3.0])
    y = resolvent(ColumnMarginal([0.1, 0.2, 3.0, 3.0, 0.3], "at_most"), FermiDirac(), m, 1.0)
    assert np.all(FermiDirac().conjugate_gradient(y).sum(axis=0) <= np.array([0.1, 0.2, 3.0, 3.0, 0.3]) * (1 + 1e-12))
    with pytest.raises(TypeError, match="kind 'kl'"):
        resolvent(RowMarginal([1.0, 2.0, 3.0], "kl"), FermiDirac(), m, 1.0)


# --- dense terms -----------------------------------------------------------------------------------------------------


def dense_terms(rng, n):
    root = rng.normal(size=(n, n - 2))
    A = rng.normal(size=(n + 3, n))
    yield Quadratic(root @ root.T, rng.normal(size=n))
    yield LeastSquares(A, rng.normal(size=n + 3), 0.7)
    yield LeastSquares(A[:3], rng.normal(size=3))
    yield Logistic(A, np.sign(rng.normal(size=n + 3)), 2.0)


@pytest.mark.parametrize(
    "kernel",
    [
        SquaredEuclidean(),
        ShannonEntropy(),
        FermiDirac(-1.0, 2.0),
        Hellinger(2.0),
        Mahalanobis(np.diag(np.arange(1.0, 7.0)) + 0.3),
    ],
    ids=lambda k: type(k).__name__,
)
@pytest.mark.parametrize("step", [1e-12, 1e-2, 1.0, 30.0, 1e4])
def test_dense_terms(kernel, step):
    rng = np.random.default_rng(13)
    for f in dense_terms(rng, 6):
        m = 2.0 * rng.normal(size=6)
        y = resolvent(f, kernel, m, step)
        x = kernel.conjugate_gradient(y)
        size = np.abs(y) + np.abs(m) + step * (np.abs(f.hessian(x)) @ np.abs(x) + np.abs(f.gradient(np.zeros(6))))
        assert np.max(np.abs(y + step * f.gradient(x) - m) / np.max(size)) < 1e-12


@pytest.mark.parametrize("kernel", [SquaredEuclidean(), ShannonEntropy(), FermiDirac(), BurgEntropy()], ids=repr)
def test_affine_sets(kernel):
    rng = np.random.default_rng(17)
    A = rng.normal(size=(3, 8))
    A = np.vstack([A, A[0] - A[1]])  # a redundant equation
    b = A @ rng.uniform(0.1, 0.9, 8)
    m = mirror_points(kernel, 2.0, 8)
    y = resolvent(AffineSet(A, b), kernel, m, 1.0)
    np.testing.assert_allclose(A @ kernel.conjugate_gradient(y), b, atol=1e-11)
    coefficients = np.linalg.lstsq(A.T, m - y, rcond=None)[0]
    np.testing.assert_allclose(A.T @ coefficients, m - y, atol=1e-11)
    with pytest.raises(ResolventError, match="does the set meet"):
        resolvent(AffineSet([[1.0] * 8], [-1.0]), ShannonEntropy(), mirror_points(ShannonEntropy(), 1.0, 8), 1.0)


@pytest.mark.parametrize("shape", [(3, 3), (12, 7), (7, 12), (1, 4)])
@pytest.mark.parametrize("step", [1e-12, 1e-2, 1.0, 30.0, 1e3])
@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_skew_game(shape, step, scale):
    rng = np.random.default_rng(19)
    for M in (rng.normal(size=shape), rng.uniform(0, 1, size=shape)):
        m = scale * rng.normal(size=sum(shape))
        y = resolvent(SkewGame(M), ShannonEntropy(), m, step)
        x = np.exp(y)
        sizes = np.abs(y) + np.abs(m) + step * np.concatenate([np.abs(M) @ x[shape[0] :], np.abs(M).T @ x[: shape[0]]])
        assert np.max(np.abs(y + step * SkewGame(M).operator_value(x) - m) / sizes) < 1e-12


def test_skew_game_says_so_when_it_cannot():
    game = SkewGame(np.random.default_rng(0).normal(size=(3, 3)))
    m = 1e8 * np.random.default_rng(1).normal(size=6)
    with pytest.raises(ResolventError, match="relative residual"):
        resolvent(game, ShannonEntropy(), m, 1.0)


# --- composition, generic solve, registry ----------------------------------------------------------------------------


def test_a_sum_with_linear_terms_shifts_the_point():
    m = mirror_points(ShannonEntropy(), 2.0)
    got = resolvent(KullbackLeibler(Q) + Linear(Q) + Linear(1.0), ShannonEntropy(), m, 0.3)
    np.testing.assert_array_equal(got, resolvent(KullbackLeibler(Q), ShannonEntropy(), m - 0.3 * (Q + 1.0), 0.3))
    got = resolvent(Linear(Q) + Zero(), ShannonEntropy(), m, 0.3)
    np.testing.assert_allclose(got, m - 0.3 * Q)
    assert relative_sum_residual(m) < 1e-12
    # under Burg's entropy the shifted point may leave the mirror space though the sum has a resolvent
    y = resolvent(Poisson(1.0, 5.0) + Linear(-1.0), BurgEntropy(), -np.ones(2), 2.0)
    x = -1 / y
    np.testing.assert_allclose(y + 2 * (5 * (1 - 1 / x) - 1), -1.0, atol=1e-12)


def relative_sum_residual(m):
    f = KullbackLeibler(Q) + SquaredDistance(Q, 2.0)
    y = resolvent(f, ShannonEntropy(), m, 3.0)
    return np.max(np.abs(y + 3.0 * f.gradient(np.exp(y)) - m) / (np.abs(m) + 10.0))


def test_blocks():
    f = BlockSum((Simplex(1.0), Simplex(2.0)), (2, 3))
    x = np.exp(resolvent(f, ShannonEntropy(), np.arange(5.0), 1.0))
    np.testing.assert_allclose([x[:2].sum(), x[2:].sum()], [1.0, 2.0])
    with pytest.raises(ValueError, match="blocks"):
        resolvent(f, ShannonEntropy(), np.zeros(4), 1.0)


@pytest.mark.parametrize("kernel", [SquaredEuclidean(), ShannonEntropy(), FermiDirac(-2, 2), Hellinger()], ids=repr)
@pytest.mark.parametrize("with_hessian", [True, False])
@pytest.mark.parametrize("separable", [True, False])
def test_a_users_own_function(kernel, with_hessian, separable):
    second = (lambda x: np.cosh(x)) if separable else (lambda x: np.diag(np.cosh(x)))
    f = SmoothFunction(
        lambda x: float(np.cosh(x).sum()), np.sinh, second if with_hessian else None, separable=separable
    )
    m = mirror_points(kernel, 2.0, 7)
    for step in (1e-6, 1.0, 1e3):
        y = resolvent(f, kernel, m, step)
        slope = step * np.sinh(kernel.conjugate_gradient(y))
        assert np.max(np.abs(y + slope - m)) < 1e-11 * np.max(np.abs(y) + np.abs(slope) + np.abs(m))


def test_a_function_that_is_not_convex_is_reported():
    bump = SmoothFunction(lambda x: float(-np.sum(x**2)), lambda x: -2 * x, None)
    with pytest.raises(ResolventError, match="not convex"):
        resolvent(bump, SquaredEuclidean(), np.ones(2), 0.5)


def test_a_user_adds_a_resolvent_in_three_lines():
    class Shift(Function):
        pass

    with pytest.raises(TypeError, match=r"no resolvent of Shift under the kernel ShannonEntropy.*register_resolvent"):
        resolvent(Shift(), ShannonEntropy(), np.zeros(2), 1.0)

    @register_resolvent(Shift, Legendre)
    def shift(function, kernel, mirror, step_size):
        return mirror - step_size

    np.testing.assert_array_equal(resolvent(Shift(), ShannonEntropy(), np.zeros(2), 2.0), [-2.0, -2.0])
    assert ("Shift", "Legendre") in available_resolvents(Shift)
    with pytest.raises(TypeError, match="function_type must be a subclass of MonotoneOperator"):
        register_resolvent(int, Legendre)


def test_bad_calls():
    with pytest.raises(TypeError, match="function must be"):
        resolvent(3, ShannonEntropy(), np.zeros(2), 1.0)
    with pytest.raises(TypeError, match="kernel must be"):
        resolvent(Zero(), 3, np.zeros(2), 1.0)
    for step in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="step_size"):
            resolvent(Zero(), ShannonEntropy(), np.zeros(2), step)
    with pytest.raises(ValueError, match=r"mirror must be finite, got nan at index \[1\]"):
        resolvent(Zero(), ShannonEntropy(), [0.0, np.nan], 1.0)
    with pytest.raises(ValueError, match="cost of shape"):
        resolvent(Linear([1.0, 2.0]), ShannonEntropy(), np.zeros(3), 1.0)
    with pytest.raises(TypeError, match="not smooth"):
        resolvent(SquaredDistance(0.0) + L1Norm(), ShannonEntropy(), np.zeros(3), 1.0)
    with pytest.raises(TypeError, match="separable kernel"):
        resolvent(Box(), LogDeterminant(), -np.eye(2), 1.0)
    with pytest.raises(ValueError, match="point of shape"):
        resolvent(Quadratic(np.eye(3)), SquaredEuclidean(), np.zeros(2), 1.0)


def test_the_input_stays_and_float32_is_kept():
    m = np.array([0.5, -1.0], dtype=np.float32)
    for f in (Zero(), Linear(1.0), Simplex(), KullbackLeibler(1.0), Box(0.0, 1.0)):
        before = m.copy()
        y = resolvent(f, ShannonEntropy(), m, 1.0)
        assert y.dtype == np.float32
        assert y is not m
        np.testing.assert_array_equal(m, before)


def test_simplex_entropy_agrees_with_entropy_and_simplex():
    m = np.random.default_rng(0).normal(size=6)
    kernel = SimplexEntropy(2.0)
    q, c = Q[:6], Linear(Q[:6])
    for f in (KullbackLeibler(q, 0.7), NegativeEntropy(0.7), c, KullbackLeibler(q, 0.7) + c):
        x = kernel.conjugate_gradient(resolvent(f, kernel, m, 1.5))
        slope = 1.5 * f.gradient(x) + np.log(x) - m
        assert np.ptp(slope) < 1e-13 * 10
    x = kernel.conjugate_gradient(resolvent(Box(0.0, 0.5), kernel, m, 1.0))
    np.testing.assert_allclose(x, np.exp(resolvent(CappedSimplex(0.5, 2.0), ShannonEntropy(), m, 1.0)))
    np.testing.assert_allclose(np.exp(resolvent(Simplex(2.0), kernel, m, 1.0)).sum(), 2.0)
    with pytest.raises(TypeError, match="one weight"):
        resolvent(KullbackLeibler(q, Q[:6]), kernel, m, 1.0)


# --- independent argmins and firm nonexpansiveness -------------------------------------------------------------------


@pytest.mark.parametrize(
    "kernel", [ShannonEntropy(), FermiDirac(), BurgEntropy(), Hellinger(), SquaredEuclidean()], ids=repr
)
@pytest.mark.parametrize("f", [SquaredDistance(0.4, 1.7), KullbackLeibler(0.4, 1.7), Poisson(0.4, 1.7)], ids=repr)
def test_the_scalar_argmin(kernel, f):
    if isinstance(kernel, Hellinger) and not isinstance(f, SquaredDistance):
        pytest.skip("the domain of the term does not contain that of the kernel")
    z = np.array([0.7])
    y = resolvent(f, kernel, kernel.gradient(z), 0.8)
    low = 1e-9 if not isinstance(kernel, (Hellinger, SquaredEuclidean)) else -0.9
    low = max(low, 1e-9) if not isinstance(f, SquaredDistance) else low
    best = optimize.minimize_scalar(
        lambda x: 0.8 * f.value(np.array([x])) + kernel.divergence(np.array([x]), z),
        bounds=(low, 0.999999),
        method="bounded",
        options={"xatol": 1e-12},
    )
    assert kernel.conjugate_gradient(y)[0] == pytest.approx(best.x, abs=3e-8)


@pytest.mark.parametrize("f", [Simplex(2.0), CappedSimplex([0.5, 0.7, 1.2], 1.1), Hyperplane([1.0, -2.0, 0.5], 0.3)])
def test_euclidean_projections_against_cvxpy(f):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import cvxpy as cp
    z = np.array([0.9, -0.4, 0.3])
    x = cp.Variable(3)
    constraints = {
        Simplex: lambda: [x >= 0, cp.sum(x) == f.total],
        CappedSimplex: lambda: [x >= 0, x <= f.upper, cp.sum(x) == f.total],
        Hyperplane: lambda: [f.normal @ x == f.offset],
    }[type(f)]()
    cp.Problem(cp.Minimize(cp.sum_squares(x - z)), constraints).solve(
        solver=cp.CLARABEL, tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12
    )
    np.testing.assert_allclose(resolvent(f, SquaredEuclidean(), z, 1.0), x.value, atol=1e-6)


FIRM = [
    (ShannonEntropy(), KullbackLeibler(0.7, 1.5)),
    (ShannonEntropy(), Poisson(0.7)),
    (ShannonEntropy(), CappedSimplex(0.6, 1.0)),
    (FermiDirac(), SquaredDistance(0.2, 3.0)),
    (FermiDirac(), Hyperplane([1.0, -1.0, 2.0], 0.4)),
    (Hellinger(), L1Norm(0.3)),
    (SquaredEuclidean(), Logistic(None, [1.0, -1.0, 1.0])),
]


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    st.sampled_from(FIRM),
    st.lists(st.floats(-8, 8), min_size=6, max_size=6),
    st.floats(-3, 3),
)
def test_resolvents_are_firmly_nonexpansive_in_the_bregman_sense(row, values, exponent):
    """Monotonicity of the term: ``<(u - J u) - (v - J v), x - x'> >= 0`` for mirror variables u, v, points x, x'."""
    kernel, f = row
    u, v = np.array(values[:3]), np.array(values[3:])
    ju, jv = (resolvent(f, kernel, w, 10.0**exponent) for w in (u, v))
    x, other = kernel.conjugate_gradient(ju), kernel.conjugate_gradient(jv)
    size = 1.0 + np.max(np.abs([u, v, ju, jv]))
    assert np.sum(((u - ju) - (v - jv)) * (x - other)) >= -1e-12 * size
    # the same as an inequality between divergences: D(x, x') + D(x', x) <= D(x, z') + D(x', z) - ...
    z, other_z = kernel.conjugate_gradient(u), kernel.conjugate_gradient(v)
    left = kernel.divergence(x, other) + kernel.divergence(other, x)
    right = (
        kernel.divergence(x, other_z)
        + kernel.divergence(other, z)
        - kernel.divergence(x, z)
        - kernel.divergence(other, other_z)
    )
    assert left <= right + 1e-10 * size


# --- scalar roots ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("s", [-1e12, -50.0, 0.0, 3.0, 1e12])
@pytest.mark.parametrize("log_k", [-60.0, 0.0, 60.0])
def test_plus_exp(s, log_k):
    y = solve_plus_exp(s, log_k).astype(np.longdouble)
    w = np.exp(y + log_k)
    assert abs(y + w - s) <= 1e-14 * (abs(y) * (1 + w) + abs(s) + w * abs(log_k))


@pytest.mark.parametrize("k", [0.0, 1e-12, 25.0, 1e12])
def test_plus_expit(k):
    s = np.concatenate([np.linspace(-40, 40, 17), k * np.linspace(0, 1, 9), [1e8, -1e8]])
    v = solve_plus_expit(s, k).astype(np.longdouble)
    with np.errstate(over="ignore", under="ignore"):
        residual = v + k / (1 + np.exp(-v)) - s
        slope = 1 + k * np.exp(-np.abs(v)) / (1 + np.exp(-np.abs(v))) ** 2
    assert np.all(np.abs(residual) <= 1e-14 * (np.abs(v) * slope + np.abs(s) + k))


@pytest.mark.delicate
def test_decreasing_root_survives_where_newton_alone_diverges():
    got = decreasing_root(lambda x: (-np.arctan(x - 3.0), -1.0 / (1.0 + (x - 3.0) ** 2)), -1e9, 1e6)
    assert got == pytest.approx(3.0, abs=1e-14)
