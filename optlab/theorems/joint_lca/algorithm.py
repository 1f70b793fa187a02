"""Joint linked component analysis: what the algorithm does.

Alternating Procrustes updates and a per-component refinement are named by Xiao, Xiao (2024, arXiv 2406.11761); the
formulas are reconstructed, the monotone descent and the thresholds derived here. No statement is a theorem of the
paper.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np

import optlab
from optlab.datasets.multiview import make_linked_views
from optlab.multiview import AlternatingProcrustes, LinkedComponents, certify
from optlab.multiview.alternating import component_pass
from optlab.reproduce import Evidence, at_scale, theorem
from optlab.theorems.joint_lca._instances import (
    GROUPED,
    MEASURED,
    PAPER,
    RECONSTRUCTED,
    Deviation,
    fit,
    judge,
    rate,
    small_problem,
)

# ------------------------------------------------------------------------------------------------- descent


def _descent(seed: int, count: int, iterations: int) -> Evidence:
    """Return the largest step up of the objective in each of `count` random problems."""
    # a shrinkage under the factored penalty costs as much as fifty others
    penalties = (*(4 * (*GROUPED, "adaptive"))[:17], "factored")
    method, worst = AlternatingProcrustes(refine_every=2), []
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        share = 0.0 if i % 7 == 0 else rng.uniform(0, 1.1)
        problem = small_problem(seed + i, penalties[i % len(penalties)], share, n_views=int(rng.integers(2, 5)))
        x0 = problem.random_start(rng) if (i // len(penalties)) % 2 else problem.spectral_start()
        states = islice(optlab.iterate(problem, method, x0=x0), iterations + 1)
        values = [problem.objective(state.c, state.d, state.a, state.adaptive) for state in states]
        worst.append(float(np.max(np.diff(values))) / problem.total)
    return _steps_up(worst, iterations)


def _steps_up(worst: list[float], iterations: int) -> Evidence:
    # rounding is relative to the squared norm of the data: the objective itself can be zero
    return Evidence(
        np.arange(1, len(worst) + 1),
        worst,
        np.full(len(worst), 1e-12),
        rtol=0.0,
        detail={"steps": len(worst) * iterations, "problems with a step up": int(np.sum(np.array(worst) > 1e-12))},
        xlabel="problem",
        ylabel="largest step up / norm of the data",
    )


@theorem(
    id="joint-lca-descent",
    paper=PAPER,
    title="The objective never increases",
    statement="""From spectral and from random starts, for no penalty and for the group lasso, MCP, SCAD, L0, the
    adaptive and the factored penalty, F_{t+1} <= F_t: each Procrustes and each shrinkage step is an exact
    minimisation, and a component pass raises group norms, of which the minimised objective is a non-increasing
    function.""",
    assumptions=("a penalty that is a non-decreasing function of the group norm, or the factored one",),
    source=RECONSTRUCTED,
)
def descent(scale: str, seed: int) -> Evidence:
    return _descent(seed, at_scale(scale, 20, 900, 9000), at_scale(scale, 5, 12))


@descent.control("the component pass under the ungrouped lasso")
def _(scale: str, seed: int) -> Evidence:
    worst = []
    for i in range(30):
        problem = small_problem(seed + i, "lasso", 0.5)
        V = np.concatenate(problem.random_start(np.random.default_rng([seed, i])))
        values = []
        for _ in range(6):
            c = problem.correlations(V)
            values.append(problem.objective(c, problem.penalty.shrink(c, problem.lam, problem.sqrt_weights)[0]))
            V = component_pass(problem.replace(penalty="group"), V)
        worst.append(float(np.max(np.diff(values))) / problem.total)
    return _steps_up(worst, 5)


# ------------------------------------------------------------------------------------------------- stationarity


def _stationarity(seed: int, max_iter: int, p: tuple[int, ...]) -> Evidence:
    """Check ``M_k = V_k H_k`` with H_k symmetric positive semidefinite, in the features, from plain matrices."""
    data, found = make_linked_views("A", p=p, seed=seed), []
    X = [V - V.mean(axis=0) for V in data.views]
    K, n = len(X), len(X[0])
    for penalty in GROUPED:
        problem = LinkedComponents(data.views, lam=8.0 if penalty == "l0" else 4.0, max_rank=6, penalty=penalty)
        solution = fit(problem, tol=1e-15, max_iter=max_iter).solution
        V, d = solution.loadings, solution.diagonals[:, :, : solution.rank]
        residual, smallest = 0.0, 0.0
        for k in range(K):
            M = sum(X[k].T @ (X[l] @ (V[l] * d[k, l])) / (n - 1) for l in range(K) if l != k)
            H, size = V[k].T @ M, np.linalg.norm(M)
            residual = max(residual, float(np.linalg.norm(M - V[k] @ (H + H.T) / 2) / size))
            smallest = min(smallest, float(np.linalg.eigvalsh(H + H.T)[0] / size))
        found += [
            Deviation(f"{penalty}: stationarity", residual, 1e-6),
            Deviation(f"{penalty}: negative curvature of a view", -smallest, 1e-8),
        ]
    return judge(found)


@theorem(
    id="joint-lca-stationary",
    paper=PAPER,
    title="A converged fit satisfies the stationarity conditions",
    statement="""With M_k = sum_l w_kl S_kl V_l D_kl, a fit run until nothing changes has M_k = V_k H_k with H_k
    symmetric to 1e-6 of ||M_k||, and positive semidefinite: every V_k is a Procrustes optimum given the others.""",
    assumptions=("run to convergence",),
    source=RECONSTRUCTED,
)
def stationary(scale: str, seed: int) -> Evidence:
    return _stationarity(seed, at_scale(scale, 200, 3000), at_scale(scale, (15, 20, 25), (40, 60, 80)))


@stationary.control("one iteration only")
def _(scale: str, seed: int) -> Evidence:
    return _stationarity(seed, 1, (15, 20, 25))


# ------------------------------------------------------------------------------------------------- thresholds


def _threshold(seed: int, count: int, largest: Any, penalties: tuple[str, ...]) -> Evidence:
    """Fit just below and just above what `largest` says is the largest useful penalty."""
    found = []
    for i in range(count):
        data = make_linked_views("S", p=(10, 12, 14), individual=(2,), seed=seed + i)
        base = LinkedComponents(data.views, max_rank=2)
        low, high = base.lambda_max_bounds()
        top = largest(base)
        found += [
            Deviation(f"data {i}: largest operator norm less lam_max", low - top, 1e-9 * top),
            Deviation(f"data {i}: lam_max less root of all squared operator norms", top - high, 1e-9 * top),
        ]
        for penalty in penalties:
            problem = base.replace(penalty=penalty)
            if penalty == "factored":
                norm, power = largest(problem), 1.0
            else:
                norm, power = top, 2.0 if penalty == "l0" else 1.0
            half = 0.5 if penalty == "l0" else 1.0
            below = fit(problem.replace(lam=half * (0.999 * norm) ** power), max_iter=6).solution.rank
            above = fit(problem.replace(lam=half * (1.001 * norm) ** power), max_iter=6)
            excess = abs(above.metrics["objective"] / problem.total - 0.5)
            found += [
                Deviation(f"data {i}, {penalty}: |rank - 1| below", abs(below - 1), 0),
                Deviation(f"data {i}, {penalty}: rank above", above.solution.rank, 0),
                Deviation(f"data {i}, {penalty}: objective above, less that of zero", excess, 1e-14),
            ]
    return judge(found)


@theorem(
    id="joint-lca-largest-penalty",
    paper=PAPER,
    title="The largest useful penalty",
    statement="""Let lam_max be the largest group norm of one component (for the factored penalty: the largest
    eigenvalue of the matrix of all cross-covariances). The fit has rank 1 at 0.999 lam_max and rank 0 at 1.001 lam_max
    (L0: of lam_max^2 / 2, accordingly), and lam_max lies between the largest operator norm of a pair and the root of
    the sum of their squares.""",
    assumptions=("rank one and rank two thresholds are apart by more than 0.1 %",),
    source=RECONSTRUCTED,
)
def largest_penalty(scale: str, seed: int) -> Evidence:
    return _threshold(seed, at_scale(scale, 1, 20), LinkedComponents.lambda_max, (*GROUPED, "factored"))


@largest_penalty.control("three views, the largest operator norm of a pair in place of lam_max")
def _(scale: str, seed: int) -> Evidence:
    return _threshold(seed, 1, lambda problem: problem.lambda_max_bounds()[0], ("group",))


# ------------------------------------------------------------------------------------------------- random starts


def _dead(seed: int, count: int, method: AlternatingProcrustes) -> Evidence:
    """Start where every group norm is below lam, and count the components after 50 iterations."""
    data = make_linked_views("S", seed=seed)
    base, ranks, shares = LinkedComponents(data.views, max_rank=6), [], []
    for i in range(count):
        x0 = base.random_start(np.random.default_rng([seed, i]))
        norms = np.linalg.norm(base.correlations(np.concatenate(x0)), axis=0)
        problem = base.replace(lam=1.01 * float(norms.max()))
        ranks.append(fit(problem, x0, method=method, max_iter=50).solution.rank)
        shares.append(problem.lam / base.lambda_max())
    return Evidence(
        np.arange(1, count + 1),
        ranks,
        np.zeros(count),
        rtol=0.0,
        detail={"lam / lam_max, largest": max(shares)},
        xlabel="random start",
        ylabel="rank after 50 iterations",
    )


@theorem(
    id="joint-lca-dead-components",
    paper=PAPER,
    title="Procrustes updates alone never revive a component",
    statement="""A component with d_j = 0 has a zero column in every M_k, so that Procrustes updates and shrinkage
    leave it at zero for ever: from a start whose group norms are all below lam the rank stays 0, at a lam far below
    lam_max.""",
    assumptions=("no per-component refinement", "all group norms of the start below lam"),
    source=RECONSTRUCTED,
)
def dead_components(scale: str, seed: int) -> Evidence:
    return _dead(seed, at_scale(scale, 5, 40), AlternatingProcrustes(refine_every=0))


@dead_components.control("with the per-component refinement")
def _(scale: str, seed: int) -> Evidence:
    return _dead(seed, 1, AlternatingProcrustes())


# what a random start may end above the fit of the spectral start, relative; at lam = 2 noise components come in too
REACHED = {2.0: 1e-4, 5.0: 1e-6}


def _re_entry(
    seeds: tuple[int, ...], count: int, lams: tuple[float, ...], method: AlternatingProcrustes, max_iter: int = 2000
) -> Evidence:
    missed, worst = [], dict.fromkeys(lams, 0.0)
    for data_seed in seeds:
        data = make_linked_views("S", seed=data_seed)
        for lam in lams:
            problem = LinkedComponents(data.views, lam=lam, max_rank=6)
            best = fit(problem, tol=1e-8, max_iter=max_iter).metrics["objective"]
            for i in range(count):
                x0 = problem.random_start(np.random.default_rng([data_seed, i]))
                value = fit(problem, x0, method=method, tol=1e-8, max_iter=max_iter).metrics["objective"]
                worst[lam] = max(worst[lam], value / best - 1)
                missed.append(value > best * (1 + REACHED[lam]))
    largest = {f"largest excess, lam = {lam:g}": value for lam, value in worst.items()}
    return rate(missed, 0.05, "random starts that miss the objective of the spectral start", **largest)


@theorem(
    id="joint-lca-re-entry",
    paper=PAPER,
    title="With the refinement, random starts reach the fit of the spectral start",
    statement="""Strong signal (three views, n = 200, six components carried): at least 95 % of random starts end at
    most 1e-6 above the objective of the spectral start for lam = 5, where only joint components are kept, and 1e-4
    above for lam = 2, where up to three components of noise are kept too and some starts differ in those (by
    1e-5).""",
    assumptions=("per-component refinement", "strong signal"),
    source=MEASURED,
)
def re_entry(scale: str, seed: int) -> Evidence:
    seeds, count, lams = at_scale(
        scale, ((seed,), 60, (5.0,)), ((seed, seed + 1), 40, (2.0, 5.0)), ((seed, seed + 1), 100, (2.0, 5.0))
    )
    return _re_entry(seeds, count, lams, AlternatingProcrustes())


@re_entry.control("no refinement")
def _(scale: str, seed: int) -> Evidence:
    return _re_entry((seed,), 2, (5.0,), AlternatingProcrustes(refine_every=0), 100)


# ------------------------------------------------------------------------------------------------- certificates


def _certified(seed: int, count: int, p: tuple[int, ...], lams: tuple[float, ...], fitted: bool) -> Evidence:
    below, gaps, detail = [], [], {}
    for i in range(count):
        data = make_linked_views("S", p=p, seed=seed + i)
        for lam in lams:
            problem = LinkedComponents(data.views, lam=lam, penalty="factored", max_rank=8)
            x0 = None if fitted else problem.random_start(np.random.default_rng(seed))
            answer = certify(problem, fit(problem, x0, tol=1e-8, max_iter=2000 if fitted else 0).solution)
            below.append((answer.lower_bound - answer.objective) / answer.objective)
            gaps.append(answer.gap)
            detail[f"gap, data {i}, lam = {lam:g}"] = answer.gap
    n = len(gaps)
    return Evidence(
        np.tile(np.arange(1, n + 1), 2),
        below + gaps,
        np.repeat([1e-9, 5e-3], n),
        rtol=0.0,
        detail=detail,
        xlabel="problem (first: bound above the objective; then: relative gap)",
        ylabel="relative deviation",
    )


@theorem(
    id="joint-lca-certificate",
    paper=PAPER,
    title="The semidefinite relaxation bounds the factored objective, and nearly attains it",
    statement="""Strong signal (three views of 20, 25 and 30 features), lam from 2 to 6: the convex problem without
    orthogonality is a lower bound of the factored objective, and the fit exceeds it by less than half a percent.""",
    assumptions=("the factored penalty", "equal pair weights", "a converged fit"),
    source=f"the bound: {RECONSTRUCTED}; the size of the gap: measured",
)
def certificate(scale: str, seed: int) -> Evidence:
    return _certified(seed, at_scale(scale, 1, 10), (20, 25, 30), at_scale(scale, (6.0,), (2.0, 3.0, 4.5, 6.0)), True)


@certificate.control("a random point")
def _(scale: str, seed: int) -> Evidence:
    return _certified(seed, 1, (20, 25, 30), (6.0,), False)
