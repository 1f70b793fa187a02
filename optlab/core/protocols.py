"""What a problem, a method and a state must offer to be run by `optlab.solve`.

All three are structural: a class of your own need not inherit from anything here, it only needs the methods.
Inheriting from `Method` or `Problem` adds the defaults (``advance`` as repeated ``step``, an empty ``measure``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np


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

    Optional methods
    ----------------
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


class Method(Protocol):
    """An algorithm: hyperparameters only, normally a frozen dataclass.

    A method never holds run state, never prints, never times and never tests convergence. It implements `step`
    (heavy iterations) or `advance` (cheap ones: a whole record interval inside one compiled call). ``advance`` must
    not depend on how a run is cut into calls: ``advance(n)`` then ``advance(m)`` is ``advance(n + m)``, bit for bit.

    Optional attributes
    -------------------
    reference : str
        Key of the paper in ``optlab/references.bib``; read by `optlab.cite`.
    init_is_work : bool
        That `init` does a part of the method's work, which is solver time then. Otherwise its time is preparation
        (``Result.setup_time``), unless the state it returns has ``oracle_calls`` above 0.
    uninterruptible : bool
        That one iteration is a whole run of another solver, which neither a time limit nor Ctrl-C can stop.

    Optional methods
    ----------------
    verdict(problem, state, metrics) -> optlab.stopping.Verdict or None
        Asked at each record point after the stopping rules, unless they found convergence: what only the method can
        know of its state. That it is a fixed point which the method cannot leave (``Status.CONVERGED``, or
        ``Status.STALLED`` with the reason), or that the iterates certify the problem to be infeasible or unbounded
        (``Status.INFEASIBLE``, ``Status.UNBOUNDED``).
    """

    def init(self, problem: Any, x0: Any, rng: np.random.Generator) -> Any:
        """Return the state at iteration 0; `x0` is the default start, the caller's, or an earlier solution."""
        ...

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
        ...

    def measure(self, problem: Any, state: Any) -> dict[str, float]:
        """Return the method's own quantities to record: step sizes, Lyapunov values, duals. Default: none."""
        return {}
