"""Compressors: unbiased where they say so, constants by enumeration, bits, inputs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from optlab.compression import Dithering, NaturalCompression, NoCompression, RandK, ScaledSign, TopK

UNBIASED = [RandK(2), RandK(1, shared_seed=False), NaturalCompression(), Dithering(1), Dithering(4), NoCompression()]
FLOATS = st.floats(-1e150, 1e150).map(lambda v: v if abs(v) > 1e-150 else 0.0)
VECTORS = arrays(float, 6, elements=FLOATS)


def moments(compressor, x):
    """Return mean and mean square by enumeration: entries are rounded independently, or indices drawn evenly."""
    d = x.size
    if isinstance(compressor, RandK):
        outcomes = []
        for chosen in itertools.combinations(range(d), compressor.k):
            sent = np.zeros(d)
            sent[list(chosen)] = x[list(chosen)] * d / compressor.k
            outcomes.append(sent)
        return np.mean(outcomes, axis=0), np.mean(np.sum(np.square(outcomes), axis=1))
    if isinstance(compressor, NaturalCompression):
        low = np.where(x == 0, 0.0, 2.0 ** np.floor(np.log2(np.abs(np.where(x == 0, 1.0, x)))))
        width = low
    else:
        width = np.linalg.norm(x) / compressor.levels
        low = np.floor(np.abs(x) / width) * width
    up = np.where(width > 0, (np.abs(x) - low) / np.where(width > 0, width, 1.0), 0.0)
    return np.sign(x) * (low + up * width), float(np.sum((1 - up) * low**2 + up * (low + width) ** 2))


@pytest.mark.parametrize("compressor", UNBIASED[:-1], ids=repr)
def test_samples_agree_with_the_enumerated_moments_and_these_with_the_constants(compressor):
    rng = np.random.default_rng(0)
    x = rng.normal(size=5) * [1, 1, 10, 0.1, 0]
    mean, square = moments(compressor, x)
    np.testing.assert_allclose(mean, x, rtol=1e-12)
    assert square <= compressor.variance(5) * float(x @ x) * (1 + 1e-12)
    sent = compressor(np.tile(x, (40_000, 1)), rng)
    spread = np.linalg.norm(x) * np.sqrt(compressor.variance(5) / 40_000)
    assert np.linalg.norm(sent.mean(axis=0) - x) <= 4 * spread
    assert np.mean(np.sum(sent**2, axis=1)) == pytest.approx(square, rel=0.03)


def test_constants_are_attained():
    x = np.full(6, 4.0 / 3.0)
    assert moments(NaturalCompression(), x)[1] == pytest.approx(1.125 * float(x @ x), rel=1e-12)
    assert moments(RandK(2), x)[1] == pytest.approx(RandK(2).variance(6) * float(x @ x), rel=1e-12)
    ones = np.ones(6)
    rng = np.random.default_rng(0)
    assert np.sum((TopK(2)(ones, rng) - ones) ** 2) == pytest.approx((1 - TopK(2).contraction(6)) * 6)


@given(VECTORS, st.sampled_from([*UNBIASED, TopK(2), ScaledSign()]))
def test_finite_vectors_give_finite_messages_with_the_right_signs(x, compressor):
    sent = compressor(x, np.random.default_rng(0))
    assert np.all(np.isfinite(sent))
    assert np.all(sent * np.sign(x) >= 0)


@given(VECTORS, st.sampled_from([TopK(1), TopK(3), ScaledSign()]))
def test_contractive_compressors_contract(x, compressor):
    x = x / max(np.abs(x).max(), 1e-300)
    lost = np.sum((compressor(x, np.random.default_rng(0)) - x) ** 2)
    assert lost <= (1 - compressor.contraction(6)) * np.sum(x**2) * (1 + 1e-12) + 1e-300


def test_extremes_stay_finite_and_arguments_are_not_changed():
    x = np.array([1.7e308, -5e-324, 0.0])
    before = x.copy()
    for compressor in (NaturalCompression(), Dithering(3), RandK(3), TopK(1)):
        assert np.all(np.isfinite(compressor(x, np.random.default_rng(0))))
        assert np.array_equal(x, before)


def test_bits():
    assert RandK(3).bits(30) == 192
    assert RandK(3, shared_seed=False).bits(30) == 3 * (64 + 5)
    assert TopK(3).bits(30, word=32) == 3 * 37
    assert NaturalCompression().bits(30, word=32) == 270
    assert Dithering(4).bits(30) == 64 + 30 * 4
    assert NoCompression().bits(30) == 1920
    assert ScaledSign().bits(30) == 94


def test_arguments():
    with pytest.raises(ValueError, match="k must be at most the number of entries, 3, got 4"):
        RandK(4)(np.ones(3), np.random.default_rng(0))
    with pytest.raises(ValueError, match="levels"):
        Dithering(0)
    with pytest.raises(ValueError, match="k"):
        TopK(0)
