"""Compiled pieces and how they fit together: step rules, update rules, oracles, kernels.

The loops over the iterations (`kernels`) are compiled once per floating-point type, not once per method: what
distinguishes methods is a small function that the loop receives as a pointer (Numba's first-class functions, a call
costs about ten nanoseconds). So a new method compiles in a tenth of a second and lives in one file:

* a **step rule** ``(loss, squared_norm, step_size, k, parameters, memory) -> float`` for methods that move along the
  negative gradient, ``x - gamma g`` (plus momentum, which the loop adds). ``loss`` is that of the batch, less its
  known lower bound; ``squared_norm`` is the squared norm of the gradient; ``step_size`` is the scheduled one;
  ``memory`` (float64) is the rule's own and may be written.
* an **update rule** ``(x, gradient, loss, step_size, k, parameters, memory, vectors) -> float`` for all others. It
  changes ``x`` in place, may overwrite ``gradient``, owns the rows of ``vectors``, and returns the step size for the
  trace.
* an **oracle** (the problem's side) writes the gradient of the mean loss over some rows and returns that loss.

Everything is compiled on first use and cached on disk where the file system allows it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import njit, types

from optlab.stochastic.kernels.data import check_sparse

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


def compile_function(function: Callable[..., Any], signature: Any) -> Any:
    """Compile for one signature, cached on disk unless the function has no file (typed at a prompt)."""
    try:
        return njit(signature, cache=True, error_model="numpy")(function)
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
        return njit(signature, error_model="numpy")(function)


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
        ``signature(scalar, layout)`` returns the Numba signature.
    """

    def __init__(self, function: Callable, signature: Callable[[Any, str], Any]) -> None:
        self.function = function
        self.signature = signature
        self._made: dict[Any, Any] = {}
        self._pointers: dict[Any, Pointer] = {}
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)

    def get(self, dtype: Any = np.float64, layout: str = "C") -> Any:
        """Return the compiled function for a floating-point type and a layout of the data."""
        key = (np.dtype(dtype).char, layout)
        made = self._made.get(key)
        if made is None:
            signature = self.signature(scalar_type(dtype), layout)
            if signature not in self._made:  # a step rule is the same for all types
                self._made[signature] = compile_function(self.function, signature)
            made = self._made[key] = self._made[signature]
        return made

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


def rule_signature(scalar: Any = None, layout: str = "C") -> Any:
    return F8(F8, F8, F8, I8, vector(F8, True), vector(F8))


def update_signature(scalar: Any, layout: str = "C") -> Any:
    return F8(vector(scalar), vector(scalar), F8, F8, I8, vector(F8, True), vector(F8), matrix(scalar))


def oracle_arguments(scalar: Any, layout: str) -> tuple[Any, ...]:
    """Return the types of `OracleData`."""
    return (
        matrix(scalar, layout, True),
        vector(scalar, True),
        vector(I4, True),
        vector(I8, True),
        vector(scalar, True),
        vector(I8, True),
        vector(F8, True),
    )


def oracle_signature(scalar: Any, layout: str) -> Any:
    return F8(*oracle_arguments(scalar, layout), vector(scalar), vector(I8, True), vector(scalar), vector(F8))


def step_rule(function: Callable) -> Compiled:
    """Mark ``(loss, squared_norm, step_size, k, parameters, memory) -> float`` as a step rule."""
    return Compiled(function, rule_signature)


def update_rule(function: Callable) -> Compiled:
    """Mark ``(x, gradient, loss, step_size, k, parameters, memory, vectors) -> float`` as an update rule."""
    return Compiled(function, update_signature)


def oracle(function: Callable) -> Compiled:
    """Mark ``(*OracleData, x, rows, gradient, work) -> loss`` as a problem's oracle."""
    return Compiled(function, oracle_signature)


class OracleData(NamedTuple):
    """What an oracle reads. One shape for all problems, so that one compiled loop serves them all.

    A problem fills the fields it needs and leaves the others empty: a dense matrix (samples in rows), or the three
    arrays of a CSR matrix; targets; integers (class labels, layer sizes); real parameters (such as ``l2``).
    """

    dense: np.ndarray
    values: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    targets: np.ndarray
    integers: np.ndarray
    reals: np.ndarray

    @classmethod
    def make(
        cls,
        dtype: Any,
        *,
        dense: np.ndarray | None = None,
        sparse: Any = None,
        targets: np.ndarray | None = None,
        integers: Any = (),
        reals: Any = (),
    ) -> OracleData:
        """Fill what is given, leave the rest empty. A sparse matrix must be CSR, with indices within its shape."""
        if sparse is not None:
            check_sparse(sparse, "sparse")
        none = np.empty(0, dtype)
        return cls(
            np.empty((0, 0), dtype) if dense is None else dense,
            none if sparse is None else sparse.data,
            np.empty(0, np.int32) if sparse is None else np.asarray(sparse.indices, np.int32),
            np.empty(0, np.int64) if sparse is None else np.asarray(sparse.indptr, np.int64),
            none if targets is None else targets,
            np.asarray(integers, np.int64),
            np.asarray(reals, np.float64),
        )

    @property
    def layout(self) -> str:
        """ "C" if the dense matrix is contiguous by rows, else "A"."""
        return "C" if self.dense.flags.c_contiguous else "A"
