"""Bregman splitting on optimal transport: potential form, equivalent iterations, symmetries and certificates.

Ma, Xiao, Zhao (2025, arXiv 2509.08739) give the methods and say that optimal transport violates an assumption of their
convergence theorem. What is checked here about transport is derived here, unless a source is named. Where the methods
converge and where not is in `bregman_splitting_convergence` and `bregman_splitting_limits`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import optlab
from optlab.reproduce import Evidence, at_scale, theorem
from optlab.splitting import BregmanADMM, BregmanDouglasRachford, Geometric
from optlab.theorems.bregman_splitting._instances import (
    DERIVED,
    PAPER,
    dense_splitting,
    distance,
    instance,
    linear_program,
    log_plan,
    states,
)
from optlab.transport import MirrorPlan, OptimalTransport

FAMILIES = ("rand", "sq2d", "gauss2d", "grid1d", "l2")

# ---------------------------------------------------------------------------------------------- dense = potentials


def _dense_evidence(scale: str, seed: int, mistake: str = "") -> Evidence:
    n, gamma = 40, 3.0
    a, b, cost = instance("rand", at_scale(scale, (8, 9), (30, 40)), seed)
    worst = np.zeros(n)
    for theta in (0.0, 0.3, 1.0):
        for relaxation in (0.7, 1.0, 1.5):
            problem = OptimalTransport(a, b, cost, cost_split=theta)
            dense = dense_splitting(a, b, cost, gamma, theta, relaxation, n, mistake)
            for i, state in enumerate(states(problem, BregmanDouglasRachford(gamma, relaxation), n)):
                mirrors = (state.x, state.y, state.z)
                found = max(distance(log_plan(p, cost), np.log(X)) for p, X in zip(mirrors, dense[i], strict=True))
                worst[i] = max(worst[i], found)
    return Evidence(
        np.arange(1, n + 1),
        worst,
        kind="identity",
        slack=1e-10,
        ylabel="largest difference of the logarithms",
        note="gamma = 3; cost shares 0, 0.3, 1; relaxations 0.7, 1, 1.5",
    )


@theorem(
    id="ot-potential-form",
    paper=PAPER,
    title="On optimal transport the iterates stay in potential form",
    statement="""With the Shannon kernel and z_0 = 1, every iterate of (relaxed) Bregman Douglas-Rachford on optimal
    transport is exp(F_i + G_j - kappa C_ij): the n + m + 1 numbers iterated here give the matrices of the textbook
    iteration X = rows(Z exp(-g(1-theta)C)), Y = columns((X X / Z) exp(-g theta C)), Z+ = Z (Y/X)^lambda.""",
    assumptions=("h Shannon on matrices", "A, B the two marginal constraints, each with a share of the cost"),
    source=f"method: Ma, Xiao, Zhao 2025; potential form {DERIVED}",
)
def potential_form(scale: str, seed: int) -> Evidence:
    return _dense_evidence(scale, seed)


@potential_form.control("columns scaled wrongly: with factors from X instead of the reflected point")
def _(scale: str, seed: int) -> Evidence:
    return _dense_evidence("smoke", seed, mistake="columns")


# ------------------------------------------------------------------------------------------- split and gauge


def _split_evidence(scale: str, seed: int, shifted: bool) -> Evidence:
    n, gamma = at_scale(scale, 40, 100), 3.0
    a, b, cost = instance("gauss2d", at_scale(scale, (8, 9), (30, 40)), seed)
    zero = (np.zeros(a.size), np.zeros(b.size))
    worst = np.zeros(n)
    for theta in (0.0, 0.3):
        for relaxation in (0.7, 1.0, 1.5):
            method = BregmanDouglasRachford(gamma, relaxation)
            start = MirrorPlan(*zero, gamma * (1 - theta) if shifted else 0.0)
            left = states(OptimalTransport(a, b, cost, cost_split=theta), method, n)
            # S(theta) from Z_0 is S(1) from Z_0 exp(-gamma (1 - theta) C)
            right = states(OptimalTransport(a, b, cost, cost_split=1.0), method, n, x0=start)
            for i, (u, v) in enumerate(zip(left, right, strict=True)):
                # the plans themselves: their logarithms grow with k and with them the size of one rounding
                found = (
                    distance(np.exp(log_plan(p, cost)), np.exp(log_plan(q, cost))) for p, q in ((u.x, v.x), (u.y, v.y))
                )
                worst[i] = max(worst[i], *found)
    return Evidence(
        np.arange(1, n + 1), worst, kind="equivalence", slack=1e-12, ylabel="largest difference of the plans"
    )


@theorem(
    id="ot-split-equivalence",
    paper=PAPER,
    title="Every share of the cost between A and B gives the same algorithm",
    statement="""With B = N{X1 = a} + (1-theta) C and A = N{X^T 1 = b} + theta C and a constant step size gamma, the
    plans x_k, y_k from Z_0 are those of theta = 1 from Z_0 exp(-gamma (1-theta) C), for every relaxation.""",
    assumptions=("h Shannon", "constant step size"),
    source=DERIVED,
)
def split_equivalence(scale: str, seed: int) -> Evidence:
    return _split_evidence(scale, seed, shifted=True)


@split_equivalence.control("the start not shifted")
def _(scale: str, seed: int) -> Evidence:
    return _split_evidence("smoke", seed, shifted=False)


def _gauge_evidence(scale: str, seed: int, corrected: bool) -> Evidence:
    n, gamma, kappa = at_scale(scale, 40, 100), 3.0, 2.0
    a, b, cost = instance("l2", at_scale(scale, (8, 9), (30, 40)), seed)
    rng = np.random.default_rng(seed)
    phi, psi = rng.normal(size=a.size), rng.normal(size=b.size)
    F, G = rng.normal(size=a.size), rng.normal(size=b.size)
    other_cost = cost - phi[:, None] - psi[None, :]
    worst = np.zeros(n)
    for theta in (0.0, 0.4, 1.0):
        shift = (theta * gamma, (1 - theta) * gamma) if corrected else (0.0, 0.0)
        start = MirrorPlan(F - (kappa - shift[0]) * phi, G - (kappa + shift[1]) * psi, kappa)
        for relaxation in (1.0, 1.5):
            method = BregmanDouglasRachford(gamma, relaxation)
            left = states(OptimalTransport(a, b, cost, cost_split=theta), method, n, x0=MirrorPlan(F, G, kappa))
            right = states(OptimalTransport(a, b, other_cost, cost_split=theta), method, n, x0=start)
            for i, (u, v) in enumerate(zip(left, right, strict=True)):
                found = (distance(log_plan(p, cost), log_plan(q, other_cost)) for p, q in ((u.x, v.x), (u.y, v.y)))
                worst[i] = max(worst[i], *found)
    return Evidence(
        np.arange(1, n + 1), worst, kind="equivalence", slack=1e-10, ylabel="largest difference of the logarithms"
    )


@theorem(
    id="ot-gauge-invariance",
    paper=PAPER,
    title="Potentials may be moved from the iterate into the cost",
    statement="""For any phi, psi, the iteration on the cost C - phi (+) psi from F_0 - (kappa_0 - theta gamma) phi,
    G_0 - (kappa_0 + (1-theta) gamma) psi has the same plans x_k, y_k as on C from F_0, G_0. With optimal duals as phi,
    psi the potentials stay bounded and keep their digits.""",
    assumptions=("h Shannon", "constant step size"),
    source=DERIVED,
)
def gauge_invariance(scale: str, seed: int) -> Evidence:
    return _gauge_evidence(scale, seed, corrected=True)


@gauge_invariance.control("the start moved by kappa_0 alone, without the shares of the step")
def _(scale: str, seed: int) -> Evidence:
    return _gauge_evidence("smoke", seed, corrected=False)


# ------------------------------------------------------------------------------------------ ADMM, IPOT


def _ot_admm_evidence(scale: str, seed: int, schedule: Any = None, start: str = "matched") -> Evidence:
    """Compare ADMM on the dual with Douglas-Rachford started at the point z_1 that ADMM's first iteration defines.

    From then on iteration k of the one is iteration k + 1 of the other.
    """
    n = at_scale(scale, 40, 100)
    later = (lambda k: schedule(k + 1)) if schedule else 3.0
    worst = np.zeros(n)
    for first in ("rows", "columns"):
        for family in ("rand", "gauss2d"):
            a, b, cost = instance(family, at_scale(scale, (8, 9), (30, 40)), seed)
            problem = OptimalTransport(a, b, cost, first=first, cost_split=1.0)
            admm = list(states(problem, BregmanADMM(schedule or 3.0), n + 1))
            z1 = admm[0].w - admm[0].step_size * problem.apply_N(admm[0].v)
            if start == "unscaled":  # the step size of iteration 0 is kept in z_1, the method believes in that of 1
                pass
            elif schedule:  # z_1 carries gamma_0 b_1, and b_1 is the same for gamma_1: rescale what it carries
                z1 = admm[0].w - schedule(1) * problem.apply_N(admm[0].v)
            splitting = states(
                problem, BregmanDouglasRachford(later), n, x0=problem.default_start() if start == "ones" else z1
            )
            for i, (left, right) in enumerate(zip(admm[1:], splitting, strict=True)):
                z = left.w - left.step_size * problem.apply_N(left.v)
                pairs = ((left.x, right.x), (left.y, right.y), (z, right.z))
                worst[i] = max(worst[i], *(distance(log_plan(u, cost), log_plan(v, cost)) for u, v in pairs))
    return Evidence(
        np.arange(1, n + 1), worst, kind="equivalence", slack=1e-10, ylabel="largest difference of the logarithms"
    )


@theorem(
    id="ot-bdrs-admm",
    paper=PAPER,
    title="On optimal transport Bregman Douglas-Rachford is alternating exponential multipliers on the dual",
    statement="""Bregman ADMM on the dual max <a,u> + <b,v>, u_i + v_j <= C_ij, whose multiplier is the plan, and
    Bregman Douglas-Rachford on the transport problem have the same iterates: x_k = w_k, y_k = the multiplier after the
    u-step, z_k = w_k exp(-gamma N v_{k-1}).""",
    assumptions=("h Shannon", "constant step size", "started at the same z_1"),
    source="Ma, Xiao, Zhao 2025, equivalence on the dual; for transport derived here, verified numerically",
)
def ot_admm(scale: str, seed: int) -> Evidence:
    return _ot_admm_evidence(scale, seed)


@ot_admm.control("both started at the matrix of ones, which are different points z_1")
def _(scale: str, seed: int) -> Evidence:
    return _ot_admm_evidence("smoke", seed, start="ones")


@theorem(
    id="ot-bdrs-admm-growing-steps",
    paper=PAPER,
    title="The same with growing step sizes, potentials extrapolated with the ratio of the steps",
    statement="""With step sizes gamma_k the equivalence holds with the extrapolation
    G + (gamma_k / gamma_{k-1}) (G - G_prev) of the potential that the next half-step uses.""",
    assumptions=("h Shannon", "step sizes 3 * 1.02^k up to 100"),
    source=DERIVED,
)
def ot_admm_growing(scale: str, seed: int) -> Evidence:
    return _ot_admm_evidence(scale, seed, Geometric(3.0, 1.02, 100.0))


@ot_admm_growing.control("ratio 1 at the first change of the step size")
def _(scale: str, seed: int) -> Evidence:
    return _ot_admm_evidence("smoke", seed, Geometric(3.0, 1.02, 100.0), start="unscaled")


def _ipot(a: np.ndarray, b: np.ndarray, cost: np.ndarray, gamma: float, n: int, inner: int = 1) -> list[np.ndarray]:
    """Return the plans of IPOT (Xie, Wang, Wang, Zha 2020, Algorithm 1) verbatim, scaling vector carried over."""
    plan, kernel = np.ones_like(cost), np.exp(-gamma * cost)
    right, plans = np.full(b.size, 1.0 / b.size), []
    for _ in range(n):
        Q = kernel * plan
        for _ in range(inner):
            left = a / (Q @ right)
            right = b / (Q.T @ left)
        plan = left[:, None] * Q * right
        plans.append(plan)
    return plans


def _ipot_evidence(scale: str, seed: int, inner: int = 1) -> Evidence:
    n = at_scale(scale, 40, 60)
    worst = np.zeros(n)
    for family in ("rand", "gauss2d"):
        a, b, cost = instance(family, at_scale(scale, (8, 9), (30, 40)), seed)
        for gamma in (1.0, 3.0):
            problem = OptimalTransport(a, b, cost, first="columns", cost_split=1.0)
            admm = list(states(problem, BregmanADMM(gamma), n))
            z1 = admm[0].w - gamma * problem.apply_N(admm[0].v)
            splitting = [None, *states(problem, BregmanDouglasRachford(gamma), n - 1, x0=z1)]
            plans = [np.log(plan) for plan in _ipot(a, b, cost, gamma, n, inner)]
            for i, left in enumerate(admm):
                worst[i] = max(worst[i], distance(log_plan(left.w, cost), plans[i]))
                if i > 0:  # x_k of the splitting is the plan before its update
                    worst[i] = max(worst[i], distance(log_plan(splitting[i].x, cost), plans[i - 1]))
    return Evidence(
        np.arange(1, n + 1), worst, kind="equivalence", slack=1e-10, ylabel="largest difference of the logarithms"
    )


@theorem(
    id="ot-ipot",
    paper=PAPER,
    title="Bregman Douglas-Rachford on optimal transport is IPOT with one inner step",
    statement="""The plans of the inexact proximal point method IPOT with one inner Sinkhorn step and beta = 1/gamma,
    its scaling vector carried across outer steps, are the multipliers w_k of Bregman ADMM and the points x_k of Bregman
    Douglas-Rachford. On transport the method is therefore not a new iteration.""",
    assumptions=("h Shannon", "constant step size", "IPOT's u-block on the rows, B on the columns"),
    source=f"IPOT: Xie, Wang, Wang, Zha 2020; equality {DERIVED}",
)
def ipot(scale: str, seed: int) -> Evidence:
    return _ipot_evidence(scale, seed)


@ipot.control("IPOT with two inner steps")
def _(scale: str, seed: int) -> Evidence:
    return _ipot_evidence("smoke", seed, inner=2)


# ---------------------------------------------------------------------------------- marginals, two atoms, certificates


def _marginal_evidence(scale: str, seed: int, exchanged: bool = False) -> Evidence:
    n = at_scale(scale, 100, 200)
    worst = np.zeros(n)
    for family in FAMILIES:
        a, b, cost = instance(family, at_scale(scale, (20, 25), (100, 100)), seed)
        problem = OptimalTransport(a, b, cost)
        for i, state in enumerate(states(problem, BregmanDouglasRachford(10.0), n)):
            x, y = (state.y, state.x) if exchanged else (state.x, state.y)
            rows, columns = np.exp(log_plan(x, cost)).sum(axis=1), np.exp(log_plan(y, cost)).sum(axis=0)
            worst[i] = max(worst[i], distance(rows / a, np.ones_like(a)), distance(columns / b, np.ones_like(b)))
    return Evidence(np.arange(1, n + 1), worst, kind="identity", slack=1e-12, ylabel="largest relative error of a sum")


@theorem(
    id="ot-exact-marginals",
    paper=PAPER,
    title="Each point meets its own marginal exactly",
    statement="""At every iteration the rows of x_k sum to a and the columns of y_k to b, to 1e-12 relative; only their
    disagreement measures progress.""",
    assumptions=("h Shannon", "rows first"),
    source=DERIVED,
)
def exact_marginals(scale: str, seed: int) -> Evidence:
    return _marginal_evidence(scale, seed)


@exact_marginals.control("rows of y_k and columns of x_k")
def _(scale: str, seed: int) -> Evidence:
    return _marginal_evidence("smoke", seed, exchanged=True)


def _two_atom_evidence(scale: str, offset: int) -> Evidence:
    n, D, gamma = at_scale(scale, 40, 200), 1.0, 0.3
    cost, half = np.array([[0.0, D], [D, 0.0]]), np.array([0.5, 0.5])
    problem, worst = OptimalTransport(half, half, cost), np.zeros(n)
    for relaxation in (0.5, 1.0, 1.5):
        for k, state in enumerate(states(problem, BregmanDouglasRachford(gamma, relaxation), n)):
            p = relaxation * k + offset
            z = np.exp(-p * D * gamma)
            X = np.exp(log_plan(state.x, cost))
            # the soft dual value <a, f> + <b, g>, f = F_x / kappa, g = -log sum_i exp(F_x - kappa C) / kappa
            F, kappa = state.x.row + state.x.column[0], state.x.inverse_temperature
            soft = half @ F - half @ np.log(np.exp(F[:, None] - kappa * cost).sum(axis=0))
            exact = -np.log1p(z) / (p * gamma)
            worst[k] = max(worst[k], abs(np.sum(cost * X) - D * z / (1 + z)), abs(soft / kappa - exact))
    return Evidence(np.arange(n), worst, kind="identity", slack=1e-14, ylabel="deviation of cost and soft dual value")


@theorem(
    id="ot-two-atoms",
    paper=PAPER,
    title="The law of two atoms",
    statement="""For a = b = (1/2, 1/2), C = [[0, D], [D, 0]], rows first with the cost in B, the k-th plan x_k of the
    method with relaxation lambda costs D z/(1+z), z = exp(-(lambda k + 1) D gamma), and its soft dual value is
    -log(1+z) / ((lambda k + 1) gamma): a linear cooling schedule.""",
    assumptions=("z_0 = 1", "constant step size"),
    source=f"formulas of annealed entropic transport on two atoms; for this method {DERIVED}",
)
def two_atoms(scale: str, seed: int) -> Evidence:
    return _two_atom_evidence(scale, 1)


@two_atoms.control("inverse temperature (lambda k + 2) gamma, one step ahead")
def _(scale: str, seed: int) -> Evidence:
    return _two_atom_evidence("smoke", 2)


def _certificate_evidence(scale: str, seed: int, mistake: str = "") -> Evidence:
    """Record ``max(OPT - LB, UB - OPT)`` against ``UB - LB``: within it exactly if LB <= OPT <= UB."""
    n = at_scale(scale, 400, 10000)
    table: dict[int, list[tuple[float, float]]] = {}
    for family in FAMILIES:
        a, b, cost = instance(family, at_scale(scale, (12, 15), (60, 60)), seed)
        problem, optimum = OptimalTransport(a, b, cost), linear_program(a, b, cost).value
        for gamma in at_scale(scale, (10.0,), (1.0, 10.0, 100.0)):
            for k, lower, upper in _bounds(problem, BregmanDouglasRachford(gamma), n, mistake):
                table.setdefault(k, []).append((max(optimum - lower, upper - optimum), max(upper - lower, 0.0)))
    # of the runs at an iteration, the one whose certificate is least comfortable
    least = {k: max(pairs, key=lambda pair: pair[0] - pair[1]) for k, pairs in sorted(table.items())}
    return Evidence(
        list(least),
        [observed for observed, _ in least.values()],
        [bound for _, bound in least.values()],
        slack=1e-12,
        rtol=0.0,
        ylabel="larger error of the two bounds",
        detail={"instances": len(FAMILIES)},
        note="the bound is UB - LB; the larger of OPT - LB and UB - OPT is within it exactly if LB <= OPT <= UB",
    )


def _bounds(problem: Any, method: Any, n: int, mistake: str) -> list[tuple[int, float, float]]:
    """Return (iteration, lower bound, upper bound) as the solver records them, or with one of them got wrong."""
    if not mistake:
        history = optlab.solve(problem, method, max_iter=n).history
        columns = (history[name][1:] for name in ("iteration", "dual_objective", "cost"))
        return [(int(k), float(lower), float(upper)) for k, lower, upper in zip(*columns, strict=True)]
    found = []
    for state in states(problem, method, 120):
        if state.k >= 2 and state.k % 2 == 0:
            plan, drift = problem.primal(state.x, state.drift()), state.drift()
            raw = (problem.a @ drift.row + problem.b @ drift.column) / drift.inverse_temperature
            lower = float(raw) if mistake == "raw potentials" else plan.dual_objective
            found.append((state.k, lower, plan.raw.cost if mistake == "raw plan" else plan.cost))
    return found


@theorem(
    id="ot-certificate",
    paper=PAPER,
    title="The certificate brackets the optimum at every iteration",
    statement="""With potentials completed by two c-transforms and the plan rounded to its marginals,
    dual_objective <= OPT <= cost at every iteration, with OPT from linear programming; slack 1e-12.""",
    assumptions=("exact arithmetic up to rounding of 1e-12",),
    source="weak duality; rounding of Altschuler, Weed, Rigollet 2017",
)
def certificate(scale: str, seed: int) -> Evidence:
    return _certificate_evidence(scale, seed)


@certificate.control("the cost of the plan before rounding taken as upper bound")
def _(scale: str, seed: int) -> Evidence:
    return _certificate_evidence("smoke", seed, mistake="raw plan")


@certificate.control("drift potentials without c-transforms taken as dual feasible")
def _(scale: str, seed: int) -> Evidence:
    return _certificate_evidence("smoke", seed, mistake="raw potentials")


def _rounding_evidence(scale: str, seed: int, constant: float) -> Evidence:
    rng, trials = np.random.default_rng(seed), at_scale(scale, 300, 4000)
    change, error, feasibility = [], [], 0.0
    for _ in range(trials):
        n, m = rng.integers(2, 7, size=2)
        a, b = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))
        # near and far from the marginals, spread and concentrated
        X = np.outer(a, b) * np.exp(10.0 ** rng.uniform(-3, 0.5) * rng.normal(size=(n, m)))
        X *= np.exp(rng.normal() * 10.0 ** rng.uniform(-3, 0)) / X.sum()
        plan = OptimalTransport(a, b, rng.random((n, m))).plan(X)
        rounded = plan.dense()
        feasibility = max(feasibility, distance(rounded.sum(axis=1), a), distance(rounded.sum(axis=0), b))
        change.append(float(np.abs(rounded - X).sum()))
        error.append(plan.marginal_error)
    if feasibility > 1e-12 or np.min(rounded) < 0:
        change[0] = np.nan  # not a plan at all: nothing else counts
    order = np.argsort(error)
    return Evidence(
        np.array(error)[order],
        np.array(change)[order],
        constant * np.array(error)[order],
        slack=1e-13,
        detail={"largest error of a marginal after rounding": feasibility, "trials": trials},
        xlabel="marginal error",
        ylabel="L1 change by rounding",
    )


@theorem(
    id="ot-rounding",
    paper=PAPER,
    title="Rounding to the marginals changes a plan by at most twice its marginal error",
    statement="""The rounding of Altschuler, Weed and Rigollet returns a plan with marginals a, b (to 1e-12), at an L1
    distance of at most 2 (||X1 - a||_1 + ||X^T 1 - b||_1).""",
    assumptions=("X positive",),
    source="Altschuler, Weed, Rigollet 2017, Lemma 7",
)
def rounding(scale: str, seed: int) -> Evidence:
    return _rounding_evidence(scale, seed, 2.0)


@rounding.control("the constant halved")
def _(scale: str, seed: int) -> Evidence:
    return _rounding_evidence("smoke", seed, 1.0)
