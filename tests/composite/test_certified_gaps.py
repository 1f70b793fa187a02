"""The certified gap bounds the true error at any point, whatever duals come with it: random instances, Clarabel."""

import cvxpy as cp
import numpy as np
import pytest

from optlab.bregman.functions import (
    AffineSet,
    Box,
    GroupNorm,
    Hinge,
    Huber,
    L1Ball,
    L1Norm,
    L2Norm,
    LeastSquares,
    Linear,
    LInfNorm,
    Logistic,
    NuclearNorm,
    Quadratic,
    Simplex,
    SortedL1,
    SparseGroupNorm,
    SquaredDistance,
    SquaredHinge,
    SumLargest,
    TotalVariation,
)
from optlab.composite import CompositeProblem
from optlab.linalg import FiniteDifferences


def data(seed):
    rng = np.random.default_rng(seed)
    m, n = int(rng.integers(3, 14)), int(rng.integers(2, 10))
    A = rng.standard_normal((m, n)) * 10.0 ** rng.uniform(-1, 1, n)
    return rng, A, rng.standard_normal(m) * 3, m, n


def lasso(seed):
    rng, A, b, _m, n = data(seed)
    w = 10.0 ** rng.uniform(-2, 0) * np.max(np.abs(A.T @ b))
    weight = w if seed % 2 else w * np.where(rng.random(n) < 0.3, 0.0, rng.random(n))
    return (
        CompositeProblem(LeastSquares(A, b), L1Norm(weight)),
        lambda u: 0.5 * cp.sum_squares(A @ u - b) + cp.sum(cp.multiply(weight, cp.abs(u))),
    )


def logistic(seed):
    rng, A, b, _m, _n = data(seed)
    y, w = np.sign(b), rng.random() + 0.05
    return (
        CompositeProblem(Logistic(A, y), w * L1Norm()),
        lambda u: cp.sum(cp.logistic(-cp.multiply(y, A @ u))) + w * cp.norm1(u),
    )


def elastic_net(seed):
    rng, A, b, _m, _n = data(seed)
    w, rho = rng.random(), rng.random() + 0.1
    return (
        CompositeProblem(LeastSquares(A, b), w * L1Norm() + SquaredDistance(0.0, rho)),
        lambda u: 0.5 * cp.sum_squares(A @ u - b) + w * cp.norm1(u) + 0.5 * rho * cp.sum_squares(u),
    )


def groups(seed):
    rng, A, b, _m, n = data(seed)
    labels, w = np.arange(n) // 2, 0.5 * rng.random() * np.linalg.norm(A.T @ b)
    term = GroupNorm(labels, w) if seed % 2 else SparseGroupNorm(labels, 0.3 * w, w)

    def build(u):
        total = sum(cp.norm2(u[np.flatnonzero(labels == g)]) for g in range(labels[-1] + 1))
        return 0.5 * cp.sum_squares(A @ u - b) + w * total + (0.0 if seed % 2 else 0.3 * w) * cp.norm1(u)

    return CompositeProblem(LeastSquares(A, b), term), build


def constrained(seed):
    rng, A, b, _m, n = data(seed)
    sets = {
        0: (Box(-0.3, 0.5), lambda u: [u >= -0.3, u <= 0.5]),
        1: (Simplex(1.5), lambda u: [u >= 0, cp.sum(u) == 1.5]),
        2: (L1Ball(0.7), lambda u: [cp.norm1(u) <= 0.7]),
    }
    indicator, constraints = sets[seed % 3]
    cost = rng.standard_normal(n)
    return (
        CompositeProblem(LeastSquares(A, b) + Linear(cost), indicator),
        lambda u: 0.5 * cp.sum_squares(A @ u - b) + cost @ u,
        constraints,
    )


def variation(seed):
    rng, A, b, _m, n = data(seed)
    q, w, v = rng.standard_normal(n) * 2, rng.random(), rng.random()
    terms = [SquaredDistance(q), w * TotalVariation() @ FiniteDifferences(n)]
    if seed % 2:
        terms.append(v * L1Norm())
    else:
        terms.append(LeastSquares(A, b))

    def build(u):
        more = v * cp.norm1(u) if seed % 2 else 0.5 * cp.sum_squares(A @ u - b)
        return 0.5 * cp.sum_squares(u - q) + w * cp.norm1(cp.diff(u)) + more

    return CompositeProblem(*terms), build


def boxed_variation(seed):
    rng, A, b, _m, n = data(seed)
    w = rng.random()
    return (
        CompositeProblem(LeastSquares(A, b), w * TotalVariation() @ FiniteDifferences(n), Box(0.0, 1.0)),
        lambda u: 0.5 * cp.sum_squares(A @ u - b) + w * cp.norm1(cp.diff(u)),
        lambda u: [u >= 0, u <= 1],
    )


def support_vectors(seed):
    rng, A, b, _m, n = data(seed)
    rows, rho = np.sign(b)[:, None] * A, rng.random() + 0.1
    term = Hinge() if seed % 2 else SquaredHinge(0.7)

    def build(u):
        loss = cp.pos(1 - rows @ u)
        return (cp.sum(loss) if seed % 2 else 0.35 * cp.sum_squares(loss)) + 0.5 * rho * cp.sum_squares(u)

    return CompositeProblem(term @ rows, SquaredDistance(0.0, rho), shape=n), build


