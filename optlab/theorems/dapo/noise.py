"""Policy mirror descent with errors in the dual: what is lost, and what vanishes as the steps grow.

The bounds are derived here (the paper's own could not be consulted). Dual points are disturbed on purpose, by normal
noise of a size that stays, or that grows with the step size as in fits with a relative accuracy; every quantity in the
bounds is computed exactly along the run, on environments where linear algebra gives it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.bregman import EuclideanMap, NegativeEntropyMap, TsallisMap
from optlab.policy.critics.methods import evaluate_exactly
from optlab.policy.environments import garnet
from optlab.policy.tabular.dual_certificates import (
    dual_average_bound,
    dual_improvement_bound,
    dual_linear_bound,
    dual_sup_bound,
    soft_bellman_bound,
)
from optlab.policy.tabular.regularized import soft_optimal
from optlab.reproduce import Evidence, at_scale, theorem
from optlab.theorems.dapo._instances import DERIVED, PAPER, NoisyMirrorDescent, environments, nearest, trace_run

NOISY_MAPS = (NegativeEntropyMap(), EuclideanMap(), EuclideanMap(domain="full"), TsallisMap(0.5))


def _steps(start: float, growth: float) -> Any:
    return lambda k: min(start * growth**k, 1e12)


def noisy_runs(scale: str, seed: int, growth: float) -> Any:
    """Yield named noisy runs: environments, maps, noise of the dual point and of the critic."""
    n = at_scale(scale, 10, 60)
    levels = at_scale(scale, ((0.3, 0.0), (1.0, 0.02)), ((0.0, 0.0), (0.3, 0.0), (1.0, 0.0), (1.0, 0.02)))
    for name, mdp in environments(scale)[: at_scale(scale, 2, 4)]:
        for phi in NOISY_MAPS[: at_scale(scale, 3, 4)]:
            for dual, critic in levels:
                method = NoisyMirrorDescent(phi, _steps(1.0, growth), critic, dual, seed=seed)
                yield f"{name}, {phi.label}, dual {dual:g}, critic {critic:g}", trace_run(mdp, method, n), critic


def _improvement_evidence(scale: str, seed: int, counted: float) -> Evidence:
    cases = []
    for name, run, critic in noisy_runs(scale, seed, 1.0):
        gamma = run.mdp.discount
        allowed = dual_improvement_bound(counted * run.dual_error, run.steps, gamma, critic)
        everywhere = dual_improvement_bound(counted * run.largest_dual_error, run.steps, gamma, critic)
        cases.append((f"{name}: mean", np.diff(run.gap), allowed))
        cases.append((f"{name}: worst state", np.diff(run.values, axis=0).max(axis=1), everywhere))
    return nearest(cases, 1e-11, ylabel="rise of the value")


@theorem(
    id="dapo-quasi-monotone",
    paper=PAPER,
    title="With dual errors, values rise by no more than the error over the step size",
    statement="""V_rho(pi_{k+1}) - V_rho(pi_k) <= (E_{d_{k+1}} D_{Phi*}(g, f) / eta_k + 2 tau) / (1-gamma), and at
    every state with the largest dual error: linear in it, without a square root and without concentrability of
    actions.""",
    assumptions=("critic errors at most tau", "f arbitrary"),
    source=DERIVED,
)
def quasi_monotone(scale: str, seed: int) -> Evidence:
    return _improvement_evidence(scale, seed, 1.0)


@quasi_monotone.control("the dual error left out")
def _(scale: str, seed: int) -> Evidence:
    return _improvement_evidence("smoke", seed, 0.0)


def _average_evidence(scale: str, seed: int, counted: float) -> Evidence:
    cases = []
    for name, run, critic in noisy_runs(scale, seed, 1.0):
        n = len(run.steps)
        observed = np.cumsum(run.gap)[:n] / np.arange(1, n + 1)
        arguments = (run.steps, counted * run.drift, counted * run.dual_error, run.mismatch[1:].max())
        bound = dual_average_bound(run.gap[0], run.divergence[0], *arguments, run.mdp.discount, critic)
        cases.append((name, observed, bound))
    return nearest(cases, 1e-11, ylabel="mean gap")


@theorem(
    id="dapo-average",
    paper=PAPER,
    title="Dual errors, constant steps: the mean gap",
    statement="""For steps that do not decrease, the mean of delta_0, ..., delta_{K-1} is at most (D*_0 / ((1-gamma)
    eta_0) + theta delta_0) / K + mean of (Z_k + theta error_k) / ((1-gamma) eta_k) + 2 theta tau / (1-gamma): theta
    the largest mismatch of the run, Z_k the drift as seen from the optimal policy.""",
    assumptions=("steps not decreasing", "critic errors at most tau", "start law positive"),
    source=DERIVED,
)
def average(scale: str, seed: int) -> Evidence:
    return _average_evidence(scale, seed, 1.0)


def _long_run(seed: int, counted: float) -> Evidence:
    """A long run with large dual noise: the mean gap does not fall to zero, the bound that ignores the noise does."""
    mdp, n = garnet(30, 4, 5, discount=0.9, seed=1), 300
    run = trace_run(mdp, NoisyMirrorDescent(NegativeEntropyMap(), _steps(1.0, 1.0), dual_noise=2.0, seed=seed), n)
    arguments = (run.steps, counted * run.drift, counted * run.dual_error, run.mismatch[1:].max())
    bound = dual_average_bound(run.gap[0], run.divergence[0], *arguments, mdp.discount)
    return nearest([("Garnet", np.cumsum(run.gap)[:n] / np.arange(1, n + 1), bound)], 1e-11, ylabel="mean gap")


@average.control("drift and dual error left out, noise 2")
def _(scale: str, seed: int) -> Evidence:
    return _long_run(seed, 0.0)


def _linear_evidence(scale: str, seed: int, counted: float, noise: float | None = None) -> Evidence:
    cases = []
    growth = 1.12
    if noise is None:
        runs = noisy_runs(scale, seed, growth)
    else:
        mdp = garnet(30, 4, 5, discount=0.9, seed=1)
        method = NoisyMirrorDescent(NegativeEntropyMap(), _steps(1.0, growth), 0.3, noise, seed=seed)
        runs = [("Garnet", trace_run(mdp, method, 80), 0.0)]
    for name, run, critic in runs:
        # any theta above the mismatches of the run is allowed; this one makes the growth just sufficient
        theta = max(float(run.mismatch[1:].max()), growth / (growth - 1))
        arguments = (run.steps, counted * run.drift, counted * run.dual_error, theta)
        bound = dual_linear_bound(run.gap[0], run.divergence[0], *arguments, run.mdp.discount, critic)
        cases.append((name, run.gap[1:], bound))
    return nearest(cases, 1e-10, ylabel="V_rho - V*_rho")


@theorem(
    id="dapo-linear",
    paper=PAPER,
    title="Dual errors, growing steps: linear convergence",
    statement="""For eta_{k+1} >= eta_k theta / (theta - 1) and q = 1 - 1/theta, delta_K <= q^K (delta_0 + D*_0 /
    ((1-gamma) eta_0 (theta - 1))) + sum_k q^(K-1-k) ((Z_k / theta + error_k) / eta_k + 2 tau) / (1-gamma).""",
    assumptions=("steps growing by theta/(theta-1)", "critic errors at most tau", "start law positive"),
    source=DERIVED,
)
def linear(scale: str, seed: int) -> Evidence:
    return _linear_evidence(scale, seed, 1.0)


@linear.control("errors of the critic of 0.3, counted as none")
def _(scale: str, seed: int) -> Evidence:
    return _linear_evidence("smoke", seed, 1.0, noise=0.0)


def _sup_evidence(scale: str, seed: int, counted: float) -> Evidence:
    cases = []
    for name, run, critic in noisy_runs(scale, seed, 1.3):
        errors = counted * (run.greedy_divergence + run.largest_dual_error) / run.steps
        discount = run.mdp.discount
        # step by step: over a run the bound is touched at its start only, whatever the terms of a step are
        grown = run.distance[1:] - discount * run.distance[:-1]
        cases.append((name, grown, (errors + 2 * critic) / (1 - discount)))
        arguments = (counted * run.greedy_divergence / run.steps, run.steps, counted * run.largest_dual_error)
        cases.append((f"{name}, run", run.distance, dual_sup_bound(run.distance[0], *arguments, discount, critic)))
    return nearest(cases, 1e-10, ylabel="||V_{k+1} - V*||_inf - gamma ||V_k - V*||_inf")


@theorem(
    id="dapo-sup-norm",
    paper=PAPER,
    title="Dual errors in the sup norm: no mismatch, no drift",
    statement="""With c_k = max_s min_a D_Phi(e_a, pi_k) / eta_k over actions greedy for the critic, ||V_{k+1} -
    V*||_inf <= gamma ||V_k - V*||_inf + (c_k + max_s D_{Phi*}(g, f) / eta_k + 2 tau) / (1-gamma).""",
    assumptions=("critic errors at most tau",),
    source=DERIVED,
)
def sup_norm(scale: str, seed: int) -> Evidence:
    return _sup_evidence(scale, seed, 1.0)


@sup_norm.control("slack and dual error left out: the rate of policy iteration for small steps")
def _(scale: str, seed: int) -> Evidence:
    return _sup_evidence("smoke", seed, 0.0)


# ------------------------------------------------------------------------------------------------ what vanishes


def _floor_evidence(scale: str, seed: int, relative: bool, late_mean: bool, **judged: Any) -> Evidence:
    mdp, n = garnet(50, 4, 5, discount=0.9, seed=1), 80
    draws = range(at_scale(scale, 3, 10))
    noise = 0.1 if relative else 1.0
    last = []
    for draw in draws:
        method = NoisyMirrorDescent(
            NegativeEntropyMap(), _steps(1.0, 1 / 0.9), 0.0, noise, relative, seed=100 * seed + draw
        )
        gap = trace_run(mdp, method, n).gap
        last.append(float(np.mean(gap[n // 2 :]) if late_mean else gap[-1]))
    return Evidence(np.arange(1, len(last) + 1), last, xlabel="draw of the noise", ylabel="gap", **judged)


@theorem(
    id="dapo-vanishing-floor",
    paper=PAPER,
    title="A dual error that stays bounded leaves no floor under growing steps",
    statement="""With independent normal noise of size 1 added to the dual point at every iteration and steps
    growing by 1/gamma, the gap on a Garnet MDP is below 1e-6 after 80 iterations: errors are divided by the step
    size.""",
    assumptions=("dual error bounded", "exact critic", "steps growing by 1/gamma"),
    source=DERIVED,
)
def vanishing_floor(scale: str, seed: int) -> Evidence:
    return _floor_evidence(scale, seed, False, False, bound=1e-6)


@vanishing_floor.control("noise in proportion to the step size")
def _(scale: str, seed: int) -> Evidence:
    return _floor_evidence("smoke", seed, True, False, bound=1e-6)


@theorem(
    id="dapo-relative-floor",
    paper=PAPER,
    title="A dual error in proportion to the step size does leave a floor",
    statement="""If scores are only fitted to a relative accuracy, noise 0.1 eta_k, the gap after 80 iterations with
    steps growing by 1/gamma is still above 1e-4.""",
    assumptions=("dual noise in proportion to the step size", "exact critic"),
    source=DERIVED,
)
def relative_floor(scale: str, seed: int) -> Evidence:
    return _floor_evidence(scale, seed, True, True, bound=1e-4, kind="counterexample", at="all")


@relative_floor.control("noise of constant size")
def _(scale: str, seed: int) -> Evidence:
    return _floor_evidence("smoke", seed, False, True, bound=1e-4, kind="counterexample", at="all")


# ------------------------------------------------------------------------------------------------ soft actor-critic


def _soft_runs(scale: str, seed: int, temperature: float) -> Any:
    """Yield runs of noisy soft policy iteration: values V_tau, their optimum and the largest actor losses."""
    phi = NegativeEntropyMap()
    for name, mdp in environments(scale):
        rng, log_policy = np.random.default_rng(seed), mdp.uniform_log_probabilities()
        values, losses = [], []
        for _ in range(at_scale(scale, 12, 40)):
            V, Q = evaluate_exactly(mdp, log_policy, temperature)
            values.append(V)
            exact = phi.log_project(-Q / temperature)
            log_policy = phi.log_project(-Q / temperature + rng.normal(size=Q.shape))
            losses.append(float(phi.divergence_from_log(log_policy, exact).max()))
        yield name, mdp, np.array(values), soft_optimal(mdp, temperature).values, np.array(losses)


def _soft_evidence(scale: str, seed: int, counted: float) -> Evidence:
    cases = []
    for temperature in at_scale(scale, (0.1,), (0.01, 0.1, 1.0)):
        for name, mdp, values, best, losses in _soft_runs(scale, seed, temperature):
            observed = np.abs(values - best).max(axis=1)
            bound = soft_bellman_bound(observed[0], counted * losses[:-1], temperature, mdp.discount)
            cases.append((f"{name}, temperature {temperature:g}", observed, bound))
    return nearest(cases, 1e-10, ylabel="||V_tau - V*_tau||_inf")


@theorem(
    id="dapo-soft-actor",
    paper=PAPER,
    title="Soft actor-critic: convergence to a floor set by the actor loss",
    statement="""With policies that miss softmax(-Q_tau/tau) by a Kullback-Leibler loss of at most KL_k,
    ||V_tau^{k+1} - V*_tau||_inf <= gamma ||V_tau^k - V*_tau||_inf + tau KL_k / (1-gamma).""",
    assumptions=("entropy-regularised MDP", "exact critic"),
    source=DERIVED,
)
def soft_actor(scale: str, seed: int) -> Evidence:
    return _soft_evidence(scale, seed, 1.0)


@soft_actor.control("the actor loss left out")
def _(scale: str, seed: int) -> Evidence:
    return _soft_evidence("smoke", seed, 0.0)
