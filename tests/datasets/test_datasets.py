"""The data sets: what they promise about shapes, ranges, seeds and operators, and what they refuse."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optlab import datasets
from optlab.datasets.transport import FAMILIES, MARGINALS


def test_importing_loads_no_slow_library():
    code = "import sys, optlab.datasets; print([m for m in ('sklearn', 'matplotlib', 'cvxpy') if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["china", "flower"])
def test_photographs_are_in_range_and_keep_their_mean(name):
    full = datasets.photograph(name)
    assert full.shape == (427, 640, 3)
    assert full.dtype == np.float64
    assert full.min() >= 0
    assert full.max() <= 1
    small = datasets.photograph(name, size=(50, 70))
    assert small.shape == (50, 70, 3)
    np.testing.assert_allclose(small.mean(axis=(0, 1)), full.mean(axis=(0, 1)), rtol=1e-12)
    assert datasets.photograph(name, size=40, grey=True).shape == (40, 40)


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_downsampling_averages_areas(height, width, data):
    image = np.random.default_rng(height * 10 + width).random((height, width))
    size = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    small = datasets.downsample(image, size)
    assert small.shape == size
    assert small.mean() == pytest.approx(image.mean(), rel=1e-12)
    # repeating every pixel does not change what an area average sees
    np.testing.assert_allclose(datasets.downsample(np.kron(image, np.ones((3, 2))), size), small, atol=1e-12)


def test_downsampling_by_whole_factors_is_a_block_mean():
    image = np.random.default_rng(0).random((6, 8, 3))
    blocks = image.reshape(3, 2, 2, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(datasets.downsample(image, (3, 2)), blocks, atol=1e-14)


def test_digits():
    images, labels = datasets.digit_images()
    assert images.shape == (1797, 8, 8)
    assert images.min() == 0
    assert images.max() == 1
    sevens, sevens_labels = datasets.digit_images(7)
    np.testing.assert_array_equal(sevens, images[labels == 7])
    assert set(sevens_labels) == {7}


@pytest.mark.parametrize("boundary", ["reflective", "periodic"])
@pytest.mark.parametrize("width", [0.3, 1.5, 4.0])
def test_blur_is_symmetric_nonnegative_and_keeps_sums(boundary, width):
    blur = datasets.GaussianBlur(width, boundary)
    shape = (7, 5)
    matrix = np.array([blur.apply(e.reshape(shape)).ravel() for e in np.eye(35)])
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-15)
    assert matrix.min() >= 0
    np.testing.assert_allclose(matrix.sum(axis=0), 1.0, rtol=1e-12)
    x = np.random.default_rng(1).random(shape)
    np.testing.assert_allclose(blur.adjoint(x).ravel(), matrix.T @ x.ravel(), atol=1e-14)


def test_blur_is_a_circular_convolution_when_periodic():
    blur = datasets.GaussianBlur(1.0, "periodic", radius=3)
    image = np.random.default_rng(0).random((16, 16))
    point = np.zeros((16, 16))
    point[0, 0] = 1.0
    expected = np.fft.ifft2(np.fft.fft2(image) * np.fft.fft2(blur.apply(point))).real
    np.testing.assert_allclose(blur.apply(image), expected, atol=1e-13)


def test_blurred_photograph_is_seeded_and_has_poisson_statistics():
    data = datasets.blurred_photograph(size=64, photons=100.0, background=2.0, seed=5)
    again = datasets.blurred_photograph(size=64, photons=100.0, background=2.0, seed=5)
    other = datasets.blurred_photograph(size=64, photons=100.0, background=2.0, seed=6)
    np.testing.assert_array_equal(data.observation, again.observation)
    assert np.any(data.observation != other.observation)
    mean = data.blur.apply(data.image) + data.background
    normalized = (data.observation - mean) / np.sqrt(mean)
    assert abs(normalized.mean()) < 0.05
    assert normalized.std() == pytest.approx(1.0, abs=0.05)


def test_tables_are_standardised():
    for A, target in (datasets.diabetes(), datasets.breast_cancer()):
        assert A.shape[0] == target.shape[0]
        np.testing.assert_allclose(A.mean(axis=0), 0.0, atol=1e-12)
        np.testing.assert_allclose(A.std(axis=0), 1.0, rtol=1e-12)
    assert set(datasets.breast_cancer()[1]) == {-1.0, 1.0}
    np.testing.assert_array_equal(datasets.standardize(np.full((4, 1), 0.1)), 0.0)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("shape", [(1, 1), (6, 6), (5, 9)])
def test_transport_families(name, shape):
    a, b, cost = datasets.transport_family(name, *shape, seed=3)
    assert (a.size, b.size) == shape
    assert cost.shape == shape
    assert a.min() > 0
    assert b.min() > 0
    assert a.sum() == pytest.approx(1.0, abs=1e-14)
    assert b.sum() == pytest.approx(1.0, abs=1e-14)
    assert cost.min() >= 0
    assert cost.max() == (1.0 if shape != (1, 1) or name != "grid1d" else 0.0)
    for first, second in zip((a, b, cost), datasets.transport_family(name, *shape, seed=3)):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", FAMILIES)
def test_transport_families_depend_on_the_seed(name):
    first, second = (datasets.transport_family(name, 8, seed=seed) for seed in (0, 1))
    assert any(np.any(x != y) for x, y in zip(first, second))


@pytest.mark.parametrize("kind", MARGINALS)
def test_marginals(kind):
    weights = datasets.marginal(kind, 200, seed=2)
    assert weights.sum() == pytest.approx(1.0)
    assert weights.min() > 0
    spread = weights.max() / weights.min()
    assert spread == 1.0 if kind == "uniform" else (spread < 12 if kind == "random" else spread > 1e4)


def test_counterexample_has_balanced_rational_marginals():
    a, b, cost = datasets.divergence_counterexample()
    np.testing.assert_allclose(50 * a, [17, 14, 19])
    np.testing.assert_allclose(50 * b, [3, 16, 14, 17])
    assert a.sum() == pytest.approx(b.sum())
    assert cost.max() == 1.0


def test_games():
    np.testing.assert_array_equal(datasets.rock_paper_scissors(), -datasets.rock_paper_scissors().T)
    assert np.any(datasets.rock_paper_scissors(0.1, seed=1) != datasets.rock_paper_scissors(0.1, seed=2))
    blotto = datasets.blotto_game(4)
    np.testing.assert_array_equal(blotto, -blotto.T)
    assert datasets.gaussian_game(4, 6, seed=1).shape == (4, 6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: datasets.photograph("tower"), "name must be one of"),
        (lambda: datasets.photograph(size=500), r"size must be at most that of the image \(427, 427\)"),
        (lambda: datasets.photograph(size=0), r"size\[0\] must be an integer of at least 1"),
        (lambda: datasets.photograph(size=(3, 4, 5)), "size must be an integer or a pair"),
        (lambda: datasets.downsample([[np.nan]], 1), r"image must be finite, got nan at index \[0, 0\]"),
        (lambda: datasets.digit_images(10), "digit must be between 0 and 9"),
        (lambda: datasets.GaussianBlur(0.0), "width must be a number above 0"),
        (lambda: datasets.GaussianBlur(1.0, "zero"), "boundary must be one of"),
        (lambda: datasets.blurred_photograph(photons=-1.0), "photons must be a number above 0"),
        (lambda: datasets.blurred_photograph(background=-1.0), "background must be a number at least 0"),
        (lambda: datasets.transport_family("sq3d", 5), "did you mean 'sq2d'"),
        (lambda: datasets.transport_family("rand", 0), "n must be an integer of at least 1"),
        (lambda: datasets.transport_family("rand", 3, 0), "m must be an integer of at least 1"),
        (lambda: datasets.transport_family("rand", 3, seed=-1), "seed must be an integer of at least 0"),
        (lambda: datasets.marginal("even", 3), "kind must be one of"),
        (lambda: datasets.gaussian_game(0), "n must be an integer of at least 1"),
        (lambda: datasets.blotto_game(3, 0), "fields must be an integer of at least 1"),
        (lambda: datasets.rock_paper_scissors(-1.0), "perturbation must be a number at least 0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
