"""Bregman splitting: resolvents and operators on general problems, checked against their own conditions.

Ma, Xiao, Zhao (2025, arXiv 2509.08739) introduce the Bregman reflection and Mann operators and Bregman Douglas-Rachford
splitting. The dual side is in `bregman_splitting_duality`, optimal transport in `bregman_splitting_transport`.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np

import optlab
from optlab.bregman import (
    BurgEntropy,
    FermiDirac,
    Hellinger,
    ShannonEntropy,
    SquaredEuclidean,
    mann,
    reflection,
    resolvent,
)
from optlab.bregman.functions import (
    Box,
    BregmanDistance,
    CappedSimplex,
    Hyperplane,
    ItakuraSaito,
    KullbackLeibler,
    Linear,
    NegativeEntropy,
    Poisson,
    Quadratic,
    RowMarginal,
    Simplex,
    SkewGame,
    SquaredDistance,
)
from optlab.core import DomainError
from optlab.reproduce import Evidence, at_scale, theorem
from optlab.splitting import BregmanDouglasRachford, CompositeProblem
from optlab.splitting.problems import ItakuraSaitoOnSimplex
from optlab.theorems.bregman_splitting._instances import DERIVED, KERNELS, PAPER, distance, states

# ------------------------------------------------------------------------------------------------------ resolvents


def _smooth_rows(rng: np.random.Generator) -> list[tuple[Any, Any]]:
    """Return (kernel, term) pairs whose resolvent is characterised by ``grad h(x) + g grad f(x) = mirror``."""
    q, c, t = rng.uniform(0.1, 3.0, 12), rng.normal(size=12), 0.7
    inside = rng.uniform(0.1, 0.9, 12)
    shannon, fermi, hellinger, burg = ShannonEntropy(), FermiDirac(), Hellinger(), BurgEntropy()
    return [
        (shannon, Linear(c)),
        (shannon, NegativeEntropy(t)),
        (shannon, KullbackLeibler(q, t)),
        (shannon, Poisson(q, t)),
        (shannon, SquaredDistance(q, t)),
        (fermi, Linear(c)),
        (fermi, BregmanDistance(inside, fermi, t)),
        (fermi, SquaredDistance(q, t)),
        (FermiDirac(-0.5, 2.0), SquaredDistance(q, t)),
        (hellinger, Linear(c)),
        (burg, Linear(np.abs(c))),
        (burg, Poisson(q, t)),
        (burg, ItakuraSaito(q, t)),
        (burg, SquaredDistance(q, t)),
        (SquaredEuclidean(), SquaredDistance(q, t)),
    ]


def _start_of(kernel: Any, rng: np.random.Generator) -> Any:
    mirror = 2.0 * rng.normal(size=12)
    return -np.exp(mirror / 2) if isinstance(kernel, BurgEntropy) else mirror


def _smooth_residuals(rng: np.random.Generator, step: float, factor: float) -> list[float]:
    """Residuals of the optimality condition relative to its largest term; `factor` spoils the weight of the term."""
    found = []
    for kernel, term in _smooth_rows(rng):
        mirror = _start_of(kernel, rng)
        y = resolvent(term, kernel, mirror, step)
        x = kernel.conjugate_gradient(y)
        slope = factor * step * term.gradient(x)
        found.append(float(np.max(np.abs(y + slope - mirror) / (np.abs(y) + np.abs(slope) + np.abs(mirror)))))
    return found


def _constraint_residuals(rng: np.random.Generator) -> list[float]:
    """Residuals of feasibility and of ``mirror - y`` being normal to the set."""
    found = []
    normal, point = rng.uniform(0.2, 2.0, 12), rng.uniform(0.2, 0.8, 12)
    for kernel in (*KERNELS, BurgEntropy()):
        mirror = _start_of(kernel, rng)
        offset = float(normal @ point)
        y = resolvent(Hyperplane(normal, offset), kernel, mirror, 1.0)
        multiplier = (mirror - y) / normal
        size = float(np.max(np.abs(mirror)) + np.max(np.abs(y)))
        found.append(float(np.ptp(multiplier)) / (size / normal.min()))
        found.append(abs(float(normal @ kernel.conjugate_gradient(y)) - offset) / offset)
    for kernel in (ShannonEntropy(), BurgEntropy(), FermiDirac()):
        mirror = _start_of(kernel, rng)
        y = resolvent(Box(0.3, 0.6), kernel, mirror, 1.0)
        x = kernel.conjugate_gradient(y)
        wanted = np.clip(kernel.conjugate_gradient(mirror), 0.3, 0.6)
        found.append(distance(x, wanted))
    mirror = _start_of(ShannonEntropy(), rng)
    x = np.exp(resolvent(Simplex(2.0), ShannonEntropy(), mirror, 1.0))
    found.append(distance(x, 2.0 * np.exp(mirror) / np.exp(mirror).sum()))
    caps = rng.uniform(0.1, 0.5, 12)
    x = np.exp(resolvent(CappedSimplex(caps, 1.0), ShannonEntropy(), mirror, 1.0))
    free = x < caps * (1 - 1e-12)
    found += [abs(x.sum() - 1.0), float(np.ptp((mirror - np.log(x))[free]))]
    x = np.exp(resolvent(RowMarginal(np.array([0.5, 1.5])), ShannonEntropy(), mirror.reshape(2, 6), 1.0))
    found.append(distance(x.sum(axis=1), np.array([0.5, 1.5])))
    return found


def _game_residual(rng: np.random.Generator, step: float) -> float:
    M = rng.normal(size=(5, 7))
    mirror = rng.normal(size=12)
    y = resolvent(SkewGame(M), ShannonEntropy(), mirror, step)
    x = np.exp(y)
    value = np.concatenate([M @ x[5:], -M.T @ x[:5]])
    return float(np.max(np.abs(y + step * value - mirror))) / (1.0 + step * float(np.max(np.abs(value))))


def _resolvent_evidence(seed: int, factor: float = 1.0) -> Evidence:
    steps = np.array([1e-3, 0.1, 1.0, 10.0, 25.0, 1e3])
    worst = []
    for step in steps:
        rng = np.random.default_rng(seed)
        residuals = _smooth_residuals(rng, float(step), factor)
        residuals += _constraint_residuals(rng)
        residuals.append(_game_residual(rng, float(step)))
        worst.append(max(residuals))
    return Evidence(
        np.log10(steps),
        worst,
        kind="identity",
        slack=1e-12,
        detail={"resolvents": len(residuals)},
        xlabel="log10 of the step size",
        ylabel="largest relative residual of the optimality condition",
    )


@theorem(
    id="bregman-resolvents",
    paper=PAPER,
    title="The closed-form Bregman resolvents solve their optimality conditions",
    statement="""The resolvent x = J_{gT}(z) = (grad h + g T)^{-1} grad h(z), in the closed forms used here, satisfies
    grad h(z) - grad h(x) in g T(x), with a residual below 1e-12 of its largest term, for every pair of kernel and term
    in the table and all step sizes g.""",
    assumptions=("h Legendre", "T maximal monotone with a resolvent inside dom h"),
    source=f"definition of the resolvent: Ma, Xiao, Zhao 2025; closed forms {DERIVED}",
)
def resolvents(scale: str, seed: int) -> Evidence:
    return _resolvent_evidence(seed)


@resolvents.control("the term's weight off by one part in a million in the condition")
def _(scale: str, seed: int) -> Evidence:
    return _resolvent_evidence(seed, factor=1 + 1e-6)


# ------------------------------------------------------------------------------------------------- operator forms


def _affine_pair(kernel: Any, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(6, 6))
    A, B = Quadratic(root @ root.T / 6, rng.normal(size=6)), SquaredDistance(rng.uniform(0.1, 0.9, 6), 0.7)
    return CompositeProblem(A, B, kernel, shape=6)


def _mann_evidence(scale: str, seed: int, weight: Any) -> Evidence:
    n, gamma = at_scale(scale, 4, 40), 0.6
    worst = np.zeros(n)
    for kernel in KERNELS:
        problem = _affine_pair(kernel, seed)
        for relaxation in at_scale(scale, (0.5, 1.0, 2.0), (0.5, 1.0, 1.5, 2.0)):
            z = problem.initial_mirror(None)

            def peaceman_rachford(mirror: Any, problem: Any = problem, kernel: Any = kernel) -> Any:
                return reflection(problem.A, kernel, reflection(problem.B, kernel, mirror, gamma), gamma)

            method = BregmanDouglasRachford(gamma, relaxation)
            for i, state in enumerate(states(problem, method, n)):
                z = mann(peaceman_rachford, kernel, z, weight(relaxation))
                worst[i] = max(worst[i], distance(state.z, z))
    return Evidence(
        np.arange(1, n + 1), worst, kind="identity", slack=1e-10, ylabel="largest difference of mirror points"
    )


@theorem(
    id="bdrs-mann-form",
    paper=PAPER,
    title="Relaxed Bregman Douglas-Rachford is a Mann iteration of two reflections",
    statement="""The iteration with relaxation lambda is z_{k+1} = M_{1-lambda/2}(R_{gA} R_{gB}) z_k; lambda = 1 is
    Bregman Douglas-Rachford (M_{1/2}), lambda = 2 Bregman Peaceman-Rachford (no averaging).""",
    assumptions=("h Legendre with gradient onto", "A, B maximal monotone"),
    source="Ma, Xiao, Zhao 2025, definitions of the reflection and Mann operators and of both methods (lambda = 1, 2); "
    "general lambda derived here",
)
def mann_form(scale: str, seed: int) -> Evidence:
    return _mann_evidence(scale, seed, lambda relaxation: 1 - relaxation / 2)


@mann_form.control("averaging weight 1 - lambda/2.5")
def _(scale: str, seed: int) -> Evidence:
    return _mann_evidence("smoke", seed, lambda relaxation: 1 - relaxation / 2.5)


def _classical_evidence(scale: str, seed: int, kernel: Any) -> Evidence:
    n, gamma = at_scale(scale, 20, 200), 0.8
    rng = np.random.default_rng(seed)
    root, c, q = rng.normal(size=(6, 6)), rng.normal(size=6), rng.uniform(0.2, 0.8, 6)
    problem = CompositeProblem(Quadratic(root @ root.T / 6, c), SquaredDistance(q, 0.7), kernel, shape=6)
    z = np.full(6, 0.5)
    inverse = np.linalg.inv(np.eye(6) + gamma * root @ root.T / 6)
    worst = []
    for state in states(problem, BregmanDouglasRachford(gamma), n, x0=np.full(6, 0.5)):
        x = (z + gamma * 0.7 * q) / (1 + gamma * 0.7)
        y = inverse @ (2 * x - z - gamma * c)
        z = z + y - x
        worst.append(max(distance(state.x, x), distance(state.y, y), distance(state.z, z)))
    return Evidence(np.arange(1, n + 1), worst, kind="equivalence", slack=1e-12, ylabel="largest difference of x, y, z")


@theorem(
    id="bdrs-classical",
    paper=PAPER,
    title="With the quadratic kernel the method is classical Douglas-Rachford",
    statement="""For h(x) = ||x||^2 / 2 Bregman Douglas-Rachford is the method of Lions and Mercier:
    x = prox_{g g}(z), y = prox_{g f}(2x - z), z+ = z + y - x, computed here by plain linear algebra.""",
    assumptions=("h = ||.||^2 / 2",),
    source="Ma, Xiao, Zhao 2025; Lions, Mercier 1979",
)
def classical(scale: str, seed: int) -> Evidence:
    return _classical_evidence(scale, seed, SquaredEuclidean())


@classical.control("Hellinger's kernel instead of the quadratic one")
def _(scale: str, seed: int) -> Evidence:
    return _classical_evidence("smoke", seed, Hellinger(2.0))


# ---------------------------------------------------------------------------------------------- the range condition


def _range_evidence(gamma: float, seed: int) -> Evidence:
    """Record the largest coordinate of ``2 grad h(x_k) - grad h(z_k)``, which Burg's kernel needs to be negative."""
    problem = ItakuraSaitoOnSimplex(np.random.default_rng(5 + seed).uniform(0.1, 1.0, 20))
    method, largest = BregmanDouglasRachford(gamma), []
    try:
        for state in islice(optlab.iterate(problem, method), 50):
            x = problem.resolvent_B(state.z, gamma)
            largest.append(float(np.max(2 * x - state.z)))
    except DomainError as error:
        caught = str(error)
    else:
        caught = "none"
    result = optlab.solve(problem, method, max_iter=50)
    if (largest[-1] > 0) != (result.status is optlab.Status.DIVERGED):
        largest.append(np.nan)  # the solver must say so exactly where the condition fails
    return Evidence(
        np.arange(len(largest)),
        largest,
        0.0,
        kind="counterexample",
        detail={"step size": gamma, "status of the run": result.status.name, "error": caught},
        ylabel="largest coordinate of 2 grad h(x) - grad h(z)",
    )


@theorem(
    id="burg-range-condition",
    paper=PAPER,
    title="A reflection may have no primal point: Burg's kernel at a large step size",
    statement="""The reflection needs 2 grad h(J z) - grad h(z) inside dom h*. Where grad h is not onto this can fail:
    with Burg's kernel (grad h = -1/x < 0) on an Itakura-Saito problem over the simplex and gamma = 10 the reflected
    mirror point becomes positive within a few iterations, and the run ends with a DomainError instead of a number.""",
    assumptions=("h Burg's entropy", "weight 1, gamma = 10"),
    source=DERIVED,
)
def burg_range(scale: str, seed: int) -> Evidence:
    return _range_evidence(10.0, seed)


@burg_range.control("gamma = 1 = 1/L, where the condition is met at every iteration")
def _(scale: str, seed: int) -> Evidence:
    return _range_evidence(1.0, seed)
