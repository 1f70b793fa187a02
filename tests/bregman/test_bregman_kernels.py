"""Kernels: identities every Legendre function obeys, accuracy of the divergences, extreme inputs, other backends."""

import decimal
import itertools
import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optlab.bregman import (
    BurgEntropy,
    FermiDirac,
    Hellinger,
    LogDeterminant,
    Mahalanobis,
    PNorm,
    PowerEntropy,
    SeparableLegendre,
    ShannonEntropy,
    SimplexEntropy,
    SquaredEuclidean,
    VonNeumann,
)
from optlab.core.errors import DomainError

Q = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, -0.25], [0.0, -0.25, 3.0]])

SEPARABLE = [
    SquaredEuclidean(),
    ShannonEntropy(),
    BurgEntropy(),
    FermiDirac(),
    FermiDirac(-1.0, 3.0),
    FermiDirac([0.0, -2.0, 1.0], [1.0, 5.0, 1.5]),
    Hellinger(),
    Hellinger(2.5),
    PowerEntropy(1.5),
    PowerEntropy(2.0),
    PowerEntropy(3.5),
]
VECTOR = [*SEPARABLE, Mahalanobis(Q), SimplexEntropy(), SimplexEntropy(4.0), PNorm(1.3), PNorm(2.0), PNorm(4.0)]
MATRIX = [LogDeterminant(), VonNeumann()]
ALL = [*VECTOR, *MATRIX]
POSITIVE = (ShannonEntropy, BurgEntropy)

common = settings(deadline=None, derandomize=True, max_examples=12)
seeds = st.integers(0, 2**32 - 1)


def label(kernel):
    return f"{type(kernel).__name__}-{len(repr(kernel)) if 'array' in repr(kernel) else repr(kernel)}"


def each(kernels):
    return pytest.mark.parametrize("kernel", kernels, ids=label)


def draw(kernel, rng):
    """A random interior point with three coordinates (or a 3 x 3 matrix), away from what rounding cannot resolve."""
    if isinstance(kernel, SimplexEntropy):
        x = rng.dirichlet(np.ones(3)) + 1e-3
        return kernel.total * x / x.sum()
    if isinstance(kernel, POSITIVE):
        return np.exp(rng.uniform(-3, 3, 3))
    if isinstance(kernel, FermiDirac):
        return kernel.lower + (kernel.upper - kernel.lower) * rng.uniform(0.02, 0.98, 3)
    if isinstance(kernel, Hellinger):
        return kernel.radius * rng.uniform(-0.98, 0.98, 3)
    if kernel in MATRIX:
        root = rng.standard_normal((3, 3))
        return root @ root.T + 0.1 * np.eye(3)
    # the power kernels have an infinite derivative of the gradient, theirs or the conjugate's, at 0
    return rng.choice([-1, 1], 3) * (0.1 + np.abs(rng.standard_normal(3)))


def gauge_free(kernel, y):
    return kernel.gauge(y) if isinstance(kernel, SimplexEntropy) else y


def scale(*numbers):
    return 1 + max(abs(n) for n in numbers)


# ---- identities


@each(ALL)
@common
@given(seed=seeds)
def test_conjugate_gradient_inverts_gradient(kernel, seed):
    x = draw(kernel, np.random.default_rng(seed))
    kept = x.copy()
    y = kernel.gradient(x)
    np.testing.assert_allclose(kernel.conjugate_gradient(y), x, rtol=1e-11, atol=1e-12 * np.abs(x).max())
    np.testing.assert_allclose(
        gauge_free(kernel, kernel.gradient(kernel.conjugate_gradient(y))), y, rtol=1e-9, atol=1e-9
    )
    assert (x == kept).all()


@each(ALL)
@common
@given(seed=seeds)
def test_fenchel_equality_on_the_graph_and_inequality_off_it(kernel, seed):
    rng = np.random.default_rng(seed)
    x, other = draw(kernel, rng), draw(kernel, rng)
    y, y_other = kernel.gradient(x), kernel.gradient(other)
    inner = float(np.sum(x * y))
    size = scale(inner, kernel.value(x), kernel.conjugate(y))
    assert abs(kernel.value(x) + kernel.conjugate(y) - inner) <= 1e-12 * size
    assert kernel.value(x) + kernel.conjugate(y_other) >= float(np.sum(x * y_other)) - 1e-12 * size


