"""A multilayer perceptron as a function class: scores of all actions from the coordinates of a state.

Forward and backward passes in NumPy, for policies of a few thousand parameters; no GPU, no automatic differentiation.
Parameters are one vector: for each layer the (inputs, outputs) matrix by rows, then its biases.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from optlab.core.validation import as_float_array, one_of
from optlab.policy.arguments import as_count
from optlab.policy.function_classes.classes import FunctionClass, row_numbers
from optlab.policy.ownership import frozen

__all__ = ["MLP"]


class MLP(FunctionClass):
    """A fully connected network with linear outputs.

    Parameters
    ----------
    points : array_like, shape (S, m), or int
        Coordinates of the states, or their number where states come as coordinates.
    n_actions : int
    hidden : sequence of int, default (64, 64)
        Units of the hidden layers.
    activation : {"tanh", "relu"}, default "tanh"

    Notes
    -----
    The start draws hidden weights uniformly within ``sqrt(3 / inputs)`` (variance ``1 / inputs``) and sets the last
    layer to zero: the first policy is uniform, as that of every other class.

    Examples
    --------
    >>> network = MLP(2, n_actions=3, hidden=(4,))
    >>> theta = network.initial(np.random.default_rng(0))
    >>> network.scores(theta, np.array([[0.5, -1.0]]))
    array([[0., 0., 0.]])
    """

    linear: ClassVar[bool] = False

    def __init__(self, points: Any, n_actions: int, hidden: Sequence[int] = (64, 64), activation: str = "tanh") -> None:
        self.points: np.ndarray | None = None
        self.n_states = None
        if isinstance(points, (int, np.integer)):
            m = as_count(points, "points")
        else:
            self.points = frozen(as_float_array(points, "points", ndim=2).astype(np.float64, copy=False))
            self.n_states, m = self.points.shape
        if not isinstance(hidden, (list, tuple, np.ndarray)) or np.ndim(hidden) != 1:
            raise TypeError(f"hidden must be a sequence of integers, got {type(hidden).__name__}")
        self.n_actions = as_count(n_actions, "n_actions")
        self.sizes = (
            m,
            *(as_count(h, f"hidden[{i}]") for i, h in enumerate(hidden)),
            self.n_actions,
        )
        self.activation = one_of(activation, "activation", ("tanh", "relu"))
        self.n_parameters = sum((n + 1) * out for n, out in pairwise(self.sizes))

    def initial(self, rng: np.random.Generator) -> np.ndarray:
        """Return random hidden layers and a last layer of zeros: the uniform policy."""
        theta = np.zeros(self.n_parameters)
        for W, _ in self.layers(theta)[:-1]:
            W[...] = rng.uniform(-1.0, 1.0, W.shape) * np.sqrt(3.0 / W.shape[0])
        return theta

    def layers(self, theta: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return weights (inputs, outputs) and biases of each layer, as views into `theta`."""
        found, at = [], 0
        for n, out in pairwise(self.sizes):
            found.append((theta[at : at + n * out].reshape(n, out), theta[at + n * out : at + (n + 1) * out]))
            at += (n + 1) * out
        return found

    def inputs(self, states: Any) -> np.ndarray:
        """Return the coordinates of `states`, shape (N, m)."""
        if states is not None:
            states = np.asarray(states)
            if states.dtype.kind == "f":
                return as_float_array(states, "states", shape=(None, self.sizes[0]), allow_empty=True)
        if self.points is None:
            raise TypeError("this MLP was made without a table of states: pass coordinates")
        return self.points[row_numbers(states, self.points.shape[0])]

    def _activate(self, x: np.ndarray) -> np.ndarray:
        return np.tanh(x) if self.activation == "tanh" else np.maximum(x, 0.0)

    def _slope(self, activated: np.ndarray) -> np.ndarray:
        return 1.0 - activated**2 if self.activation == "tanh" else (activated > 0).astype(np.float64)

    def _forward(self, theta: np.ndarray, states: Any) -> list[np.ndarray]:
        """Return the inputs of every layer, and last the scores."""
        values = [self.inputs(states)]
        layers = self.layers(theta)
        for i, (W, b) in enumerate(layers):
            x = values[-1] @ W + b
            values.append(x if i == len(layers) - 1 else self._activate(x))
        return values

    def scores(self, theta: np.ndarray, states: Any = None) -> np.ndarray:
        return self._forward(theta, states)[-1]

    def jvp(self, theta: np.ndarray, states: Any, tangent: np.ndarray) -> np.ndarray:
        values = self._forward(theta, states)
        layers = self.layers(theta)
        moved = np.zeros_like(values[0])
        for i, ((W, _), (dW, db)) in enumerate(zip(layers, self.layers(tangent))):
            moved = moved @ W + values[i] @ dW + db
            if i < len(layers) - 1:
                moved = moved * self._slope(values[i + 1])
        return moved

    def vjp(self, theta: np.ndarray, states: Any, cotangent: np.ndarray) -> np.ndarray:
        values = self._forward(theta, states)
        gradient = np.empty(self.n_parameters)
        layers, pieces = self.layers(theta), self.layers(gradient)
        delta = cotangent
        for i in range(len(layers) - 1, -1, -1):
            dW, db = pieces[i]
            dW[...] = values[i].T @ delta
            db[...] = delta.sum(axis=0)
            if i:
                delta = (delta @ layers[i][0].T) * self._slope(values[i])
        return gradient

    def gram(self, theta: np.ndarray, states: Any, blocks: np.ndarray) -> np.ndarray:
        """Return the Gauss-Newton matrix, from the Jacobian of every state: for small networks."""
        values = self._forward(theta, states)
        layers = self.layers(theta)
        n = values[0].shape[0]
        jacobian = np.empty((n, self.n_actions, self.n_parameters))
        delta = np.broadcast_to(np.eye(self.n_actions), (n, self.n_actions, self.n_actions))
        end = self.n_parameters
        for i in range(len(layers) - 1, -1, -1):
            W, _ = layers[i]
            size = W.size + W.shape[1]
            products = values[i][:, None, :, None] * delta[:, :, None, :]
            jacobian[:, :, end - size : end - W.shape[1]] = products.reshape(n, self.n_actions, W.size)
            jacobian[:, :, end - W.shape[1] : end] = delta
            end -= size
            if i:
                delta = (delta @ W.T) * self._slope(values[i])[:, None, :]
        flat = jacobian.reshape(-1, self.n_parameters)
        matrix = flat.T @ (blocks @ jacobian).reshape(-1, self.n_parameters)
        return (matrix + matrix.T) / 2
