"""What splittings and multiplier methods record alike: the step size and the distance from a fixed point.

Both kinds of method leave in their state the two points x and y that an iteration computes (for multipliers: before the
iteration, and after its u-step; see `optlab.splitting.admm`). They coincide exactly at a fixed point. How long a
difference of mirror points is, which restarts and safeguards ask, is answered here too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.core import DomainError, Method, Status
from optlab.core.contract.fixed_point import flattened
from optlab.core.stopping import Verdict

#: Displacements shorter than this, relative to the points, are a run that converges: nothing to certify.
SHORTEST = 1e-9


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

    def verdict(self, problem: Any, state: Any, metrics: dict[str, float]) -> Verdict | None:
        """Return INFEASIBLE or UNBOUNDED with its certificate, where the last displacement gives one that was checked.

        Asked of the problem's ``find_certificate``, if it has one: see `optlab.composite.infeasibility`.
        """
        if state.k == 0 or not callable(getattr(problem, "find_certificate", None)):
            return None
        if metrics.get("fixed_point_residual", 1.0) <= SHORTEST:
            return None
        with np.errstate(all="ignore"):
            try:
                certificate = self._certificate(problem, state)
            except (DomainError, ArithmeticError, np.linalg.LinAlgError):
                return None
        if certificate is None:
            return None
        status = Status.INFEASIBLE if certificate.kind == "infeasible" else Status.UNBOUNDED
        return Verdict(status, certificate.sentence(), certificate)

    def _certificate(self, problem: Any, state: Any) -> Any:
        return problem.find_certificate(state.x, state.y, state.y - state.x)

    def _residual(self, problem: Any, distance: Any, state: Any) -> float:
        if state.k == 0:
            try:
                state = self.step(problem, state)
            except (DomainError, ArithmeticError):
                return 2.0  # the run will say why; here no better value than "as far apart as can be"
        return float(distance(state.x, state.y))


def local_coordinates(problem: Any, difference: Any, at: Any) -> np.ndarray:
    """Return a difference of mirror points as a vector whose Euclidean norm is its length near the mirror point `at`.

    The problem's own ``local_coordinates`` if it has one, otherwise `flattened`. The natural metric is that of the
    Hessian of h* at the point: there Bregman Douglas-Rachford is, to first order, the Euclidean one.
    """
    own = getattr(problem, "local_coordinates", None)
    return np.asarray(own(difference, at)) if callable(own) else flattened(difference)


def residual_length(problem: Any, x: Any, y: Any) -> float:
    """Return how far apart the two points of an iteration are, as a length that vanishes at a solution.

    The problem's own ``residual_length`` if it has one, otherwise the norm of `local_coordinates`.
    """
    own = getattr(problem, "residual_length", None)
    return float(own(x, y)) if callable(own) else float(np.linalg.norm(local_coordinates(problem, y - x, x)))
