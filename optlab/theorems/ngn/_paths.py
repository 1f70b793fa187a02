"""Many runs at once: NGN over a whole grid of sigma and all seeds, vectorised, for the checks that average over seeds.

A check of an expectation wants hundreds of seeds on dozens of small instances, where the cost of a run is that of
starting it. Here all runs on one instance advance together. The numbers are those of the library's own method: seed s
visits the samples that ``NGN`` visits with ``numpy.random.default_rng(s)``, and the tests compare path with path.

Where there are few terms and few steps, `enumerate_paths` goes through all sequences of samples: an expectation without
sampling error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.stochastic.kernels.losses import loss_and_derivative

Array = Any


@dataclass(frozen=True)
class Terms:
    """Terms f_i in vectorised form.

    Parameters
    ----------
    count : int
        Number of terms.
    oracle : callable
        ``oracle(rows, X)`` with X of shape (..., S, d) and `rows` of shape (S,) returns losses (..., S) and gradients
        (..., S, d).
    """

    count: int
    oracle: Callable[[Array, Array], tuple[Array, Array]]

    def mean(self, X: Array) -> Array:
        """Return f at the points X, shape (..., d)."""
        return self.oracle(np.arange(self.count), X[..., None, :])[0].mean(axis=-1)

    def mean_gradient(self, X: Array) -> Array:
        """Return the gradient of f at the points X, shape (..., d)."""
        return self.oracle(np.arange(self.count), X[..., None, :])[1].mean(axis=-2)


def linear_terms(problems: Sequence[Any]) -> Terms:
    """Return the vectorised form of linear models that all have the same number of samples."""
    A, t = np.stack([p.A for p in problems]), np.stack([p.targets for p in problems])
    code, l2, size = problems[0].code, problems[0].l2, A.shape[1]

    def oracle(rows: Array, X: Array) -> tuple[Array, Array]:
        a = A[rows]
        z = np.einsum("...sbd,...sd->...sb", a, X)
        value, slope = loss_and_derivative(code, z, t[rows])
        gradient = np.einsum("...sb,...sbd->...sd", slope / size, a)
        if l2:
            return value.mean(axis=-1) + 0.5 * l2 * np.sum(X * X, axis=-1), gradient + l2 * X
        return value.mean(axis=-1), gradient

    return Terms(len(A), oracle)


def step_sizes(loss: Array, square: Array, sigma: Array) -> Array:
    """Return NGN's step sizes for arrays; sigma where loss and gradient vanish."""
    denominator = loss + 0.5 * sigma * square
    safe = np.where(denominator > 0, denominator, 1.0)
    return np.where(denominator > 0, sigma * (loss / safe), sigma)


def gradient_steps(loss: Array, square: Array, sigma: Array) -> Array:
    """Return sigma itself, the step sizes of SGD, for controls."""
    return np.broadcast_to(sigma, np.broadcast_shapes(np.shape(loss), np.shape(sigma)))


@dataclass
class Paths:
    """What was recorded, arrays of shape (records, sigmas, seeds, ...).

    Parameters
    ----------
    last : ndarray
        Iterates x_K, shape (records, sigmas, seeds, d).
    average : ndarray
        Means of x_0 .. x_{K-1}, weighed by sigma_k.
    mean_loss : ndarray or None
        Means of f(x_0) .. f(x_{K-1}).
    mean_square : ndarray or None
        Means of ||grad f(x_k)||^2 over the same.
    """

    last: Array
    average: Array
    mean_loss: Array
    mean_square: Array


def paths(
    terms: Terms,
    x0: Array,
    sigmas: Array,
    seeds: Sequence[int],
    records: Sequence[int],
    *,
    decaying: bool = False,
    momentum: Array = 0.0,
    losses: bool = False,
    squares: bool = False,
) -> Paths:
    """Run NGN for every sigma and seed.

    Parameters
    ----------
    terms : Terms
    x0 : ndarray, shape (d,)
    sigmas : ndarray, shape (T,)
    seeds : sequence of int
    records : increasing sequence of int
    decaying : bool, default False
        ``sigma_k = sigma / sqrt(k + 1)``.
    momentum : float or ndarray of shape (T,), default 0
        That of NGN-M.
    losses, squares : bool, default False
        Whether to evaluate f or its gradient at every iterate.
    """
    orders = np.stack([np.random.default_rng(s).integers(0, terms.count, size=records[-1]) for s in seeds])
    sigmas = np.asarray(sigmas, dtype=float)
    beta = np.broadcast_to(momentum, sigmas.shape)[:, None, None]
    x = np.broadcast_to(x0, (len(sigmas), len(seeds), len(x0))).copy()
    move, average = np.zeros_like(x), np.zeros_like(x)
    total, loss, square = 0.0, np.zeros(x.shape[:2]), np.zeros(x.shape[:2])
    found: list[tuple[Array, ...]] = []
    for k in range(records[-1]):
        factor = 1.0 / np.sqrt(k + 1.0) if decaying else 1.0
        average += factor * x
        total += factor
        if losses:
            loss += terms.mean(x)
        if squares:
            square += np.sum(terms.mean_gradient(x) ** 2, axis=-1)
        f, g = terms.oracle(orders[:, k], x)
        gamma = step_sizes(f, np.sum(g * g, axis=-1), factor * sigmas[:, None])
        move = beta * move - (1.0 - beta) * gamma[..., None] * g
        x = x + move
        if k + 1 in records:
            found.append((x, average / total, loss / (k + 1), square / (k + 1)))
    return Paths(*(np.stack(column) for column in zip(*found, strict=True)))


def enumerate_paths(terms: Terms, x0: Array, sigma: float, steps: int) -> list[Array]:
    """Return, for k = 0 .. `steps`, all points that NGN can be at after k steps, each as likely as the others.

    Shapes (count^k, d).
    """
    levels = [np.asarray(x0, dtype=float)[None]]
    for _ in range(steps):
        x = levels[-1]
        children = []
        for i in range(terms.count):
            f, g = terms.oracle(np.full(len(x), i), x)
            children.append(x - step_sizes(f, np.sum(g * g, axis=-1), sigma)[:, None] * g)
        levels.append(np.concatenate(children))
    return levels
