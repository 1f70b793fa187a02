"""Mirror maps of policies: a strictly convex function of one probability row, its dual coordinates and its conjugate.

A policy is a table whose rows are points of a simplex; policy mirror descent (Xiao 2022) and dual approximation policy
optimization (Xiong, Fazel, Xiao 2024) move each row in the geometry of a mirror map Phi. A `MirrorMap` works on arrays
of shape (..., A), the last axis being one simplex, and returns one number or one row per row.

The conjugate follows one of two conventions, told apart by ``full_domain``:

* (S), restricted to the simplex: ``Phi*(y) = max over the simplex of <y, p> - Phi(p)``, so that ``grad Phi* = Pi`` is
  already the policy. Dual coordinates matter only up to a constant per row, and ``D_{Phi*}(y, z)`` is the Fenchel-Young
  loss of the scores y at the label ``Pi(z)``. It is at least ``D_Phi(Pi(z), Pi(y))``, with equality wherever Phi is
  steep at the boundary of the simplex.
* (F), on the whole space: Phi* is the conjugate over R^A and the policy is the Bregman projection of ``grad Phi*(y)``.
  ``D_{Phi*}`` then sees the constants. Only the Euclidean map offers it.

Dual coordinates may be ``-inf``: an action that is not available, which has probability zero in every map. The kernels
of `optlab.bregman.legendre` are another thing: Legendre functions of the whole array that is the variable of a
splitting method, with sums over all entries. Where a mirror map and a kernel share a formula, it lives there.
"""

from __future__ import annotations

import abc
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from optlab.bregman.entropy import SimplexEntropy
from optlab.bregman.legendre import require
from optlab.core.errors import DomainError
from optlab.core.validation import as_float_array, as_integer

Array = np.ndarray

_QUIET = np.errstate(all="ignore")  # as a decorator
_ROWS = SimplexEntropy(axis=-1)  # knows how far the sum of a rounded row may be from one


def as_probability_rows(p: Any, name: str = "p") -> Array:
    """Return `p` as an array of probability rows; DomainError if an entry is negative or a row does not sum to one.

    Examples
    --------
    >>> as_probability_rows([[0.5, 0.4]])
    Traceback (most recent call last):
        ...
    optlab.core.errors.DomainError: p must hold rows that sum to 1, but row [0] sums to 0.9
    """
    rows = _as_rows(p, name)
    if not _ROWS.in_closure(rows):
        require(np, rows, rows >= 0, name, "the simplex (p >= 0)")
        sums = rows.sum(axis=-1)
        index = np.unravel_index(int(np.argmax(np.abs(sums - 1))), sums.shape)
        where = f"row {[int(i) for i in index]}" if index else "it"
        raise DomainError(f"{name} must hold rows that sum to 1, but {where} sums to {float(sums[index]):.12g}")
    return rows


def as_dual_rows(y: Any, name: str = "y") -> Array:
    """Return `y` as rows of dual coordinates: numbers or ``-inf``, at least one number in every row.

    Examples
    --------
    >>> as_dual_rows([[-np.inf, -np.inf]])
    Traceback (most recent call last):
        ...
    optlab.core.errors.DomainError: y must have a finite largest entry in every row, got -inf in row [0]
    """
    rows = _as_rows(y, name, finite=False)
    top = rows.max(axis=-1)
    finite = np.isfinite(top)
    if not finite.all():
        index = tuple(int(i[0]) for i in np.nonzero(~np.atleast_1d(finite)))
        got = float(np.atleast_1d(top)[index])
        where = f"row {list(index)}" if rows.ndim > 1 else "it"
        raise DomainError(f"{name} must have a finite largest entry in every row, got {got} in {where}")
    return rows


def safe_product(weights: Array, y: Array) -> Array:
    """Return ``sum_a weights_a y_a`` by rows, with ``0 * (-inf) = 0``.

    Examples
    --------
    >>> float(safe_product(np.array([1.0, 0.0]), np.array([2.0, -np.inf])))
    2.0
    """
    product: Array = np.sum(weights * np.where(weights > 0, y, 0).astype(y.dtype, copy=False), axis=-1)
    return product


