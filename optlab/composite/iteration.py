"""The two resolvents of one Douglas-Rachford iteration: what the methods iterate, and what a start is measured by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class SplitOracles(NamedTuple):
    """What one iteration of a splitting calls; `check_mirror` is None where every mirror point is allowed."""

    resolvent_A: Callable[[Any, float], Any]
    resolvent_B: Callable[[Any, float], Any]
    check_mirror: Callable[[Any], None] | None


def rescaled(z: Any, x: Any, ratio: float) -> Any:
    """Return ``x + ratio (z - x)``: z with the step size that it carries multiplied by `ratio`, x its resolvent."""
    return x + ratio * (z - x)


def resolve_both(oracles: SplitOracles, z: Any, previous: float, gamma: float) -> tuple[Any, Any, Any, Any]:
    """Return x, z', ``2 x - z'`` and y of the iteration at step size `gamma` from z, which carries `previous`.

    ``x = J_{previous B}(z)``, ``z' = x + (gamma / previous) (z - x)``, ``y = J_{gamma A}(2 x - z')``.
    """
    resolvent_A, resolvent_B, check = oracles
    x = resolvent_B(z, previous)
    if gamma != previous:  # a ratio of exactly 1 must not cost a rounding
        z = rescaled(z, x, gamma / previous)
    reflected = 2.0 * x - z
    if check is not None:
        check(reflected)
    return x, z, reflected, resolvent_A(reflected, gamma)
