"""The figures on control and on learning from samples: what they are made of."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from optlab.policy import MLP, mountain_car, pendulum
from optlab.reproduce import discovery
from optlab.reproduce.figures import FIGURES

ROOT = Path(__file__).resolve().parents[2] / "experiments" / "dapo"
FILES = ("pendulum", "mountain_car", "cartpole")
HAS_GYMNASIUM = importlib.util.find_spec("gymnasium") is not None


@pytest.fixture(scope="module")
def modules():
    return {stem: discovery.load(str(ROOT / f"{stem}.py")) for stem in FILES}


def control(modules):
    """What both control figures share."""
    return sys.modules[f"{modules['pendulum'].__package__}._control"]


def test_without_gymnasium_nothing_is_claimed(modules, monkeypatch):
    monkeypatch.setattr(modules["cartpole"], "missing_gymnasium", lambda: True)
    made = FIGURES["dapo-cartpole"](scale="cpu", seed=0)
    assert "optlab[rl]" in made.skipped
    assert [claim.holds for claim in made.claims] == [None] * len(modules["cartpole"].CLAIMS)
    assert {claim.reason for claim in made.claims} == {made.skipped}


@pytest.mark.parametrize(("stem", "make"), [("pendulum", pendulum), ("mountain_car", mountain_car)])
def test_the_continuous_problem_is_that_of_the_table(modules, stem, make):
    # where no clipping happens the expected next state of a row of the table is the continuous one
    module, mdp = modules[stem], make(41, 41)
    rng = np.random.default_rng(0)
    states = rng.integers(mdp.n_states, size=300)
    inside = np.abs(mdp.coordinates[states] / np.abs(mdp.coordinates).max(axis=0)).max(axis=1) < 0.6
    states = states[inside]
    actions = rng.integers(mdp.n_actions, size=len(states))
    expected = (mdp.transitions @ mdp.coordinates)[states * mdp.n_actions + actions]
    assert np.allclose(module.move(mdp.coordinates[states], actions), expected, atol=1e-9)
    assert np.allclose(module.cost(mdp.coordinates[states], actions), mdp.cost[states, actions])


def test_interpolation_repeats_a_periodic_axis(modules):
    Interpolated = control(modules).Interpolated
    axes = (np.array([-1.0, 0.0, 1.0]), np.array([0.0, 2.0]))
    f = Interpolated(axes, np.array([[0.0, 0.0], [1.0, 3.0], [4.0, 4.0]]), period=3.0)
    points = np.array([[0.0, 1.0], [1.5, 0.0], [-1.5, 0.0], [3.0, 1.0], [-30.5, 2.0]])
    assert np.allclose(f(points), [2.0, 2.0, 2.0, 2.0, 1.5])


def test_lookahead_with_the_optimal_values_drives_to_the_top(modules):
    car, shared = modules["mountain_car"], control(modules)
    mdp = mountain_car(41, 31)
    axes = (np.unique(mdp.coordinates[:, 0]), np.unique(mdp.coordinates[:, 1]))
    values = shared.Interpolated(axes, mdp.optimal.values.reshape(mdp.grid))
    act = shared.lookahead(car.move, car.cost, values, mdp.discount, 3)
    start = np.array([[-0.5, 0.0], [-0.4, 0.0]])
    steps = car.arrivals(shared.drive(act, car.move, start, 300))
    assert (steps < 200).all()
    # full throttle alone does not get there
    assert np.isinf(car.arrivals(shared.drive(lambda s: np.full(len(s), 2), car.move, start, 300))).all()


@pytest.mark.skipif(not HAS_GYMNASIUM, reason="needs gymnasium")
def test_reinforce_takes_the_gradient_of_the_returns(modules):
    cartpole = modules["cartpole"]

    class Bandit:
        """One step; the second action pays 1."""

        n_actions, discount = 2, 0.9

        def reset(self, n, rng):
            return np.ones((n, 1))

        def draw(self, states, actions, rng):
            return states, -np.asarray(actions, dtype=float), rng.random(len(states)) < 0.05

    method = cartpole.Reinforce(policy=MLP(1, 2, hidden=(4,)), episodes=40, max_steps=60)
    state = method.init(Bandit(), None, np.random.default_rng(0))
    before = state.theta.copy()
    after = method.step(Bandit(), state)
    assert np.array_equal(state.theta, before)
    assert after.environment_steps > 40
    assert method.iterate(None, after).probabilities(np.ones(1))[1] > 0.7


def test_medians_do_not_mix_numbers_and_infinity(modules):
    class Run:
        def __init__(self, returns):
            self.history = {"return": np.array(returns), "environment_steps": np.array([0.0, 10.0, 20.0])}

    runs = [Run([0, 5, 9]), Run([0, 9, 9]), Run([0, 0, 0]), Run([0, 0, 9])]
    steps_to = modules["cartpole"].steps_to
    assert steps_to(runs, 9) == 20.0
    assert steps_to(runs[2:3], 9) == np.inf
    curves = modules["cartpole"].on_grid(runs[:2], np.array([0.0, 9.0, 10.0, 25.0]))
    assert curves.tolist() == [[0, 0, 5, 9], [0, 0, 9, 9]]
