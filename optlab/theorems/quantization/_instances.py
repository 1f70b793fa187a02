"""What the checks of quantization share: regularisers, a logistic problem with known constants, its optimum."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any

import numpy as np

import optlab
from optlab.bregman.functions import Logistic
from optlab.composite import CompositeProblem
from optlab.datasets import breast_cancer
from optlab.firstorder import FISTA
from optlab.quantization import PiecewiseAffine
from optlab.stochastic import LogisticRegression

PAPER = "quantization"
PARQ_PAPER = "Jin, Ma, Liu, Gromov, Defazio, Xiao 2025"
DERIVED = "derived here, verified numerically"


def random_regularizer(rng: np.random.Generator, first: float = 0.05) -> PiecewiseAffine:
    """Return a symmetric regulariser with one to four corners a side; its first slope is at least `first`."""
    k = int(rng.integers(1, 5))
    points = np.concatenate([[0.0], np.cumsum(rng.uniform(0.2, 1.0, k))])
    return PiecewiseAffine(points, first + np.cumsum(rng.uniform(0.05, 0.6, k)))


@dataclass(frozen=True, eq=False)
class Classification:
    """Logistic regression on breast cancer, rows of norm at most 1, with a regulariser and the optimum of the sum."""

    problem: LogisticRegression
    regularizer: PiecewiseAffine
    total: CompositeProblem
    solution: np.ndarray
    optimum: float
    lipschitz: float

    @property
    def radius(self) -> float:
        """||w_0 - w*|| from the start 0."""
        return float(np.linalg.norm(self.solution))

    def gap(self, w: Any) -> float:
        """Return F(w) - F*."""
        return float(self.total.objective(np.asarray(w))) - self.optimum


@cache
def classification(weight: float = 0.01) -> Classification:
    """Return the problem; gradients of the losses are at most 1 in norm, those of psi at most its steepest slope."""
    A, y = breast_cancer()
    A = A / np.linalg.norm(A, axis=1).max()
    psi = PiecewiseAffine([0.0, 0.5, 1.0, 1.5, 2.0], [0.1, 0.3, 0.5, 0.7], weight=weight)
    total = CompositeProblem((1.0 / len(A)) * Logistic(A, np.where(y > 0, 1.0, -1.0)), psi)
    found = optlab.solve(total, FISTA(restart="gradient"), tol=1e-13, max_iter=30_000, progress=False)
    w = np.asarray(found.solution)
    w = np.where(np.abs(w - psi.proximal(w, 0.0)) < 1e-9, w, w)
    G = 1.0 + float(psi.all_slopes[-1]) * np.sqrt(A.shape[1])
    return Classification(LogisticRegression(A, y), psi, total, w, float(total.objective(w)), float(G))


def states(problem: Any, method: Any, n: int, seed: int = 0, x0: Any = None) -> Any:
    """Yield the states after 0, ..., n iterations."""
    return islice(optlab.iterate(problem, method, x0=x0, seed=seed), n + 1)
