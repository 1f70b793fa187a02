"""INFEASIBLE and UNBOUNDED: found where they are true, never said where they are not, with a certificate that holds."""

import itertools

import numpy as np
import pytest
from scipy.optimize import linprog

import optlab
from optlab import Status
from optlab.bregman import FermiDirac, ShannonEntropy, SquaredEuclidean
from optlab.bregman.functions import (
    AffineSet,
    BlockSum,
    Box,
    CappedSimplex,
    ColumnMarginal,
    Hyperplane,
    ItakuraSaito,
    KullbackLeibler,
    L1Norm,
    LeastSquares,
    Linear,
    Logistic,
    NegativeEntropy,
    Poisson,
    Quadratic,
    RowMarginal,
    Simplex,
    SkewGame,
    SmoothFunction,
    SquaredDistance,
    Sum,
    Zero,
)
from optlab.bregman.functions.rays import Ray
from optlab.core import DomainError
from optlab.splitting import (
    AndersonDouglasRachford,
    BregmanADMM,
    BregmanDouglasRachford,
    BregmanPeacemanRachford,
    CompositeProblem,
    ExponentialMultipliers,
    HalpernDouglasRachford,
    LinearlyConstrained,
    MonotoneInclusion,
)
from optlab.splitting.problems import ConvexFeasibility

E2 = SquaredEuclidean()
SPLITTINGS = [BregmanDouglasRachford, BregmanPeacemanRachford, HalpernDouglasRachford, AndersonDouglasRachford]
ONES = np.ones(3)

EMPTY = {
    "sum -1, x >= 0": (lambda: MonotoneInclusion(Hyperplane(ONES, -1.0), Box(0.0), E2), 1 / np.sqrt(3)),
    "the same, in the other order": (lambda: MonotoneInclusion(Box(0.0), Hyperplane(ONES, -1.0), E2), 1 / np.sqrt(3)),
    "parallel hyperplanes": (
        lambda: MonotoneInclusion(Hyperplane([1.0, 2.0, 3.0], -1.0), Hyperplane([2.0, 4.0, 6.0], 5.0), E2),
        3.5 / np.sqrt(14),
    ),
    "boxes": (lambda: MonotoneInclusion(Box([0, 0], [1, 1]), Box([2.0, 0.5], [3, 4]), E2), 1.0),
    "boxes far away": (lambda: MonotoneInclusion(Box([1e6, 0], [1e6 + 1, 1]), Box([1e6 + 2, 0.5], [1e7, 4]), E2), 1.0),
    "boxes, Fermi-Dirac": (
        lambda: MonotoneInclusion(Box([0.1, 0], [0.2, 1]), Box([0.5, 0.5], [0.6, 1]), FermiDirac()),
        0.3,
    ),
    "simplex and plane, Shannon": (
        lambda: MonotoneInclusion(Simplex(), Hyperplane(ONES, 2.0), ShannonEntropy()),
        1 / np.sqrt(3),
    ),
    "capped simplex and box": (
        lambda: MonotoneInclusion(CappedSimplex([0.5, 0.5, 0.5]), Box(0.4, 1.0), E2),
        0.2 / np.sqrt(3),
    ),
    "with a linear cost": (
        lambda: CompositeProblem(Hyperplane(ONES, -1.0), Box(0.0) + Linear([1.0, 2.0, 3.0]), E2),
        1 / np.sqrt(3),
    ),
    "marginals of different mass": (
        lambda: MonotoneInclusion(RowMarginal([1.0, 2.0]), ColumnMarginal([1.0, 1.0, 2.0]), E2, shape=(2, 3)),
        1 / np.sqrt(6),
    ),
    "tiny data": (lambda: MonotoneInclusion(Hyperplane(ONES, -1e-10), Box(0.0), E2), 1e-10 / np.sqrt(3)),
    "three sets": (
        lambda: ConvexFeasibility([Box(0, 1), Hyperplane([1.0, 1.0], 3.0), Simplex()]),
        None,
    ),
}


