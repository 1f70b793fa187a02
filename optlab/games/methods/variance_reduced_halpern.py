"""Halpern's iteration on finite sums of cocoercive operators, with gradients corrected from few components.

    lam_k = 2/(k+4);   v = lam_k u_0 + (1 - lam_k) u_k - eta Ft_k;   u_{k+1} = J_{eta G}(v)
    with probability p_{k+1}   Ft_{k+1} = F(u_{k+1})                                         n components
    else                       Ft_{k+1} = Ft_k + mean over S of F_i(u_{k+1}) - F_i(u_k)      2 b components

(Cai, Alacaoglu, Diakonikolas 2024; this form, b = ceil(sqrt n), p_k = 4/(min(k, ceil sqrt n) + 5) and the step size are
derived here: a scalar recursion certifies them, see `certified`.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from optlab.core import Method, State
from optlab.core.validation import as_number

Array = Any


def refresh_probability(k: int, n: int) -> float:
    """Return the probability of a full evaluation at iteration k."""
    return 4.0 / (min(k, math.ceil(math.sqrt(n))) + 5.0)


def certified(n: int, eta_L: float, K: int, a: Any = 1.0, constrained: bool = False) -> bool:
    """Return whether ``E |F(u_K)| <= 4 R / (eta K)`` (to leading order) is proved for steps of ``eta_L / L``.

    The Lyapunov function loses ``s_k`` times the squared differences of the components in each step and gains ``c_k``
    times the squared error of the estimate; a backward recursion says whether the one pays for the other (derived
    here). What is certified for K iterations is so for fewer.

    Parameters
    ----------
    n, eta_L, K : int, float, int
        Components, step size in units of 1/L, iterations.
    a : float or ndarray, default 1.0
        A free weight of the proof; of several, one has to do.
    constrained : bool, default False
        Whether there is a resolvent: the residual is then that of ``F + G``.

    Examples
    --------
    >>> certified(100, 0.25, 300), certified(100, 0.6, 300)
    (True, False)
    """
    a = np.atleast_1d(np.asarray(a, dtype=float))
    b, weight, c, holds = math.ceil(math.sqrt(n)), np.zeros(a.size), eta_L, np.ones(a.size, dtype=bool)
    for k in range(K - 1, -1, -1):
        p = refresh_probability(k + 1, n)
        if constrained:
            lost = (k + 3) * (k + 4) * ((k + 2) / 2 - c * (k + 6) * (1 + a) / 4)
            gained = c * (k + 3) * (k + 4) * (k + 6) * (1 + 1 / a) / 4
        else:
            lost = (k + 3) * (k + 4) * ((k + 2) - c * (1 + a) * (k + 4) / 2) / 2
            gained = c * (k + 3) * (k + 4) ** 2 * (1 / (k + 6) + 1 / (4 * a))
        holds &= (1 - p) * weight / b <= lost
        if not holds.any():
            return False
        weight = gained + (1 - p) * weight
    return True


@lru_cache(maxsize=64)
def certified_step(n: int, constrained: bool = False) -> float:
    """Return the largest ``eta L`` that is certified, rounded down to two digits, for n components.

    Examples
    --------
    >>> certified_step(100), certified_step(10_000), certified_step(100, constrained=True)
    (0.39, 0.6, 0.25)
    """
    K, weights = 300 + 10 * math.ceil(math.sqrt(n)), np.geomspace(0.02, 5.0, 60)
    low, high = 10, 100  # hundredths
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if certified(n, middle / 100, K, weights, constrained) else (low, middle)
    return low / 100


@dataclass
class VarianceReducedState(State):
    """State after k iterations: u, the anchor, the estimate of F(u), and component evaluations."""

    u: Array
    anchor: Array
    estimate: Array
    step_size: float
    seed: int
    oracle_calls: int


@dataclass(frozen=True)
class VarianceReducedHalpern(Method):
    """Variance-reduced Halpern iteration on a `FiniteSumInclusion` that is cocoercive on average.

    ``E |F(u_K)|`` is about ``4 R / (eta K)`` at most, at some 6 sqrt(n) components an iteration.
    ``oracle_calls`` counts components.

    Parameters
    ----------
    step_size : float, optional
        eta. Default: the largest that the recursion certifies for n components (`certified_step`): 0.39/L for 100,
        0.6/L for 10,000; less with a constraint.

    References
    ----------
    Cai, Alacaoglu, Diakonikolas (2024), Variance reduced Halpern iteration for finite-sum monotone inclusions.

    Examples
    --------
    >>> import optlab
    >>> from optlab.games import FiniteSumInclusion, VarianceReducedHalpern
    >>> H = np.array([np.diag([1.0, 0.5 + (i % 2)]) for i in range(100)])
    >>> problem = FiniteSumInclusion(H, np.ones((100, 2)))
    >>> optlab.solve(problem, VarianceReducedHalpern(), tol=1e-2, max_iter=3000, seed=0).success
    True
    """

    step_size: float | None = None
    requires: ClassVar[tuple[str, ...]] = ("full", "components", "resolve")
    needs: ClassVar[str] = "a finite sum of operators (optlab.games.FiniteSumInclusion)"
    reference: ClassVar[str] = "cai2024variance"

    def __post_init__(self) -> None:
        if self.step_size is not None:
            object.__setattr__(self, "step_size", as_number(self.step_size, "step_size", above=0))

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against sums that are not cocoercive on average, if no step size is given."""
        if self.step_size is None and not math.isfinite(getattr(problem, "cocoercivity", math.inf)):
            return "needs a sum that is cocoercive on average, or a step size"
        return None

    def init(self, problem: Any, x0: Any, rng: np.random.Generator) -> VarianceReducedState:
        """Return the state at iteration 0, after one full forward-backward step that gives the anchor."""
        L = problem.cocoercivity
        eta = self.step_size
        if eta is None:
            eta = certified_step(problem.n, problem.constraint is not None) / L if L > 0 else 1.0
        u = np.array(x0, dtype=float)
        calls = problem.n
        if problem.constraint is not None:
            u = problem.resolve(u - eta * problem.full(u), eta)
            calls += problem.n
        return VarianceReducedState(0, u, u, problem.full(u), eta, int(rng.integers(2**62)), calls)

    def step(self, problem: Any, state: VarianceReducedState) -> VarianceReducedState:
        """Return the state one iteration later."""
        k, eta, n = state.k, state.step_size, problem.n
        lam = 2.0 / (k + 4.0)
        u = problem.resolve(lam * state.anchor + (1.0 - lam) * state.u - eta * state.estimate, eta)
        rng = np.random.default_rng([state.seed, k])
        if rng.random() < refresh_probability(k + 1, n):
            estimate, calls = problem.full(u), n
        else:
            rows = rng.integers(0, n, size=math.ceil(math.sqrt(n)))
            estimate = state.estimate + problem.components(u, rows) - problem.components(state.u, rows)
            calls = 2 * rows.size
        return VarianceReducedState(k + 1, u, state.anchor, estimate, eta, state.seed, state.oracle_calls + calls)

    def iterate(self, problem: Any, state: VarianceReducedState) -> Array:
        """Return u."""
        return state.u

    def variable(self, state: VarianceReducedState) -> Array:
        """Return u."""
        return state.u

    def with_variable(self, problem: Any, state: VarianceReducedState, value: Array) -> VarianceReducedState:
        """Return the state at another point, with the operator in full there."""
        return replace(state, u=value, estimate=problem.full(value), oracle_calls=state.oracle_calls + problem.n)

    def step_size_of(self, state: VarianceReducedState) -> float:
        """Return eta."""
        return state.step_size
