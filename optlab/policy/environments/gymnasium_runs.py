"""Gymnasium's classic-control tasks as environments to sample from.

`GymnasiumEnvironment` gives a task the interface of `optlab.policy.critics.rollouts` (``reset`` and ``draw``), and that
of a problem: it is minimised by the approximate policy methods with sampled states and a sampling critic. Costs are
``-reward``. A task must be settable to any state through its ``state`` attribute, as CartPole, Acrobot and MountainCar
are; for tasks with tables of transitions there is `optlab.policy.MDP.from_gymnasium`. Transitions are gymnasium's own,
one call each: about 20 microseconds a step, whatever the batch.

Needs gymnasium (the extra ``rl``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.core.validation import as_float_array, as_integer, as_number
from optlab.policy.mdp.gymnasium_tables import make
from optlab.policy.ownership import frozen

__all__ = ["GymnasiumEnvironment"]


class GymnasiumEnvironment:
    """A gymnasium task with finitely many actions, as an environment and as a problem.

    Training sees the discounted task without its time limit: a trajectory ends where the task terminates. `measure`
    reports what the field reports, the undiscounted return of episodes cut at the time limit.

    Parameters
    ----------
    env : gymnasium.Env or str
        A task or its name. Wrappers are taken off, but for the time limit of `measure`.
    discount : float, default 0.99
    scale : array_like, shape (m,), optional
        Rows of states are the task's ``state`` divided by this, so that inputs of function classes are of order one.
        Default: ones.
    start_box : array_like, shape (m, 2), optional
        Bounds, in the task's units, of the box that training trajectories start from uniformly: the theory wants a
        start law that reaches every state. Default: the task's own start law, which `measure` uses in any case.
    episodes : int, default 20
        Episodes of each measurement.
    episode_steps : int, optional
        Steps at which `measure` cuts an episode. Default: the task's registered limit.
    seed : int, default 0
        Of `measure`: every policy is measured with the same random numbers.

    Attributes
    ----------
    n_actions : int
    n_coordinates : int
        m, length of a state.

    Raises
    ------
    TypeError
        If the actions are not discrete, or the task has no ``state`` that could be set.

    Examples
    --------
    >>> environment = GymnasiumEnvironment("CartPole-v1", discount=0.98)  # doctest: +SKIP
    >>> states = environment.reset(2, np.random.default_rng(0))  # doctest: +SKIP
    >>> environment.draw(states, np.array([0, 1]), np.random.default_rng(0))[1]  # doctest: +SKIP
    array([-1., -1.])
    """

    primary_metric = "negative_return"

    def __init__(
        self,
        env: Any,
        discount: float = 0.99,
        scale: Any = None,
        start_box: Any = None,
        episodes: int = 20,
        episode_steps: int | None = None,
        seed: int = 0,
    ) -> None:
        if isinstance(env, str):
            env = make(env)
        actions: Any = getattr(env, "action_space", None)
        if not hasattr(actions, "n") or int(getattr(actions, "start", 0)) != 0:
            raise TypeError(f"env must have actions 0..n-1 (a Discrete space), got {actions}")
        limit = getattr(env.spec, "max_episode_steps", None) if episode_steps is None else episode_steps
        if limit is None:
            raise ValueError("episode_steps must be given for a task that has no registered time limit")
        self.n_actions = int(actions.n)
        self.discount = as_number(discount, "discount", above=0, below=1)
        self.episodes = as_integer(episodes, "episodes", minimum=1)
        self.episode_steps = as_integer(limit, "episode_steps", minimum=1)
        self.seed = as_integer(seed, "seed", minimum=0)
        self._env = env.unwrapped
        self._env.reset(seed=self.seed)
        state = getattr(self._env, "state", None)
        if state is None or np.ndim(state) != 1:
            raise TypeError(
                f"env must have a state that can be set, as classic-control tasks have; {self._env} has none"
            )
        self.n_coordinates = len(state)
        scale = np.ones(self.n_coordinates) if scale is None else scale
        self.scale = frozen(as_float_array(scale, "scale", shape=(self.n_coordinates,), positive=True).astype(float))
        self.start_box = None
        if start_box is not None:
            self.start_box = frozen(as_float_array(start_box, "start_box", shape=(self.n_coordinates, 2)).astype(float))
            if (wrong := self.start_box[:, 1] < self.start_box[:, 0]).any():
                raise ValueError(
                    f"start_box must have lower <= upper, got {self.start_box[wrong][0]} at index [{wrong.argmax()}]"
                )

    # ------------------------------------------------------------------ an environment

    def reset(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return `n` states of the training's start law, shape (n, m)."""
        if self.start_box is not None:
            low, high = self.start_box.T
            return np.asarray(rng.uniform(low, high, (n, self.n_coordinates)) / self.scale)
        return self._task_starts(n, rng)

    def _task_starts(self, n: int, rng: np.random.Generator) -> np.ndarray:
        self._env.np_random = rng
        rows = np.empty((n, self.n_coordinates))
        for i in range(n):
            self._env.reset()
            rows[i] = self._env.state
        return rows / self.scale

    def draw(
        self, states: np.ndarray, actions: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return next states, costs, and which trajectories have terminated."""
        env = self._env
        env.np_random = rng
        rows = states * self.scale
        following, costs, ended = np.empty_like(rows), np.empty(len(rows)), np.empty(len(rows), dtype=bool)
        # CartPole counts the steps after the end of an episode, and warns of them
        counts = hasattr(env, "steps_beyond_terminated")
        for i, action in enumerate(np.asarray(actions).tolist()):
            env.state = rows[i]
            if counts:
                env.steps_beyond_terminated = None
            _, reward, ended[i], _, _ = env.step(action)
            following[i] = env.state
            costs[i] = -reward
        return following / self.scale, costs, ended

    # ------------------------------------------------------------------ a problem

    def default_start(self, rng: np.random.Generator) -> None:
        """Return None: a method starts from its function class's own start, the uniform policy."""
        return None

    def returns(self, policy: Any, episodes: int, rng: np.random.Generator) -> np.ndarray:
        """Return the undiscounted returns of episodes from the task's own start law, cut at the time limit."""
        total = np.zeros(episodes)
        active, states = np.arange(episodes), self._task_starts(episodes, rng)
        for _ in range(self.episode_steps):
            states, costs, ended = self.draw(states, policy.sample(states, rng), rng)
            total[active] -= costs
            active, states = active[~ended], states[~ended]
            if not active.size:
                break
        return total

    def measure(self, policy: Any) -> dict[str, float]:
        """Return the mean return of `episodes` episodes and its negative, which is minimised.

        Examples
        --------
        >>> GymnasiumEnvironment("CartPole-v1").measure(None)  # before there is a policy  # doctest: +SKIP
        {'return': nan, 'negative_return': nan}
        """
        if policy is None:
            return {"return": float("nan"), "negative_return": float("nan")}
        mean = float(self.returns(policy, self.episodes, np.random.default_rng(self.seed)).mean())
        return {"return": mean, "negative_return": -mean}

    def __repr__(self) -> str:
        return f"<GymnasiumEnvironment: {type(self._env).__name__}, discount {self.discount}>"
