"""Random problems with what breaks promises: CONVERGED is never further from the optimum than its tolerance.

Costs hold entries that stand for "forbidden" (1e3 to 1e300), outliers, offsets, ties, duplicates, other units, +inf;
weights hold zeros and tiny masses. The optimum of balanced problems is computed in rational arithmetic (successive
shortest paths), of the others by HiGHS on costs in a good scale, or by the bounds that other methods prove.
"""

from __future__ import annotations

import heapq
import warnings
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.sparse import block_array, eye_array, kron

import optlab
from optlab.splitting import BregmanDouglasRachford
from optlab.transport import (
    GeneralizedSinkhorn,
    InfeasibleError,
    OptimalTransport,
    PartialOptimalTransport,
    PointCloudCost,
    QuadraticOptimalTransport,
    SemiDualLBFGS,
    SemismoothNewton,
    SparseCost,
    UnbalancedOptimalTransport,
    WassersteinBarycenter,
    batch_transport,
    oneshot,
    transport,
)

METHODS = [name for name in ("auto", *oneshot.METHODS) if name != "newton"]  # which is for regularised problems
COSTS = (
    "uniform", "integer", "constant", "offset", "signed", "big", "big", "many big", "many big", "huge", "outlier",
    "duplicates", "spread", "float32", "infinite", "zero diagonal", "cloud", "sparse", "free or big",
)  # fmt: skip
WEIGHTS = ("dirichlet", "uniform", "zeros", "tiny", "equal sides", "units", "almost equal sides")


def exact_optimum(a, b, C):
    """The optimum of a balanced problem as a fraction; None if there is no plan. Sums are made equal on b."""
    a, b = [Fraction(float(w)) for w in a], [Fraction(float(w)) for w in b]
    factor = sum(a) / sum(b)
    b = [factor * w for w in b]
    n, m = len(a), len(b)
    cost = {(i, j): Fraction(float(C[i, j])) for i in range(n) for j in range(m) if np.isfinite(C[i, j])}
    # potentials keep reduced costs non-negative
    pi = [Fraction(0)] * n + [
        min((cost[i, j] for i in range(n) if (i, j) in cost), default=Fraction(0)) for j in range(m)
    ]
    flow: dict[tuple[int, int], Fraction] = {}
    left_a, left_b = a[:], b[:]
    while any(left_a):
        distance, parent, done, ties = {}, {}, set(), 0
        heap = []
        for i in range(n):
            if left_a[i] > 0:
                distance[i] = Fraction(0)
                heapq.heappush(heap, (Fraction(0), ties, i))
                ties += 1
        # Dijkstra from all rows with mass left; nodes n + j are columns
        while heap:
            d, _, u = heapq.heappop(heap)
            if u in done:
                continue
            done.add(u)
            if u < n:
                edges = [(n + j, cost[u, j] + pi[u] - pi[n + j]) for j in range(m) if (u, j) in cost]
            else:
                edges = [(i, -cost[i, u - n] + pi[u] - pi[i]) for i in range(n) if flow.get((i, u - n), 0) > 0]
            for v, length in edges:
                if v not in distance or d + length < distance[v]:
                    distance[v], parent[v] = d + length, u
                    heapq.heappush(heap, (d + length, ties, v))
                    ties += 1
        ends = [n + j for j in range(m) if left_b[j] > 0 and n + j in distance]
        if not ends:
            return None
        end = min(ends, key=lambda v: distance[v])
        for v in range(n + m):
            pi[v] += min(distance.get(v, distance[end]), distance[end])
        path, v = [], end
        while v in parent:
            path.append((parent[v], v))
            v = parent[v]
        amount = min(left_a[v], left_b[end - n], *(flow[w, u - n] for u, w in path if u >= n), Fraction(10) ** 400)
        left_a[v] -= amount
        left_b[end - n] -= amount
        for u, w in path:
            key, sign = ((u, w - n), 1) if u < n else ((w, u - n), -1)
            flow[key] = flow.get(key, Fraction(0)) + sign * amount
    return sum(x * cost[pair] for pair, x in flow.items())


