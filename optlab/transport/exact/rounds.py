"""Exact optimal transport between thousands of points in O(n) memory: scaling, a sparse linear program, pricing.

`ExactTransport` solves the unregularised problem to rounding, and proves it:

1. Approximate dual potentials, by annealed scaling from coarse to fine (`optlab.transport.exact.multiscale`).
2. The linear program on the pairs of small slack and a backbone, by POT's sparse network simplex on reduced costs
   (`optlab.transport.exact.candidates`).
3. Pricing: all pairs are scanned, none stored (`optlab.transport.costs.pricing`). Pairs with ``f_i + g_j > C_ij`` join
   the sparse problem, and 2 and 3 are repeated; without any, plan and potentials are optimal. The pairs that joined
   prove it on the way: lowering f to feasibility gives a lower bound on the optimum in every round.

One iteration is one round (the first includes the scaling), so that the history is of certified gaps. This is column
generation for a transport problem, in the spirit of Schmitzer, "A sparse multiscale algorithm for dense optimal
transport", J. Math. Imaging Vision 56 (2016), with potentials from entropic scaling and with pricing of all pairs
instead of shielding, so that any cost may be given.

Not here: an own simplex method; regularised, unbalanced or partial problems.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
import weakref
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from optlab.core import Method, State, Status
from optlab.core.stopping import Verdict
from optlab.core.validation import as_integer
from optlab.transport.balanced.plan import TransportPlan
from optlab.transport.balanced.problem import OptimalTransport
from optlab.transport.costs.base import Cost
from optlab.transport.costs.dense import DenseCost
from optlab.transport.costs.feasibility import fill_up
from optlab.transport.costs.point_cloud import PointCloudCost
from optlab.transport.costs.pricing import BlockedCost
from optlab.transport.entropic.sinkhorn import against_transport
from optlab.transport.exact.candidates import Arcs, backbone, candidates, solve_sparse
from optlab.transport.exact.lowered import lowered, without_lowered
from optlab.transport.exact.multiscale import Hierarchy, anneal, listed, raised
from optlab.transport.kernels import forest_kernels
from optlab.transport.plans.certificates import ArrayEntries, DualBound, RoundedPlan, dual_start, exact_dot
from optlab.transport.plans.marginals import require_data

_ROUNDOFF = 1e-15  # violations below this part of the cost's size are rounding
_FEW_PAIRS = 2**14  # up to here one linear program on all pairs takes no longer than finding out which matter
_FUTILE = 3  # rounds whose violated pairs were all in the sparse problem already, after which rounding is to blame


@dataclass
class ExactState(State):
    """State after k rounds, on the support of the marginals.

    Parameters
    ----------
    f, g : ndarray
        Potentials, feasible.
    rows, columns, values : ndarray
        The plan's positive entries.
    cost, dual_objective : float
        What plan and potentials prove.
    largest_violation : float
        How far the sparse problem's potentials were from feasible, in units of the cost.
    arc_rows, arc_columns : ndarray of int or None
        Pairs of the next sparse problem; None before the first.
    warm : bool
        Whether f and g are a caller's potentials, to be used as they are.
    futile : int
        Rounds without a new pair.
    finished : bool
        Whether further rounds would change nothing.
    lowered : bool
        Whether the rounds are those of the problem with its largest costs lowered.
    """

    f: np.ndarray
    g: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    cost: float
    dual_objective: float
    largest_violation: float = 0.0
    arc_rows: np.ndarray | None = None
    arc_columns: np.ndarray | None = None
    warm: bool = False
    futile: int = 0
    finished: bool = False
    lowered: bool = False


class ArcEntries(ArrayEntries):
    """A sparse plan whose cost is known."""

    def __init__(self, cost: Any, array: Any, value: float):
        super().__init__(cost, array)
        self.value = value

    def moments(self) -> tuple[np.ndarray, np.ndarray, float]:
        rows, columns = (np.asarray(self.array.sum(axis=k), dtype=np.float64).ravel() for k in (1, 0))
        return rows, columns, self.value

    def sparse(self, threshold: float, left: Any = None, right: Any = None) -> Any:
        array = self.array.copy()
        array.data[array.data <= threshold] = 0.0
        array.eliminate_zeros()
        return array


class ExactPlan(TransportPlan):
    """A sparse transport plan with its certificate: no further pass over the cost is needed for either.

    Everything a `TransportPlan` offers; ``sparse()`` is what was computed.

    Attributes
    ----------
    largest_violation : float
        Largest ``f_i + g_j - C_ij`` over *all* pairs, of the potentials before they were made feasible.
    """

    def __init__(self, problem: OptimalTransport, state: ExactState):
        from scipy.sparse import coo_array

        require_data(problem)
        if not isinstance(state, ExactState):
            raise TypeError(f"state must be one of ExactTransport's, got {type(state).__name__}")
        n, m = problem.active_cost.shape
        inside = coo_array((state.values, (state.rows, state.columns)), shape=(n, m)).tocsr()
        full = inside
        if problem.has_zeros:
            entries = (state.values, (problem.rows[state.rows], problem.columns[state.columns]))
            full = coo_array(entries, shape=problem.shape).tocsr()
        super().__init__(problem, array=full, row_candidates=[state.f], column_candidates=[state.g])
        self._entries = ArcEntries(problem.active_cost, inside, state.cost)
        self._state = state
        self.largest_violation = state.largest_violation

    @cached_property
    def _rounding(self) -> RoundedPlan:
        n, m = self.problem.active_cost.shape
        rows, columns, cost = self._entries.moments()
        return RoundedPlan(self._entries, np.zeros(n), np.zeros(m), cost, rows, columns)

    @cached_property
    def _dual(self) -> DualBound:
        state, problem = self._state, self.problem
        products = [*(problem.active_a * state.f).tolist(), *(problem.active_b * state.g).tolist()]
        return DualBound.of(state.f, state.g, products).or_lowest(problem.active_cost, problem.active_a)

    def sparse(self, threshold: float | None = None) -> Any:
        """Return the plan as a SciPy CSR array; entries at most `threshold` (default 0) are left out."""
        return super().sparse(0.0 if threshold is None else threshold)


@dataclass(frozen=True)
class ExactTransport(Method):
    """Exact optimal transport: annealed scaling, then rounds of a sparse linear program and pricing of all pairs.

    For clouds of thousands to some ten thousand points, or a dense cost; memory beyond the cost is O(n + m). In low
    dimension bounds over blocks spare most of the pricing.

    Parameters
    ----------
    violated : int, default 6
        Violated pairs that may join in a round, for each row.

    References
    ----------
    Schmitzer (2016), with the differences said at the head of this file.

    Examples
    --------
    >>> import numpy as np
    >>> import optlab
    >>> from optlab.transport import ExactTransport, OptimalTransport, PointCloudCost
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.random((300, 2)), rng.random((400, 2))
    >>> problem = OptimalTransport(np.full(300, 1 / 300), np.full(400, 1 / 400), PointCloudCost(x, y))
    >>> result = optlab.solve(problem, ExactTransport(), tol=1e-9, max_iter=50)
    >>> result.success, result.solution.sparse().nnz <= 699, result.solution.largest_violation < 1e-14
    (True, True, True)
    """

    violated: int = 6
    reference: ClassVar[str] = "schmitzer2016sparse"
    init_is_work: ClassVar[bool] = True  # the first plan is a few per cent of it

    def __post_init__(self) -> None:
        object.__setattr__(self, "violated", as_integer(self.violated, "violated", minimum=1))

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against regularised problems."""
        return against_transport(problem, regularized=False)

    def init(self, problem: OptimalTransport, x0: Any, rng: Any) -> ExactState:
        """Return the state before the first round: a plan on the backbone, and potentials."""
        importlib.import_module("ot.lp.emd_wrap")  # may take seconds, which are not the method's
        cost = problem.active_cost
        mirror = problem.initial_mirror(x0)
        warm = mirror.inverse_temperature > 0.0
        f, g = mirror.row, mirror.column
        if warm:
            f, g = (dual_start(v / mirror.inverse_temperature, cost) for v in (f, g))
        if _at_once(cost):
            g = cost.minimum_columns(f)
            f = cost.minimum_rows(g)
            pattern, costs = cost.pattern, cost.pattern_costs
            if cost.has_forbidden:
                flows = fill_up(pattern, np.zeros(costs.size), problem.active_a, problem.active_b)[0]
            else:
                flows = (problem.active_a[:, None] * (problem.active_b / problem.mass)).ravel()
            some = flows > 0.0
            rows, columns, values, costs = pattern.rows[some], pattern.columns[some], flows[some], costs[some]
            value = exact_dot(costs, values)
            values = values / problem.mass
        else:
            layout = _layout(problem)
            f, g = layout.feasible(f, g)
            none = np.empty(0, dtype=np.int64)
            rows, columns, values = backbone(layout.a, layout.b, none, none)
            value = problem.mass * exact_dot(layout.cost.cost.pair_costs(rows, columns), values)
            rows, columns, values = layout.original(rows, columns, values)
        dual_value = _dual_value(problem, f, g)
        return ExactState(
            0, f, g, rows, columns, problem.mass * values, value, dual_value,
            warm=warm, lowered=lowered(problem) is not None,
        )  # fmt: skip

    def step(self, problem: OptimalTransport, state: ExactState) -> ExactState:
        """Return the state after one more round; a finished one stays as it is."""
        if state.finished:
            return dataclasses.replace(state, k=state.k + 1)
        if not state.lowered:
            return self._round(problem, state)
        easier = lowered(problem)
        assert easier is not None
        state = dataclasses.replace(self._round(easier, state), lowered=True)
        kept = without_lowered(problem, state.rows, state.columns, state.values)
        if kept is not None:
            parts = {name: getattr(state, name)[kept] for name in ("rows", "columns", "values")}
        else:
            parts = {}
        state = dataclasses.replace(state, **parts)
        state.cost = exact_dot(problem.active_cost.pair_costs(state.rows, state.columns), state.values)
        if state.finished and kept is None:  # the large entries are used: start again with them, at these potentials
            state = dataclasses.replace(state, lowered=False, finished=False, futile=0, arc_rows=None, arc_columns=None)
            state.warm = True
        return state

    def _round(self, problem: OptimalTransport, state: ExactState) -> ExactState:
        if _at_once(problem.active_cost):
            return self._all_at_once(problem, state)
        layout = _layout(problem)
        cost, a, b = layout.cost, layout.a, layout.b
        f, g = layout.ordered(state.f, state.g)

        if state.arc_rows is None or state.arc_columns is None:
            # potentials and the pairs of small slack
            start = listed(cost, f, g) if state.warm else anneal(cost, a, b, problem.cost_range, layout.hierarchies)
            f, g = start.f, start.g
            arcs = candidates(cost, layout.transposed, a, b, start)
        else:
            arcs = Arcs(state.arc_rows, state.arc_columns, cost.cost.pair_costs(state.arc_rows, state.arc_columns))

        # the sparse problem, then all pairs at its potentials
        flows, f, g = solve_sparse(a, b, arcs, f, g)
        size = max(float(np.abs(v).max()) for v in (arcs.costs, f, g))
        found = cost.price(f, g, tolerance=_ROUNDOFF * size, keep=self.violated)
        largest_violation = 0.0 - float(found.shortfall.min())  # not -0
        value = problem.mass * exact_dot(arcs.costs, flows)
        positive = flows > 0.0
        rows, columns, values = layout.original(arcs.rows[positive], arcs.columns[positive], flows[positive])

        futile = state.futile + 1 if arcs.contain(found.rows, found.columns, cost.shape[1]) else 0
        following = _without_detours(arcs, flows, f, g) if state.k == 0 or state.futile else arcs
        following = following.joined(found.rows, found.columns, cost)
        f, g = layout.back(f + found.shortfall, g)
        return ExactState(
            state.k + 1, f, g, rows, columns, problem.mass * values, value, _dual_value(problem, f, g),
            largest_violation, following.rows, following.columns,
            futile=futile, finished=found.rows.size == 0 or futile >= _FUTILE,
        )  # fmt: skip

    @staticmethod
    def _all_at_once(problem: OptimalTransport, state: ExactState) -> ExactState:
        """Return the state after the linear program on all allowed pairs."""
        rows, columns, values, costs, f, g, violation = _on_pattern(problem, state.f, state.g)
        value = problem.mass * exact_dot(costs, values)
        return ExactState(
            state.k + 1, f, g, rows, columns, problem.mass * values, value, _dual_value(problem, f, g), violation,
            finished=True,
        )  # fmt: skip

    def verdict(self, problem: OptimalTransport, state: ExactState, metrics: dict[str, float]) -> Verdict | None:
        """Say that there is nothing left to do once no pair is violated, or only by rounding."""
        if not state.finished:
            return None
        return Verdict(
            Status.STALLED,
            "further iterations change nothing: no pair is violated by more than rounding (relative_gap = "
            f"{metrics['relative_gap']:.3g} is what that leaves)",
        )

    def iterate(self, problem: OptimalTransport, state: ExactState) -> ExactPlan:
        """Return the plan of the last sparse problem, with its certificate."""
        return ExactPlan(problem, state)

    def measure(self, problem: OptimalTransport, state: ExactState) -> dict[str, float]:
        """Return ``largest_violation`` and ``arcs``, the pairs of the sparse problem (at first, the plan's entries)."""
        arcs = state.rows if state.arc_rows is None else state.arc_rows
        return {"largest_violation": state.largest_violation, "arcs": float(arcs.size)}


