"""The Frank-Wolfe (conditional gradient) method, with away and pairwise steps.

Follows Frank and Wolfe (1956) and, for the variants, Lacoste-Julien and Jaggi (2015, Algorithms 1 and 2). With the
vertex ``s = argmin_C <grad f(x), s>`` the gap ``<grad f(x), x - s>`` bounds ``f(x) - f*``; the step is
``x+ = x + gamma d``, with d one of

    s - x                     Frank-Wolfe
    x - v                     away from the worst vertex v in use, if that is steeper
    s - v                     pairwise
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.bregman.functions import Box, CappedSimplex, L1Ball, Simplex
from optlab.composite.split import Work, WorkState
from optlab.core.contract.slots import Slot
from optlab.core.validation import one_of
from optlab.firstorder.base import FirstOrderMethod, needs_whole_space
from optlab.linalg.lbfgs import inner

_POLYTOPES = (Box, CappedSimplex, L1Ball, Simplex)


@dataclass
class FrankWolfeState(WorkState):
    """State of Frank-Wolfe: x, the length of the last step, and the vertices in use with their weights.

    Parameters
    ----------
    x : ndarray
    step_size : float
        gamma of the last iteration.
    bound : float
        The Frank-Wolfe gap that the last iteration began with.
    vertices : tuple of ndarray
    weights : tuple of float
        Of x as a combination of them; empty for plain steps.
    """

    x: Any
    step_size: float
    bound: float
    vertices: Any = ()
    weights: Any = ()


@dataclass(frozen=True)
class FrankWolfe(FirstOrderMethod):
    """Frank-Wolfe for a smooth function on a bounded set with a linear minimiser: no projections.

    With steps ``2/(k+2)`` and shorter ones that minimise more, ``f(x_k) - f* <= 2 C/(k + 2)`` with the curvature
    constant ``C <= L diam^2`` (Jaggi 2013, Theorem 1). Away and pairwise steps converge linearly on polytopes if f is
    strongly convex (Lacoste-Julien and Jaggi 2015, Theorem 1).

    Parameters
    ----------
    variant : {"plain", "away", "pairwise"}, default "plain"
        The latter two on the simplex, capped simplex, box and 1-norm ball.
    step_size : {"exact", "short", "open"}, optional
        Exact, for quadratics; ``gap/(L ||d||^2)``; ``2/(k + 2)``. Default: the first that f allows; "open" is for plain
        steps only.

    Notes
    -----
    A start outside the set is replaced by the vertex that its gradient points to; the variants begin at that vertex
    always.

    References
    ----------
    Jaggi (2013), Revisiting Frank-Wolfe: projection-free sparse convex optimization.

    Examples
    --------
    >>> import numpy as np, optlab
    >>> from optlab.bregman.functions import LeastSquares, Simplex
    >>> from optlab.composite import CompositeProblem
    >>> from optlab.firstorder import FrankWolfe
    >>> problem = CompositeProblem(LeastSquares(np.eye(3), np.array([0.6, 0.5, -1.0])), Simplex())
    >>> np.asarray(optlab.solve(problem, FrankWolfe("pairwise"), tol=1e-10).solution).round(6) + 0.0
    array([0.55, 0.45, 0.  ])
    """

    variant: str = "plain"
    step_size: str | None = None
    reference: ClassVar[str] = "jaggi2013revisiting"
    slots: ClassVar[tuple[Slot, ...]] = (
        Slot("f", ("gradient", "convex"), at_least=1),
        Slot("g", ("linear_minimizer", "convex"), at_most=1, at_least=1),
    )

    def __post_init__(self) -> None:
        one_of(self.variant, "variant", ("plain", "away", "pairwise"))
        if self.step_size is not None:
            one_of(self.step_size, "step_size", ("exact", "short", "open"))
            if self.step_size == "open" and self.variant != "plain":
                raise ValueError(f'step_size "open" is for variant "plain", got variant {self.variant!r}')

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against other geometries, sets that are no polytopes, and steps that f does not allow."""
        reason = super().accepts(problem) or needs_whole_space(problem, self.slots)
        if reason:
            return reason
        split = problem.split(self.slots)
        (target,) = split.terms("g")
        if self.variant != "plain" and not isinstance(target.function, _POLYTOPES):
            return f"takes away and pairwise steps on polytopes, and {target.name!r} is none of those it knows"
        if self._rule(split) is None:
            return "needs a quadratic or a Lipschitz constant for steps of this kind"
        return None

    def _rule(self, split: Any) -> str | None:
        terms = split.terms("f")
        fits = {
            "exact": split.f.quadratic,
            "short": all("lipschitz" in term.offers for term in terms),
            "open": self.variant == "plain",
        }
        return next((rule for rule, fit in fits.items() if fit and self.step_size in (None, rule)), None)

    def init(self, problem: Any, x0: Any, rng: Any) -> FrankWolfeState:
        """Return the state at iteration 0."""
        split = problem.split(self.slots)
        x, oracles = split.start(x0), split.counted()
        if self.variant == "plain" and np.isfinite(split.g.value(x)):
            return FrankWolfeState(0, Work(), x, 0.0, np.inf)
        vertex = np.asarray(oracles.linear_minimizer(oracles.gradient(x)), dtype=x.dtype)
        kept = ((vertex,), (1.0,)) if self.variant != "plain" else ((), ())
        return FrankWolfeState(0, oracles.work, vertex, 0.0, np.inf, *kept)

    def step(self, problem: Any, state: FrankWolfeState) -> FrankWolfeState:
        """Return the state one iteration later."""
        split = problem.split(self.slots)
        oracles, x = split.counted(), state.x
        slope = oracles.gradient(x)
        s = np.asarray(oracles.linear_minimizer(slope), dtype=x.dtype)
        gap = inner(slope, x - s)
        if self.variant == "plain":
            d, most = s - x, 1.0
        else:
            heights = [inner(slope, v) for v in state.vertices]
            worst = int(np.argmax(heights))
            weight = state.weights[worst]
            if self.variant == "pairwise":
                d, most = s - state.vertices[worst], weight
            elif gap >= heights[worst] - inner(slope, x):
                d, most, worst = s - x, 1.0, -1
            else:
                d, most = x - state.vertices[worst], weight / (1.0 - weight) if weight < 1.0 else np.inf
        gamma = self._length(split, oracles, state.k, x, slope, d, most)
        after = FrankWolfeState(state.k + 1, Work(), x + gamma * d, gamma, gap)
        if self.variant != "plain":
            self._weigh(state, after, s, worst, gamma, gamma >= most)
        after.work = state.work + oracles.work
        return after

    def _length(self, split: Any, oracles: Any, k: int, x: Any, slope: Any, d: Any, most: float) -> float:
        """Return the length of the step along d, at most `most`."""
        rule, descent = self._rule(split), -inner(slope, d)
        if rule == "open":
            return 2.0 / (k + 2.0)
        squared = inner(d, d)
        if squared == 0.0 or descent <= 0.0:
            return 0.0
        curvature = split.f.lipschitz * squared if rule == "short" else inner(d, oracles.gradient(x + d) - slope)
        length = descent / curvature if curvature > 0.0 else most
        return min(length, most) if np.isfinite(min(length, most)) else 0.0

    def _weigh(self, state: Any, after: Any, s: Any, worst: int, gamma: float, dropped: bool) -> None:
        """Put the new weights into `after`, and x as the combination of the vertices that they are of."""
        vertices, weights = list(state.vertices), list(state.weights)
        if self.variant == "away" and worst >= 0:
            weights = [(1.0 + gamma) * w for w in weights]
            weights[worst] -= gamma
        elif self.variant == "away":
            weights = [(1.0 - gamma) * w for w in weights]
        else:
            weights[worst] -= gamma
        if dropped and worst >= 0:  # exactly: no weight of a rounding error survives a drop step
            weights[worst] = 0.0
        if self.variant == "pairwise" or worst < 0:
            place = next((i for i, v in enumerate(vertices) if np.array_equal(v, s)), None)
            if place is None:
                vertices.append(s)
                weights.append(gamma)
            else:
                weights[place] += gamma
        kept = [(v, w) for v, w in zip(vertices, weights) if w > 0.0]
        total = sum(w for _, w in kept)
        after.vertices = tuple(v for v, _ in kept)
        after.weights = tuple(w / total for _, w in kept)
        after.x = sum(w * v for v, w in zip(after.vertices, after.weights))

    def iterate(self, problem: Any, state: FrankWolfeState) -> Any:
        """Return x."""
        return problem.split(self.slots).point(state.x)

    def measure(self, problem: Any, state: FrankWolfeState) -> dict[str, float]:
        """Return the step's length, the vertices in use, and the counts of oracle calls."""
        return super().measure(problem, state) | {"vertices": float(len(state.vertices))}
