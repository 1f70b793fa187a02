"""Choosing the penalty by permutation: how strong is the leading component of views that are not linked?

After Joint Linked Component Analysis (Lin Xiao and Luo Xiao, arXiv 2406.11761); the tuning rule of the paper is not
reproduced, the rules here are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from optlab.core.validation import as_integer, as_number, one_of
from optlab.multiview.choice import Selection, as_lam, lambda_for_rank, serial
from optlab.multiview.linalg import top_left
from optlab.multiview.penalties import Penalty
from optlab.multiview.prepare import Prepared, fit_problem, prepare
from optlab.multiview.problem import LinkedComponents

__all__ = ["permutation_test"]


@serial
def permutation_test(
    views: Any,
    *,
    max_rank: int | None = None,
    n_permutations: int = 50,
    quantile: float = 0.95,
    kind: str = "single",
    penalty: str | Penalty = "group",
    pair_weights: Any = None,
    random_state: int | np.random.Generator | None = 0,
    **preparation: Any,
) -> Selection:
    """Choose the penalty from data in which the views are unlinked: samples permuted in all views but the first.

    Parameters
    ----------
    views : sequence or mapping of matrices, or Prepared
    n_permutations : int, default 50
    quantile : float, default 0.95
    kind : {"single", "sequential", "parallel"}
        ``"single"``: `lam` is the quantile of the leading norm, one threshold for all components (conservative for weak
        ones, since permuted data still contain the strong parts). ``"sequential"``: test the leading component, remove
        it from every view, test again (more power, slightly too many). ``"parallel"``: compare the j-th norm with the
        quantile of the j-th norm of permuted data (parallel analysis).
    max_rank, penalty, pair_weights, random_state, **preparation
        See `cross_validate_rank`.

    Returns
    -------
    Selection
        With columns component, norm, null_quantile, p_value. ``null`` holds the leading norms of the permuted data.
    """
    one_of(kind, "kind", ("single", "sequential", "parallel"))
    n_permutations = as_integer(n_permutations, "n_permutations", minimum=1)
    quantile = as_number(quantile, "quantile", above=0, below=1)
    data = prepare(views, **preparation)
    R = data.rank_limit(max_rank)
    rng = np.random.default_rng(random_state)
    settings = {"penalty": penalty, "pair_weights": pair_weights}
    problem = data.problem(max_rank=R, **settings)
    fitted = fit_problem(problem.replace(lam=0.0), tol=1e-4, max_iter=100).solution
    norms = fitted.norms
    if kind == "sequential":
        return _sequential(data, R, n_permutations, quantile, settings, rng, problem)
    nulls = np.array(
        [_null_norms(data.scores, R if kind == "parallel" else 1, settings, rng) for _ in range(n_permutations)]
    )
    levels = np.quantile(nulls, quantile, axis=0)
    thresholds = levels if kind == "parallel" else np.full(R, levels[0])
    references = nulls if kind == "parallel" else np.repeat(nulls, R, axis=1)
    above = norms > thresholds
    rank = R if np.all(above) else int(np.argmin(above))
    p_values = (1 + np.sum(references >= norms, axis=0)) / (n_permutations + 1)
    if kind == "single":
        lam = as_lam(problem.penalty, float(levels[0]))
    else:
        lam = lambda_for_rank(problem, rank)
    return Selection(
        f"permutation, {kind}",
        lam,
        rank,
        {"component": np.arange(1, R + 1), "norm": norms, "null_quantile": thresholds, "p_value": p_values},
        nulls[:, 0],
        x="component",
    )


def _sequential(
    data: Prepared,
    R: int,
    n_permutations: int,
    quantile: float,
    settings: dict[str, Any],
    rng: np.random.Generator,
    whole: LinkedComponents,
) -> Selection:
    scores = [Y - Y.mean(axis=0) for Y in data.scores]
    columns: dict[str, list[float]] = {"component": [], "norm": [], "null_quantile": [], "p_value": []}
    rank, first = 0, None
    for j in range(R):
        problem = LinkedComponents._from_scores(scores, max_rank=1, **settings)
        v = np.concatenate(problem.spectral_start(1))[:, 0]
        v, norm = problem.rank_one(v, np.zeros((v.size, 0)), 100, tol=1e-8)
        null = np.array([_null_norms(scores, 1, settings, rng)[0] for _ in range(n_permutations)])
        first = null if first is None else first
        level = float(np.quantile(null, quantile))
        for name, value in zip(columns, (j + 1, norm, level, (1 + np.sum(null >= norm)) / (n_permutations + 1))):
            columns[name].append(float(value))
        if norm <= level:
            break
        rank = j + 1
        scores = [Y - (Y @ u)[:, None] * u for Y, u in zip(scores, problem.split(v))]
    table = {name: np.asarray(values) for name, values in columns.items()}
    table["component"] = table["component"].astype(int)
    return Selection("permutation, sequential", lambda_for_rank(whole, rank), rank, table, first, x="component")


def _null_norms(scores: Sequence[np.ndarray], R: int, settings: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
    """Norms of the `R` leading components after the samples of views 2..K were permuted."""
    permuted = [Y if k == 0 else Y[rng.permutation(len(Y))] for k, Y in enumerate(scores)]
    n, most = permuted[0].shape[0], max(Y.shape[1] for Y in permuted)
    if R == 1 and most > 200 and most > n // 2:
        weights = settings.get("pair_weights")
        return np.array([_leading_norm(permuted, None if weights is None else np.asarray(weights, dtype=float))])
    problem = LinkedComponents._from_scores(permuted, max_rank=R, **settings)
    if R == 1:
        v = np.concatenate(problem.spectral_start(1, tol=1e-2))[:, 0]
        return np.array([problem.rank_one(v, np.zeros((v.size, 0)), 30, tol=1e-3)[1]])
    solution = fit_problem(problem.replace(lam=0.0), tol=1e-2, max_iter=20, record=5).solution
    return np.linalg.norm(problem.correlations(np.concatenate(solution.coordinates)), axis=0)


def _leading_norm(scores: Sequence[np.ndarray], weights: np.ndarray | None, sweeps: int = 30) -> float:
    """Largest norm of one component, from products with the scores only: wide cross-covariances cost more."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    Y = [X - X.mean(axis=0) for X in scores]
    K, n = len(Y), len(Y[0])
    root = np.sqrt(np.ones((K, K)) if weights is None else weights)
    root = root - np.diag(np.diag(root))
    cuts = np.cumsum([X.shape[1] for X in Y])

    def product(v: np.ndarray) -> np.ndarray:
        T = np.array([X @ u for X, u in zip(Y, np.split(v.ravel(), cuts[:-1]))])
        return np.concatenate([X.T @ t for X, t in zip(Y, root @ T)]) / (n - 1)

    M = int(cuts[-1])
    operator = LinearOperator((M, M), matvec=product, dtype=float)
    start = np.random.default_rng(0).standard_normal(M)
    _, vectors = eigsh(operator, k=1, which="LA", v0=start, tol=5e-2, ncv=8, maxiter=1000)
    v = [u / max(np.linalg.norm(u), 1e-300) for u in np.split(vectors[:, 0], cuts[:-1])]
    T, norm = [X @ u for X, u in zip(Y, v)], 0.0
    for _ in range(sweeps):
        before = norm
        for k in range(K):
            others = [l for l in range(K) if l != k and root[k, l] > 0]
            best, _ = top_left(Y[k].T @ np.column_stack([root[k, l] * T[l] for l in others]))
            if best is not None:
                T[k] = Y[k] @ best
        c = [root[k, l] * (T[k] @ T[l]) / (n - 1) for k in range(K) for l in range(k + 1, K)]
        norm = float(np.linalg.norm(c))
        if norm - before <= 1e-3 * norm:
            break
    return norm
