"""Checks of arguments that the rooms of this package share, beside those of `optlab.core.validation`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from optlab.core.validation import as_float_array, as_integer, as_number

__all__ = ["as_count", "checked_numbers"]

_Function = TypeVar("_Function", bound=Callable[..., Any])
_LARGEST = 2**31 - 1

# of what is called so everywhere in the bounds
_RANGES: dict[str, dict[str, Any]] = {
    "discount": {"above": 0.0, "below": 1.0},
    "step_size": {"above": 0.0, "finite": False},
    "theta": {"above": 0.0, "finite": False},
    "temperature": {"minimum": 0.0},
    "failure": {"above": 0.0, "below": 1.0},
}


def as_count(value: Any, name: str, minimum: int = 1) -> int:
    """Return a number of states, actions and the like: an integer that arrays can be as long as.

    Examples
    --------
    >>> as_count(1e300, "n_states")
    Traceback (most recent call last):
        ...
    ValueError: n_states must be an integer of at most 2147483647, got 1e+300
    """
    number = as_integer(value, name, minimum=minimum)
    if number > _LARGEST:
        raise ValueError(f"{name} must be an integer of at most {_LARGEST}, got {float_text(number)}")
    return number


def float_text(number: int) -> str:
    """Return a large integer in a few digits."""
    return f"{float(number):.3g}" if number < 10**300 * 10 else f"about 1e+{len(str(number)) - 1}"


def checked_numbers(function: _Function) -> _Function:
    """Decorate a function of numbers: those annotated as `float` or `int` are checked, by name, before it is called.

    Any of them may be an array as well, and a parameter `k` an array of iteration counts.

    Examples
    --------
    >>> @checked_numbers
    ... def trivial_bound(k: Any, discount: float) -> float:
    ...     return 1 / (1 - discount)
    >>> trivial_bound(3, 1.5)
    Traceback (most recent call last):
        ...
    ValueError: discount must be a number above 0 and below 1, got 1.5
    """
    signature = inspect.signature(function)
    kinds = {name: p.annotation for name, p in signature.parameters.items() if p.annotation in ("float", "int")}

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            if name in kinds and isinstance(value, np.ndarray) and value.ndim:
                bound.arguments[name] = as_float_array(value, name, finite=False)
            elif name in kinds:
                check = as_count if kinds[name] == "int" else as_number
                bound.arguments[name] = check(value, name, **(_RANGES.get(name, {}) if check is as_number else {}))
            elif name == "k":
                bound.arguments[name] = as_float_array(value, "k", ndim=(0, 1))
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            return function(*bound.args, **bound.kwargs)

    return call  # type: ignore[return-value]
