"""Averages of stochastic iterates: `optlab.wrappers.Averaged`, under the name that it had first.

The methods of this package sum their iterates inside their compiled loops; on sparse data the sum is kept lazily.
"""

from optlab.wrappers import Averaged

__all__ = ["Averaged"]
