"""Array namespaces: NumPy by default, CuPy (or any array-API library) when the caller's arrays are of that kind."""

from __future__ import annotations

from typing import Any

import numpy as np


def namespace(*arrays: Any) -> Any:
    """Return the array-API namespace of the arrays given; plain numbers, lists and None count as NumPy.

    Parameters
    ----------
    *arrays : array_like
        Arrays of one library.

    Returns
    -------
    module
        `numpy` itself for NumPy arrays, otherwise what `array_api_compat.array_namespace` answers.

    Raises
    ------
    TypeError
        If the arrays belong to more than one library.

    Examples
    --------
    >>> import numpy as np
    >>> from optlab.core.backend import namespace
    >>> namespace(np.zeros(3)) is np
    True
    """
    if len(arrays) == 1 and type(arrays[0]) is np.ndarray:
        return np  # at once: loops of the library ask
    foreign = [
        a for a in arrays if a is not None and not isinstance(a, (np.ndarray, np.generic, int, float, list, tuple))
    ]
    if not foreign:
        return np
    from array_api_compat import array_namespace

    native = [a for a in arrays if isinstance(a, np.ndarray)]
    if native:
        kinds = sorted({f"{type(a).__module__}.{type(a).__qualname__}" for a in [*native, *foreign]})
        raise TypeError(f"arrays of one library are needed, got a mixture: {', '.join(kinds)}")
    return array_namespace(*foreign)


def is_foreign(value: Any) -> bool:
    """Return whether `value` is an array of another library than NumPy.

    Examples
    --------
    >>> is_foreign(np.zeros(3)), is_foreign([0.0]), is_foreign(1.0)
    (False, False, False)
    """
    return (
        hasattr(value, "shape")
        and not isinstance(value, (np.ndarray, np.generic))
        and (hasattr(value, "__array_namespace__") or _is_known(value))
    )


def _is_known(value: Any) -> bool:
    from array_api_compat import is_array_api_obj

    return bool(is_array_api_obj(value))


def like(array: Any, value: Any) -> Any:
    """Return a NumPy array as one of the library, dtype and device of `array`.

    Examples
    --------
    >>> like(np.zeros(2, dtype=np.float32), np.ones(2)).dtype
    dtype('float32')
    """
    if isinstance(array, np.ndarray):
        return np.asarray(value, dtype=array.dtype)
    from array_api_compat import device

    return namespace(array).asarray(value, dtype=array.dtype, device=device(array))


def to_numpy(array: Any) -> np.ndarray:
    """Return `array` as a NumPy array, moving it from a device if it lives on one."""
    if isinstance(array, np.ndarray):
        return array
    if hasattr(array, "get"):  # CuPy: the only library whose arrays refuse an implicit copy to the host
        return np.asarray(array.get())
    return np.asarray(array)
