"""Mirror maps of policies: geometry of probability rows, with dual coordinates, conjugates and dual divergences.

`NegativeEntropyMap` and `EuclideanMap` (in both conventions of the conjugate), by name through `mirror_map`; the
conventions are in `optlab.bregman.mirror_maps.base`.
"""

from optlab.bregman.mirror_maps.base import MirrorMap
from optlab.bregman.mirror_maps.euclidean import EuclideanMap
from optlab.bregman.mirror_maps.factory import mirror_map
from optlab.bregman.mirror_maps.negative_entropy import NegativeEntropyMap

__all__ = ["EuclideanMap", "MirrorMap", "NegativeEntropyMap", "mirror_map"]