@each(ALL)
@common
@given(seed=seeds)
def test_divergence_is_its_definition_and_not_negative(kernel, seed):
    rng = np.random.default_rng(seed)
    x, y = draw(kernel, rng), draw(kernel, rng)
    inner = float(np.sum(kernel.gradient(y) * (x - y)))
    size = scale(kernel.value(x), kernel.value(y), inner)
    divergence = kernel.divergence(x, y)
    assert isinstance(divergence, float)
    assert divergence == pytest.approx(kernel.value(x) - kernel.value(y) - inner, abs=1e-12 * size)
    assert divergence >= 0
    assert kernel.divergence(x, x) == pytest.approx(0, abs=1e-25 * size)


@each(ALL)
@common
@given(seed=seeds)
def test_dual_divergence_swaps_the_arguments(kernel, seed):
    rng = np.random.default_rng(seed)
    x, y = draw(kernel, rng), draw(kernel, rng)
    u, v = kernel.gradient(y), kernel.gradient(x)
    assert kernel.dual_divergence(u, v) == pytest.approx(kernel.divergence(x, y), rel=1e-9)
    inner = float(np.sum(kernel.conjugate_gradient(v) * (u - v)))
    size = scale(kernel.conjugate(u), kernel.conjugate(v), inner)
    assert kernel.dual_divergence(u, v) == pytest.approx(
        kernel.conjugate(u) - kernel.conjugate(v) - inner, abs=1e-12 * size
    )


@each(ALL)
@common
@given(seed=seeds)
def test_three_point_identity(kernel, seed):
    rng = np.random.default_rng(seed)
    x, y, z = (draw(kernel, rng) for _ in range(3))
    right = (
        kernel.divergence(x, y)
        + kernel.divergence(y, z)
        + float(np.sum((kernel.gradient(y) - kernel.gradient(z)) * (x - y)))
    )
    assert kernel.divergence(x, z) == pytest.approx(right, abs=1e-11 * scale(kernel.divergence(x, y), right))


@each(ALL)
@common
@given(seed=seeds)
def test_gradients_match_central_differences(kernel, seed):
    rng = np.random.default_rng(seed)
    x = draw(kernel, rng)
    y = kernel.gradient(x)
    direction = rng.standard_normal(x.shape)
    if isinstance(kernel, SimplexEntropy):
        direction -= direction.mean()  # h is finite along the simplex only
    if x.ndim == 2:
        direction += direction.T
    t = 1e-6 * distance_to_trouble(kernel, x)
    slope = (kernel.value(x + t * direction) - kernel.value(x - t * direction)) / (2 * t)
    exact = float(np.sum(y * direction))
    assert slope == pytest.approx(exact, abs=1e-4 * scale(exact, kernel.value(x)))
    t = 1e-6 * distance_to_trouble(kernel, y, dual=True)
    slope = (kernel.conjugate(y + t * direction) - kernel.conjugate(y - t * direction)) / (2 * t)
    exact = float(np.sum(kernel.conjugate_gradient(y) * direction))
    assert slope == pytest.approx(exact, abs=1e-4 * scale(exact, kernel.conjugate(y)))


def distance_to_trouble(kernel, point, dual=False):
    """A length on which h (or h*) is smooth around the point."""
    if kernel in MATRIX:
        return min(1.0, np.abs(np.linalg.eigvalsh(point)).min()) if not (dual and kernel.full_dual) else 1.0
    if isinstance(kernel, (PowerEntropy, PNorm, BurgEntropy)) or (
        not dual and isinstance(kernel, (ShannonEntropy, SimplexEntropy))
    ):
        return min(1.0, np.abs(point).min())
    if isinstance(kernel, FermiDirac) and not dual:
        return min(np.min(point - kernel.lower), np.min(kernel.upper - point))
    if isinstance(kernel, Hellinger) and not dual:
        return kernel.radius - np.abs(point).max()
    return 1.0


