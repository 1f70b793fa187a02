"""What the checks of the NGN paper share: instances with exact constants, one step of a method, runs over seeds.

The checks run the library's own methods through `optlab.iterate` and `optlab.solve`; averages over many runs are
taken by `_paths`, with the step rule of the method itself and the method beside it in every call. An instance knows its
minimiser, the infima of its terms and with them both gaps of the theory: ``D_int = E[f_i(x*) - inf f_i]`` and
``D_pos = E[inf f_i]``. Its terms f_i are problems of their own, so that an expectation over i is a mean over all of
them, not a sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import islice
from typing import Any

import numpy as np
from scipy.optimize import brentq

import optlab
from optlab.reproduce import Evidence, at_scale
from optlab.reproduce.evidence_strength import nearness
from optlab.stochastic import FiniteSum, LeastSquares, LogisticRegression
from optlab.theorems.ngn._paths import Terms, linear_terms

PAPER = "ngn"
DERIVED = "derived here, verified numerically"
CONVEX = "Orvieto, Xiao 2024, convergence for convex losses; constants as restated in later papers"

Array = Any


@dataclass(frozen=True, eq=False)
class Instance:
    """A finite sum with everything that the theorems speak of.

    Parameters
    ----------
    name : str
    problem : FiniteSum
        For runs; its samples are the terms, unless these are batches.
    terms : tuple of FiniteSum
        The terms f_i, each the mean of its samples.
    minimizer : ndarray
    infima : ndarray
        inf f_i.
    smoothness : float
        L = max L_i.
    strong_convexity : float
        Modulus of f.
    """

    name: str
    problem: Any
    terms: tuple[FiniteSum, ...]
    minimizer: Array
    infima: Array
    smoothness: float
    strong_convexity: float = 0.0

    def values(self, x: Array) -> Array:
        """Return f_i(x) for every term."""
        return np.array([term.objective(x) for term in self.terms])

    @cached_property
    def vectorized(self) -> Terms:
        """The terms in vectorised form."""
        return linear_terms(self.terms)

    @cached_property
    def f_star(self) -> float:
        """The minimum of f."""
        return float(self.values(self.minimizer).mean())

    @property
    def positivity_gap(self) -> float:
        """D_pos."""
        return float(np.mean(self.infima))

    @property
    def interpolation_gap(self) -> float:
        """D_int, at least 0."""
        return max(float(np.mean(self.values(self.minimizer) - self.infima)), 0.0)


def newton(problem: Any, steps: int = 60) -> Array:
    """Return the minimiser of a logistic problem to rounding, by damped Newton steps."""
    x = np.zeros(problem.size)
    value, gradient = problem.objective_and_gradient(x)
    for _ in range(steps):
        p = 1.0 / (1.0 + np.exp(problem.A @ x))
        hessian = (problem.A.T * (p * (1 - p))) @ problem.A / problem.n_samples + problem.l2 * np.eye(x.size)
        direction, t = np.linalg.solve(hessian, gradient), 1.0
        while t > 1e-10 and problem.objective(x - t * direction) > value:
            t /= 2
        x = x - t * direction
        value, gradient = problem.objective_and_gradient(x)
    return x


def logistic_infimum(square: float, l2: float) -> float:
    """Return the infimum of ``log(1 + exp(-y <a, x>)) + (l2/2) ||x||^2`` with ``||a||^2 = square``.

    It lies at ``x = s y a`` with ``l2 s = 1 / (1 + exp(s square))``.
    """
    if l2 == 0:
        return 0.0
    s = brentq(lambda s: l2 * s - 1.0 / (1.0 + np.exp(min(s * square, 700.0))), 0.0, 1.0 / l2, xtol=1e-15)
    return float(np.log1p(np.exp(-s * square)) + 0.5 * l2 * s * s * square)


def _singles(problem: Any) -> tuple[FiniteSum, ...]:
    kind, A, t = type(problem), problem.A, problem.targets
    return tuple(kind(A[i : i + 1], t[i : i + 1], l2=problem.l2, f_star=None) for i in range(len(t)))


def least_squares(seed: int, n: int = 12, d: int = 3, noise: float = 1.0, l2: float = 0.0) -> Instance:
    """Return a Gaussian least-squares instance; ``noise=0`` is consistent (all losses vanish at the solution)."""
    rng = np.random.default_rng([seed, 1])
    A = rng.normal(size=(n, d)) * rng.uniform(0.5, 1.5, size=(n, 1))
    b = A @ rng.normal(size=d) + noise * rng.normal(size=n)
    problem = LeastSquares(A, b, l2=l2)
    hessian = A.T @ A / n + l2 * np.eye(d)
    solution = np.linalg.solve(hessian, A.T @ b / n)
    infima = 0.5 * b**2 * l2 / (l2 + problem.row_norms) if l2 else np.zeros(n)
    mu = float(np.linalg.eigvalsh(hessian)[0])
    name = "least squares" if noise else "consistent least squares"
    return Instance(
        f"ridge {name}" if l2 else name,
        problem,
        _singles(problem),
        solution,
        infima,
        float(problem.smoothness.max()),
        mu,
    )


def logistic(seed: int, n: int = 12, d: int = 3, l2: float = 0.0) -> Instance:
    """Return a logistic instance that no plane separates: some samples come with both labels."""
    rng = np.random.default_rng([seed, 2])
    A = rng.normal(size=(n, d)) * rng.uniform(0.5, 1.5, size=(n, 1))
    y = np.where(A @ rng.normal(size=d) + rng.normal(size=n) > 0, 1.0, -1.0)
    half = d + 1
    A[:half], y[:half] = A[half : 2 * half], -y[half : 2 * half]
    problem = LogisticRegression(A, y, l2=l2)
    infima = np.array([logistic_infimum(float(square), l2) for square in problem.row_norms])
    name = "ridge logistic" if l2 else "logistic"
    L = float(problem.smoothness.max())
    return Instance(name, problem, _singles(problem), newton(problem), infima, L, l2)


def batches(seed: int, batch: int = 6, count: int = 3, d: int = 3) -> Instance:
    """Return least squares whose terms are fixed batches, larger than d: their infima are positive."""
    rng = np.random.default_rng([seed, 3])
    A = rng.normal(size=(batch * count, d))
    b = A @ rng.normal(size=d) + rng.normal(size=batch * count)
    parts = [slice(i * batch, (i + 1) * batch) for i in range(count)]
    terms = tuple(LeastSquares(A[s], b[s], f_star=None) for s in parts)
    solution = np.linalg.lstsq(A, b, rcond=None)[0]
    infima = np.array([term.objective(np.linalg.lstsq(term.A, term.targets, rcond=None)[0]) for term in terms])
    L = max(float(np.linalg.eigvalsh(term.A.T @ term.A / batch)[-1]) for term in terms)
    mu = float(np.linalg.eigvalsh(A.T @ A / len(b))[0])
    return Instance("batches of least squares", LeastSquares(A, b), terms, solution, infima, L, mu)


def convex_instances(seed: int, n: int = 12, d: int = 3) -> list[Instance]:
    """Return one instance of each convex class: both gaps zero, one of them, or neither."""
    return [
        least_squares(seed, n, d),
        least_squares(seed, n, d, noise=0.0),
        least_squares(seed, n, d, l2=0.3),
        logistic(seed, n, d),
        logistic(seed, n, d, l2=0.1),
        batches(seed, batch=2 * d, count=max(n // (2 * d), 3), d=d),
    ]


@cache
def instances(scale: str, seed: int) -> list[Instance]:
    """Return the instances of the checks that average over runs: six classes, six draws from scale *cpu* on."""
    draws = at_scale(scale, 1, 6, 20)
    return [instance for i in range(draws) for instance in convex_instances(100 * seed + i, n=12 + 4 * i, d=3 + i % 3)]


def sigma_grid(scale: str) -> Array:
    """Return the values of t = sigma L of these checks."""
    return at_scale(scale, np.array([1e-2, 0.5, 10.0, 1e6]), np.array([1e-3, 0.01, 0.1, 0.5, 1.0, 10.0, 1e3, 1e4, 1e6]))


def nearest_to_bound(observed: Any, bound: Any, t: Any, slack: float, **fields: Any) -> Evidence:
    """Return the evidence of the (at most) 2000 inequalities nearest to their bound, given as lists of arrays."""
    observed, bound, t = (np.concatenate([np.ravel(part) for part in v]).astype(float) for v in (observed, bound, t))
    order = np.sort(np.argsort(nearness(observed, bound, slack))[-2000:])
    detail = {"inequalities tested": len(observed), **fields.pop("detail", {})}
    return Evidence(
        t[order], observed[order], bound[order], slack=slack, rtol=1e-9, detail=detail, xlabel="sigma L", **fields
    )


def whole(method: Any, term: FiniteSum) -> Any:
    """Return the method that uses all samples of `term` in every step."""
    return replace(method, batch_size=term.n_samples)


def step_from(problem: FiniteSum, method: Any, x: Array, n: int = 1) -> Any:
    """Return the state after `n` full-batch steps from x."""
    return next(islice(optlab.iterate(problem, whole(method, problem), x0=x), n, None))


def points_near(instance: Instance, rng: Any, count: int) -> list[Array]:
    """Return points at distances from 1e-2 to 1e2 of the solution."""
    radii = 10.0 ** rng.uniform(-2, 2, size=count)
    directions = rng.normal(size=(count, instance.minimizer.size))
    return [instance.minimizer + r * u / np.linalg.norm(u) for r, u in zip(radii, directions, strict=True)]


def averaged_gaps(instance: Instance, method: Any, records: Sequence[int], seeds: Sequence[int], x0: Array) -> Array:
    """Return ``f - f*`` of what the method reports after each of `records` iterations, shape (seeds, records)."""
    rows = []
    with np.errstate(all="ignore"):  # a control may overflow; what is recorded then is inf or NaN
        for s in seeds:
            history = optlab.solve(
                instance.problem, method, x0=x0, max_iter=max(records), record=list(records), seed=s
            ).history
            found = dict(zip(history["iteration"], history["objective"], strict=True))
            rows.append([found.get(k, np.inf) - instance.f_star for k in records])
    return np.array(rows)


def convex_bound(instance: Instance, t: Array, K: Array, distance: float, sharp: bool = False) -> Array:
    """Return the bound of the convex theorem, t = sigma L, after K iterations from squared distance `distance`."""
    sigma = t / instance.smoothness
    leading = (1 + t) * (1 + 2 * t) if sharp else (1 + 2 * t) ** 2
    floor = 3 * t * (1 + t) * instance.interpolation_gap + t * np.maximum(0, 2 * t - 1) * instance.positivity_gap
    return leading * distance / (2 * sigma * K) + floor
