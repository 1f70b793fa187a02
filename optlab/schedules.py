"""Step sizes of the deterministic methods: what their ``step_size`` may be, and the value that iteration k uses.

A method accepts None (the problem's ``default_schedule`` if it has one, otherwise its ``default_step_size``), a number,
one of the schedules below, or any function ``k -> float`` of the iteration number k = 0, 1, 2, ... Douglas-Rachford and
Peaceman-Rachford also take an `AdaptiveStepSize`, which chooses the next step size from the iterates.

`check_step_size` is what a method's ``__post_init__`` calls; `StepSizes` is a rule resolved for one problem, which a
method makes once, in its ``prepare``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard, runtime_checkable

from optlab.core.validation import as_number


@dataclass(frozen=True)
class Constant:
    """The same step size at every iteration.

    Parameters
    ----------
    value : float
        The step size, above 0.
    relative : bool, default False
        Whether `value` is a multiple of the problem's default step size.

    Examples
    --------
    >>> Constant(2.0)(10)
    2.0
    """

    value: float
    relative: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", as_number(self.value, "value", above=0))

    def __call__(self, k: int) -> float:
        return self.value


@dataclass(frozen=True)
class Geometric:
    """Step sizes ``min(start * growth**k, maximum)``.

    Starting small and growing slowly combines the safety of a small step size with the accuracy of a large one; on
    optimal transport it cures the divergence seen at large constant step sizes.

    Parameters
    ----------
    start : float
        Step size of iteration 0, above 0.
    growth : float, default 1.005
        Factor per iteration, at least 1.
    maximum : float, default 1e12
        Largest step size, at least `start`.
    relative : bool, default False
        Whether `start` and `maximum` are multiples of the problem's default step size.

    Examples
    --------
    >>> schedule = Geometric(start=1.0, growth=2.0, maximum=5.0)
    >>> [schedule(k) for k in range(4)]
    [1.0, 2.0, 4.0, 5.0]
    """

    start: float
    growth: float = 1.005
    maximum: float = 1e12
    relative: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", as_number(self.start, "start", above=0))
        object.__setattr__(self, "growth", as_number(self.growth, "growth", minimum=1))
        object.__setattr__(self, "maximum", as_number(self.maximum, "maximum", minimum=self.start))

    def __call__(self, k: int) -> float:
        # compared as logarithms: growth**k overflows long before a run ends
        if k * math.log(self.growth) >= math.log(self.maximum / self.start):
            return self.maximum
        return float(self.start * self.growth**k)


@runtime_checkable
class AdaptiveStepSize(Protocol):
    """A rule that reads the iterates: a frozen description without state of its own, as a method is."""

    def first(self, problem: Any) -> float:
        """Return the step size of iteration 0."""
        ...

    def following(self, problem: Any, before: Any, after: Any) -> tuple[float, Any]:
        """Return the next step size and what the rule wants to remember.

        `before` and `after` are the states around the iteration just done; ``before.memory`` is what the rule
        remembered then (None at first): numbers, arrays, tuples, lists or dicts of these.
        """
        ...


def is_adaptive(rule: Any) -> TypeGuard[AdaptiveStepSize]:
    """Whether a step-size rule reads the iterates. Ask once, not at every step: a protocol's check is slow."""
    return isinstance(rule, AdaptiveStepSize)


StepSize = float | Constant | Geometric | AdaptiveStepSize | Callable[[int], float] | None


def check_step_size(step_size: Any) -> StepSize:
    """Return a method's ``step_size`` argument after checking it.

    Raises
    ------
    TypeError
        If it is neither None, a number, an adaptive rule nor callable.
    ValueError
        If it is a number that is not above 0 and finite.

    Examples
    --------
    >>> check_step_size(3)
    3.0
    >>> check_step_size(-1.0)
    Traceback (most recent call last):
        ...
    ValueError: step_size must be a number above 0, got -1.0
    """
    if step_size is None or is_adaptive(step_size):
        return step_size
    if callable(step_size):
        schedule: Callable[[int], float] = step_size
        return schedule
    return as_number(step_size, "step_size", above=0)


