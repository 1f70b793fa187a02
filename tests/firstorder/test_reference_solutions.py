"""Every method on small random instances, against Clarabel, HiGHS and scikit-learn."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest
from scipy.optimize import linprog

import optlab
from optlab.bregman.functions import Box, L1Norm, LeastSquares, Linear, Logistic, Simplex, SquaredDistance
from optlab.composite import CompositeProblem
from optlab.firstorder import (
    AFBA,
    FISTA,
    LBFGS,
    PANOC,
    PDHG,
    AdaptiveProximalGradient,
    Backtracking,
    BlockCoordinateDescent,
    CondatVu,
    DavisYin,
    FrankWolfe,
    ProximalGradient,
    RestartedPDHG,
    ZeroFPR,
)
from optlab.linalg import FiniteDifferences
from optlab.splitting import DouglasRachfordLineSearch

FORWARD_BACKWARD = {
    "ProximalGradient": ProximalGradient(),
    "FISTA": FISTA(),
    "FISTA-gradient": FISTA(restart="gradient"),
    "FISTA-function": FISTA(restart="function"),
    "FISTA-speed": FISTA(restart="speed"),
    "FISTA-search": FISTA(restart="gradient", backtracking=Backtracking(initial=0.1, decrease=0.9)),
    "adaPGM": AdaptiveProximalGradient(),
    "PANOC": PANOC(),
    "PANOC+": PANOC(first_step_size=10.0),
    "ZeroFPR": ZeroFPR(),
    "CondatVu": CondatVu(),
    "DavisYin": DavisYin(),
    "AFBA": AFBA(),
    "AFBA-0": AFBA(theta=0.0, mu=0.5),
    "AFBA-1.5": AFBA(theta=1.5, mu=0.0),
}
COORDINATES = {rule: BlockCoordinateDescent(rule) for rule in ("gs-q", "gs-r", "gs", "cyclic", "random")}
PRIMAL_DUAL = {"PDHG": PDHG(), "RestartedPDHG": RestartedPDHG()}


def lasso(seed, m=15, n=10):
    rng = np.random.default_rng(seed)
    A, b = rng.standard_normal((m, n)), rng.standard_normal(m)
    return A, b, 0.2 * float(np.max(np.abs(A.T @ b)))


def clarabel(objective, *constraints):
    problem = cp.Problem(cp.Minimize(objective), list(constraints))
    problem.solve(solver="CLARABEL", tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    return problem.value


def agrees(problem, method, optimum, *, max_iter=40_000, tol=1e-8):
    result = optlab.solve(problem, method, tol=tol, max_iter=max_iter, seed=0)
    assert result.success, (result.message, result.metrics)
    assert abs(result.metrics["objective"] - optimum) <= 1e-6 * (1 + abs(optimum))
    if "gap" in result.metrics:
        gaps, objectives = result.history["gap"], result.history["objective"]
        assert np.all(gaps >= objectives - optimum - 1e-8 * (1 + abs(optimum)))
    return result


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", [*FORWARD_BACKWARD, *COORDINATES, *PRIMAL_DUAL, "DRLS"])
def test_lasso(name, seed):
    A, b, lam = lasso(seed)
    x = cp.Variable(A.shape[1])
    optimum = clarabel(0.5 * cp.sum_squares(A @ x - b) + lam * cp.norm1(x))
    methods = {**FORWARD_BACKWARD, **COORDINATES, **PRIMAL_DUAL, "DRLS": DouglasRachfordLineSearch()}
    agrees(CompositeProblem(LeastSquares(A, b), lam * L1Norm()), methods[name], optimum)


@pytest.mark.parametrize("name", [*FORWARD_BACKWARD, "gs-q", "gs-r"])
def test_sparse_logistic_regression(name):
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(5)
    X, y = rng.standard_normal((40, 6)), np.sign(rng.standard_normal(40))
    lam = 1.5
    reference = LogisticRegression(
        l1_ratio=1.0, C=1 / lam, fit_intercept=False, solver="saga", tol=1e-12, max_iter=20_000
    )
    w = reference.fit(X, y).coef_.ravel()
    optimum = float(np.sum(np.logaddexp(0, -y * (X @ w))) + lam * np.abs(w).sum())
    methods = {**FORWARD_BACKWARD, **COORDINATES}
    agrees(CompositeProblem(Logistic(X, y), lam * L1Norm()), methods[name], optimum)


@pytest.mark.parametrize("name", [*FORWARD_BACKWARD, "gs-q", "cyclic", "DRLS"])
def test_nonnegative_least_squares(name):
    from scipy.optimize import nnls

    A, b, _ = lasso(7)
    optimum = 0.5 * nnls(A, b)[1] ** 2
    methods = {**FORWARD_BACKWARD, **COORDINATES, "DRLS": DouglasRachfordLineSearch()}
    agrees(CompositeProblem(LeastSquares(A, b), Box(lower=0.0)), methods[name], optimum)


@pytest.mark.parametrize(
    "name", ["ProximalGradient", "FISTA-gradient", "adaPGM", "PANOC", "ZeroFPR", "CondatVu", "DavisYin"]
)
def test_elastic_net(name):
    from sklearn.linear_model import ElasticNet

    A, b, lam = lasso(3)
    m = b.size
    reference = ElasticNet(alpha=2 * lam / m, l1_ratio=0.5, fit_intercept=False, tol=1e-14, max_iter=100_000).fit(A, b)
    w = reference.coef_
    optimum = float(0.5 * np.sum((A @ w - b) ** 2) + lam * np.abs(w).sum() + 0.5 * lam * w @ w)
    problem = CompositeProblem(LeastSquares(A, b), SquaredDistance(np.zeros(w.size), weight=lam), lam * L1Norm())
    agrees(problem, FORWARD_BACKWARD[name], optimum)


@pytest.mark.parametrize(
    "method", [PDHG(), PDHG(strong_convexity=1.0), RestartedPDHG(), CondatVu(), AFBA(), AFBA(0.0, 0.5)], ids=repr
)
def test_total_variation_of_a_signal(method):
    rng = np.random.default_rng(2)
    b = np.repeat([0.0, 1.0, -0.5], 8) + 0.1 * rng.standard_normal(24)
    x = cp.Variable(24)
    optimum = clarabel(0.5 * cp.sum_squares(x - b) + 0.3 * cp.norm1(cp.diff(x)))
    agrees(CompositeProblem(SquaredDistance(b), 0.3 * L1Norm() @ FiniteDifferences(24)), method, optimum)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("method", [PDHG(), RestartedPDHG(), CondatVu()], ids=repr)
def test_linear_programs(method, seed):
    rng = np.random.default_rng(seed)
    A, c = rng.standard_normal((5, 12)), rng.random(12)
    b = A @ rng.random(12)
    reference = linprog(c, A_eq=A, b_eq=b)
    term = Linear(c) + Box(lower=0.0)
    terms = (Linear(c), Box(lower=0.0)) if isinstance(method, CondatVu) else (term,)
    result = optlab.solve(CompositeProblem(*terms, Box(b, b) @ A), method, tol=1e-9, max_iter=200_000)
    assert result.success, result.metrics
    assert abs(float(c @ result.solution) - reference.fun) <= 1e-6 * (1 + abs(reference.fun))


@pytest.mark.parametrize("variant", ["plain", "away", "pairwise"])
@pytest.mark.parametrize("step", ["exact", "short"])
def test_least_squares_on_the_simplex_by_frank_wolfe(variant, step):
    A, b, _ = lasso(11)
    x = cp.Variable(A.shape[1])
    optimum = clarabel(0.5 * cp.sum_squares(A @ x - b), x >= 0, cp.sum(x) == 1)
    problem = CompositeProblem(LeastSquares(A, b), Simplex())
    tol = 1e-8 if variant != "plain" else 1e-2
    result = optlab.solve(problem, FrankWolfe(variant, step), tol=tol, max_iter=5000)
    assert result.success, result.metrics
    assert -1e-8 <= result.metrics["objective"] - optimum <= tol
    assert np.all(result.history["gap"] >= result.history["objective"] - optimum - 1e-8)


def test_scipys_lbfgs_agrees_with_bounds_and_without():
    A, b, _ = lasso(13)
    plain = optlab.solve(CompositeProblem(LeastSquares(A, b)), LBFGS(), tol=1e-8)
    assert np.allclose(plain.solution, np.linalg.lstsq(A, b)[0], atol=1e-7)
    bounded = CompositeProblem(LeastSquares(A, b), Box(-0.1, 0.1))
    reference = optlab.solve(bounded, FISTA(), tol=1e-10, max_iter=5000)
    found = optlab.solve(bounded, LBFGS(), tol=1e-8)
    assert np.allclose(found.solution, reference.solution, atol=1e-4)


@pytest.mark.parametrize(
    "method", [ProximalGradient(), FISTA(), DavisYin(), PANOC(), BlockCoordinateDescent()], ids=repr
)
def test_a_term_that_would_be_ignored_is_refused(method):
    A, b, lam = lasso(0)
    extra = 0.1 * L1Norm() @ FiniteDifferences(10)
    problem = CompositeProblem(LeastSquares(A, b), lam * L1Norm(), extra)
    with pytest.raises(optlab.IncompatibleError):
        optlab.solve(problem, method)
