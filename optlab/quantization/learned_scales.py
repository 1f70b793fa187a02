"""Quantization-aware training with learned scales: a finite sum over latent weights and the scales of their rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from optlab.quantization.quantizers import Quantizer
from optlab.stochastic import FiniteSum, NeuralNetwork

Array = Any


def output_rows(problem: Any) -> list[Array]:
    """Return where the weights of each output are: for each layer an index array of shape (outputs, inputs).

    Intercepts and biases are in none. For `LeastSquares` and `LogisticRegression` there is one layer with one output.

    Parameters
    ----------
    problem : FiniteSum
        A linear model, or a `NeuralNetwork`.

    Examples
    --------
    >>> from optlab.stochastic import SoftmaxRegression
    >>> output_rows(SoftmaxRegression(np.eye(3), [0, 1, 1]))
    [array([[0, 2, 4],
           [1, 3, 5]])]
    """
    if isinstance(problem, NeuralNetwork):
        places = np.arange(problem.size)
        return [layer.T.copy() for layer, _ in problem.layers(places)]
    if not isinstance(problem, FiniteSum) or len(problem.shape) > 2:
        raise TypeError(
            f"problem must be a finite sum with a vector or a matrix of weights, got {type(problem).__name__}"
        )
    places = np.arange(problem.size).reshape(problem.shape)
    if problem.intercept:
        places = places[:-1]
    return [np.atleast_2d(places.T).copy()]


def row_groups(problem: Any) -> Array:
    """Return the group number of each weight for one grid per output (`PARQ`'s ``groups``); -1 for intercepts.

    Examples
    --------
    >>> from optlab.stochastic import SoftmaxRegression
    >>> row_groups(SoftmaxRegression(np.eye(3), [0, 1, 1]))
    array([0, 1, 0, 1, 0, 1])
    """
    groups, number = np.full(problem.size, -1, dtype=np.int64), 0
    for layer in output_rows(problem):
        groups[layer] = number + np.arange(layer.shape[0])[:, None]
        number += layer.shape[0]
    return groups


class LearnedScales(FiniteSum):
    """The losses of a problem at quantized weights, as a problem in latent weights and one scale per row (ParetoQ).

    The unknowns are one vector: the weights of the problem, then the scales. `gradient` is the straight-through one
    (`Quantizer.gradients`), which is no derivative of the losses: those are piecewise constant in the weights.

    Parameters
    ----------
    problem : FiniteSum
    quantizer : Quantizer
        `ElasticBinary`, `SEQ` or `LSQ`.
    rows : sequence of ndarray of int, optional
        For each layer where its weights are, shape (rows, columns), one scale per row. Default: `output_rows`.

    Examples
    --------
    >>> import optlab
    >>> from optlab.quantization import SEQ
    >>> from optlab.stochastic import Adam, SoftmaxRegression
    >>> A = np.random.default_rng(0).normal(size=(60, 4))
    >>> problem = LearnedScales(SoftmaxRegression(A, (A[:, 0] > A[:, 1]).astype(int)), SEQ(2))
    >>> start = problem.begin(0.1 * np.ones((4, 2)))
    >>> result = optlab.solve(problem, Adam(0.01, batch_size=60), x0=start, max_iter=400, seed=0)
    >>> weights = problem.quantized(result.solution)
    >>> weights.shape, len(np.unique(np.abs(weights[:, 0])))
    ((4, 2), 2)

    References
    ----------
    Liu et al. (2025), ParetoQ: scaling laws in extremely low-bit LLM quantization.
    """

    def __init__(self, problem: FiniteSum, quantizer: Quantizer, rows: Sequence[Array] | None = None) -> None:
        if not isinstance(problem, FiniteSum):
            raise TypeError(f"problem must be a FiniteSum, got {type(problem).__name__}")
        if not isinstance(quantizer, Quantizer):
            raise TypeError(f"quantizer must be an ElasticBinary, SEQ or LSQ, got {quantizer!r}")
        self.problem, self.quantizer = problem, quantizer
        self.rows = [self._checked(i, layer) for i, layer in enumerate(output_rows(problem) if rows is None else rows)]
        taken = np.concatenate([layer.ravel() for layer in self.rows]) if self.rows else np.empty(0, np.int64)
        if len(np.unique(taken)) != taken.size:
            raise ValueError("rows must not name a weight twice")
        scales = sum(layer.shape[0] for layer in self.rows)
        super().__init__(problem.n_samples, problem.size + scales, dtype=problem.dtype, nonnegative=problem.nonnegative)

    def _checked(self, i: int, layer: Any) -> Array:
        places = np.array(layer)
        if places.ndim != 2 or places.dtype.kind not in "iu":
            raise ValueError(f"rows[{i}] must be a matrix of integers, got {places.dtype} of {places.ndim} axes")
        if places.size and (places.min() < 0 or places.max() >= self.problem.size):
            raise ValueError(f"rows[{i}] must be from 0 to {self.problem.size - 1}, the weights of the problem")
        return places

    def begin(self, weights: Any) -> Array:
        """Return the start with these latent weights and the quantizer's initial scales."""
        w = np.asarray(weights, dtype=self.dtype).ravel()
        if w.size != self.problem.size:
            raise ValueError(f"weights must have {self.problem.size} entries, got {w.size}")
        scales = [self.quantizer.initial_scale(w[layer]).ravel() for layer in self.rows]
        return np.concatenate([w, *scales])

    def start(self, rng: np.random.Generator) -> Array:
        """Return the problem's own start; where that is 0, small random weights, since 0 has no scale."""
        w = np.array(self.problem.default_start(rng), dtype=self.dtype).ravel()
        for layer in self.rows:
            if not np.any(w[layer]):
                w[layer] = rng.standard_normal(layer.shape) / np.sqrt(layer.shape[1])
        return self.begin(w)

    def _layers(self, x: Array) -> list[tuple[Array, Array, Array]]:
        """Return places, latent weights and scales, layer by layer."""
        found, at = [], self.problem.size
        for layer in self.rows:
            found.append((layer, x[layer], x[at : at + layer.shape[0], None]))
            at += layer.shape[0]
        return found

    def quantized(self, x: Any) -> Array:
        """Return the quantized weights, in the shape of the problem's."""
        x = np.asarray(x)
        w = x[: self.problem.size].copy()
        for places, latent, scale in self._layers(x):
            w[places] = self.quantizer.quantize(latent, scale)
        return w.reshape(self.problem.shape)

    def losses(self, x: Array, rows: Array) -> Array:
        """Return the losses of the samples at the quantized weights."""
        return self.problem.losses(self.quantized(x), rows)

    def gradient(self, x: Array, rows: Array) -> Array:
        """Return the straight-through gradient."""
        g = np.ravel(self.problem.gradient(self.quantized(x), rows))
        whole = np.concatenate([g, np.zeros(self.size - g.size, g.dtype)])
        at = g.size
        for places, latent, scale in self._layers(x):
            whole[places], slopes = self.quantizer.gradients(latent, scale, g[places])
            whole[at : at + len(slopes)] = slopes[:, 0]
            at += len(slopes)
        return whole

    def measure(self, x: Array) -> dict[str, float]:
        """Return what the problem measures at the quantized weights."""
        return self.problem.measure(self.quantized(x))
