"""Bregman splitting: where the theory does not apply, and what happens there.

Optimal transport violates an assumption of the convergence theorem of Ma, Xiao, Zhao (2025, arXiv 2509.08739), as the
authors say. Which one is judged here by the theorem proved in `bregman_splitting_theory`: neither operator is the
gradient of a relatively smooth function, and no solution lies inside dom h. What then happens is numerical evidence:
convergence at small step sizes, divergence of one instance at a large one, never convergence of Peaceman-Rachford.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import optlab
from optlab.bregman import ShannonEntropy
from optlab.bregman.functions import ColumnMarginal, Linear, RowMarginal
from optlab.datasets import divergence_counterexample
from optlab.reproduce import Evidence, at_scale, theorem
from optlab.splitting import BregmanDouglasRachford, BregmanPeacemanRachford, CompositeProblem, Geometric
from optlab.splitting.problems import KullbackLeiblerOnCappedSimplex
from optlab.theorems.bregman_splitting._instances import (
    DERIVED,
    PAPER,
    gauged,
    instance,
    linear_program,
    log_plan,
    nondegenerate,
    singular_values,
    states,
)
from optlab.transport import MirrorPlan, OptimalTransport

OBSERVED = "observed here, no proof; reproduced with 60-digit arithmetic"


def _ones(problem: OptimalTransport) -> MirrorPlan:
    return MirrorPlan.zeros(*problem.shape)


def _column_error(mirror: Any, cost: Any, b: Any) -> float:
    """Return the marginal error of x_k, whose rows are exact."""
    return float(np.abs(np.exp(log_plan(mirror, cost)).sum(axis=0) - b).sum())


def _counterexample_run(step_size: Any, n: int, eps: float = 0.0, first: str = "rows") -> tuple[Any, Any]:
    """Run on the counterexample with its reduced costs as cost, from the start that z_0 = 1 becomes there.

    Return the marginal errors of x_k and the largest potential so far. In this form bounded potentials mean
    convergence, and growing ones show as what they are.
    """
    a, b, cost = divergence_counterexample()
    vertex = linear_program(a, b, cost)
    theta = 1.0 if eps else 0.0  # the entropic form has the cost in A, beside the entropy
    problem = gauged(a, b, cost, vertex, regularization=eps, first=first, cost_split=theta)
    gamma = step_size(0) if callable(step_size) else step_size
    f, g = theta * gamma * vertex.f, -(1 - theta) * gamma * vertex.g
    if first == "columns":
        f, g = -(1 - theta) * gamma * vertex.f, theta * gamma * vertex.g
    start = MirrorPlan(f, g, 0.0)
    errors, potentials = [], []
    reduced = vertex.reduced(cost)
    for state in states(problem, BregmanDouglasRachford(step_size), n, x0=start):
        plan = np.exp(log_plan(state.x, reduced))
        errors.append(float(np.abs(plan.sum(axis=0) - b).sum() + np.abs(plan.sum(axis=1) - a).sum()))
        potentials.append(max(float(np.ptp(state.x.row)), float(np.ptp(state.x.column))))
    return np.array(errors), np.maximum.accumulate(potentials)


# --------------------------------------------------------------------------------------- the assumption that fails


def _judged(problem: CompositeProblem, gamma: float, n: int, **instead: Any) -> Evidence:
    """Apply the O(1/K) bound to `problem` if its assumptions hold; say which one fails if not."""
    constants = problem.g.relative_smoothness(problem.kernel)
    if constants is None or not math.isfinite(constants[0]):
        return Evidence.not_applicable(
            "B is not the gradient of a function that is smooth relative to the kernel: it contains the normal cone of "
            "the row constraint. The bound says nothing; drawn is what happens at gamma = 10.",
            **instead,
        )
    if gamma * constants[0] > 1:
        return Evidence.not_applicable(f"gamma L = {gamma * constants[0]:g} exceeds 1", **instead)
    history = optlab.solve(problem, BregmanDouglasRachford(gamma), max_iter=n, record="all").history
    to_primal, g, solution = problem.kernel.conjugate_gradient, problem.g, problem.reference
    x0 = to_primal(problem.resolvent_B(problem.initial_mirror(None), gamma))
    first = problem.kernel.divergence(solution, x0)
    first += gamma * float(g.value(solution) - g.value(x0) - g.gradient(x0) @ (solution - x0))
    K = np.arange(1, n + 1)
    averages = np.cumsum(history["suboptimality"][1:]) / K
    return Evidence(K, averages, first / (gamma * K), slack=1e-12, ylabel="average error of the objective")


@theorem(
    id="ot-outside-the-theory",
    paper=PAPER,
    title="Optimal transport: the assumption that fails, and what happens instead",
    statement="""The bound of order 1/K needs B = grad g with g smooth relative to h. On optimal transport A and B are
    normal cones of marginal constraints plus linear terms, so it does not apply. The method converges all the same at
    small step sizes, on every instance tried with gamma max C <= 30, and diverges on one 3 x 4 instance at 100.""",
    assumptions=("B = grad g with g smooth relative to h: fails for a normal cone",),
    source="that transport violates an assumption: Ma, Xiao, Zhao 2025; which one is judged by the bound derived here",
    expected="not_applicable",
)
def outside_the_theory(scale: str, seed: int) -> Evidence:
    a, b, cost = instance("rand", (8, 9), seed)
    # as a general composite problem on matrices: what the library knows about its terms is what is asked
    general = CompositeProblem(ColumnMarginal(b), RowMarginal(a) + Linear(cost), ShannonEntropy(), shape=cost.shape)
    transport, n = OptimalTransport(a, b, cost), at_scale(scale, 600, 3000)
    errors = [
        _column_error(state.x, cost, b)
        for state in states(transport, BregmanDouglasRachford(10.0), n, x0=_ones(transport))
    ]
    ends = {gamma: _counterexample_run(gamma, at_scale(scale, 1500, 20000))[0] for gamma in (60.0, 100.0)}
    detail = {
        f"3 x 4 instance, gamma = {gamma:g}: largest marginal error in the last tenth": float(
            run[-run.size // 10 :].max()
        )
        for gamma, run in ends.items()
    }
    return _judged(
        general, 10.0, n, k=np.arange(1, n + 1), observed=errors, detail=detail, ylabel="marginal error at gamma = 10"
    )


@outside_the_theory.control("a problem that meets the assumptions is judged: Kullback-Leibler on a capped simplex")
def _(scale: str, seed: int) -> Evidence:
    rng = np.random.default_rng(seed)
    problem = KullbackLeiblerOnCappedSimplex(20 * rng.dirichlet(np.ones(20)), 0.12, cost=rng.normal(size=20))
    return _judged(problem, 0.3, 60)


def _fixed_point(scale: str, seed: int, eps: float) -> Evidence:
    """Look for a fixed point: a zero of A + B inside dom h, towards which z_k must then settle."""
    a, b, cost = instance("rand", (8, 9), seed)
    vertex = linear_program(a, b, cost)
    problem, n = OptimalTransport(a, b, cost, regularization=eps, cost_split=0.0), at_scale(scale, 400, 2000)
    largest, moves = [], []
    for state in states(problem, BregmanDouglasRachford(10.0), n, x0=_ones(problem)):
        largest.append(float(np.max(np.abs(log_plan(state.z, cost)))))
        moves.append(float(np.max(np.abs(log_plan(state.y - state.x, cost)))))
    zeros = int(np.count_nonzero(vertex.plan == 0))
    if eps == 0.0 and zeros:
        return Evidence.not_applicable(
            f"every solution has zeros ({zeros} of {cost.size} entries here), so that it is on the boundary of dom h, "
            "A + B has no zero inside and the iteration no fixed point: ||grad h(z_k)|| grows without bound (drawn), "
            "while x_k converges.",
            k=np.arange(1, n + 1),
            observed=largest,
            ylabel="largest |log z_k|",
            detail={"growth per iteration at the end": (largest[-1] - largest[n // 2]) / (n - n // 2 - 1)},
        )
    bound = np.where(np.arange(n) < n - 1, np.inf, 1e-8)
    return Evidence(np.arange(1, n + 1), moves, bound, ylabel="largest change of log z")


@theorem(
    id="ot-no-fixed-point",
    paper=PAPER,
    title="A linear program has no fixed point inside the domain of the kernel",
    statement="""z is a fixed point iff x = J_{gB}(z) solves 0 in A(x) + B(x) and lies inside dom h. Solutions of
    optimal transport have zero entries, so that there is no fixed point, and the mirror points grow without bound
    although the plans x_k converge.""",
    assumptions=("A + B has a zero inside dom h: fails, every solution has zeros",),
    source=DERIVED,
    expected="not_applicable",
)
def no_fixed_point(scale: str, seed: int) -> Evidence:
    return _fixed_point(scale, seed, 0.0)


@no_fixed_point.control("entropic transport, whose solution is positive: the iteration settles")
def _(scale: str, seed: int) -> Evidence:
    return _fixed_point("smoke", seed, 0.05)


# ------------------------------------------------------------------------------------------------- divergence


def _divergence(n: int, first: str = "rows", gamma: float = 100.0) -> Evidence:
    """Record the largest potential at k against 1.5 times its value at k/2, and the marginal error beside it."""
    errors, largest = _counterexample_run(gamma, n, first=first)
    halves = [n // 4, n // 2, n]
    growth = [float(largest[k - 1] / largest[k // 2 - 1]) for k in halves]
    tail = float(errors[n - n // 20 :].max())
    if tail <= 1e-2:
        growth[-1] = 0.0  # it has converged: potentials that grew on the way prove nothing
    return Evidence(
        halves,
        growth,
        1.5,
        kind="counterexample",
        at="last",
        detail={
            "largest marginal error in the last twentieth": tail,
            "largest potential": float(largest[-1]),
            "potential per iteration": float(largest[-1] / n),
        },
        ylabel="largest potential at k over that at k/2",
        note=f"{n} iterations",
    )


@theorem(
    id="ot-divergence",
    proved=False,
    paper=PAPER,
    title="At a large constant step size the method can diverge on optimal transport",
    statement="""On the 3 x 4 instance of optlab.datasets.divergence_counterexample, rows first, z_0 = 1, theta = 0 and
    gamma = 100 / max C, the marginal error keeps returning above 1e-2 and the potentials, with optimal duals removed,
    grow linearly: their largest value more than 1.5-fold over the second half of the run.""",
    assumptions=("constant gamma = 100 / max C", "rows first, z_0 = 1, lambda = 1"),
    source=OBSERVED,
)
def divergence(scale: str, seed: int) -> Evidence:
    return _divergence(at_scale(scale, 4000, 100_000))


@divergence.control("gamma = 60")
def _(scale: str, seed: int) -> Evidence:
    return _divergence(2000, gamma=60.0)


@divergence.control("columns first")
def _(scale: str, seed: int) -> Evidence:
    return _divergence(1000, first="columns")


def _limit(errors: Any, tol: float, note: str = "") -> Evidence:
    k = np.arange(1, errors.size + 1)
    bound = np.where(k <= 0.95 * k[-1], np.inf, tol)
    return Evidence(k, errors, bound, ylabel="marginal error", note=note)


@theorem(
    id="ot-small-step-converges",
    proved=False,
    paper=PAPER,
    title="The same instance at gamma = 60",
    statement="""On the instance that diverges at gamma = 100 / max C, gamma = 60 / max C reaches a marginal error below
    1e-10.""",
    assumptions=("constant gamma = 60 / max C", "rows first, z_0 = 1, lambda = 1"),
    source=OBSERVED,
)
def small_step(scale: str, seed: int) -> Evidence:
    n = at_scale(scale, 1500, 100_000)
    return _limit(_counterexample_run(60.0, n)[0], 1e-10, f"{n} iterations")


@small_step.control("gamma = 100")
def _(scale: str, seed: int) -> Evidence:
    return _limit(_counterexample_run(100.0, 1500)[0], 1e-10)


@theorem(
    id="ot-damping-cures",
    proved=False,
    paper=PAPER,
    title="A tiny entropic damping cures the divergence",
    statement="""With the regularization eps = 1e-5 max C the instance that diverges at gamma = 100 / max C reaches a
    marginal error below 1e-6 within 5000 iterations.""",
    assumptions=("gamma = 100 / max C, eps = 1e-5 max C", "entropy and cost in A, z_0 = 1"),
    source=OBSERVED,
)
def damping(scale: str, seed: int) -> Evidence:
    return _limit(_counterexample_run(100.0, at_scale(scale, 3000, 5000), eps=1e-5)[0], 1e-6)


@damping.control("eps = 1e-8, too small to damp")
def _(scale: str, seed: int) -> Evidence:
    return _limit(_counterexample_run(100.0, 3000, eps=1e-8)[0], 1e-6)


@theorem(
    id="ot-growth-cures",
    proved=False,
    paper=PAPER,
    title="Growing step sizes avoid the divergence",
    statement="""With gamma_k = min(3 * 1.003^k, 100), carried potentials rescaled by the ratio of the steps, the same
    instance converges to a marginal error below 1e-6, though gamma ends at the value at which the constant step size
    diverges.""",
    assumptions=("geometric growth by 0.3 % per iteration from 3 to 100, times 1/max C", "ratio-corrected"),
    source=OBSERVED,
)
def growth(scale: str, seed: int) -> Evidence:
    schedule = Geometric(3.0, 1.003, 100.0)
    return _limit(_counterexample_run(schedule, at_scale(scale, 2000, 20000))[0], 1e-6)


@growth.control("gamma = 100 from the start")
def _(scale: str, seed: int) -> Evidence:
    return _limit(_counterexample_run(100.0, 2000)[0], 1e-6)


# -------------------------------------------------------------------------------- Peaceman-Rachford on transport


def _peaceman_rachford(scale: str, seed: int, method: Any) -> Evidence:
    """Record, over instances, the smallest marginal error in the second half of the run."""
    n, smallest = at_scale(scale, 1000, 10_000), []
    sizes = at_scale(scale, ((2, 2), (3, 4), (5, 6)), ((2, 2), (3, 3), (3, 4), (4, 4), (5, 6)))
    for size in sizes:
        for gamma in at_scale(scale, (10.0,), (1.0, 10.0, 100.0)):
            a, b, cost = instance("rand", size, seed)
            problem, errors = OptimalTransport(a, b, cost), []
            try:
                for state in states(problem, method(gamma), n, x0=_ones(problem)):
                    if state.k > n // 2:
                        errors.append(_column_error(state.x, cost, b))
            except (optlab.core.DomainError, ArithmeticError):  # potentials overflowed: no convergence either
                pass
            # "keeps returning": the largest error in each twentieth of the second half, then the smallest of these
            blocks = np.array_split(errors, 20) if len(errors) >= 20 else [np.array([np.inf])]
            smallest.append(float(min(block.max() for block in blocks)))
    return Evidence(
        np.arange(1, len(smallest) + 1),
        smallest,
        1e-2,
        kind="counterexample",
        at="all",
        xlabel="instance and step size",
        ylabel="marginal error",
        note=f"{n} iterations; the smallest, over twentieths of the second half, of the largest error within each",
    )


@theorem(
    id="bprs-transport-fails",
    proved=False,
    paper=PAPER,
    title="Peaceman-Rachford never converges on optimal transport",
    statement="""With relaxation 2 (no averaging) the marginal error on optimal transport keeps returning above 1e-2:
    after 10000 iterations on random instances from 2 x 2 to 5 x 6.""",
    assumptions=("balanced, unregularised transport, Shannon kernel", "lambda = 2"),
    source="observed here, no proof",
)
def peaceman_rachford(scale: str, seed: int) -> Evidence:
    return _peaceman_rachford(scale, seed, BregmanPeacemanRachford)


@peaceman_rachford.control("lambda = 1, Douglas-Rachford")
def _(scale: str, seed: int) -> Evidence:
    return _peaceman_rachford("smoke", seed, BregmanDouglasRachford)


def _near_solution(seed: int, relaxation: float) -> Evidence:
    """Fit the local factor from a start close to the solution, where the linearisation has the last word."""
    a, b, cost, vertex = nondegenerate(5, 6, 1 + seed)
    reduced, weight = vertex.reduced(cost), np.sqrt(vertex.plan)
    problem, gamma = gauged(a, b, cost, vertex, cost_split=1.0), 20.0
    # a plan X* on the support and nothing off it, up to a perturbation of the potentials
    rng = np.random.default_rng(seed)
    settled = optlab.solve(problem, BregmanDouglasRachford(gamma), max_iter=600, record=[600]).solution.mirror
    noise = MirrorPlan(1e-6 * rng.normal(size=a.size), 1e-6 * rng.normal(size=b.size), 0.0)
    steps = [
        float(np.linalg.norm(weight * log_plan(state.y - state.x, reduced)))
        for state in states(problem, BregmanDouglasRachford(gamma, relaxation), 300, x0=settled + noise)
    ]
    sigma = float(singular_values(vertex.plan)[1])
    return Evidence(
        np.arange(len(steps)),
        steps,
        1.0,
        kind="linear_rate",
        two_sided=True,
        rtol=1e-3,
        floor=1e-13,
        detail={"sigma_2": sigma},
        ylabel="step in mirror coordinates",
    )


@theorem(
    id="bprs-no-local-contraction",
    paper=PAPER,
    title="At lambda = 2 the linearised iteration is a rotation",
    statement="""For two affine sets sqrt(1 - lambda (2 - lambda) (1 - s^2)) = 1 at lambda = 2 for every angle. Close to
    a nondegenerate solution of transport Peaceman-Rachford neither approaches nor leaves it, to first order.""",
    assumptions=("nondegenerate, unique optimal vertex", "started within 1e-6 of it"),
    source=DERIVED,
)
def no_local_contraction(scale: str, seed: int) -> Evidence:
    return _near_solution(seed, 2.0)


@no_local_contraction.control("lambda = 1")
def _(scale: str, seed: int) -> Evidence:
    return _near_solution(seed, 1.0)


# ---------------------------------------------------------------------------------------------- no monotonicity


def _divergences(scale: str, seed: int, gamma: float) -> Evidence:
    a, b, cost = instance("rand", (8, 9), seed)
    solution, n = linear_program(a, b, cost).plan, 400
    log_solution = np.log(np.where(solution > 0, solution, 1.0))
    problem, values = OptimalTransport(a, b, cost), []
    for state in states(problem, BregmanDouglasRachford(gamma), n, x0=_ones(problem)):
        log_x = log_plan(state.x, cost)
        # rows of both sum to a: the linear terms of the divergence cancel
        values.append(float(np.sum(solution * (log_solution - log_x))))
    rises = np.diff(values)
    return Evidence(
        np.arange(1, n),
        rises,
        0.0,
        slack=1e-9,
        kind="counterexample",
        detail={"increases": int(np.sum(rises > 1e-9)), "of": n - 1, "gamma": gamma},
        ylabel="KL(x*, x_{k+1}) - KL(x*, x_k)",
    )


@theorem(
    id="ot-divergence-not-monotone",
    paper=PAPER,
    title="The divergence to the solution is no Lyapunov function",
    statement="""On optimal transport KL(x*, x_k) is not monotone at gamma = 30 / max C: the inner product in the
    one-step relation does not telescope for the Shannon kernel. At gamma = 3 / max C no increase is seen.""",
    assumptions=("8 x 9 instance", "lambda = 1"),
    source=DERIVED,
)
def not_monotone(scale: str, seed: int) -> Evidence:
    return _divergences(scale, seed, 30.0)


@not_monotone.control("gamma = 3 / max C")
def _(scale: str, seed: int) -> Evidence:
    return _divergences("smoke", seed, 3.0)
