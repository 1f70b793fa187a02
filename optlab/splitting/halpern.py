"""Halpern's iteration on a Bregman splitting, with restarts.

With T the map of relaxed Bregman Douglas-Rachford in mirror coordinates, and ``z_a`` the point of the last restart, j
iterations ago,

    z_{k+1} = beta_j z_a + (1 - beta_j) T(z_k),    beta_j = 1 / (j + 2)                              (Halpern 1967).

With the quadratic kernel T is nonexpansive for every relaxation in (0, 2], and Lieder (2021, Theorem 2.1) proves

    ||z_k - T(z_k)|| <= 2 ||z_0 - z*|| / (k + 1)

for a run without restarts, for every fixed point z*. Rotations attain it. Since
``z - T(z) = relaxation (x - y)``, relaxation 2 (the reflected, or Peaceman-Rachford, operator) gives the smallest bound
on ``||x - y||``: ``||z_0 - z*|| / (k + 1)``. It converges although Peaceman-Rachford itself need not.

Halpern's rate is sublinear even where the iteration itself is linear; restarting whenever the residual has fallen by a
factor turns it into a linear one on problems with a sharp residual, linear programs among them (Lu and Yang 2024). The
rules are those of the solvers for linear programs that are built on it (HPR-LP, cuPDLPx). With r_j the length of
``z - T(z)``, j iterations after a restart at which it was r_0, restart

* if ``r_j <= sufficient * r_0``;
* if ``r_j <= necessary * r_0`` and ``r_j`` has just risen;
* if ``j >= artificial * k``, k the iterations of the whole run.

For other kernels nothing of this is proved: T is nonexpansive in no fixed norm. On linear optimal transport there is
no fixed point at all, as the potentials grow with the inverse temperature. Halpern's displacements ``z - T(z)`` still
settle there (as they do for nonexpansive maps without fixed points, Park and Ryu 2023), and are proportional to dual
solutions; restarts, which there are mostly due to the "artificial" rule, undo that the anchor holds the temperature
back. Seen on the five families of `optlab.datasets.transport_family` at n = 100, after 3,000 iterations with the
problem's schedule: certified gaps of 2e-7, 1e-5, 4e-6, 2e-7, 2e-6 against 4e-5, 1e-5, 1e-5, 2e-6, 3e-4 without
Halpern; never restarted, 3e-4 to 5e-3. Moving the anchor along the drift, or scaling it to the current temperature,
was worse than leaving it where it was. On entropic transport, where the plain iteration is linear, Halpern's is
slower.

What this file does not do: choose the step size, or weigh blocks of the variable against one another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.core.validation import as_integer, as_number, one_of
from optlab.splitting.douglas_rachford import BregmanSplitting, SplittingState, rescaled
from optlab.splitting.fixed_point import local_coordinates
from optlab.splitting.protocols import SplitProblem
from optlab.splitting.schedules import StepSize, check_step_size


@dataclass
class HalpernState(SplittingState):
    """State of Halpern's iteration after k iterations; all points are mirror points.

    Parameters
    ----------
    restart_point, restart_x : mirror point or None
        The point of the last restart, carrying the current step size, and its resolvent; None right at it.
    restart_k : int
        The iteration of the last restart.
    restarts : int
        Their number.
    restart_residual, residual : float
        Length of ``z - T(z)`` in the first iteration since the restart, and in the last one.
    mapped : mirror point or None
        ``T(z_{k-1})``.
    """

    restart_point: Any = None
    restart_x: Any = None
    restart_k: int = 0
    restarts: int = 0
    restart_residual: float = math.inf
    residual: float = math.inf
    mapped: Any = None

    def drift(self) -> Any:
        """Return ``y - x`` of the last iteration; None at k = 0.

        Halpern's displacements ``T(z) - z`` settle where there is no fixed point (at the infimal displacement vector,
        for nonexpansive T; Park and Ryu 2023), so that no window is needed.
        """
        return None if self.k == 0 else self.y - self.x

    def image(self) -> Any:
        """Return T of the point at which the last iteration began."""
        return self.z if self.mapped is None else self.mapped


@dataclass(frozen=True)
class HalpernDouglasRachford(BregmanSplitting):
    """Halpern's iteration on Bregman Douglas-Rachford or Peaceman-Rachford splitting, with restarts.

    Parameters
    ----------
    step_size : float, schedule, adaptive rule, callable or None
        As in `BregmanDouglasRachford`. Where it changes, the anchor is rescaled as the iterate is.
    relaxation : float, default 2.0
        lambda in (0, 2] of the operator; 2 is the reflected one, for which the bound is best.
    restart : {"adaptive"}, int or None
        "adaptive": by the three rules of this module; a number: after that many iterations; None: never, which is what
        the bound is proved for.
    sufficient, necessary, artificial : float in (0, 1)
        Of the adaptive rules, ``sufficient <= necessary``. Default: 0.2, 0.8, 0.36, as in cuPDLPx.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range.
    DomainError
        As `BregmanDouglasRachford`.

    References
    ----------
    Lieder (2021), On the convergence rate of the Halpern-iteration, Optimization Letters 15; Lu and Yang (2024),
    Restarted Halpern PDHG for linear programming, arXiv 2407.16144.

    Examples
    --------
    Rotations by a right angle: Peaceman-Rachford goes round in circles, Halpern's iteration keeps its bound.

    >>> import numpy as np, optlab
    >>> from optlab.bregman import SquaredEuclidean
    >>> from optlab.splitting import BregmanPeacemanRachford, HalpernDouglasRachford, MonotoneInclusion
    >>> turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    >>> problem = MonotoneInclusion(
    ...     A=lambda mirror, step: np.linalg.solve(np.eye(2) + step * turn, mirror),
    ...     B=lambda mirror, step: mirror,
    ...     kernel=SquaredEuclidean(), shape=2,
    ... )
    >>> plain = optlab.solve(problem, BregmanPeacemanRachford(1.0), x0=np.ones(2), max_iter=100)
    >>> halpern = optlab.solve(problem, HalpernDouglasRachford(1.0, restart=None), x0=np.ones(2), max_iter=100)
    >>> round(float(np.linalg.norm(plain.solution)), 3), bool(np.linalg.norm(halpern.solution) < 0.02)
    (1.414, True)
    """

    step_size: StepSize = None
    relaxation: float = 2.0
    restart: str | int | None = "adaptive"
    sufficient: float = 0.2
    necessary: float = 0.8
    artificial: float = 0.36
    reference: ClassVar[str] = "lieder2021convergence"

    def __post_init__(self) -> None:
        object.__setattr__(self, "step_size", check_step_size(self.step_size))
        object.__setattr__(self, "relaxation", as_number(self.relaxation, "relaxation", above=0, maximum=2))
        if isinstance(self.restart, str):
            one_of(self.restart, "restart", ("adaptive",))
        elif self.restart is not None:
            object.__setattr__(self, "restart", as_integer(self.restart, "restart", minimum=1))
        for name in ("sufficient", "necessary", "artificial"):
            object.__setattr__(self, name, as_number(getattr(self, name), name, above=0, below=1))
        if self.sufficient > self.necessary:
            raise ValueError(f"sufficient must be at most necessary = {self.necessary:g}, got {self.sufficient:g}")

    def init(self, problem: SplitProblem, x0: Any, rng: Any) -> HalpernState:
        """Return the state at iteration 0; `x0` is a primal point or an earlier solution of the problem."""
        start = super().init(problem, x0, rng)
        return HalpernState(0, start.z, start.x, start.y, start.step_size)

    def step(self, problem: SplitProblem, state: SplittingState) -> HalpernState:
        """Return the state one iteration later."""
        assert isinstance(state, HalpernState)
        previous, gamma = state.step_size, self._step_size_after(problem, state)
        x, y, image = self._apply(problem, state.z, previous, gamma)
        residual = float(np.linalg.norm(local_coordinates(problem, self.relaxation * (y - x), x)))

        anchor, anchor_x, since = state.restart_point, state.restart_x, state.k - state.restart_k
        if anchor is None:
            anchor, anchor_x = state.z, x
        if gamma != previous:
            anchor = rescaled(anchor, anchor_x, gamma / previous)
        first = residual if since == 0 else state.restart_residual

        after = HalpernState(
            state.k + 1,
            image,
            x,
            y,
            gamma,
            restart_k=state.restart_k,
            restarts=state.restarts,
            restart_residual=first,
            residual=residual,
            mapped=image,
        )
        if self._restarts(since, state.k, residual, first, state.residual):
            # from the image: its residual is no larger where T is nonexpansive
            after.restart_k, after.restarts = after.k, state.restarts + 1
        else:
            weight = self._weight(since)
            after.z = weight * anchor + (1.0 - weight) * image
            after.restart_point, after.restart_x = anchor, anchor_x
            problem.check_mirror(after.z)
        return self._remembering(problem, state, after)

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
        return (
            residual <= self.sufficient * first
            or (residual <= self.necessary * first and residual > before)
            or since >= self.artificial * k
        )

    def measure(self, problem: Any, state: Any) -> dict[str, float]:
        """Return ``step_size``, ``restarts`` so far and, if the problem can tell it, ``fixed_point_residual``."""
        return {**super().measure(problem, state), "restarts": float(state.restarts)}
