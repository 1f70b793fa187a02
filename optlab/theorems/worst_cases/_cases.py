"""What the checks of worst cases share: cases, small linear instances to run the methods on, the table of values.

A case is a method, a class of problems, a metric and a bound. Its check is a sandwich: what the method does on the
instances, the worst case of the class from the method's own step (`optlab.theory`), and the bound. Worst cases are
kept in `_values`, so that no solver is needed; from scale *cpu* on they are computed again where PEPit is installed,
and one that differs from the table leaves the check inconclusive. To write the table anew:
``python -m optlab.theorems.worst_cases._write``.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from optlab.reproduce import Evidence, theorem
from optlab.theorems.worst_cases._values import VALUES
from optlab.theory import ConvexPair, MonotonePair, SmoothConvex, scanned_step, worst_case

PAPER = "worst-cases"
Array = Any


class LinearPair:
    """A pair of monotone matrices, whose solution is 0, with the oracles of a split problem in the quadratic kernel."""

    default_step_size = 1.0

    def __init__(self, A: Array, B: Array) -> None:
        self.A, self.B = np.asarray(A, dtype=float), np.asarray(B, dtype=float)

    def initial_mirror(self, x0: Any) -> Array:
        """Return the start."""
        return np.asarray(x0, dtype=float)

    def _resolvent(self, M: Array, mirror: Array, step_size: float) -> Array:
        return np.linalg.solve(np.eye(len(M)) + step_size * M, mirror)

    def resolvent_A(self, mirror: Array, step_size: float) -> Array:
        """Return the resolvent of A."""
        return self._resolvent(self.A, mirror, step_size)

    def resolvent_B(self, mirror: Array, step_size: float) -> Array:
        """Return the resolvent of B."""
        return self._resolvent(self.B, mirror, step_size)

    def primal(self, mirror: Any, drift: Any = None) -> Any:
        """Return the point itself."""
        return mirror

    def check_mirror(self, mirror: Any) -> None:
        """Accept every point."""

    def local_coordinates(self, difference: Any, at: Any) -> Array:
        """Return the difference."""
        return difference


def _square(vector: Array) -> float:
    return float(np.sum(np.asarray(vector) ** 2))


def measured(method: Any, pair: LinearPair, ks: tuple[int, ...], metric: str) -> Array:
    """Return the metric of `optlab.theory` after each k of `ks`, by the method's own ``init`` and ``step``."""
    start = np.array([1.0, 0.7])
    state = method.init(pair, start, None)
    run = [state]
    for _ in range(max(ks) + 1):
        run.append(method.step(pair, run[-1]))
    if metric in ("residual", "distance"):
        size = _square(method.variable(state))
        if metric == "distance":
            return np.array([_square(method.variable(run[k])) for k in ks]) / size
        return np.array([_square(method.displacement(run[k], run[k + 1])) for k in ks]) / size
    gamma = method.step_size_of(run[1])
    weight = np.eye(2) + gamma * pair.B
    energy = [0.5 * float(s.x @ weight @ s.x) for s in run[1:]]  # V_k of x_k
    if metric == "lyapunov":
        return np.array([energy[k] for k in ks]) / energy[0]
    gaps = [0.5 * float(s.y @ (pair.A + pair.B) @ s.y) for s in run[1:]]
    return np.array([np.mean(gaps[:k]) for k in ks]) / energy[0]


def _turn(angle: float, size: float = 1.0) -> Array:
    return size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def instances(problem_class: Any) -> Iterator[LinearPair]:
    """Yield small linear members of a class of pairs: rotations where skew parts are allowed, else symmetric ones."""
    mu = float(getattr(problem_class, "strong_convexity", getattr(problem_class, "strong_monotonicity", 0.0)))
    if isinstance(problem_class, MonotonePair):
        for slope in (*np.tan(np.pi / 2 / np.arange(2, 14)), 0.5, 2.0):
            yield LinearPair(_turn(np.pi / 2, slope), mu * np.eye(2))
            yield LinearPair(np.zeros((2, 2)), mu * np.eye(2) + _turn(np.pi / 2, slope))
        return
    L = min(float(problem_class.smoothness), 1e3) if isinstance(problem_class, ConvexPair) else problem_class.smoothness
    for a in (0.0, 0.1, 1.0, 1e6):
        for b in (mu, np.sqrt(max(mu, 0.01) * L), L):
            yield LinearPair(a * np.eye(2), np.diag([b, L]))
            yield LinearPair(np.diag([a, 0.0]), np.diag([b, mu]))


