"""What the domain of a kernel does to a problem: the projection onto its closure, and its support function.

A Bregman splitting keeps its iterates inside dom h, whose closure is C here. So what it solves is
``0 in A(x) + B(x) + N_C(x)``, and a method of multipliers with w in dom h solves
``min f(u) + g(v) + sigma_C(M u + N v - b)``, ``sigma_C(r) = sup_{w in C} <w, r>`` (derived here, verified
numerically). The residuals of this package need the Euclidean projection onto C and sigma_C. A kernel says what C is
(``domain_kind``), or offers ``project_domain(x)`` itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.bregman.projections import project_simplex

Array = Any


def domain_kind(kernel: Any) -> str:
    """Return "space", "orthant", "box", "simplex", "semidefinite", or "unknown": what the kernel says of its domain.

    Examples
    --------
    >>> from optlab.bregman import FermiDirac
    >>> domain_kind(FermiDirac())
    'box'
    """
    kind: str = getattr(kernel, "domain_kind", "unknown")
    return kind


def box_bounds(kernel: Any) -> tuple[Any, Any]:
    """Return the lower and upper bounds of a kernel whose domain is a box."""
    lower, upper = kernel.coordinate_bounds
    return np.asarray(lower), np.asarray(upper)


def project_closure(kernel: Any, x: Array) -> Array:
    """Return the Euclidean projection of `x` onto the closure of dom h.

    A kernel of unknown ``domain_kind`` that has no ``project_domain`` is taken to have no boundary: a residual built on
    this can then only come out too large.

    Examples
    --------
    >>> from optlab.bregman import ShannonEntropy
    >>> project_closure(ShannonEntropy(), np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    own = getattr(kernel, "project_domain", None)
    if own is not None:
        return own(x)
    kind = domain_kind(kernel)
    if kind == "orthant":
        return np.maximum(x, 0.0)
    if kind == "box":
        return np.clip(x, *box_bounds(kernel))
    if kind == "simplex":
        return project_simplex(x, kernel.total)
    if kind == "semidefinite":
        values, vectors = np.linalg.eigh((x + x.T) / 2)
        return (vectors * np.maximum(values, 0.0)) @ vectors.T
    return x


def support(kernel: Any, r: Array) -> tuple[float, Array]:
    """Return the support function of dom h at `r`, split into its finite part and the part of `r` it forbids.

    The second array is zero exactly where the support function is finite; elsewhere it is what must become zero:
    ``r`` for the whole space (an equality constraint), ``max(r, 0)`` for the orthant (an inequality).

    Raises
    ------
    TypeError
        For a kernel whose domain is not known here.

    Examples
    --------
    >>> from optlab.bregman import FermiDirac, ShannonEntropy
    >>> support(ShannonEntropy(), np.array([-1.0, 2.0]))
    (0.0, array([0., 2.]))
    >>> support(FermiDirac(), np.array([-1.0, 2.0]))  # the hinge penalty
    (2.0, array([0., 0.]))
    """
    kind = domain_kind(kernel)
    if kind == "space":
        return 0.0, r
    if kind == "orthant":
        return 0.0, np.maximum(r, 0.0)
    if kind == "box":
        lower, upper = box_bounds(kernel)
        return float(np.sum(np.maximum(lower * r, upper * r))), np.zeros_like(r)
    if kind == "simplex":
        return float(kernel.total * np.max(r)), np.zeros_like(r)
    raise TypeError(
        f"the support function of the domain of {kernel!r} is not known; multipliers may live in the domain of "
        "SquaredEuclidean, ShannonEntropy, BurgEntropy, FermiDirac, Hellinger or SimplexEntropy"
    )
