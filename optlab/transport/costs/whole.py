"""The passes over a cost small enough to be taken whole: array expressions with n x m temporaries, nothing compiled.

What `optlab.transport.costs.passes` does in compiled blocks, for dense costs of at most `ENTRIES` entries. There a pass
costs microseconds either way, while compiling its kernel costs a new process a quarter of a second. Results agree with
the kernels' to rounding. The plan's entries come from one kernel everywhere: all passes must round their exponents in
the same way.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

ENTRIES = 2**14


def small(data: tuple[Any, ...]) -> np.ndarray | None:
    """Return the matrix if this storage of a cost is one of at most `ENTRIES` entries."""
    if len(data) != 1 or data[0].ndim != 2 or data[0].size > ENTRIES:
        return None
    return np.asarray(data[0])


def costs(C: np.ndarray, X: np.ndarray) -> np.ndarray:
    """Return ``sum_j C_ij X_ij``; a forbidden pair, which would be 0 * inf, adds nothing."""
    with np.errstate(over="ignore"):
        out: np.ndarray = np.multiply(C, X, out=np.zeros(X.shape), where=X > 0.0).sum(axis=1)
    return out


def entropies(Y: np.ndarray) -> np.ndarray:
    """Return ``sum_j Y (log Y - 1)``."""
    logs = np.log(Y, out=np.zeros(Y.shape), where=Y > 0.0)
    with np.errstate(over="ignore"):
        out: np.ndarray = (Y * (logs - 1.0)).sum(axis=1)
    return out


def minimum(C: np.ndarray, v: np.ndarray, axis: int) -> np.ndarray:
    """Return the least entries of ``C - v`` along an axis (v lies along it)."""
    out: np.ndarray = (C - (v if axis == 1 else v[:, None])).min(axis=axis)
    return out


def product(C: np.ndarray, v: np.ndarray, axis: int) -> np.ndarray:
    """Return the sums of ``C v`` along an axis (v lies along it)."""
    out: np.ndarray = (C * (v if axis == 1 else v[:, None])).sum(axis=axis)
    return out


def statistics(C: np.ndarray) -> tuple[float, float, float, float]:
    """Return minimum, maximum, mean and (population) standard deviation of the entries."""
    low, high = float(C.min()), float(C.max())
    unit = 2.0 ** math.frexp(max(abs(low), abs(high)))[1] if low != high else 1.0  # squares of 1e200 would overflow
    scaled = C.astype(np.float64) / unit
    return low, high, unit * float(scaled.mean()), unit * float(scaled.std())
