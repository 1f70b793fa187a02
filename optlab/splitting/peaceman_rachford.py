"""Bregman Peaceman-Rachford splitting: ``z_{k+1} = R_{gamma A} R_{gamma B} z_k`` (Ma, Xiao, Zhao 2025).

The update is that of `BregmanDouglasRachford` with relaxation 2, and so is the code. It is fast where an operator is
strongly monotone and has no local convergence where both are normal cones (linear programs, optimal transport).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from optlab.schedules import StepSize, check_step_size
from optlab.splitting.douglas_rachford import BregmanSplitting


@dataclass(frozen=True)
class BregmanPeacemanRachford(BregmanSplitting):
    """Bregman Peaceman-Rachford splitting.

    Parameters
    ----------
    step_size : float, schedule, callable or None
        As in `BregmanDouglasRachford`.

    Examples
    --------
    >>> BregmanPeacemanRachford(step_size=0.5).relaxation
    2.0
    """

    step_size: StepSize = None
    relaxation: ClassVar[float] = 2.0  # type: ignore[misc]  # fixed here, a field in the base
    reference: ClassVar[str] = "ma2025bregman"

    def __post_init__(self) -> None:
        object.__setattr__(self, "step_size", check_step_size(self.step_size))
