"""What a fit of linked components is: orthonormal loadings and the singular values of every pair of views."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from optlab.multiview.views.compression import Reduced

__all__ = ["ZERO", "LinkedSolution"]

ZERO = 1e-10  # a component below this share of the largest is zero: only matters without a penalty


@dataclass(frozen=True)
class LinkedSolution:
    """Loadings and singular values of a fit; components in order of decreasing strength.

    Parameters
    ----------
    coordinates : tuple of ndarray, shape (m_k, R)
        Orthonormal loadings in the problem's coordinates (see `loadings`).
    diagonals : ndarray, shape (K, K, R)
        ``d_kl,j``, symmetric in k and l; the diagonal k = l is zero.
    norms : ndarray, shape (R,)
        Group norms ``(sum_{k<l} w_kl d_kl,j^2)^(1/2)``.
    strengths : ndarray, shape (K, R), or None
        ``a_kj`` of the factored parametrisation.
    adaptive : ndarray, shape (R,), or None
        Multipliers of `lam`, for the adaptive penalty.
    """

    coordinates: tuple[np.ndarray, ...]
    diagonals: np.ndarray
    norms: np.ndarray
    strengths: np.ndarray | None = None
    adaptive: np.ndarray | None = None
    expanders: tuple[Reduced, ...] | None = field(default=None, repr=False, compare=False)

    @property
    def rank(self) -> int:
        """Number of components that are not zero."""
        if self.norms.size == 0:
            return 0
        return int(np.sum(self.norms > ZERO * max(self.norms.max(), 1e-300)))

    @property
    def loadings(self) -> tuple[np.ndarray, ...]:
        """Loadings of the `rank` components in the features of the views, shapes (p_k, rank); computed on access."""
        r = self.rank
        if self.expanders is None:
            return tuple(V[:, :r].copy() for V in self.coordinates)
        return tuple(reduced.expand(V[:, :r]) for reduced, V in zip(self.expanders, self.coordinates))

    def __str__(self) -> str:
        values = ", ".join(f"{g:.4g}" for g in self.norms[: self.rank])
        return f"{self.rank} linked component(s) in {len(self.coordinates)} views, strengths [{values}]"
