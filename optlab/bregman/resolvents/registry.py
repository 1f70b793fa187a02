"""The single entry `resolvent` and the table behind it: (term type, kernel type) -> closed form or solver.

The Bregman resolvent of ``g T`` is ``J = (grad h + g T)^{-1} o grad h``; for ``T = df`` it is
``argmin_x g f(x) + D_h(x, z)``. Everything here works on mirror variables: ``grad h(z)`` in, ``grad h(J z)`` out,
so that points closer to the boundary than floating point can say keep their digits.

The nearest entry in the two class hierarchies wins (term first, then kernel), so an entry for `Legendre` serves every
kernel that has none of its own. This file knows no formula.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from optlab.bregman.functions.base import Array, MonotoneOperator
from optlab.bregman.legendre import Legendre, as_point
from optlab.core.backend import is_foreign, like
from optlab.core.errors import DomainError
from optlab.core.validation import as_float_array, as_number

Solver = Callable[[Any, Any, Array, float], Array]
Prepared = Callable[[Array, float], Array]
Factory = Callable[[Any, Any, tuple[int, ...]], Prepared | None]
_SolverT = TypeVar("_SolverT", bound=Callable[..., Any])
_FactoryT = TypeVar("_FactoryT", bound=Callable[..., Any])
_T = TypeVar("_T")

Condition = Callable[[Any, Any], bool]

_TABLE: dict[tuple[type, type], tuple[Solver, Condition | None]] = {}
_FACTORIES: dict[Solver, Factory] = {}  # of the solvers in the table that are made from one
_ARRAY_EXPRESSIONS: dict[tuple[type, type], Solver] = {}  # what runs on arrays of any library


class ResolventError(FloatingPointError):
    """A numerical resolvent did not reach its stated accuracy; raised in a run, it ends as ``Status.DIVERGED``."""


def register_resolvent(
    function_type: type, kernel_type: type, *, available: Condition | None = None, namespaces: bool = False
) -> Callable[[_SolverT], _SolverT]:
    """Return a decorator that enters a solver for one pair of term and kernel types into the table.

    The solver is called as ``solver(function, kernel, mirror, step_size)`` with a float array and a positive float, and
    returns the mirror variable of the resolvent. An entry for the same pair is replaced.

    Parameters
    ----------
    function_type : type
        A subclass of `MonotoneOperator`, usually of `Function`.
    kernel_type : type
        A subclass of `Legendre`; `Legendre` itself for a formula that holds in every geometry.
    available : callable, optional
        ``(function, kernel) -> bool``: whether this function and this kernel have it, for `has_resolvent`. Default: all
        of these types.
    namespaces : bool, default False
        Whether the solver is an array expression that runs on any array-API library. It is then called with a term
        whose arrays are of the library, dtype and device of `mirror`.

    Raises
    ------
    TypeError
        If an argument is not a type of that kind.

    Examples
    --------
    >>> from optlab.bregman.functions import Function
    >>> from optlab.bregman.legendre import Legendre
    >>> class Drift(Function):
    ...     pass
    >>> @register_resolvent(Drift, Legendre)
    ... def drift(function, kernel, mirror, step_size):
    ...     return mirror - step_size
    """
    for value, name, base in (
        (function_type, "function_type", MonotoneOperator),
        (kernel_type, "kernel_type", Legendre),
    ):
        if not (isinstance(value, type) and issubclass(value, base)):
            raise TypeError(f"{name} must be a subclass of {base.__name__}, got {value!r}")

    def enter(solver: _SolverT) -> _SolverT:
        _TABLE[function_type, kernel_type] = solver, available
        if namespaces:
            _ARRAY_EXPRESSIONS[function_type, kernel_type] = solver
        _find.cache_clear()
        return solver

    return enter


def register_prepared(
    function_type: type, kernel_type: type, *, available: Condition | None = None
) -> Callable[[_FactoryT], _FactoryT]:
    """Return a decorator that enters a closed form which is prepared once and called often.

    The factory is called as ``factory(function, kernel, shape)`` and returns ``(mirror, step_size) -> mirror`` for
    float64 arrays of that shape, which it does not check. `resolvent` calls it as it calls any solver.

    Parameters
    ----------
    function_type, kernel_type, available
        As in `register_resolvent`.

    Examples
    --------
    >>> from optlab.bregman.functions import Function
    >>> class Pull(Function):
    ...     pass
    >>> @register_prepared(Pull, Legendre)
    ... def pull(function, kernel, shape):
    ...     target = np.ones(shape)
    ...     return lambda mirror, step_size: mirror - step_size * target
    """

    def enter(factory: _FactoryT) -> _FactoryT:
        solver = functools.partial(_prepared_at_once, factory)  # no closure: problems that hold it are pickled
        return prepares(register_resolvent(function_type, kernel_type, available=available)(solver))(factory)

    return enter


def _prepared_at_once(factory: Any, function: Any, kernel: Any, mirror: Array, step_size: float) -> Array:
    answer: Array = factory(function, kernel, mirror.shape)(mirror, step_size)
    return answer


def array_expression(function_type: type, kernel_type: type) -> Callable[[_SolverT], _SolverT]:
    """Return a decorator that enters the form of a prepared solver for arrays of other libraries than NumPy."""

    def enter(solver: _SolverT) -> _SolverT:
        _ARRAY_EXPRESSIONS[function_type, kernel_type] = solver
        return solver

    return enter


def prepares(solver: Solver) -> Callable[[_FactoryT], _FactoryT]:
    """Return a decorator that enters the factory of a solver which `register_resolvent` has put into the table.

    For solvers that can be prepared in some cases only: the factory returns None in the others.
    """

    def enter(factory: _FactoryT) -> _FactoryT:
        _FACTORIES[solver] = factory
        return factory

    return enter


def per_step_size(make: Callable[[float], _T]) -> Callable[[float], _T]:
    """Return `make`, a function of the step size, remembering its last answer: most runs have one step size."""
    last: tuple[float, Any] = (0.0, None)

    def constants(step_size: float) -> _T:
        nonlocal last
        known, made = last  # one read: threads may share what is prepared
        if known != step_size:
            made = make(step_size)
            last = (step_size, made)
        return made  # type: ignore[no-any-return]

    return constants


def prepared_resolvent(function: Any, kernel: Any, shape: tuple[int, ...]) -> Prepared | None:
    """Return `resolvent` of a term and a kernel as a map ``(mirror, step_size) -> mirror`` for points of one shape.

    Its constants are computed here, and what it is given is not checked: for arrays that the library itself has made.
    None where no closed form of the pair can be prepared (or its constants do not exist, which `resolvent` says).

    Examples
    --------
    >>> from optlab.bregman import SquaredEuclidean
    >>> from optlab.bregman.functions import L1Norm
    >>> soft_threshold = prepared_resolvent(L1Norm(), SquaredEuclidean(), (2,))
    >>> soft_threshold(np.array([3.0, -0.5]), 1.0)
    array([2., 0.])
    """
    if not isinstance(function, MonotoneOperator) or not isinstance(kernel, Legendre) or not kernel.full_dual:
        return None
    if callable(getattr(function, "resolvent", None)):
        return None
    solver = _find(type(function), type(kernel))
    factory = None if solver is None else _FACTORIES.get(solver)
    if factory is None:
        return None
    try:
        formula = factory(function, kernel, shape)
    except (TypeError, ValueError, ArithmeticError):
        return None
    if formula is None:
        return None

    def prepared(mirror: Array, step_size: float) -> Array:
        # float32 has too few digits for exponentials, and other libraries have forms of their own
        if type(mirror) is not np.ndarray or mirror.dtype != _DOUBLE:
            return resolvent(function, kernel, mirror, step_size)
        return formula(mirror, step_size)

    return prepared


_DOUBLE = np.dtype(np.float64)


def available_resolvents(function_type: type | None = None) -> list[tuple[str, str]]:
    """Return the names of the registered (term, kernel) pairs, for one term type and its bases if given.

    Examples
    --------
    >>> from optlab.bregman.functions import Linear
    >>> ("Linear", "Legendre") in available_resolvents(Linear)
    True
    """
    if not (function_type is None or isinstance(function_type, type)):
        raise TypeError(f"function_type must be a class of terms or None, got {function_type!r}")
    return sorted(
        (function.__name__, kernel.__name__)
        for function, kernel in _TABLE
        if function_type is None or issubclass(function_type, function)
    )


class _Finder:
    """Looks up the nearest table entry and remembers the answer (a run asks the same question at every step)."""

    def __init__(self) -> None:
        self.known: dict[tuple[type, type], tuple[Solver, Condition | None] | None] = {}

    def cache_clear(self) -> None:
        self.known.clear()

    def __call__(self, function_type: type, kernel_type: type) -> Solver | None:
        found = self.entry(function_type, kernel_type)
        return None if found is None else found[0]

    def entry(self, function_type: type, kernel_type: type) -> tuple[Solver, Condition | None] | None:
        """Return the nearest entry: the solver, and the condition under which it is available."""
        key = (function_type, kernel_type)
        if key not in self.known:
            self.known[key] = next(
                (
                    _TABLE[function_base, kernel_base]
                    for function_base in function_type.__mro__
                    for kernel_base in kernel_type.__mro__
                    if (function_base, kernel_base) in _TABLE
                ),
                None,
            )
        return self.known[key]


_find = _Finder()


def has_resolvent(function: Any, kernel: Any) -> bool:
    """Return whether `resolvent` has a closed form or a solver for this term in this geometry; nothing is computed.

    Examples
    --------
    >>> from optlab.bregman import LogDeterminant, SquaredEuclidean
    >>> from optlab.bregman.functions import L1Norm
    >>> has_resolvent(L1Norm(), SquaredEuclidean()), has_resolvent(L1Norm(), LogDeterminant())
    (True, False)
    """
    if callable(getattr(function, "resolvent", None)):
        return True
    if not (isinstance(function, MonotoneOperator) and isinstance(kernel, Legendre)):
        return False
    entry = _find.entry(type(function), type(kernel))
    return entry is not None and (entry[1] is None or entry[1](function, kernel))


def bind_resolvent(function: Any, kernel: Any) -> Callable[[Array, float], Array]:
    """Return the map (mirror, step_size) -> mirror of `resolvent` for one term and one kernel, without its checks.

    For loops of the library, whose arrays are finite and whose steps are positive.

    Examples
    --------
    >>> from optlab.bregman import SquaredEuclidean
    >>> from optlab.bregman.functions import L1Norm
    >>> bind_resolvent(L1Norm(2.0), SquaredEuclidean())(np.array([5.0, -1.0]), 1.0)
    array([3., 0.])
    """
    own = getattr(function, "resolvent", None)
    if callable(own):
        return functools.partial(_answer_of_its_own, own, kernel)
    solver = _find(type(function), type(kernel))
    if solver is None or not has_resolvent(function, kernel):
        raise unavailable(function, kernel)
    return functools.partial(_answer, solver, function, kernel)  # a problem that keeps it can be pickled


def _answer_of_its_own(own: Any, kernel: Any, mirror: Array, step_size: float) -> Array:
    return np.asarray(own(kernel, mirror, step_size))


def _answer(solver: Any, function: Any, kernel: Any, mirror: Array, step_size: float) -> Array:
    if type(mirror) is not np.ndarray and is_foreign(mirror):
        return _foreign_resolvent(function, kernel, mirror, step_size)
    answer = solver(function, kernel, mirror, step_size)
    return answer if answer.dtype == mirror.dtype else answer.astype(mirror.dtype)


def resolvent_in_run(function: MonotoneOperator, kernel: Legendre, mirror: Any, step_size: float) -> Array:
    """Return what `resolvent` does, asking no more than a loop of the library has to: whether a point is still finite.

    Whatever is not plain (another type of numbers, a kernel with a range condition, a point that overflowed) goes
    through `resolvent`, with its checks and its messages.
    """
    if type(mirror) is np.ndarray and mirror.dtype.char == "d" and kernel.full_dual:
        entry = _find.known.get((type(function), type(kernel)))
        if entry is not None and math.isfinite(np.vdot(mirror, mirror)):
            return entry[0](function, kernel, mirror, step_size)
    return resolvent(function, kernel, mirror, step_size)


def unavailable(function: Any, kernel: Any, reason: str = "") -> TypeError:
    """Return the error for a pair that has no resolvent, naming what there is."""
    pairs = ", ".join(f"({f}, {k})" for f, k in available_resolvents(type(function)))
    return TypeError(
        f"no resolvent of {type(function).__name__} under the kernel {type(kernel).__name__}"
        + (f": {reason}" if reason else "")
        + f". Registered for this term: {pairs or 'nothing'}. "
        + "Add your own with optlab.bregman.register_resolvent(function_type, kernel_type)."
    )


def resolvent(function: MonotoneOperator, kernel: Legendre, mirror: Any, step_size: float) -> Array:
    """Return ``grad h(J(grad h*(mirror)))`` for the Bregman resolvent ``J = (grad h + step_size T)^{-1} o grad h``.

    Parameters
    ----------
    function : Function or MonotoneOperator
        The term; for a function, ``T`` is its subdifferential.
    kernel : Legendre
        The geometry ``h``.
    mirror : array_like
        Mirror variable ``grad h(z)`` of the point, finite, in the interior of the domain of the conjugate.
    step_size : float
        Positive.

    Returns
    -------
    ndarray
        Mirror variable of the resolvent; `mirror` itself is left as it is. Closed forms are accurate to a few units of
        rounding of the largest term in the optimality condition, scalar root finds to about 1e-13 of it, the generic
        Newton solves to 1e-12; what cannot reach that raises `ResolventError`.

    Raises
    ------
    TypeError
        If no closed form and no numerical method applies; the message lists what is registered.
    DomainError
        If the mirror variable is outside its domain, or the answer is (then ``J`` is empty there, or lies on the
        boundary of the domain of ``h``, where no mirror variable exists).

    Notes
    -----
    Resolvents are maps from mirror to mirror variables as in section 1 of the paper (Ma, Xiao, Zhao 2025,
    arXiv 2509.08739); the closed forms are derived here, verified numerically.

    Examples
    --------
    >>> from optlab.bregman.functions import Simplex
    >>> from optlab.bregman import ShannonEntropy
    >>> x = np.exp(resolvent(Simplex(), ShannonEntropy(), np.log([1.0, 3.0]), 1.0))
    >>> x.round(12)
    array([0.25, 0.75])
    """
    if not isinstance(function, MonotoneOperator):
        raise TypeError(f"function must be a Function or MonotoneOperator, got {type(function).__name__}")
    if not isinstance(kernel, Legendre):
        raise TypeError(f"kernel must be a Legendre kernel, got {type(kernel).__name__}")
    step_size = as_number(step_size, "step_size", above=0)
    if is_foreign(mirror):
        return _foreign_resolvent(function, kernel, mirror, step_size)
    given = as_float_array(mirror, "mirror")
    point = given.astype(np.float64, copy=False)  # float32 has too few digits for exponentials; cast back at the end
    if not kernel.full_dual:
        kernel.check_dual_domain(point, "mirror")
    solver = _find(type(function), type(kernel))
    if solver is None:
        raise unavailable(function, kernel)
    answer = solver(function, kernel, point, step_size)
    _check_answer(function, kernel, answer, step_size)
    return np.asarray(answer, dtype=given.dtype)


def _check_answer(function: Any, kernel: Legendre, answer: Any, step_size: float) -> None:
    if not kernel.full_dual and not kernel.in_dual_domain(answer):
        raise DomainError(
            f"the resolvent of {type(function).__name__} under {type(kernel).__name__} does not exist at this point: "
            f"its mirror variable would leave the domain of the conjugate. Try a smaller step_size (now {step_size:g})"
        )


def _foreign_resolvent(function: Any, kernel: Legendre, mirror: Any, step_size: float) -> Any:
    """Return what `resolvent` does where `mirror` is an array of another library: the formula, on its arrays."""
    xp, _ = as_point(mirror, "mirror")
    point = xp.astype(mirror, xp.float64)
    if not kernel.full_dual:
        kernel.check_dual_domain(point, "mirror")
    pairs = ((f, k) for f in type(function).__mro__ for k in type(kernel).__mro__)
    nearest = next((pair for pair in pairs if pair in _TABLE), None)
    if nearest is None:
        raise unavailable(function, kernel)
    solver = _ARRAY_EXPRESSIONS.get(nearest)
    if solver is None:
        raise not_array_expression(function, kernel, mirror)
    answer = solver(moved(function, point), kernel, point, step_size)
    _check_answer(function, kernel, answer, step_size)
    return xp.astype(answer, mirror.dtype)


def not_array_expression(function: Any, kernel: Any, mirror: Any) -> TypeError:
    """Return the error for a resolvent that is computed, on NumPy arrays, by more than a formula."""
    return TypeError(
        f"the resolvent of {type(function).__name__} under {type(kernel).__name__} is no array expression: it takes "
        f"NumPy arrays only, got {type(mirror).__module__}.{type(mirror).__qualname__}"
    )


def moved(function: Any, array: Any) -> Any:
    """Return a copy of a term with its arrays in the library, dtype and device of `array`; made once and kept by it."""
    from array_api_compat import device

    copies = vars(function).setdefault("_moved", {})
    key = (type(array), str(array.dtype), str(device(array)))
    if key not in copies:
        other = copy.copy(function)
        for name in [*vars(function), *_derived(type(function))]:
            value = getattr(function, name)
            if isinstance(value, np.ndarray):  # a single number stays one: it goes with every library
                vars(other)[name] = like(array, np.array(value)) if value.ndim else float(value)
            elif name == "terms":
                vars(other)[name] = tuple(moved(term, array) for term in value)
        vars(other)["_moved"] = {}
        copies[key] = other
    return copies[key]


def _derived(kind: type) -> list[str]:
    """Return the names of what a term computes from its parameters once: arrays to be moved with them."""
    return [n for c in kind.__mro__ for n, v in vars(c).items() if isinstance(v, functools.cached_property)]
