"""Primal averaging: gradients taken near an average of the iterates, which is the solution.

    y_t     = mu_y x_t + (1 - mu_y) z_t           the point where the method inside takes its gradient
    z_{t+1} = z_t + d_t                           d_t its displacement: of SGD, Adam, NGN, ...
    x_{t+1} = mu_x x_t + (1 - mu_x) z_{t+1}       what is reported

Generalized primal averaging (GPA; Defazio, Mishchenko, Raman, Shi, Xiao 2025) takes the two constants apart.
mu_x = mu_y = mu around gradient descent is Nesterov's momentum: as deep-learning libraries have it at the points y, as
Nesterov has it at x. mu_y = 1 is the heavy ball; mu_y = 0 leaves the iteration alone and averages it exponentially
(`ExponentialAveraging`); mu_x = 0 is the method inside. With mu_x = 1 - w_t / sum w it is `ScheduleFree`, of Defazio,
Yang, Mehta, Mishchenko, Khaled and Cutkosky (2024).

Around a method of `optlab.stochastic` all of it runs inside the compiled loop: the base method's update is made at z,
of the gradient at y, so that a decoupled weight decay acts on z, where the recursion has it. (The authors' optimizer
shrinks z before it averages, which is another iteration.) Around any other method with a variable, whose iteration is a
map T, the displacement is ``T(y) - y``.

What this file does not do: choose a step size. GPA is run with a schedule; a good step size of Schedule-Free is larger
than that of the method inside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.compiled.primal import LARGEST, WEIGHT_SUM, Near, start_numbers
from optlab.core.validation import as_number
from optlab.wrappers.base import WrappedState, Wrapper, check_wrappable, scaled


@dataclass
class PrimalAveragingState(WrappedState):
    """State after k iterations.

    Parameters
    ----------
    inner : State
        The state of the method inside, whose variable is z; on sparse data z and x are combinations of its variable and
        `mean`, see `optlab.compiled.primal`.
    mean : variable
        The average x.
    numbers : ndarray
        The combinations, and what the weights of the average remember.
    fused : bool
        Whether the method inside averages in its own loop.
    """

    mean: Any
    numbers: np.ndarray
    fused: bool = False


class PrimalAveragingIteration(Wrapper):
    """The iteration itself; its subclasses say where the gradients are taken and how the average is weighed."""

    decay: float = 0.0
    interpolation: Any = 0.0

    def coefficients(
        self, k: int, n: int, step_sizes: np.ndarray, numbers: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return ``1 - mu_x`` and mu_y of the iterations k, ..., k+n-1, arrays of length n or 1."""
        raise NotImplementedError

    def accepts(self, problem: Any) -> str | None:
        """Return the reason of the method inside, or one against a weight decay that needs its step sizes."""
        reason = super().accepts(problem)
        if reason is None and self.decay > 0.0 and not self.method.interpolates(problem):
            return f"decays weights at y inside the loops of optlab.stochastic only, not around {self.method!r}"
        return reason

    def init(self, problem: Any, x0: Any, rng: np.random.Generator) -> PrimalAveragingState:
        """Return the state at iteration 0, with x = y = z."""
        return self._begin(problem, 0, self.method.init(problem, x0, rng))

    def _begin(self, problem: Any, k: int, inner: Any) -> PrimalAveragingState:
        if self.method.interpolates(problem):
            near = self.method.begin_near(problem, inner, self.coefficients, self.decay, self.interpolation)
            return PrimalAveragingState(k, inner, near.mean, near.numbers, True)
        return PrimalAveragingState(k, inner, self.method.variable(inner), start_numbers())

    def advance(self, problem: Any, state: PrimalAveragingState, n: int) -> PrimalAveragingState:
        """Return the state `n` iterations later."""
        numbers = state.numbers.copy()
        if state.fused:
            near = Near(state.mean.copy(), numbers, self.coefficients, self.decay)
            inner = self.method.advance_near(problem, state.inner, n, near)
            return PrimalAveragingState(state.k + n, inner, near.mean, near.numbers, True)
        inner, x = state.inner, state.mean
        for k in range(state.k, state.k + n):
            mixing, interpolation = self.coefficients(k, 1, np.ones(1), numbers)
            c, mu = float(mixing[0]), float(interpolation[0])
            z = self.method.variable(inner)
            at_y = inner if mu == 0.0 else self.method.with_variable(problem, inner, _between(mu, x, z))
            inner = self.method.step(problem, at_y)
            if mu == 0.0:
                z = self.method.variable(inner)
            else:
                z = z + self.method.displacement(at_y, inner)
                inner = self.method.with_variable(problem, inner, z)
            x = _between(1.0 - c, x, z)
        return PrimalAveragingState(state.k + n, inner, x, numbers)

    def _x(self, state: PrimalAveragingState) -> Any:
        if not state.fused:
            return state.mean
        return self.method.near_value(state.inner, Near(state.mean, state.numbers, self.coefficients))

    def iterate(self, problem: Any, state: PrimalAveragingState) -> Any:
        """Return the average x."""
        return self.method.iterate(problem, self.method.with_variable(problem, state.inner, self._x(state)))

    def variable(self, state: PrimalAveragingState) -> Any:
        """Return the average x."""
        return self._x(state)

    def with_variable(self, problem: Any, state: PrimalAveragingState, value: Any) -> PrimalAveragingState:
        """Return a state with x = y = z at `value`; the weights of the average go on."""
        inner = self.method.with_variable(problem, state.inner, value)
        new = self._begin(problem, state.k, inner)
        new.numbers[WEIGHT_SUM:] = state.numbers[WEIGHT_SUM:]
        return new

    def displacement(self, before: PrimalAveragingState, after: PrimalAveragingState) -> Any:
        """Return how far the average has moved."""
        return self._x(after) - self._x(before)

    def same_map(self, before: Any, after: Any) -> bool:
        """Return False: the average moves by a map of x and z."""
        return False


