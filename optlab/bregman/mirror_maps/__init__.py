"""Mirror maps of policies: geometry of probability rows, with dual coordinates, conjugates and dual divergences.

`NegativeEntropyMap`, `EuclideanMap` (in both conventions of the conjugate), `TsallisMap`, `OmegaPotentialMap` and
`HyperbolicMap`, by name through `mirror_map`; the conventions are in `optlab.bregman.mirror_maps.base`.
"""

from optlab.bregman.mirror_maps.base import DualRows, MirrorMap
from optlab.bregman.mirror_maps.euclidean import EuclideanMap
from optlab.bregman.mirror_maps.factory import mirror_map
from optlab.bregman.mirror_maps.negative_entropy import NegativeEntropyMap
from optlab.bregman.mirror_maps.potential import HyperbolicMap, OmegaPotentialMap
from optlab.bregman.mirror_maps.tsallis import TsallisMap

__all__ = [
    "DualRows",
    "EuclideanMap",
    "HyperbolicMap",
    "MirrorMap",
    "NegativeEntropyMap",
    "OmegaPotentialMap",
    "TsallisMap",
    "mirror_map",
]
