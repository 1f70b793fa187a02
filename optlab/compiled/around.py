"""What a wrapper has a compiled loop do around its steps: nothing, gradients near an average, or slow weights.

A loop asks where its gradients are taken and says when a step is done. Which of the three it is, is known when the loop
is compiled: the loops exist apart for it (`VARIANTS`), so that nobody waits for what is not used.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import overload

from optlab.compiled.functions import INLINE
from optlab.compiled.outer import Outer, outer_step, outer_step_in_numpy, outer_type
from optlab.compiled.primal import Primal, average, average_in_numpy, move_and_average, primal_type

PLAIN, NEAR, OUTER = VARIANTS = ("plain", "near", "outer")


def around_type(scalar: Any, variant: str) -> Any:
    """Return Numba's type of ``steps.around``."""
    return {PLAIN: types.none, NEAR: primal_type(scalar), OUTER: outer_type(scalar)}[variant]


def variant_of(steps: Any) -> str:
    """Return which of the loops the steps are for."""
    return PLAIN if steps.around is None else NEAR if isinstance(steps.around, Primal) else OUTER


def gradient_point(steps):
    """Return where a loop takes its gradients: ``steps.x`` itself, or a point near an average."""
    return steps.around.point if isinstance(steps.around, Primal) else steps.x


def near_average(steps):
    """Return whether that is another array than ``steps.x``."""
    return isinstance(steps.around, Primal)


def outer_due(steps, step):
    """Return whether slow weights move after this step: for a loop that has to prepare ``steps.x`` for that."""
    return isinstance(steps.around, Outer) and (steps.around.since + step + 1) % steps.around.period == 0


def finish(steps, step, step_size):
    """Do what is due once ``steps.x`` has moved."""
    if isinstance(steps.around, Primal):
        average_in_numpy(steps, step, step_size)
    elif outer_due(steps, step):
        outer_step_in_numpy(steps.around, steps.x)


def move_near(steps, step, step_size, a, i, c, ridge):
    """Move along row i of `a` near an average, and average; in compiled loops only, where `near_average` says so."""
    raise NotImplementedError


def _compiled_variant(steps: Any) -> str:
    around = steps.types[steps.fields.index("around")]
    if isinstance(around, types.NoneType):
        return PLAIN
    return NEAR if around.instance_class is Primal else OUTER


@overload(gradient_point, jit_options=INLINE)
def _gradient_point(steps):
    return (lambda steps: steps.around.point) if _compiled_variant(steps) == NEAR else (lambda steps: steps.x)


@overload(near_average, jit_options=INLINE)
def _near_average(steps):
    return (lambda steps: True) if _compiled_variant(steps) == NEAR else (lambda steps: False)


@overload(outer_due, jit_options=INLINE)
def _outer_due(steps, step):
    if _compiled_variant(steps) == OUTER:
        return lambda steps, step: (steps.around.since + step + 1) % steps.around.period == 0
    return lambda steps, step: False


@overload(move_near, jit_options=INLINE)
def _move_near(steps, step, step_size, a, i, c, ridge):
    if _compiled_variant(steps) == NEAR:
        return move_and_average
    return lambda steps, step, step_size, a, i, c, ridge: None


@overload(finish, jit_options=INLINE)
def _finish(steps, step, step_size):
    variant = _compiled_variant(steps)
    if variant == PLAIN:
        return lambda steps, step, step_size: None
    return average if variant == NEAR else _outer_step_if_due


def _outer_step_if_due(steps, step, step_size):
    if outer_due(steps, step):
        outer_step(steps.around, steps.x)
