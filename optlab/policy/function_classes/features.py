"""Features of states with coordinates: random Fourier features and tile coding.

Both are `BlockFeatures`: a feature vector psi(s) per state, one block of parameters per action. They are made from a
table of coordinates (the states of a discretised environment), or from the number of coordinates alone, and then take
rows of coordinates as states. Neither adapts its features to the data.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from optlab.core.validation import as_flag, as_float_array, as_generator, as_number
from optlab.policy.arguments import as_count
from optlab.policy.function_classes.classes import BlockFeatures
from optlab.policy.ownership import frozen

__all__ = ["RandomFourier", "TileCoding"]


def _coordinates(points: Any) -> tuple[np.ndarray | None, int]:
    """Return the table of coordinates (None if `points` is only their number) and their number."""
    if isinstance(points, (int, np.integer)):
        return None, as_count(points, "points")
    table = np.array(as_float_array(points, "points", ndim=2), np.float64)
    return table, table.shape[1]


class RandomFourier(BlockFeatures):
    """Random Fourier features ``sqrt(2/D) cos(W x + b)`` of a Gaussian kernel (Rahimi and Recht 2007).

    Parameters
    ----------
    points : array_like, shape (S, m), or int
        Coordinates of the states, or their number where states come as coordinates.
    n_actions : int
    n_features : int, default 40
        D, without the bias.
    lengthscale : float, default 1.0
        Rows of W are normal with variance ``lengthscale**-2``.
    bias : bool, default True
        Whether a constant feature is added.
    seed : int or numpy.random.Generator, default 0

    Examples
    --------
    >>> psi = RandomFourier(np.linspace(-1, 1, 5)[:, None], n_actions=2, n_features=8)
    >>> psi
    RandomFourier(n_states=5, n_actions=2, n_parameters=18)
    >>> theta = np.arange(18.0)
    >>> bool(np.allclose(psi.scores(theta, [4]), psi.scores(theta, np.array([[1.0]]))))
    True
    """

    def __init__(
        self,
        points: Any,
        n_actions: int,
        n_features: int = 40,
        lengthscale: float = 1.0,
        bias: bool = True,
        seed: int | np.random.Generator = 0,
    ) -> None:
        table, m = _coordinates(points)
        n = as_count(n_features, "n_features")
        rng = as_generator(seed, "seed", default=None)
        scale = as_number(lengthscale, "lengthscale", minimum=1e-300)
        self.frequencies = frozen(rng.standard_normal((n, m)) / scale)
        self.phases = frozen(rng.uniform(0.0, 2 * np.pi, n))
        self.bias = as_flag(bias, "bias")
        super().__init__(None if table is None else self.features_of(table), n_actions)
        self.n_features = n + self.bias
        self.n_parameters = self.n_actions * self.n_features

    def features_of(self, coordinates: np.ndarray) -> np.ndarray:
        """Return the features of rows of coordinates."""
        n, m = self.frequencies.shape
        x = as_float_array(coordinates, "states", shape=(None, m), allow_empty=True)
        waves = np.sqrt(2.0 / n) * np.cos(x @ self.frequencies.T + self.phases)
        return np.hstack([waves, np.ones((x.shape[0], 1))]) if self.bias else waves


class TileCoding(BlockFeatures):
    """Tile coding: several shifted grids over a box, one active tile in each (Sutton and Barto 2018, section 9.5.4).

    Features are sparse, with the value ``1 / sqrt(tilings)`` at the active tiles, so that ``|psi(s)| = 1``.

    Parameters
    ----------
    points : array_like, shape (S, m), or int
        Coordinates of the states, or their number where states come as coordinates (`bounds` is needed then).
    n_actions : int
    tiles : int or sequence of int, default 8
        Tiles along each coordinate.
    tilings : int, default 8
        Number of grids. Grid i is shifted by ``i (2 j + 1) / tilings`` tiles along coordinate j, modulo one tile.
    bounds : array_like, shape (m, 2), optional
        Lower and upper bound of each coordinate; states outside are moved to the nearest bound. Default: the range of
        `points`.

    Examples
    --------
    >>> psi = TileCoding(np.linspace(0, 1, 11)[:, None], n_actions=3, tiles=4, tilings=2)
    >>> psi.features.shape, int(psi.features[5].nnz)
    ((11, 10), 2)
    """

    def __init__(
        self,
        points: Any,
        n_actions: int,
        tiles: Any = 8,
        tilings: int = 8,
        bounds: Any = None,
    ) -> None:
        table, m = _coordinates(points)
        self.tilings = as_count(tilings, "tilings")
        if isinstance(tiles, (list, tuple)) or (isinstance(tiles, np.ndarray) and tiles.ndim == 1):
            per_axis = list(tiles)
        else:
            per_axis = [tiles] * m
        if len(per_axis) != m:
            raise ValueError(f"tiles must be one number or one per coordinate ({m}), got {len(per_axis)}")
        self.tiles = frozen(np.array([as_count(t, f"tiles[{i}]") for i, t in enumerate(per_axis)]))
        if bounds is None:
            if table is None:
                raise ValueError("bounds must be given where points is only the number of coordinates")
            bounds = np.stack([table.min(axis=0), table.max(axis=0)], axis=1)
        self.bounds = frozen(as_float_array(bounds, "bounds", shape=(m, 2)).astype(np.float64, copy=False))
        if (empty := self.bounds[:, 1] <= self.bounds[:, 0]).any():
            raise ValueError(f"bounds must have lower < upper, got {self.bounds[empty][0]} at index [{empty.argmax()}]")
        # a shifted grid sticks out by one tile
        self._strides = np.append(1, np.cumprod(self.tiles[:-1] + 1))
        self._per_tiling = int(np.prod(self.tiles + 1))
        super().__init__(None if table is None else self.features_of(table), n_actions)
        self.n_features = self.tilings * self._per_tiling
        self.n_parameters = self.n_actions * self.n_features

    def features_of(self, coordinates: np.ndarray) -> sp.csr_matrix:
        """Return the features of rows of coordinates, as a sparse matrix."""
        m = self.bounds.shape[0]
        x = as_float_array(coordinates, "states", shape=(None, m), allow_empty=True)
        low, high = self.bounds.T
        scaled = np.clip((x - low) / (high - low), 0.0, 1.0) * self.tiles
        shifts = np.arange(self.tilings)[:, None] * (2 * np.arange(m) + 1) / self.tilings % 1.0
        cells = np.minimum(np.floor(scaled[:, None, :] + shifts).astype(np.int64), self.tiles)
        columns = cells @ self._strides + self._per_tiling * np.arange(self.tilings)
        n = x.shape[0]
        data = np.full(n * self.tilings, 1 / np.sqrt(self.tilings))
        rows = np.arange(0, n * self.tilings + 1, self.tilings)
        return sp.csr_matrix((data, columns.ravel(), rows), shape=(n, self.tilings * self._per_tiling))
