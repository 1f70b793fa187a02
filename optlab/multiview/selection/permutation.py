"""Choosing the penalty by permutation: how strong is the leading component of views that are not linked?

After Joint Linked Component Analysis (Lin Xiao and Luo Xiao, arXiv 2406.11761); the tuning rule of the paper is not
reproduced, the rules here are ours.

The p-value of a component is ``(1 + b) / (1 + n)``, b the number of n permuted data sets whose norm is as large: a
valid Monte Carlo test whatever n (Davison and Hinkley 1997, section 4.2). A component is kept if its p-value is at most
the level. Permutations are drawn until it is clear on which side of the level every p-value lies that the rank depends
on.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.stats import beta, binom

from optlab.core.validation import as_generator, as_integer, as_number, one_of
from optlab.multiview.methods.alternating import fit_problem, settle
from optlab.multiview.problem.components import LinkedComponents
from optlab.multiview.problem.orthonormal import top_left
from optlab.multiview.problem.penalties import Penalty
from optlab.multiview.selection.choice import Selection, serial
from optlab.multiview.selection.path import lambda_for_rank
from optlab.multiview.views.preparation import prepare

__all__ = ["exceedances", "permutation_test"]

_BATCH = 50  # permutations between two looks
_STOP = 1e-3  # probability that stopping early gives another answer than drawing for ever
_DOUBT = 0.01  # probability that a choice called decided is not


@serial
def permutation_test(
    views: Any,
    *,
    max_rank: int | None = None,
    n_permutations: int = 1000,
    quantile: float = 0.95,
    kind: str = "single",
    penalty: str | Penalty = "group",
    pair_weights: Any = None,
    random_state: Any = 0,
    **preparation: Any,
) -> Selection:
    """Choose the penalty from data in which the views are unlinked: samples permuted in all views but the first.

    Parameters
    ----------
    views : sequence or mapping of matrices, or Prepared
    n_permutations : int, default 1000
        At most so many; fewer are drawn where the choice is clear before (some 250 at the 5 % level). The smallest
        p-value is ``1 / (n_permutations + 1)``, so that the 5 % level needs 19 at least.
    quantile : float, default 0.95
        One less the level of the test: a component is kept if its p-value is at most ``1 - quantile``.
    kind : {"single", "sequential", "parallel"}
        ``"single"``: `lam` is the quantile of the leading norm, one threshold for all components (conservative for weak
        ones, since permuted data still contain the strong parts). ``"sequential"``: test the leading component, remove
        it from every view, test again (more power, slightly too many). ``"parallel"``: compare the j-th norm with the
        quantile of the j-th norm of permuted data (parallel analysis).
    random_state : int, RandomState, Generator or None
        Of the permutations. None is 0.
    max_rank, penalty, pair_weights, **preparation
        See `cross_validate_rank`.

    Returns
    -------
    Selection
        With columns component, norm, null_quantile, p_value. ``null`` holds the leading norms of the permuted data,
        ``rank_range`` the ranks between which the permutations drawn do not decide (99 % limits of the p-values).
    """
    one_of(kind, "kind", ("single", "sequential", "parallel"))
    quantile = as_number(quantile, "quantile", above=0, below=1)
    level = 1.0 - quantile
    n_permutations = _enough(as_integer(n_permutations, "n_permutations", minimum=1), level)
    data = prepare(views, **preparation)
    R = data.rank_limit(max_rank)
    rng = as_generator(random_state)
    problem = LinkedComponents.from_scores(data.scores, max_rank=R, penalty=penalty, pair_weights=pair_weights)
    if kind == "sequential":
        return _sequential(problem, data.scores, n_permutations, level, rng)
    norms = fit_problem(problem.replace(lam=0.0), tol=1e-4, max_iter=100).solution.norms
    null = problem.replace(max_rank=R if kind == "parallel" else min(R, 1))
    nulls, counts = exceedances(lambda: _null_norms(null, data.scores, rng), norms, level, n_permutations, ordered=True)
    n = len(nulls)
    thresholds = np.broadcast_to(np.sort(nulls, axis=0)[n - _allowed(n, level) - 1], (R,)).copy()
    p_values = (1 + counts) / (n + 1)
    kept = p_values <= level + 1e-12
    rank = R if np.all(kept) else int(np.argmin(kept))
    low, high = _limits(counts, n)
    first, last = (R if np.all(sure) else int(np.argmin(sure)) for sure in (high <= level, low <= level))
    if kind == "single" and R:
        lam = problem.penalty.lam_at(float(thresholds[0]))
    else:
        lam = lambda_for_rank(problem, rank)
    return Selection(
        f"permutation, {kind}",
        lam,
        rank,
        {"component": np.arange(1, R + 1), "norm": norms, "null_quantile": thresholds, "p_value": p_values},
        nulls[:, 0] if R else np.zeros(0),
        x="component",
        rank_range=(min(first, rank), max(last, rank)),
    )


def _enough(n: int, level: float) -> int:
    least = int(np.ceil(1.0 / level - 1e-9)) - 1
    if n < least:
        raise ValueError(
            f"n_permutations must be at least {least} for quantile {1 - level:.6g}, got {n}: the smallest p-value is "
            f"1/{n + 1}, above the level {level:.6g}, so that no component could be kept"
        )
    return n


def _allowed(n: int, level: float) -> int:
    """How many of `n` permuted values may be as large as one that is kept: ``(1 + b) / (1 + n) <= level``."""
    return max(int(np.floor(level * (n + 1) + 1e-9)) - 1, 0)


def _limits(counts: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Exact (Clopper-Pearson) limits of the p-values that infinitely many permutations would give."""
    low = np.where(counts > 0, beta.ppf(_DOUBT / 2, np.maximum(counts, 1), n - counts + 1), 0.0)
    high = np.where(counts < n, beta.ppf(1 - _DOUBT / 2, counts + 1, np.maximum(n - counts, 1)), 1.0)
    return low, high