@each(SEPARABLE)
@common
@given(seed=seeds)
def test_hessian_diagonals_are_inverse_and_match_differences(kernel, seed):
    x = draw(kernel, np.random.default_rng(seed))
    hessian = kernel.hessian_diagonal(x)
    np.testing.assert_allclose(hessian * kernel.conjugate_hessian_diagonal(kernel.gradient(x)), 1, rtol=1e-10)
    t = 1e-6 * distance_to_trouble(kernel, x)
    differences = (kernel.gradient(x + t) - kernel.gradient(x - t)) / (2 * t)
    np.testing.assert_allclose(differences, hessian, rtol=1e-3)


@each([kernel for kernel in ALL if kernel.strong_convexity is not None])
@common
@given(seed=seeds)
def test_strong_convexity_modulus_is_a_lower_bound(kernel, seed):
    rng = np.random.default_rng(seed)
    x, y = draw(kernel, rng), draw(kernel, rng)
    assert kernel.divergence(x, y) >= kernel.strong_convexity / 2 * np.sum((x - y) ** 2) * (1 - 1e-12)


@pytest.mark.parametrize(
    ("kernel", "center", "direction"),
    [
        (FermiDirac(-1.0, 3.0), [1.0], [1.0]),
        (Hellinger(2.5), [0.0], [1.0]),
        (Mahalanobis(Q), [0.0, 0.0, 0.0], np.linalg.eigh(Q)[1][:, 0]),
        (SquaredEuclidean(), [5.0], [1.0]),
    ],
    ids=label,
)
def test_strong_convexity_cannot_be_larger(kernel, center, direction):
    center, step = np.array(center), 1e-3 * np.array(direction)
    ratio = kernel.divergence(center + step, center) / (np.sum(step**2) / 2)
    assert ratio == pytest.approx(kernel.strong_convexity, rel=1e-5)


# ---- accuracy: full relative precision near x = y, where the textbook formula has lost everything


def reference_divergence(kernel, x, y):
    """The divergence of one coordinate from the textbook formula, in 60 decimal digits."""
    with decimal.localcontext(prec=60):
        x, y = Decimal(float(x)), Decimal(float(y))
        if isinstance(kernel, ShannonEntropy):
            return float(x * (x / y).ln() - x + y)
        if isinstance(kernel, BurgEntropy):
            return float(x / y - (x / y).ln() - 1)
        if isinstance(kernel, FermiDirac):
            low, high = Decimal(kernel.lower), Decimal(kernel.upper)
            return float((x - low) * ((x - low) / (y - low)).ln() + (high - x) * ((high - x) / (high - y)).ln())
        if isinstance(kernel, Hellinger):
            r = Decimal(kernel.radius)
            a, b = (r * r - x * x).sqrt(), (r * r - y * y).sqrt()
            return float(-a + b - y / b * (x - y))
        p = Decimal(kernel.p)
        return float(x**p / p - y**p / p - y ** (p - 1) * (x - y))


@each([ShannonEntropy(), BurgEntropy(), Hellinger(), PowerEntropy(1.5), PowerEntropy(3.5)])
def test_divergence_has_full_relative_accuracy_at_every_distance(kernel):
    rng = np.random.default_rng(0)
    worst = 0.0
    for power in np.arange(-14.0, 1.0):
        y = rng.uniform(0.1, 0.9)
        x = y * (1 + 10.0**power * rng.uniform(0.01, 0.1) * rng.choice([-1, 1]))
        if x != y:
            exact = reference_divergence(kernel, x, y)
            worst = max(worst, abs(kernel.divergence([x], [y]) - exact) / exact)
    assert worst < 5e-15


def test_fermi_dirac_divergence_is_accurate_down_to_the_rounding_of_its_arguments():
    rng = np.random.default_rng(1)
    kernel = FermiDirac()
    for _ in range(50):
        y = rng.uniform(0.1, 0.9)
        x = y * (1 + 1e-6 * rng.uniform(-1, 1))
        assert kernel.divergence([x], [y]) == pytest.approx(reference_divergence(kernel, x, y), rel=1e-6, abs=0)


