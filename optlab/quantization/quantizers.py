"""ParetoQ's quantizers with a learned scale: elastic binarization, stretched elastic quantization, learned step sizes.

Weights W of shape (rows, columns) have one scale alpha per row. The gradients are the straight-through ones of the
authors' code: the rounding counts as the identity within the range, and the weights are frozen outside (Liu et al.
2025; formulas derived again, with one correction: see `SEQ`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.core.validation import as_float_array
from optlab.quantization.grids import as_bits, levels_of
from optlab.quantization.levels import Levels

Array = Any
_SMALLEST = 1e-5  # of a scale
_INSIDE = 0.99  # of a cell's range that counts as inside


class Quantizer:
    """Base of the quantizers: weights in units of their row's scale, and what is done with them."""

    def initial_scale(self, weights: Any) -> Array:
        """Return the scale of each row to begin with, shape (rows, 1)."""
        raise NotImplementedError(f"{type(self).__name__} does not define initial_scale")

    def levels(self) -> Array:
        """Return the grid in units of the scale."""
        raise NotImplementedError(f"{type(self).__name__} does not define levels")

    def quantize(self, weights: Any, scale: Any = None) -> Array:
        """Return the quantized weights, in the dtype of the weights.

        Parameters
        ----------
        weights : array_like, shape (rows, columns)
        scale : array_like, shape (rows, 1), (rows,) or (), optional
            Default: `initial_scale`.
        """
        W, alpha = self._arguments(weights, scale)
        return alpha * self._units(W / alpha)

    def gradients(self, weights: Any, scale: Any, gradient: Any) -> tuple[Array, Array]:
        """Return the gradients with respect to weights and scale, from the one with respect to the quantized weights.

        Parameters
        ----------
        weights, scale
            As for `quantize`.
        gradient : array_like, shape (rows, columns)

        Returns
        -------
        (ndarray, ndarray)
            Of the shapes (rows, columns) and (rows, 1); that of the scale is damped by ``1 / sqrt(number of weights)``,
            times the root of the number of positive levels for `LSQ`, as in the authors' code.
        """
        W, alpha = self._arguments(weights, scale)
        g = as_float_array(gradient, "gradient", shape=W.shape)
        x = W / alpha
        inside, factor = self._sensitivity(x)
        damping = 1.0 / math.sqrt(W.size * self._positive_levels())
        return g * inside, damping * np.sum(g * factor, axis=1, keepdims=True)

    def indicator(self, scale: Any) -> Levels:
        """Return the set of the quantized weights with these scales, as a term with a proximal map.

        Parameters
        ----------
        scale : float or array_like
            Above 0; shape (rows, 1) for one per row.

        Examples
        --------
        >>> SEQ(2).indicator(2.0).proximal(np.array([-1.7, 0.05, 0.8]), 1.0)
        array([-1.5,  0.5,  0.5])
        """
        return Levels(self.levels(), scale)

    def _arguments(self, weights: Any, scale: Any) -> tuple[Array, Array]:
        W = as_float_array(weights, "weights", ndim=2)
        alpha = self.initial_scale(W) if scale is None else np.asarray(scale, dtype=W.dtype)
        if alpha.ndim == 1:
            alpha = alpha[:, None]
        if alpha.ndim and alpha.shape not in ((W.shape[0], 1), (1, 1)):
            raise ValueError(f"scale must be one number per row, shape ({W.shape[0]}, 1), got {alpha.shape}")
        return W, np.maximum(np.broadcast_to(alpha, (W.shape[0], 1)), W.dtype.type(_SMALLEST))

    def _positive_levels(self) -> float:
        return 1.0

    def _units(self, x: Array) -> Array:
        raise NotImplementedError

    def _sensitivity(self, x: Array) -> tuple[Array, Array]:
        raise NotImplementedError


