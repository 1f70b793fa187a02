"""Bregman Douglas-Rachford splitting with Anderson acceleration: `optlab.wrappers.Anderson` by name.

On linear optimal transport, where mirror points run off to infinity, it does no harm and hardly helps. Seen on the five
families of `optlab.datasets.transport_family` at n = 100 in 3,000 iterations: on four none of some 130 candidates was
kept and the gap was the plain iteration's; on the assignment problem (sq2d) nine were, and the gap was 7e-10 against
1e-5. Its map is not affine there before the support of the plan is found. Halpern's iteration does better.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from optlab.core.validation import as_number
from optlab.schedules import StepSize, StepSizes, check_step_size, is_adaptive, rule_for
from optlab.splitting.douglas_rachford import BregmanDouglasRachford
from optlab.splitting.protocols import SplitProblem
from optlab.wrappers.anderson import AndersonAcceleration


@dataclass(frozen=True)
class AndersonDouglasRachford(AndersonAcceleration):
    """Bregman Douglas-Rachford splitting with safeguarded Anderson acceleration (type II).

    Parameters
    ----------
    step_size : float, schedule, adaptive rule, callable or None
        As in `BregmanDouglasRachford`. A change of step size empties the memory: points of different maps do not
        combine. So None is the problem's ``default_step_size`` where its ``default_schedule`` is an adaptive rule
        (entropic transport: ``1 / regularization``, where the map is Sinkhorn's).
    relaxation : float, default 1.0
        lambda in (0, 2].
    memory : int, default 20
        Differences of residuals combined; the memory holds one image more.
    safeguard : float in (0, 1), default 0.999
        A candidate is kept only if its residual is at most this part of the largest of the last five.

    Examples
    --------
    >>> import numpy as np, optlab
    >>> from optlab.bregman import SquaredEuclidean
    >>> from optlab.bregman.functions import L1Norm, LeastSquares
    >>> from optlab.splitting import AndersonDouglasRachford, BregmanDouglasRachford, CompositeProblem
    >>> rng = np.random.default_rng(0)
    >>> A, b = rng.standard_normal((20, 30)), rng.standard_normal(20)
    >>> problem = CompositeProblem(L1Norm(0.5), LeastSquares(A, b), SquaredEuclidean())
    >>> plain = optlab.solve(problem, BregmanDouglasRachford(0.1), tol=1e-10, max_iter=5000)
    >>> fast = optlab.solve(problem, AndersonDouglasRachford(0.1), tol=1e-10, max_iter=5000)
    >>> plain.success, fast.success, fast.n_iter < plain.n_iter / 3
    (True, True, True)
    """

    step_size: StepSize = None
    relaxation: float = 1.0
    memory: int = 20
    safeguard: float = 0.999

    wraps: ClassVar[bool] = False  # its settings are its own

    def __post_init__(self) -> None:
        object.__setattr__(self, "step_size", check_step_size(self.step_size))
        object.__setattr__(self, "relaxation", as_number(self.relaxation, "relaxation", above=0, maximum=2))
        self._check_settings()

    @cached_property
    def method(self) -> BregmanDouglasRachford:  # type: ignore[override]
        """The splitting that is accelerated."""
        return _SteadyDouglasRachford(self.step_size, self.relaxation)

    @property
    def reference(self) -> str:
        """The paper of the safeguarded method."""
        return "fu2020anderson"


class _SteadyDouglasRachford(BregmanDouglasRachford):
    """Takes the problem's constant instead of an adaptive rule that the caller did not ask for."""

    def _step_sizes(self, problem: SplitProblem) -> StepSizes:
        if self.step_size is None and is_adaptive(rule_for(None, problem)):
            return StepSizes(problem.default_step_size, problem)
        return super()._step_sizes(problem)
