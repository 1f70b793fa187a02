"""Choosing the penalty or the rank by cross-validation with refit.

Joint Linked Component Analysis (Lin Xiao and Luo Xiao, arXiv 2406.11761) selects the rank by its penalty; the tuning
rule of the paper is not reproduced, the rules here and in the files beside this one are ours. Every one answers with a
`Selection`: the choice, the evidence as a table, and a plot of it.

Not offered: BIC, which was unstable or always chose rank 0 in our measurements; cross-validation of the *penalised*
loss, which selects too many components because a small penalty compensates the shrinkage.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.core.validation import as_flag, as_generator, as_integer, one_of
from optlab.multiview.methods.alternating import fit_problem, settle
from optlab.multiview.problem.components import LinkedComponents
from optlab.multiview.problem.penalties import Penalty
from optlab.multiview.problem.solution import LinkedSolution
from optlab.multiview.selection.choice import Selection, serial
from optlab.multiview.selection.path import lambda_for_rank, penalty_grid, solutions_along
from optlab.multiview.views.preparation import Prepared, prepare

__all__ = ["Fold", "cross_validate_lambda", "cross_validate_rank", "folds_of"]

# looser than a final fit: the held-out loss does not see the difference
_LOOSE: dict[str, Any] = {"tol": 1e-3, "max_iter": 60}


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
    parts, R = _parts(data, max_rank, n_folds, n_repeats, random_state)
    whole = LinkedComponents.from_scores(data.scores, max_rank=R, penalty=penalty, pair_weights=pair_weights)
    losses = np.zeros((len(parts), R + 1))
    for i, fold in enumerate(folds_of(whole, data.scores, parts)):
        starts = fold.problem.spectral_start(R)
        for r in range(1, R + 1):
            start = tuple([V[:, :r] for V in starts])
            losses[i, r] = fold.loss(settle(fold.problem.replace(lam=0.0, max_rank=r), start, **_LOOSE))
    evidence = _mean_with_error(losses)
    rank = int(np.argmin(evidence["loss"]))
    return Selection(
        "cross-validation of the rank, refitted",
        lambda_for_rank(whole, rank),
        rank,
        {"rank": np.arange(R + 1), **evidence},
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
    parts, R = _parts(data, max_rank, n_folds, n_repeats, random_state)
    whole = LinkedComponents.from_scores(data.scores, max_rank=R, penalty=penalty, pair_weights=pair_weights)
    grid = penalty_grid(whole, lams)
    losses, ranks = np.zeros((len(parts), grid.size)), np.zeros((len(parts), grid.size))
    for i, fold in enumerate(folds_of(whole, data.scores, parts)):
        refitted: dict[int, float] = {}
        for j, solution in enumerate(solutions_along(fold.problem, grid, **_LOOSE)):
            r = ranks[i, j] = solution.rank
            if not refit:
                losses[i, j] = fold.loss(solution)
                continue
            if r not in refitted:
                refitted[r] = fold.loss(settle(fold.problem.replace(lam=0.0, max_rank=r), solution, **_LOOSE))
            losses[i, j] = refitted[r]
    evidence = _mean_with_error(losses)
    mean = evidence["loss"]
    best = int(np.flatnonzero(mean == mean.min())[-1])
    if rule == "1se":
        best = int(np.flatnonzero(mean <= mean[best] + evidence["standard_error"][best])[-1])
    lam = float(grid[best])
    return Selection(
        f"cross-validation of lam, {'refitted' if refit else 'penalised'} ({rule})",
        lam,
        fit_problem(whole.replace(lam=lam)).solution.rank,
        {"lam": grid, **evidence, "rank": ranks.mean(axis=0)},
        x="lam",
    )


@dataclass(frozen=True)
class Fold:
    """The problem of the training samples, and the test samples centred at the means of the training samples."""

    problem: LinkedComponents
    test: tuple[np.ndarray, ...]

    def loss(self, solution: LinkedSolution) -> float:
        """Squared error of the test samples' cross-covariances, less that of the zero model."""
        problem, n = self.problem, len(self.test[0])
        T = [Y @ V for Y, V in zip(self.test, solution.coordinates)]
        d = problem.weighted(solution.diagonals)
        c = np.array([problem.sqrt_weights[k, l] * np.einsum("ij,ij->j", T[k], T[l]) / n for k, l in problem.pair_list])
        return 0.5 * float(np.sum(d * d) - 2 * np.sum(d * c))


def folds_of(
    whole: LinkedComponents, scores: Sequence[np.ndarray], parts: Sequence[tuple[np.ndarray, np.ndarray]]
) -> Iterator[Fold]:
    """One fold at a time, from training and test samples: the matrices of all at once might be large."""
    for train, test in parts:
        training = [Y[train] for Y in scores]
        yield Fold(whole.with_scores(training), tuple([Y[test] - X.mean(axis=0) for Y, X in zip(scores, training)]))


def _mean_with_error(losses: np.ndarray) -> dict[str, np.ndarray]:
    """Over the folds."""
    return {"loss": losses.mean(axis=0), "standard_error": losses.std(axis=0, ddof=1) / np.sqrt(len(losses))}


def _parts(
    data: Prepared, max_rank: int | None, n_folds: int | None, n_repeats: int, random_state: Any
) -> tuple[list[tuple[np.ndarray, np.ndarray]], int]:
    """Training and test samples of every fold, and the largest rank that the training samples of all allow."""
    n = data.n
    if n < 5:
        raise ValueError(
            f"cross-validation needs at least 5 samples, got {n}; choose by permutation, or pass lam=a number"
        )
    n_folds = min(5, n // 2) if n_folds is None else as_integer(n_folds, "n_folds", minimum=2)
    n_repeats = as_integer(n_repeats, "n_repeats", minimum=1)
    if n_folds > n // 2:
        raise ValueError(f"n_folds must be at most {n // 2}, half the number of samples, got {n_folds}")
    rng = as_generator(random_state)
    parts = []
    for _ in range(n_repeats):
        for test in np.array_split(rng.permutation(n), n_folds):
            parts.append((np.setdiff1d(np.arange(n), test), np.sort(test)))
    # the first test fold is the largest
    return parts, min(data.rank_limit(max_rank), n - len(parts[0][1]) - 2)
