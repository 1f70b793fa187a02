"""Checks of what callers pass in. Each error names the argument, what is wrong, where, and what would be right."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from optlab.core.backend import is_foreign, to_numpy


def first_index(mask: np.ndarray) -> str:
    """Return the first index where `mask` is true as text: ``[3]`` or ``[3, 0]``."""
    return str([int(i) for i in np.argwhere(mask)[0]])


def as_float_array(
    value: Any,
    name: str,
    *,
    ndim: int | Sequence[int] | None = None,
    shape: tuple[int | None, ...] | None = None,
    finite: bool = True,
    nonnegative: bool = False,
    positive: bool = False,
    allow_empty: bool = False,
) -> np.ndarray:
    """Return `value` as a floating-point NumPy array, without a copy where it already is one.

    float32 and float64 are kept as they are; integers and booleans become float64.

    Parameters
    ----------
    value : array_like
        What the caller passed.
    name : str
        The argument's name, for the error message.
    ndim : int or sequence of int, optional
        Allowed numbers of dimensions.
    shape : tuple, optional
        Required shape; None entries are free.
    finite, nonnegative, positive : bool
        Conditions that every entry must meet.
    allow_empty : bool
        Whether an array without entries is accepted.

    Raises
    ------
    TypeError
        If the entries are not real numbers, or some are masked.
    ValueError
        If a condition does not hold; the message names the first offending index.

    Examples
    --------
    >>> as_float_array([1, 2], "a")
    array([1., 2.])
    >>> as_float_array([1.0, float("nan")], "a")
    Traceback (most recent call last):
        ...
    ValueError: a must be finite, got nan at index [1]
    """
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        count = int(np.sum(np.ma.getmaskarray(value)))
        raise TypeError(
            f"{name} must hold plain numbers, got an array with {count} masked entries, whose mask would be lost; "
            "give array.filled(value)"
        )
    if hasattr(value, "toarray"):
        raise TypeError(f"{name} must be a dense array, got a sparse {type(value).__name__}; give its toarray()")
    if hasattr(value, "matvec"):
        raise TypeError(
            f"{name} must be a dense array, got a linear operator ({type(value).__name__}), which holds no entries"
        )
    try:
        array = to_numpy(value) if is_foreign(value) else np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} must be an array of numbers with rows of equal length: {error}") from None
    if array.dtype == object or array.dtype.kind not in "buif":
        raise TypeError(f"{name} must hold real numbers, got {_what_else(array)}")
    if array.dtype.kind != "f" or array.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        array = array.astype(np.float64)
    if ndim is not None:
        allowed = (ndim,) if isinstance(ndim, int) else tuple(ndim)
        if array.ndim not in allowed:
            wanted = " or ".join(str(d) for d in allowed)
            raise ValueError(f"{name} must have {wanted} dimension(s), got shape {array.shape}")
    if shape is not None and (
        array.ndim != len(shape) or any(want is not None and want != got for want, got in zip(shape, array.shape))
    ):
        wanted = "(" + ", ".join("any" if s is None else str(s) for s in shape) + ("," if len(shape) == 1 else "") + ")"
        raise ValueError(f"{name} must have shape {wanted}, got {array.shape}")
    if array.size == 0 and not allow_empty:
        raise ValueError(f"{name} must not be empty, got shape {array.shape}")
    # min and max see NaN and inf without a temporary mask of the array's size
    if array.size and (finite or nonnegative or positive):
        low, high = array.min(), array.max()
        if finite and not (np.isfinite(low) and np.isfinite(high)):
            bad = ~np.isfinite(array)
            raise ValueError(f"{name} must be finite, got {array[bad][0]}{_place(bad)}")
        if nonnegative and not low >= 0:
            bad = ~(array >= 0)
            raise ValueError(f"{name} must be non-negative, got {array[bad][0]}{_place(bad)}")
        if positive and not low > 0:
            bad = ~(array > 0)
            raise ValueError(f"{name} must be positive, got {array[bad][0]}{_place(bad)}")
    return array


def _what_else(array: np.ndarray) -> str:
    """Say what an array holds that are no real numbers."""
    if array.dtype.kind in "US":
        return f"text, {_shown(array.flat[0]) if array.size else array.dtype}; convert it with astype(float)"
    if array.dtype != object:
        return f"dtype {array.dtype}"
    for index, entry in np.ndenumerate(array):
        if not isinstance(entry, numbers.Real):
            return _shown(entry) + (f" at index {list(index)}" if index else "")
    return "numbers as objects (dtype object); convert them with astype(float)"


def _shown(value: Any) -> str:
    """Return a short value as it is written, of others the type."""
    text = repr(value) if value is None or isinstance(value, (str, bytes, int, float, complex, np.generic)) else ""
    return text if text and len(text) <= 60 else type(value).__name__


def as_data(value: Any, name: str, **conditions: Any) -> np.ndarray:
    """Return `value` as `as_float_array` does, as a read-only view: for what an object keeps and hands out.

    The caller's array stays writable for the caller; nothing that the object gives away can be used to change it.

    Examples
    --------
    >>> given = np.array([1.0, 2.0])
    >>> kept = as_data(given, "cost")
    >>> kept.flags.writeable, given.flags.writeable, np.shares_memory(kept, given)
    (False, True, True)
    """
    return read_only(as_float_array(value, name, **conditions))


def read_only(array: np.ndarray) -> np.ndarray:
    """Return a read-only view of an array."""
    view = array.view()
    view.flags.writeable = False
    return view


def _place(bad: np.ndarray) -> str:
    return f" at index {first_index(bad)}" if bad.ndim else ""


def as_number(
    value: Any,
    name: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    finite: bool = True,
) -> float:
    """Return `value` as a float after checking its range (`minimum`/`maximum` included, `above`/`below` excluded).

    Examples
    --------
    >>> as_number(0, "step_size", above=0)
    Traceback (most recent call last):
        ...
    ValueError: step_size must be a number above 0, got 0
    """
    if (
        type(value) is float
        and (above is None or value > above)
        and (minimum is None or value >= minimum)
        and (below is None or value < below)
        and (maximum is None or value <= maximum)
        and (not finite or math.isfinite(value))
    ):
        return value  # at once: methods ask this of every step size
    limits = []
    if above is not None:
        limits.append(f"above {above:g}")
    if minimum is not None:
        limits.append(f"at least {minimum:g}")
    if below is not None:
        limits.append(f"below {below:g}")
    if maximum is not None:
        limits.append(f"at most {maximum:g}")
    wanted = "a number" + (" " + " and ".join(limits) if limits else "")
    if isinstance(value, (bool, np.bool_, str, bytes)):
        raise TypeError(f"{name} must be {wanted}, got {value!r}")
    try:
        number = float("no number" if getattr(value, "ndim", 0) else value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be {wanted}, got {_shown(value)}") from None
    except OverflowError:
        raise ValueError(f"{name} must be {wanted}, got an integer too large for a floating-point number") from None
    inside = (
        (above is None or number > above)
        and (minimum is None or number >= minimum)
        and (below is None or number < below)
        and (maximum is None or number <= maximum)
        and not math.isnan(number)
        and not (finite and math.isinf(number))
    )
    if not inside:
        raise ValueError(f"{name} must be {wanted}, got {value!r}")
    return number


def as_flag(value: Any, name: str) -> bool:
    """Return `value` if it is True or False.

    Examples
    --------
    >>> as_flag("no", "refit")
    Traceback (most recent call last):
        ...
    TypeError: refit must be True or False, got str
    """
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise TypeError(f"{name} must be True or False, got {type(value).__name__}")


def as_generator(value: Any, name: str = "random_state", *, default: int | None = 0) -> np.random.Generator:
    """Return a generator: one given as it is, a RandomState drawn from, an int or a SeedSequence as the seed.

    None is the seed `default`; with ``default=None`` it is a seed of the operating system's.

    Examples
    --------
    >>> bool(as_generator(3).integers(100) == as_generator(3).integers(100))
    True
    """
    if isinstance(value, np.random.Generator):
        return value
    if isinstance(value, np.random.RandomState):
        return np.random.default_rng(value.randint(2**31 - 1))
    if value is None:
        value = default
    if value is not None and not isinstance(value, np.random.SeedSequence):
        value = as_integer(value, name, minimum=0)
    return np.random.default_rng(value)


def as_integer(value: Any, name: str, *, minimum: int | None = None) -> int:
    """Return `value` as an int after checking its range.

    Examples
    --------
    >>> as_integer(2.5, "max_iter", minimum=0)
    Traceback (most recent call last):
        ...
    TypeError: max_iter must be an integer of at least 0, got 2.5
    """
    wanted = "an integer" + (f" of at least {minimum}" if minimum is not None else "")
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be {wanted}, got {value!r}")
    if isinstance(value, float) and value.is_integer():  # max_iter=1e4 is how people write it
        value = int(value)
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be {wanted}, got {_shown(value)}") from None
    if minimum is not None and number < minimum:
        raise ValueError(f"{name} must be {wanted}, got {number}")
    return number


def one_of(value: Any, name: str, allowed: Sequence[str]) -> str:
    """Return `value` if it is one of the `allowed` words, otherwise name the nearest.

    Examples
    --------
    >>> one_of("sinkhron", "method", ["sinkhorn", "exact"])
    Traceback (most recent call last):
        ...
    ValueError: method must be one of 'sinkhorn', 'exact', got 'sinkhron' (did you mean 'sinkhorn'?)
    """
    if isinstance(value, str):
        if value in allowed:
            return str(value)
        import difflib

        by_lower = {word.lower(): word for word in allowed}
        near = difflib.get_close_matches(value.lower(), by_lower, n=1)
        hint = f" (did you mean {by_lower[near[0]]!r}?)" if near else ""
    else:
        hint = ""
    raise ValueError(f"{name} must be one of {', '.join(repr(a) for a in allowed)}, got {_shown(value)}{hint}")
