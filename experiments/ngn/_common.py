"""What the figures of this folder share: sizes per scale, data, runs, and the one-dimensional functions."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import optlab
from optlab.compiled.functions import Compiled, scalar_type
from optlab.datasets import breast_cancer, standardize
from optlab.reproduce import Looks
from optlab.stochastic import FiniteSum, LogisticRegression, NeuralNetwork, SoftmaxRegression, read_libsvm
from optlab.stochastic.kernels.oracles import OracleData, oracle_signature

PAPER = "ngn"

# One look per method in all the figures of this paper.
look = Looks(
    {
        "NGN": 0,
        "NGN-M": 0,
        "SGD": 1,
        "heavy ball": 1,
        "SPS_max": 2,
        "SPS_max (c = 1)": 2,
        "AdaGrad-norm": 3,
        "Adam": 4,
        "NGN, decaying σ": 5,
        "SPS_max (c = ½)": 6,
        "undamped": 6,
    }
)


def run(problem: FiniteSum, method: Any, steps: int, *, x0: Any = None, seed: int = 0, record: Any = None) -> Any:
    """Run a number of steps, without records in between unless asked."""
    return optlab.solve(problem, method, x0=x0, max_iter=steps, seed=seed, record=record or steps, progress=False)


# ---------------------------------------------------------------------- data


def cancer_problem() -> LogisticRegression:
    """Return logistic regression on the breast cancer table, with an intercept: 569 samples, 31 weights."""
    A, y = breast_cancer()
    return LogisticRegression(np.column_stack([A, np.ones(len(y))]), y, f_star=None)


def digits(n: int = 1797) -> tuple[np.ndarray, np.ndarray]:
    """Return the first `n` of scikit-learn's 8 x 8 digits, pixels in [0, 1], and their labels."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return np.ascontiguousarray(data.data[:n] / 16.0), data.target[:n]


def digits_problem(n: int = 1797) -> SoftmaxRegression:
    """Return softmax regression on the digits, with intercepts, standardised pixels."""
    A, y = digits(n)
    return SoftmaxRegression(np.column_stack([standardize(A), np.ones(len(y))]), y, f_star=None)


def network_problem(n: int = 1797, hidden: int = 64) -> NeuralNetwork:
    """Return a network with one hidden layer (ReLU) on the digits."""
    return NeuralNetwork(*digits(n), hidden=(hidden,))


def binary_problem(n: int, seed: int) -> LogisticRegression:
    """Return logistic regression on sparse binary data made in the likeness of LIBSVM's a1a.

    14 groups of one-hot features, 123 in all; labels from a sparse linear model, a quarter positive. The data go
    through a file in LIBSVM's text format and come back in CSR form.
    """
    rng = np.random.default_rng(seed)
    sizes = rng.multinomial(123 - 28, np.ones(14) / 14) + 2
    weights = rng.standard_normal(123) * (rng.random(123) < 0.4)
    starts = np.cumsum([0, *sizes[:-1]])
    # a few values of each group are common, the others rare
    columns = np.stack([s + np.minimum(rng.geometric(0.4, n) - 1, m - 1) for s, m in zip(starts, sizes)], axis=1)
    score = weights[columns].sum(axis=1) + rng.logistic(size=n)
    labels = np.where(score > np.quantile(score, 0.75), 1, -1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "binary.txt")
        path.write_text(
            "".join(f"{label:+d} {' '.join(f'{j + 1}:1' for j in row)}\n" for label, row in zip(labels, columns))
        )
        return LogisticRegression(*read_libsvm(path, n_features=123), f_star=None)


# ---------------------------------------------------------------------- functions of one or two variables


class Oracle(Compiled):
    """An oracle that is not cached on disk: the cache would tie it to the path under which this file was loaded."""

    def __init__(self, function: Any) -> None:
        super().__init__(function, oracle_signature)

    def get(self, dtype: Any = np.float64, layout: str = "C") -> Any:
        from numba import njit

        key = (np.dtype(dtype).char, layout)
        if key not in self._made:
            signature = self.signature(scalar_type(dtype), layout)
            self._made[key] = njit(signature, error_model="numpy")(self.function)
        return self._made[key]


@Oracle
def quartic_oracle(dense, values, indices, indptr, targets, integers, reals, x, rows, gradient, work):
    gradient[0] = 2.0 * x[0] + 4.0 * x[0] ** 3
    return x[0] ** 2 + x[0] ** 4


@Oracle
def rosenbrock_oracle(dense, values, indices, indptr, targets, integers, reals, x, rows, gradient, work):
    r = x[1] - x[0] * x[0]
    gradient[0] = 2.0 * (x[0] - 1.0) - 400.0 * x[0] * r
    gradient[1] = 200.0 * r
    return (x[0] - 1.0) ** 2 + 100.0 * r * r


class Quartic(FiniteSum):
    """``x^2 + x^4``, one term, in compiled form."""

    oracle = quartic_oracle

    def __init__(self) -> None:
        super().__init__(1, 1, f_star=0.0)

    def losses(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return np.array([x[0] ** 2 + x[0] ** 4])

    def gradient(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return 2.0 * x + 4.0 * x**3

    @property
    def oracle_data(self) -> OracleData:
        return OracleData.make(self.dtype)


class Rosenbrock(Quartic):
    """``(x - 1)^2 + 100 (y - x^2)^2``, one term, in compiled form."""

    oracle = rosenbrock_oracle

    def __init__(self) -> None:
        FiniteSum.__init__(self, 1, 2, f_star=0.0)

    def losses(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return np.array([(x[0] - 1.0) ** 2 + 100.0 * (x[1] - x[0] ** 2) ** 2])

    def gradient(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        r = x[1] - x[0] ** 2
        return np.array([2.0 * (x[0] - 1.0) - 400.0 * x[0] * r, 200.0 * r])
