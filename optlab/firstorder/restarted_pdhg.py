"""PDHG in Halpern's form, restarted, with a primal weight that adapts: as modern linear programming codes iterate.

Follows Lu and Yang (2024, r2HPDHG) with the restart rules and the primal weight of PDLP (Applegate et al. 2021). With
the step ``T`` of `PDHG` at ``tau = eta/w``, ``sigma = eta w`` and the anchor z_0 of the last restart,

    z+ = (k + 1)/(k + 2) (2 T(z) - z) + 1/(k + 2) z_0

A restart, with T(z) as the new anchor, comes if the residual ``||T(z) - z||`` (in the metric of the iteration) is 0.2
times what it was after the last one, or 0.8 times and rising, or if 0.36 of all iterations have gone by. Then
``log w`` becomes the mean of itself and ``log (||dy||/||dx||)``, of the moves since the last restart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from optlab.composite.split import WorkState
from optlab.core.contract.slots import Slot
from optlab.core.validation import as_number
from optlab.firstorder.base import BEHIND_OPERATORS, PROXIMAL, FirstOrderMethod
from optlab.firstorder.primal_dual import combined, revealed
from optlab.linalg.lbfgs import inner

Array = Any
_SUFFICIENT, _NECESSARY, _ARTIFICIAL = 0.2, 0.8, 0.36


@dataclass
class RestartedState(WorkState):
    """State of `RestartedPDHG`.

    Parameters
    ----------
    x, y, image : ndarray, list of ndarray, list of ndarray
        z, and ``K x``.
    anchor_x, anchor_y, anchor_image
        The same of the anchor.
    weight : float
        w.
    step_size : float
        tau of the last iteration.
    since, restarts : int
        Iterations since the last restart, and how many there were.
    first_residual, residual : float
        Of the first iteration after the last restart, and of the last one.
    shown : dict or None
        As in `PrimalDualState`.
    """

    x: Any
    y: Any
    image: Any
    anchor_x: Any
    anchor_y: Any
    anchor_image: Any
    weight: float
    step_size: float
    since: int = 0
    restarts: int = 0
    first_residual: float = math.inf
    residual: float = math.inf
    shown: Any = None


def _squared(arrays: list[Array]) -> float:
    return math.fsum(inner(a, a) for a in arrays)


@dataclass(frozen=True)
class RestartedPDHG(FirstOrderMethod):
    """Restarted Halpern PDHG for ``g(x) + h(K x)``: linear programs, and all else that `PDHG` takes.

    It hardly depends on the first weight, where plain `PDHG` does.

    Parameters
    ----------
    primal_weight : float, default 1.0
        The first w; ``tau = eta/w``, ``sigma = eta w``.

    References
    ----------
    Lu, Yang (2024), Restarted Halpern PDHG for linear programming; Applegate et al. (2021), Practical large-scale
    linear programming using primal-dual hybrid gradient.

    Examples
    --------
    ``min <c, x>`` subject to ``A x = b``, ``x >= 0``:

    >>> import numpy as np, optlab
    >>> from optlab.bregman.functions import Box, Linear
    >>> from optlab.composite import CompositeProblem
    >>> from optlab.firstorder import RestartedPDHG
    >>> A, b, c = np.array([[1.0, 1.0, 1.0], [1.0, -1.0, 0.0]]), np.array([1.0, 0.0]), np.array([1.0, 2.0, 2.0])
    >>> problem = CompositeProblem(Linear(c) + Box(lower=0.0), Box(b, b) @ A)
    >>> np.asarray(optlab.solve(problem, RestartedPDHG(), tol=1e-8).solution).round(5) + 0.0
    array([0.5, 0.5, 0. ])
    """

    primal_weight: float = 1.0
    reference: ClassVar[str] = "lu2024restarted"
    slots: ClassVar[tuple[Slot, ...]] = (PROXIMAL, BEHIND_OPERATORS)

    def __post_init__(self) -> None:
        object.__setattr__(self, "primal_weight", as_number(self.primal_weight, "primal_weight", above=0))

    def init(self, problem: Any, x0: Any, rng: Any) -> RestartedState:
        """Return the state at iteration 0."""
        split = problem.split(self.slots)
        x, oracles = split.start(x0), split.counted()
        y, image = split.h.zero(x), oracles.apply(x)
        w = self.primal_weight
        return RestartedState(0, oracles.work, x, y, image, x, y, image, w, self._eta(split) / w)

    @staticmethod
    def _eta(split: Any) -> float:
        return 0.99 / split.h.norm if split.h.norm > 0 else 1.0

    def step(self, problem: Any, state: RestartedState) -> RestartedState:
        """Return the state one iteration later."""
        split = problem.split(self.slots)
        oracles, eta, w = split.counted(), self._eta(split), state.weight
        tau, sigma = eta / w, eta * w
        z = state.x - tau * oracles.adjoint(state.y)
        x = oracles.proximal(z, tau)
        image = oracles.apply(x)
        dual_z = [y + sigma * (2.0 * new - old) for y, new, old in zip(state.y, image, state.image)]
        y = oracles.dual_proximal(dual_z, sigma)
        shown = {"z": z, "at": state.x, "w": x, "tau": tau, "y": y, "dual_z": dual_z, "sigma": sigma}
        dx, dy = x - state.x, combined(1.0, y, -1.0, state.y)
        cross = math.fsum(inner(a - b, c) for a, b, c in zip(image, state.image, dy))
        residual = math.sqrt(max(0.0, inner(dx, dx) / tau - 2.0 * cross + _squared(dy) / sigma))
        first = residual if state.since == 0 else state.first_residual
        after = replace(
            state,
            k=state.k + 1,
            step_size=tau,
            since=state.since + 1,
            first_residual=first,
            residual=residual,
            shown=shown,
        )
        if self._restarts(state, after):
            after.x, after.y, after.image = x, y, image
            after.weight = self._reweighted(state, after)
            after.anchor_x, after.anchor_y, after.anchor_image = x, y, image
            after.since, after.restarts, after.residual = 0, state.restarts + 1, math.inf
        else:
            share = 1.0 / (state.since + 2.0)
            keep = 1.0 - share
            after.x = keep * (2.0 * x - state.x) + share * state.anchor_x
            after.y = _halpern(keep, y, state.y, share, state.anchor_y)
            after.image = _halpern(keep, image, state.image, share, state.anchor_image)
        after.work = state.work + oracles.work
        return after

    @staticmethod
    def _restarts(state: RestartedState, after: RestartedState) -> bool:
        if after.since < 2:
            return False
        ratio = after.residual / after.first_residual if after.first_residual > 0 else 0.0
        rising = after.residual > state.residual
        return ratio <= _SUFFICIENT or (ratio <= _NECESSARY and rising) or after.since >= _ARTIFICIAL * after.k

    @staticmethod
    def _reweighted(state: RestartedState, after: RestartedState) -> float:
        moved = after.x - state.anchor_x
        dx = math.sqrt(inner(moved, moved))
        dy = math.sqrt(_squared(combined(1.0, after.y, -1.0, state.anchor_y)))
        if min(dx, dy) < 1e-10:
            return state.weight
        return math.exp(0.5 * math.log(dy / dx) + 0.5 * math.log(state.weight))

    def iterate(self, problem: Any, state: RestartedState) -> Any:
        """Return the x of T(z), with the subgradients that the step has revealed."""
        split = problem.split(self.slots)
        if state.shown is None:
            return split.point(state.x)
        return split.point(state.shown["w"], **revealed(**state.shown))

    def measure(self, problem: Any, state: RestartedState) -> dict[str, float]:
        """Return step size, primal weight, restarts, and the counts of oracle calls."""
        more = {"primal_weight": state.weight, "restarts": float(state.restarts)}
        return super().measure(problem, state) | more


def _halpern(keep: float, new: list[Array], old: list[Array], share: float, anchor: list[Array]) -> list[Array]:
    return [keep * (2.0 * a - b) + share * c for a, b, c in zip(new, old, anchor)]