@pytest.mark.parametrize("method", SPLITTINGS)
@pytest.mark.parametrize("name", EMPTY)
def test_sets_without_a_common_point_are_separated(name, method):
    make, distance = EMPTY[name]
    result = optlab.solve(make(), method(1.0), tol=1e-12, max_iter=200)
    assert result.status is Status.INFEASIBLE, result.message
    assert not result.success
    certificate = result.certificate
    assert certificate.kind == "infeasible"
    assert certificate.verify()
    assert np.linalg.norm(certificate.vector) == pytest.approx(1)
    assert certificate.radius > 1e10 * certificate.margin
    assert "result.certificate" in result.message
    assert "max_iter" not in result.message
    if distance is not None:  # no hyperplane has a wider margin than the sets' distance
        assert 0 < certificate.margin <= distance * (1 + 1e-9)


UNBOUNDED = {
    "-x over x >= 0": lambda: CompositeProblem(Box(0.0), Linear([-1.0, 0.0, 0.0]), E2),
    "the same, in the other order": lambda: CompositeProblem(Linear([-1.0, 0.0, 0.0]), Box(0.0), E2),
    "Shannon": lambda: CompositeProblem(Zero(), Linear([-1.0, 0.0, 0.0]), ShannonEntropy()),
    "a norm too weak": lambda: CompositeProblem(L1Norm(0.5), Linear([-1.0, 0.0, 0.0]), E2),
    "a flat quadratic": lambda: CompositeProblem(Box(0.0), Quadratic(np.diag([1.0, 0.0]), [0.0, -1.0]), E2),
    "a wide least squares": lambda: CompositeProblem(
        Linear([1.0, -1.0, 0.0]), LeastSquares([[1.0, 1.0, 1.0]], [2.0]), E2
    ),
    "separable labels": lambda: CompositeProblem(
        Linear([-0.1, 0.0]), Logistic([[1.0, 0.0], [2.0, 1.0]], [1.0, 1.0]), E2
    ),
}


@pytest.mark.parametrize("method", SPLITTINGS)
@pytest.mark.parametrize("name", UNBOUNDED)
def test_objectives_without_a_lower_bound_fall_along_the_ray(name, method):
    problem = UNBOUNDED[name]()
    result = optlab.solve(problem, method(1.0), tol=1e-12, max_iter=300)
    assert result.status is Status.UNBOUNDED, result.message
    certificate = result.certificate
    assert certificate.kind == "unbounded"
    assert certificate.verify()
    start, falling = (
        problem.objective(certificate.point),
        [problem.objective(certificate.point + t * certificate.vector) for t in (1e2, 1e4, 1e6)],
    )
    assert np.isfinite(start)
    for t, value in zip((1e2, 1e4, 1e6), falling):  # the certificate in the terms of the caller
        assert value <= start - certificate.margin * t * (1 - 1e-9) + 1e-9 * abs(start)


@pytest.mark.parametrize("method", [BregmanADMM, ExponentialMultipliers])
@pytest.mark.parametrize(
    "problem",
    [
        lambda: LinearlyConstrained(SquaredDistance(np.zeros(1)), None, [[1.0], [1.0]], None, [1.0, 2.0], E2),
        lambda: LinearlyConstrained(
            SquaredDistance(np.zeros(1)), None, [[1.0], [-1.0]], None, [1.0, -2.0], ShannonEntropy()
        ),
        lambda: LinearlyConstrained(Box([0.0, 0], [1, 1]), Box([2.0, 0.5], [3, 4]), None, -np.eye(2), [0.0, 0], E2),
    ],
    ids=["u = 1 and u = 2", "u <= 1 and u >= 2", "two boxes"],
)
def test_relations_that_contradict_each_other(problem, method):
    result = optlab.solve(problem(), method(1.0), tol=1e-12, max_iter=100)
    assert result.status is Status.INFEASIBLE, result.message
    assert result.certificate.verify()
    assert result.certificate.margin > 0.1


def test_admm_finds_an_unbounded_objective():
    problem = LinearlyConstrained(Linear([-1.0]), Box(np.zeros(1)), None, -np.eye(1), [1.0], E2)  # u = v + 1
    result = optlab.solve(problem, BregmanADMM(1.0), tol=1e-12)
    assert result.status is Status.UNBOUNDED, result.message
    du, dv = result.certificate.vector
    assert result.certificate.verify()
    np.testing.assert_allclose([du[0], dv[0]], np.sqrt(0.5))


def test_a_block_step_that_descends_without_end_is_no_convergence():
    # min u1^2/2 - u2 subject to u1 - u2 <= 5: the first u runs off, and every relative residual with it
    f = Quadratic(np.diag([1.0, 0.0]), [0.0, -1.0])
    problem = LinearlyConstrained(f, None, [[1.0, -1.0]], None, [5.0], ShannonEntropy())
    with pytest.raises(DomainError, match="the u-step has no minimiser: it descends without end"):
        optlab.solve(problem, BregmanADMM(1.0), tol=1e-8)


