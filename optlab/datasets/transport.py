"""Seeded optimal transport instances: five families of costs, marginals from uniform to very uneven, one that breaks.

An instance is ``(a, b, cost)``: marginals of shapes (n,) and (m,), positive with sum 1, and a cost of shape (n, m) in
[0, 1] with largest entry 1. The families:

* ``rand``: independent uniform costs; marginals uniform on [0.1, 1.1], normalised;
* ``sq2d``: squared distances of uniform points in the unit square, uniform weights (an assignment problem if n = m);
* ``gauss2d``: squared distances between two Gaussian clouds, Dirichlet(1) weights;
* ``grid1d``: squared distances on a grid of the line, densities that are mixtures of two and three Gaussians;
* ``l2``: distances of uniform points in the unit square; marginals as in ``rand``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.core.validation import as_integer, one_of

Instance = tuple[np.ndarray, np.ndarray, np.ndarray]

FAMILIES = ("rand", "sq2d", "gauss2d", "grid1d", "l2")
MARGINALS = ("uniform", "random", "uneven")


def _rng(seed: Any) -> np.random.Generator:
    return np.random.default_rng(as_integer(seed, "seed", minimum=0))


def _normalized(weights: np.ndarray) -> np.ndarray:
    return np.asarray(weights / weights.sum())


def _squared_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.asarray(np.sum((x[:, None, :] - y[None, :, :]) ** 2, axis=-1))


def _mixture(grid: np.ndarray, centres: tuple[float, ...], widths: tuple[float, ...]) -> np.ndarray:
    density = sum(np.exp(-0.5 * ((grid - c) / w) ** 2) / w for c, w in zip(centres, widths))
    # a floor keeps every weight positive, as a logarithm of it will be taken
    return _normalized(np.asarray(density) + 1e-3)


def marginal(kind: str, n: int, seed: int = 0) -> np.ndarray:
    """Return a marginal of n positive weights with sum 1.

    Parameters
    ----------
    kind : {"uniform", "random", "uneven"}
        All equal; uniform on [0.1, 1.1] before normalisation; or log-normal with a standard deviation of 2.5 in the
        logarithm, so that the largest weight is many thousand times the smallest.
    n : int
        Number of weights, at least 1.
    seed : int
        Seed; the same seed gives the same weights.

    Examples
    --------
    >>> marginal("uniform", 4)
    array([0.25, 0.25, 0.25, 0.25])
    """
    kind, n = one_of(kind, "kind", MARGINALS), as_integer(n, "n", minimum=1)
    rng = _rng(seed)
    if kind == "uniform":
        return np.full(n, 1.0 / n)
    if kind == "random":
        return _normalized(rng.random(n) + 0.1)
    return _normalized(np.exp(2.5 * rng.standard_normal(n)))


def transport_family(name: str, n: int, m: int | None = None, seed: int = 0) -> Instance:
    """Return an optimal transport instance of one of the five families described at the top of this file.

    Parameters
    ----------
    name : {"rand", "sq2d", "gauss2d", "grid1d", "l2"}
        The family.
    n : int
        Number of sources, at least 1.
    m : int, optional
        Number of targets. Default: n.
    seed : int
        Seed; the same seed gives the same instance.

    Returns
    -------
    a : ndarray, shape (n,)
    b : ndarray, shape (m,)
        Positive, with sum 1 each.
    cost : ndarray, shape (n, m)
        In [0, 1]; the largest entry is 1 (a grid of one point against one has cost 0).

    Raises
    ------
    ValueError
        If the family is unknown or a size is below 1.

    Examples
    --------
    >>> a, b, cost = transport_family("gauss2d", 5, 7, seed=1)
    >>> cost.shape, float(cost.max()), abs(float(a.sum() - b.sum())) < 1e-12
    ((5, 7), 1.0, True)
    """
    name = one_of(name, "name", FAMILIES)
    n = as_integer(n, "n", minimum=1)
    m = n if m is None else as_integer(m, "m", minimum=1)
    rng = _rng(seed)
    if name == "grid1d":
        left, right = (np.linspace(0.0, 1.0, k) if k > 1 else np.zeros(1) for k in (n, m))
        a = _mixture(left, (0.2, 0.6), (0.08, 0.12))
        # the seed moves the bumps a little, so that there is more than one instance
        shift = 0.05 * (rng.random(3) - 0.5)
        b = _mixture(right, tuple(np.array([0.35, 0.75, 0.9]) + shift), (0.1, 0.06, 0.03))
        cost = (left[:, None] - right[None, :]) ** 2
    elif name == "rand":
        cost = rng.random((n, m))
        a, b = _normalized(rng.random(n) + 0.1), _normalized(rng.random(m) + 0.1)
    elif name == "sq2d":
        cost = _squared_distances(rng.random((n, 2)), rng.random((m, 2)))
        a, b = np.full(n, 1.0 / n), np.full(m, 1.0 / m)
    elif name == "gauss2d":
        x = rng.standard_normal((n, 2))
        y = rng.standard_normal((m, 2)) @ np.array([[1.2, 0.3], [0.3, 0.6]]) + np.array([1.5, 0.5])
        cost = _squared_distances(x, y)
        a, b = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))
    else:
        cost = np.sqrt(_squared_distances(rng.random((n, 2)), rng.random((m, 2))))
        a, b = _normalized(rng.random(n) + 0.1), _normalized(rng.random(m) + 0.1)
    largest = float(cost.max())
    return a, b, cost / largest if largest > 0 else cost


def divergence_counterexample() -> Instance:
    """Return the 3 x 4 instance on which Bregman Douglas-Rachford with a large constant step size diverges.

    With the row constraint applied first, from the plan of ones, it converges for step sizes up to 70 and diverges from
    80 on: the potentials grow linearly. With the columns first it converges. Found here by search, verified numerically
    (also in 60-digit arithmetic); there is no proof.

    Returns
    -------
    a : ndarray, shape (3,)
        (17, 14, 19) / 50.
    b : ndarray, shape (4,)
        (3, 16, 14, 17) / 50.
    cost : ndarray, shape (3, 4)
        Largest entry 1.

    Examples
    --------
    >>> a, b, cost = divergence_counterexample()
    >>> cost
    array([[1. , 0.2, 0.3, 0.4],
           [0.5, 0.8, 0.9, 0.4],
           [0.9, 0.9, 0.3, 0.6]])
    """
    a = np.array([17.0, 14.0, 19.0]) / 50.0
    b = np.array([3.0, 16.0, 14.0, 17.0]) / 50.0
    cost = np.array([[10.0, 2.0, 3.0, 4.0], [5.0, 8.0, 9.0, 4.0], [9.0, 9.0, 3.0, 6.0]]) / 10.0
    return a, b, cost
