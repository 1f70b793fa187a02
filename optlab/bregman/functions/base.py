"""The terms of an objective: what each one must offer, and the ways to combine them.

A term is a closed convex function (`Function`) or, more generally, a maximal monotone operator (`MonotoneOperator`).
It knows its value and, where it is smooth, its gradient. It does *not* know its resolvents: those depend on the
geometry as well and live in `optlab.bregman.resolvents`, looked up by (term type, kernel type).

Terms are immutable. They compare by identity, since they hold arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.bregman.functions.rays import Ray, inner, length, no_direction
from optlab.core.validation import as_data, as_integer, as_number

#: Relative slack with which an indicator function (of a simplex, a box, an affine set ...) accepts a point.
FEASIBILITY_TOLERANCE = 1e-9

Array = Any  # as in `optlab.bregman.legendre`


def as_weight(value: Any, name: str = "weight", *, zero: bool = False) -> Any:
    """Return a positive number as float, or a positive array (one weight per coordinate); with `zero`, 0 is allowed.

    Examples
    --------
    >>> as_weight(2)
    2.0
    """
    if np.isscalar(value) or value is None:
        return as_number(value, name, minimum=0) if zero else as_number(value, name, above=0)
    weights = as_data(value, name, positive=not zero, nonnegative=zero)
    return weights if weights.ndim else float(weights)


def check_broadcast(parameter: Any, name: str, x: Array) -> None:
    """Raise ValueError unless `parameter` broadcasts to the shape of the point `x`."""
    if type(parameter) is float or getattr(parameter, "shape", None) == getattr(x, "shape", 0):
        return
    check_shape(parameter, name, np.shape(x))


def check_shape(parameter: Any, name: str, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless `parameter` broadcasts to the shape of points `shape`."""
    try:
        fits = np.broadcast_shapes(np.shape(parameter), shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"{name} of shape {np.shape(parameter)} does not fit a point of shape {shape}")


def shown_shape(*parameters: Any) -> tuple[int, ...] | None:
    """Return the shape that coefficients of the points have, None if all are numbers.

    Examples
    --------
    >>> shown_shape(1.0, np.ones(3))
    (3,)
    """
    shape = np.broadcast_shapes(*map(np.shape, parameters))
    return tuple(shape) if shape else None


