"""The small functions by which methods differ; the loops call them through pointers.

* A **step rule** ``(loss, squared_norm, step_size, k, parameters, memory) -> float`` is for methods that move along the
  negative gradient, ``x - gamma g`` (plus momentum, which the loop adds). ``loss`` is that of the batch, less its known
  lower bound; ``squared_norm`` is the squared norm of the gradient; ``step_size`` is the scheduled one; ``memory``
  (float64) is the rule's own and may be written.
* An **update rule** ``(x, gradient, loss, step_size, k, parameters, memory, vectors) -> float`` is for all others. It
  changes ``x`` in place, may overwrite ``gradient``, owns the rows of ``vectors``, and returns the step size for the
  trace.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import types

from optlab.compiled.functions import F8, I8, Compiled, matrix, vector


def rule_signature(scalar: Any = None, layout: str = "C") -> Any:
    return F8(F8, F8, F8, I8, vector(F8, True), vector(F8))


def update_signature(scalar: Any, layout: str = "C") -> Any:
    return F8(vector(scalar), vector(scalar), F8, F8, I8, vector(F8, True), vector(F8), matrix(scalar))


RULE = types.FunctionType(rule_signature())
"""The type of a step rule as an argument."""


def step_rule(function: Callable) -> Compiled:
    """Mark ``(loss, squared_norm, step_size, k, parameters, memory) -> float`` as a step rule."""
    return Compiled(function, rule_signature)


def update_rule(function: Callable) -> Compiled:
    """Mark ``(x, gradient, loss, step_size, k, parameters, memory, vectors) -> float`` as an update rule."""
    return Compiled(function, update_signature)


@step_rule
def no_rule(loss, squared_norm, step_size, k, parameters, memory):
    """Stand in where a loop takes a step rule and the method has none."""
    return 0.0


@update_rule
def no_update(x, gradient, loss, step_size, k, parameters, memory, vectors):
    """Stand in where a loop takes an update rule and the method has none."""
    return 0.0
