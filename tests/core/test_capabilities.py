"""What fits what, and the public checks of the contract: each broken promise is noticed and named."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from toys import ArrayState, GradientDescent, NoisyDescent, Quadratic

import optlab
from optlab.core import Method
from optlab.core.contract.capabilities import reason_against


class Terms:
    """Three terms, one oracle each; it withholds `proximal_h` although its class has it."""

    primary_metric = "value"
    offers: ClassVar = {"gradient": ("f",), "proximal": ("g",), "both": ("f", "g")}

    def gradient(self, x): ...
    def proximal(self, x): ...
    def both(self, x): ...
    def proximal_h(self, x): ...


def method(*oracles, **more):
    return type("Asking", (Method,), {"requires": oracles, **more})()


def test_a_term_that_no_oracle_speaks_for_is_a_reason():
    assert "ignore the term 'g'" in reason_against(Terms(), method("gradient"))
    assert "ignore the term 'f'" in reason_against(Terms(), method("proximal"))
    assert reason_against(Terms(), method("gradient", "proximal")) is None
    assert reason_against(Terms(), method("both")) is None
    assert reason_against(Terms(), method()) is None  # it asks for nothing by name


def test_oracles_that_are_missing_or_withheld_are_reasons():
    assert "Terms has no hessian()" in reason_against(Terms(), method("both", "hessian"))
    assert "Terms does not offer proximal_h()" in reason_against(Terms(), method("both", "proximal_h"))
    asking = method("both", "hessian", needs="a curved problem")
    assert reason_against(Terms(), asking) == "needs a curved problem, but Terms has no hessian()"
    picky = method("both", accepts=lambda self, problem: "needs better weather")
    assert reason_against(Terms(), picky) == "needs better weather"


def test_nothing_is_computed_before_a_refusal():
    @dataclass(frozen=True)
    class Needy(GradientDescent):
        requires = ("hessian",)

        def init(self, problem, x0, rng):
            raise AssertionError("computed")

    for call in (optlab.solve, optlab.iterate, lambda p, m: optlab.check_method(m, p)):
        with pytest.raises(optlab.IncompatibleError, match=r"Needy needs hessian .* Quadratic has no hessian\(\)"):
            call(Quadratic(), Needy())


def test_the_table_prints_and_counts():
    rng = np.random.default_rng(0)
    problem = optlab.stochastic.LeastSquares(rng.standard_normal((5, 2)), rng.standard_normal(5))
    table = optlab.applicable(problem)
    assert "SAGA" in table.running
    assert "BregmanADMM" not in table.running
    assert len(table.to_frame()) == len(table)
    assert "<td>BregmanADMM</td>" in table._repr_html_()
    with pytest.raises(TypeError, match="must be an instance"):
        optlab.applicable(Quadratic)


# ------------------------------------------------------------------------------------------------ broken promises


def test_the_toys_keep_the_contract():
    for good in (GradientDescent(), NoisyDescent()):
        optlab.check_method(good, Quadratic())
    optlab.check_problem(Quadratic())


@dataclass(frozen=True)
class InPlace(GradientDescent):
    def step(self, problem, state):
        state.x[...] *= 0.9
        return ArrayState(state.k + 1, state.x)


@dataclass(frozen=True)
class Chatty(GradientDescent):
    """Its generator is shared by all states."""

    def init(self, problem, x0, rng):
        return Noise(0, np.array(x0), rng)

    def step(self, problem, state):
        return Noise(state.k + 1, state.x * state.rng.random(), state.rng)


@dataclass
class Noise(ArrayState):
    rng: np.random.Generator


@dataclass(frozen=True)
class Greedy(GradientDescent):
    """What it does depends on how many iterations are asked for."""

    def advance(self, problem, state, n):
        return ArrayState(state.k + n, state.x * 0.5 ** np.sqrt(n))


@dataclass(frozen=True)
class Miscounting(GradientDescent):
    def step(self, problem, state):
        return ArrayState(state.k + 2, 0.9 * state.x)


@dataclass(frozen=True)
class Guessing(GradientDescent):
    """Random numbers from nowhere."""

    def init(self, problem, x0, rng):
        return ArrayState(0, np.random.default_rng().random(len(x0)))


@dataclass(frozen=True)
class Forgetful(GradientDescent):
    """Momentum that lives in the object rather than in the state."""

    memory = [0]  # noqa: RUF012  (what it must not have)

    def step(self, problem, state):
        self.memory[0] += 1
        return ArrayState(state.k + 1, state.x * (1 - 0.01 * self.memory[0]))


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (InPlace(), "changes the state"),
        (Chatty(), "changes the state"),
        (Greedy(), "7 iterations at once are not 3 and then 4"),
        (Miscounting(), "must count its iterations"),
        (Guessing(), "two histories"),
        (Forgetful(), "must depend on the state alone"),
    ],
)
def test_a_method_that_breaks_a_promise_is_told_which(broken, says):
    with pytest.raises(AssertionError, match=says):
        optlab.check_method(broken, Quadratic())


def test_a_method_must_be_a_frozen_description():
    @dataclass
    class Loose(Method):
        step_size: float = 0.1

        def step(self, problem, state):
            return replace(state, k=state.k + 1)

    with pytest.raises(AssertionError, match="must be a frozen dataclass"):
        optlab.check_method(Loose(), Quadratic())


class Restless(Quadratic):
    def default_start(self, rng):
        return np.random.default_rng().random(3)


class Moody(Quadratic):
    def measure(self, iterate):
        return {"gap": float(np.random.default_rng().random())}


class Meddling(Quadratic):
    def measure(self, iterate):
        iterate *= 0.5
        return {"gap": 1.0}


class Hoarding(Quadratic):
    def measure(self, iterate):
        self.size += 1
        return {"gap": 1.0}


class Wordy(Quadratic):
    def measure(self, iterate):
        return {"gap": "small"}


class Infinite(Quadratic):
    def measure(self, iterate):
        return {"gap": np.inf}


class Unmeasured(Quadratic):
    primary_metric = "error"


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (Restless(), "two starts for one seed"),
        (Moody(), "two answers for one iterate"),
        (Meddling(), "changes the iterate"),
        (Hoarding(), "has changed while it was measured"),
        (Wordy(), "must return plain floats"),
        (Infinite(), "'gap' is inf"),
        (Unmeasured(), "primary_metric is 'error', which is not measured"),
    ],
)
def test_a_problem_that_breaks_a_promise_is_told_which(broken, says):
    with pytest.raises(AssertionError, match=says):
        optlab.check_problem(broken)
