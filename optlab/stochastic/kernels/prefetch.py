"""Asking for memory before it is needed: rows in random order miss every cache, and the next row is known a step ahead.

Only a hint to the processor: results do not depend on it. Measured on 20000 x 50000 with 75 non-zeros a row: a fifth of
the time of a step.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types, uint64
from numba.extending import intrinsic

from optlab.compiled.functions import inlined


@intrinsic
def prefetch(typingctx: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of the entry of a contiguous array (any dimension) at this flat index."""
    signature = types.void(array, index)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        byte_pointer = ir.IntType(8).as_pointer()
        word = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte_pointer, word, word, word])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte_pointer], kind)
        where = builder.bitcast(builder.gep(data, [args[1]]), byte_pointer)
        builder.call(function, [where, word(0), word(3), word(1)])  # to read, keep in all caches, data
        return context.get_dummy_value()

    return signature, codegen


# Cache lines of the next row to ask for; the processor sees a longer row coming by itself.
_LINES = 24


@inlined
def prefetch_dense_row(a, targets, row_norms, i):
    """Ask for row i of a dense matrix, and what else is known of that sample."""
    begin = uint64(i * a.strides[0] // a.itemsize)
    for p in range(begin, begin + uint64(min(a.shape[1], _LINES * 8)), uint64(8)):
        prefetch(a, p)
    prefetch(targets, i)
    prefetch(row_norms, i)


@inlined
def prefetch_sparse_row(values, indices, indptr, targets, row_norms, order, at):
    """Ask for the CSR row of sample ``order[at]``, what else is known of it, and where the row after it begins."""
    if at < order.size:
        i = order[at]
        begin = uint64(indptr[i])
        end = min(uint64(indptr[i + 1]), begin + uint64(_LINES * 8))
        for p in range(begin, end, uint64(8)):
            prefetch(values, p)
        for p in range(begin, end, uint64(16)):
            prefetch(indices, p)
        prefetch(targets, i)
        prefetch(row_norms, i)
        if at + 1 < order.size:
            prefetch(indptr, order[at + 1])
