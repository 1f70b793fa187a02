"""What all wrappers share: a method inside, whose problem, solution, measures and verdict are the wrapper's own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from optlab.core import DomainError, Method, State, Status
from optlab.core.contract.protocols import prepared_with
from optlab.core.stopping import Verdict


@dataclass
class WrappedState(State):
    """State of a wrapped method after k iterations.

    Parameters
    ----------
    inner : State
        The state from which the method inside goes on.
    """

    inner: Any

    @property
    def last(self) -> Any:
        """The state that the last iteration of the method inside made: what is reported and measured."""
        return self.inner

    @property
    def oracle_calls(self) -> float:
        """What the method inside has counted."""
        return getattr(self.inner, "oracle_calls", self.inner.k)


class Wrapper(Method):
    """Base of the wrappers: a method around a method. A subclass is a frozen dataclass with the field `method`.

    A wrapper requires of a problem what the method inside requires, and is of its paper unless it has one itself.
    """

    method: Any
    wraps: ClassVar[bool] = True

    @property
    def requires(self) -> tuple[str, ...]:  # type: ignore[override]
        """What the method inside requires."""
        return tuple(self.method.requires)

    @property
    def slots(self) -> tuple[Any, ...]:  # type: ignore[override]
        """The places that the method inside has for terms."""
        return tuple(getattr(self.method, "slots", ()))

    @property
    def needs(self) -> str | None:
        """What kind of problem the method inside needs."""
        return getattr(self.method, "needs", None)

    @property
    def reference(self) -> str:
        """The paper of the method inside."""
        return str(getattr(self.method, "reference", ""))

    def accepts(self, problem: Any) -> str | None:
        """Return the reason of the method inside."""
        reason: str | None = self.method.accepts(problem)
        return reason

    def prepare(self, problem: Any) -> Self:
        """Return the wrapper around what the method inside has prepared."""
        inside = self.method.prepare(problem)
        return self if inside is self.method else prepared_with(self, method=inside)

    def iterate(self, problem: Any, state: Any) -> Any:
        """Return the iterate that the last iteration of the method inside made."""
        return self.method.iterate(problem, state.last)

    def measure(self, problem: Any, state: Any) -> dict[str, float]:
        """Return the measures of the method inside."""
        measures: dict[str, float] = self.method.measure(problem, state.last)
        return measures

    def verdict(self, problem: Any, state: Any, metrics: dict[str, float]) -> Verdict | None:
        """Return what the method inside has certified of the problem; a fixed point of it is none of the wrapper."""
        own = getattr(self.method, "verdict", None)
        found: Verdict | None = None if own is None else own(problem, state.last, metrics)
        return found if found is not None and found.status in (Status.INFEASIBLE, Status.UNBOUNDED) else None

    # ------------------------------------------------------------------ the map of the method inside

    def variable(self, state: Any) -> Any:
        """Return the variable of the method inside."""
        return self.method.variable(state.inner)

    def displacement(self, before: Any, after: Any) -> Any:
        """Return ``T(z) - z``, T the map of the method inside."""
        return self.method.displacement(before.inner, after.last)

    def coordinates(self, problem: Any, difference: Any, after: Any) -> np.ndarray:
        """Return a difference of variables as the method inside measures it."""
        vector: np.ndarray = self.method.coordinates(problem, difference, after.last)
        return vector

    def residual_length(self, problem: Any, before: Any, after: Any) -> float:
        """Return the length of the displacement as the method inside measures it."""
        return float(self.method.residual_length(problem, before.inner, after.last))

    def step_size_of(self, state: Any) -> float:
        """Return the step size of the last iteration of the method inside."""
        return float(self.method.step_size_of(state.last))


def known(length: float) -> float:
    """Return a length that decides about something, after checking that it is a number."""
    if math.isnan(length):
        raise DomainError("the length of the last displacement is not a number")
    return length


def check_wrappable(method: Any, variable: bool = True) -> None:
    """Raise unless `method` is an instance of a method; with `variable`, of one that has a variable.

    Raises
    ------
    TypeError
    """
    if isinstance(method, type):
        raise TypeError(f"method must be an instance: write {method.__name__}(...), not {method.__name__}")
    if not isinstance(method, Method):
        raise TypeError(f"method must derive from optlab.core.Method to be wrapped, got {type(method).__name__}")
    if variable and not has_variable(method):
        raise TypeError(
            f"method must have a variable that its iteration moves, but {type(method).__name__} has none: it defines "
            "no variable(state) and with_variable(problem, state, value)"
        )


def has_variable(method: Any) -> bool:
    """Return whether a method, or the one that it wraps, says which variable its iteration moves."""
    while isinstance(method, Wrapper):
        method = method.method
    return isinstance(method, Method) and type(method).with_variable is not Method.with_variable


def scaled(factor: float, value: Any) -> Any:
    """Return ``factor * value`` for an array or a mirror point; an array keeps its dtype."""
    return value.dtype.type(factor) * value if isinstance(value, np.ndarray) else factor * value