def random_cost(rng, n, m):
    kind = str(rng.choice(COSTS))
    C = rng.random((n, m))
    big = 10.0 ** rng.choice([3, 6, 9, 12, 15, 20, 40, 100])
    if kind == "integer":
        C = rng.integers(-3, 4, (n, m)).astype(float)
    elif kind == "constant":
        C = np.full((n, m), float(rng.choice([0.0, 1.0, -2.5])))
    elif kind == "offset":
        C = C + float(rng.choice([1e3, 1e6, 1e10, -1e6]))
    elif kind == "signed":
        C = rng.standard_normal((n, m))
    elif kind == "big":
        C[rng.integers(n), rng.integers(m)] = big
    elif kind == "many big":
        C = np.where(rng.random((n, m)) < rng.choice([0.3, 0.6, 0.8]), big, C)
    elif kind == "huge":
        C[rng.integers(n), rng.integers(m)] = 1e139
    elif kind == "free or big":
        C = np.where(rng.random((n, m)) < 0.6, big, 0.0)
        C[rng.integers(n), rng.integers(m)] = 0.1
    elif kind == "outlier":
        x, y = rng.random((n, 2)), rng.random((m, 2))
        x[0] += 10.0 ** rng.integers(2, 8)
        return kind, PointCloudCost(x, y, str(rng.choice(["sqeuclidean", "euclidean"])))
    elif kind == "duplicates":
        C = C[rng.integers(0, min(2, n), n)][:, rng.integers(0, min(2, m), m)]
    elif kind == "spread":
        C = 10.0 ** rng.uniform(-10, 10, (n, m))
    elif kind == "float32":
        C = C.astype(np.float32)
    elif kind == "infinite":
        C[rng.random((n, m)) < 0.3] = np.inf
    elif kind == "zero diagonal":
        x = rng.random((max(n, m), 2))
        C = np.sqrt(((x[:n, None] - x[None, :m]) ** 2).sum(-1))
    elif kind == "cloud":
        return kind, PointCloudCost(
            rng.random((n, 1)), rng.random((m, 1)), str(rng.choice(["cityblock", "sqeuclidean"]))
        )
    elif kind == "sparse":
        from scipy.sparse import coo_array

        some = np.argwhere(rng.random((n, m)) < 0.7)
        if some.size:
            return kind, SparseCost(coo_array((rng.random(len(some)), some.T), shape=(n, m)))
    return kind, C


def random_weights(rng, n, m):
    kind = str(rng.choice(WEIGHTS))
    a, b = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))
    if kind == "uniform":
        a, b = np.full(n, 1 / n), np.full(m, 1 / m)
    elif kind == "zeros":
        a, b = (np.where(rng.random(w.size) < 0.3, 0.0, w) for w in (a, b))
        a[-1] = b[-1] = 0.1
        a, b = a / a.sum(), b / b.sum()
    elif kind == "tiny":
        a[0], b[-1] = 10.0 ** rng.integers(-18, -5), 10.0 ** rng.integers(-18, -5)
        a, b = a / a.sum(), b / b.sum()
    elif kind.endswith("equal sides"):
        small, large = sorted((a, b), key=len)
        large = np.r_[small, np.zeros(large.size - small.size)]
        if kind.startswith("almost"):
            move = 10.0 ** rng.integers(-12, -2)
            large[0] += move * large[-1]
            large[-1] -= move * large[-1]
        a, b = (small, large) if n <= m else (large, small)
    elif kind == "units":
        factor = 10.0 ** rng.integers(-9, 10)
        a, b = factor * a, factor * b
    return kind, a, b * (a.sum() / b.sum())


def value_error(value, optimum, tol, mass, scale):
    """How far a converged value is above its tolerance (0 if it is not), beyond rounding of mass times used costs."""
    excess = abs(Fraction(float(value)) - optimum) - Fraction(tol) * abs(optimum) * Fraction(101, 100)
    return max(float(excess - Fraction(1e-14) * Fraction(mass) * Fraction(scale)), 0.0)


def usual_size(C):
    """A size of entries that big ones have no part in."""
    sizes = np.abs(C[np.isfinite(C) & (C != 0.0)]).astype(float)
    return float(np.quantile(sizes, 0.05)) if sizes.size else 0.0


def balanced(seed):
    """One problem, one method; returns (class, outcome)."""
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 8, 2)
    kind, cost = random_cost(rng, n, m)
    _, a, b = random_weights(rng, n, m)
    method = METHODS[seed % len(METHODS)]
    C = np.asarray(cost.dense() if hasattr(cost, "dense") else cost)
    optimum = exact_optimum(a, b, C)
    try:
        at_once = method in ("auto", "emd", "highs", "pot-sinkhorn", "exact")
        result = transport(a, b, cost, method=method, max_iter=None if at_once else 1000)
    except InfeasibleError:
        # sums that agree to rounding only may leave mass over in exact arithmetic, which no double can tell
        return kind, "infeasible" if optimum is None else "infeasible by rounding"
    except optlab.IncompatibleError:  # a method that cannot take forbidden pairs
        return kind, "refused"
    if optimum is None:
        return kind, "feasible to rounding"
    lower, upper = result.metrics["dual_objective"], result.metrics["cost"]
    assert np.all(np.isfinite([lower, upper])), seed
    plan = result.solution
    np.testing.assert_allclose(plan.sum(axis=1), a, rtol=0, atol=1e-12 * a.sum(), err_msg=str(seed))
    np.testing.assert_allclose(plan.sum(axis=0), b, rtol=0, atol=1e-12 * a.sum(), err_msg=str(seed))
    if not result.success:
        return kind, "not converged"
    tol = 1e-9 if method in ("exact", "proximal-newton") else 1e-3
    error = value_error(upper, optimum, tol, a.sum(), usual_size(C))
    return kind, "wrong" if error > 0.0 else "converged"


