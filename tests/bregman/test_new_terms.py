"""Every term: its proximal operator, conjugate, linear minimiser and gradient against their definitions.

Fenchel's equality ``f(p) + f*(s) = <p, s>`` for ``p = prox(z, t)``, ``s = (z - p)/t`` says at once that s is a
subgradient of f at p, that the conjugate is right there, and that Moreau's identity holds.
"""

import math

import cvxpy as cp
import numpy as np
import pytest

from optlab.bregman import SquaredEuclidean, resolvent
from optlab.bregman.functions import (
    BlockSum,
    Box,
    BregmanDistance,
    CappedSimplex,
    Cardinality,
    ColumnMarginal,
    ExponentialCone,
    FusedLasso,
    Graph,
    GroupNorm,
    HalfSpace,
    Hinge,
    Huber,
    Hyperplane,
    Isotonic,
    ItakuraSaito,
    KullbackLeibler,
    L0Norm,
    L1Ball,
    L1Norm,
    L2Ball,
    L2Norm,
    LeastSquares,
    LInfNorm,
    Logistic,
    NegativeEntropy,
    NuclearBall,
    NuclearNorm,
    Pinball,
    Poisson,
    Quadratic,
    RankAtMost,
    RowMarginal,
    SecondOrderCone,
    Semidefinite,
    Simplex,
    Slab,
    SortedL1,
    SparseGroupNorm,
    SpectralBall,
    SquaredDistance,
    SquaredHinge,
    SumLargest,
    TotalVariation,
    TotalVariation1D,
)

E2 = SquaredEuclidean()
N = 6
rng = np.random.default_rng(0)
q = rng.random(N) + 0.2
groups = np.array([0, 1, 0, 2, 2, 1])
root = rng.standard_normal((N, N))

