"""CartPole from samples, with a small network: DAPO, the natural policy gradient, and REINFORCE.

Needs gymnasium (the extra ``rl``); without it there is an empty figure that says so. Each iteration of the first three
draws states by geometric stopping and estimates action values by LSTD-Q from trajectories; REINFORCE (Williams 1992) is
run as in PyTorch's examples: an update after each episode, standardised returns, Adam with learning rate 0.01.
"""

from __future__ import annotations

import copy
import importlib.util
from dataclasses import dataclass
from typing import Any

import numpy as np

import optlab
from optlab.core import Method, State
from optlab.plotting import seed_band
from optlab.policy import DAPO, LSTDQ, MLP, FisherScoring, FunctionPolicy, NaturalPolicyGradient, Newton, RandomFourier
from optlab.policy.environments.gymnasium_runs import GymnasiumEnvironment
from optlab.reproduce import at_scale

from ._common import PAPER, look, run

SCALE = (2.4, 2.0, 0.2, 2.0)  # position, speed, angle, angular speed
START_BOX = ((-2.0, 2.0), (-1.0, 1.0), (-0.15, 0.15), (-1.0, 1.0))
SOLVED = 475.0  # gymnasium's threshold for CartPole-v1
REVERSE, FORWARD, NPG = "DAPO-KL, reverse", "DAPO-KL, forward", "natural policy gradient"


def missing_gymnasium() -> bool:
    """Return whether the optional package is absent."""
    return importlib.util.find_spec("gymnasium") is None


@dataclass
class ReinforceState(State):
    """Parameters with Adam's moments, the generator, and the steps taken."""

    theta: np.ndarray
    first: np.ndarray
    second: np.ndarray
    rng: np.random.Generator
    environment_steps: int


