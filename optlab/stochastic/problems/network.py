"""A small fully connected network with softmax cross-entropy, for studies of step sizes; trained in compiled loops.

Weights are one vector: for each layer the (inputs, outputs) matrix by rows, then its biases; `layers` takes it apart.
Not a deep-learning framework: no convolutions, no GPU, gradients sample by sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit

from optlab.core.validation import as_integer, as_number, one_of
from optlab.stochastic.kernels.data import as_classes, as_design, is_sparse
from optlab.stochastic.kernels.losses import cross_entropy, losses_and_slopes
from optlab.stochastic.kernels.oracles import OracleData, oracle
from optlab.stochastic.problems.finite_sum import FiniteSum

ACTIVATIONS = ("relu", "tanh")


@njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _back(x, begin, delta, n):
    s = 0.0
    for c in range(n):
        s += float(x[begin + c]) * delta[c]
    return s


@oracle
def _network_oracle(dense, values, indices, indptr, targets, integers, reals, x, rows, gradient, work):
    depth, activation, l2 = integers[0], integers[1], reals[0]  # depth: number of weight matrices
    sizes = integers[2 : 3 + depth]
    labels = integers[3 + depth :]
    square = 0.0
    for j in range(x.size):
        square += float(x[j]) * float(x[j])
        gradient[j] = l2 * float(x[j])
    units = 0
    for layer in range(depth + 1):
        units += sizes[layer]
    total = 0.0
    for q in range(rows.size):
        i = rows[q]
        for j in range(sizes[0]):
            work[j] = float(dense[i, j])
        # forward: layer by layer, outputs after inputs in `work`
        begin, at = 0, 0
        for layer in range(depth):
            n_in, n_out = sizes[layer], sizes[layer + 1]
            out = at + n_in
            biases = begin + n_in * n_out
            for c in range(n_out):
                work[out + c] = float(x[biases + c])
            for j in range(n_in):
                a = work[at + j]
                if a != 0.0:
                    row = begin + j * n_out
                    for c in range(n_out):
                        work[out + c] += a * float(x[row + c])
            if layer < depth - 1:
                for c in range(n_out):
                    if activation == 0:
                        work[out + c] = max(work[out + c], 0.0)
                    else:
                        work[out + c] = np.tanh(work[out + c])
            begin = biases + n_out
            at = out
        # backward: `delta` is the gradient in a layer's outputs
        delta = work[units : units + sizes[depth]]
        for c in range(sizes[depth]):
            delta[c] = work[at + c]
        total += cross_entropy(delta, labels[i])
        shift = units
        for layer in range(depth - 1, -1, -1):
            n_in, n_out = sizes[layer], sizes[layer + 1]
            begin -= n_in * n_out + n_out
            at -= n_in
            delta = work[shift : shift + n_out]
            shift += n_out
            biases = begin + n_in * n_out
            for c in range(n_out):
                gradient[biases + c] += delta[c] / rows.size
            for j in range(n_in):
                a = work[at + j]
                row = begin + j * n_out
                if a != 0.0:
                    share = a / rows.size
                    for c in range(n_out):
                        gradient[row + c] += share * delta[c]
                if layer > 0:
                    if activation == 0:
                        work[shift + j] = _back(x, row, delta, n_out) if a > 0.0 else 0.0
                    else:
                        work[shift + j] = _back(x, row, delta, n_out) * (1.0 - a * a)
    return total / rows.size + 0.5 * l2 * square


class NeuralNetwork(FiniteSum):
    """A multi-layer perceptron classifier: cross-entropy of the softmax of its outputs, plus ``(l2/2)||weights||^2``.

    Parameters
    ----------
    A : array_like or data frame, shape (N, d)
        Samples in rows, dense.
    y : array_like, shape (N,)
        Labels of any kind.
    hidden : tuple of int, default (64,)
        Widths of the hidden layers; () is softmax regression with intercepts.
    activation : {"relu", "tanh"}, default "relu"
    l2 : float, default 0

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import NGN, NeuralNetwork
    >>> A = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> problem = NeuralNetwork(A, [0, 1, 1, 0], hidden=(8,), activation="tanh")
    >>> optlab.solve(problem, NGN(sigma=3.0), max_iter=3000, seed=0).metrics["accuracy"]
    1.0
    """

    oracle = _network_oracle

    def __init__(
        self, A: Any, y: Any, hidden: Sequence[int] = (64,), *, activation: str = "relu", l2: float = 0.0
    ) -> None:
        if is_sparse(A):
            raise TypeError("A must be dense, got a sparse matrix; convert it with A.toarray()")
        self.A = as_design(A)
        self.classes, self.labels = as_classes(y, self.A.shape[0])
        self.hidden = tuple(as_integer(w, f"hidden[{i}]", minimum=1) for i, w in enumerate(hidden))
        self.activation = one_of(activation, "activation", ACTIVATIONS)
        self.l2 = as_number(l2, "l2", minimum=0)
        self.sizes = (self.A.shape[1], *self.hidden, len(self.classes))
        n_weights = sum((a + 1) * b for a, b in zip(self.sizes, self.sizes[1:], strict=False))
        super().__init__(self.A.shape[0], n_weights, dtype=self.A.dtype)

    def start(self, rng: np.random.Generator) -> np.ndarray:
        """Return Gaussian weights of variance 2/inputs (relu) or 1/inputs (tanh), and zero biases."""
        x = np.zeros(self.size)
        for W, _ in self.layers(x):
            W[...] = rng.standard_normal(W.shape) * np.sqrt((2.0 if self.activation == "relu" else 1.0) / len(W))
        return x.astype(self.dtype)

    def layers(self, x: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return views of the weight matrices and biases, layer by layer."""
        out, begin = [], 0
        for n_in, n_out in zip(self.sizes, self.sizes[1:], strict=False):
            middle, end = begin + n_in * n_out, begin + n_in * n_out + n_out
            out.append((x[begin:middle].reshape(n_in, n_out), x[middle:end]))
            begin = end
        return out

    def _forward(self, x: np.ndarray, A: np.ndarray) -> list[np.ndarray]:
        values = [A]
        layers = self.layers(x)
        for i, (W, b) in enumerate(layers):
            z = values[-1] @ W + b
            if i < len(layers) - 1:
                z = np.maximum(z, 0) if self.activation == "relu" else np.tanh(z)
            values.append(z)
        return values

    def _backward(self, x: np.ndarray, values: list[np.ndarray], slopes: np.ndarray) -> np.ndarray:
        gradient = self.l2 * x
        delta = slopes.astype(self.dtype)
        for i in reversed(range(len(values) - 1)):
            W, _ = self.layers(x)[i]
            dW, db = self.layers(gradient)[i]
            dW += values[i].T @ delta
            db += delta.sum(axis=0)
            if i > 0:
                delta = delta @ W.T
                delta *= values[i] > 0 if self.activation == "relu" else 1 - values[i] ** 2
        return gradient

    def losses(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the losses of `rows`."""
        scores = self._forward(x, self.A[rows])[-1]
        return losses_and_slopes(scores, self.labels[rows])[0] + 0.5 * self.l2 * float(x @ x)

    def gradient(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the gradient of the mean loss over `rows`."""
        values = self._forward(x, self.A[rows])
        slopes = losses_and_slopes(values[-1], self.labels[rows])[1] / len(rows)
        return self._backward(x, values, slopes)

    def measure(self, x: np.ndarray) -> dict[str, float]:
        """Return objective, gradient norm and accuracy."""
        values = self._forward(x, self.A)
        losses, slopes = losses_and_slopes(values[-1], self.labels)
        gradient = self._backward(x, values, slopes / self.n_samples)
        return {
            "objective": float(np.mean(losses)) + 0.5 * self.l2 * float(x @ x),
            "gradient_norm": float(np.linalg.norm(gradient)),
            "accuracy": float(np.mean(np.argmax(values[-1], axis=1) == self.labels)),
        }

    def work_size(self, batch: int) -> int:
        """Room for every unit's value and gradient."""
        return 2 * sum(self.sizes)

    @cached_property
    def oracle_data(self) -> OracleData:
        """What the compiled loops read."""
        head = [len(self.sizes) - 1, ACTIVATIONS.index(self.activation), *self.sizes]
        integers = np.concatenate([np.array(head, np.int64), self.labels])
        return OracleData.make(self.dtype, dense=self.A, integers=integers, reals=[self.l2])
