"""What a problem, a method and a state must offer to be run by `optlab.solve`.

All three are structural: a class of your own need not inherit from anything here, it only needs the methods.
Inheriting from `Method` or `Problem` adds the defaults (``advance`` as repeated ``step``, an empty ``measure``).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self, TypeVar, runtime_checkable

import numpy as np

from optlab.core.contract.fixed_point import FixedPointMap
from optlab.core.contract.slots import Slot
from optlab.core.errors import IncompatibleError


@dataclass
class State:
    """Base of every method's run state: arrays and scalars, with the iteration count `k`.

    A state is a plain dataclass. Its fields are arrays, numbers, strings, booleans, None, `numpy.random.Generator`,
    or tuples, lists, dicts (string keys) and dataclasses of these; that is what a checkpoint can hold without pickle.
    A method treats the state it is given as read-only and returns a new one, so that an earlier state stays valid.

    Parameters
    ----------
    k : int
        Number of iterations done.
    oracle_calls : int, optional
        A field or property: the work done so far, in units of the method's own. It becomes the history's column of this
        name; without it iterations are counted.
    """

    k: int


@runtime_checkable
class Problem(Protocol):
    """What is to be solved, and how good an iterate is. Holds validated data and no algorithm.

    Attributes
    ----------
    primary_metric : str
        The metric that a bare ``tol=1e-6`` refers to; smaller is better.

    Notes
    -----
    Optional attributes:

    array_points : bool
        Whether the points that `measure` takes are plain arrays, which can be averaged; default: no.
    offers : mapping of str to tuple of str
        For a problem of several terms: its oracles, and the terms that each speaks for, see
        `optlab.core.contract.capabilities`.

    Optional methods:

    hint(method, state, metrics) -> str or None
        Asked when a run ends without having converged: advice that only the problem can give (a step size known to be
        too large, say), appended to ``Result.message``.
    """

    primary_metric: str

    def default_start(self, rng: np.random.Generator) -> Any:
        """Return the start used when the caller gives no ``x0``."""
        ...

    def measure(self, iterate: Any) -> dict[str, float]:
        """Return the metrics of an iterate: always the same names, always plain floats."""
        ...


class Method(FixedPointMap):
    """An algorithm: hyperparameters only, normally a frozen dataclass.

    A method never holds run state, never prints, never times and never tests convergence. It implements `step`
    (heavy iterations) or `advance` (cheap ones: a whole record interval inside one compiled call). ``advance`` must
    not depend on how a run is cut into calls: ``advance(n)`` then ``advance(m)`` is ``advance(n + m)``, bit for bit.

    Notes
    -----
    Optional attributes:

    reference : str
        Key of the paper in ``optlab/references.bib``; read by `optlab.cite`.
    needs : str
        What kind of problem has the oracles in `requires`, for the error message ("a problem to split").
    init_is_work : bool
        That `init` does a part of the method's work, which is solver time then. Otherwise its time is preparation
        (``Result.setup_time``), unless the state it returns has ``oracle_calls`` above 0.
    uninterruptible : bool
        That one iteration is a whole run of another solver, which neither a time limit nor Ctrl-C can stop.

    Optional methods:

    verdict(problem, state, metrics) -> optlab.stopping.Verdict or None
        Asked at each record point after the stopping rules, unless they found convergence: what only the method can
        know of its state. That it is a fixed point which the method cannot leave (``Status.CONVERGED``, which becomes
        ``Status.STALLED`` where a tolerance of the caller's is missed), or that the iterates certify the problem to be
        infeasible or unbounded (``Status.INFEASIBLE``, ``Status.UNBOUNDED``).
    """

    requires: ClassVar[tuple[str, ...]] = ()
    """Names of the problem's oracles that the method calls; checked before a run, exhaustively over the terms."""

    slots: ClassVar[tuple[Slot, ...]] = ()
    """The places that a method for sums of terms has for them; every term of a problem must find one."""

    wraps: ClassVar[bool] = False
    """Whether the method wraps another one, and runs where that one does."""

    fuses_averages: ClassVar[bool] = False
    """Whether averages are summed inside the method's own loop, by ``begin_average(problem, state)``,
    ``advance_averaging(problem, state, n, start, weights)`` and ``average(problem, state)``."""

    def interpolates(self, problem: Any) -> bool:
        """Return whether the method's own loop can take its gradients near an average (`optlab.compiled.primal`).

        If so, by ``begin_near(problem, state, coefficients, decay, interpolation)``,
        ``advance_near(problem, state, n, near)`` and ``near_value(state, near)``.
        """
        return False

    def takes_outer_steps(self, problem: Any) -> bool:
        """Return whether the method's own loop can move slow weights (`optlab.compiled.outer`).

        If so, by ``advance_outer(problem, state, n, outer)``.
        """
        return False

    def accepts(self, problem: Any) -> str | None:
        """Return why the method cannot run on `problem`, as a clause after its name ("needs ..."), or None.

        For what a list of oracles cannot say; asked after `requires` is met. It computes nothing.
        """
        return None

    @classmethod
    def example(cls) -> Self:
        """Return a method of this class with sensible settings, for tables and conformance tests."""
        return cls()

    def prepare(self, problem: Any) -> Self:
        """Return this method with all that can be made once for `problem`: resolved rules, constants, layouts.

        The driver asks for it before the clock starts, and calls nothing but what is returned: a copy that equals the
        method itself (`prepared_with`) and gives the same states, bit for bit. What it holds belongs to one run; it is
        never stored, and `step` works without it, only slower. Default: nothing to prepare, the method itself.
        """
        return self

    def init(self, problem: Any, x0: Any, rng: np.random.Generator) -> Any:
        """Return the state at iteration 0; `x0` is the default start, the caller's, or an earlier solution."""
        raise TypeError(f"{type(self).__name__} must implement init(problem, x0, rng)")

    def step(self, problem: Any, state: Any) -> Any:
        """Return the state one iteration later, leaving `state` as it was."""
        return self.advance(problem, state, 1)

    def advance(self, problem: Any, state: Any, n: int) -> Any:
        """Return the state `n` iterations later, leaving `state` as it was."""
        if type(self).step is Method.step:
            raise TypeError(f"{type(self).__name__} must implement step(problem, state) or advance(problem, state, n)")
        for _ in range(n):
            state = self.step(problem, state)
        return state

    def iterate(self, problem: Any, state: Any) -> Any:
        """Return what ``problem.measure`` and ``Result.solution`` receive."""
        raise TypeError(f"{type(self).__name__} must implement iterate(problem, state)")

    def variable(self, state: Any) -> Any:
        """Return what the fixed-point map of the method moves: an array, or an object closed under +, - and scaling.

        With `with_variable` it is all that a wrapper (`optlab.wrappers`) needs.
        """
        raise IncompatibleError(f"{type(self).__name__} says of no variable that its iteration moves it")

    def with_variable(self, problem: Any, state: Any, value: Any) -> Any:
        """Return `state` with `value` in the place of its variable, ready for the next step.

        Raises
        ------
        DomainError
            If the iteration cannot go on from there.
        """
        raise IncompatibleError(f"{type(self).__name__} says of no variable that its iteration moves it")

    def step_size_of(self, state: Any) -> float:
        """Return the step size of the iteration that made `state`: the weight of averages by schedule."""
        raise IncompatibleError(f"{type(self).__name__} has no step sizes to weigh averages by")

    def _repr_html_(self) -> str:
        from optlab.core.records.notebook import method_html

        return method_html(self)

    def measure(self, problem: Any, state: Any) -> dict[str, float]:
        """Return the method's own quantities to record: step sizes, Lyapunov values, duals. Default: none."""
        return {}


_M = TypeVar("_M", bound=Method)


def prepared_with(method: _M, /, **prepared: Any) -> _M:
    """Return a copy of a method that holds what it has prepared, as attributes beside its hyperparameters.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class Descent(Method):
    ...     step_size: float = 0.1
    ...     _curvature: ClassVar[Any] = None
    >>> ready = prepared_with(Descent(), _curvature=2.0)
    >>> ready == Descent(), ready._curvature, Descent()._curvature
    (True, 2.0, None)
    """
    ready = copy.copy(method)
    for name, value in prepared.items():
        object.__setattr__(ready, name, value)  # a method is a frozen dataclass
    return ready
