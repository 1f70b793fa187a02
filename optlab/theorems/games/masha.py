"""Compressed extragradient: one step in exact expectation, by running the step on every draw of the compressors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from optlab.compression import Compressor
from optlab.games import MASHA, FiniteSumInclusion
from optlab.reproduce import Evidence, at_scale, theorem
from optlab.theorems.games.preferences import DERIVED, PAPER


@dataclass(frozen=True)
class OneEntry(Compressor):
    """Rand-1 with its draw fixed: entry ``chosen[i]`` of row i, times d."""

    chosen: tuple[int, ...]

    def __call__(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        rows = np.atleast_2d(x)
        sent = np.zeros_like(rows)
        at = np.arange(len(rows)), np.array(self.chosen)
        sent[at] = rows[at] * rows.shape[1]
        return sent.reshape(x.shape)

    def bits(self, d: int, word: int = 64) -> float:
        return float(word)

    def variance(self, d: int) -> float:
        return float(d)


def _one_step(scale: str, seed: int, factor: float) -> Evidence:
    """Return ``E V+`` beside ``(1 - gamma mu/2) V`` at random points, with one- and two-way compression."""
    observed, bound = [], []
    d, M = 4, 2
    for s in range(at_scale(scale, 12, 120)):
        rng = np.random.default_rng([seed, s])
        skew = rng.normal(size=(M, d, d))
        problem = FiniteSumInclusion(rng.uniform(0.02, 0.5) * np.eye(d) + skew - skew.transpose(0, 2, 1))
        server = s % 2 == 1
        draws = [
            MASHA(OneEntry(c[:M]), OneEntry(c[M:]) if server else None)
            for c in product(range(d), repeat=M + (1 if server else 0))
        ]
        gamma, tau = factor * draws[0].proved_step_size(problem), draws[0].snapshot_tau(problem)
        z, w = rng.normal(size=d), rng.normal(size=d) * 10.0 ** rng.uniform(-1, 1)
        start = draws[0].init(problem, z, rng)
        start = replace(start, snapshot=w, values=problem.each(w), step_size=gamma)
        after = np.array([method.step(problem, start).z for method in draws])
        # the coin by hand: E V+ = tau |z+|^2 + (1 - tau) |z+|^2 + tau |w|^2, and 0 is the solution
        observed.append(float(np.mean(np.sum(after**2, axis=1)) + tau * w @ w))
        bound.append(float((1.0 - gamma * problem.strong_monotonicity / 2.0) * (tau * z @ z + w @ w)))
    ratio = np.array(observed) / np.array(bound)
    return Evidence(np.arange(len(ratio)), ratio, 1.0, rtol=1e-12, ylabel="E V after / bound")


@theorem(
    id="masha-one-step",
    paper=PAPER,
    title="MASHA: one step in exact expectation",
    statement="""With unbiased compressors, V = tau |z - z*|^2 + |w - z*|^2, gamma mu <= tau and
    gamma^2 q_s ((q - 1)/M mean L_m^2 + L^2) + gamma mu <= 1 - tau, E V+ <= (1 - gamma mu/2) V.""",
    assumptions=("mu-strongly monotone sum of Lipschitz operators", "unbiased compressors", "no constraint"),
    source=f"Beznosikov et al. 2022; constants {DERIVED}",
)
def one_step(scale: str, seed: int) -> Evidence:
    return _one_step(scale, seed, 1.0)


@one_step.control("five times the largest step size")
def _(scale: str, seed: int) -> Evidence:
    return _one_step("smoke", seed, 5.0)
