"""The infimum of logistic and softmax regression without ridge, also where no weights attain it.

Scores are ``[0, A W]`` for two or more classes (softmax does not change if every class gets the same weights, so the
first gets none; two classes are logistic regression). A pair (i, c) of a sample and a wrong class *separates* if
some W puts a positive margin of the right class over c on it and a negative margin on no pair. Scaling that W up sends
the pair's part of the loss to 0, so that it can be left out of the sum without changing the infimum (Albert and
Anderson, Biometrika 1984). Leaving a pair out never raises the loss: a wrong decision could only make the bound lower.

1. Minimise by a quasi-Newton method, in a basis of the columns of A in which it is well conditioned. If an iterate has
   positive margins only, the data are separable and the infimum is 0: no need to go on.
2. The dual point: the class probabilities there, less the first-order prediction of their change in a Newton step,
   which is orthogonal to the data. Its entropy is the bound. If it meets the value, done.
3. Otherwise find the pairs that separate by a linear programme, leave them out, and start again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.stochastic.kernels.losses import losses_and_slopes
from optlab.stochastic.problems.quasi_newton import quasi_newton

DUAL = "entropy of a dual point"
SEPARABLE = "separable data: 0 is not attained"
PARTLY = "partly separable data: not attained; entropy of a dual point of the rest"
TRIVIAL = "losses are at least 0; no better bound found"

# Larger than this, the Newton system and the linear programme are not set up.
_NEWTON_SIZE = 1000
_PROGRAMME_SIZE = 4e6
# Sparse data are made dense if the decomposition costs no more than this.
_DENSE_WORK = 3e8


def unregularized_minimum(A: Any, labels: np.ndarray, n_classes: int) -> tuple[float, str]:
    """Return a certified lower bound of the mean loss, equal to its infimum if all goes well, and what it rests on.

    Parameters
    ----------
    A : ndarray or CSR matrix, shape (N, d), float64
    labels : ndarray of int, shape (N,)
        Numbers of the classes, 0 to ``n_classes - 1``.
    n_classes : int

    Examples
    --------
    >>> A = np.array([[1.0], [2.0], [-1.0]])
    >>> unregularized_minimum(A, np.array([1, 1, 0]), 2)
    (0.0, 'separable data: 0 is not attained')
    >>> value, reason = unregularized_minimum(A, np.array([1, 0, 1]), 2)
    >>> round(value, 6), reason
    (0.575045, 'entropy of a dual point')
    """
    A = _conditioned(A)
    keep = np.ones((A.shape[0], n_classes), bool)
    best = 0.0
    for attempt in (DUAL, PARTLY):
        bound, value = _bound_and_value(A, labels, keep)
        if value == 0.0:
            return 0.0, SEPARABLE
        if bound >= value - 1e-9 * max(value, 1e-3):
            return bound, attempt
        best = max(best, bound)
        if attempt == PARTLY or A.shape[0] * (n_classes - 1.0) * A.shape[1] > _PROGRAMME_SIZE:
            break
        keep = ~_separating(A, labels, n_classes)
        if keep.sum() == len(labels):  # the right classes alone
            return 0.0, SEPARABLE
        if keep.all():
            break
    return best, (DUAL if best > 0 else TRIVIAL)


def _conditioned(A: Any) -> Any:
    """Return data with the same column space: an orthonormal basis, or scaled columns if A is sparse."""
    import scipy.sparse as sp

    n, d = A.shape
    if sp.issparse(A) and float(n) * d * min(n, d) <= _DENSE_WORK:
        A = A.toarray()
    if sp.issparse(A):
        size = np.sqrt(np.asarray(A.multiply(A).mean(axis=0)).ravel())
        return (A @ sp.diags(1.0 / np.where(size > 0, size, 1.0))).tocsr()
    A = A / np.where((peak := np.abs(A).max(axis=0)) > 0, peak, 1.0)
    left, singular, _ = np.linalg.svd(A, full_matrices=False)
    rank = int(np.sum(singular > singular[0] * max(A.shape) * np.finfo(float).eps)) if singular[0] > 0 else 1
    return np.sqrt(len(A)) * left[:, :rank]


def _scores(A: Any, W: np.ndarray, keep: np.ndarray) -> np.ndarray:
    return np.where(keep, np.column_stack([np.zeros(A.shape[0]), A @ W]), -np.inf)


def _bound_and_value(A: Any, labels: np.ndarray, keep: np.ndarray) -> tuple[float, float]:
    """Return the dual bound and the value where the search ended; both 0 if an iterate separates all the pairs kept."""
    n, d = A.shape
    shape = (d, keep.shape[1] - 1)
    right = np.arange(n), labels
    wrong = keep.copy()
    wrong[right] = False
    # a margin counts if it is larger than its rounding error
    norms = np.sqrt(np.asarray(A.multiply(A).sum(axis=1)).ravel() if hasattr(A, "multiply") else (A * A).sum(axis=1))
    rounding = (4.0 * (d + 2) * np.finfo(float).eps * norms)[:, None]

    def value_gradient(w: np.ndarray) -> tuple[float, np.ndarray]:
        values, slopes = losses_and_slopes(_scores(A, w.reshape(shape), keep), labels)
        return float(np.mean(values)), (A.T @ (slopes[:, 1:] / n)).ravel()

    def separates(w: np.ndarray) -> bool:
        W = w.reshape(shape)
        z = _scores(A, W, keep)
        margins = z[right][:, None] - z
        return bool(np.all(margins[wrong] > np.broadcast_to(rounding * np.linalg.norm(W), z.shape)[wrong]))

    small = d * shape[1] <= _NEWTON_SIZE
    w = quasi_newton(value_gradient, np.zeros(d * shape[1]), stop=separates, max_iter=300 if small else 20_000)
    if separates(w):
        return 0.0, 0.0
    if small:
        w = _newton(A, w, labels, keep, value_gradient)
    value, gradient = value_gradient(w)
    P = np.zeros(keep.shape)
    P[right] = 1.0
    residual = losses_and_slopes(_scores(A, w.reshape(shape), keep), labels)[1]
    P += residual
    if small:
        direction = _solve(_hessian(A, P), gradient).reshape(shape)
        change = np.column_stack([np.zeros(n), A @ direction])
        feasible = P - P * (change - np.sum(P * change, axis=1, keepdims=True))
    else:
        feasible = P - _projection(A, residual)
    if feasible.min() < 0 or not np.all(np.isfinite(feasible)):
        return 0.0, value
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = np.where(feasible > 0, -feasible * np.log(feasible), 0.0)
    return float(entropy.sum() / n), value


def _hessian(A: Any, P: np.ndarray) -> np.ndarray:
    """Return the Hessian of the mean loss in the weights of all classes but the first, at class probabilities P."""
    n, d = A.shape
    k = P.shape[1] - 1
    H = np.empty((d, k, d, k))
    for c in range(k):
        for other in range(c, k):
            p, q = P[:, 1 + c], P[:, 1 + other]
            weight = (p * (1.0 - p) if other == c else -p * q) / n
            block = A.T @ (A.multiply(weight[:, None]).tocsr() if hasattr(A, "multiply") else A * weight[:, None])
            H[:, c, :, other] = H[:, other, :, c] = block.toarray() if hasattr(block, "toarray") else block
    return H.reshape(d * k, d * k)


def _solve(H: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Solve the Newton system, singular or not: least squares of smallest norm."""
    return np.linalg.lstsq(H, gradient, rcond=1e-14)[0]