# ---------------------------------------------------------------------- never said of a problem that has a solution


@pytest.mark.parametrize("angle", [1e-2, 1e-4, 1e-6, 1e-8, 1e-10])
def test_planes_that_meet_far_away_are_not_called_disjoint(angle):
    problem = MonotoneInclusion(Hyperplane([1.0, 0.0], 0.0), Hyperplane([1.0, angle], 1.0), E2)
    result = optlab.solve(problem, BregmanDouglasRachford(1.0), tol=1e-12, max_iter=300)
    assert result.status is Status.MAX_ITER
    assert result.certificate is None
    assert problem.check_certificate("infeasible", np.array([1.0, 0.0])) is None
    if angle < 1e-3:
        assert "the displacement of the last iteration has length" in result.message


@pytest.mark.parametrize(
    "problem",
    [
        lambda: MonotoneInclusion(Hyperplane([1.0, 1.0], 1.0), Box(0.0, [0.5, 0.5]), E2),
        lambda: MonotoneInclusion(Simplex(), Hyperplane([1.0, 2.0, 4.0], 1.0), E2),
        lambda: MonotoneInclusion(Box([0, 0], [1, 1]), Box([1, 1], [2, 2]), E2),
        lambda: MonotoneInclusion(CappedSimplex([0.1] * 10), Box(0.1, 1.0), E2),
    ],
    ids=["corner", "vertex", "touching boxes", "one point"],
)
@pytest.mark.parametrize("method", SPLITTINGS)
def test_sets_that_touch_are_not_called_disjoint(problem, method):
    result = optlab.solve(problem(), method(0.7), tol=1e-11, max_iter=300)
    assert result.status in (Status.CONVERGED, Status.MAX_ITER)
    assert result.certificate is None


def test_a_weakly_infeasible_problem_keeps_its_number_and_gets_no_certificate():
    # {y >= 1/x, x > 0} and {y <= 0}: distance zero, no common point
    def below_hyperbola(mirror, step):
        x = np.array(mirror)
        if not (x[0] > 0 and x[1] * x[0] >= 1):
            from scipy.optimize import brentq

            t = brentq(lambda t: t - x[0] - (1 / t - x[1]) / t**2, 1e-9, 1e9, xtol=1e-14)
            x = np.array([t, 1 / t])
        return x

    problem = MonotoneInclusion(below_hyperbola, Box([-np.inf, -np.inf], [np.inf, 0.0]), E2)
    result = optlab.solve(problem, BregmanDouglasRachford(1.0), tol=1e-12, max_iter=100)
    assert result.status is Status.MAX_ITER
    assert result.certificate is None
    assert "no certificate of that was found" in result.message


def test_a_flat_infimum_that_is_not_attained_is_not_unbounded():
    falling = SmoothFunction(lambda x: np.exp(-x).sum(), lambda x: -np.exp(-x), lambda x: np.exp(-x), separable=True)
    result = optlab.solve(CompositeProblem(Zero(), falling, E2, shape=2), BregmanDouglasRachford(1.0), max_iter=100)
    assert result.status is Status.MAX_ITER
    assert result.certificate is None
    logistic = CompositeProblem(Zero(), Logistic([[1.0, 0.0], [2.0, 1.0]], [1.0, 1.0]), E2)
    assert optlab.solve(logistic, BregmanDouglasRachford(1.0), max_iter=100).certificate is None


# ---------------------------------------------------------------------- linear programs, against HiGHS