class DualRows:
    """Rows of dual coordinates `y` that are known to be such, with what they project to, computed once.

    No argument is checked and floating-point warnings are the caller's business (`optlab.bregman.elementary.quiet`): it
    is what methods work with on arrays of their own. The functions of `MirrorMap` are these after a check.

    Examples
    --------
    >>> from optlab.bregman.mirror_maps import EuclideanMap
    >>> point = DualRows(EuclideanMap(), np.array([[0.9, 0.5, -3.0]]))
    >>> point.policy, point.map.hessian_product_at(point, np.array([[1.0, 0.0, 0.0]]))
    (array([[0.7, 0.3, 0. ]]), array([[ 0.5, -0.5, -0. ]]))
    """

    def __init__(self, mirror_map: MirrorMap, y: Array) -> None:
        self.map = mirror_map
        self.y = y

    @classmethod
    def of_policy(cls, mirror_map: MirrorMap, log_p: Array, shift: Any = 0.0) -> DualRows:
        """Return the dual point ``grad Phi(p) + shift`` of a policy given by its logarithm."""
        return cls(mirror_map, mirror_map._gradient_from_log(log_p) + shift)

    @cached_property
    def policy(self) -> Array:
        """``Pi(y)``."""
        return self.map.policy_at(self)

    @cached_property
    def log_policy(self) -> Array:
        """``log Pi(y)``."""
        return self.map._log_project(self.y)

    @cached_property
    def conjugate_gradient(self) -> Array:
        """``grad Phi*(y)``: the policy in convention (S), the point before the projection in (F)."""
        return self.map.conjugate_gradient_at(self)

    @cached_property
    def weights(self) -> Array:
        """Diagonal of the inverse Hessian of Phi at the policy, zero off the support."""
        return self.map._weights(self.policy)


