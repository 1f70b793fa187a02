"""Rates of gradient, proximal gradient, accelerated and adaptive methods, with their constants."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from optlab.bregman.functions import Huber
from optlab.composite import CompositeProblem
from optlab.firstorder import FISTA, AdaptiveProximalGradient, Backtracking, GradientDescent, ProximalGradient
from optlab.reproduce import Evidence, at_scale, theorem
from optlab.theorems.bregman_splitting._instances import worst_of
from optlab.theorems.first_order._instances import PAPER, composites, solution, states

_GAP = "F(x_k) - F*"


def _huber(scale: str, step: float) -> Evidence:
    """Gaps of gradient descent after k steps on the Huber function of width R/(2k+1), one k a record."""
    places = np.array(at_scale(scale, (1, 2, 5, 10, 30), (1, 2, 5, 10, 30, 100, 300)))
    observed = []
    for k in places:
        problem = CompositeProblem(Huber(1.0 / (2 * k + 1)), shape=1)
        run = states(problem, GradientDescent(step), int(k), x0=np.ones(1))
        observed.append(problem.objective(run[-1].x))
    return Evidence(places, observed, 1.0 / (4 * places + 2), kind="tight", rtol=1e-9, ylabel="f(x_k) - f*")


@theorem(
    id="gradient-descent-gap",
    paper=PAPER,
    title="Gradient descent: the exact worst case",
    statement="""For convex f with an L-Lipschitz gradient, gradient descent with step size 1/L has f(x_k) - f* <=
    L ||x_0 - x*||^2 / (4k + 2), with equality on the Huber function of width ||x_0 - x*|| / (2k + 1).""",
    assumptions=("f convex, gradient L-Lipschitz", "step size 1/L"),
    source="Drori and Teboulle 2014, Theorems 3.1 and 3.2",
)
def gradient_descent_gap(scale: str, seed: int) -> Evidence:
    return _huber(scale, 1.0)


@gradient_descent_gap.control("half the step size: the bound is not attained")
def _(scale: str, seed: int) -> Evidence:
    return _huber("smoke", 0.5)


def _gaps(scale: str, seed: int, factor: float) -> Evidence:
    n, runs = at_scale(scale, 60, 400), []
    for problem in composites(seed, at_scale(scale, 6, 40)):
        star, optimum = solution(problem)
        L = problem.split(ProximalGradient.slots).f.lipschitz
        run = states(problem, ProximalGradient(factor / L), n)[1:]
        with np.errstate(all="ignore"):
            gaps = [min(problem.objective(s.x) - optimum, 1e100) for s in run]
        runs.append((gaps, L * np.sum(star**2) / (4.0 * np.arange(1, n + 1))))
    observed, bound = worst_of(runs, 1e-11)
    return Evidence(np.arange(1, n + 1), observed, bound, slack=1e-11, ylabel=_GAP)


@theorem(
    id="proximal-gradient-gap",
    paper=PAPER,
    title="Proximal gradient: the gap with its constant",
    statement="""For convex f with an L-Lipschitz gradient and closed convex g, the proximal gradient method with step
    size 1/L has F(x_k) - F* <= L ||x_0 - x*||^2 / (4k).""",
    assumptions=("f, g convex, grad f L-Lipschitz", "step size 1/L"),
    source="Taylor, Hendrickx, Glineur 2017, section 4.2; derived here, verified by optlab.theory.worst_case",
)
def proximal_gradient_gap(scale: str, seed: int) -> Evidence:
    return _gaps(scale, seed, 1.0)


@proximal_gradient_gap.control("step size 4/L")
def _(scale: str, seed: int) -> Evidence:
    return _gaps("smoke", seed, 4.0)


def _contraction(scale: str, seed: int, factor: float | None) -> Evidence:
    n, runs = at_scale(scale, 40, 200), []
    for problem in composites(seed, at_scale(scale, 6, 40), strong=True):
        star, _ = solution(problem)
        A = problem.terms[0].operator.matrix
        values = np.linalg.svd(A, compute_uv=False) ** 2
        L, mu = values[0], values[-1]
        run = states(problem, ProximalGradient(2.0 / (L + mu) if factor is None else factor / L), n)
        distances = [min(float(np.linalg.norm(s.x - star)), 1e100) for s in run]
        runs.append((distances, distances[0] * ((L - mu) / (L + mu)) ** np.arange(n + 1)))
    observed, bound = worst_of(runs, 1e-7)
    return Evidence(np.arange(n + 1), observed, bound, slack=1e-7, ylabel="||x_k - x*||")


@theorem(
    id="proximal-gradient-contraction",
    paper=PAPER,
    title="Proximal gradient: the contraction of strong convexity",
    statement="""For f also mu-strongly convex and step size 2/(L + mu), ||x_k - x*|| <= ((L - mu)/(L + mu))^k
    ||x_0 - x*||.""",
    assumptions=("f mu-strongly convex, gradient L-Lipschitz", "step size 2/(L + mu)"),
    source="Nesterov 2018, Theorem 2.1.15, and nonexpansiveness of the proximal operator",
)
def proximal_gradient_contraction(scale: str, seed: int) -> Evidence:
    return _contraction(scale, seed, None)


@proximal_gradient_contraction.control("step size 2.2/L")
def _(scale: str, seed: int) -> Evidence:
    return _contraction("smoke", seed, 2.2)


class _WithoutRatio(FISTA):
    """Estimates that fall, and momentum that does not know of it: steps far too long for the bound."""

    def step(self, problem: Any, state: Any) -> Any:
        after = super().step(problem, state)
        after.step_size = 2.1 * after.step_size if after.k == 1 else after.step_size
        return after


def _accelerated(scale: str, seed: int, method: FISTA) -> Evidence:
    n, runs = at_scale(scale, 60, 300), []
    for problem in composites(seed, at_scale(scale, 6, 40)):
        star, optimum = solution(problem)
        run = states(problem, method, n)[1:]
        with np.errstate(all="ignore"):
            gaps = [min(problem.objective(s.x) - optimum, 1e100) for s in run]
        runs.append((gaps, [np.sum(star**2) / (2.0 * s.step_size * s.t**2) for s in run]))
    observed, bound = worst_of(runs, 1e-11)
    return Evidence(np.arange(1, n + 1), observed, bound, slack=1e-11, ylabel=_GAP)


@theorem(
    id="fista-gap",
    paper=PAPER,
    title="FISTA: the gap, with a Lipschitz estimate that may fall",
    statement="""FISTA with any accepted estimates L_k, rising or falling, and t_+ = (1 + sqrt(1 + 4 t^2 L_+/L))/2 has
    F(x_k) - F* <= L_k ||x_0 - x*||^2 / (2 t_k^2).""",
    assumptions=("f, g convex, grad f Lipschitz", "the descent inequality holds at every step"),
    source="Beck and Teboulle 2009, Theorem 4.4; the ratio is derived here, verified numerically",
)
def fista_gap(scale: str, seed: int) -> Evidence:
    return _accelerated(scale, seed, FISTA(backtracking=Backtracking(initial=1.0, decrease=0.9)))


@fista_gap.control("step size 2.1/L")
def _(scale: str, seed: int) -> Evidence:
    return _accelerated("smoke", seed, _WithoutRatio())


class _WithoutCurvature(AdaptiveProximalGradient):
    """The rule without its second minimum: step sizes grow at every iteration."""

    def step(self, problem: Any, state: Any) -> Any:
        after = super().step(problem, state)
        after.step_size = state.step_size * np.sqrt(1.0 / self.q + state.step_size / state.step_before)
        split = problem.split(self.slots)
        after.x = split.g.proximal(state.x - after.step_size * after.slope, after.step_size)
        return after


def _lyapunov(scale: str, seed: int, cls: Any, n: int) -> Evidence:
    """Rises of U_k, relative to U_1, of the instance with the largest."""
    worst = np.full(1, -np.inf)
    for problem in composites(seed, at_scale(scale, 6, 40)):
        star, optimum = solution(problem)
        run = states(problem, cls(q=1.0, r=0.5), n)
        U = []
        with np.errstate(all="ignore"):
            for before, after in pairwise(run):
                rho = after.step_size / after.step_before
                gap = max(problem.objective(before.x) - optimum, 0.0) if before.k else 0.0
                moved = after.x - before.x
                terms = np.sum((after.x - star) ** 2) + np.sum(moved**2)
                U.append(0.5 * terms + after.step_size * (1.0 + rho) * gap)
            found = np.minimum(np.diff(np.array(U[1:])) / U[1], 1e100)
        worst = found if np.max(found) > np.max(worst) else worst
    return Evidence(np.arange(worst.size), worst, np.zeros(worst.size), slack=1e-10, ylabel="(U_{k+1} - U_k) / U_1")


@theorem(
    id="adaptive-lyapunov",
    paper=PAPER,
    title="adaPGM: a Lyapunov function without constants",
    statement="""With q = 2r the function U_k = ||x_k - x*||^2/2 + ||x_k - x_{k-1}||^2/2 + gamma_k (1 + q rho_k)
    (F(x_{k-1}) - F*), rho_k = gamma_k/gamma_{k-1}, of the adaptive proximal gradient method never rises.""",
    assumptions=("f, g convex, grad f locally Lipschitz", "q = 2r"),
    source="Latafat, Themelis, Stella, Patrinos 2023, Theorem 2.2; the family derived here",
)
def adaptive_lyapunov(scale: str, seed: int) -> Evidence:
    return _lyapunov(scale, seed, AdaptiveProximalGradient, at_scale(scale, 60, 300))


@adaptive_lyapunov.control("no test of the curvature")
def _(scale: str, seed: int) -> Evidence:
    return _lyapunov("smoke", seed, _WithoutCurvature, 15)
