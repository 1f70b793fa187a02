"""Bregman splitting: convergence seen on concrete problems, with the numbers that were claimed for them.

These are observations on seeded instances, not theorems: what the proven statements do not cover (optimal transport,
large step sizes, Peaceman-Rachford) is tested here against certificates and independent solutions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import optlab
from optlab.datasets import gaussian_game, rock_paper_scissors
from optlab.reproduce import Evidence, at_scale, theorem
from optlab.splitting import BregmanDouglasRachford, BregmanPeacemanRachford
from optlab.splitting.problems import (
    BoxQuadraticWithEquality,
    CappedSimplexProgram,
    MatrixGame,
    PoissonOnSimplex,
    SimplexProjection,
)
from optlab.theorems.bregman_splitting._instances import PAPER, instance
from optlab.transport import AnnealedSinkhorn, MirrorPlan, OptimalTransport, UnbalancedOptimalTransport

FAMILIES = ("rand", "sq2d", "gauss2d", "grid1d", "l2")
OBSERVED = "observed here on seeded instances; no proof"


def _ones(problem: OptimalTransport) -> MirrorPlan:
    return MirrorPlan.zeros(*problem.shape)


# --------------------------------------------------------------------------------------------- optimal transport


def _certified(scale: str, seed: int, method: Any, families: Any = FAMILIES) -> Evidence:
    """Record the median over seeds of the iterations to relative gaps 1e-2 and 1e-3, beside 400 and 2000."""
    n, seeds = at_scale(scale, 40, 100), at_scale(scale, 1, 5)
    counts, detail = [], {}
    for family in families:
        needed = np.array([_iterations(family, n, seed + i, method) for i in range(seeds)])
        counts += list(np.median(needed, axis=0))
        detail[family] = "to 1e-2: {:g} to {:g}, to 1e-3: {:g} to {:g} iterations".format(
            *np.stack([needed.min(axis=0), needed.max(axis=0)], axis=1).ravel()
        )
    return Evidence(
        np.arange(1, len(counts) + 1),
        counts,
        np.tile([400.0, 2000.0], len(families)),
        detail=detail,
        xlabel="family and accuracy",
        ylabel="iterations",
        note=f"n = {n}, {seeds} seed(s) per family; counts are upper bounds within 10 iterations",
    )


def _iterations(family: str, n: int, seed: int, method: Any) -> list[float]:
    problem = OptimalTransport(*instance(family, (n, n), seed))
    history = optlab.solve(problem, method, x0=_ones(problem), max_iter=2000, tol=1e-3, record=10).history
    reached = [np.flatnonzero(history["relative_gap"] < tol) for tol in (1e-2, 1e-3)]
    return [float(history["iteration"][found[0]]) if found.size else np.inf for found in reached]


@theorem(
    id="ot-certified-gap",
    proved=False,
    paper=PAPER,
    title="Certified accuracy on five families of transport problems",
    statement="""From the matrix of ones with the constant step size gamma = 10 / max C, Bregman Douglas-Rachford
    reaches a certified relative gap of 1e-2 within 400 and of 1e-3 within 2000 iterations on each of the five families
    with n = 100: in the median over five seeds. Single instances can need more (the assignment family 440).""",
    assumptions=("gamma max C = 10", "the seeded instances of optlab.datasets"),
    source=OBSERVED,
)
def certified_gap(scale: str, seed: int) -> Evidence:
    return _certified(scale, seed, BregmanDouglasRachford(10.0))


@certified_gap.control("no extrapolation: Sinkhorn annealed on the same schedule")
def _(scale: str, seed: int) -> Evidence:
    return _certified("smoke", seed, AnnealedSinkhorn(power=1.0, step_size=10.0), families=("gauss2d",))


def _annealed(scale: str, seed: int, method: Any, families: Any = FAMILIES) -> Evidence:
    """Record, per family, the smallest relative gap certified over the last fifth of the run."""
    n, most = at_scale(scale, 40, 100), at_scale(scale, 1000, 5000)
    gaps = []
    for family in families:
        problem = OptimalTransport(*instance(family, (n, n), seed))
        records = np.linspace(0.8 * most, most, 9).astype(int).tolist()
        history = optlab.solve(problem, method, x0=_ones(problem), max_iter=most, record=records).history
        gaps.append(float(history["relative_gap"][1:].min()))
    return Evidence(
        np.arange(1, len(families) + 1),
        gaps,
        5e-2,
        kind="counterexample",
        at="all",
        detail=dict(zip(families, gaps, strict=True)),
        xlabel=f"family ({', '.join(families)})",
        ylabel=f"relative gap after {most} iterations",
    )


@theorem(
    id="ot-annealing-needs-extrapolation",
    proved=False,
    paper=PAPER,
    title="Without the extrapolation the same cooling schedule does not converge",
    statement="""Sinkhorn annealed linearly, inverse temperature 10 (k+1) / max C, has a relative gap above 5e-2 after
    5000 iterations on each of the five families. Bregman Douglas-Rachford is the same iteration with one potential
    extrapolated to the next temperature.""",
    assumptions=("linear schedule of slope 10 / max C", "start at the matrix of ones"),
    source=f"{OBSERVED}; that a linear schedule fails: Chizat 2024",
)
def annealing(scale: str, seed: int) -> Evidence:
    return _annealed(scale, seed, AnnealedSinkhorn(power=1.0, step_size=10.0))


@annealing.control("with the extrapolation: Bregman Douglas-Rachford")
def _(scale: str, seed: int) -> Evidence:
    return _annealed("smoke", seed, BregmanDouglasRachford(10.0), ("rand", "l2"))


# --------------------------------------------------------------------------------- Peaceman-Rachford where it works


def _unbalanced(seed: int, penalty: float) -> Evidence:
    a, b, cost = instance("rand", (20, 25), seed)
    problem = UnbalancedOptimalTransport(a, 1.3 * b, cost, penalty=penalty)
    history = optlab.solve(problem, BregmanPeacemanRachford(10.0), max_iter=100, record="all").history
    return Evidence(
        history["iteration"],
        history["gap"],
        np.where(history["iteration"] < 100, np.inf, 1e-6),
        detail={"penalty": penalty},
        ylabel="certified gap",
    )


@theorem(
    id="bprs-unbalanced",
    proved=False,
    paper=PAPER,
    title="Peaceman-Rachford converges on unbalanced transport",
    statement="""On unbalanced transport with Kullback-Leibler penalties of weight 1 on the marginals, Bregman
    Peaceman-Rachford with gamma = 10 / max C has a certified gap below 1e-6 after 100 iterations: the penalties
    contract where the constraints of balanced transport do not.""",
    assumptions=("penalty tau = 1", "gamma max C = 10"),
    source=OBSERVED,
)
def unbalanced(scale: str, seed: int) -> Evidence:
    return _unbalanced(seed, 1.0)


@unbalanced.control("penalty 1000, nearly the constraints of balanced transport")
def _(scale: str, seed: int) -> Evidence:
    return _unbalanced(seed, 1000.0)


# ------------------------------------------------------------------------------------------------ games, P1 to P4


def _game(scale: str, seed: int, method: Any) -> Evidence:
    games = {"perturbed rock, paper, scissors": rock_paper_scissors(0.1, seed)}
    n, m = at_scale(scale, (8, 10), (20, 30))
    games["Gaussian"] = gaussian_game(n, m, seed=seed)
    last, detail = [], {}
    for name, M in games.items():
        problem = MatrixGame(M)
        result = optlab.solve(problem, method, max_iter=at_scale(scale, 150, 500), tol=1e-8, record=5)
        last.append(result.metrics["gap"])
        value = problem.reference_solution()[0]
        lower, upper = result.metrics["value_lower"], result.metrics["value_upper"]
        if not lower - 1e-9 <= value <= upper + 1e-9:
            last[-1] = np.nan  # the certificate itself would be wrong
        detail[name] = f"gap {last[-1]:.2g} after {result.n_iter} iterations, value {value:.6f}"
    return Evidence([1, 2], last, 1e-8, detail=detail, xlabel="game", ylabel="duality gap")


@theorem(
    id="bdrs-matrix-game",
    proved=False,
    paper=PAPER,
    title="A monotone inclusion that is no minimisation: matrix games",
    statement="""With B the normal cone of the two simplices and A the skew operator of the game, h Shannon and
    gamma = 30, the duality gap is below 1e-8 within 500 iterations, and the certified interval contains the value of
    the game.""",
    assumptions=("A maximal monotone, not a subdifferential", "gamma = 30, lambda = 1"),
    source=OBSERVED,
)
def matrix_game(scale: str, seed: int) -> Evidence:
    return _game(scale, seed, BregmanDouglasRachford(30.0))


@matrix_game.control("Peaceman-Rachford")
def _(scale: str, seed: int) -> Evidence:
    return _game("smoke", seed, BregmanPeacemanRachford(30.0))


def _references(seed: int, n: int, wrong: bool) -> Evidence:
    rng = np.random.default_rng(seed)
    cases: dict[str, tuple[Any, float, float]] = {
        "Poisson with cost on the simplex": (
            PoissonOnSimplex(rng.uniform(0.1, 1.0, 50), cost=rng.random(50)),
            0.1,
            100.0,
        ),
        "projection onto the simplex": (SimplexProjection(0.3 * rng.normal(size=50)), 30.0, 0.1),
        "linear program on the capped simplex": (CappedSimplexProgram(rng.random(50), 0.1), 30.0, 0.1),
        "box quadratic with one equality": (
            BoxQuadraticWithEquality(rng.uniform(-0.5, 1.5, 50), np.ones(50), 20.0),
            30.0,
            0.1,
        ),
    }
    errors, detail = [], {}
    for name, (problem, good, bad) in cases.items():
        result = optlab.solve(problem, BregmanDouglasRachford(bad if wrong else good), max_iter=n, record=[n])
        errors.append(float(np.max(np.abs(np.asarray(result.solution) - problem.reference))))
        detail[name] = f"error {errors[-1]:.2g} after {n} iterations"
    return Evidence(
        np.arange(1, len(errors) + 1),
        errors,
        1e-7,
        detail=detail,
        xlabel="problem",
        ylabel="largest error of a coordinate",
    )


@theorem(
    id="bdrs-reference-solutions",
    proved=False,
    paper=PAPER,
    title="Four small problems with known solutions, at a good step size",
    statement="""Bregman Douglas-Rachford reaches the exact solutions (from sorting or one scalar equation) to 1e-7 on
    Poisson likelihood with a cost on the simplex, projection onto the simplex, a linear program on a capped simplex
    (Shannon) and a box quadratic with one equality (Fermi-Dirac), within 300 iterations.""",
    assumptions=("step sizes 0.1, 30, 30 and 30, found by trial",),
    source=OBSERVED,
)
def reference_solutions(scale: str, seed: int) -> Evidence:
    return _references(seed, 300, wrong=False)


@reference_solutions.control("step sizes far from the good ones")
def _(scale: str, seed: int) -> Evidence:
    return _references(seed, 100, wrong=True)