def step_instances(method: Any, problem_class: SmoothConvex) -> Array:
    """Return the largest measured ``||x_1 - x*||^2 / ||x_0 - x*||^2`` of a full step on quadratics with minimum 0."""
    import optlab
    from optlab.stochastic import LeastSquares

    mu, L = problem_class.strong_convexity, problem_class.smoothness
    found = []
    for share in np.linspace(0.0, 1.0, 6):
        # f = mean of (a_i x_i)^2 / 2 with two rows: eigenvalues a_i^2 / 2
        problem = LeastSquares(np.diag(np.sqrt([2 * mu, 2 * L])), np.zeros(2), f_star=None)
        x0 = np.array([np.cos(share * np.pi / 2), np.sin(share * np.pi / 2)])
        state = optlab.solve(problem, method, x0=x0, max_iter=1, record=1, progress=False).solution
        found.append(_square(state) / _square(x0))
    return np.array([max(found)])


@dataclass(frozen=True)
class Case:
    """A sandwich: see the top of this file. `wrong` is a method or `wrong_class` a class that exceeds the bound."""

    id: str
    title: str
    statement: str
    source: str
    method: Any
    problem_class: Any
    metric: str
    ks: tuple[int, ...]
    bound: Any  # of k
    broken: str
    wrong: Any = None
    wrong_class: Any = None
    proved: bool = True
    assumptions: tuple[str, ...] = field(default=())
    start: str = "distance"  # what the metric is divided by

    def computed(self, wrong: bool, confirm: bool = True) -> list[float]:
        """Return the worst cases from the solver; NaN where it failed."""
        method, c = self.method, self.problem_class
        if wrong:
            method, c = self.wrong or method, self.wrong_class or c
        if self.metric == "step":
            return [scanned_step(method, c).value]
        options: dict[str, Any] = {"metric": self.metric, "start": self.start, "confirm": confirm}
        return [float(v) for v in worst_case(method, c, k=self.ks, **options).value]

    def observed(self, wrong: bool) -> Array:
        """Return the largest values measured on members of the class of the theorem."""
        method = (self.wrong or self.method) if wrong else self.method
        if self.metric == "step":
            return step_instances(method, self.problem_class)
        c = (self.wrong_class or self.problem_class) if wrong else self.problem_class
        runs = [measured(method, pair, self.ks, self.metric) for pair in instances(c)]
        return np.max(runs, axis=0)

    def evidence(self, scale: str, wrong: bool) -> Evidence:
        """Return the sandwich; with `wrong` that of the control."""
        worst = np.array(VALUES[self.id]["control" if wrong else "value"], dtype=float)
        detail: dict[str, Any] = {"table": "kept values"}
        if scale != "smoke" and importlib.util.find_spec("PEPit") is not None:
            again = np.array(self.computed(wrong, confirm=False))
            with np.errstate(invalid="ignore"):
                same = np.isclose(again, worst, rtol=1e-3, atol=1e-6)
            worst = np.where(same, again, np.nan)
            detail = {"table": "computed again", "differ from the table": int(np.sum(~same))}
        bound = [self.bound(k) for k in self.ks]
        return Evidence(
            self.ks,
            self.observed(wrong),
            bound,
            worst_case=worst,
            kind="sandwich",
            slack=1e-7,
            detail=detail,
            ylabel=self.metric.replace("_", " "),
        )


def in_an_id(value: float) -> str:
    """Return a number as it stands in an id."""
    return f"{value:g}".replace(".", "-")


CASES: dict[str, Case] = {}


def register(case: Case) -> None:
    """Register the check of a case, with its control."""
    CASES[case.id] = case

    @theorem(
        id=case.id,
        paper=PAPER,
        title=case.title,
        statement=case.statement,
        assumptions=case.assumptions or (repr(case.problem_class),),
        source=case.source,
        proved=case.proved,
    )
    def check(scale: str, seed: int) -> Evidence:
        return case.evidence(scale, wrong=False)

    @check.control(case.broken)
    def _(scale: str, seed: int) -> Evidence:
        return case.evidence("smoke", wrong=True)
