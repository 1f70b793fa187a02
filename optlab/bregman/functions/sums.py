"""Terms made of terms: sums, and terms on consecutive blocks; and a user's own smooth function."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.bregman.functions.base import Array, Function, Linear, Zero
from optlab.bregman.functions.rays import Ray, length, no_direction
from optlab.core.validation import as_integer, as_number


def as_terms(terms: Any) -> tuple[Function, ...]:
    """Return a sequence of terms as a tuple; TypeError if it is none, is empty, or holds something else."""
    try:
        found = tuple(terms)
    except TypeError:
        found = ()
    if not found or not all(isinstance(term, Function) for term in found):
        raise TypeError(f"terms must be a sequence of one or more Function objects, got {terms!r}")
    return found


@dataclass(frozen=True, eq=False)
class Sum(Function):
    """A sum of terms.

    The resolvent of ``f + Linear(c)`` is that of ``f`` after a shift of the mirror variable, for every ``f`` and every
    kernel; with more than one term that is not linear, all must be smooth (generic Newton solve).

    Parameters
    ----------
    terms : sequence of Function
        At least one term.

    Examples
    --------
    >>> total = Zero() + Linear([1.0, 2.0])
    >>> total.value(np.array([1.0, 1.0]))
    3.0
    >>> total.smooth
    True
    """

    terms: tuple[Function, ...]

    def __post_init__(self) -> None:
        terms = as_terms(self.terms)
        object.__setattr__(self, "terms", terms)
        # smooth and separable are facts about the class elsewhere; a sum has to ask its terms
        object.__setattr__(self, "smooth", all(term.smooth for term in terms))
        object.__setattr__(self, "separable", all(term.separable for term in terms))
        object.__setattr__(self, "whole_space", all(term.whole_space for term in terms))
        object.__setattr__(self, "convex", all(term.convex for term in terms))
        object.__setattr__(self, "matrix_free", any(term.matrix_free for term in terms))

    @property
    def shape(self) -> tuple[int, ...] | None:
        return next((term.shape for term in self.terms if term.shape is not None), None)

    def scaled(self, factor: float) -> Function:
        return Sum(tuple(term.scaled(factor) for term in self.terms))

    def split_linear(self) -> tuple[Any, tuple[Function, ...]]:
        """Return the summed cost of the linear terms (0.0 if there is none) and the other terms."""
        cost: Any = 0.0
        others = []
        for term in self.terms:
            if isinstance(term, Linear):
                cost = cost + term.cost
            elif not isinstance(term, Zero):
                others.append(term)
        return cost, tuple(others)

    def value(self, x: Array) -> float:
        return math.fsum(term.value(x) for term in self.terms)

    def gradient(self, x: Array) -> Array:
        return np.sum([term.gradient(x) for term in self.terms], axis=0)

    def second_derivative(self, x: Array) -> Array | None:
        return _sum_or_none([term.second_derivative(x) for term in self.terms])

    def hessian(self, x: Array) -> Array | None:
        return _sum_or_none([term.hessian(x) for term in self.terms])

    def support(self, direction: Array) -> Ray | None:
        bounded = [term for term in self.terms if not term.whole_space]
        if not bounded:
            return no_direction(direction)
        # of an intersection it would have to be computed: known for a single set
        return bounded[0].support(direction) if len(bounded) == 1 else None

    def recession(self, direction: Array) -> Ray | None:
        moved, linear = direction, True
        for term in self.terms:
            ray = term.recession(moved)
            if ray is None:
                return None
            moved, linear = ray.direction, linear and ray.linear
        value, size, error = 0.0, 0.0, 0.0
        for term in self.terms:
            ray = term.recession(moved)
            if ray is None:
                return None
            value, size = value + ray.value, size + ray.size
            error += ray.error + length(ray.direction - moved)
        return Ray(moved, value, size, error, linear)

    def relative_smoothness(self, kernel: Any) -> tuple[float, float] | None:
        pairs = [term.relative_smoothness(kernel) for term in self.terms]
        known = [pair for pair in pairs if pair is not None]
        if len(known) < len(pairs):
            return None
        return math.fsum(pair[0] for pair in known), math.fsum(pair[1] for pair in known)


def _sum_or_none(parts: Sequence[Array | None]) -> Array | None:
    known = [part for part in parts if part is not None]
    return np.sum(known, axis=0) if len(known) == len(parts) else None


@dataclass(frozen=True, eq=False)
class BlockSum(Function):
    """Terms on consecutive blocks of one vector: ``sum_i f_i(x[block i])``, with block-wise resolvents.

    Parameters
    ----------
    terms : sequence of Function
        One term per block.
    sizes : sequence of int
        The block lengths.

    Examples
    --------
    >>> BlockSum((Linear(1.0), Linear(2.0)), (2, 1)).value(np.array([1.0, 1.0, 1.0]))
    4.0
    """

    terms: tuple[Function, ...]
    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        terms = as_terms(self.terms)
        try:
            given = tuple(self.sizes)
        except TypeError:
            raise TypeError(f"sizes must be a sequence of integers, got {type(self.sizes).__name__}") from None
        sizes = tuple(as_integer(size, f"sizes[{i}]", minimum=1) for i, size in enumerate(given))
        if len(terms) != len(sizes):
            raise ValueError(f"terms and sizes must have the same length, got {len(terms)} and {len(sizes)}")
        object.__setattr__(self, "terms", terms)
        object.__setattr__(self, "sizes", sizes)
        object.__setattr__(self, "smooth", all(term.smooth for term in terms))
        object.__setattr__(self, "separable", all(term.separable for term in terms))
        object.__setattr__(self, "whole_space", all(term.whole_space for term in terms))
        object.__setattr__(self, "convex", all(term.convex for term in terms))
        object.__setattr__(self, "indicator", all(term.indicator for term in terms))
        object.__setattr__(self, "compact", all(term.compact for term in terms))
        object.__setattr__(self, "conjugate_domain", _narrowest([term.conjugate_domain for term in terms]))

    @property
    def shape(self) -> tuple[int, ...]:
        return (sum(self.sizes),)

    def scaled(self, factor: float) -> Function:
        return BlockSum(tuple(term.scaled(factor) for term in self.terms), self.sizes)

    def conjugate_value(self, y: Array) -> float:
        return math.fsum(term.conjugate_value(block) for term, block in zip(self.terms, self.blocks(y)))

    def conjugate_scale(self, y: Array) -> float:
        return min(term.conjugate_scale(block) for term, block in zip(self.terms, self.blocks(y)))

    def linear_minimizer(self, cost: Array) -> Array:
        return np.concatenate([term.linear_minimizer(block) for term, block in zip(self.terms, self.blocks(cost))])

    def second_derivative(self, x: Array) -> Array | None:
        parts = [term.second_derivative(block) for term, block in zip(self.terms, self.blocks(x))]
        known = [part for part in parts if part is not None]
        return np.concatenate(known) if len(known) == len(parts) else None

    def blocks(self, x: Array) -> list[Array]:
        """Return `x` cut into its blocks (views)."""
        if np.shape(x) != (sum(self.sizes),):
            raise ValueError(f"the blocks {self.sizes} need a point of shape ({sum(self.sizes)},), got {np.shape(x)}")
        return np.split(x, np.cumsum(self.sizes)[:-1])

    def value(self, x: Array) -> float:
        return math.fsum(term.value(block) for term, block in zip(self.terms, self.blocks(x)))

    def gradient(self, x: Array) -> Array:
        return np.concatenate([term.gradient(block) for term, block in zip(self.terms, self.blocks(x))])

    def support(self, direction: Array) -> Ray | None:
        return _side_by_side([term.support(block) for term, block in zip(self.terms, self.blocks(direction))])

    def recession(self, direction: Array) -> Ray | None:
        return _side_by_side([term.recession(block) for term, block in zip(self.terms, self.blocks(direction))])


def _side_by_side(rays: Sequence[Ray | None]) -> Ray | None:
    known = [ray for ray in rays if ray is not None]
    if len(known) < len(rays):
        return None
    return Ray(
        np.concatenate([ray.direction for ray in known]),
        math.fsum(ray.value for ray in known),
        math.fsum(ray.size for ray in known),
        math.fsum(ray.error for ray in known),
        all(ray.linear for ray in known),
    )


def _narrowest(domains: Sequence[str | None]) -> str | None:
    order = (None, "set", "star", "ball", "everywhere")
    return order[min(order.index(domain) for domain in domains)]


class SmoothFunction(Function):
    """A user's own smooth convex function; its resolvents come from the generic Newton solve.

    Parameters
    ----------
    value : callable
        ``x -> float``.
    gradient : callable
        ``x -> array`` of the shape of `x`.
    hessian : callable, optional
        ``x -> (n, n) array`` for a vector `x` of length n, or, with ``separable=True``, the diagonal as an array of
        the shape of `x`. Without it the Hessian is approximated by differences of the gradient, 2 n gradients each.
    separable : bool
        Whether the function is a sum over coordinates (default False).
    tol : float, optional
        The relative residual with which a resolvent that is not separable is accepted, where rounding stops the
        iteration above 1e-12 (it is never stopped before). Default: 1e-12 with a Hessian, 1e-8 without.

    Raises
    ------
    TypeError, ValueError
        If `value`, `gradient` or `hessian` cannot be called, or `tol` is not between 0 and 1.

    Examples
    --------
    >>> cosh = SmoothFunction(lambda x: np.cosh(x).sum(), np.sinh, np.cosh, separable=True)
    >>> cosh.value(np.zeros(3))
    3.0
    """

    smooth: ClassVar[bool] = True
    single_valued: ClassVar[bool] = True

    def __init__(
        self,
        value: Callable[[Array], float],
        gradient: Callable[[Array], Array],
        hessian: Callable[[Array], Array] | None = None,
        *,
        separable: bool = False,
        tol: float | None = None,
    ) -> None:
        for name, function in (("value", value), ("gradient", gradient), ("hessian", hessian)):
            if not callable(function) and not (name == "hessian" and function is None):
                raise TypeError(f"{name} must be callable, got {type(function).__name__}")
        self._value, self._gradient, self._hessian = value, gradient, hessian
        self.separable = bool(separable)  # type: ignore[misc]
        default = 1e-8 if hessian is None else 1e-12
        self.tolerance = default if tol is None else as_number(tol, "tol", above=0, below=1)

    def __repr__(self) -> str:
        return f"SmoothFunction({self._value!r}, separable={self.separable})"

    def value(self, x: Array) -> float:
        return float(self._value(x))

    def gradient(self, x: Array) -> Array:
        result = np.asarray(self._gradient(x), dtype=float)
        if result.shape != np.shape(x):
            raise ValueError(f"gradient must return an array of shape {np.shape(x)}, got {result.shape}")
        return result

    def second_derivative(self, x: Array) -> Array | None:
        if self.separable and self._hessian is not None:
            return np.asarray(self._hessian(x), dtype=float)
        return None

    def hessian(self, x: Array) -> Array | None:
        if self._hessian is None:
            return None
        result = np.asarray(self._hessian(x), dtype=float)
        return np.diag(np.ravel(result)) if self.separable else result
