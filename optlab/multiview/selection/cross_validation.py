"""Choosing the penalty or the rank: cross-validation with refit, permutation, and a path over the penalty.

Joint Linked Component Analysis (Lin Xiao and Luo Xiao, arXiv 2406.11761) selects the rank by its penalty; the tuning
rule of the paper is not reproduced, the rules here are ours. Every one answers with a `Selection`: the choice, the
evidence as a table, and a plot of it.

Not offered: BIC, which was unstable or always chose rank 0 in our measurements; cross-validation of the *penalised*
loss, which selects too many components because a small penalty compensates the shrinkage.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from optlab.core.validation import as_flag, as_float_array, as_generator, as_integer, one_of
from optlab.multiview.problem.components import LinkedComponents, LinkedSolution
from optlab.multiview.problem.penalties import Penalty
from optlab.multiview.selection.choice import Selection, lambda_for_rank, serial
from optlab.multiview.selection.permutation import permutation_test
from optlab.multiview.views.preparation import Prepared, fit_problem, prepare, rows

__all__ = [
    "Selection",
    "cross_validate_lambda",
    "cross_validate_rank",
    "lambda_path",
    "permutation_test",
]

# looser than a final fit: the held-out loss does not see the difference
_CV_TOL, _CV_ITER = 1e-3, 60


@serial
def cross_validate_rank(
    views: Any,
    *,
    max_rank: int | None = None,
    n_folds: int | None = None,
    n_repeats: int = 1,
    penalty: str | Penalty = "group",
    pair_weights: Any = None,
    random_state: Any = 0,
    **preparation: Any,
) -> Selection:
    """Choose the rank by cross-validation of refitted (unpenalised) fits, and a penalty that gives it.

    The loss of a fit of rank r is the squared error of the held-out cross-covariances up to a constant,
    ``1/2 sum_{k<l} w_kl (||D_kl||^2 - 2 <D_kl, diag(V_k' S_kl V_l)>)``; the rank with the least mean is taken.

    Parameters
    ----------
    views : sequence or mapping of matrices, or Prepared
    max_rank : int, optional
        Largest rank tried; default 10 or what the views allow.
    n_folds : int, optional
        Default: 5, or fewer where that leaves less than two samples in a fold.
    n_repeats : int, default 1
        Repetitions with other folds.
    penalty, pair_weights
        See `LinkedComponents`.
    random_state : int, RandomState, Generator or None
        Of the folds. None is 0.
    **preparation
        See `prepare`: ``standardize``, ``scaling``, ``whiten`` ... Means are those of the training samples; scales (and
        whitening, if any) are those of all samples.

    Returns
    -------
    Selection
        With columns rank, loss, standard_error.
    """
    data = prepare(views, **preparation)
    folds = _folds(data.n, n_folds, n_repeats, random_state)
    R = min(data.rank_limit(max_rank), data.n - len(folds[0][1]) - 2)
    losses = np.zeros((len(folds), R + 1))
    for i, (train, test) in enumerate(folds):
        problem, means = _training_problem(data, train, R, penalty, pair_weights)
        starts = problem.spectral_start(R)
        for r in range(1, R + 1):
            reduced = problem.replace(lam=0.0, max_rank=r)
            solution = fit_problem(
                reduced, x0=tuple(V[:, :r] for V in starts), tol=_CV_TOL, max_iter=_CV_ITER, record=5
            ).solution
            losses[i, r] = _held_out_loss(problem, solution, data.scores, test, means)
    mean, error = losses.mean(axis=0), losses.std(axis=0, ddof=1) / np.sqrt(len(folds))
    rank = int(np.argmin(mean))
    lam = lambda_for_rank(data.problem(max_rank=R, penalty=penalty, pair_weights=pair_weights), rank)
    return Selection(
        "cross-validation of the rank, refitted",
        lam,
        rank,
        {"rank": np.arange(R + 1), "loss": mean, "standard_error": error},
    )


@serial
def cross_validate_lambda(
    views: Any,
    lams: Sequence[float] | None = None,
    *,
    max_rank: int | None = None,
    n_folds: int | None = None,
    n_repeats: int = 1,
    penalty: str | Penalty = "group",
    pair_weights: Any = None,
    refit: bool = True,
    rule: str = "min",
    random_state: Any = 0,
    **preparation: Any,
) -> Selection:
    """Choose the penalty by cross-validation, on a grid, with the loss of the refitted fit.

    Parameters
    ----------
    views : sequence or mapping of matrices, or Prepared
    lams : sequence of float, optional
        Grid; default 20 points from 0.05 to 1 times the largest useful value.
    refit : bool, default True
        Judge the refitted fit. False judges the penalised one: then take ``rule="1se"``, since the minimum selects too
        many components.
    rule : {"min", "1se"}
        Least mean loss, or the largest penalty within one standard error of it.
    max_rank, n_folds, n_repeats, penalty, pair_weights, random_state, **preparation
        See `cross_validate_rank`.

    Returns
    -------
    Selection
        With columns lam, loss, standard_error, rank (mean over the folds).
    """
    one_of(rule, "rule", ("min", "1se"))
    refit = as_flag(refit, "refit")
    data = prepare(views, **preparation)
    folds = _folds(data.n, n_folds, n_repeats, random_state)
    R = min(data.rank_limit(max_rank), data.n - len(folds[0][1]) - 2)
    whole = data.problem(max_rank=R, penalty=penalty, pair_weights=pair_weights)
    grid = _grid(whole, lams)
    losses, ranks = np.zeros((len(folds), grid.size)), np.zeros((len(folds), grid.size))
    for i, (train, test) in enumerate(folds):
        problem, means = _training_problem(data, train, R, penalty, pair_weights)
        refitted: dict[int, float] = {}
        for j, solution in enumerate(_path(problem, grid, _CV_TOL, _CV_ITER)):
            r = ranks[i, j] = solution.rank
            if not refit:
                losses[i, j] = _held_out_loss(problem, solution, data.scores, test, means)
                continue
            if r not in refitted:
                again = fit_problem(
                    problem.replace(lam=0.0, max_rank=int(r)), x0=solution, tol=_CV_TOL, max_iter=_CV_ITER, record=5
                ).solution
                refitted[int(r)] = _held_out_loss(problem, again, data.scores, test, means)
            losses[i, j] = refitted[int(r)]
    mean, error = losses.mean(axis=0), losses.std(axis=0, ddof=1) / np.sqrt(len(folds))
    best = int(np.flatnonzero(mean == mean.min())[-1])
    if rule == "1se":
        best = int(np.flatnonzero(mean <= mean[best] + error[best])[-1])
    lam = float(grid[best])
    rank = fit_problem(whole.replace(lam=lam)).solution.rank
    return Selection(
        f"cross-validation of lam, {'refitted' if refit else 'penalised'} ({rule})",
        lam,
        rank,
        {"lam": grid, "loss": mean, "standard_error": error, "rank": ranks.mean(axis=0)},
        x="lam",
    )


@serial
def lambda_path(
    views: Any,
    lams: Sequence[float] | None = None,
    *,
    max_rank: int | None = None,
    penalty: str | Penalty = "group",
    pair_weights: Any = None,
    tol: float = 1e-6,
    max_iter: int = 500,
    **preparation: Any,
) -> Selection:
    """Fit a grid of penalties, from small to large, each started at the one before.

    Returns
    -------
    Selection
        Nothing is chosen (``lam`` and ``rank`` are None). Columns lam, rank, objective, norm1, norm2, ... (strengths of
        the components).
    """
    data = prepare(views, **preparation)
    problem = data.problem(max_rank=data.rank_limit(max_rank), penalty=penalty, pair_weights=pair_weights)
    grid = _grid(problem, lams)
    solutions = _path(problem, grid, tol, max_iter)
    table = {
        "lam": grid,
        "rank": np.array([s.rank for s in solutions]),
        "objective": np.array([problem.replace(lam=lam).measure(s)["objective"] for lam, s in zip(grid, solutions)]),
    }
    for j in range(problem.max_rank):
        table[f"norm{j + 1}"] = np.array([s.norms[j] for s in solutions])
    return Selection("path", None, None, table, x="lam")


def _path(problem: LinkedComponents, grid: np.ndarray, tol: float, max_iter: int) -> list[LinkedSolution]:
    """Solutions on an increasing grid with warm starts; in the order of the grid.

    Increasing, because a component once zero re-enters through the refinement only: a decreasing path would lag.
    """
    found: dict[int, LinkedSolution] = {}
    start: Any = fit_problem(problem.replace(lam=0.0), tol=tol, max_iter=max_iter, record=5).solution
    for i in np.argsort(grid, kind="stable"):
        start = fit_problem(
            problem.replace(lam=float(grid[i])), x0=start, tol=tol, max_iter=max_iter, record=5
        ).solution
        found[int(i)] = start
    return [found[i] for i in range(grid.size)]


def _grid(problem: LinkedComponents, lams: Sequence[float] | None) -> np.ndarray:
    if lams is not None:
        return as_float_array(lams, "lams", ndim=1, nonnegative=True).astype(float)
    top = problem.lambda_max()
    if top == 0:
        return np.zeros(1)
    # a covariance's scale for all penalties; L0 works on its square
    ratio = 0.05**2 if problem.penalty.name == "l0" else 0.05
    return top * np.geomspace(ratio, 1.0, 20)


def _training_problem(
    data: Prepared, train: np.ndarray, R: int, penalty: Any, pair_weights: Any
) -> tuple[LinkedComponents, list[np.ndarray]]:
    scores = rows(data.scores, train)
    means = [Y.mean(axis=0) for Y in scores]
    return LinkedComponents._from_scores(scores, max_rank=R, penalty=penalty, pair_weights=pair_weights), means


def _held_out_loss(
    problem: LinkedComponents,
    solution: LinkedSolution,
    scores: Sequence[np.ndarray],
    test: np.ndarray,
    means: Sequence[np.ndarray],
) -> float:
    """Squared error of the test samples' cross-covariances, less that of the zero model."""
    T = [(Y[test] - mean) @ V for Y, mean, V in zip(scores, means, solution.coordinates)]
    d = problem.weighted(solution.diagonals)
    c = np.array(
        [problem.sqrt_weights[k, l] * np.einsum("ij,ij->j", T[k], T[l]) / test.size for k, l in problem.pair_list]
    )
    return 0.5 * float(np.sum(d * d) - 2 * np.sum(d * c))


def _folds(n: int, n_folds: int | None, n_repeats: int, random_state: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training and test samples of every fold; the first test fold is the largest."""
    if n < 5:
        raise ValueError(
            f"cross-validation needs at least 5 samples, got {n}; choose by permutation, or pass lam=a number"
        )
    n_folds = min(5, n // 2) if n_folds is None else as_integer(n_folds, "n_folds", minimum=2)
    n_repeats = as_integer(n_repeats, "n_repeats", minimum=1)
    if n_folds > n // 2:
        raise ValueError(f"n_folds must be at most {n // 2}, half the number of samples, got {n_folds}")
    rng = as_generator(random_state)
    folds = []
    for _ in range(n_repeats):
        for test in np.array_split(rng.permutation(n), n_folds):
            folds.append((np.setdiff1d(np.arange(n), test), np.sort(test)))
    return folds
