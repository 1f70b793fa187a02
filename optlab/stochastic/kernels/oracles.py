"""The problem's side of the compiled loops: oracles, what they read, and the data of linear models.

An **oracle** ``(*OracleData, x, rows, gradient, work) -> loss`` writes the gradient of the mean loss over some rows and
returns that loss. Linear models, whose loops need no oracle, hand over `LinearData`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import types

from optlab.compiled.functions import F8, I4, I8, Compiled, inlined, matrix, vector
from optlab.stochastic.kernels.data import check_sparse


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
            np.empty((0, 0), dtype) if dense is None else np.asarray(dense, dtype),
            none if sparse is None else np.ascontiguousarray(sparse.data, dtype),
            np.empty(0, np.int32) if sparse is None else np.ascontiguousarray(sparse.indices, np.int32),
            np.empty(0, np.int64) if sparse is None else np.ascontiguousarray(sparse.indptr, np.int64),
            none if targets is None else np.ascontiguousarray(targets, dtype),
            np.ascontiguousarray(integers, np.int64),
            np.ascontiguousarray(reals, np.float64),
        )

    @property
    def layout(self) -> str:
        """ "C" if the dense matrix is contiguous by rows, else "A"."""
        return "C" if self.dense.flags.c_contiguous else "A"


class LinearData(NamedTuple):
    """Samples of a linear model ``l(a_i^T w + b, t_i) + (l2/2)||w||^2``: a dense matrix, or the arrays of a CSR one."""

    dense: np.ndarray
    values: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    targets: np.ndarray
    row_norms: np.ndarray
    l2: float
    code: int


def _arrays(scalar: Any, layout: str) -> tuple[Any, ...]:
    v = vector(scalar, True)
    return matrix(scalar, layout, True), v, vector(I4, True), vector(I8, True), v


def oracle_arguments(scalar: Any, layout: str) -> tuple[Any, ...]:
    """Return the types of the fields of `OracleData`."""
    return *_arrays(scalar, layout), vector(I8, True), vector(F8, True)


def oracle_signature(scalar: Any, layout: str) -> Any:
    return F8(*oracle_arguments(scalar, layout), vector(scalar), vector(I8, True), vector(scalar), vector(F8))


def oracle_types(scalar: Any, layout: str) -> tuple[Any, Any]:
    """Return the types of the oracle's data and of the oracle as arguments of a loop."""
    data = types.NamedTuple(list(oracle_arguments(scalar, layout)), OracleData)
    return data, types.FunctionType(oracle_signature(scalar, layout))


def linear_type(scalar: Any, layout: str) -> Any:
    """Return the type of `LinearData`."""
    return types.NamedTuple([*_arrays(scalar, layout), vector(F8, True), F8, I8], LinearData)


def oracle(function: Callable) -> Compiled:
    """Mark ``(*OracleData, x, rows, gradient, work) -> loss`` as a problem's oracle."""
    return Compiled(function, oracle_signature)


@inlined
def loss_and_gradient(oracle, data, x, rows, gradient, work):
    """Return the loss of some rows at x and write its gradient."""
    return oracle(
        data.dense, data.values, data.indices, data.indptr, data.targets, data.integers, data.reals,
        x, rows, gradient, work,
    )  # fmt: skip
