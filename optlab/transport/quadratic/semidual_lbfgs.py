"""L-BFGS on the semi-dual of quadratically regularised transport: what the papers use, one update at a time.

The two-loop recursion of Nocedal (1980), and the bisection of Lewis and Overton (2013) for the weak Wolfe conditions,
which also ends at the kinks of a limited problem. SciPy's L-BFGS-B cannot be stepped with a state that survives a
checkpoint.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.core import Method, State
from optlab.core.validation import as_integer, as_number
from optlab.transport.quadratic.plan import QuadraticPlan
from optlab.transport.quadratic.problem import QuadraticOptimalTransport, SemiDualPoint
from optlab.transport.quadratic.semismooth_newton import against_quadratic

_SUFFICIENT, _CURVATURE, _TRIALS = 1e-4, 0.9, 40


@dataclass
class SemiDualState(State):
    """State after k updates.

    Parameters
    ----------
    f, gradient : ndarray, shape (n,)
        Row potentials and the semi-dual's (super)gradient ``a - X 1`` there.
    value : float
        The semi-dual.
    steps, changes : ndarray, shape (at most memory, n)
        The last steps and changes of the gradient, oldest first.
    evaluations : int
        Passes over the cost so far.
    """

    f: np.ndarray
    gradient: np.ndarray
    value: float
    steps: np.ndarray
    changes: np.ndarray
    evaluations: int = 1


@dataclass(frozen=True)
class SemiDualLBFGS(Method):
    """Limited-memory BFGS on the semi-dual of a `QuadraticOptimalTransport`: the first-order method for it.

    With a limit on the non-zeros the semi-dual has kinks. The dual bound still rises there, but the plan's row sums do
    not become exact, and with them the certificate; `smoothing` bounds that error, `SemismoothNewton` removes it.

    Parameters
    ----------
    memory : int, default 10
        Pairs kept.
    smoothing : float, default 0
        delta over gamma: a quadratic added to the regularization, which the certificate does not know of.

    References
    ----------
    Blondel, Seguy and Rolet (2018); with the limit Liu, Puigcerver and Blondel (2023).

    Examples
    --------
    >>> import optlab
    >>> from optlab.datasets import transport_family
    >>> from optlab.transport import QuadraticOptimalTransport, SemiDualLBFGS
    >>> problem = QuadraticOptimalTransport(*transport_family("l2", 40), regularization=20.0)
    >>> optlab.solve(problem, SemiDualLBFGS(), tol=1e-6).success
    True
    """

    memory: int = 10
    smoothing: float = 0.0
    reference: ClassVar[str] = "blondel2018smooth"

    def __post_init__(self) -> None:
        object.__setattr__(self, "memory", as_integer(self.memory, "memory", minimum=1))
        object.__setattr__(self, "smoothing", as_number(self.smoothing, "smoothing", minimum=0.0))

    def _at(self, problem: QuadraticOptimalTransport, f: np.ndarray) -> tuple[float, np.ndarray]:
        found = problem.semidual(f, self.smoothing * problem.regularization)
        return found.value, problem.active_a - found.row_sums

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against other problems."""
        return against_quadratic(problem)

    def init(self, problem: QuadraticOptimalTransport, x0: Any, rng: Any) -> SemiDualState:
        """Return the state at iteration 0."""
        f = problem.initial_point(x0).f
        value, gradient = self._at(problem, f)
        empty = np.empty((0, f.size))
        return SemiDualState(0, f, gradient, value, empty, empty)

    def step(self, problem: QuadraticOptimalTransport, state: SemiDualState) -> SemiDualState:
        """Return the state after one update; where no step is an ascent, with the memory emptied."""
        direction = self._direction(problem, state)
        slope = float(state.gradient @ direction)
        if not slope > 0.0:
            return dataclasses.replace(state, k=state.k + 1, steps=state.steps[:0], changes=state.changes[:0])
        low, high, size = 0.0, math.inf, 1.0
        noise = 1e-15 * (abs(state.value) + float(problem.active_a @ np.abs(state.f)))
        f, value, gradient = state.f, state.value, state.gradient
        evaluations = state.evaluations
        for _ in range(_TRIALS):
            evaluations += 1
            candidate = state.f + size * direction
            trial_value, trial_gradient = self._at(problem, candidate)
            if trial_value < state.value + _SUFFICIENT * size * slope - noise:
                high = size
            else:
                f, value, gradient = candidate, trial_value, trial_gradient
                if float(trial_gradient @ direction) <= _CURVATURE * slope:
                    break
                low = size
            size = 0.5 * (low + high) if math.isfinite(high) else 2.0 * low
            if high - low <= 1e-12 * high:
                break
        change, step = state.gradient - gradient, f - state.f
        steps, changes = state.steps, state.changes
        if float(step @ change) > 1e-14 * float(np.linalg.norm(step) * np.linalg.norm(change)):
            steps = np.vstack([steps, step])[-self.memory :]
            changes = np.vstack([changes, change])[-self.memory :]
        elif not np.any(step):
            steps, changes = steps[:0], changes[:0]
        return SemiDualState(state.k + 1, f, gradient, value, steps, changes, evaluations)

    def _direction(self, problem: QuadraticOptimalTransport, state: SemiDualState) -> np.ndarray:
        """Return the two-loop recursion's direction of ascent."""
        q = state.gradient.copy()
        if state.steps.shape[0] == 0:
            # a first step that changes no potential by more than a twentieth of the cost's range
            largest = max(float(np.abs(q).max()), 1e-300)
            return q * min((1.0 + self.smoothing) * problem.regularization, 0.05 * problem.cost_range / largest)
        products = np.einsum("ij,ij->i", state.steps, state.changes)
        alphas = np.zeros(products.size)
        for p in range(products.size - 1, -1, -1):
            alphas[p] = float(state.steps[p] @ q) / products[p]
            q -= alphas[p] * state.changes[p]
        q *= products[-1] / float(state.changes[-1] @ state.changes[-1])
        for p in range(products.size):
            q += (alphas[p] - float(state.changes[p] @ q) / products[p]) * state.steps[p]
        return q

    def iterate(self, problem: QuadraticOptimalTransport, state: SemiDualState) -> QuadraticPlan:
        """Return the plan of the potentials."""
        return problem.primal(SemiDualPoint(state.f, self.smoothing * problem.regularization))

    def measure(self, problem: QuadraticOptimalTransport, state: SemiDualState) -> dict[str, float]:
        """Return ``evaluations``, the passes over the cost so far."""
        return {"evaluations": float(state.evaluations)}