# name -> (term, shape)
TERMS = {
    "L1Norm": (L1Norm(0.7), N),
    "L1Norm, zero weights": (L1Norm(np.r_[0.0, q[1:]]), N),
    "L2Norm": (L2Norm(0.7), N),
    "L2Norm, weight 0": (L2Norm(0.0), N),
    "LInfNorm": (LInfNorm(0.7), N),
    "SumLargest 1": (SumLargest(1, 0.7), N),
    "SumLargest 3": (SumLargest(3, 0.7), N),
    "SumLargest all": (SumLargest(N, 0.7), N),
    "SortedL1": (SortedL1(np.sort(q)[::-1]), N),
    "SortedL1, zeros": (SortedL1(np.r_[2.0, 1.0, np.zeros(4)]), N),
    "GroupNorm": (GroupNorm(groups, 0.7), N),
    "GroupNorm, weights": (GroupNorm(groups, [0.0, 1.0, 2.0]), N),
    "GroupNorm, axis": (GroupNorm(0, 0.7), (2, 3, 4)),
    "GroupNorm, last axis": (GroupNorm(-1, 0.7), (3, 4)),
    "TotalVariation": (TotalVariation(0.7), (2, 3, 4)),
    "TotalVariation, anisotropic": (TotalVariation(0.7, isotropic=False), (2, 3, 4)),
    "TotalVariation of a signal": (TotalVariation(0.7), N),
    "SparseGroupNorm": (SparseGroupNorm(groups, 0.3, 0.5), N),
    "TotalVariation1D": (TotalVariation1D(0.7), N),
    "TotalVariation1D, weights": (TotalVariation1D(np.r_[0.0, q[2:]]), N),
    "NuclearNorm": (NuclearNorm(0.7), (4, 3)),
    "Huber": (Huber(0.8, 1.5), N),
    "Huber, weights": (Huber(0.8, np.r_[0.0, q[1:]]), N),
    "Hinge": (Hinge(0.7), N),
    "SquaredHinge": (SquaredHinge(0.7), N),
    "SquaredHinge, weights": (SquaredHinge(np.r_[0.0, q[1:]]), N),
    "Pinball": (Pinball(0.3, 0.7), N),
    "Pinball, quantile 0": (Pinball(0.0, 0.7), N),
    "L1Ball": (L1Ball(0.7), N),
    "L1Ball, radius 0": (L1Ball(0.0), N),
    "L2Ball": (L2Ball(0.7), N),
    "L2Ball, centre": (L2Ball(0.7, q), N),
    "L2Ball, radius 0": (L2Ball(0.0, q), N),
    "NuclearBall": (NuclearBall(0.7), (4, 3)),
    "SpectralBall": (SpectralBall(0.7), (4, 3)),
    "SpectralBall, thin": (SpectralBall(0.7), (13, 3)),
    "SpectralBall, wide": (SpectralBall(0.7), (3, 13)),
    "HalfSpace": (HalfSpace(q, 0.3), N),
    "HalfSpace, normal 0": (HalfSpace(np.zeros(N), 0.3), N),
    "Slab": (Slab(q, -0.2, 0.3), N),
    "SecondOrderCone": (SecondOrderCone(), N),
    "Graph": (Graph(root[:4]), N + 4),
    "Graph, tall": (Graph(root[:, :2]), N + 2),
    "Semidefinite": (Semidefinite(), (4, 4)),
    "Isotonic": (Isotonic(), N),
    "ExponentialCone": (ExponentialCone(), (5, 3)),
    "Simplex": (Simplex(1.3), N),
    "CappedSimplex": (CappedSimplex(0.4, 1.3), N),
    "Box": (Box(-0.2, 0.5), N),
    "Box, one side": (Box(0.0), N),
    "Hyperplane": (Hyperplane(q, 0.3), N),
    "RowMarginal": (RowMarginal(q[:3]), (3, 4)),
    "RowMarginal, at most": (RowMarginal(q[:3], "at_most"), (3, 4)),
    "SquaredDistance": (SquaredDistance(q, 0.7), N),
    "SquaredDistance, weights": (SquaredDistance(q, np.r_[0.0, q[1:]]), N),
    "KullbackLeibler": (KullbackLeibler(q, 0.7), N),
    "NegativeEntropy": (NegativeEntropy(0.7), N),
    "Poisson": (Poisson(np.r_[0.0, q[1:]], 0.7), N),
    "ItakuraSaito": (ItakuraSaito(q, 0.7), N),
    "Logistic": (Logistic(None, np.sign(rng.standard_normal(N)), 0.7), N),
    "Quadratic": (Quadratic(root @ root.T, q), N),
    "Quadratic, singular": (Quadratic(root[:, :2] @ root[:, :2].T, root[:, 0]), N),
    "BregmanDistance": (BregmanDistance(q, E2, 0.7), N),
    "BlockSum": (BlockSum((L1Norm(0.5), Box(0.0, 1.0)), (2, 4)), N),
}
NOT_KNOWN = {"FusedLasso": (FusedLasso(0.3, 0.5), N), "LeastSquares": (LeastSquares(root[:4], q[:4]), N)}
NOT_CONVEX = {"L0Norm": (L0Norm(0.7), N), "Cardinality": (Cardinality(2), N), "RankAtMost": (RankAtMost(2), (4, 3))}
FEW_CONJUGATES = {"ColumnMarginal kl": ColumnMarginal(q[:4], "kl")}


def points(name, shape, count=25):
    own = np.random.default_rng(abs(hash_of(name)))
    for i in range(count):
        z = own.standard_normal(shape) * 10.0 ** own.uniform(-2, 1.5)
        if name == "Semidefinite":
            z = z + z.T
        if i == 0:
            z = np.zeros(shape)
        if i == 1:
            z = np.ones(shape)
        yield z, 10.0 ** own.uniform(-2, 2)


def hash_of(name):
    return sum((i + 1) * ord(c) for i, c in enumerate(name))