@each([LogDeterminant(), VonNeumann()])
def test_matrix_divergence_is_accurate_for_close_arguments(kernel):
    rng = np.random.default_rng(2)
    x = draw(kernel, rng)
    step = rng.standard_normal((3, 3))
    step = step + step.T
    # second order: D(x + t s, x) / t^2 tends to a limit; the textbook formula is pure noise at t = 1e-9
    values = [kernel.divergence(x + t * step, x) / t**2 for t in (1e-4, 1e-6, 1e-7)]
    assert values[0] == pytest.approx(values[2], rel=1e-2)
    assert values[1] == pytest.approx(values[2], rel=1e-4)


def test_pnorm_divergence_is_accurate_for_close_arguments():
    rng = np.random.default_rng(3)
    x, step = rng.standard_normal(5), rng.standard_normal(5)
    for p in (1.3, 2.0, 4.0):
        values = [PNorm(p).divergence(x + t * step, x) / t**2 for t in (1e-5, 1e-7, 1e-9)]
        assert values[1] == pytest.approx(values[2], rel=1e-5)
        assert values[0] == pytest.approx(values[2], rel=1e-3)


# ---- the boundary


def test_kullback_leibler_on_the_boundary():
    kernel = ShannonEntropy()
    assert kernel.divergence([0.0, 2.0], [3.0, 2.0]) == 3.0
    assert kernel.divergence([1.0, 2.0], [0.0, 2.0]) == math.inf
    assert kernel.divergence([0.0, 2.0], [0.0, 2.0]) == 0.0
    assert kernel.divergence([-1.0], [2.0]) == math.inf
    assert kernel.value([0.0, 1.0]) == -1.0
    assert kernel.value([-1.0]) == math.inf


def test_other_kernels_on_the_boundary():
    assert BurgEntropy().divergence([0.0], [1.0]) == math.inf
    assert BurgEntropy().value([0.0]) == math.inf
    assert BurgEntropy().conjugate([0.0]) == math.inf
    assert FermiDirac().value([0.0, 1.0]) == 0.0
    assert FermiDirac().divergence([0.0, 1.0], [0.5, 0.5]) == pytest.approx(2 * math.log(2))
    assert FermiDirac().divergence([0.5], [1.0]) == math.inf
    assert Hellinger().divergence([1.0], [0.0]) == pytest.approx(1.0)
    assert Hellinger().divergence([0.0], [1.0]) == math.inf
    assert Hellinger().divergence([1.0], [1.0]) == 0.0
    assert Hellinger().value([1.5]) == math.inf
    assert PowerEntropy(3.0).divergence([0.0], [0.0]) == 0.0
    assert PNorm(3.0).divergence([0.0, 0.0], [0.0, 0.0]) == 0.0
    assert PNorm(3.0).divergence([1.0, 0.0], [0.0, 0.0]) == pytest.approx(0.5)
    assert (PNorm(3.0).gradient([0.0, 0.0]) == 0).all()
    assert SimplexEntropy().divergence([0.0, 1.0], [0.5, 0.5]) == pytest.approx(math.log(2))
    assert SimplexEntropy().value([0.0, 1.0]) == 0.0
    assert SimplexEntropy().value([0.5, 0.6]) == math.inf


def test_matrix_kernels_on_the_boundary():
    singular = np.diag([1.0, 0.0])
    assert LogDeterminant().value(singular) == math.inf
    assert LogDeterminant().divergence(singular, np.eye(2)) == math.inf
    assert LogDeterminant().divergence(np.eye(2), singular) == math.inf
    assert VonNeumann().value(singular) == pytest.approx(-1.0)
    assert VonNeumann().divergence(singular, np.eye(2)) == pytest.approx(1.0)
    assert VonNeumann().divergence(np.eye(2), singular) == math.inf
    assert VonNeumann().divergence(singular, singular) == pytest.approx(0.0)


