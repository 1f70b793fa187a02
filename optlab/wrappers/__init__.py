"""Wrappers: what can be done to any iteration, written once and put around a method.

`Averaged` reports averages of iterates, `ExponentialAveraging` and `LatestWeightAveraging` those that forget;
`PrimalAveraging` and `ScheduleFree` take gradients near one. `Halpern` anchors the iteration at its start, `Anderson`
extrapolates from its memory, `Lookahead` and `DiLoCo` follow it with slow weights, `Restarted` begins it anew. A
wrapper is a method itself: it is run, resumed, compared and wrapped again like any other.

A method can be wrapped if it says which variable its iteration moves: ``variable(state)``, and
``with_variable(problem, state, value)`` to put another value there. Averages only need iterates that are arrays.
"""

from optlab.wrappers.anderson import Anderson, AndersonState
from optlab.wrappers.averaged import Averaged, AveragedState
from optlab.wrappers.base import WrappedState, Wrapper, has_variable
from optlab.wrappers.diloco import DiLoCo, DiLoCoState
from optlab.wrappers.halpern import Halpern, HalpernState
from optlab.wrappers.latest_weights import LatestWeightAveraging, LatestWeightState
from optlab.wrappers.lookahead import Lookahead, LookaheadState
from optlab.wrappers.primal_averaging import (
    ExponentialAveraging,
    PrimalAveraging,
    PrimalAveragingState,
    ScheduleFree,
)
from optlab.wrappers.restarted import Restarted, RestartedState

__all__ = [
    "Anderson",
    "AndersonState",
    "Averaged",
    "AveragedState",
    "DiLoCo",
    "DiLoCoState",
    "ExponentialAveraging",
    "Halpern",
    "HalpernState",
    "LatestWeightAveraging",
    "LatestWeightState",
    "Lookahead",
    "LookaheadState",
    "PrimalAveraging",
    "PrimalAveragingState",
    "Restarted",
    "RestartedState",
    "ScheduleFree",
    "WrappedState",
    "Wrapper",
    "has_variable",
]
