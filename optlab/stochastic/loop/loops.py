"""Chooses the compiled loop for a problem and a method, and is the interpreted one for a user's own problem."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from optlab.compiled.rules import no_rule, no_update
from optlab.compiled.steps import Steps, above_bound, record, rows_of, scheduled, weight_in_average
from optlab.stochastic.kernels import step_loops
from optlab.stochastic.problems.finite_sum import FiniteSum
from optlab.stochastic.problems.linear import LinearModel


def advance_block(problem: FiniteSum, method: Any, steps: Steps) -> None:
    """Take the steps of a method with a rule, changing the arrays in `steps` in place."""
    batch, dtype = steps.batch, problem.dtype
    linear = problem if isinstance(problem, LinearModel) and method.rule is not None else None
    if linear is not None and linear.is_sparse and steps.momentum == 0:
        size = problem.size if batch > 1 else 0
        step_loops.LINEAR_SPARSE.entry(dtype)(
            linear.linear_data, steps, method.rule.pointer(),
            np.empty(batch), np.zeros(size), np.empty(size, np.int32), np.zeros(size, np.uint8),
        )  # fmt: skip
    elif linear is not None and batch == 1 and not linear.is_sparse:
        data = linear.linear_data
        step_loops.LINEAR_DENSE.entry(dtype, problem.oracle_data.layout)(data, steps, method.rule.pointer())
    elif problem.oracle is not None:
        data = problem.oracle_data
        step_loops.GENERAL.entry(dtype, data.layout)(
            data, steps, problem.oracle.pointer(dtype, data.layout), (method.rule or no_rule).pointer(),
            (method.update or no_update).pointer(dtype), method.rule is not None,
            np.empty(problem.size, dtype), np.empty(problem.work_size(batch)),
        )  # fmt: skip
    else:
        _interpreted(problem, method, steps)


def _interpreted(problem: FiniteSum, method: Any, steps: Steps) -> None:
    """`step_loops.general` in Python, for a problem whose losses and gradients are Python functions."""
    rule, update = (method.rule or no_rule).get(), (method.update or no_update).get(problem.dtype)
    order, batch, x, memory, vectors = steps.order, steps.batch, steps.x, steps.memory, steps.vectors
    n = order.size // batch
    for step in range(n):
        k, rows, eta = steps.k + step, rows_of(steps, step), float(scheduled(steps, step))
        f, gradient = problem.batch(x.reshape(problem.shape), rows)
        gradient = np.array(gradient, problem.dtype).ravel()
        f = above_bound(steps, step, f)
        w = weight_in_average(steps, step, eta)
        if w > 0.0:
            steps.average[:] += w * x
        squares = float(np.dot(gradient.astype(np.float64), gradient))
        if method.rule is None:
            gamma = update(x, gradient, f, eta, k, steps.parameters, memory, vectors)
        else:
            gamma = rule(f, math.sqrt(squares) ** 2, eta, k, steps.parameters, memory)
            if steps.momentum > 0:
                vectors[0] = (-steps.weight * gamma) * gradient + steps.momentum * vectors[0]
                x += vectors[0]
            else:
                x += -gamma * gradient
        record(steps, step, gamma, f, squares)


__all__ = ["advance_block"]
