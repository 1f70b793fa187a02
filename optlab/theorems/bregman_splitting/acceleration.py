"""Accelerated splitting, quadratic kernel: Halpern's bound with its constant, and where Anderson's method ends."""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.bregman import SquaredEuclidean
from optlab.bregman.functions import AffineSet, Box, L1Norm, LeastSquares, SquaredDistance
from optlab.reproduce import Evidence, at_scale, theorem
from optlab.splitting import (
    AndersonDouglasRachford,
    BregmanDouglasRachford,
    CompositeProblem,
    HalpernDouglasRachford,
    MonotoneInclusion,
)
from optlab.theorems.bregman_splitting._instances import PAPER, states, worst_of

_RESIDUAL = "length of z - T(z)"


class _FadingAnchor(HalpernDouglasRachford):
    """The anchor's weight falls too fast: it can be summed."""

    @staticmethod
    def _weight(since: int) -> float:
        return 1.0 / (since + 2.0) ** 2


def _linear_operator(matrix: np.ndarray) -> MonotoneInclusion:
    """Return the inclusion 0 in M x + 0."""
    n = matrix.shape[0]
    return MonotoneInclusion(
        lambda mirror, step: np.linalg.solve(np.eye(n) + step * matrix, mirror),
        lambda mirror, step: mirror,
        SquaredEuclidean(),
        shape=n,
    )


def _rotation(angle: float) -> tuple[MonotoneInclusion, float]:
    """Return a problem and a step size at which the reflected operator turns the plane by `angle`."""
    # the Cayley transform of a skew matrix: 2 (I + gamma S)^{-1} - I turns by 2 arctan(gamma)
    return _linear_operator(np.array([[0.0, -1.0], [1.0, 0.0]])), float(np.tan(0.5 * angle))


def _problems(seed: int) -> list[tuple[str, Any, float, np.ndarray]]:
    """Return name, problem, step size and start of the problems that the bound is checked on."""
    rng = np.random.default_rng(seed)
    skew = rng.standard_normal((8, 8))
    A, b = rng.standard_normal((6, 12)), rng.standard_normal(6)
    rows = rng.standard_normal((4, 9))
    inside = np.maximum(rng.standard_normal(9), 0.0)  # a feasible point with zeros: a vertex or near one
    kernel = SquaredEuclidean()
    return [
        ("skew operator", _linear_operator(skew - skew.T), 0.5, rng.standard_normal(8)),
        ("lasso", CompositeProblem(L1Norm(0.5), LeastSquares(A, b), kernel), 0.1, rng.standard_normal(12)),
        (
            "a linear program's feasible set",
            CompositeProblem(Box(0.0, np.inf), AffineSet(rows, rows @ inside), kernel),
            1.0,
            rng.standard_normal(9),
        ),
    ]


def _fixed_point(problem: Any, gamma: float, start: np.ndarray) -> np.ndarray:
    """Return a fixed point of the iteration (it is one for every relaxation), by the plain iteration."""
    state = None
    for state in states(problem, BregmanDouglasRachford(gamma), 200_000, x0=start):
        if np.linalg.norm(state.y - state.x) <= 1e-13:
            break
    assert state is not None
    return np.asarray(state.z)


def _bound_evidence(scale: str, seed: int, method: Any = HalpernDouglasRachford) -> Evidence:
    n, runs, distances = at_scale(scale, 200, 2000), [], {}
    for name, problem, gamma, start in _problems(seed):
        distance = float(np.linalg.norm(start - _fixed_point(problem, gamma, start)))
        distances[f"{name}: distance of the start to a fixed point"] = distance
        for relaxation in (1.0, 2.0):
            run = states(problem, method(gamma, relaxation, restart=None), n, x0=start)
            runs.append(([s.residual for s in run], 2.0 * distance / np.arange(1, n + 1)))
    observed, bound = worst_of(runs, 1e-10)
    return Evidence(np.arange(n), observed, bound, slack=1e-10, detail=distances, ylabel=_RESIDUAL)


@theorem(
    id="halpern-residual",
    paper=PAPER,
    title="Halpern's iteration: the residual with its constant",
    statement="""With the quadratic kernel, constant step size and no restart, Halpern's iteration with weights
    1/(k+2) on Douglas-Rachford with relaxation lambda in (0, 2] has ||z_k - T(z_k)|| <= 2 ||z_0 - z*|| / (k+1) for
    every fixed point z*; with z - T(z) = lambda (x - y) the points x and y are at most 2 ||z_0 - z*|| / (lambda
    (k+1))
    apart.""",
    assumptions=("quadratic kernel", "A, B maximal monotone, a zero of A + B exists", "no restart"),
    source="Lieder 2021, Theorem 2.1, for the nonexpansive map T",
)
def halpern_residual(scale: str, seed: int) -> Evidence:
    return _bound_evidence(scale, seed)


