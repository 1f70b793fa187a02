"""Douglas-Rachford splitting made fast by L-BFGS directions, safe by a line search on the Douglas-Rachford envelope.

Follows Themelis, Stella and Patrinos (2022, Algorithm 1: DRLS). With ``u = prox_{gamma f}(x)``,
``v = prox_{gamma g}(2u - x)``, ``r = u - v``, the envelope is

    E(x) = f(u) + g(v) - <x - u, r>/gamma + ||r||^2/(2 gamma)

and x+ lies between the Douglas-Rachford step ``x - lam r`` and ``x + d``, ``d = -H r`` by L-BFGS:

    x+ = (1 - tau)(x - lam r) + tau (x + d),   tau = 1, 1/2, ..., 0,   until   E(x+) <= E(x) - c/gamma ||r||^2
    c  = beta lam/(1 + a)^2 ((2 - lam)/2 - a max(a - lam/2, 0)),   a = gamma L,   beta = 1/2
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.bregman import SquaredEuclidean
from optlab.composite.split import WorkState
from optlab.core import Method
from optlab.core.contract.slots import Slot
from optlab.core.validation import as_integer, as_number
from optlab.linalg.lbfgs import inner, lbfgs_direction, lbfgs_update

Array = Any
_HALVINGS = 20


@dataclass
class LineSearchState(WorkState):
    """State of `DouglasRachfordLineSearch`: x with what the two proximal operators make of it.

    Parameters
    ----------
    x, u, v : ndarray
    step_size : float
        gamma.
    envelope : float
        The Douglas-Rachford envelope at x.
    pairs : tuple of (ndarray, ndarray)
        L-BFGS memory.
    """

    x: Any
    u: Any
    v: Any
    step_size: float
    envelope: float
    pairs: Any = ()


@dataclass(frozen=True)
class DouglasRachfordLineSearch(Method):
    """Douglas-Rachford line search (DRLS) for ``f + g``, f smooth, both with proximal operators.

    With ``memory=0`` it is relaxed Douglas-Rachford splitting. The envelope never rises (Theorem 4.3 there).

    Parameters
    ----------
    step_size : float, optional
        gamma, below 1/L. Default: 0.95/L.
    relaxation : float, default 1.0
        lam, in (0, 2).
    memory : int, default 5
        Pairs of L-BFGS; with 0 the direction is ``-lam r``.

    References
    ----------
    Themelis, Stella, Patrinos (2022), Douglas-Rachford splitting and ADMM for nonconvex optimization: accelerated and
    Newton-type linesearch algorithms.

    Examples
    --------
    >>> import numpy as np, optlab
    >>> from optlab.bregman.functions import L1Norm, LeastSquares
    >>> from optlab.splitting import CompositeProblem, DouglasRachfordLineSearch
    >>> rng = np.random.default_rng(0)
    >>> problem = CompositeProblem(LeastSquares(rng.standard_normal((20, 9)), rng.standard_normal(20)), 2.0 * L1Norm())
    >>> optlab.solve(problem, DouglasRachfordLineSearch(), tol=1e-9, max_iter=100).success
    True
    """

    step_size: float | None = None
    relaxation: float = 1.0
    memory: int = 5
    reference: ClassVar[str] = "themelis2022douglas"
    requires: ClassVar[tuple[str, ...]] = ("split",)
    needs: ClassVar[str] = "a sum of terms (CompositeProblem)"
    slots: ClassVar[tuple[Slot, ...]] = (
        Slot("f", ("gradient", "lipschitz", "proximal", "convex"), at_most=1, at_least=1),
        Slot("g", ("proximal",), at_most=1),
    )

    def __post_init__(self) -> None:
        if self.step_size is not None:
            object.__setattr__(self, "step_size", as_number(self.step_size, "step_size", above=0))
        object.__setattr__(self, "relaxation", as_number(self.relaxation, "relaxation", above=0, below=2))
        object.__setattr__(self, "memory", as_integer(self.memory, "memory", minimum=0))

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against other geometries."""
        if isinstance(problem.kernel, SquaredEuclidean):
            return None
        kernel = type(problem.kernel).__name__
        return f"needs the Euclidean geometry, kernel=SquaredEuclidean(), but the kernel is {kernel}"

    def init(self, problem: Any, x0: Any, rng: Any) -> LineSearchState:
        """Return the state at iteration 0: the envelope at the start."""
        split = problem.split(self.slots)
        L = split.f.lipschitz
        gamma = self.step_size or (0.95 / L if L > 0 else 1.0)
        oracles = split.counted()
        u, v, envelope = self._evaluate(split, oracles, split.start(x0), gamma)
        return LineSearchState(0, oracles.work, split.start(x0), u, v, gamma, envelope)

    def _evaluate(self, split: Any, oracles: Any, x: Array, gamma: float) -> tuple[Array, Array, float]:
        """Return u, v and the envelope at x."""
        (f,) = split.terms("f")
        oracles.counts[2] += 1
        u = f.proximal(x, gamma)
        v = oracles.proximal(2.0 * u - x, gamma)
        r = u - v
        envelope = oracles.value(u) + split.g.value(v) - inner(x - u, r) / gamma + inner(r, r) / (2.0 * gamma)
        return u, v, envelope

    def step(self, problem: Any, state: LineSearchState) -> LineSearchState:
        """Return the state one iteration later."""
        split = problem.split(self.slots)
        oracles, gamma, lam, x = split.counted(), state.step_size, self.relaxation, state.x
        r = state.u - state.v
        a = gamma * split.f.lipschitz
        c = 0.5 * lam / (1.0 + a) ** 2 * ((2.0 - lam) / 2.0 - a * max(a - lam / 2.0, 0.0))
        slack = 10 * float(np.finfo(x.dtype).eps) * (1.0 + abs(state.envelope))
        below = state.envelope - max(c, 0.0) / gamma * inner(r, r) + slack
        plain = x - lam * r
        fast = plain if self.memory == 0 else x + lbfgs_direction(r, state.pairs)
        pairs = tuple(state.pairs)
        for i in range(_HALVINGS + 1):
            tau = 0.5**i if i < _HALVINGS else 0.0
            candidate = plain if self.memory == 0 else (1.0 - tau) * plain + tau * fast
            u, v, envelope = self._evaluate(split, oracles, candidate, gamma)
            if i == 0 and self.memory:  # of the direction that was tried, whether it is accepted or not
                pairs = lbfgs_update(pairs, candidate - x, (u - v) - r, self.memory)
            if self.memory == 0 or envelope <= below:
                break
        work = state.work + oracles.work
        return LineSearchState(state.k + 1, work, candidate, u, v, gamma, envelope, pairs)

    def iterate(self, problem: Any, state: LineSearchState) -> Any:
        """Return v, which lies in the domain of g, with the subgradients that the proximal operators have revealed."""
        split = problem.split(self.slots)
        s = (1.0 / state.step_size) * (2.0 * state.u - state.x - state.v)
        return split.point(state.v, gradients_at=state.u, g=(state.v, s))

    def measure(self, problem: Any, state: LineSearchState) -> dict[str, float]:
        """Return step size, envelope, and the counts of oracle calls."""
        return {"step_size": state.step_size, "envelope": float(state.envelope), **state.work.columns()}

    def step_size_of(self, state: LineSearchState) -> float:
        """Return the step size."""
        return state.step_size
