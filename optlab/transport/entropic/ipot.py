"""IPOT: the inexact proximal point method of Xie, Wang, Wang and Zha (UAI 2020), in the log domain.

Each outer iteration multiplies the plan by ``exp(-C / beta)`` and rescales it ``inner_iterations`` times:

    Q = exp(-gamma C) * T,   L times: u = a ./ (Q v), v = b ./ (Q^T u);   T = diag(u) Q diag(v),   gamma = 1 / beta,

with v carried over to the next outer iteration (the authors' default). With one inner iteration it is Bregman ADMM on
the dual, and Bregman Douglas-Rachford with the columns first, iterate by iterate (shown here, verified numerically).
With enough inner iterations it is `optlab.splitting.ExponentialMultipliers`, the exact proximal point method.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.core import DomainError, Method, State
from optlab.core.validation import as_integer, as_number
from optlab.transport.balanced.problem import OptimalTransport
from optlab.transport.entropic.sinkhorn import against_transport
from optlab.transport.plans.potentials import MirrorPlan


@dataclass
class IPOTState(State):
    """State after k outer iterations.

    Parameters
    ----------
    mirror : MirrorPlan
        The plan T (its column sums are exact).
    scaling : ndarray, shape (m,)
        log v, carried to the next iteration.
    """

    mirror: MirrorPlan
    scaling: np.ndarray


@dataclass(frozen=True)
class IPOT(Method):
    """Inexact proximal point method for optimal transport (one half-step of each kind per inner iteration).

    Parameters
    ----------
    step_size : float, optional
        gamma = 1 / beta. Default: the problem's ``default_step_size``. With few inner iterations large values can
        diverge, as in Bregman Douglas-Rachford.
    inner_iterations : int, default 1

    Examples
    --------
    >>> import optlab
    >>> from optlab.datasets import transport_family
    >>> from optlab.transport import IPOT, OptimalTransport
    >>> problem = OptimalTransport(*transport_family("grid1d", 30))
    >>> optlab.solve(problem, IPOT(inner_iterations=2), tol=1e-2).status.name
    'CONVERGED'
    """

    step_size: float | None = None
    inner_iterations: int = 1
    reference: ClassVar[str] = "xie2020fast"

    def __post_init__(self) -> None:
        if self.step_size is not None:
            object.__setattr__(self, "step_size", as_number(self.step_size, "step_size", above=0.0))
        object.__setattr__(self, "inner_iterations", as_integer(self.inner_iterations, "inner_iterations", minimum=1))

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against regularised problems."""
        return against_transport(problem, regularized=False)

    def init(self, problem: OptimalTransport, x0: Any, rng: Any) -> IPOTState:
        """Return the state at iteration 0."""
        mirror = problem.initial_mirror(x0)
        return IPOTState(0, mirror, np.zeros(mirror.column.size))

    def step(self, problem: OptimalTransport, state: IPOTState) -> IPOTState:
        """Return the state after one outer iteration."""
        kappa = state.mirror.inverse_temperature + (self.step_size or problem.default_step_size)
        if not np.isfinite(kappa):
            raise DomainError(f"the inverse temperature overflowed to {kappa}; use a smaller step size")
        column = state.mirror.column + state.scaling
        for _ in range(self.inner_iterations):
            row = problem.scale_rows(column, kappa)
            column = problem.scale_columns(row, kappa)
        scaling = column - state.mirror.column
        mirror = MirrorPlan(row, column, kappa).recentred()
        # a constant in the scaling is gauge: without it the potentials would drift
        return IPOTState(state.k + 1, mirror, scaling - scaling.mean())

    def iterate(self, problem: OptimalTransport, state: IPOTState) -> Any:
        """Return the plan, with the scaling as a dual candidate: at the optimum ``v = exp(gamma g)``."""
        gamma = self.step_size or problem.default_step_size
        drift = None
        if state.k:
            drift = MirrorPlan(np.zeros_like(state.mirror.row), state.scaling, gamma)
        return problem.primal(state.mirror, drift)