def linear_program(rng):
    m = int(rng.integers(1, 12))
    n = int(rng.integers(m, 25))
    A = rng.standard_normal((m, n))
    kind = rng.integers(5)
    if kind == 1:
        A = rng.integers(-3, 4, (m, n)).astype(float)
    elif kind == 2:
        A *= rng.random((m, n)) < 0.3
    elif kind == 3:
        A *= 10.0 ** rng.uniform(-2, 2, (m, 1))
    elif kind == 4:
        A = rng.integers(-1, 2, (m, n)).astype(float)
    x, upper = np.maximum(rng.standard_normal(n), 0), np.full(n, np.inf)
    made = rng.integers(4)
    b = A @ x if made == 0 else rng.standard_normal(m)
    if made == 1:
        upper = np.where(rng.random(n) < 0.5, 2 * rng.random(n), np.inf)
        b = A @ x + 0.3 * rng.standard_normal(m)
    elif made == 2:  # a Farkas ray: A^T y <= 0 < <b, y>
        y = rng.standard_normal(m)
        excess = np.maximum(A.T @ y, 0) + rng.random(n) * (rng.random(n) < 0.5)
        A = A - np.outer(y, excess) / (y @ y)
        b = b - y * (y @ b) / (y @ y) + y * rng.random()
    c = rng.standard_normal(n)
    if rng.random() < 0.6:
        c = A.T @ rng.standard_normal(m) + rng.random(n) * (rng.random(n) < 0.7)
    return A, b, c, upper


def truth(A, b, c, upper):
    bounds, options = list(zip(np.zeros(len(c)), upper)), {"presolve": False}
    if linprog(0 * c, A_eq=A, b_eq=b, bounds=bounds, options=options).status == 2:
        return Status.INFEASIBLE
    return {0: Status.CONVERGED, 3: Status.UNBOUNDED}[linprog(c, A_eq=A, b_eq=b, bounds=bounds, options=options).status]


def campaign(count, seed, split, method, max_iter):
    rng = np.random.default_rng(seed)
    seen = []
    for _ in range(count):
        A, b, c, upper = linear_program(rng)
        try:
            equations = AffineSet(A, b)
        except ValueError:  # refused at once: A x = b has no solution
            continue
        result = optlab.solve(split(equations, Box(0.0, upper), Linear(c)), method, tol=1e-7, max_iter=max_iter)
        expected = truth(A, b, c, upper)
        if result.status in (Status.INFEASIBLE, Status.UNBOUNDED, Status.CONVERGED):
            assert result.status is expected, result.message
        if result.certificate is not None:
            assert result.certificate.verify()
        seen.append((expected, result.status))
    return seen


def share_found(seen, status):
    return np.mean([got is status for expected, got in seen if expected is status])


def test_infeasible_and_unbounded_linear_programs_are_told_apart_as_highs_does():
    seen = campaign(60, 1, lambda A, x, c: CompositeProblem(A, x + c, E2), BregmanDouglasRachford(1.0), 2000)
    assert share_found(seen, Status.INFEASIBLE) >= 0.9
    assert share_found(seen, Status.UNBOUNDED) >= 0.9


def test_admm_tells_them_apart_too():
    def split(A, x, c):
        n = c.cost.size
        return LinearlyConstrained(A, x + c, None, -np.eye(n), np.zeros(n), E2)

    seen = campaign(40, 2, split, BregmanADMM(1.0), 1000)
    assert share_found(seen, Status.INFEASIBLE) >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("method", [BregmanDouglasRachford, HalpernDouglasRachford, AndersonDouglasRachford])
def test_hundreds_of_linear_programs(method):
    seen = campaign(300, 3, lambda A, x, c: CompositeProblem(x + c, A, E2), method(1.0), 5000)
    assert share_found(seen, Status.INFEASIBLE) >= 0.98
    assert share_found(seen, Status.UNBOUNDED) >= 0.98


# ---------------------------------------------------------------------- the terms' support and recession functions

TERMS = [
    Zero(),
    Linear([1.0, -2.0, 0.5, 0.0]),
    L1Norm([1.0, 2.0, 3.0, 4.0]),
    SquaredDistance(np.arange(4.0)),
    NegativeEntropy(),
    KullbackLeibler(np.arange(1.0, 5.0)),
    Poisson([1.0, 0.0, 2.0, 0.0]),
    ItakuraSaito(np.arange(1.0, 5.0)),
    Simplex(2.0),
    CappedSimplex([0.5, 1.0, np.inf, 0.25], 1.5),
    Box([0.0, -np.inf, 1.0, -np.inf], [1.0, 2.0, np.inf, np.inf]),
    Hyperplane([1.0, 2.0, -1.0, 0.5], 1.5),
    AffineSet([[1.0, 2.0, 0.0, 1.0], [0.0, 1.0, 1.0, 1.0], [1.0, 3.0, 1.0, 2.0]], [1.0, 2.0, 3.0]),
    Quadratic(np.diag([1.0, 0.0, 2.0, 0.0]), [0.0, 1.0, 0.0, -1.0]),
    LeastSquares([[1.0, 2.0, 0.0, 1.0]], [1.0]),
    Logistic([[1.0, 2.0, 0.0, 1.0], [0.0, 1.0, 0.0, 2.0]], [1.0, -1.0]),
    Box(0.0) + Linear([1.0, 2.0, 3.0, 4.0]),
    BlockSum((Box(0.0), Hyperplane([1.0, 1.0], 1.0)), (2, 2)),
    Sum((Poisson(1.0), Linear(-1.0))),
]


