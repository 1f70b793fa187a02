"""Chooses the compiled loop for a problem and a method, and is the interpreted one for a user's own problem."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from optlab.stochastic.kernels import step_loops
from optlab.stochastic.kernels.compilation import step_rule, update_rule
from optlab.stochastic.problems.finite_sum import FiniteSum
from optlab.stochastic.problems.linear import LinearModel


@step_rule
def _no_rule(loss, squared_norm, step_size, k, parameters, memory):
    return 0.0


@update_rule
def _no_update(x, gradient, loss, step_size, k, parameters, memory, vectors):
    return 0.0


def advance_block(
    problem: FiniteSum,
    method: Any,
    state: Any,
    order: np.ndarray,
    step_sizes: np.ndarray,
    average_rule: np.ndarray,
    trace: np.ndarray,
) -> None:
    """Run ``order.size / batch_size`` steps, changing the arrays of `state` in place (but not ``state.k``).

    Parameters
    ----------
    problem : FiniteSum
    method : StochasticMethod
    state : StochasticState
        A copy that belongs to the caller.
    order : ndarray of int64
        The samples, batch after batch.
    step_sizes : ndarray
        One per step, or a single one for all.
    average_rule : ndarray of int64
        First iterate that counts, and whether it is weighed by its step size.
    trace : ndarray of shape (3, steps) or (3, 0)
    """
    batch = method.batch_size
    momentum, weight = method.heavy_ball(state.k)
    parameters = np.array(method.parameters(problem), np.float64)
    lower = method.lower_bounds(problem)
    dtype = problem.dtype
    fused = problem if isinstance(problem, LinearModel) and method.rule is not None else None
    if fused is not None and fused.is_sparse and momentum == 0:
        data = problem.oracle_data
        large = batch > 1
        step_loops.LINEAR_SPARSE.get(dtype)(
            data.values, data.indices, data.indptr, data.targets, fused.row_norms, lower, fused.l2, fused.code,
            order, batch, state.k, step_sizes, method.rule.pointer(), parameters,
            state.x, state.memory, state.scalars, state.average, average_rule, trace,
            np.empty(batch), np.zeros(problem.size if large else 0), np.empty(problem.size if large else 0, np.int32),
            np.zeros(problem.size if large else 0, np.uint8),
        )  # fmt: skip
    elif fused is not None and batch == 1 and not fused.is_sparse:
        data = problem.oracle_data
        step_loops.LINEAR_DENSE.get(dtype, data.layout)(
            data.dense, data.targets, fused.row_norms, lower, fused.l2, fused.code,
            order, state.k, step_sizes, method.rule.pointer(), parameters, momentum, weight,
            state.x, state.memory, state.vectors, state.scalars, state.average, average_rule, trace,
        )  # fmt: skip
    elif problem.oracle is not None:
        data = problem.oracle_data
        step_loops.GENERAL.get(dtype, data.layout)(
            *data, problem.oracle.pointer(dtype, data.layout), lower, order, batch, state.k, step_sizes,
            (method.rule or _no_rule).pointer(), (method.update or _no_update).pointer(dtype), method.rule is not None,
            parameters, momentum, weight,
            state.x, np.empty(problem.size, dtype), np.empty(problem.work_size(batch)), state.memory, state.vectors,
            state.scalars, state.average, average_rule, trace,
        )  # fmt: skip
    else:
        _interpreted(
            problem, method, state, order, step_sizes, average_rule, trace, momentum, weight, parameters, lower
        )


def _interpreted(
    problem: FiniteSum,
    method: Any,
    state: Any,
    order: np.ndarray,
    step_sizes: np.ndarray,
    average_rule: np.ndarray,
    trace: np.ndarray,
    momentum: float,
    weight: float,
    parameters: np.ndarray,
    lower: np.ndarray,
) -> None:
    """`step_loops.general` in Python, for a problem whose losses and gradients are Python functions."""
    rule, update = (method.rule or _no_rule).get(), (method.update or _no_update).get(problem.dtype)
    x, scalars = state.x, state.scalars
    for step, rows in enumerate(order.reshape(-1, method.batch_size)):
        f, gradient = problem.batch(x.reshape(problem.shape), rows)
        gradient = np.array(gradient, problem.dtype).ravel()
        if lower.size:
            f -= float(np.mean(lower[rows] if lower.size > 1 else lower))
            scalars[step_loops.BELOW_BOUND] += f < 0
        eta = float(step_sizes[step if step_sizes.size > 1 else 0])
        k = state.k + step
        if state.average.size and k >= average_rule[0]:
            w = step_loops.iterate_weight(average_rule, k, eta)
            scalars[step_loops.AVERAGE_WEIGHT] += w
            state.average += w * x
        norm = math.sqrt(float(np.dot(gradient.astype(np.float64), gradient)))
        if method.rule is None:
            gamma = update(x, gradient, f, eta, k, parameters, state.memory, state.vectors)
        else:
            gamma = rule(f, norm * norm, eta, k, parameters, state.memory)
            move = (-weight * gamma) * gradient if momentum > 0 else -gamma * gradient
            if momentum > 0:
                move += momentum * state.vectors[0]
                state.vectors[0] = move
            x += move
        if trace.shape[1]:
            trace[:, step] = gamma, f, norm
        scalars[[step_loops.STEP_SIZE, step_loops.LOSS, step_loops.GRADIENT_NORM]] = gamma, f, norm


__all__ = ["advance_block"]
