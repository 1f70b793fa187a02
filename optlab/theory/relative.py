"""Sums with one term smooth relative to the kernel h, for any kernel at once or for the quadratic one.

Any kernel: with convex d_1, d_2 put ``h = (d_1 + d_2) / (L - mu)`` and ``g = d_1 + mu h``. Then ``L h - g = d_2`` and
``g - mu h = d_1`` are convex, and every pair with these two properties is of this form (take them for d_1 and d_2). A
mirror point is the gradient of h at a point; a resolvent prescribes it. Legendre's condition on h is not imposed, so
that values are upper bounds of the worst case.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from optlab.composite.split import Work
from optlab.core.contract.slots import assign
from optlab.core.validation import as_number, one_of
from optlab.theory.classes import ProblemClass, Symbolic, declared, pepit


class _Evaluation:
    """A point with what is known there: gradients of h, g and values of h, g, f."""

    def __init__(self, x: Any, mirror: Any, gradient: Any, h: Any, g: Any, f: Any = None) -> None:
        self.x, self.mirror, self.gradient, self.h, self.g, self.f = x, mirror, gradient, h, g, f


class SymbolicRelativePair(Symbolic):
    """min f + g in the geometry of a kernel; `points_B` and `points_A` are the resolvents' answers in their order."""

    def __init__(self, pep: Any, mu: float, L: float, euclidean: bool, smooth: bool = True) -> None:
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
        point, element = pepit().Point(name="solution"), pepit().Point() if smooth else pepit().null_point
        self.solution = self._evaluate(point, gradient=element if smooth else None)
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


class SymbolicRelativeSum(SymbolicRelativePair):
    """The same sum for methods that take the gradient of g and the resolvent of f, all in mirror points."""

    def __init__(self, pep: Any, mu: float, L: float, first: bool) -> None:
        super().__init__(pep, mu, L, euclidean=False, smooth=first)
        self.first = first
        self.kernel = SimpleNamespace(conjugate_gradient=self._behind, full_dual=True)
        smooth = ("smooth", {"value", "gradient", "relative_smoothness", "convex"})
        others = ("proximal", {"value", "proximal", "convex"})
        self.terms = tuple(
            SimpleNamespace(name=name, offers=offers, function=SimpleNamespace(whole_space=True))
            for name, offers in ([smooth] if first else []) + [others]
        )
        # mirror points with what is known of the points behind them; the start is the first
        self.known = [self._evaluate(pepit().Point(), self.start)]

    def split(self, slots: Any) -> Any:
        """Return the oracles of the terms in their slots; a point is what has been evaluated there."""
        placed: Any = assign(self.terms, slots)  # the checker has seen that they fit
        oracles = SimpleNamespace(
            problem=self,
            kernel=self.kernel,
            f=SimpleNamespace(relative_smoothness=(self.L, self.mu) if self.first else (0.0, 0.0)),
            gradient=lambda at: at.gradient if self.first else pepit().null_point,
            proximal=self._proximal,
            terms=lambda slot: placed.get(slot, ()),
            point=lambda at, **pairs: SimpleNamespace(at=at),
            work=Work(),
        )
        oracles.counted = lambda: oracles
        return oracles

    def _behind(self, mirror: Any) -> _Evaluation:
        return next(at for at in self.known if at.mirror is mirror)

    def _proximal(self, mirror: Any, step_size: float) -> Any:
        self.resolvent_A(mirror, step_size)
        self.known.append(self.points_A[-1])
        return self.known[-1].mirror

    def distance_to_solution(self, method: Any, state: Any) -> Any:
        """Return ``D_h(x*, x_0)``."""
        star, at = self.solution, self.known[0]
        return star.h - at.h - at.mirror * (star.x - at.x)

    def _gap_of_the_sum(self, method: Any, state: Any, following: Any) -> Any:
        at = method.iterate(self, state).at
        if at.f is None:
            raise ValueError("the gap needs k of at least 1: at the start it is infinite")
        return self._gap(at) if self.first else at.f - self.solution.f

    @property
    def measures(self) -> dict[str, Any]:
        """Gap of the last point."""
        return {"gap": self._gap_of_the_sum}


@dataclass(frozen=True)
class RelativelySmooth(ProblemClass):
    """min f + g as in `RelativelySmoothPair`, over all kernels, for (Bregman) `ProximalGradient` and `MirrorDescent`.

    Parameters
    ----------
    smoothness : float, default 1
        L: g is L-smooth relative to the kernel h; 0 leaves g out (the Bregman proximal point method).
    strong_convexity : float, default 0
        mu: g is mu-strongly convex relative to h.

    Notes
    -----
    Metric, divided by ``D_h(x*, x_0)``: ``gap``, ``(f + g)(x_k) - opt``, at most ``1 / (gamma k)`` for
    ``gamma <= 1/L`` (Dragomir, Taylor, d'Aspremont, Bolte 2021, who show that no method of this kind is better).
    """

    smoothness: float = 1.0
    strong_convexity: float = 0.0
    metrics = ("gap",)

    def __post_init__(self) -> None:
        value = as_number(self.strong_convexity, "strong_convexity", minimum=0)
        smoothness = as_number(self.smoothness, "smoothness", minimum=0)
        if smoothness <= value and (smoothness or value):
            raise ValueError(f"smoothness must be above strong_convexity = {value:g}, got {smoothness:g}")
        object.__setattr__(self, "strong_convexity", value)
        object.__setattr__(self, "smoothness", smoothness)

    def build(self, pep: Any) -> SymbolicRelativeSum:
        """Return a symbolic sum."""
        first = self.smoothness > 0
        return SymbolicRelativeSum(pep, self.strong_convexity, self.smoothness if first else 1.0, first)
