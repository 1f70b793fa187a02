"""NGN, the non-negative Gauss-Newton step size, with its momentum and coordinate-wise variants.

Orvieto and Xiao, "An Adaptive Stochastic Gradient Method with Non-negative Gauss-Newton Stepsizes" (arXiv
2407.04358). Write f = r^2, linearise r only, and damp: ``min_p (r + <grad r, p>)^2 + ||p||^2 / (2 sigma)`` has the
solution p = -gamma g,

    gamma = sigma / (1 + sigma ||g||^2 / (2 f)),      g = grad f.                                             (NGN)

Between the gradient step sigma and the Polyak step 2f/||g||^2, never above either; at least sigma / (1 + sigma L).
NGN-M, NGN-D and NGN-MD: Islamov, Ajroldi, Orvieto, Lucchi (arXiv 2508.15071). The coupled weight decay minimises the
damped model plus ``(weight_decay/2) ||x + p||^2`` (derived here, verified numerically against the 4 x 4 linear system).

Not here: averaging the gradient before the step (the first paper's code), which diverges for large sigma.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numba import njit

from optlab.compiled.functions import Compiled
from optlab.compiled.rules import step_rule, update_rule
from optlab.core.validation import as_float_array, as_number
from optlab.stochastic.loop.method import StochasticMethod, check_momentum, freeze_bounds, keep_integer
from optlab.stochastic.loop.schedules import Schedule
from optlab.stochastic.problems.finite_sum import FiniteSum


@njit(cache=True, error_model="numpy")
def ngn_step_size(loss, squared_norm, sigma):
    """(NGN) without overflow or 0/0.

    The quotient comes first, as ``sigma * loss`` may overflow; and nothing is added to the denominator, which would
    break the lower bound sigma / (1 + sigma L) at tiny losses. At loss 0 the gradient is 0: gamma = sigma. A loss below
    its presumed lower bound gives gamma = 0.
    """
    if loss < 0.0:
        return 0.0
    denominator = loss + 0.5 * sigma * squared_norm
    if denominator <= 0.0:
        return sigma
    if math.isinf(denominator):
        return 2.0 * (loss / squared_norm) if squared_norm > 1.0 else 0.0
    return sigma * (loss / denominator)


@step_rule
def _ngn(loss, squared_norm, step_size, k, parameters, memory):
    return ngn_step_size(loss, squared_norm, step_size)


@dataclass(frozen=True)
class NGN(StochasticMethod):
    """Stochastic gradient method with the non-negative Gauss-Newton step size.

    ``x+ = x - gamma g`` with gamma from (NGN), g and f of the same sample or batch. With momentum (NGN-M):
    ``x+ = x - (1 - momentum) gamma g + momentum (x - x_previous)``, gamma from the raw gradient.

    Parameters
    ----------
    sigma : float or callable, default 1.0
        Regularisation of the model, which is the largest step: a number, or a schedule k -> sigma_k such as
        `Decaying`. In the convex case no value makes the iterates blow up (``E||x_k - x*||^2`` grows by at most
        ``2 sigma f*`` a step), which is not to say that any value does well: a constant one converges to a
        neighbourhood of size O(sigma) unless all losses vanish at the solution, and far above 1/L that may be worse
        than the start. ``Decaying(sigma)`` converges.
    batch_size : int, default 1
    sampling : {"replacement", "shuffle", "sequential"}, default "replacement"
    trace : bool, default False
    momentum : float, default 0.0
        In [0, 1); 0.9 is NGN-M's usual value.
    lower_bound : float or array_like, optional
        Known lower bounds of the losses f_i, one or one per sample; default: 0. They replace f by f - lower_bound in
        gamma. Where a loss falls below its bound the step is 0, and ``below_lower_bound`` counts it.

    Notes
    -----
    Convex losses, t = sigma L, constant sigma, average of K iterates (the paper's convex theorem):
    ``E[f(mean x) - f*] <= (1 + 2t)^2 ||x0 - x*||^2 / (2 sigma K) + 3t(1 + t) D_int + t max(0, 2t - 1) D_pos``
    with ``D_int = E[f_i(x*) - inf f_i]`` and ``D_pos = E[inf f_i]``.

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import LeastSquares
    >>> problem = LeastSquares([[3.0], [1.0]], [6.0, 2.0])
    >>> optlab.solve(problem, NGN(sigma=1e6), max_iter=20, seed=0).solution.round(6)
    array([2.])
    """

    sigma: Schedule = 1.0
    momentum: float = 0.0
    lower_bound: Any = None

    rule: ClassVar[Compiled] = _ngn
    schedule: ClassVar[str] = "sigma"
    reference: ClassVar[str] = "orvieto2024adaptive"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_momentum(self.momentum)
        freeze_bounds(self)


@update_rule
def _ngn_coordinates(x, gradient, loss, step_size, k, parameters, memory, vectors):
    total = 0.0
    for j in range(x.size):
        g = float(gradient[j])
        sigma = step_size * parameters[j] if parameters.size > 0 else step_size
        gamma = ngn_step_size(loss, g * g, sigma)
        x[j] -= gamma * g
        total += gamma
    return total / x.size


@dataclass(frozen=True)
class NGND(StochasticMethod):
    """NGN-D: a non-negative Gauss-Newton step size for every coordinate.

    ``gamma_j = c_j / (1 + c_j g_j^2 / (2 f))``, ``x_j+ = x_j - gamma_j g_j`` with ``c_j = sigma scales_j``. Unlike
    NGN it is **not** stable for large sigma: on one least-squares sample in d dimensions the residual tends to be
    multiplied by 1 - d.

    Parameters
    ----------
    sigma : float or callable, default 1.0
    scales : array_like, optional
        Positive factors c_j / sigma, one per weight; default: 1.
    lower_bound : float or array_like, optional
        As for `NGN`.
    batch_size, sampling, trace
        As for `NGN`; the traced step size is the mean over the coordinates.

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import LeastSquares
    >>> problem = LeastSquares([[3.0, 0.0], [1.0, 1.0]], [6.0, 1.0])
    >>> optlab.solve(problem, NGND(sigma=0.3), max_iter=500, seed=0).solution.round(4)
    array([ 2., -1.])
    """

    sigma: Schedule = 1.0
    scales: Any = None
    lower_bound: Any = None

    update: ClassVar[Compiled] = _ngn_coordinates
    schedule: ClassVar[str] = "sigma"
    reference: ClassVar[str] = "islamov2025enhancing"

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze_bounds(self)
        if self.scales is not None:
            scales = as_float_array(self.scales, "scales", ndim=1, positive=True)
            object.__setattr__(self, "scales", tuple(scales.tolist()))

    def parameters(self, problem: FiniteSum) -> tuple[float, ...]:
        if self.scales is None:
            return ()
        if len(self.scales) != problem.size:
            raise ValueError(f"scales must have one entry per weight ({problem.size}), got {len(self.scales)}")
        return self.scales


@update_rule
def _ngn_md(x, gradient, loss, step_size, k, parameters, memory, vectors):
    momentum, decay, epsilon, version, weight_decay, coupled = parameters
    square, move = vectors[0], vectors[1]
    correction = 1.0 - decay ** (k + 1)
    q, inner = 0.0, 0.0
    for j in range(x.size):
        g = float(gradient[j])
        v = decay * float(square[j]) + (1.0 - decay) * g * g
        square[j] = v
        q += g * g / (epsilon + math.sqrt(v / correction))
        inner += g * float(x[j])
    gamma = ngn_step_size(loss, q, step_size)
    shrink = 1.0
    if weight_decay > 0.0 and coupled > 0.0:
        # x+ = x/h - (c/h) [1 - c wd <g, x>/(2 f h)]_+ / (1 + c q/(2 f h)) g/D, h = 1 + wd c; times 2 f h above and
        # below
        h = 1.0 + weight_decay * step_size
        shrink = 1.0 / h
        denominator = 2.0 * loss * h + step_size * q
        gamma = step_size / h
        if loss < 0.0:
            gamma = 0.0
        elif denominator > 0.0:
            gamma *= max(0.0, 2.0 * loss * h - step_size * weight_decay * inner) / denominator
    total = 0.0
    for j in range(x.size):
        g = float(gradient[j])
        old = float(x[j])
        d = epsilon + math.sqrt(float(square[j]) / correction)
        if version == 1.0:
            s = gamma / d
        else:
            s = ngn_step_size(loss, g * g, step_size / d)
        total += s
        step = (shrink - 1.0) * old - s * g
        new = (1.0 - momentum) * step + momentum * float(move[j])
        if coupled == 0.0:
            new -= step_size * weight_decay * old
        x[j] = old + new
        move[j] = new
    return gamma if version == 1.0 else total / x.size


@dataclass(frozen=True)
class NGNMD(StochasticMethod):
    """NGN-MD: NGN preconditioned by a running mean of squared gradients, with momentum. Its cost and memory are Adam's.

    ``v = beta2 v + (1 - beta2) g*g``, ``D = epsilon + sqrt(v / (1 - beta2^k))`` (k from 1), then, preconditioning
    first and averaging second, ``x+ = x - (1 - momentum) s*g + momentum (x - x_previous)`` with

    * version 1: ``s_j = gamma / D_j``, ``gamma = sigma / (1 + (sigma / 2f) sum_j g_j^2 / D_j)``;
    * version 2: ``s_j = (sigma / D_j) / (1 + (sigma / D_j) g_j^2 / (2f))`` (the printed formula is not legible;
      inferred from the text of the paper).

    Parameters
    ----------
    sigma : float or callable, default 1.0
    momentum : float, default 0.9
    beta2 : float, default 0.999
    epsilon : float, default 1e-8
    version : {1, 2}, default 1
    weight_decay : float, default 0.0
    coupled : bool, default True
        Whether the decay enters the model that is minimised (version 1 only) or is ``- sigma weight_decay x``, added.
    lower_bound : float or array_like, optional
        As for `NGN`.
    batch_size, sampling, trace
        As for `NGN`; the traced step size is gamma (version 1) or the mean over the coordinates.

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import LeastSquares
    >>> problem = LeastSquares([[3.0, 0.0], [1.0, 1.0]], [6.0, 1.0])
    >>> optlab.solve(problem, NGNMD(sigma=1.0), max_iter=1500, seed=0).solution.round(4)
    array([ 2., -1.])
    """

    sigma: Schedule = 1.0
    momentum: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    version: int = 1
    weight_decay: float = 0.0
    coupled: bool = True
    lower_bound: Any = None

    update: ClassVar[Compiled] = _ngn_md
    schedule: ClassVar[str] = "sigma"
    reference: ClassVar[str] = "islamov2025enhancing"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_momentum(self.momentum)
        check_momentum(self.beta2, "beta2")
        as_number(self.epsilon, "epsilon", above=0)
        as_number(self.weight_decay, "weight_decay", minimum=0)
        keep_integer(self, "version", minimum=1)
        if self.version > 2:
            raise ValueError(f"version must be 1 or 2, got {self.version!r}")
        if self.version == 2 and self.coupled and self.weight_decay > 0:
            raise ValueError("coupled weight decay belongs to version=1; pass coupled=False for version=2")
        freeze_bounds(self)

    def vectors(self, x: np.ndarray) -> int:
        return 2

    def heavy_ball(self, k: int) -> tuple[float, float]:
        return 0.0, 1.0  # the update rule has its own

    def parameters(self, problem: FiniteSum) -> tuple[float, ...]:
        coupled = 1.0 if self.coupled else 0.0
        return (self.momentum, self.beta2, self.epsilon, float(self.version), self.weight_decay, coupled)