class MonotoneOperator:
    """A maximal monotone operator: something that has resolvents, though it need not be a subdifferential."""

    #: Whether the operator is single-valued and given by `operator_value`.
    single_valued: ClassVar[bool] = False

    #: Whether the operator (the function) is defined (finite) everywhere.
    whole_space: ClassVar[bool] = False

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape of the points, if the parameters show it; None for any."""
        return None

    def operator_value(self, x: Array) -> Array:
        """Return the operator at `x`, if it is single-valued there."""
        raise TypeError(f"{type(self).__name__} is not single-valued: only its resolvents can be evaluated")

    def support(self, direction: Array) -> Ray | None:
        """Return the support function of the domain near `direction` as a `Ray`, None if it is not known."""
        return no_direction(direction) if self.whole_space else None


class Function(MonotoneOperator):
    """A closed convex function, the base of every term.

    Subclasses define `value` and, with ``smooth = True``, `gradient`; ``separable = True`` says that the function is a
    sum over coordinates, which opens the vectorised scalar solves of `optlab.bregman.resolvents`.
    """

    #: Whether `gradient` is available at every interior point of the domain.
    smooth: ClassVar[bool] = False
    #: Whether the function is a sum of functions of one coordinate each.
    separable: ClassVar[bool] = False
    #: Whether the function is convex; the few that are not say so.
    convex: ClassVar[bool] = True
    #: Whether the function is the indicator of a set.
    indicator: ClassVar[bool] = False
    #: Where the conjugate is finite: "everywhere", on a "ball" (a set with 0 in its interior), on a "star" (a convex
    #: set that 0 belongs to), on another "set"; None if the conjugate is not known.
    conjugate_domain: ClassVar[str | None] = None
    #: Whether the domain is bounded, so that `linear_minimizer` exists.
    compact: ClassVar[bool] = False

    # NumPy would take ``0.5 * f`` apart itself if the number is one of its own
    __array_ufunc__ = None

    def value(self, x: Array) -> float:
        """Return the function's value at `x`, ``inf`` outside its domain."""
        raise NotImplementedError(f"{type(self).__name__} does not define value")

    def gradient(self, x: Array) -> Array:
        """Return the gradient at `x`, an array of the shape of `x`; TypeError if the function is not smooth."""
        raise TypeError(f"{type(self).__name__} is not smooth: it has no gradient")

    def second_derivative(self, x: Array) -> Array | None:
        """Return the diagonal of the Hessian of a separable smooth function at `x`, or None if it is not known."""
        return None

    def hessian(self, x: Array) -> Array | None:
        """Return the (n, n) Hessian at the vector `x`, or None if it is not known."""
        if self.separable:
            diagonal = self.second_derivative(x)
            return None if diagonal is None else np.diag(np.ravel(diagonal))
        return None

    def operator_value(self, x: Array) -> Array:
        """Return the gradient: a smooth function's subdifferential is single-valued."""
        return self.gradient(x)

    def relative_smoothness(self, kernel: Any) -> tuple[float, float] | None:
        """Return ``(L, mu)`` with ``mu D_h <= D_f <= L D_h`` for the kernel's divergence ``D_h``, None if not known.

        These are the constants of the convergence bound for a relatively smooth term with step size at most ``1/L``
        (derived here, verified numerically).
        """
        return None

    def recession(self, direction: Array) -> Ray | None:
        """Return the recession function near `direction` as a `Ray`, None if it is not known."""
        return None

    def conjugate_value(self, y: Array) -> float:
        """Return ``f*(y) = sup_x <x, y> - f(x)``, ``inf`` outside its domain; TypeError if it is not known."""
        raise TypeError(f"the conjugate of {type(self).__name__} is not known")

    def conjugate_scale(self, y: Array) -> float:
        """Return the largest s, ``inf`` if there is none, for which ``s y`` lies in the domain of the conjugate."""
        if self.conjugate_domain == "everywhere":
            return math.inf
        raise TypeError(f"the domain of the conjugate of {type(self).__name__} is not known")

    def linear_minimizer(self, cost: Array) -> Array:
        """Return a point of the domain that minimises ``<cost, x>``; of several the one that comes first."""
        raise TypeError(f"{type(self).__name__} has no linear minimiser: its domain is not bounded, or not known to be")

    def scaled(self, factor: float) -> Function:
        """Return ``factor * f``; written so, too. 0 times a finite function is `Zero`, times an indicator itself."""
        from optlab.bregman.functions.calculus import scaled

        return scaled(self, factor)

    def __rmul__(self, factor: float) -> Function:
        return self.scaled(factor)

    __mul__ = __rmul__

    def __matmul__(self, operator: Any) -> Function:
        """Return ``x -> f(A x)`` for a matrix or a map of `optlab.linalg`."""
        from optlab.bregman.functions.calculus import composed

        return composed(self, operator)

    def decomposed(self) -> tuple[Function, Any]:
        """Return an outer function and a linear map A (None: the identity) with ``f(x) = outer(A x)``."""
        return self, None

    def __add__(self, other: Function) -> Sum:
        """Return the sum of two terms; the sum of any term and `Linear` ones keeps its closed-form resolvents."""
        if not isinstance(other, Function):
            return NotImplemented
        left = self.terms if isinstance(self, Sum) else (self,)
        right = other.terms if isinstance(other, Sum) else (other,)
        return Sum((*left, *right))


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
class Zero(Function):
    """The function that is zero everywhere; its resolvent is the identity.

    Examples
    --------
    >>> Zero().value(np.ones(3))
    0.0
    """

    smooth: ClassVar[bool] = True
    separable: ClassVar[bool] = True
    single_valued: ClassVar[bool] = True
    whole_space: ClassVar[bool] = True
    conjugate_domain: ClassVar[str] = "star"

    def value(self, x: Array) -> float:
        return 0.0

    def scaled(self, factor: float) -> Function:
        return self

    def conjugate_value(self, y: Array) -> float:
        return math.inf if np.any(y) else 0.0

    def conjugate_scale(self, y: Array) -> float:
        return 0.0 if np.any(y) else math.inf

    def recession(self, direction: Array) -> Ray:
        return Ray(direction, linear=True)

    def gradient(self, x: Array) -> Array:
        return np.zeros_like(x)

    def second_derivative(self, x: Array) -> Array:
        return np.zeros_like(x)

    def relative_smoothness(self, kernel: Any) -> tuple[float, float]:
        return 0.0, 0.0


@dataclass(frozen=True, eq=False)
class Linear(Function):
    """The linear function ``<cost, x>``.

    Parameters
    ----------
    cost : array_like or float
        Coefficients, of the shape of the points; a number stands for a constant array.

    Examples
    --------
    >>> Linear([1.0, -2.0]).value(np.array([3.0, 1.0]))
    1.0
    """

    cost: Any
    smooth: ClassVar[bool] = True
    separable: ClassVar[bool] = True
    single_valued: ClassVar[bool] = True
    whole_space: ClassVar[bool] = True
    conjugate_domain: ClassVar[str] = "set"

    def __post_init__(self) -> None:
        object.__setattr__(self, "cost", as_data(self.cost, "cost"))

    @property
    def shape(self) -> tuple[int, ...] | None:
        return shown_shape(self.cost)

    def value(self, x: Array) -> float:
        return float(np.sum(self.cost * x))

    def scaled(self, factor: float) -> Function:
        return Linear(as_number(factor, "factor", minimum=0) * self.cost)

    def conjugate_value(self, y: Array) -> float:
        return 0.0 if np.array_equal(np.broadcast_to(self.cost, np.shape(y)), y) else math.inf

    def recession(self, direction: Array) -> Ray:
        return Ray(direction, *inner(self.cost, direction), linear=True)

    def gradient(self, x: Array) -> Array:
        return np.array(np.broadcast_to(self.cost, np.shape(x)))

    def second_derivative(self, x: Array) -> Array:
        return np.zeros_like(x)

    def relative_smoothness(self, kernel: Any) -> tuple[float, float]:
        return 0.0, 0.0


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
            assert ray is not None
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
        return None if any(part is None for part in parts) else np.concatenate(parts)

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
