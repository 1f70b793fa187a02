"""Terms of an objective: functions with values and gradients; their resolvents are in `optlab.bregman.resolvents`."""

from optlab.bregman.functions.base import (
    FEASIBILITY_TOLERANCE,
    BlockSum,
    Function,
    Linear,
    MonotoneOperator,
    SmoothFunction,
    Sum,
    Zero,
)
from optlab.bregman.functions.calculus import Composed, Scaled
from optlab.bregman.functions.divergences import (
    BregmanDistance,
    ItakuraSaito,
    KullbackLeibler,
    L1Norm,
    NegativeEntropy,
    Poisson,
    SquaredDistance,
)
from optlab.bregman.functions.losses import LeastSquares, Logistic, Quadratic, SkewGame
from optlab.bregman.functions.sets import (
    AffineSet,
    Box,
    CappedSimplex,
    ColumnMarginal,
    Hyperplane,
    RowMarginal,
    Simplex,
)

__all__ = [
    "FEASIBILITY_TOLERANCE",
    "AffineSet",
    "BlockSum",
    "Box",
    "BregmanDistance",
    "CappedSimplex",
    "ColumnMarginal",
    "Composed",
    "Function",
    "Hyperplane",
    "ItakuraSaito",
    "KullbackLeibler",
    "L1Norm",
    "LeastSquares",
    "Linear",
    "Logistic",
    "MonotoneOperator",
    "NegativeEntropy",
    "Poisson",
    "Quadratic",
    "RowMarginal",
    "Scaled",
    "Simplex",
    "SkewGame",
    "SmoothFunction",
    "SquaredDistance",
    "Sum",
    "Zero",
]
