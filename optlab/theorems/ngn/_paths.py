"""Many runs at once: NGN over a whole grid of sigma and all seeds, vectorised, for the checks that average over seeds.

A check of an expectation wants hundreds of seeds on dozens of small instances, where the cost of a run is that of
starting it. Here all runs on one instance advance together, with step sizes from the library's own compiled rule,
``NGN.rule``; and every call of `paths` runs ``NGN`` itself beside them for a few of its values of sigma and seeds: seed
s visits the samples that ``NGN`` visits with ``numpy.random.default_rng(s)``. Where the two part, all that is returned
is NaN, which no check survives.

Where there are few terms and few steps, `enumerate_paths` goes through all sequences of samples: an expectation without
sampling error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import types

from optlab.compiled.functions import F8, I8, Compiled, vector
from optlab.compiled.rules import rule_signature
from optlab.stochastic import NGN, Averaged, Decaying, FiniteSum
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
    problem : FiniteSum, optional
        A finite sum with these terms as its samples, for the library's methods. Default: `OfTerms`.
    """

    count: int
    oracle: Callable[[Array, Array], tuple[Array, Array]]
    problem: Any = None

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

    joined = None
    if size == 1:  # the samples are the terms: the library's compiled loops can run on them
        joined = type(problems[0])(A[:, 0], t[:, 0], l2=l2, f_star=None)
    return Terms(len(A), oracle, joined)


class OfTerms(FiniteSum):
    """A finite sum over terms in vectorised form, for the loops in Python."""

    def __init__(self, terms: Terms, size: int) -> None:
        super().__init__(terms.count, size)
        self.terms = terms

    def losses(self, x: Array, rows: Array) -> Array:
        """Return the losses of `rows`."""
        return self.terms.oracle(rows, np.broadcast_to(x, (len(rows), x.size)))[0]

    def gradient(self, x: Array, rows: Array) -> Array:
        """Return the mean gradient of `rows`."""
        return self.terms.oracle(rows, np.broadcast_to(x, (len(rows), x.size)))[1].mean(axis=0)


def _all_step_sizes(rule, loss, square, sigma, k, parameters, memory, found):  # type: ignore[no-untyped-def]
    for i in range(loss.size):
        found[i] = rule(loss[i], square[i], sigma[i], k, parameters, memory)


def _signature(scalar: Any, layout: str = "C") -> Any:
    inputs, own = vector(F8, True), vector(F8)
    return types.void(types.FunctionType(rule_signature()), inputs, inputs, inputs, I8, inputs, own, own)


_ALL_STEP_SIZES = Compiled(_all_step_sizes, _signature)


def step_sizes(loss: Array, square: Array, sigma: Array, k: int = 0) -> Array:
    """Return the step sizes of the library's NGN for arrays, from its compiled step rule."""
    shape = np.broadcast_shapes(np.shape(loss), np.shape(square), np.shape(sigma))
    flat = [np.ascontiguousarray(np.broadcast_to(v, shape), dtype=float).ravel() for v in (loss, square, sigma)]
    found = np.empty(flat[0].size)
    _ALL_STEP_SIZES.get()(NGN.rule.pointer(), *flat, k, np.empty(0), np.empty(0), found)  # type: ignore[union-attr]
    return found.reshape(shape)


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
    """Run NGN for every sigma and seed, and the library's ``NGN`` itself for some: NaN if the two differ.

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
    compared = min(_COMPARED, records[0])
    for k in range(records[-1]):
        factor = 1.0 / np.sqrt(k + 1.0) if decaying else 1.0
        average += factor * x
        total += factor
        if losses:
            loss += terms.mean(x)
        if squares:
            square += np.sum(terms.mean_gradient(x) ** 2, axis=-1)
        f, g = terms.oracle(orders[:, k], x)
        gamma = step_sizes(f, np.sum(g * g, axis=-1), factor * sigmas[:, None], k)
        move = beta * move - (1.0 - beta) * gamma[..., None] * g
        x = x + move
        if k + 1 == compared and not _agrees(terms, x0, sigmas, seeds, compared, decaying, beta, x, average / total):
            x = np.full_like(x, np.nan)
        if k + 1 in records:
            found.append((x, average / total, loss / (k + 1), square / (k + 1)))
    return Paths(*(np.stack(column) for column in zip(*found, strict=True)))


_COMPARED = 20  # steps; with large sigma rounding grows from step to step


def _agrees(
    terms: Terms,
    x0: Array,
    sigmas: Array,
    seeds: Sequence[int],
    n: int,
    decaying: bool,
    beta: Array,
    x: Array,
    mean: Array,
) -> bool:
    """Return whether the library's NGN is where the paths are after n steps: smallest and largest sigma.

    On losses that are not convex a run with a large sigma may be chaotic, and rounding grows from step to step: what
    the library's own runs from two starts a trillionth apart differ by is allowed.
    """
    problem = OfTerms(terms, len(x0)) if terms.problem is None else terms.problem
    for j, s in ((0, 0), (len(sigmas) - 1, len(seeds) - 1)):
        sigma = Decaying(float(sigmas[j])) if decaying else float(sigmas[j])
        inner = NGN(sigma, momentum=float(beta[j, 0, 0]))
        method = Averaged(inner, weights="schedule")
        ends = []
        for start in (x0, x0 * (1 + 1e-12)):
            state = method.init(problem, start, np.random.default_rng(seeds[s]))
            state = method.advance(problem, state, n)
            ends.append(np.concatenate([inner.point(state), method.iterate(problem, state)]))
        ours = np.concatenate([x[j, s], mean[j, s]])
        if np.any(np.abs(ours - ends[0]) > 1e-9 + 1e-7 * np.abs(ends[0]) + np.abs(ends[1] - ends[0])):
            return False
    return True


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
