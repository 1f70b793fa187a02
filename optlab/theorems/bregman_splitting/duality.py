"""Bregman splitting: what Bregman ADMM and the exponential multiplier methods are on the dual, on general problems.

Ma, Xiao, Zhao (2025, arXiv 2509.08739) show that Bregman Douglas-Rachford splitting on the dual is Bregman ADMM on the
primal. The dual's resolvents are written out here by plain linear algebra and know nothing of the block steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import optlab
from optlab.bregman import FermiDirac, Hellinger, ShannonEntropy, SquaredEuclidean
from optlab.bregman.functions import Quadratic, SquaredDistance
from optlab.reproduce import Evidence, at_scale, theorem
from optlab.splitting import (
    AlternatingExponentialMultipliers,
    BregmanADMM,
    BregmanDouglasRachford,
    ExponentialMultipliers,
    Geometric,
    LinearlyConstrained,
    MonotoneInclusion,
)
from optlab.theorems.bregman_splitting._instances import DERIVED, KERNELS, PAPER, distance, states

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