@pytest.mark.parametrize("name", TERMS)
def test_fenchel_equality_at_the_proximal_point(name):
    term, shape = TERMS[name]
    for z, t in points(name, shape):
        kept = z.copy()
        p = resolvent(term, E2, z, t)
        np.testing.assert_array_equal(z, kept)
        assert not np.shares_memory(p, z)
        s = (z - p) / t
        value = term.value(p)
        assert math.isfinite(value), (name, z, t)
        scale = 1.0 + np.linalg.norm(p) * np.linalg.norm(s) + abs(value)
        conjugate = term.conjugate_value(s)
        if not math.isfinite(conjugate):  # s lies on the boundary, to rounding of (z - p)/t
            slack = 1e-13 * (1 + np.linalg.norm(z)) / (t * max(np.linalg.norm(s), 1e-300)) + 1e-11
            near = s * (1 - slack) if term.conjugate_domain in ("ball", "star") else s
            conjugate = term.conjugate_value(near)
            if not math.isfinite(conjugate):
                check_by_inequality(term, p, s, z, t)
                continue
        assert abs(value + conjugate - np.vdot(p, s)) <= 2e-8 * scale, (name, z, t, p, s)


def check_by_inequality(term, p, s, z, t):
    """``f(u) >= f(p) + <s, u - p>`` at proximal points u of everywhere."""
    own = np.random.default_rng(1)
    for _ in range(40):
        u = resolvent(term, E2, own.standard_normal(z.shape) * (1 + np.abs(z).max()), 10.0 ** own.uniform(-2, 2))
        lower = term.value(p) + np.vdot(s, u - p)
        assert term.value(u) >= lower - 1e-9 * (1 + abs(lower) + np.linalg.norm(s) * np.linalg.norm(u - p))


@pytest.mark.parametrize("name", [name for name in TERMS if TERMS[name][0].project_dual is not None])
def test_the_projection_onto_the_dual_ball_is_moreaus(name):
    term, shape = TERMS[name]
    for z, t in points(name, shape):
        np.testing.assert_allclose(
            term.project_dual(z), z - t * resolvent(term, E2, z / t, 1 / t), atol=1e-12 + 1e-9 * t
        )
        assert math.isfinite(term.conjugate_value(term.project_dual(z)))


@pytest.mark.parametrize("name", [*NOT_KNOWN, *NOT_CONVEX])
def test_the_proximal_point_is_not_beaten(name):
    term, shape = {**NOT_KNOWN, **NOT_CONVEX}[name]
    for z, t in points(name, shape):
        p = resolvent(term, E2, z, t)
        best = term.value(p) + np.sum((p - z) ** 2) / (2 * t)
        assert math.isfinite(best)
        own = np.random.default_rng(2)
        for _ in range(60):
            u = p + own.standard_normal(shape) * 10.0 ** own.uniform(-4, 1)
            if name == "RankAtMost":
                u = resolvent(term, E2, u, 1.0)
            if name in ("L0Norm", "Cardinality"):
                u = np.where(own.random(shape) < 0.5, z, 0.0)
            assert term.value(u) + np.sum((u - z) ** 2) / (2 * t) >= best - 1e-9 * (1 + abs(best))


@pytest.mark.parametrize("name", TERMS)
def test_conjugates_bound_every_point_and_scale_to_the_boundary(name):
    term, shape = TERMS[name]
    for z, t in points(name, shape, 12):
        p = resolvent(term, E2, z, t)
        y = np.random.default_rng(3).standard_normal(shape)
        conjugate = term.conjugate_value(y)
        assert term.value(p) + conjugate >= np.vdot(p, y) - 1e-9 * (1 + abs(np.vdot(p, y)))
        if term.conjugate_domain in ("ball", "star", "everywhere"):
            scale = term.conjugate_scale(y)
            if term.conjugate_domain == "ball":
                assert scale > 0
            if math.isfinite(scale):
                assert math.isfinite(term.conjugate_value(0.999999 * scale * y))
                assert scale == 0 or not math.isfinite(term.conjugate_value(1.001 * scale * y))
            else:
                assert math.isfinite(term.conjugate_value(10 * y))


