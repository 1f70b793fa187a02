"""The fast extragradient method: extragradient drawn to its start, with the best rate there is for the residual.

h  = z + b (z_0 - z) - (1 - b) F(z) / L
z+ = z + b (z_0 - z) - F(h) / L,            b = 1 / (k + 1)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from optlab.games.methods.base import OperatorMethod, OperatorState
from optlab.games.problems.geometry import WholeSpace


@dataclass
class AnchoredState(OperatorState):
    """State with the anchor z_0, and the iterations since it was set."""

    anchor: Any = None
    since: int = 0


@dataclass(frozen=True)
class FastExtragradient(OperatorMethod):
    """FEG in whole space: ``||F(z_N)||^2 <= 4 L^2 ||z_0 - z*||^2 / N^2``.

    The step has no margin: with 1.02 / L it fails. L must not be underestimated.

    Parameters
    ----------
    step_size : float, optional
        1/L. Default: from the problem.

    References
    ----------
    Lee, Kim (2021), Fast extra gradient methods for smooth structured nonconvex-nonconcave minimax problems.

    Examples
    --------
    >>> import optlab
    >>> from optlab.games import FastExtragradient, SaddlePoint
    >>> result = optlab.solve(SaddlePoint([[1.0]], b=[1.0]), FastExtragradient(), tol=None, max_iter=100)
    >>> result.metrics["residual"] <= 2 / 100
    True
    """

    step_size: float | None = None
    reference: ClassVar[str] = "lee2021fast"

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against constraints."""
        if not isinstance(getattr(problem, "geometry", None), WholeSpace):
            return "is for problems without constraints"
        return super().accepts(problem)

    def init(self, problem: Any, x0: Any, rng: Any) -> AnchoredState:
        """Return the state at iteration 0."""
        z = problem.operator_start(x0)
        return AnchoredState(0, z, self.first_step_size(problem), anchor=z)

    def step(self, problem: Any, state: AnchoredState) -> AnchoredState:
        """Return the state one iteration later."""
        z, gamma, b = state.z, state.step_size, 1.0 / (state.since + 1.0)
        drawn = z + b * (state.anchor - z)
        half = drawn - (gamma * (1.0 - b)) * problem.operator(z)
        after = drawn - gamma * problem.operator(half)
        return AnchoredState(state.k + 1, after, gamma, state.oracle_calls + 2, state.anchor, state.since + 1)

    def with_variable(self, problem: Any, state: AnchoredState, value: Any) -> AnchoredState:
        """Return the state at another point, which becomes the anchor."""
        return replace(state, z=value, anchor=value, since=0)
