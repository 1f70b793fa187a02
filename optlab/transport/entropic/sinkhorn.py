"""Sinkhorn's iteration in the log domain: plain, over-relaxed, annealed. The baselines of the splitting methods.

All keep ``log X_ij = F_i + G_j - kappa C_ij`` and alternate the two scalings

    F <- F + omega (log a - LSE_j(G_j - kappa C_ij) - F),    G <- G + omega (log b - LSE_i(F_i - kappa C_ij) - G).

`Sinkhorn` (Cuturi 2013) holds kappa = 1 / regularization; omega > 1 is the over-relaxation of Thibault, Chizat,
Dossal and Papadakis (2021). `AnnealedSinkhorn` (Chizat 2024) lets kappa grow with the iteration, without
extrapolating the potentials; linear growth with extrapolation would be Bregman Douglas-Rachford.

Both run on unregularised problems too (baselines there): the certificate is then that of the linear problem.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from optlab.core import DomainError, Method, State
from optlab.core.validation import as_number
from optlab.transport.balanced.problem import OptimalTransport
from optlab.transport.plans.potentials import MirrorPlan


def against_transport(problem: Any, regularized: bool | None = None, forbidden: bool = True) -> str | None:
    """Return why `problem` is no `OptimalTransport`, with or without regularization as required; None if it is one.

    With ``forbidden=False`` its cost must allow every pair. For the `accepts` of methods.
    """
    if not isinstance(problem, OptimalTransport):
        return f"needs an OptimalTransport problem, got {type(problem).__name__}"
    if regularized is False and problem.regularization > 0.0:
        return f"needs a problem with regularization=0, got {problem.regularization:g}"
    if regularized is True and not problem.regularization > 0.0:
        return "needs a problem with regularization above 0"
    if not forbidden and problem.active_cost.has_forbidden:
        return "needs a cost without forbidden pairs (+inf or absent)"
    return None


@dataclass
class SinkhornState(State):
    """State after k iterations.

    Parameters
    ----------
    mirror : MirrorPlan
        Potentials F, G and inverse temperature kappa; the column sums are exact when omega is 1.
    squared_singular_value : float
        Estimate of sigma_2^2 (adaptive over-relaxation only).
    overrelaxation : float
        omega of the last iteration.
    """

    mirror: MirrorPlan
    squared_singular_value: float = 0.0
    overrelaxation: float = 1.0


def start_at(problem: OptimalTransport, x0: Any, kappa: float) -> MirrorPlan:
    """Return x0 at the inverse temperature `kappa`, its potentials scaled to it."""
    mirror = problem.initial_mirror(x0)
    current = mirror.inverse_temperature
    if current == kappa:
        return mirror
    if current > 0.0:
        return MirrorPlan(kappa / current * mirror.row, kappa / current * mirror.column, kappa)
    n, m = mirror.shape
    # scaled so that the largest entry of the starting plan is its average
    level = kappa * problem.active_cost.minimum + math.log(problem.mass / (n * m))
    return MirrorPlan(mirror.row, mirror.column + level, kappa)


def relaxed(omega: float, change: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return ``omega * change``, omega lowered towards 1 until the dual objective rises enough.

    Along a full change d of a block of potentials (over the temperature) the sums over its marginal go from
    ``w e^{-d}`` to w, and the dual objective changes by ``sum w (omega d + e^{-d} - e^{(omega - 1) d})``, known without
    a pass over the cost. A tenth of what the full change would bring is asked for.

    Examples
    --------
    >>> relaxed(1.5, np.array([0.1, -0.1]), np.array([0.5, 0.5])).round(3).tolist()
    [0.15, -0.15]
    >>> relaxed(1.5, np.array([10.0, -10.0]), np.array([0.5, 0.5])).tolist()
    [15.0, -15.0]
    """
    if omega == 1.0:
        return change
    d = np.clip(change, -700.0, 700.0)
    # e^{-d} - 1 + d, without cancellation where d is small
    full = float(weight @ np.where(np.abs(d) < 1e-4, 0.5 * d * d, np.expm1(-d) + d))
    while omega > 1.0 + 1e-3:
        t = np.clip((omega - 1.0) * d, -700.0, 700.0)
        excess = float(weight @ np.where(np.abs(t) < 1e-4, 0.5 * t * t, np.expm1(t) - t))
        if full - excess >= 0.1 * full:
            return omega * change
        omega = 1.0 + 0.5 * (omega - 1.0)
    return change


