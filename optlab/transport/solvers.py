"""Other people's solvers under the same roof: POT's network simplex and Sinkhorn, and the HiGHS linear program.

Each is a method whose first iteration is the whole solve; further ones change nothing. So they give the same
`Result`, with the same certificate computed by optlab, and can be compared with `optlab.compare`.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.core import Method, State, Status
from optlab.core.stopping import Verdict
from optlab.core.validation import as_integer, as_number
from optlab.transport.balanced.plan import TransportPlan
from optlab.transport.balanced.problem import OptimalTransport
from optlab.transport.entropic.sinkhorn import against_transport
from optlab.transport.exact.lowered import lowered, without_lowered
from optlab.transport.plans.potentials import MirrorPlan


@dataclass
class SolverState(State):
    """What a solver answered (nothing at k = 0), on the support of the marginals.

    Parameters
    ----------
    mirror : MirrorPlan or None
        The start, or an answer in potential form.
    rows, columns, values : ndarray or None
        The positive entries of a plan given as a matrix.
    f, g : ndarray or None
        Its dual potentials.
    """

    mirror: MirrorPlan | None = None
    rows: np.ndarray | None = None
    columns: np.ndarray | None = None
    values: np.ndarray | None = None
    f: np.ndarray | None = None
    g: np.ndarray | None = None

    @property
    def finished(self) -> bool:
        """Whether further iterations would change nothing."""
        return self.k > 0


class _Solver(Method):
    """One solve as the first iteration."""

    regularized: ClassVar[bool | None] = False
    package: ClassVar[str] = "ot"
    solver: ClassVar[str] = "POT's network simplex"
    uninterruptible: ClassVar[bool] = True  # the one step is one call of foreign code, which looks at no clock

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against problems that the package does not solve."""
        return against_transport(problem, regularized=self.regularized)

    def init(self, problem: OptimalTransport, x0: Any, rng: Any) -> SolverState:
        """Return the state before the solve, at the start."""
        importlib.import_module(self.package)  # may take seconds, which are not the solver's
        return SolverState(0, mirror=problem.initial_mirror(x0))

    def step(self, problem: OptimalTransport, state: SolverState) -> SolverState:
        """Solve; from the second time on return the same answer."""
        if state.k > 0:
            return dataclasses.replace(state, k=state.k + 1)
        assert state.mirror is not None
        easier = lowered(problem) if self.regularized is False else None
        if easier is not None:
            answer = self.solve(easier, state.mirror)
            assert answer.rows is not None
            assert answer.columns is not None
            assert answer.values is not None
            kept = without_lowered(problem, answer.rows, answer.columns, answer.values)
            if kept is not None:
                parts = {name: getattr(answer, name)[kept] for name in ("rows", "columns", "values")}
                return dataclasses.replace(answer, **parts)
        return self.solve(problem, state.mirror)

    def solve(self, problem: OptimalTransport, start: MirrorPlan) -> SolverState:
        """Return the state after the solve; a start at inverse temperature zero is none."""
        raise NotImplementedError

    def verdict(self, problem: OptimalTransport, state: SolverState, metrics: dict[str, float]) -> Verdict | None:
        """Say after the solve that there is nothing left to do."""
        if not state.finished:
            return None
        return Verdict(
            Status.STALLED,
            f"{self.solver} has nothing left to do, and further iterations change nothing (relative_gap = "
            f"{metrics['relative_gap']:.3g} is the rounding of its arithmetic, or its own limits)",
        )

    def iterate(self, problem: OptimalTransport, state: SolverState) -> TransportPlan:
        """Return the plan, certified with the solver's own potentials."""
        if state.mirror is not None:
            return problem.primal(state.mirror)
        from scipy.sparse import coo_array

        assert state.rows is not None
        entries = (state.values, (problem.rows[state.rows], problem.columns[state.columns]))
        array = coo_array(entries, shape=problem.shape).tocsr()
        return TransportPlan(problem, array=array, row_candidates=[state.f], column_candidates=[state.g])