def test_von_neumann_relative_entropy_of_commuting_and_of_rotated_matrices():
    a, b = np.diag([0.2, 0.8]), np.diag([0.6, 0.4])
    shannon = ShannonEntropy().divergence(np.diag(a), np.diag(b))
    assert VonNeumann().divergence(a, b) == pytest.approx(shannon)
    turn = np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])
    assert VonNeumann().divergence(turn @ a @ turn.T, turn @ b @ turn.T) == pytest.approx(shannon)


# ---- extreme inputs: no warning (the suite turns warnings into errors), no NaN


@each([*SEPARABLE, SimplexEntropy(), PNorm(1.3), PNorm(4.0)])
def test_extreme_mirror_variables(kernel):
    numbers = [1e300, 1e10, 800.0, 1.0, 1e-10, 5e-324, 0.0]
    numbers = [-n for n in numbers if n] if not kernel.full_dual else [*numbers, *(-n for n in numbers)]
    for triple in itertools.product(numbers[::2], numbers[1::2], numbers[::3]):
        y = np.array(triple)
        x = kernel.conjugate_gradient(y)
        assert not np.isnan(x).any()
        assert not np.isnan(kernel.conjugate(y))
        if np.isfinite(x).all():
            assert kernel.in_closure(x)
        assert kernel.dual_divergence(y, y[::-1].copy()) >= 0
        assert not np.isnan(kernel.dual_divergence(y, np.full(3, -0.5)))
        if kernel.separable:
            assert not np.isnan(kernel.conjugate_hessian_diagonal(y)).any()


@each([*SEPARABLE, PNorm(1.3), PNorm(4.0)])
def test_extreme_points(kernel):
    numbers = np.array([5e-324, 1e-300, 1e-16, 0.5, 1.0, 1e16, 1e300, 1.7e308])
    if not isinstance(kernel, POSITIVE):
        numbers = np.concatenate([numbers, -numbers, [0.0]])
    for triple in itertools.product(numbers, numbers, [0.25, 1.25]):
        x = np.array(triple)
        y = np.array([triple[1], triple[0], 1.25])
        if not (kernel.in_domain(x) and kernel.in_domain(y)):
            continue
        assert not np.isnan(kernel.value(x))
        assert not np.isnan(kernel.gradient(x)).any()
        divergence = kernel.divergence(x, y)
        assert divergence >= 0
        if kernel.separable:
            assert not np.isnan(kernel.hessian_diagonal(x)).any()


def test_extreme_fermi_dirac_and_hellinger_points_round_trip():
    for kernel in (FermiDirac(), FermiDirac(-1.0, 3.0), Hellinger(2.0)):
        y = np.array([-30.0, -1e-12, 0.0, 1e-12, 30.0])
        np.testing.assert_allclose(kernel.gradient(kernel.conjugate_gradient(y)), y, rtol=0.15, atol=1e-12)
    tiny = np.array([1e-300, 1e-20])
    np.testing.assert_allclose(FermiDirac().conjugate_gradient(FermiDirac().gradient(tiny)), tiny, rtol=1e-12)


def test_softmax_ignores_a_common_shift_and_the_gauge_removes_it():
    kernel = SimplexEntropy(2.0)
    y = np.array([1.0, -2.0, 0.5])
    np.testing.assert_allclose(kernel.conjugate_gradient(y + 1e6), kernel.conjugate_gradient(y), rtol=1e-9)
    np.testing.assert_allclose(np.exp(kernel.gauge(y - 700.0)), kernel.conjugate_gradient(y), rtol=1e-12)
    assert kernel.conjugate_gradient(y).sum() == pytest.approx(2.0, abs=1e-15)
    # in the log domain nothing underflows
    assert (kernel.gauge([0.0, -1e300]) == [math.log(2.0), -1e300]).all()


def test_matrix_exponential_overflow_is_named():
    with pytest.raises(OverflowError, match="largest eigenvalue is 1e\\+300"):
        VonNeumann().conjugate_gradient(1e300 * np.eye(2))
    assert VonNeumann().conjugate(1e300 * np.eye(2)) == math.inf
    assert (VonNeumann().conjugate_gradient(-1e300 * np.eye(2)) == 0).all()


# ---- rows, dtypes, backends


