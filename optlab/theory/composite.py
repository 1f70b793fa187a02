"""Sums of a smooth function and terms with proximal operators, for methods that sort terms into slots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from optlab.bregman import SquaredEuclidean
from optlab.composite.split import Work
from optlab.core.contract.slots import assign
from optlab.core.validation import as_integer, as_number
from optlab.theory.classes import ProblemClass, Symbolic, declared, pepit, proximal

_SMOOTH = frozenset({"value", "gradient", "lipschitz", "relative_smoothness", "convex"})
_PROXIMAL = frozenset({"value", "proximal", "convex"})


class SymbolicComposite(Symbolic):
    """Minimise ``f + g_1 + ... + g_m``, f smooth; what `CompositeProblem` is to a method, on symbolic points."""

    kernel = SquaredEuclidean()

    def __init__(self, pep: Any, mu: float, L: float, terms: tuple[tuple[float, float], ...], quadratic: bool) -> None:
        super().__init__()
        PEPit = pepit()
        self.L, self.mu, self.work = L, mu, Work()
        smooth = [(declared(pep, mu, L, quadratic), _SMOOTH)] if L else []
        symbols = smooth + [(declared(pep, *constants), _PROXIMAL) for constants in terms]
        self.terms = tuple(
            SimpleNamespace(
                name=f"term {i + 1}", offers=offers, function=SimpleNamespace(whole_space=True), symbol=symbol
            )
            for i, (symbol, offers) in enumerate(symbols)
        )
        # a solution, with subgradients of all terms that add up to zero
        self.solution, self.values = PEPit.Point(name="solution"), []
        slopes = [PEPit.Point() for _ in self.terms[1:]]
        total = sum(slopes[1:], slopes[0]) if slopes else PEPit.null_point
        self.slopes = [-1 * total if slopes else total, *slopes]
        for term, slope in zip(self.terms, self.slopes):
            value = PEPit.Expression()
            term.symbol.add_point((self.solution, slope, value))
            self.values.append(value)

    def split(self, slots: Any) -> SymbolicSplit:
        """Return the terms in a method's slots, as `CompositeProblem.split` does."""
        return SymbolicSplit(self, assign(self.terms, slots))

    def value(self, x: Any) -> Any:
        """Return the sum of the terms at x, where their proximal operators have been or their values are free."""
        first, *others = [term.symbol(x) for term in self.terms]
        return sum(others, first)

    @property
    def optimum(self) -> Any:
        """The optimal value."""
        return sum(self.values[1:], self.values[0])

    def fixed_point(self, method: Any, state: Any) -> Any:
        """Return where the method's variable converges to: ``x* + step g'`` in a splitting that begins with g."""
        split = self.split(method.slots)
        if not split.moved:
            return self.solution
        (term,) = split.terms("g")
        return self.solution + method.step_size_of(state) * self.slopes[self.terms.index(term)]

    @property
    def starts(self) -> dict[str, Any]:
        """What may be bounded by 1 at the start, beside the distance."""

        def gap(method: Any, state: Any) -> Any:
            return self.measures["gap"](method, state, None)

        def energy(method: Any, state: Any) -> Any:
            return gap(method, state) + 0.5 * self.mu * (method.iterate(self, state) - self.solution) ** 2

        return {"gap": gap, "energy": energy}

    def distance_to_solution(self, method: Any, state: Any) -> Any:
        """Return the squared distance of the variable, or of the iterate, to where it converges."""
        if self.split(method.slots).moved:
            return (method.variable(state) - self.fixed_point(method, state)) ** 2
        return (method.iterate(self, state) - self.solution) ** 2

    @property
    def measures(self) -> dict[str, Any]:
        """Gap and distance of the iterate; residual of the map of the method's variable."""
        return {
            "gap": lambda method, state, following: self.value(method.iterate(self, state)) - self.optimum,
            "distance": lambda method, state, following: self.distance_to_solution(method, state),
            "residual": lambda method, state, following: method.displacement(state, following()) ** 2,
        }


