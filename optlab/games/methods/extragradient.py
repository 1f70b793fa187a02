"""Extragradient and mirror prox: a step to look ahead, and the step with what is seen there.

h  = prox_z(gamma F(z))
z+ = prox_z(gamma F(h))
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from optlab.games.methods.base import OperatorMethod, OperatorState


@dataclass(frozen=True)
class Extragradient(OperatorMethod):
    """The extragradient method; with the entropic geometry of a problem it is mirror prox.

    In whole space ``||F(z_N)||^2 <= ||z_0 - z*||^2 / (gamma^2 (1 - gamma^2 L^2)(N + 1))`` for ``gamma < 1/L``
    (Gorbunov, Loizou, Gidel 2022); the mean of the half points has a gap of at most ``max_u D(u, z_0) / (gamma K)``
    for ``gamma <= 1/L`` (Nemirovski 2004).

    Parameters
    ----------
    step_size : float, optional
        gamma. Default: 0.7 / L.

    References
    ----------
    Korpelevich (1976); Nemirovski (2004), Prox-method with rate of convergence O(1/t).

    Examples
    --------
    >>> import optlab
    >>> from optlab.games import Extragradient, MatrixGame
    >>> game = MatrixGame([[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]])
    >>> optlab.solve(game, Extragradient(), x0=[1, 0, 0, 0, 1, 0], tol=1e-6, max_iter=2000).success
    True
    """

    step_size: float | None = None
    reference: ClassVar[str] = "nemirovski2004prox"
    factor: ClassVar[float] = 0.7

    def init(self, problem: Any, x0: Any, rng: Any) -> OperatorState:
        """Return the state at iteration 0."""
        return OperatorState(0, problem.operator_start(x0), self.first_step_size(problem))

    def step(self, problem: Any, state: OperatorState) -> OperatorState:
        """Return the state one iteration later."""
        gamma, z = state.step_size, state.z
        half = problem.moved(z, gamma * problem.operator(problem.at(z)))
        after = problem.moved(z, gamma * problem.operator(problem.at(half)))
        return OperatorState(state.k + 1, after, gamma, state.oracle_calls + 2)

    def with_variable(self, problem: Any, state: OperatorState, value: Any) -> OperatorState:
        """Return the state at another mirror point."""
        return replace(state, z=value)
