"""Plans with at most k non-zeros in every column: when there is none, when there is one, and a search for good ones.

Whether a plan within the limit exists is a packing problem, hard in general (for k = 1 every column goes to one row,
and the masses must fit exactly). What can be said at once:

* None exists if ``n > k m`` (every row needs an entry), or if a column's mass exceeds that of the k heaviest rows
  allowed to it.
* For columns of equal mass and k >= 2, all pairs allowed, one exists if ``n <= (k - 1) m + 1``; for marginals without
  coinciding partial sums no fewer pairs connect all points, so that the condition is then also necessary. The plan is
  made column by column, each taking whole rows and a part of one more, k at most. These exist: if the lightest rows do
  not do, the k - 1 lightest hold at most a column's mass and the k heaviest at least that, so that on the way from one
  set to the other, exchanging one row at a time, there is an exchange that crosses it (derived here; k = 2 is Walker's
  alias method, 1977).

The search (`limited_plan`) starts from a plan of the relaxation. Columns over the limit lose their smallest entries, as
many at a time as leave a plan possible, by a maximum flow; between the rounds the quadratic problem is solved anew on
the pairs left. If that ends over the limit, linear programs follow: their vertices have fewer entries, and those beyond
the limit are priced higher from one to the next. If that does not end within the limit either, the construction above
is tried, whatever the columns' masses; it knows nothing of the cost. Points of equal mass are then exchanged for one
another where that lowers the cost, and what is found is polished: entries that stayed empty are exchanged for those of
least reduced cost, and the quadratic problem on these pairs is solved again. Not here: branching, so that a failure
proves nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from optlab.transport.costs.base import Cost
from optlab.transport.costs.feasibility import InfeasibleError, Pattern, _some, fill_up
from optlab.transport.costs.sparse import SparseCost

if TYPE_CHECKING:
    from optlab.transport.quadratic.plan import QuadraticPlan

_ROUNDOFF = 1e-12
_ROUNDS = 40
_LARGEST_ASSIGNMENT = 3000  # points a side
_PROGRAMS = 60
_MANY = 30  # pairs beyond the limit that the linear programs have for every column
_EXTRA = 4  # pairs beyond the limit that a column not yet restricted may use


class InfeasibleLimitError(InfeasibleError):
    """No plan has so few non-zeros in every column: counting proves it.

    Attributes
    ----------
    rows, columns : ndarray of int
        Rows that need entries and columns that have too few, or the heaviest rows of a column they cannot fill.
    excess : float
        Mass by which the column exceeds the rows (0 if it is their number that does not fit).
    """

    def __init__(self, rows: np.ndarray, columns: np.ndarray, excess: float, message: str):
        self.rows, self.columns, self.excess = rows, columns, excess
        ValueError.__init__(self, message)


def check_limit(
    cost: Cost, a: np.ndarray, b: np.ndarray, limit: int, row_names: np.ndarray, column_names: np.ndarray
) -> None:
    """Raise `InfeasibleLimitError` if counting proves that no plan has at most `limit` non-zeros in every column."""
    n, m = a.size, b.size
    if n > limit * m:
        raise InfeasibleLimitError(
            row_names, column_names, 0.0,
            f"max_nonzeros must be at least {-(-n // m)}: each of {n} rows with mass needs an entry, and {m} columns "
            f"of at most {limit} non-zeros have {limit * m}",
        )  # fmt: skip
    heaviest = np.argsort(-a, kind="stable")[:limit]
    reach = np.full(m, float(a[heaviest].sum()))
    if cost.has_forbidden:
        pattern = cost.pattern
        order = np.lexsort((-a[pattern.rows], pattern.columns))
        columns, weights = pattern.columns[order], a[pattern.rows[order]]
        starts = np.searchsorted(columns, np.arange(m))
        rank = np.arange(columns.size) - starts[columns]
        reach = np.bincount(columns, np.where(rank < limit, weights, 0.0), m)
    excess = b - reach
    worst = int(np.argmax(excess))
    if excess[worst] > _ROUNDOFF * float(a.sum()):
        rows = heaviest
        if cost.has_forbidden:
            allowed = pattern.rows[pattern.columns == worst]
            rows = allowed[np.argsort(-a[allowed], kind="stable")[:limit]]
        raise InfeasibleLimitError(
            row_names[rows], column_names[[worst]], float(excess[worst]),
            f"max_nonzeros must be larger: column {column_names[worst]} has mass {b[worst]:.6g}, and the {limit} "
            f"heaviest rows allowed to it, {_some(row_names[rows])}, only {reach[worst]:.6g}",
        )  # fmt: skip


# ---------------------------------------------------------------------------------------- the search


def limited_plan(plan: QuadraticPlan) -> QuadraticPlan | None:
    """Return a plan within the limit with exact marginals, as good as was found, or None.

    Parameters
    ----------
    plan : QuadraticPlan
        Of the relaxation; its dual bound certifies the answer.
    """
    plan = plan.rounded()  # type: ignore[assignment]
    if plan.columns_over_limit == 0:
        return plan
    for start in (_dive, _gentle_dive, _by_penalties, _by_windows):
        found = start(plan)
        if found is not None:
            return _polished(plan, _rearranged(plan, found))
    return None


def _columns_first(rows: np.ndarray, columns: np.ndarray, n: int) -> np.ndarray:
    """Return sorted, unique keys ``column * n + row`` of pairs."""
    return np.unique(np.asarray(columns, dtype=np.int64) * n + rows)


def _pattern(keys: np.ndarray, shape: tuple[int, int]) -> tuple[Pattern, np.ndarray]:
    """Return pairs given as column-first keys as a `Pattern`, and the order that takes the keys there."""
    n, m = shape
    rows, columns = keys % n, keys // n
    order = np.argsort(rows * m + columns, kind="stable")
    starts = np.searchsorted(rows[order], np.arange(n + 1))
    return Pattern(starts, columns[order], shape), order


def _feasible(keys: np.ndarray, values: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray | None:
    """Return a plan on the pairs near `values`, or None if there is none."""
    pattern, order = _pattern(keys, (a.size, b.size))
    x = values[order]
    for index, target in ((pattern.rows, a), (pattern.columns, b)):
        sums = np.bincount(index, x, target.size)
        with np.errstate(divide="ignore", invalid="ignore"):
            x = x * np.where(sums > target, target / sums, 1.0)[index]
    x, missing = fill_up(pattern, x, a, b)
    if missing > _ROUNDOFF * float(a.sum()):
        return None
    out = np.empty_like(x)
    out[order] = x
    return out


def _solve_on(plan: QuadraticPlan, keys: np.ndarray, f: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Solve the quadratic problem on the pairs; return its plan's values on them, and potentials."""
    from scipy.sparse import coo_array

    from optlab.core import solve
    from optlab.transport.quadratic.problem import QuadraticOptimalTransport, SemiDualPoint
    from optlab.transport.quadratic.semismooth_newton import SemismoothNewton

    problem = plan.problem
    n, m = problem.active_cost.shape
    rows, columns = keys % n, keys // n
    costs = problem.active_cost.pair_costs(rows, columns)
    cost = SparseCost(coo_array((costs, (rows, columns)), shape=(n, m)))
    inner = QuadraticOptimalTransport(problem.active_a, problem.active_b, cost, problem.regularization)
    options: dict[str, Any] = {"tol": 1e-9, "max_iter": 60, "record": 4, "progress": False, "on_interrupt": "raise"}
    result = solve(inner, SemismoothNewton(), x0=SemiDualPoint(f), **options)
    array = result.solution.sparse().tocsc()
    array.sort_indices()
    found = np.repeat(np.arange(m), np.diff(array.indptr)) * n + array.indices
    values = np.zeros(keys.size)
    values[np.searchsorted(keys, found)] = array.data
    return values, *result.solution.potentials


