"""What the methods with a loop of their own share: the problem's oracle, compiled or in Python.

Line searches evaluate losses at trial points and variance reduction needs gradients at stored points, which a step rule
cannot ask for. Such a method overrides `StochasticMethod.run_block` with one loop function, written once: compiled
for the built-in problems, and run as plain Python for a problem whose losses and gradients are Python functions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.compiled.functions import Compiled
from optlab.stochastic.kernels.oracles import OracleData
from optlab.stochastic.problems.finite_sum import FiniteSum


def loop_and_oracle(loop: Compiled, problem: FiniteSum, batch: int) -> tuple[Any, OracleData, Any, np.ndarray]:
    """Return the loop to call, the oracle's data, the oracle, and its work space."""
    if problem.oracle is not None:
        data = problem.oracle_data
        dtype, layout = problem.dtype, data.layout
        return loop.entry(dtype, layout), data, problem.oracle.pointer(dtype, layout), work_space(problem, batch)

    def interpreted(*arguments: Any) -> float:
        x, rows, gradient, _ = arguments[-4:]
        loss, g = problem.batch(x.reshape(problem.shape), rows)
        gradient[:] = np.asarray(g).ravel()
        return loss

    return loop.function, OracleData.make(problem.dtype), interpreted, np.empty(0)


def work_space(problem: FiniteSum, batch: int) -> np.ndarray:
    """Return work space for the oracle on batches of this size."""
    return np.empty(problem.work_size(batch))
