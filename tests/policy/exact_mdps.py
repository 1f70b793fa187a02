"""Small random MDPs in rational arithmetic: do the recorded bounds hold, at every step of every method?

``python -m tests.policy.exact_mdps 20000`` runs as many and prints counts; `test_exact_bounds.py` runs a slice.
"""

from __future__ import annotations

import math
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


def integers(numbers: Any) -> tuple[list[int], int]:
    """Return numbers over a common denominator, which for floats is a power of two."""
    ratios = [float(x).as_integer_ratio() for x in numbers]
    common = max(d for _, d in ratios)
    return [n * (common // d) for n, d in ratios], common


class Exact:
    """The same MDP in integers: rows divided by their exact sums, as a transition law is meant."""

    def __init__(self, mdp: MDP) -> None:
        self.shape = S, A = mdp.n_states, mdp.n_actions
        self.gamma = float(mdp.discount).as_integer_ratio()
        costs, self.unit = integers(mdp.cost.ravel())
        self.cost = [costs[s * A : s * A + A] for s in range(S)]
        table = mdp.transitions.toarray().reshape(S, A, S)
        self.actions = [[a for a in range(A) if table[s, a].any()] for s in range(S)]
        # per state: rows of integers with one sum, the common denominator of its actions
        self.rows: list[dict[int, list[int]]] = []
        self.sums: list[int] = []
        for s in range(S):
            rows = {a: integers(table[s, a])[0] for a in self.actions[s]}
            whole = math.lcm(*(sum(row) for row in rows.values()))
            self.rows.append({a: [x * (whole // sum(row)) for x in row] for a, row in rows.items()})
            self.sums.append(whole)
        self.optimal = self._optimal([int(a) for a in mdp.optimal.policy])

    def values(self, weights: list[list[int]]) -> list[Fraction]:
        """Solve ``V = c_pi + gamma P_pi V``, the policy's rows being `weights` over their sums."""
        (g, h), S = self.gamma, self.shape[0]
        system = []
        for s, row in enumerate(weights):
            diagonal, taken = sum(row) * h * self.sums[s], [a for a in self.actions[s] if row[a]]
            system.append(
                [diagonal * (s == t) - g * sum(row[a] * self.rows[s][a][t] for a in taken) for t in range(S)]
                + [h * self.sums[s] * sum(row[a] * self.cost[s][a] for a in taken)]
            )
        return [Fraction(x, self.unit) for x in solve(system)]

    def _optimal(self, policy: list[int]) -> list[Fraction]:
        """Return V* by policy iteration without rounding."""
        S, A = self.shape
        while True:
            V = self.values([[int(a == policy[s]) for a in range(A)] for s in range(S)])
            better = [
                min(self.actions[s], key=lambda a, s=s: (self._action_value(s, a, V), a != policy[s])) for s in range(S)
            ]
            if better == policy:
                return V
            policy = better

    def _action_value(self, s: int, a: int, V: list[Fraction]) -> Fraction:
        following = sum((p * v for p, v in zip(self.rows[s][a], V)), Fraction(0)) / self.sums[s]
        return Fraction(self.cost[s][a], self.unit) + Fraction(*self.gamma) * following

    def error(self, values: np.ndarray) -> Fraction:
        """Return ``|values - V*|_inf``."""
        return max(abs(Fraction(float(v)) - best) for v, best in zip(values, self.optimal))

    def of_table(self, table: np.ndarray) -> list[Fraction]:
        """Return the values of a policy whose rows are divided by their exact sums."""
        return self.values([integers(row)[0] for row in table])


def solve(system: list[list[int]]) -> list[Fraction]:
    """Solve a diagonally dominant system of integers, right-hand sides last, by Bareiss's elimination (no pivots)."""
    n, previous = len(system), 1
    for i in range(n - 1):
        for j in range(i + 1, n):
            for k in range(i + 1, n + 1):
                system[j][k] = (system[j][k] * system[i][i] - system[j][i] * system[i][k]) // previous
        previous = system[i][i]
    x: list[Fraction] = [Fraction(0)] * n
    for i in range(n - 1, -1, -1):
        rest = sum((system[i][j] * x[j] for j in range(i + 1, n)), Fraction(0))
        x[i] = (system[i][n] - rest) / system[i][i]
    return x


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
        run = optlab.solve(mdp, METHODS[name][0], tol=tol, max_iter=120, record=record, progress=False)
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