def point_of(term, rng):
    """A random point of the term's domain."""
    from optlab.bregman import resolvent

    point = 2 * rng.standard_normal(4)
    for part in getattr(term, "terms", (term,)) if not isinstance(term, BlockSum) else (term,):
        if not part.smooth or not np.isfinite(part.value(point)):
            point = np.asarray(resolvent(part, E2, point, 1.0))
    return point


@pytest.mark.parametrize("term", TERMS, ids=lambda term: type(term).__name__)
def test_the_support_function_bounds_the_domain(term):
    rng = np.random.default_rng(0)
    for _ in range(20):
        u = rng.standard_normal(4)
        ray = term.support(u)
        assert ray.size >= abs(ray.value) * (1 - 1e-12)
        again = term.support(ray.direction)
        np.testing.assert_allclose(again.direction, ray.direction, atol=1e-12)
        for _ in range(10):
            assert ray.direction @ point_of(term, rng) <= ray.value + 1e-8 * (1 + ray.size)


@pytest.mark.parametrize("term", TERMS, ids=lambda term: type(term).__name__)
def test_the_recession_function_is_the_slope_far_away(term):
    rng = np.random.default_rng(1)
    for _ in range(20):
        ray = term.recession(rng.standard_normal(4))
        np.testing.assert_allclose(term.recession(ray.direction).direction, ray.direction, atol=1e-12)
        x, t = np.maximum(point_of(term, rng), 0) if isinstance(term, (Poisson, ItakuraSaito)) else None, 1e7
        x = point_of(term, rng) if x is None else x + 1e-3
        slope = (term.value(x + t * ray.direction) - term.value(x)) / t
        assert slope == pytest.approx(ray.value, abs=1e-4)


def test_support_functions_of_marginals_and_games():
    rng = np.random.default_rng(2)
    for kind, cls in itertools.product(("equal", "at_most", "kl", "l1"), (RowMarginal, ColumnMarginal)):
        term = cls([1.0, 2.0, 0.5], kind, 2.0)
        for _ in range(10):
            u = rng.standard_normal((3, 3))
            support, recession = term.support(u), term.recession(u)
            x = np.asarray(
                optlab.bregman.resolvent(term, E2, 3 * rng.standard_normal((3, 3)), 1e-3 if kind == "l1" else 1.0)
            )
            assert np.sum(support.direction * x) <= support.value + 1e-8
            far = x + 1e6 * recession.direction
            assert np.isfinite(term.value(far))
            assert (term.value(far) - term.value(x)) / 1e6 == pytest.approx(recession.value, abs=1e-4)
    assert not np.any(SkewGame([[1.0, 2.0]]).support(np.ones(3)).direction)


def test_a_method_of_the_name_that_means_something_else_is_not_trusted():
    class Own:
        def resolvent(self, kernel, mirror, step_size):
            return np.clip(mirror, 2.0, 3.0)

        def support(self, direction):
            return -1e9  # a number, not a Ray

    problem = MonotoneInclusion(Own(), Box(0.0, 1.0), E2, shape=2)
    assert optlab.solve(problem, BregmanDouglasRachford(1.0), max_iter=20).status is Status.MAX_ITER


def test_an_own_set_takes_part_by_its_support_function():
    class Ball:
        def resolvent(self, kernel, mirror, step_size):
            away = mirror - [3.0, 0.0]
            return [3.0, 0.0] + away / max(1.0, np.linalg.norm(away))

        def support(self, direction):
            value = float(3.0 * direction[0] + np.linalg.norm(direction))
            return Ray(direction, value, 3.0 * abs(direction[0]) + float(np.linalg.norm(direction)))

    problem = MonotoneInclusion(Ball(), Box(0.0, 1.0), E2, shape=2)
    result = optlab.solve(problem, BregmanDouglasRachford(1.0), max_iter=200)
    assert result.status is Status.INFEASIBLE
    assert 0 < result.certificate.margin <= 1 + 1e-9
