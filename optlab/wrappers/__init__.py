"""Wrappers: what can be done to any iteration, written once and put around a method.

`Averaged` reports averages of iterates, `Halpern` anchors the iteration at its start, `Anderson` extrapolates from its
memory, `Lookahead` follows it with slow weights, `Restarted` begins it anew. A wrapper is a method itself: it is run,
resumed, compared and wrapped again like any other.

A method can be wrapped if it says which variable its iteration moves: ``variable(state)``, and
``with_variable(problem, state, value)`` to put another value there. Averages only need iterates that are arrays.
"""

from optlab.wrappers.anderson import Anderson, AndersonState
from optlab.wrappers.averaged import Averaged, AveragedState
from optlab.wrappers.base import WrappedState, Wrapper, has_variable
from optlab.wrappers.halpern import Halpern, HalpernState
from optlab.wrappers.lookahead import Lookahead, LookaheadState
from optlab.wrappers.restarted import Restarted, RestartedState

__all__ = [
    "Anderson",
    "AndersonState",
    "Averaged",
    "AveragedState",
    "Halpern",
    "HalpernState",
    "Lookahead",
    "LookaheadState",
    "Restarted",
    "RestartedState",
    "WrappedState",
    "Wrapper",
    "has_variable",
]
