"""No non-finite number on any convex problem with any method of the NGN family, sigma from 1e-12 to 1e12."""

import numpy as np
import pytest
import scipy.sparse as sp

import optlab
from optlab.stochastic import (
    NGN,
    NGND,
    NGNMD,
    Averaged,
    Decaying,
    FiniteSum,
    LeastSquares,
    LogisticRegression,
    SoftmaxRegression,
)

# These come to an end at every sigma; the others may diverge, and say so.
STABLE = {
    "NGN": NGN,
    "decaying": lambda s: NGN(Decaying(s)),
    "averaged": lambda s: Averaged(NGN(s)),
    "momentum": lambda s: NGN(s, momentum=0.9),
    "full batch": lambda s: NGN(s, batch_size=40),
    "batch, momentum": lambda s: NGN(s, batch_size=6, momentum=0.5),
    "lower bound": lambda s: NGN(s, lower_bound=0.1),
    "NGN-MD": NGNMD,
    "NGN-MD, coupled": lambda s: NGNMD(s, weight_decay=0.1, batch_size=3),
}
OTHERS = {
    "NGN-D": NGND,
    "NGN-MD, version 2": lambda s: NGNMD(s, version=2),
    "NGN-MD, decoupled": lambda s: NGNMD(s, weight_decay=0.1, coupled=False),
}


class Distances(FiniteSum):
    """A convex finite sum of a user's own, run uncompiled."""

    convex = True

    def __init__(self, points):
        self.points = points
        super().__init__(len(points), points.shape[1], dtype=points.dtype)

    def losses(self, x, rows):
        return 0.5 * np.sum((x - self.points[rows]) ** 2, axis=1)

    def gradient(self, x, rows):
        return np.mean(x - self.points[rows], axis=0)


def convex_problems(dtype, kind):
    rng = np.random.default_rng(0)
    A = (rng.standard_normal((40, 5)) / np.sqrt(5)).astype(dtype)
    A[3] = 0
    A[np.abs(A) < 0.15] = 0
    data = sp.csr_matrix(A) if kind == "sparse" else A
    labels = np.where(rng.random(40) < 0.5, 1.0, -1.0)
    for l2 in (0.0, 10.0):
        yield LeastSquares(data, rng.standard_normal(40) * 10, l2, f_star=None)
        yield LogisticRegression(data, labels, l2, f_star=None)
        yield LogisticRegression(data, np.where(A.sum(1) > 0, 1, -1), l2, f_star=None)  # separable
        yield SoftmaxRegression(data, rng.integers(0, 3, 40), l2, f_star=None)
    if kind == "dense":
        yield Distances(A)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_number_is_finite(dtype, kind):
    for problem in convex_problems(dtype, kind):
        for exponent in (-12, 2, 12):
            for name, make in (STABLE | OTHERS).items():
                result = optlab.solve(
                    problem, make(10.0**exponent), x0=np.ones(problem.shape), max_iter=100, record=100, seed=0
                )
                case = (problem, name, exponent)
                assert result.solution.dtype == dtype
                assert np.all(np.isfinite(result.solution)), case
                assert all(np.all(np.isfinite(result.history[c])) for c in result.history.columns), case
                if name in STABLE:
                    assert result.status is not optlab.Status.DIVERGED, case


def test_the_others_do_diverge_somewhere():
    """Otherwise they belong to the stable ones."""
    problem = next(convex_problems(np.float64, "dense"))
    for make in OTHERS.values():
        assert optlab.solve(problem, make(1e12), x0=np.ones(5), max_iter=600).status is optlab.Status.DIVERGED
