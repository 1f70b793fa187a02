"""Compressors of vectors: what is sent in their place, how many bits that takes, and how far it may be off.

An unbiased one has ``E Q(x) = x`` and ``E |Q(x)|^2 <= q |x|^2`` with ``q = variance(d)``; a contractive one has
``E |C(x) - x|^2 <= (1 - a) |x|^2`` with ``a = contraction(d)``. All work on the last axis: each row of a matrix is
compressed by itself, as by a worker of its own. ``word`` is the bits of one floating-point number.

    from optlab.compression import RandK
    RandK(3)(np.ones(10), rng), RandK(3).bits(10), RandK(3).variance(10)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.core.validation import as_integer

__all__ = ["Compressor", "Dithering", "NaturalCompression", "NoCompression", "RandK", "ScaledSign", "TopK"]

Array = Any


class Compressor:
    """Base of the compressors; a subclass defines `__call__`, `bits` and one of `variance` and `contraction`."""

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        """Return what the receiver reads in place of x, shape (..., d)."""
        raise NotImplementedError(f"{type(self).__name__} does not define __call__")

    def bits(self, d: int, word: int = 64) -> float:
        """Return the bits that one vector of d numbers takes."""
        raise NotImplementedError(f"{type(self).__name__} does not define bits")

    def variance(self, d: int) -> float:
        """Return q with ``E |Q(x)|^2 <= q |x|^2``; inf for a compressor that is biased."""
        return math.inf

    def contraction(self, d: int) -> float:
        """Return a with ``E |C(x) - x|^2 <= (1 - a) |x|^2``; 0 where none is positive."""
        q = self.variance(d)
        return max(2.0 - q, 0.0)  # unbiased: E |Q(x) - x|^2 <= (q - 1) |x|^2


def _kept(k: int, d: int) -> int:
    if k > d:
        raise ValueError(f"k must be at most the number of entries, {d}, got {k}")
    return k


def _index_bits(d: int) -> int:
    return math.ceil(math.log2(d)) if d > 1 else 0


@dataclass(frozen=True)
class NoCompression(Compressor):
    """The vector itself."""

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        """Return x."""
        return np.asarray(x)

    def bits(self, d: int, word: int = 64) -> float:
        """Return ``word d``."""
        return float(word * d)

    def variance(self, d: int) -> float:
        """Return 1."""
        return 1.0


@dataclass(frozen=True)
class RandK(Compressor):
    """k entries drawn at random, times d/k; unbiased, ``q = d/k`` exactly.

    Parameters
    ----------
    k : int
        Entries kept.
    shared_seed : bool, default True
        Whether the receiver draws the same indices, so that they need not be sent.

    Examples
    --------
    >>> import numpy as np
    >>> from optlab.compression import RandK
    >>> sent = RandK(2)(np.ones(6), np.random.default_rng(0))
    >>> int(np.count_nonzero(sent)), float(sent.sum()), RandK(2).bits(6), RandK(2).variance(6)
    (2, 6.0, 128.0, 3.0)
    """

    k: int
    shared_seed: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", as_integer(self.k, "k", minimum=1))

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        """Return the entries kept, times d/k; each row draws its own."""
        x = np.asarray(x)
        d = x.shape[-1]
        k = _kept(self.k, d)
        rows = x.reshape(-1, d)
        chosen = np.argsort(rng.random(rows.shape), axis=-1)[:, :k]  # the first k of a random order
        sent = np.zeros_like(rows)
        np.put_along_axis(sent, chosen, np.take_along_axis(rows, chosen, axis=-1) * (d / k), axis=-1)
        return sent.reshape(x.shape)

    def bits(self, d: int, word: int = 64) -> float:
        """Return ``k word``, and the indices where the seed is not shared."""
        return float(_kept(self.k, d) * (word + (0 if self.shared_seed else _index_bits(d))))

    def variance(self, d: int) -> float:
        """Return d/k."""
        return d / _kept(self.k, d)


@dataclass(frozen=True)
class TopK(Compressor):
    """The k entries of largest absolute value; contractive, ``a = k/d``, attained where all are alike.

    Parameters
    ----------
    k : int
        Entries kept.

    Examples
    --------
    >>> import numpy as np
    >>> from optlab.compression import TopK
    >>> TopK(1)(np.array([1.0, -3.0, 2.0]), np.random.default_rng(0)), TopK(1).contraction(4)
    (array([ 0., -3.,  0.]), 0.25)
    """

    k: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", as_integer(self.k, "k", minimum=1))

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        """Return the largest entries, 0 elsewhere."""
        x = np.asarray(x)
        d = x.shape[-1]
        k = _kept(self.k, d)
        chosen = np.argpartition(np.abs(x), d - k, axis=-1)[..., d - k :]
        sent = np.zeros_like(x)
        np.put_along_axis(sent, chosen, np.take_along_axis(x, chosen, axis=-1), axis=-1)
        return sent

    def bits(self, d: int, word: int = 64) -> float:
        """Return the bits of the entries and of their indices."""
        return float(_kept(self.k, d) * (word + _index_bits(d)))

    def contraction(self, d: int) -> float:
        """Return k/d."""
        return _kept(self.k, d) / d


@dataclass(frozen=True)
class NaturalCompression(Compressor):
    """Each entry rounded at random to a power of two next to it; unbiased, ``q = 9/8``, attained at 4/3 of a power.

    Horvath et al. (2022), Natural compression for distributed deep learning.

    Examples
    --------
    >>> import numpy as np
    >>> from optlab.compression import NaturalCompression
    >>> sent = NaturalCompression()(np.full(30_000, -3.0), np.random.default_rng(0))
    >>> sorted(set(sent.tolist())), round(float(sent.mean()), 1), NaturalCompression().bits(10)
    ([-4.0, -2.0], -3.0, 120.0)
    """

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        """Return powers of two with the signs of x."""
        x = np.asarray(x)
        mantissa, exponent = np.frexp(np.abs(x))  # mantissa in [1/2, 1), or 0
        up = (rng.random(x.shape) < 2.0 * mantissa - 1.0) & (exponent < 1024)  # the last power stays finite
        return np.where(x == 0, x, np.copysign(np.ldexp(np.ones_like(x), exponent - 1 + up), x))

    def bits(self, d: int, word: int = 64) -> float:
        """Return a sign and an exponent for each entry."""
        return float(d * (12 if word == 64 else 9))

    def variance(self, d: int) -> float:
        """Return 9/8."""
        return 1.125


@dataclass(frozen=True)
class Dithering(Compressor):
    """Entries over the norm, rounded at random to one of s + 1 levels; unbiased.

    ``q = 1 + min(d/(4 s^2), sqrt(d)/s)``: rounding to a grid of width 1/s has a variance of at most 1/(4 s^2).

    Parameters
    ----------
    levels : int
        s, at least 1.

    References
    ----------
    Alistarh et al. (2017), QSGD.

    Examples
    --------
    >>> import numpy as np
    >>> from optlab.compression import Dithering
    >>> Dithering(5)(np.array([3.0, 4.0]), np.random.default_rng(0)), Dithering(5).bits(2)
    (array([3., 4.]), 72.0)
    """

    levels: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", as_integer(self.levels, "levels", minimum=1))

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        """Return entries on the grid of each row's norm."""
        x = np.asarray(x)
        scale = np.abs(x).max(axis=-1, keepdims=True)  # first, so that squares neither overflow nor vanish
        scale = np.where(scale > 0, scale, 1.0)
        norm = scale * np.sqrt(np.sum((x / scale) ** 2, axis=-1, keepdims=True))
        place = np.abs(x) / np.where(norm > 0, norm, 1.0) * self.levels
        lower = np.floor(place)
        return np.copysign(norm / self.levels * (lower + (rng.random(x.shape) < place - lower)), x)

    def bits(self, d: int, word: int = 64) -> float:
        """Return the bits of the norm, the signs and the levels."""
        return float(word + d * (1 + math.ceil(math.log2(self.levels + 1))))

    def variance(self, d: int) -> float:
        """Return ``1 + min(d/(4 s^2), sqrt(d)/s)``."""
        return 1.0 + min(d / (4.0 * self.levels**2), math.sqrt(d) / self.levels)


@dataclass(frozen=True)
class ScaledSign(Compressor):
    """The signs times the mean absolute value; contractive with ``1 - a = 1 - |x|_1^2 / (d |x|_2^2)``, so a >= 1/d.

    Examples
    --------
    >>> import numpy as np
    >>> from optlab.compression import ScaledSign
    >>> ScaledSign()(np.array([1.0, -3.0]), np.random.default_rng(0)), ScaledSign().bits(2)
    (array([ 2., -2.]), 66.0)
    """

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        """Return the scaled signs."""
        x = np.asarray(x)
        return np.mean(np.abs(x), axis=-1, keepdims=True) * np.sign(x)

    def bits(self, d: int, word: int = 64) -> float:
        """Return one number and d signs."""
        return float(word + d)

    def contraction(self, d: int) -> float:
        """Return 1/d."""
        return 1.0 / d
