"""Exact tabular policy mirror descent: descent and rates of Xiao (2022) and of Johnson, Pike-Burke, Rebeschini (2023).

Every bound is compared at every iteration, for several mirror maps and environments; evidence shows the case that comes
nearest to its bound. Exact evaluation by linear algebra.
"""

from __future__ import annotations

from itertools import islice, pairwise
from typing import Any

import numpy as np

import optlab
from optlab.bregman import EuclideanMap, NegativeEntropyMap, TsallisMap
from optlab.policy import MDP, PolicyMirrorDescent, TabularPolicy
from optlab.policy.environments import cliff_walking, frozen_lake, garnet, taxi
from optlab.policy.tabular.certificates import (
    gamma_rate_bound,
    inexact_linear_bound,
    linear_bound,
    start_mismatch,
    sublinear_bound,
)
from optlab.policy.tabular.step_sizes import AdaptiveStepSize, DiscountGrowth
from optlab.reproduce import Evidence, at_scale, theorem
from optlab.theorems.dapo._instances import (
    DERIVED,
    JOHNSON,
    PAPER,
    XIAO,
    NoisyMirrorDescent,
    environments,
    nearest,
    trace_run,
)

TABULAR = (NegativeEntropyMap(), EuclideanMap(), TsallisMap(0.5))


def _cases(scale: str, maps: Any = TABULAR) -> Any:
    for name, mdp in environments(scale):
        for phi in maps:
            yield f"{name}, {phi.label}", mdp, phi


# ------------------------------------------------------------------------------------------------ descent


def _descent_evidence(scale: str, seed: int, method: Any) -> Evidence:
    n, names, rises = at_scale(scale, 12, 60), [], []
    for name, mdp, phi in _cases(scale):
        values = trace_run(mdp, method(phi), n).values
        names.append(name)
        rises.append(float(np.max(np.diff(values, axis=0)) / np.abs(values).max()))
    return Evidence(
        np.arange(1, len(rises) + 1),
        rises,
        0.0,
        slack=1e-12,
        detail=dict(zip(names, (f"largest rise {rise:.2g}" for rise in rises))),
        xlabel="environment and map, in the order of the detail",
        ylabel="largest rise of V(s), relative",
    )


@theorem(
    id="pmd-descent",
    paper=PAPER,
    title="Exact policy mirror descent improves the value of every state",
    statement="""V(pi_{k+1}) <= V(pi_k) at every state and every iteration, for every mirror map and any step sizes
    (here growing by 1/discount from 0.5).""",
    assumptions=("exact action values", "Phi convex, pi_0 in the interior"),
    source=f"{XIAO}, Lemma 7 (its displayed formulas reconstructed)",
)
def descent(scale: str, seed: int) -> Evidence:
    return _descent_evidence(scale, seed, lambda phi: PolicyMirrorDescent(phi, DiscountGrowth(0.5)))


@descent.control("action values with errors up to 0.3")
def _(scale: str, seed: int) -> Evidence:
    return _descent_evidence(
        "smoke", seed, lambda phi: NoisyMirrorDescent(phi, lambda k: 0.5 / 0.9**k, critic_noise=0.3, seed=seed)
    )


# ------------------------------------------------------------------------------------------------ rates


def _sublinear_evidence(scale: str, seed: int) -> Evidence:
    n, cases = at_scale(scale, 25, 200), []
    for name, mdp, phi in _cases(scale):
        for eta in at_scale(scale, (1.0,), (0.1, 1.0, 10.0)):
            run = trace_run(mdp, PolicyMirrorDescent(phi, eta), n)
            bound = sublinear_bound(np.arange(n + 1), eta, run.divergence[0], mdp.discount)
            cases.append((f"{name}, eta = {eta:g}", run.gap, bound))
    return nearest(cases, 1e-10, ylabel="V_rho - V*_rho")


@theorem(
    id="pmd-sublinear",
    paper=PAPER,
    title="Constant steps: O(1/k)",
    statement="""With a constant step size eta, V_rho(pi_k) - V*_rho <= (D*_0 / ((1-gamma) eta) + 1/(1-gamma)^2) /
    (k+1), with D*_0 = E_{d*} D_Phi(pi*, pi_0).""",
    assumptions=("exact action values", "costs in [0, 1]", "pi_0 in the interior"),
    source=f"{XIAO}, Theorem 8",
)
def sublinear(scale: str, seed: int) -> Evidence:
    return _sublinear_evidence(scale, seed)


