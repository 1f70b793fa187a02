"""Pairs of first-order methods that theory says are one, iterated side by side."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

import optlab
from optlab.bregman import ShannonEntropy
from optlab.bregman.functions import Box, L1Norm, LeastSquares, Simplex, SquaredDistance
from optlab.composite import CompositeProblem
from optlab.firstorder import (
    AFBA,
    FISTA,
    PDHG,
    AcceleratedBregman,
    CondatVu,
    DavisYin,
    FrankWolfe,
    GradientDescent,
    LionK,
    MirrorDescent,
    ProximalGradient,
)
from optlab.linalg import FiniteDifferences
from optlab.splitting import BregmanDouglasRachford, DouglasRachfordLineSearch


def data(seed=0, m=12, n=8):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((m, n)), rng.standard_normal(m), rng.standard_normal(n)


def lasso():
    A, b, _ = data()
    return CompositeProblem(LeastSquares(A, b), 0.7 * L1Norm())


def side_by_side(first, second, n=40, *, problem, other=None, x0=None, y0=None, look=None, tol=1e-12):
    """Compare `look` of the states of two methods, iteration by iteration, from iteration 1 on."""
    other = problem if other is None else other
    left, right = look if look is not None else (lambda state: state.x, lambda state: state.x)
    runs = zip(
        optlab.iterate(problem, first, x0=x0, seed=0),
        optlab.iterate(other, second, x0=x0 if y0 is None else y0, seed=0),
    )
    moved = False
    for a, b in islice(runs, 1, n + 1):
        u, v = np.asarray(left(a)), np.asarray(right(b))
        assert np.max(np.abs(u - v)) <= tol * (1 + np.max(np.abs(u)))
        moved = moved or np.any(u)
    assert moved


def test_davis_yin_with_one_proximal_term_is_proximal_gradient():
    A, b, _ = data()
    problem = CompositeProblem(LeastSquares(A, b), 0.7 * L1Norm())
    t = 1.0 / float(np.linalg.norm(A, 2)) ** 2
    # the one proximal term goes into slot g: z is the point before the proximal step
    x = z = np.zeros(8)
    for state in islice(optlab.iterate(problem, DavisYin(t)), 1, 40):
        x = np.sign(z) * np.maximum(np.abs(z) - 0.7 * t, 0)
        z = x - t * (A.T @ (A @ x - b))
        assert np.allclose(state.x, x, atol=1e-12)
        assert np.allclose(state.z, z, atol=1e-12)


def test_davis_yin_without_a_smooth_term_is_douglas_rachford():
    _, _, q = data(1)
    pair = CompositeProblem(Box(-0.3, 0.3), L1Norm() + SquaredDistance(q))
    flipped = CompositeProblem(L1Norm() + SquaredDistance(q), Box(-0.3, 0.3))
    x0 = np.linspace(-2, 2, 8)
    side_by_side(
        DavisYin(0.8, relaxation=1.3),
        BregmanDouglasRachford(0.8, relaxation=1.3),
        problem=flipped,
        other=pair,
        x0=x0,
        look=(lambda s: s.z, lambda s: s.z),
    )


def test_pdhg_with_the_identity_is_douglas_rachford():
    _, _, q = data(2)
    smooth, box = L1Norm() + SquaredDistance(q), Box(-0.3, 0.3)
    tau = 0.6
    # x_k of PDHG and the shadow sequence of Douglas-Rachford on z = x - tau y
    pdhg = optlab.iterate(CompositeProblem(smooth, box), PDHG(tau, 1.0 / tau), x0=np.zeros(8))
    split = optlab.iterate(CompositeProblem(box, smooth), BregmanDouglasRachford(tau), x0=np.zeros(8))
    for a, b in islice(zip(pdhg, split), 1, 40):
        assert np.allclose(a.x, b.x, atol=1e-12)
        assert np.allclose(a.x - tau * a.y[0], b.z, atol=1e-12)


def test_condat_vu_without_a_smooth_term_is_pdhg():
    _, _, q = data(3)
    problem = CompositeProblem(Box(-1.0, 1.0) + SquaredDistance(q), 0.3 * L1Norm() @ FiniteDifferences(8))
    side_by_side(CondatVu(), PDHG(), problem=problem, x0=np.ones(8), tol=0.0)


@pytest.mark.parametrize("mu", [0.0, 0.5, 1.0])
def test_afba_at_theta_two_is_condat_vu(mu):
    A, b, _ = data(4)
    problem = CompositeProblem(LeastSquares(A, b), Box(-1.0, 1.0), 0.3 * L1Norm() @ FiniteDifferences(8))
    side_by_side(AFBA(2.0, mu), CondatVu(), problem=problem, x0=np.ones(8), tol=1e-13)


def test_the_line_search_without_directions_is_douglas_rachford():
    A, b, _ = data(5)
    loss, norm = LeastSquares(A, b), 0.7 * L1Norm()
    gamma = 0.5 / float(np.linalg.norm(A, 2)) ** 2
    side_by_side(
        DouglasRachfordLineSearch(gamma, relaxation=1.2, memory=0),
        BregmanDouglasRachford(gamma, relaxation=1.2),
        problem=CompositeProblem(loss, norm),
        other=CompositeProblem(norm, loss),
        x0=np.ones(8),
        look=(lambda s: s.x, lambda s: s.z),
        tol=1e-10,
    )


def test_lion_k_on_a_box_is_lion():
    A, b, _ = data(6)
    eps, lam, b1, b2 = 1e-2, 0.5, 0.9, 0.99
    problem = CompositeProblem(LeastSquares(A, b), Box(-1 / lam, 1 / lam))
    x, m = np.zeros(8), np.zeros(8)
    for state in islice(optlab.iterate(problem, LionK(eps, lam, b1, b2), x0=x), 1, 200):
        g = A.T @ (A @ x - b)
        c = b1 * m + (1 - b1) * g  # Chen et al. 2023, with m of the other sign
        m = b2 * m + (1 - b2) * g
        x = x - eps * (np.sign(c) + lam * x)
        assert np.allclose(state.x, x, atol=1e-12)


def test_lion_k_without_momentum_is_frank_wolfe_with_constant_steps():
    A, b, _ = data(7)
    problem, eta = CompositeProblem(LeastSquares(A, b), Simplex()), 0.05
    x = np.full(8, 1 / 8)
    for state in islice(optlab.iterate(problem, LionK(eta, 1.0, 0.0, 0.0), x0=x), 1, 100):
        s = problem.split(FrankWolfe.slots).g.term.function.linear_minimizer(A.T @ (A @ x - b))
        x = x + eta * (s - x)
        assert np.allclose(state.x, x, atol=1e-13)


def test_mirror_descent_on_the_simplex_is_multiplicative_weights():
    A, b, _ = data(8)
    problem = CompositeProblem(LeastSquares(A, b), Simplex(), kernel=ShannonEntropy())
    x = np.full(8, 1 / 8)
    for state in islice(optlab.iterate(problem, MirrorDescent(0.1), x0=x), 1, 60):
        w = x * np.exp(-0.1 / np.sqrt(state.k) * (A.T @ (A @ x - b)))
        x = w / w.sum()
        assert np.allclose(np.exp(state.x), x, atol=1e-12)


def test_proximal_gradient_of_a_smooth_function_is_gradient_descent():
    A, b, _ = data(9)
    side_by_side(ProximalGradient(), GradientDescent(), problem=CompositeProblem(LeastSquares(A, b)), tol=0.0)


def test_accelerated_bregman_in_euclidean_space_is_fista_for_smooth_functions_only():
    A, b, _ = data(10)
    looks = (lambda s: s.averaged, lambda s: s.x)
    accelerated = AcceleratedBregman(2.0, adapt=False)
    side_by_side(accelerated, FISTA(), problem=CompositeProblem(LeastSquares(A, b)), look=looks, tol=1e-11)
    with pytest.raises(AssertionError):  # with a proximal term they are two methods
        side_by_side(accelerated, FISTA(), problem=lasso(), look=looks, tol=1e-6)
