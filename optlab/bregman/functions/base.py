"""The terms of an objective: what each one must offer.

A term is a closed convex function (`Function`) or, more generally, a maximal monotone operator (`MonotoneOperator`).
It knows its value and, where it is smooth, its gradient. It does *not* know its resolvents: those depend on the
geometry as well and live in `optlab.bregman.resolvents`, looked up by (term type, kernel type).

Terms are immutable. They compare by identity, since they hold arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.bregman.functions.rays import Ray, inner, no_direction
from optlab.core.validation import as_data, as_number

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
        """The shape of the points, if the parameters show it; None for an operator on points of any shape."""
        return None

    def __getstate__(self) -> dict[str, Any]:  # copies for other libraries are made anew where they are needed
        return {name: value for name, value in vars(self).items() if name not in ("_moved", "_mirror_boxes")}

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
    #: Whether the function is behind a map that has no dense matrix: then there is no Newton solve for its resolvent.
    matrix_free: ClassVar[bool] = False
    #: Whether the function is the indicator of a set.
    indicator: ClassVar[bool] = False
    #: Where the conjugate is finite: "everywhere", on a "ball" (a set with 0 in its interior), on a "star" (a convex
    #: set that 0 belongs to), on another "set"; None if the conjugate is not known.
    conjugate_domain: ClassVar[str | None] = None
    #: Whether the conjugate has a gradient everywhere, which `conjugate_gradient` returns.
    smooth_conjugate: ClassVar[bool] = False
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

    #: Of a function whose conjugate is an indicator: the projection ``y -> P(y)`` onto its domain, which is then the
    #: conjugate's proximal operator at any step; None where Moreau's identity serves.
    project_dual: Any = None

    def conjugate_gradient(self, y: Array) -> Array:
        """Return the gradient of the conjugate, ``argmax_x <x, y> - f(x)``; TypeError if it is not known."""
        raise TypeError(f"{type(self).__name__} has no conjugate with a known gradient")

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

    def translate(self, point: Any) -> Function:
        """Return ``x -> f(x - point)``."""
        from optlab.bregman.functions.calculus import Translated

        return Translated(self, point)

    def scale(self, factor: float) -> Function:
        """Return ``x -> f(factor x)``."""
        from optlab.bregman.functions.calculus import Dilated

        return Dilated(self, factor)

    def conjugate(self) -> Function:
        """Return the conjugate ``f*`` as a function of its own; that of a conjugate is the function it came from."""
        from optlab.bregman.functions.calculus import Conjugate

        return Conjugate(self)

    def envelope(self, mu: float) -> Function:
        """Return the Moreau envelope ``x -> min_u f(u) + ||u - x||^2 / (2 mu)``, which is 1/mu-smooth."""
        from optlab.bregman.functions.calculus import MoreauEnvelope

        return MoreauEnvelope(self, mu)

    def restricted(self, shape: Any, indices: Any) -> Function:
        """Return ``x -> f(x[indices])`` for arrays of a shape; `indices` as in `optlab.linalg.Sampling`."""
        from optlab.linalg import Sampling

        return self @ Sampling(shape, indices)

    def decomposed(self) -> tuple[Function, Any]:
        """Return an outer function and a linear map A (None: the identity) with ``f(x) = outer(A x)``."""
        return self, None

    def __add__(self, other: Function) -> Function:
        """Return the sum of two terms; the sum of any term and `Linear` ones keeps its closed-form resolvents."""
        from optlab.bregman.functions.sums import Sum

        if not isinstance(other, Function):
            return NotImplemented
        left = self.terms if isinstance(self, Sum) else (self,)
        right = other.terms if isinstance(other, Sum) else (other,)
        return Sum((*left, *right))


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
