"""Small problems and methods for testing the driver: nothing here is a solver anyone should use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optlab.core import Method, State


class Quadratic:
    """Minimise ``sum(x**2) / 2``: the metric is the objective itself."""

    primary_metric = "gap"

    def __init__(self, size: int = 3) -> None:
        self.size = size

    def default_start(self, rng: np.random.Generator) -> np.ndarray:
        return np.ones(self.size)

    def measure(self, iterate: np.ndarray) -> dict[str, float]:
        return {"gap": 0.5 * float(iterate @ iterate), "largest": float(np.max(np.abs(iterate)))}


@dataclass
class ArrayState(State):
    x: np.ndarray


@dataclass(frozen=True)
class GradientDescent(Method):
    step_size: float = 0.1

    def init(self, problem, x0, rng):
        return ArrayState(0, np.array(x0, dtype=float))

    def step(self, problem, state):
        return ArrayState(state.k + 1, state.x - self.step_size * state.x)

    def iterate(self, problem, state):
        return state.x

    def measure(self, problem, state):
        return {"step_size": self.step_size}


@dataclass
class NoisyState(State):
    x: np.ndarray
    rng: np.random.Generator
    label: str = "noise"
    past: tuple[float, ...] = ()


@dataclass(frozen=True)
class NoisyDescent(Method):
    """A step with its own noise: a fresh copy of the generator each time keeps earlier states valid."""

    step_size: float = 0.1
    sleep: float = 0.0

    def init(self, problem, x0, rng):
        return NoisyState(0, np.array(x0, dtype=float), rng)

    def step(self, problem, state):
        if self.sleep:
            import time

            time.sleep(self.sleep)
        rng = np.random.Generator(type(state.rng.bit_generator)())
        rng.bit_generator.state = state.rng.bit_generator.state
        x = state.x - self.step_size * (state.x + 0.01 * rng.standard_normal(state.x.shape))
        return NoisyState(state.k + 1, x, rng, "noise", (*state.past[-2:], float(x[0])))

    def iterate(self, problem, state):
        return state.x


@dataclass(frozen=True)
class Failing(GradientDescent):
    """Raises `error` at iteration `at`."""

    at: int = 5
    error: type = RuntimeError

    def step(self, problem, state):
        if state.k + 1 == self.at:
            raise self.error("something broke")
        return super().step(problem, state)
