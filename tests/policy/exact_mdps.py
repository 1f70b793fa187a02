"""Small random MDPs in exact rational arithmetic: do the recorded bounds hold, at every step of every method?

``python -m tests.policy.exact_mdps 20000`` runs as many and prints counts; `test_exact_bounds.py` runs a slice.
"""

from __future__ import annotations

import sys
from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np

import optlab
from optlab.policy import (
    MDP,
    AdaptiveStepSize,
    DiscountGrowth,
    ModifiedPolicyIteration,
    NaturalPolicyGradient,
    PolicyIteration,
    PolicyMirrorDescent,
    ValueIteration,
)

EPS = float(np.finfo(np.float64).eps)


def random_mdp(seed: int) -> MDP:
    """Return an MDP of 1 to 5 states: ties, deterministic and rounded rows, masks, costs over 12 decades, offsets."""
    rng = np.random.default_rng(seed)
    S, A = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    kind = rng.integers(4)
    if kind == 0:  # sums are exactly one
        cuts = np.sort(rng.integers(0, 1025, size=(S, A, S - 1)), axis=-1)
        P = np.diff(cuts, axis=-1, prepend=0, append=1024) / 1024.0
    elif kind == 1:
        P = np.eye(S)[rng.integers(S, size=(S, A))]
    else:
        P = rng.dirichlet(np.full(S, rng.choice([0.1, 1.0, 10.0])), size=(S, A))
        P = P.round(9) if kind == 3 else P
    cost = rng.standard_normal((S, A))
    if rng.random() < 0.3:
        cost = cost.round(1)  # ties
    cost = cost * 10.0 ** rng.integers(-6, 7) + rng.choice([0.0, 0.0, 1.0, -100.0])
    gamma = float(rng.choice([0.05, 0.5, 0.9, 0.99, 0.9999, 0.999999, rng.uniform(0.01, 0.999)]))
    available = rng.random((S, A)) < 0.7
    available[np.arange(S), rng.integers(A, size=S)] = True
    given = {"reward" if rng.random() < 0.3 else "cost": cost}
    return MDP(P, discount=gamma, available=available if rng.random() < 0.3 else None, **given)


class Exact:
    """The same MDP in fractions: rows divided by their exact sums, as a transition law is meant."""

    def __init__(self, mdp: MDP) -> None:
        S, A = mdp.n_states, mdp.n_actions
        rows = [[Fraction(float(p)) for p in row] for row in mdp.transitions.toarray()]
        self.P = [[p / sum(row) for p in row] if any(row) else None for row in rows]
        self.cost = [[Fraction(float(c)) for c in row] for row in mdp.cost]
        self.gamma, self.shape = Fraction(mdp.discount), (S, A)
        self.actions = [[a for a in range(A) if self.P[s * A + a] is not None] for s in range(S)]
        self.optimal = self._optimal(mdp.optimal.policy)

    def values(self, policy: list[list[Fraction]]) -> list[Fraction]:
        """Solve ``(I - gamma P_pi) V = c_pi``."""
        S, A = self.shape
        system = []
        for s in range(S):
            row = [Fraction(int(s == t)) for t in range(S)] + [Fraction(0)]
            for a in self.actions[s]:
                if policy[s][a]:
                    for t in range(S):
                        row[t] -= self.gamma * policy[s][a] * self.P[s * A + a][t]
                    row[S] += policy[s][a] * self.cost[s][a]
            system.append(row)
        for i in range(S):  # diagonally dominant: no pivots are needed
            system[i] = [x / system[i][i] for x in system[i]]
            for j in range(S):
                if j != i and system[j][i]:
                    system[j] = [x - system[j][i] * y for x, y in zip(system[j], system[i])]
        return [row[S] for row in system]

    def _optimal(self, start: np.ndarray) -> list[Fraction]:
        S, A = self.shape
        policy = [int(a) for a in start]
        while True:
            V = self.values([[Fraction(int(a == policy[s])) for a in range(A)] for s in range(S)])
            better = list(policy)
            for s in range(S):
                Q = {a: self.cost[s][a] + self.gamma * self._next(s, a, V) for a in self.actions[s]}
                best = min(Q, key=Q.__getitem__)
                if Q[best] < Q[policy[s]]:
                    better[s] = best
            if better == policy:
                return V
            policy = better

    def _next(self, s: int, a: int, V: list[Fraction]) -> Fraction:
        return sum((p * v for p, v in zip(self.P[s * self.shape[1] + a], V)), Fraction(0))

    def error(self, values: np.ndarray) -> Fraction:
        """Return ``|values - V*|_inf``."""
        return max(abs(Fraction(float(v)) - best) for v, best in zip(values, self.optimal))

    def of_table(self, table: np.ndarray) -> list[Fraction]:
        """Return the values of a policy whose rows are divided by their exact sums."""
        rows = [[Fraction(float(p)) for p in row] for row in table]
        return self.values([[p / sum(row) for p in row] for row in rows])