class PotentialMethod(Method):
    """Base of the methods that scale the potentials of a plan in turn: their variable is the plan in potential form."""

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against anything but optimal transport."""
        return against_transport(problem)

    def variable(self, state: SinkhornState) -> MirrorPlan:
        """Return the plan in potential form."""
        return state.mirror

    def with_variable(self, problem: OptimalTransport, state: SinkhornState, value: MirrorPlan) -> SinkhornState:
        """Return `state` with other potentials, at its own temperature."""
        return replace(state, mirror=MirrorPlan(value.row, value.column, state.mirror.inverse_temperature))

    def coordinates(self, problem: OptimalTransport, difference: MirrorPlan, after: SinkhornState) -> np.ndarray:
        """Return a difference of potentials in the metric of the plan: a constant moved between them is none."""
        return problem.local_coordinates(difference, after.mirror)

    def same_map(self, before: SinkhornState, after: SinkhornState) -> bool:
        """Return whether the temperature is that of the iteration before."""
        return before.mirror.inverse_temperature == after.mirror.inverse_temperature


@dataclass(frozen=True)
class Sinkhorn(PotentialMethod):
    """Sinkhorn's iteration in the log domain, optionally over-relaxed.

    Parameters
    ----------
    regularization : float, optional
        eps = 1 / kappa. Default: the problem's, or 1/500 of the cost's range if it has none.
    overrelaxation : float in (0, 2), or "adaptive"
        omega. Fixed values above 1 can diverge from a cold start. "adaptive" estimates the best one,
        ``2 / (1 + sqrt(1 - sigma_2^2))``, from the iterates, and shortens any half-step that would not raise the dual
        objective by at least a tenth of what Sinkhorn's own would: it converges wherever Sinkhorn's does.

    References
    ----------
    Cuturi (2013); over-relaxation: Thibault, Chizat, Dossal and Papadakis (2021), Algorithms 14(5), 143, whose
    safeguard is of the same kind.

    Examples
    --------
    >>> import optlab
    >>> from optlab.datasets import transport_family
    >>> from optlab.transport import OptimalTransport, Sinkhorn
    >>> problem = OptimalTransport(*transport_family("l2", 30), regularization=0.01)
    >>> plain = optlab.solve(problem, Sinkhorn(), tol=1e-10, max_iter=5000)
    >>> fast = optlab.solve(problem, Sinkhorn(overrelaxation="adaptive"), tol=1e-10, max_iter=5000)
    >>> plain.success, fast.success, fast.n_iter < plain.n_iter / 3
    (True, True, True)
    """

    regularization: float | None = None
    overrelaxation: float | str = 1.0
    reference: ClassVar[str] = "cuturi2013sinkhorn"

    def __post_init__(self) -> None:
        if self.regularization is not None:
            value = as_number(self.regularization, "regularization", above=0.0)
            object.__setattr__(self, "regularization", value)
        if isinstance(self.overrelaxation, str):
            if self.overrelaxation != "adaptive":
                raise ValueError(f'overrelaxation must be a number or "adaptive", got {self.overrelaxation!r}')
        else:
            omega = as_number(self.overrelaxation, "overrelaxation", above=0.0)
            if omega >= 2.0:
                raise ValueError(f"overrelaxation must be below 2, got {omega:g}")
            object.__setattr__(self, "overrelaxation", omega)

    def inverse_temperature(self, problem: OptimalTransport) -> float:
        """Return kappa."""
        return 1.0 / (self.regularization or problem.regularization or problem.cost_range / 500.0)

    def init(self, problem: OptimalTransport, x0: Any, rng: Any) -> SinkhornState:
        """Return the state at iteration 0."""
        return SinkhornState(0, start_at(problem, x0, self.inverse_temperature(problem)))

    def step(self, problem: OptimalTransport, state: SinkhornState) -> SinkhornState:
        """Return the state after one scaling of each marginal."""
        before, kappa = state.mirror, state.mirror.inverse_temperature
        adaptive = self.overrelaxation == "adaptive"
        omega = state.overrelaxation if adaptive else float(self.overrelaxation)
        dF = problem.scale_rows(before.column, kappa) - before.row
        row = before.row + (relaxed(omega, dF, problem.active_a) if adaptive else omega * dF)
        dG = problem.scale_columns(row, kappa) - before.column
        column = before.column + (relaxed(omega, dG, problem.active_b) if adaptive else omega * dG)
        if not math.isfinite(float(row.sum() + column.sum())):
            raise DomainError("the potentials are no longer finite; use a smaller overrelaxation")
        squared = state.squared_singular_value
        if adaptive:
            squared, omega = self._adapted(problem, state, dF, dG)
        return SinkhornState(state.k + 1, MirrorPlan(row, column, kappa).recentred(), squared, omega)

    def _adapted(
        self, problem: OptimalTransport, state: SinkhornState, dF: np.ndarray, dG: np.ndarray
    ) -> tuple[float, float]:
        """Return the estimate of sigma_2^2 and omega: Sinkhorn for ten iterations, then adapt every fifth."""
        if (state.k + 1) % 10:
            return state.squared_singular_value, state.overrelaxation
        # with omega = 1 dG = -P dF; with omega > 1 the residual of the columns keeps a part from the iteration before,
        # so that one plain pair is made: what a Sinkhorn half-step does to the row change
        mirror, kappa = state.mirror, state.mirror.inverse_temperature
        weight, other = problem.active_a, problem.active_b
        base = problem.scale_columns(mirror.row, kappa)
        made = problem.scale_columns(mirror.row + dF, kappa) - base
        spread, given = _spread(other, made), _spread(weight, dF)
        if given <= 1e-20 * _spread(weight, mirror.row):
            return state.squared_singular_value, state.overrelaxation
        squared = min(spread / given, 1.0 - 1e-9)
        return squared, 2.0 / (1.0 + math.sqrt(1.0 - squared))

    def iterate(self, problem: OptimalTransport, state: SinkhornState) -> Any:
        """Return the plan of the potentials."""
        return problem.primal(state.mirror)

    def measure(self, problem: OptimalTransport, state: SinkhornState) -> dict[str, float]:
        """Return ``inverse_temperature`` and ``overrelaxation``."""
        return {
            "inverse_temperature": state.mirror.inverse_temperature,
            "overrelaxation": float(state.overrelaxation if self.overrelaxation == "adaptive" else self.overrelaxation),
        }


def _spread(weight: np.ndarray, v: np.ndarray) -> float:
    centred = v - float(weight @ v) / float(weight.sum())
    return float(weight @ centred**2)


@dataclass(frozen=True)
class AnnealedSinkhorn(PotentialMethod):
    """Sinkhorn's iteration on a kernel that cools: inverse temperature ``step_size * (k + 1) ** power`` at iteration k.

    With power 1 it is Bregman Douglas-Rachford *without* the extrapolation of a potential to the next temperature, and
    does not converge to the optimal plan: the potentials lag behind by a constant. Its increments must tend to zero
    (any power below 1); 1/2 balances that error against the temperature's (Chizat 2024).

    Parameters
    ----------
    power : float in (0, 1], default 0.5
    step_size : float, optional
        Default: 10 / range of the cost.
    regularization : float, optional
        Temperature at which cooling ends. Default: the problem's; 0 is never.

    Examples
    --------
    >>> import optlab
    >>> from optlab.datasets import transport_family
    >>> from optlab.transport import AnnealedSinkhorn, OptimalTransport
    >>> problem = OptimalTransport(*transport_family("rand", 30))
    >>> linear = optlab.solve(problem, AnnealedSinkhorn(power=1.0), max_iter=500)
    >>> root = optlab.solve(problem, AnnealedSinkhorn(power=0.5), max_iter=500)
    >>> linear.metrics["marginal_error"] > 3 * root.metrics["marginal_error"]
    True
    """

    power: float = 0.5
    step_size: float | None = None
    regularization: float | None = None
    reference: ClassVar[str] = "chizat2024annealed"

    def __post_init__(self) -> None:
        object.__setattr__(self, "power", as_number(self.power, "power", above=0.0, maximum=1.0))
        if self.step_size is not None:
            object.__setattr__(self, "step_size", as_number(self.step_size, "step_size", above=0.0))
        if self.regularization is not None:
            value = as_number(self.regularization, "regularization", minimum=0.0)
            object.__setattr__(self, "regularization", value)

    def inverse_temperature(self, problem: OptimalTransport, k: int) -> float:
        """Return kappa of iteration k = 0, 1, ..."""
        eps = problem.regularization if self.regularization is None else self.regularization
        kappa = (self.step_size or 10.0 / problem.cost_range) * (k + 1.0) ** self.power
        return min(kappa, 1.0 / eps) if eps > 0.0 else kappa

    def init(self, problem: OptimalTransport, x0: Any, rng: Any) -> SinkhornState:
        """Return the state at iteration 0."""
        return SinkhornState(0, start_at(problem, x0, self.inverse_temperature(problem, 0)))

    def step(self, problem: OptimalTransport, state: SinkhornState) -> SinkhornState:
        """Return the state after one scaling of each marginal at the next temperature."""
        kappa = self.inverse_temperature(problem, state.k)
        row = problem.scale_rows(state.mirror.column, kappa)
        column = problem.scale_columns(row, kappa)
        return SinkhornState(state.k + 1, MirrorPlan(row, column, kappa).recentred())

    def iterate(self, problem: OptimalTransport, state: SinkhornState) -> Any:
        """Return the plan of the potentials."""
        return problem.primal(state.mirror)

    def measure(self, problem: OptimalTransport, state: SinkhornState) -> dict[str, float]:
        """Return ``inverse_temperature``."""
        return {"inverse_temperature": state.mirror.inverse_temperature}
