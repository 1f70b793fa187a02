"""AJIVE: joint scores from the angles between the views' signal subspaces (Feng, Jiang, Hannig and Marron 2018)."""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.core.validation import as_generator, as_integer
from optlab.multiview.baselines.base import Baseline, per_view, truncated_svd
from optlab.multiview.views.preparation import Prepared

__all__ = ["AJIVE"]


class AJIVE(Baseline):
    """Angle-based JIVE (Feng, Jiang, Hannig and Marron 2018).

    Every view is cut to its initial signal rank; joint scores are the directions that the signal subspaces share, kept
    while their squared singular value exceeds both the 5 % quantile of a Wedin bound and the 95 % quantile for random
    subspaces.

    Parameters
    ----------
    signal_ranks : int or sequence of int
        Initial ranks of the views, joint and individual together.
    rank : int, optional
        Joint rank; None: estimated.
    n_samples : int, default 200
        Resamples of each of the two bounds.
    random_state : int

    Attributes
    ----------
    squared_singular_values_, wedin_bound_, random_bound_ : ndarray, float, float
    """

    def __init__(
        self, signal_ranks: Any = 5, rank: int | None = None, n_samples: int = 200, random_state: int | None = 0
    ) -> None:
        self.signal_ranks = signal_ranks
        self.rank = rank
        self.n_samples = n_samples
        self.random_state = random_state

    def _joint(self, data: Prepared) -> tuple[np.ndarray, None]:
        rng = as_generator(self.random_state)
        n_samples = as_integer(self.n_samples, "n_samples", minimum=1)
        wanted = per_view(self.signal_ranks, len(data.scores), "signal_ranks", minimum=1)
        ranks = [min(r, min(Y.shape) - 1) for r, Y in zip(wanted, data.scores)]
        lefts, limits, wedin = [], [], np.zeros(n_samples)
        for Y, r in zip(data.scores, ranks):
            u, s, v = truncated_svd(Y, r + 1)
            lefts.append(u[:, :r])
            limits.append((s[r - 1] + s[r]) / 2)
            if self.rank is None:
                left = _noise(Y.T, u[:, :r], n_samples, rng)
                right = _noise(Y, v[:r].T, n_samples, rng)
                wedin += np.minimum(np.maximum(left, right) / s[r - 1], 1.0) ** 2
        joint, values, _ = np.linalg.svd(np.hstack(lefts), full_matrices=False)
        self.squared_singular_values_ = values**2
        if self.rank is None:
            random = []
            for _ in range(n_samples):
                bases = np.hstack([np.linalg.qr(rng.standard_normal((data.n, r)))[0] for r in ranks])
                random.append(np.linalg.eigvalsh(bases.T @ bases)[-1])
            self.wedin_bound_ = float(np.percentile(len(lefts) - wedin, 5))
            self.random_bound_ = float(np.percentile(random, 95))
            rank = int(np.sum(values**2 > max(self.wedin_bound_, self.random_bound_)))
        else:
            rank = as_integer(self.rank, "rank", minimum=0)
            if rank > values.size:
                raise ValueError(f"rank must be at most {values.size}, the signal ranks together, got {rank}")
        # a joint direction must be visible in every view
        kept = [
            j for j in range(rank) if all(np.linalg.norm(Y.T @ joint[:, j]) >= t for Y, t in zip(data.scores, limits))
        ]
        return np.sqrt(data.n - 1) * joint[:, kept], None


def _noise(X: np.ndarray, basis: np.ndarray, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Norms of `X` on random subspaces orthogonal to `basis`, of its dimension."""
    norms = np.empty(n_samples)
    for first in range(0, n_samples, 25):
        count = min(25, n_samples - first)
        Z = rng.standard_normal((count, *basis.shape))
        Q, _ = np.linalg.qr(Z - basis @ (basis.T @ Z))
        wide = X @ Q.transpose(1, 0, 2).reshape(len(basis), -1)  # one product for all
        images = wide.reshape(len(wide), count, -1).transpose(1, 0, 2)
        norms[first : first + count] = np.sqrt(np.linalg.eigvalsh(images.transpose(0, 2, 1) @ images)[:, -1])
    return norms
