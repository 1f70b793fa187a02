"""Bregman splitting: resolvents, operators and equivalences on general problems, checked against independent solves.

Ma, Xiao, Zhao (2025, arXiv 2509.08739) introduce the Bregman reflection and Mann operators, Bregman Douglas-Rachford
splitting and its equivalence with Bregman ADMM on the dual. Optimal transport is in `bregman_splitting_transport`.
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
from optlab.reproduce import Evidence, theorem
from optlab.splitting import (
    AlternatingExponentialMultipliers,
    BregmanADMM,
    BregmanDouglasRachford,
    CompositeProblem,
    ExponentialMultipliers,
    Geometric,
    LinearlyConstrained,
    MonotoneInclusion,
)
from optlab.splitting.problems import ItakuraSaitoOnSimplex
from optlab.theorems._bregman_splitting import DERIVED, PAPER, at_scale, distance, states

KERNELS = (ShannonEntropy(), FermiDirac(), Hellinger(), SquaredEuclidean())


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


# ------------------------------------------------------------------------- Douglas-Rachford and ADMM on the dual


def _data(seed: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(11 + seed)
    root = rng.normal(size=(4, 4))
    Q, c, q = root @ root.T + np.eye(4), rng.normal(size=4), rng.normal(size=3)
    return Q, c, q, rng.normal(size=(6, 4)), rng.normal(size=(6, 3)), rng.normal(size=6)


def _two_blocks(kernel: Any, seed: int) -> LinearlyConstrained:
    Q, c, q, M, N, b = _data(seed)
    return LinearlyConstrained(Quadratic(Q, c), SquaredDistance(q, 0.7), M, N, b, kernel)


def _independent_dual(kernel: Any, seed: int, swapped: bool = False) -> MonotoneInclusion:
    """Return the dual with A(w) = -M grad f*(-M^T w) + b and B(w) = -N grad g*(-N^T w) written out as affine maps.

    Its resolvents solve for w and know nothing of the block steps of ADMM.
    """
    Q, c, q, M, N, b = _data(seed)
    A = Quadratic(M @ np.linalg.solve(Q, M.T), M @ np.linalg.solve(Q, c) + b)
    B = Quadratic(N @ N.T / 0.7, -N @ q)
    return MonotoneInclusion(*((B, A) if swapped else (A, B)), kernel, shape=6)


def _admm_deviation(problem: Any, dual: Any, gamma: Any, first: float, n: int, matched: bool = True) -> Any:
    """Largest difference, per iteration, of x, y (primal) and z (mirror) between the two methods."""
    kernel = problem.kernel
    to_primal, w0 = kernel.conjugate_gradient, kernel.default_point(problem.b.shape) + 0.05
    start = problem.matching_start(w0, first) if matched else w0
    admm = states(problem, BregmanADMM(gamma), n, x0=start)
    splitting = states(dual, BregmanDouglasRachford(gamma), n, x0=w0)
    found = []
    for left, right in zip(admm, splitting, strict=True):
        z = left.w - left.step_size * problem.apply_N(left.v)
        pairs = [(to_primal(left.x), to_primal(right.x)), (to_primal(left.y), to_primal(right.y)), (z, right.z)]
        found.append(max(distance(u, v) for u, v in pairs))
    return np.array(found)


def _admm_evidence(scale: str, seed: int, matched: bool = True, swapped: bool = False) -> Evidence:
    n = at_scale(scale, 8, 60)
    steps = at_scale(scale, (1.0,), (0.3, 1.0, 3.0))
    worst, detail = np.zeros(n), {}
    for kernel in KERNELS:
        problem, dual = _two_blocks(kernel, seed), _independent_dual(kernel, seed, swapped)
        runs = [_admm_deviation(problem, dual, gamma, gamma, n, matched) for gamma in steps]
        detail[repr(kernel)] = float(np.max(runs))
        worst = np.maximum(worst, np.max(runs, axis=0))
    return Evidence(
        np.arange(1, n + 1),
        worst,
        kind="equivalence",
        slack=1e-10,
        detail=detail,
        ylabel="largest difference of x, y, z",
        note=f"step sizes {', '.join(map(str, steps))}; the dual's resolvents are computed without the block steps",
    )


@theorem(
    id="bdrs-admm-dual",
    paper=PAPER,
    title="Bregman Douglas-Rachford on the dual is Bregman ADMM on the primal",
    statement="""For min f(u) + g(v) with M u + N v related to b, the iterates of Bregman ADMM and of Bregman
    Douglas-Rachford on the dual, A(w) = -M df*(-M^T w) + b, B(w) = -N dg*(-N^T w), agree at every iteration:
    x_k = w_k, y_k = the multiplier after the u-step, grad h(z_k) = grad h(w_k) - gamma N v_{k-1}. Checked for Shannon,
    Fermi-Dirac, Hellinger and quadratic kernels.""",
    assumptions=(
        "constant step size",
        "h Legendre with gradient onto",
        "start matched: grad h(z_0) = grad h(w_0) - gamma N v_{-1} with w_0 = J_{gB}(z_0)",
    ),
    source="Ma, Xiao, Zhao 2025, equivalence on the dual; the table of iterates is derived here, verified numerically",
)
def admm_dual(scale: str, seed: int) -> Evidence:
    return _admm_evidence(scale, seed)


@admm_dual.control("ADMM started at the same multiplier without matching its v")
def _(scale: str, seed: int) -> Evidence:
    return _admm_evidence("smoke", seed, matched=False)


@admm_dual.control("the two operators of the dual exchanged")
def _(scale: str, seed: int) -> Evidence:
    return _admm_evidence("smoke", seed, swapped=True)


def _schedule_evidence(scale: str, seed: int, corrected: bool) -> Evidence:
    schedule = Geometric(0.3, 1.15, 4.0)
    n = at_scale(scale, 8, 40)
    worst = np.zeros(n)
    for kernel in KERNELS:
        problem, dual = _two_blocks(kernel, seed), _independent_dual(kernel, seed)
        if corrected:
            found = _admm_deviation(problem, dual, schedule, schedule(0), n)
        else:
            w0 = kernel.default_point(problem.b.shape) + 0.05
            z = kernel.gradient(w0)
            found = []
            admm = states(problem, BregmanADMM(schedule), n, x0=problem.matching_start(w0, schedule(0)))
            for k, left in enumerate(admm):  # z carries the old step size, and nothing rescales it
                x = dual.resolvent_B(z, schedule(max(k - 1, 0)))
                y = dual.resolvent_A(2 * x - z, schedule(k))
                z = z + y - x
                found.append(distance(left.w - left.step_size * problem.apply_N(left.v), z))
        worst = np.maximum(worst, found)
    return Evidence(np.arange(1, n + 1), worst, kind="equivalence", slack=1e-10, ylabel="largest difference of x, y, z")


@theorem(
    id="bdrs-admm-varying-steps",
    paper=PAPER,
    title="The equivalence survives varying step sizes if the carried point is rescaled",
    statement="""With step sizes gamma_k, Bregman ADMM equals the splitting that replaces grad h(z_k) by
    grad h(x_k) + (gamma_k / gamma_{k-1}) (grad h(z_k) - grad h(x_k)) before gamma_k is used.""",
    assumptions=("step sizes positive, here growing by 15 % per iteration", "h Legendre with gradient onto"),
    source=DERIVED,
)
def admm_varying(scale: str, seed: int) -> Evidence:
    return _schedule_evidence(scale, seed, corrected=True)


@admm_varying.control("the carried point not rescaled (ratio 1)")
def _(scale: str, seed: int) -> Evidence:
    return _schedule_evidence("smoke", seed, corrected=False)


def _multipliers_evidence(scale: str, seed: int, sweeps_matter: bool) -> Evidence:
    """One block: ADMM, the exponential multiplier method and the proximal point method on the dual are one."""
    Q, c, q, M, N, b = _data(seed)
    kernel, gamma, n = ShannonEntropy(), 0.8, at_scale(scale, 10, 100)
    if sweeps_matter:  # two blocks: one pass over them is not the joint minimisation
        problem = LinearlyConstrained(Quadratic(Q, c), SquaredDistance(q, 0.7), M, N, b, kernel)
    else:
        problem = LinearlyConstrained(Quadratic(Q, c), None, M, None, b, kernel)
    dual = _independent_dual(kernel, seed)
    runs = [
        states(problem, method(gamma), n)
        for method in (BregmanADMM, AlternatingExponentialMultipliers, ExponentialMultipliers)
    ]
    w, found = problem.initial_blocks(None)[0], []
    for alternatives in zip(*runs, strict=True):
        w = dual.resolvent_A(w, gamma)
        reference = alternatives[0].w if sweeps_matter else w
        found.append(max(distance(state.w, reference) for state in alternatives))
    return Evidence(np.arange(1, n + 1), found, kind="equivalence", slack=1e-10, ylabel="largest mirror difference")


@theorem(
    id="exponential-multipliers",
    paper=PAPER,
    title="The exponential multiplier method is the entropic proximal point method on the dual",
    statement="""For min f(u) subject to M u <= b and h Shannon, Bregman ADMM, its alternating exponential form and the
    exponential multiplier method coincide, and their multipliers are w_{k+1} = J_{gA}(w_k): the entropic proximal point
    method on the dual.""",
    assumptions=("a single block u", "h Shannon"),
    source="Tseng, Bertsekas 1993; its place among the Bregman splittings: Ma, Xiao, Zhao 2025",
)
def multipliers(scale: str, seed: int) -> Evidence:
    return _multipliers_evidence(scale, seed, sweeps_matter=False)


@multipliers.control("two blocks: one pass over them instead of the joint minimisation")
def _(scale: str, seed: int) -> Evidence:
    return _multipliers_evidence("smoke", seed, sweeps_matter=True)


# ------------------------------------------------------------------------------------- what the kernel's domain means


def _penalty_solution(kernel: Any, seed: int) -> Any:
    """Solve ``min f(u) + g(v) + sigma(M u + N v - b)`` with CVXPY, sigma the support function of dom h."""
    import cvxpy as cp

    Q, c, q, M, N, b = _data(seed)
    u, v = cp.Variable(4), cp.Variable(3)
    objective = 0.5 * cp.quad_form(u, cp.psd_wrap(Q)) + c @ u + 0.35 * cp.sum_squares(v - q)
    residual, constraints = M @ u + N @ v - b, []
    if isinstance(kernel, ShannonEntropy):
        constraints = [residual <= 0]
    elif isinstance(kernel, FermiDirac):
        objective += cp.sum(cp.pos(residual))
    elif isinstance(kernel, Hellinger):
        objective += cp.norm1(residual)
    else:
        constraints = [residual == 0]
    cp.Problem(cp.Minimize(objective), constraints).solve(
        solver="CLARABEL", tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12
    )
    return np.concatenate([u.value, v.value])


def _domain_evidence(kernels: Any, seed: int, reference: Any = None) -> Evidence:
    runs = {
        "ShannonEntropy": (3.0, 30),
        "FermiDirac": (10.0, 30),
        "Hellinger": (30.0, 120),
        "SquaredEuclidean": (3.0, 100),
    }
    errors, detail = [], {}
    for kernel in kernels:
        gamma, n = runs[type(kernel).__name__]
        wanted = _penalty_solution(reference or kernel, seed)
        result = optlab.solve(_two_blocks(kernel, seed), BregmanADMM(gamma), max_iter=n, record=[n])
        errors.append(distance(np.concatenate([result.solution.u, result.solution.v]), wanted))
        detail[repr(kernel)] = f"error {errors[-1]:.2g} after {n} iterations at gamma = {gamma:g}"
    return Evidence(
        np.arange(1, len(errors) + 1),
        errors,
        1e-6,
        detail=detail,
        xlabel="kernel, in the order of the detail",
        ylabel="largest error of u and v",
    )


@theorem(
    id="badmm-domain-is-constraint",
    paper=PAPER,
    title="The domain of the kernel decides what M u + N v ~ b means",
    statement="""Bregman ADMM solves min f(u) + g(v) + sigma(M u + N v - b) with sigma the support function of dom h:
    equality for the quadratic kernel, inequality for Shannon, the hinge penalty sum max(0, r) for Fermi-Dirac on [0, 1]
    and the 1-norm for Hellinger. The limits agree with CVXPY to 1e-6.""",
    assumptions=("h Legendre with gradient onto", "f, g convex, here strongly convex quadratics"),
    source=DERIVED,
)
def domain_is_constraint(scale: str, seed: int) -> Evidence:
    return _domain_evidence(KERNELS, seed)


@domain_is_constraint.control("every kernel compared with the equality-constrained problem")
def _(scale: str, seed: int) -> Evidence:
    return _domain_evidence(KERNELS[:2], seed, SquaredEuclidean())


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