@pytest.mark.parametrize("name", [name for name in TERMS if TERMS[name][0].compact])
def test_linear_minimisers_attain_the_support_function(name):
    term, shape = TERMS[name]
    for c, _ in points(name, shape):
        x = term.linear_minimizer(c)
        assert term.value(x) == 0.0
        assert -np.vdot(c, x) == pytest.approx(term.conjugate_value(-c), abs=1e-9 * (1 + np.linalg.norm(c)))
        for _ in range(5):
            other = resolvent(term, E2, np.random.default_rng(4).standard_normal(shape) * 3, 1.0)
            assert np.vdot(c, x) <= np.vdot(c, other) + 1e-8 * (1 + np.linalg.norm(c))


SMOOTH = [name for name in TERMS if TERMS[name][0].smooth]


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_and_smoothness_constants(name):
    term, shape = TERMS[name]
    own = np.random.default_rng(5)
    constants = term.relative_smoothness(E2)
    for _ in range(10):
        x, y = own.random(shape) + 0.1, own.random(shape) + 0.1
        direction = own.standard_normal(shape)
        slope = (term.value(x + 1e-6 * direction) - term.value(x - 1e-6 * direction)) / 2e-6
        assert slope == pytest.approx(np.vdot(term.gradient(x), direction), rel=1e-5, abs=1e-6)
        if constants is not None:
            assert np.linalg.norm(term.gradient(x) - term.gradient(y)) <= constants[0] * np.linalg.norm(x - y) * (
                1 + 1e-12
            )


@pytest.mark.parametrize("name", [*TERMS, *NOT_KNOWN])
def test_multiples(name):
    term, shape = {**TERMS, **NOT_KNOWN}[name]
    double = 2.0 * term
    for z, t in points(name, shape, 5):
        p = resolvent(double, E2, z, t)
        expected = resolvent(term, E2, z, 2.0 * t)
        np.testing.assert_allclose(p, expected, atol=1e-10 * (1 + np.abs(z).max()))
        assert double.value(p) == pytest.approx((1.0 if term.indicator else 2.0) * term.value(p), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", [*TERMS, *NOT_KNOWN, *NOT_CONVEX])
def test_single_precision_is_kept(name):
    term, shape = {**TERMS, **NOT_KNOWN, **NOT_CONVEX}[name]
    z = np.random.default_rng(6).standard_normal(shape).astype(np.float32)
    assert resolvent(term, E2, z, 0.5).dtype == np.float32


# --- against CVXPY, Clarabel ----------------------------------------------------------------------------------------


def tv(u):
    return cp.norm1(cp.diff(u))


CVX = {
    "L2Norm": lambda u: (0.7 * cp.norm2(u), []),
    "LInfNorm": lambda u: (0.7 * cp.norm_inf(u), []),
    "SumLargest 3": lambda u: (0.7 * cp.sum_largest(u, 3), []),
    "SumLargest 1": lambda u: (0.7 * cp.max(u), []),
    "SortedL1": lambda u: (slope(np.sort(q)[::-1], u), []),
    "SparseGroupNorm": lambda u: (0.3 * cp.norm1(u) + sum(0.5 * cp.norm2(u[groups == g]) for g in range(3)), []),
    "GroupNorm": lambda u: (0.7 * sum(cp.norm2(u[groups == g]) for g in range(3)), []),
    "TotalVariation1D": lambda u: (0.7 * tv(u), []),
    "FusedLasso": lambda u: (0.3 * cp.norm1(u) + 0.5 * tv(u), []),
    "Huber": lambda u: (0.75 * cp.sum(cp.huber(u, 0.8)), []),
    "Hinge": lambda u: (0.7 * cp.sum(cp.pos(1 - u)), []),
    "SquaredHinge": lambda u: (0.35 * cp.sum_squares(cp.pos(1 - u)), []),
    "Pinball": lambda u: (0.7 * cp.sum(cp.maximum(0.3 * u, -0.7 * u)), []),
    "L1Ball": lambda u: (0, [cp.norm1(u) <= 0.7]),
    "L2Ball, centre": lambda u: (0, [cp.norm2(u - q) <= 0.7]),
    "Isotonic": lambda u: (0, [cp.diff(u) >= 0]),
    "SecondOrderCone": lambda u: (0, [cp.SOC(u[0], u[1:])]),
}


def slope(weights, u):
    steps = weights - np.r_[weights[1:], 0.0]
    return sum(steps[k] * cp.sum_largest(cp.abs(u), k + 1) for k in range(len(weights)))


@pytest.mark.parametrize("name", CVX)
def test_against_clarabel(name):
    term, shape = {**TERMS, **NOT_KNOWN}[name]
    for z, t in list(points(name, shape))[2:7]:
        u = cp.Variable(shape)
        value, constraints = CVX[name](u)
        problem = cp.Problem(cp.Minimize(value + cp.sum_squares(u - z) / (2 * t)), constraints)
        problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9)
        scale = 1 + np.abs(z).max()
        np.testing.assert_allclose(resolvent(term, E2, z, t), u.value, atol=2e-5 * scale)