def _at_once(cost: Cost) -> bool:
    """Whether the first linear program has all allowed pairs: some are forbidden, or there are few."""
    return cost.has_forbidden or cost.shape[0] * cost.shape[1] <= _FEW_PAIRS


def _dual_value(problem: OptimalTransport, f: np.ndarray, g: np.ndarray) -> float:
    return math.fsum([*(problem.active_a * f).tolist(), *(problem.active_b * g).tolist()])


def _without_detours(arcs: Arcs, flows: np.ndarray, f: np.ndarray, g: np.ndarray) -> Arcs:
    """Return the arcs less those of the backbone that proved of no use.

    The network simplex measures in the largest cost of its arcs; without detours, so much more finely.
    """
    slack = arcs.slacks(f, g)
    idle = flows <= 0.0
    middle = float(np.median(slack[idle])) if np.any(idle) else 0.0
    return arcs.kept(~idle | (slack <= 30.0 * middle)) if middle > 0.0 else arcs


def _on_pattern(problem: OptimalTransport, f: np.ndarray, g: np.ndarray) -> tuple[Any, ...]:
    """Solve on all allowed pairs; return the plan's entries with their costs, feasible potentials, the violation."""
    cost = problem.active_cost
    arcs = Arcs(*(np.asarray(v) for v in (cost.pattern.rows, cost.pattern.columns, cost.pattern_costs)))
    flows, f, g = solve_sparse(problem.active_a / problem.mass, problem.active_b / problem.mass, arcs, f, g)
    shortfall = np.zeros(f.size)
    np.minimum.at(shortfall, arcs.rows, arcs.slacks(f, g))
    kept = arcs.kept(flows > 0.0)
    violation = 0.0 - float(shortfall.min())
    return kept.rows, kept.columns, flows[flows > 0.0], kept.costs, f + shortfall, g, violation


