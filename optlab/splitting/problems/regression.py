"""Sparse regression: the lasso and l1-regularised logistic regression, with duality gaps by residual scaling.

Euclidean kernel, so Bregman Douglas-Rachford is the classical method: B the smooth loss, A soft thresholding. The dual
point is the loss's gradient with respect to the predictions, scaled until it is feasible (``|A^T theta| <= weight``),
as in El Ghaoui, Viallon, Rabbani (2012) and Kim, Koh, Lustig, Boyd, Gorinevsky (2007).
"""

from __future__ import annotations

import math
from operator import attrgetter
from typing import Any

import numpy as np
from scipy import special

from optlab.bregman import SquaredEuclidean
from optlab.bregman.functions import L1Norm, LeastSquares, Logistic
from optlab.composite.inclusion import SplitPoint
from optlab.core.validation import as_data, as_number
from optlab.splitting.block_minimization import minimize_smooth
from optlab.splitting.problems.certificates import CertifiedProblem

Array = Any


def _scaling(correlations: Array, weight: float) -> float:
    """Return the largest s for which ``|s correlations| <= weight``, infinity if they are all zero."""
    largest = float(np.max(np.abs(correlations)))
    return weight / largest if largest > 0 else float("inf")


class Lasso(CertifiedProblem):
    """Minimise ``||A x - b||^2 / 2 + weight ||x||_1``, with a certified duality gap.

    Parameters
    ----------
    A : array_like, shape (m, n)
        Features, a row per sample.
    b : array_like, shape (m,)
        Targets.
    weight : float
        Of the l1 norm, above 0; from ``max |A^T b|`` on (see `largest_weight`) the solution is 0.
    reference : array_like, shape (n,), optional
        A known solution; adds the metric ``distance``.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, shape or range.

    Notes
    -----
    The dual is ``max ||b||^2/2 - ||b - theta||^2/2`` subject to ``|A^T theta| <= weight``; theta is the best multiple
    of the residual ``b - A x``. The primary metric is ``gap``, at the sparse point y.

    Examples
    --------
    >>> import optlab
    >>> from optlab.datasets import diabetes
    >>> from optlab.splitting import BregmanDouglasRachford
    >>> A, b = diabetes()
    >>> problem = Lasso(A, b, weight=0.1 * Lasso.largest_weight(A, b))
    >>> result = optlab.solve(problem, BregmanDouglasRachford(), tol=1e-8)
    >>> result.success, int(np.count_nonzero(result.solution.y))
    (True, 5)
    """

    def __init__(self, A: Any, b: Any, weight: float, reference: Any = None) -> None:
        loss = LeastSquares(A, b)
        self.features, self.target, self.weight = loss.A, loss.b, as_number(weight, "weight", above=0)
        n = loss.A.shape[1]
        singular = loss.svd[1]
        super().__init__(
            L1Norm(self.weight),
            loss,
            SquaredEuclidean(),
            shape=n,
            reference=None if reference is None else as_data(reference, "reference", shape=(n,)),
            dual_bound=self._scaled_residual_bound,
            feasible_point=attrgetter("y"),
            default_step_size=_quadratic_step_size(singular**2),
        )

    def default_start(self, rng: np.random.Generator) -> Array:
        """Return zero."""
        return np.zeros(self.shape)

    @staticmethod
    def largest_weight(A: Any, b: Any) -> float:
        """Return ``max |A^T b|``, the smallest weight at which the solution is 0."""
        loss = LeastSquares(A, b)
        return float(np.max(np.abs(loss.A.T @ loss.b)))

    def _scaled_residual_bound(self, point: SplitPoint) -> float:
        best = 0.0  # theta = 0
        for v in (point.y, np.asarray(point)):
            residual = self.target - self.features @ v
            square = float(residual @ residual)
            if square == 0.0:
                continue
            limit = _scaling(self.features.T @ residual, self.weight)
            scale = float(np.clip(self.target @ residual / square, -limit, limit))
            # ||b||^2/2 - ||b - s r||^2/2 without the cancellation
            best = max(best, scale * float(self.target @ residual) - 0.5 * scale**2 * square)
        return best


