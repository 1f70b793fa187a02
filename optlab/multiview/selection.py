"""Choosing the penalty or the rank: cross-validation with refit, permutation, and a path over the penalty.

Joint Linked Component Analysis (Lin Xiao and Luo Xiao, arXiv 2406.11761) selects the rank by its penalty; the tuning
rule of the paper is not reproduced, the rules here are ours. Every one answers with a `Selection`: the choice, the
evidence as a table, and a plot of it.

Not offered: BIC, which was unstable or always chose rank 0 in our measurements; cross-validation of the *penalised*
loss, which selects too many components because a small penalty compensates the shrinkage.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from optlab.core.validation import as_float_array, as_integer, as_number, one_of
from optlab.multiview.linalg import one_thread_if_small, top_left
from optlab.multiview.penalties import Penalty, as_penalty
from optlab.multiview.prepare import Prepared, fit_problem, prepare, rows
from optlab.multiview.problem import LinkedComponents, LinkedSolution

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

__all__ = [
    "Selection",
    "cross_validate_lambda",
    "cross_validate_rank",
    "lambda_path",
    "permutation_test",
]

# looser than a final fit: the held-out loss does not see the difference
_CV_TOL, _CV_ITER = 1e-3, 60


@dataclass(frozen=True)
class Selection:
    """A choice of penalty and rank with its evidence.

    Parameters
    ----------
    method : str
    lam : float or None
        Chosen penalty; None where nothing is chosen (a path).
    rank : int or None
        Chosen rank.
    table : dict of str to ndarray
        The evidence, in columns of equal length.
    null : ndarray or None
        Leading norms of permuted data.
    x : str
        Column for the horizontal axis of `plot`.
    """

    method: str
    lam: float | None
    rank: int | None
    table: Mapping[str, np.ndarray] = field(repr=False)
    null: np.ndarray | None = field(default=None, repr=False)
    x: str = "rank"

    def to_frame(self) -> pandas.DataFrame:
        """The table as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame(dict(self.table))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the evidence and the choice; returns the axes."""
        import matplotlib.pyplot as plt

        from optlab.plotting import style

        if ax is None:
            _, ax = plt.subplots()
        table, x = self.table, self.table[self.x]
        if "loss" in table:
            ax.errorbar(x, table["loss"], yerr=table["standard_error"], capsize=2, **style(0))
            ax.set_ylabel("held-out loss (less that of rank 0)")
            best = int(np.argmin(table["loss"]))
            ax.plot(x[best], table["loss"][best], "o", ms=10, mfc="none", mec="black")
            ax.annotate(f"rank {self.rank}", (x[best], table["loss"][best]), xytext=(6, 8), textcoords="offset points")
        elif "null_quantile" in table:
            ax.plot(x, table["norm"], **style(0), label="data")
            ax.plot(x, table["null_quantile"], "--", color="0.4", label="permuted")
            ax.set_ylabel("strength of the component")
            ax.legend(title=f"rank {self.rank}")
        else:
            norms = np.column_stack([table[name] for name in table if name.startswith("norm")])
            for j in range(norms.shape[1]):
                ax.plot(x, norms[:, j], **style(j, markers=False))
            ax.set_ylabel("strength of the components")
        if self.x == "lam":
            ax.set_xscale("log")
            ax.set_xlabel("lam")
        else:
            ax.set_xlabel(self.x)
            ax.set_xticks(x[:: max(1, len(x) // 12)])
        return ax


def _serial(function: Callable[..., Selection]) -> Callable[..., Selection]:
    """Prepare the views, then run with BLAS threads suited to their size."""

    @functools.wraps(function)
    def wrapped(views: Any, *args: Any, **kwargs: Any) -> Selection:
        names = ("standardize", "scaling", "constant_columns", "compression", "whiten", "rng")
        data = prepare(views, **{name: kwargs.pop(name) for name in names if name in kwargs})
        with one_thread_if_small(sum(Y.shape[1] for Y in data.scores)):
            return function(data, *args, **kwargs)

    return wrapped


@_serial
def cross_validate_rank(
    views: Any,
    *,
    max_rank: int | None = None,
    n_folds: int = 5,
    n_repeats: int = 1,
    penalty: str | Penalty = "group",
    pair_weights: Any = None,
    random_state: int | np.random.Generator | None = 0,
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
    n_folds : int, default 5
    n_repeats : int, default 1
        Repetitions with other folds.
    penalty, pair_weights
        See `LinkedComponents`.
    random_state : int or numpy.random.Generator
        Of the folds.
    **preparation
        See `prepare`: ``standardize``, ``scaling``, ``whiten`` ... Means are those of the training samples; scales (and
        whitening, if any) are those of all samples.

    Returns
    -------
    Selection
        With columns rank, loss, standard_error.
    """
    data = prepare(views, **preparation)
    R = min(data.rank_limit(max_rank), data.n - data.n // n_folds - 2)
    folds = _folds(data.n, n_folds, n_repeats, random_state)
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


@_serial
def cross_validate_lambda(
    views: Any,
    lams: Sequence[float] | None = None,
    *,
    max_rank: int | None = None,
    n_folds: int = 5,
    n_repeats: int = 1,
    penalty: str | Penalty = "group",
    pair_weights: Any = None,
    refit: bool = True,
    rule: str = "min",
    random_state: int | np.random.Generator | None = 0,
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
    data = prepare(views, **preparation)
    R = min(data.rank_limit(max_rank), data.n - data.n // n_folds - 2)
    whole = data.problem(max_rank=R, penalty=penalty, pair_weights=pair_weights)
    grid = _grid(whole, lams)
    folds = _folds(data.n, n_folds, n_repeats, random_state)
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


@_serial
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
        lam = _as_lam(problem.penalty, float(levels[0]))
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


@_serial
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


def _as_lam(penalty: Penalty, norm: float) -> float:
    """The `lam` whose threshold is this group norm."""
    return 0.5 * norm**2 if penalty.name == "l0" else norm


def lambda_for_rank(problem: LinkedComponents, rank: int) -> float:
    """A penalty at which the penalised fit keeps `rank` components.

    Between the norms of the components number `rank` and ``rank + 1`` of the unpenalised fit, nearer to the lower one:
    a large penalty can change which components win, not only their size.
    """
    penalty = as_penalty(problem.penalty)
    if rank == 0:
        return _as_lam(penalty, 1.001 * problem.replace(penalty="group").lambda_max())
    if rank == problem.max_rank and rank < min(problem.sizes):
        problem = problem.replace(max_rank=rank + 1)
    solution = fit_problem(problem.replace(lam=0.0, penalty="group"), tol=1e-4, max_iter=200).solution
    norms = np.append(solution.norms, 0.0)
    low, high = norms[rank], norms[rank - 1]
    share = 0.25
    for _ in range(6):
        guess = high * (max(low, 1e-3 * high) / high) ** (1 - share)
        lam = _as_lam(penalty, float(guess))
        got = fit_problem(problem.replace(lam=lam), x0=solution, tol=1e-4, max_iter=200, record=5).solution.rank
        if got == rank:
            break
        low, high = (float(guess), high) if got > rank else (low, float(guess))
    return lam


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


def _folds(n: int, n_folds: int, n_repeats: int, random_state: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    n_folds = as_integer(n_folds, "n_folds", minimum=2)
    n_repeats = as_integer(n_repeats, "n_repeats", minimum=1)
    if n_folds > n // 2:
        raise ValueError(f"n_folds must be at most {n // 2}, half the number of samples, got {n_folds}")
    rng = np.random.default_rng(random_state)
    folds = []
    for _ in range(n_repeats):
        for test in np.array_split(rng.permutation(n), n_folds):
            folds.append((np.setdiff1d(np.arange(n), test), np.sort(test)))
    return folds
