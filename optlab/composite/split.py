"""A problem's terms as a method has sorted them: the oracles that its iteration calls, bound once and counted.

See the text of `optlab.composite` for how a method uses this.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from optlab.composite.terms import Term
from optlab.core import State
from optlab.core.validation import as_data
from optlab.linalg import Blocks, Identity, LinearMap

Array = Any


@dataclass(frozen=True)
class Work:
    """How often the oracles were called. Works add up.

    Examples
    --------
    >>> Work(gradients=1) + Work(gradients=2, matvecs=4)
    Work(values=0, gradients=3, proximals=0, linear_minimizers=0, matvecs=4)
    """

    values: int = 0
    gradients: int = 0
    proximals: int = 0
    linear_minimizers: int = 0
    matvecs: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Work)))

    def columns(self) -> dict[str, float]:
        """Return the counts as columns of a history."""
        return {f.name: float(getattr(self, f.name)) for f in fields(Work)}


@dataclass
class WorkState(State):
    """A state that carries its work; ``oracle_calls`` of the history is the number of operator applications.

    A method's state derives from this, and its `measure` returns ``state.work.columns()`` beside what else it has.
    """

    work: Work

    @property
    def oracle_calls(self) -> int:
        """Applications of operators and of their adjoints, or of oracles where there is no operator."""
        w = self.work
        return w.matvecs or w.gradients + w.proximals + w.linear_minimizers


class SmoothPart:
    """The sum of the terms in a slot that have gradients, as one function of x."""

    def __init__(self, terms: Sequence[Term]) -> None:
        self.terms = tuple(terms)
        #: Operator applications of one value, and of one gradient (or value and gradient).
        self.value_matvecs = sum(term.operator is not None for term in terms)
        self.gradient_matvecs = 2 * self.value_matvecs
        self._operators = [(t.outer.value, t.outer.gradient, t.operator) for t in terms]

    @cached_property
    def lipschitz(self) -> float:
        """A Lipschitz constant of the gradient: the sum of the terms'."""
        return math.fsum(term.lipschitz for term in self.terms)

    @cached_property
    def strong_convexity(self) -> float:
        """A modulus of strong convexity."""
        return math.fsum(term.strong_convexity for term in self.terms)

    @cached_property
    def relative_smoothness(self) -> tuple[float, float]:
        """``(L, mu)`` relative to the problem's kernel."""
        pairs = [term.relative_smoothness for term in self.terms]
        return math.fsum(pair[0] for pair in pairs), math.fsum(pair[1] for pair in pairs)

    @property
    def quadratic(self) -> bool:
        """Whether all its terms are quadratic."""
        return all("quadratic" in term.offers for term in self.terms)

    @cached_property
    def hessian(self) -> Array:
        """The (n, n) Hessian of a quadratic part of n variables, from n gradients."""
        n = math.prod(next(term.operator.shape_in for term in self.terms if term.operator is not None))
        zero = np.zeros(n)
        at_zero = self.gradient(zero)
        columns = np.empty((n, n))
        for i in range(n):
            zero[i] = 1.0
            columns[i] = self.gradient(zero) - at_zero
            zero[i] = 0.0
        return columns

    def value(self, x: Array) -> float:
        """Return the value at x."""
        return math.fsum(value(x if A is None else A.apply(x)) for value, _, A in self._operators)

    def gradient(self, x: Array) -> Array:
        """Return the gradient at x, a new array."""
        total = None
        for _, gradient, A in self._operators:
            part = gradient(x) if A is None else A.adjoint(gradient(A.apply(x)))
            total = part if total is None else total + part
        return np.zeros_like(x) if total is None else total

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        """Return both, with one application of each operator and adjoint."""
        values, total = [], None
        for value, gradient, A in self._operators:
            image = x if A is None else A.apply(x)
            values.append(value(image))
            slope = gradient(image)
            part = slope if A is None else A.adjoint(slope)
            total = part if total is None else total + part
        return math.fsum(values), np.zeros_like(x) if total is None else total


def _unmoved(mirror: Array, step: float) -> Array:
    return mirror


