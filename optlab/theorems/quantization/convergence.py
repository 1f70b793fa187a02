"""AProx: what it computes, how fast, and which weights it puts on the grid. `G` and `R` as in Theorem 3.2."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import optlab
from optlab.bregman.functions import LeastSquares
from optlab.composite import CompositeProblem
from optlab.firstorder import FISTA
from optlab.quantization import PARQ, AggregateProx, Annealing, PiecewiseAffine, ProximalSteps, StraightThrough
from optlab.reproduce import Evidence, at_scale, theorem
from optlab.stochastic import SGD, Decaying
from optlab.theorems.quantization._instances import (
    DERIVED,
    PAPER,
    PARQ_PAPER,
    classification,
    random_regularizer,
    states,
)


@dataclass(frozen=True)
class _Recording:
    """A regulariser that remembers the steps of a run: the latent weights and the sums of step sizes it was given."""

    inside: PiecewiseAffine
    seen: list

    def proximal(self, u: Any, scale: float) -> Any:
        self.seen.append((np.array(u), scale))
        return self.inside.proximal(u, scale)

    def value(self, w: Any) -> float:
        return self.inside.value(w)

    def on_grid(self, w: Any) -> Any:
        return self.inside.on_grid(w)


def _dual_averaging(scale: str, seed: int, make: Callable[..., Any]) -> Evidence:
    c, n = classification(), at_scale(scale, 60, 400)
    worst = []
    for s in range(at_scale(scale, 2, 10)):
        record = _Recording(c.regularizer, [])
        method = make(SGD(Decaying(5.0), batch_size=len(c.problem.A)), record)
        w0 = np.random.default_rng([seed, s]).uniform(-1, 1, c.problem.size)
        sums, total = np.zeros(w0.size), 0.0
        w = w0
        for k, state in enumerate(states(c.problem, method, n, s, w0)):
            if k:
                eta = 5.0 / np.sqrt(k)
                sums += eta * c.problem.objective_and_gradient(w)[1]
                total += eta
                w = np.array(method.method.variable(state.inner))
                # optimality of w in <sums, w> + total psi(w) + ||w - w0||^2 / 2
                residual = (1.0 / total) * PiecewiseAffine.stationarity(c.regularizer, w, (sums + w - w0) / total)
                worst.append(residual)
    return Evidence(np.arange(len(worst)), worst, kind="equivalence", slack=1e-10, ylabel="residual of optimality")


@theorem(
    id="aprox-dual-averaging",
    paper=PAPER,
    title="AProx is weighted dual averaging",
    statement="""w_{t+1} minimises sum_{s<=t} eta_s (<g_s, w> + psi(w)) + ||w - w_0||^2 / 2 with the gradients g_s
    taken at w_s.""",
    assumptions=("w_0 in the range of the grid",),
    source=f"{PARQ_PAPER}, section 3",
)
def dual_averaging(scale: str, seed: int) -> Evidence:
    return _dual_averaging(scale, seed, AggregateProx)


@dual_averaging.control("proximal SGD")
def _(scale: str, seed: int) -> Evidence:
    return _dual_averaging("smoke", seed, ProximalSteps)


def _bound(G: float, R: float, T: Any) -> Any:
    return G * R * (2.0 + 1.5 * np.log(T)) / np.sqrt(T)


def _gaps(scale: str, seed: int, underestimated: float) -> Evidence:
    """Gaps of mean and last iterate over seeds, at a few T; the assumed G is a part of the true one in the control."""
    c = classification()
    G, R = underestimated * c.lipschitz, c.radius
    places = at_scale(scale, (1, 10, 100, 600), (1, 10, 100, 1000, 10_000))
    samples: list[list[float]] = [[] for _ in range(2 * len(places))]
    for s in range(at_scale(scale, 4, 12)):
        method = AggregateProx(SGD(Decaying(R / (2 * G))), c.regularizer)
        mean, weight = np.zeros(c.problem.size), 0.0
        for k, state in enumerate(states(c.problem, method, places[-1], 1000 * seed + s)):
            w = np.array(method.method.variable(state.inner))
            eta = R / (2 * G * np.sqrt(k + 1.0))
            mean, weight = mean + eta * w, weight + eta
            if k + 1 in places:
                i = places.index(k + 1)
                samples[2 * i].append(c.gap(w))
                samples[2 * i + 1].append(c.gap(mean / weight))
    T = np.repeat(places, 2)
    return Evidence.expectation(T, np.array(samples).T, _bound(G, R, T), xlabel="T", ylabel="F - F*, last and mean")


@theorem(
    id="aprox-last-iterate",
    paper=PAPER,
    title="AProx: mean and last iterate converge alike",
    statement="""With eta_t = R / (2 G sqrt(t)), E F(w) - F* <= G R (2 + 1.5 ln T) / sqrt(T) for the weighted mean and
    for the last iterate.""",
    assumptions=(
        "f convex, losses G_f-Lipschitz",
        "slopes of psi at most G_psi",
        "G = G_f + G_psi",
        "R = ||w_0 - w*||",
    ),
    source=f"{PARQ_PAPER}, Theorem 3.2",
)
def last_iterate(scale: str, seed: int) -> Evidence:
    return _gaps(scale, seed, 1.0)


@last_iterate.control("G a five-hundredth of what it is")
def _(scale: str, seed: int) -> Evidence:
    return _gaps("smoke", seed, 0.002)


def _regret(scale: str, seed: int, underestimated: float) -> Evidence:
    c, n = classification(), at_scale(scale, 300, 5000)
    G, R = c.lipschitz, c.radius
    ks, observed, bounds = [], [], []
    for s in range(at_scale(scale, 2, 5)):
        for factor in (0.1, 1.0, 10.0):
            start = factor * R / (2 * G)
            method = AggregateProx(SGD(Decaying(start)), c.regularizer)
            order = np.random.default_rng(1000 * seed + s).integers(0, len(c.problem.A), size=n)
            regret, squares, psi_star = 0.0, 0.0, c.regularizer.value(c.solution)
            for k, state in enumerate(states(c.problem, method, n - 1, 1000 * seed + s)):
                w, row = np.array(method.method.variable(state.inner)), order[k : k + 1]
                eta = start / np.sqrt(k + 1.0)
                losses = [float(c.problem.losses(x, row)[0]) for x in (w, c.solution)]
                regret += eta * (losses[0] - losses[1] + c.regularizer.value(w) - psi_star)
                squares += eta**2
                if k + 1 in (1, 10, n):
                    ks.append(k + 1)
                    observed.append(regret)
                    bounds.append(underestimated * (G**2 * squares + 0.5 * R**2))
    return Evidence(ks, observed, bounds, slack=1e-12, xlabel="steps", ylabel="weighted regret")


@theorem(
    id="aprox-regret",
    paper=PAPER,
    title="AProx: the regret of every path",
    statement="""sum_s eta_s (f_s(w_s) + psi(w_s) - f_s(w*) - psi(w*)) <= G^2 sum eta_s^2 + ||w_0 - w*||^2 / 2, for
    every sequence of samples and every step scale.""",
    assumptions=("f_s convex", "G = G_f + G_psi"),
    source=f"{PARQ_PAPER}, section 3; eta^2 where the statement there prints 2 eta^2",
)
def regret(scale: str, seed: int) -> Evidence:
    return _regret(scale, seed, 1.0)


@regret.control("a fiftieth of the bound")
def _(scale: str, seed: int) -> Evidence:
    return _regret("smoke", seed, 0.02)


def _count(scale: str, seed: int, first: float) -> Evidence:
    """How many weights the optimum leaves off the corners, for n samples and d > n weights."""
    observed, bounds = [], []
    for s in range(at_scale(scale, 4, 20)):
        for n, d in at_scale(scale, ((10, 50),), ((20, 100), (50, 100), (20, 400))):
            rng = np.random.default_rng([seed, s, n, d])
            psi = random_regularizer(rng, 0.02)
            if first == 0.0:
                psi = PiecewiseAffine(psi.points, (0.0, *psi.slopes[1:]))
            problem = CompositeProblem(LeastSquares(rng.normal(size=(n, d)), rng.normal(size=n)), psi)
            method = FISTA(restart="gradient")
            w = np.asarray(optlab.solve(problem, method, tol=1e-12, max_iter=20_000, progress=False).solution)
            distance = np.abs(w[:, None] - psi.grid[psi.on_grid(psi.grid)]).min(axis=1)
            observed.append(float(np.sum(distance > 1e-7)))
            bounds.append(float(n))
    return Evidence(np.arange(len(observed)), observed, bounds, xlabel="instance", ylabel="weights off the grid")


@theorem(
    id="par-quantized-weights",
    paper=PAPER,
    title="At most as many weights as samples stay off the grid",
    statement="""For f(w) = l(Xw) with a random X of n rows and psi with a corner at 0, every stationary point of f +
    psi has at most n weights off the corners, almost surely.""",
    assumptions=("rows of X with a density", "first slope above 0"),
    source=DERIVED,
)
def quantized_weights(scale: str, seed: int) -> Evidence:
    return _count(scale, seed, 0.05)


@quantized_weights.control("no corner at 0: interpolating solutions on the flat piece")
def _(scale: str, seed: int) -> Evidence:
    return _count("smoke", seed, 0.0)


def _pattern(scale: str, seed: int, batch: int | None) -> Evidence:
    c = classification()
    n = at_scale(scale, 1500, 5000)
    size = len(c.problem.A) if batch is None else batch
    method = AggregateProx(SGD(Decaying(100.0), batch_size=size), c.regularizer)
    *_, last = states(c.problem, method, n, seed)
    w = np.array(method.method.variable(last.inner))
    slope = -c.problem.objective_and_gradient(c.solution)[1]
    best = c.regularizer.proximal(c.solution, 0.0)
    corners = c.regularizer.grid
    quantized = np.abs(best[:, None] - corners).min(axis=1) < 1e-7
    missed = float(np.sum(np.abs(w - best)[quantized] > 1e-7))
    drift = float(np.max(np.abs(last.latent / last.total - slope))) / c.regularizer.weight
    return Evidence([0, 1], [missed, drift], [0.5, 0.1], xlabel="0: weights missed; 1: dual difference / lambda")


@theorem(
    id="aprox-pattern",
    paper=PAPER,
    title="With full gradients AProx finds the pattern of the optimum",
    statement="""u_t / gamma_t -> -grad f(w*), and after finitely many iterations every weight that the optimum has on
    a corner is there.""",
    assumptions=("full gradients", "strict complementarity"),
    source=DERIVED,
)
def pattern(scale: str, seed: int) -> Evidence:
    return _pattern(scale, seed, None)


@pattern.control("one sample a step")
def _(scale: str, seed: int) -> Evidence:
    return _pattern("smoke", seed, 1)


def _hard(scale: str, seed: int, end: int) -> Evidence:
    c, n = classification(), at_scale(scale, 100, 1000)
    worst = []
    for momentum in (0.0, 0.9):
        base = SGD(1.0, momentum=momentum)
        pair = [PARQ(base, annealing=Annealing(end)), StraightThrough(base)]
        runs = [states(c.problem, method, n, seed, np.linspace(-1, 1, c.problem.size)) for method in pair]
        worst += [float(np.max(np.abs(a.latent - b.latent))) for a, b in zip(*runs)]
    return Evidence(np.arange(len(worst)), worst, kind="equivalence", slack=0.0, ylabel="difference of latent weights")


@theorem(
    id="parq-hard-limit",
    paper=PAPER,
    title="PARQ with s = 0 is straight-through estimation",
    statement="With the inverse slope at 0 all latent weights are those of BinaryConnect, bit for bit.",
    assumptions=("the same base method, grids and samples",),
    source=f"{PARQ_PAPER}, section 4",
)
def hard(scale: str, seed: int) -> Evidence:
    return _hard(scale, seed, 0)


@hard.control("annealing over a hundred iterations")
def _(scale: str, seed: int) -> Evidence:
    return _hard("smoke", seed, 100)


def _on_grid(scale: str, seed: int, method: type, least: float) -> Evidence:
    c, n = classification(), at_scale(scale, 3000, 30_000)
    made = method(SGD(Decaying(10 * c.radius / (2 * c.lipschitz))), c.regularizer)
    shares = []
    for s in range(at_scale(scale, 2, 5)):
        options = {"max_iter": n, "record": n, "progress": False}
        shares.append(float(optlab.solve(c.problem, made, seed=1000 * seed + s, **options).history["on_grid"][-1]))
    return Evidence(np.arange(len(shares)), 1.0 - np.array(shares), 1.0 - least, ylabel="share of weights off the grid")


@theorem(
    id="aprox-last-iterate-quantized",
    paper=PAPER,
    title="The last iterate of AProx is quantized, that of proximal SGD is not",
    statement="""With ten times the step of the theorem, eight weights in ten of the last AProx iterate are on corners
    exactly; proximal SGD with the same steps leaves most off.""",
    assumptions=("stochastic gradients, one sample a step",),
    source="measured here",
    proved=False,
)
def last_quantized(scale: str, seed: int) -> Evidence:
    return _on_grid(scale, seed, AggregateProx, 0.8)


@last_quantized.control("proximal SGD")
def _(scale: str, seed: int) -> Evidence:
    return _on_grid("smoke", seed, ProximalSteps, 0.8)
