"""PANOC+ and ZeroFPR: proximal gradient made fast by L-BFGS directions, safe by a line search on an envelope.

The forward-backward envelope (Patrinos, Bemporad), where ``z = prox_{gamma g}(x - gamma grad f(x))``, ``r = x - z``:

    E(x) = f(x) - <grad f(x), r> + ||r||^2 / (2 gamma) + g(z)

PANOC (Stella, Themelis, Sopasakis, Patrinos 2017) takes x+ between ``x + d`` and the proximal gradient step z:

    x+ = x + tau d - (1 - tau) r,   tau = 1, 1/2, 1/4, ..., 0,   until   E(x+) <= E(x) - c ||r||^2

with ``d = -H r`` from L-BFGS on pairs (dx, dr). PANOC+ (De Marchi, Themelis 2022) checks the descent inequality of f
at the candidate's own z within the line search, and so needs no Lipschitz constant. ZeroFPR (Themelis, Stella,
Patrinos 2018) starts from z, with the residual there: ``x+ = z + tau d``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.core.contract.slots import Slot
from optlab.core.validation import as_integer, as_number
from optlab.firstorder.base import DescentState, FirstOrderMethod, certified, needs_whole_space
from optlab.firstorder.step_sizes import admits
from optlab.linalg.lbfgs import inner, lbfgs_direction, lbfgs_update

Array = Any
_HALVINGS, _DECREASE, _SHORTENINGS = 10, 0.025, 60


@dataclass
class EnvelopeState(DescentState):
    """State of PANOC+ and ZeroFPR. x is the iterate z, `at` the point it is the proximal gradient step from.

    Parameters
    ----------
    point : ndarray
        The point of the iteration.
    value : float
        f there.
    envelope : float
        The forward-backward envelope there.
    pairs : tuple of (ndarray, ndarray)
        L-BFGS memory.
    """

    point: Any = None
    value: float = 0.0
    envelope: float = 0.0
    pairs: Any = ()


@dataclass
class _Evaluated:
    """A point with its proximal gradient step: everything the envelope consists of."""

    x: Array
    value: float
    slope: Array
    z: Array
    r: Array
    envelope: float


class EnvelopeMethod(FirstOrderMethod):
    """What PANOC+ and ZeroFPR share: the envelope, the step size, L-BFGS."""

    memory: int
    first_step_size: float | None
    slots: ClassVar[tuple[Slot, ...]] = (Slot("f", ("gradient",)), Slot("g", ("proximal",), at_most=1))

    def __post_init__(self) -> None:
        object.__setattr__(self, "memory", as_integer(self.memory, "memory", minimum=1))
        if self.first_step_size is not None:
            first = as_number(self.first_step_size, "first_step_size", above=0)
            object.__setattr__(self, "first_step_size", first)

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against other geometries, and against terms whose gradients do not exist somewhere."""
        return super().accepts(problem) or needs_whole_space(problem, self.slots)

    def init(self, problem: Any, x0: Any, rng: Any) -> EnvelopeState:
        """Return the state at iteration 0: the envelope at the start."""
        split = problem.split(self.slots)
        x, oracles = split.start(x0), split.counted()
        at, gamma = self._shortened(split, oracles, x, self._first(split, oracles, x))
        state = self._state(0, at, gamma, ())
        # the start is the iterate before the first iteration
        state.x, state.at, state.slope = x, None, None
        state.work = oracles.work
        return state

    def _first(self, split: Any, oracles: Any, x: Array) -> float:
        if self.first_step_size is not None:
            return self.first_step_size
        if all("lipschitz" in term.offers for term in split.terms("f")):
            return 0.95 / split.f.lipschitz if split.f.lipschitz > 0 else 1.0
        slope = oracles.gradient(x)
        length = math.sqrt(inner(slope, slope))
        if length == 0.0:
            return 1.0
        nudge = 1e-3 * (1.0 + math.sqrt(inner(x, x)))
        change = oracles.gradient(x - (nudge / length) * slope) - slope
        estimate = math.sqrt(inner(change, change)) / nudge
        return 0.95 / estimate if estimate > 0 else 1.0

    def _evaluate(self, split: Any, oracles: Any, x: Array, gamma: float) -> _Evaluated:
        value, slope = oracles.value_and_gradient(x)
        return self._at(split, oracles, x, value, slope, gamma)

    def _at(self, split: Any, oracles: Any, x: Array, value: float, slope: Array, gamma: float) -> _Evaluated:
        z = oracles.proximal(x - gamma * slope, gamma)
        r = x - z
        envelope = value - inner(slope, r) + inner(r, r) / (2.0 * gamma) + split.g.value(z)
        return _Evaluated(x, value, slope, z, r, envelope)

    def _descends(self, oracles: Any, at: _Evaluated, gamma: float) -> bool:
        slack = 50 * float(np.finfo(at.x.dtype).eps)
        return admits(oracles.value(at.z), at.value, -inner(at.slope, at.r), inner(at.r, at.r), 0.95 / gamma, slack)

    def _shortened(self, split: Any, oracles: Any, x: Array, gamma: float) -> tuple[_Evaluated, float]:
        """Return x evaluated, with a step size at which f descends."""
        at = self._evaluate(split, oracles, x, gamma)
        for _ in range(_SHORTENINGS):
            if self._known(split) or self._descends(oracles, at, gamma):
                break
            gamma *= 0.5
            at = self._at(split, oracles, x, at.value, at.slope, gamma)
        return at, gamma

    def _known(self, split: Any) -> bool:
        """Return whether the step size is from the problem's constant, so that f need not be asked."""
        return self.first_step_size is None and all("lipschitz" in term.offers for term in split.terms("f"))

    def _state(self, k: int, at: _Evaluated, gamma: float, pairs: Any) -> EnvelopeState:
        return EnvelopeState(k, None, at.z, gamma, at.x, at.slope, at.x, at.value, at.envelope, pairs)  # type: ignore[arg-type]

    def iterate(self, problem: Any, state: EnvelopeState) -> Any:
        """Return z, which lies in the domain of g, with the subgradients that the step has revealed."""
        return certified(problem.split(self.slots), state)

    def measure(self, problem: Any, state: EnvelopeState) -> dict[str, float]:
        """Return step size, envelope, and the counts of oracle calls."""
        return super().measure(problem, state) | {"envelope": float(state.envelope)}

    def _current(self, problem: Any, split: Any, oracles: Any, state: EnvelopeState) -> _Evaluated:
        if state.at is None:
            return self._evaluate(split, oracles, state.point, state.step_size)
        return _Evaluated(state.point, state.value, state.slope, state.x, state.point - state.x, state.envelope)

    def step(self, problem: Any, state: EnvelopeState) -> EnvelopeState:
        """Return the state one iteration later."""
        split = problem.split(self.slots)
        oracles, gamma, pairs = split.counted(), state.step_size, tuple(state.pairs)
        here = self._current(problem, split, oracles, state)
        for _ in range(_SHORTENINGS):
            found = self._search(split, oracles, here, gamma, pairs)
            if found is not None:
                after, pairs = found
                break
            # the descent inequality failed at the candidate: a shorter step, and the curvature is no longer that of it
            gamma, pairs = 0.5 * gamma, ()
            here = self._at(split, oracles, here.x, here.value, here.slope, gamma)
        else:
            after = self._evaluate(split, oracles, here.z, gamma)
        result = self._state(state.k + 1, after, gamma, pairs)
        result.work = state.work + oracles.work
        return result

    def _search(
        self, split: Any, oracles: Any, here: _Evaluated, gamma: float, pairs: Any
    ) -> tuple[_Evaluated, Any] | None:
        """Return the next point and the memory; None if the step size is found to be too long."""
        base, residual = self._base(split, oracles, here, gamma)
        direction = lbfgs_direction(residual, pairs)
        needed = _DECREASE * inner(here.r, here.r) / gamma
        slack = 10 * float(np.finfo(here.x.dtype).eps) * (1.0 + abs(here.envelope))
        for i in range(_HALVINGS + 1):
            tau = 0.5**i if i < _HALVINGS else 0.0
            candidate = self._candidate(here, base, direction, tau)
            after = self._evaluate(split, oracles, candidate, gamma)
            if not self._known(split) and not self._descends(oracles, after, gamma):
                if math.isfinite(after.value) or tau == 0.0:
                    return None
                continue
            if after.envelope <= here.envelope - needed + slack:
                break
        return after, lbfgs_update(pairs, after.x - base, self._residual_change(after, here, residual), self.memory)

    def _base(self, split: Any, oracles: Any, here: _Evaluated, gamma: float) -> tuple[Array, Array]:
        raise NotImplementedError

    def _candidate(self, here: _Evaluated, base: Array, direction: Array, tau: float) -> Array:
        raise NotImplementedError

    def _residual_change(self, after: _Evaluated, here: _Evaluated, residual: Array) -> Array:
        return after.r - residual


