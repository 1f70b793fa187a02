"""From the caller's views to the coordinates in which everything is computed, and the default way to run a fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from optlab.core.result import Result
from optlab.core.solver import solve
from optlab.core.validation import as_integer
from optlab.multiview.methods.alternating import AlternatingProcrustes
from optlab.multiview.problem.components import LinkedComponents
from optlab.multiview.views.compression import Reduced, reduce_view
from optlab.multiview.views.reading import View, ViewSet, read_views, standardised

__all__ = ["Prepared", "fit_problem", "prepare"]


@dataclass(frozen=True)
class Prepared:
    """Centred, scaled, compressed views.

    Parameters
    ----------
    reduced : tuple of Reduced
        In the scale of the fit.
    whitened : tuple of ndarray or None
        Leading principal scores with unit variance, if the fit is to run on those.
    names : tuple of str
    features : tuple
    """

    reduced: tuple[Reduced, ...] = field(repr=False)
    whitened: tuple[np.ndarray, ...] | None = field(repr=False)
    names: tuple[str, ...]
    features: tuple[Any, ...] = field(repr=False)

    @property
    def n(self) -> int:
        """Number of samples."""
        return int(self.reduced[0].scores.shape[0])

    @property
    def views(self) -> tuple[View, ...]:
        """The centred and scaled views."""
        return tuple(r.view for r in self.reduced)

    @property
    def scores(self) -> tuple[np.ndarray, ...]:
        """What the fit runs on: coordinates of the samples, one matrix per view."""
        return self.whitened if self.whitened is not None else tuple(r.scores for r in self.reduced)

    @property
    def largest_rank(self) -> int:
        """Largest possible number of components."""
        return min(min(Y.shape[1] for Y in self.scores), self.n - 1)

    def rank_limit(self, max_rank: int | None, default: int = 10) -> int:
        """Check `max_rank`, or choose it."""
        most = self.largest_rank
        if max_rank is None:
            return min(default, most)
        rank = as_integer(max_rank, "max_rank", minimum=0)
        if rank > most:
            smallest = int(np.argmin([Y.shape[1] for Y in self.scores]))
            raise ValueError(
                f"max_rank must be at most {most}, the number of dimensions of {self.names[smallest]} "
                f"(its features, the samples less one, or the principal components kept), got {rank}"
            )
        return rank

    def problem(self, **settings: Any) -> LinkedComponents:
        """The problem on `scores`."""
        reduced = None if self.whitened is not None else self.reduced
        return LinkedComponents._from_scores(self.scores, reduced, **settings)


def prepare(
    views: Any,
    *,
    standardize: bool = False,
    scaling: str = "frobenius",
    constant_columns: str = "raise",
    compression: str | int = "auto",
    whiten: int | None = None,
    rng: np.random.Generator | None = None,
) -> Prepared:
    """Check, centre, scale and compress views; a `Prepared` is passed through.

    Parameters
    ----------
    views : sequence or mapping of matrices, or ViewSet
    standardize : bool
        Unit variance for every column.
    scaling : {"frobenius", "none"}
        ``"frobenius"``: unit total variance for every view.
    constant_columns : {"raise", "keep"}
    compression : {"auto", "exact"} or int
    whiten : int, optional
        Replace each view by its leading `whiten` principal scores, all with unit variance.
    rng : numpy.random.Generator, optional
        For a randomised compression.
    """
    if isinstance(views, Prepared):
        return views
    checked = views if isinstance(views, ViewSet) else read_views(views)
    scaled = standardised(checked, standardize=standardize, scaling=scaling, constant_columns=constant_columns)
    reduced = tuple(reduce_view(view, compression, rng) for view in scaled)
    whitened = None
    if whiten is not None:
        m = as_integer(whiten, "whiten", minimum=1)
        reduced = tuple(r if r.left is not None else _decomposed(r) for r in reduced)
        whitened = tuple(np.sqrt(checked.n - 1) * r.left[:, :m] for r in reduced if r.left is not None)
    return Prepared(reduced, whitened, checked.names, checked.features)


def _decomposed(reduced: Reduced) -> Reduced:
    """Principal coordinates of a view that was left as it was."""
    return reduced.truncated(reduced.m)


def fit_problem(
    problem: LinkedComponents,
    *,
    x0: Any = None,
    tol: float = 1e-6,
    max_iter: int = 500,
    refine_every: int = 5,
    seed: int | np.random.Generator | None = 0,
    **options: Any,
) -> Result:
    """Run `AlternatingProcrustes` through `optlab.solve` with the settings of this package."""
    settings: dict[str, Any] = {"progress": False, "on_interrupt": "raise"} | options
    return solve(problem, AlternatingProcrustes(refine_every), x0=x0, tol=tol, max_iter=max_iter, seed=seed, **settings)


def rows(scores: Sequence[np.ndarray], index: np.ndarray) -> list[np.ndarray]:
    """The samples `index` of every view."""
    return [Y[index] for Y in scores]