@each([*SEPARABLE[:5], *SEPARABLE[6:]])
def test_axis_gives_the_sums_of_the_rows(kernel):
    rng = np.random.default_rng(4)
    x, y = (np.stack([draw(kernel, rng) for _ in range(4)]) for _ in range(2))
    u, v = kernel.gradient(x), kernel.gradient(y)
    np.testing.assert_allclose(kernel.value(x, axis=-1), [kernel.value(r) for r in x])
    np.testing.assert_allclose(kernel.conjugate(u, axis=-1), [kernel.conjugate(r) for r in u])
    np.testing.assert_allclose(kernel.divergence(x, y, axis=1), [kernel.divergence(a, b) for a, b in zip(x, y)])
    np.testing.assert_allclose(
        kernel.dual_divergence(u, v, axis=1), [kernel.dual_divergence(a, b) for a, b in zip(u, v)]
    )
    assert kernel.value(x) == pytest.approx(kernel.value(x, axis=0).sum())


@pytest.mark.parametrize(
    ("row", "rows"), [(SimplexEntropy(2.0), SimplexEntropy(2.0, -1)), (PNorm(1.5), PNorm(1.5, -1))]
)
def test_kernels_of_rows(row, rows):
    rng = np.random.default_rng(5)
    x, y = (np.stack([draw(row, rng) for _ in range(4)]) for _ in range(2))
    u, v = rows.gradient(x), rows.gradient(y)
    np.testing.assert_allclose(u, [row.gradient(r) for r in x])
    np.testing.assert_allclose(rows.conjugate_gradient(u), x)
    np.testing.assert_allclose(rows.value(x, axis=-1), [row.value(r) for r in x])
    np.testing.assert_allclose(rows.conjugate(u, axis=-1), [row.conjugate(r) for r in u])
    np.testing.assert_allclose(rows.divergence(x, y, axis=-1), [row.divergence(a, b) for a, b in zip(x, y)])
    np.testing.assert_allclose(rows.dual_divergence(u, v, axis=-1), [row.dual_divergence(a, b) for a, b in zip(u, v)])
    assert rows.in_domain(rows.default_point((4, 3)))
    assert rows.value(x) == pytest.approx(sum(row.value(r) for r in x))


@each(MATRIX)
def test_stacks_of_matrices(kernel):
    rng = np.random.default_rng(6)
    x, y = (np.stack([draw(kernel, rng) for _ in range(4)]) for _ in range(2))
    np.testing.assert_allclose(kernel.gradient(x), [kernel.gradient(m) for m in x])
    np.testing.assert_allclose(kernel.conjugate_gradient(kernel.gradient(x)), x)
    np.testing.assert_allclose(kernel.divergence(x, y, axis=0), sum(kernel.divergence(a, b) for a, b in zip(x, y)))
    assert kernel.value(x) == pytest.approx(sum(kernel.value(m) for m in x))
    assert kernel.conjugate(kernel.gradient(x)) == pytest.approx(sum(kernel.conjugate(m) for m in kernel.gradient(x)))


@each([*ALL, SimplexEntropy(1.0, 0)])
def test_float32_is_kept(kernel):
    x = draw(kernel, np.random.default_rng(7)).astype(np.float32)
    y = kernel.gradient(x)
    assert y.dtype == np.float32
    assert kernel.conjugate_gradient(y).dtype == np.float32
    np.testing.assert_allclose(kernel.conjugate_gradient(y), x, rtol=2e-4, atol=1e-4)
    if kernel.separable:
        assert kernel.hessian_diagonal(x).dtype == np.float32
        assert kernel.conjugate_hessian_diagonal(y).dtype == np.float32
        assert kernel.divergence(x, x, axis=0).dtype == np.float32