@dataclass(frozen=True)
class PANOC(EnvelopeMethod):
    """PANOC+ for ``f + g``: f smooth, g with a proximal operator, neither need be convex.

    Without directions it is the proximal gradient method. Where the problem knows a Lipschitz constant the step size is
    ``0.95/L`` (PANOC); elsewhere, or with a `first_step_size`, the step sizes are found on the way (PANOC+).

    Parameters
    ----------
    memory : int, default 5
        Pairs of L-BFGS.
    first_step_size : float, optional

    References
    ----------
    De Marchi, Themelis (2022), Proximal gradient algorithms under local Lipschitz gradient continuity; Stella,
    Themelis, Sopasakis, Patrinos (2017), A simple and efficient algorithm for nonlinear model predictive control.

    Examples
    --------
    >>> import numpy as np, optlab
    >>> from optlab.bregman.functions import L1Norm, LeastSquares
    >>> from optlab.composite import CompositeProblem
    >>> from optlab.firstorder import PANOC
    >>> rng = np.random.default_rng(0)
    >>> problem = CompositeProblem(LeastSquares(rng.standard_normal((20, 9)), rng.standard_normal(20)), 2.0 * L1Norm())
    >>> optlab.solve(problem, PANOC(), tol=1e-9, max_iter=100).success
    True
    """

    memory: int = 5
    first_step_size: float | None = None
    reference: ClassVar[str] = "stella2017simple"

    def _base(self, split: Any, oracles: Any, here: _Evaluated, gamma: float) -> tuple[Array, Array]:
        return here.x, here.r

    def _candidate(self, here: _Evaluated, base: Array, direction: Array, tau: float) -> Array:
        return here.x + tau * direction - (1.0 - tau) * here.r


