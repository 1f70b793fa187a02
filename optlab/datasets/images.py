"""Real images that come with scikit-learn: two photographs and the handwritten digits, with a blur and Poisson noise.

Nothing is downloaded. Photographs are ``china.jpg`` (a temple, 427 x 640) and ``flower.jpg`` (a dahlia, 427 x 640) of
`sklearn.datasets.load_sample_images`; digits are the 1797 images of 8 x 8 of `sklearn.datasets.load_digits`, a copy of
the test set of the UCI "Optical Recognition of Handwritten Digits" data (Alpaydin, Kaynak 1998).

`GaussianBlur` is the convolution operator of the deblurring problems. It works by direct sums of non-negative numbers,
not by Fourier transforms, so that the blur of a positive image is positive to the last digit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np

from optlab.core.validation import as_flag, as_float_array, as_integer, as_number, one_of

PHOTOGRAPHS = ("china", "flower")
BOUNDARIES = ("reflective", "periodic")

# luma of ITU-R BT.601, what "grey" means in most image libraries
_LUMA = np.array([0.299, 0.587, 0.114])


def _as_size(size: Any, name: str = "size") -> tuple[int, int]:
    if isinstance(size, Integral):
        size = (size, size)
    if not (isinstance(size, (tuple, list, np.ndarray)) and np.shape(size) == (2,)):
        raise ValueError(f"{name} must be an integer or a pair (height, width), got {size!r}")
    return as_integer(size[0], f"{name}[0]", minimum=1), as_integer(size[1], f"{name}[1]", minimum=1)


def _overlaps(n: int, m: int) -> np.ndarray:
    """Return the (m, n) matrix that averages n cells of equal width into m, by the length of their overlaps."""
    edges = np.arange(m + 1) * (n / m)
    left = np.maximum(edges[:-1, None], np.arange(n))
    right = np.minimum(edges[1:, None], np.arange(1, n + 1))
    weights = np.maximum(right - left, 0.0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def downsample(image: Any, size: Any) -> np.ndarray:
    """Return an image averaged down to another size: every new pixel is the mean of the area it covers.

    Parameters
    ----------
    image : array_like, shape (height, width) or (height, width, channels)
        The image.
    size : int or (int, int)
        New height and width, at most the old ones; an integer stands for a square.

    Returns
    -------
    ndarray of float64
        Entries stay within the range of those of `image`; the mean is kept.

    Raises
    ------
    ValueError
        If `size` exceeds the image.

    Examples
    --------
    >>> downsample([[0.0, 1.0], [2.0, 5.0]], 1)
    array([[2.]])
    """
    image = as_float_array(image, "image", ndim=(2, 3)).astype(np.float64, copy=False)
    height, width = _as_size(size)
    if height > image.shape[0] or width > image.shape[1]:
        raise ValueError(f"size must be at most that of the image {image.shape[:2]}, got {(height, width)}")
    rows, columns = _overlaps(image.shape[0], height), _overlaps(image.shape[1], width)
    reduced = np.tensordot(rows, image, axes=(1, 0))
    return np.ascontiguousarray(np.moveaxis(np.tensordot(columns, reduced, axes=(1, 1)), 0, 1))


def photograph(name: str = "china", size: Any = None, grey: bool = False) -> np.ndarray:
    """Return a photograph with entries in [0, 1].

    Parameters
    ----------
    name : {"china", "flower"}
        Which one: a temple, or a dahlia.
    size : int or (int, int), optional
        Height and width to average down to, at most (427, 640); an integer cuts the central square out first. Default:
        the full photograph.
    grey : bool, default False
        Whether to return the luma (ITU-R BT.601) instead of red, green and blue.

    Returns
    -------
    ndarray of float64, shape (height, width, 3) or, if `grey`, (height, width)

    Raises
    ------
    ValueError
        If there is no such photograph, or `size` is larger than it.

    Examples
    --------
    >>> photograph("flower", size=32).shape, photograph(size=(20, 30), grey=True).shape
    ((32, 32, 3), (20, 30))
    """
    name = one_of(name, "name", PHOTOGRAPHS)
    from sklearn.datasets import load_sample_image

    image = load_sample_image(f"{name}.jpg").astype(np.float64) / 255.0
    if as_flag(grey, "grey"):
        image = image @ _LUMA
    if size is None:
        return np.asarray(image)
    if np.ndim(size) == 0:
        side = min(image.shape[:2])
        top, left = ((length - side) // 2 for length in image.shape[:2])
        image = image[top : top + side, left : left + side]
    return np.asarray(np.clip(downsample(image, size), 0.0, 1.0))


def digit_images(digit: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the handwritten digits: images with entries in [0, 1], and which digit each shows.

    Parameters
    ----------
    digit : int, optional
        Only the images of this digit, 0 to 9.

    Returns
    -------
    images : ndarray of float64, shape (k, 8, 8)
        1797 images for all digits together. Ink is 1, paper 0; the entries are multiples of 1/16.
    labels : ndarray of int, shape (k,)

    Examples
    --------
    >>> images, labels = digit_images(3)
    >>> images.shape, set(labels.tolist())
    ((183, 8, 8), {3})
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    images, labels = data.images / 16.0, data.target
    if digit is None:
        return images, labels
    digit = as_integer(digit, "digit", minimum=0)
    if digit > 9:
        raise ValueError(f"digit must be between 0 and 9, got {digit}")
    return images[labels == digit], labels[labels == digit]


@dataclass(frozen=True, eq=False)
class GaussianBlur:
    """Convolution of an image with a Gaussian, as a linear operator.

    The weights are cut off at four standard deviations (or `radius`) and sum to 1 in each direction. The operator is
    symmetric, non-negative, and keeps constants and the sum of the image, for both kinds of boundary.

    Parameters
    ----------
    width : float
        Standard deviation in pixels, above 0.
    boundary : {"reflective", "periodic"}
        The image beyond its edge: mirrored (the edge pixel twice), or repeated.
    radius : int, optional
        Half-width of the window in pixels. Default: ``ceil(4 * width)``.

    Examples
    --------
    >>> blur = GaussianBlur(1.0)
    >>> image = np.zeros((9, 9))
    >>> image[4, 4] = 1.0
    >>> round(float(blur.apply(image).sum()), 12)
    1.0
    """

    width: float
    boundary: str = "reflective"
    radius: int | None = None
    weights: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        width = as_number(self.width, "width", above=0)
        one_of(self.boundary, "boundary", BOUNDARIES)
        radius = int(np.ceil(4.0 * width)) if self.radius is None else as_integer(self.radius, "radius", minimum=0)
        weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / width) ** 2)
        object.__setattr__(self, "width", width)
        object.__setattr__(self, "weights", weights / weights.sum())

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Return the blurred image, of the same shape (two dimensions)."""
        from scipy.ndimage import correlate1d

        mode = "reflect" if self.boundary == "reflective" else "wrap"
        for axis in (0, 1):
            image = correlate1d(image, self.weights, axis=axis, mode=mode)
        return image

    def adjoint(self, image: np.ndarray) -> np.ndarray:
        """Return the transposed operator applied to `image`: the blur itself, since it is symmetric."""
        return self.apply(image)