METHODS: dict[str, tuple[Any, int]] = {
    "PI": (PolicyIteration(), 12),
    "PI, loose": (PolicyIteration(tol=1e-6, forcing=0.25), 12),
    "MPI": (ModifiedPolicyIteration(), 12),
    "MPI, 3 sweeps": (ModifiedPolicyIteration(3, 0.5), 12),
    "VI": (ValueIteration(), 15),
    "PMD, growing": (PolicyMirrorDescent(step_size=DiscountGrowth()), 4),
    "PMD, Euclidean": (PolicyMirrorDescent("euclidean", AdaptiveStepSize()), 4),
    "NPG": (NaturalPolicyGradient(step_size=10.0), 3),
}


def check(seed: int) -> tuple[Counter[str], list[str]]:
    """Return how many steps of which method were judged, and what did not hold."""
    mdp, wrong, counts = random_mdp(seed), [], Counter()
    exact = Exact(mdp)
    rng = np.random.default_rng(seed)
    gamma, unit = mdp.discount, mdp.unit
    starts = [mdp.default_start(rng), rng.standard_normal(mdp.n_states) * mdp.cost.max(), np.zeros(mdp.n_states)]

    def judge(name: str, k: int, what: str, value: float, bound: float | Fraction) -> None:
        counts[f"{name}: {what}"] += 1
        if not Fraction(value) <= Fraction(bound):
            wrong.append(f"seed {seed}, {name}, step {k}: {what} {float(value):.17g} above {float(bound):.17g}")

    # what `evaluate` promises of a policy's values, relative to the largest
    accuracy = 1e-12 + 4 * (mdp.n_states + 8) * EPS / (1.0 - gamma)
    scale = max(abs(float(v)) for v in exact.optimal) + float(np.abs(mdp.cost).max())
    optimum_error = exact.error(mdp.optimal.values)
    judge("optimal", 0, "error", optimum_error, accuracy * scale)
    for name, (method, steps) in METHODS.items():
        tables = name.startswith(("PMD", "NPG"))
        x0 = starts[0] if tables else starts[int(rng.integers(3))]
        state = method.init(mdp, x0, rng)
        for k in range(steps):
            metrics = method.measure(mdp, state)
            if not tables:
                judge(name, k, "value_error", unit * exact.error(state.values), metrics["value_error"] * (1 + 2 * EPS))
            if tables or name.startswith("PI"):
                policy = method.iterate(mdp, state)
                V, metrics = exact.of_table(policy.probabilities()), mdp.measure(policy)
                above = max(v - best for v, best in zip(V, exact.optimal))
                judge(name, k, "advantage_gap", unit * above, metrics["advantage_gap"] * (1 + 2 * EPS))
                gap = sum(Fraction(float(p)) * (v - best) for p, v, best in zip(mdp.start, V, exact.optimal))
                size = max(abs(float(v)) for v in V) + scale
                off = abs(gap * Fraction(unit) - Fraction(metrics["gap"]))
                judge(name, k, "gap", off, unit * 2 * accuracy * size)
            if state.k and getattr(state, "settled", False):
                break
            state = method.step(mdp, state)
    # what ends as converged is as near as it says
    tolerance = {"value_error": 1e-10 * scale * unit}
    for name, tol, record in (("PI", tolerance, 1), ("PI", None, 1), ("MPI", None, 5), ("VI", None, 60)):
        run = optlab.solve(mdp, METHODS[name][0], tol=tol, max_iter=300, record=record, progress=False)
        if run.success:
            said = tol["value_error"] if tol else run.metrics["value_error"]
            judge(name, run.n_iter, "CONVERGED", unit * exact.error(run.state.values), said * (1 + 2 * EPS))
        counts[f"{name}, {'tol' if tol else 'bare'}: {run.status.name}"] += 1
    return counts, wrong


def main(count: int, first: int = 0) -> int:
    total: Counter[str] = Counter()
    failures = []
    for seed in range(first, first + count):
        counts, wrong = check(seed)
        total += counts
        failures += wrong
        for line in wrong[:3]:
            print(line, flush=True)
    print(f"{count} MDPs, {len(failures)} violations")
    for name, number in sorted(total.items()):
        print(f"  {name}: {number}")
    return len(failures)


if __name__ == "__main__":
    sys.exit(bool(main(int(sys.argv[1]), *map(int, sys.argv[2:]))))
