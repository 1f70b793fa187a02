"""SciPy's L-BFGS-B, as a baseline: for a smooth function, with bounds or without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.optimize import minimize

from optlab.bregman.functions import Box
from optlab.composite.split import Work, WorkState
from optlab.core.contract.slots import Slot
from optlab.core.validation import as_integer
from optlab.firstorder.base import FirstOrderMethod, needs_whole_space

Array = Any


@dataclass
class LBFGSState(WorkState):
    """State of `LBFGS`: the start, and the point after k iterations from it."""

    start: Any
    x: Any
    stopped: bool = False


@dataclass(frozen=True)
class LBFGS(FirstOrderMethod):
    """L-BFGS-B of SciPy (Byrd, Lu, Nocedal, Zhu 1995), for a smooth f, alone or on a box.

    SciPy's state cannot be kept between calls. Each record interval runs again from the start; counted is one run,
    timed is what was done: ask for few records (the default ``record="log"`` costs several runs).

    Parameters
    ----------
    memory : int, default 10
        Pairs kept.

    References
    ----------
    Byrd, Lu, Nocedal, Zhu (1995), A limited memory algorithm for bound constrained optimization.

    Examples
    --------
    >>> import numpy as np, optlab
    >>> from optlab.bregman.functions import LeastSquares
    >>> from optlab.composite import CompositeProblem
    >>> from optlab.firstorder import LBFGS
    >>> problem = CompositeProblem(LeastSquares(np.diag([2.0, 1.0]), np.ones(2)))
    >>> np.asarray(optlab.solve(problem, LBFGS(), tol=1e-8).solution).round(6)
    array([0.5, 1. ])
    """

    memory: int = 10
    reference: ClassVar[str] = "byrd1995limited"
    slots: ClassVar[tuple[Slot, ...]] = (
        Slot("f", ("gradient",), at_least=1),
        Slot("g", ("proximal", "separable", "convex"), at_most=1),
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "memory", as_integer(self.memory, "memory", minimum=1))

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against other geometries, and against a term that is neither smooth nor a box."""
        reason = super().accepts(problem) or needs_whole_space(problem, self.slots)
        if reason:
            return reason
        for term in problem.split(self.slots).terms("g"):
            if not isinstance(term.function, Box):
                return f"takes smooth terms and a Box, and {term.name!r} is neither"
        return None

    def init(self, problem: Any, x0: Any, rng: Any) -> LBFGSState:
        """Return the state at iteration 0."""
        x = problem.split(self.slots).start(x0)
        return LBFGSState(0, Work(), x, x)

    def advance(self, problem: Any, state: LBFGSState, n: int) -> LBFGSState:
        """Return the state n iterations later: that of a run of SciPy from the start, of k + n iterations."""
        if n == 0 or state.stopped:
            return LBFGSState(state.k + n, state.work, state.start, state.x, state.stopped)
        split = problem.split(self.slots)
        oracles, x0 = split.counted(), state.start
        bounds = None
        for term in split.terms("g"):
            lower, upper = (np.broadcast_to(b, x0.shape).ravel() for b in (term.function.lower, term.function.upper))
            bounds = list(zip(lower, upper))

        def value_and_gradient(flat: Array) -> tuple[float, Array]:
            value, slope = oracles.value_and_gradient(flat.reshape(x0.shape))
            return value, np.asarray(slope, dtype=float).ravel()

        limit = state.k + n
        options = {"maxiter": limit, "maxfun": 10**9, "maxcor": self.memory, "ftol": 0.0, "gtol": 0.0}
        found = minimize(value_and_gradient, x0.ravel(), jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        x = np.asarray(found.x, dtype=x0.dtype).reshape(x0.shape)
        return LBFGSState(limit, oracles.work, x0, x, found.nit < limit)

    def iterate(self, problem: Any, state: LBFGSState) -> Any:
        """Return x."""
        return problem.split(self.slots).point(state.x)

    def measure(self, problem: Any, state: LBFGSState) -> dict[str, float]:
        """Return the counts of oracle calls."""
        return state.work.columns()
