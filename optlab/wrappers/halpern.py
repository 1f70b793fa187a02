"""Halpern's iteration around any method whose iteration moves a variable, with restarts.

With T the map of one iteration of the method inside, and ``z_a`` the variable at the last restart, j iterations ago,

    z_{k+1} = beta_j z_a + (1 - beta_j) T(z_k),    beta_j = 1 / (j + 2)                              (Halpern 1967).

Where T is nonexpansive, Lieder (2021, Theorem 2.1) proves for a run without restarts

    ||z_k - T(z_k)|| <= 2 ||z_0 - z*|| / (k + 1)

for every fixed point z*; rotations attain it. The rate is sublinear even where the iteration itself is linear;
restarting whenever the residual has fallen by a factor turns it into a linear one on problems with a sharp residual,
linear programs among them (Lu and Yang 2024). The rules are those of the solvers for linear programs that are built on
it (HPR-LP, cuPDLPx). With r_j the length of ``z - T(z)``, j iterations after a restart at which it was r_0, restart

* if ``r_j <= sufficient * r_0``;
* if ``r_j <= necessary * r_0`` and ``r_j`` has just risen;
* if ``j >= artificial * k``, k the iterations of the whole run.

What this file does not do: make T nonexpansive. Where the method inside has momentum or randomness of its own, nothing
is proved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.core.validation import as_integer, as_number, one_of
from optlab.wrappers.base import WrappedState, Wrapper, check_wrappable, known, scaled


@dataclass
class HalpernState(WrappedState):
    """State of Halpern's iteration after k iterations.

    Parameters
    ----------
    inner : State
        The state from which the method inside goes on: the blend of anchor and image in the place of its variable.
    image : State
        What the last iteration of the method inside made, before it was blended; at k = 0 the start.
    anchor : variable or None
        The variable at the last restart, transported to the current map; None right at it.
    first : State or None
        What the first iteration after the restart made of the anchor.
    restart_k, restarts : int
        The iteration of the last restart, and their number.
    restart_residual, residual : float
        Length of ``z - T(z)`` in the first iteration since the restart, and in the last one.
    """

    image: Any
    anchor: Any = None
    first: Any = None
    restart_k: int = 0
    restarts: int = 0
    restart_residual: float = math.inf
    residual: float = math.inf

    @property
    def last(self) -> Any:
        """What the last iteration of the method inside made."""
        return self.image


class HalpernIteration(Wrapper):
    """The iteration itself; `Halpern` and the named methods built on it differ in how they name their settings."""

    restart: str | int | None
    sufficient: float
    necessary: float
    artificial: float

    def _check_restarts(self) -> None:
        if isinstance(self.restart, str):
            one_of(self.restart, "restart", ("adaptive",))
        elif self.restart is not None:
            object.__setattr__(self, "restart", as_integer(self.restart, "restart", minimum=1))
        for name in ("sufficient", "necessary", "artificial"):
            object.__setattr__(self, name, as_number(getattr(self, name), name, above=0, below=1))
        if self.sufficient > self.necessary:
            raise ValueError(f"sufficient must be at most necessary = {self.necessary:g}, got {self.sufficient:g}")

    def init(self, problem: Any, x0: Any, rng: np.random.Generator) -> HalpernState:
        """Return the state at iteration 0."""
        start = self.method.init(problem, x0, rng)
        return HalpernState(0, start, start)

    def step(self, problem: Any, state: HalpernState) -> HalpernState:
        """Return the state one iteration later."""
        method, before = self.method, state.inner
        image = method.step(problem, before)
        displacement = method.displacement(before, image)
        residual = float(np.linalg.norm(method.coordinates(problem, displacement, image)))
        since = state.k - state.restart_k
        first = residual if since == 0 else state.restart_residual
        if self._restarts(since, state.k, residual, first, state.residual):
            # from the image: its residual is no larger where T is nonexpansive
            k = state.k + 1
            return HalpernState(k, image, image, None, None, k, state.restarts + 1, first, residual)
        anchor, made = (method.variable(before), image) if state.anchor is None else (state.anchor, state.first)
        anchor = method.transported(anchor, made, before, image)
        weight = self._weight(since)
        blend = scaled(weight, anchor) + scaled(1.0 - weight, method.variable(image))
        inner = method.with_variable(problem, image, blend)
        return HalpernState(state.k + 1, inner, image, anchor, made, state.restart_k, state.restarts, first, residual)

    @staticmethod
    def _weight(since: int) -> float:
        """Return beta of the iteration that began `since` iterations after the last restart."""
        return 1.0 / (since + 2.0)

    def _restarts(self, since: int, k: int, residual: float, first: float, before: float) -> bool:
        """Whether to restart after the iteration that began `since` iterations after the last restart."""
        if self.restart is None:
            return False
        if not isinstance(self.restart, str):
            return since + 1 >= self.restart
        if since == 0:
            return False
        residual = known(residual)
        return (
            residual <= self.sufficient * first
            or (residual <= self.necessary * first and residual > before)
            or since >= self.artificial * k
        )

    def with_variable(self, problem: Any, state: HalpernState, value: Any) -> HalpernState:
        """Return a state that is anchored at `value`."""
        inner = self.method.with_variable(problem, state.inner, value)
        return HalpernState(state.k, inner, inner, None, None, state.k, state.restarts)

    def measure(self, problem: Any, state: HalpernState) -> dict[str, float]:
        """Return the measures of the method inside, and ``restarts`` so far."""
        return {**super().measure(problem, state), "restarts": float(state.restarts)}


@dataclass(frozen=True)
class Halpern(HalpernIteration):
    """Halpern's anchored iteration around a method, with restarts.

    Parameters
    ----------
    method : Method
        Any method with a variable. Lieder's bound needs its map to be nonexpansive, and no restarts.
    restart : {"adaptive"}, int or None
        "adaptive": by the three rules of this module; a number: after that many iterations; None (default): never.
    sufficient, necessary, artificial : float in (0, 1)
        Of the adaptive rules, ``sufficient <= necessary``. Default: 0.2, 0.8, 0.36, as in cuPDLPx.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range.

    References
    ----------
    Lieder (2021), On the convergence rate of the Halpern-iteration, Optimization Letters 15; Lu and Yang (2024),
    Restarted Halpern PDHG for linear programming, arXiv 2407.16144.

    Examples
    --------
    Rotations by a right angle: Peaceman-Rachford goes round in circles, Halpern's iteration keeps its bound.

    >>> import optlab
    >>> from optlab.bregman import SquaredEuclidean
    >>> from optlab.splitting import BregmanPeacemanRachford, MonotoneInclusion
    >>> from optlab.wrappers import Halpern
    >>> turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    >>> problem = MonotoneInclusion(
    ...     A=lambda mirror, step: np.linalg.solve(np.eye(2) + step * turn, mirror),
    ...     B=lambda mirror, step: mirror,
    ...     kernel=SquaredEuclidean(), shape=2,
    ... )
    >>> plain = BregmanPeacemanRachford(1.0)
    >>> round(float(np.linalg.norm(optlab.solve(problem, plain, x0=np.ones(2), max_iter=100).solution)), 3)
    1.414
    >>> bool(np.linalg.norm(optlab.solve(problem, Halpern(plain), x0=np.ones(2), max_iter=100).solution) < 0.02)
    True
    """

    method: Any
    restart: str | int | None = None
    sufficient: float = 0.2
    necessary: float = 0.8
    artificial: float = 0.36

    def __post_init__(self) -> None:
        check_wrappable(self.method)
        self._check_restarts()

    @property
    def reference(self) -> str:
        """Lieder's paper."""
        return "lieder2021convergence"
