"""What a problem must offer to be split, in mirror variables.

The methods of this package never see a primal point. They add, subtract and scale *mirror points*, the gradients
of the kernel h at the iterates: NumPy arrays for the generic problems, or any object closed under ``+``, ``-`` and
multiplication by a float (the potentials of a transport plan, say). Everything that depends on the kernel, on the
operators or on how a mirror point is stored is asked of the problem through one of the two protocols below:

* `SplitProblem`: find x with 0 in A(x) + B(x), given the two Bregman resolvents
  (Douglas-Rachford, Peaceman-Rachford; Ma, Xiao, Zhao 2025, arXiv 2509.08739);
* `TwoBlockProblem`: minimise f(u) + g(v) subject to M u + N v = b, given the two block minimisations
  (Bregman ADMM of the same paper, the exponential multiplier methods).

Both are structural: nothing has to be inherited. What is optional is said under *Optional*; a method of
this package looks for them once per use and does without where they are missing. A mirror point must not be changed
in place, neither by a method nor by a problem: earlier states stay valid.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar, runtime_checkable

from optlab.composite.iteration import SplitOracles
from optlab.core import Problem


class MirrorPoint(Protocol):
    """A gradient of the kernel: closed under ``+``, ``-`` and multiplication by a float from the left."""

    def __add__(self, other: Any, /) -> Any: ...

    def __sub__(self, other: Any, /) -> Any: ...

    def __rmul__(self, factor: float, /) -> Any: ...


Mirror = TypeVar("Mirror")


@runtime_checkable
class SplitProblem(Problem, Protocol):
    """Find x with 0 in A(x) + B(x), given the Bregman resolvents of A and B as maps mirror -> mirror.

    ``resolvent_B(mirror, step_size)`` is ``grad h (J_{step_size B} (grad h* (mirror)))``, and B is applied first: put
    the function that is smooth relative to h there.

    Attributes
    ----------
    default_step_size : float
        Used where the method's ``step_size`` is None, and the unit of schedules that are relative.

    Notes
    -----
    Optional attributes and methods:

    default_schedule : schedule or adaptive rule
        Used instead of `default_step_size` where the method's ``step_size`` is None.
    mirror_distance(x, y) -> float
        Relative distance of the primal points behind two mirror points, in O(size); at most 2. Recorded by the methods
        as ``fixed_point_residual``. Without it, nothing is recorded under that name.
    local_coordinates(difference, at) -> ndarray, shape (any,)
        A difference of mirror points as a vector, linear in it, whose Euclidean norm is its length in the metric of
        ``grad^2 h*`` at the mirror point `at` (or something near it). For the accelerated methods: it decides on
        restarts and is what Anderson's combination makes small. Without it, the numbers of the mirror point as they
        are.
    residual_length(x, y) -> float
        Length of a step from x to y that vanishes at solutions even where mirror points run off to infinity; for the
        safeguard of Anderson's method. Without it, the norm of ``local_coordinates(y - x, x)``.
    prepare_split() -> SplitOracles
        The same oracles, made for many calls: constants computed, arguments that the library itself makes no longer
        checked. Asked for once, before a run. Without it, the oracles as they are.
    primal_pair(x, y, a, b) -> iterate
        Called instead of `primal`, with the mirror points of x_k and y_k and the operator values
        ``a in A(y_k)``, ``b in B(x_k)`` that the resolvents reveal. For problems whose measure needs both points.
    """

    default_step_size: float

    def initial_mirror(self, x0: Any) -> Any:
        """Return ``grad h(z_0)``; `x0` is None, a default start, an array, or an earlier solution."""
        ...

    def resolvent_A(self, mirror: Any, step_size: float) -> Any:
        """Return the mirror point of the resolvent of ``step_size * A``."""
        ...

    def resolvent_B(self, mirror: Any, step_size: float) -> Any:
        """Return the mirror point of the resolvent of ``step_size * B`` (applied first)."""
        ...

    def primal(self, mirror: Any, drift: Any = None) -> Any:
        """Return what ``measure`` and ``Result.solution`` receive.

        `drift` is the change of the mirror point over about the last half of the run (None at the start): where
        mirror points run off to infinity, as in linear programs, it points along a dual solution. A problem that has no
        use for it ignores it.
        """
        ...

    def check_mirror(self, mirror: Any) -> None:
        """Raise `DomainError` if an extrapolated mirror point leaves int dom h*; nothing to do where grad h is onto."""
        ...


def prepared_oracles(problem: Any) -> SplitOracles:
    """Return the oracles of a `SplitProblem` for many calls: its own ``prepare_split()`` if it has one."""
    own = getattr(problem, "prepare_split", None)
    if callable(own):
        prepared: SplitOracles = own()
        return prepared
    return SplitOracles(problem.resolvent_A, problem.resolvent_B, problem.check_mirror)


@runtime_checkable
class TwoBlockProblem(Problem, Protocol):
    """Minimise f(u) + g(v) subject to M u + N v = b; the multiplier w lives in dom h and is kept as a mirror point.

    The blocks u and v are arrays or anything that a state may hold.

    Attributes
    ----------
    default_step_size : float
        Used where the method's ``step_size`` is None.

    Notes
    -----
    Optional methods:

    minimize_both(mirror, step_size, u, v) -> (u, v)
        Joint minimiser of ``f(u) + g(v) + h*(mirror + step_size (M u + N v)) / step_size``, starting from the blocks
        given. Needed by `ExponentialMultipliers` only.
    mirror_distance(x, y) -> float
        As in `SplitProblem`.
    primal_triple(mirror, half_mirror, u, v) -> iterate
        Called instead of `primal_blocks`, with the multiplier after the u-step as well: the one for which u is exactly
        optimal.
    """

    default_step_size: float

    def initial_blocks(self, x0: Any) -> tuple[Any, Any, Any]:
        """Return the mirror point of the first multiplier w_0 and the blocks u_{-1}, v_{-1}."""
        ...

    def minimize_u(self, mirror: Any, step_size: float) -> Any:
        """Return ``argmin_u f(u) + h*(mirror + step_size M u) / step_size``."""
        ...

    def minimize_v(self, mirror: Any, step_size: float) -> Any:
        """Return ``argmin_v g(v) + h*(mirror + step_size N v) / step_size``."""
        ...

    def apply_M(self, u: Any) -> Any:
        """Return M u as a mirror point."""
        ...

    def apply_N(self, v: Any) -> Any:
        """Return N v as a mirror point."""
        ...

    def offset(self) -> Any:
        """Return b as a mirror point."""
        ...

    def primal_blocks(self, mirror: Any, u: Any, v: Any) -> Any:
        """Return what ``measure`` and ``Result.solution`` receive."""
        ...


SPLIT_ORACLES = ("initial_mirror", "resolvent_A", "resolvent_B", "primal")
TWO_BLOCK_ORACLES = (
    "initial_blocks",
    "minimize_u",
    "minimize_v",
    "apply_M",
    "apply_N",
    "offset",
    "primal_blocks",
)
