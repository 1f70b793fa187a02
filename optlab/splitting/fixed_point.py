"""What splittings and multiplier methods record alike: the step size and the distance from a fixed point.

Both kinds of method leave in their state the two points x and y that an iteration computes (for multipliers: before the
iteration, and after its u-step; see `optlab.splitting.admm`). They coincide exactly at a fixed point.
"""

from __future__ import annotations

from typing import Any

from optlab.core import DomainError, Method


class FixedPointMethod(Method):
    """Base of the methods whose states carry mirror points ``x`` and ``y`` and the ``step_size`` that made them."""

    def measure(self, problem: Any, state: Any) -> dict[str, float]:
        """Return ``step_size`` and, if the problem can tell it, ``fixed_point_residual``.

        The residual is the relative distance of the primal points x and y: 0 exactly at a fixed point, at most 2. At
        k = 0 it is that of the first iteration.
        """
        record = {"step_size": float(state.step_size)}
        distance = getattr(problem, "mirror_distance", None)
        if distance is not None:
            record["fixed_point_residual"] = self._residual(problem, distance, state)
        return record

    def _residual(self, problem: Any, distance: Any, state: Any) -> float:
        if state.k == 0:
            try:
                state = self.step(problem, state)
            except (DomainError, ArithmeticError):
                return 2.0  # the run will say why; here no better value than "as far apart as can be"
        return float(distance(state.x, state.y))