class ProximalPart:
    """The term in a slot that has a resolvent (proximal operator) in the problem's kernel; zero in an empty slot."""

    def __init__(self, term: Term | None) -> None:
        self.term = term
        self.proximal = _unmoved if term is None else term.proximal

    def value(self, x: Array) -> float:
        """Return its value at x."""
        return 0.0 if self.term is None else float(self.term.function.value(x))


class StackedPart:
    """The terms ``sum_j h_j(K_j x)`` of a slot for primal-dual methods, as one function ``h`` of ``K x``.

    ``K x`` is a list, one array for each term; so is a dual variable.
    """

    def __init__(self, terms: Sequence[Term], shape: tuple[int, ...]) -> None:
        self.terms = tuple(terms)
        self.operators: list[LinearMap] = [t.operator if t.operator is not None else Identity(shape) for t in terms]
        self.matvecs = sum(term.operator is not None for term in terms)
        self._proximals = [term.outer_proximal for term in terms]
        self._dual_proximals = [term.dual_proximal for term in terms]

    @cached_property
    def norm(self) -> float:
        """The norm of the stacked operator, from above; 0 without terms."""
        return Blocks(self.operators).norm if self.operators else 0.0

    def zero(self, x: Array) -> list[Array]:
        """Return the dual variable 0, in the precision of x."""
        return [np.zeros(A.shape_out, dtype=x.dtype) for A in self.operators]

    def apply(self, x: Array) -> list[Array]:
        """Return ``K x``."""
        return [A.apply(x) for A in self.operators]

    def adjoint(self, y: Sequence[Array]) -> Array | float:
        """Return ``K^T y``; the number 0.0 without terms."""
        total: Any = 0.0
        for A, part in zip(self.operators, y):
            total = A.adjoint(part) + total
        return total

    def value(self, images: Sequence[Array]) -> float:
        """Return ``h`` of an image ``K x``."""
        return math.fsum(term.outer.value(part) for term, part in zip(self.terms, images))

    def proximal(self, z: Sequence[Array], step: float) -> list[Array]:
        """Return ``prox_{step h}(z)``."""
        return [proximal(part, step) for proximal, part in zip(self._proximals, z)]

    def dual_proximal(self, z: Sequence[Array], step: float) -> list[Array]:
        """Return ``prox_{step h*}(z)``: a projection where ``h*`` is an indicator, else by Moreau's identity."""
        return [proximal(part, step) for proximal, part in zip(self._dual_proximals, z)]


class Split:
    """The terms of a problem in the slots of a method: ``problem.split(slots)``, made once for each problem and method.

    Attributes
    ----------
    problem : CompositeProblem
    kernel : Legendre
    slots : dict of str to tuple of Term
    """

    def __init__(self, problem: Any, placed: Mapping[str, tuple[Term, ...]]) -> None:
        self.problem, self.kernel, self.slots = problem, problem.kernel, dict(placed)
        #: What methods have worked out of the terms, by keys of their own; no part of any state.
        self.cache: dict[Any, Any] = {}

    def terms(self, slot: str) -> tuple[Term, ...]:
        """Return the terms in a slot; none if the method has no slot of this name."""
        return self.slots.get(slot, ())

    @cached_property
    def f(self) -> SmoothPart:
        """The slot ``f``, of terms with gradients."""
        return SmoothPart(self.terms("f"))

    @cached_property
    def g(self) -> ProximalPart:
        """The slot ``g``, of at most one term with a proximal operator."""
        return ProximalPart(next(iter(self.terms("g")), None))

    @cached_property
    def h(self) -> StackedPart:
        """The slot ``h``, of terms with proximal operators behind linear maps."""
        return StackedPart(self.terms("h"), self.problem.shape)

    @cached_property
    def p(self) -> ProximalPart:
        """The slot ``p``, of a second term with a proximal operator (Davis-Yin)."""
        return ProximalPart(next(iter(self.terms("p")), None))

    def start(self, x0: Any) -> Array:
        """Return a start as a new array in its own precision, checked against the problem's shape."""
        return np.array(as_data(x0, "x0", shape=self.problem.shape))

    def counted(self) -> Oracles:
        """Return the oracles with counters at zero: one for each call of `step` or `advance`."""
        return Oracles(self)

    def point(
        self,
        x: Array,
        *,
        gradients_at: Array | None = None,
        g: tuple[Array, Array] | None = None,
        p: tuple[Array, Array] | None = None,
        h: Sequence[Array] | None = None,
        h_at: Sequence[Array] | None = None,
    ) -> Any:
        """Return x as what `CompositeProblem.measure` certifies best: with the subgradients that a method has in hand.

        Parameters
        ----------
        x : ndarray
            The iterate.
        gradients_at : ndarray, optional
            The point where the gradients of slot f were taken. Default: x.
        g, p : (w, s), optional
            A subgradient ``s`` of the slot's term at ``w``: ``w = prox(z, t)`` gives ``s = (z - w)/t``.
        h, h_at : sequences of ndarray, optional
            The dual variables of slot h, and where they are subgradients: ``y = prox_{t h*}(z)`` is one at
            ``(z - y)/t``.
        """
        duals: dict[str, tuple[Array | None, Array]] = {}
        if gradients_at is not None:
            for term in self.terms("f"):
                image = term.image(gradients_at)
                duals[term.name] = (image, term.outer.gradient(image))
        for slot, pair in (("g", g), ("p", p)):
            if pair is not None and self.terms(slot):
                term = self.terms(slot)[0]
                if term.operator is None:
                    duals[term.name] = pair
        if h is not None:
            places = [None] * len(h) if h_at is None else h_at
            for term, y, w in zip(self.terms("h"), h, places):
                duals[term.name] = (w, y)
        return self.problem.point(x, duals)