class _LogisticLoss(Logistic):
    """The logistic loss with a Euclidean resolvent by Newton's method with a line search, safe at any step size."""

    def resolvent(self, kernel: Any, mirror: Array, step_size: float) -> Array:
        # argmin f(x) + ||x - m||^2 / (2 step), in the form that the multiplier methods' block step solves
        identity = np.eye(mirror.size)
        (x,) = minimize_smooth([self], [identity], kernel, -mirror / step_size, 1.0 / step_size, [mirror], "proximal")
        return x


def _quadratic_step_size(curvatures: Array) -> float:
    """Return the inverse geometric mean of the extreme curvatures, the weak ones counted as 1e-3 of the top."""
    top = float(np.max(curvatures))
    if not top > 0:
        return 1.0
    return 1.0 / (top * math.sqrt(max(float(np.min(curvatures)) / top, 1e-3)))


class SparseLogisticRegression(CertifiedProblem):
    """Minimise ``sum_i log(1 + exp(-y_i <a_i, x>)) + weight ||x||_1``, with a certified duality gap.

    There is no intercept; add a column of ones for a penalised one. Each iteration solves a logistic ridge problem of
    size n by Newton's method (n up to a few hundred).

    Parameters
    ----------
    A : array_like, shape (m, n)
        Features, a row per sample.
    y : array_like, shape (m,)
        Labels, -1 or 1.
    weight : float
        Of the l1 norm, above 0; from ``max |A^T y| / 2`` on (see `largest_weight`) the solution is 0.
    reference : array_like, shape (n,), optional
        A known solution; adds the metric ``distance``.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, shape or range.

    Notes
    -----
    The dual is ``max sum H(theta_i)``, H the binary entropy, subject to ``|A^T (y theta)| <= weight`` and
    ``0 <= theta <= 1``; theta is the vector of misclassification probabilities, scaled. The primary metric is ``gap``.

    Examples
    --------
    >>> import optlab
    >>> from optlab.datasets import breast_cancer
    >>> from optlab.splitting import BregmanDouglasRachford
    >>> A, y = breast_cancer()
    >>> problem = SparseLogisticRegression(A, y, weight=0.3 * SparseLogisticRegression.largest_weight(A, y))
    >>> optlab.solve(problem, BregmanDouglasRachford(), tol={"relative_gap": 1e-2}).success
    True
    """

    def __init__(self, A: Any, y: Any, weight: float, reference: Any = None) -> None:
        if A is None:
            raise TypeError("A must be a matrix, got None")
        loss = _LogisticLoss(as_data(A, "A", ndim=2), y)
        self.features, self.labels, self.weight = loss.features, loss.labels, as_number(weight, "weight", above=0)
        n = loss.features.shape[1]
        # curvatures p (1 - p) fall below 1/4 where the classes are told apart, the more so the smaller the weight
        gain = float(np.clip(self.largest_weight(A, y) / self.weight, 1.0, 100.0))
        curvatures = 0.25 * np.linalg.svd(loss.features, compute_uv=False) ** 2
        super().__init__(
            L1Norm(self.weight),
            loss,
            SquaredEuclidean(),
            shape=n,
            reference=None if reference is None else as_data(reference, "reference", shape=(n,)),
            dual_bound=self._scaled_residual_bound,
            feasible_point=attrgetter("y"),
            default_step_size=gain * _quadratic_step_size(curvatures),
        )

    def default_start(self, rng: np.random.Generator) -> Array:
        """Return zero."""
        return np.zeros(self.shape)

    @staticmethod
    def largest_weight(A: Any, y: Any) -> float:
        """Return ``max |A^T y| / 2``, the smallest weight at which the solution is 0."""
        loss = Logistic(as_data(A, "A", ndim=2), y)
        return float(np.max(np.abs(loss.features.T @ loss.labels))) / 2

    def _scaled_residual_bound(self, point: SplitPoint) -> float:
        best = 0.0  # theta = 0
        for v in (point.y, np.asarray(point)):
            theta = special.expit(-self.labels * (self.features @ v))
            theta = min(1.0, _scaling(self.features.T @ (self.labels * theta), self.weight)) * theta
            best = max(best, float(np.sum(special.entr(theta) + special.entr(1.0 - theta))))
        return best