def _blind_evidence(seed: int) -> Evidence:
    """Constant steps from a policy that all but ignores the optimal actions, the bound that of the uniform policy."""
    mdp, phi, n = garnet(20, 3, 4, discount=0.5, seed=seed), NegativeEntropyMap(), 60
    method = PolicyMirrorDescent(phi, 10.0)
    divergence = trace_run(mdp, method, 0).divergence[0]
    table = np.where(mdp.optimal.probabilities > 0, -1e6, -np.log(2.0))
    run = trace_run(mdp, method, n, TabularPolicy(table))
    return nearest([("Garnet", run.gap, sublinear_bound(np.arange(n + 1), 10.0, divergence, 0.5))], 1e-10)


@sublinear.control("a start that all but ignores the optimal actions, with D*_0 of the uniform policy")
def _(scale: str, seed: int) -> Evidence:
    return _blind_evidence(seed)


def _recursion_evidence(scale: str, seed: int, method: Any) -> Evidence:
    n, cases = at_scale(scale, 12, 60), []
    for name, mdp, phi in _cases(scale):
        run = trace_run(mdp, method(phi), n)
        gap, divergence = run.gap, run.divergence
        left = run.mismatch[1:] * np.diff(gap) + gap[:-1]
        right = -np.diff(divergence) / ((1 - mdp.discount) * run.steps)
        # both sides may have any sign: compared after the size of their terms is added; the last part is for rounding,
        # 1e-11 of the values with the slack below
        size = run.mismatch[1:] * (gap[1:] + gap[:-1] + 1e-4 * np.abs(run.values).max()) + np.abs(right)
        cases.append((name, (left + size) / size, (right + size) / size))
    return nearest(cases, 1e-7, ylabel="left side, scaled and raised by 1")


@theorem(
    id="pmd-basic-recursion",
    paper=PAPER,
    title="The recursion behind the rates",
    statement="""theta_{k+1} (delta_{k+1} - delta_k) + delta_k <= (D*_k - D*_{k+1}) / ((1-gamma) eta_k) with the
    mismatch theta_k = ||d*/d_k||_inf of the visitation laws, at every iteration.""",
    assumptions=("exact action values", "start law positive"),
    source=f"{XIAO}, Proposition 9",
)
def basic_recursion(scale: str, seed: int) -> Evidence:
    return _recursion_evidence(scale, seed, lambda phi: PolicyMirrorDescent(phi, DiscountGrowth(1.0)))


@basic_recursion.control("action values with errors up to 0.3")
def _(scale: str, seed: int) -> Evidence:
    return _recursion_evidence(
        "smoke", seed, lambda phi: NoisyMirrorDescent(phi, lambda k: 0.9**-k, critic_noise=0.3, seed=seed)
    )


def _stationary(mdp: Any) -> Any:
    """Return the MDP with the stationary law of its optimal policy as start law, mixed with a little of the uniform.

    There the mismatch is smallest and the rate is the discount, nearly.
    """
    P = mdp.transition_matrix(mdp.optimal.probabilities).toarray()
    law = np.full(mdp.n_states, 1.0 / mdp.n_states)
    for _ in range(2000):
        law = law @ P
    law = 0.99 * law / law.sum() + 0.01 / mdp.n_states
    return MDP(mdp.transitions, mdp.cost, mdp.discount, law / law.sum(), name=f"{mdp.name}, stationary start")


def _linear_evidence(scale: str, seed: int, steps: Any, n: int, stationary_only: bool = False) -> Evidence:
    cases = []
    settings = [("Garnet, stationary start", _stationary(garnet(30, 4, 5, discount=0.9, seed=1 + seed)))]
    settings += [] if stationary_only else environments(scale)
    for name, mdp in settings:
        theta = start_mismatch(mdp)
        for phi in TABULAR:
            run = trace_run(mdp, PolicyMirrorDescent(phi, steps), n)
            bound = linear_bound(
                np.arange(n + 1), theta, run.gap[0], run.divergence[0], float(run.steps[0]), mdp.discount
            )
            cases.append((f"{name}, {phi.label}", run.gap, bound))
    return nearest(cases, 1e-10, ylabel="V_rho - V*_rho")


@theorem(
    id="pmd-linear",
    paper=PAPER,
    title="Steps growing by 1/discount: linear convergence",
    statement="""With eta_{k+1} >= eta_k / gamma, V_rho(pi_k) - V*_rho <= (1 - 1/theta)^k (delta_0 + D*_0 / (gamma
    eta_0)), theta = ||d*/rho||_inf / (1-gamma). The rate is nearly gamma where rho is the stationary law of the
    optimal policy.""",
    assumptions=("exact action values", "step sizes growing by 1/gamma", "start law positive"),
    source=f"{XIAO}, Theorem 10",
)
def linear(scale: str, seed: int) -> Evidence:
    return _linear_evidence(scale, seed, DiscountGrowth(1.0), at_scale(scale, 25, 100))


@linear.control("a constant step size")
def _(scale: str, seed: int) -> Evidence:
    return _linear_evidence("smoke", seed, 0.3, 200, stationary_only=True)


