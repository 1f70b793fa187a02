"""Composite convex problems min f(x) + g(x), the subdifferential case of a monotone inclusion: A = df, B = dg.

Follows section 1 of Ma, Xiao, Zhao (2025, arXiv 2509.08739). Where g is L-smooth relative to the kernel and the step
size is at most 1/L, Bregman Douglas-Rachford converges at rate O(1/k) (derived here, verified numerically), so g is the
place for the smooth function.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from optlab.core.validation import as_number
from optlab.splitting.inclusion import MonotoneInclusion, SplitPoint
from optlab.splitting.infeasibility import Certificate, domain_recession, falls, identity, recession_of, search

Array = Any


class CompositeProblem(MonotoneInclusion):
    """Minimise ``f(x) + g(x)`` over the closure of the domain of a kernel.

    Parameters
    ----------
    f, g : function
        Terms of `optlab.bregman.functions`, or objects with ``value(x) -> float`` and
        ``resolvent(kernel, mirror, step_size) -> mirror``. g is applied first: put the smooth function there.
    kernel : Legendre
        The geometry; its domain is a constraint of the problem.
    shape, reference, default_step_size
        As in `MonotoneInclusion`.
    optimum : float, optional
        The known optimal value; adds the metric ``suboptimality = objective - optimum``.
    dual_bound : callable, optional
        ``point -> float``, a lower bound on the optimal value, finite at every point. It receives a `SplitPoint`, whose
        ``b in dg(x)`` and ``a in df(y)`` are the natural dual candidates. Adds the metrics ``gap`` (a certificate,
        then the primary metric) and ``relative_gap``.
    feasible_point : callable, optional
        ``point -> x``, a point at which f + g is finite, used for the upper bound of the gap. Default: whichever of x
        and y is better.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind.

    Notes
    -----
    `measure` gives what `MonotoneInclusion` gives, and

    * ``objective`` = ``f(y) + g(x)``: each function at the point its own resolvent produced, where it is finite even if
      it is the indicator of a set. It is the objective of no single point until x = y: read it with ``residual``;
    * ``suboptimality``, ``gap``, ``relative_gap`` as above. ``gap`` is the upper bound less the lower bound, and
      ``relative_gap`` divides it by the larger of their absolute values.

    Examples
    --------
    >>> import optlab
    >>> from optlab.bregman import SquaredEuclidean
    >>> from optlab.bregman.functions import L1Norm, SquaredDistance
    >>> from optlab.splitting import BregmanDouglasRachford, CompositeProblem
    >>> problem = CompositeProblem(L1Norm(), SquaredDistance(np.array([3.0, 0.5])), SquaredEuclidean())
    >>> result = optlab.solve(problem, BregmanDouglasRachford(step_size=1.0), tol=1e-10)
    >>> np.asarray(result.solution).round(6) + 0.0
    array([2., 0.])
    >>> round(result.metrics["objective"], 6)
    2.625
    """

    def __init__(
        self,
        f: Any,
        g: Any,
        kernel: Any,
        *,
        shape: int | tuple[int, ...] | None = None,
        reference: Any = None,
        optimum: float | None = None,
        dual_bound: Callable[[SplitPoint], float] | None = None,
        feasible_point: Callable[[SplitPoint], Array] | None = None,
        default_step_size: float | None = None,
    ) -> None:
        for name, function in (("f", f), ("g", g)):
            if not callable(getattr(function, "value", None)):
                raise TypeError(f"{name} must have value(x) -> float, got {type(function).__name__}")
        for name, hook in (("dual_bound", dual_bound), ("feasible_point", feasible_point)):
            if hook is not None and not callable(hook):
                raise TypeError(f"{name} must be callable, got {type(hook).__name__}")
        self.f, self.g = f, g
        self.optimum = None if optimum is None else as_number(optimum, "optimum")
        self.dual_bound, self.feasible_point = dual_bound, feasible_point
        self.primary_metric = "residual" if dual_bound is None else "gap"
        super().__init__(f, g, kernel, shape=shape, reference=reference, default_step_size=default_step_size)

    #: What `objective` is the sum of. A class that writes `objective` in its own words says it again beside it.
    objective_terms: ClassVar[tuple[str, ...]] = ("f", "g")

    def initial_mirror(self, x0: Any) -> Array:
        """Return ``grad h(x0)``, after making sure that f and g are all that is minimised; see `MonotoneInclusion`."""
        owner = next(cls for cls in type(self).__mro__ if "objective" in vars(cls))
        declared = vars(owner).get("objective_terms")
        if declared is None or set(declared) != {"f", "g"}:
            raise TypeError(
                f"{owner.__name__}.objective is not that of CompositeProblem, and splitting methods handle two terms, "
                "f and g: a third one would be ignored. Put it into f or g (f + term), or, if it is f + g in other "
                'words, say so beside it: objective_terms = ("f", "g")'
            )
        return super().initial_mirror(x0)

    def objective(self, x: Array) -> float:
        """Return ``f(x) + g(x)``, infinite outside either domain."""
        return float(self.f.value(x) + self.g.value(x))

    def _certificate(self, moves: list[Array], mirrors: Any, points: list[Array]) -> Certificate | None:
        found = super()._certificate(moves, mirrors, points)
        if found is not None:
            return found
        whole = identity(moves[0].size)
        rays = [recession_of(self.f), recession_of(self.g), domain_recession(self.kernel)]
        # the point itself runs off along the direction, in the end faster than anything else
        moves = [*moves, points[0] - np.asarray(self.default_start(np.random.default_rng(0)))]
        return search(moves, lambda d: self._falls(d, [points[1], points[0]]), [(whole, ray) for ray in rays])

    def _falls(self, d: Array, points: list[Array]) -> Certificate | float:
        return falls((self.f, self.g), self.kernel, d, points, self.objective, 0.0)

    def check_certificate(self, kind: str, vector: Array, point: Any = None) -> Certificate | None:
        """Return the certificate that `vector` (and `point`) is, None if it is none; see `Certificate.verify`."""
        if kind == "infeasible":
            return super().check_certificate(kind, vector, point)
        found = self._falls(vector, [point])
        return found if isinstance(found, Certificate) else None

    def _measure_pair(self, x: Array, pair: SplitPoint) -> dict[str, float]:
        metrics = super()._measure_pair(x, pair)
        metrics["objective"] = float(self.f.value(pair.y) + self.g.value(np.asarray(pair)))
        if self.optimum is not None:
            metrics["suboptimality"] = metrics["objective"] - self.optimum
        if self.dual_bound is not None:
            upper, lower = self._upper_bound(self._certified(x, pair)), float(self.dual_bound(pair))
            if not math.isfinite(lower):
                raise ValueError(f"dual_bound must return a finite lower bound at every point, got {lower}")
            metrics["gap"] = upper - lower
            scale = max(abs(upper), abs(lower))
            metrics["relative_gap"] = (upper - lower) / scale if scale > 0 else 0.0
        return metrics

    def _certified(self, x: Array, pair: SplitPoint) -> SplitPoint:
        """Return what the upper bound is for: the pair, or x itself if it came without one and is feasible."""
        # otherwise a start would be declared solved because the iteration that measures it ends at a solution
        if np.array_equal(np.asarray(pair), x):
            return pair
        alone = SplitPoint(x, x, pair.a, pair.b)
        return alone if self.feasible_point is not None or math.isfinite(self.objective(x)) else pair

    def _upper_bound(self, pair: SplitPoint) -> float:
        if self.feasible_point is not None:
            upper = self.objective(np.asarray(self.feasible_point(pair)))
            if not math.isfinite(upper):
                raise ValueError(f"feasible_point must return a point with a finite objective, got {upper}")
            return upper
        upper = min(self.objective(np.asarray(pair)), self.objective(pair.y))
        if not math.isfinite(upper):
            raise ValueError("f + g is infinite at both x and y: pass feasible_point to have a gap")
        return upper
