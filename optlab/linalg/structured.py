"""Linear maps without a matrix: finite differences, convolution, subsampled Fourier transforms, sampling.

All act on real arrays. Complex images and spectra are real arrays with a last axis of length 2, real and imaginary
part, so that their inner product is ``Re <x, y>`` and every term applies to them; `SubsampledFourier.to_complex` and
`from_complex` convert.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import fft

from optlab.core.validation import as_data, as_flag, as_integer, one_of, read_only
from optlab.linalg.base import Array, LinearMap, as_shape


class FiniteDifferences(LinearMap):
    """Forward differences of an array along its axes, in units of one pixel.

    The result has a first axis of length ``len(axes)``, one array of differences of the same shape for each axis, the
    last difference along it being zero (or going around, if periodic). For vectors it is plainly the vector of the
    n - 1 differences (n, if periodic).

    Parameters
    ----------
    shape : int or tuple of int
    axes : sequence of int, optional
        Default: all.
    boundary : {"free", "periodic"}
        What follows the last entry along an axis: nothing, or the first one.

    Notes
    -----
    The norm is exact: the square is the sum over the axes of ``4 cos^2(pi / 2n)`` (free), or of the largest
    ``4 sin^2(pi j / n)`` (periodic).

    Examples
    --------
    >>> FiniteDifferences(4).apply(np.array([1.0, 3.0, 3.0, 0.0]))
    array([ 2.,  0., -3.])
    >>> FiniteDifferences((2, 2)).apply(np.array([[1.0, 2.0], [5.0, 9.0]])).tolist()
    [[[4.0, 7.0], [0.0, 0.0]], [[1.0, 0.0], [4.0, 0.0]]]
    """

    def __init__(self, shape: Any, axes: Any = None, boundary: str = "free") -> None:
        self.shape_in = as_shape(shape)
        ndim = len(self.shape_in)
        given = range(ndim) if axes is None else ((axes,) if np.ndim(axes) == 0 else axes)
        self.axes = tuple(as_integer(axis, "axes", minimum=-ndim) % ndim for axis in given if _is_axis(axis, ndim))
        if not self.axes or len(set(self.axes)) < len(self.axes):
            raise ValueError(f"axes must name one or more different axes, got {axes!r}")
        self.boundary = one_of(boundary, "boundary", ("free", "periodic"))
        self.flat = ndim == 1
        if self.flat:
            count = self.shape_in[0] - (self.boundary == "free")
            if count < 1:
                raise ValueError("a vector needs at least two entries to have a difference")
            self.shape_out = (count,)
        else:
            self.shape_out = (len(self.axes), *self.shape_in)

    def apply(self, x: Array) -> Array:
        if self.flat:
            return x[1:] - x[:-1] if self.boundary == "free" else np.roll(x, -1) - x
        y = np.zeros(self.shape_out, dtype=np.result_type(x, np.float32))
        for out, axis in zip(y, self.axes):
            first, last, wrapped = _ends(axis, x.ndim)
            np.subtract(x[last], x[first], out=out[first])
            if self.boundary == "periodic":
                np.subtract(x[wrapped[0]], x[wrapped[1]], out=out[wrapped[1]])
        return y

    def adjoint(self, y: Array) -> Array:
        if self.flat:
            if self.boundary == "periodic":
                return np.roll(y, 1) - y
            x = np.empty(self.shape_in, dtype=y.dtype)
            x[0], x[-1] = -y[0], y[-1]
            np.subtract(y[:-1], y[1:], out=x[1:-1])
            return x
        x = np.zeros(self.shape_in, dtype=np.result_type(y, np.float32))
        for part, axis in zip(y, self.axes):
            first, last, wrapped = _ends(axis, x.ndim)
            x[first] -= part[first]
            x[last] += part[first]
            if self.boundary == "periodic":
                x[wrapped[1]] -= part[wrapped[1]]
                x[wrapped[0]] += part[wrapped[1]]
        return x

    def _norm_bound(self) -> float:
        total = 0.0
        for axis in self.axes:
            n = self.shape_in[axis]
            if self.boundary == "periodic":
                total += 4.0 * math.sin(math.pi * (n // 2) / n) ** 2
            elif n > 1:
                total += 4.0 * math.cos(math.pi / (2 * n)) ** 2
        return math.sqrt(total) * (1.0 + 1e-15)


def _is_axis(axis: Any, ndim: int) -> bool:
    if not -ndim <= as_integer(axis, "axes") < ndim:
        raise ValueError(f"axes must lie between {-ndim} and {ndim - 1}, got {axis}")
    return True


def _ends(axis: int, ndim: int) -> tuple[Any, Any, tuple[Any, Any]]:
    """Return the index of all but the last along an axis, of all but the first, and of (the first, the last)."""
    before = (slice(None),) * axis
    first, last = (*before, slice(None, -1)), (*before, slice(1, None))
    return first, last, ((*before, slice(0, 1)), (*before, slice(-1, None)))


class Convolution(LinearMap):
    """Periodic convolution of arrays of a shape with a small kernel, by the fast Fourier transform.

    Parameters
    ----------
    kernel : array_like
        The weights; as many dimensions as `shape` has, and at most as long along each. Its entry at ``size // 2`` falls
        on the pixel itself.
    shape : int or tuple of int

    Notes
    -----
    The norm is exact: the largest modulus of the kernel's transform. `gram_inverse` makes the proximal operator of
    ``|A x - b|^2 / 2`` as cheap as a convolution.

    Examples
    --------
    >>> blur = Convolution([0.25, 0.5, 0.25], 4)
    >>> blur.apply(np.array([4.0, 0.0, 0.0, 0.0])), blur.norm
    (array([2., 1., 0., 1.]), 1.0)
    """

    def __init__(self, kernel: Any, shape: Any) -> None:
        self.shape_in = self.shape_out = as_shape(shape)
        kernel = as_data(kernel, "kernel", ndim=len(self.shape_in))
        if any(k > n for k, n in zip(kernel.shape, self.shape_in)):
            raise ValueError(f"kernel of shape {kernel.shape} is larger than the arrays, of shape {self.shape_in}")
        self.kernel = kernel
        spread = np.zeros(self.shape_in, dtype=kernel.dtype)
        spread[tuple(slice(0, k) for k in kernel.shape)] = kernel
        spread = np.roll(spread, [-(k // 2) for k in kernel.shape], axis=tuple(range(kernel.ndim)))
        #: The kernel's transform: half of it, as `scipy.fft.rfftn` returns it.
        self.transfer = read_only(fft.rfftn(spread))
        self._conjugate = np.conj(self.transfer)

    def _filtered(self, x: Array, transfer: Array) -> Array:
        return fft.irfftn(fft.rfftn(x) * transfer, s=self.shape_in)

    def apply(self, x: Array) -> Array:
        return self._filtered(x, self.transfer)

    def adjoint(self, y: Array) -> Array:
        return self._filtered(y, self._conjugate)

    def gram_inverse(self, strength: float) -> Any:
        """Return the map ``x -> (I + strength A^T A)^{-1} x``."""
        inverse = 1.0 / (1.0 + strength * np.abs(self.transfer) ** 2)
        inverse = inverse.astype(np.abs(self.transfer).dtype, copy=False)
        return lambda x: self._filtered(x, inverse)

    def _norm_bound(self) -> float:
        return float(np.max(np.abs(self.transfer)))

    def _tight(self) -> float | None:
        sizes = np.abs(self.transfer) ** 2
        top = float(sizes.max())
        return top if top > 0 and float(sizes.min()) >= (1.0 - 1e-12) * top else None


class SubsampledFourier(LinearMap):
    """The entries, under a mask, of the unitary discrete Fourier transform of an array: Cartesian MRI.

    Parameters
    ----------
    mask : array_like of bool
        Which entries of the transform are kept, of the shape of the images; at least one.
    axes : sequence of int, optional
        The axes that are transformed; default all. A cine series (rows, columns, time) is transformed along (0, 1).
    complex_input : bool, default False
        Whether images are complex, that is real arrays of shape ``(*mask.shape, 2)``; else real, of ``mask.shape``.

    Attributes
    ----------
    shape_out : tuple of int
        ``(number of entries kept, 2)``: real and imaginary part.

    Notes
    -----
    The norm is at most 1. For complex images ``A A^T = I``.

    Examples
    --------
    >>> A = SubsampledFourier([[True, False], [False, True]])
    >>> A.apply(np.array([[1.0, 2.0], [3.0, 4.0]])).round(12) + 0.0
    array([[5., 0.],
           [0., 0.]])
    """

    def __init__(self, mask: Any, axes: Any = None, complex_input: bool = False) -> None:
        kept = np.array(mask)
        if kept.dtype != bool:
            raise TypeError(f"mask must hold True and False, got dtype {kept.dtype}")
        if not kept.any():
            raise ValueError("mask must keep at least one entry")
        self.mask = read_only(kept)
        ndim = kept.ndim
        given = tuple(range(ndim)) if axes is None else tuple(axes)
        self.axes = tuple(as_integer(axis, "axes") % ndim for axis in given if _is_axis(axis, ndim))
        self.complex_input = as_flag(complex_input, "complex_input")
        self.shape_in = (*kept.shape, 2) if self.complex_input else kept.shape
        self.shape_out = (int(np.count_nonzero(kept)), 2)

    @staticmethod
    def to_complex(x: Array) -> Array:
        """Return a real array with a last axis of length 2 as a complex array."""
        return np.asarray(x[..., 0] + 1j * x[..., 1])

    @staticmethod
    def from_complex(x: Array) -> Array:
        """Return a complex array as a real one with a last axis of length 2."""
        return np.stack([np.real(x), np.imag(x)], axis=-1)

    def apply(self, x: Array) -> Array:
        image = self.to_complex(x) if self.complex_input else x
        return self.from_complex(fft.fftn(image, axes=self.axes, norm="ortho")[self.mask])

    def adjoint(self, y: Array) -> Array:
        values = self.to_complex(y)
        spectrum = np.zeros(self.mask.shape, dtype=values.dtype)
        spectrum[self.mask] = values
        image = fft.ifftn(spectrum, axes=self.axes, norm="ortho", overwrite_x=True)
        return self.from_complex(image) if self.complex_input else np.ascontiguousarray(image.real)

    def _norm_bound(self) -> float:
        return 1.0 + 1e-15

    def _tight(self) -> float | None:
        return 1.0 if self.complex_input else None


class Sampling(LinearMap):
    """The entries of an array at given places: ``f @ Sampling(shape, indices)`` is f of those entries alone.

    Parameters
    ----------
    shape : int or tuple of int
        Of the arrays.
    indices : array_like of bool or of int
        A mask of that shape, or different indices into the raveled array.

    Examples
    --------
    >>> Sampling(4, [2, 0]).apply(np.array([1.0, 2.0, 3.0, 4.0]))
    array([3., 1.])
    """

    def __init__(self, shape: Any, indices: Any) -> None:
        self.shape_in = as_shape(shape)
        places = np.array(indices)
        if places.dtype == bool:
            if places.shape != self.shape_in:
                raise ValueError(f"the mask must have shape {self.shape_in}, got {places.shape}")
            places = np.flatnonzero(places)
        if places.ndim != 1 or places.dtype.kind not in "iu" or not places.size:
            raise ValueError("indices must be a mask, or a list of one or more integers")
        if places.min() < 0 or places.max() >= self.size_in or np.unique(places).size < places.size:
            raise ValueError(f"indices must be different and between 0 and {self.size_in - 1}")
        self.indices = read_only(places)
        self.shape_out = (places.size,)

    def apply(self, x: Array) -> Array:
        return np.ravel(x)[self.indices]

    def adjoint(self, y: Array) -> Array:
        x = np.zeros(self.size_in, dtype=y.dtype)
        x[self.indices] = y
        return x.reshape(self.shape_in)

    def _norm_bound(self) -> float:
        return 1.0

    def _tight(self) -> float:
        return 1.0
