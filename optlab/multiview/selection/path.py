"""Fits along a grid of penalties, and the penalty that keeps a given number of components."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from optlab.core.validation import as_float_array, as_integer, as_number
from optlab.multiview.methods.alternating import fit_problem, settle
from optlab.multiview.problem.components import LinkedComponents
from optlab.multiview.problem.penalties import Penalty
from optlab.multiview.problem.solution import LinkedSolution
from optlab.multiview.selection.choice import Selection, serial
from optlab.multiview.views.preparation import prepare

__all__ = ["lambda_for_rank", "lambda_path", "penalty_grid", "solutions_along"]


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
    tol, max_iter = as_number(tol, "tol", minimum=0), as_integer(max_iter, "max_iter", minimum=0)
    data = prepare(views, **preparation)
    settings: dict[str, Any] = {"penalty": penalty, "pair_weights": pair_weights}
    problem = LinkedComponents.from_scores(data.scores, data.expanders, max_rank=data.rank_limit(max_rank), **settings)
    grid = penalty_grid(problem, lams)
    solutions = solutions_along(problem, grid, tol, max_iter)
    table = {
        "lam": grid,
        "rank": np.array([s.rank for s in solutions]),
        "objective": np.array([problem.replace(lam=lam).measure(s)["objective"] for lam, s in zip(grid, solutions)]),
    }
    for j in range(problem.max_rank):
        table[f"norm{j + 1}"] = np.array([s.norms[j] for s in solutions])
    return Selection("path", None, None, table, x="lam")


def solutions_along(problem: LinkedComponents, grid: np.ndarray, tol: float, max_iter: int) -> list[LinkedSolution]:
    """Solutions on a grid of penalties with warm starts from small to large; in the order of the grid.

    Increasing, because a component once zero re-enters through the refinement only: a decreasing path would lag.
    """
    found: dict[int, LinkedSolution] = {}
    start = settle(problem.replace(lam=0.0), tol=tol, max_iter=max_iter)
    for i in np.argsort(grid, kind="stable"):
        found[int(i)] = start = settle(problem.replace(lam=float(grid[i])), start, tol=tol, max_iter=max_iter)
    return [found[i] for i in range(grid.size)]


def penalty_grid(problem: LinkedComponents, lams: Sequence[float] | None) -> np.ndarray:
    """The caller's grid, or 20 points from 0.05 to 1 times the norm of the strongest component."""
    if lams is not None:
        return as_float_array(lams, "lams", ndim=1, nonnegative=True).astype(float)
    top = problem.lambda_max()
    if top == 0:
        return np.zeros(1)
    return top * np.geomspace(problem.penalty.lam_at(0.05) / problem.penalty.lam_at(1.0), 1.0, 20)


def lambda_for_rank(problem: LinkedComponents, rank: int) -> float:
    """A penalty at which the penalised fit keeps `rank` components.

    Between the norms of the components number `rank` and ``rank + 1`` of the unpenalised fit, nearer to the lower one:
    a large penalty can change which components win, not only their size.
    """
    lam_at = problem.penalty.lam_at
    if rank == 0:
        return lam_at(1.001 * problem.replace(penalty="group").lambda_max())
    if rank == problem.max_rank and rank < min(problem.sizes):
        problem = problem.replace(max_rank=rank + 1)
    solution = fit_problem(problem.replace(lam=0.0, penalty="group"), tol=1e-4, max_iter=200).solution
    norms = np.append(solution.norms, 0.0)
    low, high = norms[rank], norms[rank - 1]
    share = 0.25
    for _ in range(6):
        guess = float(high * (max(low, 1e-3 * high) / high) ** (1 - share))
        lam = lam_at(guess)
        got = settle(problem.replace(lam=lam), solution, tol=1e-4, max_iter=200).rank
        if got == rank:
            break
        low, high = (guess, high) if got > rank else (low, guess)
    return lam
