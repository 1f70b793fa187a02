"""Splitting methods for optimal transport that keep whole n x m matrices: the Euclidean one, and Wang-Banerjee's.

They are baselines. `EuclideanDouglasRachford` is Douglas-Rachford with the squared Euclidean kernel on ``<C, X> +
indicator(X >= 0)`` and the indicator of the two marginals, whose projection has a closed form (DROT: Mai, Lindback,
Johansson 2021, there for GPUs). `WangBanerjeeADMM` is the other Bregman ADMM (Wang and Banerjee 2014), which puts the
divergence on the residual instead of the multiplier.

A point-cloud cost is evaluated anew in each iteration; the matrices still take O(n m) memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.core import Method, State
from optlab.core.validation import as_number
from optlab.transport.balanced.plan import TransportPlan
from optlab.transport.balanced.problem import OptimalTransport
from optlab.transport.entropic.sinkhorn import against_transport


def plan_of(problem: OptimalTransport, array: np.ndarray, f: Any = None, g: Any = None) -> TransportPlan:
    """Return a matrix on the support as a plan, with dual candidates on the support."""
    if problem.has_zeros:
        full = np.zeros(problem.shape)
        full[np.ix_(problem.rows, problem.columns)] = array
        array = full
    return TransportPlan(
        problem,
        array=array,
        row_candidates=[] if f is None else [f],
        column_candidates=[] if g is None else [g],
    )


def dense_start(problem: OptimalTransport, x0: Any) -> np.ndarray:
    """Return x0 as a matrix on the support; the default start is the plan ``a b^T / mass``."""
    default = problem.default_start()
    mirror = getattr(x0, "mirror", x0)
    same = getattr(mirror, "shape", None) == default.shape and hasattr(mirror, "inverse_temperature")
    if x0 is None or (same and mirror.inverse_temperature == default.inverse_temperature and not np.any(mirror.row)):
        return np.outer(problem.active_a, problem.active_b / problem.mass)
    if isinstance(x0, (tuple, list)):  # potentials: the plan they stand for, scaled to the marginals
        x0 = problem.initial_mirror(x0)
    return problem.as_plan(x0).dense()[np.ix_(problem.rows, problem.columns)]


@dataclass
class DenseState(State):
    """State of Euclidean Douglas-Rachford after k iterations.

    Parameters
    ----------
    z : ndarray, shape (n, m)
        The point carried on (on the support of the marginals).
    x : ndarray, shape (n, m)
        The last non-negative point.
    """

    z: np.ndarray
    x: np.ndarray


@dataclass(frozen=True)
class EuclideanDouglasRachford(Method):
    """Douglas-Rachford splitting with the squared Euclidean kernel (DROT).

    Parameters
    ----------
    step_size : float, optional
        In units of plan entries over cost. Default: ``2 mass / ((n + m) range of the cost)``.
    relaxation : float in (0, 2], default 1

    Examples
    --------
    >>> import optlab
    >>> from optlab.datasets import transport_family
    >>> from optlab.transport import EuclideanDouglasRachford, OptimalTransport
    >>> problem = OptimalTransport(*transport_family("l2", 20))
    >>> optlab.solve(problem, EuclideanDouglasRachford(), tol=1e-6, max_iter=20_000).success
    True
    """

    step_size: float | None = None
    relaxation: float = 1.0
    reference: ClassVar[str] = "mai2021fast"

    def __post_init__(self) -> None:
        if self.step_size is not None:
            object.__setattr__(self, "step_size", as_number(self.step_size, "step_size", above=0.0))
        object.__setattr__(self, "relaxation", as_number(self.relaxation, "relaxation", above=0.0, maximum=2.0))

    def _step_size(self, problem: OptimalTransport) -> float:
        n, m = problem.active_cost.shape
        return self.step_size or 2.0 * problem.mass / ((n + m) * problem.cost_range)

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against regularised problems and forbidden pairs."""
        return against_transport(problem, regularized=False, forbidden=False)

    def init(self, problem: OptimalTransport, x0: Any, rng: Any) -> DenseState:
        """Return the state at iteration 0."""
        z = dense_start(problem, x0)
        return DenseState(0, z, z)

    def step(self, problem: OptimalTransport, state: DenseState) -> DenseState:
        """Return the state one iteration later."""
        x = np.maximum(state.z - self._step_size(problem) * problem.active_cost.dense(), 0.0)
        y = self._project(problem, 2.0 * x - state.z)[0]
        return DenseState(state.k + 1, state.z + self.relaxation * (y - x), x)

    @staticmethod
    def _project(problem: OptimalTransport, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the projection of w onto the marginals and the multipliers u, v: ``w - u 1^T - 1 v^T``."""
        n, m = w.shape
        row, column = w.sum(axis=1) - problem.active_a, w.sum(axis=0) - problem.active_b
        u, v = row / m - row.sum() / (n * m), column / n
        return w - u[:, None] - v, u, v

    def iterate(self, problem: OptimalTransport, state: DenseState) -> TransportPlan:
        """Return the non-negative point x, with the multipliers of the next projection as dual candidates."""
        step_size = self._step_size(problem)
        x = np.maximum(state.z - step_size * problem.active_cost.dense(), 0.0)
        _, u, v = self._project(problem, 2.0 * x - state.z)
        return plan_of(problem, np.maximum(state.x, 0.0), -u / step_size, -v / step_size)


@dataclass
class WangBanerjeeState(State):
    """State of `WangBanerjeeADMM` after k iterations.

    Parameters
    ----------
    log_x, log_z, y : ndarray, shape (n, m)
        Logarithms of the row-feasible and the column-feasible plan, and the multiplier (on the support).
    """

    log_x: np.ndarray
    log_z: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class WangBanerjeeADMM(Method):
    """The Bregman ADMM of Wang and Banerjee (2014) on ``min <C, X>, X = Z``: X row-feasible, Z column-feasible.

    ``X = rows(Z exp(-(C + Y) / rho))``, ``Z = columns(X exp(Y / rho))``, ``Y += rho (X - Z)``. Not the Bregman ADMM of
    Ma, Xiao and Zhao, whose geometry is in the multiplier; it has a proof (O(1/k) on average) but three dense matrices.

    Parameters
    ----------
    penalty : float, optional
        rho, in units of cost. Default: 0.3 of the cost's range.

    Examples
    --------
    >>> import optlab
    >>> from optlab.datasets import transport_family
    >>> from optlab.transport import OptimalTransport, WangBanerjeeADMM
    >>> problem = OptimalTransport(*transport_family("rand", 20))
    >>> optlab.solve(problem, WangBanerjeeADMM(), tol=1e-2, max_iter=5000).success
    True
    """

    penalty: float | None = None
    reference: ClassVar[str] = "wang2014bregman"

    def __post_init__(self) -> None:
        if self.penalty is not None:
            object.__setattr__(self, "penalty", as_number(self.penalty, "penalty", above=0.0))

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against regularised problems and forbidden pairs."""
        return against_transport(problem, regularized=False, forbidden=False)

    def init(self, problem: OptimalTransport, x0: Any, rng: Any) -> WangBanerjeeState:
        """Return the state at iteration 0."""
        start = dense_start(problem, x0)
        # a zero could never become positive again
        log = np.log(np.maximum(start, 1e-12 * problem.mass / start.size))
        return WangBanerjeeState(0, log, log, np.zeros_like(log))

    def step(self, problem: OptimalTransport, state: WangBanerjeeState) -> WangBanerjeeState:
        """Return the state one iteration later."""
        from scipy.special import logsumexp

        rho = self.penalty or 0.3 * problem.cost_range
        log_x = state.log_z - (problem.active_cost.dense() + state.y) / rho
        log_x += (problem.log_a - logsumexp(log_x, axis=1))[:, None]
        log_z = log_x + state.y / rho
        log_z += problem.log_b - logsumexp(log_z, axis=0)
        # the multiplier is in units of cost, the plan in units of mass
        y = state.y + rho / problem.mass * (np.exp(log_x) - np.exp(log_z))
        return WangBanerjeeState(state.k + 1, log_x, log_z, y)

    def iterate(self, problem: OptimalTransport, state: WangBanerjeeState) -> TransportPlan:
        """Return the row-feasible plan; the row means of ``C + Y`` on it are dual candidates."""
        x = np.exp(state.log_x)
        f = np.sum(x * (problem.active_cost.dense() + state.y), axis=1) / np.maximum(x.sum(axis=1), 1e-300)
        g = -np.sum(x * state.y, axis=0) / np.maximum(x.sum(axis=0), 1e-300)
        return plan_of(problem, x, f, g)