def robust(seed):
    rng, A, b, _m, _n = data(seed)
    w = rng.random() + 0.05
    return (
        CompositeProblem(Huber(0.5).translate(b) @ A, w * L2Norm()),
        lambda u: 0.5 * cp.sum(cp.huber(A @ u - b, 0.5)) + w * cp.norm2(u),
    )


def pursuit(seed):
    rng, A, _b, m, n = data(seed)
    rows = A[: max(1, min(m, n - 1))]
    point = rng.standard_normal(n)
    return (
        CompositeProblem(L1Norm(), AffineSet(rows, rows @ point)),
        lambda u: cp.norm1(u),
        lambda u: [rows @ u == rows @ point],
    )


def other_norms(seed):
    rng, A, b, _m, n = data(seed)
    w = 0.3 * np.max(np.abs(A.T @ b)) * (rng.random() + 0.1)
    weights = np.sort(rng.random(n) + 0.01)[::-1] * w
    steps = weights - np.r_[weights[1:], 0.0]
    kinds = {
        0: (LInfNorm(w), lambda u: w * cp.norm_inf(u)),
        1: (SortedL1(weights), lambda u: sum(steps[k] * cp.sum_largest(cp.abs(u), k + 1) for k in range(n))),
        2: (SumLargest(1, w) + SquaredDistance(0.0, 0.5), lambda u: w * cp.max(u) + 0.25 * cp.sum_squares(u)),
    }
    term, cost = kinds[seed % 3]
    return CompositeProblem(LeastSquares(A, b), term), lambda u: 0.5 * cp.sum_squares(A @ u - b) + cost(u)


def quadratic(seed):
    rng, A, _b, _m, n = data(seed)
    Q, c = A.T @ A + 0.1 * np.eye(n), rng.standard_normal(n) * 3
    return (
        CompositeProblem(Quadratic(Q, c), Box(0.0)),
        lambda u: 0.5 * cp.quad_form(u, cp.psd_wrap(Q)) + c @ u,
        lambda u: [u >= 0],
    )


def nuclear(seed):
    rng = np.random.default_rng(seed)
    target, w = rng.standard_normal((4, 3)) * 2, rng.random() + 0.1
    return (
        CompositeProblem(SquaredDistance(target), w * NuclearNorm()),
        lambda u: 0.5 * cp.sum_squares(u - target) + w * cp.normNuc(u),
    )


FAMILIES = [
    lasso,
    logistic,
    elastic_net,
    groups,
    constrained,
    variation,
    boxed_variation,
    support_vectors,
    robust,
    pursuit,
    other_norms,
    quadratic,
    nuclear,
]


def check(family, seed):
    problem, build, *rest = family(seed)
    u = cp.Variable(problem.shape)
    clarabel = cp.Problem(cp.Minimize(build(u)), rest[0](u) if rest else [])
    clarabel.solve(solver=cp.CLARABEL)
    assert clarabel.status == "optimal"
    best = clarabel.value
    assert problem.has_gap, family.__name__
    rng = np.random.default_rng(seed + 1)
    slack = 2e-6 * (1 + abs(best))
    for spread in (0.0, 1e-6, 1e-3, 0.1, 3.0):
        x = u.value + spread * rng.standard_normal(problem.shape)
        metrics = problem.measure(x)
        # what was measured is a feasible point: its value is no lower than the optimum, and the gap is no smaller
        assert metrics["objective"] >= best - slack
        assert metrics["dual_value"] <= best + slack
        assert metrics["gap"] >= metrics["objective"] - best - slack
        # with duals of a method that are far off
        duals = {}
        for term in problem.terms:
            if "dual_proximal" in term.offers:
                z = term.image(x) + rng.standard_normal(np.shape(term.image(x))) * 3
                w = term.outer_proximal(z, 1.0)
                duals[term.name] = (w, z - w)
        assert problem.measure(problem.point(x, duals))["dual_value"] <= best + slack
    return problem.measure(problem.certifier.feasible(u.value))["relative_gap"]


@pytest.mark.parametrize("family", FAMILIES)
def test_gaps_bound_the_error(family):
    for seed in range(20):
        check(family, seed)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_gaps_bound_the_error_on_many(family):
    for seed in range(1000, 1160):
        check(family, seed)


@pytest.mark.parametrize("family", [lasso, logistic, elastic_net, groups, constrained, robust, other_norms, nuclear])
def test_gaps_close_where_the_point_alone_shows_the_dual(family):
    # the accuracy is that of Clarabel's point
    assert np.median([check(family, seed) for seed in range(9)]) < 1e-4


def test_a_wrong_dual_value_would_be_found():
    problem, build = lasso(1)
    u = cp.Variable(problem.shape)
    best = cp.Problem(cp.Minimize(build(u))).solve(solver=cp.CLARABEL)
    # an unscaled residual is not feasible: as a bound it would be above the optimum
    loss = problem.functions[0]
    theta = loss.b - loss.A @ (0.5 * u.value)
    assert loss.b @ theta - 0.5 * theta @ theta > best + 1e-3
