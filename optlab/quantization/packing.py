"""Packed storage of codes, 1 to 4 bits each, and products with packed matrices.

Codes lie in their bytes from the low bits up, a whole number of them per byte: 8, 4, 2 and 2 for 1, 2, 3 and 4 bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from optlab.compiled.functions import I8, Compiled, vector
from optlab.core.validation import as_float_array, as_integer
from optlab.quantization.grids import as_bits
from optlab.quantization.maps import as_grid, nearest

Array = Any
_U1 = types.uint8


def _per_byte(bits: int) -> int:
    return 8 // bits if bits != 3 else 2


def _width(bits: int) -> int:
    return 8 // _per_byte(bits)


def pack(codes: Any, bits: int) -> Array:
    """Return codes as bytes.

    Parameters
    ----------
    codes : array_like of int
        From 0 to ``2**bits - 1``; any shape, taken row by row.
    bits : int
        From 1 to 4.

    Returns
    -------
    ndarray of uint8, shape (ceil(count / codes per byte),)

    Raises
    ------
    ValueError, TypeError
        If a code is no integer, or out of range; the message says where.

    Examples
    --------
    >>> pack([1, 2, 3, 0, 1], 2)
    array([57,  1], dtype=uint8)
    >>> unpack(pack([1, 2, 3, 0, 1], 2), 2, 5)
    array([1, 2, 3, 0, 1], dtype=uint8)
    """
    bits = as_bits(bits, 1, 4)
    given = np.asarray(codes)
    if given.dtype.kind not in "iub" and given.size:
        raise TypeError(f"codes must be integers, got dtype {given.dtype}")
    flat = given.ravel()
    wrong = np.flatnonzero((flat < 0) | (flat >= 2**bits))
    if wrong.size:
        raise ValueError(f"codes must be from 0 to {2**bits - 1} for {bits} bits, got {flat[wrong[0]]} at {wrong[0]}")
    each = _per_byte(bits)
    padded = np.zeros(-(-flat.size // each) * each, dtype=np.uint8)
    padded[: flat.size] = flat
    shifts = (np.arange(each) * _width(bits)).astype(np.uint8)
    return np.bitwise_or.reduce(padded.reshape(-1, each) << shifts, axis=1).astype(np.uint8)


def unpack(packed: Any, bits: int, count: int) -> Array:
    """Return the first `count` codes of packed bytes, uint8.

    Parameters
    ----------
    packed : array_like of uint8
    bits : int
        From 1 to 4.
    count : int
        How many codes there are: the last byte may be filled up.
    """
    bits = as_bits(bits, 1, 4)
    count = as_integer(count, "count", minimum=0)
    data = np.asarray(packed)
    if data.dtype != np.uint8 or data.ndim != 1:
        raise TypeError(f"packed must be a vector of uint8, as pack returns it, got {data.dtype} of {data.ndim} axes")
    each = _per_byte(bits)
    if count > data.size * each:
        raise ValueError(f"count must be at most {data.size * each}, the codes in {data.size} bytes, got {count}")
    shifts = (np.arange(each) * _width(bits)).astype(np.uint8)
    codes = (data[:, None] >> shifts) & np.uint8(2**bits - 1)
    return codes.ravel()[:count]


_REASSOCIATE = {"reassoc", "contract", "nsz"}  # sums in any order: that is what makes them vector sums
_BLOCK = 32  # bytes of a row whose tables stay in the first cache


# codes times x: places[e * stride + j] meets the code at place e of byte j. Shifts stand as numbers, so that the
# compiler sees how small the codes are and takes as many of them at once as there are of floats


def _ones_times(packed, stride, places, out):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        row = packed[i * stride : (i + 1) * stride]
        a, b = places[:stride], places[stride : 2 * stride]
        c, d = places[2 * stride : 3 * stride], places[3 * stride : 4 * stride]
        e, f = places[4 * stride : 5 * stride], places[5 * stride : 6 * stride]
        g, h = places[6 * stride : 7 * stride], places[7 * stride :]
        total = out[i]
        for j in range(row.size):
            v = np.int32(row[j])
            total += np.float32(v & 1) * a[j] + np.float32((v >> 1) & 1) * b[j]
            total += np.float32((v >> 2) & 1) * c[j] + np.float32((v >> 3) & 1) * d[j]
            total += np.float32((v >> 4) & 1) * e[j] + np.float32((v >> 5) & 1) * f[j]
            total += np.float32((v >> 6) & 1) * g[j] + np.float32((v >> 7) & 1) * h[j]
        out[i] = total


def _twos_times(packed, stride, places, out):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        row = packed[i * stride : (i + 1) * stride]
        a, b = places[:stride], places[stride : 2 * stride]
        c, d = places[2 * stride : 3 * stride], places[3 * stride :]
        total = out[i]
        for j in range(row.size):
            v = np.int32(row[j])
            total += np.float32(v & 3) * a[j] + np.float32((v >> 2) & 3) * b[j]
            total += np.float32((v >> 4) & 3) * c[j] + np.float32((v >> 6) & 3) * d[j]
        out[i] = total


def _fours_times(packed, stride, places, out):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        row = packed[i * stride : (i + 1) * stride]
        a, b = places[:stride], places[stride:]
        total = out[i]
        for j in range(row.size):
            v = np.int32(row[j])
            total += np.float32(v & 15) * a[j] + np.float32((v >> 4) & 15) * b[j]
        out[i] = total


def _levels_times(packed, stride, tables, out):  # type: ignore[no-untyped-def]
    # tables[j * 256 + byte] is what a byte at place j of a row contributes: one look-up for all codes in it
    for first in range(0, stride, _BLOCK):
        end = min(first + _BLOCK, stride)
        for i in range(out.size):
            row = i * stride
            total = out[i]
            for j in range(first, end):
                total += tables[(j << 8) + packed[row + j]]
            out[i] = total


def _tables_of(levels, bits, each, x, tables):  # type: ignore[no-untyped-def]
    mask = (1 << bits) - 1
    width = 8 // each
    for j in range(tables.size >> 8):
        for byte in range(256):
            total = 0.0
            for e in range(each):
                c = j * each + e
                if c < x.size:
                    total += levels[(byte >> (width * e)) & mask] * x[c]
            tables[(j << 8) + byte] = total


def _codes_signature(scalar: Any, layout: str = "C") -> Any:
    return types.void(vector(_U1, True), I8, vector(scalar, True), vector(scalar))


def _levels_signature(scalar: Any, layout: str = "C") -> Any:
    return types.void(vector(_U1, True), I8, vector(scalar, True), vector(scalar))


def _tables_signature(scalar: Any, layout: str = "C") -> Any:
    return types.void(vector(scalar, True), I8, I8, vector(scalar, True), vector(scalar))


_ONES = Compiled(_ones_times, _codes_signature, fastmath=_REASSOCIATE)
_TWOS = Compiled(_twos_times, _codes_signature, fastmath=_REASSOCIATE)
_FOURS = Compiled(_fours_times, _codes_signature, fastmath=_REASSOCIATE)
_CODES = {1: _ONES, 2: _TWOS, 4: _FOURS}  # by the width of a code in its byte
_LEVELS = Compiled(_levels_times, _levels_signature)
_TABLES = Compiled(_tables_of, _tables_signature)


class PackedMatrix:
    """A matrix whose entries are levels of a small grid, times a scale for each row: ``W = scale * grid[codes]``.

    Parameters
    ----------
    codes : array_like of int, shape (rows, columns)
    grid : array_like
        At most ``2**bits`` levels.
    bits : int
        From 1 to 4.
    scale : array_like, shape (rows,), optional
        Default: 1.

    Examples
    --------
    >>> W = PackedMatrix.of(np.array([[0.9, -1.2, 0.1], [2.1, 0.0, -0.3]]), [-1.0, 0.0, 1.0, 2.0], 2)
    >>> W.dense()
    array([[ 1., -1.,  0.],
           [ 2.,  0.,  0.]])
    >>> W @ np.array([1.0, 2.0, 3.0])
    array([-1.,  2.])
    """

    def __init__(self, codes: Any, grid: Any, bits: int, scale: Any = None) -> None:
        codes = np.asarray(codes)
        if codes.ndim != 2:
            raise ValueError(f"codes must be a matrix, got {codes.ndim} axes")
        self.bits = as_bits(bits, 1, 4)
        self.grid = as_grid(grid)
        if self.grid.size > 2**self.bits:
            raise ValueError(f"grid must have at most {2**self.bits} levels for {bits} bits, got {self.grid.size}")
        if codes.size and int(codes.max()) >= self.grid.size:
            raise ValueError(f"codes must be below {self.grid.size}, the levels of the grid, got {int(codes.max())}")
        self.shape = codes.shape
        each = _per_byte(self.bits)
        padded = np.zeros((codes.shape[0], -(-codes.shape[1] // each) * each), dtype=codes.dtype)
        padded[:, : codes.shape[1]] = codes
        self.packed = pack(padded, self.bits)
        self.scale = None if scale is None else as_float_array(scale, "scale", shape=(codes.shape[0],))

    @classmethod
    def of(cls, weights: Any, grid: Any, bits: int) -> PackedMatrix:
        """Return the nearest matrix with entries on the grid."""
        levels = as_grid(grid)
        W = as_float_array(weights, "weights", ndim=2)
        return cls(np.searchsorted(levels, nearest(W, levels)), levels, bits)

    @property
    def nbytes(self) -> int:
        """Bytes of the codes."""
        return int(self.packed.nbytes)

    def dense(self) -> Array:
        """Return the matrix as an array."""
        each = _per_byte(self.bits)
        stride = -(-self.shape[1] // each)
        codes = unpack(self.packed, self.bits, stride * each * self.shape[0]).reshape(self.shape[0], -1)
        W = self.grid[codes[:, : self.shape[1]]]
        return W if self.scale is None else self.scale[:, None] * W

    def __matmul__(self, x: Any) -> Array:
        """Return the product with a vector, in its precision (float32 or float64)."""
        x = np.asarray(x)
        if x.shape != (self.shape[1],):
            raise ValueError(f"x must be a vector of {self.shape[1]} entries, got shape {x.shape}")
        dtype = np.dtype(np.float32 if x.dtype == np.float32 else float)
        each = _per_byte(self.bits)
        stride = -(-self.shape[1] // each)
        padded = np.zeros(stride * each, dtype=dtype)
        padded[: x.size] = x
        out = np.zeros(self.shape[0], dtype=dtype)
        step = np.diff(self.grid)
        if step.size and np.ptp(step) <= 1e-12 * np.abs(self.grid).max():  # evenly spaced: an affine map of the codes
            places = np.ascontiguousarray(padded.reshape(stride, each).T).ravel()
            _CODES[_width(self.bits)].get(dtype)(self.packed, stride, places, out)
            out = dtype.type(step.mean()) * out + dtype.type(self.grid[0] * float(np.sum(x, dtype=float)))
        else:
            levels = np.zeros(2**self.bits, dtype=dtype)
            levels[: self.grid.size] = self.grid
            tables = np.empty(256 * stride, dtype=dtype)
            _TABLES.get(dtype)(levels, self.bits, each, padded, tables)
            _LEVELS.get(dtype)(self.packed, stride, tables, out)
        return out if self.scale is None else self.scale.astype(dtype) * out
