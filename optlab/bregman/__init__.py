"""Bregman geometry: kernels (Legendre functions), terms, their resolvents, operators and projections.

* kernels: `SquaredEuclidean`, `Mahalanobis`, `ShannonEntropy`, `SimplexEntropy`, `BurgEntropy`, `FermiDirac`,
  `Hellinger`, `PowerEntropy`, `PNorm`, `LogDeterminant`, `VonNeumann` (base classes in `optlab.bregman.legendre`);
* terms of an objective in `optlab.bregman.functions`, and `resolvent` of a term in a geometry, mirror to mirror;
* `forward`, `reflection`, `mann`: the operators of the splitting methods, mirror to mirror;
* `project_simplex` and its like: Bregman projections, point to point;
* mirror maps of policies, one probability row at a time, in `optlab.bregman.mirror_maps`.
"""

from optlab.bregman.burg import BurgEntropy
from optlab.bregman.entropy import ShannonEntropy, SimplexEntropy
from optlab.bregman.euclidean import Mahalanobis, SquaredEuclidean
from optlab.bregman.fermi_dirac import FermiDirac
from optlab.bregman.functions import (
    AffineSet,
    BlockSum,
    Box,
    BregmanDistance,
    CappedSimplex,
    ColumnMarginal,
    Function,
    Hyperplane,
    ItakuraSaito,
    KullbackLeibler,
    L1Norm,
    LeastSquares,
    Linear,
    Logistic,
    MonotoneOperator,
    NegativeEntropy,
    Poisson,
    Quadratic,
    RowMarginal,
    Simplex,
    SkewGame,
    SmoothFunction,
    SquaredDistance,
    Sum,
    Zero,
)
from optlab.bregman.hellinger import Hellinger
from optlab.bregman.legendre import Legendre, SeparableLegendre
from optlab.bregman.matrix import LogDeterminant, SpectralLegendre, VonNeumann
from optlab.bregman.mirror_maps import (
    EuclideanMap,
    HyperbolicMap,
    MirrorMap,
    NegativeEntropyMap,
    OmegaPotentialMap,
    TsallisMap,
    mirror_map,
)
from optlab.bregman.operators import forward, mann, reflect, reflection
from optlab.bregman.power import PNorm, PowerEntropy
from optlab.bregman.projections import project_box, project_capped_simplex, project_hyperplane, project_simplex
from optlab.bregman.resolvents import (
    ResolventError,
    available_resolvents,
    bind_resolvent,
    has_resolvent,
    register_resolvent,
    resolvent,
)

__all__ = [
    "AffineSet",
    "BlockSum",
    "Box",
    "BregmanDistance",
    "BurgEntropy",
    "CappedSimplex",
    "ColumnMarginal",
    "EuclideanMap",
    "FermiDirac",
    "Function",
    "Hellinger",
    "HyperbolicMap",
    "Hyperplane",
    "ItakuraSaito",
    "KullbackLeibler",
    "L1Norm",
    "LeastSquares",
    "Legendre",
    "Linear",
    "LogDeterminant",
    "Logistic",
    "Mahalanobis",
    "MirrorMap",
    "MonotoneOperator",
    "NegativeEntropy",
    "NegativeEntropyMap",
    "OmegaPotentialMap",
    "PNorm",
    "Poisson",
    "PowerEntropy",
    "Quadratic",
    "ResolventError",
    "RowMarginal",
    "SeparableLegendre",
    "ShannonEntropy",
    "Simplex",
    "SimplexEntropy",
    "SkewGame",
    "SmoothFunction",
    "SpectralLegendre",
    "SquaredDistance",
    "SquaredEuclidean",
    "Sum",
    "TsallisMap",
    "VonNeumann",
    "Zero",
    "available_resolvents",
    "bind_resolvent",
    "forward",
    "has_resolvent",
    "mann",
    "mirror_map",
    "project_box",
    "project_capped_simplex",
    "project_hyperplane",
    "project_simplex",
    "reflect",
    "reflection",
    "register_resolvent",
    "resolvent",
]