class MirrorMap(abc.ABC):
    """Base class of the mirror maps; see the module's text for the two conventions.

    A mirror map is a frozen dataclass of its parameters: hashable, compared by value. Every function takes arrays of
    shape (..., A), leaves them alone, and keeps float32.

    Attributes
    ----------
    steep : bool
        Whether the gradient is infinite at the boundary of the simplex. Then every policy stays in the interior, dual
        coordinates are ``grad Phi`` of the policy up to a constant, and mirror and lazy forms of a method agree.
    full_domain : bool
        Convention (F) rather than (S).
    label : str
        The map in legends and messages.

    Examples
    --------
    >>> from optlab.bregman.mirror_maps import EuclideanMap
    >>> phi = EuclideanMap()
    >>> phi.project([[0.9, 0.5, -3.0]])
    array([[0.7, 0.3, 0. ]])
    >>> phi.divergence([[1.0, 0.0]], [[0.5, 0.5]])
    array([0.25])
    """

    steep: ClassVar[bool] = True
    full_domain: ClassVar[bool] = False

    @property
    @abc.abstractmethod
    def label(self) -> str:
        """The map in legends and messages."""

    # ---- what a map defines; every argument has been checked, and floating-point warnings are off

    @abc.abstractmethod
    def _value(self, p: Array) -> Array:
        """Phi by rows."""

    @abc.abstractmethod
    def _gradient(self, p: Array) -> Array:
        """Dual coordinates, up to a constant per row in convention (S); ``-inf`` at 0 if the map is steep."""

    @abc.abstractmethod
    def _log_project(self, y: Array) -> Array:
        """Logarithm of Pi(y)."""

    @abc.abstractmethod
    def _weights(self, p: Array) -> Array:
        """Diagonal w of the inverse Hessian of Phi at p, zero off the support."""

    @abc.abstractmethod
    def _divergence_from_log(self, log_p: Array, log_q: Array) -> Array:
        """D_Phi by rows."""

    @abc.abstractmethod
    def strong_convexity(self, n_actions: int) -> float:
        """Return a modulus sigma with ``D_Phi(p, q) >= sigma/2 ||p - q||_1^2`` on the simplex of `n_actions`."""

    # ---- what follows, or is overridden where a formula is shorter; without checks, from points that may be known

    def _gradient_from_log(self, log_p: Array) -> Array:
        return self._gradient(np.exp(log_p))

    def policy_at(self, y: DualRows) -> Array:
        return np.asarray(np.exp(y.log_policy))

    def conjugate_at(self, y: DualRows) -> Array:
        return np.asarray(safe_product(y.policy, y.y) - self._value(y.policy))

    def conjugate_gradient_at(self, y: DualRows) -> Array:
        return y.policy

    def dual_divergence_at(self, y: DualRows, z: DualRows) -> Array:
        divergence = self._divergence_from_log(z.log_policy, y.log_policy)
        if self.steep:
            return np.asarray(divergence)
        # what the actions clipped by y lack: ``grad Phi(p) - y`` less its constant, zero on the support
        p = np.exp(y.log_policy)
        excess = self._gradient(p) - y.y
        constant = np.take_along_axis(excess, np.argmax(p, axis=-1)[..., None], axis=-1)
        slack = np.asarray(np.where(p > 0, 0, np.maximum(excess - constant, 0)), dtype=p.dtype)
        return np.asarray(divergence + safe_product(np.exp(z.log_policy), slack))

    def hessian_at(self, y: DualRows) -> Array:
        w = y.weights
        outer = w[..., :, None] * (w / w.sum(axis=-1, keepdims=True))[..., None, :]
        return np.asarray(w[..., :, None] * np.eye(w.shape[-1], dtype=w.dtype) - outer)

    def hessian_product_at(self, y: DualRows, v: Array) -> Array:
        w = y.weights
        return np.asarray(w * (v - np.sum(w * v, axis=-1, keepdims=True) / w.sum(axis=-1, keepdims=True)))

    def at(self, y: Any, name: str = "y") -> DualRows:
        """Return `y`, once it is known to be rows of dual coordinates, as a point whose projection is computed once."""
        return DualRows(self, as_dual_rows(y, name))

    @_QUIET
    def value(self, p: Any) -> Array:
        """Return ``Phi(p)`` by rows; DomainError off the simplex."""
        return self._value(as_probability_rows(p))

    @_QUIET
    def gradient(self, p: Any) -> Array:
        """Return dual coordinates of `p`; an action of probability zero gets ``-inf`` if the map is steep."""
        return self._gradient(as_probability_rows(p))

    @_QUIET
    def gradient_from_log(self, log_p: Any) -> Array:
        """Return dual coordinates of the policy whose logarithm is `log_p`, without leaving the log domain."""
        return self._gradient_from_log(as_dual_rows(log_p, "log_p"))

    @_QUIET
    def conjugate(self, y: Any) -> Array:
        """Return ``Phi*(y)`` by rows, in the map's convention."""
        return self.conjugate_at(self.at(y))

    @_QUIET
    def conjugate_gradient(self, y: Any) -> Array:
        """Return ``grad Phi*(y)``: the policy in convention (S), the point before the projection in (F)."""
        return self.at(y).conjugate_gradient

    @_QUIET
    def project(self, y: Any) -> Array:
        """Return the policy ``Pi(y)``."""
        return self.at(y).policy

    @_QUIET
    def log_project(self, y: Any) -> Array:
        """Return ``log Pi(y)``; ``-inf`` where the map clips an action to zero."""
        return self.at(y).log_policy

    @_QUIET
    def mirror_step(self, log_p: Any, shift: Any) -> Array:
        """Return ``log Pi(grad Phi(p) + shift)``: one mirror step, log-policy to log-policy.

        Parameters
        ----------
        log_p : array_like, shape (..., A)
            Logarithm of the policy.
        shift : array_like, shape (..., A)
            What is added to the dual coordinates, in cost form ``-step_size * Q``.

        Examples
        --------
        >>> from optlab.bregman.mirror_maps import NegativeEntropyMap
        >>> NegativeEntropyMap().mirror_step(np.log([[0.5, 0.5]]), [[0.0, -1e12]])
        array([[ 0.e+00, -1.e+12]])
        """
        log_p, shift = as_dual_rows(log_p, "log_p"), as_float_array(shift, "shift", finite=False)
        return self.at(DualRows.of_policy(self, log_p, shift).y, "the shifted policy").log_policy

    @_QUIET
    def divergence(self, p: Any, q: Any) -> Array:
        """Return ``D_Phi(p, q)`` by rows: ``inf`` where the map is steep and q is zero while p is not."""
        return self._divergence_from_log(np.log(as_probability_rows(p)), np.log(as_probability_rows(q, "q")))

    @_QUIET
    def divergence_from_log(self, log_p: Any, log_q: Any) -> Array:
        """Return ``D_Phi(p, q)`` by rows of two policies given by their logarithms, far below what underflows."""
        return self._divergence_from_log(as_dual_rows(log_p, "log_p"), as_dual_rows(log_q, "log_q"))

    @_QUIET
    def dual_divergence(self, y: Any, z: Any) -> Array:
        """Return ``D_{Phi*}(y, z) = Phi*(y) - Phi*(z) - <grad Phi*(z), y - z>`` by rows.

        Computed as ``D_Phi(Pi(z), Pi(y))`` plus what the actions clipped by y lack, ``<slack(y), Pi(z)>``: two
        non-negative numbers, so that nothing cancels.
        """
        return self.dual_divergence_at(self.at(y), self.at(z, "z"))

    @_QUIET
    def conjugate_hessian(self, y: Any) -> Array:
        """Return the Hessian of Phi* at `y` (a generalised one at kinks), of shape (..., A, A)."""
        return self.hessian_at(self.at(y))

    @_QUIET
    def conjugate_hessian_product(self, y: Any, v: Any) -> Array:
        """Return the Hessian of Phi* at `y` times `v` by rows, without forming it."""
        return self.hessian_product_at(self.at(y), as_float_array(v, "v"))


def check_actions(n_actions: Any) -> int:
    """Return `n_actions` as an integer of at least 1."""
    return as_integer(n_actions, "n_actions", minimum=1)


def _as_rows(value: Any, name: str, finite: bool = True) -> Array:
    array = as_float_array(value, name, finite=finite)
    if array.ndim == 0:
        raise ValueError(f"{name} must have rows along its last axis, got a single number")
    return array
