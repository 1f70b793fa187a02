"""FISTA: accelerated proximal gradient, with backtracking, known strong convexity, and restarts.

Follows Beck and Teboulle (2009), in the indexing where ``t_0 = 0`` and the extrapolation opens an iteration:

    t+ = (1 + sqrt(1 + 4 t^2 L+/L)) / 2                                  (4.2; L+ = L without backtracking)
    y  = x + (t - 1)/t+ (x - x_before)                                   (4.3)
    x+ = prox_{g/L+}(y - grad f(y)/L+)                                   (4.1)

The ratio ``L+/L`` lets the estimate fall as well as rise (derived here, verified numerically): the bound
``F(x_k) - F* <= L_k ||x_0 - x*||^2 / (2 t_k^2)`` needs ``t+^2/L+ - t+/L+ <= t^2/L``. Since y depends on L+ then, it is
made anew within the line search.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.composite.split import Work
from optlab.core.contract.slots import Slot
from optlab.core.validation import as_number, one_of
from optlab.firstorder.base import (
    PROXIMAL,
    SMOOTH,
    DescentState,
    FirstOrderMethod,
    certified,
    inverse,
    needs_whole_space,
)
from optlab.firstorder.step_sizes import Backtracking, admits
from optlab.linalg.lbfgs import inner


@dataclass
class FISTAState(DescentState):
    """State of FISTA after k iterations.

    Parameters
    ----------
    before : ndarray
        The x of the iteration before; x itself after a restart.
    t : float
        The momentum parameter; 0 after a restart.
    since, restarts : int
        Iterations since the last restart, and how many there were.
    objective : float
        F at x, where restarts ask for it.
    """

    before: Any = None
    t: float = 0.0
    since: int = 0
    restarts: int = 0
    objective: float = math.inf


@dataclass(frozen=True)
class FISTA(FirstOrderMethod):
    """Fast iterative shrinkage-thresholding: accelerated proximal gradient.

    For convex f and g, ``F(x_k) - F* <= 2 L ||x_0 - x*||^2 / (k + 1)^2`` (Theorem 4.4); with a known modulus mu,
    ``(1 - sqrt(mu/L))^k (F(x_0) - F* + mu/2 ||x_0 - x*||^2)`` (Beck 2017, Theorem 10.42).

    Parameters
    ----------
    restart : {None, "gradient", "function", "speed"}, optional
        When to let go of the momentum (O'Donoghue and Candes 2015; speed: Su, Boyd, Candes 2016). "gradient" needs no
        values and was the best in our runs. No rate is proved with restarts; default None.
    backtracking : Backtracking, optional
        Search for L, at one or more values of f an iteration; no constant need be known then. Default: none, 1/L.
    strong_convexity : float or None, default 0
        mu: above 0, V-FISTA's constant momentum; None takes what the problem knows of f.

    References
    ----------
    Beck, Teboulle (2009), A fast iterative shrinkage-thresholding algorithm for linear inverse problems.

    Examples
    --------
    >>> import numpy as np, optlab
    >>> from optlab.bregman.functions import L1Norm, LeastSquares
    >>> from optlab.composite import CompositeProblem
    >>> from optlab.firstorder import FISTA, Backtracking
    >>> rng = np.random.default_rng(0)
    >>> problem = CompositeProblem(LeastSquares(rng.standard_normal((20, 50)), rng.standard_normal(20)), 3.0 * L1Norm())
    >>> optlab.solve(problem, FISTA(restart="gradient", backtracking=Backtracking(decrease=0.9)), tol=1e-9).success
    True
    """

    restart: str | None = None
    backtracking: Backtracking | None = None
    strong_convexity: float | None = 0.0
    reference: ClassVar[str] = "beck2009fast"

    def __post_init__(self) -> None:
        if self.restart is not None:
            one_of(self.restart, "restart", ("gradient", "function", "speed"))
        if self.backtracking is not None and not isinstance(self.backtracking, Backtracking):
            raise TypeError(f"backtracking must be a Backtracking or None, got {self.backtracking!r}")
        if self.strong_convexity is not None:
            mu = as_number(self.strong_convexity, "strong_convexity", minimum=0)
            object.__setattr__(self, "strong_convexity", mu)

    @property
    def slots(self) -> tuple[Slot, ...]:  # type: ignore[override]
        """A smooth part, and one proximal term; the constant may be unknown with backtracking."""
        return _WITH_CONSTANT if self.backtracking is None else _SEARCHED

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against other geometries, and against terms whose gradients do not exist somewhere."""
        reason = super().accepts(problem)
        return reason or (None if self.backtracking is None else needs_whole_space(problem, self.slots))

    def init(self, problem: Any, x0: Any, rng: Any) -> FISTAState:
        """Return the state at iteration 0."""
        split = problem.split(self.slots)
        x = split.start(x0)
        known = all("lipschitz" in term.offers for term in split.terms("f"))
        first = None if self.backtracking is None else self.backtracking.initial
        t = 1.0 / first if first else inverse(split.f.lipschitz if known else 1.0)
        return FISTAState(0, Work(), x, t, before=x)

    def step(self, problem: Any, state: FISTAState) -> FISTAState:
        """Return the state one iteration later."""
        split = problem.split(self.slots)
        oracles = split.counted()
        rule, step = self.backtracking, state.step_size
        mu = split.f.strong_convexity if self.strong_convexity is None else self.strong_convexity
        if rule is not None:
            step /= rule.decrease
        while True:
            t = 0.5 * (1.0 + math.sqrt(1.0 + 4.0 * state.t**2 * state.step_size / step))
            momentum = (state.t - 1.0) / t
            if mu:
                q = math.sqrt(min(1.0, mu * step))
                momentum = (1.0 - q) / (1.0 + q)
            y = state.x + momentum * (state.x - state.before) if state.since else state.x
            if rule is None:
                slope = oracles.gradient(y)
                x = oracles.proximal(y - step * slope, step)
                break
            value, slope = oracles.value_and_gradient(y)
            x = oracles.proximal(y - step * slope, step)
            moved = x - y
            slack = 50 * float(np.finfo(x.dtype).eps)
            if admits(oracles.value(x), value, inner(slope, moved), inner(moved, moved), 1.0 / step, slack):
                break
            step /= rule.increase
        after = FISTAState(
            state.k + 1, Work(), x, step, y, slope, state.x, t, state.since + 1, state.restarts, state.objective
        )
        if self.restart is not None:
            self._restart(split, oracles, state, after)
        after.work = state.work + oracles.work
        return after

    def _restart(self, split: Any, oracles: Any, state: FISTAState, after: FISTAState) -> None:
        """Let go of the momentum in `after`, if the rule says so."""
        moved = after.x - state.x
        if self.restart == "gradient":
            again = inner(after.at - after.x, moved) > 0
        elif self.restart == "speed":
            last = state.x - state.before
            again = after.since > 5 and inner(moved, moved) < inner(last, last)
        else:
            after.objective = oracles.value(after.x) + split.g.value(after.x)
            again = after.objective > state.objective and after.since > 1
            if again:  # the point is refused: go on from the one before
                after.x, after.objective, after.at, after.slope = state.x, state.objective, None, None
        if again:
            after.t, after.since, after.before, after.restarts = 0.0, 0, after.x, after.restarts + 1

    def iterate(self, problem: Any, state: FISTAState) -> Any:
        """Return x with the subgradients that the step has revealed."""
        return certified(problem.split(self.slots), state)

    def measure(self, problem: Any, state: FISTAState) -> dict[str, float]:
        """Return the step size, the restarts, and the counts of oracle calls."""
        return super().measure(problem, state) | {"restarts": float(state.restarts)}


_WITH_CONSTANT = (SMOOTH, PROXIMAL)
_SEARCHED = (Slot("f", ("gradient", "convex")), PROXIMAL)
