"""Finite sums ``f(x) = (1/N) sum_i f_i(x)``: the base of all stochastic problems, and the class for a user's own.

A problem of your own is one class with two methods, `losses` and `gradient`, in NumPy:

    class Robust(FiniteSum):
        def losses(self, x, rows):
            return np.log(np.cosh(A[rows] @ x - b[rows]))
        def gradient(self, x, rows):
            return A[rows].T @ np.tanh(A[rows] @ x - b[rows]) / len(rows)

    problem = Robust(n_samples=len(b), shape=A.shape[1])

Every method of this package runs on it (interpreted; the built-in problems run compiled).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from optlab.compiled.functions import Compiled
from optlab.core.validation import as_float_array, as_integer, as_number
from optlab.stochastic.kernels.oracles import OracleData


class FiniteSum:
    """A finite sum of your own: subclass, and define `losses` and `gradient`.

    Parameters
    ----------
    n_samples : int
        Number N of terms.
    shape : int or tuple of int
        Shape of the weights.
    dtype : dtype, default float64
        float32 or float64.
    f_star : float, optional
        The minimum of f, or a lower bound of it. If given, `measure` has a ``gap`` and ``tol`` refers to it.
    nonnegative : bool, default True
        Whether every f_i is at least 0, as Gauss-Newton and Polyak step sizes require. A negative loss is then an
        error that names the sample, with any method.
    check_gradient : bool, default False
        Compare `gradient` with finite differences at a random point now (see `check_gradient`).

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import NGN
    >>> class Distances(FiniteSum):
    ...     points = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 2.0]])
    ...     def losses(self, x, rows):
    ...         return 0.5 * np.sum((x - self.points[rows]) ** 2, axis=1)
    ...     def gradient(self, x, rows):
    ...         return np.mean(x - self.points[rows], axis=0)
    >>> problem = Distances(n_samples=3, shape=2, check_gradient=True)
    >>> optlab.solve(problem, NGN(sigma=0.5, batch_size=3), max_iter=100).solution.round(6)
    array([2., 2.])
    """

    primary_metric = "objective"
    array_points = True
    oracle: Compiled | None = None  # the compiled gradient of built-in problems
    convex = False
    intercept = False  # whether the last weight (or row of weights) is added to all scores and free of the ridge term

    def __init__(
        self,
        n_samples: int,
        shape: int | Sequence[int],
        *,
        dtype: Any = np.float64,
        f_star: float | None = None,
        nonnegative: bool = True,
        check_gradient: bool = False,
    ) -> None:
        self.n_samples = as_integer(n_samples, "n_samples", minimum=1)
        dims = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
        self.shape = tuple(as_integer(s, "shape", minimum=1) for s in dims)
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.float32, np.float64):
            raise TypeError(f"dtype must be float32 or float64, got {dtype}")
        self.nonnegative = bool(nonnegative)
        self._f_star = None if f_star is None else as_number(f_star, "f_star")
        if self._f_star is not None:
            self.primary_metric = "gap"
        if check_gradient:
            self.check_gradient()

    # ------------------------------------------------------------------ what a user defines

    def losses(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the losses f_i(x) of the samples `rows` (an index array)."""
        raise NotImplementedError(f"{type(self).__name__} must define losses(x, rows)")

    def gradient(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the gradient of the mean of these losses, in the shape of x."""
        raise NotImplementedError(f"{type(self).__name__} must define gradient(x, rows)")

    def start(self, rng: np.random.Generator) -> np.ndarray:
        """Return a start; zero unless redefined."""
        return np.zeros(self.shape, self.dtype)

    # ------------------------------------------------------------------ derived

    @property
    def size(self) -> int:
        """Number of weights."""
        return int(np.prod(self.shape))

    @cached_property
    def all_rows(self) -> np.ndarray:
        """The indices of all samples."""
        return np.arange(self.n_samples)

    @property
    def f_star(self) -> float | None:
        """A certified lower bound of the minimum (the minimum up to rounding), or None if not known."""
        return self._minimum[0]

    @property
    def f_star_reason(self) -> str:
        """What `f_star` rests on: a certificate, or the word of whoever made the problem."""
        return self._minimum[1]

    @property
    def _minimum(self) -> tuple[float | None, str]:
        return self._f_star, "not known" if self._f_star is None else "given"

    @property
    def smoothness(self) -> np.ndarray | None:
        """Per-sample constants L_i (gradient Lipschitz), or None if there are none."""
        return None

    @property
    def self_bounding(self) -> np.ndarray | None:
        """Per-sample constants with ``||grad f_i||^2 <= 2 kappa_i f_i`` everywhere, or None."""
        return self.smoothness

    def batch(self, x: np.ndarray, rows: np.ndarray) -> tuple[float, np.ndarray]:
        """Return mean loss and gradient over `rows`, checked: what an interpreted step uses."""
        losses = np.asarray(self.losses(x, rows), np.float64)
        if losses.shape != (len(rows),):
            raise ValueError(
                f"{type(self).__name__}.losses must return one loss per row, shape ({len(rows)},), got {losses.shape}"
            )
        if self.nonnegative and losses.min() < 0:
            at = int(np.argmin(losses))
            raise ValueError(
                f"the loss of sample {int(rows[at])} is negative ({losses[at]:g}), but {type(self).__name__} was made "
                "with nonnegative=True: shift them, or pass nonnegative=False, with which step sizes that divide by "
                "the loss (NGN, Polyak's) need a lower_bound"
            )
        if not np.all(np.isfinite(losses)):
            at = int(np.argmin(np.isfinite(losses)))
            raise FloatingPointError(f"the loss of sample {int(rows[at])} is {losses[at]}")
        gradient = np.asarray(self.gradient(x, rows))
        if gradient.shape != self.shape:
            raise ValueError(f"{type(self).__name__}.gradient must return shape {self.shape}, got {gradient.shape}")
        return float(np.mean(losses)), gradient

    def objective(self, x: np.ndarray) -> float:
        """Return f(x)."""
        return self.objective_and_gradient(x)[0]

    def objective_and_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return f(x) and its gradient."""
        return self.batch(x, self.all_rows)

    def gradients(self, x: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Return the gradient of every sample in `rows` (default: all), one per row."""
        rows = self.all_rows if rows is None else np.asarray(rows)
        return np.stack([np.asarray(self.gradient(x, np.array([i]))) for i in rows])

    def subset(self, rows: np.ndarray) -> FiniteSum:
        """Return the finite sum over some samples only."""
        return _Subset(self, np.asarray(rows))

    # ------------------------------------------------------------------ Problem

    def default_start(self, rng: np.random.Generator) -> np.ndarray:
        """Return the default start."""
        return self.start(rng)

    def measure(self, x: np.ndarray) -> dict[str, float]:
        """Return ``objective``, ``gradient_norm`` and, if `f_star` is known, ``gap``: absolute numbers all."""
        value, gradient = self.objective_and_gradient(x)
        row = {"objective": value, "gradient_norm": float(np.linalg.norm(gradient))}
        if self.f_star is not None:
            row["gap"] = self.gap(value)
        return row

    def gap(self, value: float) -> float:
        """Return the distance of an objective value from `f_star`, which must be known.

        At least the rounding error of the value, and positive also for values below `f_star` (rounding again, or an
        `f_star` that is no lower bound), so that no tolerance is met by luck.
        """
        assert self.f_star is not None
        eps = float(np.finfo(self.dtype).eps)
        return max(abs(value - self.f_star), eps * max(abs(value), abs(self.f_star)))

    def work_size(self, batch: int) -> int:
        """Return how many float64 numbers of work space the oracle needs."""
        return 0

    @property
    def oracle_data(self) -> OracleData:
        """What the oracle reads."""
        raise NotImplementedError

    def check_gradient(
        self,
        x: np.ndarray | None = None,
        rows: np.ndarray | None = None,
        *,
        tol: float = 1e-5,
        directions: int = 5,
        seed: int = 0,
    ) -> float:
        """Compare per-sample gradients with central differences of the losses along random directions.

        Parameters
        ----------
        x : array_like, optional
            Where; default: a random point near the default start.
        rows : array_like of int, optional
            Which samples; default: up to ten at random.
        tol : float, default 1e-5
            Allowed error relative to the size of loss and gradient.
        directions : int, default 5
        seed : int, default 0

        Returns
        -------
        float
            The largest relative error.

        Raises
        ------
        ValueError
            If it exceeds `tol`; the message names the sample and both numbers.
        """
        rng = np.random.default_rng(seed)
        if x is None:
            x = self.default_start(rng) + 0.1 * rng.standard_normal(self.shape)
        x = as_float_array(x, "x", shape=self.shape).astype(np.float64)
        if rows is None:
            rows = rng.choice(self.n_samples, size=min(10, self.n_samples), replace=False)
        worst = 0.0
        for i in np.atleast_1d(np.asarray(rows)):
            row = np.array([i])
            gradient = np.asarray(self.gradient(x.astype(self.dtype), row), np.float64)
            for _ in range(directions):
                u = rng.standard_normal(self.shape)
                u /= np.linalg.norm(u)
                h = (1e-5 if self.dtype == np.float64 else 1e-2) * max(1.0, float(np.abs(x).max()))
                up, down = (float(self.losses((x + s * h * u).astype(self.dtype), row)[0]) for s in (1, -1))
                slope, claimed = (up - down) / (2 * h), float(np.sum(gradient * u))
                error = abs(slope - claimed) / max(1e-3, abs(slope), abs(claimed), 1e-2 * abs(up))
                worst = max(worst, error)
                if error > (tol if self.dtype == np.float64 else max(tol, 1e-2)):
                    raise ValueError(
                        f"gradient of sample {int(i)} does not match its loss: along a random direction the loss "
                        f"changes at rate {slope:.6g}, the gradient says {claimed:.6g}"
                    )
        return worst

    def __repr__(self) -> str:
        return f"{type(self).__name__}(n_samples={self.n_samples}, shape={self.shape}, dtype={self.dtype})"


class _Subset(FiniteSum):
    def __init__(self, parent: FiniteSum, rows: np.ndarray) -> None:
        super().__init__(len(rows), parent.shape, dtype=parent.dtype, nonnegative=parent.nonnegative)
        self.parent = parent
        self.rows = rows

    def losses(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return self.parent.losses(x, self.rows[rows])

    def gradient(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return self.parent.gradient(x, self.rows[rows])

    def start(self, rng: np.random.Generator) -> np.ndarray:
        return self.parent.start(rng)
