"""Forward, reflection and Mann operators: their formulas, their fixed points, and the range condition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optlab.bregman import (
    BurgEntropy,
    FermiDirac,
    Hellinger,
    KullbackLeibler,
    Linear,
    LogDeterminant,
    Quadratic,
    ShannonEntropy,
    Simplex,
    SquaredDistance,
    SquaredEuclidean,
    forward,
    mann,
    reflect,
    reflection,
    resolvent,
)
from optlab.core.errors import DomainError

KERNELS = [SquaredEuclidean(), ShannonEntropy(), FermiDirac(), Hellinger()]
each_kernel = pytest.mark.parametrize("kernel", KERNELS, ids=repr)
common = settings(deadline=None, derandomize=True, max_examples=15)
mirrors = st.lists(st.floats(-4, 4), min_size=3, max_size=3).map(np.array)
targets = np.array([0.2, 0.5, 0.7])


@each_kernel
@common
@given(mirror=mirrors, step_size=st.floats(1e-3, 1e3))
def test_forward_is_mirror_descent(kernel, mirror, step_size):
    term = SquaredDistance(targets)
    kept = mirror.copy()
    moved = forward(term, kernel, mirror, step_size)
    np.testing.assert_allclose(moved, mirror - step_size * (kernel.conjugate_gradient(mirror) - targets))
    np.testing.assert_allclose(moved, forward(term.gradient, kernel, mirror, step_size))
    assert (mirror == kept).all()


@each_kernel
@common
@given(mirror=mirrors, step_size=st.floats(1e-3, 1e3))
def test_resolvent_undoes_a_backward_looking_forward_step(kernel, mirror, step_size):
    # J(grad h + g T)(x) = x: with u = m + g T(x), the resolvent of u is m and its reflection is m - g T(x)
    slope = kernel.conjugate_gradient(mirror) - targets
    reflected = reflection(SquaredDistance(targets), kernel, mirror + step_size * slope, step_size)
    np.testing.assert_allclose(reflected, mirror - step_size * slope, rtol=1e-9, atol=1e-9 * (1 + step_size))


@each_kernel
@common
@given(mirror=mirrors, step_size=st.floats(1e-2, 10), lam=st.floats(0.1, 2.0))
def test_mann_average_of_two_reflections_is_relaxed_douglas_rachford(kernel, mirror, step_size, lam):
    f, g = Linear([1.0, -0.5, 0.25]), SquaredDistance(targets)

    def peaceman_rachford(m):
        return reflection(f, kernel, reflection(g, kernel, m, step_size), step_size)

    x = resolvent(g, kernel, mirror, step_size)
    y = resolvent(f, kernel, 2 * x - mirror, step_size)
    np.testing.assert_allclose(
        mann(peaceman_rachford, kernel, mirror, 1 - lam / 2), mirror + lam * (y - x), rtol=1e-12, atol=1e-11
    )


def test_reflection_takes_a_resolvent_as_a_function():
    def halve(mirror, step_size):
        return mirror / (1 + step_size)

    expected = reflection(halve, ShannonEntropy(), [2.0, -4.0], 1.0)
    assert (expected == [0.0, 0.0]).all()
    assert (reflect(ShannonEntropy(), np.array([2.0, -4.0]), np.array([1.0, -2.0])) == expected).all()


def test_reflection_through_a_minimiser_leaves_it_in_place():
    mirror = np.log(targets)
    np.testing.assert_allclose(reflection(KullbackLeibler(targets), ShannonEntropy(), mirror, 7.0), mirror, atol=1e-14)


def test_euclidean_reflection_is_the_classical_one():
    Q, c = np.diag([1.0, 4.0]), np.array([1.0, 0.0])
    z = np.array([0.5, -1.0])
    prox = np.linalg.solve(np.eye(2) + 0.3 * Q, z - 0.3 * c)
    np.testing.assert_allclose(reflection(Quadratic(Q, c), SquaredEuclidean(), z, 0.3), 2 * prox - z)


def test_range_condition_under_burg_names_the_entry_and_a_remedy():
    # far from the simplex the resolvent moves the mirror variable by more than half of its distance to 0
    mirror = BurgEntropy().gradient([1.0, 0.001, 1.0])
    with pytest.raises(DomainError) as caught:
        reflection(lambda m, g: m + 0.9 * g, BurgEntropy(), mirror, 1.0)
    message = str(caught.value)
    assert message.startswith("2 grad h(J z) - grad h(z) must lie in the dual domain of BurgEntropy() (y < 0), got 0.8")
    assert "at index [0]" in message
    assert "a smaller step size may keep it there, a kernel whose gradient is onto always does" in message
    assert reflection(lambda m, g: m + 0.9 * g, BurgEntropy(), mirror, 0.5)[0] == pytest.approx(-0.1)


def test_range_condition_under_a_term_with_a_resolvent():
    # the simplex pulls 10 and 10 down to 1/2 each: mirror -0.1 -> -2, reflected -3.9; pulled up it fails
    kernel = BurgEntropy()
    np.testing.assert_allclose(reflection(Simplex(), kernel, [-0.1, -0.1], 1.0), [-3.9, -3.9])
    with pytest.raises(DomainError, match="must lie in the dual domain"):
        reflection(Simplex(), kernel, [-5.0, -5.0], 1.0)  # resolvent -2, reflected +1


def test_range_condition_for_matrices_and_for_the_other_operators():
    kernel = LogDeterminant()
    with pytest.raises(DomainError, match="largest eigenvalue is 1; a smaller step size"):
        reflect(kernel, -3.0 * np.eye(2), -1.0 * np.eye(2))
    with pytest.raises(DomainError, match=r"grad h\(z\) - step_size \* T\(z\) must lie"):
        forward(Linear([-2.0]), BurgEntropy(), [-1.0], 1.0)
    with pytest.raises(DomainError, match="weight"):
        mann(lambda m: m / 10, BurgEntropy(), [-1.0], -1.0)
    # a convex combination of mirror variables always is one
    assert (mann(lambda m: m / 10, BurgEntropy(), [-1.0], 0.5) < 0).all()


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: forward(3.0, ShannonEntropy(), [0.0], 1.0), TypeError, "operator must be a term or a function"),
        (lambda: forward(Linear([1.0]), Linear([1.0]), [0.0], 1.0), TypeError, "kernel must be a Legendre function"),
        (lambda: forward(Simplex(), ShannonEntropy(), [0.0], 1.0), TypeError, "Simplex is not smooth"),
        (lambda: reflection("f", ShannonEntropy(), [0.0], 1.0), TypeError, "operator must be a term, or its resolvent"),
        (
            lambda: reflection(Linear([1.0]), ShannonEntropy(), [0.0], 0.0),
            ValueError,
            "step_size must be a number above 0",
        ),
        (lambda: reflection(Linear([1.0]), ShannonEntropy(), [np.nan], 1.0), DomainError, "mirror must be finite"),
        (
            lambda: reflection(lambda m, g: m, BurgEntropy(), [1.0], 1.0),
            DomainError,
            "mirror must lie in the dual domain",
        ),
        (lambda: mann(None, ShannonEntropy(), [0.0]), TypeError, "mapping must be a function"),
        (lambda: mann(lambda m: m, ShannonEntropy(), [0.0], 1.5), ValueError, "weight must be a number at most 1"),
        (lambda: mann(lambda m: m + np.inf, ShannonEntropy(), [0.0]), DomainError, "must be finite"),
    ],
    ids=lambda v: None,
)
def test_bad_input_is_named(call, error, text):
    with pytest.raises(error, match=text):
        call()
