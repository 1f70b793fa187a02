"""Regularised preference games: how fast mirror prox comes near the equilibrium, and what certifies it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

import optlab
from optlab.games import EGPO, NashMirrorDescent, NashMirrorProx, PreferenceGame
from optlab.reproduce import Evidence, at_scale, theorem

PAPER = "games"
DERIVED = "derived here, verified numerically"


def random_games(scale: str, seed: int) -> Iterator[PreferenceGame]:
    """Yield games of all kinds: random, hard tournaments, cyclic, transitive; weak and strong regularisation."""
    for s in range(at_scale(scale, 2, 15)):
        rng = np.random.default_rng([seed, s])
        for beta in (0.05, 0.3, 1.0):
            n = int(rng.integers(3, 12))
            upper = np.triu(rng.random((n, n)) if s % 2 else (rng.random((n, n)) < 0.5).astype(float), 1)
            P = upper + np.tril(1.0 - upper.T, -1)
            np.fill_diagonal(P, 0.5)
            yield PreferenceGame(P, rng.dirichlet(np.ones(n)), beta)
    yield PreferenceGame([[0.5, 1.0, 0.0], [0.0, 0.5, 1.0], [1.0, 0.0, 0.5]], [0.6, 0.3, 0.1], 0.01)


def equilibrium(game: PreferenceGame) -> np.ndarray:
    """Return the log-policy of the equilibrium to rounding: a divergence of 1e-12, certified, then 1e-19 of that.

    A certificate alone ends at 1e-15, its own rounding: log-policies would be off by 1e-8, which shows beside
    divergences as small.
    """
    method = NashMirrorProx()
    result = optlab.solve(game, method, tol=1e-12, max_iter=20_000, progress=False)
    steps = int(44.0 / np.log1p(method.implicit_step(game) * game.beta)) + 2
    polished = optlab.solve(game, method, x0=result.solution, max_iter=steps, record=steps, progress=False)
    return np.log(np.asarray(polished.solution))


def divergences(game: PreferenceGame, method: Any, star: np.ndarray, n: int, x0: Any) -> np.ndarray:
    """Return ``KL(pi* | pi_k)`` for k = 0, ..., n."""
    states = islice(optlab.iterate(game, method, x0=x0), n + 1)
    return np.array([float(np.exp(star) @ (star - s.log_policy)) for s in states])


def _contraction(scale: str, seed: int, factor: float) -> Evidence:
    observed, bound = [], []
    for i, game in enumerate(random_games(scale, seed)):
        star = equilibrium(game)
        h = factor * NashMirrorProx().implicit_step(game)
        x0 = np.random.default_rng([seed, i]).dirichlet(np.full(game.size, 0.5)) + 1e-6
        kl = divergences(game, NashMirrorProx(h), star, at_scale(scale, 25, 60), x0)
        kept = kl[:-1] > 1e-9  # below that rounding of the equilibrium shows
        observed += (kl[1:][kept] * (1.0 + h * game.beta)).tolist()
        bound += kl[:-1][kept].tolist()
    order = np.argsort(np.array(bound) / np.maximum(observed, 1e-300))[:200]
    ratio = np.array(observed)[order] / np.array(bound)[order]
    return Evidence(np.arange(len(ratio)), ratio, 1.0, rtol=1e-6, ylabel="(1 + h beta) KL after / KL before")


@theorem(
    id="nash-mirror-prox",
    paper=PAPER,
    title="Nash mirror prox: the divergence to the equilibrium falls in every step",
    statement="""(1 + h beta) KL(pi* | pi_{k+1}) <= KL(pi* | pi_k) for h <= 2 (beta + sqrt(1 + beta^2)), whatever the
    number of answers.""",
    assumptions=("P + P^T = 1", "beta > 0", "exact preferences"),
    source=f"Tiapkin et al. 2025 with h = 2; the larger step is {DERIVED}",
)
def contraction(scale: str, seed: int) -> Evidence:
    return _contraction(scale, seed, 1.0)


@contraction.control("four times the step")
def _(scale: str, seed: int) -> Evidence:
    return _contraction("smoke", seed, 4.0)


def _descent(scale: str, seed: int, noise: float) -> Evidence:
    observed, bound = [], []
    for i, game in enumerate(random_games(scale, seed)):
        star, eta = equilibrium(game), min(0.5, 0.5 / game.beta)
        x0 = np.random.default_rng([seed, i]).dirichlet(np.full(game.size, 0.5)) + 1e-6
        kl = divergences(game, NashMirrorDescent(eta), star, at_scale(scale, 25, 60), x0)
        observed += kl[1:].tolist()
        bound += ((1.0 - eta * game.beta) * kl[:-1] + noise * eta**2 / 8.0).tolist()
    return Evidence(np.arange(len(observed)), observed, bound, slack=1e-9, xlabel="step of all runs", ylabel="KL after")


@theorem(
    id="nash-mirror-descent",
    paper=PAPER,
    title="Nash mirror descent: one step towards the equilibrium",
    statement="""KL(pi* | pi_{k+1}) <= (1 - eta beta) KL(pi* | pi_k) + eta^2 / 8: a constant step leaves a bias, which
    mirror prox has not.""",
    assumptions=("P + P^T = 1", "eta beta <= 1", "exact preferences"),
    source=f"Munos et al. 2023 with 2 eta^2; the constant 1/8 is {DERIVED}",
)
def descent(scale: str, seed: int) -> Evidence:
    return _descent(scale, seed, 1.0)


@descent.control("the term eta^2 / 8 left out")
def _(scale: str, seed: int) -> Evidence:
    return _descent("smoke", seed, 0.0)


def _same(scale: str, seed: int, wrong: bool) -> Evidence:
    worst = []
    for game in random_games(scale, seed):
        h = 1.0
        eta = h if wrong else h / (1.0 + h * game.beta)
        if eta * game.beta >= 1.0:
            continue
        runs = [
            islice(optlab.iterate(game, method, x0=np.ones(game.size)), at_scale(scale, 60, 200))
            for method in (NashMirrorProx(h), EGPO(eta))
        ]
        worst.append(max(float(np.abs(a.log_policy - b.log_policy).max()) for a, b in zip(*runs)))
    return Evidence(np.arange(len(worst)), worst, kind="equivalence", slack=1e-10, ylabel="difference of log-policies")


@theorem(
    id="egpo-is-mirror-prox",
    paper=PAPER,
    title="EGPO is Nash mirror prox, in another step size",
    statement="Extragradient preference optimization with eta = h / (1 + h beta) has the policies of Nash mirror prox.",
    assumptions=("exact preferences", "the same start"),
    source=DERIVED,
)
def same(scale: str, seed: int) -> Evidence:
    return _same(scale, seed, False)


@same.control("eta = h")
def _(scale: str, seed: int) -> Evidence:
    return _same("smoke", seed, True)


def _bound(scale: str, seed: int, factor: float) -> Evidence:
    observed, bound = [], []
    for i, game in enumerate(random_games(scale, seed)):
        star, rng = equilibrium(game), np.random.default_rng([seed, i])
        for _ in range(at_scale(scale, 20, 200)):
            # policies near the equilibrium too, where the bound is nearly attained
            log_policy = star + rng.normal(size=game.size) * 10.0 ** rng.uniform(-3, 0.5)
            policy = np.exp(log_policy - np.logaddexp.reduce(log_policy))
            observed.append(float(policy @ (np.log(policy) - star)))
            bound.append(factor * game.measure(policy)["kl_bound"])
    order = np.argsort(np.array(bound) / np.maximum(observed, 1e-300))[:200]
    kept = np.array(observed)[order] > 1e-7  # the bound is a difference of numbers near 1/beta, right to 1e-14
    ratio = (np.array(observed)[order] / np.array(bound)[order])[kept]
    return Evidence(np.arange(len(ratio)), ratio, 1.0, rtol=1e-6, ylabel="KL(pi | pi*) / bound")


@theorem(
    id="preference-gap-bound",
    paper=PAPER,
    title="The regularised gap bounds the divergence to the equilibrium",
    statement="""KL(pi | pi*) <= logsumexp(log rho + P pi / beta) + KL(pi | rho) - 1/(2 beta), which needs no
    equilibrium to be known: what the library reports of every policy.""",
    assumptions=("P + P^T = 1", "beta > 0"),
    source=DERIVED,
)
def bound(scale: str, seed: int) -> Evidence:
    return _bound(scale, seed, 1.0)


@bound.control("half of it")
def _(scale: str, seed: int) -> Evidence:
    return _bound("smoke", seed, 0.5)