def sums(n, m):
    return kron(eye_array(n), np.ones((1, m))), kron(np.ones((1, n)), eye_array(m))


def highs(price, **constraints):
    answer = linprog(price, method="highs", options={"primal_feasibility_tolerance": 1e-10}, **constraints)
    return answer.fun if answer.status == 0 else None


def total_variation(a, b, C, tau):
    n, m = C.shape
    rows, columns = sums(n, m)
    blocks = [[rows, -eye_array(n), eye_array(n), None, None], [columns, None, None, -eye_array(m), eye_array(m)]]
    price = np.r_[C.ravel(), np.full(2 * n, tau[0]), np.full(2 * m, tau[1])]
    return highs(price, A_eq=block_array(blocks, format="csc"), b_eq=np.r_[a, b])


def partial(a, b, C, share):
    """Of the mass 1, scaled to it, so that HiGHS's tolerances are small beside it."""
    n, m = C.shape
    from scipy.sparse import vstack

    A = vstack(sums(n, m), format="csc")
    value = highs(C.ravel(), A_ub=A, b_ub=np.r_[a, b] / share, A_eq=np.ones((1, n * m)), b_eq=[1.0])
    return None if value is None else value * share


def other(seed):
    """A problem of another kind; returns (class, outcome). References: HiGHS, or bounds proved by another method."""
    rng = np.random.default_rng(10**6 + seed)
    n, m = rng.integers(2, 7, 2)
    kind = ("tv", "partial", "kl", "quadratic", "entropic", "barycentre", "batch", "limited", "kl entropic")[seed % 9]
    C = rng.random((n, m))
    disturbance = str(rng.choice(["none", "big", "offset", "tiny", "zeros"]))
    if disturbance == "big":
        C[rng.integers(n), rng.integers(m)] = 10.0 ** rng.choice([3, 6, 9, 12, 100])
    elif disturbance == "offset":
        C += 1e4
    a, b = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))
    if disturbance == "zeros":
        a[0], b[0] = 0.0, 0.0
        a, b = a / a.sum(), b / b.sum()
    tol, steps = 10.0 ** -rng.integers(2, 6), 1500
    optimum, bounds, value = None, None, "objective"
    bdr = BregmanDouglasRachford()
    if kind == "tv":
        b *= rng.choice([1.0, 2.0, 1e-6])
        tau = tuple(10.0 ** rng.uniform(-2, 1, 2))
        result = optlab.solve(UnbalancedOptimalTransport(a, b, C, tau, "tv"), bdr, tol=tol, max_iter=steps)
        # nothing dearer than both penalties is ever used
        optimum = total_variation(a, b, np.minimum(C, 10.0 * sum(tau)), tau)
    elif kind == "partial":
        share = 10.0 ** -rng.integers(0, 13) * 0.7
        result = optlab.solve(PartialOptimalTransport(a, b, C, share), bdr, tol=tol, max_iter=steps)
        optimum, value = partial(a, b, np.minimum(C, 1e5), share), "cost"
    elif kind in ("kl", "kl entropic"):
        eps = 0.0 if kind == "kl" else 10.0 ** rng.uniform(-2, 1)
        problem = UnbalancedOptimalTransport(a, 2.0 * b, C, 10.0 ** rng.uniform(-1, 1), "kl", eps)
        result = optlab.solve(problem, bdr, tol=tol, max_iter=steps)
        again = optlab.solve(problem, GeneralizedSinkhorn() if eps else bdr, tol=1e-9, max_iter=6000)
        bounds = again.metrics
    elif kind in ("quadratic", "limited"):
        limit = None if kind == "quadratic" else int(rng.integers(2, n + 1))
        gamma = 10.0 ** rng.uniform(-2, 2)
        try:
            problem = QuadraticOptimalTransport(a, b, C, gamma, limit)
        except InfeasibleError:
            return kind, "infeasible"
        result = optlab.solve(problem, SemiDualLBFGS(), tol=tol, max_iter=steps)
        bounds = optlab.solve(problem, SemismoothNewton(), tol=1e-9, max_iter=300).metrics
        if limit is not None and problem.is_limited:
            value = "relaxed_objective"
    elif kind == "entropic":
        problem = OptimalTransport(a, b, C, regularization=10.0 ** rng.uniform(-2, 1))
        result = optlab.solve(problem, bdr, tol=tol, max_iter=steps)
        bounds = optlab.solve(problem, GeneralizedSinkhorn(), tol=1e-10, max_iter=10_000).metrics
    elif kind == "barycentre":
        C = C if disturbance != "big" else np.minimum(C, 1e6)
        problem = WassersteinBarycenter([b, rng.dirichlet(np.ones(m))], C)
        result = optlab.solve(problem, bdr, tol=tol, max_iter=steps)
        optimum = problem.reference_solution()[1]
    else:
        eps = 10.0 ** rng.uniform(-2, 1)
        answer = batch_transport(a, b, C, eps, tol=tol)
        problem = OptimalTransport(a, b, C, regularization=eps)
        metrics = optlab.solve(problem, GeneralizedSinkhorn(), tol=1e-10, max_iter=10_000).metrics
        if not answer.converged[0]:
            return kind, "not converged"
        low, upper = max(answer.dual_objective[0], metrics["dual_objective"]), metrics["objective"]
        size = max(low, -upper, eps)
        wrong = answer.objective[0] - upper > 1.01 * tol * size + 1e-12 * size or low > upper + 1e-9 * size
        return kind, "wrong" if wrong else "converged"
    if not result.success:
        return kind, "not converged"
    found = result.metrics[value]
    if optimum is not None:
        wrong = abs(found - optimum) > 1.01 * tol * abs(optimum) + 1e-9 * abs(optimum) + 1e-14
        return kind, "wrong" if wrong else "converged"
    upper, low = bounds[value], max(bounds["dual_objective"], result.metrics["dual_objective"])
    unit = max(low, -upper, 0.0)
    if kind in ("entropic", "kl entropic"):
        unit = max(unit, problem.regularization * result.metrics.get("mass", 1.0))
    rounding = 1e-9 * max(abs(low), abs(upper)) + 1e-12
    # the optimum is between `low` and `upper`, whichever method proved which
    wrong = low > upper + rounding or found < low - rounding or found - upper > 1.01 * tol * unit + rounding
    return kind, "wrong" if wrong else "converged"


