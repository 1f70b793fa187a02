"""What every compiled loop is told, and what it does before and after each of its steps.

A loop gets one record, `Steps`: the steps to take and the arrays of a method's state, which it changes in place (the
caller passes copies). Around its own statements every loop does the same: the samples and the scheduled step size of
the step, the sum of iterates for an average, the trace, the numbers of the last step. That is written here, once.

Nothing here draws random numbers: `order` holds the samples to visit. Scalars are float64 throughout, whatever the type
of the data. The functions run as plain Python in an interpreted loop, and inside a compiled one.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import types

from optlab.compiled.functions import F8, I8, inlined, matrix, vector

# entries of the float64 vector `scalars` that a state carries through the loops
(
    SCALE, SQUARED_NORM, AVERAGE_SCALE, AVERAGE_WEIGHT, STEP_SIZE, LOSS, GRADIENT_NORM, BELOW_BOUND, INTERCEPT,
    AVERAGE_SHIFT,
) = range(10)  # fmt: skip
N_SCALARS = 10

# weights of averaged iterates: all one, the scheduled step sizes, or 1, 2, 3, ...
UNIFORM, SCHEDULE, LINEAR = range(3)
AVERAGES = ("uniform", "schedule", "linear")  # by name


class Steps(NamedTuple):
    """The steps that a compiled loop takes, and the arrays that it changes.

    Parameters
    ----------
    order : ndarray of int64
        The samples, batch after batch.
    batch : int
        Samples per step.
    k : int
        Number of the first step.
    schedule : ndarray
        Step sizes, one per step, or a single one for all.
    parameters : ndarray
        The method's own numbers.
    momentum, weight : float
        ``x+ = x - weight gamma g + momentum (x - x_previous)`` of methods with a step rule.
    lower : ndarray
        Lower bounds of the losses: one per sample, one for all, or none.
    x : ndarray
        The variable.
    vectors : ndarray, shape (number, size)
        Vectors that the method carries.
    memory, scalars : ndarray
        Numbers that the method carries, and those of every state (`SCALE` and so on).
    average : ndarray
        Weighted sum of the iterates; empty if none is wanted.
    average_rule : ndarray of int64
        First iterate that counts, and its weight (`UNIFORM` and so on).
    trace : ndarray, shape (3, steps) or (3, 0)
        Step size, loss and gradient norm of every step.
    """

    order: np.ndarray
    batch: int
    k: int
    schedule: np.ndarray
    parameters: np.ndarray
    momentum: float
    weight: float
    lower: np.ndarray
    x: np.ndarray
    vectors: np.ndarray
    memory: np.ndarray
    scalars: np.ndarray
    average: np.ndarray
    average_rule: np.ndarray
    trace: np.ndarray


def steps_type(scalar: Any) -> Any:
    """Return Numba's type of the record, for data of this type."""
    i8, f8 = vector(I8, True), vector(F8, True)
    own = vector(F8)
    fields = [i8, I8, I8, f8, f8, F8, F8, f8, vector(scalar), matrix(scalar), own, own, own, i8, matrix(F8)]
    return types.NamedTuple(fields, Steps)


# ---------------------------------------------------------------------- before a step


@inlined
def count(steps):
    """Return the number of steps."""
    return steps.order.size // steps.batch


@inlined
def rows_of(steps, step):
    """Return the samples of a step."""
    return steps.order[step * steps.batch : (step + 1) * steps.batch]


@inlined
def scheduled(steps, step):
    """Return the scheduled step size."""
    return steps.schedule[step if steps.schedule.size > 1 else 0]


@inlined
def above_bound(steps, step, loss):
    """Return the loss of a step's batch less its known lower bound, and count it if that is negative."""
    lower, batch = steps.lower, steps.batch
    if lower.size > 0:
        below = 0.0
        for q in range(step * batch, (step + 1) * batch):
            below += lower[steps.order[q] if lower.size > 1 else 0]
        loss -= below / batch
        if loss < 0.0:
            steps.scalars[BELOW_BOUND] += 1.0
    return loss


@inlined
def weight_in_average(steps, step, step_size):
    """Return the weight with which the iterate before a step enters the average, and count it; 0 if it does not."""
    k, start = steps.k + step, steps.average_rule[0]
    if steps.average.size == 0 or k < start:
        return 0.0
    w = 1.0
    if steps.average_rule[1] == LINEAR:
        w = k - start + 1.0
    elif steps.average_rule[1] == SCHEDULE:
        w = step_size
    steps.scalars[AVERAGE_WEIGHT] += w
    return w


@inlined
def add_to_average(steps, step, step_size):
    """Add the iterate before a step to the sum, if it counts."""
    w = weight_in_average(steps, step, step_size)
    if w > 0.0:
        x, average = steps.x, steps.average
        for j in range(x.size):
            average[j] += w * float(x[j])


# ---------------------------------------------------------------------- after a step


@inlined
def recorded(steps, step):
    """Return whether the numbers of a step go anywhere, for loops in which they cost something."""
    return steps.trace.shape[1] > 0 or step == count(steps) - 1


@inlined
def record(steps, step, step_size, loss, squared_norm):
    """Write the numbers of a step: into the trace, and after the last step into the state."""
    trace, scalars = steps.trace, steps.scalars
    if trace.shape[1] > 0:
        trace[0, step], trace[1, step], trace[2, step] = step_size, loss, math.sqrt(squared_norm)
    if step == count(steps) - 1:
        scalars[STEP_SIZE], scalars[LOSS], scalars[GRADIENT_NORM] = step_size, loss, math.sqrt(squared_norm)


# ---------------------------------------------------------------------- vectors kept up to a factor
#
# On sparse data the iterate is ``scale x + shift mean``, mean a vector that changes at non-zeros only (none: shift 0),
# and the sum of iterates is ``AVERAGE_SCALE x + AVERAGE_SHIFT mean + average`` at all times: adding an iterate changes
# two numbers. An intercept, the last entry of x, is kept as it is, and so is its sum.


@inlined
def add_lazily(steps, step, step_size, d, scale, shift):
    """Add the iterate before a step to the sum, in time that does not grow with its d features."""
    w = weight_in_average(steps, step, step_size)
    if w > 0.0:
        steps.scalars[AVERAGE_SCALE] += w * scale
        steps.scalars[AVERAGE_SHIFT] += w * shift
        if d < steps.x.size:
            steps.average[d] += w * float(steps.x[d])


@inlined
def fold(steps, mean, d, scale, shift):
    """Make x the iterate itself, whose scale is 1 and whose shift is 0."""
    x, average, scalars = steps.x, steps.average, steps.scalars
    if average.size > 0:
        s, t = scalars[AVERAGE_SCALE], scalars[AVERAGE_SHIFT]
        for j in range(d):
            average[j] += s * float(x[j])
            if t != 0.0:
                average[j] += t * float(mean[j])
        scalars[AVERAGE_SCALE], scalars[AVERAGE_SHIFT] = 0.0, 0.0
    if shift == 0.0:
        for j in range(d):
            x[j] = scale * float(x[j])
    else:
        for j in range(d):
            x[j] = scale * float(x[j]) + shift * float(mean[j])


@inlined
def smallest_scale(steps):
    """Return the scale at which to fold it into x, as steps divide by it.

    The two terms of the sum cancel as 1 / scale grows, so that averaging folds earlier.
    """
    return 1e-2 if steps.average.size > 0 else 1e-6