def _critic_evidence(scale: str, seed: int, with_floor: bool) -> Evidence:
    cases, n = [], at_scale(scale, 60, 80)
    mdp = _stationary(garnet(30, 4, 5, discount=0.9, seed=1))
    theta = start_mismatch(mdp)
    for noise in at_scale(scale, (0.5,), (0.01, 0.1, 0.5)):
        for repeat in range(at_scale(scale, 2, 20)):
            for phi in at_scale(scale, TABULAR[:1], TABULAR):
                start = max(1.0, (1 - mdp.discount) / mdp.discount * float(np.log(mdp.n_actions)) * 2)
                method = NoisyMirrorDescent(
                    phi, lambda k, start=start: min(start / 0.9**k, 1e12), critic_noise=noise, seed=1000 * seed + repeat
                )
                floor = noise if with_floor else 0.0
                bound = inexact_linear_bound(np.arange(n + 1), theta, floor, mdp.discount)
                cases.append((f"error {noise:g}, {phi.label}", trace_run(mdp, method, n).gap, bound))
    return nearest(cases, 1e-10, ylabel="V_rho - V*_rho")


@theorem(
    id="pmd-inexact",
    paper=PAPER,
    title="Action values with bounded errors: linear convergence to a floor",
    statement="""With |Q^ - Q| <= tau and growing steps, V_rho(pi_k) - V*_rho <= 2 (1 - 1/theta)^k / (1-gamma) + 4
    theta tau / (1-gamma).""",
    assumptions=("errors of the action values at most tau", "eta_0 >= (1-gamma)/gamma D*_0, steps growing by 1/gamma"),
    source=f"{XIAO}, Theorem 13",
)
def inexact(scale: str, seed: int) -> Evidence:
    return _critic_evidence(scale, seed, with_floor=True)


@inexact.control("the floor left out")
def _(scale: str, seed: int) -> Evidence:
    return _critic_evidence("smoke", seed, with_floor=False)


def _discount_rate_evidence(scale: str, seed: int, steps: Any) -> Evidence:
    n, cases = at_scale(scale, 25, 100), []
    for name, mdp, phi in _cases(scale):
        run = trace_run(mdp, PolicyMirrorDescent(phi, steps), n)
        slacks = mdp.discount ** (2 * np.arange(n) + 1)
        cases.append((name, run.distance, gamma_rate_bound(run.distance[0], slacks, mdp.discount)))
        cases.append((f"{name}: shortfall of the greedy action", *_shortfalls(mdp, PolicyMirrorDescent(phi, steps), n)))
    return nearest(cases, 1e-10, ylabel="||V_k - V*||_inf")


def _shortfalls(mdp: Any, method: Any, n: int) -> tuple[Any, Any]:
    """Return ``max_s <Q_k, pi_{k+1}> - min_a Q_k`` and c_k, the part of the theorem that no slack of gamma hides."""
    policies = [method.iterate(mdp, state) for state in islice(optlab.iterate(mdp, method), n + 1)]
    found = []
    for policy, following in pairwise(policies):
        Q = mdp.evaluate(policy).action_values
        found.append(float(np.max(np.sum(following.probabilities() * Q, axis=1) - Q.min(axis=1))))
    size = 1e-11 * float(np.abs(Q).max())  # of rounding
    return np.array(found), mdp.discount ** (2 * np.arange(n) + 1) + size


@theorem(
    id="pmd-discount-rate",
    paper=PAPER,
    title="Adaptive steps: the rate of policy iteration in the sup norm",
    statement="""If eta_k >= max_s min_a D_Phi(e_a, pi_k) / c_k over greedy actions a, with c_k = gamma^(2k+1), then
    ||V_{k+1} - V*||_inf <= gamma ||V_k - V*||_inf + c_k: the rate gamma, without any mismatch. In every state
    <Q_k, pi_{k+1}> - min_a Q_k <= c_k.""",
    assumptions=("exact action values", "step sizes adapted to the policy"),
    source=f"{JOHNSON}, Theorem 4.1 (upper bound)",
)
def discount_rate(scale: str, seed: int) -> Evidence:
    return _discount_rate_evidence(scale, seed, AdaptiveStepSize())


@discount_rate.control("a small constant step size")
def _(scale: str, seed: int) -> Evidence:
    return _discount_rate_evidence("smoke", seed, 0.05)


# ------------------------------------------------------------------------------------------------ termination


def _iterations_to_optimum(mdp: Any, method: Any, limit: int) -> float:
    """Return the iteration at which the policy is the optimal one, exactly; infinity beyond `limit`."""
    best = mdp.optimal.probabilities > 0
    for state in islice(optlab.iterate(mdp, method), limit + 1):
        if np.array_equal(method.iterate(mdp, state).probabilities() > 0, best):
            return float(state.k)
    return np.inf


