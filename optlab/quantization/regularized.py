"""Training with a regulariser that pulls onto a grid: aggregate proximal steps, dual averaging, proximal SGD.

The map from latent weights to weights is a proximal map, whose scale is what the three differ in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.core.validation import as_number
from optlab.quantization.latent import LatentState, LatentWeights
from optlab.wrappers.base import check_wrappable

Array = Any


@dataclass(frozen=True)
class AggregateProx(LatentWeights):
    """AProx: latent weights take the gradient steps, the proximal map with the sum of all step sizes gives the weights.

        u <- u - eta_t g(w),   gamma <- gamma + eta_t,   w <- prox_{gamma psi}(u)

    With the start w_0 it is the weighted dual averaging ``w_{t+1} = argmin sum_{s<=t} eta_s (<g_s, w> + psi(w))
    + ||w - w_0||^2 / 2``: flat pieces grow with gamma, so that the *last* iterate is quantized, which it is not in
    proximal SGD.

    Parameters
    ----------
    method : Method
        A gradient method whose displacement is ``-eta_t g`` and that knows eta_t, such as SGD with a schedule. Other
        methods are taken; the theorems are of this one.
    regularizer : PiecewiseAffine
        psi, with its weight.

    Notes
    -----
    For convex f with gradients bounded by G_f, psi with slopes bounded by G_psi, ``G = G_f + G_psi``,
    ``R = ||w_0 - w*||`` and ``eta_t = R / (2 G sqrt(t))``, mean and last iterate have
    ``E F - F* <= G R (2 + 1.5 ln T) / sqrt(T)`` (Jin et al. 2025, Theorem 3.2; the arithmetic shown there gives 2.5,
    with harmonic numbers in place of ``1 + ln T`` it gives less than 2: derived here).

    References
    ----------
    Jin, Ma, Liu, Gromov, Defazio, Xiao (2025), PARQ: piecewise-affine regularized quantization.

    Examples
    --------
    >>> import optlab
    >>> from optlab.quantization import PiecewiseAffine
    >>> from optlab.stochastic import SGD, Decaying, LeastSquares
    >>> problem = LeastSquares(np.eye(3), [0.9, -1.2, 0.1])
    >>> psi = PiecewiseAffine([0.0, 1.0, 2.0], [0.05, 0.2])
    >>> method = AggregateProx(SGD(Decaying(3.0), batch_size=3), psi)
    >>> optlab.solve(problem, method, max_iter=400, seed=0).solution.round(3)
    array([ 0.75, -1.  ,  0.  ])
    """

    method: Any
    regularizer: Any

    def __post_init__(self) -> None:
        check_wrappable(self.method)
        _check_regularizer(self.regularizer)

    @property
    def reference(self) -> str:
        """The paper of the wrapper."""
        return "jin2025parq"

    def grown(self, total: float, after: Any) -> float:
        """Return the sum of the step sizes so far."""
        return total + float(self.method.step_size_of(after))

    def mapped(self, k: int, latent: Array, state: LatentState | None) -> tuple[Array, tuple[Array, ...]]:
        """Return the proximal point."""
        return self.regularizer.proximal(latent, 0.0 if state is None else state.total), ()

    def measure(self, problem: Any, state: LatentState) -> dict[str, float]:
        """Return what the method inside measures, psi, and the share of weights on corners."""
        return super().measure(problem, state) | _regularized(self, state)


@dataclass(frozen=True)
class ProximalSteps(AggregateProx):
    """Proximal SGD and its kin: each step of a method is followed by ``prox_{eta_t psi}``.

        w <- prox_{eta_t psi}(w - eta_t g(w))

    As eta_t falls the flat pieces of the map vanish with it: the last iterate is near the grid, and not on it.

    Parameters
    ----------
    method : Method
        As for `AggregateProx`.
    regularizer : PiecewiseAffine

    Examples
    --------
    >>> import optlab
    >>> from optlab.quantization import PiecewiseAffine
    >>> from optlab.stochastic import SGD, LeastSquares
    >>> problem = LeastSquares(np.eye(3), [0.9, -1.2, 0.1])
    >>> method = ProximalSteps(SGD(0.5, batch_size=3), PiecewiseAffine([0.0, 1.0, 2.0], [0.05, 0.2]))
    >>> optlab.solve(problem, method, max_iter=400, seed=0).solution.round(6)
    array([ 0.75, -1.  ,  0.  ])
    """

    def grown(self, total: float, after: Any) -> float:
        """Return the step size alone."""
        return float(self.method.step_size_of(after))

    def step(self, problem: Any, state: LatentState) -> LatentState:
        """Return the state one iteration later; the latent weights are the weights."""
        after = super().step(problem, state)
        after.latent = np.array(self.method.variable(after.inner), dtype=float)
        return after


@dataclass
class DualAveragingState(LatentState):
    """State after k iterations.

    Parameters
    ----------
    origin : ndarray
        w_0, from which the gradients are summed.
    """

    origin: Array = None


@dataclass(frozen=True)
class RegularizedDualAveraging(AggregateProx):
    """Regularized dual averaging: the mean gradient, and a distance to the start that weighs more and more.

        w_{t+1} = argmin sum_{s<=t} eta_s (<g_s, w> + psi(w)) + beta_t ||w - w_0||^2 / 2,   beta_t = t^growth

    `AggregateProx` is the case of growth 0, bit for bit.

    Parameters
    ----------
    method : Method
        As for `AggregateProx`. With constant steps eta and growth 1/2 it is Xiao's method, whose ``beta_t`` is
        ``sqrt(t) / eta``.
    regularizer : PiecewiseAffine
    growth : float, default 0.5
        From 0 to 1.

    References
    ----------
    Xiao (2010), Dual averaging methods for regularized stochastic learning and online optimization.

    Examples
    --------
    >>> import optlab
    >>> from optlab.quantization import PiecewiseAffine
    >>> from optlab.stochastic import SGD, LeastSquares
    >>> problem = LeastSquares(np.eye(3), [0.9, -1.2, 0.1])
    >>> psi = PiecewiseAffine([0.0, 1.0, 2.0], [0.05, 0.2])
    >>> method = RegularizedDualAveraging(SGD(3.0, batch_size=3), psi)
    >>> optlab.solve(problem, method, max_iter=2000, seed=0).solution.round(2)
    array([ 0.74, -1.  ,  0.  ])
    """

    growth: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "growth", as_number(self.growth, "growth", minimum=0, maximum=1))

    @property
    def reference(self) -> str:
        """The paper of the method."""
        return "xiao2010dual"

    def _begin(self, problem: Any, k: int, inner: Any, total: float) -> LatentState:
        latent = np.array(self.method.variable(inner), dtype=float)
        state = DualAveragingState(k, inner, latent, total, origin=latent.copy())
        return self._placed(problem, state, *self.mapped(k, latent, state))

    def mapped(self, k: int, latent: Array, state: LatentState | None) -> tuple[Array, tuple[Array, ...]]:
        """Return the proximal point."""
        if k == 0 or self.growth == 0.0 or not isinstance(state, DualAveragingState):
            return super().mapped(k, latent, state)
        beta, origin = float(k) ** self.growth, state.origin
        return self.regularizer.proximal(origin + (latent - origin) / beta, state.total / beta), ()


def _check_regularizer(value: Any) -> None:
    if not callable(getattr(value, "proximal", None)) or not callable(getattr(value, "on_grid", None)):
        raise TypeError(f"regularizer must be a PiecewiseAffine, or have proximal, value and on_grid, got {value!r}")


def _regularized(method: Any, state: LatentState) -> dict[str, float]:
    w = np.asarray(method.method.variable(state.inner))
    psi = method.regularizer
    return {"regularizer": float(psi.value(w)), "on_grid": float(np.mean(psi.on_grid(w)))}