def rule_for(step_size: StepSize, problem: Any) -> StepSize:
    """Return `step_size`, or instead of None the problem's ``default_schedule`` if it has one.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> rule_for(None, SimpleNamespace(default_step_size=0.5)) is None
    True
    >>> rule_for(None, SimpleNamespace(default_step_size=0.5, default_schedule=Geometric(0.1)))
    Geometric(start=0.1, growth=1.005, maximum=1000000000000.0, relative=False)
    """
    if step_size is not None:
        return step_size
    schedule: StepSize = getattr(problem, "default_schedule", None)
    return schedule


def step_size_at(step_size: StepSize, k: int, default: float) -> float:
    """Return the step size of iteration `k`; `default` is the problem's own constant, the unit of relative schedules.

    Raises
    ------
    TypeError
        If the rule is an adaptive one, which only Douglas-Rachford and Peaceman-Rachford can use.

    Examples
    --------
    >>> step_size_at(None, 0, 0.5), step_size_at(lambda k: k + 1.0, 3, 0.5)
    (0.5, 4.0)
    >>> step_size_at(Constant(2.0, relative=True), 0, 0.5)
    1.0
    """
    if type(step_size) is float:
        return step_size  # checked when the method was made
    if step_size is None:
        return as_number(default, "the problem's default_step_size", above=0)
    if is_adaptive(step_size):
        raise TypeError(
            f"step_size must be a number or a schedule here, got the adaptive {type(step_size).__name__}; "
            "BregmanDouglasRachford accepts it"
        )
    if not callable(step_size):
        return as_number(step_size, "step_size", above=0)
    value = as_number(step_size(k), f"step_size({k})", above=0)
    return value * default if getattr(step_size, "relative", False) else value


class StepSizes:
    """The step sizes of one method on one problem: the rule resolved once, so that an iteration asks for a number.

    Parameters
    ----------
    step_size : float, schedule, adaptive rule, callable or None
        A method's ``step_size``; see the module's text.
    problem : Problem
        Its ``default_schedule`` and ``default_step_size`` are read here, once.

    Attributes
    ----------
    constant : float or None
        The step size of every iteration, if there is one.
    adaptive : AdaptiveStepSize or None
        The rule, if it reads the iterates.

    Raises
    ------
    TypeError, ValueError
        If the problem's ``default_step_size`` is needed and is no number above 0.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> problem = SimpleNamespace(default_step_size=0.5)
    >>> StepSizes(None, problem).constant, StepSizes(Constant(3.0, relative=True), problem).constant
    (0.5, 1.5)
    >>> sizes = StepSizes(Geometric(1.0, 2.0), problem)
    >>> sizes.constant is None, sizes.at(3)
    (True, 8.0)
    """

    __slots__ = ("_rule", "_unit", "adaptive", "constant")

    def __init__(self, step_size: StepSize, problem: Any) -> None:
        rule = rule_for(step_size, problem)
        self.adaptive: AdaptiveStepSize | None = rule if is_adaptive(rule) else None
        self.constant: float | None = None
        self._rule, self._unit = rule, 1.0
        if self.adaptive is None:
            if rule is None or getattr(rule, "relative", False):
                self._unit = problem.default_step_size
            if isinstance(rule, Constant) or not callable(rule):
                self.constant = step_size_at(rule, 0, self._unit)

    def first(self, problem: Any) -> float:
        """Return the step size of iteration 0."""
        return self.adaptive.first(problem) if self.adaptive is not None else self.at(0)

    def at(self, k: int) -> float:
        """Return the step size of iteration `k`; TypeError if the rule is an adaptive one."""
        if self.constant is not None:
            return self.constant
        return step_size_at(self._rule, k, self._unit)

    def after(self, state: Any) -> float:
        """Return the step size of the iteration that begins at `state`, which may carry an adaptive rule's choice."""
        if self.adaptive is None:
            return self.at(state.k)
        chosen: float = state.next_step_size or state.step_size
        return chosen