class Oracles:
    """The oracles of a `Split`, counted.

    Attributes
    ----------
    work : Work
        The calls so far; ``state.work + oracles.work`` is the work of the next state.
    """

    __slots__ = ("_f", "_g", "_h", "_p", "_split", "counts")

    def __init__(self, split: Split) -> None:
        self._split, self._f, self._g, self._h, self._p = split, split.f, split.g, split.h, split.p
        self.counts = [0, 0, 0, 0, 0]

    @property
    def work(self) -> Work:
        return Work(*self.counts)

    def value(self, x: Array) -> float:
        """Return the value of slot f."""
        self.counts[0] += 1
        self.counts[4] += self._f.value_matvecs
        return self._f.value(x)

    def gradient(self, x: Array) -> Array:
        """Return the gradient of slot f."""
        self.counts[1] += 1
        self.counts[4] += self._f.gradient_matvecs
        return self._f.gradient(x)

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        """Return value and gradient of slot f."""
        self.counts[0] += 1
        self.counts[1] += 1
        self.counts[4] += self._f.gradient_matvecs
        return self._f.value_and_gradient(x)

    def proximal(self, mirror: Array, step: float) -> Array:
        """Return the resolvent of slot g, mirror to mirror (in the Euclidean kernel: the proximal operator)."""
        self.counts[2] += 1
        return self._g.proximal(mirror, step)

    def second_proximal(self, mirror: Array, step: float) -> Array:
        """Return the resolvent of slot p."""
        self.counts[2] += 1
        return self._p.proximal(mirror, step)

    def apply(self, x: Array) -> list[Array]:
        """Return ``K x`` for slot h."""
        self.counts[4] += self._h.matvecs
        return self._h.apply(x)

    def adjoint(self, y: Sequence[Array]) -> Any:
        """Return ``K^T y`` for slot h."""
        self.counts[4] += self._h.matvecs
        return self._h.adjoint(y)

    def dual_proximal(self, z: Sequence[Array], step: float) -> list[Array]:
        """Return ``prox_{step h*}(z)`` for slot h."""
        self.counts[2] += 1
        return self._h.dual_proximal(z, step)

    def linear_minimizer(self, cost: Array) -> Array:
        """Return ``argmin <cost, x>`` over the set in slot g."""
        self.counts[3] += 1
        term = self._g.term
        if term is None:
            raise TypeError("slot g is empty: there is no set to minimise over")
        return term.function.linear_minimizer(cost)
