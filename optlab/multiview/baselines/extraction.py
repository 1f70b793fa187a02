"""Concatenated PCA, and linked components extracted one at a time."""

from __future__ import annotations

import numpy as np

from optlab.multiview.baselines.base import Baseline, mean_of_views
from optlab.multiview.problem.components import LinkedComponents
from optlab.multiview.views.preparation import Prepared

__all__ = ["ConcatenatedPCA", "SequentialExtraction"]


class ConcatenatedPCA(Baseline):
    """Principal components of all views side by side (each with unit total variance).

    Parameters
    ----------
    rank : int

    Examples
    --------
    >>> from optlab.datasets.multiview import make_linked_views
    >>> ConcatenatedPCA(rank=2).fit(make_linked_views("S").views).scores_.shape
    (200, 2)
    """

    def __init__(self, rank: int = 1) -> None:
        self.rank = rank

    def _joint(self, data: Prepared) -> tuple[np.ndarray, None]:
        left, _, _ = np.linalg.svd(np.hstack(data.scores), full_matrices=False)
        return np.sqrt(data.n - 1) * left[:, : data.check_rank(self.rank)], None


class SequentialExtraction(Baseline):
    """One component at a time: the leading linked component without penalty, then ``X_k (I - v v')``, and so on.

    The criterion is that of `LinkedComponents` for one component (SSQCOV, or regularised generalised CCA with tau = 1
    and the factorial scheme); for two views it gives the singular vectors of the cross-covariance exactly.

    Parameters
    ----------
    rank : int
    """

    def __init__(self, rank: int = 1) -> None:
        self.rank = rank

    def _joint(self, data: Prepared) -> tuple[np.ndarray, list[np.ndarray]]:
        scores = [Y - Y.mean(axis=0) for Y in data.scores]
        found: list[tuple[np.ndarray, ...]] = []
        norms = []
        for _ in range(data.check_rank(self.rank)):
            problem = LinkedComponents.from_scores(scores, max_rank=1)
            v, norm = problem.leading_component(500, tol=1e-12)
            parts = problem.split(v)
            scores = [Y - (Y @ u)[:, None] * u for Y, u in zip(scores, parts)]
            found.append(parts)
            norms.append(norm)
        self.singular_values_ = np.array(norms)
        coordinates = [np.column_stack([parts[k] for parts in found]) for k in range(len(scores))]
        return mean_of_views(data, coordinates), coordinates