def _termination_evidence(scale: str, seed: int, phi: Any) -> Evidence:
    mdp = garnet(50, 4, 5, discount=0.9, seed=1 + seed)
    steps = np.array(at_scale(scale, (0.5, 1.0), (0.1, 0.2, 0.5, 1.0)))
    limit = at_scale(scale, 600, 6000)
    found = np.array([_iterations_to_optimum(mdp, PolicyMirrorDescent(phi, eta), limit) for eta in steps])
    with np.errstate(invalid="ignore"):  # never: infinite
        # the last iteration is not a fraction: one more or less is allowed for
        deviations = np.maximum(np.abs(found * steps / (found[0] * steps[0]) - 1.0) - 1.0 / found, 0.0)
    return Evidence(
        steps,
        deviations,
        kind="identity",
        slack=0.1,
        detail={f"step size {eta:g}": f"{count:g} iterations" for eta, count in zip(steps, found)},
        xlabel="step size",
        ylabel="relative difference of iterations x step size",
    )


@theorem(
    id="pmd-finite-termination",
    paper=PAPER,
    title="The Euclidean map reaches the optimal policy exactly, in finitely many iterations",
    statement="""With Phi = ||.||^2 / 2 and a constant step size, policy mirror descent is at the optimal
    deterministic policy after finitely many iterations, in number inversely proportional to the step size while
    that is small (within 10 % for steps up to 1).""",
    assumptions=("unique optimal actions (a random MDP)", "Euclidean map", "exact action values"),
    source=DERIVED,
)
def finite_termination(scale: str, seed: int) -> Evidence:
    return _termination_evidence(scale, seed, EuclideanMap())


@finite_termination.control("the negative entropy, whose policies never leave the interior")
def _(scale: str, seed: int) -> Evidence:
    return _termination_evidence("smoke", seed, NegativeEntropyMap())


# ------------------------------------------------------------------------------------------------ known values


def _linear_program(mdp: Any) -> Any:
    """Return V* as the largest V with ``V(s) <= c(s, a) + discount P(. | s, a) V`` for all pairs, by HiGHS."""
    import scipy.sparse as sp
    from scipy.optimize import linprog

    rows = sp.kron(sp.eye(mdp.n_states), np.ones((mdp.n_actions, 1))) - mdp.discount * mdp.transitions
    solution = linprog(-np.ones(mdp.n_states), A_ub=rows, b_ub=mdp.cost.ravel(), bounds=(None, None), method="highs")
    return solution.x


def _values_evidence(scale: str, slippery: bool) -> Evidence:
    """Compare V* with linear programming, and with the values of gymnasium's tables."""
    names = ["FrozenLake 4x4", "FrozenLake 8x8", "CliffWalking"]
    tables = [frozen_lake(size, slippery=slippery, discount=0.99) for size in ("4x4", "8x8")]
    tables.append(cliff_walking(discount=0.99))
    known, allowed = [0.5420259, 0.4146404, -12.2478977], [1e-6, 1e-6, 1e-6]
    pick = [lambda V: V[0], lambda V: V[0], lambda V: V[36]]
    if scale != "smoke":
        names.append("Taxi, mean of 500 states")
        tables.append(taxi(discount=0.99))
        known, allowed = [*known, 9.4228], [*allowed, 5e-5]  # as many digits as were noted
        pick.append(lambda V: np.mean(V[:500]))
    errors, detail = [], {}
    for name, mdp, value, tolerance, entry in zip(names, tables, known, allowed, pick):
        found = mdp.to_reward_value(mdp.optimal.values)
        errors.append((float(entry(found)) - value) / tolerance)
        errors.append(float(np.max(np.abs(found - mdp.to_reward_value(_linear_program(mdp))))) / 1e-6)
        detail[name] = f"{float(entry(found)):.7f}; linear program {errors[-1] * 1e-6:.1g} away at most"
    return Evidence(
        np.arange(1, len(errors) + 1),
        np.abs(errors),
        1.0,
        detail=detail,
        xlabel="environment: table, linear program",
        ylabel="difference in units of the tolerance",
    )


@theorem(
    id="policy-known-values",
    paper=PAPER,
    title="Optimal values of the standard tables",
    statement="""V* in reward form at discount 0.99: .5420259 (FrozenLake 4x4, start), .4146404 (8x8), -12.2478977
    (CliffWalking, start), to 1e-6 of gymnasium's tables; Taxi 9.4228 on average; everywhere equal to the linear
    program (HiGHS) to 1e-6.""",
    assumptions=("the transition tables of gymnasium 1.x",),
    source="gymnasium's tables, solved independently",
)
def known_values(scale: str, seed: int) -> Evidence:
    return _values_evidence(scale, slippery=True)


@known_values.control("a lake that is not slippery")
def _(scale: str, seed: int) -> Evidence:
    return _values_evidence("smoke", slippery=False)
