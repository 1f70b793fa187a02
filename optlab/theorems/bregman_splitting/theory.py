"""Bregman splitting: the one-step relation, and convergence where B is the gradient of a relatively smooth function.

The convergence theorem of Ma, Xiao, Zhao (2025, arXiv 2509.08739) needs assumptions of which optimal transport violates
one. The statements here are derived here and verified numerically; they are not quoted from the paper.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from optlab.bregman import FermiDirac, Hellinger, ShannonEntropy, SquaredEuclidean
from optlab.bregman.functions import AffineSet, Quadratic, SquaredDistance
from optlab.reproduce import Evidence, at_scale, theorem
from optlab.splitting import BregmanDouglasRachford, CompositeProblem
from optlab.splitting.problems import (
    BoxQuadraticWithEquality,
    ItakuraSaitoOnSimplex,
    KullbackLeiblerOnCappedSimplex,
    MatrixGame,
    PoissonOnSimplex,
)
from optlab.theorems.bregman_splitting._instances import (
    DERIVED,
    PAPER,
    instance,
    linear_program,
    log_plan,
    states,
    worst_of,
)
from optlab.transport import OptimalTransport

# ------------------------------------------------------------------------------------------------ T1, one step


def _log_divergence(x: Any, log_x: Any, log_y: Any) -> float:
    """Return ``KL(x, y) = sum x log(x/y) - x + y`` from logarithms; x may have zeros."""
    return float(np.sum(np.where(x > 0, x * (log_x - log_y), 0.0)) - np.sum(x) + np.sum(np.exp(log_y)))


def _one_step_transport(scale: str, seed: int, with_slack: bool) -> Evidence:
    n, gamma = at_scale(scale, 40, 100), 3.0
    worst = np.zeros(n)
    for family in ("rand", "gauss2d", "l2"):
        a, b, cost = instance(family, at_scale(scale, (8, 9), (20, 25)), seed)
        vertex = linear_program(a, b, cost)
        solution, slack = vertex.plan, vertex.reduced(cost)
        log_solution = np.log(np.where(solution > 0, solution, 1.0))
        b_star = cost - vertex.f[:, None]  # in B(x*): the cost plus a function of the row
        method, before = BregmanDouglasRachford(gamma), None
        for i, state in enumerate(states(OptimalTransport(a, b, cost), method, n + 1)):
            b_next = log_plan(method.operator_values(state)[1], cost)
            x_next, y_next = log_plan(state.x, cost), log_plan(state.y, cost)
            if before is not None:
                x, y, b_now = before
                right = _log_divergence(solution, log_solution, x) - _log_divergence(np.exp(y), y, x)
                right -= _log_divergence(np.exp(x_next), x_next, y)
                right -= gamma * float(np.sum((b_now - b_star) * (np.exp(y) - np.exp(x_next))))
                right -= gamma * float(np.sum(slack * np.exp(y))) * with_slack
                worst[i - 1] = max(worst[i - 1], abs(_log_divergence(solution, log_solution, x_next) - right))
            before = (x_next, y_next, b_next)
    return Evidence(np.arange(n), worst, kind="identity", slack=1e-12, ylabel="difference of the two sides")


@theorem(
    id="bdrs-one-step-transport",
    paper=PAPER,
    title="The one-step relation is an equality on optimal transport",
    statement="""For optimal transport, with x* a solution, f, g optimal potentials, S = C - f (+) g,
    b* = C - f (+) 0 and b_k = (grad h(z_k) - grad h(x_k)) / gamma,
    D(x*,x_{k+1}) = D(x*,x_k) - D(y_k,x_k) - D(x_{k+1},y_k) - gamma <b_k - b*, y_k - x_{k+1}> - gamma <S, y_k>.""",
    assumptions=("h Shannon, lambda = 1, constant step size", "x* a solution of the linear program, f and g its duals"),
    source=DERIVED,
)
def one_step_transport(scale: str, seed: int) -> Evidence:
    return _one_step_transport(scale, seed, with_slack=True)


@one_step_transport.control("the term with the reduced costs S left out")
def _(scale: str, seed: int) -> Evidence:
    return _one_step_transport("smoke", seed, with_slack=False)


def _interior_problems(seed: int) -> list[tuple[Any, Any, Any]]:
    """Return (problem, solution x*, b* in B(x*)) with x* inside dom h."""
    rng = np.random.default_rng(seed)
    found: list[tuple[Any, Any, Any]] = []
    for kernel in (ShannonEntropy(), FermiDirac(), Hellinger(), SquaredEuclidean()):
        root, middle = rng.normal(size=(8, 8)), rng.uniform(0.3, 0.7, 8)
        # A = Q x + c and B = t (x - q) with A + B = 0 at the point chosen as solution
        Q, q = root @ root.T / 8, rng.uniform(0.1, 0.9, 8)
        b_star = 0.7 * (middle - q)
        found.append(
            (CompositeProblem(Quadratic(Q, -Q @ middle - b_star), SquaredDistance(q, 0.7), kernel), middle, b_star)
        )
    game = MatrixGame(np.array([[0.0, 1.3, -0.8], [-1.1, 0.0, 0.9], [1.2, -0.7, 0.0]]))
    value, x, y = game.reference_solution()
    # -A(x*) = (-M y, M^T x) = value (-1, 1): in the normal cone of the two simplices
    found.append((game, np.concatenate([x, y]), np.repeat([-value, value], 3)))
    return found


def _one_step_general(scale: str, seed: int, factor: float) -> Evidence:
    n, runs = at_scale(scale, 15, 60), []
    for problem, solution, b_star in _interior_problems(seed):
        kernel, to_primal = problem.kernel, problem.kernel.conjugate_gradient
        for gamma in at_scale(scale, (1.0,), (0.3, 1.0, 5.0)):
            method, before = BregmanDouglasRachford(gamma), None
            left, right = [], []
            for state in states(problem, method, n + 1):
                b_next = method.operator_values(state)[1]
                x_next, y_next = to_primal(state.x), to_primal(state.y)
                if before is not None:
                    x, y, b_now = before
                    left.append(kernel.divergence(solution, x_next))
                    bound = kernel.divergence(solution, x) - kernel.divergence(y, x) - kernel.divergence(x_next, y)
                    right.append(bound - factor * gamma * float((b_now - b_star) @ (y - x_next)))
                before = (x_next, y_next, b_next)
            runs.append((left, right))
    left, right = worst_of(runs, 1e-11)
    return Evidence(np.arange(n), left, right, slack=1e-11, ylabel="D(x*, x_{k+1})")


@theorem(
    id="bdrs-one-step",
    paper=PAPER,
    title="One step of Bregman Douglas-Rachford towards a solution",
    statement="""Let 0 in A(x*) + B(x*), b* in B(x*) with -b* in A(x*), b_k = (grad h(z_k) - grad h(x_k)) / gamma and
    lambda = 1. Then D(x*,x_{k+1}) <= D(x*,x_k) - D(y_k,x_k) - D(x_{k+1},y_k) - gamma <b_k - b*, y_k - x_{k+1}>. The
    last term telescopes for quadratic h and in general does not, which is why this alone proves no convergence.""",
    assumptions=("A, B monotone", "constant step size, lambda = 1"),
    source=DERIVED,
)
def one_step(scale: str, seed: int) -> Evidence:
    return _one_step_general(scale, seed, 1.0)


@one_step.control("the last term left out: more descent than there is")
def _(scale: str, seed: int) -> Evidence:
    return _one_step_general("smoke", seed, 0.0)


def _lyapunov(scale: str, seed: int, weight: float) -> Evidence:
    n, gamma = at_scale(scale, 60, 1000), 0.5
    rng = np.random.default_rng(seed)
    solution, normals = rng.uniform(0.3, 0.7, 8), rng.normal(size=(2, 3, 8))
    A, B = (AffineSet(normal, normal @ solution) for normal in normals)
    problem, method, values = CompositeProblem(A, B, SquaredEuclidean(), shape=8), BregmanDouglasRachford(gamma), []
    for state in states(problem, method, n, x0=solution + 3.0 * rng.normal(size=8)):
        b = method.operator_values(state)[1]  # b* = 0: the normal spaces of the two sets meet there only
        values.append(float(np.sum((state.x - solution) ** 2) + weight * gamma**2 * np.sum(b**2)))
    return Evidence(np.arange(n), values, kind="monotone", slack=1e-12, ylabel="||x - x*||^2 + gamma^2 ||b - b*||^2")


@theorem(
    id="douglas-rachford-lyapunov",
    paper=PAPER,
    title="For the quadratic kernel the one-step relation gives the classical Lyapunov function",
    statement="""With h = ||.||^2 / 2, ||x_k - x*||^2 + gamma^2 ||b_k - b*||^2 never increases, here for two affine sets
    in R^8 and a point x* of their intersection.""",
    assumptions=("h = ||.||^2 / 2", "lambda = 1"),
    source="classical (Lions, Mercier 1979); from the one-step relation: derived here",
)
def lyapunov(scale: str, seed: int) -> Evidence:
    return _lyapunov(scale, seed, 1.0)


@lyapunov.control("the distance of x_k to x* alone, on an instance searched for it")
def _(scale: str, seed: int) -> Evidence:
    return _lyapunov("smoke", 13, 0.0)


# --------------------------------------------------------------------------------- T2, B relatively smooth


def _smooth_problems(scale: str, seed: int, flipped: bool = False) -> list[Any]:
    """Problems whose smooth part, in B, is L-smooth relative to the kernel; `flipped` puts it in A."""
    n = at_scale(scale, 20, 200)
    rng = np.random.default_rng(seed)
    problems: list[Any] = [
        KullbackLeiblerOnCappedSimplex(n * rng.dirichlet(np.ones(n)), 2.4 / n, cost=rng.normal(size=n), weight=0.5),
        PoissonOnSimplex(rng.uniform(0.1, 3.0, n), cost=rng.random(n), kernel="burg"),
        ItakuraSaitoOnSimplex(rng.uniform(0.1, 1.0, n), cost=3.0 * rng.random(n)),
        BoxQuadraticWithEquality(rng.uniform(-0.5, 1.5, n), rng.uniform(0.5, 1.5, n), n / 2),
    ]
    if flipped:
        problems = [_Flipped(problem) for problem in (problems[0], problems[3])]
    return problems


class _Flipped:
    """A problem with the roles of A and B exchanged, everything else passed through."""

    def __init__(self, problem: Any):
        self._problem = problem

    def __getattr__(self, name: str) -> Any:
        return getattr(self._problem, name)

    def resolvent_A(self, mirror: Any, step_size: float) -> Any:
        return self._problem.resolvent_B(mirror, step_size)

    def resolvent_B(self, mirror: Any, step_size: float) -> Any:
        return self._problem.resolvent_A(mirror, step_size)


class _Run:
    """A run with what the bound speaks of: V_k = D_h(x*, x_k) + gamma D_g(x*, x_k), gap_k = (f+g)(y_k) - opt."""

    def __init__(self, problem: Any, share: float, n: int):
        self.L, self.mu = problem.g.relative_smoothness(problem.kernel)
        self.gamma = share / self.L
        kernel, g, solution = problem.kernel, problem.g, problem.reference
        to_primal = kernel.conjugate_gradient

        def D_g(u: Any, v: Any) -> float:
            return float(g.value(u) - g.value(v) - g.gradient(v) @ (u - v))

        points = []
        for state in states(problem, BregmanDouglasRachford(self.gamma), n + 1):
            points.append((to_primal(state.x), to_primal(state.y)))
        x = [point for point, _ in points]
        self.distance_g = np.array([D_g(solution, u) for u in x])
        self.V = np.array([kernel.divergence(solution, u) for u in x]) + self.gamma * self.distance_g
        self.gap = np.array([g.value(y) + problem.cost @ y - problem.optimum for _, y in points])
        # what else the inequality takes off: (D_h - gamma D_g)(y_k, x_k), D_h(x_{k+1}, y_k), gamma D_g(x_{k+1}, x_k)
        self.rest = np.array(
            [
                kernel.divergence(y, u) - self.gamma * D_g(y, u) + kernel.divergence(v, y) + self.gamma * D_g(v, u)
                for (u, y), (v, _) in pairwise(points)
            ]
        )


def _runs(scale: str, seed: int, shares: Any = (0.3, 1.0), flipped: bool = False, only: Any = None) -> list[_Run]:
    problems = _smooth_problems(scale, seed, flipped)
    chosen = problems if only is None else [problems[i] for i in only]
    return [_Run(problem, share, at_scale(scale, 60, 500)) for problem in chosen for share in shares]


_ASSUMPTIONS = (
    "A = df, B = grad g, f and g convex",
    "g is L-smooth relative to h: D_g <= L D_h",
    "0 < gamma <= 1/L, lambda = 1",
    "x* a minimiser in dom h (it may lie on the boundary)",
)


def _inequality(scale: str, seed: int, factor: float = 1.0) -> Evidence:
    runs = _runs(scale, seed)
    pairs = [
        (run.V[1:], run.V[:-1] - run.gamma * (factor * run.distance_g[:-1] + run.gap[:-1]) - run.rest) for run in runs
    ]
    left, right = worst_of(pairs, 1e-10)
    return Evidence(np.arange(left.size), left, right, slack=1e-10, ylabel="V_{k+1}", detail={"runs": len(runs)})


@theorem(
    id="bdrs-smooth-inequality",
    paper=PAPER,
    title="The inequality behind convergence for a relatively smooth B",
    statement="""With V_k = D_h(x*,x_k) + gamma D_g(x*,x_k): V_{k+1} <= V_k - gamma D_g(x*,x_k)
    - gamma [(f+g)(y_k) - opt] - (D_h - gamma D_g)(y_k,x_k) - D_h(x_{k+1},y_k) - gamma D_g(x_{k+1},x_k) at every
    iteration.""",
    assumptions=_ASSUMPTIONS,
    source=f"{DERIVED}, with proof: y_k is a mirror descent step from x_k; three-point identities for h and g",
)
def smooth_inequality(scale: str, seed: int) -> Evidence:
    return _inequality(scale, seed)


@smooth_inequality.control("the term gamma D_g(x*, x_k) counted twice")
def _(scale: str, seed: int) -> Evidence:
    return _inequality("smoke", seed, factor=2.0)


def _descent(scale: str, seed: int, shares: Any, only: Any = None) -> Evidence:
    runs = _runs(scale, seed, shares, only=only)
    left, right = worst_of([(run.V[1:], run.V[:-1] - run.gamma * run.gap[:-1]) for run in runs], 1e-10)
    return Evidence(
        np.arange(left.size), left, np.maximum(right, 0.0), slack=1e-10, ylabel="V_{k+1}", detail={"runs": len(runs)}
    )


@theorem(
    id="bdrs-smooth-descent",
    paper=PAPER,
    title="For gamma <= 1/L the function V decreases by at least gamma times the objective gap",
    statement="""V_{k+1} <= V_k - gamma [(f+g)(y_k) - opt] for 0 < gamma <= 1/L, with
    V_k = D_h(x*,x_k) + gamma D_g(x*,x_k).""",
    assumptions=_ASSUMPTIONS,
    source=DERIVED,
)
def smooth_descent(scale: str, seed: int) -> Evidence:
    return _descent(scale, seed, (0.3, 1.0))


@smooth_descent.control("gamma L = 16: the method still converges, but V rises")
def _(scale: str, seed: int) -> Evidence:
    return _descent("smoke", seed, (16.0,), only=(3,))


def _average_gap(scale: str, seed: int, shares: Any, only: Any = None) -> Evidence:
    runs = _runs(scale, seed, shares, only=only)
    pairs = []
    for run in runs:
        K = np.arange(1, run.gap.size + 1)
        pairs.append((np.cumsum(run.gap) / K, run.V[0] / (run.gamma * K)))
    left, right = worst_of(pairs, 1e-12)
    return Evidence(np.arange(1, left.size + 1), left, right, slack=1e-12, ylabel="average gap of K points")


@theorem(
    id="bdrs-average-gap",
    paper=PAPER,
    title="Convergence of the objective at rate 1/K",
    statement="""(1/K) sum_{k<K} (f+g)(y_k) - opt <= V_0 / (gamma K), hence the same for the best and for the averaged
    point.""",
    assumptions=_ASSUMPTIONS,
    source=DERIVED,
)
def average_gap(scale: str, seed: int) -> Evidence:
    return _average_gap(scale, seed, (0.3, 1.0))


@average_gap.control("gamma L = 16")
def _(scale: str, seed: int) -> Evidence:
    return _average_gap("smoke", seed, (16.0,), only=(3,))


def _contraction(scale: str, seed: int, shares: Any, only: Any = (0, 1, 2)) -> Evidence:
    runs = _runs(scale, seed, shares, only=only)
    left, right = worst_of([(run.V[1:], run.V[:-1] / (1 + run.gamma * run.mu)) for run in runs], 1e-12)
    return Evidence(np.arange(left.size), left, np.maximum(right, 0.0), slack=1e-12, ylabel="V_{k+1}")


@theorem(
    id="bdrs-strongly-convex",
    paper=PAPER,
    title="Linear convergence if B is also strongly convex relative to h",
    statement="""If g is mu-strongly convex relative to h as well (mu D_h <= D_g), V_{k+1} <= V_k / (1 + gamma mu).""",
    assumptions=(*_ASSUMPTIONS, "mu D_h <= D_g with mu > 0"),
    source=DERIVED,
)
def strongly_convex(scale: str, seed: int) -> Evidence:
    return _contraction(scale, seed, (0.3, 1.0))


@strongly_convex.control("gamma L = 4")
def _(scale: str, seed: int) -> Evidence:
    return _contraction("smoke", seed, (4.0,), only=(0,))


def _exact_rate(scale: str, seed: int, power: int) -> Evidence:
    share = 0.3  # gamma t
    run = _runs(scale, seed, (share,), only=(0,))[0]
    return Evidence(
        np.arange(run.V.size),
        run.V,
        (1 / (1 + share)) ** power,
        kind="linear_rate",
        two_sided=True,
        floor=1e-11,
        rtol=1e-3,
        ylabel="V_k",
    )


@theorem(
    id="bdrs-kullback-leibler-rate",
    paper=PAPER,
    title="The exact asymptotic factor for a Kullback-Leibler objective",
    statement="""For t KL(x; q) + <c, x> over a capped simplex and gamma t <= 1, V_k contracts
    asymptotically by exactly 1/(1 + gamma t)^2 per iteration, the square of what the general bound promises.""",
    assumptions=("h Shannon, g = t KL(.; q): L = mu = t", "gamma t <= 1"),
    source=DERIVED,
)
def kullback_leibler_rate(scale: str, seed: int) -> Evidence:
    return _exact_rate(scale, seed, 2)


@kullback_leibler_rate.control("the factor of the general bound, 1/(1 + gamma t), taken as exact")
def _(scale: str, seed: int) -> Evidence:
    return _exact_rate("smoke", seed, 1)
