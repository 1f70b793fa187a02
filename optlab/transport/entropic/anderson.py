"""Sinkhorn's iteration with safeguarded Anderson acceleration.

The half-steps of Sinkhorn's iteration map the column potential, ``G -> T(G)``. Anderson's method (1965; type II of Fang
and Saad 2009) replaces ``T(G_k)`` by the affine combination of the last few ``T(G)`` whose residuals ``T(G) - G``
combine to the shortest vector. Near the solution that is a Krylov method on the linearised map. Far from it nothing is
promised, so a candidate is taken only if it raises the dual objective by at least a hundredth of what Sinkhorn's own
half-step would; otherwise the plain step stands in and the memory is emptied. It converges wherever Sinkhorn's does.

Not here: the least-squares combination itself, and acceleration of the splitting methods; both are in
`optlab.wrappers.anderson`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.core import DomainError, Method, State
from optlab.core.validation import as_integer, as_number
from optlab.transport.balanced.problem import OptimalTransport
from optlab.transport.entropic.sinkhorn import against_transport, start_at
from optlab.transport.plans.potentials import MirrorPlan
from optlab.wrappers.anderson import anderson_coefficients, anderson_combination


@dataclass
class AndersonState(State):
    """State after k iterations.

    Parameters
    ----------
    mirror : MirrorPlan
        Potentials of the last point whose rows were scaled.
    candidate, plain : ndarray, shape (m,)
        The column potential to try next, and Sinkhorn's own.
    extrapolated : bool
        Whether they differ.
    points, residuals : tuple of ndarray
        The last few ``T(G)`` and ``T(G) - G``.
    value, gain : float
        Dual objective at `mirror` (up to a constant), and what the plain column step raises it by.
    rejected : int
        Candidates turned away so far.
    """

    mirror: MirrorPlan
    candidate: np.ndarray
    plain: np.ndarray
    extrapolated: bool = False
    points: tuple[np.ndarray, ...] = ()
    residuals: tuple[np.ndarray, ...] = ()
    value: float = 0.0
    gain: float = 0.0
    rejected: int = 0


@dataclass(frozen=True)
class AndersonSinkhorn(Method):
    """Sinkhorn's iteration in the log domain with safeguarded Anderson acceleration.

    Parameters
    ----------
    memory : int, default 12
        Earlier points combined.
    regularization : float, optional
        Default: the problem's, or 1/500 of the cost's range if it has none.

    Examples
    --------
    >>> import optlab
    >>> from optlab.datasets import transport_family
    >>> from optlab.transport import AndersonSinkhorn, OptimalTransport, Sinkhorn
    >>> problem = OptimalTransport(*transport_family("l2", 30), regularization=0.01)
    >>> plain = optlab.solve(problem, Sinkhorn(), tol=1e-10, max_iter=5000)
    >>> fast = optlab.solve(problem, AndersonSinkhorn(), tol=1e-10, max_iter=5000)
    >>> fast.success, fast.n_iter < plain.n_iter / 3
    (True, True)
    """

    memory: int = 12
    regularization: float | None = None
    reference: ClassVar[str] = "fang2009two"

    def __post_init__(self) -> None:
        object.__setattr__(self, "memory", as_integer(self.memory, "memory", minimum=1))
        if self.regularization is not None:
            value = as_number(self.regularization, "regularization", above=0.0)
            object.__setattr__(self, "regularization", value)

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against anything but optimal transport."""
        return against_transport(problem)

    def init(self, problem: OptimalTransport, x0: Any, rng: Any) -> AndersonState:
        """Return the state at iteration 0."""
        eps = self.regularization or problem.regularization or problem.cost_range / 500.0
        mirror = start_at(problem, x0, 1.0 / eps)
        return AndersonState(0, mirror, mirror.column, mirror.column)

    def step(self, problem: OptimalTransport, state: AndersonState) -> AndersonState:
        """Return the state after one scaling of each marginal (of the rows twice where a candidate is turned away)."""
        kappa = state.mirror.inverse_temperature
        points, residuals, rejected = state.points, state.residuals, state.rejected
        column = state.candidate
        row = problem.scale_rows(column, kappa)
        value = _dual(problem, row, column)
        if state.extrapolated and not value >= state.value + 0.01 * state.gain:
            points, residuals, rejected = (), (), rejected + 1
            column = state.plain
            row = problem.scale_rows(column, kappa)
            value = _dual(problem, row, column)
        plain = problem.scale_columns(row, kappa)
        change = plain - column
        if not np.all(np.isfinite(change)):
            raise DomainError("the potentials are no longer finite; use a larger regularization")
        gain = _column_gain(problem.active_b, change)
        weight = problem.active_b / problem.mass
        # a constant in G changes nothing: it is no part of the residual
        points = (*points, plain - weight @ plain)[-self.memory - 1 :]
        residuals = (*residuals, change - weight @ change)[-self.memory - 1 :]
        candidate = _combined(points, residuals, weight)
        return AndersonState(
            state.k + 1,
            MirrorPlan(row, column, kappa).recentred(),
            plain if candidate is None else candidate,
            plain,
            candidate is not None,
            points,
            residuals,
            value,
            gain,
            rejected,
        )

    def iterate(self, problem: OptimalTransport, state: AndersonState) -> Any:
        """Return the plan of the potentials."""
        return problem.primal(state.mirror)

    def measure(self, problem: OptimalTransport, state: AndersonState) -> dict[str, float]:
        """Return ``rejected``: candidates turned away so far."""
        return {"rejected": float(state.rejected)}


def _dual(problem: OptimalTransport, row: np.ndarray, column: np.ndarray) -> float:
    """Return the dual objective over eps, less the mass, at potentials whose rows are scaled."""
    return float(problem.active_a @ row + problem.active_b @ column)


def _column_gain(weight: np.ndarray, change: np.ndarray) -> float:
    """Return by how much scaling the columns raises the dual objective over eps: ``sum b (d + e^{-d} - 1)``."""
    d = np.clip(change, -700.0, 700.0)
    return float(weight @ np.where(np.abs(d) < 1e-4, 0.5 * d * d, np.expm1(-d) + d))


def _combined(
    points: tuple[np.ndarray, ...], residuals: tuple[np.ndarray, ...], weight: np.ndarray
) -> np.ndarray | None:
    """Return the affine combination of `points` whose `residuals` combine to the shortest; None without a memory."""
    root = np.sqrt(weight)
    coefficients = anderson_coefficients([root * residual for residual in residuals])
    return None if coefficients is None else np.asarray(anderson_combination(points, coefficients))
