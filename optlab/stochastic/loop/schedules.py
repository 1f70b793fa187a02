"""Step-size schedules: what a method's `sigma` or `step_size` may be besides a number.

A schedule is any callable from the iteration k = 0, 1, ... to a positive number. The classes here also take whole
arrays of iterations, which is faster than calling a function of your own once per iteration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from optlab.core.validation import as_integer, as_number

Schedule = float | Callable[[Any], Any]


@dataclass(frozen=True)
class Decaying:
    """``initial / ((k + offset) / period + 1)^power``; power 1/2 is the choice of the convergence theorems.

    Parameters
    ----------
    initial : float
        Value at k = 0.
    power : float, default 0.5
    period : float, default 1
        Iterations in which the denominator grows by one; the number of steps in an epoch makes k count epochs.
    offset : float, default 0
        Added to k, which must not become negative: a run that goes on where another ended has made iterations before.

    Examples
    --------
    >>> Decaying(2.0)(np.array([0, 3]))
    array([2., 1.])
    """

    initial: float
    power: float = 0.5
    period: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        as_number(self.initial, "initial", above=0)
        as_number(self.power, "power", minimum=0)
        as_number(self.period, "period", above=0)
        as_number(self.offset, "offset")

    def __call__(self, k: Any) -> Any:
        return self.initial / ((np.asarray(k) + self.offset) / self.period + 1.0) ** self.power


@dataclass(frozen=True)
class StepDecay:
    """Constant, multiplied by `factor` at each of the `milestones`.

    Parameters
    ----------
    initial : float
    milestones : tuple of int
        Iterations from which the next value holds, increasing.
    factor : float, default 0.1

    Examples
    --------
    >>> StepDecay(1.0, (10, 20))(np.array([9, 10, 25]))
    array([1.  , 0.1 , 0.01])
    """

    initial: float
    milestones: tuple[int, ...]
    factor: float = 0.1

    def __post_init__(self) -> None:
        as_number(self.initial, "initial", above=0)
        as_number(self.factor, "factor", above=0)
        marks = tuple(as_integer(m, f"milestones[{i}]", minimum=1) for i, m in enumerate(self.milestones))
        if any(a >= b for a, b in pairwise(marks)):
            raise ValueError(f"milestones must increase, got {self.milestones}")
        object.__setattr__(self, "milestones", marks)

    def __call__(self, k: Any) -> Any:
        passed = np.searchsorted(np.asarray(self.milestones), np.asarray(k), side="right")
        return self.initial * self.factor**passed


def check_schedule(value: Any, name: str) -> None:
    """Raise unless `value` is a positive finite number, a callable or None (no limit)."""
    if value is not None and not callable(value):
        as_number(value, name, above=0)


def schedule_values(value: Any, name: str, k: int, n: int) -> np.ndarray:
    """Return the values for iterations k, ..., k+n-1; a constant is an array of length one.

    Raises
    ------
    ValueError
        If a schedule answers with something that is not a positive finite number; the message names the iteration.
    """
    if value is None:
        return np.array([np.inf])
    if not callable(value):
        return np.array([float(value)])
    if isinstance(value, (Decaying, StepDecay)):
        return np.asarray(value(np.arange(k, k + n)), np.float64)
    values = np.array([float(value(i)) for i in range(k, k + n)])
    bad = ~(np.isfinite(values) & (values > 0))
    if bad.any():
        at = int(np.argmax(bad))
        raise ValueError(f"{name} must be a positive finite number at every iteration, got {values[at]} at k={k + at}")
    return values
