"""The adapter to gymnasium's classic-control tasks: same dynamics, same ends, same returns; refusals."""

import numpy as np
import pytest

import optlab
from optlab.policy import DAPO, LSTDQ, MLP, FisherScoring, RandomFourier

gymnasium = pytest.importorskip("gymnasium")

from optlab.policy.environments.gymnasium_runs import GymnasiumEnvironment  # noqa: E402

SCALE = np.array([2.4, 2.0, 0.2, 2.0])


class Push:
    """A policy that always takes one action."""

    def __init__(self, action):
        self.action = action

    def sample(self, states, rng):
        return np.full(len(states), self.action)


@pytest.mark.parametrize("name", ["CartPole-v1", "Acrobot-v1", "MountainCar-v0"])
def test_transitions_are_those_of_the_task(name):
    environment = GymnasiumEnvironment(name)
    rng, task = np.random.default_rng(0), gymnasium.make(name).unwrapped
    states = environment.reset(3, rng)
    assert states.shape == (3, environment.n_coordinates)
    for row in states:  # one trajectory of the task itself, and the adapter from each of its states
        task.reset(seed=1)
        task.state = row
        for t in range(30):
            action = t % environment.n_actions
            following, costs, ended = environment.draw(np.array([task.state]), np.array([action]), rng)
            _, reward, terminated, _, _ = task.step(action)
            assert np.array_equal(following[0], task.state)
            assert costs[0] == -reward
            assert ended[0] == terminated
            if terminated:
                break


def test_a_fall_ends_the_trajectory_and_rows_are_independent():
    environment = GymnasiumEnvironment("CartPole-v1", scale=SCALE)
    rows = np.array([[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.2094, 3.0], [2.399, 3.0, 0.0, 0.0]]) / SCALE
    following, costs, ended = environment.draw(rows, np.array([1, 1, 0]), np.random.default_rng(0))
    assert ended.tolist() == [False, True, True]
    assert costs.tolist() == [-1.0, -1.0, -1.0]
    # from the same rows in another order, and again after an end: nothing is remembered
    again, _, _ = environment.draw(rows[::-1], np.array([0, 1, 1]), np.random.default_rng(1))
    assert np.array_equal(again[::-1], following)


def test_starts_come_from_the_generator_given():
    environment = GymnasiumEnvironment("CartPole-v1", scale=SCALE)
    first = environment.reset(4, np.random.default_rng(5))
    environment.reset(7, np.random.default_rng(6))
    assert np.array_equal(first, environment.reset(4, np.random.default_rng(5)))
    assert np.abs(first * SCALE).max() <= 0.05
    assert len(np.unique(first)) == first.size


def test_the_start_box_is_of_training_only():
    box = [[-2.0, 2.0], [-1.0, 1.0], [-0.15, 0.15], [0.5, 0.5]]
    wide = GymnasiumEnvironment("CartPole-v1", scale=SCALE, start_box=box, episodes=5)
    starts = wide.reset(500, np.random.default_rng(0)) * SCALE
    assert starts[:, 0].min() < -1.9
    assert starts[:, 0].max() > 1.9
    assert np.allclose(starts[:, 3], 0.5)
    assert wide.measure(Push(1)) == GymnasiumEnvironment("CartPole-v1", scale=SCALE, episodes=5).measure(Push(1))


def test_returns_are_those_of_episodes():
    environment = GymnasiumEnvironment("CartPole-v1", episodes=40)
    metrics = environment.measure(Push(0))
    assert metrics["return"] == -metrics["negative_return"]
    assert metrics == environment.measure(Push(0))
    task, lengths = gymnasium.make("CartPole-v1"), []
    for seed in range(40):
        task.reset(seed=seed)
        steps, done = 0, False
        while not done:
            done = task.step(0)[2]
            steps += 1
        lengths.append(steps)
    assert metrics["return"] == pytest.approx(np.mean(lengths), abs=0.6)  # about 9.3, within its spread of 0.7
    assert environment.episode_steps == 500
    assert GymnasiumEnvironment("CartPole-v1", episode_steps=4, episodes=2).measure(Push(0))["return"] == 4.0


def test_a_method_learns_in_it_and_counts_its_steps():
    environment = GymnasiumEnvironment("CartPole-v1", 0.95, scale=SCALE, episodes=5, episode_steps=100)
    method = DAPO(
        policy=MLP(4, 2, hidden=(8,)),
        inner=FisherScoring(max_iter=3, ridge=1e-4),
        step_size=0.5,
        critic=LSTDQ(RandomFourier(4, 2, 30, lengthscale=1.5), trajectories=10, length=60),
        sampled_states=40,
    )
    results = [optlab.solve(environment, method, max_iter=4, seed=0, record="all", progress=False) for _ in range(2)]
    history = results[0].history
    assert np.array_equal(history["return"], results[1].history["return"])
    assert history["return"][-1] > 2 * history["return"][0]
    drawn = np.diff(history["environment_steps"])
    assert (drawn >= 600).all()  # the critic's
    assert (drawn <= 600 + 40 * 200).all()


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (("CartPole-v1", 1.0), ValueError, "discount"),
        (("CartPole-v1", 0.9, [1.0, 1.0]), ValueError, "scale"),
        (("CartPole-v1", 0.9, [1.0, 1.0, 0.0, 1.0]), ValueError, r"scale .* \[2\]"),
        (("CartPole-v1", 0.9, None, [[0, 1], [0, 1], [1, 0], [0, 1]]), ValueError, r"start_box .* \[2\]"),
        (("Pendulum-v1",), TypeError, "Discrete"),
    ],
)
def test_refusals(arguments, error, text):
    with pytest.raises(error, match=text):
        GymnasiumEnvironment(*arguments)


def test_a_task_without_a_state_is_refused():
    class Stateless(gymnasium.Env):
        action_space = gymnasium.spaces.Discrete(2)
        observation_space = gymnasium.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            return 0, {}

    with pytest.raises(ValueError, match="episode_steps"):
        GymnasiumEnvironment(Stateless())
    with pytest.raises(TypeError, match="state that can be set"):
        GymnasiumEnvironment(Stateless(), episode_steps=10)
