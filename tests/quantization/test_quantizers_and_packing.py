"""ParetoQ's quantizers against published values and differences; packed storage against dense products."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optlab.quantization import LSQ, SEQ, ElasticBinary, PackedMatrix, pack, unpack

X = np.array([[-1.7, -0.9, -0.35, -0.1, 0.05, 0.4, 0.8, 2.2]])


def test_published_values():
    np.testing.assert_allclose(SEQ(2).quantize(X, 2.0), [[-1.5, -0.5, -0.5, -0.5, 0.5, 0.5, 0.5, 1.5]])
    third = 4 / 3
    np.testing.assert_allclose(SEQ(1.58).quantize(X, 2.0), [[-third, -third, 0, 0, 0, 0, third, third]])
    np.testing.assert_allclose(LSQ(3).quantize(X, 0.6), [[-1.8, -1.2, -0.6, 0, 0, 0.6, 0.6, 1.8]])
    np.testing.assert_allclose(ElasticBinary().quantize(X), np.sign(X) * np.mean(np.abs(X)))


@pytest.mark.parametrize("quantizer", [ElasticBinary(), SEQ(1.58), SEQ(2), LSQ(3), LSQ(4)])
def test_gradient_of_the_scale_is_the_derivative_where_the_codes_stay(quantizer):
    rng = np.random.default_rng(0)
    W, g = rng.normal(size=(5, 64)), rng.normal(size=(5, 64))
    alpha = 0.7 * quantizer.initial_scale(W)
    _, slope = quantizer.gradients(W, alpha, g)
    positive = 3 if quantizer == LSQ(3) else 7 if quantizer == LSQ(4) else 1
    h = 1e-7
    # straight through: inside the range rounding counts as the identity, so that d/d alpha is W_q/alpha - W/alpha
    codes = quantizer.quantize(W, alpha) / alpha
    x = W / alpha
    limit = 1.0 if isinstance(quantizer, ElasticBinary) else 0.99
    if isinstance(quantizer, LSQ):
        inside = (x >= quantizer.levels()[0]) & (x <= quantizer.levels()[-1])
    else:
        inside = np.abs(x) <= limit
    factor = codes if isinstance(quantizer, ElasticBinary) else np.where(inside, codes - x, codes)
    expected = np.sum(g * factor, axis=1, keepdims=True) / np.sqrt(W.size * positive)
    np.testing.assert_allclose(slope, expected, atol=1e-12)
    outside = ~inside
    if outside.any() and not isinstance(quantizer, ElasticBinary):  # there it is the true derivative
        moved = (quantizer.quantize(W, alpha + h) - quantizer.quantize(W, alpha)) / h
        np.testing.assert_allclose(moved[outside], codes[outside], atol=1e-6)


def test_gradients_of_weights_are_frozen_outside_the_range():
    W, g = np.array([[-3.0, -0.5, 0.5, 3.0]]), np.ones((1, 4))
    np.testing.assert_array_equal(ElasticBinary().gradients(W, 1.0, g)[0], [[0, 1, 1, 0]])
    np.testing.assert_array_equal(LSQ(2).gradients(W, 1.0, g)[0], [[0, 1, 1, 0]])


def test_levels_and_starts():
    np.testing.assert_allclose(SEQ(2).levels(), [-0.75, -0.25, 0.25, 0.75])
    np.testing.assert_allclose(SEQ(1.58).levels(), [-2 / 3, 0, 2 / 3])
    assert LSQ(3).levels().tolist() == [-4, -3, -2, -1, 0, 1, 2, 3]
    assert LSQ(3).initial_scale(X)[0, 0] == pytest.approx(2.2 / 3)
    for quantizer in (SEQ(2), LSQ(4)):
        assert np.all(np.isfinite(quantizer.quantize(np.zeros((2, 3)))))


def test_arguments_are_checked():
    with pytest.raises(ValueError, match=r"bits must be 1\.58 or 2"):
        SEQ(3)
    with pytest.raises(ValueError, match="bits must be at most 8"):
        LSQ(9)
    with pytest.raises(ValueError, match="one number per row"):
        LSQ(3).quantize(X, np.ones((2, 1)))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(0, 70), st.integers(0, 10**6))
def test_packing_loses_nothing(bits, count, seed):
    codes = np.random.default_rng(seed).integers(0, 2**bits, size=count)
    packed = pack(codes, bits)
    assert packed.dtype == np.uint8
    assert packed.size == -(-count // {1: 8, 2: 4, 3: 2, 4: 2}[bits])
    assert np.array_equal(unpack(packed, bits, count), codes)


def test_codes_out_of_range_are_named():
    with pytest.raises(ValueError, match=r"from 0 to 3 for 2 bits, got 4 at 1"):
        pack([0, 4], 2)
    with pytest.raises(TypeError, match="must be integers"):
        pack([0.5], 2)
    with pytest.raises(ValueError, match="at most 8"):
        unpack(np.zeros(1, np.uint8), 1, 9)


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_are_those_of_the_dense_matrix(bits, dtype):
    rng = np.random.default_rng(bits)
    grid = np.sort(rng.normal(size=2**bits))
    codes, scale = rng.integers(0, 2**bits, size=(13, 37)), rng.uniform(0.5, 2.0, 13)
    W = PackedMatrix(codes, grid, bits, scale)
    np.testing.assert_allclose(W.dense(), scale[:, None] * grid[codes])
    x = rng.normal(size=37).astype(dtype)
    found = W @ x
    assert found.dtype == dtype
    np.testing.assert_allclose(found, W.dense() @ x, rtol=1e-5 if dtype == np.float32 else 1e-12, atol=1e-5)
    assert W.nbytes == 13 * -(-37 // {1: 8, 2: 4, 3: 2, 4: 2}[bits])
    with pytest.raises(ValueError, match="vector of 37"):
        W @ np.ones(3)
