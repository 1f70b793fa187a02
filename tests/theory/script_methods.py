"""Methods as a stranger writes them in a script, for the tests of worst cases and rates."""

from __future__ import annotations

from dataclasses import dataclass

from optlab.core import Method, State


@dataclass
class Point(State):
    x: object


@dataclass(frozen=True)
class Descent(Method):
    """Gradient descent."""

    step_size: float
    requires = ("gradient",)

    def init(self, problem, x0, rng):
        return Point(0, x0)

    def step(self, problem, state):
        return Point(state.k + 1, state.x - self.step_size * problem.gradient(state.x))

    def iterate(self, problem, state):
        return state.x

    def variable(self, state):
        return state.x

    def with_variable(self, problem, state, value):
        return Point(state.k, value)


@dataclass(frozen=True)
class Extragradient(Descent):
    requires = ("operator",)

    def step(self, problem, state):
        middle = state.x - self.step_size * problem.operator(state.x)
        return Point(state.k + 1, state.x - self.step_size * problem.operator(middle))
