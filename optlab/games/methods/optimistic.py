"""One evaluation a step: Popov's optimistic gradient method, and forward-reflected-backward splitting.

    Popov   h = prox_z(gamma F(h_old));  z+ = prox_z(gamma F(h))
    FRB     z+ = prox_z(gamma (2 F(z) - F(z_old)))

Without constraints they are the same method, seen at h and at z.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from optlab.games.methods.base import OperatorMethod, OperatorState


@dataclass
class RememberingState(OperatorState):
    """State that keeps the operator's last value; None at the start."""

    last_value: Any = None


@dataclass(frozen=True)
class OptimisticGradient(OperatorMethod):
    """Popov's method, optimistic gradient descent-ascent: the look ahead uses what the last one saw.

    Proved for ``gamma <= 1/(2L)``; bilinear problems diverge above ``1/(sqrt(3) L)``.

    Parameters
    ----------
    step_size : float, optional
        gamma. Default: 0.5 / L.

    References
    ----------
    Popov (1980), A modification of the Arrow-Hurwicz method for search of saddle points.

    Examples
    --------
    >>> import optlab
    >>> from optlab.games import MatrixGame, OptimisticGradient
    >>> game = MatrixGame([[0.0, 2.0], [1.0, 0.0]], geometry="entropy")
    >>> optlab.solve(game, OptimisticGradient(), tol=1e-8, max_iter=5000).success
    True
    """

    step_size: float | None = None
    reference: ClassVar[str] = "popov1980modification"
    factor: ClassVar[float] = 0.5

    def init(self, problem: Any, x0: Any, rng: Any) -> RememberingState:
        """Return the state at iteration 0: the first look ahead evaluates the operator at the start."""
        z = problem.operator_start(x0)
        return RememberingState(0, z, self.first_step_size(problem), 1, problem.operator(problem.at(z)))

    def step(self, problem: Any, state: RememberingState) -> RememberingState:
        """Return the state one iteration later."""
        gamma, z = state.step_size, state.z
        half = problem.moved(z, gamma * state.last_value)
        seen = problem.operator(problem.at(half))
        return RememberingState(state.k + 1, problem.moved(z, gamma * seen), gamma, state.oracle_calls + 1, seen)

    def with_variable(self, problem: Any, state: RememberingState, value: Any) -> RememberingState:
        """Return the state at another mirror point, with the operator seen there."""
        return replace(state, z=value, last_value=problem.operator(problem.at(value)))


@dataclass(frozen=True)
class ForwardReflectedBackward(OperatorMethod):
    """Forward-reflected-backward splitting: one step along ``2 F(z) - F(z_old)``.

    Parameters
    ----------
    step_size : float, optional
        gamma, proved below ``1/(2L)``. Default: 0.49 / L.

    References
    ----------
    Malitsky, Tam (2020), A forward-backward splitting method for monotone inclusions without cocoercivity.

    Examples
    --------
    >>> import optlab
    >>> from optlab.games import ForwardReflectedBackward, SaddlePoint
    >>> optlab.solve(SaddlePoint([[1.0]], b=[1.0]), ForwardReflectedBackward(), tol=1e-9, max_iter=2000).success
    True
    """

    step_size: float | None = None
    reference: ClassVar[str] = "malitsky2020forward"
    factor: ClassVar[float] = 0.49

    def init(self, problem: Any, x0: Any, rng: Any) -> RememberingState:
        """Return the state at iteration 0, where z_old is z."""
        return RememberingState(0, problem.operator_start(x0), self.first_step_size(problem))

    def step(self, problem: Any, state: RememberingState) -> RememberingState:
        """Return the state one iteration later."""
        gamma, z = state.step_size, state.z
        value = problem.operator(problem.at(z))
        last = value if state.last_value is None else state.last_value
        after = problem.moved(z, gamma * (2.0 * value - last))
        return RememberingState(state.k + 1, after, gamma, state.oracle_calls + 1, value)

    def with_variable(self, problem: Any, state: RememberingState, value: Any) -> RememberingState:
        """Return the state at another mirror point, as at a start."""
        return replace(state, z=value, last_value=None)
