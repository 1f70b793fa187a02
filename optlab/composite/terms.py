"""One term ``f(A x)`` of a problem: its parts, and what it offers to a method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np

from optlab.bregman import SquaredEuclidean, bind_resolvent, has_resolvent
from optlab.bregman.functions import (
    BlockSum,
    Composed,
    Function,
    LeastSquares,
    Linear,
    Quadratic,
    SquaredDistance,
    Sum,
    Zero,
)
from optlab.linalg import Identity, LinearMap

Array = Any

#: What a term may offer, and what it means.
ORACLES = {
    "value": "f(A x) is finite where it says so",
    "gradient": "A^T grad f(A x), everywhere inside the domain",
    "lipschitz": "a Lipschitz constant of that gradient in the Euclidean norm",
    "relative_smoothness": "smoothness relative to the problem's kernel, by a known constant",
    "proximal": "the resolvent of the whole term in the problem's kernel",
    "dual_proximal": "the Euclidean proximal operator of f, with A beside it (apply, adjoint, norm)",
    "linear_minimizer": "argmin <c, x> over the bounded set whose indicator it is",
    "separable": "a sum over the coordinates of x",
    "quadratic": "a quadratic: exact line searches, constant Hessian",
    "conjugate": "values of f*",
    "convex": "convexity",
}


class Term:
    """One term of a `CompositeProblem`.

    Attributes
    ----------
    name : str
        What errors and duals call it: classes, and a number where two are alike.
    function : Function
        The term as a function of x.
    outer, operator : Function, LinearMap or None
        ``function(x) = outer(operator x)``, the operator None where it is the identity.
    offers : frozenset of str
        Keys of `ORACLES`.
    """

    def __init__(self, name: str, function: Any, kernel: Any) -> None:
        self.name, self.function, self.kernel = name, function, kernel
        self.outer: Any = function
        self.operator: LinearMap | None = None
        if isinstance(function, Function):
            self.outer, self.operator = function.decomposed()
            if isinstance(self.operator, Identity):
                self.operator = None
        self.offers = frozenset(self._found())

    def __repr__(self) -> str:
        return f"Term({self.name!r}, offers={sorted(self.offers)})"

    def _found(self) -> set[str]:
        f, outer, kernel = self.function, self.outer, self.kernel
        found = {"value"}
        if has_resolvent(f, kernel):
            found.add("proximal")
        if not isinstance(f, Function):
            return found | {"convex"}
        if has_resolvent(outer, _EUCLIDEAN):
            found.add("dual_proximal")
        if f.smooth:
            found.add("gradient")
            if outer.relative_smoothness(_EUCLIDEAN) is not None:
                found.add("lipschitz")
            if _relatively_smooth(f, outer, kernel):
                found.add("relative_smoothness")
            if _is_quadratic(outer):
                found.add("quadratic")
        if f.indicator and f.compact and self.operator is None:
            found.add("linear_minimizer")
        if f.separable and self.operator is None:
            found.add("separable")
        if outer.conjugate_domain is not None:
            found.add("conjugate")
        if f.convex:
            found.add("convex")
        return found

    # ------------------------------------------------------------------ constants

    @cached_property
    def norm(self) -> float:
        """The operator's norm, from above."""
        return 1.0 if self.operator is None else self.operator.norm

    @cached_property
    def lipschitz(self) -> float:
        """A Lipschitz constant of the gradient: that of the outer function times the square of the norm."""
        return float(self.outer.relative_smoothness(_EUCLIDEAN)[0]) * self.norm**2

    @cached_property
    def strong_convexity(self) -> float:
        """A modulus of strong convexity in the Euclidean norm, 0 if none is known."""
        if not (isinstance(self.function, Function) and self.function.smooth and self.operator is None):
            return 0.0
        constants = self.function.relative_smoothness(_EUCLIDEAN)
        return 0.0 if constants is None else float(constants[1])

    @cached_property
    def relative_smoothness(self) -> tuple[float, float]:
        """``(L, mu)`` relative to the problem's kernel."""
        if self.operator is not None and isinstance(self.kernel, SquaredEuclidean):
            return self.lipschitz, 0.0
        found: tuple[float, float] = self.function.relative_smoothness(self.kernel)
        return found

    # ------------------------------------------------------------------ maps, bound once

    def image(self, x: Array) -> Array:
        """Return ``A x``."""
        return x if self.operator is None else self.operator.apply(x)

    def pulled(self, y: Array) -> Array:
        """Return ``A^T y``."""
        return y if self.operator is None else self.operator.adjoint(y)

    @cached_property
    def proximal(self) -> Any:
        """The map (mirror, step) -> mirror of the whole term in the problem's kernel."""
        return bind_resolvent(self.function, self.kernel)

    @cached_property
    def outer_proximal(self) -> Any:
        """The map (z, step) -> z of the outer function in the Euclidean geometry."""
        return bind_resolvent(self.outer, _EUCLIDEAN)

    @cached_property
    def dual_proximal(self) -> Any:
        """The map (z, step) -> prox of ``step f*``, f the outer function."""
        project = getattr(self.outer, "project_dual", None)
        return partial(_by_moreau, self.outer_proximal) if project is None else partial(_projected, project)


_EUCLIDEAN = SquaredEuclidean()


def _projected(project: Any, z: Array, step: float) -> Array:
    answer: Array = project(z)
    return answer


def _by_moreau(proximal: Any, z: Array, step: float) -> Array:
    inverse = 1.0 / step
    answer: Array = z - step * proximal(inverse * z, inverse)
    return answer


def _is_quadratic(function: Function) -> bool:
    if isinstance(function, Sum):
        return all(_is_quadratic(term) for term in function.terms)
    return isinstance(function, (SquaredDistance, LeastSquares, Quadratic, Linear, Zero))


def _relatively_smooth(function: Function, outer: Function, kernel: Any) -> bool:
    if isinstance(kernel, SquaredEuclidean):
        return outer.relative_smoothness(kernel) is not None
    return function.relative_smoothness(kernel) is not None


def flattened(function: Any) -> list[Any]:
    """Return the parts of a sum, and of sums in it; anything else alone."""
    if isinstance(function, Sum):
        return [part for term in function.terms for part in flattened(term)]
    return [function]


def as_term_list(functions: Sequence[Any], kernel: Any) -> tuple[Term, ...]:
    """Return the terms of a problem: a sum is one term if it is smooth or has a resolvent, else each of its parts."""
    parts: list[Any] = []
    for function in functions:
        whole = not isinstance(function, Sum) or function.smooth or has_resolvent(function, kernel)
        parts += [function] if whole else flattened(function)
    names = [_name(function) for function in parts]
    unique = [f"{n} #{names[:i].count(n) + 1}" if names.count(n) > 1 else n for i, n in enumerate(names)]
    return tuple(Term(name, function, kernel) for name, function in zip(unique, parts))


def _name(function: Any) -> str:
    if isinstance(function, (Sum, BlockSum)):
        return " + ".join(_name(term) for term in function.terms)
    if isinstance(function, Composed):
        return f"{_name(function.outer)} @ {type(function.operator).__name__}"
    return type(getattr(function, "function", function)).__name__


def norm(x: Array) -> float:
    """Return the Euclidean norm of an array of any shape."""
    return math.sqrt(float(np.vdot(x, x).real)) if np.size(x) else 0.0
