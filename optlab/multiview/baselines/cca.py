"""The canonical-correlation family: the models of cca-zoo on the compressed views."""

from __future__ import annotations

import numpy as np

from optlab.multiview.baselines.base import Baseline, mean_of_views
from optlab.multiview.views.preparation import Prepared

__all__ = ["CCA", "GCCA", "MCCA"]


class _FromCCAZoo(Baseline):
    """A model of cca-zoo on the compressed views; ``weights_`` holds its weights in the features."""

    _model = ""

    def __init__(self, rank: int = 1, shrinkage: float = 0.0) -> None:
        self.rank = rank
        self.shrinkage = shrinkage

    def _joint(self, data: Prepared) -> tuple[np.ndarray, None]:
        try:
            import cca_zoo.linear as linear
        except ImportError:
            raise ImportError(
                f"{type(self).__name__} uses cca-zoo; install it with: pip install 'optlab[peers]'"
            ) from None
        data.check_rank(self.rank)
        model = getattr(linear, self._model)(n_components=self.rank, shrinkage=self.shrinkage)
        self.model_ = model.fit([np.ascontiguousarray(Y) for Y in data.scores])
        self._weights = weights = [np.asarray(W) for W in self.model_.weights_]
        self.weights_ = [r.expand(W) for r, W in zip(data.reduced, weights)]
        return mean_of_views(data, weights), None


class MCCA(_FromCCAZoo):
    """Multiset CCA (sum of correlations) of cca-zoo.

    Parameters
    ----------
    rank : int
    shrinkage : float, default 0
        Of each view's covariance towards the identity, in [0, 1]; needed where a view has as many features as samples.
    """

    _model = "MCCA"


class GCCA(_FromCCAZoo):
    """Generalised CCA (MAXVAR: views correlated with a shared score) of cca-zoo.

    Parameters
    ----------
    rank : int
    shrinkage : float, default 0
    """

    _model = "GCCA"


class CCA(_FromCCAZoo):
    """Canonical correlation analysis of two views, regularised if asked to, of cca-zoo.

    Parameters
    ----------
    rank : int
    shrinkage : float, default 0
        0: CCA; above 0: regularised (ridge) CCA; 1: partial least squares.
    """

    _model = "RidgeCCA"
