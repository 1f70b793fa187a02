"""What the checks of dual approximation policy optimization share: maps, environments, runs and their certificates.

The paper's own numbered theorems could not be consulted. Bounds on dual approximation are derived here and cited as
such; those on exact policy mirror descent are Xiao's (2022, JMLR 23) and Johnson, Pike-Burke and Rebeschini's (2023).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar

import numpy as np

import optlab
from optlab.bregman import EuclideanMap, HyperbolicMap, NegativeEntropyMap, TsallisMap
from optlab.core import Method, State
from optlab.policy import TabularPolicy
from optlab.policy.environments import cliff_walking, deep_sea, frozen_lake, garnet
from optlab.policy.tabular.step_sizes import greedy_divergence
from optlab.reproduce import Evidence
from optlab.reproduce.evidence_strength import nearness

PAPER = "dapo"
DERIVED = "derived here, verified numerically"
XIAO = "Xiao 2022, On the convergence rates of policy gradient methods"
JOHNSON = "Johnson, Pike-Burke, Rebeschini 2023"

STEEP_MAPS = (NegativeEntropyMap(), TsallisMap(0.5), TsallisMap(0.8))
OTHER_MAPS = (EuclideanMap(), TsallisMap(1.5), TsallisMap(2.0), HyperbolicMap())
MAPS = (*STEEP_MAPS, *OTHER_MAPS)

Array = Any


def random_scores(rng: np.random.Generator, n: int, n_actions: int) -> Array:
    """Return rows of dual coordinates at scales from 0.1 to 10: flat, ordinary and nearly deterministic policies."""
    return rng.normal(size=(n, n_actions)) * 10.0 ** rng.uniform(-1, 1, size=(n, 1))


def random_rows(rng: np.random.Generator, n: int, n_actions: int) -> Array:
    """Return probability rows of all kinds: inside, near a vertex, and a few vertices."""
    rows = rng.dirichlet(np.ones(n_actions), size=n)
    concentrated = rng.dirichlet(np.full(n_actions, 0.1), size=n)
    rows[1::3] = concentrated[1::3]
    rows[2::9] = np.eye(n_actions)[rng.integers(n_actions, size=len(rows[2::9]))]
    return rows / rows.sum(axis=1, keepdims=True)


# ---------------------------------------------------------------------------------------------- environments


def environments(scale: str) -> list[tuple[str, Any]]:
    """Return named MDPs, small enough for dense algebra; the start law is uniform, so that mismatches are finite."""
    named = [("Garnet", garnet(30, 4, 5, discount=0.9, seed=1)), ("FrozenLake 4x4", frozen_lake("4x4", discount=0.95))]
    if scale == "smoke":
        return named
    return [
        ("Garnet", garnet(50, 4, 5, discount=0.9, seed=1)),
        ("Garnet, discount 0.99", garnet(50, 4, 5, discount=0.99, seed=1)),
        ("FrozenLake 4x4", frozen_lake("4x4")),
        ("FrozenLake 8x8", frozen_lake("8x8")),
        ("CliffWalking", cliff_walking(start="uniform")),
        ("DeepSea(8)", deep_sea(8, start="uniform")),
    ]


# ---------------------------------------------------------------------------------------------- runs


@dataclass(frozen=True, eq=False)
class Run:
    """A run of a policy method with what the theorems speak of, for k = 0, ..., n.

    `values` are (n + 1, S), `gap` and `divergence` (D*_k) and `mismatch` (theta_k) are (n + 1,), `steps` (n,). With
    noise there are also, for k = 0, ..., n - 1, the dual error under the next visitation, its largest entry, the drift
    and the divergence of the greedy policy.
    """

    mdp: Any
    values: Array
    steps: Array
    divergence: Array
    mismatch: Array
    dual_error: Array
    largest_dual_error: Array
    drift: Array
    greedy_divergence: Array

    @property
    def gap(self) -> Array:
        """``V_rho(pi_k) - V*_rho``."""
        return (self.values - self.mdp.optimal.values) @ self.mdp.start

    @property
    def distance(self) -> Array:
        """``||V^k - V*||_inf``."""
        return np.abs(self.values - self.mdp.optimal.values).max(axis=1)


@dataclass
class NoisyState(State):
    """Log-policy, the dual target it was meant to have, the dual point it was given, and the step size used."""

    log_policy: Array
    target: Array
    fitted: Array
    step_size: float
    greedy_divergence: float = 0.0


@dataclass(frozen=True)
class NoisyMirrorDescent(Method):
    """Policy mirror descent with synthetic errors: in the critic (uniform, bounded) and in the dual point (normal).

    With `relative` the dual noise is multiplied by the step size, as when scores are fitted with a relative accuracy.
    """

    mirror_map: Any
    step_size: Any
    critic_noise: float = 0.0
    dual_noise: float = 0.0
    relative: bool = False
    seed: int = 0

    reference: ClassVar[str] = "xiong2024dual"

    def init(self, problem: Any, x0: Any, rng: Any) -> NoisyState:
        log_policy = x0.log_probabilities()
        return NoisyState(0, log_policy, log_policy, log_policy, self.step_size(0))

    def step(self, problem: Any, state: NoisyState) -> NoisyState:
        rng = np.random.default_rng([self.seed, state.k])
        eta = self.step_size(state.k)
        Q = problem.evaluate(TabularPolicy.of(state.log_policy)).action_values
        Q = Q + self.critic_noise * rng.uniform(-1, 1, size=Q.shape)
        target = self.mirror_map.gradient_from_log(state.log_policy) - eta * Q
        fitted = target + self.dual_noise * (eta if self.relative else 1.0) * rng.normal(size=Q.shape)
        greedy = float(greedy_divergence(self.mirror_map, Q, state.log_policy).max())
        return NoisyState(state.k + 1, self.mirror_map.log_project(fitted), target, fitted, eta, greedy)

    def iterate(self, problem: Any, state: NoisyState) -> Any:
        return TabularPolicy.of(state.log_policy)


def trace_run(mdp: Any, method: Any, n: int, x0: Any = None) -> Run:
    """Run `n` iterations of a method with a mirror map and collect what the theorems speak of."""
    phi = method.mirror_map
    best = mdp.optimal.probabilities
    with np.errstate(divide="ignore"):
        log_best = np.log(best)
    visited_best = mdp.visitation(best)
    values, steps, divergence, mismatch, errors, largest, drift, greedy = [], [], [], [], [], [], [], []
    for state in islice(optlab.iterate(mdp, method, x0=x0), n + 1):
        policy = method.iterate(mdp, state)
        log_policy = policy.log_probabilities()
        visited = mdp.visitation(policy)
        values.append(mdp.evaluate(policy).values)
        divergence.append(float(visited_best @ phi.divergence_from_log(log_best, log_policy)))
        mismatch.append(float(np.max(visited_best[visited_best > 0] / visited[visited_best > 0])))
        if state.k == 0:
            continue
        steps.append(float(state.step_size))
        if isinstance(state, NoisyState):
            error = phi.dual_divergence(state.target, state.fitted)
            exact = phi.log_project(state.target)
            moved = phi.divergence_from_log(log_best, log_policy) - phi.divergence_from_log(log_best, exact)
            errors.append(float(visited @ error))
            largest.append(float(error.max()))
            drift.append(float(visited_best @ moved))
            greedy.append(state.greedy_divergence)
    fields = (values, steps, divergence, mismatch, errors, largest, drift, greedy)
    return Run(mdp, *(np.asarray(field) for field in fields))


def nearest(cases: Any, slack: float, **fields: Any) -> Evidence:
    """Return the evidence of the case (name, observed, bound) nearest to its bound; all ratios are in the detail.

    A violation in any case is a violation of the one returned: see `nearness`.
    """
    cases = [(name, np.asarray(observed), np.asarray(bound)) for name, observed, bound in cases]
    excess = [np.max((observed - bound) / (np.abs(bound) + slack)) for _, observed, bound in cases]
    detail = {
        name: f"largest observed/bound {1 + largest:.3g}" for (name, *_), largest in zip(cases, excess, strict=True)
    }
    rtol = fields.get("rtol", 1e-9)
    name, observed, bound = max(cases, key=lambda case: float(np.max(nearness(case[1], case[2], slack, rtol))))
    return Evidence(
        np.arange(len(observed)), observed, bound, slack=slack, detail=detail, note=f"shown: {name}", **fields
    )
