"""Variance-reduced Halpern iteration: the certified bound on the last iterate, in the mean over runs."""

from __future__ import annotations

import math
from itertools import islice

import numpy as np

import optlab
from optlab.games import FiniteSumInclusion, VarianceReducedHalpern
from optlab.games.methods.variance_reduced_halpern import certified_step
from optlab.reproduce import Evidence, at_scale, theorem
from optlab.theorems.games.preferences import DERIVED, PAPER


def _sum(n: int, seed: int, d: int = 10) -> FiniteSumInclusion:
    rng = np.random.default_rng([seed, n])
    v = rng.normal(size=(n, d))
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    base = np.diag(np.geomspace(1e-4, 1.0, d))
    return FiniteSumInclusion(base + 0.5 * np.einsum("ni,nj->nij", v, v), rng.normal(size=(n, d)))


def _bound(k: np.ndarray, eta: float, L: float, R: float) -> np.ndarray:
    """Return the positive root x of ``(A_k + B_k/L) x^2 - B_k R x - A_0 L^2 R^2 = 0``."""
    A, B, A0 = eta * (k + 2) * (k + 3) ** 2 / 4, (k + 2) * (k + 3), eta * 18 / 4
    square, line, rest = A + B / L, B * R, A0 * (L * R) ** 2
    return (line + np.sqrt(line**2 + 4 * square * rest)) / (2 * square)


def _last_iterate(scale: str, seed: int, factor: float) -> Evidence:
    observed, bound = [], []
    for n in at_scale(scale, (9, 100), (9, 100, 1000)):
        problem = _sum(n, seed)
        L, star = problem.cocoercivity, problem.solution()
        eta = factor * certified_step(n) / L
        start = star + np.random.default_rng([seed, n, 1]).normal(size=star.size)
        R = float(np.linalg.norm(start - star))
        K = 10 * math.ceil(math.sqrt(n))
        places = np.unique(np.geomspace(2, K, 12).astype(int))
        squares = []
        for s in range(at_scale(scale, 20, 100)):
            states = islice(optlab.iterate(problem, VarianceReducedHalpern(eta), x0=start, seed=s), K + 1)
            u = np.array([state.u for state in states])[places]
            squares.append(np.sum((u @ problem.mean_matrix.T - problem.mean_offset) ** 2, axis=1))
        runs = np.array(squares)
        error = 3.0 * np.std(runs, axis=0, ddof=1) / math.sqrt(len(runs))
        observed += np.sqrt(np.mean(runs, axis=0) + error).tolist()
        bound += _bound(places.astype(float), eta, L, R).tolist()
    ratio = np.array(observed) / np.array(bound)
    return Evidence(np.arange(ratio.size), ratio, 1.0, ylabel="root mean square of |F| (and 3 errors) / bound")


@theorem(
    id="variance-reduced-halpern",
    paper=PAPER,
    title="Variance-reduced Halpern iteration: last iterate",
    statement="""For a sum that is cocoercive on average with L, b = ceil(sqrt n), p_k = 4/(min(k, ceil sqrt n) + 5) and
    a step eta that the backward recursion certifies, x = sqrt(E |F(u_K)|^2) satisfies
    (A_K + B_K/L) x^2 - B_K R x - A_0 L^2 R^2 <= 0 with A_K = eta (K+2)(K+3)^2/4,
    B_K = (K+2)(K+3): about 4 R/(eta K).""",
    assumptions=("cocoercive on average with L", "the step size is certified for n"),
    source=f"Cai, Alacaoglu, Diakonikolas 2024; constants {DERIVED}",
)
def last_iterate(scale: str, seed: int) -> Evidence:
    return _last_iterate(scale, seed, 1.0)


@last_iterate.control("fifteen times the certified step size")
def _(scale: str, seed: int) -> Evidence:
    return _last_iterate("smoke", seed, 15.0)