@each([*SEPARABLE, SimplexEntropy(), SimplexEntropy(1.0, 0), PNorm(1.3), PNorm(4.0)])
def test_another_array_library(kernel):
    xp = pytest.importorskip("array_api_strict")
    rng = np.random.default_rng(8)
    x, y = draw(kernel, rng), draw(kernel, rng)
    a, b = xp.asarray(x), xp.asarray(y)
    gradient = kernel.gradient(a)
    assert type(gradient) is type(a)
    np.testing.assert_allclose(np.asarray(gradient), kernel.gradient(x), rtol=1e-14)
    np.testing.assert_allclose(np.asarray(kernel.conjugate_gradient(gradient)), x, rtol=1e-10)
    assert kernel.value(a) == pytest.approx(kernel.value(x), rel=1e-14)
    assert kernel.conjugate(gradient) == pytest.approx(kernel.conjugate(kernel.gradient(x)), rel=1e-12)
    assert kernel.divergence(a, b) == pytest.approx(kernel.divergence(x, y), rel=1e-12)
    dual = kernel.dual_divergence(gradient, kernel.gradient(b))
    assert dual == pytest.approx(kernel.divergence(y, x), rel=1e-9)
    assert kernel.in_domain(a)
    assert kernel.in_closure(a)
    assert kernel.in_dual_domain(gradient)
    if isinstance(kernel, SeparableLegendre):
        assert type(kernel.hessian_diagonal(a)) is type(a)
        assert type(kernel.conjugate_hessian_diagonal(gradient)) is type(a)
    with pytest.raises(DomainError, match=r"index \[1\]"):
        kernel.gradient(xp.asarray([0.3, math.nan, 0.3]))


# ---- domains and bad input


@pytest.mark.parametrize(
    ("kernel", "bad", "text"),
    [
        (
            ShannonEntropy(),
            [1.0, 0.0],
            r"x must lie in the domain of ShannonEntropy\(\) \(x > 0\), got 0 at index \[1\]",
        ),
        (BurgEntropy(), [[1.0], [-2.0]], r"x > 0\), got -2 at index \[1, 0\]"),
        (FermiDirac(-1.0, 3.0), [0.0, 3.0], r"-1 < x < 3\), got 3 at index \[1\]"),
        (
            FermiDirac([0.0, 1.0], [1.0, 2.0]),
            [0.5, 0.5],
            r"domain of FermiDirac \(lower < x < upper\), got 0.5 at index \[1\]",
        ),
        (Hellinger(2.0), [2.0], r"-2 < x < 2\), got 2 at index \[0\]"),
        (SimplexEntropy(), [0.5, 0.6], "x must sum to 1, got 1.1"),
        (SimplexEntropy(1.0, -1), [[0.5, 0.5], [0.9, 0.2]], r"x must sum to 1 in the slice \[1, 0\], got 1.1"),
        (SimplexEntropy(), [1.0, 0.0], r"got 0 at index \[1\]"),
        (LogDeterminant(), np.diag([1.0, -2.0]), "smallest eigenvalue is -2"),
        (VonNeumann(), np.diag([1.0, 0.0]), "symmetric positive definite X"),
        (SquaredEuclidean(), [0.0, np.nan], r"x must be finite, got nan at index \[1\]"),
        (PNorm(3.0), [np.inf], r"x must be finite, got inf at index \[0\]"),
        (Mahalanobis(Q), [0.0, np.nan, 1.0], r"x must be finite, got nan at index \[1\]"),
    ],
    ids=lambda v: None,
)
def test_points_outside_the_domain_are_named(kernel, bad, text):
    with pytest.raises(DomainError, match=text):
        kernel.gradient(bad)
    with pytest.raises(DomainError, match=text.replace("x must", "start must")):
        kernel.check_domain(np.asarray(bad), "start")
    if np.isfinite(bad).all():
        assert not kernel.in_domain(np.asarray(bad))


@each(ALL)
def test_default_point_is_interior(kernel):
    point = kernel.default_point(3)
    assert kernel.in_domain(point)
    assert kernel.in_closure(point)
    kernel.check_domain(point)
    kernel.check_dual_domain(kernel.gradient(point))
    assert isinstance(kernel.domain, str)
    assert kernel.domain