class SymbolicSplit:
    """The symbolic terms in a method's slots, with the oracles of `optlab.composite.Split`."""

    def __init__(self, problem: SymbolicComposite, placed: Any) -> None:
        self.problem, self.placed, self.kernel = problem, placed, problem.kernel
        L = problem.L if self.terms("f") else 0.0
        mu = problem.mu if self.terms("f") else 0.0
        self.f = SimpleNamespace(
            terms=self.terms("f"), lipschitz=L, strong_convexity=mu, relative_smoothness=(L, mu), quadratic=False
        )
        self.work = problem.work
        self.moved = "p" in placed and bool(self.terms("g"))

    def terms(self, slot: str) -> Any:
        """Return the terms in a slot."""
        return self.placed.get(slot, ())

    def start(self, x0: Any) -> Any:
        """Return the start."""
        return x0

    def counted(self) -> SymbolicSplit:
        """Return the oracles, which are not counted."""
        return self

    def point(self, x: Any, **known: Any) -> Any:
        """Return x."""
        return x

    def gradient(self, x: Any) -> Any:
        """Return the gradient of slot f, 0 without a term in it."""
        return sum((term.symbol.gradient(x) for term in self.terms("f")), pepit().null_point)

    def _proximal(self, slot: str, z: Any, step: float) -> Any:
        terms = self.terms(slot)
        return proximal(terms[0].symbol, z, step) if terms else z

    def proximal(self, z: Any, step: float) -> Any:
        """Return the proximal operator of slot g."""
        return self._proximal("g", z, step)

    def second_proximal(self, z: Any, step: float) -> Any:
        """Return the proximal operator of slot p."""
        return self._proximal("p", z, step)


@dataclass(frozen=True)
class CompositeConvex(ProblemClass):
    """Minimise ``f + g_1 + ... + g_m``: f convex with a Lipschitz gradient, the others closed and convex.

    For the methods of `optlab.firstorder` that do not look at numbers: `GradientDescent` (``terms=0``),
    `ProximalGradient` and `FISTA` (1), `DavisYin` (2).

    Parameters
    ----------
    smoothness : float, default 1
        L; 0 leaves f out.
    strong_convexity : float, default 0
        mu, of f.
    terms : int or sequence of (float, float), default 1
        m; or modulus and smoothness (inf: none) of each g.
    quadratic : bool, default False
        Whether f is quadratic.

    Notes
    -----
    Metrics, each divided by ``||z_0 - z*||^2`` (of the iterate; of the variable z in Davis-Yin splitting): ``gap``,
    ``F(x_k) - F*``; ``distance``; ``residual``, the squared displacement of the method's map. They may also be divided
    by ``gap``, ``F(x_0) - F*``, or by ``energy``, ``F(x_0) - F* + mu/2 ||x_0 - x*||^2``.
    """

    smoothness: float = 1.0
    strong_convexity: float = 0.0
    terms: int | Sequence[tuple[float, float]] = 1
    quadratic: bool = False
    metrics = ("gap", "distance", "residual")
    starts = ("distance", "gap", "energy")

    def __post_init__(self) -> None:
        value = as_number(self.strong_convexity, "strong_convexity", minimum=0)
        object.__setattr__(self, "strong_convexity", value)
        smoothness = as_number(self.smoothness, "smoothness", minimum=0)
        if smoothness <= value and (smoothness or value):
            raise ValueError(f"smoothness must be above strong_convexity = {value:g}, got {smoothness:g}")
        object.__setattr__(self, "smoothness", smoothness)
        if isinstance(self.terms, Sequence):
            pairs = []
            for i, (mu, L) in enumerate(self.terms):
                mu = as_number(mu, f"terms[{i}][0]", minimum=0)
                pairs.append((mu, as_number(L, f"terms[{i}][1]", above=mu, finite=False)))
            object.__setattr__(self, "terms", tuple(pairs))
        else:
            count = as_integer(self.terms, "terms", minimum=0 if smoothness else 1)
            object.__setattr__(self, "terms", count * ((0.0, math.inf),))

    def build(self, pep: Any) -> SymbolicComposite:
        """Return a symbolic problem."""
        terms = tuple(self.terms)  # type: ignore[arg-type]
        return SymbolicComposite(pep, self.strong_convexity, self.smoothness, terms, self.quadratic)
