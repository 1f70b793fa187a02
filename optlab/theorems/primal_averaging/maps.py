"""Primal averaging: the maps between it and the momentum methods, iterate by iterate.

Each check runs the library's wrapper and writes the old acquaintance out in NumPy, or runs the library's own. The
controls are the cases in which the methods are said to differ: a schedule outside the momentum buffer, a weight decay.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.reproduce import Evidence, at_scale, theorem
from optlab.stochastic import SGD, Adam, AdamW, Decaying
from optlab.theorems.primal_averaging._instances import DERIVED, PAPER, classification, path, regression
from optlab.wrappers import DiLoCo, PrimalAveraging

SLACK = 1e-12
MU = 0.9


def _evidence(worst: Any, slack: float = SLACK) -> Evidence:
    deviations = np.asarray(worst)
    return Evidence(
        np.arange(1, deviations.size + 1), deviations, kind="equivalence", slack=slack, ylabel="largest difference"
    )


def _difference(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(ours - theirs).max(axis=1))


def _problems(scale: str, seed: int) -> list[Any]:
    return [make for s in range(at_scale(scale, 2, 10)) for make in (regression(seed + s)[0], classification(seed + s))]


def _steps(scale: str) -> int:
    return at_scale(scale, 60, 300)


def _full(step_size: Any, problem: Any) -> SGD:
    return SGD(step_size, batch_size=problem.n_samples)


def _worst(scale: str, seed: int, deviation: Any) -> Evidence:
    """Compare on every problem; one number per iteration, the worst of the problems."""
    return _evidence(np.max([deviation(problem, _steps(scale)) for problem in _problems(scale, seed)], axis=0))


# ------------------------------------------------------------------------------------------------ Nesterov


def _modern(problem: Any, n: int, schedule: Any, inside: bool) -> np.ndarray:
    """Run the deep-learning form, the step size inside the buffer or outside, beside the points y."""
    x0 = np.ones(problem.size)
    ours = path(problem, PrimalAveraging(_full(lambda k: schedule(k) / (1 - MU), problem), MU, MU), x0, n)
    theta, buffer, points = x0, np.zeros(problem.size), []
    for k in range(n):
        points.append(theta)
        g = problem.objective_and_gradient(theta)[1]
        if inside:
            buffer = MU * buffer - schedule(k) * g
            theta = theta + MU * buffer - schedule(k) * g
        else:
            buffer = MU * buffer + g
            theta = theta - schedule(k) * (g + MU * buffer)
    return _difference(ours.y, np.array(points))


@theorem(
    id="gpa-nesterov-modern",
    paper=PAPER,
    title="Equal constants are Nesterov's momentum of the deep-learning libraries, at the gradient points",
    statement="""With mu_x = mu_y = mu and step gamma_t/(1 - mu), the points y_t are the parameters of
    v+ = mu v - gamma_t g, theta+ = theta + mu v+ - gamma_t g, for any schedule of steps.""",
    assumptions=(
        "base SGD, x_1 = z_1",
        "buffer zero at the start",
    ),
    source="Defazio et al. 2025 for constant steps; schedules derived here",
)
def nesterov_modern(scale: str, seed: int) -> Evidence:
    return _worst(scale, seed, lambda problem, n: _modern(problem, n, Decaying(0.05), True))


@nesterov_modern.control("the step size outside the buffer, under a schedule")
def _(scale: str, seed: int) -> Evidence:
    return _worst("smoke", seed, lambda problem, n: _modern(problem, n, Decaying(0.05), False))


def _classical(problem: Any, n: int, interpolation: float) -> np.ndarray:
    schedule, x0 = Decaying(0.05), np.ones(problem.size)
    ours = path(problem, PrimalAveraging(_full(lambda k: schedule(k) / (1 - MU), problem), interpolation, MU), x0, n)
    x, y, xs, ys = x0, x0, [], []
    for k in range(n):
        xs.append(x)
        ys.append(y)
        new = y - schedule(k) * problem.objective_and_gradient(y)[1]
        x, y = new, new + MU * (new - x)
    return np.maximum(_difference(ours.x, np.array(xs)), _difference(ours.y, np.array(ys)))


@theorem(
    id="gpa-nesterov-classical",
    paper=PAPER,
    title="Equal constants are Nesterov's method, both of its sequences, under any schedule",
    statement="""x+ = y - gamma_t grad f(y), y+ = x+ + mu (x+ - x) has the x and the y of primal averaging with
    mu_x = mu_y = mu and step gamma_t/(1 - mu).""",
    assumptions=("base SGD, x_1 = z_1",),
    source="Defazio et al. 2025 for constant steps; schedules derived here",
)
def nesterov_classical(scale: str, seed: int) -> Evidence:
    return _worst(scale, seed, lambda problem, n: _classical(problem, n, MU))


@nesterov_classical.control("mu_y = 0.8 beside mu_x = 0.9")
def _(scale: str, seed: int) -> Evidence:
    return _worst("smoke", seed, lambda problem, n: _classical(problem, n, 0.8))


def _heavy_ball(problem: Any, n: int, interpolation: float) -> np.ndarray:
    x0 = np.ones(problem.size)
    ours = path(problem, PrimalAveraging(_full(0.05 / (1 - MU), problem), interpolation, MU), x0, n)
    method = SGD(0.05, batch_size=problem.n_samples, momentum=MU, damped=False)
    state, points = method.init(problem, x0, np.random.default_rng(0)), []
    for _ in range(n):
        points.append(state.x)
        state = method.step(problem, state)
    return _difference(ours.x, np.array(points))


@theorem(
    id="gpa-heavy-ball",
    paper=PAPER,
    title="The gradient at the average itself is the heavy ball",
    statement="""With mu_x = mu, mu_y = 1 and step gamma/(1 - mu), x = y are the iterates of Polyak's heavy ball with
    momentum mu and step gamma: the library's own SGD(momentum).""",
    assumptions=(
        "base SGD with a constant step",
        "buffer zero at the start",
    ),
    source="Defazio et al. 2025",
)
def heavy_ball(scale: str, seed: int) -> Evidence:
    return _worst(scale, seed, lambda problem, n: _heavy_ball(problem, n, 1.0))