@dataclass(frozen=True)
class ElasticBinary(Quantizer):
    """One bit: ``alpha sgn(W)``, alpha begun with the mean magnitude of the row.

    Examples
    --------
    >>> ElasticBinary().quantize([[0.5, -1.5, 1.0]])
    array([[ 1., -1.,  1.]])
    """

    def initial_scale(self, weights: Any) -> Array:
        """Return the mean magnitudes."""
        return np.mean(np.abs(weights), axis=1, keepdims=True)

    def levels(self) -> Array:
        """Return -1 and 1."""
        return np.array([-1.0, 1.0])

    def _units(self, x: Array) -> Array:
        return np.sign(x)

    def _sensitivity(self, x: Array) -> tuple[Array, Array]:
        return np.abs(x) <= 1.0, np.sign(x)


@dataclass(frozen=True)
class SEQ(Quantizer):
    """Stretched elastic quantization: 1.58 bits (levels 0 and ``±2/3``) or 2 bits (``±1/4, ±3/4``) of alpha.

    Parameters
    ----------
    bits : float, default 2
        1.58 or 2.

    Notes
    -----
    For ternary weights the authors' code has 1 as the derivative with respect to alpha where weights saturate; the
    derivative of ``±2/3 alpha`` is 2/3, which is what stands here.

    Examples
    --------
    >>> SEQ(2).quantize([[-1.7, -0.35, 0.05, 0.8, 2.2]], 2.0)
    array([[-1.5, -0.5,  0.5,  0.5,  1.5]])
    >>> SEQ(1.58).quantize([[-1.7, -0.35, 0.05, 0.8, 2.2]], 3.0)
    array([[-2.,  0.,  0.,  0.,  2.]])
    """

    bits: float = 2

    def __post_init__(self) -> None:
        if levels_of(self.bits) not in (3, 4):
            raise ValueError(f"bits must be 1.58 or 2, got {self.bits!r}; LSQ has more, ElasticBinary has one")

    @property
    def _shape(self) -> tuple[float, float]:
        return (1.5, 0.0) if levels_of(self.bits) == 3 else (2.0, 0.5)

    def initial_scale(self, weights: Any) -> Array:
        """Return the largest magnitudes."""
        return np.max(np.abs(weights), axis=1, keepdims=True)

    def levels(self) -> Array:
        """Return the levels."""
        return self._units(np.array([-1.0, 0.0, 1.0] if levels_of(self.bits) == 3 else [-1.0, -0.3, 0.3, 1.0]))

    def _units(self, x: Array) -> Array:
        n, offset = self._shape
        return (np.round(n * np.clip(x, -_INSIDE, _INSIDE) - offset) + offset) / n

    def _sensitivity(self, x: Array) -> tuple[Array, Array]:
        inside = np.abs(x) <= _INSIDE
        return inside, np.where(inside, self._units(x) - x, self._units(x))  # saturated: the outermost level


@dataclass(frozen=True)
class LSQ(Quantizer):
    """Learned step size quantization: ``alpha clip(round(W / alpha), -2^(b-1), 2^(b-1) - 1)``.

    Parameters
    ----------
    bits : int, default 4
        From 2 to 8; ParetoQ has it for 3 and 4.

    Examples
    --------
    >>> LSQ(3).quantize([[-1.7, -0.9, -0.35, 0.4, 2.2]], 0.6).round(6)
    array([[-1.8, -1.2, -0.6,  0.6,  1.8]])
    """

    bits: int = 4

    def __post_init__(self) -> None:
        object.__setattr__(self, "bits", as_bits(self.bits, 2, 8))

    def initial_scale(self, weights: Any) -> Array:
        """Return the largest magnitudes over the largest level."""
        return np.max(np.abs(weights), axis=1, keepdims=True) / self._positive_levels()

    def levels(self) -> Array:
        """Return the integers of the range."""
        return np.arange(-(2 ** (self.bits - 1)), 2 ** (self.bits - 1), dtype=float)

    def _positive_levels(self) -> float:
        return float(2 ** (self.bits - 1) - 1)

    def _units(self, x: Array) -> Array:
        return np.clip(np.round(x), -(2.0 ** (self.bits - 1)), self._positive_levels())

    def _sensitivity(self, x: Array) -> tuple[Array, Array]:
        low, high = -(2.0 ** (self.bits - 1)), self._positive_levels()
        inside = (x >= low) & (x <= high)
        return inside, np.where(inside, np.round(x) - x, np.clip(x, low, high))
