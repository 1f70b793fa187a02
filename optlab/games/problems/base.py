"""What all problems of this package offer to the methods: an operator, a geometry, a Lipschitz constant."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from optlab.core.validation import as_float_array
from optlab.games.problems.geometry import WholeSpace

Array = Any


class OperatorProblem:
    """Find z in a set with ``<F(z), u - z> >= 0`` for all u in it, F monotone.

    Subclasses set `geometry`, `lipschitz` (of F, in the norm of the geometry; inf if not known), `size`, and define
    `operator`, `default_start` and `measure`. Evaluations are counted by the methods.
    """

    primary_metric: str = "residual"
    geometry: Any
    lipschitz: float
    size: int
    calls: ClassVar[int] = 1

    def operator(self, x: Array) -> Array:
        """Return F(x)."""
        raise NotImplementedError(f"{type(self).__name__} does not define operator")

    def operator_start(self, x0: Any) -> Array:
        """Return the mirror point of a start."""
        x = np.asarray(as_float_array(np.asarray(x0), "x0", shape=(self.size,)))
        return self.geometry.mirror(x)

    def moved(self, mirror: Array, direction: Array) -> Array:
        """Return the mirror point after a step along a direction."""
        return self.geometry.moved(mirror, direction)

    def at(self, mirror: Array) -> Array:
        """Return the point behind a mirror point."""
        return self.geometry.primal(mirror)

    def point(self, x: Array) -> Any:
        """Return what a run hands out for a point."""
        return x

    def natural_residual(self, x: Array) -> float:
        """Return ``||x - P(x - F(x))||``, which vanishes at solutions only; Euclidean, whatever the geometry."""
        return float(np.linalg.norm(x - self._euclidean().moved(x, self.operator(x))))

    def _euclidean(self) -> Any:
        return self.geometry if isinstance(self.geometry, WholeSpace) else self._simplices()

    def _simplices(self) -> Any:
        from optlab.games.problems.geometry import Simplices

        return Simplices(*np.diff(self.geometry.edges))
