"""Gradient descent-ascent, the plain step ``z+ = prox_z(gamma F(z))``: what the other methods of this package mend."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from optlab.games.methods.base import OperatorMethod, OperatorState


@dataclass(frozen=True)
class GradientDescentAscent(OperatorMethod):
    """Simultaneous gradient descent-ascent; with the entropic geometry it is multiplicative weights by both players.

    Linear convergence for ``gamma <= mu / L^2`` where F is mu-strongly monotone. On bilinear problems it moves away
    from the equilibrium at any step size: on rock, paper, scissors the divergence to it grows in every step.

    Parameters
    ----------
    step_size : float, optional
        gamma. Default: ``mu / L^2``; without strong monotonicity a step size must be given.

    Examples
    --------
    >>> import numpy as np, optlab
    >>> from optlab.games import GradientDescentAscent, SaddlePoint
    >>> problem = SaddlePoint([[1.0]], [[1.0]], [[1.0]], b=[1.0])
    >>> optlab.solve(problem, GradientDescentAscent(), tol=1e-8, max_iter=2000).success
    True
    """

    step_size: float | None = None
    reference: ClassVar[str] = "nemirovski2004prox"

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against problems that are not strongly monotone, if no step size is given."""
        if self.step_size is None and not getattr(problem, "strong_monotonicity", 0.0) > 0.0:
            return "needs a step size where the operator is not strongly monotone"
        return super().accepts(problem)

    def first_step_size(self, problem: Any) -> float:
        """Return the step size given, or the proved one."""
        if self.step_size is not None:
            return self.step_size
        return float(problem.strong_monotonicity / problem.lipschitz**2)

    def init(self, problem: Any, x0: Any, rng: Any) -> OperatorState:
        """Return the state at iteration 0."""
        return OperatorState(0, problem.operator_start(x0), self.first_step_size(problem))

    def step(self, problem: Any, state: OperatorState) -> OperatorState:
        """Return the state one iteration later."""
        after = problem.moved(state.z, state.step_size * problem.operator(problem.at(state.z)))
        return OperatorState(state.k + 1, after, state.step_size, state.oracle_calls + 1)

    def with_variable(self, problem: Any, state: OperatorState, value: Any) -> OperatorState:
        """Return the state at another mirror point."""
        return replace(state, z=value)
