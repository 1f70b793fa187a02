"""Forward, reflection and Mann operators of a Bregman geometry, on mirror variables.

With a kernel h, a monotone operator T and a step size g (Ma, Xiao, Zhao 2025, arXiv 2509.08739, preliminaries):

* forward      ``F = grad h* o (grad h - g T)``
* resolvent    ``J = (grad h + g T)^{-1} o grad h``               (`optlab.bregman.resolvent`)
* reflection   ``R = grad h* o (2 grad h o J - grad h)``
* Mann         ``M_alpha(S) = grad h* o (alpha grad h + (1 - alpha) grad h o S)``

Each function here takes ``grad h(z)`` and returns ``grad h`` of the operator's value, in the argument order of
`resolvent`, so that they compose without leaving mirror space. Peaceman-Rachford's step is two reflections, and
Douglas-Rachford's is their Mann average with weight 1/2.

The range condition: a reflection needs ``2 grad h(J z) - grad h(z)`` to be a mirror variable, that is, inside
``dom h*``. Where ``grad h`` is onto (``kernel.full_dual``) it always is; under Burg's entropy or the log-determinant it
may not be, and a `DomainError` says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from optlab.bregman.legendre import Array, Legendre, as_point
from optlab.core.errors import DomainError
from optlab.core.validation import as_number


def forward(operator: Any, kernel: Legendre, mirror: Array, step_size: float) -> Array:
    """Return the mirror variable ``grad h(z) - g T(z)`` of the forward step (mirror descent, if T is a gradient).

    Parameters
    ----------
    operator : Function, MonotoneOperator or callable
        A term that is single-valued, or a function ``x -> T(x)`` of the primal point.
    kernel : Legendre
        The geometry h.
    mirror : array_like
        The mirror variable ``grad h(z)``.
    step_size : float
        The step size g, positive.

    Raises
    ------
    DomainError
        If the step leaves ``dom h*``.

    Examples
    --------
    >>> from optlab.bregman import ShannonEntropy
    >>> forward(lambda x: x, ShannonEntropy(), np.log([1.0, 2.0]), 0.5).round(6)
    array([-0.5     , -0.306853])
    """
    _check_kernel(kernel)
    step_size = as_number(step_size, "step_size", above=0)
    _, mirror = as_point(mirror, "mirror")
    evaluate: Callable[[Array], Array] = getattr(operator, "operator_value", operator)
    if not callable(evaluate):
        raise TypeError(f"operator must be a term or a function of the point, got {type(operator).__name__}")
    _, value = as_point(evaluate(kernel.conjugate_gradient(mirror)), "operator(x)")
    moved = mirror - step_size * value
    _check_range(kernel, moved, "grad h(z) - step_size * T(z)")
    return moved


def reflection(operator: Any, kernel: Legendre, mirror: Array, step_size: float) -> Array:
    """Return the mirror variable ``2 grad h(J z) - grad h(z)`` of the reflection of z through the resolvent.

    Parameters
    ----------
    operator : Function, MonotoneOperator or callable
        A term with a resolvent under this kernel, or the resolvent itself as ``(mirror, step_size) -> mirror``.
    kernel : Legendre
        The geometry h.
    mirror : array_like
        The mirror variable ``grad h(z)``.
    step_size : float
        The step size g, positive.

    Raises
    ------
    DomainError
        If the reflection leaves ``dom h*`` (the range condition, see the module's text).

    Examples
    --------
    >>> from optlab.bregman import BurgEntropy, ShannonEntropy
    >>> from optlab.bregman.functions import Linear
    >>> reflection(Linear([1.0, -1.0]), ShannonEntropy(), [0.0, 0.0], 0.5)
    array([-1.,  1.])
    >>> reflection(lambda m, g: m + g, BurgEntropy(), [-1.0, -3.0], 0.75)
    Traceback (most recent call last):
        ...
    optlab.core.errors.DomainError: 2 grad h(J z) - grad h(z) must lie in the dual domain of BurgEntropy() (y < 0), \
got 0.5 at index [0]; a smaller step size may keep it there, a kernel whose gradient is onto always does
    """
    _check_kernel(kernel)
    step_size = as_number(step_size, "step_size", above=0)
    _, mirror = as_point(mirror, "mirror")
    kernel.check_dual_domain(mirror, "mirror")
    return reflect(kernel, mirror, _resolve(operator, kernel, mirror, step_size))


def reflect(kernel: Legendre, mirror: Array, resolved: Array) -> Array:
    """Return ``2 resolved - mirror`` after checking the range condition: `reflection` with the resolvent known.

    Examples
    --------
    >>> from optlab.bregman import SquaredEuclidean
    >>> reflect(SquaredEuclidean(), np.array([3.0]), np.array([1.0]))
    array([-1.])
    """
    _check_kernel(kernel)
    (_, mirror), (_, resolved) = as_point(mirror, "mirror"), as_point(resolved, "resolved")
    if np.shape(resolved) != np.shape(mirror):
        raise ValueError(f"resolved must have the shape of mirror {np.shape(mirror)}, got {np.shape(resolved)}")
    reflected = 2 * resolved - mirror
    _check_range(kernel, reflected, "2 grad h(J z) - grad h(z)")
    return reflected


def mann(mapping: Callable[[Array], Array], kernel: Legendre, mirror: Array, weight: float = 0.5) -> Array:
    """Return the mirror variable ``weight * grad h(z) + (1 - weight) * grad h(S z)``.

    Parameters
    ----------
    mapping : callable
        The operator S in mirror form, ``grad h(z) -> grad h(S z)``.
    kernel : Legendre
        The geometry h.
    mirror : array_like
        The mirror variable ``grad h(z)``.
    weight : float
        The share alpha of the point itself, at most 1. Default 1/2. Negative weights over-relax, and may then leave
        ``dom h*``. A relaxation ``lam`` of Douglas-Rachford is the weight ``1 - lam/2`` of two reflections.

    Raises
    ------
    DomainError
        If the result leaves ``dom h*``.

    Examples
    --------
    >>> from optlab.bregman import SquaredEuclidean
    >>> mann(lambda m: -m, SquaredEuclidean(), [1.0, 2.0], 0.75)
    array([0.5, 1. ])
    """
    _check_kernel(kernel)
    weight = as_number(weight, "weight", maximum=1)
    if not callable(mapping):
        raise TypeError(f"mapping must be a function of the mirror variable, got {type(mapping).__name__}")
    _, mirror = as_point(mirror, "mirror")
    averaged = weight * mirror + (1 - weight) * mapping(mirror)
    _check_range(kernel, averaged, "weight * grad h(z) + (1 - weight) * grad h(S z)")
    return averaged


def _resolve(operator: Any, kernel: Legendre, mirror: Array, step_size: float) -> Array:
    from optlab.bregman.functions import MonotoneOperator
    from optlab.bregman.resolvents import resolvent

    if isinstance(operator, MonotoneOperator):
        return resolvent(operator, kernel, mirror, step_size)
    if callable(operator):
        return operator(mirror, step_size)
    raise TypeError(
        f"operator must be a term, or its resolvent as a function (mirror, step_size) -> mirror, "
        f"got {type(operator).__name__}"
    )


def _check_kernel(kernel: Any) -> None:
    if not isinstance(kernel, Legendre):
        raise TypeError(f"kernel must be a Legendre function, got {type(kernel).__name__}")


def _check_range(kernel: Legendre, mirror: Array, what: str) -> None:
    try:
        kernel.check_dual_domain(mirror, what)
    except DomainError as error:
        remedy = "a smaller step size may keep it there"
        if not kernel.full_dual and np.all(np.isfinite(np.asarray(mirror))):
            remedy += ", a kernel whose gradient is onto always does"
        raise DomainError(f"{error}; {remedy}") from None
