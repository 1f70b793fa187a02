"""Optimistic online mirror descent: regret on every path, and where the plain step only moves away."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np

import optlab
from optlab.datasets import rock_paper_scissors
from optlab.games import Extragradient, GradientDescentAscent, MatrixGame, OnlineStream, OptimisticMirrorDescent
from optlab.reproduce import Evidence, at_scale, theorem
from optlab.theorems.games.preferences import DERIVED, PAPER


def _regret(scale: str, seed: int, strong: float, factor: float) -> Evidence:
    observed: list[float] = []
    bound: list[float] = []
    T = at_scale(scale, 150, 1000)
    for s in range(at_scale(scale, 4, 30)):
        rng = np.random.default_rng([seed, s])
        turn = rng.uniform(0.0, 1.0) * np.arange(T)
        g = 2.0 * np.stack([np.cos(turn), np.sin(turn)], axis=1) + rng.uniform(0, 2) * rng.normal(size=(T, 2))
        stream = OnlineStream(g, radius=1.5, strong_convexity=strong)
        history = optlab.solve(
            stream, OptimisticMirrorDescent(), tol=None, max_iter=T, record=1, progress=False
        ).history
        Q = np.asarray(history["surprise"])
        if strong:
            limits = np.cumsum(np.diff(Q) / (strong * np.arange(1, T + 1)))
        else:
            delta = 4.0 * float(np.max(np.sum(g**2, axis=1)))
            limits = 3.0 * (np.sqrt(delta + Q[:-1]) / 2.0 + np.sqrt(Q[1:]))
        observed += np.asarray(history["regret"])[1:].tolist()
        bound += (factor * limits).tolist()
    return Evidence(np.arange(len(observed)), observed, bound, slack=1e-9, xlabel="round of all runs", ylabel="regret")


@theorem(
    id="online-optimistic-regret",
    paper=PAPER,
    title="Optimistic mirror descent: regret by the surprises, on every path",
    statement="""With eta_t = D / sqrt(delta + Q_{t-1}), Q_t = sum_{s<=t} |g_s - g_{s-1}|^2 and delta at least the
    largest of them, the regret after t rounds is at most D (sqrt(delta + Q_{t-1})/2 + sqrt(Q_t)), D the diameter.""",
    assumptions=("convex losses", "delta >= max |g_s - g_{s-1}|^2"),
    source=f"Chen, Zhang, Tu, Zhao, Zhang 2023; constants {DERIVED}",
)
def regret(scale: str, seed: int) -> Evidence:
    return _regret(scale, seed, 0.0, 1.0)


@regret.control("a fiftieth of the bound")
def _(scale: str, seed: int) -> Evidence:
    return _regret("smoke", seed, 0.0, 0.02)


@theorem(
    id="online-strongly-convex-regret",
    paper=PAPER,
    title="Optimistic mirror descent on strongly convex losses",
    statement="With eta_t = 2/(lambda t) the regret is at most sum_s |g_s - g_{s-1}|^2 / (lambda s): no diameter.",
    assumptions=("lambda-strongly convex losses",),
    source=f"Chen, Zhang, Tu, Zhao, Zhang 2023; constants {DERIVED}",
)
def strongly_convex(scale: str, seed: int) -> Evidence:
    return _regret(scale, seed, 0.5, 1.0)


@strongly_convex.control("a fiftieth of the bound")
def _(scale: str, seed: int) -> Evidence:
    return _regret("smoke", seed, 0.5, 0.02)


def _cycling(scale: str, seed: int, method: Any) -> Evidence:
    game = MatrixGame(rock_paper_scissors(), geometry="entropy")
    x0 = np.concatenate([np.random.default_rng([seed, i]).dirichlet(np.full(3, 3.0)) for i in (0, 1)])
    states = islice(optlab.iterate(game, method, x0=x0), at_scale(scale, 400, 2000))
    divergence = [-float(np.mean(s.z)) for s in states]  # KL of the uniform strategies, up to a constant
    fall = -np.diff(divergence)
    return Evidence(np.arange(len(fall)), fall, 0.0, slack=1e-14, ylabel="fall of the divergence in a step")


@theorem(
    id="multiplicative-weights-cycle",
    paper=PAPER,
    title="Multiplicative weights by both players move away from the equilibrium",
    statement="""On rock, paper, scissors from any interior start the divergence KL(x*, x_t) + KL(y*, y_t) of
    simultaneous multiplicative weights rises in every step.""",
    assumptions=("zero-sum game with an interior equilibrium", "a constant step size"),
    source="Bailey, Piliouras 2018",
)
def cycling(scale: str, seed: int) -> Evidence:
    return _cycling(scale, seed, GradientDescentAscent(0.1))


@cycling.control("mirror prox")
def _(scale: str, seed: int) -> Evidence:
    return _cycling("smoke", seed, Extragradient(0.1))