# ---------------------------------------------------------------------------------------- order and orientation


class _Layout:
    """A problem's cost and marginals (mass 1) as the scans want them.

    Storage is not transposed, near points are together, and points at the same place are one: ties between them would
    have to be priced one by one.
    """

    def __init__(self, problem: OptimalTransport):
        cost = problem.active_cost
        a, b = problem.active_a / problem.mass, problem.active_b / problem.mass
        self.flipped = cost._flipped
        if self.flipped:
            cost, a, b = cost.T, b, a
        self.hierarchies: Any = None
        self.weights = a, b
        self.labels = np.arange(a.size), np.arange(b.size)  # place of each row and column here
        edges: Any = (None, None)
        if isinstance(cost, PointCloudCost):
            (x, rows, row_labels), (y, columns, column_labels) = _placed(cost.x), _placed(cost.y)
            cost = PointCloudCost._trusted(x, y, cost.metric)
            self.hierarchies = rows, columns
            self.labels = row_labels, column_labels
            edges = rows.blocks(), columns.blocks()
        self.members = tuple(np.argsort(labels, kind="stable") for labels in self.labels)
        self.a, self.b = (np.bincount(labels, w) for labels, w in zip(self.labels, (a, b)))
        self.cost = BlockedCost(cost, *edges)
        self._other_edges = edges[::-1]

    @property
    def transposed(self) -> BlockedCost:
        """The transpose; of a dense cost a copy."""
        cost = self.cost.cost
        if isinstance(cost, PointCloudCost):
            return BlockedCost(cost.T, *self._other_edges)
        return BlockedCost(DenseCost._trusted(np.array(cost.dense().T, order="C")))

    def feasible(self, f: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return feasible potentials of the problem: c-transforms, as far as they can be had from lists of pairs."""
        f, g = self.ordered(f, g)
        if self.cost.pruned:
            f, g = raised(self.cost, *raised(self.cost, f, g, by_rows=False), by_rows=True)
        else:
            g = self.cost.cost.minimum_columns(f)
            f = self.cost.cost.minimum_rows(g)
        return self.back(f, g)

    def ordered(self, f: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return potentials of the problem in this layout."""
        f, g = (g, f) if self.flipped else (f, g)
        out = np.empty(self.a.size), np.empty(self.b.size)
        out[0][self.labels[0]], out[1][self.labels[1]] = f, g
        return out

    def back(self, f: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return potentials of this layout as the problem's."""
        f, g = f[self.labels[0]], g[self.labels[1]]
        return (g, f) if self.flipped else (f, g)

    def original(
        self, rows: np.ndarray, columns: np.ndarray, values: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return a plan's entries as the problem's."""
        rows, item, values = self._dealt_out(0, rows, values)
        columns, item, values = self._dealt_out(1, columns[item], values)
        rows = rows[item]
        return (columns, rows, values) if self.flipped else (rows, columns, values)

    def _dealt_out(self, side: int, places: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, ...]:
        """Deal flows out to the points at their places; return points, the flow each share is of, and shares."""
        members, size = self.members[side], (self.a, self.b)[side].size
        if size == members.size:
            return members[places], np.arange(places.size), values
        order = np.argsort(places, kind="stable")
        starts, member_starts = (
            np.searchsorted(v, np.arange(size + 1)) for v in (places[order], self.labels[side][members])
        )
        weights = self.weights[side][members]
        items, shares, amounts = forest_kernels.share_out(starts, values[order], member_starts, weights)
        some = amounts > 0.0
        return members[shares[some]], order[items[some]], amounts[some]


def _placed(points: np.ndarray) -> tuple[np.ndarray, Hierarchy, np.ndarray]:
    """Return the different points in the order of their hierarchy, the hierarchy, and each point's place there."""
    different, labels = np.unique(points, axis=0, return_inverse=True)
    if different.shape[0] == points.shape[0]:
        different, labels = points, np.arange(points.shape[0])
    hierarchy = Hierarchy.of(different)
    place = np.empty(different.shape[0], dtype=np.int64)
    place[hierarchy.order] = np.arange(place.size)
    return different[hierarchy.order], hierarchy, place[labels.ravel()]


_LAYOUTS: weakref.WeakKeyDictionary[OptimalTransport, _Layout] = weakref.WeakKeyDictionary()


def _layout(problem: OptimalTransport) -> _Layout:
    """Return the problem's layout, made once: a state then need not carry it."""
    if problem not in _LAYOUTS:
        _LAYOUTS[problem] = _Layout(problem)
    return _LAYOUTS[problem]
