"""Monotone inclusions 0 in A(x) + B(x), given by two operators with Bregman resolvents.

Follows section 1 of Ma, Xiao, Zhao (2025, arXiv 2509.08739). Since the iterates stay in dom h, the inclusion solved is
``0 in A(x) + B(x) + N_C(x)`` with C the closure of dom h: a Shannon kernel adds x >= 0 by itself.

Where x0 is an array of another library (CuPy, array-API), the iterations run on its arrays, with the parameters of the
terms moved there once; what is measured or handed out is moved to the host then, at recorded iterations only.

The residual is computed from what the resolvents reveal, ``a in A(y)`` and ``b in B(x)``, so it is small only if x
nearly solves the problem, whatever the step size. What this file does not do: certify a distance to the solution.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np

from optlab.bregman.resolvents.registry import ResolventError, prepared_resolvent, resolvent_in_run
from optlab.composite.domains import project_closure
from optlab.composite.infeasibility import Certificate, displacement_hint, search, separated, separation_parts
from optlab.composite.iteration import SplitOracles, resolve_both
from optlab.core import DomainError
from optlab.core.backend import is_foreign, to_numpy
from optlab.core.validation import as_data, as_integer, as_number

Array = Any
Resolvent = Callable[[Array, float], Array]


def relative_difference(x: np.ndarray, y: np.ndarray) -> float:
    """Return ``||x - y|| / max(||x||, ||y||)`` in the Euclidean norm, 0 for two zeros; never above 2.

    Examples
    --------
    >>> relative_difference(np.array([3.0, 4.0]), np.array([3.0, 4.5])) < 0.1
    True
    """
    # scaled by the largest entry first, so that the squares neither overflow nor vanish
    top = max(float(np.max(np.abs(x), initial=0.0)), float(np.max(np.abs(y), initial=0.0)))
    if top == 0.0:
        return 0.0
    if not np.isfinite(top):
        return 2.0  # a point at infinity is as far as can be
    x, y = x / top, y / top
    return float(np.linalg.norm(x - y) / max(np.linalg.norm(x), np.linalg.norm(y)))


class SplitPoint(np.ndarray):
    """The primal point x of a splitting: an array that remembers the second point and the operator values.

    It behaves as the plain array x in every way. What is computed from it is a plain array or number.

    Attributes
    ----------
    y : ndarray or None
        The point computed by the resolvent of A; equal to x in the limit.
    a, b : ndarray or None
        ``a in A(y)`` and ``b in B(x)``.
    mirror : ndarray or None
        ``grad h(x)``, exact also where x has underflowed to the boundary.

    Examples
    --------
    >>> point = SplitPoint(np.array([1.0, 2.0]), y=np.array([1.0, 2.5]))
    >>> point.sum(), point.y
    (np.float64(3.0), array([1. , 2.5]))
    >>> 2 * point
    array([2., 4.])
    """

    y: Any
    a: Any
    b: Any
    mirror: Any

    def __new__(
        cls,
        x: Array,
        y: Array | None = None,
        a: Array | None = None,
        b: Array | None = None,
        mirror: Array | None = None,
    ) -> SplitPoint:
        try:
            point = np.asarray(x).view(cls)
        except ValueError as error:
            raise ValueError(f"x must be an array of numbers: {error}") from None
        point.y, point.a, point.b, point.mirror = y, a, b, mirror
        return point

    def __array_finalize__(self, source: Any) -> None:
        self.y = self.a = self.b = self.mirror = None

    def __reduce__(self) -> Any:  # an array's own would lose the attributes
        return _restored, (type(self), np.array(self), vars(self))

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        plain = np.asarray(array)
        return plain[()] if return_scalar else plain


def _restored(cls: type[SplitPoint], x: Array, attributes: dict[str, Any]) -> SplitPoint:
    point = x.view(cls)
    vars(point).update(attributes)
    return point


def as_resolvent(operator: Any, kernel: Any, name: str) -> Resolvent:
    """Return the map (mirror, step_size) -> mirror of an operator in any of the three forms accepted.

    Raises
    ------
    TypeError
        If `operator` is none of them.
    """
    own = getattr(operator, "resolvent", None)
    if callable(own):
        return partial(own, kernel)
    if hasattr(operator, "value") or hasattr(operator, "operator_value"):
        return partial(resolvent_in_run, operator, kernel)
    if callable(operator):
        plain: Resolvent = operator
        return plain
    raise TypeError(
        f"{name} must be a term of optlab.bregman.functions, an object with resolvent(kernel, mirror, step_size), or "
        f"a callable (mirror, step_size) -> mirror, got {type(operator).__name__}"
    )


def term_shape(*operators: Any) -> tuple[int, ...] | None:
    """Return the shape of the points that the terms act on, if one of them says it (``shape``); otherwise None.

    Examples
    --------
    >>> from optlab.bregman.functions import Linear, Simplex
    >>> term_shape(Simplex(), Linear(np.ones(3)))
    (3,)
    """
    for operator in operators:
        shape = getattr(operator, "shape", None)
        if isinstance(shape, tuple):
            return shape
    return None


class MonotoneInclusion:
    """Find x with ``0 in A(x) + B(x)`` in the domain of a kernel.

    A and B are maximal monotone and each is one of

    * a term of `optlab.bregman.functions`, whose resolvent `optlab.bregman.resolvent` knows or solves for;
    * any object with ``resolvent(kernel, mirror, step_size) -> mirror``;
    * a callable ``(mirror, step_size) -> mirror``.

    Parameters
    ----------
    A, B : operator
        B is applied first. Put the operator that is smooth relative to the kernel there: the two roles give different
        iterations for every kernel that is not quadratic.
    kernel : Legendre
        The geometry; its domain is a constraint of the problem.
    shape : int or tuple of int, optional
        Shape of the points. Default: read off the terms, if they show it.
    reference : array_like, optional
        A known solution; adds the metric ``distance``.
    default_step_size : float, optional
        Step size of methods that are given none. Default: ``1/L`` if B is known to be L-smooth relative to the kernel
        (for which convergence is proved), else 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, or the shape is neither given nor visible.

    Notes
    -----
    `measure` gives, in Euclidean norms, for the pair x, y with ``a in A(y)``, ``b in B(x)``, ``s = a + b``:

    * ``primal_residual`` = ``||x - y|| / (1 + ||x||)``;
    * ``dual_residual`` = ``||(x - P_C(x - s)) / (1 + max(|a|, |b|))||``, the quotient entry by entry (large operator
      values where the solution is zero do not shrink the others' residual), P_C the Euclidean projection onto the
      closure of dom h: ``s`` itself where the kernel lives on the whole space, ``min(x, s)`` for ``x >= 0``. At a
      solution on the boundary of dom h, s tends to a normal vector of C there, not to zero;
    * ``residual``, the larger of the two (the primary metric);
    * ``distance`` = ``||x - reference|| / ||reference||``.

    A plain array, such as a start, is measured through the pair that one Douglas-Rachford iteration with the default
    step size makes of it, and its distance to that pair counts as primal residual.

    Examples
    --------
    >>> import optlab
    >>> from optlab.bregman import ShannonEntropy
    >>> from optlab.bregman.functions import KullbackLeibler, Simplex
    >>> from optlab.splitting import BregmanDouglasRachford, MonotoneInclusion
    >>> q = np.array([1.0, 2.0, 1.0])
    >>> problem = MonotoneInclusion(Simplex(), KullbackLeibler(q), ShannonEntropy())
    >>> result = optlab.solve(problem, BregmanDouglasRachford(), tol=1e-12)
    >>> np.asarray(result.solution).round(9)
    array([0.25, 0.5 , 0.25])
    """

    primary_metric = "residual"
    array_points = True
    #: Where the methods for such problems are.
    method_packages: ClassVar[tuple[str, ...]] = ("splitting", "firstorder")

    def __init__(
        self,
        A: Any,
        B: Any,
        kernel: Any,
        *,
        shape: int | tuple[int, ...] | None = None,
        reference: Any = None,
        default_step_size: float | None = None,
    ) -> None:
        for method in ("gradient", "conjugate_gradient", "check_domain", "default_point"):
            if not callable(getattr(kernel, method, None)):
                raise TypeError(f"kernel must be a Legendre function with {method}(), got {type(kernel).__name__}")
        self.A, self.B, self.kernel = A, B, kernel
        self._resolvent_A = as_resolvent(A, kernel, "A")
        self._resolvent_B = as_resolvent(B, kernel, "B")
        self.reference = None if reference is None else as_data(reference, "reference")
        self.shape = self._find_shape(shape, (A, B))
        if default_step_size is not None:
            default_step_size = as_number(default_step_size, "default_step_size", above=0)
        self._given_step_size = default_step_size

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.A!r}, {self.B!r}, {self.kernel!r}, shape={self.shape})"

    def _find_shape(self, shape: Any, operators: Sequence[Any]) -> tuple[int, ...]:
        if shape is not None:
            sizes = tuple(shape) if np.ndim(shape) else (shape,)
            found = tuple(as_integer(n, f"shape[{i}]", minimum=1) for i, n in enumerate(sizes))
        elif self.reference is not None:
            found = self.reference.shape
        else:
            seen = term_shape(*operators)
            if seen is None:
                raise ValueError("shape must be given: no term shows the shape of the points")
            found = seen
        if self.reference is not None and self.reference.shape != found:
            raise ValueError(f"reference must have shape {found}, got {self.reference.shape}")
        return found

    @cached_property
    def default_step_size(self) -> float:
        """The one given, or ``1/L`` where B is known to be L-smooth relative to the kernel, else 1."""
        return self._given_step_size or self._proven_step_size()

    def _proven_step_size(self) -> float:
        constants = getattr(self.B, "relative_smoothness", lambda kernel: None)(self.kernel)
        if constants is None or not constants[0] > 0 or not math.isfinite(constants[0]):
            return 1.0
        return min(max(1.0 / float(constants[0]), 1e-12), 1e12)

    # ------------------------------------------------------------------ what a splitting method asks for

    def default_start(self, rng: np.random.Generator) -> Array:
        """Return the kernel's default interior point; nothing is drawn at random."""
        return np.asarray(self.kernel.default_point(self.shape), dtype=float)

    def initial_mirror(self, x0: Any) -> Array:
        """Return ``grad h(x0)``; `x0` is None, an array in the interior of dom h, or an earlier solution."""
        if isinstance(x0, SplitPoint) and x0.mirror is not None and x0.shape == self.shape:
            return x0.mirror  # exact, also where x0 itself has underflowed to the boundary
        if x0 is None:
            x0 = self.default_start(np.random.default_rng(0))
        if is_foreign(x0):  # the run goes on in its library
            if tuple(x0.shape) != self.shape:
                raise ValueError(f"x0 must have shape {self.shape}, got {tuple(x0.shape)}")
            self.kernel.check_domain(x0, "x0")
            return self.kernel.gradient(x0)
        point = as_data(x0, "x0", shape=self.shape).view(np.ndarray)
        self.kernel.check_domain(point, "x0")
        return self.kernel.gradient(point)

    def resolvent_A(self, mirror: Array, step_size: float) -> Array:
        """Return the mirror point of ``J_{step_size A}``."""
        return self._resolvent_A(mirror, step_size)

    def resolvent_B(self, mirror: Array, step_size: float) -> Array:
        """Return the mirror point of ``J_{step_size B}``."""
        return self._resolvent_B(mirror, step_size)

    def prepare_split(self) -> SplitOracles:
        """Return the resolvents with their constants computed, for arrays that an iteration makes of this problem's.

        What a subclass or an instance puts in the place of `resolvent_A`, `resolvent_B` or `check_mirror` is taken as
        it is.
        """
        A = B = None
        if getattr(self.resolvent_A, "__func__", None) is MonotoneInclusion.resolvent_A:
            A = prepared_resolvent(self.A, self.kernel, self.shape) or self._resolvent_A
        if getattr(self.resolvent_B, "__func__", None) is MonotoneInclusion.resolvent_B:
            B = prepared_resolvent(self.B, self.kernel, self.shape) or self._resolvent_B
        overridden = getattr(self.check_mirror, "__func__", None) is not MonotoneInclusion.check_mirror
        check = self.check_mirror if overridden or not self.kernel.full_dual else None
        return SplitOracles(A or self.resolvent_A, B or self.resolvent_B, check)

    def primal(self, mirror: Array, drift: Any = None) -> SplitPoint:
        """Return the primal point of a mirror point."""
        return SplitPoint(to_numpy(self.kernel.conjugate_gradient(mirror)), mirror=mirror)

    def primal_pair(self, x: Array, y: Array, a: Array, b: Array) -> SplitPoint:
        """Return the primal point of the mirror point `x`, with the companion y and the operator values."""
        to_primal = self.kernel.conjugate_gradient
        if is_foreign(x):  # points are measured and handed out on the host
            first, second, a, b = map(to_numpy, (to_primal(x), to_primal(y), a, b))
            return SplitPoint(first, second, a, b, mirror=x)
        return SplitPoint(to_primal(x), to_primal(y), a, b, mirror=x)

    def check_mirror(self, mirror: Array) -> None:
        """Raise `DomainError` if `mirror` is not the gradient of any point (the range condition)."""
        if self.kernel.full_dual:
            return
        try:
            self.kernel.check_dual_domain(mirror, "the extrapolated mirror point")
        except DomainError as error:
            raise DomainError(
                f"range condition of {self.kernel!r}: {error}. The gradient of this kernel does not reach every point, "
                "so a reflection 2 grad h(x) - grad h(z) may have no primal point; reduce step_size"
            ) from None

    def mirror_distance(self, x: Array, y: Array) -> float:
        """Return the relative Euclidean distance of the primal points of two mirror points."""
        return relative_difference(*(to_numpy(self.kernel.conjugate_gradient(m)) for m in (x, y)))

    def local_coordinates(self, difference: Array, at: Array) -> Array:
        """Return a difference of mirror points, scaled so that its norm is that of the metric of h* at `at`.

        For kernels that are not separable it is returned as it is.
        """
        difference, at = to_numpy(difference), to_numpy(at)
        if not getattr(self.kernel, "separable", False):
            return np.ravel(difference)
        with np.errstate(all="ignore"):
            scaled = np.sqrt(self.kernel.conjugate_hessian_diagonal(at)) * difference
        return np.ravel(scaled)

    # ------------------------------------------------------------------ whether there is anything to find

    def find_certificate(self, x: Array, y: Array, displacement: Array) -> Certificate | None:
        """Return a checked certificate that the problem has no solution, if the mirror points of an iteration show one.

        Parameters
        ----------
        x, y : ndarray
            What the resolvents of B and of A returned.
        displacement : ndarray
            Of the splitting, as a mirror point: ``y - x``, or its mean over some iterations where it oscillates.
        """
        x, y, displacement = map(to_numpy, (x, y, displacement))
        mirrors, points = (x, y), [self.kernel.conjugate_gradient(m) for m in (x, y)]
        moves = [displacement]
        if points[0] is not x and not np.array_equal(points[1] - points[0], moves[0]):
            moves.append(points[1] - points[0])
        found = self._certificate(moves, mirrors, points)
        # once more from the vector alone, which is what whoever verifies it will do
        return None if found is None else dataclasses.replace(found, problem=self).confirmed()

    def _certificate(self, moves: list[Array], mirrors: Any, points: list[Array]) -> Certificate | None:
        """Return a certificate from one of several candidate directions; `points` are the primal x and y."""
        reach = max(map(_norm, points))
        parts = separation_parts(self.A, self.B, self.kernel, moves[0].size)
        return search(moves, lambda u: separated(self.A, self.B, self.kernel, u, reach), parts)

    def check_certificate(self, kind: str, vector: Array, point: Any = None) -> Certificate | None:
        """Return the certificate that `vector` (and `point`) is, None if it is none; see `Certificate.verify`."""
        found = separated(self.A, self.B, self.kernel, vector, 0.0) if kind == "infeasible" else None
        return found if isinstance(found, Certificate) else None

    def hint(self, method: Any, state: Any, metrics: dict[str, float]) -> str | None:
        """Return the length of the displacement, where it is not small: then there may be nothing to find."""
        return displacement_hint(_norm(to_numpy(getattr(state, "y", 0.0) - getattr(state, "x", 0.0))), metrics)

    # ------------------------------------------------------------------ how good an iterate is

    def measure(self, iterate: Any) -> dict[str, float]:
        """Return the residuals of a solution or of any point in the closure of dom h; see the class notes."""
        x = as_data(iterate, "iterate", shape=self.shape).view(np.ndarray)
        if isinstance(iterate, SplitPoint) and iterate.y is not None:
            return self._measure_pair(x, iterate)
        return self._measure_pair(x, self._pair_of(x, getattr(iterate, "mirror", None)))

    def _measure_pair(self, x: Array, pair: SplitPoint) -> dict[str, float]:
        """Return the metrics of x, seen through a pair whose own x differs from it if x came without one."""
        pair_x, a, b = np.asarray(pair), pair.a, pair.b
        apart = max(_norm(pair_x - pair.y), _norm(x - pair_x))
        primal = apart / (1.0 + _norm(x))
        s = a + b
        # entry by entry: a price of 1e6 for what the solution does not use must not excuse an error of 1 elsewhere
        scale = 1.0 + np.maximum(np.abs(a), np.abs(b))
        dual = _norm((pair_x - project_closure(self.kernel, pair_x - s)) / scale)
        metrics = {"residual": max(primal, dual), "primal_residual": primal, "dual_residual": dual}
        if self.reference is not None:
            size = _norm(self.reference)
            metrics["distance"] = _norm(x - self.reference) / (size if size > 0 else 1.0)
        return metrics

    def _pair_of(self, x: Array, mirror: Array | None) -> SplitPoint:
        try:
            return self._one_iteration(x, mirror)
        except ResolventError as error:
            raise ResolventError(
                f"{error}. This is how a point without a pair, such as a start, is measured: by one iteration with the "
                f"problem's default_step_size {self.default_step_size:g}, whatever the method's step size"
            ) from None

    def _one_iteration(self, x: Array, mirror: Array | None) -> SplitPoint:
        if mirror is None:
            inside = x
            if not self.kernel.in_domain(x):  # a boundary point has no gradient: step inside by a rounding error
                inside = x + 1e-12 * (self.default_start(np.random.default_rng(0)) - x)
                self.kernel.check_domain(inside, "iterate")
            mirror = self.kernel.gradient(inside)
        mirror = to_numpy(mirror)
        gamma = self.default_step_size
        z = mirror + gamma * self._guess_b(x)
        new_x, _, reflected, y = resolve_both(SplitOracles(self.resolvent_A, self.resolvent_B, None), z, gamma, gamma)
        return self.primal_pair(new_x, y, (reflected - y) * (1.0 / gamma), (z - new_x) * (1.0 / gamma))

    def _guess_b(self, x: Array) -> Any:
        """Return an element of B(x) that a solution x would show, if an operator is single-valued there; else 0."""
        for operator, sign in ((self.B, 1.0), (self.A, -1.0)):
            if getattr(operator, "single_valued", False):
                with np.errstate(all="ignore"):  # a gradient may be infinite on the boundary
                    value = sign * np.asarray(operator.operator_value(x))
                if np.all(np.isfinite(value)):
                    return value
        return 0.0


def _norm(x: Array) -> float:
    return float(np.linalg.norm(np.ravel(x)))