def exceedances(
    draw: Callable[[], np.ndarray], observed: np.ndarray, level: float, most: int, ordered: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Draw from a null distribution until it is clear which p-values of `observed` are at most `level`.

    A value is clear once `level` has left its confidence sequence ``(n + 1) P(Binomial(n, p) = b) > 0.001`` (Robbins
    1970, Lai 1976), which covers the p-value at all n at once: looking often does no harm.

    Parameters
    ----------
    draw : callable
        Returns one draw, of the shape of `observed` or one that broadcasts to it.
    observed : ndarray
    level : float
    most : int
        Draws at most.
    ordered : bool
        Stop at the first value that is clearly not significant: those behind it do not count.

    Returns
    -------
    draws : ndarray, shape (n, ...)
    counts : ndarray
        How many draws are at least as large as each value.
    """
    draws: list[np.ndarray] = []
    counts = np.zeros(observed.shape, dtype=int)
    while len(draws) < most:
        batch = [draw() for _ in range(min(_BATCH, most - len(draws)))]
        draws += batch
        n = len(draws)
        counts += np.sum([value >= observed for value in batch], axis=0)
        clear = (n + 1) * binom.pmf(counts, n, level) <= _STOP
        if ordered:
            gone = clear & (counts > level * n)
            clear = clear[: int(np.argmax(gone)) + 1] if np.any(gone) else clear
        if np.all(clear):
            break
    return np.array(draws), counts


def _sequential(
    whole: LinkedComponents, given: Sequence[np.ndarray], n_permutations: int, level: float, rng: np.random.Generator
) -> Selection:
    scores, R = [Y - Y.mean(axis=0) for Y in given], whole.max_rank
    columns: dict[str, list[float]] = {"component": [], "norm": [], "null_quantile": [], "p_value": []}
    rank, first, surely, perhaps = 0, np.zeros(0), R, R
    one = whole.replace(max_rank=min(R, 1))
    for j in range(R):
        v, norm = one.with_scores(scores).leading_component(100, tol=1e-8)
        draw = functools.partial(_null_norms, one, scores, rng)
        nulls, counts = exceedances(draw, np.array([norm]), level, n_permutations)
        null, n, count = nulls[:, 0], len(nulls), counts[0]
        first = null if j == 0 else first
        threshold, p = np.sort(null)[n - _allowed(n, level) - 1], (1 + count) / (n + 1)
        for name, value in zip(columns, (j + 1, norm, threshold, p)):
            columns[name].append(float(value))
        low, high = _limits(counts, n)
        if high[0] > level:
            surely = min(surely, j)
        if p > level + 1e-12:
            perhaps = j + 1 if low[0] <= level else j
            break
        rank = j + 1
        scores = [Y - (Y @ u)[:, None] * u for Y, u in zip(scores, one.split(v))]
    table = {name: np.asarray(values) for name, values in columns.items()}
    table["component"] = table["component"].astype(int)
    lam = lambda_for_rank(whole, rank)
    limits = (min(surely, rank), max(perhaps, rank))
    return Selection("permutation, sequential", lam, rank, table, first, x="component", rank_range=limits)


def _null_norms(problem: LinkedComponents, scores: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Norms of the leading components, as many as `problem` has, after the samples of views 2..K were permuted."""
    permuted = [Y if k == 0 else Y[rng.permutation(len(Y))] for k, Y in enumerate(scores)]
    n, most = permuted[0].shape[0], max(problem.sizes)
    if problem.max_rank == 1 and most > 200 and most > n // 2:
        return np.array([_leading_norm(permuted, problem.sqrt_weights)])
    problem = problem.with_scores(permuted)
    if problem.max_rank == 1:
        return np.array([problem.leading_component(30, tol=1e-3, start_tol=1e-2)[1]])
    solution = settle(problem.replace(lam=0.0), tol=1e-2, max_iter=20)
    return np.linalg.norm(problem.correlations(np.concatenate(solution.coordinates)), axis=0)


def _leading_norm(scores: Sequence[np.ndarray], root: np.ndarray, sweeps: int = 30) -> float:
    """Largest norm of one component, from products with the scores only: wide cross-covariances cost more.

    `root` holds the square roots of the pair weights.
    """
    from scipy.sparse.linalg import LinearOperator, eigsh

    Y = [X - X.mean(axis=0) for X in scores]
    K, n = len(Y), len(Y[0])
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