def test_dual_domain_of_the_kernels_whose_gradient_is_not_onto():
    assert not BurgEntropy().in_dual_domain([-1.0, 0.0])
    with pytest.raises(DomainError, match=r"y < 0\), got 0 at index \[1\]"):
        BurgEntropy().conjugate_gradient([-1.0, 0.0])
    assert not LogDeterminant().in_dual_domain(np.diag([-1.0, 0.5]))
    with pytest.raises(DomainError, match=r"y must be a symmetric negative definite Y .* largest eigenvalue is 0.5"):
        LogDeterminant().conjugate_gradient(np.diag([-1.0, 0.5]))
    assert LogDeterminant().conjugate(np.diag([-1.0, 0.5])) == math.inf
    assert [k for k in ALL if not k.full_dual] == [BurgEntropy(), LogDeterminant()]


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: FermiDirac(1.0, 1.0), ValueError, "lower must be below upper"),
        (lambda: FermiDirac([0.0, 0.0], [1.0, 0.0]), ValueError, r"index \[1\]"),
        (lambda: FermiDirac([0.0, 0.0], [1.0, 1.0, 1.0]), ValueError, "broadcast"),
        (lambda: FermiDirac(0.0, np.inf), ValueError, "upper must be finite"),
        (lambda: Hellinger(0.0), ValueError, "radius must be a number above 0"),
        (lambda: PowerEntropy(1.0), ValueError, "p must be a number above 1"),
        (lambda: PNorm(0.5), ValueError, "p must be a number above 1"),
        (lambda: PNorm(2.0, axis=0.5), TypeError, "axis must be an integer"),
        (lambda: SimplexEntropy(-1.0), ValueError, "total must be a number above 0"),
        (lambda: SimplexEntropy(1.0, True), TypeError, "axis must be an integer"),
        (lambda: Mahalanobis([[1.0, 2.0]]), ValueError, "square"),
        (lambda: Mahalanobis([[1.0, 2.0], [0.0, 1.0]]), ValueError, r"symmetric.*differ by 2 at index \[0, 1\]"),
        (
            lambda: Mahalanobis([[1.0, 2.0], [2.0, 1.0]]),
            ValueError,
            "positive definite, but its smallest eigenvalue is -1",
        ),
        (lambda: Mahalanobis(Q).gradient([1.0, 2.0]), ValueError, r"shape \(\.\.\., 3\)"),
        (lambda: LogDeterminant().gradient([1.0, 2.0]), ValueError, r"shape \(n, n\)"),
        (lambda: VonNeumann().gradient([[1.0, 2.0], [0.0, 1.0]]), ValueError, "symmetric"),
        (lambda: VonNeumann().default_point((2, 3)), ValueError, "shape must be"),
        (lambda: ShannonEntropy().gradient(["a"]), TypeError, "x must hold real numbers"),
        (lambda: ShannonEntropy().divergence([1.0], [-1.0]), DomainError, "y must lie in the closure"),
        (lambda: VonNeumann().divergence(np.eye(2), -np.eye(2)), DomainError, "positive semidefinite"),
        (lambda: PNorm(2.0).hessian_diagonal([1.0]), TypeError, "not separable"),
    ],
    ids=lambda v: None,
)
def test_bad_input_is_named(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_kernels_are_values():
    assert FermiDirac([0.0], [1.0]) == FermiDirac([0.0], [1.0])
    assert hash(Mahalanobis(Q)) == hash(Mahalanobis(Q.copy()))
    assert FermiDirac() != FermiDirac(0.0, 2.0)
    assert ShannonEntropy() != BurgEntropy()
    assert len({Hellinger(), Hellinger(1.0), Hellinger(2.0)}) == 2
    bounds = np.array([0.0, 0.0])
    kernel = FermiDirac(bounds, 1.0)
    bounds[0] = 0.9
    assert kernel.in_domain([0.5, 0.5])


@each(SEPARABLE[:5])
def test_dual_divergence_is_accurate_for_close_arguments(kernel):
    v = kernel.gradient(draw(kernel, np.random.default_rng(9))[:1])
    u = v * (1 + 2.0**-40)
    second_order = float(np.sum(kernel.conjugate_hessian_diagonal(v) * (u - v) ** 2)) / 2
    assert kernel.dual_divergence(u, v) == pytest.approx(second_order, rel=1e-10, abs=0)