def _nearest(plan: QuadraticPlan, f: np.ndarray, count: int) -> np.ndarray:
    """Return keys of the `count` pairs of least reduced cost in every column."""
    problem = plan.problem
    n, m = problem.active_cost.shape
    pieces = []
    block = max(1, (1 << 20) // n)
    count = min(count, n)
    for start in range(0, m, block):
        part = slice(start, min(start + block, m))
        reduced = problem.active_cost.submatrix(None, part).dense() - f[:, None]
        rows = np.argpartition(reduced, count - 1, axis=0)[:count]
        columns = np.broadcast_to(np.arange(start, part.stop), rows.shape)
        allowed = np.isfinite(np.take_along_axis(reduced, rows, axis=0))
        pieces.append(_columns_first(rows[allowed], columns[allowed], n))
    return np.concatenate(pieces)


def _entries(plan: QuadraticPlan) -> tuple[np.ndarray, np.ndarray]:
    array = plan._columns
    array.sort_indices()
    n, m = array.shape
    return np.repeat(np.arange(m), np.diff(array.indptr)) * n + array.indices, array.data


def _excess(keys: np.ndarray, values: np.ndarray, n: int, m: int, limit: int) -> np.ndarray:
    """Return the places of positive entries beyond the `limit` largest of their columns, smallest first."""
    columns = keys // n
    order = np.lexsort((-values, columns))
    starts = np.searchsorted(columns[order], np.arange(m))
    rank = np.arange(keys.size) - starts[columns[order]]
    beyond = order[(rank >= limit) & (values[order] > 0.0)]
    return beyond[np.argsort(values[beyond], kind="stable")]


def _gentle_dive(plan: QuadraticPlan) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Take away a fifth of the entries beyond the limit at a time."""
    return _dive(plan, 0.2)


def _dive(plan: QuadraticPlan, share: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Take away entries beyond the limit, as many at a time as leave a plan; return keys, values, f, or None.

    At most the `share` of them at a time: the problem is then solved anew more often, and ends in a corner less often.
    """
    problem = plan.problem
    a, b, limit = problem.active_a, problem.active_b, problem.limit
    n, m = a.size, b.size
    f = plan._dual.f
    own, amounts = _entries(plan)
    keys = np.union1d(own, _nearest(plan, f, limit + _EXTRA))
    values = np.zeros(keys.size)
    values[np.searchsorted(keys, own)] = amounts
    for _ in range(_ROUNDS):
        beyond = _excess(keys, values, n, m, limit)
        if beyond.size == 0:
            kept = values > 0.0
            return keys[kept], values[kept], f
        full = np.bincount(keys // n, values > 0.0, m) >= limit
        low, high, best = 0, max(1, int(share * beyond.size)), None
        take = high  # the most that leaves a plan, by bisection
        while low < high:
            kept = np.ones(keys.size, dtype=bool)
            kept[beyond[:take]] = False
            if take == beyond.size:  # columns at the limit keep what they have
                kept &= (values > 0.0) | ~full[keys // n]
            found = _feasible(keys[kept], values[kept], a, b)
            if found is None:
                high = take - 1
            else:
                low, best = take, (keys[kept], found)
            take = (low + high + 1) // 2
        if best is None:
            return None
        keys, values = best
        values, f, _ = _solve_on(plan, keys, f)
    return None


def _by_penalties(plan: QuadraticPlan) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Solve linear programs until one has a vertex within the limit: each raises the costs of entries that were beyond.

    The cost is the objective's linearisation at the relaxation's plan. Light rows are priced up more than heavy ones,
    which fill a column with fewer entries.
    """
    from optlab.transport.exact.candidates import Arcs, solve_sparse

    problem = plan.problem
    a, b, mass, limit = problem.active_a, problem.active_b, problem.mass, problem.limit
    n, m = a.size, b.size
    f = plan._dual.f
    own, amounts = _entries(plan)
    keys = np.union1d(own, _nearest(plan, f, limit + _MANY))
    order = np.argsort((keys % n) * m + keys // n, kind="stable")
    rows, columns = (keys % n)[order], (keys // n)[order]
    x = np.zeros(keys.size)
    x[np.searchsorted(keys, own)] = amounts
    costs = problem.active_cost.pair_costs(rows, columns) + problem.regularization * x[order]
    unit = 0.1 * float(np.ptp(costs)) * float(a.max())
    rng = np.random.default_rng(0)  # equal penalties could go round in circles
    values = np.empty(keys.size)
    for _ in range(_PROGRAMS):
        try:
            flows = solve_sparse(a / mass, b / mass, Arcs(rows, columns, costs), f, np.zeros(m))[0]
        except ArithmeticError:
            return None
        values[order] = np.where(flows > 1e-14, mass * flows, 0.0)
        beyond = _excess(keys, values, n, m, limit)
        if beyond.size == 0:
            kept = values > 0.0
            exact = _feasible(keys[kept], values[kept], a, b)
            return None if exact is None else (keys[kept], exact, f)
        raised = np.zeros(keys.size)
        raised[beyond] = 2.0 * unit * rng.random(beyond.size) / a[keys[beyond] % n]
        costs = costs + raised[order]
    return None


def _by_windows(plan: QuadraticPlan) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Fill one column after another with whole rows and a part of one more; return keys, values and f, or None."""
    problem = plan.problem
    limit = problem.limit
    if problem.active_cost.has_forbidden or limit < 2:
        return None
    left, n = problem.active_a.copy(), problem.rows.size
    order = np.argsort(-problem.active_b, kind="stable")
    tiny = 1e-14 * problem.mass
    rows, columns, values = [], [], []
    for place, j in enumerate(order):
        need = float(problem.active_b[j])
        alive = np.flatnonzero(left > tiny)
        alive = alive[np.argsort(left[alive], kind="stable")]
        if place == order.size - 1:
            if alive.size > limit:
                return None
            chosen = alive
        else:
            chosen = _window(left, alive, need, limit)
        amounts = np.minimum(left[chosen], np.maximum(need - (np.cumsum(left[chosen]) - left[chosen]), 0.0))
        if abs(float(amounts.sum()) - need) > 1e-11 * problem.mass:
            return None
        left[chosen] -= amounts
        rows.append(chosen)
        columns.append(np.full(chosen.size, j))
        values.append(amounts)
    keys = np.concatenate(columns) * n + np.concatenate(rows)
    order = np.argsort(keys)
    amounts = np.concatenate(values)[order]
    kept = amounts > 0.0
    return keys[order][kept], amounts[kept], plan._dual.f


def _rearranged(
    plan: QuadraticPlan, found: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Exchange columns of equal mass for one another, and rows, by optimal assignments, while the cost falls."""
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import csr_array

    problem = plan.problem
    n, m = problem.active_cost.shape
    keys, values, f = found
    rows, columns = keys % n, keys // n
    if problem.active_cost.has_forbidden or max(n, m) > _LARGEST_ASSIGNMENT:
        return found
    C = problem.active_cost.dense()
    groups = [
        (side, members)
        for side, weights in ((1, problem.active_b), (0, problem.active_a))
        for members in _equal(weights)
    ]
    best = np.inf
    for _ in range(_ROUNDS):
        value = float(C[rows, columns] @ values)
        if not value < best - 1e-12 * abs(best) or not groups:
            break
        best = value
        for side, members in groups:
            plan_now = csr_array((values, (rows, columns)), shape=(n, m))
            price = plan_now[:, members].T @ C[:, members] if side else plan_now[members] @ C[members].T
            _, target = linear_sum_assignment(price)
            place = np.arange(m if side else n)
            place[members] = members[target]
            rows, columns = (rows, place[columns]) if side else (place[rows], columns)
    keys = columns * n + rows
    order = np.argsort(keys)
    return keys[order], values[order], f


def _equal(weights: np.ndarray) -> list[np.ndarray]:
    """Return the groups of two or more indices of equal weights."""
    _, labels, counts = np.unique(weights, return_inverse=True, return_counts=True)
    return [np.flatnonzero(labels == k) for k in np.flatnonzero(counts > 1)]


def _window(left: np.ndarray, alive: np.ndarray, need: float, limit: int) -> np.ndarray:
    """Return at most `limit` rows that hold `need`, while those before the last hold no more than it."""
    weights = left[alive]
    sums = np.cumsum(weights)
    # the lightest rows that fit, and one more
    fit = int(np.searchsorted(sums, need, side="right"))
    if fit < limit:
        return alive[: min(fit + 1, alive.size)]
    # from {k - 1 lightest, heaviest} on, one row after another is exchanged for a heavier one, until the sum suffices
    chosen = [*range(limit - 1), alive.size - 1]
    total = float(weights[chosen].sum())
    if total >= need:
        return alive[chosen]
    for position in range(limit - 2, -1, -1):
        target = alive.size - 1 - (limit - 1 - position)
        for new in range(chosen[position] + 1, target + 1):
            trial = total + float(weights[new] - weights[chosen[position]])
            if trial >= need:
                rest = [c for c in chosen if c != chosen[position]]
                return alive[[*rest, new]]
            total, chosen[position] = trial, new
    return alive[chosen]


def _polished(plan: QuadraticPlan, found: tuple[np.ndarray, np.ndarray, np.ndarray]) -> QuadraticPlan:
    """Return the plan, better after some rounds in which free entries go where the reduced cost is least."""
    from scipy.sparse import coo_array

    from optlab.transport.quadratic.plan import QuadraticPlan

    problem = plan.problem
    n, m = problem.active_cost.shape

    def as_plan(keys: np.ndarray, values: np.ndarray) -> QuadraticPlan:
        entries = (values, (problem.rows[keys % n], problem.columns[keys // n]))
        answer = QuadraticPlan(problem, plan.point, array=coo_array(entries, shape=problem.shape).tocsr())
        answer.__dict__["_dual"] = plan._dual
        return answer

    keys, values, f = found
    best = as_plan(keys, values)
    for _ in range(_ROUNDS):
        near = _nearest(plan, f, problem.limit)
        near = np.setdiff1d(near, keys)
        reduced = problem.active_cost.pair_costs(near % n, near // n) - f[near % n]
        near = near[np.lexsort((reduced, near // n))]
        free = problem.limit - np.bincount(keys // n, minlength=m)
        starts = np.searchsorted(near // n, np.arange(m))
        rank = np.arange(near.size) - starts[near // n]
        wider = np.union1d(keys, near[rank < free[near // n]])
        values, f, _ = _solve_on(plan, wider, f)
        kept = values > 0.0
        trial = as_plan(wider[kept], values[kept])
        gain = best.objective - trial.objective
        if trial.columns_over_limit or gain <= 0.0:
            break
        best, keys = trial, wider[kept]
        if gain <= 1e-9 * abs(best.objective):
            break
    return best