@heavy_ball.control("mu_y = 0.9")
def _(scale: str, seed: int) -> Evidence:
    return _worst("smoke", seed, lambda problem, n: _heavy_ball(problem, n, 0.9))


def _textbook(problem: Any, n: int, late: int) -> np.ndarray:
    """Run ``y = x + beta (x - x_previous)``, ``x+ = y - c gamma' g``, beside time-varying coupling."""
    x0, step = np.ones(problem.size), 0.01

    def c(k: int) -> float:
        return 2.0 / (k + 2.0)

    wrapper = PrimalAveraging(_full(lambda k: step * (k + 1.0), problem), lambda k: 1 - c(k), lambda k: 1 - c(k))
    ours = path(problem, wrapper, x0, n)
    x, previous, ys = x0, x0, []
    for k in range(n):
        beta = c(k) * (1 - c(k - 1)) / c(k - 1) if k > late else 0.0
        y = x + beta * (x - previous)
        ys.append(y)
        x, previous = y - c(k) * step * (k + 1.0) * problem.objective_and_gradient(y)[1], x
    return _difference(ours.y, np.array(ys))


@theorem(
    id="gpa-textbook-momentum",
    paper=PAPER,
    title="Time-varying coupling is the textbook's growing momentum",
    statement="""With 1 - mu_x = 1 - mu_y = c_t = 2/(t+1) and any z step gamma', the iterates are those of
    y_t = x_t + beta_t (x_t - x_{t-1}), x+ = y_t - c_t gamma'_t g, beta_t = c_t (1 - c_{t-1})/c_{t-1}.""",
    assumptions=(
        "base SGD, x_1 = z_1",
        "c_1 = 1",
    ),
    source=DERIVED,
)
def textbook_momentum(scale: str, seed: int) -> Evidence:
    return _worst(scale, seed, lambda problem, n: _textbook(problem, n, 0))


