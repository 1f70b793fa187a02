"""Functions that are compiled on first use, once per floating-point type and memory layout, and cached on disk.

A loop over iterations is compiled once per type, not once per method: what distinguishes methods is a small function
that the loop receives as a pointer (Numba's first-class functions, a call costs about ten nanoseconds). So a new method
compiles in a tenth of a second and lives in one file.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic, overload, register_jitable

F8, I8, I4 = types.float64, types.int64, types.int32


def vector(scalar: Any, readonly: bool = False) -> Any:
    """Return the type of a contiguous 1-D array."""
    return types.Array(scalar, 1, "C", readonly=readonly)


def matrix(scalar: Any, layout: Any = "C", readonly: bool = False) -> Any:
    """Return the type of a 2-D array; layout "C", or "A" for any strides."""
    return types.Array(scalar, 2, layout, readonly=readonly)


def scalar_type(dtype: Any) -> Any:
    """Return Numba's type for float32 or float64."""
    return types.float32 if np.dtype(dtype) == np.float32 else types.float64


def compile_function(function: Callable[..., Any], signature: Any, **options: Any) -> Any:
    """Compile for one signature, cached on disk unless the function has no file (typed at a prompt)."""
    try:
        return njit(signature, cache=True, error_model="numpy", **options)(function)
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
        return njit(signature, error_model="numpy", **options)(function)


def inlined(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Mark a function as a part of the compiled functions that call it; in Python it remains what it is.

    A function of its own may be compiled twice, alone and into its caller; with `fastmath` the two can differ in the
    last digit, and which one runs depends on what was found in the cache on disk.
    """
    if function is None:
        return functools.partial(inlined, **options)
    return register_jitable(**INLINE, **options)(function)


INLINE: Any = {"forceinline": True, "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Options of Numba for functions that are called from compiled ones only."""


class Pointer:
    """A compiled function as an argument of a compiled loop.

    The function itself could be passed, but Numba then looks its address up anew in every call, for a tenth of a
    millisecond; that is most of the time of a run that records every iteration.
    """

    def __init__(self, compiled: Any, signature: Any) -> None:
        self.compiled = compiled  # keeps the machine code alive
        self._numba_type_ = types.FunctionType(signature)
        result = compiled.get_compile_result(signature)
        self._address = result.library.get_pointer_to_function(result.fndesc.llvm_cfunc_wrapper_name)

    def __wrapper_address__(self) -> int:
        """Return the address of the machine code (Numba's protocol)."""
        return int(self._address)


class Compiled:
    """A Python function that is compiled on first use, once per floating-point type and memory layout.

    Parameters
    ----------
    function : callable
        What Numba compiles. Called as an ordinary function, this object runs it uncompiled.
    signature : callable
        ``signature(scalar, layout, *variant)`` returns the Numba signature; loops come in two variants, see
        `optlab.compiled.steps`.
    loop : bool, default False
        That it is called from Python only, so that it compiles without an entry for pointers.
    **options
        Further ones of Numba, such as ``fastmath``.
    """

    def __init__(self, function: Callable, signature: Callable[..., Any], loop: bool = False, **options: Any) -> None:
        self.function = function
        self.signature = signature
        self.loop = loop
        self.options = options
        self._made: dict[Any, Any] = {}
        self._entries: dict[Any, Any] = {}
        self._pointers: dict[Any, Pointer] = {}
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)

    def get(self, dtype: Any = np.float64, layout: str = "C", *variant: Any) -> Any:
        """Return the compiled function for a floating-point type and a layout of the data."""
        key = (np.dtype(dtype).char, layout, *variant)
        made = self._made.get(key)
        if made is None:
            signature = self.signature(scalar_type(dtype), layout, *variant)
            if signature not in self._made:  # a step rule is the same for all types
                self._made[signature] = compile_function(
                    self.function, signature, no_cfunc_wrapper=self.loop, **self.options
                )
            made = self._made[key] = self._made[signature]
        return made

    def entry(self, dtype: Any = np.float64, layout: str = "C", *variant: Any) -> Any:
        """Return the machine code as a Python function that takes its arguments as they are.

        Numba's own entry finds the types of all arguments anew in every call, and knows no conversion of the arrays
        inside a record. Here it is the caller who answers for types and layout.
        """
        key = (np.dtype(dtype).char, layout, *variant)
        entry = self._entries.get(key)
        if entry is None:
            overloads = self.get(dtype, layout, *variant).overloads
            entry = self._entries[key] = next(iter(overloads.values())).entry_point
        return entry

    def pointer(self, dtype: Any = np.float64, layout: str = "C") -> Pointer:
        """Return the compiled function as an argument for a compiled loop."""
        key = (np.dtype(dtype).char, layout)
        pointer = self._pointers.get(key)
        if pointer is None:
            pointer = Pointer(self.get(dtype, layout), self.signature(scalar_type(dtype), layout))
            self._pointers[key] = pointer
        return pointer

    def __reduce__(self) -> Any:
        import importlib  # by name: a compiled function is not data

        return getattr, (importlib.import_module(self.function.__module__), self.function.__name__)


def _disown(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Return the value with no owner of its arrays."""
    if isinstance(kind, types.Array):
        array = context.make_array(kind)(context, builder, value=value)
        array.meminfo, array.parent = array.meminfo.type(None), array.parent.type(None)
        return array._getvalue()
    if isinstance(kind, types.NamedTuple):
        for i, inside in enumerate(kind.types):
            value = builder.insert_value(value, _disown(context, builder, inside, builder.extract_value(value, i)), i)
    return value


@intrinsic
def _without_owners(typingctx: Any, record: Any) -> Any:
    return record(record), lambda context, builder, signature, args: _disown(context, builder, record, args[0])


def borrowed(record: Any) -> Any:
    """Return a record whose arrays are known to live longer than the loop that reads it.

    Numba counts references (an atomic operation) whenever an array is taken out of a record or handed to a function. A
    loop that begins with ``steps = borrowed(steps)`` is spared that; it must not return the arrays.
    """
    return record


@overload(borrowed, jit_options=INLINE)
def _borrowed(record):
    return lambda record: _without_owners(record)