def _between(weight: float, first: Any, second: Any) -> Any:
    return scaled(weight, first) + scaled(1.0 - weight, second)


def _schedule(value: float | Callable[[int], float], name: str, k: int, n: int) -> np.ndarray:
    """Return a constant as an array of length 1, a function of k by its values."""
    if not callable(value):
        return np.array([float(value)])
    return np.array([as_number(value(i), f"{name}({i})", minimum=0, maximum=1) for i in range(k, k + n)])


def _check_fraction(wrapper: Any, name: str) -> None:
    value = getattr(wrapper, name)
    if not callable(value):
        object.__setattr__(wrapper, name, as_number(value, name, minimum=0, maximum=1))


@dataclass(frozen=True)
class PrimalAveraging(PrimalAveragingIteration):
    """Generalized primal averaging around a method.

    Parameters
    ----------
    method : Method
        Any method with a variable.
    interpolation : float in [0, 1] or callable, default 0.7
        mu_y: how much of the average the point of the gradient sees. The authors: 0.7 to 0.9.
    averaging : float in [0, 1] or callable, default 0.9967
        mu_x, the weight on the old average; ``1 / (1 - averaging)`` is the horizon in iterations. ``0.9 ** (1 / H)`` is
        what one `DiLoCo` step of momentum 0.9 every H iterations comes to: 0.9934, 0.9967, 0.9984 for H = 16, 32, 64.
        A horizon that is not small beside the run makes the average lag behind.

        Functions of the iteration k = 0, 1, ... are allowed for both.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range.

    References
    ----------
    Defazio, Mishchenko, Raman, Shi, Xiao (2025), Smoothing DiLoCo with primal averaging for faster training of LLMs,
    arXiv 2512.17131, Algorithm 1.

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import SGD, LeastSquares
    >>> from optlab.wrappers import PrimalAveraging
    >>> rng = np.random.default_rng(0)
    >>> A = rng.standard_normal((200, 3))
    >>> problem = LeastSquares(A, A @ np.ones(3) + rng.standard_normal(200))
    >>> plain = optlab.solve(problem, SGD(0.1), max_iter=4000, seed=0)
    >>> average = optlab.solve(problem, PrimalAveraging(SGD(0.1), averaging=0.99), max_iter=4000, seed=0)
    >>> average.metrics["gap"] < plain.metrics["gap"] / 5
    True
    """

    method: Any
    interpolation: float | Callable[[int], float] = 0.7
    averaging: float | Callable[[int], float] = 0.9967

    reference: ClassVar[str] = "defazio2025smoothing"  # type: ignore[assignment]

    def __post_init__(self) -> None:
        check_wrappable(self.method)
        _check_fraction(self, "interpolation")
        _check_fraction(self, "averaging")

    def coefficients(
        self, k: int, n: int, step_sizes: np.ndarray, numbers: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return ``1 - mu_x`` and mu_y."""
        mixing = 1.0 - _schedule(self.averaging, "averaging", k, n)
        return mixing, _schedule(self.interpolation, "interpolation", k, n)


@dataclass(frozen=True)
class ExponentialAveraging(PrimalAveragingIteration):
    """The exponential moving average of a method's iterates, which themselves stay as they are.

    Parameters
    ----------
    method : Method
        Any method with a variable.
    averaging : float in [0, 1] or callable, default 0.999
        The weight on the old average.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range.

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import SGD, LeastSquares
    >>> from optlab.wrappers import ExponentialAveraging
    >>> problem = LeastSquares([[1.0], [1.0]], [0.0, 1.0])
    >>> result = optlab.solve(problem, ExponentialAveraging(SGD(0.5), 0.995), max_iter=4000, seed=0)
    >>> bool(abs(result.solution[0] - 0.5) < 0.1)  # of single iterates the standard deviation is 0.29
    True
    """

    method: Any
    averaging: float | Callable[[int], float] = 0.999

    def __post_init__(self) -> None:
        check_wrappable(self.method)
        _check_fraction(self, "averaging")

    def coefficients(
        self, k: int, n: int, step_sizes: np.ndarray, numbers: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return ``1 - mu_x`` and 0."""
        return 1.0 - _schedule(self.averaging, "averaging", k, n), np.zeros(1)


@dataclass(frozen=True)
class ScheduleFree(PrimalAveragingIteration):
    """Schedule-Free averaging around a method: the average that a decaying schedule stands for, at any horizon.

    ``mu_x = 1 - w_t / (w_1 + ... + w_t)``, ``w_t = t^power max(step sizes so far)^weight_power``.

    Parameters
    ----------
    method : Method
        Any method with a variable. Around ``SGD(step_size)`` this is the authors' SGDScheduleFree, around
        ``Adam(step_size, beta1=0.0)`` their AdamWScheduleFree; their warm-up is `optlab.stochastic.Warmup` as the step
        size. Around a method without step sizes, or outside `optlab.stochastic`, where they are not known beforehand,
        all weights are those of a constant one.
    interpolation : float in [0, 1] or callable, default 0.9
        mu_y; the authors' beta.
    weight_decay : float, default 0.0
        Decay at y, where the authors' code has it: each step also subtracts ``step_size weight_decay y``.
    power : float, default 0.0
    weight_power : float, default 2.0

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range.

    References
    ----------
    Defazio, Yang, Mehta, Mishchenko, Khaled, Cutkosky (2024), The road less scheduled, arXiv 2405.15682.

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import LeastSquares, NGN
    >>> from optlab.wrappers import ScheduleFree
    >>> problem = LeastSquares([[1.0], [1.0]], [0.0, 1.0])
    >>> result = optlab.solve(problem, ScheduleFree(NGN(1.0)), max_iter=4000, seed=0)
    >>> bool(abs(result.solution[0] - 0.5) < 0.05)
    True
    """

    method: Any
    interpolation: float | Callable[[int], float] = 0.9
    weight_decay: float = 0.0
    power: float = 0.0
    weight_power: float = 2.0

    reference: ClassVar[str] = "defazio2024road"  # type: ignore[assignment]

    def __post_init__(self) -> None:
        check_wrappable(self.method)
        _check_fraction(self, "interpolation")
        for name in ("weight_decay", "power", "weight_power"):
            object.__setattr__(self, name, as_number(getattr(self, name), name, minimum=0))

    @property
    def decay(self) -> float:  # type: ignore[override]
        """The weight decay."""
        return self.weight_decay

    def coefficients(
        self, k: int, n: int, step_sizes: np.ndarray, numbers: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return ``w_t / sum w`` and mu_y; the sum and the largest step size are kept in `numbers`."""
        sizes = np.where(np.isfinite(step_sizes), step_sizes, 1.0)
        largest = np.maximum.accumulate(np.maximum(sizes, numbers[LARGEST]))
        weights = np.empty(n)  # one power for a constant step size: powers are a twentieth of a step's cost
        weights[:] = largest**self.weight_power
        if self.power > 0.0:
            weights *= np.arange(k + 1.0, k + n + 1.0) ** self.power
        sums = np.empty(n + 1)
        sums[0], sums[1:] = numbers[WEIGHT_SUM], weights
        np.cumsum(sums, out=sums)
        numbers[WEIGHT_SUM], numbers[LARGEST] = sums[-1], largest[-1]
        return weights / sums[1:], _schedule(self.interpolation, "interpolation", k, n)