@dataclass(frozen=True)
class _Units:
    """A problem in a solver's units: mass about 1, costs about 1, whose tolerances are absolute.

    Only powers of two are divided by, and a constant is taken off the cost only where it is large beside the
    differences, so that nothing is rounded; and the unit is that of a typical cost: with the largest entry as the unit
    one "forbidden" pair of 10^12 would push all others below the tolerance.
    """

    a: np.ndarray
    b: np.ndarray
    cost: np.ndarray
    mass: float
    unit: float
    level: float

    @classmethod
    def of(cls, problem: OptimalTransport) -> _Units:
        cost = problem.active_cost
        array = np.array(cost.dense(), dtype=np.float64, order="C")  # single precision would round differences away
        low, high = cost.minimum, cost.maximum
        level = low if abs(low) > 2.0 * (high - low) else 0.0
        if level:
            array -= level
        sizes = np.abs(array[:: max(1, array.shape[0] // 64)])
        sizes = sizes[(sizes > 0.0) & np.isfinite(sizes)]
        unit = _power_of_two(float(np.median(sizes))) if sizes.size else 1.0
        array /= unit
        mass = _power_of_two(problem.mass)
        return cls(problem.active_a / mass, problem.active_b / mass, array, mass, unit, level)

    def answer(self, plan: np.ndarray, f: np.ndarray, g: np.ndarray) -> SolverState:
        """Return the state of a plan and potentials in these units."""
        rows, columns = np.nonzero(plan > 0.0)
        values = self.mass * plan[rows, columns]
        return SolverState(1, rows=rows, columns=columns, values=values, f=self.unit * f + self.level, g=self.unit * g)


def _power_of_two(value: float) -> float:
    return 2.0 ** round(math.log2(value))


@dataclass(frozen=True)
class NetworkSimplex(_Solver):
    """POT's network simplex (``ot.emd``): exact, on one core, with an n x m matrix in memory.

    On CPUs it is the fastest solver here for dense costs up to several thousand points. Potentials it is started from
    guide its first pivots: from those of a problem nearby it takes a half to a quarter of the time.

    Parameters
    ----------
    max_pivots : int, default 100_000_000

    References
    ----------
    Bonneel, van de Panne, Paris, Heidrich (2011); Flamary et al. (2021).

    Examples
    --------
    >>> import optlab
    >>> from optlab.transport import NetworkSimplex, OptimalTransport
    >>> problem = OptimalTransport([0.5, 0.5], [0.25, 0.75], [[0.0, 1.0], [1.0, 0.0]])
    >>> result = optlab.solve(problem, NetworkSimplex(), max_iter=1, tol=1e-12)
    >>> result.success, result.metrics["cost"]
    (True, 0.25)
    """

    max_pivots: int = 100_000_000
    reference: ClassVar[str] = "bonneel2011displacement"

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_pivots", as_integer(self.max_pivots, "max_pivots", minimum=1))

    def solve(self, problem: OptimalTransport, start: MirrorPlan) -> SolverState:
        """Return the state after the solve."""
        import ot

        units = _Units.of(problem)
        cost = units.cost
        potentials = None
        if start.inverse_temperature > 0.0:
            kappa = start.inverse_temperature * units.unit
            potentials = start.row / kappa - units.level / units.unit, start.column / kappa
        if problem.active_cost.has_forbidden:
            # a basic plan moves along cycles of at most 2 min(n, m) pairs, so at this price no optimal one is forbidden
            finite = cost[np.isfinite(cost)]
            low, high = float(finite.min()), float(finite.max())
            cost[np.isinf(cost)] = high + (2.0 * min(cost.shape) + 1.0) * ((high - low) or 1.0)
        with warnings.catch_warnings():
            # an answer that is not optimal shows in the certificate
            warnings.simplefilter("ignore")
            plan, log = ot.emd(units.a, units.b, cost, numItermax=self.max_pivots, log=True, potentials_init=potentials)
        return units.answer(np.asarray(plan), np.asarray(log["u"]), np.asarray(log["v"]))


@dataclass(frozen=True)
class LinearProgram(_Solver):
    """The transport linear program given to HiGHS (through SciPy): an independent reference for small problems.

    SciPy passes no start on, so that one is checked and otherwise ignored.

    Examples
    --------
    >>> import optlab
    >>> from optlab.transport import LinearProgram, OptimalTransport
    >>> problem = OptimalTransport([0.5, 0.5], [0.25, 0.75], [[0.0, 1.0], [1.0, 0.0]])
    >>> optlab.solve(problem, LinearProgram(), max_iter=1).metrics["cost"]
    0.25
    """

    package: ClassVar[str] = "scipy.optimize"
    solver: ClassVar[str] = "HiGHS"
    reference: ClassVar[str] = "huangfu2018parallelizing"

    def solve(self, problem: OptimalTransport, start: MirrorPlan) -> SolverState:
        """Return the state after the solve."""
        from scipy.optimize import linprog
        from scipy.sparse import eye_array, kron, vstack

        units = _Units.of(problem)
        cost = units.cost
        n, m = cost.shape
        marginals = vstack([kron(eye_array(n), np.ones((1, m))), kron(np.ones((1, n)), eye_array(m))], format="csc")
        allowed = np.flatnonzero(np.isfinite(cost.ravel()))
        right = np.concatenate([units.a, units.b])
        answer = linprog(cost.ravel()[allowed], A_eq=marginals[:, allowed], b_eq=right, method="highs")
        if answer.x is None:
            raise ArithmeticError(f"HiGHS found no plan: {answer.message}")
        duals = answer.eqlin.marginals
        plan = np.zeros(n * m)
        plan[allowed] = answer.x
        return units.answer(plan.reshape(n, m), duals[:n], duals[n:])


@dataclass(frozen=True)
class PeerSinkhorn(_Solver):
    """POT's log-domain Sinkhorn (``ot.bregman.sinkhorn_log``), run to its own tolerance.

    Parameters
    ----------
    regularization : float, optional
        Default: the problem's, or 1/500 of the cost's range if it has none.
    tol : float, default 1e-9
        POT's ``stopThr``: Euclidean error of the column sums, for mass 1.
    max_iter : int, default 10_000
        POT's ``numItermax``.

    Examples
    --------
    >>> import optlab
    >>> from optlab.datasets import transport_family
    >>> from optlab.transport import OptimalTransport, PeerSinkhorn
    >>> problem = OptimalTransport(*transport_family("l2", 20), regularization=0.05)
    >>> optlab.solve(problem, PeerSinkhorn(), max_iter=1, tol=1e-7).success
    True
    """

    regularization: float | None = None
    tol: float = 1e-9
    max_iter: int = 10_000
    regularized: ClassVar[bool | None] = None
    solver: ClassVar[str] = "POT's Sinkhorn"
    reference: ClassVar[str] = "flamary2021pot"

    def __post_init__(self) -> None:
        if self.regularization is not None:
            value = as_number(self.regularization, "regularization", above=0.0)
            object.__setattr__(self, "regularization", value)
        object.__setattr__(self, "tol", as_number(self.tol, "tol", above=0.0))
        object.__setattr__(self, "max_iter", as_integer(self.max_iter, "max_iter", minimum=1))

    def solve(self, problem: OptimalTransport, start: MirrorPlan) -> SolverState:
        """Return the state after the solve."""
        import ot

        units = _Units.of(problem)
        regularization = self.regularization or problem.regularization or problem.cost_range / 500.0
        kappa = 1.0 / regularization
        shift = np.log(units.mass) + kappa * units.level
        potentials = None
        if start.inverse_temperature > 0.0:
            factor = kappa / start.inverse_temperature
            potentials = factor * start.row, factor * start.column - shift
        _, log = ot.bregman.sinkhorn_log(
            units.a, units.b, units.cost, regularization / units.unit,
            numItermax=self.max_iter, stopThr=self.tol, log=True, warn=False, warmstart=potentials,
        )  # fmt: skip
        row, column = np.asarray(log["log_u"]), np.asarray(log["log_v"])
        column = column + shift
        return SolverState(1, mirror=MirrorPlan(row, column, kappa).recentred())