@dataclass(frozen=True, eq=False)
class BlurredPhotograph:
    """A photograph seen through a blur and counting noise.

    Parameters
    ----------
    observation : ndarray, shape (height, width)
        Photon counts, non-negative integers as floats: Poisson with mean ``blur.apply(image) + background``.
    blur : GaussianBlur
        The operator.
    image : ndarray, shape (height, width)
        The photograph, in photons per pixel, which a reconstruction should come near to.
    background : float
        Photons per pixel that do not come from the image.
    """

    observation: np.ndarray
    blur: GaussianBlur
    image: np.ndarray
    background: float


def blurred_photograph(
    name: str = "china",
    size: Any = 64,
    width: float = 1.5,
    photons: float = 200.0,
    background: float = 1.0,
    boundary: str = "reflective",
    seed: int = 0,
) -> BlurredPhotograph:
    """Return a grey photograph observed through a Gaussian blur with Poisson noise.

    Parameters
    ----------
    name, size
        As in `photograph`.
    width : float
        Standard deviation of the blur in pixels.
    photons : float
        Photons of a white pixel, above 0.
    background : float
        Photons per pixel that do not come from the image, at least 0.
    boundary : {"reflective", "periodic"}
        As in `GaussianBlur`.
    seed : int
        Seed of the noise; the same seed gives the same observation.

    Returns
    -------
    BlurredPhotograph

    Examples
    --------
    >>> data = blurred_photograph(size=16, seed=1)
    >>> data.observation.shape, bool(np.all(data.observation >= 0))
    ((16, 16), True)
    """
    blur = GaussianBlur(width, boundary)
    image = photograph(name, size, grey=True) * as_number(photons, "photons", above=0)
    background = as_number(background, "background", minimum=0)
    rng = np.random.default_rng(as_integer(seed, "seed", minimum=0))
    observation = rng.poisson(blur.apply(image) + background).astype(np.float64)
    return BlurredPhotograph(observation, blur, image, background)