@pytest.mark.parametrize("seed", range(3))
def test_exponential_cone_by_moreau_over_scales(seed):
    own = np.random.default_rng(seed)
    cone = ExponentialCone()
    for _ in range(150):
        v = own.standard_normal(3) * 10.0 ** own.uniform(-4, 4, 3)
        p = cone.project(v)
        size = np.linalg.norm(v)
        assert cone.value(p) == 0.0
        assert abs(p @ (v - p)) <= 1e-10 * size**2
        # v - p lies in the polar cone: no point of the cone is in its direction
        q_ = own.standard_normal(200) * 5
        rays = np.stack([q_, np.ones(200), np.exp(q_)], axis=1)
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        rays = np.vstack([rays, [[-1, 0, 0], [0, 0, 1]]])
        assert np.max(rays @ (v - p)) <= 1e-9 * size


@pytest.mark.parametrize("n", [1, 2, 3, 50, 1000])
def test_total_variation_by_its_dual_at_any_weight(n):
    own = np.random.default_rng(n)
    for exponent in (-12, -3, -1, 0, 1, 3, 12):
        z = np.cumsum(own.standard_normal(n)) + 1e3
        weight = 10.0**exponent * (own.random(n - 1) if n > 2 else 1.0)
        p = resolvent(TotalVariation1D(weight), E2, z, 1.0)
        u = np.cumsum(p - z)
        np.testing.assert_allclose(u[-1], 0, atol=1e-10 * n)
        if n > 1:
            limit = np.broadcast_to(weight, n - 1)
            tolerance = 1e-11 * n * (1 + np.abs(u).max())
            assert np.all(np.abs(u[:-1]) <= limit + tolerance)
            jumps = np.diff(p)
            moved = np.abs(jumps) > 1e-9
            np.testing.assert_allclose((limit * np.sign(jumps))[moved], u[:-1][moved], atol=tolerance)


def test_ties_and_edge_cases():
    np.testing.assert_array_equal(resolvent(LInfNorm(), E2, np.array([2.0, 2.0, 0.0]), 1.0), [1.5, 1.5, 0.0])
    np.testing.assert_array_equal(resolvent(GroupNorm(groups), E2, np.zeros(N), 1.0), np.zeros(N))
    np.testing.assert_array_equal(resolvent(Cardinality(1), E2, np.array([1.0, -1.0]), 1.0), [1.0, 0.0])
    np.testing.assert_array_equal(SecondOrderCone().project(np.array([-1.0, 0.0, 0.0])), np.zeros(3))
    np.testing.assert_array_equal(L1Ball().linear_minimizer(np.array([1.0, -1.0])), [-1.0, 0.0])
    with pytest.raises(ValueError, match="the set is empty"):
        HalfSpace(np.zeros(2), -1.0)
    with pytest.raises(ValueError, match="weights must not increase"):
        SortedL1([1.0, 2.0])
    with pytest.raises(ValueError, match="one entry for each of 3 groups"):
        GroupNorm(groups, [1.0, 2.0])
