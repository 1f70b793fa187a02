"""What the first-order methods share: the check of the geometry, step sizes, the record of the work."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

from optlab.bregman import SquaredEuclidean
from optlab.composite.split import WorkState
from optlab.core import Method
from optlab.core.contract.slots import Slot
from optlab.core.validation import as_number

Array = Any

SMOOTH = Slot("f", ("gradient", "lipschitz", "convex"))
PROXIMAL = Slot("g", ("proximal", "convex"), at_most=1)
BEHIND_OPERATORS = Slot("h", ("dual_proximal", "convex"))


def is_euclidean(kernel: Any) -> bool:
    """Return whether mirror points are the points themselves."""
    return isinstance(kernel, SquaredEuclidean)


def needs_euclidean(problem: Any) -> str | None:
    """Return the reason against a problem in another geometry than the Euclidean one."""
    if is_euclidean(problem.kernel):
        return None
    return f"needs the Euclidean geometry, kernel=SquaredEuclidean(), but the kernel is {type(problem.kernel).__name__}"


def needs_whole_space(problem: Any, slots: Any) -> str | None:
    """Return the reason against a smooth term that is not finite and differentiable everywhere."""
    for term in problem.split(slots).terms("f"):
        if not getattr(term.function, "whole_space", False):
            return (
                f"evaluates gradients at any point, but the term {term.name!r} is infinite or has no gradient at some; "
                "use the kernel of its domain (ProximalGradient, MirrorDescent)"
            )
    return None


def optional_step(value: Any, name: str = "step_size") -> float | None:
    """Return a step size above 0, or None."""
    return None if value is None else as_number(value, name, above=0)


def inverse(lipschitz: float, factor: float = 1.0) -> float:
    """Return ``factor / lipschitz``; 1 where the gradient is constant, as any step size is allowed.

    Examples
    --------
    >>> inverse(4.0), inverse(0.0)
    (0.25, 1.0)
    """
    return factor / lipschitz if lipschitz > 0 and math.isfinite(factor / lipschitz) else 1.0


class FirstOrderMethod(Method):
    """Base of the methods on sums of terms in Euclidean space; their states derive from `WorkState`."""

    requires: ClassVar[tuple[str, ...]] = ("split",)
    needs: ClassVar[str] = "a sum of terms (CompositeProblem)"

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against other geometries."""
        return needs_euclidean(problem)

    def measure(self, problem: Any, state: Any) -> dict[str, float]:
        """Return the step size and the counts of oracle calls."""
        return {"step_size": float(state.step_size), **state.work.columns()}

    def step_size_of(self, state: Any) -> float:
        """Return the step size of the iteration that made `state`."""
        return float(state.step_size)


@dataclasses.dataclass
class DescentState(WorkState):
    """State of the methods that move one point.

    Parameters
    ----------
    x : ndarray
        The point from which the next iteration goes on (a mirror point, in other geometries).
    step_size : float
        Of the last iteration.
    at : ndarray or None
        Where the last gradient was taken; None if no iteration made x.
    slope : ndarray or None
        The gradient there.
    """

    x: Any
    step_size: float
    at: Any = None
    slope: Any = None


def certified(split: Any, state: Any) -> Any:
    """Return ``x = prox(at - t slope, t)`` as a point with the subgradients that the step has revealed."""
    if state.at is None:
        return split.point(state.x)
    s = (1.0 / state.step_size) * (state.at - state.x) - state.slope
    return split.point(state.x, gradients_at=state.at, g=(state.x, s))


class PointMap:
    """The variable of methods whose iteration is a map of the point x."""

    def variable(self, state: Any) -> Any:
        """Return the point x."""
        return state.x

    def with_variable(self, problem: Any, state: Any, value: Any) -> Any:
        """Return `state` with another point, of which no subgradients are known yet."""
        return dataclasses.replace(state, x=value, at=None, slope=None)