def _newton(A: Any, w: np.ndarray, labels: np.ndarray, keep: np.ndarray, value_gradient: Any) -> np.ndarray:
    """Polish by Newton steps as long as the gradient shrinks."""
    shape = A.shape[1], keep.shape[1] - 1
    gradient = value_gradient(w)[1]
    for _ in range(30):
        P = losses_and_slopes(_scores(A, w.reshape(shape), keep), labels)[1]
        P[np.arange(len(labels)), labels] += 1.0
        trial = w - _solve(_hessian(A, P), gradient)
        new_gradient = value_gradient(trial)[1]
        if not np.linalg.norm(new_gradient) < 0.9 * np.linalg.norm(gradient):
            break
        w, gradient = trial, new_gradient
    return w


def _projection(A: Any, residual: np.ndarray) -> np.ndarray:
    """Return the part of `residual` in the range of A, which a dual point must not have."""
    import scipy.sparse as sp

    if not sp.issparse(A):
        return A @ (A.T @ residual / len(A))  # an orthonormal basis, times sqrt(N)
    from scipy.sparse.linalg import lsqr

    options = {"atol": 1e-15, "btol": 1e-15, "conlim": 0, "iter_lim": 20 * A.shape[1]}
    return A @ np.column_stack([lsqr(A, column, **options)[0] for column in residual.T])


def _separating(A: Any, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Return which pairs separate, as an (N, n_classes) mask: maximise sum s, margins >= s, 0 <= s <= 1.

    At the maximum every s is 0 or 1 up to scaling: if the margin of a pair can be positive, all that can be are at
    once, and scaling up makes them 1.
    """
    import scipy.sparse as sp
    from scipy.optimize import linprog

    n, d = A.shape
    rows, others = np.nonzero(np.arange(n_classes)[None, :] != labels[:, None])
    data = sp.csr_matrix(A)[rows]
    blocks = []
    for c in range(1, n_classes):  # margin = <a, w_label - w_c>, w_0 = 0
        sign = (labels[rows] == c).astype(float) - (others == c)
        blocks.append(sp.diags(sign) @ data)
    pairs = len(rows)
    constraint = sp.hstack([-sp.hstack(blocks), sp.identity(pairs)], format="csr")
    bounds = [(None, None)] * (d * (n_classes - 1)) + [(0.0, 1.0)] * pairs
    cost = np.concatenate([np.zeros(d * (n_classes - 1)), -np.ones(pairs)])
    found = linprog(cost, A_ub=constraint, b_ub=np.zeros(pairs), bounds=bounds, method="highs")
    mask = np.zeros((n, n_classes), bool)
    if found.x is not None:
        mask[rows, others] = found.x[-pairs:] > 0.5
    return mask