@dataclass(frozen=True, kw_only=True)
class Reinforce(Method):
    """REINFORCE: after each episode one Adam step along ``sum_t grad log pi(a_t | s_t) G_t``, G_t standardised.

    An iteration is `episodes` episodes, one after the other.
    """

    policy: MLP
    learning_rate: float = 0.01
    episodes: int = 25
    max_steps: int = 500

    def init(self, problem: Any, x0: Any, rng: np.random.Generator) -> ReinforceState:
        rng = copy.deepcopy(rng)
        theta = self.policy.initial(rng)
        return ReinforceState(0, theta, np.zeros_like(theta), np.zeros_like(theta), rng, 0)

    def step(self, problem: Any, state: ReinforceState) -> ReinforceState:
        rng = copy.deepcopy(state.rng)
        theta, first, second, taken = state.theta, state.first, state.second, state.environment_steps
        for i in range(1, self.episodes + 1):
            states, actions, rewards = self.episode(problem, self._policy(theta), rng)
            taken += len(rewards)
            weights = problem.discount ** np.arange(len(rewards))
            to_go = np.cumsum((weights * rewards)[::-1])[::-1] / weights
            to_go = (to_go - to_go.mean()) / (to_go.std() + 1e-8)
            cotangent = np.exp(self._policy(theta).log_probabilities(states))
            cotangent[np.arange(len(actions)), actions] -= 1.0
            gradient = self.policy.vjp(theta, states, cotangent * to_go[:, None])
            t = state.k * self.episodes + i
            first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
            scale = np.sqrt(second / (1 - 0.999**t)) + 1e-8
            theta = theta - self.learning_rate * first / (1 - 0.9**t) / scale
        return ReinforceState(state.k + 1, theta, first, second, rng, taken)

    def episode(
        self, problem: Any, policy: FunctionPolicy, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return states, actions and rewards of one episode."""
        states, actions, rewards, current = [], [], [], problem.reset(1, rng)
        for _ in range(self.max_steps):
            action = policy.sample(current, rng)
            following, costs, ended = problem.draw(current, action, rng)
            states.append(current[0])
            actions.append(int(action[0]))
            rewards.append(-float(costs[0]))
            current = following
            if ended[0]:
                break
        return np.array(states), np.array(actions), np.array(rewards)

    def _policy(self, theta: np.ndarray) -> FunctionPolicy:
        from optlab.bregman.mirror_maps import mirror_map

        return FunctionPolicy(self.policy, theta, mirror_map("negative-entropy"))

    def iterate(self, problem: Any, state: ReinforceState) -> FunctionPolicy:
        return self._policy(state.theta)

    def measure(self, problem: Any, state: ReinforceState) -> dict[str, float]:
        return {"environment_steps": float(state.environment_steps)}


# Chosen on other seeds from 0.2, 0.5, 1 and 2 by the return after six iterations (for 0.2 and 0.5 of the reverse order,
# after eight).
STEP_SIZES = {REVERSE: 0.5, FORWARD: 0.5, NPG: 0.2}
REINFORCE, REINFORCE_BOX = "REINFORCE", "REINFORCE, same starts"


def approximate_methods(network: MLP, critic: LSTDQ, sampled: int) -> dict[str, Any]:
    """Return the methods that share the sampling scheme, by name."""
    shared: dict[str, Any] = {"policy": network, "critic": critic, "sampled_states": sampled}
    return {
        REVERSE: DAPO(inner=FisherScoring(max_iter=5, ridge=1e-4), step_size=STEP_SIZES[REVERSE], **shared),
        FORWARD: DAPO(order="forward", inner=Newton(max_iter=10, ridge=1e-4), step_size=STEP_SIZES[FORWARD], **shared),
        NPG: NaturalPolicyGradient(step_size=STEP_SIZES[NPG], **shared),
    }


def learning_curves(scale: str, seed: int) -> tuple[dict[str, list[Any]], Any]:
    """Return the results of every method over the seeds, and the environment they were trained in."""
    seeds, n, sampled, trajectories, length = at_scale(
        scale, (1, 2, 10, 4, 30), (5, 8, 100, 20, 200), (20, 20, 100, 20, 200)
    )
    n_features, hidden, episodes, limit = at_scale(scale, (20, 8, 2, 60), (100, 32, 10, 500))
    updates, per_update = at_scale(scale, (2, 3), (500, 25))
    measured: dict[str, Any] = {"scale": SCALE, "episodes": episodes, "episode_steps": limit}
    box = GymnasiumEnvironment("CartPole-v1", 0.98, start_box=START_BOX, **measured)
    own = GymnasiumEnvironment("CartPole-v1", 0.99, **measured)
    network = MLP(4, 2, hidden=(hidden,))
    results: dict[str, list[Any]] = {}
    for s in range(seed, seed + seeds):
        critic = LSTDQ(RandomFourier(4, 2, n_features, lengthscale=1.5, seed=s), trajectories, length)
        for name, method in approximate_methods(network, critic, sampled).items():
            results.setdefault(name, []).append(run(box, method, n, seed=s))
        reinforce = Reinforce(policy=network, episodes=per_update, max_steps=limit)
        spent = results[REVERSE][-1].history["environment_steps"][-1]
        for name, environment in ((REINFORCE, own), (REINFORCE_BOX, box)):
            result = optlab.solve(
                environment,
                reinforce,
                max_iter=updates,
                record="all",
                seed=s,
                progress=False,
                callbacks=lambda state, history, spent=spent: state.environment_steps >= spent,
            )
            results.setdefault(name, []).append(result)
    return results, box


def on_grid(results: list[Any], steps: np.ndarray) -> np.ndarray:
    """Return mean returns after so many environment steps, of the last record by then; one row per seed."""
    rows = []
    for result in results:
        taken, returns = result.history["environment_steps"], result.history["return"]
        rows.append(returns[np.searchsorted(taken, steps, side="right") - 1])
    return np.array(rows)


def steps_to(results: list[Any], level: float) -> float:
    """Return the median over seeds of the environment steps until a record reaches a mean return; infinity if none."""
    needed = []
    for result in results:
        reached = np.flatnonzero(result.history["return"] >= level)
        needed.append(result.history["environment_steps"][reached[0]] if reached.size else np.inf)
    # no interpolation between a number and infinity
    return float(np.sort(needed)[(len(needed) - 1) // 2])


def carts(policy: Any, environment: Any, n: int, steps: int) -> np.ndarray:
    """Return positions (steps + 1, n) of carts started at rest across the track, by the most probable action.

    A cart whose pole has fallen, or that has left the track, is NaN from there on.
    """
    states = np.zeros((n, 4))
    states[:, 0] = np.linspace(-2.0, 2.0, n) / SCALE[0]
    positions, alive, rng = [states[:, 0] * SCALE[0]], np.ones(n, dtype=bool), np.random.default_rng(0)
    for _ in range(steps):
        states, _, ended = environment.draw(states, policy.greedy(states), rng)
        alive &= ~ended
        positions.append(np.where(alive, states[:, 0] * SCALE[0], np.nan))
    return np.array(positions)


CLAIMS = (
    "DAPO-KL in the reverse order solves the task: median over seeds of the last mean return at least 475.",
    "It ends no lower than the natural policy gradient, which is its first inner step (median return).",
    "It ends no lower than the forward order (median return).",
    "REINFORCE from the same starts is ahead of it in environment steps to a first mean return of 475: "
    "medians of DAPO, of REINFORCE, and of REINFORCE from the same starts.",
    "Its policy keeps the pole of carts started at rest from -2 to 2 for 10 s (out of 9).",
)


@optlab.figure(id="dapo-cartpole", paper=PAPER, title="CartPole from samples: DAPO with a small network")
def figure(scale: str, seed: int) -> optlab.Figure:
    if missing_gymnasium():
        return optlab.Figure.skip("needs gymnasium: pip install 'optlab[rl]'", CLAIMS)
    results, environment = learning_curves(scale, seed)
    most = min(r.history["environment_steps"][-1] for runs in results.values() for r in runs)
    grid = np.linspace(0.0, most, 121)
    curves = {name: on_grid(runs, grid) for name, runs in results.items()}
    final = {name: float(np.median([r.history["return"][-1] for r in runs])) for name, runs in results.items()}
    needed = {name: steps_to(runs, SOLVED) for name, runs in results.items()}
    order = np.argsort([r.history["return"][-1] for r in results[REVERSE]])
    policy = results[REVERSE][order[(len(order) - 1) // 2]].solution  # of the median seed
    positions = carts(policy, environment, 9, at_scale(scale, 20, 500))
    angle, speed = np.meshgrid(np.linspace(-0.2, 0.2, 81), np.linspace(-2.0, 2.0, 81), indexing="ij")
    rows = np.stack([0 * angle.ravel(), 0 * angle.ravel(), angle.ravel(), speed.ravel()], axis=1) / SCALE
    right = policy.probabilities(rows)[:, 1].reshape(angle.shape)

    def draw(panels):
        curve_ax, push_ax, cart_ax = panels
        looks = {name: look(name) for name in (REVERSE, FORWARD, NPG)}
        looks |= {REINFORCE: look("AMPO, normalised"), REINFORCE_BOX: look("tabular")}
        for name, samples in curves.items():
            if name in (REVERSE, REINFORCE):  # more bands would hide one another
                seed_band(curve_ax, grid / 1000.0, samples, label=name, **looks[name])
            else:
                curve_ax.plot(grid / 1000.0, np.median(samples, axis=0), label=name, **looks[name])
        curve_ax.axhline(SOLVED, color="#555b66", linewidth=1.0, linestyle=(0, (4, 2)), zorder=1)
        curve_ax.set(xlabel="environment steps, thousands", ylabel="mean return", title="Return of the policy")
        curve_ax.set(xlim=(0, grid[-1] / 1000.0), ylim=(0, 510))
        curve_ax.legend(loc="upper left", bbox_to_anchor=(-0.05, -0.2), ncols=2, fontsize=7.5)
        picture = push_ax.pcolormesh(
            angle[:, 0], speed[0], right.T, shading="nearest", vmin=0.0, vmax=1.0, rasterized=True
        )
        push_ax.contour(angle[:, 0], speed[0], right.T, levels=[0.5], colors="white", linewidths=1.2)
        push_ax.grid(False)
        push_ax.figure.colorbar(picture, ax=push_ax, label="probability of a push to the right").outline.set_visible(
            False
        )
        push_ax.set(xlabel="angle in rad", ylabel="angular speed", title="DAPO's policy, cart at rest at 0")
        for i, track in enumerate(positions.T):
            shade = "#1f3b73" if i % 2 == 0 else "#d6604d"
            cart_ax.plot(0.02 * np.arange(len(track)), track, color=shade, linewidth=1.1)
            if np.isnan(track).any():
                last = np.flatnonzero(np.isfinite(track))[-1]
                cart_ax.plot([0.02 * last], [track[last]], "x", color=shade, markersize=6, markeredgewidth=1.6)
        for edge in (-2.4, 2.4):
            cart_ax.axhline(edge, color="#555b66", linewidth=1.0, linestyle=(0, (4, 2)), zorder=1)
        cart_ax.set(xlabel="time in s", ylabel="position", ylim=(-2.6, 2.6), xlim=(0, 0.02 * (len(positions) - 1)))
        cart_ax.set_title("Carts from across the track (×: lost)")

    enough = scale != "smoke"
    stay = int(np.isfinite(positions[-1]).sum())
    verdicts = [
        (final[REVERSE] >= SOLVED, final[REVERSE]),
        (final[REVERSE] >= final[NPG], final[NPG]),
        (final[REVERSE] >= final[FORWARD], final[FORWARD]),
        (
            needed[REINFORCE_BOX] < needed[REVERSE],
            [n if np.isfinite(n) else "not reached" for n in map(needed.get, (REVERSE, REINFORCE, REINFORCE_BOX))],
        ),
        (stay == 9, stay),
    ]
    claims = [(said, holds if enough else None, number) for said, (holds, number) in zip(CLAIMS, verdicts, strict=True)]
    numbers = [
        (
            "Median of the last mean return of REINFORCE, and from the same starts.",
            [final[REINFORCE], final[REINFORCE_BOX]],
        ),
        ("Environment steps of the shortest run: the budget on which all are compared.", float(most)),
    ]
    caption = (
        f"CartPole-v1, a network of 4-32-2 units; medians of {len(results[REVERSE])} seeds, with the 10th to 90th "
        "percentile for two of the methods; each return is a mean over 10 episodes of the sampled policy from the "
        "task's own starts. DAPO and NPG train on 100 states by geometric stopping and LSTD-Q on 20 x 200 transitions "
        "per iteration (discount 0.98), from starts spread over the track; step sizes chosen on other seeds from 0.2, "
        "0.5, 1, 2. Start law, discount, features of the critic and number of states come from about 17 trial runs, "
        "some of them on seed 0. REINFORCE: discount 0.99 and the task's own starts, or discount 0.98 and the same "
        "starts as DAPO; learning rate 0.01, not tuned."
    )
    table = {
        "method": np.repeat(list(curves), [c.size for c in curves.values()]),
        "seed": np.concatenate([np.repeat(np.arange(len(c)), len(grid)) for c in curves.values()]),
        "environment_steps": np.concatenate([np.tile(grid, len(c)) for c in curves.values()]),
        "return": np.concatenate([c.ravel() for c in curves.values()]),
    }
    data = {"returns": table, "positions": positions, "push_right": right}
    return optlab.Figure(data, draw, claims, caption, panels=(1, 3), figsize=(13.2, 4.3), numbers=numbers)