@dataclass(frozen=True)
class ZeroFPR(EnvelopeMethod):
    """ZeroFPR for ``f + g``: as `PANOC`, with directions from the proximal gradient step's own residual.

    Parameters
    ----------
    memory : int, default 5
        Pairs of L-BFGS.
    first_step_size : float, optional

    References
    ----------
    Themelis, Stella, Patrinos (2018), Forward-backward envelope for the sum of two nonconvex functions.

    Examples
    --------
    >>> import numpy as np, optlab
    >>> from optlab.bregman.functions import L1Norm, LeastSquares
    >>> from optlab.composite import CompositeProblem
    >>> from optlab.firstorder import ZeroFPR
    >>> rng = np.random.default_rng(0)
    >>> problem = CompositeProblem(LeastSquares(rng.standard_normal((20, 9)), rng.standard_normal(20)), 2.0 * L1Norm())
    >>> optlab.solve(problem, ZeroFPR(), tol=1e-9, max_iter=100).success
    True
    """

    memory: int = 5
    first_step_size: float | None = None
    reference: ClassVar[str] = "themelis2018forward"

    def _base(self, split: Any, oracles: Any, here: _Evaluated, gamma: float) -> tuple[Array, Array]:
        slope = oracles.gradient(here.z)
        return here.z, here.z - oracles.proximal(here.z - gamma * slope, gamma)

    def _candidate(self, here: _Evaluated, base: Array, direction: Array, tau: float) -> Array:
        return base + tau * direction
