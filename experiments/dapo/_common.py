"""What the figures of this folder share: runs, tables, the look of each method."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

import optlab
from optlab.reproduce import Looks

PAPER = "dapo"

# One look per method in all the figures of this paper.
look = Looks(
    {
        "DAPO-KL, reverse": 0,
        "DAPO-KL, forward": 1,
        "natural policy gradient": 2,
        "Q-NPG": 3,
        "AMPO, normalised": 4,
        "DAPO-L2 (simplex)": 5,
        "DAPO-L2 (full) = AMPO-L2": 6,
        "tabular": 7,
    },
    markevery=0.12,
)


def run(problem: Any, method: Any, n: int, *, seed: int = 0, record: Any = "all", x0: Any = None) -> Any:
    """Run a number of iterations, every one of them recorded unless asked otherwise, past a fixed point as well."""
    method = copy.copy(method)
    object.__setattr__(method, "verdict", lambda problem, state, metrics: None)
    return optlab.solve(problem, method, max_iter=n, seed=seed, record=record, x0=x0, progress=False)


def plain_ticks(axis: Any, values: Sequence[float] = (0.1, 0.2, 0.5, 1.0, 2.0)) -> None:
    """Label a logarithmic axis of one or two decades by these numbers."""
    low, high = axis.get_view_interval()
    shown = [value for value in values if low <= value <= high]
    axis.set_ticks(shown, labels=[f"{value:g}" for value in shown])


def visible(values: Any, floor: float = 1e-13) -> np.ndarray:
    """Return values for a logarithmic axis: nothing where rounding is all that is left."""
    values = np.asarray(values, dtype=float)
    return np.where(values > floor, values, np.nan)
