"""What the figures of this folder share: digits in two parts, a base method whose steps fall, methods to compare."""

from __future__ import annotations

from typing import Any

import numpy as np

import optlab
from optlab.quantization import PARQ, Annealing, BinaryRelax, ProxQuant, StraightThrough, least_squares_grid, nearest
from optlab.stochastic import SGD, NeuralNetwork, SoftmaxRegression, StepDecay

PAPER = "quantization"
BITS = (1, 1.58, 2, 3, 4)
ROUNDED = "rounded after training"


def digits(seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return pixels and classes of seven images in ten, and of the others."""
    from sklearn.datasets import load_digits

    A, y = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(y))
    cut = int(0.7 * len(y))
    return [(A[part] / 16.0, y[part]) for part in (order[:cut], order[cut:])]


def models(A: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """Return the two models: a linear one, and a network with one hidden layer."""
    return {"softmax regression": SoftmaxRegression(A, y), "network 64-32-10": NeuralNetwork(A, y, (32,), l2=1e-4)}


def accuracy(problem: Any, w: np.ndarray, B: np.ndarray, z: np.ndarray) -> float:
    """Return the share of new images that weights classify rightly."""
    other = NeuralNetwork(B, z, problem.hidden) if isinstance(problem, NeuralNetwork) else SoftmaxRegression(B, z)
    return float(other.measure(np.asarray(w).reshape(other.shape))["accuracy"])


def base(n: int, problem: Any) -> SGD:
    """Return SGD with momentum, whose steps fall by ten at 60 % and at 85 % of the run."""
    first = 0.3 if isinstance(problem, NeuralNetwork) else 1.0
    return SGD(StepDecay(first, factor=0.1, milestones=(int(0.6 * n), int(0.85 * n))), momentum=0.9, batch_size=64)


def train(problem: Any, method: Any, n: int, seed: int, x0: Any = None) -> np.ndarray:
    """Return the last weights, as a vector."""
    result = optlab.solve(problem, method, x0=x0, max_iter=n, record=n, seed=seed, progress=False)
    return np.ravel(np.asarray(result.solution))


def rounded(w: np.ndarray, groups: np.ndarray, bits: float) -> np.ndarray:
    """Return the weights rounded to a least-squares grid for each group."""
    out = w.copy()
    for g in range(int(groups.max()) + 1):
        out[groups == g] = nearest(w[groups == g], least_squares_grid(w[groups == g], bits))
    return out


def wrappers(n: int) -> dict[str, Any]:
    """Return the ways to train with a grid: functions of the base method and what they have in common."""
    end = int(0.9 * n)
    return {
        "straight-through": StraightThrough,
        "BinaryRelax": lambda method, **options: BinaryRelax(method, end=end, **options),
        "ProxQuant": lambda method, **options: ProxQuant(method, start=n // 3, end=end, strength=0.02, **options),
        "PARQ": lambda method, **options: PARQ(method, annealing=Annealing(end), **options),
    }
