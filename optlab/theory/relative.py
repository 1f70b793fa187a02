"""Pairs with B = grad g smooth relative to the kernel h, for any kernel at once or for the quadratic one.

Any kernel: with convex d_1, d_2 put ``h = (d_1 + d_2) / (L - mu)`` and ``g = d_1 + mu h``. Then ``L h - g = d_2`` and
``g - mu h = d_1`` are convex, and every pair with these two properties is of this form (take them for d_1 and d_2). A
mirror point is the gradient of h at a point; a resolvent prescribes it. Legendre's condition on h is not imposed, so
that values are upper bounds of the worst case.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from optlab.core.validation import as_number, one_of
from optlab.theory.classes import ProblemClass, Symbolic, declared, pepit


class _Evaluation:
    """A point with what is known there: gradients of h, g and values of h, g, f."""

    def __init__(self, x: Any, mirror: Any, gradient: Any, h: Any, g: Any, f: Any = None) -> None:
        self.x, self.mirror, self.gradient, self.h, self.g, self.f = x, mirror, gradient, h, g, f


class SymbolicRelativePair(Symbolic):
    """min f + g in the geometry of a kernel; `points_B` and `points_A` are the resolvents' answers in their order."""

    def __init__(self, pep: Any, mu: float, L: float, euclidean: bool) -> None:
        super().__init__()
        self.mu, self.L, self.euclidean = mu, L, euclidean
        functions = pepit().functions
        self.f = pep.declare_function(functions.ConvexFunction)
        if euclidean:
            self.smooth = declared(pep, mu, L)
        else:
            self.d1, self.d2 = (pep.declare_function(functions.ConvexFunction) for _ in range(2))
        self.points_A: list[_Evaluation] = []
        self.points_B: list[_Evaluation] = []
        point, element = pepit().Point(name="solution"), pepit().Point()
        self.solution = self._evaluate(point, gradient=element)
        self.solution.f = pepit().Expression()
        self.f.add_point((point, -element, self.solution.f))

    def _evaluate(self, x: Any, mirror: Any = None, gradient: Any = None) -> _Evaluation:
        """Declare a point with a given gradient of h or of g (what is not given is free), and return its values."""
        PEPit = pepit()
        Point, Expression = PEPit.Point, PEPit.Expression
        if self.euclidean:
            gradient, value = (Point() if gradient is None else gradient), Expression()
            self.smooth.add_point((x, gradient, value))
            return _Evaluation(x, x, gradient, 0.5 * x**2, value)
        if mirror is None:
            mirror = Point()
        slope1 = Point() if gradient is None else gradient - self.mu * mirror
        slope2 = (self.L - self.mu) * mirror - slope1
        value1, value2 = Expression(), Expression()
        self.d1.add_point((x, slope1, value1))
        self.d2.add_point((x, slope2, value2))
        h = (value1 + value2) / (self.L - self.mu)
        return _Evaluation(x, mirror, slope1 + self.mu * mirror, h, value1 + self.mu * h)

    def initial_mirror(self, x0: Any) -> Any:
        """Return the start, a mirror point."""
        return self.start if x0 is None else x0

    def resolvent_B(self, mirror: Any, step_size: float) -> Any:
        """Return grad h at the x with ``grad h(x) + step_size grad g(x) = mirror``."""
        gradient = pepit().Point()
        if self.euclidean:
            found = self._evaluate(mirror - step_size * gradient, gradient=gradient)
        else:
            found = self._evaluate(pepit().Point(), mirror - step_size * gradient, gradient)
        self.points_B.append(found)
        return found.mirror

    def resolvent_A(self, mirror: Any, step_size: float) -> Any:
        """Return grad h at the y with ``grad h(y) + step_size f'(y) = mirror``."""
        element, value = pepit().Point(), pepit().Expression()
        at = mirror - step_size * element
        found = self._evaluate(at if self.euclidean else pepit().Point(), at)
        found.f = value
        self.f.add_point((found.x, element, value))
        self.points_A.append(found)
        return found.mirror

    def primal(self, mirror: Any, drift: Any = None) -> Any:
        """Return the mirror point."""
        return mirror

    def lyapunov(self, step_size: float, k: int) -> Any:
        """Return ``V_k = D_{h + step_size g}(x*, x_k)``."""
        star, at = self.solution, self.points_B[k]
        slope = at.mirror + step_size * at.gradient
        return star.h + step_size * star.g - at.h - step_size * at.g - slope * (star.x - at.x)

    def distance_to_solution(self, method: Any, state: Any) -> Any:
        """Return V_0, which the first iteration has revealed."""
        return self.lyapunov(method.step_size_of(state), 0)

    def _gap(self, at: _Evaluation) -> Any:
        return at.f + at.g - self.solution.f - self.solution.g

    def _average_gap(self, method: Any, state: Any, following: Any) -> Any:
        if state.k == 0:
            raise ValueError("the average gap needs k of at least 1")
        return sum((self._gap(at) for at in self.points_A[1 : state.k]), self._gap(self.points_A[0])) / state.k

    def _lyapunov(self, method: Any, state: Any, following: Any) -> Any:
        following()
        return self.lyapunov(method.step_size_of(state), state.k)

    @property
    def measures(self) -> dict[str, Any]:
        """Average gap of the first k points y, and the Lyapunov function after k steps."""
        return {"average_gap": self._average_gap, "lyapunov": self._lyapunov}


@dataclass(frozen=True)
class RelativelySmoothPair(ProblemClass):
    """min f + g, f closed convex, ``mu h <= g <= L h`` in the sense that both differences are convex.

    Parameters
    ----------
    smoothness : float, default 1
        L: g is L-smooth relative to the kernel h.
    strong_convexity : float, default 0
        mu: g is mu-strongly convex relative to h.
    kernel : {"any", "euclidean"}, default "any"
        All convex differentiable kernels at once, or the quadratic one.

    Notes
    -----
    Metrics, each divided by ``V_0 = D_{h + gamma g}(x*, x_0)`` (the step size gamma of the method): ``average_gap``,
    ``(1/k) sum_{j<k} (f + g)(y_j) - opt``, which Ma, Xiao and Zhao's iteration keeps below ``1 / (gamma k)`` for
    ``gamma <= 1/L``; ``lyapunov``, ``V_k``.
    """

    smoothness: float = 1.0
    strong_convexity: float = 0.0
    kernel: str = "any"
    metrics = ("average_gap", "lyapunov")

    def __post_init__(self) -> None:
        value = as_number(self.strong_convexity, "strong_convexity", minimum=0)
        object.__setattr__(self, "strong_convexity", value)
        object.__setattr__(self, "smoothness", as_number(self.smoothness, "smoothness", above=self.strong_convexity))
        one_of(self.kernel, "kernel", ("any", "euclidean"))

    def build(self, pep: Any) -> SymbolicRelativePair:
        """Return a symbolic pair."""
        return SymbolicRelativePair(pep, self.strong_convexity, self.smoothness, self.kernel == "euclidean")