@halpern_residual.control("weights 1/(k+2)^2, whose sum is finite")
def _(scale: str, seed: int) -> Evidence:
    return _bound_evidence("smoke", seed, _FadingAnchor)


@halpern_residual.control("an operator that is not monotone: T expands")
def _(scale: str, seed: int) -> Evidence:
    problem = _linear_operator(np.array([[-0.1, -1.0], [1.0, -0.1]]))
    run = states(problem, HalpernDouglasRachford(1.0, restart=None), 200, x0=np.array([1.0, 0.0]))
    return Evidence(np.arange(200), [s.residual for s in run], 2.0 / np.arange(1, 201), ylabel=_RESIDUAL)


def _rotation_evidence(scale: str, constant: float) -> Evidence:
    """Residuals at k = K of runs on the rotation by pi / (K + 1), one K a record."""
    places = np.array(at_scale(scale, (1, 2, 5, 10, 30), (1, 2, 5, 10, 30, 100, 300, 1000)))
    observed = []
    for k in places:
        problem, gamma = _rotation(np.pi / (k + 1.0))
        *_, last = states(problem, HalpernDouglasRachford(gamma, restart=None), int(k) + 1, x0=np.array([1.0, 0.0]))
        observed.append(last.residual)
    return Evidence(places, observed, constant / (places + 1.0), kind="tight", rtol=1e-9, xlabel="K", ylabel=_RESIDUAL)


@theorem(
    id="halpern-residual-tight",
    paper=PAPER,
    title="No smaller constant in Halpern's bound",
    statement="""On a rotation by theta the iteration with weights 1/(k+2) averages z_0 and its first k images, so that
    ||z_k - T(z_k)|| = |1 - exp(i (k+1) theta)| ||z_0|| / (k+1). At theta = pi/(K+1), which the reflected operator of a
    skew A and B = 0 is at step size tan(theta/2), it equals the bound 2 ||z_0 - z*|| / (k+1) at k = K.""",
    assumptions=("quadratic kernel", "relaxation 2, no restart"),
    source="derived here, verified numerically; tightness: Lieder 2021",
)
def halpern_tight(scale: str, seed: int) -> Evidence:
    return _rotation_evidence(scale, 2.0)


@halpern_tight.control("the constant 1.7")
def _(scale: str, seed: int) -> Evidence:
    return _rotation_evidence("smoke", 1.7)


def _termination(seed: int, memory: int) -> Evidence:
    """Relative residuals of Anderson's method where T is affine; from n + 2 iterations on they have to be rounding."""
    rng = np.random.default_rng(seed)
    n = 6
    A, b = rng.standard_normal((9, n)), rng.standard_normal(9)
    problem = CompositeProblem(SquaredDistance(rng.standard_normal(n)), LeastSquares(A, b), SquaredEuclidean())
    method = AndersonDouglasRachford(0.3, memory=memory)
    run = list(states(problem, method, n + 2))
    lengths = np.array([s.lengths[-1] for s in run])
    if run[-1].rejected:  # part of the statement
        lengths[-1] = np.nan
    bound = np.where(np.arange(1, n + 3) < n + 2, np.inf, 1e-9)
    return Evidence(
        np.arange(1, n + 3),
        lengths / lengths[0],
        bound,
        detail={"candidates turned away": run[-1].rejected},
        ylabel="relative residual",
    )


@theorem(
    id="anderson-affine-termination",
    paper=PAPER,
    title="Anderson's method on an affine map ends",
    statement="""Where
    T is affine on R^n (both functions quadratic), Anderson's method with a memory of at least n finds the fixed point
    after at most n + 1 evaluations, as GMRES does: the residual of iteration n + 2 is rounding (1e-9 of
    the first), and the safeguard never acts.""",
    assumptions=("quadratic kernel, quadratic functions", "memory of at least n"),
    source="Walker and Ni 2011: equivalence with GMRES on linear problems",
)
def anderson_termination(scale: str, seed: int) -> Evidence:
    return _termination(seed, 10)


@anderson_termination.control("a memory of 2")
def _(scale: str, seed: int) -> Evidence:
    return _termination(seed, 2)
