"""Residuals and gaps of three-operator, conditional gradient and sign-like methods."""

from __future__ import annotations

import numpy as np

from optlab.bregman.functions import Box, L1Norm, LeastSquares, Simplex
from optlab.composite import CompositeProblem
from optlab.firstorder import DavisYin, FrankWolfe, LionK
from optlab.reproduce import Evidence, at_scale, theorem
from optlab.theorems.bregman_splitting._instances import worst_of
from optlab.theorems.first_order._instances import PAPER, solution, states


def _davis_yin(scale: str, seed: int, factor: float) -> Evidence:
    rng, runs, n = np.random.default_rng(seed), [], at_scale(scale, 100, 500)
    for _ in range(at_scale(scale, 6, 40)):
        A, b = rng.standard_normal((6, 10)), 3.0 * rng.standard_normal(6)
        problem = CompositeProblem(LeastSquares(A, b), 0.3 * L1Norm(), Box(-0.5, 0.5))
        L = problem.split(DavisYin.slots).f.lipschitz
        gamma, x0 = factor / L, 3.0 * rng.standard_normal(10)
        relaxation = 0.9 * (2.0 - min(gamma, 1.0 / L) * L / 2.0)
        *_, last = states(problem, DavisYin(1.0 / L), at_scale(scale, 2000, 20_000), x0=x0)
        s = (last.z_before - last.x) * L  # a subgradient of the first term at the solution
        fixed = last.x + gamma * s
        run = states(problem, DavisYin(gamma, relaxation), n, x0=x0)[1:]
        squared = [float(np.sum((s.y - s.x) ** 2)) for s in run]
        room = relaxation * (2.0 - min(gamma, 1.0 / L) * L / 2.0 - relaxation)
        runs.append((squared, np.sum((x0 - fixed) ** 2) / (room * np.arange(1, n + 1))))
    observed, bound = worst_of(runs, 1e-12)
    return Evidence(np.arange(1, n + 1), observed, bound, slack=1e-12, ylabel="||y_k - x_k||^2")


@theorem(
    id="davis-yin-residual",
    paper=PAPER,
    title="Davis-Yin splitting: the residual",
    statement="""For gamma < 2/L and relaxation lam < 2 - gamma L/2, ||y_k - x_k||^2 <= ||z_0 - z*||^2 /
    ((k + 1) lam (2 - gamma L/2 - lam)).""",
    assumptions=("f, g, p convex, grad f L-Lipschitz", "a solution exists"),
    source="Davis and Yin 2017, Theorem 3.1",
)
def davis_yin_residual(scale: str, seed: int) -> Evidence:
    return _davis_yin(scale, seed, 1.0)


@davis_yin_residual.control("gamma = 4.5/L")
def _(scale: str, seed: int) -> Evidence:
    return _davis_yin("smoke", seed, 4.5)


def _frank_wolfe(scale: str, seed: int, share: float) -> Evidence:
    rng, runs, n = np.random.default_rng(seed), [], at_scale(scale, 100, 1000)
    for _ in range(at_scale(scale, 6, 40)):
        A, b = rng.standard_normal((6, 10)), rng.standard_normal(6)
        problem = CompositeProblem(LeastSquares(A, b), Simplex())
        _, optimum = solution(problem)
        run = states(problem, FrankWolfe(step_size="open"), n)[1:]
        curvature = max(float(np.sum((A[:, i] - A[:, j]) ** 2)) for i in range(10) for j in range(i))
        gaps = [problem.objective(s.x) - optimum for s in run]
        runs.append((gaps, share * 2.0 * curvature / (np.arange(1, n + 1) + 2.0)))
    observed, bound = worst_of(runs, 1e-12)
    return Evidence(np.arange(1, n + 1), observed, bound, slack=1e-12, ylabel="F(x_k) - F*")


@theorem(
    id="frank-wolfe-gap",
    paper=PAPER,
    title="Frank-Wolfe: the gap with the curvature constant",
    statement="""With steps 2/(k + 2), f(x_k) - f* <= 2 C/(k + 2), where C is the curvature constant of f on the set;
    for least squares on the simplex the largest squared distance of two columns.""",
    assumptions=("f convex and smooth", "a compact convex set"),
    source="Jaggi 2013, Theorem 1",
)
def frank_wolfe_gap(scale: str, seed: int) -> Evidence:
    return _frank_wolfe(scale, seed, 1.0)


@frank_wolfe_gap.control("a hundredth of the curvature constant")
def _(scale: str, seed: int) -> Evidence:
    return _frank_wolfe("smoke", seed, 0.01)


def _lion(scale: str, seed: int, radius: float) -> Evidence:
    """Distances to the box in the max norm, from outside."""
    rng, n, runs = np.random.default_rng(seed), at_scale(scale, 300, 2000), []
    for _ in range(at_scale(scale, 6, 40)):
        A, b = rng.standard_normal((6, 10)), 5.0 * rng.standard_normal(6)
        problem = CompositeProblem(LeastSquares(A, b), Box(-radius, radius))
        method = LionK(0.01)
        run = states(problem, method, n, x0=3.0 * rng.standard_normal(10))
        distances = [float(np.max(np.maximum(np.abs(s.x) - 1.0, 0.0))) for s in run]
        runs.append((distances, distances[0] * 0.99 ** np.arange(n + 1)))
    observed, bound = worst_of(runs, 1e-12)
    return Evidence(np.arange(n + 1), observed, bound, slack=1e-12, ylabel="distance to the box")


@theorem(
    id="lion-box",
    paper=PAPER,
    title="Lion-K: weight decay is a constraint",
    statement="""The distance of lam x_k to the domain of K* is at most (1 - eps lam)^k times that of lam x_0: Lion's
    iterates end in the box |x_i| <= 1/lam, whatever f is.""",
    assumptions=("0 < eps lam <= 1",),
    source="Chen, Liu, Liang, Liu 2024, Theorem 3.1 (phase 1), discrete form derived here",
)
def lion_box(scale: str, seed: int) -> Evidence:
    return _lion(scale, seed, 1.0)


@lion_box.control("half the decay: another box")
def _(scale: str, seed: int) -> Evidence:
    return _lion("smoke", seed, 2.0)
