"""What the methods on operators share: where a run starts, its step size, its counts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from optlab.core import Method, State
from optlab.core.validation import as_number

Array = Any


@dataclass
class OperatorState(State):
    """State after k iterations.

    Parameters
    ----------
    z : mirror point
        From which the next iteration goes on.
    step_size : float
    oracle_calls : int
        Evaluations of the operator.
    """

    z: Any
    step_size: float
    oracle_calls: int = 0


class OperatorMethod(Method):
    """Base of the methods that evaluate an operator and move in a geometry; by default with the proved step size."""

    requires: ClassVar[tuple[str, ...]] = ("operator", "moved")
    needs: ClassVar[str] = "an operator to evaluate (optlab.games)"
    step_size: float | None
    factor: ClassVar[float] = 1.0  # the default step size, in units of 1 / L

    def __post_init__(self) -> None:
        if self.step_size is not None:
            object.__setattr__(self, "step_size", as_number(self.step_size, "step_size", above=0))

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against resolvents, and against an unknown Lipschitz constant if no step size is given."""
        if getattr(problem, "constraint", None) is not None:
            return "needs a problem whose constraint is a geometry: it would ignore the resolvent"
        if self.step_size is None and not math.isfinite(getattr(problem, "lipschitz", math.inf)):
            return "needs a step size where the Lipschitz constant of the operator is not known"
        return None

    def first_step_size(self, problem: Any) -> float:
        """Return the step size given, or the proved one."""
        if self.step_size is not None:
            return self.step_size
        return self.factor / problem.lipschitz if problem.lipschitz > 0 else 1.0

    def iterate(self, problem: Any, state: Any) -> Any:
        """Return the last point."""
        return problem.point(problem.at(state.z))

    def measure(self, problem: Any, state: Any) -> dict[str, float]:
        """Return the step size."""
        return {"step_size": float(state.step_size)}

    def variable(self, state: Any) -> Any:
        """Return the mirror point."""
        return state.z

    def step_size_of(self, state: Any) -> float:
        """Return the step size."""
        return float(state.step_size)