@textbook_momentum.control("momentum from the sixth step on only")
def _(scale: str, seed: int) -> Evidence:
    return _worst("smoke", seed, lambda problem, n: _textbook(problem, n, 5))


# ------------------------------------------------------------------------------------------------ DiLoCo, weight decay


def _one_inner_step(problem: Any, n: int, make: Any) -> np.ndarray:
    eta, x0 = 0.7, np.ones(problem.size)
    outer, ours = DiLoCo(make(0.01, problem), 1, eta, MU), PrimalAveraging(make(0.01 * eta / (1 - MU), problem), MU, MU)
    points = path(problem, ours, x0, n).y
    state, slow = outer.init(problem, x0, np.random.default_rng(0)), []
    for _ in range(n):
        slow.append(state.slow)
        state = outer.step(problem, state)
    return _difference(points, np.array(slow))


@theorem(
    id="gpa-diloco-one-step",
    paper=PAPER,
    title="DiLoCo with one inner step is primal averaging with equal constants",
    statement="""With H = 1, outer momentum mu and outer step eta, around Adam (any base whose displacement depends on
    gradients only), the slow weights are the points y of GPA(mu, mu) with step gamma eta/(1 - mu).""",
    assumptions=(
        "a base whose displacement depends on gradients only",
        "constant step",
    ),
    source=DERIVED,
)
def diloco_one_step(scale: str, seed: int) -> Evidence:
    return _worst(
        scale, seed, lambda problem, n: _one_inner_step(problem, n, lambda g, p: Adam(g, batch_size=p.n_samples))
    )


@diloco_one_step.control("a decoupled weight decay inside, which the two take at different points")
def _(scale: str, seed: int) -> Evidence:
    def make(step: float, problem: Any) -> AdamW:
        return AdamW(step, weight_decay=0.1, batch_size=problem.n_samples)

    return _worst("smoke", seed, lambda problem, n: _one_inner_step(problem, n, make))


def _two_buffers(problem: Any, n: int, in_place: bool) -> np.ndarray:
    """Run AdamW with two buffers y, z, the decay inside the displacement or in the official order, beside y."""
    mu_y, mu_x, gamma, decay = 0.7, 0.95, 0.02, 0.1
    base = AdamW(gamma, weight_decay=decay, batch_size=problem.n_samples)
    x0 = np.ones(problem.size)
    ours = path(problem, PrimalAveraging(base, mu_y, mu_x), x0, n)
    y, z, m, v, ys = x0, x0, np.zeros(problem.size), np.zeros(problem.size), []
    for k in range(1, n + 1):
        ys.append(y)
        g = problem.objective_and_gradient(y)[1]
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        d = -gamma * (m / (1 - 0.9**k)) / (np.sqrt(v / (1 - 0.999**k)) + 1e-8)
        if in_place:
            z = z * (1 - gamma * decay)
        else:
            d = d - gamma * decay * z
        y = mu_x * y + (1 - mu_x) * z + (1 - mu_x * mu_y) * d
        z = z + d
    return _difference(ours.y, np.array(ys))


@theorem(
    id="gpa-two-buffers",
    paper=PAPER,
    title="Two buffers suffice, with the weight decay inside the displacement",
    statement="""y <- mu_x y + (1 - mu_x) z + (1 - mu_x mu_y) d, z <- z + d has the points y of the three-sequence
    recursion around AdamW if its weight decay is a part of d.""",
    assumptions=("x_1 = y_1 = z_1",),
    source=DERIVED,
)
def two_buffers(scale: str, seed: int) -> Evidence:
    return _worst(scale, seed, lambda problem, n: _two_buffers(problem, n, False))


@two_buffers.control("the official optimizer's order: z shrunk before it is averaged")
def _(scale: str, seed: int) -> Evidence:
    return _worst("smoke", seed, lambda problem, n: _two_buffers(problem, n, True))
