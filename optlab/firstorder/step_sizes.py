"""Rules for step sizes and restarts, as arguments of methods."""

from __future__ import annotations

from dataclasses import dataclass

from optlab.core.validation import as_number


@dataclass(frozen=True)
class Backtracking:
    """A line search on the Lipschitz estimate L: accepted if ``f(x+) <= f(y) + <g, x+ - y> + L/2 ||x+ - y||^2``.

    Parameters
    ----------
    initial : float, optional
        The first estimate. Default: the problem's constant if it is known, else 1.
    increase : float, default 2.0
        Factor after a refusal.
    decrease : float, default 1.0
        Factor before each iteration, at most 1; 0.9 was the fastest in our runs.

    Examples
    --------
    >>> Backtracking(decrease=0.9)
    Backtracking(initial=None, increase=2.0, decrease=0.9)
    """

    initial: float | None = None
    increase: float = 2.0
    decrease: float = 1.0

    def __post_init__(self) -> None:
        if self.initial is not None:
            object.__setattr__(self, "initial", as_number(self.initial, "initial", above=0))
        object.__setattr__(self, "increase", as_number(self.increase, "increase", above=1))
        object.__setattr__(self, "decrease", as_number(self.decrease, "decrease", above=0, maximum=1))


def admits(value: float, at: float, slope_step: float, squared_step: float, lipschitz: float, slack: float) -> bool:
    """Return whether a step keeps below the quadratic model with the estimate `lipschitz`, up to rounding.

    What is not a number is admitted: no shorter step would mend it, and the run ends as diverged.
    """
    return not value > at + slope_step + 0.5 * lipschitz * squared_step + slack * abs(at)
