"""Restarts: a method begins anew from where it is, its momentum, schedule and memory forgotten.

Momentum that has run past the solution is what makes accelerated methods oscillate; to restart them when it shows gives
them linear rates without knowing the constants (O'Donoghue and Candes 2015). Two rules:

* after a fixed number of iterations;
* when the displacement of an iteration is longer than that of the one before (the residual rises).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.core.validation import as_integer, one_of
from optlab.wrappers.base import WrappedState, Wrapper, check_wrappable, known


@dataclass
class RestartedState(WrappedState):
    """State after k iterations.

    Parameters
    ----------
    image : State
        What the last iteration of the method inside made; `inner` is the same, or begins anew from its variable.
    fresh : State
        The state in which the method inside began, put to use again at each restart.
    since : int
        Iterations since the last restart.
    restarts : int
        Restarts so far.
    residual : float
        Length of the last displacement.
    """

    image: Any
    fresh: Any
    since: int = 0
    restarts: int = 0
    residual: float = math.inf

    @property
    def last(self) -> Any:
        """What the last iteration of the method inside made."""
        return self.image


@dataclass(frozen=True)
class Restarted(Wrapper):
    """Begin a method anew from its own variable, periodically or whenever its residual rises.

    Parameters
    ----------
    method : Method
        Any method with a variable; a wrapped one included.
    rule : int or {"residual"}
        Iterations between restarts, or "residual" (default): when an iteration's displacement is longer than that of
        the one before.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range.

    References
    ----------
    O'Donoghue, Candes (2015), Adaptive restart for accelerated gradient schemes.

    Examples
    --------
    Halpern's iteration is sublinear on a linearly convergent problem; restarted it is not.

    >>> import optlab
    >>> from optlab.bregman import SquaredEuclidean
    >>> from optlab.bregman.functions import Hyperplane, SquaredDistance
    >>> from optlab.splitting import BregmanDouglasRachford, CompositeProblem
    >>> from optlab.wrappers import Halpern, Restarted
    >>> problem = CompositeProblem(Hyperplane([1.0, 1.0], 1.0), SquaredDistance([2.0, 0.25]), SquaredEuclidean())
    >>> anchored = Halpern(BregmanDouglasRachford(1.0))
    >>> for method in (anchored, Restarted(anchored, 5)):
    ...     print(optlab.solve(problem, method, tol=1e-10, max_iter=500).status)
    max_iter
    converged
    """

    method: Any
    rule: int | str = "residual"

    def __post_init__(self) -> None:
        check_wrappable(self.method)
        if isinstance(self.rule, str):
            one_of(self.rule, "rule", ("residual",))
        else:
            object.__setattr__(self, "rule", as_integer(self.rule, "rule", minimum=1))

    @property
    def reference(self) -> str:
        """The paper of the wrapper."""
        return "odonoghue2015adaptive"

    def init(self, problem: Any, x0: Any, rng: np.random.Generator) -> RestartedState:
        """Return the state at iteration 0."""
        inner = self.method.init(problem, x0, rng)
        return RestartedState(0, inner, inner, inner)

    def step(self, problem: Any, state: RestartedState) -> RestartedState:
        """Return the state one iteration later."""
        image = self.method.step(problem, state.inner)
        residual = state.residual
        if isinstance(self.rule, str):
            residual = known(self.method.residual_length(problem, state.inner, image))
            due = state.since > 0 and residual > state.residual
        else:
            due = state.since + 1 == self.rule
        if not due:
            return RestartedState(state.k + 1, image, image, state.fresh, state.since + 1, state.restarts, residual)
        again = self.method.with_variable(problem, state.fresh, self.method.variable(image))
        return RestartedState(state.k + 1, again, image, state.fresh, 0, state.restarts + 1)

    def with_variable(self, problem: Any, state: RestartedState, value: Any) -> RestartedState:
        """Return a state begun anew at `value`."""
        fresh = self.method.with_variable(problem, state.fresh, value)
        return RestartedState(state.k, fresh, fresh, state.fresh, 0, state.restarts)

    def measure(self, problem: Any, state: RestartedState) -> dict[str, float]:
        """Return the measures of the method inside, and ``restarts`` so far."""
        return {**super().measure(problem, state), "restarts": float(state.restarts)}