def campaign(run, seeds):
    """Run problems and return counts by outcome, and the seeds that went wrong."""
    outcomes, wrong = Counter(), []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the costs spread")
        for seed in seeds:
            kind, outcome = run(seed)
            outcomes[outcome] += 1
            if outcome == "wrong":
                wrong.append((kind, seed))
    return outcomes, wrong


def test_the_reference_is_exact():
    a, b = [0.5, 0.5], [0.25, 0.75]
    assert exact_optimum(a, b, np.array([[0.0, 1.0], [1.0, 0.0]])) == Fraction(1, 4)
    assert exact_optimum(a, b, np.array([[np.inf, 1.0], [np.inf, 0.0]])) is None
    assert exact_optimum([1.0], [1.0], np.array([[1e300]])) == Fraction(1e300)
    rng = np.random.default_rng(0)
    import ot

    for _ in range(20):
        a, b, C = rng.dirichlet(np.ones(5)), rng.dirichlet(np.ones(6)), rng.standard_normal((5, 6))
        assert float(exact_optimum(a, b, C)) == pytest.approx(ot.emd2(a, b, C), rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("seeds", [range(57), pytest.param(range(2600), marks=pytest.mark.slow)], ids=["some", "all"])
def test_balanced_problems_that_converged_are_right(seeds):
    outcomes, wrong = campaign(balanced, seeds)
    assert not wrong, (wrong, outcomes)
    assert outcomes["converged"] > 0.4 * len(seeds), outcomes


@pytest.mark.parametrize("seeds", [range(18), pytest.param(range(900), marks=pytest.mark.slow)], ids=["some", "all"])
def test_other_problems_that_converged_are_right(seeds):
    outcomes, wrong = campaign(other, seeds)
    assert not wrong, (wrong, outcomes)
    assert outcomes["converged"] > 0.4 * len(seeds), outcomes


if __name__ == "__main__":
    for runner, total in ((balanced, 2600), (other, 900)):
        print(runner.__name__, *campaign(runner, range(total)))
